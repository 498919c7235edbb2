#include "tests/unit/scripting/value_fixture.h"
#include "tests/unit/scripting/value_suites.h"

/* clang-format off */
START_TEST(keys_are_written_sorted)
{
	fixture_script(LUA(
		local v = {}
		for i = 1, 300 do v["k" .. (i * 7919 % 300)] = i end
		v.a = {b = 1, a = 2, ["a\0"] = 3, aa = 4, ["\u{e9}"] = 5, Z = 6}
		local keys = {}
		for k in kalix.json.encode(v):gmatch("\"(k%d+)\":") do keys[#keys + 1] = k end
		same(#keys, 300)
		for i = 2, 300 do assert(keys[i - 1] < keys[i]) end
		same(kalix.json.encode(v.a),
			"{\"Z\":6,\"a\":2,\"a\\u0000\":3,\"aa\":4,\"b\":1,\"\u{e9}\":5}")
		same(pack(v), pack(unpack(pack(v))))
	));
}
END_TEST

START_TEST(equal_values_are_equal_bytes)
{
	fixture_script(LUA(
		local r = kalix.schema.record{a = kalix.schema.integer, b =
			kalix.schema.optional(kalix.schema.integer)}
		same(pack({a = 5.0}, r), pack({a = 5, b = kalix.null}, r))
		same(pack({a = 5.0, b = 1}, r), "\x82\xa1a\5\xa1b\1")
		same(pack({x = 1, y = 2}), pack({y = 2, x = 1}))
		same(pack(5), "\5")
		assert(pack(5.0) ~= pack(5))
	));
}
END_TEST

START_TEST(an_empty_table_is_what_schema_or_mark_say)
{
	fixture_script(LUA(
		local s, encode = kalix.schema, kalix.json.encode
		same(encode({}), "{}")
		same(encode(kalix.list{}), "[]")
		same(encode({}, s.list(s.any)), "[]")
		same(encode(kalix.list{}, s.map(s.string, s.any)), "{}")
		same(encode(kalix.list{}, s.record{}), "{}")
		same(encode({a = kalix.list()}), "{\"a\":[]}")
		same(encode({1, 2, "c"}), "[1,2,\"c\"]")
	));
}
END_TEST

START_TEST(what_is_no_value_is_refused_with_its_path)
{
	fixture_script(LUA(
		local function bad(v, why) fails(why, pack, v) fails("json.encode: " .. why,
			kalix.json.encode, v) end
		bad({a = {1, nil, 3}},
			"a: a list with holes (3 is there; positions run from 1 to n, "
				.. "without gaps)")
		bad({a = {[2] = 1}},
			"a: a list with holes (2 is there; positions run from 1 to n, "
				.. "without gaps)")
		bad({a = {[0] = 1}},
			"a: a list with holes (0 is there; positions run from 1 to n, "
				.. "without gaps)")
		bad({1, 2, x = 3}, "x: a list with a key that is no position")
		bad({a = kalix.list{x = 1}}, "a.x: a list with a key that is no position")
		bad({a = 0/0}, "a: expected a value, got nan")
		bad({a = {1/0}}, "a.1: expected a value, got infinity")
		bad({a = {-1/0}}, "a.1: expected a value, got infinity")
		bad({a = {b = print}}, "a.b: expected a value, got function")
		bad({a = io.stdout}, "a: expected a value, got userdata")
		bad({a = coroutine.create(print)}, "a: expected a value, got thread")
		bad({a = "\xff"}, "a: string of 1 bytes that is not UTF-8")
		bad({["\xff"] = 1}, "a key of 1 bytes that is not UTF-8")
		bad({[true] = 1}, "(boolean): expected a key that is a string")
		bad({[1.5] = 1}, "1.5: a list with a key that is no position")
		local loop = {}
		loop.a = {loop}
		bad(loop, "a.1: a table inside itself")
		local shared = {}
		same(kalix.json.encode({shared, shared}), "[{},{}]")
		fails("expected a value, got nothing", pack, nil)
		fails("expected string, got nothing", pack, nil, kalix.schema.string)
		same(kalix.json.encode(nil), "null")
		same(pack(nil, kalix.schema.optional(kalix.schema.string)), "\xc0")
	));
}
END_TEST

START_TEST(a_record_takes_its_fields_only)
{
	fixture_script(LUA(
		local s = kalix.schema
		local r = s.record{name = s.string, count = s.optional(s.integer{min = 1})}
		same(kalix.json.encode({name = "a", count = 1}, r), "{\"count\":1,\"name\":\"a\"}")
		fails("nam: unknown field; did you mean name?", pack, {nam = 1, name = "a"}, r)
		fails("1: unknown field", pack, {"x", name = "a"}, r)
		fails("name: expected string, got nothing", pack, {count = 1}, r)
		fails("count: expected integer >= 1, got 0", pack, {name = "a", count = 0}, r)
		fails("count: expected integer >= 1, got string of 1 character", pack, {name =
			"a", count = "1"}, r)
		fails("name: expected string, got null", pack, {name = kalix.null}, r)
		fails("expected record, got 5", pack, 5, r)
		fails("expected boolean, got nothing", pack, nil, s.boolean)
		fails("expected map, got string of 2 characters", pack, "ab", s.map(s.string,
			s.any))
		fails("a: expected a key that is an integer", pack, {a = 1}, s.map(s.integer,
			s.any))
		fails("1: expected a key that is a string", pack, {1}, s.map(s.string, s.any))
	));
}
END_TEST

START_TEST(numbers_keep_their_kind)
{
	fixture_script(LUA(
		local s = kalix.schema
		same(unpack(pack(5, s.number), s.number), 5)
		same(unpack(pack(5.0, s.number), s.number), 5.0)
		same(unpack(pack(5.0, s.integer), s.integer), 5)
		same(kalix.json.encode(1e300), "1e300")
		same(kalix.json.encode(-0.0), "-0.0")
		fails("expected number <= 2.5, got 3", pack, 3, s.number{max = 2.5})
		fails("expected number >= -1 and <= 2.5, got 2.75", pack, 2.75, s.number{min = -1,
			max = 2.5})
		fails("expected integer, got 1e19", pack, 1e19, s.integer)
		fails("expected number, got nan", pack, 0/0, s.number)
	));
}
END_TEST

START_TEST(copies_share_nothing)
{
	fixture_script(LUA(
		local v = {a = {1, 2, {b = kalix.null}}, c = kalix.list{}, [5] = 1.5}
		local w = copy(v)
		assert(w ~= v and w.a ~= v.a and w.a[3] ~= v.a[3] and w.c ~= v.c)
		same(w.a[3].b, kalix.null)
		same(w[5], 1.5)
		same(kalix.json.encode(w.c), "[]")
		w.a[3].b = 1
		same(v.a[3].b, kalix.null)
		local loop = {}
		loop.x = loop
		fails("x: a table inside itself", copy, loop)
		fails("a.1: expected a value, got function", copy, {a = {print}})
		fails("a: a number that is not finite", copy, {a = 0/0})
		fails("(boolean): a key that is a boolean", copy, {[true] = 1})
		same(copy("x"), "x")
		same(copy(nil), nil)
	));
}
END_TEST
/* clang-format on */

Suite *value_encode_suite(void)
{
	Suite *suite = suite_create("value_encode");
	TCase *tcase = tcase_create("encode");
	tcase_add_test(tcase, keys_are_written_sorted);
	tcase_add_test(tcase, equal_values_are_equal_bytes);
	tcase_add_test(tcase, an_empty_table_is_what_schema_or_mark_say);
	tcase_add_test(tcase, what_is_no_value_is_refused_with_its_path);
	tcase_add_test(tcase, a_record_takes_its_fields_only);
	tcase_add_test(tcase, numbers_keep_their_kind);
	tcase_add_test(tcase, copies_share_nothing);
	suite_add_tcase(suite, tcase);
	return suite;
}
