/* The inside of replication/snapshot.h. Private to replication/.
 *
 * A stream out:
 *
 *   QUEUED --place--> OPENS --cursor--> OFFERS --WANT--> STREAMS --RESULT--> LINGERS --> gone
 *                                         ^                 |
 *                                         +----link up------+
 *
 * and from each of them gone, where it fails or is not wanted any more. It lingers so that the log
 * which the replica needs next is kept.
 *
 * A stream in:
 *
 *   WAITS --place--> RECEIVES --END, and all put--> INSTALLS --> gone
 */
#ifndef KX_REPLICATION_SNAPSHOT_PARTS_H
#define KX_REPLICATION_SNAPSHOT_PARTS_H

#include "base/io/io.h"
#include "base/list.h"
#include "base/token_bucket.h"
#include "replication/group_parts.h"
#include "replication/snapshot.h"
#include "replication/snapshot_wire.h"

struct cursor;
struct engine_install;

struct snapshots {
	struct io *io;
	struct snapshot_transport transport;
	uint64_t seed, made;
	uint64_t patience_ns;
	uint32_t streams_max;

	struct list out; /* all of them, by age */
	struct list ready;
	struct list leaving; /* ended, while the pool reads for them */
	struct list in;

	struct token_bucket bucket; /* bytes of chunks */
	struct io_timer refill;

	struct snapshots_figures figures;
};

/* A body that was read, and is kept until the replica has asked for the one behind it. */
struct snapshot_chunk {
	struct list_node link; /* from then on */
	uint64_t hash;
	size_t bytes, capacity;
	uint8_t data[];
};

/* What the offload pool has while a chunk is read, and nobody else. */
struct snapshot_read {
	struct io_op op;
	struct cursor *cursor;
	uint64_t id, number;
	uint64_t pairs, bytes; /* so far */
	bool has_pair;         /* the cursor's, which the chunk before had no room for */
	struct slice key, value;
	/* The pair of KEY_KIND_MEMBERS, which goes with END. */
	size_t members_bytes;
	uint8_t members[RAFT_MEMBERSHIP_BYTES_MAX];

	struct snapshot_chunk *chunk; /* what was read; NULL at the end */
	bool ended;
	int error;
};

/* ---- snapshot_read.c ---- */

/* In the pool. */
void snapshot_read_run(struct io_op *op);

/* ---- snapshot.c ---- */

/* Sends a message of the group: `body` behind the head. Errors of the transport. */
NODISCARD int snapshot_send(struct snapshots *snapshots, uint32_t shard,
    const struct snapshot_message *message, struct slice body, uint64_t hash);
/* The same for one whose body is small. */
int snapshot_tell(
    struct snapshots *snapshots, uint32_t shard, const struct snapshot_message *message);
void snapshot_hold(struct snapshots *snapshots, size_t bytes);
void snapshot_let_go(struct snapshots *snapshots, size_t bytes);
uint16_t snapshot_node(uint64_t replica);

/* ---- snapshot_send.c ---- */

void snapshot_out_receive(struct group *group, const struct snapshot_message *message);
void snapshot_out_link(struct snapshots *snapshots, uint16_t node, bool up);
void snapshot_out_room(struct snapshots *snapshots, uint16_t node);
void snapshot_pump(struct snapshots *snapshots);
/* Starts what waits for a place. */
void snapshot_out_next(struct snapshots *snapshots);
/* What the machine wants is begun, and what it does not any more ended. */
void snapshot_out_look(struct group *group);
void snapshot_out_drop(struct group *group);

/* ---- snapshot_receive.c ---- */

void snapshot_in_receive(struct group *group, const struct snapshot_message *message);
void snapshot_in_room(struct snapshots *snapshots, uint16_t node);
/* A link to the node is gone. */
void snapshot_in_cut(struct snapshots *snapshots, uint16_t node);
void snapshot_in_look(struct group *group);
void snapshot_in_drop(struct group *group);
void snapshot_in_forget(struct group *group);

#endif
