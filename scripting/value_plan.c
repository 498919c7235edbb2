/* Plans of value_direct.h, and the names of all records as Lua strings in one table. */
#include "base/assert.h"
#include "scripting/own_key.h"
#include "scripting/value_direct.h"

#include <lauxlib.h>
#include <lua.h>

enum {
	PLANS_MAX = 4096 /* all are forgotten when there are more: of bundles that are gone */
};

static uint32_t encode_name(struct slice name, uint8_t *to)
{
	ASSERT(name.bytes <= SCHEMA_DIRECT_NAME_BYTES);
	uint32_t header = 0;
	if (name.bytes < 32) {
		to[header++] = (uint8_t)(0xa0 | name.bytes);
	} else {
		to[header++] = 0xd9;
		to[header++] = (uint8_t)name.bytes;
	}
	if (name.bytes > 0)
		memcpy(to + header, name.data, name.bytes);
	return header + (uint32_t)name.bytes;
}

/* The name on top of Lua's stack. */
static void fill_field(
    struct lua_State *lua, struct value_plan *plan, uint32_t i, struct slice name)
{
	struct plan_field *field = &plan->fields[i];
	field->bytes = encode_name(name, field->encoded);
	field->name = lua_topointer(lua, -1);
	for (uint32_t at = 0; at < field->bytes && at < 16; at++)
		field->masks[at / 8] |= (uint64_t)0xff << at % 8 * 8;
	unsigned hash = plan_hash(field->name);
	while (plan->by_name[hash])
		hash = (hash + 1) % (1 << PLAN_HASH_BITS);
	plan->by_name[hash] = (uint8_t)(i + 1);
}

/* Pushes the plan as a userdata; the table of names at `names`. */
static struct value_plan *push_plan(
    struct lua_State *lua, const struct value_state *state, const struct schema *record, int names)
{
	size_t bytes = sizeof(struct value_plan) + record->count * sizeof(struct plan_field);
	struct value_plan *plan = lua_newuserdatauv(lua, bytes, 0);
	memset(plan, 0, bytes);
	plan->names = state->plan_names;
	for (uint32_t i = 0; i < record->count; i++) {
		struct slice name = record->names[i];
		lua_pushlstring(lua, (const char *)name.data, name.bytes);
		fill_field(lua, plan, i, name);
		lua_rawseti(lua, names, (lua_Integer)plan->names + i + 1);
		if (record->children[i]->kind != SCHEMA_OPTIONAL)
			plan->required |= (uint64_t)1 << i;
		else if (record->children[i]->has_text)
			plan->defaults |= (uint64_t)1 << i;
	}
	return plan;
}

__attribute__((noinline)) const struct value_plan *value_plan_make(
    struct lua_State *lua, struct value_state *state, const struct schema *record)
{
	ASSERT(record->direct && record->kind == SCHEMA_RECORD);
	if (!lua_checkstack(lua, 6))
		return NULL;
	int plans = lua_gettop(lua) + 1;
	lua_rawgetp(lua, LUA_REGISTRYINDEX, own_key(OWN_KEY_PLANS));
	const struct value_plan *plan;
	if (lua_rawgeti(lua, plans, (lua_Integer)record->number) == LUA_TUSERDATA) {
		plan = lua_touserdata(lua, -1);
	} else {
		lua_settop(lua, plans);
		value_push_plan_names(lua, state);
		plan = push_plan(lua, state, record, plans + 1);
		lua_rawseti(lua, plans, (lua_Integer)record->number);
		/* Counted last: an error of Lua's memory leaves names that nobody looks for. */
		state->plan_names += record->count;
		state->plan_count++;
	}
	lua_settop(lua, plans - 1);
	state->plans[record->number % VALUE_PLAN_SLOTS] =
	    (struct value_plan_slot){.number = record->number, .plan = plan};
	return plan;
}

static void start_over(struct lua_State *lua, struct value_state *state)
{
	luaL_checkstack(lua, 4, NULL);
	memset(state->plans, 0, sizeof(state->plans));
	memset(state->texts, 0, sizeof(state->texts));
	state->plan_names = 0;
	state->plan_count = 0;
	lua_createtable(lua, 0, 0);
	lua_rawsetp(lua, LUA_REGISTRYINDEX, own_key(OWN_KEY_PLANS));
	lua_createtable(lua, 0, 2);
	value_push_list_mark(lua);
	lua_rawseti(lua, -2, 0);
	lua_createtable(lua, VALUE_TEXT_SLOTS, 0);
	lua_rawseti(lua, -2, -1);
	lua_rawseti(lua, LUA_REGISTRYINDEX, state->names_reference);
}

void value_plans_open(struct lua_State *lua, struct value_state *state)
{
	lua_pushboolean(lua, false);
	state->names_reference = luaL_ref(lua, LUA_REGISTRYINDEX);
	start_over(lua, state);
}

void value_plans_trim(struct lua_State *lua, struct value_state *state)
{
	/* Whoever is in the middle of something has names and plans of these in hand. */
	if (__builtin_expect(state->plan_count > PLANS_MAX, 0) && state->scratches_taken == 0)
		start_over(lua, state);
}

void value_push_plan_names(struct lua_State *lua, const struct value_state *state)
{
	lua_rawgeti(lua, LUA_REGISTRYINDEX, state->names_reference);
}
