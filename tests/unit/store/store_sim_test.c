/* What the simulated store does beyond its contract: it ends with its process, keeps what was
 * written, and fails when it is told to. */
#include <string.h>

#include "base/buffer.h"
#include "base/io/fs.h"
#include "base/io/sim/sim.h"
#include "storage/sim/store_sim.h"
#include "tests/unit/store/source.h"
#include "tests/unit/store/suites.h"

enum { SEEDS = 60, POINTS_MAX = 60, READS = 400 };

struct machine {
	struct sim *sim;
	struct sim_node *node;
	struct model before;
	struct model after;
	int error;
	int errors[READS];
	size_t counts[3]; /* of READS: 0, ERR_AGAIN, another */
	char why[STORE_WHY_BYTES];
};

static struct machine machine_new(uint64_t seed)
{
	struct machine machine = {.sim = sim_new(seed, NULL)};
	machine.node = sim_node_new(machine.sim);
	ck_assert_int_eq(fs_make_dir(sim_node_fs(machine.node), "db"), 0);
	ck_assert_int_eq(fs_sync_dir(sim_node_fs(machine.node), "."), 0);
	uint64_t random = seed;
	model_change(&machine.before, &random, 1);
	machine.after = machine.before;
	model_change(&machine.after, &random, 2);
	return machine;
}

static struct store *open_store(struct machine *machine)
{
	struct store_options options = {.fs = sim_node_fs(machine->node), .root = "/", .dir = "db"};
	struct store *store = NULL;
	machine->error = store_open(&options, machine->why, sizeof(machine->why), &store);
	return store;
}

static bool boot_and_run(struct machine *machine, void (*run)(void *arg))
{
	sim_node_boot(machine->node);
	bool lived = sim_node_run(machine->node, run, machine);
	if (lived)
		ck_assert_uint_ge(sim_node_stop(machine->node), 1); /* the io */
	return lived;
}

static void write_inside(struct machine *machine, const struct model *from, const struct model *to)
{
	struct store *store = open_store(machine);
	if (store == NULL)
		return;
	struct model_source source = model_source(from, to);
	machine->error = store_write(store, &source.source);
	store_close(store);
}

static void write_first_inside(void *arg)
{
	static const struct model empty;
	struct machine *machine = arg;
	write_inside(machine, &empty, &machine->before);
}

static void write_second_inside(void *arg)
{
	struct machine *machine = arg;
	write_inside(machine, &machine->before, &machine->after);
}

/* Which of the models the store shows: 1 before, 2 after, 3 nothing, 0 none of these. */
static int shown(struct machine *machine)
{
	static const struct model empty;
	int is = 0;
	struct store *store = open_store(machine);
	if (store == NULL)
		return 0;
	if (model_matches(&machine->before, store, NULL))
		is = 1;
	else if (model_matches(&machine->after, store, NULL))
		is = 2;
	else if (model_matches(&empty, store, NULL))
		is = 3;
	store_close(store);
	return is;
}

START_TEST(crash_at_any_point_of_a_write_leaves_all_or_nothing)
{
	enum sim_crash crash = _i == 0 ? SIM_KILL : SIM_POWER_CUT;
	uint64_t nothing = 0;
	uint64_t all = 0;
	struct store_sim_figures figures = {0};
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		bool lived = false;
		for (uint64_t nth = 1; !lived; nth++) {
			ck_assert_uint_lt(nth, POINTS_MAX);
			struct machine machine = machine_new(seed);
			ck_assert(boot_and_run(&machine, write_first_inside));
			ck_assert_int_eq(machine.error, 0);
			sim_crash_at(machine.node, nth, crash);
			lived = boot_and_run(&machine, write_second_inside);
			int is = shown(&machine);
			ck_assert(lived ? is == 2 : is == 1 || is == 2);
			nothing += is == 1;
			all += is == 2 && !lived;
			figures.writes_cut_off +=
			    store_sim_figures(sim_node_fs(machine.node)).writes_cut_off;
			sim_free(machine.sim);
		}
	}
	ck_assert_uint_ge(nothing, SEEDS);
	ck_assert_uint_ge(all, SEEDS / 2);
	ck_assert_uint_ge(figures.writes_cut_off, SEEDS / 2);
}
END_TEST

START_TEST(written_content_survives_a_power_cut)
{
	struct machine machine = machine_new(3);
	ck_assert(boot_and_run(&machine, write_first_inside));
	ck_assert(boot_and_run(&machine, write_second_inside));
	sim_node_crash(machine.node, SIM_POWER_CUT);
	ck_assert_int_eq(shown(&machine), 2);
	sim_free(machine.sim);
}
END_TEST

START_TEST(store_whose_directory_was_not_durable_is_gone)
{
	uint64_t lost = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct machine machine = machine_new(seed);
		struct fs *fs = sim_node_fs(machine.node);
		struct store_options options = {.fs = fs, .root = "/", .dir = "new"};
		struct store *store;
		ck_assert_int_eq(fs_make_dir(fs, "new"), 0);
		ck_assert_int_eq(store_open(&options, machine.why, sizeof(machine.why), &store), 0);
		static const struct model empty;
		struct model_source source = model_source(&empty, &machine.before);
		ck_assert_int_eq(store_write(store, &source.source), 0);
		store_close(store);
		sim_node_crash(machine.node, SIM_POWER_CUT);
		ck_assert_int_eq(fs_make_dir(fs, "new"), 0);
		ck_assert_int_eq(store_open(&options, machine.why, sizeof(machine.why), &store), 0);
		bool is_lost = model_matches(&empty, store, NULL);
		ck_assert(is_lost || model_matches(&machine.before, store, NULL));
		ck_assert_uint_eq(store_sim_figures(fs).stores_lost, is_lost);
		lost += is_lost;
		store_close(store);
		sim_free(machine.sim);
	}
	ck_assert_uint_gt(lost, 0);
	ck_assert_uint_lt(lost, SEEDS);
}
END_TEST

static void hold_readers_inside(void *arg)
{
	struct machine *machine = arg;
	struct store *store = open_store(machine);
	struct store_snapshot *snapshot;
	struct store_cursor *cursor;
	struct slice all = slice_of(NULL, 0);
	ck_assert_int_eq(store_snapshot_take(store, &snapshot), 0);
	ck_assert_int_eq(store_cursor_open(store, snapshot, all, all, &cursor), 0);
	struct model_source source = model_source(&machine->before, &machine->after);
	ck_assert_int_eq(store_write(store, &source.source), 0);
	sim_node_crash(machine->node, SIM_KILL);
}

START_TEST(readers_of_a_dead_process_hold_nothing)
{
	struct machine machine = machine_new(4);
	ck_assert(boot_and_run(&machine, write_first_inside));
	ck_assert(!boot_and_run(&machine, hold_readers_inside));
	ck_assert_int_eq(shown(&machine), 2);
	/* Memory that is still held shows under the address sanitizer. */
	sim_free(machine.sim);
}
END_TEST

static void note_result(struct machine *machine, size_t read, int error)
{
	machine->errors[read] = error;
	machine->counts[error == 0 || error == ERR_NOT_FOUND ? 0 : error == ERR_AGAIN ? 1 : 2]++;
}

static void read_cached_inside(void *arg)
{
	struct machine *machine = arg;
	struct store *store = open_store(machine);
	struct buffer value;
	uint8_t key[16];
	buffer_init(&value, 4096);
	for (uint32_t i = 0; i < READS; i++) {
		buffer_clear(&value);
		note_result(machine, i, store_get_cached(store, model_key(i, key), &value));
	}
	buffer_done(&value);
	store_close(store);
}

static void read_inside(void *arg)
{
	struct machine *machine = arg;
	struct store *store = open_store(machine);
	struct buffer value;
	uint8_t key[16];
	buffer_init(&value, 4096);
	for (uint32_t i = 0; i < READS; i++) {
		buffer_clear(&value);
		note_result(machine, i, store_get(store, model_key(i, key), &value));
	}
	buffer_done(&value);
	store_close(store);
}

START_TEST(faults_strike_inside_a_process_only)
{
	struct machine machine = machine_new(5);
	struct fs *fs = sim_node_fs(machine.node);
	ck_assert(boot_and_run(&machine, write_first_inside));
	store_sim_set_faults(
	    fs, &(struct store_sim_faults){
	            .cold_percent = 100, .read_corrupt_ppm = 1000000, .no_space_ppm = 1000000});
	ck_assert_int_eq(shown(&machine), 1);
	ck_assert(boot_and_run(&machine, read_cached_inside));
	ck_assert_uint_eq(machine.counts[1], READS);
	ck_assert(boot_and_run(&machine, write_second_inside));
	ck_assert_int_eq(machine.error, ERR_NO_SPACE);
	ck_assert_int_eq(shown(&machine), 1);
	ck_assert_uint_eq(store_sim_figures(fs).colds, READS);
	ck_assert_uint_eq(store_sim_figures(fs).no_space, 1);
	store_sim_set_faults(fs, NULL);
	ck_assert(boot_and_run(&machine, write_second_inside));
	ck_assert_int_eq(machine.error, 0);
	ck_assert_int_eq(shown(&machine), 2);
	sim_free(machine.sim);
}
END_TEST

START_TEST(reads_fail_as_often_as_asked)
{
	struct machine machine = machine_new(6);
	struct fs *fs = sim_node_fs(machine.node);
	ck_assert(boot_and_run(&machine, write_first_inside));
	store_sim_set_faults(fs, &(struct store_sim_faults){.read_corrupt_ppm = 200000,
	                             .read_error_ppm = 200000,
	                             .cold_percent = 50,
	                             .slow_ppm = 100000});
	ck_assert(boot_and_run(&machine, read_inside));
	struct store_sim_figures figures = store_sim_figures(fs);
	ck_assert_uint_eq(machine.counts[2], figures.corrupt_reads + figures.failed_reads);
	ck_assert_uint_gt(figures.corrupt_reads, READS / 10);
	ck_assert_uint_gt(figures.failed_reads, READS / 10);
	ck_assert_uint_gt(figures.slow_calls, 0);
	ck_assert_uint_gt(machine.counts[0], READS / 3);
	ck_assert(boot_and_run(&machine, read_cached_inside));
	ck_assert_uint_gt(machine.counts[1], READS / 3);
	sim_free(machine.sim);
}
END_TEST

START_TEST(same_seed_fails_in_the_same_way)
{
	uint64_t hashes[2];
	int errors[2][READS];
	for (int run = 0; run < 2; run++) {
		struct machine machine = machine_new(7);
		store_sim_set_faults(sim_node_fs(machine.node),
		    &(struct store_sim_faults){.read_corrupt_ppm = 100000, .slow_ppm = 100000});
		ck_assert(boot_and_run(&machine, write_first_inside));
		ck_assert(boot_and_run(&machine, read_inside));
		memcpy(errors[run], machine.errors, sizeof(errors[run]));
		hashes[run] = sim_trace_hash(machine.sim);
		sim_free(machine.sim);
	}
	ck_assert_uint_eq(hashes[0], hashes[1]);
	ck_assert_mem_eq(errors[0], errors[1], sizeof(errors[0]));
}
END_TEST

static void count_bad(void *arg, const char *what)
{
	size_t *count = arg;
	ck_assert_str_ne(what, "");
	(*count)++;
}

START_TEST(damaged_value_is_corrupt_until_it_is_written)
{
	struct machine machine = machine_new(8);
	struct fs *fs = sim_node_fs(machine.node);
	ck_assert(boot_and_run(&machine, write_first_inside));
	uint8_t key_bytes[16];
	uint32_t number = 0;
	while (machine.before.version[number] != 1 || machine.after.version[number] != 2)
		number++;
	struct slice key = model_key(number, key_bytes);
	ck_assert(!store_sim_damage(fs, "db", slice_of("zzz", 3)));
	ck_assert(!store_sim_damage(fs, "other", key));
	ck_assert(store_sim_damage(fs, "db", key));
	sim_node_crash(machine.node, SIM_POWER_CUT);

	struct store *store = open_store(&machine);
	struct buffer value;
	size_t bad = 0;
	buffer_init(&value, 4096);
	ck_assert_int_eq(store_get_cached(store, key, &value), ERR_AGAIN);
	ck_assert_int_eq(store_get(store, key, &value), ERR_CORRUPT);
	ck_assert(!model_matches(&machine.before, store, NULL));
	ck_assert_int_eq(store_verify(store, count_bad, &bad), ERR_CORRUPT);
	ck_assert_uint_eq(bad, 1);
	struct model_source source = model_source(&machine.before, &machine.after);
	ck_assert_int_eq(store_write(store, &source.source), 0);
	ck_assert_int_eq(store_get(store, key, &value), 0);
	ck_assert_int_eq(store_verify(store, count_bad, &bad), 0);
	buffer_done(&value);
	store_close(store);
	sim_free(machine.sim);
}
END_TEST

START_TEST(content_fills_the_disk)
{
	struct machine machine = machine_new(9);
	sim_disk_set_capacity(machine.node, 1000);
	ck_assert(boot_and_run(&machine, write_first_inside));
	ck_assert_int_eq(machine.error, ERR_NO_SPACE);
	ck_assert_int_eq(shown(&machine), 3);
	sim_disk_set_capacity(machine.node, 10 << 20);
	ck_assert(boot_and_run(&machine, write_first_inside));
	ck_assert_int_eq(machine.error, 0);
	uint64_t free_bytes;
	uint64_t total_bytes;
	ck_assert_int_eq(fs_space(sim_node_fs(machine.node), &free_bytes, &total_bytes), 0);
	ck_assert_uint_lt(free_bytes, total_bytes);
	ck_assert_int_eq(shown(&machine), 1);
	sim_free(machine.sim);
}
END_TEST

Suite *store_sim_suite(void)
{
	Suite *suite = suite_create("store_sim");
	TCase *tcase = tcase_create("store_sim");
	tcase_add_loop_test(tcase, crash_at_any_point_of_a_write_leaves_all_or_nothing, 0, 2);
	tcase_add_test(tcase, written_content_survives_a_power_cut);
	tcase_add_test(tcase, store_whose_directory_was_not_durable_is_gone);
	tcase_add_test(tcase, readers_of_a_dead_process_hold_nothing);
	tcase_add_test(tcase, faults_strike_inside_a_process_only);
	tcase_add_test(tcase, reads_fail_as_often_as_asked);
	tcase_add_test(tcase, same_seed_fails_in_the_same_way);
	tcase_add_test(tcase, damaged_value_is_corrupt_until_it_is_written);
	tcase_add_test(tcase, content_fills_the_disk);
	suite_add_tcase(suite, tcase);
	return suite;
}
