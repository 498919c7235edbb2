#include "base/hash.h"

#include "base/hash_wide.h"

/* Inlined rather than linked: short keys are the common case, and the call would cost as much as
 * the hash. */
#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(sizeof(struct hash_stream) == sizeof(XXH3_state_t), "room for the library's state");
_Static_assert(_Alignof(struct hash_stream) >= _Alignof(XXH3_state_t), "aligned for its state");

/* The library must not be handed NULL, not even for no bytes. */
static const void *data_of(struct slice bytes)
{
	return bytes.data ? bytes.data : (const void *)"";
}

static XXH3_state_t *state_of(struct hash_stream *stream)
{
	return (XXH3_state_t *)(void *)stream->state;
}

static const XXH3_state_t *const_state_of(const struct hash_stream *stream)
{
	return (const XXH3_state_t *)(const void *)stream->state;
}

uint64_t hash_bytes(struct slice bytes, uint64_t seed)
{
	return XXH3_64bits_withSeed(data_of(bytes), bytes.bytes, seed);
}

struct hash128 hash128_bytes(struct slice bytes, uint64_t seed)
{
	if (bytes.bytes >= HASH_WIDE_BYTES_MIN && hash_wide_usable())
		return hash128_wide(bytes, seed);
	XXH128_hash_t hash = XXH3_128bits_withSeed(data_of(bytes), bytes.bytes, seed);
	return (struct hash128){.low = hash.low64, .high = hash.high64};
}

void hash_stream_init(struct hash_stream *stream, uint64_t seed)
{
	/* The library keeps the seed's secret from one use to the next, and reads it here. */
	memset(stream, 0, sizeof(*stream));
	/* Sets up both widths: they differ only in how the value is drawn. */
	(void)XXH3_128bits_reset_withSeed(state_of(stream), seed);
}

void hash_stream_update(struct hash_stream *stream, struct slice bytes)
{
	(void)XXH3_128bits_update(state_of(stream), data_of(bytes), bytes.bytes);
}

uint64_t hash_stream_value(const struct hash_stream *stream)
{
	return XXH3_64bits_digest(const_state_of(stream));
}

struct hash128 hash128_stream_value(const struct hash_stream *stream)
{
	XXH128_hash_t hash = XXH3_128bits_digest(const_state_of(stream));
	return (struct hash128){.low = hash.low64, .high = hash.high64};
}
