/* Messages between nodes about calls: their bytes. Pure; any thread.
 *
 *   CALL         version, id, behind, seen, timeout_ms, the call's fields; its texts; the payload
 *                (among the fields the term in which the receiver is to lead)
 *   DIRECTORY    version, id, 0, seen, 0, the request's fields; its texts; the bundle
 *   REPLY_PART   version, id; the next bytes of the reply
 *   REPLY        version, id, status ...; details; the last bytes of the reply
 *   NOT_LEADER   version, id, term, node * 2 + was_read
 *   NEWS         version, then (shard, term * 2 + leads) any number of times
 *
 * `version` is a byte, that of the link (PEER_VERSION_MAX): who speaks another one gets none.
 * Numbers are varints, a text is its length among the fields and its bytes behind all of them. A
 * value has one encoding, so that what was read is written as it came.
 *
 * `id` rises by the sender, from 1 for each link. `behind`: the call before it in its lane that is
 * under way on the same link, 0: none. `seen`: how many NOT_LEADER the sender has seen on the link.
 *
 * Readers give views into the bytes. ERR_PROTOCOL: malformed, or larger than what a call may have;
 * ERR_UNSUPPORTED: another version than its link has. What an address means is not looked at, nor
 * whether a text is UTF-8, except that an address is well formed and of its shard.
 */
#ifndef KX_SERVER_FORWARD_WIRE_H
#define KX_SERVER_FORWARD_WIRE_H

#include <sys/uio.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "replication/peer/peer.h"
#include "server/meta/meta.h"
#include "server/shard/shard.h"

/* Kinds of messages on a link; others have others. */
enum forward_kind {
	FORWARD_CALL = 128,
	FORWARD_DIRECTORY = 129,
	FORWARD_REPLY_PART = 130,
	FORWARD_REPLY = 131,
	FORWARD_NOT_LEADER = 132,
	FORWARD_NEWS = 133,
};

enum {
	FORWARD_VERSION = PEER_VERSION_MAX,
	FORWARD_ROLES_MAX = 64,
	FORWARD_WORD_BYTES_MAX = 4096, /* a name, a cursor, a role: above what any has */
	FORWARD_TEXTS_MAX = 7 + FORWARD_ROLES_MAX,
	FORWARD_HEAD_BYTES_MAX = 16 * VARINT_BYTES_MAX + FORWARD_TEXTS_MAX * 5,
	FORWARD_NEWS_BYTES_MAX = 2 * VARINT_BYTES_MAX, /* of one */
};

_Static_assert(PEER_VERSION_MIN == PEER_VERSION_MAX,
    "who speaks several versions writes each message as its link has it");

struct forward_numbers {
	uint64_t id, behind, seen;
	uint64_t timeout_ms; /* what is left of the deadline */
	uint64_t until_ms;   /* what is left of until_ns */
};

/* A message as it is handed to the transport: iov[0] is in `head`. Does not move. */
struct forward_message {
	uint8_t head[FORWARD_HEAD_BYTES_MAX];
	struct iovec iov[FORWARD_TEXTS_MAX + 2];
	size_t count, bytes;
};

/* Views into the call. ERR_TOO_LARGE: it is more than a reader would take. */
NODISCARD int forward_call_write(struct forward_message *message,
    const struct forward_numbers *numbers, const struct shard_call *call);
/* Into a zeroed call, without its times and `done`; roles: FORWARD_ROLES_MAX of them. */
NODISCARD int forward_call_read(struct slice bytes, uint32_t shard_count,
    struct forward_numbers *ret_numbers, struct shard_call *ret_call, struct slice *ret_roles);

/* All but the bundle into `head`, appended; views. ERR_TOO_LARGE, ERR_NOMEM. */
NODISCARD int forward_directory_write(
    struct buffer *head, const struct forward_numbers *numbers, const struct meta_request *request);
/* Into a zeroed request; drop: DROPPED_TYPES_MAX of them, wanted: CLUSTER_REPLICAS_MAX. */
NODISCARD int forward_directory_read(struct slice bytes, struct forward_numbers *ret_numbers,
    struct meta_request *ret_request, struct slice *ret_drop, struct meta_wanted *ret_wanted);

/* Of a call or a request. */
struct forward_reply {
	uint64_t id;
	enum status status;
	bool has_reply, counted_all, not_query;
	struct slice reference, details;
	struct slice reply; /* its last bytes */
	uint64_t took_ns, counted;
};
void forward_reply_write(struct forward_message *message, const struct forward_reply *reply);
NODISCARD int forward_reply_read(struct slice bytes, struct forward_reply *ret_reply);
void forward_part_write(struct forward_message *message, uint64_t id, struct slice part);
NODISCARD int forward_part_read(struct slice bytes, uint64_t *ret_id, struct slice *ret_part);

struct forward_refusal {
	uint64_t id;
	uint64_t term; /* the newest that the sender knows, */
	uint16_t node; /* and who leads in it; 0: nobody that it knows */
	bool was_read; /* as in struct shard_call */
};
void forward_refusal_write(struct forward_message *message, const struct forward_refusal *refusal);
NODISCARD int forward_refusal_read(struct slice bytes, struct forward_refusal *ret_refusal);

struct forward_news {
	uint32_t shard;
	uint64_t term;
	bool leads; /* else: does no more */
};
void forward_news_begin(struct writer *writer);
void forward_news_add(struct writer *writer, const struct forward_news *news);
/* The whole message is good; then forward_news_next gives them. */
NODISCARD int forward_news_read(
    struct slice bytes, uint32_t shard_count, struct reader *ret_reader);
bool forward_news_next(struct reader *reader, struct forward_news *ret_news);

#endif
