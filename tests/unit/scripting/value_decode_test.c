#include "tests/unit/scripting/value_fixture.h"
#include "tests/unit/scripting/value_suites.h"

/* clang-format off */
START_TEST(integers_of_64_bits_survive)
{
	fixture_script(LUA(
		local decode, encode = kalix.json.decode, kalix.json.encode
		for _, text in ipairs{"9223372036854775807", "-9223372036854775808", "0",
			"9007199254740993"} do
			same(encode(decode(text)), text)
			same(encode(unpack(pack(decode(text)))), text)
			same(encode(decode(text, kalix.schema.number), kalix.schema.number), text)
		end
		same(decode("5.0"), 5.0)
		same(decode("5"), 5)
	));
}
END_TEST

START_TEST(a_whole_double_is_an_integer_where_the_schema_says_so)
{
	fixture_script(LUA(
		local s = kalix.schema
		same(kalix.json.decode("5.0", s.integer), 5)
		same(kalix.json.decode("-9.223372036854775808e18", s.integer), math.mininteger)
		same(kalix.json.decode("5.0", s.timestamp), 5)
		same(kalix.json.decode("5.0", s.number), 5.0)
		fails("json.decode: expected integer, got 5.5", kalix.json.decode, "5.5", s.integer)
		fails("json.decode: expected integer, got 9.223372036854776e18", kalix.json.decode,
			"9223372036854775808.0", s.integer)
	));
}
END_TEST

START_TEST(errors_name_the_path_and_never_a_text)
{
	fixture_script(LUA(
		local s = kalix.schema
		local cart = s.record{items = s.map(s.string, s.record{quantity = s.integer{min =
			1}}), tags = s.optional(s.list(s.string))}
		local function bad(json, why) fails("json.decode: " .. why, kalix.json.decode,
			json, cart) end
		bad("\"secret\"", "expected record, got string of 6 characters")
		bad("{\"items\":{\"p1\":{\"quantity\":0}}}",
			"items.p1.quantity: expected integer >= 1, got 0")
		bad("{\"items\":{\"p1\":{\"quantity\":\"secret\"}}}",
			"items.p1.quantity: expected integer >= 1, got string of 6 characters")
		bad("{\"items\":{\"p1\":{\"quantity\":true}}}",
			"items.p1.quantity: expected integer >= 1, got boolean")
		bad("{\"items\":{\"p1\":{\"quantity\":null}}}",
			"items.p1.quantity: expected integer >= 1, got null")
		bad("{\"items\":{\"p1\":{\"quantity\":-1.5}}}",
			"items.p1.quantity: expected integer >= 1, got -1.5")
		bad("{\"items\":{\"p1\":{\"quantity\":{}}}}",
			"items.p1.quantity: expected integer >= 1, got object")
		bad("{\"items\":{\"p1\":{}}}",
			"items.p1.quantity: expected integer >= 1, got nothing")
		bad("{\"items\":[]}", "items: expected map, got array")
		bad("{}", "items: expected map, got nothing")
		bad("{\"items\":{},\"tags\":[\"a\",5]}", "tags.2: expected string, got 5")
		bad("{\"items\":{},\"tags\":null,\"tag\":1}",
			"tag: unknown field; did you mean tags?")
		bad("{\"items\":{},\"else\":1}", "else: unknown field")
		bad("{\"items\":{},\"items\":{}}", "items: given twice")
		bad("{\"items\":{\"a\":{\"quantity\":1},\"a\":{\"quantity\":1}}}",
			"items.a: given twice")
		bad("{\"items\":{\"a\":", "malformed JSON at line 1, column 15: expected a value")
		bad("{\"items\":{}} 1",
			"malformed JSON at line 1, column 14: expected nothing after the value")
		bad("", "malformed JSON at line 1, column 1: expected a value")
	));
}
END_TEST

START_TEST(long_paths_and_keys_are_cut)
{
	fixture_script(LUA(
		local s = kalix.schema
		local key = ("k"):rep(100)
		local json = "true"
		for i = 1, 20 do json = "{\"" .. key .. "\":" .. json .. "}" end
		local deep = s.string
		for i = 1, 20 do deep = s.map(s.string, deep) end
		local ok, why = pcall(kalix.json.decode, json, deep)
		assert(not ok)
		assert(#why < 400)
		assert(why:find("^json.decode: %.%.%.kkk"), why)
		assert(why:find("k%.%.%.: expected string, got boolean$"), why)
		fails("json.decode: a?b: expected string, got 1", kalix.json.decode,
			"{\"a\\nb\":1}", s.map(s.string, s.string))
	));
}
END_TEST

START_TEST(null_and_absent_are_the_same_to_an_optional)
{
	fixture_script(LUA(
		local s = kalix.schema
		local r = s.record{a = s.optional(s.integer), b = s.optional(s.integer, 7),
			c = s.optional(s.list(s.string), {"x"}), d = s.optional(s.any)}
		for _, json in ipairs{"{}", "{\"a\":null,\"b\":null,\"c\":null,\"d\":null}"} do
			local v = kalix.json.decode(json, r)
			same(v.a, nil)
			same(v.b, 7)
			same(v.c[1], "x")
			same(v.d, nil)
			same(kalix.json.encode(v, r), "{\"b\":7,\"c\":[\"x\"]}")
		end
		local one, two = kalix.json.decode("{}", r), kalix.json.decode("{}", r)
		one.c[1] = "y"
		same(two.c[1], "x")
		same(kalix.json.decode("{\"d\":[null]}", r).d[1], kalix.null)
	));
}
END_TEST

START_TEST(any_shows_null_and_marks_lists)
{
	fixture_script(LUA(
		local v = kalix.json.decode("{\"a\":null,\"b\":[],\"c\":{},\"d\":[null,[]]}",
			kalix.schema.any)
		same(v.a, kalix.null)
		same(v.d[1], kalix.null)
		local text = "{\"a\":null,\"b\":[],\"c\":{},\"d\":[null,[]]}"
		same(kalix.json.encode(v), text)
		same(kalix.json.encode(unpack(pack(v))), text)
		same(kalix.json.encode(copy(v)), text)
	));
}
END_TEST

START_TEST(texts_are_counted_in_code_points)
{
	fixture_script(LUA(
		local s = kalix.schema
		local two = s.string{min = 2, max = 2}
		same(kalix.json.decode("\"\\u00e9\\ud83d\\ude00\"", two), "\u{e9}\u{1f600}")
		fails("json.decode: expected string of 2 characters, got string of 1 character",
			kalix.json.decode,
			"\"\\u00e9\"", two)
		fails("json.decode: expected string of at least 1 characters, got string of "
			.. "0 characters", kalix.json.decode,
			"\"\"", s.string{min = 1})
		fails("json.decode: expected string of at most 1 characters, got string of "
			.. "2 characters", kalix.json.decode,
			"\"ab\"", s.string{max = 1})
	));
}
END_TEST

START_TEST(patterns_are_anchored_at_both_ends)
{
	fixture_script(LUA(
		local s = kalix.schema
		local p = s.string{pattern = "%a+%d?"}
		same(kalix.json.decode("\"abc1\"", p), "abc1")
		fails("json.decode: expected string like \"%a+%d?\", got string of 5 characters",
			kalix.json.decode, "\"abc12\"", p)
		fails("json.decode: expected string like \"%a+%d?\", got string of 2 characters",
			kalix.json.decode, "\"1a\"", p)
		fails("json.decode: expected one of \"a\", \"b\", got string of 1 character",
			kalix.json.decode, "\"c\"",
			s.string{enum = {"b", "a"}})
		local slow = s.string{pattern = ("a*"):rep(20) .. "b"}
		units()
		fails("json.decode: too long for its pattern \"" .. ("a*"):rep(20) .. "b\"",
			kalix.json.decode,
			"\"" .. ("a"):rep(100) .. "\"", slow)
		assert(units() > 10000)
	));
}
END_TEST

START_TEST(times_are_read_from_callers_only)
{
	fixture_script(LUA(
		local t = kalix.schema.timestamp
		local function at(text) return kalix.json.decode("\"" .. text .. "\"", t) end
		same(at("1970-01-01T00:00:00Z"), 0)
		same(at("2024-02-29T12:30:00.250+01:00"), 1709206200250)
		same(at("2024-02-29 11:30:00.2509z"), 1709206200250)
		same(at("1969-12-31T23:59:59.999Z"), -1)
		same(at("2016-12-31T23:59:60Z"), at("2016-12-31T23:59:59Z"))
		same(at("9999-12-31T23:59:59Z"), 253402300799000)
		same(at("0000-01-01T00:00:00Z"), -62167219200000)
		same(at("1900-03-01T00:00:00Z") - at("1900-02-28T00:00:00Z"), 86400000)
		same(kalix.json.decode("1234", t), 1234)
		for _, text in ipairs{"", "2024", "2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
			"2024-13-01T00:00:00Z",
			"2024-00-01T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:60:00Z",
			"2024-01-01T00:00:00",
			"2024-01-01T00:00:00.Z", "2024-01-01T00:00:00Zx",
			"2024-01-01T00:00:00+24:00", "x024-01-01T00:00:00Z"} do
			assert(not pcall(at, text), text)
		end
		local packed = pack("2024-01-01T00:00:00Z", kalix.schema.string)
		same(unpack(packed, t, true), 1704067200000)
		fails("expected timestamp, got string of 20 characters", unpack, packed, t, false)
		fails("expected timestamp, got string of 20 characters", pack,
			"2024-01-01T00:00:00Z", t)
	));
}
END_TEST

START_TEST(bytes_are_base64_in_json_and_binary_in_messagepack)
{
	fixture_script(LUA(
		local b = kalix.schema.bytes{max = 4}
		same(kalix.json.decode("\"AP8\\u003d\"", b), "\0\xff")
		same(kalix.json.encode("\0\xff", b), "\"AP8=\"")
		same(pack("\0\xff", b), "\xc4\x02\0\xff")
		same(unpack("\xc4\x02\0\xff", b), "\0\xff")
		same(kalix.json.decode("\"\"", b), "")
		fails("json.decode: expected bytes as base64, got string of 3 bytes",
			kalix.json.decode, "\"abc\"", b)
		fails("json.decode: expected bytes of at most 4 bytes, got 5", kalix.json.decode,
			"\"AAAAAAA=\"", b)
		fails("expected bytes of at most 4 bytes, got string of 1 character", unpack,
			"\xa1a", b)
		fails("expected a value, got bytes", unpack, "\xc4\x00", kalix.schema.any)
	));
}
END_TEST

START_TEST(integer_keys_have_one_spelling)
{
	fixture_script(LUA(
		local m = kalix.schema.map(kalix.schema.integer{min = -5}, kalix.schema.any)
		local v = kalix.json.decode("{\"10\":1,\"9\":2,\"-1\":3,\"0\":4}", m)
		same(v[10], 1)
		same(v[-1], 3)
		same(kalix.json.encode(v, m), "{\"-1\":3,\"0\":4,\"10\":1,\"9\":2}")
		same(kalix.json.encode(unpack(pack(v, m), m), m),
			"{\"-1\":3,\"0\":4,\"10\":1,\"9\":2}")
		for _, key in ipairs{"01", "-0", "+1", "1.0", "", " 1", "1e1",
			"9223372036854775808", "a"} do
			fails("json.decode: expected a key that is an integer", kalix.json.decode,
			"{\"" .. key .. "\":1}", m)
		end
		fails("json.decode: expected integer >= -5, got -6", kalix.json.decode,
			"{\"-6\":1}", m)
		same(unpack("\x81\x05\x01", m, true)[5], 1)
		fails("expected a key that is a string", unpack, "\x81\x05\x01", kalix.schema.any,
			true)
		local k = kalix.schema.map(kalix.schema.string{max = 1}, kalix.schema.any)
		fails("json.decode: ab: expected string of at most 1 characters, got string "
			.. "of 2 characters",
			kalix.json.decode, "{\"ab\":1}", k)
	));
}
END_TEST

START_TEST(counts_of_containers_are_checked)
{
	fixture_script(LUA(
		local s = kalix.schema
		local l = s.list(s.integer, {min = 1, max = 2})
		fails("json.decode: expected list of 1 to 2 elements, got 0", kalix.json.decode,
			"[]", l)
		fails("json.decode: expected list of 1 to 2 elements, got 3", kalix.json.decode,
			"[1,2,3]", l)
		fails("expected list of 1 to 2 elements, got 3", unpack, "\x93\1\2\3", l)
		fails("expected list of 1 to 2 elements, got 3", pack, {1, 2, 3}, l)
		local m = s.map(s.string, s.any, {max = 1})
		fails("json.decode: expected map of at most 1 entries, got 2", kalix.json.decode,
			"{\"a\":1,\"b\":1}", m)
		fails("expected map of at most 1 entries, got 2", pack, {a = 1, b = 2}, m)
	));
}
END_TEST

START_TEST(an_open_record_keeps_what_it_does_not_know)
{
	fixture_script(LUA(
		local s = kalix.schema
		local r = s.record({b = s.integer, z = s.optional(s.string)}, {open = true})
		local text = "{\"a\":[],\"b\":1,\"c\":{\"d\":null},\"zz\":2}"
		local v = kalix.json.decode(text, r)
		same(v.c.d, kalix.null)
		same(kalix.json.encode(v, r), text)
		same(kalix.json.encode(unpack(pack(v, r), r), r), text)
		fails("json.decode: b: expected integer, got string of 1 character",
			kalix.json.decode, "{\"b\":\"1\"}", r)
		fails("json.decode: a: given twice", kalix.json.decode,
			"{\"a\":1,\"a\":1,\"b\":1}", r)
		v.z = kalix.null
		same(kalix.json.encode(v, r), text)
		v.b = nil
		fails("json.encode: b: expected integer, got nothing", kalix.json.encode, v, r)
	));
}
END_TEST

START_TEST(alternatives_are_tried_in_order)
{
	fixture_script(LUA(
		local s = kalix.schema
		local u = s.one_of{s.integer, s.bytes{max = 2}, s.string, s.list(s.integer),
			s.record{a = s.string},
			s.record{a = s.integer}}
		local function through(json) return kalix.json.encode(kalix.json.decode(json, u),
			u) end
		same(through("5.0"), "5")
		same(through("\"\\u0061%\""), "\"YSU=\"")
		same(through("[1,2]"), "[1,2]")
		same(through("{\"a\":1}"), "{\"a\":1}")
		same(through("{\"a\":\"\\u00e9\"}"), "{\"a\":\"\u{e9}\"}")
		fails("json.decode: 2: expected integer, got boolean", kalix.json.decode,
			"[1,true]", u)
		fails("json.decode: expected integer or bytes of at most 2 bytes or string "
			.. "or list or record or record, "
			.. "got object", kalix.json.decode, "{\"a\":true}", u)
		fails("json.decode: expected integer or bytes of at most 2 bytes or string "
			.. "or list or record or record, "
			.. "got boolean", kalix.json.decode, "true", u)
		local nested = s.list(s.one_of{s.list(s.list(s.string)), s.list(s.list(s.integer))})
		same(kalix.json.encode(kalix.json.decode("[[[1]],[[\"\\u0061\"]],[[2]]]", nested),
			nested),
			"[[[1]],[[\"a\"]],[[2]]]")
		same(kalix.json.encode(unpack(pack(kalix.json.decode("[[[1]],[[\"a\"]]]", nested),
			nested), nested), nested),
			"[[[1]],[[\"a\"]]]")
	));
}
END_TEST

START_TEST(a_tag_may_stand_anywhere)
{
	fixture_script(LUA(
		local s = kalix.schema
		local u = s.one_of({s.record{kind = s.string{enum = {"a"}}, x = s.integer},
			s.record{kind = s.string{enum = {"b", "c"}}, x = s.list(s.any)}}, {tag =
			"kind"})
		for _, json in ipairs{"{\"kind\":\"a\",\"x\":1}", "{\"x\":1,\"kind\":\"a\"}",
			[[{"x":1,"\u006bind":"\u0061"}]]} do
			same(kalix.json.encode(kalix.json.decode(json, u), u),
			"{\"kind\":\"a\",\"x\":1}")
		end
		local v = kalix.json.decode("{\"x\":[{\"kind\":\"a\"},[]],\"kind\":\"c\"}", u)
		same(kalix.json.encode(v, u), "{\"kind\":\"c\",\"x\":[{\"kind\":\"a\"},[]]}")
		same(kalix.json.encode(unpack(pack(v, u), u), u),
			"{\"kind\":\"c\",\"x\":[{\"kind\":\"a\"},[]]}")
		same(unpack("\x82\xa1x\x01\xa4kind\xa1a", u, true).x, 1)
		fails("json.decode: x: expected integer, got array", kalix.json.decode,
			"{\"x\":[],\"kind\":\"a\"}", u)
		fails("json.decode: kind: none of the alternatives has this tag",
			kalix.json.decode, "{\"kind\":\"d\"}", u)
		fails("json.decode: kind: none of the alternatives has this tag",
			kalix.json.decode, "{\"kind\":1}", u)
		fails("json.decode: kind: expected the tag, got nothing", kalix.json.decode, "{}",
			u)
		fails("kind: expected the tag, got nothing", pack, {}, u)
		fails("kind: none of the alternatives has this tag", pack, {kind = 1}, u)
		fails("json.decode: expected record whose kind is \"a\" or \"b\" or \"c\", "
			.. "got array", kalix.json.decode, "[]", u)
	));
}
END_TEST

START_TEST(depth_is_bounded)
{
	fixture_script(LUA(
		local deep = ("["):rep(128) .. ("]"):rep(128)
		local v = kalix.json.decode(deep)
		same(kalix.json.encode(v), deep)
		same(kalix.json.encode(unpack(pack(v))), deep)
		local ok, why = pcall(kalix.json.decode, "[" .. deep .. "]")
		assert(why:find("nested too deeply$"), why)
		ok, why = pcall(kalix.json.encode, {v})
		assert(why:find("nested more than 128 deep$"), why)
		ok, why = pcall(copy, {v})
		assert(why:find("nested more than 128 deep$"), why)
		ok, why = pcall(unpack, ("\x91"):rep(129) .. "\1")
		assert(why:find("nested too deeply$"), why)
	));
}
END_TEST

START_TEST(messagepack_of_others_is_refused_where_it_is_not_ours)
{
	fixture_script(LUA(
		fails("expected a value, got an extension type", unpack, "\xd4\1\0", nil, true)
		fails("expected a value, got nan", unpack, "\xcb\x7f\xf8\0\0\0\0\0\0", nil, true)
		fails("malformed MessagePack at byte 0: number out of range", unpack,
			"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", nil, true)
		fails("malformed MessagePack at byte 0: text is not valid UTF-8", unpack,
			"\xa1\xff", nil, true)
		fails("malformed MessagePack at byte 0: input ends too early", unpack, "", nil,
			true)
		fails("malformed MessagePack at byte 0: input ends too early", unpack,
			"\xdd\xff\xff\xff\xff", nil, true)
		fails("bytes behind the value", unpack, "\1\1", nil, true)
		fails("a: given twice", unpack, "\x82\xa1a\1\xa1a\1", nil, true)
		same(unpack("\xca\x3f\x80\0\0", nil, true), 1.0)
	));
}
END_TEST

START_TEST(work_is_charged_in_proportion)
{
	fixture_script(LUA(
		local text = kalix.json.encode(("x"):rep(100000))
		units()
		kalix.json.decode(text)
		local long = units()
		assert(long > 10000, long)
		kalix.json.decode("1")
		assert(units() < 100)
		local v = {}
		for i = 1, 10000 do v["k" .. i] = {} end
		units()
		pack(v)
		assert(units() > 10000)
	));
}
END_TEST
/* clang-format on */

Suite *value_decode_suite(void)
{
	Suite *suite = suite_create("value_decode");
	TCase *tcase = tcase_create("decode");
	tcase_add_test(tcase, integers_of_64_bits_survive);
	tcase_add_test(tcase, a_whole_double_is_an_integer_where_the_schema_says_so);
	tcase_add_test(tcase, errors_name_the_path_and_never_a_text);
	tcase_add_test(tcase, long_paths_and_keys_are_cut);
	tcase_add_test(tcase, null_and_absent_are_the_same_to_an_optional);
	tcase_add_test(tcase, any_shows_null_and_marks_lists);
	tcase_add_test(tcase, texts_are_counted_in_code_points);
	tcase_add_test(tcase, patterns_are_anchored_at_both_ends);
	tcase_add_test(tcase, times_are_read_from_callers_only);
	tcase_add_test(tcase, bytes_are_base64_in_json_and_binary_in_messagepack);
	tcase_add_test(tcase, integer_keys_have_one_spelling);
	tcase_add_test(tcase, counts_of_containers_are_checked);
	tcase_add_test(tcase, an_open_record_keeps_what_it_does_not_know);
	tcase_add_test(tcase, alternatives_are_tried_in_order);
	tcase_add_test(tcase, a_tag_may_stand_anywhere);
	tcase_add_test(tcase, depth_is_bounded);
	tcase_add_test(tcase, messagepack_of_others_is_refused_where_it_is_not_ours);
	tcase_add_test(tcase, work_is_charged_in_proportion);
	suite_add_tcase(suite, tcase);
	return suite;
}
