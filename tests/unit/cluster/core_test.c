/* server/cluster.h of one core, by itself: which links it has, and that what it does from time to
 * time begins. */
#include <string.h>

#include "base/clock.h"
#include "base/io/sim/sim.h"
#include "base/mem.h"
#include "replication/group_parts.h"
#include "server/cluster_control.h"
#include "server/meta/meta_parts.h"
#include "server/shard/shard_parts.h"
#include "tests/unit/cluster/suites.h"
#include "tests/unit/starve.h"

enum { SELF = 1, OTHER = 2, STORES = 2, BIG = 1000, STEPS_MAX = 1000000 };

static struct sim *sim;
static struct sim_node *machine;
static struct io *io;
static struct cluster_options options;
static struct cluster_core *core;
static struct group_store store;
static struct group_store *stores[STORES];
static struct meta meta;
static struct shards shards;
static uint32_t asked; /* how often it was asked what this node is */

static void post(void *arg, uint32_t to, struct cluster_post *news)
{
	(void)arg;
	ck_assert_uint_eq(to, 0);
	news->arrived(news, core);
}

static void self(void *arg, struct cluster_node *ret_node)
{
	(void)arg;
	asked++;
	*ret_node = options.self;
}

static uint64_t snapshot_rate(void *arg)
{
	(void)arg;
	return 1;
}

static int entropy(void *arg, uint8_t *to, size_t bytes)
{
	(void)arg;
	memset(to, 1, bytes);
	return 0;
}

/* Of this node, and, where that has any, of another one with so many cores and stores. */
static struct cluster_map *new_map(uint32_t shard_count, uint16_t cores)
{
	struct cluster_map *map = cluster_map_new(cores > 0 ? 2 : 1, shard_count);
	ck_assert_ptr_nonnull(map);
	map->version = 1;
	map->nodes[0] = options.self;
	if (cores > 0)
		map->nodes[1] = (struct cluster_node){.node = OTHER,
		    .incarnation = 2,
		    .cores = cores,
		    .stores = cores,
		    .host = "127.0.0.1",
		    .peer_port = 1};
	return map;
}

static void begin(void *arg)
{
	const struct cluster_services services = {
	    .post = post, .self = self, .snapshot_rate = snapshot_rate};
	(void)arg;
	ck_assert_int_eq(cluster_core_new(io, 0, &services, stores, 1, &core), 0);
	ck_assert_int_eq(cluster_core_begin(core, &options), 0);
}

static void end(void *arg)
{
	(void)arg;
	io_run(io);
	cluster_core_close(core);
	cluster_core_cut(core);
}

static void is_over(void *arg)
{
	io_run(io);
	*(bool *)arg = cluster_core_stopped(core);
	if (!*(bool *)arg)
		return;
	cluster_core_free(core);
	core = NULL;
}

static void turn(void *arg)
{
	(void)arg;
	io_run(io);
}

static void pass(uint64_t ms)
{
	enum { TURN_MS = 100 };
	for (uint64_t done_ms = 0; done_ms < ms; done_ms += TURN_MS) {
		ck_assert(sim_pass(sim, TURN_MS * NS_PER_MS, STEPS_MAX));
		ck_assert(sim_node_run(machine, turn, NULL));
	}
}

static void open_core(uint32_t shard_count)
{
	sim = sim_new(1, NULL);
	machine = sim_node_new(sim);
	io = sim_node_boot(machine);
	asked = 0;
	options = (struct cluster_options){.self = {.node = SELF,
	                                       .incarnation = 1,
	                                       .cores = 1,
	                                       .stores = STORES,
	                                       .host = "127.0.0.1",
	                                       .peer_port = 2},
	    .shard_count = shard_count,
	    .leaders = cluster_leaders_new(shard_count),
	    .reach = cluster_reach_new(),
	    .entropy = entropy};
	ck_assert(options.leaders && options.reach);
	memset(&store, 0, sizeof(store));
	number_map_init(&store.groups);
	list_init(&store.list);
	stores[0] = &store;
	ck_assert(sim_node_run(machine, begin, NULL));
}

static void close_core(void)
{
	bool over = false;
	ck_assert(sim_node_run(machine, end, NULL));
	for (int i = 0; i < 100 && !over; i++) {
		pass(100);
		ck_assert(sim_node_run(machine, is_over, &over));
	}
	ck_assert(over);
	number_map_done(&store.groups);
	mem_free(options.leaders);
	mem_free(options.reach);
	sim_free(sim);
}

/* ---- Links ---- */

static void follow(void *arg)
{
	io_run(io);
	cluster_core_set_map(core, arg);
}

/* A machine may have more processors than a byte counts, and a store for each. */
START_TEST(each_core_of_a_large_node_has_a_link)
{
	open_core(BIG);
	struct cluster_map *map = new_map(BIG, BIG);
	ck_assert(sim_node_run(machine, follow, map));
	for (uint16_t number = 0; number < BIG; number++)
		ck_assert_ptr_nonnull(cluster_link_find(core, OTHER, number));
	cluster_map_release(map);
	close_core();
}
END_TEST

static struct starve starve;

static void follow_starved(void *arg)
{
	io_run(io);
	starve_begin(&starve);
	cluster_core_set_map(core, arg);
	starve_end(&starve);
}

/* No other map may come for a long time. */
START_TEST(a_link_that_found_no_memory_is_made_later)
{
	enum { PLACES_MAX = 100 };
	uint64_t place = 0, lacked = 0;
	do {
		open_core(1);
		struct cluster_map *map = new_map(1, 1);
		starve = starve_at(++place);
		ck_assert(sim_node_run(machine, follow_starved, map));
		lacked += !cluster_link_find(core, OTHER, 0);
		pass(1000);
		ck_assert_msg(cluster_link_find(core, OTHER, 0) != NULL, "place %llu",
		    (unsigned long long)place);
		cluster_map_release(map);
		close_core();
	} while (starve.failed && place < PLACES_MAX);
	ck_assert(!starve.failed);
	ck_assert_uint_ge(lacked, 1);
}
END_TEST

/* ---- From time to time ---- */

static void serve(void *arg)
{
	(void)arg;
	io_run(io);
	meta = (struct meta){.state = META_FOLLOWING};
	shards = (struct shards){.io = io};
	list_init(&shards.lacking);
	cluster_core_serve(core, &shards, &meta);
}

/* Between what the directory says and that this node serves may be seconds: other nodes are asked
 * who they are, say (server/core_stay.c). */
START_TEST(core_0_looks_after_its_node_however_late_it_serves)
{
	open_core(0);
	struct cluster_map *map = new_map(0, 0);
	ck_assert(sim_node_run(machine, follow, map));
	pass(2000);
	ck_assert_uint_eq(asked, 0);
	ck_assert(sim_node_run(machine, serve, NULL));
	pass(2000);
	ck_assert_uint_ge(asked, 1);
	cluster_map_release(map);
	close_core();
}
END_TEST

Suite *core_suite(void)
{
	Suite *suite = suite_create("core");
	TCase *all = tcase_create("all");
	tcase_set_timeout(all, 60);
	tcase_add_test(all, each_core_of_a_large_node_has_a_link);
	tcase_add_test(all, a_link_that_found_no_memory_is_made_later);
	tcase_add_test(all, core_0_looks_after_its_node_however_late_it_serves);
	suite_add_tcase(suite, all);
	return suite;
}
