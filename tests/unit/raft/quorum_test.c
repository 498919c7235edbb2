/* raft_quorum_reached against the definition of a majority, for every configuration of up to five
 * voters, every pair of two such sets, and every order of what they have reached. */
#include "tests/unit/raft/suites.h"

#include <stdbool.h>

#include "replication/raft/quorum.h"

enum { REPLICAS = 5, SETS = 1 << REPLICAS, VALUES = 4 };

/* More than half of `set` has reached `value`; nobody's majority is nothing. */
static bool majority_has(unsigned set, const uint64_t *values, uint64_t value)
{
	size_t voters = 0, have = 0;
	for (unsigned i = 0; i < REPLICAS; i++) {
		voters += set >> i & 1;
		have += (set >> i & 1) && values[i] >= value;
	}
	return 2 * have > voters;
}

/* The highest of all the values that both have; an empty outgoing set is none. */
static uint64_t expected(unsigned coming, unsigned going, const uint64_t *values)
{
	uint64_t best = 0;
	for (unsigned i = 0; i < REPLICAS; i++)
		if (values[i] > best && majority_has(coming, values, values[i]) &&
		    (going == 0 || majority_has(going, values, values[i])))
			best = values[i];
	return best;
}

/* The value of who has no vote must not matter: it is there as a learner's. */
static uint64_t reached(unsigned coming, unsigned going, const uint64_t *values)
{
	struct raft_quorum_value given[REPLICAS];
	for (unsigned i = 0; i < REPLICAS; i++) {
		unsigned roles =
		    (coming >> i & 1 ? RAFT_VOTER : 0) | (going >> i & 1 ? RAFT_OUTGOING : 0);
		given[i] = (struct raft_quorum_value){
		    .value = values[i], .roles = roles ? roles : RAFT_LEARNER};
	}
	return raft_quorum_reached(given, REPLICAS);
}

START_TEST(every_configuration_agrees_with_the_definition)
{
	uint64_t values[REPLICAS];
	for (unsigned number = 0; number < VALUES * VALUES * VALUES * VALUES * VALUES; number++) {
		unsigned rest = number;
		for (unsigned i = 0; i < REPLICAS; i++, rest /= VALUES)
			values[i] = rest % VALUES;
		for (unsigned coming = 0; coming < SETS; coming++)
			for (unsigned going = 0; going < SETS; going++)
				EXPECT(reached(coming, going, values) ==
				       expected(coming, going, values));
	}
}
END_TEST

/* Votes are values of 1 and 0: won where a majority of both granted, lost where it cannot be won
 * any more whatever those say who have not answered. */
START_TEST(votes_are_won_and_lost_as_elections_are)
{
	enum { ANSWERS = 3 * 3 * 3 * 3 * 3 };
	for (unsigned number = 0; number < ANSWERS; number++) {
		uint64_t granted[REPLICAS], not_refused[REPLICAS];
		unsigned rest = number;
		for (unsigned i = 0; i < REPLICAS; i++, rest /= 3) {
			granted[i] = rest % 3 == 2;
			not_refused[i] = rest % 3 != 0;
		}
		for (unsigned coming = 1; coming < SETS; coming++)
			for (unsigned going = 0; going < SETS; going++) {
				bool won = majority_has(coming, granted, 1) &&
				           (!going || majority_has(going, granted, 1));
				bool may_win = majority_has(coming, not_refused, 1) &&
				               (!going || majority_has(going, not_refused, 1));
				EXPECT(reached(coming, going, granted) == won);
				EXPECT(reached(coming, going, not_refused) == may_win);
			}
	}
}
END_TEST

START_TEST(nobody_agrees_on_nothing)
{
	struct raft_quorum_value learner = {.value = 9, .roles = RAFT_LEARNER};
	ck_assert_uint_eq(raft_quorum_reached(NULL, 0), 0);
	ck_assert_uint_eq(raft_quorum_reached(&learner, 1), 0);
	/* What goes alone decides nothing. */
	struct raft_quorum_value outgoing = {.value = 9, .roles = RAFT_OUTGOING};
	ck_assert_uint_eq(raft_quorum_reached(&outgoing, 1), 0);
}
END_TEST

/* Two sets of seven without a common replica, at the limits of values. */
START_TEST(the_largest_joint_configuration_fits)
{
	struct raft_quorum_value values[2 * RAFT_VOTERS_MAX];
	for (unsigned i = 0; i < RAFT_VOTERS_MAX; i++) {
		values[i] = (struct raft_quorum_value){UINT64_MAX - i, RAFT_VOTER};
		values[RAFT_VOTERS_MAX + i] =
		    (struct raft_quorum_value){UINT64_MAX - 10 - i, RAFT_OUTGOING};
	}
	ck_assert_uint_eq(raft_quorum_reached(values, 2 * RAFT_VOTERS_MAX), UINT64_MAX - 13);
	ck_assert_uint_eq(raft_quorum_reached(values, RAFT_VOTERS_MAX), UINT64_MAX - 3);
}
END_TEST

Suite *quorum_suite(void)
{
	Suite *suite = suite_create("quorum");
	TCase *tcase = tcase_create("all");
	tcase_add_test(tcase, every_configuration_agrees_with_the_definition);
	tcase_add_test(tcase, votes_are_won_and_lost_as_elections_are);
	tcase_add_test(tcase, nobody_agrees_on_nothing);
	tcase_add_test(tcase, the_largest_joint_configuration_fits);
	suite_add_tcase(suite, tcase);
	return suite;
}
