/* Looking at a log without using it, and mending one: what kalix-admin does with the data directory
 * of a stopped server, and what tests do with anything. All functions block.
 *
 * Scanning judges the log exactly as log_open would (log.h, steps 1 to 4) and changes nothing.
 */
#ifndef KX_STORAGE_LOG_TOOL_H
#define KX_STORAGE_LOG_TOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "storage/log.h"
#include "storage/log_format.h"

struct fs;

struct log_tool_options {
	struct fs *fs;
	const char *dir;
	uint64_t store;
	struct log_anchor anchor; /* as the store has it; zeros: none */
	struct log_base (*base)(void *arg, uint32_t group);
	void *base_arg;
};

enum log_tool_place {
	LOG_TOOL_LIVE,     /* part of the log */
	LOG_TOOL_RELEASED, /* readable, below the anchor's needed_frame */
	LOG_TOOL_STALE,    /* of an older life, or given up behind a cut */
};

struct log_tool_visitor {
	/* A valid frame, in log order; views valid during the call. May be NULL. */
	void (*frame)(void *arg, const struct log_frame_header *header, const uint8_t *frame,
	    enum log_tool_place place);
	/* A stretch that had been durable and cannot be read, with what the first block looks like.
	 * */
	void (*damage)(void *arg, const struct log_gap *gap, enum log_verdict verdict);
	/* A group that is suspect: entries up to last_good are there without a hole. */
	void (*suspect)(void *arg, uint32_t group, uint64_t last_good, const struct log_gap *gap);
	void *arg;
};

/* Fills the report as log_open would, had it been allowed to write (rewritten_frames and
 * renumbered_segments say what it would do). ERR_FOREIGN, ERR_FORMAT, ERR_IO, ERR_NOMEM, ERR_BUSY
 * as log_open. */
NODISCARD int log_tool_scan(const struct log_tool_options *options,
    const struct log_tool_visitor *visitor, struct log_report *ret_report);

/* Accepts what is lost, so that a single node can serve its shards again. Of each suspect group the
 * entries after its last good one are given up (LOG_TRUNCATE), each damaged stretch that matters is
 * accepted (LOG_ACCEPT_LOSS), in a new life; nothing is overwritten. `copy_dir` (relative to fs;
 * made; must not exist) gets a copy of every live segment first. `lost` is called per group with
 * what is given up, before anything is written; a negative result stops there with that code,
 * nothing changed. With no damage that matters it does nothing and returns ERR_NOT_FOUND. A crash
 * in the middle leaves the damage as it was, or all of it accepted. */
NODISCARD int log_tool_repair(const struct log_tool_options *options, const char *copy_dir,
    int (*lost)(void *arg, uint32_t group, uint64_t first_index, uint64_t last_index_seen),
    void *arg, struct log_report *ret_report);

#endif
