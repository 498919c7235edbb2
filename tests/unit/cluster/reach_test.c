/* Which nodes any core of a process is linked with. */
#include "tests/unit/cluster/suites.h"

#include "base/mem.h"
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

Suite *reach_suite(void)
{
	Suite *suite = suite_create("cluster reach");
	TCase *all = tcase_create("all");
	tcase_add_test(all, a_node_is_linked_while_any_core_is);
	tcase_add_test(all, a_node_is_lost_that_was_not_linked_for_so_long);
	suite_add_tcase(suite, all);
	return suite;
}
