/* The suites of io_test (the kernel's files and ring) and io_sim_test (the simulated ones), one
 * file each. */
#ifndef KX_TESTS_UNIT_IO_SUITES_H
#define KX_TESTS_UNIT_IO_SUITES_H

#include "tests/unit/run.h"

#define IO_SUITES(X)                                                                               \
	X(fs_suite)                                                                                \
	X(posix_suite)                                                                             \
	X(op_suite)                                                                                \
	X(methods_suite)                                                                           \
	X(ring_suite)                                                                              \
	X(socket_suite)                                                                            \
	X(listen_suite)                                                                            \
	X(pair_suite)                                                                              \
	X(mailbox_suite)

#define IO_SIM_SUITES(X)                                                                           \
	X(fs_suite)                                                                                \
	X(op_suite)                                                                                \
	X(disk_suite)                                                                              \
	X(disk_fault_suite)                                                                        \
	X(image_suite)                                                                             \
	X(net_suite)                                                                               \
	X(pair_suite)                                                                              \
	X(process_suite)                                                                           \
	X(world_suite)

#define X(suite) Suite *suite(void);
IO_SUITES(X)
#undef X
#define X(suite) Suite *suite(void);
IO_SIM_SUITES(X)
#undef X

#endif
