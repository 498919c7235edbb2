#include "tests/unit/store/platform.h"

#include "base/io/sim/sim.h"

static struct sim *sim;
static struct sim_node *node;

void platform_setup(void)
{
	sim = sim_new(1, NULL);
	node = sim_node_new(sim);
}

void platform_done(void)
{
	sim_free(sim);
}

struct fs *platform_fs(void)
{
	return sim_node_fs(node);
}

const char *platform_root(void)
{
	return "/nowhere";
}
