#include "server/meta/placement.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "server/meta/placement_parts.h"

bool places_have(const struct places *places, uint32_t place)
{
	for (uint32_t i = 0; i < places->count; i++)
		if (places->at[i] == place)
			return true;
	return false;
}

static void add(struct places *places, uint32_t place)
{
	ASSERT(places->count < CLUSTER_REPLICAS_MAX);
	places->at[places->count++] = place;
}

void places_remove(struct places *places, uint32_t place)
{
	for (uint32_t i = 0; i < places->count; i++)
		if (places->at[i] == place)
			places->at[i--] = places->at[--places->count];
}

uint32_t places_in_zone(const struct work *work, const struct places *places, uint32_t zone)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < places->count; i++)
		count += work->places[places->at[i]].zone == zone;
	return count;
}

static uint32_t place_of(const struct work *work, uint16_t node)
{
	const struct cluster_node *found = cluster_map_node(work->input->map, node);
	return found ? (uint32_t)(found - work->input->map->nodes) : work->node_count;
}

static bool has_lost(const struct work *work, const struct places *places)
{
	for (uint32_t i = 0; i < places->count; i++)
		if (work->places[places->at[i]].lost)
			return true;
	return false;
}

/* ---- What is on its way ---- */

/* The group still has a voter there that is wanted no more. */
static bool is_left(const struct work *work, uint32_t shard, uint32_t place)
{
	const struct placement_shard *said = &work->input->shards[shard];
	uint16_t node = place < work->node_count ? work->input->map->nodes[place].node : 0;
	for (uint32_t i = 0; said->told && i < said->leaving_count; i++)
		if (said->leaving[i] == node)
			return true;
	return false;
}

/* A replica that is wanted there has no vote yet, as far as that is known. */
static bool is_coming(const struct work *work, uint32_t shard, uint32_t place)
{
	const struct placement_shard *said = &work->input->shards[shard];
	const struct cluster_shard *wanted = &work->input->map->shards[shard];
	for (uint32_t i = 0; said->told && said->coming != 0 && i < wanted->count; i++)
		if (said->coming >> i & 1 &&
		    place_of(work, cluster_replica_node(wanted->replicas[i].replica)) == place)
			return true;
	return false;
}

/* It was on its way to a node that is dead for long. */
static bool is_stray(const struct work *work, uint32_t shard, uint32_t place)
{
	return work->places[place].gone && is_coming(work, shard, place);
}

static bool has_stray(const struct work *work, uint32_t shard)
{
	const struct places *voters = &work->shards[shard].voters;
	for (uint32_t i = 0; i < voters->count; i++)
		if (is_stray(work, shard, voters->at[i]))
			return true;
	return false;
}

/* Nothing of it can come: who is waited for is not reached, or has no room. */
static bool waits(const struct work *work, uint32_t shard)
{
	const struct places *voters = &work->shards[shard].voters;
	uint32_t coming = 0;
	for (uint32_t i = 0; i < voters->count; i++) {
		const struct place *place = &work->places[voters->at[i]];
		if (!is_coming(work, shard, voters->at[i]))
			continue;
		if (place->alive && place_has_room(place, shard))
			return false;
		coming++;
	}
	return coming > 0;
}

/* All has come and gone; a voter that is not reached lacks some of the log. */
static bool lags(const struct work *work, uint32_t shard)
{
	const struct placement_shard *said = &work->input->shards[shard];
	const struct places *voters = &work->shards[shard].voters;
	for (uint32_t i = 0; i < voters->count; i++)
		if (!work->places[voters->at[i]].alive)
			return said->told && said->coming == 0 && said->leaving_count == 0;
	return false;
}

bool shard_may_move(const struct work *work, uint32_t shard)
{
	const struct shard_state *state = &work->shards[shard];
	if (state->touched || !work->places[state->leader].alive)
		return false;
	if (!state->rests)
		return has_lost(work, &state->voters) || has_stray(work, shard);
	uint32_t alive = 0;
	for (uint32_t i = 0; i < state->voters.count; i++)
		alive += work->places[state->voters.at[i]].alive;
	return alive > state->voters.count / 2;
}

/* ---- What comes out ---- */

static void count_voters(struct work *work, uint32_t shard, bool come)
{
	const struct places *voters = &work->shards[shard].voters;
	uint64_t load = work->input->shards[shard].load;
	for (uint32_t i = 0; shard != 0 && i < voters->count; i++) {
		struct place *place = &work->places[voters->at[i]];
		place->replicas = come ? place->replicas + 1 : place->replicas - 1;
		place->load = come ? place->load + load : place->load - load;
	}
}

static struct placement_change *begin_change(struct work *work, uint32_t shard)
{
	struct placement_plan *plan = work->plan;
	ASSERT(plan->change_count < PLACEMENT_CHANGES_MAX);
	/* Who moves already has been counted, or is one of those that wait. */
	if (work->shards[shard].rests) {
		ASSERT(work->changes_left > 0);
		work->changes_left--;
	}
	struct placement_change *change = &plan->changes[plan->change_count++];
	*change = (struct placement_change){
	    .shard = shard, .generation = work->input->map->shards[shard].generation};
	work->shards[shard].touched = true;
	return change;
}

/* Shard 0's learners stay where they are. */
static void list_directory(
    const struct work *work, const struct places *voters, struct placement_change *change)
{
	const struct cluster_shard *shard = &work->input->map->shards[0];
	for (uint32_t i = 0; i < shard->count; i++) {
		uint16_t node = cluster_replica_node(shard->replicas[i].replica);
		change->wanted[change->count++] = (struct meta_wanted){
		    .node = node, .voter = places_have(voters, place_of(work, node))};
	}
}

void shard_change(struct work *work, uint32_t shard, const struct places *voters)
{
	ASSERT(voters->count > 0);
	struct placement_change *change = begin_change(work, shard);
	if (shard == 0) {
		list_directory(work, voters, change);
	} else {
		for (uint32_t i = 0; i < voters->count; i++) {
			ASSERT(voters->at[i] < work->node_count);
			change->wanted[change->count++] = (struct meta_wanted){
			    .node = work->input->map->nodes[voters->at[i]].node, .voter = true};
		}
	}
	count_voters(work, shard, false);
	work->shards[shard].voters = *voters;
	count_voters(work, shard, true);
}

static bool has_room(const struct work *work, uint32_t shard)
{
	return work->plan->change_count < PLACEMENT_CHANGES_MAX &&
	       (work->changes_left > 0 || !work->shards[shard].rests);
}

/* ---- Replicas that come and go: 1 to 4 ---- */

bool place_pick(const struct work *work, uint32_t shard, const struct places *among,
    uint32_t crowd_below, uint32_t *ret_place)
{
	const struct cluster_map *map = work->input->map;
	uint32_t best = UINT32_MAX, best_zone = 0;
	for (uint32_t i = 0; i < work->node_count; i++) {
		const struct place *place = &work->places[i];
		if (!place_gets(place, shard) || places_have(among, i) || is_left(work, shard, i))
			continue;
		/* The directory is on all nodes: only who of them votes is chosen. */
		if (shard == 0 && !cluster_map_replica(map, 0, map->nodes[i].node))
			continue;
		uint32_t zone = places_in_zone(work, among, place->zone);
		if (zone >= crowd_below)
			continue;
		if (best == UINT32_MAX || zone < best_zone ||
		    (zone == best_zone && place->replicas < work->places[best].replicas)) {
			best = i;
			best_zone = zone;
		}
	}
	*ret_place = best;
	return best != UINT32_MAX;
}

/* Which of two goes first where there are too many. */
static bool rather_goes(const struct work *work, const struct shard_state *state,
    const struct places *among, uint32_t a, uint32_t b)
{
	const struct place *x = &work->places[a], *y = &work->places[b];
	if (x->alive != y->alive)
		return !x->alive;
	uint32_t in_x = places_in_zone(work, among, x->zone);
	uint32_t in_y = places_in_zone(work, among, y->zone);
	if (in_x != in_y)
		return in_x > in_y;
	if (x->replicas != y->replicas)
		return x->replicas > y->replicas;
	if ((a == state->leader) != (b == state->leader))
		return b == state->leader;
	return a > b;
}

static void drop_one(
    const struct work *work, const struct shard_state *state, struct places *voters)
{
	ASSERT(voters->count > 1);
	uint32_t worst = voters->at[0];
	for (uint32_t i = 1; i < voters->count; i++)
		if (rather_goes(work, state, voters, voters->at[i], worst))
			worst = voters->at[i];
	places_remove(voters, worst);
}

/* How many voters the shard should have. */
static uint32_t voters_wanted(const struct work *work, uint32_t shard)
{
	uint32_t wanted =
	    shard == 0 ? CLUSTER_DIRECTORY_VOTERS : work->input->map->replication_factor;
	if (wanted > work->member_count)
		wanted = work->member_count;
	/* With nowhere to go they stay. */
	return wanted > 0 ? wanted : work->shards[shard].voters.count;
}

/* An even number of votes survives no more than one fewer, and in the directory it costs nothing to
 * be without one: the replica stays, and gets its vote again when its node is back. */
static bool is_idle_vote(
    const struct work *work, uint32_t shard, uint32_t at, const struct places *voters)
{
	return shard == 0 && work->places[at].lost && voters->count % 2 == 1;
}

/* Those that should not be there, and are for want of others: who lives is worth more. */
static void put_back(const struct work *work, uint32_t shard, bool alive, bool member,
    uint32_t wanted, struct places *voters)
{
	const struct places *before = &work->shards[shard].voters;
	for (uint32_t i = 0; i < before->count && voters->count < wanted; i++) {
		uint32_t at = before->at[i];
		const struct place *place = &work->places[at];
		/* Nobody stands in its place meanwhile: it is worth nothing. */
		if (is_stray(work, shard, at) && work->input->shards[shard].leaving_count == 0)
			continue;
		if (is_idle_vote(work, shard, at, voters))
			continue;
		if (at < work->node_count && place->alive == alive && place->member == member &&
		    work->input->map->nodes[at].state != CLUSTER_NODE_REMOVED &&
		    !places_have(voters, at))
			add(voters, at);
	}
}

/* Where the shard's voters should be; what need not move stays. */
static void repair(const struct work *work, uint32_t shard, struct places *ret_voters)
{
	const struct shard_state *state = &work->shards[shard];
	uint32_t wanted = voters_wanted(work, shard), more;
	*ret_voters = (struct places){.count = 0};
	for (uint32_t i = 0; i < state->voters.count; i++) {
		const struct place *place = &work->places[state->voters.at[i]];
		if (place->member && !place->lost && !is_stray(work, shard, state->voters.at[i]))
			add(ret_voters, state->voters.at[i]);
	}
	while (ret_voters->count < wanted && place_pick(work, shard, ret_voters, UINT32_MAX, &more))
		add(ret_voters, more);
	put_back(work, shard, true, false, wanted, ret_voters);
	put_back(work, shard, false, true, wanted, ret_voters);
	put_back(work, shard, false, false, wanted, ret_voters);
	while (ret_voters->count > wanted)
		drop_one(work, state, ret_voters);
}

enum urgency { URGENCY_LOST, URGENCY_FEW, URGENCY_DRAINED, URGENCY_MANY, URGENCY_NONE };

static enum urgency urgency_of(const struct work *work, uint32_t shard)
{
	const struct shard_state *state = &work->shards[shard];
	if (has_lost(work, &state->voters) || has_stray(work, shard))
		return URGENCY_LOST;
	if (state->voters.count < voters_wanted(work, shard))
		return URGENCY_FEW;
	for (uint32_t i = 0; i < state->voters.count; i++)
		if (!work->places[state->voters.at[i]].member)
			return URGENCY_DRAINED;
	if (state->voters.count > voters_wanted(work, shard) || (shard != 0 && state->learners > 0))
		return URGENCY_MANY;
	return URGENCY_NONE;
}

static bool same(const struct places *a, const struct places *b)
{
	for (uint32_t i = 0; i < a->count; i++)
		if (!places_have(b, a->at[i]))
			return false;
	return a->count == b->count;
}

static void repair_all(struct work *work, enum urgency urgency)
{
	for (uint32_t shard = 0; shard <= work->input->map->shard_count; shard++) {
		const struct shard_state *state = &work->shards[shard];
		struct places next;
		if (urgency_of(work, shard) != urgency || !has_room(work, shard) ||
		    !shard_may_move(work, shard))
			continue;
		repair(work, shard, &next);
		if (next.count > 0 && (!same(&next, &state->voters) || urgency == URGENCY_MANY))
			shard_change(work, shard, &next);
	}
}

/* Shards that have to change, and can, beside those that do already. */
static uint32_t count_repairs(const struct work *work)
{
	uint32_t count = 0;
	for (uint32_t shard = 0; shard <= work->input->map->shard_count; shard++) {
		const struct shard_state *state = &work->shards[shard];
		struct places next;
		if (urgency_of(work, shard) == URGENCY_NONE || !state->rests ||
		    !shard_may_move(work, shard))
			continue;
		repair(work, shard, &next);
		count += next.count > 0 && !same(&next, &state->voters);
	}
	return count;
}

static void count_left(struct work *work)
{
	struct placement_plan *plan = work->plan;
	uint32_t changes = plan->moving + plan->waiting + count_repairs(work);
	uint32_t uneven = work->input->rebalance ? place_uneven(work, false) : 0;
	plan->left = (changes > uneven ? changes : uneven) +
	             (work->input->rebalance ? place_uneven(work, true) : 0);
}

/* ---- What goes in ---- */

static uint32_t zone_of(const struct cluster_map *map, uint32_t at)
{
	for (uint32_t i = 0; i < at && map->nodes[at].zone[0]; i++)
		if (strcmp(map->nodes[i].zone, map->nodes[at].zone) == 0)
			return i;
	return at;
}

static void read_nodes(struct work *work)
{
	const struct cluster_map *map = work->input->map;
	for (uint32_t i = 0; i < map->node_count; i++) {
		const struct placement_node *node = &work->input->nodes[i];
		struct place *place = &work->places[i];
		bool removed = map->nodes[i].state == CLUSTER_NODE_REMOVED;
		place->member = map->nodes[i].state == CLUSTER_NODE_MEMBER;
		place->alive = node->alive && !removed;
		place->silent = node->silent;
		place->full = node->full || node->silent;
		place->unfit = place->full || node->no_bundle;
		place->lost =
		    removed || (!node->alive && node->dead_ms >= work->input->dead_ms_max);
		place->gone =
		    place->lost || (!node->alive && node->dead_ms >= work->input->come_ms_max);
		place->zone = zone_of(map, i);
		work->member_count += place->member;
	}
	work->places[map->node_count] = (struct place){.lost = true, .zone = map->node_count};
}

/* So many wait without taking room from others; those above that may be more than would fit when
 * all of them can go on. */
static void count_waiting(struct work *work)
{
	struct placement_plan *plan = work->plan;
	if (plan->waiting > work->input->moves_max)
		plan->moving += plan->waiting - work->input->moves_max;
}

/* Nobody will lead it any more: all that are wanted were on nodes that were removed. */
static bool is_over(const struct work *work, const struct shard_state *state)
{
	const struct cluster_map *map = work->input->map;
	for (uint32_t i = 0; i < state->voters.count; i++) {
		uint32_t at = state->voters.at[i];
		if (at < work->node_count && map->nodes[at].state != CLUSTER_NODE_REMOVED)
			return false;
	}
	return true;
}

static void read_shards(struct work *work)
{
	const struct cluster_map *map = work->input->map;
	for (uint32_t shard = 0; shard <= map->shard_count; shard++) {
		const struct cluster_shard *wanted = &map->shards[shard];
		const struct placement_shard *said = &work->input->shards[shard];
		struct shard_state *state = &work->shards[shard];
		ASSERT(wanted->count <= CLUSTER_REPLICAS_MAX);
		for (uint32_t i = 0; i < wanted->count; i++) {
			uint16_t node = cluster_replica_node(wanted->replicas[i].replica);
			if (wanted->replicas[i].voter)
				add(&state->voters, place_of(work, node));
			else
				state->learners++;
		}
		count_voters(work, shard, true);
		state->leader = place_of(work, said->leader);
		state->rests = said->settled || lags(work, shard);
		if (work->places[state->leader].alive) {
			bool held = !state->rests && waits(work, shard);
			work->places[state->leader].leaders += shard != 0;
			work->places[state->leader].does += shard != 0 ? said->load : 0;
			work->plan->waiting += held;
			work->plan->moving += !state->rests && !held;
			work->plan->resting += state->rests && !said->settled;
		} else {
			work->plan->unled += !is_over(work, state);
		}
	}
}

static int allocate(struct work *work)
{
	size_t nodes = (size_t)work->node_count + 1;
	size_t shards = (size_t)work->input->map->shard_count + 1;
	work->places = mem_zalloc(nodes, sizeof(*work->places));
	work->shards = mem_zalloc(shards, sizeof(*work->shards));
	work->order = mem_zalloc(nodes, sizeof(*work->order));
	work->reached_by = mem_zalloc(nodes, sizeof(*work->reached_by));
	return work->places && work->shards && work->order && work->reached_by ? 0 : ERR_NOMEM;
}

static void make_plan(struct work *work)
{
	read_nodes(work);
	read_shards(work);
	count_left(work);
	count_waiting(work);
	if (work->input->moves_max > work->plan->moving)
		work->changes_left = work->input->moves_max - work->plan->moving;
	if (work->changes_left > PLACEMENT_CHANGES_MAX)
		work->changes_left = PLACEMENT_CHANGES_MAX;
	for (int urgency = URGENCY_LOST; urgency < URGENCY_NONE; urgency++)
		repair_all(work, (enum urgency)urgency);
	place_zones_apart(work);
	place_evenly(work);
	place_leaders(work);
	place_loads(work);
	/* Zones, and whom leaders can be handed to, allow no more. */
	struct placement_plan *plan = work->plan;
	if (plan->moving + plan->waiting + plan->change_count + plan->transfer_count == 0)
		plan->left = 0;
}

int placement_plan(const struct placement_input *input, struct placement_plan *ret_plan)
{
	struct work work = {.input = input, .plan = ret_plan, .node_count = input->map->node_count};
	int error = allocate(&work);
	if (!error) {
		*ret_plan = (struct placement_plan){.moving = 0};
		make_plan(&work);
	}
	mem_free(work.places);
	mem_free(work.shards);
	mem_free(work.order);
	mem_free(work.reached_by);
	return error;
}
