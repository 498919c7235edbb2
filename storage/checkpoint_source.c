#include "storage/checkpoint_source.h"

#include "base/array.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "base/mutation.h"
#include "storage/batch.h"
#include "storage/keys.h"
#include "storage/store.h"
#include "storage/table.h"

#include <stdlib.h>

enum source_part { PART_CHANGES, PART_ANCHOR, PART_BASES, PART_DAMAGED, PART_END };

struct source {
	struct store_source source; /* first: what store_write knows */
	struct checkpoint_write *write;
	enum source_part part;
	enum source_part end;
	size_t position; /* of the part's next */

	/* A clear that is being listed. */
	struct store_cursor *cleared;
	size_t cleared_key_bytes; /* of the stream's physical keys */

	uint8_t key[KEY_LISTED_BYTES];
	uint8_t value[RECORD_ANCHOR_BYTES];
};
_Static_assert(RECORD_APPLIED_BYTES <= RECORD_ANCHOR_BYTES, "either fits");

int checkpoint_write_reserve(struct checkpoint_write *write, size_t count)
{
	return array_reserve(&write->bases, &write->base_capacity, count, sizeof(*write->bases));
}

void checkpoint_write_add(
    struct checkpoint_write *write, uint32_t shard, const struct log_base *base)
{
	ASSERT(write->base_count < write->base_capacity);
	ASSERT(shard < KEY_SHARDS_MAX);
	write->bases[write->base_count++] = (struct checkpoint_base){.shard = shard, .base = *base};
}

void checkpoint_write_done(struct checkpoint_write *write)
{
	mem_free(write->bases);
	mem_free(write->damaged);
	*write = (struct checkpoint_write){.table = NULL};
}

/* ---- Clears ---- */

static int damaged_add(struct checkpoint_write *write, uint32_t shard)
{
	/* Changes come in the order of shards. */
	if (write->damaged_count > 0 && write->damaged[write->damaged_count - 1] == shard)
		return 0;
	if (array_reserve(&write->damaged, &write->damaged_capacity, write->damaged_count + 1,
	        sizeof(*write->damaged)))
		return ERR_NOMEM;
	write->damaged[write->damaged_count++] = shard;
	return 0;
}

/* The end of the range of keys that begin with `key`, in `end`. Keys of shards never consist of
 * 0xff alone. */
static struct slice prefix_end(struct slice key, uint8_t *end)
{
	size_t bytes = key.bytes;
	memcpy(end, key.data, bytes);
	while (end[bytes - 1] == 0xff)
		bytes--;
	end[bytes - 1]++;
	return slice_of(end, bytes);
}

/* What cannot be listed cannot be deleted: the shard is reported as damaged, and the rest of the
 * generation goes on. Other errors give the whole write up. */
static int clear_failed(struct source *source, struct slice key, int error)
{
	store_cursor_close(source->cleared);
	source->cleared = NULL;
	if (error == ERR_CORRUPT || error == ERR_IO)
		return damaged_add(source->write, key_shard_get(key.data));
	return error;
}

static int clear_begin(struct source *source, struct slice key)
{
	uint8_t end[KEY_SHARD_BYTES + BATCH_KEY_BYTES_MAX];
	ASSERT(key.bytes > KEY_SHARD_BYTES && key.bytes <= sizeof(end));
	source->cleared_key_bytes = key.bytes + sizeof(uint64_t);
	int error = store_cursor_open(
	    source->write->store, NULL, key, prefix_end(key, end), &source->cleared);
	return error ? clear_failed(source, key, error) : 0;
}

/* 1: the next delete; 0: the clear has no more. */
static int clear_next(struct source *source, struct slice stream, struct store_change *ret_change)
{
	struct slice key;
	struct slice value;
	int error;
	while ((error = store_cursor_next(source->cleared, &key, &value)) == 0) {
		if (key.bytes != source->cleared_key_bytes)
			continue;
		*ret_change = (struct store_change){.key = key, .is_delete = true};
		return 1;
	}
	if (error != ERR_NOT_FOUND)
		return clear_failed(source, stream, error);
	store_cursor_close(source->cleared);
	source->cleared = NULL;
	return 0;
}

/* ---- The parts ---- */

/* Each gives 1 and a change, 0 where the part ends, or an error. */

static int next_change(struct source *source, struct store_change *ret_change)
{
	struct checkpoint_write *write = source->write;
	/* Breaks: applied indexes and data in one step. */
	if (MUTATION(checkpoint_applied_index_without_data))
		return 0;
	for (;;) {
		if (source->cleared) {
			ASSERT(source->position > 0);
			struct slice stream =
			    table_frozen_at(write->table, source->position - 1).key;
			int result = clear_next(source, stream, ret_change);
			if (result)
				return result;
		}
		if (source->position == table_frozen_count(write->table))
			return 0;
		struct table_change change = table_frozen_at(write->table, source->position++);
		if (change.kind != TABLE_CLEAR) {
			*ret_change = (struct store_change){.key = change.key,
			    .value = change.value,
			    .is_delete = change.kind == TABLE_DELETE};
			return 1;
		}
		int error = clear_begin(source, change.key);
		if (error)
			return error;
	}
}

static int next_anchor(struct source *source, struct store_change *ret_change)
{
	if (!source->write->with_anchor || source->position > 0)
		return 0;
	source->position++;
	key_own_put(source->key, KEY_KIND_ANCHOR);
	record_anchor_encode(&source->write->anchor, source->value);
	*ret_change = (struct store_change){.key = slice_of(source->key, KEY_OWN_BYTES),
	    .value = slice_of(source->value, RECORD_ANCHOR_BYTES)};
	return 1;
}

static int next_base(struct source *source, struct store_change *ret_change)
{
	const struct checkpoint_write *write = source->write;
	/* Breaks: data and applied indexes in one step. */
	if (source->position == write->base_count ||
	    MUTATION(checkpoint_data_without_applied_index))
		return 0;
	const struct checkpoint_base *base = &write->bases[source->position++];
	key_listed_put(source->key, KEY_KIND_APPLIED, base->shard);
	record_applied_encode(&base->base, source->value);
	*ret_change = (struct store_change){.key = slice_of(source->key, KEY_LISTED_BYTES),
	    .value = slice_of(source->value, RECORD_APPLIED_BYTES)};
	return 1;
}

static int next_damaged(struct source *source, struct store_change *ret_change)
{
	if (source->position == source->write->damaged_count)
		return 0;
	key_listed_put(source->key, KEY_KIND_DAMAGED, source->write->damaged[source->position++]);
	*ret_change = (struct store_change){.key = slice_of(source->key, KEY_LISTED_BYTES)};
	return 1;
}

static int next_of_part(struct source *source, struct store_change *ret_change)
{
	switch (source->part) {
	case PART_CHANGES:
		return next_change(source, ret_change);
	case PART_ANCHOR:
		return next_anchor(source, ret_change);
	case PART_BASES:
		return next_base(source, ret_change);
	case PART_DAMAGED:
		return next_damaged(source, ret_change);
	case PART_END:
		return 0;
	}
	UNREACHABLE();
}

static bool source_next(struct store_source *store_source, struct store_change *ret_change)
{
	struct source *source = (struct source *)(void *)store_source;
	while (source->part != source->end) {
		int result = next_of_part(source, ret_change);
		if (result > 0) {
			source->write->entries++;
			source->write->bytes += ret_change->key.bytes + ret_change->value.bytes;
			return true;
		}
		if (result < 0) {
			source->source.error = result;
			return false;
		}
		source->part++;
		source->position = 0;
	}
	return false;
}

static int compare_bases(const void *a, const void *b)
{
	const struct checkpoint_base *left = a;
	const struct checkpoint_base *right = b;
	return (left->shard > right->shard) - (left->shard < right->shard);
}

static int write_parts(struct checkpoint_write *write, enum source_part first, enum source_part end)
{
	struct source source = {
	    .source = {.next = source_next}, .write = write, .part = first, .end = end};
	int error = store_write(write->store, &source.source);
	store_cursor_close(source.cleared);
	return error;
}

void checkpoint_write_run(struct checkpoint_write *write)
{
	write->entries = 0;
	write->bytes = 0;
	write->damaged_count = 0;
	write->error = table_frozen_sort(write->table);
	if (write->error)
		return;
	if (write->base_count > 0)
		qsort(write->bases, write->base_count, sizeof(*write->bases), compare_bases);
	/* Breaks: the anchor in the same step as the data. */
	if (MUTATION(checkpoint_anchor_not_in_same_write)) {
		write->error = write_parts(write, PART_ANCHOR, PART_BASES);
		write->with_anchor = false;
	}
	if (!write->error)
		write->error = write_parts(write, PART_CHANGES, PART_END);
}
