// sources: storage/batch.c storage/keys.c storage/table.c storage/table_apply.c
// sources: storage/table_clean.c storage/table_generation.c storage/table_order.c
/* A batch, valid or not: checking it says the same as walking it; what is applied is applied whole
 * and comes out of the frozen generation in order; what is refused changes nothing. */
#include "tests/fuzz/fuzz.h"

#include "storage/batch.h"
#include "storage/table.h"

/* Writing what was read gives the same bytes: there is one form of each batch. */
static bool same_again(struct slice batch)
{
	static uint8_t span[1 << 20];
	struct writer out = writer_of(span, sizeof(span));
	struct batch_cursor cursor;
	struct batch_op op;
	batch_begin(&out);
	batch_read(batch, &cursor);
	while (batch_next(&cursor, &op)) {
		if (op.kind == BATCH_PUT)
			batch_put(&out, op.key, op.value);
		else if (op.kind == BATCH_DELETE)
			batch_delete(&out, op.key);
		else if (op.kind == BATCH_APPEND)
			batch_append(&out, op.key, op.sequence, op.value);
		else
			batch_clear(&out, op.key);
	}
	return slice_equal(writer_view(&out), batch);
}

/* Keys that begin with a stream's name are the writer's fault, and stop the process: so only
 * batches of points are applied here. */
static bool is_of_points(struct slice batch)
{
	struct batch_cursor cursor;
	struct batch_op op;
	batch_read(batch, &cursor);
	while (batch_next(&cursor, &op)) {
		if (op.kind != BATCH_PUT && op.kind != BATCH_DELETE)
			return false;
	}
	return true;
}

static bool applies(struct slice batch, int checked)
{
	struct table_options options = {.clean_bytes_max = 1000, .hash_seed = 1};
	struct table *table;
	if (table_new(&options, &table) || table_shard_add(table, 1, (struct table_shard){0}))
		return false;
	bool holds = table_apply(table, 1, 1, 1, batch) == checked;
	table_freeze(table);
	holds = holds && table_frozen_sort(table) == 0;
	size_t count = holds ? table_frozen_count(table) : 0;
	holds = holds && (checked == 0 || count == 0);
	for (size_t i = 1; i < count; i++)
		holds = holds && slice_compare(table_frozen_at(table, i - 1).key,
		                     table_frozen_at(table, i).key) < 0;
	table_free(table);
	return holds;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct slice batch = slice_of(data, bytes);
	int checked = batch_check(batch);
	if (checked != 0 && checked != ERR_CORRUPT && checked != ERR_FORMAT)
		fuzz_must_hold("a batch is good, corrupt or of another format");
	if (checked == 0 && bytes < 1 << 20 && !same_again(batch))
		fuzz_must_hold("a batch has one form");
	if (bytes > 0 && is_of_points(batch) && !applies(batch, checked))
		fuzz_must_hold("a batch is applied whole and in order, or not at all");
	return 0;
}
