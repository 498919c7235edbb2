/* Many seeds of append, flush, checkpoint, crash and reopen, at tiny sizes, against the model. */
#include "tests/unit/log/rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "storage/log.h"
#include "tests/unit/log/suites.h"

static uint64_t below(struct rig *rig, uint64_t limit)
{
	return sim_random_below(rig->sim, limit);
}

static void run_seed(uint64_t seed, uint64_t crashes, uint64_t *total)
{
	struct rig *rig = rig_new(seed, NULL);
	rig->options.frames_in_flight_max = 1 + (uint32_t)below(rig, 16);
	rig->flush_in_turn = below(rig, 2);
	rig_reopen(rig);
	while (rig->crashes < crashes && !rig_is_long(rig)) {
		uint64_t steps = below(rig, 300);
		if (below(rig, 2))
			sim_crash_at(rig->node, 1 + below(rig, 200),
			    below(rig, 2) ? SIM_KILL : SIM_POWER_CUT);
		for (uint64_t i = 0; i < steps && rig->log; i++)
			rig_random_step(rig);
		if (rig->log)
			rig_crash(rig, below(rig, 3) ? SIM_POWER_CUT : SIM_KILL);
		if (below(rig, 2))
			sim_crash_at(rig->node, 1 + below(rig, 12),
			    below(rig, 2) ? SIM_KILL : SIM_POWER_CUT);
		rig_reopen(rig);
	}
	*total += rig->crashes;
	rig_free(rig);
}

START_TEST(what_was_acknowledged_survives_every_crash)
{
	const char *first = getenv("KX_SEED");
	const char *count = getenv("KX_SEEDS");
	uint64_t seed = first ? strtoull(first, NULL, 10) : 1;
	uint64_t seeds = count ? strtoull(count, NULL, 10) : first ? 1 : UNIT_ROUNDS(60);
	uint64_t crashes = 0;
	for (uint64_t i = 0; i < seeds; i++)
		run_seed(seed + i, 50, &crashes);
	printf("%" PRIu64 " crashes\n", crashes);
	ck_assert_uint_gt(crashes, seeds * 10);
}
END_TEST

Suite *random_suite(void)
{
	Suite *suite = suite_create("random");
	TCase *tcase = tcase_create("random");
	tcase_add_test(tcase, what_was_acknowledged_survives_every_crash);
	suite_add_tcase(suite, tcase);
	return suite;
}
