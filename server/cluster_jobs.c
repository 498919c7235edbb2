/* Where this node leads the directory: how far the work is that the cluster does by itself, for who
 * asks (server/meta/cluster_job.h). */
#include "base/clock.h"
#include "server/cluster_control.h"

void cluster_jobs_begin(struct cluster_control *control)
{
	control->rebalance = (struct cluster_job){.all = 0};
	for (size_t i = 0; i < CLUSTER_REPLICAS_MAX; i++)
		control->drains[i] = (struct cluster_drain){.node = 0};
}

/* Replicas that are wanted there or, wanted no more, still members; the directory's stays. */
static uint64_t replicas_on(const struct cluster_control *control, uint16_t node)
{
	const struct cluster_map *map = control->core->map;
	uint64_t wanted = 0, members = 0;
	for (uint32_t shard = 1; shard <= map->shard_count; shard++) {
		const struct cluster_seen *seen = cluster_seen_lately(control, shard);
		wanted += cluster_map_replica(map, shard, node) != NULL;
		for (uint32_t i = 0; seen && i < seen->count; i++)
			members += cluster_replica_node(seen->members[i].replica) == node;
	}
	return members > wanted ? members : wanted;
}

static bool is_draining(const struct cluster_map *map, uint16_t number)
{
	const struct cluster_node *node = cluster_map_node(map, number);
	return node && node->state == CLUSTER_NODE_DRAINING;
}

/* The node's, or a free one; NULL: all are taken, and it has none. */
static struct cluster_drain *drain_of(struct cluster_control *control, uint16_t node)
{
	struct cluster_drain *empty = NULL;
	for (size_t i = 0; i < CLUSTER_REPLICAS_MAX; i++) {
		struct cluster_drain *drain = &control->drains[i];
		if (drain->node == node)
			return drain;
		if (drain->node == 0 && !empty)
			empty = drain;
	}
	return empty;
}

static void look_at_drain(struct cluster_control *control, uint16_t node)
{
	struct cluster_drain *drain = drain_of(control, node);
	uint64_t left = replicas_on(control, node);
	if (!drain)
		return;
	drain->node = node;
	/* The last one counts until the node may be removed: a group may have let go of it, and not
	 * know that for good. */
	left = cluster_job_left(&drain->job, left, !cluster_is_removable(control, node));
	cluster_job_look(&drain->job, left, io_now_ns(control->core->io), clock_real_ms());
}

void cluster_jobs_look(struct cluster_control *control, const struct placement_plan *plan)
{
	const struct cluster_map *map = control->core->map;
	uint64_t left = cluster_job_left(&control->rebalance, plan->left, plan->unled);
	cluster_job_look(&control->rebalance, left, io_now_ns(control->core->io), clock_real_ms());
	/* Who was drained is removed, or a member again. */
	for (size_t i = 0; i < CLUSTER_REPLICAS_MAX; i++)
		if (!is_draining(map, control->drains[i].node))
			control->drains[i] = (struct cluster_drain){.node = 0};
	for (uint32_t i = 0; i < map->node_count; i++)
		if (map->nodes[i].state == CLUSTER_NODE_DRAINING)
			look_at_drain(control, map->nodes[i].node);
}

void cluster_look_at_drains(const struct cluster_control *control, struct cluster_job *drains)
{
	const struct cluster_map *map = control->core->map;
	for (size_t i = 0; i < CLUSTER_REPLICAS_MAX; i++) {
		const struct cluster_node *node = cluster_map_node(map, control->drains[i].node);
		if (node)
			drains[node - map->nodes] = control->drains[i].job;
	}
}
