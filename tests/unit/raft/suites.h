/* The suites of raft_test, one file each. */
#ifndef KX_TESTS_UNIT_RAFT_SUITES_H
#define KX_TESTS_UNIT_RAFT_SUITES_H

#include "tests/unit/run.h"

#define RAFT_SUITES(X)                                                                             \
	X(quorum_suite)                                                                            \
	X(membership_change_suite)                                                                 \
	X(membership_bytes_suite)                                                                  \
	X(damage_suite)                                                                            \
	X(liar_suite)                                                                              \
	X(places_suite)                                                                            \
	X(wire_suite)

#define X(suite) Suite *suite(void);
RAFT_SUITES(X)
#undef X

#endif
