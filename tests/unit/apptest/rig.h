/* An app of one file, and tests of it, in memory. */
#ifndef KX_TESTS_UNIT_APPTEST_RIG_H
#define KX_TESTS_UNIT_APPTEST_RIG_H

#include "scripting/test/app_test.h"
#include "tests/unit/run.h"

/* Pairs of path and source, ending with NULL: files below tests/ are tests. `main` is the file
 * main.lua that app.lua requires; NULL: one with a small entity. ERR_INVALID where the app is
 * refused; then `why` (at least 1024 bytes) is its first complaint. */
int rig_try(struct app_test **ret_test, char *why, const char *main, ...);
/* The same for an app that is good. */
#define rig_open(main, ...) rig_open_files(main, __VA_ARGS__, NULL)
struct app_test *rig_open_files(const char *main, ...);

/* Runs the case of that name. */
struct app_test_outcome rig_run(struct app_test *test, const char *name);

/* A test's body alone: passes where `expected` is NULL, else fails with that in its message. */
struct rig_body {
	const char *body, *expected;
};
void rig_check(const char *main, const struct rig_body *bodies, size_t count);

#endif
