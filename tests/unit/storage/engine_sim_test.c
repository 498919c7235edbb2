/* The engine on a simulated machine that crashes wherever it can: what was acknowledged is there
 * after every crash, and every read shows the state that the entries make. */
#include "tests/unit/storage/engine_world.h"
#include "tests/unit/storage/suites.h"

#include <stdio.h>
#include <stdlib.h>

static void random_world(uint64_t seed, struct engine_world *world)
{
	struct sim_faults faults = {.crash_ppm = 1000 + (uint32_t)(seed % 3) * 4000,
	    .power_cut_percent = 60,
	    .garbage_percent = 20,
	    .slow_ppm = 100};
	world_init(world, seed, &faults);
	struct store_sim_faults store = {.cold_percent = 60, .slow_ppm = 10000};
	world->space_short = seed % 4 == 0;
	if (world->space_short)
		store.no_space_ppm = 300000;
	store_sim_set_faults(sim_node_fs(world->node), &store);
	for (uint64_t round = 1; round <= 3; round++) {
		world_work(world, round * 500);
		world_check_all(world);
		if (seed % 2 == 0)
			world_close(world);
	}
	struct sim_faults none = {.crash_ppm = 0};
	sim_set_faults(world->sim, &none);
	store_sim_set_faults(sim_node_fs(world->node), NULL);
	world_check_all(world);
	world_close(world);
	ck_assert_uint_gt(world->clean_ends, 0);
}

START_TEST(nothing_acknowledged_is_lost_wherever_the_process_ends)
{
	const char *only = getenv("KX_SEED");
	uint64_t first = only ? strtoull(only, NULL, 10) : 1;
	uint64_t last = only ? first : 60;
	struct engine_world sum = {.boots = 0};
	uint64_t ended = 0;
	for (uint64_t seed = first; seed <= last; seed++) {
		struct engine_world world;
		random_world(seed, &world);
		struct sim_figures figures = sim_figures(world.sim);
		ended += figures.ended_by_kill + figures.ended_by_power_cut;
		sum.boots += world.boots;
		sum.replayed += world.replayed;
		sum.checked_reads += world.checked_reads;
		sum.checked_cursors += world.checked_cursors;
		sum.checkpoints += world.checkpoints;
		sum.refused_space += world.refused_space;
		world_done(&world);
	}
	if (only)
		printf("seed %llu: %llu boots, %llu replayed\n", (unsigned long long)first,
		    (unsigned long long)sum.boots, (unsigned long long)sum.replayed);
	if (only)
		return;
	ck_assert_uint_gt(ended, 100);
	ck_assert_uint_gt(sum.replayed, 1000);
	ck_assert_uint_gt(sum.checked_reads, 1000);
	ck_assert_uint_gt(sum.checked_cursors, 100);
	ck_assert_uint_gt(sum.checkpoints, 20);
	ck_assert_uint_gt(sum.refused_space, 0);
}
END_TEST

Suite *engine_sim_suite(void)
{
	Suite *suite = suite_create("engine_sim");
	TCase *tcase = tcase_create("engine_sim");
	tcase_add_test(tcase, nothing_acknowledged_is_lost_wherever_the_process_ends);
	suite_add_tcase(suite, tcase);
	return suite;
}
