/* Applying one batch: first the plan, which reads the batch, checks it against the table and
 * reserves every piece of memory that will be needed; then the commit, which cannot fail. So a
 * batch is never applied in part. */
#include "base/array.h"
#include "base/assert.h"
#include "base/mem.h"
#include "storage/table.h"
#include "storage/table_order.h"
#include "storage/table_parts.h"

enum {
	ITEMS_KEPT_MAX = 1024 /* memory of one huge batch does not stay */
};

uint64_t table_apply_bytes(struct slice batch)
{
	struct batch_cursor cursor;
	struct batch_op op;
	uint64_t bytes = 0;
	batch_read(batch, &cursor);
	while (batch_next(&cursor, &op)) {
		bytes += sizeof(struct table_slot) + sizeof(struct table_entry) + op.key.bytes +
		         KEY_SHARD_BYTES + CELL_BYTES + ALLOCATION_BYTES;
		bytes += sizeof(struct table_value) + ALLOCATION_BYTES;
		/* What was clean is taken over with all its room. */
		if (op.kind == BATCH_PUT)
			bytes += 2 * op.value.bytes + VALUE_SPARE_BYTES;
		/* A joined value grows by doubling. */
		if (op.kind == BATCH_APPEND)
			bytes += sizeof(struct table_joined) + op.key.bytes + sizeof(uint64_t) +
			         ALLOCATION_BYTES + table_value_capacity(op.value.bytes) +
			         table_value_capacity(BATCH_JOINED_BYTES_MAX);
	}
	return bytes;
}

static bool is_dirty(const struct table *table, const struct table_entry *entry)
{
	return entry->generation == table->generation;
}

/* ---- The plan ---- */

static int items_add(struct table *table, const struct batch_op *op)
{
	if (array_reserve(
	        &table->items, &table->item_capacity, table->item_count + 1, sizeof(*table->items)))
		return ERR_NOMEM;
	table->items[table->item_count++] = (struct table_item){.op = *op};
	return 0;
}

/* The joined value that an append is to go into: the one that stands in the table, one that an
 * earlier operation of the batch makes, or a new one. */
static void plan_append(struct table *table, uint32_t index, const struct table_item *before)
{
	struct table_item *item = &table->items[index];
	uint64_t bytes = item->op.value.bytes;
	const struct table_slot *standing = is_dirty(table, item->entry) ? item->entry->slot : NULL;
	if (before && before->op.kind == BATCH_APPEND) {
		struct table_item *head = &table->items[before->head];
		ASSERT(!head->extends || standing);
		uint64_t joined = head->joined_bytes + (head->extends ? standing->value->bytes : 0);
		if (joined + bytes <= BATCH_JOINED_BYTES_MAX) {
			item->head = before->head;
			head->joined_bytes += bytes;
			return;
		}
	} else if (!before && standing &&
	           standing->value->bytes + bytes <= BATCH_JOINED_BYTES_MAX) {
		item->extends = true;
	}
	item->head = index;
	item->joined_bytes = bytes;
}

static int plan_stream(struct table *table, uint32_t index, const struct table_item *before)
{
	struct table_item *item = &table->items[index];
	struct table_entry *entry = item->entry;
	if ((entry->flags & ENTRY_STREAM) == 0) {
		if (entry->slots > 0 || before)
			return ERR_CORRUPT;
		/* Somebody asked for the stream's name as for a key. What is known of that is
		 * void. */
		table_entry_leave(table, entry);
		table_value_drop(entry->value);
		entry->value = NULL;
		entry->flags = ENTRY_STREAM;
		item->created = true;
	}
	item->appended = before ? before->appended : (entry->flags & ENTRY_APPENDED) != 0;
	item->sequence = before ? before->sequence : entry->u.sequence;
	if (item->op.kind == BATCH_CLEAR)
		return 0;
	if (item->appended && item->op.sequence <= item->sequence)
		return ERR_CORRUPT;
	item->appended = true;
	item->sequence = item->op.sequence;
	plan_append(table, index, before);
	return 0;
}

/* Finds or makes the entry, and what the operation has to do with others of the batch. */
static int plan_entry(struct table *table, uint32_t shard, uint32_t index)
{
	struct table_item *item = &table->items[index];
	bool of_stream = item->op.kind == BATCH_APPEND || item->op.kind == BATCH_CLEAR;
	struct table_entry *entry = table_entry_find(table, shard, item->op.key);
	if (!entry) {
		entry = table_entry_new(table, shard, item->op.key, of_stream ? ENTRY_STREAM : 0);
		if (!entry)
			return ERR_NOMEM;
		item->created = true;
	}
	item->entry = entry;
	struct table_item *before = entry->item ? &table->items[entry->item - 1] : NULL;
	if (of_stream) {
		int error = plan_stream(table, index, before);
		if (error)
			return error;
	} else {
		if (entry->flags & ENTRY_STREAM)
			return ERR_CORRUPT;
		if (before)
			before->superseded = true;
	}
	entry->item = index + 1;
	return 0;
}

static struct table_slot *slot_reserve(struct table *table, struct table_entry *entry)
{
	struct table_generation *dirty = table_dirty(table);
	struct table_block *block = dirty->last;
	if (!block || block->count == BLOCK_SLOTS) {
		block = mem_alloc(sizeof(*block));
		if (!block)
			return NULL;
		block->next = NULL;
		block->count = 0;
		if (dirty->last)
			dirty->last->next = block;
		else
			dirty->first = block;
		dirty->last = block;
	}
	struct table_slot *slot = &block->slots[block->count++];
	*slot = (struct table_slot){.entry = entry, .kind = SLOT_UNUSED};
	return slot;
}

/* Makes room behind the joined value that stands in the table. That changes nothing that can be
 * seen, so it needs no undoing. */
static int joined_grow(struct table *table, struct table_slot *slot, uint64_t more)
{
	struct table_value *value = slot->value;
	uint64_t bytes = value->bytes + more;
	if (bytes <= value->capacity)
		return 0;
	if (bytes < 2 * (uint64_t)value->capacity)
		bytes = 2 * (uint64_t)value->capacity;
	if (bytes > BATCH_JOINED_BYTES_MAX)
		bytes = BATCH_JOINED_BYTES_MAX;
	struct table_value *grown = table_value_new(bytes);
	if (!grown)
		return ERR_NOMEM;
	memcpy(grown->data, value->data, value->bytes);
	grown->bytes = value->bytes;
	struct table_generation *dirty = table_dirty(table);
	dirty->bytes += table_value_cost(grown) - table_value_cost(value);
	slot->value = grown;
	table_value_drop(value);
	return 0;
}

/* The value that starts with this append, under a key of its own. */
static int joined_reserve(struct table *table, uint32_t shard, struct table_item *item)
{
	struct slice key = item->op.key;
	size_t key_bytes = KEY_SHARD_BYTES + key.bytes + sizeof(uint64_t);
	item->slot = slot_reserve(table, item->entry);
	item->joined = mem_alloc(sizeof(*item->joined) + key_bytes);
	item->value = table_value_new(item->joined_bytes);
	if (!item->slot || !item->joined || !item->value)
		return ERR_NOMEM;
	item->joined->previous = NULL;
	item->joined->key_bytes = (uint32_t)key_bytes;
	key_shard_put(item->joined->key, shard);
	memcpy(item->joined->key + KEY_SHARD_BYTES, key.data, key.bytes);
	store_u64be(item->joined->key + KEY_SHARD_BYTES + key.bytes, item->op.sequence);
	const struct table_progress *progress = table_progress_find(table, shard);
	const struct table_part *part = &progress->part[table->generation & 1];
	if (part->generation == table->generation &&
	    order_has(part->order,
	        slice_of(item->joined->key + KEY_SHARD_BYTES, key_bytes - KEY_SHARD_BYTES)))
		return ERR_CORRUPT;
	return 0;
}

static int point_reserve(struct table *table, struct table_item *item)
{
	const struct table_entry *entry = item->entry;
	if (!is_dirty(table, entry)) {
		item->slot = slot_reserve(table, item->entry);
		if (!item->slot)
			return ERR_NOMEM;
	}
	if (item->op.kind == BATCH_DELETE)
		return 0;
	bool own = is_dirty(table, entry) || (entry->flags & ENTRY_CLEAN) != 0;
	if (own && table_value_fits(entry->value, item->op.value.bytes))
		return 0;
	item->value = table_value_new(item->op.value.bytes);
	return item->value ? 0 : ERR_NOMEM;
}

static int plan_reserve(struct table *table, uint32_t shard, uint32_t index)
{
	struct table_item *item = &table->items[index];
	switch (item->op.kind) {
	case BATCH_PUT:
	case BATCH_DELETE:
		return item->superseded ? 0 : point_reserve(table, item);
	case BATCH_APPEND:
		if (item->head != index)
			return 0;
		if (item->extends)
			return joined_grow(table, item->entry->slot, item->joined_bytes);
		return joined_reserve(table, shard, item);
	case BATCH_CLEAR:
		if (is_dirty(table, item->entry) && (item->entry->flags & ENTRY_CLEARED))
			return 0;
		item->slot = slot_reserve(table, item->entry);
		return item->slot ? 0 : ERR_NOMEM;
	}
	UNREACHABLE();
}

static int plan(struct table *table, uint32_t shard, struct slice batch)
{
	struct batch_cursor cursor;
	struct batch_op op;
	batch_read(batch, &cursor);
	while (batch_next(&cursor, &op)) {
		int error = items_add(table, &op);
		if (!error)
			error = plan_entry(table, shard, (uint32_t)table->item_count - 1);
		if (error)
			return error;
		if (MUTATION(table_half_batch_applied))
			break;
	}
	if (cursor.error)
		return cursor.error;
	for (uint32_t i = 0; i < table->item_count; i++) {
		int error = plan_reserve(table, shard, i);
		if (error)
			return error;
	}
	return 0;
}

static void item_undo(struct table *table, struct table_item *item)
{
	table_value_drop(item->value);
	mem_free(item->joined);
	if (!item->entry)
		return;
	item->entry->item = 0;
	if (item->created)
		table_entry_free(table, item->entry);
}

/* Back to where the generation's slots ended: in block `last` (NULL: it had none). */
static void slots_undo(struct table *table, struct table_block *last, uint32_t last_count)
{
	struct table_generation *dirty = table_dirty(table);
	struct table_block *block = last ? last->next : dirty->first;
	while (block) {
		struct table_block *next = block->next;
		mem_free(block);
		block = next;
	}
	dirty->last = last;
	if (last) {
		last->count = last_count;
		last->next = NULL;
	} else {
		dirty->first = NULL;
	}
}

static void plan_undo(struct table *table, struct table_block *last, uint32_t last_count)
{
	/* Backwards, since the first item of a key is the one that made its entry. */
	for (size_t i = table->item_count; i-- > 0;)
		item_undo(table, &table->items[i]);
	slots_undo(table, last, last_count);
}

/* ---- The commit ---- */

static inline struct table_part *part_now(struct table *table, struct table_progress *progress)
{
	struct table_part *part = &progress->part[table->generation & 1];
	if (part->generation != table->generation) {
		struct table_generation *dirty = table_dirty(table);
		*part = (struct table_part){
		    .generation = table->generation, .order = 0, .next = dirty->moved};
		dirty->moved = progress;
		dirty->moved_count++;
	}
	return part;
}

/* The reserved slot becomes part of the generation. */
static void slot_commit(struct table *table, struct table_part *part, struct table_slot *slot,
    enum table_slot_kind kind)
{
	struct table_generation *dirty = table_dirty(table);
	struct table_entry *entry = slot->entry;
	slot->kind = kind;
	order_insert(&part->order, slot);
	entry->slots++;
	entry->generation = table->generation;
	dirty->changes++;
	dirty->bytes += table_slot_cost(slot);
}

static void commit_point(struct table *table, struct table_part *part, struct table_item *item)
{
	struct table_entry *entry = item->entry;
	struct table_value *old = entry->value;
	struct table_value *value = NULL;
	bool own_old = true;
	if (!is_dirty(table, entry)) {
		own_old = (entry->flags & ENTRY_CLEAN) != 0; /* else the frozen slot's, or none */
		table_entry_leave(table, entry);
	} else {
		table_dirty(table)->bytes -= table_value_cost(old);
	}
	if (item->op.kind == BATCH_PUT) {
		value = item->value ? item->value : old;
		table_value_set(value, item->op.value);
	}
	if (own_old && old != value)
		table_value_drop(old);
	entry->value = value;
	entry->flags |= ENTRY_KNOWN | ENTRY_USED;
	if (item->slot) {
		item->slot->value = value;
		slot_commit(table, part, item->slot, SLOT_POINT);
		entry->slot = item->slot;
	} else {
		entry->slot->value = value;
		table_dirty(table)->bytes += table_value_cost(value);
	}
}

static void commit_append(
    struct table *table, struct table_part *part, uint32_t index, struct table_item *item)
{
	struct table_entry *entry = item->entry;
	if (item->head == index && !item->extends) {
		struct table_slot *slot = item->slot;
		slot->value = item->value;
		slot->joined = item->joined;
		slot->joined->previous = is_dirty(table, entry) ? entry->slot : NULL;
		if (!is_dirty(table, entry))
			entry->flags &= (uint8_t)~ENTRY_CLEARED;
		slot_commit(table, part, slot, SLOT_JOINED);
		entry->slot = slot;
	}
	struct table_value *value = entry->slot->value;
	ASSERT(value->capacity - value->bytes >= item->op.value.bytes);
	if (item->op.value.bytes > 0)
		memcpy(value->data + value->bytes, item->op.value.data, item->op.value.bytes);
	value->bytes += (uint32_t)item->op.value.bytes;
	entry->u.sequence = item->op.sequence;
	entry->flags |= ENTRY_APPENDED;
}

static void commit_clear(struct table *table, struct table_part *part, struct table_item *item)
{
	struct table_entry *entry = item->entry;
	struct table_generation *dirty = table_dirty(table);
	/* Slots stay in the order, marked: they are few (a joined value each), and short-lived. */
	struct table_slot *slot = is_dirty(table, entry) ? entry->slot : NULL;
	while (slot) {
		struct table_slot *previous = slot->joined->previous;
		dirty->bytes -= table_value_cost(slot->value);
		table_value_drop(slot->value);
		slot->value = NULL;
		slot->kind = SLOT_REMOVED;
		slot = previous;
	}
	bool standing = is_dirty(table, entry) && (entry->flags & ENTRY_CLEARED);
	if (!standing) {
		ASSERT(item->slot != NULL);
		slot_commit(table, part, item->slot, SLOT_CLEAR);
		entry->flags |= ENTRY_CLEARED;
	}
	entry->slot = NULL;
}

static __attribute__((noinline)) void commit(struct table *table, struct table_part *part)
{
	for (uint32_t i = 0; i < table->item_count; i++) {
		struct table_item *item = &table->items[i];
		item->entry->item = 0;
		if (item->superseded)
			continue;
		switch (item->op.kind) {
		case BATCH_PUT:
		case BATCH_DELETE:
			commit_point(table, part, item);
			break;
		case BATCH_APPEND:
			commit_append(table, part, i, item);
			break;
		case BATCH_CLEAR:
			commit_clear(table, part, item);
			break;
		}
	}
	if (table->item_capacity > ITEMS_KEPT_MAX) {
		mem_free(table->items);
		table->items = NULL;
		table->item_capacity = 0;
	}
}

/* All or nothing. */
static int apply_batch(struct table *table, struct table_progress *progress, struct slice batch)
{
	struct table_block *last = table_dirty(table)->last;
	uint32_t last_count = last ? last->count : 0;
	table->item_count = 0;
	int error = plan(table, progress->shard, batch);
	if (error) {
		plan_undo(table, last, last_count);
		return error;
	}
	commit(table, part_now(table, progress));
	return 0;
}

/* The commonest batch by far is one new value. It goes the same way, without a list of items. */
static inline bool is_one_put(struct slice batch, struct slice *ret_key, struct slice *ret_value)
{
	struct reader in = reader_of(batch);
	if (reader_u8(&in) != BATCH_FORMAT || reader_u8(&in) != BATCH_PUT)
		return false;
	struct slice key = reader_varint_slice(&in);
	struct slice value = reader_varint_slice(&in);
	struct batch_op op = {.kind = BATCH_PUT, .key = key, .value = value};
	if (in.failed || reader_left(&in) > 0 || !batch_op_valid(&op))
		return false;
	*ret_key = key;
	*ret_value = value;
	return true;
}

static __attribute__((noinline)) int put_slot(struct table *table, struct table_progress *progress,
    struct slice key, struct slice value, struct table_entry *entry)
{
	struct table_block *last = table_dirty(table)->last;
	uint32_t last_count = last ? last->count : 0;
	struct table_item item = {.entry = entry};
	item.op = (struct batch_op){.kind = BATCH_PUT, .key = key, .value = value};
	if (!entry) {
		item.entry = table_entry_new(table, progress->shard, key, 0);
		if (!item.entry)
			return ERR_NOMEM;
		item.created = true;
	}
	int error = point_reserve(table, &item);
	if (error) {
		item_undo(table, &item);
		slots_undo(table, last, last_count);
		return error;
	}
	commit_point(table, part_now(table, progress), &item);
	return 0;
}

static inline int apply_put(
    struct table *table, struct table_progress *progress, struct slice key, struct slice value)
{
	struct table_entry *entry = table_entry_find(table, progress->shard, key);
	if (entry && (entry->flags & ENTRY_STREAM))
		return ERR_CORRUPT;
	if (!entry || !is_dirty(table, entry) || !table_value_fits(entry->value, value.bytes))
		return put_slot(table, progress, key, value, entry);
	table_value_set(entry->value, value);
	entry->flags |= ENTRY_USED;
	return 0;
}

enum { PUTS_OVER_MAX = 8 };

/* Several new values, each of a key that is dirty and in whose memory it fits: everything is looked
 * at before anything is written, and nothing that is written can fail. False: another batch than
 * that, and nothing has happened. */
static bool puts_over(struct table *table, uint32_t shard, struct slice batch)
{
	struct table_entry *entries[PUTS_OVER_MAX];
	struct slice values[PUTS_OVER_MAX];
	size_t count = 0;
	struct batch_cursor cursor;
	struct batch_op op;
	batch_read(batch, &cursor);
	while (batch_next(&cursor, &op)) {
		if (count == PUTS_OVER_MAX || op.kind != BATCH_PUT ||
		    MUTATION(table_half_batch_applied))
			return false;
		struct table_entry *entry = table_entry_find(table, shard, op.key);
		if (!entry || (entry->flags & ENTRY_STREAM) || !is_dirty(table, entry) ||
		    !table_value_fits(entry->value, op.value.bytes))
			return false;
		entries[count] = entry;
		values[count++] = op.value;
	}
	if (cursor.error)
		return false;
	for (size_t i = 0; i < count; i++) {
		table_value_set(entries[i]->value, values[i]);
		entries[i]->flags |= ENTRY_USED;
	}
	return true;
}

int table_apply(
    struct table *table, uint32_t shard, uint64_t index, uint64_t term, struct slice batch)
{
	struct table_progress *progress = table_progress_find(table, shard);
	ASSERT(progress != NULL);
	ASSERT(index == progress->applied.index + 1 && term >= progress->applied.term);
	struct slice key;
	struct slice value;
	int error = 0;
	if (is_one_put(batch, &key, &value))
		error = apply_put(table, progress, key, value);
	else if (batch.bytes > 0 && !puts_over(table, shard, batch))
		error = apply_batch(table, progress, batch);
	if (error)
		return error;
	progress->applied = (struct table_shard){.index = index, .term = term};
	part_now(table, progress)->applied = progress->applied;
	return 0;
}
