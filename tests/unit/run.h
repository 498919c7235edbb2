/* What every unit test program shares: one main loop over its suites, with a filter and one last
 *line `N passed, N failed`. Include it instead of <check.h>.
 *
 *	program               runs everything
 *	program SUBSTRING     only where suite, test case group or test name contains SUBSTRING
 *
 * Every test runs in a process of its own (Check's default), so that one that stops its process is
 *one failure. CK_FORK=no runs them in this process, for a debugger. Tests are limited in time only
 * against hanging for ever (ten minutes; CK_DEFAULT_TIMEOUT changes it).
 */
#ifndef KX_TESTS_UNIT_RUN_H
#define KX_TESTS_UNIT_RUN_H

#include <check.h>
#include <stddef.h>

/* To be returned from main: 0 when at least one test ran and all passed. Prints failures with file
 * and line. Owns the suites. */
int unit_run(int argc, char **argv, Suite *(*const suites[])(void), size_t count);

/* Check cannot filter by parts of names, so names are looked at when tests are added. */
Suite *unit_suite(const char *name);
TCase *unit_tcase(const char *name);
void unit_add_test(
    TCase *tcase, const TTest *test, int raised_signal, int exit_value, int start, int end);

/* How many rounds a test of random cases makes: all of them, and a quarter under a sanitizer, which
 * takes several times as long for each and sees a fault of memory in any of them. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNIT_ROUNDS(all) (((all) + 3) / 4)
#else
#define UNIT_ROUNDS(all) (all)
#endif

/* For inner loops: Check's own assertions write to a pipe each time, even when they hold. */
#define EXPECT(condition)                                                                          \
	do {                                                                                       \
		if (!(condition))                                                                  \
			ck_abort_msg("expected: %s", #condition);                                  \
	} while (0)

#define suite_create(name)   unit_suite(name)
#define tcase_create(name)   unit_tcase(name)
#define _tcase_add_test(...) unit_add_test(__VA_ARGS__)

#endif
