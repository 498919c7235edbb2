/* Pauses: wherever a script is when its slice ends, it goes on as if nothing had been. The clock
 * moves on by more than a slice at every look, so that each look is the end of one. */
#include "tests/unit/scripting/harness.h"
#include "tests/unit/scripting/suites.h"

#include <lua.h>
#include <stdio.h>
#include <string.h>

/* The budget of time is no matter here. */
static const struct sandbox_budget long_budget = {
    .instructions = 10000000, .run_ns = UINT64_MAX / 2, .bytes = 64 * 1024 * 1024};

/* In each of these at least so many pauses are made, at other places each time. */
#define WORK "local function work(n) local x = 0 for i = 1, n do x = x + i % 3 end return x end\n"
static const struct script {
	unsigned pauses_min;
	const char *source;
} scripts[] = {
    {10, WORK "return work(10000)"},
    {10, WORK "return coroutine.wrap(function() return work(10000) end)()"},
    {10, WORK
        "local function nest(n) if n == 0 then return work(10000) end\n"
        "  return coroutine.wrap(function() return nest(n - 1) + 1 end)() end return nest(20)"},
    {10, WORK
        "local co = coroutine.wrap(function(a) for i = 1, 20 do a = coroutine.yield(a + "
        "work(1000)) end return 'end' end)\n"
        "local sum = 0 for i = 1, 20 do sum = sum + co(i) end assert(co(1) == 'end') return sum"},
    {10, WORK "local ok, v = pcall(function() return work(10000) end) assert(ok) return v"},
    {10, WORK
        "local ok, e = pcall(function() work(10000) error('mine', 0) end) assert(not ok) return e"},
    {10, WORK "local ok, e = xpcall(function() work(10000) error('mine', 0) end, function(m) "
              "return m .. '!' end) return e"},
    {10, WORK
        "local t = {} for i = 1, 50 do t[i] = (i * 37) % 50 end\n"
        "table.sort(t, function(a, b) work(100) return a < b end) return table.concat(t, ',')"},
    {10, WORK "return (('abcdefghijklmnopqrst'):gsub('%w', function(c) work(1000) return c:upper() "
              "end))"},
    {10, WORK "local out = {} for w in ('a b c d e f g h i j k'):gmatch('%w') do work(1000) "
              "out[#out + 1] = w end return table.concat(out)"},
    {10, WORK "local t = setmetatable({}, {__index = function(_, k) return work(1000) + k end}) "
              "local s = 0 for i = 1, 20 do s = s + t[i] end return s"},
    {10, WORK "local mt = {} mt.__add = function(a, b) work(1000) return a end mt.__lt = "
              "function() work(1000) return true end\n"
              "mt.__eq = mt.__lt mt.__len = function() return work(1000) end mt.__unm = mt.__len "
              "mt.__call = mt.__len\n"
              "local a, b = setmetatable({}, mt), setmetatable({}, mt)\n"
              "for i = 1, 5 do local c = a + b assert(a < b and a == b) assert(#a > 0 and -a > 0 "
              "and a() > 0) end return 'ok'"},
    {10, WORK "local mt = {__newindex = function(t, k, v) work(1000) rawset(t, k, v) end} local t "
              "= setmetatable({}, mt) for i = 1, 20 do t[i] = i end return #t"},
    {10, WORK "local mt = {__pairs = function(t) work(5000) return next, {a = 1, b = 2}, nil end} "
              "local s = '' for k, v in pairs(setmetatable({}, mt)) do work(5000) s = s .. k .. v "
              "end return s"},
    {10, WORK "local function gen() return coroutine.wrap(function() for i = 1, 10 do work(500) "
              "coroutine.yield(i) end end) end\n"
              "local s = 0 for i in gen() do for j in gen() do s = s + i * j end end return s"},
    {10, WORK "local out = {} for i = 1, 10 do out[i] = coroutine.create(function() work(2000) "
              "coroutine.yield(i) work(2000) return i * 2 end) end\n"
              "local s = '' for _ = 1, 2 do for i = 1, 10 do local ok, v = "
              "coroutine.resume(out[i]) s = s .. v .. ' ' end end return s"},
    {10, WORK "return (('xyz'):gsub('.', function(c) return coroutine.wrap(function() local t = "
              "{3, 1, 2}\n"
              "  table.sort(t, function(a, b) return select(2, pcall(function() work(1000) return "
              "a < b end)) end) return table.concat(t) .. c end)() end))"},
    {10, "return (('a'):rep(200) .. 'b'):find('a*a*c') or 'none'"},
    {10, "return (('ab'):rep(20000)):match('^(.-)c') or 'none'"},
    {10, "return (('('):rep(20000) .. (')'):rep(19999)):find('%b()', 1)"},
    {10, "return (('a'):rep(4000000)):find('ab', 1, true) or 'none'"},
    {10, "local n = 0 for a, b in (('x'):rep(100)):gmatch('(x-)(x-)y') do n = n + 1 end return n"},
    {10,
        "local n = 0 for a in (('a'):rep(3000) .. 'bc'):gmatch('a-bd') do n = n + #a end return n"},
    {10, "return (('ab '):rep(5000):gsub('%w+', '%0%0'))"},
    {10, "return (('ab '):rep(5000):gsub('%w+', {ab = 'x'}))"},
    {10, "return (('ab '):rep(500):gsub('.-c', '%0%0'))"},
    {10, "return (('ab '):rep(50):gsub('b', function(b) return (('a'):rep(300)):match('.-c') or b "
         "end))"},
    {10, "return coroutine.wrap(function() return (('a'):rep(2000)):find('.-b') or 'none' end)()"},
    {10, "local t = {} for i = 1, 20000 do t[i] = i end return table.concat(t, ',')"},
    {10,
        "local t = {} for i = 1, 20000 do t[i] = i end table.insert(t, 3, 'x') return t[2] .. t[3] "
        ".. t[4] .. t[20001]"},
    {10, "local t = {} for i = 1, 20000 do t[i] = i end return table.remove(t, 3) .. t[2] .. t[3] "
         ".. t[19999] .. #t"},
    {10, "local t = {} for i = 1, 20000 do t[i] = i end table.move(t, 1, 20000, 3) local s = 0 "
         "for i = 1, #t do s = s * 31 % 1000003 + t[i] end return s"},
    {10, "local t = {} for i = 1, 20000 do t[i] = i end table.move(t, 3, 20000, 1) local s = 0 "
         "for i = 1, #t do s = s * 31 % 1000003 + t[i] end return s"},
    {10, "return #('abc'):rep(1000000) .. ('abc'):rep(1000000, ', '):sub(-20)"},
    {10, "local s = ('aBc'):rep(300000) return s:upper():sub(-9) .. s:lower():sub(-9) .. "
         "s:reverse():sub(-9)"},
    {1, WORK "return pcall(coroutine.wrap(function() work(5000) error({}) end))"},
    {1, WORK "local t = {} for i = 1, 3000 do t['k' .. i] = i end local s = 0 for k, v in pairs(t) "
             "do s = s + v end return s"},
};

START_TEST(a_paused_script_gives_what_an_unpaused_one_does)
{
	const struct script *script = &scripts[_i];
	struct sandbox *sandbox = harness_new(1);
	harness_tick_ns = 0;
	struct outcome whole = harness_run(sandbox, &long_budget, 0, false, script->source);
	ck_assert_uint_eq(whole.pauses, 0);
	harness_tick_ns = 2000;
	struct outcome pieces = harness_run(sandbox, &long_budget, 1, false, script->source);
	ck_assert_msg(whole.end == SANDBOX_ENDED, "%s\n%s", script->source, whole.text);
	ck_assert_msg(pieces.end == SANDBOX_ENDED, "%s\n%s", script->source, pieces.text);
	ck_assert_str_eq(whole.text, pieces.text);
	ck_assert_msg(
	    pieces.pauses >= script->pauses_min, "%s\n%u pauses", script->source, pieces.pauses);
	sandbox_free(sandbox);
}
END_TEST

/* One call each, behind what makes the table: how many pauses there are in it. */
START_TEST(sorting_and_walking_pause_in_the_middle)
{
	static const struct {
		const char *make, *call;
	} cases[] = {
	    {"local t = {} for i = 1, 20000 do t[i] = i * 7919 % 20011 end ",
	        "table.sort(t) local sum = 0 for i = 2, #t do assert(t[i - 1] < t[i]) end "},
	    {"local t = {} for i = 1, 20000 do t[i] = 'text ' .. i * 7919 % 20011 end ",
	        "table.sort(t) "},
	    {"local t = {} for i = 1, 20000 do t['key ' .. i] = i end ",
	        "local before for k in pairs(t) do assert(not before or before < k) before = k "
	        "if k == 'key 10001' then break end end "},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char source[1024];
		struct outcome outcomes[2];
		for (int with = 0; with < 2; with++) {
			struct sandbox *sandbox = harness_new(1);
			harness_tick_ns = 2000;
			snprintf(source, sizeof(source), "%s%sreturn 'done'", cases[i].make,
			    with ? cases[i].call : "");
			outcomes[with] = harness_run(sandbox, &long_budget, 1, false, source);
			ck_assert_str_eq(outcomes[with].text, "done");
			sandbox_free(sandbox);
		}
		ck_assert_uint_gt(outcomes[1].pauses, outcomes[0].pauses + 200);
	}
}
END_TEST

START_TEST(time_is_counted_over_all_slices)
{
	struct sandbox *sandbox = harness_new(1);
	harness_tick_ns = 1000000;
	struct outcome outcome =
	    harness_run(sandbox, &harness_budget, 1, false, "while true do pcall(error) end");
	ck_assert_int_eq(outcome.end, SANDBOX_ABORTED);
	ck_assert_str_eq(outcome.text, "ran out of running time (100 ms)");
	ck_assert_uint_gt(outcome.pauses, 10);
	ck_assert_uint_ge(outcome.run_ns, 100 * 1000000);
	ck_assert_uint_lt(outcome.run_ns, 105 * 1000000);
	sandbox_free(sandbox);
}
END_TEST

static void begin(struct sandbox *sandbox, struct sandbox_run *run, const char *source)
{
	ck_assert_int_eq(sandbox_run_begin(sandbox, &long_budget, run), 0);
	ck_assert_int_eq(sandbox_compile(run->lua, slice_from_text(source), "@test.lua"), 0);
}

START_TEST(runs_that_are_paused_do_not_disturb_each_other)
{
	enum { RUNS = 20 };
	struct sandbox *sandbox = harness_new(1);
	struct sandbox_run runs[RUNS];
	bool ended[RUNS] = {false};
	int left = RUNS, results;
	harness_tick_ns = 2000;
	for (int i = 0; i < RUNS; i++)
		begin(sandbox, &runs[i],
		    "local n = 0 local co = coroutine.wrap(function()\n"
		    "  for i = 1, 10 do for j = 1, 500 do n = n + 1 end coroutine.yield() end "
		    "end)\n"
		    "for i = 1, 10 do co() end return n");
	while (left > 0) {
		for (int i = 0; i < RUNS; i++) {
			if (ended[i] ||
			    sandbox_run_resume(&runs[i], 0, 1, &results) == SANDBOX_RUNNING)
				continue;
			ck_assert_int_eq(runs[i].end, SANDBOX_ENDED);
			ck_assert_int_eq(lua_tointeger(runs[i].lua, -1), 5000);
			sandbox_run_end(&runs[i]);
			ended[i] = true;
			left--;
		}
	}
	sandbox_free(sandbox);
}
END_TEST

START_TEST(a_paused_run_can_be_abandoned)
{
	struct sandbox *sandbox = harness_new(1);
	harness_tick_ns = 2000;
	for (int i = 0; i < 100; i++) {
		struct sandbox_run run;
		int results;
		begin(sandbox, &run,
		    "return (('abc'):gsub('.', function() return coroutine.wrap(function()\n"
		    "  table.sort({2, 1}, function() while true do pcall(error) end end) end)() "
		    "end))");
		for (int j = 0; j < i; j++)
			ck_assert_int_eq(sandbox_run_resume(&run, 0, 1, &results), SANDBOX_RUNNING);
		sandbox_run_end(&run);
		struct outcome outcome =
		    harness_run(sandbox, &long_budget, 1, false, "return 'fine'");
		ck_assert_str_eq(outcome.text, "fine");
	}
	while (sandbox_collect(sandbox))
		continue;
	sandbox_free(sandbox);
}
END_TEST

/* A script could keep a coroutine in an upvalue of its file: it must not reach another call. */
START_TEST(a_coroutine_belongs_to_its_run)
{
	struct sandbox *sandbox = harness_new(1);
	struct sandbox_run load, first, second;
	int results;
	harness_tick_ns = 2000;
	begin(sandbox, &load,
	    "local kept\n"
	    "return function(make)\n"
	    "  if make then kept = coroutine.create(function() while true do end end)\n"
	    "    return coroutine.resume(kept) end\n"
	    "  local ok, why = coroutine.resume(kept)\n"
	    "  return tostring(ok) .. ' ' .. why .. ' ' .. coroutine.status(kept)\n"
	    "end");
	ck_assert_int_eq(sandbox_run_resume(&load, 0, 0, &results), SANDBOX_ENDED);
	ck_assert_int_eq(sandbox_run_begin(sandbox, &long_budget, &first), 0);
	ck_assert_int_eq(sandbox_run_begin(sandbox, &long_budget, &second), 0);
	lua_pushvalue(load.lua, -1);
	lua_xmove(load.lua, first.lua, 1);
	lua_xmove(load.lua, second.lua, 1);
	sandbox_run_end(&load);
	lua_pushboolean(first.lua, true);
	ck_assert_int_eq(sandbox_run_resume(&first, 1, 1, &results), SANDBOX_RUNNING);
	ck_assert_int_eq(sandbox_run_resume(&first, 0, 1, &results), SANDBOX_RUNNING);
	lua_pushboolean(second.lua, false);
	ck_assert_int_eq(sandbox_run_resume(&second, 1, 0, &results), SANDBOX_ENDED);
	ck_assert_str_eq(
	    lua_tostring(second.lua, -1), "false cannot resume a coroutine of another call dead");
	ck_assert_int_eq(sandbox_run_resume(&first, 0, 1, &results), SANDBOX_RUNNING);
	sandbox_run_end(&second);
	sandbox_run_end(&first);
	sandbox_free(sandbox);
}
END_TEST

/* A fold inside of a command: a run of its own, in a C function that a script called. */
static int inner_run(lua_State *lua)
{
	struct sandbox *sandbox = sandbox_of(lua);
	struct sandbox_run *outer = sandbox_current(lua), run;
	int results;
	ck_assert_ptr_nonnull(outer);
	begin(sandbox, &run,
	    "for i = 1, 10000 do end return pcall(coroutine.yield) and 'yielded' or 'inner'");
	run.pure = true;
	while (sandbox_run_resume(&run, 0, 1, &results) == SANDBOX_RUNNING)
		continue;
	ck_assert_int_eq(run.end, SANDBOX_ENDED);
	lua_pushstring(lua, lua_tostring(run.lua, -1));
	sandbox_run_end(&run);
	ck_assert_ptr_eq(sandbox_current(lua), outer);
	return 1;
}

START_TEST(a_run_can_be_resumed_inside_another_one)
{
	struct sandbox *sandbox = harness_new(1);
	harness_tick_ns = 2000;
	lua_pushcfunction(sandbox_lua(sandbox), inner_run);
	sandbox_provide(sandbox, "inner_run");
	struct outcome outcome = harness_run(sandbox, &long_budget, 1, false,
	    "local s = '' for i = 1, 3 do s = s .. coroutine.wrap(function()\n"
	    "  for i = 1, 5000 do end return inner_run() end)() end return s");
	ck_assert_str_eq(outcome.text, "innerinnerinner");
	ck_assert_uint_gt(outcome.pauses, 5);
	sandbox_free(sandbox);
}
END_TEST

Suite *slice_suite(void)
{
	Suite *suite = suite_create("slice");
	TCase *tcase = tcase_create("slice");
	tcase_add_loop_test(tcase, a_paused_script_gives_what_an_unpaused_one_does, 0,
	    sizeof(scripts) / sizeof(scripts[0]));
	tcase_add_test(tcase, sorting_and_walking_pause_in_the_middle);
	tcase_add_test(tcase, time_is_counted_over_all_slices);
	tcase_add_test(tcase, runs_that_are_paused_do_not_disturb_each_other);
	tcase_add_test(tcase, a_paused_run_can_be_abandoned);
	tcase_add_test(tcase, a_coroutine_belongs_to_its_run);
	tcase_add_test(tcase, a_run_can_be_resumed_inside_another_one);
	suite_add_tcase(suite, tcase);
	return suite;
}
