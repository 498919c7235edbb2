/* base/clock.h on the virtual clock, in place of the system's. */
#include "base/clock.h"
#include "base/assert.h"
#include "base/io/sim/world.h"

/* 2024-01-01 00:00:00 UTC: a date like any other, and the same in every run. */
static const int64_t BEGIN_MS = 1704067200000;

uint64_t clock_monotonic_ns(void)
{
	const struct sim *sim = sim_newest();
	ASSERT_MSG(sim != NULL, "no simulated world");
	return sim->now_ns;
}

int64_t clock_real_ms(void)
{
	const struct sim_node *node = sim_inside();
	int64_t shift_ms = node == NULL ? 0 : node->clock_shift_ms;
	return BEGIN_MS + (int64_t)(clock_monotonic_ns() / NS_PER_MS) + shift_ms;
}
