/* Messages of a core's groups to their other replicas and back, over links (peer/peer.h), and what
 * snapshots send (snapshot.h).
 *
 *   group_store_turn -> send: a message joins what goes to the same core of the same node
 *     -> carrier_turn: one message of the link for each class -> there: carrier_receive -> groups
 *
 * So the heartbeats of all groups to one node are one message, and all entries of a turn another
 * one. Heartbeats, votes and their answers go before entries (PEER_URGENT).
 *
 * Nothing is kept: what a link does not take is lost, as any message may be, and its groups hear
 * that (RAFT_UNREACHABLE). As long as a node is not reached, groups with a replica there are told
 * so again and again (RAFT_PEER_DOWN), and so is a group whose other replica is not where it should
 * be: a node that gets a message for a replica that it does not have says NOT_HERE. One whose
 * replica takes part in nothing any more says that unasked (carrier_say_not_here).
 *
 * Where a shard lives on a node: store = shard mod its stores, core = store mod its cores. The
 * lower 16 bits of a replica's number are its node.
 *
 * Messages of the link: CARRIER_MESSAGES, any number of (shard varint, message as raft/wire.h has
 * it); CARRIER_NOT_HERE: shard varint, replica varint; CARRIER_SNAPSHOT: shard varint, one message
 * as snapshot_wire.h has it (PEER_BULK).
 *
 * Thread: the core's.
 */
#ifndef KX_REPLICATION_CARRIER_H
#define KX_REPLICATION_CARRIER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "replication/peer/peer.h"

struct carrier;
struct group_store;
struct io;
struct iovec;
struct raft_message;
struct snapshots;

enum carrier_kind { CARRIER_MESSAGES = 1, CARRIER_NOT_HERE = 2, CARRIER_SNAPSHOT = 3 };

struct carrier_options {
	struct io *io;
	struct peers *peers;
	/* [store_count]; NULL where another core's. */
	struct group_store *const *stores;
	uint32_t store_count;
	uint32_t shard_max; /* the highest number of a shard */
};
/* ERR_NOMEM. `stores` stays. */
NODISCARD int carrier_new(const struct carrier_options *options, struct carrier **ret_carrier);
void carrier_free(struct carrier *carrier); /* NULL-safe */
/* Whose messages it takes, too, from before the first link is up. */
void carrier_set_snapshots(struct carrier *carrier, struct snapshots *snapshots);

/* A node that has `cores` and `stores`, or has others now. ERR_NOMEM. It counts as not reached
 * until a link to each of its cores that peers has is up. */
NODISCARD int carrier_set_node(
    struct carrier *carrier, uint16_t node, uint16_t cores, uint16_t stores);
/* It is gone for good, and so are its links: it is not reached as long as groups have replicas
 * there, and forgotten then. */
void carrier_remove_node(struct carrier *carrier, uint16_t node);

/* A link to a core of the node came or went. */
void carrier_link_up(struct carrier *carrier, uint16_t node, uint16_t core);
void carrier_link_down(struct carrier *carrier, uint16_t node, uint16_t core);

/* There is room again in the PEER_BULK of a link to the node. */
void carrier_room(struct carrier *carrier, uint16_t node);

/* struct snapshot_transport's `send`, with the carrier as `arg`. */
int carrier_send_snapshot(
    void *arg, uint32_t shard, uint64_t to, const struct iovec *iov, size_t count);
/* struct group_carrier's `send`. */
void carrier_send(struct carrier *carrier, uint32_t shard, const struct raft_message *message);
/* To the node of the replica `to`: this node's own `replica` of the shard takes part in nothing, as
 * if it was not here. It may be lost, and is said again as long as it is so. */
void carrier_say_not_here(struct carrier *carrier, uint32_t shard, uint64_t replica, uint64_t to);
/* Sends what was gathered; behind group_store_turn, before peers_turn. */
void carrier_turn(struct carrier *carrier);

/* A message of a link, of one of the kinds above. ERR_PROTOCOL: malformed; what stood before that
 * counts. */
NODISCARD int carrier_receive(
    struct carrier *carrier, uint16_t node, uint16_t core, uint8_t kind, struct slice bytes);

struct carrier_figures {
	uint64_t messages_sent, batches_sent, messages_received;
	uint64_t lost;     /* a link was down, or took no more */
	uint64_t not_here; /* said so */
};
struct carrier_figures carrier_figures(const struct carrier *carrier);

#endif
