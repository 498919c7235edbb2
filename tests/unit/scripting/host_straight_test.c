/* Handlers that end by themselves, and so run uncounted: which are, and that nothing else does. */
#include "base/buffer.h"
#include "base/limits.h"
#include "scripting/inside.h"
#include "scripting/sandbox.h"
#include "tests/unit/scripting/host_modes.h"
#include "tests/unit/scripting/host_suites.h"

#include <lua.h>

/* What straight_find says of the function that `source` returns. */
static int find(const char *source)
{
	lua_State *lua = rig.host->lua;
	ck_assert_int_eq(sandbox_compile(lua, slice_from_text(source), "=x"), 0);
	ck_assert_int_eq(lua_pcall(lua, 0, 1, 0), LUA_OK);
	int found = straight_find(lua);
	if (found != STRAIGHT_NOT)
		ck_assert(straight_still(lua, lua_gettop(lua), found));
	lua_pop(lua, 1);
	return found;
}

START_TEST(straight_is_what_has_no_way_back_and_reaches_no_function_of_lua)
{
	static const char *const straight[] = {
	    "return function(s, i, ctx) s.n = (s.n or 0) + i.by; s.l[1] = s.t[i.k]\n"
	    "  if s.n > 10 and i.by ~= 2.5 then return ctx:fail('NOT_FOUND', 'no ' .. s.n) end\n"
	    "  ctx:update(s); return { n = s.n, ok = true, list = { 1, 2, -s.n } } end",
	    "return function(s) if s.a then return 1 elseif not s.b then return 2 end return #s "
	    "end",
	    "return function(s) goto on; s.n = 1; ::on:: return s end",
	};
	for (size_t i = 0; i < sizeof(straight) / sizeof(straight[0]); i++)
		ck_assert_msg(find(straight[i]) == STRAIGHT_WITHOUT_GLOBALS, "%s", straight[i]);
	static const char *const with_globals[] = {
	    "return function(s) return string.format('%d', math.floor(s.n)) end",
	    "return function(s, i) assert(type(i) == 'string', 'text') return tonumber(i) end",
	};
	for (size_t i = 0; i < sizeof(with_globals) / sizeof(with_globals[0]); i++)
		ck_assert_msg(
		    find(with_globals[i]) > STRAIGHT_WITHOUT_GLOBALS, "%s", with_globals[i]);
	static const char *const others[] = {
	    "return function(s) for i = 1, 9 do s.n = i end end",
	    "return function(s) for k, v in s.next, s do s.n = v end end",
	    "return function(s) while s.n do s.n = s.m end end",
	    "return function(s) repeat s.n = s.m until s.n end",
	    "return function(s) ::again:: if s.n then goto again end end",
	    "return function(s) return function() return s end end",
	    "local f = print return function(s) return f(s) end",
	    "local n = 1 return function(s) n = s end",
	    "return function(s) return pcall(s.f) end",
	    "return function(s) return setmetatable(s, {}) end",
	    "return function(s) return load(s)() end",
	    "return function(s) return _G.load(s)() end",
	    "return function(s) for k in pairs(s) do return k end end",
	    "return function(...) return ... end",
	    "return function(s) local x <close> = s end",
	    "return print",
	};
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		ck_assert_msg(find(others[i]) == STRAIGHT_NOT, "%s", others[i]);
}
END_TEST

START_TEST(straight_is_shorter_than_a_step)
{
	static const char begin[] = "return function(s) ", line[] = "s.n = s.n + 1 ";
	struct buffer source;
	buffer_init(&source, 16 * KIB);
	for (int lines = 200; lines <= 400; lines += 200) {
		buffer_clear(&source);
		ck_assert_int_eq(buffer_append_text(&source, begin), 0);
		for (int i = 0; i < lines; i++)
			ck_assert_int_eq(buffer_append_text(&source, line), 0);
		ck_assert_int_eq(buffer_append(&source, "end", sizeof("end")), 0);
		ck_assert_int_eq(find((const char *)buffer_view(&source).data),
		    lines == 200 ? STRAIGHT_WITHOUT_GLOBALS : STRAIGHT_NOT);
	}
	buffer_done(&source);
}
END_TEST

START_TEST(globals_that_are_others_are_noticed)
{
	lua_State *lua = rig.host->lua;
	static const char source[] =
	    "local _ENV = { string = 1 } return function() return string end";
	ck_assert_int_eq(sandbox_compile(lua, slice_from_text(source), "=x"), 0);
	ck_assert_int_eq(lua_pcall(lua, 0, 1, 0), LUA_OK);
	int found = straight_find(lua);
	ck_assert_int_gt(found, STRAIGHT_WITHOUT_GLOBALS);
	ck_assert(!straight_still(lua, lua_gettop(lua), found));
	lua_pop(lua, 1);
}
END_TEST

#define FOREVER "while true do end"

/* Each calls something that does not end around a handler, or in place of what it calls, that is
 * straight. */
START_TEST(what_runs_around_a_straight_handler_is_counted)
{
	EXPECT_LOADED(
	    &rig, rig_load_one(&rig, "local kalix = require 'kalix'\n"
	                             "return kalix.value_entity 't' {\n"
	                             "  init = function(id)\n"
	                             "    if id == 'forever' then " FOREVER " end\n"
	                             "    return { n = 1 }\n"
	                             "  end,\n"
	                             "  commands = {\n"
	                             "    get = function(s) return s.n end,\n"
	                             "    text = function(s) return tostring(s.n) end,\n"
	                             "    other = function() _ENV = {\n"
	                             "      tostring = function() " FOREVER " end } end,\n"
	                             "    loop = function() " FOREVER " end,\n"
	                             "    more = function(s)\n"
	                             "      local t = string.rep('x', 4194304)\n"
	                             "      local a, b, c, d = t .. 1, t .. 2, t .. 3, t .. 4\n"
	                             "      local e, f, g, h = t .. 5, t .. 6, t .. 7, t .. 8\n"
	                             "      local i, j, k, l = t .. 5, t .. 6, t .. 7, t .. 8\n"
	                             "      local m, n, o, p = t .. 5, t .. 6, t .. 7, t .. 8\n"
	                             "      return #a\n"
	                             "    end,\n"
	                             "  } }\n"));
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "1");
	EXPECT_REFUSED(&rig, "t/forever", "get", NULL, STATUS_RESOURCE_EXHAUSTED, "ran out of");
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "1");
	EXPECT_REFUSED(&rig, "t/1", "loop", NULL, STATUS_RESOURCE_EXHAUSTED, "ran out of");
	EXPECT_REFUSED(&rig, "t/1", "more", NULL, STATUS_RESOURCE_EXHAUSTED, "ran out of");
	EXPECT_REPLY(&rig, "t/1", "text", NULL, "\"1\"");
	EXPECT_REPLY(&rig, "t/1", "other", NULL, "nothing");
	EXPECT_REFUSED(&rig, "t/1", "text", NULL, STATUS_RESOURCE_EXHAUSTED, "ran out of");
	EXPECT_REPLY(&rig, "t/1", "get", NULL, "1");
}
END_TEST

START_TEST(events_of_a_straight_handler_are_counted)
{
	EXPECT_LOADED(&rig,
	    rig_load_one(&rig, "local kalix = require 'kalix'\n"
	                       "return kalix.event_sourced_entity 't' {\n"
	                       "  init = { n = 0 },\n"
	                       "  commands = {\n"
	                       "    good = function(s, i, ctx) ctx:emit('good') return s.n end,\n"
	                       "    bad = function(s, i, ctx) ctx:emit('bad') end,\n"
	                       "    trap = function(s, i, ctx) ctx:emit('trap') return s.x end,\n"
	                       "  },\n"
	                       "  events = {\n"
	                       "    good = function(s) s.n = s.n + 1 end,\n"
	                       "    bad = function(s) " FOREVER " end,\n"
	                       "    trap = function(s) setmetatable(s, {\n"
	                       "      __index = function() " FOREVER " end }) end,\n"
	                       "  } }\n"));
	EXPECT_REPLY(&rig, "t/1", "good", NULL, "1");
	EXPECT_REFUSED(&rig, "t/1", "bad", NULL, STATUS_RESOURCE_EXHAUSTED, "ran out of");
	EXPECT_REPLY(&rig, "t/1", "good", NULL, "2");
	rig_call(&rig, "t/1", "trap", NULL);
	EXPECT_REPLY(&rig, "t/1", "good", NULL, "3");
}
END_TEST

Suite *host_straight_suite(void)
{
	const TTest *const tests[] = {
	    straight_is_what_has_no_way_back_and_reaches_no_function_of_lua,
	    straight_is_shorter_than_a_step,
	    globals_that_are_others_are_noticed,
	    what_runs_around_a_straight_handler_is_counted,
	    events_of_a_straight_handler_are_counted,
	};
	return suite_in_both_modes("host_straight", tests, sizeof(tests) / sizeof(tests[0]));
}
