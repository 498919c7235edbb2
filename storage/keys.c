#include "storage/keys.h"

#include "base/assert.h"
#include "base/bytes.h"

void key_shard_put(uint8_t data[KEY_SHARD_BYTES], uint32_t shard)
{
	store_u32be(data, shard);
}

uint32_t key_shard_get(const uint8_t data[KEY_SHARD_BYTES])
{
	return load_u32be(data);
}

void key_own_put(uint8_t data[KEY_OWN_BYTES], enum key_kind kind)
{
	ASSERT(kind > 0 && kind < KEY_KIND_FIRST_FREE);
	key_shard_put(data, KEY_STORE_SHARD);
	data[KEY_SHARD_BYTES] = (uint8_t)kind;
}

void key_listed_put(uint8_t data[KEY_LISTED_BYTES], enum key_kind kind, uint32_t shard)
{
	key_own_put(data, kind);
	key_shard_put(data + KEY_OWN_BYTES, shard);
}

int key_listed_get(struct slice key, enum key_kind kind, uint32_t *ret_shard)
{
	uint8_t begin[KEY_OWN_BYTES];
	key_own_put(begin, kind);
	if (key.bytes != KEY_LISTED_BYTES || memcmp(key.data, begin, sizeof(begin)) != 0)
		return ERR_CORRUPT;
	*ret_shard = key_shard_get(key.data + KEY_OWN_BYTES);
	return 0;
}
