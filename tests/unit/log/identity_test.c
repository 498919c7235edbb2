/* An entry is what stands in one record of one frame. Where a vote was lost, and the loss accepted,
 * a group may use a term twice; so (index, term) may name two contents in one log, and only the
 * newer of them is alive. */
#include "tests/unit/log/rig.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/log/suites.h"

enum { GROUP = 5, TEXT_BYTES = 16 };

static struct rig *rig;

static void setup(void)
{
	rig = rig_new(23, NULL);
	/* Contents are told here; the model has one for each (index, term). */
	rig->options.durable = NULL;
	rig->options.base = NULL;
}

static void teardown(void)
{
	rig_free(rig);
}

static void boot(void)
{
	ck_assert(rig_boot(rig));
	ck_assert_int_eq(rig->open_error, 0);
	if (rig->anchor.life == 0)
		rig_checkpoint(rig, RIG_PLAN_NOTHING);
}

struct put {
	uint64_t index;
	uint64_t term;
	uint32_t bytes;
	const char *text;
	bool done;
};

static void do_put(void *arg)
{
	struct put *put = arg;
	if (!log_reserve(rig->log, put->bytes, 1))
		return;
	log_unreserve(rig->log, put->bytes, 1);
	uint8_t *payload;
	log_append(rig->log, GROUP, put->term, put->index, put->bytes, &payload);
	memset(payload, 0, put->bytes);
	memcpy(payload, put->text, strlen(put->text));
	put->done = true;
}

static void put_large(uint64_t index, uint64_t term, const char *text, uint32_t bytes)
{
	struct put put = {.index = index, .term = term, .text = text, .bytes = bytes};
	ck_assert_uint_lt(strlen(text), TEXT_BYTES);
	for (;;) {
		ck_assert(sim_node_run(rig->node, do_put, &put));
		if (put.done)
			return;
		ck_assert(sim_step(rig->sim)); /* a segment is being prepared */
	}
}

static void put(uint64_t index, uint64_t term, const char *text)
{
	put_large(index, term, text, TEXT_BYTES);
}

/* As a frame of its own. */
static void put_frame(uint64_t index, uint64_t term, const char *text)
{
	put(index, term, text);
	rig_settle(rig);
}

static int collect(void *arg, const struct log_record *record)
{
	char *texts = arg;
	ck_assert_uint_eq(record->group, GROUP);
	size_t used = strlen(texts);
	snprintf(
	    texts + used, 200 - used, "%s%s", used ? " " : "", (const char *)record->payload.data);
	return 0;
}

static void do_replay(void *arg)
{
	ck_assert_int_eq(log_replay(rig->log, collect, arg), 0);
}

/* What a restart finds. */
static void check_replay(const char *expected)
{
	char texts[200] = "";
	rig_crash(rig, SIM_POWER_CUT);
	boot();
	ck_assert(sim_node_run(rig->node, do_replay, texts));
	ck_assert_str_eq(texts, expected);
}

static void rewrite(void)
{
	ck_assert(rig_rewrite(rig, log_figures(rig->log).current_segment, 100000));
	rig_quiet(rig);
	ck_assert_uint_eq(log_figures(rig->log).rewrites, 1);
}

/* Until the log stands in another segment. */
static void fill_segment(void)
{
	uint64_t current = log_figures(rig->log).current_segment;
	while (log_figures(rig->log).current_segment == current) {
		ck_assert(rig_hard(rig, 0, (struct log_hard_state){.term = 1, .vote = 1}));
		rig_settle(rig);
	}
}

START_TEST(a_term_that_is_used_again_replaces_in_another_frame)
{
	boot();
	put_frame(1, 1, "old");
	put_frame(1, 1, "new");
	check_replay("new");
}
END_TEST

START_TEST(a_term_that_is_used_again_replaces_within_a_frame)
{
	boot();
	put(1, 1, "old");
	put(2, 1, "older");
	put(1, 1, "new");
	put(2, 1, "newer");
	rig_settle(rig);
	check_replay("new newer");
}
END_TEST

START_TEST(a_term_that_is_used_again_replaces_what_stood_behind)
{
	boot();
	put_frame(1, 1, "first");
	put_frame(2, 1, "dead");
	put_frame(3, 1, "dead");
	put_frame(2, 1, "second");
	put_frame(3, 1, "third");
	check_replay("first second third");
	/* Replaced once more, by a life that knows of them from the disk only. */
	put_frame(3, 1, "last");
	check_replay("first second last");
}
END_TEST

START_TEST(what_is_copied_is_what_is_alive)
{
	boot();
	put_frame(1, 1, "first");
	put_frame(2, 1, "dead");
	put(2, 1, "dead, too");
	put(2, 1, "second");
	rig_settle(rig);
	fill_segment();
	rewrite();
	check_replay("first second");
}
END_TEST

START_TEST(what_a_recovery_gave_up_is_not_copied)
{
	/* LIFE, a watermark, entry 1, and two frames in flight. */
	rig->options.first_segment_bytes = 5 * LOG_ALIGNMENT;
	rig->options.frame_bytes_max = 4 * LOG_ALIGNMENT;
	boot();
	rig_quiet(rig);
	put_frame(1, 1, "first");
	uint64_t lost = log_figures(rig->log).last_frame + 1;
	ck_assert(rig_hard(rig, 0, (struct log_hard_state){.term = 1, .vote = 1}));
	ck_assert(rig_flush(rig));
	put(2, 1, "dead");
	ck_assert(rig_flush(rig));
	rig_settle(rig);
	ck_assert_uint_eq(log_figures(rig->log).last_frame, lost + 1);
	ck_assert_uint_eq(log_figures(rig->log).current_segment, 1);
	rig_rot_frame(rig, lost);
	rig_crash(rig, SIM_KILL);

	/* Nothing says that it had been durable, so the log is cut there. */
	boot();
	ck_assert(rig->report.cut);
	ck_assert_uint_eq(rig->report.cut_frames_seen, 1);
	struct log_frame_header header;
	ck_assert(rig_find_frame(rig, lost + 1, &header));
	ck_assert_uint_eq(header.life, 1);
	/* It does not fit behind the LIFE frame, where the frame that was given up stays. */
	put_large(2, 1, "second", LOG_ALIGNMENT);
	rig_settle(rig);
	ck_assert_uint_gt(log_figures(rig->log).current_segment, 1);
	rewrite();
	check_replay("first second");
}
END_TEST

Suite *identity_suite(void)
{
	Suite *suite = suite_create("identity");
	TCase *tests = tcase_create("identity");
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, a_term_that_is_used_again_replaces_in_another_frame);
	tcase_add_test(tests, a_term_that_is_used_again_replaces_within_a_frame);
	tcase_add_test(tests, a_term_that_is_used_again_replaces_what_stood_behind);
	tcase_add_test(tests, what_is_copied_is_what_is_alive);
	tcase_add_test(tests, what_a_recovery_gave_up_is_not_copied);
	suite_add_tcase(suite, tests);
	return suite;
}
