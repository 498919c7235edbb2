/* Shards of which there is to be no replica here any more. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "replication/raft/membership.h"
#include "storage/cursor.h"
#include "storage/engine.h"
#include "storage/install.h"
#include "replication/group.h"
#include "tests/unit/run.h"
#include "tests/unit/shard/shard_world.h"
#include "tests/unit/shard/suites.h"

enum { GOES = 2, STAYS = 3, CALLS = 6, ANOTHER = 1 | 1 << 16 };

/* The server's side. */
static struct {
	bool takes;
	unsigned count;
	struct shard_call *taken[16];
} server;

static struct test_call calls[CALLS];

static bool elsewhere(void *arg, struct shard_call *call, uint32_t shard)
{
	(void)arg;
	ck_assert_uint_eq(shard, GOES);
	ck_assert(!shards_has(world.shards, GOES));
	if (!server.takes)
		return false;
	call->route = 1;
	server.taken[server.count++] = call;
	return true;
}

static void set_up(void)
{
	memset(&server, 0, sizeof(server));
	world_set_up_without(0, NULL);
}

static void set_up_elsewhere(void)
{
	memset(&server, 0, sizeof(server));
	server.takes = true;
	world_set_up_without(0, elsewhere);
}

static void remove_in_process(void *arg)
{
	(void)arg;
	unsigned answers = world.answers;
	shards_remove(world.shards, GOES);
	ck_assert(!shards_has(world.shards, GOES));
	ck_assert_uint_eq(world.answers, answers);
}

static void leave(void)
{
	world_do(remove_in_process, NULL);
}

static void add_in_process(void *arg)
{
	static const struct raft_membership alone = {
	    .count = 1, .members = {{.replica = ANOTHER, .roles = RAFT_VOTER}}};
	*(int *)arg = shards_add(world.shards, GOES, ANOTHER, &alone);
}

static int add(void)
{
	int error;
	world_do(add_in_process, &error);
	return error;
}

static bool is_added(void *arg)
{
	(void)arg;
	int error = add();
	ck_assert(!error || error == ERR_BUSY);
	return !error;
}

static void add_again(void)
{
	world_run_until(is_added, NULL);
	world_wait_ready();
	ck_assert_uint_eq(shards_figures(world.shards).leading, WORLD_SHARDS);
}

static void count_in_process(void *arg)
{
	struct cursor *cursor;
	uint8_t kind = 1;
	struct slice key, value;
	int error = cursor_open(
	    group_store_engine(world.store), GOES, slice_of(&kind, 1), slice_of(NULL, 0), &cursor);
	ck_assert_int_eq(error, 0);
	while (cursor_next(cursor, &key, &value) == 0)
		++*(unsigned *)arg;
	cursor_close(cursor);
}

static unsigned pairs(void)
{
	unsigned count = 0;
	world_do(count_in_process, &count);
	return count;
}

static void put(uint32_t shard)
{
	struct test_call call;
	const char *address = world_address("counter", shard);
	ck_assert_int_eq(test_call_run(&call, address, "add", 1), STATUS_OK);
	test_call_done(&call);
}

static bool is_gone(void *arg)
{
	(void)arg;
	return !engine_shard_fenced(group_store_engine(world.store), GOES) &&
	       engine_applied(group_store_engine(world.store), GOES).index == 0;
}

START_TEST(a_removed_shard_is_absent_at_once_and_its_data_goes)
{
	put(GOES);
	put(STAYS);
	ck_assert_uint_gt(pairs(), 0);
	leave();
	struct shards_figures figures = shards_figures(world.shards);
	ck_assert_uint_eq(figures.shards, WORLD_SHARDS - 1);
	ck_assert_uint_eq(figures.leading, WORLD_SHARDS - 1);
	ck_assert(shards_ready(world.shards));
	ck_assert_int_eq(add(), ERR_BUSY);
	world_run_until(is_gone, NULL);
	ck_assert_uint_eq(pairs(), 0);
	put(STAYS);
	world_crash();
	world.absent = UINT64_C(1) << GOES;
	world_boot();
	world_wait_ready();
	ck_assert_uint_eq(pairs(), 0);
	world_activate("fake:shop:1", 6);
	ck_assert_uint_eq(world_get(world_address("counter", STAYS)).count, 2);
}
END_TEST

START_TEST(it_comes_again_and_knows_nothing_of_before)
{
	put(GOES);
	leave();
	add_again();
	/* Nor which apps there are. */
	world_activate("fake:shop:1", 6);
	struct host_fake_view view = world_get(world_address("counter", GOES));
	ck_assert_uint_eq(view.revision, 0);
	put(GOES);
	view = world_get(world_address("counter", GOES));
	ck_assert_uint_eq(view.revision, 1);
	ck_assert_uint_eq(view.count, 1);
	world_close();
	world_stop();
}
END_TEST

static void expect_done(unsigned number, enum status status)
{
	ck_assert(calls[number].done);
	ck_assert_int_eq(calls[number].call.status, status);
	test_call_done(&calls[number]);
}

START_TEST(calls_wait_as_for_a_shard_that_is_not_here)
{
	leave();
	struct test_call *call = &calls[0];
	test_call_init(call, world_address("counter", GOES), "add", 7);
	call->call.deadline_ns = sim_now_ns(world.sim) + 50 * NS_PER_MS;
	test_call_submit(call);
	test_call_wait(call);
	expect_done(0, STATUS_UNAVAILABLE);
}
END_TEST

START_TEST(a_stop_waits_until_it_is_gone)
{
	put(GOES);
	leave();
	world_close();
	world_stop();
	world.absent = UINT64_C(1) << GOES;
	world_boot();
	ck_assert_uint_eq(pairs(), 0);
}
END_TEST

START_TEST(one_that_stops_can_let_it_go_too)
{
	put(GOES);
	test_call_init(&calls[0], world_address("counter", GOES), "slow", 7);
	test_call_submit(&calls[0]);
	leave();
	world_close();
	expect_done(0, STATUS_UNAVAILABLE);
	world_stop();
}
END_TEST

static bool has_long(void *arg)
{
	(void)arg;
	return shards_has_long(world.shards);
}

static bool has_no_long(void *arg)
{
	return !has_long(arg);
}

/* It is found in its slice, behind all else of a turn. What comes behind it in the next one has to
 * find that it was. */
START_TEST(one_that_is_sent_away_in_its_slice_is_told_in_that_turn)
{
	test_call_init(&calls[0], world_address("counter", GOES), "slow", 7);
	calls[0].call.forwarded = true;
	test_call_submit(&calls[0]);
	world_run_until(has_long, NULL);
	leave();
	world_run_until(has_no_long, NULL);
	ck_assert(calls[0].call.not_leader);
	expect_done(0, STATUS_UNAVAILABLE);
}
END_TEST

static void answer_in_process(void *arg)
{
	struct shard_call *call = arg;
	call->status = STATUS_OK;
	shards_answered(world.shards, call);
}

/* What is not decided is not sent elsewhere, what did not begin is, and all of it ends. */
static void leave_after(unsigned steps, unsigned *unknown, unsigned *sent)
{
	static const char *const names[CALLS] = {"add", "slow", "add", "get", "add", "get"};
	put(GOES);
	for (unsigned i = 0; i < CALLS; i++) {
		const char *address = world_address(i % 2 ? "counter" : "account", GOES);
		test_call_init(&calls[i], address, names[i], i + 10);
		calls[i].call.order = i / 4;
		if (i < 3)
			snprintf(calls[i].token, sizeof(calls[i].token), "t%u", i);
		test_call_submit(&calls[i]);
	}
	world_step(steps);
	leave();
	world_step(20);
	for (unsigned i = 0; i < server.count; i++)
		world_do(answer_in_process, server.taken[i]);
	*sent += server.count;
	server.count = 0;
	for (unsigned i = 0; i < CALLS; i++) {
		test_call_wait(&calls[i]);
		enum status status = calls[i].call.status;
		bool is_known = status != STATUS_UNKNOWN_OUTCOME;
		bool was_sent = calls[i].call.route == 1;
		ck_assert(is_known || !was_sent);
		ck_assert_msg(!is_known || status == STATUS_OK || !was_sent, "%s after %u steps",
		    status_name(status), steps);
		*unknown += !is_known;
		test_call_done(&calls[i]);
	}
	ck_assert_uint_eq(shards_figures(world.shards).queue_bytes, 0);
	add_again();
	world_activate("fake:shop:1", 6);
	ck_assert_uint_eq(world_get(world_address("counter", GOES)).revision, 0);
	put(GOES);
	world_close();
	world_stop();
}

START_TEST(what_is_under_way_ends_or_goes_elsewhere)
{
	unsigned unknown = 0, sent = 0;
	for (unsigned steps = 0; steps < 60; steps++) {
		leave_after(steps, &unknown, &sent);
		world_tear_down();
		set_up_elsewhere();
		world.cold_percent = steps % 2 ? 100 : 0;
	}
	ck_assert_uint_gt(unknown, 5);
	ck_assert_uint_gt(sent, 5);
}
END_TEST

/* Space that is given back, and tokens that are looked for, in the pool meanwhile. */
START_TEST(what_is_done_in_the_background_ends)
{
	for (unsigned steps = 0; steps < 40; steps++) {
		struct test_call *call = &calls[0];
		put(GOES);
		test_call_init(call, world_address("counter", GOES), "add", 7);
		snprintf(call->token, sizeof(call->token), "t");
		test_call_submit(call);
		test_call_wait(call);
		expect_done(0, STATUS_OK);
		world_activate_dropping("fake:shop:1", 6, "counter", 1);
		world_step(steps);
		leave();
		add_again();
		ck_assert_uint_eq(shards_figures(world.shards).tokens, 0);
		world_activate("fake:shop:1", 7);
		put(GOES);
		world_close();
		world_stop();
		world_tear_down();
		set_up();
	}
}
END_TEST

Suite *leave_suite(void)
{
	Suite *suite = suite_create("leave");
	TCase *here = tcase_create("here"), *cases = tcase_create("elsewhere");
	tcase_add_checked_fixture(here, set_up, world_tear_down);
	tcase_add_test(here, a_removed_shard_is_absent_at_once_and_its_data_goes);
	tcase_add_test(here, it_comes_again_and_knows_nothing_of_before);
	tcase_add_test(here, calls_wait_as_for_a_shard_that_is_not_here);
	tcase_add_test(here, a_stop_waits_until_it_is_gone);
	tcase_add_test(here, one_that_stops_can_let_it_go_too);
	tcase_add_test(here, what_is_done_in_the_background_ends);
	tcase_add_test(here, one_that_is_sent_away_in_its_slice_is_told_in_that_turn);
	tcase_set_timeout(here, 60);
	suite_add_tcase(suite, here);
	tcase_add_checked_fixture(cases, set_up_elsewhere, world_tear_down);
	tcase_add_test(cases, what_is_under_way_ends_or_goes_elsewhere);
	tcase_set_timeout(cases, 60);
	suite_add_tcase(suite, cases);
	return suite;
}
