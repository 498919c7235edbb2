/* Calls that are handed to the node that leads, of a shard that is not here. */
#include <string.h>

#include "base/clock.h"
#include "replication/group.h"
#include "tests/unit/run.h"
#include "tests/unit/shard/shard_world.h"
#include "tests/unit/shard/suites.h"

enum { ABSENT = 2, CALLS = 4 };

/* The server's side. */
static struct {
	bool takes; /* else nobody is known to lead */
	uint64_t route;
	unsigned asked, count;
	struct shard_call *taken[16];
} server;

static struct test_call calls[CALLS];

static bool elsewhere(void *arg, struct shard_call *call, uint32_t shard)
{
	(void)arg;
	ck_assert_uint_eq(shard, ABSENT);
	server.asked++;
	if (!server.takes || (call->route != 0 && call->route != server.route))
		return false;
	call->route = server.route;
	server.taken[server.count++] = call;
	return true;
}

static void set_up(void)
{
	memset(&server, 0, sizeof(server));
	server.takes = true;
	server.route = 1;
	world_set_up_without(UINT64_C(1) << ABSENT, elsewhere);
}

/* Of one connection to one entity. */
static void submit(unsigned number)
{
	struct test_call *call = &calls[number];
	test_call_init(call, world_address("counter", ABSENT), "add", number + 1);
	call->call.order = 1;
	test_call_submit(call);
	world_step(2);
}

static void answer_in_process(void *arg)
{
	struct shard_call *call = arg;
	call->status = STATUS_OK;
	call->has_reply = true;
	ck_assert_int_eq(buffer_append_text(&call->reply, "there"), 0);
	shards_answered(world.shards, call);
}

static void return_in_process(void *arg)
{
	shards_returned(world.shards, arg);
}

static void tell_in_process(void *arg)
{
	(void)arg;
	shards_leader_known(world.shards, ABSENT);
}

static void answer(unsigned number)
{
	world_do(answer_in_process, &calls[number].call);
	world_step(3);
}

static void give_back(unsigned number)
{
	world_do(return_in_process, &calls[number].call);
	world_step(3);
}

static void expect_done(unsigned number, enum status status)
{
	ck_assert(calls[number].done);
	ck_assert_int_eq(calls[number].call.status, status);
	test_call_done(&calls[number]);
}

START_TEST(calls_leave_in_their_order_and_are_answered_from_elsewhere)
{
	for (unsigned i = 0; i < CALLS; i++)
		submit(i);
	ck_assert_uint_eq(server.count, CALLS);
	ck_assert_uint_gt(shards_figures(world.shards).queue_bytes, 0);
	for (unsigned i = 0; i < CALLS; i++) {
		ck_assert_ptr_eq(server.taken[i], &calls[i].call);
		ck_assert(!calls[i].done);
	}
	/* In any order. */
	for (unsigned i = CALLS; i-- > 0;) {
		answer(i);
		struct slice reply = buffer_view(&calls[i].call.reply);
		ck_assert(slice_equal(reply, slice_from_text("there")));
		expect_done(i, STATUS_OK);
	}
	ck_assert_uint_eq(shards_figures(world.shards).queue_bytes, 0);
}
END_TEST

START_TEST(calls_wait_until_a_leader_is_known)
{
	server.takes = false;
	submit(0);
	submit(1);
	ck_assert_uint_eq(server.count, 0);
	server.takes = true;
	world_do(tell_in_process, NULL);
	world_step(3);
	ck_assert_uint_eq(server.count, 2);
	ck_assert_ptr_eq(server.taken[0], &calls[0].call);
	answer(0);
	answer(1);
	expect_done(0, STATUS_OK);
	expect_done(1, STATUS_OK);
}
END_TEST

START_TEST(one_that_comes_back_goes_on_when_none_of_its_order_is_away)
{
	submit(0);
	submit(1);
	give_back(0);
	/* It would leave behind the second, which may yet be done. */
	ck_assert_uint_eq(server.count, 2);
	give_back(1);
	ck_assert_uint_eq(server.count, 4);
	ck_assert_ptr_eq(server.taken[2], &calls[0].call);
	ck_assert_ptr_eq(server.taken[3], &calls[1].call);
	answer(0);
	answer(1);
	expect_done(0, STATUS_OK);
	expect_done(1, STATUS_OK);
}
END_TEST

START_TEST(one_that_was_overtaken_is_unavailable)
{
	bool comes_back_first = _i == 0;
	submit(0);
	submit(1);
	if (comes_back_first)
		give_back(0);
	answer(1);
	if (!comes_back_first)
		give_back(0);
	expect_done(0, STATUS_UNAVAILABLE);
	expect_done(1, STATUS_OK);
	ck_assert_uint_eq(server.count, 2);
}
END_TEST

START_TEST(calls_of_other_connections_do_not_wait_for_one_that_came_back)
{
	submit(0);
	submit(1);
	calls[2] = (struct test_call){.done = false};
	test_call_init(&calls[2], world_address("counter", ABSENT), "add", 3);
	calls[2].call.order = 2;
	give_back(0);
	test_call_submit(&calls[2]);
	world_step(2);
	ck_assert_ptr_eq(server.taken[2], &calls[2].call);
	for (unsigned i = 1; i < 3; i++)
		answer(i);
	expect_done(0, STATUS_UNAVAILABLE);
	expect_done(1, STATUS_OK);
	expect_done(2, STATUS_OK);
}
END_TEST

START_TEST(what_is_away_goes_one_way_at_a_time)
{
	submit(0);
	server.route = 2;
	submit(1);
	submit(2);
	ck_assert_uint_eq(server.count, 1);
	answer(0);
	ck_assert_uint_eq(server.count, 3);
	ck_assert_ptr_eq(server.taken[1], &calls[1].call);
	ck_assert_ptr_eq(server.taken[2], &calls[2].call);
	answer(1);
	answer(2);
	for (unsigned i = 0; i < 3; i++)
		expect_done(i, STATUS_OK);
}
END_TEST

START_TEST(calls_from_another_node_are_told_that_this_one_does_not_lead)
{
	test_call_init(&calls[0], world_address("counter", ABSENT), "add", 1);
	calls[0].call.forwarded = true;
	test_call_submit(&calls[0]);
	test_call_wait(&calls[0]);
	ck_assert(calls[0].call.not_leader);
	ck_assert_uint_eq(server.asked, 0);
	expect_done(0, STATUS_UNAVAILABLE);
}
END_TEST

/* Of one connection, to a shard that is led here, as sent to who leads in `term`. */
static void submit_for_term(unsigned number, uint64_t term)
{
	struct test_call *call = &calls[number];
	test_call_init(call, world_address("counter", 1), "add", number + 1);
	call->call.order = 1;
	call->call.forwarded = true;
	call->call.term = term;
	test_call_submit(call);
}

START_TEST(what_was_sent_to_an_earlier_leadership_is_not_done_in_a_later_one)
{
	uint64_t term = group_term(group_store_group(world.store, 1));
	ck_assert_uint_gt(term, 0);
	submit_for_term(0, term);
	submit_for_term(1, term - 1);
	submit_for_term(2, term + 1);
	submit_for_term(3, 0);
	for (unsigned i = 0; i < CALLS; i++)
		test_call_wait(&calls[i]);
	/* Where one before it was sent away they are, without a look at what they name. */
	uint64_t late = shards_figures(world.shards).late_refused;
	ck_assert(late >= 1 && late < CALLS);
	/* With what stood behind it then: that is for its sender to send again. */
	for (unsigned i = 1; i < CALLS; i++)
		ck_assert(calls[i].call.not_leader == (calls[i].call.status != STATUS_OK));
	expect_done(0, STATUS_OK);
	expect_done(1, term > 1 ? STATUS_UNAVAILABLE : STATUS_OK);
	expect_done(2, STATUS_UNAVAILABLE);
	test_call_done(&calls[3]);
	struct host_fake_view view = world_get(world_address("counter", 1));
	for (unsigned i = 0; i < view.count; i++)
		ck_assert_uint_ne(view.ids[i], 3);
	/* A later one is served. */
	submit_for_term(0, term);
	test_call_wait(&calls[0]);
	expect_done(0, STATUS_OK);
}
END_TEST

/* Though it is for the leadership that is here: the one before it will be sent again, and comes
 * later than it would. */
START_TEST(who_stands_behind_one_that_is_sent_away_goes_with_it)
{
	uint64_t term = group_term(group_store_group(world.store, 1));
	submit_for_term(0, term + 1);
	submit_for_term(1, term);
	for (unsigned i = 0; i < 2; i++)
		test_call_wait(&calls[i]);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert(calls[i].call.not_leader);
		expect_done(i, STATUS_UNAVAILABLE);
	}
	ck_assert_uint_eq(world_get(world_address("counter", 1)).revision, 0);
}
END_TEST

static void add_in_process(void *arg)
{
	(void)arg;
	ck_assert_int_eq(shards_add(world.shards, ABSENT, 1, NULL), 0);
}

START_TEST(none_runs_here_while_one_before_it_is_away)
{
	submit(0);
	world_do(add_in_process, NULL);
	world_wait_ready();
	world_activate("fake:shop:1", 6);
	submit(1);
	/* Another connection's is served meanwhile. */
	const char *address = world_address("counter", ABSENT);
	struct host_fake_view view = world_get(address);
	ck_assert_uint_eq(view.revision, 0);
	ck_assert(!calls[1].done);
	give_back(0);
	test_call_wait(&calls[1]);
	expect_done(0, STATUS_OK);
	expect_done(1, STATUS_OK);
	view = world_get(address);
	ck_assert_uint_eq(view.count, 2);
	ck_assert_uint_eq(view.ids[0], 1);
	ck_assert_uint_eq(view.ids[1], 2);
}
END_TEST

START_TEST(a_call_that_comes_back_too_late_is_unavailable)
{
	test_call_init(&calls[0], world_address("counter", ABSENT), "add", 1);
	calls[0].call.deadline_ns = sim_now_ns(world.sim) + 20 * NS_PER_MS;
	test_call_submit(&calls[0]);
	world_step(200);
	/* Its time is the server's to watch. */
	ck_assert(!calls[0].done);
	server.takes = false;
	world_do(return_in_process, &calls[0].call);
	test_call_wait(&calls[0]);
	expect_done(0, STATUS_UNAVAILABLE);
}
END_TEST

START_TEST(calls_without_an_entity_leave_and_come_back_too)
{
	static const enum shard_call_kind kinds[] = {
	    SHARD_LIST, SHARD_GET, SHARD_HISTORY, SHARD_ENTITIES, SHARD_COUNT};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		server.count = 0;
		test_call_init(&calls[0], world_address("counter", ABSENT), "get", 0);
		calls[0].call.kind = kinds[i];
		calls[0].call.shard = ABSENT;
		test_call_submit(&calls[0]);
		world_step(2);
		world_do(return_in_process, &calls[0].call);
		world_step(2);
		ck_assert_uint_eq(server.count, 2);
		answer(0);
		expect_done(0, STATUS_OK);
	}
}
END_TEST

Suite *aside_suite(void)
{
	Suite *suite = suite_create("aside");
	TCase *tcase = tcase_create("shards");
	tcase_add_checked_fixture(tcase, set_up, world_tear_down);
	tcase_add_test(tcase, calls_leave_in_their_order_and_are_answered_from_elsewhere);
	tcase_add_test(tcase, calls_wait_until_a_leader_is_known);
	tcase_add_test(tcase, one_that_comes_back_goes_on_when_none_of_its_order_is_away);
	tcase_add_loop_test(tcase, one_that_was_overtaken_is_unavailable, 0, 2);
	tcase_add_test(tcase, calls_of_other_connections_do_not_wait_for_one_that_came_back);
	tcase_add_test(tcase, what_is_away_goes_one_way_at_a_time);
	tcase_add_test(tcase, calls_from_another_node_are_told_that_this_one_does_not_lead);
	tcase_add_test(tcase, what_was_sent_to_an_earlier_leadership_is_not_done_in_a_later_one);
	tcase_add_test(tcase, who_stands_behind_one_that_is_sent_away_goes_with_it);
	tcase_add_test(tcase, none_runs_here_while_one_before_it_is_away);
	tcase_add_test(tcase, a_call_that_comes_back_too_late_is_unavailable);
	tcase_add_test(tcase, calls_without_an_entity_leave_and_come_back_too);
	suite_add_tcase(suite, tcase);
	return suite;
}
