#include "tests/unit/base/suites.h"

#include "base/arena.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/random.h"

#include <signal.h>

START_TEST(pieces_are_aligned_and_do_not_overlap)
{
	struct arena arena;
	struct random random;
	arena_init(&arena, 1024, 1 << 20);
	random_init(&random, 41);
	uint8_t *pieces[300];
	size_t bytes[300];
	for (int i = 0; i < 300; i++) {
		bytes[i] = random_below(&random, i % 10 == 0 ? 5000 : 100);
		pieces[i] = arena_alloc(&arena, bytes[i]);
		ck_assert_ptr_nonnull(pieces[i]);
		EXPECT((uintptr_t)pieces[i] % 16 == 0);
		memset(pieces[i], i & 0xff, bytes[i]);
	}
	for (int i = 0; i < 300; i++) {
		for (size_t j = 0; j < bytes[i]; j++)
			EXPECT(pieces[i][j] == (i & 0xff));
	}
	arena_done(&arena);
	EXPECT(arena.bytes == 0);
	arena_done(&arena);
}
END_TEST

START_TEST(arena_never_holds_more_than_its_bound)
{
	struct arena arena;
	/* Not a whole number of blocks: the last is a smaller one. */
	arena_init(&arena, 1024, 4500);
	ck_assert_ptr_null(arena_alloc(&arena, 4501));
	ck_assert_int_eq(arena.error, ERR_TOO_LARGE);
	volatile size_t huge = SIZE_MAX;
	ck_assert_ptr_null(arena_alloc(&arena, huge));
	ck_assert_ptr_null(arena_zalloc(&arena, huge / 2, 3));
	size_t taken = 0;
	while (arena_alloc(&arena, 100))
		taken += 100;
	ck_assert_int_eq(arena.error, ERR_TOO_LARGE);
	ck_assert_uint_le(arena.bytes, 4500);
	/* Headers and alignment cost some, not much. */
	ck_assert_uint_gt(taken, 3600);
	arena_done(&arena);
}
END_TEST

START_TEST(reset_arena_uses_its_first_block_again)
{
	struct arena arena;
	arena_init(&arena, 1024, 1 << 20);
	for (int round = 0; round < 3; round++) {
		ck_assert_ptr_nonnull(arena_alloc(&arena, 100));
		ck_assert_ptr_nonnull(arena_alloc(&arena, 10000));
		ck_assert_ptr_nonnull(arena_alloc(&arena, 1000));
		ck_assert_uint_gt(arena.bytes, 11000);
		arena_reset(&arena);
		ck_assert_uint_eq(arena.bytes, 1024);
		mem_fail_at(1);
		ck_assert_ptr_nonnull(arena_alloc(&arena, 500));
		ck_assert_uint_eq(mem_count(), 0);
		mem_fail_at(0);
		arena_reset(&arena);
	}
	arena_done(&arena);
	/* Nothing of usual size to keep. */
	ck_assert_ptr_nonnull(arena_alloc(&arena, 10000));
	arena_reset(&arena);
	ck_assert_uint_eq(arena.bytes, 0);
	ck_assert_ptr_nonnull(arena_alloc(&arena, 10));
	arena_done(&arena);
}
END_TEST

START_TEST(copies_are_their_own)
{
	struct arena arena;
	arena_init(&arena, 1024, 1 << 20);
	char text[] = "hello";
	struct slice copy;
	ck_assert_int_eq(arena_copy(&arena, slice_of(text, 5), &copy), 0);
	char *zero_ended = arena_text(&arena, slice_of(text, 4));
	uint8_t *zeros = arena_zalloc(&arena, 4, 8);
	text[0] = 'j';
	ck_assert(slice_equal(copy, slice_from_text("hello")));
	ck_assert_str_eq(zero_ended, "hell");
	for (int i = 0; i < 32; i++)
		ck_assert_uint_eq(zeros[i], 0);
	ck_assert_int_eq(arena_copy(&arena, slice_of(NULL, 0), &copy), 0);
	ck_assert_uint_eq(copy.bytes, 0);
	ck_assert_str_eq(arena_text(&arena, slice_of(NULL, 0)), "");
	arena_done(&arena);
}
END_TEST

/* The first block, a piece's own block, a further block, a copy. */
static int take_in_every_way(struct arena *arena)
{
	struct slice copy;
	if (!arena_alloc(arena, 100) || !arena_alloc(arena, 5000) || !arena_zalloc(arena, 10, 95))
		return arena->error;
	return arena_copy(arena, slice_of("x", 1), &copy) ||
	               arena_text(arena, slice_of(arena, sizeof(*arena))) == NULL
	           ? arena->error
	           : 0;
}

START_TEST(arena_reports_every_failed_allocation_and_goes_on)
{
	uint64_t failures = 0;
	for (uint64_t nth = 1;; nth++) {
		struct arena arena;
		arena_init(&arena, 1024, 1 << 20);
		mem_fail_at(nth);
		int error = take_in_every_way(&arena);
		bool failed = mem_failed();
		mem_fail_at(0);
		ck_assert_int_eq(error, failed ? ERR_NOMEM : 0);
		ck_assert_int_eq(take_in_every_way(&arena), 0);
		arena_done(&arena);
		if (!failed)
			break;
		failures++;
	}
	ck_assert_uint_ge(failures, 3);
}
END_TEST

START_TEST(pool_gives_each_object_once)
{
	struct pool pool;
	ck_assert_int_eq(pool_init(&pool, 20, 64, 100), 0);
	uint8_t *objects[100];
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 100; i++) {
			objects[i] = pool_take(&pool);
			ck_assert_ptr_nonnull(objects[i]);
			ck_assert_uint_eq((uintptr_t)objects[i] % 64, 0);
			memset(objects[i], i, 20);
		}
		ck_assert_ptr_null(pool_take(&pool));
		ck_assert_uint_eq(pool.count, 100);
		for (int i = 0; i < 100; i++)
			ck_assert(objects[i][0] == i && objects[i][19] == i);
		for (int i = 0; i < 100; i++)
			pool_give(&pool, objects[(i * 37) % 100]);
		ck_assert_uint_eq(pool.count, 0);
	}
	pool_give(&pool, NULL);
	pool_done(&pool);
	pool_done(&pool);
}
END_TEST

START_TEST(pool_takes_what_was_given_back_last)
{
	struct pool pool;
	ck_assert_int_eq(pool_init(&pool, 8, 16, 3), 0);
	void *a = pool_take(&pool);
	void *b = pool_take(&pool);
	pool_give(&pool, a);
	pool_give(&pool, b);
	ck_assert_ptr_eq(pool_take(&pool), b);
	ck_assert_ptr_eq(pool_take(&pool), a);
	pool_done(&pool);
}
END_TEST

START_TEST(giving_back_twice_stops)
{
	struct pool pool;
	ck_assert_int_eq(pool_init(&pool, 8, 16, 3), 0);
	void *object = pool_take(&pool);
	pool_give(&pool, object);
	pool_give(&pool, object);
}
END_TEST

START_TEST(giving_back_what_is_not_an_object_stops)
{
	struct pool pool;
	ck_assert_int_eq(pool_init(&pool, 32, 16, 3), 0);
	uint8_t *object = pool_take(&pool);
	pool_give(&pool, object + 16);
}
END_TEST

START_TEST(pool_reports_every_failed_allocation)
{
	for (uint64_t nth = 1; nth <= 2; nth++) {
		struct pool pool;
		mem_fail_at(nth);
		ck_assert_int_eq(pool_init(&pool, 100, 16, 100), ERR_NOMEM);
		ck_assert(mem_failed());
		mem_fail_at(0);
	}
	struct pool pool;
	mem_fail_at(3);
	ck_assert_int_eq(pool_init(&pool, 100, 16, 100), 0);
	ck_assert_uint_eq(mem_count(), 2);
	ck_assert_ptr_nonnull(pool_take(&pool));
	ck_assert_uint_eq(mem_count(), 2);
	mem_fail_at(0);
	pool_done(&pool);
	ck_assert_int_eq(pool_init(&pool, SIZE_MAX / 4, 16, 100), ERR_TOO_LARGE);
	ck_assert_int_eq(pool_init(&pool, SIZE_MAX, 16, 1), ERR_TOO_LARGE);
}
END_TEST

Suite *arena_suite(void)
{
	Suite *suite = suite_create("arena");
	TCase *tcase = tcase_create("arena");
	tcase_add_test(tcase, pieces_are_aligned_and_do_not_overlap);
	tcase_add_test(tcase, arena_never_holds_more_than_its_bound);
	tcase_add_test(tcase, reset_arena_uses_its_first_block_again);
	tcase_add_test(tcase, copies_are_their_own);
	tcase_add_test(tcase, arena_reports_every_failed_allocation_and_goes_on);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("pool");
	tcase_add_test(tcase, pool_gives_each_object_once);
	tcase_add_test(tcase, pool_takes_what_was_given_back_last);
	tcase_add_test_raise_signal(tcase, giving_back_twice_stops, SIGABRT);
	tcase_add_test_raise_signal(tcase, giving_back_what_is_not_an_object_stops, SIGABRT);
	tcase_add_test(tcase, pool_reports_every_failed_allocation);
	suite_add_tcase(suite, tcase);
	return suite;
}
