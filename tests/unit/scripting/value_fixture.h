/* A plain Lua (no sandbox) with `kalix` in it, and functions for scripts that test values:
 *
 *	same(got, expected)              raises where they differ
 *	fails(text, f, ...)              f(...) must raise exactly this text
 *	pack(value [, schema])           the value as MessagePack; raises what is wrong
 *	unpack(bytes [, schema [, outside]])
 *	stored(bytes [, schema])         value_push_state
 *	absent([schema])                 value_push_absent
 *	copy(value), view(value [, what])
 *	accepts(wide, narrow)            true, or false and why; nil is no schema
 *	schema_bytes(schema), schema_text(schema): encoded, and as JSON
 *	units()                          what was charged since it was last asked
 *	direct(on)                       value_direct.h or not; how many values went so until now
 *	draw(n)                          1 to n, from a seed that every test begins with
 */
#ifndef KX_TESTS_UNIT_SCRIPTING_VALUE_FIXTURE_H
#define KX_TESTS_UNIT_SCRIPTING_VALUE_FIXTURE_H

#include <stdint.h>

struct lua_State;

/* Lua source in C: no comments, no long strings, quotes in pairs. */
#define LUA(...) #__VA_ARGS__

struct lua_State *fixture_new(void);
void fixture_free(struct lua_State *lua);
/* Runs a script; an error fails the test. */
void fixture_run(struct lua_State *lua, const char *script);
/* The same in an interpreter of its own. */
void fixture_script(const char *script);

/* Parts of it, for other interpreters: pushes `kalix`; adds the functions to the table on top. */
void fixture_push_kalix(struct lua_State *lua);
void fixture_add_functions(struct lua_State *lua);
void fixture_seed(uint64_t seed); /* of draw */

#endif
