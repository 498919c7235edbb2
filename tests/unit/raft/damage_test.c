/* What a peer sends may be damaged, or a lie. The core stands, and takes nothing of it. */
#include "tests/unit/raft/suites.h"

#include <setjmp.h>
#include <stdlib.h>

#include "base/assert.h"
#include "replication/raft/raft.h"

enum { ROOM = 4 };

static uint64_t term_of(void *arg, uint64_t index)
{
	(void)arg;
	(void)index;
	return 0;
}

static uint32_t fit(
    void *arg, uint64_t first, uint32_t count_max, uint64_t bytes_max, uint64_t *ret_bytes)
{
	(void)arg;
	(void)first;
	*ret_bytes = bytes_max < count_max ? bytes_max : count_max;
	return (uint32_t)*ret_bytes;
}

/* One of three voters, with room for four replicas, and nothing in its log. */
static struct raft *new_raft(void)
{
	struct raft_membership membership = {
	    .count = 3, .members = {{1, RAFT_VOTER}, {2, RAFT_VOTER}, {3, RAFT_VOTER}}};
	struct raft_options options = {.self = 1,
	    .replicas_max = ROOM,
	    .log = {.term = term_of, .fit = fit},
	    .election_ms = 1000,
	    .heartbeat_ms = 100,
	    .messages_in_flight_max = 1,
	    .bytes_in_flight_max = 1000,
	    .message_bytes_max = 1000,
	    .uncommitted_bytes_max = 1000};
	struct raft_start start = {.membership = &membership};
	return raft_init(malloc(raft_bytes(2 * ROOM)), 2 * ROOM, &options, &start);
}

/* It comes from the leader of term 5; true: something was appended. */
static bool appends(
    struct raft *raft, struct raft_position at, const struct raft_entry *entries, uint32_t count)
{
	struct raft_message message = {.kind = RAFT_APPEND_ENTRIES,
	    .from = 2,
	    .to = 1,
	    .term = 5,
	    .at = at,
	    .count = count,
	    .entries = entries};
	raft_step(raft, &(struct raft_event){.kind = RAFT_RECEIVED, .message = &message});
	bool appended = false;
	struct raft_output output;
	while (raft_next(raft, &output))
		appended |= output.kind == RAFT_APPEND;
	return appended;
}

static struct raft_entry membership_entry(const struct raft_membership *membership, uint8_t *bytes)
{
	struct writer writer = writer_of(bytes, RAFT_MEMBERSHIP_BYTES_MAX);
	raft_membership_write(&writer, membership);
	return (struct raft_entry){
	    .term = 5, .kind = RAFT_MEMBERSHIP, .data = writer_view(&writer)};
}

START_TEST(entries_of_terms_that_cannot_be_are_not_taken)
{
	struct raft *raft = new_raft();
	struct raft_position none = {0, 0};
	struct raft_entry newer[] = {{.term = 6, .kind = RAFT_NOOP}};
	struct raft_entry falling[] = {
	    {.term = 5, .kind = RAFT_NOOP}, {.term = 4, .kind = RAFT_NOOP}};
	ck_assert(!appends(raft, none, newer, 1));
	ck_assert(!appends(raft, none, falling, 2));
	ck_assert(!appends(raft, (struct raft_position){.term = 9, .index = 9}, NULL, 0));
	struct raft_entry good[] = {{.term = 5, .kind = RAFT_NOOP}};
	ck_assert(!appends(raft, (struct raft_position){.term = 5, .index = UINT64_MAX}, good, 1));
	ck_assert(appends(raft, none, good, 1));
	free(raft);
}
END_TEST

START_TEST(memberships_that_cannot_be_are_not_taken)
{
	struct raft *raft = new_raft();
	struct raft_position none = {0, 0};
	uint8_t bytes[RAFT_MEMBERSHIP_BYTES_MAX] = {0};
	struct raft_membership large = {.count = ROOM + 1}, nobody = {.count = 0};
	for (uint32_t i = 0; i < large.count; i++)
		large.members[i] = (struct raft_member){.replica = i + 1, .roles = RAFT_VOTER};
	struct raft_entry entry = membership_entry(&large, bytes);
	ck_assert(!appends(raft, none, &entry, 1));
	entry = membership_entry(&nobody, bytes);
	ck_assert(!appends(raft, none, &entry, 1));
	large.count = ROOM;
	entry = membership_entry(&large, bytes);
	entry.data.bytes--;
	ck_assert(!appends(raft, none, &entry, 1));
	struct raft_membership now;
	raft_get_membership(raft, &now);
	ck_assert_uint_eq(now.count, 3);
	entry.data.bytes++;
	ck_assert(appends(raft, none, &entry, 1));
	raft_get_membership(raft, &now);
	ck_assert_uint_eq(now.count, ROOM);
	free(raft);
}
END_TEST

START_TEST(a_snapshot_of_a_later_term_than_its_leaders_is_not_taken)
{
	struct raft *raft = new_raft();
	struct raft_position at = {.term = 6, .index = 10};
	ck_assert_int_eq(raft_install(raft, 0, 2, 5, at), ERR_AGAIN);
	ck_assert_uint_eq(raft_status(raft).term, 0);
	ck_assert_int_eq(raft_install(raft, 0, 2, 6, at), 0);
	ck_assert(raft_status(raft).installing);
	free(raft);
}
END_TEST

/* Nobody of that number is a member, and nothing was asked. */
START_TEST(replies_that_nobody_asked_for_do_nothing)
{
	struct raft *raft = new_raft();
	for (int kind = RAFT_PREVOTE; kind <= RAFT_READ_INDEX_REPLY; kind++) {
		if (kind == RAFT_APPEND_ENTRIES || kind == RAFT_HEARTBEAT)
			continue;
		struct raft_message message = {.kind = (enum raft_message_kind)kind,
		    .from = UINT64_MAX,
		    .to = 1,
		    .at = {0, UINT64_MAX},
		    .hint = {0, UINT64_MAX},
		    .round = UINT64_MAX};
		raft_step(raft, &(struct raft_event){.kind = RAFT_RECEIVED, .message = &message});
		struct raft_status status = raft_status(raft);
		ck_assert_uint_eq(status.term, 0);
		ck_assert_int_eq(status.role, RAFT_FOLLOWER);
	}
	free(raft);
}
END_TEST

static void hear(struct raft *raft, enum raft_message_kind kind, uint64_t from, uint64_t term)
{
	struct raft_message message = {.kind = kind, .from = from, .to = 1, .term = term};
	raft_step(
	    raft, &(struct raft_event){
	              .kind = RAFT_RECEIVED, .now_ms = raft_deadline(raft), .message = &message});
}

static void do_all(struct raft *raft)
{
	struct raft_output output;
	while (raft_next(raft, &output)) {
	}
}

/* Another node has this one's number; and a term behind which there is none. */
START_TEST(its_own_messages_and_the_last_terms_are_not_heard)
{
	struct raft *raft = new_raft();
	for (int kind = RAFT_PREVOTE; kind <= RAFT_READ_INDEX_REPLY; kind++) {
		hear(raft, (enum raft_message_kind)kind, 1, 7);
		hear(raft, (enum raft_message_kind)kind, 2, RAFT_TERM_MAX + 1);
		hear(raft, (enum raft_message_kind)kind, 2, UINT64_MAX);
		ck_assert_uint_eq(raft_status(raft).term, 0);
	}
	hear(raft, RAFT_HEARTBEAT, 2, RAFT_TERM_MAX);
	ck_assert_uint_eq(raft_status(raft).term, RAFT_TERM_MAX);
	free(raft);
}
END_TEST

/* Also not where it comes with a snapshot, which is installed or the log has it already. */
START_TEST(snapshots_of_terms_and_indices_behind_the_last_are_not_installed)
{
	struct raft *raft = new_raft();
	uint64_t now_ms = raft_deadline(raft);
	struct raft_position none = {0, 0}, one = {1, 1}, last = {1, UINT64_MAX};
	ck_assert_int_eq(raft_install(raft, now_ms, 2, RAFT_TERM_MAX + 1, none), ERR_AGAIN);
	ck_assert_int_eq(raft_install(raft, now_ms, 2, UINT64_MAX, one), ERR_AGAIN);
	ck_assert_int_eq(raft_install(raft, now_ms, 2, 1, last), ERR_AGAIN);
	ck_assert_uint_eq(raft_status(raft).term, 0);
	ck_assert(!raft_status(raft).installing);
	free(raft);
}
END_TEST

/* One more is no term that others would listen to, nor one that there is room for elsewhere. */
START_TEST(nobody_campaigns_behind_the_last_term)
{
	struct raft *raft = new_raft();
	hear(raft, RAFT_VOTE, 2, RAFT_TERM_MAX);
	do_all(raft);
	raft_step(raft, &(struct raft_event){.kind = RAFT_HARD_STORED,
	                    .now_ms = raft_deadline(raft),
	                    .term = RAFT_TERM_MAX,
	                    .vote = raft_status(raft).vote});
	for (int i = 0; i < 3; i++)
		raft_step(
		    raft, &(struct raft_event){.kind = RAFT_TICK, .now_ms = raft_deadline(raft)});
	ck_assert_int_eq(raft_status(raft).role, RAFT_FOLLOWER);
	hear(raft, RAFT_PREVOTE_REPLY, 2, RAFT_TERM_MAX);
	ck_assert_uint_eq(raft_status(raft).term, RAFT_TERM_MAX);
	free(raft);
}
END_TEST

START_TEST(grants_before_its_own_vote_is_durable_do_not_count)
{
	struct raft *raft = new_raft();
	raft_step(raft, &(struct raft_event){.kind = RAFT_TICK, .now_ms = raft_deadline(raft)});
	hear(raft, RAFT_PREVOTE_REPLY, 2, 1);
	ck_assert_int_eq(raft_status(raft).role, RAFT_CANDIDATE);
	do_all(raft);
	hear(raft, RAFT_VOTE_REPLY, 2, 1);
	hear(raft, RAFT_VOTE_REPLY, 3, 1);
	ck_assert_int_eq(raft_status(raft).role, RAFT_CANDIDATE);
	raft_step(raft,
	    &(struct raft_event){
	        .kind = RAFT_HARD_STORED, .now_ms = raft_deadline(raft), .term = 1, .vote = 1});
	ck_assert_int_eq(raft_status(raft).role, RAFT_LEADER);
	free(raft);
}
END_TEST

static jmp_buf stopped;

static void stop(const char *file, int line, const char *what)
{
	(void)file;
	(void)line;
	(void)what;
	longjmp(stopped, 1);
}

/* That would be the owner's mistake, and the group's loss. */
START_TEST(the_log_is_never_cut_above_what_is_committed_or_durable)
{
	struct raft *raft = new_raft();
	struct raft_entry entries[] = {
	    {.term = 5, .kind = RAFT_NOOP}, {.term = 5, .kind = RAFT_NOOP}};
	ck_assert(appends(raft, (struct raft_position){0, 0}, entries, 2));
	struct raft_event cut = {.kind = RAFT_COMPACTED, .at = {.term = 5, .index = 1}};
	/* Neither; then it is durable alone; then committed too. */
	for (volatile int facts = 0; facts < 2; facts++) {
		assert_set_hook(stop);
		if (setjmp(stopped) == 0) {
			raft_step(raft, &cut);
			ck_abort_msg("it was cut");
		}
		raft_step(raft, &(struct raft_event){.kind = RAFT_STORED, .index = 2});
	}
	struct raft_message heartbeat = {
	    .kind = RAFT_HEARTBEAT, .from = 2, .to = 1, .term = 5, .commit = 1};
	raft_step(raft, &(struct raft_event){.kind = RAFT_RECEIVED, .message = &heartbeat});
	do_all(raft);
	raft_step(raft, &cut);
	ck_assert_uint_eq(raft_status(raft).base.index, 1);
	free(raft);
}
END_TEST

Suite *damage_suite(void)
{
	Suite *suite = suite_create("damage");
	TCase *tcase = tcase_create("all");
	tcase_add_test(tcase, entries_of_terms_that_cannot_be_are_not_taken);
	tcase_add_test(tcase, memberships_that_cannot_be_are_not_taken);
	tcase_add_test(tcase, a_snapshot_of_a_later_term_than_its_leaders_is_not_taken);
	tcase_add_test(tcase, replies_that_nobody_asked_for_do_nothing);
	tcase_add_test(tcase, its_own_messages_and_the_last_terms_are_not_heard);
	tcase_add_test(tcase, snapshots_of_terms_and_indices_behind_the_last_are_not_installed);
	tcase_add_test(tcase, nobody_campaigns_behind_the_last_term);
	tcase_add_test(tcase, grants_before_its_own_vote_is_durable_do_not_count);
	tcase_add_test(tcase, the_log_is_never_cut_above_what_is_committed_or_durable);
	suite_add_tcase(suite, tcase);
	return suite;
}
