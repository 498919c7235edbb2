/* Deployments on several nodes: who has what, how the leader hears of it, and what comes of
 * messages that are lost, late or none at all. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/unit/meta/nodes_rig.h"
#include "tests/unit/meta/suites.h"

static void set_up(void)
{
	rig_set_up();
	rig_join(2);
	rig_join(3);
	for (uint32_t shard = 1; shard <= SHARDS; shard++)
		rig_move_shard(shard, (uint16_t)(1 + shard % 3));
}

static void expect_all(uint64_t generation)
{
	for (uint32_t shard = 1; shard <= SHARDS; shard++)
		ck_assert_uint_eq(rig.shard_has[shard], generation);
}

static uint32_t pending_at(uint16_t node)
{
	return meta_pending(rig.nodes[node].meta);
}

START_TEST(a_deployment_is_done_when_every_node_has_told)
{
	struct rig_request test;
	unsigned loads = rig.nodes[2].loads;
	rig_deploy_init(&test, "shop", 1);
	ck_assert_int_eq(rig_run(&test, 1), STATUS_OK);
	ck_assert(rig_says(&test, "\"pending\":0,"));
	rig_done(&test);
	expect_all(1);
	ck_assert_uint_eq(rig.nodes[2].loads, loads + 1);
	ck_assert_uint_eq(pending_at(1) + pending_at(2) + pending_at(3), 0);
	/* The next one, and one that is active already. */
	ck_assert_int_eq(rig_deploy(1, "shop", 2), STATUS_OK);
	expect_all(2);
	uint64_t began_ns = sim_now_ns(rig.sim);
	rig_deploy_init(&test, "shop", 2);
	ck_assert_int_eq(rig_run(&test, 1), STATUS_OK);
	ck_assert(rig_says(&test, "\"pending\":0,"));
	ck_assert(rig_says(&test, "\"unchanged\":true"));
	rig_done(&test);
	ck_assert_uint_lt(sim_now_ns(rig.sim) - began_ns, NS_PER_S);
}
END_TEST

START_TEST(a_removal_reaches_every_node)
{
	struct rig_request test;
	struct slice drop = slice_from_text("shop_box");
	ck_assert_int_eq(rig_deploy(1, "shop", 1), STATUS_OK);
	rig_request_init(&test, META_APP_REMOVE);
	test.request.app = slice_from_text("shop");
	test.request.drop = &drop;
	test.request.drop_count = 1;
	ck_assert_int_eq(rig_run(&test, 1), STATUS_OK);
	ck_assert(rig_says(&test, "\"pending\":0,"));
	rig_done(&test);
	expect_all(2);
}
END_TEST

static bool has_none_pending(void *arg)
{
	return meta_pending(((struct rig_node *)arg)->meta) == 0;
}

START_TEST(what_is_lost_is_asked_for_again)
{
	struct rig_request test;
	rig.drops_messages = true;
	uint64_t began_ns = sim_now_ns(rig.sim);
	rig_deploy_init(&test, "shop", 1);
	ck_assert_int_eq(rig_run(&test, 1), STATUS_OK);
	/* Shards 3 and 6 are led here. */
	ck_assert(rig_says(&test, "\"pending\":6,\"pending_shards\":[1,2,4,5,7,8],"));
	rig_done(&test);
	ck_assert_uint_ge(sim_now_ns(rig.sim) - began_ns, CALL_TIMEOUT_MS * NS_PER_MS);
	ck_assert_uint_eq(pending_at(1), 6);
	expect_all(1); /* it is only not known */
	rig.drops_messages = false;
	rig_run_until(has_none_pending, &rig.nodes[1]);
	/* Nobody is asked for ever. */
	rig_pass_ms(1000);
	unsigned messages = rig.messages;
	rig_pass_ms(70 * 1000);
	ck_assert_uint_eq(rig.messages, messages);
}
END_TEST

START_TEST(messages_that_come_back_in_time_end_the_wait)
{
	struct rig_request test;
	rig.drops_messages = true;
	rig_deploy_init(&test, "shop", 1);
	rig_submit(&test, 1);
	rig_pass_ms(1500);
	ck_assert(!test.done);
	rig.drops_messages = false;
	rig_run_until(rig_is_done, &test);
	ck_assert_int_eq(test.request.status, STATUS_OK);
	ck_assert(rig_says(&test, "\"pending\":0,"));
	rig_done(&test);
}
END_TEST

START_TEST(a_shard_that_refuses_is_pending_at_both)
{
	struct rig_request test;
	rig.shard_refuses[1] = true; /* led by node 2 */
	rig_deploy_init(&test, "shop", 1);
	ck_assert_int_eq(rig_run(&test, 1), STATUS_OK);
	ck_assert(rig_says(&test, "\"pending\":1,\"pending_shards\":[1],"));
	rig_done(&test);
	ck_assert_uint_eq(pending_at(1), 1);
	ck_assert_uint_eq(pending_at(2), 1);
	ck_assert_uint_eq(pending_at(3), 0);
	rig.shard_refuses[1] = false;
	rig_run_until(has_none_pending, &rig.nodes[1]);
	rig_run_until(has_none_pending, &rig.nodes[2]);
	expect_all(1);
}
END_TEST

START_TEST(a_shard_that_another_node_leads_gets_what_it_lacks_there)
{
	struct rig_request test;
	rig_move_shard(1, 0); /* between leaders */
	rig_deploy_init(&test, "shop", 1);
	rig_submit(&test, 1);
	rig_pass_ms(500);
	ck_assert(!test.done);
	ck_assert_uint_eq(rig.shard_has[1], 0);
	rig_move_shard(1, 3);
	rig_pass_ms(100);
	ck_assert(test.done);
	ck_assert(rig_says(&test, "\"pending\":0,"));
	rig_done(&test);
	expect_all(1);
	/* At the directory's leader itself, while it waits. */
	rig_move_shard(1, 0);
	rig_deploy_init(&test, "shop", 2);
	rig_submit(&test, 1);
	rig_pass_ms(500);
	ck_assert(!test.done);
	rig_move_shard(1, 1);
	rig_pass_ms(100);
	ck_assert(test.done);
	rig_done(&test);
	expect_all(2);
	/* And when nobody waits any more. */
	rig_move_shard(1, 0);
	ck_assert_int_eq(rig_deploy(1, "shop", 3), STATUS_OK);
	ck_assert_uint_eq(pending_at(1), 1);
	rig_move_shard(1, 2);
	rig_run_until(has_none_pending, &rig.nodes[1]);
	expect_all(3);
}
END_TEST

START_TEST(a_shard_that_has_all_and_leads_elsewhere_is_not_asked)
{
	ck_assert_int_eq(rig_deploy(1, "shop", 1), STATUS_OK);
	rig_pass_ms(3000);
	unsigned activations = rig.nodes[1].activations;
	rig_move_shard(3, 1); /* it was led there before */
	rig_pass_ms(1000);
	ck_assert_uint_eq(rig.nodes[1].activations, activations);
}
END_TEST

START_TEST(a_node_that_is_behind_activates_when_it_comes)
{
	struct rig_request test;
	rig.nodes[2].behind = true;
	rig_deploy_init(&test, "shop", 1);
	rig_submit(&test, 1);
	rig_pass_ms(2000);
	ck_assert(!test.done);
	rig.nodes[2].behind = false;
	rig_pass_ms(200);
	ck_assert(test.done);
	ck_assert(rig_says(&test, "\"pending\":0,"));
	rig_done(&test);
}
END_TEST

/* The new one does not know what the one before was told. */
START_TEST(a_new_leader_asks_everybody)
{
	struct rig_request test;
	rig.shard_refuses[2] = true; /* led by node 3 */
	rig_deploy_init(&test, "shop", 1);
	rig_submit(&test, 1);
	rig_pass_ms(500);
	rig_lead(0);
	ck_assert(test.done);
	ck_assert_int_eq(test.request.status, STATUS_UNKNOWN_OUTCOME);
	rig_done(&test);
	rig_lead(2);
	rig_pass_ms(500);
	ck_assert_uint_eq(pending_at(2), 1);
	rig.shard_refuses[2] = false;
	rig_run_until(has_none_pending, &rig.nodes[2]);
	expect_all(1);
	ck_assert_int_eq(rig_deploy(2, "shop", 2), STATUS_OK);
	expect_all(2);
}
END_TEST

/* What is replaced while the cores have it is not touched any more. */
START_TEST(versions_that_follow_at_once_all_come)
{
	rig.nodes[2].hold = true;
	struct rig_request tests[3];
	for (int i = 0; i < 3; i++) {
		rig_deploy_init(&tests[i], "shop", i);
		rig_submit(&tests[i], 1);
		rig_pass_ms(6000);
		ck_assert(tests[i].done);
		rig_done(&tests[i]);
	}
	ck_assert(rig.nodes[2].asked_load);
	rig.nodes[2].hold = false;
	rig_run_until(has_none_pending, &rig.nodes[1]);
	expect_all(3);
}
END_TEST

/* ---- Messages that are none ---- */

struct from_nowhere {
	uint8_t data[64];
	size_t bytes;
};

static void tell_in_process(void *arg)
{
	const struct from_nowhere *message = arg;
	meta_told(rig.nodes[1].meta, 2, slice_of(message->data, message->bytes));
}

static void tell_it(const struct from_nowhere *message)
{
	rig_do(1, tell_in_process, (void *)(uintptr_t)message);
}

/* HAVE of every shard, format 1. */
static struct from_nowhere have_all(void)
{
	return (struct from_nowhere){
	    .data = {1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 4, 's', 'h', 'o', 'p', SHARDS, 0, 0, 0, 0xfe, 1},
	    .bytes = 21};
}

START_TEST(messages_that_are_malformed_change_nothing)
{
	for (uint32_t shard = 1; shard <= SHARDS; shard++)
		rig.shard_refuses[shard] = true;
	ck_assert_int_eq(rig_deploy(1, "shop", 1), STATUS_OK);
	ck_assert_uint_eq(pending_at(1), SHARDS);
	const struct from_nowhere good = have_all();
	for (size_t bytes = 0; bytes < good.bytes; bytes++) {
		struct from_nowhere cut = good;
		cut.bytes = bytes;
		tell_it(&cut);
		ck_assert_uint_eq(pending_at(1), SHARDS);
	}
	/* Header, shard 0, and shards above the last; fewer shards would be as good as all. */
	for (size_t bit = 0; bit < good.bytes * 8; bit++) {
		struct from_nowhere changed = good;
		if (bit >= 19 * 8 + 1 && bit < 19 * 8 + 1 + SHARDS)
			continue;
		changed.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		tell_it(&changed);
		ck_assert_uint_eq(pending_at(1), SHARDS);
	}
	struct from_nowhere longer = good;
	longer.bytes++;
	tell_it(&longer);
	ck_assert_uint_eq(pending_at(1), SHARDS);
	tell_it(&good);
	ck_assert_uint_eq(pending_at(1), 0);
}
END_TEST

Suite *told_suite(void)
{
	Suite *suite = suite_create("told");
	TCase *tcase = tcase_create("told");
	tcase_add_checked_fixture(tcase, set_up, rig_tear_down);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, a_deployment_is_done_when_every_node_has_told);
	tcase_add_test(tcase, a_removal_reaches_every_node);
	tcase_add_test(tcase, what_is_lost_is_asked_for_again);
	tcase_add_test(tcase, messages_that_come_back_in_time_end_the_wait);
	tcase_add_test(tcase, a_shard_that_refuses_is_pending_at_both);
	tcase_add_test(tcase, a_shard_that_another_node_leads_gets_what_it_lacks_there);
	tcase_add_test(tcase, a_shard_that_has_all_and_leads_elsewhere_is_not_asked);
	tcase_add_test(tcase, a_node_that_is_behind_activates_when_it_comes);
	tcase_add_test(tcase, a_new_leader_asks_everybody);
	tcase_add_test(tcase, versions_that_follow_at_once_all_come);
	tcase_add_test(tcase, messages_that_are_malformed_change_nothing);
	suite_add_tcase(suite, tcase);
	return suite;
}
