/* The library compiled a second time, for other instructions: which of them a machine has is known
 * only when the program runs. Unrolled (O3), a stripe of 64 bytes takes a third of what it takes
 * with SSE2. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define HAS_WIDE 1
#pragma GCC optimize("O3")
#pragma GCC target("avx2")
#else
#define HAS_WIDE 0
#endif

#include "base/hash_wide.h"

#if HAS_WIDE

#define XXH_INLINE_ALL
#include <xxhash.h>
#if XXH_VECTOR != XXH_AVX2
#error "the library does not see what it may use"
#endif

bool hash_wide_usable(void)
{
	return __builtin_cpu_supports("avx2");
}

struct hash128 hash128_wide(struct slice bytes, uint64_t seed)
{
	XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data, bytes.bytes, seed);
	return (struct hash128){.low = hash.low64, .high = hash.high64};
}

#else

#include "base/assert.h"

bool hash_wide_usable(void)
{
	return false;
}

struct hash128 hash128_wide(struct slice bytes, uint64_t seed)
{
	(void)bytes, (void)seed;
	UNREACHABLE();
}

#endif
