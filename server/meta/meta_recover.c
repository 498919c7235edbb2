/* Nodes are gone for ever, or replicas damaged, and with them the majority of some shards: the
 * record of it, which is made before anything is done, so that only one replica of a shard ever
 * goes on alone, whatever crashes meanwhile. Which one was chosen by recovery.h; it does it when it
 * sees this. */
#include "base/assert.h"
#include "base/wire/json_writer.h"
#include "replication/raft/raft.h"
#include "server/meta/meta_parts.h"

/* Its replica there goes; how many are left. */
static uint32_t without(struct cluster_shard *shard, uint16_t node)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < shard->count; i++)
		if (cluster_replica_node(shard->replicas[i].replica) != node)
			shard->replicas[count++] = shard->replicas[i];
	return count;
}

/* Where the end of the directory's log is lost, there may be replicas that it has not heard of:
 * their numbers are not made again. */
static void note_made(struct cluster_shard *shard, uint64_t replica)
{
	uint64_t made = (replica >> CLUSTER_NODE_BITS) + 1;
	if (shard->replicas_made < made)
		shard->replicas_made = made;
}

/* Whatever becomes of the others. */
static void keep_alone(struct cluster_shard *shard, const struct cluster_recovery *recovery)
{
	note_made(shard, recovery->replica);
	uint32_t count = without(shard, cluster_replica_node(recovery->replica));
	struct cluster_replica *replicas = shard->replicas;
	/* One that was on its way out may have the only log that is left. */
	if (count == shard->room)
		count--;
	uint32_t at = count;
	for (; at > 0 && replicas[at - 1].replica > recovery->replica; at--)
		replicas[at] = replicas[at - 1];
	replicas[at] = (struct cluster_replica){.replica = recovery->replica, .voter = true};
	shard->count = count + 1;
	shard->recovery = *recovery;
	shard->generation++;
}

/* That one, or one of before it, which is not there any more; and none that has come in its place
 * since. The directory is on every node, so there another one is wanted at once, with a number
 * above all that there are. */
static void give_up(struct cluster_shard *shard, bool directory, uint64_t replica)
{
	uint16_t node = cluster_replica_node(replica);
	uint32_t at = 0;
	note_made(shard, replica);
	while (at < shard->count && cluster_replica_node(shard->replicas[at].replica) != node)
		at++;
	if (at == shard->count || shard->replicas[at].replica > replica)
		return;
	shard->count = without(shard, node);
	if (!directory)
		return;
	ASSERT(shard->count < shard->room);
	shard->replicas[shard->count++] = (struct cluster_replica){
	    .replica = cluster_replica_number(node, shard->replicas_made++), .voter = false};
}

/* One that nothing is left of stays as it was: there is nothing to be changed into. */
static void take_out(struct cluster_shard *shard, uint16_t node)
{
	uint32_t has = 0;
	for (uint32_t i = 0; i < shard->count; i++)
		has += cluster_replica_node(shard->replicas[i].replica) == node;
	if (has == 0 || has == shard->count)
		return;
	shard->count = without(shard, node);
	shard->generation++;
}

/* The directory's own has its record already, and is told once more with the others. */
static bool is_again(const struct meta_layout *layout, const struct meta_recovery *one)
{
	const struct cluster_recovery *known = &layout->shards[one->shard].recovery;
	return one->shard == 0 && one->recovery.term == known->term &&
	       one->recovery.replica == known->replica;
}

/* Of a node that there is, and with a number that a record may have. */
static bool is_number(struct meta_layout *layout, uint64_t replica)
{
	return replica >> CLUSTER_NODE_BITS < INT64_MAX >> CLUSTER_NODE_BITS &&
	       meta_layout_node(layout, cluster_replica_node(replica)) != NULL;
}

/* It comes from what replicas say of themselves. A record that could not be read again would be the
 * end of the directory, on every node. */
static bool can_be_read(struct meta_layout *layout, const struct meta_recovery *one)
{
	const struct cluster_recovery *recovery = &one->recovery;
	bool good = is_number(layout, recovery->replica) && recovery->term <= RAFT_TERM_MAX &&
	            recovery->index <= RAFT_INDEX_MAX && recovery->committed <= recovery->index;
	for (uint32_t i = 0; good && i < one->given_up_count; i++)
		good = is_number(layout, one->given_up[i]);
	return good;
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
		if (!can_be_read(layout, one)) {
			meta_refuse(request, STATUS_INVALID_ARGUMENT,
			    "what is said of the replicas of shard %u cannot be so", one->shard);
			return false;
		}
		if (one->shard <= layout->cluster.shards &&
		    (one->recovery.term > layout->shards[one->shard].recovery.term ||
		        is_again(layout, one)))
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
	for (size_t i = 0; i < request->recovery_count; i++) {
		const struct meta_recovery *one = &request->recoveries[i];
		struct cluster_shard *shard = &layout->shards[one->shard];
		if (is_again(layout, one))
			shard->generation++;
		else
			keep_alone(shard, &one->recovery);
		for (uint32_t k = 0; k < one->given_up_count; k++)
			if (one->given_up[k] != one->recovery.replica)
				give_up(shard, one->shard == 0, one->given_up[k]);
	}
	json_write_key(writer, slice_from_text("nodes"));
	json_write_array_begin(writer);
	for (size_t i = 0; i < request->wanted_count; i++) {
		uint16_t node = request->wanted[i].node;
		meta_node_becomes(meta_layout_node(layout, node), CLUSTER_NODE_REMOVED);
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
