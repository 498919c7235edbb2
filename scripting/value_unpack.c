/* MessagePack to Lua, the short way: value_direct.h says what that means.
 *
 * Functions take where a value begins and give where it ends, or NULL where they do not take it;
 * each value that was read is one on Lua's stack. `owed` is how many values are promised behind the
 * one that is read: counts are held against the bytes that are left, as msgpack_next does, so that
 * tables are no larger than what comes. Every read is within [at, end).
 */
#include "base/assert.h"
#include "scripting/sandbox.h"
#include "scripting/value_direct.h"

#include <lua.h>
#include <math.h>

struct unpacker {
	lua_State *lua;
	struct value_state *state;
	const uint8_t *end;
	int names; /* the table of names on Lua's stack; that of keys above it */
	unsigned depth;
	bool outside;
	struct value_work work;
	struct value_trouble trouble; /* nobody asks for it */
};

static const struct schema any = {.kind = SCHEMA_ANY};

static const uint8_t *unpack(
    struct unpacker *unpacker, const struct schema *schema, const uint8_t *at, uint64_t owed);

/* --- Heads ------------------------------------------------------------------------------------ */

static inline size_t left(const struct unpacker *unpacker, const uint8_t *at)
{
	return (size_t)(unpacker->end - at);
}

/* A length of 1, 2 or 4 bytes. */
static const uint8_t *read_length(
    const struct unpacker *unpacker, const uint8_t *at, unsigned bytes, size_t *ret_length)
{
	if (left(unpacker, at) < bytes)
		return NULL;
	if (bytes == 1)
		*ret_length = *at;
	else
		*ret_length = bytes == 2 ? load_u16be(at) : load_u32be(at);
	return at + bytes;
}

/* A text: where its bytes begin, all of which are there. */
static inline const uint8_t *read_text(
    const struct unpacker *unpacker, const uint8_t *at, size_t *ret_bytes)
{
	if (__builtin_expect(at == unpacker->end, 0))
		return NULL;
	uint8_t first = *at++;
	size_t bytes = first & 0x1f;
	if (__builtin_expect((first & 0xe0) != 0xa0, 0)) {
		if (first < 0xd9 || first > 0xdb)
			return NULL;
		at = read_length(unpacker, at, 1u << (first - 0xd9), &bytes);
		if (!at)
			return NULL;
	}
	if (__builtin_expect(left(unpacker, at) < bytes, 0))
		return NULL;
	if (unpacker->outside && !text_valid(at, bytes))
		return NULL;
	*ret_bytes = bytes;
	return at;
}

static inline const uint8_t *read_integer(
    const struct unpacker *unpacker, const uint8_t *at, int64_t *ret_integer)
{
	if (__builtin_expect(at == unpacker->end, 0))
		return NULL;
	uint8_t first = *at++;
	if (first < 0x80 || first >= 0xe0) {
		/* NOLINTNEXTLINE(bugprone-signed-char-misuse): a number with its sign */
		*ret_integer = (int8_t)first;
		return at;
	}
	if (first < 0xcc || first > 0xd3)
		return NULL;
	unsigned bytes = 1u << (first & 3);
	if (left(unpacker, at) < bytes)
		return NULL;
	uint64_t bits = 0;
	switch (first & 3) {
	case 0:
		bits = *at;
		break;
	case 1:
		bits = load_u16be(at);
		break;
	case 2:
		bits = load_u32be(at);
		break;
	case 3:
		bits = load_u64be(at);
		break;
	}
	unsigned shift = 64 - 8 * bytes;
	int64_t value = first >= 0xd0 ? (int64_t)(bits << shift) >> shift : (int64_t)bits;
	if (first < 0xd0 && value < 0)
		return NULL;
	*ret_integer = value;
	return at + bytes;
}

/* A container's count: of those whose first byte is fix + count, or `wide` (16 bits), wide + 1. */
static inline const uint8_t *read_count(const struct unpacker *unpacker, const uint8_t *at,
    uint8_t fix, uint8_t wide, size_t *ret_count)
{
	if (__builtin_expect(at == unpacker->end, 0))
		return NULL;
	uint8_t first = *at++;
	*ret_count = first & 0xf;
	if (__builtin_expect((first & 0xf0) == fix, 1))
		return at;
	if (first != wide && first != wide + 1)
		return NULL;
	return read_length(unpacker, at, 2u << (first - wide), ret_count);
}

/* What a table costs is charged before it is made. */
static void make_table(struct unpacker *unpacker, size_t elements, size_t fields)
{
	size_t bytes = 64 + elements * 16 + fields * 40;
	value_work(&unpacker->work, 8 + bytes / 64);
	if (__builtin_expect(bytes > 1024, 0))
		sandbox_charge_bytes(unpacker->lua, bytes);
	if (__builtin_expect(bytes > 1024, 0))
		sandbox_create_table(unpacker->lua, elements, fields);
	else
		lua_createtable(unpacker->lua, (int)elements, (int)fields);
}

static inline void push_text(struct unpacker *unpacker, const uint8_t *at, size_t bytes)
{
	if (__builtin_expect(bytes > 256, 0)) {
		value_work(&unpacker->work, bytes / 64);
		sandbox_charge_bytes(unpacker->lua, bytes);
	}
	lua_pushlstring(unpacker->lua, (const char *)at, bytes);
}

/* A key of a map. The same ones come again and again, in one entity and in its siblings, and making
 * one costs Lua a hash and most often an allocation: the last ones are kept. */
static inline void push_key(struct unpacker *unpacker, const uint8_t *at, size_t bytes)
{
	lua_State *lua = unpacker->lua;
	if (bytes < 8 || bytes > 16) {
		push_text(unpacker, at, bytes);
		return;
	}
	uint64_t head = load_u64le(at), tail = load_u64le(at + bytes - 8);
	uint64_t hash = (head ^ tail >> 29 ^ tail << 3) * 0x9e3779b97f4a7c15u;
	unsigned i = (unsigned)(hash >> 40) % VALUE_TEXT_SLOTS;
	struct value_text_slot *slot = &unpacker->state->texts[i];
	if (__builtin_expect(slot->head == head && slot->tail == tail && slot->bytes == bytes, 1)) {
		lua_rawgeti(lua, unpacker->names + 1, (lua_Integer)i + 1);
		return;
	}
	lua_pushlstring(lua, (const char *)at, bytes);
	lua_pushvalue(lua, -1);
	slot->bytes = 0;
	lua_rawseti(lua, unpacker->names + 1, (lua_Integer)i + 1);
	*slot = (struct value_text_slot){.head = head, .tail = tail, .bytes = bytes};
}

/* --- Scalars ---------------------------------------------------------------------------------- */

static inline const uint8_t *unpack_string(
    struct unpacker *unpacker, const struct schema *schema, const uint8_t *at)
{
	size_t bytes;
	at = read_text(unpacker, at, &bytes);
	if (!at)
		return NULL;
	if (text_is_bound(schema) &&
	    value_check_string(&unpacker->work, &unpacker->trouble, schema, slice_of(at, bytes)))
		return NULL;
	push_text(unpacker, at, bytes);
	return at + bytes;
}

static inline const uint8_t *unpack_integer(
    struct unpacker *unpacker, const struct schema *schema, const uint8_t *at)
{
	int64_t value;
	at = read_integer(unpacker, at, &value);
	if (!at || value_check_integer(&unpacker->trouble, schema, value))
		return NULL;
	lua_pushinteger(unpacker->lua, value);
	return at;
}

static const uint8_t *unpack_double(
    struct unpacker *unpacker, const struct schema *schema, const uint8_t *at)
{
	if (left(unpacker, at) < 9 || *at != 0xcb)
		return NULL;
	uint64_t bits = load_u64be(at + 1);
	double number;
	memcpy(&number, &bits, sizeof(number));
	if (value_check_number(&unpacker->trouble, schema, number))
		return NULL;
	lua_pushnumber(unpacker->lua, number);
	return at + 9;
}

static const uint8_t *unpack_number(
    struct unpacker *unpacker, const struct schema *schema, const uint8_t *at)
{
	int64_t value;
	const uint8_t *end = read_integer(unpacker, at, &value);
	if (!end)
		return unpack_double(unpacker, schema, at);
	if (value_check_number(&unpacker->trouble, schema, (double)value))
		return NULL;
	lua_pushinteger(unpacker->lua, value);
	return end;
}

static const uint8_t *unpack_boolean(struct unpacker *unpacker, const uint8_t *at)
{
	if (at == unpacker->end || (*at & 0xfe) != 0xc2)
		return NULL;
	lua_pushboolean(unpacker->lua, *at & 1);
	return at + 1;
}

static const uint8_t *unpack_bytes(
    struct unpacker *unpacker, const struct schema *schema, const uint8_t *at)
{
	size_t bytes;
	if (at == unpacker->end || *at < 0xc4 || *at > 0xc6)
		return NULL;
	at = read_length(unpacker, at + 1, 1u << (*at - 0xc4), &bytes);
	if (!at || left(unpacker, at) < bytes ||
	    value_check_count(&unpacker->trouble, schema, bytes))
		return NULL;
	push_text(unpacker, at, bytes);
	return at + bytes;
}

/* --- Containers ------------------------------------------------------------------------------- */

/* NOLINTBEGIN(misc-no-recursion): bounded by VALUE_DEPTH_MAX and SCHEMA_DEPTH_MAX */

static const uint8_t *unpack_list(
    struct unpacker *unpacker, const struct schema *schema, const uint8_t *at, uint64_t owed)
{
	lua_State *lua = unpacker->lua;
	size_t count;
	at = read_count(unpacker, at, 0x90, 0xdc, &count);
	if (!at || count + owed > left(unpacker, at) ||
	    value_check_count(&unpacker->trouble, schema, count))
		return NULL;
	const struct schema *element = schema->kind == SCHEMA_LIST ? schema->children[0] : &any;
	make_table(unpacker, count, 0);
	lua_rawgeti(lua, unpacker->names, 0);
	lua_setmetatable(lua, -2);
	for (size_t i = 1; i <= count; i++) {
		at = unpack(unpacker, element, at, owed + count - i);
		if (!at)
			return NULL;
		lua_rawseti(lua, -2, (lua_Integer)i);
	}
	return at;
}

/* Whether the table below has the key on top; bytes from outside may have it twice. */
static bool is_there(lua_State *lua)
{
	lua_pushvalue(lua, -1);
	bool there = lua_rawget(lua, -3) != LUA_TNIL;
	lua_pop(lua, 1);
	return there;
}

static const uint8_t *unpack_map(
    struct unpacker *unpacker, const struct schema *schema, const uint8_t *at, uint64_t owed)
{
	lua_State *lua = unpacker->lua;
	size_t count;
	at = read_count(unpacker, at, 0x80, 0xde, &count);
	if (!at || 2 * count + owed > left(unpacker, at) ||
	    value_check_count(&unpacker->trouble, schema, count))
		return NULL;
	bool is_map = schema->kind == SCHEMA_MAP;
	const struct schema *key = is_map ? schema->children[0] : &any;
	const struct schema *value = is_map ? schema->children[1] : &any;
	bool key_is_bound = text_is_bound(key);
	make_table(unpacker, 0, count);
	owed += 2 * count;
	struct slice highest = slice_of(NULL, 0);
	for (size_t i = 0; i < count; i++) {
		size_t bytes;
		at = read_text(unpacker, at, &bytes);
		if (!at)
			return NULL;
		struct slice text = slice_of(at, bytes);
		if (key_is_bound &&
		    value_check_string(&unpacker->work, &unpacker->trouble, key, text))
			return NULL;
		push_key(unpacker, at, bytes);
		/* A key above all before it comes once. */
		if (unpacker->outside) {
			if (i == 0 || slice_compare(highest, text) < 0)
				highest = text;
			else if (is_there(lua))
				return NULL;
		}
		owed -= 2;
		at = unpack(unpacker, value, at + bytes, owed);
		if (!at)
			return NULL;
		lua_rawset(lua, -3);
	}
	return at;
}

/* --- Records ---------------------------------------------------------------------------------- */

/* The field whose name is at `at`, or `count`. */
__attribute__((noinline)) static uint32_t find_field(
    const struct value_plan *plan, uint32_t count, const uint8_t *at, size_t left)
{
	uint32_t i = 0;
	while (i < count && !plan_is_name(&plan->fields[i], at, left))
		i++;
	return i;
}

/* A default, which is bytes of the schema's: it is not where the others are. */
static bool unpack_default(struct unpacker *unpacker, const struct schema *optional)
{
	const uint8_t *end = unpacker->end;
	bool outside = unpacker->outside;
	unpacker->end = optional->text.data + optional->text.bytes;
	unpacker->outside = false;
	const uint8_t *at = unpack(unpacker, optional->children[0], optional->text.data, 0);
	bool done = at == unpacker->end;
	unpacker->end = end;
	unpacker->outside = outside;
	return done;
}

static bool fill_in(struct unpacker *unpacker, const struct schema *schema,
    const struct value_plan *plan, uint64_t given)
{
	if (plan->required & ~given)
		return false;
	for (uint32_t i = 0; i < schema->count; i++) {
		if (given >> i & 1 || !schema->children[i]->has_text)
			continue;
		lua_rawgeti(unpacker->lua, unpacker->names, (lua_Integer)plan->names + i + 1);
		if (!unpack_default(unpacker, schema->children[i]))
			return false;
		lua_rawset(unpacker->lua, -3);
	}
	return true;
}

static const uint8_t *unpack_record(
    struct unpacker *unpacker, const struct schema *schema, const uint8_t *at, uint64_t owed)
{
	lua_State *lua = unpacker->lua;
	const struct value_plan *plan = value_plan_of(lua, unpacker->state, schema);
	size_t pairs;
	at = read_count(unpacker, at, 0x80, 0xde, &pairs);
	if (!at || !plan || pairs > schema->count || 2 * pairs + owed > left(unpacker, at))
		return NULL;
	make_table(unpacker, 0, schema->count);
	owed += 2 * pairs;
	uint64_t given = 0;
	uint32_t i = 0, count = schema->count;
	for (size_t pair = 0; pair < pairs; pair++, i++) {
		/* What we write is sorted. */
		if (i == count || !plan_is_name(&plan->fields[i], at, left(unpacker, at))) {
			i = find_field(plan, count, at, left(unpacker, at));
			if (i == count)
				return NULL;
		}
		uint64_t bit = (uint64_t)1 << i;
		if (given & bit)
			return NULL;
		given |= bit;
		at += plan->fields[i].bytes;
		owed -= 2;
		const struct schema *field = schema->children[i];
		if (field->kind == SCHEMA_OPTIONAL) {
			if (at < unpacker->end && *at == 0xc0) {
				/* Its default, which is rare; or nothing. */
				if (field->has_text)
					return NULL;
				at++;
				continue;
			}
			field = field->children[0];
		}
		lua_rawgeti(lua, unpacker->names, (lua_Integer)plan->names + i + 1);
		at = unpack(unpacker, field, at, owed);
		if (!at)
			return NULL;
		lua_rawset(lua, -3);
	}
	if (pairs < count && !fill_in(unpacker, schema, plan, given))
		return NULL;
	return at;
}

/* --- All together ----------------------------------------------------------------------------- */

static const uint8_t *unpack_any(struct unpacker *unpacker, const uint8_t *at, uint64_t owed)
{
	if (at == unpacker->end)
		return NULL;
	uint8_t first = *at;
	if (first == 0xc0) {
		value_push_null(unpacker->lua);
		return at + 1;
	}
	if (first < 0x80 || first >= 0xe0 || (first >= 0xcb && first <= 0xd3))
		return unpack_number(unpacker, &any, at);
	if ((first & 0xfe) == 0xc2)
		return unpack_boolean(unpacker, at);
	if (first < 0x90 || first >= 0xde)
		return unpack_map(unpacker, &any, at, owed);
	if (first < 0xa0 || first >= 0xdc)
		return unpack_list(unpacker, &any, at, owed);
	return unpack_string(unpacker, &any, at);
}

static const uint8_t *unpack_container(
    struct unpacker *unpacker, const struct schema *schema, const uint8_t *at, uint64_t owed)
{
	/* A record's slots are its table, a key and what that is for; a default's are no more. */
	if (unpacker->depth == VALUE_DEPTH_MAX || !lua_checkstack(unpacker->lua, 8))
		return NULL;
	unpacker->depth++;
	if (schema->kind == SCHEMA_RECORD)
		at = unpack_record(unpacker, schema, at, owed);
	else if (schema->kind == SCHEMA_MAP)
		at = unpack_map(unpacker, schema, at, owed);
	else if (schema->kind == SCHEMA_LIST)
		at = unpack_list(unpacker, schema, at, owed);
	else
		at = unpack_any(unpacker, at, owed);
	unpacker->depth--;
	return at;
}

static const uint8_t *unpack(
    struct unpacker *unpacker, const struct schema *schema, const uint8_t *at, uint64_t owed)
{
	switch (schema->kind) {
	case SCHEMA_STRING:
		return unpack_string(unpacker, schema, at);
	case SCHEMA_INTEGER:
	case SCHEMA_TIMESTAMP:
		return unpack_integer(unpacker, schema, at);
	case SCHEMA_NUMBER:
		return unpack_number(unpacker, schema, at);
	case SCHEMA_BOOLEAN:
		return unpack_boolean(unpacker, at);
	case SCHEMA_BYTES:
		return unpack_bytes(unpacker, schema, at);
	case SCHEMA_ANY:
	case SCHEMA_LIST:
	case SCHEMA_MAP:
	case SCHEMA_RECORD:
		return unpack_container(unpacker, schema, at, owed);
	case SCHEMA_OPTIONAL: /* outermost */
	case SCHEMA_ONE_OF:
		return NULL;
	}
	UNREACHABLE();
}

/* NOLINTEND(misc-no-recursion) */

bool value_unpack(struct lua_State *lua, struct value_state *state, struct slice msgpack,
    const struct schema *schema, bool from_outside)
{
	/* A value, and nothing where there are no bytes. */
	if (msgpack.bytes == 0 || msgpack.bytes > UINT32_MAX || !lua_checkstack(lua, 8))
		return false;
	struct unpacker unpacker;
	unpacker.lua = lua;
	unpacker.state = state;
	unpacker.end = msgpack.data + msgpack.bytes;
	unpacker.depth = 0;
	unpacker.outside = from_outside;
	unpacker.work = (struct value_work){.lua = lua, .units = 16 + msgpack.bytes / 8};
	value_trouble_init(&unpacker.trouble);
	value_work(&unpacker.work, 0);
	value_push_plan_names(lua, state);
	unpacker.names = lua_gettop(lua);
	lua_rawgeti(lua, unpacker.names, -1);
	const uint8_t *at = unpack(&unpacker, schema ? schema : &any, msgpack.data, 0);
	if (at != unpacker.end) {
		lua_settop(lua, unpacker.names - 1);
		return false;
	}
	ASSERT(lua_gettop(lua) == unpacker.names + 2);
	lua_replace(lua, unpacker.names);
	lua_settop(lua, unpacker.names);
	state->direct_count++;
	value_charge(&unpacker.work);
	return true;
}
