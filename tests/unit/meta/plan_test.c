/* What plans say of entities. */
#include <stdio.h>
#include <string.h>

#include "base/io/io.h"
#include "tests/unit/meta/flow_rig.h"
#include "tests/unit/meta/suites.h"

/* shop, whose types are those in `types` ("box crate") with so many queries each. */
static void shop_init(struct test_request *test, const char *types, int queries)
{
	char source[2048] = "local k = require 'kalix'\nreturn { name = 'shop'";
	char names[256];
	deploy_init(test, "shop", "unused", 1);
	snprintf(names, sizeof(names), "%s", types);
	char *rest = names;
	for (char *type; (type = strtok_r(rest, " ", &rest));) {
		size_t used = strlen(source);
		used += (size_t)snprintf(source + used, sizeof(source) - used,
		    ", k.value_entity '%s' { queries = {", type);
		for (int i = 0; i < queries; i++)
			used += (size_t)snprintf(source + used, sizeof(source) - used,
			    " q%d = function(s) return s end,", i);
		snprintf(source + used, sizeof(source) - used, " } }");
	}
	size_t end = strlen(source);
	snprintf(source + end, sizeof(source) - end, " }\n");
	struct host_file file = {
	    .path = slice_from_text("app.lua"), .source = slice_from_text(source)};
	buffer_clear(&test->bundle);
	ck_assert_int_eq(host_bundle_pack(&file, 1, &test->bundle), 0);
	test->request.bundle = buffer_view(&test->bundle);
}

static void shop_deploy(const char *types, int queries)
{
	struct test_request test;
	shop_init(&test, types, queries);
	ck_assert_int_eq(run(&test), STATUS_OK);
}

static void expect_plan(
    const char *types, int queries, const char *plan, const char *entities, unsigned counts)
{
	struct test_request test;
	unsigned before = world.counts;
	shop_init(&test, types, queries);
	test.request.dry_run = true;
	submit(&test);
	run_until(is_done, &test);
	struct slice reply = buffer_view(&test.request.reply);
	ck_assert_int_eq(test.request.status, STATUS_OK);
	ck_assert_msg(slice_has(reply, plan) && slice_has(reply, entities), "%.*s",
	    (int)reply.bytes, (const char *)reply.data);
	ck_assert_uint_eq(world.counts - before, counts);
	buffer_done(&test.request.reply);
}

START_TEST(a_plan_says_how_many_entities_a_change_finds)
{
	shop_deploy("box", 1);
	world.entities = 4136;
	expect_plan("box", 2, "\"plan\":[\"box: +1 query; 12,408 boxes readable\"]",
	    "\"entities\":[{\"all\":true,\"count\":12408,\"destroyed\":false,\"type\":\"box\"}]",
	    1);
	world.more_entities = true;
	expect_plan("box", 2, "box: +1 query; at least 12,408 boxes readable\"",
	    "[{\"all\":false,\"count\":12408,", 1);
	world.more_entities = false;
	world.entities = 0;
	expect_plan("box", 2, "; 0 boxes readable\"", "\"count\":0", 1);
}
END_TEST

START_TEST(numbers_stand_behind_the_lines_of_their_types)
{
	shop_deploy("a entry day branch", 2);
	world.entities = 1;
	expect_plan("a entry day branch new", 1,
	    "\"plan\":[\"a: -1 query; 1 a readable\",\"branch: -1 query; 6 branches readable\","
	    "\"day: -1 query; 3 days readable\",\"entry: -1 query; 5 entries readable\","
	    "\"new: new\"]",
	    "\"type\":\"a\"},{\"all\":true,\"count\":6,\"destroyed\":false,\"type\":\"branch\"},",
	    4);
	world.entities = 250000;
	expect_plan("a entry day branch", 3, "day: +1 query; 750,000 days readable",
	    "\"count\":1500000", 4);
}
END_TEST

START_TEST(what_is_new_or_stays_as_it_is_is_not_counted)
{
	expect_plan("box", 1, "\"plan\":[\"box: new\"]", "\"entities\":[]", 0);
	shop_deploy("box", 1);
	expect_plan("box", 1, "\"plan\":[]", "\"unchanged\":true", 0);
	expect_plan("box crate", 1, "\"plan\":[\"crate: new\"]", "\"entities\":[]", 0);
	/* What was destroyed is new when it comes again. */
	ck_assert_int_eq(change(META_APP_REMOVE, "shop", NULL), STATUS_OK);
	expect_plan("box", 1, "\"plan\":[\"box: new\"]", "\"entities\":[]", 0);
	ck_assert_uint_eq(world.counts, 0);
}
END_TEST

START_TEST(a_drop_says_how_many_entities_it_destroys)
{
	struct test_request test;
	struct slice name = slice_from_text("box");
	shop_deploy("box crate", 1);
	world.entities = 411;
	shop_init(&test, "crate", 2);
	test.request.dry_run = true;
	test.request.drop = &name;
	test.request.drop_count = 1;
	submit(&test);
	run_until(is_done, &test);
	struct slice reply = buffer_view(&test.request.reply);
	ck_assert_msg(slice_has(reply,
	                  "\"plan\":[\"crate: +1 query; 2,055 crates readable\",\"box: "
	                  "removed\",\"box: DESTROYED, every entity of it in all shards (1,233 "
	                  "boxes), with events, history, snapshots and tokens\",\"no way back: "),
	    "%.*s", (int)reply.bytes, (const char *)reply.data);
	ck_assert(slice_has(reply, "\"count\":1233,\"destroyed\":true,\"type\":\"box\"}]"));
	buffer_done(&test.request.reply);
}
END_TEST

/* The real thing does not wait for numbers. */
START_TEST(only_a_dry_run_counts)
{
	shop_deploy("box", 1);
	shop_deploy("box", 2);
	ck_assert_uint_eq(world.counts, 0);
}
END_TEST

static bool count_asked(void *arg)
{
	(void)arg;
	return world.asked_count;
}

static void lose_in_process(void *arg)
{
	(void)arg;
	world.events->lost(world.events_arg);
	world.events->leading(world.events_arg, 9);
}

START_TEST(a_plan_whose_directory_loses_its_leadership_is_answered_when_the_cores_have)
{
	struct test_request test;
	shop_deploy("box crate", 1);
	world.hold = true;
	shop_init(&test, "box crate", 2);
	test.request.dry_run = true;
	submit(&test);
	run_until(count_asked, NULL);
	ck_assert(sim_node_run(world.node, lose_in_process, NULL));
	ck_assert(!test.done);
	world.hold = false;
	io_wake(world.io, NULL);
	run_until(is_done, &test);
	ck_assert_int_eq(test.request.status, STATUS_UNAVAILABLE);
	ck_assert_uint_eq(world.counts, 1);
	buffer_done(&test.request.reply);
	expect_plan("box crate", 2, "crates readable", "\"type\":\"crate\"", 2);
}
END_TEST

Suite *plan_suite(void)
{
	Suite *suite = suite_create("plan");
	TCase *tcase = tcase_create("plan");
	tcase_add_checked_fixture(tcase, flow_set_up, flow_tear_down);
	tcase_set_timeout(tcase, 600);
	tcase_add_test(tcase, a_plan_says_how_many_entities_a_change_finds);
	tcase_add_test(tcase, numbers_stand_behind_the_lines_of_their_types);
	tcase_add_test(tcase, what_is_new_or_stays_as_it_is_is_not_counted);
	tcase_add_test(tcase, a_drop_says_how_many_entities_it_destroys);
	tcase_add_test(tcase, only_a_dry_run_counts);
	tcase_add_test(
	    tcase, a_plan_whose_directory_loses_its_leadership_is_answered_when_the_cores_have);
	suite_add_tcase(suite, tcase);
	return suite;
}
