#include "tests/cluster_sim/loss.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "replication/group_parts.h"
#include "server/meta/recovery.h"
#include "server/shard/records.h"
#include "storage/batch.h"
#include "tests/cluster_sim/oracle.h"
#include "tests/cluster_sim/rest.h"
#include "tests/cluster_sim/world.h"
#include "tests/sim/verdict.h"

enum {
	/* Worlds of three: nodes are gone, or damaged, or neither. Worlds of five: but for those in
	 * which nodes are replaced that are gone for a moment. */
	SEEDS_OF_THREE = 3,
	SEEDS_OF_FIVE = 2,
	BUSY_MS_MAX = 1000,
	/* Others lead by then what it led. */
	CUT_MS_MIN = 2000,
	CUT_MS_MAX = 4000,
	/* So long nobody says anything of what is damaged: what mends by itself does. */
	DAMAGED_MS = 6000,
	AGAIN_MS = 500,
	BACK_MS = 6000,
	CRASHES_PERCENT = 50,
	/* Writes of the one that dies then, from the word on. */
	CRASH_POINTS_MAX = 24,
	AT_ONCE_PERCENT = 85,
};

/* ---- What is applied ---- */

/* By the key of its head. False: it is another key. */
static bool find_entity(struct slice key, unsigned *ret_entity)
{
	for (unsigned entity = 0; entity < MODEL_ENTITIES; entity++) {
		char address[32];
		struct key head;
		model_address(entity, address, sizeof(address));
		key_of_entity(&head, SHARD_KEY_HEAD,
		    (struct entity_name){.address = slice_from_text(address)});
		*ret_entity = entity;
		if (slice_equal(key, key_view(&head)))
			return true;
	}
	return false;
}

void loss_applied(struct world *world, uint32_t shard, uint64_t index, struct slice batch)
{
	struct loss *loss = &world->loss;
	struct batch_cursor cursor;
	struct batch_op op;
	bool is_counted = loss->step >= LOSS_BUSY && loss->step <= LOSS_WORD;
	if (!is_counted || shard == 0 || batch.bytes == 0)
		return;
	batch_read(batch, &cursor);
	while (batch_next(&cursor, &op)) {
		struct loss_revision *one = &loss->revisions[loss->count];
		struct head head;
		if (op.kind != BATCH_PUT || !find_entity(op.key, &one->entity))
			continue;
		int error = head_read(op.value, &head);
		ASSERT(!error && model_shard(one->entity) == shard);
		one->index = index;
		one->revision = head.revision;
		loss->count++;
		ASSERT(loss->count < LOSS_REVISIONS_MAX);
	}
	ASSERT(!cursor.error);
}

/* The last revision that an entry up to this one made. */
static uint64_t revision_at(const struct loss *loss, unsigned entity, uint64_t index)
{
	uint64_t revision = loss->revisions_before[entity];
	for (size_t i = 0; i < loss->count; i++) {
		const struct loss_revision *one = &loss->revisions[i];
		if (one->entity == entity && one->index <= index && one->revision > revision)
			revision = one->revision;
	}
	return revision;
}

/* ---- What goes on, and what is lost ---- */

static const struct group *group_at(const struct node *node, uint32_t shard)
{
	const struct group *group = node_group(node, shard);
	return group && group->raft && !group_closed(group) ? group : NULL;
}

static bool is_ahead(const struct group *a, const struct group *b)
{
	struct group_position of_a = group_last(a), of_b = group_last(b);
	return of_a.term != of_b.term ? of_a.term > of_b.term : of_a.index > of_b.index;
}

/* Where it has gone on its log has only become longer. */
static void expect_best(struct world *world, const struct node *chosen, uint32_t shard)
{
	struct loss *loss = &world->loss;
	const struct group *best = group_at(chosen, shard);
	struct loss_shard *seen = &loss->shards[shard];
	ASSERT(best != NULL);
	seen->committed = group_committed(best);
	for (unsigned i = 0; i < loss->left_count; i++) {
		const struct group *other = group_at(loss->left[i], shard);
		if (!other || other == best)
			continue;
		EXPECT(!is_ahead(other, best), "recovered",
		    "group %u goes on with node %u, and node %u has more", shard, chosen->number,
		    loss->left[i]->number);
		world->figures.recovered_of_two += group_last(other).index != seen->index;
		if (group_committed(other) > seen->committed)
			seen->committed = group_committed(other);
	}
}

static void lose(struct world *world, const struct node *node, uint32_t shard, bool is_first)
{
	struct loss *loss = &world->loss;
	struct loss_shard *seen = &loss->shards[shard];
	uint64_t lost = 0;
	uint64_t kept = oracle_lose(world->oracle, node, shard, seen->index, seen->term);
	/* It had done so, and died before that was durable. */
	if (!is_first)
		return;
	seen->kept = kept;
	world->figures.tails_gone_on += kept < seen->index;
	world->figures.recovered_from_damage += loss->is_damage;
	if (shard == 0)
		return;
	for (unsigned entity = 0; entity < MODEL_ENTITIES; entity++)
		if (model_shard(entity) == shard)
			lost += model_lose(world->model, entity, revision_at(loss, entity, kept));
	model_lose_time(world->model, shard);
	world->figures.changes_lost += lost;
	world->figures.shards_lost_acknowledged += lost > 0;
	world->figures.damaged_acknowledged += lost > 0 && loss->is_damage;
}

static void goes_on(
    struct world *world, const struct node *node, uint32_t shard, uint64_t index, uint64_t term)
{
	struct loss_shard *seen = &world->loss.shards[shard];
	bool is_first = seen->node == 0;
	/* One that is alone behind that is so since its lost members were taken out. */
	if (term <= seen->term || (!is_first && seen->index != index))
		return;
	EXPECT(is_first || seen->node == node_id(node), "recovered",
	    "group %u: node %u goes on, and node %u had", shard, node_id(node), seen->node);
	seen->node = node_id(node);
	seen->index = index;
	seen->term = term;
	if (is_first)
		expect_best(world, node, shard);
	lose(world, node, shard, is_first);
}

static void look_at_shard(struct world *world, const struct node *node, uint32_t shard)
{
	const struct group *group = group_at(node, shard);
	const struct engine *engine = group_store_engine(node_store(node, shard));
	struct raft_membership members;
	uint64_t term;
	if (!group)
		return;
	group_get_members(group, &members);
	uint64_t index = raft_status(group->raft).membership_index;
	if (members.count == 1 && !engine_term(engine, shard, index, &term))
		goes_on(world, node, shard, index - 1, term);
}

static bool is_left(const struct loss *loss, const struct node *node)
{
	for (unsigned i = 0; i < loss->left_count; i++)
		if (loss->left[i] == node)
			return true;
	return false;
}

void loss_saw(struct world *world, const struct node *node)
{
	if (world->loss.step != LOSS_WORD || !is_left(&world->loss, node))
		return;
	for (uint32_t shard = 0; shard <= MODEL_SHARDS; shard++)
		look_at_shard(world, node, shard);
}

void loss_appends(struct world *world, const struct node *node, uint32_t shard,
    struct group_position at, uint64_t before_term)
{
	if (world->loss.step == LOSS_WORD && is_left(&world->loss, node) &&
	    at.term >= before_term + RECOVERY_TERMS)
		goes_on(world, node, shard, at.index - 1, at.term);
}

/* ---- What is said of it ---- */

/* The directory's own is told once more with the others. */
static void take_shard(struct world *world, const char *text, bool is_directory)
{
	struct loss *loss = &world->loss;
	const struct cluster_recovery said = {
	    .committed = damage_number_behind(text, "\"committed\":"),
	    .index = damage_number_behind(text, "\"index\":"),
	    .replica = damage_number_behind(text, "\"node\":"),
	    .term = damage_number_behind(text, "\"term\":")};
	uint64_t shard = damage_number_behind(text, "\"shard\":");
	ASSERT(shard <= MODEL_SHARDS);
	/* What becomes of the others then is a plan. */
	if (is_directory && shard != 0)
		return;
	bool is_there = false;
	for (unsigned i = 0; i < loss->left_count; i++)
		is_there |= said.replica == node_id(loss->left[i]);
	EXPECT(is_there, "recovered",
	    "group %" PRIu64 " goes on with node %" PRIu64 ", which is not left", shard,
	    said.replica);
	loss->shards[shard].said = said;
}

void loss_answered(struct world *world, const char *text)
{
	bool is_directory = strstr(text, "\"phase\":\"directory\"") != NULL;
	for (const char *at = strstr(text, "\"committed\":"); at;
	     at = strstr(at + 1, "\"committed\":"))
		take_shard(world, at, is_directory);
	EXPECT(is_directory || damage_number_behind(text, "\"nothing\":") == 0, "recovered",
	    "nothing is left, and all shards are there: %s", text);
}

static bool has_crashed(const struct loss *loss)
{
	return loss->crashes && loss->crashes->life != loss->crashes_life;
}

static void compare_shard(
    const struct loss *loss, uint32_t shard, const struct cluster_recovery *known)
{
	const struct loss_shard *seen = &loss->shards[shard];
	const struct cluster_recovery *said = &seen->said;
	if (seen->node == 0) {
		EXPECT(said->index == 0 && known->term == seen->term_before, "recovered",
		    "group %u is said to have gone on from %" PRIu64 ", and has not", shard,
		    known->index);
		return;
	}
	EXPECT(known->index == seen->index && known->term == seen->term, "recovered",
	    "group %u went on from %" PRIu64 " in term %" PRIu64 ", and the directory says %" PRIu64
	    " and %" PRIu64,
	    shard, seen->index, seen->term, known->index, known->term);
	EXPECT(known->committed <= seen->kept && known->committed >= seen->committed, "recovered",
	    "group %u has kept all up to %" PRIu64 ", those left knew %" PRIu64
	    " to be committed, and %" PRIu64 " is said to be kept",
	    shard, seen->kept, seen->committed, known->committed);
	EXPECT(said->index == 0 || (said->index == known->index && said->term == known->term &&
	                               said->committed == known->committed),
	    "recovered",
	    "group %u was said to go on from %" PRIu64 ", committed up to %" PRIu64
	    ", and the directory says %" PRIu64 " and %" PRIu64,
	    shard, said->index, said->committed, known->index, known->committed);
}

void loss_compare(struct world *world)
{
	const struct cluster_map *map = rest_map(world);
	world->figures.lost_done_again = model_lost_done_again(world->model);
	for (uint32_t shard = 0; shard <= MODEL_SHARDS; shard++)
		compare_shard(&world->loss, shard, &map->shards[shard].recovery);
}

/* ---- The world for it ---- */

/* What a disk may still hide that lies at any time is nobody's who is alone. */
static bool may_be_left(const struct world *world, const struct node *node)
{
	return !node->disk_lies || world->figures.worlds_with_lies == 0;
}

/* Of each shard at least one of them has a replica. */
static bool have_all(const struct loss *loss)
{
	for (uint32_t shard = 0; shard <= MODEL_SHARDS; shard++) {
		unsigned have = 0;
		for (unsigned i = 0; i < loss->left_count; i++) {
			const struct group *group = group_at(loss->left[i], shard);
			have += group && group_last(group).index > 0;
		}
		if (have == 0)
			return false;
	}
	return true;
}

/* One of three, or two of five that stand so far from each other. */
static bool try_to_leave(struct world *world, unsigned first, unsigned apart)
{
	struct loss *loss = &world->loss;
	loss->left_count = loss->gone_count = 0;
	for (unsigned i = 0; i < world->node_count; i++) {
		unsigned number = (first + i) % world->node_count;
		struct node *node = &world->nodes[number];
		if (i == 0 || i == apart)
			loss->left[loss->left_count++] = node;
		else
			loss->gone[loss->gone_count++] = node;
		if ((i == 0 || i == apart) && !may_be_left(world, node))
			return false;
	}
	return have_all(loss);
}

static bool choose_left(struct world *world)
{
	unsigned first = (unsigned)world_below(world, world->node_count);
	unsigned aparts = world->node_count / 2;
	for (unsigned apart = 1; apart <= (world->node_count == 3 ? 1 : aparts); apart++)
		for (unsigned i = 0; i < world->node_count; i++)
			if (try_to_leave(world, (first + i) % world->node_count,
			        world->node_count == 3 ? 0 : apart))
				return true;
	return false;
}

static bool is_world(const struct world *world)
{
	bool is_seed = world->node_count == 3 ? world->seed % SEEDS_OF_THREE < 2
	                                      : world->seed % SEEDS_OF_FIVE == 0;
	if (!is_seed || world->ghost_count > 0)
		return false;
	/* Then a node has the directory alone, and others have fewer to lose. */
	for (unsigned i = 0; i < world->node_count; i++)
		if (world->nodes[i].is_drained)
			return false;
	return true;
}

bool loss_begin(struct world *world)
{
	struct loss *loss = &world->loss;
	if (!is_world(world) || !choose_left(world))
		return false;
	const struct cluster_map *map = rest_map(world);
	loss->is_damage = world->node_count == 3 && world->seed % SEEDS_OF_THREE == 1;
	for (unsigned i = 0; i < loss->gone_count; i++)
		loss->wanted[i] = (struct meta_wanted){.node = node_id(loss->gone[i])};
	for (uint32_t shard = 0; shard <= MODEL_SHARDS; shard++)
		loss->shards[shard] =
		    (struct loss_shard){.term_before = map->shards[shard].recovery.term,
		        .term = map->shards[shard].recovery.term};
	for (unsigned entity = 0; entity < MODEL_ENTITIES; entity++)
		loss->revisions_before[entity] = model_revision(world->model, entity);
	if (world_percent(world, CRASHES_PERCENT))
		loss->crashes = loss->left[world_below(world, loss->left_count)];
	loss->is_at_once = world_percent(world, AT_ONCE_PERCENT);
	loss->step = LOSS_BUSY;
	loss->next_ns = world_in_ms(world, 1, BUSY_MS_MAX);
	return true;
}

bool loss_is_over(const struct world *world)
{
	return world->loss.step == LOSS_OVER;
}

bool loss_loads(const struct world *world)
{
	enum loss_step step = world->loss.step;
	return step == LOSS_BUSY || step == LOSS_CUT || step == LOSS_BACK;
}

bool loss_waits(const struct world *world)
{
	return world->loss.step == LOSS_WORD;
}

/* ---- The course ---- */

/* Those that are left are no majority of what the longest of their logs has as members. */
static bool needs_word(const struct loss *loss, uint32_t shard)
{
	const struct group *best = NULL;
	struct raft_membership members;
	uint32_t voters = 0, left = 0;
	for (unsigned i = 0; i < loss->left_count; i++) {
		const struct group *one = group_at(loss->left[i], shard);
		if (one && (!best || is_ahead(one, best)))
			best = one;
	}
	ASSERT(best != NULL);
	group_get_members(best, &members);
	for (uint32_t i = 0; i < members.count; i++) {
		bool votes = members.members[i].roles & RAFT_VOTER;
		voters += votes;
		for (unsigned k = 0; k < loss->left_count; k++)
			left += votes && cluster_replica_node(members.members[i].replica) ==
			                     node_id(loss->left[k]);
	}
	return left <= voters / 2;
}

static void cut_next(struct world *world)
{
	struct loss *loss = &world->loss;
	faults_cut_off(world, loss->left[loss->cut_count++]);
	loss->step = LOSS_CUT;
	loss->next_ns = world_in_ms(world, CUT_MS_MIN, CUT_MS_MAX);
}

static void are_gone(struct world *world)
{
	struct loss *loss = &world->loss;
	faults_heal(world);
	/* It was not even yet, and replicas were moved. */
	if (!have_all(loss)) {
		loss->step = LOSS_OVER;
		return;
	}
	world->figures.worlds_with_losses++;
	world->figures.losses_of_five += world->node_count == 5;
	world->figures.losses_by_damage += loss->is_damage;
	for (uint32_t shard = 0; shard <= MODEL_SHARDS; shard++)
		loss->shards[shard].needs_word = !loss->is_damage && needs_word(loss, shard);
	for (unsigned i = 0; i < loss->gone_count; i++) {
		struct node *node = loss->gone[i];
		if (loss->is_damage)
			(void)lie_of_majority(world, node);
		else
			node->stays_off = true;
		node_crash(node, world_percent(world, 50) ? SIM_KILL : SIM_POWER_CUT);
	}
	loss->step = LOSS_DEAD;
	loss->next_ns = world_in_ms(world, DAMAGED_MS, DAMAGED_MS + 1);
}

static void begin_words(struct world *world)
{
	struct loss *loss = &world->loss;
	loss->step = LOSS_WORD;
	if (!loss->crashes)
		return;
	loss->crashes_life = loss->crashes->life;
	sim_crash_at(loss->crashes->machine, 1 + world_below(world, CRASH_POINTS_MAX),
	    world_percent(world, 50) ? SIM_KILL : SIM_POWER_CUT);
}

static bool are_removed(const struct world *world, const struct cluster_map *map)
{
	const struct loss *loss = &world->loss;
	for (unsigned i = 0; i < loss->gone_count; i++) {
		const struct cluster_node *node = cluster_map_node(map, loss->wanted[i].node);
		if (!node || node->state != CLUSTER_NODE_REMOVED)
			return false;
	}
	return true;
}

static bool is_led(const struct loss *loss, uint32_t shard)
{
	for (unsigned i = 0; i < loss->left_count; i++) {
		const struct group *group = group_at(loss->left[i], shard);
		if (group && group_leads(group))
			return true;
	}
	return false;
}

static bool have_gone_on(struct world *world)
{
	const struct loss *loss = &world->loss;
	const struct cluster_map *map = rest_map(world);
	if (world->admin.task != ADMIN_IDLE)
		return false;
	if (loss->is_damage)
		return rest_is_placed(world);
	if (!map || !are_removed(world, map))
		return false;
	for (uint32_t shard = 0; shard <= MODEL_SHARDS; shard++)
		if (!is_led(loss, shard) ||
		    (loss->shards[shard].needs_word && loss->shards[shard].node == 0))
			return false;
	return true;
}

static void say_word(struct world *world)
{
	struct loss *loss = &world->loss;
	if (!have_gone_on(world)) {
		enum admin_task task = loss->is_damage ? ADMIN_RECOVER : ADMIN_RECOVER_LOST;
		if (sim_now_ns(world->sim) >= loss->next_ns && admin_begin(world, task, NULL))
			loss->next_ns = world_in_ms(world, AGAIN_MS, 2 * AGAIN_MS);
		return;
	}
	if (loss->crashes) {
		sim_crash_at(loss->crashes->machine, 0, SIM_KILL);
		world->figures.recoveries_crashed += has_crashed(loss);
	}
	loss->step = LOSS_BACK;
	loss->next_ns = sim_now_ns(world->sim) + BACK_MS * NS_PER_MS;
	for (unsigned i = 0; i < loss->gone_count && !loss->is_damage; i++)
		node_replace(loss->gone[i]);
}

static void come_back(struct world *world)
{
	struct loss *loss = &world->loss;
	unsigned awaited = ghosts_awaited(world);
	if (ghost_runs(world))
		return;
	if (awaited >= 2 && loss->is_at_once) {
		world->figures.lost_returned += ghosts_return(world);
		world->figures.lost_at_once++;
	} else if (awaited > 0) {
		ghost_return(ghost_awaited(world));
		world->figures.lost_returned++;
	} else if (sim_now_ns(world->sim) >= loss->next_ns) {
		loss->step = LOSS_OVER;
	}
}

void loss_look(struct world *world)
{
	struct loss *loss = &world->loss;
	bool is_time = sim_now_ns(world->sim) >= loss->next_ns;
	switch (loss->step) {
	case LOSS_NONE:
	case LOSS_OVER:
		return;
	case LOSS_BUSY:
		if (is_time)
			cut_next(world);
		return;
	case LOSS_CUT:
		if (is_time && loss->cut_count < loss->left_count)
			cut_next(world);
		else if (is_time)
			are_gone(world);
		return;
	case LOSS_DEAD:
		if (load_under_way(world) == 0 && (is_time || !loss->is_damage))
			begin_words(world);
		return;
	case LOSS_WORD:
		say_word(world);
		return;
	case LOSS_BACK:
		come_back(world);
		return;
	}
}
