/* Random schemas and random values: what comes back is what went, and compatibility keeps its
 * word. Schemas and values are made by a script, which describes each schema beside it. */
#include "tests/unit/scripting/value_fixture.h"
#include "tests/unit/scripting/value_suites.h"

/* clang-format off */
static const char generators[] = LUA(
	s = kalix.schema
	local letters = {"a", "b", "\u{e9}", "\u{1f600}", "\"", "\\", "\n", "\0", "1", "z"}
	local function pick(list) return list[draw(#list)] end
	function chance(n) return draw(n) == 1 end
	local function text(min, max)
		local out = {}
		for i = 1, min + draw(max - min + 1) - 1 do out[i] = pick(letters) end
		return table.concat(out)
	end
	local function number()
		return pick{0, 1, -1, 5, 127, 128, 255, 256, 65536, -33, math.maxinteger,
			math.mininteger, draw(1000)}
	end
	local function bounds(d, make)
		if chance(2) then d.min = make() end
		if chance(2) then d.max = make() end
		if d.min and d.max and d.min > d.max then d.min, d.max = d.max, d.min end
	end
	local names = {"a", "b", "c", "dd", "e", "ff"}
	local make = {}
	function make.any() return {kind = "any"} end
	function make.boolean() return {kind = "boolean"} end
	function make.timestamp() return {kind = "timestamp"} end
	function make.integer() local d = {kind = "integer"} bounds(d, number) return d end
	function make.number() local d = {kind = "number"} bounds(d, function() return number() /
		2 end) return d end
	function make.string()
		local d = {kind = "string"}
		if chance(4) then
			d.enum = {}
			for i = 1, draw(3) do d.enum[i] = text(0, 2) .. i end
		elseif chance(5) then
			d.pattern = "[ab]*"
		else
			bounds(d, function() return draw(5) - 1 end)
		end
		return d
	end
	function make.bytes() return {kind = "bytes", max = chance(2) and draw(5) or nil} end
	function make.list(depth)
		local d = {kind = "list", of = describe(depth - 1)}
		bounds(d, function() return draw(4) - 1 end)
		return d
	end
	function make.map(depth)
		return {kind = "map", key = chance(3) and make.integer() or make.string(), value =
			describe(depth - 1),
			max = chance(3) and draw(3) or nil}
	end
	function make.record(depth)
		local d = {kind = "record", fields = {}, optional = {}, open = chance(4)}
		for i = 1, draw(4) - 1 do
			local name = pick(names)
			d.fields[name] = describe(depth - 1)
			d.optional[name] = chance(2)
		end
		return d
	end
	function make.one_of(depth)
		local d = {kind = "one_of", of = {}}
		for i = 1, draw(3) do d.of[i] = describe(depth - 1) end
		return d
	end
	local scalars = {"any", "boolean", "timestamp", "integer", "number", "string", "bytes"}
	local all = {"any", "boolean", "timestamp", "integer", "number", "string", "bytes",
		"list", "map", "record", "one_of",
		"record", "list"}
	function describe(depth)
		return make[pick(depth > 0 and all or scalars)](depth)
	end

	function build(d)
		local o = {min = d.min, max = d.max}
		if d.kind == "any" or d.kind == "boolean" or d.kind == "timestamp" then return
			s[d.kind] end
		if d.kind == "integer" or d.kind == "number" or d.kind == "bytes" then return
			s[d.kind](o) end
		if d.kind == "string" then
			o.enum = d.enum
			o.pattern = d.pattern
			return s.string(o)
		end
		if d.kind == "list" then return s.list(build(d.of), o) end
		if d.kind == "map" then return s.map(build(d.key), build(d.value), o) end
		if d.kind == "one_of" then
			local of = {}
			for i, x in ipairs(d.of) do of[i] = build(x) end
			return s.one_of(of)
		end
		local fields = {}
		for name, x in kalix.sorted(d.fields) do
			fields[name] = d.optional[name] and s.optional(build(x)) or build(x)
		end
		return s.record(fields, {open = d.open})
	end

	local function whole(min, max)
		local v = number()
		if min and v < min then v = min end
		if max and v > max then v = max end
		return v
	end
	local value = {}
	function value.any(d, depth)
		local kind = pick{"boolean", "integer", "string", "null", "list", "map"}
		if kind == "null" then return kalix.null end
		if kind == "list" and depth > 0 then
			local out = kalix.list{}
			for i = 1, draw(3) - 1 do out[i] = value.any(d, depth - 1) end
			return out
		end
		if kind == "map" and depth > 0 then
			local out = {}
			for i = 1, draw(3) - 1 do out[pick(names)] = value.any(d, depth - 1) end
			return out
		end
		if kind == "integer" then return number() end
		if kind == "string" then return text(0, 4) end
		return chance(2)
	end
	function value.boolean() return chance(2) end
	function value.timestamp() return number() end
	function value.integer(d) return whole(d.min, d.max) end
	function value.number(d)
		if chance(2) then return d.min or d.max or number() / 3 end
		local v = whole(d.min and math.ceil(d.min), d.max and math.floor(d.max))
		if (d.min and v < d.min) or (d.max and v > d.max) then return d.min or d.max end
		return v
	end
	function value.string(d)
		if d.enum then return pick(d.enum) end
		if d.pattern then return ("ab"):rep(draw(3) - 1) end
		return text(d.min or 0, d.max or (d.min or 0) + 3)
	end
	function value.bytes(d)
		local out = {}
		for i = 1, draw((d.max or 5) + 1) - 1 do out[i] = string.char(draw(256) - 1) end
		return table.concat(out)
	end
	function value.list(d, depth)
		local out = {}
		local min = d.min or 0
		for i = 1, min + draw((d.max or min + 2) - min + 1) - 1 do out[i] = generate(d.of,
			depth) end
		return out
	end
	function value.map(d, depth)
		local out = {}
		for i = 1, draw((d.max or 3) + 1) - 1 do out[generate(d.key, depth)] =
			generate(d.value, depth) end
		return out
	end
	function value.record(d, depth)
		local out = {}
		for name, x in kalix.sorted(d.fields) do
			if not d.optional[name] or chance(2) then out[name] = generate(x, depth) end
			if d.optional[name] and out[name] == kalix.null then out[name] = nil end
		end
		if d.open and chance(2) then
			local name = pick(names)
			if not d.fields[name] then out[name] = value.any(nil, 1) end
		end
		return out
	end
	function value.one_of(d, depth) return generate(pick(d.of), depth) end
	function generate(d, depth) return value[d.kind](d, depth or 2) end

	local function clone(d)
		if type(d) ~= "table" then return d end
		local out = {}
		for k, v in pairs(d) do out[k] = clone(v) end
		return out
	end
	function change(d)
		local out = clone(d)
		if out.kind == "list" and chance(2) then out.of = change(out.of) return out end
		if out.kind == "map" and chance(2) then out.value = change(out.value) return out end
		if out.kind == "record" then
			local name = pick(names)
			local what = draw(4)
			if what == 1 and out.fields[name] then out.fields[name] =
			change(out.fields[name])
			elseif what == 2 then out.optional[name] = out.fields[name] and true
			elseif what == 3 then out.open = not out.open
			elseif out.fields[name] then out.fields[name] = nil
			else out.fields[name] = describe(1) out.optional[name] = chance(2) end
			return out
		end
		if chance(6) then return {kind = "one_of", of = {describe(1), out}} end
		if chance(8) then return {kind = "any"} end
		if out.kind == "integer" and chance(3) then out.kind = pick{"timestamp", "number"}
			end
		if out.enum then
			if chance(2) then out.enum[#out.enum + 1] = "more" else out.enum = nil end
			return out
		end
		out.pattern = chance(2) and out.pattern or nil
		if chance(2) then out.min = nil elseif out.min and math.type(out.min) == "integer"
			then
			out.min = math.max(0, out.min + draw(3) - 2)
		end
		if chance(2) then out.max = nil elseif out.max and math.type(out.max) == "integer"
			and out.max < 1000 then
			out.max = out.max + draw(3) - 2
		end
		return out
	end
);

START_TEST(random_values_come_back_the_same)
{
	struct lua_State *lua = fixture_new();
	fixture_run(lua, generators);
	fixture_run(lua, LUA(
		for i = 1, 4000 do
			local d = describe(3)
			local schema = build(d)
			local v = generate(d)
			local packed = pack(v, schema)
			local again = unpack(packed, schema, draw(2) == 1)
			same(pack(again, schema), packed)
			same(pack(copy(again), schema), packed)
			same(pack(view(again), schema), packed)
			local json = kalix.json.encode(v, schema)
			same(kalix.json.encode(again, schema), json)
			local read = kalix.json.decode(json, schema)
			same(kalix.json.encode(read, schema), json)
		end
	));
	fixture_free(lua);
}
END_TEST

START_TEST(compatibility_keeps_its_word)
{
	struct lua_State *lua = fixture_new();
	fixture_run(lua, generators);
	fixture_run(lua, LUA(
		local accepted, refused, broken = 0, 0, 0
		for i = 1, 6000 do
			local d = describe(3)
			local narrow = build(d)
			assert(accepts(narrow, narrow) or schema_text(narrow):find("one_of"),
			"not even itself")
			local changed = d
			for j = 1, draw(3) do changed = change(changed) end
			local made, wide = pcall(build, changed)
			if made then
				local ok, why = accepts(wide, narrow)
				if ok then accepted = accepted + 1 else refused = refused + 1 end
				for j = 1, 5 do
					local packed = pack(generate(d), narrow)
					local reads, what = pcall(unpack, packed, wide)
					if ok and not reads then
						error(schema_text(wide) .. " accepts " ..
						schema_text(narrow) .. " but: " .. what)
					end
					if not reads then broken = broken + 1 break end
				end
			end
		end
		assert(accepted > 500, accepted)
		assert(refused > 500, refused)
		assert(broken > 500, broken)
	));
	fixture_free(lua);
}
END_TEST

static const char both_ways[] = LUA(
	function both(f, ...)
		direct(true)
		local ok, a = pcall(f, ...)
		direct(false)
		local ok2, b = pcall(f, ...)
		same(ok, ok2)
		return ok, a, b
	end
);

/* The short way and the general one: the same bytes, the same values, the same errors. */
START_TEST(both_ways_agree)
{
	struct lua_State *lua = fixture_new();
	fixture_run(lua, generators);
	fixture_run(lua, both_ways);
	fixture_run(lua, LUA(
		local function agree(packed, schema, outside)
			local ok, a, b = both(unpack, packed, schema, outside)
			if not ok then same(a, b) return end
			local fine, x = pcall(pack, a, schema)
			local fine2, y = pcall(pack, b, schema)
			same(fine, fine2)
			same(x, y)
		end
		local function mutate(bytes)
			local at = draw(#bytes + 1)
			local what = draw(4)
			local byte = string.char(draw(256) - 1)
			local head = bytes:sub(1, at - 1)
			if what == 1 then return head .. byte .. bytes:sub(at + 1) end
			if what == 2 then return head .. byte .. bytes:sub(at) end
			if what == 3 then return head .. bytes:sub(at + 1) end
			return head
		end
		local last
		for i = 1, 3000 do
			local d = describe(3)
			local schema = build(d)
			if chance(2) then
				local made, wrapped = pcall(s.record, {value = schema, more =
					s.optional(s.map(s.string, s.any), {a = {1, {}}}),
					[("n"):rep(draw(40))] = s.optional(s.integer, 7)})
				schema = made and wrapped or schema
				d = {kind = "record", open = false, optional = {},
					fields = {value = d}}
			end
			local v = generate(d)
			local ok, a, b = both(pack, v, schema)
			same(a, b)
			for j = 1, 6 do
				agree(a, schema, chance(2))
				a = mutate(a)
			end
			agree(b, nil, chance(2))
			ok, a, b = both(pack, v)
			same(a, b)
			if last then
				ok, a, b = both(pack, last, schema)
				same(a, b)
			end
			last = chance(2) and v or nil
		end
		local many = {}
		for i = 1, 300 do
			many["k" .. ("x"):rep(draw(12) - 1) .. draw(1000)] = draw(70000) - 35000
			local ok, a, b = both(pack, many, s.map(s.string, s.integer))
			same(a, b)
			agree(a, s.map(s.string, s.integer), true)
		end
		local twice = string.char(0x82, 0xa1, 97, 1, 0xa1, 97, 2)
		local two = s.record {a = s.integer, b = s.optional(s.integer)}
		assert(not both(unpack, twice, two, false))
		assert(not both(unpack, twice, two, true))
		assert(not both(unpack, twice, s.map(s.string, s.integer), true))
		local apart = string.char(0x83, 0xa1, 98, 1, 0xa1, 97, 2, 0xa1, 98, 3)
		assert(not both(unpack, apart, s.map(s.string, s.integer), true))
		assert(not both(unpack, apart, nil, true))
		local before = direct(true)
		assert(before > 10000, before)
	));
	fixture_free(lua);
}
END_TEST

START_TEST(both_ways_of_json_agree)
{
	struct lua_State *lua = fixture_new();
	fixture_run(lua, generators);
	fixture_run(lua, both_ways);
	fixture_run(lua, LUA(
		local encode, decode = kalix.json.encode, kalix.json.decode
		local function agree(json, schema)
			local ok, a, b = both(decode, json, schema)
			if not ok then same(a, b) return end
			local fine, x = pcall(pack, a, schema)
			local fine2, y = pcall(pack, b, schema)
			same(fine, fine2)
			same(x, y)
		end
		local parts = {"{", "}", "[", "]", ",", ":", "null", "true", "\"", "\\", "-", "0",
			"1.5", "1e2", " ", "\n", "\u{e9}", "\xff", "\"a\":1", "\"a\"", "\\u0041",
				"9"}
		local function mutate(bytes)
			local at = draw(#bytes + 1)
			local what = draw(5)
			local head = bytes:sub(1, at - 1)
			if what == 1 then return head .. bytes:sub(at + 1) end
			if what == 2 then return head .. string.char(draw(256) - 1)
				.. bytes:sub(at) end
			if what == 3 then return head .. parts[draw(#parts)]
				.. bytes:sub(at + 1) end
			if what == 4 then return head .. parts[draw(#parts)] .. bytes:sub(at) end
			return head
		end
		local function spaced(json)
			return (json:gsub("[%[%]{},:]", function(mark) return
				chance(2) and " " .. mark .. "\t\n" or mark end))
		end
		local last
		for i = 1, 3000 do
			local d = describe(3)
			local schema = build(d)
			if chance(2) then
				local made, wrapped = pcall(s.record, {value = schema, more =
					s.optional(s.map(s.string, s.any), {a = {1, {}}}),
					[("n"):rep(draw(40))] = s.optional(s.integer, 7),
					[chance(4) and "q\"\\" or "at"] = s.optional(s.timestamp)})
				schema = made and wrapped or schema
				d = {kind = "record", open = false, optional = {},
					fields = {value = d}}
			end
			local v = generate(d)
			local ok, a, b = both(encode, v, schema)
			same(a, b)
			a = spaced(a)
			for j = 1, 6 do
				agree(a, schema)
				a = mutate(a)
			end
			agree(b)
			ok, a, b = both(encode, v)
			same(a, b)
			if last then
				ok, a, b = both(encode, last, schema)
				same(a, b)
			end
			last = chance(2) and v or nil
		end
		local before = direct(true)
		assert(before > 8000, before)
	));
	fixture_free(lua);
}
END_TEST

static const char edges[] = LUA(
	function agree(json, schema)
		local ok, a, b = both(kalix.json.decode, json, schema)
		if not ok then same(a, b) return end
		local x, y = kalix.json.encode(a, schema), kalix.json.encode(b, schema)
		same(x, y)
		return x
	end
);

START_TEST(both_ways_of_json_agree_on_numbers_and_records)
{
	struct lua_State *lua = fixture_new();
	fixture_run(lua, both_ways);
	fixture_run(lua, edges);
	fixture_run(lua, LUA(
		local s = kalix.schema
		local number, integer = s.list(s.number), s.list(s.integer)
		for _, digits in ipairs {"0", "-0", "00", "01", "-", "-01", "999999999999999999",
			"9223372036854775807", "9223372036854775808", "-9223372036854775808",
			"-9223372036854775809", "123456789012345678901234567890", "5.0", "5.5",
				"1e3",
			"1E3", "1e", "1.", "1e400", "0x1", "1 2", "+1", "1_0", "0.0", "-0.0",
				"1e-400"} do
			agree("[" .. digits .. "]", number)
			agree("[" .. digits .. "]", integer)
			agree("[" .. digits .. "]")
			agree(digits, s.integer)
			agree(digits, s.timestamp)
		end
		local record = s.record {a = s.integer, ab = s.optional(s.integer, 4), ["n\"m"] =
			s.optional(s.integer), [("x"):rep(15)] = s.optional(s.string),
			[("y"):rep(16)] = s.optional(s.string), [""] = s.optional(s.any)}
		local simple = s.record {a = s.integer, ab = s.optional(s.integer, 4),
			[("x"):rep(15)] = s.optional(s.string),
			[("y"):rep(16)] = s.optional(s.string),
				[("z"):rep(40)] = s.optional(s.string),
			[""] = s.optional(s.any)}
		for _, json in ipairs {'{"a":1}', '{"a":1,"a":1}', '{"a":1,}', '{,"a":1}',
			'{"a":null}',
			'{"a":1,"ab":null}', '{"ab":1,"a":2}', '{"n"m":1,"a":1}',
				'{"n\\"m":1,"a":1}',
			'{"a":1,"' .. ("x"):rep(15) .. '":"1"}', '{"a":1,"' .. ("x"):rep(16)
				.. '":"1"}',
			'{"a":1,"' .. ("y"):rep(16) .. '":"1"}', '{"a":1,"' .. ("y"):rep(15)
				.. '":"1"}',
			'{"a":1,"' .. ("z"):rep(40) .. '":"1"}', '{"a":1,"' .. ("z"):rep(39)
				.. '":"1"}',
			'{"a":1,"":[]}', '{"\\u0061":1}', '{"a":1', '{"a":', '{"a"', '{"a', '{', '',
				' ',
			'{"a":1}{', '{"a":1} ', '\t{ "a" : 1 }\r\n', '{"a":1}x', '{"a":1,"b":1}',
				'[1]',
			'{a:1}', '{"a" 1}', '{"a":1 "ab":2}', '{}', 'null', 'nul', '{"a":1,"":nul}',
			'{"a":1,"":nulll}', '{"a":1,"":tru}', '{"a":1,"":truefalse}'} do
			agree(json, record)
			agree(json, simple)
			agree(json)
		end
		local before = direct(true)
		assert(before > 40, before)
	));
	fixture_free(lua);
}
END_TEST

START_TEST(both_ways_of_json_agree_on_texts_and_depths)
{
	struct lua_State *lua = fixture_new();
	fixture_run(lua, both_ways);
	fixture_run(lua, edges);
	fixture_run(lua, LUA(
		local s = kalix.schema
		for _, text in ipairs {"", "plain", "caf\u{e9}", "\u{1f600}", "\"", "\\", "\0",
			"\1\31\127", "\u{e9}\n", "\n\u{e9}", ("long \u{e9} "):rep(100)} do
			local ok, a, b = both(kalix.json.encode, {text, [2] = text})
			same(a, b)
			same(agree(a), a)
			ok, a, b = both(kalix.json.encode, {[text] = 1})
			same(a, b)
			same(agree(a), a)
		end
		for _, text in ipairs {'"\xff"', '"\xc3"', '"\n"', '"\x1f"', '"', '"\\', '"\\u12"',
			'"\\ud800"',
			'"\xed\xa0\x80"', '"\x7f"'} do
			agree(text)
			agree(text, s.string)
			agree('{' .. text .. ':1}', s.map(s.string, s.integer))
		end
		for _, time in ipairs {'"2024-05-06T07:08:09Z"', '"2024-05-06"', '1', '1.0', '1.5',
			'true'} do
			agree(time, s.timestamp)
		end
		for depth = 120, 136 do
			agree(("["):rep(depth) .. ("]"):rep(depth))
			agree(("[{\"a\":"):rep(depth >> 1) .. "1" .. ("}]"):rep(depth >> 1))
		end
		local deep = 1
		for depth = 1, 130 do
			deep = depth % 2 == 0 and kalix.list{deep} or {a = deep}
			local ok, a, b = both(kalix.json.encode, deep)
			same(a, b)
		end
		local wide = {}
		for i = 1, 2000 do wide[i] = {i, -i * 1000003, i / 3, "t" .. i, {},
			kalix.list{}} end
		local ok, a, b = both(kalix.json.encode, wide)
		same(a, b)
		same(agree(a), a)
		ok, a, b = both(kalix.json.encode, "\xff\0 bytes", s.bytes)
		same(a, b)
		local counted = {s.list(s.any, {min = 1, max = 2}), s.map(s.string, s.any,
			{max = 1}),
			s.map(s.string {min = 2}, s.any), s.string {max = 3}, s.boolean}
		for _, schema in ipairs(counted) do
			for _, json in ipairs {'[]', '[1]', '[1,2,3]', '{}', '{"a":1}', '{"aa":1}',
				'{"a":1,"b":2}', '{"b":1,"a":2,"b":3}', '"abc"', '"abcd"', 'true',
					'false'} do
				agree(json)
				agree(json, schema)
			end
		end
		local before = direct(true)
		assert(before > 100, before)
	));
	fixture_free(lua);
}
END_TEST
/* clang-format on */

Suite *value_random_suite(void)
{
	Suite *suite = suite_create("value_random");
	TCase *tcase = tcase_create("random");
	tcase_add_test(tcase, random_values_come_back_the_same);
	tcase_add_test(tcase, both_ways_agree);
	tcase_add_test(tcase, both_ways_of_json_agree);
	tcase_add_test(tcase, both_ways_of_json_agree_on_numbers_and_records);
	tcase_add_test(tcase, both_ways_of_json_agree_on_texts_and_depths);
	tcase_add_test(tcase, compatibility_keeps_its_word);
	suite_add_tcase(suite, tcase);
	return suite;
}
