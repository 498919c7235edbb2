/* The table against a simple ordered map: everything that may happen to it, in any order, at sizes
 * so small that every state of every key is met. The store is a map too, which is written from
 * what the table says of its frozen generation, and read as slowly as chance will have it. */
#include "tests/unit/storage/model.h"
#include "tests/unit/storage/suites.h"

#include "base/mem.h"
#include "base/random.h"
#include "storage/batch.h"
#include "storage/keys.h"
#include "storage/table.h"

enum {
	SHARDS = 2,
	POINTS = 9,
	STREAMS = 3,
	READS_MAX = 6,
	SNAPSHOTS_MAX = 4,
	KEY_MAX = 64,
	BATCH_MAX = 300 * 1024,
};

struct pending_read {
	bool used;
	uint32_t shard;
	uint8_t key[KEY_MAX];
	size_t key_bytes;
	uint64_t ticket;
	bool done; /* the store was asked; `found` and `value` are what it said */
	bool found;
	uint8_t value[256];
	size_t value_bytes;
};

struct held_snapshot {
	struct table_snapshot *table;
	struct model store; /* at the same moment */
	struct model expected;
	uint32_t shard;
	uint8_t first[KEY_MAX];
	size_t first_bytes;
	uint8_t end[KEY_MAX];
	size_t end_bytes;
};

struct world {
	struct random random;
	struct table *table;
	struct model now;    /* what is committed; a stream is one pair, its values joined */
	struct model frozen; /* the same when the generation was frozen */
	struct model store;  /* physical keys */
	uint64_t index[SHARDS];
	uint64_t index_frozen[SHARDS];
	uint64_t sequence[SHARDS][STREAMS];
	bool sorted;
	bool thawing;
	struct pending_read reads[READS_MAX];
	struct held_snapshot snapshots[SNAPSHOTS_MAX];
	uint64_t clean_bytes_max;
	/* What must have happened in the end. */
	uint64_t fills, stale_fills, joined_twice, clears, large_appends, failed_applies, evictions;
};

static uint64_t below(struct world *world, uint64_t bound)
{
	return random_below(&world->random, bound);
}

/* Names with all kinds of relations: prefixes of one another, equal but for a bit, zeros. */
static struct slice point_name(uint64_t number)
{
	static const struct slice names[POINTS] = {
	    {(const uint8_t *)"a", 1},
	    {(const uint8_t *)"a\0", 2},
	    {(const uint8_t *)"a\0\0", 3},
	    {(const uint8_t *)"a\1", 2},
	    {(const uint8_t *)"ab", 2},
	    {(const uint8_t *)"abcdefghij", 10},
	    {(const uint8_t *)"abcdefghik", 10},
	    {(const uint8_t *)"b", 1},
	    {(const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9},
	};
	return names[number];
}

static struct slice stream_name(uint64_t number)
{
	static const char *const names[STREAMS] = {"aS", "aT", "zzzzzzzz"};
	return slice_from_text(names[number]);
}

static bool is_stream(struct slice key, uint64_t *ret_stream)
{
	for (uint64_t i = 0; i < STREAMS; i++) {
		struct slice name = stream_name(i);
		if (key.bytes >= name.bytes && memcmp(key.data, name.data, name.bytes) == 0) {
			*ret_stream = i;
			return true;
		}
	}
	return false;
}

/* With its shard. */
static struct slice full_key(uint32_t shard, struct slice key, uint8_t data[KEY_MAX])
{
	EXPECT(key.bytes + KEY_SHARD_BYTES <= KEY_MAX);
	key_shard_put(data, shard);
	if (key.bytes > 0)
		memcpy(data + KEY_SHARD_BYTES, key.data, key.bytes);
	return slice_of(data, key.bytes + KEY_SHARD_BYTES);
}

/* What readers see of physical pairs: streams joined. */
static void add_physical(struct model *seen, struct slice key, struct slice value)
{
	uint64_t stream;
	struct slice rest = slice_of(key.data + KEY_SHARD_BYTES, key.bytes - KEY_SHARD_BYTES);
	if (!is_stream(rest, &stream)) {
		model_put(seen, key, value);
		return;
	}
	EXPECT(rest.bytes == stream_name(stream).bytes + 8);
	model_append(seen, slice_of(key.data, key.bytes - 8), value);
}

/* ---- Changes ---- */

/* The elements of a stream are their sequences, so that what is missing or twice is seen; a large
 * one repeats it. */
static void add_append(
    struct world *world, struct writer *out, struct model *model, uint32_t shard, uint64_t stream)
{
	uint64_t copies = below(world, 40) == 0 ? 1 + below(world, 5000) : 1;
	uint64_t sequence = world->sequence[shard][stream] += 1 + below(world, 3);
	static uint8_t value[5001 * 8];
	for (uint64_t i = 0; i < copies; i++)
		store_u64be(value + 8 * i, sequence);
	world->large_appends += copies > 1;
	uint8_t data[KEY_MAX];
	batch_append(out, stream_name(stream), sequence, slice_of(value, 8 * copies));
	model_append(
	    model, full_key(shard, stream_name(stream), data), slice_of(value, 8 * copies));
}

static void add_operation(
    struct world *world, struct writer *out, struct model *model, uint32_t shard)
{
	uint8_t data[KEY_MAX];
	struct slice point = point_name(below(world, POINTS));
	uint64_t stream = below(world, STREAMS);
	uint8_t value[256];
	size_t bytes = below(world, 8) == 0 ? below(world, 200) : below(world, 20);
	switch (below(world, 8)) {
	case 0:
	case 1:
	case 2:
		random_bytes(&world->random, value, bytes);
		batch_put(out, point, slice_of(value, bytes));
		model_put(model, full_key(shard, point, data), slice_of(value, bytes));
		break;
	case 3:
	case 4:
		batch_delete(out, point);
		model_delete(model, full_key(shard, point, data));
		break;
	case 5:
	case 6:
		add_append(world, out, model, shard, stream);
		break;
	default:
		batch_clear(out, stream_name(stream));
		model_delete(model, full_key(shard, stream_name(stream), data));
		world->clears++;
		break;
	}
}

static void step_apply(struct world *world)
{
	static uint8_t span[BATCH_MAX];
	uint32_t shard = (uint32_t)below(world, SHARDS);
	struct writer out = writer_of(span, sizeof(span));
	struct model after = {0};
	uint64_t sequences[STREAMS];
	memcpy(sequences, world->sequence[shard], sizeof(sequences));
	model_copy(&after, &world->now);
	uint64_t operations = below(world, 6);
	if (operations > 0)
		batch_begin(&out);
	for (uint64_t i = 0; i < operations; i++)
		add_operation(world, &out, &after, shard);
	int expected = 0;
	if (operations > 0 && below(world, 16) == 0) {
		writer_u8(&out, 99);
		expected = ERR_CORRUPT;
	}
	if (below(world, 4) == 0)
		mem_fail_at(1 + below(world, 6));
	struct table_figures before = table_figures(world->table);
	int error = table_apply(world->table, shard, world->index[shard] + 1, 1, writer_view(&out));
	if (mem_failed())
		EXPECT(error == ERR_NOMEM || error == expected);
	else
		EXPECT(error == expected);
	mem_fail_at(0);
	if (error) {
		world->failed_applies++;
		EXPECT(table_figures(world->table).dirty_changes == before.dirty_changes);
		memcpy(world->sequence[shard], sequences, sizeof(sequences));
	} else {
		world->index[shard]++;
		uint64_t grown = table_figures(world->table).dirty_bytes;
		EXPECT(grown <= before.dirty_bytes ||
		       grown - before.dirty_bytes <= table_apply_bytes(writer_view(&out)));
		model_copy(&world->now, &after);
	}
	model_done(&after);
}

/* ---- Reads ---- */

static void ask_store(struct world *world, struct pending_read *read)
{
	uint8_t data[KEY_MAX];
	struct slice value;
	read->found = model_get(&world->store,
	    full_key(read->shard, slice_of(read->key, read->key_bytes), data), &value);
	read->done = true;
	if (read->found) {
		EXPECT(value.bytes <= sizeof(read->value));
		memcpy(read->value, value.data, value.bytes);
		read->value_bytes = value.bytes;
	}
}

static void step_get(struct world *world)
{
	uint32_t shard = (uint32_t)below(world, SHARDS);
	struct slice key = point_name(below(world, POINTS));
	uint8_t data[KEY_MAX];
	struct slice value;
	struct slice wanted;
	bool exists = model_get(&world->now, full_key(shard, key, data), &wanted);
	struct pending_read *read = NULL;
	for (size_t i = 0; i < READS_MAX; i++) {
		if (!world->reads[i].used)
			read = &world->reads[i];
	}
	switch (table_get(world->table, shard, key, &value)) {
	case TABLE_VALUE:
		EXPECT(exists);
		EXPECT(slice_equal(value, wanted));
		break;
	case TABLE_ABSENT:
		EXPECT(!exists);
		break;
	case TABLE_LOADING:
		break;
	case TABLE_COLD:
		if (!read)
			break;
		*read = (struct pending_read){.used = true, .shard = shard, .key_bytes = key.bytes};
		memcpy(read->key, key.data, key.bytes);
		if (below(world, 8) == 0)
			mem_fail_at(1);
		int error = table_load(world->table, shard, key, &read->ticket);
		bool failed = mem_failed();
		mem_fail_at(0);
		EXPECT(error == (failed ? ERR_NOMEM : 0));
		read->used = !error;
		if (read->used && below(world, 2) == 0)
			ask_store(world, read);
		break;
	}
}

static void step_read_ends(struct world *world)
{
	struct pending_read *read = &world->reads[below(world, READS_MAX)];
	if (!read->used)
		return;
	if (!read->done) {
		ask_store(world, read);
		return;
	}
	struct slice key = slice_of(read->key, read->key_bytes);
	bool current = table_load_current(world->table, read->shard, key, read->ticket);
	read->used = false;
	if (below(world, 5) == 0) {
		table_load_failed(world->table, read->shard, key, read->ticket);
		EXPECT(!table_load_current(world->table, read->shard, key, read->ticket));
		return;
	}
	if (below(world, 8) == 0)
		mem_fail_at(1);
	int error = table_fill(world->table, read->shard, key, read->ticket, read->found,
	    slice_of(read->value, read->value_bytes));
	bool failed = mem_failed();
	mem_fail_at(0);
	EXPECT(error == (failed ? ERR_NOMEM : 0));
	struct slice value;
	if (current && !error) {
		enum table_found found = table_get(world->table, read->shard, key, &value);
		EXPECT(found == (read->found ? TABLE_VALUE : TABLE_ABSENT));
		world->fills++;
	}
	world->stale_fills += !current;
}

/* ---- Generations ---- */

static void check_frozen_shard(void *arg, uint32_t shard, struct table_shard applied)
{
	struct world *world = arg;
	EXPECT(shard < SHARDS);
	EXPECT(applied.index > world->index_frozen[shard]);
	EXPECT(applied.index == world->index[shard]);
	world->index_frozen[shard] = applied.index;
}

static void write_store(struct world *world)
{
	struct slice before = slice_of(NULL, 0);
	for (size_t i = 0; i < table_frozen_count(world->table); i++) {
		struct table_change change = table_frozen_at(world->table, i);
		EXPECT(slice_compare(before, change.key) < 0);
		before = change.key;
		switch (change.kind) {
		case TABLE_PUT:
			model_put(&world->store, change.key, change.value);
			break;
		case TABLE_DELETE:
			model_delete(&world->store, change.key);
			break;
		case TABLE_CLEAR:
			model_delete_range(&world->store, change.key);
			break;
		}
	}
	struct model seen = {0};
	for (size_t i = 0; i < world->store.count; i++)
		add_physical(&seen, world->store.pairs[i].key, world->store.pairs[i].value);
	EXPECT(model_equal(&seen, &world->frozen));
	model_done(&seen);
}

static void step_generation(struct world *world)
{
	if (table_can_freeze(world->table)) {
		table_freeze(world->table);
		model_copy(&world->frozen, &world->now);
		table_frozen_shards(world->table, check_frozen_shard, world);
		world->sorted = false;
	} else if (world->thawing) {
		world->thawing = table_thaw(world->table, 1 + below(world, 4));
	} else if (!world->sorted) {
		if (below(world, 4) == 0)
			mem_fail_at(1 + below(world, 3));
		int error = table_frozen_sort(world->table);
		EXPECT(error == (mem_failed() ? ERR_NOMEM : 0));
		mem_fail_at(0);
		world->sorted = !error;
		if (world->sorted)
			write_store(world);
	} else {
		table_thaw_begin(world->table);
		world->thawing = true;
	}
}

/* ---- Snapshots ---- */

static struct slice random_bound(struct world *world, uint8_t data[KEY_MAX])
{
	struct slice key = slice_of(data, 0);
	switch (below(world, 4)) {
	case 0:
		break;
	case 1:
		key = point_name(below(world, POINTS));
		memcpy(data, key.data, key.bytes);
		break;
	default:
		key = stream_name(below(world, STREAMS));
		memcpy(data, key.data, key.bytes);
		if (below(world, 2) == 0) {
			store_u64be(data + key.bytes, below(world, 60));
			key.bytes += 8;
		} else if (below(world, 4) == 0) {
			data[key.bytes++] = 0xff; /* behind all of the stream's */
		}
		break;
	}
	return slice_of(data, key.bytes);
}

static void snapshot_free(struct held_snapshot *held)
{
	table_snapshot_free(held->table);
	model_done(&held->store);
	model_done(&held->expected);
	held->table = NULL;
}

/* Merges as a cursor does. */
static void snapshot_read(const struct held_snapshot *held, struct model *seen)
{
	struct model merged = {0};
	uint8_t data[KEY_MAX];
	struct slice first = full_key(held->shard, slice_of(held->first, held->first_bytes), data);
	for (size_t i = model_seek(&held->store, first); i < held->store.count; i++) {
		struct model_pair pair = held->store.pairs[i];
		struct slice end = slice_of(held->end, held->end_bytes);
		struct slice rest =
		    slice_of(pair.key.data + KEY_SHARD_BYTES, pair.key.bytes - KEY_SHARD_BYTES);
		if (key_shard_get(pair.key.data) != held->shard ||
		    (end.bytes > 0 && slice_compare(rest, end) >= 0))
			break;
		model_put(&merged, pair.key, pair.value);
	}
	struct slice before = slice_of(NULL, 0);
	for (size_t i = 0; i < table_snapshot_count(held->table); i++) {
		struct table_change change = table_snapshot_at(held->table, i);
		EXPECT(slice_compare(before, change.key) < 0);
		before = change.key;
		switch (change.kind) {
		case TABLE_PUT:
			model_put(&merged, change.key, change.value);
			break;
		case TABLE_DELETE:
			model_delete(&merged, change.key);
			break;
		case TABLE_CLEAR:
			model_delete_range(&merged, change.key);
			break;
		}
	}
	for (size_t i = 0; i < merged.count; i++)
		add_physical(seen, merged.pairs[i].key, merged.pairs[i].value);
	model_done(&merged);
}

/* A range may begin or end inside a stream, and then shows whole joined values only: of the
 * stream's elements some at its begin and end are missing, none in the middle. */
static void check_stream(const struct held_snapshot *held, struct slice key, struct slice seen)
{
	uint8_t data[KEY_MAX];
	struct slice full = full_key(held->shard, key, data);
	struct slice wanted = slice_of(NULL, 0);
	model_get(&held->expected, full, &wanted);
	if (seen.bytes == 0) {
		/* Then the bounds leave nothing of it, or there is nothing. */
		struct slice first = slice_of(held->first, held->first_bytes);
		struct slice end = slice_of(held->end, held->end_bytes);
		bool whole = slice_compare(first, key) <= 0 &&
		             (end.bytes == 0 || (slice_compare(end, key) > 0 &&
		                                    memcmp(end.data, key.data, key.bytes) != 0));
		EXPECT(!whole || wanted.bytes == 0);
		return;
	}
	EXPECT(seen.bytes <= wanted.bytes);
	bool inside = false;
	for (size_t at = 0; at + seen.bytes <= wanted.bytes && !inside; at += 8)
		inside = memcmp(wanted.data + at, seen.data, seen.bytes) == 0;
	EXPECT(inside);
	bool from_begin = slice_compare(slice_of(held->first, held->first_bytes), key) <= 0;
	bool to_end = held->end_bytes == 0 || held->end[held->end_bytes - 1] == 0xff;
	if (from_begin)
		EXPECT(memcmp(wanted.data, seen.data, seen.bytes) == 0);
	if (from_begin && to_end)
		EXPECT(wanted.bytes == seen.bytes);
	else if (held->first_bytes == key.bytes + 8 && !from_begin)
		EXPECT(load_u64be(seen.data) >= load_u64be(held->first + key.bytes));
}

static void snapshot_check(const struct held_snapshot *held)
{
	struct model seen = {0};
	snapshot_read(held, &seen);
	uint8_t data[KEY_MAX];
	for (uint64_t i = 0; i < STREAMS; i++) {
		struct slice joined = slice_of(NULL, 0);
		model_get(&seen, full_key(held->shard, stream_name(i), data), &joined);
		check_stream(held, stream_name(i), joined);
	}
	for (uint64_t i = 0; i < POINTS; i++) {
		struct slice key = point_name(i);
		struct slice value;
		struct slice wanted;
		bool in_range = slice_compare(slice_of(held->first, held->first_bytes), key) <= 0 &&
		                (held->end_bytes == 0 ||
		                    slice_compare(key, slice_of(held->end, held->end_bytes)) < 0);
		bool exists = model_get(&held->expected, full_key(held->shard, key, data), &wanted);
		bool found = model_get(&seen, full_key(held->shard, key, data), &value);
		EXPECT(found == (exists && in_range));
		if (found)
			EXPECT(slice_equal(value, wanted));
	}
	model_done(&seen);
}

static void step_snapshot(struct world *world)
{
	struct held_snapshot *held = &world->snapshots[below(world, SNAPSHOTS_MAX)];
	if (held->table) {
		snapshot_check(held);
		if (below(world, 2) == 0)
			snapshot_free(held);
		return;
	}
	held->shard = (uint32_t)below(world, SHARDS);
	held->first_bytes = random_bound(world, held->first).bytes;
	held->end_bytes = random_bound(world, held->end).bytes;
	if (below(world, 4) == 0)
		mem_fail_at(1 + below(world, 3));
	int error =
	    table_snapshot_take(world->table, held->shard, slice_of(held->first, held->first_bytes),
	        slice_of(held->end, held->end_bytes), 1 << 30, &held->table);
	EXPECT(error == (mem_failed() ? ERR_NOMEM : 0));
	mem_fail_at(0);
	if (error)
		return;
	model_copy(&held->store, &world->store);
	model_copy(&held->expected, &world->now);
	snapshot_check(held);
}

/* ---- A run ---- */

static void world_init(struct world *world, uint64_t seed)
{
	*world = (struct world){.clean_bytes_max = 0};
	random_init(&world->random, seed);
	static const uint64_t sizes[] = {0, 300, 700, 1500, 100000};
	world->clean_bytes_max = sizes[below(world, 5)];
	struct table_options options = {
	    .clean_bytes_max = world->clean_bytes_max, .hash_seed = seed};
	EXPECT(table_new(&options, &world->table) == 0);
	for (uint32_t i = 0; i < SHARDS; i++)
		EXPECT(table_shard_add(world->table, i, (struct table_shard){0}) == 0);
}

static void world_step(struct world *world)
{
	switch (below(world, 10)) {
	case 0:
	case 1:
	case 2:
		step_apply(world);
		break;
	case 3:
	case 4:
		step_get(world);
		break;
	case 5:
	case 6:
		step_read_ends(world);
		break;
	case 7:
	case 8:
		step_generation(world);
		break;
	default:
		step_snapshot(world);
		break;
	}
	/* Above the bound at most the newest value, of at most 200 bytes and their overhead. */
	struct table_figures figures = table_figures(world->table);
	EXPECT(figures.clean_bytes <= world->clean_bytes_max + 600);
	world->evictions = figures.evictions;
}

static void world_done(struct world *world)
{
	for (size_t i = 0; i < SNAPSHOTS_MAX; i++) {
		if (world->snapshots[i].table)
			snapshot_free(&world->snapshots[i]);
	}
	for (uint32_t i = 0; i < SHARDS; i++)
		EXPECT(table_shard_get(world->table, i).index == world->index[i]);
	EXPECT(table_figures(world->table).snapshot_bytes == 0);
	table_free(world->table);
	model_done(&world->now);
	model_done(&world->frozen);
	model_done(&world->store);
}

START_TEST(the_table_is_a_map_whatever_happens_to_it)
{
	enum { SEEDS = UNIT_ROUNDS(1500), STEPS = 250 };
	uint64_t fills = 0;
	uint64_t stale_fills = 0;
	uint64_t evictions = 0;
	uint64_t failed_applies = 0;
	uint64_t large_appends = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world world;
		world_init(&world, seed);
		for (int i = 0; i < STEPS; i++)
			world_step(&world);
		fills += world.fills;
		stale_fills += world.stale_fills;
		evictions += world.evictions;
		failed_applies += world.failed_applies;
		large_appends += world.large_appends;
		world_done(&world);
	}
	EXPECT(fills > 0);
	EXPECT(stale_fills > 0);
	EXPECT(evictions > 0);
	EXPECT(failed_applies > 0);
	EXPECT(large_appends > 0);
}
END_TEST

Suite *table_model_suite(void)
{
	Suite *suite = suite_create("table_model");
	TCase *tcase = tcase_create("table_model");
	tcase_add_test(tcase, the_table_is_a_map_whatever_happens_to_it);
	suite_add_tcase(suite, tcase);
	return suite;
}
