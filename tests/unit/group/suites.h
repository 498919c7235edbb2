/* The suites of group_test, one file each. */
#ifndef KX_TESTS_UNIT_GROUP_SUITES_H
#define KX_TESTS_UNIT_GROUP_SUITES_H

#include "tests/unit/run.h"

Suite *group_suite(void);
Suite *known_suite(void);
Suite *memory_suite(void);
Suite *members_suite(void);
Suite *remove_suite(void);
Suite *carrier_suite(void);
Suite *share_suite(void);
Suite *class_suite(void);
Suite *room_suite(void);

#endif
