/* Activations that cannot be done in time, and are asked for again. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/io/io.h"
#include "tests/unit/run.h"
#include "tests/unit/shard/shard_world.h"
#include "tests/unit/shard/suites.h"

enum { DROPS = 400 };

static struct {
	struct shards_activation activation;
	struct shards_drop drops[DROPS];
	bool done;
} asked;

static void activated(struct shards_activation *activation)
{
	(void)activation;
	asked.done = true;
}

static bool is_done(void *arg)
{
	(void)arg;
	return asked.done;
}

static void provide_in_process(void *arg)
{
	struct host_bundle *bundle;
	ck_assert_int_eq(host_load(world.host, slice_from_text(arg), NULL, &bundle), 0);
	shards_provide(world.shards, bundle);
}

static void activate_in_process(void *arg)
{
	(void)arg;
	shards_activate(world.shards, &asked.activation);
}

/* Large, so that a full disk comes to an end of what it keeps back. */
static enum status activate(const char *bundle, uint64_t index)
{
	asked.activation = (struct shards_activation){.app = slice_from_text("shop"),
	    .directory_index = index,
	    .drops = asked.drops,
	    .drop_count = DROPS,
	    .done = activated};
	for (size_t i = 0; i < DROPS; i++) {
		asked.drops[i].incarnation = index;
		snprintf(asked.drops[i].type, sizeof(asked.drops[i].type),
		    "a_type_of_which_nothing_was_ever_there_number_%zu", i);
	}
	host_bundle_hash(slice_from_text(bundle), asked.activation.hash);
	asked.done = false;
	world_do(activate_in_process, NULL);
	world_run_until(is_done, NULL);
	return asked.activation.status;
}

START_TEST(what_a_full_disk_kept_from_being_active_can_be_asked_for_again)
{
	char bundle[32];
	uint64_t index = 5;
	sim_disk_set_capacity(world.node, 1);
	enum status status = STATUS_OK;
	while (status == STATUS_OK || asked.activation.pending < WORLD_SHARDS) {
		ck_assert_uint_lt(++index, 1000);
		snprintf(bundle, sizeof(bundle), "fake:shop:%u", (unsigned)index);
		world_do(provide_in_process, bundle);
		status = activate(bundle, index);
	}
	ck_assert_int_eq(status, STATUS_UNAVAILABLE);
	/* The version before serves. */
	ck_assert_uint_eq(world_get("counter/c1").revision, 0);
	sim_disk_set_capacity(world.node, 0);
	/* The bundle is still here. */
	for (unsigned i = 0; i < 10 && status != STATUS_OK; i++)
		status = activate(bundle, index);
	ck_assert_int_eq(status, STATUS_OK);
	ck_assert_uint_eq(world_get("counter/c1").revision, 0);
	ck_assert_uint_eq(
	    shards_active_count(world.shards, slice_from_text("shop"), asked.activation.hash),
	    WORLD_SHARDS);
}
END_TEST

static bool is_past(void *arg)
{
	return sim_now_ns(world.sim) >= *(const uint64_t *)arg;
}

/* What they need to know stands in the store, and there is no memory to read it. */
START_TEST(shards_that_find_no_memory_to_open_do_not_keep_the_core)
{
	struct test_call call;
	ck_assert_int_eq(test_call_run(&call, "counter/c1", "add", 1), STATUS_OK);
	test_call_done(&call);
	world_checkpoint();
	world_crash();
	world.cold_percent = 100;
	world_boot();
	world.starve = starve_on();
	uint64_t end_ns = sim_now_ns(world.sim) + NS_PER_S;
	world_run_until(is_past, &end_ns);
	ck_assert_uint_ge(world.starve.fails, 10);
	ck_assert_uint_le(world.starve.fails, 110 * WORLD_SHARDS);
	ck_assert(!shards_ready(world.shards));
	world.starve = starve_at(0);
	world_wait_ready();
}
END_TEST

/* Before they lead, as after they did. */
START_TEST(shards_that_others_lead_are_theirs_to_activate)
{
	static const char bundle[] = "fake:shop:9";
	uint8_t have[WORLD_SHARDS + 1] = {0};
	world_do(provide_in_process, (void *)(uintptr_t)bundle);
	asked.activation = (struct shards_activation){.app = slice_from_text("shop"),
	    .directory_index = 9,
	    .led_only = true,
	    .have = have,
	    .done = activated};
	host_bundle_hash(slice_from_text(bundle), asked.activation.hash);
	world_crash();
	world_boot();
	world_do(provide_in_process, (void *)(uintptr_t)bundle);
	ck_assert_uint_eq(shards_figures(world.shards).leading, 0);
	for (unsigned leads = 0; leads < 2; leads++) {
		struct shards_activation again = asked.activation;
		asked.done = false;
		world_do(activate_in_process, NULL);
		world_run_until(is_done, NULL);
		ck_assert_int_eq(asked.activation.status, STATUS_OK);
		ck_assert_uint_eq(asked.activation.pending, 0);
		for (uint32_t shard = 1; shard <= WORLD_SHARDS; shard++)
			ck_assert_uint_eq(have[shard], leads);
		asked.activation = again;
		world_wait_ready();
	}
	/* Nobody named it the first time, and it was kept for those that do now. */
	ck_assert_uint_eq(world_get("counter/c1").revision, 0);
}
END_TEST

Suite *activate_suite(void)
{
	Suite *suite = suite_create("activate");
	TCase *tcase = tcase_create("activate");
	tcase_add_checked_fixture(tcase, world_set_up, world_tear_down);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, shards_that_find_no_memory_to_open_do_not_keep_the_core);
	tcase_add_test(tcase, shards_that_others_lead_are_theirs_to_activate);
	tcase_add_test(tcase, what_a_full_disk_kept_from_being_active_can_be_asked_for_again);
	suite_add_tcase(suite, tcase);
	return suite;
}
