/* Makes the nth allocation of a stretch of work fail that is made of several calls, with others'
 * allocations in between: mem_fail_at counts from one call on, this one counts on. */
#ifndef KX_TESTS_UNIT_STARVE_H
#define KX_TESTS_UNIT_STARVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

/* Zeros: nothing fails. */
struct starve {
	uint64_t left; /* the allocation that fails, counted from here; 0: none will */
	bool failed;
	bool goes_on;   /* all that follow it fail, too, until this is taken back */
	uint64_t fails; /* how many did */
};

static inline struct starve starve_at(uint64_t nth)
{
	return (struct starve){.left = nth};
}

/* There is no memory at all from here on. */
static inline struct starve starve_on(void)
{
	return (struct starve){.left = 1, .goes_on = true};
}

/* Around each call. */
static inline void starve_begin(const struct starve *starve)
{
	if (starve->goes_on)
		mem_fail_from(starve->left);
	else
		mem_fail_at(starve->left);
}

static inline void starve_end(struct starve *starve)
{
	if (mem_failed()) {
		starve->failed = true;
		starve->fails += starve->goes_on ? mem_count() - starve->left + 1 : 1;
		starve->left = starve->goes_on;
	} else if (starve->left > 0) {
		starve->left -= mem_count();
	}
	mem_fail_at(0);
}

#endif
