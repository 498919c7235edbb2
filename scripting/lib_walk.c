/* pairs and next in an order that can be repeated: Lua's own order depends on the addresses of
 * objects and on a hash seed made of addresses and time, so a fold that walks a table would differ
 * between two processes.
 *
 * pairs sorts the keys that are there when it begins, and gives each that still has a value. A
 * sequence (keys 1 to n and no others) is in order already and costs no list. next(t, k) gives the
 * least key above k: the order is total, so the answer needs no memory of a walk; the lists of the
 * last few tables are kept for speed, per run, so that what they miss is missed in each repetition.
 */
#include "scripting/sandbox_keys.h"

#include "base/assert.h"

enum { SMALL = 32, WALKS = 4 };

/* What is counted on the way over a table's keys. */
struct walk {
	size_t count, others;
};

static void refuse_others(lua_State *lua, const struct walk *walk)
{
	const struct sandbox_run *run = sandbox_from(lua)->current;
	if (walk->others > 1 && run && run->pure)
		luaL_error(lua, "a walk over keys that are tables or functions has no order that "
		                "could be repeated, and this code must be repeatable");
}

static void note_key(struct walk *walk, const struct sandbox_key *key)
{
	walk->count++;
	walk->others += key->kind == KEY_OTHER;
}

/* Pushes a list of the keys of the table at `table` in order: any number of them. */
static void push_many(lua_State *lua, int table)
{
	struct walk walk = {0};
	sandbox_keys_push(lua, table, &walk.others);
	refuse_others(lua, &walk);
}

/* ---- pairs ---- */

/* How far an iterator is; with few keys these are its upvalues behind this one, with many its
 * second upvalue is their list. */
struct position {
	int at, count;
};

static void push_position(lua_State *lua, size_t count)
{
	struct position *position = lua_newuserdatauv(lua, sizeof(*position), 0);
	*position = (struct position){.count = (int)count};
}

/* Keys 1 to n: where it is says the last key. Upvalue: n. */
static int step_sequence(lua_State *lua)
{
	lua_Integer count = lua_tointeger(lua, lua_upvalueindex(1));
	lua_Integer at = lua_tointeger(lua, 2);
	luaL_checktype(lua, 1, LUA_TTABLE);
	sandbox_settle(lua, 1);
	while (at < count) {
		lua_pushinteger(lua, ++at);
		if (lua_rawgeti(lua, 1, at) != LUA_TNIL)
			return 2;
		lua_pop(lua, 2);
		sandbox_charge(lua, 1);
	}
	return 0;
}

static int step_few(lua_State *lua)
{
	struct position *position = lua_touserdata(lua, lua_upvalueindex(1));
	luaL_checktype(lua, 1, LUA_TTABLE);
	sandbox_settle(lua, 1);
	while (position->at < position->count) {
		int upvalue = lua_upvalueindex(2 + position->at++);
		lua_pushvalue(lua, upvalue);
		lua_pushvalue(lua, upvalue);
		if (lua_rawget(lua, 1) != LUA_TNIL)
			return 2;
		lua_pop(lua, 2);
	}
	return 0;
}

static int step_many(lua_State *lua)
{
	struct position *position = lua_touserdata(lua, lua_upvalueindex(1));
	luaL_checktype(lua, 1, LUA_TTABLE);
	sandbox_settle(lua, 1);
	while (position->at < position->count) {
		lua_rawgeti(lua, lua_upvalueindex(2), ++position->at);
		lua_pushvalue(lua, -1);
		if (lua_rawget(lua, 1) != LUA_TNIL)
			return 2;
		lua_pop(lua, 2);
		sandbox_charge(lua, 1);
	}
	return 0;
}

/* Of a view: the keys are its target's, the values those that it gives. */
static int step_view(lua_State *lua)
{
	struct position *position = lua_touserdata(lua, lua_upvalueindex(1));
	luaL_checktype(lua, 1, LUA_TTABLE);
	while (position->at < position->count) {
		lua_rawgeti(lua, lua_upvalueindex(2), ++position->at);
		lua_pushvalue(lua, -1);
		if (lua_gettable(lua, 1) != LUA_TNIL)
			return 2;
		lua_pop(lua, 2);
		sandbox_charge(lua, 1);
	}
	return 0;
}

/* Goes over keys 1, 2, ... as long as they come so: how many; the key behind them, if any, is on
 * top. */
static size_t count_sequence(lua_State *lua, int table, bool *ret_more)
{
	lua_Integer count = 0;
	lua_pushnil(lua);
	while (lua_next(lua, table)) {
		lua_pop(lua, 1);
		if (!lua_isinteger(lua, -1) || lua_tointeger(lua, -1) != count + 1) {
			*ret_more = true;
			return (size_t)count;
		}
		count++;
	}
	*ret_more = false;
	return (size_t)count;
}

/* Pushes the iterator of a plain table. False, and nothing is pushed: it has many keys. */
static bool push_step(lua_State *lua, int table)
{
	struct sandbox_key keys[SMALL], scratch[SMALL];
	struct walk walk = {0};
	bool more;
	luaL_checkstack(lua, 2 * SMALL + 8, NULL);
	int base = lua_gettop(lua);
	size_t sequence = count_sequence(lua, table, &more);
	sandbox_charge(lua, sequence);
	if (!more) {
		lua_pushinteger(lua, (lua_Integer)sequence);
		lua_pushcclosure(lua, step_sequence, 1);
		return true;
	}
	/* Each key stays on the stack, and the walk begins anew: few are integers. */
	if (sequence > 0) {
		lua_settop(lua, base);
		lua_pushnil(lua);
		lua_next(lua, table);
		lua_pop(lua, 1);
	}
	do {
		if (walk.count == SMALL) {
			lua_settop(lua, base);
			return false;
		}
		struct sandbox_key *key = &keys[walk.count];
		sandbox_key_read(lua, -1, key);
		key->place = lua_gettop(lua);
		note_key(&walk, key);
		lua_pushvalue(lua, -1);
		more = lua_next(lua, table);
		if (more)
			lua_pop(lua, 1);
	} while (more);
	refuse_others(lua, &walk);
	sandbox_charge(lua, walk.count * 4);
	sandbox_keys_sort(lua, keys, scratch, walk.count);
	push_position(lua, walk.count);
	for (size_t i = 0; i < walk.count; i++)
		lua_pushvalue(lua, keys[i].place);
	lua_pushcclosure(lua, step_few, (int)walk.count + 1);
	return true;
}

static int after_pairs(lua_State *lua, int status, lua_KContext context)
{
	(void)lua;
	(void)status;
	(void)context;
	return 3;
}

/* With a list in the making at `position`, on top of the table; of a view, also of its target. */
static int pairs_on(lua_State *lua, int status, lua_KContext position)
{
	(void)status;
	bool view = position > 2;
	struct walk walk = {0};
	if (!sandbox_keys_list_on(lua, (int)position, &walk.others))
		return sandbox_pause(lua, position, pairs_on);
	refuse_others(lua, &walk);
	push_position(lua, lua_rawlen(lua, -1));
	lua_insert(lua, -2);
	lua_pushcclosure(lua, view ? step_view : step_many, 2);
	lua_pushvalue(lua, 1);
	lua_pushnil(lua);
	return 3;
}

static int base_pairs(lua_State *lua)
{
	luaL_checkany(lua, 1);
	lua_settop(lua, 1);
	bool plain = sandbox_is_plain(lua, 1);
	bool view = !plain && sandbox_view_target(lua, 1);
	if (!plain && !view && luaL_getmetafield(lua, 1, "__pairs") != LUA_TNIL) {
		lua_pushvalue(lua, 1);
		lua_callk(lua, 1, 3, 0, after_pairs);
		return 3;
	}
	luaL_checktype(lua, 1, LUA_TTABLE);
	if (view || !push_step(lua, 1))
		return pairs_on(lua, LUA_OK, sandbox_keys_list(lua, view ? 2 : 1));
	lua_pushvalue(lua, 1);
	lua_pushnil(lua);
	return 3;
}

/* ---- next ---- */

/* Pushes the list of walks of the run: at 2i+1 a table, at 2i+2 its list of keys, whose field 0 is
 * where next was last; at 0 which one is to be replaced. False outside of a run. */
static bool push_walks(lua_State *lua)
{
	struct sandbox_run *run = sandbox_from(lua)->current;
	if (!run)
		return false;
	if (run->walks == LUA_NOREF) {
		lua_createtable(lua, 2 * WALKS, 1);
		lua_pushvalue(lua, -1);
		run->walks = luaL_ref(lua, LUA_REGISTRYINDEX);
	} else {
		lua_rawgeti(lua, LUA_REGISTRYINDEX, run->walks);
	}
	return true;
}

/* 0 to WALKS - 1, or -1. */
static int find_walk(lua_State *lua, int walks, int table)
{
	int found = -1;
	for (int i = 0; i < WALKS && found < 0; i++) {
		lua_rawgeti(lua, walks, 2 * i + 1);
		if (lua_rawequal(lua, -1, table))
			found = i;
		lua_pop(lua, 1);
	}
	return found;
}

static void forget_walk(lua_State *lua, int table)
{
	const struct sandbox_run *run = sandbox_from(lua)->current;
	if (!run || run->walks == LUA_NOREF)
		return;
	push_walks(lua);
	int number = find_walk(lua, lua_gettop(lua), table);
	if (number >= 0) {
		lua_pushboolean(lua, false);
		lua_rawseti(lua, -2, 2 * number + 1);
		lua_pushboolean(lua, false);
		lua_rawseti(lua, -2, 2 * number + 2);
	}
	lua_pop(lua, 1);
}

/* Pushes the list for the table, whose field 0 is the position of the last answer. */
static void push_walk(lua_State *lua, int table)
{
	if (!push_walks(lua)) {
		push_many(lua, table);
		return;
	}
	int walks = lua_gettop(lua);
	int number = find_walk(lua, walks, table);
	if (number >= 0) {
		lua_rawgeti(lua, walks, 2 * number + 2);
	} else {
		push_many(lua, table);
		lua_rawgeti(lua, walks, 0);
		number = (int)(lua_tointeger(lua, -1) % WALKS);
		lua_pop(lua, 1);
		lua_pushinteger(lua, number + 1);
		lua_rawseti(lua, walks, 0);
		lua_pushvalue(lua, table);
		lua_rawseti(lua, walks, 2 * number + 1);
		lua_pushvalue(lua, -1);
		lua_rawseti(lua, walks, 2 * number + 2);
	}
	lua_remove(lua, walks);
}

/* How many keys of the list are at or below the key at `position`. */
static lua_Integer count_below(lua_State *lua, int list, int position)
{
	struct sandbox_key key, other;
	lua_Integer low = 0, high = (lua_Integer)lua_rawlen(lua, list);
	sandbox_key_read(lua, position, &key);
	if (key.kind == KEY_OTHER) {
		sandbox_charge(lua, (uint64_t)high);
		while (low < high) {
			lua_rawgeti(lua, list, ++low);
			bool found = lua_rawequal(lua, -1, position);
			lua_pop(lua, 1);
			if (found)
				return low;
		}
		return luaL_error(lua, "invalid key to 'next'");
	}
	while (low < high) {
		lua_Integer middle = low + (high - low) / 2;
		lua_rawgeti(lua, list, middle + 1);
		sandbox_key_read(lua, -1, &other);
		bool below = sandbox_key_compare(&other, &key) <= 0;
		lua_pop(lua, 1);
		if (below)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The least key that has a value; nothing is sorted for `next(t) == nil`. */
static int push_first(lua_State *lua, int table, int view)
{
	struct sandbox_key least = {0}, key;
	struct walk walk = {0};
	forget_walk(lua, table);
	lua_pushnil(lua);
	int chosen = lua_gettop(lua);
	lua_pushnil(lua);
	while (lua_next(lua, table)) {
		lua_pop(lua, 1);
		sandbox_key_read(lua, -1, &key);
		if (walk.count == 0 || sandbox_key_compare(&key, &least) < 0) {
			least = key;
			lua_pushvalue(lua, -1);
			lua_replace(lua, chosen);
		}
		note_key(&walk, &key);
	}
	refuse_others(lua, &walk);
	sandbox_charge(lua, walk.count * 2);
	if (walk.count == 0)
		return 1;
	lua_pushvalue(lua, chosen);
	lua_gettable(lua, view);
	return 2;
}

static int base_next(lua_State *lua)
{
	luaL_checktype(lua, 1, LUA_TTABLE);
	lua_settop(lua, 2);
	bool view = sandbox_view_target(lua, 1);
	if (!view)
		lua_pushvalue(lua, 1);
	/* 1: what was given; 2: the key; 3: the table with the keys */
	sandbox_charge(lua, 4);
	if (lua_isnil(lua, 2)) {
		int results = push_first(lua, 3, view ? 1 : 3);
		if (results == 2 && !view) {
			/* A value that is there is what raw access gives, too. */
			lua_pushvalue(lua, -2);
			lua_rawget(lua, 3);
			lua_replace(lua, -2);
		}
		return results;
	}
	push_walk(lua, 3);
	lua_rawgeti(lua, 4, 0);
	lua_Integer at = lua_tointeger(lua, -1);
	lua_rawgeti(lua, 4, at > 0 ? at : 1);
	if (at <= 0 || !lua_rawequal(lua, -1, 2))
		at = count_below(lua, 4, 2);
	lua_settop(lua, 4);
	while (lua_rawgeti(lua, 4, ++at) != LUA_TNIL) {
		lua_pushvalue(lua, -1);
		lua_rawget(lua, 3);
		if (!lua_isnil(lua, -1)) {
			lua_pushinteger(lua, at);
			lua_rawseti(lua, 4, 0);
			if (view) {
				lua_pop(lua, 1);
				lua_pushvalue(lua, -1);
				lua_gettable(lua, 1);
			}
			return 2;
		}
		lua_settop(lua, 4);
		sandbox_charge(lua, 1);
	}
	return 1;
}

void sandbox_open_walk(lua_State *lua)
{
	static const luaL_Reg functions[] = {
	    {"next", base_next},
	    {"pairs", base_pairs},
	    {NULL, NULL},
	};
	luaL_setfuncs(lua, functions, 0);
}
