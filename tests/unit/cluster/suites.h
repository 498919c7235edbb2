/* The suites of cluster_test, one file each. */
#ifndef KX_TESTS_UNIT_CLUSTER_SUITES_H
#define KX_TESTS_UNIT_CLUSTER_SUITES_H

#include "tests/unit/run.h"

Suite *wire_suite(void);
Suite *unfit_suite(void);
Suite *disk_suite(void);
Suite *reach_suite(void);
Suite *recover_suite(void);
Suite *wishes_suite(void);
Suite *core_suite(void);
Suite *answers_suite(void);
Suite *loads_suite(void);

#endif
