/* One seed: a cluster of three nodes or five, in good and in bad times. */
#ifndef KX_TESTS_CLUSTER_SIM_SEED_H
#define KX_TESTS_CLUSTER_SIM_SEED_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/cluster_sim/figures.h"

struct world;

struct seed_result {
	uint64_t trace_hash;
	struct figures figures;
};

/* Returns where nothing was violated; else the process ends (tests/sim/verdict.h). */
void seed_run(uint64_t number, bool trace, struct seed_result *ret_result);

/* A small world without faults, storms and lies, and what happens in it is `live`'s: behind that
 * everything comes to rest and is compared as in any seed. */
struct seed_tame {
	const char *program; /* for messages */
	uint64_t seed;       /* of the world */
	unsigned nodes, nodes_first, cores;
	void (*begin)(struct world *world); /* before there is a process */
	void (*live)(struct world *world);
};
/* `number`: what the program calls it. */
void seed_run_tame(
    const struct seed_tame *tame, uint64_t number, bool trace, struct seed_result *ret_result);
/* For `live`: a moment of the world; until all is at rest, and nothing new is begun. */
void seed_pass(struct world *world);
void seed_rest(struct world *world);

#endif
