/* An io in place of the ring, for counting instructions: nothing is written, and every operation
 * ends in the io_run that follows, in the order they began. What is offloaded runs at once. Timers
 * never fire: a busy store needs none, they are for retries and for what is idle.
 *
 * Each end of an operation is a call of bench_durable, so that --toggle-collect='bench_*' has it.
 * It defines the symbols of base/io/io.h, which libkx_io.a then leaves alone. */
#ifndef KX_TESTS_BENCH_IO_INSTANT_H
#define KX_TESTS_BENCH_IO_INSTANT_H

#include <stddef.h>
#include <stdint.h>

#include "base/io/io.h"

enum { IO_INSTANT_OPERATIONS_MAX = 256 };

/* Zeroed, it is ready. One is enough for a program. */
struct io {
	struct io_op *ops[IO_INSTANT_OPERATIONS_MAX];
	size_t count;
	uint64_t now_ns; /* 100 us further with each io_run */
};

#endif
