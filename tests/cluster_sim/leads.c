#include "tests/cluster_sim/leads.h"

#include "base/assert.h"
#include "replication/group_parts.h"
#include "server/cluster_parts.h"
#include "tests/cluster_sim/world.h"

struct group *leads_group(const struct node *node, uint32_t shard)
{
	struct group *group = node_group(node, shard);
	return group && group->raft ? group : NULL;
}

/* Its replica; 0: it is no voter of the shard. */
static uint64_t replica_of(const struct group *group, const struct node *node)
{
	struct raft_membership members;
	group_get_members(group, &members);
	for (uint32_t i = 0; i < members.count; i++)
		if (members.members[i].roles & RAFT_VOTER &&
		    cluster_replica_node(members.members[i].replica) == node_id(node))
			return members.members[i].replica;
	return 0;
}

struct node *leads_other_voter(struct node *leader, const struct node *another, uint32_t shard)
{
	struct world *world = leader->world;
	const struct group *group = leads_group(leader, shard);
	unsigned from = (unsigned)world_below(world, world->node_count);
	for (unsigned i = 0; group && i < world->node_count; i++) {
		struct node *node = &world->nodes[(from + i) % world->node_count];
		if (node != leader && node != another && node_serves(node) &&
		    replica_of(group, node) != 0)
			return node;
	}
	return NULL;
}

void leads_note_hand_over(struct world *world, uint32_t shard)
{
	ASSERT(shard < 64);
	world->handed_over |= UINT64_C(1) << shard;
	world->figures.handed_over++;
}

struct hand_over {
	struct node *from, *to;
	uint32_t shard;
};

static void hand_over_inside(void *arg)
{
	const struct hand_over *wish = arg;
	struct group *group = leads_group(wish->from, wish->shard);
	uint64_t replica = group ? replica_of(group, wish->to) : 0;
	if (replica != 0 && group_transfer(group, replica) == 0)
		leads_note_hand_over(wish->from->world, wish->shard);
	node_wake(wish->from);
}

void leads_hand_over(struct node *from, struct node *to, uint32_t shard)
{
	struct hand_over wish = {.from = from, .to = to, .shard = shard};
	if (node_serves(from))
		(void)sim_node_run(from->machine, hand_over_inside, &wish);
}
