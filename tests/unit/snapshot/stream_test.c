/* Snapshots between replicas: whoever lacks more than its leader's log has gets the state, whatever
 * happens on the way. */
#include <string.h>

#include "tests/unit/snapshot/behind.h"
#include "tests/unit/snapshot/suites.h"

START_TEST(who_lacks_more_than_the_log_has_gets_the_state)
{
	begin_with(NULL);
	cut(lagging, false);
	ck_assert(world_run(lagging_installed, NULL, FAR_MS));
	expect_all_same();
	ck_assert_uint_eq(world.node[lagging].installs, 1);
	/* It is far larger than what was ever held of it. */
	ck_assert_uint_ge(world.chunk_bytes, KEYS * VALUE_BYTES);
	struct node *sender = leader();
	expect_nothing_held();
	ck_assert_uint_eq(sender->figures.sent, 1);
	ck_assert_uint_eq(world.node[lagging].figures.installed, 1);
	ck_assert_uint_le(
	    sender->figures.bytes_held_max, SNAPSHOT_WINDOW_BYTES + SNAPSHOT_CHUNK_BYTES);
	/* And it goes on as a follower does. */
	ck_assert(put_values(5));
	expect_all_same();
	ck_assert_uint_eq(world.offers, 1);
	world_end();
}
END_TEST

/* It makes its chunk larger while that is read, and so moves it in memory. */
START_TEST(a_pair_that_is_larger_than_a_chunk_is_sent)
{
	begin_with(NULL);
	ck_assert(put_large(3 * SNAPSHOT_CHUNK_BYTES));
	world_wait(500);
	cut(lagging, false);
	ck_assert(world_run(lagging_installed, NULL, FAR_MS));
	expect_all_same();
	world_end();
}
END_TEST

static bool puts_until_installed(void *arg)
{
	static uint64_t last_ns;
	if (sim_now_ns(world.sim) - last_ns > 2 * NS_PER_MS) {
		last_ns = sim_now_ns(world.sim);
		(void)put_value();
	}
	return lagging_installed(arg);
}

/* The log behind the snapshot is kept, so that one is enough. */
START_TEST(one_snapshot_is_enough_under_load)
{
	begin_with(&(struct snapshots_options){.bytes_per_s = 4 * MIB});
	uint64_t before = world.highest;
	cut(lagging, false);
	ck_assert(world_run(puts_until_installed, NULL, FAR_MS));
	ck_assert_uint_gt(
	    (world.highest - before) * VALUE_BYTES, 4 * (uint64_t)GROUP_KEPT_BYTES_MAX);
	expect_all_same();
	ck_assert_uint_eq(world.offers, 1);
	ck_assert_uint_eq(world.node[lagging].installs, 1);
	expect_nothing_held();
	world_end();
}
END_TEST

START_TEST(what_was_installed_outlives_a_power_cut)
{
	begin_with(NULL);
	cut(lagging, false);
	ck_assert(world_run(lagging_installed, NULL, FAR_MS));
	uint64_t index = world.node[lagging].installed_index;
	cut(lagging, true);
	crash(lagging, SIM_POWER_CUT);
	boot(lagging);
	ck_assert_uint_ge(applied_index(lagging), index);
	cut(lagging, false);
	ck_assert(put_values(3));
	expect_all_same();
	ck_assert_uint_eq(world.node[lagging].installs, 1);
	world_end();
}
END_TEST

/* ---- Links ---- */

static unsigned chunks_made(void)
{
	unsigned made = 0;
	for (unsigned i = 0; i < CHUNKS_MAX; i++)
		made += world.chunk_sent[i] > 0;
	return made;
}

START_TEST(a_stream_goes_on_where_the_link_broke)
{
	begin_with(&(struct snapshots_options){.bytes_per_s = 4 * MIB});
	cut(lagging, false);
	for (int i = 0; i < 3; i++) {
		memset(world.sent, 0, sizeof(world.sent));
		(void)world_run(half_is_sent, NULL, 3000);
		cut(lagging, true);
		world_wait(700);
		cut(lagging, false);
	}
	ck_assert(world_run(lagging_installed, NULL, FAR_MS));
	ck_assert_uint_eq(world.offers, 1);
	look_at_figures(number_of(leader()));
	ck_assert_uint_ge(leader()->figures.resumed, 2);
	/* No chunk goes twice beyond what was under way each time. */
	unsigned sent = 0;
	for (unsigned i = 0; i < CHUNKS_MAX; i++)
		sent += world.chunk_sent[i];
	ck_assert_uint_gt(sent, chunks_made());
	ck_assert_uint_le(sent, chunks_made() + 3 * SNAPSHOT_WINDOW_CHUNKS);
	expect_all_same();
	expect_nothing_held();
	world_end();
}
END_TEST

START_TEST(a_link_that_stays_away_ends_the_stream)
{
	begin_with(&(struct snapshots_options){.bytes_per_s = 4 * MIB, .patience_ms = 2000});
	cut(lagging, false);
	ck_assert(world_run(half_is_sent, NULL, FAR_MS));
	cut(lagging, true);
	world_wait(6000);
	expect_nothing_held();
	ck_assert_uint_ge(leader()->figures.send_failures, 1);
	ck_assert_uint_eq(world.node[lagging].installs, 0);
	cut(lagging, false);
	ck_assert(world_run(lagging_installed, NULL, FAR_MS));
	ck_assert_uint_eq(world.offers, 2);
	expect_all_same();
	world_end();
}
END_TEST

START_TEST(a_full_link_is_waited_for)
{
	world_begin(1, 3, NULL);
	world.link_bytes_max = 200 * 1024;
	for (unsigned i = 0; i < world.nodes; i++)
		boot(i);
	leave_behind();
	cut(lagging, false);
	ck_assert(world_run(lagging_installed, NULL, FAR_MS));
	ck_assert_uint_gt(world.fulls, 0);
	ck_assert_uint_eq(world.sent[SNAPSHOT_CHUNK], chunks_made());
	expect_all_same();
	expect_nothing_held();
	world_end();
}
END_TEST

static bool damage_some(struct slice bytes, const struct snapshot_message *message)
{
	static unsigned chunks;
	if (message->kind != SNAPSHOT_CHUNK)
		return true;
	chunks++;
	if (chunks == 20)
		return false;
	if (chunks == 5 || chunks == 6 || chunks == 12)
		((uint8_t *)(uintptr_t)bytes.data)[bytes.bytes / 2] ^= 4;
	return true;
}

START_TEST(a_chunk_that_is_damaged_or_lost_is_asked_for_again)
{
	begin_with(NULL);
	world.mangle = damage_some;
	cut(lagging, false);
	ck_assert(world_run(lagging_installed, NULL, FAR_MS));
	ck_assert_uint_eq(world.offers, 1);
	look_at_figures(number_of(leader()));
	ck_assert_uint_ge(leader()->figures.chunks_again, 3);
	expect_all_same();
	expect_nothing_held();
	world_end();
}
END_TEST

static bool damage_third(struct slice bytes, const struct snapshot_message *message)
{
	if (message->kind == SNAPSHOT_CHUNK && message->number == 3)
		((uint8_t *)(uintptr_t)bytes.data)[bytes.bytes / 2] ^= 4;
	return true;
}

static bool was_given_up(void *arg)
{
	(void)arg;
	return world.offers >= 3;
}

START_TEST(a_chunk_that_never_comes_whole_is_given_up)
{
	begin_with(NULL);
	world.mangle = damage_third;
	cut(lagging, false);
	ck_assert(world_run(was_given_up, NULL, FAR_MS));
	ck_assert_uint_eq(world.node[lagging].installs, 0);
	world.mangle = NULL;
	ck_assert(world_run(lagging_installed, NULL, FAR_MS));
	expect_all_same();
	expect_nothing_held();
	world_end();
}
END_TEST

/* ---- Ends ---- */

static void transfer_in_process(void *arg)
{
	unsigned to = *(unsigned *)arg;
	ck_assert_int_eq(group_transfer(leader()->group, to + 1), 0);
	io_wake(leader()->io, NULL);
}

START_TEST(a_leader_that_loses_its_leadership_sends_no_more)
{
	begin_with(&(struct snapshots_options){.bytes_per_s = 4 * MIB});
	cut(lagging, false);
	ck_assert(world_run(half_is_sent, NULL, FAR_MS));
	struct node *before = leader();
	unsigned to = 3 - number_of(before) - lagging;
	ck_assert(sim_node_run(before->machine, transfer_in_process, &to));
	ck_assert(world_run(lagging_installed, NULL, FAR_MS));
	ck_assert(!before->leads);
	ck_assert_uint_eq(world.offers, 2);
	ck_assert_uint_eq(world.last_offer.from, to + 1);
	expect_all_same();
	expect_nothing_held();
	ck_assert_uint_eq(before->figures.sent, 0);
	world_end();
}
END_TEST

START_TEST(a_leader_that_dies_leaves_nothing_behind)
{
	begin_with(&(struct snapshots_options){.bytes_per_s = 4 * MIB});
	cut(lagging, false);
	ck_assert(world_run(half_is_sent, NULL, FAR_MS));
	unsigned dead = number_of(leader());
	crash(dead, SIM_POWER_CUT);
	ck_assert(world_run(lagging_installed, NULL, FAR_MS));
	boot(dead);
	expect_all_same();
	expect_nothing_held();
	world_end();
}
END_TEST

static bool is_down_or_done(void *arg)
{
	return !world.node[lagging].up || lagging_installed(arg);
}

/* Old or new, and nothing between, whenever its process ends. */
START_TEST(a_replica_that_dies_comes_back_with_the_old_state_or_the_new_one)
{
	begin_with(NULL);
	uint64_t new_hash = state_hash(number_of(leader()));
	struct sim_node *machine = world.node[lagging].machine;
	sim_crash_at(machine, 1 + (uint64_t)_i, _i % 2 ? SIM_KILL : SIM_POWER_CUT);
	cut(lagging, false);
	ck_assert(world_run(is_down_or_done, NULL, FAR_MS));
	sim_crash_at(machine, 0, SIM_KILL);
	if (world.node[lagging].up)
		crash(lagging, SIM_POWER_CUT);
	cut(lagging, true);
	boot(lagging);
	uint64_t index = applied_index(lagging);
	bool is_new = index == world.last_offer.at.index;
	/* The first entry of a term has no value. */
	ck_assert(is_new || index <= FEW + 1);
	ck_assert_uint_eq(
	    state_hash(lagging), is_new ? new_hash : model_hash(index > 0 ? index - 1 : 0));
	ck_assert(is_new || world.node[lagging].installs == 0);
	cut(lagging, false);
	ck_assert(put_values(3));
	expect_all_same();
	expect_nothing_held();
	world_end();
}
END_TEST

/* ---- Places ---- */

static unsigned most_at_once;

static bool watch_two(void *arg)
{
	look_at_figures(number_of(leader()));
	if (leader()->figures.sending > most_at_once)
		most_at_once = leader()->figures.sending;
	return world.node[other].installs > 0 && lagging_installed(arg);
}

/* With places for two, and for one. */
START_TEST(two_replicas_are_served_as_there_are_places)
{
	world_begin(3, 5,
	    &(struct snapshots_options){.bytes_per_s = 8 * MIB, .streams_max = (uint32_t)_i + 1});
	for (unsigned i = 0; i < world.nodes; i++)
		boot(i);
	leave_behind();
	most_at_once = 0;
	cut(lagging, false);
	cut(other, false);
	ck_assert(world_run(watch_two, NULL, FAR_MS));
	ck_assert_uint_eq(most_at_once, (unsigned)_i + 1);
	expect_all_same();
	expect_nothing_held();
	world_end();
}
END_TEST

static bool other_installed(void *arg)
{
	(void)arg;
	return world.node[other].installs > 0;
}

/* Long before its patience ends. */
START_TEST(who_is_gone_leaves_its_place_to_others)
{
	world_begin(3, 5, &(struct snapshots_options){.bytes_per_s = 4 * MIB, .streams_max = 1});
	for (unsigned i = 0; i < world.nodes; i++)
		boot(i);
	leave_behind();
	cut(lagging, false);
	ck_assert(world_run(half_is_sent, NULL, FAR_MS));
	cut(lagging, true);
	cut(other, false);
	ck_assert(world_run(other_installed, NULL, SNAPSHOT_PATIENCE_MS / 3));
	ck_assert_uint_eq(world.node[lagging].installs, 0);
	world_wait(500);
	look_at_figures(number_of(leader()));
	ck_assert_uint_eq(leader()->figures.sending + leader()->figures.sending_waits, 0);
	cut(lagging, false);
	ck_assert(world_run(lagging_installed, NULL, FAR_MS));
	expect_all_same();
	expect_nothing_held();
	world_end();
}
END_TEST

static int change_error;
static const char *change_why;

static void add_learner_in_process(void *arg)
{
	struct raft_change change = {.kind = RAFT_ADD_LEARNER, .replica = *(unsigned *)arg + 1};
	change_error = group_change(leader()->group, &change, 1, RAFT_AUTOMATIC, &change_why);
	io_wake(leader()->io, NULL);
}

static void members_in_process(void *arg)
{
	group_get_members(world.node[lagging].group, arg);
}

START_TEST(a_new_replica_gets_its_first_state_and_its_members)
{
	world_begin(5, 4, NULL);
	lagging = 3;
	world.empty_members[lagging] = true;
	for (unsigned i = 0; i < 3; i++)
		boot(i);
	ck_assert(world_run(has_leader, NULL, FAR_MS));
	ck_assert(put_values(MANY));
	boot(lagging);
	ck_assert(sim_node_run(leader()->machine, add_learner_in_process, &lagging));
	ck_assert_msg(change_error == 0, "%s", change_why);
	ck_assert(world_run(lagging_installed, NULL, FAR_MS));
	expect_all_same();
	/* It knows who the members are, also after a restart. */
	for (int i = 0; i < 2; i++) {
		struct raft_membership members;
		ck_assert(sim_node_run(world.node[lagging].machine, members_in_process, &members));
		ck_assert_uint_eq(members.count, 4);
		ck_assert_uint_eq(members.members[3].roles, RAFT_LEARNER);
		crash(lagging, SIM_POWER_CUT);
		boot(lagging);
		ck_assert(put_values(3));
		expect_all_same();
	}
	ck_assert_uint_eq(world.node[lagging].installs, 1);
	world_end();
}
END_TEST

/* ---- What nobody asked for ---- */

static bool has_result(void *arg)
{
	(void)arg;
	return world.sent[SNAPSHOT_RESULT] > 0;
}

static bool wants_more(void *arg)
{
	(void)arg;
	return world.sent[SNAPSHOT_WANT] > 0;
}

static void raft_term_in_process(void *arg)
{
	*(uint64_t *)arg = group_term(leader()->group);
}

/* An offer as the leader would make it, of something that there is not. */
static struct snapshot_message offer_behind(uint64_t behind)
{
	uint64_t term;
	ck_assert(sim_node_run(leader()->machine, raft_term_in_process, &term));
	return (struct snapshot_message){.kind = SNAPSHOT_OFFER,
	    .id = 77,
	    .from = number_of(leader()) + 1,
	    .to = lagging + 1,
	    .term = term,
	    .at = {.term = term, .index = applied_index(lagging) + behind}};
}

static void begin_together(void)
{
	world_begin(7, 3, NULL);
	for (unsigned i = 0; i < world.nodes; i++)
		boot(i);
	ck_assert(world_run(has_leader, NULL, FAR_MS));
	ck_assert(put_values(10));
	ck_assert(world_run(all_have_all, NULL, FAR_MS));
	lagging = a_follower();
}

static void expect_result(int result)
{
	ck_assert(world_run(has_result, NULL, FAR_MS));
	ck_assert_int_eq(world.last_result.result, result);
	ck_assert_uint_eq(world.last_result.id, 77);
	ck_assert_uint_eq(world.node[lagging].installs, 0);
	ck_assert(put_values(3));
	expect_all_same();
	expect_nothing_held();
	world_end();
}

START_TEST(an_offer_of_what_is_there_is_answered_so)
{
	begin_together();
	struct snapshot_message message = offer_behind(0);
	inject(number_of(leader()), lagging, &message);
	expect_result(ERR_EXISTS);
}
END_TEST

START_TEST(an_offer_of_an_older_leader_is_refused)
{
	begin_together();
	struct snapshot_message message = offer_behind(100);
	message.term = 0;
	message.at.term = 0;
	inject(number_of(leader()), lagging, &message);
	expect_result(ERR_AGAIN);
}
END_TEST

START_TEST(a_chunk_of_a_snapshot_that_is_not_known_is_refused)
{
	begin_together();
	struct snapshot_message message = offer_behind(100);
	message.kind = SNAPSHOT_CHUNK;
	inject(number_of(leader()), lagging, &message);
	expect_result(ERR_NOT_FOUND);
}
END_TEST

static struct snapshot_message end_of(struct snapshot_message offer)
{
	static uint8_t bytes[] = {1, 0, 1, 1, RAFT_VOTER};
	offer.kind = SNAPSHOT_END;
	offer.data = slice_of(bytes, sizeof(bytes));
	return offer;
}

/* What it is behind then is not installed over it. */
START_TEST(what_the_replica_has_by_the_end_is_not_installed)
{
	begin_together();
	struct snapshot_message offer = offer_behind(5), end = end_of(offer);
	inject(number_of(leader()), lagging, &offer);
	ck_assert(world_run(wants_more, NULL, FAR_MS));
	ck_assert(put_values(20));
	ck_assert(world_run(all_have_all, NULL, FAR_MS));
	inject(number_of(leader()), lagging, &end);
	expect_result(ERR_EXISTS);
}
END_TEST

START_TEST(totals_that_are_wrong_are_refused)
{
	begin_together();
	struct snapshot_message offer = offer_behind(500), end = end_of(offer);
	end.pairs = 1;
	inject(number_of(leader()), lagging, &offer);
	ck_assert(world_run(wants_more, NULL, FAR_MS));
	inject(number_of(leader()), lagging, &end);
	expect_result(ERR_CORRUPT);
}
END_TEST

Suite *snapshot_stream_suite(void)
{
	Suite *suite = suite_create("stream");
	TCase *cases = tcase_create("stream");
	tcase_add_test(cases, who_lacks_more_than_the_log_has_gets_the_state);
	tcase_add_test(cases, a_pair_that_is_larger_than_a_chunk_is_sent);
	tcase_add_test(cases, one_snapshot_is_enough_under_load);
	tcase_add_test(cases, what_was_installed_outlives_a_power_cut);
	tcase_add_test(cases, a_stream_goes_on_where_the_link_broke);
	tcase_add_test(cases, a_link_that_stays_away_ends_the_stream);
	tcase_add_test(cases, a_full_link_is_waited_for);
	tcase_add_test(cases, a_chunk_that_is_damaged_or_lost_is_asked_for_again);
	tcase_add_test(cases, a_chunk_that_never_comes_whole_is_given_up);
	tcase_add_test(cases, a_leader_that_loses_its_leadership_sends_no_more);
	tcase_add_test(cases, a_leader_that_dies_leaves_nothing_behind);
	tcase_add_loop_test(
	    cases, a_replica_that_dies_comes_back_with_the_old_state_or_the_new_one, 0, 40);
	tcase_add_loop_test(cases, two_replicas_are_served_as_there_are_places, 0, 2);
	tcase_add_test(cases, who_is_gone_leaves_its_place_to_others);
	tcase_add_test(cases, a_new_replica_gets_its_first_state_and_its_members);
	tcase_add_test(cases, an_offer_of_what_is_there_is_answered_so);
	tcase_add_test(cases, an_offer_of_an_older_leader_is_refused);
	tcase_add_test(cases, a_chunk_of_a_snapshot_that_is_not_known_is_refused);
	tcase_add_test(cases, what_the_replica_has_by_the_end_is_not_installed);
	tcase_add_test(cases, totals_that_are_wrong_are_refused);
	suite_add_tcase(suite, cases);
	return suite;
}
