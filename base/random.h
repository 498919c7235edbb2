/* Pseudo-random numbers: xoshiro256** (Blackman and Vigna, 2018), seeded through SplitMix64 as its
 * authors advise. Everything follows from one 64-bit seed, the same on every machine: the
 * simulator's runs depend on it. Not for secrets. A stream belongs to one thread.
 */
#ifndef KX_BASE_RANDOM_H
#define KX_BASE_RANDOM_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct random {
	uint64_t state[4];
};

void random_init(struct random *random, uint64_t seed);

/* A stream of its own, determined by the parent's state, which moves on by one number. Give each
 * user its own stream, so that one more draw by one does not change what all others see. */
void random_fork(struct random *parent, struct random *ret_child);

/* All 64-bit values alike. */
uint64_t random_u64(struct random *random);

/* 0 to bound - 1, each exactly as likely; bound > 0. */
uint64_t random_below(struct random *random, uint64_t bound);

/* From min to max, both included; min <= max. */
uint64_t random_between(struct random *random, uint64_t min, uint64_t max);

/* True in `times` of `of` cases; of > 0. */
bool random_chance(struct random *random, uint64_t times, uint64_t of);

void random_bytes(struct random *random, void *to, size_t bytes);

/* A seed that nobody can guess, from the kernel; for a process's start only, never inside what the
 * simulator runs. ERR_UNSUPPORTED where the kernel refuses. */
NODISCARD int random_seed_from_system(uint64_t *ret_seed);

#endif
