/* What random edits do not meet: the end of memory, garbage, plans that are forgotten, and which
 * states are lazy at all. */
#include "scripting/value.h"
#include "tests/unit/scripting/lazy_rig.h"
#include "tests/unit/scripting/lazy_suites.h"

#include <lua.h>

/* clang-format off */
static const char cart[] = LUA(
	local s = kalix.schema
	local cart = s.record {id = s.string, user = s.string, ver = s.integer,
		tags = s.optional(s.list(s.string)), note = s.optional(s.string, "none"),
		items = s.map(s.string, s.integer), more = s.map(s.string, s.record {
			sku = s.string, count = s.integer, price = s.number, name = s.string})}
	local function value(count)
		local v = {id = "1", user = "u", ver = 1, note = "x", tags = {"a", "b"}, items = {},
			more = {}}
		for i = 1, count do
			v.items["sku-0000" .. i] = i
			v.more["m" .. i] = {sku = "s" .. i, count = i, price = i / 3, name =
				("n"):rep(40)}
		end
		return v
	end
	local function is_lazy(bytes, schema)
		local before = lazy_count()
		stored(bytes, schema)
		return lazy_count() > before
	end
);

START_TEST(states_are_lazy_where_it_pays)
{
	struct sandbox *sandbox = lazy_rig_new(1);
	lazy_rig_run(sandbox, cart, "", LUA(
		local bytes = pack(value(3), cart)
		assert(is_lazy(bytes, cart))
		assert(is_lazy(bytes))
		assert(not is_lazy(pack({a = 1, b = 2}), nil))
		assert(not is_lazy(pack({1, 2, 3, 4, 5, 6, 7, ("x"):rep(99)}), nil))
		local absent = value(3)
		absent.note = nil
		absent = pack(absent, cart)
		assert(not is_lazy(absent, cart))
		assert(stored(absent, cart).note == "none")
		assert(not pcall(stored, bytes .. "x", cart))
		local plain = s.record {a = s.one_of {s.integer, s.string}, b = s.map(s.string,
			s.any)}
		assert(not is_lazy(pack({a = 1, b = value(9)}, plain), plain))
	));
	lazy_rig_free(sandbox);
}
END_TEST

START_TEST(a_map_that_was_stored_is_read_however_large_it_is)
{
	struct sandbox *sandbox = lazy_rig_new(1);
	lazy_rig_run(sandbox, "", "", LUA(
		local entries = {}
		for i = 1, 300000 do entries[i] = ("\xa8%08d\x01"):format(i) end
		local bytes = "\xdf" .. string.pack(">I4", #entries) .. table.concat(entries)
		local before = lazy_count()
		local v, sum = stored(bytes), 0
		assert(lazy_count() == before + 1)
		for k, n in pairs(v) do sum = sum + n end
		assert(sum == 300000)
		v["more"] = 1
		assert(unpack(bytes)["00300000"] == 1)
	));
	struct outcome outcome = harness_run(sandbox, &harness_budget, 0, false, LUA(
		local t = {}
		for i = 1, 300000 do t["k" .. i] = 1 end
	));
	ck_assert_int_eq(outcome.end, SANDBOX_ABORTED);
	lazy_rig_free(sandbox);
}
END_TEST

START_TEST(forms_that_encoding_does_not_use_are_not_lazy)
{
	struct sandbox *sandbox = lazy_rig_new(1);
	lazy_rig_run(sandbox, "", "", LUA(
		local function map(entries)
			local out = string.char(0x80 + #entries)
			for i = 1, #entries do out = out .. entries[i] end
			return out
		end
		local function of(value)
			local entries = {}
			for i = 1, 9 do entries[i] = "\xa2k" .. i .. "\xa4four" end
			entries[10] = "\xa2l0" .. value
			return map(entries)
		end
		local function is_lazy(bytes)
			local before = lazy_count()
			local v = stored(bytes)
			local lazy = lazy_count() > before
			assert(pack(v) == pack(unpack(bytes)))
			assert(lazy == (pack(v) == bytes))
			return lazy
		end
		assert(is_lazy(of("\x05")))
		local short = {"\xcc\x80", "\xcd\x01\x00", "\xce\x00\x01\x00\x00", "\xd0\xdf",
			"\xcf\x00\x00\x00\x01\x00\x00\x00\x00", "\xd1\xff\x7f",
				"\xd2\xff\xff\x7f\xff",
			"\xd3\xff\xff\xff\xff\x7f\xff\xff\xff", "\xa0", "\x90", "\x80", "\xc0",
			"\xc3", "\xcb\x40\x08\x00\x00\x00\x00\x00\x00", "\xe0",
			"\xd9\x20" .. ("x"):rep(32), "\xda\x01\x00" .. ("x"):rep(256)}
		for i = 1, #short do assert(is_lazy(of(short[i])), i) end
		local long = {"\xcc\x7f", "\xcd\x00\xff", "\xce\x00\x00\xff\xff", "\xd0\xe0",
			"\xd0\x05",
			"\xcf\x00\x00\x00\x00\xff\xff\xff\xff", "\xd1\xff\x80",
				"\xd2\xff\xff\x80\x00",
			"\xd3\xff\xff\xff\xff\x80\x00\x00\x00",
				"\xd3\x00\x00\x00\x00\x00\x00\x00\x05",
			"\xd9\x1f" .. ("x"):rep(31), "\xda\x00\xff" .. ("x"):rep(255),
			"\xdb\x00\x00\x01\x00" .. ("x"):rep(256), "\xdc\x00\x00", "\xde\x00\x00",
			"\xdd\x00\x00\x00\x01\x05", "\xdf\x00\x00\x00\x01\xa1a\x05",
			"\x82\xa1b\x01\xa1a\x01"}
		for i = 1, #long do assert(not is_lazy(of(long[i])), i) end
	));
	lazy_rig_free(sandbox);
}
END_TEST

/* Tables that are gone leave addresses to others; nodes are found by them. */
START_TEST(garbage_changes_nothing)
{
	struct sandbox *sandbox = lazy_rig_new(1);
	lazy_rig_run(sandbox, cart, "", LUA(
		local bytes = pack(value(60), cart)
		for round = 1, 30 do
			local state = stored(bytes, cart)
			for i = 1, 60 do
				local m = state.more["m" .. i]
				assert(m.count == i and m.sku == "s" .. i)
				m.count = m.count + round
				if i % 3 == 0 then state.more["m" .. i] = nil end
				for j = 1, 30 do local g = {j, {}} end
			end
			local again = unpack(pack(state, cart), cart)
			for i = 1, 60 do
				local m = again.more["m" .. i]
				if i % 3 == 0 then assert(m == nil)
				else assert(m.count == i + round and m.name == ("n"):rep(40)) end
			end
		end
	));
	lazy_rig_free(sandbox);
}
END_TEST

/* Which fields are decoded at once depends on the calls before; nothing else does. */
START_TEST(habits_change_nothing)
{
	struct sandbox *sandbox = lazy_rig_new(1);
	lazy_rig_run(sandbox, cart, "", LUA(
		local bytes = pack(value(5), cart)
		local function round(count, f)
			for i = 1, count do
				local state = stored(bytes, cart)
				f(state, i)
				local plain = unpack(bytes, cart)
				f(plain, i)
				assert(pack(state, cart) == pack(plain, cart))
			end
		end
		round(40, function(state) state.ver = state.ver + 1 end)
		round(600, function(state, i)
			if i % 2 == 0 then state.items.x = i else state.tags[3] = "c" end
			state.more.m1.count = i
		end)
		round(300, function(state, i)
			state.note = nil
			state.user = "user" .. i
			state.more = {}
		end)
		round(10, function(state) state.ver = nil state.ver = 5 end)
	));
	lazy_rig_free(sandbox);
}
END_TEST

/* More schemas than plans are kept for: all are made anew while tables are lazy. */
START_TEST(plans_are_forgotten_meanwhile)
{
	struct sandbox *sandbox = lazy_rig_new(1);
	lazy_rig_run(sandbox, cart, "", LUA(
		local bytes = pack(value(5), cart)
		local state = stored(bytes, cart)
		assert(state.more.m1.count == 1)
		for i = 1, 9000 do
			local r = s.record {["f" .. i] = s.integer, id = s.integer}
			unpack(pack({["f" .. i] = 1, id = 2}, r), r)
			if i % 2000 == 0 then state.more["m" .. math.tointeger(i / 2000)].count
				= i end
		end
		assert(state.id == "1" and state.items["sku-00005"] == 5)
		state.ver = 2
		local plain = value(5)
		plain.ver = 2
		for i = 1, 4 do plain.more["m" .. i].count = 2000 * i end
		assert(pack(state, cart) == pack(plain, cart))
	));
	lazy_rig_free(sandbox);
}
END_TEST

START_TEST(a_table_in_itself_is_refused)
{
	struct sandbox *sandbox = lazy_rig_new(1);
	lazy_rig_run(sandbox, cart, "", LUA(
		local any = s.map(s.string, s.any)
		local v = {a = {b = {c = 1, d = ("x"):rep(60)}}, e = 1, f = 2, g = 3, h = 4, i = 5}
		for _, schema in ipairs{any, s.any} do
			local state = stored(pack(v, schema), schema)
			state.a.b.me = state.a
			do local ok, why = pcall(pack, state, schema)
			assert(why == "a.b.me: a table inside itself", why) end
			state.a.b.me = nil
			assert(pack(state, schema) == pack(v, schema))
			state.a.b.me = state
			do local ok, why = pcall(pack, state, schema)
			assert(why == "a.b.me: a table inside itself", why) end
		end
	));
	lazy_rig_free(sandbox);
}
END_TEST

/* What is put somewhere else may be too deep there. */
START_TEST(depth_is_counted_where_it_stands)
{
	struct sandbox *sandbox = lazy_rig_new(1);
	lazy_rig_run(sandbox, "", "", LUA(
		local function nest(v, count)
			for i = 1, count do v = {x = v} end
			return v
		end
		local deep = nest({a = 1, b = 2, c = 3, d = 4, e = 5, f = ("f"):rep(40)}, 99)
		local bytes = pack({deep = deep, more = ("m"):rep(40), a = 1, b = 2, c = 3, d = 4})
		for move = 20, 40 do
			local results = {}
			for i, read in ipairs{stored, unpack} do
				local state = read(bytes)
				state.deep = nest(state.deep, move)
				local ok, text = pcall(pack, state)
				results[i] = ok and text or "failed: " .. text:sub(-40)
			end
			assert(results[1] == results[2], move)
			assert((results[1]:sub(1, 6) == "failed") == (move > 27), move)
		end
	));
	lazy_rig_free(sandbox);
}
END_TEST

START_TEST(what_encoding_leaves_out_or_refuses_is_not_lazy)
{
	struct sandbox *sandbox = lazy_rig_new(1);
	lazy_rig_run(sandbox, cart, "", LUA(
		local r = s.record {a = s.optional(s.any), m = s.map(s.string, s.integer),
			x = s.string}
		local m = {}
		for i = 1, 8 do m["key-000" .. i] = i end
		local bytes = pack({a = 5, m = m, x = ("x"):rep(60)}, r)
		assert(is_lazy(bytes, r))
		assert(bytes:sub(1, 4) == "\x83\xa1\x61\x05")
		local absent = "\x83\xa1\x61\xc0" .. bytes:sub(5)
		assert(not is_lazy(absent, r))
		local state = stored(absent, r)
		assert(state.a == nil)
		assert(pack(state, r) == pack({m = m, x = ("x"):rep(60)}, r))
		for i, key in ipairs{"key-0004", "key-0008"} do
			local broken = bytes:gsub((key:gsub("%-", "%%-")), key:sub(1, 7) .. "\xff")
			assert(broken ~= bytes and not is_lazy(broken, r))
			local ok, why = pcall(pack, stored(broken, r), r)
			local ok2, why2 = pcall(pack, unpack(broken, r), r)
			assert(not ok and not ok2 and why == why2, why)
		end
	));
	lazy_rig_free(sandbox);
}
END_TEST

START_TEST(constructors_of_schemas_see_its_fields)
{
	struct sandbox *sandbox = lazy_rig_new(1);
	lazy_rig_run(sandbox, cart, "", LUA(
		local bytes = pack(value(4), cart)
		local ok, why = pcall(s.record, stored(bytes, cart))
		assert(why:find("must be a schema", 1, true), why)
		ok, why = pcall(s.integer, stored(bytes, cart))
		assert(not ok and not why:find("without name", 1, true), why)
	));
	lazy_rig_free(sandbox);
}
END_TEST

START_TEST(counts_are_held_against_their_bounds)
{
	struct sandbox *sandbox = lazy_rig_new(1);
	lazy_rig_run(sandbox, cart, "", LUA(
		local r = s.record {m = s.map(s.string, s.integer, {max = 9}), x = s.string}
		local m = {}
		for i = 1, 8 do m["key-" .. i] = i end
		local bytes = pack({m = m, x = ("x"):rep(60)}, r)
		for i, read in ipairs{stored, unpack} do
			local state = read(bytes, r)
			state.m.nine = 9
			assert(unpack(pack(state, r), r).m.nine == 9)
			state.m.ten = 10
			local ok, got = pcall(pack, state, r)
			assert(not ok and got:find("m: expected map", 1, true), got)
			state.m["key-1"] = nil
			assert(unpack(pack(state, r), r).m.ten == 10)
			for k in pairs(state.m) do state.m[k] = nil end
			assert(next(unpack(pack(state, r), r).m) == nil)
		end
		local many = {}
		for i = 1, 20 do many["key-" .. i] = i end
		bytes = pack({m = many, x = ("x"):rep(60)})
		for left = 20, 0, -1 do
			local state = stored(bytes)
			for i = left + 1, 20 do state.m["key-" .. i] = nil end
			many["key-" .. left + 1] = nil
			assert(pack(state) == pack({m = many, x = ("x"):rep(60)}), left)
		end
	));
	lazy_rig_free(sandbox);
}
END_TEST

START_TEST(a_state_is_written_without_its_schema)
{
	struct sandbox *sandbox = lazy_rig_new(1);
	lazy_rig_run(sandbox, cart, "", LUA(
		local bytes = pack(value(4), cart)
		local with_bytes = s.record {a = s.bytes, b = s.string, m =
			s.map(s.string, s.integer)}
		local v = {a = "text", b = ("b"):rep(40), m = {a = 1, b = 2, c = 3, d = 4, e = 5}}
		for i, x in ipairs{{bytes, cart}, {pack(v, with_bytes), with_bytes}} do
			local function both(f)
				local state, plain = stored(x[1], x[2]), unpack(x[1], x[2])
				f(state)
				f(plain)
				assert(pack(state) == pack(plain))
				assert(kalix.json.encode({state}) == kalix.json.encode({plain}))
			end
			assert(is_lazy(x[1], x[2]))
			both(function() end)
			both(function(state) state.new = 1 end)
			both(function(state) for k, v in pairs(state) do end end)
			both(function(state) local a = state.items or state.m end)
			both(function(state) (state.items or state.m).new = 1 end)
			both(function(state) local a = state.more and state.more.m1.name end)
		end
	));
	lazy_rig_free(sandbox);
}
END_TEST
/* clang-format on */

/* A run that ends for lack of memory in the middle of anything leaves what others may use. */
START_TEST(the_end_of_memory_leaves_it_whole)
{
	struct sandbox *sandbox = lazy_rig_new(1);
	unsigned ended = 0, exhausted = 0;
	for (uint64_t kib = 20; kib < 1500; kib += kib / 20 + 1) {
		struct sandbox_budget budget = {.instructions = UINT64_C(1) << 40,
		    .run_ns = UINT64_C(1) << 60,
		    .bytes = kib * 1024};
		struct outcome outcome = harness_run(sandbox, &budget, 0, false, LUA(
			local any = {}
			local long = ("text"):rep(30)
			for i = 1, 400 do
				any["key-number-" .. i] = {a = i, b = long .. i, c = {i, i}, d = 1}
			end
			local bytes = pack(any)
			local state = stored(bytes)
			local sum = 0
			for k, v in pairs(state) do sum = sum + v.a + #v.c + #v.b end
			state["key-number-7"].a = 8
			assert(#pack(state) == #bytes)
			return sum));
		ck_assert_msg(
		    outcome.end != SANDBOX_RAISED, "%s\n%s", outcome.text, outcome.traceback);
		ended += outcome.end == SANDBOX_ENDED;
		exhausted += outcome.end == SANDBOX_ABORTED;
		if (outcome.end == SANDBOX_ENDED)
			ck_assert_str_eq(outcome.text, "130092");
	}
	ck_assert_uint_gt(ended, 0);
	ck_assert_uint_gt(exhausted, 0);
	lazy_rig_free(sandbox);
}
END_TEST

Suite *lazy_suite(void)
{
	Suite *suite = suite_create("lazy");
	TCase *tcase = tcase_create("states");
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, states_are_lazy_where_it_pays);
	tcase_add_test(tcase, a_map_that_was_stored_is_read_however_large_it_is);
	tcase_add_test(tcase, forms_that_encoding_does_not_use_are_not_lazy);
	tcase_add_test(tcase, garbage_changes_nothing);
	tcase_add_test(tcase, habits_change_nothing);
	tcase_add_test(tcase, plans_are_forgotten_meanwhile);
	tcase_add_test(tcase, a_table_in_itself_is_refused);
	tcase_add_test(tcase, depth_is_counted_where_it_stands);
	tcase_add_test(tcase, what_encoding_leaves_out_or_refuses_is_not_lazy);
	tcase_add_test(tcase, constructors_of_schemas_see_its_fields);
	tcase_add_test(tcase, counts_are_held_against_their_bounds);
	tcase_add_test(tcase, a_state_is_written_without_its_schema);
	tcase_add_test(tcase, the_end_of_memory_leaves_it_whole);
	suite_add_tcase(suite, tcase);
	return suite;
}
