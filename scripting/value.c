/* What is kept in an interpreter for values: marks, null, views, scratch memory; and copies. */
#include "scripting/value.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/wire/decimal.h"
#include "scripting/own_key.h"
#include "scripting/sandbox_keys.h"
#include "scripting/value_inside.h"
#include "scripting/value_lazy.h"

#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <stdio.h>

enum {
	SCRATCH_BYTES_KEPT = 64 * 1024,
	ITEMS_KEPT = 1024,
	/* All are forgotten when there are more: schemas of bundles that are gone. */
	NAME_TABLES_MAX = 4096,
};

/* --- State ------------------------------------------------------------------------------------ */

static int free_state(lua_State *lua)
{
	struct value_state *state = lua_touserdata(lua, 1);
	sandbox_attach(lua, NULL);
	value_scratch_close(state);
	return 0;
}

struct value_state *value_state_find(struct lua_State *lua)
{
	return sandbox_attached(lua);
}

struct value_state *value_state_of(struct lua_State *lua)
{
	struct value_state *state = sandbox_attached(lua);
	ASSERT(state); /* value_open was called */
	return state;
}

void value_state_trim(struct value_state *state)
{
	if (state->text.capacity > SCRATCH_BYTES_KEPT) {
		buffer_clear(&state->text);
		buffer_trim(&state->text, SCRATCH_BYTES_KEPT);
	}
	if (state->bytes.capacity > SCRATCH_BYTES_KEPT) {
		buffer_clear(&state->bytes);
		buffer_trim(&state->bytes, SCRATCH_BYTES_KEPT);
	}
	if (state->key_capacity * sizeof(state->keys[0]) > SCRATCH_BYTES_KEPT) {
		mem_free(state->keys);
		state->keys = NULL;
		state->key_capacity = 0;
	}
	state->key_count = 0;
	if (state->item_capacity > ITEMS_KEPT) {
		mem_free(state->items);
		mem_free(state->order);
		state->items = NULL;
		state->order = NULL;
		state->item_capacity = 0;
	}
}

__attribute__((noinline)) static void make_names(
    struct lua_State *lua, struct value_state *state, const struct schema *record)
{
	if (state->name_tables >= NAME_TABLES_MAX) {
		state->name_tables = 0;
		lua_createtable(lua, 0, 0);
		lua_replace(lua, -2);
		lua_pushvalue(lua, -1);
		lua_rawsetp(lua, LUA_REGISTRYINDEX, own_key(OWN_KEY_NAMES));
	}
	lua_createtable(lua, (int)record->name_count, 0);
	for (uint32_t i = 0; i < record->name_count; i++) {
		struct slice name = record->names[i];
		lua_pushlstring(lua, (const char *)name.data, name.bytes);
		lua_rawseti(lua, -2, (lua_Integer)i + 1);
	}
	lua_pushvalue(lua, -1);
	lua_rawseti(lua, -3, (lua_Integer)record->number);
	state->name_tables++;
}

void value_push_names(struct lua_State *lua, struct value_state *state, const struct schema *record)
{
	lua_rawgetp(lua, LUA_REGISTRYINDEX, own_key(OWN_KEY_NAMES));
	if (__builtin_expect(lua_rawgeti(lua, -1, (lua_Integer)record->number) != LUA_TTABLE, 0)) {
		lua_pop(lua, 1);
		make_names(lua, state, record);
	}
	lua_replace(lua, -2);
}

void value_charge(struct value_work *work)
{
	uint64_t units = work->units;
	work->units = 0;
	if (units > 0)
		sandbox_spend(work->lua, units);
}

/* --- Null and lists --------------------------------------------------------------------------- */

/* A light userdata whose address is the same in every process, so that nothing which depends on
 * hashes of keys differs between two runs. */
void value_push_null(struct lua_State *lua)
{
	lua_pushlightuserdata(lua, NULL);
}

bool value_is_null(struct lua_State *lua, int position)
{
	return lua_type(lua, position) == LUA_TLIGHTUSERDATA && !lua_touserdata(lua, position);
}

void value_push_list_mark(struct lua_State *lua)
{
	lua_rawgetp(lua, LUA_REGISTRYINDEX, own_key(OWN_KEY_LIST));
}

/* NOLINTNEXTLINE(misc-no-recursion): once, as what a view shows is no view */
bool value_is_list(struct lua_State *lua, int position)
{
	if (lua_type(lua, position) != LUA_TTABLE || !lua_getmetatable(lua, position))
		return false;
	value_push_list_mark(lua);
	bool is_list = lua_rawequal(lua, -1, -2);
	lua_pop(lua, 2);
	if (is_list || !value_view_target(lua, position))
		return is_list;
	is_list = value_is_list(lua, -1);
	lua_pop(lua, 1);
	return is_list;
}

void value_mark_list(struct lua_State *lua, int position)
{
	position = lua_absindex(lua, position);
	value_push_list_mark(lua);
	lua_setmetatable(lua, position);
}

static int null_text(lua_State *lua)
{
	lua_pushliteral(lua, "null");
	return 1;
}

/* --- Keys in errors --------------------------------------------------------------------------- */

int value_at_slot(struct lua_State *lua, struct value_trouble *trouble, int slot, int error)
{
	if (lua_type(lua, slot) == LUA_TSTRING) {
		size_t bytes;
		const char *key = lua_tolstring(lua, slot, &bytes);
		return value_at_key(trouble, slice_of(key, bytes), error);
	}
	char text[40];
	if (lua_isinteger(lua, slot))
		snprintf(text, sizeof(text), "%lld", (long long)lua_tointeger(lua, slot));
	else if (lua_type(lua, slot) == LUA_TNUMBER)
		text[decimal_write_double(lua_tonumber(lua, slot), (uint8_t *)text)] = 0;
	else
		snprintf(text, sizeof(text), "(%s)", lua_typename(lua, lua_type(lua, slot)));
	return value_at_key(trouble, slice_from_text(text), error);
}

void value_push_keys(struct lua_State *lua, int position)
{
	size_t others;
	sandbox_keys_push(lua, position, &others);
}

/* --- Views ------------------------------------------------------------------------------------ */

bool value_view_target(struct lua_State *lua, int position)
{
	if (lua_type(lua, position) != LUA_TTABLE)
		return false;
	position = lua_absindex(lua, position);
	/* Tables with any metatable are few, views among them too. */
	if (!lua_getmetatable(lua, position))
		return false;
	lua_rawgetp(lua, LUA_REGISTRYINDEX, own_key(OWN_KEY_VIEW));
	bool is_view = lua_rawequal(lua, -1, -2);
	lua_pop(lua, 2);
	if (is_view)
		lua_rawgetp(lua, position, own_key(OWN_KEY_TARGET));
	else
		value_settle(lua, position);
	return is_view;
}

void value_unwrap(struct lua_State *lua, const struct value_state *state, int position)
{
	(void)state;
	position = lua_absindex(lua, position);
	if (value_view_target(lua, position))
		lua_replace(lua, position);
}

/* Replaces the table on top by the view that `shared` (a position) has of it. */
static void wrap(struct lua_State *lua, int shared)
{
	value_settle(lua, -1);
	lua_pushvalue(lua, -1);
	if (lua_rawget(lua, shared) == LUA_TNIL) {
		lua_pop(lua, 1);
		lua_createtable(lua, 0, 2);
		lua_pushvalue(lua, -2);
		lua_rawsetp(lua, -2, own_key(OWN_KEY_TARGET));
		lua_pushvalue(lua, shared);
		lua_rawsetp(lua, -2, own_key(OWN_KEY_SHARED));
		lua_rawgetp(lua, LUA_REGISTRYINDEX, own_key(OWN_KEY_VIEW));
		lua_setmetatable(lua, -2);
		lua_pushvalue(lua, -2); /* target view target */
		lua_pushvalue(lua, -2);
		lua_rawset(lua, shared);
	}
	lua_remove(lua, -2);
}

void value_push_view(struct lua_State *lua, int position, const char *what)
{
	position = lua_absindex(lua, position);
	luaL_checkstack(lua, 10, NULL);
	if (lua_type(lua, position) != LUA_TTABLE) {
		lua_pushvalue(lua, position);
		return;
	}
	lua_createtable(lua, 0, 4);
	lua_pushboolean(lua, true);
	lua_pushstring(lua, what);
	lua_rawset(lua, -3);
	lua_pushvalue(lua, position);
	wrap(lua, lua_gettop(lua) - 1);
	lua_remove(lua, -2);
}

void value_view_wrap(struct lua_State *lua, int position)
{
	if (lua_type(lua, -1) != LUA_TTABLE)
		return;
	position = lua_absindex(lua, position);
	luaL_checkstack(lua, 10, NULL);
	lua_rawgetp(lua, position, own_key(OWN_KEY_SHARED));
	lua_insert(lua, -2);
	wrap(lua, lua_gettop(lua) - 1);
	lua_remove(lua, -2);
}

void value_view_refuse(struct lua_State *lua, int position)
{
	const char *what = "this value";
	position = lua_absindex(lua, position);
	lua_rawgetp(lua, position, own_key(OWN_KEY_SHARED));
	if (lua_istable(lua, -1)) {
		lua_pushboolean(lua, true);
		lua_rawget(lua, -2);
		what = lua_tostring(lua, -1);
	}
	luaL_error(lua, "%s is read-only here: nothing would be kept of this assignment", what);
	UNREACHABLE();
}

static int view_index(lua_State *lua)
{
	lua_rawgetp(lua, 1, own_key(OWN_KEY_TARGET));
	lua_pushvalue(lua, 2);
	lua_rawget(lua, -2);
	value_view_wrap(lua, 1);
	return 1;
}

static int view_length(lua_State *lua)
{
	lua_rawgetp(lua, 1, own_key(OWN_KEY_TARGET));
	lua_pushinteger(lua, (lua_Integer)lua_rawlen(lua, -1));
	return 1;
}

static int view_assign(lua_State *lua)
{
	value_view_refuse(lua, 1);
}

/* --- Opening ---------------------------------------------------------------------------------- */

static void open_marks(lua_State *lua, struct value_state *state)
{
	static const luaL_Reg view_methods[] = {{"__index", view_index}, {"__len", view_length},
	    {"__newindex", view_assign}, {NULL, NULL}};
	/* The sandbox shows scripts only metatables that they made, and protects the others: a list
	 * and a view look like plain tables. */
	lua_createtable(lua, 0, 0);
	state->list_mark = lua_topointer(lua, -1);
	lua_rawsetp(lua, LUA_REGISTRYINDEX, own_key(OWN_KEY_LIST));

	lua_createtable(lua, 0, 4);
	luaL_setfuncs(lua, view_methods, 0);
	state->view_mark = lua_topointer(lua, -1);
	lua_rawsetp(lua, LUA_REGISTRYINDEX, own_key(OWN_KEY_VIEW));

	value_push_null(lua);
	lua_createtable(lua, 0, 3);
	lua_pushcfunction(lua, null_text);
	lua_setfield(lua, -2, "__tostring");
	lua_pushliteral(lua, "null");
	lua_setfield(lua, -2, "__name");
	lua_pushboolean(lua, false);
	lua_setfield(lua, -2, "__metatable");
	lua_setmetatable(lua, -2);
	lua_pop(lua, 1);
}

void value_open(struct lua_State *lua)
{
	luaL_checkstack(lua, 8, NULL);
	if (sandbox_attached(lua))
		return;
	struct value_state *state = lua_newuserdatauv(lua, sizeof(*state), 0);
	*state = (struct value_state){0};
	value_scratch_open(state);
	lua_createtable(lua, 0, 1);
	lua_pushcfunction(lua, free_state);
	lua_setfield(lua, -2, "__gc");
	lua_setmetatable(lua, -2);
	lua_createtable(lua, 0, 0);
	lua_rawsetp(lua, LUA_REGISTRYINDEX, own_key(OWN_KEY_NAMES));
	open_marks(lua, state);
	lazy_open(lua, state);
	value_plans_open(lua, state);
	lua_rawsetp(lua, LUA_REGISTRYINDEX, own_key(OWN_KEY_STATE));
	/* Last: what is found is whole. */
	sandbox_attach(lua, state);
}

/* --- Copies ----------------------------------------------------------------------------------- */

struct copier {
	lua_State *lua;
	struct value_work work;
	struct value_trouble trouble;
	bool in_order; /* as in struct encoder */
	unsigned depth;
	const void *tables[VALUE_DEPTH_MAX];
};

static int copy(struct copier *copier, int from);

/* NOLINTBEGIN(misc-no-recursion): bounded by VALUE_DEPTH_MAX */

/* The entry whose key is at `key` and whose value is on top: copied into the table at `to`. */
static int copy_entry(struct copier *copier, int key, int to)
{
	lua_State *lua = copier->lua;
	int error = 0;
	int type = lua_type(lua, key);
	if (type != LUA_TSTRING && type != LUA_TNUMBER)
		error = value_fail(&copier->trouble, "a key that is a %s", lua_typename(lua, type));
	if (!error)
		error = copy(copier, lua_gettop(lua));
	if (error) {
		value_at_slot(lua, &copier->trouble, key, error);
		/* Nothing may pile up on the way out, for which there is no room. */
		lua_settop(lua, to);
		return error;
	}
	lua_pushvalue(lua, key);
	lua_insert(lua, -2);
	lua_rawset(lua, to);
	return 0;
}

static int copy_in_order(struct copier *copier, int from, int to)
{
	lua_State *lua = copier->lua;
	int keys = to + 1, key = to + 2;
	value_push_keys(lua, from);
	size_t count = (size_t)lua_rawlen(lua, keys);
	for (size_t i = 1; i <= count; i++) {
		lua_rawgeti(lua, keys, (lua_Integer)i);
		lua_pushvalue(lua, key);
		lua_rawget(lua, from);
		int error = copy_entry(copier, key, to);
		if (error)
			return error;
		lua_settop(lua, keys);
	}
	lua_settop(lua, to);
	return 0;
}

static int copy_as_it_comes(struct copier *copier, int from, int to)
{
	lua_State *lua = copier->lua;
	lua_pushnil(lua);
	while (lua_next(lua, from)) {
		int error = copy_entry(copier, to + 1, to);
		if (error)
			return error;
		lua_settop(lua, to + 1);
		value_work(&copier->work, 4);
	}
	return 0;
}

/* Pushes a copy of the table at `from`, and turns it there into its target if it is a view. */
static int copy_table(struct copier *copier, int from)
{
	lua_State *lua = copier->lua;
	if (copier->depth == VALUE_DEPTH_MAX)
		return value_fail(
		    &copier->trouble, "nested more than %d deep", (int)VALUE_DEPTH_MAX);
	bool is_list = value_is_list(lua, from);
	value_unwrap(lua, NULL, from);
	const void *table = lua_topointer(lua, from);
	for (unsigned i = 0; i < copier->depth; i++) {
		if (copier->tables[i] == table)
			return value_fail(&copier->trouble, "a table inside itself");
	}
	copier->tables[copier->depth++] = table;
	size_t length = (size_t)lua_rawlen(lua, from);
	if (length > 64)
		sandbox_charge_bytes(lua, length * 16);
	sandbox_create_table(lua, length, length > 0 ? 0 : 4);
	int to = lua_gettop(lua);
	if (is_list)
		value_mark_list(lua, to);
	int error =
	    copier->in_order ? copy_in_order(copier, from, to) : copy_as_it_comes(copier, from, to);
	copier->depth--;
	return error;
}

static int copy(struct copier *copier, int from)
{
	lua_State *lua = copier->lua;
	if (!lua_checkstack(lua, 10))
		return ERR_NOMEM;
	int type = lua_type(lua, from);
	if (type == LUA_TTABLE)
		return copy_table(copier, from);
	if (type == LUA_TFUNCTION || type == LUA_TUSERDATA || type == LUA_TTHREAD ||
	    (type == LUA_TLIGHTUSERDATA && !value_is_null(lua, from)))
		return value_fail(
		    &copier->trouble, "expected a value, got %s", lua_typename(lua, type));
	if (type == LUA_TNUMBER && !lua_isinteger(lua, from) && !isfinite(lua_tonumber(lua, from)))
		return value_fail(&copier->trouble, "a number that is not finite");
	lua_pushvalue(lua, from);
	return 0;
}

/* NOLINTEND(misc-no-recursion) */

int value_copy(struct lua_State *lua, int position, struct value_problem *problem)
{
	struct copier copier = {.lua = lua, .work = {.lua = lua, .units = 16}};
	value_trouble_init(&copier.trouble);
	position = lua_absindex(lua, position);
	if (!lua_checkstack(lua, 4))
		return ERR_NOMEM;
	int top = lua_gettop(lua);
	lua_pushvalue(lua, position);
	int error = copy(&copier, top + 1);
	if (error == ERR_INVALID) {
		lua_settop(lua, top);
		lua_pushvalue(lua, position);
		copier.in_order = true;
		copier.depth = 0;
		error = copy(&copier, top + 1);
		ASSERT(error);
	}
	if (error) {
		lua_settop(lua, top);
		if (error == ERR_INVALID)
			value_trouble_tell(&copier.trouble, problem);
		return error;
	}
	lua_replace(lua, top + 1);
	lua_settop(lua, top + 1);
	value_charge(&copier.work);
	return 0;
}
