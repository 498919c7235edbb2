#include "server/meta/damage.h"

#include "base/assert.h"
#include "replication/raft/quorum.h"
#include "server/meta/cluster_map.h"

bool damage_may_give_up(const struct damage_member *members, uint32_t count, uint64_t replica)
{
	struct raft_quorum_value values[CLUSTER_REPLICAS_MAX];
	ASSERT(count <= CLUSTER_REPLICAS_MAX);
	for (uint32_t i = 0; i < count; i++)
		values[i] = (struct raft_quorum_value){
		    .value = members[i].whole && members[i].replica != replica,
		    .roles = members[i].roles};
	return raft_quorum_reached(values, count) == 1;
}
