/* The inside of store_tool.h on RocksDB: store_rocksdb_repair_plan.c finds out what is to be done,
 * store_rocksdb_repair.c does it. One thread; everything belongs to store_repair's frame. */
#ifndef KX_STORAGE_STORE_ROCKSDB_REPAIR_H
#define KX_STORAGE_STORE_ROCKSDB_REPAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/io/fs.h"
#include "storage/keys.h"
#include "storage/store_rocksdb.h"
#include "storage/store_tool.h"

struct numbers {
	uint32_t *at;
	size_t count;
	size_t capacity;
};

struct repair_shards {
	struct store_repair_shard *at;
	size_t count;
	size_t capacity;
};

/* What the store says of itself: the anchor, and each shard's progress. */
struct own_record {
	uint8_t key[KEY_LISTED_BYTES];
	size_t key_bytes;
	size_t at; /* of its value in own_values */
	size_t bytes;
};

struct repair {
	const struct store_options *options;
	const struct store_repair_plan *plan;
	const char *copy_dir;
	char new_dir[FS_PATH_BYTES_MAX + 1];
	char *why;
	size_t why_bytes;

	struct store *old;
	struct store_bad_files files;
	struct store_gaps gaps;      /* what is given up */
	struct numbers opened;       /* shards that a checkpoint had closed */
	struct repair_shards shards; /* ascending: those that keep keys; at last all there are */
	struct numbers applied;      /* shards whose progress was walked over */
	uint8_t own_first[KEY_OWN_BYTES];
	struct own_record *own; /* in the order of keys */
	size_t own_count;
	size_t own_capacity;
	struct buffer own_values;
	uint64_t keys; /* that stay */
};

static inline struct slice repair_own_first(const struct repair *repair)
{
	return slice_of(repair->own_first, sizeof(repair->own_first));
}

/* Says in `why` what is wrong with the store; returns `error`. */
int repair_fail(const struct repair *repair, int error, const char *what);

/* Walks over `old`, tells the plan, and asks. After 0 the rest of the struct is filled in. Errors
 * as store_repair. */
NODISCARD int repair_make_plan(struct repair *repair);
void repair_plan_done(struct repair *repair);

#endif
