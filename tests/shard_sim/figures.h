/* How often each thing happened; over enough seeds, all that a profile promises has to. */
#ifndef KX_TESTS_SHARD_SIM_FIGURES_H
#define KX_TESTS_SHARD_SIM_FIGURES_H

#include "base/io/sim/sim.h"
#include "storage/sim/store_sim.h"
#include "tests/shard_sim/load.h"

struct figures {
	struct load_figures load;
	struct sim_figures machine;
	struct store_sim_figures store;
};

void figures_add(struct figures *to, const struct figures *from);
void figures_print(const struct figures *figures);
/* Names what this program promises and what never happened, and returns how many they are. */
unsigned figures_print_zeros(const struct figures *figures);

#endif
