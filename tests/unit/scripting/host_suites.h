/* The suites of host_test. */
#ifndef KX_TESTS_UNIT_SCRIPTING_HOST_SUITES_H
#define KX_TESTS_UNIT_SCRIPTING_HOST_SUITES_H

#include "tests/unit/run.h"

/* clang-format off */
#define HOST_SUITES(X) \
	X(host_call_suite) \
	X(host_compatible_suite) \
	X(host_memory_suite) \
	X(host_effects_suite) \
	X(host_kept_suite) \
	X(host_lazy_suite) \
	X(host_load_suite) \
	X(host_password_suite) \
	X(host_shown_suite) \
	X(host_state_suite) \
	X(host_straight_suite)
/* clang-format on */

#define X(suite) Suite *suite(void);
HOST_SUITES(X)
#undef X

#endif
