/* A data directory is made anew or finished, wherever its making was cut off. */
#include <stdio.h>

#include "base/io/fs.h"
#include "base/io/sim/sim.h"
#include "storage/data_dir.h"
#include "tests/unit/store/suites.h"

static const uint64_t ID[2] = {1, 2};

enum { SEEDS = 30, POINTS_MAX = 100 };

struct attempt {
	struct sim_node *node;
	int error;
	struct data_identity identity;
	char why[DATA_DIR_WHY_BYTES];
};

static void open_inside(void *arg)
{
	struct attempt *attempt = arg;
	struct data_dir *dir;
	attempt->error = data_dir_open(
	    sim_node_fs(attempt->node), 3, ID, attempt->why, sizeof(attempt->why), &dir);
	if (attempt->error < 0)
		return;
	attempt->identity = data_dir_identity(dir);
	data_dir_close(dir);
}

/* As an engine does, durably. */
static void put_data_inside(void *arg)
{
	struct attempt *attempt = arg;
	struct fs *fs = sim_node_fs(attempt->node);
	attempt->error = fs_make_dir(fs, "stores/000/db");
	if (attempt->error == 0)
		attempt->error = fs_sync_dir(fs, "stores/000");
}

static bool boot_and_run(struct attempt *attempt, void (*run)(void *arg))
{
	sim_node_boot(attempt->node);
	bool lived = sim_node_run(attempt->node, run, attempt);
	if (lived)
		sim_node_stop(attempt->node);
	return lived;
}

static void expect_open(struct attempt *attempt)
{
	ck_assert(boot_and_run(attempt, open_inside));
	ck_assert_msg(attempt->error == 0, "%s", attempt->why);
	ck_assert_uint_eq(attempt->identity.stores, 3);
	ck_assert_uint_eq(attempt->identity.id[0], ID[0]);
}

/* Cuts the making off at that point; false: it was finished before. What was opened after it
 * must stay whole over a power cut, also when data was put into it. */
static bool cut_off_at(uint64_t seed, uint64_t nth, enum sim_crash crash)
{
	struct sim *sim = sim_new(seed, NULL);
	struct attempt attempt = {.node = sim_node_new(sim)};
	sim_crash_at(attempt.node, nth, crash);
	bool lived = boot_and_run(&attempt, open_inside);
	sim_crash_at(attempt.node, 0, crash);
	if (!lived) {
		expect_open(&attempt);
		ck_assert(boot_and_run(&attempt, put_data_inside));
		ck_assert_int_eq(attempt.error, 0);
		sim_node_crash(attempt.node, SIM_POWER_CUT);
		expect_open(&attempt);
	}
	sim_free(sim);
	return !lived;
}

START_TEST(crash_at_any_point_leaves_one_that_opens)
{
	enum sim_crash crash = _i == 0 ? SIM_KILL : SIM_POWER_CUT;
	uint64_t points = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		uint64_t nth = 1;
		while (cut_off_at(seed, nth, crash)) {
			points++;
			ck_assert_uint_lt(nth, POINTS_MAX);
			nth++;
		}
	}
	/* lock, stores, three stores, two directory syncs, five of identity, and the two after. */
	ck_assert_uint_ge(points, 12 * SEEDS);
}
END_TEST

START_TEST(full_disk_leaves_one_that_can_be_finished)
{
	struct sim *sim = sim_new(1, NULL);
	struct attempt attempt = {.node = sim_node_new(sim)};
	sim_disk_set_capacity(attempt.node, 1);
	ck_assert(boot_and_run(&attempt, open_inside));
	ck_assert_int_eq(attempt.error, ERR_NO_SPACE);
	sim_disk_set_capacity(attempt.node, 0);
	expect_open(&attempt);
	sim_free(sim);
}
END_TEST

Suite *data_dir_crash_suite(void)
{
	Suite *suite = suite_create("data_dir_crash");
	TCase *tcase = tcase_create("data_dir_crash");
	tcase_add_loop_test(tcase, crash_at_any_point_leaves_one_that_opens, 0, 2);
	tcase_add_test(tcase, full_disk_leaves_one_that_can_be_finished);
	suite_add_tcase(suite, tcase);
	return suite;
}
