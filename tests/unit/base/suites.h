/* The suites of base_test, one file each. */
#ifndef KX_TESTS_UNIT_BASE_SUITES_H
#define KX_TESTS_UNIT_BASE_SUITES_H

#include "tests/unit/run.h"

#define BASE_SUITES(X)                                                                             \
	X(arena_suite)                                                                             \
	X(array_suite)                                                                             \
	X(assert_suite)                                                                            \
	X(small_blocks_suite)                                                                      \
	X(buffer_suite)                                                                            \
	X(bytes_suite)                                                                             \
	X(error_suite)                                                                             \
	X(fiber_suite)                                                                             \
	X(hash_suite)                                                                              \
	X(heap_suite)                                                                              \
	X(list_suite)                                                                              \
	X(log_line_suite)                                                                          \
	X(log_ring_suite)                                                                          \
	X(map_suite)                                                                               \
	X(number_map_suite)                                                                        \
	X(mem_suite)                                                                               \
	X(metrics_suite)                                                                           \
	X(mutation_suite)                                                                          \
	X(random_suite)                                                                            \
	X(status_suite)                                                                            \
	X(slice_suite)                                                                             \
	X(token_bucket_suite)                                                                      \
	X(hash_table_suite)

#define X(suite) Suite *suite(void);
BASE_SUITES(X)
#undef X

#endif
