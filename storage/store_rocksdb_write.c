/* The one write path, and failures in the background.
 *
 * Ingested files were measured against a batch in key order with a waited flush
 * (tests/bench/store_bench, states of 160 bytes, two cores): 0.6 us a key on the caller against
 * 1.2 to 1.5 for 100,000 keys, the same for 10,000; below 1,000 keys, where only the syncs
 * count, 1.2 ms against 1.0 (two more syncs). A checkpoint of few keys happens when a store is
 * idle, so that is no reason for a second way, and a batch has a fault of its own: when its
 * flush fails for lack of space, readers see changes that are not durable, and they cannot be
 * taken back.
 */
#include "storage/store_rocksdb.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "base/io/fs.h"
#include "base/log_line.h"
#include "base/mem.h"

enum {
	NAME_BYTES = 32,
	KEPT_BYTES_MAX = 64 << 10,
};

/* Where the changes of one write are cut into files: tables as large as compactions make them, so
 * that a later one need not split what it moves. */
static const uint64_t INGEST_FILE_BYTES = 64 << 20;
/* The size, after compression, is asked for after so many bytes. */
static const uint64_t SIZE_CHECK_BYTES = 1 << 20;

/* The files of one write. */
struct ingest {
	struct store *store;
	rocksdb_sstfilewriter_t *writer; /* of the last one, until it is finished */
	char **paths;                    /* for RocksDB */
	char (*names)[NAME_BYTES];
	size_t count;
	size_t capacity;
	uint64_t bytes;     /* the size of the finished files */
	uint64_t unchecked; /* bytes of changes since the size was asked for */
	/* One of the changes, for write_overlap: its key, then its value. */
	struct buffer kept;
	size_t kept_key_bytes; /* 0: there is none */
	bool kept_is_delete;
};

/* ---- Files ---- */

/* RocksDB's words about writing a file of ours, which nobody knows yet. */
static int file_error(char *words)
{
	int error = store_error_of(words);
	ASSERT_MSG(error != ERR_FORMAT, "%s", words);
	if (error != ERR_NO_SPACE)
		PANIC("cannot write a checkpoint: %s", words);
	rocksdb_free(words);
	return error;
}

static int ingest_grow(struct ingest *ingest)
{
	if (ingest->count < ingest->capacity)
		return 0;
	size_t capacity = ingest->capacity == 0 ? 8 : ingest->capacity * 2;
	char **paths = mem_realloc(ingest->paths, capacity * sizeof(*paths));
	if (paths == NULL)
		return ERR_NOMEM;
	ingest->paths = paths;
	char(*names)[NAME_BYTES] = mem_realloc(ingest->names, capacity * sizeof(*names));
	if (names == NULL)
		return ERR_NOMEM;
	ingest->names = names;
	ingest->capacity = capacity;
	return 0;
}

static int begin_file(struct ingest *ingest)
{
	struct store *store = ingest->store;
	int error = ingest_grow(ingest);
	if (error < 0)
		return error;
	char *name = ingest->names[ingest->count];
	snprintf(name, NAME_BYTES, "%012llu.sst", (unsigned long long)++store->ingest_files);
	size_t bytes = strlen(store->path) + sizeof("/ingest/") + NAME_BYTES;
	char *path = mem_alloc(bytes);
	if (path == NULL)
		return ERR_NOMEM;
	snprintf(path, bytes, "%s/ingest/%s", store->path, name);
	ingest->paths[ingest->count++] = path;

	ingest->writer = rocksdb_sstfilewriter_create(store->environment, store->ingest_options);
	char *words = NULL;
	rocksdb_sstfilewriter_open(ingest->writer, path, &words);
	return words != NULL ? file_error(words) : 0;
}

/* RocksDB syncs the file in it. */
static int finish_file(struct ingest *ingest)
{
	char *words = NULL;
	uint64_t bytes = 0;
	rocksdb_sstfilewriter_finish(ingest->writer, &words);
	if (words != NULL)
		return file_error(words);
	rocksdb_sstfilewriter_file_size(ingest->writer, &bytes);
	rocksdb_sstfilewriter_destroy(ingest->writer);
	ingest->writer = NULL;
	ingest->bytes += bytes;
	return 0;
}

static int add_change(struct ingest *ingest, const struct store_change *change)
{
	ASSERT(change->key.bytes > 0);
	char *words = NULL;
	const char *key = (const char *)change->key.data;
	if (change->is_delete)
		rocksdb_sstfilewriter_delete(ingest->writer, key, change->key.bytes, &words);
	else
		rocksdb_sstfilewriter_put(ingest->writer, key, change->key.bytes,
		    (const char *)change->value.data, change->value.bytes, &words);
	if (words != NULL)
		return file_error(words);
	ingest->unchecked += change->key.bytes + change->value.bytes;
	if (ingest->unchecked < SIZE_CHECK_BYTES)
		return 0;
	ingest->unchecked = 0;
	uint64_t bytes = 0;
	rocksdb_sstfilewriter_file_size(ingest->writer, &bytes);
	return bytes >= INGEST_FILE_BYTES ? finish_file(ingest) : 0;
}

/* No large one, so that a write needs little more memory for it; without one there is no second
 * try. */
static int keep_one(struct ingest *ingest, const struct store_change *change)
{
	size_t value_bytes = change->is_delete ? 0 : change->value.bytes;
	if (ingest->kept_key_bytes > 0 || change->key.bytes + value_bytes > KEPT_BYTES_MAX)
		return 0;
	int error = buffer_append_slice(&ingest->kept, change->key);
	if (error == 0 && value_bytes > 0)
		error = buffer_append_slice(&ingest->kept, change->value);
	if (error < 0)
		return error;
	ingest->kept_key_bytes = change->key.bytes;
	ingest->kept_is_delete = change->is_delete;
	return 0;
}

/* A file that says once more what another one says of a key. RocksDB looks into the tables of the
 * database where each file belongs, and what it cannot read there makes it refuse them all. Files
 * that overlap each other it puts on top of everything, and looks nowhere. */
static int write_overlap(struct ingest *ingest)
{
	struct slice kept = buffer_view(&ingest->kept);
	size_t key_bytes = ingest->kept_key_bytes;
	struct store_change change = {.key = slice_of(kept.data, key_bytes),
	    .value = slice_of(kept.data + key_bytes, kept.bytes - key_bytes),
	    .is_delete = ingest->kept_is_delete};
	int error = begin_file(ingest);
	if (error == 0)
		error = add_change(ingest, &change);
	ASSERT(error < 0 || ingest->writer != NULL);
	return error < 0 ? error : finish_file(ingest);
}

static int write_files(struct ingest *ingest, struct store_source *source)
{
	struct store_change change;
	int error = 0;
	while (error == 0 && source->next(source, &change)) {
		error = keep_one(ingest, &change);
		if (error == 0 && ingest->writer == NULL)
			error = begin_file(ingest);
		if (error == 0)
			error = add_change(ingest, &change);
	}
	if (error == 0)
		error = source->error;
	if (error == 0 && ingest->writer != NULL)
		error = finish_file(ingest);
	return error;
}

/* Of a failed write all of them are still there, otherwise none; both is no matter to anybody
 * but the disk, and the next opening removes what this could not. */
static void ingest_done(struct ingest *ingest, bool failed)
{
	if (ingest->writer != NULL)
		rocksdb_sstfilewriter_destroy(ingest->writer);
	for (size_t i = 0; i < ingest->count; i++) {
		char path[FS_PATH_BYTES_MAX + 1];
		int bytes = snprintf(
		    path, sizeof(path), "%s/%s", ingest->store->ingest_dir, ingest->names[i]);
		ASSERT(bytes > 0 && (size_t)bytes < sizeof(path));
		if (failed) {
			int ignored = fs_unlink(ingest->store->fs, path);
			(void)ignored;
		}
		mem_free(ingest->paths[i]);
	}
	mem_free(ingest->paths);
	mem_free(ingest->names);
	buffer_done(&ingest->kept);
}

/* ---- Background failures ---- */

/* RocksDB counts the failures of its background work and has no call that says what they were.
 * But a database that one of them stopped answers every write with it, an empty one as well.
 * NULL: it goes on. To be freed with rocksdb_free. */
static char *stopped_by(struct store *store)
{
	char *words = NULL;
	rocksdb_writebatch_t *nothing = rocksdb_writebatch_create();
	rocksdb_writeoptions_t *options = rocksdb_writeoptions_create();
	rocksdb_writeoptions_disable_WAL(options, 1);
	rocksdb_writeoptions_set_no_slowdown(options, 1);
	rocksdb_write(store->db, options, nothing, &words);
	rocksdb_writeoptions_destroy(options);
	rocksdb_writebatch_destroy(nothing);
	if (words != NULL && store_error_of(words) == ERR_AGAIN) {
		/* Only asked to wait for compactions. */
		rocksdb_free(words);
		return NULL;
	}
	return words;
}

/* A compaction that met damage would meet it again in the next process, for ever. So that one
 * leaves compactions alone: keys outside the damage stay served, and the shards inside are closed
 * when they are read. */
static int write_mark(struct store *store, const char *words)
{
	char path[FS_PATH_BYTES_MAX + 1];
	int bytes = snprintf(path, sizeof(path), "%s", store->ingest_dir);
	ASSERT(bytes > 0 && (size_t)bytes < sizeof(path));
	char *name = strrchr(path, '/') + 1;
	ASSERT((size_t)(name - path) + sizeof(STORE_DAMAGED_NAME) <= sizeof(path));
	memcpy(name, STORE_DAMAGED_NAME, sizeof(STORE_DAMAGED_NAME));
	return fs_replace_file(store->fs, path, words, strlen(words));
}

/* RocksDB takes nothing any more, and what it has is as it was. Where the mark cannot be written
 * (the disk is full) the next check tries it again: without it whoever opens the store anew comes
 * to the same end. */
static void note_damage(struct store *store, const char *words)
{
	if (atomic_exchange(&store->marked, true))
		return;
	int error = write_mark(store, words);
	LOG_LINE(LEVEL_ERROR, "compaction_met_damage", FIELD_TEXT("store", store->dir),
	    FIELD_TEXT("words", words), FIELD_ERROR("mark", error));
	if (error) {
		atomic_store(&store->marked, false);
		return;
	}
	pthread_mutex_lock(&store->lock);
	store->figures.refuses_writes = true;
	pthread_mutex_unlock(&store->lock);
}

int store_check_background(struct store *store)
{
	uint64_t failures = 0;
	(void)rocksdb_property_int(store->db, "rocksdb.background-errors", &failures);
	if (failures == 0 || store->read_only)
		return 0;
	char *words = stopped_by(store);
	if (words == NULL)
		return 0;
	bool is_damage = store_is_unreadable(words);
	if (is_damage)
		note_damage(store, words);
	else if (store_error_of(words) != ERR_NO_SPACE)
		PANIC("the store's background work failed: %s", words);
	rocksdb_free(words);
	return is_damage ? ERR_AGAIN : 0;
}

void store_check(struct store *store)
{
	store_collect_garbage(store);
	/* The figures say so. */
	int ignored = store_check_background(store);
	(void)ignored;
	store_count(store, 0);
}

/* ---- Writing ---- */

/* The atomic step. RocksDB links the files into its directory, syncs each of them and the
 * directory, and adds one record to the MANIFEST, which it syncs: after 0, all of it is durable.
 * NULL, or its words, to be freed with rocksdb_free. */
static char *ingest_once(const struct ingest *ingest)
{
	rocksdb_ingestexternalfileoptions_t *options = rocksdb_ingestexternalfileoptions_create();
	rocksdb_ingestexternalfileoptions_set_move_files(options, 1);
	rocksdb_ingestexternalfileoptions_set_snapshot_consistency(options, 1);
	rocksdb_ingestexternalfileoptions_set_allow_global_seqno(options, 1);
	/* The memtable is empty, always: a flush here would mean that it is not. */
	rocksdb_ingestexternalfileoptions_set_allow_blocking_flush(options, 0);
	char *words = NULL;
	rocksdb_ingest_external_file(
	    ingest->store->db, (const char *const *)ingest->paths, ingest->count, options, &words);
	rocksdb_ingestexternalfileoptions_destroy(options);
	return words;
}

/* Where it got no further than the files, nothing happened. Otherwise the MANIFEST has the record
 * or has it not; the files stay, for store_rocksdb_ingest.c. */
static int ingest_failed(struct store *store, char *words, char *stopped)
{
	int error = store_error_of(words);
	/* A compaction may have met damage since store_check_background looked; and then the words
	 * are those of a read, which comes before the MANIFEST. */
	bool is_damage = stopped != NULL && store_is_unreadable(stopped);
	if (is_damage)
		note_damage(store, stopped);
	if (is_damage && store_is_unreadable(words))
		error = ERR_AGAIN;
	if (error != ERR_AGAIN && (error != ERR_NO_SPACE || stopped != NULL)) {
		int ignored = fs_sync_dir(store->fs, store->ingest_dir);
		(void)ignored;
		PANIC("cannot add a checkpoint to the store: %s", words);
	}
	if (stopped != NULL)
		rocksdb_free(stopped);
	rocksdb_free(words);
	return error;
}

static int ingest_files(struct ingest *ingest)
{
	char *words = ingest_once(ingest);
	if (words == NULL)
		return 0;
	char *stopped = stopped_by(ingest->store);
	/* Damage in the tables below: a MANIFEST that could not be written, or a compaction that
	 * met it, would have stopped the database. */
	if (stopped == NULL && store_is_unreadable(words) && ingest->kept_key_bytes > 0) {
		rocksdb_free(words);
		int error = write_overlap(ingest);
		if (error < 0)
			return error;
		words = ingest_once(ingest);
		if (words == NULL)
			return 0;
		stopped = stopped_by(ingest->store);
	}
	return ingest_failed(ingest->store, words, stopped);
}

static int write_changes(struct ingest *ingest, struct store_source *source)
{
	struct store_snapshot *snapshot;
	int error = store_prepare_snapshot(&snapshot);
	if (error < 0)
		return error;
	error = write_files(ingest, source);
	if (error == 0 && ingest->count > 0)
		error = ingest_files(ingest);
	if (error < 0 || ingest->count == 0) {
		mem_free(snapshot);
		return error;
	}
	store_publish_snapshot(ingest->store, snapshot);
	return 0;
}

int store_write(struct store *store, struct store_source *source)
{
	ASSERT_MSG(!store->read_only, "the store was opened for reading only");
	ASSERT(source->error == 0);
	ASSERT_MSG(!atomic_exchange(&store->writing, true), "writes overlap");
	store_collect_garbage(store);
	struct ingest ingest = {.store = store};
	buffer_init(&ingest.kept, KEPT_BYTES_MAX);
	int error = store_check_background(store);
	if (error == 0)
		error = write_changes(&ingest, source);
	ingest_done(&ingest, error < 0);
	if (error == 0)
		store_count(store, ingest.bytes);
	atomic_store(&store->writing, false);
	return error;
}
