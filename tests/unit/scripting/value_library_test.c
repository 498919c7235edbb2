#include "tests/unit/scripting/value_fixture.h"
#include "tests/unit/scripting/value_suites.h"

/* clang-format off */
START_TEST(null_is_one_value_that_is_true)
{
	fixture_script(LUA(
		same(tostring(kalix.null), "null")
		assert(kalix.null)
		same(kalix.json.decode("null"), kalix.null)
		same(kalix.json.encode(kalix.null), "null")
		same(getmetatable(kalix.null), false)
	));
}
END_TEST

START_TEST(a_list_is_the_table_itself_marked)
{
	fixture_script(LUA(
		local t = {1}
		same(kalix.list(t), t)
		same(kalix.list(t), t)
		same(#kalix.list(), 0)
		assert(not pcall(kalix.list, 5))
		assert(not pcall(kalix.list, setmetatable({}, {__metatable = 1})))
	));
}
END_TEST

START_TEST(sorted_walks_in_order_of_keys)
{
	fixture_script(LUA(
		local t = {b = 1, a = 2, [10] = 3, [9] = 4, [2.5] = 5, ["10"] = 6, [-1] = 7}
		local seen = {}
		for k, v in kalix.sorted(t) do
			seen[#seen + 1] = tostring(k) .. "=" .. v
			if k == "a" then t.b = nil end
		end
		same(table.concat(seen, " "), "-1=7 2.5=5 9=4 10=3 10=6 a=2")
		for k in kalix.sorted{} do error("none") end
		seen = {}
		for k, v in kalix.sorted(view{z = 1, y = {}}) do seen[#seen + 1] = k .. type(v) end
		same(table.concat(seen, " "), "ytable znumber")
		fails("kalix.sorted: a key that is a boolean has no order", kalix.sorted, {[true]
			= 1})
		local many, last = {}, ""
		for i = 1, 1000 do many["k" .. i] = i end
		local count = 0
		for k in kalix.sorted(many) do assert(last < k) last = k count = count + 1 end
		same(count, 1000)
	));
}
END_TEST

START_TEST(json_takes_schemas)
{
	fixture_script(LUA(
		local s = kalix.schema.record{a = kalix.schema.optional(kalix.schema.integer, 1)}
		same(kalix.json.decode("{}", s).a, 1)
		fails("json.encode: a: expected integer, got string of 1 character",
			kalix.json.encode, {a = "1"}, s)
		fails("json.decode: malformed JSON at line 2, column 2: expected a value",
			kalix.json.decode, "[\n x]")
		assert(not pcall(kalix.json.encode))
		assert(not pcall(kalix.json.decode, "1", {}))
		assert(not pcall(kalix.json.encode, 1, 5))
	));
}
END_TEST

START_TEST(base64_is_strict)
{
	fixture_script(LUA(
		local b = kalix.base64
		for n = 0, 40 do
			local text = ("\xff\0a"):rep(n):sub(1, n)
			same(b.decode(b.encode(text)), text)
		end
		same(b.encode("hello"), "aGVsbG8=")
		fails("base64.decode: not base64", b.decode, "aGVsbG8")
		fails("base64.decode: not base64", b.decode, "aGVs bG8=")
		same(#b.decode(b.encode(("x"):rep(100000))), 100000)
	));
}
END_TEST

START_TEST(hashes_are_those_of_xxh3)
{
	fixture_script(LUA(
		same(kalix.hash.xxh3(""), "2d06800538d394c2")
		same(kalix.hash.xxh3_128(""), "99aa06d3014798d86001c324468d497f")
	));
}
END_TEST

/* FIPS 180-2, and RFC 4231, cases 1, 2 and 6. */
START_TEST(hashes_for_signatures_are_those_of_the_standards)
{
	fixture_script(LUA(
		local h = kalix.hash
		same(h.sha256(""),
			"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
		same(h.sha256("abc"),
			"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
		same(h.sha256(("a"):rep(1000000)),
			"cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
		same(h.hmac_sha256(("\x0b"):rep(20), "Hi There"),
			"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
		same(h.hmac_sha256("Jefe", "what do ya want for nothing?"),
			"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
		same(h.hmac_sha256(("\xaa"):rep(131),
			"Test Using Larger Than Block-Size Key - Hash Key First"),
			"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
		same((pcall(h.sha256)), false)
		same((pcall(h.hmac_sha256, "key")), false)
	));
}
END_TEST
/* clang-format on */

Suite *value_library_suite(void)
{
	Suite *suite = suite_create("value_library");
	TCase *tcase = tcase_create("library");
	tcase_add_test(tcase, null_is_one_value_that_is_true);
	tcase_add_test(tcase, a_list_is_the_table_itself_marked);
	tcase_add_test(tcase, sorted_walks_in_order_of_keys);
	tcase_add_test(tcase, json_takes_schemas);
	tcase_add_test(tcase, base64_is_strict);
	tcase_add_test(tcase, hashes_are_those_of_xxh3);
	tcase_add_test(tcase, hashes_for_signatures_are_those_of_the_standards);
	suite_add_tcase(suite, tcase);
	return suite;
}
