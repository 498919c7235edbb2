/* How keys of the store are laid out.
 *
 *   shard u32 | kind u8 | rest            all integers big-endian, so that byte order is number
 * order
 *
 * A shard is one range. Its id is not its slot range: a range of slots can be split later without
 * moving keys that stay. Shard KEY_STORE_SHARD holds what belongs to the store as a whole.
 *
 * What stands behind the kind belongs to whoever writes it (server/shard/); only the kinds below
 * are the storage's own.
 */
#ifndef KX_STORAGE_KEYS_H
#define KX_STORAGE_KEYS_H

#include <stdint.h>

#define KEY_SHARD_BYTES 4
#define KEY_STORE_SHARD UINT32_MAX
#define KEY_SHARDS_MAX  (UINT32_MAX - 1)

enum key_kind {
	KEY_KIND_ANCHOR = 1, /* of KEY_STORE_SHARD: struct log_anchor and format version */
	/* Of KEY_STORE_SHARD, behind it the shard's number u32: its struct log_base. One range
	 * lists all shards. */
	KEY_KIND_APPLIED = 2,
	KEY_KIND_FIRST_FREE = 16, /* from here on: server/shard/ */
};

void key_shard_put(uint8_t data[KEY_SHARD_BYTES], uint32_t shard);
uint32_t key_shard_get(const uint8_t data[KEY_SHARD_BYTES]);

#endif
