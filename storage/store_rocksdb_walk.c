/* A walk over all keys that goes on behind damage, and loses no more than what it spans.
 *
 * A damaged block ends an iterator, and nothing says which key the next block begins with. But the
 * tables' indexes know, and RocksDB tells the size of a range of keys from them alone: it is 0
 * exactly while both ends stand in the same block of every table. So the end of a block is found
 * byte by byte, asking for sizes, and the walk looks again behind it; where that is damaged too,
 * behind the next one.
 *
 * A table whose index cannot be read has no size. Its last key is known from the MANIFEST, and so
 * the last keys of all tables are places to look behind, too.
 *
 * What the other tables have between both ends of a damaged block is lost with it: the block may
 * have held its newer value, or its deletion.
 */
#include "storage/store_rocksdb.h"

#include <string.h>

#include "base/array.h"
#include "base/assert.h"
#include "base/buffer.h"
#include "base/mem.h"
#include "storage/batch.h"
#include "storage/keys.h"

enum {
	/* A key of the store: of a shard, and where it is a piece of a stream, with its number. */
	KEY_BYTES_MAX = KEY_SHARD_BYTES + BATCH_KEY_BYTES_MAX + (int)sizeof(uint64_t),
	REMEMBERED_BYTES_MAX = 1 << 20,
};

struct walk {
	struct store *store;
	const struct store_walk *visit;
	rocksdb_iterator_t *iterator;
	const rocksdb_livefiles_t *files; /* once there was damage */
	struct buffer last;               /* the last key that was read; empty: none was */
	struct buffer position;           /* where to look next; empty: at the beginning */
	bool in_damage;                   /* `last` is what stands before a damaged stretch */
};

/* ---- Behind damage ---- */

/* Whether both keys stand in the same block of every table. */
static int same_blocks(const struct walk *walk, struct slice from, struct slice to, bool *ret_same)
{
	/* RocksDB wants them in this order. */
	if (slice_compare(to, from) <= 0) {
		*ret_same = true;
		return 0;
	}
	const char *start = (const char *)from.data;
	const char *limit = (const char *)to.data;
	uint64_t bytes = 0;
	char *words = NULL;
	rocksdb_approximate_sizes(
	    walk->store->db, 1, &start, &from.bytes, &limit, &to.bytes, &bytes, &words);
	if (words != NULL) {
		int error = store_error_of(words);
		rocksdb_free(words);
		return error;
	}
	*ret_same = bytes == 0;
	return 0;
}

/* Adds to `key` the largest byte with which it still stands in the same blocks as `from`. False:
 * with none. */
static int add_byte(
    const struct walk *walk, struct slice from, uint8_t *key, size_t bytes, bool *ret_added)
{
	int low = -1;
	int high = UINT8_MAX + 1;
	while (high - low > 1) {
		int middle = low + (high - low) / 2;
		bool same = false;
		key[bytes] = (uint8_t)middle;
		int error = same_blocks(walk, from, slice_of(key, bytes + 1), &same);
		if (error < 0)
			return error;
		if (same)
			low = middle;
		else
			high = middle;
	}
	*ret_added = low >= 0;
	key[bytes] = low >= 0 ? (uint8_t)low : 0;
	return 0;
}

/* The first key behind `from` that stands in another block of some table. ERR_NOT_FOUND: none. */
static int find_block_end(
    const struct walk *walk, struct slice from, uint8_t *key, size_t *ret_bytes)
{
	for (size_t bytes = 0; bytes <= KEY_BYTES_MAX; bytes++) {
		bool added = false;
		int error = add_byte(walk, from, key, bytes, &added);
		if (error < 0)
			return error;
		if (!added) {
			/* `key` was the last one of the block, and this is the next there is. */
			*ret_bytes = bytes + 1;
			return 0;
		}
	}
	return ERR_NOT_FOUND;
}

/* The smallest last key of a table that is not before `from`. */
static bool find_table_end(const struct walk *walk, struct slice from, struct slice *ret_last)
{
	bool found = false;
	int count = rocksdb_livefiles_count(walk->files);
	for (int i = 0; i < count; i++) {
		size_t bytes;
		const char *data = rocksdb_livefiles_largestkey(walk->files, i, &bytes);
		struct slice last = slice_of(data, bytes);
		if (slice_compare(last, from) < 0)
			continue;
		if (!found || slice_compare(last, *ret_last) < 0)
			*ret_last = last;
		found = true;
	}
	return found;
}

static int set(struct buffer *buffer, struct slice key)
{
	buffer_clear(buffer);
	return buffer_append_slice(buffer, key);
}

/* Sets `position` to the next place behind `from` at which a block may begin that can be read.
 * ERR_NOT_FOUND: there is none. */
static int move_behind(struct walk *walk, struct slice from)
{
	uint8_t key[KEY_BYTES_MAX + 1];
	size_t bytes = 0;
	struct slice last;
	if (walk->files == NULL)
		walk->files = rocksdb_livefiles(walk->store->db);
	int error = find_block_end(walk, from, key, &bytes);
	if (error < 0 && error != ERR_NOT_FOUND)
		return error;
	if (find_table_end(walk, from, &last) &&
	    (error == ERR_NOT_FOUND || slice_compare(last, slice_of(key, bytes)) < 0)) {
		/* The next key that there can be has a zero behind it. */
		error = set(&walk->position, last);
		return error < 0 ? error : buffer_append_u8(&walk->position, 0);
	}
	if (error < 0)
		return error;
	ASSERT(slice_compare(slice_of(key, bytes), from) > 0);
	return set(&walk->position, slice_of(key, bytes));
}

/* ---- Walking ---- */

static int end_of_damage(struct walk *walk, struct slice before)
{
	walk->in_damage = false;
	return walk->visit->lost == NULL
	           ? 0
	           : walk->visit->lost(walk->visit->arg, buffer_view(&walk->last), before);
}

/* What can be read from `position` on. */
static int read_on(struct walk *walk, bool *ret_any)
{
	rocksdb_iterator_t *iterator = walk->iterator;
	struct slice position = buffer_view(&walk->position);
	int error = 0;
	if (position.bytes > 0)
		rocksdb_iter_seek(iterator, (const char *)position.data, position.bytes);
	else
		rocksdb_iter_seek_to_first(iterator);
	for (; error == 0 && rocksdb_iter_valid(iterator); rocksdb_iter_next(iterator)) {
		size_t bytes;
		const char *data = rocksdb_iter_key(iterator, &bytes);
		struct slice key = slice_of(data, bytes);
		if (walk->in_damage)
			error = end_of_damage(walk, key);
		if (error == 0 && walk->visit->key != NULL)
			error = walk->visit->key(walk->visit->arg, key);
		if (error == 0)
			error = set(&walk->last, key);
		*ret_any = true;
	}
	return error;
}

/* Tells what stopped the iterator. 1: damage; 0: nothing, it is at its end. */
static int look_at_end(struct walk *walk)
{
	char *words = NULL;
	rocksdb_iter_get_error(walk->iterator, &words);
	if (words == NULL)
		return 0;
	int error = store_error_of(words);
	if (error == ERR_CORRUPT || error == ERR_IO) {
		walk->in_damage = true;
		error = walk->visit->bad(walk->visit->arg, words);
	}
	rocksdb_free(words);
	return error < 0 ? error : 1;
}

static bool is_behind_all(const struct walk *walk)
{
	const struct store_range *within = walk->visit->within;
	return within != NULL && slice_compare(buffer_view(&walk->position), within->end) >= 0;
}

static int walk_all(struct walk *walk)
{
	for (;;) {
		bool any = false;
		int error = read_on(walk, &any);
		if (error < 0)
			return error;
		int damaged = look_at_end(walk);
		if (damaged < 0)
			return damaged;
		error = ERR_NOT_FOUND;
		if (damaged > 0)
			error = move_behind(walk, buffer_view(any ? &walk->last : &walk->position));
		if (error == 0 && is_behind_all(walk))
			error = ERR_NOT_FOUND;
		if (error == ERR_NOT_FOUND)
			return walk->in_damage ? end_of_damage(walk, slice_of(NULL, 0)) : 0;
		if (error < 0)
			return error;
	}
}

int store_walk(struct store *store, const struct store_walk *visit)
{
	ASSERT(visit->bad != NULL);
	const struct store_range *within = visit->within;
	rocksdb_readoptions_t *options = store_walk_options();
	if (within != NULL)
		rocksdb_readoptions_set_iterate_upper_bound(
		    options, (const char *)within->end.data, within->end.bytes);
	struct walk walk = {.store = store,
	    .visit = visit,
	    .iterator = rocksdb_create_iterator(store->db, options)};
	buffer_init(&walk.last, REMEMBERED_BYTES_MAX);
	buffer_init(&walk.position, REMEMBERED_BYTES_MAX);
	int error = within != NULL ? set(&walk.position, within->first) : 0;
	if (error == 0)
		error = walk_all(&walk);
	buffer_done(&walk.position);
	buffer_done(&walk.last);
	if (walk.files != NULL)
		rocksdb_livefiles_destroy(walk.files);
	rocksdb_iter_destroy(walk.iterator);
	rocksdb_readoptions_destroy(options);
	return error;
}

/* ---- What it could not read ---- */

static void copy_key(uint8_t *to, struct slice key)
{
	if (key.bytes > 0)
		memcpy(to, key.data, key.bytes);
}

int store_gaps_add(struct store_gaps *gaps, struct slice after, struct slice before)
{
	if (array_reserve(&gaps->at, &gaps->capacity, gaps->count + 1, sizeof(*gaps->at)))
		return ERR_NOMEM;
	struct store_gap gap = {.after_bytes = after.bytes, .before_bytes = before.bytes};
	gap.keys = mem_alloc(after.bytes + 1 + before.bytes);
	if (gap.keys == NULL)
		return ERR_NOMEM;
	copy_key(gap.keys, after);
	gap.keys[after.bytes] = 0;
	copy_key(gap.keys + after.bytes + 1, before);
	gaps->at[gaps->count++] = gap;
	return 0;
}

void store_gaps_done(struct store_gaps *gaps)
{
	for (size_t i = 0; i < gaps->count; i++)
		mem_free(gaps->at[i].keys);
	mem_free(gaps->at);
}
