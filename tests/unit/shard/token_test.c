/* Idempotency tokens. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "tests/unit/run.h"
#include "tests/unit/shard/shard_world.h"
#include "tests/unit/shard/suites.h"

static const char *const kinds[] = {"counter/c1", "account/a1"};

static enum status run(
    struct test_call *call, const char *address, const char *name, uint64_t id, const char *token)
{
	test_call_init(call, address, name, id);
	snprintf(call->token, sizeof(call->token), "%s", token);
	test_call_submit(call);
	test_call_wait(call);
	return call->call.status;
}

static void expect_same(const struct test_call *a, const struct test_call *b)
{
	ck_assert_int_eq(a->call.status, STATUS_OK);
	ck_assert_int_eq(b->call.status, STATUS_OK);
	ck_assert(slice_equal(buffer_view(&a->call.reply), buffer_view(&b->call.reply)));
}

START_TEST(a_repeat_gets_the_first_reply_and_changes_nothing)
{
	struct test_call first, second, other;
	ck_assert_int_eq(run(&first, kinds[_i], "add", 1, "t"), STATUS_OK);
	ck_assert_int_eq(run(&other, kinds[_i], "add", 2, ""), STATUS_OK);
	ck_assert_int_eq(run(&second, kinds[_i], "add", 1, "t"), STATUS_OK);
	expect_same(&first, &second);
	ck_assert_uint_eq(world_get(kinds[_i]).revision, 2);
	test_call_done(&first);
	test_call_done(&second);
	test_call_done(&other);
}
END_TEST

START_TEST(a_repeat_while_the_first_runs_waits_for_it)
{
	struct test_call first, second;
	test_call_init(&first, kinds[_i], "slow", 1);
	test_call_init(&second, kinds[_i], "slow", 1);
	snprintf(first.token, sizeof(first.token), "t");
	snprintf(second.token, sizeof(second.token), "t");
	test_call_submit(&first);
	test_call_submit(&second);
	test_call_wait(&second);
	ck_assert(first.done);
	expect_same(&first, &second);
	ck_assert_uint_eq(world_get(kinds[_i]).revision, 1);
	test_call_done(&first);
	test_call_done(&second);
}
END_TEST

START_TEST(a_token_outlives_its_entity_and_a_restart)
{
	struct test_call first, second, deleted;
	ck_assert_int_eq(run(&first, kinds[_i], "add", 1, "t"), STATUS_OK);
	ck_assert_int_eq(run(&deleted, kinds[_i], "delete", 0, ""), STATUS_OK);
	struct slice reply = buffer_view(&first.call.reply);
	char text[64];
	snprintf(text, sizeof(text), "%.*s", (int)reply.bytes, (const char *)reply.data);
	test_call_done(&first);
	test_call_done(&deleted);
	world_checkpoint();
	world_crash();
	world.cold_percent = 100;
	world_boot();
	world_activate("fake:shop:1", 5);
	ck_assert_int_eq(run(&second, kinds[_i], "add", 1, "t"), STATUS_OK);
	ck_assert(slice_equal(buffer_view(&second.call.reply), slice_from_text(text)));
	test_call_done(&second);
	ck_assert_uint_eq(world_get(kinds[_i]).count, 0);
}
END_TEST

START_TEST(a_token_with_another_command_or_payload_is_refused)
{
	struct test_call call;
	ck_assert_int_eq(run(&call, kinds[_i], "add", 1, "t"), STATUS_OK);
	test_call_done(&call);
	ck_assert_int_eq(run(&call, kinds[_i], "add", 2, "t"), STATUS_INVALID_ARGUMENT);
	test_call_done(&call);
	ck_assert_int_eq(run(&call, kinds[_i], "slow", 1, "t"), STATUS_INVALID_ARGUMENT);
	test_call_done(&call);
	/* Another one's, and another entity's, are others. */
	test_call_init(&call, kinds[_i], "add", 2);
	snprintf(call.token, sizeof(call.token), "t");
	call.call.caller.name = slice_from_text("somebody");
	test_call_submit(&call);
	test_call_wait(&call);
	ck_assert_int_eq(call.call.status, STATUS_OK);
	test_call_done(&call);
	ck_assert_int_eq(run(&call, kinds[1 - _i], "add", 2, "t"), STATUS_OK);
	test_call_done(&call);
}
END_TEST

static void reply_text(const struct test_call *call, char *text, size_t room)
{
	struct slice reply = buffer_view(&call->call.reply);
	snprintf(text, room, "%.*s", (int)reply.bytes, (const char *)reply.data);
}

/* A repeat may come after a deployment that dropped its command, or its whole component. */
START_TEST(a_repeat_gets_the_first_reply_when_its_command_is_gone)
{
	static const char *const commands[] = {"add", "many"};
	char text[64], repeated[64];
	struct test_call first, second, other;
	ck_assert_int_eq(run(&first, kinds[_i % 2], commands[_i % 2], 1, "t"), STATUS_OK);
	reply_text(&first, text, sizeof(text));
	test_call_done(&first);
	if (_i >= 2) {
		world_checkpoint();
		world_crash();
		world.cold_percent = 100;
		world_boot();
	}
	world_activate("fake:shop:1000000", 6);
	ck_assert_int_eq(run(&second, kinds[_i % 2], commands[_i % 2], 1, "t"), STATUS_OK);
	reply_text(&second, repeated, sizeof(repeated));
	ck_assert_str_eq(text, repeated);
	test_call_done(&second);
	/* What was never done is what it always was. */
	ck_assert_int_eq(
	    run(&other, kinds[_i % 2], commands[_i % 2], 2, "t"), STATUS_UNIMPLEMENTED);
	test_call_done(&other);
	ck_assert_int_eq(
	    run(&other, kinds[_i % 2], commands[_i % 2], 1, "u"), STATUS_UNIMPLEMENTED);
	test_call_done(&other);
	ck_assert_int_eq(run(&other, kinds[_i % 2], "nonsense", 1, "t"), STATUS_UNIMPLEMENTED);
	test_call_done(&other);
}
END_TEST

START_TEST(failures_and_queries_are_not_remembered)
{
	struct test_call call;
	ck_assert_int_eq(run(&call, kinds[_i], "fail", 1, "t"), STATUS_FAILED_PRECONDITION);
	test_call_done(&call);
	ck_assert_int_eq(run(&call, kinds[_i], "get", 0, "t"), STATUS_OK);
	test_call_done(&call);
	ck_assert_int_eq(run(&call, kinds[_i], "add", 3, "t"), STATUS_OK);
	test_call_done(&call);
	ck_assert_uint_eq(shards_figures(world.shards).tokens, 1);
}
END_TEST

START_TEST(a_reply_that_is_too_large_for_a_token_is_refused_before_anything_is_changed)
{
	struct test_call call;
	ck_assert_int_eq(run(&call, kinds[_i], "big", 1, "t"), STATUS_RESOURCE_EXHAUSTED);
	test_call_done(&call);
	ck_assert_uint_eq(world_get(kinds[_i]).revision, 0);
	ck_assert_int_eq(run(&call, kinds[_i], "big", 1, ""), STATUS_OK);
	ck_assert_uint_eq(buffer_bytes(&call.call.reply), 100 * 1024);
	test_call_done(&call);
}
END_TEST

/* It saw a change that was proposed only, and says something of what that made. */
START_TEST(what_cannot_be_added_is_answered_behind_what_it_saw)
{
	struct test_call first, second;
	test_call_init(&first, kinds[_i], "add", 1);
	test_call_init(&second, kinds[_i], "big", 2);
	snprintf(second.token, sizeof(second.token), "t");
	test_call_submit(&first);
	test_call_submit(&second);
	test_call_wait(&first);
	test_call_wait(&second);
	ck_assert_int_eq(first.call.status, STATUS_OK);
	ck_assert_int_eq(second.call.status, STATUS_RESOURCE_EXHAUSTED);
	ck_assert_uint_lt(first.order, second.order);
	test_call_done(&first);
	test_call_done(&second);
}
END_TEST

static bool none_left(void *arg)
{
	(void)arg;
	return shards_figures(world.shards).tokens == 0;
}

START_TEST(tokens_expire_after_their_life_and_not_before)
{
	struct test_call call;
	char token[16];
	for (unsigned i = 0; i < 150; i++) {
		snprintf(token, sizeof(token), "t%u", i);
		ck_assert_int_eq(run(&call, kinds[_i], "add", i + 1, token), STATUS_OK);
		test_call_done(&call);
	}
	ck_assert_uint_eq(shards_figures(world.shards).tokens, 150);
	sim_node_shift_clock(world.node, TOKEN_LIFE_MS - 60 * 1000);
	ck_assert_int_eq(run(&call, kinds[_i], "add", 1, "t0"), STATUS_OK);
	test_call_done(&call);
	ck_assert_uint_eq(world_get(kinds[_i]).revision, 150);
	ck_assert_uint_eq(shards_figures(world.shards).tokens, 150);
	sim_node_shift_clock(world.node, TOKEN_LIFE_MS + 60 * 1000);
	for (unsigned i = 0; i < 200 && !none_left(NULL); i++) {
		/* A server that is used. */
		(void)world_get(kinds[_i]);
		sim_node_shift_clock(world.node, TOKEN_LIFE_MS + (60 + i) * INT64_C(1000));
		world_step(20);
	}
	ck_assert(none_left(NULL));
	ck_assert_uint_eq(shards_figures(world.shards).token_bytes, 0);
	ck_assert_int_eq(run(&call, kinds[_i], "add", 1, "t0"), STATUS_OK);
	test_call_done(&call);
	ck_assert_uint_eq(world_get(kinds[_i]).revision, 151);
}
END_TEST

Suite *token_suite(void)
{
	Suite *suite = suite_create("token");
	TCase *tcase = tcase_create("tokens");
	tcase_add_checked_fixture(tcase, world_set_up, world_tear_down);
	tcase_add_loop_test(tcase, a_repeat_gets_the_first_reply_and_changes_nothing, 0, 2);
	tcase_add_loop_test(tcase, a_repeat_while_the_first_runs_waits_for_it, 0, 2);
	tcase_add_loop_test(tcase, a_token_outlives_its_entity_and_a_restart, 0, 2);
	tcase_add_loop_test(tcase, a_token_with_another_command_or_payload_is_refused, 0, 2);
	tcase_add_loop_test(tcase, a_repeat_gets_the_first_reply_when_its_command_is_gone, 0, 4);
	tcase_add_loop_test(tcase, failures_and_queries_are_not_remembered, 0, 2);
	tcase_add_loop_test(tcase,
	    a_reply_that_is_too_large_for_a_token_is_refused_before_anything_is_changed, 0, 2);
	tcase_add_loop_test(tcase, what_cannot_be_added_is_answered_behind_what_it_saw, 0, 2);
	tcase_add_loop_test(tcase, tokens_expire_after_their_life_and_not_before, 0, 2);
	suite_add_tcase(suite, tcase);
	return suite;
}
