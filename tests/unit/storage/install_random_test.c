/* Shards' states replaced by snapshots, and taken away, while the process ends anywhere. */
#include "tests/unit/storage/install_world.h"
#include "tests/unit/storage/suites.h"

#include <stdio.h>
#include <stdlib.h>

static void random_world(uint64_t seed, struct install_world *world)
{
	struct sim_faults faults = {.crash_ppm = 1000 + (uint32_t)(seed % 4) * 5000,
	    .power_cut_percent = 60,
	    .garbage_percent = 20,
	    .slow_ppm = 100};
	install_world_init(world, seed, &faults);
	struct store_sim_faults store = {.cold_percent = 40, .slow_ppm = 10000};
	world->may_fail = seed % 4 == 0;
	if (world->may_fail)
		store.no_space_ppm = 200000;
	store_sim_set_faults(sim_node_fs(world->node), &store);
	for (int round = 0; round < 4; round++) {
		install_world_work(world, 1500);
		if (round % 2 == 0)
			install_world_settle(world);
		if (seed % 2 == 0)
			install_world_close(world);
	}
	struct sim_faults none = {.crash_ppm = 0};
	sim_set_faults(world->sim, &none);
	store_sim_set_faults(sim_node_fs(world->node), NULL);
	install_world_settle(world);
	install_world_close(world);
	ck_assert_uint_gt(world->closes, 0);
}

START_TEST(a_crash_leaves_the_old_state_or_the_new_one)
{
	const char *only = getenv("KX_SEED");
	uint64_t first = only ? strtoull(only, NULL, 10) : 1;
	uint64_t last = only ? first : UNIT_ROUNDS(40);
	struct install_world sum = {.boots = 0};
	for (uint64_t seed = first; seed <= last; seed++) {
		struct install_world world;
		random_world(seed, &world);
		sum.boots += world.boots;
		sum.installs += world.installs;
		sum.removals += world.removals;
		sum.failed += world.failed;
		sum.canceled += world.canceled;
		sum.found_old += world.found_old;
		sum.found_new += world.found_new;
		sum.found_removed += world.found_removed;
		sum.checked += world.checked;
		sum.rooms += world.rooms;
		sum.closes += world.closes;
		sum.loads += world.loads;
		sum.loads_refused += world.loads_refused;
		install_world_done(&world);
	}
	printf(
	    "%llu boots, %llu installs, %llu removals, %llu failed, %llu canceled; after crashes "
	    "%llu old, %llu new, %llu removed; %llu rooms, %llu reads\n",
	    (unsigned long long)sum.boots, (unsigned long long)sum.installs,
	    (unsigned long long)sum.removals, (unsigned long long)sum.failed,
	    (unsigned long long)sum.canceled, (unsigned long long)sum.found_old,
	    (unsigned long long)sum.found_new, (unsigned long long)sum.found_removed,
	    (unsigned long long)sum.rooms, (unsigned long long)sum.checked);
	if (only)
		return;
	ck_assert_uint_gt(sum.boots, UNIT_ROUNDS(200));
	ck_assert_uint_gt(sum.installs, UNIT_ROUNDS(200));
	ck_assert_uint_gt(sum.removals, UNIT_ROUNDS(50));
	ck_assert_uint_gt(sum.failed, UNIT_ROUNDS(10));
	ck_assert_uint_gt(sum.canceled, UNIT_ROUNDS(10));
	ck_assert_uint_gt(sum.found_old, UNIT_ROUNDS(10));
	ck_assert_uint_gt(sum.found_new, UNIT_ROUNDS(10));
	ck_assert_uint_gt(sum.found_removed, UNIT_ROUNDS(5));
	ck_assert_uint_gt(sum.rooms, UNIT_ROUNDS(10));
	ck_assert_uint_gt(sum.loads, UNIT_ROUNDS(100));
	ck_assert_uint_gt(sum.loads_refused, UNIT_ROUNDS(10));
}
END_TEST

TCase *install_random_tcase(void)
{
	TCase *tcase = tcase_create("random");
	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, a_crash_leaves_the_old_state_or_the_new_one);
	return tcase;
}
