/* Calls through one core's shards. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/io/io.h"
#include "base/list.h"
#include "base/slot.h"
#include "tests/unit/run.h"
#include "tests/unit/shard/shard_world.h"
#include "tests/unit/shard/suites.h"

static const char *const kinds[] = {"counter/c1", "account/a1"};

START_TEST(every_slot_has_one_shard_and_shards_are_contiguous)
{
	for (uint32_t count = 1; count <= 130; count += 3) {
		struct shard_map map = {.shard_count = count, .store_count = 1, .core_count = 1};
		uint32_t next = 0;
		for (uint32_t shard = 1; shard <= count; shard++) {
			uint16_t first, last;
			shard_slots(&map, shard, &first, &last);
			EXPECT(first == next && last >= first);
			EXPECT(shard_of_slot(&map, first) == shard);
			EXPECT(shard_of_slot(&map, last) == shard);
			next = last + 1U;
		}
		EXPECT(next == SLOT_COUNT);
	}
}
END_TEST

START_TEST(a_command_changes_and_a_query_sees_it)
{
	struct test_call call;
	ck_assert_int_eq(test_call_run(&call, kinds[_i], "add", 7), STATUS_OK);
	struct host_fake_view view = test_call_view(&call);
	ck_assert_uint_eq(view.revision, 1);
	ck_assert_uint_eq(view.count, 1);
	ck_assert_uint_eq(view.ids[0], 7);
	test_call_done(&call);
	view = world_get(kinds[_i]);
	ck_assert_uint_eq(view.revision, 1);
	ck_assert_uint_eq(view.ids[0], 7);
	ck_assert_uint_eq(world_get("counter/other").revision, 0);
}
END_TEST

START_TEST(what_was_answered_outlives_a_power_cut)
{
	struct test_call call;
	/* Snapshots are among them. */
	for (uint64_t id = 1; id <= 25; id++) {
		ck_assert_int_eq(test_call_run(&call, kinds[_i], "add", id), STATUS_OK);
		test_call_done(&call);
	}
	world_crash();
	world_boot();
	world_activate("fake:shop:1", 5);
	struct host_fake_view view = world_get(kinds[_i]);
	ck_assert_uint_eq(view.revision, 25);
	ck_assert_uint_eq(view.count, 25);
	for (size_t i = 0; i < 25; i++)
		ck_assert_uint_eq(view.ids[i], i + 1);
}
END_TEST

START_TEST(a_cold_state_is_read_from_the_store)
{
	struct test_call call;
	for (uint64_t id = 1; id <= 27; id++) {
		ck_assert_int_eq(test_call_run(&call, kinds[_i], "add", id), STATUS_OK);
		test_call_done(&call);
	}
	world_checkpoint();
	world_crash();
	world.cold_percent = 100;
	world_boot();
	world_activate("fake:shop:1", 5);
	struct host_fake_view view = world_get(kinds[_i]);
	ck_assert_uint_eq(view.revision, 27);
	ck_assert_uint_eq(view.count, 27);
	ck_assert_uint_gt(shards_figures(world.shards).cold_reads, 0);
	ck_assert_int_eq(test_call_run(&call, kinds[_i], "add", 99), STATUS_OK);
	view = test_call_view(&call);
	ck_assert_uint_eq(view.revision, 28);
	ck_assert_uint_eq(view.ids[26], 27);
	ck_assert_uint_eq(view.ids[27], 99);
	test_call_done(&call);
}
END_TEST

START_TEST(a_deleted_entity_keeps_its_revision_and_begins_anew)
{
	struct test_call call;
	for (uint64_t id = 1; id <= 13; id++) {
		ck_assert_int_eq(test_call_run(&call, kinds[_i], "add", id), STATUS_OK);
		test_call_done(&call);
	}
	ck_assert_int_eq(test_call_run(&call, kinds[_i], "delete", 0), STATUS_OK);
	test_call_done(&call);
	struct host_fake_view view = world_get(kinds[_i]);
	ck_assert_uint_eq(view.revision, 14);
	ck_assert_uint_eq(view.count, 0);
	ck_assert_int_eq(test_call_run(&call, kinds[_i], "add", 50), STATUS_OK);
	test_call_done(&call);
	world_checkpoint();
	world_crash();
	world_boot();
	world_activate("fake:shop:1", 5);
	view = world_get(kinds[_i]);
	ck_assert_uint_eq(view.revision, 15);
	ck_assert_uint_eq(view.count, 1);
	ck_assert_uint_eq(view.ids[0], 50);
}
END_TEST

START_TEST(a_failure_changes_nothing_and_carries_its_code)
{
	struct test_call call;
	ck_assert_int_eq(test_call_run(&call, kinds[_i], "add", 1), STATUS_OK);
	test_call_done(&call);
	ck_assert_int_eq(test_call_run(&call, kinds[_i], "fail", 2), STATUS_FAILED_PRECONDITION);
	ck_assert_uint_eq(test_call_view(&call).revision, 1);
	test_call_done(&call);
	ck_assert_uint_eq(world_get(kinds[_i]).revision, 1);
}
END_TEST

START_TEST(a_broken_handler_gets_a_reference_and_the_traceback_is_told)
{
	struct test_call call;
	ck_assert_int_eq(test_call_run(&call, "counter/c1", "broken", 2), STATUS_INTERNAL);
	ck_assert_uint_eq(world.faults, 1);
	ck_assert_uint_eq(strlen(call.call.reference), 16);
	ck_assert_str_eq(call.call.reference, world.reference);
	ck_assert(strstr(world.traceback, "counter.lua:7") != NULL);
	struct slice details = buffer_view(&call.call.details);
	ck_assert(details.data && memmem(details.data, details.bytes, "counter.lua:7", 13) != NULL);
	test_call_done(&call);
}
END_TEST

START_TEST(what_is_unknown_is_unimplemented)
{
	struct test_call call;
	ck_assert_int_eq(test_call_run(&call, "countr/c1", "add", 2), STATUS_UNIMPLEMENTED);
	struct slice text = buffer_view(&call.call.reply);
	ck_assert(text.data && memmem(text.data, text.bytes, "did you mean counter?", 21) != NULL);
	test_call_done(&call);
	ck_assert_int_eq(test_call_run(&call, "counter/c1", "ad", 2), STATUS_UNIMPLEMENTED);
	test_call_done(&call);
	ck_assert_int_eq(test_call_run(&call, "counter/c1", "secret", 2), STATUS_PERMISSION_DENIED);
	test_call_done(&call);
	test_call_init(&call, "counter/c1", "add", 2);
	call.call.queries_only = true;
	test_call_submit(&call);
	test_call_wait(&call);
	ck_assert_int_eq(call.call.status, STATUS_INVALID_ARGUMENT);
	test_call_done(&call);
}
END_TEST

START_TEST(calls_to_one_entity_take_effect_in_the_order_sent)
{
	enum { CALLS = 40 };
	static struct test_call calls[CALLS];
	for (size_t i = 0; i < CALLS; i++) {
		test_call_init(&calls[i], kinds[_i], i % 5 == 2 ? "slow" : "add", i + 1);
		test_call_submit(&calls[i]);
	}
	for (size_t i = 0; i < CALLS; i++) {
		test_call_wait(&calls[i]);
		ck_assert_int_eq(calls[i].call.status, STATUS_OK);
		ck_assert_uint_eq(test_call_view(&calls[i]).revision, i + 1);
		test_call_done(&calls[i]);
	}
}
END_TEST

START_TEST(all_effects_of_a_turn_are_one_entry)
{
	enum { CALLS = 20 };
	static struct test_call calls[CALLS];
	uint64_t before = shards_figures(world.shards).entries;
	for (size_t i = 0; i < CALLS; i++) {
		test_call_init(&calls[i], "counter/hot", "add", i + 1);
		test_call_submit(&calls[i]);
	}
	for (size_t i = 0; i < CALLS; i++) {
		test_call_wait(&calls[i]);
		test_call_done(&calls[i]);
	}
	ck_assert_uint_eq(shards_figures(world.shards).entries, before + 1);
}
END_TEST

START_TEST(a_paused_handler_keeps_its_entity_and_no_other)
{
	struct test_call slow, same, other;
	test_call_init(&slow, "counter/c1", "slow", 1);
	test_call_init(&same, "counter/c1", "get", 0);
	test_call_init(&other, "counter/c2", "add", 3);
	test_call_submit(&slow);
	test_call_submit(&same);
	test_call_submit(&other);
	test_call_wait(&other);
	test_call_wait(&same);
	ck_assert(slow.done);
	ck_assert_uint_eq(test_call_view(&same).revision, 1);
	test_call_done(&slow);
	test_call_done(&same);
	test_call_done(&other);
}
END_TEST

START_TEST(handlers_that_take_long_are_served_behind_the_others)
{
	enum { CALLS = 6 };
	struct test_call calls[CALLS];
	char address[32];
	for (int round = 0; round < 8; round++) {
		for (int i = 0; i < CALLS; i++) {
			snprintf(address, sizeof(address), "counter/c%d", i);
			test_call_init(&calls[i], address, i % 2 == 0 ? "look" : "get", 0);
		}
		for (int i = 0; i < CALLS; i++)
			test_call_submit(&calls[i]);
		for (int i = 0; i < CALLS; i++)
			test_call_wait(&calls[i]);
		/* The first calls show that they take long. */
		for (int i = 0; round > 4 && i < CALLS; i += 2)
			for (int other = 1; other < CALLS; other += 2)
				ck_assert_uint_gt(calls[i].order, calls[other].order);
		for (int i = 0; i < CALLS; i++)
			test_call_done(&calls[i]);
	}
}
END_TEST

START_TEST(a_call_that_cannot_run_in_time_is_told_so)
{
	/* Behind one that runs for several turns, with a deadline that has passed. */
	struct test_call slow, late;
	test_call_init(&slow, "counter/c1", "slow", 1);
	test_call_init(&late, "counter/c1", "add", 2);
	late.call.deadline_ns = sim_now_ns(world.sim);
	world_crash();
	world_boot();
	test_call_submit(&slow);
	test_call_submit(&late);
	test_call_wait(&late);
	ck_assert(
	    late.call.status == STATUS_DEADLINE_EXCEEDED || late.call.status == STATUS_UNAVAILABLE);
	test_call_done(&late);
	world_activate("fake:shop:1", 5);
	test_call_wait(&slow);
	ck_assert_int_eq(slow.call.status, STATUS_OK);
	test_call_done(&slow);
	ck_assert_uint_eq(world_get("counter/c1").revision, 1);
}
END_TEST

START_TEST(calls_end_in_the_order_of_their_deadlines_however_they_came)
{
	/* In order, before all others, far behind them, equal ones. */
	static const unsigned seconds[] = {3, 4, 1, 30, 5, 2, 5, 40, 3, 8, 9, 35};
	enum { CALLS = sizeof(seconds) / sizeof(seconds[0]) };
	struct test_call calls[CALLS];
	world_crash();
	world_boot();
	world_wait_ready();
	/* They wait for a bundle that does not come. */
	uint64_t begin_ns = sim_now_ns(world.sim);
	for (int i = 0; i < CALLS; i++) {
		char address[32];
		snprintf(address, sizeof(address), "counter/c%d", i);
		test_call_init(&calls[i], address, "add", 1);
		calls[i].call.deadline_ns = begin_ns + seconds[i] * NS_PER_S;
		test_call_submit(&calls[i]);
	}
	for (unsigned second = 1; second <= 40; second++)
		for (int i = 0; i < CALLS; i++) {
			if (seconds[i] != second)
				continue;
			test_call_wait(&calls[i]);
			uint64_t after_ns = sim_now_ns(world.sim) - begin_ns;
			ck_assert_uint_ge(after_ns, second * NS_PER_S);
			ck_assert_uint_lt(after_ns, second * NS_PER_S + NS_PER_S / 2);
			ck_assert_int_eq(calls[i].call.status, STATUS_DEADLINE_EXCEEDED);
			for (int other = 0; other < CALLS; other++)
				ck_assert(seconds[other] <= second || !calls[other].done);
			test_call_done(&calls[i]);
		}
}
END_TEST

static void lacks_for_long(void *arg)
{
	bool *lack = arg;
	io_run(world.io); /* it is as late as the world */
	*lack = shards_lack_bundle(world.shards, NS_PER_S / 2) &&
	        !shards_lack_bundle(world.shards, 10 * NS_PER_S);
}

START_TEST(calls_wait_for_a_bundle_that_is_not_here_yet)
{
	struct test_call call;
	world_crash();
	world_boot();
	world_wait_ready();
	test_call_init(&call, "counter/c1", "add", 1);
	test_call_submit(&call);
	uint64_t until_ns = sim_now_ns(world.sim) + NS_PER_S;
	while (sim_now_ns(world.sim) < until_ns)
		world_step(1);
	ck_assert(!call.done);
	/* Another node may have it. */
	bool lack = false;
	ck_assert(sim_node_run(world.node, lacks_for_long, &lack) && lack);
	world_activate("fake:shop:1", 5);
	test_call_wait(&call);
	ck_assert_int_eq(call.call.status, STATUS_OK);
	ck_assert(!shards_lack_bundle(world.shards, 0));
	test_call_done(&call);
}
END_TEST

START_TEST(an_activation_holds_over_a_restart_and_older_ones_change_nothing)
{
	char hash[HOST_HASH_CHARACTERS + 1];
	world_activate("fake:shop:2", 9);
	host_bundle_hash(slice_from_text("fake:shop:2"), hash);
	struct slice app = slice_from_text("shop");
	ck_assert_uint_eq(shards_active_count(world.shards, app, hash), WORLD_SHARDS);
	world_crash();
	world_boot();
	world_wait_ready();
	ck_assert_uint_eq(shards_active_count(world.shards, app, hash), WORLD_SHARDS);
	world_activate("fake:shop:1", 5);
	ck_assert_uint_eq(shards_active_count(world.shards, app, hash), WORLD_SHARDS);
}
END_TEST

START_TEST(events_are_folded_anew_when_their_handlers_changed)
{
	struct test_call call;
	for (uint64_t id = 1; id <= 8; id++) {
		ck_assert_int_eq(test_call_run(&call, "account/a1", "add", id), STATUS_OK);
		test_call_done(&call);
	}
	uint64_t before = shards_figures(world.shards).folds;
	world_activate("fake:shop:2", 9);
	ck_assert_uint_eq(world_get("account/a1").count, 8);
	ck_assert_uint_eq(shards_figures(world.shards).folds, before + 1);
}
END_TEST

START_TEST(a_full_queue_refuses_at_once)
{
	struct test_call calls[4];
	world_crash();
	world.queue_bytes_max = 1;
	world_boot();
	for (size_t i = 0; i < 4; i++) {
		test_call_init(&calls[i], "counter/c1", "add", i + 1);
		test_call_submit(&calls[i]);
	}
	for (size_t i = 1; i < 4; i++) {
		test_call_wait(&calls[i]);
		ck_assert_int_eq(calls[i].call.status, STATUS_RESOURCE_EXHAUSTED);
		test_call_done(&calls[i]);
	}
	ck_assert(!calls[0].done);
	world_activate("fake:shop:1", 5);
	test_call_wait(&calls[0]);
	ck_assert_int_eq(calls[0].call.status, STATUS_OK);
	test_call_done(&calls[0]);
}
END_TEST

START_TEST(calls_wait_for_room_in_the_log)
{
	enum { CALLS = 30 };
	static struct test_call calls[CALLS];
	/* Each wants most of a frame, and gives it back unused. */
	host_fake_set_change_bytes_max(UINT64_C(150) * 1024);
	for (size_t i = 0; i < CALLS; i++) {
		char address[32];
		snprintf(address, sizeof(address), "counter/c%zu", i);
		test_call_init(&calls[i], address, "slow", i + 1);
		test_call_submit(&calls[i]);
	}
	for (size_t i = 0; i < CALLS; i++) {
		test_call_wait(&calls[i]);
		ck_assert_int_eq(calls[i].call.status, STATUS_OK);
		test_call_done(&calls[i]);
	}
}
END_TEST

START_TEST(a_small_cache_forgets_and_nothing_is_lost)
{
	struct test_call call;
	char address[32];
	world_crash();
	world.fold_cache_bytes_max = 1;
	world_boot();
	world_activate("fake:shop:1", 5);
	for (unsigned round = 1; round <= 3; round++)
		for (unsigned i = 0; i < 20; i++) {
			snprintf(address, sizeof(address), "account/a%u", i);
			ck_assert_int_eq(
			    test_call_run(&call, address, "many", round * 10), STATUS_OK);
			ck_assert_uint_eq(test_call_view(&call).count, 3 * round);
			test_call_done(&call);
		}
	ck_assert_uint_lt(shards_figures(world.shards).fold_cache_bytes, 64 * 1024);
}
END_TEST

/* However many entities a turn brings, no more stay than the bound allows. */
START_TEST(a_cache_keeps_its_bound_when_many_come_at_once)
{
	enum { CALLS = 300, ROUNDS = 10, BOUND = 64 * 1024 };
	static struct test_call calls[CALLS];
	world_crash();
	world.fold_cache_bytes_max = BOUND;
	world_boot();
	world_activate("fake:shop:1", 5);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < CALLS; i++) {
			char address[32];
			snprintf(address, sizeof(address), "counter/r%u-%u", round, i);
			test_call_init(&calls[i], address, "add", 1);
			test_call_submit(&calls[i]);
		}
		for (unsigned i = 0; i < CALLS; i++) {
			test_call_wait(&calls[i]);
			ck_assert_int_eq(calls[i].call.status, STATUS_OK);
			test_call_done(&calls[i]);
		}
		world_step(2);
		ck_assert_uint_le(shards_figures(world.shards).fold_cache_bytes, BOUND);
	}
}
END_TEST

START_TEST(a_clean_close_leaves_nothing_behind)
{
	enum { CALLS = 10 };
	static struct test_call calls[CALLS];
	for (size_t i = 0; i < CALLS; i++) {
		test_call_init(
		    &calls[i], i % 2 ? "counter/c1" : "account/a1", i % 3 ? "add" : "slow", i + 1);
		test_call_submit(&calls[i]);
	}
	world_step(50);
	world_close();
	for (size_t i = 0; i < CALLS; i++) {
		ck_assert(calls[i].done);
		ck_assert(calls[i].call.status == STATUS_UNAVAILABLE ||
		          calls[i].call.status == STATUS_OK);
		test_call_done(&calls[i]);
	}
	world_stop();
	world_boot();
	world_wait_ready();
}
END_TEST

Suite *call_suite(void)
{
	Suite *suite = suite_create("call");
	TCase *tcase = tcase_create("shards");
	tcase_add_checked_fixture(tcase, world_set_up, world_tear_down);
	tcase_add_test(tcase, every_slot_has_one_shard_and_shards_are_contiguous);
	tcase_add_loop_test(tcase, a_command_changes_and_a_query_sees_it, 0, 2);
	tcase_add_loop_test(tcase, what_was_answered_outlives_a_power_cut, 0, 2);
	tcase_add_loop_test(tcase, a_cold_state_is_read_from_the_store, 0, 2);
	tcase_add_loop_test(tcase, a_deleted_entity_keeps_its_revision_and_begins_anew, 0, 2);
	tcase_add_loop_test(tcase, a_failure_changes_nothing_and_carries_its_code, 0, 2);
	tcase_add_test(tcase, a_broken_handler_gets_a_reference_and_the_traceback_is_told);
	tcase_add_test(tcase, what_is_unknown_is_unimplemented);
	tcase_add_loop_test(tcase, calls_to_one_entity_take_effect_in_the_order_sent, 0, 2);
	tcase_add_test(tcase, all_effects_of_a_turn_are_one_entry);
	tcase_add_test(tcase, a_paused_handler_keeps_its_entity_and_no_other);
	tcase_add_test(tcase, handlers_that_take_long_are_served_behind_the_others);
	tcase_add_test(tcase, a_call_that_cannot_run_in_time_is_told_so);
	tcase_add_test(tcase, calls_end_in_the_order_of_their_deadlines_however_they_came);
	tcase_add_test(tcase, calls_wait_for_a_bundle_that_is_not_here_yet);
	tcase_add_test(tcase, an_activation_holds_over_a_restart_and_older_ones_change_nothing);
	tcase_add_test(tcase, events_are_folded_anew_when_their_handlers_changed);
	tcase_add_test(tcase, a_full_queue_refuses_at_once);
	tcase_add_test(tcase, calls_wait_for_room_in_the_log);
	tcase_add_test(tcase, a_small_cache_forgets_and_nothing_is_lost);
	tcase_add_test(tcase, a_cache_keeps_its_bound_when_many_come_at_once);
	tcase_add_test(tcase, a_clean_close_leaves_nothing_behind);
	suite_add_tcase(suite, tcase);
	return suite;
}
