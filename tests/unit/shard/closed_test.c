/* Calls to a shard that is damaged here, and what others may do for them. */
#include <string.h>

#include "base/clock.h"
#include "base/io/sim/sim.h"
#include "tests/unit/run.h"
#include "tests/unit/shard/shard_world.h"
#include "tests/unit/shard/suites.h"

enum { DAMAGED = 2, WHOLE = 3, CALLS = 2 };

/* The server's side. */
static struct {
	bool known, may_lead; /* who leads; others are voters */
	unsigned count;
	struct shard_call *taken[4];
} server;

static char address[64];
static struct test_call calls[CALLS];

static bool elsewhere(void *arg, struct shard_call *call, uint32_t shard)
{
	(void)arg;
	ck_assert_uint_eq(shard, DAMAGED);
	if (!server.known)
		return false;
	call->route = 1;
	server.taken[server.count++] = call;
	return true;
}

static bool others(void *arg, uint32_t shard)
{
	(void)arg;
	return shard == DAMAGED && server.may_lead;
}

static void set_up(void)
{
	struct test_call call;
	memset(&server, 0, sizeof(server));
	server.may_lead = true;
	world_set_up_without(0, elsewhere);
	world.others = others;
	memcpy(address, world_address("counter", DAMAGED), sizeof(address));
	ck_assert_int_eq(test_call_run(&call, address, "add", 1), STATUS_OK);
	test_call_done(&call);
	world_boot_damaged(address, DAMAGED);
	world_activate("fake:shop:1", 5);
}

static void submit(unsigned number, const char *name, uint64_t timeout_ms)
{
	struct test_call *call = &calls[number];
	test_call_init(call, address, name, number + 2);
	call->call.deadline_ns = sim_now_ns(world.sim) + timeout_ms * NS_PER_MS;
	call->call.order = 1;
	test_call_submit(call);
}

static bool is_closed(void *arg)
{
	(void)arg;
	return shards_figures(world.shards).closed == 1;
}

/* A call finds the damage. */
static void close_by(unsigned number)
{
	submit(number, "get", 60000);
	world_run_until(is_closed, NULL);
	world_step(20);
}

static void tell_in_process(void *arg)
{
	(void)arg;
	server.known = true;
	shards_leader_known(world.shards, DAMAGED);
}

static void answer_in_process(void *arg)
{
	struct shard_call *call = arg;
	call->status = STATUS_OK;
	shards_answered(world.shards, call);
}

static void expect_done(unsigned number, enum status status)
{
	test_call_wait(&calls[number]);
	ck_assert_int_eq(calls[number].call.status, status);
}

START_TEST(whoever_leads_it_next_answers_what_found_the_damage_and_what_came_then)
{
	close_by(0);
	submit(1, "add", 60000);
	world_step(20);
	ck_assert(!calls[0].done && !calls[1].done);
	world_do(tell_in_process, NULL);
	world_step(5);
	ck_assert_uint_eq(server.count, 2);
	for (unsigned i = 0; i < CALLS; i++) {
		ck_assert_ptr_eq(server.taken[i], &calls[i].call);
		world_do(answer_in_process, &calls[i].call);
		expect_done(i, STATUS_OK);
		test_call_done(&calls[i]);
	}
}
END_TEST

/* Those that walk meet it in the pool. */
START_TEST(whoever_leads_it_next_answers_a_walk_that_met_the_damage)
{
	static const enum shard_call_kind kinds[] = {SHARD_ENTITIES, SHARD_COUNT};
	struct test_call *call = &calls[0];
	test_call_init(call, "counter", "", 0);
	call->call.kind = kinds[_i];
	call->call.shard = DAMAGED;
	call->call.deadline_ns = call->call.until_ns = sim_now_ns(world.sim) + 60 * NS_PER_S;
	test_call_submit(call);
	world_run_until(is_closed, NULL);
	world_step(20);
	ck_assert(!call->done);
	world_do(tell_in_process, NULL);
	world_step(5);
	ck_assert_uint_eq(server.count, 1);
	ck_assert_ptr_eq(server.taken[0], &call->call);
	ck_assert_uint_eq(buffer_bytes(&call->call.reply), 0);
	world_do(answer_in_process, &call->call);
	expect_done(0, STATUS_OK);
	test_call_done(call);
}
END_TEST

START_TEST(a_walk_that_met_damage_nobody_else_can_do_without_says_so)
{
	struct test_call *call = &calls[0];
	server.may_lead = false;
	test_call_init(call, "counter", "", 0);
	call->call.kind = SHARD_ENTITIES;
	call->call.shard = DAMAGED;
	test_call_submit(call);
	expect_done(0, STATUS_DATA_LOSS);
	test_call_done(call);
}
END_TEST

START_TEST(where_nobody_comes_to_lead_it_calls_are_unavailable_in_the_end_and_are_told_why)
{
	close_by(0);
	submit(1, "add", 50);
	expect_done(1, STATUS_UNAVAILABLE);
	struct slice why = buffer_view(&calls[1].call.reply);
	ck_assert_ptr_nonnull(memmem(why.data, why.bytes, "replica is damaged", 18));
	test_call_done(&calls[1]);
	ck_assert(!calls[0].done);
	/* The others are served meanwhile. */
	ck_assert_int_eq(
	    test_call_run(&calls[1], world_address("counter", WHOLE), "add", 9), STATUS_OK);
	test_call_done(&calls[1]);
	world_close();
	expect_done(0, STATUS_UNAVAILABLE);
	test_call_done(&calls[0]);
	world_stop();
}
END_TEST

START_TEST(another_node_is_told_that_this_one_does_not_lead_it)
{
	close_by(0);
	world_do(tell_in_process, NULL);
	world_step(5);
	world_do(answer_in_process, &calls[0].call);
	expect_done(0, STATUS_OK);
	test_call_done(&calls[0]);
	test_call_init(&calls[1], address, "add", 3);
	calls[1].call.forwarded = true;
	test_call_submit(&calls[1]);
	expect_done(1, STATUS_UNAVAILABLE);
	ck_assert(calls[1].call.not_leader);
	test_call_done(&calls[1]);
}
END_TEST

START_TEST(what_nobody_else_can_serve_is_lost_for_other_nodes_too)
{
	server.may_lead = false;
	submit(0, "get", 60000);
	expect_done(0, STATUS_DATA_LOSS);
	test_call_done(&calls[0]);
	test_call_init(&calls[1], address, "add", 3);
	calls[1].call.forwarded = true;
	test_call_submit(&calls[1]);
	expect_done(1, STATUS_DATA_LOSS);
	ck_assert(!calls[1].call.not_leader);
	test_call_done(&calls[1]);
}
END_TEST

Suite *closed_suite(void)
{
	Suite *suite = suite_create("closed");
	TCase *tcase = tcase_create("shards");
	tcase_add_checked_fixture(tcase, set_up, world_tear_down);
	tcase_add_test(
	    tcase, whoever_leads_it_next_answers_what_found_the_damage_and_what_came_then);
	tcase_add_loop_test(tcase, whoever_leads_it_next_answers_a_walk_that_met_the_damage, 0, 2);
	tcase_add_test(tcase, a_walk_that_met_damage_nobody_else_can_do_without_says_so);
	tcase_add_test(
	    tcase, where_nobody_comes_to_lead_it_calls_are_unavailable_in_the_end_and_are_told_why);
	tcase_add_test(tcase, another_node_is_told_that_this_one_does_not_lead_it);
	tcase_add_test(tcase, what_nobody_else_can_serve_is_lost_for_other_nodes_too);
	suite_add_tcase(suite, tcase);
	return suite;
}
