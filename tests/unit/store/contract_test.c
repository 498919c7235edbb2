/* What storage/store.h promises, whoever implements it. */
#include <string.h>

#include "base/buffer.h"
#include "base/io/fs.h"
#include "base/mem.h"
#include "tests/unit/store/platform.h"
#include "tests/unit/store/source.h"
#include "tests/unit/store/suites.h"

static struct store *store;
static struct buffer value;
static char why[STORE_WHY_BYTES];

static struct store_options options_of(void)
{
	return (struct store_options){.fs = platform_fs(),
	    .root = platform_root(),
	    .dir = "db",
	    .block_cache_bytes = 8 << 20};
}

static void open_store(void)
{
	struct store_options options = options_of();
	int error = store_open(&options, why, sizeof(why), &store);
	ck_assert_msg(error == 0, "%s: %s", error_name(error), why);
}

static void reopen_store(void)
{
	store_close(store);
	open_store();
}

static void setup(void)
{
	platform_setup();
	ck_assert_int_eq(fs_make_dir(platform_fs(), "db"), 0);
	open_store();
	buffer_init(&value, 1 << 20);
}

static void done(void)
{
	buffer_done(&value);
	store_close(store);
	platform_done();
}

static struct slice text(const char *characters)
{
	return slice_from_text(characters);
}

static struct store_change put(const char *key, const char *characters)
{
	return (struct store_change){.key = text(key), .value = text(characters)};
}

static struct store_change gone(const char *key)
{
	return (struct store_change){.key = text(key), .is_delete = true};
}

#define WRITE(...)                                                                                 \
	do {                                                                                       \
		const struct store_change changes[] = {__VA_ARGS__};                               \
		struct array_source source =                                                       \
		    array_source(changes, sizeof(changes) / sizeof(changes[0]));                   \
		ck_assert_int_eq(store_write(store, &source.source), 0);                           \
	} while (0)

static bool holds(const char *key, const char *characters)
{
	buffer_clear(&value);
	return store_get(store, text(key), &value) == 0 &&
	       slice_equal(buffer_view(&value), text(characters));
}

static bool lacks(const char *key)
{
	buffer_clear(&value);
	return store_get(store, text(key), &value) == ERR_NOT_FOUND && buffer_bytes(&value) == 0;
}

/* The keys of the cursor, each followed by a dot. */
static const char *keys_between(
    struct store_snapshot *snapshot, struct slice first, struct slice end)
{
	static char keys[256];
	struct store_cursor *cursor;
	struct slice key;
	struct slice ignored;
	size_t bytes = 0;
	ck_assert_int_eq(store_cursor_open(store, snapshot, first, end, &cursor), 0);
	while (store_cursor_next(cursor, &key, &ignored) == 0) {
		ck_assert_uint_lt(bytes + key.bytes + 1, sizeof(keys));
		memcpy(keys + bytes, key.data, key.bytes);
		bytes += key.bytes;
		keys[bytes++] = '.';
	}
	keys[bytes] = '\0';
	store_cursor_close(cursor);
	return keys;
}

static const char *all_keys(struct store_snapshot *snapshot)
{
	return keys_between(snapshot, text(""), text(""));
}

START_TEST(new_store_is_empty)
{
	ck_assert(lacks("a"));
	ck_assert_str_eq(all_keys(NULL), "");
	ck_assert_int_eq(store_get_cached(store, text("a"), &value), ERR_NOT_FOUND);
}
END_TEST

START_TEST(written_changes_are_read_back)
{
	WRITE(put("a", "one"), put("b", ""), put("c", "three"));
	ck_assert(holds("a", "one"));
	ck_assert(holds("b", ""));
	ck_assert(lacks("bb"));
	WRITE(put("a", "two"), gone("b"), gone("never"));
	ck_assert(holds("a", "two"));
	ck_assert(lacks("b"));
	ck_assert(holds("c", "three"));
	ck_assert_str_eq(all_keys(NULL), "a.c.");
}
END_TEST

START_TEST(write_without_changes_changes_nothing)
{
	WRITE(put("a", "one"));
	struct array_source none = array_source(NULL, 0);
	uint64_t writes = store_figures(store).writes;
	ck_assert_int_eq(store_write(store, &none.source), 0);
	ck_assert_uint_eq(store_figures(store).writes, writes);
	ck_assert_str_eq(all_keys(NULL), "a.");
}
END_TEST

static bool fail_after_one(struct store_source *source, struct store_change *ret_change)
{
	struct array_source *array = (struct array_source *)(void *)source;
	if (array->next == 1) {
		source->error = ERR_DATA_LOSS;
		return false;
	}
	*ret_change = array->changes[array->next++];
	return true;
}

START_TEST(write_whose_source_fails_changes_nothing)
{
	WRITE(put("a", "one"));
	const struct store_change changes[] = {put("a", "two"), put("b", "two")};
	struct array_source source = array_source(changes, 2);
	source.source.next = fail_after_one;
	ck_assert_int_eq(store_write(store, &source.source), ERR_DATA_LOSS);
	ck_assert(holds("a", "one"));
	reopen_store();
	ck_assert(holds("a", "one"));
	ck_assert_str_eq(all_keys(NULL), "a.");
}
END_TEST

START_TEST(deleted_key_may_be_written_again)
{
	WRITE(put("a", "one"));
	WRITE(gone("a"));
	WRITE(put("a", "two"));
	ck_assert(holds("a", "two"));
	reopen_store();
	ck_assert(holds("a", "two"));
}
END_TEST

START_TEST(reopened_store_holds_everything)
{
	WRITE(put("a", "one"), put("b", "two"));
	WRITE(gone("a"), put("c", "three"));
	for (int i = 0; i < 3; i++) {
		reopen_store();
		ck_assert_str_eq(all_keys(NULL), "b.c.");
		ck_assert(holds("b", "two"));
		ck_assert(lacks("a"));
	}
}
END_TEST

START_TEST(value_is_appended_to_the_buffer)
{
	WRITE(put("a", "one"));
	ck_assert_int_eq(buffer_append_text(&value, "got "), 0);
	ck_assert_int_eq(store_get(store, text("a"), &value), 0);
	ck_assert(slice_equal(buffer_view(&value), text("got one")));
}
END_TEST

START_TEST(value_larger_than_the_buffer_is_refused)
{
	WRITE(put("a", "a value of many bytes"));
	struct buffer small;
	buffer_init(&small, 8);
	ck_assert_int_eq(store_get(store, text("a"), &small), ERR_TOO_LARGE);
	ck_assert_uint_eq(buffer_bytes(&small), 0);
	buffer_done(&small);
}
END_TEST

START_TEST(cached_read_agrees_or_asks_for_the_disk)
{
	WRITE(put("a", "one"), put("b", "two"));
	for (int i = 0; i < 2; i++) {
		buffer_clear(&value);
		int error = store_get_cached(store, text("a"), &value);
		ck_assert(error == ERR_AGAIN ||
		          (error == 0 && slice_equal(buffer_view(&value), text("one"))));
		ck_assert(error == 0 || buffer_bytes(&value) == 0);
		error = store_get_cached(store, text("aa"), &value);
		ck_assert(error == ERR_AGAIN || error == ERR_NOT_FOUND);
		reopen_store();
	}
}
END_TEST

START_TEST(value_that_was_just_read_is_cached)
{
	WRITE(put("a", "one"), put("b", "two"));
	ck_assert(holds("a", "one"));
	buffer_clear(&value);
	ck_assert_int_eq(store_get_cached(store, text("a"), &value), 0);
	ck_assert(slice_equal(buffer_view(&value), text("one")));
	ck_assert_uint_gt(store_figures(store).cache_hits, 0);
}
END_TEST

START_TEST(keys_are_ordered_as_unsigned_bytes)
{
	static const uint8_t bytes[] = {0x00, 0x00, 0x01, 0x7f, 0x80, 0xff, 0xff};
	struct store_change changes[] = {
	    {.key = slice_of(bytes, 1)},     /* 00 */
	    {.key = slice_of(bytes, 2)},     /* 00 00 */
	    {.key = slice_of(bytes, 3)},     /* 00 00 01 */
	    {.key = slice_of(bytes + 1, 2)}, /* 00 01 */
	    {.key = slice_of(bytes + 3, 2)}, /* 7f 80 */
	    {.key = slice_of(bytes + 4, 1)}, /* 80 */
	    {.key = slice_of(bytes + 5, 1)}, /* ff */
	    {.key = slice_of(bytes + 5, 2)}, /* ff ff */
	};
	size_t count = sizeof(changes) / sizeof(changes[0]);
	struct array_source source = array_source(changes, count);
	ck_assert_int_eq(store_write(store, &source.source), 0);

	struct store_cursor *cursor;
	struct slice key;
	struct slice ignored;
	struct slice all = slice_of(NULL, 0);
	ck_assert_int_eq(store_cursor_open(store, NULL, all, all, &cursor), 0);
	for (size_t i = 0; i < count; i++) {
		ck_assert_int_eq(store_cursor_next(cursor, &key, &ignored), 0);
		ck_assert(slice_equal(key, changes[i].key));
	}
	ck_assert_int_eq(store_cursor_next(cursor, &key, &ignored), ERR_NOT_FOUND);
	ck_assert_int_eq(store_cursor_next(cursor, &key, &ignored), ERR_NOT_FOUND);
	store_cursor_close(cursor);
}
END_TEST

START_TEST(cursor_stays_in_its_range)
{
	WRITE(put("a", "1"), put("b", "2"), put("bb", "3"), put("c", "4"));
	ck_assert_str_eq(keys_between(NULL, text("b"), text("c")), "b.bb.");
	ck_assert_str_eq(keys_between(NULL, text("aa"), text("bb")), "b.");
	ck_assert_str_eq(keys_between(NULL, text("ba"), text("")), "bb.c.");
	ck_assert_str_eq(keys_between(NULL, text(""), text("b")), "a.");
	ck_assert_str_eq(keys_between(NULL, text("d"), text("")), "");
	ck_assert_str_eq(keys_between(NULL, text("b"), text("b")), "");
}
END_TEST

START_TEST(cursor_does_not_see_later_writes)
{
	WRITE(put("a", "1"), put("b", "2"));
	struct store_cursor *cursor;
	struct slice key;
	struct slice got;
	ck_assert_int_eq(store_cursor_open(store, NULL, text(""), text(""), &cursor), 0);
	ck_assert_int_eq(store_cursor_next(cursor, &key, &got), 0);
	WRITE(put("aa", "new"), put("b", "changed"), put("c", "new"));
	ck_assert_int_eq(store_cursor_next(cursor, &key, &got), 0);
	ck_assert(slice_equal(key, text("b")));
	ck_assert(slice_equal(got, text("2")));
	ck_assert_int_eq(store_cursor_next(cursor, &key, &got), ERR_NOT_FOUND);
	store_cursor_close(cursor);
	ck_assert_str_eq(all_keys(NULL), "a.aa.b.c.");
}
END_TEST

START_TEST(snapshot_keeps_the_state_of_its_taking)
{
	struct store_snapshot *empty;
	struct store_snapshot *one;
	struct store_snapshot *two;
	ck_assert_int_eq(store_snapshot_take(store, &empty), 0);
	WRITE(put("a", "1"), put("b", "2"));
	ck_assert_int_eq(store_snapshot_take(store, &one), 0);
	WRITE(gone("a"), put("c", "3"));
	ck_assert_int_eq(store_snapshot_take(store, &two), 0);
	WRITE(gone("b"), gone("c"), put("d", "4"));
	ck_assert_str_eq(all_keys(empty), "");
	ck_assert_str_eq(all_keys(one), "a.b.");
	store_snapshot_release(store, one);
	ck_assert_str_eq(all_keys(two), "b.c.");
	ck_assert_str_eq(all_keys(NULL), "d.");
	store_snapshot_release(store, empty);
	ck_assert_str_eq(all_keys(two), "b.c.");
	store_snapshot_release(store, two);
	ck_assert_str_eq(all_keys(NULL), "d.");
}
END_TEST

START_TEST(cursors_of_one_snapshot_are_independent)
{
	WRITE(put("a", "1"), put("b", "2"));
	struct store_snapshot *snapshot;
	struct store_cursor *first;
	struct store_cursor *second;
	struct slice key;
	struct slice got;
	ck_assert_int_eq(store_snapshot_take(store, &snapshot), 0);
	WRITE(gone("a"), gone("b"));
	ck_assert_int_eq(store_cursor_open(store, snapshot, text(""), text(""), &first), 0);
	ck_assert_int_eq(store_cursor_next(first, &key, &got), 0);
	ck_assert_int_eq(store_cursor_open(store, snapshot, text(""), text(""), &second), 0);
	ck_assert_int_eq(store_cursor_next(first, &key, &got), 0);
	ck_assert(slice_equal(key, text("b")));
	store_cursor_close(first);
	ck_assert_int_eq(store_cursor_next(second, &key, &got), 0);
	ck_assert(slice_equal(key, text("a")));
	store_cursor_close(second);
	store_snapshot_release(store, snapshot);
}
END_TEST

START_TEST(store_in_use_is_busy)
{
	struct store_options options = options_of();
	struct store *other = NULL;
	why[0] = '\0';
	ck_assert_int_eq(store_open(&options, why, sizeof(why), &other), ERR_BUSY);
	ck_assert_ptr_null(other);
	ck_assert_str_ne(why, "");
	WRITE(put("a", "1"));
	ck_assert(holds("a", "1"));
}
END_TEST

START_TEST(read_only_store_shows_what_was_written)
{
	WRITE(put("a", "1"), put("b", "2"));
	WRITE(gone("b"));
	store_close(store);
	struct store_options options = options_of();
	options.read_only = true;
	ck_assert_int_eq(store_open(&options, why, sizeof(why), &store), 0);
	ck_assert(holds("a", "1"));
	ck_assert_str_eq(all_keys(NULL), "a.");
	store_check(store);
	reopen_store();
	ck_assert(holds("a", "1"));
}
END_TEST

START_TEST(read_only_opening_makes_nothing)
{
	struct store_options options = options_of();
	options.dir = "other";
	options.read_only = true;
	ck_assert_int_eq(fs_make_dir(platform_fs(), "other"), 0);
	struct store *other = NULL;
	ck_assert_int_eq(store_open(&options, why, sizeof(why), &other), ERR_NOT_FOUND);
	ck_assert_ptr_null(other);
	bool exists;
	ck_assert_int_eq(fs_exists(platform_fs(), "other/CURRENT", &exists), 0);
	ck_assert(!exists);
}
END_TEST

START_TEST(random_writes_are_read_back_at_every_step)
{
	struct model before = {0};
	struct model kept = {0};
	struct store_snapshot *snapshot = NULL;
	uint64_t random = (uint64_t)_i;
	for (uint32_t step = 1; step <= 12; step++) {
		struct model after = before;
		model_change(&after, &random, step);
		struct model_source source = model_source(&before, &after);
		ck_assert_int_eq(store_write(store, &source.source), 0);
		before = after;
		ck_assert(model_matches(&after, store, NULL));
		ck_assert(model_matches_gets(&after, store));
		if (step % 4 == 0) {
			ck_assert(snapshot == NULL || model_matches(&kept, store, snapshot));
			store_snapshot_release(store, snapshot);
			snapshot = NULL;
			reopen_store();
			ck_assert(model_matches(&after, store, NULL));
		}
		if (step % 4 == 1) {
			ck_assert_int_eq(store_snapshot_take(store, &snapshot), 0);
			kept = after;
		}
	}
	store_check(store);
	ck_assert_uint_gt(store_figures(store).bytes_on_disk, 0);
}
END_TEST

static void report_nothing(void *arg, const char *what)
{
	(void)arg;
	ck_abort_msg("%s", what);
}

START_TEST(undamaged_store_is_verified)
{
	struct model empty = {0};
	struct model full = {0};
	uint64_t random = 7;
	model_change(&full, &random, 1);
	struct model_source source = model_source(&empty, &full);
	ck_assert_int_eq(store_verify(store, report_nothing, NULL), 0);
	ck_assert_int_eq(store_write(store, &source.source), 0);
	ck_assert_int_eq(store_verify(store, report_nothing, NULL), 0);
}
END_TEST

START_TEST(write_is_whole_or_nothing_when_memory_runs_out)
{
	WRITE(put("a", "before"));
	const struct store_change changes[] = {put("a", "after"), put("b", "after")};
	int error = ERR_NOMEM;
	uint64_t nth = 1;
	for (; error == ERR_NOMEM; nth++) {
		ck_assert_uint_lt(nth, 50);
		struct array_source source = array_source(changes, 2);
		mem_fail_at(nth);
		error = store_write(store, &source.source);
		bool failed = mem_failed();
		mem_fail_at(0);
		ck_assert(failed == (error == ERR_NOMEM));
		ck_assert_str_eq(all_keys(NULL), error == 0 ? "a.b." : "a.");
		ck_assert(holds("a", error == 0 ? "after" : "before"));
	}
	ck_assert_int_eq(error, 0);
}
END_TEST

START_TEST(opening_survives_every_failed_allocation)
{
	WRITE(put("a", "1"));
	store_close(store);
	store = NULL;
	struct store_options options = options_of();
	for (uint64_t nth = 1; store == NULL; nth++) {
		ck_assert_uint_lt(nth, 100);
		mem_fail_at(nth);
		int error = store_open(&options, why, sizeof(why), &store);
		mem_fail_at(0);
		ck_assert_int_eq(error, store == NULL ? ERR_NOMEM : 0);
	}
	ck_assert(holds("a", "1"));
}
END_TEST

START_TEST(reading_survives_every_failed_allocation)
{
	WRITE(put("a", "1"));
	struct store_cursor *cursor = NULL;
	for (uint64_t nth = 1; cursor == NULL; nth++) {
		ck_assert_uint_lt(nth, 20);
		mem_fail_at(nth);
		int error = store_cursor_open(store, NULL, text(""), text(""), &cursor);
		mem_fail_at(0);
		ck_assert_int_eq(error, cursor == NULL ? ERR_NOMEM : 0);
	}
	store_cursor_close(cursor);
	buffer_done(&value);
	mem_fail_at(1);
	int error = store_get(store, text("a"), &value);
	mem_fail_at(0);
	ck_assert_int_eq(error, ERR_NOMEM);
	ck_assert(holds("a", "1"));
}
END_TEST

Suite *contract_suite(void)
{
	Suite *suite = suite_create("contract");
	TCase *tcase = tcase_create("contract");
	tcase_add_checked_fixture(tcase, setup, done);
	tcase_add_test(tcase, new_store_is_empty);
	tcase_add_test(tcase, written_changes_are_read_back);
	tcase_add_test(tcase, write_without_changes_changes_nothing);
	tcase_add_test(tcase, write_whose_source_fails_changes_nothing);
	tcase_add_test(tcase, deleted_key_may_be_written_again);
	tcase_add_test(tcase, reopened_store_holds_everything);
	tcase_add_test(tcase, value_is_appended_to_the_buffer);
	tcase_add_test(tcase, value_larger_than_the_buffer_is_refused);
	tcase_add_test(tcase, cached_read_agrees_or_asks_for_the_disk);
	tcase_add_test(tcase, value_that_was_just_read_is_cached);
	tcase_add_test(tcase, keys_are_ordered_as_unsigned_bytes);
	tcase_add_test(tcase, cursor_stays_in_its_range);
	tcase_add_test(tcase, cursor_does_not_see_later_writes);
	tcase_add_test(tcase, snapshot_keeps_the_state_of_its_taking);
	tcase_add_test(tcase, cursors_of_one_snapshot_are_independent);
	tcase_add_test(tcase, store_in_use_is_busy);
	tcase_add_test(tcase, read_only_store_shows_what_was_written);
	tcase_add_test(tcase, read_only_opening_makes_nothing);
	tcase_add_loop_test(tcase, random_writes_are_read_back_at_every_step, 0, 4);
	tcase_add_test(tcase, undamaged_store_is_verified);
	tcase_add_test(tcase, write_is_whole_or_nothing_when_memory_runs_out);
	tcase_add_test(tcase, opening_survives_every_failed_allocation);
	tcase_add_test(tcase, reading_survives_every_failed_allocation);
	suite_add_tcase(suite, tcase);
	return suite;
}
