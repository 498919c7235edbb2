/* The suites of apptest_test: scripting/test. */
#ifndef KX_TESTS_UNIT_APPTEST_SUITES_H
#define KX_TESTS_UNIT_APPTEST_SUITES_H

#include "tests/unit/run.h"

/* clang-format off */
#define APPTEST_SUITES(X) \
	X(assert_suite) \
	X(declare_suite) \
	X(entity_suite) \
	X(memory_suite) \
	X(world_suite)
/* clang-format on */

#define X(suite) Suite *suite(void);
APPTEST_SUITES(X)
#undef X

#endif
