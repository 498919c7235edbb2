/* Lua to MessagePack, the short way: value_direct.h says what that means.
 *
 * A table is walked once. What a walk finds is kept as items: scalars in C, tables in a slot of
 * Lua's stack; then the items are written in their order, which for a record is the schema's and
 * for a map comes from sorting its keys. Texts stay where Lua has them: nothing takes them away
 * from the tables that hold them before they are written. Lazy tables (value_lazy.h) give the bytes
 * that they have, where those are of this schema; else they are settled.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "scripting/value_pack.h"

#include <lua.h>
#include <math.h>

static const struct schema any = {.kind = SCHEMA_ANY};

/* --- Bytes ------------------------------------------------------------------------------------ */

__attribute__((noinline)) bool pack_grow(struct packer *packer, size_t bytes)
{
	uint8_t *room;
	if (packer->to)
		pack_commit(packer);
	if (buffer_reserve(packer->out, bytes, &room))
		return false;
	pack_begin(packer);
	return true;
}

/* --- Values ----------------------------------------------------------------------------------- */

/* The text at `position`, which is a string. Not inline: the guard of its frame is for it alone. */
__attribute__((noinline)) static bool take_text(
    struct packer *packer, const struct schema *schema, int position, struct slice *ret_text)
{
	size_t bytes;
	const char *data = lua_tolstring(packer->lua, position, &bytes);
	struct slice text = slice_of(data, bytes);
	if (!text_valid(text.data, bytes) || bytes > UINT32_MAX)
		return false;
	if (text_is_bound(schema) &&
	    value_check_string(&packer->work, &packer->trouble, schema, text))
		return false;
	if (bytes > 256)
		value_work(&packer->work, bytes / 32);
	*ret_text = text;
	return true;
}

static bool take_number(
    struct packer *packer, const struct schema *schema, struct pack_item *ret_item)
{
	lua_State *lua = packer->lua;
	ret_item->type = lua_isinteger(lua, -1) ? ITEM_INTEGER : ITEM_NUMBER;
	double number = lua_tonumber(lua, -1);
	if (ret_item->type == ITEM_INTEGER)
		ret_item->integer = lua_tointeger(lua, -1);
	else
		ret_item->number = number;
	return !value_check_number(&packer->trouble, schema, number);
}

__attribute__((noinline)) static bool take_bytes(
    struct packer *packer, const struct schema *schema, struct pack_item *ret_item)
{
	size_t bytes;
	const char *data = lua_tolstring(packer->lua, -1, &bytes);
	value_work(&packer->work, bytes / 32);
	ret_item->type = ITEM_BYTES;
	ret_item->text = slice_of(data, bytes);
	return bytes <= UINT32_MAX && !value_check_count(&packer->trouble, schema, bytes);
}

static bool take_any(struct packer *packer, struct pack_item *ret_item)
{
	lua_State *lua = packer->lua;
	switch (lua_type(lua, -1)) {
	case LUA_TBOOLEAN:
		ret_item->type = lua_toboolean(lua, -1) ? ITEM_TRUE : ITEM_FALSE;
		return true;
	case LUA_TNUMBER:
		return take_number(packer, &any, ret_item);
	case LUA_TSTRING:
		ret_item->type = ITEM_TEXT;
		return take_text(packer, &any, -1, &ret_item->text);
	case LUA_TTABLE:
		ret_item->type = ITEM_TABLE;
		ret_item->schema = &any;
		return true;
	case LUA_TLIGHTUSERDATA:
		ret_item->type = ITEM_NIL;
		return value_is_null(lua, -1);
	}
	return false;
}

/* The value on top, checked; a table is only looked at when it is packed. */
static inline bool take(
    struct packer *packer, const struct schema *schema, struct pack_item *ret_item)
{
	lua_State *lua = packer->lua;
	switch (schema->kind) {
	case SCHEMA_STRING:
		ret_item->type = ITEM_TEXT;
		return lua_type(lua, -1) == LUA_TSTRING &&
		       take_text(packer, schema, -1, &ret_item->text);
	case SCHEMA_INTEGER:
	case SCHEMA_TIMESTAMP:
		if (!lua_isinteger(lua, -1))
			return false;
		ret_item->type = ITEM_INTEGER;
		ret_item->integer = lua_tointeger(lua, -1);
		return !value_check_integer(&packer->trouble, schema, ret_item->integer);
	case SCHEMA_NUMBER:
		return lua_type(lua, -1) == LUA_TNUMBER && take_number(packer, schema, ret_item);
	case SCHEMA_BOOLEAN:
		ret_item->type = lua_toboolean(lua, -1) ? ITEM_TRUE : ITEM_FALSE;
		return lua_isboolean(lua, -1);
	case SCHEMA_BYTES:
		return lua_type(lua, -1) == LUA_TSTRING && take_bytes(packer, schema, ret_item);
	case SCHEMA_LIST:
	case SCHEMA_MAP:
	case SCHEMA_RECORD:
		ret_item->type = ITEM_TABLE;
		ret_item->schema = schema;
		return lua_istable(lua, -1);
	case SCHEMA_ANY:
		return take_any(packer, ret_item);
	case SCHEMA_OPTIONAL: /* outermost */
	case SCHEMA_ONE_OF:
		return false;
	}
	UNREACHABLE();
}

bool pack_take(struct packer *packer, const struct schema *schema, struct pack_item *ret_item)
{
	return take(packer, schema, ret_item);
}

/* After lua_next: takes the value away from the top, or, where it is a table, puts it into a slot
 * below the key. */
static inline bool keep(struct packer *packer, struct pack_item *item, int *slots)
{
	lua_State *lua = packer->lua;
	if (__builtin_expect(item->type != ITEM_TABLE, 1)) {
		lua_pop(lua, 1);
		return true;
	}
	item->slot = ++*slots;
	lua_insert(lua, -2);
	return lua_checkstack(lua, 4);
}

/* Room for `count` more items. */
bool pack_have_items(struct value_state *state, size_t count)
{
	if (__builtin_expect(state->item_capacity - state->item_count >= count, 1))
		return true;
	size_t capacity = (state->item_count + count) * 2 + 64;
	struct pack_item *items = mem_realloc(state->items, capacity * sizeof(*items));
	if (!items)
		return false;
	state->items = items;
	uint32_t *order = mem_realloc(state->order, capacity * sizeof(*order));
	if (!order)
		return false;
	state->order = order;
	state->item_capacity = capacity;
	return true;
}

/* --- Lists ------------------------------------------------------------------------------------ */

/* NOLINTBEGIN(misc-no-recursion): bounded by VALUE_DEPTH_MAX */

/* Elements as the walk gives them, as long as they come in their order. */
static bool pack_list(struct packer *packer, const struct schema *schema, int position)
{
	lua_State *lua = packer->lua;
	size_t length = (size_t)lua_rawlen(lua, position);
	if (value_check_count(&packer->trouble, schema, length) || length > UINT32_MAX)
		return false;
	value_work(&packer->work, 2 + length);
	if (!pack_count(packer, 0x90, 0xdc, length))
		return false;
	const struct schema *element = schema->kind == SCHEMA_LIST ? schema->children[0] : &any;
	int value = lua_gettop(lua) + 2;
	size_t count = 0;
	lua_pushnil(lua);
	while (lua_next(lua, position)) {
		struct pack_item item;
		if (!lua_isinteger(lua, -2) || (size_t)lua_tointeger(lua, -2) != ++count ||
		    count > length || !take(packer, element, &item))
			return false;
		if (item.type == ITEM_TABLE) {
			if (!pack_table(packer, item.schema, value))
				return false;
		} else {
			if (!have_room(packer, content_bytes(&item)))
				return false;
			packer->to = put_scalar(packer->to, &item);
		}
		lua_settop(lua, value - 1);
	}
	return count == length;
}

/* --- Records ---------------------------------------------------------------------------------- */

/* Fields that are there become items; *ret_given has their bits. */
bool pack_take_fields(struct packer *packer, const struct schema *schema,
    const struct value_plan *plan, int position, uint64_t *ret_given)
{
	lua_State *lua = packer->lua;
	struct pack_item *items = &packer->state->items[packer->state->item_count];
	int slots = lua_gettop(lua);
	uint64_t given = 0;
	lua_pushnil(lua);
	while (lua_next(lua, position)) {
		int i = plan_find_name(plan, lua_topointer(lua, -2));
		if (__builtin_expect(i < 0, 0)) {
			if (!lazy_is_link(lua, -2))
				return false;
			lua_pop(lua, 1);
			continue;
		}
		const struct schema *field = schema->children[i];
		if (field->kind == SCHEMA_OPTIONAL) {
			if (value_is_null(lua, -1)) {
				lua_pop(lua, 1);
				continue;
			}
			field = field->children[0];
		}
		if (!take(packer, field, &items[i]) || !keep(packer, &items[i], &slots))
			return false;
		given |= (uint64_t)1 << i;
	}
	*ret_given = given;
	return true;
}

bool pack_field(struct packer *packer, const struct plan_field *field, const struct pack_item *item)
{
	if (!have_room(packer, content_bytes(item)))
		return false;
	/* More than the name is, within the room; what follows overwrites it. */
	memcpy(packer->to, field->encoded, 16);
	if (__builtin_expect(field->bytes > 16, 0))
		memcpy(packer->to + 16, field->encoded + 16, PLAN_NAME_BYTES - 16);
	packer->to += field->bytes;
	if (item->type == ITEM_TABLE)
		return pack_table(packer, item->schema, item->slot);
	packer->to = put_scalar(packer->to, item);
	return true;
}

static bool pack_record(struct packer *packer, const struct schema *schema, int position)
{
	struct value_state *state = packer->state;
	const struct value_plan *plan = value_plan_of(packer->lua, state, schema);
	uint64_t given;
	if (!plan || !pack_have_items(state, schema->count) ||
	    !pack_take_fields(packer, schema, plan, position, &given) || (plan->required & ~given))
		return false;
	value_work(&packer->work, 2 + schema->count);
	if (!pack_count(packer, 0x80, 0xde, (size_t)__builtin_popcountll(given)))
		return false;
	size_t begin = state->item_count;
	state->item_count += schema->count;
	for (; given; given &= given - 1) {
		unsigned i = (unsigned)__builtin_ctzll(given);
		if (!pack_field(packer, &plan->fields[i], &state->items[begin + i]))
			return false;
	}
	state->item_count = begin;
	return true;
}

/* --- Maps ------------------------------------------------------------------------------------- */

static bool take_entry(struct packer *packer, const struct schema *key, const struct schema *value)
{
	struct value_state *state = packer->state;
	if (!pack_have_items(state, 1))
		return false;
	struct pack_item *item = &state->items[state->item_count];
	if (!take_text(packer, key, -2, &item->key) || !take(packer, value, item))
		return false;
	state->item_count++;
	return true;
}

/* Entries that are there become items, behind those that are; the first is on top, if there are
 * `more` than none. */
static bool walk_entries(
    struct packer *packer, const struct schema *schema, int position, bool more)
{
	lua_State *lua = packer->lua;
	struct value_state *state = packer->state;
	bool is_map = schema->kind == SCHEMA_MAP;
	const struct schema *key = is_map ? schema->children[0] : &any;
	const struct schema *value = is_map ? schema->children[1] : &any;
	int slots = lua_gettop(lua) - 2;
	for (; more; more = lua_next(lua, position)) {
		if (__builtin_expect(lua_type(lua, -2) != LUA_TSTRING, 0)) {
			if (!lazy_is_link(lua, -2))
				return false;
			lua_pop(lua, 1);
			continue;
		}
		if (!take_entry(packer, key, value) ||
		    !keep(packer, &state->items[state->item_count - 1], &slots))
			return false;
		value_work(&packer->work, 4);
	}
	return true;
}

bool pack_take_entries(struct packer *packer, const struct schema *schema, int position)
{
	lua_pushnil(packer->lua);
	return walk_entries(packer, schema, position, lua_next(packer->lua, position));
}

bool pack_entry(struct packer *packer, const struct pack_item *item)
{
	if (!have_room(packer, item->key.bytes + content_bytes(item)))
		return false;
	packer->to = put_text(packer->to, item->key);
	if (item->type == ITEM_TABLE)
		return pack_table(packer, item->schema, item->slot);
	packer->to = put_scalar(packer->to, item);
	return true;
}

static bool pack_map(struct packer *packer, const struct schema *schema, int position, bool more)
{
	struct value_state *state = packer->state;
	size_t begin = state->item_count;
	if (!walk_entries(packer, schema, position, more))
		return false;
	size_t count = state->item_count - begin;
	if (value_check_count(&packer->trouble, schema, count) || count > UINT32_MAX)
		return false;
	/* There may be no items at all yet. */
	if (count > 0)
		pack_sort(&packer->work, &state->items[begin], &state->order[begin], count);
	if (!pack_count(packer, 0x80, 0xde, count))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!pack_entry(packer, &state->items[begin + state->order[begin + i]]))
			return false;
	}
	state->item_count = begin;
	return true;
}

/* --- All together ----------------------------------------------------------------------------- */

/* Without a schema a table is a list where it is marked so, or where its first key is a number. */
static bool pack_map_or_list(struct packer *packer, const struct schema *schema, int position)
{
	lua_State *lua = packer->lua;
	lua_pushnil(lua);
	bool more = lua_next(lua, position);
	if (more && schema->kind == SCHEMA_ANY && lua_type(lua, -2) == LUA_TNUMBER) {
		lua_pop(lua, 2);
		return pack_list(packer, schema, position);
	}
	return pack_map(packer, schema, position, more);
}

/* Tables inside themselves are deeper than any bound. */
bool pack_table(struct packer *packer, const struct schema *schema, int position)
{
	lua_State *lua = packer->lua;
	/* The first table's slots are there. */
	if (packer->depth == VALUE_DEPTH_MAX || (packer->depth > 0 && !lua_checkstack(lua, 8)))
		return false;
	bool is_list = schema->kind == SCHEMA_LIST;
	int top = lua_gettop(lua);
	if (__builtin_expect(lua_getmetatable(lua, position), 0)) {
		const void *mark = lua_topointer(lua, -1);
		if (mark == packer->state->view_mark)
			return false;
		enum lazy_packed packed = LAZY_TO_SETTLE;
		if (mark == packer->state->lazy_mark) {
			packer->depth++;
			packed = pack_lazy(packer, schema, position);
			packer->depth--;
		}
		lua_settop(lua, top);
		if (packed != LAZY_TO_SETTLE)
			return packed == LAZY_PACKED;
		if (mark == packer->state->lazy_mark)
			value_settle(lua, position);
		is_list |= schema->kind == SCHEMA_ANY && mark == packer->state->list_mark;
	}
	packer->depth++;
	bool done;
	if (schema->kind == SCHEMA_RECORD)
		done = pack_record(packer, schema, position);
	else if (is_list)
		done = pack_list(packer, schema, position);
	else
		done = pack_map_or_list(packer, schema, position);
	lua_settop(lua, top);
	packer->depth--;
	return done;
}

/* NOLINTEND(misc-no-recursion) */

/* A value that is no table. */
__attribute__((noinline)) static bool pack_scalar(
    struct packer *packer, const struct schema *schema, int position)
{
	struct pack_item item;
	lua_pushvalue(packer->lua, position);
	if (!take(packer, schema, &item) || !have_room(packer, content_bytes(&item)))
		return false;
	packer->to = put_scalar(packer->to, &item);
	lua_pop(packer->lua, 1);
	return true;
}

static inline bool holds_tables(const struct schema *schema)
{
	return schema->kind == SCHEMA_ANY || schema->kind == SCHEMA_RECORD ||
	       schema->kind == SCHEMA_MAP || schema->kind == SCHEMA_LIST;
}

bool value_pack(struct lua_State *lua, struct value_state *state, int position,
    const struct schema *schema, struct buffer *out)
{
	if (!lua_checkstack(lua, 16))
		return false;
	struct packer packer;
	packer.lua = lua;
	packer.state = state;
	packer.out = out;
	packer.to = NULL;
	packer.limit = NULL;
	packer.depth = 0;
	packer.work = (struct value_work){.lua = lua, .units = 16};
	value_trouble_init(&packer.trouble);
	value_plans_trim(lua, state);
	state->item_count = 0;
	size_t bytes = buffer_bytes(out);
	if (out->data)
		pack_begin(&packer);
	if (!schema)
		schema = &any;
	bool done = lua_istable(lua, position)
	                ? holds_tables(schema) && pack_table(&packer, schema, position)
	                : pack_scalar(&packer, schema, position);
	if (!done) {
		buffer_truncate(out, bytes);
		return false;
	}
	pack_commit(&packer);
	state->direct_count++;
	value_work(&packer.work, (buffer_bytes(out) - bytes) / 16);
	value_state_trim(state);
	value_charge(&packer.work);
	return true;
}
