#include "tests/unit/meta/placement_rig.h"

#include <stdio.h>

#include "base/random.h"

enum { NODES_MAX = 12, SHARDS = 48 };

static void join_somewhere(struct cluster *cluster, struct random *random, uint64_t zones)
{
	char zone[8];
	snprintf(zone, sizeof(zone), "%c", (int)('a' + random_below(random, zones)));
	cluster_join(cluster, zones > 1 ? zone : "");
}

/* How many members live. */
static uint32_t members(const struct cluster *cluster, bool dead_too)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < cluster->map->node_count; i++)
		count += cluster->map->nodes[i].state == CLUSTER_NODE_MEMBER &&
		         (cluster->nodes[i].alive || dead_too);
	return count;
}

static void happen(struct cluster *cluster, struct random *random, uint64_t zones)
{
	uint16_t node = (uint16_t)(1 + random_below(random, cluster->map->node_count));
	enum cluster_node_state *state = &cluster->map->nodes[node - 1].state;
	uint32_t shard = (uint32_t)random_below(random, SHARDS + 1);
	switch (random_below(random, 10)) {
	case 0:
		if (cluster->map->node_count < NODES_MAX)
			join_somewhere(cluster, random, zones);
		break;
	case 1:
		*state =
		    *state == CLUSTER_NODE_MEMBER ? CLUSTER_NODE_DRAINING : CLUSTER_NODE_MEMBER;
		break;
	case 2:
		cluster_kill(cluster, node, 1 + random_below(random, 2 * RIG_DEAD_MS_MAX));
		break;
	case 3:
	case 4:
		cluster_kill(cluster, node, 0);
		break;
	case 5:
		cluster->map->replication_factor = (uint32_t)random_between(random, 1, 5);
		break;
	case 6:
		cluster->shards[shard].load = random_below(random, 1000);
		break;
	case 7:
		cluster->nodes[node - 1].full =
		    cluster->nodes[node - 1].alive && random_chance(random, 1, 2);
		cluster->nodes[node - 1].silent =
		    cluster->nodes[node - 1].alive && random_chance(random, 1, 4);
		break;
	case 8:
		cluster_advance(cluster);
		break;
	default:
		cluster_settle(cluster);
	}
}

/* How many replicas of a shard have to be in one zone. */
static uint32_t least_crowd(const struct cluster *cluster, uint32_t wanted)
{
	for (uint32_t crowd = 1;; crowd++) {
		uint32_t room = 0, in_zone[4] = {0};
		for (uint32_t i = 0; i < cluster->map->node_count; i++) {
			const struct cluster_node *node = &cluster->map->nodes[i];
			if (node->state != CLUSTER_NODE_MEMBER)
				continue;
			room += !node->zone[0] || in_zone[node->zone[0] - 'a']++ < crowd;
		}
		if (room >= wanted)
			return crowd;
	}
}

/* Everybody is there again and nothing more happens: it comes to rest where it should. */
static void rest(struct cluster *cluster)
{
	for (uint32_t i = 0; i < cluster->map->node_count; i++)
		cluster_kill(cluster, cluster->map->nodes[i].node, 0);
	cluster_settle(cluster);
	if (members(cluster, true) == 0)
		cluster->map->nodes[0].state = CLUSTER_NODE_MEMBER;
	cluster_run(cluster);
	uint32_t wanted = cluster->map->replication_factor;
	if (wanted > members(cluster, true))
		wanted = members(cluster, true);
	for (uint32_t shard = 1; shard <= SHARDS; shard++) {
		const struct cluster_shard *has = &cluster->map->shards[shard];
		FACT(cluster_voters(has) == wanted);
		FACT(has->count == wanted);
		FACT(cluster->shards[shard].leader != 0);
		FACT(cluster_crowd(cluster, shard) == least_crowd(cluster, wanted));
		for (uint32_t i = 0; i < has->count; i++) {
			uint16_t node = cluster_replica_node(has->replicas[i].replica);
			FACT(cluster->map->nodes[node - 1].state == CLUSTER_NODE_MEMBER);
		}
	}
}

START_TEST(random_clusters_keep_the_rules_and_come_to_rest)
{
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct cluster cluster;
		struct random random;
		random_init(&random, seed);
		uint64_t zones = 1 + seed % 4;
		cluster_begin(&cluster, NODES_MAX, SHARDS, 3);
		cluster.moves_max = (uint32_t)random_between(&random, 1, 20);
		cluster.load_moves_max = (uint32_t)(seed % 3);
		cluster.load_replicas = seed % 2 == 0;
		for (int moment = 0; moment < 300; moment++) {
			happen(&cluster, &random, zones);
			if (random_chance(&random, 1, 2)) {
				cluster_plan(&cluster);
				cluster_apply(&cluster);
			}
		}
		rest(&cluster);
		if (zones == 1)
			cluster_assert_even(&cluster);
		cluster_end(&cluster);
	}
}
END_TEST

/* 16384 shards of three on 300 nodes: there is a plan, with as much in it as may be. */
START_TEST(a_plan_for_the_largest_cluster)
{
	struct cluster cluster;
	cluster_begin(&cluster, 301, 16384, 3);
	for (uint32_t i = 1; i < 300; i++)
		cluster_join(&cluster, "");
	for (uint32_t shard = 1; shard <= 16384; shard++) {
		struct cluster_shard *wanted = &cluster.map->shards[shard];
		wanted->count = 3;
		for (uint32_t i = 0; i < 3; i++)
			wanted->replicas[i] =
			    (struct cluster_replica){(3 * shard + i) % 300 + 1, true};
		cluster.shards[shard].leader = (uint16_t)wanted->replicas[0].replica;
	}
	cluster.moves_max = PLACEMENT_CHANGES_MAX;
	cluster.load_moves_max = LOAD_MOVES_MAX;
	cluster.load_replicas = true;
	cluster_plan(&cluster);
	/* 163.84 on each: even. One in three leads. */
	FACT(cluster.plan.change_count == 0);
	FACT(cluster.plan.transfer_count == PLACEMENT_TRANSFERS_MAX);
	cluster_join(&cluster, "");
	cluster_plan(&cluster);
	FACT(cluster.plan.change_count == PLACEMENT_CHANGES_MAX);
	cluster_end(&cluster);
}
END_TEST

Suite *placement_worlds_suite(void)
{
	Suite *suite = suite_create("placement worlds");
	TCase *worlds = tcase_create("worlds");
	tcase_set_timeout(worlds, 120);
	tcase_add_test(worlds, random_clusters_keep_the_rules_and_come_to_rest);
	suite_add_tcase(suite, worlds);
	/* Apart, so that it can be counted: CK_RUN_CASE=largest. */
	TCase *largest = tcase_create("largest");
	tcase_set_timeout(largest, 120);
	tcase_add_test(largest, a_plan_for_the_largest_cluster);
	suite_add_tcase(suite, largest);
	return suite;
}
