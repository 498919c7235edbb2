/* The directory where an allocation fails, each one of its stages once: what was asked for is done,
 * or refused for want of memory with nothing changed; a start goes on when there is memory again;
 * nothing is called damaged, and nothing is left in memory. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tests/unit/meta/flow_rig.h"
#include "tests/unit/meta/suites.h"

enum { HASH_BYTES = HOST_HASH_CHARACTERS + 1 };

static bool is_active(void *hash)
{
	return strcmp(world.active, hash) == 0 && !world.asked_activate;
}

static bool is_settled(void *arg)
{
	(void)arg;
	return world.ready > 0 && meta_pending(world.meta) == 0 && !world.asked_activate;
}

/* True: an allocation did fail. */
static bool boot_without(uint64_t nth)
{
	world.active[0] = 0;
	world.starve = starve_at(nth);
	flow_boot();
	ck_assert(world.error == 0 || world.error == ERR_NOMEM);
	return world.starve.failed;
}

START_TEST(a_start_goes_on_when_there_is_memory_again)
{
	char hash[HASH_BYTES], listed[HASH_BYTES];
	unsigned waited = 0;
	bool failed = true;
	ck_assert_int_eq(deploy("shop", "box", 1, hash), STATUS_OK);
	for (uint64_t nth = 1; failed; nth++) {
		flow_stop();
		failed = boot_without(nth);
		waited += world.error == ERR_NOMEM;
		run_until(is_active, hash);
		world.starve = starve_at(0);
		listed_hash("shop", listed);
		ck_assert_str_eq(listed, hash);
		ck_assert_int_eq(meta_error(world.meta), 0);
	}
	ck_assert_uint_gt(waited, 3);
}
END_TEST

START_TEST(a_new_cluster_is_made_when_there_is_memory_again)
{
	bool failed = true;
	unsigned waited = 0;
	for (uint64_t nth = 1; failed; nth++) {
		flow_crash();
		sim_free(world.sim);
		flow_make();
		failed = boot_without(nth);
		waited += world.error == ERR_NOMEM;
		world.starve = starve_at(0);
		ck_assert_uint_eq(meta_cluster(world.meta)->shards, 8);
		flow_stop();
		flow_boot();
	}
	ck_assert_uint_gt(waited, 1);
}
END_TEST

/* What a change comes to that starves. True: an allocation did fail. `hash` is what is active, and
 * what it is afterwards. */
static bool change_without(
    uint64_t nth, struct test_request *test, const char *wanted, char hash[HASH_BYTES])
{
	char listed[HASH_BYTES];
	world.starve = starve_at(nth);
	submit(test);
	run_until(is_done, test);
	bool failed = world.starve.failed;
	world.starve = starve_at(0);
	enum status status = test->request.status;
	struct slice reply = buffer_view(&test->request.reply);
	EXPECT(!slice_has(reply, "damage"));
	EXPECT(!slice_has(reply, "can't be read"));
	buffer_done(&test->request.reply);
	buffer_done(&test->request.details);
	listed_hash("shop", listed);
	if (status == STATUS_OK || (status == STATUS_UNKNOWN_OUTCOME && strcmp(listed, hash) != 0))
		memmove(hash, wanted, strlen(wanted) + 1);
	else
		ck_assert_msg(
		    status == STATUS_UNKNOWN_OUTCOME || status == STATUS_RESOURCE_EXHAUSTED,
		    "allocation %u: %s", (unsigned)nth, status_name(status));
	ck_assert(failed || status == STATUS_OK);
	ck_assert_str_eq(listed, hash);
	run_until(is_active, hash);
	return failed;
}

/* What is in memory is what a start would read, and nothing else is. */
static void start_again(char hash[HASH_BYTES])
{
	flow_stop();
	world.active[0] = 0;
	flow_boot();
	run_until(is_settled, NULL);
	run_until(is_active, hash);
}

START_TEST(a_deployment_is_done_or_refused_whole)
{
	char hash[HASH_BYTES];
	struct test_request test;
	uint64_t nth = 1;
	bool failed = true;
	ck_assert_int_eq(deploy("shop", "box", 0, hash), STATUS_OK);
	for (; failed; nth++) {
		deploy_init(&test, "shop", "box", (int)nth);
		failed = change_without(nth, &test, test.hash, hash);
		start_again(hash);
	}
	ck_assert_uint_gt(nth, 30);
}
END_TEST

/* The version before is read from the store. */
START_TEST(a_rollback_is_done_or_refused_whole)
{
	char hashes[2][HASH_BYTES], hash[HASH_BYTES];
	struct test_request test;
	uint64_t nth = 1;
	bool failed = true;
	for (; failed; nth++) {
		ck_assert_int_eq(deploy("shop", "box", 1, hashes[0]), STATUS_OK);
		ck_assert_int_eq(deploy("shop", "box", 2, hashes[1]), STATUS_OK);
		memcpy(hash, hashes[1], sizeof(hash));
		start_again(hash);
		change_init(&test, META_APP_ROLLBACK);
		test.request.app = slice_from_text("shop");
		failed = change_without(nth, &test, hashes[0], hash);
		start_again(hash);
	}
	ck_assert_uint_gt(nth, 30);
}
END_TEST

START_TEST(a_removal_is_done_or_refused_whole)
{
	char hash[HASH_BYTES];
	struct test_request test;
	struct slice drop = slice_from_text("box");
	uint64_t nth = 1;
	bool failed = true;
	for (; failed; nth++) {
		ck_assert_int_eq(deploy("shop", "box", 1, hash), STATUS_OK);
		change_init(&test, META_APP_REMOVE);
		test.request.app = slice_from_text("shop");
		test.request.drop = &drop;
		test.request.drop_count = 1;
		failed = change_without(nth, &test, "", hash);
		start_again(hash);
	}
	ck_assert_uint_gt(nth, 8);
}
END_TEST

START_TEST(a_plan_is_told_or_refused)
{
	char hash[HASH_BYTES];
	struct test_request test;
	struct slice drop = slice_from_text("box");
	uint64_t nth = 1;
	bool failed = true;
	world.entities = 7;
	ck_assert_int_eq(deploy("shop", "box", 1, hash), STATUS_OK);
	for (; failed; nth++) {
		deploy_init(&test, "shop", "crate", 2);
		test.request.dry_run = true;
		test.request.drop = &drop;
		test.request.drop_count = 1;
		failed = change_without(nth, &test, hash, hash);
		start_again(hash);
	}
	ck_assert_uint_gt(nth, 20);
}
END_TEST

Suite *memory_suite(void)
{
	Suite *suite = suite_create("memory");
	TCase *tcase = tcase_create("memory");
	tcase_add_checked_fixture(tcase, flow_set_up, flow_tear_down);
	tcase_set_timeout(tcase, 600);
	tcase_add_test(tcase, a_start_goes_on_when_there_is_memory_again);
	tcase_add_test(tcase, a_new_cluster_is_made_when_there_is_memory_again);
	tcase_add_test(tcase, a_deployment_is_done_or_refused_whole);
	tcase_add_test(tcase, a_rollback_is_done_or_refused_whole);
	tcase_add_test(tcase, a_removal_is_done_or_refused_whole);
	tcase_add_test(tcase, a_plan_is_told_or_refused);
	suite_add_tcase(suite, tcase);
	return suite;
}
