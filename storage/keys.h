/* How keys of the store are laid out.
 *
 *   shard u32 | kind u8 | rest       all integers big-endian, so that byte order is number order
 *
 * A shard is one range. Its id is not its slot range: a range of slots can be split later without
 * moving keys that stay. Shard KEY_STORE_SHARD holds what belongs to the store as a whole.
 *
 * What stands behind the kind belongs to whoever writes it (server/shard/); only the kinds below
 * KEY_KIND_FIRST_FREE are the storage's own.
 */
#ifndef KX_STORAGE_KEYS_H
#define KX_STORAGE_KEYS_H

#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

#define KEY_SHARD_BYTES  4
#define KEY_OWN_BYTES    5 /* of a key of the store's own: shard and kind */
#define KEY_LISTED_BYTES 9 /* of one that has a shard's number behind it */
#define KEY_STORE_SHARD  UINT32_MAX
#define KEY_SHARDS_MAX   (UINT32_MAX - 1)

enum key_kind {
	/* Of KEY_STORE_SHARD: struct record_anchor. */
	KEY_KIND_ANCHOR = 1,
	/* Of KEY_STORE_SHARD, behind it the shard's number u32: its struct log_base. So one range
	 * lists all shards. */
	KEY_KIND_APPLIED = 2,
	/* Of KEY_STORE_SHARD, behind it the shard's number u32: the shard is closed, because a part
	 * of it could not be read that had to be. The value is empty. */
	KEY_KIND_DAMAGED = 3,
	KEY_KIND_FIRST_FREE = 16, /* from here on: server/shard/, server/meta/ */
	/* Who the members of the shard's group are (replication/). */
	KEY_KIND_MEMBERS = 255,
};

/* Where a shard begins, and the one before it ends. */
void key_shard_put(uint8_t data[KEY_SHARD_BYTES], uint32_t shard);
uint32_t key_shard_get(const uint8_t data[KEY_SHARD_BYTES]);
void key_own_put(uint8_t data[KEY_OWN_BYTES], enum key_kind kind);
void key_listed_put(uint8_t data[KEY_LISTED_BYTES], enum key_kind kind, uint32_t shard);
/* The shard of such a key. ERR_CORRUPT where it is none. */
NODISCARD int key_listed_get(struct slice key, enum key_kind kind, uint32_t *ret_shard);

#endif
