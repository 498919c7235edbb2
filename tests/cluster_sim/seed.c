#include "tests/cluster_sim/seed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/log_line.h"
#include "storage/sim/store_sim.h"
#include "tests/cluster_sim/oracle.h"
#include "tests/cluster_sim/rest.h"
#include "tests/cluster_sim/world.h"
#include "tests/sim/verdict.h"

enum {
	/* Of simulated time: until a cluster stands at the begin, until it has come to rest when
	 * faults have ended, until a look at everything is answered, until all have stopped. */
	STANDS_S = 60,
	RESTS_S = 90,
	LOOKS_S = 30,
	STOPS_S = 30,
	/* Until those that were lost have come back. */
	LOSES_S = 90,
	LOAD_S_MAX = 120,
	/* A world has become large: WORLD_OPERATIONS_MIN, WORLD_CRASHES_MIN. */
	LARGE_S_MAX = 600,
	MESSAGE_BYTES_MAX = 256,
	LIE_PERCENT = 25,
	LOOK_MS = 50,
	/* In worlds in which a node is replaced. */
	REPLACES_GAP_MS_MIN = 400,
};

/* ---- Time ---- */

static void say_where(const struct world *world)
{
	verdict_at(world->figures.boots, world->figures.operations, sim_now_ns(world->sim));
}

static bool run_for_a_while(struct world *world)
{
	uint64_t until_ns = sim_now_ns(world->sim) + LOOK_MS * NS_PER_MS;
	while (sim_now_ns(world->sim) < until_ns) {
		bool stepped = sim_step(world->sim);
		ASSERT(stepped);
		say_where(world);
	}
	return true;
}

static void run_to_rest(struct world *world, uint64_t seconds)
{
	const char *why = "";
	uint64_t until_ns = sim_now_ns(world->sim) + seconds * NS_PER_S;
	while (run_for_a_while(world) && !rest_is_reached(world, &why)) {
		if (sim_now_ns(world->sim) < until_ns)
			continue;
		rest_print(world);
		verdict_fail("progress", "after %" PRIu64 " s %s", seconds, why);
	}
}

/* The world goes on though nothing happens in it: an operator who waits for a turn of a node gets
 * one. */
static void tick(void *arg)
{
	struct world *world = arg;
	if (!world->calm && !storm_is_on(&world->storm) && world_percent(world, LIE_PERCENT))
		lie(world);
	lie_look(world);
	damage_look(world);
	loss_look(world);
	skew_tick(world);
	for (unsigned i = 0; i < world->node_count; i++)
		if (world->nodes[i].is_lost && !world->nodes[i].is_out)
			(void)admin_begin(world, ADMIN_REMOVE_LOST, &world->nodes[i]);
	for (unsigned i = 0; i < world->node_count && admin_is_due(world); i++)
		if (node_serves(&world->nodes[i]))
			node_wake(&world->nodes[i]);
	sim_call_at(world->sim, sim_now_ns(world->sim) + LOOK_MS * NS_PER_MS / 2, tick, world);
}

/* ---- Plans ---- */

static void plan_sizes(struct world *world)
{
	struct engine_options *engine = &world->engine_sizes;
	/* Room is reserved for the events that a handler might emit: 1 MiB. */
	engine->segment_bytes = 8 * 1024 * 1024;
	engine->first_segment_bytes = 4 * 1024 * 1024;
	engine->frame_bytes_max = 2 * 1024 * 1024;
	engine->replay_bytes_max = UINT64_C(128 * 1024) << world_below(world, 4);
	engine->dirty_bytes_max = UINT64_C(128 * 1024) << world_below(world, 4);
	engine->reserve_bytes_max = 64 * 1024;
	engine->frames_in_flight_max = 1 + (uint32_t)world_below(world, 16);
	/* No disk is that quick: many at a time. */
	if (engine->frames_in_flight_max != 16)
		engine->frame_soon_ns = 1;
	engine->idle_ms = 50 + (uint32_t)world_below(world, 2000);
	engine->keep_bytes = 32 * 1024 * 1024;
	/* Less than what a node lacks that was away: then it is read back from the log. */
	static const uint64_t kept_bytes[] = {0, 1024, 4 * 1024, 16 * 1024};
	world->group_kept_bytes = kept_bytes[engine->idle_ms % 4];
	if (world_percent(world, 50))
		world->message_bytes_max = 1 + world_below(world, MESSAGE_BYTES_MAX);
	world->leases = world_percent(world, 30);
	world->uneven_clocks = world->leases && random_chance(&world->plan_dice, 3, 5);
	world->dev = world_percent(world, 10);
	world->node_count = world_percent(world, 75) ? 3 : 5;
	world->admin.replaces = random_chance(&world->plan_dice, 3, 10);
	world->admin.takes_back = world->admin.replaces && random_chance(&world->plan_dice, 3, 5);
	world->admin.by_force = world->admin.replaces && !world->admin.takes_back;
	world->single_operations = 500 + world_below(world, 500);
	world->figures.worlds_of_three += world->node_count == 3;
	world->figures.worlds_of_five += world->node_count == 5;
	world->figures.worlds_with_leases += world->leases;
	world->figures.uneven_clocks += world->uneven_clocks;
}

static void plan_load(struct world *world)
{
	struct load *load = &world->load;
	load->calls_max = 4 + (unsigned)world_below(world, LOAD_SINGLE_MAX - 4);
	load->calls_per_turn = 1 + (unsigned)world_below(world, 4);
	load->idle_percent = 80 + (unsigned)world_below(world, 19);
	load->repeat_percent = 2 + (unsigned)world_below(world, 15);
	world->faults.gap_ms = 50 + world_below(world, 800);
	if (world->admin.replaces && world->faults.gap_ms < REPLACES_GAP_MS_MIN)
		world->faults.gap_ms += REPLACES_GAP_MS_MIN;
}

static void plan_node(struct world *world, struct node *node, unsigned cores)
{
	node->core_count = cores;
	node->store_count = cores;
	node->clock_cost_ns =
	    world_percent(world, 25) ? 0 : (1 + world_below(world, 100)) * NS_PER_US;
}

static void make_nodes(struct world *world)
{
	bool two_cores = world_percent(world, 25);
	unsigned first =
	    world_percent(world, 50) ? world->node_count : 1 + (unsigned)world_below(world, 3);
	for (unsigned i = 0; i < world->node_count; i++) {
		node_init(world, i);
		/* The others join while there is load. */
		world->nodes[i].is_out = i >= first;
		plan_node(world, &world->nodes[i],
		    two_cores ? 1 + (unsigned)world_below(world, NODE_CORES_MAX) : 1);
		if (two_cores && world->nodes[i].core_count > 1)
			world->figures.worlds_of_two_cores++;
	}
}

/* ---- The course ---- */

static void found(struct world *world)
{
	for (unsigned i = 0; i < world->node_count; i++)
		if (!world->nodes[i].is_out)
			node_boot(&world->nodes[i]);
	admin_begin(world, ADMIN_DEPLOY, NULL);
	run_to_rest(world, STANDS_S);
}

static bool has_more(const struct world *world)
{
	return !world_is_large(world) || world_awaits(world);
}

/* What it was to see has been seen. */
static bool is_worth_growing(const struct world *world)
{
	return !world_awaits(world) && world->figures.operations >= world->single_operations;
}

static void live(struct world *world)
{
	uint64_t until_ns = sim_now_ns(world->sim) + LOAD_S_MAX * NS_PER_S;
	uint64_t ends_ns = sim_now_ns(world->sim) + LARGE_S_MAX * NS_PER_S;
	world->calm = false;
	faults_begin(world);
	while (has_more(world) && (sim_now_ns(world->sim) < until_ns || !world_is_large(world))) {
		run_for_a_while(world);
		world->grows |= is_worth_growing(world) || sim_now_ns(world->sim) >= until_ns;
		EXPECT(sim_now_ns(world->sim) < ends_ns, "size",
		    "%" PRIu64 " operations, %" PRIu64 " crashes, and no more come",
		    world->figures.operations, world_crashes(world));
	}
	world->calm = world->ends = true;
	faults_stop(world);
	run_to_rest(world, RESTS_S);
}

static void look(struct world *world, struct node *node, void (*run)(void *arg))
{
	const char *why = "";
	uint64_t until_ns = sim_now_ns(world->sim) + LOOKS_S * NS_PER_S;
	bool ran = sim_node_run(node->machine, run, node);
	ASSERT(ran);
	while (!rest_is_reached(world, &why)) {
		run_for_a_while(world);
		if (sim_now_ns(world->sim) < until_ns)
			continue;
		rest_print(world);
		verdict_fail("progress", "looking: %s", why);
	}
}

static void stop(struct world *world)
{
	uint64_t until_ns = sim_now_ns(world->sim) + STOPS_S * NS_PER_S;
	for (unsigned i = 0; i < world->node_count; i++)
		node_close(&world->nodes[i]);
	for (unsigned ended = 0; ended < world->node_count;) {
		run_for_a_while(world);
		EXPECT(sim_now_ns(world->sim) < until_ns, "progress", "nodes do not stop");
		for (unsigned i = 0; i < world->node_count; i++) {
			if (!node_has_ended(&world->nodes[i]))
				continue;
			world->nodes[i].stays_off = true;
			node_reap(&world->nodes[i]);
			ended++;
		}
	}
}

static void look_at_all(struct world *world)
{
	for (unsigned i = 0; i < world->node_count; i++)
		look(world, &world->nodes[i], load_query_all);
	look(world, &world->nodes[world_below(world, world->node_count)], load_history_all);
	rest_compare_replicas(world);
	world->figures.unknown_compared = model_compare_unknowns(world->model);
}

static void lose(struct world *world)
{
	uint64_t until_ns = sim_now_ns(world->sim) + LOSES_S * NS_PER_S;
	if (!loss_begin(world))
		return;
	while (!loss_is_over(world)) {
		run_for_a_while(world);
		if (sim_now_ns(world->sim) < until_ns)
			continue;
		rest_print(world);
		verdict_fail("progress", "step %d of a loss lasts; what was refused last: %s",
		    (int)world->loss.step, world->admin.refused);
	}
	ghost_stop(world);
	run_to_rest(world, RESTS_S);
	look_at_all(world);
	loss_compare(world);
}

static void finish(struct world *world)
{
	look_at_all(world);
	damage_compare(world);
	skew_course(world);
	lose(world);
	stop(world);
}

static void take_line(void *arg, enum log_level level, struct slice line)
{
	(void)level;
	fwrite(line.data, 1, line.bytes, arg);
}

static void take_figures(struct world *world, struct figures *ret_figures)
{
	model_unknowns(
	    world->model, &world->figures.unknown_seen, &world->figures.unknown_never_seen);
	world->figures.unknown_never_seen -= world->figures.unknown_seen;
	world->figures.crashes = world_crashes(world);
	ret_figures->world = world->figures;
	ret_figures->machine = sim_figures(world->sim);
	ret_figures->virtual_ms = sim_now_ns(world->sim) / NS_PER_MS;
	for (unsigned i = 0; i < world->node_count; i++) {
		struct store_sim_figures store =
		    store_sim_figures(sim_node_fs(world->nodes[i].machine));
#define X(name) ret_figures->store.name += store.name;
		STORE_SIM_FIGURE_LIST(X)
#undef X
		ret_figures->world.compactions_stopped += store.compactions_stopped;
	}
}

static struct world *begin(uint64_t number, uint64_t shown, bool trace)
{
	struct world *world = calloc(1, sizeof(*world));
	ASSERT(world != NULL);
	verdict_begin(shown, 0);
	verdict_program("tests/cluster_sim/cluster_sim");
	world->seed = number;
	random_init(&world->random, number);
	random_init(&world->plan_dice, ~number);
	world->sim = sim_new(number, NULL);
	verdict_take_assertions();
	log_line_set_sink(trace ? take_line : log_line_nowhere, stdout);
	if (trace)
		sim_trace_print(world->sim, stdout);
	app_seed();
	world->model = model_new(world->sim);
	world->oracle = oracle_new(world);
	world->calm = true;
	plan_sizes(world);
	plan_load(world);
	narrow_begin(world);
	skew_begin(world);
	return world;
}

static void end(struct world *world, struct seed_result *ret_result)
{
	take_figures(world, &ret_result->figures);
	ret_result->trace_hash =
	    hash_bytes(slice_of(&world->load.answers, sizeof(world->load.answers)),
	        sim_trace_hash(world->sim));
	free(world->admin.bundle);
	oracle_free(world->oracle);
	model_free(world->model);
	sim_free(world->sim);
	free(world);
}

void seed_run(uint64_t number, bool trace, struct seed_result *ret_result)
{
	struct world *world = begin(number, number, trace);
	storm_plan(world);
	lie_plan(world);
	damage_plan(world);
	skew_plan(world);
	make_nodes(world);
	tick(world);
	found(world);
	live(world);
	finish(world);
	EXPECT(world_is_large(world), "size", "%" PRIu64 " operations, %" PRIu64 " crashes",
	    world->figures.operations, world_crashes(world));
	end(world, ret_result);
}

void seed_rest(struct world *world)
{
	world->calm = world->ends = true;
	run_to_rest(world, RESTS_S);
}

void seed_pass(struct world *world)
{
	run_for_a_while(world);
}

void seed_run_tame(
    const struct seed_tame *tame, uint64_t number, bool trace, struct seed_result *ret_result)
{
	struct world *world = begin(tame->seed, number, trace);
	verdict_program(tame->program);
	world->leases = world->uneven_clocks = world->dev = false;
	memset(&world->admin, 0, sizeof(world->admin));
	world->node_count = tame->nodes;
	tame->begin(world);
	for (unsigned i = 0; i < tame->nodes; i++) {
		node_init(world, i);
		world->nodes[i].is_out = i >= tame->nodes_first;
		plan_node(world, &world->nodes[i], tame->cores);
	}
	tick(world);
	found(world);
	world->calm = false;
	tame->live(world);
	seed_rest(world);
	finish(world);
	end(world, ret_result);
}
