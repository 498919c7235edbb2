/* Where each shard's replicas should be, and who should lead: what the directory's leader changes
 * next (META_SHARD_SET, and a word to a shard's leader), asked now and then with what it knows.
 *
 * A shard has as many voters as the map's replication factor says, or as there are members where
 * those are fewer. In this order, as far as `moves_max` allows:
 *
 *   1. a replica whose node is dead for longer than `dead_ms_max` is replaced
 *   2. where there are too few, one comes
 *   3. a node that is drained loses its replicas: to another one, or, where there is none and
 *      enough are left, to nobody
 *   4. where there are too many, some go
 *   5. replicas of a shard are in different zones, or as few as possible in one
 *   6. no node has two more of them than another one
 *   7. no node leads two more shards than another one, of those whose disks have room
 *   8. where that is so, leaderships of shards that do much and of shards that do little change
 *      places, so that no node has much more to do than others; and where no leadership can be
 *      handed on to where there is little to do, replicas do
 *
 * 5 to 8 only with `rebalance`, and nothing moves that need not. A dead replica that cannot be
 * replaced stays: it costs nothing, and may come back with what it has.
 *
 * A shard is touched only where somebody leads it, a majority lives, and its last change has come
 * to its end; but a replica that was never made, because its node died first, is replaced all the
 * same: that change would have no end (reconcile.h goes on from anywhere).
 *
 * Moves that cannot go on. A replica that comes has no vote yet, and where its node is not reached,
 * or its disk is full or does not answer, the shard waits for it. Up to `moves_max` of such shards
 * leave their room to others: or a node that dies while replicas come to it would hold up all that
 * moves elsewhere. When it is back they go on. Where it is dead for `come_ms_max` the replica goes
 * to another node; where there is none it is wanted no more, so that its group need not keep it,
 * and comes anew with its node (2). Only where an old voter stays in its place until then it is
 * waited for: the shard has all of its voters, and the one that was to go cannot be wanted again
 * under its number. For the same reason no replica goes to a node from which the group has one that
 * is about to leave.
 *
 * A shard of which nothing is to move, but a voter that is not reached lacks more and more of the
 * log, has come to rest all the same: it may change, and be led by another one.
 *
 * A node whose disk is full is given no replica, but keeps those that it has. It is given nothing
 * to lead, and neither is one that lacks a bundle. One whose disk does not answer is treated as if
 * that were full; and of the directory, which uses what a full disk keeps back, it gets no vote.
 *
 * Loads (8). Counts come first, and stay even: what a shard costs at rest, and what is missing when
 * its node dies, goes by count; and so the rules never undo each other's work. Without loads, and
 * where all are alike, nothing is exchanged. A node has to do what the shards do that it leads. It
 * is busy with a tenth more than the mean, or PLACEMENT_GAIN_MIN, whatever is more. Of the busiest
 * a shard is handed to another of its voters, which hands one back that does less: itself, or on a
 * way over others, or none where it leads one less. That has to be a gain for all: the busiest has
 * less to do then by a twelfth, or PLACEMENT_GAIN_MIN, and so has whoever comes to have more to do,
 * if compared with what the busiest had. Of those the exchange is taken that brings the two
 * closest.
 *
 * So what nodes have to do, from the most to the least, becomes less with each exchange: while
 * loads do not change that comes to an end. And the same exchange is worth being taken back only
 * after they have changed by twice the gain. (The tenth, with a bound below it, is CockroachDB's
 * for what it calls an overfull store, and leaders go before replicas both there and in TiKV: see
 * load.h, which also says when.)
 *
 * Where nothing can be gained so, since a shard that does much has no voter where there is little
 * to do, one of its voters goes there, rather not the leader, and another shard's comes from there,
 * if twice the gain is in it: it can be led there in a later plan. That is the last thing that a
 * plan thinks of, where nothing else moves.
 *
 * The directory has a replica on every node, which joins and goes with it. Here it is only said
 * who of them votes: up to CLUSTER_DIRECTORY_VOTERS, members that live, zones apart. Where there is
 * nobody else one that is dead for longer than `dead_ms_max` keeps its vote, but only where their
 * number would be even without it: four with a dead one survive nothing, three do.
 *
 * Of a zone that is "" a node is the only one. Deterministic, and pure but for memory.
 */
#ifndef KX_SERVER_META_PLACEMENT_H
#define KX_SERVER_META_PLACEMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "server/meta/cluster_map.h"
#include "server/meta/meta.h"

struct placement_node {
	bool alive;
	uint64_t dead_ms; /* where it is not: for how long */
	bool full;        /* its disk: it is given nothing to lead, and no replicas */
	bool no_bundle;   /* of what is active: it is given nothing to lead */
	/* Its disk does not answer, or has only since a moment: it is given nothing to lead, and no
	 * replicas. So long it does not, 0: it does again. */
	bool silent;
	uint64_t waiting_ms;
};

/* What the shard's leader has said last. */
struct placement_shard {
	uint16_t leader; /* its node; 0: nobody is known to lead */
	/* Its members are as they are wanted, in the generation that the map has
	 * (RECONCILE_DONE). */
	bool settled;
	/* In any unit, of its leader; also where replicas move, loads become alike. */
	uint64_t load;
	bool load_rests; /* it has moved lately: its leadership stays, as far as loads go */
	/* It was said of the generation that the map has; else nothing is known of these. */
	bool told;
	uint64_t coming; /* bit i: the map's replica i is to vote, and does not yet */
	/* Nodes of voters that are wanted no more: they go when others have come. */
	uint32_t leaving_count;
	uint16_t leaving[GROUP_REPLICAS_MAX];
};

struct placement_input {
	const struct cluster_map *map;
	const struct placement_node *nodes;   /* [map->node_count], as they stand there */
	const struct placement_shard *shards; /* [map->shard_count + 1] */
	uint64_t dead_ms_max;
	/* So long a replica that comes is waited for, and no longer than dead_ms_max. */
	uint64_t come_ms_max;
	uint32_t moves_max; /* shards that change at the same time */
	bool rebalance;
	/* So many leaderships are exchanged for loads; where that is more than 0, replicas too. */
	uint32_t load_moves_max;
	bool load_replicas;
};

enum {
	PLACEMENT_CHANGES_MAX = 64,
	PLACEMENT_TRANSFERS_MAX = 64,
	/* In the unit of loads; and parts of what a node, or nodes on the mean, have to do. */
	PLACEMENT_GAIN_MIN = 50,
	PLACEMENT_BUSY_PART = 10,
	PLACEMENT_GAIN_PART = 12,
};

struct placement_change {
	uint32_t shard;
	uint64_t generation; /* the one to be expected */
	uint32_t count;
	struct meta_wanted wanted[CLUSTER_REPLICAS_MAX];
};

struct placement_transfer {
	uint32_t shard;
	uint16_t to; /* node */
};

/* Of one shard there is one change or one transfer. */
struct placement_plan {
	/* Shards that had not settled, but are led: those that may go on, with those that wait
	 * where they are too many; and all that wait. */
	uint32_t moving, waiting;
	uint32_t resting; /* led, and not settled only since a voter is not reached */
	/* Nobody that lives is known to lead: what is left of them is not known. Without those of
	 * which nothing is left, since all their nodes were removed. */
	uint32_t unled;
	/* With those, as far as it can be told now: shards that have to change, and leaderships to
	 * be handed over, until nothing is planned any more. 0: nothing is, but for what may come
	 * where nobody leads. */
	uint32_t left;
	uint32_t change_count, transfer_count;
	/* The last of those, which are for loads; in `left` is nothing of them. */
	uint32_t load_changes, load_transfers;
	struct placement_change changes[PLACEMENT_CHANGES_MAX];
	struct placement_transfer transfers[PLACEMENT_TRANSFERS_MAX];
};

/* ERR_NOMEM. */
NODISCARD int placement_plan(const struct placement_input *input, struct placement_plan *ret_plan);

#endif
