/* Nodes are gone for ever, and with them the majority of some shards: the record of it, which is
 * made before anything is done, so that only one replica of a shard ever goes on alone, whatever
 * crashes meanwhile. Which one was chosen by recovery.h; it does it when it sees this. */
#include <string.h>

#include "base/wire/json_writer.h"
#include "server/meta/meta_parts.h"

/* Whatever becomes of the others. */
static void keep_alone(struct cluster_shard *shard, const struct cluster_recovery *recovery)
{
	uint16_t node = cluster_replica_node(recovery->replica);
	uint32_t count = 0;
	struct cluster_shard next = *shard;
	memset(next.replicas, 0, sizeof(next.replicas));
	for (uint32_t i = 0; i < shard->count; i++)
		if (cluster_replica_node(shard->replicas[i].replica) != node)
			next.replicas[count++] = shard->replicas[i];
	/* One that was on its way out may have the only log that is left. */
	if (count == CLUSTER_REPLICAS_MAX)
		count--;
	uint32_t at = count;
	for (; at > 0 && next.replicas[at - 1].replica > recovery->replica; at--)
		next.replicas[at] = next.replicas[at - 1];
	next.replicas[at] = (struct cluster_replica){.replica = recovery->replica, .voter = true};
	next.count = count + 1;
	next.recovery = *recovery;
	next.generation++;
	*shard = next;
}

/* One that nothing is left of stays as it was: there is nothing to be changed into. */
static void take_out(struct cluster_shard *shard, uint16_t node)
{
	struct cluster_shard next = *shard;
	memset(next.replicas, 0, sizeof(next.replicas));
	next.count = 0;
	for (uint32_t i = 0; i < shard->count; i++)
		if (cluster_replica_node(shard->replicas[i].replica) != node)
			next.replicas[next.count++] = shard->replicas[i];
	if (next.count == shard->count || next.count == 0)
		return;
	next.generation++;
	*shard = next;
}

static bool is_good(struct meta_layout *layout, struct meta_request *request)
{
	if (request->recovery_count == 0) {
		meta_refuse(request, STATUS_FAILED_PRECONDITION, "there is nothing to recover");
		return false;
	}
	for (size_t i = 0; i < request->wanted_count; i++) {
		uint16_t node = request->wanted[i].node;
		if (meta_layout_node(layout, node))
			continue;
		meta_refuse(request, STATUS_NOT_FOUND,
		    "there is no node %u: see kalix-admin node list", node);
		return false;
	}
	for (size_t i = 0; i < request->recovery_count; i++) {
		const struct meta_recovery *one = &request->recoveries[i];
		if (one->shard <= layout->cluster.shards && one->recovery.replica != 0 &&
		    one->recovery.term > layout->shards[one->shard].recovery.term)
			continue;
		meta_refuse(request, STATUS_ABORTED,
		    "shard %u was recovered by somebody else meanwhile: look again", one->shard);
		return false;
	}
	return true;
}

bool meta_run_recover(
    struct meta_layout *layout, struct meta_request *request, struct json_writer *writer)
{
	if (!is_good(layout, request))
		return false;
	for (size_t i = 0; i < request->recovery_count; i++)
		keep_alone(&layout->shards[request->recoveries[i].shard],
		    &request->recoveries[i].recovery);
	json_write_key(writer, slice_from_text("nodes"));
	json_write_array_begin(writer);
	for (size_t i = 0; i < request->wanted_count; i++) {
		uint16_t node = request->wanted[i].node;
		meta_layout_node(layout, node)->state = CLUSTER_NODE_REMOVED;
		for (uint32_t shard = 0; shard <= layout->cluster.shards; shard++)
			take_out(&layout->shards[shard], node);
		json_write_integer(writer, node);
	}
	json_write_array_end(writer);
	meta_settle_directory(layout);
	json_write_key(writer, slice_from_text("shards"));
	json_write_integer(writer, (int64_t)request->recovery_count);
	return true;
}
