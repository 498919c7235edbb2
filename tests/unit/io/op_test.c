/* io.h's operations, timers and wakes, as both implementations keep them. */
#include "tests/unit/io/platform.h"
#include "tests/unit/io/suites.h"

#include <string.h>

#include "base/io/fs.h"
#include "base/io/io.h"
#include "base/mem.h"

enum {
	BLOCK = FS_ALIGNMENT,
	BLOCKS = 64,
};

static uint8_t *blocks;
static struct fs_file *file;

static void setup(void)
{
	platform_setup();
	blocks = fs_buffer_alloc((size_t)BLOCKS * BLOCK);
	ck_assert_ptr_nonnull(blocks);
	ck_assert_int_eq(
	    fs_open(platform_fs(), "file", FS_READ | FS_WRITE | FS_CREATE | FS_DIRECT, &file), 0);
}

static void teardown(void)
{
	fs_close(file);
	fs_buffer_free(blocks);
	platform_done();
}

/* An operation that remembers how often it was done. */
struct counted {
	struct io_op op;
	unsigned done;
	unsigned *all_done;
};

static void count(struct io_op *op)
{
	struct counted *counted = (struct counted *)op;
	counted->done++;
	if (counted->all_done != NULL)
		(*counted->all_done)++;
}

static bool is_done(void *arg)
{
	return ((struct counted *)arg)->done > 0;
}

static int64_t wait_for(struct counted *counted)
{
	/* Rule 2: nothing was called inside the start. */
	ck_assert_uint_eq(counted->done, 0);
	platform_run(is_done, counted);
	ck_assert_uint_eq(counted->done, 1);
	return counted->op.result;
}

static int64_t write_blocks(size_t first, size_t blocks_count)
{
	struct counted counted = {.op.done = count};
	io_write_durable(platform_io(), &counted.op, file, blocks + first * BLOCK,
	    blocks_count * BLOCK, first * BLOCK);
	return wait_for(&counted);
}

static int64_t read_bytes(void *data, size_t bytes, uint64_t offset)
{
	struct counted counted = {.op.done = count};
	io_read(platform_io(), &counted.op, file, data, bytes, offset);
	return wait_for(&counted);
}

START_TEST(a_durable_write_is_read_back)
{
	for (size_t i = 0; i < BLOCKS; i++)
		memset(blocks + i * BLOCK, (int)i + 1, BLOCK);
	ck_assert_int_eq(write_blocks(0, 1), 0);
	ck_assert_int_eq(write_blocks(1, BLOCKS - 1), 0);
	uint8_t *found = fs_buffer_alloc((size_t)BLOCKS * BLOCK);
	ck_assert_ptr_nonnull(found);
	ck_assert_int_eq(read_bytes(found, (size_t)BLOCKS * BLOCK, 0), BLOCKS * BLOCK);
	ck_assert_int_eq(memcmp(found, blocks, (size_t)BLOCKS * BLOCK), 0);
	fs_buffer_free(found);
}
END_TEST

START_TEST(a_read_is_short_at_the_end_only)
{
	memset(blocks, 'x', 2 * BLOCK);
	ck_assert_int_eq(write_blocks(0, 2), 0);
	ck_assert_int_eq(fs_truncate(file, BLOCK + 100), 0);
	ck_assert_int_eq(read_bytes(blocks, 4 * BLOCK, 0), BLOCK + 100);
	ck_assert_int_eq(read_bytes(blocks, BLOCK, BLOCK), 100);
	ck_assert_int_eq(read_bytes(blocks, BLOCK, 4 * BLOCK), 0);
	ck_assert_int_eq(read_bytes(blocks, BLOCK, 0), BLOCK);
}
END_TEST

static bool all_are_done(void *arg)
{
	return *(unsigned *)arg == BLOCKS;
}

START_TEST(many_writes_complete_each_exactly_once)
{
	static struct counted ops[BLOCKS];
	unsigned all_done = 0;
	for (size_t i = 0; i < BLOCKS; i++) {
		memset(blocks + i * BLOCK, (int)i + 1, BLOCK);
		ops[i] = (struct counted){.op.done = count, .all_done = &all_done};
		io_write_durable(
		    platform_io(), &ops[i].op, file, blocks + i * BLOCK, BLOCK, i * BLOCK);
	}
	ck_assert_uint_eq(all_done, 0);
	platform_run(all_are_done, &all_done);
	for (int turns = 0; turns < 10; turns++)
		platform_turn();
	for (size_t i = 0; i < BLOCKS; i++) {
		ck_assert_uint_eq(ops[i].done, 1);
		ck_assert_int_eq(ops[i].op.result, 0);
	}
	uint8_t *found = fs_buffer_alloc((size_t)BLOCKS * BLOCK);
	ck_assert_int_eq(read_bytes(found, (size_t)BLOCKS * BLOCK, 0), BLOCKS * BLOCK);
	ck_assert_int_eq(memcmp(found, blocks, (size_t)BLOCKS * BLOCK), 0);
	fs_buffer_free(found);
}
END_TEST

/* ---- What `done` may do ---- */

struct again {
	struct io_op op;
	unsigned left;
	bool finished;
};

static void start_again(struct io_op *op)
{
	struct again *again = (struct again *)op;
	ck_assert_int_eq(op->result, 0);
	if (--again->left == 0) {
		again->finished = true;
		return;
	}
	io_write_durable(op->io, op, file, blocks, BLOCK, 0);
}

static bool is_finished(void *arg)
{
	return ((struct again *)arg)->finished;
}

START_TEST(done_may_start_the_operation_again)
{
	struct again again = {.op.done = start_again, .left = 20};
	io_write_durable(platform_io(), &again.op, file, blocks, BLOCK, 0);
	platform_run(is_finished, &again);
	ck_assert_uint_eq(again.left, 0);
}
END_TEST

static unsigned freed;

static void free_it(struct io_op *op)
{
	mem_free(op);
	freed++;
}

static bool is_freed(void *arg)
{
	(void)arg;
	return freed == 3;
}

static void do_nothing(struct io_op *op)
{
	op->result = 7;
}

START_TEST(done_may_free_the_operation)
{
	freed = 0;
	for (int i = 0; i < 3; i++) {
		struct io_op *op = mem_zalloc(1, sizeof(*op));
		ck_assert_ptr_nonnull(op);
		op->done = free_it;
		if (i == 0)
			io_write_durable(platform_io(), op, file, blocks, BLOCK, 0);
		else if (i == 1)
			io_read(platform_io(), op, file, blocks, BLOCK, 0);
		else
			io_offload(platform_io(), op, do_nothing);
	}
	platform_run(is_freed, NULL);
}
END_TEST

/* ---- Blocking work ---- */

struct job {
	struct io_op op;
	uint64_t bytes_found;
	unsigned *all_done;
};

static void use_files(struct io_op *op)
{
	struct job *job = (struct job *)op;
	struct fs_file *other;
	int error = fs_open(platform_fs(), "other", FS_READ | FS_WRITE | FS_CREATE, &other);
	if (error == 0) {
		error = fs_write(other, 0, "hello", 5);
		if (error == 0)
			error = fs_sync(other);
		if (error == 0)
			error = fs_size(other, &job->bytes_found);
		fs_close(other);
	}
	op->result = error < 0 ? error : 42;
}

static void job_done(struct io_op *op)
{
	(*((struct job *)op)->all_done)++;
}

static bool two_are_done(void *arg)
{
	return *(unsigned *)arg == 2;
}

START_TEST(blocking_work_gives_its_result)
{
	unsigned all_done = 0;
	struct job jobs[2] = {{.op.done = job_done, .all_done = &all_done},
	    {.op.done = job_done, .all_done = &all_done}};
	io_offload(platform_io(), &jobs[0].op, use_files);
	platform_turn();
	io_offload_bulk(platform_io(), &jobs[1].op, use_files);
	platform_run(two_are_done, &all_done);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(jobs[i].op.result, 42);
		ck_assert_uint_eq(jobs[i].bytes_found, 5);
	}
	ck_assert_uint_eq(io_figures(platform_io()).offloaded, 2);
}
END_TEST

START_TEST(many_jobs_all_return)
{
	enum { JOBS = 500 };
	static struct counted jobs[JOBS];
	unsigned all_done = 0;
	for (size_t i = 0; i < JOBS; i++) {
		jobs[i] = (struct counted){.op.done = count, .all_done = &all_done};
		if (i % 3 == 0)
			io_offload_bulk(platform_io(), &jobs[i].op, do_nothing);
		else
			io_offload(platform_io(), &jobs[i].op, do_nothing);
	}
	while (all_done < JOBS) {
		struct counted more = {.op.done = count};
		io_offload(platform_io(), &more.op, do_nothing);
		ck_assert_int_eq(wait_for(&more), 7);
	}
	for (size_t i = 0; i < JOBS; i++) {
		ck_assert_uint_eq(jobs[i].done, 1);
		ck_assert_int_eq(jobs[i].op.result, 7);
	}
}
END_TEST

/* ---- Timers ---- */

enum {
	TIMERS = 50,
	MS = 1000 * 1000,
};

struct alarm {
	struct io_timer timer;
	uint64_t at_ns;
	unsigned fired;
	unsigned order;
	struct alarm *cancels;
	bool again_at_once;
};

static unsigned fired_count;

static void ring_alarm(struct io_timer *timer)
{
	struct alarm *alarm = (struct alarm *)timer;
	ck_assert(!timer->armed);
	ck_assert_uint_ge(io_now_ns(platform_io()), alarm->at_ns);
	alarm->fired++;
	alarm->order = fired_count++;
	if (alarm->cancels != NULL)
		io_timer_cancel(platform_io(), &alarm->cancels->timer);
	if (alarm->again_at_once)
		io_timer_set(platform_io(), timer, alarm->at_ns);
}

static void set_alarm(struct alarm *alarm, uint64_t after_ns)
{
	alarm->timer.fired = ring_alarm;
	alarm->at_ns = io_now_ns(platform_io()) + after_ns;
	io_timer_set(platform_io(), &alarm->timer, alarm->at_ns);
}

static bool has_fired(void *arg)
{
	return ((struct alarm *)arg)->fired > 0;
}

START_TEST(timers_fire_in_order_of_time_then_of_arming)
{
	static struct alarm alarms[TIMERS];
	struct alarm last = {.fired = 0};
	memset(alarms, 0, sizeof(alarms));
	fired_count = 0;
	platform_turn();
	/* Four instants, in an order that is not theirs. */
	for (size_t i = 0; i < TIMERS; i++)
		set_alarm(&alarms[i], (uint64_t)(i * 7 % 4) * MS);
	set_alarm(&last, 5 * MS);
	platform_run(has_fired, &last);
	for (size_t i = 0; i < TIMERS; i++) {
		ck_assert_uint_eq(alarms[i].fired, 1);
		for (size_t j = 0; j < i; j++) {
			if (alarms[j].at_ns <= alarms[i].at_ns)
				ck_assert_uint_lt(alarms[j].order, alarms[i].order);
			else
				ck_assert_uint_gt(alarms[j].order, alarms[i].order);
		}
	}
	ck_assert_uint_eq(last.order, TIMERS);
	ck_assert_uint_eq(io_figures(platform_io()).timers_fired, TIMERS + 1);
}
END_TEST

START_TEST(a_timer_can_be_moved_and_cancelled)
{
	struct alarm early = {.fired = 0};
	struct alarm moved = {.fired = 0};
	struct alarm cancelled = {.fired = 0};
	fired_count = 0;
	platform_turn();
	set_alarm(&moved, 1 * MS);
	set_alarm(&cancelled, 1 * MS);
	set_alarm(&early, 2 * MS);
	set_alarm(&moved, 4 * MS);
	io_timer_cancel(platform_io(), &cancelled.timer);
	io_timer_cancel(platform_io(), &cancelled.timer);
	platform_run(has_fired, &moved);
	ck_assert_uint_eq(early.order, 0);
	ck_assert_uint_eq(moved.order, 1);
	ck_assert_uint_eq(moved.fired, 1);
	ck_assert_uint_eq(cancelled.fired, 0);
}
END_TEST

START_TEST(a_timer_cancelled_by_another_that_is_due_does_not_fire)
{
	struct alarm second = {.fired = 0};
	struct alarm first = {.cancels = &second};
	struct alarm last = {.fired = 0};
	platform_turn();
	set_alarm(&first, 1 * MS);
	set_alarm(&second, 1 * MS);
	set_alarm(&last, 3 * MS);
	platform_run(has_fired, &last);
	ck_assert_uint_eq(first.fired, 1);
	ck_assert_uint_eq(second.fired, 0);
}
END_TEST

START_TEST(a_timer_that_arms_itself_does_not_hold_up_the_turn)
{
	struct alarm restless = {.again_at_once = true};
	struct alarm other = {.fired = 0};
	platform_turn();
	set_alarm(&restless, 0);
	set_alarm(&other, 2 * MS);
	platform_run(has_fired, &other);
	ck_assert_uint_ge(restless.fired, 1);
	io_timer_cancel(platform_io(), &restless.timer);
}
END_TEST

START_TEST(a_timer_may_be_set_for_the_past)
{
	struct alarm alarm = {.timer.fired = ring_alarm};
	platform_turn();
	io_timer_set(platform_io(), &alarm.timer, 0);
	platform_run(has_fired, &alarm);
	ck_assert_uint_eq(alarm.fired, 1);
}
END_TEST

/* ---- Turns and wakes ---- */

START_TEST(time_stands_still_during_a_turn)
{
	struct alarm alarm = {.fired = 0};
	platform_turn();
	uint64_t before_ns = io_now_ns(platform_io());
	ck_assert_int_eq(write_blocks(0, 1), 0);
	uint64_t then_ns = io_now_ns(platform_io());
	ck_assert_uint_gt(then_ns, before_ns);
	ck_assert_uint_eq(io_now_ns(platform_io()), then_ns);
	set_alarm(&alarm, 3 * MS);
	platform_run(has_fired, &alarm);
	ck_assert_uint_ge(io_now_ns(platform_io()), then_ns + 3 * MS);
}
END_TEST

static unsigned woken_count;

static void note_wake(void *arg)
{
	(void)arg;
	woken_count++;
}

static bool is_woken(void *arg)
{
	return woken_count >= *(unsigned *)arg;
}

START_TEST(many_wakes_before_a_turn_are_one)
{
	woken_count = 0;
	io_on_wake(platform_io(), note_wake, NULL);
	for (unsigned round = 1; round < 10; round++) {
		for (int i = 0; i < 100; i++)
			io_wake(platform_io(), NULL);
		platform_run(is_woken, &round);
		for (int i = 0; i < 3; i++)
			platform_turn();
		ck_assert_uint_eq(woken_count, round);
	}
	ck_assert_uint_eq(io_figures(platform_io()).wakes, 9);
}
END_TEST

Suite *op_suite(void)
{
	Suite *suite = suite_create("op");
	TCase *tcase = tcase_create("operations");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_durable_write_is_read_back);
	tcase_add_test(tcase, a_read_is_short_at_the_end_only);
	tcase_add_test(tcase, many_writes_complete_each_exactly_once);
	tcase_add_test(tcase, done_may_start_the_operation_again);
	tcase_add_test(tcase, done_may_free_the_operation);
	tcase_add_test(tcase, blocking_work_gives_its_result);
	tcase_add_test(tcase, many_jobs_all_return);
	tcase_add_test(tcase, timers_fire_in_order_of_time_then_of_arming);
	tcase_add_test(tcase, a_timer_can_be_moved_and_cancelled);
	tcase_add_test(tcase, a_timer_cancelled_by_another_that_is_due_does_not_fire);
	tcase_add_test(tcase, a_timer_that_arms_itself_does_not_hold_up_the_turn);
	tcase_add_test(tcase, a_timer_may_be_set_for_the_past);
	tcase_add_test(tcase, time_stands_still_during_a_turn);
	tcase_add_test(tcase, many_wakes_before_a_turn_are_one);
	suite_add_tcase(suite, tcase);
	return suite;
}
