/* Coroutines of scripts. A pause of ours inside of one is passed outward: resume sees that the
 * yield was none of the script's, yields itself, and goes on in the same coroutine afterwards.
 *
 * A coroutine belongs to the run that made it, and can't be resumed in another one, which would see
 * values of another call, or steal what is paused there. The block that says so is at the bottom of
 * its stack, below its function, and lives as long as the thread. There is no `close`: chains of
 * closes run Lua 5.4.4 out of C stack; a coroutine that nobody has any more is garbage.
 */
#include "scripting/own_key.h"
#include "scripting/sandbox_internal.h"

#include "base/assert.h"

static lua_State *coroutine_at(lua_State *lua, int position)
{
	lua_State *coroutine = lua_tothread(lua, position);
	luaL_argexpected(lua, coroutine, position, "coroutine");
	return coroutine;
}

static bool is_own(lua_State *coroutine)
{
	const struct sandbox_lane *lane = *sandbox_lane_of(coroutine);
	const struct sandbox_run *run = lane->sandbox->current;
	return run && lane->run == run->serial;
}

/* ---- create ---- */

static int coroutine_create(lua_State *lua)
{
	luaL_checktype(lua, 1, LUA_TFUNCTION);
	struct sandbox *sandbox = sandbox_from(lua);
	const struct sandbox_run *run = sandbox->current;
	if (!run)
		return luaL_error(lua, "no coroutines outside of a call");
	/* Its instructions are counted by themselves: up to a whole interval would never be. */
	sandbox_charge(lua, SANDBOX_STEP);
	lua_State *coroutine = lua_newthread(lua);
	struct sandbox_lane *lane = lua_newuserdatauv(lua, sizeof(*lane), 0);
	*lane = (struct sandbox_lane){.sandbox = sandbox, .run = run->serial};
	lua_xmove(lua, coroutine, 1);
	*sandbox_lane_of(coroutine) = lane;
	sandbox_hook_set(coroutine, run);
	lua_pushvalue(lua, 1);
	lua_xmove(lua, coroutine, 1);
	return 1;
}

/* ---- resume ---- */

enum way { RESUME, WRAP };

static const char *status_of(lua_State *lua, lua_State *coroutine)
{
	const struct sandbox_lane *lane = *sandbox_lane_of(coroutine);
	lua_Debug frame;
	if (coroutine == lua)
		return "running";
	if (lane == &lane->sandbox->lane) /* what stands for the run itself */
		return lua == lane->sandbox->current->lua ? "running" : "normal";
	if (lane->ended || !is_own(coroutine))
		return "dead";
	switch (lua_status(coroutine)) {
	case LUA_YIELD:
		return "suspended";
	case LUA_OK:
		return lua_getstack(coroutine, 0, &frame) ? "normal" : "suspended";
	default:
		return "dead";
	}
}

static int failed(lua_State *lua, enum way way)
{
	if (way == RESUME) {
		lua_pushboolean(lua, false);
		lua_insert(lua, -2);
		return 2;
	}
	if (lua_type(lua, -1) == LUA_TSTRING) {
		luaL_where(lua, 1);
		lua_insert(lua, -2);
		lua_concat(lua, 2);
	}
	return lua_error(lua);
}

static int after_pause(lua_State *lua, int status, lua_KContext way);

static int go_on(lua_State *lua, lua_State *coroutine, int arguments, enum way way)
{
	struct sandbox *sandbox = sandbox_from(lua);
	bool pausable = sandbox->pausable;
	ASSERT(sandbox->running == lua);
	sandbox->pausable = pausable && lua_isyieldable(lua);
	sandbox->running = coroutine;
	/* Setting it begins a new interval, so it is not done without need. */
	if (lua_gethookcount(coroutine) != sandbox->current->interval)
		sandbox_hook_set(coroutine, sandbox->current);
	int results = 0;
	int status = lua_resume(coroutine, lua, arguments, &results);
	ASSERT(sandbox->running == coroutine);
	sandbox->running = lua;
	sandbox->pausable = pausable;

	if (status == LUA_YIELD && sandbox->pausing)
		return lua_yieldk(lua, 0, way, after_pause);
	if (status != LUA_OK && status != LUA_YIELD) {
		sandbox_pass_abort(lua, coroutine, status);
		lua_xmove(coroutine, lua, 1);
		return failed(lua, way);
	}
	if (status == LUA_OK) {
		(*sandbox_lane_of(coroutine))->ended = true;
		results--; /* Lua counts all that is on the stack, and the lane's block is. */
	}
	if (!lua_checkstack(lua, results + 1)) {
		lua_pop(coroutine, results);
		lua_pushliteral(lua, "too many results to resume");
		return failed(lua, way);
	}
	if (way == RESUME)
		lua_pushboolean(lua, true);
	lua_xmove(coroutine, lua, results);
	return results + (way == RESUME);
}

static int after_pause(lua_State *lua, int status, lua_KContext way)
{
	(void)status;
	lua_State *coroutine = lua_tothread(lua, way == RESUME ? 1 : lua_upvalueindex(1));
	return go_on(lua, coroutine, 0, (enum way)way);
}

/* The last `arguments` values on the stack go to the coroutine. */
static int begin(lua_State *lua, lua_State *coroutine, int arguments, enum way way)
{
	sandbox_charge(lua, 10 + (uint64_t)arguments / 8);
	const char *status = status_of(lua, coroutine);
	if (*status != 's') {
		if (*status == 'd' && !is_own(coroutine))
			lua_pushliteral(lua, "cannot resume a coroutine of another call");
		else
			lua_pushfstring(lua, "cannot resume %s coroutine",
			    *status == 'd' ? "dead" : "non-suspended");
		return failed(lua, way);
	}
	if (!lua_checkstack(coroutine, arguments)) {
		lua_pushliteral(lua, "too many arguments to resume");
		return failed(lua, way);
	}
	lua_xmove(lua, coroutine, arguments);
	return go_on(lua, coroutine, arguments, way);
}

static int coroutine_resume(lua_State *lua)
{
	lua_State *coroutine = coroutine_at(lua, 1);
	return begin(lua, coroutine, lua_gettop(lua) - 1, RESUME);
}

static int call_wrapped(lua_State *lua)
{
	lua_State *coroutine = lua_tothread(lua, lua_upvalueindex(1));
	return begin(lua, coroutine, lua_gettop(lua), WRAP);
}

static int coroutine_wrap(lua_State *lua)
{
	coroutine_create(lua);
	lua_pushcclosure(lua, call_wrapped, 1);
	return 1;
}

/* ---- The others ---- */

static bool is_outermost(lua_State *lua)
{
	const struct sandbox *sandbox = sandbox_from(lua);
	return *sandbox_lane_of(lua) == &sandbox->lane;
}

static int coroutine_yield(lua_State *lua)
{
	if (is_outermost(lua))
		return luaL_error(lua, "attempt to yield from outside a coroutine");
	return lua_yield(lua, lua_gettop(lua));
}

static int coroutine_isyieldable(lua_State *lua)
{
	lua_State *of = lua_isnone(lua, 1) ? lua : coroutine_at(lua, 1);
	lua_pushboolean(lua, !is_outermost(of) && lua_isyieldable(of));
	return 1;
}

static int coroutine_status(lua_State *lua)
{
	lua_pushstring(lua, status_of(lua, coroutine_at(lua, 1)));
	return 1;
}

/* The run's own thread is used again by other runs, so scripts get another one in its place. */
static int coroutine_running(lua_State *lua)
{
	bool outermost = is_outermost(lua);
	if (outermost)
		lua_rawgetp(lua, LUA_REGISTRYINDEX, own_key(OWN_KEY_OUTERMOST));
	else
		lua_pushthread(lua);
	lua_pushboolean(lua, outermost);
	return 2;
}

void sandbox_open_coroutine(lua_State *lua)
{
	static const luaL_Reg functions[] = {
	    {"create", coroutine_create},
	    {"isyieldable", coroutine_isyieldable},
	    {"resume", coroutine_resume},
	    {"running", coroutine_running},
	    {"status", coroutine_status},
	    {"wrap", coroutine_wrap},
	    {"yield", coroutine_yield},
	    {NULL, NULL},
	};
	lua_newthread(lua);
	lua_rawsetp(lua, LUA_REGISTRYINDEX, own_key(OWN_KEY_OUTERMOST));
	luaL_newlib(lua, functions);
}
