/* Random worlds: replicas that are left behind again and again, links that break and damage, and
 * processes that die, under load. In the end all have the same. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/snapshot/suites.h"
#include "tests/unit/snapshot/world.h"

enum { ROUNDS = 1500, NODES = 3, FAR_MS = 60000 };

static uint64_t below(uint64_t limit)
{
	return sim_random_below(world.sim, limit);
}

static bool damage(struct slice bytes, const struct snapshot_message *message)
{
	if (below(60) == 0)
		return false;
	if (message->kind <= SNAPSHOT_END && below(60) == 0)
		((uint8_t *)(uintptr_t)bytes.data)[below(bytes.bytes)] ^= (uint8_t)(1 << below(8));
	return true;
}

/* One replica at a time is away for a while, so that the others go on. */
static unsigned away;
static unsigned crashes, cuts;

static void disturb(void)
{
	struct node *node = &world.node[away];
	if (!node->up) {
		if (below(40) == 0)
			boot(away);
		return;
	}
	if (node->cut) {
		if (below(40) == 0)
			cut(away, false);
		return;
	}
	if (below(60) != 0)
		return;
	away = (unsigned)below(NODES);
	if (below(2)) {
		crash(away, below(2) ? SIM_KILL : SIM_POWER_CUT);
		crashes++;
	} else {
		cut(away, true);
		cuts++;
	}
}

static void expect_nothing_held(unsigned number)
{
	look_at_figures(number);
	ck_assert_uint_eq(world.node[number].figures.bytes_held, 0);
	ck_assert_uint_eq(world.node[number].figures.sending, 0);
	ck_assert_uint_eq(world.node[number].figures.receiving, 0);
}

START_TEST(replicas_come_to_the_same_state)
{
	world_begin((uint64_t)_i + 1, NODES,
	    &(struct snapshots_options){.bytes_per_s = 8 * MIB, .patience_ms = 3000});
	world.link_bytes_max = below(2) ? 300 * KIB : PEER_QUEUE_BYTES_DEFAULT;
	world.mangle = damage;
	away = crashes = cuts = 0;
	for (unsigned i = 0; i < NODES; i++)
		boot(i);
	for (int i = 0; i < ROUNDS; i++) {
		world_wait(1 + below(40));
		for (uint64_t n = below(4); n > 0; n--)
			(void)put_value();
		disturb();
	}
	world.mangle = NULL;
	for (unsigned i = 0; i < NODES; i++) {
		if (!world.node[i].up)
			boot(i);
		if (world.node[i].cut)
			cut(i, false);
	}
	/* Whoever dies last may have proposed what nobody else knows of. */
	ck_assert(world_run(has_leader, NULL, FAR_MS));
	ck_assert(put_values(2));
	ck_assert_msg(world_run(all_have_all, NULL, FAR_MS), "seed %d: applied %llu %llu %llu",
	    _i + 1, (unsigned long long)applied_index(0), (unsigned long long)applied_index(1),
	    (unsigned long long)applied_index(2));
	world_wait(200);
	uint64_t wanted = state_hash(0);
	unsigned installs = 0;
	for (unsigned i = 0; i < NODES; i++) {
		ck_assert_uint_eq(state_hash(i), wanted);
		expect_nothing_held(i);
		installs += world.node[i].installs;
	}
	printf("seed %d: %llu entries, %u crashes, %u cuts, %u installs, %u chunks\n", _i + 1,
	    (unsigned long long)world.highest, crashes, cuts, installs, world.sent[SNAPSHOT_CHUNK]);
	ck_assert_uint_gt(installs, 0);
	world_end();
}
END_TEST

Suite *snapshot_random_suite(void)
{
	Suite *suite = suite_create("random");
	TCase *cases = tcase_create("random");
	tcase_add_loop_test(cases, replicas_come_to_the_same_state, 0, UNIT_ROUNDS(20));
	suite_add_tcase(suite, cases);
	return suite;
}
