/* What values ask of the sandbox, for programs that have values without one: no run whose budget
 * could be charged, and one pointer in each interpreter. Weak: where there is a sandbox, it is
 * asked. To be included by one file of a program. */
#ifndef KX_TESTS_NO_SANDBOX_H
#define KX_TESTS_NO_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

#include "scripting/sandbox.h"

static uint64_t no_sandbox_charged; /* units, since the program began */
static const char no_sandbox_key;   /* of the registry */

__attribute__((weak)) void sandbox_charge(struct lua_State *lua, uint64_t units)
{
	(void)lua;
	no_sandbox_charged += units;
}

__attribute__((weak)) void sandbox_spend(struct lua_State *lua, uint64_t units)
{
	sandbox_charge(lua, units);
}

__attribute__((weak)) void sandbox_charge_bytes(struct lua_State *lua, uint64_t bytes)
{
	(void)lua;
	(void)bytes;
}

__attribute__((weak)) void sandbox_charge_text(struct lua_State *lua, uint64_t bytes)
{
	(void)lua;
	(void)bytes;
}

__attribute__((weak)) char *sandbox_make(struct lua_State *lua, size_t bytes)
{
	return lua_newuserdatauv(lua, bytes ? bytes : 1, 0);
}

__attribute__((weak)) void sandbox_made(struct lua_State *lua, int position, size_t bytes)
{
	lua_pushlstring(lua, lua_touserdata(lua, position), bytes);
}

__attribute__((weak)) void sandbox_create_table(
    struct lua_State *lua, size_t elements, size_t fields)
{
	lua_createtable(lua, (int)elements, (int)fields);
}

__attribute__((weak)) struct sandbox_run *sandbox_current(struct lua_State *lua)
{
	(void)lua;
	return NULL;
}

__attribute__((weak)) bool sandbox_slice_over(struct lua_State *lua)
{
	(void)lua;
	return false;
}

__attribute__((weak)) void sandbox_attach(struct lua_State *lua, void *attached)
{
	lua_pushlightuserdata(lua, attached);
	lua_rawsetp(lua, LUA_REGISTRYINDEX, &no_sandbox_key);
}

__attribute__((weak)) void *sandbox_attached(struct lua_State *lua)
{
	if (!lua_checkstack(lua, 1))
		return NULL;
	lua_rawgetp(lua, LUA_REGISTRYINDEX, &no_sandbox_key);
	void *attached = lua_touserdata(lua, -1);
	lua_pop(lua, 1);
	return attached;
}

#endif
