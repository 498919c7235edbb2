/* One seed: a machine, at least SEED_OPERATIONS_MIN calls and SEED_ENDS_MIN ends of processes. */
#ifndef KX_TESTS_SHARD_SIM_SEED_H
#define KX_TESTS_SHARD_SIM_SEED_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/shard_sim/figures.h"

enum { SEED_OPERATIONS_MIN = 10000, SEED_ENDS_MIN = 20 };

struct seed_result {
	uint64_t trace_hash;
	struct figures figures;
};

/* Returns where nothing was violated; else the process ends (tests/sim/verdict.h). */
void seed_run(uint64_t number, bool trace, struct seed_result *ret_result);

#endif
