/* What directories of different nodes tell each other of an app: bytes, both ways. Any thread.
 *
 *   format u8 (1) | kind u8 | generation u64 | app: bytes u8, name | HAVE: shards u32, bits
 *
 *   ASK (1)    the leader: tell of this one
 *   HAVE (2)   shards that are known to have it: a bit for each from 0 to `shards`, lowest first;
 *              that of shard 0 and those above the last are 0
 */
#ifndef KX_SERVER_META_META_MESSAGE_H
#define KX_SERVER_META_META_MESSAGE_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/slice.h"
#include "server/meta/meta_apps.h"

enum meta_message_kind { META_MESSAGE_ASK = 1, META_MESSAGE_HAVE = 2 };

#define META_MESSAGE_BYTES_MAX (1 + 1 + 8 + 1 + NAME_BYTES_MAX + 4 + META_SHARD_BITS_BYTES)

struct meta_message {
	enum meta_message_kind kind;
	uint64_t generation;
	struct slice app; /* a name */
	uint32_t shards;
	struct slice bits; /* shards / 8 + 1 bytes */
};

/* Fails as writers do, where room is short. */
void meta_message_write(struct writer *out, const struct meta_message *message);
/* ERR_CORRUPT: not what meta_message_write makes. Views into `bytes`. */
NODISCARD int meta_message_read(struct slice bytes, struct meta_message *ret_message);

#endif
