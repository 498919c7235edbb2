/* The suites of peer_test (the kernel's sockets) and peer_sim_test (simulated ones). */
#ifndef KX_TESTS_UNIT_PEER_SUITES_H
#define KX_TESTS_UNIT_PEER_SUITES_H

#include "tests/unit/run.h"

#define PEER_SUITES(X)                                                                             \
	X(frame_suite)                                                                             \
	X(link_suite)                                                                              \
	X(attack_suite)                                                                            \
	X(foreign_suite)                                                                           \
	X(handover_suite)                                                                          \
	X(introduce_suite)                                                                         \
	X(secret_suite)                                                                            \
	X(version_suite)

#define X(suite) Suite *suite(void);
PEER_SUITES(X)
#undef X
Suite *cores_suite(void); /* threads: the kernel's only */
Suite *flood_suite(void);
Suite *world_suite(void);

#endif
