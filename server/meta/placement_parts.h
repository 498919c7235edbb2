/* Inside of placement.h: what a plan is made from and of. Nodes are named by their place in the
 * map here; one behind the last stands for all that are not in it. */
#ifndef KX_SERVER_META_PLACEMENT_PARTS_H
#define KX_SERVER_META_PLACEMENT_PARTS_H

#include "server/meta/placement.h"

struct place {
	bool member; /* may have replicas */
	bool alive;
	bool full;     /* leads nothing that another one can lead, and gets no replicas */
	bool silent;   /* its disk does not answer: `full`, and of the directory, too */
	bool unfit;    /* that, or only leads nothing that another one can lead */
	bool lost;     /* dead for too long, or not in the cluster at all */
	bool gone;     /* or dead for so long that what was to come there is not waited for */
	uint32_t zone; /* a number */
	uint32_t replicas, leaders;
	uint64_t load; /* of its replicas' shards */
	uint64_t does; /* of the shards that it leads */
	bool skipped;  /* nothing can be moved away from it in this plan */
	uint32_t step; /* in which it was reached, in a search; 0: it was not */
};

struct places {
	uint32_t count;
	uint32_t at[CLUSTER_REPLICAS_MAX];
};

struct shard_state {
	struct places voters; /* wanted, with what this plan changes */
	uint32_t learners;    /* how many are wanted */
	uint32_t leader;      /* a place */
	bool rests;           /* settled, or as good as that: its last change is over */
	bool touched;         /* by this plan */
};

struct work {
	const struct placement_input *input;
	struct placement_plan *plan;
	uint32_t node_count, member_count;
	uint32_t changes_left;
	struct place *places;       /* [node_count + 1] */
	struct shard_state *shards; /* [shard_count + 1] */
	uint32_t *order;            /* [node_count + 1], for whoever sorts */
	uint32_t *reached_by;       /* [node_count + 1]: a shard */
};

static inline bool place_takes(const struct place *place)
{
	return place->member && place->alive;
}
/* For a replica of a shard; of the directory there is one everywhere, and it may use what a full
 * disk keeps back. */
static inline bool place_has_room(const struct place *place, uint32_t shard)
{
	return shard == 0 ? !place->silent : !place->full;
}
/* A replica of a shard that has none there. */
static inline bool place_gets(const struct place *place, uint32_t shard)
{
	return place_takes(place) && place_has_room(place, shard);
}
static inline bool place_leads(const struct place *place)
{
	return place_takes(place) && !place->unfit;
}
bool places_have(const struct places *places, uint32_t place);
/* How many of them are in the zone. */
uint32_t places_in_zone(const struct work *work, const struct places *places, uint32_t zone);
void places_remove(struct places *places, uint32_t place);
/* The best place for one more replica beside these: where fewest of them are in its zone, and fewer
 * than `crowd_below`, then where there are the fewest replicas. False: none. */
bool place_pick(const struct work *work, uint32_t shard, const struct places *among,
    uint32_t crowd_below, uint32_t *ret_place);
/* A shard that may be changed: see placement.h. */
bool shard_may_move(const struct work *work, uint32_t shard);
/* These are its voters from now on. */
void shard_change(struct work *work, uint32_t shard, const struct places *voters);

/* Its voters are members that live. Where one is missing, none that the shard relies on moves for
 * the sake of order. */
bool shard_is_whole(const struct work *work, uint32_t shard);
/* A replica of it goes from one place to another. */
void shard_move(struct work *work, uint32_t shard, uint32_t from, uint32_t to);
/* A replica at `to` would be in no more crowded a zone than the one at `from` is. */
bool shard_keeps_apart(const struct work *work, uint32_t shard, uint32_t from, uint32_t to);
/* Its leader may be another one. */
bool shard_may_hand_over(const struct work *work, uint32_t shard);
void shard_hand_over(struct work *work, uint32_t shard, uint32_t to);
/* From place to place by shards that may be handed over, on the shortest way, and of as long ones
 * by those that do least: reached_by[to] is the last of them, its leader the place before, and so
 * on. False: there is none. Then they may be handed over, each to the next place. False: there is
 * no room for that. */
bool place_find_way(struct work *work, uint32_t from, uint32_t to);
bool place_hand_along(struct work *work, uint32_t from, uint32_t to);

/* All are looked at again. */
void places_unskip(struct work *work);
/* So many replicas, or leaderships, have to go from one node to another until none has two more
 * than another one, where zones allow it. */
uint32_t place_uneven(const struct work *work, bool leaders);
/* 5 to 8 of placement.h. */
void place_zones_apart(struct work *work);
void place_evenly(struct work *work);
void place_leaders(struct work *work);
void place_loads(struct work *work);

#endif
