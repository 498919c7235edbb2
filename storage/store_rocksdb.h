/* The inside of the RocksDB store: what store_rocksdb.c, store_rocksdb_read.c and
 * store_rocksdb_write.c share. Nobody else includes this.
 *
 * How storage/store.h maps to RocksDB 7.8's C API
 *   write     RocksDB's memtable and write-ahead log are never written. Changes go to sorted
 *             files of their own, which one call ingests: it links the files into the database,
 *             syncs them and the directory, and adds one synced record to the MANIFEST. That
 *             record is the atomic step (the tests in tests/preload show what each of these
 *             syncs is for).
 *   get       Checksums are checked on every read from the disk.
 *   snapshot  RocksDB's own takes the database's mutex, which an ingestion holds while it syncs,
 *             so the core's thread must not ask for one. But the state changes in store_write
 *             only: each leaves one RocksDB snapshot (`newest`) behind, and taking one is
 *             counting a user.
 *   cursor    Ranges of keys are never deleted as ranges (only key by key), and every reader
 *             says so to RocksDB. That is no mere saving: where it looks for deleted ranges, an
 *             iterator of 7.8 that steps into the next table of a level and finds its first
 *             block damaged ends as if there were no more keys, without an error (mended in 8.6:
 *             "Fix a bug where iterator status is not checked"). Compactions are not concerned.
 *   release   Giving back a snapshot or an iterator takes the same mutex and may delete files.
 *             What the core's thread gives back is kept in a list (`garbage`) until the next
 *             call from the pool.
 */
#ifndef KX_STORAGE_STORE_ROCKSDB_H
#define KX_STORAGE_STORE_ROCKSDB_H

#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/store.h"

struct store_snapshot {
	const rocksdb_snapshot_t *handle;
	uint64_t users; /* cursors, whoever took it, and the store while it is the newest */
	struct store_snapshot *next; /* in the garbage */
};

struct store_cursor {
	struct store *store;
	struct store_snapshot *snapshot;
	rocksdb_iterator_t *iterator;
	rocksdb_readoptions_t *options;
	bool started;
	struct store_cursor *next; /* in the garbage */
	char end[];                /* RocksDB reads its upper bound from here */
};

struct store {
	struct fs *fs;
	char *path;       /* of the database, for RocksDB */
	char *dir;        /* of the database, for fs.h */
	char *ingest_dir; /* of files that are to be ingested, for fs.h */
	bool read_only;
	bool tolerant;
	uint64_t ingest_files; /* made by this process, for their names */
	_Atomic bool writing;
	_Atomic bool marked; /* the file STORE_DAMAGED_NAME is there, or being written */

	rocksdb_t *db;
	rocksdb_cache_t *cache;
	rocksdb_options_t *options;
	rocksdb_options_t *ingest_options; /* of the files that store_write makes */
	rocksdb_envoptions_t *environment;
	rocksdb_readoptions_t *read_disk;
	rocksdb_readoptions_t *read_memory;

	pthread_mutex_t lock; /* of all that follows; held for a few instructions */
	struct store_snapshot *newest;
	struct store_snapshot *garbage_snapshots;
	struct store_cursor *garbage_cursors;
	uint64_t readers; /* snapshots and cursors that were not given back */
	struct store_figures figures;

	_Atomic uint64_t hits;
	_Atomic uint64_t misses;
};

/* What kind of failure RocksDB's words mean. The C API has nothing but these words; their
 * beginnings come from Status::ToString and do not depend on the locale. */
int store_error_of(const char *words);
/* The words say that a part of the database's tables is damaged, or could not be read: nothing was
 * changed, and nothing is in doubt. */
bool store_is_unreadable(const char *words);

/* The file beside the database that says: a compaction met damage. */
#define STORE_DAMAGED_NAME "DAMAGED"

/* For reading many keys in order. To be destroyed by the caller. */
rocksdb_readoptions_t *store_walk_options(void);

/* store_rocksdb_walk.c: every live key that can be read, in order, past all damage. Each function
 * ends the walk with its result where that is negative. */
struct store_walk {
	const struct store_range *within;        /* NULL: all there is */
	int (*key)(void *arg, struct slice key); /* may be NULL */
	/* Whatever stands behind `after` and before `before` cannot be read (empty: from the
	 * beginning, to the end). Called when `before` is known. May be NULL. */
	int (*lost)(void *arg, struct slice after, struct slice before);
	/* RocksDB's words about something that could not be read. */
	int (*bad)(void *arg, const char *words);
	void *arg;
};
/* 0, damage or none. ERR_FORMAT, ERR_NOMEM, ERR_NO_SPACE. */
NODISCARD int store_walk(struct store *store, const struct store_walk *visit);

/* A stretch that a walk could not read: what stands behind `after` and before `before`. */
struct store_gap {
	size_t after_bytes;  /* 0: from the beginning */
	size_t before_bytes; /* 0: to the end */
	uint8_t *keys;       /* `after`, a zero, `before` */
};
/* In the order of keys. All zero: there are none. */
struct store_gaps {
	struct store_gap *at;
	size_t count;
	size_t capacity;
};
/* For store_walk.lost: keeps it. ERR_NOMEM. */
NODISCARD int store_gaps_add(struct store_gaps *gaps, struct slice after, struct slice before);
void store_gaps_done(struct store_gaps *gaps);

static inline struct slice store_gap_after(const struct store_gap *gap)
{
	return slice_of(gap->keys, gap->after_bytes);
}

/* The first key that there can be behind `after`. */
static inline struct slice store_gap_first(const struct store_gap *gap)
{
	return slice_of(gap->keys, gap->after_bytes + 1);
}

static inline struct slice store_gap_before(const struct store_gap *gap)
{
	return slice_of(gap->keys + gap->after_bytes + 1, gap->before_bytes);
}

#define STORE_FILE_NAME_BYTES 32

/* The files that `bad` was told about. `names` is to be freed. */
struct store_bad_files {
	void (*bad)(void *arg, const char *what);
	void *arg;
	char (*names)[STORE_FILE_NAME_BYTES];
	size_t count;
	size_t capacity;
};
/* Calls `bad` where the file in these words is a new one. ERR_NOMEM. */
NODISCARD int store_bad_files_add(struct store_bad_files *files, const char *words);

/* Destroys what was given back. From the pool only. */
void store_collect_garbage(struct store *store);

/* The newest state becomes the one that snapshots show. ERR_NOMEM is possible in the first only. */
NODISCARD int store_prepare_snapshot(struct store_snapshot **ret_snapshot);
void store_publish_snapshot(struct store *store, struct store_snapshot *snapshot);

/* Every file in the directory, but no directory. */
NODISCARD int store_remove_files(struct fs *fs, const char *dir);

/* store_rocksdb_ingest.c: when the database is open, what earlier writes left is removed. */
NODISCARD int store_ingest_clean(struct store *store);
/* Whether earlier writes left anything. */
NODISCARD int store_ingest_left(struct fs *fs, const char *dir, bool *ret_left);
/* The database could not be opened, with these words in `why`: where a table is missing that an
 * earlier write left, it is put back and `again` is called. ERR_CORRUPT: that was not it. */
NODISCARD int store_ingest_restore(struct store *store,
    int (*again)(struct store *store, char *why, size_t why_bytes), char *why, size_t why_bytes);

/* store_rocksdb_shed.c: what store_shed leaves beside the store until it is settled, and unfinished
 * ones. */
#define STORE_SHED_SUFFIX ".shed"
/* A file in a store that store_shed makes, until that is settled. */
#define STORE_UNSETTLED_NAME "UNSETTLED"
/* Whether a copy of so many bytes leaves what a disk has to have free. */
bool store_shed_fits(uint64_t bytes, uint64_t free_bytes, uint64_t total_bytes);
void store_shed_settled(const struct store *store);

/* store_rocksdb_keep.c: before the database is opened for writing. Never fails; says what it could
 * not keep. store_settled ends it. */
void store_keep_tables(struct store *store);

/* Brings the figures up to date; `bytes` were written by one store_write (0: none was). */
void store_count(struct store *store, uint64_t bytes);

/* Stops the process where RocksDB's background work failed other than for lack of space, or, which
 * is ERR_AGAIN, by damage. */
NODISCARD int store_check_background(struct store *store);

#endif
