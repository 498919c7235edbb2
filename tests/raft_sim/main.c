/* raft_sim [--seeds FIRST COUNT] [--mutation NAME] [--until-failure] [--steps N] [--trace]
 * raft_sim --mutations
 *
 * Each seed is one world (world.h): some thousand steps with faults of all kinds, then calm, in
 * which the group has to agree and to come to rest. "seed N failed after S steps: WHY". Over 100
 * seeds or more, everything that COUNTERS names has to have happened. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mutation.h"
#include "tests/raft_sim/world.h"
#include "tests/sim/commit.h"

static struct world *world_now;

bool chance(struct world *world, uint64_t times, uint64_t of)
{
	return random_chance(&world->random, times, of);
}

uint64_t below(struct world *world, uint64_t bound)
{
	return random_below(&world->random, bound);
}

static struct node *any_node(struct world *world)
{
	return &world->nodes[below(world, NODES)];
}

/* What happens to leaders teaches most. */
static struct node *victim(struct world *world)
{
	struct node *node = any_node(world);
	for (unsigned i = 0; i < NODES && chance(world, 4, 5) && node->role != RAFT_LEADER; i++)
		node = any_node(world);
	return node;
}

static bool runs(const struct world *world, const struct node *node)
{
	return node->id && node->up && node->paused_until_ms <= world->now_ms;
}

static struct node *any_leader(struct world *world)
{
	struct node *node = any_node(world);
	return runs(world, node) && node->role == RAFT_LEADER ? node : NULL;
}

/* ---- The membership ---- */

/* Whether somebody may still count on the replica. */
static bool wanted(struct world *world, uint64_t id)
{
	for (unsigned i = 0; i < NODES; i++) {
		struct node *node = &world->nodes[i];
		if (!node->id)
			continue;
		const struct image *image = node->up ? &node->now : &node->disk;
		if (raft_membership_roles(&image->base_membership, id) ||
		    raft_membership_roles(&node->applied_membership, id) ||
		    raft_membership_roles(&node->install_membership, id))
			return true;
		for (uint64_t e = image->base.index + 1; e <= image->last.index; e++)
			if (image->entries[e].kind == RAFT_MEMBERSHIP &&
			    raft_membership_roles(image->entries[e].membership, id))
				return true;
	}
	return false;
}

static void forget_one(struct world *world)
{
	struct node *node = any_node(world);
	if (!node->id || node->role == RAFT_LEADER || wanted(world, node->id))
		return;
	struct raft *raft = node->raft;
	memset(node, 0, sizeof(*node));
	node->raft = raft;
}

static uint64_t some_replica(struct world *world)
{
	struct node *node = any_node(world);
	if (!node->id) {
		static const struct raft_membership empty;
		node_create(world, node, &empty);
	}
	return node->id;
}

static void change(struct world *world, struct node *leader)
{
	if (leader->writes_count + 10 >= WRITES || leader->now.last.index + 200 >= ENTRIES)
		return;
	struct raft_change changes[3];
	forget_one(world);
	size_t count = 1 + below(world, 3);
	for (size_t i = 0; i < count; i++)
		changes[i] = (struct raft_change){
		    .kind = (enum raft_change_kind)below(world, 3), .replica = some_replica(world)};
	enum raft_transition transition = (enum raft_transition)below(world, 3);
	struct raft_membership now;
	raft_get_membership(leader->raft, &now);
	if (raft_membership_joint(&now) && chance(world, 1, 2)) {
		transition = RAFT_LEAVE;
		count = 0;
	}
	const char *why;
	bool led = raft_membership_roles(&now, leader->id) & RAFT_VOTER;
	int error =
	    raft_change(leader->raft, node_time(world, leader), changes, count, transition, &why);
	if (error) {
		world->counters.memberships_refused++;
		return;
	}
	struct raft_membership next;
	raft_get_membership(leader->raft, &next);
	if (raft_membership_joint(&next))
		world->counters.memberships_joint++;
	else if (transition == RAFT_LEAVE)
		world->counters.memberships_left++;
	else
		world->counters.memberships_simple++;
	if (led && !(raft_membership_roles(&next, leader->id) & RAFT_VOTER))
		world->counters.leaders_removed++;
	node_act(world, leader);
}

/* ---- Faults ---- */

/* Now and then nobody wants anything, or hardly, so that groups fall asleep, and wake again. */
static bool is_idle(const struct world *world)
{
	uint64_t period_ms = world->sleeps_soon ? 4 * SLEEP_SOON_MS : 4 * SLEEP_MS;
	return world->sleeps && (world->now_ms / period_ms) % 2;
}

/* `side` and the others do not hear each other, or only `side` is not heard, or hears nothing. */
static void cut_off(struct world *world, uint64_t side, bool out, bool in)
{
	for (unsigned from = 0; from < NODES; from++)
		for (unsigned to = 0; to < NODES; to++) {
			bool goes_out = (side >> from) & 1 && !((side >> to) & 1);
			bool comes_in = !((side >> from) & 1) && (side >> to) & 1;
			world->cut[from][to] = (goes_out && out) || (comes_in && in);
		}
	world->cut_until_ms = world->now_ms + below(world, 800);
	*(out && in ? &world->counters.partitions : &world->counters.one_way_partitions) += 1;
}

/* Two that do not hear each other, while all others do. */
static void cut_pair(struct world *world, unsigned one, unsigned other)
{
	memset(world->cut, 0, sizeof(world->cut));
	world->cut[one][other] = world->cut[other][one] = true;
	world->cut_until_ms = world->now_ms + below(world, 800);
	world->counters.pairs_cut++;
}

/* What is on its way to a leader comes late: so it hears of others when they have another one. */
static void delay_answers(struct world *world, const struct node *leader)
{
	for (unsigned i = 0; i < PACKETS; i++)
		if (world->packets[i].used && world->packets[i].message.to == leader->id)
			world->packets[i].at_ms += below(world, ELECTION_MS);
}

static void cut(struct world *world)
{
	struct node *node = victim(world);
	unsigned leader = node_number(world, node);
	uint64_t way = below(world, 3);
	unsigned other = (unsigned)below(world, NODES);
	switch (below(world, 4)) {
	case 0:
		cut_pair(world, leader, other);
		return;
	case 1:
		cut_off(world, UINT64_C(1) << leader, way != 0, way != 1);
		if (chance(world, 1, 2))
			delay_answers(world, node);
		return;
	case 2: /* one stays with it, and relies on it */
		cut_off(world, UINT64_C(1) << leader | UINT64_C(1) << other, true, true);
		delay_answers(world, node);
		return;
	default:
		cut_off(world, below(world, 1 << NODES), way != 0, way != 1);
		return;
	}
}

/* Where nothing is written who misses its leader has all that others have, and could win. */
static void cut_idle(struct world *world)
{
	if (world->now_ms >= world->cut_until_ms && is_idle(world) && chance(world, 1, 100))
		cut_pair(world, node_number(world, victim(world)), (unsigned)below(world, NODES));
}

static void disturb(struct world *world)
{
	/* A group sleeps only where all are up for a while. */
	bool up = world->sleeps && world->sleeps_soon;
	if (up && chance(world, 2, 3))
		return;
	struct node *node = victim(world);
	if (chance(world, 1, 250) && node->id && node->up)
		node_crash(world, node);
	node = any_node(world);
	if (chance(world, 1, up ? 3 : 60) && node->id && !node->up)
		node_start(world, node);
	if (chance(world, 1, 200))
		cut(world);
	if (world->cut_until_ms <= world->now_ms)
		memset(world->cut, 0, sizeof(world->cut));
	node = victim(world);
	if (chance(world, 1, 200) && runs(world, node)) {
		node->paused_until_ms = world->now_ms + below(world, 500);
		world->counters.pauses++;
	}
	if (chance(world, 1, 300)) {
		node->disk_ms = chance(world, 1, 3) ? below(world, 400) : 5;
		world->counters.slow_disks += node->disk_ms > 150;
	}
	if (chance(world, 1, 500))
		world->loss = chance(world, 1, 2) ? 0 : (uint32_t)below(world, 300);
	node = any_node(world);
	if (chance(world, 1, 50) && runs(world, node))
		node_step(world, node,
		    (struct raft_event){.kind = RAFT_UNREACHABLE, .replica = any_node(world)->id});
}

/* Who said what it had not made durable is found out by that: it goes down with its writes under
 * way, and is back at once. */
static void blink(struct world *world)
{
	struct node *node = any_node(world);
	if (!world->hostile || !runs(world, node) || node->writes_count == 0)
		return;
	bool hard = false;
	for (uint32_t i = 0; i < node->writes_count; i++)
		hard |= node->writes[(node->writes_first + i) % WRITES].hard;
	if (!chance(world, 1, hard ? 5 : 50))
		return;
	world->counters.blinks++;
	node_crash(world, node);
	node_start(world, node);
}

/* The schedules of the paper's Figure 8 begin so. */
static void kill_leader(struct world *world)
{
	struct node *node = any_leader(world);
	bool commits = world->committed != world->committed_before;
	world->committed_before = world->committed;
	if (!world->hostile || !node || raft_status(node->raft).term == 0)
		return;
	if (chance(world, 1, commits ? 20 : 200))
		node_crash(world, node);
}

/* ---- Work ---- */

static void confirm(struct world *world, struct node *node)
{
	uint64_t round;
	struct raft_status status = raft_status(node->raft);
	if (node->reads_count == READS ||
	    raft_confirm(node->raft, node_time(world, node), &round) != 0)
		return;
	world->counters.rounds++;
	node->reads[node->reads_count++] =
	    (struct read){.round = round, .seen = world->committed, .commit = status.commit};
	node_act(world, node);
	/* It hears nothing of that for as long as it takes to want sleep again. */
	if (is_idle(world) && chance(world, 1, 2)) {
		cut_off(world, UINT64_C(1) << node_number(world, node), false, true);
		world->cut_until_ms = world->now_ms + SLEEP_SOON_MS + below(world, SLEEP_SOON_MS);
	}
}

static void use(struct world *world)
{
	if (is_idle(world) && !chance(world, 1, 80))
		return;
	for (unsigned i = 0; i < NODES; i++) {
		struct node *node = &world->nodes[i];
		if (!runs(world, node) || node->role != RAFT_LEADER)
			continue;
		if (chance(world, 1, 6))
			node_propose(world, node);
		if (chance(world, node->asleep ? 6 : 1, 8))
			confirm(world, node);
	}
	struct node *reader = any_node(world);
	if (runs(world, reader) && chance(world, 1, 4))
		node_ask(world, reader);
	struct node *leader = any_leader(world);
	bool fresh = leader && !raft_status(leader->raft).committed_in_term;
	if (leader && chance(world, 1, fresh ? 6 : 25))
		change(world, leader);
	leader = any_leader(world);
	if (leader && chance(world, 1, 60) &&
	    !raft_transfer(leader->raft, node_time(world, leader), any_node(world)->id)) {
		world->counters.transfers++;
		leader->transfer_term = leader->role_term;
		node_act(world, leader);
		/* It may never hear of its successor. */
		if (chance(world, 1, 4))
			cut_off(world, UINT64_C(1) << node_number(world, leader), false, true);
	}
	struct node *node = any_node(world);
	if (runs(world, node) && chance(world, 1, 30))
		node_compact(world, node);
}

static void finish_install(struct world *world, struct node *node)
{
	if (!node->installing || node->install_at_ms > world->now_ms)
		return;
	node->installing = false;
	if (chance(world, 1, 6)) {
		node_step(world, node, (struct raft_event){.kind = RAFT_INSTALL_FAILED});
		return;
	}
	for (uint32_t i = 0; i < node->writes_count; i++)
		node->writes[(node->writes_first + i) % WRITES].at_ms = 0;
	node_flush(world, node);
	node->now.base = node->now.last = node->install;
	node->now.base_membership = node->install_membership;
	node->disk.base = node->disk.last = node->install;
	node->disk.base_membership = node->install_membership;
	node->applied = node->install.index;
	node->applied_membership = node->install_membership;
	world->counters.snapshots_installed++;
	node_step(world, node,
	    (struct raft_event){.kind = RAFT_INSTALLED,
	        .at = node->install,
	        .membership = &node->install_membership});
}

static void watch(struct world *world, struct node *node)
{
	struct node *leader = node_of(world, raft_status(node->raft).leader);
	bool down = leader && (!leader->up || leader->paused_until_ms > world->now_ms);
	if (down && node->asleep && chance(world, 1, 40))
		node_step(world, node,
		    (struct raft_event){.kind = RAFT_PEER_DOWN, .replica = leader->id});
}

static void turn(struct world *world)
{
	world->now_ms += below(world, 6);
	world->step++;
	network_deliver(world);
	for (unsigned i = 0; i < NODES; i++) {
		struct node *node = &world->nodes[i];
		if (!runs(world, node))
			continue;
		node_flush(world, node);
		finish_install(world, node);
		/* A turn may be long, so a timer may be late. */
		if (raft_deadline(node->raft) <= node_time(world, node) && chance(world, 2, 3))
			node_step(world, node, (struct raft_event){.kind = RAFT_TICK});
		watch(world, node);
		network_take(world, node);
	}
	oracle_step(world);
}

/* ---- Calm ---- */

static bool at_rest(struct world *world)
{
	struct node *leader = NULL;
	for (unsigned i = 0; i < NODES; i++)
		if (world->nodes[i].id && world->nodes[i].role == RAFT_LEADER &&
		    (!leader || world->nodes[i].role_term > leader->role_term))
			leader = &world->nodes[i];
	if (!leader || raft_status(leader->raft).commit < leader->now.last.index)
		return false;
	struct raft_membership members;
	raft_get_membership(leader->raft, &members);
	for (uint32_t i = 0; i < members.count; i++) {
		struct node *node = node_of(world, members.members[i].replica);
		if (!node)
			world_fail(world, "a member is gone");
		/* One that is alone has no timer, and need not sleep. */
		bool restless = world->sleeps && members.count > 1 && !node->asleep;
		if (node->applied != leader->applied || restless)
			return false;
	}
	/* A joint membership that is to be left by hand neither ends nor sleeps. */
	return true;
}

static void describe(const struct world *world)
{
	for (unsigned i = 0; i < NODES; i++) {
		const struct node *node = &world->nodes[i];
		if (!node->id)
			continue;
		struct raft_status status = raft_status(node->raft);
		struct raft_membership members;
		raft_get_membership(node->raft, &members);
		printf("  replica %" PRIu64 ": role %d term %" PRIu64 " leader %" PRIu64
		       " base %" PRIu64 " last %" PRIu64 "@%" PRIu64 " commit %" PRIu64
		       " durable %" PRIu64 " applied %" PRIu64 "%s%s members",
		    node->id, (int)status.role, status.term, status.leader, status.base.index,
		    status.last.index, status.last.term, status.commit, status.durable,
		    node->applied, status.asleep ? " asleep" : "",
		    status.installing ? " installing" : "");
		for (uint32_t k = 0; k < members.count; k++)
			printf(" %" PRIu64 ":%x", members.members[k].replica,
			    members.members[k].roles);
		printf(members.leaves_joint ? " leaves\n" : "\n");
		struct raft_progress progress;
		for (uint32_t k = 0;
		     status.role == RAFT_LEADER && raft_get_progress(node->raft, k, &progress); k++)
			printf("    %" PRIu64 ": match %" PRIu64 " next %" PRIu64
			       " flow %d in flight %u\n",
			    progress.replica, progress.match, progress.next, (int)progress.flow,
			    progress.messages_in_flight);
	}
}

static struct node *newest_leader(struct world *world)
{
	struct node *leader = NULL;
	for (unsigned i = 0; i < NODES; i++) {
		struct node *node = &world->nodes[i];
		if (runs(world, node) && node->role == RAFT_LEADER &&
		    (!leader || node->role_term > leader->role_term))
			leader = node;
	}
	return leader;
}

static void pass(struct world *world, uint64_t ms)
{
	uint64_t until = world->now_ms + ms;
	while (world->now_ms < until)
		turn(world);
}

/* Somebody is told to lead, and is cut off as soon as it has taken a term for that: the others go
 * on in theirs, and it has to find back to them. */
static void leave_one_ahead(struct world *world)
{
	memset(world->cut, 0, sizeof(world->cut));
	struct node *leader = newest_leader(world), *target = any_node(world);
	if (!leader || raft_transfer(leader->raft, node_time(world, leader), target->id) != 0)
		return;
	world->counters.transfers++;
	node_act(world, leader);
	for (unsigned i = 0; i < 50 && target->role != RAFT_CANDIDATE; i++)
		turn(world);
	cut_off(world, UINT64_C(1) << node_number(world, target), true, true);
	pass(world, 2 * ELECTION_MS);
}

static void calm_down(struct world *world)
{
	world->loss = 0;
	if (chance(world, 1, 2))
		leave_one_ahead(world);
	memset(world->cut, 0, sizeof(world->cut));
	for (unsigned i = 0; i < NODES; i++) {
		struct node *node = &world->nodes[i];
		node->disk_ms = 5;
		node->paused_until_ms = 0;
		if (node->id && !node->up)
			node_start(world, node);
	}
	uint64_t until = world->now_ms + 20 * 1000;
	bool proposed = false;
	while (world->now_ms < until) {
		turn(world);
		for (unsigned i = 0; i < NODES; i++) {
			struct node *node = &world->nodes[i];
			if (!runs(world, node) || node->role != RAFT_LEADER)
				continue;
			struct raft_membership now;
			raft_get_membership(node->raft, &now);
			const char *why;
			if (raft_membership_joint(&now) && !now.leaves_joint &&
			    !raft_change(
			        node->raft, node_time(world, node), NULL, 0, RAFT_LEAVE, &why))
				node_act(world, node);
			if (!proposed && raft_status(node->raft).committed_in_term)
				proposed = node_propose(world, node) ||
				           node->now.last.index + 200 >= ENTRIES;
		}
		if (proposed && at_rest(world))
			return;
	}
	world_fail(world, "no rest after 20 s of calm");
}

/* ---- Seeds ---- */

static void on_assert(const char *file, int line, const char *what)
{
	snprintf(world_now->why, sizeof(world_now->why), "assertion: %s:%d: %s", file, line, what);
	longjmp(world_now->failed, 1);
}

static void set_up(struct world *world, uint64_t seed)
{
	random_init(&world->random, seed);
	world->seed = seed;
	world->value_next = world->id_next = 1;
	world->leases = chance(world, 1, 2);
	world->uneven_clocks = chance(world, 1, 2);
	world->sleeps = chance(world, 1, 2);
	world->hostile = chance(world, 1, 2);
	world->gathers = chance(world, 1, 2);
	world->sleeps_soon = chance(world, 1, 2);
	world->memberships = malloc(ENTRIES * sizeof(*world->memberships) * 4);
	unsigned voters = 1 + (unsigned)below(world, 5);
	struct raft_membership members = {.count = 0};
	for (unsigned i = 0; i < voters; i++)
		members.members[members.count++] =
		    (struct raft_member){.replica = i + 1, .roles = RAFT_VOTER};
	for (unsigned i = 0; i < voters; i++)
		node_create(world, &world->nodes[i], &members);
}

static bool run_seed(uint64_t seed, uint64_t steps, struct counters *counters)
{
	struct world *world = calloc(1, sizeof(*world));
	world_now = world;
	assert_set_hook(on_assert); /* one that was called is forgotten */
	bool good = setjmp(world->failed) == 0;
	if (good) {
		set_up(world, seed);
		while (world->step < steps) {
			disturb(world);
			cut_idle(world);
			blink(world);
			kill_leader(world);
			use(world);
			turn(world);
		}
		calm_down(world);
	} else {
		printf("seed %" PRIu64 " failed after %" PRIu64 " steps, commit %s: VIOLATED: %s\n",
		    seed, world->step, commit_text(), world->why);
		describe(world);
	}
	const uint64_t *from = (const uint64_t *)&world->counters;
	uint64_t *to = (uint64_t *)counters;
	for (size_t i = 0; i < sizeof(*counters) / sizeof(*to); i++)
		to[i] += from[i];
	for (unsigned i = 0; i < NODES; i++)
		free(world->nodes[i].raft);
	free(world->memberships);
	free(world);
	return good;
}

static bool all_happened(const struct counters *counters)
{
	bool all = true;
#define X(name)                                                                                    \
	printf("  %-24s %" PRIu64 "\n", #name, counters->name);                                    \
	all = all && counters->name > 0;
	COUNTERS(X)
#undef X
	return all;
}

int main(int argc, char **argv)
{
	uint64_t first = 1, count = 100, steps = 10000;
	bool until_failure = false;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--seeds") && i + 2 < argc) {
			first = strtoull(argv[++i], NULL, 10);
			count = strtoull(argv[++i], NULL, 10);
		} else if (!strcmp(argv[i], "--steps") && i + 1 < argc) {
			steps = strtoull(argv[++i], NULL, 10);
		} else if (!strcmp(argv[i], "--until-failure")) {
			until_failure = true;
		} else if (!strcmp(argv[i], "--mutations")) {
			mutation_print_all(stdout);
			return 0;
		} else if (!strcmp(argv[i], "--mutation") && i + 1 < argc) {
			enum mutation mutation;
			if (!mutation_built() || mutation_find(argv[++i], &mutation)) {
				fprintf(stderr, "raft_sim: no mutation of that name here\n");
				return 2;
			}
			mutation_set(mutation);
		} else {
			fprintf(stderr, "raft_sim: unknown argument %s\n", argv[i]);
			return 2;
		}
	}
	struct counters counters = {0};
	uint64_t failed = 0, ran = 0;
	for (uint64_t seed = first; seed < first + count && !(until_failure && failed); seed++) {
		failed += !run_seed(seed, steps, &counters);
		ran++;
	}
	bool all = all_happened(&counters);
	if (ran >= 100 && !all && !failed) {
		printf("something of the above never happened\n");
		failed++;
	}
	printf("%" PRIu64 " passed, %" PRIu64 " failed\n", ran - (failed < ran ? failed : ran),
	    failed);
	return failed ? 1 : 0;
}
