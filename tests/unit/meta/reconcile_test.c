#include "tests/unit/meta/reconcile_rig.h"

#include <string.h>

static void assert_waits(struct world *world, uint64_t replica, const char *part)
{
	ck_assert_int_eq(ask(world), RECONCILE_WAIT);
	ck_assert_uint_eq(world->step.replica, replica);
	ck_assert_msg(strstr(world->step.why, part) != NULL, "it says: %s", world->step.why);
}

static void assert_change(
    const struct world *world, uint32_t at, enum raft_change_kind kind, uint64_t replica)
{
	ck_assert_uint_lt(at, world->step.count);
	ck_assert_int_eq((int)world->step.changes[at].kind, (int)kind);
	ck_assert_uint_eq(world->step.changes[at].replica, replica);
}

START_TEST(replicas_come_as_learners_and_vote_when_they_have_the_log)
{
	struct world world = {.self = 1};
	set_members(&world, 1, 0);
	want(&world, 7, 0);
	ck_assert_int_eq(ask(&world), RECONCILE_CHANGE);
	ck_assert_uint_eq(world.step.count, 2);
	assert_change(&world, 0, RAFT_ADD_LEARNER, 2);
	assert_change(&world, 1, RAFT_ADD_LEARNER, 3);
	change(&world);
	assert_waits(&world, 2, "not have enough of the log");
	world.behind = alone(3);
	assert_waits(&world, 3, "not have enough of the log");
	world.behind = 0;
	ck_assert_int_eq(ask(&world), RECONCILE_CHANGE);
	ck_assert_uint_eq(world.step.count, 2);
	assert_change(&world, 0, RAFT_ADD_VOTER, 2);
	assert_change(&world, 1, RAFT_ADD_VOTER, 3);
	change(&world);
	assert_waits(&world, 0, "under way");
	leave(&world);
	ck_assert_int_eq(ask(&world), RECONCILE_DONE);
}
END_TEST

START_TEST(a_voter_goes_in_the_change_in_which_its_successor_comes)
{
	struct world world = {.self = 1, .behind = alone(4)};
	set_members(&world, 7, alone(4));
	want(&world, 3 | alone(4), 0);
	assert_waits(&world, 4, "not have enough of the log");
	world.behind = 0;
	ck_assert_int_eq(ask(&world), RECONCILE_CHANGE);
	ck_assert_uint_eq(world.step.count, 2);
	assert_change(&world, 0, RAFT_ADD_VOTER, 4);
	assert_change(&world, 1, RAFT_REMOVE, 3);
	/* A voter that stays as a learner. */
	want(&world, 3 | alone(4), alone(3));
	ck_assert_int_eq(ask(&world), RECONCILE_CHANGE);
	assert_change(&world, 0, RAFT_ADD_VOTER, 4);
	assert_change(&world, 1, RAFT_ADD_LEARNER, 3);
}
END_TEST

START_TEST(a_dead_voter_goes_as_soon_as_it_is_not_wanted)
{
	struct world world = {.self = 1, .dead = alone(3)};
	set_members(&world, 7, 0);
	want(&world, 3, 0);
	ck_assert_int_eq(ask(&world), RECONCILE_CHANGE);
	ck_assert_uint_eq(world.step.count, 1);
	assert_change(&world, 0, RAFT_REMOVE, 3);
	change(&world);
	ck_assert(!raft_membership_joint(&world.members));
	ck_assert_int_eq(ask(&world), RECONCILE_DONE);
}
END_TEST

START_TEST(who_is_not_heard_of_blocks_nobody_else)
{
	struct world world = {.self = 1, .dead = alone(4)};
	set_members(&world, 7, alone(4) | alone(5));
	want(&world, 1 | alone(4) | alone(5), 0);
	ck_assert_int_eq(ask(&world), RECONCILE_CHANGE);
	ck_assert_uint_eq(world.step.count, 2);
	assert_change(&world, 0, RAFT_ADD_VOTER, 5);
	assert_change(&world, 1, RAFT_REMOVE, 3);
	change(&world);
	leave(&world);
	assert_waits(&world, 4, "not heard of");
	world.dead = 0;
	ck_assert_int_eq(ask(&world), RECONCILE_CHANGE);
	assert_change(&world, 0, RAFT_ADD_VOTER, 4);
	assert_change(&world, 1, RAFT_REMOVE, 2);
}
END_TEST

START_TEST(a_lost_voter_is_replaced_without_waiting_for_the_others)
{
	struct world world = {.self = 1, .behind = alone(5), .dead = alone(2)};
	set_members(&world, 7, alone(4) | alone(5));
	want(&world, 1 | alone(4) | alone(5), 0);
	ck_assert_int_eq(ask(&world), RECONCILE_CHANGE);
	ck_assert_uint_eq(world.step.count, 2);
	assert_change(&world, 0, RAFT_ADD_VOTER, 4);
	assert_change(&world, 1, RAFT_REMOVE, 2);
}
END_TEST

/* Replicas of three nodes, the newer ones of the last two wanted there: a node may have those only
 * when the group has let go of the older ones. */
enum { FIRST = 1, SECOND = 2, THIRD = 3, SECOND_HEIR = 2 + 65536, THIRD_HEIR = 3 + 65536 };

struct heirs {
	struct cluster_shard_record record;
	struct raft_membership members;
	struct reconcile_progress progress[4];
	struct reconcile_input input;
	struct reconcile_step step;
};

static void want_heirs(struct heirs *heirs, uint64_t self, uint64_t second, uint64_t third)
{
	struct cluster_shard *wanted = cluster_shard_begin(&heirs->record);
	wanted->count = 3;
	wanted->replicas[0] = (struct cluster_replica){.replica = FIRST, .voter = true};
	wanted->replicas[1] = (struct cluster_replica){.replica = second, .voter = true};
	wanted->replicas[2] = (struct cluster_replica){.replica = third, .voter = true};
	heirs->members = (struct raft_membership){.count = 3,
	    .members = {{.replica = FIRST, .roles = RAFT_VOTER},
	        {.replica = SECOND, .roles = RAFT_VOTER}, {.replica = THIRD, .roles = RAFT_VOTER}}};
	heirs->input = (struct reconcile_input){.self = self,
	    .wanted = wanted,
	    .members = &heirs->members,
	    .last_index = 100,
	    .lag_max = 1024,
	    .replicas_max = 64,
	    .progress = heirs->progress};
	for (uint64_t replica = FIRST; replica <= THIRD; replica++)
		if (replica != self)
			heirs->progress[heirs->input.progress_count++] =
			    (struct reconcile_progress){replica, .match = 100, .heard = true};
}

static void learn(struct heirs *heirs, uint64_t replica)
{
	heirs->members.members[heirs->members.count++] =
	    (struct raft_member){.replica = replica, .roles = RAFT_LEARNER};
}

static void assert_removes(struct heirs *heirs, uint64_t replica)
{
	reconcile_next(&heirs->input, &heirs->step);
	ck_assert_int_eq((int)heirs->step.kind, RECONCILE_CHANGE);
	ck_assert_uint_eq(heirs->step.count, 1);
	ck_assert_int_eq((int)heirs->step.changes[0].kind, (int)RAFT_REMOVE);
	ck_assert_uint_eq(heirs->step.changes[0].replica, replica);
}

START_TEST(who_was_given_up_is_not_kept_for_its_own_successor)
{
	struct heirs heirs = {.members = {0}};
	want_heirs(&heirs, FIRST, SECOND, THIRD_HEIR);
	learn(&heirs, THIRD_HEIR);
	heirs.progress[1].heard = false;
	assert_removes(&heirs, THIRD);
}
END_TEST

/* It was taken for lost, and wanted again, before the group had let go of it. */
START_TEST(who_is_back_goes_for_its_own_successor)
{
	struct heirs heirs = {.members = {0}};
	want_heirs(&heirs, FIRST, SECOND, THIRD_HEIR);
	learn(&heirs, THIRD_HEIR);
	assert_removes(&heirs, THIRD);
	/* Not where the others that are left could not do without it. */
	heirs.progress[0].heard = false;
	reconcile_next(&heirs.input, &heirs.step);
	ck_assert_int_eq((int)heirs.step.kind, RECONCILE_WAIT);
	ck_assert_ptr_nonnull(strstr(heirs.step.why, "too few of the voters"));
}
END_TEST

START_TEST(who_is_back_goes_when_all_others_have_come)
{
	enum { FOURTH = 4 };
	struct heirs heirs = {.members = {0}};
	want_heirs(&heirs, FIRST, FOURTH, THIRD_HEIR);
	learn(&heirs, FOURTH);
	learn(&heirs, THIRD_HEIR);
	heirs.progress[2] = (struct reconcile_progress){.replica = FOURTH, .heard = true};
	heirs.input.progress_count = 3;
	reconcile_next(&heirs.input, &heirs.step);
	ck_assert_int_eq((int)heirs.step.kind, RECONCILE_WAIT);
	ck_assert_uint_eq(heirs.step.replica, FOURTH);
	/* Nor where nobody hears of them: then the others are all that there is. */
	heirs.progress[2].heard = false;
	reconcile_next(&heirs.input, &heirs.step);
	ck_assert_int_eq((int)heirs.step.kind, RECONCILE_WAIT);
	ck_assert_uint_eq(heirs.step.replica, FOURTH);
}
END_TEST

/* Several are back: one after the other. */
START_TEST(of_those_that_are_back_one_goes_at_a_time)
{
	struct heirs heirs = {.members = {0}};
	want_heirs(&heirs, FIRST, SECOND_HEIR, THIRD_HEIR);
	learn(&heirs, SECOND_HEIR);
	learn(&heirs, THIRD_HEIR);
	assert_removes(&heirs, SECOND);
	/* The one that is not heard of first. */
	heirs.progress[1].heard = false;
	assert_removes(&heirs, THIRD);
}
END_TEST

START_TEST(a_leader_that_is_back_hands_over_for_its_own_successor)
{
	struct heirs heirs = {.members = {0}};
	want_heirs(&heirs, THIRD, SECOND, THIRD_HEIR);
	learn(&heirs, THIRD_HEIR);
	reconcile_next(&heirs.input, &heirs.step);
	ck_assert_int_eq((int)heirs.step.kind, RECONCILE_TRANSFER);
	heirs.input.transfer_failed = true;
	assert_removes(&heirs, THIRD);
}
END_TEST

START_TEST(who_leads_hands_over_before_it_goes)
{
	struct world world = {.self = 3, .dead = alone(1)};
	set_members(&world, 7, alone(4));
	want(&world, 3 | alone(4), 0);
	ck_assert_int_eq(ask(&world), RECONCILE_TRANSFER);
	ck_assert_uint_eq(world.step.replica, 2);
	/* That came to nothing: it goes as a leader. */
	world.transfer_failed = true;
	ck_assert_int_eq(ask(&world), RECONCILE_CHANGE);
	assert_change(&world, 0, RAFT_ADD_VOTER, 4);
	assert_change(&world, 1, RAFT_REMOVE, 3);
	/* There is nobody to hand over to. */
	world = (struct world){.self = 1};
	set_members(&world, 1, 2);
	want(&world, 2, 0);
	ck_assert_int_eq(ask(&world), RECONCILE_CHANGE);
	ck_assert_uint_eq(world.step.count, 2);
	/* It is no voter any more. */
	set_members(&world, 2, 0);
	assert_waits(&world, 0, "handed over");
}
END_TEST

START_TEST(who_is_wished_for_gets_to_lead_when_it_can)
{
	struct world world = {.self = 1, .wished = 3, .behind = alone(3)};
	set_members(&world, 7, alone(4));
	want(&world, 7, alone(4));
	ck_assert_int_eq(ask(&world), RECONCILE_DONE);
	world.behind = 0;
	ck_assert_int_eq(ask(&world), RECONCILE_TRANSFER);
	ck_assert_uint_eq(world.step.replica, 3);
	world.transfer_failed = true;
	ck_assert_int_eq(ask(&world), RECONCILE_DONE);
	world.transfer_failed = false;
	world.wished = 4;
	ck_assert_int_eq(ask(&world), RECONCILE_DONE);
	world.wished = 1;
	ck_assert_int_eq(ask(&world), RECONCILE_DONE);
	/* Who is wished for and stays is the one to hand over to. */
	world.wished = 3;
	want(&world, 6, alone(4));
	ck_assert_int_eq(ask(&world), RECONCILE_TRANSFER);
	ck_assert_uint_eq(world.step.replica, 3);
}
END_TEST

/* A node that is back, say: its group would take no changes until it has what it misses. */
START_TEST(who_is_wished_for_is_waited_for_until_it_misses_little)
{
	struct world world = {.self = 1, .wished = 3, .slow = alone(3)};
	set_members(&world, 7, 0);
	want(&world, 7, 0);
	ck_assert_int_eq(ask(&world), RECONCILE_DONE);
	/* Nobody is waited for where the group takes none anyway, or this one has to go. */
	world.leads_badly = true;
	ck_assert_int_eq(ask(&world), RECONCILE_TRANSFER);
	world.leads_badly = false;
	want(&world, 6, 0);
	ck_assert_int_eq(ask(&world), RECONCILE_TRANSFER);
	want(&world, 7, 0);
	world.slow = 0;
	ck_assert_int_eq(ask(&world), RECONCILE_TRANSFER);
	ck_assert_uint_eq(world.step.replica, 3);
}
END_TEST

/* Its disk is full, say: others wait for every change that it refuses. */
START_TEST(who_leads_badly_hands_over_before_replicas_come)
{
	struct world world = {.self = 1, .wished = 2, .leads_badly = true, .behind = alone(4)};
	/* One that comes, and one that is not there yet. */
	set_members(&world, 7, alone(4));
	want(&world, 3 | alone(4) | alone(5), 0);
	ck_assert_int_eq(ask(&world), RECONCILE_TRANSFER);
	ck_assert_uint_eq(world.step.replica, 2);
	/* One that is not heard of. */
	set_members(&world, 7, alone(4));
	want(&world, 3 | alone(4), 0);
	world.dead = alone(4);
	ck_assert_int_eq(ask(&world), RECONCILE_TRANSFER);
	/* Who leads well waits. */
	world.leads_badly = false;
	assert_waits(&world, 4, "not heard of");
	/* Where it cannot be handed over, too. */
	world.leads_badly = true;
	world.transfer_failed = true;
	assert_waits(&world, 4, "not heard of");
	world.transfer_failed = false;
	world.wished = 0;
	assert_waits(&world, 4, "not heard of");
	/* Never to who has no vote, or is to go. */
	world.wished = 4;
	world.dead = world.behind = 0;
	ck_assert_int_eq(ask(&world), RECONCILE_CHANGE);
	world.wished = 3;
	ck_assert_int_eq(ask(&world), RECONCILE_CHANGE);
	/* And nothing begins while something is under way. */
	world.wished = 2;
	ck_assert_int_eq(ask_busy(&world), RECONCILE_WAIT);
}
END_TEST

START_TEST(nothing_is_done_where_nothing_can_be)
{
	struct world world = {.self = 1};
	set_members(&world, 7, 0);
	want(&world, 3, 0);
	ck_assert_int_eq(ask_busy(&world), RECONCILE_WAIT);
	want(&world, 0, 7);
	assert_waits(&world, 0, "no voter is wanted");
	/* Alone it could decide nothing: 2 and 3 are there, and 4 and 5 are not. */
	world.dead = alone(4) | alone(5);
	set_members(&world, 31, 0);
	want(&world, 1 | alone(4) | alone(5), 0);
	assert_waits(&world, 0, "too few");
	/* A joint membership that nobody leaves by itself. */
	struct raft_change remove = {.kind = RAFT_REMOVE, .replica = 3};
	struct raft_membership next;
	const char *why;
	ck_assert_int_eq(
	    raft_membership_change(&world.members, &remove, 1, RAFT_JOINT_EXPLICIT, &next, &why),
	    0);
	world.members = next;
	ck_assert_int_eq(ask(&world), RECONCILE_LEAVE);
}
END_TEST

START_TEST(a_full_group_says_so)
{
	struct world world = {.self = 1};
	set_members(&world, 7, 0);
	for (uint32_t i = 3; i < CLUSTER_REPLICAS_MAX; i++)
		world.members.members[i] = (struct raft_member){100 + i, RAFT_LEARNER};
	world.members.count = CLUSTER_REPLICAS_MAX;
	want(&world, 3 | alone(4), 0);
	for (uint32_t i = 3; i < CLUSTER_REPLICAS_MAX; i++)
		world.wanted.replicas[world.wanted.count++] =
		    (struct cluster_replica){.replica = 100 + i};
	world.wanted.count--;
	/* One learner is not wanted: it makes room. */
	ck_assert_int_eq(ask(&world), RECONCILE_CHANGE);
	ck_assert_uint_eq(world.step.count, 2);
	assert_change(&world, 0, RAFT_REMOVE, 100 + CLUSTER_REPLICAS_MAX - 1);
	assert_change(&world, 1, RAFT_ADD_LEARNER, 4);
	world.wanted.count++;
	/* One more than fit, with those on their way out. */
	ck_assert_uint_eq(world.wanted.count, CLUSTER_REPLICAS_MAX);
	assert_waits(&world, 4, "no room");
}
END_TEST

START_TEST(who_has_nothing_of_a_short_log_does_not_have_nearly_all)
{
	struct world world = {.self = 1};
	set_members(&world, 1, 2);
	want(&world, 3, 0);
	struct reconcile_progress progress = {.replica = 2, .match = 0, .heard = true};
	struct reconcile_input input = {.self = 1,
	    .wanted = &world.wanted,
	    .members = &world.members,
	    .last_index = LAG,
	    .lag_max = LAG_MAX,
	    .replicas_max = CLUSTER_REPLICAS_MAX,
	    .progress_count = 1,
	    .progress = &progress};
	reconcile_next(&input, &world.step);
	ck_assert_int_eq(world.step.kind, RECONCILE_WAIT);
	progress.match = 1;
	reconcile_next(&input, &world.step);
	ck_assert_int_eq(world.step.kind, RECONCILE_CHANGE);
}
END_TEST

Suite *reconcile_suite(void)
{
	Suite *suite = suite_create("reconcile");
	TCase *steps = tcase_create("steps");
	tcase_add_test(steps, replicas_come_as_learners_and_vote_when_they_have_the_log);
	tcase_add_test(steps, a_voter_goes_in_the_change_in_which_its_successor_comes);
	tcase_add_test(steps, a_dead_voter_goes_as_soon_as_it_is_not_wanted);
	tcase_add_test(steps, who_is_not_heard_of_blocks_nobody_else);
	tcase_add_test(steps, a_lost_voter_is_replaced_without_waiting_for_the_others);
	tcase_add_test(steps, who_was_given_up_is_not_kept_for_its_own_successor);
	tcase_add_test(steps, who_is_back_goes_for_its_own_successor);
	tcase_add_test(steps, who_is_back_goes_when_all_others_have_come);
	tcase_add_test(steps, of_those_that_are_back_one_goes_at_a_time);
	tcase_add_test(steps, a_leader_that_is_back_hands_over_for_its_own_successor);
	tcase_add_test(steps, who_leads_hands_over_before_it_goes);
	tcase_add_test(steps, who_is_wished_for_gets_to_lead_when_it_can);
	tcase_add_test(steps, who_is_wished_for_is_waited_for_until_it_misses_little);
	tcase_add_test(steps, who_leads_badly_hands_over_before_replicas_come);
	tcase_add_test(steps, nothing_is_done_where_nothing_can_be);
	tcase_add_test(steps, a_full_group_says_so);
	tcase_add_test(steps, who_has_nothing_of_a_short_log_does_not_have_nearly_all);
	suite_add_tcase(suite, steps);
	return suite;
}
