/* A few nodes of one core each, with calls between them over a network that is a few lists, and
 * shards that are played: what is submitted stands in a list until the test runs or refuses it.
 * Time stands until it is moved. */
#ifndef KX_TESTS_UNIT_FORWARD_RIG_H
#define KX_TESTS_UNIT_FORWARD_RIG_H

#include "base/list.h"
#include "server/forward.h"
#include "server/forward_wire.h"
#include "server/meta/cluster_map.h"

enum { RIG_NODES_MAX = 4, RIG_SHARDS = 4, RIG_TEXT_BYTES = 64 };

/* A call of a client of one node. */
struct rig_call {
	struct shard_call call;
	struct rig_node *node;
	char address[RIG_TEXT_BYTES], name[RIG_TEXT_BYTES];
	struct list_node away; /* of its node's, while forward has it */
	unsigned times_local;
	bool ended;
};

struct rig_request {
	struct meta_request request;
	bool ended, local;
};

struct rig_message {
	struct list_node node;
	uint8_t kind;
	size_t bytes;
	uint8_t data[];
};

struct rig_node {
	struct rig *rig;
	uint16_t number; /* from 1 */
	struct forward *forward;
	struct cluster_leaders *leaders;
	struct list submitted; /* struct shard_call, by link: what its shards have */
	struct list requests;  /* struct meta_request, by link */
	struct list away;      /* struct rig_call */
	bool leads[RIG_SHARDS + 1];
	bool knows_queries; /* a call of the name "get" only reads */
	unsigned news;
};

struct rig {
	uint64_t now_ns;
	unsigned node_count;
	uint32_t cores; /* of node 2, as the others see it */
	/* Where it is not NULL, while a node asks which core has a shard. */
	void (*core_asked)(struct rig_node *node);
	struct rig_node nodes[RIG_NODES_MAX + 1];
	/* [from][to] */
	struct list wires[RIG_NODES_MAX + 1][RIG_NODES_MAX + 1];
	bool up[RIG_NODES_MAX + 1][RIG_NODES_MAX + 1];
	unsigned room[RIG_NODES_MAX + 1][RIG_NODES_MAX + 1];    /* messages that fit */
	bool full[RIG_NODES_MAX + 1][RIG_NODES_MAX + 1];        /* ERR_FULL was said */
	unsigned starved[RIG_NODES_MAX + 1][RIG_NODES_MAX + 1]; /* so many find no memory */
	unsigned messages, refusals;
};

/* `options`: what a test wants of them; the rest is the rig's. */
void rig_open(struct rig *rig, unsigned nodes, const struct forward_options *options);
/* Nothing may be under way. */
void rig_close(struct rig *rig);

void rig_link_up(struct rig *rig, unsigned a, unsigned b);
void rig_link_down(struct rig *rig, unsigned a, unsigned b);
void rig_link_all(struct rig *rig);
void rig_lead(struct rig *rig, unsigned node, uint32_t shard, uint64_t term);
void rig_follow(struct rig *rig, unsigned node, uint32_t shard);
void rig_advance(struct rig *rig, uint64_t ms);
/* One message; false: there is none. */
bool rig_carry(struct rig *rig, unsigned from, unsigned to);
void rig_turns(struct rig *rig); /* one of each node */
void rig_run(struct rig *rig);   /* until nothing moves */

/* Of shard 1 to RIG_SHARDS: an address of it; `number` tells them apart. */
void rig_address(uint32_t shard, unsigned number, char to[RIG_TEXT_BYTES]);
void rig_call_init(struct rig_call *call, struct rig *rig, unsigned node, const char *address,
    const char *name, uint64_t order, uint64_t timeout_ms);
/* As a node's shards do: here where it leads and none before it is away, else through forward. */
void rig_submit(struct rig_call *call);
void rig_call_done(struct rig_call *call);
bool rig_call_is(const struct rig_call *call, enum status status);

/* The first that the node's shards have; NULL: none. */
struct shard_call *rig_first(struct rig *rig, unsigned node);
unsigned rig_submitted(struct rig *rig, unsigned node);
/* Answers it: OK with `reply`, or refuses. It leaves the list. */
void rig_answer(struct rig *rig, unsigned node, struct shard_call *call, const char *reply);
void rig_refuse(struct rig *rig, unsigned node, struct shard_call *call);

#endif
