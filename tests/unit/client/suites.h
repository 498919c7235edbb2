/* The suites of client_test, one file each. */
#ifndef KX_TESTS_UNIT_CLIENT_SUITES_H
#define KX_TESTS_UNIT_CLIENT_SUITES_H

#include "tests/unit/run.h"

#define CLIENT_SUITES(X)                                                                           \
	X(client_suite)                                                                            \
	X(cluster_said_suite)                                                                      \
	X(differ_suite)                                                                            \
	X(progress_suite)                                                                          \
	X(slots_suite)                                                                             \
	X(lanes_suite)

#define X(suite) Suite *suite(void);
CLIENT_SUITES(X)
#undef X

#endif
