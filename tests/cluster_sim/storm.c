#include "tests/cluster_sim/storm.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "replication/group_parts.h"
#include "server/cluster_parts.h"
#include "storage/install.h"
#include "tests/cluster_sim/leads.h"
#include "tests/cluster_sim/rest.h"
#include "tests/cluster_sim/world.h"
#include "tests/sim/verdict.h"

enum {
	WORLDS_PERCENT = 80,
	STORMS_MAX = 3,
	/* Of storms; and of the worlds of five, which alone have rings, so many begin with one. */
	PART_PERCENT = 16,
	PARTS_OF_FIVE_PERCENT = 60,
	RINGS_PERCENT = 85,
	/* Of those in worlds that have them, which are so many, and have one storm more. */
	STALL_PERCENT = 50,
	STALL_WORLDS = 4,
	STALL_MESSAGE_BYTES = 1024, /* so that what is on the way is more than is let in */
	/* A sync takes a second or more, and what was begun goes on for as long afterwards. */
	STALL_SLOWNESS_MIN = 3000,
	STALL_SLOWNESS_MAX = 8000,
	STALL_MS_MIN = 3000,
	STALL_MS_MAX = 8000,
	CHASE_PERCENT = 40,
	LATE_PERCENT = 36,
	SLEEP_PERCENT = 10,
	/* In worlds with leases, before the others are chosen from; so many more storms. */
	LEASES_SLEEP_PERCENT = 55,
	LEASES_STALE_PERCENT = 30,
	LEASES_MORE = 2,
	/* Of chases. A leader's first entry has to come to others behind what was there. */
	FIGURES_PERCENT = 75,
	FIGURES_OF_LARGE_PERCENT = 15,
	CHASE_MS_MIN = 5000,
	CHASE_MS_MAX = 13000,
	LATER_MS_MAX = 200,
	FIGURE_ENDS_MS = 100,
	BLINKS_PERCENT = 40,
	/* On disks that are so much slower a vote is durable after milliseconds: what was said
	 * before that was heard. */
	SLOW_DISKS_PERCENT = 60,
	SLOWNESS_MAX = 40,
	BLINK_US_MAX = 1500,
	/* A hand-over that has not begun by then does not. */
	HAND_OVER_MS = 500,
	/* The old leader knows by then. */
	STALE_MS = 1300,
	/* A lease is over, and another leader has been elected, or not yet. */
	SLEEP_MS_MIN = 1050,
	SLEEP_MS_MAX = 1600,
	LONG_SLEEP_MS_MAX = 3000,
	LONG_SLEEPS_PERCENT = 25,
	AWAKE_MS = 500,
	/* Or it goes on as soon as others may have heard of that one. */
	WOKEN_PERCENT = 75,
	WOKEN_BY_CHANGE_PERCENT = 70,
	WOKEN_MS_MIN = 10,
	WOKEN_MS_MAX = 60,
	/* Until all is well; then until all that can be led is. */
	WELL_MS = 10000,
	LOOK_MS = 200,
	/* A wish for a leader that is not reached lasts ten seconds; then comes the next one. */
	SETTLES_MS = 20000,
	WATCHED_MS = 5000,
	KNOWN_WORLDS_PERCENT = 80,
	INSTALLS_PERCENT = 30,
	INSTALL_CRASHES_MAX = 8,
	INSTALL_POINTS_MAX = 24,
};

void storm_plan(struct world *world)
{
	struct storm *storm = &world->storm;
	if (world_percent(world, WORLDS_PERCENT))
		storm->left = 1 + (unsigned)world_below(world, STORMS_MAX);
	/* For those that only they have. */
	storm->left += world->leases ? LEASES_MORE : 0;
	if (world_percent(world, INSTALLS_PERCENT))
		storm->install_crashes = 1 + (unsigned)world_below(world, INSTALL_CRASHES_MAX);
	/* The others keep their course. */
	if (world->seed % STALL_WORLDS == 1) {
		world->stalls = true;
		world->group_unapplied_bytes = world->seed % (2 * STALL_WORLDS) == 1 ? 1024 : 4096;
		world->store_unapplied_bytes = 6 * 1024;
		world->message_bytes_max = STALL_MESSAGE_BYTES;
		storm->left++;
	}
	storm->known_is_due = random_chance(&world->plan_dice, KNOWN_WORLDS_PERCENT, 100);
	storm->left += storm->known_is_due;
	/* Where a node is replaced all is well too seldom. */
	if (world->node_count <= 3 || world->admin.replaces)
		return;
	storm->begins_with_part = random_chance(&world->plan_dice, PARTS_OF_FIVE_PERCENT, 100);
	storm->left += storm->begins_with_part;
}

static struct node *leader_of(struct world *world, uint32_t shard)
{
	for (unsigned i = 0; i < world->node_count; i++) {
		const struct group *group = leads_group(&world->nodes[i], shard);
		if (group && group_leads(group))
			return &world->nodes[i];
	}
	return NULL;
}

/* ---- CHASE ---- */

static void strike(void *arg)
{
	struct world *world = arg;
	struct storm *storm = &world->storm;
	if (storm->kind != STORM_CHASE || storm->strikes_ns == 0 ||
	    sim_now_ns(world->sim) < storm->strikes_ns)
		return;
	storm->strikes_ns = 0;
	storm->waits_for_commit = false;
	faults_heal(world);
	world->figures.chased++;
	/* Who is back is heard at once, not when the network tries again. */
	if (storm->figure_step > 0)
		faults_reset(world);
	if (storm->figure_step == 0 && world_percent(world, 15))
		node_crash(storm->leader, world_percent(world, 50) ? SIM_KILL : SIM_POWER_CUT);
	else
		faults_cut_off(world, storm->leader);
}

/* Its vote is under way to the disk, and perhaps it has come to others. */
static void blink(void *arg)
{
	struct node *node = arg;
	if (!node->world->calm && node_serves(node)) {
		node->world->figures.blinks++;
		node_blink(node);
	}
}

static void look_at_vote(struct world *world, struct node *node, const struct raft_status *status)
{
	uint64_t *voted = &world->storm.voted[node->number];
	if (status->vote == 0 || status->vote == status->self || status->term <= *voted)
		return;
	*voted = status->term;
	if (!world_percent(world, BLINKS_PERCENT))
		return;
	uint64_t after_us = world_percent(world, 25) ? 0 : world_below(world, BLINK_US_MAX);
	world->storm.blinked_term = status->term;
	sim_call_at(world->sim, sim_now_ns(world->sim) + after_us * NS_PER_US, blink, node);
}

static void strike_at(struct world *world, uint64_t at_ns)
{
	world->storm.strikes_ns = at_ns;
	sim_call_at(world->sim, at_ns, strike, world);
}

/* What becomes of a new leader: of the one with the tail, the one with its term's begin alone, the
 * first again, and the second again. */
static void step_of_figure(struct world *world, uint64_t now_ns)
{
	struct storm *storm = &world->storm;
	if (storm->figure_step <= 2)
		strike_at(world, now_ns);
	else if (storm->figure_step == 3)
		storm->waits_for_commit = true;
	else
		strike_at(world, now_ns + FIGURE_ENDS_MS * NS_PER_MS);
	storm->figure_step = storm->figure_step % 4 + 1;
}

static void look_at_chased(struct world *world, struct node *node, const struct raft_status *status)
{
	struct storm *storm = &world->storm;
	uint64_t now_ns = sim_now_ns(world->sim);
	if (storm->figure_step == 0)
		look_at_vote(world, node, status);
	if (status->role != RAFT_LEADER)
		return;
	if (status->term > storm->term) {
		storm->term = status->term;
		storm->commit = status->commit;
		storm->leader = node;
		storm->strikes_ns = 0;
		storm->waits_for_commit = false;
		if (storm->figure_step > 0) {
			step_of_figure(world, now_ns);
			return;
		}
		uint64_t when = world_below(world, 10);
		/* Whoever voted for it is asked again, if it is struck before it is heard. */
		if (when < 4 || status->term == storm->blinked_term)
			strike_at(world, now_ns);
		else if (when < 8)
			storm->waits_for_commit = true;
		else
			strike_at(world, now_ns + world_below(world, LATER_MS_MAX) * NS_PER_MS);
		return;
	}
	if (storm->waits_for_commit && node == storm->leader && status->commit > storm->commit) {
		storm->waits_for_commit = false;
		strike_at(world, now_ns);
	}
}

/* ---- STALE ---- */

static void hand_over(void *arg)
{
	struct node *node = arg;
	struct world *world = node->world;
	const struct storm *storm = &world->storm;
	struct group *group = group_store_group(node_store(node, storm->shard), storm->shard);
	struct raft_membership members;
	group_get_members(group, &members);
	uint32_t first = (uint32_t)world_below(world, members.count);
	const struct raft_member *to = &members.members[first];
	if (to->replica == group_self(group))
		to = &members.members[(first + 1) % members.count];
	if (to->replica != group_self(group) && group_transfer(group, to->replica) == 0)
		leads_note_hand_over(world, storm->shard);
	node_wake(node);
}

static void cut_off_old(void *arg)
{
	struct world *world = arg;
	struct storm *storm = &world->storm;
	if (storm->kind != STORM_STALE || storm->is_cut_off)
		return;
	storm->is_cut_off = true;
	storm->until_ns = sim_now_ns(world->sim) + STALE_MS * NS_PER_MS;
	world->figures.cut_off_unaware++;
	faults_cut_off(world, storm->leader);
}

static void look_at_successor(
    struct world *world, const struct node *node, const struct raft_status *status)
{
	struct storm *storm = &world->storm;
	if (!storm->is_cut_off && node != storm->leader && status->term > storm->term)
		sim_call_at(world->sim, sim_now_ns(world->sim), cut_off_old, world);
}

static bool has_old_leader(const struct storm *storm)
{
	return storm->kind == STORM_STALE || storm->kind == STORM_SLEEP ||
	       storm->kind == STORM_KNOWN;
}

bool storm_hurries(struct world *world, const struct node *node)
{
	const struct storm *storm = &world->storm;
	return late_hurries(world, node) || storm->kind == STORM_KNOWN ||
	       storm->kind == STORM_STALL ||
	       (world->leases && has_old_leader(storm) && node != storm->leader);
}

const char *storm_command(const struct world *world, const struct node *node)
{
	const struct storm *storm = &world->storm;
	if (has_old_leader(storm) && node == storm->leader)
		return "get";
	return late_is_origin(world, node) ? "add" : NULL;
}

/* ---- SLEEP ---- */

static void goes_on(void *arg)
{
	struct world *world = arg;
	if (world->storm.kind == STORM_SLEEP)
		node_go_on(world->storm.leader);
}

static void look_at_elected(
    struct world *world, const struct node *node, const struct raft_status *status)
{
	struct storm *storm = &world->storm;
	if (status->role != RAFT_LEADER || node == storm->leader || status->term <= storm->term)
		return;
	storm->term = status->term;
	if (!storm->is_woken || storm->is_woken_by_change)
		return;
	uint64_t ms = WOKEN_MS_MIN + world_below(world, WOKEN_MS_MAX - WOKEN_MS_MIN);
	sim_call_at(world->sim, sim_now_ns(world->sim) + ms * NS_PER_MS, goes_on, world);
}

/* ---- PART ---- */

static uint64_t term_of(struct world *world, uint32_t shard)
{
	const struct node *leader = leader_of(world, shard);
	return leader ? raft_status(leads_group(leader, shard)->raft).term : 0;
}

/* Who plans may wish for another leader still, to make them even. */
static void look_at_handed_over(struct world *world, const struct node *node)
{
	for (uint32_t shard = 0; shard <= MODEL_SHARDS; shard++) {
		const struct group *group = leads_group(node, shard);
		if (group && raft_status(group->raft).transferring)
			world->storm.is_handed_over[shard] = true;
	}
}

/* It has found that meanwhile, of a store that lied before: then no majority may be reached. */
static bool has_damaged(struct world *world, uint32_t shard)
{
	for (unsigned i = 0; i < world->node_count; i++) {
		struct node *node = &world->nodes[i];
		if (!node_serves(node) ||
		    engine_shard_closed(group_store_engine(node_store(node, shard)), shard))
			return true;
	}
	return false;
}

static void part_settled(void *arg)
{
	struct world *world = arg;
	struct storm *storm = &world->storm;
	if (storm->kind != STORM_PART)
		return;
	memset(storm->is_handed_over, 0, sizeof(storm->is_handed_over));
	for (unsigned i = 0; i < world->node_count; i++)
		look_at_handed_over(world, &world->nodes[i]);
	for (uint32_t shard = 0; shard <= MODEL_SHARDS; shard++) {
		storm->terms[shard] = term_of(world, shard);
		if (has_damaged(world, shard))
			continue;
		if (storm->terms[shard] == 0)
			rest_print(world);
		EXPECT(storm->terms[shard] != 0, "partition", "group %u is led by nobody", shard);
	}
	storm->answered = 0;
}

static void part_ends(void *arg)
{
	struct world *world = arg;
	struct storm *storm = &world->storm;
	if (storm->kind != STORM_PART)
		return;
	for (uint32_t shard = 0; shard <= MODEL_SHARDS; shard++) {
		uint64_t term = term_of(world, shard);
		if (has_damaged(world, shard) || storm->is_handed_over[shard])
			continue;
		if (term != storm->terms[shard])
			rest_print(world);
		EXPECT(term == storm->terms[shard], "partition",
		    "group %u: term %" PRIu64 ", and %" PRIu64 " before", shard, term,
		    storm->terms[shard]);
	}
	EXPECT(storm->answered > 0 || has_damaged(world, storm->shard), "partition",
	    "shard %u answers nothing", storm->shard);
	world->figures.parts_watched++;
	storm_stop(world);
}

static void cut_part(struct world *world)
{
	struct storm *storm = &world->storm;
	uint64_t now_ns = sim_now_ns(world->sim);
	bool is_ring = world->node_count > 3 && world_percent(world, RINGS_PERCENT);
	if (is_ring)
		faults_cut_ring(world);
	else
		faults_cut_bridge(world);
	*(is_ring ? &world->figures.storms_ring : &world->figures.storms_bridge) += 1;
	storm->is_cut_off = true;
	storm->begins_with_part = false;
	sim_call_at(world->sim, now_ns + SETTLES_MS * NS_PER_MS, part_settled, world);
	sim_call_at(world->sim, now_ns + (SETTLES_MS + WATCHED_MS) * NS_PER_MS, part_ends, world);
}

static void wait_for_part(void *arg)
{
	struct world *world = arg;
	struct storm *storm = &world->storm;
	if (storm->kind != STORM_PART || storm->is_cut_off)
		return;
	if (rest_is_well(world)) {
		storm->until_ns = UINT64_MAX;
		cut_part(world);
		return;
	}
	sim_call_at(world->sim, sim_now_ns(world->sim) + LOOK_MS * NS_PER_MS, wait_for_part, world);
}

static void begin_part(struct world *world)
{
	struct storm *storm = &world->storm;
	faults_calm_down(world);
	storm->kind = STORM_PART;
	storm->until_ns = sim_now_ns(world->sim) + WELL_MS * NS_PER_MS;
	wait_for_part(world);
}

void storm_answered(struct world *world, const struct node *node, uint32_t shard, bool is_change)
{
	struct storm *storm = &world->storm;
	if (shard != storm->shard)
		return;
	storm->answered++;
	/* By the one that leads now: those of before were done before it fell asleep, or was cut
	 * off. */
	bool is_newer = has_old_leader(storm) && is_change && node != storm->leader &&
	                cluster_leader_term(node->server.leaders, shard) > storm->old_term;
	if (!is_newer)
		return;
	known_changed(world);
	if (storm->kind != STORM_SLEEP || !storm->is_woken_by_change)
		return;
	storm->is_woken_by_change = false;
	sim_call_at(world->sim, sim_now_ns(world->sim), goes_on, world);
}

/* ---- Installs ---- */

/* None while a net in parts is watched: all live then, and it asks who leads. */
static void look_at_installs(struct world *world, struct node *node)
{
	struct storm *storm = &world->storm;
	if (storm->kind == STORM_PART)
		return;
	for (uint32_t shard = 0; shard <= MODEL_SHARDS; shard++) {
		bool *was = &storm->was_fenced[node->number][shard];
		bool is = engine_shard_fenced(group_store_engine(node_store(node, shard)), shard);
		if (is && !*was && world_percent(world, 60)) {
			storm->install_crashes--;
			world->figures.install_crashes++;
			sim_crash_at(node->machine, 1 + world_below(world, INSTALL_POINTS_MAX),
			    world_percent(world, 50) ? SIM_KILL : SIM_POWER_CUT);
		}
		*was = is;
		if (storm->install_crashes == 0)
			return;
	}
}

/* ---- The course ---- */

void storm_look(struct world *world, struct node *node)
{
	const struct storm *storm = &world->storm;
	if (world->calm || node->stage != NODE_SERVES || node->is_ghost)
		return;
	if (storm->kind == STORM_PART)
		look_at_handed_over(world, node);
	if (storm->install_crashes > 0)
		look_at_installs(world, node);
	const struct group *group = storm_is_on(storm) ? leads_group(node, storm->shard) : NULL;
	if (!group)
		return;
	struct raft_status status = raft_status(group->raft);
	switch (storm->kind) {
	case STORM_NONE:
		return;
	case STORM_CHASE:
		look_at_chased(world, node, &status);
		return;
	case STORM_STALE:
		look_at_successor(world, node, &status);
		return;
	case STORM_SLEEP:
		look_at_elected(world, node, &status);
		return;
	case STORM_KNOWN:
		known_look(world, node);
		return;
	case STORM_LATE:
	case STORM_PART:
	case STORM_DAMAGE:
	case STORM_STALL:
		return;
	}
}

void storm_slow_disks(struct world *world, uint32_t factor)
{
	for (unsigned i = 0; i < world->node_count; i++)
		sim_disk_set_slowness(world->nodes[i].machine, factor);
}

static void begin_chase(struct world *world)
{
	struct storm *storm = &world->storm;
	uint64_t lasts_ms = CHASE_MS_MIN + world_below(world, CHASE_MS_MAX - CHASE_MS_MIN);
	storm->kind = STORM_CHASE;
	storm->term = storm->blinked_term = 0;
	bool is_figure = world_percent(
	    world, world->message_bytes_max > 0 ? FIGURES_PERCENT : FIGURES_OF_LARGE_PERCENT);
	storm->figure_step = is_figure;
	world->figures.figures_chased += is_figure;
	memset(storm->voted, 0, sizeof(storm->voted));
	storm->until_ns = sim_now_ns(world->sim) + lasts_ms * NS_PER_MS;
	world->figures.storms_chase++;
	if (!is_figure && world_percent(world, SLOW_DISKS_PERCENT))
		storm_slow_disks(world, 2 + (uint32_t)world_below(world, SLOWNESS_MAX));
}

static void begin_stale(struct world *world)
{
	struct storm *storm = &world->storm;
	storm->kind = STORM_STALE;
	storm->term = raft_status(leads_group(storm->leader, storm->shard)->raft).term;
	storm->until_ns = sim_now_ns(world->sim) + HAND_OVER_MS * NS_PER_MS;
	world->figures.storms_stale++;
	(void)sim_node_run(storm->leader->machine, hand_over, storm->leader);
}

static void begin_sleep(struct world *world)
{
	struct storm *storm = &world->storm;
	uint64_t ms_max =
	    world_percent(world, LONG_SLEEPS_PERCENT) ? LONG_SLEEP_MS_MAX : SLEEP_MS_MAX;
	uint64_t ms = SLEEP_MS_MIN + world_below(world, ms_max - SLEEP_MS_MIN);
	storm->kind = STORM_SLEEP;
	storm->term = storm->old_term =
	    raft_status(leads_group(storm->leader, storm->shard)->raft).term;
	storm->is_woken = world_percent(world, WOKEN_PERCENT);
	storm->is_woken_by_change =
	    storm->is_woken && world_percent(world, WOKEN_BY_CHANGE_PERCENT);
	if (storm->is_woken)
		ms = LONG_SLEEP_MS_MAX;
	storm->until_ns = sim_now_ns(world->sim) + (ms + AWAKE_MS) * NS_PER_MS;
	world->figures.storms_sleep++;
	node_pause_in_turn(storm->leader, ms * NS_PER_MS);
}

static void begin_late(struct world *world)
{
	world->storm.kind = STORM_LATE;
	if (!late_begin(world))
		world->storm.kind = STORM_NONE;
}

static void begin_known(struct world *world)
{
	struct storm *storm = &world->storm;
	storm->kind = STORM_KNOWN;
	storm->known_is_due = !known_begin(world);
	if (!storm->known_is_due)
		return;
	/* Later, when there are more voters. */
	storm->kind = STORM_NONE;
	storm->left++;
}

static void begin_damage(struct world *world)
{
	world->storm.kind = STORM_DAMAGE;
	damage_begin(world);
}

static void begin_stall(struct world *world)
{
	struct storm *storm = &world->storm;
	uint32_t slowness = STALL_SLOWNESS_MIN +
	                    (uint32_t)world_below(world, STALL_SLOWNESS_MAX - STALL_SLOWNESS_MIN);
	uint64_t ms = STALL_MS_MIN + world_below(world, STALL_MS_MAX - STALL_MS_MIN);
	/* Nothing else is slow, too. */
	faults_calm_down(world);
	storm->kind = STORM_STALL;
	storm->until_ns = sim_now_ns(world->sim) + ms * NS_PER_MS;
	world->figures.storms_stall++;
	for (unsigned i = 0; i < world->node_count; i++)
		if (&world->nodes[i] != storm->leader)
			sim_disk_set_slowness(world->nodes[i].machine, slowness);
}

void storm_begin(struct world *world)
{
	struct storm *storm = &world->storm;
	/* One that has entities. */
	uint32_t shard = model_shard((unsigned)world_below(world, MODEL_ENTITIES));
	struct node *leader = leader_of(world, shard);
	if (storm->left == 0 || !leader)
		return;
	storm->left--;
	storm->shard = shard;
	storm->leader = leader;
	storm->strikes_ns = 0;
	storm->waits_for_commit = storm->is_cut_off = false;
	faults_heal(world);
	uint64_t which = world_below(world, 100);
	uint64_t of_leases = world->leases ? random_below(&world->plan_dice, 100) : 100;
	if (of_leases < LEASES_SLEEP_PERCENT)
		which = CHASE_PERCENT + LATE_PERCENT;
	else if (of_leases < LEASES_SLEEP_PERCENT + LEASES_STALE_PERCENT)
		which = CHASE_PERCENT + LATE_PERCENT + SLEEP_PERCENT;
	if (world->damage.is_due && storm->left == 0)
		begin_damage(world);
	else if (world->stalls && world_percent(world, STALL_PERCENT))
		begin_stall(world);
	else if (storm->begins_with_part || world_percent(world, PART_PERCENT))
		begin_part(world);
	else if (storm->known_is_due)
		begin_known(world);
	else if (which < CHASE_PERCENT)
		begin_chase(world);
	else if (which < CHASE_PERCENT + LATE_PERCENT)
		begin_late(world);
	else if (which < CHASE_PERCENT + LATE_PERCENT + SLEEP_PERCENT)
		begin_sleep(world);
	else
		begin_stale(world);
}

void storm_stop(struct world *world)
{
	enum storm_kind kind = world->storm.kind;
	bool slowed =
	    kind == STORM_CHASE || kind == STORM_LATE || kind == STORM_KNOWN || kind == STORM_STALL;
	if (slowed)
		storm_slow_disks(world, 1);
	world->storm.kind = STORM_NONE;
	faults_heal(world);
}

void storm_tick(struct world *world)
{
	struct storm *storm = &world->storm;
	if (!storm_is_on(storm) || sim_now_ns(world->sim) < storm->until_ns)
		return;
	/* Nothing was well in time: it is tried again. */
	storm->left += storm->kind == STORM_PART && storm->begins_with_part;
	storm->left += storm->kind == STORM_DAMAGE && world->damage.is_due;
	storm_stop(world);
}
