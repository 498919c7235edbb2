/* What value_pack.c keeps of a table that it walks, and how scalars are put into bytes. For
 * value_pack*.c only.
 */
#ifndef KX_SCRIPTING_VALUE_PACK_H
#define KX_SCRIPTING_VALUE_PACK_H

#include "base/assert.h"
#include "scripting/value_lazy.h"

enum item_type {
	ITEM_ABSENT,
	ITEM_NIL,
	ITEM_FALSE,
	ITEM_TRUE,
	ITEM_INTEGER,
	ITEM_NUMBER,
	ITEM_TEXT,
	ITEM_BYTES,
	ITEM_TABLE,
};

struct pack_item {
	enum item_type type;
	int slot; /* ITEM_TABLE */
	union {
		int64_t integer;
		double number;
		struct slice text;
		const struct schema *schema; /* ITEM_TABLE: its own */
	};
	/* Of a map. */
	struct slice key;
	uint64_t rank; /* eight bytes of the key, behind what all keys have in common */
};

/* The order of a map's items by the bytes of their keys, into order[0 .. count). */
void pack_sort(struct value_work *work, struct pack_item *items, uint32_t *order, size_t count);

enum {
	/* What a scalar may take beside its bytes: a head, and a name before it. */
	HEAD_BYTES_MAX = PLAN_NAME_BYTES + 16,
};

struct packer {
	struct lua_State *lua;
	struct value_state *state;
	struct buffer *out;
	uint8_t *to; /* in out's memory, behind its end */
	uint8_t *limit;
	unsigned depth;
	struct value_work work;
	struct value_trouble trouble; /* nobody asks for it */
};

/* All of these write at `to`, where the caller has made room, and give the end. */

static inline uint8_t *put_u8(uint8_t *to, uint8_t first, uint64_t bits)
{
	to[0] = first;
	to[1] = (uint8_t)bits;
	return to + 2;
}

static inline uint8_t *put_u16(uint8_t *to, uint8_t first, uint64_t bits)
{
	*to = first;
	store_u16be(to + 1, (uint16_t)bits);
	return to + 3;
}

static inline uint8_t *put_u32(uint8_t *to, uint8_t first, uint64_t bits)
{
	*to = first;
	store_u32be(to + 1, (uint32_t)bits);
	return to + 5;
}

static inline uint8_t *put_u64(uint8_t *to, uint8_t first, uint64_t bits)
{
	*to = first;
	store_u64be(to + 1, bits);
	return to + 9;
}

static inline uint8_t *put_integer(uint8_t *to, int64_t value)
{
	uint64_t bits = (uint64_t)value;
	if (value >= -32 && value <= INT8_MAX) {
		*to = (uint8_t)bits;
		return to + 1;
	}
	if (value >= 0) {
		if (bits <= UINT8_MAX)
			return put_u8(to, 0xcc, bits);
		if (bits <= UINT16_MAX)
			return put_u16(to, 0xcd, bits);
		return bits <= UINT32_MAX ? put_u32(to, 0xce, bits) : put_u64(to, 0xcf, bits);
	}
	if (value >= INT8_MIN)
		return put_u8(to, 0xd0, bits);
	if (value >= INT16_MIN)
		return put_u16(to, 0xd1, bits);
	return value >= INT32_MIN ? put_u32(to, 0xd2, bits) : put_u64(to, 0xd3, bits);
}

/* A head whose formats are `first` for 8 bits, and the two behind it; `bytes` <= UINT32_MAX. */
static inline uint8_t *put_length(uint8_t *to, uint8_t first, size_t bytes)
{
	if (bytes <= UINT8_MAX)
		return put_u8(to, first, bytes);
	return bytes <= UINT16_MAX ? put_u16(to, (uint8_t)(first + 1), bytes)
	                           : put_u32(to, (uint8_t)(first + 2), bytes);
}

static inline uint8_t *put_content(uint8_t *to, struct slice text)
{
	const uint8_t *from = text.data;
	size_t bytes = text.bytes;
	if (__builtin_expect(bytes - 8 <= 8, 1)) {
		/* 8 to 16: two loads that may overlap spare a call. */
		uint64_t head = load_u64le(from), tail = load_u64le(from + bytes - 8);
		store_u64le(to, head);
		store_u64le(to + bytes - 8, tail);
	} else if (bytes > 16) {
		memcpy(to, from, bytes);
	} else if (bytes >= 4) {
		uint32_t head = load_u32le(from), tail = load_u32le(from + bytes - 4);
		store_u32le(to, head);
		store_u32le(to + bytes - 4, tail);
	} else {
		for (size_t i = 0; i < bytes; i++)
			to[i] = from[i];
	}
	return to + bytes;
}

static inline uint8_t *put_text(uint8_t *to, struct slice text)
{
	if (__builtin_expect(text.bytes < 32, 1))
		*to++ = (uint8_t)(0xa0 | text.bytes);
	else
		to = put_length(to, 0xd9, text.bytes);
	return put_content(to, text);
}

static inline uint8_t *put_number(uint8_t *to, double number)
{
	uint64_t bits;
	memcpy(&bits, &number, sizeof(bits));
	return put_u64(to, 0xcb, bits);
}

/* A scalar; where it takes more than a head there is room. */
static inline uint8_t *put_scalar(uint8_t *to, const struct pack_item *item)
{
	switch (item->type) {
	case ITEM_INTEGER:
		return put_integer(to, item->integer);
	case ITEM_TEXT:
		return put_text(to, item->text);
	case ITEM_NIL:
		*to = 0xc0;
		return to + 1;
	case ITEM_FALSE:
	case ITEM_TRUE:
		*to = item->type == ITEM_TRUE ? 0xc3 : 0xc2;
		return to + 1;
	case ITEM_NUMBER:
		return put_number(to, item->number);
	case ITEM_BYTES:
		return put_content(put_length(to, 0xc4, item->text.bytes), item->text);
	case ITEM_ABSENT:
	case ITEM_TABLE:
		break;
	}
	UNREACHABLE();
}

static inline size_t content_bytes(const struct pack_item *item)
{
	return item->type == ITEM_TEXT || item->type == ITEM_BYTES ? item->text.bytes : 0;
}

static inline void pack_begin(struct packer *packer)
{
	packer->to = packer->out->data + packer->out->end;
	packer->limit = packer->out->data + packer->out->capacity;
}

static inline void pack_commit(struct packer *packer)
{
	buffer_commit(packer->out, (size_t)(packer->to - (packer->out->data + packer->out->end)));
}

/* Makes room in `out` for so many bytes. */
NODISCARD bool pack_grow(struct packer *packer, size_t bytes);
/* Room for `bytes`, and for a head before them. */
static inline bool have_room(struct packer *packer, size_t bytes)
{
	bytes += HEAD_BYTES_MAX;
	if (__builtin_expect((size_t)(packer->limit - packer->to) >= bytes, 1))
		return true;
	return pack_grow(packer, bytes);
}

/* Maps: 0x80, 0xde; arrays: 0x90, 0xdc. */
static inline bool pack_count(struct packer *packer, uint8_t fix, uint8_t wide, size_t count)
{
	if (!have_room(packer, 0))
		return false;
	if (count < 16)
		*packer->to++ = (uint8_t)(fix | count);
	else if (count <= UINT16_MAX)
		packer->to = put_u16(packer->to, wide, count);
	else
		packer->to = put_u32(packer->to, (uint8_t)(wide + 1), count);
	return true;
}

/* Room for `count` more items. */
NODISCARD bool pack_have_items(struct value_state *state, size_t count);
/* The value on top, checked; a table is only looked at when it is packed. */
NODISCARD bool pack_take(
    struct packer *packer, const struct schema *schema, struct pack_item *ret_item);
/* A record's fields that are there become items from item_count on, without counting;
 * *ret_given has their bits. */
NODISCARD bool pack_take_fields(struct packer *packer, const struct schema *schema,
    const struct value_plan *plan, int position, uint64_t *ret_given);
/* A map's entries that are there become items, which are counted. */
NODISCARD bool pack_take_entries(struct packer *packer, const struct schema *schema, int position);
NODISCARD bool pack_field(
    struct packer *packer, const struct plan_field *field, const struct pack_item *item);
NODISCARD bool pack_entry(struct packer *packer, const struct pack_item *item);
NODISCARD bool pack_table(struct packer *packer, const struct schema *schema, int position);
/* The lazy table at `position`; leaves slots on Lua's stack. */
enum lazy_packed { LAZY_PACKED, LAZY_FAILED, LAZY_TO_SETTLE };
NODISCARD enum lazy_packed pack_lazy(
    struct packer *packer, const struct schema *schema, int position);

#endif
