/* A cluster that does what placement_plan says, and checks it. Nodes have the numbers 1, 2, .. */
#ifndef KX_TESTS_UNIT_META_PLACEMENT_RIG_H
#define KX_TESTS_UNIT_META_PLACEMENT_RIG_H

#include "tests/unit/meta/suites.h"

#include "server/meta/load.h"
#include "server/meta/placement.h"

enum { RIG_DEAD_MS_MAX = 1000, RIG_COME_MS_MAX = 400 };

/* Who votes, whatever is wanted. */
struct rig_group {
	uint32_t count;
	uint64_t voters[CLUSTER_REPLICAS_MAX];
};

struct cluster {
	struct cluster_map *map;
	struct placement_node *nodes;
	struct placement_shard *shards;
	struct rig_group *groups; /* of shards, as far as cluster_advance brought them */
	uint32_t moves_max;
	bool rebalance;
	/* What plans may do for loads: so much, or, at that time, what the book says. */
	uint32_t load_moves_max;
	bool load_replicas;
	struct load_book *book;
	uint64_t now_ns;
	struct placement_plan plan;
	/* What plans have said so far. */
	uint32_t changes, added, transfers, load_changes, load_transfers;
};

/* Node 1 has all there is, and a voter of each shard. Nodes that come later stand behind it. */
void cluster_begin(struct cluster *cluster, uint32_t nodes_max, uint32_t shards, uint32_t factor);
/* Then so many `nodes` have come in all, without zones, and what that moves has come to its end. */
void cluster_begin_even(
    struct cluster *cluster, uint32_t nodes_max, uint32_t shards, uint32_t factor, uint32_t nodes);
void cluster_end(struct cluster *cluster);
/* As the directory does it: with a replica of shard 0, as far as there is room. */
void cluster_join(struct cluster *cluster, const char *zone);
void cluster_join_many(struct cluster *cluster, uint32_t count); /* without zones */
void cluster_set_zone(struct cluster *cluster, uint16_t node, const char *zone);
void cluster_drain(struct cluster *cluster, uint16_t node);
/* For so long; 0: it lives. Who led there leads no more, and another voter does where most live. */
void cluster_kill(struct cluster *cluster, uint16_t node, uint64_t dead_ms);

/* A plan, which keeps all rules. */
void cluster_plan(struct cluster *cluster);
/* What the plan says begins. */
void cluster_apply(struct cluster *cluster);
/* Changes come to their end where most of the wanted voters live. */
void cluster_settle(struct cluster *cluster);
/* Replicas come to nodes that live and have room, and others go when all have come; the leaders say
 * what is still to come. */
void cluster_advance(struct cluster *cluster);
/* Until there is nothing more to do; counts begin at 0. */
void cluster_run(struct cluster *cluster);

/* Voters of shards but the directory on the node, and how many of those it leads. */
uint32_t cluster_replicas(const struct cluster *cluster, uint16_t node);
uint32_t cluster_leads(const struct cluster *cluster, uint16_t node);
uint32_t cluster_voters(const struct cluster_shard *shard);
/* Of every shard but the directory. */
void cluster_assert_voters(const struct cluster *cluster, uint32_t voters);
/* The most replicas of one shard in one zone, over all of its voters. */
uint32_t cluster_crowd(const struct cluster *cluster, uint32_t shard);
/* Members that live have as many replicas as each other, and lead as many shards, within 1. */
void cluster_assert_even(const struct cluster *cluster);

#endif
