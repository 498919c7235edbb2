/* Directories of several nodes of one cluster, for tests. Each stands on a group of its own that
 * has one member and always leads, and what it hears of that group is what the rig says: who leads,
 * and, at each node, the entries that the leader made, one after the other, as it gets to them. The
 * cores and shards are the rig's: a shard is led by one node, and remembers what it activated. One
 * world in a process. */
#ifndef KX_TESTS_UNIT_META_NODES_RIG_H
#define KX_TESTS_UNIT_META_NODES_RIG_H

#include "base/io/sim/sim.h"
#include "replication/group.h"
#include "scripting/host.h"
#include "server/meta/meta.h"
#include "tests/unit/run.h"
#include "tests/unit/starve.h"

enum { NODES = 3, SHARDS = 8, ROW_MAX = 192, ENTRY_BYTES = 16 * 1024, MESSAGES_MAX = 64 };

struct message {
	uint16_t from;
	size_t bytes;
	uint8_t data[256];
};

/* Node numbers as the cluster gives them: nodes[1] is 1. */
struct rig_node {
	uint16_t number;
	struct sim_node *node;
	struct io *io;
	struct group_store *store;
	struct host *host;
	struct group *group;
	struct meta *meta;
	const struct group_events *events;
	void *events_arg;
	bool real_leads;      /* the group below has begun */
	uint64_t replica;     /* of the directory, as its file says; 0: it is not said */
	bool joining, behind; /* behind: it gets no entries */
	bool installs;        /* its directory hears of no entries, and in the end of a new state */
	size_t given;         /* entries of the row that its group has */
	size_t under_way;     /* of them, not applied yet */
	unsigned opened, ready, loads, activations, maps;
	struct cluster_map *map; /* the newest that it was handed */
	bool hold, asked_load, asked_activate;
	struct meta_activation activation;
	char app[NAME_BYTES_MAX + 1];
	struct message inbox[MESSAGES_MAX];
	size_t inbox_count;
	struct starve starve;
	int error; /* the last that it said of itself */
};

struct rig {
	struct sim *sim;
	struct rig_node nodes[NODES + 1];
	uint16_t leader; /* of the directory; 0: nobody */
	uint64_t term;
	struct {
		size_t bytes;
		uint8_t data[ENTRY_BYTES];
	} row[ROW_MAX];
	size_t row_count;
	uint16_t shard_leader[SHARDS + 1]; /* 0: nobody */
	uint64_t shard_has[SHARDS + 1];    /* generation */
	bool shard_refuses[SHARDS + 1];
	bool drops_messages;
	unsigned messages;
};
extern struct rig rig;

void rig_set_up(void); /* node 1 alone, ready */
void rig_tear_down(void);
/* A process on that node; nothing is waited for. */
void rig_boot(uint16_t number, bool joining);
void rig_crash(uint16_t number);
/* It is let in by the leader, boots, and is ready. */
void rig_join(uint16_t number);
/* Who led does so no more; `number` does, when it has all entries. 0: nobody. */
void rig_lead(uint16_t number);
/* The node is behind, and gets all that there is as one state. */
void rig_install(uint16_t number);
/* Shard 0 there cannot be read, as while a snapshot takes its place (storage/install.h). */
void rig_fence(uint16_t number, bool fenced);
/* Another node leads the shard, and its directory is told. */
void rig_move_shard(uint32_t shard, uint16_t number);
void rig_run_until(bool (*until)(void *arg), void *arg);
void rig_pass_ms(uint64_t ms);
void rig_do(uint16_t number, void (*run)(void *arg), void *arg);
/* In its process. */
void rig_tell(uint16_t from, uint16_t to, struct slice bytes);

/* ---- Requests ---- */

struct rig_request {
	struct meta_request request;
	struct buffer bundle;
	struct meta_wanted wanted[NODES];
	uint16_t at; /* which node */
	bool done;
};
void rig_request_init(struct rig_request *test, enum meta_verb verb);
/* An app whose query answers `version`. */
void rig_deploy_init(struct rig_request *test, const char *app, int version);
void rig_submit(struct rig_request *test, uint16_t at);
bool rig_is_done(void *test);
/* Waits, too. The answer is freed by rig_done. */
enum status rig_run(struct rig_request *test, uint16_t at);
void rig_done(struct rig_request *test);
bool rig_says(const struct rig_request *test, const char *part);
/* The incarnation and all else of the node. */
struct cluster_node rig_self(uint16_t number);
enum status rig_deploy(uint16_t at, const char *app, int version);
enum status rig_set_state(uint16_t at, enum meta_verb verb, uint16_t number, bool force);

#endif
