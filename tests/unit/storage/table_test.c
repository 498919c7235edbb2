#include "tests/unit/storage/suites.h"

#include "base/mem.h"
#include "storage/batch.h"
#include "storage/keys.h"
#include "storage/table.h"

#include <stdio.h>

static struct table *table;
static uint8_t span[256 * 1024];
static struct writer batch;
static uint64_t entry_index;

static void setup(void)
{
	struct table_options options = {.clean_bytes_max = 2000, .hash_seed = 7};
	ck_assert_int_eq(table_new(&options, &table), 0);
	ck_assert_int_eq(
	    table_shard_add(table, 1, (struct table_shard){.index = 10, .term = 2}), 0);
	ck_assert_int_eq(table_shard_add(table, 2, (struct table_shard){0}), 0);
	entry_index = 10;
}

static void teardown(void)
{
	table_free(table);
}

static struct slice text(const char *from)
{
	return slice_from_text(from);
}

static void begin(void)
{
	batch = writer_of(span, sizeof(span));
	batch_begin(&batch);
}

static int apply(void)
{
	int error = table_apply(table, 1, entry_index + 1, 2, writer_view(&batch));
	entry_index += error == 0;
	return error;
}

static void put(const char *key, const char *value)
{
	begin();
	batch_put(&batch, text(key), text(value));
	ck_assert_int_eq(apply(), 0);
}

static void append(const char *key, uint64_t sequence, const char *value)
{
	begin();
	batch_append(&batch, text(key), sequence, text(value));
	ck_assert_int_eq(apply(), 0);
}

static void checkpoint(void)
{
	table_freeze(table);
	ck_assert_int_eq(table_frozen_sort(table), 0);
	table_thaw_begin(table);
	while (table_thaw(table, 1)) {
	}
}

static void expect(const char *key, const char *value)
{
	struct slice found;
	ck_assert_int_eq(table_get(table, 1, text(key), &found), TABLE_VALUE);
	ck_assert(slice_equal(found, text(value)));
}

static void expect_state(const char *key, enum table_found state)
{
	struct slice found;
	ck_assert_int_eq(table_get(table, 1, text(key), &found), state);
}

START_TEST(a_key_that_was_never_asked_for_is_cold)
{
	expect_state("k", TABLE_COLD);
	ck_assert_uint_eq(table_figures(table).colds, 1);
}
END_TEST

START_TEST(what_was_applied_is_found_in_its_shard_only)
{
	put("k", "v");
	expect("k", "v");
	struct slice found;
	ck_assert_int_eq(table_get(table, 2, text("k"), &found), TABLE_COLD);
	ck_assert_uint_eq(table_shard_get(table, 1).index, 11);
	ck_assert_uint_eq(table_shard_get(table, 2).index, 0);
	ck_assert(!table_shard_exists(table, 3));
}
END_TEST

START_TEST(a_deleted_key_is_known_to_be_absent)
{
	put("k", "v");
	begin();
	batch_delete(&batch, text("k"));
	ck_assert_int_eq(apply(), 0);
	expect_state("k", TABLE_ABSENT);
	checkpoint();
	expect_state("k", TABLE_ABSENT);
}
END_TEST

START_TEST(the_last_operation_on_a_key_in_a_batch_counts)
{
	begin();
	batch_put(&batch, text("k"), text("first"));
	batch_delete(&batch, text("k"));
	batch_put(&batch, text("k"), text("a much longer value than the first"));
	batch_put(&batch, text("l"), text("v"));
	batch_delete(&batch, text("l"));
	ck_assert_int_eq(apply(), 0);
	expect("k", "a much longer value than the first");
	expect_state("l", TABLE_ABSENT);
}
END_TEST

/* As batches that change anything else: whole or not at all, and the last one of a key counts. */
START_TEST(puts_over_several_dirty_keys_are_one_change)
{
	put("k", "first k");
	put("l", "first l");
	begin();
	batch_put(&batch, text("k"), text("second k"));
	batch_put(&batch, text("l"), text("second l"));
	writer_u8(&batch, BATCH_PUT);
	ck_assert_int_eq(apply(), ERR_CORRUPT);
	expect("k", "first k");
	expect("l", "first l");
	begin();
	batch_put(&batch, text("k"), text("third k"));
	batch_put(&batch, text("l"), text("third l"));
	batch_put(&batch, text("k"), text(""));
	ck_assert_int_eq(apply(), 0);
	expect("k", "");
	expect("l", "third l");
	ck_assert_uint_eq(table_shard_get(table, 1).index, entry_index);
}
END_TEST

/* What is asked for ahead is only asked for: of keys that are dirty, frozen, or not there. */
START_TEST(fetching_what_will_be_applied_changes_nothing)
{
	put("frozen", "f");
	table_freeze(table);
	put("dirty", "d");
	struct table_figures before = table_figures(table);
	struct table_soon soon = {.count = 0};
	begin();
	for (int i = 0; i < 2 * TABLE_SOON_MAX; i++) {
		const char *keys[] = {"dirty", "frozen", "new"};
		batch_put(&batch, text(keys[i % 3]), text("v"));
	}
	table_soon_add(table, &soon, 1, writer_view(&batch));
	ck_assert_uint_eq(soon.count, TABLE_SOON_MAX);
	struct table_soon of_no_shard = {.count = 0};
	table_soon_add(table, &of_no_shard, 7, writer_view(&batch));
	for (unsigned pass = 0; pass < TABLE_SOON_PASSES; pass++) {
		table_soon_pass(table, &soon, pass);
		table_soon_pass(table, &of_no_shard, pass);
	}
	struct table_figures after = table_figures(table);
	ck_assert_mem_eq(&before, &after, sizeof(before));
	expect("dirty", "d");
	expect("frozen", "f");
	ck_assert_int_eq(apply(), 0);
	expect("frozen", "v");
	expect("new", "v");
}
END_TEST

START_TEST(an_empty_entry_moves_the_index_and_is_part_of_the_generation)
{
	ck_assert_int_eq(table_apply(table, 1, 11, 3, slice_of(NULL, 0)), 0);
	ck_assert_uint_eq(table_shard_get(table, 1).index, 11);
	ck_assert_uint_eq(table_shard_get(table, 1).term, 3);
	table_freeze(table);
	ck_assert_int_eq(table_frozen_sort(table), 0);
	ck_assert_uint_eq(table_frozen_count(table), 0);
}
END_TEST

static void keep_shard(void *arg, uint32_t shard, struct table_shard applied)
{
	uint64_t *seen = arg;
	ck_assert_uint_eq(shard, 1);
	seen[0]++;
	seen[1] = applied.index;
}

START_TEST(a_frozen_generation_stays_at_its_index)
{
	put("k", "v");
	table_freeze(table);
	put("k", "w");
	put("l", "x");
	uint64_t seen[2] = {0, 0};
	table_frozen_shards(table, keep_shard, seen);
	ck_assert_uint_eq(seen[0], 1);
	ck_assert_uint_eq(seen[1], 11);
	ck_assert_int_eq(table_frozen_sort(table), 0);
	ck_assert_uint_eq(table_frozen_count(table), 1);
	struct table_change change = table_frozen_at(table, 0);
	ck_assert_uint_eq(key_shard_get(change.key.data), 1);
	ck_assert(slice_equal(slice_of(change.key.data + 4, change.key.bytes - 4), text("k")));
	ck_assert(slice_equal(change.value, text("v")));
	expect("k", "w");
	table_thaw_begin(table);
	while (table_thaw(table, 1)) {
	}
	expect("k", "w");
	ck_assert_uint_eq(table_figures(table).clean_bytes, 0);
}
END_TEST

START_TEST(one_generation_at_a_time_is_frozen)
{
	put("k", "v");
	ck_assert(table_can_freeze(table));
	table_freeze(table);
	ck_assert(!table_can_freeze(table));
	ck_assert_int_eq(table_frozen_sort(table), 0);
	table_thaw_begin(table);
	ck_assert(!table_can_freeze(table));
	ck_assert(!table_thaw(table, 10));
	ck_assert(table_can_freeze(table));
	ck_assert_uint_eq(table_figures(table).generation, 2);
}
END_TEST

START_TEST(changes_of_all_shards_come_out_in_the_order_of_their_keys)
{
	put("b", "1");
	put("a", "2");
	put("ab", "3");
	begin();
	batch_put(&batch, text("0"), text("4"));
	ck_assert_int_eq(table_apply(table, 2, 1, 1, writer_view(&batch)), 0);
	table_freeze(table);
	ck_assert_int_eq(table_frozen_sort(table), 0);
	ck_assert_uint_eq(table_frozen_count(table), 4);
	for (size_t i = 1; i < 4; i++) {
		struct slice before = table_frozen_at(table, i - 1).key;
		ck_assert_int_lt(slice_compare(before, table_frozen_at(table, i).key), 0);
	}
}
END_TEST

START_TEST(appends_of_one_generation_are_joined_under_the_first_sequence)
{
	append("s", 5, "five");
	append("s", 9, "nine");
	table_freeze(table);
	append("s", 10, "ten");
	ck_assert_int_eq(table_frozen_sort(table), 0);
	ck_assert_uint_eq(table_frozen_count(table), 1);
	struct table_change change = table_frozen_at(table, 0);
	ck_assert_uint_eq(change.key.bytes, 4 + 1 + 8);
	ck_assert_uint_eq(load_u64be(change.key.data + 5), 5);
	ck_assert(slice_equal(change.value, text("fivenine")));
}
END_TEST

START_TEST(a_joined_value_above_the_bound_goes_on_under_another_key)
{
	static char large[BATCH_JOINED_BYTES_MAX - 2];
	memset(large, 'x', sizeof(large) - 1);
	append("s", 1, large);
	append("s", 2, "abc");
	append("s", 3, "d");
	append("s", 4, "e");
	table_freeze(table);
	ck_assert_int_eq(table_frozen_sort(table), 0);
	ck_assert_uint_eq(table_frozen_count(table), 2);
	ck_assert_uint_eq(table_frozen_at(table, 0).value.bytes, BATCH_JOINED_BYTES_MAX);
	ck_assert_uint_eq(load_u64be(table_frozen_at(table, 1).key.data + 5), 3);
	ck_assert(slice_equal(table_frozen_at(table, 1).value, text("de")));
}
END_TEST

START_TEST(a_sequence_that_does_not_rise_is_refused_and_changes_nothing)
{
	append("s", 5, "five");
	begin();
	batch_put(&batch, text("k"), text("v"));
	batch_append(&batch, text("s"), 5, text("again"));
	ck_assert_int_eq(apply(), ERR_CORRUPT);
	begin();
	batch_append(&batch, text("s"), 6, text("six"));
	batch_clear(&batch, text("s"));
	batch_append(&batch, text("s"), 6, text("six again"));
	ck_assert_int_eq(apply(), ERR_CORRUPT);
	expect_state("k", TABLE_COLD);
	ck_assert_uint_eq(table_shard_get(table, 1).index, 11);
	ck_assert_uint_eq(table_figures(table).dirty_changes, 1);
}
END_TEST

START_TEST(a_key_is_a_stream_or_it_is_not)
{
	append("s", 1, "one");
	begin();
	batch_put(&batch, text("s"), text("v"));
	ck_assert_int_eq(apply(), ERR_CORRUPT);
	put("k", "v");
	begin();
	batch_append(&batch, text("k"), 1, text("one"));
	ck_assert_int_eq(apply(), ERR_CORRUPT);
	begin();
	batch_put(&batch, text("new"), text("v"));
	batch_clear(&batch, text("new"));
	ck_assert_int_eq(apply(), ERR_CORRUPT);
	expect("k", "v");
	expect_state("new", TABLE_COLD);
}
END_TEST

START_TEST(a_name_that_was_only_read_can_become_a_stream)
{
	uint64_t ticket;
	ck_assert_int_eq(table_load(table, 1, text("s"), &ticket), 0);
	append("s", 1, "one");
	ck_assert_int_eq(table_fill(table, 1, text("s"), ticket, false, slice_of(NULL, 0)), 0);
	ck_assert_int_eq(table_load(table, 1, text("t"), &ticket), 0);
	ck_assert_int_eq(table_fill(table, 1, text("t"), ticket, true, text("value")), 0);
	append("t", 1, "one");
	ck_assert_uint_eq(table_figures(table).clean_bytes, 0);
	ck_assert_uint_eq(table_figures(table).dirty_changes, 2);
}
END_TEST

START_TEST(a_clear_removes_what_its_generation_had_and_stands_before_what_follows)
{
	append("s", 1, "one");
	begin();
	batch_clear(&batch, text("s"));
	batch_append(&batch, text("s"), 2, text("two"));
	ck_assert_int_eq(apply(), 0);
	begin();
	batch_clear(&batch, text("s"));
	ck_assert_int_eq(apply(), 0);
	append("s", 3, "three");
	table_freeze(table);
	ck_assert_int_eq(table_frozen_sort(table), 0);
	ck_assert_uint_eq(table_frozen_count(table), 2);
	ck_assert_int_eq(table_frozen_at(table, 0).kind, TABLE_CLEAR);
	ck_assert_uint_eq(table_frozen_at(table, 0).key.bytes, 5);
	ck_assert(slice_equal(table_frozen_at(table, 1).value, text("three")));
}
END_TEST

START_TEST(a_read_that_a_change_overtook_is_dropped)
{
	uint64_t ticket;
	ck_assert_int_eq(table_load(table, 1, text("k"), &ticket), 0);
	expect_state("k", TABLE_LOADING);
	put("k", "new");
	ck_assert(!table_load_current(table, 1, text("k"), ticket));
	ck_assert_int_eq(table_fill(table, 1, text("k"), ticket, true, text("old")), 0);
	expect("k", "new");
}
END_TEST

START_TEST(an_overtaken_read_does_not_serve_a_later_one)
{
	uint64_t first;
	uint64_t second;
	static char large[2001];
	memset(large, 'x', sizeof(large) - 1);
	ck_assert_int_eq(table_load(table, 1, text("k"), &first), 0);
	put("k", "new");
	checkpoint();
	put("other", large);
	checkpoint(); /* which evicts k */
	expect_state("k", TABLE_COLD);
	ck_assert_int_eq(table_load(table, 1, text("k"), &second), 0);
	ck_assert_uint_ne(first, second);
	ck_assert_int_eq(table_fill(table, 1, text("k"), first, true, text("old")), 0);
	expect_state("k", TABLE_LOADING);
	ck_assert_int_eq(table_fill(table, 1, text("k"), second, true, text("new")), 0);
	expect("k", "new");
}
END_TEST

START_TEST(a_failed_read_leaves_the_key_cold)
{
	uint64_t ticket;
	ck_assert_int_eq(table_load(table, 1, text("k"), &ticket), 0);
	table_load_failed(table, 1, text("k"), ticket);
	expect_state("k", TABLE_COLD);
	ck_assert_uint_eq(table_figures(table).entries, 0);
}
END_TEST

static const char *numbered(const char *word, int number)
{
	static char key[32];
	snprintf(key, sizeof(key), "%s %d", word, number);
	return key;
}

static void load_of(uint32_t shard, const char *key)
{
	uint64_t ticket;
	ck_assert_int_eq(table_load(table, shard, text(key), &ticket), 0);
	ck_assert_int_eq(table_fill(table, shard, text(key), ticket, true, text("v")), 0);
}

static void load(const char *key)
{
	load_of(1, key);
}

START_TEST(clean_values_are_evicted_and_changed_ones_are_not)
{
	for (int i = 0; i < 100; i++) {
		put(numbered("dirty", i), "value");
		load(numbered("clean", i));
		expect(numbered("clean", i), "v");
	}
	ck_assert_uint_le(table_figures(table).clean_bytes, 2000);
	ck_assert_uint_gt(table_figures(table).evictions, 0);
	for (int i = 0; i < 100; i++) {
		expect(numbered("dirty", i), "value");
	}
}
END_TEST

START_TEST(what_is_used_again_and_again_outlives_what_is_not)
{
	load("hot");
	for (int i = 0; i < 100; i++) {
		expect("hot", "v");
		load(numbered("cold", i));
	}
	expect("hot", "v");
}
END_TEST

START_TEST(values_of_a_shard_are_dropped_whatever_is_read_of_others_meanwhile)
{
	/* Used: so the cache would let them go round once more. */
	for (int i = 0; i < 3; i++) {
		load(numbered("old", i));
		expect(numbered("old", i), "v");
	}
	table_drop_begin(table, 1);
	for (int i = 0; table_figures(table).evictions == 0; i++) {
		load_of(2, numbered("other", i));
	}
	while (table_drop_step(table, 2)) {
	}
	for (int i = 0; i < 3; i++) {
		expect_state(numbered("old", i), TABLE_COLD);
	}
}
END_TEST

START_TEST(a_pinned_value_stays_whatever_is_filled)
{
	load("pinned");
	table_pin(table, 1, text("pinned"));
	for (int i = 0; i < 100; i++) {
		load(numbered("other", i));
	}
	expect("pinned", "v");
	table_unpin(table);
	for (int i = 100; i < 200; i++) {
		load(numbered("other", i));
	}
	expect_state("pinned", TABLE_COLD);
}
END_TEST

START_TEST(a_snapshot_does_not_see_later_changes)
{
	put("a", "1");
	put("b", "2");
	append("s", 1, "one");
	table_freeze(table);
	put("b", "3");
	struct table_snapshot *snapshot;
	struct slice all = slice_of(NULL, 0);
	ck_assert_int_eq(table_snapshot_take(table, 1, all, all, 10000, &snapshot), 0);
	put("a", "4");
	put("b", "5");
	put("c", "6");
	append("s", 2, "two");
	ck_assert_int_eq(table_frozen_sort(table), 0);
	table_thaw_begin(table);
	while (table_thaw(table, 1)) {
	}
	ck_assert_uint_eq(table_snapshot_count(snapshot), 3);
	ck_assert(slice_equal(table_snapshot_at(snapshot, 0).value, text("1")));
	ck_assert(slice_equal(table_snapshot_at(snapshot, 1).value, text("3")));
	ck_assert(slice_equal(table_snapshot_at(snapshot, 2).value, text("one")));
	ck_assert_uint_gt(table_figures(table).snapshot_bytes, 0);
	table_snapshot_free(snapshot);
	ck_assert_uint_eq(table_figures(table).snapshot_bytes, 0);
}
END_TEST

START_TEST(a_snapshot_from_inside_a_cleared_stream_knows_of_the_clear)
{
	begin();
	batch_clear(&batch, text("stream"));
	ck_assert_int_eq(apply(), 0);
	put("a", "1");
	put("z", "2");
	struct table_snapshot *snapshot;
	ck_assert_int_eq(table_snapshot_take(
	                     table, 1, text("stream\0\0\0\0\0\0\0\7"), text("t"), 10000, &snapshot),
	    0);
	ck_assert_uint_eq(table_snapshot_count(snapshot), 1);
	ck_assert_int_eq(table_snapshot_at(snapshot, 0).kind, TABLE_CLEAR);
	table_snapshot_free(snapshot);
	ck_assert_int_eq(
	    table_snapshot_take(table, 1, text("strean"), text("t"), 10000, &snapshot), 0);
	ck_assert_uint_eq(table_snapshot_count(snapshot), 0);
	table_snapshot_free(snapshot);
}
END_TEST

START_TEST(a_snapshot_is_bounded)
{
	put("a", "1234567890");
	put("b", "1234567890");
	struct table_snapshot *snapshot = NULL;
	struct slice all = slice_of(NULL, 0);
	ck_assert_int_eq(table_snapshot_take(table, 1, all, all, 150, &snapshot), ERR_TOO_LARGE);
	ck_assert_ptr_null(snapshot);
	ck_assert_int_eq(table_snapshot_take(table, 1, all, all, 1000, &snapshot), 0);
	table_snapshot_free(snapshot);
}
END_TEST

START_TEST(a_small_change_of_a_large_clean_value_gives_its_memory_back)
{
	static char large[1001];
	memset(large, 'x', sizeof(large) - 1);
	put("k", large);
	checkpoint();
	ck_assert_uint_gt(table_figures(table).clean_bytes, 1000);
	put("k", "small");
	ck_assert_uint_eq(table_figures(table).clean_bytes, 0);
	ck_assert_uint_lt(table_figures(table).dirty_bytes, 500);
}
END_TEST

START_TEST(an_apply_that_failed_for_memory_can_be_tried_again)
{
	put("old", "value");
	for (uint64_t nth = 1;; nth++) {
		begin();
		batch_put(
		    &batch, text("old"), text("a value that needs a larger block than before"));
		batch_put(&batch, text("new"), text("value"));
		batch_append(&batch, text("s"), 1, text("one"));
		batch_clear(&batch, text("t"));
		mem_fail_at(nth);
		int error = table_apply(table, 1, entry_index + 1, 2, writer_view(&batch));
		bool failed = mem_failed();
		mem_fail_at(0);
		if (!failed) {
			ck_assert_int_eq(error, 0);
			ck_assert_uint_gt(nth, 5);
			break;
		}
		ck_assert_int_eq(error, ERR_NOMEM);
		expect("old", "value");
		expect_state("new", TABLE_COLD);
		ck_assert_uint_eq(table_figures(table).dirty_changes, 1);
	}
	expect("new", "value");
}
END_TEST

START_TEST(making_a_table_or_a_shard_can_fail_for_memory)
{
	struct table_options options = {.clean_bytes_max = 0};
	struct table *other = NULL;
	mem_fail_at(1);
	ck_assert_int_eq(table_new(&options, &other), ERR_NOMEM);
	ck_assert_ptr_null(other);
	for (uint64_t nth = 1; nth <= 2; nth++) {
		mem_fail_at(nth);
		int error = table_shard_add(table, 1000, (struct table_shard){0});
		bool failed = mem_failed();
		mem_fail_at(0);
		ck_assert_int_eq(error, failed ? ERR_NOMEM : 0);
		if (!failed)
			break;
		ck_assert(!table_shard_exists(table, 1000));
	}
}
END_TEST

Suite *table_suite(void)
{
	Suite *suite = suite_create("table");
	TCase *tcase = tcase_create("table");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_key_that_was_never_asked_for_is_cold);
	tcase_add_test(tcase, what_was_applied_is_found_in_its_shard_only);
	tcase_add_test(tcase, a_deleted_key_is_known_to_be_absent);
	tcase_add_test(tcase, the_last_operation_on_a_key_in_a_batch_counts);
	tcase_add_test(tcase, puts_over_several_dirty_keys_are_one_change);
	tcase_add_test(tcase, fetching_what_will_be_applied_changes_nothing);
	tcase_add_test(tcase, an_empty_entry_moves_the_index_and_is_part_of_the_generation);
	tcase_add_test(tcase, a_frozen_generation_stays_at_its_index);
	tcase_add_test(tcase, one_generation_at_a_time_is_frozen);
	tcase_add_test(tcase, changes_of_all_shards_come_out_in_the_order_of_their_keys);
	tcase_add_test(tcase, appends_of_one_generation_are_joined_under_the_first_sequence);
	tcase_add_test(tcase, a_joined_value_above_the_bound_goes_on_under_another_key);
	tcase_add_test(tcase, a_sequence_that_does_not_rise_is_refused_and_changes_nothing);
	tcase_add_test(tcase, a_key_is_a_stream_or_it_is_not);
	tcase_add_test(tcase, a_name_that_was_only_read_can_become_a_stream);
	tcase_add_test(
	    tcase, a_clear_removes_what_its_generation_had_and_stands_before_what_follows);
	tcase_add_test(tcase, a_read_that_a_change_overtook_is_dropped);
	tcase_add_test(tcase, an_overtaken_read_does_not_serve_a_later_one);
	tcase_add_test(tcase, a_failed_read_leaves_the_key_cold);
	tcase_add_test(tcase, clean_values_are_evicted_and_changed_ones_are_not);
	tcase_add_test(tcase, what_is_used_again_and_again_outlives_what_is_not);
	tcase_add_test(tcase, values_of_a_shard_are_dropped_whatever_is_read_of_others_meanwhile);
	tcase_add_test(tcase, a_pinned_value_stays_whatever_is_filled);
	tcase_add_test(tcase, a_snapshot_does_not_see_later_changes);
	tcase_add_test(tcase, a_snapshot_from_inside_a_cleared_stream_knows_of_the_clear);
	tcase_add_test(tcase, a_snapshot_is_bounded);
	tcase_add_test(tcase, a_small_change_of_a_large_clean_value_gives_its_memory_back);
	tcase_add_test(tcase, an_apply_that_failed_for_memory_can_be_tried_again);
	tcase_add_test(tcase, making_a_table_or_a_shard_can_fail_for_memory);
	suite_add_tcase(suite, tcase);
	return suite;
}
