/* Which nodes any core of a process is linked with. */
#include "tests/unit/cluster/suites.h"

#include "base/clock.h"
#include "base/mem.h"
#include "replication/peer/peer.h"
#include "server/cluster_reach.h"
#include "server/meta/cluster_map.h"

START_TEST(a_node_is_linked_while_any_core_is)
{
	struct cluster_reach *reach = cluster_reach_new();
	ck_assert_ptr_nonnull(reach);
	cluster_reach_wanted(reach, 3, 100);
	ck_assert(!cluster_reach_linked(reach, 3));
	cluster_reach_up(reach, 3);
	cluster_reach_up(reach, 3);
	cluster_reach_up(reach, CLUSTER_NODE_MAX);
	cluster_reach_down(reach, 3, 200);
	ck_assert(cluster_reach_linked(reach, 3));
	ck_assert(!cluster_reach_linked(reach, 2));
	cluster_reach_down(reach, 3, 300);
	ck_assert(!cluster_reach_linked(reach, 3));
	ck_assert(cluster_reach_linked(reach, CLUSTER_NODE_MAX));
	mem_free(reach);
}
END_TEST

START_TEST(a_node_is_lost_that_was_not_linked_for_so_long)
{
	struct cluster_reach *reach = cluster_reach_new();
	ck_assert_ptr_nonnull(reach);
	/* Nobody has ever wanted a link with it. */
	ck_assert(!cluster_reach_lost(reach, 3, 50, 1000));
	cluster_reach_wanted(reach, 3, 100);
	/* As another core does. */
	cluster_reach_wanted(reach, 3, 140);
	ck_assert(!cluster_reach_lost(reach, 3, 50, 149));
	ck_assert(cluster_reach_lost(reach, 3, 50, 150));
	cluster_reach_up(reach, 3);
	ck_assert(!cluster_reach_lost(reach, 3, 50, 1000));
	cluster_reach_down(reach, 3, 1000);
	/* Where this core's clock is behind the other one's. */
	ck_assert(!cluster_reach_lost(reach, 3, 50, 999));
	ck_assert(!cluster_reach_lost(reach, 3, 50, 1049));
	ck_assert(cluster_reach_lost(reach, 3, 50, 1050));
	/* A link that is made anew was not up. */
	cluster_reach_wanted(reach, 3, 1040);
	ck_assert(cluster_reach_lost(reach, 3, 50, 1050));
	mem_free(reach);
}
END_TEST

/* Which core has the link that is refused is chance, and which one is asked. */
START_TEST(what_refuses_one_core_is_known_to_all_where_none_is_linked)
{
	struct cluster_reach *reach = cluster_reach_new();
	uint64_t now_ns = NS_PER_S;
	ck_assert_ptr_nonnull(reach);
	ck_assert_uint_eq(cluster_reach_refusal(reach, 3, now_ns), 0);
	cluster_reach_refused(reach, 3, 5, false, now_ns);
	ck_assert_uint_eq(cluster_reach_refusal(reach, 3, now_ns), 5);
	ck_assert_uint_eq(cluster_reach_refusal(reach, 2, now_ns), 0);
	/* Where another core's clock is ahead. */
	ck_assert_uint_eq(cluster_reach_refusal(reach, 3, now_ns - NS_PER_MS), 5);
	cluster_reach_up(reach, 3);
	ck_assert_uint_eq(cluster_reach_refusal(reach, 3, now_ns), 0);
	cluster_reach_down(reach, 3, now_ns);
	ck_assert_uint_eq(cluster_reach_refusal(reach, 3, now_ns), 5);
	/* It is not said any more. */
	ck_assert_uint_eq(cluster_reach_refusal(reach, 3, now_ns + 60 * NS_PER_S), 0);
	mem_free(reach);
}
END_TEST

START_TEST(who_says_to_be_the_node_goes_before_who_is_another_one)
{
	struct cluster_reach *reach = cluster_reach_new();
	uint64_t now_ns = NS_PER_S, later_ns = now_ns + 60 * NS_PER_S;
	ck_assert_ptr_nonnull(reach);
	cluster_reach_refused(reach, 3, 4, false, now_ns);
	cluster_reach_refused(reach, 3, 2, true, now_ns);
	cluster_reach_refused(reach, 3, 4, false, now_ns + 1);
	ck_assert_uint_eq(cluster_reach_refusal(reach, 3, now_ns + 1), 2);
	/* As long as it says so. */
	cluster_reach_refused(reach, 3, 4, false, later_ns);
	ck_assert_uint_eq(cluster_reach_refusal(reach, 3, later_ns), 4);
	/* A number of a later version is none that is known. */
	cluster_reach_refused(reach, 3, 70000, true, later_ns);
	ck_assert_uint_ge(cluster_reach_refusal(reach, 3, later_ns), PEER_REFUSALS);
	mem_free(reach);
}
END_TEST

Suite *reach_suite(void)
{
	Suite *suite = suite_create("cluster reach");
	TCase *all = tcase_create("all");
	tcase_add_test(all, a_node_is_linked_while_any_core_is);
	tcase_add_test(all, a_node_is_lost_that_was_not_linked_for_so_long);
	tcase_add_test(all, what_refuses_one_core_is_known_to_all_where_none_is_linked);
	tcase_add_test(all, who_says_to_be_the_node_goes_before_who_is_another_one);
	suite_add_tcase(suite, all);
	return suite;
}
