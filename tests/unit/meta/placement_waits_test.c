#include "tests/unit/meta/placement_rig.h"

/* `moved` shards of 20 have just begun to come to nodes 2 and 3, of which 3 dies. */
static void begin_half_moved(struct cluster *cluster, uint32_t moved)
{
	cluster_begin(cluster, 6, 20, 3);
	cluster_join_many(cluster, 2);
	cluster->moves_max = moved;
	cluster_plan(cluster);
	ck_assert_uint_eq(cluster->plan.change_count, moved);
	cluster_apply(cluster);
	cluster_kill(cluster, 3, 1);
	cluster_advance(cluster);
}

/* All that can move does, as far as that goes; the same nodes are dead all the time. */
static void go_on(struct cluster *cluster)
{
	for (int round = 0; round < 100; round++) {
		cluster_plan(cluster);
		if (cluster->plan.change_count + cluster->plan.transfer_count == 0)
			return;
		cluster_apply(cluster);
		cluster_advance(cluster);
	}
	ck_abort_msg("plans do not come to an end");
}

START_TEST(moves_to_a_dead_node_do_not_hold_up_others)
{
	struct cluster cluster;
	begin_half_moved(&cluster, 5);
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.waiting, 5);
	ck_assert_uint_eq(cluster.plan.moving, 0);
	ck_assert_uint_eq(cluster.plan.change_count, 5);
	go_on(&cluster);
	ck_assert_uint_eq(cluster_replicas(&cluster, 2), 20);
	ck_assert_uint_eq(cluster_replicas(&cluster, 3), 5);
	ck_assert_uint_eq(cluster.plan.waiting, 5);
	ck_assert_uint_eq(cluster.plan.left, 5);
	/* It is back: they go on, as the replicas that they were, and the others follow. */
	uint64_t replica = cluster_map_replica(cluster.map, 1, 3)->replica;
	cluster_kill(&cluster, 3, 0);
	cluster_advance(&cluster);
	ck_assert(cluster.shards[1].settled);
	ck_assert_uint_eq(cluster_map_replica(cluster.map, 1, 3)->replica, replica);
	cluster_run(&cluster);
	cluster_assert_voters(&cluster, 3);
	cluster_assert_even(&cluster);
	cluster_end(&cluster);
}
END_TEST

START_TEST(no_more_wait_beside_others_than_may_move)
{
	struct cluster cluster;
	begin_half_moved(&cluster, 12);
	cluster.moves_max = 5;
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.waiting, 12);
	ck_assert_uint_eq(cluster.plan.moving, 7);
	ck_assert_uint_eq(cluster.plan.change_count, 0);
	cluster.moves_max = 8;
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.moving, 4);
	ck_assert_uint_eq(cluster.plan.change_count, 4);
	/* What its leader has not told of yet moves, for all that is known. */
	cluster.shards[1].told = false;
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.waiting, 11);
	ck_assert_uint_eq(cluster.plan.moving, 1 + 3);
	cluster_end(&cluster);
}
END_TEST

START_TEST(what_was_on_its_way_to_a_dead_node_is_wanted_there_no_more)
{
	struct cluster cluster;
	begin_half_moved(&cluster, 12);
	cluster.moves_max = 5;
	uint64_t replica = cluster_map_replica(cluster.map, 1, 3)->replica;
	cluster_kill(&cluster, 3, RIG_COME_MS_MAX - 1);
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.change_count, 0);
	cluster_kill(&cluster, 3, RIG_COME_MS_MAX);
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.change_count, 12);
	go_on(&cluster);
	ck_assert_uint_eq(cluster_replicas(&cluster, 2), 20);
	ck_assert_uint_eq(cluster_replicas(&cluster, 3), 0);
	ck_assert_uint_eq(cluster.plan.waiting + cluster.plan.moving, 0);
	ck_assert_uint_eq(cluster.plan.left, 0);
	/* However long it is away. */
	cluster_kill(&cluster, 3, 2 * RIG_DEAD_MS_MAX);
	go_on(&cluster);
	ck_assert_uint_eq(cluster_replicas(&cluster, 2), 20);
	/* What comes when it is back is another replica. */
	cluster_kill(&cluster, 3, 0);
	cluster_run(&cluster);
	cluster_assert_voters(&cluster, 3);
	ck_assert_uint_ne(cluster_map_replica(cluster.map, 1, 3)->replica, replica);
	cluster_end(&cluster);
}
END_TEST

START_TEST(it_goes_elsewhere_where_it_can)
{
	struct cluster cluster;
	begin_half_moved(&cluster, 5);
	cluster_join_many(&cluster, 1);
	cluster_kill(&cluster, 3, RIG_COME_MS_MAX);
	cluster_plan(&cluster);
	for (uint32_t shard = 1; shard <= 5; shard++)
		ck_assert_uint_eq(cluster.shards[shard].coming, 4);
	cluster_apply(&cluster);
	for (uint32_t shard = 1; shard <= 5; shard++) {
		ck_assert_ptr_null(cluster_map_replica(cluster.map, shard, 3));
		ck_assert_ptr_nonnull(cluster_map_replica(cluster.map, shard, 4));
	}
	cluster_advance(&cluster);
	go_on(&cluster);
	cluster_assert_voters(&cluster, 3);
	ck_assert_uint_eq(cluster_replicas(&cluster, 3), 0);
	cluster_end(&cluster);
}
END_TEST

/* The one that was to go votes until another one has come, and cannot come again itself while it
 * does. So the shard has all of its voters, and waits. */
START_TEST(where_the_old_voter_stays_a_dead_node_is_waited_for)
{
	struct cluster cluster;
	cluster_begin_even(&cluster, 6, 1, 3, 3);
	cluster_join_many(&cluster, 1);
	cluster_drain(&cluster, 3);
	cluster_plan(&cluster);
	cluster_apply(&cluster);
	uint64_t generation = cluster.map->shards[1].generation;
	ck_assert_ptr_nonnull(cluster_map_replica(cluster.map, 1, 4));
	cluster_kill(&cluster, 4, 1);
	cluster.map->nodes[2].state = CLUSTER_NODE_MEMBER;
	static const uint64_t dead_ms[] = {1, RIG_COME_MS_MAX, 2 * RIG_DEAD_MS_MAX};
	for (size_t i = 0; i < sizeof(dead_ms) / sizeof(dead_ms[0]); i++) {
		cluster_kill(&cluster, 4, dead_ms[i]);
		cluster_advance(&cluster);
		ck_assert_uint_eq(cluster.shards[1].leaving[0], 3);
		cluster_plan(&cluster);
		ck_assert_uint_ge(cluster.plan.waiting, 1);
		ck_assert_uint_eq(cluster.plan.moving, 0);
		cluster_apply(&cluster);
		ck_assert_uint_eq(cluster.map->shards[1].generation, generation);
	}
	/* Another node may have it at once. */
	cluster_join_many(&cluster, 1);
	cluster_plan(&cluster);
	cluster_apply(&cluster);
	ck_assert_ptr_null(cluster_map_replica(cluster.map, 1, 4));
	ck_assert_ptr_nonnull(cluster_map_replica(cluster.map, 1, 5));
	cluster_advance(&cluster);
	ck_assert(cluster.shards[1].settled);
	cluster_end(&cluster);
}
END_TEST

START_TEST(who_is_dead_and_lacks_more_and_more_of_the_log_is_no_move)
{
	struct cluster cluster;
	cluster_begin_even(&cluster, 6, 20, 3, 4);
	cluster_kill(&cluster, 4, 1);
	for (uint32_t shard = 1; shard <= 20; shard++) {
		bool lags = cluster_map_replica(cluster.map, shard, 4);
		cluster.shards[shard].settled = !lags;
		cluster.shards[shard].told = lags;
	}
	cluster_drain(&cluster, 3);
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.moving + cluster.plan.waiting, 0);
	ck_assert_uint_eq(cluster.plan.change_count, 8);
	/* Where a living one lacks it that is a move. */
	cluster_kill(&cluster, 4, 0);
	cluster_plan(&cluster);
	ck_assert_uint_ge(cluster.plan.moving, 8);
	/* What can be drained is: of shards that have none on the dead one, the third one stays. */
	cluster_kill(&cluster, 4, 1);
	go_on(&cluster);
	for (uint32_t shard = 1; shard <= 20; shard++)
		if (cluster_map_replica(cluster.map, shard, 4))
			ck_assert_ptr_null(cluster_map_replica(cluster.map, shard, 3));
	cluster_end(&cluster);
}
END_TEST

/* Three nodes, one of which is dead and lacks some of every shard. */
START_TEST(leaders_become_even_where_a_dead_voter_lacks_some_of_the_log)
{
	struct cluster cluster;
	cluster_begin_even(&cluster, 6, 20, 3, 3);
	cluster_kill(&cluster, 3, 1);
	for (uint32_t shard = 1; shard <= 20; shard++) {
		cluster.shards[shard].leader = shard <= 14 ? 1 : 2;
		cluster.shards[shard].settled = false;
		cluster.shards[shard].told = true;
	}
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.resting, 20);
	ck_assert_uint_eq(cluster.plan.moving + cluster.plan.waiting, 0);
	ck_assert_uint_eq(cluster.plan.transfer_count, 4);
	ck_assert_uint_eq(cluster.plan.left, 4);
	cluster_apply(&cluster);
	ck_assert_uint_eq(cluster_leads(&cluster, 1), 10);
	ck_assert_uint_eq(cluster_leads(&cluster, 2), 10);
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.left, 0);
	/* What is still to come is a move, and its leadership stays. */
	for (uint32_t shard = 1; shard <= 20; shard++) {
		cluster.shards[shard].leader = shard <= 8 ? 1 : 2;
		cluster.shards[shard].told = shard <= 8;
	}
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.resting, 8);
	ck_assert_uint_eq(cluster.plan.moving, 12);
	ck_assert_uint_eq(cluster.plan.transfer_count, 0);
	cluster_end(&cluster);
}
END_TEST

/* What becomes of them is seen when somebody leads again. */
START_TEST(shards_that_nobody_leads_are_told_apart_from_those_that_rest)
{
	struct cluster cluster;
	cluster_begin(&cluster, 6, 20, 3);
	cluster_join_many(&cluster, 2);
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.unled, 0);
	cluster.moves_max = 1;
	cluster_run(&cluster);
	cluster.shards[5].settled = false;
	cluster.shards[5].leader = 0;
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.unled, 1);
	ck_assert_uint_eq(cluster.plan.moving + cluster.plan.waiting, 0);
	/* Who led it last is dead, and no other one has said that it does. */
	cluster.shards[5].leader = 3;
	cluster.nodes[2] = (struct placement_node){.dead_ms = 1};
	uint32_t led = cluster_leads(&cluster, 3);
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.unled, led);
	/* It is led again, and still moves. */
	cluster.shards[5].leader = 2;
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.unled, led - 1);
	ck_assert_uint_eq(cluster.plan.moving, 1);
	/* Nothing is left of it: nobody will lead it again. */
	cluster.shards[5].leader = 0;
	cluster.map->shards[5].count = 1;
	cluster.map->shards[5].replicas[0] =
	    (struct cluster_replica){.replica = cluster_replica_number(3, 99), .voter = true};
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.unled, led);
	cluster.map->nodes[2].state = CLUSTER_NODE_REMOVED;
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.unled, led - 1);
	cluster_end(&cluster);
}
END_TEST

START_TEST(a_full_node_gets_no_replicas)
{
	struct cluster cluster;
	cluster_begin(&cluster, 6, 20, 3);
	cluster_join_many(&cluster, 2);
	cluster.nodes[2].full = true;
	cluster_run(&cluster);
	/* Two are better than none. */
	cluster_assert_voters(&cluster, 2);
	ck_assert_uint_eq(cluster_replicas(&cluster, 3), 0);
	/* Of the directory it may have one. */
	ck_assert_uint_eq(cluster_voters(&cluster.map->shards[0]), 3);
	/* Another one takes all of it; what is drained stays where nobody has room. */
	cluster_join_many(&cluster, 1);
	cluster_run(&cluster);
	cluster_assert_voters(&cluster, 3);
	ck_assert_uint_eq(cluster_replicas(&cluster, 4), 20);
	cluster_drain(&cluster, 2);
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster.changes, 1); /* the directory's voters */
	ck_assert_uint_eq(cluster_replicas(&cluster, 2), 20);
	/* With room all goes on. */
	cluster.nodes[2].full = false;
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster_replicas(&cluster, 2), 0);
	ck_assert_uint_eq(cluster_replicas(&cluster, 3), 20);
	/* One that becomes full keeps what it has. */
	cluster.nodes[2].full = true;
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster.added, 0);
	ck_assert_uint_eq(cluster_replicas(&cluster, 3), 20);
	cluster_end(&cluster);
}
END_TEST

START_TEST(nothing_moves_to_a_full_node_for_balance)
{
	struct cluster cluster;
	cluster_begin_even(&cluster, 6, 20, 3, 4);
	cluster_join_many(&cluster, 2);
	cluster.nodes[4].full = true;
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster_replicas(&cluster, 5), 0);
	ck_assert_uint_eq(cluster_replicas(&cluster, 6), 12);
	cluster.nodes[4].full = false;
	cluster_run(&cluster);
	cluster_assert_even(&cluster);
	cluster_end(&cluster);
}
END_TEST

START_TEST(moves_to_a_node_that_becomes_full_wait)
{
	struct cluster cluster;
	cluster_begin(&cluster, 6, 20, 3);
	cluster_join_many(&cluster, 2);
	cluster.moves_max = 5;
	cluster_plan(&cluster);
	cluster_apply(&cluster);
	cluster.nodes[2].full = true;
	cluster_advance(&cluster);
	cluster_plan(&cluster);
	ck_assert_uint_eq(cluster.plan.waiting, 5);
	ck_assert_uint_eq(cluster.plan.moving, 0);
	go_on(&cluster);
	ck_assert_uint_eq(cluster_replicas(&cluster, 2), 20);
	ck_assert_uint_eq(cluster_replicas(&cluster, 3), 5);
	cluster.nodes[2].full = false;
	cluster_advance(&cluster);
	cluster_run(&cluster);
	cluster_assert_voters(&cluster, 3);
	cluster_end(&cluster);
}
END_TEST

START_TEST(a_node_whose_disk_does_not_answer_gets_nothing_and_keeps_what_it_has)
{
	struct cluster cluster;
	cluster_begin(&cluster, 6, 20, 3);
	cluster_join_many(&cluster, 2);
	cluster.nodes[2].silent = true;
	cluster_run(&cluster);
	cluster_assert_voters(&cluster, 2);
	ck_assert_uint_eq(cluster_replicas(&cluster, 3), 0);
	ck_assert_uint_eq(cluster_leads(&cluster, 3), 0);
	/* When it answers all goes on. */
	cluster.nodes[2].silent = false;
	cluster_run(&cluster);
	cluster_assert_voters(&cluster, 3);
	uint32_t leads = cluster_leads(&cluster, 3);
	ck_assert_uint_gt(leads, 0);
	cluster.nodes[2].silent = true;
	cluster_run(&cluster);
	ck_assert_uint_eq(cluster.changes, 0);
	ck_assert_uint_eq(cluster.transfers, 0);
	ck_assert_uint_eq(cluster_replicas(&cluster, 3), 20);
	ck_assert_uint_eq(cluster_leads(&cluster, 3), leads);
	cluster_end(&cluster);
}
END_TEST

START_TEST(nor_a_vote_in_the_directory_which_one_with_a_full_disk_gets)
{
	for (int silent = 0; silent < 2; silent++) {
		struct cluster cluster;
		cluster_begin_even(&cluster, 7, 20, 3, 7);
		const struct cluster_shard *directory = &cluster.map->shards[0];
		ck_assert(!directory->replicas[5].voter && !directory->replicas[6].voter);
		cluster.nodes[5].silent = silent == 1;
		cluster.nodes[5].full = silent == 0;
		cluster_drain(&cluster, 5);
		cluster_run(&cluster);
		ck_assert_uint_eq(cluster_voters(directory), 5);
		ck_assert_int_eq(directory->replicas[5].voter, silent == 0);
		ck_assert_int_eq(directory->replicas[6].voter, silent == 1);
		cluster_end(&cluster);
	}
}
END_TEST

Suite *placement_waits_suite(void)
{
	Suite *suite = suite_create("placement waits");
	TCase *waits = tcase_create("waits");
	tcase_add_test(waits, moves_to_a_dead_node_do_not_hold_up_others);
	tcase_add_test(waits, no_more_wait_beside_others_than_may_move);
	tcase_add_test(waits, what_was_on_its_way_to_a_dead_node_is_wanted_there_no_more);
	tcase_add_test(waits, it_goes_elsewhere_where_it_can);
	tcase_add_test(waits, where_the_old_voter_stays_a_dead_node_is_waited_for);
	tcase_add_test(waits, who_is_dead_and_lacks_more_and_more_of_the_log_is_no_move);
	tcase_add_test(waits, leaders_become_even_where_a_dead_voter_lacks_some_of_the_log);
	tcase_add_test(waits, shards_that_nobody_leads_are_told_apart_from_those_that_rest);
	tcase_add_test(waits, a_full_node_gets_no_replicas);
	tcase_add_test(waits, nothing_moves_to_a_full_node_for_balance);
	tcase_add_test(waits, moves_to_a_node_that_becomes_full_wait);
	tcase_add_test(waits, a_node_whose_disk_does_not_answer_gets_nothing_and_keeps_what_it_has);
	tcase_add_test(waits, nor_a_vote_in_the_directory_which_one_with_a_full_disk_gets);
	suite_add_tcase(suite, waits);
	return suite;
}
