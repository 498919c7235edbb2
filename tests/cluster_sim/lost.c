#include "tests/cluster_sim/lost.h"

#include "server/meta/meta.h"
#include "tests/cluster_sim/world.h"

/* Shorter than most are gone. */
enum { LOST_AFTER_MS = 300 };

/* By the seed itself: all other worlds keep their course. */
static bool are_replaced(const struct world *world)
{
	return world->node_count == 5 && world->seed % 2 == 1;
}

/* As the first of the others knows it that serves; the directory's aside. */
static uint32_t replicas_of(const struct node *node)
{
	const struct world *world = node->world;
	uint32_t count = 0;
	for (unsigned i = 0; i < world->node_count; i++) {
		const struct node *other = &world->nodes[i];
		if (other == node || !node_serves(other))
			continue;
		const struct cluster_map *map = meta_map(other->server.meta);
		for (uint32_t shard = 1; map && shard <= map->shard_count; shard++)
			count += cluster_map_replica(map, shard, node_id(node)) != NULL;
		return count;
	}
	return 0;
}

void lost_goes(struct node *node)
{
	node->replicas_then = node_id(node) ? replicas_of(node) : 0;
}

void lost_comes(struct node *node)
{
	struct world *world = node->world;
	if (are_replaced(world) && !node->is_drained && replicas_of(node) < node->replicas_then)
		world->figures.nodes_replaced++;
	node->replicas_then = 0;
	if (are_replaced(world))
		node->config.replace_after = LOST_AFTER_MS;
}
