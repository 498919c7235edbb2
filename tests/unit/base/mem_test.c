#include "tests/unit/base/suites.h"

#include "base/mem.h"

START_TEST(only_the_nth_allocation_fails)
{
	mem_fail_at(2);
	void *first = mem_alloc(8);
	ck_assert_ptr_nonnull(first);
	ck_assert(!mem_failed());
	ck_assert_ptr_null(mem_alloc(8));
	ck_assert(mem_failed());
	void *third = mem_zalloc(4, 8);
	ck_assert_ptr_nonnull(third);
	ck_assert_uint_eq(mem_count(), 3);
	mem_fail_at(0);
	ck_assert(!mem_failed());
	mem_free(first);
	mem_free(third);
}
END_TEST

START_TEST(every_kind_of_allocation_can_fail)
{
	mem_fail_at(1);
	ck_assert_ptr_null(mem_alloc(1));
	mem_fail_at(1);
	ck_assert_ptr_null(mem_zalloc(1, 1));
	mem_fail_at(1);
	ck_assert_ptr_null(mem_alloc_aligned(64, 64));
	mem_fail_at(0);
	char *memory = mem_alloc(1);
	ck_assert_ptr_nonnull(memory);
	*memory = 'x';
	mem_fail_at(1);
	ck_assert_ptr_null(mem_realloc(memory, 1000));
	mem_fail_at(0);
	ck_assert_int_eq(*memory, 'x');
	mem_free(memory);
}
END_TEST

START_TEST(aligned_memory_is_aligned)
{
	void *memory = mem_alloc_aligned(4096, 8192);
	ck_assert_ptr_nonnull(memory);
	ck_assert_uint_eq((uintptr_t)memory % 4096, 0);
	mem_free(memory);
}
END_TEST

START_TEST(zeroed_memory_is_zero_and_overflow_refused)
{
	unsigned char *memory = mem_zalloc(10, 10);
	ck_assert_ptr_nonnull(memory);
	for (int i = 0; i < 100; i++)
		ck_assert_uint_eq(memory[i], 0);
	mem_free(memory);
	volatile size_t huge = SIZE_MAX / 2;
	ck_assert_ptr_null(mem_zalloc(huge, 3));
}
END_TEST

Suite *mem_suite(void)
{
	Suite *suite = suite_create("mem");
	TCase *tcase = tcase_create("mem");
	tcase_add_test(tcase, only_the_nth_allocation_fails);
	tcase_add_test(tcase, every_kind_of_allocation_can_fail);
	tcase_add_test(tcase, aligned_memory_is_aligned);
	tcase_add_test(tcase, zeroed_memory_is_zero_and_overflow_refused);
	suite_add_tcase(suite, tcase);
	return suite;
}
