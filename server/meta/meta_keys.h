/* What shard 0 keeps, byte by byte. Keys are as storage/keys.h has them, without their shard; names
 * and hashes stand in them as they are, one key per record. Records are MessagePack arrays that
 * begin with a format number, and may get longer at the end.
 *
 *   CLUSTER          [1, id (32 hexadecimal digits), shards, created_ms, replication_factor,
 *                     next_node, began_ms, ended_ms, all]; without the two behind created_ms: 3,
 *                     and 2; the last three are the job of what is moved until all is even, where
 *                     there was one
 *   APP | name       [1, hash, generation, catalogue (binary), [[type, active, incarnation]..],
 *                     [[hash, at_ms, by, back]..]]
 *                     hash is "" after a removal; back says how many entries before stands
 *                     what a rollback goes to (0: nothing); types are all that were ever
 *                     active; the incarnation stands there only where one was dropped
 *   BUNDLE | hash    the bundle's bytes
 *   NODE | number    u16 big-endian: [1, state, incarnation (as a signed integer), cores, stores,
 *                     host, port, peer_port, cluster_port, zone, began_ms, ended_ms, all]; state is
 *                     0 for a member, 1 while it is drained, 2 after its removal; the last three
 *                     are the job of its drain, where there is one
 *   SHARD | number   u32 big-endian: [1, generation, replicas_made, [[replica, voter]..]..], for
 *                     shard 0, too; replicas by number, rising, one on a node at most;
 *                     behind them, where there was an unsafe recovery: replica, term, index,
 *                     at_ms
 *
 * A directory without NODE records was made by a version that knew one node, and gets them, and
 * those of its shards, when somebody leads it.
 */
#ifndef KX_SERVER_META_META_KEYS_H
#define KX_SERVER_META_META_KEYS_H

#include "storage/keys.h"

enum meta_key_kind {
	META_KEY_CLUSTER = KEY_KIND_FIRST_FREE,
	META_KEY_APP = KEY_KIND_FIRST_FREE + 1,
	META_KEY_BUNDLE = KEY_KIND_FIRST_FREE + 2,
	META_KEY_NODE = KEY_KIND_FIRST_FREE + 3,
	META_KEY_SHARD = KEY_KIND_FIRST_FREE + 4,
	META_KEY_END = KEY_KIND_FIRST_FREE + 5, /* none is that or above */
};

#define META_RECORD_FORMAT 1

#endif
