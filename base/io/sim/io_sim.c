/* io.h in virtual time: each half of an operation is an event of the world, at a time drawn from
 * its seed, and a place where the process may end. */
#include "base/io/io.h"

#include <string.h>

#include "base/assert.h"
#include "base/io/fs.h"
#include "base/io/sim/fs_sim.h"
#include "base/io/sim/io_sim.h"
#include "base/io/sim/net_sim.h"
#include "base/mem.h"

enum {
	OFFLOAD_THREADS = 2,
	READY_ONE_IN = 3,
};

static const uint64_t TIMER_DELAY_NS_MAX = 1000 * 1000; /* the resolution that io.h promises */
static const uint64_t OFFLOAD_RETURN_NS_MAX = 10 * 1000;
/* No disk that answers at all holds a caller for longer; less than simulations wait for an end. */
static const uint64_t JOB_BLOCKED_NS_MAX = 20000000000;

static struct sim_node *booting;

int io_new(const struct io_options *options, char *why, size_t why_bytes, struct io **ret_io)
{
	struct sim_node *node = booting != NULL ? booting : sim_inside();
	(void)why;
	(void)why_bytes;
	ASSERT_MSG(node != NULL, "io_new outside of every simulated process");
	struct io *io = mem_zalloc(1, sizeof(*io));
	if (io == NULL)
		return ERR_NOMEM;
	io->node = node;
	io->now_ns = sim_node_time_ns(node);
	io->threads_idle = options != NULL ? options->offload_threads : 0;
	if (io->threads_idle < OFFLOAD_THREADS)
		io->threads_idle = OFFLOAD_THREADS;
	list_init(&io->completed);
	list_init(&io->jobs);
	list_init(&io->bulk_jobs);
	list_init(&io->attention);
	timers_init(&io->timers);
	node->io_count++;
	*ret_io = io;
	return 0;
}

void io_free(struct io *io)
{
	if (io == NULL)
		return;
	ASSERT_MSG(io->operations == 0, "%zu operations are under way", io->operations);
	ASSERT_MSG(io->sockets == 0, "%zu sockets are open", io->sockets);
	io->node->io_count--;
	mem_free(io);
}

struct io *sim_node_boot(struct sim_node *node)
{
	struct io *io = NULL;
	ASSERT(!node->running);
	ASSERT(sim_inside() == NULL);
	node->running = true;
	node->off = false;
	snprintf(node->state, sizeof(node->state), "running");
	sim_trace(node->sim, node, "boot", node->points, 0);
	booting = node;
	node->io_count = 0;
	sim_mem_enter(&node->scope);
	int error = io_new(NULL, NULL, 0, &io);
	sim_mem_enter(NULL);
	booting = NULL;
	ASSERT_MSG(error == 0, "%s", error_name(error));
	return io;
}

/* ---- The turn ---- */

/* For the end of a process, when its own turns are over (engine_free and the like): the world's
 * other events wait, and so do the turns of this process, until it is through. */
void io_poll(struct io *io, uint64_t wait_ns)
{
	struct sim_node *node = io->node;
	uint64_t now_ns = node->sim->now_ns;
	uint64_t until_ns = wait_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + wait_ns;
	ASSERT_MSG(sim_inside() == node, "io_poll outside of the process");
	node->polling = true;
	node->turn_missed = false;
	while (list_empty(&io->completed) && list_empty(&io->attention) && !io->woken &&
	       timers_next_ns(&io->timers) > sim_node_time_ns(node))
		if (!sim_step_inside(node, until_ns))
			break;
	node->polling = false;
	if (node->turn_missed)
		sim_node_wake(node);
}

/* One that is not waited for any more makes a turn and nothing else: of several ios each would add
 * another one in that turn, without an end. With a single io nothing piles up, and known seeds keep
 * their course. */
static void timer_due(struct sim_event *event)
{
	struct sim_node *node = event->node;
	if (node->io_count < 2 || event->number == node->timer_at_ns)
		node->timer_at_ns = 0;
	sim_node_wake(node);
}

/* One event a node for the first timer of all its ios is enough: a turn too many does no harm. */
static void schedule_timers(struct io *io)
{
	struct sim_node *node = io->node;
	uint64_t at_ns = timers_next_ns(&io->timers);
	if (at_ns == UINT64_MAX || (node->timer_at_ns != 0 && node->timer_at_ns <= at_ns))
		return;
	node->timer_at_ns = at_ns == 0 ? 1 : at_ns;
	at_ns = sim_node_world_ns(node, at_ns);
	if (at_ns < node->sim->now_ns)
		at_ns = node->sim->now_ns;
	at_ns += sim_random_below(node->sim, TIMER_DELAY_NS_MAX);
	sim_event_add(node->sim, node, at_ns, "timer", timer_due)->number = node->timer_at_ns;
}

size_t io_run(struct io *io)
{
	io->now_ns = sim_node_time_ns(io->node);
	io->figures.polls++;
	if (io->woken) {
		io->woken = false;
		io->figures.wakes++;
		if (io->on_wake != NULL)
			io->on_wake(io->on_wake_arg);
	}
	struct list batch;
	size_t called = 0;
	list_init(&batch);
	list_append_all(&batch, &io->completed);
	for (struct list_node *node = list_pop_front(&batch); node != NULL;
	     node = list_pop_front(&batch)) {
		struct io_op *op = CONTAINER_OF(node, struct io_op, link);
		called++;
		sim_op_done(op, op->result);
	}
	sim_sockets_attend(io);
	size_t fired = timers_fire(&io->timers, io->now_ns);
	io->figures.timers_fired += fired;
	schedule_timers(io);
	return called + fired;
}

/* A hint, so that being wrong is allowed: by the time, which is random enough. */
/* Here an operation is under way once it is started. */
void io_submit(struct io *io)
{
	(void)io;
}

bool io_ready(const struct io *io)
{
	return !list_empty(&io->completed) || !list_empty(&io->attention) || io->woken ||
	       io->node->sim->now_ns % READY_ONE_IN == 0;
}

uint64_t io_now_ns(const struct io *io)
{
	return io->now_ns;
}

/* ---- Operations ---- */

void sim_op_start(struct io *io, struct io_op *op, enum op_kind kind)
{
	ASSERT(op->done != NULL);
	ASSERT(op->state == OP_IDLE);
	op->io = io;
	op->kind = (uint8_t)kind;
	op->state = OP_STARTED;
	list_node_init(&op->link);
	io->operations++;
	io->figures.submitted++;
}

void sim_op_complete(struct io_op *op, int64_t result)
{
	struct io *io = op->io;
	ASSERT(op->state == OP_STARTED);
	op->result = result;
	list_push_back(&io->completed, &op->link);
	sim_trace(io->node->sim, io->node, "completed", op->kind, (uint64_t)result);
	sim_node_wake(io->node);
}

void sim_op_done(struct io_op *op, int64_t result)
{
	struct io *io = op->io;
	ASSERT(op->state == OP_STARTED);
	ASSERT(io->operations > 0);
	op->state = OP_IDLE;
	op->result = result;
	io->operations--;
	io->figures.completions++;
	op->done(op);
}

static void file_op_start(struct io *io, struct io_op *op, enum op_kind kind, struct fs_file *file,
    const void *data, size_t bytes, uint64_t offset)
{
	ASSERT(bytes > 0);
	sim_op_start(io, op, kind);
	op->u.file.file = file;
	/* Written through for reads only. */
	op->u.file.data = (uint8_t *)(uintptr_t)data;
	op->u.file.offset = offset;
	op->u.file.bytes = bytes;
	op->u.file.bytes_done = 0;
	sim_file_hold(file);
}

static void file_op_complete(struct io_op *op, int64_t result)
{
	sim_file_release(op->u.file.file);
	sim_op_complete(op, result);
}

/* Later, after a latency drawn between these. */
static struct sim_event *op_event(struct io_op *op, uint64_t min_ns, uint64_t max_ns,
    const char *name, void (*happen)(struct sim_event *event))
{
	struct sim_node *node = op->io->node;
	uint64_t at_ns = node->sim->now_ns + sim_latency_ns(node, min_ns, max_ns);
	struct sim_event *event = sim_event_add(node->sim, node, at_ns, name, happen);
	event->object = op;
	if (op->kind == OP_WRITE_DURABLE || op->kind == OP_READ) {
		event->number = sim_file_number(op->u.file.file) << 40 ^ op->u.file.offset;
		event->bytes = op->u.file.bytes;
	}
	return event;
}

static void sync_half(struct sim_event *event)
{
	struct io_op *op = event->object;
	struct fs_file *file = op->u.file.file;
	enum sim_moment moment = sim_point(event->node, "sync completes");
	if (moment == SIM_END_DURING)
		sim_file_sync_some(file, event->covers);
	if (moment == SIM_END_BEFORE || moment == SIM_END_DURING)
		sim_die(event->node);
	int result = sim_file_sync_range(file, event->covers, op->u.file.offset, op->u.file.bytes);
	if (moment == SIM_END_AFTER)
		sim_die(event->node);
	file_op_complete(op, result);
}

/* The process ended while its write was under way. */
static void write_cut_off(struct sim_event *event, enum sim_crash crash)
{
	const struct io_op *op = event->object;
	struct sim *sim = event->node->sim;
	sim->figures.writes_under_way_at_end++;
	sim_file_write_cut_off(
	    op->u.file.file, op->u.file.offset, op->u.file.data, op->u.file.bytes, crash);
}

static void write_half(struct sim_event *event)
{
	struct io_op *op = event->object;
	struct fs_file *file = op->u.file.file;
	const struct sim_faults *faults = &event->node->sim->faults;
	enum sim_moment moment = sim_point(event->node, "write completes");
	if (moment == SIM_END_DURING)
		sim_file_write_some(file, op->u.file.offset, op->u.file.data, op->u.file.bytes);
	if (moment == SIM_END_BEFORE)
		write_cut_off(event, event->node->dying);
	if (moment == SIM_END_BEFORE || moment == SIM_END_DURING)
		sim_die(event->node);
	int error = sim_file_write(file, op->u.file.offset, op->u.file.data, op->u.file.bytes);
	if (moment == SIM_END_AFTER)
		sim_die(event->node);
	if (error < 0) {
		file_op_complete(op, error);
		return;
	}
	struct sim_event *sync =
	    op_event(op, faults->sync_ns_min, faults->sync_ns_max, "sync", sync_half);
	sync->covers = sim_file_changes(file);
}

void io_write_durable(struct io *io, struct io_op *op, struct fs_file *file, const void *data,
    size_t bytes, uint64_t offset)
{
	struct sim_node *node = io->node;
	const struct sim_faults *faults = &node->sim->faults;
	ASSERT(offset % FS_ALIGNMENT == 0 && bytes % FS_ALIGNMENT == 0);
	ASSERT((uintptr_t)data % FS_ALIGNMENT == 0);
	enum sim_moment moment = sim_point(node, "write starts");
	if (moment == SIM_END_BEFORE)
		sim_die(node);
	file_op_start(io, op, OP_WRITE_DURABLE, file, data, bytes, offset);
	struct sim_event *event =
	    op_event(op, faults->write_ns_min, faults->write_ns_max, "write", write_half);
	event->cut_off = write_cut_off;
	if (moment != SIM_GO_ON)
		sim_die(node);
}

static void read_completes(struct sim_event *event)
{
	struct io_op *op = event->object;
	size_t bytes = 0;
	int error = sim_file_read(
	    op->u.file.file, op->u.file.offset, op->u.file.data, op->u.file.bytes, &bytes);
	file_op_complete(op, error < 0 ? error : (int64_t)bytes);
}

void io_read(struct io *io, struct io_op *op, struct fs_file *file, void *data, size_t bytes,
    uint64_t offset)
{
	const struct sim_faults *faults = &io->node->sim->faults;
	file_op_start(io, op, OP_READ, file, data, bytes, offset);
	op_event(op, faults->read_ns_min, faults->read_ns_max, "read", read_completes);
}

static void start_jobs(struct io *io);

static void job_returns(struct sim_event *event)
{
	struct io_op *op = event->object;
	struct io *io = op->io;
	io->threads_idle++;
	sim_op_complete(op, op->result);
	start_jobs(io);
}

/* All of what the job does happens now; what its calls blocked passes before it returns. */
static void job_runs(struct sim_event *event)
{
	struct io_op *op = event->object;
	struct sim_node *node = event->node;
	node->blocked_ns = 0;
	op->u.work.run(op);
	/* What blocked it has been drawn already, slowness included, though that may end before. */
	uint64_t blocked_ns =
	    node->blocked_ns < JOB_BLOCKED_NS_MAX ? node->blocked_ns : JOB_BLOCKED_NS_MAX;
	uint64_t at_ns =
	    node->sim->now_ns + blocked_ns + sim_random_below(node->sim, OFFLOAD_RETURN_NS_MAX);
	struct sim_event *returns =
	    sim_event_add(node->sim, node, at_ns, "job returns", job_returns);
	returns->object = op;
}

static void start_jobs_of(struct io *io, struct list *jobs, unsigned threads_spared)
{
	const struct sim_faults *faults = &io->node->sim->faults;
	while (io->threads_idle > threads_spared && !list_empty(jobs)) {
		struct io_op *op = CONTAINER_OF(list_pop_front(jobs), struct io_op, link);
		io->threads_idle--;
		op_event(op, faults->offload_ns_min, faults->offload_ns_max, "job", job_runs);
	}
}

static void start_jobs(struct io *io)
{
	start_jobs_of(io, &io->jobs, 0);
	start_jobs_of(io, &io->bulk_jobs, 1);
}

static void offload(
    struct io *io, struct io_op *op, void (*run)(struct io_op *op), struct list *jobs)
{
	ASSERT(run != NULL);
	sim_op_start(io, op, OP_WORK);
	op->u.work.run = run;
	io->figures.offloaded++;
	list_push_back(jobs, &op->link);
	start_jobs(io);
}

void io_offload(struct io *io, struct io_op *op, void (*run)(struct io_op *op))
{
	offload(io, op, run, &io->jobs);
}

void io_offload_bulk(struct io *io, struct io_op *op, void (*run)(struct io_op *op))
{
	offload(io, op, run, &io->bulk_jobs);
}

/* ---- Timers ---- */

void io_timer_set(struct io *io, struct io_timer *timer, uint64_t at_ns)
{
	timers_set(&io->timers, timer, at_ns);
	schedule_timers(io);
}

void io_timer_cancel(struct io *io, struct io_timer *timer)
{
	timers_cancel(&io->timers, timer);
}

/* ---- Between cores of one process ---- */

void io_wake(struct io *target, struct io *from)
{
	ASSERT(from == NULL || from->node == target->node);
	target->woken = true;
	sim_node_wake(target->node);
}

void io_on_wake(struct io *io, void (*woken)(void *arg), void *arg)
{
	io->on_wake = woken;
	io->on_wake_arg = arg;
}

struct io_figures io_figures(const struct io *io)
{
	return io->figures;
}
