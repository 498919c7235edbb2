/* The machine's memory follows its members. */
#include "tests/unit/raft/suites.h"

#include <stdlib.h>
#include <string.h>

#include "replication/raft/raft.h"

static uint64_t terms[16];

static uint64_t term_of(void *arg, uint64_t index)
{
	(void)arg;
	return terms[index];
}

static uint32_t fit(
    void *arg, uint64_t first, uint32_t count_max, uint64_t bytes_max, uint64_t *ret_bytes)
{
	(void)arg, (void)first, (void)bytes_max;
	*ret_bytes = count_max;
	return count_max;
}

/* Whatever is to be written is durable at once; the kind of the last entry, 0: there was none. */
static enum raft_entry_kind settle(struct raft *raft)
{
	enum raft_entry_kind kind = (enum raft_entry_kind)0;
	struct raft_output output;
	while (raft_next(raft, &output)) {
		if (output.kind == RAFT_HARD)
			raft_step(raft, &(struct raft_event){.kind = RAFT_HARD_STORED,
			                    .term = output.term,
			                    .vote = output.vote});
		if (output.kind != RAFT_APPEND)
			continue;
		terms[output.at.index] = output.entries[0].term;
		kind = output.entries[0].kind;
		raft_step(raft,
		    &(struct raft_event){
		        .kind = RAFT_STORED, .index = output.at.index, .epoch = output.epoch});
	}
	return kind;
}

/* The only member, in memory for one, which leads. */
static struct raft *new_leader(void)
{
	struct raft_membership membership = {.count = 1, .members = {{1, RAFT_VOTER}}};
	struct raft_options options = {.self = 1,
	    .replicas_max = 8,
	    .log = {.term = term_of, .fit = fit},
	    .election_ms = 1000,
	    .heartbeat_ms = 100,
	    .messages_in_flight_max = 1,
	    .bytes_in_flight_max = 1000,
	    .message_bytes_max = 1000,
	    .uncommitted_bytes_max = 1000};
	struct raft_start start = {.membership = &membership};
	struct raft *raft = raft_init(malloc(raft_bytes(1)), 1, &options, &start);
	raft_step(raft, &(struct raft_event){.kind = RAFT_TICK});
	settle(raft);
	ck_assert_int_eq(raft_status(raft).role, RAFT_LEADER);
	return raft;
}

/* What the old memory had is no part of it any more. */
static struct raft *move(struct raft *before, uint32_t places)
{
	size_t bytes = raft_bytes(raft_status(before).places);
	struct raft *raft = raft_move(before, malloc(raft_bytes(places)), places);
	memset(before, 0xa5, bytes);
	free(before);
	return raft;
}

START_TEST(only_who_has_no_place_is_a_stranger)
{
	struct raft *raft = new_leader();
	struct raft_membership members = {
	    .count = 3, .members = {{1, RAFT_VOTER}, {2, RAFT_VOTER}, {3, RAFT_LEARNER}}};
	ck_assert_uint_eq(raft_strangers(raft, &members), 2);
	members.count = 1;
	ck_assert_uint_eq(raft_strangers(raft, &members), 0);
	free(raft);
}
END_TEST

START_TEST(a_leader_that_was_moved_goes_on_with_more_members)
{
	struct raft *raft = new_leader();
	struct raft_change change = {RAFT_ADD_LEARNER, 2};
	struct raft_membership now;
	const char *why;
	struct raft_status before = raft_status(raft);
	ck_assert_uint_eq(before.places, 1);
	raft = move(raft, 2);
	struct raft_status after = raft_status(raft);
	ck_assert_uint_eq(after.places, 2);
	ck_assert_uint_eq(after.places_taken, 1);
	ck_assert_uint_eq(after.term, before.term);
	ck_assert_uint_eq(after.commit, before.commit);
	ck_assert_int_eq(raft_change(raft, 0, &change, 1, RAFT_AUTOMATIC, &why), 0);
	ck_assert_int_eq(settle(raft), RAFT_MEMBERSHIP);
	raft_get_membership(raft, &now);
	ck_assert_uint_eq(now.count, 2);
	ck_assert_uint_eq(now.members[1].replica, 2);
	ck_assert_uint_eq(raft_status(raft).commit, before.commit + 1);
	free(raft);
}
END_TEST

START_TEST(a_member_that_went_has_its_place_until_the_next_change)
{
	struct raft *raft = move(new_leader(), 2);
	struct raft_change change = {RAFT_ADD_LEARNER, 2};
	const char *why;
	ck_assert_int_eq(raft_change(raft, 0, &change, 1, RAFT_AUTOMATIC, &why), 0);
	settle(raft);
	change.kind = RAFT_REMOVE;
	ck_assert_int_eq(raft_change(raft, 0, &change, 1, RAFT_AUTOMATIC, &why), 0);
	settle(raft);
	ck_assert_uint_eq(raft_status(raft).places_taken, 2);
	raft = move(raft, 3);
	change = (struct raft_change){RAFT_ADD_LEARNER, 3};
	ck_assert_int_eq(raft_change(raft, 0, &change, 1, RAFT_AUTOMATIC, &why), 0);
	ck_assert_int_eq(settle(raft), RAFT_MEMBERSHIP);
	ck_assert_uint_eq(raft_status(raft).places_taken, 2);
	free(raft);
}
END_TEST

START_TEST(a_change_to_more_members_than_the_group_may_have_is_refused)
{
	enum { REPLICAS_MAX = 8 }; /* new_leader's */
	struct raft *raft = move(new_leader(), REPLICAS_MAX + 2);
	struct raft_membership now;
	const char *why;
	for (uint64_t replica = 2; replica <= REPLICAS_MAX; replica++) {
		struct raft_change change = {RAFT_ADD_LEARNER, replica};
		ck_assert_int_eq(raft_change(raft, 0, &change, 1, RAFT_AUTOMATIC, &why), 0);
		ck_assert_int_eq(settle(raft), RAFT_MEMBERSHIP);
	}
	/* There is a place in its memory, and there may be none in the others'. */
	struct raft_change change = {RAFT_ADD_LEARNER, REPLICAS_MAX + 1};
	ck_assert_int_eq(raft_change(raft, 0, &change, 1, RAFT_AUTOMATIC, &why), ERR_INVALID);
	ck_assert_str_eq(why, "more replicas than this group has room for");
	ck_assert_int_eq(settle(raft), 0);
	raft_get_membership(raft, &now);
	ck_assert_uint_eq(now.count, REPLICAS_MAX);
	/* One that takes another's place is as many. */
	struct raft_change both[] = {{RAFT_REMOVE, 2}, change};
	ck_assert_int_eq(raft_change(raft, 0, both, 2, RAFT_AUTOMATIC, &why), 0);
	ck_assert_int_eq(settle(raft), RAFT_MEMBERSHIP);
	free(raft);
}
END_TEST

Suite *places_suite(void)
{
	Suite *suite = suite_create("places");
	TCase *tcase = tcase_create("places");
	tcase_add_test(tcase, only_who_has_no_place_is_a_stranger);
	tcase_add_test(tcase, a_leader_that_was_moved_goes_on_with_more_members);
	tcase_add_test(tcase, a_member_that_went_has_its_place_until_the_next_change);
	tcase_add_test(tcase, a_change_to_more_members_than_the_group_may_have_is_refused);
	suite_add_tcase(suite, tcase);
	return suite;
}
