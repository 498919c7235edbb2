#include "storage/table.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "storage/table_order.h"
#include "storage/table_parts.h"

int table_new(const struct table_options *options, struct table **ret_table)
{
	struct table *table = mem_zalloc(1, sizeof(*table));
	if (!table)
		return ERR_NOMEM;
	table->options = *options;
	table->generation = 1;
	hash_table_init(&table->entries);
	number_map_init(&table->shards);
	list_init(&table->clock);
	*ret_table = table;
	return 0;
}

/* Of slots that were thawed already, at the front, nothing is the generation's any more. */
static void generation_free(struct table_generation *generation, uint32_t thawed)
{
	struct table_block *block = generation->first;
	uint32_t begin = thawed;
	while (block) {
		for (uint32_t i = begin; i < block->count; i++)
			table_slot_free(&block->slots[i]);
		struct table_block *next = block->next;
		mem_free(block);
		block = next;
		begin = 0;
	}
}

void table_free(struct table *table)
{
	if (!table)
		return;
	ASSERT(table->snapshots == 0);
	generation_free(table_dirty(table), 0);
	generation_free(table_frozen(table), table->thaw_at);
	struct hash_table_cursor cursor = {0};
	struct hash_entry *hash;
	while ((hash = hash_table_next(&table->entries, &cursor))) {
		struct table_entry *entry = CONTAINER_OF(hash, struct table_entry, hash);
		if (entry->flags & ENTRY_CLEAN)
			table_value_drop(entry->value);
		hash_table_remove(&table->entries, hash);
		mem_free(entry);
	}
	hash_table_done(&table->entries);
	struct map_cursor shards = {0};
	uint64_t shard;
	uint64_t progress;
	while (map_next(&table->shards.map, &shards, &shard, &progress))
		mem_free((void *)(uintptr_t)progress);
	number_map_done(&table->shards);
	mem_free(table->sorted);
	mem_free(table->items);
	mem_free(table->walk_stacks);
	mem_free(table);
}

/* ---- Shards ---- */

int table_shard_add(struct table *table, uint32_t shard, struct table_shard start)
{
	ASSERT(shard < KEY_SHARDS_MAX);
	ASSERT(!table_shard_exists(table, shard));
	struct table_progress *progress = mem_zalloc(1, sizeof(*progress));
	if (!progress)
		return ERR_NOMEM;
	progress->shard = shard;
	progress->applied = start;
	int error = number_map_put(&table->shards, shard, progress);
	if (error) {
		mem_free(progress);
		return error;
	}
	return 0;
}

bool table_shard_exists(const struct table *table, uint32_t shard)
{
	return table_progress_find(table, shard) != NULL;
}

struct table_shard table_shard_get(const struct table *table, uint32_t shard)
{
	const struct table_progress *progress = table_progress_find(table, shard);
	return progress ? progress->applied : (struct table_shard){0};
}

bool table_shard_dirty(const struct table *table, uint32_t shard)
{
	const struct table_progress *progress = table_progress_find(table, shard);
	return progress && progress->part[table->generation & 1].generation == table->generation;
}

void table_shard_restart(struct table *table, uint32_t shard, struct table_shard start)
{
	struct table_progress *progress = table_progress_find(table, shard);
	ASSERT(progress && !table_shard_dirty(table, shard) && table_can_freeze(table));
	progress->applied = start;
}

void table_shard_remove(struct table *table, uint32_t shard)
{
	struct table_progress *progress = table_progress_find(table, shard);
	ASSERT(progress && !table_shard_dirty(table, shard) && table_can_freeze(table));
	number_map_remove(&table->shards, shard);
	mem_free(progress);
}

/* ---- Entries ---- */

struct wanted {
	struct slice key;
	uint32_t shard;
};

static inline bool entry_is(const struct hash_entry *hash, const void *wanted)
{
	const struct table_entry *entry = CONTAINER_OF(hash, struct table_entry, hash);
	const struct wanted *want = wanted;
	return entry->key_bytes == want->key.bytes + KEY_SHARD_BYTES &&
	       load_u32be(entry->key) == want->shard &&
	       memcmp(entry->key + KEY_SHARD_BYTES, want->key.data, want->key.bytes) == 0;
}

static inline __attribute__((always_inline)) struct table_entry *entry_find(
    const struct table *table, uint32_t shard, struct slice key)
{
	ASSERT(key.bytes > 0 && key.bytes <= BATCH_KEY_BYTES_MAX);
	struct wanted wanted = {.key = key, .shard = shard};
	struct hash_entry *hash = hash_table_find(
	    &table->entries, table_entry_hash(table, shard, key), entry_is, &wanted);
	return hash ? CONTAINER_OF(hash, struct table_entry, hash) : NULL;
}

struct table_entry *table_entry_find(const struct table *table, uint32_t shard, struct slice key)
{
	return entry_find(table, shard, key);
}

struct table_entry *table_entry_new(
    struct table *table, uint32_t shard, struct slice key, uint8_t flags)
{
	struct table_entry *entry = mem_alloc(sizeof(*entry) + KEY_SHARD_BYTES + key.bytes);
	if (!entry)
		return NULL;
	*entry = (struct table_entry){.flags = flags};
	entry->key_bytes = (uint32_t)(KEY_SHARD_BYTES + key.bytes);
	key_shard_put(entry->key, shard);
	memcpy(entry->key + KEY_SHARD_BYTES, key.data, key.bytes);
	hash_entry_init(&entry->hash);
	if (hash_table_insert(&table->entries, table_entry_hash(table, shard, key), &entry->hash)) {
		mem_free(entry);
		return NULL;
	}
	return entry;
}

void table_entry_free(struct table *table, struct table_entry *entry)
{
	ASSERT(entry->slots == 0 && entry->item == 0);
	ASSERT((entry->flags & (ENTRY_CLEAN | ENTRY_LOADING)) == 0);
	if (table->pinned == entry)
		table->pinned = NULL;
	hash_table_remove(&table->entries, &entry->hash);
	mem_free(entry);
}

/* Now and then, so that the damage looks like pressure and not like a broken table. */
static bool mutation_forgets(const struct table *table, const struct table_entry *entry)
{
	if ((table->hits & 7) != 7 || (entry->flags & ENTRY_CLEAN))
		return false;
	if (entry->generation == table->generation)
		return MUTATION(table_dirty_evicted);
	return MUTATION(table_frozen_evicted);
}

enum table_found table_get(
    struct table *table, uint32_t shard, struct slice key, struct slice *ret_value)
{
	struct table_entry *entry = entry_find(table, shard, key);
	if (!entry) {
		table->colds++;
		return TABLE_COLD;
	}
	ASSERT((entry->flags & ENTRY_STREAM) == 0);
	if ((entry->flags & ENTRY_KNOWN) == 0) {
		ASSERT((entry->flags & ENTRY_LOADING) != 0);
		return TABLE_LOADING;
	}
	entry->flags |= ENTRY_USED;
	if (!entry->value) {
		table->absents++;
		return TABLE_ABSENT;
	}
	table->hits++;
	if (mutation_forgets(table, entry))
		return TABLE_ABSENT;
	*ret_value = slice_of(entry->value->data, entry->value->bytes);
	return TABLE_VALUE;
}

/* ---- Values and slots ---- */

/* Room for an eighth more, since states grow, in pieces of 16 as allocators have them. */
uint32_t table_value_capacity(uint64_t bytes)
{
	ASSERT(bytes <= UINT32_MAX / 4);
	uint64_t whole = (sizeof(struct table_value) + bytes + bytes / 8 + 15) / 16 * 16;
	return (uint32_t)(whole - sizeof(struct table_value));
}

struct table_value *table_value_new(uint64_t bytes)
{
	uint32_t capacity = table_value_capacity(bytes);
	struct table_value *value = mem_alloc(sizeof(*value) + capacity);
	if (value)
		*value = (struct table_value){.users = 1, .bytes = 0, .capacity = capacity};
	return value;
}

void table_value_set(struct table_value *value, struct slice bytes)
{
	ASSERT(bytes.bytes <= value->capacity);
	if (bytes.bytes > 0)
		memcpy(value->data, bytes.data, bytes.bytes);
	value->bytes = (uint32_t)bytes.bytes;
}

void table_value_drop(struct table_value *value)
{
	if (!value)
		return;
	ASSERT(value->users > 0);
	if (--value->users == 0)
		mem_free(value);
}

uint64_t table_slot_cost(const struct table_slot *slot)
{
	uint64_t bytes = sizeof(*slot) + table_entry_cost(slot->entry);
	if (slot->joined)
		bytes += sizeof(*slot->joined) + slot->joined->key_bytes + ALLOCATION_BYTES;
	return bytes + table_value_cost(slot->value);
}

void table_slot_free(struct table_slot *slot)
{
	table_value_drop(slot->value);
	mem_free(slot->joined);
	slot->value = NULL;
	slot->joined = NULL;
	slot->kind = SLOT_UNUSED;
}

struct table_figures table_figures(const struct table *table)
{
	const struct table_generation *dirty = &table->generations[table->generation & 1];
	const struct table_generation *frozen = &table->generations[(table->generation - 1) & 1];
	uint64_t other = table->loading_bytes + table->item_capacity * sizeof(struct table_item) +
	                 map_count(&table->shards.map) *
	                     (sizeof(struct table_progress) + ALLOCATION_BYTES + CELL_BYTES);
	if (table->walk_stacks)
		other += 2 * ORDER_DEPTH_MAX * sizeof(*table->walk_stacks);
	return (struct table_figures){
	    .dirty_bytes = dirty->bytes,
	    .frozen_bytes = frozen->bytes,
	    .clean_bytes = table->clean_bytes,
	    .snapshot_bytes = table->snapshot_bytes,
	    .other_bytes = other,
	    .entries = hash_table_count(&table->entries),
	    .dirty_changes = dirty->changes,
	    .frozen_changes = frozen->changes,
	    .hits = table->hits,
	    .absents = table->absents,
	    .colds = table->colds,
	    .evictions = table->evictions,
	    .generation = table->generation,
	};
}
