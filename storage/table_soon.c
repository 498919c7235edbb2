/* What will be applied: where it stands is fetched from memory before it is needed. */
#include "base/fetch.h"
#include "storage/table.h"
#include "storage/table_order.h"
#include "storage/table_parts.h"

enum { KEY_BYTES_MOSTLY = 32, VALUE_BYTES_MOSTLY = 256 };

void table_soon_add(
    const struct table *table, struct table_soon *soon, uint32_t shard, struct slice batch)
{
	struct batch_cursor cursor;
	struct batch_op op;
	memory_fetch(table_progress_find(table, shard), sizeof(struct table_progress));
	batch_read(batch, &cursor);
	while (soon->count < TABLE_SOON_MAX && batch_next(&cursor, &op)) {
		uint64_t hash = table_entry_hash(table, shard, op.key);
		hash_table_fetch(&table->entries, hash);
		soon->keys[soon->count++] =
		    (struct table_soon_key){.key = op.key, .shard = shard, .hash = hash};
	}
}

static void fetch_entries(const struct table *table, struct table_soon *soon)
{
	for (size_t i = 0; i < soon->count; i++) {
		struct table_soon_key *key = &soon->keys[i];
		const struct hash_entry *likely = hash_table_likely(&table->entries, key->hash);
		key->entry = likely ? CONTAINER_OF(likely, struct table_entry, hash) : NULL;
		if (key->entry)
			memory_fetch(key->entry, sizeof(*key->entry) + KEY_BYTES_MOSTLY);
	}
}

/* The values that will be overwritten; of a key that is new in this generation also the way to its
 * place in the order. */
static void fetch_values(const struct table *table, const struct table_soon *soon)
{
	struct order_soon ways[TABLE_SOON_MAX];
	size_t count = 0;
	for (size_t i = 0; i < soon->count; i++) {
		const struct table_soon_key *key = &soon->keys[i];
		if (key->entry && key->entry->value)
			memory_fetch(
			    key->entry->value, sizeof(struct table_value) + VALUE_BYTES_MOSTLY);
		if (key->entry && key->entry->generation == table->generation)
			continue;
		const struct table_progress *progress = table_progress_find(table, key->shard);
		const struct table_part *part =
		    progress ? &progress->part[table->generation & 1] : NULL;
		if (part && part->generation == table->generation && part->order != 0)
			ways[count++] = (struct order_soon){.at = part->order, .key = key->key};
	}
	order_fetch(ways, count);
}

void table_soon_pass(const struct table *table, struct table_soon *soon, unsigned pass)
{
	if (pass == 0)
		fetch_entries(table, soon);
	else
		fetch_values(table, soon);
}
