#include "tests/unit/run.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The real ones are needed here. */
#undef suite_create
#undef tcase_create
#undef _tcase_add_test

enum { CHOSEN_MAX = 256 };

static const char *filter;
static bool suite_chosen;

/* Groups of the current suite whose own name matches; a suite may make several before filling any.
 */
static const TCase *chosen[CHOSEN_MAX];
static size_t chosen_count;

Suite *unit_suite(const char *name)
{
	suite_chosen = !filter || strstr(name, filter);
	chosen_count = 0;
	return suite_create(name);
}

TCase *unit_tcase(const char *name)
{
	TCase *tcase = tcase_create(name);
	if (filter && strstr(name, filter)) {
		if (chosen_count == CHOSEN_MAX) {
			fprintf(stderr, "more than %d test case groups in one suite\n", CHOSEN_MAX);
			abort();
		}
		chosen[chosen_count++] = tcase;
	}
	return tcase;
}

static bool is_chosen(const TCase *tcase, const TTest *test)
{
	if (suite_chosen || strstr(test->name, filter))
		return true;
	for (size_t i = 0; i < chosen_count; i++) {
		if (chosen[i] == tcase)
			return true;
	}
	return false;
}

void unit_add_test(
    TCase *tcase, const TTest *test, int raised_signal, int exit_value, int start, int end)
{
	if (is_chosen(tcase, test))
		_tcase_add_test(tcase, test, raised_signal, exit_value, start, end);
}

int unit_run(int argc, char **argv, Suite *(*const suites[])(void), size_t count)
{
	if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
		fprintf(stderr, "usage: %s [PART OF A SUITE'S OR TEST'S NAME]\n", argv[0]);
		return 2;
	}
	filter = argc == 2 ? argv[1] : NULL;
	/* A busy machine and a sanitizer make a test slow, not wrong. */
	setenv("CK_DEFAULT_TIMEOUT", "600", 0);
	SRunner *runner = srunner_create(NULL);
	for (size_t i = 0; i < count; i++)
		srunner_add_suite(runner, suites[i]());
	srunner_run_all(runner, CK_ENV);
	int ran = srunner_ntests_run(runner);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	if (ran == 0)
		fprintf(stderr, "no test%s%s\n", filter ? " matches " : "", filter ? filter : "");
	printf("%d passed, %d failed\n", ran - failed, failed);
	return ran > 0 && failed == 0 ? 0 : 1;
}
