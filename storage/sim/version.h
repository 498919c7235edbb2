/* The content of a simulated store after one write: sorted, never changed, sharing its entries
 * with the versions before and after it. Private to storage/sim. Memory is the node's, not a
 * process's.
 */
#ifndef KX_STORAGE_SIM_VERSION_H
#define KX_STORAGE_SIM_VERSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct store_change;

struct entry {
	uint64_t users; /* versions that hold it */
	bool damaged;
	bool is_delete; /* of a change only, never of what a version holds */
	size_t key_bytes;
	size_t value_bytes;
	uint8_t data[]; /* key, value */
};

struct version {
	struct version *next; /* of the store's list */
	uint64_t pins;        /* snapshots and cursors that read it */
	uint64_t bytes;       /* of all keys and values */
	size_t count;
	size_t capacity;
	struct entry **entries;
};

struct version *version_new(void);
void version_free(struct version *version); /* NULL-safe */

/* For the changes of one write, which are a version as long as they are collected: keys rise. */
void version_append(struct version *changes, const struct store_change *change);
/* The content with the changes applied. */
struct version *version_merge(const struct version *content, const struct version *changes);

/* The position of the first key that is not lower. */
size_t version_find(const struct version *version, struct slice key);
/* NULL where there is none. */
struct entry *version_get(const struct version *version, struct slice key);

static inline struct slice entry_key(const struct entry *entry)
{
	return slice_of(entry->data, entry->key_bytes);
}

static inline struct slice entry_value(const struct entry *entry)
{
	return slice_of(entry->data + entry->key_bytes, entry->value_bytes);
}

#endif
