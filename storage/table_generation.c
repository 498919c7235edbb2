#include "base/assert.h"
#include "base/fetch.h"
#include "base/mem.h"
#include "storage/table.h"
#include "storage/table_order.h"
#include "storage/table_parts.h"

#include <stdlib.h>

bool table_can_freeze(const struct table *table)
{
	return table->frozen_state == FROZEN_NONE;
}

bool table_unchanged(const struct table *table)
{
	const struct table_generation *dirty = &table->generations[table->generation & 1];
	ASSERT(dirty->moved_count > 0 || dirty->changes == 0);
	return dirty->moved_count == 0;
}

void table_freeze(struct table *table)
{
	ASSERT(table_can_freeze(table));
	table->generation++;
	ASSERT(table_dirty(table)->first == NULL && table_dirty(table)->bytes == 0);
	table->frozen_state = FROZEN_WHOLE;
}

/* ---- The frozen generation, as the offload pool sees it ---- */

static int compare_shards(const void *a, const void *b)
{
	const struct table_progress *const *left = a;
	const struct table_progress *const *right = b;
	return ((*left)->shard > (*right)->shard) - ((*left)->shard < (*right)->shard);
}

/* Those that moved, by number; NULL: ERR_NOMEM. */
static const struct table_progress **moved_sorted(
    const struct table_generation *frozen, uint64_t generation)
{
	const struct table_progress **moved =
	    mem_alloc((frozen->moved_count + 1) * sizeof(struct table_progress *));
	if (!moved)
		return NULL;
	size_t count = 0;
	for (const struct table_progress *progress = frozen->moved; progress;
	     progress = progress->part[generation & 1].next)
		moved[count++] = progress;
	ASSERT(count == frozen->moved_count);
	qsort(moved, count, sizeof(struct table_progress *), compare_shards);
	return moved;
}

int table_frozen_sort(struct table *table)
{
	ASSERT(table->frozen_state == FROZEN_WHOLE);
	struct table_generation *frozen = table_frozen(table);
	uint64_t generation = table->generation - 1;
	mem_free(table->sorted);
	table->sorted_count = 0;
	table->sorted = mem_alloc((frozen->changes + 1) * sizeof(struct table_slot *));
	uintptr_t *stack = mem_alloc(ORDER_DEPTH_MAX * sizeof(*stack));
	const struct table_progress **moved = moved_sorted(frozen, generation);
	int error = ERR_NOMEM;
	if (!table->sorted || !stack || !moved)
		goto done;
	for (size_t i = 0; i < frozen->moved_count; i++) {
		struct order_walk walk;
		struct table_slot *slot;
		order_walk_begin(&walk, stack, moved[i]->part[generation & 1].order);
		while ((slot = order_walk_next(&walk))) {
			if (slot->kind != SLOT_REMOVED)
				table->sorted[table->sorted_count++] = slot;
		}
	}
	ASSERT(table->sorted_count <= frozen->changes);
	error = 0;
done:
	mem_free(moved);
	mem_free(stack);
	return error;
}

size_t table_frozen_count(const struct table *table)
{
	ASSERT(table->frozen_state == FROZEN_WHOLE && table->sorted);
	return table->sorted_count;
}

struct slice table_slot_key(const struct table_slot *slot)
{
	if (slot->joined)
		return slice_of(slot->joined->key, slot->joined->key_bytes);
	return slice_of(slot->entry->key, slot->entry->key_bytes);
}

enum table_change_kind table_slot_change(const struct table_slot *slot)
{
	switch (slot->kind) {
	case SLOT_POINT:
		return slot->value ? TABLE_PUT : TABLE_DELETE;
	case SLOT_JOINED:
		return TABLE_PUT;
	case SLOT_CLEAR:
		return TABLE_CLEAR;
	case SLOT_UNUSED:
	case SLOT_REMOVED:
		break;
	}
	UNREACHABLE();
}

/* They are read one after the other, and stand anywhere: those that come are fetched from memory,
 * each in two steps. */
enum { SLOT_AHEAD = 16, CONTENT_AHEAD = 8 };

static void fetch_content(const struct table_slot *slot)
{
	memory_fetch(slot->entry, sizeof(*slot->entry) + KEY_SHARD_BYTES);
	memory_fetch(slot->value, slot->value ? sizeof(*slot->value) : 0);
}

struct table_change table_frozen_at(const struct table *table, size_t position)
{
	ASSERT(position < table_frozen_count(table));
	if (position + SLOT_AHEAD < table->sorted_count) {
		memory_fetch(table->sorted[position + SLOT_AHEAD], sizeof(struct table_slot));
		fetch_content(table->sorted[position + CONTENT_AHEAD]);
	}
	const struct table_slot *slot = table->sorted[position];
	struct table_change change = {.key = table_slot_key(slot), .kind = table_slot_change(slot)};
	if (slot->value)
		change.value = slice_of(slot->value->data, slot->value->bytes);
	if (slot->kind == SLOT_JOINED && MUTATION(table_freeze_loses_stream_append))
		change.value.bytes /= 2;
	return change;
}

void table_frozen_shards(const struct table *table,
    void (*each)(void *arg, uint32_t shard, struct table_shard applied), void *arg)
{
	ASSERT(table->frozen_state == FROZEN_WHOLE);
	uint64_t generation = table->generation - 1;
	const struct table_progress *progress = table->generations[generation & 1].moved;
	while (progress) {
		const struct table_part *part = &progress->part[generation & 1];
		ASSERT(part->generation == generation);
		each(arg, progress->shard, part->applied);
		progress = part->next;
	}
}

/* ---- Thaw ---- */

void table_thaw_begin(struct table *table)
{
	ASSERT(table->frozen_state == FROZEN_WHOLE);
	mem_free(table->sorted);
	table->sorted = NULL;
	table->sorted_count = 0;
	table->frozen_state = FROZEN_THAWING;
	table->thaw_at = 0;
}

static void thaw_point(struct table *table, struct table_slot *slot)
{
	struct table_entry *entry = slot->entry;
	if (entry->generation == table->generation) {
		if (slot->value && table_value_fits(entry->value, slot->value->bytes) &&
		    MUTATION(table_thaw_drops_newer))
			table_value_set(
			    entry->value, slice_of(slot->value->data, slot->value->bytes));
		table_value_drop(slot->value);
		return;
	}
	ASSERT(entry->slots == 0 && entry->value == slot->value);
	table_entry_clean(table, entry);
}

static void thaw_slot(struct table *table, struct table_slot *slot)
{
	if (slot->kind == SLOT_UNUSED)
		return;
	struct table_generation *frozen = table_frozen(table);
	struct table_entry *entry = slot->entry;
	uint64_t cost = table_slot_cost(slot);
	ASSERT(frozen->bytes >= cost && frozen->changes > 0 && entry->slots > 0);
	frozen->bytes -= cost;
	frozen->changes--;
	entry->slots--;
	if (slot->kind == SLOT_POINT) {
		thaw_point(table, slot);
		return;
	}
	/* Streams are read through cursors, so from the store. */
	table_slot_free(slot);
	if (entry->slots == 0)
		table_entry_free(table, entry);
}

bool table_thaw(struct table *table, size_t entries_max)
{
	ASSERT(table->frozen_state == FROZEN_THAWING && entries_max > 0);
	struct table_generation *frozen = table_frozen(table);
	struct table_block *block = frozen->first;
	for (size_t done = 0; block && done < entries_max; done++) {
		ASSERT(table->thaw_at < block->count);
		if (table->thaw_at + CONTENT_AHEAD < block->count)
			fetch_content(&block->slots[table->thaw_at + CONTENT_AHEAD]);
		thaw_slot(table, &block->slots[table->thaw_at++]);
		if (table->thaw_at < block->count)
			continue;
		frozen->first = block->next;
		mem_free(block);
		block = frozen->first;
		table->thaw_at = 0;
	}
	if (block)
		return true;
	ASSERT(frozen->bytes == 0 && frozen->changes == 0);
	*frozen = (struct table_generation){.first = NULL};
	table->frozen_state = FROZEN_NONE;
	return false;
}
