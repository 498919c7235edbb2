#include "base/assert.h"
#include "base/mem.h"
#include "storage/table.h"
#include "storage/table_order.h"
#include "storage/table_parts.h"

struct snapshot_change {
	struct slice key; /* in `keys` */
	struct slice value;
	struct table_value *held; /* what `value` looks into; NULL: nothing */
	enum table_change_kind kind;
};

struct table_snapshot {
	struct table *table;
	uint64_t bytes;
	size_t count;
	struct snapshot_change *changes;
	uint8_t keys[];
};

/* The changes of one range, newest layer only, in order: a merge of the two generations' orders. */
struct range {
	struct order_walk dirty;
	struct order_walk frozen;
	struct table_slot *next_dirty;
	struct table_slot *next_frozen;
	struct slice first;
	struct slice end;     /* empty: none */
	struct slice cleared; /* the stream last cleared in the dirty generation; empty: none */
};

static struct table_slot *walk_next(struct order_walk *walk)
{
	struct table_slot *slot;
	do
		slot = order_walk_next(walk);
	while (slot && slot->kind == SLOT_REMOVED);
	return slot;
}

static uintptr_t order_of(const struct table_progress *progress, uint64_t generation)
{
	const struct table_part *part = &progress->part[generation & 1];
	return part->generation == generation ? part->order : 0;
}

static void range_begin(
    struct range *range, struct table *table, uint32_t shard, struct slice first, struct slice end)
{
	const struct table_progress *progress = table_progress_find(table, shard);
	uintptr_t dirty = 0;
	uintptr_t frozen = 0;
	if (progress) {
		dirty = order_of(progress, table->generation);
		/* A generation that is being thawed is in the store. */
		if (table->frozen_state == FROZEN_WHOLE)
			frozen = order_of(progress, table->generation - 1);
	}
	*range = (struct range){.first = first, .end = end};
	uintptr_t *stack = table->walk_stacks;
	range->next_dirty = order_walk_from(&range->dirty, stack, dirty, first);
	if (!range->next_dirty)
		range->next_dirty = walk_next(&range->dirty);
	range->next_frozen =
	    order_walk_from(&range->frozen, stack + ORDER_DEPTH_MAX, frozen, first);
	if (!range->next_frozen)
		range->next_frozen = walk_next(&range->frozen);
}

static bool begins(struct slice prefix, struct slice key)
{
	return prefix.bytes <= key.bytes && memcmp(prefix.data, key.data, prefix.bytes) == 0;
}

/* What the dirty generation says of the stream hides all that is older of it. */
static bool hidden(const struct range *range, const struct table_slot *frozen)
{
	return range->cleared.bytes > 0 && frozen->kind != SLOT_POINT &&
	       begins(range->cleared, order_key(frozen));
}

static struct table_slot *range_step(struct range *range)
{
	struct table_slot *dirty = range->next_dirty;
	struct table_slot *frozen = range->next_frozen;
	int order = 0;
	if (dirty && frozen)
		order = slice_compare(order_key(dirty), order_key(frozen));
	bool take_dirty = dirty && (!frozen || order <= 0);
	if (frozen && (!dirty || order >= 0))
		range->next_frozen = walk_next(&range->frozen);
	if (!take_dirty)
		return frozen && hidden(range, frozen) ? NULL : frozen;
	range->next_dirty = walk_next(&range->dirty);
	if (dirty->kind == SLOT_CLEAR)
		range->cleared = order_key(dirty);
	return dirty;
}

static struct table_slot *range_next(struct range *range)
{
	while (range->next_dirty || range->next_frozen) {
		struct table_slot *slot = range_step(range);
		if (!slot)
			continue;
		if (range->end.bytes > 0 && slice_compare(order_key(slot), range->end) >= 0)
			return NULL;
		return slot;
	}
	return NULL;
}

struct size {
	size_t count;
	uint64_t key_bytes;
	uint64_t bytes;
};

static int measure(struct table *table, uint32_t shard, struct slice first, struct slice end,
    uint64_t bytes_max, struct size *ret_size)
{
	struct range range;
	struct table_slot *slot;
	struct size size = {.bytes = sizeof(struct table_snapshot)};
	range_begin(&range, table, shard, first, end);
	while ((slot = range_next(&range))) {
		struct slice key = table_slot_key(slot);
		size.count++;
		size.key_bytes += key.bytes;
		size.bytes += sizeof(struct snapshot_change) + key.bytes;
		size.bytes += slot->value ? slot->value->bytes : 0;
		if (size.count > TABLE_SNAPSHOT_CHANGES_MAX || size.bytes > bytes_max)
			return ERR_TOO_LARGE;
	}
	*ret_size = size;
	return 0;
}

static void fill(struct table_snapshot *snapshot, struct table *table, uint32_t shard,
    struct slice first, struct slice end)
{
	struct range range;
	struct table_slot *slot;
	uint8_t *key_at = snapshot->keys;
	range_begin(&range, table, shard, first, end);
	while ((slot = range_next(&range))) {
		struct slice key = table_slot_key(slot);
		ASSERT(snapshot->changes);
		struct snapshot_change *change = &snapshot->changes[snapshot->count++];
		memcpy(key_at, key.data, key.bytes);
		*change = (struct snapshot_change){
		    .key = slice_of(key_at, key.bytes), .kind = table_slot_change(slot)};
		key_at += key.bytes;
		if (!slot->value)
			continue;
		/* Its length as it is now: behind that, more may be appended in place. */
		change->held = slot->value;
		change->held->users++;
		change->value = slice_of(slot->value->data, slot->value->bytes);
	}
}

int table_snapshot_take(struct table *table, uint32_t shard, struct slice first, struct slice end,
    uint64_t bytes_max, struct table_snapshot **ret_snapshot)
{
	if (!table->walk_stacks)
		table->walk_stacks = mem_alloc(2 * ORDER_DEPTH_MAX * sizeof(*table->walk_stacks));
	if (!table->walk_stacks)
		return ERR_NOMEM;
	struct size size;
	int error = measure(table, shard, first, end, bytes_max, &size);
	if (error)
		return error;
	struct table_snapshot *snapshot = mem_alloc(sizeof(*snapshot) + size.key_bytes);
	if (!snapshot)
		return ERR_NOMEM;
	*snapshot = (struct table_snapshot){.table = table, .bytes = size.bytes};
	if (size.count > 0) {
		snapshot->changes = mem_alloc(size.count * sizeof(*snapshot->changes));
		if (!snapshot->changes) {
			mem_free(snapshot);
			return ERR_NOMEM;
		}
	}
	fill(snapshot, table, shard, first, end);
	ASSERT(snapshot->count == size.count);
	table->snapshot_bytes += snapshot->bytes;
	table->snapshots++;
	*ret_snapshot = snapshot;
	return 0;
}

void table_snapshot_free(struct table_snapshot *snapshot)
{
	if (!snapshot)
		return;
	for (size_t i = 0; i < snapshot->count; i++)
		table_value_drop(snapshot->changes[i].held);
	struct table *table = snapshot->table;
	ASSERT(table->snapshots > 0 && table->snapshot_bytes >= snapshot->bytes);
	table->snapshots--;
	table->snapshot_bytes -= snapshot->bytes;
	mem_free(snapshot->changes);
	mem_free(snapshot);
}

size_t table_snapshot_count(const struct table_snapshot *snapshot)
{
	return snapshot->count;
}

struct table_change table_snapshot_at(const struct table_snapshot *snapshot, size_t position)
{
	ASSERT(position < snapshot->count);
	const struct snapshot_change *change = &snapshot->changes[position];
	return (struct table_change){
	    .key = change->key, .value = change->value, .kind = change->kind};
}
