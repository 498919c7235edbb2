#include "tests/cluster_sim/loss.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "server/shard/records.h"
#include "storage/batch.h"
#include "tests/cluster_sim/oracle.h"
#include "tests/cluster_sim/rest.h"
#include "tests/cluster_sim/world.h"
#include "tests/sim/verdict.h"

enum {
	SEEDS_EVERY = 3,
	NODES = LOSS_GONE + 1,
	BUSY_MS_MAX = 1000,
	/* Others lead by then what it led. */
	CUT_MS_MIN = 2000,
	CUT_MS_MAX = 4000,
	AGAIN_MS = 500,
	BACK_MS = 6000,
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
	bool is_counted = loss->step == LOSS_BUSY || loss->step == LOSS_CUT;
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

/* ---- What is lost ---- */

static void lose(struct world *world, uint32_t shard, const struct cluster_recovery *said)
{
	struct loss *loss = &world->loss;
	uint64_t index = said->index, lost = 0;
	uint64_t kept = oracle_lose(world->oracle, loss->left, shard, said);
	loss->said[shard] = *said;
	world->figures.tails_gone_on += kept < index;
	if (shard == 0)
		return;
	for (unsigned entity = 0; entity < MODEL_ENTITIES; entity++)
		if (model_shard(entity) == shard)
			lost += model_lose(world->model, entity, revision_at(loss, entity, kept));
	model_lose_time(world->model, shard);
	world->figures.changes_lost += lost;
	world->figures.shards_lost_acknowledged += lost > 0;
}

/* The directory's own is told once more with the others. */
static void take_shard(struct world *world, const char *text, bool is_directory)
{
	const struct loss *loss = &world->loss;
	const struct cluster_recovery said = {
	    .committed = damage_number_behind(text, "\"committed\":"),
	    .index = damage_number_behind(text, "\"index\":"),
	    .term = damage_number_behind(text, "\"term\":")};
	uint64_t node = damage_number_behind(text, "\"node\":");
	uint64_t shard = damage_number_behind(text, "\"shard\":");
	ASSERT(shard <= MODEL_SHARDS);
	/* What becomes of the others then is a plan. */
	if (is_directory && shard != 0)
		return;
	EXPECT(node == node_id(loss->left), "recovered",
	    "group %" PRIu64 " goes on with node %" PRIu64 ", and node %u is left", shard, node,
	    node_id(loss->left));
	uint64_t before = loss->said[shard].index;
	EXPECT(before == 0 || before == said.index, "recovered",
	    "group %" PRIu64 " goes on from %" PRIu64 ", and was said to from %" PRIu64, shard,
	    said.index, before);
	if (before == 0)
		lose(world, (uint32_t)shard, &said);
}

void loss_answered(struct world *world, const char *text)
{
	struct loss *loss = &world->loss;
	bool is_directory = strstr(text, "\"phase\":\"directory\"") != NULL;
	for (const char *at = strstr(text, "\"committed\":"); at;
	     at = strstr(at + 1, "\"committed\":"))
		take_shard(world, at, is_directory);
	if (is_directory)
		return;
	EXPECT(damage_number_behind(text, "\"nothing\":") == 0, "recovered",
	    "nothing is left, and node %u is there: %s", loss->left->number, text);
	/* It is said again for those that are not told of yet. */
	for (uint32_t shard = 0; shard <= MODEL_SHARDS; shard++)
		if (loss->said[shard].index == 0)
			return;
	loss->step = LOSS_BACK;
	loss->next_ns = sim_now_ns(world->sim) + BACK_MS * NS_PER_MS;
	for (unsigned i = 0; i < LOSS_GONE; i++)
		node_replace(loss->gone[i]);
}

void loss_compare(struct world *world)
{
	const struct cluster_map *map = rest_map(world);
	world->figures.lost_done_again = model_lost_done_again(world->model);
	for (uint32_t shard = 0; shard <= MODEL_SHARDS; shard++) {
		const struct cluster_recovery *known = &map->shards[shard].recovery;
		const struct cluster_recovery *said = &world->loss.said[shard];
		EXPECT(known->index == said->index && known->committed == said->committed,
		    "recovered",
		    "group %u went on from %" PRIu64 ", committed up to %" PRIu64
		    ", and the directory says %" PRIu64 " and %" PRIu64,
		    shard, said->index, said->committed, known->index, known->committed);
	}
}

/* ---- The course ---- */

/* What a disk may still hide that lies at any time is nobody's who is alone. */
static bool may_be_left(const struct world *world, const struct node *node)
{
	return !node->disk_lies || world->figures.worlds_with_lies == 0;
}

bool loss_begin(struct world *world)
{
	struct loss *loss = &world->loss;
	if (world->seed % SEEDS_EVERY != 0 || world->node_count != NODES || world->ghost_count > 0)
		return false;
	/* Then a node has the directory alone, and others have fewer to lose. */
	for (unsigned i = 0; i < NODES; i++)
		if (world->nodes[i].is_drained)
			return false;
	unsigned left = (unsigned)world_below(world, NODES);
	for (unsigned i = 0; i < NODES && !may_be_left(world, &world->nodes[left]); i++)
		left = (left + 1) % NODES;
	loss->left = &world->nodes[left];
	if (!may_be_left(world, loss->left))
		return false;
	for (unsigned i = 0; i < LOSS_GONE; i++) {
		loss->gone[i] = &world->nodes[(left + 1 + i) % NODES];
		loss->wanted[i] = (struct meta_wanted){.node = node_id(loss->gone[i])};
	}
	for (unsigned entity = 0; entity < MODEL_ENTITIES; entity++)
		loss->revisions_before[entity] = model_revision(world->model, entity);
	loss->step = LOSS_BUSY;
	loss->next_ns = world_in_ms(world, 1, BUSY_MS_MAX);
	world->figures.worlds_with_losses++;
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

static void are_gone(struct world *world)
{
	struct loss *loss = &world->loss;
	for (unsigned i = 0; i < LOSS_GONE; i++) {
		loss->gone[i]->stays_off = true;
		node_crash(loss->gone[i], world_percent(world, 50) ? SIM_KILL : SIM_POWER_CUT);
	}
	faults_heal(world);
	loss->step = LOSS_DEAD;
}

/* One at a time: two of them that reach each other first are the cluster that was, and serve it. */
static void come_back(struct world *world)
{
	struct loss *loss = &world->loss;
	if (ghost_runs(world))
		return;
	struct node *ghost = ghost_awaited(world);
	if (ghost) {
		ghost_return(ghost);
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
		if (!is_time)
			return;
		faults_cut_off(world, loss->left);
		loss->step = LOSS_CUT;
		loss->next_ns = world_in_ms(world, CUT_MS_MIN, CUT_MS_MAX);
		return;
	case LOSS_CUT:
		if (is_time)
			are_gone(world);
		return;
	case LOSS_DEAD:
		if (load_under_way(world) == 0)
			loss->step = LOSS_WORD;
		return;
	case LOSS_WORD:
		if (is_time && admin_begin(world, ADMIN_RECOVER_LOST, NULL))
			loss->next_ns = world_in_ms(world, AGAIN_MS, 2 * AGAIN_MS);
		return;
	case LOSS_BACK:
		come_back(world);
		return;
	}
}
