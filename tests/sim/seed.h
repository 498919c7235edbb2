/* One seed: a machine, its processes one after another, and their ends; at last a process without
 * faults that has to bring everything to rest, close, and open again with all of it there. */
#ifndef KX_TESTS_SIM_SEED_H
#define KX_TESTS_SIM_SEED_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/coverage.h"
#include "tests/sim/plan.h"

enum {
	SEED_OPERATIONS_MIN = 10000,
	SEED_ENDS_MIN = 20,
};

struct seed_result {
	uint64_t trace_hash;
	struct coverage coverage;
};

/* Ends the program where an oracle speaks. `trace`: prints every event. */
void seed_run(uint64_t number, enum profile profile, bool trace, struct seed_result *ret_result);

#endif
