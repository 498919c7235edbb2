/* test.app, and what it shares with test.entity: options, callers, calls. */
#include "scripting/test/world_lua.h"

#include "base/limits.h"
#include "base/wire/duration.h"
#include "scripting/rfc3339.h"
#include "scripting/value.h"

#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* 2026-01-01T00:00:00Z: any time will do, as long as it is the same in each run. */
#define NOW_DEFAULT_MS INT64_C(1767225600000)
#define SEED_DEFAULT   1
#define NOW_MAX_MS     INT64_C(253402300799999) /* the end of the year 9999 */
/* At one time; those that no test can reach any more are given back before. */
#define WORLDS_MAX 128

static const char app_type[] = "kalix.test app";

static struct slice text_at(lua_State *lua, int position)
{
	size_t bytes;
	const char *text = lua_tolstring(lua, position, &bytes);
	return slice_of(text, bytes);
}

/* ---- Options ---- */

void world_check_keys(
    lua_State *lua, int position, const char *what, const char *const *names, size_t count)
{
	struct slice known[16];
	for (size_t i = 0; i < count && i < COUNT_OF(known); i++)
		known[i] = slice_from_text(names[i]);
	lua_pushnil(lua);
	while (lua_next(lua, position)) {
		lua_pop(lua, 1);
		if (lua_type(lua, -1) != LUA_TSTRING)
			continue;
		struct slice key = text_at(lua, -1);
		size_t i = 0;
		while (i < count && !slice_equal(key, known[i]))
			i++;
		if (i < count)
			continue;
		char suggestion[128];
		suggest(key, known, count, suggestion, sizeof(suggestion));
		luaL_error(lua, "%s has no '%s'%s", what, lua_tostring(lua, -1), suggestion);
	}
}

/* Pushes the member; its type, LUA_TNIL where it is absent. */
static int member(lua_State *lua, int table, const char *name)
{
	lua_pushstring(lua, name);
	return lua_rawget(lua, table);
}

static void read_now(lua_State *lua, int options, const char *what, int64_t *now_ms)
{
	int type = member(lua, options, "now");
	int is_integer = 0;
	if (type == LUA_TNUMBER)
		*now_ms = lua_tointegerx(lua, -1, &is_integer);
	else if (type == LUA_TSTRING)
		is_integer = rfc3339_parse(text_at(lua, -1), now_ms) == 0;
	if (type != LUA_TNIL && (!is_integer || *now_ms < 0 || *now_ms > NOW_MAX_MS))
		luaL_error(lua,
		    "%s: now is milliseconds since 1970, or a time like \"2026-01-01T00:00:00Z\"",
		    what);
	lua_pop(lua, 1);
}

static void read_options(
    lua_State *lua, int position, const char *what, struct world_options *options)
{
	static const char *const names[] = {"seed", "now"};
	if (lua_isnoneornil(lua, position))
		return;
	if (!lua_istable(lua, position))
		luaL_error(lua, "%s: options are a table like { seed = 1, now = 0 }, not %s", what,
		    test_what(lua, position));
	world_check_keys(lua, position, what, names, COUNT_OF(names));
	if (member(lua, position, "seed") != LUA_TNIL) {
		int is_integer;
		options->seed = (uint64_t)lua_tointegerx(lua, -1, &is_integer);
		if (!is_integer)
			luaL_error(lua, "%s: seed is an integer, not %s", what, test_what(lua, -1));
	}
	lua_pop(lua, 1);
	read_now(lua, position, what, &options->now_ms);
}

/* A line of a handler's log. */
static void take_logged(void *arg, int level, struct slice address, struct slice text)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};
	struct app_test *test = arg;
	/* What does not fit is not shown. */
	if (buffer_append_format(&test->logged, "%s %.*s: %.*s\n", names[level & 3],
	        (int)address.bytes, (const char *)address.data, (int)text.bytes,
	        (const char *)text.data))
		return;
}

/* ---- Handles ---- */

static int collect_world(lua_State *lua)
{
	struct world_handle *handle = lua_touserdata(lua, 1);
	if (handle->world)
		handle->test->worlds--;
	world_free(handle->world);
	handle->world = NULL;
	return 0;
}

/* Upvalues: the methods, what has them. */
static int index_method(lua_State *lua)
{
	lua_pushvalue(lua, 2);
	if (lua_rawget(lua, lua_upvalueindex(1)) != LUA_TNIL)
		return 1;
	struct slice names[8];
	size_t count = 0;
	lua_pushnil(lua);
	while (lua_next(lua, lua_upvalueindex(1)) && count < COUNT_OF(names)) {
		lua_pop(lua, 1);
		names[count++] = text_at(lua, -1);
	}
	lua_settop(lua, 2);
	test_push_text(lua, 2);
	char suggestion[128];
	suggest(text_at(lua, -1), names, count, suggestion, sizeof(suggestion));
	return luaL_error(lua, "%s has no '%s'%s", lua_tostring(lua, lua_upvalueindex(2)),
	    lua_tostring(lua, -1), suggestion);
}

void world_make_type(lua_State *lua, const char *type, const luaL_Reg *methods)
{
	luaL_newmetatable(lua, type);
	lua_newtable(lua);
	luaL_setfuncs(lua, methods, 0);
	lua_pushstring(lua, type);
	lua_pushcclosure(lua, index_method, 2);
	lua_setfield(lua, -2, "__index");
	lua_pushcfunction(lua, test_refuse_write);
	lua_setfield(lua, -2, "__newindex");
	lua_pushcfunction(lua, collect_world);
	lua_setfield(lua, -2, "__gc");
	lua_pushboolean(lua, false);
	lua_setfield(lua, -2, "__metatable");
	lua_pop(lua, 1);
}

struct world_handle *world_push(lua_State *lua, struct app_test *test, const char *type,
    const char *what, struct slice address, int options)
{
	struct world_options world = {
	    .seed = SEED_DEFAULT, .now_ms = NOW_DEFAULT_MS, .log = take_logged, .log_arg = test};
	read_options(lua, options, what, &world);
	if (test->worlds >= WORLDS_MAX)
		sandbox_collect_whole(lua);
	if (test->worlds >= WORLDS_MAX)
		luaL_error(lua, "%s: more than %d apps and entities at one time", what, WORLDS_MAX);
	struct world_handle *handle = lua_newuserdatauv(lua, sizeof(*handle) + address.bytes, 0);
	*handle = (struct world_handle){.test = test, .address_bytes = address.bytes};
	if (address.bytes)
		memcpy(handle->address, address.data, address.bytes);
	luaL_setmetatable(lua, type);
	int error = world_new(buffer_view(&test->owner.bundle->bytes), &world, &handle->world);
	if (error)
		luaL_error(lua, "%s: %s", what, error_text(error));
	test->worlds++;
	return handle;
}

struct world_handle *world_check(lua_State *lua, const char *type, const char *method)
{
	struct world_handle *handle = luaL_testudata(lua, 1, type);
	if (!handle)
		luaL_error(lua, "%s is a method: call it with a colon, %s(...)", method, method);
	return handle;
}

/* ---- Who calls ---- */

/* While there are no users to be told apart, whoever may call has every role. */
static const struct slice all_roles[] = {{(const uint8_t *)"admin", 5}, {(const uint8_t *)"*", 1}};

struct caller {
	struct host_caller host;
	struct slice roles[ROLES_MAX];
};

static struct slice caller_text(
    lua_State *lua, int as, const char *name, const char *what, const char *otherwise)
{
	struct slice text = slice_from_text(otherwise);
	int type = member(lua, as, name);
	if (type == LUA_TSTRING)
		text = text_at(lua, -1);
	else if (type != LUA_TNIL)
		luaL_error(lua, "%s: as.%s is a text, not %s", what, name, test_what(lua, -1));
	lua_pop(lua, 1);
	return text;
}

static void read_roles(lua_State *lua, int as, const char *what, struct caller *caller)
{
	int type = member(lua, as, "roles");
	int roles = lua_gettop(lua);
	if (type != LUA_TTABLE && type != LUA_TNIL)
		luaL_error(lua, "%s: as.roles is a list of texts like { \"clerk\" }, not %s", what,
		    test_what(lua, roles));
	size_t count = type == LUA_TTABLE ? (size_t)lua_rawlen(lua, roles) : 0;
	if (count > ROLES_MAX)
		luaL_error(lua, "%s: as.roles has more than %d", what, ROLES_MAX);
	for (size_t i = 0; i < count; i++) {
		if (lua_rawgeti(lua, roles, (lua_Integer)i + 1) != LUA_TSTRING)
			luaL_error(lua, "%s: as.roles is a list of texts, one is %s", what,
			    test_what(lua, -1));
		caller->roles[i] = text_at(lua, -1);
		lua_pop(lua, 1);
	}
	caller->host.roles = caller->roles;
	caller->host.role_count = count;
	lua_pop(lua, 1);
}

/* Views are of texts in the table at `options`. */
static void read_caller(lua_State *lua, int options, const char *what, struct caller *caller)
{
	static const char *const names[] = {"name", "roles", "kind"};
	caller->host = (struct host_caller){.kind = slice_from_text("client"),
	    .name = slice_from_text("default"),
	    .roles = all_roles,
	    .role_count = COUNT_OF(all_roles)};
	int type = options ? member(lua, options, "as") : LUA_TNIL;
	if (type == LUA_TTABLE) {
		int as = lua_gettop(lua);
		world_check_keys(lua, as, "as", names, COUNT_OF(names));
		caller->host.kind = caller_text(lua, as, "kind", what, "client");
		caller->host.name = caller_text(lua, as, "name", what, "default");
		read_roles(lua, as, what, caller);
	} else if (type != LUA_TNIL) {
		luaL_error(lua,
		    "%s: as is a table like { name = \"ada\", roles = { \"clerk\" } }, not %s",
		    what, test_what(lua, -1));
	}
	if (options)
		lua_pop(lua, 1);
}

/* ---- Calls ---- */

static void read_token(lua_State *lua, int options, const char *what, struct world_call *call)
{
	int type = member(lua, options, "token");
	if (type == LUA_TSTRING)
		call->token = text_at(lua, -1);
	else if (type != LUA_TNIL)
		luaL_error(lua, "%s: token is a text, not %s", what, test_what(lua, -1));
	if (type == LUA_TSTRING && (call->token.bytes == 0 || call->token.bytes > TOKEN_BYTES_MAX))
		luaL_error(lua, "%s: a token is 1 to %d bytes", what, TOKEN_BYTES_MAX);
	lua_pop(lua, 1);
}

static void read_metadata(
    lua_State *lua, int options, const char *what, struct app_test *test, struct world_call *call)
{
	struct value_problem problem = {.why = "it is too large"};
	int type = member(lua, options, "metadata");
	if (type != LUA_TNIL && type != LUA_TTABLE)
		luaL_error(lua, "%s: metadata is a table, not %s", what, test_what(lua, -1));
	if (type == LUA_TTABLE) {
		buffer_clear(&test->metadata);
		if (value_write_msgpack(lua, lua_gettop(lua), NULL, &test->metadata, &problem))
			luaL_error(lua, "%s: metadata can't be sent: %s", what, problem.why);
		call->metadata = buffer_view(&test->metadata);
	}
	lua_pop(lua, 1);
}

static void read_input(
    lua_State *lua, int position, const char *what, struct app_test *test, struct world_call *call)
{
	struct value_problem problem = {.why = "it is too large"};
	if (lua_isnoneornil(lua, position))
		return;
	buffer_clear(&test->payload);
	if (value_write_json(lua, position, NULL, &test->payload, &problem))
		luaL_error(lua, "%s: the input can't be sent as JSON: %s", what, problem.why);
	call->has_payload = true;
	call->payload = buffer_view(&test->payload);
}

void world_raise(
    lua_State *lua, const struct world_handle *handle, const struct world_answer *answer)
{
	struct call_error error = {.status = answer->status,
	    .message = answer->message,
	    .details = answer->details,
	    .traceback = answer->traceback};
	test_raise_call(lua, handle->test, &error);
}

void world_call_at(lua_State *lua, const struct world_handle *handle, struct slice address,
    int first, const char *what, bool queries_only, struct world_answer *ret_answer)
{
	static const char *const names[] = {"as", "token", "metadata"};
	struct world_call call = {.address = address, .queries_only = queries_only};
	struct caller caller;
	if (lua_type(lua, first) != LUA_TSTRING)
		luaL_error(lua, "%s: the %s is a name, a text, not %s", what,
		    queries_only ? "query" : "command", test_what(lua, first));
	call.name = text_at(lua, first);
	if (lua_gettop(lua) > first + 2)
		luaL_error(lua, "%s: there is nothing behind input and options", what);
	lua_settop(lua, first + 2);
	int options = first + 2;
	if (!lua_isnil(lua, options) && !lua_istable(lua, options))
		luaL_error(lua, "%s: options are a table like { token = \"t1\" }, not %s", what,
		    test_what(lua, options));
	if (lua_isnil(lua, options))
		options = 0;
	read_input(lua, first + 1, what, handle->test, &call);
	read_caller(lua, options, what, &caller);
	call.caller = caller.host;
	if (options) {
		world_check_keys(lua, options, what, names, COUNT_OF(names));
		read_token(lua, options, what, &call);
		read_metadata(lua, options, what, handle->test, &call);
	}
	int error = world_run(handle->world, &call, ret_answer);
	if (error)
		luaL_error(lua, "%s: %s", what, error_text(error));
	if (ret_answer->status != STATUS_OK)
		world_raise(lua, handle, ret_answer);
}

void world_push_reply(lua_State *lua, const struct world_answer *answer)
{
	struct value_problem problem;
	if (!answer->has_reply)
		lua_pushnil(lua);
	else if (value_push_json(lua, answer->reply, NULL, &problem))
		luaL_error(lua, "the reply can't be read: %s", problem.why);
}

int world_advance(lua_State *lua, const struct world_handle *handle, const char *what)
{
	uint64_t ms = 0;
	int is_good = 0;
	if (lua_type(lua, 2) == LUA_TNUMBER) {
		lua_Integer number = lua_tointegerx(lua, 2, &is_good);
		is_good = is_good && number >= 0;
		ms = (uint64_t)number;
	} else if (lua_type(lua, 2) == LUA_TSTRING) {
		is_good = duration_parse(text_at(lua, 2), &ms) == 0;
	}
	int64_t now_ms = world_now(handle->world);
	if (!is_good || ms > (uint64_t)(NOW_MAX_MS - now_ms))
		return luaL_error(lua,
		    "%s takes a duration from now on: \"500ms\", \"5s\", \"10m\", \"8h\", \"7d\", "
		    "or "
		    "milliseconds",
		    what);
	world_set_now(handle->world, now_ms + (int64_t)ms);
	lua_pushinteger(lua, now_ms + (int64_t)ms);
	return 1;
}

/* ---- test.app ---- */

static int call_app(lua_State *lua, const char *what, bool queries_only)
{
	const struct world_handle *handle = world_check(lua, app_type, what);
	struct world_answer answer;
	if (lua_type(lua, 2) != LUA_TSTRING)
		return luaL_error(lua, "%s: the address is a text like \"cart/c1\", not %s", what,
		    test_what(lua, 2));
	world_call_at(lua, handle, text_at(lua, 2), 3, what, queries_only, &answer);
	world_push_reply(lua, &answer);
	return 1;
}

static int app_call(lua_State *lua)
{
	return call_app(lua, "app:call", false);
}

static int app_query(lua_State *lua)
{
	return call_app(lua, "app:query", true);
}

static int app_advance(lua_State *lua)
{
	return world_advance(lua, world_check(lua, app_type, "app:advance"), "app:advance");
}

static int push_empty_list(lua_State *lua)
{
	lua_newtable(lua);
	value_mark_list(lua, lua_gettop(lua));
	return 1;
}

/* ctx:send and ctx:publish raise in this version, so there is nothing to be listed. */
static int app_sent(lua_State *lua)
{
	(void)world_check(lua, app_type, "app:sent");
	return push_empty_list(lua);
}

static int app_published(lua_State *lua)
{
	(void)world_check(lua, app_type, "app:published");
	if (lua_type(lua, 2) != LUA_TSTRING)
		return luaL_error(
		    lua, "app:published takes the name of a topic, not %s", test_what(lua, 2));
	return push_empty_list(lua);
}

static int new_app(lua_State *lua)
{
	struct app_test *test = test_current(lua);
	if (lua_gettop(lua) > 1)
		return luaL_error(lua, "test.app takes one table: test.app { seed = 1, now = 0 }");
	(void)world_push(lua, test, app_type, "test.app", slice_of(NULL, 0), 1);
	return 1;
}

void world_open_app(lua_State *lua)
{
	static const luaL_Reg methods[] = {{"call", app_call}, {"query", app_query},
	    {"advance", app_advance}, {"sent", app_sent}, {"published", app_published},
	    {NULL, NULL}};
	world_make_type(lua, app_type, methods);
	lua_pushcfunction(lua, new_app);
	lua_setfield(lua, -2, "app");
}
