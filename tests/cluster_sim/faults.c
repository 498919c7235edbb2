#include "tests/cluster_sim/faults.h"

#include <string.h>

#include "base/assert.h"
#include "base/io/fs.h"
#include "replication/group.h"
#include "tests/cluster_sim/rest.h"
#include "tests/cluster_sim/world.h"

enum {
	CRASH_POINTS_AHEAD_MAX = 400,
	CUT_MS_MAX = 4000,
	PAUSE_MS_MAX = 3500,
	SLOW_FACTOR_MAX = 60,
	FULL_MARGIN_BYTES_MAX = 512 * 1024,
	SMALL_MARGIN_BYTES_MAX = 16 * 1024,
	MEND_MS_MAX = 3000,
	HOUR_MS = 3600 * 1000,
	STORM_PERCENT = 25,
	/* Where all calls are made, and the world waits for what it has to see: that needs times in
	 * which all is well. */
	WAITING_STORM_PERCENT = 70,
	WAITING_GAPS = 2,
	GROWING_GAP_MS = 250
};

static const struct sim_faults no_faults;

static struct node *any_node(struct world *world)
{
	return &world->nodes[world_below(world, world->node_count)];
}

/* Leaders are hit most. */
static struct node *victim(struct world *world)
{
	struct node *node = any_node(world);
	uint32_t shard = (uint32_t)world_below(world, MODEL_SHARDS + 1);
	if (world_percent(world, 40))
		return node;
	for (unsigned i = 0; i < world->node_count; i++) {
		struct node *one = &world->nodes[i];
		const struct group *group = node_group(one, shard);
		if (group && group_leads(group))
			return one;
	}
	return node;
}

static uint64_t in_ms(struct world *world, uint64_t ms_max)
{
	return (1 + world_below(world, ms_max)) * NS_PER_MS;
}

/* ---- The network ---- */

void faults_heal(struct world *world)
{
	for (unsigned i = 0; i < world->node_count; i++)
		for (unsigned k = 0; k < world->node_count; k++)
			if (i != k)
				sim_net_cut(
				    world->nodes[i].machine, world->nodes[k].machine, false);
	/* Until its successor's machine comes a ghost's stands in its node's place. */
	ghost_keep_alone(world);
	world->faults.net_is_cut = false;
}

void faults_reset(struct world *world)
{
	for (unsigned i = 0; i < world->node_count; i++)
		for (unsigned k = 0; k < i; k++)
			sim_net_reset(world->nodes[i].machine, world->nodes[k].machine);
}

static void cut_way(struct world *world, unsigned from, unsigned to)
{
	if (from != to)
		sim_net_cut(world->nodes[from].machine, world->nodes[to].machine, true);
}

static void cut_both_ways(struct world *world, unsigned a, unsigned b)
{
	cut_way(world, a, b);
	cut_way(world, b, a);
}

static void cut_halves(struct world *world, bool one_way)
{
	bool side[WORLD_NODES_MAX];
	for (unsigned i = 0; i < world->node_count; i++)
		side[i] = world_percent(world, 50);
	for (unsigned i = 0; i < world->node_count; i++)
		for (unsigned k = 0; k < world->node_count; k++)
			if (side[i] != side[k] && (!one_way || side[i]))
				cut_way(world, i, k);
}

static void cut_off(struct world *world, unsigned number, bool one_way)
{
	bool out = world_percent(world, 50);
	for (unsigned i = 0; i < world->node_count; i++) {
		if (!one_way)
			cut_both_ways(world, number, i);
		else if (out)
			cut_way(world, number, i);
		else
			cut_way(world, i, number);
	}
}

void faults_cut_off(struct world *world, const struct node *node)
{
	cut_off(world, node->number, false);
}

/* Each reaches its neighbours alone. */
void faults_cut_ring(struct world *world)
{
	unsigned count = world->node_count;
	for (unsigned i = 0; i < count; i++)
		for (unsigned k = 0; k < count; k++)
			if (k != (i + 1) % count && (count > 3 ? i != (k + 1) % count : true))
				cut_way(world, i, k);
}

void faults_cut_bridge(struct world *world)
{
	unsigned count = world->node_count;
	unsigned between = (unsigned)world_below(world, count);
	bool side[WORLD_NODES_MAX];
	/* Neither is empty. */
	for (unsigned i = 0; i < count; i++)
		side[i] = i == (between + 1) % count ||
		          (i != (between + 2) % count && world_percent(world, 50));
	for (unsigned i = 0; i < count; i++)
		for (unsigned k = 0; k < i; k++)
			if (i != between && k != between && side[i] != side[k])
				cut_both_ways(world, i, k);
}

static void cut(struct world *world)
{
	struct world_figures *figures = &world->figures;
	struct faults *faults = &world->faults;
	unsigned a = (unsigned)world_below(world, world->node_count);
	faults_heal(world);
	switch (world_below(world, 7)) {
	case 0:
		cut_halves(world, false);
		figures->cuts_both++;
		break;
	case 1:
		cut_halves(world, true);
		figures->cuts_one_way++;
		break;
	case 2:
		cut_both_ways(world, a, (a + 1) % world->node_count);
		figures->cuts_pair++;
		break;
	case 3:
		cut_off(world, victim(world)->number, world_percent(world, 40));
		figures->cuts_leader++;
		break;
	case 4:
		cut_off(world, a, true);
		figures->cuts_one_way++;
		break;
	case 5:
		faults_cut_ring(world);
		figures->cuts_ring++;
		break;
	case 6:
		faults_cut_bridge(world);
		figures->cuts_bridge++;
		break;
	}
	faults->net_is_cut = true;
	faults->net_until_ns = sim_now_ns(world->sim) + in_ms(world, CUT_MS_MAX);
}

static void disturb_connection(struct world *world)
{
	struct node *a = any_node(world), *b = any_node(world);
	if (a == b)
		return;
	if (world_percent(world, 50)) {
		sim_net_reset(a->machine, b->machine);
		world->figures.resets++;
	} else {
		sim_net_silence(a->machine, b->machine);
		world->figures.silences++;
	}
}

/* What a power cut leaves of what was not synced. */
static void plan_losses(struct world *world, struct sim_faults *faults)
{
	static const uint32_t chances[][2] = {{0, 0}, {60, 20}, {20, 70}, {90, 0}, {10, 10}};
	uint64_t chosen = world_below(world, sizeof(chances) / sizeof(chances[0]));
	faults->lost_percent = chances[chosen][0];
	faults->torn_percent = chances[chosen][1];
	faults->garbage_percent = world_percent(world, 75) ? (uint32_t)world_below(world, 100) : 0;
}

/* Of all machines: latencies, and what happens to single segments. */
static void change_weather(struct world *world)
{
	struct sim_faults faults = {0};
	plan_losses(world, &faults);
	if (world_percent(world, 40)) {
		world->figures.bad_networks++;
		faults.net_reset_ppm = (uint32_t)world_below(world, 400);
		faults.net_silent_ppm = (uint32_t)world_below(world, 500);
		faults.net_stall_ppm = (uint32_t)world_below(world, 4000);
		faults.net_stall_ns = in_ms(world, 800);
		faults.net_flip_ppm = (uint32_t)world_below(world, 600);
		faults.net_ns_min = world_below(world, 2000) * NS_PER_US;
		faults.net_ns_max = faults.net_ns_min + in_ms(world, 30);
	}
	if (world_percent(world, 30)) {
		faults.slow_ppm = (uint32_t)world_below(world, 1000);
		faults.slow_ns = in_ms(world, 100);
	}
	narrow_weather(world, &faults);
	sim_set_faults(world->sim, &faults);
}

/* ---- Machines ---- */

static void end_process(struct world *world)
{
	struct node *node = victim(world);
	enum sim_crash how = world_percent(world, 40) ? SIM_KILL : SIM_POWER_CUT;
	if (node->stage == NODE_DOWN)
		return;
	if (world_percent(world, 50)) {
		sim_crash_at(node->machine, 1 + world_below(world, CRASH_POINTS_AHEAD_MAX), how);
		world->figures.crash_points_set++;
		return;
	}
	*(how == SIM_KILL ? &world->figures.kills : &world->figures.power_cuts) += 1;
	node_crash(node, how);
}

/* All at once, as where the building is without power. */
static void end_all(struct world *world)
{
	for (unsigned i = 0; i < world->node_count; i++) {
		if (world->nodes[i].stage == NODE_DOWN)
			continue;
		world->figures.power_cuts++;
		node_crash(&world->nodes[i], SIM_POWER_CUT);
	}
}

static void pause(struct world *world)
{
	node_pause(victim(world), in_ms(world, PAUSE_MS_MAX));
	world->figures.pauses++;
}

static void jump_clock(struct world *world)
{
	struct node *node = any_node(world);
	node->clock_shift_ms = (int64_t)world_below(world, 2 * HOUR_MS) - HOUR_MS;
	sim_node_shift_clock(node->machine, node->clock_shift_ms);
	world->figures.clock_jumps++;
}

static void mend_disk(void *arg)
{
	struct node *node = arg;
	sim_disk_set_slowness(node->machine, 1);
	sim_disk_set_capacity(node->machine, 0);
	sim_disk_clear_faults(node->machine);
	/* A process that met one may still be about to say so. */
	if (node->stage != NODE_DOWN && node->stage != NODE_DIRECTORY)
		node->disk_fails = node->disk_is_full = false;
}

static void break_disk(struct world *world)
{
	struct node *node = victim(world);
	uint64_t free_bytes, total_bytes;
	/* Another one comes in its place. */
	if (node->is_out)
		return;
	switch (world_below(world, 4)) {
	case 0:
		sim_disk_set_slowness(
		    node->machine, 2 + (uint32_t)world_below(world, SLOW_FACTOR_MAX));
		world->figures.slow_disks++;
		break;
	case 1:
		if (fs_space(sim_node_fs(node->machine), &free_bytes, &total_bytes))
			return;
		sim_disk_set_capacity(node->machine,
		    total_bytes - free_bytes +
		        world_below(world, world_percent(world, 30) ? FULL_MARGIN_BYTES_MAX
		                                                    : SMALL_MARGIN_BYTES_MAX));
		node->disk_is_full = true;
		world->figures.full_disks++;
		break;
	case 2:
		sim_disk_fault(node->machine, SIM_SYNC_ERROR, NULL, 0, UINT64_MAX, 1);
		node->disk_fails = true;
		world->figures.failed_syncs++;
		break;
	case 3:
		sim_disk_fault(node->machine, SIM_WRITE_ERROR, NULL, 0, UINT64_MAX, 1);
		node->disk_fails = true;
		world->figures.failed_writes++;
		break;
	}
	sim_call_at(
	    world->sim, sim_now_ns(world->sim) + in_ms(world, MEND_MS_MAX), mend_disk, node);
}

static void checkpoint_inside(void *arg)
{
	struct node *node = arg;
	for (uint32_t i = 0; i < node->store_count; i++)
		engine_checkpoint(group_store_engine(node_store(node, i)));
	node_wake(node);
}

static void checkpoint(struct world *world)
{
	struct node *node = any_node(world);
	if (!node_serves(node))
		return;
	world->figures.checkpoints++;
	(void)sim_node_run(node->machine, checkpoint_inside, node);
}

/* ---- The operator ---- */

/* One more of those that are to come. */
static void grow(struct world *world)
{
	for (unsigned i = 0; i < world->node_count; i++) {
		struct node *node = &world->nodes[i];
		/* One that is replaced comes by itself. */
		if (!node->is_out || node->stays_off)
			continue;
		node->is_out = false;
		world->figures.late_joins++;
		node_boot(node);
		return;
	}
}

/* It is gone for ever, and is taken out by force. */
static bool has_lost(const struct world *world)
{
	for (unsigned i = 0; i < world->node_count; i++)
		if (world->nodes[i].is_lost)
			return true;
	return false;
}

/* NULL: none is. */
static struct node *drained_node(struct world *world)
{
	struct node *drained = NULL;
	for (unsigned i = 0; i < world->node_count; i++)
		if (world->nodes[i].is_drained)
			drained = &world->nodes[i];
	return drained;
}

static void operate(struct world *world)
{
	uint64_t what = world_below(world, 10);
	struct node *node = any_node(world), *drained = drained_node(world);
	/* One leaves at a time. */
	if (has_lost(world))
		return;
	if (what < 3) {
		admin_begin(world, ADMIN_LEAD, NULL);
		return;
	}
	if (what < 6) {
		admin_begin(world, ADMIN_DEPLOY, NULL);
		return;
	}
	if (drained)
		node = drained;
	if (node->is_out || lie_forbids_removals(world))
		return;
	enum admin_task task = world_percent(world, 70) ? ADMIN_REMOVE : ADMIN_UNDRAIN;
	admin_begin(world, node->is_drained ? task : ADMIN_DRAIN, node);
}

/* All others have what it has, or will: it is the only one that is gone. */
static void take_away(struct world *world)
{
	struct node *node = any_node(world);
	if (has_lost(world))
		return;
	if (world->figures.operations >= world->single_operations)
		faults_calm_down(world);
	if (!rest_is_well(world))
		return;
	node->is_lost = node->stays_off = true;
	node_crash(node, world_percent(world, 50) ? SIM_KILL : SIM_POWER_CUT);
}

/* The next step to the one removal that this world has to see. */
static void replace(struct world *world)
{
	struct node *node = drained_node(world);
	if (world->admin.by_force) {
		take_away(world);
		return;
	}
	if (!node)
		node = any_node(world);
	if (node->is_out)
		return;
	enum admin_task task = world->admin.takes_back ? ADMIN_UNDRAIN : ADMIN_REMOVE;
	admin_begin(world, node->is_drained ? task : ADMIN_DRAIN, node);
}

/* ---- The course ---- */

static void something(struct world *world)
{
	uint64_t what = world_below(world, 100);
	if (what < 26)
		end_process(world);
	else if (what < 28)
		end_all(world);
	else if (what < 46)
		cut(world);
	else if (what < 54)
		disturb_connection(world);
	else if (what < 62)
		pause(world);
	else if (what < 66)
		jump_clock(world);
	else if (what < 74)
		break_disk(world);
	else if (what < 80)
		change_weather(world);
	else if (what < 85)
		checkpoint(world);
	else if (what < 88)
		grow(world);
	else
		operate(world);
}

/* Nothing more has to be seen: processes end until there were enough, and then all is well. */
static uint64_t grow_large(struct world *world)
{
	/* What a storm watches is its own. */
	if (storm_is_on(&world->storm))
		return GROWING_GAP_MS;
	if (world_crashes(world) < WORLD_CRASHES_MIN)
		end_process(world);
	else
		faults_calm_down(world);
	return GROWING_GAP_MS;
}

/* Returns when the next one comes. */
static uint64_t break_something(struct world *world)
{
	bool waits = world->figures.operations >= world->single_operations;
	if (!storm_is_on(&world->storm) &&
	    world_percent(world, waits ? WAITING_STORM_PERCENT : STORM_PERCENT))
		storm_begin(world);
	if (!storm_is_on(&world->storm))
		something(world);
	/* What is watched where the net is cut in parts is that nothing changes: a node that is
	 * drained has no vote any more. */
	bool is_parted = world->storm.kind == STORM_PART && world->storm.is_cut_off;
	if (world->admin.replaces && !is_parted)
		replace(world);
	return world->faults.gap_ms * (waits ? WAITING_GAPS : 1);
}

static void tick(void *arg)
{
	struct world *world = arg;
	struct faults *faults = &world->faults;
	if (world->calm)
		return;
	storm_tick(world);
	if (faults->net_is_cut && sim_now_ns(world->sim) >= faults->net_until_ns)
		faults_heal(world);
	uint64_t gap_ms = world->grows ? grow_large(world) : break_something(world);
	sim_call_at(world->sim, sim_now_ns(world->sim) + in_ms(world, 2 * gap_ms), tick, world);
}

void faults_begin(struct world *world)
{
	change_weather(world);
	tick(world);
}

void faults_calm_down(struct world *world)
{
	sim_set_faults(world->sim, &no_faults);
	faults_heal(world);
	for (unsigned i = 0; i < world->node_count; i++) {
		sim_crash_at(world->nodes[i].machine, 0, SIM_KILL);
		mend_disk(&world->nodes[i]);
		grow(world);
	}
}

void faults_stop(struct world *world)
{
	storm_stop(world);
	ghost_stop(world);
	faults_calm_down(world);
}
