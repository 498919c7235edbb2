/* Shards of which there is a replica here, and those of which there is none. */
#include <string.h>

#include "base/clock.h"
#include "replication/raft/membership.h"
#include "tests/unit/run.h"
#include "tests/unit/shard/shard_world.h"
#include "tests/unit/shard/suites.h"

enum { ABSENT = 2, HERE = 3 };

static void set_up(void)
{
	world_set_up_without(UINT64_C(1) << ABSENT, NULL);
}

struct adding {
	uint64_t replica;
	const struct raft_membership *initial;
};

static void add_in_process(void *arg)
{
	const struct adding *adding = arg;
	int error = shards_add(world.shards, ABSENT, adding->replica, adding->initial);
	ck_assert_int_eq(error, 0);
}

static void add(uint64_t replica, const struct raft_membership *initial)
{
	struct adding adding = {.replica = replica, .initial = initial};
	world_do(add_in_process, &adding);
}

static void expect_unavailable(const char *address, enum shard_call_kind kind)
{
	struct test_call call;
	test_call_init(&call, address, "get", 0);
	call.call.kind = kind;
	call.call.shard = ABSENT;
	call.call.deadline_ns = sim_now_ns(world.sim) + 50 * NS_PER_MS;
	test_call_submit(&call);
	test_call_wait(&call);
	ck_assert_int_eq(call.call.status, STATUS_UNAVAILABLE);
	test_call_done(&call);
}

START_TEST(a_shard_that_is_not_here_counts_for_nothing)
{
	struct shards_figures figures = shards_figures(world.shards);
	ck_assert_uint_eq(figures.shards, WORLD_SHARDS - 1);
	ck_assert_uint_eq(figures.leading, WORLD_SHARDS - 1);
	ck_assert(shards_ready(world.shards));
	ck_assert(!shards_has(world.shards, ABSENT));
	ck_assert(shards_has(world.shards, HERE));
	/* That of the set-up was answered, and stands in all that are here. */
	char hash[HOST_HASH_CHARACTERS + 1];
	host_bundle_hash(slice_from_text("fake:shop:1"), hash);
	struct slice app = slice_from_text("shop");
	ck_assert_uint_eq(shards_active_count(world.shards, app, hash), WORLD_SHARDS - 1);
}
END_TEST

START_TEST(calls_to_a_shard_that_is_not_here_wait_within_their_time)
{
	const char *address = world_address("counter", ABSENT);
	expect_unavailable(address, SHARD_CALL);
	expect_unavailable(address, SHARD_GET);
	expect_unavailable(address, SHARD_HISTORY);
	expect_unavailable(address, SHARD_LIST);
	expect_unavailable("counter", SHARD_ENTITIES);
	expect_unavailable("counter", SHARD_COUNT);
	/* The others are served meanwhile. */
	struct test_call call;
	address = world_address("counter", HERE);
	ck_assert_int_eq(test_call_run(&call, address, "add", 1), STATUS_OK);
	test_call_done(&call);
}
END_TEST

START_TEST(a_shard_that_comes_serves_the_calls_that_waited)
{
	struct test_call waiting, call;
	char address[64];
	memcpy(address, world_address("counter", ABSENT), sizeof(address));
	test_call_init(&waiting, "counter", "", 0);
	waiting.call.kind = SHARD_COUNT;
	waiting.call.shard = ABSENT;
	test_call_submit(&waiting);
	world_step(5);
	ck_assert(!waiting.done);
	add(1, NULL);
	ck_assert(!shards_ready(world.shards));
	test_call_wait(&waiting);
	ck_assert_int_eq(waiting.call.status, STATUS_OK);
	test_call_done(&waiting);
	ck_assert(shards_ready(world.shards));
	ck_assert_uint_eq(shards_figures(world.shards).leading, WORLD_SHARDS);
	world_activate("fake:shop:1", 6);
	ck_assert_int_eq(test_call_run(&call, address, "add", 7), STATUS_OK);
	test_call_done(&call);
	/* And is there at the next start. */
	world_crash();
	world.absent = 0;
	world_boot();
	world_activate("fake:shop:1", 6);
	ck_assert_uint_eq(world_get(address).ids[0], 7);
}
END_TEST

START_TEST(a_replica_leads_where_it_is_a_member)
{
	static const struct raft_membership members = {
	    .count = 1, .members = {{.replica = 7, .roles = RAFT_VOTER}}};
	add(7, &members);
	ck_assert(!shards_ready(world.shards));
	world_wait_ready();
	ck_assert_uint_eq(shards_figures(world.shards).leading, WORLD_SHARDS);
}
END_TEST

START_TEST(a_replica_that_knows_no_members_waits_for_its_leader)
{
	add(7, NULL);
	world_step(500);
	struct shards_figures figures = shards_figures(world.shards);
	ck_assert_uint_eq(figures.shards, WORLD_SHARDS);
	ck_assert_uint_eq(figures.leading, WORLD_SHARDS - 1);
	ck_assert(!shards_ready(world.shards));
	expect_unavailable(world_address("counter", ABSENT), SHARD_CALL);
}
END_TEST

START_TEST(a_server_that_stops_ends_what_waits_for_a_shard_that_is_not_here)
{
	struct test_call call;
	test_call_init(&call, world_address("counter", ABSENT), "add", 7);
	test_call_submit(&call);
	world_step(20);
	world_close();
	ck_assert(call.done);
	ck_assert_int_eq(call.call.status, STATUS_UNAVAILABLE);
	test_call_done(&call);
	world_stop();
}
END_TEST

Suite *here_suite(void)
{
	Suite *suite = suite_create("here");
	TCase *tcase = tcase_create("shards");
	tcase_add_checked_fixture(tcase, set_up, world_tear_down);
	tcase_add_test(tcase, a_shard_that_is_not_here_counts_for_nothing);
	tcase_add_test(tcase, calls_to_a_shard_that_is_not_here_wait_within_their_time);
	tcase_add_test(tcase, a_shard_that_comes_serves_the_calls_that_waited);
	tcase_add_test(tcase, a_replica_leads_where_it_is_a_member);
	tcase_add_test(tcase, a_replica_that_knows_no_members_waits_for_its_leader);
	tcase_add_test(tcase, a_server_that_stops_ends_what_waits_for_a_shard_that_is_not_here);
	suite_add_tcase(suite, tcase);
	return suite;
}
