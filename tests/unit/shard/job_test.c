/* Handlers that wait for a job in the offload pool. */
#include "tests/unit/shard/shard_world.h"
#include "tests/unit/shard/suites.h"

#include <stdio.h>

#include "base/io/io.h"

#include "tests/unit/run.h"

START_TEST(a_handler_goes_on_with_its_job_while_others_are_served)
{
	struct test_call hash, same, other;
	test_call_init(&hash, "counter/c1", "hash", 1);
	test_call_init(&same, "counter/c1", "add", 2);
	test_call_init(&other, "counter/c2", "get", 0);
	test_call_submit(&hash);
	test_call_submit(&same);
	test_call_submit(&other);
	test_call_wait(&other);
	ck_assert(!hash.done && !same.done);
	test_call_wait(&same);
	ck_assert(hash.done);
	ck_assert_uint_lt(hash.order, same.order + 1);
	struct host_fake_view view = test_call_view(&same);
	ck_assert_uint_eq(view.revision, 2);
	ck_assert_uint_eq(view.ids[0], 1);
	test_call_done(&hash);
	test_call_done(&same);
	test_call_done(&other);
}
END_TEST

START_TEST(one_job_is_under_way_at_a_time)
{
	enum { CALLS = 12 };
	static struct test_call calls[CALLS];
	char address[32];
	for (unsigned i = 0; i < CALLS; i++) {
		snprintf(address, sizeof(address), "%s/c%u", i % 2 ? "counter" : "account", i);
		test_call_init(&calls[i], address, "hash", i + 1);
		test_call_submit(&calls[i]);
	}
	for (unsigned i = 0; i < CALLS; i++) {
		test_call_wait(&calls[i]);
		ck_assert_int_eq(calls[i].call.status, STATUS_OK);
		test_call_done(&calls[i]);
	}
	ck_assert_uint_eq(host_fake_jobs_most(), 1);
}
END_TEST

/* Of many calls some have had their job when the time is over, one has it under way, and others
 * wait for it. */
START_TEST(a_call_whose_time_ends_does_not_wait_for_its_job)
{
	enum { CALLS = 400 };
	static struct test_call calls[CALLS];
	struct test_call after;
	char address[32];
	unsigned in_time = 0, late = 0;
	for (unsigned i = 0; i < CALLS; i++) {
		snprintf(address, sizeof(address), "counter/c%u", i);
		test_call_init(&calls[i], address, "hash", i + 1);
		calls[i].call.deadline_ns = io_now_ns(world.io);
		test_call_submit(&calls[i]);
	}
	for (unsigned i = 0; i < CALLS; i++) {
		test_call_wait(&calls[i]);
		in_time += calls[i].call.status == STATUS_OK;
		late += calls[i].call.status == STATUS_DEADLINE_EXCEEDED;
		test_call_done(&calls[i]);
	}
	ck_assert_uint_gt(in_time, 0);
	ck_assert_uint_gt(late, 1);
	/* The entities and the queue of jobs go on; a late call has done nothing. (Some were
	 * proposed when their time was over.) */
	uint64_t revisions = 0;
	for (unsigned i = 0; i < CALLS; i++) {
		snprintf(address, sizeof(address), "counter/c%u", i);
		ck_assert_int_eq(test_call_run(&after, address, "hash", 7), STATUS_OK);
		revisions += test_call_view(&after).revision;
		test_call_done(&after);
	}
	ck_assert_uint_ge(revisions, CALLS + in_time);
	ck_assert_uint_le(revisions, 2 * CALLS - late);
}
END_TEST

START_TEST(a_close_waits_for_the_job_and_for_no_call)
{
	enum { CALLS = 4 };
	static struct test_call calls[CALLS];
	char address[32];
	for (unsigned i = 0; i < CALLS; i++) {
		snprintf(address, sizeof(address), "counter/c%u", i);
		test_call_init(&calls[i], address, "hash", i + 1);
		test_call_submit(&calls[i]);
	}
	world_step(2);
	world_close();
	for (unsigned i = 0; i < CALLS; i++) {
		ck_assert(calls[i].done);
		test_call_done(&calls[i]);
	}
	world_stop();
	world_boot();
	world_wait_ready();
}
END_TEST

START_TEST(a_crash_under_a_job_loses_no_more_than_the_call)
{
	struct test_call hash, again;
	test_call_init(&hash, "counter/c1", "hash", 1);
	test_call_submit(&hash);
	world_step(2);
	world_crash();
	world_boot();
	world_wait_ready();
	world_activate("fake:shop:1", 5);
	ck_assert_int_eq(test_call_run(&again, "counter/c1", "hash", 2), STATUS_OK);
	test_call_done(&again);
}
END_TEST

Suite *job_suite(void)
{
	Suite *suite = suite_create("job");
	TCase *tcase = tcase_create("shards");
	tcase_add_checked_fixture(tcase, world_set_up, world_tear_down);
	tcase_add_test(tcase, a_handler_goes_on_with_its_job_while_others_are_served);
	tcase_add_test(tcase, one_job_is_under_way_at_a_time);
	tcase_add_test(tcase, a_call_whose_time_ends_does_not_wait_for_its_job);
	tcase_add_test(tcase, a_close_waits_for_the_job_and_for_no_call);
	tcase_add_test(tcase, a_crash_under_a_job_loses_no_more_than_the_call);
	suite_add_tcase(suite, tcase);
	return suite;
}
