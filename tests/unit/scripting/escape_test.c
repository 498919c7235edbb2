/* Each way out of a Lua sandbox that was published, restated as a test for ours, and the memory
 * errors of Debian's Lua 5.4.4 that plain scripts could reach. Under AddressSanitizer and valgrind
 * these tests must be silent, too. */
#include "base/clock.h"
#include "tests/unit/scripting/harness.h"
#include "tests/unit/scripting/suites.h"

#include <lua.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Redis CVE-2022-0543: the packager left `package`, and with it loadlib. */
START_TEST(no_library_leads_to_the_system)
{
	harness_gives(
	    "local seen, found = {}, {}\n"
	    "local function walk(t, path)\n"
	    "  if seen[t] then return end seen[t] = true\n"
	    "  for k, v in pairs(t) do\n"
	    "    local name = path .. '.' .. tostring(k)\n"
	    "    if tostring(k):find('^load[fl]') or k == 'execute' or k == 'popen' or k == "
	    "'open'\n"
	    "      or k == 'getinfo' or k == 'sethook' or k == 'getregistry' or k == 'dump'\n"
	    "      or k == 'searchers' then found[#found + 1] = name end\n"
	    "    if type(v) == 'table' then walk(v, name) end\n"
	    "  end\n"
	    "end\n"
	    "walk(_ENV, '_ENV') assert(seen[string] and seen[table])\n"
	    "return table.concat(found, ' ')",
	    "");
}
END_TEST

/* Redis CVE-2022-24735 and CVE-2025-46818: what one script changes (globals, libraries, the
 * metatables of basic types) another one runs. */
static const char *const changes[] = {
    "print = nil",
    "new_global = 1",
    "_G.print = nil",
    "_ENV.new_global = 1",
    "rawset(_G, 'print', nil)",
    "string.rep = nil",
    "string.new = 1",
    "rawset(string, 'rep', nil)",
    "table.insert(string, 1)",
    "table.insert(_G, 1)",
    "table.move({1}, 1, 1, 1, math)",
    "table.sort(setmetatable(string, {__len = function() return 2 end}))",
    "table.remove(coroutine, 0) coroutine[0] = 1",
    "setmetatable(_G, {})",
    "setmetatable(string, {})",
    "setmetatable(_G, nil)",
    "getmetatable('').__index = {}",
    "getmetatable('').__add = print",
    "getmetatable(_G).__newindex = nil",
    "getmetatable(string).__index = nil",
    "library.inner.answer = 1",
    "rawset(library.inner, 'answer', 1)",
    "library.inner = nil",
    "_G._G = nil",
};

START_TEST(what_all_scripts_share_cannot_be_changed)
{
	struct sandbox *sandbox = harness_new(1);
	struct outcome outcome = harness_run(sandbox, &harness_budget, 0, false, changes[_i]);
	ck_assert_msg(outcome.end == SANDBOX_RAISED, "%s: ended as %d", changes[_i], outcome.end);
	outcome = harness_run(sandbox, &harness_budget, 0, false,
	    "assert(print and string.rep and not string.new and not new_global and not _G[1])\n"
	    "assert(library.inner.answer == 42 and ('x'):rep(2) == 'xx' and not string[1])\n"
	    "assert(not coroutine[0] and math[1] == nil) return 'whole'");
	ck_assert_str_eq(outcome.text, "whole");
	sandbox_free(sandbox);
}
END_TEST

/* Redis CVE-2024-31449: a width that overflowed a buffer on the C stack. */
START_TEST(widths_and_precisions_are_bounded)
{
	harness_gives(
	    "for _, f in ipairs { '%100d', '%1000s', '%.100f', '%99999999999d', '%0000000000d',\n"
	    "    '%-+#0 -d', '%', '%1', '%.', '%p', '%n', '%ld', '%*d', '%5q' } do\n"
	    "  assert(not pcall(string.format, f, 1, 2), f)\n"
	    "end\n"
	    "assert(#string.format('%99.99f', -1e308) == 410)\n"
	    "assert(#string.format('%-99d', math.mininteger) == 99 and #string.format('%99s', 'x') "
	    "== 99)\n"
	    "assert(#string.format('%+99.99e', 1e-308) > 99 and #string.format('%99.99a', 1) > "
	    "90)\n"
	    "assert(#string.format('%s', ('x'):rep(100000)) == 100000)\n"
	    "return 'ok'",
	    "ok");
}
END_TEST

/* Redis CVE-2024-46981: finalizers that run while the interpreter is taken down. */
START_TEST(finalizers_never_run)
{
	static const char source[] =
	    "local finalized = 0\n"
	    "local mt = {__gc = function() finalized = finalized + 1 end,\n"
	    "  __mode = 'k', __close = print, __concat = function() return 'joined' end}\n"
	    "for i = 1, 10000 do setmetatable({}, mt) end\n"
	    "local t = setmetatable({}, mt) mt.__gc = print mt.__mode = 'v'\n"
	    "assert(not pcall(function() return t .. 'x' end))\n"
	    "t[1] = {} t[{}] = 1\n"
	    "for i = 1, 300 do local s = ('x'):rep(10000) end\n"
	    "local n = 0 for _ in pairs(t) do n = n + 1 end assert(n == 2)\n"
	    "assert(not pcall(load, 'local x <close> = ...', 'c', 't') or\n"
	    "  not pcall(load('local x <close> = ...'), t))\n"
	    "return finalized";
	struct sandbox *sandbox = harness_new(1);
	struct outcome outcome = harness_run(sandbox, &harness_budget, 0, false, source);
	ck_assert_str_eq(outcome.text, "0");
	while (sandbox_collect(sandbox))
		continue;
	sandbox_free(sandbox);
}
END_TEST

/* Redis CVE-2025-46817: the count of unpack overflows. */
START_TEST(ranges_do_not_overflow)
{
	harness_gives(
	    "local min, max = math.mininteger, math.maxinteger\n"
	    "for _, r in ipairs { {min, max}, {-2, 2147483647}, {0, max}, {1, max}, {max - 7999, "
	    "max}, {min, 0},\n"
	    "    {2147483646, 2147483647 + 8000}, {1, 8001} } do\n"
	    "  if r[2] - r[1] ~= 7999 then assert(not pcall(table.unpack, {}, r[1], r[2])) end\n"
	    "end\n"
	    "assert(select('#', table.unpack({}, max - 5, max)) == 6 and select('#', "
	    "table.unpack({}, min, min + 5)) == 6)\n"
	    "assert(select('#', table.unpack({}, 1, 8000)) == 8000 and select('#', "
	    "table.unpack({}, max, min)) == 0)\n"
	    "local s = ('x'):rep(20000)\n"
	    "assert(not pcall(string.byte, s, 1, -1) and not pcall(utf8.codepoint, s, 1, -1))\n"
	    "assert(#s:sub(min, max) == 20000 and s:sub(max, min) == '' and s:find('x', max) == "
	    "nil and s:byte(min) == nil)\n"
	    "assert(not pcall(select, min) and select('#', select(max, 1)) == 0)\n"
	    "assert(not pcall(table.move, {}, min, max, 1) and not pcall(table.move, {}, 1, max, "
	    "2) and not pcall(table.insert, {}, max, 1))\n"
	    "assert(not pcall(table.concat, {}, '', min, min + 1))\n"
	    "assert(not pcall(table.concat, setmetatable({}, {__index = function(_, k) if k > 0 "
	    "then return 'x' end end}), '', max - 1, max) == false)\n"
	    "assert(math.random(min, max) and not pcall(math.random, 1, 0) and not "
	    "pcall(math.random, max, min))\n"
	    "assert(not pcall(string.pack, 'c9223372036854775807', 'x') and not "
	    "pcall(string.unpack, 'c99999999999', 'x'))\n"
	    "assert(not pcall(string.packsize, 'c2147483647c2147483647') and not "
	    "pcall(string.pack, 'i17', 1) and not pcall(string.pack, '!99i4', 1))\n"
	    "assert(not pcall(string.unpack, 's8', ('\\255'):rep(8)) and not pcall(string.unpack, "
	    "'i4', 'abcd', max))\n"
	    "return 'ok'",
	    "ok");
}
END_TEST

/* Redis CVE-2025-46819: reading past the end of a long bracket that is not one. */
START_TEST(sources_that_end_early_are_refused)
{
	harness_gives(
	    "for _, s in ipairs { '[', '[=', '[==', '[=[', '[[', '--[', '--[=[', '--[[', '\"', "
	    "'\"\\\\',\n"
	    "    '\"\\\\x', '\"\\\\u{', '\"\\\\z', \"'\", '0x', '1e', 'a.', 'a:', '::', '~', "
	    "'[==[]=]', '[=x',\n"
	    "    'return [=' .. ('='):rep(10000), '\\27Lua', 'goto', 'local x <' } do\n"
	    "  assert(load(s) == nil or s:find('^%-%-%['), s)\n"
	    "end\n"
	    "assert(load('--') and load('') and load('return [==[\\n]=]]==]')() == ']=]')\n"
	    "return 'ok'",
	    "ok");
}
END_TEST

/* Redis CVE-2025-49844: the name of a chunk is collected while the chunk is parsed. */
START_TEST(a_chunk_keeps_what_it_is_parsed_from)
{
	harness_gives("local parts = {} for i = 1, 300 do parts[i] = ('local a%d = \"%d\" .. %d "
	              "'):format(i % 100, i, i) end\n"
	              "local body = 'do ' .. table.concat(parts, ' end do ') .. ' end return ...'\n"
	              "for i = 1, 50 do\n"
	              "  local f = load(body:sub(1), ('name %d'):format(i) .. ('x'):rep(i))\n"
	              "  local junk = ('y'):rep(i * 100) .. i\n"
	              "  assert(f(i) == i)\n"
	              "end\n"
	              "local n = 0\n"
	              "local f = load(function() n = n + 1 local s = ('z'):rep(1000) return n < "
	              "1000 and 'local x=1 ' .. '\\n' or nil end, 'n' .. n)\n"
	              "return f and 'ok' or 'refused'",
	    "refused");
}
END_TEST

/* Bytecode is trusted by Lua: with it memory can be read and written. */
START_TEST(bytecode_is_refused)
{
	harness_gives("local head = '\\27Lua\\x54\\0\\x19\\x93\\r\\n\\x1a\\n'\n"
	              "for _, mode in ipairs { 'b', 't', 'bt' } do\n"
	              "  assert(load(head, 'x', mode) == nil)\n"
	              "  local sent = false\n"
	              "  assert(load(function() if not sent then sent = true return head end end, "
	              "'x', mode) == nil)\n"
	              "end return 'ok'",
	    "ok");
}
END_TEST

/* Lua CVE-2021-43519: recursion of errors and resumes that runs out of C stack. */
START_TEST(recursion_through_c_ends_as_an_error)
{
	static const char *const sources[] = {
	    "local function f() return coroutine.wrap(f)() end return pcall(f)",
	    /* NOLINTNEXTLINE(bugprone-suspicious-missing-comma): one source on two lines */
	    "local function f() local ok, e = pcall(coroutine.wrap(f)) error(e, 0) end return "
	    "pcall(f)",
	    "local function f() return coroutine.resume(coroutine.create(f)) end return f()",
	    "local function f() return pcall(f) end return f()",
	    "local function f() return xpcall(f, f) end return f()",
	    "local function f() return xpcall(error, f) end return f()",
	    "local function f(m) return xpcall(error, f, m) end return f('x')",
	    "local function f() return (('x'):gsub('x', f)) end return pcall(f)",
	    "local function f() table.sort({1, 2, 3}, f) end return pcall(f)",
	    "local t = {} t = setmetatable({}, {__index = function(_, k) return t[k .. 'x'] end}) "
	    "return pcall(function() return t.x end)",
	    "local t = setmetatable({}, {__tostring = tostring}) return pcall(tostring, t)",
	    "local t = setmetatable({}, {}) for i = 1, 5000 do t = setmetatable({}, {__index = t}) "
	    "end return pcall(function() return t.x end)",
	    "local function f() return load('return ...')(pcall(f)) end return pcall(f)",
	    "local function f() return c_call(f) end return pcall(f)",
	    "local function f() return c_pcall(f) end return pcall(f)",
	    "local mt = {} mt.__lt = function(a, b) return a < b end local a, b = setmetatable({}, "
	    "mt), setmetatable({}, mt) return pcall(function() return a < b end)",
	    "local mt = {} mt.__len = function(a) return #a end return pcall(function() return "
	    "#setmetatable({}, mt) end)",
	    "return pcall(string.rep, setmetatable({}, {__name = ('n'):rep(1000)}))",
	    "local function f() local ok, e = pcall(f) return error(e) end return pcall(f)",
	    "local s = 'return ' .. ('('):rep(180) .. '1' .. (')'):rep(180) return load(s)",
	    "local s = 'return ' .. ('{'):rep(180) .. ('}'):rep(180) return load(s)",
	    "local s = ('function f() '):rep(30) .. ('end '):rep(30) return load(s)",
	    "local s = 'return ' .. ('-'):rep(5000):gsub('-', '- ') .. '1' return load(s)",
	    "local s = 'return ' .. ('not '):rep(2000) .. '1' return load(s)",
	    "local s = 'return 1' .. ('^1'):rep(2000) return load(s)",
	    "local s = 'return 1' .. ('..1'):rep(2000) return load(s)",
	    "local s = 'a' .. (',a'):rep(2000) .. ' = 1' return load(s)",
	    "local s = ('if a then '):rep(190) .. ('end '):rep(190) return load(s)",
	    "local s = ('while a do '):rep(1000) return load(s)",
	};
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		struct sandbox *sandbox = harness_new(1);
		struct outcome outcome =
		    harness_run(sandbox, &harness_budget, 0, false, sources[i]);
		ck_assert_msg(outcome.end != SANDBOX_RUNNING, "%s", sources[i]);
		ck_assert_msg(outcome.bytes_most < 2 * harness_budget.bytes, "%s", sources[i]);
		outcome = harness_run(sandbox, &harness_budget, 0, false, "return 'fine'");
		ck_assert_str_eq(outcome.text, "fine");
		sandbox_free(sandbox);
	}
}
END_TEST

/* One instruction copies all arguments: what instructions do not show, the clock does. */
START_TEST(growing_argument_lists_run_out_of_time)
{
	struct sandbox *sandbox = harness_new(1);
	harness_tick_ns = 2000000;
	struct outcome outcome = harness_run(sandbox, &harness_budget, 0, false,
	    "local function f(...) return f(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ...) end\n"
	    "while true do pcall(f) end");
	ck_assert_int_eq(outcome.end, SANDBOX_ABORTED);
	ck_assert_str_eq(outcome.text, "ran out of running time (100 ms)");
	ck_assert_uint_lt(outcome.instructions, 60000);
	sandbox_free(sandbox);
}
END_TEST

/* Lua CVE-2021-44647: explaining an error in a function that was called in an odd way. */
START_TEST(errors_are_explained_wherever_they_are)
{
	harness_gives(
	    "local function bad() local x = nil return x.y.z end\n"
	    "for _, event in ipairs { '__index', '__add', '__lt', '__le', '__eq', '__len', "
	    "'__unm', '__call',\n"
	    "    '__tostring', '__pairs', '__newindex' } do\n"
	    "  local a, b = setmetatable({}, {[event] = bad}), setmetatable({}, {[event] = bad})\n"
	    "  pcall(function() return a.x end) pcall(function() return a + b end) "
	    "pcall(function() return a < b end)\n"
	    "  pcall(function() return a <= b end) pcall(function() return a == b end) "
	    "pcall(function() return #a end)\n"
	    "  pcall(function() return -a end) pcall(function() return a() end) pcall(tostring, a) "
	    "pcall(pairs, a)\n"
	    "  pcall(function() a.y = 1 end) pcall(function() for _ in a do end end)\n"
	    "  pcall(function() for i = a, b do end end) pcall(function() return a .. b end)\n"
	    "  pcall(table.sort, {a, b, a, b}) pcall(coroutine.wrap(bad)) "
	    "pcall(coroutine.wrap(function() return a.x end))\n"
	    "end\n"
	    "assert(not pcall(setmetatable, {}, {__call = {}}))\n"
	    "local e = select(2, pcall(function() local t = {} t.x.y = 1 end)) "
	    "assert(e:find(\"field 'x'\"))\n"
	    "return 'ok'",
	    "ok");
}
END_TEST

/* Lua CVE-2022-28805: code that is generated wrongly where _ENV is a constant. */
START_TEST(env_cannot_be_a_constant)
{
	harness_gives(
	    "for _, s in ipairs { 'local _ENV <const> = {} X = 1', 'local _ENV<const> = 1; A()',\n"
	    "    'local a, _ENV < const > = 1, {} return x', 'local _ENV --x\\n<--[[y]]const> = "
	    "{}',\n"
	    "    'local _ENV <close> = nil return x' } do\n"
	    "  local f, why = load(s) assert(not f and why:find('_ENV'), why)\n"
	    "end\n"
	    "assert(load('local _ENV = {a = 3} return a')() == 3 and load('local x <const> = 1 "
	    "return x')() == 1)\n"
	    "return 'ok'",
	    "ok");
}
END_TEST

/* Some 10,000 of these are too many; `inside` are n of them, and m of a coroutine. Lua's own stack
 * ends at 500 of those with 2,000 values. */
#define DEEP                                                                                       \
	"local function deep(n) return n == 0 and 0 or 1 + deep(n - 1) end\n"                      \
	"local function inside(n, m) if n > 0 then return 1 + inside(n - 1, m) end\n"              \
	"return coroutine.wrap(function() return deep(m) end)() end\n"                             \
	"local t = {} for i = 1, 2000 do t[i] = i end\n"                                           \
	"local function wide(n, ...) if n == 0 then return select('#', ...) end\n"                 \
	"return (wide(n - 1, ...)) end\n"

/* Lua CVE-2022-33099: the Lua stack overflows while an error of the C stack is handled. */
START_TEST(errors_at_the_ends_of_both_stacks_are_errors)
{
	static const struct {
		const char *source;
		enum sandbox_end end;
		const char *text;
	} runs[] = {
	    {"local function f(n) local ok, e = xpcall(f, function(m) return m .. 'x' end, n + 1) "
	     "return e end return f(0) and 'ok'",
	        SANDBOX_ABORTED, "ran out of stack"},
	    {DEEP "return tostring(deep(7900))", SANDBOX_ENDED, "7900"},
	    {DEEP "return pcall(deep, 520000) and 'ok' or 'caught'", SANDBOX_ABORTED,
	        "ran out of stack"},
	    {DEEP "return tostring(inside(150, 7900))", SANDBOX_ENDED, "8050"},
	    {DEEP "return tostring(wide(480, table.unpack(t)))", SANDBOX_ENDED, "2000"},
	    {DEEP "return pcall(wide, 520, table.unpack(t)) and 'ok' or 'caught'", SANDBOX_ABORTED,
	        "ran out of stack"},
	    {DEEP "return pcall(inside, 150, 520000) and 'ok' or 'caught'", SANDBOX_ABORTED,
	        "ran out of stack"},
	    {"local function f() return f() + 1 end local function g() return pcall(f) and g() or "
	     "g end\n"
	     "pcall(f) pcall(f) pcall(string.gsub, 'x', 'x', f) pcall(table.sort, {1, 2}, f) "
	     "return "
	     "'ok'",
	        SANDBOX_ABORTED, "ran out of stack"},
	    {"local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end})\n"
	     "pcall(function() return t[1] end) pcall(string.format, '%d', t[1] and 1) return 'ok'",
	        SANDBOX_ABORTED, "ran out of stack"},
	};
	/* Not by time, which is another one on each machine. */
	struct sandbox_budget budget = harness_budget;
	budget.run_ns = 60 * NS_PER_S;
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		struct sandbox *sandbox = harness_new(1);
		struct outcome outcome = harness_run(sandbox, &budget, 0, false, runs[i].source);
		ck_assert_msg(outcome.end == runs[i].end && strstr(outcome.text, runs[i].text),
		    "%zu: %d %s", i, (int)outcome.end, outcome.text);
		ck_assert_msg(outcome.bytes_most < 2 * budget.bytes, "%zu", i);
		outcome = harness_run(sandbox, &harness_budget, 0, false, "return 'fine'");
		ck_assert_str_eq(outcome.text, "fine");
		sandbox_free(sandbox);
	}
}
END_TEST

/* Debian's 5.4.4: an error at the end of a long chain of fields is explained by recursion in C. */
START_TEST(long_chains_of_fields_are_refused)
{
	struct sandbox *sandbox = harness_new(1);
	enum { FIELDS = 300000 };
	char *source = malloc(2 * FIELDS + 100);
	size_t used = (size_t)snprintf(source, 100, "local a a");
	for (int i = 0; i < FIELDS; i++)
		used += (size_t)snprintf(source + used, 3, ".b");
	snprintf(source + used, 10, "()");
	struct outcome outcome = harness_run(sandbox, &harness_budget, 0, false, source);
	ck_assert_int_eq(outcome.end, SANDBOX_RAISED);
	ck_assert_ptr_nonnull(strstr(outcome.text, "test.lua:1: a chain of fields is too long"));
	free(source);
	sandbox_free(sandbox);
	harness_gives(
	    "assert(load('return ' .. 'a' .. ('.b'):rep(150)) and not load('return a' .. "
	    "('.b'):rep(250)))\n"
	    "assert(not load('return a' .. ('[1]'):rep(250)) and not load('return ' .. "
	    "('a['):rep(190) .. 'b' .. ('.c'):rep(50) .. (']'):rep(190)))\n"
	    "local s = {} for i = 1, 600 do s[i] = 'f(1).x[2] = a.b .. c.d' end "
	    "assert(load(table.concat(s, ' ')))\n"
	    "for i = 1, 600 do s[i] = 'f(1)g[2]()' end assert(load(table.concat(s, ';')))\n"
	    "for i = 1, 600 do s[i] = 'f\"x\" if a.b and b.c then end' end "
	    "assert(load(table.concat(s, '\\n'):sub(1, 16000):gsub('[^\\n]*$', '')))\n"
	    "local ok, e = pcall(load('local a return a' .. ('.b'):rep(199)))\n"
	    "return not ok and e:find('nil value') and 'ok'",
	    "ok");
}
END_TEST

/* A callable table whose __call is itself: a million steps and the square of it, in Lua 5.4.4, in
 * one instruction. */
START_TEST(chains_of_calls_are_refused)
{
	harness_raises(
	    "local t = {} setmetatable(t, {__call = t}) t()", "__call must be a function");
}
END_TEST

/* Debian's 5.4.4: emergency collections while memory is refused. There are no weak tables, and a
 * run that is refused memory ends. */
START_TEST(refused_memory_ends_the_run)
{
	static const char source[] =
	    "local keep = {}\n"
	    "for i = 1, 100 do keep[i] = setmetatable({}, {__mode = 'kv', __index = keep}) "
	    "keep[i][keep] = {} end\n"
	    "local s = ('x'):rep(1000000)\n"
	    "while true do\n"
	    "  pcall(function() return s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s "
	    "end)\n"
	    "end";
	struct sandbox *sandbox = harness_new(1);
	struct sandbox_budget budget = harness_budget;
	budget.bytes = 4 * 1024 * 1024;
	struct outcome outcome = harness_run(sandbox, &budget, 0, false, source);
	ck_assert_int_eq(outcome.end, SANDBOX_ABORTED);
	ck_assert_int_eq(outcome.status, STATUS_RESOURCE_EXHAUSTED);
	ck_assert_ptr_nonnull(strstr(outcome.text, "ran out of memory (4194304 bytes)"));
	outcome = harness_run(sandbox, &harness_budget, 0, false, "return 'fine'");
	ck_assert_str_eq(outcome.text, "fine");
	sandbox_free(sandbox);
}
END_TEST

START_TEST(addresses_are_not_told)
{
	harness_gives(
	    "local all = {} for _, v in ipairs { {}, print, function() end, "
	    "coroutine.create(print), _G,\n"
	    "    string, library, setmetatable({}, {__name = 'mine'}), coroutine.running() } do\n"
	    "  all[#all + 1] = tostring(v) .. string.format('%s', v)\n"
	    "  local _, e = pcall(function() return v + 1 end) all[#all + 1] = e\n"
	    "  _, e = pcall(error, v) all[#all + 1] = tostring(e)\n"
	    "  _, e = pcall(string.rep, v) all[#all + 1] = e\n"
	    "end\n"
	    "return table.concat(all, ' '):find('0x') and 'told' or 'not told'",
	    "not told");
}
END_TEST

Suite *escape_suite(void)
{
	Suite *suite = suite_create("escape");
	TCase *tcase = tcase_create("escape");
	tcase_add_test(tcase, no_library_leads_to_the_system);
	tcase_add_loop_test(tcase, what_all_scripts_share_cannot_be_changed, 0,
	    sizeof(changes) / sizeof(changes[0]));
	tcase_add_test(tcase, widths_and_precisions_are_bounded);
	tcase_add_test(tcase, finalizers_never_run);
	tcase_add_test(tcase, ranges_do_not_overflow);
	tcase_add_test(tcase, sources_that_end_early_are_refused);
	tcase_add_test(tcase, a_chunk_keeps_what_it_is_parsed_from);
	tcase_add_test(tcase, bytecode_is_refused);
	tcase_add_test(tcase, recursion_through_c_ends_as_an_error);
	tcase_add_test(tcase, growing_argument_lists_run_out_of_time);
	tcase_add_test(tcase, errors_are_explained_wherever_they_are);
	tcase_add_test(tcase, env_cannot_be_a_constant);
	tcase_add_test(tcase, errors_at_the_ends_of_both_stacks_are_errors);
	tcase_add_test(tcase, long_chains_of_fields_are_refused);
	tcase_add_test(tcase, chains_of_calls_are_refused);
	tcase_add_test(tcase, refused_memory_ends_the_run);
	tcase_add_test(tcase, addresses_are_not_told);
	suite_add_tcase(suite, tcase);
	return suite;
}
