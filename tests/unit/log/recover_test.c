/* Recovery: cuts, crashes in the middle of it, and what it refuses. Logs made by hand where no run
 * would make them. */
#include "tests/unit/log/rig.h"

#include <inttypes.h>
#include <string.h>

#include "base/io/fs.h"
#include "base/mem.h"
#include "tests/unit/log/suites.h"

static struct rig *rig;
static struct rig_forge forge;

static void setup(void)
{
	rig = rig_new(3, NULL);
	rig->options.first_segment_bytes = rig->options.segment_bytes;
}

static void teardown(void)
{
	rig_free(rig);
}

/* As after the first checkpoint of a store. */
static void begin_forged(void)
{
	rig->anchor = (struct log_anchor){
	    .first_segment = 1, .first_frame = 1, .needed_frame = 1, .segment_next = 2, .life = 1};
	rig_forge_begin(rig, &forge, 1, rig->options.segment_bytes);
	rig_forge_frame(&forge, LOG_FRAME_LIFE, 1, 0, 0, 0, 0, 0, 0);
}

/* Frame `number` holds entry number - 1 of group 0. */
static void forge_entry(uint64_t number, uint64_t watermark)
{
	rig_forge_frame(&forge, LOG_FRAME_RECORDS, number, watermark, 0, number - 1, number - 1, 0,
	    number > 2 ? number - 2 : 0);
}

static void open_it(void)
{
	ck_assert(rig_boot(rig));
	ck_assert_int_eq(rig->open_error, 0);
}

static void crash_and_open(enum sim_crash crash)
{
	rig_crash(rig, crash);
	open_it();
}

/* ---- New logs, and clean ones ---- */

START_TEST(a_new_log_begins_with_a_life_frame_in_segment_one)
{
	open_it();
	ck_assert_uint_eq(rig->report.life, 1);
	ck_assert_uint_eq(rig->report.frames, 0);
	ck_assert(!rig->report.cut);
	struct log_frame_header header;
	ck_assert(rig_find_frame(rig, 1, &header));
	ck_assert_int_eq(header.kind, LOG_FRAME_LIFE);
	ck_assert_uint_eq(header.segment, 1);
	ck_assert_uint_eq(header.chain, 0);
}
END_TEST

START_TEST(after_a_clean_end_nothing_is_written_again)
{
	rig_reopen(rig);
	rig_frame(rig, 0);
	rig_drain(rig);
	rig_crash(rig, SIM_KILL);
	rig_reopen(rig);
	ck_assert(!rig->report.cut);
	/* The last watermark itself, which nothing covers. */
	ck_assert_uint_eq(rig->report.rewritten_frames, 1);
	ck_assert_uint_eq(rig->report.life, 2);
}
END_TEST

START_TEST(what_may_never_have_been_synced_is_written_again)
{
	rig_reopen(rig);
	rig->flush_in_turn = false;
	rig_append_next(rig, 0);
	rig_flush(rig);
	struct log_frame_header header;
	/* Written, not synced: the kernel has it, the disk does not. */
	while (!rig_find_frame(rig, 2, &header))
		ck_assert(sim_step(rig->sim));
	rig_crash(rig, SIM_KILL);
	rig_reopen(rig);
	ck_assert_uint_eq(rig->report.rewritten_frames, 1);
	ck_assert_uint_eq(rig_view(rig, 0).last_index, 1);
	/* It is relied on from now on. */
	rig_crash(rig, SIM_POWER_CUT);
	rig_reopen(rig);
	ck_assert_uint_eq(rig_view(rig, 0).last_index, 1);
}
END_TEST

START_TEST(sixteen_frames_in_flight_at_a_power_cut_are_never_damage)
{
	uint64_t cuts = 0, given_up = 0;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		teardown();
		rig = rig_new(seed, NULL);
		rig->options.frames_in_flight_max = 16;
		rig_reopen(rig);
		rig_quiet(rig);
		rig->flush_in_turn = false;
		for (int round = 0; round < 2; round++) {
			for (uint32_t i = 0; i < 16; i++) {
				rig_append_next(rig, (uint32_t)sim_random_below(rig->sim, 6));
				rig_flush(rig);
			}
			rig_steps(rig, sim_random_below(rig->sim, 30));
		}
		rig_crash(rig, SIM_POWER_CUT);
		rig_reopen(rig);
		cuts += rig->report.cut;
		given_up += rig->report.cut_frames_seen;
	}
	ck_assert_uint_gt(cuts, 100);
	ck_assert_uint_gt(given_up, 300);
}
END_TEST

/* ---- Cuts ---- */

START_TEST(segments_behind_a_cut_get_numbers_that_were_never_used)
{
	begin_forged();
	for (uint64_t i = 2; i <= 16; i++)
		forge_entry(i, i - 2);
	rig_forge_begin(rig, &forge, 2, rig->options.segment_bytes);
	/* Frame 17 is missing, so what follows is given up. */
	rig_forge_skip(&forge);
	forge_entry(18, 15);
	forge_entry(19, 15);
	rig->anchor.segment_next = 7;
	open_it();
	ck_assert(rig->report.cut);
	ck_assert_uint_eq(rig->report.gaps, 0);
	ck_assert_uint_eq(rig->report.cut_frame, 17);
	ck_assert_uint_eq(rig->report.cut_frames_seen, 2);
	ck_assert_uint_eq(rig->report.renumbered_segments, 1);
	ck_assert_uint_eq(rig_view(rig, 0).last_index, 15);
	bool exists;
	ck_assert_int_eq(fs_exists(rig->fs, rig_path(2), &exists), 0);
	ck_assert(!exists);
	ck_assert_int_eq(fs_exists(rig->fs, rig_path(7), &exists), 0);
	ck_assert(exists);
	/* And what stood in it is not believed under its new number. */
	crash_and_open(SIM_POWER_CUT);
	ck_assert_uint_eq(rig->report.cut_frames_seen, 0);
	ck_assert_uint_eq(rig_view(rig, 0).last_index, 15);
}
END_TEST

START_TEST(a_torn_first_frame_of_a_segment_is_a_cut)
{
	begin_forged();
	for (uint64_t i = 2; i <= 16; i++)
		forge_entry(i, i - 2);
	rig_forge_begin(rig, &forge, 2, rig->options.segment_bytes);
	forge_entry(17, 15);
	sim_disk_rot(rig->node, rig_path(2), 200, 1);
	open_it();
	ck_assert(rig->report.cut);
	ck_assert_uint_eq(rig->report.gaps, 0);
	ck_assert_uint_eq(rig_view(rig, 0).last_index, 15);
}
END_TEST

START_TEST(numbers_of_segments_may_have_holes)
{
	begin_forged();
	forge_entry(2, 1);
	uint64_t chain = forge.chain;
	rig_forge_begin(rig, &forge, 9, rig->options.segment_bytes);
	forge.chain = chain;
	forge_entry(3, 2);
	open_it();
	ck_assert(!rig->report.cut);
	ck_assert_uint_eq(rig->report.gaps, 0);
	ck_assert_uint_eq(rig_view(rig, 0).last_index, 2);
}
END_TEST

/* As a sync that lied may leave it: the name is there, and nothing under it. */
static void empty_segment(uint64_t number)
{
	struct fs_file *file;
	uint64_t bytes = 0;
	rig_crash(rig, SIM_KILL);
	ck_assert_int_eq(fs_open(rig->fs, rig_path(number), FS_WRITE, &file), 0);
	ck_assert_int_eq(fs_size(file, &bytes), 0);
	ck_assert_uint_gt(bytes, 0);
	ck_assert_int_eq(fs_truncate(file, 0), 0);
	ck_assert_int_eq(fs_sync(file), 0);
	fs_close(file);
}

START_TEST(an_empty_segment_is_not_taken_for_one_that_is_ready)
{
	rig_reopen(rig);
	rig_quiet(rig);
	ck_assert_uint_eq(log_figures(rig->log).current_segment, 1);
	empty_segment(2);
	rig_reopen(rig);
	for (uint32_t i = 0; i < 60; i++)
		rig_frame(rig, i % RIG_GROUPS);
	rig_quiet(rig);
	ck_assert_uint_gt(log_figures(rig->log).segments_live, 2);
	ck_assert_uint_eq(log_figures(rig->log).segments_spare, 1); /* it is gone, one is ready */
	rig_crash(rig, SIM_POWER_CUT);
	rig_reopen(rig);
}
END_TEST

START_TEST(an_empty_segment_may_stand_in_the_middle_of_the_log)
{
	rig->idle_groups = 1 << 5;
	rig_reopen(rig);
	rig_frame(rig, 5);
	while (log_figures(rig->log).live_bytes < rig->options.segment_bytes - LOG_ALIGNMENT)
		rig_frame(rig, 0);
	/* The last one in the segment, so that copying looks in the next, too. */
	rig_frame(rig, 5);
	ck_assert_uint_eq(log_figures(rig->log).current_segment, 1);
	empty_segment(2);
	rig_reopen(rig);
	ck_assert_uint_gt(log_figures(rig->log).current_segment, 2);
	for (uint32_t i = 0; i < 60; i++)
		rig_frame(rig, i % 5);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	ck_assert(rig_rewrite(rig, log_figures(rig->log).current_segment, 100000));
	rig_quiet(rig);
	ck_assert_uint_eq(log_figures(rig->log).rewrites, 1);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	ck_assert_uint_gt(log_figures(rig->log).first_segment, 2);
	rig_crash(rig, SIM_POWER_CUT);
	rig_reopen(rig);
}
END_TEST

START_TEST(a_frame_that_does_not_chain_shows_that_another_was_lost)
{
	begin_forged();
	forge_entry(2, 1);
	forge_entry(3, 1);
	forge.chain++; /* as if frame 3 had been another one */
	forge_entry(4, 3);
	open_it();
	ck_assert_uint_eq(rig->report.gaps, 1);
	ck_assert_uint_eq(rig->report.gap[0].first_frame, 3);
	ck_assert(rig_view(rig, 0).suspect);
	ck_assert_uint_eq(rig_view(rig, 0).last_index, 1);
}
END_TEST

START_TEST(a_life_frame_is_numbered_above_everything_that_was_durable)
{
	begin_forged();
	forge_entry(2, 1);
	rig->anchor.durable_frame = 9;
	open_it();
	struct log_frame_header header;
	ck_assert(rig_find_frame(rig, 10, &header));
	ck_assert_int_eq(header.kind, LOG_FRAME_LIFE);
	ck_assert_uint_eq(header.watermark, 9);
	ck_assert_uint_eq(header.life_frame, 10);
	/* What it left out stays a gap. */
	crash_and_open(SIM_POWER_CUT);
	ck_assert_uint_eq(rig->report.gaps, 1);
	ck_assert_uint_eq(rig->report.gap[0].first_frame, 3);
	ck_assert_uint_eq(rig->report.gap[0].last_frame, 9);
	ck_assert(rig->report.gap[0].matters);
}
END_TEST

/* ---- Crashes in the middle of recovery ---- */

/* Frame 5 is damaged, and only frame 10 behind the cut at 8 knows that it had been durable. */
static void forge_gap_known_from_behind_a_cut(void)
{
	begin_forged();
	for (uint64_t i = 2; i <= 4; i++)
		forge_entry(i, 1);
	rig_forge_skip(&forge);
	for (uint64_t i = 6; i <= 7; i++)
		forge_entry(i, i == 6 ? 3 : 4);
	rig_forge_skip(&forge);
	forge_entry(9, 4);
	rig_forge_begin(rig, &forge, 2, rig->options.segment_bytes);
	forge_entry(10, 6);
}

START_TEST(no_crash_in_recovery_makes_damage_a_cut)
{
	uint64_t crashed = 0;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		uint64_t nth = 1 + seed % 14;
		teardown();
		rig = rig_new(seed, NULL);
		rig->options.first_segment_bytes = rig->options.segment_bytes;
		forge_gap_known_from_behind_a_cut();
		sim_crash_at(rig->node, nth, seed % 4 == 0 ? SIM_KILL : SIM_POWER_CUT);
		bool survived = rig_boot(rig);
		/* And a second time, at the points of the recovery of a recovery. */
		for (uint64_t second = 1; !survived && second <= seed % 5; second++) {
			sim_crash_at(rig->node, 2 * second, SIM_POWER_CUT);
			survived = rig_boot(rig);
		}
		crashed += rig->crashes > 0;
		sim_crash_at(rig->node, 0, SIM_KILL);
		if (!survived)
			ck_assert(rig_boot(rig));
		for (int round = 0; round < 3; round++) {
			ck_assert_int_eq(rig->open_error, 0);
			ck_assert_uint_ge(rig->report.gaps, 1);
			ck_assert_uint_eq(rig->report.gap[0].first_frame, 5);
			ck_assert_uint_eq(rig->report.gap[0].last_frame, 5);
			ck_assert(rig_view(rig, 0).suspect);
			ck_assert_uint_eq(rig_view(rig, 0).last_index, 3);
			rig_crash(rig, SIM_POWER_CUT);
			ck_assert(rig_boot(rig));
		}
	}
	ck_assert_uint_gt(crashed, 150);
}
END_TEST

START_TEST(a_process_that_was_killed_is_waited_for)
{
	/* Its last write may land up to a second later: into a segment that recovery has read. */
	uint64_t late = 0;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		teardown();
		rig = rig_new(seed, NULL);
		rig_reopen(rig);
		rig_quiet(rig);
		rig->flush_in_turn = false;
		for (uint32_t i = 0; i < 4; i++) {
			rig_append_next(rig, i);
			rig_flush(rig);
		}
		rig_steps(rig, sim_random_below(rig->sim, 5));
		rig_crash(rig, SIM_KILL);
		rig_reopen(rig);
		late += sim_figures(rig->sim).writes_after_end;
		for (uint32_t i = 0; i < 4; i++)
			rig_frame(rig, i);
		rig_crash(rig, SIM_POWER_CUT);
		rig_reopen(rig);
	}
	ck_assert_uint_gt(late, 10);
}
END_TEST

/* ---- What is refused ---- */

START_TEST(another_stores_log_is_refused)
{
	begin_forged();
	forge_entry(2, 1);
	forge.store++;
	forge_entry(3, 1);
	uint64_t before = rig_hash_dir(rig, "log");
	ck_assert(rig_boot(rig));
	ck_assert_int_eq(rig->open_error, ERR_FOREIGN);
	ck_assert_uint_eq(rig_hash_dir(rig, "log"), before);
}
END_TEST

START_TEST(a_log_with_records_and_no_anchor_is_refused)
{
	begin_forged();
	rig->anchor = (struct log_anchor){0};
	open_it();
	rig_crash(rig, SIM_KILL);
	forge_entry(2, 1); /* over the LIFE frame of the opening: records all the same */
	uint64_t before = rig_hash_dir(rig, "log");
	ck_assert(rig_boot(rig));
	ck_assert_int_eq(rig->open_error, ERR_CORRUPT);
	ck_assert_uint_eq(rig_hash_dir(rig, "log"), before);
}
END_TEST

/* ---- Memory ---- */

static void open_without_memory(void *arg)
{
	uint64_t *nth = arg;
	mem_fail_at(*nth);
	struct log_options options = rig->options;
	options.io = rig->io;
	options.fs = rig->fs;
	options.anchor = rig->anchor;
	struct log *log = NULL;
	int error = log_open(&options, &log, &rig->report);
	bool failed = mem_failed();
	mem_fail_at(0);
	if (failed) {
		ck_assert_int_eq(error, ERR_NOMEM);
	} else {
		ck_assert_int_eq(error, 0);
		log_free(log);
		*nth = 0;
	}
}

START_TEST(every_failed_allocation_in_an_opening_is_reported_and_harmless)
{
	rig_reopen(rig);
	for (uint32_t i = 0; i < 40; i++)
		rig_frame(rig, i % RIG_GROUPS);
	rig_hard(rig, 1, (struct log_hard_state){.term = 3});
	rig_settle(rig);
	rig_crash(rig, SIM_KILL);
	uint64_t failures = 0;
	for (uint64_t nth = 1; nth != 0; failures++) {
		rig->io = sim_node_boot(rig->node);
		uint64_t tried = nth;
		ck_assert(sim_node_run(rig->node, open_without_memory, &nth));
		/* What is under way for the last one ends. */
		if (nth == 0)
			sim_node_crash(rig->node, SIM_KILL);
		else
			ck_assert_uint_le(sim_node_stop(rig->node), 1 + 1);
		if (nth != 0)
			nth = tried + 1;
	}
	ck_assert_uint_gt(failures, 15);
	rig_reopen(rig);
}
END_TEST

Suite *recover_suite(void)
{
	Suite *suite = suite_create("recover");
	TCase *tcase = tcase_create("recover");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_new_log_begins_with_a_life_frame_in_segment_one);
	tcase_add_test(tcase, after_a_clean_end_nothing_is_written_again);
	tcase_add_test(tcase, what_may_never_have_been_synced_is_written_again);
	tcase_add_test(tcase, sixteen_frames_in_flight_at_a_power_cut_are_never_damage);
	tcase_add_test(tcase, segments_behind_a_cut_get_numbers_that_were_never_used);
	tcase_add_test(tcase, a_torn_first_frame_of_a_segment_is_a_cut);
	tcase_add_test(tcase, numbers_of_segments_may_have_holes);
	tcase_add_test(tcase, an_empty_segment_is_not_taken_for_one_that_is_ready);
	tcase_add_test(tcase, an_empty_segment_may_stand_in_the_middle_of_the_log);
	tcase_add_test(tcase, a_frame_that_does_not_chain_shows_that_another_was_lost);
	tcase_add_test(tcase, a_life_frame_is_numbered_above_everything_that_was_durable);
	tcase_add_test(tcase, no_crash_in_recovery_makes_damage_a_cut);
	tcase_add_test(tcase, a_process_that_was_killed_is_waited_for);
	tcase_add_test(tcase, another_stores_log_is_refused);
	tcase_add_test(tcase, a_log_with_records_and_no_anchor_is_refused);
	tcase_add_test(tcase, every_failed_allocation_in_an_opening_is_reported_and_harmless);
	suite_add_tcase(suite, tcase);
	return suite;
}
