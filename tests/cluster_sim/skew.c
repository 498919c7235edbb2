#include "tests/cluster_sim/skew.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "replication/group_parts.h"
#include "server/cluster_control.h"
#include "server/meta/placement.h"
#include "server/shard/shard.h"
#include "tests/cluster_sim/rest.h"
#include "tests/cluster_sim/seed.h"
#include "tests/cluster_sim/world.h"
#include "tests/sim/verdict.h"

enum {
	SEEDS_EVERY = 8,
	SEED_OF_THOSE = 3,
	/* While things break. */
	BROKEN_RATE = 300,
	/* Far below what is worth a move, on the mean; and when they do more, well above. Then they
	 * do less, which is still enough to be said. */
	SWAY_RATE = 80,
	LULL_RATE = 10,
	SWAY_S = 10,
	SWAYS_S = 70,
	PILE_RATE = 200,
	/* Of who has just moved, and of who is led there, too, and does more: of two that could go
	 * the one that does less is better where something is done there, however little. */
	AGAIN_RATE = 200,
	AGAIN_MORE_RATE = 400,
	AGAIN_LITTLE_RATE = 45,
	/* Until what was piled up has come apart: shards may have to rest first, and then it is
	 * planned within two periods, a few times where a leadership could not be handed over. */
	APART_S = 240,
	/* Of clocks that are as uneven as leases allow. */
	REST_S = (int)(LOAD_SHARD_REST_NS / NS_PER_S) * 4 / 5,
	/* Four times what loads are kept for, and twice what a shard rests. */
	WARM_S = 240,
	SETTLES_S = WARM_S,
	STAYS_S = (int)(LOAD_SHARD_REST_NS / NS_PER_S) * 5 / 4,
};

static struct world *watched;

void skew_begin(struct world *world)
{
	watched = world;
}

void skew_plan(struct world *world)
{
	struct skew *skew = &world->skew;
	/* By the seed itself: all other worlds keep their course. Of five nodes each leads one. */
	if (world->seed % SEEDS_EVERY != SEED_OF_THOSE || world->node_count != 3)
		return;
	world->figures.worlds_skewed++;
	skew->step = SKEW_BREAKS;
	for (uint32_t shard = 1; shard < MODEL_SHARDS; shard++)
		skew->rates[shard] = shard * BROKEN_RATE;
}

static void count_work(struct world *world)
{
	struct skew *skew = &world->skew;
	uint64_t now_ns = sim_now_ns(world->sim);
	for (uint32_t shard = 1; shard <= MODEL_SHARDS; shard++)
		skew->work[shard] += skew->rates[shard] * (now_ns - skew->at_ns);
	skew->at_ns = now_ns;
}

static uint16_t leader_of(const struct world *world, uint32_t shard)
{
	for (unsigned i = 0; i < world->node_count; i++) {
		const struct group *group = node_group(&world->nodes[i], shard);
		if (group && group_leads(group))
			return node_id(&world->nodes[i]);
	}
	return 0;
}

void skew_tick(struct world *world)
{
	struct skew *skew = &world->skew;
	if (skew->step == SKEW_NONE)
		return;
	count_work(world);
	for (uint32_t shard = 1; shard <= MODEL_SHARDS; shard++) {
		uint16_t leader = leader_of(world, shard);
		if (leader == 0 || leader == skew->leaders[shard])
			continue;
		skew->leaders[shard] = leader;
		skew->led_ns[shard] = sim_now_ns(world->sim);
	}
}

/* ---- What production counts, and plans ---- */

/* The linker puts these in the place of production's own: see module.am. */
uint64_t __real_shards_work(const struct shards *shards, uint32_t shard);
uint64_t __wrap_shards_work(const struct shards *shards, uint32_t shard);
void __real_load_book_note(
    struct load_book *book, uint64_t now_ns, const struct placement_plan *plan);
void __wrap_load_book_note(
    struct load_book *book, uint64_t now_ns, const struct placement_plan *plan);

uint64_t __wrap_shards_work(const struct shards *shards, uint32_t shard)
{
	uint64_t work = __real_shards_work(shards, shard);
	if (watched->skew.step == SKEW_NONE)
		return work;
	ASSERT(shard > 0 && shard <= MODEL_SHARDS);
	count_work(watched);
	return work + watched->skew.work[shard] / NS_PER_S;
}

static bool is_quiet(enum skew_step step)
{
	return step == SKEW_SWAYS || step == SKEW_STAYS;
}

static void expect_rested(const struct world *world, uint32_t shard)
{
	const struct skew *skew = &world->skew;
	uint64_t rested_s = (sim_now_ns(world->sim) - skew->led_ns[shard]) / NS_PER_S;
	EXPECT(rested_s >= REST_S, "loads", "group %u moves for loads again after %" PRIu64 " s",
	    shard, rested_s);
}

static void look_at_plan(struct world *world, const struct placement_plan *plan)
{
	struct skew *skew = &world->skew;
	uint32_t moves = plan->load_transfers + plan->load_changes;
	EXPECT(moves == 0 || !is_quiet(skew->step), "loads",
	    "%u moves for loads that stay the same, or come and go (step %d)", moves,
	    (int)skew->step);
	skew->moves += moves;
	world->figures.load_moves += moves;
	/* Who has just begun to lead the directory does not know how long others lead. */
	if (skew->step == SKEW_BREAKS || skew->step == SKEW_WARM)
		return;
	for (uint32_t i = plan->transfer_count - plan->load_transfers; i < plan->transfer_count;
	     i++)
		expect_rested(world, plan->transfers[i].shard);
}

void __wrap_load_book_note(
    struct load_book *book, uint64_t now_ns, const struct placement_plan *plan)
{
	__real_load_book_note(book, now_ns, plan);
	if (watched->skew.step != SKEW_NONE)
		look_at_plan(watched, plan);
}

/* ---- The course ---- */

static void begin_step(struct world *world, enum skew_step step)
{
	struct skew *skew = &world->skew;
	count_work(world);
	memset(skew->rates, 0, sizeof(skew->rates));
	skew->step = step;
	skew->since_ns = sim_now_ns(world->sim);
	skew->moves = 0;
}

static bool lasts(const struct world *world, uint64_t seconds)
{
	return sim_now_ns(world->sim) - world->skew.since_ns < seconds * NS_PER_S;
}

static void wait(struct world *world, uint64_t seconds)
{
	while (lasts(world, seconds))
		seed_pass(world);
}

/* Two shards of a node that leads two, and is not `but`. False: there is none. */
static bool find_pair(const struct skew *skew, uint16_t but, uint32_t pair[2])
{
	for (uint32_t first = 1; first < MODEL_SHARDS; first++)
		for (uint32_t second = first + 1; second <= MODEL_SHARDS; second++)
			if (skew->leaders[first] == skew->leaders[second] &&
			    skew->leaders[first] != but) {
				pair[0] = first;
				pair[1] = second;
				return true;
			}
	return false;
}

static void sway(struct world *world)
{
	struct skew *skew = &world->skew;
	begin_step(world, SKEW_SWAYS);
	bool found = find_pair(skew, 0, skew->pairs[0]) &&
	             find_pair(skew, skew->leaders[skew->pairs[0][0]], skew->pairs[1]);
	for (uint64_t s = 0; found && s < SWAYS_S; s += SWAY_S) {
		unsigned more = s / SWAY_S % 2;
		for (unsigned i = 0; i < 4; i++)
			skew->rates[skew->pairs[i / 2][i % 2]] =
			    i / 2 == more ? SWAY_RATE : LULL_RATE;
		wait(world, s + SWAY_S);
		count_work(world);
	}
	world->figures.loads_swayed += found;
}

static void come_apart(struct world *world, const uint32_t pair[2])
{
	struct skew *skew = &world->skew;
	while (skew->leaders[pair[0]] == skew->leaders[pair[1]]) {
		seed_pass(world);
		EXPECT(lasts(world, APART_S), "loads",
		    "groups %u and %u do much, and node %u leads both", pair[0], pair[1],
		    skew->leaders[pair[0]]);
	}
	EXPECT(skew->moves > 0, "loads", "leaders change without a plan");
	world->figures.loads_apart++;
}

/* Which shard it is that has moved. */
static uint32_t pile(struct world *world)
{
	struct skew *skew = &world->skew;
	uint32_t pair[2];
	bool found = find_pair(skew, 0, pair);
	EXPECT(found, "loads", "no node of three leads two of %d groups", MODEL_SHARDS);
	uint16_t from = skew->leaders[pair[0]];
	begin_step(world, SKEW_PILE);
	skew->rates[pair[0]] = skew->rates[pair[1]] = PILE_RATE;
	come_apart(world, pair);
	return skew->leaders[pair[0]] == from ? pair[1] : pair[0];
}

/* Of each of the other nodes one shard. */
static void do_little_elsewhere(struct skew *skew, uint16_t but)
{
	for (uint32_t shard = 1; shard <= MODEL_SHARDS; shard++) {
		bool first = skew->leaders[shard] != but;
		for (uint32_t before = 1; first && before < shard; before++)
			first = skew->leaders[before] != skew->leaders[shard];
		if (first)
			skew->rates[shard] = AGAIN_LITTLE_RATE;
	}
}

/* What has moved may do so again when it has rested; another one that is led there at once. */
static void pile_again(struct world *world, uint32_t moved)
{
	struct skew *skew = &world->skew;
	uint32_t other = 1;
	while (other == moved || skew->leaders[other] != skew->leaders[moved])
		if (++other > MODEL_SHARDS)
			return;
	begin_step(world, SKEW_AGAIN);
	do_little_elsewhere(skew, skew->leaders[moved]);
	skew->rates[moved] = AGAIN_RATE;
	skew->rates[other] = AGAIN_MORE_RATE;
	come_apart(world, (uint32_t[]){moved, other});
}

/* Loads are as they are since they began; what else they are worth is moved meanwhile. */
static void stay(struct world *world)
{
	struct skew *skew = &world->skew;
	uint64_t rates[MODEL_SHARDS + 1];
	memcpy(rates, skew->rates, sizeof(rates));
	begin_step(world, SKEW_SETTLES);
	memcpy(skew->rates, rates, sizeof(rates));
	wait(world, SETTLES_S);
	begin_step(world, SKEW_STAYS);
	memcpy(skew->rates, rates, sizeof(rates));
	wait(world, STAYS_S);
	world->figures.loads_stayed++;
	begin_step(world, SKEW_NONE);
}

void skew_course(struct world *world)
{
	if (world->skew.step == SKEW_NONE)
		return;
	begin_step(world, SKEW_WARM);
	wait(world, WARM_S);
	sway(world);
	pile_again(world, pile(world));
	stay(world);
}
