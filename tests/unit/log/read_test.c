/* Entries read back: live ones and kept ones, of many groups at once, while the log goes on. */
#include "tests/unit/log/rig.h"

#include <string.h>

#include "base/io/io.h"
#include "base/limits.h"
#include "storage/log_read.h"
#include "tests/unit/log/suites.h"

enum { KEPT_BYTES = 4 * 64 * 1024, PLENTY = 1 << 20 };

static struct rig *rig;
/* Of each entry that a group has, by index. */
static uint64_t terms[RIG_GROUPS][RIG_ENTRIES_MAX];

static void keep(void *arg)
{
	log_keep(rig->log, *(uint64_t *)arg);
}

static void keep_bytes(uint64_t bytes)
{
	ck_assert(sim_node_run(rig->node, keep, &bytes));
}

static void setup(void)
{
	rig = rig_new(31, NULL);
	memset(terms, 0, sizeof(terms));
	rig_reopen(rig);
	rig_quiet(rig);
	keep_bytes(KEPT_BYTES);
}

static void teardown(void)
{
	rig_free(rig);
}

/* ---- Reading ---- */

struct asked {
	struct log_read read;
	int error, result;
	bool done;
};

static void on_done(struct log_read *read, int result)
{
	struct asked *asked = CONTAINER_OF(read, struct asked, read);
	ck_assert(!asked->done);
	asked->result = result;
	asked->done = true;
}

static void do_ask(void *arg)
{
	struct asked *asked = arg;
	asked->done = false;
	asked->read.done = on_done;
	asked->error = log_read(rig->log, &asked->read);
}

static void do_start(void *arg)
{
	log_reads_start(rig->log, *(uint64_t *)arg);
}

static void start(uint64_t bytes_max)
{
	ck_assert(sim_node_run(rig->node, do_start, &bytes_max));
}

/* ERR_NOT_FOUND comes at once, too. */
static int ask(struct asked *asked, uint32_t group, uint64_t first, uint64_t bytes_max)
{
	*asked = (struct asked){.read = {.group = group, .first = first, .bytes_max = bytes_max}};
	ck_assert(sim_node_run(rig->node, do_ask, asked));
	return asked->error;
}

static void wait(struct asked *asked)
{
	while (!asked->done) {
		start(PLENTY);
		ck_assert(sim_step(rig->sim));
	}
}

/* What was read is what the group has. */
static void check(const struct asked *asked)
{
	const struct log_read *read = &asked->read;
	uint32_t from = 0;
	ck_assert_int_eq(asked->result, 0);
	ck_assert_uint_gt(read->count, 0);
	for (uint32_t i = 0; i < read->count; i++) {
		uint8_t payload[RIG_PAYLOAD_BYTES_MAX];
		uint64_t index = read->first + i;
		uint64_t term = terms[read->group][index];
		ck_assert_uint_eq(read->term, term);
		uint32_t bytes = rig_payload(read->group, index, term, payload);
		ck_assert_uint_eq(read->ends[i] - from, bytes);
		ck_assert_int_eq(memcmp(read->data + from, payload, bytes), 0);
		from = read->ends[i];
	}
}

/* Everything from there on is read, each once, up to the end of what is durable. */
static void read_from(uint32_t group, uint64_t first)
{
	uint64_t last = rig_view(rig, group).durable_index;
	while (first <= last) {
		struct asked asked;
		ck_assert_int_eq(ask(&asked, group, first, 600), 0);
		wait(&asked);
		check(&asked);
		first += asked.read.count;
		log_read_free(&asked.read);
	}
	ck_assert_uint_eq(first, last + 1);
	struct asked asked;
	ck_assert_int_eq(ask(&asked, group, first, 600), ERR_NOT_FOUND);
}

static void append(uint32_t group, uint64_t index, uint64_t term)
{
	while (!rig_append(rig, group, index, term))
		ck_assert(sim_step(rig->sim));
	terms[group][index] = term;
}

static void append_many(uint32_t groups, uint64_t first, uint64_t last, uint64_t term)
{
	for (uint64_t i = first; i <= last; i++)
		for (uint32_t group = 0; group < groups; group++) {
			append(group, i, term);
			if (i % 7 == group)
				rig_flush(rig);
		}
	rig_settle(rig);
}

/* In one frame. */
static void append_together(uint32_t groups, uint64_t last)
{
	rig->flush_in_turn = false;
	for (uint64_t i = 1; i <= last; i++)
		for (uint32_t group = 0; group < groups; group++)
			append(group, i, 1);
	rig->flush_in_turn = true;
	rig_settle(rig);
}

static uint64_t first_of(uint32_t group)
{
	return log_read_first(rig->log, group);
}

/* ---- Facts ---- */

START_TEST(what_is_live_is_read_back)
{
	append_many(3, 1, 200, 1);
	append_many(3, 201, 300, 4);
	for (uint32_t group = 0; group < 3; group++) {
		ck_assert_uint_eq(first_of(group), 1);
		read_from(group, 1);
		read_from(group, 177);
	}
}
END_TEST

START_TEST(what_a_checkpoint_released_is_read_back_while_it_is_kept)
{
	for (uint64_t round = 0; round < 10; round++) {
		append_many(3, round * 100 + 1, round * 100 + 100, 1 + round / 4);
		rig_checkpoint(rig, RIG_PLAN_ALL);
		rig_quiet(rig);
	}
	for (uint32_t group = 0; group < 3; group++) {
		uint64_t first = first_of(group);
		ck_assert_uint_gt(first, 1);
		ck_assert_uint_lt(first, rig_view(rig, group).first_index);
		read_from(group, first);
		struct asked asked;
		ck_assert_int_eq(ask(&asked, group, first - 1, 600), ERR_NOT_FOUND);
	}
	/* And no more than was said: live ones, ready ones and those for the next round beside it.
	 */
	ck_assert_uint_lt(rig_count_files(rig, "log"), KEPT_BYTES / (64 * 1024) + 10);
}
END_TEST

START_TEST(nothing_is_kept_that_nobody_asked_for)
{
	keep_bytes(0);
	append_many(2, 1, 300, 1);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	struct asked asked;
	ck_assert_int_eq(ask(&asked, 0, 300, 600), ERR_NOT_FOUND);
	ck_assert_uint_eq(first_of(0), rig_view(rig, 0).first_index);
	append_many(2, 301, 310, 1);
	read_from(0, 301);
}
END_TEST

/* Of the same index, in the same stretch of the log, in front. */
START_TEST(what_was_replaced_is_not_read)
{
	rig->flush_in_turn = false;
	for (uint64_t i = 1; i <= 4; i++)
		append(0, i, 1);
	for (uint64_t i = 2; i <= 6; i++)
		append(0, i, 2);
	rig->flush_in_turn = true;
	rig_settle(rig);
	read_from(0, 1);
	append_many(1, 7, 20, 2);
	append_many(1, 15, 30, 3);
	append_many(1, 29, 40, 4);
	read_from(0, 1);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	append_many(1, 41, 45, 4);
	read_from(0, 1);
}
END_TEST

START_TEST(a_copy_in_a_later_frame_is_read_in_the_originals_place)
{
	append_many(3, 1, 10, 1);
	for (uint64_t i = 11; i <= 500; i++)
		append(1, i, 1);
	rig_settle(rig);
	ck_assert(rig_rewrite(rig, log_figures(rig->log).current_segment, 8 * 1024));
	rig_quiet(rig);
	ck_assert_uint_gt(log_figures(rig->log).rewrites, 0);
	read_from(0, 1);
	read_from(2, 1);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	read_from(0, 1);
}
END_TEST

START_TEST(while_a_copy_is_being_written_it_is_to_be_asked_again)
{
	struct asked asked;
	append_many(3, 1, 10, 1);
	for (uint64_t i = 11; i <= 500; i++)
		append(1, i, 1);
	rig_settle(rig);
	ck_assert(rig_rewrite(rig, log_figures(rig->log).current_segment, 8 * 1024));
	while (log_figures(rig->log).rewrites == 0)
		ck_assert(sim_step(rig->sim));
	ck_assert_int_eq(ask(&asked, 0, 1, 600), 0);
	start(PLENTY);
	while (!asked.done)
		ck_assert(sim_step(rig->sim));
	ck_assert_int_eq(asked.result, ERR_FULL);
	rig_quiet(rig);
	read_from(0, 1);
}
END_TEST

/* All that lack entries of one stretch get them with one job. */
START_TEST(groups_that_want_one_stretch_read_it_together)
{
	append_together(5, 4);
	struct asked asked[5];
	for (uint32_t group = 0; group < 5; group++)
		ck_assert_int_eq(ask(&asked[group], group, 1, PLENTY), 0);
	start(PLENTY);
	while (!asked[0].done)
		ck_assert(sim_step(rig->sim));
	for (uint32_t group = 0; group < 5; group++) {
		ck_assert(asked[group].done);
		check(&asked[group]);
		log_read_free(&asked[group].read);
	}
}
END_TEST

START_TEST(what_does_not_fit_is_told_to_come_again)
{
	append_together(3, 4);
	struct asked asked[3];
	for (uint32_t group = 0; group < 3; group++)
		ck_assert_int_eq(ask(&asked[group], group, 1, PLENTY), 0);
	start(1);
	unsigned full = 0;
	for (uint32_t group = 0; group < 3; group++) {
		while (!asked[group].done)
			ck_assert(sim_step(rig->sim));
		full += asked[group].result == ERR_FULL;
		if (asked[group].result == 0) {
			ck_assert_uint_le(asked[group].read.ends[asked[group].read.count - 1],
			    RIG_PAYLOAD_BYTES_MAX);
			log_read_free(&asked[group].read);
		}
	}
	ck_assert_uint_eq(full, 2);
}
END_TEST

static void do_cancel(void *arg)
{
	log_read_cancel(rig->log, arg);
}

START_TEST(who_cancels_is_told_nothing)
{
	append_together(3, 4);
	struct asked asked[3];
	for (uint32_t group = 0; group < 3; group++)
		ck_assert_int_eq(ask(&asked[group], group, 1, PLENTY), 0);
	ck_assert(sim_node_run(rig->node, do_cancel, &asked[0].read));
	start(PLENTY);
	ck_assert(sim_node_run(rig->node, do_cancel, &asked[1].read));
	while (!asked[2].done)
		ck_assert(sim_step(rig->sim));
	check(&asked[2]);
	log_read_free(&asked[2].read);
	rig_quiet(rig);
	ck_assert(!asked[0].done && !asked[1].done);
	ck_assert(sim_node_run(rig->node, do_cancel, &asked[2].read));
}
END_TEST

START_TEST(a_reset_takes_what_was_kept)
{
	append_many(2, 1, 100, 1);
	rig_checkpoint(rig, RIG_PLAN_ALL);
	ck_assert_uint_eq(first_of(0), 1);
	ck_assert(rig_reset(rig, 0, 500, 3));
	rig_settle(rig);
	struct asked asked;
	ck_assert_int_eq(ask(&asked, 0, 50, 600), ERR_NOT_FOUND);
	ck_assert_uint_eq(first_of(0), 501);
	append(0, 501, 3);
	rig_settle(rig);
	read_from(0, 501);
	read_from(1, 1);
}
END_TEST

/* Released and recycled while it is read: the job has its files for itself. */
START_TEST(a_log_that_goes_on_gives_no_wrong_entry)
{
	uint64_t last = 0, reads = 0, misses = 0;
	for (unsigned round = 0; round < 60; round++) {
		struct asked asked[3];
		append_many(3, last + 1, last + 30, 1 + round / 5);
		last += 30;
		uint64_t first = first_of(0);
		uint64_t at = first + sim_random_below(rig->sim, last - first + 1);
		for (uint32_t group = 0; group < 3; group++)
			if (ask(&asked[group], group, at, 1000))
				asked[group].done = true;
		start(PLENTY);
		rig_checkpoint(rig, round % 3 ? RIG_PLAN_ALL : RIG_PLAN_SOME);
		for (uint32_t group = 0; group < 3; group++) {
			wait(&asked[group]);
			misses += asked[group].error || asked[group].result == ERR_NOT_FOUND;
			if (asked[group].error || asked[group].result)
				continue;
			check(&asked[group]);
			log_read_free(&asked[group].read);
			reads++;
		}
	}
	ck_assert_uint_gt(reads, 100);
	ck_assert_uint_lt(misses, 60);
}
END_TEST

START_TEST(a_full_disk_takes_what_is_kept)
{
	struct sim_faults faults = {.disk_bytes = 700 * 1024};
	teardown();
	rig = rig_new(5, &faults);
	rig_reopen(rig);
	keep_bytes(GIB);
	uint64_t last = 0;
	for (unsigned round = 0; round < 40; round++) {
		append_many(2, last + 1, last + 100, 1);
		last += 100;
		rig_checkpoint(rig, RIG_PLAN_ALL);
		rig_quiet(rig);
	}
	ck_assert_uint_gt(first_of(0), 1);
	read_from(0, first_of(0));
}
END_TEST

START_TEST(a_log_freed_under_a_read_gives_everything_back)
{
	append_many(3, 1, 40, 1);
	struct asked asked[3];
	for (uint32_t group = 0; group < 3; group++)
		ck_assert_int_eq(ask(&asked[group], group, 1, PLENTY), 0);
	start(PLENTY);
	rig_crash(rig, SIM_KILL);
	rig_reopen(rig);
	ck_assert(!asked[0].done && !asked[1].done && !asked[2].done);
	/* What was kept before is not known any more; what is needed is. */
	read_from(0, first_of(0));
}
END_TEST

Suite *read_suite(void)
{
	Suite *suite = suite_create("read");
	TCase *tests = tcase_create("read");
	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, what_is_live_is_read_back);
	tcase_add_test(tests, what_a_checkpoint_released_is_read_back_while_it_is_kept);
	tcase_add_test(tests, nothing_is_kept_that_nobody_asked_for);
	tcase_add_test(tests, what_was_replaced_is_not_read);
	tcase_add_test(tests, a_copy_in_a_later_frame_is_read_in_the_originals_place);
	tcase_add_test(tests, while_a_copy_is_being_written_it_is_to_be_asked_again);
	tcase_add_test(tests, groups_that_want_one_stretch_read_it_together);
	tcase_add_test(tests, what_does_not_fit_is_told_to_come_again);
	tcase_add_test(tests, who_cancels_is_told_nothing);
	tcase_add_test(tests, a_reset_takes_what_was_kept);
	tcase_add_test(tests, a_log_that_goes_on_gives_no_wrong_entry);
	tcase_add_test(tests, a_full_disk_takes_what_is_kept);
	tcase_add_test(tests, a_log_freed_under_a_read_gives_everything_back);
	suite_add_tcase(suite, tests);
	return suite;
}
