/* The simulated network below io.h's sockets. Private to base/io/sim.
 *
 *   net_sim.c     wires: what happens between two machines, in events that belong to no process.
 *                 A wire and its ends are the world's; they outlive the processes at them, as a
 *                 kernel's connections do.
 *   socket_sim.c  what a process has of it: sockets and listeners, its memory, gone with it.
 *
 * One direction of a wire, from the end that sends:
 *
 *   io_send's bytes --pump--> flight --arrives--> the other end's inbox --io_run--> received
 *                    (while less than net_buffer_bytes of it is unacknowledged)
 *
 * Only the first of the flight arrives, so that bytes keep their order whatever holds one up: a
 * cut, a silent wire, a full inbox, a machine that is off. Then it is tried again, later each time,
 * until the sender's patience ends. */
#ifndef KX_BASE_IO_SIM_NET_SIM_H
#define KX_BASE_IO_SIM_NET_SIM_H

#include "base/io/sim/io_sim.h"

struct io_listener;
struct io_socket;
struct sockaddr;

struct net_segment {
	struct net_segment *next;
	size_t bytes;
	uint8_t data[];
};

struct net_segments {
	struct net_segment *first, *last;
};

enum net_end_state {
	END_CONNECTING, /* of the end that connects: nobody has answered */
	END_WAITING,    /* of the other: no process has accepted it */
	END_OPEN,
	END_CLOSED, /* its process has let go of it; what it sent may still arrive */
	END_LOST,   /* its machine has forgotten it, and says nothing until it is asked */
};

struct net_end {
	struct net_wire *wire;
	struct sim_node *node;
	uint32_t address; /* of itself, as the other end sees it; host order */
	uint16_t port;
	enum net_end_state state;
	struct io_socket *socket; /* NULL: the process has none for it */

	/* What it sends. */
	struct net_segments flight;
	bool fin; /* nothing comes behind the flight */
	bool fin_arrived;
	uint64_t sent_bytes, arrived_bytes, acknowledged_bytes;
	uint64_t way_free_ns;   /* when the way has taken what was sent */
	uint64_t newest_ns;     /* when the newest of the flight arrives */
	uint64_t retry_ns;      /* how long after a failed try */
	uint64_t unanswered_ns; /* since then there is something that is not acknowledged */
	uint64_t patience_ns;   /* 0: the system's */
	uint64_t flight_number; /* of the event that counts; those before it do not */
	bool acknowledging;     /* an event is under way that tells it what has arrived */

	/* What has arrived. */
	struct net_segments inbox;
	size_t inbox_bytes;
	bool end_seen;
	int error;                 /* what the connection has come to; 0: nothing yet */
	struct net_segment *shown; /* the one that `received` looks at */
};

struct net_wire {
	struct net_wire *next, **link; /* of all wires of the world */
	struct net_end ends[2];        /* [0] connected */
	unsigned events;               /* that will come back to it */
	bool silent;                   /* nothing passes any more, and nobody says so */
	struct io_op *op;              /* of io_connect, until it is complete */
	struct io_socket **ret_socket;
	uint64_t begun_ns;
	struct net_wire *accept_next; /* in a listener's backlog */
};

/* ---- net_sim.c ---- */

static inline struct net_end *net_other(struct net_end *end)
{
	return end == &end->wire->ends[0] ? &end->wire->ends[1] : &end->wire->ends[0];
}

/* The node that has the address (host order), as seen from `node`; NULL: none. */
struct sim_node *net_node_at(struct sim_node *node, uint32_t address);
uint16_t net_port_free(struct sim_node *node);

/* Begins to connect; `op` completes and the first end has `socket` then. */
struct net_wire *net_connect(struct sim_node *node, struct sim_node *to, uint32_t address,
    uint16_t port, struct io_op *op, struct io_socket *socket, struct io_socket **ret_socket);
/* Nobody waits for it any more. */
void net_connect_drop(struct net_wire *wire);

/* Takes from the end's socket what there is room for. */
void net_pump(struct net_end *end);
/* The inbox has room again. */
void net_inbox_taken(struct net_end *end);
/* The process lets go of the end: what is unread makes the other end's a reset. */
void net_end_close(struct net_end *end);
void net_segments_push(struct net_segments *segments, struct net_segment *segment);
struct net_segment *net_segments_pop(struct net_segments *segments);

/* ---- socket_sim.c ---- */

/* Something has come to the end: its socket is looked at in the next turn. */
void sim_socket_attend(struct net_end *end);
/* For a socket that was never handed out. */
void sim_socket_drop(struct io_socket *socket);
/* Up to so many bytes of what the socket wants to send, NULL: nothing. */
struct net_segment *sim_socket_take(struct io_socket *socket, size_t bytes_max);
/* A listener of the node for the address takes the wire into its backlog; false: there is none. */
bool sim_listener_offer(struct sim_node *node, uint32_t address, struct net_wire *wire);
bool sim_listener_exists(const struct sim_node *node, uint32_t address, uint16_t port);
/* From io_run. */
void sim_sockets_attend(struct io *io);

#endif
