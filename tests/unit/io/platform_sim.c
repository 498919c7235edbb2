/* A machine for one test: a node of a simulated world. The tests' code stands outside of its
 * process, so that it meets no faults but those it asks for. */
#include "tests/unit/io/platform.h"

#include "base/io/fs.h"
#include "base/io/io.h"
#include "base/io/sim/sim.h"
#include "tests/unit/run.h"

enum { STEPS_MAX = 1000000 };

static struct sim *sim;
static struct sim_node *node;
static struct io *io;
static struct io *second;

void platform_setup_files(void)
{
	sim = sim_new(1, NULL);
	node = sim_node_new(sim);
}

static void turn(void *arg)
{
	(void)arg;
	platform_turn();
}

void platform_setup(void)
{
	platform_setup_files();
	io = sim_node_boot(node);
	sim_node_set_turn(node, turn, NULL);
}

void platform_done(void)
{
	if (sim_node_is_running(node)) {
		io_free(second);
		io_free(io);
		ck_assert_uint_eq(sim_node_stop(node), 0);
	}
	second = NULL;
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

struct io *platform_io(void)
{
	return io;
}

static void make_second(void *arg)
{
	(void)arg;
	ck_assert_int_eq(io_new(NULL, NULL, 0, &second), 0);
}

struct io *platform_second_io(void)
{
	if (second == NULL)
		ck_assert(sim_node_run(node, make_second, NULL));
	return second;
}

void platform_run(bool (*until)(void *arg), void *arg)
{
	ck_assert_msg(sim_run_until(sim, until, arg, STEPS_MAX), "waited in vain");
}

void platform_turn(void)
{
	io_run(io);
	if (second != NULL)
		io_run(second);
}
