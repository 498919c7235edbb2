/* What one store has in memory: the committed state that the store on disk does not have yet (dirty
 * and frozen), and, as far as memory allows, what it has (clean).
 *
 * Layers of one key, newest first:
 *
 *   dirty --table_freeze--> frozen --table_thaw (checkpoint durable)--> clean --evicted--> (store)
 *
 * A generation is everything that was applied between two freezes. Generations are numbered; at
 * most one is frozen at a time. A key may have a dirty and a frozen value at once; the clean value
 * is kept only where it has neither. A delete is a value too (a tombstone) until its generation is
 * in the store.
 *
 * Invariants:
 *   1. Dirty and frozen values are never evicted: they exist nowhere else but in the log.
 *   2. A frozen generation holds, per shard, every change up to the shard's frozen index and none
 *      above; it never changes after table_freeze, so that the offload pool reads it without locks
 *      while the core goes on.
 *   3. A read from the store that began before a change is applied never replaces it: a key whose
 *      read is under way has a mark with the read's ticket, a change takes the mark away, and
 *      table_fill drops what comes with another ticket than that of the key's mark.
 *   4. Clean bytes stay at or below clean_bytes_max (entries count with their overhead), but for
 *      the one value that came last and the pinned one. All memory is counted.
 *   5. One batch is applied in one call, whole.
 *
 * Structure. A hash table over (shard, key) finds the one entry of a key; it grows bucket by bucket
 * (linear hashing), so that no call pays for all. Each key changed in a generation has one slot in
 * it: its value or tombstone. Slots stand in chunks that never move, and per shard in a crit-bit
 * tree, which gives ranges to cursors and the checkpoint its order. A value is one counted block of
 * memory: overwritten in place while it is dirty and no snapshot refers to it.
 *
 * Rejected: copying values for the checkpoint (the core would pay for every byte twice); sorting at
 * the freeze (unbounded on the core) or per cursor (the whole generation for one history); a skip
 * list (a cache miss per level, where the crit-bit tree touches one key per insertion).
 *
 * Thread: the core's, except table_frozen_* (any one thread, between table_freeze and
 * table_thaw_begin) and reading a snapshot (any one thread).
 */
#ifndef KX_STORAGE_TABLE_H
#define KX_STORAGE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct table;

struct table_options {
	uint64_t clean_bytes_max;
	uint64_t hash_seed; /* secret and random: outsiders choose keys */
};
NODISCARD int table_new(const struct table_options *options, struct table **ret_table);
void table_free(struct table *table); /* NULL-safe; no snapshot of it lives */

/* ---- Shards: their progress, part of each generation ---- */

struct table_shard {
	uint64_t index; /* last applied */
	uint64_t term;  /* of that entry */
};
/* A shard begins where the store has it. Before any table_apply of it, once. ERR_NOMEM. */
NODISCARD int table_shard_add(struct table *table, uint32_t shard, struct table_shard start);
bool table_shard_exists(const struct table *table, uint32_t shard);
/* Zeros for a shard that was never added. */
struct table_shard table_shard_get(const struct table *table, uint32_t shard);

/* The store has another state of the shard now, and the table has nothing of it: it is not dirty,
 * nor in a frozen generation, and its clean values were dropped. */
void table_shard_restart(struct table *table, uint32_t shard, struct table_shard start);
/* The same, where the store has none: as if it had never been added. */
void table_shard_remove(struct table *table, uint32_t shard);
/* Whether it changed since the last freeze. */
bool table_shard_dirty(const struct table *table, uint32_t shard);
/* Clean values of the shard go: from the begin on those that the cache comes by, and each step
 * looks at entries_max of all. False: none is left, provided that nothing of it was read or applied
 * meanwhile. Of others anything may have been. One shard at a time. */
void table_drop_begin(struct table *table, uint32_t shard);
bool table_drop_step(struct table *table, size_t entries_max);

/* ---- Changes ---- */

/* How many bytes table_apply of this (checked) batch adds to the dirty bytes at most; a caller that
 * holds back before executing asks. */
uint64_t table_apply_bytes(struct slice batch);
/* Applies the batch (storage/batch.h; empty slice: only the index moves) as entry (index, term) of
 * the shard: index is the shard's last + 1. Never partly: ERR_NOMEM leaves everything as it was.
 * ERR_CORRUPT or ERR_FORMAT for a malformed batch, ERR_CORRUPT for a stream whose sequence does not
 * rise. */
NODISCARD int table_apply(
    struct table *table, uint32_t shard, uint64_t index, uint64_t term, struct slice batch);

/* Batches that will be applied soon: what they change is fetched from memory meanwhile, several
 * keys at a time. In passes over all of them, so that what a pass reads is what the one before has
 * asked for: table_soon_add for each, then TABLE_SOON_PASSES calls of table_soon_pass. Changes
 * nothing, and nothing of the table may change before the last pass. */
enum { TABLE_SOON_MAX = 64, TABLE_SOON_PASSES = 2 };
struct table_entry;
struct table_soon {
	size_t count; /* keys; 0 to begin with */
	struct table_soon_key {
		struct slice key; /* of the batch */
		uint32_t shard;
		uint64_t hash;
		const struct table_entry *entry; /* most likely; or NULL */
	} keys[TABLE_SOON_MAX];
};
void table_soon_add(
    const struct table *table, struct table_soon *soon, uint32_t shard, struct slice batch);
void table_soon_pass(const struct table *table, struct table_soon *soon, unsigned pass);

/* ---- Reads ---- */

enum table_found {
	TABLE_VALUE,  /* *ret_value is set, valid until the next call that changes the table */
	TABLE_ABSENT, /* known not to exist */
	TABLE_COLD,   /* not in memory: ask the store (table_load) */
	TABLE_LOADING /* a read is under way: wait for it */
};
/* Not for streams (see batch.h). */
enum table_found table_get(
    struct table *table, uint32_t shard, struct slice key, struct slice *ret_value);

/* Marks a cold key as being read, so that invariant 3 holds. Tickets are never used again.
 * ERR_NOMEM.
 */
NODISCARD int table_load(
    struct table *table, uint32_t shard, struct slice key, uint64_t *ret_ticket);
/* Whether the key still waits for this read. */
bool table_load_current(
    const struct table *table, uint32_t shard, struct slice key, uint64_t ticket);
/* The read's result: found with a value, or absent. Dropped where the key's mark is not this
 * ticket's. ERR_NOMEM: the key is cold again. */
NODISCARD int table_fill(struct table *table, uint32_t shard, struct slice key, uint64_t ticket,
    bool found, struct slice value);
/* The read failed: the key is cold again, if it still waits for this read. */
void table_load_failed(struct table *table, uint32_t shard, struct slice key, uint64_t ticket);
/* What is clean under this key now is not evicted until table_unpin, so that those who waited for
 * it find it. One key at a time. */
void table_pin(struct table *table, uint32_t shard, struct slice key);
void table_unpin(struct table *table);

/* ---- Generations ---- */

bool table_can_freeze(const struct table *table); /* no generation is frozen or thawing */
bool table_unchanged(const struct table *table);  /* no shard moved since the last freeze */
/* The dirty generation becomes the frozen one, at every shard's applied index. O(1). */
void table_freeze(struct table *table);

/* What the frozen generation holds. Putting it in order happens in table_frozen_sort, in the
 * offload pool; table_frozen_at only after it. */
NODISCARD int table_frozen_sort(struct table *table); /* ERR_NOMEM: may be called again */
enum table_change_kind {
	TABLE_PUT,
	TABLE_DELETE,
	/* Physical keys of the stream `key` that are in the store and not among the changes that
	 * follow are gone (BATCH_CLEAR). Stands before those changes. */
	TABLE_CLEAR
};
struct table_change {
	struct slice key; /* with its shard: the store's key */
	struct slice value;
	enum table_change_kind kind;
};
size_t table_frozen_count(const struct table *table);
struct table_change table_frozen_at(const struct table *table, size_t position); /* in key order */
/* Shards whose applied index the frozen generation moves on, in no order. */
void table_frozen_shards(const struct table *table,
    void (*each)(void *arg, uint32_t shard, struct table_shard applied), void *arg);

/* The frozen generation is durable in the store: its values become clean. Done in steps, so that no
 * turn is long: call table_thaw until it returns false (nothing left). */
void table_thaw_begin(struct table *table);
bool table_thaw(struct table *table, size_t entries_max);

/* ---- Ordered reading: see cursor.h ---- */

/* The changes of the dirty and frozen layers for first <= key < end (end empty: to the shard's
 * end), sorted, newest layer only, as an immutable snapshot; also the clears (at the front) of
 * streams that begin before `first` and reach behind it. Keys are copied, values shared with the
 * table. O(log n + range). Bounded: ERR_TOO_LARGE above bytes_max (keys, values and overhead) or
 * TABLE_SNAPSHOT_CHANGES_MAX. ERR_NOMEM. Freed on the core's thread. */
#define TABLE_SNAPSHOT_CHANGES_MAX 65536
struct table_snapshot;
NODISCARD int table_snapshot_take(struct table *table, uint32_t shard, struct slice first,
    struct slice end, uint64_t bytes_max, struct table_snapshot **ret_snapshot);
void table_snapshot_free(struct table_snapshot *snapshot); /* NULL-safe */
size_t table_snapshot_count(const struct table_snapshot *snapshot);
struct table_change table_snapshot_at(const struct table_snapshot *snapshot, size_t position);

struct table_figures {
	uint64_t dirty_bytes, frozen_bytes, clean_bytes, snapshot_bytes;
	uint64_t other_bytes; /* buckets, shards, scratch memory, entries of reads under way */
	uint64_t entries, dirty_changes, frozen_changes;
	uint64_t hits, absents, colds, evictions;
	uint64_t generation; /* the dirty one; the first is 1 */
};
struct table_figures table_figures(const struct table *table);

#endif
