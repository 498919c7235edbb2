/* Budgets end a run, whatever the script does against it. */
#include "tests/unit/scripting/harness.h"
#include "tests/unit/scripting/suites.h"

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

Suite *budget_suite(void)
{
	Suite *suite = suite_create("budget");
	TCase *tcase = tcase_create("budget");
	tcase_add_loop_test(tcase, endless_work_runs_out, 0, sizeof(endless) / sizeof(endless[0]));
	suite_add_tcase(suite, tcase);
	return suite;
}
