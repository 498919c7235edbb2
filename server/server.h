/* The process: a data directory, its cores, how they begin and end together. Private to server/. */
#ifndef KX_SERVER_SERVER_H
#define KX_SERVER_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "server/begun_anew.h"
#include "server/cluster.h"
#include "server/configuration.h"
#include "server/core.h"
#include "server/gate/gate.h"
#include "server/shard/shard.h"
#include "storage/data_member.h"
#include "storage/data_peers.h"
#include "storage/data_recovered.h"
#include "storage/engine.h"

struct data_dir;
struct fs;
struct join;
struct stay;
struct meta;

#define SERVER_WHY_BYTES 640
struct listen_address {
	struct sockaddr_storage address;
	socklen_t bytes;
};

struct server {
	struct config *config;          /* what CONFIG_CHANGEABLE names: under config_lock */
	struct config_origins *origins; /* too */
	pthread_mutex_t config_lock;    /* held for moments; nothing is waited for inside */
	const char *version;
	struct fs *fs;
	struct data_dir *dir;
	struct gate_config gate_config;
	struct shard_map map; /* shard_count is known once the directory is readable */
	struct core *cores;
	bool dev;
	bool pin;    /* a CPU of its own for each core */
	bool founds; /* the first node of a cluster, which it makes where there is none yet */
	uint64_t seed;
	uint64_t cluster_id[2]; /* random: of the cluster that it founds */
	/* Sizes alone; zeros are the configuration's, or those of base/limits.h. */
	struct engine_options engine_sizes;
	uint64_t group_kept_bytes;                             /* the same */
	uint64_t message_bytes_max;                            /* as group_store_options have it */
	uint64_t group_unapplied_bytes, store_unapplied_bytes; /* too */
	/* As peers_options have it. */
	int (*entropy)(void *arg, uint8_t *to, size_t bytes);
	void *entropy_arg;

	/* Which node of which cluster this is: core 0 writes it before the others go on. */
	struct data_member member;
	struct data_peers peers; /* as the last process left them */
	struct data_recovered recovered;
	uint8_t secret[SERVER_SECRET_BYTES_MAX], secret_previous[SERVER_SECRET_BYTES_MAX];
	size_t secret_bytes, secret_previous_bytes;
	struct cluster_options cluster_options;
	struct cluster_leaders *leaders;
	struct cluster_map
	    *cluster_map; /* core 0's: the newest; the others read it while they start */

	struct join *join; /* core 0's, while it asks to be let in */
	struct stay *stay; /* core 0's, while it asks of whom --join speaks */
	/* Of those: nodes of this cluster that are elsewhere. Written before other cores run. */
	struct cluster_found found;
	struct mend { /* core_mend.c */
		enum { MEND_NOT, MEND_ASKS, MEND_CLEARS } stage;
		uint64_t damaged; /* the replica of the directory that is given up; 0: none is */
		bool may_have;    /* others may have done so already */
		uint64_t elsewhere_ns; /* since when others are a majority; 0: they are not */
	} mend;
	struct meta *meta; /* core 0's */
	struct apps *apps; /* core 0's: bundles on their way to all cores */
	uint64_t directory_began_ns;
	struct core_await {
		struct io_timer timer;
		bool begun, rung;
	} await;            /* core_await.c */
	bool join_is_over;  /* it has counted, or was ignored */
	bool meta_closed;   /* core 0's */
	_Atomic bool ready; /* calls are served */

	/* Where cores meet while they start and end. */
	pthread_mutex_t lock;
	pthread_cond_t met;
	uint32_t waiting;
	bool met_good; /* nobody had failed when the last meeting was complete */
	bool failed;
	uint64_t meeting;
	char why[SERVER_WHY_BYTES]; /* of the first failure */

	_Atomic int stage;
	_Atomic uint32_t stage_count; /* cores that are done with it */
	_Atomic uint32_t ended;       /* threads of cores */
	_Atomic bool again;           /* see server_begin_again */
	bool told_to_stop;            /* by a signal: it does not begin anew */
	pthread_t main;
};

/* Runs until it was told to stop, from a thread that has SIGTERM, SIGINT and SIGUSR1 blocked. The
 * process's exit status; or SERVER_AGAIN: the process is to begin anew, from nothing (what a start
 * that failed had opened is still open), with what `anew` has now. Before, that is what an earlier
 * life has left: ports go before those of `config`, and no file of a secret that is there is read.
 */
#define SERVER_AGAIN (-1)
int server_run(struct config *config, struct config_origins *origins, const char *version,
    struct begun_anew *anew);

/* [core_count], empty ones. ERR_NOMEM; then server_free_cores, too. */
NODISCARD int server_make_cores(struct server *server);
void server_free_cores(struct server *server);

/* Waits for all cores; false: some core has failed, and everything is to end. */
bool server_meet(struct server *server);
/* Says why the start failed; before server_meet. */
__attribute__((format(printf, 2, 3))) void server_fail(
    struct server *server, const char *format, ...);

/* Any thread: the clean end begins, unless it has. */
void server_stop(struct server *server);
/* Any thread: it has begun. Who still starts, and waits for other nodes, gives up then. */
static inline bool server_is_told_to_end(const struct server *server)
{
	return atomic_load(&server->stage) != STAGE_SERVING;
}
/* Any thread: a store is to be opened again (storage/install.h), so the process ends as it does
 * when it is told to, and begins anew. While it starts, who calls this fails the start, too. */
void server_begin_again(struct server *server);
/* A core has done its part of the present stage; the last one begins the next. */
void server_stage_done(struct core *core);
/* Every core looks up soon. `from`: the caller's, or NULL. */
void server_wake_all(struct server *server, struct core *from);

/* As many descriptors as clients may need, where that is allowed. */
void server_raise_files(const struct config *config);

/* ---- core_cluster.c ---- */

/* Which node this is, as the data directory says; before cores start. Has said why it failed. */
NODISCARD int server_read_member(struct server *server);
/* What this node is to others, all but its state. Core 0's. */
void server_node(const struct server *server, struct cluster_node *ret_node);
/* A cluster's id as people read it. */
enum { SERVER_CLUSTER_TEXT_BYTES = 2 * DATA_MEMBER_CLUSTER_BYTES + 1 };
void server_cluster_text(
    const uint8_t id[DATA_MEMBER_CLUSTER_BYTES], char text[SERVER_CLUSTER_TEXT_BYTES]);

/* ---- config_live.c: the configuration while the server runs. Any core. ---- */

void server_log_level(const char *name);
void server_gate_limits(struct server *server, struct gate_limits *ret_limits);
/* One core's part of snapshot_rate, as snapshots_set_rate has it. */
uint64_t server_snapshot_rate(struct server *server);
/* Objects of all keys, or of one, as docs/admin-protocol.md has them. */
NODISCARD int server_config_get(struct server *server, struct slice name,
    struct json_writer *writer, char *why, size_t why_bytes);
/* Also ERR_BUSY: only a start reads this key. */
NODISCARD int server_config_set(struct server *server, struct slice name, struct slice value,
    struct json_writer *writer, char *why, size_t why_bytes);

/* ---- opening.c: ports ---- */

/* All ports can be had; says which not. Before cores start. */
NODISCARD int server_check_ports(struct server *server, char *why, size_t why_bytes);
NODISCARD int server_resolve_bind(
    const struct config *config, struct listen_address *ret_address, char *why, size_t why_bytes);
void listen_address_set_port(struct listen_address *address, uint16_t port);
/* One that nobody has at the moment. */
NODISCARD int server_free_port(const struct server *server, uint16_t *ret_port);
/* On core 0: every core listens, then `ready` is true and said. */
void server_open_ports(struct core *core);

/* ---- apps.c: the directory's work on all cores ---- */

NODISCARD int apps_new(struct server *server, struct apps **ret_apps);
void apps_free(struct apps *apps);
void apps_load(void *arg, struct slice bundle);
void apps_activate(void *arg, const struct meta_activation *activation);
void apps_count(void *arg, struct slice type, uint64_t until_ns);

#endif
