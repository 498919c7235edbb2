/* server/cluster_full.c: what is known on core 0 of the disks of all nodes. */
#include "base/clock.h"
#include "base/io/sim/sim.h"
#include "server/cluster_control.h"
#include "tests/unit/cluster/suites.h"

enum { SELF = 1, OTHER = 2, CORES = 2, WORD_MS = 2500, STEPS_MAX = 100000 };

static struct sim *sim;
static struct sim_node *machine;
static struct cluster_core cores[CORES];
static struct cluster_control control;
static struct cluster_options options;

static void post(void *arg, uint32_t to, struct cluster_post *news)
{
	(void)arg;
	ck_assert_uint_lt(to, CORES);
	news->arrived(news, &cores[to]);
}

static void set_up(void)
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

static void tear_down(void)
{
	sim_free(sim);
}

static void pass(uint64_t ms)
{
	ck_assert(sim_pass(sim, ms * NS_PER_MS, STEPS_MAX));
}

/* Core 1 alone has a link to that node. */
static void other_says(void *arg)
{
	struct cluster_link link = {.core = &cores[1], .node = OTHER, .number = 1};
	uint8_t bytes[1];
	struct writer out = writer_of(bytes, sizeof(bytes));
	cluster_full_write(&out, *(const bool *)arg);
	ck_assert_int_eq(cluster_full_told(&cores[1], &link, writer_view(&out)), 0);
}

/* As if a store of core 1 had had no room a moment ago. */
static void core_one_is_full(void *arg)
{
	cores[1].full_until_ns = io_now_ns(cores[1].io) + *(const uint64_t *)arg * NS_PER_MS;
	cluster_full_look(&cores[1]);
}

static void look(void *arg)
{
	bool *full = arg;
	io_run(cores[0].io); /* it is as late as the world */
	full[0] = cluster_node_is_full(&control, SELF);
	full[1] = cluster_node_is_full(&control, OTHER);
}

static void expect(bool self, bool other)
{
	bool full[2];
	ck_assert(sim_node_run(machine, look, full));
	ck_assert_int_eq(full[0], self);
	ck_assert_int_eq(full[1], other);
}

START_TEST(a_node_is_full_where_any_of_its_cores_is)
{
	uint64_t for_ms = 1000;
	expect(false, false);
	ck_assert(sim_node_run(machine, core_one_is_full, &for_ms));
	ck_assert(cores[1].full && !cores[0].full);
	expect(true, false);
	/* It is said again while it is so. */
	pass(WORD_MS - 1);
	expect(true, false);
	ck_assert(sim_node_run(machine, core_one_is_full, &for_ms));
	pass(WORD_MS - 1);
	expect(true, false);
	pass(1);
	expect(false, false);
}
END_TEST

START_TEST(so_is_another_one_whichever_core_hears_of_it)
{
	bool full = true, room = false;
	ck_assert(sim_node_run(machine, other_says, &room));
	expect(false, false);
	ck_assert(sim_node_run(machine, other_says, &full));
	expect(false, true);
	/* Another core of it may be full still. */
	ck_assert(sim_node_run(machine, other_says, &room));
	expect(false, true);
	pass(WORD_MS);
	expect(false, false);
}
END_TEST

Suite *full_suite(void)
{
	Suite *suite = suite_create("full");
	TCase *all = tcase_create("full");
	tcase_add_checked_fixture(all, set_up, tear_down);
	tcase_add_test(all, a_node_is_full_where_any_of_its_cores_is);
	tcase_add_test(all, so_is_another_one_whichever_core_hears_of_it);
	suite_add_tcase(suite, all);
	return suite;
}
