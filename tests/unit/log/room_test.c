/* What was reserved finds memory, whatever comes in between: each of these ended the process once.
 */
#include "tests/unit/log/rig.h"

#include <string.h>

#include "base/mem.h"
#include "tests/unit/log/suites.h"

enum { NTH_MAX = 6 };

static struct rig *rig;

/* A quiet log, in which nothing is open. */
static void begin(uint64_t seed)
{
	rig = rig_new(seed, NULL);
	rig->flush_in_turn = false;
	rig->options.segment_bytes = 256 * 1024;
	rig->options.first_segment_bytes = 256 * 1024;
	rig->options.frame_bytes_max = 128 * 1024;
	rig_reopen(rig);
	rig_quiet(rig);
	/* The model does not know of what is appended here. */
	rig_crash(rig, SIM_KILL);
	rig->options.durable = NULL;
	ck_assert(rig_boot(rig));
	rig_quiet(rig);
}

static void setup(void)
{
	begin(11);
}

static void teardown(void)
{
	rig_free(rig);
}

static void inside(void (*what)(void *arg), void *arg)
{
	ck_assert(sim_node_run(rig->node, what, arg));
}

struct reservation {
	uint64_t bytes;
	uint64_t fail_at; /* the allocation from here on that fails; 0: none */
	bool given;
};

static void reserve(void *arg)
{
	struct reservation *reservation = arg;
	if (reservation->fail_at > 0)
		mem_fail_at(reservation->fail_at);
	reservation->given = log_reserve(rig->log, reservation->bytes, 1);
	mem_fail_at(0);
}

/* As large as one can be. */
static void reserve_largest(void *arg)
{
	struct reservation *largest = arg;
	largest->bytes = rig->options.frame_bytes_max;
	while (!log_reserve(rig->log, largest->bytes, 1))
		largest->bytes--;
}

static void append_reserved(void *arg)
{
	const struct reservation *reservation = arg;
	uint8_t *payload;
	if (reservation->fail_at > 0)
		mem_fail_at(reservation->fail_at);
	log_unreserve(rig->log, reservation->bytes, 1);
	log_append(rig->log, 5, 1, 1, (uint32_t)reservation->bytes, &payload);
	mem_fail_at(0);
	memset(payload, 'L', reservation->bytes);
}

static void append_hard_states(void *arg)
{
	const struct log_hard_state *hard = arg;
	for (uint32_t i = 0; i < RIG_GROUPS; i++)
		log_append_hard_state(rig->log, i, hard);
}

static void append_one_hard_state(void *arg)
{
	log_append_hard_state(rig->log, 0, arg);
}

static void expect_appended(void)
{
	ck_assert_uint_eq(log_group(rig->log, 5).last_index, 1);
	rig->flush_in_turn = true;
	ck_assert(rig_flush(rig));
	rig_quiet(rig);
	ck_assert_uint_eq(log_group(rig->log, 5).durable_index, 1);
}

START_TEST(hard_states_that_open_a_frame_take_nothing_of_what_is_reserved)
{
	struct reservation largest = {0};
	inside(reserve_largest, &largest);
	ck_assert_uint_gt(largest.bytes, rig->options.frame_bytes_max - 4096);
	inside(append_hard_states, &(struct log_hard_state){.term = 1, .vote = 1});
	inside(append_reserved, &largest);
	expect_appended();
}
END_TEST

START_TEST(hard_states_in_the_open_frame_take_nothing_of_what_fits_it)
{
	for (uint64_t nth = 1; nth <= NTH_MAX; nth++) {
		teardown();
		begin(nth);
		inside(append_hard_states, &(struct log_hard_state){.term = 1, .vote = 1});
		ck_assert(rig_flush(rig));
		inside(append_one_hard_state, &(struct log_hard_state){.term = 2, .vote = 1});
		/* The index has room for it already. */
		struct reservation small = {.bytes = 100};
		inside(reserve, &small);
		ck_assert(small.given);
		log_unreserve(rig->log, small.bytes, 1);
		/* All that is left of the open frame, while the next one has no memory. */
		struct reservation rest = {.bytes = 64 * 1024, .fail_at = 1};
		while (!rest.given && rest.bytes > 1024) {
			rest.bytes -= 8;
			inside(reserve, &rest);
		}
		ck_assert_uint_gt(rest.bytes, 50 * 1024);
		inside(append_hard_states, &(struct log_hard_state){.term = 2, .vote = 1});
		rest.fail_at = nth;
		inside(append_reserved, &rest);
		expect_appended();
	}
}
END_TEST

START_TEST(a_refused_reservation_takes_nothing_from_the_one_before)
{
	uint64_t refused = 0;
	for (uint64_t nth = 0; nth < NTH_MAX * NTH_MAX; nth++) {
		teardown();
		begin(nth);
		struct reservation first = {.bytes = 10000};
		inside(reserve, &first);
		ck_assert(first.given);
		/* Larger than the memory of the next frame, and there is no more. */
		struct reservation second = {.bytes = 100000, .fail_at = 1 + nth / NTH_MAX};
		inside(reserve, &second);
		if (second.given)
			log_unreserve(rig->log, second.bytes, 1);
		refused += !second.given;
		first.fail_at = 1 + nth % NTH_MAX;
		inside(append_reserved, &first);
		expect_appended();
	}
	ck_assert_uint_gt(refused, 0);
}
END_TEST

static void fail_at(void *arg)
{
	mem_fail_at(*(uint64_t *)arg);
}

START_TEST(a_watermark_takes_nothing_of_what_is_reserved)
{
	for (uint64_t nth = 1; nth <= NTH_MAX; nth++) {
		for (uint64_t earlier = 1; earlier <= NTH_MAX; earlier++) {
			teardown();
			begin(nth);
			inside(append_hard_states, &(struct log_hard_state){.term = 1, .vote = 1});
			ck_assert(rig_flush(rig));
			struct reservation first = {.bytes = 1000};
			inside(reserve, &first);
			ck_assert(first.given);
			/* The frames become durable, and one that says so follows. */
			inside(fail_at, &earlier);
			rig_quiet(rig);
			ck_assert_uint_gt(log_figures(rig->log).watermarks, 0);
			first.fail_at = nth;
			inside(append_reserved, &first);
			expect_appended();
		}
	}
}
END_TEST

struct counted {
	struct log_hard_state hard;
	uint64_t allocations;
};

/* From the first record until the frame is on its way, and the next one has what it needs. */
static void write_counted_frame(void *arg)
{
	struct counted *counted = arg;
	mem_fail_at(UINT64_MAX);
	append_one_hard_state(&counted->hard);
	log_flush(rig->log);
	counted->allocations += mem_count();
	mem_fail_at(0);
}

/* There are places for many frames, and each of them comes in turn: the first round needs the
 * memory of two, each three pieces, more than the next one. */
START_TEST(one_frame_after_the_other_is_written_in_the_same_memory)
{
	struct counted rounds[2] = {{.allocations = 0}};
	uint32_t frames = 2 * rig->options.frames_in_flight_max + 2;
	for (uint32_t i = 0; i < 2 * frames; i++) {
		struct counted *counted = &rounds[i / frames];
		counted->hard = (struct log_hard_state){.term = i + 1, .vote = 1};
		inside(write_counted_frame, counted);
		rig_settle(rig);
	}
	ck_assert_uint_le(rounds[0].allocations, rounds[1].allocations + 6);
}
END_TEST

/* ---- Files ---- */

static void stop_failing(void *arg)
{
	*(bool *)arg = mem_failed();
	mem_fail_at(0);
}

/* Enough to make segments, recycle them and remove some. */
static void work_through_segments(void)
{
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < (round == 0 ? 60 : 8); i++)
			rig_frame(rig, (uint32_t)i % RIG_GROUPS);
		rig_checkpoint(rig, RIG_PLAN_ALL);
		rig_quiet(rig);
	}
}

START_TEST(no_file_is_forgotten_for_want_of_memory)
{
	uint64_t failures = 0;
	for (uint64_t nth = 1;; nth++) {
		teardown();
		rig = rig_new(nth, NULL);
		rig_reopen(rig);
		rig_quiet(rig);
		inside(fail_at, &nth);
		work_through_segments();
		bool failed;
		inside(stop_failing, &failed);
		rig_frame(rig, 0);
		rig_quiet(rig);
		struct log_figures figures = log_figures(rig->log);
		ck_assert_uint_eq(
		    rig_count_files(rig, "log"), figures.segments_live + figures.segments_spare);
		/* A number that was given up is no hole. */
		rig_crash(rig, nth % 2 == 0 ? SIM_KILL : SIM_POWER_CUT);
		rig_reopen(rig);
		rig_frame(rig, 1);
		if (!failed)
			break;
		failures++;
	}
	ck_assert_uint_gt(failures, 40);
}
END_TEST

Suite *room_suite(void)
{
	Suite *suite = suite_create("room");
	TCase *tcase = tcase_create("room");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, hard_states_that_open_a_frame_take_nothing_of_what_is_reserved);
	tcase_add_test(tcase, hard_states_in_the_open_frame_take_nothing_of_what_fits_it);
	tcase_add_test(tcase, a_refused_reservation_takes_nothing_from_the_one_before);
	tcase_add_test(tcase, a_watermark_takes_nothing_of_what_is_reserved);
	tcase_add_test(tcase, one_frame_after_the_other_is_written_in_the_same_memory);
	tcase_add_test(tcase, no_file_is_forgotten_for_want_of_memory);
	suite_add_tcase(suite, tcase);
	return suite;
}
