/* The log without a disk: nothing is written, and every write ends in the turn that follows.
 *
 *	log_count [DIRECTORY [TURNS]]   default: the working directory, 10000 turns of 42 records
 *
 * Says how many records went through. Under
 *
 *	valgrind --tool=callgrind --toggle-collect='bench_*' --dump-instr=no
 *
 * the instructions collected are those of reserving, appending (with the copy of the payload),
 * sealing (with the hash) and acknowledging, and nothing of io; divided by the records, the cost of
 * one. Segments are made in the directory as ever. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/io/io.h"
#include "tests/bench/log_load.h"

/* ---- An io of its own, in place of the ring: operations end in the order they began ---- */

enum { OPERATIONS_MAX = 64, IN_FLIGHT = 16, TURN_NS = 100000 };

struct io {
	struct io_op *ops[OPERATIONS_MAX];
	size_t count;
	uint64_t now_ns;
};

static void queue(struct io *io, struct io_op *op)
{
	if (io->count == OPERATIONS_MAX)
		abort();
	op->result = 0;
	io->ops[io->count++] = op;
}

void io_write_durable(struct io *io, struct io_op *op, struct fs_file *file, const void *data,
    size_t bytes, uint64_t offset)
{
	(void)file, (void)data, (void)bytes, (void)offset;
	queue(io, op);
}

static void offload(struct io *io, struct io_op *op, void (*run)(struct io_op *op))
{
	queue(io, op);
	run(op);
}

void io_offload(struct io *io, struct io_op *op, void (*run)(struct io_op *op))
{
	offload(io, op, run);
}

void io_offload_bulk(struct io *io, struct io_op *op, void (*run)(struct io_op *op))
{
	offload(io, op, run);
}

/* A busy log needs none: they are for retries and watermarks of an idle one. */
void io_timer_set(struct io *io, struct io_timer *timer, uint64_t at_ns)
{
	(void)io, (void)timer, (void)at_ns;
}

void io_timer_cancel(struct io *io, struct io_timer *timer)
{
	(void)io, (void)timer;
}

uint64_t io_now_ns(const struct io *io)
{
	return io->now_ns;
}

__attribute__((noinline)) static void bench_durable(struct io_op *op)
{
	op->done(op);
}

static void end_all(struct io *io)
{
	size_t count = io->count;
	struct io_op *ops[OPERATIONS_MAX];
	for (size_t i = 0; i < count; i++)
		ops[i] = io->ops[i];
	io->count = 0;
	io->now_ns += TURN_NS;
	for (size_t i = 0; i < count; i++)
		bench_durable(ops[i]);
}

int main(int argc, char **argv)
{
	struct io io = {0};
	struct load load;
	uint64_t turns = argc > 2 ? strtoull(argv[2], NULL, 10) : 10000;
	load_open(&load, argc > 1 ? argv[1] : ".", &io, IN_FLIGHT);
	end_all(&io);
	uint64_t begin_ns = clock_monotonic_ns();
	for (uint64_t turn = 0; turn < turns; turn++) {
		load_turn(&load);
		end_all(&io);
		load_release(&load);
	}
	uint64_t ns = clock_monotonic_ns() - begin_ns;
	while (io.count > 0)
		end_all(&io);
	printf("%" PRIu64 " records, %.0f ns each with segments made in between\n", load.durable,
	    (double)ns / (double)load.durable);
	load_close(&load);
	return 0;
}
