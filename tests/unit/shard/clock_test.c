/* ctx.now never goes back within an entity, whatever the machine's clock does. */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "tests/unit/run.h"
#include "tests/unit/shard/shard_world.h"
#include "tests/unit/shard/suites.h"

#define HOUR_MS INT64_C(3600000)

static const char *const looks[] = {"now", "look"};

static int64_t time_in(const struct test_call *call)
{
	struct slice reply = buffer_view(&call->call.reply);
	char text[32];
	snprintf(text, sizeof(text), "%.*s", (int)reply.bytes, (const char *)reply.data);
	return strtoll(text, NULL, 10);
}

/* What a query of the time is told, or a command that changes nothing. */
static int64_t look(const char *name)
{
	struct test_call call;
	ck_assert_int_eq(test_call_run(&call, "counter/c1", name, 0), STATUS_OK);
	int64_t time_ms = time_in(&call);
	test_call_done(&call);
	return time_ms;
}

static enum status add(uint64_t id)
{
	struct test_call call;
	enum status status = test_call_run(&call, "counter/c1", "add", id);
	test_call_done(&call);
	return status;
}

static void restart(int64_t shift_ms)
{
	world_crash();
	sim_node_shift_clock(world.node, shift_ms);
	world_boot();
	world_wait_ready();
	world_activate("fake:shop:1", 5);
}

START_TEST(time_that_was_shown_is_not_taken_back_by_a_restart)
{
	const char *name = looks[_i];
	ck_assert_int_eq(add(1), STATUS_OK);
	int64_t begin = look(name), last = begin;
	for (int i = 1; i < 20; i++) {
		sim_node_shift_clock(world.node, i % 2 ? i * HOUR_MS : i * HOUR_MS + 300);
		int64_t now = look(name);
		ck_assert_int_ge(now, last);
		ck_assert_int_ge(now, begin + i * HOUR_MS);
		restart(0);
		last = look(name);
		ck_assert_int_ge(last, now);
	}
}
END_TEST

/* A ceiling that is on its way holds what was shown below it, too. */
START_TEST(time_that_others_wait_for_is_waited_for)
{
	struct test_call first, second;
	ck_assert_int_eq(add(1), STATUS_OK);
	for (unsigned steps = 0; steps < 40; steps++) {
		sim_node_shift_clock(world.node, (steps + 1) * HOUR_MS);
		test_call_init(&first, "counter/c1", "now", 0);
		test_call_init(&second, "counter/c1", "now", 0);
		test_call_submit(&first);
		world_step(steps);
		test_call_submit(&second);
		while (!first.done && !second.done)
			world_step(1);
		int64_t shown = time_in(first.done ? &first : &second);
		test_call_done(&first);
		test_call_done(&second);
		restart(0);
		ck_assert_int_ge(look("now"), shown);
	}
}
END_TEST

START_TEST(looking_at_the_time_makes_an_entry_a_second_and_other_reads_make_none)
{
	ck_assert_int_eq(add(1), STATUS_OK);
	sim_node_shift_clock(world.node, HOUR_MS);
	uint64_t before = shards_figures(world.shards).entries;
	for (int i = 0; i < 50; i++)
		(void)world_get("counter/c1");
	ck_assert_uint_eq(shards_figures(world.shards).entries, before);
	for (int i = 0; i < 50; i++)
		(void)look("now");
	ck_assert_uint_eq(shards_figures(world.shards).entries, before + 1);
}
END_TEST

START_TEST(a_full_disk_lets_time_stand_still_and_not_go_back)
{
	enum status status = add(1);
	sim_disk_set_capacity(world.node, 1);
	for (uint64_t i = 0; i < 900 && status == STATUS_OK; i++)
		status = add(10 + i);
	ck_assert_int_eq(status, STATUS_RESOURCE_EXHAUSTED);
	int64_t last = look("now");
	for (int i = 1; i < 5; i++) {
		sim_node_shift_clock(world.node, i * HOUR_MS);
		int64_t now = look("now");
		ck_assert_int_ge(now, last);
		last = now;
	}
	sim_disk_set_capacity(world.node, 0);
	restart(0);
	ck_assert_int_ge(look("now"), last);
}
END_TEST

Suite *clock_suite(void)
{
	Suite *suite = suite_create("clock");
	TCase *tcase = tcase_create("clock");
	tcase_add_checked_fixture(tcase, world_set_up, world_tear_down);
	tcase_add_loop_test(tcase, time_that_was_shown_is_not_taken_back_by_a_restart, 0, 2);
	tcase_add_test(tcase, time_that_others_wait_for_is_waited_for);
	tcase_add_test(
	    tcase, looking_at_the_time_makes_an_entry_a_second_and_other_reads_make_none);
	tcase_add_test(tcase, a_full_disk_lets_time_stand_still_and_not_go_back);
	suite_add_tcase(suite, tcase);
	return suite;
}
