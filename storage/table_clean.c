/* What the store has too: reads of cold keys, and the cache of what they brought and of what was
 * thawed. The cache is a clock: new entries at its front, the hand at its end; what was used since
 * the hand last passed goes round once more. */
#include "base/assert.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "storage/table.h"
#include "storage/table_parts.h"

enum {
	/* Used entries that one eviction passes over: the hand's way is bounded, however many of
	 * them were used. */
	SECOND_CHANCES_MAX = 8
};

static uint64_t clean_cost(const struct table_entry *entry)
{
	return table_entry_cost(entry) + table_value_cost(entry->value);
}

void table_entry_leave(struct table *table, struct table_entry *entry)
{
	if (entry->flags & ENTRY_CLEAN) {
		uint64_t cost = clean_cost(entry);
		ASSERT(table->clean_bytes >= cost);
		table->clean_bytes -= cost;
		list_remove(&entry->u.clock);
	} else if (entry->flags & ENTRY_LOADING) {
		ASSERT(!entry->value);
		table->loading_bytes -= table_entry_cost(entry);
	}
	entry->flags &= (uint8_t) ~(ENTRY_CLEAN | ENTRY_LOADING);
}

static bool is_dropped(const struct table *table, const struct table_entry *entry)
{
	return table->drops && load_u32be(entry->key) == table->dropped_shard;
}

/* The next to go, or NULL where only those are left that must stay. */
static struct table_entry *victim(struct table *table, const struct table_entry *keep)
{
	unsigned chances = SECOND_CHANCES_MAX;
	/* Two may have to stay, so the third time round there is nobody else. */
	for (unsigned stayed = 0; stayed < 3;) {
		struct list_node *node = list_last(&table->clock);
		if (!node)
			return NULL;
		struct table_entry *entry = CONTAINER_OF(node, struct table_entry, u.clock);
		bool stays = entry == keep || entry == table->pinned;
		/* Rule: one that is to be dropped does not go round once more, behind the hand of
		 * table_drop_step. */
		if (!stays &&
		    (is_dropped(table, entry) || (entry->flags & ENTRY_USED) == 0 || chances == 0))
			return entry;
		if (stays)
			stayed++;
		else
			chances--;
		entry->flags &= (uint8_t)~ENTRY_USED;
		list_remove(node);
		list_push_front(&table->clock, node);
	}
	return NULL;
}

static void evict(struct table *table, const struct table_entry *keep)
{
	while (table->clean_bytes > table->options.clean_bytes_max) {
		struct table_entry *entry = victim(table, keep);
		if (!entry)
			return;
		ASSERT(entry->slots == 0);
		table_entry_leave(table, entry);
		table_value_drop(entry->value);
		table_entry_free(table, entry);
		table->evictions++;
	}
}

void table_entry_clean(struct table *table, struct table_entry *entry)
{
	ASSERT((entry->flags & (ENTRY_STREAM | ENTRY_CLEAN | ENTRY_LOADING)) == 0);
	entry->flags |= ENTRY_KNOWN | ENTRY_CLEAN;
	entry->slot = NULL;
	list_node_init(&entry->u.clock);
	list_push_front(&table->clock, &entry->u.clock);
	table->clean_bytes += clean_cost(entry);
	evict(table, entry);
}

void table_drop_begin(struct table *table, uint32_t shard)
{
	ASSERT(!table->drops);
	table->drops = true;
	table->dropped_shard = shard;
	table->drop_left = hash_table_count(&table->entries);
}

/* The hand goes round once; what stays, stays in order. */
bool table_drop_step(struct table *table, size_t entries_max)
{
	for (size_t i = 0; table->drop_left > 0; i++) {
		struct list_node *node = list_last(&table->clock);
		if (!node)
			break;
		if (i == entries_max)
			return true;
		table->drop_left--;
		struct table_entry *entry = CONTAINER_OF(node, struct table_entry, u.clock);
		if (!is_dropped(table, entry)) {
			list_remove(node);
			list_push_front(&table->clock, node);
			continue;
		}
		table_entry_leave(table, entry);
		table_value_drop(entry->value);
		table_entry_free(table, entry);
	}
	table->drop_left = 0;
	table->drops = false;
	return false;
}

/* ---- Reads ---- */

int table_load(struct table *table, uint32_t shard, struct slice key, uint64_t *ret_ticket)
{
	ASSERT(!table_entry_find(table, shard, key));
	struct table_entry *entry = table_entry_new(table, shard, key, ENTRY_LOADING);
	if (!entry)
		return ERR_NOMEM;
	entry->u.ticket = ++table->ticket;
	table->loading_bytes += table_entry_cost(entry);
	*ret_ticket = entry->u.ticket;
	return 0;
}

static struct table_entry *waiting(
    const struct table *table, uint32_t shard, struct slice key, uint64_t ticket)
{
	struct table_entry *entry = table_entry_find(table, shard, key);
	bool waits = entry && (entry->flags & ENTRY_LOADING) && entry->u.ticket == ticket;
	return waits ? entry : NULL;
}

bool table_load_current(
    const struct table *table, uint32_t shard, struct slice key, uint64_t ticket)
{
	return waiting(table, shard, key, ticket) != NULL;
}

void table_load_failed(struct table *table, uint32_t shard, struct slice key, uint64_t ticket)
{
	struct table_entry *entry = waiting(table, shard, key, ticket);
	if (!entry)
		return;
	table_entry_leave(table, entry);
	table_entry_free(table, entry);
}

int table_fill(struct table *table, uint32_t shard, struct slice key, uint64_t ticket, bool found,
    struct slice value)
{
	ASSERT(value.bytes <= BATCH_VALUE_BYTES_MAX);
	struct table_entry *entry = waiting(table, shard, key, ticket);
	if (!entry) {
		entry = table_entry_find(table, shard, key);
		if (entry && table_value_fits(entry->value, value.bytes) &&
		    MUTATION(table_late_fill_overwrites))
			table_value_set(entry->value, value);
		return 0;
	}
	table_entry_leave(table, entry);
	if (found) {
		entry->value = table_value_new(value.bytes);
		if (!entry->value) {
			table_entry_free(table, entry);
			return ERR_NOMEM;
		}
		table_value_set(entry->value, value);
	}
	table_entry_clean(table, entry);
	return 0;
}

void table_pin(struct table *table, uint32_t shard, struct slice key)
{
	ASSERT(!table->pinned);
	struct table_entry *entry = table_entry_find(table, shard, key);
	if (entry && (entry->flags & ENTRY_CLEAN))
		table->pinned = entry;
}

void table_unpin(struct table *table)
{
	table->pinned = NULL;
}
