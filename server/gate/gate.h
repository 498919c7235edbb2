/* One core's gate: the connections of clients on this core, and the commands on them.
 *
 *   socket -> bytes -> requests (parsed in place) -> table of commands -> answered at once, or sent
 *   to a shard, the directory, or around the cores -> replies in order of the requests
 *   -> one send per connection and turn
 *
 * What bounds a client: the size of a request, the calls that it has under way, the bytes of
 * replies that wait for it (reading stops at output_pause_bytes, the connection ends at
 * output_bytes_max),
 * the time that it may be idle, or may leave a request unfinished or replies unread. All clients of
 * a core together hold at most memory_bytes_max: beyond it the one that holds most is closed.
 *
 * What comes malformed gets an error, and at worst ends that connection.
 *
 * Thread: the core's. Structs config and services are the server's and outlive the gate.
 */
#ifndef KX_SERVER_GATE_GATE_H
#define KX_SERVER_GATE_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/slice.h"
#include "server/meta/meta.h"

struct cluster_leaders;
struct cluster_map;
struct gate;
struct io;
struct json_writer;
struct shard_error;
struct shards;
struct sockaddr;

enum gate_port {
	GATE_PROXY,  /* 7470: requests for other nodes are forwarded */
	GATE_CLUSTER /* 7472: a wrong slot is answered with MOVED */
};

struct gate_limits {
	uint32_t connections_max; /* of all cores together */
	uint32_t calls_max;       /* under way on one connection; reading stops there */
	uint64_t output_pause_bytes;
	uint64_t output_bytes_max;
	uint64_t memory_bytes_max; /* of this core's clients together */
	uint64_t idle_ms;          /* 0: for ever */
	uint64_t stall_ms;         /* of an unfinished request, of unread replies */
	uint64_t slow_ms;          /* calls that take as long are kept in the slow log; 0: none */
};

#define GATE_PASSWORD_BYTES_MAX 512
#define GATE_NODE_CHARACTERS    40
#define GATE_HOST_BYTES         64

/* What is the same on every core; written before the first gate is made, but for `connections`. */
struct gate_config {
	const char *version;
	bool dev;
	char
	    node[GATE_NODE_CHARACTERS + 1]; /* this one's id: gate_node_id, where it has a number */
	uint16_t number;                    /* of this node; 0: it is alone, and has none */
	struct cluster_leaders *leaders;    /* NULL: this node leads everything */
	char cluster[33];
	uint32_t cores, shards;
	/* What MOVED and CLUSTER SLOTS hand out. */
	char host[GATE_HOST_BYTES];
	uint16_t port, peer_port, cluster_port;
	/* Of user default; 0 bytes: authentication is off, and every connection has all roles. */
	uint8_t password[GATE_PASSWORD_BYTES_MAX];
	size_t password_bytes;
	struct gate_limits limits; /* at first */
	uint64_t started_ns;       /* of clock_monotonic_ns */
	int64_t started_ms;        /* since 1970 UTC */
	uint32_t errors_kept;      /* of handlers, on each core; a power of two */
	_Atomic uint32_t connections;
};

/* How work crosses between cores; the server's own while it does. */
struct gate_carried {
	struct list_node link;
	void (*arrived)(struct gate_carried *carried, void *core);
	uint32_t origin, next;
};

/* A piece of work that visits the gate of every core in turn, each on its own thread, and then
 * comes back to where it began. Embedded by its owner; stays until `done`. */
struct gate_tour {
	void (*visit)(struct gate_tour *tour, struct gate *gate);
	void (*done)(struct gate_tour *tour);
	struct gate_carried carried;
};

/* A request of the directory, which is served on one core. Embedded; stays until `done`; the
 * request's own `done` is the server's. */
struct gate_directory {
	struct meta_request request;
	void (*done)(struct gate_directory *directory);
	void *core; /* the server's */
	struct gate_carried carried;
};

/* What the gate asks of the server, on its core's thread; nothing is answered inside the call. */
/* Stores, for INFO. */
struct gate_persistence {
	/* Of `stores`: those that have room, and those whose compactions met damage. */
	uint64_t stores, writable, compactions_stopped;
	uint64_t checkpoints, checkpoint_entries, checkpoint_bytes;
	uint64_t checkpoint_last_ms; /* how long; of the store where it is longest */
	/* Since the oldest write of a log under way began; of the store where it is longest. */
	uint64_t log_waiting_ms;
	uint64_t dirty_bytes, cache_bytes, log_bytes, log_frames, log_syncs;
	uint64_t free_bytes; /* of the store where it is least */
	/* For replicas of other nodes: snapshots, and what was read back from the log; and
	 * snapshots that this node got. */
	uint64_t snapshots_sent, snapshots_bytes_sent, snapshots_installed;
	uint64_t read_back_entries, read_back_bytes;
	/* In memory until most replicas have it on their disks; reservations refused for that. */
	uint64_t unapplied_bytes, unapplied_refused;
};

/* Between any core of this process and another node. */
enum gate_link {
	GATE_LINK_DOWN,
	GATE_LINK_LOST, /* down for replace_after or longer */
	GATE_LINK_UP,
};

struct gate_services {
	void (*tour)(void *arg, struct gate_tour *tour);
	void (*directory)(void *arg, struct gate_directory *directory);
	/* This core's stores as a JSON array of objects; how many stores were asked. */
	void (*stores)(void *arg, struct json_writer *writer);
	/* Adds this core's. */
	void (*persistence)(void *arg, struct gate_persistence *sum);
	uint32_t (*checkpoint)(void *arg);
	bool (*ready)(void *arg);       /* calls are served */
	uint32_t (*pending)(void *arg); /* meta_pending */
	/* Keys of the configuration as JSON objects (docs/admin-protocol.md), of all or by name;
	 * and one changed. ERR_INVALID, ERR_BUSY (a start alone reads it): `why` is for people. */
	int (*config_get)(
	    void *arg, struct slice name, struct json_writer *writer, char *why, size_t why_bytes);
	int (*config_set)(void *arg, struct slice name, struct slice value,
	    struct json_writer *writer, char *why, size_t why_bytes);
	/* The newest map of the cluster on this core, valid until the callback ends; NULL, or NULL
	 * given: this node is alone. */
	const struct cluster_map *(*map)(void *arg);
	/* This core's with another node. NULL: it has one with all. */
	enum gate_link (*link)(void *arg, uint16_t node);
	/* Why a node that is there has no link with this core, in a word; NULL: it has one, or is
	 * not there. NULL given: none is refused. */
	const char *(*refused)(void *arg, uint16_t node);
	/* Calls `add` with each figure of this core's links, in one order on all cores; names are
	 * valid for ever. NULL: there are none. */
	void (*links)(void *arg, void (*add)(void *to, const char *name, uint64_t value), void *to);
	/* As they are now. */
	void (*limits)(void *arg, struct gate_limits *ret_limits);
	void *arg;
};

/* The id of a node, as clients are shown it: 40 hexadecimal digits, as Redis's. */
void gate_node_id(
    const char *cluster, uint16_t node, uint64_t incarnation, char id[GATE_NODE_CHARACTERS + 1]);

struct gate_options {
	struct io *io;
	struct shards *shards;
	uint32_t core;
	struct gate_config *config;
	const struct gate_services *services;
};
NODISCARD int gate_new(const struct gate_options *options, struct gate **ret_gate);
/* NULL-safe; it was closed, or never listened. */
void gate_free(struct gate *gate);

/* Errors as io_listen; ERR_CANCELED after gate_drain. *ret_port: the one that was taken where the
 * address has 0. */
NODISCARD int gate_listen(struct gate *gate, enum gate_port kind, const struct sockaddr *address,
    size_t address_bytes, uint16_t *ret_port);

/* The end of a turn: what waited for room goes on, and the turn's replies are sent. True while work
 * is left. Twice in a turn is fine. */
bool gate_turn(struct gate *gate);

/* Takes no more connections and no more requests; each connection ends when what it asked for is
 * answered and sent. `drained` once, when none is left. */
void gate_drain(struct gate *gate, void (*drained)(void *arg), void *arg);
/* After gate_drain: those that are still there end now. Calls under way must still end. */
void gate_cut(struct gate *gate);

/* What a handler broke, for ADMIN ERROR. Copies. */
void gate_error_add(struct gate *gate, const struct shard_error *error);

struct gate_figures {
	uint64_t connections, accepted, refused, closed_idle, closed_stalled, closed_greedy;
	uint64_t closed_malformed, requests, calls, calls_under_way, errors, moved;
	uint64_t input_bytes, output_bytes, memory_bytes;
};
struct gate_figures gate_figures(const struct gate *gate);

#endif
