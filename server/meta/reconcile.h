/* What the leader of a shard's group does next, so that its membership becomes what the map wants
 * (cluster_map.h: struct cluster_shard).
 *
 *   asked while this replica leads, whenever something of it has changed, and now and then
 *   -> one step, a WAIT with its reason, or DONE
 *
 * The steps, in this order, each from what is there alone: so any leader goes on where another one
 * stopped, from whatever membership it finds.
 *
 *   1. a joint membership is left; where who leads cannot make changes, who is wished for leads
 *   2. learners that are not wanted go, wanted replicas that are no members come as learners
 *   3. the voters become the wanted ones
 *   4. whoever is wished for as leader gets to lead, when it has so nearly all of the log that the
 *      group hardly stands still for what is left
 *
 * The rules of 3:
 *   - A learner gets a vote only when it is heard of and has nearly all of the log.
 *   - Voters go in the same change in which others come, and there are never fewer of them than
 *     there are now, or than are wanted, whichever is less. So as many may fail on the way as may
 *     at the worse of its two ends.
 *   - The others are waited for, so that one change does it all. Not for those who are not heard
 *     of, and not where a voter is lost whose successor is ready: then those that can change, do.
 *     Of the voters that are not wanted the best ones are kept meanwhile.
 *   - A voter whose node is to have another replica goes before that one comes, since a node has
 *     only one: at once where it is not heard of, else as the last thing, one at a time. So for a
 *     while there is a voter less. A node that was taken for lost, and is back, has such ones.
 *   - Nothing is changed into what has no majority, unless it is as bad already.
 *   - A leader that will not be a voter hands over first, to a voter that stays.
 *
 * Pure. Any thread.
 */
#ifndef KX_SERVER_META_RECONCILE_H
#define KX_SERVER_META_RECONCILE_H

#include <stdbool.h>
#include <stdint.h>

#include "replication/raft/membership.h"
#include "server/meta/cluster_map.h"

/* What the leader knows of a member. One that is not told of is not heard of. */
struct reconcile_progress {
	uint64_t replica;
	uint64_t match; /* up to here its log is the leader's, durable; 0: not known */
	bool heard;     /* it has answered lately. Who sleeps with the group has */
};

struct reconcile_input {
	uint64_t self; /* the leader's replica */
	const struct cluster_shard *wanted;
	const struct raft_membership *members;
	/* No change is possible now: one is not committed, nothing is committed in this term yet,
	 * or leadership is being handed over. */
	bool busy;
	/* In this term leadership was to be handed over a moment ago, and that came to nothing: it
	 * is not tried again before RECONCILE_REST_MS, since the group takes no changes while it
	 * is. Who has to go goes as a leader then, which takes the group an election's time. */
	bool transfer_failed;
	uint64_t last_index;    /* of the leader's log */
	uint64_t lag_max;       /* a replica that misses no more of it has nearly all */
	uint64_t lead_lag_max;  /* who is wished for as leader may miss so much, and no more */
	uint32_t replicas_max;  /* of the group */
	uint64_t leader_wished; /* 0: whoever leads, does */
	/* Who leads refuses the shard's changes: it hands over before anything else, however long
	 * replicas that come, or that are not heard of, would be waited for. */
	bool leads_badly;
	uint32_t progress_count; /* self need not be among them */
	const struct reconcile_progress *progress;
};

enum reconcile_kind {
	RECONCILE_DONE,     /* members are as they are wanted, and who is wished for may lead */
	RECONCILE_WAIT,     /* for what `why` says, and `replica` where it is one */
	RECONCILE_CHANGE,   /* `changes`, with RAFT_AUTOMATIC */
	RECONCILE_LEAVE,    /* RAFT_LEAVE */
	RECONCILE_TRANSFER, /* to `replica` */
};

enum { RECONCILE_CHANGES_MAX = 2 * CLUSTER_REPLICAS_MAX, RECONCILE_REST_MS = 5000 };

struct reconcile_step {
	enum reconcile_kind kind;
	const char *why; /* static text, never NULL */
	uint64_t replica;
	uint32_t count;
	struct raft_change changes[RECONCILE_CHANGES_MAX];
};

void reconcile_next(const struct reconcile_input *input, struct reconcile_step *ret_step);

#endif
