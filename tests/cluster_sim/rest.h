/* The calm: when all has come to rest, and whether it is as it should be then. */
#ifndef KX_TESTS_CLUSTER_SIM_REST_H
#define KX_TESTS_CLUSTER_SIM_REST_H

#include <stdbool.h>

struct world;

/* Outside. Every node serves; every shard is led, its wanted replicas have all of its log and are
 * its members; nothing is under way. `why`: what is missing, static text. */
bool rest_is_reached(struct world *world, const char **ret_why);
/* Outside, and sooner: all nodes serve, and every shard is led, whole, and has three voters at
 * least, where they are wanted. */
bool rest_is_placed(struct world *world);
/* And nobody is on the way, nothing is under way, and no disk is bad. */
bool rest_is_well(struct world *world);
/* The newest that a node has; NULL: none serves. */
const struct cluster_map *rest_map(const struct world *world);
/* To stderr, for who looks for a fault: every group of every node. */
void rest_print(const struct world *world);
/* Then: all replicas of a shard hold the same keys and values. */
void rest_compare_replicas(struct world *world);

#endif
