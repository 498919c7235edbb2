#include "tests/cluster_sim/memory.h"

#include <inttypes.h>

#include "base/limits.h"
#include "replication/group_parts.h"
#include "tests/cluster_sim/world.h"
#include "tests/sim/verdict.h"

/* What calls of one turn add, and what was promised. */
enum { UNCOUNTED_BYTES_MAX = 16 * 1024 };

/* Of a store. */
struct taken {
	uint64_t bytes, entry_bytes_max;
};

static void look_at_led(const struct node *node, const struct group *group)
{
	const struct world *world = node->world;
	uint64_t bytes_max =
	    UNAPPLIED_TAKEN_FACTOR * world->store_unapplied_bytes + UNCOUNTED_BYTES_MAX;
	EXPECT(group->unapplied_bytes <= bytes_max, "memory",
	    "group %u: node %u has %" PRIu64 " bytes that are not applied, and lets %" PRIu64 " in",
	    group->shard, node->number, group->unapplied_bytes, world->group_unapplied_bytes);
}

static void look_at_followed(
    const struct node *node, const struct group *group, uint64_t allowed, struct taken *taken)
{
	const struct world *world = node->world;
	uint64_t message_bytes = world->message_bytes_max, before = 0;
	uint64_t bytes_max = UNAPPLIED_TAKEN_FACTOR * world->group_unapplied_bytes + message_bytes;
	uint64_t now = raft_status(group->raft).term, term_before = group->applied.term;
	/* Of the same term, in one piece before it. */
	uint64_t piece = message_bytes;
	for (uint64_t i = group->applied.index + 1; i <= group->last.index; i++) {
		uint64_t term;
		uint64_t bytes = group_flight_get(group, i, &term).bytes;
		if (term != term_before)
			piece = 0;
		bool counts = term == now && i > allowed && piece >= message_bytes;
		EXPECT(!counts || before < bytes_max, "memory",
		    "group %u: node %u has taken entry %" PRIu64 " behind %" PRIu64
		    " bytes that are not applied, and lets %" PRIu64 " in",
		    group->shard, node->number, i, before, world->group_unapplied_bytes);
		if (counts && i > group->applied.index + 1) {
			taken->bytes += bytes;
			if (bytes > taken->entry_bytes_max)
				taken->entry_bytes_max = bytes;
		}
		before += bytes;
		piece += bytes;
		term_before = term;
	}
}

static void look_at_group(struct memory_replica *replica, const struct node *node,
    const struct group *group, struct taken *taken)
{
	bool is_new = replica->life != node->life;
	replica->life = node->life;
	if (is_new || group_leads(group))
		replica->allowed = group->last.index;
	if (group_leads(group))
		look_at_led(node, group);
	else
		look_at_followed(node, group, replica->allowed, taken);
}

/* The last message that it took may be one large entry. */
static void look_at_store(const struct node *node, unsigned store, const struct taken *taken)
{
	const struct world *world = node->world;
	uint64_t message_bytes = taken->entry_bytes_max > world->message_bytes_max
	                             ? taken->entry_bytes_max
	                             : world->message_bytes_max;
	uint64_t bytes_max = UNAPPLIED_TAKEN_FACTOR * world->store_unapplied_bytes + message_bytes;
	EXPECT(taken->bytes < bytes_max, "memory",
	    "store %u of node %u has taken %" PRIu64
	    " bytes that are not applied, and lets %" PRIu64 " in",
	    store, node->number, taken->bytes, world->store_unapplied_bytes);
}

void memory_look(struct memory *memory, struct node *node)
{
	struct taken taken[NODE_CORES_MAX] = {0};
	if (!node->world->stalls)
		return;
	for (uint32_t shard = 1; shard <= MODEL_SHARDS; shard++) {
		const struct group_store *store = node_store(node, shard);
		const struct group *group = store ? group_store_group(store, shard) : NULL;
		if (group && group->raft && group->state != GROUP_REMOVED)
			look_at_group(&memory->replicas[node->number][shard], node, group,
			    &taken[shard_store(&node->server.map, shard)]);
	}
	for (uint32_t i = 0; i < node->store_count; i++)
		look_at_store(node, i, &taken[i]);
}
