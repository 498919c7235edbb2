/* What is special about the store on RocksDB: its files, what damage in them does, and readers
 * beside a writer. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "base/io/fs.h"
#include "tests/unit/store/files.h"
#include "tests/unit/store/bad_disk.h"
#include "tests/unit/store/platform.h"
#include "tests/unit/store/source.h"
#include "tests/unit/store/suites.h"

/* Keys that are damaged, of those from `first` on; every other one is right. */
static size_t count_damaged(
    struct store *store, const struct model *model, uint32_t first, uint32_t count)
{
	size_t damaged = 0;
	uint8_t key[16];
	uint8_t expected[MODEL_VALUE_BYTES_MAX];
	struct buffer value;
	buffer_init(&value, 4096);
	for (uint32_t number = first; number < first + count; number++) {
		buffer_clear(&value);
		int error = store_get(store, model_key(number, key), &value);
		if (error == ERR_CORRUPT) {
			damaged++;
			continue;
		}
		EXPECT(error == 0);
		EXPECT(slice_equal(
		    buffer_view(&value), model_value(number, model->version[number], expected)));
	}
	buffer_done(&value);
	return damaged;
}

static void note_bad(void *arg, const char *what)
{
	struct files *files = arg;
	ck_assert_uint_lt(files->count, 64);
	snprintf(files->names[files->count++], 32, "db/%.10s", what);
}

START_TEST(damage_hits_its_own_keys_only_and_is_never_hidden)
{
	struct model model = files_make_two_tables();
	struct files files = files_tables();
	uint64_t bytes = files_size(files.names[0]);
	size_t seen = 0;
	for (uint64_t offset = 0; offset < bytes; offset += bytes / 40) {
		files_flip(files.names[0], offset);
		struct store *store;
		int error = files_try_open(&store);
		if (error < 0) {
			/* What every reader of the table needs. */
			ck_assert_int_eq(error, ERR_CORRUPT);
			seen++;
		} else {
			size_t damaged = count_damaged(store, &model, 0, MODEL_KEYS / 2);
			ck_assert_uint_eq(
			    count_damaged(store, &model, MODEL_KEYS / 2, MODEL_KEYS / 2), 0);
			struct files bad = {0};
			int verified = store_verify(store, note_bad, &bad);
			ck_assert(damaged == 0 || verified == ERR_CORRUPT);
			if (verified == ERR_CORRUPT) {
				ck_assert_uint_eq(bad.count, 1);
				ck_assert_str_eq(bad.names[0], files.names[0]);
				ck_assert(!model_matches(&model, store, NULL));
			}
			seen += damaged > 0;
			store_close(store);
		}
		files_flip(files.names[0], offset);
	}
	/* All but the filter and the properties, without which everything is still found. */
	ck_assert_uint_ge(seen, 30);
	struct store *store = files_open_store();
	ck_assert(model_matches(&model, store, NULL));
	store_close(store);
}
END_TEST

START_TEST(verify_names_every_damaged_file)
{
	files_make_two_tables();
	struct files files = files_tables();
	files_flip(files.names[0], 100);
	files_flip(files.names[1], 100);
	struct files bad = {0};
	struct store *store = files_open_store();
	ck_assert_int_eq(store_verify(store, note_bad, &bad), ERR_CORRUPT);
	ck_assert_uint_eq(bad.count, 2);
	ck_assert_str_eq(bad.names[0], files.names[0]);
	ck_assert_str_eq(bad.names[1], files.names[1]);
	store_close(store);
}
END_TEST

/* RocksDB 7.8 forgets this error unless it is told that there are no deleted ranges. */
START_TEST(damage_at_the_begin_of_a_later_table_is_not_the_end_of_a_cursor)
{
	files_make_two_tables();
	struct files files = files_tables();
	for (size_t i = 0; i < files.count; i++) {
		files_flip(files.names[i], 100);
		struct store *store = files_open_store();
		struct store_cursor *cursor;
		struct slice key;
		struct slice value;
		struct slice all = slice_of(NULL, 0);
		int error = 0;
		ck_assert_int_eq(store_cursor_open(store, NULL, all, all, &cursor), 0);
		while (error == 0)
			error = store_cursor_next(cursor, &key, &value);
		ck_assert_int_eq(error, ERR_CORRUPT);
		store_cursor_close(cursor);
		store_close(store);
		files_flip(files.names[i], 100);
	}
}
END_TEST

START_TEST(missing_table_is_corrupt)
{
	files_make_two_tables();
	struct files files = files_tables();
	ck_assert_int_eq(fs_unlink(platform_fs(), files.names[1]), 0);
	struct store *store;
	ck_assert_int_eq(files_try_open(&store), ERR_CORRUPT);
	/* By its number: RocksDB tries an older suffix last, and names that one. */
	char *dot = strrchr(files.names[1], '.');
	*dot = '\0';
	ck_assert_msg(strstr(files_why, files.names[1]) != NULL, "%s", files_why);
}
END_TEST

START_TEST(lost_current_does_not_make_an_empty_store)
{
	files_make_two_tables();
	ck_assert_int_eq(fs_rename(platform_fs(), "db/CURRENT", "db/gone"), 0);
	struct store *store;
	ck_assert_int_eq(files_try_open(&store), ERR_CORRUPT);
	ck_assert_uint_eq(files_tables().count, 2);
	ck_assert_int_eq(fs_rename(platform_fs(), "db/gone", "db/CURRENT"), 0);
	store_close(files_open_store());
	ck_assert_uint_eq(files_tables().count, 2);
}
END_TEST

START_TEST(damaged_manifest_is_corrupt)
{
	files_make_two_tables();
	char current[64] = {0};
	char path[80];
	size_t bytes;
	struct fs *fs = platform_fs();
	ck_assert_int_eq(fs_read_file(fs, "db/CURRENT", current, sizeof(current) - 1, &bytes), 0);
	current[strcspn(current, "\n")] = '\0';
	snprintf(path, sizeof(path), "db/%s", current);
	bytes = files_size(path);
	for (uint64_t offset = 0; offset < bytes; offset += 20) {
		files_flip(path, offset);
		struct store *store;
		ck_assert_int_eq(files_try_open(&store), ERR_CORRUPT);
		files_flip(path, offset);
	}
	store_close(files_open_store());
}
END_TEST

START_TEST(leftovers_of_a_cut_off_write_are_removed)
{
	struct model model = files_make_two_tables();
	ck_assert_int_eq(fs_replace_file(platform_fs(), "db/ingest/000000000001.sst", "x", 1), 0);
	struct store *store = files_open_store();
	bool exists;
	ck_assert_int_eq(fs_exists(platform_fs(), "db/ingest/000000000001.sst", &exists), 0);
	ck_assert(!exists);
	ck_assert(model_matches(&model, store, NULL));
	store_close(store);
}
END_TEST

/* What RocksDB leaves of an ingestion whose record in the MANIFEST could not be synced. */
START_TEST(table_that_a_failed_write_took_back_is_found_again)
{
	struct model model = files_make_two_tables();
	struct files files = files_tables();
	struct fs *fs = platform_fs();
	for (size_t i = 0; i < files.count; i++) {
		ck_assert_int_eq(fs_rename(fs, files.names[i], "db/ingest/000000000001.sst"), 0);
		struct store *store = files_open_store();
		ck_assert(model_matches(&model, store, NULL));
		store_close(store);
	}
	/* Both of one write. */
	ck_assert_int_eq(fs_rename(fs, files.names[0], "db/ingest/000000000002.sst"), 0);
	ck_assert_int_eq(fs_rename(fs, files.names[1], "db/ingest/000000000003.sst"), 0);
	struct store *store = files_open_store();
	ck_assert(model_matches(&model, store, NULL));
	store_close(store);
}
END_TEST

START_TEST(other_files_do_not_take_the_place_of_a_missing_table)
{
	files_make_two_tables();
	struct files files = files_tables();
	struct fs *fs = platform_fs();
	ck_assert_int_eq(fs_rename(fs, files.names[0], "db/ingest/000000000002.sst"), 0);
	files_flip("db/ingest/000000000002.sst", files_size("db/ingest/000000000002.sst") - 60);
	ck_assert_int_eq(fs_rename(fs, files.names[1], "db/ingest/000000000001.sst"), 0);
	struct store *store;
	ck_assert_int_eq(files_try_open(&store), ERR_CORRUPT);
	/* Nothing was thrown away, and nothing is left in the wrong place. */
	bool exists;
	ck_assert_int_eq(fs_exists(fs, "db/ingest/000000000001.sst", &exists), 0);
	ck_assert(exists);
	ck_assert_int_eq(fs_exists(fs, "db/ingest/000000000002.sst", &exists), 0);
	ck_assert(exists);
	ck_assert_uint_eq(files_tables().count, 0);
}
END_TEST

static int find_manifest(void *arg, const char *name, bool is_dir)
{
	if (!is_dir && strncmp(name, "MANIFEST-", 9) == 0)
		snprintf(arg, 64, "db/%.50s", name);
	return 0;
}

/* Its end is taken for the end of all that it knows. */
START_TEST(a_database_that_forgot_its_tables_does_not_delete_them)
{
	struct model model = files_make_two_tables();
	struct fs *fs = platform_fs();
	char manifest[64] = "";
	ck_assert_int_eq(fs_list(fs, "db", find_manifest, manifest), 0);
	static uint8_t whole[1 << 16], current[64];
	size_t bytes, current_bytes;
	ck_assert_int_eq(fs_read_file(fs, manifest, whole, sizeof(whole), &bytes), 0);
	ck_assert_int_eq(
	    fs_read_file(fs, "db/CURRENT", current, sizeof(current), &current_bytes), 0);
	ck_assert_int_eq(fs_replace_file(fs, manifest, whole, 100), 0);
	for (unsigned starts = 0; starts < 3; starts++) {
		/* Its owner finds that nothing fits, and goes. */
		struct store *store;
		ck_assert_int_eq(files_try_open(&store), 0);
		ck_assert(!model_matches(&model, store, NULL));
		store_close(store);
	}
	ck_assert_int_eq(fs_replace_file(fs, manifest, whole, bytes), 0);
	ck_assert_int_eq(fs_replace_file(fs, "db/CURRENT", current, current_bytes), 0);
	struct store *store = files_open_store();
	ck_assert(model_matches(&model, store, NULL));
	store_check(store);
	store_close(store);
	bool exists;
	ck_assert_int_eq(fs_exists(fs, "db/kept/000008.sst", &exists), 0);
	ck_assert(!exists);
}
END_TEST

START_TEST(reading_only_changes_no_file)
{
	struct model model = files_make_two_tables();
	uint64_t before = files_digest();
	struct store_options options = {.fs = platform_fs(),
	    .root = platform_root(),
	    .dir = "db",
	    .block_cache_bytes = 8 << 20,
	    .read_only = true};
	struct store *store;
	ck_assert_int_eq(store_open(&options, files_why, STORE_WHY_BYTES, &store), 0);
	ck_assert(model_matches(&model, store, NULL));
	ck_assert_uint_gt(store_figures(store).bytes_on_disk, 0);
	store_check(store);
	store_close(store);
	ck_assert_uint_eq(files_digest(), before);
}
END_TEST

/* ---- Many bytes ---- */

enum { LARGE_VALUES = 150, LARGE_VALUE_BYTES = 1 << 20 };

struct large_source {
	struct store_source source;
	uint32_t next;
	uint64_t random;
	uint8_t key[16];
	uint8_t *value;
};

static bool large_next(struct store_source *source, struct store_change *ret_change)
{
	struct large_source *large = (struct large_source *)(void *)source;
	if (large->next == LARGE_VALUES)
		return false;
	for (size_t i = 0; i < LARGE_VALUE_BYTES; i += 8) {
		large->random = large->random * 6364136223846793005u + 1442695040888963407u;
		uint64_t mixed = large->random ^ large->random >> 29;
		memcpy(large->value + i, &mixed, 8);
	}
	*ret_change = (struct store_change){.key = model_key(large->next++, large->key),
	    .value = slice_of(large->value, LARGE_VALUE_BYTES)};
	return true;
}

START_TEST(large_write_is_cut_into_files)
{
	struct large_source large = {
	    .source = {.next = large_next}, .value = malloc(LARGE_VALUE_BYTES)};
	struct store *store = files_open_store();
	ck_assert_int_eq(store_write(store, &large.source), 0);
	ck_assert_uint_ge(files_tables().count, 2);
	ck_assert_uint_ge(store_figures(store).bytes_on_disk, 150 << 20);
	ck_assert_uint_ge(store_figures(store).written_bytes, 150 << 20);
	ck_assert_uint_ge(store_figures(store).largest_compaction_bytes, 64 << 20);
	store_close(store);
	store = files_open_store();
	struct store_cursor *cursor;
	struct slice key;
	struct slice value;
	struct slice all = slice_of(NULL, 0);
	size_t count = 0;
	ck_assert_int_eq(store_cursor_open(store, NULL, all, all, &cursor), 0);
	while (store_cursor_next(cursor, &key, &value) == 0)
		count += value.bytes == LARGE_VALUE_BYTES;
	ck_assert_uint_eq(count, LARGE_VALUES);
	store_cursor_close(cursor);
	store_close(store);
	free(large.value);
}
END_TEST

/* ---- Damage met by a compaction ---- */

static struct model damage_one_table(void)
{
	struct model model = files_make_two_tables();
	struct files files = files_tables();
	files_flip(files.names[0], files_size(files.names[0]) / 2);
	ck_assert_int_eq(fs_unlink(platform_fs(), "db/DAMAGED"), 0);
	return model;
}

static size_t count_unreadable(struct store *store)
{
	uint8_t key[16];
	struct buffer value;
	size_t damaged = 0;
	buffer_init(&value, 4096);
	for (uint32_t number = 0; number < MODEL_KEYS; number++) {
		buffer_clear(&value);
		int error = store_get(store, model_key(number, key), &value);
		ck_assert(error == 0 || error == ERR_CORRUPT);
		damaged += error == ERR_CORRUPT;
	}
	buffer_done(&value);
	return damaged;
}

/* Writes over everything until a compaction has read all of it: nothing is taken then. */
static struct model write_all_until_refused(struct store *store, const struct model *model)
{
	struct model before = *model;
	int error = 0;
	for (uint32_t step = 0; step < 500 && !error; step++) {
		struct model after = before;
		for (uint32_t number = 0; number < MODEL_KEYS; number += 2)
			after.version[number] = 2 + step;
		struct model_source source = model_source(&before, &after);
		error = store_write(store, &source.source);
		store_check(store);
		if (!error)
			before = after;
		usleep(10000);
	}
	ck_assert_int_eq(error, ERR_AGAIN);
	ck_assert(store_figures(store).refuses_writes && !store_figures(store).compaction_stopped);
	return before;
}

static void write_until_refused(const struct model *model)
{
	struct store *store = files_open_store();
	struct model before = write_all_until_refused(store, model);
	/* It says so again and again, and reads what it had. */
	struct model_source source = model_source(&before, model);
	ck_assert_int_eq(store_write(store, &source.source), ERR_AGAIN);
	ck_assert_uint_lt(count_unreadable(store), MODEL_KEYS / 4);
	store_close(store);
}

/* Each in a process of its own, because RocksDB's threads do not follow into a child. */
static int status_of_child(struct model *model, bool stop)
{
	pid_t child = fork();
	if (child == 0) {
		if (stop)
			write_until_refused(model);
		else
			damage_one_table();
		_exit(0);
	}
	int status;
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

START_TEST(compaction_that_meets_damage_ends_writes_until_the_next_opening)
{
	struct model model;
	for (uint32_t number = 0; number < MODEL_KEYS; number++)
		model.version[number] = 1;
	ck_assert_int_eq(status_of_child(&model, false), 0);
	ck_assert_int_eq(status_of_child(&model, true), 0);

	/* The next process serves what is not damaged, and goes on writing. */
	struct store *store = files_open_store();
	ck_assert(store_figures(store).compaction_stopped && !store_figures(store).refuses_writes);
	size_t damaged = count_unreadable(store);
	ck_assert_uint_gt(damaged, 0);
	ck_assert_uint_lt(damaged, MODEL_KEYS / 4);
	struct model empty = {0};
	for (uint32_t step = 0; step < 10; step++) {
		files_write(store, &empty, &model);
		store_check(store);
		usleep(10000);
	}
	ck_assert_uint_eq(count_damaged(store, &model, 0, MODEL_KEYS), 0);
	store_close(store);
}
END_TEST

/* A disk that has a bad moment costs no more than that. */
static void write_until_not_read(const struct model *model)
{
	struct store *store = files_open_store();
	struct files files = files_tables();
	bad_disk_set(files.names[0]);
	struct model before = write_all_until_refused(store, model);
	bad_disk_set(NULL);
	ck_assert(model_matches(&before, store, NULL));
	store_close(store);
	store = files_open_store();
	ck_assert(store_figures(store).compaction_stopped && !store_figures(store).refuses_writes);
	ck_assert(model_matches(&before, store, NULL));
	files_write(store, &before, model);
	ck_assert(model_matches(model, store, NULL));
	store_close(store);
}

START_TEST(compaction_that_the_disk_does_not_let_read_ends_writes_until_the_next_opening)
{
	pid_t child = fork();
	if (child == 0) {
		struct model model = files_make_two_tables();
		ck_assert_int_eq(fs_unlink(platform_fs(), "db/DAMAGED"), 0);
		write_until_not_read(&model);
		_exit(0);
	}
	int status;
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

/* Newer values of some keys, four times. */
static void write_over(struct store *store, struct model *model)
{
	for (uint32_t step = 0; step < 4; step++) {
		struct model after = *model;
		for (uint32_t number = 20 * step; number < MODEL_KEYS; number += 2 + step)
			after.version[number] = 2 + step;
		files_write(store, model, &after);
		store_check(store);
		*model = after;
	}
}

/* RocksDB looks into the tables below where a file of a write belongs, and a damaged block there is
 * no reason to write nothing any more: what is written is none of what cannot be read. */
START_TEST(damage_below_a_write_does_not_keep_it_out)
{
	struct model before = files_make_two_tables();
	struct files files = files_tables();
	for (uint64_t offset = 64; offset < files_size(files.names[0]) / 2; offset += 2048)
		files_flip(files.names[0], offset);
	struct store *store = files_open_store();
	write_over(store, &before);
	ck_assert_uint_gt(files_tables().count, 2);
	ck_assert_uint_eq(count_damaged(store, &before, MODEL_KEYS / 2, MODEL_KEYS / 2), 0);
	size_t damaged = count_damaged(store, &before, 0, MODEL_KEYS / 2);
	ck_assert_uint_gt(damaged, 0);
	ck_assert_uint_lt(damaged, MODEL_KEYS / 2);
	store_close(store);
	store = files_open_store();
	ck_assert_uint_eq(count_damaged(store, &before, 0, MODEL_KEYS), damaged);
	store_close(store);
}
END_TEST

/* The same where the disk says that it cannot read them, and later can. */
START_TEST(what_the_disk_does_not_read_below_a_write_does_not_keep_it_out)
{
	struct model before = files_make_two_tables();
	struct files files = files_tables();
	struct store *store = files_open_store();
	bad_disk_set(files.names[0]);
	write_over(store, &before);
	bad_disk_set(NULL);
	store_close(store);
	store = files_open_store();
	ck_assert(model_matches(&before, store, NULL));
	store_close(store);
}
END_TEST

/* ---- Readers beside a writer ---- */

enum { WRITES = 40, READERS = 3 };

struct traffic {
	struct store *store;
	_Atomic uint32_t written; /* the newest version that store_write has returned for */
	_Atomic bool stop;
	_Atomic uint64_t looks;
	_Atomic bool wrong;
};

/* All keys of a view have one version, and not an older one than was written before it was
 * opened. */
static void *read_views(void *arg)
{
	struct traffic *traffic = arg;
	uint8_t bytes[MODEL_VALUE_BYTES_MAX];
	struct slice all = slice_of(NULL, 0);
	while (!atomic_load(&traffic->stop)) {
		struct store_snapshot *snapshot;
		struct store_cursor *cursor;
		struct slice key;
		struct slice value;
		uint32_t oldest = atomic_load(&traffic->written);
		if (store_snapshot_take(traffic->store, &snapshot) != 0 ||
		    store_cursor_open(traffic->store, snapshot, all, all, &cursor) != 0)
			abort();
		uint32_t version = 0;
		uint32_t count = 0;
		while (store_cursor_next(cursor, &key, &value) == 0) {
			if (count == 0)
				for (version = oldest; version <= WRITES; version++)
					if (slice_equal(value, model_value(0, version, bytes)))
						break;
			if (!slice_equal(value, model_value(count, version, bytes)))
				atomic_store(&traffic->wrong, true);
			count++;
		}
		if (count != MODEL_KEYS || version > WRITES)
			atomic_store(&traffic->wrong, true);
		store_cursor_close(cursor);
		store_snapshot_release(traffic->store, snapshot);
		atomic_fetch_add(&traffic->looks, 1);
	}
	return NULL;
}

START_TEST(views_are_whole_beside_a_writer)
{
	struct model before = {0};
	struct model after;
	for (uint32_t number = 0; number < MODEL_KEYS; number++)
		after.version[number] = 1;
	struct traffic traffic = {.store = files_open_store(), .written = 1};
	files_write(traffic.store, &before, &after);
	pthread_t readers[READERS];
	for (size_t i = 0; i < READERS; i++)
		ck_assert_int_eq(pthread_create(&readers[i], NULL, read_views, &traffic), 0);
	for (uint32_t version = 2; version <= WRITES; version++) {
		before = after;
		for (uint32_t number = 0; number < MODEL_KEYS; number++)
			after.version[number] = version;
		files_write(traffic.store, &before, &after);
		atomic_store(&traffic.written, version);
	}
	while (atomic_load(&traffic.looks) < WRITES)
		usleep(1000);
	atomic_store(&traffic.stop, true);
	for (size_t i = 0; i < READERS; i++)
		ck_assert_int_eq(pthread_join(readers[i], NULL), 0);
	ck_assert(!atomic_load(&traffic.wrong));
	ck_assert(model_matches(&after, traffic.store, NULL));
	store_close(traffic.store);
}
END_TEST

Suite *rocksdb_suite(void)
{
	Suite *suite = suite_create("rocksdb");
	TCase *tcase = tcase_create("rocksdb");
	tcase_add_checked_fixture(tcase, files_setup, platform_done);
	tcase_add_test(tcase, damage_hits_its_own_keys_only_and_is_never_hidden);
	tcase_add_test(tcase, verify_names_every_damaged_file);
	tcase_add_test(tcase, damage_at_the_begin_of_a_later_table_is_not_the_end_of_a_cursor);
	tcase_add_test(tcase, missing_table_is_corrupt);
	tcase_add_test(tcase, lost_current_does_not_make_an_empty_store);
	tcase_add_test(tcase, damaged_manifest_is_corrupt);
	tcase_add_test(tcase, leftovers_of_a_cut_off_write_are_removed);
	tcase_add_test(tcase, table_that_a_failed_write_took_back_is_found_again);
	tcase_add_test(tcase, other_files_do_not_take_the_place_of_a_missing_table);
	tcase_add_test(tcase, a_database_that_forgot_its_tables_does_not_delete_them);
	tcase_add_test(tcase, reading_only_changes_no_file);
	tcase_add_test(tcase, large_write_is_cut_into_files);
	tcase_add_test(tcase, compaction_that_meets_damage_ends_writes_until_the_next_opening);
	tcase_add_test(
	    tcase, compaction_that_the_disk_does_not_let_read_ends_writes_until_the_next_opening);
	tcase_add_test(tcase, damage_below_a_write_does_not_keep_it_out);
	tcase_add_test(tcase, what_the_disk_does_not_read_below_a_write_does_not_keep_it_out);
	tcase_add_test(tcase, views_are_whole_beside_a_writer);
	suite_add_tcase(suite, tcase);
	return suite;
}
