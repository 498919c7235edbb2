/* The directory on several nodes: who knows what, who changes it, and who has activated what. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/io/io.h"
#include "base/mem.h"
#include "server/meta/meta_keys.h"
#include "storage/batch.h"
#include "tests/unit/meta/nodes_rig.h"
#include "tests/unit/meta/suites.h"

static bool has_version(void *arg)
{
	const struct rig_node *node = arg;
	return node->map && node->map->version >= rig.nodes[1].map->version &&
	       node->given == rig.row_count && node->under_way == 0;
}

static struct cluster_map *map_of(uint16_t number)
{
	return meta_map(rig.nodes[number].meta);
}

static bool has_member(void *arg)
{
	const struct rig_node *node = arg;
	return node->map && meta_node(node->meta) == node->number;
}

static void wait_for_all(uint16_t count)
{
	for (uint16_t i = 1; i <= count; i++)
		rig_run_until(has_version, &rig.nodes[i]);
}

/* ---- The map ---- */

START_TEST(a_new_cluster_is_its_first_node_alone)
{
	const struct cluster_map *map = map_of(1);
	ck_assert_uint_eq(rig.nodes[1].opened, 1);
	ck_assert_uint_eq(meta_node(rig.nodes[1].meta), 1);
	ck_assert(meta_leads(rig.nodes[1].meta));
	ck_assert_uint_eq(map->node_count, 1);
	ck_assert_uint_eq(map->replication_factor, 3);
	ck_assert_uint_eq(map->nodes[0].incarnation, 71);
	ck_assert_str_eq(map->nodes[0].host, "127.0.0.1");
	ck_assert_uint_eq(map->shard_count, SHARDS);
	for (uint32_t shard = 0; shard <= SHARDS; shard++) {
		ck_assert_uint_eq(map->shards[shard].count, 1);
		ck_assert_uint_eq(map->shards[shard].replicas[0].replica, 1);
		ck_assert(map->shards[shard].replicas[0].voter);
	}
	ck_assert_uint_eq(rig.row_count, 1);
}
END_TEST

/* It has the entries, which say that there is another node, and no more. */
START_TEST(a_node_that_is_not_let_in_yet_waits)
{
	rig_boot(2, true);
	rig_pass_ms(5000);
	ck_assert_uint_eq(rig.nodes[2].given, 1);
	ck_assert_uint_eq(rig.nodes[2].opened, 0);
	ck_assert_uint_eq(rig.row_count, 1);
}
END_TEST

START_TEST(a_node_without_entries_makes_no_cluster)
{
	rig.nodes[2].behind = true;
	rig_boot(2, true);
	rig_pass_ms(5000);
	ck_assert_uint_eq(rig.nodes[2].opened, 0);
	ck_assert_ptr_null(meta_cluster(rig.nodes[2].meta));
	ck_assert_ptr_null(map_of(2));
	ck_assert_int_eq(meta_error(rig.nodes[2].meta), 0);
	ck_assert_int_eq(rig_deploy(1, "shop", 1), STATUS_OK);
	struct rig_request join;
	rig_request_init(&join, META_NODE_JOIN);
	join.request.node = rig_self(2);
	ck_assert_int_eq(rig_run(&join, 1), STATUS_OK);
	ck_assert(rig_says(&join, "\"node\":2,\"shards\":8}"));
	rig_done(&join);
	rig.nodes[2].behind = false;
	rig_run_until(has_member, &rig.nodes[2]);
	wait_for_all(2);
	ck_assert_uint_eq(map_of(2)->node_count, 2);
	ck_assert_str_eq(map_of(2)->id, map_of(1)->id);
	const struct cluster_replica *replica = cluster_map_replica(map_of(2), 0, 2);
	ck_assert_uint_eq(replica->replica, cluster_replica_number(2, 1));
	ck_assert(replica->voter);
	ck_assert_ptr_null(cluster_map_replica(map_of(2), 1, 2));
	ck_assert_uint_eq(rig.nodes[2].opened, 1);
	ck_assert_uint_ge(rig.nodes[2].loads, 1);
}
END_TEST

START_TEST(who_asks_twice_to_join_is_one_node)
{
	struct rig_request join;
	rig_join(2);
	size_t rows = rig.row_count;
	for (unsigned i = 0; i < 2; i++) {
		rig_request_init(&join, META_NODE_JOIN);
		join.request.node = rig_self(2);
		join.request.node.port = (uint16_t)(8000 + i);
		ck_assert_int_eq(rig_run(&join, 1), STATUS_OK);
		ck_assert_uint_eq(join.request.node.node, 2);
		rig_done(&join);
		/* With another address it is an entry, and the same again is none. */
		rig_request_init(&join, META_NODE_SET);
		join.request.node = rig_self(2);
		join.request.node.port = (uint16_t)(8000 + i);
		ck_assert_int_eq(rig_run(&join, 1), STATUS_OK);
		rig_done(&join);
		ck_assert_uint_eq(rig.row_count, rows + i + 1);
	}
	wait_for_all(2);
	ck_assert_uint_eq(cluster_map_node(map_of(2), 2)->port, 8001);
	ck_assert_uint_eq(map_of(2)->node_count, 2);
}
END_TEST

START_TEST(what_waits_together_is_one_entry)
{
	struct rig_request requests[4];
	rig_join(2);
	rig_join(3);
	size_t rows = rig.row_count;
	for (unsigned i = 0; i < 4; i++) {
		rig_request_init(&requests[i], META_SHARD_SET);
		requests[i].request.shard = i < 3 ? i + 1 : 1;
		requests[i].request.expected_generation = 1;
		requests[i].wanted[0] = (struct meta_wanted){.node = 2, .voter = true};
		requests[i].wanted[1] = (struct meta_wanted){.node = 1, .voter = i == 0};
		requests[i].request.wanted_count = 2;
		rig_submit(&requests[i], 1);
	}
	for (unsigned i = 0; i < 4; i++) {
		rig_run_until(rig_is_done, &requests[i]);
		/* The last one wanted the shard as it was before the first. */
		ck_assert_int_eq(requests[i].request.status, i < 3 ? STATUS_OK : STATUS_ABORTED);
		if (i == 0)
			ck_assert(rig_says(&requests[i],
			    "{\"generation\":2,\"replicas\":[{\"node\":1,\"replica\":1,"
			    "\"voter\":true},{\"node\":2,\"replica\":65538,\"voter\":true}],"
			    "\"shard\":1}"));
		rig_done(&requests[i]);
	}
	ck_assert_uint_eq(rig.row_count, rows + 1);
	wait_for_all(3);
	for (uint16_t node = 1; node <= 3; node++) {
		ck_assert_uint_eq(map_of(node)->shards[1].generation, 2);
		ck_assert(cluster_map_replica(map_of(node), 1, 1)->voter);
		ck_assert(!cluster_map_replica(map_of(node), 3, 1)->voter);
	}
}
END_TEST

START_TEST(of_two_that_ask_for_an_address_in_one_turn_one_gets_it)
{
	struct rig_request requests[2];
	rig_join(2);
	rig_join(3);
	size_t rows = rig.row_count;
	for (uint16_t i = 0; i < 2; i++) {
		rig_request_init(&requests[i], META_NODE_SET);
		requests[i].request.node = rig_self((uint16_t)(2 + i));
		requests[i].request.node.port = 8000;
		rig_submit(&requests[i], 1);
	}
	for (unsigned i = 0; i < 2; i++)
		rig_run_until(rig_is_done, &requests[i]);
	ck_assert_int_eq(requests[0].request.status, STATUS_OK);
	ck_assert_int_eq(requests[1].request.status, STATUS_FAILED_PRECONDITION);
	ck_assert(rig_says(&requests[1], "node 2 ("));
	ck_assert(rig_says(&requests[1], ", port 8000) has this address"));
	rig_done(&requests[0]);
	rig_done(&requests[1]);
	ck_assert_uint_eq(rig.row_count, rows + 1);
	wait_for_all(3);
	ck_assert_uint_eq(cluster_map_node(map_of(3), 2)->port, 8000);
	ck_assert_uint_ne(cluster_map_node(map_of(3), 3)->port, 8000);
}
END_TEST

/* It is nobody's guess whether a state that is seen is older than what was answered. */
START_TEST(a_drain_says_since_which_version_it_is_so)
{
	static const enum meta_verb verbs[] = {META_NODE_DRAIN, META_NODE_DRAIN, META_NODE_UNDRAIN};
	struct rig_request change;
	char text[64];
	uint64_t before = 0;
	rig_join(2);
	for (unsigned i = 0; i < 3; i++) {
		rig_request_init(&change, verbs[i]);
		change.request.node.node = 2;
		ck_assert_int_eq(rig_run(&change, 1), STATUS_OK);
		uint64_t version = map_of(1)->version;
		snprintf(text, sizeof(text),
		    "{\"node\":2,\"state\":\"%s\",\"version\":%" PRIu64 "}",
		    i < 2 ? "draining" : "member", version);
		ck_assert(rig_says(&change, text));
		/* Once more changes nothing. */
		ck_assert(i == 1 ? version == before : version > before);
		before = version;
		rig_done(&change);
	}
	rig_request_init(&change, META_NODE_DRAIN);
	change.request.node.node = 2;
	change.request.dry_run = true;
	ck_assert_int_eq(rig_run(&change, 1), STATUS_OK);
	ck_assert(rig_says(&change, "{\"node\":2,\"state\":\"draining\"}"));
	rig_done(&change);
}
END_TEST

START_TEST(a_follower_refuses_changes_and_says_who_leads)
{
	struct rig_request set, list;
	rig_join(2);
	rig_request_init(&set, META_CLUSTER_SET);
	set.request.replication_factor = 5;
	ck_assert_int_eq(rig_run(&set, 2), STATUS_UNAVAILABLE);
	ck_assert_uint_eq(set.request.leader_node, 1);
	rig_done(&set);
	struct rig_request test;
	rig_deploy_init(&test, "shop", 1);
	ck_assert_int_eq(rig_run(&test, 2), STATUS_UNAVAILABLE);
	ck_assert_uint_eq(test.request.leader_node, 1);
	rig_done(&test);
	ck_assert_int_eq(rig_deploy(1, "shop", 1), STATUS_OK);
	wait_for_all(2);
	rig_request_init(&list, META_APP_LIST);
	ck_assert_int_eq(rig_run(&list, 2), STATUS_OK);
	ck_assert(rig_says(&list, "{\"app\":\"shop\",\"generation\":1,"));
	rig_done(&list);
	rig_request_init(&set, META_CLUSTER_SET);
	set.request.replication_factor = 5;
	ck_assert_int_eq(rig_run(&set, 1), STATUS_OK);
	rig_done(&set);
	wait_for_all(2);
	ck_assert_uint_eq(map_of(2)->replication_factor, 5);
}
END_TEST

START_TEST(a_follower_that_starts_again_knows_what_it_knew)
{
	rig_join(2);
	ck_assert_int_eq(rig_deploy(1, "shop", 1), STATUS_OK);
	wait_for_all(2);
	uint64_t version = map_of(2)->version;
	rig_pass_ms(100);
	rig_crash(2);
	rig.nodes[2].behind = true;
	ck_assert_int_eq(rig_set_state(1, META_NODE_DRAIN, 2, false), STATUS_OK);
	rig_boot(2, false);
	rig_pass_ms(1000);
	ck_assert_uint_eq(rig.nodes[2].ready, 1);
	ck_assert_uint_eq(rig.nodes[2].loads, 1);
	ck_assert_uint_ge(map_of(2)->version, version);
	ck_assert_int_eq(cluster_map_node(map_of(2), 2)->state, CLUSTER_NODE_MEMBER);
	rig.nodes[2].behind = false;
	wait_for_all(2);
	ck_assert_int_eq(cluster_map_node(map_of(2), 2)->state, CLUSTER_NODE_DRAINING);
}
END_TEST

START_TEST(a_map_without_the_own_number_is_of_before)
{
	struct rig_request damaged;
	rig_join(2);
	rig_join(3);
	wait_for_all(3);
	ck_assert(map_of(2)->is_caught_up);
	rig_pass_ms(100);
	rig_crash(2);
	/* What it is told it will be, in place of one that is damaged. */
	rig.nodes[2].replica = cluster_replica_number(2, 3);
	rig_boot(2, true);
	rig_pass_ms(1000);
	ck_assert_uint_eq(rig.nodes[2].ready, 1);
	ck_assert(!map_of(2)->is_caught_up);
	rig_request_init(&damaged, META_SHARD_DAMAGED);
	damaged.request.node.node = 2;
	damaged.request.expected_generation = map_of(1)->shards[0].generation;
	ck_assert_int_eq(rig_run(&damaged, 1), STATUS_OK);
	rig_done(&damaged);
	wait_for_all(3);
	ck_assert_uint_eq(
	    cluster_map_replica(map_of(2), 0, 2)->replica, cluster_replica_number(2, 3));
	ck_assert(map_of(2)->is_caught_up);
}
END_TEST

START_TEST(a_state_that_comes_as_a_whole_is_read_anew)
{
	rig_join(2);
	ck_assert_int_eq(rig_deploy(1, "shop", 1), STATUS_OK);
	ck_assert_int_eq(rig_deploy(1, "other", 1), STATUS_OK);
	wait_for_all(2);
	rig_pass_ms(100);
	unsigned loads = rig.nodes[2].loads;
	rig.nodes[2].behind = true;
	rig_join(3);
	ck_assert_int_eq(rig_deploy(1, "shop", 2), STATUS_OK);
	ck_assert_uint_eq(map_of(2)->node_count, 2);
	rig_install(2);
	wait_for_all(2);
	rig_pass_ms(100);
	ck_assert_uint_eq(map_of(2)->node_count, 3);
	ck_assert_uint_eq(rig.nodes[2].loads, loads + 1); /* the other is as it was */
	rig_lead(2);
	ck_assert_int_eq(rig_deploy(2, "shop", 3), STATUS_OK);
	ck_assert_int_eq(rig_deploy(2, "other", 2), STATUS_OK);
	ck_assert_uint_eq(rig.shard_has[1], 5);
}
END_TEST

static bool loads(void *arg)
{
	const struct rig_node *node = arg;
	return node->asked_load;
}

static void closes(void *arg)
{
	struct rig_node *node = arg;
	node->events->closed(node->events_arg);
}

/* While it works on one request, and has another one behind it. */
static void close_amid_requests(struct rig_request *begun, struct rig_request *behind)
{
	struct rig_node *node = &rig.nodes[1];
	node->hold = true;
	rig_deploy_init(begun, "shop", 1);
	rig_deploy_init(behind, "other", 1);
	rig_submit(begun, 1);
	rig_run_until(loads, node);
	rig_submit(behind, 1);
	rig_do(1, closes, node);
	node->hold = false;
	rig_run_until(rig_is_done, begun);
	rig_run_until(rig_is_done, behind);
}

START_TEST(damage_is_no_answer_while_others_have_the_directory)
{
	struct rig_request begun, behind;
	rig_join(2);
	rig_join(3);
	wait_for_all(3);
	close_amid_requests(&begun, &behind);
	ck_assert_int_eq(begun.request.status, STATUS_UNAVAILABLE);
	ck_assert_int_eq(behind.request.status, STATUS_UNAVAILABLE);
	rig_done(&begun);
	rig_done(&behind);
	rig_lead(2);
	ck_assert_int_eq(rig_deploy(2, "shop", 1), STATUS_OK);
	/* And who leads then is said. */
	rig_deploy_init(&behind, "other", 1);
	ck_assert_int_eq(rig_run(&behind, 1), STATUS_UNAVAILABLE);
	ck_assert_uint_eq(behind.request.leader_node, 2);
	rig_done(&behind);
}
END_TEST

START_TEST(damage_is_said_where_nobody_else_has_the_directory)
{
	struct rig_request begun, behind;
	close_amid_requests(&begun, &behind);
	ck_assert_int_eq(begun.request.status, STATUS_DATA_LOSS);
	ck_assert_int_eq(behind.request.status, STATUS_DATA_LOSS);
	rig_done(&begun);
	rig_done(&behind);
}
END_TEST

START_TEST(a_state_that_is_being_replaced_is_no_damage)
{
	rig_join(2);
	ck_assert_int_eq(rig_deploy(1, "shop", 1), STATUS_OK);
	wait_for_all(2);
	rig_pass_ms(100);
	rig_fence(2, true);
	rig_install(2);
	rig_pass_ms(300);
	rig_fence(2, false);
	rig_pass_ms(300);
	rig_lead(2);
	ck_assert_int_eq(rig_deploy(2, "shop", 2), STATUS_OK);
}
END_TEST

START_TEST(another_leader_goes_on_with_what_there_is)
{
	struct rig_request set;
	rig_join(2);
	ck_assert_int_eq(rig_deploy(1, "shop", 1), STATUS_OK);
	rig_lead(2);
	ck_assert(meta_leads(rig.nodes[2].meta) && !meta_leads(rig.nodes[1].meta));
	ck_assert_int_eq(rig_deploy(2, "shop", 2), STATUS_OK);
	ck_assert_uint_eq(rig.shard_has[1], 2);
	rig_request_init(&set, META_CLUSTER_SET);
	set.request.replication_factor = 1;
	ck_assert_int_eq(rig_run(&set, 1), STATUS_UNAVAILABLE);
	ck_assert_uint_eq(set.request.leader_node, 2);
	rig_done(&set);
	rig_join(3);
	wait_for_all(3);
	ck_assert_uint_eq(map_of(1)->node_count, 3);
	rig_lead(1);
	ck_assert_int_eq(rig_deploy(1, "other", 1), STATUS_OK);
	ck_assert_uint_eq(rig.shard_has[1], 3);
}
END_TEST

START_TEST(what_was_proposed_when_leadership_went_is_in_doubt)
{
	struct rig_request set;
	rig_join(2);
	rig_request_init(&set, META_CLUSTER_SET);
	set.request.replication_factor = 2;
	size_t rows = rig.row_count;
	rig_submit(&set, 1);
	while (rig.row_count == rows)
		ck_assert(sim_step(rig.sim));
	rig_lead(0);
	ck_assert(set.done);
	ck_assert_int_eq(set.request.status, STATUS_UNKNOWN_OUTCOME);
	rig_done(&set);
	rig_lead(2);
	wait_for_all(2);
	ck_assert_uint_eq(map_of(1)->replication_factor, 2);
	ck_assert_uint_eq(map_of(2)->replication_factor, 2);
}
END_TEST

/* ---- An earlier version's ---- */

/* What it wrote: the cluster's short record and apps, and nothing of nodes. */
static void make_old(void *arg)
{
	uint8_t batch[512], record[64] = {0x94, 1, 0xd9, 32};
	uint8_t key[5] = {META_KEY_CLUSTER};
	struct group_position at;
	struct writer out = writer_of(batch, sizeof(batch));
	struct rig_node *node = arg;
	memcpy(record + 4, "0123456789abcdef0123456789abcdef", 32);
	record[36] = SHARDS;
	record[37] = 9; /* created_ms */
	batch_begin(&out);
	batch_put(&out, slice_of(key, 1), slice_of(record, 38));
	key[0] = META_KEY_NODE;
	store_u16be(key + 1, 1);
	batch_delete(&out, slice_of(key, 3));
	key[0] = META_KEY_SHARD;
	for (uint32_t i = 0; i <= SHARDS; i++) {
		store_u32be(key + 1, i);
		batch_delete(&out, slice_of(key, 5));
	}
	ck_assert_int_eq(group_reserve(node->group, sizeof(batch), 1, true), 0);
	group_unreserve(node->group, sizeof(batch), 1);
	group_propose(node->group, writer_view(&out), &at);
}

START_TEST(a_directory_of_an_earlier_version_gets_its_nodes)
{
	ck_assert_int_eq(rig_deploy(1, "shop", 1), STATUS_OK);
	rig_do(1, make_old, &rig.nodes[1]);
	rig_pass_ms(100);
	rig_crash(1);
	rig.leader = 1;
	rig_boot(1, false);
	rig_pass_ms(1000);
	ck_assert_uint_eq(rig.nodes[1].ready, 1);
	ck_assert_uint_eq(rig.nodes[1].loads, 1);
	ck_assert_str_eq(map_of(1)->id, "0123456789abcdef0123456789abcdef");
	ck_assert_uint_eq(map_of(1)->replication_factor, 3);
	ck_assert_uint_eq(map_of(1)->shards[SHARDS].replicas[0].replica, 1);
	size_t rows = rig.row_count;
	rig_join(2);
	ck_assert_uint_eq(rig.row_count, rows + 1);
	rig_crash(1);
	rig.leader = 1;
	rig_boot(1, false);
	rig_pass_ms(1000);
	ck_assert_uint_eq(map_of(1)->node_count, 2);
	ck_assert_uint_eq(rig.row_count, rows + 1);
}
END_TEST

Suite *nodes_suite(void)
{
	Suite *suite = suite_create("nodes");
	TCase *tcase = tcase_create("nodes");
	tcase_add_checked_fixture(tcase, rig_set_up, rig_tear_down);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, a_new_cluster_is_its_first_node_alone);
	tcase_add_test(tcase, a_node_that_is_not_let_in_yet_waits);
	tcase_add_test(tcase, a_node_without_entries_makes_no_cluster);
	tcase_add_test(tcase, who_asks_twice_to_join_is_one_node);
	tcase_add_test(tcase, what_waits_together_is_one_entry);
	tcase_add_test(tcase, of_two_that_ask_for_an_address_in_one_turn_one_gets_it);
	tcase_add_test(tcase, a_drain_says_since_which_version_it_is_so);
	tcase_add_test(tcase, a_follower_refuses_changes_and_says_who_leads);
	tcase_add_test(tcase, a_follower_that_starts_again_knows_what_it_knew);
	tcase_add_test(tcase, a_map_without_the_own_number_is_of_before);
	tcase_add_test(tcase, a_state_that_comes_as_a_whole_is_read_anew);
	tcase_add_test(tcase, damage_is_no_answer_while_others_have_the_directory);
	tcase_add_test(tcase, damage_is_said_where_nobody_else_has_the_directory);
	tcase_add_test(tcase, a_state_that_is_being_replaced_is_no_damage);
	tcase_add_test(tcase, another_leader_goes_on_with_what_there_is);
	tcase_add_test(tcase, what_was_proposed_when_leadership_went_is_in_doubt);
	tcase_add_test(tcase, a_directory_of_an_earlier_version_gets_its_nodes);
	suite_add_tcase(suite, tcase);
	return suite;
}
