/* cluster_sim: whole nodes in a simulated world. */
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>

#include "tests/cluster_sim/figures.h"
#include "tests/cluster_sim/seed.h"
#include "tests/shard_sim/app.h"
#include "tests/sim/runs.h"

static struct figures all;
/* Of the seed that has fewest. */
static uint64_t operations_min = UINT64_MAX, crashes_min = UINT64_MAX;

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
	const struct figures *figures = &((const struct seed_result *)result)->figures;
	figures_add(&all, figures);
	if (figures->world.operations < operations_min)
		operations_min = figures->world.operations;
	if (figures->world.crashes < crashes_min)
		crashes_min = figures->world.crashes;
}

/* Of the seeds' processes, those that were run twice and those that failed among them. */
static uint64_t processor_ms(void)
{
	struct rusage usage;
	if (getrusage(RUSAGE_CHILDREN, &usage) != 0)
		return 0;
	return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
	       (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

static void print(void)
{
	uint64_t ms = processor_ms();
	printf("%" PRIu64 " events in %" PRIu64 " simulated s; %" PRIu64
	       " ms of processor time, about %" PRIu64 " events/s\n",
	    all.machine.events, all.virtual_ms / 1000, ms, all.machine.events * 1000 / (ms + 1));
	if (operations_min != UINT64_MAX)
		printf("no seed has less than %" PRIu64 " operations, nor less than %" PRIu64
		       " crashes\n",
		    operations_min, crashes_min);
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
	    .accidental_order = app_accidental_order};
	return app_open() ? runs_main(argc, argv, &program) : 1;
}
