/* Types that are dropped with their data: what is seen afterwards, and what is left. */
#include <stdio.h>
#include <string.h>

#include "base/io/io.h"
#include "replication/group.h"
#include "server/shard/records.h"
#include "storage/cursor.h"
#include "storage/sim/store_sim.h"
#include "tests/unit/run.h"
#include "tests/unit/shard/shard_world.h"
#include "tests/unit/shard/suites.h"

static const char *const addresses[] = {"counter/c1", "account/a1"};
static const char *const types[] = {"counter", "account"};

static enum status call(const char *address, const char *name, uint64_t id, const char *token)
{
	struct test_call test;
	test_call_init(&test, address, name, id);
	snprintf(test.token, sizeof(test.token), "%s", token);
	test_call_submit(&test);
	test_call_wait(&test);
	enum status status = test.call.status;
	test_call_done(&test);
	return status;
}

static void add(const char *address, uint64_t first, uint64_t last)
{
	for (uint64_t id = first; id <= last; id++)
		ck_assert_int_eq(call(address, "add", id, ""), STATUS_OK);
}

static void add_many(unsigned entities, uint64_t changes)
{
	for (unsigned i = 0; i < entities; i++)
		for (size_t kind = 0; kind < 2; kind++) {
			char address[32];
			snprintf(address, sizeof(address), "%s/e%u", types[kind], i);
			add(address, 1, changes);
		}
}

static void restart(void)
{
	world_crash();
	world_boot();
	world_wait_ready();
}

/* ---- What is stored ---- */

struct counting {
	struct slice type;
	uint64_t below; /* incarnations */
	unsigned keys;
};

static bool is_of(const struct counting *counting, struct slice key)
{
	if (key.data[0] != SHARD_KEY_HEAD && key.data[0] != SHARD_KEY_SNAPSHOT &&
	    key.data[0] != SHARD_KEY_EVENTS && key.data[0] != SHARD_KEY_STATES)
		return false;
	size_t at = 1 + counting->type.bytes;
	if (key.bytes < at + 1 || memcmp(key.data + 1, counting->type.data, at - 1) != 0)
		return false;
	return key.data[at] == 0 ||
	       (key.data[at] == 1 && load_u64be(key.data + at + 1) < counting->below);
}

static void count_in_process(void *arg)
{
	struct counting *counting = arg;
	for (uint32_t shard = 1; shard <= WORLD_SHARDS; shard++) {
		static const uint8_t first[] = {KEY_KIND_FIRST_FREE};
		struct cursor *cursor;
		struct slice key, value;
		ck_assert_int_eq(cursor_open(group_store_engine(world.store), shard,
		                     slice_of(first, 1), slice_of(NULL, 0), &cursor),
		    0);
		while (cursor_next(cursor, &key, &value) == 0)
			counting->keys += is_of(counting, key);
		cursor_close(cursor);
	}
}

static unsigned keys_of(const char *type, uint64_t below)
{
	struct counting counting = {.type = slice_from_text(type), .below = below};
	world_do(count_in_process, &counting);
	return counting.keys;
}

static bool is_purged(void *arg)
{
	(void)arg;
	return shards_purging(world.shards) == 0;
}

/* ---- What is seen ---- */

START_TEST(a_dropped_type_begins_empty)
{
	const char *address = addresses[_i % 2];
	bool before = _i & 2, after = _i & 4, cold = _i & 8;
	world.cold_percent = cold ? 100 : 0;
	host_fake_set_history(3);
	add(address, 1, 25);
	if (before)
		world_checkpoint();
	world_activate_dropping("fake:shop:2", 6, types[_i % 2], 6);
	ck_assert_uint_eq(world_get(address).revision, 0);
	ck_assert_uint_eq(world_get(address).count, 0);
	add(address, 100, 101);
	if (after)
		world_checkpoint();
	restart();
	world_activate_dropping("fake:shop:2", 6, types[_i % 2], 6);
	struct host_fake_view view = world_get(address);
	ck_assert_uint_eq(view.revision, 2);
	ck_assert_uint_eq(view.count, 2);
	ck_assert_uint_eq(view.ids[0], 100);
	/* The other type is as it was. */
	ck_assert_uint_eq(world_get(addresses[1 - _i % 2]).revision, 0);
	add(addresses[1 - _i % 2], 1, 1);
}
END_TEST

START_TEST(nothing_comes_back_when_a_type_returns_after_a_while)
{
	const char *address = addresses[_i];
	add(address, 1, 12);
	world_checkpoint();
	char fewer[32];
	snprintf(fewer, sizeof(fewer), "fake:shop:%u", HOST_FAKE_FEWER);
	world_activate_dropping(fewer, 6, types[_i], 6);
	restart();
	/* The directory tells it again at each start. */
	world_activate_dropping(fewer, 6, types[_i], 6);
	world_run_until(is_purged, NULL);
	restart();
	world_activate_dropping("fake:shop:1", 7, types[_i], 6);
	ck_assert_uint_eq(world_get(address).revision, 0);
	add(address, 50, 50);
	ck_assert_uint_eq(world_get(address).revision, 1);
}
END_TEST

START_TEST(administration_shows_nothing_of_before)
{
	static const enum shard_call_kind asked[] = {SHARD_HISTORY, SHARD_ENTITIES};
	static const char *const wanted[] = {"{\"entries\":[]}", "{\"addresses\":[]}"};
	host_fake_set_history(3);
	add(addresses[_i], 1, 12);
	world_activate_dropping("fake:shop:2", 6, types[_i], 6);
	for (size_t k = 0; k < 2; k++)
		for (uint32_t shard = 1; shard <= WORLD_SHARDS; shard++) {
			struct test_call test;
			test_call_init(&test, k == 0 ? addresses[_i] : types[_i], "", 0);
			test.call.kind = asked[k];
			test.call.shard = shard;
			test_call_submit(&test);
			test_call_wait(&test);
			ck_assert(
			    slice_equal(buffer_view(&test.call.reply), slice_from_text(wanted[k])));
			test_call_done(&test);
		}
	for (uint32_t shard = 1; shard <= WORLD_SHARDS; shard++) {
		struct test_call test;
		test_call_init(&test, types[_i], "", 0);
		test.call.kind = SHARD_COUNT;
		test.call.shard = shard;
		test.call.until_ns = UINT64_MAX;
		test_call_submit(&test);
		test_call_wait(&test);
		ck_assert_uint_eq(test.call.counted, 0);
		ck_assert(test.call.counted_all);
		test_call_done(&test);
	}
}
END_TEST

START_TEST(tokens_of_a_dropped_type_are_unknown)
{
	const char *address = addresses[_i];
	ck_assert_int_eq(call(address, "add", 1, "t"), STATUS_OK);
	world_activate_dropping("fake:shop:2", 6, types[_i], 6);
	/* Another payload would be refused, had the token been used. */
	ck_assert_int_eq(call(address, "add", 2, "t"), STATUS_OK);
	ck_assert_uint_eq(world_get(address).count, 1);
	restart();
	world_activate_dropping("fake:shop:2", 6, types[_i], 6);
	ck_assert_int_eq(call(address, "add", 2, "t"), STATUS_OK);
	ck_assert_uint_eq(world_get(address).count, 1);
}
END_TEST

/* A handler pauses, and what it runs on is dropped. */
START_TEST(a_call_that_runs_while_its_type_is_dropped_begins_anew)
{
	const char *address = addresses[_i];
	struct test_call slow;
	add(address, 1, 3);
	uint64_t commands = shards_figures(world.shards).commands;
	test_call_init(&slow, address, "slow", 9);
	test_call_submit(&slow);
	while (shards_figures(world.shards).commands == commands)
		world_step(1);
	ck_assert(!slow.done);
	world_activate_dropping("fake:shop:2", 6, types[_i], 6);
	test_call_wait(&slow);
	ck_assert_int_eq(slow.call.status, STATUS_OK);
	ck_assert_uint_eq(test_call_view(&slow).revision, 1);
	test_call_done(&slow);
	ck_assert_uint_eq(world_get(address).count, 1);
	world_run_until(is_purged, NULL);
	ck_assert_uint_eq(keys_of(types[_i], 6), 0);
}
END_TEST

/* ---- What is left ---- */

START_TEST(the_space_of_a_dropped_type_is_given_back)
{
	bool stored = _i & 1, crashes = _i & 2;
	host_fake_set_history(3);
	add_many(150, 12);
	if (stored)
		world_checkpoint();
	unsigned others = keys_of("account", 0);
	ck_assert_uint_gt(keys_of("counter", 0), 500);
	ck_assert_uint_gt(others, 300);
	world_activate_dropping("fake:shop:2", 6, "counter", 6);
	add("counter/e1", 5, 5);
	for (unsigned i = 0; crashes && i < 3; i++) {
		world_step(300);
		restart();
		world_activate_dropping("fake:shop:2", 6, "counter", 6);
	}
	world_run_until(is_purged, NULL);
	ck_assert_uint_eq(keys_of("counter", 6), 0);
	ck_assert_uint_eq(keys_of("account", 0), others);
	ck_assert_uint_eq(world_get("counter/e1").revision, 1);
	ck_assert_uint_eq(world_get("account/e1").revision, 12);
	world_activate_dropping("fake:shop:3", 7, "account", 7);
	world_run_until(is_purged, NULL);
	ck_assert_uint_eq(keys_of("account", 7), 0);
	/* It stays so, and a start finds nothing to do. */
	world_checkpoint();
	restart();
	ck_assert(is_purged(NULL));
	ck_assert_uint_eq(keys_of("account", 7) + keys_of("counter", 6), 0);
	world_activate_dropping("fake:shop:3", 7, "account", 7);
	ck_assert_uint_eq(world_get("counter/e1").revision, 1);
}
END_TEST

START_TEST(a_type_that_is_dropped_twice_is_empty_twice)
{
	add_many(60, 2);
	world_activate_dropping("fake:shop:2", 6, "counter", 6);
	add_many(60, 1);
	world_activate_dropping("fake:shop:3", 7, "counter", 7);
	world_run_until(is_purged, NULL);
	ck_assert_uint_eq(keys_of("counter", 7), 0);
	ck_assert_uint_eq(world_get("counter/e1").revision, 0);
	/* An older drop that comes late changes nothing. */
	add("counter/e1", 1, 1);
	world_activate_dropping("fake:shop:4", 8, "counter", 6);
	ck_assert_uint_eq(world_get("counter/e1").revision, 1);
	ck_assert(is_purged(NULL));
}
END_TEST

START_TEST(a_close_does_not_wait_for_the_purge)
{
	add_many(100, 2);
	world_activate_dropping("fake:shop:2", 6, "counter", 6);
	world_step((unsigned)_i * 40);
	world_close();
	world_stop();
}
END_TEST

Suite *drop_suite(void)
{
	Suite *suite = suite_create("drop");
	TCase *tcase = tcase_create("drop");
	tcase_add_checked_fixture(tcase, world_set_up, world_tear_down);
	tcase_add_loop_test(tcase, a_dropped_type_begins_empty, 0, 16);
	tcase_add_loop_test(tcase, nothing_comes_back_when_a_type_returns_after_a_while, 0, 2);
	tcase_add_loop_test(tcase, administration_shows_nothing_of_before, 0, 2);
	tcase_add_loop_test(tcase, tokens_of_a_dropped_type_are_unknown, 0, 2);
	tcase_add_loop_test(tcase, a_call_that_runs_while_its_type_is_dropped_begins_anew, 0, 2);
	tcase_add_loop_test(tcase, the_space_of_a_dropped_type_is_given_back, 0, 4);
	tcase_add_test(tcase, a_type_that_is_dropped_twice_is_empty_twice);
	tcase_add_loop_test(tcase, a_close_does_not_wait_for_the_purge, 0, 8);
	suite_add_tcase(suite, tcase);
	return suite;
}
