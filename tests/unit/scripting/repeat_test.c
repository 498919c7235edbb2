/* What a script can see and catch depends on nothing that differs between two processes: addresses,
 * and the seed of Lua's hashes, which decides the order in which Lua itself walks a table. Else an
 * event's handler that catches an error could fold two states from the same events. */
#include "tests/unit/scripting/lazy_rig.h"
#include "tests/unit/scripting/lazy_suites.h"

#include <stdio.h>
#include <string.h>

enum { SANDBOXES = 16 };

/* clang-format off */
static const char head[] = LUA(
	local s = kalix.schema
	local out = {}
	local function note(...)
		for i = 1, select("#", ...) do out[#out + 1] = tostring((select(i, ...))) end
	end
	local function fail(f, ...)
		local fine, why = pcall(f, ...)
		assert(not fine, "no error")
		note(why)
	end
	local words = {"zeta", "alpha", "rho", "beta", "psi", "gamma", "omega", "delta", "mu",
		"kappa", "xi", "iota"}
	local function each(value)
		local t = {}
		for i, word in ipairs(words) do t[word] = value end
		return t
	end
);

/* Which of several wrong keys, or cycles, is named. */
static const char errors[] = LUA(
	local function encoders(value, schema)
		fail(kalix.json.encode, value)
		fail(pack, value, schema)
		fail(pack, view(value), schema)
	end
	encoders(each(print))
	local cyclic = each(1)
	for word in pairs(cyclic) do cyclic[word] = {cyclic} end
	encoders(cyclic)
	fail(copy, cyclic)
	fail(copy, each(print))
	fail(copy, {a = {[{}] = 1, [print] = 2, [true] = 3}})
	local deep = each(1)
	for word in pairs(deep) do
		local t = {}
		deep[word] = t
		for i = 1, 300 do t[word] = {} t = t[word] end
	end
	encoders(deep)
	fail(copy, deep)
	local mixed = each(1)
	for i, word in ipairs(words) do mixed[i * 3] = 1 end
	encoders(mixed)
	encoders({a = mixed})
	local others = {[true] = 1, [false] = 2, [{}] = 3, [print] = 4, [kalix.null] = 5,
		[1.5] = 6, [coroutine.create(print)] = 7}
	encoders(others)
	others[1.5] = nil
	encoders(others)
	others[true], others[false] = nil, nil
	encoders(others)
	encoders(kalix.list(each(1)))
	local broken = {}
	for i, word in ipairs(words) do broken[word .. string.rep(string.char(255), i)] = 1 end
	encoders(broken)
	local holes = {}
	for i, word in ipairs(words) do holes[i * 7] = word end
	encoders(holes)
	fail(pack, each(1), s.record{a = s.optional(s.string)})
	fail(pack, mixed, s.record{a = s.optional(s.string)})
	fail(pack, others, s.record{a = s.optional(s.string)})
	fail(pack, each(1), s.record({a = s.optional(s.string)}, {open = true}) and
		s.list(s.integer))
	fail(pack, each("x"), s.map(s.string, s.integer))
	fail(pack, each(1), s.map(s.integer, s.integer))
	fail(pack, each(1), s.map(s.string{max = 1}, s.integer))
	fail(pack, each(1), s.map(s.string{pattern = "%d+"}, s.integer))
	fail(pack, holes, s.map(s.integer{max = 3}, s.string))
	fail(pack, each(1), s.one_of{s.record{a = s.string}, s.list(s.any)})
	fail(s.record, each(1))
	fail(s.record, each(s.list))
	fail(s.record, mixed)
	fail(s.record, broken)
	fail(s.integer, each(1))
	fail(s.integer, others)
	fail(s.list, s.string, each(1))
	fail(kalix.sorted, others)
	fail(kalix.sorted, {[true] = 1, [print] = 2, [{}] = 3, x = 1})
);

/* Everything else that might tell. */
static const char others[] = LUA(
	note({}, print, coroutine.create(print), coroutine.running(), kalix.null, s.string,
		s.list(s.string), string.format("%s %s", {}, print), view{}, kalix.list{})
	fail(string.format, "%p", {})
	fail(string.format, "%q", {})
	fail(string.rep, {})
	fail(table.concat, {1, {}, print})
	fail(load, {})
	note(select(2, load("x = = 1")))
	note(select(2, pcall(error, {})))
	note(select(2, pcall(error)))
	fail(function() return {} < {} end)
	fail(function() return print .. "x" end)
	fail(function() local t = each(1) return t.alpha.beta.gamma end)
	fail(function()
		local t = {__index = function(_, k) error(k .. " is not there") end}
		return setmetatable({}, t).x
	end)
	local t = each(1)
	for i, word in ipairs(words) do t[i * 1.5] = i end
	for k, v in pairs(t) do note(k, v) end
	for k, v in next, t do note(k, v) end
	for k, v in kalix.sorted(t) do note(k, v) end
	note(next(t))
	local ties = {}
	for i, word in ipairs(words) do ties[i] = {i % 3, word} end
	table.sort(ties, function(a, b) return a[1] < b[1] end)
	for i, tie in ipairs(ties) do note(tie[2]) end
	table.sort(ties, function(a, b) return #a[2] % 2 == #b[2] % 3 end)
	for i, tie in ipairs(ties) do note(tie[2]) end
	note(string.gsub("zeta alpha none", "%a+", each("x")))
	note(kalix.hash.sha256(kalix.json.encode(each(kalix.list(words)))))
	note(pack(each({1, 2, {x = 1.5}})))
	local n = 0
	for i = 1, 300 do
		local l = {}
		for j = 1, i % 17 do l[#l + 1] = j end
		for j = 1, i % 5 do l[(i * 31 + j * 7) % 40] = j end
		for j = 1, i % 3 do l[(i * 7 + j) % 17] = nil end
		n = n * 31 + #l + select("#", table.unpack(l))
	end
	note(n)
);
/* clang-format on */

static void repeat(const char *body)
{
	static char source[16384];
	struct outcome first = {0};
	struct sandbox *all[SANDBOXES];
	snprintf(source, sizeof(source), "%s\n%s\nreturn table.concat(out, '\\n')", head, body);
	for (int i = 0; i < SANDBOXES; i++) {
		/* All stay: an interpreter's seed comes from its address. */
		all[i] = lazy_rig_new((uint64_t)i);
		struct outcome outcome = harness_run(all[i], &harness_budget, 0, true, source);
		ck_assert_msg(
		    outcome.end == SANDBOX_ENDED, "%s\n%s", outcome.text, outcome.traceback);
		ck_assert_msg(!strstr(outcome.text, "0x"), "%s", outcome.text);
		if (i == 0)
			first = outcome;
		ck_assert_str_eq(outcome.text, first.text);
	}
	for (int i = 0; i < SANDBOXES; i++)
		lazy_rig_free(all[i]);
}

START_TEST(errors_name_the_same_key_whatever_the_seed)
{
	repeat(errors);
}
END_TEST

START_TEST(nothing_tells_of_addresses_or_seeds)
{
	repeat(others);
}
END_TEST

Suite *repeat_suite(void)
{
	Suite *suite = suite_create("repeat");
	TCase *tcase = tcase_create("repeat");
	tcase_add_test(tcase, errors_name_the_same_key_whatever_the_seed);
	tcase_add_test(tcase, nothing_tells_of_addresses_or_seeds);
	suite_add_tcase(suite, tcase);
	return suite;
}
