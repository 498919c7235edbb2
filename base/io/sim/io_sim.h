/* One core's io in virtual time. Private to base/io/sim. */
#ifndef KX_BASE_IO_SIM_IO_SIM_H
#define KX_BASE_IO_SIM_IO_SIM_H

#include "base/io/op.h"
#include "base/io/sim/world.h"
#include "base/io/timers.h"

struct io {
	struct sim_node *node;
	uint64_t now_ns;
	struct list completed;
	struct list jobs; /* not yet on a thread */
	struct list bulk_jobs;
	struct list attention; /* sockets and listeners that have something to do in a turn */
	size_t sockets;
	unsigned threads_idle;
	size_t operations; /* started and not done */
	struct timers timers;
	bool woken;
	void (*on_wake)(void *arg);
	void *on_wake_arg;
	struct io_figures figures;
};

void sim_op_start(struct io *io, struct io_op *op, enum op_kind kind);
/* The next turn of its process calls `done`. */
void sim_op_complete(struct io_op *op, int64_t result);
/* Calls it; from io_run only. */
void sim_op_done(struct io_op *op, int64_t result);

#endif
