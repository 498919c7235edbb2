/* Zones apart, as many replicas and leaders here as there. */
#include "base/assert.h"
#include "server/meta/placement_parts.h"

static bool may_move_more(const struct work *work)
{
	return work->input->rebalance && work->changes_left > 0 &&
	       work->plan->change_count < PLACEMENT_CHANGES_MAX;
}

bool shard_is_whole(const struct work *work, uint32_t shard)
{
	const struct places *voters = &work->shards[shard].voters;
	for (uint32_t i = 0; i < voters->count; i++)
		if (!place_takes(&work->places[voters->at[i]]))
			return false;
	return shard_may_move(work, shard);
}

void shard_move(struct work *work, uint32_t shard, uint32_t from, uint32_t to)
{
	struct places next = work->shards[shard].voters;
	for (uint32_t i = 0; i < next.count; i++)
		if (next.at[i] == from)
			next.at[i] = to;
	shard_change(work, shard, &next);
}

/* ---- Zones ---- */

/* A replica of the zone that has the most of them; false: no two are in one. */
static bool most_crowded(
    const struct work *work, uint32_t shard, uint32_t *ret_place, uint32_t *ret_count)
{
	const struct shard_state *state = &work->shards[shard];
	*ret_count = 1;
	for (uint32_t i = 0; i < state->voters.count; i++) {
		uint32_t at = state->voters.at[i];
		uint32_t count = places_in_zone(work, &state->voters, work->places[at].zone);
		bool better = count > *ret_count;
		/* Of as many the one whose node has the most, and rather not the leader. */
		if (count > 1 && count == *ret_count) {
			uint32_t here = work->places[at].replicas;
			uint32_t there = work->places[*ret_place].replicas;
			better |= here > there || (here == there && *ret_place == state->leader);
		}
		if (better) {
			*ret_place = at;
			*ret_count = count;
		}
	}
	return *ret_count > 1;
}

void place_zones_apart(struct work *work)
{
	for (uint32_t shard = 0; shard <= work->input->map->shard_count; shard++) {
		uint32_t from = 0, to, crowd;
		if (!may_move_more(work))
			return;
		if (most_crowded(work, shard, &from, &crowd) && shard_is_whole(work, shard) &&
		    place_pick(work, shard, &work->shards[shard].voters, crowd - 1, &to))
			shard_move(work, shard, from, to);
	}
}

/* ---- Replicas ---- */

struct candidate {
	bool found;
	uint32_t shard, to;
	bool fits;
	uint64_t load;
};

/* Of those that go to equally empty nodes: what makes the loads alike, and of those the heaviest;
 * else the lightest, which costs least. */
static bool is_better(const struct work *work, const struct candidate *a, const struct candidate *b)
{
	uint32_t at_a = work->places[a->to].replicas;
	if (!b->found || at_a != work->places[b->to].replicas)
		return !b->found || at_a < work->places[b->to].replicas;
	if (a->fits != b->fits)
		return a->fits;
	return a->fits ? a->load > b->load : a->load < b->load;
}

/* Those that have the fewest first. */
static uint32_t sort_places(struct work *work)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < work->node_count; i++) {
		if (!place_takes(&work->places[i]))
			continue;
		uint32_t at = count++;
		for (; at > 0 &&
		       work->places[work->order[at - 1]].replicas > work->places[i].replicas;
		     at--)
			work->order[at] = work->order[at - 1];
		work->order[at] = i;
	}
	return count;
}

bool shard_keeps_apart(const struct work *work, uint32_t shard, uint32_t from, uint32_t to)
{
	struct places rest = work->shards[shard].voters;
	places_remove(&rest, from);
	return places_in_zone(work, &rest, work->places[to].zone) <=
	       places_in_zone(work, &rest, work->places[from].zone);
}

/* Where a replica of `from` can go: to a node that has two fewer at least, and into no zone that
 * has more of the shard. */
static bool find_target(
    const struct work *work, uint32_t count, uint32_t shard, uint32_t from, uint32_t *ret_to)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t to = work->order[i];
		if (work->places[to].replicas + 2 > work->places[from].replicas)
			return false;
		if (places_have(&work->shards[shard].voters, to) ||
		    !place_gets(&work->places[to], shard) ||
		    !shard_keeps_apart(work, shard, from, to))
			continue;
		*ret_to = to;
		return true;
	}
	return false;
}

/* False: nothing can be moved away from there. */
static bool move_from(struct work *work, uint32_t count, uint32_t from)
{
	struct candidate best = {.found = false};
	for (uint32_t shard = 1; shard <= work->input->map->shard_count; shard++) {
		struct candidate candidate = {
		    .found = true, .shard = shard, .load = work->input->shards[shard].load};
		if (!places_have(&work->shards[shard].voters, from) ||
		    !shard_is_whole(work, shard) ||
		    !find_target(work, count, shard, from, &candidate.to))
			continue;
		uint64_t here = work->places[from].load, there = work->places[candidate.to].load;
		candidate.fits = here > there && candidate.load <= (here - there) / 2;
		if (is_better(work, &candidate, &best))
			best = candidate;
	}
	if (best.found)
		shard_move(work, best.shard, from, best.to);
	return best.found;
}

void place_evenly(struct work *work)
{
	while (may_move_more(work)) {
		uint32_t count = sort_places(work), at = count;
		while (at > 0 && work->places[work->order[at - 1]].skipped)
			at--;
		/* No other has fewer by two, or all have been gone through. */
		if (at == 0 || work->places[work->order[at - 1]].replicas <
		                   work->places[work->order[0]].replicas + 2)
			return;
		uint32_t from = work->order[at - 1];
		if (!move_from(work, count, from))
			work->places[from].skipped = true;
	}
}

static bool counts(const struct place *place, bool leaders)
{
	return leaders ? place_leads(place) : place_takes(place) && !place->full;
}

uint32_t place_uneven(const struct work *work, bool leaders)
{
	uint32_t nodes = 0, sum = 0, above = 0, below = 0;
	for (uint32_t i = 0; i < work->node_count; i++) {
		const struct place *place = &work->places[i];
		nodes += counts(place, leaders);
		if (counts(place, leaders))
			sum += leaders ? place->leaders : place->replicas;
	}
	for (uint32_t i = 0; i < work->node_count; i++) {
		const struct place *place = &work->places[i];
		uint32_t has = leaders ? place->leaders : place->replicas;
		if (!counts(place, leaders))
			continue;
		uint32_t least = sum / nodes, most = least + (sum % nodes > 0);
		above += has > most ? has - most : 0;
		below += has < least ? least - has : 0;
	}
	return above > below ? above : below;
}

void places_unskip(struct work *work)
{
	for (uint32_t i = 0; i < work->node_count; i++)
		work->places[i].skipped = false;
}

/* ---- Leaders ---- */

bool shard_may_hand_over(const struct work *work, uint32_t shard)
{
	const struct shard_state *state = &work->shards[shard];
	return state->rests && !state->touched && work->places[state->leader].alive;
}

void shard_hand_over(struct work *work, uint32_t shard, uint32_t to)
{
	struct placement_plan *plan = work->plan;
	struct shard_state *state = &work->shards[shard];
	ASSERT(plan->transfer_count < PLACEMENT_TRANSFERS_MAX && !state->touched);
	plan->transfers[plan->transfer_count++] =
	    (struct placement_transfer){.shard = shard, .to = work->input->map->nodes[to].node};
	uint64_t load = work->input->shards[shard].load;
	work->places[state->leader].leaders--;
	work->places[state->leader].does -= load;
	work->places[to].leaders++;
	work->places[to].does += load;
	state->leader = to;
	state->touched = true;
}

/* Nobody who is drained leads, but the directory: its turn comes when it votes no more. */
static void relieve_drained(struct work *work)
{
	for (uint32_t shard = 1; shard <= work->input->map->shard_count; shard++) {
		const struct shard_state *state = &work->shards[shard];
		if (work->plan->transfer_count == PLACEMENT_TRANSFERS_MAX)
			return;
		if (!shard_may_hand_over(work, shard) || work->places[state->leader].member)
			continue;
		uint32_t best = UINT32_MAX;
		for (uint32_t i = 0; i < state->voters.count; i++) {
			uint32_t at = state->voters.at[i];
			if (place_leads(&work->places[at]) &&
			    (best == UINT32_MAX ||
			        work->places[at].leaders < work->places[best].leaders))
				best = at;
		}
		if (best != UINT32_MAX)
			shard_hand_over(work, shard, best);
	}
}

/* Who leads the fewest of those that were reached in this step, and two fewer than `from`; or
 * UINT32_MAX. */
static uint32_t best_relief(const struct work *work, uint32_t from, uint32_t step)
{
	uint32_t best = UINT32_MAX;
	for (uint32_t i = 0; i < work->node_count; i++) {
		const struct place *place = &work->places[i];
		if (place->step == step && place->leaders + 2 <= work->places[from].leaders &&
		    (best == UINT32_MAX || place->leaders < work->places[best].leaders))
			best = i;
	}
	return best;
}

/* The shard reaches one of its voters, which was not reached before this step; of those that do the
 * one that does least: nothing has to be made good for it. */
static bool reach(const struct work *work, uint32_t shard, uint32_t at, uint32_t step)
{
	struct place *to = &work->places[at];
	if (!place_leads(to) || (to->step != 0 && to->step != step))
		return false;
	if (to->step == step &&
	    work->input->shards[work->reached_by[at]].load <= work->input->shards[shard].load)
		return false;
	to->step = step;
	work->reached_by[at] = shard;
	return true;
}

/* Who can be relieved by whom, in steps from `from`: a shard that it leads goes to another of its
 * voters, one that this leads to a third. `step` says who is reached after so many, and reached_by
 * through which shard. False: nobody was. */
static bool reach_more(const struct work *work, uint32_t step)
{
	bool reached = false;
	for (uint32_t shard = 1; shard <= work->input->map->shard_count; shard++) {
		const struct shard_state *state = &work->shards[shard];
		if (work->places[state->leader].step != step || !shard_may_hand_over(work, shard))
			continue;
		for (uint32_t i = 0; i < state->voters.count; i++)
			reached |= reach(work, shard, state->voters.at[i], step + 1);
	}
	return reached;
}

static void begin_ways(struct work *work, uint32_t from)
{
	for (uint32_t i = 0; i <= work->node_count; i++)
		work->places[i].step = 0;
	work->places[from].step = 1;
}

bool place_find_way(struct work *work, uint32_t from, uint32_t to)
{
	begin_ways(work, from);
	for (uint32_t step = 1; work->places[to].step == 0; step++)
		if (!reach_more(work, step))
			return false;
	return true;
}

bool place_hand_along(struct work *work, uint32_t from, uint32_t to)
{
	uint32_t steps = work->places[to].step - 1;
	if (steps + work->plan->transfer_count > PLACEMENT_TRANSFERS_MAX)
		return false;
	while (to != from) {
		uint32_t shard = work->reached_by[to], next = work->shards[shard].leader;
		shard_hand_over(work, shard, to);
		to = next;
	}
	return true;
}

/* The nearest one that leads two fewer, or UINT32_MAX. */
static uint32_t find_relief(struct work *work, uint32_t from)
{
	uint32_t best = UINT32_MAX;
	begin_ways(work, from);
	for (uint32_t step = 1; best == UINT32_MAX && reach_more(work, step); step++)
		best = best_relief(work, from, step + 1);
	return best;
}

/* True: somebody was relieved. False also where there is no room for it. */
static bool relieve(struct work *work, uint32_t from)
{
	uint32_t to = find_relief(work, from);
	return to != UINT32_MAX && place_hand_along(work, from, to);
}

void place_leaders(struct work *work)
{
	relieve_drained(work);
	places_unskip(work);
	while (work->input->rebalance && work->plan->transfer_count < PLACEMENT_TRANSFERS_MAX) {
		uint32_t from = UINT32_MAX, fewest = UINT32_MAX;
		for (uint32_t i = 0; i < work->node_count; i++) {
			const struct place *place = &work->places[i];
			if (!place_leads(place))
				continue;
			if (place->leaders < fewest)
				fewest = place->leaders;
			if (!place->skipped &&
			    (from == UINT32_MAX || place->leaders > work->places[from].leaders))
				from = i;
		}
		if (from == UINT32_MAX || work->places[from].leaders < fewest + 2)
			return;
		if (!relieve(work, from))
			work->places[from].skipped = true;
	}
}
