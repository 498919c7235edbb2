/* Bytes held against a schema without Lua: value_lazy.h says for what. NULL is what says that
 * encoding would not make these bytes, or that decoding would refuse them. Every read is within
 * [at, end). */
#include "base/array.h"
#include "base/mem.h"
#include "scripting/value_lazy.h"

#include <lua.h>
#include <math.h>

struct skimmer {
	struct lua_State *lua;
	struct value_state *state;
	const uint8_t *begin, *end;
	unsigned depth, lists; /* lists: how many are around the value */
	struct value_work work;
	struct value_trouble trouble; /* nobody asks for it */
};

static const struct schema any = {.kind = SCHEMA_ANY};

static const uint8_t *skim(struct skimmer *skimmer, const struct schema *schema, const uint8_t *at);

/* --- Heads ------------------------------------------------------------------------------------ */

/* A number of 1, 2 or 4 bytes that does not fit a shorter form, where `shorter` is the largest that
 * fits none at all. */
static inline const uint8_t *read_length(
    const uint8_t *at, const uint8_t *end, unsigned bytes, uint32_t shorter, uint32_t *ret_length)
{
	if ((size_t)(end - at) < bytes)
		return NULL;
	uint32_t length = *at;
	if (bytes == 2) {
		length = load_u16be(at);
		if (shorter < UINT8_MAX)
			shorter = UINT8_MAX;
	} else if (bytes == 4) {
		length = load_u32be(at);
		shorter = UINT16_MAX;
	}
	if (length <= shorter)
		return NULL;
	*ret_length = length;
	return at + bytes;
}

static inline const uint8_t *read_count(
    const uint8_t *at, const uint8_t *end, uint8_t fix, uint8_t wide, uint32_t *ret_count)
{
	if (at == end)
		return NULL;
	uint8_t first = *at++;
	*ret_count = first & 0xf;
	if (__builtin_expect((first & 0xf0) == fix, 1))
		return at;
	if (first == wide) {
		/* There is no form of one byte. */
		if (end - at < 2 || load_u16be(at) < 16)
			return NULL;
		*ret_count = load_u16be(at);
		return at + 2;
	}
	return first == wide + 1 ? read_length(at, end, 4, UINT16_MAX, ret_count) : NULL;
}

/* Where the text's bytes begin; they are there, and UTF-8. */
static inline const uint8_t *read_text(
    const struct skimmer *skimmer, const uint8_t *at, uint32_t *ret_bytes)
{
	if (__builtin_expect(at == skimmer->end, 0))
		return NULL;
	uint8_t first = *at++;
	uint32_t bytes = first & 0x1f;
	if (__builtin_expect((first & 0xe0) != 0xa0, 0)) {
		if (first < 0xd9 || first > 0xdb)
			return NULL;
		at = read_length(at, skimmer->end, 1u << (first - 0xd9), 31, &bytes);
		if (!at)
			return NULL;
	}
	if (__builtin_expect((size_t)(skimmer->end - at) < bytes, 0))
		return NULL;
	*ret_bytes = bytes;
	if (__builtin_expect(bytes - 8 <= 8, 1) &&
	    __builtin_expect(
	        ((load_u64le(at) | load_u64le(at + bytes - 8)) & 0x8080808080808080u) == 0, 1))
		return at;
	return text_valid(at, bytes) ? at : NULL;
}

/* --- Scalars ---------------------------------------------------------------------------------- */

/* Not inline, nor are containers: skim itself, which is called for each value, needs no frame. */
__attribute__((noinline)) static const uint8_t *skim_string(
    struct skimmer *skimmer, const struct schema *schema, const uint8_t *at)
{
	uint32_t bytes;
	at = read_text(skimmer, at, &bytes);
	if (!at)
		return NULL;
	if (text_is_bound(schema) &&
	    value_check_string(&skimmer->work, &skimmer->trouble, schema, slice_of(at, bytes)))
		return NULL;
	return at + bytes;
}

/* An integer in its shortest form. */
static inline const uint8_t *read_integer(
    const struct skimmer *skimmer, const uint8_t *at, int64_t *ret_integer)
{
	if (__builtin_expect(at == skimmer->end, 0))
		return NULL;
	uint8_t first = *at++;
	if (__builtin_expect(first < 0x80 || first >= 0xe0, 1)) {
		/* NOLINTNEXTLINE(bugprone-signed-char-misuse): a number with its sign */
		*ret_integer = (int8_t)first;
		return at;
	}
	if (first < 0xcc || first > 0xd3)
		return NULL;
	unsigned bytes = 1u << (first & 3);
	if ((size_t)(skimmer->end - at) < bytes)
		return NULL;
	bool ok;
	int64_t value;
	switch (first) {
	case 0xcc:
		value = *at;
		ok = value > INT8_MAX;
		break;
	case 0xcd:
		value = load_u16be(at);
		ok = value > UINT8_MAX;
		break;
	case 0xce:
		value = load_u32be(at);
		ok = value > UINT16_MAX;
		break;
	case 0xcf:
		value = (int64_t)load_u64be(at);
		ok = value > UINT32_MAX;
		break;
	case 0xd0:
		/* NOLINTNEXTLINE(bugprone-signed-char-misuse): a number with its sign */
		value = (int8_t)*at;
		ok = value < -32;
		break;
	case 0xd1:
		value = (int16_t)load_u16be(at);
		ok = value < INT8_MIN;
		break;
	case 0xd2:
		value = (int32_t)load_u32be(at);
		ok = value < INT16_MIN;
		break;
	default:
		value = (int64_t)load_u64be(at);
		ok = value < INT32_MIN;
		break;
	}
	*ret_integer = value;
	return ok ? at + bytes : NULL;
}

static inline const uint8_t *skim_integer(
    struct skimmer *skimmer, const struct schema *schema, const uint8_t *at)
{
	int64_t value;
	at = read_integer(skimmer, at, &value);
	return at && !value_check_integer(&skimmer->trouble, schema, value) ? at : NULL;
}

static const uint8_t *skim_number(
    struct skimmer *skimmer, const struct schema *schema, const uint8_t *at)
{
	double number;
	if (at != skimmer->end && *at == 0xcb) {
		if (skimmer->end - at < 9)
			return NULL;
		uint64_t bits = load_u64be(at + 1);
		memcpy(&number, &bits, sizeof(number));
		at += 9;
	} else {
		int64_t value;
		at = read_integer(skimmer, at, &value);
		if (!at)
			return NULL;
		number = (double)value;
	}
	return value_check_number(&skimmer->trouble, schema, number) ? NULL : at;
}

static const uint8_t *skim_bytes(
    struct skimmer *skimmer, const struct schema *schema, const uint8_t *at)
{
	uint32_t bytes;
	const uint8_t *end = skimmer->end;
	if (at == end || *at < 0xc4 || *at > 0xc6)
		return NULL;
	if (*at == 0xc4) {
		/* There is no shorter form, so this one has 0, too. */
		if (end - at < 2)
			return NULL;
		bytes = at[1];
		at += 2;
	} else {
		at = read_length(at + 1, end, 1u << (*at - 0xc4), UINT8_MAX, &bytes);
	}
	if (!at || (size_t)(end - at) < bytes ||
	    value_check_count(&skimmer->trouble, schema, bytes))
		return NULL;
	return at + bytes;
}

/* --- Nodes ------------------------------------------------------------------------------------ */

static bool grow(struct value_lazy *lazy, size_t offsets)
{
	return array_reserve(&lazy->nodes, &lazy->node_capacity, lazy->node_count + 1,
	           sizeof(*lazy->nodes)) == 0 &&
	       array_reserve(&lazy->offsets, &lazy->offset_capacity, lazy->offset_count + offsets,
	           sizeof(*lazy->offsets)) == 0;
}

/* Where the offsets of a map or record with `count` entries go, whose head is at `at`; the values
 * of a list have none. ERR_NOMEM. */
static inline int add_node(struct skimmer *skimmer, const struct schema *schema, const uint8_t *at,
    uint32_t count, uint32_t *ret_first)
{
	struct value_lazy *lazy = &skimmer->state->lazy;
	size_t offsets = (size_t)count + 1;
	if (__builtin_expect(lazy->node_count == lazy->node_capacity ||
	                         lazy->offset_capacity - lazy->offset_count < offsets,
	        0) &&
	    !grow(lazy, offsets))
		return ERR_NOMEM;
	lazy->nodes[lazy->node_count++] = (struct lazy_node){
	    .schema = schema->kind == SCHEMA_ANY ? NULL : schema,
	    .at = (uint32_t)(at - skimmer->begin),
	    .count = count,
	    .first = (uint32_t)lazy->offset_count,
	};
	*ret_first = (uint32_t)lazy->offset_count;
	lazy->offset_count += offsets;
	return 0;
}

/* --- Containers ------------------------------------------------------------------------------- */

/* NOLINTBEGIN(misc-no-recursion): bounded by VALUE_DEPTH_MAX and SCHEMA_DEPTH_MAX */

static const uint8_t *skim_list(
    struct skimmer *skimmer, const struct schema *schema, const uint8_t *at)
{
	uint32_t count;
	at = read_count(at, skimmer->end, 0x90, 0xdc, &count);
	if (!at || value_check_count(&skimmer->trouble, schema, count))
		return NULL;
	const struct schema *element = schema->kind == SCHEMA_LIST ? schema->children[0] : &any;
	skimmer->lists++;
	for (uint32_t i = 0; i < count && at; i++)
		at = skim(skimmer, element, at);
	skimmer->lists--;
	return at;
}

static inline bool is_before(struct slice a, struct slice b)
{
	if (__builtin_expect(a.bytes == b.bytes && a.bytes - 8 <= 8, 1)) {
		uint64_t a_head = load_u64be(a.data), b_head = load_u64be(b.data);
		if (a_head != b_head)
			return a_head < b_head;
		return load_u64be(a.data + a.bytes - 8) < load_u64be(b.data + b.bytes - 8);
	}
	return slice_compare(a, b) < 0;
}

/* What most maps of counts are made of: keys of 8 to 16 ASCII characters, all as long, and small
 * numbers without bounds. Goes over as many entries from the first as are so, and says how many;
 * the key of the last is in *ret_last. */
static uint32_t skim_counts(const struct skimmer *skimmer, const uint8_t **at_at, uint32_t count,
    uint32_t *offsets, struct slice *ret_last)
{
	const uint8_t *at = *at_at;
	uint8_t first = at < skimmer->end ? *at : 0;
	uint32_t bytes = (uint32_t)first - 0xa0, entry_bytes = bytes + 2;
	if (bytes - 8 > 8)
		return 0;
	size_t most = (size_t)(skimmer->end - at) / entry_bytes;
	if (count > most)
		count = (uint32_t)most;
	uint32_t i = 0, offset = (uint32_t)(at - skimmer->begin);
	uint64_t high = 0;
	/* Both halves of a key as one number; a key of zeros is none for here. */
	unsigned __int128 last = 0;
	for (; i < count; i++, at += entry_bytes, offset += entry_bytes) {
		uint64_t head = load_u64be(at + 1), tail = load_u64be(at + 1 + bytes - 8);
		unsigned __int128 key = (unsigned __int128)head << 64 | tail;
		if (*at != first || at[1 + bytes] >= 0x80 || key <= last)
			break;
		high |= head | tail;
		last = key;
		offsets[i] = offset;
	}
	if (i == 0 || (high & 0x8080808080808080u))
		return 0;
	*ret_last = slice_of(at - 1 - bytes, bytes);
	*at_at = at;
	return i;
}

static const uint8_t *skim_map(
    struct skimmer *skimmer, const struct schema *schema, const uint8_t *at)
{
	uint32_t count, to = 0, i = 0;
	const uint8_t *head = at;
	struct slice last = slice_of(NULL, 0);
	at = read_count(at, skimmer->end, 0x80, 0xde, &count);
	if (!at || count > (size_t)(skimmer->end - at) / 2 ||
	    value_check_count(&skimmer->trouble, schema, count))
		return NULL;
	bool has_node = skimmer->lists == 0;
	if (has_node && add_node(skimmer, schema, head, count, &to))
		return NULL;
	bool is_map = schema->kind == SCHEMA_MAP;
	const struct schema *key = is_map ? schema->children[0] : &any;
	const struct schema *value = is_map ? schema->children[1] : &any;
	bool key_is_bound = text_is_bound(key);
	if (has_node && !key_is_bound && value->kind == SCHEMA_INTEGER && !value->has_min &&
	    !value->has_max)
		i = skim_counts(skimmer, &at, count, &skimmer->state->lazy.offsets[to], &last);
	for (; i < count; i++) {
		uint32_t bytes;
		if (has_node)
			skimmer->state->lazy.offsets[to + i] = (uint32_t)(at - skimmer->begin);
		at = read_text(skimmer, at, &bytes);
		if (!at || (i > 0 && !is_before(last, slice_of(at, bytes))))
			return NULL;
		if (key_is_bound &&
		    value_check_string(&skimmer->work, &skimmer->trouble, key, slice_of(at, bytes)))
			return NULL;
		last = slice_of(at, bytes);
		at = skim(skimmer, value, at + bytes);
		if (!at)
			return NULL;
	}
	if (has_node)
		skimmer->state->lazy.offsets[to + count] = (uint32_t)(at - skimmer->begin);
	return at;
}

/* The bytes of a field's value, whose name was there. */
static inline const uint8_t *skim_field(
    struct skimmer *skimmer, const struct schema *field, const uint8_t *at)
{
	if (field->kind == SCHEMA_OPTIONAL) {
		if (at != skimmer->end && *at == 0xc0)
			return NULL;
		field = field->children[0];
	}
	return skim(skimmer, field, at);
}

/* Fields in order, none that is nil, none left out that decoding would fill in. */
static const uint8_t *skim_record(
    struct skimmer *skimmer, const struct schema *schema, const uint8_t *at)
{
	const struct value_plan *plan = value_plan_of(skimmer->lua, skimmer->state, schema);
	struct value_lazy *lazy = &skimmer->state->lazy;
	uint32_t pairs, to = 0, i = 0;
	const uint8_t *head = at;
	at = read_count(at, skimmer->end, 0x80, 0xde, &pairs);
	if (!at || !plan || pairs > schema->count)
		return NULL;
	bool has_node = skimmer->lists == 0;
	size_t node = lazy->node_count;
	if (has_node && add_node(skimmer, schema, head, pairs, &to))
		return NULL;
	uint64_t given = 0;
	for (uint32_t pair = 0; pair < pairs; pair++, i++) {
		size_t left = (size_t)(skimmer->end - at);
		while (i < schema->count && !plan_is_name(&plan->fields[i], at, left))
			i++;
		if (i == schema->count)
			return NULL;
		if (has_node)
			lazy->offsets[to + pair] = (uint32_t)(at - skimmer->begin);
		given |= (uint64_t)1 << i;
		at = skim_field(skimmer, schema->children[i], at + plan->fields[i].bytes);
		if (!at)
			return NULL;
	}
	if ((plan->required | plan->defaults) & ~given)
		return NULL;
	if (has_node) {
		lazy->offsets[to + pairs] = (uint32_t)(at - skimmer->begin);
		lazy->nodes[node].given = given;
	}
	return at;
}

/* --- All together ----------------------------------------------------------------------------- */

static const uint8_t *skim_any(struct skimmer *skimmer, const uint8_t *at)
{
	if (at == skimmer->end)
		return NULL;
	uint8_t first = *at;
	if (first == 0xc0 || (first & 0xfe) == 0xc2)
		return at + 1;
	if (first < 0x80 || first >= 0xe0 || (first >= 0xcb && first <= 0xd3))
		return skim_number(skimmer, &any, at);
	if (first < 0x90 || first == 0xde || first == 0xdf)
		return skim_map(skimmer, &any, at);
	if (first < 0xa0 || first == 0xdc || first == 0xdd)
		return skim_list(skimmer, &any, at);
	return skim_string(skimmer, &any, at);
}

__attribute__((noinline)) static const uint8_t *skim_container(
    struct skimmer *skimmer, const struct schema *schema, const uint8_t *at)
{
	if (skimmer->depth == VALUE_DEPTH_MAX)
		return NULL;
	if (++skimmer->depth > skimmer->state->lazy.depth)
		skimmer->state->lazy.depth = skimmer->depth;
	if (schema->kind == SCHEMA_RECORD)
		at = skim_record(skimmer, schema, at);
	else if (schema->kind == SCHEMA_MAP)
		at = skim_map(skimmer, schema, at);
	else if (schema->kind == SCHEMA_LIST)
		at = skim_list(skimmer, schema, at);
	else
		at = skim_any(skimmer, at);
	skimmer->depth--;
	return at;
}

static const uint8_t *skim(struct skimmer *skimmer, const struct schema *schema, const uint8_t *at)
{
	switch (schema->kind) {
	case SCHEMA_STRING:
		return skim_string(skimmer, schema, at);
	case SCHEMA_INTEGER:
	case SCHEMA_TIMESTAMP:
		return skim_integer(skimmer, schema, at);
	case SCHEMA_NUMBER:
		return skim_number(skimmer, schema, at);
	case SCHEMA_BOOLEAN:
		return at != skimmer->end && (*at & 0xfe) == 0xc2 ? at + 1 : NULL;
	case SCHEMA_BYTES:
		return skim_bytes(skimmer, schema, at);
	case SCHEMA_ANY:
	case SCHEMA_LIST:
	case SCHEMA_MAP:
	case SCHEMA_RECORD:
		return skim_container(skimmer, schema, at);
	case SCHEMA_OPTIONAL: /* outermost */
	case SCHEMA_ONE_OF:
		return NULL;
	}
	return NULL;
}

/* NOLINTEND(misc-no-recursion) */

bool lazy_skim(struct lua_State *lua, struct value_state *state, struct slice msgpack,
    const struct schema *schema)
{
	struct skimmer skimmer;
	skimmer.lua = lua;
	skimmer.state = state;
	skimmer.begin = msgpack.data;
	skimmer.end = msgpack.data + msgpack.bytes;
	skimmer.depth = 0;
	skimmer.lists = 0;
	skimmer.work = (struct value_work){.lua = lua, .units = 16 + msgpack.bytes / 16};
	value_trouble_init(&skimmer.trouble);
	state->lazy.node_count = state->lazy.offset_count = 0;
	state->lazy.depth = 0;
	const uint8_t *at = skim(&skimmer, schema ? schema : &any, msgpack.data);
	value_charge(&skimmer.work);
	return at == skimmer.end && state->lazy.node_count > 0 && state->lazy.nodes[0].at == 0;
}
