#include "tests/unit/cluster/two_cores.h"

#include "base/clock.h"
#include "tests/unit/cluster/suites.h"

enum { STEPS_MAX = 100000 };

struct sim_node *machine;
struct cluster_core cores[CORES];
struct cluster_control control;

static struct sim *sim;
static struct cluster_options options;

static void post(void *arg, uint32_t to, struct cluster_post *news)
{
	(void)arg;
	ck_assert_uint_lt(to, CORES);
	news->arrived(news, &cores[to]);
}

void two_cores_start(void)
{
	sim = sim_new(1, NULL);
	machine = sim_node_new(sim);
	struct io *io = sim_node_boot(machine);
	options = (struct cluster_options){.self = {.node = SELF, .cores = CORES}};
	control = (struct cluster_control){.core = &cores[0]};
	for (uint32_t i = 0; i < CORES; i++) {
		cores[i] = (struct cluster_core){
		    .io = io, .number = i, .options = &options, .services = {.post = post}};
		list_init(&cores[i].links);
	}
	cores[0].control = &control;
}

void two_cores_done(void)
{
	sim_free(sim);
}

void two_cores_pass(uint64_t ms)
{
	ck_assert(sim_pass(sim, ms * NS_PER_MS, STEPS_MAX));
}
