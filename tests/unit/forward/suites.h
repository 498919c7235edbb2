#ifndef KX_TESTS_UNIT_FORWARD_SUITES_H
#define KX_TESTS_UNIT_FORWARD_SUITES_H

#include "tests/unit/run.h"

Suite *calls_suite(void);
Suite *leaders_suite(void);
Suite *served_suite(void);
Suite *wire_suite(void);
Suite *world_suite(void);

#endif
