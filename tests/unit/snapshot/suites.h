/* The suites of snapshot_test, one file each. */
#ifndef KX_TESTS_UNIT_SNAPSHOT_SUITES_H
#define KX_TESTS_UNIT_SNAPSHOT_SUITES_H

#include "tests/unit/run.h"

Suite *snapshot_wire_suite(void);
Suite *snapshot_stream_suite(void);
Suite *snapshot_places_suite(void);
Suite *snapshot_random_suite(void);
Suite *snapshot_rate_suite(void);
Suite *snapshot_remove_suite(void);
Suite *snapshot_back_suite(void);

#endif
