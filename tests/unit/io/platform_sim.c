/* A machine for one test: a node of a simulated world. The tests' code stands outside of its
 * process, so that it meets no faults but those it asks for. */
#include "tests/unit/io/platform.h"

#include "base/io/fs.h"
#include "base/io/sim/sim.h"
#include "tests/unit/run.h"

static struct sim *sim;
static struct sim_node *node;

void platform_setup_files(void)
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

struct fs *platform_other_fs(void)
{
	return sim_node_fs(node);
}
