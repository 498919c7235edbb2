/* Directories of several nodes where an allocation fails, each one once: changes are done or
 * refused whole, and a follower knows everything when there is memory again. */
#include "tests/unit/meta/nodes_rig.h"
#include "tests/unit/meta/suites.h"

enum { NTH_MAX = 400 };

static struct cluster_map *map_of(uint16_t number)
{
	return meta_map(rig.nodes[number].meta);
}

static bool has_same_map(void *arg)
{
	const struct rig_node *node = arg;
	return node->map && node->map->version >= rig.nodes[1].map->version;
}

START_TEST(a_change_is_done_or_refused_whole)
{
	rig_join(2);
	bool failed = true;
	unsigned refused = 0;
	for (unsigned nth = 1; failed && nth < NTH_MAX; nth++) {
		struct rig_request set;
		const struct cluster_replica *there = cluster_map_replica(map_of(1), 3, 2);
		rig_request_init(&set, META_SHARD_SET);
		set.request.shard = 3;
		set.request.expected_generation = map_of(1)->shards[3].generation;
		set.wanted[0] = (struct meta_wanted){.node = 1, .voter = true};
		set.wanted[1] = (struct meta_wanted){.node = 2, .voter = !there || !there->voter};
		set.request.wanted_count = 2;
		uint64_t version = map_of(1)->version;
		uint64_t generation = set.request.expected_generation;
		size_t rows = rig.row_count;
		rig.nodes[1].starve = starve_at(nth);
		enum status status = rig_run(&set, 1);
		rig_done(&set);
		/* There may be no memory for the map either. */
		rig_pass_ms(1500);
		failed = rig.nodes[1].starve.failed;
		rig.nodes[1].starve = starve_at(0);
		bool is_done = rig.row_count > rows;
		refused += !is_done;
		ck_assert(failed || status == STATUS_OK);
		ck_assert(is_done ? status == STATUS_OK || status == STATUS_UNKNOWN_OUTCOME
		                  : status == STATUS_RESOURCE_EXHAUSTED);
		ck_assert_uint_eq(map_of(1)->shards[3].generation, generation + is_done);
		ck_assert(is_done == (map_of(1)->version > version));
		rig_run_until(has_same_map, &rig.nodes[2]);
	}
	ck_assert(!failed);
	ck_assert_uint_gt(refused, 3);
}
END_TEST

static bool is_settled(void *arg)
{
	const struct rig_node *node = arg;
	return has_same_map(arg) && node->given == rig.row_count && node->under_way == 0 &&
	       meta_pending(rig.nodes[1].meta) == 0 && meta_pending(node->meta) == 0 &&
	       !meta_error(node->meta);
}

START_TEST(a_follower_knows_all_when_there_is_memory_again)
{
	rig_join(2);
	for (uint32_t shard = 1; shard <= SHARDS; shard += 2)
		rig_move_shard(shard, 2);
	bool failed = true;
	unsigned waited = 0;
	for (unsigned nth = 1; failed && nth < NTH_MAX; nth++) {
		struct rig_request set;
		rig.nodes[2].starve = starve_at(nth);
		rig.nodes[2].error = 0;
		rig_request_init(&set, META_CLUSTER_SET);
		set.request.replication_factor = 1 + nth % 2;
		ck_assert_int_eq(rig_run(&set, 1), STATUS_OK);
		rig_done(&set);
		ck_assert_int_eq(rig_deploy(1, "shop", (int)nth), STATUS_OK);
		rig_run_until(is_settled, &rig.nodes[2]);
		waited += rig.nodes[2].error == ERR_NOMEM;
		ck_assert(rig.nodes[2].error == 0 || rig.nodes[2].error == ERR_NOMEM);
		failed = rig.nodes[2].starve.failed;
		rig.nodes[2].starve = starve_at(0);
		ck_assert_uint_eq(map_of(2)->replication_factor, 1 + nth % 2);
		for (uint32_t shard = 1; shard <= SHARDS; shard++)
			ck_assert_uint_eq(rig.shard_has[shard], nth);
		/* What its group has of the row is enough to go on with. */
		rig.row_count = 0;
		rig.nodes[1].given = rig.nodes[2].given = 0;
	}
	ck_assert(!failed);
	ck_assert_uint_gt(waited, 2);
}
END_TEST

Suite *short_suite(void)
{
	Suite *suite = suite_create("short of memory");
	TCase *tcase = tcase_create("short");
	tcase_add_checked_fixture(tcase, rig_set_up, rig_tear_down);
	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, a_change_is_done_or_refused_whole);
	tcase_add_test(tcase, a_follower_knows_all_when_there_is_memory_again);
	suite_add_tcase(suite, tcase);
	return suite;
}
