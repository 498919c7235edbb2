/* Budgets end a run, whatever the script does against it. */
#include "base/mem.h"
#include "tests/unit/scripting/harness.h"
#include "tests/unit/scripting/suites.h"

#include <string.h>

static const char *const endless[] = {
    "while true do end",
    "local function f() return f() end f()",
    "while true do pcall(function() while true do end end) end",
    "while true do xpcall(function() while true do end end, function() while true do end end) end",
    "coroutine.wrap(function() while true do end end)()",
    "while true do coroutine.wrap(function() for i = 1, 900 do end end)() end",
    "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
    "local t = setmetatable({}, {__index = function() while true do end end}) return t.x",
    "c_call(function() while true do end end)",
    "while true do c_pcall(function() while true do end end) end",
    "table.sort({3, 2, 1}, function() while true do end end)",
    "(('x'):rep(10)):gsub('x', function() while true do end end)",
    "string.format('%s', setmetatable({}, {__tostring = function() while true do end end}))",
    "load(function() while true do end end)",
    "for _ in pairs(setmetatable({}, {__pairs = function() while true do end end})) do end",
    "return (('a'):rep(40)):find(('a?'):rep(40) .. ('a'):rep(40))",
    "return (('a'):rep(3000)):match('.-.-.-.-.-b')",
    "while true do (('a'):rep(100000)):find('b', 1, true) end",
    "while true do local s = ('x'):rep(100000) end",
    "while true do string.format('%99.99f', 1e308) end",
    "local t = {} for i = 1, 1000 do t[i] = i end while true do table.concat(t) end",
    "table.move({}, 1, math.maxinteger - 1, 2)",
    "table.insert(setmetatable({}, {__len = function() return math.maxinteger - 1 end}), 1, 1)",
    /* NOLINTNEXTLINE(bugprone-suspicious-missing-comma): one source on two lines */
    "return table.concat(setmetatable({}, {__len = function() return math.maxinteger end, __index "
    "= function() return '' end}))",
};

START_TEST(endless_work_runs_out)
{
	struct sandbox *sandbox = harness_new(1);
	const char *source = endless[_i];
	struct outcome outcome = harness_run(sandbox, &harness_budget, 0, false, source);
	ck_assert_msg(outcome.end == SANDBOX_ABORTED, "%s\nended as %d: %s", source, outcome.end,
	    outcome.text);
	ck_assert_int_eq(outcome.status, STATUS_RESOURCE_EXHAUSTED);
	ck_assert_msg(outcome.instructions < harness_budget.instructions * 3 / 2,
	    "%s\n%llu instructions", source, (unsigned long long)outcome.instructions);
	ck_assert_uint_lt(outcome.bytes_most, 2 * harness_budget.bytes);
	/* And the next run is not touched by it. */
	outcome = harness_run(sandbox, &harness_budget, 0, false, "return 'fine'");
	ck_assert_str_eq(outcome.text, "fine");
	sandbox_free(sandbox);
}
END_TEST

/* Whatever stands between the abort and us. */
static const char *const abort_ways[] = {
    "pcall(give_up, 'now') caught = 1",
    "pcall(pcall, give_up, 'now') error('caught')",
    "xpcall(give_up, function() error('caught') end, 'now') error('caught')",
    "xpcall(error, function() give_up('now') end) error('caught')",
    "xpcall(error, give_up, 'now') error('caught')",
    "coroutine.wrap(give_up)('now') error('caught')",
    "coroutine.resume(coroutine.create(give_up), 'now') error('caught')",
    "coroutine.wrap(function() pcall(give_up, 'now') error('caught') end)() error('caught')",
    "pcall(function() coroutine.wrap(function() pcall(coroutine.wrap(give_up), 'now') end)() end) "
    "error('caught')",
    "c_pcall(give_up, 'now') error('caught')",
    "pcall(c_call, pcall, give_up, 'now') error('caught')",
    "pcall(table.sort, {1, 2}, function() give_up('now') end) error('caught')",
    "pcall(string.gsub, 'x', 'x', function() give_up('now') end) error('caught')",
    "local t = setmetatable({}, {__index = function() give_up('now') end}) pcall(function() return "
    "t.x end) error('caught')",
    "pcall(tostring, setmetatable({}, {__tostring = function() give_up('now') end})) "
    "error('caught')",
    "pcall(string.format, '%s', setmetatable({}, {__tostring = function() give_up('now') end})) "
    "error('caught')",
    "pcall(error, setmetatable({}, {__tostring = function() give_up('now') end})) pcall(load, "
    "function() give_up('now') end) error('caught')",
    "for k in pcall, function() give_up('now') end do error('caught') end",
    "local t = setmetatable({}, {__newindex = function() give_up('now') end}) pcall(table.insert, "
    "t, 1) error('caught')",
    "local t = setmetatable({}, {__lt = function() give_up('now') end}) pcall(table.sort, {t, t}) "
    "error('caught')",
    "local t = setmetatable({}, {__eq = function() give_up('now') end}) pcall(function() return t "
    "== setmetatable({}, getmetatable(t)) end) error('caught')",
    "pcall(pairs, setmetatable({}, {__pairs = function() give_up('now') end})) error('caught')",
};

START_TEST(no_script_sees_that_it_is_ended)
{
	struct sandbox *sandbox = harness_new(1);
	for (uint64_t tick = 0; tick <= 2000; tick += 2000) {
		harness_tick_ns = tick;
		struct outcome outcome =
		    harness_run(sandbox, &harness_budget, 1, false, abort_ways[_i]);
		ck_assert_msg(outcome.end == SANDBOX_ABORTED, "%s: ended as %d: %s", abort_ways[_i],
		    outcome.end, outcome.text);
		ck_assert_int_eq(outcome.status, STATUS_FAILED_PRECONDITION);
		ck_assert_str_eq(outcome.text, "now");
	}
	sandbox_free(sandbox);
}
END_TEST

/* Each is what Lua itself finds too deep, and tries to swallow that. */
#define DEEP "local function deep(n) return 1 + deep(n + 1) end\n"
static const char *const depths[] = {
    DEEP "return deep(1)",
    DEEP "return pcall(deep, 1)",
    DEEP "while true do pcall(deep, 1) end",
    DEEP "return xpcall(deep, function() return 'handled' end, 1)",
    DEEP "return coroutine.resume(coroutine.create(deep), 1)",
    DEEP "return pcall(coroutine.wrap(deep), 1)",
    DEEP "return pcall(table.sort, {3, 2, 1}, function() return deep(1) end)",
    DEEP "return pcall(string.gsub, 'x', 'x', function() return deep(1) end)",
    DEEP "return c_pcall(deep, 1)",
    "local function f() return coroutine.wrap(f)() end return pcall(f)",
    "local function f() return coroutine.resume(coroutine.create(f)) end return f()",
    "local function f() return (('x'):gsub('x', f)) end return pcall(f)",
    "local function f() table.sort({1, 2, 3}, f) end return pcall(f)",
    "local t t = setmetatable({}, {__index = function(_, k) return t[k .. 'x'] end}) "
    "return pcall(function() return t.x end)",
    "local mt = {} mt.__len = function(a) return #a end return pcall(function() return "
    "#setmetatable({}, mt) end)",
    "local mt = {} mt.__lt = function(a, b) return a < b end local a, b = setmetatable({}, "
    "mt), setmetatable({}, mt) return pcall(function() return a < b end)",
    "local t = setmetatable({}, {__tostring = tostring}) return pcall(tostring, t)",
    "local function f() return xpcall(f, function(m) return 'handled' end) end return f()",
    "local function f() return c_call(f) end return pcall(f)",
    "local function f() return c_pcall(f) end return pcall(f)",
    "local function f() local ok, e = pcall(f) return error(e) end return pcall(f)",
};

START_TEST(too_deep_calls_end_the_run_and_cannot_be_caught)
{
	struct sandbox *sandbox = harness_new(1);
	for (uint32_t slice_us = 0; slice_us <= 1000; slice_us += 1000) {
		struct sandbox_budget budget = {.instructions = 100000000,
		    .run_ns = UINT64_MAX / 2,
		    .bytes = 256 * 1024 * 1024};
		harness_tick_ns = slice_us ? 2000 : 0;
		struct outcome outcome = harness_run(sandbox, &budget, slice_us, false, depths[_i]);
		ck_assert_msg(outcome.end == SANDBOX_ABORTED, "%s: ended as %d: %s", depths[_i],
		    outcome.end, outcome.text);
		ck_assert_int_eq(outcome.status, STATUS_RESOURCE_EXHAUSTED);
		ck_assert_str_eq(
		    outcome.text, "ran out of stack: too many calls inside each other");
		outcome = harness_run(sandbox, &harness_budget, 0, false, "return 'fine'");
		ck_assert_str_eq(outcome.text, "fine");
	}
	sandbox_free(sandbox);
}
END_TEST

#define NESTED                                                                                     \
	"local function deep(n, last) if n == 0 then return last() end return 1 + deep(n - 1, "    \
	"last) end\n"

START_TEST(calls_in_lua_are_bounded_and_lists_at_their_end_are_not)
{
	static const char ended[] = "ran out of stack: too many calls inside each other";
	harness_gives(NESTED
	    "return deep(7900, function() local t = {} for i = 1, 300000 do t[i] = i end "
	    "return #t end)",
	    "307900");
	harness_exhausts(NESTED "return deep(17000, function() return 1 end)", ended);
	/* In a coroutine it is another stack; and it may have many values, but not at any depth. */
	harness_gives(NESTED
	    "return deep(5000, function() return coroutine.wrap(deep)(5000, function() return 1 "
	    "end) end)",
	    "10001");
	harness_gives("local t = {} for i = 1, 240 do t[i] = i end\n"
	              "local function wide(n, ...) if n == 0 then return select('#', ...) end\n"
	              "  return (wide(n - 1, ...)) end return wide(900, table.unpack(t))",
	    "240");
	harness_exhausts("local t = {} for i = 1, 240 do t[i] = i end\n"
	                 "local function wide(n, ...) if n == 0 then return select('#', ...) end\n"
	                 "  return (wide(n - 1, ...)) end return wide(3000, table.unpack(t))",
	    ended);
}
END_TEST

/* What a script says of itself is its own error. */
START_TEST(an_error_that_speaks_of_stacks_is_an_error)
{
	harness_gives("local ok, e = pcall(error, 'stack overflow', 0) return e", "stack overflow");
	harness_gives(
	    "local ok, e = pcall(error, 'C stack overflow') return e", "C stack overflow");
	harness_gives("local ok, e = pcall(function() error('C stack overflow') end) return e",
	    "test.lua:1: C stack overflow");
	harness_gives(
	    "local ok, e = pcall(assert, false, 'stack overflow') return e", "stack overflow");
	harness_gives("local ok, e = xpcall(error, function(m) return m .. '!' end, 'stack "
	              "overflow', 0) return e",
	    "stack overflow!");
	harness_raises("error('my stack overflow', 0)", "my stack overflow");
}
END_TEST

static const char *const large[] = {
    "local t = {} for i = 1, 1e9 do t[i] = i end",
    "local t = {} for i = 1, 1e9 do t[i] = {} end",
    "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end",
    "local s = 'x' while true do s = s .. s end",
    "local s = 'x' while true do s = s..s..s..s..s..s..s..s end",
    "return ('x'):rep(1 << 30)",
    "return ('x'):rep(1 << 62)",
    "return ('x'):rep(1 << 20, ('y'):rep(1 << 20))",
    "return ('x'):rep(1 << 24):rep(1 << 24)",
    "local t = {} for i = 1, 1000 do t[i] = ('x'):rep(100000) end return table.concat(t)",
    "local s = ('x'):rep(1000000) return s:gsub('x', s)",
    "local s = ('x'):rep(1000000) return s:gsub('x', function() return s end)",
    "return ('%s'):rep(100):format(table.unpack((function() local t = {} for i = 1, 100 do t[i] = "
    "('x'):rep(1000000) end return t end)()))",
    "return string.pack('c100000000', 'x')",
    "return string.pack(('c1000000'):rep(100), table.unpack((function() local t = {} for i = 1, "
    "100 do t[i] = 'x' end return t end)()))",
    "local function f(n) return f(n + 1) + 1 end while true do local t = {} for i = 1, 100000 do "
    "t[i] = coroutine.create(f) end end",
    "local t = {} while true do t[#t + 1] = coroutine.wrap(function() local a = {} for i = 1, "
    "10000 do a[i] = i end coroutine.yield() end) t[#t]() end",
    "local t = {} while true do t = {t, t, t, t, {}, {}} t[{}] = {} end",
    "local f = function() end while true do local g = f f = function() return g end end",
    "local t = {} while true do t[#t + 1] = load('return function() return {1, 2, 3, 4} end') end",
    "local t = {} for i = 1, 100000 do t[i] = i end local u = {} while true do u[#u + 1] = "
    "table.pack(table.unpack(t, 1, 7000)) end",
    "local function f(...) return select('#', ...) > 1e9 or f(1, ...) end return f()",
};

START_TEST(memory_is_bounded_while_it_is_made)
{
	struct sandbox *sandbox = harness_new(1);
	/* As far as instructions go it may have all. */
	struct sandbox_budget budget = harness_budget;
	budget.instructions = 400000000;
	budget.bytes = 16 * 1024 * 1024;
	harness_tick_ns = 10000;
	struct outcome outcome = harness_run(sandbox, &budget, 1, false, large[_i]);
	ck_assert_msg(outcome.end == SANDBOX_ABORTED || outcome.end == SANDBOX_RAISED,
	    "%s: ended as %d: %s", large[_i], outcome.end, outcome.text);
	if (outcome.end == SANDBOX_ABORTED)
		ck_assert_int_eq(outcome.status, STATUS_RESOURCE_EXHAUSTED);
	/* One instruction may make so much before anybody looks. */
	ck_assert_msg(outcome.bytes_most <= 4 * budget.bytes, "%s: %llu bytes", large[_i],
	    (unsigned long long)outcome.bytes_most);
	outcome = harness_run(sandbox, &budget, 0, false, "return ('fine'):rep(1)");
	ck_assert_str_eq(outcome.text, "fine");
	sandbox_free(sandbox);
}
END_TEST

START_TEST(keys_of_one_table_are_bounded)
{
	static const char text[] = "made a table of more than 32768 keys";
	harness_gives("local t = {} for i = 1, 32768 do t['k' .. i] = i end return 'fine'", "fine");
	harness_gives("local t = {} for i = 1, 32768 do t[i + 0.5] = i end\n"
	              "for i = 1, 20 do t[i + 0.5] = nil t[-i] = i end return 'fine'",
	    "fine");
	harness_exhausts("local t = {} for i = 1, 32769 do t['k' .. i] = i end", text);
	harness_exhausts(
	    "local t = {} for i = 1, 32769 do t[{}] = i end return coroutine.wrap(print)", text);
	harness_exhausts(
	    "pcall(function() local t = {} for i = 1, 32769 do t[-i] = i end end)", text);
	harness_exhausts("local co = coroutine.wrap(function() local t = {}\n"
	                 "  for i = 1, 32769 do rawset(t, -i, 1) end end) co()",
	    text);
	/* Lists are not, also not those of a length that a table of keys could have. */
	harness_gives("local t = {} for i = 1, 393217 do t[i] = i end return #t", "393217");
	harness_gives("local t = {} for i = 200000, 1, -1 do if i <= 65000 then t[i] = i end end\n"
	              "return #t",
	    "65000");
}
END_TEST

START_TEST(garbage_is_not_memory_in_use)
{
	struct sandbox_budget budget = harness_budget;
	budget.bytes = 4 * 1024 * 1024;
	budget.instructions = 100000000;
	struct sandbox *sandbox = harness_new(1);
	struct outcome outcome = harness_run(sandbox, &budget, 0, false,
	    "for i = 1, 300 do local s = ('x'):rep(300000) end\n"
	    "for i = 1, 300000 do local t = {i, i} end return 'ok'");
	ck_assert_str_eq(outcome.text, "ok");
	sandbox_free(sandbox);
}
END_TEST

/* Each instruction that walks over long strings is looked at more closely. */
START_TEST(long_strings_shorten_the_interval)
{
	struct sandbox *sandbox = harness_new(1);
	harness_tick_ns = 1000000;
	struct outcome outcome = harness_run(sandbox, &harness_budget, 0, false,
	    "local a, b = ('\\0'):rep(4000000) .. 'a', ('\\0'):rep(4000000) .. 'b'\n"
	    "while a < b do end");
	ck_assert_int_eq(outcome.end, SANDBOX_ABORTED);
	ck_assert_str_eq(outcome.text, "ran out of running time (100 ms)");
	/* 100 looks, all of them after very few instructions; making them costs three million. */
	ck_assert_uint_lt(outcome.instructions, 3000000 + 2000);
	sandbox_free(sandbox);
}
END_TEST

START_TEST(what_is_left_over_is_told)
{
	struct sandbox *sandbox = harness_new(1);
	struct sandbox_budget budget = harness_budget;
	budget.instructions = 5000;
	struct outcome outcome = harness_run(sandbox, &budget, 0, false, "for i = 1, 10000 do end");
	ck_assert_str_eq(outcome.text, "ran out of instructions (5000)");
	ck_assert_uint_le(outcome.instructions, 5000 + SANDBOX_STEP);
	outcome = harness_run(sandbox, &budget, 0, false, "for i = 1, 1000 do end return 'in'");
	ck_assert_str_eq(outcome.text, "in");
	outcome = harness_run(sandbox, &budget, 0, false,
	    "local function inner() error({}) end\nlocal function outer() inner() end\nouter()");
	ck_assert_int_eq(outcome.end, SANDBOX_RAISED);
	ck_assert_ptr_nonnull(strstr(outcome.traceback, "(the error is a table value)"));
	ck_assert_ptr_nonnull(strstr(outcome.traceback, "test.lua:1: in upvalue 'inner'"));
	ck_assert_ptr_nonnull(strstr(outcome.traceback, "test.lua:3: in the file"));
	sandbox_free(sandbox);
}
END_TEST

/* Every allocation of our own and of Lua's may be refused: then it is an error, and nothing is
 * lost. */
START_TEST(a_failed_allocation_is_an_error)
{
	static const char source[] = "local t = {} for i = 1, 20 do t['k' .. i] = {i} end\n"
	                             "local s = '' for k, v in pairs(t) do s = s .. k .. v[1] end\n"
	                             "s = s:gsub('%d', function(d) return d .. d end)\n"
	                             "local co = coroutine.wrap(function() for i = 1, 3 do "
	                             "coroutine.yield(i) end end) co() co()\n"
	                             "pcall(error, {}) xpcall(error, function() return {} end)\n"
	                             "table.sort({3, 1, 2}, function(a, b) return a < b end)\n"
	                             "return load('return \"done\"')()";
	bool done = false;
	for (uint64_t nth = 1; !done; nth++) {
		struct sandbox *sandbox = NULL;
		struct sandbox_options options = {.seed = 1};
		mem_fail_at(nth);
		int error = sandbox_new(&options, &sandbox);
		if (error) {
			ck_assert_int_eq(error, ERR_NOMEM);
			ck_assert_ptr_null(sandbox);
			mem_fail_at(0);
			continue;
		}
		struct sandbox_run run;
		error = sandbox_run_begin(sandbox, &harness_budget, &run);
		if (error) {
			ck_assert_int_eq(error, ERR_NOMEM);
		} else {
			error = sandbox_compile(run.lua, slice_from_text(source), "@test.lua");
			ck_assert(error == 0 || error == ERR_NOMEM);
			int results;
			if (error == 0 && sandbox_run_resume(&run, 0, 0, &results) == SANDBOX_ENDED)
				done = mem_count() < nth;
			sandbox_run_end(&run);
		}
		mem_fail_at(0);
		sandbox_free(sandbox);
		ck_assert_uint_lt(nth, 20000);
	}
}
END_TEST

START_TEST(budgets_hold_after_a_run_that_they_ended)
{
	struct sandbox *sandbox = harness_new(1);
	for (int i = 0; i < 3; i++) {
		struct outcome outcome =
		    harness_run(sandbox, &harness_budget, 0, false, "while true do end");
		ck_assert_int_eq(outcome.end, SANDBOX_ABORTED);
		ck_assert_int_eq(outcome.status, STATUS_RESOURCE_EXHAUSTED);
	}
	sandbox_free(sandbox);
}
END_TEST

Suite *budget_suite(void)
{
	Suite *suite = suite_create("budget");
	TCase *tcase = tcase_create("budget");
	tcase_add_loop_test(tcase, endless_work_runs_out, 0, sizeof(endless) / sizeof(endless[0]));
	tcase_add_loop_test(
	    tcase, no_script_sees_that_it_is_ended, 0, sizeof(abort_ways) / sizeof(abort_ways[0]));
	tcase_add_loop_test(tcase, too_deep_calls_end_the_run_and_cannot_be_caught, 0,
	    sizeof(depths) / sizeof(depths[0]));
	tcase_add_test(tcase, calls_in_lua_are_bounded_and_lists_at_their_end_are_not);
	tcase_add_test(tcase, an_error_that_speaks_of_stacks_is_an_error);
	tcase_add_loop_test(
	    tcase, memory_is_bounded_while_it_is_made, 0, sizeof(large) / sizeof(large[0]));
	tcase_add_test(tcase, budgets_hold_after_a_run_that_they_ended);
	tcase_add_test(tcase, keys_of_one_table_are_bounded);
	tcase_add_test(tcase, garbage_is_not_memory_in_use);
	tcase_add_test(tcase, long_strings_shorten_the_interval);
	tcase_add_test(tcase, what_is_left_over_is_told);
	tcase_add_test(tcase, a_failed_allocation_is_an_error);
	suite_add_tcase(suite, tcase);
	return suite;
}
