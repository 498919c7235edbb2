/* What had been durable and is not there any more: noticed, and laid at the right groups' door. */
#include "tests/unit/log/rig.h"

#include <string.h>

#include "base/io/fs.h"
#include "tests/unit/log/suites.h"

static struct rig *rig;

static void setup(void)
{
	rig = rig_new(7, NULL);
	rig->options.first_segment_bytes = rig->options.segment_bytes;
	rig_reopen(rig);
	rig_quiet(rig);
}

static void teardown(void)
{
	rig_free(rig);
}

static uint64_t settle(void)
{
	rig_settle(rig);
	return rig->durable_frame;
}

/* Opens what was killed or cut off; it comes up. Groups that are not suspect are as they were. */
static void reboot(void)
{
	if (sim_node_is_running(rig->node))
		rig_crash(rig, SIM_KILL);
	ck_assert(rig_boot(rig));
	ck_assert_int_eq(rig->open_error, 0);
	memcpy(rig->appended, rig->acknowledged, sizeof(rig->appended));
	rig->op_count = 0;
	rig->durable_frame = 0;
	rig_check_groups(rig);
}

/* Twice, because a restart forgets nothing. */
static void expect_suspects(uint32_t groups)
{
	for (int round = 0; round < 2; round++) {
		reboot();
		for (uint32_t i = 0; i < RIG_GROUPS; i++) {
			struct log_group_view view = rig_view(rig, i);
			ck_assert_msg(view.suspect == (groups >> i & 1), "group %u", i);
			ck_assert(!view.suspect || view.gap);
		}
	}
}

static void expect_gap(uint64_t first, uint64_t last, bool known, bool matters)
{
	ck_assert_uint_eq(rig->report.gaps, 1);
	ck_assert_uint_eq(rig->report.gap[0].first_frame, first);
	ck_assert_uint_eq(rig->report.gap[0].last_frame, last);
	ck_assert(rig->report.gap[0].groups_known == known);
	ck_assert(rig->report.gap[0].matters == matters);
}

#define ALL_GROUPS ((1U << RIG_GROUPS) - 1)

START_TEST(damage_concerns_the_groups_of_the_lost_frame_only)
{
	rig_frame(rig, 0);
	uint64_t before = rig_frame(rig, 1);
	rig_append_next(rig, 1);
	rig_append_next(rig, 2);
	uint64_t lost = settle();
	rig_frame(rig, 3);
	rig_frame(rig, 2);
	rig_quiet(rig);
	struct log_frame_header header;
	ck_assert(rig_find_frame(rig, lost, &header));
	ck_assert_uint_eq(lost, before + 1);
	rig_rot_frame(rig, lost);
	expect_suspects(1 << 1 | 1 << 2);
	expect_gap(lost, lost, true, true);
	/* Where it is, for the operator. */
	ck_assert_uint_eq(rig->report.gap[0].segment, header.segment);
	ck_assert_uint_eq(rig->report.gap[0].offset, header.offset);
	/* What stands before it is there. */
	ck_assert_uint_eq(rig_view(rig, 1).last_index, 1);
	ck_assert_uint_eq(rig_view(rig, 2).last_index, 0);
	ck_assert_uint_eq(rig_view(rig, 1).gap->first_frame, lost);
	/* The others go on. */
	ck_assert(rig_append_next(rig, 0));
	rig_settle(rig);
	expect_suspects(1 << 1 | 1 << 2);
}
END_TEST

START_TEST(several_lost_frames_in_a_row_concern_all_groups)
{
	rig_frame(rig, 0);
	uint64_t lost = rig_frame(rig, 1);
	rig_frame(rig, 2);
	rig_frame(rig, 3);
	rig_quiet(rig);
	rig_rot_frame(rig, lost);
	rig_rot_frame(rig, lost + 1);
	expect_suspects(ALL_GROUPS);
	expect_gap(lost, lost + 1, false, true);
	ck_assert(rig_view(rig, 5).suspect); /* never met */
}
END_TEST

START_TEST(two_lost_frames_apart_concern_their_groups)
{
	uint64_t first = rig_frame(rig, 0);
	rig_frame(rig, 1);
	uint64_t second = rig_frame(rig, 2);
	rig_frame(rig, 3);
	rig_quiet(rig);
	rig_rot_frame(rig, first);
	rig_rot_frame(rig, second);
	expect_suspects(1 << 0 | 1 << 2);
	ck_assert_uint_eq(rig->report.gaps, 2);
	ck_assert_uint_eq(rig_view(rig, 2).gap->first_frame, second);
}
END_TEST

START_TEST(the_last_frame_before_a_watermark_is_named_by_it)
{
	rig_frame(rig, 0);
	uint64_t lost = rig_frame(rig, 3);
	rig_quiet(rig);
	struct log_frame_header header;
	ck_assert(rig_find_frame(rig, lost + 1, &header));
	ck_assert_int_eq(header.kind, LOG_FRAME_WATERMARK);
	rig_rot_frame(rig, lost);
	expect_suspects(1 << 3);
	expect_gap(lost, lost, true, true);
}
END_TEST

START_TEST(a_lost_watermark_frame_concerns_nobody)
{
	uint64_t last = rig_frame(rig, 0);
	rig_quiet(rig);
	rig_frame(rig, 1);
	rig_quiet(rig);
	rig_rot_frame(rig, last + 1);
	expect_suspects(0);
	expect_gap(last + 1, last + 1, true, false);
}
END_TEST

START_TEST(a_missing_end_concerns_all_groups_and_is_never_overwritten)
{
	rig_frame(rig, 0);
	uint64_t lost = rig_frame(rig, 1);
	/* The store knows that it was durable. */
	rig_checkpoint(rig, RIG_PLAN_NOTHING);
	rig_crash(rig, SIM_KILL);
	struct log_frame_header header;
	ck_assert(rig_find_frame(rig, lost, &header));
	rig_rot_frame(rig, lost);
	uint8_t before[LOG_ALIGNMENT], after[LOG_ALIGNMENT];
	size_t count;
	ck_assert_int_eq(sim_disk_read_durable(rig->node, rig_path(header.segment), header.offset,
	                     before, sizeof(before), &count),
	    0);
	reboot();
	expect_gap(lost, UINT64_MAX, false, true);
	ck_assert(rig_view(rig, 4).suspect);
	rig_quiet(rig);
	reboot();
	/* Now the life that began behind it shows the number it left out. */
	expect_gap(lost, lost, false, true);
	ck_assert(rig_find_frame(rig, lost + 1, &header));
	ck_assert_int_eq(header.kind, LOG_FRAME_LIFE);
	ck_assert_uint_eq(header.offset, 0);
	expect_suspects(ALL_GROUPS);
	ck_assert_int_eq(sim_disk_read_durable(rig->node, rig_path(rig->report.gap[0].segment),
	                     rig->report.gap[0].offset, after, sizeof(after), &count),
	    0);
	ck_assert_mem_eq(before, after, sizeof(before));
}
END_TEST

START_TEST(an_end_that_nothing_proves_is_cut_and_the_report_says_so)
{
	uint64_t last = rig_frame(rig, 0);
	rig_frame(rig, 1);
	rig_crash(rig, SIM_KILL);
	rig_rot_frame(rig, last + 1);
	ck_assert(rig_boot(rig));
	ck_assert_int_eq(rig->open_error, 0);
	ck_assert_uint_eq(rig->report.gaps, 0);
	ck_assert(rig->report.cut);
	ck_assert_uint_eq(rig->report.cut_frame, last + 1);
	ck_assert_uint_eq(rig->report.last_frame, last);
}
END_TEST

START_TEST(damage_below_the_checkpoint_does_not_matter)
{
	uint64_t lost = rig_frame(rig, 0);
	rig_frame(rig, 1);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	rig_frame(rig, 2);
	rig_quiet(rig);
	rig_rot_frame(rig, lost);
	rig_rot_frame(rig, lost + 1);
	expect_suspects(0);
	expect_gap(lost, lost + 1, false, false);
}
END_TEST

START_TEST(a_lost_frame_whose_entries_the_checkpoint_has_concerns_nobody)
{
	rig_frame(rig, 1);
	uint64_t lost = rig_frame(rig, 0);
	rig_frame(rig, 2);
	rig->idle_groups = 1 << 1;
	rig_checkpoint(rig, RIG_PLAN_ALL);
	/* Group 1 holds the log's begin where it is; group 0 needs nothing of it. */
	ck_assert_uint_le(rig->anchor.needed_frame, lost);
	rig_quiet(rig);
	rig_rot_frame(rig, lost);
	expect_suspects(0);
	expect_gap(lost, lost, true, false);
}
END_TEST

START_TEST(a_lost_vote_matters_unless_a_later_hard_state_replaces_it)
{
	rig_frame(rig, 5);
	rig_hard(rig, 0, (struct log_hard_state){.term = 1, .vote = 2});
	uint64_t first = settle();
	rig_hard(rig, 1, (struct log_hard_state){.term = 1, .vote = 2});
	uint64_t second = settle();
	rig_frame(rig, 5);
	rig_hard(rig, 0, (struct log_hard_state){.term = 2, .vote = 1});
	rig_settle(rig);
	rig_frame(rig, 5);
	rig_quiet(rig);
	rig_rot_frame(rig, second);
	expect_suspects(1 << 1);
	rig_rot_frame(rig, first);
	reboot();
	/* Two in a row now, so anybody; but group 0's newest hard state is here. */
	ck_assert_uint_eq(rig_view(rig, 0).hard.term, 2);
	expect_gap(first, second, false, true);
}
END_TEST

START_TEST(a_replaced_vote_that_is_lost_alone_concerns_nobody)
{
	rig_hard(rig, 0, (struct log_hard_state){.term = 1, .vote = 2});
	uint64_t lost = settle();
	rig_frame(rig, 5);
	rig_hard(rig, 0, (struct log_hard_state){.term = 2, .vote = 1});
	rig_settle(rig);
	rig_quiet(rig);
	rig_rot_frame(rig, lost);
	expect_suspects(0);
	ck_assert_uint_eq(rig_view(rig, 0).hard.term, 2);
}
END_TEST

START_TEST(a_lost_commit_hint_concerns_nobody)
{
	rig_hard(rig, 0, (struct log_hard_state){.term = 1, .vote = 2});
	rig_settle(rig);
	rig_hard(rig, 0, (struct log_hard_state){.term = 1, .vote = 2, .commit = 3});
	uint64_t lost = settle();
	rig_frame(rig, 5);
	rig_quiet(rig);
	rig_rot_frame(rig, lost);
	rig->acknowledged[0].hard.commit = 0;
	expect_suspects(0);
}
END_TEST

START_TEST(lost_entries_that_were_replaced_later_concern_nobody)
{
	rig_frame(rig, 0);
	rig_frame(rig, 0);
	rig_append_next(rig, 0);
	rig_append_next(rig, 0);
	uint64_t lost = settle(); /* entries 3 and 4 */
	rig_frame(rig, 1);
	rig_append(rig, 0, 3, 2);
	rig_settle(rig);
	rig_quiet(rig);
	rig_rot_frame(rig, lost);
	expect_suspects(0);
	expect_gap(lost, lost, true, false);
	ck_assert_uint_eq(rig_view(rig, 0).last_index, 3);
	ck_assert_uint_eq(rig_view(rig, 0).last_term, 2);
}
END_TEST

START_TEST(lost_entries_that_were_replaced_in_part_concern_their_group)
{
	rig_frame(rig, 0);
	rig_append_next(rig, 0);
	rig_append_next(rig, 0);
	uint64_t lost = settle(); /* entries 2 and 3 */
	rig_frame(rig, 1);
	rig_append(rig, 0, 3, 2);
	rig_settle(rig);
	rig_quiet(rig);
	rig_rot_frame(rig, lost);
	expect_suspects(1 << 0);
	ck_assert_uint_eq(rig_view(rig, 0).last_index, 1);
}
END_TEST

START_TEST(what_a_lost_frame_had_replaced_stays_replaced)
{
	for (int i = 0; i < 5; i++)
		rig_frame(rig, 0);
	rig_append(rig, 0, 3, 2);
	uint64_t lost = settle();
	rig_frame(rig, 1);
	rig_quiet(rig);
	rig_rot_frame(rig, lost);
	expect_suspects(1 << 0);
	/* Not 5: entries 3 to 5 of the first term were given up when frame `lost` was written. */
	ck_assert_uint_eq(rig_view(rig, 0).last_index, 2);
}
END_TEST

START_TEST(a_lost_reset_concerns_its_group_until_the_checkpoint_has_it)
{
	rig_frame(rig, 0);
	rig_reset(rig, 0, 20, 3);
	uint64_t lost = settle();
	rig_frame(rig, 1);
	rig_quiet(rig);
	rig_rot_frame(rig, lost);
	/* The store holds the snapshot: base.index is 20. */
	expect_suspects(0);
	rig->base[0].index = 1;
	reboot();
	ck_assert(rig_view(rig, 0).suspect);
}
END_TEST

START_TEST(a_reset_behind_the_damage_makes_a_group_whole_again)
{
	rig_hard(rig, 0, (struct log_hard_state){.term = 1, .vote = 1});
	rig_frame(rig, 0);
	uint64_t lost = rig_frame(rig, 0);
	rig_frame(rig, 1);
	rig_quiet(rig);
	rig_rot_frame(rig, lost);
	expect_suspects(1 << 0);
	/* It comes back with a snapshot. */
	rig_reset(rig, 0, 30, 4);
	rig_append_next(rig, 0);
	rig_settle(rig);
	ck_assert(!rig_view(rig, 0).suspect);
	rig->acknowledged[0] = rig->appended[0];
	expect_suspects(0);
	ck_assert_uint_eq(rig_view(rig, 0).last_index, 31);
}
END_TEST

START_TEST(a_lost_write_into_old_frames_is_noticed)
{
	/* Fill and release segments, so that the next ones are full of stale frames. */
	for (int i = 0; i < 120; i++)
		rig_frame(rig, (uint32_t)i % RIG_GROUPS);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	rig_quiet(rig);
	uint64_t current = rig->planned_anchor.first_segment;
	struct log_frame_header header;
	do {
		uint64_t frame = rig_frame(rig, 1);
		ck_assert(rig_find_frame(rig, frame, &header));
	} while (header.segment < current + 2);
	sim_disk_fault(rig->node, SIM_WRITE_LOST, NULL, 0, UINT64_MAX, 1);
	uint64_t lost = rig_frame(rig, 2);
	rig_frame(rig, 3);
	rig_quiet(rig);
	expect_suspects(1 << 2);
	expect_gap(lost, lost, true, true);
}
END_TEST

START_TEST(frames_of_an_older_life_are_never_taken_for_lost_ones)
{
	/* A frame that the disk lost, and those that were in flight behind it: a cut, with frames
	 * given up behind it. */
	rig_frame(rig, 0);
	rig_quiet(rig);
	uint64_t last = log_figures(rig->log).last_frame;
	rig->flush_in_turn = false;
	struct log_frame_header old;
	ck_assert(rig_find_frame(rig, last, &old));
	sim_disk_fault(
	    rig->node, SIM_WRITE_LOST, rig_path(old.segment), old.offset + old.frame_bytes, 1, 1);
	for (uint32_t i = 0; i < 3; i++) {
		rig_append_next(rig, 1 + i);
		rig_flush(rig);
	}
	rig_settle(rig);
	rig_crash(rig, SIM_KILL);
	ck_assert(rig_boot(rig));
	ck_assert(rig->report.cut);
	ck_assert_uint_eq(rig->report.cut_frames_seen, 2);
	ck_assert_uint_eq(rig->report.cut_frame, last + 1);
	for (uint32_t i = 1; i < 4; i++) {
		rig->acknowledged[i].last = 0;
		rig->appended[i].last = 0;
	}
	rig->durable_frame = 0;

	/* In the next life the first frame behind its beginning is lost too: the one of the old
	 * life, of that number, still stands in its place. */
	ck_assert(rig_find_frame(rig, last + 2, &old));
	ck_assert_uint_eq(old.life, 1);
	sim_disk_fault(rig->node, SIM_WRITE_LOST, NULL, 0, UINT64_MAX, 1);
	uint64_t lost = rig_frame(rig, 5);
	ck_assert_uint_eq(lost, last + 2);
	rig_frame(rig, 0);
	rig_quiet(rig);
	struct log_frame_header found;
	ck_assert(rig_find_frame(rig, lost, &found));
	ck_assert_uint_eq(found.life, 1);
	expect_suspects(1 << 5);
	expect_gap(lost, lost, true, true);
}
END_TEST

START_TEST(a_misdirected_write_is_noticed_at_both_ends)
{
	uint64_t noticed = 0;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		teardown();
		rig = rig_new(seed, NULL);
		rig_reopen(rig);
		for (uint32_t i = 0; i < 12; i++)
			rig_frame(rig, i % RIG_GROUPS);
		sim_disk_fault(rig->node, SIM_WRITE_MISDIRECTED, NULL, 0, UINT64_MAX, 1);
		uint64_t lost = rig_frame(rig, 2);
		rig_frame(rig, 3);
		rig_quiet(rig);
		reboot();
		struct log_frame_header header;
		if (rig_find_frame(rig, lost, &header))
			continue; /* no other place was found for it */
		noticed++;
		ck_assert_uint_ge(rig->report.gaps, 1);
		ck_assert(rig_view(rig, 2).suspect);
	}
	ck_assert_uint_gt(noticed, 20);
}
END_TEST

START_TEST(a_lost_first_segment_concerns_all_groups)
{
	for (uint32_t i = 0; i < 20; i++)
		rig_frame(rig, i % RIG_GROUPS);
	rig_quiet(rig);
	rig_crash(rig, SIM_KILL);
	ck_assert_int_eq(fs_unlink(rig->fs, rig_path(1)), 0);
	ck_assert_int_eq(fs_sync_dir(rig->fs, "log"), 0);
	expect_suspects(ALL_GROUPS);
	ck_assert_uint_eq(rig->report.gap[0].first_frame, 1);
}
END_TEST

static void lose_log(void)
{
	rig_crash(rig, SIM_KILL);
	for (uint64_t i = 1; i < 10; i++)
		if (fs_unlink(rig->fs, rig_path(i)))
			break;
	ck_assert_int_eq(fs_sync_dir(rig->fs, "log"), 0);
}

START_TEST(a_lost_log_concerns_all_groups)
{
	rig_frame(rig, 0);
	rig_checkpoint(rig, RIG_PLAN_NOTHING);
	rig_quiet(rig);
	lose_log();
	expect_suspects(ALL_GROUPS);
}
END_TEST

START_TEST(a_lost_log_concerns_all_groups_although_the_checkpoint_has_all_that_is_known)
{
	rig_frame(rig, 0);
	rig_frame(rig, 1);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	rig_frame(rig, 2);
	rig_quiet(rig);
	lose_log();
	reboot();
	ck_assert(rig_view(rig, 4).suspect);
	ck_assert(rig->report.gap[0].matters);
	rig_quiet(rig);
	expect_suspects(ALL_GROUPS);
	rig_checkpoint(rig, RIG_PLAN_NOTHING);
	rig_quiet(rig);
	expect_suspects(ALL_GROUPS);
}
END_TEST

/* What had stood behind it would be there. */
START_TEST(one_frame_lost_at_the_end_concerns_nobody_where_the_checkpoint_has_it)
{
	rig_frame(rig, 0);
	uint64_t lost = rig_frame(rig, 1);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	rig_crash(rig, SIM_KILL);
	ck_assert_uint_eq(rig->anchor.durable_frame, lost);
	rig_rot_frame(rig, lost);
	expect_suspects(0);
}
END_TEST

START_TEST(more_gaps_than_are_kept_concern_all_groups)
{
	uint64_t first = rig_frame(rig, 0);
	for (uint64_t i = 0; i < 2 * LOG_GAPS_MAX + 10; i++)
		rig_frame(rig, (uint32_t)(1 + i % 2));
	rig_quiet(rig);
	for (uint64_t i = 0; i < LOG_GAPS_MAX + 3; i++)
		rig_rot_frame(rig, first + 1 + 2 * i);
	expect_suspects(ALL_GROUPS);
	ck_assert_uint_eq(rig->report.gaps, LOG_GAPS_MAX + 3);
}
END_TEST

START_TEST(what_surrounds_damage_that_matters_is_not_released)
{
	uint64_t lost = rig_frame(rig, 1);
	rig_frame(rig, 0);
	rig_quiet(rig);
	rig_rot_frame(rig, lost);
	reboot();
	for (int i = 0; i < 60; i++)
		rig_frame(rig, 2);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	ck_assert_uint_le(rig->anchor.needed_frame, lost);
	ck_assert_uint_eq(rig->anchor.first_segment, 1);
	rig_quiet(rig);
	expect_suspects(1 << 1);
}
END_TEST

/* ---- Unreadable blocks ---- */

START_TEST(an_unreadable_block_is_damage_where_it_is_proven)
{
	rig_frame(rig, 0);
	uint64_t lost = rig_frame(rig, 1);
	rig_frame(rig, 2);
	rig_quiet(rig);
	struct log_frame_header header;
	ck_assert(rig_find_frame(rig, lost, &header));
	rig_crash(rig, SIM_KILL);
	sim_disk_fault(rig->node, SIM_READ_ERROR, rig_path(header.segment), header.offset, 1, 60);
	reboot();
	expect_gap(lost, lost, true, true);
	ck_assert(rig_view(rig, 1).suspect);
	ck_assert(!rig_view(rig, 0).suspect && !rig_view(rig, 2).suspect);
	/* Readable again: nothing was overwritten. */
	sim_disk_clear_faults(rig->node);
	expect_suspects(0);
}
END_TEST

START_TEST(an_unreadable_block_where_the_log_goes_on_stops_the_opening)
{
	rig_frame(rig, 0);
	uint64_t last = rig_frame(rig, 1);
	struct log_frame_header header;
	ck_assert(rig_find_frame(rig, last, &header));
	rig_crash(rig, SIM_KILL);
	uint64_t before = rig_hash_dir(rig, "log");
	sim_disk_fault(rig->node, SIM_READ_ERROR, rig_path(header.segment), header.offset, 1, 60);
	ck_assert(rig_boot(rig));
	ck_assert_int_eq(rig->open_error, ERR_IO);
	sim_node_stop(rig->node);
	sim_disk_clear_faults(rig->node);
	ck_assert_uint_eq(rig_hash_dir(rig, "log"), before);
	rig->log = NULL;
	ck_assert(rig_boot(rig));
	ck_assert_int_eq(rig->open_error, 0);
	rig_check_groups(rig);
}
END_TEST

START_TEST(an_unreadable_block_below_the_checkpoint_does_not_matter)
{
	uint64_t lost = rig_frame(rig, 0);
	rig_frame(rig, 1);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	rig_frame(rig, 2);
	struct log_frame_header header;
	ck_assert(rig_find_frame(rig, lost, &header));
	rig_crash(rig, SIM_KILL);
	sim_disk_fault(rig->node, SIM_READ_ERROR, rig_path(header.segment), header.offset, 1, 60);
	reboot();
	expect_gap(lost, lost, true, false);
}
END_TEST

Suite *damage_suite(void)
{
	Suite *suite = suite_create("damage");
	TCase *tcase = tcase_create("damage");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, damage_concerns_the_groups_of_the_lost_frame_only);
	tcase_add_test(tcase, several_lost_frames_in_a_row_concern_all_groups);
	tcase_add_test(tcase, two_lost_frames_apart_concern_their_groups);
	tcase_add_test(tcase, the_last_frame_before_a_watermark_is_named_by_it);
	tcase_add_test(tcase, a_lost_watermark_frame_concerns_nobody);
	tcase_add_test(tcase, a_missing_end_concerns_all_groups_and_is_never_overwritten);
	tcase_add_test(tcase, an_end_that_nothing_proves_is_cut_and_the_report_says_so);
	tcase_add_test(tcase, damage_below_the_checkpoint_does_not_matter);
	tcase_add_test(tcase, a_lost_frame_whose_entries_the_checkpoint_has_concerns_nobody);
	tcase_add_test(tcase, a_lost_vote_matters_unless_a_later_hard_state_replaces_it);
	tcase_add_test(tcase, a_replaced_vote_that_is_lost_alone_concerns_nobody);
	tcase_add_test(tcase, a_lost_commit_hint_concerns_nobody);
	tcase_add_test(tcase, lost_entries_that_were_replaced_later_concern_nobody);
	tcase_add_test(tcase, lost_entries_that_were_replaced_in_part_concern_their_group);
	tcase_add_test(tcase, what_a_lost_frame_had_replaced_stays_replaced);
	tcase_add_test(tcase, a_lost_reset_concerns_its_group_until_the_checkpoint_has_it);
	tcase_add_test(tcase, a_reset_behind_the_damage_makes_a_group_whole_again);
	tcase_add_test(tcase, a_lost_write_into_old_frames_is_noticed);
	tcase_add_test(tcase, frames_of_an_older_life_are_never_taken_for_lost_ones);
	tcase_add_test(tcase, a_misdirected_write_is_noticed_at_both_ends);
	tcase_add_test(tcase, a_lost_first_segment_concerns_all_groups);
	tcase_add_test(tcase, a_lost_log_concerns_all_groups);
	tcase_add_test(
	    tcase, a_lost_log_concerns_all_groups_although_the_checkpoint_has_all_that_is_known);
	tcase_add_test(
	    tcase, one_frame_lost_at_the_end_concerns_nobody_where_the_checkpoint_has_it);
	tcase_add_test(tcase, more_gaps_than_are_kept_concern_all_groups);
	tcase_add_test(tcase, what_surrounds_damage_that_matters_is_not_released);
	tcase_add_test(tcase, an_unreadable_block_is_damage_where_it_is_proven);
	tcase_add_test(tcase, an_unreadable_block_where_the_log_goes_on_stops_the_opening);
	tcase_add_test(tcase, an_unreadable_block_below_the_checkpoint_does_not_matter);
	suite_add_tcase(suite, tcase);
	return suite;
}
