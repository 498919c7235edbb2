/* Types that are dropped: names, plans, ways back. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/meta/flow_rig.h"
#include "tests/unit/meta/suites.h"

START_TEST(a_name_belongs_to_its_app_until_its_data_is_destroyed)
{
	ck_assert_int_eq(deploy("shop", "box", 1, NULL), STATUS_OK);
	ck_assert_uint_eq(world.dropped, 0);
	ck_assert_int_eq(deploy("other", "box", 1, NULL), STATUS_ALREADY_EXISTS);
	ck_assert_int_eq(change(META_APP_REMOVE, "shop", NULL), STATUS_OK);
	uint64_t dropped = world.generation;
	ck_assert_uint_eq(world.dropped, dropped);
	flow_crash();
	flow_boot();
	ck_assert_uint_eq(world.dropped, dropped);
	/* Of any app: it begins empty there. */
	ck_assert_int_eq(deploy("other", "box", 1, NULL), STATUS_OK);
	ck_assert_uint_eq(world.dropped, dropped);
	ck_assert_int_eq(deploy("shop", "box", 1, NULL), STATUS_ALREADY_EXISTS);
	ck_assert_int_eq(change(META_APP_REMOVE, "other", NULL), STATUS_OK);
	ck_assert_uint_eq(world.dropped, world.generation);
	dropped = world.generation;
	/* And where it comes back, too: the newest counts, whoever it was. */
	ck_assert_int_eq(deploy("shop", "box", 1, NULL), STATUS_OK);
	ck_assert_uint_eq(world.dropped, dropped);
}
END_TEST

/* What is active in some shards only may have the type still. */
START_TEST(a_name_is_free_when_every_shard_has_dropped_it)
{
	ck_assert_int_eq(deploy("shop", "box", 1, NULL), STATUS_OK);
	world.pending = 3;
	ck_assert_int_eq(change(META_APP_REMOVE, "shop", NULL), STATUS_OK);
	ck_assert_int_eq(deploy("other", "box", 1, NULL), STATUS_FAILED_PRECONDITION);
	ck_assert_int_eq(deploy("other", "crate", 1, NULL), STATUS_OK);
	world.pending = 0;
	flow_crash();
	flow_boot();
	ck_assert_int_eq(deploy("other", "box", 1, NULL), STATUS_FAILED_PRECONDITION); /* crate */
	ck_assert_int_eq(deploy("third", "box", 1, NULL), STATUS_OK);
}
END_TEST

/* Deploys shop's `crate` in the place of `box`, naming `drop`. */
static void deploy_dropping(struct test_request *test, const char *drop)
{
	static struct slice name;
	name = slice_from_text(drop);
	deploy_init(test, "shop", "crate", 1);
	test->request.drop = &name;
	test->request.drop_count = 1;
}

START_TEST(a_drop_says_what_it_destroys_and_leaves_no_way_back)
{
	static const char line[] = "box: DESTROYED, every entity of it in all shards";
	struct test_request test;
	char hash[33];
	ck_assert_int_eq(deploy("shop", "box", 1, hash), STATUS_OK);
	for (int dry = 1; dry >= 0; dry--) {
		deploy_dropping(&test, "box");
		test.request.dry_run = dry;
		submit(&test);
		run_until(is_done, &test);
		ck_assert_int_eq(test.request.status, STATUS_OK);
		struct slice reply = buffer_view(&test.request.reply);
		ck_assert(slice_has(reply, line));
		ck_assert(slice_has(reply, "no way back: "));
		ck_assert(slice_has(reply, "\"destroys\":true"));
		ck_assert(slice_has(reply, "\"rollback\":false"));
		buffer_done(&test.request.reply);
		ck_assert_uint_eq(world.dropped, dry ? 0 : world.generation);
	}
	ck_assert_int_eq(change(META_APP_ROLLBACK, "shop", NULL), STATUS_FAILED_PRECONDITION);
	/* Once more: there is nothing left to destroy, and nothing that changes. */
	deploy_dropping(&test, "box");
	submit(&test);
	run_until(is_done, &test);
	ck_assert_int_eq(test.request.status, STATUS_OK);
	ck_assert(slice_has(buffer_view(&test.request.reply), "\"unchanged\":true"));
	buffer_done(&test.request.reply);
	/* An earlier version by name: its type begins empty, and a rollback goes to what was. */
	struct test_request activate;
	struct slice crate = slice_from_text("crate");
	change_init(&activate, META_APP_ACTIVATE);
	activate.request.app = slice_from_text("shop");
	activate.request.hash = slice_from_text(hash);
	activate.request.drop = &crate;
	activate.request.drop_count = 1;
	uint64_t dropped = world.dropped;
	ck_assert_int_eq(run(&activate), STATUS_OK);
	ck_assert_uint_eq(world.dropped, dropped);
	ck_assert_uint_gt(world.generation, dropped);
}
END_TEST

START_TEST(a_drop_that_names_no_type_that_goes_is_refused)
{
	static const struct {
		const char *type;
		enum status status;
	} cases[] = {{"boxx", STATUS_NOT_FOUND}, {"crate", STATUS_INVALID_ARGUMENT}};
	ck_assert_int_eq(deploy("shop", "box", 1, NULL), STATUS_OK);
	for (size_t i = 0; i < 2; i++) {
		struct test_request test;
		deploy_dropping(&test, cases[i].type);
		ck_assert_int_eq(run(&test), cases[i].status);
	}
	ck_assert_uint_eq(world.dropped, 0);
}
END_TEST

/* What was stored is gone, so nothing has to be able to read it. */
START_TEST(a_dropped_type_may_come_back_with_another_schema)
{
	static const char *const states[] = {"k.schema.string", "k.schema.integer"};
	struct test_request test;
	for (int i = 0; i < 3; i++) {
		char source[512];
		deploy_init(&test, "shop", "box", 1);
		buffer_clear(&test.bundle);
		snprintf(source, sizeof(source),
		    "local k = require 'kalix'\n"
		    "return { name = 'shop', k.value_entity 'box' { state = %s, "
		    "commands = { set = function(s, i, c) c:update(i) end } } }\n",
		    states[i > 0]);
		struct host_file file = {
		    .path = slice_from_text("app.lua"), .source = slice_from_text(source)};
		ck_assert_int_eq(host_bundle_pack(&file, 1, &test.bundle), 0);
		test.request.bundle = buffer_view(&test.bundle);
		ck_assert_int_eq(run(&test), i == 1 ? STATUS_INVALID_ARGUMENT : STATUS_OK);
		if (i == 1)
			ck_assert_int_eq(change(META_APP_REMOVE, "shop", NULL), STATUS_OK);
	}
}
END_TEST

Suite *drop_suite(void)
{
	Suite *suite = suite_create("drop");
	TCase *tcase = tcase_create("drop");
	tcase_add_checked_fixture(tcase, flow_set_up, flow_tear_down);
	tcase_set_timeout(tcase, 600);
	tcase_add_test(tcase, a_name_belongs_to_its_app_until_its_data_is_destroyed);
	tcase_add_test(tcase, a_name_is_free_when_every_shard_has_dropped_it);
	tcase_add_test(tcase, a_drop_says_what_it_destroys_and_leaves_no_way_back);
	tcase_add_test(tcase, a_drop_that_names_no_type_that_goes_is_refused);
	tcase_add_test(tcase, a_dropped_type_may_come_back_with_another_schema);
	suite_add_tcase(suite, tcase);
	return suite;
}
