/* describe, it, before_each, require: what is declared, and in which order it runs. */
#include <string.h>

#include "tests/unit/apptest/rig.h"
#include "tests/unit/apptest/suites.h"

static void expect_message(struct app_test_outcome outcome, const char *expected)
{
	ck_assert(!outcome.passed);
	ck_assert_msg(
	    memmem(outcome.message.data, outcome.message.bytes, expected, strlen(expected)),
	    "expected: %s\ngot: %.*s", expected, (int)outcome.message.bytes,
	    (const char *)outcome.message.data);
}

START_TEST(tests_are_named_after_where_they_stand_in_the_order_as_written)
{
	struct app_test *test = rig_open(NULL, "tests/a_test.lua",
	    "it('one', function() end)\n"
	    "describe('outer', function()\n"
	    "  describe('inner', function()\n"
	    "    it('two', function()\n"
	    "    end)\n"
	    "  end)\n"
	    "  it('three', function() end)\n"
	    "end)\n",
	    "tests/b_test.lua", "it('four', function() end)\n");
	static const struct app_test_case expected[] = {{"tests/a_test.lua", 1, "one"},
	    {"tests/a_test.lua", 4, "outer > inner > two"},
	    {"tests/a_test.lua", 7, "outer > three"}, {"tests/b_test.lua", 1, "four"}};
	ck_assert_uint_eq(app_test_count(test), 4);
	for (size_t i = 0; i < 4; i++) {
		struct app_test_case item = app_test_at(test, i);
		ck_assert_str_eq(item.file, expected[i].file);
		ck_assert_uint_eq(item.line, expected[i].line);
		ck_assert_str_eq(item.name, expected[i].name);
	}
	app_test_free(test);
}
END_TEST

START_TEST(before_each_runs_for_its_own_and_inner_tests_outer_ones_first)
{
	struct app_test *test = rig_open(NULL, "tests/a_test.lua",
	    "local log\n"
	    "before_each(function() log = { 'file' } end)\n"
	    "describe('outer', function()\n"
	    "  before_each(function() log[#log + 1] = 'outer 1' end)\n"
	    "  describe('inner', function()\n"
	    "    before_each(function() log[#log + 1] = 'inner' end)\n"
	    "    it('a', function() assert.same({ 'file', 'outer 1', 'outer 2', 'inner' }, log) "
	    "end)\n"
	    "  end)\n"
	    "  it('b', function() assert.same({ 'file', 'outer 1', 'outer 2' }, log) end)\n"
	    "  before_each(function() log[#log + 1] = 'outer 2' end)\n"
	    "end)\n"
	    "it('c', function() assert.same({ 'file' }, log) end)\n"
	    "describe('bad', function()\n"
	    "  before_each(function() error 'before' end)\n"
	    "  it('d', function() end)\n"
	    "end)\n",
	    "tests/b_test.lua", "it('e', function() end)\n");
	ck_assert(rig_run(test, "outer > inner > a").passed);
	ck_assert(rig_run(test, "outer > b").passed);
	ck_assert(rig_run(test, "c").passed);
	expect_message(rig_run(test, "bad > d"), "before");
	ck_assert(rig_run(test, "e").passed);
	app_test_free(test);
}
END_TEST

START_TEST(locals_of_a_file_are_kept_between_its_tests)
{
	struct app_test *test = rig_open(NULL, "tests/a_test.lua",
	    "local n = 0\n"
	    "it('a', function() n = n + 1 end)\n"
	    "it('b', function() assert.equal(2, n) end)\n");
	ck_assert(rig_run(test, "a").passed);
	ck_assert(rig_run(test, "a").passed);
	ck_assert(rig_run(test, "b").passed);
	app_test_free(test);
}
END_TEST

START_TEST(a_file_that_does_not_load_is_one_failure_and_the_others_go_on)
{
	struct app_test *test = rig_open(NULL, "tests/a_test.lua", "local x = =\n",
	    "tests/b_test.lua", "it('kept', function() end)\nerror('halfway')\n",
	    "tests/c_test.lua", "describe('d', function() it 'forgot' end)\n", "tests/d_test.lua",
	    "while true do end\n", "tests/e_test.lua", "it('good', function() end)\n");
	ck_assert_uint_eq(app_test_count(test), 6);
	static const char *const expected[] = {"unexpected symbol near '='", NULL, "halfway",
	    "it \"forgot\": its function is missing", "ran out of instructions", NULL};
	static const char *const where[] = {"tests/a_test.lua:1", "", "tests/b_test.lua:2",
	    "tests/c_test.lua:1", "tests/d_test.lua", ""};
	for (size_t i = 0; i < 6; i++) {
		struct app_test_outcome outcome;
		ck_assert_int_eq(app_test_run(test, i, &outcome), 0);
		if (expected[i]) {
			expect_message(outcome, expected[i]);
			ck_assert_str_eq(app_test_at(test, i).name, "");
		}
		ck_assert_int_eq(outcome.passed, !expected[i]);
		ck_assert_str_eq(outcome.where, where[i]);
	}
	app_test_free(test);
}
END_TEST

START_TEST(wrong_declarations_say_what_to_do)
{
	static const struct {
		const char *source, *expected;
	} wrong[] = {
	    {"it(5, function() end)", "it: the first argument is a name, a text, not a number"},
	    {"it('', function() end)", "it: the name is empty"},
	    {"it('a', 5)", "it \"a\": the second argument is a function, not a number"},
	    {"it('a', function() end, 1)", "there is nothing behind the function"},
	    {"describe(function() end)", "describe: the first argument is a name"},
	    {"describe 'a'", "describe \"a\": its function is missing"},
	    {"before_each()", "before_each takes a function"},
	    {"before_each('a', function() end)", "before_each takes a function"},
	    {"local function d(n) describe('x', function() d(n) end) end d()",
	        "describe: more than 32 in each other"},
	    {"require 'nothing'", "the app has no file 'nothing.lua'"},
	    {"require 'tests.a_test'", "in a circle: tests/a_test.lua is not done yet"},
	    {"require 'kalix.tests'", "the app has no file"},
	    {"require 'kalix'.time.now()", "time.now"},
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct app_test *test = rig_open(NULL, "tests/a_test.lua", wrong[i].source);
		struct app_test_outcome outcome;
		ck_assert_uint_ge(app_test_count(test), 1);
		ck_assert_int_eq(app_test_run(test, 0, &outcome), 0);
		expect_message(outcome, wrong[i].expected);
		app_test_free(test);
	}
	static const struct rig_body bodies[] = {
	    {"it('x', function() end)", "not inside of a test"},
	    {"describe('x', function() end)", "not inside of a test"},
	    {"before_each(function() end)", "not in a test"},
	};
	rig_check(NULL, bodies, 3);
}
END_TEST

START_TEST(tests_require_the_app_the_library_and_each_other)
{
	struct app_test *test = rig_open(
	    "local prices = require 'lib.prices'\n"
	    "return require 'kalix'.value_entity 'thing' { commands = { a = function() end } }",
	    "lib/prices.lua", "return { double = function(n) return 2 * n end }\n",
	    "tests/a_test.lua",
	    "local test, rig = require 'kalix.test', require 'tests.rig_test'\n"
	    "it('t', function()\n"
	    "  assert.equal(6, require 'lib.prices'.double(3))\n"
	    "  assert.equal(7, rig.seven)\n"
	    "  assert.is_true(rig == require 'tests/rig_test')\n"
	    "  assert.is_true(require 'kalix'.schema ~= nil)\n"
	    "  assert.is_true(test.it == it and test.describe == describe)\n"
	    "  assert.is_true(test.before_each == before_each)\n"
	    "  test.assert.equal(1, 1)\n"
	    "end)\n",
	    "tests/rig_test.lua", "it('own', function() end)\nreturn { seven = 7 }\n");
	/* That of the required file is declared once. */
	ck_assert_uint_eq(app_test_count(test), 2);
	struct app_test_outcome outcome = rig_run(test, "t");
	ck_assert_msg(outcome.passed, "%.*s", (int)outcome.message.bytes,
	    outcome.message.bytes ? (const char *)outcome.message.data : "");
	app_test_free(test);
}
END_TEST

START_TEST(files_of_the_app_do_not_require_what_is_for_tests)
{
	struct app_test *test = NULL;
	char why[1024];
	int error = rig_try(&test, why, "local test = require 'kalix.test'\nreturn 1\n", NULL);
	ck_assert_int_eq(error, ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(why, "\"kalix.test\" is there for tests/..._test.lua only"));
}
END_TEST

START_TEST(tests_that_do_not_end_are_ended)
{
	static const struct rig_body bodies[] = {
	    {"while true do end", "the test ran out of instructions (200000000)"},
	    {"pcall(function() while true do end end)", "the test ran out of instructions"},
	    {"local t = {}\nfor i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end",
	        "the test ran out of memory"},
	    {"local function f() return 1 + f() end\nf()", "ran out of stack"},
	    {"error(setmetatable({}, { __tostring = function() while true do end end }))",
	        "it raised an error that is a table"},
	};
	rig_check(NULL, bodies, sizeof(bodies) / sizeof(bodies[0]));
}
END_TEST

START_TEST(what_a_test_prints_is_told_with_it)
{
	struct app_test *test = rig_open(NULL, "tests/a_test.lua",
	    "it('a', function() print('hello', 1) print('again') end)\n"
	    "it('b', function() end)\n");
	struct app_test_outcome outcome = rig_run(test, "a");
	ck_assert(outcome.passed);
	ck_assert(slice_equal(outcome.printed, slice_from_text("hello\t1\nagain\n")));
	ck_assert_uint_eq(rig_run(test, "b").printed.bytes, 0);
	app_test_free(test);
}
END_TEST

Suite *declare_suite(void)
{
	Suite *suite = suite_create("declare");
	TCase *tcase = tcase_create("files");
	tcase_add_test(tcase, tests_are_named_after_where_they_stand_in_the_order_as_written);
	tcase_add_test(tcase, before_each_runs_for_its_own_and_inner_tests_outer_ones_first);
	tcase_add_test(tcase, locals_of_a_file_are_kept_between_its_tests);
	tcase_add_test(tcase, a_file_that_does_not_load_is_one_failure_and_the_others_go_on);
	tcase_add_test(tcase, wrong_declarations_say_what_to_do);
	tcase_add_test(tcase, tests_require_the_app_the_library_and_each_other);
	tcase_add_test(tcase, files_of_the_app_do_not_require_what_is_for_tests);
	tcase_add_test(tcase, tests_that_do_not_end_are_ended);
	tcase_add_test(tcase, what_a_test_prints_is_told_with_it);
	suite_add_tcase(suite, tcase);
	return suite;
}
