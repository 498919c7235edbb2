/* Those that do much and those that do little change places (8 of placement.h). */
#include "base/assert.h"
#include "base/mutation.h"
#include "server/meta/placement_parts.h"

/* So many of the shards that do most are tried when it comes to replicas: looking for who comes
 * back goes through all of them. */
enum { HOT_TRIED_MAX = 8 };

/* What a place takes over from a busy one. */
struct exchange {
	/* By how much the sum of squares of what the two have to do becomes less, halved: of
	 * exchanges that all gain enough the one that brings them closest. */
	__uint128_t worth;
	uint32_t shard, to;
	uint32_t back; /* the shard that comes back; UINT32_MAX: none */
};

static uint64_t load_of(const struct work *work, uint32_t shard)
{
	return work->input->shards[shard].load;
}

static uint64_t part_of(uint64_t does, uint64_t part)
{
	/* Below it nothing is worth the moves. */
	uint64_t least = MUTATION(placement_moves_for_little) ? 1 : PLACEMENT_GAIN_MIN;
	return does / part > least ? does / part : least;
}

/* By so much an exchange has to make less of what a busy place has to do. */
static uint64_t gain_of(const struct work *work, uint32_t place)
{
	return part_of(work->places[place].does, PLACEMENT_GAIN_PART);
}

static uint64_t mean(const struct work *work)
{
	uint64_t sum = 0, count = 0;
	for (uint32_t i = 0; i < work->node_count; i++) {
		count += place_leads(&work->places[i]);
		sum += place_leads(&work->places[i]) ? work->places[i].does : 0;
	}
	return count > 0 ? sum / count : 0;
}

/* Who has most to do of those that are not skipped, and too much; or UINT32_MAX. */
static uint32_t busiest(const struct work *work)
{
	uint32_t from = UINT32_MAX;
	for (uint32_t i = 0; i < work->node_count; i++) {
		const struct place *place = &work->places[i];
		if (place_leads(place) && !place->skipped &&
		    (from == UINT32_MAX || place->does > work->places[from].does))
			from = i;
	}
	uint64_t usual = mean(work), much = usual + part_of(usual, PLACEMENT_BUSY_PART);
	return from == UINT32_MAX || work->places[from].does < much ? UINT32_MAX : from;
}

static bool may_go(const struct work *work, uint32_t shard)
{
	return shard_may_hand_over(work, shard) && !work->input->shards[shard].load_rests;
}

/* Of each place the shard it leads that does least, and has a voter at `from`: in reached_by;
 * UINT32_MAX: none. */
static void find_backs(struct work *work, uint32_t from)
{
	for (uint32_t i = 0; i <= work->node_count; i++)
		work->reached_by[i] = UINT32_MAX;
	for (uint32_t shard = 1; shard <= work->input->map->shard_count; shard++) {
		const struct shard_state *state = &work->shards[shard];
		uint32_t *back = &work->reached_by[state->leader];
		if (state->leader != from && may_go(work, shard) &&
		    places_have(&state->voters, from) &&
		    (*back == UINT32_MAX || load_of(work, shard) < load_of(work, *back)))
			*back = shard;
	}
}

/* Counts stay even where nothing comes back. */
static bool leads_fewer(const struct work *work, uint32_t to, uint32_t from)
{
	return work->places[to].leaders < work->places[from].leaders;
}

/* The shard goes from its leader to `to`, and `back` from there, if that is better than what is
 * best so far, and gains `gain` at least. False: it is not. */
static bool consider(const struct work *work, uint32_t shard, uint32_t to, uint32_t back,
    uint64_t gain, struct exchange *best)
{
	uint32_t from = work->shards[shard].leader;
	uint64_t here = work->places[from].does, there = work->places[to].does;
	uint64_t more = load_of(work, shard), less = back == UINT32_MAX ? 0 : load_of(work, back);
	if (to == from || !place_leads(&work->places[to]) || more < less + gain ||
	    here < there + (more - less) + gain)
		return false;
	__uint128_t worth = (__uint128_t)(more - less) * (here - there - (more - less));
	if (worth <= best->worth)
		return false;
	*best = (struct exchange){.worth = worth, .shard = shard, .to = to, .back = back};
	return true;
}

/* ---- Leaderships ---- */

static bool has_room(const struct work *work)
{
	return work->plan->transfer_count + 2 <= PLACEMENT_TRANSFERS_MAX;
}

/* From one to the other, and one back, or none. False: nothing is gained. */
static bool exchange_two(struct work *work, uint32_t from)
{
	struct exchange best = {.worth = 0};
	find_backs(work, from);
	for (uint32_t shard = 1; shard <= work->input->map->shard_count; shard++) {
		const struct places *voters = &work->shards[shard].voters;
		if (work->shards[shard].leader != from || !may_go(work, shard))
			continue;
		for (uint32_t i = 0; i < voters->count; i++) {
			uint32_t to = voters->at[i];
			uint32_t back =
			    leads_fewer(work, to, from) ? UINT32_MAX : work->reached_by[to];
			if (back != UINT32_MAX || leads_fewer(work, to, from))
				(void)consider(work, shard, to, back, gain_of(work, from), &best);
		}
	}
	if (best.worth == 0)
		return false;
	shard_hand_over(work, best.shard, best.to);
	if (best.back != UINT32_MAX)
		shard_hand_over(work, best.back, from);
	return true;
}

/* Who is on the way back from where the shard goes does not come to have more to do than before, or
 * has so little then that it is a gain all the same; and nobody's part of it rests. */
static bool gains_all_along(const struct work *work, const struct exchange *exchange)
{
	uint32_t from = work->shards[exchange->shard].leader, at = from;
	uint64_t most = work->places[from].does - gain_of(work, from);
	uint64_t goes = load_of(work, exchange->shard);
	while (true) {
		uint32_t shard = at == exchange->to ? exchange->shard : work->reached_by[at];
		uint64_t comes = load_of(work, shard);
		uint64_t after = work->places[at].does - goes + comes;
		if (!may_go(work, shard) || (after > most && (comes > goes || at == from)))
			return false;
		if (at == exchange->to)
			return true;
		goes = comes;
		at = work->shards[shard].leader;
	}
}

/* Where the two have no shard in common that could come back, others pass one on. */
static bool exchange_round(struct work *work, uint32_t from)
{
	struct exchange best = {.worth = 0};
	for (uint32_t shard = 1; shard <= work->input->map->shard_count; shard++) {
		const struct places *voters = &work->shards[shard].voters;
		if (work->shards[shard].leader != from || !may_go(work, shard))
			continue;
		for (uint32_t i = 0; i < voters->count; i++)
			if (!leads_fewer(work, voters->at[i], from))
				(void)consider(work, shard, voters->at[i], UINT32_MAX,
				    gain_of(work, from), &best);
	}
	if (best.worth == 0 || !place_find_way(work, best.to, from) ||
	    !gains_all_along(work, &best) ||
	    work->places[from].step + work->plan->transfer_count > PLACEMENT_TRANSFERS_MAX)
		return false;
	shard_hand_over(work, best.shard, best.to);
	return place_hand_along(work, best.to, from);
}

static bool exchange_leaders(struct work *work, uint32_t from)
{
	struct placement_plan *plan = work->plan;
	uint32_t before = plan->transfer_count;
	bool done = has_room(work) && (exchange_two(work, from) || exchange_round(work, from));
	plan->load_transfers += plan->transfer_count - before;
	return done;
}

/* ---- Replicas ---- */

/* The next of those that `from` leads, from the one that does most; UINT32_MAX: no more. */
static uint32_t next_hot(const struct work *work, uint32_t from, uint32_t before)
{
	uint32_t next = UINT32_MAX;
	for (uint32_t shard = 1; shard <= work->input->map->shard_count; shard++) {
		uint64_t load = load_of(work, shard);
		if (work->shards[shard].leader != from || load == 0)
			continue;
		if (before != UINT32_MAX && (load > load_of(work, before) ||
		                                (load == load_of(work, before) && shard <= before)))
			continue;
		if (next == UINT32_MAX || load > load_of(work, next))
			next = shard;
	}
	return next;
}

/* Leaderships can be passed on from one to the other, whatever they do. */
static bool is_way(struct work *work, uint32_t from, uint32_t to)
{
	return from == to || place_find_way(work, from, to);
}

/* The shard that does least of those that can have a replica at `to` in the place of one at `from`,
 * and are not led there; UINT32_MAX: none. */
static uint32_t find_replica_back(const struct work *work, uint32_t hot, uint32_t from, uint32_t to)
{
	uint32_t best = UINT32_MAX;
	for (uint32_t shard = 1; shard <= work->input->map->shard_count; shard++) {
		const struct shard_state *state = &work->shards[shard];
		if (shard == hot || state->leader == from || !places_have(&state->voters, from) ||
		    places_have(&state->voters, to) || !place_gets(&work->places[to], shard) ||
		    !shard_is_whole(work, shard) || !shard_keeps_apart(work, shard, from, to))
			continue;
		if (best == UINT32_MAX || load_of(work, shard) < load_of(work, best))
			best = shard;
	}
	return best;
}

/* Its leadership may come from `from` to `to` then: one can be passed on the other way, with what
 * `back` adds, whose voter has gone from `to` to `at`. */
static bool is_led_there_then(
    struct work *work, uint32_t from, uint32_t to, uint32_t at, uint32_t back)
{
	if (leads_fewer(work, to, from) || is_way(work, to, from))
		return true;
	return back != UINT32_MAX && is_way(work, to, work->shards[back].leader) &&
	       is_way(work, at, from);
}

/* The voter at `at` goes to `to`. False: it cannot. */
static bool exchange_replica(struct work *work, uint32_t shard, uint32_t at, uint32_t to)
{
	uint32_t back = UINT32_MAX, leader = work->shards[shard].leader;
	bool fewer = work->places[to].replicas < work->places[at].replicas;
	if (!shard_keeps_apart(work, shard, at, to))
		return false;
	if (!fewer && (back = find_replica_back(work, shard, to, at)) == UINT32_MAX)
		return false;
	if (!is_led_there_then(work, leader, to, at, back))
		return false;
	shard_move(work, shard, at, to);
	if (back != UINT32_MAX)
		shard_move(work, back, to, at);
	work->plan->load_changes += back == UINT32_MAX ? 1 : 2;
	return true;
}

/* One of its voters does. Where zones leave none but the leader's, another one leads meanwhile. */
static bool exchange_some_replica(struct work *work, uint32_t shard, uint32_t to)
{
	const struct shard_state *state = &work->shards[shard];
	for (uint32_t i = 0; i < state->voters.count; i++)
		if (state->voters.at[i] != state->leader &&
		    exchange_replica(work, shard, state->voters.at[i], to))
			return true;
	return exchange_replica(work, shard, state->leader, to);
}

/* In the place of one of its voters, as far as zones go. */
static bool may_come(const struct work *work, uint32_t shard, uint32_t to)
{
	const struct shard_state *state = &work->shards[shard];
	if (!place_gets(&work->places[to], shard) || places_have(&state->voters, to))
		return false;
	for (uint32_t i = 0; i < state->voters.count; i++)
		if (shard_keeps_apart(work, shard, state->voters.at[i], to))
			return true;
	return false;
}

/* To where its leadership would be gained most, if that is enough. False also where one of its
 * voters is there already, or at another such place, and leaderships could not be passed on:
 * another replica does not help. */
static bool move_hot(struct work *work, uint32_t shard)
{
	const struct shard_state *state = &work->shards[shard];
	uint64_t gain = 2 * gain_of(work, state->leader);
	struct exchange best = {.worth = 0}, there = {.worth = 0};
	for (uint32_t i = 0; i < state->voters.count; i++)
		if (consider(work, shard, state->voters.at[i], UINT32_MAX, gain, &there))
			return false;
	for (uint32_t to = 0; to < work->node_count; to++)
		if (may_come(work, shard, to))
			(void)consider(work, shard, to, UINT32_MAX, gain, &best);
	return best.worth > 0 && exchange_some_replica(work, shard, best.to);
}

static bool exchange_replicas(struct work *work, uint32_t from)
{
	uint32_t shard = UINT32_MAX;
	for (int i = 0; i < HOT_TRIED_MAX; i++) {
		shard = next_hot(work, from, shard);
		if (shard == UINT32_MAX)
			return false;
		if (may_go(work, shard) && shard_is_whole(work, shard) && move_hot(work, shard))
			return true;
	}
	return false;
}

static bool may_exchange_replicas(const struct work *work)
{
	const struct placement_plan *plan = work->plan;
	return work->input->load_replicas && work->changes_left >= 2 &&
	       plan->change_count + plan->transfer_count + plan->moving == 0;
}

void place_loads(struct work *work)
{
	uint32_t moves = work->input->load_moves_max, from;
	if (!work->input->rebalance || work->plan->transfer_count > 0)
		return;
	places_unskip(work);
	while (moves > 0 && (from = busiest(work)) != UINT32_MAX) {
		if (exchange_leaders(work, from))
			moves--;
		else
			work->places[from].skipped = true;
	}
	places_unskip(work);
	from = work->input->load_moves_max > 0 ? busiest(work) : UINT32_MAX;
	if (from != UINT32_MAX && may_exchange_replicas(work))
		(void)exchange_replicas(work, from);
}
