/* How fast snapshots are sent: not faster than they may be, and slowly without being given up. */
#include "base/token_bucket.h"
#include "tests/unit/snapshot/behind.h"
#include "tests/unit/snapshot/suites.h"

START_TEST(a_core_keeps_to_its_rate)
{
	begin_with(&(struct snapshots_options){.bytes_per_s = MIB});
	cut(lagging, false);
	ck_assert(world_run(lagging_installed, NULL, FAR_MS));
	uint64_t passed_ns = world.last_chunk_ns - world.first_chunk_ns;
	uint64_t burst = MIB / SNAPSHOT_BURSTS_PER_S + 2 * SNAPSHOT_CHUNK_BYTES;
	ck_assert_uint_ge(passed_ns, (world.chunk_bytes - burst) * NS_PER_S / MIB);
	/* And makes use of it. */
	ck_assert_uint_le(passed_ns, (world.chunk_bytes + burst) * NS_PER_S / MIB * 11 / 10);
	expect_all_same();
	world_end();
}
END_TEST

/* A chunk takes twice as long as anybody waits without a word. */
START_TEST(a_slow_rate_costs_no_patience)
{
	begin_with(&(struct snapshots_options){.bytes_per_s = 128 * KIB, .patience_ms = 500});
	cut(lagging, false);
	ck_assert(world_run(lagging_installed, NULL, FAR_MS));
	expect_all_same();
	ck_assert_uint_eq(world.offers, 1);
	ck_assert_uint_gt(world.sent[SNAPSHOT_ALIVE], 0);
	expect_nothing_held();
	world_end();
}
END_TEST

/* And who is gone is given up all the same. */
START_TEST(a_slow_rate_does_not_keep_a_stream_to_who_is_gone)
{
	begin_with(&(struct snapshots_options){.bytes_per_s = 64 * KIB, .patience_ms = 500});
	cut(lagging, false);
	world_wait(3000);
	unsigned sender = number_of(leader());
	look_at_figures(sender);
	ck_assert_uint_eq(world.node[sender].figures.sending, 1);
	crash(lagging, SIM_POWER_CUT);
	world_wait(2000);
	look_at_figures(sender);
	ck_assert_uint_ge(world.node[sender].figures.send_failures, 1);
	world_end();
}
END_TEST

static void set_rate_in_process(void *arg)
{
	snapshots_set_rate(leader()->snapshots, *(uint64_t *)arg);
	io_wake(leader()->io, NULL);
}

START_TEST(another_rate_holds_at_once)
{
	uint64_t slow = 64 * KIB, none = TOKEN_BUCKET_UNLIMITED;
	begin_with(&(struct snapshots_options){.bytes_per_s = 4 * MIB});
	cut(lagging, false);
	ck_assert(world_run(half_is_sent, NULL, FAR_MS));
	ck_assert(sim_node_run(leader()->machine, set_rate_in_process, &slow));
	uint64_t before = world.chunk_bytes;
	world_wait(4000);
	ck_assert_uint_le(world.chunk_bytes - before, 4 * slow + 2 * SNAPSHOT_CHUNK_BYTES);
	ck_assert_uint_eq(world.node[lagging].installs, 0);
	/* What is owed at the slow rate is waited for no longer. */
	ck_assert(sim_node_run(leader()->machine, set_rate_in_process, &none));
	ck_assert(world_run(lagging_installed, NULL, 1000));
	expect_all_same();
	ck_assert_uint_eq(world.offers, 1);
	world_end();
}
END_TEST

Suite *snapshot_rate_suite(void)
{
	Suite *suite = suite_create("rate");
	TCase *cases = tcase_create("rate");
	tcase_add_test(cases, a_core_keeps_to_its_rate);
	tcase_add_test(cases, a_slow_rate_costs_no_patience);
	tcase_add_test(cases, a_slow_rate_does_not_keep_a_stream_to_who_is_gone);
	tcase_add_test(cases, another_rate_holds_at_once);
	suite_add_tcase(suite, cases);
	return suite;
}
