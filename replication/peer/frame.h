/* What goes over a link that is up. Pure; private to replication/peer.
 *
 * A record is what is authenticated at once, numbers little-endian:
 *
 *   0   4  bytes of the body, 1 .. PEER_RECORD_BYTES_MAX
 *   4   2  frames in it, at least 1
 *   6   2  0
 *   8   8  XXH3 of the body, seeded with the eight bytes before, the tag and the record's number
 *   16  16 the tag: of the first eight bytes and the body, under the record's number
 *   32  .  the body: frames behind one another
 *
 * Records of one direction are numbered from 0. The hash is looked at first: where it is wrong the
 * network has damaged something; where it is right and the tag is wrong somebody wants something.
 *
 * A frame is a message or a piece of one:
 *
 *   0   1  kind of the message
 *   1   1  bits 0-1 its class; 4: the message's first piece; 8: its last; 16: compressed
 *   2   2  0
 *   4   4  bytes of the payload, at most PEER_FRAME_BYTES_MAX
 *   .   4  first piece of several: bytes of the whole message
 *   .   4  compressed: bytes that the payload stands for, more than it has itself
 *   .   .  the payload
 *
 * Pieces of one message follow one another within their class; of other classes some may stand
 * between them. */
#ifndef KX_REPLICATION_PEER_FRAME_H
#define KX_REPLICATION_PEER_FRAME_H

#include "base/bytes.h"
#include "replication/peer/key.h"
#include "replication/peer/peer.h"

enum {
	PEER_RECORD_HEAD_BYTES = 32,
	PEER_FRAME_HEAD_BYTES_MAX = 16,
	PEER_KIND_PING = 255, /* says nothing but that somebody is there */
};

struct peer_record {
	struct slice head; /* what the tag is of, beside the body */
	struct slice body;
	unsigned frames;
	uint64_t hash;
	const uint8_t *tag;
	size_t bytes; /* of all of it */
};

/* The record at the begin of the input, views into it. ERR_TRUNCATED: it needs *ret_bytes in all (a
 * head's as long as that is not there); ERR_PROTOCOL: no record is so. */
NODISCARD int peer_record_read(
    struct slice input, struct peer_record *ret_record, size_t *ret_bytes);
/* 0; ERR_CORRUPT: the hash is wrong; ERR_PERMISSION: the tag is; ERR_NOMEM. */
NODISCARD int peer_record_check(
    const struct peer_record *record, const struct peer_key *key, uint64_t number);
/* Writes the head of a record whose body stands behind it. ERR_NOMEM. */
NODISCARD int peer_record_finish(uint8_t *record, size_t body_bytes, unsigned frames,
    const struct peer_key *key, uint64_t number);

/* The hash alone, which anybody can make. */
void peer_record_hash(uint8_t *record, size_t body_bytes, uint64_t number);

struct peer_frame {
	uint8_t kind;
	enum peer_class class;
	bool first, last;
	uint32_t message_bytes; /* first and not last */
	uint32_t raw_bytes;     /* what the payload stands for; its own, where not compressed */
	bool compressed;
	struct slice payload;
};

static inline uint64_t peer_message_bytes_max(enum peer_class class)
{
	return class == PEER_URGENT ? PEER_URGENT_BYTES_MAX : PEER_MESSAGE_BYTES_MAX;
}

/* ERR_PROTOCOL. */
NODISCARD int peer_frame_read(struct reader *reader, struct peer_frame *ret_frame);
/* The payload may stand at its place already: `payload.data` NULL leaves it alone. Fails as the
 * writer does. */
void peer_frame_write(struct writer *writer, const struct peer_frame *frame);

/* LZ4. Bytes written, or 0: it saves less than an eighth. `to` has room for raw.bytes. */
size_t peer_compress(struct slice raw, uint8_t *to);
/* Exactly raw_bytes, or ERR_PROTOCOL. */
NODISCARD int peer_expand(struct slice payload, uint8_t *to, size_t raw_bytes);

#endif
