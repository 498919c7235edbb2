/* What scripts have, and that it does what Lua's own does. */
#include "tests/unit/scripting/harness.h"
#include "tests/unit/scripting/suites.h"

START_TEST(what_is_not_there_is_not_there)
{
	harness_gives(
	    "local gone = {}\n"
	    "for _, name in ipairs { 'io', 'os', 'package', 'debug', 'loadfile', 'dofile',\n"
	    "    'collectgarbage', 'require', 'newproxy', 'loadstring', 'setfenv', 'module',\n"
	    "    'warn', 'unpack' } do\n"
	    "  if _ENV[name] ~= nil then gone[#gone + 1] = name end\n"
	    "end\n"
	    "assert(string.dump == nil and coroutine.close == nil)\n"
	    "return table.concat(gone, ' ')",
	    "");
}
END_TEST

START_TEST(basic_functions_do_what_they_do)
{
	harness_gives(
	    "assert(1 == 1)\n"
	    "assert(select('#', pcall(error)) == 2)\n"
	    "local ok, e = pcall(error, 'x', 0) assert(not ok and e == 'x')\n"
	    "ok, e = pcall(function() error('x') end) assert(e == 'test.lua:4: x', e)\n"
	    "ok, e = pcall(error, {code = 7}) assert(e.code == 7)\n"
	    "ok, e = xpcall(function() error('x', 0) end, function(m) return m .. '!' end)\n"
	    "assert(not ok and e == 'x!')\n"
	    "assert(select('#', xpcall(function(...) return ... end, print, 1, nil, 3)) == 4)\n"
	    "assert(tonumber('0x10') == 16 and tonumber('zz', 36) == 35 * 36 + 35)\n"
	    "assert(tonumber(' -7 ', 8) == -7 and tonumber('8', 8) == nil)\n"
	    "assert(tonumber('1e1') == 10.0 and tonumber('') == nil and tonumber(nil) == nil)\n"
	    "assert(tostring(nil) == 'nil' and tostring(1.5) == '1.5' and tostring(-0.0) == "
	    "'-0.0')\n"
	    "assert(tostring({}) == 'table' and tostring(print) == 'function')\n"
	    "assert(tostring(setmetatable({}, {__tostring = function() return 'T' end})) == 'T')\n"
	    "assert(rawequal('a', 'a') and not rawequal({}, {}) and rawlen({1, 2}) == 2)\n"
	    "local t = rawset({}, 'a', 1) assert(rawget(t, 'a') == 1)\n"
	    "assert(select(-1, 1, 2, 3) == 3 and select(2, 1, 2, 3) == 2)\n"
	    "assert(load('return 1 + 1')() == 2 and load('x x') == nil)\n"
	    "assert(load('return a', 'n', 't', {a = 5})() == 5)\n"
	    "local n = 0 assert(load(function() n = n + 1 return ({'return ', '7'})[n] end)() == "
	    "7)\n"
	    "local mt = {__index = function(_, k) return k end}\n"
	    "t = setmetatable({}, mt) assert(t.a == 'a' and getmetatable(t) == mt)\n"
	    "assert(getmetatable('') == false and getmetatable(print) == nil)\n"
	    "local s = 0 for i, v in ipairs {1, 2, nil, 4} do s = s + v end assert(s == 3)\n"
	    "assert(_G == _ENV and _VERSION == 'Lua 5.4')\n"
	    "print('a', 1, {}) return 'ok'",
	    "ok");
}
END_TEST

START_TEST(strings_do_what_they_do)
{
	harness_gives(
	    "assert(('hello'):find('l') == 3 and ('hello'):find('xyz') == nil)\n"
	    "assert(('hello'):find('(l)(l)') == 3 and select(3, ('hello'):find('(l)')) == 'l')\n"
	    "assert(('a.b'):find('.', 1, true) == 2 and ('abc'):find('b', -1) == nil)\n"
	    "assert(('key = value'):match('^(%w+)%s*=%s*(%w+)$') == 'key')\n"
	    "assert(('  x '):match('^%s*(.-)%s*$') == 'x')\n"
	    "assert(('f(a(b)c)d'):match('%b()') == '(a(b)c)')\n"
	    "assert(('THE (quick) fox'):find('%f[%a]%a+%f[%A]') == 1)\n"
	    "assert(('abcabc'):match('(a)(b)(c)%1%2%3') == 'a')\n"
	    "assert(('x'):match('()') == 1 and ('[]]'):match('[]]') == ']' and "
	    "('a-b'):match('[a-]+') == 'a-')\n"
	    "assert(('0123'):match('^[^%D]+$') == '0123' and (''):match('.-') == '')\n"
	    "assert(('a$'):match('a$') == nil and ('a$'):match('a%$') == 'a$' and "
	    "('$a'):match('$a') == '$a')\n"
	    "local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[#t + 1] = k .. v "
	    "end\n"
	    "assert(table.concat(t) == 'a1b2')\n"
	    "t = {} for w in ('abc'):gmatch('') do t[#t + 1] = '|' end assert(#t == 4)\n"
	    "assert(('hello world'):gsub('o', '0') == 'hell0 w0rld')\n"
	    "assert(select(2, ('hello'):gsub('l', '%0%0')) == 2)\n"
	    "assert(('abc'):gsub('%w', '%0%0') == 'aabbcc' and ('abc'):gsub('', '-') == "
	    "'-a-b-c-')\n"
	    "assert(('a b'):gsub('(%w) (%w)', '%2 %1') == 'b a')\n"
	    "assert(('$x $y'):gsub('%$(%w+)', {x = 1}) == '1 $y')\n"
	    "assert(('abc'):gsub('.', function(c) if c == 'b' then return 'B' end end) == 'aBc')\n"
	    "assert(('aaa'):gsub('a', 'b', 2) == 'bba' and ('aaa'):gsub('^a', 'b') == 'baa')\n"
	    "assert(('x'):rep(3, ',') == 'x,x,x' and ('x'):rep(0) == '' and ('x'):rep(-1) == '')\n"
	    "assert(('abc'):sub(2) == 'bc' and ('abc'):sub(-2, -2) == 'b' and ('abc'):sub(0) == "
	    "'abc')\n"
	    "assert(('abc'):sub(5) == '' and ('abc'):sub(-100, 1) == 'a' and ('abc'):byte(-1) == "
	    "99)\n"
	    "assert(select('#', ('abc'):byte(1, -1)) == 3 and string.char(104, 105) == 'hi')\n"
	    "assert(('aB'):lower() == 'ab' and ('aB'):upper() == 'AB' and ('ab'):reverse() == 'ba' "
	    "and #'abc' == 3)\n"
	    "assert(string.unpack('<i4', string.pack('<i4', 100)) == 100 and "
	    "string.packsize('i4i8') == 12)\n"
	    "assert(string.format('%5.2f|%-5d|%05d|%x|%s|%q|%%', 3.14159, 42, 42, 255, {}, "
	    "'a\\n\\0\"') == ' 3.14|42   |00042|ff|table|\"a\\\\\\n\\\\0\\\\\"\"|%')\n"
	    "assert(string.format('%10.3s|', 'abcdef') == '       abc|' and string.format('%c%i', "
	    "65, 7) == 'A7')\n"
	    "assert(string.format('%q', 1/3) == '0x1.5555555555555p-2' and string.format('%q', "
	    "math.mininteger) == '0x8000000000000000')\n"
	    "assert('10' + 1 == 11 and '3' * '4' == 12 and -'2' == -2 and 7 // '2' == 3 and '2' ^ "
	    "2 == 4.0)\n"
	    "assert('0x10' - 0.5 == 15.5 and '7' % 4 == 3 and '1' / 2 == 0.5 and "
	    "1 .. '' == '1')\n"
	    "assert(not pcall(function() return 'x' + 1 end) and not pcall(function() return {} + "
	    "'1' end))\n"
	    "assert('1' + setmetatable({}, {__add = function(a) return a .. '!' end}) == '1!')\n"
	    "assert(select(2, pcall(function() return 1 + 'x' end)):find('arithmetic on a string "
	    "value'))\n"
	    "assert(('x'):len() == 1)\n"
	    "assert(utf8.char(228, 8364) == 'ä€' and utf8.len('ä€') == 2 and utf8.codepoint('€') "
	    "== 8364 and utf8.offset('ä€', 2) == 3)\n"
	    "local n = 0 for _, c in utf8.codes('ä€') do n = n + c end assert(n == 8592)\n"
	    "return 'ok'",
	    "ok");
}
END_TEST

START_TEST(tables_do_what_they_do)
{
	harness_gives(
	    "local t = {1, 2, 3} table.insert(t, 4) table.insert(t, 1, 0)\n"
	    "assert(table.concat(t, ',') == '0,1,2,3,4')\n"
	    "assert(table.remove(t) == 4 and table.remove(t, 1) == 0 and #t == 3)\n"
	    "assert(table.remove({}) == nil and table.remove({}, 0) == nil)\n"
	    "assert(not pcall(table.insert, t, 9, 1) and not pcall(table.insert, t, 1, 2, 3) and "
	    "not pcall(table.insert, t))\n"
	    "assert(not pcall(table.remove, t, 7) and table.remove(t, 4) == nil)\n"
	    "assert(table.concat(table.move({1, 2, 3}, 2, 3, 1), ',') == '2,3,3')\n"
	    "assert(table.concat(table.move({1, 2, 3}, 1, 3, 2), ',') == '1,1,2,3')\n"
	    "assert(table.concat(table.move({1, 2}, 1, 2, 3, {7, 8}), ',') == '7,8,1,2')\n"
	    "assert(select('#', table.unpack({1, nil, 3}, 1, 3)) == 3 and table.pack(1, nil).n == "
	    "2)\n"
	    "assert(table.concat({1, 2.5, 'x'}, '-') == '1-2.5-x' and table.concat({}, ',') == "
	    "'')\n"
	    "assert(not pcall(table.concat, {1, {}}))\n"
	    "t = {5, 3, 1, 4, 2} table.sort(t) assert(table.concat(t) == '12345')\n"
	    "table.sort(t, function(a, b) return a > b end) assert(table.concat(t) == '54321')\n"
	    "t = {'b', 'a', 'c'} table.sort(t) assert(table.concat(t) == 'abc')\n"
	    "local mt = {__lt = function(a, b) return a.v < b.v end}\n"
	    "local o = {} for i = 1, 50 do o[i] = setmetatable({v = (i * 37) % 50}, mt) end\n"
	    "table.sort(o) for i = 1, 50 do assert(o[i].v == i - 1) end\n"
	    "assert(not pcall(table.sort, {1, 'a'}))\n"
	    "local big = {} for i = 1, 1000 do big[i] = (i * 7919) % 1000 end table.sort(big)\n"
	    "for i = 1, 1000 do assert(big[i] == i - 1) end\n"
	    "table.sort(big, function() return true end)\n"
	    "return 'ok'",
	    "ok");
}
END_TEST

START_TEST(coroutines_do_what_they_do)
{
	harness_gives(
	    "local co = coroutine.create(function(a, b)\n"
	    "  local c = coroutine.yield(a + b) local d, e = coroutine.yield(c * 2) return d, e, "
	    "'end' end)\n"
	    "assert(select(2, coroutine.resume(co, 1, 2)) == 3 and coroutine.status(co) == "
	    "'suspended')\n"
	    "assert(select(2, coroutine.resume(co, 10)) == 20)\n"
	    "local ok, d, e, f = coroutine.resume(co, 'd', 'e') assert(ok and d == 'd' and e == "
	    "'e' and f == 'end')\n"
	    "assert(coroutine.status(co) == 'dead')\n"
	    "local no, why = coroutine.resume(co) assert(not no and why == 'cannot resume dead "
	    "coroutine')\n"
	    "local sum = 0 for v in coroutine.wrap(function() for i = 1, 10 do coroutine.yield(i) "
	    "end end) do sum = sum + v end\n"
	    "assert(sum == 55)\n"
	    "local w = coroutine.wrap(function() error('boom') end)\n"
	    "local ok2, m = pcall(w) assert(not ok2 and m:find('boom'))\n"
	    "assert(select(2, coroutine.running()) == true and coroutine.isyieldable() == false)\n"
	    "assert(not pcall(coroutine.yield, 1))\n"
	    "assert(coroutine.status(coroutine.running()) == 'running')\n"
	    "co = coroutine.create(function() local me, main = coroutine.running() assert(not main "
	    "and me == co)\n"
	    "  assert(coroutine.status(me) == 'running' and coroutine.isyieldable())\n"
	    "  local inner = coroutine.wrap(function() return coroutine.status(me) end)\n"
	    "  return inner() end)\n"
	    "assert(select(2, coroutine.resume(co)) == 'normal')\n"
	    "local y = coroutine.wrap(function() return pcall(function() coroutine.yield(1) "
	    "error('late', 0) end) end)\n"
	    "assert(y() == 1) local ok3, late = y() assert(ok3 == false and late == 'late')\n"
	    "return 'ok'",
	    "ok");
}
END_TEST

Suite *library_suite(void)
{
	Suite *suite = suite_create("library");
	TCase *tcase = tcase_create("library");
	tcase_add_test(tcase, what_is_not_there_is_not_there);
	tcase_add_test(tcase, basic_functions_do_what_they_do);
	tcase_add_test(tcase, strings_do_what_they_do);
	tcase_add_test(tcase, tables_do_what_they_do);
	tcase_add_test(tcase, coroutines_do_what_they_do);
	suite_add_tcase(suite, tcase);
	return suite;
}
