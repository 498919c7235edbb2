/* The suites of sandbox_test. */
#ifndef KX_TESTS_UNIT_SCRIPTING_SUITES_H
#define KX_TESTS_UNIT_SCRIPTING_SUITES_H

#include <check.h>

Suite *inside_suite(void);
Suite *library_suite(void);
Suite *blocks_suite(void);
Suite *budget_suite(void);
Suite *collect_suite(void);
Suite *escape_suite(void);
Suite *find_suite(void);
Suite *order_suite(void);
Suite *slice_suite(void);

#endif
