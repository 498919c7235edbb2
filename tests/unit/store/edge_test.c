/* A damaged block of RocksDB that ends or begins exactly where a shard does: it is met by the one
 * alone that has keys in it. Each key has a block of its own here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io/fs.h"
#include "storage/keys.h"
#include "storage/store.h"
#include "tests/unit/store/files.h"
#include "tests/unit/store/platform.h"
#include "tests/unit/store/source.h"
#include "tests/unit/store/suites.h"

enum { SHARDS = 5, KEYS = 3, PAIRS = SHARDS * KEYS, VALUE_BYTES = 9000, KEY_BYTES = 8 };

/* Neighbours, and some whose numbers have little in common with the next one's. */
static const uint32_t numbers[SHARDS] = {0, 1, 3, 300, 70000};

static uint8_t keys[PAIRS][KEY_BYTES];
static uint8_t values[PAIRS + 1][VALUE_BYTES];

static struct slice key_of(unsigned pair)
{
	uint8_t *key = keys[pair];
	key_shard_put(key, numbers[pair / KEYS]);
	key[KEY_SHARD_BYTES] = KEY_KIND_FIRST_FREE;
	key[KEY_SHARD_BYTES + 1] = 'k';
	key[KEY_SHARD_BYTES + 2] = (uint8_t)('0' + pair % KEYS);
	return slice_of(key, KEY_SHARD_BYTES + 3);
}

/* Nothing that compresses. */
static struct slice value_of(unsigned pair)
{
	uint64_t word = pair + 1;
	for (size_t i = 0; i < VALUE_BYTES; i++) {
		word = word * 6364136223846793005u + 1442695040888963407u;
		values[pair][i] = (uint8_t)(word >> 56);
	}
	return slice_of(values[pair], VALUE_BYTES);
}

/* Into one table, with what the store says of itself behind them, as a checkpoint does. */
static void write_shards(uint32_t first, uint32_t end)
{
	struct store_change changes[PAIRS + 1];
	size_t count = 0;
	uint8_t own[KEY_OWN_BYTES];
	for (unsigned pair = first * KEYS; pair < end * KEYS; pair++)
		changes[count++] =
		    (struct store_change){.key = key_of(pair), .value = value_of(pair)};
	key_own_put(own, KEY_KIND_ANCHOR);
	changes[count++] =
	    (struct store_change){.key = slice_of(own, sizeof(own)), .value = value_of(PAIRS)};
	struct array_source source = array_source(changes, count);
	struct store *store = files_open_store();
	ck_assert_int_eq(store_write(store, &source.source), 0);
	store_close(store);
}

static bool find_value(const char *path, unsigned pair, uint64_t *ret_offset)
{
	uint64_t bytes = files_size(path);
	struct fs_file *file;
	size_t got;
	uint8_t *all = malloc(bytes);
	ck_assert_ptr_nonnull(all);
	ck_assert_int_eq(fs_open(platform_fs(), path, FS_READ, &file), 0);
	ck_assert_int_eq(fs_read(file, 0, all, bytes, &got), 0);
	fs_close(file);
	const uint8_t *at = memmem(all, got, values[pair] + VALUE_BYTES / 2, 64);
	*ret_offset = at ? (uint64_t)(at - all) - VALUE_BYTES / 4 : 0;
	free(all);
	return at;
}

/* The block of one key, of the newest table that has it; a second call puts it back. */
static void damage(unsigned pair)
{
	struct files files = files_tables();
	uint64_t offset = 0;
	size_t i = files.count;
	while (i > 0 && !find_value(files.names[i - 1], pair, &offset))
		i--;
	ck_assert_uint_gt(i, 0);
	files_flip(files.names[i - 1], offset);
}

/* All keys of a shard, as whoever opens the store reads it. */
static int read_shard(struct store *store, uint32_t shard)
{
	uint8_t first[KEY_SHARD_BYTES], end[KEY_SHARD_BYTES];
	struct store_cursor *cursor;
	struct slice key, value;
	unsigned count = 0;
	key_shard_put(first, numbers[shard]);
	key_shard_put(end, numbers[shard] + 1);
	int error = store_cursor_open(
	    store, NULL, slice_of(first, sizeof(first)), slice_of(end, sizeof(end)), &cursor);
	ck_assert_int_eq(error, 0);
	while ((error = store_cursor_next(cursor, &key, &value)) == 0)
		ck_assert(slice_equal(key, key_of(shard * KEYS + count++)));
	store_cursor_close(cursor);
	ck_assert(error != ERR_NOT_FOUND || count == KEYS);
	return error;
}

/* ---- Layouts ---- */

static void make_layout(int layout)
{
	/* No compaction changes the tables. */
	ck_assert_int_eq(fs_replace_file(platform_fs(), "db/DAMAGED", "", 0), 0);
	switch (layout) {
	case 0: /* one table */
		write_shards(0, SHARDS);
		break;
	case 1: /* one behind the other */
		write_shards(0, 2);
		write_shards(2, SHARDS);
		break;
	case 2: /* a newer one over a part, which begins and ends in the middle */
		write_shards(0, SHARDS);
		write_shards(2, 4);
		break;
	case 3: /* neighbours of one are not in the other */
		write_shards(1, 2);
		write_shards(3, 4);
		write_shards(0, SHARDS);
		break;
	default:
		ck_abort();
	}
}

enum { LAYOUTS = 4 };

START_TEST(damage_is_met_by_the_shard_that_has_a_key_in_it)
{
	make_layout(_i);
	for (unsigned pair = 0; pair < PAIRS; pair++) {
		damage(pair);
		struct store *store = files_open_store();
		for (uint32_t shard = 0; shard < SHARDS; shard++) {
			int expected = shard == pair / KEYS ? ERR_CORRUPT : ERR_NOT_FOUND;
			int error = read_shard(store, shard);
			ck_assert_msg(error == expected, "shard %u, key %u damaged: %s", shard,
			    pair, error_name(error));
		}
		store_close(store);
		damage(pair);
	}
}
END_TEST

/* Its last block, and its first one: those beside it are copied. */
START_TEST(a_shard_goes_and_those_beside_it_stay)
{
	uint8_t first[KEY_SHARD_BYTES], end[KEY_SHARD_BYTES];
	uint32_t gone = (uint32_t)_i / LAYOUTS;
	make_layout(_i % LAYOUTS);
	damage(gone * KEYS);
	damage(gone * KEYS + KEYS - 1);
	key_shard_put(first, numbers[gone]);
	key_shard_put(end, numbers[gone] + 1);
	struct store_options options = {.fs = platform_fs(),
	    .root = platform_root(),
	    .dir = "db",
	    .block_cache_bytes = 8 << 20};
	struct store_range range = {
	    .first = slice_of(first, sizeof(first)), .end = slice_of(end, sizeof(end))};
	int error =
	    store_shed(&options, &(struct store_shed_ranges){.gone = &range, .gone_count = 1},
	        files_why, STORE_WHY_BYTES);
	ck_assert_msg(error == 0, "%s: %s", error_name(error), files_why);
	struct store *store = files_open_store();
	for (uint32_t shard = 0; shard < SHARDS; shard++)
		if (shard != gone)
			ck_assert_int_eq(read_shard(store, shard), ERR_NOT_FOUND);
	store_close(store);
}
END_TEST

Suite *edge_suite(void)
{
	Suite *suite = suite_create("edge");
	TCase *tcase = tcase_create("edge");
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, files_setup, platform_done);
	tcase_add_loop_test(tcase, damage_is_met_by_the_shard_that_has_a_key_in_it, 0, LAYOUTS);
	tcase_add_loop_test(tcase, a_shard_goes_and_those_beside_it_stay, 0, SHARDS * LAYOUTS);
	suite_add_tcase(suite, tcase);
	return suite;
}
