/* Where this node leads the directory: how far the work is that the cluster does by itself, for who
 * asks. The records of it are in the directory (server/meta/cluster_job.h), and what is left is
 * seen from how the shards are; so it goes on with whoever leads next. */
#include "base/clock.h"
#include "base/log_line.h"
#include "server/cluster_control.h"
#include "server/meta/placement.h"

/* ---- What is left ---- */

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

static uint64_t drain_left(const struct cluster_control *control, const struct cluster_node *node)
{
	if (node->state != CLUSTER_NODE_DRAINING)
		return 0;
	/* The last one counts until the node may be removed: a group may have let go of it, and not
	 * know that for good. */
	return cluster_job_left(&node->drain, replicas_on(control, node->node),
	    !cluster_is_removable(control, node->node));
}

uint64_t cluster_look_at_rebalance(const struct cluster_control *control)
{
	return cluster_job_left(&control->core->map->rebalance, control->left, control->unled);
}

void cluster_look_at_drains(const struct cluster_control *control, uint64_t *left)
{
	const struct cluster_map *map = control->core->map;
	for (uint32_t i = 0; i < map->node_count; i++)
		left[i] = drain_left(control, &map->nodes[i]);
}

/* ---- The records ---- */

static void jobs_set(struct meta_request *request)
{
	struct cluster_control *control = CONTAINER_OF(request, struct cluster_control, jobs);
	control->jobs_busy = false;
	/* The next plan looks anew. */
	if (request->status != STATUS_OK)
		LOG_LINE(LEVEL_INFO, "jobs_not_set",
		    FIELD_TEXT("status", status_name(request->status)),
		    FIELD_SLICE("why", buffer_view(&request->reply)));
	buffer_done(&request->reply);
	buffer_done(&request->details);
}

/* Returns how many records are to change, with this one. */
static size_t look(struct cluster_control *control, size_t count, uint16_t node,
    const struct cluster_job *job, uint64_t left)
{
	struct cluster_job next = *job;
	cluster_job_look(&next, left, clock_real_ms());
	if (cluster_job_same(job, &next) || count == CLUSTER_JOBS_MAX)
		return count;
	control->jobs_wanted[count] = (struct meta_job){.node = node, .from = *job, .to = next};
	return count + 1;
}

void cluster_jobs_look(struct cluster_control *control, const struct placement_plan *plan)
{
	const struct cluster_map *map = control->core->map;
	control->planned = true;
	control->left = plan->left;
	control->unled = plan->unled;
	if (control->jobs_busy)
		return;
	size_t count = look(control, 0, 0, &map->rebalance, cluster_look_at_rebalance(control));
	for (uint32_t i = 0; i < map->node_count; i++) {
		const struct cluster_node *node = &map->nodes[i];
		if (node->state == CLUSTER_NODE_DRAINING)
			count = look(
			    control, count, node->node, &node->drain, drain_left(control, node));
	}
	if (count == 0)
		return;
	control->jobs = (struct meta_request){.verb = META_JOBS_SET,
	    .jobs = control->jobs_wanted,
	    .job_count = count,
	    .done = jobs_set};
	control->jobs_busy = true;
	meta_submit(control->core->meta, &control->jobs);
}

bool cluster_jobs_run(const struct cluster_control *control)
{
	const struct cluster_map *map = control->core->map;
	bool runs = cluster_job_runs(&map->rebalance);
	for (uint32_t i = 0; i < map->node_count; i++)
		runs |= cluster_job_runs(&map->nodes[i].drain);
	return control->leads && runs;
}
