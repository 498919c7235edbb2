/* Bytes to Lua values under a schema, each byte looked at once and nothing built in between.
 *
 * One set of functions reads both encodings: a token is a MessagePack value, into which JSON's
 * tokens are turned. MessagePack tells counts before, JSON ends after; container_next hides that.
 *
 * A function that decodes leaves exactly one value on Lua's stack, or an error, after which the
 * outermost one takes everything off. Depth is bounded by the readers.
 */
#include "base/assert.h"
#include "scripting/sandbox.h"
#include "scripting/value_decode.h"
#include "scripting/value_short_json.h"

#include <lua.h>
#include <math.h>

/* --- Tokens ----------------------------------------------------------------------------------- */

/* What the last token began, where nobody wants it. */
static int skip(struct decoder *decoder, const struct msgpack_value *token)
{
	if (decoder->is_json) {
		int error = json_skip(&decoder->json);
		return error ? decoder_fail_reading(decoder, error) : 0;
	}
	uint64_t values = 0;
	if (token->type == MSGPACK_ARRAY)
		values = token->count;
	else if (token->type == MSGPACK_MAP)
		values = (uint64_t)token->count * 2;
	for (uint64_t i = 0; i < values; i++) {
		int error = msgpack_skip(&decoder->msgpack);
		if (error)
			return decoder_fail_reading(decoder, error);
	}
	return 0;
}

/* --- Containers ------------------------------------------------------------------------------- */

static int decode(
    struct decoder *decoder, const struct schema *schema, const struct msgpack_value *token);

/* Room on Lua's stack for a container: itself, a key, a value, and what looking for them needs. */
static int begin_table(struct decoder *decoder, size_t elements, size_t fields)
{
	if (!lua_checkstack(decoder->lua, 8))
		return ERR_NOMEM;
	size_t bytes = 64 + elements * 16 + fields * 40;
	value_work(&decoder->work, 8 + bytes / 64);
	if (bytes > 1024)
		sandbox_charge_bytes(decoder->lua, bytes);
	sandbox_create_table(decoder->lua, elements, fields);
	return 0;
}

/* JSON does not say how many come: Lua grows the table. */
static size_t promised(const struct decoder *decoder, const struct msgpack_value *token)
{
	return decoder->is_json ? 0 : token->count;
}

/* NOLINTBEGIN(misc-no-recursion): bounded by VALUE_DEPTH_MAX and SCHEMA_DEPTH_MAX */

static int decode_list(
    struct decoder *decoder, const struct schema *schema, const struct msgpack_value *token)
{
	lua_State *lua = decoder->lua;
	const struct schema *element = schema ? schema->children[0] : NULL;
	size_t room = promised(decoder, token);
	/* Before the table is made. */
	int error =
	    schema && !decoder->is_json ? value_check_count(&decoder->trouble, schema, room) : 0;
	if (!error)
		error = begin_table(decoder, room, 0);
	if (error)
		return error;
	value_push_list_mark(lua);
	lua_setmetatable(lua, -2);
	uint32_t left = (uint32_t)room;
	lua_Integer count = 0;
	struct msgpack_value next;
	for (;;) {
		int more = container_next(decoder, &left, &next);
		if (more == 0)
			break;
		error = more < 0 ? more : decode(decoder, element, &next);
		if (error)
			return value_at_position(&decoder->trouble, (uint64_t)count + 1, error);
		lua_rawseti(lua, -2, ++count);
	}
	return schema && decoder->is_json
	           ? value_check_count(&decoder->trouble, schema, (size_t)count)
	           : 0;
}

/* A key given twice by a caller is a mistake of his; what we stored has none. */
static int check_twice(struct decoder *decoder, int table)
{
	lua_State *lua = decoder->lua;
	lua_pushvalue(lua, -1);
	bool is_twice = lua_rawget(lua, table) != LUA_TNIL;
	lua_pop(lua, 1);
	return is_twice ? value_fail(&decoder->trouble, "given twice") : 0;
}

/* The error's path gets the key below the value that failed, at `slot`. */
__attribute__((cold, noinline)) static int at_key_slot(struct decoder *decoder, int slot, int error)
{
	lua_State *lua = decoder->lua;
	if (lua_type(lua, slot) != LUA_TSTRING)
		return value_at_position(
		    &decoder->trouble, (uint64_t)lua_tointeger(lua, slot), error);
	size_t bytes;
	const char *text = lua_tolstring(lua, slot, &bytes);
	return value_at_key(&decoder->trouble, slice_of(text, bytes), error);
}

/* Pushes the key that a token is. `schema`: of keys, or NULL for any text. */
static int decode_key(
    struct decoder *decoder, const struct schema *schema, const struct msgpack_value *token)
{
	struct value_trouble *trouble = &decoder->trouble;
	lua_State *lua = decoder->lua;
	if (schema && schema->kind == SCHEMA_INTEGER) {
		int64_t key = token->integer;
		if (token->type != MSGPACK_INTEGER &&
		    (token->type != MSGPACK_STRING || !value_integer_key(token->bytes, &key)))
			return value_fail(trouble, "expected a key that is an integer");
		int error = value_check_integer(trouble, schema, key);
		if (error)
			return error;
		lua_pushinteger(lua, key);
		return 0;
	}
	if (token->type != MSGPACK_STRING)
		return value_fail(trouble, "expected a key that is a string");
	if (schema) {
		int error = value_check_string(&decoder->work, trouble, schema, token->bytes);
		if (error)
			return value_at_key(trouble, token->bytes, error);
	}
	lua_pushlstring(lua, (const char *)token->bytes.data, token->bytes.bytes);
	return 0;
}

static int decode_map(
    struct decoder *decoder, const struct schema *schema, const struct msgpack_value *token)
{
	lua_State *lua = decoder->lua;
	const struct schema *key = schema ? schema->children[0] : NULL;
	const struct schema *value = schema ? schema->children[1] : NULL;
	size_t room = promised(decoder, token);
	int error = begin_table(decoder, 0, room);
	if (error)
		return error;
	int table = lua_gettop(lua);
	uint32_t left = (uint32_t)room;
	size_t count = 0;
	struct msgpack_value next;
	for (;;) {
		int more = container_next(decoder, &left, &next);
		if (more == 0)
			break;
		error = more < 0 ? more : decode_key(decoder, key, &next);
		if (error)
			return error;
		if (decoder->outside)
			error = check_twice(decoder, table);
		if (!error)
			error = token_next(decoder, &next);
		if (!error)
			error = decode(decoder, value, &next);
		if (error)
			return at_key_slot(decoder, table + 1, error);
		lua_rawset(lua, table);
		count++;
	}
	return schema ? value_check_count(&decoder->trouble, schema, count) : 0;
}

/* --- Records ---------------------------------------------------------------------------------- */

static int push_default(struct decoder *decoder, const struct schema *optional)
{
	if (!optional->has_text) {
		lua_pushnil(decoder->lua);
		return 0;
	}
	struct value_problem ignored;
	int error = value_push_msgpack(
	    decoder->lua, optional->text, optional->children[0], false, &ignored);
	/* A schema from bytes has a default that nobody checked. */
	if (error == ERR_INVALID)
		return value_fail(&decoder->trouble, "the schema does not accept its own default");
	return error;
}

/* Fields that were not given, after those that were. Their names are behind the table. */
static int fill_in(
    struct decoder *decoder, const struct schema *schema, const uint64_t *given, int table)
{
	lua_State *lua = decoder->lua;
	for (uint32_t i = 0; i < schema->count; i++) {
		if (given[i / 64] >> i % 64 & 1)
			continue;
		const struct schema *field = schema->children[i];
		if (field->kind != SCHEMA_OPTIONAL) {
			int error = value_mismatch(&decoder->trouble, field, "nothing");
			return value_at_key(&decoder->trouble, schema->names[i], error);
		}
		if (!field->has_text)
			continue;
		lua_rawgeti(lua, table + 1, (lua_Integer)i + 1);
		int error = push_default(decoder, field);
		if (error)
			return error;
		lua_rawset(lua, table);
	}
	return 0;
}

/* The field that a key names, most often the one behind the last: what we write is sorted. */
static inline int find_field(const struct schema *schema, struct slice key, uint32_t hint)
{
	if (__builtin_expect(hint < schema->count, 1)) {
		struct slice name = schema->names[hint];
		if (name.bytes == key.bytes && memcmp(name.data, key.data, key.bytes) == 0)
			return (int)hint;
	}
	return schema_find_name(schema, key);
}

/* A pair whose key is at hand and whose field is `field`, or unknown where that is negative. */
static int decode_field(struct decoder *decoder, const struct schema *schema, int field,
    struct msgpack_value *token, int table)
{
	lua_State *lua = decoder->lua;
	struct slice key = token->bytes;
	if (field < 0 && !schema->open)
		return value_unknown_field(&decoder->trouble, schema, key);
	int error = 0;
	if (field >= 0) {
		lua_rawgeti(lua, table + 1, (lua_Integer)field + 1);
	} else {
		lua_pushlstring(lua, (const char *)key.data, key.bytes);
		error = decoder->outside ? check_twice(decoder, table) : 0;
	}
	if (!error)
		error = token_next(decoder, token);
	if (!error)
		error = decode(decoder, field < 0 ? NULL : schema->children[field], token);
	if (error)
		return at_key_slot(decoder, table + 2, error);
	lua_rawset(lua, table);
	return 0;
}

static int decode_record(
    struct decoder *decoder, const struct schema *schema, const struct msgpack_value *token)
{
	uint64_t given[SCHEMA_FIELDS_MAX / 64];
	memset(given, 0, (schema->count + 63) / 64 * sizeof(given[0]));
	size_t room = schema->count;
	if (schema->open && promised(decoder, token) > room)
		room = promised(decoder, token);
	int error = begin_table(decoder, 0, room);
	if (error)
		return error;
	int table = lua_gettop(decoder->lua);
	value_push_names(decoder->lua, decoder->state, schema);
	uint32_t left = (uint32_t)promised(decoder, token);
	uint32_t hint = 0, count = 0;
	struct msgpack_value next;
	for (;;) {
		int more = container_next(decoder, &left, &next);
		if (more <= 0) {
			if (more < 0)
				return more;
			break;
		}
		if (next.type != MSGPACK_STRING)
			return value_fail(&decoder->trouble, "expected a key that is a string");
		int field = find_field(schema, next.bytes, hint);
		if (field >= 0) {
			uint64_t bit = (uint64_t)1 << field % 64;
			if (given[field / 64] & bit)
				return value_at_key(&decoder->trouble, schema->names[field],
				    value_fail(&decoder->trouble, "given twice"));
			given[field / 64] |= bit;
			hint = (uint32_t)field + 1;
			count++;
		}
		error = decode_field(decoder, schema, field, &next, table);
		if (error)
			return error;
	}
	if (count < schema->count) {
		error = fill_in(decoder, schema, given, table);
		if (error)
			return error;
	}
	lua_settop(decoder->lua, table);
	return 0;
}

/* --- Alternatives ----------------------------------------------------------------------------- */

/* Both readers are plain structs, so a place is a copy. */
struct place {
	bool is_json;
	union {
		struct msgpack_reader msgpack;
		struct json_reader json;
	};
};

static void remember(const struct decoder *decoder, struct place *place)
{
	place->is_json = decoder->is_json;
	if (decoder->is_json)
		place->json = decoder->json;
	else
		place->msgpack = decoder->msgpack;
}

static void go_back(struct decoder *decoder, const struct place *place)
{
	if (place->is_json)
		decoder->json = place->json;
	else
		decoder->msgpack = place->msgpack;
}

/* A record that a tag tells apart: looks for the tag, then begins again with its alternative. */
static int find_tag(struct decoder *decoder, const struct schema *schema,
    const struct msgpack_value *token, int *ret_alternative)
{
	uint32_t left = (uint32_t)promised(decoder, token);
	struct msgpack_value next;
	for (;;) {
		int more = container_next(decoder, &left, &next);
		if (more < 0)
			return more;
		if (more == 0)
			return value_at_key(&decoder->trouble, schema->text,
			    value_fail(&decoder->trouble, "expected the tag, got nothing"));
		bool is_tag = next.type == MSGPACK_STRING && slice_equal(next.bytes, schema->text);
		int error = token_next(decoder, &next);
		if (error)
			return error;
		if (is_tag)
			break;
		error = skip(decoder, &next);
		if (error)
			return error;
	}
	for (uint32_t i = 0; next.type == MSGPACK_STRING && i < schema->child_count; i++) {
		if (schema_find_name(schema_tag_of(schema, i), next.bytes) >= 0) {
			*ret_alternative = (int)i;
			return 0;
		}
	}
	int error = decoder_mismatch(decoder, schema_tag_of(schema, 0), &next);
	value_fail(&decoder->trouble, "none of the alternatives has this tag");
	return value_at_key(&decoder->trouble, schema->text, error);
}

static int decode_tagged(
    struct decoder *decoder, const struct schema *schema, const struct msgpack_value *token)
{
	if (token->type != MSGPACK_MAP)
		return decoder_mismatch(decoder, schema, token);
	struct place place;
	remember(decoder, &place);
	int alternative = 0;
	int error = find_tag(decoder, schema, token, &alternative);
	if (error)
		return error;
	go_back(decoder, &place);
	value_work(&decoder->work, 16);
	return decode(decoder, schema->children[alternative], token);
}

/* Whether a value of this schema may begin so: spares most tries. */
static bool may_begin(
    const struct decoder *decoder, const struct schema *schema, const struct msgpack_value *token)
{
	enum msgpack_type type = token->type;
	switch (schema->kind) {
	case SCHEMA_ANY:
	case SCHEMA_OPTIONAL:
	case SCHEMA_ONE_OF:
		return true;
	case SCHEMA_STRING:
		return type == MSGPACK_STRING;
	case SCHEMA_INTEGER:
	case SCHEMA_NUMBER:
		return type == MSGPACK_INTEGER || type == MSGPACK_DOUBLE;
	case SCHEMA_BOOLEAN:
		return type == MSGPACK_BOOLEAN;
	case SCHEMA_TIMESTAMP:
		return type == MSGPACK_INTEGER || type == MSGPACK_DOUBLE || type == MSGPACK_STRING;
	case SCHEMA_BYTES:
		return type == (decoder->is_json ? MSGPACK_STRING : MSGPACK_BINARY);
	case SCHEMA_LIST:
		return type == MSGPACK_ARRAY;
	case SCHEMA_MAP:
	case SCHEMA_RECORD:
		return type == MSGPACK_MAP;
	}
	UNREACHABLE();
}

/* The first alternative that accepts it. Where only one came into question, its error says more
 * than that none fits. */
static int decode_one_of(
    struct decoder *decoder, const struct schema *schema, const struct msgpack_value *token)
{
	if (schema->has_text)
		return decode_tagged(decoder, schema, token);
	lua_State *lua = decoder->lua;
	int top = lua_gettop(lua);
	struct place place;
	remember(decoder, &place);
	unsigned tries = 0;
	for (uint32_t i = 0; i < schema->child_count; i++) {
		const struct schema *alternative = schema->children[i];
		if (!may_begin(decoder, alternative, token))
			continue;
		if (tries++ > 0) {
			lua_settop(lua, top);
			go_back(decoder, &place);
		}
		value_work(&decoder->work, 16);
		/* A scratch text of the reader's holds one string only, and the first token's is
		 * still there: tries that read on have a container for it. */
		int error = decode(decoder, alternative, token);
		if (error != ERR_INVALID)
			return error;
	}
	if (tries == 1)
		return ERR_INVALID;
	return decoder_mismatch(decoder, schema, token);
}

/* --- All together ----------------------------------------------------------------------------- */

static int decode_any(struct decoder *decoder, const struct msgpack_value *token)
{
	static const struct schema any = {.kind = SCHEMA_ANY};
	lua_State *lua = decoder->lua;
	switch (token->type) {
	case MSGPACK_NIL:
		value_push_null(lua);
		return 0;
	case MSGPACK_BOOLEAN:
		lua_pushboolean(lua, token->boolean);
		return 0;
	case MSGPACK_INTEGER:
		lua_pushinteger(lua, token->integer);
		return 0;
	case MSGPACK_DOUBLE:
		if (!isfinite(token->number))
			return decoder_mismatch(decoder, &any, token);
		lua_pushnumber(lua, token->number);
		return 0;
	case MSGPACK_STRING:
		decoder_push_text(decoder, token->bytes);
		return 0;
	case MSGPACK_ARRAY:
		return decode_list(decoder, NULL, token);
	case MSGPACK_MAP:
		return decode_map(decoder, NULL, token);
	case MSGPACK_BINARY:
	case MSGPACK_EXTENSION:
		return decoder_mismatch(decoder, &any, token);
	}
	UNREACHABLE();
}

static int decode(
    struct decoder *decoder, const struct schema *schema, const struct msgpack_value *token)
{
	if (!schema)
		return decode_any(decoder, token);
	switch (schema->kind) {
	case SCHEMA_ANY:
		return decode_any(decoder, token);
	case SCHEMA_STRING:
		return decoder_string(decoder, schema, token);
	case SCHEMA_INTEGER:
		return decoder_integer(decoder, schema, token);
	case SCHEMA_NUMBER:
		return decoder_number(decoder, schema, token);
	case SCHEMA_TIMESTAMP:
		return decoder_timestamp(decoder, schema, token);
	case SCHEMA_BYTES:
		return decoder_bytes(decoder, schema, token);
	case SCHEMA_BOOLEAN:
		if (token->type != MSGPACK_BOOLEAN)
			return decoder_mismatch(decoder, schema, token);
		lua_pushboolean(decoder->lua, token->boolean);
		return 0;
	case SCHEMA_LIST:
		return token->type == MSGPACK_ARRAY ? decode_list(decoder, schema, token)
		                                    : decoder_mismatch(decoder, schema, token);
	case SCHEMA_MAP:
		return token->type == MSGPACK_MAP ? decode_map(decoder, schema, token)
		                                  : decoder_mismatch(decoder, schema, token);
	case SCHEMA_RECORD:
		return token->type == MSGPACK_MAP ? decode_record(decoder, schema, token)
		                                  : decoder_mismatch(decoder, schema, token);
	case SCHEMA_OPTIONAL:
		if (token->type == MSGPACK_NIL)
			return push_default(decoder, schema);
		return decode(decoder, schema->children[0], token);
	case SCHEMA_ONE_OF:
		return decode_one_of(decoder, schema, token);
	}
	UNREACHABLE();
}

/* One value and nothing behind it. */
static int decode_whole(
    struct decoder *decoder, const struct schema *schema, struct value_problem *problem)
{
	lua_State *lua = decoder->lua;
	int top = lua_gettop(lua);
	struct msgpack_value token;
	int error = lua_checkstack(lua, 6) ? token_next(decoder, &token) : ERR_NOMEM;
	if (!error)
		error = decode(decoder, schema, &token);
	if (!error && decoder->is_json)
		error = token_next(decoder, &token);
	else if (!error && !msgpack_finished(&decoder->msgpack))
		error = value_fail(&decoder->trouble, "bytes behind the value");
	if (error) {
		lua_settop(lua, top);
		if (error == ERR_TOO_LARGE)
			error = value_fail(&decoder->trouble, "too large");
		if (error == ERR_INVALID)
			value_trouble_tell(&decoder->trouble, problem);
		return error;
	}
	ASSERT(lua_gettop(lua) == top + 1);
	value_state_trim(decoder->state);
	return 0;
}

/* The general ways. Out of line: a decoder takes room and instructions that the short ways do not
 * need. */
__attribute__((noinline)) static int decode_json(struct lua_State *lua, struct value_state *state,
    struct slice json, const struct schema *schema, struct value_problem *problem)
{
	struct decoder decoder;
	decoder.lua = lua;
	decoder.state = state;
	decoder.is_json = true;
	decoder.outside = true;
	decoder.work = (struct value_work){.lua = lua, .units = 16 + json.bytes / 8};
	value_trouble_init(&decoder.trouble);
	value_work(&decoder.work, 0);
	json_reader_init(&decoder.json, json, &decoder.state->text, VALUE_DEPTH_MAX);
	int error = decode_whole(&decoder, schema, problem);
	value_charge(&decoder.work);
	return error;
}

__attribute__((noinline)) static int decode_msgpack(struct lua_State *lua,
    struct value_state *state, struct slice msgpack, const struct schema *schema, bool from_outside,
    struct value_problem *problem)
{
	struct decoder decoder;
	decoder.lua = lua;
	decoder.state = state;
	decoder.is_json = false;
	decoder.outside = from_outside;
	decoder.work = (struct value_work){.lua = lua, .units = 16 + msgpack.bytes / 8};
	value_trouble_init(&decoder.trouble);
	value_work(&decoder.work, 0);
	if (msgpack.bytes > UINT32_MAX)
		return ERR_TOO_LARGE;
	msgpack_reader_init(&decoder.msgpack, msgpack, from_outside, VALUE_DEPTH_MAX);
	int error = decode_whole(&decoder, schema, problem);
	value_charge(&decoder.work);
	return error;
}

int value_push_json(struct lua_State *lua, struct slice json, const struct schema *schema,
    struct value_problem *problem)
{
	struct value_state *state = value_state_of(lua);
	if (!state->no_direct && (!schema || schema->plain)) {
		value_plans_trim(lua, state);
		if (value_scan(lua, state, json, schema))
			return 0;
	}
	return decode_json(lua, state, json, schema, problem);
}

int value_push_msgpack(struct lua_State *lua, struct slice msgpack, const struct schema *schema,
    bool from_outside, struct value_problem *problem)
{
	struct value_state *state = value_state_of(lua);
	if (!state->no_direct && (!schema || schema->direct)) {
		value_plans_trim(lua, state);
		if (value_unpack(lua, state, msgpack, schema, from_outside))
			return 0;
	}
	return decode_msgpack(lua, state, msgpack, schema, from_outside, problem);
}

/* NOLINTEND(misc-no-recursion) */

int value_push_absent(
    struct lua_State *lua, const struct schema *schema, struct value_problem *problem)
{
	static const uint8_t empty_map[] = {0x80};
	if (!schema || schema->kind == SCHEMA_ANY ||
	    (schema->kind == SCHEMA_OPTIONAL && !schema->has_text)) {
		lua_pushnil(lua);
		return 0;
	}
	if (schema->kind == SCHEMA_OPTIONAL)
		return value_push_msgpack(lua, schema->text, schema->children[0], false, problem);
	if (schema_has_default(schema))
		return value_push_msgpack(lua, slice_of(empty_map, 1), schema, false, problem);
	struct value_trouble trouble;
	value_trouble_init(&trouble);
	int error = value_mismatch(&trouble, schema, "nothing");
	value_trouble_tell(&trouble, problem);
	return error;
}
