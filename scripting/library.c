/* What `require "kalix"` gives: the constructors, and libraries beside Lua's own. */
#include "base/limits.h"
#include "scripting/call.h"
#include "scripting/sandbox.h"
#include "scripting/schema.h"
#include "scripting/value.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>

/* ---- time ---- */

/* The call's time, not a clock's: the same as ctx.now, and as long as a call runs it stands. */
static int time_now(lua_State *lua)
{
	sandbox_refuse_pure(lua, "time.now");
	struct script_owner *owner = script_owner(lua);
	if (!owner || owner->kind != OWNER_CALL)
		return luaL_error(lua, "time.now: there is no time while an app is loaded");
	struct host_call *call = (struct host_call *)owner;
	call->saw_time = true;
	lua_pushinteger(lua, call->request.now_ms);
	return 1;
}

/* ---- uuid and random ---- */

static uint64_t draw(lua_State *lua, const char *what)
{
	sandbox_refuse_pure(lua, what);
	struct script_owner *owner = script_owner(lua);
	if (!owner || owner->kind != OWNER_CALL)
		luaL_error(lua, "%s: nothing is left to chance while an app is loaded", what);
	return sandbox_random(lua);
}

/* Version 4 of RFC 9562: random bits but for version and variant. */
static int uuid(lua_State *lua)
{
	uint64_t high = draw(lua, "uuid"), low = draw(lua, "uuid");
	high = (high & ~UINT64_C(0xf000)) | 0x4000;
	low = (low & ~(UINT64_C(3) << 62)) | UINT64_C(2) << 62;
	char text[40];
	snprintf(text, sizeof(text), "%08x-%04x-%04x-%04x-%012llx", (unsigned)(high >> 32),
	    (unsigned)(high >> 16 & 0xffff), (unsigned)(high & 0xffff), (unsigned)(low >> 48),
	    (unsigned long long)(low & 0xffffffffffff));
	lua_pushstring(lua, text);
	return 1;
}

/* As math.random: a float in [0,1), or an integer in a range. */
static int random_number(lua_State *lua)
{
	int arguments = lua_gettop(lua);
	if (arguments == 0) {
		lua_pushnumber(lua, (double)(draw(lua, "random") >> 11) * 0x1p-53);
		return 1;
	}
	lua_Integer from = arguments == 1 ? 1 : luaL_checkinteger(lua, 1);
	lua_Integer to = luaL_checkinteger(lua, arguments == 1 ? 1 : 2);
	luaL_argcheck(lua, from <= to, arguments == 1 ? 1 : 2, "the range is empty");
	uint64_t last = (uint64_t)to - (uint64_t)from;
	uint64_t drawn = draw(lua, "random");
	if (last != UINT64_MAX) {
		/* What lies above the last whole multiple is drawn again, so all are as likely. */
		uint64_t count = last + 1, unfair = (UINT64_MAX - count + 1) % count;
		for (int i = 0; i < 64 && drawn < unfair; i++)
			drawn = draw(lua, "random");
		drawn %= count;
	}
	lua_pushinteger(lua, (lua_Integer)(uint64_t)((uint64_t)from + drawn));
	return 1;
}

/* ---- log ---- */

enum { LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARN, LEVEL_ERROR };
#define LOG_TEXT_BYTES_MAX 2048

void library_log(struct host *host, int level, struct slice text)
{
	if (!host->options.log)
		return;
	struct script_owner *owner = script_owner(host->lua);
	struct slice address = slice_of(NULL, 0);
	if (owner && owner->kind == OWNER_CALL) {
		const struct host_call *call = (const struct host_call *)owner;
		address = call->handler ? call->request.address : call->fold.address;
	}
	if (text.bytes > LOG_TEXT_BYTES_MAX)
		text.bytes = LOG_TEXT_BYTES_MAX;
	host->options.log(host->options.log_arg, level, address, text);
}

/* log.info(text [, fields]); upvalues: host, level. */
static int log_line(lua_State *lua)
{
	struct host *host = lua_touserdata(lua, lua_upvalueindex(1));
	int level = (int)lua_tointeger(lua, lua_upvalueindex(2));
	size_t bytes;
	const char *text = luaL_checklstring(lua, 1, &bytes);
	sandbox_charge(lua, 100 + bytes / 8);
	struct script_owner *owner = script_owner(lua);
	if (lua_isnoneornil(lua, 2) || !owner || owner->kind != OWNER_CALL) {
		library_log(host, level, slice_of(text, bytes));
		return 0;
	}
	struct host_call *call = (struct host_call *)owner;
	struct value_problem problem;
	buffer_clear(&call->scratch);
	int error = buffer_append(&call->scratch, text, bytes);
	if (!error)
		error = buffer_append_text(&call->scratch, " ");
	if (!error)
		error = value_write_json(lua, 2, NULL, &call->scratch, &problem);
	if (error == ERR_INVALID)
		return luaL_error(lua, "log: %s", problem.why);
	if (!error)
		library_log(host, level, buffer_view(&call->scratch));
	return 0;
}

static void open_log(struct host *host, lua_State *lua)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};
	lua_newtable(lua);
	for (int level = LEVEL_DEBUG; level <= LEVEL_ERROR; level++) {
		lua_pushlightuserdata(lua, host);
		lua_pushinteger(lua, level);
		lua_pushcclosure(lua, log_line, 2);
		lua_setfield(lua, -2, names[level]);
	}
}

/* ---- What is not there yet ---- */

/* Whatever is done with it says so, instead of 'attempt to index a nil value'. Its name is the
 * upvalue. */
static int not_here(lua_State *lua)
{
	return luaL_error(lua,
	    "kalix.%s is not in this version of Kalix: its administration comes with a later one",
	    lua_tostring(lua, lua_upvalueindex(1)));
}

static void add_absent(lua_State *lua, const char *name)
{
	static const char *const uses[] = {"__index", "__newindex", "__call"};
	/* No table: nothing can be put into it, whatever is used for that. */
	lua_newuserdatauv(lua, 0, 0);
	lua_newtable(lua);
	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
		lua_pushstring(lua, name);
		lua_pushcclosure(lua, not_here, 1);
		lua_setfield(lua, -2, uses[i]);
	}
	lua_pushboolean(lua, false);
	lua_setfield(lua, -2, "__metatable");
	lua_setmetatable(lua, -2);
	lua_setfield(lua, -2, name);
}

static void add(lua_State *lua, void (*opener)(lua_State *), const char *name)
{
	opener(lua);
	lua_setfield(lua, -2, name);
}

void library_open(struct host *host, lua_State *lua)
{
	lua_newtable(lua);
	declare_open(lua);
	schema_open(lua);
	sandbox_protect(lua);
	schema_refuse_unknown(lua);
	lua_setfield(lua, -2, "schema");
	add(lua, value_push_null, "null");
	add(lua, value_open_list, "list");
	add(lua, value_open_sorted, "sorted");
	add(lua, value_open_json, "json");
	add(lua, value_open_base64, "base64");
	add(lua, value_open_hash, "hash");
	lua_newtable(lua);
	lua_pushcfunction(lua, time_now);
	lua_setfield(lua, -2, "now");
	lua_setfield(lua, -2, "time");
	lua_pushcfunction(lua, uuid);
	lua_setfield(lua, -2, "uuid");
	lua_pushcfunction(lua, random_number);
	lua_setfield(lua, -2, "random");
	open_log(host, lua);
	lua_setfield(lua, -2, "log");
	add(lua, password_open, "password");
	add_absent(lua, "secret");
}
