#include "tests/cluster_sim/late.h"

#include "replication/group.h"
#include "server/cluster_parts.h"
#include "tests/cluster_sim/world.h"

enum {
	/* Until the first hands over: some calls are on their way. */
	HELD_MS_MIN = 50,
	HELD_MS_MAX = 300,
	/* Calls of before are given up, and later ones are done at the other. */
	OTHER_MS_MIN = 350,
	OTHER_MS_MAX = 700,
	AGAIN_MS = 200,
	LOOK_MS = 10,
	LATE_MS = 4000,
	/* The network tries again after that long at most, by then. */
	COMES_MS = 1800,
};

static uint64_t in_ms(struct world *world, uint64_t ms_min, uint64_t ms_max)
{
	return sim_now_ns(world->sim) + (ms_min + world_below(world, ms_max - ms_min)) * NS_PER_MS;
}

bool late_is_origin(const struct world *world, const struct node *node)
{
	return world->storm.kind == STORM_LATE && node == world->late.origin;
}

/* ---- Who leads ---- */

static struct group *group_of(const struct world *world, const struct node *node)
{
	uint32_t shard = world->storm.shard;
	return node_serves(node) ? group_store_group(node_store(node, shard), shard) : NULL;
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

struct hand_over {
	struct node *from, *to;
};

static void hand_over_inside(void *arg)
{
	const struct hand_over *wish = arg;
	struct group *group = group_of(wish->from->world, wish->from);
	uint64_t replica = group ? replica_of(group, wish->to) : 0;
	if (replica != 0 && group_transfer(group, replica) == 0)
		wish->from->world->figures.handed_over++;
	node_wake(wish->from);
}

static void hand_over(struct node *from, struct node *to)
{
	struct hand_over wish = {.from = from, .to = to};
	if (node_serves(from))
		(void)sim_node_run(from->machine, hand_over_inside, &wish);
}

static bool leads(const struct world *world, const struct node *node)
{
	const struct group *group = group_of(world, node);
	return group && group_leads(group) && group_term(group) > world->late.term;
}

/* ---- The course ---- */

/* A voter that is neither the first nor the origin; NULL: there is none. */
static struct node *pick_other(struct world *world)
{
	const struct late *late = &world->late;
	const struct group *group = group_of(world, late->first);
	unsigned from = (unsigned)world_below(world, world->node_count);
	for (unsigned i = 0; i < world->node_count; i++) {
		struct node *node = &world->nodes[(from + i) % world->node_count];
		if (node != late->first && node != late->origin && node_serves(node) &&
		    replica_of(group, node) != 0)
			return node;
	}
	return NULL;
}

static void let_through(struct world *world)
{
	struct late *late = &world->late;
	sim_net_cut(late->origin->machine, late->first->machine, false);
	late->step = LATE_COMES;
	world->storm.until_ns = sim_now_ns(world->sim) + COMES_MS * NS_PER_MS;
	world->figures.led_again++;
}

static void step(struct world *world)
{
	struct late *late = &world->late;
	uint64_t now_ns = sim_now_ns(world->sim);
	switch (late->step) {
	case LATE_HELD:
		if (now_ns < late->next_ns)
			return;
		hand_over(late->first, late->other);
		late->step = LATE_OTHER;
		return;
	case LATE_OTHER:
		if (!leads(world, late->other))
			return;
		late->term = group_term(group_of(world, late->other));
		late->next_ns = in_ms(world, OTHER_MS_MIN, OTHER_MS_MAX);
		late->step = LATE_BACK;
		return;
	case LATE_BACK:
		if (leads(world, late->first)) {
			let_through(world);
		} else if (now_ns >= late->next_ns) {
			hand_over(late->other, late->first);
			late->next_ns = now_ns + AGAIN_MS * NS_PER_MS;
		}
		return;
	case LATE_COMES:
		return;
	}
}

static void tick(void *arg)
{
	struct world *world = arg;
	if (world->storm.kind != STORM_LATE)
		return;
	step(world);
	sim_call_at(world->sim, sim_now_ns(world->sim) + LOOK_MS * NS_PER_MS, tick, world);
}

bool late_begin(struct world *world)
{
	struct late *late = &world->late;
	unsigned others = world->node_count - 1;
	late->first = world->storm.leader;
	late->origin = &world->nodes[(late->first->number + 1 + world_below(world, others)) %
	                             world->node_count];
	late->other = pick_other(world);
	if (!late->other || !node_serves(late->origin))
		return false;
	late->step = LATE_HELD;
	late->term = group_term(group_of(world, late->first));
	late->next_ns = in_ms(world, HELD_MS_MIN, HELD_MS_MAX);
	sim_net_cut(late->origin->machine, late->first->machine, true);
	world->storm.until_ns = sim_now_ns(world->sim) + LATE_MS * NS_PER_MS;
	world->figures.storms_late++;
	sim_call_at(world->sim, sim_now_ns(world->sim), tick, world);
	return true;
}
