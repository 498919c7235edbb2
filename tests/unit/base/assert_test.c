#include "tests/unit/base/suites.h"

#include "base/assert.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static jmp_buf left;
static char seen_file[256];
static int seen_line;
static char seen_what[1024];

static void leave(const char *file, int line, const char *what)
{
	snprintf(seen_file, sizeof(seen_file), "%s", file);
	seen_line = line;
	snprintf(seen_what, sizeof(seen_what), "%s", what);
	longjmp(left, 1);
}

static void stay(const char *file, int line, const char *what)
{
	(void)file;
	(void)line;
	(void)what;
}

START_TEST(true_condition_goes_on)
{
	volatile int evaluated = 0;
	ASSERT(++evaluated == 1);
	ASSERT_MSG(++evaluated == 2, "%d", evaluated);
	ck_assert_int_eq(evaluated, 2);
}
END_TEST

START_TEST(failed_assertion_aborts)
{
	ASSERT(1 + 1 == 3);
}
END_TEST

START_TEST(failed_assertion_aborts_when_its_hook_returns)
{
	assert_set_hook(stay);
	UNREACHABLE();
}
END_TEST

START_TEST(assertion_hook_sees_place_and_condition)
{
	assert_set_hook(leave);
	volatile int line = 0;
	if (setjmp(left) == 0) {
		line = __LINE__ + 1;
		ASSERT(1 + 1 == 3);
	}
	ck_assert_str_eq(seen_what, "1 + 1 == 3");
	ck_assert_int_eq(seen_line, line);
	ck_assert_str_eq(seen_file, "tests/unit/base/assert_test.c");
}
END_TEST

START_TEST(assertion_message_shows_values)
{
	assert_set_hook(leave);
	if (setjmp(left) == 0)
		ASSERT_MSG(2 > 3, "index %d, count %d", 2, 3);
	ck_assert_str_eq(seen_what, "2 > 3: index 2, count 3");
}
END_TEST

START_TEST(assertion_inside_its_hook_aborts)
{
	/* The hook is gone while it runs: a second failure must end the process, not recurse. */
	assert_set_hook(leave);
	if (setjmp(left) == 0)
		ASSERT(1 > 2);
	ASSERT(3 > 4);
}
END_TEST

START_TEST(panic_exits_with_its_status)
{
	PANIC("sync of segment %d failed", 7);
}
END_TEST

static void must_not_run(void)
{
	_exit(1);
}

START_TEST(panic_runs_no_exit_handlers)
{
	ck_assert_int_eq(atexit(must_not_run), 0);
	panic_set_hook(stay);
	PANIC("disk gone");
}
END_TEST

START_TEST(panic_hook_may_leave_again_and_again)
{
	panic_set_hook(leave);
	for (volatile int i = 0; i < 3; i++) {
		seen_what[0] = 0;
		if (setjmp(left) == 0)
			PANIC("node %d", (int)i);
		char expected[16];
		snprintf(expected, sizeof(expected), "node %d", (int)i);
		ck_assert_str_eq(seen_what, expected);
	}
}
END_TEST

Suite *assert_suite(void)
{
	Suite *suite = suite_create("assert");
	TCase *tcase = tcase_create("assert");
	tcase_add_test(tcase, true_condition_goes_on);
	tcase_add_test_raise_signal(tcase, failed_assertion_aborts, SIGABRT);
	tcase_add_test_raise_signal(tcase, failed_assertion_aborts_when_its_hook_returns, SIGABRT);
	tcase_add_test(tcase, assertion_hook_sees_place_and_condition);
	tcase_add_test(tcase, assertion_message_shows_values);
	tcase_add_test_raise_signal(tcase, assertion_inside_its_hook_aborts, SIGABRT);
	tcase_add_exit_test(tcase, panic_exits_with_its_status, PANIC_EXIT_STATUS);
	tcase_add_exit_test(tcase, panic_runs_no_exit_handlers, PANIC_EXIT_STATUS);
	tcase_add_test(tcase, panic_hook_may_leave_again_and_again);
	suite_add_tcase(suite, tcase);
	return suite;
}
