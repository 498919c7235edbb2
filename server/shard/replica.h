/* Queries at a replica that follows. Private to server/shard; see shard_parts.h. The core's thread.
 */
#ifndef KX_SERVER_SHARD_REPLICA_H
#define KX_SERVER_SHARD_REPLICA_H

#include "server/shard/shard_parts.h"

enum replica_step {
	REPLICA_READS, /* here, now */
	REPLICA_WAITS, /* aside */
	REPLICA_LEAVES /* not here, or not now */
};
enum replica_step replica_look(struct work *work);
/* The steps before it runs. */
enum step replica_steps(struct work *work);
/* Whether what it came to is an answer; else it goes to the leader. */
bool replica_takes(struct work *work, const struct host_outcome *outcome);
/* It begins anew, and is not read here any more. */
void replica_to_leader(struct work *work);
/* What is applied here has all that was committed anywhere until so long ago as the call allows:
 * whether this replica follows or leads. */
bool replica_is_new_enough(const struct work *work);
/* It is not running here any more. */
void replica_forget(struct work *work);
/* One that is ASKING does no more, and is looked at again; those that have their answer, or
 * cannot get one, or all. */
void replica_go_on(struct work *work);
void replica_release(struct shard *shard, bool all);
/* `actives` are not what was read. */
void replica_forget_active(struct shard *shard);

#endif
