/* Blocks that are kept for the next of their size. */
#include "base/random.h"
#include "scripting/sandbox_blocks.h"
#include "tests/unit/run.h"
#include "tests/unit/scripting/suites.h"

#include <string.h>

enum { KIB_ = 1024, MIB_ = 1024 * 1024 };

START_TEST(a_freed_block_is_the_next_of_its_size)
{
	struct blocks blocks = {0};
	void *first = blocks_realloc(&blocks, NULL, 0, 3 * MIB_);
	ck_assert_ptr_nonnull(first);
	/* It has room to grow. */
	ck_assert_ptr_eq(blocks_realloc(&blocks, first, 3 * MIB_, 4 * MIB_), first);
	blocks_free(&blocks, first, 4 * MIB_);
	ck_assert_uint_eq(blocks.free_bytes, 4 * MIB_);
	void *other = blocks_realloc(&blocks, NULL, 0, MIB_);
	ck_assert_ptr_eq(blocks_realloc(&blocks, NULL, 0, 2 * MIB_ + 1), first);
	ck_assert_uint_eq(blocks.free_bytes, 0);
	blocks_free(&blocks, other, MIB_);
	blocks_free(&blocks, first, 2 * MIB_ + 1);
	ck_assert_uint_eq(blocks.free_bytes, 5 * MIB_);
	blocks_done(&blocks);
	ck_assert_uint_eq(blocks.free_bytes, 0);
}
END_TEST

START_TEST(what_is_kept_is_bounded_and_given_back_at_rest)
{
	struct blocks blocks = {0};
	enum { COUNT = BLOCKS_BYTES_MAX / (8 * MIB_) + 3 };
	void *all[COUNT];
	for (int i = 0; i < COUNT; i++)
		all[i] = blocks_realloc(&blocks, NULL, 0, 8 * MIB_);
	for (int i = 0; i < COUNT; i++)
		blocks_free(&blocks, all[i], 8 * MIB_);
	ck_assert_uint_eq(blocks.free_bytes, BLOCKS_BYTES_MAX);
	for (int i = 1; i < BLOCKS_REST_MAX; i++)
		blocks_rest(&blocks);
	ck_assert_uint_eq(blocks.free_bytes, BLOCKS_BYTES_MAX);
	blocks_rest(&blocks);
	ck_assert_uint_eq(blocks.free_bytes, BLOCKS_BYTES_MAX - 8 * MIB_);
	for (int i = 0; i < COUNT * BLOCKS_REST_MAX; i++)
		blocks_rest(&blocks);
	ck_assert_uint_eq(blocks.free_bytes, 0);
	blocks_done(&blocks);
}
END_TEST

START_TEST(a_freed_small_block_is_the_next_of_its_size)
{
	struct blocks blocks = {0};
	void *first = blocks_realloc(&blocks, NULL, 0, 17);
	/* It is whole, so that it may grow, and be taken for more. */
	ck_assert_ptr_eq(blocks_realloc(&blocks, first, 17, 32), first);
	blocks_free(&blocks, first, 32);
	ck_assert_uint_eq(blocks.small_bytes, 32);
	ck_assert_ptr_null(blocks_take_small(&blocks, 16));
	ck_assert_ptr_null(blocks_take_small(&blocks, 33));
	ck_assert_ptr_eq(blocks_take_small(&blocks, 20), first);
	memset(first, 1, 32);
	ck_assert_uint_eq(blocks.small_bytes, 0);
	void *other = blocks_realloc(&blocks, NULL, 0, SMALL_BYTES_MAX);
	blocks_free(&blocks, other, SMALL_BYTES_MAX);
	blocks_free(&blocks, first, 20);
	ck_assert_uint_eq(blocks.small_bytes, 32 + SMALL_BYTES_MAX);
	ck_assert_ptr_eq(blocks_realloc(&blocks, NULL, 0, SMALL_BYTES_MAX - 1), other);
	blocks_free(&blocks, other, SMALL_BYTES_MAX - 1);
	blocks_done(&blocks);
	ck_assert_uint_eq(blocks.small_bytes, 0);
}
END_TEST

START_TEST(how_much_is_kept_in_small_blocks_is_bounded)
{
	struct blocks blocks = {0};
	enum { COUNT = SMALL_KEPT_BYTES / 64 + 10 };
	static void *all[COUNT];
	for (int i = 0; i < COUNT; i++)
		all[i] = blocks_realloc(&blocks, NULL, 0, 60);
	for (int i = 0; i < COUNT; i++)
		blocks_free(&blocks, all[i], 60);
	ck_assert_uint_eq(blocks.small_bytes, SMALL_KEPT_BYTES);
	blocks_done(&blocks);
}
END_TEST

/* Through all borders between sizes, up and down, what both have in common stays. */
START_TEST(a_block_keeps_its_bytes_when_it_grows_and_shrinks)
{
	static const size_t sizes[] = {1, 15, 16, 17, 200, 511, 512, 513, 600, 100 * KIB_,
	    128 * KIB_ - 1, 128 * KIB_, 128 * KIB_ + 1, 200 * KIB_, 256 * KIB_, 256 * KIB_ + 1,
	    3 * MIB_, 16 * MIB_, 16 * MIB_ + 1, 20 * MIB_};
	enum { COUNT = sizeof(sizes) / sizeof(sizes[0]) };
	struct blocks blocks = {0};
	struct random numbers;
	random_init(&numbers, 3);
	size_t bytes = 16;
	uint8_t *block = blocks_realloc(&blocks, NULL, 0, bytes);
	memset(block, 1, bytes);
	for (int i = 0; i < 1000; i++) {
		size_t wanted = sizes[random_below(&numbers, COUNT)];
		uint8_t mark = (uint8_t)(i % 250 + 2), before = block[0];
		block = blocks_realloc(&blocks, block, bytes, wanted);
		ck_assert_ptr_nonnull(block);
		size_t common = bytes < wanted ? bytes : wanted;
		ck_assert_uint_eq(block[0], before);
		ck_assert_uint_eq(block[common / 2], before);
		ck_assert_uint_eq(block[common - 1], before);
		memset(block, mark, wanted);
		bytes = wanted;
	}
	blocks_free(&blocks, block, bytes);
	blocks_done(&blocks);
}
END_TEST

Suite *blocks_suite(void)
{
	Suite *suite = suite_create("blocks");
	TCase *tcase = tcase_create("blocks");
	tcase_add_test(tcase, a_freed_block_is_the_next_of_its_size);
	tcase_add_test(tcase, a_freed_small_block_is_the_next_of_its_size);
	tcase_add_test(tcase, how_much_is_kept_in_small_blocks_is_bounded);
	tcase_add_test(tcase, what_is_kept_is_bounded_and_given_back_at_rest);
	tcase_add_test(tcase, a_block_keeps_its_bytes_when_it_grows_and_shrinks);
	suite_add_tcase(suite, tcase);
	return suite;
}
