/* Entries that the log has, read back from its segments: for replicas that lack more than is kept
 * in memory (replication/group_read.c).
 *
 * What can be read: every live entry that is durable, and beyond the checkpoint, whose entries the
 * log does not need any more, those in segments that are KEPT. While log_keep asks for it, a
 * segment that a checkpoint has released stays as it is until newer ones of `bytes` in all stand
 * behind it, or space is short. Then it is recycled, whoever may still want to read it. What was
 * kept is forgotten with the process: it lives in the index alone.
 *
 * Which record is an entry is told by its run's origin, as in log_index.h: term and index do not.
 * So a run that is released takes its origin along, and frames are judged as by recovery (hash,
 * place, life).
 *
 * Reads wait until log_reads_start, which takes the oldest place that is asked for, and all reads
 * that want something from there: as many groups as lack entries of one stretch of the log read it
 * once, together. One job at a time, in the offload pool; no log file is recycled under it.
 *
 * Thread: the core's.
 */
#ifndef KX_STORAGE_LOG_READ_H
#define KX_STORAGE_LOG_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"

struct log;

/* The caller's, until `done`, which comes once, from io_run, or until log_read_cancel. */
struct log_read {
	uint32_t group;
	uint64_t first;
	uint64_t bytes_max; /* one entry always */
	/* 0: entries first .. first + count - 1, of `term` all, stand in `data` one behind the
	 * other, the i-th up to ends[i]. They are the caller's: log_read_free. ERR_FULL: what
	 * log_reads_start allowed was used up by others. ERR_NOT_FOUND: the log does not have
	 * `first` any more, or cannot be read where it stands. ERR_NOMEM, ERR_IO. */
	void (*done)(struct log_read *read, int result);

	uint64_t term;
	uint32_t count;
	uint32_t *ends;
	uint8_t *data;

	/* Private to the log. */
	struct list_node link;
	struct log_read_slot *slot; /* NULL: it waits, or has ended */
};

/* `done` is to follow. ERR_NOT_FOUND: as there. */
NODISCARD int log_read(struct log *log, struct log_read *read);
/* `done` does not come any more. One that has ended, or never began, may be canceled. */
void log_read_cancel(struct log *log, struct log_read *read);
/* What it was given; it may begin anew. */
void log_read_free(struct log_read *read);
/* Reads as much as `bytes_max` for those that wait, and one entry always. No effect while a job is
 * under way. */
void log_reads_start(struct log *log, uint64_t bytes_max);

/* From now on; 0: nothing is kept. */
void log_keep(struct log *log, uint64_t bytes);
/* So much space there is beside what others need; what is kept takes a quarter of it and of itself
 * together at most, so that it never is what makes a disk full, whatever other stores keep. */
void log_keep_within(struct log *log, uint64_t spare_bytes);
/* The lowest entry that can be read; where there is none, the one behind the last. */
uint64_t log_read_first(const struct log *log, uint32_t group);

#endif
