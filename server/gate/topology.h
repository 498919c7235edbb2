/* What clients are told of the cluster: which node serves which slots. Made of the published map
 * and of who is known to lead (server/meta/cluster_map.h), as both are now: leaders change any
 * time, and links, which other cores have, so that a reply is made of one reading. Without a map
 * there is this node alone.
 *
 * Private to server/gate. Thread: the gate's; views until the callback ends.
 */
#ifndef KX_SERVER_GATE_TOPOLOGY_H
#define KX_SERVER_GATE_TOPOLOGY_H

#include "server/gate/gate.h"
#include "server/meta/cluster_map.h"

/* What becomes of calls, as far as this node sees. */
enum topology_service {
	TOPOLOGY_SERVED,  /* whoever leads is reached */
	TOPOLOGY_ELECTS,  /* a majority of the voters is reached, and somebody will lead soon */
	TOPOLOGY_STOPPED, /* none is: nobody can lead until some of them are back */
};

/* Slots that follow each other and have the same master and the same replicas. */
struct topology_range {
	uint16_t first_slot, last_slot;
	enum topology_service service;
	/* Whom clients send calls to: SERVED, who leads; else a node that stands in, is reached,
	 * and where calls wait for the next leader. Never 0: some clients fail on slots without a
	 * node. */
	uint16_t master;
	/* Nodes of its voters, but for the master; reached or not. */
	uint16_t replicas[CLUSTER_REPLICAS_MAX];
	uint32_t replica_count;
};

/* One node, as it is shown. */
struct topology_node {
	uint16_t number;
	const char *host;
	uint16_t cluster_port, peer_port;
	bool self;
	char id[GATE_NODE_CHARACTERS + 1];
};

struct topology {
	const struct gate *gate;
	const struct cluster_map *map; /* NULL: alone */
	enum gate_link *links;         /* with the map's nodes, as they stand there; own memory */
	struct topology_range *ranges; /* own memory */
	uint32_t range_count;
	uint32_t served_slots, electing_slots, stopped_slots;
	uint32_t led_nodes;      /* that lead something */
	uint32_t stopped_shards; /* as stopped_slots */
};

/* ERR_NOMEM. */
NODISCARD int topology_read(const struct gate *gate, struct topology *ret_topology);
void topology_done(struct topology *topology); /* NULL-safe inside */

/* Nodes that are members, or on their way out. */
uint32_t topology_node_count(const struct topology *topology);
/* The one at a position below that. */
void topology_node_at(
    const struct topology *topology, uint32_t position, struct topology_node *ret_node);
/* False: no such node is known. This node always is. */
bool topology_find(
    const struct topology *topology, uint16_t number, struct topology_node *ret_node);

/* It is this node, or one that this process had a link with. */
bool topology_is_reached(const struct topology *topology, uint16_t number);
/* It is not, and was not for replace_after: the cluster takes it for lost. */
bool topology_is_lost(const struct topology *topology, uint16_t number);
/* It is another one, and this process had a link with it. */
bool topology_is_linked(const struct topology *topology, uint16_t number);

/* Where a call for this slot has to go from here: to who leads, and is reached. False: it is served
 * here, or waits here for the next leader. It is sent to no node that stands in, and so never in a
 * circle: who leads in a term knows of it before all others, and of two nodes that each take the
 * other for the leader one would know of the later term. */
bool topology_moved(const struct gate *gate, uint16_t slot, struct topology_node *ret_node);
/* This node has a replica of the slot's shard, or is to have one. */
bool topology_has_replica(const struct gate *gate, uint16_t slot);

#endif
