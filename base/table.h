/* Hash table of entries embedded in their owner's objects, with any kind of key (base/probe.h tells
 * how, and what it costs): O(1) expected; growing is spread over the insertions; memory outside the
 * entries is 26 to 51 bytes for each.
 *
 * The caller hashes the key (base/hash.h, with a secret seed where outsiders choose keys) and says
 * when an entry has a key. The table owns nothing but its cells; an entry may not move in memory
 * while it is in a table. The order of a walk follows from the hashes and operations alone. One
 * thread.
 */
#ifndef KX_BASE_TABLE_H
#define KX_BASE_TABLE_H

#include "base/probe.h"

struct table_entry {
	uint64_t hash; /* 0 while in no table */
};

struct table {
	struct probe probe;
};

/* Whether the entry, whose hash is the key's, has this very key. */
typedef bool table_equal(const struct table_entry *entry, const void *key);

/* Allocates nothing; a table of zeros is an empty table too. */
void table_init(struct table *table);

/* Frees the cells, not the entries; these may not be removed or asked afterwards. */
void table_done(struct table *table);

static inline size_t table_count(const struct table *table)
{
	return probe_count(&table->probe);
}

static inline void table_entry_init(struct table_entry *entry)
{
	entry->hash = 0;
}

static inline bool table_entry_linked(const struct table_entry *entry)
{
	return entry->hash != 0;
}

/* Makes sure that `more` entries can be inserted without failing. ERR_NOMEM, ERR_TOO_LARGE. */
NODISCARD int table_reserve(struct table *table, size_t more);

/* The caller has made sure that no entry has the key yet. ERR_NOMEM, ERR_TOO_LARGE; on failure
 * nothing changes. */
NODISCARD int table_insert(struct table *table, uint64_t hash, struct table_entry *entry);

/* Removes an entry of this table. */
void table_remove(struct table *table, struct table_entry *entry);

/* Hash 0 means an empty cell; whoever has it shares 1's cells, and `equal` tells them apart. */
static inline uint64_t table_hash(uint64_t hash)
{
	return hash ? hash : 1;
}

static inline struct table_entry *table_entry_of(uint64_t value)
{
	return (struct table_entry *)(uintptr_t)value;
}

struct table_key {
	table_equal *equal;
	const void *key;
};

static inline __attribute__((always_inline)) bool table_matches(uint64_t value, const void *key)
{
	const struct table_key *wanted = (const struct table_key *)key;
	return wanted->equal(table_entry_of(value), wanted->key);
}

/* The entry or NULL. Inlined, so that `equal` can be too. */
static inline __attribute__((always_inline)) struct table_entry *table_find(
    const struct table *table, uint64_t hash, table_equal *equal, const void *key)
{
	struct table_key wanted = {.equal = equal, .key = key};
	const struct probe_cell *cell =
	    probe_find(&table->probe, table_hash(hash), table_matches, &wanted);
	return cell ? table_entry_of(cell->value) : NULL;
}

/* Walks over all entries: start with a cursor of zeros, NULL at the end. Between two steps the
 * entry just given may be removed (and then freed); nothing else may change. */
struct table_cursor {
	struct probe_cursor probe;
};

struct table_entry *table_next(const struct table *table, struct table_cursor *cursor);

#endif
