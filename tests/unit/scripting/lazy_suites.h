/* The suites of lazy_test. */
#ifndef KX_TESTS_UNIT_SCRIPTING_LAZY_SUITES_H
#define KX_TESTS_UNIT_SCRIPTING_LAZY_SUITES_H

#include "tests/unit/run.h"

#define LAZY_SUITES(X) X(lazy_suite) X(lazy_random_suite) X(repeat_suite)

#define X(suite) Suite *suite(void);
LAZY_SUITES(X)
#undef X

#endif
