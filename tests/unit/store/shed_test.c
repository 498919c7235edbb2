/* store_shed on RocksDB: what stands in a range goes though it cannot be read, wherever the damaged
 * block stands, and everything else is as it was. */
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/io/fs.h"
#include "storage/store_rocksdb.h"
#include "tests/unit/store/files.h"
#include "tests/unit/store/platform.h"
#include "tests/unit/store/source.h"
#include "tests/unit/store/suites.h"

/* Keys by number. */
struct numbers {
	uint32_t first, end;
};

static struct store_options options_of_db(void)
{
	return (struct store_options){.fs = platform_fs(),
	    .root = platform_root(),
	    .dir = "db",
	    .block_cache_bytes = 8 << 20};
}

static void put_ranges(
    const struct numbers *numbers, size_t count, uint8_t keys[][16], struct store_range *ranges)
{
	for (size_t i = 0; i < count; i++) {
		ranges[i].first = model_key(numbers[i].first, keys[2 * i]);
		ranges[i].end = model_key(numbers[i].end, keys[2 * i + 1]);
	}
}

/* The first `gone` of them, and behind them those that are damaged. */
static int shed_past(const struct numbers *numbers, size_t gone, size_t damaged)
{
	struct store_options options = options_of_db();
	struct store_range ranges[4];
	uint8_t keys[8][16];
	ck_assert_uint_le(gone + damaged, 4);
	put_ranges(numbers, gone + damaged, keys, ranges);
	struct store_shed_ranges what = {
	    .gone = ranges, .gone_count = gone, .damaged = ranges + gone, .damaged_count = damaged};
	int error = store_shed(&options, &what, files_why, STORE_WHY_BYTES);
	ck_assert(error == 0 || files_why[0] != '\0');
	return error;
}

static int shed(const struct numbers *numbers, size_t count)
{
	return shed_past(numbers, count, 0);
}

/* From the first of these keys that cannot be read to behind the last one. */
static struct numbers find_damage_in(struct numbers numbers)
{
	struct numbers found = {.first = MODEL_KEYS};
	struct store *store = files_open_store();
	uint8_t key[16];
	struct buffer value;
	buffer_init(&value, 4096);
	for (uint32_t number = numbers.first; number < numbers.end; number++) {
		buffer_clear(&value);
		int error = store_get(store, model_key(number, key), &value);
		if (error != ERR_CORRUPT)
			continue;
		if (found.first == MODEL_KEYS)
			found.first = number;
		found.end = number + 1;
	}
	buffer_done(&value);
	store_close(store);
	ck_assert_uint_lt(found.first, found.end);
	return found;
}

static struct numbers find_damage(void)
{
	return find_damage_in((struct numbers){0, MODEL_KEYS});
}

static bool exists(const char *path)
{
	bool found;
	ck_assert_int_eq(fs_exists(platform_fs(), path, &found), 0);
	return found;
}

static int no_bad_count;

static void count_bad(void *arg, const char *what)
{
	(void)arg;
	(void)what;
	no_bad_count++;
}

/* The model without these numbers is what there is, all of which can be read; and what was kept of
 * the time before goes. */
static void check_rest(const struct model *model, const struct numbers *numbers, size_t count)
{
	struct model rest = *model;
	for (size_t i = 0; i < count; i++)
		for (uint32_t number = numbers[i].first; number < numbers[i].end; number++)
			rest.version[number] = 0;
	ck_assert(exists("db.shed/CURRENT"));
	struct store *store;
	ck_assert_int_eq(files_try_open(&store), 0);
	ck_assert(!store_figures(store).compaction_stopped);
	ck_assert(model_matches(&rest, store, NULL));
	ck_assert(model_matches_gets(&rest, store));
	no_bad_count = 0;
	ck_assert_int_eq(store_verify(store, count_bad, NULL), 0);
	ck_assert_int_eq(no_bad_count, 0);
	store_settled(store);
	ck_assert(!exists("db.shed"));
	/* It is written to as any other. */
	files_write(store, &rest, model);
	ck_assert(model_matches(model, store, NULL));
	store_close(store);
}

static struct numbers wider(struct numbers numbers, uint32_t by)
{
	numbers.first = numbers.first > by ? numbers.first - by : 0;
	numbers.end += by;
	ck_assert_uint_lt(numbers.end, MODEL_KEYS);
	return numbers;
}

/* Both tables stand in the lowest level. */
START_TEST(a_table_inside_the_range_goes)
{
	struct model model = files_make_two_tables();
	struct files files = files_tables();
	/* Its index, at its end, is whole. */
	for (uint64_t offset = 64; offset < 3 * files_size(files.names[0]) / 4; offset += 1024)
		files_flip(files.names[0], offset);
	struct numbers lower = {0, MODEL_KEYS / 2};
	ck_assert_int_eq(shed(&lower, 1), 0);
	check_rest(&model, &lower, 1);
}
END_TEST

START_TEST(a_block_of_a_table_that_reaches_over_the_edges_goes)
{
	struct model model = files_make_two_tables();
	struct files files = files_tables();
	files_flip(files.names[_i], files_size(files.names[_i]) / 2);
	struct numbers range = wider(find_damage(), 3);
	ck_assert_uint_gt(range.first, 0);
	ck_assert_uint_lt(range.end - range.first, MODEL_KEYS / 4);
	ck_assert_int_eq(shed(&range, 1), 0);
	check_rest(&model, &range, 1);
}
END_TEST

/* What it held was newer, some of it deletions: none of the older values comes back, in the range
 * or beside it. */
START_TEST(a_block_in_level_0_goes_and_nothing_older_comes_back)
{
	struct model model = files_make_two_tables();
	struct model newer = files_make_newer(&model);
	struct files files = files_tables();
	ck_assert_uint_eq(files.count, 3);
	files_flip(files.names[2], files_size(files.names[2]) / 2);
	struct numbers range = wider(find_damage(), 2);
	ck_assert_int_eq(shed(&range, 1), 0);
	check_rest(&newer, &range, 1);
}
END_TEST

START_TEST(several_ranges_go_at_once)
{
	struct model model = files_make_two_tables();
	struct numbers ranges[] = {{0, 7}, {7, 9}, {100, 300}, {490, MODEL_KEYS - 1}};
	ck_assert_int_eq(shed(ranges, 4), 0);
	check_rest(&model, ranges, 4);
}
END_TEST

static uint64_t identity(void)
{
	struct store *store = files_open_store();
	uint64_t identity = store_identity(store);
	store_close(store);
	return identity;
}

START_TEST(what_takes_its_place_is_another_one)
{
	struct numbers range = {0, 7};
	(void)files_make_two_tables();
	uint64_t old = identity();
	ck_assert_uint_ne(old, 0);
	ck_assert_uint_eq(identity(), old);
	ck_assert_int_eq(shed(&range, 1), 0);
	uint64_t new = identity();
	ck_assert_uint_ne(new, 0);
	ck_assert_uint_ne(new, old);
}
END_TEST

START_TEST(where_something_else_is_damaged_nothing_changes)
{
	struct model model = files_make_two_tables();
	struct files files = files_tables();
	for (size_t i = 0; i < 2; i++)
		files_flip(files.names[i], files_size(files.names[i]) / 2);
	struct numbers lower = {0, MODEL_KEYS / 2};
	uint64_t digest = files_digest();
	ck_assert_int_eq(shed(&lower, 1), ERR_CORRUPT);
	ck_assert(!exists("db.shed"));
	ck_assert_uint_eq(files_digest(), digest);
	files_flip(files.names[0], files_size(files.names[0]) / 2);
	files_flip(files.names[1], files_size(files.names[1]) / 2);
	struct store *store = files_open_store();
	ck_assert(model_matches(&model, store, NULL));
	store_close(store);
}
END_TEST

/* ---- Past damage of ranges that stay ---- */

static const struct numbers lower_half = {0, MODEL_KEYS / 2},
                            upper_half = {MODEL_KEYS / 2, MODEL_KEYS};

/* A block in each table: the first one's range goes, and of the other's it is the block alone that
 * is lost, every key around it stays. */
START_TEST(what_can_be_read_of_a_damaged_range_stays)
{
	struct model model = files_make_two_tables();
	struct files files = files_tables();
	for (size_t i = 0; i < 2; i++)
		files_flip(files.names[i], files_size(files.names[i]) / 2);
	struct numbers lower = find_damage_in(lower_half), upper = find_damage_in(upper_half);
	uint32_t more = _i == 0 ? 1 : 40;
	struct numbers ranges[] = {wider(lower, 3), wider(upper, more)};
	ck_assert_int_eq(shed_past(ranges, 1, 1), 0);
	struct numbers lost[] = {ranges[0], upper};
	check_rest(&model, lost, 2);
}
END_TEST

/* The other way round: the damaged one stands before the one that goes. */
START_TEST(several_blocks_of_a_damaged_range_are_lost_alone)
{
	struct model model = files_make_two_tables();
	struct files files = files_tables();
	uint64_t bytes = files_size(files.names[0]);
	files_flip(files.names[0], bytes / 8);
	files_flip(files.names[0], 5 * bytes / 8);
	struct numbers first = find_damage_in((struct numbers){0, MODEL_KEYS / 5});
	struct numbers second = find_damage_in((struct numbers){first.end, MODEL_KEYS / 2});
	ck_assert_uint_lt(first.end, second.first);
	struct numbers ranges[] = {{300, 320}, lower_half};
	ck_assert_int_eq(shed_past(ranges, 1, 1), 0);
	struct numbers lost[] = {first, second, ranges[0]};
	check_rest(&model, lost, 3);
}
END_TEST

/* Block behind block, from the first key on; of the second range nothing is left. */
START_TEST(where_the_begin_of_a_damaged_range_is_lost_its_end_stays)
{
	struct model model = files_make_two_tables();
	struct files files = files_tables();
	for (uint64_t offset = 64; offset < 3 * files_size(files.names[0]) / 4; offset += 1024)
		files_flip(files.names[0], offset);
	struct numbers found = find_damage();
	ck_assert(found.first == 0 && found.end < MODEL_KEYS / 2);
	struct numbers ranges[] = {{300, 320}, _i == 0 ? lower_half : found};
	ck_assert_int_eq(shed_past(ranges, 1, 1), 0);
	struct numbers lost[] = {found, ranges[0]};
	check_rest(&model, lost, 2);
}
END_TEST

/* What the block spans goes in all tables: values that it had replaced, or deleted, do not come
 * back. */
START_TEST(nothing_older_comes_back_in_a_damaged_range)
{
	struct model model = files_make_two_tables();
	struct model newer = files_make_newer(&model);
	struct files files = files_tables();
	files_flip(files.names[2], files_size(files.names[2]) / 2);
	struct numbers found = find_damage();
	struct numbers ranges[] = {{0, 20}, wider(found, 30)};
	ck_assert_uint_lt(ranges[0].end, ranges[1].first);
	ck_assert_int_eq(shed_past(ranges, 1, 1), 0);
	struct numbers lost[] = {ranges[0], found};
	check_rest(&newer, lost, 2);
}
END_TEST

/* The block holds keys of somebody else, too, before the range, or behind it. */
START_TEST(a_block_that_a_damaged_range_shares_still_hinders)
{
	struct model model = files_make_two_tables();
	struct files files = files_tables();
	files_flip(files.names[1], files_size(files.names[1]) / 2);
	struct numbers found = find_damage();
	uint32_t middle = (found.first + found.end) / 2;
	struct numbers ranges[] = {{0, 20}, wider(found, 3)};
	*(_i == 0 ? &ranges[1].first : &ranges[1].end) = middle;
	uint64_t digest = files_digest();
	ck_assert_int_eq(shed_past(ranges, 1, 1), ERR_CORRUPT);
	ck_assert(!exists("db.shed"));
	ck_assert_uint_eq(files_digest(), digest);
	files_flip(files.names[1], files_size(files.names[1]) / 2);
	struct store *store = files_open_store();
	ck_assert(model_matches(&model, store, NULL));
	store_close(store);
}
END_TEST

START_TEST(of_a_damaged_range_that_can_be_read_nothing_is_lost)
{
	struct model model = files_make_two_tables();
	struct numbers ranges[] = {{0, 20}, {20, 200}, {240, 260}};
	ck_assert_int_eq(shed_past(ranges, 1, 2), 0);
	check_rest(&model, ranges, 1);
}
END_TEST

/* A compaction had met the damage: it is gone, and compactions go on. */
START_TEST(compactions_go_on_without_the_damage)
{
	struct model model = files_make_two_tables();
	struct files files = files_tables();
	files_flip(files.names[0], files_size(files.names[0]) / 2);
	ck_assert_int_eq(fs_replace_file(platform_fs(), "db/DAMAGED", "words", 5), 0);
	struct numbers range = wider(find_damage(), 1);
	struct store *store = files_open_store();
	ck_assert(store_figures(store).compaction_stopped);
	store_close(store);
	ck_assert_int_eq(shed(&range, 1), 0);
	check_rest(&model, &range, 1);
}
END_TEST

/* Half of a copy, from a process that ended in the middle. */
START_TEST(what_an_earlier_one_left_does_not_matter)
{
	struct model model = files_make_two_tables();
	struct fs *fs = platform_fs();
	ck_assert_int_eq(fs_make_dir(fs, "db.shed"), 0);
	ck_assert_int_eq(fs_make_dir(fs, "db.shed/ingest"), 0);
	ck_assert_int_eq(fs_replace_file(fs, "db.shed/CURRENT", "words", 5), 0);
	ck_assert_int_eq(fs_replace_file(fs, "db.shed/ingest/000000000001.sst", "words", 5), 0);
	struct numbers range = {20, 40};
	ck_assert_int_eq(shed(&range, 1), 0);
	check_rest(&model, &range, 1);
	ck_assert_int_eq(fs_make_dir(fs, "db.shed"), 0);
	struct store *store = files_open_store();
	store_settled(store);
	ck_assert(!exists("db.shed"));
	store_close(store);
}
END_TEST

static bool make_room(void)
{
	struct store_options options = options_of_db();
	bool made;
	ck_assert_int_eq(store_shed_make_room(&options, &made), 0);
	return made;
}

/* The process ends in the middle of the copy, or behind it: for want of room only what was not
 * finished goes. */
START_TEST(an_unfinished_copy_goes_for_want_of_room_and_an_old_store_stays)
{
	struct model model = files_make_two_tables();
	struct fs *fs = platform_fs();
	ck_assert(!make_room());
	ck_assert_int_eq(fs_make_dir(fs, "db.shed"), 0);
	ck_assert_int_eq(fs_replace_file(fs, "db.shed/UNSETTLED", "", 0), 0);
	ck_assert_int_eq(fs_replace_file(fs, "db.shed/000012.sst", "words", 5), 0);
	ck_assert(make_room());
	ck_assert(!exists("db.shed"));
	struct numbers range = {20, 40};
	ck_assert_int_eq(shed(&range, 1), 0);
	ck_assert(exists("db/UNSETTLED") && !exists("db.shed/UNSETTLED"));
	ck_assert(!make_room());
	check_rest(&model, &range, 1);
	ck_assert(!exists("db/UNSETTLED"));
}
END_TEST

START_TEST(a_copy_leaves_what_a_disk_should_have_free)
{
	uint64_t mib = 1 << 20, gib = 1 << 30;
	ck_assert(store_shed_fits(45 * mib, 50 * mib, 100 * mib));
	ck_assert(!store_shed_fits(46 * mib, 50 * mib, 100 * mib));
	ck_assert(!store_shed_fits(0, 4 * mib, 100 * mib));
	ck_assert(store_shed_fits(98 * gib, 100 * gib, 1000 * gib));
	ck_assert(!store_shed_fits(98 * gib + 1, 100 * gib, 1000 * gib));
}
END_TEST

Suite *shed_suite(void)
{
	Suite *suite = suite_create("shed");
	TCase *tcase = tcase_create("shed");
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, files_setup, platform_done);
	tcase_add_test(tcase, a_table_inside_the_range_goes);
	tcase_add_loop_test(tcase, a_block_of_a_table_that_reaches_over_the_edges_goes, 0, 2);
	tcase_add_test(tcase, a_block_in_level_0_goes_and_nothing_older_comes_back);
	tcase_add_test(tcase, several_ranges_go_at_once);
	tcase_add_test(tcase, what_takes_its_place_is_another_one);
	tcase_add_test(tcase, where_something_else_is_damaged_nothing_changes);
	tcase_add_loop_test(tcase, what_can_be_read_of_a_damaged_range_stays, 0, 2);
	tcase_add_test(tcase, several_blocks_of_a_damaged_range_are_lost_alone);
	tcase_add_loop_test(tcase, where_the_begin_of_a_damaged_range_is_lost_its_end_stays, 0, 2);
	tcase_add_test(tcase, nothing_older_comes_back_in_a_damaged_range);
	tcase_add_loop_test(tcase, a_block_that_a_damaged_range_shares_still_hinders, 0, 2);
	tcase_add_test(tcase, of_a_damaged_range_that_can_be_read_nothing_is_lost);
	tcase_add_test(tcase, compactions_go_on_without_the_damage);
	tcase_add_test(tcase, what_an_earlier_one_left_does_not_matter);
	tcase_add_test(tcase, an_unfinished_copy_goes_for_want_of_room_and_an_old_store_stays);
	tcase_add_test(tcase, a_copy_leaves_what_a_disk_should_have_free);
	suite_add_tcase(suite, tcase);
	return suite;
}
