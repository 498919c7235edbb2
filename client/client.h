/* The inside of libkalix.
 *
 * A call is one struct request from its making to its `done`. It is in exactly one place:
 *
 *   fresh (made since the last step) -> waiting (in order; not before retry_ms)
 *     -> sent (its connection's row, in order)
 *     -> ended (taken out, `done`), or waiting again
 *
 * A sent request whose time is over has ended for the caller while its reply is still to come: it
 * stays in the row as a husk without `done`, so that replies and requests keep in step.
 *
 * Connections are made when a request needs them, one for each node. A connection that broke gives
 * what may be repeated back to the front of `waiting`, in order, and ends the rest.
 */
#ifndef KX_CLIENT_CLIENT_H
#define KX_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/slice.h"
#include "base/slot.h"
#include "base/wire/resp_reader.h"
#include "client/kalix.h"

#define CLIENT_NODES_MAX      256
#define CLIENT_HOST_BYTES_MAX 255
#define CLIENT_TIMEOUT_MS     5000
#define CLIENT_GRACE_MS       250 /* for the server's own word that the time is over */
#define CLIENT_CONNECT_MS     3000
/* Of those: then others are asked, while it has the rest of its time. */
#define CLIENT_CONNECT_SOON_MS 250
/* Before another try: the first, doubling to the second. A server that was started again serves
 * within a second; clients that sleep longer than it takes only make that look slow. */
#define CLIENT_BACKOFF_MS     20
#define CLIENT_BACKOFF_MS_MAX 100
/* Between two questions for the whole map. */
#define CLIENT_SLOTS_MS          1000
#define CLIENT_REPLY_BYTES_MAX   (64 * 1024 * 1024)
#define CLIENT_OUTPUT_BYTES_MAX  (64 * 1024 * 1024)
#define CLIENT_REQUEST_BYTES_MAX (16 * 1024 * 1024)
#define CLIENT_SENT_MAX          4096 /* requests in a connection's row */

struct kalix_reply {
	int code;
	struct buffer json, message, details; /* each with a 0 behind it */
};

enum request_kind {
	REQUEST_COMMAND, /* may change something */
	REQUEST_QUERY,   /* never does */
	REQUEST_OTHER,   /* a plain command: never repeated, its reply is told as it is */
	REQUEST_OWN      /* the connection's own HELLO and AUTH: nobody waits for it */
};

struct request {
	struct list_node link;
	struct heap_node deadline; /* key: ms */
	enum request_kind kind;
	bool has_token;
	bool in_doubt; /* an earlier try may have taken effect */
	bool sent;     /* it is in a connection's row */
	bool asks_slots;
	uint16_t slot;     /* where it goes; SLOT_COUNT: to any node */
	uint16_t lane;     /* that of its entity; SLOT_COUNT: it has no order */
	bool refused;      /* it waits to be sent again, having surely done nothing: lanes.c */
	uint64_t entity;   /* a hash of the address */
	uint64_t sequence; /* in the order in which they were made */
	uint32_t timeout_ms;
	uint64_t retry_ms; /* not sent before */
	unsigned attempts;
	struct node *node;   /* whose row it is in, or was */
	uint64_t heard_then; /* of that, when it came there */
	kalix_done done;     /* NULL: a husk, or the connection's own */
	void *arg;
	size_t bytes;
	uint8_t data[]; /* the command as it goes over the wire */
};

enum connection_state { CONNECTION_NONE, CONNECTION_CONNECTING, CONNECTION_OPEN };

struct node {
	char host[CLIENT_HOST_BYTES_MAX + 1]; /* "": the place of one that was forgotten */
	char port[6];
	uint16_t number; /* in kalix.nodes */
	bool given;      /* to kalix_open: it is never forgotten */
	enum connection_state state;
	int fd; /* -1 where there is none */
	uint64_t connect_soon_ms, connect_until_ms;
	uint64_t retry_ms; /* not connected before */
	unsigned failures; /* in a row */
	uint64_t heard;    /* how often anything came from it */
	/* It said nothing until the time of a request was over: it is asked whether it is there,
	 * by connect_until_ms, and nothing else before it answers. */
	bool silent;
	bool wants_write; /* epoll is asked for it */
	struct buffer out, in;
	struct resp_reader reader;
	struct list sent;
	size_t sent_count;
};

struct lane;

struct kalix {
	int epoll_fd;
	int wake_fd; /* makes epoll_fd readable where something waits that no socket tells */
	uint64_t now_ms;
	char user[128], password[512];
	struct node **nodes;
	size_t node_count;          /* the first were given to kalix_open; places, too */
	uint16_t *slots;            /* SLOT_COUNT node numbers + 1; NULL until a MOVED came */
	bool slots_asked;           /* CLUSTER SLOTS is under way */
	uint64_t slots_again_ms;    /* not asked before */
	struct list fresh, waiting; /* in the order in which they were made */
	uint64_t sequence;
	struct lane *lanes;  /* lanes.c: SLOT_COUNT; NULL until a call came back */
	uint32_t dispatches; /* a number for each */
	size_t refused;      /* requests that are */
	struct heap deadlines;
	size_t pending;   /* requests whose caller still waits */
	size_t preferred; /* node of what no slot decides */
	uint64_t token_seed[2], token_count;
	bool woken, stepping, closing;
};

/* reply.c. NULL: no memory. */
struct kalix_reply *reply_new(int code, const char *message);
/* From one whole reply of the wire. */
struct kalix_reply *reply_read(struct slice wire);
/* What -MOVED says: a slot and "host:port". */
bool reply_moved(struct slice error, uint16_t *ret_slot, struct slice *ret_target);

/* request.c */
struct request_parts {
	enum request_kind kind;
	size_t count;
	const char *const *arguments;
	const size_t *bytes; /* NULL: texts */
	const char *address; /* decides the slot; NULL: any node */
	bool has_token;
	uint32_t timeout_ms; /* 0: the default */
};
/* KALIX_OK; else why not. The request is in k->fresh then. */
int request_start(struct kalix *k, const struct request_parts *parts, kalix_done done, void *arg);
/* The connection's own: in no row yet. NULL: no memory. */
struct request *request_make_own(size_t count, const char *const *words);
/* Takes it out of wherever it is, and tells. */
void request_end(struct kalix *k, struct request *request, struct kalix_reply *reply, int code);
void request_fail(struct kalix *k, struct request *request, int code, const char *message);
/* How long to wait for another try, after so many that failed before this one. */
uint64_t request_backoff_ms(unsigned failures);
/* In `waiting`, in its place. */
void request_wait(struct kalix *k, struct request *request);
/* Waiting again, after a pause that grows. False: it may not be repeated. */
bool request_again(struct kalix *k, struct request *request, bool surely_undone);

/* lanes.c: calls on one entity keep their order. */
/* It is in the node's row; it is there no more. */
void lanes_sent(struct kalix *k, const struct node *node, struct request *request);
void lanes_left(struct kalix *k, const struct request *request);
/* It came back, and is to be sent again. False: no memory, so it may not. */
bool lanes_refuse(struct kalix *k, struct request *request);
void lanes_begin_dispatch(struct kalix *k);
bool lanes_may_go(const struct kalix *k, const struct request *request, const struct node *node);
void lanes_hold(struct kalix *k, const struct request *request); /* it stays where it is */
/* One of them was answered: those before it that came back end. They may be told inside. */
void lanes_overtake(struct kalix *k, uint16_t lane, uint64_t entity, uint64_t sequence);

/* slots.c */
void slots_learn_one(struct kalix *k, uint16_t slot, size_t node);
/* Asks an open node for all of them, where that was not done just now. */
void slots_ask(struct kalix *k, struct node *node);
/* What it said. Whatever is malformed there is not learned. What a whole map does not have, is not
 * known any more. */
void slots_learn(struct kalix *k, const struct node *asked, struct slice wire);
/* Those that were not given, have no slot and no connection. */
void slots_forget_nodes(struct kalix *k);

/* node.c */
/* ERR_FULL: all that are known are in the map, or connected. */
NODISCARD int node_add(struct kalix *k, struct slice host_port, size_t *ret_number);
/* It has no connection, and no slot. */
void node_forget(struct kalix *k, struct node *node);
/* Connects where it is time to. */
void node_connect(struct kalix *k, struct node *node);
/* False: the row or the output is full, or the connection is not open (the connection's own may go
 * before). What was not handed over has surely done nothing. */
bool node_send(struct kalix *k, struct node *node, struct request *request);
void node_flush(struct kalix *k, struct node *node);
void node_ready(struct kalix *k, struct node *node, uint32_t events);
/* The time of a request in its row is over: where nothing came since that was sent, the connection
 * is broken, and the node is silent. */
void node_overdue(struct kalix *k, struct node *node, uint64_t heard_then);
/* By connect_until_ms it has to be connected, or to say something. */
bool node_is_greeted(const struct node *node);
/* Others are asked in its place: it does not answer, or not soon. */
bool node_is_passed_over(const struct kalix *k, const struct node *node);
/* `why`: told to those who can't be repeated. */
void node_break(struct kalix *k, struct node *node, const char *why);
void node_free(struct kalix *k, struct node *node);

/* step.c: something waits that no socket tells. */
void step_wake(struct kalix *k);
/* Milliseconds of CLOCK_MONOTONIC, for those who wait here. */
uint64_t step_clock_ms(void);

#endif
