/* The suites of meta_test, flow_test and nodes_test, one file each. */
#ifndef KX_TESTS_UNIT_META_SUITES_H
#define KX_TESTS_UNIT_META_SUITES_H

#include "tests/unit/run.h"

/* For what is asked a million times: an assertion of Check writes to a file each time. */
#define FACT(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			ck_abort_msg("%s", #condition);                                            \
	} while (0)

#define META_SUITES(X)                                                                             \
	X(apps_suite)                                                                              \
	X(cluster_status_suite)                                                                    \
	X(damage_suite)                                                                            \
	X(job_suite)                                                                               \
	X(layout_suite)                                                                            \
	X(load_suite)                                                                              \
	X(map_suite)                                                                               \
	X(placement_load_suite)                                                                    \
	X(placement_suite)                                                                         \
	X(placement_waits_suite)                                                                   \
	X(placement_worlds_suite)                                                                  \
	X(reconcile_suite)                                                                         \
	X(recovery_suite)                                                                          \
	X(reconcile_worlds_suite)

#define FLOW_SUITES(X)                                                                             \
	X(drop_suite)                                                                              \
	X(flow_suite)                                                                              \
	X(memory_suite)                                                                            \
	X(plan_suite)

#define NODES_SUITES(X)                                                                            \
	X(nodes_suite) X(short_suite) X(told_suite) X(verbs_suite) X(recover_record_suite)

#define X(suite) Suite *suite(void);
META_SUITES(X)
FLOW_SUITES(X)
NODES_SUITES(X)
#undef X

#endif
