/* The load of the log's benchmarks: records of 64 to 512 bytes, one for each of 42 groups a turn,
 * and releases as a checkpoint would make them. One log at a time; errors end the program. */
#ifndef KX_TESTS_BENCH_LOG_LOAD_H
#define KX_TESTS_BENCH_LOG_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "storage/log.h"

enum { LOAD_RECORD_BYTES_MAX = 512 };

struct load {
	const char *directory;
	struct fs *fs;
	struct log *log;
	uint64_t appended; /* records */
	uint64_t durable;  /* records */
};

/* Opens a new log in DIRECTORY/bench-log. */
void load_open(struct load *load, const char *directory, struct io *io, uint32_t in_flight);
/* Frees it, and removes what it left. `io` has nothing under way for it. */
void load_close(struct load *load);

/* The records of a turn, as far as there is room for them, and the flush at its end. */
void load_turn(struct load *load);
/* Releases what is durable when the log has become long. */
void load_release(struct load *load);

#endif
