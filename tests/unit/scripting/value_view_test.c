#include "tests/unit/scripting/value_fixture.h"
#include "tests/unit/scripting/value_suites.h"

/* clang-format off */
START_TEST(an_assignment_to_a_view_raises)
{
	fixture_script(LUA(
		local state = {a = 1, items = {{n = 1}}}
		local v = view(state, "state")
		local why = "state is read-only here: nothing would be kept of this assignment"
		local function ends(f)
			local ok, got = pcall(f)
			assert(not ok)
			assert(got:sub(-#why) == why, got)
		end
		ends(function() v.a = 2 end)
		ends(function() v.new = 2 end)
		ends(function() v.items[1].n = 2 end)
		ends(function() v.items[2] = 2 end)
		same(state.a, 1)
		same(#state.items, 1)
	));
}
END_TEST

START_TEST(a_view_reads_as_its_target)
{
	fixture_script(LUA(
		local state = {a = 1, items = {{n = 1}, 5}}
		local v = view(state)
		same(v.a, 1)
		same(v.missing, nil)
		same(#v.items, 2)
		same(v.items[1].n, 1)
		same(v.items, v.items)
		same(v.items[1], v.items[1])
		same(type(v), "table")
		local sum = 0
		for i, x in ipairs(v.items) do sum = sum + i end
		same(sum, 3)
		state.items[1] = {n = 9}
		state.b = true
		same(v.items[1].n, 9)
		same(v.b, true)
		same(view(5), 5)
	));
}
END_TEST

START_TEST(a_view_is_written_and_copied_as_its_target)
{
	fixture_script(LUA(
		local s = kalix.schema
		local state = {a = kalix.list{}, b = {c = {1}}}
		local v = view(state)
		local text = kalix.json.encode(state)
		same(kalix.json.encode(v), text)
		same(kalix.json.encode({x = v.b, y = v.a}), "{\"x\":{\"c\":[1]},\"y\":[]}")
		same(kalix.json.encode(copy(v)), text)
		local c = copy(v)
		c.b.c[1] = 2
		same(state.b.c[1], 1)
		local r = s.record{a = s.list(s.any), b = s.map(s.string, s.list(s.integer))}
		same(kalix.json.encode(v, r), text)
		local u = s.one_of{s.string, r}
		same(kalix.json.encode(v, u), text)
		local t = view{kind = "a"}
		same(pack(t, s.one_of({s.record{kind = s.string{enum = {"a"}}}}, {tag = "kind"})),
			"\x81\xa4kind\xa1a")
		same(kalix.list(v.a), v.a)
		assert(not pcall(kalix.list, v.b))
	));
}
END_TEST
/* clang-format on */

Suite *value_view_suite(void)
{
	Suite *suite = suite_create("value_view");
	TCase *tcase = tcase_create("views");
	tcase_add_test(tcase, an_assignment_to_a_view_raises);
	tcase_add_test(tcase, a_view_reads_as_its_target);
	tcase_add_test(tcase, a_view_is_written_and_copied_as_its_target);
	suite_add_tcase(suite, tcase);
	return suite;
}
