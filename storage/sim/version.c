#include "storage/sim/version.h"

#include <string.h>

#include "base/assert.h"
#include "base/io/sim/part.h"
#include "storage/store.h"

struct version *version_new(void)
{
	return sim_part_alloc(sizeof(struct version));
}

static void entry_drop(struct entry *entry)
{
	ASSERT(entry->users > 0);
	if (--entry->users == 0)
		sim_part_free(entry);
}

void version_free(struct version *version)
{
	if (version == NULL)
		return;
	for (size_t i = 0; i < version->count; i++)
		entry_drop(version->entries[i]);
	sim_part_free(version->entries);
	sim_part_free(version);
}

static void reserve(struct version *version, size_t count)
{
	if (count <= version->capacity)
		return;
	size_t capacity = version->capacity * 2 > count ? version->capacity * 2 : count;
	struct entry **entries = sim_part_alloc(capacity * sizeof(struct entry *));
	if (version->count > 0)
		memcpy(entries, version->entries, version->count * sizeof(struct entry *));
	sim_part_free(version->entries);
	version->entries = entries;
	version->capacity = capacity;
}

static void add(struct version *version, struct entry *entry)
{
	reserve(version, version->count + 1);
	entry->users++;
	version->entries[version->count++] = entry;
	version->bytes += entry->key_bytes + entry->value_bytes;
}

void version_append(struct version *changes, const struct store_change *change)
{
	ASSERT(change->key.bytes > 0);
	if (changes->count > 0)
		ASSERT(slice_compare(entry_key(changes->entries[changes->count - 1]), change->key) <
		       0);
	size_t value_bytes = change->is_delete ? 0 : change->value.bytes;
	struct entry *entry = sim_part_alloc(sizeof(*entry) + change->key.bytes + value_bytes);
	entry->is_delete = change->is_delete;
	entry->key_bytes = change->key.bytes;
	entry->value_bytes = value_bytes;
	memcpy(entry->data, change->key.data, change->key.bytes);
	if (value_bytes > 0)
		memcpy(entry->data + change->key.bytes, change->value.data, value_bytes);
	add(changes, entry);
}

struct version *version_merge(const struct version *content, const struct version *changes)
{
	struct version *merged = version_new();
	size_t old = 0;
	size_t new = 0;
	reserve(merged, content->count + changes->count);
	while (old < content->count || new < changes->count) {
		int order;
		if (old == content->count)
			order = 1;
		else if (new == changes->count)
			order = -1;
		else
			order = slice_compare(
			    entry_key(content->entries[old]), entry_key(changes->entries[new]));
		if (order < 0) {
			add(merged, content->entries[old++]);
			continue;
		}
		if (order == 0)
			old++;
		if (!changes->entries[new]->is_delete)
			add(merged, changes->entries[new]);
		new ++;
	}
	return merged;
}

size_t version_find(const struct version *version, struct slice key)
{
	size_t low = 0;
	size_t high = version->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (slice_compare(entry_key(version->entries[middle]), key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct entry *version_get(const struct version *version, struct slice key)
{
	size_t position = version_find(version, key);
	if (position == version->count || !slice_equal(entry_key(version->entries[position]), key))
		return NULL;
	return version->entries[position];
}
