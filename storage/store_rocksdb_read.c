#include "storage/store_rocksdb.h"

#include <string.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "base/mem.h"

/* ---- Single keys ---- */

static int get(
    struct store *store, rocksdb_readoptions_t *options, struct slice key, struct buffer *value)
{
	ASSERT(key.bytes > 0);
	char *words = NULL;
	rocksdb_pinnableslice_t *found =
	    rocksdb_get_pinned(store->db, options, (const char *)key.data, key.bytes, &words);
	if (words != NULL) {
		int error = store_error_of(words);
		rocksdb_free(words);
		return error;
	}
	if (found == NULL)
		return ERR_NOT_FOUND;
	size_t bytes;
	const char *data = rocksdb_pinnableslice_value(found, &bytes);
	int error = bytes > 0 ? buffer_append(value, data, bytes) : 0;
	rocksdb_pinnableslice_destroy(found);
	return error;
}

int store_get(struct store *store, struct slice key, struct buffer *value)
{
	store_collect_garbage(store);
	return get(store, store->read_disk, key, value);
}

int store_get_cached(struct store *store, struct slice key, struct buffer *value)
{
	int error = get(store, store->read_memory, key, value);
	/* Damage cannot be met in memory, and words that we do not know are no reason to close a
	 * shard: the read from the disk will say what it is. */
	if (error == ERR_CORRUPT || error == ERR_IO)
		error = ERR_AGAIN;
	atomic_fetch_add_explicit(
	    error == ERR_AGAIN ? &store->misses : &store->hits, 1, memory_order_relaxed);
	return error;
}

uint64_t store_range_bytes(struct store *store, struct slice first, struct slice end)
{
	const char *start = (const char *)first.data;
	const char *limit = (const char *)end.data;
	uint64_t bytes = 0;
	char *words = NULL;
	rocksdb_approximate_sizes(
	    store->db, 1, &start, &first.bytes, &limit, &end.bytes, &bytes, &words);
	/* Damage is for who needs what stands there. */
	if (words != NULL)
		rocksdb_free(words);
	return bytes;
}

/* ---- Snapshots ---- */

int store_prepare_snapshot(struct store_snapshot **ret_snapshot)
{
	struct store_snapshot *snapshot = mem_zalloc(1, sizeof(*snapshot));
	if (snapshot == NULL)
		return ERR_NOMEM;
	*ret_snapshot = snapshot;
	return 0;
}

/* With the lock held. */
static void drop_user(struct store *store, struct store_snapshot *snapshot)
{
	ASSERT(snapshot->users > 0);
	if (--snapshot->users > 0)
		return;
	snapshot->next = store->garbage_snapshots;
	store->garbage_snapshots = snapshot;
}

void store_publish_snapshot(struct store *store, struct store_snapshot *snapshot)
{
	snapshot->handle = rocksdb_create_snapshot(store->db);
	ASSERT(snapshot->handle != NULL);
	snapshot->users = 1;
	pthread_mutex_lock(&store->lock);
	struct store_snapshot *before = store->newest;
	store->newest = snapshot;
	if (before != NULL)
		drop_user(store, before);
	pthread_mutex_unlock(&store->lock);
}

/* NULL: the newest. */
static struct store_snapshot *use(struct store *store, struct store_snapshot *snapshot)
{
	pthread_mutex_lock(&store->lock);
	if (snapshot == NULL)
		snapshot = store->newest;
	ASSERT(snapshot->users > 0);
	snapshot->users++;
	store->readers++;
	pthread_mutex_unlock(&store->lock);
	return snapshot;
}

int store_snapshot_take(struct store *store, struct store_snapshot **ret_snapshot)
{
	*ret_snapshot = use(store, NULL);
	return 0;
}

void store_snapshot_release(struct store *store, struct store_snapshot *snapshot)
{
	if (snapshot == NULL)
		return;
	pthread_mutex_lock(&store->lock);
	ASSERT(store->readers > 0);
	store->readers--;
	drop_user(store, snapshot);
	pthread_mutex_unlock(&store->lock);
}

/* ---- Cursors ---- */

rocksdb_readoptions_t *store_walk_options(void)
{
	rocksdb_readoptions_t *options = rocksdb_readoptions_create();
	rocksdb_readoptions_set_verify_checksums(options, 1);
	/* One walk over a large shard must not push out what single reads live on. */
	rocksdb_readoptions_set_fill_cache(options, 0);
	rocksdb_readoptions_set_ignore_range_deletions(options, 1);
	return options;
}

static void cursor_free(struct store_cursor *cursor)
{
	if (cursor->iterator != NULL)
		rocksdb_iter_destroy(cursor->iterator);
	rocksdb_readoptions_destroy(cursor->options);
	mem_free(cursor);
}

int store_cursor_open(struct store *store, struct store_snapshot *snapshot, struct slice first,
    struct slice end, struct store_cursor **ret_cursor)
{
	store_collect_garbage(store);
	struct store_cursor *cursor = mem_zalloc(1, sizeof(*cursor) + end.bytes);
	if (cursor == NULL)
		return ERR_NOMEM;
	cursor->store = store;
	cursor->snapshot = use(store, snapshot);
	cursor->options = store_walk_options();
	rocksdb_readoptions_set_snapshot(cursor->options, cursor->snapshot->handle);
	if (end.bytes > 0) {
		memcpy(cursor->end, end.data, end.bytes);
		rocksdb_readoptions_set_iterate_upper_bound(
		    cursor->options, cursor->end, end.bytes);
	}
	cursor->iterator = rocksdb_create_iterator(store->db, cursor->options);
	if (first.bytes > 0)
		rocksdb_iter_seek(cursor->iterator, (const char *)first.data, first.bytes);
	else
		rocksdb_iter_seek_to_first(cursor->iterator);
	*ret_cursor = cursor;
	return 0;
}

void store_cursor_close(struct store_cursor *cursor)
{
	if (cursor == NULL)
		return;
	struct store *store = cursor->store;
	pthread_mutex_lock(&store->lock);
	ASSERT(store->readers > 0);
	store->readers--;
	cursor->next = store->garbage_cursors;
	store->garbage_cursors = cursor;
	pthread_mutex_unlock(&store->lock);
}

int store_cursor_next(struct store_cursor *cursor, struct slice *ret_key, struct slice *ret_value)
{
	rocksdb_iterator_t *iterator = cursor->iterator;
	if (cursor->started && rocksdb_iter_valid(iterator))
		rocksdb_iter_next(iterator);
	cursor->started = true;
	if (!rocksdb_iter_valid(iterator)) {
		/* At the end and at damage alike it is no longer valid: only this tells them
		 * apart. */
		char *words = NULL;
		rocksdb_iter_get_error(iterator, &words);
		if (words == NULL)
			return ERR_NOT_FOUND;
		int error = store_error_of(words);
		rocksdb_free(words);
		return error;
	}
	size_t bytes;
	const char *key = rocksdb_iter_key(iterator, &bytes);
	*ret_key = slice_of(key, bytes);
	const char *value = rocksdb_iter_value(iterator, &bytes);
	*ret_value = slice_of(value, bytes);
	return 0;
}

void store_collect_garbage(struct store *store)
{
	pthread_mutex_lock(&store->lock);
	struct store_cursor *cursors = store->garbage_cursors;
	store->garbage_cursors = NULL;
	for (struct store_cursor *cursor = cursors; cursor != NULL; cursor = cursor->next)
		drop_user(store, cursor->snapshot);
	struct store_snapshot *snapshots = store->garbage_snapshots;
	store->garbage_snapshots = NULL;
	pthread_mutex_unlock(&store->lock);

	/* The iterators first: they read at the snapshots. */
	while (cursors != NULL) {
		struct store_cursor *cursor = cursors;
		cursors = cursor->next;
		cursor_free(cursor);
	}
	while (snapshots != NULL) {
		struct store_snapshot *snapshot = snapshots;
		snapshots = snapshot->next;
		rocksdb_release_snapshot(store->db, snapshot->handle);
		mem_free(snapshot);
	}
}
