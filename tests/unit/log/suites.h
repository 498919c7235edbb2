/* The suites of log_sim_test, one file each. */
#ifndef KX_TESTS_UNIT_LOG_SUITES_H
#define KX_TESTS_UNIT_LOG_SUITES_H

#include "tests/unit/run.h"

#define LOG_SUITES(X)                                                                              \
	X(append_suite)                                                                            \
	X(damage_suite)                                                                            \
	X(exhaustive_suite)                                                                        \
	X(flush_suite)                                                                             \
	X(format_suite)                                                                            \
	X(identity_suite)                                                                          \
	X(judge_suite)                                                                             \
	X(random_suite)                                                                            \
	X(read_suite)                                                                              \
	X(recover_suite)                                                                           \
	X(reset_suite)                                                                             \
	X(room_suite)                                                                              \
	X(storm_suite)                                                                             \
	X(tool_suite)

#define X(suite) Suite *suite(void);
LOG_SUITES(X)
#undef X

#endif
