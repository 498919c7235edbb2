/* Calls between nodes: a call whose shard is led by another node goes there and its answer comes
 * back, and what comes from other nodes is run here. One of these for each core, over a transport
 * that it is given: links to cores of other nodes (replication/peer/peer.h), or a test.
 *
 *   here                                              the node that leads
 *   shards: elsewhere -> forward_call                 forward_receive -> submit -> shards
 *     -> waits for: a leader, its link, room          its `done`, or forward_refuse
 *     -> CALL ----------------------------------------->|
 *     <- REPLY, in parts, or NOT_LEADER <---------------|
 *     -> answered; or local: this node leads now
 *
 * A call here is WAITING or SENT. WAITING has surely done nothing: at its deadline it is
 * UNAVAILABLE, or DEADLINE_EXCEEDED where a leader is known and reachable, and no answer of a read
 * was lost with a link or a leadership before (was_read). A SENT one is answered
 * by the leader, or refused (NOT_LEADER: surely not done), and then it is WAITING again, with a
 * small pause where nothing newer is known; its link breaks or nothing comes: UNKNOWN_OUTCOME, but
 * what only reads is WAITING again.
 *
 * Order. Calls with one `order` to one address, of the kinds that have one (shard_call_is_ordered),
 * are a lane: they take effect in the order in which they were given to forward_call. They are sent
 * one behind the other without waiting, each naming the one before it; who refuses one refuses
 * those behind it too, until it hears that the refusal was seen. A call that was sent to one node
 * keeps those behind it from going to another. What would be sent again behind one that has had its
 * answer is UNAVAILABLE instead. Calls that this node runs itself are the shards' matter: while one
 * of a lane is here they run none behind it, and one that they give back here comes before any
 * later one of its lane (server/shard/shard.h).
 *
 * A call names the leadership that it is for, by its term, and takes effect in that one or not at
 * all (server/shard/shard.h). So the order holds behind one whose outcome is unknown, too. A later
 * call of its lane goes to the same leadership, where the earlier one came before it or never
 * comes: a link is up only when what was before it is gone (replication/peer/peer.h). Or it goes to
 * a later one, which begins behind an entry that is committed: what the earlier one left stands in
 * front of that, or nowhere.
 *
 * Who leads is heard from the leaders (struct cluster_leaders has it): each tells all links what
 * its core leads, and a link that comes up everything.
 *
 * Requests of the directory (shard 0, core 0) go the same ways, without lanes.
 *
 * Bounds: bytes waiting here (beyond: RESOURCE_EXHAUSTED), calls and bytes under way on a link from
 * both sides' view (who sends stays below, so who receives refuses only who does not).
 *
 * Callbacks come from forward_turn and forward_receive, never from inside another call of
 * forward_*; every function of this header but forward_free may be called in them.
 *
 * Thread: the core's.
 */
#ifndef KX_SERVER_FORWARD_H
#define KX_SERVER_FORWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct cluster_leaders;
struct forward;
struct io;
struct iovec;
struct meta_request;
struct shard_call;

struct forward_callbacks {
	/* Copies the bytes. ERR_CLOSED: no link is up; ERR_FULL: forward_room comes when there is
	 * room; any other: as ERR_CLOSED. What is sent arrives in order while the link is up. */
	int (*send)(void *arg, uint16_t node, uint16_t core, uint8_t kind, const struct iovec *iov,
	    size_t count);
	/* The core of `node` that has the shard. ERR_NOT_FOUND: no such node is known (yet). */
	int (*core_of)(void *arg, uint16_t node, uint32_t shard, uint16_t *ret_core);

	/* Calls of forward_call come back: with the answer, or to be run here. Those of one lane
	 * come in order. `local` tells nobody anything inside. */
	void (*answered)(void *arg, struct shard_call *call);
	void (*local)(void *arg, struct shard_call *call);
	/* Those of forward_directory. */
	void (*directory_answered)(void *arg, struct meta_request *request);
	void (*directory_local)(void *arg, struct meta_request *request);

	/* A call of another node; its `done` is set, and never called inside. It comes back by
	 * `done` or forward_refuse, once. */
	void (*submit)(void *arg, struct shard_call *call);
	void (*directory)(void *arg, struct meta_request *request);

	/* Whether the call can only read, as far as this node knows: then it is sent as one that
	 * may do nothing else, so that it can be sent again; where that node says that it is a
	 * command there, it goes once more as one. May be NULL: those that say so do. */
	bool (*reads)(void *arg, const struct shard_call *call);
	/* Another node says that it leads the shard, or does no more. May be NULL. */
	void (*news)(void *arg, uint32_t shard);
	/* May be NULL. Why nobody leads the shard, for those who have waited for that. */
	void (*unled)(void *arg, uint32_t shard, char *text, size_t text_bytes);
	void *arg;
};

/* Zeros of the bounds stand for those of base/limits.h. */
struct forward_options {
	struct io *io;       /* time and a timer */
	uint16_t node, core; /* own */
	uint32_t shard_count;
	uint64_t seed; /* secret */
	struct cluster_leaders *leaders;
	struct forward_callbacks callbacks;
	uint64_t waiting_bytes_max; /* FORWARD_WAITING_BYTES_MAX */
	uint32_t link_calls_max;    /* FORWARD_LINK_CALLS_MAX */
	uint64_t link_bytes_max;    /* FORWARD_LINK_BYTES_MAX */
};

/* ERR_NOMEM. */
NODISCARD int forward_new(const struct forward_options *options, struct forward **ret_forward);
/* NULL-safe. Nothing is under way: every call came back, from both sides. */
void forward_free(struct forward *forward);

/* Twice in each core's turn: after what came was received, and after shards_turn, before the links'
 * turn. Gives back what is decided, sends what can be. True while work is left. */
bool forward_turn(struct forward *forward);
/* Takes no more calls, and those that wait end: UNAVAILABLE. What was sent and what is run for
 * others goes on to its end. */
void forward_close(struct forward *forward);

/* ---- From this node ---- */

/* The call is ours until `answered` or `local`: its deadline too, and `link`, which is private to
 * whoever has it. Reply and details are initialised. */
void forward_call(struct forward *forward, struct shard_call *call, uint32_t shard);
/* To the leader of the directory. It has CALL_TIMEOUT_MS to be sent. */
void forward_directory(struct forward *forward, struct meta_request *request);

/* ---- From other nodes ---- */

/* Of a call, or a request, that was submitted here and has surely done nothing: this node does not
 * lead its shard. In place of its `done`, where UNAVAILABLE with not_leader, or of a request with
 * another leader, is the same. What was submitted behind it in its lane is refused too. */
void forward_refuse(struct forward *forward, struct shard_call *call);
void forward_refuse_directory(struct forward *forward, struct meta_request *request);

/* ---- Who leads ---- */

/* This node does, or no more does what it said last: noted, told to all links. */
void forward_leads(struct forward *forward, uint32_t shard, uint64_t term);
void forward_follows(struct forward *forward, uint32_t shard);
/* Something new is in cluster_leaders. What other nodes say is noted here already. */
void forward_leader(struct forward *forward, uint32_t shard);

/* ---- Links ---- */

void forward_link_up(struct forward *forward, uint16_t node, uint16_t core);
/* Takes the memory of a link that may come up later: where it is missing then, nothing goes this
 * way until it comes up again. ERR_NOMEM. */
NODISCARD int forward_link_make(struct forward *forward, uint16_t node, uint16_t core);
void forward_link_down(struct forward *forward, uint16_t node, uint16_t core);
void forward_room(struct forward *forward, uint16_t node, uint16_t core);
/* A message of a link that is up. ERR_PROTOCOL: malformed; ERR_UNSUPPORTED: of a version that is
 * not known here; ERR_NOMEM: the link has to end, or somebody would wait for ever, or go before one
 * that was refused. ERR_NOT_FOUND: `kind` is none of forward_wire.h. */
NODISCARD int forward_receive(
    struct forward *forward, uint16_t node, uint16_t core, uint8_t kind, struct slice bytes);

struct forward_figures {
	uint64_t sent, answered, refused, repeated, local; /* of this node's calls */
	uint64_t unavailable, late, unknown;               /* how it answered some itself */
	uint64_t received, replied, turned_away;           /* of other nodes' */
	uint64_t waiting, waiting_bytes, under_way, serving;
};
struct forward_figures forward_figures(const struct forward *forward);

#endif
