/* What test files do with an app in memory.
 *
 *   local app = test.app { seed = 1, now = "2026-01-01T00:00:00Z" }   both optional; now also in ms
 *   app:call(address, command [, input [, { as = caller, token = text, metadata = table }]])
 *   app:query(...)          the same for queries alone
 *   app:advance(duration)   moves the clock, "8h" or milliseconds, and gives back what it is then
 *   app:sent() app:published(topic)   lists; empty, as nothing can be sent or published yet
 *
 *   local cart = test.entity("cart/c1", { seed = ..., now = ... })   an app, one entity at hand
 *   cart:given { { "item_added", { ... } }, ... }    its history; { name, data, version = n } for
 *                           an older one. state = value, with version = n and revision = n if need
 *                           be: what is stored, for a value entity, or a snapshot below the events
 *   cart:call(command, input, options)   { reply, events, state, sent, timers }; events as given
 *                           takes them, state as the commit leaves it
 *   cart:query(query, input, options)    the reply
 *   cart:advance(duration)
 *
 * A call goes through JSON in both directions, as with a client of the server. One that fails
 * raises a table {code, message, details, traceback}, which is what assert.fails looks for. `as` is
 * {name, roles, kind}, of kind "client" and without roles unless it says so; without `as` it is
 * "default" with all roles, as on a server without users. Tokens last 24 hours of the app's clock.
 *
 * Private to scripting/test.
 */
#ifndef KX_SCRIPTING_TEST_WORLD_LUA_H
#define KX_SCRIPTING_TEST_WORLD_LUA_H

#include "scripting/test/parts.h"
#include "scripting/test/world.h"

struct luaL_Reg;

struct world_handle {
	struct world *world;
	struct app_test *test;
	/* Of test.entity. `component` is the tests' own interpreter's. */
	struct host_component *component;
	size_t address_bytes;
	uint8_t address[];
};

/* Adds `app` to the table on top, and makes what it needs (scripting/test/world_lua.c). */
void world_open_app(struct lua_State *lua);
/* `entity` (scripting/test/entity_lua.c). */
void world_open_entity(struct lua_State *lua);

/* A metatable of that name with these methods; others are named in an error. */
void world_make_type(struct lua_State *lua, const char *type, const struct luaL_Reg *methods);
/* Pushes a handle, with a world made after the options at `options` (a table or nil). */
struct world_handle *world_push(struct lua_State *lua, struct app_test *test, const char *type,
    const char *what, struct slice address, int options);
/* The handle at 1; raises where it is something else: `method` was called with a dot. */
struct world_handle *world_check(struct lua_State *lua, const char *type, const char *method);

/* Runs the call whose command stands at `first`, then input and options; raises where it fails.
 * Nothing is pushed. `what` is the method's name: "app:call". */
void world_call_at(struct lua_State *lua, const struct world_handle *handle, struct slice address,
    int first, const char *what, bool queries_only, struct world_answer *ret_answer);
/* Pushes the reply. */
void world_push_reply(struct lua_State *lua, const struct world_answer *answer);
void world_raise(
    struct lua_State *lua, const struct world_handle *handle, const struct world_answer *answer);
/* The duration at 2. */
int world_advance(struct lua_State *lua, const struct world_handle *handle, const char *what);
/* Refuses keys of the table at `position` that are texts and not among these. */
void world_check_keys(
    struct lua_State *lua, int position, const char *what, const char *const *names, size_t count);

#endif
