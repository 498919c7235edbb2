#include "tests/cluster_sim/damage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "replication/group_parts.h"
#include "tests/cluster_sim/oracle.h"
#include "tests/cluster_sim/rest.h"
#include "tests/cluster_sim/world.h"
#include "tests/sim/verdict.h"

enum {
	WORLDS_PERCENT = 95,
	AT_ONCE_PERCENT = 50,
	LOOK_MS = 5,
	/* All is well until then, or another storm comes first. */
	WELL_MS = 10000,
	/* Replicas are given up from 2.5 s on, and made anew a moment later. */
	BETWEEN_MS_MAX = 7000,
	/* So long nobody says anything: what mends by itself does. */
	WORD_MS = 6000,
	AGAIN_MS = 1000,
};

void damage_plan(struct world *world)
{
	struct damage *damage = &world->damage;
	if (world->node_count != 3 || world->admin.replaces ||
	    !random_chance(&world->plan_dice, WORLDS_PERCENT, 100))
		return;
	damage->is_due = true;
	damage->is_at_once = random_chance(&world->plan_dice, AT_ONCE_PERCENT, 100);
	world->storm.left++;
}

/* ---- Who has what ---- */

static const struct group *group_at(const struct node *node, uint32_t shard)
{
	const struct group *group = node_group(node, shard);
	return group && group->raft && !group_closed(group) ? group : NULL;
}

/* Nobody has an entry that it lacks, and all are on its disk. */
static bool has_all(struct world *world, const struct node *whole)
{
	for (uint32_t shard = 0; shard <= MODEL_SHARDS; shard++) {
		const struct group *own = group_at(whole, shard);
		if (!own)
			return false;
		uint64_t durable = raft_status(own->raft).durable;
		for (unsigned i = 0; i < world->node_count; i++) {
			const struct group *other = group_at(&world->nodes[i], shard);
			if (other && raft_status(other->raft).last.index > durable)
				return false;
		}
	}
	return true;
}

/* One whose disk has never lied: what was not noticed of a lie may still be. */
static bool choose(struct world *world)
{
	struct damage *damage = &world->damage;
	unsigned from = (unsigned)world_below(world, world->node_count);
	for (unsigned i = 0; i < world->node_count; i++) {
		struct node *whole = &world->nodes[(from + i) % world->node_count];
		if (whole->disk_lies || !has_all(world, whole))
			continue;
		damage->whole = whole;
		damage->first = &world->nodes[(whole->number + 1) % world->node_count];
		damage->second = &world->nodes[(whole->number + 2) % world->node_count];
		return true;
	}
	return false;
}

/* ---- The course ---- */

static uint64_t in_ms(struct world *world, uint64_t ms)
{
	return sim_now_ns(world->sim) + ms * NS_PER_MS;
}

static bool strike(struct world *world, struct node *node)
{
	if (!lie_of_majority(world, node))
		return false;
	node_crash(node, world_percent(world, 50) ? SIM_KILL : SIM_POWER_CUT);
	return true;
}

static void is_done(struct world *world)
{
	struct damage *damage = &world->damage;
	damage->step = DAMAGE_DONE;
	damage->next_ns = in_ms(world, WORD_MS);
	*(damage->is_at_once ? &world->figures.damaged_at_once : &world->figures.damaged_in_turn) +=
	    1;
}

static void strike_first(struct world *world)
{
	struct damage *damage = &world->damage;
	if (!rest_is_well(world) || !choose(world) || !strike(world, damage->first))
		return;
	damage->is_due = false;
	damage->gives_up_ns = UINT64_MAX;
	damage->step = DAMAGE_SECOND;
	if (!damage->is_at_once) {
		damage->next_ns = in_ms(world, world_below(world, BETWEEN_MS_MAX));
		damage->gives_up_ns = in_ms(world, BETWEEN_MS_MAX + WELL_MS);
	} else if (strike(world, damage->second)) {
		is_done(world);
	}
}

/* Its log has nothing that could be damaged, or the third one is never level with it: one alone is
 * mended without a word. */
static void strike_second(struct world *world)
{
	struct damage *damage = &world->damage;
	uint64_t now_ns = sim_now_ns(world->sim);
	if (damage->is_at_once || now_ns >= damage->gives_up_ns) {
		damage->step = DAMAGE_DONE;
		damage->next_ns = in_ms(world, WORD_MS);
		return;
	}
	if (now_ns >= damage->next_ns && node_serves(damage->second) &&
	    has_all(world, damage->whole) && strike(world, damage->second))
		is_done(world);
}

static void tick(void *arg)
{
	struct world *world = arg;
	struct damage *damage = &world->damage;
	if (world->storm.kind != STORM_DAMAGE)
		return;
	switch (damage->step) {
	case DAMAGE_NONE:
		return;
	case DAMAGE_AWAITED:
		strike_first(world);
		break;
	case DAMAGE_SECOND:
		strike_second(world);
		break;
	case DAMAGE_DONE:
		return;
	}
	world->storm.until_ns = damage->step == DAMAGE_AWAITED ? damage->gives_up_ns : UINT64_MAX;
	sim_call_at(world->sim, in_ms(world, LOOK_MS), tick, world);
}

void damage_begin(struct world *world)
{
	struct damage *damage = &world->damage;
	faults_calm_down(world);
	damage->step = DAMAGE_AWAITED;
	damage->gives_up_ns = world->storm.until_ns = in_ms(world, WELL_MS);
	tick(world);
}

/* ---- The operator ---- */

void damage_look(struct world *world)
{
	struct damage *damage = &world->damage;
	/* Faults have ended in the middle of it. */
	if (world->ends && damage->step == DAMAGE_AWAITED)
		damage->step = DAMAGE_NONE;
	if (world->ends && damage->step == DAMAGE_SECOND) {
		damage->step = DAMAGE_DONE;
		damage->next_ns = in_ms(world, WORD_MS);
	}
	if (damage->step != DAMAGE_DONE || sim_now_ns(world->sim) < damage->next_ns)
		return;
	if (rest_is_placed(world)) {
		damage->step = DAMAGE_NONE;
		if (world->storm.kind == STORM_DAMAGE)
			storm_stop(world);
		return;
	}
	if (admin_begin(world, ADMIN_RECOVER, NULL))
		damage->next_ns = in_ms(world, AGAIN_MS);
}

uint64_t damage_number_behind(const char *text, const char *key)
{
	const char *at = strstr(text, key);
	uint64_t number = 0;
	bool is_there = at && sscanf(at + strlen(key), "%" SCNu64, &number) == 1;
	EXPECT(is_there, "recovered", "%s is not said: %s", key, text);
	return number;
}

void damage_asked(struct world *world)
{
	for (uint32_t shard = 0; shard <= MODEL_SHARDS; shard++)
		world->damage.applied[shard] = oracle_applied(world->oracle, shard);
}

void damage_answered(struct world *world, const char *text)
{
	struct damage *damage = &world->damage;
	EXPECT(damage_number_behind(text, "\"nothing\":") == 0, "recovered",
	    "nothing is left, and node %u is whole: %s", damage->whole->number, text);
	for (const char *at = strstr(text, "\"index\":"); at; at = strstr(at + 1, "\"index\":")) {
		uint64_t index = damage_number_behind(at, "\"index\":");
		uint64_t node = damage_number_behind(at, "\"node\":");
		uint64_t shard = damage_number_behind(at, "\"shard\":");
		ASSERT(shard <= MODEL_SHARDS);
		/* The directory's own is told once more with the others. */
		if (index == damage->kept[shard])
			continue;
		/* The first one may have got another replica before the second one's went. */
		bool is_whole = node == node_id(damage->whole) ||
		                (!damage->is_at_once && node == node_id(damage->first));
		EXPECT(is_whole, "recovered",
		    "group %" PRIu64 " goes on with node %" PRIu64 ", and node %u is whole", shard,
		    node, node_id(damage->whole));
		uint64_t applied = damage->applied[shard];
		EXPECT(index >= applied, "recovered",
		    "group %" PRIu64 " goes on from %" PRIu64 ", and %" PRIu64 " was applied",
		    shard, index, applied);
		damage->kept[shard] = index;
		world->figures.shards_recovered++;
	}
}

void damage_compare(struct world *world)
{
	const struct cluster_map *map = rest_map(world);
	for (uint32_t shard = 0; shard <= MODEL_SHARDS; shard++) {
		const struct cluster_recovery *known = &map->shards[shard].recovery;
		EXPECT(known->index == world->damage.kept[shard], "recovered",
		    "group %u went on from %" PRIu64 ", and the directory says %" PRIu64, shard,
		    world->damage.kept[shard], known->index);
	}
}
