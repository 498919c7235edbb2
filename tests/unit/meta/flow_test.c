/* The directory's flows: what becomes of requests, and what a start finds. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/io/io.h"
#include "base/log_line.h"
#include "tests/unit/meta/flow_rig.h"
#include "tests/unit/meta/suites.h"

/* ---- Facts ---- */

START_TEST(what_is_deployed_is_there_after_a_crash)
{
	char hash[33];
	ck_assert_int_eq(deploy("shop", "box", 1, hash), STATUS_OK);
	ck_assert_str_eq(world.active, hash);
	uint64_t generation = world.generation;
	flow_crash();
	flow_boot();
	ck_assert_str_eq(world.active, hash);
	ck_assert_uint_eq(world.generation, generation);
	ck_assert_uint_eq(world.loads, 1);
}
END_TEST

/* The core sleeps where nothing is said to be left; what wakes it may be far away. */
START_TEST(a_start_restores_all_apps_without_a_pause)
{
	static const char *const apps[][2] = {
	    {"a", "x"}, {"b", "y"}, {"c", "z"}, {"d", "v"}, {"e", "w"}};
	char hash[33];
	for (size_t i = 0; i < sizeof(apps) / sizeof(apps[0]); i++)
		ck_assert_int_eq(deploy(apps[i][0], apps[i][1], 1, hash), STATUS_OK);
	flow_crash();
	uint64_t began_ns = clock_monotonic_ns();
	flow_boot();
	ck_assert_uint_eq(world.loads, sizeof(apps) / sizeof(apps[0]));
	/* The machine's time is simulated. */
	ck_assert_uint_lt(clock_monotonic_ns() - began_ns, NS_PER_S / 10);
}
END_TEST

START_TEST(a_start_completes_an_activation_that_a_crash_cut_off)
{
	struct test_request test;
	deploy_init(&test, "shop", "box", 1);
	submit(&test);
	world.hold = false;
	world.activations = 0;
	run_until(activation_asked, NULL);
	flow_crash();
	buffer_done(&test.bundle);
	world.active[0] = 0;
	flow_boot();
	ck_assert_str_eq(world.active, test.hash);
}
END_TEST

START_TEST(another_hash_than_expected_is_refused)
{
	char hash[33];
	struct test_request test;
	ck_assert_int_eq(deploy("shop", "box", 1, hash), STATUS_OK);
	deploy_init(&test, "shop", "box", 2);
	test.request.expected = slice_from_text("00000000000000000000000000000000");
	ck_assert_int_eq(run(&test), STATUS_ABORTED);
	ck_assert_int_eq(change(META_APP_REMOVE, "shop", test.hash), STATUS_ABORTED);
	ck_assert_int_eq(change(META_APP_REMOVE, "shop", hash), STATUS_OK);
	ck_assert_str_eq(world.active, "");
}
END_TEST

START_TEST(a_component_that_goes_has_to_be_named)
{
	ck_assert_int_eq(deploy("shop", "box", 1, NULL), STATUS_OK);
	ck_assert_int_eq(deploy("shop", "crate", 1, NULL), STATUS_FAILED_PRECONDITION);
}
END_TEST

START_TEST(rolling_back_twice_goes_back_two_versions)
{
	char first[33], second[33];
	ck_assert_int_eq(deploy("shop", "box", 1, first), STATUS_OK);
	ck_assert_int_eq(deploy("shop", "box", 2, second), STATUS_OK);
	ck_assert_int_eq(deploy("shop", "box", 3, NULL), STATUS_OK);
	ck_assert_int_eq(change(META_APP_ROLLBACK, "shop", NULL), STATUS_OK);
	ck_assert_str_eq(world.active, second);
	ck_assert_int_eq(change(META_APP_ROLLBACK, "shop", NULL), STATUS_OK);
	ck_assert_str_eq(world.active, first);
	ck_assert_int_eq(change(META_APP_ROLLBACK, "shop", NULL), STATUS_FAILED_PRECONDITION);
	ck_assert_int_eq(change(META_APP_ROLLBACK, "none", NULL), STATUS_NOT_FOUND);
}
END_TEST

START_TEST(many_versions_leave_the_last_ones_to_go_back_to)
{
	for (int version = 1; version <= 40; version++)
		ck_assert_int_eq(deploy("shop", "box", version, NULL), STATUS_OK);
	flow_crash();
	flow_boot();
	/* 32 are remembered, and each step back is remembered, too. */
	for (int i = 0; i < 16; i++)
		ck_assert_int_eq(change(META_APP_ROLLBACK, "shop", NULL), STATUS_OK);
	ck_assert_int_eq(change(META_APP_ROLLBACK, "shop", NULL), STATUS_FAILED_PRECONDITION);
}
END_TEST

/* v1, v2, v1 again, then back: each way back is the one that was there when a version first came,
 * so that going back ends, and never goes forth again. */
START_TEST(rolling_back_over_a_version_that_came_twice_ends)
{
	char first[33], second[33];
	ck_assert_int_eq(deploy("shop", "box", 1, first), STATUS_OK);
	ck_assert_int_eq(deploy("shop", "box", 2, second), STATUS_OK);
	ck_assert_int_eq(deploy("shop", "box", 1, NULL), STATUS_OK);
	ck_assert_int_eq(change(META_APP_ROLLBACK, "shop", NULL), STATUS_OK);
	ck_assert_str_eq(world.active, second);
	ck_assert_int_eq(change(META_APP_ROLLBACK, "shop", NULL), STATUS_OK);
	ck_assert_str_eq(world.active, first);
	ck_assert_int_eq(change(META_APP_ROLLBACK, "shop", NULL), STATUS_FAILED_PRECONDITION);
}
END_TEST

/* ---- A full disk ---- */

START_TEST(a_full_disk_refuses_a_deployment_whole_and_lets_go_back_and_away)
{
	char first[33];
	struct test_request test;
	ck_assert_int_eq(deploy("shop", "box", 1, first), STATUS_OK);
	ck_assert_int_eq(deploy("shop", "box", 2, NULL), STATUS_OK);
	uint64_t generation = world.generation;
	unsigned loads = world.loads;
	sim_disk_set_capacity(world.node, 1 << 20);
	for (int dry = 1; dry >= 0; dry--) {
		deploy_init(&test, "shop", "box", 3);
		test.request.dry_run = dry;
		submit(&test);
		run_until(is_done, &test);
		ck_assert_int_eq(test.request.status, STATUS_RESOURCE_EXHAUSTED);
		ck_assert(
		    slice_has(buffer_view(&test.request.reply), "the disk is full: 0 MiB are"));
		ck_assert(slice_has(buffer_view(&test.request.reply), " 2 MiB have to stay free"));
		buffer_done(&test.request.reply);
	}
	ck_assert_uint_eq(world.loads, loads);
	ck_assert_uint_eq(world.generation, generation);
	ck_assert_int_eq(deploy("shop", "box", 2, NULL), STATUS_OK); /* unchanged */
	ck_assert_int_eq(change(META_APP_ROLLBACK, "shop", NULL), STATUS_OK);
	ck_assert_str_eq(world.active, first);
	ck_assert_int_eq(change(META_APP_REMOVE, "shop", NULL), STATUS_OK);
	ck_assert_str_eq(world.active, "");
	sim_disk_set_capacity(world.node, 0);
	ck_assert_int_eq(deploy("shop", "box", 3, NULL), STATUS_OK);
}
END_TEST

/* ---- What is pending ---- */

static void expect_listed_pending(uint32_t pending)
{
	struct test_request list;
	char wanted[32];
	change_init(&list, META_APP_LIST);
	submit(&list);
	run_until(is_done, &list);
	snprintf(wanted, sizeof(wanted), "\"pending\":%u,", pending);
	ck_assert(slice_has(buffer_view(&list.request.reply), wanted));
	buffer_done(&list.request.reply);
	ck_assert_uint_eq(meta_pending(world.meta), pending);
}

static void time_has_come(void *arg)
{
	*(bool *)arg = true;
}

static bool has_come(void *arg)
{
	return *(bool *)arg;
}

static void pass_seconds(uint64_t seconds)
{
	bool come = false;
	sim_call_at(world.sim, sim_now_ns(world.sim) + seconds * NS_PER_S, time_has_come, &come);
	run_until(has_come, &come);
}

START_TEST(what_is_pending_is_asked_again_until_it_is_done)
{
	char hash[33];
	world.pending = 3;
	ck_assert_int_eq(deploy("shop", "box", 1, hash), STATUS_OK);
	expect_listed_pending(3);
	unsigned asked = world.activations;
	pass_seconds(130);
	/* After 1, 2, 4, 8, 16, 32 and 60 seconds. */
	ck_assert_uint_ge(world.activations - asked, 5);
	ck_assert_uint_le(world.activations - asked, 8);
	expect_listed_pending(3);
	ck_assert_str_eq(world.active, hash);
	world.pending = 0;
	pass_seconds(70);
	expect_listed_pending(0);
	asked = world.activations;
	pass_seconds(300);
	ck_assert_uint_eq(world.activations, asked);
}
END_TEST

START_TEST(a_start_whose_activation_is_pending_asks_again)
{
	ck_assert_int_eq(deploy("shop", "box", 1, NULL), STATUS_OK);
	flow_crash();
	world.pending = 2;
	flow_boot();
	expect_listed_pending(2);
	world.pending = 0;
	pass_seconds(2);
	expect_listed_pending(0);
}
END_TEST

START_TEST(what_cannot_be_loaded_is_missed_until_it_can)
{
	/* What nobody has is refused, and not missed. */
	world.cannot_load = true;
	ck_assert_int_eq(deploy("shop", "box", 1, NULL), STATUS_RESOURCE_EXHAUSTED);
	ck_assert(!meta_lacks_bundle(world.meta));
	world.cannot_load = false;
	ck_assert_int_eq(deploy("shop", "box", 1, NULL), STATUS_OK);
	flow_crash();
	world.cannot_load = true;
	flow_boot();
	expect_listed_pending(8);
	ck_assert(meta_lacks_bundle(world.meta));
	world.cannot_load = false;
	pass_seconds(2);
	expect_listed_pending(0);
	ck_assert(!meta_lacks_bundle(world.meta));
}
END_TEST

/* Lines that say so, by level. */
static unsigned said[LEVEL_ERROR + 1];

static void count_line(void *arg, enum log_level level, struct slice line)
{
	(void)arg;
	said[level] += slice_has(line, " activation_pending ");
}

static void expect_said(unsigned infos, unsigned warnings)
{
	ck_assert_uint_eq(said[LEVEL_INFO], infos);
	ck_assert_uint_eq(said[LEVEL_WARNING], warnings);
	memset(said, 0, sizeof(said));
}

START_TEST(what_is_pending_is_a_warning_where_it_lasts)
{
	memset(said, 0, sizeof(said));
	log_line_set_sink(count_line, NULL);
	log_line_set_level(LEVEL_INFO);
	world.pending = 2;
	ck_assert_int_eq(deploy("shop", "box", 1, NULL), STATUS_OK);
	expect_said(0, 1);
	/* A start before anybody leads: over when it is asked for again. */
	flow_crash();
	flow_boot();
	expect_listed_pending(2);
	expect_said(1, 0);
	world.pending = 0;
	pass_seconds(2);
	expect_listed_pending(0);
	expect_said(0, 0);
	/* And one behind which it stays so: after 1 second, and then 2. */
	world.pending = 2;
	flow_crash();
	flow_boot();
	pass_seconds(8);
	expect_listed_pending(2);
	ck_assert_uint_le(said[LEVEL_INFO], 2);
	ck_assert_uint_ge(said[LEVEL_WARNING], 1);
	log_line_set_level(LEVEL_ERROR);
	log_line_set_sink(NULL, NULL);
}
END_TEST

START_TEST(closed_shards_are_pending_and_not_asked_again)
{
	world.pending = 1;
	world.closed = true;
	ck_assert_int_eq(deploy("shop", "box", 1, NULL), STATUS_OK);
	unsigned asked = world.activations;
	pass_seconds(300);
	ck_assert_uint_eq(world.activations, asked);
	expect_listed_pending(1);
}
END_TEST

static bool activation_asked_again(void *arg)
{
	return world.activations > *(const unsigned *)arg && world.asked_activate;
}

START_TEST(who_asks_for_the_list_does_not_wait_for_what_is_pending)
{
	struct test_request next;
	world.pending = 3;
	ck_assert_int_eq(deploy("shop", "box", 1, NULL), STATUS_OK);
	unsigned before = world.activations;
	run_until(activation_asked_again, &before);
	world.hold = true;
	expect_listed_pending(3);
	/* A change does, and comes then. */
	deploy_init(&next, "shop", "box", 2);
	submit(&next);
	pass_seconds(1);
	ck_assert(!next.done);
	world.hold = false;
	world.pending = 0;
	io_wake(world.io, NULL);
	run_until(is_done, &next);
	ck_assert_int_eq(next.request.status, STATUS_OK);
	buffer_done(&next.request.reply);
	expect_listed_pending(0);
	pass_seconds(100);
	ck_assert_str_eq(world.active, next.hash);
}
END_TEST

/* ---- Leadership ---- */

static void lose_in_process(void *arg)
{
	(void)arg;
	world.events->lost(world.events_arg);
}

static void lead_in_process(void *arg)
{
	(void)arg;
	world.events->leading(world.events_arg, 9);
	io_wake(world.io, NULL);
}

static bool load_asked(void *arg)
{
	(void)arg;
	return world.asked_load;
}

START_TEST(what_cores_are_loading_stays_until_they_return_it)
{
	struct test_request test;
	world.hold = true;
	deploy_init(&test, "shop", "box", 1);
	submit(&test);
	run_until(load_asked, NULL);
	ck_assert(sim_node_run(world.node, lose_in_process, NULL));
	ck_assert(!test.done);
	ck_assert(sim_node_run(world.node, lead_in_process, NULL));
	world.hold = false;
	io_wake(world.io, NULL);
	run_until(is_done, &test);
	ck_assert_int_eq(test.request.status, STATUS_UNAVAILABLE);
	buffer_done(&test.request.reply);
	ck_assert_int_eq(deploy("shop", "box", 2, NULL), STATUS_OK);
	ck_assert_uint_eq(world.ready, 1);
}
END_TEST

START_TEST(what_was_committed_when_leadership_went_is_in_doubt_and_completed)
{
	struct test_request test;
	deploy_init(&test, "shop", "box", 1);
	submit(&test);
	run_until(activation_asked, NULL);
	world.hold = true;
	ck_assert(sim_node_run(world.node, lose_in_process, NULL));
	ck_assert(sim_node_run(world.node, lead_in_process, NULL));
	world.hold = false;
	io_wake(world.io, NULL);
	run_until(is_done, &test);
	ck_assert_int_eq(test.request.status, STATUS_UNKNOWN_OUTCOME);
	buffer_done(&test.request.reply);
	ck_assert_int_eq(deploy("shop", "box", 1, NULL), STATUS_OK); /* unchanged */
	ck_assert_str_eq(world.active, test.hash);
	ck_assert_uint_eq(world.ready, 1);
}
END_TEST

Suite *flow_suite(void)
{
	Suite *suite = suite_create("flow");
	TCase *tcase = tcase_create("flow");
	tcase_add_checked_fixture(tcase, flow_set_up, flow_tear_down);
	tcase_set_timeout(tcase, 600);
	tcase_add_test(tcase, what_is_deployed_is_there_after_a_crash);
	tcase_add_test(tcase, a_start_restores_all_apps_without_a_pause);
	tcase_add_test(tcase, a_start_completes_an_activation_that_a_crash_cut_off);
	tcase_add_test(tcase, another_hash_than_expected_is_refused);
	tcase_add_test(tcase, a_component_that_goes_has_to_be_named);
	tcase_add_test(tcase, rolling_back_twice_goes_back_two_versions);
	tcase_add_test(tcase, rolling_back_over_a_version_that_came_twice_ends);
	tcase_add_test(tcase, a_full_disk_refuses_a_deployment_whole_and_lets_go_back_and_away);
	tcase_add_test(tcase, many_versions_leave_the_last_ones_to_go_back_to);
	tcase_add_test(tcase, what_cores_are_loading_stays_until_they_return_it);
	tcase_add_test(tcase, what_was_committed_when_leadership_went_is_in_doubt_and_completed);
	tcase_add_test(tcase, what_is_pending_is_asked_again_until_it_is_done);
	tcase_add_test(tcase, a_start_whose_activation_is_pending_asks_again);
	tcase_add_test(tcase, what_cannot_be_loaded_is_missed_until_it_can);
	tcase_add_test(tcase, what_is_pending_is_a_warning_where_it_lasts);
	tcase_add_test(tcase, closed_shards_are_pending_and_not_asked_again);
	tcase_add_test(tcase, who_asks_for_the_list_does_not_wait_for_what_is_pending);
	suite_add_tcase(suite, tcase);
	return suite;
}
