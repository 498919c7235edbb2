/* server/cluster_wishes.c. */
#include "base/clock.h"
#include "server/cluster_wishes.h"
#include "tests/unit/cluster/suites.h"

static const uint64_t WISH_NS = CLUSTER_WISH_MS * NS_PER_MS;

START_TEST(one_is_handed_over_at_a_time)
{
	struct cluster_wishes wishes = {.hands_over = false};
	cluster_wishes_add(&wishes, 5, 2, 0);
	cluster_wishes_add(&wishes, 7, 3, 0);
	ck_assert_uint_eq(cluster_wishes_node(&wishes, 5), 2);
	ck_assert_uint_eq(cluster_wishes_node(&wishes, 7), 3);
	ck_assert_uint_eq(cluster_wishes_node(&wishes, 6), 0);
	cluster_wishes_begin(&wishes, 5, 0);
	ck_assert_uint_eq(cluster_wishes_node(&wishes, 7), 0);
	/* What becomes of others meanwhile does not end its turn. */
	ck_assert(!cluster_wishes_end(&wishes, 7));
	ck_assert(!cluster_wishes_forget(&wishes, 6));
	ck_assert_uint_eq(cluster_wishes_node(&wishes, 7), 0);
	ck_assert(cluster_wishes_forget(&wishes, 5));
	ck_assert_uint_eq(cluster_wishes_node(&wishes, 7), 3);
	ck_assert_uint_eq(cluster_wishes_node(&wishes, 5), 0);
	ck_assert(!cluster_wishes_end(&wishes, 5));
}
END_TEST

START_TEST(who_could_not_be_handed_over_is_still_wished_for)
{
	struct cluster_wishes wishes = {.hands_over = false};
	cluster_wishes_add(&wishes, 5, 2, 0);
	cluster_wishes_begin(&wishes, 5, 0);
	ck_assert(cluster_wishes_end(&wishes, 5));
	ck_assert_uint_eq(cluster_wishes_node(&wishes, 5), 2);
}
END_TEST

START_TEST(a_wish_and_a_turn_have_their_time)
{
	struct cluster_wishes wishes = {.hands_over = false};
	cluster_wishes_add(&wishes, 5, 2, 0);
	cluster_wishes_add(&wishes, 7, 3, 1);
	cluster_wishes_begin(&wishes, 5, 0);
	cluster_wishes_forget_old(&wishes, WISH_NS);
	ck_assert_uint_eq(cluster_wishes_node(&wishes, 7), 0);
	cluster_wishes_forget_old(&wishes, WISH_NS + 1);
	ck_assert_uint_eq(cluster_wishes_node(&wishes, 5), 0);
	ck_assert_uint_eq(cluster_wishes_node(&wishes, 7), 3);
}
END_TEST

START_TEST(the_last_wish_for_a_shard_counts_and_too_many_are_dropped)
{
	struct cluster_wishes wishes = {.hands_over = false};
	for (uint32_t shard = 0; shard <= CLUSTER_WISHES_MAX; shard++)
		cluster_wishes_add(&wishes, shard, 2, 0);
	ck_assert_uint_eq(cluster_wishes_node(&wishes, CLUSTER_WISHES_MAX), 0);
	cluster_wishes_add(&wishes, 3, 4, 0);
	ck_assert_uint_eq(cluster_wishes_node(&wishes, 3), 4);
	ck_assert(!cluster_wishes_forget(&wishes, 3));
	cluster_wishes_add(&wishes, CLUSTER_WISHES_MAX, 2, 0);
	ck_assert_uint_eq(cluster_wishes_node(&wishes, CLUSTER_WISHES_MAX), 2);
}
END_TEST

Suite *wishes_suite(void)
{
	Suite *suite = suite_create("wishes");
	TCase *all = tcase_create("wishes");
	tcase_add_test(all, one_is_handed_over_at_a_time);
	tcase_add_test(all, who_could_not_be_handed_over_is_still_wished_for);
	tcase_add_test(all, a_wish_and_a_turn_have_their_time);
	tcase_add_test(all, the_last_wish_for_a_shard_counts_and_too_many_are_dropped);
	suite_add_tcase(suite, all);
	return suite;
}
