/* The suites of storage_test, one file each. */
#ifndef KX_TESTS_UNIT_STORAGE_SUITES_H
#define KX_TESTS_UNIT_STORAGE_SUITES_H

#include "tests/unit/run.h"

#define STORAGE_SUITES(X)                                                                          \
	X(batch_suite)                                                                             \
	X(engine_read_suite)                                                                       \
	X(engine_sim_suite)                                                                        \
	X(engine_suite)                                                                            \
	X(install_suite)                                                                           \
	X(keys_suite)                                                                              \
	X(table_model_suite)                                                                       \
	X(table_order_suite)                                                                       \
	X(table_suite)

#define X(suite) Suite *suite(void);
STORAGE_SUITES(X)
#undef X

/* Of install_suite, in files of their own. */
TCase *install_damage_tcase(void);
TCase *install_unreadable_tcase(void);
TCase *install_random_tcase(void);

#endif
