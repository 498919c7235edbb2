#ifndef KX_TESTS_UNIT_GATE_SUITES_H
#define KX_TESTS_UNIT_GATE_SUITES_H

#include "tests/unit/run.h"

Suite *admin_suite(void);
Suite *calls_suite(void);
Suite *commands_suite(void);
Suite *config_suite(void);
Suite *limits_suite(void);
Suite *options_suite(void);
Suite *session_suite(void);
Suite *topology_suite(void);

#endif
