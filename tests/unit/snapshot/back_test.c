/* Replicas that lack more than their leader has in memory get it from the log, and the state only
 * where the log has it no more, or is more. */
#include <string.h>

#include "tests/unit/snapshot/suites.h"
#include "tests/unit/snapshot/world.h"

enum { FEW = 10, MANY = 240, FAR_MS = 60000, SEEDS = 12, ROUNDS = 800, NODES = 3 };

static unsigned lagging;

static void begin(uint64_t seed)
{
	world_begin(seed, NODES, NULL);
	world.read_bytes_max = 1 * MIB;
	world.keep_bytes = 64 * MIB;
	world.segment_bytes = 2 * MIB;
	for (unsigned i = 0; i < world.nodes; i++)
		boot(i);
	ck_assert(world_run(has_leader, NULL, FAR_MS));
	ck_assert(put_values(FEW));
	ck_assert(world_run(all_have_all, NULL, FAR_MS));
	lagging = (number_of(leader()) + 1) % world.nodes;
}

static void expect_all_same(void)
{
	ck_assert(world_run(all_have_all, NULL, FAR_MS));
	uint64_t wanted = state_hash(0);
	for (unsigned i = 1; i < world.nodes; i++)
		ck_assert_uint_eq(state_hash(i), wanted);
}

/* Applied everywhere where they can be, and no more in memory than is kept. */
static void put(unsigned count)
{
	ck_assert(put_values(count));
	world_wait(300);
}

static unsigned installs(void)
{
	unsigned sum = 0;
	for (unsigned i = 0; i < world.nodes; i++)
		sum += world.node[i].installs;
	return sum;
}

START_TEST(what_is_not_in_memory_comes_from_the_log)
{
	begin(1);
	cut(lagging, true);
	put(MANY);
	cut(lagging, false);
	expect_all_same();
	ck_assert_uint_eq(installs(), 0);
	uint64_t entries, bytes;
	group_store_read_back(leader()->store, &entries, &bytes);
	/* But for what is in memory. */
	ck_assert_uint_ge(entries, MANY - GROUP_KEPT_BYTES_MAX / VALUE_BYTES - 2);
	/* And each about once. */
	ck_assert_uint_le(entries, 2 * MANY);
	world_end();
}
END_TEST

START_TEST(a_checkpoint_makes_no_difference)
{
	begin(2);
	cut(lagging, true);
	for (unsigned i = 0; i < 4; i++) {
		put(MANY / 4);
		engine_checkpoint(group_store_engine(leader()->store));
		world_wait(500);
	}
	cut(lagging, false);
	expect_all_same();
	ck_assert_uint_eq(installs(), 0);
	world_end();
}
END_TEST

START_TEST(one_that_was_killed_gets_only_what_it_lacks)
{
	begin(3);
	crash(lagging, SIM_KILL);
	put(MANY);
	boot(lagging);
	expect_all_same();
	ck_assert_uint_eq(installs(), 0);
	world_end();
}
END_TEST

START_TEST(what_the_log_gave_up_comes_as_the_state)
{
	begin(4);
	for (unsigned i = 0; i < world.nodes; i++)
		crash(i, SIM_KILL);
	world.keep_bytes = 1; /* less than a segment */
	for (unsigned i = 0; i < world.nodes; i++)
		boot(i);
	ck_assert(world_run(has_leader, NULL, FAR_MS));
	lagging = (number_of(leader()) + 1) % world.nodes;
	cut(lagging, true);
	/* More than a segment, and less than what is read whatever the state is. */
	for (unsigned i = 0; i < 2; i++) {
		put(MANY);
		engine_checkpoint(group_store_engine(leader()->store));
		world_wait(1000);
	}
	cut(lagging, false);
	expect_all_same();
	ck_assert_uint_eq(installs(), 1);
	world_end();
}
END_TEST

/* The state is one value of KEYS at most each; the log has it several times. */
START_TEST(more_than_the_state_comes_as_the_state)
{
	begin(5);
	cut(lagging, true);
	put(3 * KEYS);
	engine_checkpoint(group_store_engine(leader()->store));
	world_wait(1000);
	ck_assert_uint_gt(3 * KEYS * (uint64_t)VALUE_BYTES, GROUP_READ_CHEAP_BYTES);
	cut(lagging, false);
	expect_all_same();
	ck_assert_uint_eq(installs(), 1);
	world_end();
}
END_TEST

START_TEST(another_leader_reads_its_own_log)
{
	begin(6);
	cut(lagging, true);
	put(MANY);
	unsigned old = number_of(leader());
	crash(old, SIM_POWER_CUT);
	cut(lagging, false);
	/* The other one has all, so only it can lead. */
	ck_assert(world_run(has_leader, NULL, FAR_MS));
	put(FEW);
	boot(old);
	expect_all_same();
	ck_assert_uint_eq(installs(), 0);
	world_end();
}
END_TEST

/* So windows of one group overlap, and of some only the first entry is known. */
START_TEST(two_replicas_that_lack_nearly_the_same_get_it)
{
	unsigned behind[2], count = 0;
	world_begin((uint64_t)_i + 1, 5, NULL);
	world.read_bytes_max = 1 * MIB;
	world.keep_bytes = 256 * MIB;
	world.segment_bytes = 16 * MIB;
	for (unsigned i = 0; i < world.nodes; i++)
		boot(i);
	ck_assert(world_run(has_leader, NULL, FAR_MS));
	ck_assert(put_values(FEW));
	ck_assert(world_run(all_have_all, NULL, FAR_MS));
	for (unsigned i = 0; i < world.nodes && count < 2; i++)
		if (i != number_of(leader()))
			behind[count++] = i;
	cut(behind[1], true);
	put(3);
	cut(behind[0], true);
	put(MANY);
	cut(behind[0], false);
	cut(behind[1], false);
	expect_all_same();
	world_end();
}
END_TEST

/* ---- Random ---- */

static uint64_t below(uint64_t limit)
{
	return sim_random_below(world.sim, limit);
}

static unsigned away;

static void disturb(void)
{
	struct node *node = &world.node[away];
	if (!node->up) {
		if (below(20) == 0)
			boot(away);
	} else if (node->cut) {
		if (below(20) == 0)
			cut(away, false);
	} else if (below(40) == 0) {
		away = (unsigned)below(NODES);
		if (below(2))
			crash(away, below(2) ? SIM_KILL : SIM_POWER_CUT);
		else
			cut(away, true);
	}
}

START_TEST(replicas_come_to_the_same_state_whoever_leads)
{
	world_begin((uint64_t)_i + 1, NODES, NULL);
	world.read_bytes_max = below(2) ? 1 * MIB : 100 * KIB;
	world.keep_bytes = below(3) ? 64 * MIB : 1;
	world.kept_bytes = below(2) ? 32 * KIB : 0;
	world.link_bytes_max = below(2) ? 300 * KIB : PEER_QUEUE_BYTES_DEFAULT;
	away = 0;
	for (unsigned i = 0; i < NODES; i++)
		boot(i);
	uint64_t read = 0;
	for (int i = 0; i < ROUNDS; i++) {
		world_wait(1 + below(40));
		for (uint64_t n = below(4); n > 0; n--)
			(void)put_value();
		disturb();
		struct node *node = leader();
		uint64_t entries, bytes;
		if (!node)
			continue;
		if (below(100) == 0)
			engine_checkpoint(group_store_engine(node->store));
		group_store_read_back(node->store, &entries, &bytes);
		read += entries > 0;
	}
	for (unsigned i = 0; i < NODES; i++) {
		if (!world.node[i].up)
			boot(i);
		if (world.node[i].cut)
			cut(i, false);
	}
	ck_assert(world_run(has_leader, NULL, FAR_MS));
	ck_assert(put_values(2));
	expect_all_same();
	ck_assert_uint_gt(read, 0);
	world_end();
}
END_TEST

Suite *snapshot_back_suite(void)
{
	Suite *suite = suite_create("back");
	TCase *cases = tcase_create("back");
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, what_is_not_in_memory_comes_from_the_log);
	tcase_add_test(cases, a_checkpoint_makes_no_difference);
	tcase_add_test(cases, one_that_was_killed_gets_only_what_it_lacks);
	tcase_add_test(cases, what_the_log_gave_up_comes_as_the_state);
	tcase_add_test(cases, more_than_the_state_comes_as_the_state);
	tcase_add_test(cases, another_leader_reads_its_own_log);
	tcase_add_loop_test(cases, two_replicas_that_lack_nearly_the_same_get_it, 0, 8);
	tcase_add_loop_test(
	    cases, replicas_come_to_the_same_state_whoever_leads, 0, UNIT_ROUNDS(SEEDS));
	suite_add_tcase(suite, cases);
	return suite;
}
