/* The running log: room, order, hard states, segments, releasing, copies, the end. */
#include "tests/unit/log/rig.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/io/fs.h"
#include "base/io/io.h"
#include "base/limits.h"
#include "base/mem.h"
#include "tests/unit/log/suites.h"

enum { STEPS_MAX = 2000000 };

static struct rig *rig;

static void setup(void)
{
	rig = rig_new(11, NULL);
	rig_reopen(rig);
	rig_quiet(rig);
}

static void teardown(void)
{
	rig_free(rig);
}

static void inside(void (*what)(void *arg), void *arg)
{
	ck_assert(sim_node_run(rig->node, what, arg));
}

static struct log_figures figures(void)
{
	return log_figures(rig->log);
}

static void append_or_wait(uint32_t group)
{
	while (!rig_append_next(rig, group))
		ck_assert(sim_step(rig->sim));
}

static bool has_room(void *arg)
{
	return log_has_room(rig->log, *(uint64_t *)arg, 1);
}

static void look(void *arg)
{
	io_run(rig->io); /* it is as late as the world */
	*(struct log_figures *)arg = figures();
}

static uint64_t waiting_ns(void)
{
	struct log_figures now;
	inside(look, &now);
	return now.waiting_ns;
}

/* ---- Waiting ---- */

START_TEST(for_how_long_the_oldest_write_is_waited_for_is_known)
{
	ck_assert_uint_eq(waiting_ns(), 0);
	sim_disk_set_slowness(rig->node, 1000000);
	rig->flush_in_turn = false;
	ck_assert(rig_append_next(rig, 1));
	rig_flush(rig);
	ck_assert(sim_pass(rig->sim, 3 * NS_PER_S, STEPS_MAX));
	ck_assert_uint_ge(waiting_ns(), 3 * NS_PER_S);
	/* A later one is not waited for so long. */
	ck_assert(rig_append_next(rig, 1));
	rig_flush(rig);
	ck_assert(sim_pass(rig->sim, NS_PER_S, STEPS_MAX));
	ck_assert_uint_ge(waiting_ns(), 4 * NS_PER_S);
	ck_assert(sim_pass(rig->sim, 100000 * NS_PER_S, STEPS_MAX));
	ck_assert_uint_eq(waiting_ns(), 0);
}
END_TEST

/* ---- Room ---- */

#define LARGE 5000

static void reserve_large(void *arg)
{
	*(bool *)arg = log_reserve(rig->log, LARGE, 1);
}

static void append_large(void *arg)
{
	uint8_t *payload;
	(void)arg;
	log_unreserve(rig->log, LARGE, 1);
	log_append(rig->log, 5, 1, 1, LARGE, &payload);
	memset(payload, 'L', LARGE);
}

START_TEST(what_was_reserved_is_there_whatever_is_flushed_in_between)
{
	bool reserved = false;
	inside(reserve_large, &reserved);
	ck_assert(reserved);
	rig->flush_in_turn = false;
	for (int i = 0; i < 200; i++) {
		rig_append_next(rig, (uint32_t)i % 4);
		if (i % 3 == 0)
			rig_flush(rig);
		rig_steps(rig, (uint64_t)i % 5);
	}
	/* In the middle of everything. */
	for (int i = 0; rig_append_next(rig, 0); i++)
		if (i % 2)
			rig_flush(rig);
	inside(append_large, NULL);
	/* The model does not know of it. */
	rig->options.durable = NULL;
	ck_assert_uint_eq(log_group(rig->log, 5).last_index, 1);
}
END_TEST

START_TEST(two_reservations_do_not_share_their_room)
{
	bool first = false, second = false;
	inside(reserve_large, &first);
	inside(reserve_large, &second);
	ck_assert(first);
	/* Together they are more than a frame. */
	ck_assert(!second);
}
END_TEST

START_TEST(a_refused_reservation_is_followed_by_room)
{
	rig->flush_in_turn = false;
	while (rig_append_next(rig, 0))
		rig_flush(rig);
	ck_assert_uint_eq(rig->rooms, 0);
	rig->flush_in_turn = true;
	while (rig->rooms == 0)
		ck_assert(sim_step(rig->sim));
	uint64_t bytes = 100;
	ck_assert(sim_run_until(rig->sim, has_room, &bytes, 100000));
}
END_TEST

START_TEST(what_no_frame_can_hold_is_refused_for_ever)
{
	ck_assert(!log_has_room(rig->log, rig->options.frame_bytes_max, 1));
	ck_assert(!log_has_room(rig->log, UINT32_MAX, 1));
	ck_assert(log_has_room(rig->log, RIG_PAYLOAD_BYTES_MAX, 1));
}
END_TEST

START_TEST(hard_states_need_no_room)
{
	rig->flush_in_turn = false;
	while (rig_append_next(rig, 0))
		rig_flush(rig);
	for (uint64_t term = 1; term < 200; term++)
		for (uint32_t i = 0; i < RIG_GROUPS; i++) {
			ck_assert(
			    rig_hard(rig, i, (struct log_hard_state){.term = term, .vote = 1}));
			rig_flush(rig);
		}
	rig_settle(rig);
	rig_crash(rig, SIM_POWER_CUT);
	rig_reopen(rig);
	ck_assert_uint_eq(rig_view(rig, 3).hard.term, 199);
}
END_TEST

START_TEST(hard_states_of_one_group_in_one_frame_take_the_room_of_one)
{
	rig->flush_in_turn = false;
	for (uint64_t i = 0; i < 1000; i++)
		rig_hard(rig, 1, (struct log_hard_state){.term = 1, .vote = 1, .commit = i});
	uint64_t before = figures().frames;
	rig_settle(rig);
	ck_assert_uint_eq(figures().frames, before + 1);
	ck_assert_uint_eq(rig_view(rig, 1).hard.commit, 999);
	rig_crash(rig, SIM_POWER_CUT);
	rig_reopen(rig);
	ck_assert_uint_eq(rig_view(rig, 1).hard.commit, 999);
}
END_TEST

/* ---- Order ---- */

START_TEST(frames_are_acknowledged_in_order_whatever_order_they_come_back_in)
{
	/* The rig's callback demands rising frames and whole prefixes; many in flight at once. */
	for (uint64_t seed = 1; seed <= 20; seed++) {
		teardown();
		rig = rig_new(seed, NULL);
		rig->options.frames_in_flight_max = 16;
		rig_reopen(rig);
		rig->flush_in_turn = false;
		for (int i = 0; i < 400; i++) {
			append_or_wait((uint32_t)i % RIG_GROUPS);
			rig_flush(rig);
		}
		rig_settle(rig);
		ck_assert_uint_eq(rig->acknowledged_ops, 400);
	}
}
END_TEST

START_TEST(an_append_that_replaces_lowers_the_durable_index_at_once)
{
	rig->flush_in_turn = false;
	for (int i = 0; i < 5; i++)
		append_or_wait(0);
	rig_settle(rig);
	ck_assert_uint_eq(rig_view(rig, 0).durable_index, 5);
	rig_append_next(rig, 0);
	rig_append_next(rig, 0);
	rig_flush(rig);
	rig_append(rig, 0, 3, 2);
	ck_assert_uint_eq(rig_view(rig, 0).durable_index, 2);
	ck_assert_uint_eq(rig_view(rig, 0).last_index, 3);
	/* Entries 6 and 7 become durable, and count no more. */
	while (
	    rig_view(rig, 0).durable_index == 2 && figures().durable_frame < figures().last_frame)
		ck_assert(sim_step(rig->sim));
	ck_assert_uint_eq(rig_view(rig, 0).durable_index, 2);
	rig_settle(rig);
	ck_assert_uint_eq(rig_view(rig, 0).durable_index, 3);
}
END_TEST

START_TEST(an_idle_log_writes_one_watermark_and_then_nothing)
{
	rig_frame(rig, 0);
	uint64_t before = figures().watermarks;
	/* Returns because nothing is left to happen. */
	rig_quiet(rig);
	ck_assert_uint_eq(figures().watermarks, before + 1);
	struct log_frame_header header;
	ck_assert(rig_find_frame(rig, figures().last_frame, &header));
	ck_assert_int_eq(header.kind, LOG_FRAME_WATERMARK);
	ck_assert_uint_eq(header.watermark, header.frame - 1);
}
END_TEST

/* ---- Segments ---- */

START_TEST(segments_are_recycled_and_their_numbers_only_rise)
{
	uint64_t last = 0;
	size_t files_max = 0;
	for (int round = 0; round < 60; round++) {
		for (int i = 0; i < 25; i++)
			rig_frame(rig, (uint32_t)i % RIG_GROUPS);
		rig_checkpoint(rig, RIG_PLAN_ALL);
		rig_quiet(rig);
		ck_assert_uint_ge(figures().current_segment, last);
		last = figures().current_segment;
		size_t files = rig_count_files(rig, "log");
		if (files > files_max)
			files_max = files;
	}
	ck_assert_uint_gt(last, 60);
	ck_assert_uint_lt(files_max, 10);
}
END_TEST

START_TEST(a_burst_of_segments_is_given_back)
{
	for (int i = 0; i < 400; i++)
		rig_frame(rig, (uint32_t)i % RIG_GROUPS);
	ck_assert_uint_gt(rig_count_files(rig, "log"), 20);
	for (int round = 0; round < 6; round++) {
		rig_checkpoint(rig, RIG_PLAN_ALL);
		rig_frame(rig, 0);
		rig_quiet(rig);
		for (int i = 0; i < 16; i++)
			rig_frame(rig, 1);
	}
	ck_assert_uint_lt(rig_count_files(rig, "log"), 10);
}
END_TEST

START_TEST(a_full_disk_refuses_and_goes_on_when_there_is_space)
{
	struct sim_faults faults = {.disk_bytes = 220 * 1024};
	teardown();
	rig = rig_new(5, &faults);
	rig_reopen(rig);
	while (rig_append_next(rig, 0) || !figures().no_space) {
		rig_flush(rig);
		ck_assert(sim_step(rig->sim));
	}
	ck_assert(figures().no_space);
	/* What was acknowledged is, what is not will be: the frames had their space. */
	rig_settle(rig);
	ck_assert(!rig_append_next(rig, 0));
	rig->rooms = 0;
	sim_disk_set_capacity(rig->node, 0);
	while (rig->rooms == 0)
		ck_assert(sim_step(rig->sim));
	ck_assert(rig_append_next(rig, 0));
	rig_settle(rig);
	ck_assert(!figures().no_space);
	rig_crash(rig, SIM_POWER_CUT);
	rig_reopen(rig);
}
END_TEST

/* ---- Releasing ---- */

START_TEST(a_checkpoint_releases_what_it_holds)
{
	for (int i = 0; i < 60; i++)
		rig_frame(rig, (uint32_t)i % RIG_GROUPS);
	ck_assert_uint_gt(figures().segments_live, 3);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	ck_assert_uint_eq(figures().segments_live, 1);
	/* One frame, at which its mark stands. */
	ck_assert_uint_le(figures().needed_bytes, LOG_ALIGNMENT);
	ck_assert_uint_eq(rig->anchor.needed_frame, rig->anchor.durable_frame + 1);
	rig_crash(rig, SIM_POWER_CUT);
	rig_reopen(rig);
	ck_assert_uint_eq(rig_view(rig, 0).first_index, rig_view(rig, 0).last_index + 1);
}
END_TEST

START_TEST(a_checkpoint_that_is_not_stored_releases_nothing)
{
	for (int i = 0; i < 60; i++)
		rig_frame(rig, (uint32_t)i % RIG_GROUPS);
	uint64_t live = figures().segments_live;
	rig_plan(rig, RIG_PLAN_ALL);
	rig_quiet(rig);
	ck_assert_uint_eq(figures().segments_live, live);
	rig_crash(rig, SIM_POWER_CUT);
	rig_reopen(rig);
	/* Another attempt with the same plan, after more was appended. */
	rig_plan(rig, RIG_PLAN_ALL);
	for (int i = 0; i < 10; i++)
		rig_frame(rig, 2);
	rig_store(rig);
	rig_release(rig);
	ck_assert_uint_lt(figures().segments_live, live);
	rig_crash(rig, SIM_POWER_CUT);
	rig_reopen(rig);
	ck_assert_uint_eq(rig_view(rig, 2).last_index, 20);
}
END_TEST

START_TEST(what_an_append_replaces_stays_until_the_append_is_durable)
{
	rig->flush_in_turn = false;
	for (int i = 0; i < 6; i++)
		append_or_wait(0);
	rig_settle(rig);
	uint64_t frame = rig->durable_frame;
	rig_append(rig, 0, 4, 2);
	/* Not flushed: a power cut now brings entries 4 to 6 of the first term back. */
	rig_plan(rig, RIG_PLAN_SOME);
	ck_assert_uint_le(rig->planned_anchor.needed_frame, frame);
	rig_store(rig);
	rig_release(rig);
	rig_crash(rig, SIM_POWER_CUT);
	rig_reopen(rig);
	ck_assert_uint_eq(rig_view(rig, 0).last_index, 6);
}
END_TEST

/* ---- Copies ---- */

START_TEST(copies_of_an_idle_group_free_the_segments_that_it_held)
{
	rig->idle_groups = 1 << 5;
	rig_hard(rig, 5, (struct log_hard_state){.term = 1, .vote = 3});
	for (int i = 0; i < 4; i++)
		append_or_wait(5);
	for (int i = 0; i < 60; i++)
		rig_frame(rig, (uint32_t)i % 5);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	ck_assert_uint_eq(figures().first_segment, 1);
	ck_assert(rig_rewrite(rig, figures().current_segment, 100000));
	rig_quiet(rig);
	ck_assert_uint_eq(figures().rewrites, 1);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	ck_assert_uint_gt(figures().first_segment, 3);
	rig_crash(rig, SIM_POWER_CUT);
	rig_reopen(rig);
	ck_assert_uint_eq(rig_view(rig, 5).last_index, 4);
	ck_assert_uint_eq(rig_view(rig, 5).hard.vote, 3);
}
END_TEST

START_TEST(a_group_that_goes_on_while_it_is_copied_keeps_what_it_appended)
{
	rig->idle_groups = 1 << 5;
	append_or_wait(5);
	for (int i = 0; i < 60; i++)
		rig_frame(rig, (uint32_t)i % 5);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	ck_assert(rig_rewrite(rig, figures().current_segment, 100000));
	append_or_wait(5);
	rig_quiet(rig);
	ck_assert_uint_eq(figures().rewrites, 0);
	rig_settle(rig);
	rig_crash(rig, SIM_POWER_CUT);
	rig_reopen(rig);
	ck_assert_uint_eq(rig_view(rig, 5).last_index, 2);
}
END_TEST

START_TEST(a_group_too_large_to_copy_stays_where_it_is)
{
	rig->idle_groups = 1 << 5;
	for (int i = 0; i < 20; i++)
		append_or_wait(5);
	for (int i = 0; i < 60; i++)
		rig_frame(rig, (uint32_t)i % 5);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	ck_assert(rig_rewrite(rig, figures().current_segment, 200));
	rig_quiet(rig);
	ck_assert_uint_eq(figures().rewrites, 0);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	ck_assert_uint_eq(figures().first_segment, 1);
}
END_TEST

START_TEST(a_lost_copy_is_no_loss_while_the_original_is_there)
{
	rig->idle_groups = 1 << 5;
	append_or_wait(5);
	for (int i = 0; i < 30; i++)
		rig_frame(rig, (uint32_t)i % 5);
	ck_assert(rig_rewrite(rig, figures().current_segment, 100000));
	rig_quiet(rig);
	rig_frame(rig, 0);
	rig_quiet(rig);
	struct log_frame_header header = {0};
	uint64_t copy = figures().last_frame;
	while (header.kind != LOG_FRAME_REWRITE)
		ck_assert(rig_find_frame(rig, copy--, &header));
	rig_rot_frame(rig, header.frame);
	rig_crash(rig, SIM_KILL);
	ck_assert(rig_boot(rig));
	ck_assert_uint_eq(rig->report.gaps, 1);
	ck_assert(!rig->report.gap[0].matters);
	rig_check_groups(rig);
	ck_assert(!rig_view(rig, 5).suspect);
}
END_TEST

/* ---- The end ---- */

START_TEST(a_drained_log_takes_nothing_more_and_has_nothing_under_way)
{
	rig->flush_in_turn = false;
	for (int i = 0; i < 30; i++)
		append_or_wait((uint32_t)i % RIG_GROUPS);
	rig_drain(rig);
	ck_assert(!log_has_room(rig->log, 1, 1));
	ck_assert(!rig_append_next(rig, 0));
	ck_assert(!log_under_way(rig->log));
	struct log_frame_header header;
	ck_assert(rig_find_frame(rig, figures().last_frame, &header));
	ck_assert_uint_eq(header.watermark, header.frame - 1);
}
END_TEST

static void free_it(void *arg)
{
	(void)arg;
	log_free(rig->log);
	rig->log = NULL;
}

static void free_io(void *arg)
{
	(void)arg;
	io_free(rig->io);
}

START_TEST(a_log_freed_in_the_middle_gives_everything_back)
{
	for (uint64_t seed = 1; seed <= 50; seed++) {
		teardown();
		rig = rig_new(seed, NULL);
		rig_reopen(rig);
		rig->flush_in_turn = false;
		for (uint64_t i = 0; i < seed; i++) {
			rig_append_next(rig, (uint32_t)i % RIG_GROUPS);
			rig_flush(rig);
			rig_steps(rig, seed % 7);
		}
		uint64_t acknowledged = rig->acknowledged_ops;
		inside(free_it, NULL);
		ck_assert(sim_run_until(rig->sim, NULL, NULL, 100000));
		/* And tells nobody any more. */
		ck_assert_uint_eq(rig->acknowledged_ops, acknowledged);
		inside(free_io, NULL);
		ck_assert_uint_eq(sim_node_stop(rig->node), 0);
		rig_reopen(rig);
	}
}
END_TEST

static void on_durable_free(void *arg, const struct log_extent *extents, size_t count)
{
	(void)arg;
	(void)extents;
	(void)count;
	free_it(NULL);
}

START_TEST(a_log_may_be_freed_by_its_own_callback)
{
	rig_crash(rig, SIM_KILL);
	rig->options.durable = on_durable_free;
	ck_assert(rig_boot(rig));
	rig_append_next(rig, 0);
	rig_flush(rig);
	ck_assert(sim_run_until(rig->sim, NULL, NULL, 100000));
	ck_assert_ptr_null(rig->log);
	inside(free_io, NULL);
	ck_assert_uint_eq(sim_node_stop(rig->node), 0);
}
END_TEST

/* ---- Memory ---- */

static void work_without_memory(void *arg)
{
	uint64_t nth = *(uint64_t *)arg;
	mem_fail_at(nth);
	for (uint32_t i = 0; i < 60; i++) {
		uint32_t group = i % RIG_GROUPS;
		uint8_t *payload;
		if (log_reserve(rig->log, 700, 1)) {
			log_unreserve(rig->log, 700, 1);
			log_append(rig->log, group, 9, log_group(rig->log, group).last_index + 1,
			    700, &payload);
			memset(payload, 1, 700);
		}
		log_append_hard_state(
		    rig->log, group, &(struct log_hard_state){.term = 9 + i, .vote = 1});
		log_flush(rig->log);
	}
	*(bool *)&((uint64_t *)arg)[1] = mem_failed();
	mem_fail_at(0);
}

/* In the process, so that its memory goes with it. */
static void reserve_once_more(void *arg)
{
	bool *reserved = arg;
	*reserved = log_reserve(rig->log, 100, 1);
}

START_TEST(every_failed_allocation_while_appending_only_refuses)
{
	uint64_t failures = 0;
	for (uint64_t nth = 1;; nth++) {
		teardown();
		rig = rig_new(nth, NULL);
		rig_reopen(rig);
		rig_quiet(rig);
		rig->options.durable = NULL;
		uint64_t arg[2] = {nth, 0};
		rig_crash(rig, SIM_KILL);
		ck_assert(rig_boot(rig));
		inside(work_without_memory, arg);
		ck_assert(sim_run_until(rig->sim, NULL, NULL, 1000000));
		ck_assert(log_idle(rig->log));
		bool reserved = false;
		inside(reserve_once_more, &reserved);
		ck_assert(reserved);
		if (!arg[1])
			break;
		failures++;
	}
	ck_assert_uint_gt(failures, 10);
}
END_TEST

Suite *append_suite(void)
{
	Suite *suite = suite_create("append");
	TCase *tcase = tcase_create("append");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, for_how_long_the_oldest_write_is_waited_for_is_known);
	tcase_add_test(tcase, what_was_reserved_is_there_whatever_is_flushed_in_between);
	tcase_add_test(tcase, two_reservations_do_not_share_their_room);
	tcase_add_test(tcase, a_refused_reservation_is_followed_by_room);
	tcase_add_test(tcase, what_no_frame_can_hold_is_refused_for_ever);
	tcase_add_test(tcase, hard_states_need_no_room);
	tcase_add_test(tcase, hard_states_of_one_group_in_one_frame_take_the_room_of_one);
	tcase_add_test(tcase, frames_are_acknowledged_in_order_whatever_order_they_come_back_in);
	tcase_add_test(tcase, an_append_that_replaces_lowers_the_durable_index_at_once);
	tcase_add_test(tcase, an_idle_log_writes_one_watermark_and_then_nothing);
	tcase_add_test(tcase, segments_are_recycled_and_their_numbers_only_rise);
	tcase_add_test(tcase, a_burst_of_segments_is_given_back);
	tcase_add_test(tcase, a_full_disk_refuses_and_goes_on_when_there_is_space);
	tcase_add_test(tcase, a_checkpoint_releases_what_it_holds);
	tcase_add_test(tcase, a_checkpoint_that_is_not_stored_releases_nothing);
	tcase_add_test(tcase, what_an_append_replaces_stays_until_the_append_is_durable);
	tcase_add_test(tcase, copies_of_an_idle_group_free_the_segments_that_it_held);
	tcase_add_test(tcase, a_group_that_goes_on_while_it_is_copied_keeps_what_it_appended);
	tcase_add_test(tcase, a_group_too_large_to_copy_stays_where_it_is);
	tcase_add_test(tcase, a_lost_copy_is_no_loss_while_the_original_is_there);
	tcase_add_test(tcase, a_drained_log_takes_nothing_more_and_has_nothing_under_way);
	tcase_add_test(tcase, a_log_freed_in_the_middle_gives_everything_back);
	tcase_add_test(tcase, a_log_may_be_freed_by_its_own_callback);
	tcase_add_test(tcase, every_failed_allocation_while_appending_only_refuses);
	suite_add_tcase(suite, tcase);
	return suite;
}
