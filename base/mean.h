/* A mean that moves: a new value counts an eighth. */
#ifndef KX_BASE_MEAN_H
#define KX_BASE_MEAN_H

#include <stdint.h>

enum { MEAN_WEIGHT = 8 };

/* The mean with one more value; 0: there was none yet. */
static inline uint64_t mean_with(uint64_t mean, uint64_t value)
{
	return mean == 0 ? value : mean - mean / MEAN_WEIGHT + value / MEAN_WEIGHT;
}

#endif
