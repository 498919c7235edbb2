/* The short way between MessagePack and Lua: value_pack.c and value_unpack.c go along a schema with
 * plain loads and stores. They know success only. Whatever they do not take (a one_of, an open
 * record, a value that is wrong, bytes in another form than ours) they leave alone, and
 * value_encode.c or value_decode.c does it from the beginning: those say what is wrong, and what
 * both accept is the same. For value*.c only.
 */
#ifndef KX_SCRIPTING_VALUE_DIRECT_H
#define KX_SCRIPTING_VALUE_DIRECT_H

#include "base/bytes.h"
#include "base/wire/utf8.h"
#include "scripting/value_inside.h"

enum {
	PLAN_NAME_BYTES = 48, /* of a name of SCHEMA_DIRECT_NAME_BYTES, header and all */
	PLAN_HASH_BITS = 7,
};

struct plan_field {
	uint8_t encoded[PLAN_NAME_BYTES]; /* its name as MessagePack, zeros behind */
	uint64_t masks[2];                /* ones where the first 16 bytes belong to the name */
	const void *name;                 /* Lua's string, which the interpreter has only once */
	uint32_t bytes;                   /* of `encoded` */
};

/* What is prepared for a record in one interpreter: a userdata. */
struct value_plan {
	uint32_t names;    /* the names stand behind so many in the table of names */
	uint64_t required; /* bit i: field i is not optional */
	uint64_t defaults; /* bit i: it is, and has a default */
	uint8_t by_name[1 << PLAN_HASH_BITS]; /* field + 1, by the address of Lua's string */
	struct plan_field fields[];
};

/* The record's plan, made when first asked for; it lives until value_plans_trim. May raise; two
 * slots of Lua's stack. */
const struct value_plan *value_plan_make(
    struct lua_State *lua, struct value_state *state, const struct schema *record);

static inline const struct value_plan *value_plan_of(
    struct lua_State *lua, struct value_state *state, const struct schema *record)
{
	const struct value_plan_slot *slot = &state->plans[record->number % VALUE_PLAN_SLOTS];
	if (__builtin_expect(slot->number == record->number && slot->plan, 1))
		return slot->plan;
	return value_plan_make(lua, state, record);
}

/* Forgets plans when there are too many: only where none is in use. */
void value_plans_trim(struct lua_State *lua, struct value_state *state);
/* Pushes the table of names; its element 0 is the list mark, element -1 the table of the texts in
 * `texts`, 1 for the first. */
void value_push_plan_names(struct lua_State *lua, const struct value_state *state);

static inline unsigned plan_hash(const void *name)
{
	return (
	    unsigned)(((uint64_t)(uintptr_t)name * 0x9e3779b97f4a7c15u) >> (64 - PLAN_HASH_BITS));
}

/* The field whose name is Lua's string at this address, or -1. */
static inline int plan_find_name(const struct value_plan *plan, const void *name)
{
	unsigned hash = plan_hash(name);
	while (plan->by_name[hash]) {
		int field = plan->by_name[hash] - 1;
		if (plan->fields[field].name == name)
			return field;
		hash = (hash + 1) % (1 << PLAN_HASH_BITS);
	}
	return -1;
}

/* Whether the bytes at `at` begin with the name, as MessagePack. */
static inline bool plan_is_name(const struct plan_field *field, const uint8_t *at, size_t left)
{
	if (__builtin_expect(left >= 16 && field->bytes <= 16, 1)) {
		uint64_t differ = (load_u64le(at) ^ load_u64le(field->encoded)) & field->masks[0];
		differ |= (load_u64le(at + 8) ^ load_u64le(field->encoded + 8)) & field->masks[1];
		return differ == 0;
	}
	if (left < field->bytes)
		return false;
	if (__builtin_expect(field->bytes > 16, 0))
		return memcmp(at, field->encoded, field->bytes) == 0;
	for (uint32_t i = 0; i < field->bytes; i++) {
		if (at[i] != field->encoded[i])
			return false;
	}
	return true;
}

/* UTF-8, which most often is ASCII. */
static inline bool text_valid(const uint8_t *at, size_t bytes)
{
	uint64_t high = 0;
	if (bytes >= 8) {
		size_t i = 0;
		for (; i + 8 <= bytes; i += 8)
			high |= load_u64le(at + i);
		high |= load_u64le(at + bytes - 8);
	} else if (bytes >= 4) {
		high = (uint64_t)load_u32le(at) | load_u32le(at + bytes - 4);
	} else {
		for (size_t i = 0; i < bytes; i++)
			high |= at[i];
	}
	if (__builtin_expect((high & 0x8080808080808080u) == 0, 1))
		return true;
	return utf8_valid(slice_of(at, bytes));
}

/* Whether a text has more to meet than being text. */
static inline bool text_is_bound(const struct schema *schema)
{
	return schema->has_min || schema->has_max || schema->has_text || schema->name_count > 0;
}

/* Pushes the value, or false with Lua's stack as it was. Before it, and where nothing else is under
 * way: value_plans_trim. */
NODISCARD bool value_unpack(struct lua_State *lua, struct value_state *state, struct slice msgpack,
    const struct schema *schema, bool from_outside);
/* Appends the value at `position` (absolute), with Lua's stack as it was; or false with `out` as it
 * was and slots left there. */
NODISCARD bool value_pack(struct lua_State *lua, struct value_state *state, int position,
    const struct schema *schema, struct buffer *out);

#endif
