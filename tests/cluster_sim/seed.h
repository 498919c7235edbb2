/* One seed: a cluster of three nodes or five, in good and in bad times. */
#ifndef KX_TESTS_CLUSTER_SIM_SEED_H
#define KX_TESTS_CLUSTER_SIM_SEED_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/cluster_sim/figures.h"

struct seed_result {
	uint64_t trace_hash;
	struct figures figures;
};

/* Returns where nothing was violated; else the process ends (tests/sim/verdict.h). */
void seed_run(uint64_t number, bool trace, struct seed_result *ret_result);

#endif
