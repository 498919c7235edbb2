/* Which replica goes on alone when the others are gone for ever, and when none may. */
#include <stdio.h>

#include "replication/raft/quorum.h"
#include "server/meta/recovery.h"
#include "tests/unit/meta/suites.h"

enum { NODES = 5 };

/* Shard 1 has replicas of the same number on nodes 1 to `voters`. */
static struct cluster_map *map;
static struct recovery_said said[NODES];
static const struct recovery_said *heard[NODES];
static size_t heard_count;
static struct recovery_lost lost;

static void begin(uint16_t voters)
{
	map = cluster_map_new(NODES, 1);
	ck_assert_ptr_nonnull(map);
	heard_count = 0;
	lost = (struct recovery_lost){.count = 0};
	for (uint16_t i = 0; i < NODES; i++)
		map->nodes[i] = (struct cluster_node){.node = i + 1};
	for (uint16_t node = 1; node <= voters; node++)
		map->shards[1].replicas[map->shards[1].count++] =
		    (struct cluster_replica){.replica = node, .voter = true};
}

static void end(void)
{
	cluster_map_release(map);
}

/* Of the node's replica, whose members are those of the map. */
static struct recovery_said *say(
    uint16_t node, uint64_t term, uint64_t last_term, uint64_t last_index)
{
	struct recovery_said *one = &said[heard_count];
	*one = (struct recovery_said){.shard = 1,
	    .replica = node,
	    .term = term,
	    .last_term = last_term,
	    .last_index = last_index};
	for (uint32_t i = 0; i < map->shards[1].count; i++)
		one->members[one->count++] =
		    (struct recovery_member){map->shards[1].replicas[i].replica, RAFT_VOTER};
	heard[heard_count++] = one;
	return one;
}

static void lose(uint16_t node)
{
	lost.nodes[lost.count++] = node;
}

static struct recovery_choice choose(void)
{
	return recovery_choose(map, &lost, 1, false, heard, heard_count);
}

START_TEST(the_longest_log_of_those_that_are_left_goes_on)
{
	begin(5);
	lose(1);
	lose(2);
	lose(3);
	say(4, 7, 6, 100);
	say(5, 9, 5, 200);
	/* The newer term, though the log is shorter; above all terms that anybody has seen. */
	struct recovery_choice choice = choose();
	ck_assert_int_eq(choice.kind, RECOVERY_CHOSEN);
	ck_assert_uint_eq(choice.node, 4);
	ck_assert_uint_eq(choice.last_index, 100);
	ck_assert_uint_eq(choice.term, 9 + RECOVERY_TERMS);
	said[1].last_term = 6;
	ck_assert_uint_eq(choose().node, 5);
	said[1].last_index = 100;
	ck_assert_uint_eq(choose().node, 4);
	end();
}
END_TEST

/* Its log is behind in what it has heard of, and ahead in what it has; and it may be the other way
 * round in a log that nobody knows the end of. */
START_TEST(what_any_of_them_knows_to_be_committed_is_kept)
{
	begin(5);
	lose(1);
	lose(2);
	say(3, 7, 6, 90)->committed = 80;
	say(4, 7, 6, 100)->committed = 70;
	say(5, 9, 5, 200)->committed = 60;
	/* Of who is damaged, or given up, nothing counts. */
	lose(5);
	said[2].committed = 95;
	struct recovery_choice choice = choose();
	ck_assert_int_eq(choice.kind, RECOVERY_CHOSEN);
	ck_assert_uint_eq(choice.node, 4);
	ck_assert_uint_eq(choice.last_index, 100);
	ck_assert_uint_eq(choice.committed, 80);
	said[1].committed = 85;
	ck_assert_uint_eq(choose().committed, 85);
	said[0] = (struct recovery_said){
	    .shard = 1, .replica = 3, .damaged = true, .term = 7, .committed = 99};
	ck_assert_uint_eq(choose().committed, 85);
	end();
}
END_TEST

START_TEST(who_is_led_or_can_elect_is_left_alone)
{
	begin(3);
	lose(2);
	lose(3);
	say(1, 1, 1, 5);
	ck_assert_int_eq(
	    recovery_choose(map, &lost, 1, true, heard, heard_count).kind, RECOVERY_NONE);
	ck_assert_int_eq(choose().kind, RECOVERY_CHOSEN);
	/* One of them was not lost, and is there. */
	lost.count = 1;
	say(3, 1, 1, 4);
	ck_assert_int_eq(choose().kind, RECOVERY_NONE);
	end();
}
END_TEST

/* A replica reached no leader and said so, went on with another one for a moment, and that one was
 * found damaged: what it had said is of before. */
START_TEST(what_was_said_before_others_went_on_does_not_count)
{
	const uint64_t after_ns = (uint64_t)RECOVERY_AFTER_MS * 1000000, found_ns = 7 * after_ns;
	ck_assert(recovery_is_present(found_ns, 0, 0));
	ck_assert(!recovery_is_present(found_ns - 1, 0, found_ns));
	/* It may have been under way. */
	ck_assert(!recovery_is_present(found_ns + after_ns - 1, 0, found_ns));
	ck_assert(recovery_is_present(found_ns + after_ns, 0, found_ns));
	ck_assert(!recovery_is_present(found_ns, found_ns, 0));
	ck_assert(recovery_is_present(found_ns + 1, found_ns, 0));
	ck_assert(!recovery_is_present(found_ns + after_ns, found_ns + after_ns, found_ns));
}
END_TEST

START_TEST(everybody_that_is_left_is_asked_first)
{
	begin(5);
	lose(1);
	lose(2);
	lose(3);
	say(4, 1, 1, 5);
	struct recovery_choice choice = choose();
	ck_assert_int_eq(choice.kind, RECOVERY_UNHEARD);
	ck_assert_uint_eq(choice.node, 5);
	/* What a node could vote that says nothing does not count. */
	lost.count = 2;
	choice = choose();
	ck_assert_int_eq(choice.kind, RECOVERY_UNHEARD);
	ck_assert_uint_eq(choice.node, 3);
	end();
	/* One that is on its way out is not wanted any more, but was a member. */
	begin(2);
	lose(2);
	struct recovery_said *one = say(1, 1, 1, 5);
	one->members[one->count++] = (struct recovery_member){3, RAFT_VOTER};
	choice = choose();
	ck_assert_int_eq(choice.kind, RECOVERY_UNHEARD);
	ck_assert_uint_eq(choice.node, 3);
	/* Removed is lost. */
	map->nodes[2].state = CLUSTER_NODE_REMOVED;
	ck_assert_int_eq(choose().kind, RECOVERY_CHOSEN);
	end();
}
END_TEST

START_TEST(both_majorities_of_a_joint_membership_count)
{
	begin(2);
	lose(2);
	lose(3);
	struct recovery_said *one = say(1, 1, 1, 5);
	one->count = 0;
	one->members[one->count++] = (struct recovery_member){1, RAFT_VOTER | RAFT_OUTGOING};
	one->members[one->count++] = (struct recovery_member){2, RAFT_OUTGOING};
	one->members[one->count++] = (struct recovery_member){3, RAFT_OUTGOING};
	ck_assert_int_eq(choose().kind, RECOVERY_CHOSEN);
	one->members[1].roles = one->members[2].roles = RAFT_LEARNER;
	one->members[0].roles = RAFT_VOTER;
	ck_assert_int_eq(choose().kind, RECOVERY_NONE);
	end();
}
END_TEST

START_TEST(of_nothing_nothing_comes)
{
	begin(3);
	lose(1);
	lose(2);
	/* A replica that was just made has no log, and does not know its members. */
	say(3, 0, 0, 0)->count = 0;
	ck_assert_int_eq(choose().kind, RECOVERY_NOTHING);
	end();
}
END_TEST

START_TEST(what_was_chosen_before_is_not_chosen_again)
{
	begin(3);
	lose(2);
	lose(3);
	say(1, 4, 4, 5);
	map->shards[1].recovery = (struct cluster_recovery){.replica = 1, .term = 1004};
	ck_assert_int_eq(choose().kind, RECOVERY_NONE);
	/* It has gone on; later its new members are lost. */
	said[0].term = 1005;
	ck_assert_int_eq(choose().kind, RECOVERY_CHOSEN);
	/* Or it was lost before it could. */
	said[0].term = 4;
	map->shards[1].recovery.replica = 2;
	ck_assert_int_eq(choose().kind, RECOVERY_CHOSEN);
	end();
}
END_TEST

/* It went on in a term that the other one never heard of. */
START_TEST(a_second_recovery_is_above_the_term_of_the_first)
{
	begin(5);
	lose(2);
	lose(4);
	lose(5);
	map->shards[1].recovery = (struct cluster_recovery){.replica = 1, .term = 1050};
	say(3, 50, 50, 100);
	*say(1, 50, 0, 0) =
	    (struct recovery_said){.shard = 1, .replica = 1, .damaged = true, .term = 50};
	struct recovery_choice choice = choose();
	ck_assert_int_eq(choice.kind, RECOVERY_CHOSEN);
	ck_assert_uint_eq(choice.node, 3);
	ck_assert_uint_eq(choice.term, 1050 + RECOVERY_TERMS);
	/* The same where its node is lost, too. */
	heard_count = 1;
	lose(1);
	ck_assert_uint_eq(choose().term, 1050 + RECOVERY_TERMS);
	/* Or both have heard of more since. */
	said[0].term = 1052;
	ck_assert_uint_eq(choose().term, 1052 + RECOVERY_TERMS);
	end();
}
END_TEST

START_TEST(what_is_damaged_counts_for_nothing_though_its_node_lives)
{
	begin(3);
	say(1, 4, 4, 50);
	*say(2, 9, 0, 0) =
	    (struct recovery_said){.shard = 1, .replica = 2, .damaged = true, .term = 9};
	/* The two that are whole elect. */
	say(3, 4, 4, 40);
	ck_assert_int_eq(choose().kind, RECOVERY_NONE);
	/* It may be whole, and is asked. */
	heard_count = 2;
	struct recovery_choice choice = choose();
	ck_assert_int_eq(choice.kind, RECOVERY_UNHEARD);
	ck_assert_uint_eq(choice.node, 3);
	*say(3, 4, 0, 0) =
	    (struct recovery_said){.shard = 1, .replica = 3, .damaged = true, .term = 4};
	choice = choose();
	ck_assert_int_eq(choice.kind, RECOVERY_CHOSEN);
	ck_assert_uint_eq(choice.node, 1);
	ck_assert_uint_eq(choice.last_index, 50);
	/* Above what the damaged ones have seen, too. */
	ck_assert_uint_eq(choice.term, 9 + RECOVERY_TERMS);
	/* One that was chosen, and found damaged before it went on, makes way for another one. */
	map->shards[1].recovery = (struct cluster_recovery){.replica = 2, .term = 2000};
	ck_assert_int_eq(choose().kind, RECOVERY_CHOSEN);
	map->shards[1].recovery.replica = 1;
	ck_assert_int_eq(choose().kind, RECOVERY_NONE);
	/* Nothing is whole. */
	map->shards[1].recovery.replica = 0;
	said[0].damaged = true;
	ck_assert_int_eq(choose().kind, RECOVERY_NOTHING);
	end();
}
END_TEST

static void say_damaged(uint16_t node, uint64_t term)
{
	*say(node, term, 0, 0) =
	    (struct recovery_said){.shard = 1, .replica = node, .damaged = true, .term = term};
}

/* Of three one is gone for ever, and one is damaged: each word alone is not enough. */
START_TEST(who_is_lost_and_who_is_damaged_are_given_up_together)
{
	begin(3);
	say(1, 4, 4, 50);
	say_damaged(2, 9);
	/* Node 3 may be whole. */
	struct recovery_choice choice = choose();
	ck_assert_int_eq(choice.kind, RECOVERY_UNHEARD);
	ck_assert_uint_eq(choice.node, 3);
	lose(3);
	choice = choose();
	ck_assert_int_eq(choice.kind, RECOVERY_CHOSEN);
	ck_assert_uint_eq(choice.node, 1);
	ck_assert_uint_eq(choice.last_index, 50);
	ck_assert_uint_eq(choice.term, 9 + RECOVERY_TERMS);
	/* Where what is damaged is not given up, nobody says so (heard): it is waited for. */
	heard_count = 1;
	choice = choose();
	ck_assert_int_eq(choice.kind, RECOVERY_UNHEARD);
	ck_assert_uint_eq(choice.node, 2);
	end();
	/* Of five two that are whole, with one lost and two damaged: the longer log. */
	begin(5);
	lose(5);
	say(1, 4, 4, 50);
	say(2, 4, 4, 60);
	say_damaged(3, 4);
	say_damaged(4, 4);
	choice = choose();
	ck_assert_int_eq(choice.kind, RECOVERY_CHOSEN);
	ck_assert_uint_eq(choice.node, 2);
	/* With a third that is whole they elect, whatever is lost besides. */
	said[2] = said[1];
	said[2].replica = 3;
	ck_assert_int_eq(choose().kind, RECOVERY_NONE);
	end();
	/* The only whole one is lost. */
	begin(3);
	lose(1);
	say(1, 4, 4, 50);
	say_damaged(2, 9);
	say_damaged(3, 9);
	ck_assert_int_eq(choose().kind, RECOVERY_NOTHING);
	end();
}
END_TEST

static void say_none(uint16_t node)
{
	*say(node, 0, 0, 0) = (struct recovery_said){.shard = 1, .replica = recovery_none_of(node)};
}

/* Shards were moved, and the log that is left does not know it. */
START_TEST(who_has_nothing_of_it_is_not_waited_for_and_does_not_vote)
{
	begin(3);
	lose(3);
	say(2, 4, 4, 50);
	/* As the first replica of all, which has the number of none on its node. */
	say_none(1);
	struct recovery_choice choice = choose();
	ck_assert_int_eq(choice.kind, RECOVERY_CHOSEN);
	ck_assert_uint_eq(choice.node, 2);
	ck_assert_uint_eq(choice.given_up_count, 1);
	ck_assert_uint_eq(choice.given_up[0], 1);
	/* Who never voted is not given up. */
	said[0].members[0].roles = RAFT_LEARNER;
	ck_assert_int_eq(choose().kind, RECOVERY_CHOSEN);
	ck_assert_uint_eq(choose().given_up_count, 0);
	end();
	/* Another one came there, and has not even begun: it is not the one that votes. */
	begin(3);
	lose(3);
	say(1, 4, 4, 50);
	say(2, 0, 0, 0)->replica = cluster_replica_number(2, 5);
	choice = choose();
	ck_assert_int_eq(choice.kind, RECOVERY_CHOSEN);
	ck_assert_uint_eq(choice.node, 1);
	ck_assert_uint_eq(choice.given_up_count, 1);
	ck_assert_uint_eq(choice.given_up[0], 2);
	/* Or has most of the log, in which it is alone with those that are lost. */
	said[1].last_term = 4;
	said[1].last_index = 60;
	said[1].count = 2;
	said[1].members[0] = (struct recovery_member){cluster_replica_number(2, 5), RAFT_VOTER};
	said[1].members[1] = (struct recovery_member){3, RAFT_VOTER};
	choice = choose();
	ck_assert_int_eq(choice.kind, RECOVERY_CHOSEN);
	ck_assert_uint_eq(choice.node, 2);
	ck_assert_uint_eq(choice.given_up_count, 0);
	end();
	/* It was to go on, and has left since. */
	begin(3);
	lose(3);
	say(2, 4, 4, 50);
	say_none(1);
	map->shards[1].recovery = (struct cluster_recovery){.replica = 1, .term = 1004};
	choice = choose();
	ck_assert_int_eq(choice.kind, RECOVERY_CHOSEN);
	ck_assert_uint_eq(choice.node, 2);
	ck_assert_uint_eq(choice.term, 1004 + RECOVERY_TERMS);
	end();
	/* Nobody has anything. */
	begin(2);
	say_none(1);
	say_none(2);
	ck_assert_int_eq(choose().kind, RECOVERY_NOTHING);
	end();
}
END_TEST

/* A damaged directory's node may be on its way through nodes that do not answer. */
START_TEST(a_damaged_directory_is_so_since_it_said_so_first)
{
	struct recovery_said one = {.shard = 0, .replica = 3, .damaged = true};
	struct recovery_said other = one, whole = one, shard = {.shard = 7, .replica = 3};
	ck_assert(recovery_counts(&one, RECOVERY_ASKED_MS));
	ck_assert(!recovery_counts(&one, RECOVERY_ASKED_MS + 1));
	ck_assert(recovery_goes_on(&one, &one, RECOVERY_ASKED_MS + 1));
	ck_assert(!recovery_is_over(&one, RECOVERY_ROUND_MS));
	ck_assert(recovery_is_over(&one, RECOVERY_ROUND_MS + 1));
	ck_assert(!recovery_goes_on(&one, &one, RECOVERY_ROUND_MS + 1));
	/* Another replica, and one that is whole now, begin anew. */
	other.replica = 4;
	whole.damaged = false;
	ck_assert(!recovery_goes_on(&one, &other, 1));
	ck_assert(!recovery_goes_on(&one, &whole, 1));
	ck_assert(!recovery_goes_on(&whole, &one, 1));
	/* Who is not asking says it all the time. */
	for (int damaged = 0; damaged < 2; damaged++) {
		shard.damaged = damaged;
		ck_assert(recovery_counts(&shard, RECOVERY_SAID_MS));
		ck_assert(recovery_goes_on(&shard, &shard, RECOVERY_SAID_MS));
		ck_assert(!recovery_counts(&shard, RECOVERY_SAID_MS + 1));
		ck_assert(!recovery_goes_on(&shard, &shard, RECOVERY_SAID_MS + 1));
		ck_assert(recovery_is_over(&shard, RECOVERY_SAID_MS + 1));
	}
	ck_assert(!recovery_counts(&whole, RECOVERY_SAID_MS + 1));
}
END_TEST

Suite *recovery_suite(void)
{
	Suite *suite = suite_create("recovery");
	TCase *cases = tcase_create("recovery");
	tcase_add_test(cases, the_longest_log_of_those_that_are_left_goes_on);
	tcase_add_test(cases, what_any_of_them_knows_to_be_committed_is_kept);
	tcase_add_test(cases, who_is_led_or_can_elect_is_left_alone);
	tcase_add_test(cases, what_was_said_before_others_went_on_does_not_count);
	tcase_add_test(cases, everybody_that_is_left_is_asked_first);
	tcase_add_test(cases, both_majorities_of_a_joint_membership_count);
	tcase_add_test(cases, of_nothing_nothing_comes);
	tcase_add_test(cases, what_was_chosen_before_is_not_chosen_again);
	tcase_add_test(cases, a_second_recovery_is_above_the_term_of_the_first);
	tcase_add_test(cases, what_is_damaged_counts_for_nothing_though_its_node_lives);
	tcase_add_test(cases, who_is_lost_and_who_is_damaged_are_given_up_together);
	tcase_add_test(cases, who_has_nothing_of_it_is_not_waited_for_and_does_not_vote);
	tcase_add_test(cases, a_damaged_directory_is_so_since_it_said_so_first);
	suite_add_tcase(suite, cases);
	return suite;
}
