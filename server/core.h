/* One core of the server: a thread with its ring, stores, shards, gate and Lua, and the turn that
 * moves them. Private to server/.
 *
 *   io_poll -> io_run (bytes become calls, completions) -> what other cores sent -> calls of other
 *   nodes -> shards_turn -> meta_turn (core 0) -> group_store_turn: the log's frames -> links to
 *   other nodes -> gate_turn: replies -> mailboxes -> a slice for handlers that take long
 *
 * Its life, which all cores go through together (server_meet; stages of the end in server.h):
 *   ring and stores opened | the directory readable (core 0) | links and shards made | connected,
 *   serving | stages of the end | parts freed | ring freed
 */
#ifndef KX_SERVER_CORE_H
#define KX_SERVER_CORE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/io/io.h"
#include "base/list.h"
#include "server/gate/gate.h"
#include "server/shard/shard.h"

struct cluster_core;
struct group_store;
struct host;
struct mailbox;
struct server;

/* The stages of a clean end. Every core does one, and none begins the next before all have. */
enum stage {
	STAGE_SERVING,
	STAGE_DRAINING,       /* no new requests; what was asked is answered */
	STAGE_CLOSING_SHARDS, /* what still waits is refused */
	STAGE_CUTTING,        /* connections that have not ended do */
	STAGE_CLOSING_STORES, /* the directory ends, then checkpoints */
	STAGE_UNLINKING,      /* links to other nodes end */
	STAGE_ENDED
};

/* Messages for another core that found its mailbox full wait here. */
struct core_peer {
	struct mailbox *to, *from; /* NULL: this core itself */
	struct list waiting;       /* of struct gate_carried */
};

struct core {
	struct server *server;
	uint32_t number;
	pthread_t thread;
	_Atomic bool serving; /* its ring may be woken */
	struct io *io;
	struct host *host;
	struct group_store **stores; /* [map.store_count]; NULL where another core's */
	struct shards *shards;
	struct gate *gate;
	struct cluster_core *cluster;
	struct core_peer *peers; /* [core_count] */
	struct mailbox **shards_to, **shards_from;

	enum stage stage;
	bool stage_done;
	uint32_t stores_closing;
	struct io_timer stage_timer;
	bool drained, drain_late, cut, stores_close_begun;
	bool wants_reopening; /* a store of it does: engine_options has it */
};

void *core_main(void *arg);

/* What core_main does, in steps that wait for nobody: the simulator (tests/cluster_sim) goes
 * through them by itself. All cores have ended one before any begins the next. Those that are false
 * have said why (server_fail). */

/* With its ring: Lua, stores, mailboxes. Blocks while stores are replayed. */
bool core_open(struct core *core);
/* Core 0's: which node this is, joining, and the directory until it can be read. To be called again
 * in each turn, behind io_run, until it is DONE. */
enum core_step {
	CORE_WORKS, /* the next turn is needed at once */
	CORE_WAITS, /* for something that the ring tells */
	CORE_DONE,
	CORE_FAILED
};
enum core_step core_directory_step(struct core *core);
bool core_make_shards(struct core *core);
bool core_connect(struct core *core);
void core_begin_to_serve(struct core *core);
/* After io_run. True while the next one is needed at once. At STAGE_ENDED there are no more. */
bool core_turn(struct core *core);
/* All cores have ended: frees what it has, but not its ring and mailboxes. */
void core_end(struct core *core);

/* On core `from`'s thread: `arrived` is called on core `to`, in a later turn. */
void core_send(struct core *from, uint32_t to, struct gate_carried *carried);
/* Delivers what came. */
void core_exchange(struct core *core);
/* Sends what waits; true while something still does. */
bool core_flush(struct core *core);

extern const struct gate_services core_services;            /* without arg, which is the core */
extern const struct cluster_services core_cluster_services; /* too */

/* core_cluster.c: this node's part in its cluster. */

/* On core 0, with its stores open: which node of which cluster this is. A step as of
 * core_directory_step. */
enum core_step core_find_membership(struct core *core);
/* Links, from the moment on that the cluster's id and the node's number are known. */
bool core_begin_links(struct core *core);
/* What the directory tells. */
void core_map_changed(void *arg, struct cluster_map *map);
uint16_t core_directory_leader(void *arg);
void core_directory_tell(void *arg, uint16_t node, struct slice bytes);
/* shards_options'. */
uint64_t core_replica(void *arg, uint32_t shard);
bool core_others(void *arg, uint32_t shard);
void core_unled(void *arg, uint32_t shard, char *text, size_t text_bytes);
void core_removed(void *arg, uint16_t by); /* does not return */
void core_refused(void *arg, struct slice why);
bool core_elsewhere(void *arg, struct shard_call *call, uint32_t shard);
void core_leads(void *arg, uint32_t shard, uint64_t term);
void core_follows(void *arg, uint32_t shard);
/* With --join, on core 0: asks until it is let in; then server->member is complete, and written. A
 * step as of core_directory_step. Where server->mend says that the replica of the directory here is
 * damaged, those that were its peers are asked too, and let in is who gets another one. */
enum core_step core_join(struct core *core);
/* Somebody is known who could be asked. */
bool core_has_peers(const struct server *server);

/* core_stay.c. Core 0's, with the directory open: whoever is a member already is not to join
 * another cluster. A step as of core_directory_step. */
enum core_step core_stay(struct core *core);

/* core_await.c: while a node that was let in waits for the directory, its log says from time to
 * time what it waits for. Each turn; and when that is over, once or more. */
void core_await(struct core *core);
void core_await_end(struct core *core);

/* core_mend.c. Core 0's, with its stores open: the directory's log is damaged here, and others are
 * known. Or was, and core_mend has not come to its end. */
bool core_needs_mending(const struct core *core);
/* Another replica of the directory in its place. A step as of core_directory_step. */
enum core_step core_mend(struct core *core);
/* The directory could not be read at the start, which fails: where others are known the process
 * begins anew, and mends. */
void core_mend_later(struct core *core);
/* In each turn, while all is served: begins anew for it, where others are the majority. */
void core_mend_serving(struct core *core);
/* The others say that they never give it up: then it may start again, if it can be read. Errors of
 * storage/data_mending.h. */
NODISCARD int core_mend_refused(struct server *server);

/* core_stop.c: does what the present stage asks, and says so when it has; once a turn. True while
 * the next turn is needed for it. */
bool core_stop_turn(struct core *core);

#endif
