#include "tests/unit/meta/suites.h"

#include "base/mem.h"
#include "server/meta/cluster_map.h"

START_TEST(nodes_and_replicas_are_found)
{
	struct cluster_map *map = cluster_map_new(2, 3);
	ck_assert_ptr_nonnull(map);
	map->nodes[0] = (struct cluster_node){.node = 1, .cores = 2, .stores = 4};
	map->nodes[1] = (struct cluster_node){.node = 7, .cores = 3, .stores = 5};
	uint64_t second = cluster_replica_number(7, 1);
	map->shards[3].count = 2;
	map->shards[3].replicas[0] = (struct cluster_replica){.replica = 1, .voter = true};
	map->shards[3].replicas[1] = (struct cluster_replica){.replica = second};
	ck_assert_ptr_eq(cluster_map_node(map, 7), &map->nodes[1]);
	ck_assert_ptr_null(cluster_map_node(map, 2));
	ck_assert_uint_eq(cluster_replica_node(second), 7);
	ck_assert_ptr_eq(cluster_map_replica(map, 3, 7), &map->shards[3].replicas[1]);
	ck_assert_ptr_eq(cluster_map_replica(map, 3, 1), &map->shards[3].replicas[0]);
	ck_assert_ptr_null(cluster_map_replica(map, 2, 1));
	/* 9 mod 5 stores is 4; 4 mod 3 cores is 1. */
	ck_assert_uint_eq(cluster_store_of(&map->nodes[1], 9), 4);
	ck_assert_uint_eq(cluster_core_of(&map->nodes[1], 9), 1);
	struct cluster_map *held = cluster_map_hold(map);
	cluster_map_release(map);
	ck_assert_uint_eq(held->nodes[1].node, 7);
	cluster_map_release(held);
	cluster_map_release(NULL);
}
END_TEST

START_TEST(every_node_is_found_and_no_other)
{
	for (uint32_t count = 0; count <= 9; count++) {
		struct cluster_map *map = cluster_map_new(count, 1);
		ck_assert_ptr_nonnull(map);
		for (uint32_t i = 0; i < count; i++)
			map->nodes[i].node = (uint16_t)(2 * i + 2);
		for (uint32_t i = 0; i < count; i++)
			ck_assert_ptr_eq(
			    cluster_map_node(map, (uint16_t)(2 * i + 2)), &map->nodes[i]);
		for (uint32_t i = 0; i <= count; i++)
			ck_assert_ptr_null(cluster_map_node(map, (uint16_t)(2 * i + 1)));
		ck_assert_ptr_null(cluster_map_node(map, CLUSTER_NODE_MAX));
		cluster_map_release(map);
	}
}
END_TEST

START_TEST(news_of_leaders_never_goes_back)
{
	struct cluster_leaders *leaders = cluster_leaders_new(2);
	ck_assert_ptr_nonnull(leaders);
	ck_assert_uint_eq(cluster_leader(leaders, 2), 0);
	ck_assert(cluster_leaders_note(leaders, 2, 5, 3));
	ck_assert(!cluster_leaders_note(leaders, 2, 5, 3));
	ck_assert(!cluster_leaders_note(leaders, 2, 4, 1));
	ck_assert(!cluster_leaders_note(leaders, 2, 4, 0));
	ck_assert_uint_eq(cluster_leader(leaders, 2), 3);
	ck_assert(cluster_leaders_note(leaders, 2, 5, 0));
	ck_assert_uint_eq(cluster_leader(leaders, 2), 0);
	/* What was said before it gave up comes late. */
	ck_assert(!cluster_leaders_note(leaders, 2, 5, 3));
	ck_assert(cluster_leaders_note(leaders, 2, 6, CLUSTER_NODE_MAX));
	ck_assert_uint_eq(cluster_leader(leaders, 2), CLUSTER_NODE_MAX);
	ck_assert_uint_eq(cluster_leader_term(leaders, 2), 6);
	ck_assert_uint_eq(cluster_leader(leaders, 1), 0);
	mem_free(leaders);
}
END_TEST

Suite *map_suite(void)
{
	Suite *suite = suite_create("cluster map");
	TCase *map = tcase_create("map");
	tcase_add_test(map, nodes_and_replicas_are_found);
	tcase_add_test(map, every_node_is_found_and_no_other);
	tcase_add_test(map, news_of_leaders_never_goes_back);
	suite_add_tcase(suite, map);
	return suite;
}
