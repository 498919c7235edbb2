/* Hash table of entries embedded in their owner's objects, with any kind of key (base/probe.h tells
 * how, and what it costs): O(1) expected; growing is spread over the insertions; memory outside the
 * entries is 26 to 51 bytes for each.
 *
 * The caller hashes the key (base/hash.h, with a secret seed where outsiders choose keys) and says
 * when an entry has a key. The table owns nothing but its cells; an entry may not move in memory
 * while it is in a table. The order of a walk follows from the hashes and operations alone. One
 * thread.
 */
#ifndef KX_BASE_HASH_TABLE_H
#define KX_BASE_HASH_TABLE_H

#include "base/probe.h"

struct hash_entry {
	uint64_t hash; /* 0 while in no table */
};

struct hash_table {
	struct probe probe;
};

/* Whether the entry, whose hash is the key's, has this very key. */
typedef bool hash_entry_equal(const struct hash_entry *entry, const void *key);

/* Allocates nothing; a table of zeros is an empty table too. */
void hash_table_init(struct hash_table *table);

/* Frees the cells, not the entries; these may not be removed or asked afterwards. */
void hash_table_done(struct hash_table *table);

static inline size_t hash_table_count(const struct hash_table *table)
{
	return probe_count(&table->probe);
}

static inline void hash_entry_init(struct hash_entry *entry)
{
	entry->hash = 0;
}

static inline bool hash_entry_linked(const struct hash_entry *entry)
{
	return entry->hash != 0;
}

/* Makes sure that `more` entries can be inserted without failing. ERR_NOMEM, ERR_TOO_LARGE. */
NODISCARD int hash_table_reserve(struct hash_table *table, size_t more);

/* The caller has made sure that no entry has the key yet. ERR_NOMEM, ERR_TOO_LARGE; on failure
 * nothing changes. */
NODISCARD int hash_table_insert(struct hash_table *table, uint64_t hash, struct hash_entry *entry);

/* Removes an entry of this table. */
void hash_table_remove(struct hash_table *table, struct hash_entry *entry);

/* Hash 0 means an empty cell; whoever has it shares 1's cells, and `equal` tells them apart. */
static inline uint64_t hash_entry_hash(uint64_t hash)
{
	return hash ? hash : 1;
}

/* The entry of this hash, mostly, or NULL; only to have it fetched. */
static inline const struct hash_entry *hash_table_likely(
    const struct hash_table *table, uint64_t hash)
{
	const struct probe_cell *cell =
	    probe_find_in(&table->probe.now, hash_entry_hash(hash), NULL, NULL);
	return cell ? (const struct hash_entry *)cell->value.pointer : NULL;
}

/* The processor is told that this hash will be looked for. */
static inline void hash_table_fetch(const struct hash_table *table, uint64_t hash)
{
	const struct probe_array *array = &table->probe.now;
	if (array->cells)
		__builtin_prefetch(&array->cells[hash_entry_hash(hash) & array->mask]);
}

struct hash_table_key {
	hash_entry_equal *equal;
	const void *key;
};

static inline __attribute__((always_inline)) bool hash_table_matches(
    union probe_value value, const void *key)
{
	const struct hash_table_key *wanted = (const struct hash_table_key *)key;
	return wanted->equal((const struct hash_entry *)value.pointer, wanted->key);
}

/* The entry or NULL. Inlined, so that `equal` can be too. */
static inline __attribute__((always_inline)) struct hash_entry *hash_table_find(
    const struct hash_table *table, uint64_t hash, hash_entry_equal *equal, const void *key)
{
	struct hash_table_key wanted = {.equal = equal, .key = key};
	const struct probe_cell *cell =
	    probe_find(&table->probe, hash_entry_hash(hash), hash_table_matches, &wanted);
	return cell ? (struct hash_entry *)cell->value.pointer : NULL;
}

/* Walks over all entries: start with a cursor of zeros, NULL at the end. Between two steps the
 * entry just given may be removed (and then freed); nothing else may change. */
struct hash_table_cursor {
	struct probe_cursor probe;
};

struct hash_entry *hash_table_next(
    const struct hash_table *table, struct hash_table_cursor *cursor);

#endif
