#include "tests/unit/base/suites.h"

#include "base/random.h"
#include "base/small_blocks.h"

/* Nothing is, where AddressSanitizer looks on. */
static const size_t kept_max = SMALL_BLOCKS_KEPT_BYTES;

START_TEST(what_was_given_back_is_taken_again)
{
	struct small_blocks blocks = {0};
	void *a = small_block_take(&blocks, 17);
	void *b = small_block_take(&blocks, 32);
	ck_assert(a && b && a != b);
	small_block_give(&blocks, a, 17);
	small_block_give(&blocks, b, 32);
	small_block_give(&blocks, NULL, 20);
	ck_assert_uint_eq(blocks.kept_bytes, kept_max ? 64 : 0);
	if (kept_max > 0) {
		ck_assert_ptr_eq(small_block_take(&blocks, 20), b);
		/* Another size does not get what is left. */
		void *c = small_block_take(&blocks, 33);
		ck_assert_ptr_ne(c, a);
		ck_assert_uint_eq(blocks.kept_bytes, 32);
		small_block_give(&blocks, c, 33);
		small_block_give(&blocks, b, 20);
	}
	small_blocks_done(&blocks);
	ck_assert_uint_eq(blocks.kept_bytes, 0);
}
END_TEST

START_TEST(no_more_is_kept_than_the_bound)
{
	enum { BYTES = SMALL_BLOCK_BYTES_MAX, COUNT = 2 * 512 * 1024 / BYTES };
	static void *all[COUNT];
	struct small_blocks blocks = {0};
	for (int i = 0; i < COUNT; i++)
		all[i] = small_block_take(&blocks, BYTES);
	for (int i = 0; i < COUNT; i++)
		small_block_give(&blocks, all[i], BYTES);
	ck_assert_uint_eq(blocks.kept_bytes, kept_max);
	small_blocks_done(&blocks);
	/* Nor what is large. */
	small_block_give(&blocks, small_block_take(&blocks, BYTES + 1), BYTES + 1);
	ck_assert_uint_eq(blocks.kept_bytes, 0);
}
END_TEST

START_TEST(blocks_keep_their_content_over_random_steps)
{
	struct block {
		uint8_t *data;
		size_t bytes;
		uint8_t mark;
	} all[64] = {0};
	struct small_blocks blocks = {0};
	struct random dice;
	random_init(&dice, 4);
	for (int step = 0; step < 20000; step++) {
		struct block *block = &all[random_below(&dice, 64)];
		size_t bytes = 1 + random_below(&dice, random_below(&dice, 8) ? 200 : 3000);
		for (size_t i = 0; i < block->bytes; i++)
			EXPECT(block->data[i] == block->mark);
		if (block->data) {
			small_block_give(&blocks, block->data, block->bytes);
			*block = (struct block){0};
			continue;
		}
		*block = (struct block){
		    .data = small_block_take(&blocks, bytes),
		    .bytes = bytes,
		    .mark = (uint8_t)step,
		};
		memset(block->data, block->mark, bytes);
	}
	for (int i = 0; i < 64; i++)
		small_block_give(&blocks, all[i].data, all[i].bytes);
	small_blocks_done(&blocks);
}
END_TEST

START_TEST(what_is_kept_hides_no_failure)
{
	struct small_blocks blocks = {0};
	small_block_give(&blocks, small_block_take(&blocks, 8), 8);
	mem_fail_at(1);
	ck_assert_ptr_null(small_block_take(&blocks, 8));
	mem_fail_at(0);
	void *block = small_block_take(&blocks, 8);
	ck_assert_ptr_nonnull(block);
	small_block_give(&blocks, block, 8);
	small_blocks_done(&blocks);
}
END_TEST

Suite *small_blocks_suite(void)
{
	Suite *suite = suite_create("small_blocks");
	TCase *tcase = tcase_create("small_blocks");
	tcase_add_test(tcase, what_was_given_back_is_taken_again);
	tcase_add_test(tcase, no_more_is_kept_than_the_bound);
	tcase_add_test(tcase, blocks_keep_their_content_over_random_steps);
	tcase_add_test(tcase, what_is_kept_hides_no_failure);
	suite_add_tcase(suite, tcase);
	return suite;
}
