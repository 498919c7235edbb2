/* What a checkpoint writes: the frozen generation as the store takes it, in order of keys.
 *
 *   changes of the generation            a clear becomes the deletes of what the store has of it
 *   KEY_STORE_SHARD | ANCHOR             the log's anchor
 *   KEY_STORE_SHARD | APPLIED | shard    the base of every group
 *   KEY_STORE_SHARD | DAMAGED | shard    where a clear met what cannot be read
 *
 * One store_write takes all of it: the applied index of a shard is in the store exactly when its
 * changes are, and the log that may be released is exactly what the store does not need.
 *
 * Thread: the core's fills the struct; checkpoint_write_run is for the offload pool, and nothing
 * here is touched by the core meanwhile.
 */
#ifndef KX_STORAGE_CHECKPOINT_SOURCE_H
#define KX_STORAGE_CHECKPOINT_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "storage/records.h"

struct store;
struct table;

struct checkpoint_base {
	uint32_t shard;
	struct log_base base;
};

struct checkpoint_write {
	/* Filled by the core. */
	struct table *table;
	struct store *store;
	bool with_anchor;
	struct record_anchor anchor;
	struct checkpoint_base *bases; /* in any order; sorted by the job */
	size_t base_count;
	size_t base_capacity;

	/* The job's results. */
	int error;         /* 0, ERR_NO_SPACE, ERR_NOMEM: nothing was written */
	uint32_t *damaged; /* shards, ascending, where error is 0 */
	size_t damaged_count;
	size_t damaged_capacity;
	uint64_t entries;
	uint64_t bytes;
};

/* Room for `count` bases. ERR_NOMEM. */
NODISCARD int checkpoint_write_reserve(struct checkpoint_write *write, size_t count);
void checkpoint_write_add(
    struct checkpoint_write *write, uint32_t shard, const struct log_base *base);
/* Sorts and writes; sets the results. Blocks. May be called again after an error. */
void checkpoint_write_run(struct checkpoint_write *write);
void checkpoint_write_done(struct checkpoint_write *write);

#endif
