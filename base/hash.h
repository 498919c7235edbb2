/* Hashes of bytes: XXH3, whose output is fixed since xxHash 0.8 and the same on every machine, so
 * that it may stand in files and messages. Not cryptographic: it finds accidents, not attackers.
 * Where outsiders choose the keys of a hash table, the seed must be secret and random. Any thread.
 */
#ifndef KX_BASE_HASH_H
#define KX_BASE_HASH_H

#include "base/slice.h"

uint64_t hash_bytes(struct slice bytes, uint64_t seed);

struct hash128 {
	uint64_t low;
	uint64_t high;
};

/* For names by content, where 64 bits would collide by chance among billions. */
struct hash128 hash128_bytes(struct slice bytes, uint64_t seed);

static inline bool hash128_equal(struct hash128 a, struct hash128 b)
{
	return a.low == b.low && a.high == b.high;
}

/* The same values over bytes that come in parts: the result does not depend on the cuts. Embedded
 * by the caller, nothing to free; hash_stream_value may be asked at any time, and again. */
struct hash_stream {
	_Alignas(64) uint8_t state[576];
};

void hash_stream_init(struct hash_stream *stream, uint64_t seed);
void hash_stream_update(struct hash_stream *stream, struct slice bytes);
uint64_t hash_stream_value(const struct hash_stream *stream);
struct hash128 hash128_stream_value(const struct hash_stream *stream);

#endif
