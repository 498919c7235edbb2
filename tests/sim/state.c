#include "tests/sim/state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "tests/sim/verdict.h"

enum { SEQUENCE_BYTES = 8 };

static const char ORACLE[] = "state";

void state_init(struct state *state, const struct content *content)
{
	memset(state, 0, sizeof(*state));
	state->content = content;
}

void state_done(struct state *state)
{
	for (unsigned target = 0; target < CONTENT_TARGETS; target++)
		free(state->history[target].changes);
	memset(state, 0, sizeof(*state));
}

static void history_add(struct state_history *history, const struct state_change *change)
{
	if (history->count == history->capacity) {
		history->capacity = history->capacity == 0 ? 64 : history->capacity * 2;
		history->changes =
		    realloc(history->changes, history->capacity * sizeof(*history->changes));
		ASSERT(history->changes != NULL);
	}
	ASSERT(history->count == 0 || history->changes[history->count - 1].index <= change->index);
	history->changes[history->count++] = *change;
}

void state_apply(struct state *state, const struct content_entry *entry)
{
	struct content_op ops[CONTENT_OPS_MAX];
	unsigned count = content_ops(state->content, entry, ops);
	for (unsigned i = 0; i < count; i++) {
		struct state_change change = {.index = entry->index, .op = ops[i]};
		history_add(&state->history[ops[i].target], &change);
	}
}

/* How many changes were made by entries up to `index`. */
static size_t count_at(const struct state_history *history, uint64_t index)
{
	size_t low = 0;
	size_t high = history->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (history->changes[middle].index <= index)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void state_cut(struct state *state, uint64_t index)
{
	for (unsigned target = 0; target < CONTENT_TARGETS; target++)
		state->history[target].count = count_at(&state->history[target], index);
}

/* ---- One cell ---- */

/* NULL: absent. */
static const struct state_change *cell_at(const struct state *state, unsigned cell, uint64_t index)
{
	const struct state_history *history = &state->history[cell];
	size_t count = count_at(history, index);
	if (count == 0 || history->changes[count - 1].op.kind == BATCH_DELETE)
		return NULL;
	return &history->changes[count - 1];
}

/* Whose value it is, if it is one of this cell's: a stale answer is told from a wrong one. */
static const struct state_change *cell_find_value(
    const struct state *state, unsigned cell, struct slice value)
{
	const struct state_history *history = &state->history[cell];
	for (size_t i = history->count; i > 0; i--) {
		const struct state_change *change = &history->changes[i - 1];
		if (change->op.kind == BATCH_PUT &&
		    content_value_is(state->content, &change->op, value))
			return change;
	}
	return NULL;
}

void state_expect_cell(const struct state *state, unsigned cell, uint64_t index,
    const struct slice *value, const char *how, uint32_t shard)
{
	ASSERT(!content_is_stream(cell));
	const struct state_change *change = cell_at(state, cell, index);
	if (change == NULL && value == NULL)
		return;
	EXPECT(change != NULL, ORACLE,
	    "%s: shard %" PRIu32 ", cell %u at index %" PRIu64 ": a value of %zu bytes where there "
	    "is none",
	    how, shard, cell, index, value->bytes);
	EXPECT(value != NULL, ORACLE,
	    "%s: shard %" PRIu32 ", cell %u at index %" PRIu64 ": absent, but entry %" PRIu64
	    " put it",
	    how, shard, cell, index, change->index);
	if (content_value_is(state->content, &change->op, *value))
		return;
	const struct state_change *other = cell_find_value(state, cell, *value);
	EXPECT(other == NULL, ORACLE,
	    "%s: shard %" PRIu32 ", cell %u at index %" PRIu64 ": the value of entry %" PRIu64
	    ", but entry %" PRIu64 " replaced it",
	    how, shard, cell, index, other->index, change->index);
	verdict_fail(ORACLE,
	    "%s: shard %" PRIu32 ", cell %u at index %" PRIu64 ": %zu bytes that nobody put; entry "
	    "%" PRIu64 " put %" PRIu32,
	    how, shard, cell, index, value->bytes, change->index, change->op.value_bytes);
}

/* ---- Walks ---- */

void state_walk_begin(struct state_walk *walk, const struct state *state, uint32_t shard,
    uint64_t index, unsigned first, unsigned end, const char *how)
{
	ASSERT(first <= end && end <= CONTENT_TARGETS);
	*walk = (struct state_walk){.state = state,
	    .how = how,
	    .shard = shard,
	    .index = index,
	    .position = first,
	    .end = end};
}

/* The first change of the stream that is not cleared yet. */
static size_t stream_begin(const struct state_history *history, size_t count)
{
	size_t first = count;
	while (first > 0 && history->changes[first - 1].op.kind == BATCH_APPEND)
		first--;
	return first;
}

/* Moves to the next target that holds something; false at the end. */
static bool walk_find(struct state_walk *walk)
{
	const struct state *state = walk->state;
	for (; walk->position < walk->end; walk->position++) {
		unsigned target = state->content->order[walk->position];
		if (!content_is_stream(target)) {
			if (cell_at(state, target, walk->index) != NULL)
				return true;
			continue;
		}
		const struct state_history *history = &state->history[target];
		size_t count = count_at(history, walk->index);
		if (!walk->in_stream) {
			walk->next_change = stream_begin(history, count);
			walk->in_stream = true;
		}
		if (walk->next_change < count)
			return true;
		walk->in_stream = false;
	}
	return false;
}

static void walk_cell(struct state_walk *walk, unsigned cell, struct slice key, struct slice value)
{
	EXPECT(slice_equal(key, walk->state->content->keys[cell]), ORACLE,
	    "%s: shard %" PRIu32 " at index %" PRIu64 ": pair %" PRIu64
	    " has not the key of cell %u, which comes next",
	    walk->how, walk->shard, walk->index, walk->pairs, cell);
	state_expect_cell(walk->state, cell, walk->index, &value, walk->how, walk->shard);
	walk->position++;
}

/* One physical key holds one or more whole appends, and is named by the first. */
static void walk_stream(
    struct state_walk *walk, unsigned target, struct slice key, struct slice value)
{
	const struct state *state = walk->state;
	const struct state_history *history = &state->history[target];
	struct slice name = state->content->keys[target];
	size_t count = count_at(history, walk->index);
	unsigned stream = target - CONTENT_CELLS;
	bool is_named = key.bytes == name.bytes + SEQUENCE_BYTES &&
	                slice_equal(slice_of(key.data, name.bytes), name);
	EXPECT(is_named, ORACLE,
	    "%s: shard %" PRIu32 " at index %" PRIu64 ": pair %" PRIu64
	    " is not of stream %u, which comes next",
	    walk->how, walk->shard, walk->index, walk->pairs, stream);
	uint64_t sequence = load_u64be(key.data + name.bytes);
	EXPECT(sequence == history->changes[walk->next_change].op.sequence, ORACLE,
	    "%s: shard %" PRIu32 ", stream %u at index %" PRIu64 ": a key of sequence %" PRIu64
	    " where %" PRIu64 " comes next",
	    walk->how, walk->shard, stream, walk->index, sequence,
	    history->changes[walk->next_change].op.sequence);
	size_t offset = 0;
	while (offset < value.bytes) {
		EXPECT(walk->next_change < count, ORACLE,
		    "%s: shard %" PRIu32 ", stream %u at index %" PRIu64 ": %zu bytes too many",
		    walk->how, walk->shard, stream, walk->index, value.bytes - offset);
		const struct state_change *change = &history->changes[walk->next_change];
		size_t bytes = change->op.value_bytes;
		bool is_right =
		    value.bytes - offset >= bytes && content_value_is(state->content, &change->op,
		                                         slice_of(value.data + offset, bytes));
		EXPECT(is_right, ORACLE,
		    "%s: shard %" PRIu32 ", stream %u at index %" PRIu64 ": not what entry %" PRIu64
		    " appended",
		    walk->how, walk->shard, stream, walk->index, change->index);
		offset += bytes;
		walk->next_change++;
	}
	EXPECT(offset > 0, ORACLE, "%s: shard %" PRIu32 ", stream %u: an empty key", walk->how,
	    walk->shard, stream);
}

void state_walk_pair(struct state_walk *walk, struct slice key, struct slice value)
{
	EXPECT(walk_find(walk), ORACLE,
	    "%s: shard %" PRIu32 " at index %" PRIu64 ": pair %" PRIu64
	    " (key of %zu bytes, first 0x%02x) behind the last one",
	    walk->how, walk->shard, walk->index, walk->pairs, key.bytes,
	    key.bytes > 0 ? key.data[0] : 0);
	unsigned target = walk->state->content->order[walk->position];
	if (content_is_stream(target))
		walk_stream(walk, target, key, value);
	else
		walk_cell(walk, target, key, value);
	walk->pairs++;
}

void state_walk_end(struct state_walk *walk)
{
	if (!walk_find(walk))
		return;
	unsigned target = walk->state->content->order[walk->position];
	verdict_fail(ORACLE,
	    "%s: shard %" PRIu32 " at index %" PRIu64 ": ended after %" PRIu64
	    " pairs, before %s %u",
	    walk->how, walk->shard, walk->index, walk->pairs,
	    content_is_stream(target) ? "stream" : "cell",
	    content_is_stream(target) ? target - CONTENT_CELLS : target);
}
