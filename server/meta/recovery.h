/* Unsafe recovery: nodes are gone for ever, and with them the majority of some shards. Which
 * replica of each such shard is to go on alone, from what those that are left say of themselves.
 *
 * Chosen is the replica whose log no other one's is ahead of (raft_position, by term): it has all
 * that any of those that are left knows to be committed. For: what is committed up to a term's
 * election is in that term's leader's log, and the logs that end in a term are the beginnings of
 * its leader's log. So everyone who is left is asked, or given up too: one who had more, and came
 * back later, would have seen something committed that is not there any more.
 *
 * So what any of them knows to be committed is surely kept, and nobody who is left can say more:
 * behind that the chosen one's log may have entries that nobody acknowledged (it led when it was
 * cut off) at indices at which others acknowledged different ones; and behind its end nothing is
 * kept.
 *
 * The term that it takes is above all that any of them has seen, and above that of the recovery
 * before: else an entry of it could stand in another log at the same index with the same term.
 * RECOVERY_TERMS more keep it clear of terms that those had who are given up, in case that one of
 * them is heard all the same.
 *
 * What counts is what they say when all that is damaged has been found: they may have gone on from
 * what they said before that (recovery_is_present).
 *
 * A replica that is damaged has said that nothing of it counts any more: it is lost, though its
 * node lives, and has other shards that are whole.
 *
 * So is one that is not there though its node is: it left its group, which a log that ends before
 * that does not know, or it was wanted and never came. Its node says so when it is asked, and that
 * there is nothing can be relied on: a number is never given twice, and no node has a replica made
 * anew as a map has it that may be older than what it did (cluster_map.h, `is_caught_up`).
 *
 * A shard is left alone where somebody leads it, or where those that are left are a majority of
 * what its members are, by the chosen one's log; and where one was chosen before, and has not gone
 * on yet.
 *
 * Pure. Any thread.
 */
#ifndef KX_SERVER_META_RECOVERY_H
#define KX_SERVER_META_RECOVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/meta/cluster_map.h"

enum {
	RECOVERY_TERMS = 1000,
	RECOVERY_NODES_MAX = CLUSTER_REPLICAS_MAX,
	/* What a replica said counts for so long. */
	RECOVERY_SAID_MS = 5000,
	/* A replica that has reached no leader for so long has others asked that say nothing: no
	 * leader died just now, and has a successor soon. */
	RECOVERY_ASKS_MS = 3000,
	/* What was said so long ago is asked for again, so that it counts on. */
	RECOVERY_OLD_MS = RECOVERY_SAID_MS / 2,
	/* What was said of a damaged replica of the directory: its node asks the others for another
	 * one, one after the other, and may wait for each answer. */
	RECOVERY_ASKED_MS = 40000,
	/* What a whole replica said counts when it came so long after the last news of damage: it
	 * may have been under way. Each says so twice a second. */
	RECOVERY_AFTER_MS = 1000,
	/* So long that may take where most of the nodes there can be give none. */
	RECOVERY_ROUND_MS = CLUSTER_REPLICAS_MAX * 15000,
};

struct recovery_member {
	uint64_t replica;
	unsigned roles; /* enum raft_role_bits */
};

/* A replica that knows of no leader, or one that is damaged, and has no members and no log then; or
 * a node that has none of the shard. */
struct recovery_said {
	uint32_t shard;
	uint64_t replica; /* of none: recovery_none_of its node */
	bool damaged;
	uint64_t term; /* that it has seen */
	/* Of the end of its log; 0: it has none. */
	uint64_t last_term, last_index;
	uint64_t committed; /* up to here that is known to be; at most last_index */
	uint32_t count;
	struct recovery_member members[CLUSTER_REPLICAS_MAX];
};

/* Nodes that are given up. Those that the map has as removed are, too. */
struct recovery_lost {
	uint32_t count;
	uint16_t nodes[RECOVERY_NODES_MAX];
};

enum recovery_kind {
	RECOVERY_NONE,    /* it needs none */
	RECOVERY_CHOSEN,  /* `replica` goes on alone */
	RECOVERY_UNHEARD, /* the one on `node` has not said what it has */
	RECOVERY_NOTHING, /* nobody that is left has anything of it */
};

struct recovery_choice {
	enum recovery_kind kind;
	uint16_t node;
	uint64_t replica, term;
	/* Members as its log has them that do not vote, though their nodes are not lost: they are
	 * damaged, or not there. */
	uint32_t given_up_count;
	uint64_t given_up[CLUSTER_REPLICAS_MAX];
	uint64_t last_term, last_index; /* where its log ends: nothing behind that is kept */
	uint64_t
	    committed; /* what was acknowledged up to here is surely kept; at most last_index */
};

/* In place of a replica: the node has none of the shard. */
uint64_t recovery_none_of(uint16_t node);
/* What was said so long ago is taken for how it is. */
bool recovery_counts(const struct recovery_said *said, uint64_t ms);
/* What a whole replica said then is how it is. Not so where its shard has been led since, or
 * another of its replicas is known to be damaged only since then, or since a moment before: until
 * that was found the two may have gone on together, and so briefly that nobody heard of who led.
 * 0: never. */
bool recovery_is_present(uint64_t said_ns, uint64_t led_ns, uint64_t damaged_ns);
/* Nothing that comes goes on with it. */
bool recovery_is_over(const struct recovery_said *said, uint64_t ms);
/* A replica of the same node says so still, with or without a while in which what it had said did
 * not count: how long it has been damaged is reckoned from the first time. */
bool recovery_goes_on(
    const struct recovery_said *before, const struct recovery_said *now, uint64_t ms);

/* It is this replica, and not another one of its node, is whole, and has a log, as whoever votes,
 * or was chosen, has. `said`: what its node has said; NULL: nothing. */
bool recovery_is_there(const struct recovery_said *said, uint64_t replica);
bool recovery_is_lost(
    const struct cluster_map *map, const struct recovery_lost *lost, uint16_t node);
/* Whether those members are a majority (of both, where they are joint) that are not lost. */
bool recovery_can_elect(const struct cluster_map *map, const struct recovery_lost *lost,
    const struct recovery_member *members, uint32_t count);
/* The replica with the longest log of those that have said something, and are not lost; NULL: none
 * has a log. */
const struct recovery_said *recovery_best(const struct cluster_map *map,
    const struct recovery_lost *lost, const struct recovery_said *const *said, size_t count);
/* `said`: what replicas of this shard have said lately, one of a node at most. */
struct recovery_choice recovery_choose(const struct cluster_map *map,
    const struct recovery_lost *lost, uint32_t shard, bool led,
    const struct recovery_said *const *said, size_t count);

#endif
