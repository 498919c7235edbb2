/* The fixture of suites whose tests run twice: in dev mode, and in production. Each file that
 * includes this has a rig of its own, which is open while a test runs.
 */
#ifndef KX_TESTS_UNIT_SCRIPTING_HOST_MODES_H
#define KX_TESTS_UNIT_SCRIPTING_HOST_MODES_H

#include "tests/unit/scripting/host_rig.h"

static struct rig rig;

static void open_dev(void)
{
	rig_open(&rig, HOST_DEV);
}

static void open_production(void)
{
	rig_open(&rig, HOST_PRODUCTION);
}

static void close_rig(void)
{
	rig_close(&rig);
}

static inline void add_in_mode(
    Suite *suite, enum host_mode mode, const TTest *const *tests, size_t count)
{
	TCase *tcase = tcase_create(mode == HOST_DEV ? "dev" : "production");
	tcase_add_checked_fixture(tcase, mode == HOST_DEV ? open_dev : open_production, close_rig);
	for (size_t i = 0; i < count; i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
}

static inline Suite *suite_in_both_modes(const char *name, const TTest *const *tests, size_t count)
{
	Suite *suite = suite_create(name);
	add_in_mode(suite, HOST_DEV, tests, count);
	add_in_mode(suite, HOST_PRODUCTION, tests, count);
	return suite;
}

#endif
