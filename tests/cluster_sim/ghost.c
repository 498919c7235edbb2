#include "tests/cluster_sim/ghost.h"

#include "base/assert.h"
#include "tests/cluster_sim/world.h"

enum {
	TAKEN_PERCENT = 85,
	ALONE_FIRST_PERCENT = 70,
	ALONE_PERCENT = 30,
	/* After this, and then once more. */
	COMES_MS_MAX = 6000,
	ALONE_MS_MAX = 5000,
};

/* Until its successor has a machine the node that was removed still has the ghost's. */
static void part(struct node *ghost, struct node *other)
{
	bool is_cut = ghost->is_alone || other->is_alone;
	if (ghost->machine == other->machine)
		return;
	sim_net_cut(ghost->machine, other->machine, is_cut);
	sim_net_cut(other->machine, ghost->machine, is_cut);
}

/* From other ghosts, too: several of them may be a majority of what was. */
static void cut(struct node *ghost, bool is_cut)
{
	struct world *world = ghost->world;
	ghost->is_alone = is_cut;
	for (unsigned i = 0; i < world->node_count; i++)
		part(ghost, &world->nodes[i]);
	for (unsigned i = 0; i < world->ghost_count; i++)
		part(ghost, &world->nodes[WORLD_NODES_MAX + i]);
}

void ghost_keep_alone(struct world *world)
{
	for (unsigned i = 0; i < world->ghost_count; i++) {
		struct node *ghost = &world->nodes[WORLD_NODES_MAX + i];
		if (ghost->is_alone)
			cut(ghost, true);
	}
}

static void reaches_others(void *arg)
{
	cut(arg, false);
}

static uint64_t in_ms(struct world *world, uint64_t ms_max)
{
	return sim_now_ns(world->sim) + (1 + world_below(world, ms_max)) * NS_PER_MS;
}

void ghost_return(struct node *ghost)
{
	struct world *world = ghost->world;
	bool is_alone = world_percent(world, ghost->has_come ? ALONE_PERCENT : ALONE_FIRST_PERCENT);
	ghost->has_come = true;
	cut(ghost, is_alone);
	if (is_alone)
		sim_call_at(world->sim, in_ms(world, ALONE_MS_MAX), reaches_others, ghost);
	world->figures.ghosts++;
	world->figures.ghosts_alone += is_alone;
	node_boot(ghost);
}

unsigned ghosts_return(struct world *world)
{
	unsigned count = 0;
	for (unsigned i = 0; i < world->ghost_count; i++) {
		struct node *ghost = &world->nodes[WORLD_NODES_MAX + i];
		if (ghost->has_come)
			continue;
		ghost->has_come = true;
		cut(ghost, false);
		world->figures.ghosts++;
		node_boot(ghost);
		count++;
	}
	return count;
}

static void comes(void *arg)
{
	struct node *ghost = arg;
	if (!ghost->world->calm && ghost->stage == NODE_DOWN)
		ghost_return(ghost);
}

void ghost_take(struct world *world, const struct node *gone)
{
	if (world->ghost_count == WORLD_GHOSTS_MAX || gone->disk_lies ||
	    !world_percent(world, TAKEN_PERCENT))
		return;
	struct node *ghost = &world->nodes[WORLD_NODES_MAX + world->ghost_count];
	ASSERT(gone->stage == NODE_DOWN);
	*ghost = (struct node){.world = world,
	    .number = WORLD_NODES_MAX + world->ghost_count,
	    .machine = gone->machine,
	    .core_count = gone->core_count,
	    .store_count = gone->store_count,
	    .clock_cost_ns = gone->clock_cost_ns,
	    .joins = true,
	    .is_ghost = true,
	    .stays_off = true};
	world->ghost_count++;
	random_fork(&world->random, &ghost->secrets);
	node_take_machine(ghost);
	uint64_t first_ns = in_ms(world, COMES_MS_MAX);
	sim_call_at(world->sim, first_ns, comes, ghost);
	sim_call_at(world->sim, first_ns + in_ms(world, COMES_MS_MAX) - sim_now_ns(world->sim),
	    comes, ghost);
}

void ghost_stop(struct world *world)
{
	for (unsigned i = 0; i < world->ghost_count; i++)
		cut(&world->nodes[WORLD_NODES_MAX + i], false);
}

struct node *ghost_awaited(struct world *world)
{
	for (unsigned i = 0; i < world->ghost_count; i++)
		if (!world->nodes[WORLD_NODES_MAX + i].has_come)
			return &world->nodes[WORLD_NODES_MAX + i];
	return NULL;
}

unsigned ghosts_awaited(const struct world *world)
{
	unsigned count = 0;
	for (unsigned i = 0; i < world->ghost_count; i++)
		count += !world->nodes[WORLD_NODES_MAX + i].has_come;
	return count;
}

bool ghost_is_awaited(const struct world *world)
{
	return ghosts_awaited(world) > 0;
}

bool ghost_runs(const struct world *world)
{
	for (unsigned i = 0; i < world->ghost_count; i++)
		if (world->nodes[WORLD_NODES_MAX + i].stage != NODE_DOWN)
			return true;
	return false;
}
