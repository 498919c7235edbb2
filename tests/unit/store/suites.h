/* The suites of store_test (RocksDB, the kernel's files) and store_sim_test (the simulator), one
 * file each. */
#ifndef KX_TESTS_UNIT_STORE_SUITES_H
#define KX_TESTS_UNIT_STORE_SUITES_H

#include "tests/unit/run.h"

#define STORE_SUITES(X)                                                                            \
	X(contract_suite)                                                                          \
	X(data_dir_suite)                                                                          \
	X(member_suite)                                                                            \
	X(mending_suite)                                                                           \
	X(scan_suite)                                                                              \
	X(peers_suite)                                                                             \
	X(recovered_suite)                                                                         \
	X(rocksdb_suite)                                                                           \
	X(repair_suite)                                                                            \
	X(shed_suite)                                                                              \
	X(edge_suite)

#define STORE_SIM_SUITES(X)                                                                        \
	X(contract_suite)                                                                          \
	X(data_dir_suite)                                                                          \
	X(member_suite)                                                                            \
	X(mending_suite)                                                                           \
	X(scan_suite)                                                                              \
	X(peers_suite)                                                                             \
	X(recovered_suite)                                                                         \
	X(data_dir_crash_suite)                                                                    \
	X(store_sim_suite)

#define X(suite) Suite *suite(void);
X(contract_suite)
X(data_dir_suite)
X(data_dir_crash_suite)
X(member_suite)
X(mending_suite)
X(scan_suite)
X(peers_suite)
X(recovered_suite)
X(rocksdb_suite)
X(repair_suite)
X(shed_suite)
X(edge_suite)
X(store_sim_suite)
#undef X

#endif
