/* Where a log ends and what is missing in it, from made-up stretches. */
#include "storage/log_judge.h"

#include <string.h>

#include "tests/unit/log/suites.h"

enum { STRETCHES = 10 };

/* Stretch n (from 1) stands in segment n from offset 0; its hash and chain are its numbers. */
static struct log_stretch stretches[STRETCHES];
static size_t count;
static struct log_anchor anchor;
static struct log_judgement judged;

static void setup(void)
{
	memset(stretches, 0, sizeof(stretches));
	anchor =
	    (struct log_anchor){.first_segment = 1, .first_frame = 1, .needed_frame = 1, .life = 1};
	stretches[0].end_verdict = LOG_ZERO;
	stretches[0].end.segment = 1;
	count = 1;
}

static struct log_stretch *add(
    uint64_t first, uint64_t last, uint64_t life, uint64_t life_frame, uint64_t watermark)
{
	struct log_stretch *stretch = &stretches[count];
	*stretch = (struct log_stretch){.first = first,
	    .last = last,
	    .life = life,
	    .life_frame = life_frame,
	    .watermark = watermark,
	    .chain = first == 1 ? 0 : 1000 + first - 1,
	    .last_chain = 1000 + last - 1,
	    .last_hash = 1000 + last,
	    .begin = {count, 0},
	    .last_begin = {count, (last - first) * 4096},
	    .end = {count, (last - first + 1) * 4096},
	    .behind = {count, (last - first + 1) * 4096},
	    .end_verdict = LOG_ZERO};
	count++;
	return stretch;
}

static void judge(uint64_t proven)
{
	log_judge(&anchor, proven, stretches, count, &judged);
}

static void expect_gap(size_t number, uint64_t first, uint64_t last, size_t next, bool known)
{
	ck_assert_uint_gt(judged.gap_count, number);
	const struct log_judged_gap *gap = &judged.gap[number];
	ck_assert_uint_eq(gap->first, first);
	ck_assert_uint_eq(gap->last, last);
	ck_assert_uint_eq(gap->next, next);
	ck_assert(gap->report.groups_known == known);
	ck_assert_uint_eq(gap->report.last_frame, next ? last : UINT64_MAX);
}

START_TEST(an_empty_log_begins_at_frame_one)
{
	anchor.life = 0;
	judge(0);
	ck_assert_uint_eq(judged.next_frame, 1);
	ck_assert_uint_eq(judged.next_life, 1);
	ck_assert_uint_eq(judged.last_kept, 0);
	ck_assert(!judged.cut);
}
END_TEST

START_TEST(a_whole_log_goes_on_behind_its_last_frame)
{
	add(1, 20, 1, 1, 17);
	add(21, 30, 2, 21, 29);
	judge(0);
	ck_assert_uint_eq(judged.next_frame, 31);
	ck_assert_uint_eq(judged.next_life, 3);
	ck_assert_uint_eq(judged.last_kept, 2);
	ck_assert_uint_eq(judged.proven, 29);
	ck_assert_uint_eq(judged.gaps, 0);
	ck_assert(!judged.cut && !judged.end_missing && !judged.unexplained);
}
END_TEST

START_TEST(an_unproven_hole_is_a_cut)
{
	add(1, 20, 1, 1, 17);
	add(22, 25, 1, 1, 20);
	judge(0);
	ck_assert_uint_eq(judged.next_frame, 21);
	ck_assert(judged.cut);
	ck_assert_uint_eq(judged.frames_given_up, 4);
	ck_assert_uint_eq(judged.gaps, 0);
	ck_assert_int_eq(stretches[2].fate, LOG_FATE_GIVEN_UP);
}
END_TEST

START_TEST(a_proven_hole_is_damage_and_the_log_goes_on)
{
	add(1, 20, 1, 1, 17);
	add(22, 25, 1, 1, 21);
	judge(0);
	ck_assert_uint_eq(judged.next_frame, 26);
	ck_assert(!judged.cut);
	expect_gap(0, 21, 21, 2, true);
	ck_assert(!judged.proof_at_risk);
}
END_TEST

START_TEST(a_frame_behind_a_cut_can_prove_a_hole_before_it)
{
	add(1, 20, 1, 1, 10);
	add(22, 25, 1, 1, 11);
	add(27, 30, 1, 1, 22);
	judge(0);
	/* 21 is proven by what stands behind 26, which itself is not. */
	expect_gap(0, 21, 21, 2, true);
	ck_assert_uint_eq(judged.next_frame, 26);
	ck_assert(judged.cut);
	ck_assert_uint_eq(judged.frames_given_up, 4);
	/* And once those are overwritten, nobody would know. */
	ck_assert(judged.proof_at_risk);
	judge(22);
	expect_gap(0, 21, 21, 2, true);
	ck_assert(!judged.proof_at_risk);
}
END_TEST

START_TEST(several_missing_frames_have_no_known_owner)
{
	add(1, 20, 1, 1, 17);
	add(23, 25, 1, 1, 22);
	judge(0);
	expect_gap(0, 21, 22, 2, false);
	/* Where only the last of them matters, its owner is known. */
	anchor.needed_frame = 22;
	anchor.durable_frame = 22;
	judge(0);
	expect_gap(0, 21, 22, 2, true);
}
END_TEST

START_TEST(a_directory_that_knows_nothing_names_nobody)
{
	struct log_extent unknown = {.group = LOG_GROUP_UNKNOWN, .flags = LOG_EXTENT_UNKNOWN};
	add(1, 20, 1, 1, 17);
	struct log_stretch *life = add(22, 25, 2, 22, 21);
	life->chain = 0;
	life->directory = &unknown;
	life->directory_count = 1;
	judge(0);
	expect_gap(0, 21, 21, 2, false);
}
END_TEST

START_TEST(a_missing_end_is_proven_by_the_anchor)
{
	add(1, 20, 1, 1, 17);
	anchor.durable_frame = 23;
	judge(0);
	expect_gap(0, 21, 23, 0, false);
	ck_assert(judged.end_missing);
	ck_assert_uint_eq(judged.next_frame, 24);
	ck_assert_uint_eq(judged.last_kept, 1);
}
END_TEST

START_TEST(a_hole_that_is_proven_in_part_ends_the_log)
{
	add(1, 20, 1, 1, 17);
	add(24, 25, 1, 1, 22);
	judge(0);
	/* 21 and 22 had been durable, 23 had not. */
	expect_gap(0, 21, 22, 0, false);
	ck_assert(judged.end_missing);
	ck_assert_uint_eq(judged.next_frame, 23);
	ck_assert_uint_eq(judged.frames_given_up, 2);
}
END_TEST

START_TEST(a_log_without_any_frame_is_a_missing_end)
{
	anchor.durable_frame = 9;
	judge(0);
	expect_gap(0, 1, 9, 0, false);
	ck_assert_uint_eq(judged.next_frame, 10);
}
END_TEST

START_TEST(frames_given_up_by_a_later_life_are_stale)
{
	add(1, 20, 1, 1, 17);
	add(21, 24, 2, 21, 23);
	struct log_stretch *stale = add(25, 40, 1, 1, 20);
	stale->chain = 1024; /* fits, by accident */
	judge(0);
	ck_assert_int_eq(stretches[3].fate, LOG_FATE_STALE);
	ck_assert_uint_eq(judged.next_frame, 25);
	ck_assert_uint_eq(judged.next_life, 3);
	ck_assert(!judged.cut);
}
END_TEST

START_TEST(stale_frames_are_known_where_the_life_frame_is_lost)
{
	/* Life 2 began at 21, which is lost; 22 of life 1 stands before 22 of life 2. */
	add(1, 20, 1, 1, 17);
	add(22, 23, 1, 1, 20);
	add(22, 30, 2, 21, 29);
	judge(0);
	ck_assert_int_eq(stretches[2].fate, LOG_FATE_STALE);
	expect_gap(0, 21, 21, 3, true);
	ck_assert_uint_eq(judged.next_frame, 31);
}
END_TEST

START_TEST(the_anchor_knows_lives_too)
{
	anchor.life = 3;
	anchor.durable_frame = 20;
	add(1, 20, 1, 1, 17);
	add(21, 30, 2, 21, 29);
	judge(0);
	ck_assert_int_eq(stretches[2].fate, LOG_FATE_STALE);
	ck_assert_uint_eq(judged.next_frame, 21);
	ck_assert_uint_eq(judged.next_life, 4);
	/* Below what was durable then, older lives are as they should be. */
	ck_assert_int_eq(stretches[1].fate, LOG_FATE_KEPT);
}
END_TEST

/* Nothing is left of life 2, which the anchor is of. */
START_TEST(frames_given_up_are_stale_where_the_life_behind_them_is_lost)
{
	anchor.life = 2;
	anchor.life_frame = 21;
	anchor.durable_frame = 25;
	add(1, 20, 1, 1, 17);
	add(22, 24, 1, 1, 20);
	judge(0);
	ck_assert_int_eq(stretches[1].fate, LOG_FATE_KEPT);
	ck_assert_int_eq(stretches[2].fate, LOG_FATE_STALE);
	expect_gap(0, 21, 25, 0, false);
	ck_assert_uint_eq(judged.next_frame, 26);
	ck_assert_uint_eq(judged.next_life, 3);
}
END_TEST

/* Life 3 began where the end of life 2 was missing. */
START_TEST(frames_given_up_by_an_earlier_life_are_stale_where_all_of_that_is_lost)
{
	anchor.life = 3;
	anchor.life_frame = 26;
	anchor.durable_frame = 26;
	anchor.before[0] = (struct log_life){.life = 2, .frame = 21};
	add(1, 20, 1, 1, 17);
	add(22, 24, 1, 1, 20);
	add(26, 30, 3, 26, 29);
	judge(0);
	ck_assert_int_eq(stretches[1].fate, LOG_FATE_KEPT);
	ck_assert_int_eq(stretches[2].fate, LOG_FATE_STALE);
	ck_assert_int_eq(stretches[3].fate, LOG_FATE_KEPT);
	expect_gap(0, 21, 25, 3, false);
}
END_TEST

START_TEST(what_is_known_of_lives_is_kept_for_anchors)
{
	struct log_life before[LOG_LIVES_BEFORE];
	anchor.life = 7;
	anchor.life_frame = 60;
	anchor.before[0] = (struct log_life){.life = 5, .frame = 50};
	add(1, 20, 1, 1, 17);
	add(61, 70, 8, 61, 69);
	add(40, 45, 4, 40, 44);
	/* It began behind one that came later: that says it all. */
	add(55, 56, 3, 55, 40);
	struct log_life next = {.life = 9, .frame = 71};
	static const struct log_life expected[LOG_LIVES_BEFORE] = {{.life = 8, .frame = 61},
	    {.life = 7, .frame = 60}, {.life = 5, .frame = 50}, {.life = 4, .frame = 40},
	    {.life = 1, .frame = 1}};
	log_judge_lives(&anchor, stretches, count, next, before);
	ck_assert_mem_eq(before, expected, sizeof(before));
	/* The newest, where there are more. */
	count = 1;
	anchor = (struct log_anchor){.life = 1};
	for (uint64_t life = 1; life < STRETCHES; life++)
		add(10 * life, 10 * life + 3, life, 10 * life, 1);
	log_judge_lives(
	    &anchor, stretches, count, (struct log_life){.life = 10, .frame = 99}, before);
	for (uint64_t i = 0; i < LOG_LIVES_BEFORE; i++)
		ck_assert_uint_eq(before[i].life, 9 - i);
}
END_TEST

START_TEST(an_anchor_that_does_not_know_where_its_life_began_knows_what_was_durable)
{
	anchor.life = 2;
	anchor.durable_frame = 25;
	add(1, 20, 1, 1, 17);
	add(22, 30, 1, 1, 20);
	judge(0);
	ck_assert_int_eq(stretches[2].fate, LOG_FATE_KEPT);
	ck_assert_uint_eq(stretches[2].last, 25);
	expect_gap(0, 21, 21, 2, true);
	ck_assert_uint_eq(judged.next_frame, 26);
}
END_TEST

START_TEST(a_stale_watermark_proves_nothing)
{
	add(1, 20, 1, 1, 17);
	add(21, 24, 2, 21, 20);
	add(30, 40, 1, 1, 27);
	judge(0);
	ck_assert_uint_eq(judged.proven, 20);
	ck_assert_uint_eq(judged.gaps, 0);
	ck_assert_uint_eq(judged.next_frame, 25);
}
END_TEST

START_TEST(what_does_not_chain_proves_a_leftover)
{
	add(1, 20, 1, 1, 17);
	struct log_stretch *next = add(21, 25, 1, 1, 24);
	next->chain = 77;
	judge(0);
	expect_gap(0, 20, 20, 2, true);
	ck_assert_uint_eq(stretches[1].last, 19);
	ck_assert_uint_eq(stretches[1].end.offset, 19 * 4096);
	ck_assert_uint_eq(judged.gap[0].report.offset, 19 * 4096);
	ck_assert_uint_eq(judged.next_frame, 26);
}
END_TEST

START_TEST(an_unproven_leftover_is_a_cut)
{
	add(1, 20, 1, 1, 17);
	struct log_stretch *next = add(21, 25, 1, 1, 19);
	next->chain = 77;
	judge(0);
	ck_assert_uint_eq(judged.gaps, 0);
	ck_assert_uint_eq(judged.next_frame, 20);
	ck_assert_uint_eq(judged.frames_given_up, 5);
}
END_TEST

START_TEST(a_first_frame_that_is_not_the_anchors_is_not_believed)
{
	anchor.first_frame = 11;
	anchor.chain = 1010;
	anchor.durable_frame = 12;
	stretches[0].last = 10;
	stretches[0].last_hash = 1010;
	add(11, 20, 1, 1, 17);
	judge(0);
	ck_assert_uint_eq(judged.gaps, 0);
	stretches[1].chain = 5;
	judge(0);
	expect_gap(0, 11, 12, 0, false);
}
END_TEST

START_TEST(a_torn_frame_at_the_end_is_a_cut)
{
	add(1, 20, 1, 1, 17)->end_verdict = LOG_BAD_HASH;
	judge(0);
	ck_assert(judged.cut);
	ck_assert_uint_eq(judged.next_frame, 21);
	ck_assert_uint_eq(judged.frames_given_up, 0);
}
END_TEST

START_TEST(an_unreadable_place_where_the_log_may_go_on_explains_nothing)
{
	add(1, 20, 1, 1, 17)->end_verdict = LOG_UNREADABLE;
	stretches[1].unreadable_behind = true;
	judge(0);
	ck_assert(judged.unexplained);
	/* Somewhere in unwritten space: that is not where it goes on. */
	stretches[1].end_verdict = LOG_ZERO;
	judge(0);
	ck_assert(!judged.unexplained);
	/* The frame may not have fitted. */
	stretches[1].unreadable_begin_behind = true;
	judge(0);
	ck_assert(judged.unexplained);
	/* Anywhere before what is given up. */
	stretches[1].unreadable_begin_behind = false;
	add(22, 25, 1, 1, 20);
	judge(0);
	ck_assert(judged.unexplained);
	/* Proven: damage explains it. */
	stretches[2].watermark = 21;
	judge(0);
	ck_assert(!judged.unexplained);
	expect_gap(0, 21, 21, 2, true);
}
END_TEST

START_TEST(gaps_beyond_the_bound_are_merged_into_one_of_unknown_owner)
{
	static struct log_stretch many[LOG_GAPS_MAX + 10];
	memcpy(many, stretches, sizeof(stretches[0]));
	for (size_t i = 1; i < LOG_GAPS_MAX + 10; i++)
		many[i] = (struct log_stretch){.first = 2 * i,
		    .last = 2 * i,
		    .life = 1,
		    .life_frame = 1,
		    .watermark = 2 * i - 1,
		    .begin = {i, 0},
		    .end = {i, 4096}};
	log_judge(&anchor, 0, many, LOG_GAPS_MAX + 10, &judged);
	ck_assert_uint_eq(judged.gaps, LOG_GAPS_MAX + 9);
	ck_assert_uint_eq(judged.gap_count, LOG_GAPS_MAX);
	expect_gap(
	    LOG_GAPS_MAX - 2, 2 * LOG_GAPS_MAX - 3, 2 * LOG_GAPS_MAX - 3, LOG_GAPS_MAX - 1, true);
	ck_assert_uint_eq(judged.gap[LOG_GAPS_MAX - 1].last, 2 * (LOG_GAPS_MAX + 9) - 1);
	ck_assert(!judged.gap[LOG_GAPS_MAX - 1].report.groups_known);
	ck_assert_uint_eq(judged.next_frame, 2 * (LOG_GAPS_MAX + 9) + 1);
}
END_TEST

Suite *judge_suite(void)
{
	Suite *suite = suite_create("judge");
	TCase *tcase = tcase_create("judge");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, an_empty_log_begins_at_frame_one);
	tcase_add_test(tcase, a_whole_log_goes_on_behind_its_last_frame);
	tcase_add_test(tcase, an_unproven_hole_is_a_cut);
	tcase_add_test(tcase, a_proven_hole_is_damage_and_the_log_goes_on);
	tcase_add_test(tcase, a_frame_behind_a_cut_can_prove_a_hole_before_it);
	tcase_add_test(tcase, several_missing_frames_have_no_known_owner);
	tcase_add_test(tcase, a_directory_that_knows_nothing_names_nobody);
	tcase_add_test(tcase, a_missing_end_is_proven_by_the_anchor);
	tcase_add_test(tcase, a_hole_that_is_proven_in_part_ends_the_log);
	tcase_add_test(tcase, a_log_without_any_frame_is_a_missing_end);
	tcase_add_test(tcase, frames_given_up_by_a_later_life_are_stale);
	tcase_add_test(tcase, stale_frames_are_known_where_the_life_frame_is_lost);
	tcase_add_test(tcase, the_anchor_knows_lives_too);
	tcase_add_test(tcase, frames_given_up_are_stale_where_the_life_behind_them_is_lost);
	tcase_add_test(
	    tcase, frames_given_up_by_an_earlier_life_are_stale_where_all_of_that_is_lost);
	tcase_add_test(tcase, what_is_known_of_lives_is_kept_for_anchors);
	tcase_add_test(
	    tcase, an_anchor_that_does_not_know_where_its_life_began_knows_what_was_durable);
	tcase_add_test(tcase, a_stale_watermark_proves_nothing);
	tcase_add_test(tcase, what_does_not_chain_proves_a_leftover);
	tcase_add_test(tcase, an_unproven_leftover_is_a_cut);
	tcase_add_test(tcase, a_first_frame_that_is_not_the_anchors_is_not_believed);
	tcase_add_test(tcase, a_torn_frame_at_the_end_is_a_cut);
	tcase_add_test(tcase, an_unreadable_place_where_the_log_may_go_on_explains_nothing);
	tcase_add_test(tcase, gaps_beyond_the_bound_are_merged_into_one_of_unknown_owner);
	suite_add_tcase(suite, tcase);
	return suite;
}
