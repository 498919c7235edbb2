#include "tests/unit/meta/placement_rig.h"

#include "base/mem.h"

START_TEST(a_cluster_grows_with_no_more_moves_than_it_takes)
{
	struct cluster cluster;
	cluster_begin(&cluster, 5, 128, 3);
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster.changes + cluster.transfers, 0);
	/* Two more of each; of 128 leaders one node keeps 43. */
	cluster_join_many(&cluster, 2);
	cluster_run(&cluster);
	cluster_assert_voters(&cluster, 3);
	cluster_assert_even(&cluster);
	ck_assert_uint_eq(cluster.changes, 128);
	ck_assert_uint_eq(cluster.added, 256);
	ck_assert_uint_eq(cluster.transfers, 128 - 43);
	/* 384 replicas on five nodes: 77 are on each of the first three, at most. */
	cluster_join_many(&cluster, 2);
	cluster_run(&cluster);
	cluster_assert_voters(&cluster, 3);
	cluster_assert_even(&cluster);
	ck_assert_uint_eq(cluster.changes, 384 - 3 * 77);
	ck_assert_uint_eq(cluster.added, 384 - 3 * 77);
	/* And nothing more. */
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster.changes + cluster.transfers, 0);
	cluster_end(&cluster);
}
END_TEST

START_TEST(a_cluster_shrinks_with_no_more_moves_than_it_takes)
{
	struct cluster cluster;
	cluster_begin_even(&cluster, 5, 128, 3, 5);
	uint32_t there = cluster_replicas(&cluster, 2) + cluster_replicas(&cluster, 5);
	cluster_drain(&cluster, 2);
	cluster_drain(&cluster, 5);
	cluster_run(&cluster);
	cluster_assert_voters(&cluster, 3);
	cluster_assert_even(&cluster);
	ck_assert_uint_eq(cluster.added, there);
	ck_assert_uint_eq(cluster_replicas(&cluster, 2) + cluster_replicas(&cluster, 5), 0);
	/* Of three the third goes to nobody: there are two voters. */
	cluster_drain(&cluster, 3);
	cluster_run(&cluster);
	cluster_assert_voters(&cluster, 2);
	ck_assert_uint_eq(cluster.added, 0);
	ck_assert_uint_eq(cluster.changes, 129);
	cluster_drain(&cluster, 4);
	cluster_run(&cluster);
	cluster_assert_voters(&cluster, 1);
	/* The last one has nowhere to go. */
	cluster_drain(&cluster, 1);
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster.changes + cluster.transfers, 0);
	cluster_end(&cluster);
}
END_TEST

START_TEST(the_factor_may_change)
{
	struct cluster cluster;
	cluster_begin_even(&cluster, 6, 30, 3, 6);
	cluster_assert_voters(&cluster, 3);
	cluster.map->replication_factor = 5;
	cluster_run(&cluster);
	cluster_assert_voters(&cluster, 5);
	cluster_assert_even(&cluster);
	/* Of the last ones some have to stand where there are more already. */
	ck_assert_uint_ge(cluster.added, 60);
	ck_assert_uint_le(cluster.added, 66);
	cluster.map->replication_factor = 3;
	cluster_run(&cluster);
	cluster_assert_voters(&cluster, 3);
	cluster_assert_even(&cluster);
	ck_assert_uint_le(cluster.added, 6);
	cluster_end(&cluster);
}
END_TEST

START_TEST(replicas_stand_in_different_zones)
{
	static const char *const zones[] = {"a", "a", "b", "b", "c", "c"};
	struct cluster cluster;
	cluster_begin(&cluster, 10, 60, 3);
	/* Node 1 has no zone, and then one, too. */
	for (size_t i = 1; i < sizeof(zones) / sizeof(zones[0]); i++)
		cluster_join(&cluster, zones[i]);
	cluster_run(&cluster);
	cluster_set_zone(&cluster, 1, zones[0]);
	cluster_run(&cluster);
	for (uint32_t shard = 1; shard <= 60; shard++)
		ck_assert_uint_eq(cluster_crowd(&cluster, shard), 1);
	/* Five of six nodes vote in the directory, two of one zone at most. */
	ck_assert_uint_eq(cluster_voters(&cluster.map->shards[0]), 5);
	ck_assert_uint_eq(cluster_crowd(&cluster, 0), 2);
	cluster_assert_even(&cluster);
	/* Five replicas in three zones: none has a majority of them. */
	cluster.map->replication_factor = 5;
	cluster_run(&cluster);
	for (uint32_t shard = 1; shard <= 60; shard++)
		ck_assert_uint_eq(cluster_crowd(&cluster, shard), 2);
	cluster_end(&cluster);
}
END_TEST

START_TEST(zones_count_without_rebalancing_too)
{
	static const char *const zones[] = {"b", "c", "a", "a", "a", "b"};
	struct cluster cluster;
	cluster_begin(&cluster, 10, 20, 3);
	cluster_set_zone(&cluster, 1, "a");
	cluster.rebalance = false;
	for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++)
		cluster_join(&cluster, zones[i]);
	cluster_run(&cluster);
	for (uint32_t shard = 1; shard <= 20; shard++)
		ck_assert_uint_eq(cluster_crowd(&cluster, shard), 1);
	cluster.map->replication_factor = 5;
	cluster_run(&cluster);
	cluster.map->replication_factor = 3;
	cluster_run(&cluster);
	cluster_assert_voters(&cluster, 3);
	for (uint32_t shard = 1; shard <= 20; shard++)
		ck_assert_uint_eq(cluster_crowd(&cluster, shard), 1);
	cluster_end(&cluster);
}
END_TEST

START_TEST(a_crowded_zone_gives_way_to_one_that_comes)
{
	struct cluster cluster;
	cluster_begin(&cluster, 4, 24, 3);
	cluster_set_zone(&cluster, 1, "a");
	cluster_join(&cluster, "a");
	cluster_join(&cluster, "a");
	cluster_run(&cluster);
	cluster_join(&cluster, "b");
	cluster.rebalance = false;
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster.changes, 0);
	/* Each has one there, though that is more than the node's share. */
	cluster.rebalance = true;
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster.added, 24);
	ck_assert_uint_eq(cluster_replicas(&cluster, 4), 24);
	for (uint32_t shard = 0; shard <= 24; shard++)
		ck_assert_uint_le(cluster_crowd(&cluster, shard), shard ? 2 : 3);
	cluster_end(&cluster);
}
END_TEST

START_TEST(who_is_dead_for_long_is_replaced)
{
	struct cluster cluster;
	cluster_begin_even(&cluster, 5, 40, 3, 5);
	uint32_t there = cluster_replicas(&cluster, 4);
	cluster_kill(&cluster, 4, RIG_DEAD_MS_MAX - 1);
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster.changes, 0);
	cluster_kill(&cluster, 4, RIG_DEAD_MS_MAX);
	cluster_run(&cluster);
	/* Of the last ones some have to stand where there are more already. */
	ck_assert_uint_ge(cluster.added, there);
	ck_assert_uint_le(cluster.added, there + there / 4);
	ck_assert_uint_eq(cluster_replicas(&cluster, 4), 0);
	/* It had a vote in the directory, which nobody else could take. */
	ck_assert_uint_eq(cluster_voters(&cluster.map->shards[0]), 5);
	/* One more, and then one: three are needed, and its replicas stay where they are. */
	cluster_kill(&cluster, 5, RIG_DEAD_MS_MAX);
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster_replicas(&cluster, 5), 0);
	ck_assert_uint_eq(cluster_voters(&cluster.map->shards[0]), 3);
	cluster_assert_voters(&cluster, 3);
	cluster_kill(&cluster, 3, RIG_DEAD_MS_MAX);
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster.changes, 0);
	cluster_assert_voters(&cluster, 3);
	/* Who comes back gets its share. */
	cluster_kill(&cluster, 3, 0);
	cluster_kill(&cluster, 4, 0);
	cluster_kill(&cluster, 5, 0);
	cluster_run(&cluster);
	cluster_assert_voters(&cluster, 3);
	cluster_assert_even(&cluster);
	ck_assert_uint_eq(cluster_voters(&cluster.map->shards[0]), 5);
	cluster_end(&cluster);
}
END_TEST

/* Of so many nodes some are dead for long: so many vote in the directory then. */
START_TEST(in_the_directory_a_dead_vote_stays_only_where_it_makes_no_even_number)
{
	static const struct {
		uint32_t nodes, dead, votes, dead_votes;
	} cases[] = {{3, 1, 3, 1}, {4, 1, 3, 0}, {5, 1, 5, 1}, {5, 2, 3, 0}, {6, 1, 5, 0},
	    {6, 2, 5, 1}, {7, 1, 5, 0}, {7, 2, 5, 0}, {7, 3, 5, 1}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cluster cluster;
		cluster_begin_even(&cluster, 7, 6, 3, cases[i].nodes);
		const struct cluster_shard *directory = &cluster.map->shards[0];
		uint32_t votes = cluster_voters(directory), dead_votes = 0;
		/* One after the other, so that there is a majority; each keeps its vote until it is
		 * taken for lost. */
		for (uint16_t node = 2; node < 2 + cases[i].dead; node++) {
			cluster_kill(&cluster, node, RIG_DEAD_MS_MAX - 1);
			cluster_run(&cluster);
			ck_assert(directory->replicas[node - 1].voter);
			cluster_kill(&cluster, node, RIG_DEAD_MS_MAX);
			cluster_run(&cluster);
		}
		ck_assert_uint_eq(cluster_voters(directory), cases[i].votes);
		for (uint32_t k = 0; k < directory->count; k++)
			dead_votes += directory->replicas[k].voter &&
			              cluster.nodes[k].dead_ms >= RIG_DEAD_MS_MAX;
		ck_assert_uint_eq(dead_votes, cases[i].dead_votes);
		ck_assert_uint_eq(directory->count, cases[i].nodes);
		/* It comes to rest so; and they vote again when they are back. */
		cluster_plan(&cluster);
		ck_assert_uint_eq(cluster.plan.change_count, 0);
		for (uint16_t node = 2; node < 2 + cases[i].dead; node++)
			cluster_kill(&cluster, node, 0);
		cluster_run(&cluster);
		ck_assert_uint_eq(cluster_voters(directory), votes);
		cluster_end(&cluster);
	}
}
END_TEST

START_TEST(a_replica_goes_only_where_it_is_not_needed)
{
	struct cluster cluster;
	cluster_begin_even(&cluster, 4, 6, 2, 2);
	cluster_join_many(&cluster, 1);
	cluster.rebalance = false;
	/* Two are to be members, and one of them is not there for now. */
	cluster_kill(&cluster, 3, 1);
	cluster_drain(&cluster, 2);
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster_replicas(&cluster, 1) + cluster_replicas(&cluster, 2), 12);
	cluster_kill(&cluster, 3, 0);
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster_replicas(&cluster, 3), 6);
	/* Three of four; the drained one is not there either. */
	cluster.map->nodes[1].state = CLUSTER_NODE_MEMBER;
	cluster.map->replication_factor = 3;
	cluster_run(&cluster);
	cluster_join_many(&cluster, 1);
	cluster_kill(&cluster, 4, 1);
	cluster_drain(&cluster, 2);
	cluster_kill(&cluster, 2, 1);
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster_replicas(&cluster, 2), 6);
	cluster_end(&cluster);
}
END_TEST

START_TEST(where_one_is_missing_nothing_moves_for_balance)
{
	struct cluster cluster;
	cluster_begin_even(&cluster, 6, 60, 3, 5);
	cluster_join_many(&cluster, 1);
	cluster_kill(&cluster, 2, 1);
	cluster.moves_max = PLACEMENT_CHANGES_MAX;
	cluster_plan(&cluster);
	ck_assert_uint_gt(cluster.plan.change_count, 0);
	for (uint32_t i = 0; i < cluster.plan.change_count; i++)
		ck_assert_ptr_null(
		    cluster_map_replica(cluster.map, cluster.plan.changes[i].shard, 2));
	cluster_end(&cluster);
}
END_TEST

START_TEST(learners_of_a_shard_go)
{
	struct cluster cluster;
	cluster_begin_even(&cluster, 3, 2, 1, 2);
	struct cluster_shard *shard = &cluster.map->shards[1];
	uint16_t other = cluster_replica_node(shard->replicas[0].replica) == 1 ? 2 : 1;
	shard->replicas[shard->count++] = (struct cluster_replica){.replica = other};
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster.changes, 1);
	ck_assert_uint_eq(shard->count, 1);
	cluster_end(&cluster);
}
END_TEST

START_TEST(without_a_majority_nothing_is_touched)
{
	struct cluster cluster;
	cluster_begin_even(&cluster, 5, 12, 3, 3);
	cluster_join_many(&cluster, 2);
	cluster_kill(&cluster, 2, RIG_DEAD_MS_MAX);
	cluster_kill(&cluster, 3, RIG_DEAD_MS_MAX);
	/* The directory has one. */
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster.changes, 1);
	ck_assert_uint_eq(cluster_voters(&cluster.map->shards[0]), 3);
	cluster_assert_voters(&cluster, 3);
	/* Nor where news of a leader are older than the deaths. */
	for (uint32_t shard = 1; shard <= 12; shard++)
		cluster.shards[shard].leader = 1;
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster.changes, 0);
	cluster_end(&cluster);
}
END_TEST

START_TEST(so_many_move_at_a_time_and_none_that_has_not_settled)
{
	struct cluster cluster;
	cluster_begin(&cluster, 3, 20, 3);
	cluster_join_many(&cluster, 2);
	cluster.shards[0].settled = cluster.shards[7].settled = false;
	cluster.moves_max = 5;
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.moving, 2);
	ck_assert_uint_eq(cluster.plan.change_count, 3);
	cluster_apply(&cluster);
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.moving, 5);
	ck_assert_uint_eq(cluster.plan.change_count, 0);
	/* Where nobody leads nothing moves: it takes no room either. */
	cluster.shards[7].leader = 0;
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.change_count, 1);
	/* What can be is done at once. */
	cluster.moves_max = 1000;
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.change_count, 20 - 1 - 3);
	cluster_end(&cluster);
}
END_TEST

START_TEST(a_replica_that_was_never_made_is_replaced)
{
	struct cluster cluster;
	cluster_begin_even(&cluster, 5, 1, 3, 3);
	cluster_join_many(&cluster, 2);
	cluster_drain(&cluster, 3);
	cluster_plan(&cluster);
	cluster_apply(&cluster);
	ck_assert_ptr_nonnull(cluster_map_replica(cluster.map, 1, 4));
	/* It dies before it has come: others are not touched, this one is. */
	cluster_kill(&cluster, 4, 1);
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.change_count, 0);
	cluster_kill(&cluster, 4, RIG_DEAD_MS_MAX);
	cluster.moves_max = 0;
	cluster_plan(&cluster);
	cluster_apply(&cluster);
	ck_assert_ptr_null(cluster_map_replica(cluster.map, 1, 4));
	ck_assert_ptr_nonnull(cluster_map_replica(cluster.map, 1, 5));
	cluster_end(&cluster);
}
END_TEST

START_TEST(five_vote_in_the_directory_which_is_everywhere)
{
	struct cluster cluster;
	const struct cluster_shard *directory;
	cluster_begin(&cluster, 8, 4, 3);
	directory = &cluster.map->shards[0];
	cluster_join_many(&cluster, 7);
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster_voters(directory), 5);
	cluster_drain(&cluster, 2);
	cluster_kill(&cluster, 3, RIG_DEAD_MS_MAX);
	cluster_run(&cluster);
	ck_assert_uint_eq(directory->count, 8);
	ck_assert_uint_eq(cluster_voters(directory), 5);
	ck_assert(!cluster_map_replica(cluster.map, 0, 2)->voter);
	ck_assert(!cluster_map_replica(cluster.map, 0, 3)->voter);
	ck_assert(cluster_map_replica(cluster.map, 0, 6)->voter);
	ck_assert(cluster_map_replica(cluster.map, 0, 7)->voter);
	cluster_end(&cluster);
}
END_TEST

START_TEST(what_is_left_is_told_until_nothing_is)
{
	struct cluster cluster;
	cluster_begin(&cluster, 5, 128, 3);
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.left, 0);
	/* Each shard changes once, and of 128 leaders one node keeps 43. */
	cluster_join_many(&cluster, 2);
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.left, 128 + 85);
	cluster_apply(&cluster);
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.left, 128 + 85);
	cluster_settle(&cluster);
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.left, 120 + 85);
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster.plan.left, 0);
	/* Two more: 77 replicas stay on each of the three, at most, and 26 leaders. */
	cluster_join_many(&cluster, 2);
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.left, 3 * (128 - 77) + 43 + 43 + 42 - 3 * 26);
	cluster_run(&cluster);
	cluster_drain(&cluster, 2);
	cluster_plan(&cluster);
	ck_assert_uint_ge(cluster.plan.left, cluster_replicas(&cluster, 2));
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster.plan.left, 0);
	cluster_end(&cluster);
}
END_TEST

START_TEST(leaders_become_even_through_others)
{
	/* Two voters each: 1 and 2 share shards, 2 and 3 do, 1 and 3 do not. 1 leads three, 2 two,
	 * 3 one: a shard of each goes on. */
	static const uint16_t nodes[6][2] = {{1, 2}, {1, 2}, {1, 2}, {2, 3}, {2, 3}, {3, 2}};
	struct cluster cluster;
	cluster_begin(&cluster, 3, 6, 2);
	cluster_join_many(&cluster, 2);
	for (uint32_t i = 0; i < 6; i++) {
		struct cluster_shard *shard = &cluster.map->shards[i + 1];
		shard->count = 2;
		for (uint32_t k = 0; k < 2; k++)
			shard->replicas[k] = (struct cluster_replica){nodes[i][k], true};
		cluster.shards[i + 1].leader = nodes[i][0];
	}
	cluster.moves_max = 0;
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.transfer_count, 2);
	cluster_apply(&cluster);
	for (uint16_t node = 1; node <= 3; node++)
		ck_assert_uint_eq(cluster_leads(&cluster, node), 2);
	/* Who is drained leads nothing, as soon as others vote. */
	cluster.rebalance = false;
	cluster_drain(&cluster, 1);
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.transfer_count, 2);
	cluster_end(&cluster);
}
END_TEST

START_TEST(a_full_node_is_given_nothing_to_lead)
{
	struct cluster cluster;
	cluster_begin_even(&cluster, 3, 12, 3, 3);
	ck_assert_uint_eq(cluster_leads(&cluster, 2), 4);
	/* What it led the others have taken over already. */
	cluster.nodes[1].full = true;
	for (uint32_t shard = 1; shard <= 12; shard++)
		if (cluster.shards[shard].leader == 2)
			cluster.shards[shard].leader = 1;
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster_leads(&cluster, 1), 6);
	ck_assert_uint_eq(cluster_leads(&cluster, 2), 0);
	ck_assert_uint_eq(cluster_leads(&cluster, 3), 6);
	ck_assert_uint_eq(cluster.changes, 0);
	/* Nothing moves where all are full. */
	cluster.nodes[0].full = cluster.nodes[2].full = true;
	cluster.shards[1].leader = cluster.shards[2].leader = 2;
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster.transfers, 0);
	/* And when there is room all is even again. */
	for (uint32_t i = 0; i < 3; i++)
		cluster.nodes[i].full = false;
	cluster_run(&cluster);
	cluster_assert_even(&cluster);
	cluster_end(&cluster);
}
END_TEST

START_TEST(loads_become_alike_too)
{
	struct cluster cluster;
	uint64_t loads[3] = {0, 0, 0};
	cluster_begin(&cluster, 2, 20, 1);
	cluster_join_many(&cluster, 1);
	for (uint32_t shard = 1; shard <= 20; shard++)
		cluster.shards[shard].load = shard > 16 ? 1000 : 10;
	cluster.moves_max = 1;
	cluster_run(&cluster);
	cluster_assert_even(&cluster);
	ck_assert_uint_eq(cluster.added, 10);
	for (uint32_t shard = 1; shard <= 20; shard++)
		loads[cluster_map_replica(cluster.map, shard, 2) != NULL] +=
		    cluster.shards[shard].load;
	ck_assert_uint_eq(loads[0], 2080);
	ck_assert_uint_eq(loads[1], 2080);
	cluster_end(&cluster);
}
END_TEST

START_TEST(the_same_question_has_the_same_answer)
{
	static struct placement_plan first;
	struct cluster cluster;
	cluster_begin(&cluster, 7, 100, 3);
	cluster_join_many(&cluster, 6);
	cluster.moves_max = 50;
	cluster_plan(&cluster);
	first = cluster.plan;
	cluster_plan(&cluster);
	ck_assert_uint_eq(first.change_count, 50);
	ck_assert_mem_eq(&first, &cluster.plan, sizeof(first));
	cluster_end(&cluster);
}
END_TEST

START_TEST(without_memory_there_is_no_plan)
{
	struct cluster cluster;
	cluster_begin(&cluster, 2, 4, 3);
	struct placement_input input = {
	    .map = cluster.map, .nodes = cluster.nodes, .shards = cluster.shards};
	cluster.plan.moving = 77;
	for (uint64_t nth = 1; nth <= 4; nth++) {
		mem_fail_at(nth);
		ck_assert_int_eq(placement_plan(&input, &cluster.plan), ERR_NOMEM);
		ck_assert(mem_failed());
		ck_assert_uint_eq(cluster.plan.moving, 77);
	}
	mem_fail_at(0);
	ck_assert_int_eq(placement_plan(&input, &cluster.plan), 0);
	cluster_end(&cluster);
}
END_TEST

Suite *placement_suite(void)
{
	Suite *suite = suite_create("placement");
	TCase *plans = tcase_create("plans");
	tcase_set_timeout(plans, 60);
	tcase_add_test(plans, a_cluster_grows_with_no_more_moves_than_it_takes);
	tcase_add_test(plans, a_cluster_shrinks_with_no_more_moves_than_it_takes);
	tcase_add_test(plans, the_factor_may_change);
	tcase_add_test(plans, replicas_stand_in_different_zones);
	tcase_add_test(plans, zones_count_without_rebalancing_too);
	tcase_add_test(plans, a_crowded_zone_gives_way_to_one_that_comes);
	tcase_add_test(plans, who_is_dead_for_long_is_replaced);
	tcase_add_test(
	    plans, in_the_directory_a_dead_vote_stays_only_where_it_makes_no_even_number);
	tcase_add_test(plans, a_replica_goes_only_where_it_is_not_needed);
	tcase_add_test(plans, where_one_is_missing_nothing_moves_for_balance);
	tcase_add_test(plans, learners_of_a_shard_go);
	tcase_add_test(plans, without_a_majority_nothing_is_touched);
	tcase_add_test(plans, so_many_move_at_a_time_and_none_that_has_not_settled);
	tcase_add_test(plans, a_replica_that_was_never_made_is_replaced);
	tcase_add_test(plans, five_vote_in_the_directory_which_is_everywhere);
	tcase_add_test(plans, what_is_left_is_told_until_nothing_is);
	tcase_add_test(plans, leaders_become_even_through_others);
	tcase_add_test(plans, a_full_node_is_given_nothing_to_lead);
	tcase_add_test(plans, loads_become_alike_too);
	tcase_add_test(plans, the_same_question_has_the_same_answer);
	tcase_add_test(plans, without_memory_there_is_no_plan);
	suite_add_tcase(suite, plans);
	return suite;
}
