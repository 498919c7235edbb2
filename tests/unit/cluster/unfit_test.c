/* server/cluster_unfit.c: what is known on core 0 of who may lead. */
#include "base/clock.h"
#include "server/meta/meta_parts.h"
#include "server/shard/shard_parts.h"
#include "tests/unit/cluster/suites.h"
#include "tests/unit/cluster/two_cores.h"

enum { WORD_MS = 2500, LOADS_MS = 2000, LASTS_MS = 5000 };

static struct cluster_map map = {.node_count = 2, .nodes = (struct cluster_node[2]){{0}}};
/* Of core 1: one shard. */
static struct shards shards;
static struct shard shard;

static void set_up(void)
{
	two_cores_start();
	map.node_count = 2;
	list_init(&shards.lacking);
	list_node_init(&shard.lacking_link);
	shards.io = cores[1].io;
	for (uint32_t i = 0; i < CORES; i++)
		cores[i].map = &map;
	cores[1].shards = &shards;
}

/* Core 1 alone has a link to that node. */
static void other_says(void *arg)
{
	struct cluster_link link = {.core = &cores[1], .node = OTHER, .number = 1};
	uint8_t bytes[1];
	struct writer out = writer_of(bytes, sizeof(bytes));
	cluster_unfit_write(&out, *(const enum cluster_unfit *)arg);
	ck_assert_int_eq(cluster_unfit_told(&cores[1], &link, writer_view(&out)), 0);
}

/* As if a store of core 1 had had no room a moment ago. */
static void core_one_is_full(void *arg)
{
	cores[1].no_room_until_ns = io_now_ns(cores[1].io) + *(const uint64_t *)arg * NS_PER_MS;
	cluster_unfit_look(&cores[1]);
}

static void look(void *arg)
{
	enum cluster_unfit *unfit = arg;
	io_run(cores[0].io); /* it is as late as the world */
	unfit[0] = cluster_node_unfit(&control, SELF);
	unfit[1] = cluster_node_unfit(&control, OTHER);
}

static void expect(enum cluster_unfit self, enum cluster_unfit other)
{
	enum cluster_unfit unfit[2];
	ck_assert(sim_node_run(machine, look, unfit));
	ck_assert_int_eq(unfit[0], self);
	ck_assert_int_eq(unfit[1], other);
}

/* It runs what came before, too. */
static void core_one_looks(void *arg)
{
	(void)arg;
	io_run(cores[1].io);
	cluster_unfit_look(&cores[1]);
}

static void serves_without_bundle(void *arg)
{
	const bool *lacks = arg;
	io_run(cores[1].io);
	list_remove(&shard.lacking_link);
	if (!*lacks)
		return;
	shard.lacking_since_ns = io_now_ns(cores[1].io);
	list_push_back(&shards.lacking, &shard.lacking_link);
}

START_TEST(a_node_is_full_where_any_of_its_cores_is)
{
	uint64_t for_ms = 1000;
	expect(CLUSTER_FIT, CLUSTER_FIT);
	ck_assert(sim_node_run(machine, core_one_is_full, &for_ms));
	ck_assert(cores[1].unfit == CLUSTER_NO_ROOM && !cores[0].unfit);
	expect(CLUSTER_NO_ROOM, CLUSTER_FIT);
	/* It is said again while it is so. */
	two_cores_pass(WORD_MS - 1);
	expect(CLUSTER_NO_ROOM, CLUSTER_FIT);
	ck_assert(sim_node_run(machine, core_one_is_full, &for_ms));
	two_cores_pass(WORD_MS - 1);
	expect(CLUSTER_NO_ROOM, CLUSTER_FIT);
	two_cores_pass(1);
	expect(CLUSTER_FIT, CLUSTER_FIT);
}
END_TEST

START_TEST(so_is_another_one_whichever_core_hears_of_it)
{
	enum cluster_unfit full = CLUSTER_NO_ROOM, room = CLUSTER_FIT;
	ck_assert(sim_node_run(machine, other_says, &room));
	expect(CLUSTER_FIT, CLUSTER_FIT);
	ck_assert(sim_node_run(machine, other_says, &full));
	expect(CLUSTER_FIT, CLUSTER_NO_ROOM);
	/* Another core of it may be full still. */
	ck_assert(sim_node_run(machine, other_says, &room));
	expect(CLUSTER_FIT, CLUSTER_NO_ROOM);
	two_cores_pass(WORD_MS);
	expect(CLUSTER_FIT, CLUSTER_FIT);
}
END_TEST

START_TEST(who_serves_without_a_bundle_is_unfit_when_that_lasts_and_a_while_behind_it)
{
	bool lacks = true;
	shard.state = SHARD_SERVES;
	ck_assert(sim_node_run(machine, serves_without_bundle, &lacks));
	two_cores_pass(LOADS_MS - 1);
	ck_assert(sim_node_run(machine, core_one_looks, NULL));
	expect(CLUSTER_FIT, CLUSTER_FIT);
	two_cores_pass(1);
	ck_assert(sim_node_run(machine, core_one_looks, NULL));
	expect(CLUSTER_NO_BUNDLE, CLUSTER_FIT);
	/* The shard is led elsewhere now, and whether this node could serve it is not known. */
	shard.state = SHARD_FOLLOWS;
	two_cores_pass(LASTS_MS - 1);
	ck_assert(sim_node_run(machine, core_one_looks, NULL));
	expect(CLUSTER_NO_BUNDLE, CLUSTER_FIT);
	two_cores_pass(1);
	ck_assert(sim_node_run(machine, core_one_looks, NULL));
	ck_assert_int_eq(cores[1].unfit, CLUSTER_FIT);
	/* It leads again, with no bundle still: that has lasted. Then it has one. */
	shard.state = SHARD_SERVES;
	ck_assert(sim_node_run(machine, core_one_looks, NULL));
	ck_assert_int_eq(cores[1].unfit, CLUSTER_NO_BUNDLE);
	lacks = false;
	ck_assert(sim_node_run(machine, serves_without_bundle, &lacks));
	two_cores_pass(LASTS_MS);
	ck_assert(sim_node_run(machine, core_one_looks, NULL));
	expect(CLUSTER_FIT, CLUSTER_FIT);
}
END_TEST

static void core_zero_looks(void *arg)
{
	(void)arg;
	io_run(cores[0].io);
	cluster_unfit_look(&cores[0]);
}

START_TEST(what_core_0_could_not_load_the_others_of_its_node_lack_too)
{
	struct meta_app app = {.not_loaded = true}, *items[] = {&app};
	struct meta meta = {.apps = {.items = items, .count = 1}};
	cores[0].meta = &meta;
	ck_assert(sim_node_run(machine, core_zero_looks, NULL));
	ck_assert(sim_node_run(machine, core_one_looks, NULL));
	ck_assert_int_eq(cores[0].unfit, CLUSTER_NO_BUNDLE);
	ck_assert_int_eq(cores[1].unfit, CLUSTER_NO_BUNDLE);
	app.not_loaded = false;
	two_cores_pass(LASTS_MS);
	ck_assert(sim_node_run(machine, core_zero_looks, NULL));
	ck_assert(sim_node_run(machine, core_one_looks, NULL));
	ck_assert_int_eq(cores[0].unfit, CLUSTER_FIT);
	ck_assert_int_eq(cores[1].unfit, CLUSTER_FIT);
	cores[0].meta = NULL;
}
END_TEST

START_TEST(where_nobody_else_is_nothing_is_unfit_for_want_of_a_bundle)
{
	bool lacks = true;
	shard.state = SHARD_SERVES;
	map.node_count = 1;
	ck_assert(sim_node_run(machine, serves_without_bundle, &lacks));
	two_cores_pass(10 * LOADS_MS);
	ck_assert(sim_node_run(machine, core_one_looks, NULL));
	expect(CLUSTER_FIT, CLUSTER_FIT);
}
END_TEST

START_TEST(of_two_reasons_the_disk_counts)
{
	enum cluster_unfit room = CLUSTER_NO_ROOM, bundle = CLUSTER_NO_BUNDLE;
	ck_assert(sim_node_run(machine, other_says, &bundle));
	expect(CLUSTER_FIT, CLUSTER_NO_BUNDLE);
	ck_assert(sim_node_run(machine, other_says, &room));
	ck_assert(sim_node_run(machine, other_says, &bundle));
	expect(CLUSTER_FIT, CLUSTER_NO_ROOM);
}
END_TEST

Suite *unfit_suite(void)
{
	Suite *suite = suite_create("unfit");
	TCase *all = tcase_create("unfit");
	tcase_add_checked_fixture(all, set_up, two_cores_done);
	tcase_add_test(all, a_node_is_full_where_any_of_its_cores_is);
	tcase_add_test(all, so_is_another_one_whichever_core_hears_of_it);
	tcase_add_test(
	    all, who_serves_without_a_bundle_is_unfit_when_that_lasts_and_a_while_behind_it);
	tcase_add_test(all, what_core_0_could_not_load_the_others_of_its_node_lack_too);
	tcase_add_test(all, where_nobody_else_is_nothing_is_unfit_for_want_of_a_bundle);
	tcase_add_test(all, of_two_reasons_the_disk_counts);
	suite_add_tcase(suite, all);
	return suite;
}
