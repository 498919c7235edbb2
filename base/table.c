#include "base/table.h"

void table_init(struct table *table)
{
	*table = (struct table){0};
}

void table_done(struct table *table)
{
	probe_done(&table->probe);
}

int table_reserve(struct table *table, size_t more)
{
	return probe_reserve(&table->probe, more);
}

int table_insert(struct table *table, uint64_t hash, struct table_entry *entry)
{
	ASSERT(!table_entry_linked(entry));
	int error = probe_add(&table->probe, table_hash(hash), (uint64_t)(uintptr_t)entry);
	if (error)
		return error;
	entry->hash = table_hash(hash);
	return 0;
}

static bool is_entry(uint64_t value, const void *key)
{
	return table_entry_of(value) == key;
}

void table_remove(struct table *table, struct table_entry *entry)
{
	ASSERT(table_entry_linked(entry));
	struct probe_cell *cell = probe_find(&table->probe, entry->hash, is_entry, entry);
	ASSERT(cell != NULL);
	probe_remove(&table->probe, cell);
	entry->hash = 0;
}

struct table_entry *table_next(const struct table *table, struct table_cursor *cursor)
{
	const struct probe_cell *cell = probe_next(&table->probe, &cursor->probe);
	return cell ? table_entry_of(cell->value) : NULL;
}
