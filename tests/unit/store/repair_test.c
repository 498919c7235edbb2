/* storage/store_tool.h on RocksDB: what is damaged goes, everything else stays, and nothing changes
 * that was not announced. Crashes in the middle: tests/preload. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/io/fs.h"
#include "storage/keys.h"
#include "storage/store_tool.h"
#include "tests/unit/store/files.h"
#include "tests/unit/store/platform.h"
#include "tests/unit/store/source.h"
#include "tests/unit/store/suites.h"

enum {
	STRETCHES_MAX = 64,
	KEY_MAX = 64,
	SHARD_KEYS = 100,
	SHARDS = MODEL_KEYS / SHARD_KEYS,
	LISTED_SHARD = 3
};

/* What a repair says that it will do. */
struct told {
	size_t bad;
	char bad_file[32];
	struct {
		uint8_t after[KEY_MAX], before[KEY_MAX];
		size_t after_bytes, before_bytes;
	} lost[STRETCHES_MAX];
	size_t lost_count;
	struct store_repair_shard
	    shards[SHARDS]; /* by number; without stretches: it was not told */
	uint32_t opened[8];
	size_t opened_count;
	uint64_t keys;
	bool decided;
	int answer; /* the test's */
};

static void told_bad(void *arg, const char *what)
{
	struct told *told = arg;
	told->bad++;
	snprintf(told->bad_file, sizeof(told->bad_file), "db/%.10s", what);
}

static int told_lost(void *arg, struct slice after, struct slice before)
{
	struct told *told = arg;
	EXPECT(!told->decided && told->lost_count < STRETCHES_MAX);
	EXPECT(after.bytes <= KEY_MAX && before.bytes <= KEY_MAX);
	size_t at = told->lost_count++;
	if (after.bytes > 0)
		memcpy(told->lost[at].after, after.data, after.bytes);
	if (before.bytes > 0)
		memcpy(told->lost[at].before, before.data, before.bytes);
	told->lost[at].after_bytes = after.bytes;
	told->lost[at].before_bytes = before.bytes;
	return 0;
}

static int told_shard(void *arg, const struct store_repair_shard *shard)
{
	struct told *told = arg;
	EXPECT(!told->decided && shard->shard < SHARDS && shard->gaps > 0);
	EXPECT(told->shards[shard->shard].gaps == 0);
	told->shards[shard->shard] = *shard;
	return 0;
}

static int told_opened(void *arg, uint32_t shard)
{
	struct told *told = arg;
	EXPECT(!told->decided && told->opened_count < 8);
	told->opened[told->opened_count++] = shard;
	return 0;
}

static int told_decide(void *arg, uint64_t keys)
{
	struct told *told = arg;
	told->keys = keys;
	told->decided = true;
	return told->answer;
}

static bool is_told_lost(const struct told *told, struct slice key)
{
	for (size_t i = 0; i < told->lost_count; i++) {
		struct slice after = slice_of(told->lost[i].after, told->lost[i].after_bytes);
		struct slice before = slice_of(told->lost[i].before, told->lost[i].before_bytes);
		if (slice_compare(key, after) > 0 &&
		    (before.bytes == 0 || slice_compare(key, before) < 0))
			return true;
	}
	return false;
}

static int repair(struct told *told)
{
	struct store_options options = {.fs = platform_fs(),
	    .root = platform_root(),
	    .dir = "db",
	    .block_cache_bytes = 8 << 20};
	struct store_repair_plan plan = {.bad = told_bad,
	    .lost = told_lost,
	    .shard = told_shard,
	    .opened = told_opened,
	    .decide = told_decide,
	    .arg = told};
	uint64_t keys = UINT64_MAX;
	int error = store_repair(&options, "copy", &plan, &keys, files_why, STORE_WHY_BYTES);
	ck_assert(error == 0 ? keys == told->keys : keys == UINT64_MAX);
	ck_assert(error == 0 || error == told->answer || files_why[0] != '\0');
	return error;
}

/* ---- Stores ---- */

static void write_changes(struct store *store, const struct store_change *changes, size_t count)
{
	struct array_source source = array_source(changes, count);
	ck_assert_int_eq(store_write(store, &source.source), 0);
}

/* What every store of an engine has at its end. */
static void write_own_records(struct store *store)
{
	uint8_t anchor[KEY_OWN_BYTES];
	uint8_t applied[KEY_LISTED_BYTES];
	key_own_put(anchor, KEY_KIND_ANCHOR);
	key_listed_put(applied, KEY_KIND_APPLIED, LISTED_SHARD);
	struct slice value = slice_from_text("as it was");
	struct store_change changes[] = {
	    {.key = slice_of(anchor, sizeof(anchor)), .value = value},
	    {.key = slice_of(applied, sizeof(applied)), .value = value},
	};
	write_changes(store, changes, 2);
}

static void close_shard(uint32_t shard)
{
	uint8_t key[KEY_LISTED_BYTES];
	key_listed_put(key, KEY_KIND_DAMAGED, shard);
	struct store_change change = {.key = slice_of(key, sizeof(key))};
	struct store *store = files_open_store();
	write_changes(store, &change, 1);
	store_close(store);
}

/* The first table has the lower half of the keys, the second the upper, the third the store's own
 * records. */
static struct model make_three_tables(void)
{
	struct model model = files_make_two_tables();
	struct store *store = files_open_store();
	write_own_records(store);
	store_close(store);
	ck_assert_uint_eq(files_tables().count, 3);
	return model;
}

enum { WAS_READABLE = 1, WAS_DAMAGED = 2 };

/* Which keys could be read before. */
static void read_before(struct store *store, uint8_t *was)
{
	uint8_t key[16];
	struct buffer value;
	buffer_init(&value, 4096);
	for (uint32_t number = 0; number < MODEL_KEYS; number++) {
		buffer_clear(&value);
		int error = store_get(store, model_key(number, key), &value);
		EXPECT(error == 0 || error == ERR_CORRUPT);
		was[number] = error == 0 ? WAS_READABLE : WAS_DAMAGED;
	}
	buffer_done(&value);
}

/* All keys have been there. Of a shard without any that stays its progress tells. */
static void check_shards(const uint8_t *was, const struct told *told)
{
	for (uint32_t number = 0; number < SHARDS; number++) {
		const struct store_repair_shard *shard = &told->shards[number];
		uint64_t kept = 0;
		for (uint32_t i = 0; i < SHARD_KEYS; i++)
			kept += was[number * SHARD_KEYS + i] == WAS_READABLE;
		bool is_known = kept > 0 || number == LISTED_SHARD;
		EXPECT(kept == SHARD_KEYS || shard->gaps > 0 || !is_known);
		EXPECT(shard->gaps == 0 || shard->keys == kept);
		EXPECT(!shard->is_certain || (kept < SHARD_KEYS && shard->gap_bytes > 0));
	}
}

/* Takes from the model what was damaged, and checks that exactly that was announced. */
static size_t take_damaged(struct model *model, const uint8_t *was, const struct told *told)
{
	uint8_t key[16];
	size_t count = 0;
	check_shards(was, told);
	for (uint32_t number = 0; number < MODEL_KEYS; number++) {
		EXPECT(is_told_lost(told, model_key(number, key)) == (was[number] == WAS_DAMAGED));
		if (was[number] == WAS_DAMAGED) {
			model->version[number] = 0;
			count++;
		}
	}
	return count;
}

static void no_bad(void *arg, const char *what)
{
	(void)arg;
	ck_abort_msg("damaged: %s", what);
}

/* The store is whole and has exactly the model, and its own records. */
static void check_store(const struct model *model)
{
	struct store *store = files_open_store();
	struct buffer value;
	uint8_t own[KEY_OWN_BYTES];
	uint8_t applied[KEY_LISTED_BYTES];
	key_own_put(own, KEY_KIND_ANCHOR);
	key_listed_put(applied, KEY_KIND_APPLIED, LISTED_SHARD);
	ck_assert(model_matches_before(model, store, slice_of(own, sizeof(own))));
	ck_assert_int_eq(store_verify(store, no_bad, NULL), 0);
	buffer_init(&value, 4096);
	ck_assert_int_eq(store_get(store, slice_of(own, sizeof(own)), &value), 0);
	ck_assert_int_eq(store_get(store, slice_of(applied, sizeof(applied)), &value), 0);
	ck_assert(slice_equal(buffer_view(&value), slice_from_text("as it wasas it was")));
	buffer_done(&value);
	ck_assert(!store_figures(store).compaction_stopped);
	store_close(store);
}

static bool exists(const char *path)
{
	bool found;
	ck_assert_int_eq(fs_exists(platform_fs(), path, &found), 0);
	return found;
}

/* ---- Damage ---- */

/* One bit in the middle of a table's blocks. */
START_TEST(exactly_the_damaged_keys_are_given_up)
{
	struct model model = make_three_tables();
	struct files files = files_tables();
	uint8_t was[MODEL_KEYS];
	files_flip(files.names[0], files_size(files.names[0]) / 2);
	struct store *store = files_open_store();
	read_before(store, was);
	store_close(store);
	struct told told = {0};
	ck_assert_int_eq(repair(&told), 0);
	ck_assert_uint_eq(told.bad, 1);
	ck_assert_str_eq(told.bad_file, files.names[0]);
	ck_assert_uint_eq(told.lost_count, 1);
	size_t lost = take_damaged(&model, was, &told);
	ck_assert_uint_gt(lost, 5);
	ck_assert_uint_lt(lost, 100);
	ck_assert_uint_eq(told.keys, MODEL_KEYS - lost + 2);
	check_store(&model);
	ck_assert(exists("copy/CURRENT"));
	ck_assert(!exists("db.new"));
}
END_TEST

/* Blocks between damaged ones are found, in the same table and in the next one. */
START_TEST(what_stands_between_damaged_blocks_stays)
{
	struct model model = make_three_tables();
	struct files files = files_tables();
	uint8_t was[MODEL_KEYS];
	for (size_t i = 0; i < 2; i++)
		for (uint64_t fifth = 0; fifth < 4; fifth++)
			files_flip(files.names[i], 100 + fifth * files_size(files.names[i]) / 5);
	struct store *store = files_open_store();
	read_before(store, was);
	store_close(store);
	struct told told = {0};
	ck_assert_int_eq(repair(&told), 0);
	ck_assert_uint_eq(told.bad, 2);
	ck_assert_uint_ge(told.lost_count, 4);
	size_t lost = take_damaged(&model, was, &told);
	ck_assert_uint_gt(lost, 50);
	ck_assert_uint_lt(lost, MODEL_KEYS - 50);
	check_store(&model);
}
END_TEST

static void restore_old(void)
{
	struct fs *fs = platform_fs();
	ck_assert_int_eq(fs_rename(fs, "db", "gone"), 0);
	ck_assert_int_eq(fs_rename(fs, "copy", "db"), 0);
	platform_remove("gone");
}

/* Wherever a table is damaged, its end and its index included. */
START_TEST(any_damage_of_a_table_is_repaired_and_no_other_key_is_lost)
{
	struct model full = make_three_tables();
	struct files files = files_tables();
	uint64_t bytes = files_size(files.names[0]);
	size_t repaired = 0;
	for (uint64_t offset = 0; offset < bytes; offset += bytes / 40 + 1) {
		struct model model = full;
		uint8_t was[MODEL_KEYS];
		struct store *store;
		files_flip(files.names[0], offset);
		if (files_try_open(&store) == 0) {
			read_before(store, was);
			store_close(store);
		} else {
			/* Nothing of the table can be read. */
			for (uint32_t number = 0; number < MODEL_KEYS; number++)
				was[number] = number < MODEL_KEYS / 2 ? WAS_DAMAGED : WAS_READABLE;
		}
		struct told told = {0};
		int error = repair(&told);
		ck_assert_msg(error == 0, "offset %llu: %s", (unsigned long long)offset, files_why);
		take_damaged(&model, was, &told);
		check_store(&model);
		repaired++;
		restore_old();
		files_flip(files.names[0], offset);
	}
	ck_assert_uint_ge(repaired, 35);
}
END_TEST

START_TEST(a_missing_table_costs_its_own_keys_only)
{
	struct model model = make_three_tables();
	struct files files = files_tables();
	struct store *store;
	ck_assert_int_eq(fs_unlink(platform_fs(), files.names[1]), 0);
	ck_assert_int_eq(files_try_open(&store), ERR_CORRUPT);
	struct told told = {0};
	ck_assert_int_eq(repair(&told), 0);
	ck_assert_uint_eq(told.bad, 1);
	ck_assert_str_eq(told.bad_file, files.names[1]);
	ck_assert_uint_eq(told.keys, MODEL_KEYS / 2 + 2);
	for (uint32_t number = MODEL_KEYS / 2; number < MODEL_KEYS; number++)
		model.version[number] = 0;
	check_store(&model);
}
END_TEST

/* The one thing that must not happen: a value that was overwritten, or deleted, comes back. */
START_TEST(an_older_value_behind_damage_does_not_come_back)
{
	struct model model = make_three_tables();
	struct model newer = files_make_newer(&model);
	struct files files = files_tables();
	ck_assert_uint_eq(files.count, 4);
	files_flip(files.names[3], files_size(files.names[3]) / 2);
	struct told told = {0};
	ck_assert_int_eq(repair(&told), 0);
	ck_assert_uint_eq(told.lost_count, 1);
	uint8_t key[16];
	size_t lost = 0;
	for (uint32_t number = 0; number < MODEL_KEYS; number++)
		if (is_told_lost(&told, model_key(number, key))) {
			newer.version[number] = 0;
			lost++;
		}
	ck_assert_uint_gt(lost, 5);
	ck_assert_uint_lt(lost, MODEL_KEYS / 2);
	check_store(&newer);
}
END_TEST

/* Every checkpoint states them anew. */
START_TEST(older_records_of_the_store_itself_do_not_matter)
{
	struct model model = make_three_tables();
	struct files files = files_tables();
	struct store *store = files_open_store();
	write_own_records(store);
	store_close(store);
	ck_assert_uint_eq(files_tables().count, 4);
	files_flip(files.names[2], 10);
	struct told told = {0};
	ck_assert_int_eq(repair(&told), 0);
	ck_assert_str_eq(told.bad_file, files.names[2]);
	ck_assert_uint_eq(told.keys, MODEL_KEYS + 2);
	check_store(&model);
}
END_TEST

START_TEST(shards_that_were_closed_for_good_are_opened)
{
	struct model model = make_three_tables();
	close_shard(1);
	close_shard(4);
	struct told told = {0};
	ck_assert_int_eq(repair(&told), 0);
	ck_assert_uint_eq(told.lost_count, 0);
	ck_assert_uint_eq(told.opened_count, 2);
	ck_assert_uint_eq(told.opened[0], 1);
	ck_assert_uint_eq(told.opened[1], 4);
	ck_assert_uint_eq(told.keys, MODEL_KEYS + 2);
	check_store(&model);
	struct store *store = files_open_store();
	struct buffer value;
	uint8_t key[KEY_LISTED_BYTES];
	buffer_init(&value, 64);
	key_listed_put(key, KEY_KIND_DAMAGED, 4);
	ck_assert_int_eq(store_get(store, slice_of(key, sizeof(key)), &value), ERR_NOT_FOUND);
	buffer_done(&value);
	store_close(store);
}
END_TEST

/* A table that a failed write took back is no loss. */
START_TEST(what_a_failed_write_left_is_given_back_first)
{
	struct model model = make_three_tables();
	struct files files = files_tables();
	struct fs *fs = platform_fs();
	files_flip(files.names[0], 100);
	ck_assert_int_eq(fs_rename(fs, files.names[1], "db/ingest/000000000001.sst"), 0);
	struct told told = {0};
	ck_assert_int_eq(repair(&told), 0);
	ck_assert_uint_eq(told.lost_count, 1);
	uint8_t key[16];
	for (uint32_t number = 0; number < MODEL_KEYS; number++)
		if (is_told_lost(&told, model_key(number, key))) {
			ck_assert_uint_lt(number, MODEL_KEYS / 4);
			model.version[number] = 0;
		}
	check_store(&model);
}
END_TEST

/* ---- Nothing is changed ---- */

static void check_refused(struct told *told, int error)
{
	uint64_t before = files_digest();
	ck_assert_int_eq(repair(told), error);
	ck_assert_uint_eq(files_digest(), before);
	ck_assert(!exists("copy") && !exists("db.new"));
}

START_TEST(a_good_store_is_left_alone)
{
	make_three_tables();
	ck_assert_int_eq(fs_unlink(platform_fs(), "db/DAMAGED"), 0);
	struct told told = {0};
	check_refused(&told, ERR_NOT_FOUND);
	ck_assert(!told.decided);
}
END_TEST

START_TEST(nothing_changes_where_the_plan_is_refused)
{
	make_three_tables();
	struct files files = files_tables();
	files_flip(files.names[0], 100);
	struct told told = {.answer = ERR_CANCELED};
	check_refused(&told, ERR_CANCELED);
	ck_assert(told.decided);
	ck_assert_uint_eq(told.lost_count, 1);
}
END_TEST

START_TEST(a_store_without_its_own_records_is_refused)
{
	make_three_tables();
	struct files files = files_tables();
	files_flip(files.names[2], 10);
	struct told told = {0};
	check_refused(&told, ERR_CORRUPT);
	ck_assert(!told.decided);
	ck_assert_msg(strstr(files_why, "backup") != NULL, "%s", files_why);
}
END_TEST

START_TEST(a_store_without_its_list_of_tables_is_refused)
{
	make_three_tables();
	ck_assert_int_eq(fs_rename(platform_fs(), "db/CURRENT", "db/gone"), 0);
	struct told told = {0};
	check_refused(&told, ERR_CORRUPT);
}
END_TEST

START_TEST(a_copy_is_never_overwritten)
{
	make_three_tables();
	struct files files = files_tables();
	files_flip(files.names[0], 100);
	ck_assert_int_eq(fs_make_dir(platform_fs(), "copy"), 0);
	uint64_t before = files_digest();
	struct told told = {0};
	ck_assert_int_eq(repair(&told), ERR_EXISTS);
	ck_assert_uint_eq(files_digest(), before);
}
END_TEST

START_TEST(what_an_interrupted_repair_left_is_removed)
{
	struct model model = make_three_tables();
	struct files files = files_tables();
	struct fs *fs = platform_fs();
	files_flip(files.names[0], 100);
	ck_assert_int_eq(fs_make_dir(fs, "db.new"), 0);
	ck_assert_int_eq(fs_make_dir(fs, "db.new/ingest"), 0);
	ck_assert_int_eq(fs_replace_file(fs, "db.new/CURRENT", "MANIFEST-000001\n", 16), 0);
	ck_assert_int_eq(fs_replace_file(fs, "db.new/ingest/000000000001.sst", "x", 1), 0);
	struct told told = {0};
	ck_assert_int_eq(repair(&told), 0);
	uint8_t key[16];
	for (uint32_t number = 0; number < MODEL_KEYS; number++)
		if (is_told_lost(&told, model_key(number, key)))
			model.version[number] = 0;
	check_store(&model);
	ck_assert(!exists("db.new"));
}
END_TEST

Suite *repair_suite(void)
{
	Suite *suite = suite_create("repair");
	TCase *tcase = tcase_create("repair");
	tcase_add_checked_fixture(tcase, files_setup, platform_done);
	tcase_add_test(tcase, exactly_the_damaged_keys_are_given_up);
	tcase_add_test(tcase, what_stands_between_damaged_blocks_stays);
	tcase_add_test(tcase, any_damage_of_a_table_is_repaired_and_no_other_key_is_lost);
	tcase_add_test(tcase, a_missing_table_costs_its_own_keys_only);
	tcase_add_test(tcase, an_older_value_behind_damage_does_not_come_back);
	tcase_add_test(tcase, older_records_of_the_store_itself_do_not_matter);
	tcase_add_test(tcase, shards_that_were_closed_for_good_are_opened);
	tcase_add_test(tcase, what_a_failed_write_left_is_given_back_first);
	tcase_add_test(tcase, a_good_store_is_left_alone);
	tcase_add_test(tcase, nothing_changes_where_the_plan_is_refused);
	tcase_add_test(tcase, a_store_without_its_own_records_is_refused);
	tcase_add_test(tcase, a_store_without_its_list_of_tables_is_refused);
	tcase_add_test(tcase, a_copy_is_never_overwritten);
	tcase_add_test(tcase, what_an_interrupted_repair_left_is_removed);
	suite_add_tcase(suite, tcase);
	return suite;
}
