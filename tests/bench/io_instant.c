#include "tests/bench/io_instant.h"

#include <stdlib.h>

enum { TURN_NS = 100000 };

static void queue(struct io *io, struct io_op *op)
{
	if (io->count == IO_INSTANT_OPERATIONS_MAX)
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

void io_offload(struct io *io, struct io_op *op, void (*run)(struct io_op *op))
{
	queue(io, op);
	run(op);
}

void io_offload_bulk(struct io *io, struct io_op *op, void (*run)(struct io_op *op))
{
	queue(io, op);
	run(op);
}

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

bool io_ready(const struct io *io)
{
	(void)io;
	return false;
}

void io_poll(struct io *io, uint64_t wait_ns)
{
	(void)io, (void)wait_ns;
}

__attribute__((noinline)) static void bench_durable(struct io_op *op)
{
	op->done(op);
}

size_t io_run(struct io *io)
{
	size_t count = io->count;
	struct io_op *ops[IO_INSTANT_OPERATIONS_MAX];
	for (size_t i = 0; i < count; i++)
		ops[i] = io->ops[i];
	io->count = 0;
	io->now_ns += TURN_NS;
	for (size_t i = 0; i < count; i++)
		bench_durable(ops[i]);
	return count;
}
