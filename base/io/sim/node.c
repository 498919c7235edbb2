/* Simulated machines and their processes: how one begins, and all the ways in which it ends. */
#include <string.h>

#include "base/assert.h"
#include "base/io/sim/world.h"

static const uint64_t TURN_DELAY_NS_MAX = 5000;
enum { MILLION = 1000 * 1000 };

struct sim_node *sim_node_new(struct sim *sim)
{
	struct sim_node *node = sim_mem_zalloc(sizeof(*node));
	struct sim_node **nodes = sim_mem_zalloc((sim->node_count + 1) * sizeof(struct sim_node *));
	if (sim->node_count > 0)
		memcpy(nodes, sim->nodes, sim->node_count * sizeof(struct sim_node *));
	sim_mem_free(sim->nodes);
	sim->nodes = nodes;
	node->sim = sim;
	node->number = (unsigned)sim->node_count;
	node->slowness = 1;
	snprintf(node->state, sizeof(node->state), "never booted");
	disk_init(&node->disk, sim, sim->faults.disk_bytes);
	node->fs = sim_fs_new(node);
	sim->nodes[sim->node_count++] = node;
	return node;
}

void sim_node_free(struct sim_node *node)
{
	if (node->running)
		sim_node_stop(node);
	sim_disk_clear_faults(node);
	sim_writes_left_free(node);
	sim_parts_free(node);
	sim_fs_free(node->fs);
	disk_done(&node->disk);
	sim_mem_free(node);
}

unsigned sim_node_number(const struct sim_node *node)
{
	return node->number;
}

struct fs *sim_node_fs(struct sim_node *node)
{
	return node->fs;
}

bool sim_node_is_running(const struct sim_node *node)
{
	return node->running;
}

const char *sim_node_state(const struct sim_node *node)
{
	return node->state;
}

void sim_node_set_turn(struct sim_node *node, void (*turn)(void *arg), void *arg)
{
	node->turn = turn;
	node->turn_arg = arg;
}

void sim_node_set_ended(struct sim_node *node, void (*ended)(void *arg), void *arg)
{
	node->ended = ended;
	node->ended_arg = arg;
}

void sim_node_shift_clock(struct sim_node *node, int64_t shift_ms)
{
	node->clock_shift_ms = shift_ms;
}

void sim_node_set_clock_speed(struct sim_node *node, int32_t millionths)
{
	ASSERT(millionths > -MILLION);
	ASSERT(node->points == 0);
	node->clock_millionths = millionths;
}

/* `value` times `by` out of `of`, without an overflow on the way. */
static uint64_t scaled(uint64_t value, uint64_t by, uint64_t of)
{
	return value / of * by + value % of * by / of;
}

uint64_t sim_node_time_ns(const struct sim_node *node)
{
	return scaled(node->sim->now_ns, (uint64_t)(MILLION + node->clock_millionths), MILLION);
}

uint64_t sim_node_world_ns(const struct sim_node *node, uint64_t time_ns)
{
	uint64_t speed = (uint64_t)(MILLION + node->clock_millionths);
	return node->clock_millionths == 0 ? time_ns : scaled(time_ns, MILLION, speed) + 1;
}

void sim_node_set_clock_cost(struct sim_node *node, uint64_t cost_ns)
{
	node->clock_cost_ns = cost_ns;
}

/* ---- Inside ---- */

static void machine_stops(struct sim_node *node)
{
	node->off = true;
	sim_writes_left_finish_all(node);
	disk_power_cut(&node->disk);
}

/* Everything that is left of the process goes; the disk gets what it deserves. */
static void process_ends(struct sim_node *node, enum sim_crash crash)
{
	struct sim *sim = node->sim;
	ASSERT(node->running);
	ASSERT(sim->inside != node);
	sim_events_cut_off(sim, node, crash);
	sim_fs_process_ended(node->fs);
	sim_net_process_ended(node, crash);
	if (crash == SIM_POWER_CUT)
		machine_stops(node);
	sim_mem_free_scope(&node->scope);
	node->running = false;
	node->turn = NULL;
	node->turn_scheduled = false;
	node->polling = false;
	node->timer_at_ns = 0;
	node->panicked = false;
}

static void note_end(struct sim_node *node, enum sim_crash crash)
{
	struct sim *sim = node->sim;
	sim_trace(
	    sim, node, crash == SIM_KILL ? "kill" : "power cut", node->points, node->panicked);
	if (node->panicked) {
		sim->figures.ended_by_panic++;
		return;
	}
	snprintf(
	    node->state, sizeof(node->state), "%s", crash == SIM_KILL ? "killed" : "power cut");
	if (crash == SIM_KILL)
		sim->figures.ended_by_kill++;
	else
		sim->figures.ended_by_power_cut++;
}

static void set_inside(struct sim *sim, struct sim_node *node)
{
	sim->inside = node;
	sim_mem_enter(node == NULL ? NULL : &node->scope);
}

bool sim_enter(struct sim_node *node, void (*run)(void *arg), void *arg)
{
	struct sim *sim = node->sim;
	ASSERT(node->running);
	ASSERT_MSG(sim_inside() == NULL, "a process runs already");
	set_inside(sim, node);
	if (setjmp(sim->leave) == 0) {
		run(arg);
		set_inside(sim, NULL);
		return true;
	}
	set_inside(sim, NULL);
	note_end(node, node->dying);
	process_ends(node, node->dying);
	if (node->ended != NULL)
		node->ended(node->ended_arg);
	return false;
}

void sim_die(struct sim_node *node)
{
	ASSERT(node->sim->inside == node);
	longjmp(node->sim->leave, 1);
}

bool sim_node_run(struct sim_node *node, void (*run)(void *arg), void *arg)
{
	sim_trace(node->sim, node, "run", 0, 0);
	return sim_enter(node, run, arg);
}

void sim_node_crash(struct sim_node *node, enum sim_crash crash)
{
	if (node->sim->inside == node) {
		node->dying = crash;
		sim_die(node);
	}
	if (node->running) {
		note_end(node, crash);
		process_ends(node, crash);
		return;
	}
	if (crash == SIM_POWER_CUT) {
		sim_trace(node->sim, node, "power cut", node->points, 0);
		machine_stops(node);
	}
}

size_t sim_node_stop(struct sim_node *node)
{
	ASSERT(node->running);
	ASSERT(node->sim->inside != node);
	size_t not_freed = node->scope.count;
	sim_trace(node->sim, node, "stop", not_freed, 0);
	process_ends(node, SIM_KILL);
	snprintf(node->state, sizeof(node->state), "stopped");
	return not_freed;
}

static void turn_happens(struct sim_event *event)
{
	struct sim_node *node = event->node;
	node->turn_scheduled = false;
	if (node->polling) {
		node->turn_missed = true;
		return;
	}
	if (node->turn == NULL)
		return;
	node->sim->figures.turns++;
	node->turn(node->turn_arg);
}

void sim_node_wake(struct sim_node *node)
{
	if (node->turn_scheduled || !node->running)
		return;
	node->turn_scheduled = true;
	/* Not at once: what completes meanwhile is found by the same turn, as on a busy core. */
	uint64_t delay = sim_random_below(node->sim, TURN_DELAY_NS_MAX);
	sim_event_add(node->sim, node, node->sim->now_ns + delay, "turn", turn_happens);
}

/* ---- Crash points ---- */

void sim_crash_at(struct sim_node *node, uint64_t nth, enum sim_crash crash)
{
	node->crash_at = nth;
	node->crash_at_kind = crash;
}

uint64_t sim_crash_points(const struct sim_node *node)
{
	return node->points;
}

static bool is_last_point(struct sim_node *node)
{
	struct sim *sim = node->sim;
	if (node->crash_at > 0 && --node->crash_at == 0) {
		node->dying = node->crash_at_kind;
		return true;
	}
	if (!sim_chance(sim, sim->faults.crash_ppm))
		return false;
	node->dying =
	    sim_random_below(sim, 100) < sim->faults.power_cut_percent ? SIM_POWER_CUT : SIM_KILL;
	return true;
}

enum sim_moment sim_point(struct sim_node *node, const char *what)
{
	struct sim *sim = node->sim;
	if (sim->inside != node)
		return SIM_GO_ON;
	node->points++;
	sim->figures.crash_points++;
	sim_trace(sim, node, what, node->points, 0);
	if (!is_last_point(node))
		return SIM_GO_ON;
	switch (sim_random_below(sim, 3)) {
	case 0:
		sim->figures.ended_before_effect++;
		return SIM_END_BEFORE;
	case 1:
		sim->figures.ended_in_effect++;
		return SIM_END_DURING;
	}
	sim->figures.ended_after_effect++;
	return SIM_END_AFTER;
}

/* ---- Exact faults ---- */

void sim_disk_fault(struct sim_node *node, enum sim_fault fault, const char *path, uint64_t offset,
    uint64_t bytes, uint64_t times)
{
	ASSERT(node->target_count < SIM_TARGETS_MAX);
	ASSERT(times > 0 && bytes > 0);
	struct sim_target *target = &node->targets[node->target_count++];
	*target =
	    (struct sim_target){.fault = fault, .offset = offset, .bytes = bytes, .times = times};
	if (path != NULL) {
		size_t path_bytes = strlen(path) + 1;
		target->path = memcpy(sim_mem_zalloc(path_bytes), path, path_bytes);
	}
}

static void target_remove(struct sim_node *node, struct sim_target *target)
{
	sim_mem_free(target->path);
	struct sim_target *end = node->targets + --node->target_count;
	memmove(target, target + 1, (size_t)(end - target) * sizeof(*target));
}

void sim_disk_clear_faults(struct sim_node *node)
{
	while (node->target_count > 0)
		target_remove(node, &node->targets[node->target_count - 1]);
}

static bool is_hit(const struct sim_target *target, enum sim_fault fault, const char *path,
    uint64_t offset, uint64_t bytes)
{
	if (target->fault != fault || (target->path != NULL && strcmp(target->path, path) != 0))
		return false;
	if (fault == SIM_SYNC_ERROR)
		return true;
	bool begins_before_end =
	    target->bytes > UINT64_MAX - target->offset || offset < target->offset + target->bytes;
	return begins_before_end && offset + bytes > target->offset;
}

static uint32_t chance_of(const struct sim_faults *faults, enum sim_fault fault)
{
	switch (fault) {
	case SIM_WRITE_LOST:
		return faults->write_lost_ppm;
	case SIM_WRITE_MISDIRECTED:
		return faults->write_misdirected_ppm;
	case SIM_WRITE_ERROR:
		return faults->write_error_ppm;
	case SIM_READ_ERROR:
		return faults->read_error_ppm;
	case SIM_SYNC_ERROR:
		return faults->sync_error_ppm;
	}
	UNREACHABLE();
}

bool sim_fault_strikes(
    struct sim_node *node, enum sim_fault fault, const char *path, uint64_t offset, uint64_t bytes)
{
	if (node->sim->inside != node)
		return false;
	for (size_t i = 0; i < node->target_count; i++) {
		struct sim_target *target = &node->targets[i];
		if (!is_hit(target, fault, path, offset, bytes))
			continue;
		if (--target->times == 0)
			target_remove(node, target);
		return true;
	}
	return sim_chance(node->sim, chance_of(&node->sim->faults, fault));
}

void sim_disk_set_capacity(struct sim_node *node, uint64_t bytes)
{
	node->disk.capacity_bytes = bytes;
}

void sim_disk_set_slowness(struct sim_node *node, uint32_t factor)
{
	ASSERT(factor > 0);
	node->slowness = factor;
}
