/* Clients of the cluster. A connection is one node's; its calls go to that node's own shards or,
 * by production's forwarding, to whoever leads. A token may be repeated over any connection. */
#ifndef KX_TESTS_CLUSTER_SIM_LOAD_H
#define KX_TESTS_CLUSTER_SIM_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "server/shard/shard.h"
#include "tests/shard_sim/app.h"
#include "tests/shard_sim/history.h"
#include "tests/shard_sim/model.h"

enum { LOAD_CALLS_MAX = 128, LOAD_SINGLE_MAX = 48, LOAD_TOKENS = 24 };

struct node;
struct world;

struct load_call {
	struct shard_call call;
	struct model_call model;
	struct node *node;
	bool busy;
	const char *name;
	const struct app_command *command; /* NULL: a history */
	char address[32], payload[24], token[24], cursor[HISTORY_CURSOR_BYTES_MAX];
};

struct load_token {
	bool used;
	unsigned entity, connection;
	uint64_t id, number;
};

struct load {
	unsigned calls_max, calls_per_turn, idle_percent, repeat_percent;
	struct load_call calls[LOAD_CALLS_MAX];
	unsigned under_way; /* of them */
	struct load_token tokens[LOAD_TOKENS];
	uint64_t token_count;
	uint64_t answers; /* hash of all so far */
};

/* Inside, once in a turn of the node that serves: begins calls, as many as there may be. */
void load_act(struct world *world, struct node *node);
/* Many at once: what clients have sent while the node could not see it. */
void load_burst(struct world *world, struct node *node);
/* Outside, after the node's process died: nobody knows what became of its calls. */
void load_cut_off(struct world *world, struct node *node);
unsigned load_under_way(const struct world *world);
/* Inside, in the calm: one query of each entity at this node, or the whole history of each. */
void load_query_all(void *node);
void load_history_all(void *node);

#endif
