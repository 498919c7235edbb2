/* Where two values differ first. */
#include "scripting/sandbox_keys.h"
#include "scripting/test/parts.h"

#include <lauxlib.h>
#include <lua.h>

/* Two tables that are compared, on the stack from `base` on: expected, got, a list of all keys of
 * both, in order; but for the first one, their key stands below. */
struct pair {
	int base;
	lua_Integer at, count;
};
enum { EXPECTED, GOT, KEYS, PAIR_VALUES, DEPTH_MAX = 100 };

/* Pushes a list of the keys of both. */
static void push_keys(lua_State *lua, int base)
{
	size_t others;
	lua_newtable(lua);
	for (int side = EXPECTED; side <= GOT; side++) {
		lua_pushnil(lua);
		while (lua_next(lua, base + side)) {
			lua_pop(lua, 1);
			lua_pushvalue(lua, -1);
			lua_pushboolean(lua, true);
			lua_rawset(lua, base + KEYS);
			sandbox_charge(lua, 4);
		}
	}
	sandbox_keys_push(lua, base + KEYS, &others);
	lua_replace(lua, base + KEYS);
}

/* The two on top become the next pair. */
static void push_pair(lua_State *lua, struct pair *pairs, unsigned depth)
{
	luaL_checkstack(lua, 20, "tables in tables");
	struct pair *pair = &pairs[depth];
	pair->base = lua_gettop(lua) - GOT;
	push_keys(lua, pair->base);
	pair->at = 0;
	pair->count = (lua_Integer)lua_rawlen(lua, pair->base + KEYS);
}

/* Two that are being compared already: a table that holds itself. */
static bool is_under_way(lua_State *lua, const struct pair *pairs, unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		if (lua_rawequal(lua, pairs[i].base + EXPECTED, -2) &&
		    lua_rawequal(lua, pairs[i].base + GOT, -1))
			return true;
	return false;
}

static void write_path(
    lua_State *lua, const struct pair *pairs, unsigned depth, int key, struct buffer *path)
{
	for (unsigned i = 1; i < depth; i++)
		test_print_key(lua, pairs[i].base - 1, path);
	test_print_key(lua, key, path);
}

/* Of one key of the innermost pair: true, and the stack as it was, or deeper by one; false, and the
 * two values on top. */
static bool compare_next(lua_State *lua, struct pair *pairs, unsigned *depth, struct buffer *path)
{
	struct pair *pair = &pairs[*depth - 1];
	int top = pair->base + KEYS;
	lua_rawgeti(lua, top, ++pair->at);
	int key = lua_gettop(lua);
	for (int side = EXPECTED; side <= GOT; side++) {
		lua_pushvalue(lua, key);
		lua_rawget(lua, pair->base + side);
	}
	sandbox_charge(lua, 8);
	if (lua_rawequal(lua, -1, -2)) {
		lua_settop(lua, top);
		return true;
	}
	if (!lua_istable(lua, -1) || !lua_istable(lua, -2)) {
		write_path(lua, pairs, *depth, key, path);
		return false;
	}
	if (is_under_way(lua, pairs, *depth)) {
		lua_settop(lua, top);
		return true;
	}
	if (*depth == DEPTH_MAX)
		luaL_error(lua, "assert.same: more than %d tables in each other", DEPTH_MAX);
	push_pair(lua, pairs, (*depth)++);
	return true;
}

bool test_same(lua_State *lua, int expected, int got, struct buffer *path)
{
	struct pair pairs[DEPTH_MAX];
	unsigned depth = 0;
	int top = lua_gettop(lua);
	lua_pushvalue(lua, expected);
	lua_pushvalue(lua, got);
	if (lua_rawequal(lua, -1, -2)) {
		lua_settop(lua, top);
		return true;
	}
	if (!lua_istable(lua, -1) || !lua_istable(lua, -2))
		return false;
	push_pair(lua, pairs, depth++);
	while (depth > 0) {
		if (pairs[depth - 1].at < pairs[depth - 1].count) {
			if (!compare_next(lua, pairs, &depth, path))
				return false;
			continue;
		}
		depth--;
		lua_settop(lua, depth > 0 ? pairs[depth - 1].base + KEYS : top);
	}
	return true;
}
