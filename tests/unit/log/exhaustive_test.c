/* A short run, ended at each of its crash points; then the recovery, ended at each of its own. */
#include "tests/unit/log/rig.h"

#include <inttypes.h>
#include <stdio.h>

#include "tests/unit/log/suites.h"

/* Appends, replaces, votes, goes over into the next segment, checkpoints, copies, recycles. Returns
 * early where the process ends. */
static void script(struct rig *rig)
{
	if (!rig_boot(rig))
		return;
	EXPECT(rig->open_error == 0);
	if (!rig_plan(rig, RIG_PLAN_NOTHING))
		return;
	rig_store(rig);
	if (!rig_release(rig))
		return;
	for (uint32_t i = 0; i < 30 && rig->log; i++) {
		rig_append_next(rig, i % 4);
		if (rig->log && i % 7 == 3)
			rig_hard(
			    rig, i % 3, (struct log_hard_state){.term = i, .vote = 1, .commit = i});
		if (rig->log && i == 13)
			rig_append(rig, 1, rig->appended[1].last, i);
		if (rig->log && i % 2)
			rig_flush(rig);
		if (rig->log && i % 5 == 4)
			rig_settle(rig);
		else if (rig->log)
			rig_steps(rig, 3);
		if (rig->log && i == 17 && rig_plan(rig, RIG_PLAN_SOME)) {
			rig_store(rig);
			rig_release(rig);
		}
		if (rig->log && i == 22)
			rig_rewrite(rig, log_figures(rig->log).current_segment, 4000);
	}
	if (rig->log)
		rig_quiet(rig);
}

static struct rig *rig_for_script(uint64_t seed)
{
	struct rig *rig = rig_new(seed, NULL);
	rig->options.first_segment_bytes = 16 * 1024;
	rig->options.segment_bytes = 16 * 1024;
	return rig;
}

static uint64_t points_of_script(uint64_t seed)
{
	struct rig *rig = rig_for_script(seed);
	script(rig);
	ck_assert_ptr_nonnull(rig->log);
	ck_assert_uint_gt(log_figures(rig->log).current_segment, 3);
	uint64_t points = sim_crash_points(rig->node);
	rig_free(rig);
	return points;
}

/* Ends the script at `point`, and the recovery at `second` (0: not). Whether it came so far. */
static bool run(uint64_t seed, uint64_t point, uint64_t second, enum sim_crash crash)
{
	struct rig *rig = rig_for_script(seed);
	sim_crash_at(rig->node, point, crash);
	script(rig);
	ck_assert_ptr_null(rig->log);
	if (second != 0)
		sim_crash_at(rig->node, second, crash);
	rig_reopen(rig);
	bool came = rig->crashes >= (second != 0 ? 2 : 1);
	sim_crash_at(rig->node, 0, crash);
	/* And it works: what is appended now survives too. */
	for (uint32_t i = 0; i < RIG_GROUPS; i++)
		rig_frame(rig, i);
	rig_crash(rig, SIM_POWER_CUT);
	rig_reopen(rig);
	rig_free(rig);
	return came;
}

static void run_all(enum sim_crash crash)
{
	/* What happens in the middle of an effect follows from the seed. */
	enum { SEEDS = UNIT_ROUNDS(4) };
	uint64_t points = 0, runs = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		uint64_t count = points_of_script(seed);
		points += count;
		for (uint64_t point = 1; point <= count; point++)
			for (uint64_t second = 0; run(seed, point, second, crash); second++)
				runs++;
	}
	printf("%" PRIu64 " crash points, %" PRIu64 " runs\n", points, runs);
	ck_assert_uint_gt(points, 100 * SEEDS);
	ck_assert_uint_gt(runs, 5 * points);
}

START_TEST(a_power_cut_at_any_two_points_loses_nothing)
{
	run_all(SIM_POWER_CUT);
}
END_TEST

START_TEST(a_kill_at_any_two_points_loses_nothing)
{
	run_all(SIM_KILL);
}
END_TEST

Suite *exhaustive_suite(void)
{
	Suite *suite = suite_create("exhaustive");
	TCase *tcase = tcase_create("exhaustive");
	tcase_add_test(tcase, a_power_cut_at_any_two_points_loses_nothing);
	tcase_add_test(tcase, a_kill_at_any_two_points_loses_nothing);
	suite_add_tcase(suite, tcase);
	return suite;
}
