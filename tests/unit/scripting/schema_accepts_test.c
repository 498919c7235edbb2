#include "tests/unit/scripting/value_fixture.h"
#include "tests/unit/scripting/value_suites.h"

/* clang-format off */
static const char helpers[] = LUA(
	s = kalix.schema
	function yes(wide, narrow)
		local ok, why = accepts(wide, narrow)
		if not ok then error("refused: " .. why, 2) end
	end
	function no(wide, narrow, expected)
		local ok, why = accepts(wide, narrow)
		if ok then error("accepted", 2) end
		if why ~= expected then error("refused with: " .. why, 2) end
	end
);
/* clang-format on */

static void run(const char *script)
{
	struct lua_State *lua = fixture_new();
	fixture_run(lua, helpers);
	fixture_run(lua, script);
	fixture_free(lua);
}

/* clang-format off */
START_TEST(bounds_may_only_widen)
{
	run(LUA(
		yes(s.integer, s.integer{min = 1})
		yes(s.integer{min = 0}, s.integer{min = 1, max = 2})
		no(s.integer{min = 1}, s.integer, "integer >= 1 does not accept 0")
		no(s.integer{min = 1}, s.integer{max = -5}, "integer >= 1 does not accept -5")
		no(s.integer{max = 5}, s.integer{min = 1, max = 9},
			"integer <= 5 does not accept 6")
		no(s.integer{max = 5}, s.timestamp, "integer <= 5 does not accept 6")
		yes(s.timestamp, s.integer)
		yes(s.number, s.integer)
		yes(s.number, s.timestamp)
		yes(s.number{min = 0.5}, s.integer{min = 1})
		no(s.number{min = 0.5}, s.integer{min = 0},
			"number >= 0.5 does not accept integer >= 0")
		no(s.integer, s.number, "integer does not accept number")
		no(s.number{max = 1}, s.number, "number <= 1 does not accept number")
		yes(s.string{max = 5}, s.string{max = 5, min = 2})
		no(s.string{max = 5}, s.string,
			"string of at most 5 characters does not accept one without bound")
		no(s.string{max = 5}, s.string{max = 6},
			"string of at most 5 characters does not accept a length of 6")
		no(s.string{min = 2}, s.string{max = 6},
			"string of at least 2 characters does not accept a length of 1")
		yes(s.bytes, s.bytes{max = 5})
		no(s.bytes{max = 4}, s.bytes{max = 5},
			"bytes of at most 4 bytes does not accept a length of 5")
		no(s.bytes, s.string, "bytes does not accept string")
		no(s.string, s.bytes, "string does not accept bytes")
	));
}
END_TEST

START_TEST(texts_known_one_by_one_are_checked_one_by_one)
{
	run(LUA(
		local e = s.string{enum = {"a", "bb"}}
		yes(s.string, e)
		yes(s.string{max = 2}, e)
		yes(s.string{pattern = "[ab]+"}, e)
		yes(s.string{enum = {"bb", "a", "c"}}, e)
		no(s.string{enum = {"a"}}, e, "\"a\" does not accept \"bb\"")
		no(s.string{max = 1}, e, "string of at most 1 characters does not accept \"bb\"")
		no(s.string{pattern = "%d"}, e, "string like \"%d\" does not accept \"a\"")
		no(e, s.string, "one of \"a\", \"bb\" does not accept string")
		yes(s.string{pattern = "a+"}, s.string{pattern = "a+", max = 5})
		no(s.string{pattern = "a+"}, s.string{pattern = "a"},
			"string like \"a+\" has another pattern than what is stored")
		yes(s.string{max = 1}, s.string{enum = {"a", "bb"}, max = 1})
	));
}
END_TEST

START_TEST(a_record_may_gain_what_is_optional)
{
	run(LUA(
		local old = s.record{a = s.integer, b = s.optional(s.string)}
		yes(s.record{a = s.integer, b = s.optional(s.string), c = s.optional(s.integer,
			1)}, old)
		yes(s.record{a = s.optional(s.integer), b = s.optional(s.string)}, old)
		no(s.record{a = s.integer, b = s.optional(s.string), c = s.integer}, old,
			"the field 'c' is required, and absent in what is stored")
		no(s.record{a = s.integer, b = s.string}, old,
			"the field 'b' is required, and may be absent in what is stored")
		no(s.record{a = s.integer}, old,
			"the field 'b' may be stored, and is refused")
		yes(s.record({a = s.integer}, {open = true}), old)
		no(s.record{a = s.string, b = s.optional(s.string)}, old,
			"a: string does not accept integer")
		no(s.record{a = s.optional(s.string), b = s.optional(s.string)}, old,
			"a: string does not accept integer")
		local open = s.record({a = s.integer}, {open = true})
		no(s.record{a = s.integer}, open,
			"what is stored may have unknown fields, and they are refused")
		yes(s.record({a = s.integer, z = s.optional(s.any)}, {open = true}), open)
		no(s.record({a = s.integer, z = s.optional(s.integer)}, {open = true}), open,
			"z: integer does not accept a value")
		no(s.record({}, {open = true}), s.record{a = s.bytes},
			"a: a value without schema does not accept bytes")
		no(s.record{a = s.any}, s.record{a = s.optional(s.any)},
			"the field 'a' is required, and may be absent in what is stored")
	));
}
END_TEST

START_TEST(the_path_leads_to_what_differs)
{
	run(LUA(
		local function cart(q) return s.record{items = s.map(s.string, s.record{quantity =
			q, tags = s.list(q)})} end
		yes(cart(s.integer), cart(s.integer))
		no(cart(s.integer{min = 1}), cart(s.integer),
			"items.*.quantity: integer >= 1 does not accept 0")
		no(s.list(s.list(s.string)), s.list(s.list(s.any)),
			"*.*: string does not accept a value")
	));
}
END_TEST

START_TEST(no_schema_counts_as_any)
{
	run(LUA(
		yes(nil, s.record{a = s.list(s.map(s.integer, s.timestamp))})
		yes(nil, nil)
		yes(s.any, nil)
		yes(s.optional(s.any), nil)
		yes(s.one_of{s.string, s.any}, nil)
		yes(s.any, s.optional(s.string))
		no(nil, s.list(s.record{a = s.bytes}),
			"*.a: a value without schema does not accept bytes")
		no(s.string, nil, "string does not accept a value")
		no(s.string, s.optional(s.string), "it may be absent in what is stored")
		yes(s.optional(s.string), s.string)
	));
}
END_TEST

START_TEST(containers_accept_what_they_can_hold)
{
	run(LUA(
		yes(s.list(s.number), s.list(s.integer))
		no(s.list(s.string), s.list(s.integer), "*: string does not accept integer")
		yes(s.list(s.string), s.list(s.integer, {max = 0}))
		no(s.list(s.any, {min = 1}), s.list(s.any),
			"list of at least 1 elements does not accept a length of 0")
		no(s.list(s.any, {max = 5}), s.list(s.any),
			"list of at most 5 elements does not accept one without bound")
		yes(s.map(s.string, s.any), s.map(s.integer, s.any))
		no(s.map(s.integer, s.any), s.map(s.string, s.any),
			"keys that are string are not accepted where they are integer")
		no(s.map(s.string{max = 3}, s.any), s.map(s.string, s.any),
			"string of at most 3 characters does not accept one without bound")
		yes(s.map(s.string, s.number), s.record{a = s.integer, b = s.optional(s.number)})
		no(s.map(s.string, s.integer), s.record{a = s.string},
			"a: integer does not accept string")
		no(s.map(s.string{max = 1}, s.any), s.record{ab = s.string},
			"the map does not accept the key 'ab'")
		no(s.map(s.string, s.any, {max = 1}), s.record{a = s.any, b = s.any},
			"map of at most 1 entries does not accept a length of 2")
		no(s.map(s.string, s.any), s.record({}, {open = true}),
			"map does not accept record")
		no(s.record{}, s.map(s.string, s.any), "record does not accept map")
	));
}
END_TEST

START_TEST(alternatives_accept_together)
{
	run(LUA(
		yes(s.one_of{s.string, s.integer}, s.integer)
		yes(s.one_of{s.string, s.number}, s.one_of{s.integer, s.string{max = 1}})
		yes(s.number, s.one_of{s.integer, s.timestamp})
		no(s.one_of{s.string, s.boolean}, s.integer,
			"string or boolean does not accept integer")
		no(s.one_of{s.string, s.integer{min = 1}}, s.integer{min = 0},
			"integer >= 1 does not accept 0")
		no(s.integer, s.one_of{s.integer, s.string}, "integer does not accept string")
		local function alt(tag, t) return s.record{kind = s.string{enum = {tag}}, x = t} end
		local wide = s.one_of({alt("a", s.number), alt("b", s.string)}, {tag = "kind"})
		yes(wide, s.one_of({alt("a", s.integer)}, {tag = "kind"}))
		yes(wide, alt("b", s.string))
		no(wide, alt("c", s.string),
			"record whose kind is \"a\" or \"b\" does not accept record")
		local deep, other = s.string, s.integer
		for i = 1, 11 do
			deep = s.one_of{s.list(deep), s.list(deep)}
			other = s.one_of{s.list(other), s.list(other)}
		end
		local ok = accepts(deep, other)
		same(ok, false)
	));
}
END_TEST
/* clang-format on */

Suite *schema_accepts_suite(void)
{
	Suite *suite = suite_create("schema_accepts");
	TCase *tcase = tcase_create("accepts");
	tcase_add_test(tcase, bounds_may_only_widen);
	tcase_add_test(tcase, texts_known_one_by_one_are_checked_one_by_one);
	tcase_add_test(tcase, a_record_may_gain_what_is_optional);
	tcase_add_test(tcase, the_path_leads_to_what_differs);
	tcase_add_test(tcase, no_schema_counts_as_any);
	tcase_add_test(tcase, containers_accept_what_they_can_hold);
	tcase_add_test(tcase, alternatives_accept_together);
	suite_add_tcase(suite, tcase);
	return suite;
}
