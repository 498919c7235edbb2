/* Maps on their way out: keys are collected and sorted first. */
#include "base/array.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/wire/decimal.h"
#include "base/wire/utf8.h"
#include "scripting/value_encode.h"

#include <lua.h>

static int compare_keys(const struct value_key *left, const struct value_key *right)
{
	struct slice left_text = slice_of(left->data ? left->data : left->digits, left->bytes);
	struct slice right_text = slice_of(right->data ? right->data : right->digits, right->bytes);
	return slice_compare(left_text, right_text);
}

enum {
	INSERTION_MAX = 16 /* above, a heap */
};

static void sift(struct value_key *keys, size_t at, size_t count)
{
	struct value_key moved = keys[at];
	for (;;) {
		size_t child = 2 * at + 1;
		if (child >= count)
			break;
		if (child + 1 < count && compare_keys(&keys[child], &keys[child + 1]) < 0)
			child++;
		if (compare_keys(&moved, &keys[child]) >= 0)
			break;
		keys[at] = keys[child];
		at = child;
	}
	keys[at] = moved;
}

/* No two are equal. In place, so that it can pause, or be left by an error, at any comparison. */
static void sort_keys(struct value_work *work, struct value_key *keys, size_t count)
{
	if (count <= INSERTION_MAX) {
		for (size_t i = 1; i < count; i++) {
			struct value_key key = keys[i];
			size_t at = i;
			for (; at > 0 && compare_keys(&key, &keys[at - 1]) < 0; at--)
				keys[at] = keys[at - 1];
			keys[at] = key;
		}
		return;
	}
	for (size_t i = count / 2; i-- > 0;) {
		value_work(work, 4);
		sift(keys, i, count);
	}
	for (size_t i = count; i-- > 1;) {
		struct value_key last = keys[0];
		keys[0] = keys[i];
		keys[i] = last;
		value_work(work, 16);
		sift(keys, 0, i);
	}
}

static int add_key(struct encoder *encoder, const struct schema *key)
{
	lua_State *lua = encoder->lua;
	struct value_state *state = encoder->state;
	if (array_reserve(
	        &state->keys, &state->key_capacity, state->key_count + 1, sizeof(state->keys[0])))
		return ERR_NOMEM;
	struct value_key *entry = &state->keys[state->key_count];
	bool is_integer = key && key->kind == SCHEMA_INTEGER;
	int error = 0;
	if (is_integer) {
		if (!lua_isinteger(lua, -1))
			return value_at_slot(lua, &encoder->trouble, lua_gettop(lua),
			    value_fail(&encoder->trouble, "expected a key that is an integer"));
		entry->data = NULL; /* the array moves, and digits with it */
		entry->integer = lua_tointeger(lua, -1);
		entry->bytes = (uint32_t)decimal_write_integer(entry->integer, entry->digits);
		error = value_check_integer(&encoder->trouble, key, entry->integer);
	} else {
		if (lua_type(lua, -1) != LUA_TSTRING)
			return value_at_slot(lua, &encoder->trouble, lua_gettop(lua),
			    value_fail(&encoder->trouble, "expected a key that is a string"));
		struct slice text = encoder_text_at(encoder, -1);
		if (!utf8_valid(text))
			return value_fail(
			    &encoder->trouble, "a key of %zu bytes that is not UTF-8", text.bytes);
		if (text.bytes > UINT32_MAX)
			return ERR_TOO_LARGE;
		entry->data = text.data;
		entry->bytes = (uint32_t)text.bytes;
		if (key)
			error = value_check_string(&encoder->work, &encoder->trouble, key, text);
	}
	if (error)
		return value_at_slot(lua, &encoder->trouble, lua_gettop(lua), error);
	entry->slot = 0;
	state->key_count++;
	return 0;
}

enum {
	/* Keys of larger maps are looked up by their bytes again, instead of being kept at hand. */
	KEYS_ON_STACK_MAX = 128
};

__attribute__((cold, noinline)) static int collect_in_order(
    struct encoder *encoder, const struct schema *key, int position)
{
	lua_State *lua = encoder->lua;
	value_push_keys(lua, position);
	int keys = lua_gettop(lua);
	size_t count = (size_t)lua_rawlen(lua, keys);
	for (size_t i = 1; i <= count; i++) {
		lua_rawgeti(lua, keys, (lua_Integer)i);
		int error = add_key(encoder, key);
		if (error)
			return error;
		lua_pop(lua, 1);
	}
	return 0;
}

static int collect_as_they_come(struct encoder *encoder, const struct schema *key, int position)
{
	lua_State *lua = encoder->lua;
	struct value_state *state = encoder->state;
	size_t begin = state->key_count;
	lua_pushnil(lua);
	while (lua_next(lua, position)) {
		lua_pop(lua, 1);
		int error = add_key(encoder, key);
		if (error)
			return error;
		size_t count = state->key_count - begin;
		if (count <= KEYS_ON_STACK_MAX) {
			state->keys[state->key_count - 1].slot = lua_gettop(lua);
			lua_pushvalue(lua, -1);
		}
		value_work(&encoder->work, 4);
	}
	return 0;
}

/* All keys of the table at `position`, sorted, behind those of the maps around it. The first ones'
 * strings are left on Lua's stack above `position`. */
static int collect_keys(struct encoder *encoder, const struct schema *key, int position)
{
	lua_State *lua = encoder->lua;
	struct value_state *state = encoder->state;
	size_t begin = state->key_count;
	if (!lua_checkstack(lua, KEYS_ON_STACK_MAX + 8))
		return ERR_NOMEM;
	int error = encoder->in_order ? collect_in_order(encoder, key, position)
	                              : collect_as_they_come(encoder, key, position);
	if (error)
		return error;
	size_t count = state->key_count - begin;
	if (count > 1)
		sort_keys(&encoder->work, &state->keys[begin], count);
	return 0;
}

static void push_key(struct encoder *encoder, const struct value_key *key)
{
	lua_State *lua = encoder->lua;
	if (key->slot)
		lua_pushvalue(lua, key->slot);
	else if (key->data)
		lua_pushlstring(lua, (const char *)key->data, key->bytes);
	else
		lua_pushinteger(lua, key->integer);
}

/* The value's schema for a key of an open record, of a map, or of nothing. */
static const struct schema *value_schema(const struct schema *schema, struct slice key)
{
	if (!schema)
		return NULL;
	if (schema->kind == SCHEMA_MAP)
		return schema->children[1];
	int field = schema_find_name(schema, key);
	return field < 0 ? NULL : schema->children[field];
}

/* A field of an open record that counts as absent. */
static bool is_absent(struct encoder *encoder, const struct schema *schema)
{
	return schema && schema->kind == SCHEMA_OPTIONAL && value_is_null(encoder->lua, -1);
}

static int encode_entry(
    struct encoder *encoder, const struct schema *schema, size_t index, int position)
{
	lua_State *lua = encoder->lua;
	/* Copied: the array may move while the value is written. */
	struct value_key key = encoder->state->keys[index];
	struct slice text = slice_of(key.data ? key.data : key.digits, key.bytes);
	push_key(encoder, &key);
	lua_rawget(lua, position);
	const struct schema *value = value_schema(schema, text);
	int error = 0;
	if (!is_absent(encoder, value)) {
		put_key(encoder, text);
		error = encoder_value(encoder, value, lua_gettop(lua));
	}
	lua_pop(lua, 1);
	return error ? value_at_key(&encoder->trouble, text, error) : 0;
}

/* Absent fields of an open record; required ones must be there. */
int encoder_count_absent(
    struct encoder *encoder, const struct schema *record, int position, size_t *ret_count)
{
	lua_State *lua = encoder->lua;
	size_t count = 0;
	for (uint32_t i = 0; i < record->count; i++) {
		struct slice name = record->names[i];
		const struct schema *field = record->children[i];
		lua_pushlstring(lua, (const char *)name.data, name.bytes);
		lua_rawget(lua, position);
		if (field->kind != SCHEMA_OPTIONAL && lua_isnil(lua, -1))
			return value_at_key(&encoder->trouble, name,
			    value_mismatch(&encoder->trouble, field, "nothing"));
		count += is_absent(encoder, field);
		lua_pop(lua, 1);
	}
	*ret_count = count;
	return 0;
}

/* A map, an open record, or a table without schema; entered already. */
int encoder_entries(struct encoder *encoder, const struct schema *schema, int position)
{
	struct value_state *state = encoder->state;
	bool is_map = schema && schema->kind == SCHEMA_MAP;
	size_t begin = state->key_count, absent = 0;
	int error = collect_keys(encoder, is_map ? schema->children[0] : NULL, position);
	size_t count = state->key_count - begin;
	if (!error && is_map)
		error = value_check_count(&encoder->trouble, schema, count);
	if (!error && schema && !is_map)
		error = encoder_count_absent(encoder, schema, position, &absent);
	if (error)
		return error;
	put_map_begin(encoder, count - absent);
	for (size_t i = 0; i < count; i++) {
		error = encode_entry(encoder, schema, begin + i, position);
		if (error)
			return error;
	}
	put_map_end(encoder);
	state->key_count = begin;
	lua_settop(encoder->lua, position);
	return 0;
}
