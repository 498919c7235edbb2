#include "base/hash_table.h"

void hash_table_init(struct hash_table *table)
{
	*table = (struct hash_table){0};
}

void hash_table_done(struct hash_table *table)
{
	probe_done(&table->probe);
}

int hash_table_reserve(struct hash_table *table, size_t more)
{
	return probe_reserve(&table->probe, more);
}

int hash_table_insert(struct hash_table *table, uint64_t hash, struct hash_entry *entry)
{
	ASSERT(!hash_entry_linked(entry));
	int error =
	    probe_add(&table->probe, hash_entry_hash(hash), (union probe_value){.pointer = entry});
	if (error)
		return error;
	entry->hash = hash_entry_hash(hash);
	return 0;
}

static bool is_entry(union probe_value value, const void *key)
{
	return value.pointer == key;
}

void hash_table_remove(struct hash_table *table, struct hash_entry *entry)
{
	ASSERT(hash_entry_linked(entry));
	struct probe_cell *cell = probe_find(&table->probe, entry->hash, is_entry, entry);
	ASSERT(cell != NULL);
	probe_remove(&table->probe, cell);
	entry->hash = 0;
}

struct hash_entry *hash_table_next(const struct hash_table *table, struct hash_table_cursor *cursor)
{
	const struct probe_cell *cell = probe_next(&table->probe, &cursor->probe);
	return cell ? cell->value.pointer : NULL;
}
