#include "tests/sim/seed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/io/fs.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "storage/keys.h"
#include "tests/sim/damage.h"
#include "tests/sim/repair.h"
#include "tests/sim/verdict.h"

enum {
	STEPS_WITHOUT_OPERATION_MAX = 400 * 1000,
	STEPS_TO_REST_MAX = 500 * 1000,
	ROOM_AFTER_FULL_BYTES = 64 * 1024 * 1024,
};

static const char DIR[] = "stores/000";
static const char LOG_DIR[] = "stores/000/log";
static const char STORE_DIR[] = "stores/000/db";

struct seed {
	uint64_t number;
	enum profile profile;
	struct random random;
	struct sim *sim;
	struct sim_node *node;
	struct content content;
	struct model model;
	struct driver driver;
	struct coverage coverage;
	struct plan plan;
	uint64_t lies_made;         /* by this file's own hand */
	uint64_t lies_before_node;  /* of the world, when the node was new */
	uint64_t lies_at_recovery;  /* when the boot began that last recovered */
	unsigned ended_in_recovery; /* in a row */
	unsigned suspicious_opens;  /* with a suspect shard, in a row */
	bool damaged_store;
	bool is_full;    /* the disk has been given a capacity */
	unsigned copies; /* of damaged logs, made by repairs */
	bool repair_begun;
	bool repair_done;
	uint64_t lies_at_repair;
	uint64_t lies_at_proof; /* when `proven` was found */
	uint64_t proven;        /* frames up to this one had been durable: see find_proof */
	uint64_t life;          /* of the log, when it last opened */
	bool closed_cleanly;    /* the last process, all of it checkpointed */
};

/* ---- The machine ---- */

static uint64_t count_lies(const struct seed *seed)
{
	return driver_lies(seed->sim) + seed->lies_made - seed->lies_before_node;
}

static uint32_t new_shard_number(struct seed *seed)
{
	uint32_t number = 0;
	/* Shard 0 is a special one; the others may have any number. */
	while (seed->model.shard_count > 0 &&
	       (number == 0 || model_find_shard(&seed->model, number) != MODEL_NO_SHARD))
		number = (uint32_t)random_below(&seed->random, 1000) + 1;
	return number;
}

static void fill_role(struct seed *seed, unsigned role)
{
	bool lags = role >= DRIVER_ROLES - 2;
	seed->driver.roles[role] = model_add_shard(&seed->model, new_shard_number(seed), lags);
}

static void add_store_figures(struct seed *seed)
{
	struct store_sim_figures figures = store_sim_figures(sim_node_fs(seed->node));
#define X(name) seed->coverage.store.name += figures.name;
	STORE_SIM_FIGURE_LIST(X)
#undef X
}

/* As the data directory does (storage/data_dir.h), whose business it is. */
static void make_directories(struct seed *seed)
{
	struct fs *fs = sim_node_fs(seed->node);
	int error = fs_make_dir(fs, "stores");
	if (error == 0)
		error = fs_sync_dir(fs, ".");
	if (error == 0)
		error = fs_make_dir(fs, DIR);
	if (error == 0)
		error = fs_sync_dir(fs, "stores");
	ASSERT(error == 0);
}

/* The old one, if there was one, is thrown away. */
static void new_machine(struct seed *seed)
{
	if (seed->node != NULL) {
		add_store_figures(seed);
		model_done(&seed->model);
	}
	uint32_t boot = seed->model.boot;
	model_init(&seed->model, &seed->content);
	seed->model.boot = boot;
	seed->node = sim_node_new(seed->sim);
	seed->driver.node = seed->node;
	seed->driver.model = &seed->model;
	seed->lies_made = 0;
	seed->lies_before_node = 0;
	seed->lies_before_node = count_lies(seed);
	seed->lies_at_recovery = 0;
	seed->lies_at_proof = 0;
	seed->proven = 0;
	seed->life = 0;
	seed->lies_at_repair = 0;
	seed->suspicious_opens = 0;
	seed->damaged_store = false;
	seed->is_full = false;
	seed->closed_cleanly = false;
	seed->repair_begun = false;
	seed->repair_done = false;
	make_directories(seed);
	for (unsigned role = 0; role < DRIVER_ROLES; role++)
		fill_role(seed, role);
	do
		seed->driver.options.store_id = random_u64(&seed->random);
	while (seed->driver.options.store_id == 0);
	seed->coverage.nodes++;
}

/* ---- Damage by hand ---- */

static struct damage damage_of(struct seed *seed)
{
	return (struct damage){.node = seed->node,
	    .random = &seed->random,
	    .log_dir = LOG_DIR,
	    .store_id = seed->driver.options.store_id};
}

static void rot_log(struct seed *seed)
{
	uint64_t current = seed->driver.figures.log.current_segment;
	struct damage damage = damage_of(seed);
	seed->lies_made += seed->plan.rot_at_end && current > 0 ? damage_end(&damage, current)
	                                                        : damage_any(&damage);
}

/* One value of a cell. */
static void damage_store(struct seed *seed)
{
	uint8_t key[KEY_SHARD_BYTES + BATCH_KEY_BYTES_MAX];
	size_t role = random_below(&seed->random, DRIVER_ROLES);
	unsigned cell = (unsigned)random_below(&seed->random, CONTENT_CELLS);
	struct slice name = seed->content.keys[cell];
	key_shard_put(key, seed->model.shards[seed->driver.roles[role]].number);
	memcpy(key + KEY_SHARD_BYTES, name.data, name.bytes);
	if (store_sim_damage(
	        sim_node_fs(seed->node), STORE_DIR, slice_of(key, KEY_SHARD_BYTES + name.bytes)))
		seed->damaged_store = true;
}

/* ---- Booting ---- */

/* What says on the disk that frames had been durable when a recovery begins. What no power cut can
 * take away is made use of by each recovery that follows, until a disk lies again. */
static uint64_t find_proof(struct seed *seed)
{
	uint64_t lies = count_lies(seed);
	struct damage damage = damage_of(seed);
	uint64_t durable = damage_proven(&damage, seed->life, true);
	uint64_t seen = damage_proven(&damage, seed->life, false);
	if (seed->lies_at_proof != lies || durable > seed->proven)
		seed->proven = durable;
	seed->lies_at_proof = lies;
	return seen > seed->proven ? seen : seed->proven;
}

static bool was_store_unreadable(const struct seed *seed)
{
	struct store_sim_figures figures = store_sim_figures(sim_node_fs(seed->node));
	return figures.corrupt_reads + figures.failed_reads > 0;
}

static void say_where(struct seed *seed)
{
	verdict_at(seed->coverage.boots, seed->driver.operations, sim_now_ns(seed->sim));
}

static void note_end(struct seed *seed, bool in_recovery)
{
	seed->coverage.ends++;
	seed->closed_cleanly = false;
	driver_ended(&seed->driver);
	if (!in_recovery)
		return;
	seed->coverage.ends_in_recovery++;
	seed->coverage.ends_in_recovery_in_a_row += seed->ended_in_recovery > 0;
	seed->ended_in_recovery++;
}

static void set_up_driver(struct seed *seed)
{
	struct driver *driver = &seed->driver;
	const struct plan *plan = &seed->plan;
	driver_reset(driver);
	seed->model.boot++;
	driver->load = plan->load;
	driver->options.hash_seed = random_u64(&seed->random);
	driver->defers_replay = random_below(&seed->random, 3) == 0;
	driver->lied = count_lies(seed) != seed->lies_at_recovery;
	driver->proven = driver->lied ? find_proof(seed) : 0;
	struct damage damage = damage_of(seed);
	driver->given_up_from = damage_later_life(&damage, seed->life);
	driver->reads_failed = sim_figures(seed->sim).read_errors;
	driver->may_be_suspect = count_lies(seed) > 0;
	driver->lies_before = driver_lies(seed->sim);
	driver->may_be_repaired = seed->repair_begun;
	driver->lied_since_repair = count_lies(seed) != seed->lies_at_repair;
	driver->was_repaired = seed->repair_done;
	/* Where a checkpoint met what cannot be read, the shard stays closed. */
	if (was_store_unreadable(seed))
		seed->damaged_store = true;
	driver->may_be_damaged = seed->damaged_store || plan->store_faults.read_corrupt_ppm > 0 ||
	                         plan->store_faults.read_error_ppm > 0;
	driver->may_lack_memory = plan->lack_of_memory;
	driver->may_lack_space =
	    seed->is_full || plan->full_disk || plan->store_faults.no_space_ppm > 0;
}

/* Why the engine did not open; `lies`: when it began to. Nothing may be left behind then. */
static void judge_failed_open(struct seed *seed, uint64_t lies)
{
	const struct driver *driver = &seed->driver;
	const struct plan *plan = &seed->plan;
	struct coverage *coverage = &seed->coverage;
	int error = driver->open_error;
	size_t left = sim_node_stop(seed->node);
	EXPECT(left == 0, "leak", "%zu pieces of memory left by an engine_open that said %s", left,
	    error_name(error));
	if (error == ERR_NOMEM && plan->lack_of_memory)
		coverage->open_without_memory++;
	else if (error == ERR_NO_SPACE && driver->may_lack_space)
		coverage->open_without_space++;
	else if (error == ERR_IO && sim_figures(seed->sim).read_errors > driver->reads_failed)
		/* NOLINTNEXTLINE(bugprone-branch-clone): the question below comes in between */
		coverage->open_unreadable++;
	else if (error == ERR_IO &&
	         (plan->faults.write_error_ppm > 0 || plan->faults.sync_error_ppm > 0))
		coverage->open_unwritable++;
	else if (error == ERR_IO && count_lies(seed) > lies)
		coverage->open_unreadable++; /* what was good a moment ago is not any more */
	else if ((error == ERR_CORRUPT || error == ERR_IO) && driver->may_be_damaged)
		coverage->open_corrupt++;
	else
		verdict_fail("open", "%s: %s", error_name(error), driver->open_why);
}

/* False: the process ended, or the engine did not open. */
static bool boot(struct seed *seed)
{
	struct driver *driver = &seed->driver;
	const struct plan *plan = &seed->plan;
	sim_disk_clear_faults(seed->node);
	sim_set_faults(seed->sim, &plan->faults);
	sim_disk_set_slowness(seed->node, plan->slowness);
	store_sim_set_faults(sim_node_fs(seed->node), &plan->store_faults);
	set_up_driver(seed);
	uint64_t lies = count_lies(seed);
	bool was_closed_cleanly = seed->closed_cleanly;
	seed->coverage.boots++;
	say_where(seed);
	if (driver->trace != NULL)
		fprintf(driver->trace,
		    "# process %" PRIu64 ": ends by %d after %" PRIu64 " operations, point %" PRIu64
		    "; lies so far %" PRIu64 ", repaired %d\n",
		    seed->coverage.boots, (int)plan->end, plan->operations, plan->crash_point, lies,
		    seed->repair_begun);
	driver->io = sim_node_boot(seed->node);
	sim_node_set_turn(seed->node, driver_turn, driver);
	sim_crash_at(seed->node, plan->crash_point, plan->crash);
	if (plan->lack_of_memory)
		mem_fail_at(1 + random_below(&seed->random, 600));
	if (!sim_node_run(seed->node, driver_boot, driver)) {
		mem_fail_at(0);
		note_end(seed, true);
		return false;
	}
	seed->closed_cleanly = false;
	if (driver->open_error < 0) {
		judge_failed_open(seed, lies);
		return false;
	}
	EXPECT(!was_closed_cleanly || lies > 0 || driver->report.replayed_entries == 0, "close",
	    "%" PRIu64 " entries had to be replayed after a clean close",
	    driver->report.replayed_entries);
	seed->lies_at_recovery = lies;
	seed->life = driver->report.log.life;
	seed->proven = 0;
	seed->repair_begun = false;
	seed->repair_done = false;
	seed->ended_in_recovery = 0;
	seed->coverage.opened++;
	return true;
}

/* ---- The life of a process ---- */

static void lift_capacity(struct seed *seed)
{
	sim_disk_set_capacity(seed->node, 0);
	seed->is_full = false;
}

static void stop_faults(struct seed *seed)
{
	static const struct sim_faults none;
	mem_fail_at(0);
	sim_set_faults(seed->sim, &none);
	store_sim_set_faults(sim_node_fs(seed->node), NULL);
	lift_capacity(seed);
	sim_disk_set_slowness(seed->node, 1);
	sim_disk_clear_faults(seed->node);
}

/* One step of the world; false: the process has ended. */
static bool step(struct seed *seed)
{
	EXPECT(sim_step(seed->sim), "progress", "nothing is left to happen");
	say_where(seed);
	if (sim_node_is_running(seed->node))
		return true;
	note_end(seed, false);
	return false;
}

static void set_capacity(struct seed *seed, uint64_t margin_bytes)
{
	uint64_t free_bytes;
	uint64_t total_bytes;
	int error = fs_space(sim_node_fs(seed->node), &free_bytes, &total_bytes);
	ASSERT(error == 0);
	sim_disk_set_capacity(seed->node, total_bytes - free_bytes + margin_bytes);
	seed->is_full = true;
}

/* Of any write (making a segment is one, too), or of a frame. */
static void arm_lie(struct seed *seed)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%016" PRIx64 ".seg", LOG_DIR,
	    seed->driver.figures.log.current_segment);
	sim_disk_fault(seed->node, seed->plan.lie_fault, seed->plan.lie_anywhere ? NULL : path, 0,
	    UINT64_MAX, 1);
}

/* What the plan has for this moment. */
static void meddle(struct seed *seed, uint64_t operations)
{
	struct plan *plan = &seed->plan;
	if (plan->lie && operations >= plan->lie_after_operations) {
		plan->lie = false;
		arm_lie(seed);
	}
	if (plan->full_disk && !seed->is_full && operations >= plan->full_after_operations) {
		plan->full_disk = false;
		set_capacity(seed, plan->full_margin_bytes);
		seed->coverage.full_disks++;
	}
	/* A disk that was full already may be so for the whole of a life. */
	if (seed->is_full && operations >= plan->full_after_operations + plan->full_operations)
		lift_capacity(seed);
}

/* False: the process ended. */
static bool live(struct seed *seed)
{
	const struct driver *driver = &seed->driver;
	uint64_t first = driver->operations;
	uint64_t last = first;
	uint64_t steps = 0;
	while (driver->operations - first < seed->plan.operations) {
		meddle(seed, driver->operations - first);
		if (!step(seed))
			return false;
		steps = driver->operations == last ? steps + 1 : 0;
		last = driver->operations;
		if (steps < STEPS_WITHOUT_OPERATION_MAX)
			continue;
		driver_print(driver, stderr);
		verdict_fail("progress", "no operation was possible for %" PRIu64 " steps", steps);
	}
	return true;
}

/* Faults end; everything that was begun has to end, too. False: the process ended all the same. */
static bool come_to_rest(struct seed *seed)
{
	struct driver *driver = &seed->driver;
	uint64_t steps = 0;
	stop_faults(seed);
	driver->settling = true;
	while (!driver_is_settled(driver)) {
		if (!step(seed))
			return false;
		if (steps++ < STEPS_TO_REST_MAX)
			continue;
		driver_print(driver, stderr);
		verdict_fail("progress", "no rest after %" PRIu64 " steps", steps);
	}
	return true;
}

static bool close_cleanly(struct seed *seed)
{
	struct driver *driver = &seed->driver;
	uint64_t steps = 0;
	if (!come_to_rest(seed))
		return false;
	if (!sim_node_run(seed->node, driver_close, driver)) {
		note_end(seed, false);
		return false;
	}
	while (driver->engine != NULL) {
		if (!step(seed))
			return false;
		EXPECT(steps++ < STEPS_TO_REST_MAX, "progress",
		    "not closed after %" PRIu64 " steps", steps);
	}
	size_t left = sim_node_stop(seed->node);
	EXPECT(left == 0, "leak", "%zu pieces of memory left after a clean close", left);
	seed->coverage.closed_cleanly++;
	/* A checkpoint that failed is tried again later, but a close does not wait for that; and
	 * what was not applied, because its shard is closed, or one that was suspect for a while
	 * and is not used any more, stays in the log. */
	seed->closed_cleanly = driver->figures.checkpoint_retries == 0 &&
	                       driver->figures.shards_closed == 0 && driver->closed_all_applied;
	driver_ended(driver);
	return true;
}

static void arm_error(struct seed *seed)
{
	enum sim_fault fault =
	    random_below(&seed->random, 2) == 0 ? SIM_WRITE_ERROR : SIM_SYNC_ERROR;
	sim_disk_fault(seed->node, fault, NULL, 0, UINT64_MAX, 1);
}

static void end_process(struct seed *seed)
{
	switch (seed->plan.end) {
	case END_CLOSE:
		(void)close_cleanly(seed);
		return;
	case END_ERROR:
		arm_error(seed);
		/* It may never strike, where nothing is written any more. */
		for (unsigned i = 0; i < 2000; i++)
			if (!step(seed))
				return;
		break;
	case END_KILL:
		break;
	case END_POWER_CUT:
	case END_POINT:
	case END_POINT_EARLY:
		sim_node_crash(seed->node, SIM_POWER_CUT);
		note_end(seed, false);
		return;
	}
	sim_node_crash(seed->node, SIM_KILL);
	note_end(seed, false);
}

/* ---- What to do with suspects ---- */

static void replace_suspects(struct seed *seed)
{
	bool any = false;
	for (unsigned role = 0; role < DRIVER_ROLES; role++) {
		if (!seed->model.shards[seed->driver.roles[role]].suspect)
			continue;
		any = true;
		if (seed->model.shard_count < MODEL_SHARDS_MAX)
			fill_role(seed, role);
	}
	seed->suspicious_opens = any ? seed->suspicious_opens + 1 : 0;
}

static bool is_any_really_suspect(const struct seed *seed)
{
	for (size_t i = 0; i < seed->model.shard_count; i++)
		if (seed->model.shards[i].suspect && !seed->model.shards[i].unread)
			return true;
	return false;
}

/* An operator accepts what is lost. */
static void repair_log(struct seed *seed)
{
	struct repair repair = {.node = seed->node,
	    .model = &seed->model,
	    .log_dir = LOG_DIR,
	    .store_dir = STORE_DIR,
	    .store_id = seed->driver.options.store_id};
	snprintf(repair.copy_dir, sizeof(repair.copy_dir), "copy-%u", seed->copies++);
	stop_faults(seed);
	bool may_end = random_below(&seed->random, 3) == 0;
	sim_crash_at(seed->node, may_end ? 1 + random_below(&seed->random, 60) : 0,
	    random_below(&seed->random, 2) == 0 ? SIM_KILL : SIM_POWER_CUT);
	seed->coverage.repairs++;
	/* What an earlier one got done is not all any more where a disk lied since. */
	if (seed->lies_at_repair != count_lies(seed))
		seed->repair_done = false;
	seed->lies_at_repair = count_lies(seed);
	if (!repair_run(&repair)) {
		seed->coverage.repairs_cut_off++;
		seed->repair_begun = true;
		return;
	}
	/* Nothing to do is right where an earlier one got to its end, and ended there, and where
	 * what could not be read can be read now. */
	bool may_be_whole = seed->repair_begun || !is_any_really_suspect(seed);
	EXPECT(repair.error == 0 || (repair.error == ERR_NOT_FOUND && may_be_whole), "repair", "%s",
	    error_name(repair.error));
	seed->repair_begun = true;
	seed->repair_done = true;
}

static void mend(struct seed *seed)
{
	bool suspicious = seed->suspicious_opens > 0;
	bool give_up = (seed->damaged_store && random_below(&seed->random, 2) == 0) ||
	               (suspicious && random_below(&seed->random, 10) == 0);
	if (give_up)
		new_machine(seed);
	else if (suspicious && random_below(&seed->random, 2) == 0)
		repair_log(seed);
}

/* ---- The seed ---- */

static void run_process(struct seed *seed)
{
	/* A failure that the last process did not come to is forgotten. */
	mem_fail_at(0);
	/* The first one of a machine makes everything: that it may end in that is as important. */
	bool is_first = seed->model.count == 0;
	plan_make(&seed->random, seed->profile, seed->ended_in_recovery + is_first, &seed->plan);
	uint64_t lies = count_lies(seed) - seed->lies_at_recovery;
	/* One lie at a time, so that it has to be found. */
	if (seed->profile == PROFILE_LIES && lies > 0)
		seed->plan.lie = seed->plan.rot = false;
	if (seed->is_full && random_below(&seed->random, 2) == 0)
		lift_capacity(seed);
	if (seed->plan.rot)
		rot_log(seed);
	if (seed->plan.damage)
		damage_store(seed);
	if (!boot(seed))
		return;
	replace_suspects(seed);
	if (live(seed))
		end_process(seed);
}

static void finish(struct seed *seed)
{
	for (unsigned i = 0; i < 2; i++) {
		plan_make(&seed->random, PROFILE_CRASHES, 0, &seed->plan);
		stop_faults(seed);
		seed->plan.crash_point = 0;
		seed->plan.operations = i == 0 ? 200 : 1;
		EXPECT(boot(seed), "open", "no process opens any more: %s", seed->driver.open_why);
		replace_suspects(seed);
		EXPECT(live(seed), "end", "a process without faults ended: %s",
		    sim_node_state(seed->node));
		EXPECT(close_cleanly(seed), "end", "a process without faults ended: %s",
		    sim_node_state(seed->node));
	}
}

static void seed_init(struct seed *seed, uint64_t number, enum profile profile)
{
	seed->number = number;
	seed->profile = profile;
	random_init(&seed->random, number * PROFILES + profile);
	seed->sim = sim_new(random_u64(&seed->random), NULL);
	verdict_take_assertions();
	plan_sizes(&seed->random, &seed->driver.options);
	content_init(&seed->content, random_u64(&seed->random),
	    plan_large_value_bytes_max(&seed->driver.options));
	seed->driver.options.root = "/";
	seed->driver.options.dir = DIR;
	seed->driver.sim = seed->sim;
	seed->driver.coverage = &seed->coverage;
	random_fork(&seed->random, &seed->driver.random);
	new_machine(seed);
}

/* What the engine says belongs to the trace, and to nothing else. */
static void take_line(void *arg, enum log_level level, struct slice line)
{
	(void)level;
	if (arg != NULL)
		fwrite(line.data, 1, line.bytes, arg);
}

void seed_run(uint64_t number, enum profile profile, bool trace, struct seed_result *ret_result)
{
	struct seed *seed = calloc(1, sizeof(*seed));
	ASSERT(seed != NULL);
	verdict_begin(number, profile);
	seed_init(seed, number, profile);
	log_line_set_sink(take_line, trace ? stdout : NULL);
	if (trace) {
		seed->driver.trace = stdout;
		sim_trace_print(seed->sim, stdout);
	}
	while (
	    seed->driver.operations < SEED_OPERATIONS_MIN || seed->coverage.ends < SEED_ENDS_MIN) {
		run_process(seed);
		mend(seed);
	}
	finish(seed);
	add_store_figures(seed);
	seed->coverage.operations = seed->driver.operations;
	seed->coverage.acknowledged_lost_with_leave += seed->model.lost;
	seed->coverage.lies = count_lies(seed);
	seed->coverage.sim = sim_figures(seed->sim);
	ret_result->trace_hash = sim_trace_hash(seed->sim);
	ret_result->coverage = seed->coverage;
	model_done(&seed->model);
	content_done(&seed->content);
	sim_free(seed->sim);
	free(seed);
}
