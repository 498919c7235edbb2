#include "storage/table_order.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/fetch.h"
#include "storage/table_parts.h"

/* A reference is a slot's address: as such it means the slot itself, with its lowest bit set the
 * inner node that stands in the slot. */
_Static_assert(_Alignof(struct table_slot) >= 2, "the lowest bit of a slot's address is free");

static bool is_node(uintptr_t at)
{
	return (at & 1) != 0;
}

static struct table_slot *slot_at(uintptr_t at)
{
	return (struct table_slot *)(at & ~(uintptr_t)1); /* NOLINT(performance-no-int-to-ptr) */
}

/* A position is byte * 16 + rank: rank 0 asks whether there is a byte, 1 to 8 for its bits, highest
 * first. */
static unsigned bit_at(struct slice key, uint32_t position)
{
	uint32_t byte = position >> 4;
	if (byte >= key.bytes)
		return 0;
	uint8_t mask = (uint8_t)(0x100 >> (position & 15));
	return mask == 0 || (key.data[byte] & mask) != 0;
}

static bool asks_for_end(uint32_t position)
{
	return (position & 15) == 0;
}

enum { NO_DIFFERENCE = UINT32_MAX };

static uint32_t first_difference(struct slice a, struct slice b)
{
	size_t common = a.bytes < b.bytes ? a.bytes : b.bytes;
	size_t byte = 0;
	while (common - byte >= 8 && load_u64le(a.data + byte) == load_u64le(b.data + byte))
		byte += 8;
	while (byte < common && a.data[byte] == b.data[byte])
		byte++;
	if (byte < common) {
		unsigned bits = (unsigned)(a.data[byte] ^ b.data[byte]);
		unsigned rank = 1 + (unsigned)__builtin_clz(bits) - 24;
		return (uint32_t)(byte << 4 | rank);
	}
	return a.bytes == b.bytes ? NO_DIFFERENCE : (uint32_t)(byte << 4);
}

struct slice order_key(const struct table_slot *slot)
{
	struct slice key = table_slot_key(slot);
	return slice_of(key.data + KEY_SHARD_BYTES, key.bytes - KEY_SHARD_BYTES);
}

/* Where the key differs first from the slot that shares the most with it. */
static uint32_t difference_from(uintptr_t root, struct slice key)
{
	uintptr_t at = root;
	while (is_node(at)) {
		const struct table_slot *node = slot_at(at);
		at = node->child[bit_at(key, node->position)];
	}
	return first_difference(key, order_key(slot_at(at)));
}

void order_fetch(struct order_soon *ways, size_t count)
{
	bool more = true;
	while (more) {
		more = false;
		for (size_t i = 0; i < count; i++) {
			if (!is_node(ways[i].at))
				continue;
			const struct table_slot *node = slot_at(ways[i].at);
			ways[i].at = node->child[bit_at(ways[i].key, node->position)];
			memory_fetch(slot_at(ways[i].at), sizeof(struct table_slot));
			more = true;
		}
	}
	for (size_t i = 0; i < count; i++)
		memory_fetch(slot_at(ways[i].at)->entry, sizeof(struct table_entry));
}

void order_insert(uintptr_t *root, struct table_slot *slot)
{
	if (*root == 0) {
		*root = (uintptr_t)slot;
		return;
	}
	struct slice key = order_key(slot);
	uint32_t position = difference_from(*root, key);
	ASSERT_MSG(position != (uint32_t)NO_DIFFERENCE, "a key is a stream's and its own");
	uintptr_t *link = root;
	while (is_node(*link) && slot_at(*link)->position < position) {
		struct table_slot *node = slot_at(*link);
		link = &node->child[bit_at(key, node->position)];
	}
	unsigned side = bit_at(key, position);
	slot->position = position;
	slot->child[side] = (uintptr_t)slot;
	slot->child[1 - side] = *link;
	*link = (uintptr_t)slot | 1;
}

bool order_has(uintptr_t root, struct slice key)
{
	return root != 0 && difference_from(root, key) == (uint32_t)NO_DIFFERENCE;
}

static void push(struct order_walk *walk, uintptr_t at)
{
	ASSERT(walk->depth < ORDER_DEPTH_MAX);
	memory_fetch(slot_at(at), sizeof(struct table_slot));
	walk->stack[walk->depth++] = at;
}

void order_walk_begin(struct order_walk *walk, uintptr_t *stack, uintptr_t root)
{
	*walk = (struct order_walk){.stack = stack, .depth = 0};
	if (root != 0)
		push(walk, root);
}

struct table_slot *order_walk_from(
    struct order_walk *walk, uintptr_t *stack, uintptr_t root, struct slice first)
{
	*walk = (struct order_walk){.stack = stack, .depth = 0};
	if (root == 0)
		return NULL;
	struct table_slot *clear = NULL;
	uint32_t position = difference_from(root, first);
	uintptr_t at = root;
	/* Up to `position` all that is met shares its bits with `first`; so what ends where `first`
	 * goes on is a key that begins it. */
	while (is_node(at) && slot_at(at)->position < position) {
		const struct table_slot *node = slot_at(at);
		unsigned side = bit_at(first, node->position);
		if (side == 0)
			push(walk, node->child[1]);
		else if (asks_for_end(node->position)) {
			ASSERT(!is_node(node->child[0]));
			if (slot_at(node->child[0])->kind == SLOT_CLEAR)
				clear = slot_at(node->child[0]);
		}
		at = node->child[side];
	}
	if (position == (uint32_t)NO_DIFFERENCE || bit_at(first, position) == 0)
		push(walk, at);
	else if (asks_for_end(position) && slot_at(at)->kind == SLOT_CLEAR)
		clear = slot_at(at);
	return clear;
}

struct table_slot *order_walk_next(struct order_walk *walk)
{
	if (walk->depth == 0)
		return NULL;
	uintptr_t at = walk->stack[--walk->depth];
	while (is_node(at)) {
		const struct table_slot *node = slot_at(at);
		push(walk, node->child[1]);
		at = node->child[0];
	}
	return slot_at(at);
}
