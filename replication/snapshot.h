/* Snapshots of groups, from a leader to a replica that lacks what the leader's log does not have
 * any more.
 *
 *   leader                                     replica
 *   RAFT_SEND_SNAPSHOT: opens a cursor
 *   OFFER(term, position)            ->        wanted? a place free? storage/install.h begins
 *                                    <-        WANT 0
 *   CHUNK 0, CHUNK 1, ...            ->        checked, and put into the install
 *                                    <-        WANT n: all below n are put
 *   END(totals, membership)          ->        raft_install; the install finishes
 *                                    <-        RESULT
 *   RAFT_SNAPSHOT_SENT
 *
 * The state is a shard's keys at one applied index. It is never whole in memory: pairs are read in
 * the offload pool into chunks of SNAPSHOT_CHUNK_BYTES, of which SNAPSHOT_WINDOW_CHUNKS at most are
 * kept until they are asked for no more; a larger pair is a chunk of its own. Of a core's streams
 * SNAPSHOT_STREAMS_MAX each way are under way at a time, and the others wait. All chunks that it
 * sends keep to a rate (base/token_bucket.h); where that is slow the sender says from time to time
 * that more comes (ALIVE), so that only who is gone costs patience.
 *
 * The replica goes on with its old state until all chunks are there: only then it is asked of its
 * machine (raft_install) whether this is still to be installed, and its log stands still until it
 * is. What it has then is the old state or the new one, whatever crashes (storage/install.h).
 *
 * A link that breaks ends nothing for SNAPSHOT_PATIENCE_MS: what was not asked for is kept, and
 * the offer goes out again, to which the replica answers what it wants next. So no chunk is sent
 * twice beyond the window. Only where others wait for its place, at either side, it has to be there
 * again within SNAPSHOT_CUT_MS: a node that is gone keeps nobody else from getting what it lacks.
 * Who was started anew in the meantime knows nothing of it and wants chunk 0, which is gone: that
 * stream has failed, and the machine asks for another one. A chunk that is damaged, or does not
 * come in order, is asked for again, and so is what came behind it; what belongs to a snapshot that
 * is not known is answered with a RESULT that says so.
 *
 * The log behind the position is kept while the stream is under way, and after it until the replica
 * has caught up: up to SNAPSHOT_KEPT_BYTES_MAX of it.
 *
 * Thread: the core's.
 */
#ifndef KX_REPLICATION_SNAPSHOT_H
#define KX_REPLICATION_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct group_store;
struct io;
struct iovec;
struct snapshots;

/* What takes the bytes to other nodes, in the order sent to each. */
struct snapshot_transport {
	/* A message for the shard's group at the node of replica `to`; the bytes are copied.
	 * ERR_FULL: snapshots_room is to follow; ERR_CLOSED: snapshots_link_up is, when there is a
	 * link; ERR_NOMEM. Calls nothing back. */
	int (*send)(void *arg, uint32_t shard, uint64_t to, const struct iovec *iov, size_t count);
	void *arg;
};

struct snapshots_options {
	struct io *io;
	struct snapshot_transport transport;
	uint64_t seed; /* another one in each process */
	/* 0: the defaults in base/limits.h. */
	uint64_t bytes_per_s; /* or TOKEN_BUCKET_UNLIMITED */
	uint32_t streams_max; /* each way */
	uint32_t patience_ms;
};

/* One for all stores of a core; outlives them. ERR_NOMEM. */
NODISCARD int snapshots_new(
    const struct snapshots_options *options, struct snapshots **ret_snapshots);
void snapshots_free(struct snapshots *snapshots); /* NULL-safe */
/* From now on; TOKEN_BUCKET_UNLIMITED: none. > 0. */
void snapshots_set_rate(struct snapshots *snapshots, uint64_t bytes_per_s);

/* A message for a group of the store came from the node, valid during the call. What says that it
 * is of a replica elsewhere is not looked at. From io_run. */
void snapshots_receive(struct snapshots *snapshots, uint16_t node, struct group_store *store,
    uint32_t shard, struct slice message);
/* A link to a core of the node is there, or not any more; there is room again after an ERR_FULL.
 * From io_run. A node's number is the lower 16 bits of those of its replicas. */
void snapshots_link_up(struct snapshots *snapshots, uint16_t node);
void snapshots_link_down(struct snapshots *snapshots, uint16_t node);
void snapshots_room(struct snapshots *snapshots, uint16_t node);

struct snapshots_figures {
	/* Streams now, and those that wait for a place. */
	uint32_t sending, sending_waits, receiving, receiving_waits;
	/* Ended, since the start. */
	uint64_t sent, send_failures, installed, install_failures;
	uint64_t chunks_sent, chunks_received;
	uint64_t chunks_again; /* asked for again */
	uint64_t resumed;      /* went on behind a link that broke */
	uint64_t bytes_sent;
	uint64_t chunk_bytes_sent;           /* of those: pairs, again where they were sent again */
	uint64_t bytes_held, bytes_held_max; /* of chunks, in memory */
};
struct snapshots_figures snapshots_figures(const struct snapshots *snapshots);

#endif
