/* The inside of table.h, shared by its files only:
 *
 *   table.c             entries, lookup, shards
 *   table_apply.c       one batch: plan (all that can fail), then commit
 *   table_soon.c        fetching from memory what will be applied
 *   table_order.c       the ordered index of a generation
 *   table_clean.c       reads from the store, the cache, eviction
 *   table_generation.c  freeze, sort, thaw
 *   table_snapshot.c    ranges for cursors
 *
 * Who owns what. An entry is the table's one knowledge of a key; it stays as long as it is clean,
 * is being read, or has slots. A slot is the change of one key in one generation and lives until
 * that generation is thawed. A value belongs to the slot that it stands in, or to its entry while
 * that is clean, and to the snapshots that hold it; entry->value only points at the newest.
 *
 * What the offload pool reads of a frozen generation, and what the core therefore leaves alone:
 * slots (all fields), values (all but `users`), an entry's key, keys of stream values, parts of
 * shards.
 */
#ifndef KX_STORAGE_TABLE_PARTS_H
#define KX_STORAGE_TABLE_PARTS_H

#include "base/hash.h"
#include "base/hash_table.h"
#include "base/list.h"
#include "base/number_map.h"
#include "base/mutation.h"
#include "storage/batch.h"
#include "storage/keys.h"
#include "storage/table.h"

struct table_value {
	uint32_t users; /* its owner, and snapshots */
	uint32_t bytes;
	uint32_t capacity;
	uint8_t data[];
};

/* The physical key of a joined value of a stream. */
struct table_joined {
	struct table_slot *previous; /* of the same stream and generation; NULL: none */
	uint32_t key_bytes;
	uint8_t key[]; /* with its shard */
};

enum table_slot_kind {
	SLOT_UNUSED, /* reserved in vain: no change */
	SLOT_POINT,  /* value NULL: deleted */
	SLOT_CLEAR,  /* of a stream; its key is the stream's */
	SLOT_JOINED, /* of a stream */
	SLOT_REMOVED /* joined, and cleared in the same generation: keeps its place in the order */
};

struct table_slot {
	struct table_entry *entry;
	struct table_value *value;
	struct table_joined *joined; /* SLOT_JOINED, SLOT_REMOVED */
	uintptr_t child[2];          /* private to table_order.c */
	uint32_t position;           /* the same */
	enum table_slot_kind kind;
};

enum table_entry_flag {
	ENTRY_STREAM = 1,
	ENTRY_KNOWN = 2,    /* `value` is the key's newest value, NULL: absent */
	ENTRY_CLEAN = 4,    /* and the store has it too; the value is the entry's own */
	ENTRY_USED = 8,     /* asked for since the clock's hand passed */
	ENTRY_LOADING = 16, /* being read with `ticket` */
	ENTRY_CLEARED = 32, /* stream: its clear stands in `generation` */
	ENTRY_APPENDED = 64 /* stream: `sequence` is set */
};

struct table_entry {
	struct hash_entry hash;
	struct table_value *value;
	union {
		struct list_node clock; /* clean */
		uint64_t ticket;        /* loading */
		uint64_t sequence;      /* stream: of the last append */
	} u;
	struct table_slot *slot; /* the newest, of `generation`; stream: the joined one, or NULL */
	uint64_t generation;     /* the last in which the key changed; 0: none */
	uint32_t slots;          /* in all generations */
	uint32_t key_bytes;
	uint32_t item; /* 1 + its last item in the batch that is being applied; 0: none */
	uint8_t flags;
	uint8_t key[]; /* with its shard */
};

/* What a shard did in one generation: part[generation & 1]. */
struct table_part {
	uint64_t generation; /* of what stands here; an older one: nothing in this one yet */
	uintptr_t order;
	struct table_shard applied;
	struct table_progress *next; /* of those that moved in this generation */
};

struct table_progress {
	uint32_t shard;
	struct table_shard applied;
	struct table_part part[2];
};

enum {
	BLOCK_SLOTS = 256,
	VALUE_SPARE_BYTES = 128, /* see table_value_fits */
	ALLOCATION_BYTES = 16,   /* what the allocator adds to each piece, roughly */
	CELL_BYTES = 40,         /* of the hash table, for each entry, on average */
};

struct table_block {
	struct table_block *next;
	uint32_t count;
	struct table_slot slots[BLOCK_SLOTS];
};

struct table_generation {
	struct table_block *first;
	struct table_block *last;
	uint64_t changes; /* slots that were committed, removed ones included */
	uint64_t bytes;
	struct table_progress *moved; /* shards with a part in it */
	size_t moved_count;
};

/* One operation of the batch that is being applied. */
struct table_item {
	struct batch_op op;
	struct table_entry *entry;
	struct table_slot *slot;     /* reserved; NULL: the entry's own will do */
	struct table_value *value;   /* reserved; NULL: the entry's own will do */
	struct table_joined *joined; /* reserved */
	uint64_t joined_bytes;       /* APPEND that is a head: of all appends to its value */
	uint64_t sequence;           /* APPEND, CLEAR: the stream's last one, this item included */
	bool appended;               /* the same: `sequence` is set */
	uint32_t head;               /* APPEND: the item whose value it adds to */
	bool extends;    /* APPEND that is a head: the value stands in the table already */
	bool created;    /* the entry is there for this item only */
	bool superseded; /* a later operation on the same key makes it void */
};

enum table_frozen_state { FROZEN_NONE, FROZEN_WHOLE, FROZEN_THAWING };

struct table {
	struct table_options options;
	struct hash_table entries;
	struct number_map shards; /* number: struct table_progress */

	uint64_t generation; /* the dirty one */
	struct table_generation generations[2];

	enum table_frozen_state frozen_state;
	struct table_slot *
	    *sorted; /* by table_frozen_sort, another thread's until table_thaw_begin */
	size_t sorted_count;
	struct table_block *thaw_block;
	uint32_t thaw_at;

	struct list clock; /* clean entries; the hand is at its end */
	struct table_entry *pinned;
	bool drops; /* clean values of dropped_shard go */
	uint32_t dropped_shard;
	uint64_t drop_left; /* so many of those at the clock's end may be some of them */
	uint64_t ticket;    /* the last given */

	struct table_item *items;
	size_t item_count;
	size_t item_capacity;

	uintptr_t *walk_stacks; /* two; for snapshots */

	uint64_t clean_bytes;
	uint64_t loading_bytes;
	uint64_t snapshot_bytes;
	uint64_t snapshots;
	uint64_t hits, absents, colds, evictions;
};

/* ---- table.c ---- */

static inline uint64_t table_entry_hash(const struct table *table, uint32_t shard, struct slice key)
{
	return hash_bytes(key, table->options.hash_seed ^ shard * 0x9e3779b97f4a7c15);
}
struct table_entry *table_entry_find(const struct table *table, uint32_t shard, struct slice key);
/* The key has none yet. NULL: ERR_NOMEM. */
struct table_entry *table_entry_new(
    struct table *table, uint32_t shard, struct slice key, uint8_t flags);
void table_entry_free(struct table *table, struct table_entry *entry);
static inline struct table_progress *table_progress_find(const struct table *table, uint32_t shard)
{
	return number_map_get(&table->shards, shard);
}

static inline struct table_generation *table_dirty(struct table *table)
{
	return &table->generations[table->generation & 1];
}

static inline struct table_generation *table_frozen(struct table *table)
{
	return &table->generations[(table->generation - 1) & 1];
}

static inline struct slice table_entry_key(const struct table_entry *entry)
{
	return slice_of(entry->key + KEY_SHARD_BYTES, entry->key_bytes - KEY_SHARD_BYTES);
}

static inline uint64_t table_entry_cost(const struct table_entry *entry)
{
	return sizeof(*entry) + entry->key_bytes + ALLOCATION_BYTES + CELL_BYTES;
}

/* A block for `bytes` that may grow a little in place; users 1, bytes 0. NULL: ERR_NOMEM. */
struct table_value *table_value_new(uint64_t bytes);
uint32_t table_value_capacity(uint64_t bytes);
void table_value_drop(struct table_value *value); /* one user less; NULL-safe */

static inline uint64_t table_value_cost(const struct table_value *value)
{
	return value ? sizeof(*value) + value->capacity + ALLOCATION_BYTES : 0;
}

/* The block is large enough. */
void table_value_set(struct table_value *value, struct slice bytes);

/* Whether the block may be overwritten with `bytes`: not too small, not far too large, and nobody
 * else's. */
static inline bool table_value_fits(const struct table_value *value, uint64_t bytes)
{
	bool shared = value && value->users > 1 && !MUTATION(table_snapshot_sees_later_change);
	return value && !shared && value->capacity >= bytes &&
	       value->capacity <= 2 * bytes + VALUE_SPARE_BYTES;
}

uint64_t table_slot_cost(const struct table_slot *slot);
void table_slot_free(struct table_slot *slot); /* value and joined key */

/* ---- table_generation.c ---- */

/* The store's key of a slot, and what its change is. */
struct slice table_slot_key(const struct table_slot *slot);
enum table_change_kind table_slot_change(const struct table_slot *slot);

/* ---- table_clean.c ---- */

/* Takes a clean or loading entry out of that state; its value, if any, is the caller's then. */
void table_entry_leave(struct table *table, struct table_entry *entry);
/* The entry, which has no slots any more, is clean with entry->value. */
void table_entry_clean(struct table *table, struct table_entry *entry);

#endif
