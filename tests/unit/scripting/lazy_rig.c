#include "tests/unit/scripting/lazy_rig.h"

#include "base/buffer.h"
#include "scripting/schema.h"
#include "scripting/value.h"
#include "scripting/value_inside.h"

#include <lauxlib.h>
#include <lua.h>

static int lazy_count(lua_State *lua)
{
	lua_pushinteger(lua, (lua_Integer)value_state_of(lua)->lazy_count);
	return 1;
}

static int make_stored(lua_State *lua)
{
	struct value_problem problem;
	struct buffer scratch;
	buffer_init(&scratch, 1 << 20);
	lua_settop(lua, 2);
	int error = value_make_stored(lua, 1, schema_at(lua, 2), &scratch, &problem);
	buffer_done(&scratch);
	ck_assert_int_eq(lua_gettop(lua), 2);
	return error == ERR_INVALID ? luaL_error(lua, "%s", problem.why) : 0;
}

static int open_all(lua_State *lua)
{
	struct sandbox *sandbox = sandbox_of(lua);
	value_open(lua);
	fixture_push_kalix(lua);
	sandbox_provide(sandbox, "kalix");
	lua_newtable(lua);
	fixture_add_functions(lua);
	lua_pushcfunction(lua, lazy_count);
	lua_setfield(lua, -2, "lazy_count");
	lua_pushcfunction(lua, make_stored);
	lua_setfield(lua, -2, "make_stored");
	lua_pushnil(lua);
	while (lua_next(lua, -2)) {
		const char *name = lua_tostring(lua, -2);
		sandbox_provide(sandbox, name);
	}
	return 0;
}

struct sandbox *lazy_rig_new(uint64_t seed)
{
	struct sandbox *sandbox = harness_new(seed);
	lua_State *lua = sandbox_lua(sandbox);
	fixture_seed(seed);
	lua_pushcfunction(lua, open_all);
	ck_assert_msg(lua_pcall(lua, 0, 0, 0) == LUA_OK, "%s", lua_tostring(lua, -1));
	return sandbox;
}

void lazy_rig_free(struct sandbox *sandbox)
{
	sandbox_free(sandbox);
}

void lazy_rig_run(struct sandbox *sandbox, const char *first, const char *second, const char *third)
{
	static const struct sandbox_budget budget = {
	    .instructions = UINT64_C(1) << 40,
	    .run_ns = UINT64_C(1) << 60,
	    .bytes = 512 * 1024 * 1024,
	};
	struct buffer source;
	buffer_init(&source, 1 << 20);
	ck_assert_int_eq(buffer_append_text(&source, first), 0);
	ck_assert_int_eq(buffer_append_text(&source, "\n"), 0);
	ck_assert_int_eq(buffer_append_text(&source, second), 0);
	ck_assert_int_eq(buffer_append_text(&source, "\n"), 0);
	ck_assert_int_eq(buffer_append(&source, third, strlen(third) + 1), 0);
	struct outcome outcome =
	    harness_run(sandbox, &budget, 0, false, (const char *)buffer_view(&source).data);
	ck_assert_msg(outcome.end == SANDBOX_ENDED, "%s\n%s", outcome.text, outcome.traceback);
	buffer_done(&source);
}
