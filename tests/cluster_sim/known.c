#include "tests/cluster_sim/known.h"

#include "replication/group.h"
#include "replication/group_parts.h"
#include "tests/cluster_sim/leads.h"
#include "tests/cluster_sim/world.h"

enum {
	ECHOES_PERCENT = 50,
	/* Less than the network's first pause before it tries again. */
	ECHOES_MS_MIN = 10,
	ECHOES_MS_MAX = 80,
	/* So that some of it is read at other replicas. */
	BEHIND_MS_MIN = 300,
	BEHIND_MS_MAX = 800,
	/* A sync lasts about a second, and a few of them for ten. */
	SLOWNESS = 3000,
	HANDS_OVER_MS = 500,
	/* The old one knows by then. */
	DEPOSED_MS = 1300,
	STALE_PERCENT = 90,
	STALE_MS_MAX = 100,
};

static bool is_on(const struct world *world)
{
	return world->storm.kind == STORM_KNOWN;
}

bool known_is_asked(const struct world *world, const struct node *node)
{
	return is_on(world) && node == world->storm.leader;
}

uint64_t known_stale_ns(struct world *world, const struct node *node)
{
	if (!known_is_asked(world, node) || !world_percent(world, STALE_PERCENT))
		return 0;
	return (1 + world_below(world, STALE_MS_MAX)) * NS_PER_MS;
}

/* ---- The course ---- */

static void cut_off(void *arg)
{
	struct world *world = arg;
	if (is_on(world) && world->storm.known.are_echoes)
		faults_cut_off(world, world->storm.leader);
}

static void let_through(void *arg)
{
	struct world *world = arg;
	const struct storm *storm = &world->storm;
	if (!is_on(world))
		return;
	sim_net_cut(storm->known.witness->machine, storm->leader->machine, false);
	world->figures.echoes_let_through++;
}

/* Who was cut off does not know of that. */
void known_changed(struct world *world)
{
	struct known_storm *known = &world->storm.known;
	if (!is_on(world) || !known->are_echoes || known->step != KNOWN_DEPOSED ||
	    known->is_through)
		return;
	known->is_through = true;
	sim_call_at(world->sim, sim_now_ns(world->sim), let_through, world);
}

static uint64_t applied(const struct group *group)
{
	return group ? group_applied(group).index : 0;
}

static void is_deposed(struct world *world, const struct group *heir)
{
	struct storm *storm = &world->storm;
	struct known_storm *known = &storm->known;
	uint64_t now_ns = sim_now_ns(world->sim);
	known->step = KNOWN_DEPOSED;
	storm->until_ns = now_ns + DEPOSED_MS * NS_PER_MS;
	if (!known->are_echoes)
		world->figures.deposed_behind +=
		    applied(leads_group(storm->leader, storm->shard)) < applied(heir);
}

void known_look(struct world *world, const struct node *node)
{
	struct storm *storm = &world->storm;
	const struct group *group = leads_group(node, storm->shard);
	if (!group || node == storm->leader || storm->known.step != KNOWN_HANDS_OVER)
		return;
	struct raft_status status = raft_status(group->raft);
	if (status.term > storm->term && !storm->is_cut_off) {
		storm->is_cut_off = true;
		sim_call_at(world->sim, sim_now_ns(world->sim), cut_off, world);
	}
	if (status.term > storm->term && group_leads(group))
		is_deposed(world, group);
}

static void hands_over(void *arg)
{
	struct world *world = arg;
	struct storm *storm = &world->storm;
	if (!is_on(world) || storm->known.step != KNOWN_LEADS)
		return;
	storm->known.step = KNOWN_HANDS_OVER;
	storm->until_ns = sim_now_ns(world->sim) + HANDS_OVER_MS * NS_PER_MS;
	leads_hand_over(storm->leader, storm->known.heir, storm->shard);
}

static void begin_echoes(struct world *world)
{
	struct storm *storm = &world->storm;
	for (unsigned i = 0; i < world->node_count; i++)
		if (&world->nodes[i] != storm->leader)
			sim_net_cut(world->nodes[i].machine, storm->leader->machine, true);
	storm->known.next_ns = world_in_ms(world, ECHOES_MS_MIN, ECHOES_MS_MAX);
	world->figures.storms_echoes++;
}

static void begin_behind(struct world *world)
{
	struct storm *storm = &world->storm;
	faults_calm_down(world);
	sim_disk_set_slowness(storm->leader->machine, SLOWNESS);
	storm->known.next_ns = world_in_ms(world, BEHIND_MS_MIN, BEHIND_MS_MAX);
	world->figures.storms_behind++;
}

bool known_begin(struct world *world)
{
	struct storm *storm = &world->storm;
	struct known_storm *known = &storm->known;
	known->heir = leads_other_voter(storm->leader, storm->leader, storm->shard);
	known->witness =
	    known->heir ? leads_other_voter(storm->leader, known->heir, storm->shard) : NULL;
	if (!known->witness)
		return false;
	known->step = KNOWN_LEADS;
	known->is_through = false;
	known->are_echoes = world_percent(world, ECHOES_PERCENT);
	storm->term = storm->old_term = group_term(leads_group(storm->leader, storm->shard));
	if (known->are_echoes)
		begin_echoes(world);
	else
		begin_behind(world);
	storm->until_ns = UINT64_MAX;
	sim_call_at(world->sim, known->next_ns, hands_over, world);
	return true;
}
