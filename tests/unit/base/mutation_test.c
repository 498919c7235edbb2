/* The machinery, over a list of its own and built with mutations whatever the tree is. */
#define MUTATION_LIST(X)                                                                           \
	X(adder_forgets_carry, "adds 1 too little", 10)                                            \
	X(adder_is_slow, "never shows", 20)
#ifndef KX_MUTATIONS
#define KX_MUTATIONS 1
#endif
#include "base/mutation.c" /* NOLINT(bugprone-suspicious-include): for the list above */

#include "tests/unit/base/suites.h"

#include <signal.h>

static int add(int a, int b)
{
	return a + b - (MUTATION(adder_forgets_carry) ? 1 : 0);
}

START_TEST(mutation_is_off_until_set)
{
	ck_assert(mutation_built());
	ck_assert_int_eq(add(2, 3), 5);
	ck_assert_uint_eq(mutation_hits(), 0);
}
END_TEST

START_TEST(set_mutation_takes_the_faulty_way_and_counts_it)
{
	mutation_set(MUTATION_adder_forgets_carry);
	ck_assert_int_eq(add(2, 3), 4);
	ck_assert_int_eq(add(2, 4), 5);
	ck_assert_uint_eq(mutation_hits(), 2);
	mutation_set(MUTATION_adder_is_slow);
	ck_assert_int_eq(add(2, 3), 5);
	ck_assert_uint_eq(mutation_hits(), 0);
	mutation_set(MUTATION_NONE);
	ck_assert_int_eq(add(2, 3), 5);
}
END_TEST

START_TEST(runner_finds_all_by_number_and_by_name)
{
	ck_assert_int_eq(MUTATION_COUNT, 3);
	for (unsigned i = 0; i < MUTATION_COUNT; i++) {
		enum mutation found;
		const struct mutation_info *info = mutation_info((enum mutation)i);
		ck_assert_int_eq(mutation_find(info->name, &found), 0);
		ck_assert_int_eq(found, i);
	}
	ck_assert_uint_eq(mutation_info(MUTATION_adder_is_slow)->seeds_max, 20);
	ck_assert_str_eq(mutation_info(MUTATION_adder_is_slow)->description, "never shows");
	enum mutation untouched = MUTATION_NONE;
	ck_assert_int_eq(mutation_find("adder", &untouched), ERR_NOT_FOUND);
	ck_assert_int_eq(untouched, MUTATION_NONE);
}
END_TEST

START_TEST(number_beyond_the_list_stops)
{
	mutation_set(MUTATION_COUNT);
}
END_TEST

Suite *mutation_suite(void)
{
	Suite *suite = suite_create("mutation");
	TCase *tcase = tcase_create("mutation");
	tcase_add_test(tcase, mutation_is_off_until_set);
	tcase_add_test(tcase, set_mutation_takes_the_faulty_way_and_counts_it);
	tcase_add_test(tcase, runner_finds_all_by_number_and_by_name);
	tcase_add_test_raise_signal(tcase, number_beyond_the_list_stops, SIGABRT);
	suite_add_tcase(suite, tcase);
	return suite;
}
