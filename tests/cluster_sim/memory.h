/* What a node has in memory of entries that it has not applied is bounded
 * (replication/group_room.c), whatever disks of others, or its own, do. In worlds in which little
 * is let in.
 *
 * A group that it leads has no more than is let in, and what calls of one turn and promises add.
 *
 * Of one that it follows a message with entries of its leader's own term is taken, or a part of it,
 * while there are less than UNAPPLIED_TAKEN_FACTOR times what is let in, of the group and of the
 * store. So in front of the last entry that it took of such a message there is less than that and a
 * message more. Not counted is what may be beyond it:
 *
 *   - entries of earlier terms, and those that come in one message with the first of this term:
 *     those before are committed only with that
 *   - those found in the log at the start: nobody has told yet that they are committed
 *   - those that it has proposed itself
 *   - of the store's: the first entry of each group, as without room each goes on by one
 *
 * The directory is not refused: it has bundles, one at a time.
 */
#ifndef KX_TESTS_CLUSTER_SIM_MEMORY_H
#define KX_TESTS_CLUSTER_SIM_MEMORY_H

#include <stdint.h>

#include "tests/cluster_sim/node.h"
#include "tests/shard_sim/model.h"

struct memory_replica {
	uint64_t life;    /* of the process that it was seen in */
	uint64_t allowed; /* up to this index it has entries by another right */
};

struct memory {
	struct memory_replica replicas[WORLD_MACHINES_MAX][MODEL_SHARDS + 1];
};

/* Inside, after a turn. */
void memory_look(struct memory *memory, struct node *node);

#endif
