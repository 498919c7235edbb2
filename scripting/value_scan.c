/* JSON to Lua, the short way: value_short_json.h says what that means.
 *
 * Functions take where a value begins and give where it ends, or NULL where they do not take it;
 * each value that was read is one on Lua's stack. Every read is within [at, end).
 */
#include "base/assert.h"
#include "base/wire/decimal.h"
#include "base/wire/json_scan.h"
#include "scripting/rfc3339.h"
#include "scripting/sandbox.h"
#include "scripting/value_short_json.h"

#include <lua.h>

enum {
	DIGITS_MAX = 18 /* of an integer that surely fits */
};

struct scanner {
	lua_State *lua;
	struct value_state *state;
	const uint8_t *end;
	int names; /* the table of names on Lua's stack */
	unsigned depth;
	struct value_work work;
	struct value_trouble trouble; /* nobody asks for it */
};

static const struct schema any = {.kind = SCHEMA_ANY};

static const uint8_t *scan(struct scanner *scanner, const struct schema *schema, const uint8_t *at);

/* --- Heads ------------------------------------------------------------------------------------ */

static inline size_t left(const struct scanner *scanner, const uint8_t *at)
{
	return (size_t)(scanner->end - at);
}

static inline bool is_byte(const struct scanner *scanner, const uint8_t *at, uint8_t byte)
{
	return at < scanner->end && *at == byte;
}

static inline const uint8_t *skip_space(const struct scanner *scanner, const uint8_t *at)
{
	while (at < scanner->end && *at <= ' ') {
		if (*at != ' ' && *at != '\n' && *at != '\r' && *at != '\t')
			break;
		at++;
	}
	return at;
}

/* A text without escapes, quotes and all. */
static inline const uint8_t *read_text(
    const struct scanner *scanner, const uint8_t *at, struct slice *ret_text)
{
	if (!is_byte(scanner, at, '"'))
		return NULL;
	const uint8_t *begin = ++at;
	for (;;) {
		at = json_skip_plain(at, scanner->end);
		if (at == scanner->end)
			return NULL;
		if (*at == '"')
			break;
		unsigned bytes = *at >= 0x80 ? utf8_sequence(at, scanner->end) : 0;
		if (bytes == 0)
			return NULL;
		at += bytes;
	}
	*ret_text = slice_of(begin, (size_t)(at - begin));
	return at + 1;
}

static inline const uint8_t *read_integer(
    const struct scanner *scanner, const uint8_t *at, int64_t *ret_integer)
{
	bool negative = is_byte(scanner, at, '-');
	const uint8_t *begin = at + negative;
	uint64_t value = 0;
	for (at = begin; at < scanner->end && (uint8_t)(*at - '0') <= 9; at++)
		value = value * 10 + (uint8_t)(*at - '0');
	size_t digits = (size_t)(at - begin);
	if (digits - 1 >= DIGITS_MAX || (*begin == '0' && digits > 1))
		return NULL;
	if (at < scanner->end && (*at == '.' || (*at | 0x20) == 'e'))
		return NULL;
	*ret_integer = negative ? -(int64_t)value : (int64_t)value;
	return at;
}

static const uint8_t *read_word(
    const struct scanner *scanner, const uint8_t *at, const char *word, size_t bytes)
{
	return left(scanner, at) >= bytes && memcmp(at, word, bytes) == 0 ? at + bytes : NULL;
}

/* As of a table that will grow: JSON does not say how many come. */
static void make_table(struct scanner *scanner, size_t fields)
{
	size_t bytes = 64 + fields * 40;
	value_work(&scanner->work, 8 + bytes / 64);
	if (__builtin_expect(bytes > 1024, 0))
		sandbox_charge_bytes(scanner->lua, bytes);
	lua_createtable(scanner->lua, 0, (int)fields);
}

static inline void push_text(struct scanner *scanner, struct slice text)
{
	if (__builtin_expect(text.bytes > 256, 0)) {
		value_work(&scanner->work, text.bytes / 64);
		sandbox_charge_bytes(scanner->lua, text.bytes);
	}
	lua_pushlstring(scanner->lua, (const char *)text.data, text.bytes);
}

/* --- Scalars ---------------------------------------------------------------------------------- */

static inline const uint8_t *scan_string(
    struct scanner *scanner, const struct schema *schema, const uint8_t *at)
{
	struct slice text;
	at = read_text(scanner, at, &text);
	if (!at)
		return NULL;
	if (text_is_bound(schema) &&
	    value_check_string(&scanner->work, &scanner->trouble, schema, text))
		return NULL;
	push_text(scanner, text);
	return at;
}

static inline const uint8_t *scan_integer(
    struct scanner *scanner, const struct schema *schema, const uint8_t *at)
{
	int64_t value;
	at = read_integer(scanner, at, &value);
	if (!at || value_check_integer(&scanner->trouble, schema, value))
		return NULL;
	lua_pushinteger(scanner->lua, value);
	return at;
}

static const uint8_t *scan_timestamp(
    struct scanner *scanner, const struct schema *schema, const uint8_t *at)
{
	struct slice text;
	int64_t ms;
	if (!is_byte(scanner, at, '"'))
		return scan_integer(scanner, schema, at);
	at = read_text(scanner, at, &text);
	if (!at || rfc3339_parse(text, &ms))
		return NULL;
	lua_pushinteger(scanner->lua, ms);
	return at;
}

static const uint8_t *scan_number(
    struct scanner *scanner, const struct schema *schema, const uint8_t *at)
{
	struct decimal number;
	if (decimal_parse(slice_of(at, left(scanner, at)), &number))
		return NULL;
	double value = number.is_integer ? (double)number.integer : number.number;
	if (value_check_number(&scanner->trouble, schema, value))
		return NULL;
	if (number.is_integer)
		lua_pushinteger(scanner->lua, number.integer);
	else
		lua_pushnumber(scanner->lua, number.number);
	return at + number.bytes;
}

static const uint8_t *scan_boolean(struct scanner *scanner, const uint8_t *at)
{
	bool value = is_byte(scanner, at, 't');
	at = value ? read_word(scanner, at, "true", 4) : read_word(scanner, at, "false", 5);
	if (at)
		lua_pushboolean(scanner->lua, value);
	return at;
}

/* --- Containers ------------------------------------------------------------------------------- */

/* Behind an element: the comma, or the end. */
static inline const uint8_t *read_more(
    const struct scanner *scanner, const uint8_t *at, uint8_t bracket, bool *ret_more)
{
	at = skip_space(scanner, at);
	if (at == scanner->end || (*at != ',' && *at != bracket))
		return NULL;
	*ret_more = *at == ',';
	return skip_space(scanner, at + 1);
}

static inline const uint8_t *read_colon(const struct scanner *scanner, const uint8_t *at)
{
	at = skip_space(scanner, at);
	return is_byte(scanner, at, ':') ? skip_space(scanner, at + 1) : NULL;
}

/* NOLINTBEGIN(misc-no-recursion): bounded by VALUE_DEPTH_MAX and SCHEMA_DEPTH_MAX */

static const uint8_t *scan_list(
    struct scanner *scanner, const struct schema *schema, const uint8_t *at)
{
	lua_State *lua = scanner->lua;
	const struct schema *element = schema->kind == SCHEMA_LIST ? schema->children[0] : &any;
	make_table(scanner, 0);
	lua_rawgeti(lua, scanner->names, 0);
	lua_setmetatable(lua, -2);
	size_t count = 0;
	at = skip_space(scanner, at + 1);
	bool more = !is_byte(scanner, at, ']');
	if (!more)
		at++;
	while (more) {
		at = scan(scanner, element, at);
		if (!at)
			return NULL;
		lua_rawseti(lua, -2, (lua_Integer)++count);
		at = read_more(scanner, at, ']', &more);
		if (!at)
			return NULL;
	}
	return value_check_count(&scanner->trouble, schema, count) ? NULL : at;
}

/* Whether the table below has the key on top. */
static bool is_there(lua_State *lua)
{
	lua_pushvalue(lua, -1);
	bool there = lua_rawget(lua, -3) != LUA_TNIL;
	lua_pop(lua, 1);
	return there;
}

static const uint8_t *scan_map(
    struct scanner *scanner, const struct schema *schema, const uint8_t *at)
{
	lua_State *lua = scanner->lua;
	bool is_map = schema->kind == SCHEMA_MAP;
	const struct schema *key = is_map ? schema->children[0] : &any;
	const struct schema *value = is_map ? schema->children[1] : &any;
	make_table(scanner, 0);
	size_t count = 0;
	struct slice highest = slice_of(NULL, 0);
	at = skip_space(scanner, at + 1);
	bool more = !is_byte(scanner, at, '}');
	if (!more)
		at++;
	while (more) {
		const uint8_t *begin = at;
		at = scan_string(scanner, key, at);
		if (!at)
			return NULL;
		/* A key above all before it comes once. */
		struct slice text = slice_of(begin + 1, (size_t)(at - begin) - 2);
		if (count++ == 0 || slice_compare(highest, text) < 0)
			highest = text;
		else if (is_there(lua))
			return NULL;
		at = read_colon(scanner, at);
		if (at)
			at = scan(scanner, value, at);
		if (!at)
			return NULL;
		lua_rawset(lua, -3);
		at = read_more(scanner, at, '}', &more);
		if (!at)
			return NULL;
	}
	return value_check_count(&scanner->trouble, schema, count) ? NULL : at;
}

/* --- Records ---------------------------------------------------------------------------------- */

/* Whether the key that begins at `at`, with its quote, is the field's name; see `plain`. */
static inline bool is_name(const struct schema *schema, const struct value_plan *plan, uint32_t i,
    const uint8_t *at, size_t left)
{
	const struct plan_field *field = &plan->fields[i];
	if (__builtin_expect(left > 16 && field->bytes <= 16, 1)) {
		/* MessagePack has one byte of its own where JSON has the quote. */
		uint64_t mask = field->masks[0] & ~(uint64_t)0xff;
		uint64_t differ = (load_u64le(at) ^ load_u64le(field->encoded)) & mask;
		differ |= (load_u64le(at + 8) ^ load_u64le(field->encoded + 8)) & field->masks[1];
		return differ == 0 && at[field->bytes] == '"';
	}
	struct slice name = schema->names[i];
	return left >= name.bytes + 2 && at[name.bytes + 1] == '"' &&
	       (name.bytes == 0 || memcmp(at + 1, name.data, name.bytes) == 0);
}

/* The field whose name is at `at`, or `count`: the one after the last most often. */
static inline uint32_t find_field(const struct scanner *scanner, const struct schema *schema,
    const struct value_plan *plan, uint32_t hint, const uint8_t *at)
{
	uint32_t count = schema->count;
	if (!is_byte(scanner, at, '"'))
		return count;
	if (hint < count && is_name(schema, plan, hint, at, left(scanner, at)))
		return hint;
	uint32_t i = 0;
	while (i < count && !is_name(schema, plan, i, at, left(scanner, at)))
		i++;
	return i;
}

static bool fill_in(struct scanner *scanner, const struct schema *schema,
    const struct value_plan *plan, uint64_t given)
{
	lua_State *lua = scanner->lua;
	if (plan->required & ~given)
		return false;
	for (uint32_t i = 0; i < schema->count; i++) {
		const struct schema *field = schema->children[i];
		if (given >> i & 1 || !field->has_text)
			continue;
		lua_rawgeti(lua, scanner->names, (lua_Integer)plan->names + i + 1);
		if (!value_unpack(lua, scanner->state, field->text, field->children[0], false))
			return false;
		lua_rawset(lua, -3);
	}
	return true;
}

static const uint8_t *scan_field(
    struct scanner *scanner, const struct schema *field, lua_Integer name, const uint8_t *at)
{
	lua_State *lua = scanner->lua;
	if (field->kind == SCHEMA_OPTIONAL) {
		/* Its default, which is rare; or nothing. */
		if (is_byte(scanner, at, 'n'))
			return field->has_text ? NULL : read_word(scanner, at, "null", 4);
		field = field->children[0];
	}
	lua_rawgeti(lua, scanner->names, name);
	at = scan(scanner, field, at);
	if (at)
		lua_rawset(lua, -3);
	return at;
}

static const uint8_t *scan_record(
    struct scanner *scanner, const struct schema *schema, const uint8_t *at)
{
	const struct value_plan *plan = value_plan_of(scanner->lua, scanner->state, schema);
	if (!plan)
		return NULL;
	make_table(scanner, schema->count);
	uint64_t given = 0;
	uint32_t i = 0, found = 0;
	at = skip_space(scanner, at + 1);
	bool more = !is_byte(scanner, at, '}');
	if (!more)
		at++;
	for (; more; i++, found++) {
		i = find_field(scanner, schema, plan, i, at);
		if (i == schema->count || given >> i & 1)
			return NULL;
		given |= (uint64_t)1 << i;
		at = read_colon(scanner, at + schema->names[i].bytes + 2);
		if (at)
			at = scan_field(
			    scanner, schema->children[i], (lua_Integer)plan->names + i + 1, at);
		if (at)
			at = read_more(scanner, at, '}', &more);
		if (!at)
			return NULL;
	}
	return found == schema->count || fill_in(scanner, schema, plan, given) ? at : NULL;
}

/* --- All together ----------------------------------------------------------------------------- */

static const uint8_t *scan_container(
    struct scanner *scanner, const struct schema *schema, const uint8_t *at)
{
	bool is_list = is_byte(scanner, at, '[');
	if (is_list ? schema->kind != SCHEMA_LIST && schema->kind != SCHEMA_ANY
	            : !is_byte(scanner, at, '{') || schema->kind == SCHEMA_LIST)
		return NULL;
	/* A container's slots are its table, a key and what that is for; the first one has them. */
	if (scanner->depth == VALUE_DEPTH_MAX ||
	    (scanner->depth > 0 && !lua_checkstack(scanner->lua, 8)))
		return NULL;
	scanner->depth++;
	if (is_list)
		at = scan_list(scanner, schema, at);
	else if (schema->kind == SCHEMA_RECORD)
		at = scan_record(scanner, schema, at);
	else
		at = scan_map(scanner, schema, at);
	scanner->depth--;
	return at;
}

static const uint8_t *scan_any(struct scanner *scanner, const uint8_t *at)
{
	if (at == scanner->end)
		return NULL;
	switch (*at) {
	case '"':
		return scan_string(scanner, &any, at);
	case '{':
	case '[':
		return scan_container(scanner, &any, at);
	case 't':
	case 'f':
		return scan_boolean(scanner, at);
	case 'n':
		at = read_word(scanner, at, "null", 4);
		if (at)
			value_push_null(scanner->lua);
		return at;
	}
	return scan_number(scanner, &any, at);
}

static const uint8_t *scan(struct scanner *scanner, const struct schema *schema, const uint8_t *at)
{
	switch (schema->kind) {
	case SCHEMA_STRING:
		return scan_string(scanner, schema, at);
	case SCHEMA_INTEGER:
		return scan_integer(scanner, schema, at);
	case SCHEMA_TIMESTAMP:
		return scan_timestamp(scanner, schema, at);
	case SCHEMA_NUMBER:
		return scan_number(scanner, schema, at);
	case SCHEMA_BOOLEAN:
		return scan_boolean(scanner, at);
	case SCHEMA_ANY:
		return scan_any(scanner, at);
	case SCHEMA_LIST:
	case SCHEMA_MAP:
	case SCHEMA_RECORD:
		return scan_container(scanner, schema, at);
	case SCHEMA_BYTES:
	case SCHEMA_OPTIONAL: /* outermost */
	case SCHEMA_ONE_OF:
		return NULL;
	}
	UNREACHABLE();
}

/* NOLINTEND(misc-no-recursion) */

bool value_scan(struct lua_State *lua, struct value_state *state, struct slice json,
    const struct schema *schema)
{
	/* A value, and nothing where there are no bytes. */
	if (json.bytes == 0 || !lua_checkstack(lua, 16))
		return false;
	struct scanner scanner;
	scanner.lua = lua;
	scanner.state = state;
	scanner.end = json.data + json.bytes;
	scanner.depth = 0;
	scanner.work = (struct value_work){.lua = lua, .units = 16 + json.bytes / 8};
	value_trouble_init(&scanner.trouble);
	value_work(&scanner.work, 0);
	value_push_plan_names(lua, state);
	scanner.names = lua_gettop(lua);
	const uint8_t *at = skip_space(&scanner, json.data);
	at = scan(&scanner, schema ? schema : &any, at);
	if (at)
		at = skip_space(&scanner, at);
	if (at != scanner.end) {
		lua_settop(lua, scanner.names - 1);
		return false;
	}
	ASSERT(lua_gettop(lua) == scanner.names + 1);
	lua_replace(lua, scanner.names);
	state->direct_count++;
	value_charge(&scanner.work);
	return true;
}
