#include "storage/cursor.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "storage/engine_parts.h"

#include <string.h>

/* Filled and emptied on the core's thread; in between cursor_next alone uses it, on one thread. */
struct cursor {
	struct engine *engine;
	uint32_t shard;
	uint64_t since; /* the state that it shows */
	uint64_t index;
	int error; /* what cursor_next met; kept */

	struct table_snapshot *changes;
	size_t position;
	struct slice cleared; /* the stream last cleared; empty: none */

	struct store_snapshot *snapshot;
	struct store_cursor *stored;
	bool stored_ended;
	bool has_stored; /* the pair below is the store's next */
	struct slice stored_key, stored_value;

	size_t first_bytes; /* bounds, with the shard */
	size_t end_bytes;
	uint8_t first[KEY_SHARD_BYTES + BATCH_KEY_BYTES_MAX];
	uint8_t end[KEY_SHARD_BYTES + BATCH_KEY_BYTES_MAX];
};

static void set_bounds(struct cursor *cursor, struct slice first, struct slice end)
{
	cursor->first_bytes = engine_full_key(cursor->first, cursor->shard, first).bytes;
	/* The shard's end is the next one's begin; keys of the store itself come behind all. */
	uint32_t end_shard = end.bytes > 0 ? cursor->shard : cursor->shard + 1;
	cursor->end_bytes = engine_full_key(cursor->end, end_shard, end).bytes;
}

int cursor_open(struct engine *engine, uint32_t shard, struct slice first, struct slice end,
    struct cursor **ret_cursor)
{
	ASSERT(shard < KEY_SHARDS_MAX);
	if (engine_shard_closed(engine, shard))
		return ERR_DATA_LOSS;
	const struct engine_shard *known = engine_shard_need(engine, shard, NULL);
	if (!known)
		return ERR_NOMEM;
	if (known->fenced)
		return ERR_AGAIN;
	struct cursor *cursor = mem_zalloc(1, sizeof(*cursor));
	if (!cursor)
		return ERR_NOMEM;
	cursor->engine = engine;
	cursor->shard = shard;
	cursor->since = known->since;
	cursor->index = engine_applied(engine, shard).index;
	set_bounds(cursor, first, end);
	int error = table_snapshot_take(
	    engine->table, shard, first, end, CURSOR_BYTES_MAX, &cursor->changes);
	if (!error)
		error = store_snapshot_take(engine->store, &cursor->snapshot);
	if (error) {
		table_snapshot_free(cursor->changes);
		mem_free(cursor);
		return error;
	}
	engine->cursors++;
	*ret_cursor = cursor;
	return 0;
}

void cursor_close(struct cursor *cursor)
{
	if (!cursor)
		return;
	struct engine *engine = cursor->engine;
	ASSERT(engine->cursors > 0);
	engine->cursors--;
	const struct engine_shard *known = engine_shard_find(engine, cursor->shard);
	bool is_current = known && known->since == cursor->since;
	if (is_current && (cursor->error == ERR_CORRUPT || cursor->error == ERR_IO))
		engine_shard_close(engine, cursor->shard, "range unreadable", cursor->error);
	store_cursor_close(cursor->stored);
	store_snapshot_release(engine->store, cursor->snapshot);
	table_snapshot_free(cursor->changes);
	mem_free(cursor);
}

uint64_t cursor_index(const struct cursor *cursor)
{
	return cursor->index;
}

/* Makes the store's next pair known. */
static int stored_need(struct cursor *cursor)
{
	if (cursor->has_stored || cursor->stored_ended)
		return 0;
	int error = 0;
	if (!cursor->stored)
		error = store_cursor_open(cursor->engine->store, cursor->snapshot,
		    slice_of(cursor->first, cursor->first_bytes),
		    slice_of(cursor->end, cursor->end_bytes), &cursor->stored);
	if (!error)
		error =
		    store_cursor_next(cursor->stored, &cursor->stored_key, &cursor->stored_value);
	cursor->has_stored = !error;
	cursor->stored_ended = error == ERR_NOT_FOUND;
	return cursor->stored_ended ? 0 : error;
}

/* A clear stands before everything of its stream, in both orders, and hides what the store has. */
static bool stored_is_cleared(const struct cursor *cursor)
{
	struct slice cleared = cursor->cleared;
	return cleared.bytes > 0 && cursor->stored_key.bytes == cleared.bytes + sizeof(uint64_t) &&
	       memcmp(cursor->stored_key.data, cleared.data, cleared.bytes) == 0;
}

/* One step of the merge: 1 with a pair, 0 without one, an error. */
static int step(struct cursor *cursor, struct slice *ret_key, struct slice *ret_value)
{
	int error = stored_need(cursor);
	if (error)
		return error;
	bool has_change = cursor->position < table_snapshot_count(cursor->changes);
	if (!has_change && !cursor->has_stored)
		return ERR_NOT_FOUND;
	struct table_change change = {.kind = TABLE_DELETE};
	int order = 1;
	if (has_change) {
		change = table_snapshot_at(cursor->changes, cursor->position);
		order = cursor->has_stored ? slice_compare(change.key, cursor->stored_key) : -1;
	}
	if (order > 0) {
		cursor->has_stored = false;
		if (stored_is_cleared(cursor))
			return 0;
		*ret_key = cursor->stored_key;
		*ret_value = cursor->stored_value;
		return 1;
	}
	cursor->position++;
	if (order == 0)
		cursor->has_stored = false;
	if (change.kind == TABLE_CLEAR)
		cursor->cleared = change.key;
	*ret_key = change.key;
	*ret_value = change.value;
	return change.kind == TABLE_PUT;
}

int cursor_next(struct cursor *cursor, struct slice *ret_key, struct slice *ret_value)
{
	ASSERT(!cursor->error);
	struct slice key = slice_of(NULL, 0);
	struct slice value = slice_of(NULL, 0);
	int result;
	while ((result = step(cursor, &key, &value)) == 0) {
	}
	if (result < 0) {
		cursor->error = result;
		return result;
	}
	ASSERT(key.bytes > KEY_SHARD_BYTES);
	*ret_key = slice_of(key.data + KEY_SHARD_BYTES, key.bytes - KEY_SHARD_BYTES);
	*ret_value = value;
	return 0;
}
