/* Assertions: each of them holding, and not. */
#include <string.h>

#include "tests/unit/apptest/rig.h"
#include "tests/unit/apptest/suites.h"

#define CHECK(bodies) rig_check(NULL, bodies, sizeof(bodies) / sizeof((bodies)[0]))

START_TEST(each_assertion_holds_and_fails)
{
	static const struct rig_body bodies[] = {
	    {"assert(true)", NULL},
	    {"assert.equal(4, select('#', assert(1, 2, nil, nil)))", NULL},
	    {"assert(false, 'why')", "why"},
	    {"assert(nil)", "assertion failed!"},
	    {"assert.equal(1, 1)", NULL},
	    {"assert.equal(5, 5.0)", NULL},
	    {"assert.equal(nil, nil)", NULL},
	    {"assert.equal(1, 2)", "the values are not equal"},
	    {"assert.equal('1', 1)", "the values are not equal"},
	    {"assert.equal(1, 2, 'so it is')", "so it is: the values are not equal"},
	    {"assert.equal({}, {})", "assert.same compares what tables hold"},
	    {"assert.is_true(true)", NULL},
	    {"assert.is_true(1)", "the value is not true"},
	    {"assert.is_true(false, 'b')", "b: the value is not true"},
	    {"assert.same({ 1, { a = 'x' } }, { 1, { a = 'x' } })", NULL},
	    {"assert.same({ n = 5 }, { n = 5.0 })", NULL},
	    {"assert.same('a', 'a')", NULL},
	    {"assert.same('a', 'b', 'letters')", "letters: the values are not the same"},
	    {"assert.same({ a = 1 }, { a = 1, b = 2 })", "at b: expected nil, got 2"},
	    {"assert.same({ a = { b = { 1, 2 } } }, { a = { b = { 1, 3 } } })",
	        "at a.b[2]: expected 2, got 3"},
	    {"assert.same({ ['x y'] = { 1 } }, { ['x y'] = {} })",
	        "at [\"x y\"][1]: expected 1, got nil"},
	    {"assert.same({ a = {} }, { a = 1 })", "at a: expected {}, got 1"},
	    {"assert.equal('boom', assert.has_error(function() error('boom', 0) end))", NULL},
	    {"assert.has_error(function() error('a boom b') end, 'boom')", NULL},
	    {"assert.has_error(function() local x = nil; x.y = 1 end, 'nil value')", NULL},
	    {"assert.has_error(function() error {} end, 'table')", NULL},
	    {"assert.has_error(function() end)", "was to fail, and it did not"},
	    {"assert.has_error(function() error('boom') end, 'bang')", "with another text"},
	    {"assert.has_error(function() assert.equal(1, 2) end)", "the values are not equal"},
	    {"local a = test.app()\n"
	     "local e = assert.fails('UNIMPLEMENTED', function() a:call('thing/x', 'gett') end)\n"
	     "assert.equal('UNIMPLEMENTED', e.code)\n"
	     "assert.equal(\"thing has no command or query 'gett'; did you mean get?\", e.message)",
	        NULL},
	    {"assert.fails('UNIMPLEMENTED', function() test.app():call('thing/x', 'gett') end,\n"
	     "'did you mean get')",
	        NULL},
	    {"assert.fails('UNIMPLEMENTED', function() test.app():call('thing/x', 'gett') end,\n"
	     "'did you mean set')",
	        "with another text"},
	    {"assert.fails('NOT_FOUND', function() test.app():call('thing/x', 'gett') end)",
	        "it failed with another code"},
	    {"assert.fails('NOT_FOUND', function() end)",
	        "was to fail with NOT_FOUND, and it did not"},
	    {"assert.fails('NOT_FOUND', function() error 'mine' end)", "mine"},
	};
	CHECK(bodies);
}
END_TEST

START_TEST(wrong_use_says_what_to_do)
{
	static const struct rig_body bodies[] = {
	    {"assert.equal(1)", "assert.equal takes expected and got, 1 was given"},
	    {"assert.same()", "assert.same takes expected and got, 0 were given"},
	    {"assert.same(1, 2, 'a', 4)", "and a text, 4 were given"},
	    {"assert.equal(1, 1, {})", "is a text, not a table"},
	    {"assert.is_true()", "assert.is_true takes a value"},
	    {"assert.has_error(5)", "calls a function, it was given a number"},
	    {"assert.fails(function() end, 'NOT_FOUND')", "the first argument is a code"},
	    {"assert.fails('NOT_FOUN', function() end)", "did you mean NOT_FOUND?"},
	    {"assert.fails('NOT_FOUND', 5)", "calls a function, it was given a number"},
	    {"assert.equals(1, 1)", "assert has no 'equals'; did you mean equal?"},
	    {"assert.mine = 1", "can't be assigned"},
	    {"test.mine = 1", "can't be assigned"},
	    {"describe = 1", "can't be assigned"},
	    {"mine = 1", "can't be assigned"},
	    {"string.mine = 1", "can't be assigned"},
	    {"test.ap()", "kalix.test has no 'ap'; did you mean app?"},
	    {"assert.equal(nil, io)", NULL},
	};
	CHECK(bodies);
}
END_TEST

static void expect_text(struct slice text, const char *expected)
{
	ck_assert_msg(slice_equal(text, slice_from_text(expected)), "expected: %s\ngot: %.*s",
	    expected, (int)text.bytes, text.bytes ? (const char *)text.data : "");
}

START_TEST(a_difference_is_shown_whole_and_with_its_path)
{
	struct app_test *test = rig_open(NULL, "tests/a_test.lua",
	    "it('t', function()\n"
	    "  local a = { z = { 1, 2, [5] = true }, items = { p1 = { q = 3, s = 'a\\n\"\\0' } } "
	    "}\n"
	    "  assert.same(a, { z = a.z, items = { p1 = { q = 2, s = a.items.p1.s } } })\n"
	    "end)\n");
	struct app_test_outcome outcome = rig_run(test, "t");
	ck_assert(!outcome.passed);
	ck_assert_str_eq(outcome.where, "tests/a_test.lua:3");
	expect_text(outcome.path, "items.p1.q");
	expect_text(outcome.message, "at items.p1.q: expected 3, got 2");
	expect_text(outcome.expected,
	    "{items = {p1 = {q = 3, s = \"a\\n\\\"\\x00\"}}, z = {1, 2, [5] = true}}");
	expect_text(
	    outcome.got, "{items = {p1 = {q = 2, s = \"a\\n\\\"\\x00\"}}, z = {1, 2, [5] = true}}");
	app_test_free(test);
}
END_TEST

START_TEST(what_is_long_is_shown_in_lines)
{
	struct app_test *test = rig_open(NULL, "tests/a_test.lua",
	    "it('t', function()\n"
	    "  assert.same({ text = ('x'):rep(70), short = { 1, 2 } }, 1)\n"
	    "end)\n"
	    "it('cut', function() assert.equal(('x'):rep(2000), 1) end)\n"
	    "it('many', function()\n"
	    "  local t = {} for i = 1, 5000 do t[i] = i end assert.same(t, 1)\n"
	    "end)\n");
	struct app_test_outcome outcome = rig_run(test, "t");
	expect_text(outcome.expected,
	    "{\n  short = {1, 2},\n  text = "
	    "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"\n}");
	outcome = rig_run(test, "cut");
	ck_assert_uint_lt(outcome.expected.bytes, 1100);
	ck_assert_ptr_nonnull(
	    memmem(outcome.expected.data, outcome.expected.bytes, "(2000 bytes)", 12));
	outcome = rig_run(test, "many");
	ck_assert_uint_lt(outcome.expected.bytes, 10000);
	ck_assert_mem_eq(outcome.expected.data + outcome.expected.bytes - 4, " ...", 4);
	app_test_free(test);
}
END_TEST

START_TEST(tables_that_hold_themselves_are_compared_and_shown)
{
	static const struct rig_body bodies[] = {
	    {"local a, b = {}, {}\na.a, b.a = a, b\nassert.same(a, b)", NULL},
	    {"local a, b = {}, {}\na.a, b.a, b.c = a, b, 1\nassert.same(a, b)",
	        "at c: expected nil, got 1"},
	    {"local a, b = {}, {}\nfor i = 1, 200 do a, b = { a }, { b } end\nassert.same(a, b)",
	        "more than 100 tables in each other"},
	};
	CHECK(bodies);
	struct app_test *test = rig_open(NULL, "tests/a_test.lua",
	    "it('t', function() local a = { 1 } a.a = a assert.same(a, 1) end)\n");
	expect_text(rig_run(test, "t").expected, "{1, a = {...}}");
	app_test_free(test);
}
END_TEST

Suite *assert_suite(void)
{
	Suite *suite = suite_create("assert");
	TCase *tcase = tcase_create("assertions");
	tcase_add_test(tcase, each_assertion_holds_and_fails);
	tcase_add_test(tcase, wrong_use_says_what_to_do);
	tcase_add_test(tcase, a_difference_is_shown_whole_and_with_its_path);
	tcase_add_test(tcase, what_is_long_is_shown_in_lines);
	tcase_add_test(tcase, tables_that_hold_themselves_are_compared_and_shown);
	suite_add_tcase(suite, tcase);
	return suite;
}
