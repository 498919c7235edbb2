/* The basic functions of Lua, without a way to the outside, to other scripts, or past a budget. */
#include "scripting/own_key.h"
#include "scripting/sandbox_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static int base_assert(lua_State *lua)
{
	luaL_checkany(lua, 1);
	if (lua_toboolean(lua, 1))
		return lua_gettop(lua);
	if (lua_gettop(lua) == 1)
		return luaL_error(lua, "assertion failed!");
	lua_settop(lua, 2);
	sandbox_raising(lua);
	return lua_error(lua);
}

static int base_error(lua_State *lua)
{
	int level = (int)luaL_optinteger(lua, 2, 1);
	lua_settop(lua, 1);
	if (lua_type(lua, 1) == LUA_TSTRING && level > 0) {
		luaL_where(lua, level);
		lua_insert(lua, 1);
		lua_concat(lua, 2);
	}
	sandbox_raising(lua);
	return lua_error(lua);
}

/* ---- Metatables ---- */

static int base_getmetatable(lua_State *lua)
{
	luaL_checkany(lua, 1);
	if (!lua_getmetatable(lua, 1)) {
		lua_pushnil(lua);
		return 1;
	}
	lua_pushliteral(lua, "__metatable");
	if (lua_rawget(lua, -2) == LUA_TNIL) {
		/* Metatables that no script made are not shown. */
		lua_pop(lua, 1);
		lua_rawgetp(lua, -1, own_key(OWN_KEY_ORIGINAL));
	}
	return 1;
}

static bool is_stripped(const char *name, size_t bytes)
{
	static const char *const stripped[] = {"__gc", "__mode", "__concat", "__close"};
	for (size_t i = 0; i < sizeof(stripped) / sizeof(stripped[0]); i++) {
		if (bytes == strlen(stripped[i]) && memcmp(name, stripped[i], bytes) == 0)
			return true;
	}
	return false;
}

/* Copies the events of the metatable at 2 into the table on top. */
static void copy_events(lua_State *lua)
{
	int copy = lua_absindex(lua, -1);
	uint64_t fields = 0;
	lua_pushnil(lua);
	while (lua_next(lua, 2)) {
		size_t bytes;
		const char *name =
		    lua_type(lua, -2) == LUA_TSTRING ? lua_tolstring(lua, -2, &bytes) : NULL;
		fields++;
		if (!name || bytes < 3 || memcmp(name, "__", 2) != 0 || is_stripped(name, bytes)) {
			lua_pop(lua, 1);
			continue;
		}
		/* A chain of callable tables costs Lua 5.4.4 the square of its length, in one
		 * instruction; one that is its own __call, a million steps. */
		if (strcmp(name, "__call") == 0 && !lua_isfunction(lua, -1))
			luaL_error(lua, "__call must be a function");
		lua_pushvalue(lua, -2);
		lua_insert(lua, -2);
		lua_rawset(lua, copy);
	}
	sandbox_charge(lua, fields * 4);
}

static int base_setmetatable(lua_State *lua)
{
	luaL_checktype(lua, 1, LUA_TTABLE);
	int type = lua_type(lua, 2);
	luaL_argexpected(lua, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
	sandbox_settle(lua, 1);
	sandbox_settle(lua, 2);
	if (lua_getmetatable(lua, 1)) {
		lua_pushliteral(lua, "__metatable");
		if (lua_rawget(lua, -2) != LUA_TNIL)
			return luaL_error(lua, "cannot change a protected metatable");
		lua_rawgetp(lua, -2, own_key(OWN_KEY_ORIGINAL));
		if (lua_isnil(lua, -1))
			return luaL_error(lua, "cannot change a protected metatable");
	}
	lua_settop(lua, 2);
	if (type == LUA_TTABLE) {
		lua_createtable(lua, 0, 4);
		copy_events(lua);
		lua_pushvalue(lua, 2);
		lua_rawsetp(lua, -2, own_key(OWN_KEY_ORIGINAL));
	}
	lua_setmetatable(lua, 1);
	lua_settop(lua, 1);
	return 1;
}

/* ---- Raw access ---- */

static int base_rawequal(lua_State *lua)
{
	luaL_checkany(lua, 1);
	luaL_checkany(lua, 2);
	if (lua_type(lua, 1) == LUA_TSTRING && lua_type(lua, 2) == LUA_TSTRING)
		sandbox_charge(lua, lua_rawlen(lua, 1) / 64);
	lua_pushboolean(lua, lua_rawequal(lua, 1, 2));
	return 1;
}

static int base_rawget(lua_State *lua)
{
	luaL_checktype(lua, 1, LUA_TTABLE);
	luaL_checkany(lua, 2);
	lua_settop(lua, 2);
	if (sandbox_view_target(lua, 1)) {
		/* A view has nothing but what it shows, in the way that it shows it. */
		lua_settop(lua, 2);
		lua_gettable(lua, 1);
		return 1;
	}
	lua_rawget(lua, 1);
	return 1;
}

static int base_rawlen(lua_State *lua)
{
	int type = lua_type(lua, 1);
	luaL_argexpected(lua, type == LUA_TTABLE || type == LUA_TSTRING, 1, "table or string");
	if (type == LUA_TTABLE && sandbox_view_target(lua, 1))
		lua_replace(lua, 1);
	lua_pushinteger(lua, (lua_Integer)lua_rawlen(lua, 1));
	return 1;
}

static int base_rawset(lua_State *lua)
{
	luaL_checktype(lua, 1, LUA_TTABLE);
	luaL_checkany(lua, 2);
	luaL_checkany(lua, 3);
	sandbox_check_writable(lua, 1);
	lua_settop(lua, 3);
	lua_rawset(lua, 1);
	return 1;
}

static int ipairs_next(lua_State *lua)
{
	lua_Integer index = luaL_checkinteger(lua, 2);
	index = (lua_Integer)((lua_Unsigned)index + 1);
	lua_pushinteger(lua, index);
	return lua_geti(lua, 1, index) == LUA_TNIL ? 1 : 2;
}

static int base_ipairs(lua_State *lua)
{
	luaL_checkany(lua, 1);
	lua_pushcfunction(lua, ipairs_next);
	lua_pushvalue(lua, 1);
	lua_pushinteger(lua, 0);
	return 3;
}

static int base_select(lua_State *lua)
{
	int top = lua_gettop(lua);
	sandbox_charge(lua, (uint64_t)top / 8);
	if (lua_type(lua, 1) == LUA_TSTRING && strcmp(lua_tostring(lua, 1), "#") == 0) {
		lua_pushinteger(lua, top - 1);
		return 1;
	}
	lua_Integer from = luaL_checkinteger(lua, 1);
	if (from < 0)
		from = top + from;
	else if (from > top)
		from = top;
	luaL_argcheck(lua, 1 <= from, 1, "index out of range");
	return top - (int)from;
}

/* ---- Conversions ---- */

const char *sandbox_tostring(lua_State *lua, int position, size_t *ret_bytes)
{
	position = lua_absindex(lua, position);
	luaL_checkstack(lua, 6, NULL);
	if (luaL_callmeta(lua, position, "__tostring")) {
		if (lua_type(lua, -1) != LUA_TSTRING)
			luaL_error(lua, "'__tostring' must return a string");
		return lua_tolstring(lua, -1, ret_bytes);
	}
	switch (lua_type(lua, position)) {
	case LUA_TNUMBER:
	case LUA_TSTRING:
		lua_pushvalue(lua, position);
		break;
	case LUA_TBOOLEAN:
		lua_pushstring(lua, lua_toboolean(lua, position) ? "true" : "false");
		break;
	case LUA_TNIL:
		lua_pushliteral(lua, "nil");
		break;
	default: {
		/* No addresses: they would tell of our memory, and differ on each run. */
		int type = luaL_getmetafield(lua, position, "__name");
		if (type == LUA_TSTRING)
			break;
		if (type != LUA_TNIL)
			lua_pop(lua, 1);
		lua_pushstring(lua, luaL_typename(lua, position));
	}
	}
	return lua_tolstring(lua, -1, ret_bytes);
}

static int base_tostring(lua_State *lua)
{
	luaL_checkany(lua, 1);
	sandbox_tostring(lua, 1, NULL);
	return 1;
}

/* Digits of `base` between spaces, with a sign; false where it is none. */
static bool parse_integer(const char *text, size_t bytes, int base, lua_Integer *ret_value)
{
	const char *at = text, *end = text + bytes;
	lua_Unsigned value = 0;
	bool negative = false;
	while (at < end && isspace((unsigned char)*at))
		at++;
	if (at < end && (*at == '-' || *at == '+'))
		negative = *at++ == '-';
	if (at == end || !isalnum((unsigned char)*at))
		return false;
	for (; at < end && isalnum((unsigned char)*at); at++) {
		int digit = isdigit((unsigned char)*at) ? *at - '0'
		                                        : toupper((unsigned char)*at) - 'A' + 10;
		if (digit >= base)
			return false;
		value = value * (lua_Unsigned)base + (lua_Unsigned)digit;
	}
	while (at < end && isspace((unsigned char)*at))
		at++;
	*ret_value = (lua_Integer)(negative ? 0u - value : value);
	return at == end;
}

static int base_tonumber(lua_State *lua)
{
	luaL_checkany(lua, 1);
	if (lua_type(lua, 1) == LUA_TSTRING)
		sandbox_charge(lua, lua_rawlen(lua, 1) / 8);
	if (lua_isnoneornil(lua, 2)) {
		if (lua_type(lua, 1) == LUA_TNUMBER) {
			lua_settop(lua, 1);
			return 1;
		}
		size_t bytes;
		const char *text = lua_tolstring(lua, 1, &bytes);
		if (text && lua_stringtonumber(lua, text) == bytes + 1)
			return 1;
		luaL_pushfail(lua);
		return 1;
	}
	lua_Integer base = luaL_checkinteger(lua, 2);
	luaL_checktype(lua, 1, LUA_TSTRING);
	luaL_argcheck(lua, 2 <= base && base <= 36, 2, "base out of range");
	size_t bytes;
	const char *text = lua_tolstring(lua, 1, &bytes);
	lua_Integer value;
	if (parse_integer(text, bytes, (int)base, &value))
		lua_pushinteger(lua, value);
	else
		luaL_pushfail(lua);
	return 1;
}

static int base_type(lua_State *lua)
{
	luaL_checkany(lua, 1);
	lua_pushstring(lua, luaL_typename(lua, 1));
	return 1;
}

static int base_print(lua_State *lua)
{
	enum { LINE_BYTES_MAX = 2048 };
	const struct sandbox_options *options = &sandbox_from(lua)->options;
	int top = lua_gettop(lua);
	char line[LINE_BYTES_MAX];
	size_t used = 0;
	for (int i = 1; i <= top; i++) {
		size_t bytes;
		const char *text = sandbox_tostring(lua, i, &bytes);
		if (i > 1 && used < sizeof(line))
			line[used++] = '\t';
		size_t room = sizeof(line) - used;
		memcpy(line + used, text, bytes < room ? bytes : room);
		used += bytes < room ? bytes : room;
		lua_pop(lua, 1);
	}
	sandbox_charge(lua, 100 + used);
	if (options->print)
		options->print(options->print_arg, slice_of(line, used));
	return 0;
}

/* ---- Protected calls ---- */

/* Behind the first `skipped` values stand true and the results, or the error is on top. */
static int finish_protected(lua_State *lua, int status, lua_KContext skipped)
{
	if (status != LUA_OK && status != LUA_YIELD) {
		sandbox_pass_abort(lua, lua, status);
		lua_pushboolean(lua, false);
		lua_insert(lua, -2);
		return 2;
	}
	return lua_gettop(lua) - (int)skipped;
}

static int base_pcall(lua_State *lua)
{
	luaL_checkany(lua, 1);
	sandbox_charge(lua, 10);
	lua_pushboolean(lua, true);
	lua_insert(lua, 1);
	int status = lua_pcallk(lua, lua_gettop(lua) - 2, LUA_MULTRET, 0, 0, finish_protected);
	return finish_protected(lua, status, 0);
}

/* The message handler of xpcall: a budget's end is not for the script's eyes, and a handler that
 * fails itself is called once only. */
static int handle_message(lua_State *lua)
{
	const struct sandbox_run *run = sandbox_from(lua)->current;
	if (run && (run->aborting || sandbox_is_overflow(lua, LUA_ERRRUN)))
		return 1;
	lua_settop(lua, 1);
	lua_pushvalue(lua, lua_upvalueindex(1));
	lua_insert(lua, 1);
	int status = lua_pcall(lua, 1, 1, 0);
	if (status != LUA_OK) {
		sandbox_pass_abort(lua, lua, status);
		lua_pushliteral(lua, "error in the message handler");
	}
	return 1;
}

static int base_xpcall(lua_State *lua)
{
	int top = lua_gettop(lua);
	luaL_checktype(lua, 2, LUA_TFUNCTION);
	sandbox_charge(lua, 20);
	lua_pushvalue(lua, 2);
	lua_pushcclosure(lua, handle_message, 1);
	lua_replace(lua, 2);
	lua_pushboolean(lua, true);
	lua_pushvalue(lua, 1);
	lua_rotate(lua, 3, 2);
	int status = lua_pcallk(lua, top - 2, LUA_MULTRET, 2, 2, finish_protected);
	return finish_protected(lua, status, 2);
}

/* ---- load ---- */

/* Leaves the whole text of the pieces that the function at 1 gives at position 1. */
static void collect_pieces(lua_State *lua)
{
	lua_pushliteral(lua, "");
	for (;;) {
		lua_pushvalue(lua, 1);
		lua_call(lua, 0, 1);
		if (lua_isnil(lua, -1))
			break;
		if (lua_type(lua, -1) != LUA_TSTRING)
			luaL_error(lua, "reader function must return a string");
		if (lua_rawlen(lua, -1) == 0)
			break;
		size_t bytes = lua_rawlen(lua, -1) + lua_rawlen(lua, -2);
		sandbox_charge(lua, 4 + bytes / 8);
		if (bytes > SANDBOX_LOAD_BYTES_MAX)
			luaL_error(lua, "a source of more than %d bytes", SANDBOX_LOAD_BYTES_MAX);
		lua_concat(lua, 2);
	}
	lua_pop(lua, 1);
	lua_replace(lua, 1);
}

static int base_load(lua_State *lua)
{
	bool is_text = lua_type(lua, 1) == LUA_TSTRING;
	const char *mode = luaL_optstring(lua, 3, "t");
	bool has_environment = !lua_isnone(lua, 4);
	lua_settop(lua, 4);
	if (!is_text) {
		luaL_checktype(lua, 1, LUA_TFUNCTION);
		collect_pieces(lua);
	}
	size_t bytes;
	const char *text = lua_tolstring(lua, 1, &bytes);
	const char *name = luaL_optstring(lua, 2, is_text ? text : "=(load)");
	if (!strchr(mode, 't')) {
		lua_pushnil(lua);
		lua_pushliteral(lua, "only text can be loaded (mode is 'b')");
		return 2;
	}
	if (sandbox_load(lua, slice_of(text, bytes), name, true, has_environment ? 4 : 0)) {
		lua_pushnil(lua);
		lua_insert(lua, -2);
		return 2;
	}
	return 1;
}

void sandbox_open_base(lua_State *lua)
{
	static const luaL_Reg functions[] = {
	    {"assert", base_assert},
	    {"error", base_error},
	    {"getmetatable", base_getmetatable},
	    {"ipairs", base_ipairs},
	    {"load", base_load},
	    {"pcall", base_pcall},
	    {"print", base_print},
	    {"rawequal", base_rawequal},
	    {"rawget", base_rawget},
	    {"rawlen", base_rawlen},
	    {"rawset", base_rawset},
	    {"select", base_select},
	    {"setmetatable", base_setmetatable},
	    {"tonumber", base_tonumber},
	    {"tostring", base_tostring},
	    {"type", base_type},
	    {"xpcall", base_xpcall},
	    {NULL, NULL},
	};
	luaL_setfuncs(lua, functions, 0);
	lua_pushliteral(lua, LUA_VERSION);
	lua_setfield(lua, -2, "_VERSION");
}
