/* assert: Lua's own function, and what compares and expects errors. */
#include "base/status.h"
#include "scripting/test/parts.h"

#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The text that may stand behind an assertion's arguments: begins the message. */
static void begin_message(lua_State *lua, struct failure *failure, int text)
{
	if (lua_type(lua, text) != LUA_TSTRING)
		return;
	size_t bytes;
	const char *data = lua_tolstring(lua, text, &bytes);
	if (buffer_append(&failure->message, data, bytes < 1000 ? bytes : 1000) ||
	    buffer_append_text(&failure->message, ": "))
		luaL_error(lua, "out of memory");
}

static void say(lua_State *lua, struct failure *failure, const char *text)
{
	if (buffer_append_text(&failure->message, text))
		luaL_error(lua, "out of memory");
}

static void say_buffer(lua_State *lua, struct failure *failure, const struct buffer *text)
{
	if (buffer_append_slice(&failure->message, buffer_view(text)))
		luaL_error(lua, "out of memory");
}

/* The optional text at `position`, and nothing behind it. */
static void check_arguments(lua_State *lua, const char *name, const char *what, int count)
{
	int given = lua_gettop(lua);
	if (given < count)
		luaL_error(lua, "assert.%s takes %s, %d %s given", name, what, given,
		    given == 1 ? "was" : "were");
	if (given > count + 1)
		luaL_error(lua, "assert.%s takes %s and a text, %d were given", name, what, given);
	lua_settop(lua, count + 1);
	if (!lua_isnil(lua, count + 1) && lua_type(lua, count + 1) != LUA_TSTRING)
		luaL_error(lua, "assert.%s: what stands behind %s is a text, not %s", name, what,
		    test_what(lua, count + 1));
}

static void tell_both(lua_State *lua, struct failure *failure, int expected, int got)
{
	test_print(lua, expected, &failure->expected);
	test_print(lua, got, &failure->got);
}

static int assert_equal(lua_State *lua)
{
	struct app_test *test = test_current(lua);
	check_arguments(lua, "equal", "expected and got", 2);
	if (lua_compare(lua, 1, 2, LUA_OPEQ))
		return 0;
	struct failure *failure = test_fail_begin(lua, test);
	begin_message(lua, failure, 3);
	say(lua, failure,
	    lua_istable(lua, 1) && lua_istable(lua, 2)
	        ? "two tables (assert.same compares what tables hold)"
	        : "the values are not equal");
	tell_both(lua, failure, 1, 2);
	test_fail_end(lua, test);
}

static int assert_same(lua_State *lua)
{
	struct app_test *test = test_current(lua);
	check_arguments(lua, "same", "expected and got", 2);
	buffer_clear(&test->scratch);
	if (test_same(lua, 1, 2, &test->scratch))
		return 0;
	int expected = lua_gettop(lua) - 1, got = lua_gettop(lua);
	struct failure *failure = test_fail_begin(lua, test);
	if (buffer_append_slice(&failure->path, buffer_view(&test->scratch)))
		luaL_error(lua, "out of memory");
	begin_message(lua, failure, 3);
	if (buffer_bytes(&failure->path) == 0) {
		say(lua, failure, "the values are not the same");
	} else {
		say(lua, failure, "at ");
		say_buffer(lua, failure, &failure->path);
		say(lua, failure, ": expected ");
		buffer_clear(&test->scratch);
		test_print(lua, expected, &test->scratch);
		say_buffer(lua, failure, &test->scratch);
		say(lua, failure, ", got ");
		buffer_clear(&test->scratch);
		test_print(lua, got, &test->scratch);
		say_buffer(lua, failure, &test->scratch);
	}
	tell_both(lua, failure, 1, 2);
	test_fail_end(lua, test);
}

static int assert_is_true(lua_State *lua)
{
	struct app_test *test = test_current(lua);
	check_arguments(lua, "is_true", "a value", 1);
	if (lua_isboolean(lua, 1) && lua_toboolean(lua, 1))
		return 0;
	struct failure *failure = test_fail_begin(lua, test);
	begin_message(lua, failure, 2);
	say(lua, failure, "the value is not true");
	lua_pushboolean(lua, true);
	tell_both(lua, failure, lua_gettop(lua), 1);
	test_fail_end(lua, test);
}

/* Calls what stands at `position`, and leaves its error on top; fails where there is none. */
static void expect_error(lua_State *lua, const char *name, int position)
{
	if (!lua_isfunction(lua, position))
		luaL_error(lua,
		    "assert.%s calls a function, it was given %s: write function() ... end", name,
		    test_what(lua, position));
	lua_pushvalue(lua, position);
	if (sandbox_pcall(lua, 0, 0) == LUA_OK)
		return;
	/* An assertion in it that failed is no error that was hoped for. */
	if (test_is_failure(lua, -1))
		lua_error(lua);
}

/* Whether the error on top, as text, has the text at `text` in it; true where that is nil. The text
 * of the error is pushed. */
static bool error_has(lua_State *lua, int text)
{
	size_t bytes, wanted_bytes;
	test_push_text(lua, lua_gettop(lua));
	const char *all = lua_tolstring(lua, -1, &bytes);
	if (lua_isnil(lua, text))
		return true;
	const char *wanted = lua_tolstring(lua, text, &wanted_bytes);
	return memmem(all, bytes, wanted, wanted_bytes) != NULL;
}

static void fail_text(lua_State *lua, struct app_test *test, int wanted)
{
	int text = lua_gettop(lua);
	struct failure *failure = test_fail_begin(lua, test);
	say(lua, failure, "it failed with another text");
	tell_both(lua, failure, wanted, text);
	test_fail_end(lua, test);
}

static int assert_has_error(lua_State *lua)
{
	struct app_test *test = test_current(lua);
	check_arguments(lua, "has_error", "a function", 1);
	expect_error(lua, "has_error", 1);
	if (lua_gettop(lua) == 2)
		test_fail(lua, test, "the function was to fail, and it did not");
	if (!error_has(lua, 2))
		fail_text(lua, test, 2);
	lua_settop(lua, 3);
	return 1;
}

static const struct slice *code_names(size_t *ret_count)
{
	static struct slice names[32];
	static const enum status all[] = {
#define X(name, number, http, by_handlers) STATUS_##name,
	    STATUS_LIST(X)
#undef X
	};
	_Static_assert(COUNT_OF(all) <= COUNT_OF(names), "room for each");
	for (size_t i = 0; i < COUNT_OF(all); i++)
		names[i] = slice_from_text(status_name(all[i]));
	*ret_count = COUNT_OF(all);
	return names;
}

static void check_code(lua_State *lua, int position)
{
	enum status status;
	size_t bytes, count;
	if (lua_type(lua, position) != LUA_TSTRING)
		luaL_error(lua,
		    "assert.fails: the first argument is a code like \"NOT_FOUND\", not %s",
		    test_what(lua, position));
	const char *code = lua_tolstring(lua, position, &bytes);
	if (status_find(slice_of(code, bytes), &status) == 0)
		return;
	char suggestion[128];
	const struct slice *names = code_names(&count);
	suggest(slice_of(code, bytes), names, count, suggestion, sizeof(suggestion));
	luaL_error(lua, "assert.fails: there is no code '%s'%s", code, suggestion);
}

static int assert_fails(lua_State *lua)
{
	struct app_test *test = test_current(lua);
	check_arguments(lua, "fails", "a code and a function", 2);
	check_code(lua, 1);
	expect_error(lua, "fails", 2);
	const char *code = lua_tostring(lua, 1);
	if (lua_gettop(lua) == 3)
		test_fail(lua, test, "the function was to fail with %s, and it did not", code);
	/* What is no call's error is the test's own mistake, with its own place. */
	if (!test_is_call_error(lua, 4))
		lua_error(lua);
	lua_getfield(lua, 4, "code");
	if (strcmp(lua_tostring(lua, -1), code) != 0) {
		test_push_text(lua, 4);
		struct failure *failure = test_fail_begin(lua, test);
		say(lua, failure, "it failed with another code");
		tell_both(lua, failure, 1, lua_gettop(lua));
		test_fail_end(lua, test);
	}
	lua_settop(lua, 4);
	if (!error_has(lua, 3))
		fail_text(lua, test, 3);
	lua_settop(lua, 4);
	return 1;
}

/* ---- The table ---- */

static const luaL_Reg functions[] = {{"equal", assert_equal}, {"fails", assert_fails},
    {"has_error", assert_has_error}, {"is_true", assert_is_true}, {"same", assert_same},
    {NULL, NULL}};

/* assert(value, ...), without the table itself; upvalue: Lua's own. */
static int assert_call(lua_State *lua)
{
	lua_pushvalue(lua, lua_upvalueindex(1));
	lua_replace(lua, 1);
	lua_call(lua, lua_gettop(lua) - 1, LUA_MULTRET);
	return lua_gettop(lua);
}

static int assert_unknown(lua_State *lua)
{
	struct slice names[COUNT_OF(functions) - 1];
	for (size_t i = 0; i < COUNT_OF(names); i++)
		names[i] = slice_from_text(functions[i].name);
	size_t bytes;
	test_push_text(lua, 2);
	const char *key = lua_tolstring(lua, -1, &bytes);
	char suggestion[128];
	suggest(slice_of(key, bytes), names, COUNT_OF(names), suggestion, sizeof(suggestion));
	return luaL_error(
	    lua, "assert has no '%s'%s (equal, fails, has_error, is_true, same)", key, suggestion);
}

void test_open_assert(lua_State *lua)
{
	/* Functions -> what is not there. */
	lua_newtable(lua);
	luaL_setfuncs(lua, functions, 0);
	lua_newtable(lua);
	lua_pushcfunction(lua, assert_unknown);
	lua_setfield(lua, -2, "__index");
	lua_setmetatable(lua, -2);
	/* What scripts get is empty, so that it can't be written. */
	lua_newtable(lua);
	lua_newtable(lua);
	lua_pushvalue(lua, -3);
	lua_setfield(lua, -2, "__index");
	lua_getglobal(lua, "assert");
	lua_pushcclosure(lua, assert_call, 1);
	lua_setfield(lua, -2, "__call");
	lua_pushboolean(lua, false);
	lua_setfield(lua, -2, "__metatable");
	lua_pushcfunction(lua, test_refuse_write);
	lua_setfield(lua, -2, "__newindex");
	lua_setmetatable(lua, -2);
	lua_replace(lua, -2);
	lua_setfield(lua, -2, "assert");
}
