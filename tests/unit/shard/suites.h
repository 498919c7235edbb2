/* The suites of this program, one per file. */
#ifndef KX_TESTS_UNIT_SHARD_SUITES_H
#define KX_TESTS_UNIT_SHARD_SUITES_H

#include "tests/unit/run.h"

Suite *activate_suite(void);
Suite *admin_suite(void);
Suite *aside_suite(void);
Suite *asking_suite(void);
Suite *call_suite(void);
Suite *clock_suite(void);
Suite *closed_suite(void);
Suite *drop_suite(void);
Suite *here_suite(void);
Suite *job_suite(void);
Suite *leave_suite(void);
Suite *records_suite(void);
Suite *token_suite(void);

#endif
