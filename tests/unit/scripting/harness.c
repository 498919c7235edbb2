#include "tests/unit/scripting/harness.h"

#include "base/clock.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <string.h>

uint64_t harness_tick_ns;
static uint64_t now_ns = 1;

uint64_t clock_monotonic_ns(void)
{
	now_ns += harness_tick_ns;
	return now_ns;
}

uint64_t clock_thread_ns(void)
{
	return now_ns;
}

int64_t clock_real_ms(void)
{
	return 1;
}

const struct sandbox_budget harness_budget = {
    .instructions = 10000000,
    .run_ns = 100 * NS_PER_MS,
    .bytes = 64 * 1024 * 1024,
};

static int c_call(lua_State *lua)
{
	lua_call(lua, lua_gettop(lua) - 1, LUA_MULTRET);
	return lua_gettop(lua);
}

static int c_pcall(lua_State *lua)
{
	int status = sandbox_pcall(lua, lua_gettop(lua) - 1, 1);
	lua_pushboolean(lua, status == LUA_OK);
	lua_insert(lua, -2);
	return 2;
}

static int give_up(lua_State *lua)
{
	sandbox_abort(lua, STATUS_FAILED_PRECONDITION, luaL_checkstring(lua, 1));
}

static int provide(lua_State *lua)
{
	static const luaL_Reg functions[] = {
	    {"c_call", c_call}, {"c_pcall", c_pcall}, {"give_up", give_up}, {NULL, NULL}};
	for (const luaL_Reg *function = functions; function->name; function++) {
		lua_pushcfunction(lua, function->func);
		sandbox_provide(sandbox_of(lua), function->name);
	}
	lua_createtable(lua, 0, 1);
	lua_createtable(lua, 0, 1);
	lua_pushinteger(lua, 42);
	lua_setfield(lua, -2, "answer");
	lua_setfield(lua, -2, "inner");
	sandbox_provide(sandbox_of(lua), "library");
	return 0;
}

struct sandbox *harness_new(uint64_t seed)
{
	struct sandbox *sandbox;
	struct sandbox_options options = {.seed = seed};
	harness_tick_ns = 0;
	ck_assert_int_eq(sandbox_new(&options, &sandbox), 0);
	lua_State *lua = sandbox_lua(sandbox);
	lua_pushcfunction(lua, provide);
	ck_assert_int_eq(lua_pcall(lua, 0, 0, 0), LUA_OK);
	return sandbox;
}

static void take_text(lua_State *lua, char *text, size_t bytes)
{
	if (lua_type(lua, -1) == LUA_TSTRING)
		snprintf(text, bytes, "%s", lua_tostring(lua, -1));
	else if (lua_isinteger(lua, -1))
		snprintf(text, bytes, "%lld", (long long)lua_tointeger(lua, -1));
	else if (lua_isboolean(lua, -1))
		snprintf(text, bytes, "%s", lua_toboolean(lua, -1) ? "true" : "false");
	else
		snprintf(text, bytes, "%s", luaL_typename(lua, -1));
}

struct outcome harness_run(struct sandbox *sandbox, const struct sandbox_budget *budget,
    uint32_t slice_us, bool pure, const char *source)
{
	struct outcome outcome = {0};
	struct sandbox_run run;
	ck_assert_int_eq(sandbox_run_begin(sandbox, budget, &run), 0);
	run.pure = pure;
	uint64_t bytes = sandbox_bytes(sandbox);
	int error = sandbox_compile(run.lua, slice_from_text(source), "@test.lua");
	if (error) {
		outcome.end = SANDBOX_RAISED;
		take_text(run.lua, outcome.text, sizeof(outcome.text));
		sandbox_run_end(&run);
		return outcome;
	}
	int results = 0;
	while (sandbox_run_resume(&run, 0, slice_us, &results) == SANDBOX_RUNNING) {
		outcome.pauses++;
		if (sandbox_bytes(sandbox) - bytes > outcome.bytes_most)
			outcome.bytes_most = sandbox_bytes(sandbox) - bytes;
		ck_assert_uint_lt(outcome.pauses, 10000000);
	}
	if (sandbox_bytes(sandbox) > bytes + outcome.bytes_most)
		outcome.bytes_most = sandbox_bytes(sandbox) - bytes;
	outcome.end = run.end;
	outcome.instructions = run.instructions;
	outcome.run_ns = run.run_ns;
	switch (run.end) {
	case SANDBOX_ENDED:
		if (results > 0) {
			lua_settop(run.lua, -results);
			take_text(run.lua, outcome.text, sizeof(outcome.text));
		}
		break;
	case SANDBOX_RAISED:
		sandbox_run_traceback(&run, outcome.traceback, sizeof(outcome.traceback));
		take_text(run.lua, outcome.text, sizeof(outcome.text));
		break;
	case SANDBOX_ABORTED:
		outcome.status = run.abort_status;
		snprintf(outcome.text, sizeof(outcome.text), "%s", run.abort_text);
		break;
	case SANDBOX_RUNNING:
		ck_abort_msg("cannot be");
	}
	sandbox_run_end(&run);
	return outcome;
}

static struct outcome run_alone(const char *source)
{
	struct sandbox *sandbox = harness_new(1);
	struct outcome outcome = harness_run(sandbox, &harness_budget, 0, false, source);
	sandbox_free(sandbox);
	return outcome;
}

void harness_gives(const char *source, const char *text)
{
	struct outcome outcome = run_alone(source);
	ck_assert_msg(outcome.end == SANDBOX_ENDED, "ended as %d: %s\n%s", outcome.end,
	    outcome.text, outcome.traceback);
	ck_assert_str_eq(outcome.text, text);
}

void harness_raises(const char *source, const char *text)
{
	struct outcome outcome = run_alone(source);
	ck_assert_msg(outcome.end == SANDBOX_RAISED, "ended as %d: %s", outcome.end, outcome.text);
	ck_assert_msg(strstr(outcome.text, text) != NULL, "'%s' in '%s'", text, outcome.text);
}

void harness_exhausts(const char *source, const char *text)
{
	struct outcome outcome = run_alone(source);
	ck_assert_msg(outcome.end == SANDBOX_ABORTED, "ended as %d: %s", outcome.end, outcome.text);
	ck_assert_int_eq(outcome.status, STATUS_RESOURCE_EXHAUSTED);
	ck_assert_msg(strstr(outcome.text, text) != NULL, "'%s' in '%s'", text, outcome.text);
	ck_assert_uint_lt(outcome.instructions, 2 * harness_budget.instructions);
	ck_assert_uint_lt(outcome.bytes_most, 2 * harness_budget.bytes);
}
