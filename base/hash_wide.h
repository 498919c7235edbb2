/* hash128_bytes with the registers of newer processors (AVX2): the same values with a third of the
 * instructions. For hash.c. Any thread. */
#ifndef KX_BASE_HASH_WIDE_H
#define KX_BASE_HASH_WIDE_H

#include "base/hash.h"

/* Shorter ones gain nothing. */
#define HASH_WIDE_BYTES_MIN 512

/* Whether this machine has them, and the compiler could use them. */
bool hash_wide_usable(void);
/* It is usable, and there are HASH_WIDE_BYTES_MIN. */
struct hash128 hash128_wide(struct slice bytes, uint64_t seed);

#endif
