/* When the open frame goes: what is under way, how long that takes, what else there is to do. */
#include "tests/unit/log/rig.h"

#include "base/clock.h"
#include "base/io/io.h"
#include "base/limits.h"
#include "tests/unit/log/suites.h"

static struct rig *rig;

static void setup(void)
{
	rig = rig_new(11, NULL);
	rig_reopen(rig);
	rig_quiet(rig);
}

static void teardown(void)
{
	rig_free(rig);
}

static void reopen(void)
{
	rig_crash(rig, SIM_KILL);
	rig_reopen(rig);
}

static uint64_t last_frame(void)
{
	return log_figures(rig->log).last_frame;
}

/* One by one, each with its flush; how many frames were closed meanwhile. */
static uint64_t frames_of_records(uint32_t records)
{
	rig->flush_in_turn = false;
	uint64_t before = last_frame();
	for (uint32_t i = 0; i < records; i++) {
		ck_assert(rig_append_next(rig, i % RIG_GROUPS));
		rig_flush(rig);
	}
	return last_frame() - before;
}

/* What was left is one frame. */
static void the_rest_is_one_frame(void)
{
	uint64_t before = last_frame();
	rig->flush_in_turn = true;
	rig_settle(rig);
	ck_assert_uint_eq(last_frame(), before + 1);
}

START_TEST(while_enough_is_in_flight_records_gather_in_one_frame)
{
	/* So many are enough whatever else the core has to do. */
	rig->options.frames_in_flight_max = FRAMES_IN_FLIGHT_BUSY;
	reopen();
	ck_assert_uint_eq(frames_of_records(40), rig->options.frames_in_flight_max);
	the_rest_is_one_frame();
}
END_TEST

static void wake(void *arg)
{
	(void)arg;
	io_wake(rig->io, NULL);
}

START_TEST(while_the_core_has_other_work_records_gather_behind_one_frame)
{
	/* Something is ready from here on, as long as no turn takes it. */
	ck_assert(sim_node_run(rig->node, wake, NULL));
	ck_assert_uint_eq(frames_of_records(20), FRAMES_IN_FLIGHT_BUSY);
	the_rest_is_one_frame();
	ck_assert_uint_eq(rig->acknowledged_ops, 20);
}
END_TEST

/* After some frames it is known what they take. */
static void frames_take_less_than(uint64_t frame_soon_ns)
{
	rig->options.frames_in_flight_max = 16;
	rig->options.frame_soon_ns = frame_soon_ns;
	reopen();
	for (uint32_t i = 0; i < 5; i++)
		ck_assert(rig_append_next(rig, i));
	rig_settle(rig);
}

START_TEST(behind_a_frame_that_comes_back_soon_records_gather)
{
	frames_take_less_than(NS_PER_S);
	ck_assert_uint_eq(frames_of_records(20), 1);
	the_rest_is_one_frame();
}
END_TEST

START_TEST(behind_a_frame_that_takes_long_others_go)
{
	frames_take_less_than(1);
	ck_assert_uint_gt(frames_of_records(20), 1);
	the_rest_is_one_frame();
}
END_TEST

Suite *flush_suite(void)
{
	Suite *suite = suite_create("flush");
	TCase *tcase = tcase_create("flush");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, while_enough_is_in_flight_records_gather_in_one_frame);
	tcase_add_test(tcase, while_the_core_has_other_work_records_gather_behind_one_frame);
	tcase_add_test(tcase, behind_a_frame_that_comes_back_soon_records_gather);
	tcase_add_test(tcase, behind_a_frame_that_takes_long_others_go);
	suite_add_tcase(suite, tcase);
	return suite;
}
