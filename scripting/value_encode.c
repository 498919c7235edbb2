/* Lua values to bytes, under a schema: the other way of value_decode.c.
 *
 * Keys go out sorted. A record's are sorted in its schema; a map's are collected and sorted first.
 * MessagePack says counts before values, so a record's fields are counted before they are written.
 *
 * Lua is asked for memory only for its stack, and where a record is written for the first time.
 */
#include "base/assert.h"
#include "base/wire/utf8.h"
#include "scripting/value_encode.h"
#include "scripting/value_short_json.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>

struct slice encoder_text_at(struct encoder *encoder, int position)
{
	size_t bytes;
	const char *text = lua_tolstring(encoder->lua, position, &bytes);
	return slice_of(text, bytes);
}

/* --- What there is ---------------------------------------------------------------------------- */

int encoder_mismatch(struct encoder *encoder, const struct schema *schema, int position)
{
	lua_State *lua = encoder->lua;
	struct value_trouble *trouble = &encoder->trouble;
	int type = lua_type(lua, position);
	if (type == LUA_TNIL)
		return value_mismatch(trouble, schema, "nothing");
	if (type == LUA_TNUMBER && lua_isinteger(lua, position))
		return value_mismatch_integer(trouble, schema, lua_tointeger(lua, position));
	if (type == LUA_TNUMBER)
		return value_mismatch_number(trouble, schema, lua_tonumber(lua, position));
	if (type == LUA_TSTRING)
		return value_mismatch_text(trouble, schema, encoder_text_at(encoder, position));
	if (value_is_null(lua, position))
		return value_mismatch(trouble, schema, "null");
	return value_mismatch(trouble, schema, lua_typename(lua, type));
}

int encoder_enter(struct encoder *encoder, int position, bool *ret_is_list)
{
	lua_State *lua = encoder->lua;
	if (!lua_checkstack(lua, 8))
		return ERR_NOMEM;
	bool is_list = false;
	if (lua_getmetatable(lua, position)) {
		const void *mark = lua_topointer(lua, -1);
		lua_pop(lua, 1);
		if (mark == encoder->state->view_mark) {
			value_unwrap(lua, encoder->state, position);
			is_list = value_is_list(lua, position);
		} else if (mark == encoder->state->lazy_mark) {
			value_settle(lua, position);
		} else {
			is_list = mark == encoder->state->list_mark;
		}
	}
	*ret_is_list = is_list;
	const void *table = lua_topointer(lua, position);
	for (unsigned i = 0; i < encoder->depth; i++) {
		if (encoder->tables[i] == table)
			return value_fail(&encoder->trouble, "a table inside itself");
	}
	if (encoder->depth == VALUE_DEPTH_MAX)
		return value_fail(
		    &encoder->trouble, "nested more than %d deep", (int)VALUE_DEPTH_MAX);
	encoder->tables[encoder->depth++] = table;
	return 0;
}

/* --- Lists ------------------------------------------------------------------------------------ */

/* What is wrong with a list that has other keys than 1..n: the first one of them. */
__attribute__((cold)) static int fail_list(struct encoder *encoder, int position)
{
	lua_State *lua = encoder->lua;
	value_push_keys(lua, position);
	for (lua_Integer i = 1;; i++) {
		lua_rawgeti(lua, -1, i);
		ASSERT(!lua_isnil(lua, -1));
		if (!lua_isinteger(lua, -1))
			return value_at_slot(lua, &encoder->trouble, -1,
			    value_fail(&encoder->trouble, "a list with a key that is no position"));
		if (lua_tointeger(lua, -1) != i)
			return value_fail(&encoder->trouble,
			    "a list with holes (%lld is there; positions run from 1 to n, without "
			    "gaps)",
			    (long long)lua_tointeger(lua, -1));
		lua_pop(lua, 1);
	}
}

/* That the table at `position` is 1..n and nothing else; n. */
static int count_list(struct encoder *encoder, int position, size_t *ret_count)
{
	lua_State *lua = encoder->lua;
	size_t count = 0, length = (size_t)lua_rawlen(lua, position);
	lua_pushnil(lua);
	while (lua_next(lua, position)) {
		lua_pop(lua, 1);
		if (!lua_isinteger(lua, -1))
			return fail_list(encoder, position);
		lua_Integer key = lua_tointeger(lua, -1);
		if (key < 1 || (size_t)key > length)
			return fail_list(encoder, position);
		count++;
	}
	/* Keys are different numbers from 1 to length: as many as that are all of them. */
	if (count != length)
		return fail_list(encoder, position);
	*ret_count = count;
	return 0;
}

/* NOLINTBEGIN(misc-no-recursion): bounded by VALUE_DEPTH_MAX and SCHEMA_DEPTH_MAX */

/* `schema` of the list, or NULL; entered already. */
static int encode_elements(struct encoder *encoder, const struct schema *schema, int position)
{
	lua_State *lua = encoder->lua;
	size_t count = 0;
	int error = count_list(encoder, position, &count);
	if (!error && schema)
		error = value_check_count(&encoder->trouble, schema, count);
	if (error)
		return error;
	value_work(&encoder->work, 2 + count);
	if (encoder->is_json)
		json_write_array_begin(&encoder->json);
	else
		msgpack_write_array(&encoder->msgpack, count);
	const struct schema *element = schema ? schema->children[0] : NULL;
	for (size_t i = 1; i <= count; i++) {
		lua_rawgeti(lua, position, (lua_Integer)i);
		error = encoder_value(encoder, element, position + 1);
		if (error)
			return value_at_position(&encoder->trouble, i, error);
		lua_settop(lua, position);
	}
	if (encoder->is_json)
		json_write_array_end(&encoder->json);
	return 0;
}

static int encode_list(struct encoder *encoder, const struct schema *schema, int position)
{
	bool is_list;
	int error = encoder_enter(encoder, position, &is_list);
	if (!error)
		error = encode_elements(encoder, schema, position);
	if (!error)
		encoder_leave(encoder);
	return error;
}

static int encode_map(struct encoder *encoder, const struct schema *schema, int position)
{
	bool is_list;
	int error = encoder_enter(encoder, position, &is_list);
	if (!error)
		error = encoder_entries(encoder, schema, position);
	if (!error)
		encoder_leave(encoder);
	return error;
}

/* --- Records ---------------------------------------------------------------------------------- */

/* Pairs of the table, and whether a kalix.null is among their values. */
static size_t count_pairs(struct encoder *encoder, int position, bool *ret_has_null)
{
	lua_State *lua = encoder->lua;
	size_t count = 0;
	bool has_null = false;
	lua_pushnil(lua);
	while (lua_next(lua, position)) {
		if (lua_type(lua, -1) == LUA_TLIGHTUSERDATA)
			has_null = true;
		lua_pop(lua, 1);
		count++;
	}
	*ret_has_null = has_null;
	return count;
}

/* There are more pairs than fields were found: which one is it? */
__attribute__((cold, noinline)) static int fail_unknown(
    struct encoder *encoder, const struct schema *schema, int position)
{
	lua_State *lua = encoder->lua;
	value_push_keys(lua, position);
	for (lua_Integer i = 1;; i++) {
		lua_rawgeti(lua, -1, i);
		ASSERT(!lua_isnil(lua, -1));
		if (lua_type(lua, -1) != LUA_TSTRING)
			return value_at_slot(lua, &encoder->trouble, -1,
			    value_fail(&encoder->trouble, "unknown field"));
		struct slice name = encoder_text_at(encoder, -1);
		if (schema_find_name(schema, name) < 0)
			return value_unknown_field(&encoder->trouble, schema, name);
		lua_pop(lua, 1);
	}
}

/* Field by field in the schema's order; entered already. */
static int encode_fields(struct encoder *encoder, const struct schema *schema, int position)
{
	lua_State *lua = encoder->lua;
	bool has_null;
	size_t pairs = count_pairs(encoder, position, &has_null), absent = 0, found = 0;
	if (has_null) {
		int error = encoder_count_absent(encoder, schema, position, &absent);
		if (error)
			return error;
	}
	value_work(&encoder->work, 2 + schema->count);
	put_map_begin(encoder, pairs - absent);
	int names = position + 1;
	value_push_names(lua, encoder->state, schema);
	for (uint32_t i = 0; i < schema->count; i++) {
		struct slice name = schema->names[i];
		const struct schema *field = schema->children[i];
		lua_rawgeti(lua, names, (lua_Integer)i + 1);
		int type = lua_rawget(lua, position);
		found += type != LUA_TNIL;
		if (field->kind == SCHEMA_OPTIONAL) {
			if (type == LUA_TNIL || (has_null && value_is_null(lua, -1))) {
				lua_pop(lua, 1);
				continue;
			}
			field = field->children[0];
		}
		put_key(encoder, name);
		int error = encoder_value(encoder, field, names + 1);
		if (error)
			return value_at_key(&encoder->trouble, name, error);
		lua_settop(lua, names);
	}
	lua_settop(lua, position);
	put_map_end(encoder);
	return found == pairs ? 0 : fail_unknown(encoder, schema, position);
}

static int encode_record(struct encoder *encoder, const struct schema *schema, int position)
{
	bool is_list;
	int error = encoder_enter(encoder, position, &is_list);
	if (error)
		return error;
	error = schema->open ? encoder_entries(encoder, schema, position)
	                     : encode_fields(encoder, schema, position);
	if (!error)
		encoder_leave(encoder);
	return error;
}

/* --- Alternatives ----------------------------------------------------------------------------- */

static int encode_tagged(struct encoder *encoder, const struct schema *schema, int position)
{
	lua_State *lua = encoder->lua;
	if (!lua_istable(lua, position))
		return encoder_mismatch(encoder, schema, position);
	if (!lua_checkstack(lua, 8))
		return ERR_NOMEM;
	value_unwrap(lua, encoder->state, position);
	lua_pushlstring(lua, (const char *)schema->text.data, schema->text.bytes);
	int type = lua_rawget(lua, position);
	int alternative = -1;
	for (uint32_t i = 0; type == LUA_TSTRING && i < schema->child_count; i++) {
		if (schema_find_name(schema_tag_of(schema, i), encoder_text_at(encoder, -1)) >= 0)
			alternative = (int)i;
	}
	lua_pop(lua, 1);
	if (alternative < 0)
		return value_at_key(&encoder->trouble, schema->text,
		    value_fail(&encoder->trouble, type == LUA_TNIL
		                                      ? "expected the tag, got nothing"
		                                      : "none of the alternatives has this tag"));
	return encoder_value(encoder, schema->children[alternative], position);
}

/* The first alternative that can be written whole; what a failed one wrote is taken back. */
static int encode_one_of(struct encoder *encoder, const struct schema *schema, int position)
{
	if (schema->has_text)
		return encode_tagged(encoder, schema, position);
	struct value_state *state = encoder->state;
	struct buffer *out = encoder->is_json ? encoder->json.out : encoder->msgpack.out;
	size_t bytes = buffer_bytes(out), keys = state->key_count;
	unsigned depth = encoder->depth;
	struct json_writer json = encoder->json;
	struct msgpack_writer msgpack = encoder->msgpack;
	bool is_table = lua_istable(encoder->lua, position);
	unsigned tables_tried = 0;
	for (uint32_t i = 0; i < schema->child_count; i++) {
		const struct schema *alternative = schema->children[i];
		value_work(&encoder->work, 16);
		int error = encoder_value(encoder, alternative, position);
		if (error != ERR_INVALID)
			return error;
		enum schema_kind kind = alternative->kind;
		tables_tried += kind == SCHEMA_LIST || kind == SCHEMA_MAP ||
		                kind == SCHEMA_RECORD || kind == SCHEMA_ONE_OF;
		if (is_table && tables_tried == 1 && schema->child_count == i + 1)
			return error; /* the only one in question: its reason says most */
		lua_settop(encoder->lua, position);
		buffer_truncate(out, bytes);
		state->key_count = keys;
		encoder->depth = depth;
		encoder->json = json;
		encoder->msgpack = msgpack;
	}
	return encoder_mismatch(encoder, schema, position);
}

/* --- Scalars and all together ----------------------------------------------------------------- */

static const struct schema any = {.kind = SCHEMA_ANY};

static int encode_string(struct encoder *encoder, const struct schema *schema, int position)
{
	if (lua_type(encoder->lua, position) != LUA_TSTRING)
		return encoder_mismatch(encoder, schema, position);
	struct slice text = encoder_text_at(encoder, position);
	if (!utf8_valid(text))
		return value_fail(
		    &encoder->trouble, "string of %zu bytes that is not UTF-8", text.bytes);
	if (schema != &any) {
		int error = value_check_string(&encoder->work, &encoder->trouble, schema, text);
		if (error)
			return error;
	}
	value_work(&encoder->work, text.bytes / 32);
	put_text(encoder, text);
	return 0;
}

static int encode_number(struct encoder *encoder, const struct schema *schema, int position)
{
	lua_State *lua = encoder->lua;
	if (lua_type(lua, position) != LUA_TNUMBER)
		return encoder_mismatch(encoder, schema, position);
	double number = lua_tonumber(lua, position);
	int error = value_check_number(&encoder->trouble, schema, number);
	if (error)
		return encoder_mismatch(encoder, schema, position);
	if (lua_isinteger(lua, position))
		put_integer(encoder, lua_tointeger(lua, position));
	else
		put_number(encoder, number);
	return 0;
}

static int encode_integer(struct encoder *encoder, const struct schema *schema, int position)
{
	lua_State *lua = encoder->lua;
	if (lua_type(lua, position) != LUA_TNUMBER)
		return encoder_mismatch(encoder, schema, position);
	int64_t value;
	if (lua_isinteger(lua, position))
		value = lua_tointeger(lua, position);
	else if (!value_integer_of(lua_tonumber(lua, position), &value))
		return encoder_mismatch(encoder, schema, position);
	int error = value_check_integer(&encoder->trouble, schema, value);
	if (!error)
		put_integer(encoder, value);
	return error;
}

static int encode_bytes(struct encoder *encoder, const struct schema *schema, int position)
{
	if (lua_type(encoder->lua, position) != LUA_TSTRING)
		return encoder_mismatch(encoder, schema, position);
	struct slice bytes = encoder_text_at(encoder, position);
	int error = value_check_count(&encoder->trouble, schema, bytes.bytes);
	if (error)
		return error;
	value_work(&encoder->work, bytes.bytes / 32);
	put_bytes(encoder, bytes);
	return 0;
}

/* A table without schema is a list where it is marked so, or where its first key is a number. */
static int encode_any_table(struct encoder *encoder, int position)
{
	lua_State *lua = encoder->lua;
	bool is_list;
	int error = encoder_enter(encoder, position, &is_list);
	if (error)
		return error;
	if (!is_list && encoder->in_order) {
		value_push_keys(lua, position);
		lua_rawgeti(lua, -1, 1);
		is_list = lua_type(lua, -1) == LUA_TNUMBER;
		lua_pop(lua, 2);
	} else if (!is_list) {
		lua_pushnil(lua);
		if (lua_next(lua, position)) {
			is_list = lua_type(lua, -2) == LUA_TNUMBER;
			lua_pop(lua, 2);
		}
	}
	error = is_list ? encode_elements(encoder, NULL, position)
	                : encoder_entries(encoder, NULL, position);
	if (!error)
		encoder_leave(encoder);
	return error;
}

static int encode_any(struct encoder *encoder, int position)
{
	lua_State *lua = encoder->lua;
	switch (lua_type(lua, position)) {
	case LUA_TBOOLEAN:
		put_boolean(encoder, lua_toboolean(lua, position));
		return 0;
	case LUA_TNUMBER:
		return encode_number(encoder, &any, position);
	case LUA_TSTRING:
		return encode_string(encoder, &any, position);
	case LUA_TTABLE:
		return encode_any_table(encoder, position);
	case LUA_TLIGHTUSERDATA:
		if (value_is_null(lua, position)) {
			put_null(encoder);
			return 0;
		}
		break;
	}
	return encoder_mismatch(encoder, &any, position);
}

int encoder_value(struct encoder *encoder, const struct schema *schema, int position)
{
	lua_State *lua = encoder->lua;
	if (!schema)
		return encode_any(encoder, position);
	switch (schema->kind) {
	case SCHEMA_ANY:
		return encode_any(encoder, position);
	case SCHEMA_STRING:
		return encode_string(encoder, schema, position);
	case SCHEMA_INTEGER:
	case SCHEMA_TIMESTAMP:
		return encode_integer(encoder, schema, position);
	case SCHEMA_NUMBER:
		return encode_number(encoder, schema, position);
	case SCHEMA_BOOLEAN:
		if (!lua_isboolean(lua, position))
			return encoder_mismatch(encoder, schema, position);
		put_boolean(encoder, lua_toboolean(lua, position));
		return 0;
	case SCHEMA_BYTES:
		return encode_bytes(encoder, schema, position);
	case SCHEMA_LIST:
		return lua_istable(lua, position) ? encode_list(encoder, schema, position)
		                                  : encoder_mismatch(encoder, schema, position);
	case SCHEMA_MAP:
		return lua_istable(lua, position) ? encode_map(encoder, schema, position)
		                                  : encoder_mismatch(encoder, schema, position);
	case SCHEMA_RECORD:
		return lua_istable(lua, position) ? encode_record(encoder, schema, position)
		                                  : encoder_mismatch(encoder, schema, position);
	case SCHEMA_OPTIONAL:
		if (lua_isnil(lua, position) || value_is_null(lua, position)) {
			put_null(encoder);
			return 0;
		}
		return encoder_value(encoder, schema->children[0], position);
	case SCHEMA_ONE_OF:
		return encode_one_of(encoder, schema, position);
	}
	UNREACHABLE();
}

/* NOLINTEND(misc-no-recursion) */

/* Tables were walked as Lua has them: what was wrong with one of several keys is looked for once
 * more, in an order that is ours. */
__attribute__((cold, noinline)) static int fail_in_order(
    struct encoder *encoder, const struct schema *schema, struct buffer *out, size_t bytes, int top)
{
	lua_settop(encoder->lua, top);
	buffer_truncate(out, bytes);
	json_writer_init(&encoder->json, out);
	msgpack_writer_init(&encoder->msgpack, out);
	encoder->state->key_count = 0;
	encoder->depth = 0;
	encoder->in_order = true;
	int error = encoder_value(encoder, schema, top);
	ASSERT(error);
	return error;
}

/* The value on top of the stack, which a view's target may replace. */
static int encode_whole(struct encoder *encoder, const struct schema *schema, struct buffer *out,
    struct value_problem *problem)
{
	lua_State *lua = encoder->lua;
	int top = lua_gettop(lua);
	size_t bytes = buffer_bytes(out);
	encoder->state->key_count = 0;
	int error = encoder_value(encoder, schema, top);
	if (__builtin_expect(error == ERR_INVALID, 0))
		error = fail_in_order(encoder, schema, out, bytes, top);
	int writing = 0;
	if (encoder->is_json && (!error || encoder->json.error))
		writing = json_writer_finish(&encoder->json);
	else if (!encoder->is_json)
		writing = msgpack_writer_finish(&encoder->msgpack);
	if (!error)
		error = writing;
	lua_settop(lua, top - 1);
	if (!error) {
		value_work(&encoder->work, (buffer_bytes(out) - bytes) / 16);
		value_state_trim(encoder->state);
		value_charge(&encoder->work);
		return 0;
	}
	buffer_truncate(out, bytes);
	value_charge(&encoder->work);
	if (error == ERR_INVALID)
		value_trouble_tell(&encoder->trouble, problem);
	return error;
}

/* The general way, out of line: its encoder takes room that the short way does not need. */
__attribute__((noinline)) static int encode_at(struct lua_State *lua, struct value_state *state,
    int position, const struct schema *schema, bool is_json, struct buffer *out,
    struct value_problem *problem)
{
	struct encoder encoder;
	encoder.lua = lua;
	encoder.state = state;
	encoder.is_json = is_json;
	encoder.in_order = false;
	encoder.depth = 0;
	encoder.work = (struct value_work){.lua = lua, .units = 16};
	value_trouble_init(&encoder.trouble);
	json_writer_init(&encoder.json, out);
	msgpack_writer_init(&encoder.msgpack, out);
	position = lua_absindex(lua, position);
	if (!lua_checkstack(lua, 8))
		return ERR_NOMEM;
	lua_pushvalue(lua, position);
	return encode_whole(&encoder, schema, out, problem);
}

int value_write_json(struct lua_State *lua, int position, const struct schema *schema,
    struct buffer *out, struct value_problem *problem)
{
	struct value_state *state = value_state_of(lua);
	if (!state->no_direct && (!schema || schema->direct)) {
		position = lua_absindex(lua, position);
		int top = lua_gettop(lua);
		if (value_print(lua, state, position, schema, out))
			return 0;
		lua_settop(lua, top);
	}
	return encode_at(lua, state, position, schema, true, out, problem);
}

int value_write_msgpack(struct lua_State *lua, int position, const struct schema *schema,
    struct buffer *out, struct value_problem *problem)
{
	struct value_state *state = value_state_of(lua);
	if (!state->no_direct && (!schema || schema->direct)) {
		position = lua_absindex(lua, position);
		int top = lua_gettop(lua);
		if (value_pack(lua, state, position, schema, out))
			return 0;
		lua_settop(lua, top);
	}
	return encode_at(lua, state, position, schema, false, out, problem);
}
