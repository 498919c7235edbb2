#include "tests/unit/base/suites.h"

#include "base/fiber.h"
#include "base/mem.h"

#include <setjmp.h>
#include <signal.h>
#include <string.h>

enum { STACK_BYTES = 1024 * 1024 };

struct counter {
	struct fiber *fiber;
	int from, at;
	double sum;
};

/* As deep as `from` says: what is on the stack must still be there after each leave. */
/* NOLINTNEXTLINE(misc-no-recursion): a stack is what is tested */
static void count_down(struct counter *counter, int left)
{
	char text[64];
	memset(text, left, sizeof(text));
	double half = left / 2.0;
	counter->at = left;
	fiber_leave(counter->fiber);
	if (left > 0)
		count_down(counter, left - 1);
	for (size_t i = 0; i < sizeof(text); i++)
		ck_assert_int_eq(text[i], left);
	counter->sum += half;
}

static void count(void *arg)
{
	struct counter *counter = arg;
	for (;;) {
		count_down(counter, counter->from);
		counter->at = -1;
		fiber_leave(counter->fiber);
	}
}

static struct fiber *must_new(void (*body)(void *arg), void *arg)
{
	struct fiber *fiber;
	ck_assert_int_eq(fiber_new(STACK_BYTES, body, arg, &fiber), 0);
	return fiber;
}

START_TEST(many_go_on_where_each_of_them_left)
{
	enum { COUNT = 20, ROUNDS = 3 };
	struct counter counters[COUNT] = {0};
	for (int i = 0; i < COUNT; i++) {
		counters[i].from = 10 + i;
		counters[i].fiber = must_new(count, &counters[i]);
	}
	for (int round = 0; round < ROUNDS; round++) {
		for (int step = 0; step < 10 + COUNT; step++) {
			for (int i = 0; i < COUNT; i++) {
				if (step > 10 + i)
					continue;
				fiber_enter(counters[i].fiber);
				ck_assert_int_eq(counters[i].at, 10 + i - step);
			}
		}
		for (int i = 0; i < COUNT; i++) {
			fiber_enter(counters[i].fiber);
			ck_assert_int_eq(counters[i].at, -1);
		}
	}
	for (int i = 0; i < COUNT; i++) {
		int from = 10 + i;
		ck_assert_double_eq(counters[i].sum, ROUNDS * from * (from + 1) / 4.0);
		fiber_free(counters[i].fiber);
	}
	fiber_free(NULL);
}
END_TEST

START_TEST(one_that_was_left_in_the_middle_can_be_freed)
{
	for (int i = 0; i < 100; i++) {
		struct counter counter = {.from = 50};
		counter.fiber = must_new(count, &counter);
		for (int step = 0; step < i; step++)
			fiber_enter(counter.fiber);
		fiber_free(counter.fiber);
	}
}
END_TEST

struct jumper {
	struct fiber *fiber;
	int raised;
};

static void jump(void *arg)
{
	struct jumper *jumper = arg;
	for (;;) {
		jmp_buf handler;
		if (setjmp(handler) == 0) {
			fiber_leave(jumper->fiber);
			longjmp(handler, 1);
		}
		jumper->raised++;
	}
}

/* As Lua raises errors. */
START_TEST(errors_can_be_raised_inside_between_two_pauses)
{
	struct jumper jumper = {0};
	jumper.fiber = must_new(jump, &jumper);
	for (int i = 0; i < 50; i++) {
		fiber_enter(jumper.fiber);
		ck_assert_int_eq(jumper.raised, i);
	}
	fiber_free(jumper.fiber);
}
END_TEST

/* NOLINTNEXTLINE(misc-no-recursion): the same */
static int deep(volatile unsigned char *above, int levels)
{
	volatile unsigned char text[4096];
	text[0] = above ? (above[0] + 1) & 0xff : 0;
	return levels > 0 ? deep(text, levels - 1) + text[0] : 0;
}

static void overflow(void *arg)
{
	*(int *)arg = deep(NULL, 2 * STACK_BYTES / 4096);
}

START_TEST(a_stack_has_an_end)
{
	int result = 0;
	fiber_enter(must_new(overflow, &result));
}
END_TEST

START_TEST(every_allocation_may_fail)
{
	struct fiber *fiber = NULL;
	mem_fail_at(1);
	ck_assert_int_eq(fiber_new(STACK_BYTES, count, NULL, &fiber), ERR_NOMEM);
	ck_assert_ptr_null(fiber);
	mem_fail_at(0);
	/* More than there are addresses. */
	ck_assert_int_eq(fiber_new((size_t)1 << 60, count, NULL, &fiber), ERR_NOMEM);
	ck_assert_ptr_null(fiber);
}
END_TEST

Suite *fiber_suite(void)
{
	Suite *suite = suite_create("fiber");
	TCase *tcase = tcase_create("fiber");
	tcase_add_test(tcase, many_go_on_where_each_of_them_left);
	tcase_add_test(tcase, one_that_was_left_in_the_middle_can_be_freed);
	tcase_add_test(tcase, errors_can_be_raised_inside_between_two_pauses);
	tcase_add_test(tcase, every_allocation_may_fail);
#ifdef __SANITIZE_ADDRESS__
	/* It says so, and ends the process. */
	tcase_add_exit_test(tcase, a_stack_has_an_end, 1);
#else
	tcase_add_test_raise_signal(tcase, a_stack_has_an_end, SIGSEGV);
#endif
	suite_add_tcase(suite, tcase);
	return suite;
}
