/* The scratch memory of values while a run is left in the middle of C code: it is that run's, and
 * others get memory of their own. What was built so far stays where it is: only its owner changes,
 * so pointers into it hold. */
#include "base/assert.h"
#include "base/mem.h"
#include "scripting/value.h"
#include "scripting/value_inside.h"

#include <lua.h>

/* Name here, and in struct value_state. */
#define FIELDS(X)                                                                                  \
	X(text, text)                                                                              \
	X(bytes, bytes)                                                                            \
	X(document, document)                                                                      \
	X(packed, packed)                                                                          \
	X(keys, keys)                                                                              \
	X(key_count, key_count)                                                                    \
	X(key_capacity, key_capacity)                                                              \
	X(items, items)                                                                            \
	X(order, order)                                                                            \
	X(item_count, item_count)                                                                  \
	X(item_capacity, item_capacity)                                                            \
	X(nodes, lazy.nodes)                                                                       \
	X(offsets, lazy.offsets)                                                                   \
	X(node_count, lazy.node_count)                                                             \
	X(node_capacity, lazy.node_capacity)                                                       \
	X(offset_count, lazy.offset_count)                                                         \
	X(offset_capacity, lazy.offset_capacity)                                                   \
	X(depth, lazy.depth)

struct value_scratch {
	struct value_state *state; /* NULL: there are no values in this interpreter */
	struct buffer text, bytes, document, packed;
	struct value_key *keys;
	size_t key_count, key_capacity;
	struct pack_item *items;
	uint32_t *order;
	size_t item_count, item_capacity;
	struct lazy_node *nodes;
	uint32_t *offsets;
	size_t node_count, node_capacity, offset_count, offset_capacity;
	unsigned depth;
};

static void move_out(struct value_state *state, struct value_scratch *to)
{
#define X(name, field) to->name = state->field;
	FIELDS(X)
#undef X
}

static void move_in(struct value_state *state, const struct value_scratch *from)
{
#define X(name, field) state->field = from->name;
	FIELDS(X)
#undef X
}

static void clear(struct value_scratch *scratch)
{
	*scratch = (struct value_scratch){.state = scratch->state};
	buffer_init(&scratch->text, VALUE_SCRATCH_BYTES_MAX);
	buffer_init(&scratch->bytes, VALUE_SCRATCH_BYTES_MAX);
	buffer_init(&scratch->document, VALUE_SCRATCH_BYTES_MAX);
	buffer_init(&scratch->packed, VALUE_SCRATCH_BYTES_MAX);
}

static void free_fields(struct value_scratch *scratch)
{
	buffer_done(&scratch->text);
	buffer_done(&scratch->bytes);
	buffer_done(&scratch->document);
	buffer_done(&scratch->packed);
	mem_free(scratch->keys);
	mem_free(scratch->items);
	mem_free(scratch->order);
	mem_free(scratch->nodes);
	mem_free(scratch->offsets);
}

void value_scratch_open(struct value_state *state)
{
	struct value_scratch scratch = {0};
	clear(&scratch);
	move_in(state, &scratch);
}

void value_scratch_close(struct value_state *state)
{
	struct value_scratch scratch = {0};
	move_out(state, &scratch);
	free_fields(&scratch);
	value_scratch_open(state);
}

struct value_scratch *value_scratch_take(struct lua_State *lua)
{
	struct value_scratch *scratch = mem_zalloc(1, sizeof(*scratch));
	if (!scratch)
		return NULL;
	struct value_state *state = value_state_find(lua);
	if (!state)
		return scratch;
	move_out(state, scratch);
	scratch->state = state;
	state->scratches_taken++;
	value_scratch_open(state);
	return scratch;
}

void value_scratch_give(struct value_scratch *scratch)
{
	struct value_state *state = scratch->state;
	if (state) {
		value_scratch_close(state);
		move_in(state, scratch);
		ASSERT(state->scratches_taken > 0);
		state->scratches_taken--;
	}
	mem_free(scratch);
}

void value_scratch_free(struct value_scratch *scratch)
{
	if (!scratch)
		return;
	if (scratch->state) {
		ASSERT(scratch->state->scratches_taken > 0);
		scratch->state->scratches_taken--;
		free_fields(scratch);
	}
	mem_free(scratch);
}
