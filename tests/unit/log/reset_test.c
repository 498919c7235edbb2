/* Groups whose entries a snapshot replaces, and groups that are forgotten. */
#include "tests/unit/log/rig.h"

#include <string.h>

#include "tests/unit/log/suites.h"

static struct rig *rig;

static void setup(void)
{
	rig = rig_new(11, NULL);
	rig->options.first_segment_bytes = rig->options.segment_bytes;
	rig_reopen(rig);
	rig_quiet(rig);
}

static void teardown(void)
{
	rig_free(rig);
}

static void reboot(enum sim_crash crash)
{
	rig_crash(rig, crash);
	ck_assert(rig_boot(rig));
	ck_assert_int_eq(rig->open_error, 0);
	memcpy(rig->appended, rig->acknowledged, sizeof(rig->appended));
	rig->op_count = 0;
	rig->durable_frame = 0;
	rig_check_groups(rig);
}

struct met {
	bool group[RIG_GROUPS];
};

static void meet(void *arg, uint32_t group)
{
	struct met *met = arg;
	ck_assert_uint_lt(group, RIG_GROUPS);
	met->group[group] = true;
}

struct question {
	uint32_t group;
	uint64_t term, index;
	bool answer;
};

static void ask(void *arg)
{
	struct question *question = arg;
	question->answer =
	    log_was_reset(rig->log, question->group, question->term, question->index, UINT64_MAX);
}

static bool was_reset(uint32_t group, uint64_t term, uint64_t index)
{
	struct question question = {.group = group, .term = term, .index = index};
	ck_assert(sim_node_run(rig->node, ask, &question));
	return question.answer;
}

static void list(void *arg)
{
	log_each_group(rig->log, meet, arg);
}

static bool is_met(uint32_t group)
{
	struct met met = {{false}};
	ck_assert(sim_node_run(rig->node, list, &met));
	return met.group[group];
}

static void expect_forgotten(uint32_t group)
{
	struct log_group_view view = rig_view(rig, group);
	ck_assert_uint_eq(view.first_index, 1);
	ck_assert_uint_eq(view.last_index, 0);
	ck_assert_uint_eq(view.last_term, 0);
	ck_assert_uint_eq(view.durable_index, 0);
	ck_assert_uint_eq(view.hard.term, 0);
	ck_assert_uint_eq(view.hard.vote, 0);
	ck_assert_uint_eq(view.hard.commit, 0);
	ck_assert(!view.suspect);
	ck_assert(!is_met(group));
	ck_assert(was_reset(group, 0, 0));
}

static const struct log_hard_state voted = {.term = 3, .vote = 2, .commit = 1};

static void make_group(uint32_t group)
{
	rig_hard(rig, group, voted);
	rig_frame(rig, group);
	rig_frame(rig, group);
}

START_TEST(a_forgotten_group_is_as_one_that_was_never_met)
{
	make_group(0);
	make_group(1);
	ck_assert(is_met(0));
	rig_forget(rig, 0);
	rig_settle(rig);
	expect_forgotten(0);
	ck_assert(is_met(1) && !was_reset(1, 0, 0));
	for (int round = 0; round < 2; round++) {
		reboot(SIM_POWER_CUT);
		expect_forgotten(0);
		ck_assert_uint_eq(rig_view(rig, 1).hard.vote, 2);
	}
}
END_TEST

START_TEST(what_a_checkpoint_held_of_it_is_forgotten_too)
{
	make_group(0);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	ck_assert_uint_eq(rig->base[0].index, 2);
	rig_frame(rig, 0);
	rig_forget(rig, 0);
	rig_settle(rig);
	expect_forgotten(0);
	/* Its third entry follows nothing that the store has. */
	reboot(SIM_KILL);
	expect_forgotten(0);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	reboot(SIM_KILL);
	expect_forgotten(0);
}
END_TEST

START_TEST(a_group_that_is_forgotten_in_vain_is_what_it_was)
{
	make_group(0);
	struct log_base base = rig->base[0];
	rig_forget(rig, 0);
	rig->base[0] = base;
	/* Not flushed. */
	reboot(SIM_KILL);
	ck_assert_uint_eq(rig_view(rig, 0).last_index, 2);
	ck_assert_uint_eq(rig_view(rig, 0).hard.term, 3);
	ck_assert(!was_reset(0, 0, 0));
}
END_TEST

START_TEST(a_hard_state_under_way_is_forgotten_too)
{
	make_group(0);
	struct log_hard_state hard = voted;
	hard.term++;
	rig_hard(rig, 0, hard);
	rig_flush(rig);
	hard.term++;
	rig_hard(rig, 0, hard);
	rig_forget(rig, 0);
	rig_settle(rig);
	expect_forgotten(0);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	ck_assert_uint_eq(rig->base[0].hard.term, 0);
	reboot(SIM_KILL);
	expect_forgotten(0);
}
END_TEST

START_TEST(a_forgotten_group_may_come_again)
{
	make_group(0);
	rig_forget(rig, 0);
	/* In the same frame, and lower than before. */
	struct log_hard_state hard = {.term = 2, .vote = 1};
	rig_hard(rig, 0, hard);
	rig_append(rig, 0, 1, 1);
	rig_settle(rig);
	ck_assert(is_met(0) && !was_reset(0, 0, 0));
	for (int round = 0; round < 2; round++) {
		ck_assert_uint_eq(rig_view(rig, 0).last_index, 1);
		ck_assert_uint_eq(rig_view(rig, 0).last_term, 1);
		ck_assert_uint_eq(rig_view(rig, 0).hard.term, 2);
		reboot(SIM_KILL);
	}
	rig_forget(rig, 0);
	rig_reset(rig, 0, 50, 9);
	rig_append_next(rig, 0);
	rig_settle(rig);
	for (int round = 0; round < 2; round++) {
		ck_assert_uint_eq(rig_view(rig, 0).last_index, 51);
		ck_assert(was_reset(0, 9, 50));
		reboot(SIM_KILL);
	}
}
END_TEST

START_TEST(a_forgotten_group_pins_no_segment)
{
	make_group(0);
	rig->idle_groups = 1;
	for (int i = 0; i < 60; i++)
		rig_frame(rig, 1);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	ck_assert_uint_eq(rig->anchor.first_segment, 1);
	uint64_t needed = rig->anchor.needed_frame;
	rig_forget(rig, 0);
	rig_settle(rig);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	ck_assert_uint_gt(rig->anchor.first_segment, 1);
	ck_assert_uint_gt(rig->anchor.needed_frame, needed + 50);
	rig_quiet(rig);
	reboot(SIM_POWER_CUT);
	expect_forgotten(0);
}
END_TEST

/* A copy of a group that begins at 0 says so with a reset to 0, and forgets nothing. */
START_TEST(a_copy_of_a_new_group_keeps_its_vote)
{
	make_group(0);
	rig->idle_groups = 1;
	for (int i = 0; i < 60; i++)
		rig_frame(rig, 1);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	ck_assert(rig_rewrite(rig, UINT64_MAX, 8000));
	rig_quiet(rig);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	ck_assert_uint_gt(rig->anchor.first_segment, 1);
	rig_quiet(rig);
	reboot(SIM_KILL);
	ck_assert_uint_eq(rig_view(rig, 0).hard.vote, 2);
	ck_assert_uint_eq(rig_view(rig, 0).last_index, 2);
	ck_assert(!was_reset(0, 0, 0));
}
END_TEST

/* ---- Suspicion ---- */

static void lose_a_vote(void)
{
	make_group(0);
	struct log_hard_state hard = voted;
	hard.term++;
	rig_hard(rig, 0, hard);
	rig_settle(rig);
	uint64_t lost = rig->durable_frame;
	rig_frame(rig, 1);
	rig_quiet(rig);
	rig_crash(rig, SIM_KILL);
	rig_rot_frame(rig, lost);
	ck_assert(rig_boot(rig));
	ck_assert(rig_view(rig, 0).suspect);
	/* What is left of it. */
	rig->acknowledged[0].hard = voted;
	memcpy(rig->appended, rig->acknowledged, sizeof(rig->appended));
	rig->op_count = 0;
	rig->durable_frame = 0;
}

START_TEST(a_reset_does_not_make_good_a_lost_vote)
{
	lose_a_vote();
	rig_reset(rig, 0, 30, 4);
	rig_settle(rig);
	ck_assert(rig_view(rig, 0).suspect);
	reboot(SIM_KILL);
	ck_assert(rig_view(rig, 0).suspect);
}
END_TEST

START_TEST(another_replica_is_not_suspect_for_a_vote_that_was_lost)
{
	lose_a_vote();
	/* As the store's base of it says. */
	rig->base[0].hard = voted;
	rig_reset_whole(rig, 0, 30, 4);
	ck_assert(!rig_view(rig, 0).suspect);
	ck_assert_uint_eq(rig_view(rig, 0).hard.term, 3);
	rig_append_next(rig, 0);
	rig_settle(rig);
	for (int round = 0; round < 2; round++) {
		reboot(SIM_KILL);
		ck_assert(!rig_view(rig, 0).suspect);
		ck_assert_uint_eq(rig_view(rig, 0).last_index, 31);
		ck_assert_uint_eq(rig_view(rig, 0).hard.term, 3);
		ck_assert_uint_eq(rig_view(rig, 0).hard.vote, 2);
		ck_assert(was_reset(0, 4, 30));
	}
}
END_TEST

/* The first that this log has of it stands behind the damage, and its newest vote in the store. */
START_TEST(a_group_that_came_behind_damage_of_all_stays_whole_over_a_checkpoint)
{
	rig_frame(rig, 3);
	uint64_t lost = rig_frame(rig, 1);
	rig_frame(rig, 2);
	rig_frame(rig, 3);
	rig_quiet(rig);
	rig_crash(rig, SIM_KILL);
	rig_rot_frame(rig, lost);
	rig_rot_frame(rig, lost + 1);
	reboot(SIM_KILL);
	ck_assert(rig_view(rig, 0).suspect);
	/* It comes with a snapshot. */
	rig_hard(rig, 0, voted);
	rig_reset(rig, 0, 30, 3);
	rig_append_next(rig, 0);
	rig_settle(rig);
	reboot(SIM_KILL);
	ck_assert(!rig_view(rig, 0).suspect);
	rig->idle_groups = ~1U;
	rig_checkpoint(rig, RIG_PLAN_ALL);
	ck_assert_uint_gt(rig->base[0].frame, lost + 1);
	for (int round = 0; round < 2; round++) {
		reboot(SIM_KILL);
		ck_assert(!rig_view(rig, 0).suspect);
		ck_assert(rig_view(rig, 1).suspect);
		ck_assert_uint_eq(rig_view(rig, 0).hard.term, 3);
	}
}
END_TEST

START_TEST(a_suspect_group_is_forgotten)
{
	lose_a_vote();
	rig_forget(rig, 0);
	rig_settle(rig);
	expect_forgotten(0);
	reboot(SIM_KILL);
	expect_forgotten(0);
	/* And its damage holds nothing any more. */
	rig_checkpoint(rig, RIG_PLAN_ALL);
	reboot(SIM_KILL);
	expect_forgotten(0);
	ck_assert_uint_eq(rig->report.gaps > 0 && rig->report.gap[0].matters, 0);
}
END_TEST

START_TEST(the_log_knows_its_last_reset)
{
	make_group(0);
	ck_assert(!was_reset(0, 4, 30) && was_reset(3, 0, 0));
	rig_reset(rig, 0, 30, 4);
	rig_append_next(rig, 0);
	rig_settle(rig);
	for (int round = 0; round < 2; round++) {
		ck_assert(was_reset(0, 4, 30));
		ck_assert(!was_reset(0, 5, 30) && !was_reset(0, 4, 31) && !was_reset(0, 0, 0));
		reboot(SIM_KILL);
	}
	rig_reset(rig, 0, 40, 4);
	rig_settle(rig);
	ck_assert(!was_reset(0, 4, 30) && was_reset(0, 4, 40));
}
END_TEST

/* ---- Groups whose end is lost ---- */

/* Group 0 is forgotten in a frame of its own, which is returned. */
static uint64_t forget_group(void)
{
	make_group(0);
	rig_hard(rig, 0, (struct log_hard_state){.term = 9, .vote = 3, .commit = 2});
	rig_settle(rig);
	rig_forget(rig, 0);
	rig_settle(rig);
	return rig->durable_frame;
}

/* What is found is not compared with the model. */
static void boot_damaged(void)
{
	ck_assert(rig_boot(rig));
	ck_assert_int_eq(rig->open_error, 0);
	ck_assert_uint_eq(rig->report.gaps, 1);
	memcpy(rig->appended, rig->acknowledged, sizeof(rig->appended));
	rig->op_count = 0;
	rig->durable_frame = 0;
}

static void lose_frames(uint64_t first, uint64_t last)
{
	rig_frame(rig, 1);
	rig_quiet(rig);
	rig_crash(rig, SIM_KILL);
	for (uint64_t frame = first; frame <= last; frame++)
		rig_rot_frame(rig, frame);
	boot_damaged();
}

static void expect_hard(uint64_t term, uint64_t vote, uint64_t commit)
{
	struct log_hard_state hard = rig_view(rig, 0).hard;
	ck_assert_uint_eq(hard.term, term);
	ck_assert_uint_eq(hard.vote, vote);
	ck_assert_uint_eq(hard.commit, commit);
}

START_TEST(a_group_whose_end_is_lost_has_ended)
{
	uint64_t lost = forget_group();
	rig_frame(rig, 1);
	lose_frames(lost, lost);
	for (int round = 0; round < 2; round++) {
		ck_assert(!rig_view(rig, 0).suspect && !rig_view(rig, 1).suspect);
		ck_assert_uint_eq(rig_view(rig, 0).last_index, 0);
		expect_hard(0, 0, 0);
		/* Nothing in the log says so but what stands behind it: it is to be said again. */
		ck_assert(!was_reset(0, 0, 0) && is_met(0));
		rig_crash(rig, SIM_KILL);
		boot_damaged();
	}
	rig_forget(rig, 0);
	rig_settle(rig);
	expect_forgotten(0);
}
END_TEST

START_TEST(a_group_that_came_again_has_its_own_votes_where_its_end_is_lost)
{
	/* In a lower term, and in the same with another vote. */
	static const struct log_hard_state again[] = {{.term = 5, .vote = 1},
	    {.term = 9, .vote = 1, .commit = 1}, {.term = 10, .vote = 0, .commit = 1}};
	for (size_t i = 0; i < sizeof(again) / sizeof(again[0]); i++) {
		teardown();
		setup();
		uint64_t lost = forget_group();
		rig_hard(rig, 0, again[i]);
		rig_append(rig, 0, 1, again[i].term);
		rig_settle(rig);
		lose_frames(lost, lost);
		ck_assert(!rig_view(rig, 0).suspect);
		ck_assert_uint_eq(rig_view(rig, 0).last_index, 1);
		ck_assert_uint_eq(rig_view(rig, 0).last_term, again[i].term);
		expect_hard(again[i].term, again[i].vote, again[i].commit);
	}
}
END_TEST

/* The store is as behind the group's end, and nothing of that is left in the log. */
START_TEST(a_reset_without_its_state_makes_a_group_suspect)
{
	make_group(1);
	rig_reset(rig, 0, 30, 4);
	rig_append_next(rig, 0);
	rig_settle(rig);
	rig_crash(rig, SIM_KILL);
	rig->base[0] = (struct log_base){.index = 0};
	for (int round = 0; round < 2; round++) {
		ck_assert(rig_boot(rig));
		ck_assert_int_eq(rig->open_error, 0);
		ck_assert(rig_view(rig, 0).suspect && !rig_view(rig, 1).suspect);
		rig_crash(rig, SIM_KILL);
	}
	ck_assert(rig_boot(rig));
	memcpy(rig->appended, rig->acknowledged, sizeof(rig->appended));
	rig->op_count = 0;
	rig->durable_frame = 0;
	rig_forget(rig, 0);
	rig_settle(rig);
	expect_forgotten(0);
}
END_TEST

/* Several frames: nobody knows that the group's end was among them. */
START_TEST(what_may_be_of_another_replica_is_not_known_to_be_committed)
{
	static const struct log_hard_state again[] = {
	    {.term = 10, .vote = 1}, {.term = 5, .vote = 1}, {.term = 9, .vote = 1}};
	for (size_t i = 0; i < sizeof(again) / sizeof(again[0]); i++) {
		teardown();
		setup();
		uint64_t lost = forget_group();
		ck_assert_uint_eq(rig_frame(rig, 1), lost + 1);
		rig_hard(rig, 0, again[i]);
		rig_reset(rig, 0, 30, again[i].term);
		rig_append_next(rig, 0);
		rig_settle(rig);
		lose_frames(lost, lost + 1);
		ck_assert_uint_eq(rig_view(rig, 0).last_index, 31);
		ck_assert(rig_view(rig, 1).suspect);
		/* What is not above all that was before may not be all of it. */
		bool is_newest = again[i].term > 9;
		ck_assert(rig_view(rig, 0).suspect == !is_newest);
		if (is_newest)
			expect_hard(10, 1, 0);
	}
}
END_TEST

Suite *reset_suite(void)
{
	Suite *suite = suite_create("reset");
	TCase *tcase = tcase_create("reset");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, a_forgotten_group_is_as_one_that_was_never_met);
	tcase_add_test(tcase, what_a_checkpoint_held_of_it_is_forgotten_too);
	tcase_add_test(tcase, a_group_that_is_forgotten_in_vain_is_what_it_was);
	tcase_add_test(tcase, a_hard_state_under_way_is_forgotten_too);
	tcase_add_test(tcase, a_forgotten_group_may_come_again);
	tcase_add_test(tcase, a_forgotten_group_pins_no_segment);
	tcase_add_test(tcase, a_copy_of_a_new_group_keeps_its_vote);
	tcase_add_test(tcase, a_reset_does_not_make_good_a_lost_vote);
	tcase_add_test(tcase, another_replica_is_not_suspect_for_a_vote_that_was_lost);
	tcase_add_test(tcase, a_group_that_came_behind_damage_of_all_stays_whole_over_a_checkpoint);
	tcase_add_test(tcase, a_suspect_group_is_forgotten);
	tcase_add_test(tcase, the_log_knows_its_last_reset);
	tcase_add_test(tcase, a_group_whose_end_is_lost_has_ended);
	tcase_add_test(tcase, a_group_that_came_again_has_its_own_votes_where_its_end_is_lost);
	tcase_add_test(tcase, a_reset_without_its_state_makes_a_group_suspect);
	tcase_add_test(tcase, what_may_be_of_another_replica_is_not_known_to_be_committed);
	suite_add_tcase(suite, tcase);
	return suite;
}
