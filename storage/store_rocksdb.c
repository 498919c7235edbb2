/* Opening, settings, figures. What the implementation does and why: store_rocksdb.h. */
#include "storage/store_rocksdb.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/io/fs.h"
#include "base/mem.h"

enum {
	PATH_BYTES = FS_PATH_BYTES_MAX + 1,
	/* Two stores on two cores share two threads of RocksDB. */
	BACKGROUND_JOBS = 2,
	/* Tables that are open at a time, of 64 MiB where they are merged: 16 GiB of a store
	 * without opening one twice, and 10 stores inside the usual limit of 4096 descriptors. */
	OPEN_FILES_MAX = 256,
	BLOOM_BITS_PER_KEY = 10,
	LOG_LEVEL_WARN = 2,
	LOG_FILES = 4,
	READ_TIER_MEMORY = 1,
	CACHE_PARTS_BITS = 1,
};

static const size_t TABLE_BYTES = 64 << 20;
static const size_t LEVEL_BASE_BYTES = 256 << 20;
static const uint64_t COMPACTION_BYTES_MAX = 512ULL << 20;
static const size_t BLOCK_BYTES = 8 << 10;
static const size_t LOG_FILE_BYTES = 1 << 20;
static const size_t MANIFEST_BYTES = 16 << 20;
static const size_t MANIFEST_AHEAD_BYTES = 64 << 10;
static const uint64_t WRITEBACK_BYTES = 1 << 20;

/* ---- Words ---- */

static bool begins_with(const char *words, const char *beginning)
{
	return strncmp(words, beginning, strlen(beginning)) == 0;
}

int store_error_of(const char *words)
{
	if (begins_with(words, "Corruption"))
		return ERR_CORRUPT;
	if (begins_with(words, "Result incomplete"))
		return ERR_AGAIN;
	if (begins_with(words, "IO error: No space left on device"))
		return ERR_NO_SPACE;
	/* A table that the database knows and the disk does not. */
	if (begins_with(words, "IO error: No such file or directory"))
		return ERR_CORRUPT;
	if (begins_with(words, "Not implemented") || begins_with(words, "Invalid argument"))
		return ERR_FORMAT;
	return ERR_IO;
}

/* Files that are to be ingested are not of the database yet, and have to be read back. */
bool store_is_unreadable(const char *words)
{
	if (store_error_of(words) != ERR_IO)
		return store_error_of(words) == ERR_CORRUPT;
	bool is_read = begins_with(words, "IO error: While pread ") ||
	               begins_with(words, "IO error: While open a file for random read");
	return is_read && strstr(words, "/ingest/") == NULL;
}

/* Causes come behind the words of what RocksDB was about. */
static int open_error_of(const char *words)
{
	if (strstr(words, "lock hold by current process") != NULL ||
	    strstr(words, "While lock file") != NULL)
		return ERR_BUSY;
	if (strstr(words, "Permission denied") != NULL ||
	    strstr(words, "Read-only file system") != NULL)
		return ERR_PERMISSION;
	if (strstr(words, "Cannot allocate memory") != NULL)
		return ERR_NOMEM;
	return store_error_of(words);
}

static const char *open_advice(int error)
{
	if (error == ERR_CORRUPT)
		return "see kalix-admin store verify; restore a backup, or give up what is lost "
		       "with kalix-admin store repair";
	if (error == ERR_PERMISSION)
		return "check owner and mode of the files there";
	return error_advice(error);
}

/* ---- Settings ---- */

/* The index has the first and the last key of each block, as they are. So no block is read in which
 * nothing can be that is looked for, and one that is damaged is met by those alone who have keys in
 * it. (Otherwise it has a short key between two blocks, which may stand behind where a shard ends;
 * and a cursor reads the block behind its last key.) The C API has no names for it. */
static const char INDEX_WORDS[] = "block_based_table_factory={index_type=kBinarySearchWithFirstKey;"
                                  "index_shortening=kNoShortening}";

static rocksdb_options_t *with_whole_index(rocksdb_options_t *from)
{
	rocksdb_options_t *options = rocksdb_options_create();
	char *words = NULL;
	rocksdb_get_options_from_string(from, INDEX_WORDS, options, &words);
	ASSERT_MSG(words == NULL, "%s", words);
	rocksdb_options_destroy(from);
	return options;
}

static void set_tables(struct store *store, rocksdb_options_t *options)
{
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
	rocksdb_block_based_options_set_block_size(table, BLOCK_BYTES);
	rocksdb_block_based_options_set_block_cache(table, store->cache);
	/* Indexes and filters count against the cache's bound like everything else. */
	rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1);
	rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
	rocksdb_block_based_options_set_whole_key_filtering(table, 1);
	rocksdb_block_based_options_set_filter_policy(
	    table, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS_PER_KEY));
	rocksdb_options_set_block_based_table_factory(options, table);
	rocksdb_block_based_options_destroy(table);
	/* Measured by tests/bench/store_bench on two cores, states of 160 bytes, compactions
	 * included: LZ4 takes 62 % of the space for 1.2 times the processor time of none, ZSTD 46 %
	 * for 2.5 times, on the coldest level alone nearly as much, because that is where most is
	 * written. Processor time is what commands need. */
	rocksdb_options_set_compression(options, rocksdb_lz4_compression);
}

static rocksdb_options_t *make_options(struct store *store)
{
	rocksdb_options_t *options = rocksdb_options_create();
	set_tables(store, options);
	rocksdb_options_set_paranoid_checks(options, !store->tolerant);
	rocksdb_options_set_max_background_jobs(options, BACKGROUND_JOBS);
	rocksdb_options_set_max_open_files(options, OPEN_FILES_MAX);
	rocksdb_options_set_compaction_style(options, rocksdb_level_compaction);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
	rocksdb_options_set_target_file_size_base(options, TABLE_BYTES);
	rocksdb_options_set_max_bytes_for_level_base(options, LEVEL_BASE_BYTES);
	rocksdb_options_set_max_compaction_bytes(options, COMPACTION_BYTES_MAX);
	/* Written back piece by piece, so that the log's syncs do not wait behind 64 MiB. */
	rocksdb_options_set_bytes_per_sync(options, WRITEBACK_BYTES);
	rocksdb_options_set_info_log_level(options, LOG_LEVEL_WARN);
	rocksdb_options_set_max_log_file_size(options, LOG_FILE_BYTES);
	rocksdb_options_set_keep_log_file_num(options, LOG_FILES);
	rocksdb_options_set_stats_dump_period_sec(options, 0);
	rocksdb_options_set_stats_persist_period_sec(options, 0);
	rocksdb_options_set_max_manifest_file_size(options, MANIFEST_BYTES);
	/* It would take 4 MiB for each new one. While it tries that on a disk without them, what
	 * the store beside it writes finds no space at all, and RocksDB as Debian builds it aborts
	 * then. */
	rocksdb_options_set_manifest_preallocation_size(options, MANIFEST_AHEAD_BYTES);
	/* Reading only, RocksDB would still begin a new LOG in the database's directory. There
	 * is no option for none; a directory that cannot be is as good. */
	if (store->read_only)
		rocksdb_options_set_db_log_dir(options, "/dev/null");
	return options;
}

/* In few parts: a block larger than one of them is read anew each time, and the index of a table is
 * one block. Readers are a core's thread and a few of its pool. */
static rocksdb_cache_t *make_cache(uint64_t bytes)
{
	rocksdb_lru_cache_options_t *options = rocksdb_lru_cache_options_create();
	rocksdb_lru_cache_options_set_capacity(options, bytes);
	rocksdb_lru_cache_options_set_num_shard_bits(options, CACHE_PARTS_BITS);
	rocksdb_cache_t *cache = rocksdb_cache_create_lru_opts(options);
	rocksdb_lru_cache_options_destroy(options);
	return cache;
}

static void make_settings(struct store *store, uint64_t block_cache_bytes)
{
	store->cache = make_cache(block_cache_bytes);
	store->options = with_whole_index(make_options(store));
	rocksdb_options_t *ingest_options = rocksdb_options_create();
	set_tables(store, ingest_options);
	store->ingest_options = with_whole_index(ingest_options);
	store->environment = rocksdb_envoptions_create();
	store->read_disk = rocksdb_readoptions_create();
	rocksdb_readoptions_set_verify_checksums(store->read_disk, 1);
	rocksdb_readoptions_set_ignore_range_deletions(store->read_disk, 1);
	store->read_memory = rocksdb_readoptions_create();
	rocksdb_readoptions_set_read_tier(store->read_memory, READ_TIER_MEMORY);
	rocksdb_readoptions_set_ignore_range_deletions(store->read_memory, 1);
}

/* ---- Opening ---- */

struct removal {
	struct fs *fs;
	const char *dir;
};

static int remove_file(void *arg, const char *name, bool is_dir)
{
	const struct removal *removal = arg;
	char path[PATH_BYTES];
	int bytes = snprintf(path, sizeof(path), "%s/%s", removal->dir, name);
	if (is_dir)
		return 0;
	return (size_t)bytes < sizeof(path) ? fs_unlink(removal->fs, path) : ERR_INVALID;
}

int store_remove_files(struct fs *fs, const char *dir)
{
	struct removal removal = {.fs = fs, .dir = dir};
	return fs_list(fs, dir, remove_file, &removal);
}

/* `name` may be empty. */
static char *join(const char *directory, const char *name)
{
	size_t bytes = strlen(directory) + 1 + strlen(name) + 1;
	char *path = mem_alloc(bytes);
	if (path != NULL)
		snprintf(path, bytes, name[0] != '\0' ? "%s/%s" : "%s%s", directory, name);
	return path;
}

static int exists_in(struct fs *fs, const char *dir, const char *name, bool *ret_exists)
{
	char path[PATH_BYTES];
	int bytes = snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (bytes < 0 || (size_t)bytes >= sizeof(path))
		return ERR_INVALID;
	return fs_exists(fs, path, ret_exists);
}

static int find_table(void *arg, const char *name, bool is_dir)
{
	bool *found = arg;
	const char *dot = strrchr(name, '.');
	if (!is_dir && dot != NULL && strcmp(dot, ".sst") == 0)
		*found = true;
	return 0;
}

/* Whether there is a database already. RocksDB, allowed to make one where CURRENT is missing, would
 * delete the tables that it then does not know. */
static int find_database(
    const struct store_options *options, char *why, size_t why_bytes, bool *ret_exists)
{
	bool exists;
	int error = exists_in(options->fs, options->dir, "CURRENT", &exists);
	bool tables = false;
	if (error == 0 && !exists)
		error = fs_list(options->fs, options->dir, find_table, &tables);
	if (error < 0) {
		snprintf(why, why_bytes, "cannot look into %s: %s; %s", options->dir,
		    error_text(error), open_advice(error));
		return error;
	}
	if (tables) {
		snprintf(why, why_bytes,
		    "%s/CURRENT is missing, but there are tables; restore it "
		    "from a backup",
		    options->dir);
		return ERR_CORRUPT;
	}
	if (!exists && options->read_only) {
		snprintf(why, why_bytes, "there is no store in %s", options->dir);
		return ERR_NOT_FOUND;
	}
	*ret_exists = exists;
	return 0;
}

static int open_once(struct store *store, char *why, size_t why_bytes)
{
	char *words = NULL;
	if (store->read_only)
		store->db = rocksdb_open_for_read_only(store->options, store->path, 0, &words);
	else
		store->db = rocksdb_open(store->options, store->path, &words);
	if (words == NULL)
		return 0;
	int error = open_error_of(words);
	snprintf(why, why_bytes, "%s: %s; %s (RocksDB: %s)", store->dir, error_text(error),
	    open_advice(error), words);
	rocksdb_free(words);
	return error;
}

static int open_database(struct store *store, char *why, size_t why_bytes)
{
	if (!store->read_only)
		store_keep_tables(store);
	int error = open_once(store, why, why_bytes);
	if (store->read_only)
		return error;
	if (error == ERR_CORRUPT)
		error = store_ingest_restore(store, open_once, why, why_bytes);
	return error < 0 ? error : store_ingest_clean(store);
}

static int open_store(
    const struct store_options *options, struct store *store, char *why, size_t why_bytes)
{
	store->fs = options->fs;
	ASSERT(!options->tolerant || options->read_only);
	store->read_only = options->read_only;
	store->tolerant = options->tolerant;
	store->path = join(options->root, options->dir);
	store->dir = join(options->dir, "");
	store->ingest_dir = join(options->dir, "ingest");
	struct store_snapshot *snapshot = NULL;
	int error = store->path == NULL || store->ingest_dir == NULL
	                ? ERR_NOMEM
	                : store_prepare_snapshot(&snapshot);
	if (error < 0)
		return error;

	bool exists = false;
	bool damaged = false;
	error = find_database(options, why, why_bytes, &exists);
	if (error == 0)
		error = exists_in(options->fs, options->dir, STORE_DAMAGED_NAME, &damaged);
	if (error == 0) {
		make_settings(store, options->block_cache_bytes);
		rocksdb_options_set_disable_auto_compactions(store->options, damaged);
		rocksdb_options_set_create_if_missing(store->options, !exists);
		error = open_database(store, why, why_bytes);
	}
	if (error < 0) {
		mem_free(snapshot);
		return error;
	}
	store->figures.compaction_stopped = damaged;
	store_publish_snapshot(store, snapshot);
	store_count(store, 0);
	return 0;
}

/* RocksDB gives each database that it makes a random name. */
uint64_t store_identity(const struct store *store)
{
	char path[PATH_BYTES], name[256];
	size_t bytes = 0;
	int path_bytes = snprintf(path, sizeof(path), "%s/IDENTITY", store->dir);
	if (path_bytes < 0 || (size_t)path_bytes >= sizeof(path) ||
	    fs_read_file(store->fs, path, name, sizeof(name), &bytes) != 0 || bytes == 0)
		return 0;
	return hash_bytes(slice_of(name, bytes), 0);
}

int store_open(
    const struct store_options *options, char *why, size_t why_bytes, struct store **ret_store)
{
	ASSERT(options->root != NULL && options->dir != NULL);
	struct store *store = mem_zalloc(1, sizeof(*store));
	int error = store == NULL ? ERR_NOMEM : 0;
	why[0] = '\0';
	if (store != NULL) {
		pthread_mutex_init(&store->lock, NULL);
		error = open_store(options, store, why, why_bytes);
	}
	if (error < 0) {
		if (why[0] == '\0')
			snprintf(why, why_bytes, "cannot open the store in %s: %s; %s",
			    options->dir, error_text(error), open_advice(error));
		store_close(store);
		return error;
	}
	*ret_store = store;
	return 0;
}

static void free_settings(struct store *store)
{
	if (store->options == NULL)
		return;
	rocksdb_readoptions_destroy(store->read_memory);
	rocksdb_readoptions_destroy(store->read_disk);
	rocksdb_envoptions_destroy(store->environment);
	rocksdb_options_destroy(store->ingest_options);
	rocksdb_options_destroy(store->options);
	rocksdb_cache_destroy(store->cache);
}

void store_close(struct store *store)
{
	if (store == NULL)
		return;
	ASSERT_MSG(store->readers == 0, "snapshots or cursors are still open");
	ASSERT(!atomic_load(&store->writing));
	if (store->db != NULL) {
		store_collect_garbage(store);
		if (store->newest != NULL)
			rocksdb_release_snapshot(store->db, store->newest->handle);
		mem_free(store->newest);
		rocksdb_close(store->db);
	}
	free_settings(store);
	pthread_mutex_destroy(&store->lock);
	mem_free(store->ingest_dir);
	mem_free(store->dir);
	mem_free(store->path);
	mem_free(store);
}

/* ---- Figures ---- */

static uint64_t property(const struct store *store, const char *name)
{
	uint64_t value = 0;
	(void)rocksdb_property_int(store->db, name, &value);
	return value;
}

/* What a compaction may write before it frees anything. Compactions between deeper levels are
 * bounded; the one of level 0 takes all of its files and what they overlap in the level below. */
static uint64_t largest_compaction(const struct store *store)
{
	uint64_t all = 0;
	uint64_t level_zero = 0;
	uint64_t below[16] = {0};
	const rocksdb_livefiles_t *files = rocksdb_livefiles(store->db);
	int count = rocksdb_livefiles_count(files);
	for (int i = 0; i < count; i++) {
		uint64_t bytes = rocksdb_livefiles_size(files, i);
		int level = rocksdb_livefiles_level(files, i);
		all += bytes;
		if (level == 0)
			level_zero += bytes;
		else if ((size_t)level < sizeof(below) / sizeof(below[0]))
			below[level] += bytes;
	}
	rocksdb_livefiles_destroy(files);
	uint64_t base = 0;
	for (size_t level = 1; level < sizeof(below) / sizeof(below[0]) && base == 0; level++)
		base = below[level];
	uint64_t largest = level_zero + base;
	if (largest < COMPACTION_BYTES_MAX)
		largest = COMPACTION_BYTES_MAX;
	return largest < all ? largest : all;
}

void store_count(struct store *store, uint64_t bytes)
{
	uint64_t on_disk = property(store, "rocksdb.total-sst-files-size");
	uint64_t pending = property(store, "rocksdb.estimate-pending-compaction-bytes");
	uint64_t cache = rocksdb_cache_get_usage(store->cache);
	uint64_t largest = largest_compaction(store);
	pthread_mutex_lock(&store->lock);
	struct store_figures *figures = &store->figures;
	figures->bytes_on_disk = on_disk;
	figures->compaction_bytes_pending = pending;
	figures->cache_bytes = cache;
	figures->largest_compaction_bytes = largest;
	figures->writes += bytes > 0;
	figures->written_bytes += bytes;
	pthread_mutex_unlock(&store->lock);
}

struct store_figures store_figures(const struct store *store)
{
	/* A store is never itself constant: only its caller promises to change nothing. */
	pthread_mutex_t *lock = (pthread_mutex_t *)&store->lock;
	pthread_mutex_lock(lock);
	struct store_figures figures = store->figures;
	pthread_mutex_unlock(lock);
	figures.cache_hits = atomic_load_explicit(&store->hits, memory_order_relaxed);
	figures.cache_misses = atomic_load_explicit(&store->misses, memory_order_relaxed);
	return figures;
}
