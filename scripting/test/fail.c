/* How a test fails: what an assertion, or a call, raises. */
#include "scripting/test/parts.h"
#include "scripting/value.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Names in the registry. Scripts see neither of the metatables. */
static const char failure_type[] = "kalix.test failure", error_type[] = "kalix.test error";

void test_where(lua_State *lua, char where[TEST_WHERE_BYTES])
{
	enum { FRAMES_MAX = 200 };
	lua_Debug frame;
	where[0] = 0;
	for (int level = 0; level < FRAMES_MAX && lua_getstack(lua, level, &frame); level++) {
		if (!lua_getinfo(lua, "Sl", &frame) || frame.currentline <= 0 ||
		    strncmp(frame.source, "@tests/", 7) != 0)
			continue;
		snprintf(where, TEST_WHERE_BYTES, "%.250s:%d", frame.source + 1, frame.currentline);
		return;
	}
}

/* ---- Assertions ---- */

struct failure *test_fail_begin(lua_State *lua, struct app_test *test)
{
	struct failure *failure = &test->failure;
	failure->value = NULL;
	buffer_clear(&failure->message);
	buffer_clear(&failure->path);
	buffer_clear(&failure->expected);
	buffer_clear(&failure->got);
	buffer_clear(&failure->traceback);
	test_where(lua, failure->where);
	return failure;
}

static int failure_text(lua_State *lua)
{
	lua_getfield(lua, 1, "message");
	return 1;
}

/* The table on top gets the metatable of that name. */
static void mark(lua_State *lua, const char *type, lua_CFunction text)
{
	if (luaL_newmetatable(lua, type)) {
		lua_pushcfunction(lua, text);
		lua_setfield(lua, -2, "__tostring");
		lua_pushboolean(lua, false);
		lua_setfield(lua, -2, "__metatable");
	}
	lua_setmetatable(lua, -2);
}

static bool is_marked(lua_State *lua, int position, const char *type)
{
	if (!lua_istable(lua, position) || !lua_getmetatable(lua, position))
		return false;
	luaL_getmetatable(lua, type);
	bool is = lua_rawequal(lua, -1, -2);
	lua_pop(lua, 2);
	return is;
}

static void push_slice(lua_State *lua, struct slice text)
{
	lua_pushlstring(lua, text.bytes ? (const char *)text.data : "", text.bytes);
}

void test_fail_end(lua_State *lua, struct app_test *test)
{
	lua_createtable(lua, 0, 1);
	push_slice(lua, buffer_view(&test->failure.message));
	lua_setfield(lua, -2, "message");
	mark(lua, failure_type, failure_text);
	test->failure.value = lua_topointer(lua, -1);
	lua_error(lua);
	__builtin_unreachable();
}

void test_fail(lua_State *lua, struct app_test *test, const char *format, ...)
{
	char text[1024];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	struct failure *failure = test_fail_begin(lua, test);
	if (buffer_append_text(&failure->message, text))
		luaL_error(lua, "out of memory");
	test_fail_end(lua, test);
}

bool test_is_failure(lua_State *lua, int position)
{
	return is_marked(lua, position, failure_type);
}

/* ---- Calls ---- */

static int error_text_of_call(lua_State *lua)
{
	lua_getfield(lua, 1, "code");
	lua_pushliteral(lua, ": ");
	lua_getfield(lua, 1, "message");
	lua_concat(lua, 3);
	return 1;
}

static void push_details(lua_State *lua, struct slice details)
{
	struct value_problem problem;
	if (details.bytes == 0 || value_push_json(lua, details, NULL, &problem))
		lua_pushnil(lua);
}

void test_raise_call(lua_State *lua, struct app_test *test, const struct call_error *error)
{
	struct failure *failure = test_fail_begin(lua, test);
	int status = buffer_append_format(&failure->message, "%s: %.*s", status_name(error->status),
	    (int)error->message.bytes,
	    error->message.bytes ? (const char *)error->message.data : "");
	if (!status && error->details.bytes)
		status = buffer_append_text(&failure->message, " ");
	if (!status)
		status = buffer_append_slice(&failure->message, error->details);
	if (!status)
		status = buffer_append_slice(&failure->traceback, error->traceback);
	if (status)
		luaL_error(lua, "%s", error_text(status));
	lua_createtable(lua, 0, 4);
	lua_pushstring(lua, status_name(error->status));
	lua_setfield(lua, -2, "code");
	push_slice(lua, error->message);
	lua_setfield(lua, -2, "message");
	push_details(lua, error->details);
	lua_setfield(lua, -2, "details");
	if (error->traceback.bytes) {
		push_slice(lua, error->traceback);
		lua_setfield(lua, -2, "traceback");
	}
	mark(lua, error_type, error_text_of_call);
	failure->value = lua_topointer(lua, -1);
	lua_error(lua);
	__builtin_unreachable();
}

bool test_is_call_error(lua_State *lua, int position)
{
	return is_marked(lua, position, error_type);
}

void test_push_text(lua_State *lua, int position)
{
	position = lua_absindex(lua, position);
	if (lua_isstring(lua, position)) {
		lua_pushvalue(lua, position);
		(void)lua_tostring(lua, -1);
	} else if (!luaL_callmeta(lua, position, "__tostring") ||
	           lua_type(lua, -1) != LUA_TSTRING) {
		/* No addresses: they would differ on each run. */
		lua_pushstring(lua, luaL_typename(lua, position));
	}
}

const char *test_what(lua_State *lua, int position)
{
	switch (lua_type(lua, position)) {
	case LUA_TBOOLEAN:
		return "a boolean";
	case LUA_TNUMBER:
		return "a number";
	case LUA_TSTRING:
		return "a text";
	case LUA_TTABLE:
		return "a table";
	case LUA_TFUNCTION:
		return "a function";
	case LUA_TTHREAD:
		return "a coroutine";
	case LUA_TUSERDATA:
		return "an object";
	case LUA_TLIGHTUSERDATA:
		return "kalix.null";
	default:
		return "nothing";
	}
}

int test_refuse_write(lua_State *lua)
{
	test_push_text(lua, 2);
	return luaL_error(lua,
	    "'%s' can't be assigned: globals and libraries are read-only; declare it local",
	    lua_tostring(lua, -1));
}
