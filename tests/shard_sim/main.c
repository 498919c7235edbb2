/* shard_sim, shard_sim_double, node_sim: server/shard in a simulated world. */
#include <inttypes.h>
#include <stdio.h>

#include "tests/shard_sim/app.h"
#include "tests/shard_sim/figures.h"
#include "tests/shard_sim/seed.h"
#include "tests/sim/runs.h"

static struct figures all;

static void run_seed(uint64_t number, bool trace, void *ret_result)
{
	seed_run(number, trace, ret_result);
}

static uint64_t trace_hash(const void *result)
{
	return ((const struct seed_result *)result)->trace_hash;
}

static void add(const void *result)
{
	figures_add(&all, &((const struct seed_result *)result)->figures);
}

static void print(void)
{
	printf("%" PRIu64 " events\n", all.machine.events);
	figures_print(&all);
}

static unsigned print_zeros(void)
{
	return figures_print_zeros(&all);
}

int main(int argc, char **argv)
{
	const struct runs_program program = {.seed = run_seed,
	    .result_bytes = sizeof(struct seed_result),
	    .trace_hash = trace_hash,
	    .add = add,
	    .print = print,
	    .print_zeros = print_zeros,
	    .accidental_order = app_is_lua() ? app_accidental_order : NULL};
	return app_open() ? runs_main(argc, argv, &program) : 1;
}
