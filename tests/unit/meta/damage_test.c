/* When a damaged replica may be given up: where the others that are whole are a majority. */
#include "replication/raft/quorum.h"
#include "server/meta/damage.h"
#include "tests/unit/meta/suites.h"

enum { MEMBERS_MAX = 8 };

/* Replicas 1 to count, all of them whole voters. */
static struct damage_member members[MEMBERS_MAX];
static uint32_t count;

static void begin(uint32_t voters)
{
	count = voters;
	for (uint32_t i = 0; i < voters; i++)
		members[i] =
		    (struct damage_member){.replica = i + 1, .roles = RAFT_VOTER, .whole = true};
}

START_TEST(one_of_three_is_given_up_and_a_second_one_is_not)
{
	begin(3);
	members[0].whole = false;
	ck_assert(damage_may_give_up(members, count, 1));
	members[1].whole = false;
	ck_assert(!damage_may_give_up(members, count, 1));
	ck_assert(!damage_may_give_up(members, count, 2));
	/* That it is heard of still makes it no whole one. */
	members[0].whole = true;
	ck_assert(!damage_may_give_up(members, count, 1));
	/* Once the other one is whole again. */
	members[1].whole = true;
	ck_assert(damage_may_give_up(members, count, 1));
	/* Nothing of what is damaged is whole. */
	members[1].whole = members[2].whole = members[0].whole = false;
	for (uint64_t replica = 1; replica <= 3; replica++)
		ck_assert(!damage_may_give_up(members, count, replica));
}
END_TEST

START_TEST(it_counts_among_those_whose_majority_is_asked_for)
{
	/* Of two nobody may go, and of four only one, though three whole ones remain of five. */
	begin(2);
	ck_assert(!damage_may_give_up(members, count, 1));
	begin(1);
	ck_assert(!damage_may_give_up(members, count, 1));
	begin(4);
	ck_assert(damage_may_give_up(members, count, 4));
	members[2].whole = false;
	ck_assert(!damage_may_give_up(members, count, 4));
	begin(5);
	members[3].whole = false;
	ck_assert(damage_may_give_up(members, count, 5));
	members[2].whole = false;
	ck_assert(!damage_may_give_up(members, count, 5));
}
END_TEST

START_TEST(learners_do_not_count)
{
	begin(3);
	members[1].whole = false;
	members[count++] =
	    (struct damage_member){.replica = 9, .roles = RAFT_LEARNER, .whole = true};
	ck_assert(!damage_may_give_up(members, count, 1));
	/* A learner is missed by nobody, where the voters are there. */
	ck_assert(damage_may_give_up(members, count, 9));
	members[2].whole = false;
	ck_assert(!damage_may_give_up(members, count, 9));
	/* Nor does one that was let go of already. */
	begin(3);
	ck_assert(damage_may_give_up(members, count, 7));
}
END_TEST

START_TEST(both_majorities_of_a_joint_membership_are_asked_for)
{
	/* 1, 2 and 3 become 1, 2 and 4. */
	begin(4);
	members[0].roles = members[1].roles = RAFT_VOTER | RAFT_OUTGOING;
	members[2].roles = RAFT_OUTGOING;
	ck_assert(damage_may_give_up(members, count, 3));
	ck_assert(damage_may_give_up(members, count, 1));
	members[3].whole = false;
	ck_assert(!damage_may_give_up(members, count, 1));
	ck_assert(damage_may_give_up(members, count, 3));
	members[3].whole = true;
	members[2].whole = false;
	ck_assert(!damage_may_give_up(members, count, 1));
}
END_TEST

Suite *damage_suite(void)
{
	Suite *suite = suite_create("damage");
	TCase *tcase = tcase_create("giving up");
	tcase_add_test(tcase, one_of_three_is_given_up_and_a_second_one_is_not);
	tcase_add_test(tcase, it_counts_among_those_whose_majority_is_asked_for);
	tcase_add_test(tcase, learners_do_not_count);
	tcase_add_test(tcase, both_majorities_of_a_joint_membership_are_asked_for);
	suite_add_tcase(suite, tcase);
	return suite;
}
