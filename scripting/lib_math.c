/* math: Lua's own functions, which end in bounded time, behind what they must be charged for; and
 * random numbers that can be repeated. */
#include "scripting/sandbox_internal.h"

#include "base/assert.h"

/* ---- math ---- */

static struct sandbox_run *numbers_of(lua_State *lua)
{
	sandbox_refuse_pure(lua, "math.random");
	struct sandbox_run *run = sandbox_from(lua)->current;
	if (!run)
		luaL_error(lua, "no random numbers outside of a call");
	return run;
}

static int math_random(lua_State *lua)
{
	lua_Integer low, high;
	numbers_of(lua);
	switch (lua_gettop(lua)) {
	case 0:
		lua_pushnumber(lua, (lua_Number)(sandbox_random(lua) >> 11) * 0x1p-53);
		return 1;
	case 1:
		low = 1;
		high = luaL_checkinteger(lua, 1);
		if (high == 0) {
			lua_pushinteger(lua, (lua_Integer)sandbox_random(lua));
			return 1;
		}
		break;
	case 2:
		low = luaL_checkinteger(lua, 1);
		high = luaL_checkinteger(lua, 2);
		break;
	default:
		return luaL_error(lua, "wrong number of arguments");
	}
	luaL_argcheck(lua, low <= high, lua_gettop(lua), "interval is empty");
	uint64_t span = (uint64_t)high - (uint64_t)low;
	uint64_t number = sandbox_random(lua);
	if (span != UINT64_MAX) {
		struct random *numbers = &sandbox_from(lua)->current->numbers;
		number = random_below(numbers, span + 1);
	}
	lua_pushinteger(lua, (lua_Integer)(uint64_t)((uint64_t)low + number));
	return 1;
}

static int math_randomseed(lua_State *lua)
{
	struct sandbox_run *run = numbers_of(lua);
	uint64_t seed = (uint64_t)sandbox_random(lua);
	if (!lua_isnoneornil(lua, 1)) {
		lua_Number number = luaL_checknumber(lua, 1);
		lua_Integer integer;
		if (lua_isinteger(lua, 1))
			seed = (uint64_t)lua_tointeger(lua, 1);
		else if (lua_numbertointeger(number, &integer))
			seed = (uint64_t)integer;
		else
			memcpy(&seed, &number, sizeof(seed));
		seed ^= (uint64_t)luaL_optinteger(lua, 2, 0) * UINT64_C(0x9e3779b97f4a7c15);
	}
	random_init(&run->numbers, seed);
	return 0;
}

void sandbox_open_math(lua_State *lua)
{
	static const luaL_Reg functions[] = {
	    {"random", math_random},
	    {"randomseed", math_randomseed},
	    {NULL, NULL},
	};
	lua_pushcfunction(lua, luaopen_math);
	lua_call(lua, 0, 1);
	luaL_setfuncs(lua, functions, 0);
}
