/* The suites of value_test, one file each. */
#ifndef KX_TESTS_UNIT_SCRIPTING_VALUE_SUITES_H
#define KX_TESTS_UNIT_SCRIPTING_VALUE_SUITES_H

#include "tests/unit/run.h"

#define VALUE_SUITES(X)                                                                            \
	X(pattern_suite)                                                                           \
	X(schema_accepts_suite)                                                                    \
	X(schema_code_suite)                                                                       \
	X(schema_suite)                                                                            \
	X(value_decode_suite)                                                                      \
	X(value_encode_suite)                                                                      \
	X(value_library_suite)                                                                     \
	X(value_memory_suite)                                                                      \
	X(value_random_suite)                                                                      \
	X(value_view_suite)

#define X(suite) Suite *suite(void);
VALUE_SUITES(X)
#undef X

#endif
