#include "tests/shard_sim/seed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/io/fs.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "storage/sim/store_sim.h"
#include "tests/shard_sim/group_double.h"
#include "tests/sim/verdict.h"

enum {
	STEPS_WITHOUT_CALL_MAX = 400 * 1000,
	STEPS_TO_REST_MAX = 2 * 1000 * 1000,
	CLOCK_WANDERS_ONE_IN = 50,
	FULL_MARGIN_BYTES_MAX = 512 * 1024
};
#define DAY_MS (INT64_C(25) * 60 * 60 * 1000)

static const struct sim_faults no_faults;

struct seed {
	struct random random;
	struct sim *sim;
	struct load load;
	int64_t clock_shift_ms;
	/* Of the process: how many calls after its begin the disk is full. */
	uint64_t full_from, full_until;
	bool is_full;
};

static uint64_t below(struct seed *seed, uint64_t limit)
{
	return random_below(&seed->random, limit);
}

/* ---- Plans ---- */

static void plan_sizes(struct seed *seed)
{
	struct engine_options *engine = &seed->load.engine;
	engine->root = "/";
	engine->store_id = random_u64(&seed->random) | 1;
	/* Room is reserved for the events that a handler in Lua might emit: 1 MiB. */
	uint64_t factor = app_is_lua() ? 8 : 1;
	engine->segment_bytes = factor * 1024 * 1024;
	engine->first_segment_bytes = factor * 512 * 1024;
	engine->frame_bytes_max = (uint32_t)factor * 256 * 1024;
	engine->replay_bytes_max = UINT64_C(128 * 1024) << below(seed, 4);
	engine->dirty_bytes_max = UINT64_C(128 * 1024) << below(seed, 4);
	engine->clean_bytes_max = UINT64_C(4 * 1024) << below(seed, 6);
	engine->block_cache_bytes = 32 * 1024;
	engine->reserve_bytes_max = 64 * 1024;
	engine->frames_in_flight_max = 1 + (uint32_t)below(seed, 16);
	/* No disk is that quick: many at a time. */
	if (engine->frames_in_flight_max % 4 != 0)
		engine->frame_soon_ns = 1;
	engine->idle_ms = 5 + (uint32_t)below(seed, 100);
}

static void plan_load(struct seed *seed)
{
	struct load *load = &seed->load;
	load->fold_cache_bytes_max = below(seed, 3) == 0 ? 1 : UINT64_C(2048) << below(seed, 6);
	load->calls_max = 4 + (unsigned)below(seed, LOAD_CALLS_MAX - 4);
	load->calls_per_turn = 1 + (unsigned)below(seed, 8);
	load->idle_percent = (unsigned)below(seed, 60);
	load->repeat_percent = 2 + (unsigned)below(seed, 15);
	load->checkpoint_permille = below(seed, 2) ? (unsigned)below(seed, 20) : 0;
	load->no_memory_permille =
	    !double_is_linked() && below(seed, 4) == 0 ? 2 + (unsigned)below(seed, 30) : 0;
	load->dev = app_is_lua() && below(seed, 8) == 0;
	load->arrives_percent = 3 + (unsigned)below(seed, 60);
	load->settling = false;
}

/* In a simulated process time stands still, and a handler would never come to its slice's end. */
static void plan_clock(struct seed *seed)
{
	uint64_t cost_ns = 0;
	if (app_is_lua() && below(seed, 4) > 0)
		cost_ns = (1 + below(seed, 100)) * NS_PER_US;
	sim_node_set_clock_cost(seed->load.node, cost_ns);
}

/* What a power cut leaves of what was not synced. */
static void plan_losses(struct seed *seed, struct sim_faults *faults)
{
	static const uint32_t chances[][2] = {{0, 0}, {60, 20}, {20, 70}, {90, 0}, {10, 10}};
	uint64_t chosen = below(seed, sizeof(chances) / sizeof(chances[0]));
	faults->lost_percent = chances[chosen][0];
	faults->torn_percent = chances[chosen][1];
	faults->garbage_percent = below(seed, 2) ? (uint32_t)below(seed, 60) : 0;
}

/* Disks that fail and say so: the process ends, or does not come up. */
static void plan_errors(struct seed *seed, struct sim_faults *faults)
{
	if (below(seed, 8) == 0)
		faults->sync_error_ppm = 200 + (uint32_t)below(seed, 20000);
	if (below(seed, 8) == 0)
		faults->write_error_ppm = 200 + (uint32_t)below(seed, 10000);
	if (below(seed, 3) == 0) {
		faults->slow_ppm = 100 + (uint32_t)below(seed, 2000);
		faults->slow_ns = (1 + below(seed, 60)) * NS_PER_MS;
	}
	seed->load.disk_fails = faults->sync_error_ppm > 0 || faults->write_error_ppm > 0;
}

static void plan_store(struct seed *seed)
{
	struct store_sim_faults store = {
	    .cold_percent = below(seed, 4) == 0 ? 0 : (uint32_t)below(seed, 101)};
	if (below(seed, 4) == 0)
		store.slow_ppm = 1000 + (uint32_t)below(seed, 50000);
	if (below(seed, 6) == 0)
		store.no_space_ppm = 1000 + (uint32_t)below(seed, 300000);
	store_sim_set_faults(sim_node_fs(seed->load.node), &store);
	seed->load.disk_is_full = store.no_space_ppm > 0;
}

static void free_disk(struct seed *seed)
{
	sim_disk_set_capacity(seed->load.node, 0);
	seed->full_until = 0;
	seed->is_full = false;
}

static void fill_disk(struct seed *seed)
{
	uint64_t free_bytes, total_bytes;
	int error = fs_space(sim_node_fs(seed->load.node), &free_bytes, &total_bytes);
	ASSERT(error == 0);
	sim_disk_set_capacity(
	    seed->load.node, total_bytes - free_bytes + below(seed, FULL_MARGIN_BYTES_MAX));
	seed->load.disk_is_full = true;
	seed->is_full = true;
	seed->load.figures.single_full_disks++;
}

/* A disk that is full may still be so when the next process begins. The double's groups ask for
 * room in each turn, which is not what production's do. */
static void plan_full_disk(struct seed *seed)
{
	if (seed->is_full && below(seed, 2) == 0)
		free_disk(seed);
	if (double_is_linked() || (!seed->is_full && below(seed, 6) > 0))
		return;
	seed->full_from = seed->is_full ? 0 : below(seed, 400);
	seed->full_until = seed->full_from + 1 + below(seed, 400);
	seed->load.disk_is_full |= seed->is_full;
}

static void fill_and_free_disk(struct seed *seed, uint64_t operations)
{
	if (operations >= seed->full_until)
		free_disk(seed);
	else if (!seed->is_full && operations >= seed->full_from)
		fill_disk(seed);
}

static void plan_faults(struct seed *seed)
{
	struct sim_faults faults = {0};
	plan_losses(seed, &faults);
	plan_errors(seed, &faults);
	sim_set_faults(seed->sim, &faults);
	plan_store(seed);
	plan_full_disk(seed);
	struct double_options members = {
	    .loss = (unsigned)below(seed, 3) * (1 + (unsigned)below(seed, 60)),
	    .cut_off = (unsigned)below(seed, 2) * (1 + (unsigned)below(seed, 60)),
	    .commit_percent = 5 + (unsigned)below(seed, 96),
	    .confirm_percent = 5 + (unsigned)below(seed, 96),
	    .elect_percent = 2 + (unsigned)below(seed, 60),
	    .jump_percent = (unsigned)below(seed, 2) * (unsigned)below(seed, 101),
	    .hand_on_percent = (unsigned)below(seed, 2) * (unsigned)below(seed, 61),
	    .write_other = load_write_other,
	    .arg = &seed->load,
	};
	double_set_options(&members);
}

static void jump_clock(struct seed *seed)
{
	struct load *load = &seed->load;
	if (below(seed, 6) == 0) {
		/* Backwards a little, or far ahead: then every token is over. */
		bool back = below(seed, 2) == 0;
		seed->clock_shift_ms += back ? -(int64_t)below(seed, 3600 * 1000) : DAY_MS;
		if (!back)
			memset(load->tokens, 0, sizeof(load->tokens));
		load->figures.clock_jumps++;
	}
	sim_node_shift_clock(load->node, seed->clock_shift_ms);
}

/* While a process runs: ahead of where its boot had put it, by less than a token's life, or back to
 * that. What it has shown meanwhile, the next process must not take back. */
static void wander_clock(struct seed *seed)
{
	struct load *load = &seed->load;
	int64_t ahead_ms = below(seed, 3) == 0 ? 0 : (int64_t)below(seed, 3600 * 1000);
	sim_node_shift_clock(load->node, seed->clock_shift_ms + ahead_ms);
	load->figures.clock_jumps++;
}

/* ---- Processes ---- */

static void say_where(struct seed *seed)
{
	verdict_at(seed->load.figures.boots, seed->load.figures.operations, sim_now_ns(seed->sim));
}

static void note_end(struct seed *seed)
{
	mem_fail_at(0);
	load_cut_off(&seed->load);
	seed->load.figures.ends++;
	load_reset(&seed->load);
}

/* False: it ended in its boot. */
static bool boot(struct seed *seed)
{
	struct load *load = &seed->load;
	load_reset(load);
	load->figures.boots++;
	say_where(seed);
	load->first_io = sim_node_boot(load->node);
	sim_node_set_turn(load->node, load_turn, load);
	if (sim_node_run(load->node, load_boot, load))
		return true;
	note_end(seed);
	return false;
}

static bool step(struct seed *seed)
{
	EXPECT(sim_step(seed->sim), "progress", "nothing is left to happen");
	say_where(seed);
	if (sim_node_is_running(seed->load.node))
		return true;
	note_end(seed);
	return false;
}

static bool live(struct seed *seed, uint64_t operations)
{
	const struct load *load = &seed->load;
	uint64_t first = load->figures.operations;
	uint64_t until = first + operations;
	uint64_t last = load->figures.operations;
	uint64_t steps = 0;
	while (load->figures.operations < until) {
		if (!step(seed))
			return false;
		if (below(seed, CLOCK_WANDERS_ONE_IN) == 0)
			wander_clock(seed);
		fill_and_free_disk(seed, load->figures.operations - first);
		steps = load->figures.operations == last ? steps + 1 : 0;
		last = load->figures.operations;
		EXPECT(steps < STEPS_WITHOUT_CALL_MAX, "progress",
		    "no call was possible for %" PRIu64 " steps", steps);
	}
	return true;
}

static void stop_faults(struct seed *seed)
{
	sim_set_faults(seed->sim, &no_faults);
	store_sim_set_faults(sim_node_fs(seed->load.node), NULL);
	free_disk(seed);
	double_set_options(NULL);
	seed->load.disk_fails = false;
	seed->load.disk_is_full = false;
}

static bool come_to_rest(struct seed *seed)
{
	struct load *load = &seed->load;
	mem_fail_at(0);
	stop_faults(seed);
	load->settling = true;
	for (uint64_t steps = 0; !load_is_at_rest(load); steps++) {
		if (!step(seed))
			return false;
		EXPECT(steps < STEPS_TO_REST_MAX, "progress",
		    "%u calls are still under way, or a version, or what was dropped",
		    load_calls_under_way(load));
	}
	return true;
}

static bool close_cleanly(struct seed *seed)
{
	struct load *load = &seed->load;
	if (!sim_node_run(load->node, load_close, load)) {
		note_end(seed);
		return false;
	}
	for (uint64_t steps = 0; !load->ended; steps++) {
		if (!step(seed))
			return false;
		EXPECT(steps < STEPS_TO_REST_MAX, "progress", "not closed, %u calls under way",
		    load_calls_under_way(load));
	}
	EXPECT(load_calls_under_way(load) == 0, "close", "closed, and calls are under way");
	size_t left = sim_node_stop(load->node);
	EXPECT(left == 0, "leak", "%zu pieces of memory left after a clean close", left);
	load->figures.clean_ends++;
	note_end(seed);
	return true;
}

static void run_process(struct seed *seed)
{
	struct load *load = &seed->load;
	plan_load(seed);
	plan_clock(seed);
	plan_faults(seed);
	jump_clock(seed);
	uint64_t how = below(seed, 10);
	enum sim_crash crash = below(seed, 3) == 0 ? SIM_KILL : SIM_POWER_CUT;
	/* Some end in their recovery, and the first one more often than others in its begin. */
	bool early = how == 0 || (load->figures.boots == 0 && how < 6);
	uint64_t points = early ? 60 : how < 4 ? 1500 : 0;
	sim_crash_at(load->node, points > 0 ? 1 + below(seed, points) : 0, crash);
	uint64_t operations = 100 + below(seed, 800);
	if (!boot(seed) || !live(seed, operations))
		return;
	if (how == 9) {
		sim_crash_at(load->node, 0, crash);
		(void)close_cleanly(seed);
		return;
	}
	sim_node_crash(load->node, crash);
	note_end(seed);
}

/* Faults have ended; everything is answered, and every state is looked at. */
static void finish(struct seed *seed)
{
	static void (*const looks[])(void *arg) = {
	    load_expect_purged, load_query_all, load_history_all, load_list_all};
	struct load *load = &seed->load;
	plan_load(seed);
	load->no_memory_permille = 0;
	sim_crash_at(load->node, 0, SIM_KILL);
	stop_faults(seed);
	load->settling = true;
	bool booted = boot(seed);
	ASSERT(booted);
	bool rested = come_to_rest(seed);
	ASSERT(rested);
	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
		bool looked = sim_node_run(load->node, looks[i], load);
		ASSERT(looked);
		rested = come_to_rest(seed);
		ASSERT(rested);
	}
	bool closed = close_cleanly(seed);
	ASSERT(closed);
}

static void make_directories(struct seed *seed)
{
	struct fs *fs = sim_node_fs(seed->load.node);
	int error = fs_make_dir(fs, "stores");
	if (!error)
		error = fs_sync_dir(fs, ".");
	ASSERT(!error);
}

static void take_line(void *arg, enum log_level level, struct slice line)
{
	(void)level;
	if (arg)
		fwrite(line.data, 1, line.bytes, arg);
}

static void add_double_figures(struct load_figures *figures)
{
	struct double_figures from = double_figures();
	figures->double_losses = from.losses;
	figures->double_cut_offs = from.cut_offs;
	figures->double_kept_all = from.kept_all;
	figures->double_kept_some = from.kept_some;
	figures->double_kept_none = from.kept_none;
	figures->double_discarded = from.discarded;
	figures->double_others_entries = from.others_entries;
	figures->double_rounds_lost = from.rounds_lost;
	figures->double_jumps = from.jumps;
	figures->double_handed_on = from.handed_on;
}

void seed_run(uint64_t number, bool trace, struct seed_result *ret_result)
{
	struct seed *seed = calloc(1, sizeof(*seed));
	ASSERT(seed != NULL);
	verdict_begin(number, 0);
	verdict_program(app_is_lua()         ? "tests/shard_sim/node_sim"
	                : double_is_linked() ? "tests/shard_sim/shard_sim_double"
	                                     : "tests/shard_sim/shard_sim");
	random_init(&seed->random, number);
	seed->sim = sim_new(number, NULL);
	verdict_take_assertions();
	double_begin(random_u64(&seed->random));
	app_seed();
	log_line_set_sink(take_line, trace ? stdout : NULL);
	if (trace)
		sim_trace_print(seed->sim, stdout);
	struct load *load = &seed->load;
	load->node = sim_node_new(seed->sim);
	load->model = model_new(seed->sim);
	model_deploy(load->model, MODEL_HAS_BOTH);
	random_fork(&seed->random, &load->random);
	make_directories(seed);
	plan_sizes(seed);
	load->core_count = double_is_linked() ? 1 : 1 + (unsigned)below(seed, LOAD_CORES_MAX);
	load->has_nodes = double_is_linked() && below(seed, 3) > 0;
	load->reads_anywhere = double_is_linked() && number % 2 == 1;
	while (load->figures.operations < SEED_OPERATIONS_MIN || load->figures.ends < SEED_ENDS_MIN)
		run_process(seed);
	finish(seed);
	uint64_t seen, all;
	model_unknowns(load->model, &seen, &all);
	load->figures.double_read_stale = model_stale(load->model);
	load->figures.unknown_seen = seen;
	load->figures.unknown_never_seen = all - seen;
	load->figures.drops = model_drops(load->model);
	load->figures.lua_states_migrated = model_migrated(load->model);
	add_double_figures(&load->figures);
	ret_result->figures = (struct figures){.load = load->figures,
	    .machine = sim_figures(seed->sim),
	    .store = store_sim_figures(sim_node_fs(load->node))};
	/* What happened, and all that was answered. */
	ret_result->trace_hash =
	    hash_bytes(slice_of(&load->answers, sizeof(load->answers)), sim_trace_hash(seed->sim));
	double_end();
	model_free(load->model);
	sim_free(seed->sim);
	free(seed);
}
