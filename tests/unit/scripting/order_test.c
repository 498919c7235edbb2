/* What must be the same in every repetition, whatever addresses, seeds and clocks are. */
#include "tests/unit/scripting/harness.h"
#include "tests/unit/scripting/suites.h"

#include <string.h>

static const char trace[] =
    "local t = {10, 20, 30, [0] = 0, [-5] = 'm', [2.5] = 'f', [1e300] = 'big', [math.huge] = "
    "'inf', [true] = 't', [false] = 'f'}\n"
    "for i = 1, 60 do t['key' .. (i * 7919) % 60] = i end\n"
    "for i = 1, 20 do t['key' .. i * 2] = nil end\n"
    "local out = {}\n"
    "for k, v in pairs(t) do out[#out + 1] = tostring(k) .. '=' .. tostring(v) end\n"
    "local k, v = next(t) while k ~= nil do out[#out + 1] = tostring(k) k, v = next(t, k) end\n"
    "out[#out + 1] = tostring({}) .. tostring(print)\n"
    "return table.concat(out, ' ')";

START_TEST(walks_of_two_sandboxes_are_the_same)
{
	struct outcome first = {0};
	for (uint64_t seed = 1; seed <= 3; seed++) {
		/* Something else before it, so that addresses differ. */
		struct sandbox *other = harness_new(seed);
		struct sandbox *sandbox = harness_new(seed);
		for (uint64_t i = 1; i < seed; i++)
			harness_run(sandbox, &harness_budget, 0, false,
			    "local t = {} for i = 1, 1000 do t[i] = {i} end");
		struct outcome outcome = harness_run(sandbox, &harness_budget, 0, true, trace);
		ck_assert_int_eq(outcome.end, SANDBOX_ENDED);
		if (seed == 1)
			first = outcome;
		ck_assert_str_eq(outcome.text, first.text);
		sandbox_free(sandbox);
		sandbox_free(other);
	}
	ck_assert_msg(
	    strncmp(first.text, "-5=m 0=0 1=10 2=20 2.5=f 3=30 ", 30) == 0, "%s", first.text);
}
END_TEST

START_TEST(keys_come_in_order)
{
	harness_gives(
	    "local function keys(t) local o = {} for k in pairs(t) do o[#o + 1] = tostring(k) end "
	    "return table.concat(o, ' ') end\n"
	    "local function nexts(t) local o = {} for k in next, t do o[#o + 1] = tostring(k) end "
	    "return table.concat(o, ' ') end\n"
	    "for _, f in ipairs { keys, nexts } do\n"
	    "  assert(f {} == '' and f {'a', 'b'} == '1 2' and f {b = 1, a = 2, ab = 3, [''] = 4} "
	    "== ' a ab b')\n"
	    "  assert(f {1, 2, nil, 4} == '1 2 4' and f {1, 2, x = 3} == '1 2 x')\n"
	    "  assert(f {[math.maxinteger] = 1, [math.mininteger] = 1, [0x1p63] = 1, [-0x1p70] = "
	    "1, [1.5] = 1} ==\n"
	    "    '-1.1805916207174e+21 -9223372036854775808 1.5 9223372036854775807 "
	    "9.2233720368548e+18')\n"
	    "  assert(f {abcdefgh1 = 1, abcdefgh0 = 1, abcdefgh = 1, ['abcdefg\\0'] = 1, abcdefg = "
	    "1} ==\n"
	    "    'abcdefg abcdefg\\0 abcdefgh abcdefgh0 abcdefgh1')\n"
	    "  local big = {} for i = 1, 500 do big['k' .. 1000 + (i * 331) % 500] = i end\n"
	    "  local last = '' for k in f == keys and pairs(big) or next, big do assert(k > last) "
	    "last = k end\n"
	    "  big = {} for i = 1, 100 do big[i] = i end big.x = 1 assert(f(big):find('^1 2 3 .* "
	    "100 x$'))\n"
	    "end\n"
	    "local n = 0 for k, v in pairs(library) do n = n + 1 assert(k == 'inner') end assert(n "
	    "== 1)\n"
	    "return 'ok'",
	    "ok");
}
END_TEST

START_TEST(a_walk_allows_what_lua_allows)
{
	harness_gives(
	    "local t = {} for i = 1, 100 do t['k' .. i] = i end\n"
	    "for k in pairs(t) do t[k] = nil end assert(next(t) == nil)\n"
	    "for i = 1, 100 do t['k' .. i] = i end for k in next, t do t[k] = nil end "
	    "assert(next(t) == nil)\n"
	    "for i = 1, 100 do t[i] = i end for k, v in pairs(t) do t[k] = v + 1 end assert(t[100] "
	    "== 101)\n"
	    "for k in pairs(t) do t = {} end\n"
	    "t = {a = 1, b = 2, c = 3} for k in pairs(t) do t.b = nil assert(k ~= 'b') end\n"
	    "t = {1, 2, 3} for k in pairs(t) do t[2] = nil assert(k ~= 2) end\n"
	    "t = {a = 1} assert(next(t, 'a') == nil and next(t, 'Z') == 'a' and next({}, nil) == "
	    "nil)\n"
	    "t = {a = 1, b = 2} assert(next(t, 'a') == 'b') t.c = 3 assert(next(t) == 'a' and "
	    "next(t, 'b') == 'c')\n"
	    "local many = {} for i = 1, 10 do many[i] = {x = i, y = i} end\n"
	    "for i = 1, 10 do for j = 1, 10 do assert(next(many[j], 'x') == 'y' and next(many[j], "
	    "'y') == nil) end end\n"
	    "assert(not pcall(next, {}, {}) and not pcall(pairs, nil) and not pcall(next, 1) and "
	    "not pcall(pairs))\n"
	    "local obj = {} t = {[obj] = 1, a = 2} local k = next(t, 'a') assert(k == obj and "
	    "next(t, k) == nil)\n"
	    "t = {[{}] = 1, [{}] = 2, x = 3} local n = 0 for k in pairs(t) do n = n + 1 end "
	    "assert(n == 3)\n"
	    "n = 0 for k in next, t do n = n + 1 end assert(n == 3)\n"
	    "local mt = setmetatable({a = 1}, {__index = {b = 2}}) for k in pairs(mt) do assert(k "
	    "== 'a') end\n"
	    "return 'ok'",
	    "ok");
}
END_TEST

START_TEST(what_cannot_be_repeated_is_refused_in_pure_runs)
{
	static const char *const sources[] = {
	    "return math.random()",
	    "math.randomseed(1)",
	    "for k in pairs {[{}] = 1, [{}] = 2} do end",
	    "return next {[{}] = 1, [{}] = 2}",
	    "return next({[{}] = 1, [{}] = 2, a = 1}, 'a')",
	};
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		struct sandbox *sandbox = harness_new(1);
		struct outcome outcome = harness_run(sandbox, &harness_budget, 0, true, sources[i]);
		ck_assert_msg(outcome.end == SANDBOX_RAISED, "%s", sources[i]);
		outcome = harness_run(sandbox, &harness_budget, 0, false, sources[i]);
		ck_assert_msg(outcome.end == SANDBOX_ENDED, "%s: %s", sources[i], outcome.text);
		sandbox_free(sandbox);
	}
}
END_TEST

START_TEST(random_numbers_follow_from_the_seed)
{
	static const char source[] = "local o = {} for i = 1, 20 do local n = math.random(1, 100) "
	                             "assert(n >= 1 and n <= 100) o[i] = n end\n"
	                             "local f = math.random() assert(f >= 0 and f < 1) "
	                             "assert(math.random(0) ~= math.random(0))\n"
	                             "math.randomseed(7) local a = math.random(1000000) "
	                             "math.randomseed(7) assert(a == math.random(1000000))\n"
	                             "return table.concat(o, ' ')";
	struct sandbox *sandbox = harness_new(1), *same = harness_new(1), *other = harness_new(2);
	struct outcome first = harness_run(sandbox, &harness_budget, 0, false, source);
	ck_assert_int_eq(first.end, SANDBOX_ENDED);
	struct outcome repeated = harness_run(same, &harness_budget, 0, false, source);
	struct outcome next = harness_run(sandbox, &harness_budget, 0, false, source);
	struct outcome differing = harness_run(other, &harness_budget, 0, false, source);
	ck_assert_str_eq(first.text, repeated.text);
	ck_assert_str_ne(first.text, next.text);
	ck_assert_str_ne(first.text, differing.text);
	sandbox_free(sandbox);
	sandbox_free(same);
	sandbox_free(other);
}
END_TEST

Suite *order_suite(void)
{
	Suite *suite = suite_create("order");
	TCase *tcase = tcase_create("order");
	tcase_add_test(tcase, walks_of_two_sandboxes_are_the_same);
	tcase_add_test(tcase, keys_come_in_order);
	tcase_add_test(tcase, a_walk_allows_what_lua_allows);
	tcase_add_test(tcase, what_cannot_be_repeated_is_refused_in_pure_runs);
	tcase_add_test(tcase, random_numbers_follow_from_the_seed);
	suite_add_tcase(suite, tcase);
	return suite;
}
