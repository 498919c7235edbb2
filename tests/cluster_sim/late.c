#include "tests/cluster_sim/late.h"

#include "replication/group.h"
#include "tests/cluster_sim/leads.h"
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
	PATIENT_STORMS_PERCENT = 50,
	PATIENT_CALLS_PERCENT = 50,
	/* What is committed then takes longer than a pause behind a refusal (FORWARD_PAUSE_MS).
	 */
	SLOWNESS_MIN = 20,
	SLOWNESS_MAX = 60,
};

bool late_is_origin(const struct world *world, const struct node *node)
{
	return world->storm.kind == STORM_LATE && node == world->late.origin;
}

/* Those that are held first, and those that come with them: what is sent to the other leader in
 * between stands behind none of them. */
bool late_hurries(struct world *world, const struct node *node)
{
	const struct late *late = &world->late;
	if (!late_is_origin(world, node))
		return false;
	bool has_time = late->is_patient && (late->step == LATE_HELD || late->step == LATE_COMES);
	return !has_time || !world_percent(world, PATIENT_CALLS_PERCENT);
}

/* ---- Who leads ---- */

static bool leads(const struct world *world, const struct node *node)
{
	const struct group *group = leads_group(node, world->storm.shard);
	return group && group_leads(group) && group_term(group) > world->late.term;
}

/* ---- The course ---- */

static void let_through(struct world *world)
{
	struct late *late = &world->late;
	sim_net_cut(late->origin->machine, late->first->machine, false);
	late->step = LATE_COMES;
	world->storm.until_ns = sim_now_ns(world->sim) + COMES_MS * NS_PER_MS;
	world->figures.led_again++;
	if (late->is_patient)
		storm_slow_disks(world,
		    SLOWNESS_MIN + (uint32_t)world_below(world, SLOWNESS_MAX - SLOWNESS_MIN));
}

static void step(struct world *world)
{
	struct late *late = &world->late;
	uint64_t now_ns = sim_now_ns(world->sim);
	switch (late->step) {
	case LATE_HELD:
		if (now_ns < late->next_ns)
			return;
		leads_hand_over(late->first, late->other, world->storm.shard);
		late->step = LATE_OTHER;
		return;
	case LATE_OTHER:
		if (!leads(world, late->other))
			return;
		late->term = group_term(leads_group(late->other, world->storm.shard));
		late->next_ns = world_in_ms(world, OTHER_MS_MIN, OTHER_MS_MAX);
		late->step = LATE_BACK;
		return;
	case LATE_BACK:
		if (leads(world, late->first)) {
			let_through(world);
		} else if (now_ns >= late->next_ns) {
			leads_hand_over(late->other, late->first, world->storm.shard);
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
	late->other = leads_other_voter(late->first, late->origin, world->storm.shard);
	if (!late->other || !node_serves(late->origin))
		return false;
	late->step = LATE_HELD;
	late->is_patient = world_percent(world, PATIENT_STORMS_PERCENT);
	late->term = group_term(leads_group(late->first, world->storm.shard));
	late->next_ns = world_in_ms(world, HELD_MS_MIN, HELD_MS_MAX);
	sim_net_cut(late->origin->machine, late->first->machine, true);
	world->storm.until_ns = sim_now_ns(world->sim) + LATE_MS * NS_PER_MS;
	world->figures.storms_late++;
	sim_call_at(world->sim, sim_now_ns(world->sim), tick, world);
	return true;
}
