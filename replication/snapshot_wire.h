/* What nodes tell each other of a snapshot under way, as bytes.
 *
 *   kind u8 | snapshot u64 | from varint | to varint | hash u64 | body
 *
 *   OFFER    term, at.term, at.index (varints), time zigzag
 *   CHUNK    number varint | pairs: key and value, each behind its length (varint)
 *   END      number, pairs, bytes (varints) | membership (raft/membership.h)
 *   WANT     number varint | flags u8 (1 again)
 *   RESULT   zigzag: 0 or an error of base/error.h
 *   ALIVE    nothing
 *
 * The hash is XXH3 of the body, seeded with snapshot and kind: bytes that were changed, or that
 * belong to another snapshot, are told from others. A message of one content has one encoding.
 *
 * Pure. Any thread.
 */
#ifndef KX_REPLICATION_SNAPSHOT_WIRE_H
#define KX_REPLICATION_SNAPSHOT_WIRE_H

#include "base/bytes.h"
#include "replication/raft/raft.h"

/* Numbers are part of the wire's format. */
enum snapshot_kind {
	SNAPSHOT_OFFER = 1,
	SNAPSHOT_CHUNK = 2,
	SNAPSHOT_END = 3,
	SNAPSHOT_WANT = 4,
	SNAPSHOT_RESULT = 5,
	SNAPSHOT_ALIVE = 6,
};
enum { SNAPSHOT_KIND_LAST = SNAPSHOT_ALIVE };

/* Else they are the replica's, of what it gets. */
static inline bool snapshot_is_senders(enum snapshot_kind kind)
{
	return kind != SNAPSHOT_WANT && kind != SNAPSHOT_RESULT;
}

#define SNAPSHOT_HEAD_BYTES_MAX (1 + 8 + 2 * VARINT_BYTES_MAX + 8)
/* Of every body but a chunk's. */
#define SNAPSHOT_BODY_BYTES_MAX (4 * VARINT_BYTES_MAX + RAFT_MEMBERSHIP_BYTES_MAX)

struct snapshot_message {
	uint64_t id;
	uint64_t from, to; /* replicas */

	uint64_t term; /* OFFER: the leader's */
	struct raft_position at;
	int64_t time_ms;

	/* CHUNK: from 0. END: the number of chunks. WANT: all below have come. */
	uint64_t number;
	struct slice data; /* CHUNK: pairs; END: the membership */
	/* END: of the whole snapshot; bytes of keys and values. */
	uint64_t pairs, bytes;

	enum snapshot_kind kind;
	int result;
	bool again;   /* WANT: to be sent from `number` on, whatever was sent before */
	bool damaged; /* nothing behind the head can be relied on */
};

void snapshot_head_write(
    struct writer *writer, const struct snapshot_message *message, uint64_t hash);
/* All of the body but a chunk's pairs, which follow. */
void snapshot_body_write(struct writer *writer, const struct snapshot_message *message);
void snapshot_pair_write(struct writer *writer, struct slice key, struct slice value);
size_t snapshot_pair_bytes(struct slice key, struct slice value);
uint64_t snapshot_hash(enum snapshot_kind kind, uint64_t id, struct slice body);

/* One whole message. ERR_CORRUPT: it has no head. */
NODISCARD int snapshot_message_read(struct slice bytes, struct snapshot_message *ret_message);
/* The next pair of a chunk. ERR_CORRUPT. */
NODISCARD int snapshot_pair_read(
    struct reader *reader, struct slice *ret_key, struct slice *ret_value);

#endif
