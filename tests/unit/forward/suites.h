#ifndef KX_TESTS_UNIT_FORWARD_SUITES_H
#define KX_TESTS_UNIT_FORWARD_SUITES_H

#include "tests/unit/run.h"

Suite *wire_suite(void);

#endif
