/* Lazy states and decoded ones: whatever a script does with either, it sees the same, and what is
 * written afterwards has the same bytes, or the same error. Schemas, values and edits are random;
 * `play` does the same edits to one state and to the other, and writes down all that it saw. */
#include "tests/unit/scripting/lazy_rig.h"
#include "tests/unit/scripting/lazy_suites.h"

/* clang-format off */
static const char makers[] = LUA(
	local s = kalix.schema
	local function pick(list) return list[draw(#list)] end
	local function chance(n) return draw(n) == 1 end
	local names = {"a", "b", "cc", "quantity", "some-longer-name", "x y", "z9", "\u{e9}"}
	local keys = {"a", "b", "sku-00000001", "sku-00000002", "sku-0000003", "zz", "\u{1f600}",
		"eight888", "", "a-key-that-is-longer-than-sixteen-bytes", "m", "n", "o", "p", "q",
		"__index", "__call", "__len",
		"sixteen-bytes-16", "an-even-longer-key-of-more-than-thirty-two-bytes"}
	local numbers = {0, 1, -1, 31, 127, 128, -32, -33, -128, -129, 255, 256, 65535, 65536,
		-32768, -32769, 4294967295, 4294967296, -2147483648, -2147483649,
		math.maxinteger, math.mininteger, 17, 12, 5}
	local function text()
		local n = pick{0, 1, 3, 8, 12, 16, 17, 31, 32, 40, 255, 256, 300}
		return (pick{"x", "abc", "\u{e9}"}):rep(n):sub(1, n * 2)
	end
	local describe
	local kinds = {}
	function kinds.integer() return {kind = "integer", min = chance(4) and -40 or nil} end
	function kinds.number() return {kind = "number", max = chance(4) and 70000 or nil} end
	function kinds.boolean() return {kind = "boolean"} end
	function kinds.timestamp() return {kind = "timestamp"} end
	function kinds.string()
		return {kind = "string", max = chance(4) and 20 or nil, pattern = chance(8) and
			"[a-zx]*" or nil}
	end
	function kinds.bytes() return {kind = "bytes"} end
	function kinds.any() return {kind = "any"} end
	function kinds.list(depth) return {kind = "list", of = describe(depth - 1)} end
	function kinds.map(depth)
		return {kind = "map", of = describe(depth - 1), max = chance(5) and 12 or nil,
			key = chance(5) and 17 or nil}
	end
	function kinds.record(depth)
		local d = {kind = "record", fields = {}, optional = {}, default = {}}
		for i = 1, draw(7) do
			local name = pick(names)
			local field = describe(depth - 1)
			d.fields[name] = field
			d.optional[name] = chance(3)
			d.default[name] = d.optional[name] and field.kind == "boolean" and
				chance(3)
		end
		return d
	end
	local scalars = {"integer", "integer", "number", "boolean", "timestamp", "string",
		"string", "bytes", "any"}
	local all = {"integer", "string", "number", "any", "any", "list", "map", "map", "record",
		"record", "boolean"}
	function describe(depth) return kinds[pick(depth > 0 and all or scalars)](depth) end
	local function build(d)
		if d.kind == "integer" then return s.integer{min = d.min} end
		if d.kind == "number" then return s.number{max = d.max} end
		if d.kind == "string" then return s.string{max = d.max, pattern = d.pattern} end
		if d.kind == "list" then return s.list(build(d.of)) end
		if d.kind == "map" then
			return s.map(s.string{max = d.key}, build(d.of), {max = d.max})
		end
		if d.kind ~= "record" then return s[d.kind] end
		local fields = {}
		for name, x in pairs(d.fields) do
			fields[name] = build(x)
			if d.optional[name] then
				fields[name] = d.default[name] and s.optional(fields[name], true)
					or s.optional(fields[name])
			end
		end
		return s.record(fields)
	end
	local values = {}
	local function generate(d, depth) return values[d.kind](d, depth) end
	function values.integer(d)
		local v = pick(numbers)
		if d.min and v < d.min then v = d.min end
		return v
	end
	function values.timestamp() return pick(numbers) end
	function values.number(d)
		local v = chance(2) and pick(numbers) or pick(numbers) / 3
		if d.max and v > d.max then v = d.max end
		return v
	end
	function values.boolean() return chance(2) end
	function values.string(d)
		if d.pattern then return ("abx"):rep(draw(4)) end
		local v = text()
		if d.max then v = ("y"):rep(draw(d.max)) end
		return v
	end
	function values.bytes()
		return pick{"", "\0\255", ("\200"):rep(255), ("q"):rep(256), "abc"}
	end
	function values.any(d, depth)
		local kind = draw(7)
		if kind == 1 then return pick(numbers) end
		if kind == 2 then return text() end
		if kind == 3 then return kalix.null end
		if kind == 4 then return pick(numbers) / 7 end
		if depth <= 0 or kind == 5 then return chance(2) end
		if kind == 6 then
			local out = kalix.list{}
			for i = 1, draw(5) - 1 do out[i] = values.any(d, depth - 1) end
			return out
		end
		local out = {}
		for i = 1, draw(9) - 1 do out[pick(keys)] = values.any(d, depth - 1) end
		return out
	end
	function values.list(d, depth)
		local out = {}
		for i = 1, draw(5) - 1 do out[i] = generate(d.of, depth - 1) end
		return out
	end
	function values.map(d, depth)
		local out = {}
		for i = 1, math.min(draw(chance(4) and 24 or 9), d.max or 99) - 1 do
			local key = pick(keys)
			if chance(2) then key = "k" .. draw(40) end
			if d.key and #key > d.key then key = "k" end
			out[key] = generate(d.of, depth - 1)
		end
		return out
	end
	function values.record(d, depth)
		local out = {}
		for name, x in pairs(d.fields) do
			if d.default[name] and not chance(6) or not d.optional[name] or
				chance(2) then
				out[name] = generate(x, depth - 1)
			end
			if d.optional[name] and out[name] == kalix.null then out[name] = nil end
		end
		return out
	end
	local function whole()
		local d
		repeat d = describe(3) until d.kind == "map" or d.kind == "record"
		if chance(6) then d = {kind = "any"} end
		local v
		repeat v = generate(d, 4) until type(v) == "table"
		return d, v
	end
);

static const char player[] = LUA(
	local function player_of(seed)
		local self = {log = {}, tables = {}}
		local state = seed
		local function roll(n)
			state = (state * 1103515245 + 12345) % 2147483648
			return (state >> 8) % n + 1
		end
		local function note(...)
			local parts = {}
			for i = 1, select("#", ...) do
				local v = select(i, ...)
				local kind = math.type(v) or type(v)
				if kind == "table" then
					local number
					for j = 1, #self.tables do
						if rawequal(self.tables[j], v) then number = j end
					end
					if not number then
						number = #self.tables + 1
						self.tables[number] = v
					end
					parts[i] = "table " .. number
				elseif kind == "float" then parts[i] = string.format("%a", v)
				elseif kind == "string" then
					parts[i] = string.format("%q", v)
				else parts[i] = kind .. " " .. tostring(v) end
			end
			self.log[#self.log + 1] = table.concat(parts, ",")
		end
		self.note = note
		self.roll = roll
		return self
	end
	local function moves(p, schema)
		local note, roll = p.note, p.roll
		local function some(list) return list[roll(#list)] end
		local function any_table() return some(p.tables) end
		local function key(t)
			local n = roll(10)
			if n == 1 then return some(keys) end
			if n == 2 then return "k" .. roll(40) end
			if n == 3 then return some{1, 2, 3, 1.5, true} end
			if n == 4 then return some(names) end
			local found = {}
			for i = 1, #p.known do
				local k = p.known[(i + roll(#p.known)) % #p.known + 1]
				if t[k] ~= nil then return k end
				if i > 6 then break end
			end
			return some(p.known)
		end
		local function value()
			local n = roll(14)
			if n == 1 then return nil end
			if n == 2 then return any_table() end
			if n == 3 then return {} end
			if n == 4 then return {roll(5), "x"} end
			if n == 5 then return {a = roll(300), ["sku-00000001"] = "new"} end
			if n == 6 then return kalix.list{} end
			if n == 7 then return kalix.null end
			if n == 8 then return some{"", "short", ("long"):rep(90)} end
			if n == 9 then return some{true, false} end
			if n == 10 then return some{1.5, 3.0, 0.1} end
			return some(numbers)
		end
		local m = {}
		function m.read() local t = any_table() note("read", t[key(t)]) end
		function m.read_known()
			local t = any_table()
			local k = some(p.known)
			note("read", k, t[k])
		end
		function m.write() local t = any_table() t[key(t)] = value() end
		function m.raise() local t = any_table() local k = key(t)
			if math.type(t[k]) == "integer" and t[k] < 1000 then t[k] = t[k] + 1 end end
		function m.same_kind()
			local t = any_table()
			local k = key(t)
			if type(t[k]) == "string" then t[k] = "t" .. roll(9) end
			if type(t[k]) == "boolean" then t[k] = not t[k] end
		end
		function m.remove() local t = any_table() t[key(t)] = nil end
		function m.walk() for k, v in pairs(any_table()) do note(k, v) end end
		function m.walk_next()
			local t = any_table()
			local k, v = next(t)
			while k ~= nil do note(k, v) k, v = next(t, k) end
		end
		function m.next_at() local t = any_table() note(next(t, key(t))) end
		function m.walk_list() for i, v in ipairs(any_table()) do note(i, v) end end
		function m.walk_sorted()
			for k, v in kalix.sorted(any_table()) do note(k, v) end
		end
		function m.foreign_step()
			local step = pairs({a = 1, b = 2, k1 = 3, quantity = 4})
			local t = any_table()
			note(step(t, nil))
			note(step(t, nil))
		end
		function m.foreign_list() local step = pairs({5, 6}) note(step(any_table(), 0)) end
		function m.change_on_walk()
			local t = any_table()
			for k in pairs(t) do if roll(3) == 1 then t[k] = nil end end
		end
		function m.length() local t = any_table() note(#t, rawlen(t)) end
		function m.rawget() local t = any_table() note(rawget(t, key(t))) end
		function m.rawset() local t = any_table() note(rawset(t, key(t), value())) end
		function m.rawequal()
			local a, b = any_table(), any_table()
			note(a == b, rawequal(a, b), a ~= b)
		end
		function m.type_of() local t = any_table() note(type(t), tostring(t)) end
		function m.metatable() note(getmetatable(any_table())) end
		function m.set_metatable()
			if roll(4) == 1 then
				local t = any_table()
				note(setmetatable(t, {__index = function(_, k) return nil end}))
			end
		end
		function m.through_index()
			local t = any_table()
			note(setmetatable({}, {__index = t})[key(t)])
		end
		function m.through_newindex()
			local t = any_table()
			local proxy = setmetatable({}, {__newindex = t})
			proxy[key(t)] = roll(9)
			note(next(proxy))
		end
		function m.as_metatable()
			local t = any_table()
			note(pcall(setmetatable, {}, t))
			note(pcall(function() return setmetatable({}, t).a end))
			note(pcall(function() return #setmetatable({1}, t) end))
		end
		function m.protected()
			local t = any_table()
			note(pcall(function() t[nil] = 1 end))
			note(pcall(function() t[0 / 0] = 1 end))
			note(pcall(function() return t[key(t)].nothing.more end))
			note(pcall(function() t.some.thing = 1 end))
			note(pcall(function() return t + 1 end))
			note(pcall(function() return t() end))
			note(pcall(function() return t < t end))
			note(pcall(function() return t .. "" end))
			note(t[nil], t[0 / 0], t[2^53])
		end
		function m.pack() note("pack", pcall(pack, any_table())) end
		function m.pack_root() note("root", pcall(pack, p.tables[1], schema)) end
		function m.json() note(pcall(kalix.json.encode, any_table())) end
		function m.json_root() note(pcall(kalix.json.encode, p.tables[1], schema)) end
		function m.copy()
			local done, c = pcall(copy, any_table())
			if done then note(pcall(pack, c)) else note(c) end
		end
		function m.insert() note(pcall(table.insert, any_table(), roll(9))) end
		function m.insert_at() note(pcall(table.insert, any_table(), 1, roll(9))) end
		function m.remove_last() note(pcall(table.remove, any_table())) end
		function m.move() note(pcall(table.move, any_table(), 1, 3, 2)) end
		function m.move_to() note(pcall(table.move, any_table(), 1, 2, 1, any_table())) end
		function m.concat() note(pcall(table.concat, any_table(), "-")) end
		function m.unpack() note(pcall(table.unpack, any_table())) end
		function m.unpack_to() note(pcall(table.unpack, any_table(), 1, 3)) end
		function m.sort() note(pcall(table.sort, any_table())) end
		function m.mark()
			if roll(3) == 1 then note(pcall(kalix.list, any_table())) end
		end
		function m.view()
			local t = any_table()
			local v = view(t)
			local k = key(t)
			note(type(v[k]), #v, rawlen(v), pcall(function() v[k] = 1 end))
			for k, x in pairs(v) do note(k, type(x)) end
		end
		function m.gsub() note((string.gsub("a b k1 cc", "%w+", any_table()))) end
		function m.coroutine()
			local t = any_table()
			local f = coroutine.wrap(function()
				coroutine.yield(t[key(t)])
				t[key(t)] = roll(99)
			end)
			note(f())
			f()
		end
		function m.record() note(pcall(kalix.schema.record, any_table())) end
		function m.one_of() note(pcall(kalix.schema.one_of, any_table())) end
		function m.enum() note(pcall(kalix.schema.string, {enum = any_table()})) end
		function m.options() note(pcall(kalix.schema.integer, any_table())) end
		function m.load() note(pcall(load("return a, b, quantity", "=x", "t",
			any_table()))) end
		function m.concat_format() note(string.format("%s", any_table())) end
		function m.garbage() local g for i = 1, 40 do g = {i, tostring(i) .. "x"} end end
		local list = {}
		for name in pairs(m) do list[#list + 1] = name end
		for i = 1, 12 do
			list[#list + 1] = "read"
			list[#list + 1] = "read_known"
			list[#list + 1] = "raise"
			list[#list + 1] = "same_kind"
		end
		for i = 1, 3 do list[#list + 1] = "pack_root" list[#list + 1] = "write" end
		return function()
			local name = some(list)
			note(name, pcall(m[name]))
		end
	end
	local function known_of(v, out)
		for k, x in pairs(v) do
			if type(k) == "string" then out[#out + 1] = k end
			if type(x) == "table" then known_of(x, out) end
		end
		return out
	end
	local function play(root, schema, seed, known, count)
		local p = player_of(seed)
		p.known = known
		p.note(root)
		local move = moves(p, schema)
		for i = 1, count do move() end
		p.note("end", pcall(pack, root, schema))
		p.note("end", pcall(pack, root))
		p.note("end", pcall(kalix.json.encode, root))
		return p.log
	end
	local function compare(bytes, schema, known, count)
		local seed = draw(2147483647)
		local lazily = play(stored(bytes, schema), schema, seed, known, count)
		local eagerly = play(unpack(bytes, schema), schema, seed, known, count)
		for i = 1, math.max(#lazily, #eagerly) do
			if lazily[i] ~= eagerly[i] then
				error("at " .. i .. " of seed " .. seed .. ": lazy: " ..
					tostring(lazily[i]):sub(1, 700) .. " eager: " ..
					tostring(eagerly[i]):sub(1, 700) .. " after " ..
					table.concat(lazily, "; ", math.max(1, i - 12), i - 1)
						:sub(-1500))
			end
		end
	end
);

START_TEST(what_scripts_see_and_write_is_the_same)
{
	struct sandbox *sandbox = lazy_rig_new(1000 + (uint64_t)_i);
	lazy_rig_run(sandbox, makers, player, LUA(
		local before, states = lazy_count(), 0
		for i = 1, 700 do
			local d, v = whole()
			local schema = build(d)
			if d.kind == "any" and chance(2) then schema = nil end
			local bytes = pack(v, schema)
			local known = known_of(v, {"a"})
			local from = lazy_count()
			local root = stored(bytes, schema)
			local bytes_again = pack(root, schema)
			if lazy_count() > from and bytes_again ~= bytes then
				error("other bytes") end
			if lazy_count() > from then states = states + 1 end
			for j = 1, 3 do compare(bytes, schema, known, draw(30)) end
		end
		assert(states > 250, states)
	));
	lazy_rig_free(sandbox);
}
END_TEST

/* Whatever was done to a value, made so it is what encoding and decoding give; and the tables that
 * it had are still in their places. */
START_TEST(a_value_is_made_what_storing_would_make_it)
{
	struct sandbox *sandbox = lazy_rig_new(3000 + (uint64_t)_i);
	lazy_rig_run(sandbox, makers, player, LUA(
		local function once(v, seen)
			assert(not seen[v])
			seen[v] = true
			for k, x in pairs(v) do if type(x) == "table" then once(x, seen) end end
		end
		local function equal(a, b, at)
			if type(a) ~= "table" or type(b) ~= "table" then
				if rawequal(a, b) and math.type(a) == math.type(b) then return end
				error(at .. ": " .. tostring(a) .. " / " .. tostring(b))
			end
			for k, x in pairs(a) do equal(x, b[k], at .. "." .. tostring(k)) end
			for k in pairs(b) do assert(a[k] ~= nil, at .. ": nothing under " .. k) end
			for j = #a, 1, -1 do a[j] = nil b[j] = nil end
			if next(a) == nil and kalix.json.encode(a) ~= kalix.json.encode(b) then
				error(at .. ": a mark is wrong") end
		end
		local made, refused = 0, 0
		for i = 1, 1500 do
			local d, v = whole()
			local schema = build(d)
			if d.kind == "any" and chance(2) then schema = nil end
			local bytes = pack(v, schema)
			local root = (chance(2) and stored or unpack)(bytes, schema)
			play(root, schema, draw(2147483647), known_of(v, {"a"}), draw(25))
			local fine, again = pcall(pack, root, schema)
			local fine2, why = pcall(make_stored, root, schema)
			if fine and type(root) == "table" then
				assert(fine2, why)
				local expected = unpack(again, schema)
				if pack(root, schema) ~= pack(expected, schema) then
					error("not stored the same") end
				once(root, {})
				equal(root, expected, "root")
				made = made + 1
			elseif not fine then
				refused = refused + 1
			end
		end
		assert(made > 600, made)
		assert(refused > 50, refused)
	));
	lazy_rig_free(sandbox);
}
END_TEST

/* Bytes that are no state: the same error, or the same value. */
START_TEST(broken_bytes_are_refused_the_same)
{
	struct sandbox *sandbox = lazy_rig_new(2000 + (uint64_t)_i);
	lazy_rig_run(sandbox, makers, player, LUA(
		local function mutate(bytes)
			local at = draw(#bytes + 1)
			local what = draw(5)
			local byte = string.char(draw(256) - 1)
			local head = bytes:sub(1, at - 1)
			if what == 1 then return head .. byte .. bytes:sub(at + 1) end
			if what == 2 then return head .. byte .. bytes:sub(at) end
			if what == 3 then return head .. bytes:sub(at + 1) end
			if what == 4 then
				local from = draw(#bytes + 1)
				return head .. bytes:sub(from, from + draw(20)) .. bytes:sub(at)
			end
			return head
		end
		local taken, refused, last = 0, 0, nil
		for i = 1, 500 do
			local d, v = whole()
			local schema = build(d)
			local bytes = pack(v, schema)
			for j = 1, 12 do
				local fine, a = pcall(unpack, bytes, schema)
				local from = lazy_count()
				local fine2, b = pcall(stored, bytes, schema)
				if fine ~= fine2 then
					error("one way takes what the other refuses") end
				if fine then
					local canonical, again = pcall(pack, a, schema)
					if lazy_count() > from and again ~= bytes then
						error("lazy, but encoding makes other bytes")
					end
					local canonical2, again2 = pcall(pack, b, schema)
					if canonical ~= canonical2 or again ~= again2 then
						error("written otherwise: " .. tostring(again2))
					end
					compare(bytes, schema, {"a", "b", "k1"}, draw(6))
					taken = taken + (lazy_count() - from > 0 and 1 or 0)
				else
					refused = refused + 1
					if a ~= b then error(a .. " / " .. b) end
				end
				if last and chance(9) then
					local fine, a = pcall(unpack, last, schema)
					local fine2, b = pcall(stored, last, schema)
					if fine ~= fine2 or (not fine and a ~= b) then
						error("of others") end
				end
				bytes = mutate(bytes)
			end
			last = bytes
		end
		assert(taken > 100, taken)
		assert(refused > 1000, refused)
	));
	lazy_rig_free(sandbox);
}
END_TEST
/* clang-format on */

Suite *lazy_random_suite(void)
{
	Suite *suite = suite_create("lazy_random");
	TCase *tcase = tcase_create("random");
	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, what_scripts_see_and_write_is_the_same, 0, UNIT_ROUNDS(4));
	tcase_add_loop_test(tcase, a_value_is_made_what_storing_would_make_it, 0, UNIT_ROUNDS(3));
	tcase_add_loop_test(tcase, broken_bytes_are_refused_the_same, 0, UNIT_ROUNDS(2));
	suite_add_tcase(suite, tcase);
	return suite;
}
