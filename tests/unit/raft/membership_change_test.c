/* Every change between memberships of up to four replicas: what it leads to, and that the quorums
 * of each two memberships that follow each other have a common member. That is all that Raft needs
 * of them (thesis, 4.1 and 4.3). */
#include "tests/unit/raft/suites.h"

#include <string.h>

#include "replication/raft/membership.h"

/* A membership of replicas 1 to 4 that is not joint: 0 no member, 1 a voter, 2 a learner. */
enum { REPLICAS = 4, KINDS = 3, PLAIN = 3 * 3 * 3 * 3, SETS = 1 << REPLICAS };

static unsigned kind_of(unsigned plain, unsigned replica)
{
	for (unsigned i = 1; i < replica; i++)
		plain /= KINDS;
	return plain % KINDS;
}

static struct raft_membership make(unsigned plain)
{
	static const unsigned roles[KINDS] = {0, RAFT_VOTER, RAFT_LEARNER};
	struct raft_membership membership = {.count = 0};
	for (unsigned replica = 1; replica <= REPLICAS; replica++)
		if (kind_of(plain, replica) != 0)
			membership.members[membership.count++] = (struct raft_member){
			    .replica = replica, .roles = roles[kind_of(plain, replica)]};
	return membership;
}

static size_t changes_to(unsigned plain, struct raft_change *changes)
{
	static const enum raft_change_kind kinds[KINDS] = {
	    RAFT_REMOVE, RAFT_ADD_VOTER, RAFT_ADD_LEARNER};
	for (unsigned replica = 1; replica <= REPLICAS; replica++)
		changes[replica - 1] = (struct raft_change){
		    .kind = kinds[kind_of(plain, replica)], .replica = replica};
	return REPLICAS;
}

static bool same(const struct raft_membership *a, const struct raft_membership *b)
{
	bool equal = a->count == b->count && a->leaves_joint == b->leaves_joint;
	for (uint32_t i = 0; equal && i < a->count; i++)
		equal = a->members[i].replica == b->members[i].replica &&
		        a->members[i].roles == b->members[i].roles;
	return equal;
}

static unsigned voters(unsigned plain)
{
	unsigned set = 0;
	for (unsigned replica = 1; replica <= REPLICAS; replica++)
		if (kind_of(plain, replica) == 1)
			set |= 1U << (replica - 1);
	return set;
}

/* Whether the replicas of `set` are a quorum, by the definition. */
static bool is_quorum(const struct raft_membership *membership, unsigned set)
{
	unsigned all[2] = {0}, have[2] = {0};
	for (uint32_t i = 0; i < membership->count; i++) {
		const struct raft_member *member = &membership->members[i];
		unsigned in = set >> (member->replica - 1) & 1;
		all[0] += (member->roles & RAFT_VOTER) != 0;
		have[0] += (member->roles & RAFT_VOTER) && in;
		all[1] += (member->roles & RAFT_OUTGOING) != 0;
		have[1] += (member->roles & RAFT_OUTGOING) && in;
	}
	return 2 * have[0] > all[0] && (all[1] == 0 || 2 * have[1] > all[1]);
}

static bool quorums_meet(const struct raft_membership *a, const struct raft_membership *b)
{
	for (unsigned one = 0; one < SETS; one++)
		for (unsigned other = 0; other < SETS; other++)
			if (is_quorum(a, one) && is_quorum(b, other) && !(one & other))
				return false;
	return true;
}

static bool needs_are_right(const struct raft_membership *membership)
{
	for (unsigned replica = 1; replica <= REPLICAS; replica++) {
		unsigned others = (SETS - 1) & ~(1U << (replica - 1));
		if (raft_membership_needs(membership, replica) == is_quorum(membership, others))
			return false;
	}
	return true;
}

/* From `from` to `to`, and through the joint one where there is one. */
static void check(unsigned from, unsigned to, enum raft_transition transition)
{
	struct raft_membership before = make(from), target = make(to), next, last;
	struct raft_change changes[REPLICAS];
	size_t count = changes_to(to, changes);
	const char *why;
	memset(&next, 0xa5, sizeof(next));
	int error = raft_membership_change(&before, changes, count, transition, &next, &why);
	if (voters(to) == 0) {
		EXPECT(error == ERR_INVALID);
		return;
	}
	if (from == to) {
		EXPECT(error == ERR_EXISTS);
		return;
	}
	EXPECT(error == 0);
	EXPECT(quorums_meet(&before, &next));
	EXPECT(needs_are_right(&next));
	/* One voter more or less needs no joint one, and none is made unless it is asked for. */
	bool one = __builtin_popcount(voters(from) ^ voters(to)) <= 1;
	EXPECT(raft_membership_joint(&next) == (transition != RAFT_AUTOMATIC || !one));
	if (!raft_membership_joint(&next)) {
		EXPECT(same(&next, &target));
		return;
	}
	EXPECT(next.leaves_joint == (transition != RAFT_JOINT_EXPLICIT));
	/* Nothing else while it is joint. */
	EXPECT(raft_membership_change(&next, changes, count, RAFT_AUTOMATIC, &last, &why) ==
	       ERR_AGAIN);
	EXPECT(raft_membership_change(&next, NULL, 0, RAFT_JOINT, &last, &why) == ERR_AGAIN);
	EXPECT(raft_membership_change(&next, changes, 1, RAFT_LEAVE, &last, &why) == ERR_INVALID);
	EXPECT(raft_membership_change(&next, NULL, 0, RAFT_LEAVE, &last, &why) == 0);
	EXPECT(quorums_meet(&next, &last));
	EXPECT(same(&last, &target));
	/* Both sets of voters stand in it, and who still votes does not learn. */
	for (unsigned replica = 1; replica <= REPLICAS; replica++) {
		unsigned roles = raft_membership_roles(&next, replica);
		EXPECT(!!(roles & RAFT_VOTER) == (kind_of(to, replica) == 1));
		EXPECT(!!(roles & RAFT_OUTGOING) == (kind_of(from, replica) == 1));
		EXPECT(!(roles & RAFT_LEARNER) || !(roles & (RAFT_VOTER | RAFT_OUTGOING)));
	}
}

START_TEST(each_two_that_follow_each_other_have_quorums_that_meet)
{
	static const enum raft_transition transitions[] = {
	    RAFT_AUTOMATIC, RAFT_JOINT, RAFT_JOINT_EXPLICIT};
	for (unsigned from = 0; from < PLAIN; from++)
		for (unsigned to = 0; voters(from) != 0 && to < PLAIN; to++)
			for (unsigned i = 0; i < 3; i++)
				check(from, to, transitions[i]);
}
END_TEST

/* The check itself sees what it is for: two voters exchanged at once. */
START_TEST(quorums_of_an_unsafe_change_do_not_meet)
{
	struct raft_membership before = {
	    .count = 1, .members = {{.replica = 1, .roles = RAFT_VOTER}}};
	struct raft_membership after = {
	    .count = 1, .members = {{.replica = 2, .roles = RAFT_VOTER}}};
	ck_assert(!quorums_meet(&before, &after));
}
END_TEST

START_TEST(who_is_needed_is_who_leaves_no_quorum)
{
	for (unsigned plain = 0; plain < PLAIN; plain++) {
		struct raft_membership membership = make(plain);
		ck_assert(needs_are_right(&membership));
	}
}
END_TEST

START_TEST(the_last_change_of_a_replica_counts)
{
	struct raft_membership before = make(1), next;
	const char *why;
	struct raft_change changes[] = {{RAFT_ADD_VOTER, 2}, {RAFT_REMOVE, 2}, {RAFT_REMOVE, 1},
	    {RAFT_ADD_LEARNER, 3}, {RAFT_ADD_VOTER, 1}};
	ck_assert_int_eq(
	    raft_membership_change(&before, changes, 5, RAFT_AUTOMATIC, &next, &why), 0);
	ck_assert_uint_eq(next.count, 2);
	ck_assert_uint_eq(raft_membership_roles(&next, 1), RAFT_VOTER);
	ck_assert_uint_eq(raft_membership_roles(&next, 2), 0);
	ck_assert_uint_eq(raft_membership_roles(&next, 3), RAFT_LEARNER);
}
END_TEST

START_TEST(a_refusal_changes_nothing_and_says_why)
{
	struct raft_membership before = make(1), next, untouched;
	memset(&next, 0xa5, sizeof(next));
	memset(&untouched, 0xa5, sizeof(untouched));
	const char *why = NULL;
	struct raft_change zero = {RAFT_ADD_VOTER, 0}, last = {RAFT_REMOVE, 1};
	ck_assert_int_eq(
	    raft_membership_change(&before, &zero, 1, RAFT_AUTOMATIC, &next, &why), ERR_INVALID);
	ck_assert_ptr_nonnull(why);
	ck_assert_int_eq(
	    raft_membership_change(&before, &last, 1, RAFT_AUTOMATIC, &next, &why), ERR_INVALID);
	ck_assert_int_eq(
	    raft_membership_change(&before, NULL, 0, RAFT_LEAVE, &next, &why), ERR_EXISTS);
	ck_assert_mem_eq(&next, &untouched, sizeof(next));
}
END_TEST

START_TEST(there_are_at_most_seven_voters_and_128_replicas)
{
	struct raft_membership now = make(1), next;
	const char *why;
	for (uint64_t replica = 2; replica <= RAFT_REPLICAS_MAX; replica++) {
		struct raft_change change = {
		    replica <= RAFT_VOTERS_MAX ? RAFT_ADD_VOTER : RAFT_ADD_LEARNER, replica};
		ck_assert_int_eq(
		    raft_membership_change(&now, &change, 1, RAFT_AUTOMATIC, &next, &why), 0);
		now = next;
	}
	ck_assert_uint_eq(now.count, RAFT_REPLICAS_MAX);
	struct raft_change eighth = {RAFT_ADD_VOTER, 8}, more = {RAFT_ADD_LEARNER, 1000};
	ck_assert_int_eq(
	    raft_membership_change(&now, &eighth, 1, RAFT_AUTOMATIC, &next, &why), ERR_INVALID);
	ck_assert_int_eq(
	    raft_membership_change(&now, &more, 1, RAFT_AUTOMATIC, &next, &why), ERR_INVALID);
	/* One for another fits afterwards, but not while both stand in a joint one. */
	struct raft_change exchange[] = {{RAFT_REMOVE, 7}, {RAFT_ADD_VOTER, 1000}};
	ck_assert_int_eq(
	    raft_membership_change(&now, exchange, 2, RAFT_AUTOMATIC, &next, &why), ERR_INVALID);
}
END_TEST

Suite *membership_change_suite(void)
{
	Suite *suite = suite_create("membership_change");
	TCase *tcase = tcase_create("all");
	tcase_add_test(tcase, each_two_that_follow_each_other_have_quorums_that_meet);
	tcase_add_test(tcase, quorums_of_an_unsafe_change_do_not_meet);
	tcase_add_test(tcase, who_is_needed_is_who_leaves_no_quorum);
	tcase_add_test(tcase, the_last_change_of_a_replica_counts);
	tcase_add_test(tcase, a_refusal_changes_nothing_and_says_why);
	tcase_add_test(tcase, there_are_at_most_seven_voters_and_128_replicas);
	suite_add_tcase(suite, tcase);
	return suite;
}
