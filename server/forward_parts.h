/* The inside of calls between nodes. Private to server/forward*.c.
 *
 *   forward.c        the object: links, time, who leads, messages to whom they belong
 *   forward_route.c  where a call of this node stands, and its end
 *   forward_calls.c  this node's calls, on their way to others
 *   forward_answers.c  what becomes of them there
 *   forward_serve.c  other nodes' calls, run here
 *
 * A shard with calls WAITING is in one of: `ready` (looked at in the next turn), `wanting` of the
 * link that they would go over (it is down, full or has enough under way), `pauses`, or nowhere:
 * nobody is known to lead, and the next news makes it ready.
 */
#ifndef KX_SERVER_FORWARD_PARTS_H
#define KX_SERVER_FORWARD_PARTS_H

#include "base/assert.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/io/io.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/map.h"
#include "base/small_blocks.h"
#include "server/forward.h"
#include "server/forward_wire.h"
#include "server/meta/cluster_map.h"

enum { FORWARD_WHY_BYTES = 256 };

enum route_state {
	ROUTE_WAITING, /* of its shard */
	ROUTE_SENT,    /* under way on its link */
	ROUTE_ENDED    /* given back in this turn */
};

/* One call, or request, of this node. */
struct route {
	enum route_state state;
	struct shard_call *call; /* NULL: a request */
	struct meta_request *request;
	uint32_t shard;
	bool reads, was_sent;
	/* Its answer was that of a read, and was lost with a link or a leadership: late, it is
	 * UNAVAILABLE. */
	bool was_read;
	bool overtaken; /* one behind it in its lane has had its answer, or was given up */
	bool cut;       /* a part of its reply found no memory */
	uint64_t lane;  /* 0: in none */
	struct route *before, *after;
	struct list_node node; /* of the shard's waiting, the link's sent, ended */
	struct heap_node deadline;
	uint64_t deadline_ns;
	size_t bytes;

	/* SENT. */
	struct link *link;
	uint64_t id;
	uint64_t term; /* in which its node was said to lead */
};

/* One shard, as this core sees it. */
struct route_shard {
	struct list waiting; /* of routes */
	struct list_node node;
	struct heap_node pause;
	struct list_node changed; /* forward->changed */
	uint32_t routes;          /* all that are here */
	bool leads;
	uint64_t term; /* 0: this core never led it */
};

/* A core of another node; stays for good. */
struct link {
	uint16_t node, core;
	bool up;
	bool full;      /* until forward_room */
	bool starved;   /* it is full for want of memory: tried again in the next turn */
	bool news_owed; /* all of them */
	struct list_node of_all;
	struct list_node attention; /* answers or news wait to be sent */

	/* Ours to them. */
	struct list sent; /* of routes, in order */
	struct map by_id; /* id to route */
	uint64_t last_id, refusals_seen;
	uint32_t calls;
	uint64_t bytes;
	bool laden; /* enough is under way, until half of it has ended */
	struct list wanting;

	/* Theirs to us. */
	uint64_t their_last_id;
	struct list serving, replies; /* of struct served */
	uint32_t serving_calls, reply_calls;
	uint64_t reply_bytes;
	uint64_t message_bytes; /* theirs, of all of them: kept until the answer is sent */
	/* Refused, and they have not said that they saw it: numbers refused_first and up. */
	struct buffer refused_ids;
	struct map refused; /* the same ids */
	uint64_t refused_first, refused_end;
	bool forgot; /* one of these: who names another as before it may be behind that one */
};

/* A call, or request, of another node. */
struct served {
	struct list_node
	    node; /* of its link's serving or replies; unlinked where the link is gone */
	struct forward *forward;
	struct link *link;
	uint64_t id;
	bool is_request, refused;
	size_t reply_sent;    /* bytes of the reply */
	size_t bytes;         /* of this with its data, */
	size_t message_bytes; /* and those of its message alone */
	union {
		struct shard_call call;
		struct {
			struct meta_request request;
			struct meta_wanted wanted[CLUSTER_REPLICAS_MAX];
		};
	};
	struct slice slices[]; /* roles or types, and behind them the message */
};

struct forward {
	struct forward_options options;
	struct route_shard *shards;
	struct list ready;
	struct list changed;     /* shards whose news are to be told */
	struct list ended;       /* routes to be given back, */
	struct list ended_local; /* and to be run here */
	/* Calls and requests for which there was no memory, by their links. */
	struct list starved, starved_requests;
	struct heap deadlines, pauses;
	struct map lanes; /* to the last route of each */
	struct list links, attention;
	bool has_starved_links;
	struct map links_by_core;
	struct io_timer timer;
	uint64_t armed_ns; /* 0: not */
	struct small_blocks blocks;
	struct forward_figures figures;
	bool closed;
	struct forward_message message;
	struct slice roles[FORWARD_ROLES_MAX];
	struct slice *drop; /* DROPPED_TYPES_MAX, once a request came */
};

static inline uint64_t forward_now(const struct forward *forward)
{
	return io_now_ns(forward->options.io);
}

/* ---- forward.c ---- */

/* NULL: no memory. */
struct link *forward_link(struct forward *forward, uint16_t node, uint16_t core);
bool forward_link_is_up(const struct forward *forward, uint16_t node, uint16_t core);
/* In the next turn it is looked at. */
void forward_attend(struct forward *forward, struct link *link);
/* Sends forward->message. False: not now, the link is full or breaks. */
bool forward_send(struct forward *forward, struct link *link, enum forward_kind kind);

/* ---- forward_route.c ---- */

struct route_shard *route_shard_of(const struct forward *forward, const struct route *route);
struct buffer *route_reply(const struct route *route);
struct buffer *route_details(const struct route *route);

/* Its calls can go, perhaps. */
void routes_wake(struct forward *forward, struct route_shard *shard);
/* Those that wanted this link. */
void routes_wake_link(struct forward *forward, struct link *link);
/* As routes_wake, where it waits for nothing in particular. */
void route_want(struct forward *forward, struct route_shard *shard);
void route_wait_for(struct forward *forward, struct route_shard *shard, struct link *link);
void route_pause(struct forward *forward, struct route_shard *shard);

/* Behind all that are in it. ERR_NOMEM. */
NODISCARD int route_enter_lane(struct forward *forward, struct route *route);
/* Out of the list and the figures of its state. */
void route_leave_state(struct forward *forward, struct route *route);
void route_wait_again(struct forward *forward, struct route *route);

/* It is to be given back in this turn: with the answer that it has, */
void route_end(struct forward *forward, struct route *route);
void route_set_answer(const struct route *route, enum status status, bool has_reply);
/* to be run here, */
void route_give_local(struct forward *forward, struct route *route);
/* or with one of this node's own; */
void route_fail(struct forward *forward, struct route *route, enum status status, const char *why);
/* of one that was sent, when nobody will say what became of it; */
void route_fail_sent(struct forward *forward, struct route *route, const char *why);
/* of one that was_read, and is late. */
void route_fail_read(struct forward *forward, struct route *route);
/* It was sent, and ends: those before it in its lane are not sent any more. */
void routes_overtake(struct forward *forward, const struct route *route);
void routes_deliver(struct forward *forward);

/* ---- forward_calls.c ---- */

/* What waits in the shards that are ready goes, as far as it can. */
void routes_turn(struct forward *forward);
void routes_expire(struct forward *forward);
void routes_close(struct forward *forward);

/* ---- forward_answers.c ---- */

void routes_link_down(struct forward *forward, struct link *link);
NODISCARD int routes_reply_part(struct forward *forward, struct link *link, struct slice bytes);
NODISCARD int routes_reply(struct forward *forward, struct link *link, struct slice bytes);
NODISCARD int routes_refused(struct forward *forward, struct link *link, struct slice bytes);

/* ---- forward_serve.c ---- */

NODISCARD int serve_call(struct forward *forward, struct link *link, struct slice bytes);
NODISCARD int serve_directory(struct forward *forward, struct link *link, struct slice bytes);
/* Answers that wait. */
void serve_turn(struct forward *forward, struct link *link);
void serve_link_down(struct forward *forward, struct link *link);

#endif
