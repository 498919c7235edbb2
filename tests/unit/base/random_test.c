#include "tests/unit/base/suites.h"

#include "base/clock.h"
#include "base/random.h"

#include <string.h>

START_TEST(generator_is_xoshiro256_starstar)
{
	/* First outputs from state {1, 2, 3, 4}, as the reference implementation gives them. */
	struct random random = {.state = {1, 2, 3, 4}};
	ck_assert_uint_eq(random_u64(&random), 11520);
	ck_assert_uint_eq(random_u64(&random), 0);
	ck_assert_uint_eq(random_u64(&random), 1509978240);
	ck_assert_uint_eq(random_u64(&random), 1215971899390074240);
}
END_TEST

START_TEST(same_seed_gives_the_same_stream_and_another_another)
{
	struct random a;
	struct random b;
	struct random c;
	random_init(&a, 7);
	random_init(&b, 7);
	random_init(&c, 8);
	int equal = 0;
	for (int i = 0; i < 1000; i++) {
		uint64_t value = random_u64(&a);
		ck_assert_uint_eq(value, random_u64(&b));
		equal += value == random_u64(&c);
	}
	ck_assert_int_eq(equal, 0);
}
END_TEST

START_TEST(child_does_not_see_what_its_parent_draws_later)
{
	struct random parent;
	struct random child;
	struct random again;
	random_init(&parent, 1);
	random_fork(&parent, &child);
	random_init(&parent, 1);
	random_fork(&parent, &again);
	for (int i = 0; i < 100; i++) {
		(void)random_u64(&parent);
		ck_assert_uint_eq(random_u64(&child), random_u64(&again));
	}
	struct random brother;
	random_fork(&parent, &brother);
	ck_assert_uint_ne(random_u64(&brother), random_u64(&again));
}
END_TEST

START_TEST(below_is_even_over_its_range)
{
	struct random random;
	random_init(&random, 3);
	unsigned seen[6] = {0};
	for (int i = 0; i < 60000; i++) {
		uint64_t value = random_below(&random, 6);
		EXPECT(value < 6);
		seen[value]++;
	}
	/* 10,000 expected, standard deviation 91; the seed is fixed. */
	for (int i = 0; i < 6; i++) {
		EXPECT(seen[i] > 9600);
		EXPECT(seen[i] < 10400);
	}
}
END_TEST

START_TEST(below_is_unbiased_where_a_remainder_would_be_lopsided)
{
	/* 2^64 is 4/3 of the bound: without drawing again, a remainder would give the lowest third
	 * twice as often as the others, a product every third number. 3,333 expected of each,
	 * standard deviation 47. */
	struct random random;
	random_init(&random, 4);
	uint64_t bound = (uint64_t)3 << 62;
	unsigned lowest = 0;
	unsigned threes = 0;
	for (int i = 0; i < 10000; i++) {
		uint64_t value = random_below(&random, bound);
		lowest += value < bound / 3;
		threes += value % 3 == 0;
	}
	ck_assert_uint_gt(lowest, 3100);
	ck_assert_uint_lt(lowest, 3570);
	ck_assert_uint_gt(threes, 3100);
	ck_assert_uint_lt(threes, 3570);
}
END_TEST

START_TEST(edges_of_ranges_are_reached)
{
	struct random random;
	random_init(&random, 5);
	ck_assert_uint_eq(random_below(&random, 1), 0);
	ck_assert_uint_eq(random_between(&random, 9, 9), 9);
	(void)random_between(&random, 0, UINT64_MAX);
	bool low = false;
	bool high = false;
	for (int i = 0; i < 200; i++) {
		uint64_t value = random_between(&random, 3, 5);
		ck_assert(value >= 3 && value <= 5);
		low |= value == 3;
		high |= value == 5;
	}
	ck_assert(low && high);
	ck_assert(!random_chance(&random, 0, 10));
	ck_assert(random_chance(&random, 10, 10));
}
END_TEST

START_TEST(bytes_are_filled_to_the_last_and_not_beyond)
{
	struct random random;
	random_init(&random, 6);
	uint8_t bytes[21];
	uint8_t ever[21] = {0};
	for (int round = 0; round < 64; round++) {
		memset(bytes, 0, sizeof(bytes));
		random_bytes(&random, bytes, 20);
		for (int i = 0; i < 21; i++)
			ever[i] |= bytes[i];
	}
	for (int i = 0; i < 20; i++)
		ck_assert_uint_eq(ever[i], 0xff);
	ck_assert_uint_eq(ever[20], 0);
}
END_TEST

START_TEST(system_seeds_differ)
{
	uint64_t a;
	uint64_t b;
	ck_assert_int_eq(random_seed_from_system(&a), 0);
	ck_assert_int_eq(random_seed_from_system(&b), 0);
	ck_assert_uint_ne(a, b);
}
END_TEST

START_TEST(clock_never_goes_back_and_knows_the_year)
{
	uint64_t last = clock_monotonic_ns();
	for (int i = 0; i < 1000; i++) {
		uint64_t now = clock_monotonic_ns();
		ck_assert_uint_ge(now, last);
		last = now;
	}
	/* After 2020, before 2200: the unit is right. */
	ck_assert_int_gt(clock_real_ms(), 1577836800000);
	ck_assert_int_lt(clock_real_ms(), 7258118400000);
}
END_TEST

Suite *random_suite(void)
{
	Suite *suite = suite_create("random");
	TCase *tcase = tcase_create("random");
	tcase_add_test(tcase, generator_is_xoshiro256_starstar);
	tcase_add_test(tcase, same_seed_gives_the_same_stream_and_another_another);
	tcase_add_test(tcase, child_does_not_see_what_its_parent_draws_later);
	tcase_add_test(tcase, below_is_even_over_its_range);
	tcase_add_test(tcase, below_is_unbiased_where_a_remainder_would_be_lopsided);
	tcase_add_test(tcase, edges_of_ranges_are_reached);
	tcase_add_test(tcase, bytes_are_filled_to_the_last_and_not_beyond);
	tcase_add_test(tcase, system_seeds_differ);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("clock");
	tcase_add_test(tcase, clock_never_goes_back_and_knows_the_year);
	suite_add_tcase(suite, tcase);
	return suite;
}
