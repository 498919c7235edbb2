#include "base/random.h"

#include "base/assert.h"

#include <string.h>
#include <sys/random.h>

static uint64_t splitmix(uint64_t *state)
{
	uint64_t mixed = *state += 0x9e3779b97f4a7c15;
	mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
	mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
	return mixed ^ mixed >> 31;
}

static uint64_t rotate(uint64_t value, unsigned bits)
{
	return value << bits | value >> (64 - bits);
}

void random_init(struct random *random, uint64_t seed)
{
	/* SplitMix64 takes each value once, so the four words are never all zero: the one state
	 * that the generator cannot leave. */
	for (int i = 0; i < 4; i++)
		random->state[i] = splitmix(&seed);
}

void random_fork(struct random *parent, struct random *ret_child)
{
	random_init(ret_child, random_u64(parent));
}

uint64_t random_u64(struct random *random)
{
	uint64_t *state = random->state;
	uint64_t result = rotate(state[1] * 5, 7) * 9;
	uint64_t shifted = state[1] << 17;
	state[2] ^= state[0];
	state[3] ^= state[1];
	state[1] ^= state[2];
	state[0] ^= state[3];
	state[2] ^= shifted;
	state[3] = rotate(state[3], 45);
	return result;
}

uint64_t random_below(struct random *random, uint64_t bound)
{
	ASSERT(bound > 0);
	/* Lemire, "Fast random integer generation in an interval" (2019): the high half of a
	 * product, drawing again in the few cases that would favour small results. */
	__extension__ typedef unsigned __int128 wide;
	wide product = (wide)random_u64(random) * bound;
	if ((uint64_t)product < bound) {
		uint64_t unfair = -bound % bound;
		while ((uint64_t)product < unfair)
			product = (wide)random_u64(random) * bound;
	}
	return (uint64_t)(product >> 64);
}

uint64_t random_between(struct random *random, uint64_t min, uint64_t max)
{
	ASSERT(min <= max);
	if (max - min == UINT64_MAX)
		return random_u64(random);
	return min + random_below(random, max - min + 1);
}

bool random_chance(struct random *random, uint64_t times, uint64_t of)
{
	return random_below(random, of) < times;
}

void random_bytes(struct random *random, void *to, size_t bytes)
{
	uint8_t *at = (uint8_t *)to;
	while (bytes > 0) {
		uint64_t value = random_u64(random);
		size_t part = bytes < sizeof(value) ? bytes : sizeof(value);
		memcpy(at, &value, part);
		at += part;
		bytes -= part;
	}
}

int random_seed_from_system(uint64_t *ret_seed)
{
	uint64_t seed;
	/* So few bytes are given whole or not at all. */
	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return ERR_UNSUPPORTED;
	*ret_seed = seed;
	return 0;
}
