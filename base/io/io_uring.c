/* One core's ring: the turn, and what all kinds of requests share.
 *
 * The ring belongs to one thread (SINGLE_ISSUER) and the kernel does its completion work only
 * when that thread enters it to get events (DEFER_TASKRUN), so that nothing appears in the
 * completion queue while a turn runs, but what its own submissions complete at once. TASKRUN_FLAG
 * tells without a system call whether entering is worth it. */
#include "base/io/io_uring.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"

enum {
	QUEUE_ENTRIES = 1024,
	COMPLETIONS_PER_ENTRY = 4,
	RECEIVE_BUFFERS = 256,
	RECEIVE_BUFFER_BYTES = 16 * 1024,
	OFFLOAD_THREADS_MIN = 2, /* bulk work leaves one free */
	SUBMIT_TRIES_MAX = 1000,
	DRAIN_ROUNDS_MAX = 1000,
};

static const uint64_t DRAIN_ROUND_NS = 10 * NS_PER_MS;

/* ---- Construction ---- */

static int ring_new(struct io *io, unsigned entries, char *why, size_t why_bytes)
{
	struct io_uring_params params = {
	    .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
	             IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE,
	    .cq_entries = entries * COMPLETIONS_PER_ENTRY,
	};
	int result = io_uring_queue_init_params(entries, &io->ring, &params);
	if (result < 0)
		return ring_explain(-result, why, why_bytes);
	io->ring_made = true;
	ASSERT(params.features & IORING_FEAT_EXT_ARG);
	ASSERT(params.features & IORING_FEAT_CQE_SKIP);
	/* Saves looking the descriptor up in each call; not having it costs only that. */
	io_uring_register_ring_fd(&io->ring);
	return 0;
}

static int io_init(struct io *io, const struct io_options *options, char *why, size_t why_bytes)
{
	unsigned entries = options->queue_entries != 0 ? options->queue_entries : QUEUE_ENTRIES;
	unsigned buffers =
	    options->receive_buffers != 0 ? options->receive_buffers : RECEIVE_BUFFERS;
	unsigned bytes = options->receive_buffer_bytes != 0 ? options->receive_buffer_bytes
	                                                    : RECEIVE_BUFFER_BYTES;
	unsigned threads = options->offload_threads > OFFLOAD_THREADS_MIN ? options->offload_threads
	                                                                  : OFFLOAD_THREADS_MIN;
	ASSERT((entries & (entries - 1)) == 0);
	ASSERT((buffers & (buffers - 1)) == 0);

	list_init(&io->completed);
	list_init(&io->attention);
	timers_init(&io->timers);
	io->now_ns = clock_monotonic_ns();
	io->event_fd = eventfd(0, EFD_CLOEXEC);
	if (io->event_fd < 0) {
		snprintf(why, why_bytes, "no file descriptor is left (ulimit -n)");
		return error_from_errno(errno);
	}
	int error = ring_new(io, entries, why, why_bytes);
	if (error == 0) {
		error = receive_pool_init(io, buffers, bytes);
		if (error < 0)
			snprintf(why, why_bytes, "no memory for %u receive buffers", buffers);
	}
	if (error == 0) {
		error = offload_new(io, threads, &io->offload);
		if (error < 0)
			snprintf(why, why_bytes, "cannot start %u threads (ulimit -u)", threads);
	}
	return error;
}

int io_new(const struct io_options *options, char *why, size_t why_bytes, struct io **ret_io)
{
	static const struct io_options defaults;
	if (why_bytes > 0)
		why[0] = '\0';
	struct io *io = mem_zalloc(1, sizeof(*io));
	if (io == NULL)
		return ERR_NOMEM;
	int error = io_init(io, options != NULL ? options : &defaults, why, why_bytes);
	if (error < 0) {
		io_free(io);
		return error;
	}
	event_arm(io);
	*ret_io = io;
	return 0;
}

/* ---- Submission ---- */

/* Hands over what is queued in the middle of a turn. A kernel that cannot take even one request is
 * out of memory for good, as far as this process can tell. */
static void make_room(struct io *io, unsigned entries)
{
	for (int tries = 0; io_uring_sq_space_left(&io->ring) < entries; tries++) {
		int result = io_uring_submit(&io->ring);
		if (result < 0 && tries >= SUBMIT_TRIES_MAX)
			PANIC("the kernel accepts no requests: %s", strerrordesc_np(-result));
	}
}

struct io_uring_sqe *ring_take(struct io *io)
{
	make_room(io, 1);
	struct io_uring_sqe *sqe = io_uring_get_sqe(&io->ring);
	ASSERT(sqe != NULL);
	io->figures.submitted++;
	return sqe;
}

void ring_take_pair(struct io *io, struct io_uring_sqe *ret_pair[2])
{
	/* A link does not reach over the end of a submission. */
	make_room(io, 2);
	ret_pair[0] = ring_take(io);
	ret_pair[1] = ring_take(io);
}

static bool has_completions(const struct io *io)
{
	return io_uring_cq_ready(&io->ring) > 0 || io_uring_cq_has_overflow(&io->ring);
}

/* Whether the kernel has completions that it will only hand over when it is entered. */
static bool kernel_has_work(const struct io *io)
{
	return IO_URING_READ_ONCE(*io->ring.sq.kflags) &
	       (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

static void submit_without_waiting(struct io *io)
{
	if (io_uring_sq_ready(&io->ring) > 0 || kernel_has_work(io))
		io_uring_submit_and_get_events(&io->ring);
}

static bool must_not_wait(const struct io *io)
{
	return !list_empty(&io->completed) || !list_empty(&io->attention) || has_completions(io) ||
	       atomic_load(&io->wake_wanted);
}

bool io_ready(const struct io *io)
{
	return must_not_wait(io) || kernel_has_work(io);
}

void io_poll(struct io *io, uint64_t wait_ns)
{
	uint64_t next_ns = timers_next_ns(&io->timers);
	io->figures.polls++;
	event_arm(io);
	if (wait_ns > 0 && next_ns != UINT64_MAX) {
		uint64_t now_ns = clock_monotonic_ns();
		uint64_t until_timer_ns = next_ns > now_ns ? next_ns - now_ns : 0;
		wait_ns = wait_ns < until_timer_ns ? wait_ns : until_timer_ns;
	}
	/* The order counts: who sets wake_wanted after this look has its message find us
	 * waiting. */
	if (must_not_wait(io))
		wait_ns = 0;
	if (wait_ns == 0) {
		submit_without_waiting(io);
		return;
	}
	struct __kernel_timespec timeout = {
	    .tv_sec = (int64_t)(wait_ns / NS_PER_S),
	    .tv_nsec = (long long)(wait_ns % NS_PER_S),
	};
	struct io_uring_cqe *ignored;
	int result = io_uring_submit_and_wait_timeout(
	    &io->ring, &ignored, 1, wait_ns == UINT64_MAX ? NULL : &timeout, NULL);
	/* Whatever else the kernel lacks for the moment, the next turn tries again. */
	ASSERT_MSG(result != -EBADF && result != -EFAULT && result != -EEXIST && result != -EINVAL,
	    "%s", strerrordesc_np(-result));
}

void io_submit(struct io *io)
{
	if (io_uring_sq_ready(&io->ring) > 0)
		io_uring_submit(&io->ring); /* What it does not take, io_poll hands over. */
}

/* ---- The turn ---- */

static void completed(struct io *io, uint64_t number, int result, unsigned flags)
{
	void *waiting = (void *)(uintptr_t)(number & ~RING_KIND_MASK);
	io->figures.completions++;
	enum ring_kind kind = (enum ring_kind)(number & RING_KIND_MASK);
	bool is_message = number == RING_WOKEN || kind == RING_WAKE;
	if (!(flags & IORING_CQE_F_MORE) && !is_message) {
		ASSERT(io->requests > 0);
		io->requests--;
	}
	switch (kind) {
	case RING_NOBODY:
		if (number == RING_EVENT)
			event_completed(io);
		return;
	case RING_WRITE:
		file_write_completed(waiting, result);
		return;
	case RING_OP:
		if (((struct io_op *)waiting)->kind == OP_CONNECT)
			socket_connected(waiting, result);
		else
			file_op_completed(waiting, result);
		return;
	case RING_RECEIVE:
		socket_received(waiting, result, flags);
		return;
	case RING_SEND:
		socket_sent(waiting, result);
		return;
	case RING_CANCEL:
		socket_cancelled(waiting);
		return;
	case RING_ACCEPT:
		listener_accepted(waiting, result, flags);
		return;
	case RING_WAKE:
		wake_failed(waiting);
		return;
	}
	UNREACHABLE();
}

static void run_completions(struct io *io)
{
	for (unsigned left = io_uring_cq_ready(&io->ring); left > 0; left--) {
		struct io_uring_cqe *cqe;
		if (io_uring_peek_cqe(&io->ring, &cqe) != 0)
			return;
		uint64_t number = cqe->user_data;
		int result = cqe->res;
		unsigned flags = cqe->flags;
		/* First, because what follows may submit, and with that complete, more. */
		io_uring_cqe_seen(&io->ring, cqe);
		completed(io, number, result, flags);
	}
}

static void run_operations(struct list *batch)
{
	for (struct list_node *node = list_pop_front(batch); node != NULL;
	     node = list_pop_front(batch)) {
		struct io_op *op = CONTAINER_OF(node, struct io_op, link);
		op_done(op, op->result);
	}
}

size_t io_run(struct io *io)
{
	struct list batch;
	uint64_t operations_before = io->operations_done;
	io->now_ns = clock_monotonic_ns();
	wake_run(io);
	run_completions(io);
	/* Those of the offload pool, which a completion above announced, and those that needed no
	 * kernel. */
	list_init(&batch);
	list_append_all(&batch, &io->completed);
	run_operations(&batch);
	sockets_attend(io);
	size_t fired = timers_fire(&io->timers, io->now_ns);
	io->figures.timers_fired += fired;
	return (size_t)(io->operations_done - operations_before) + fired;
}

uint64_t io_now_ns(const struct io *io)
{
	return io->now_ns;
}

struct io_figures io_figures(const struct io *io)
{
	return io->figures;
}

/* ---- Operations ---- */

void op_start(struct io *io, struct io_op *op, enum op_kind kind)
{
	ASSERT(op->done != NULL);
	ASSERT_MSG(op->state == OP_IDLE, "an operation is started twice, or was never zeroed");
	op->io = io;
	op->kind = (uint8_t)kind;
	op->state = OP_STARTED;
	list_node_init(&op->link);
	io->operations++;
}

void op_complete(struct io_op *op, int64_t result)
{
	ASSERT(op->state == OP_STARTED);
	op->result = result;
	list_push_back(&op->io->completed, &op->link);
}

void op_done(struct io_op *op, int64_t result)
{
	struct io *io = op->io;
	ASSERT(op->state == OP_STARTED);
	ASSERT(io->operations > 0);
	op->state = OP_IDLE;
	op->result = result;
	io->operations--;
	io->operations_done++;
	op->done(op);
}

/* ---- Timers ---- */

void io_timer_set(struct io *io, struct io_timer *timer, uint64_t at_ns)
{
	timers_set(&io->timers, timer, at_ns);
}

void io_timer_cancel(struct io *io, struct io_timer *timer)
{
	timers_cancel(&io->timers, timer);
}

/* ---- The end ---- */

/* The kernel must have let go of all our memory before it is freed: what still waits (the event
 * descriptor, a listener that was just closed) is cancelled, and its end awaited. */
static void drain(struct io *io)
{
	struct io_uring_sqe *sqe = ring_take(io);
	io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
	sqe->user_data = RING_IGNORED;
	io->requests++;
	/* Nobody is told anything any more. */
	io->event_armed = true;
	io->on_wake = NULL;
	timers_init(&io->timers);
	for (int round = 0; io->requests > 0 && round < DRAIN_ROUNDS_MAX; round++) {
		io_poll(io, DRAIN_ROUND_NS);
		run_completions(io);
		io->event_armed = true;
	}
	ASSERT_MSG(io->requests == 0, "%llu requests do not end", (unsigned long long)io->requests);
}

void io_free(struct io *io)
{
	if (io == NULL)
		return;
	ASSERT_MSG(io->operations == 0, "%zu operations are under way", io->operations);
	ASSERT_MSG(io->sockets == 0, "%zu sockets are open", io->sockets);
	offload_free(io->offload);
	io->offload = NULL;
	if (io->requests > 0)
		drain(io);
	if (io->ring_made) {
		receive_pool_done(io);
		io_uring_queue_exit(&io->ring);
	}
	if (io->event_fd > 0)
		close(io->event_fd);
	mem_free(io);
}
