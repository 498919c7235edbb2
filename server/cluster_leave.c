/* Replicas that are not wanted any more: they stay until whoever leads their group says that they
 * have left it, and go then with their data. */
#include <sys/uio.h>

#include "base/assert.h"
#include "base/log_line.h"
#include "server/cluster_parts.h"

/* Whoever leads the shard knows whether it has left. */
void cluster_ask_to_leave(struct cluster_core *core, uint32_t shard, uint64_t replica)
{
	uint16_t leader = cluster_leader(core->options->leaders, shard);
	uint8_t bytes[32];
	struct writer out = writer_of(bytes, sizeof(bytes));
	if (leader == 0 || leader == core->options->self.node)
		return;
	cluster_leave_write(&out, &(struct cluster_leave){.shard = shard, .replica = replica});
	cluster_send_for(core, leader, shard, CLUSTER_KIND_LEAVE, writer_view(&out));
}

/* Whether the replica is none of its group; 0: whether none of the node is. */
static bool has_left(const struct raft_membership *members, uint64_t replica, uint16_t node)
{
	if (replica != 0)
		return raft_membership_roles(members, replica) == 0;
	for (uint32_t i = 0; i < members->count; i++)
		if (cluster_replica_node(members->members[i].replica) == node)
			return false;
	return true;
}

static void answer_leave(
    struct cluster_core *core, const struct cluster_link *link, struct cluster_leave leave)
{
	struct group *group = cluster_shard_group(core, leave.shard);
	struct raft_membership members;
	uint8_t bytes[32];
	struct writer out = writer_of(bytes, sizeof(bytes));
	if (!group || !group_leads(group) || group_busy(group))
		return;
	group_get_members(group, &members);
	if (raft_membership_joint(&members) || !has_left(&members, leave.replica, link->node))
		return;
	leave.has_left = true;
	cluster_leave_write(&out, &leave);
	struct slice view = writer_view(&out);
	struct iovec iov = {.iov_base = (void *)(uintptr_t)view.data, .iov_len = view.bytes};
	/* It asks again. */
	int lost = peer_send(link->peer, PEER_ENTRIES, CLUSTER_KIND_LEAVE, &iov, 1);
	(void)lost;
}

/* Its removal was in its own log, and applied, before it was told; and the process began anew
 * since. So no replica of the shard runs here, and what it had is left over. */
static int clear_left(struct cluster_core *core, uint32_t shard)
{
	bool here = shard == 0 || shards_has(core->shards, shard);
	if (here || !cluster_follows_map(core) ||
	    cluster_map_replica(core->map, shard, core->options->self.node))
		return 0;
	int error = group_store_clear(cluster_shard_store(core, shard), shard);
	/* It was asked twice. */
	if (error == ERR_NOT_FOUND)
		return 0;
	LOG_LINE(
	    LEVEL_INFO, "leftover_goes", FIELD_U64("group", shard), FIELD_ERROR("error", error));
	return 0;
}

int cluster_shards_leave(
    struct cluster_core *core, const struct cluster_link *link, struct slice bytes)
{
	struct cluster_leave leave;
	int error = cluster_leave_read(bytes, &leave);
	if (error || leave.shard > core->options->shard_count ||
	    !cluster_shard_store(core, leave.shard))
		return ERR_PROTOCOL;
	if (!leave.has_left) {
		answer_leave(core, link, leave);
		return 0;
	}
	const struct cluster_replica *wanted =
	    core->map ? cluster_map_replica(core->map, leave.shard, core->options->self.node)
	              : NULL;
	struct group *group = cluster_shard_group(core, leave.shard);
	if (leave.replica == 0)
		return clear_left(core, leave.shard);
	if (leave.shard == 0 || !cluster_follows_map(core) || !group ||
	    group_self(group) != leave.replica || (wanted && wanted->replica == leave.replica))
		return 0;
	LOG_LINE(LEVEL_INFO, "replica_leaves", FIELD_U64("group", leave.shard),
	    FIELD_U64("replica", leave.replica));
	if (shards_has(core->shards, leave.shard))
		shards_remove(core->shards, leave.shard);
	return 0;
}
