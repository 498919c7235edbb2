/* cluster_starve: whole nodes in small worlds in which memory is missing at one place of the
 * cluster's side or of calls between nodes (starve.h): every place in turn.
 *
 * A run's number is twice the site's, and which of two worlds it is. At every second site one
 * allocation fails, at the others all of them for a while; from ROUND on it is the other way round.
 * Numbers 0 and 1 are the worlds without a failure: they say how many sites there are.
 *
 * Nothing may end a process but a start that says that it has no memory, and is tried again, and
 * what is committed and cannot be applied in several attempts (replication/group_apply.c). What
 * was acknowledged stays, everything comes to rest, and nothing is left of a process that ends
 * cleanly. */
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "tests/cluster_sim/rest.h"
#include "tests/cluster_sim/seed.h"
#include "tests/cluster_sim/starve.h"
#include "tests/cluster_sim/world.h"
#include "tests/sim/runs.h"
#include "tests/sim/verdict.h"

enum {
	COURSES = 2,
	ROUND = 10000,
	STEP_S_MAX = 60, /* of simulated time */
	LEADS = 3,
	FOR_MS = 700,
	OPERATIONS_MIN = 30,
};

struct result {
	struct seed_result seed;
	struct starve_figures starve;
	uint64_t course;
};

static struct {
	uint64_t site, for_ns;
} plan;

static struct {
	uint64_t sites[COURSES], functions, failed, unstruck, starts_failed;
	uint64_t panics, events, virtual_ms;
} all;

static void begin(struct world *world)
{
	world->load.idle_percent = 99;
	starve_begin_world(world, plan.site, plan.for_ns);
}

/* ---- Steps of a course ---- */

static void wait_for(struct world *world, bool (*is_so)(struct world *world), const char *what)
{
	uint64_t until_ns = sim_now_ns(world->sim) + STEP_S_MAX * NS_PER_S;
	while (!is_so(world)) {
		seed_pass(world);
		if (sim_now_ns(world->sim) < until_ns)
			continue;
		rest_print(world);
		verdict_fail("progress", "still not: %s", what);
	}
}

static bool operator_is_done(struct world *world)
{
	return world->admin.task == ADMIN_IDLE;
}

static bool is_placed(struct world *world)
{
	return rest_is_placed(world);
}

static bool has_loaded(struct world *world)
{
	return world->figures.operations >= world->single_operations;
}

static void order(struct world *world, enum admin_task task, struct node *node)
{
	bool began = admin_begin(world, task, node);
	ASSERT(began);
	wait_for(world, operator_is_done, "the operator is done");
}

static void load(struct world *world)
{
	world->single_operations = world->figures.operations + OPERATIONS_MIN;
	wait_for(world, has_loaded, "clients call");
}

/* ---- What an operator looks at ---- */

struct look {
	struct meta_request request;
	struct node *node;
	bool is_done;
};
static struct look looked;

static void look_done(struct meta_request *request)
{
	looked.is_done = true;
	buffer_done(&request->reply);
	buffer_done(&request->details);
}

static void look_inside(void *arg)
{
	struct look *look = arg;
	cluster_core_directory(look->node->server.cores[0].cluster, &look->request);
	node_wake(look->node);
}

static bool has_looked(struct world *world)
{
	(void)world;
	return looked.is_done || !node_serves(looked.node);
}

static void look(struct world *world, struct node *node, struct meta_request request)
{
	looked = (struct look){.request = request, .node = node};
	looked.request.done = look_done;
	if (!node_serves(node))
		return;
	(void)sim_node_run(node->machine, look_inside, &looked);
	wait_for(world, has_looked, "a look is answered");
}

static void look_around(struct world *world)
{
	for (unsigned i = 0; i < world->node_count; i++) {
		struct node *node = &world->nodes[i];
		look(world, node, (struct meta_request){.verb = META_CLUSTER_STATUS});
		look(world, node, (struct meta_request){.verb = META_NODE_LIST});
		look(world, node, (struct meta_request){.verb = META_APP_LIST});
	}
	/* What is refused has a text. */
	struct meta_request lead = {.verb = META_SHARD_LEAD, .shard = 1, .node.node = UINT16_MAX};
	look(world, &world->nodes[1], lead);
	struct meta_request remove = {.verb = META_NODE_REMOVE, .node.node = 1};
	look(world, &world->nodes[1], remove);
	struct meta_request lost = {.verb = META_CLUSTER_RECOVER,
	    .wanted = &(struct meta_wanted){.node = 1},
	    .wanted_count = 1};
	look(world, &world->nodes[1], lost);
}

/* ---- Courses ---- */

static void stop_and_begin(struct world *world, struct node *node)
{
	uint64_t until_ns = sim_now_ns(world->sim) + STEP_S_MAX * NS_PER_S;
	node_close(node);
	while (!node_has_ended(node)) {
		seed_pass(world);
		EXPECT(sim_now_ns(world->sim) < until_ns, "progress", "a node does not stop");
	}
	node->stays_off = true;
	node_reap(node);
	node->stays_off = false;
	node_boot(node);
	wait_for(world, is_placed, "a node that was stopped is back");
}

static bool leads_nothing(struct world *world)
{
	for (uint32_t shard = 0; shard <= MODEL_SHARDS; shard++) {
		const struct group *group = node_group(&world->nodes[0], shard);
		if (group && group_leads(group))
			return false;
	}
	return true;
}

/* Others have to lead what the first node leads. */
static void fill(struct world *world)
{
	struct node *node = &world->nodes[0];
	sim_disk_set_capacity(node->machine, 1);
	node->disk_is_full = true;
	wait_for(world, leads_nothing, "whose disk is full leads nothing");
	sim_disk_set_capacity(node->machine, 0);
	wait_for(world, is_placed, "there is room again");
	node->disk_is_full = false;
}

static void grow_and_shrink(struct world *world)
{
	struct node *nodes = world->nodes;
	load(world);
	for (unsigned i = 0; i < LEADS; i++)
		order(world, ADMIN_LEAD, NULL);
	nodes[3].is_out = false;
	node_boot(&nodes[3]);
	wait_for(world, is_placed, "a fourth node has joined");
	order(world, ADMIN_DRAIN, &nodes[1]);
	order(world, ADMIN_REMOVE, &nodes[1]);
	wait_for(world, is_placed, "another node has joined");
	look_around(world);
	order(world, ADMIN_DRAIN, &nodes[2]);
	order(world, ADMIN_UNDRAIN, &nodes[2]);
	load(world);
}

static void lose(struct world *world)
{
	struct node *nodes = world->nodes;
	load(world);
	look_around(world);
	node_crash(&nodes[1], SIM_POWER_CUT);
	wait_for(world, is_placed, "a node is back");
	stop_and_begin(world, &nodes[2]);
	fill(world);
	load(world);
}

static void run(uint64_t number, bool trace, void *ret_result)
{
	static const struct seed_tame growth = {.program = "tests/cluster_sim/cluster_starve",
	    .seed = 1,
	    .nodes = 4,
	    .nodes_first = 3,
	    .cores = 1,
	    .begin = begin,
	    .live = grow_and_shrink};
	/* Of its number two of its nodes are gone for ever at its end (loss.h). */
	static const struct seed_tame loss = {.program = "tests/cluster_sim/cluster_starve",
	    .seed = 3,
	    .nodes = 3,
	    .nodes_first = 3,
	    .cores = 2,
	    .begin = begin,
	    .live = lose};
	struct result *result = ret_result;
	result->course = number % COURSES;
	plan.site = number % ROUND / COURSES;
	plan.for_ns = (plan.site + number / ROUND) % 2 ? 0 : FOR_MS * NS_PER_MS;
	seed_run_tame(result->course ? &loss : &growth, number, trace, &result->seed);
	result->starve = starve_end_world();
}

/* ---- Figures ---- */

static uint64_t trace_hash(const void *result)
{
	return ((const struct result *)result)->seed.trace_hash;
}

static void add(const void *of)
{
	const struct result *result = of;
	if (all.sites[result->course] < result->starve.sites)
		all.sites[result->course] = result->starve.sites;
	if (all.functions < result->starve.functions)
		all.functions = result->starve.functions;
	all.failed += result->starve.failed;
	all.unstruck += result->starve.failed == 0;
	all.starts_failed += result->seed.figures.world.boots_failed;
	all.panics += result->seed.figures.world.panics;
	all.events += result->seed.figures.machine.events;
	all.virtual_ms += result->seed.figures.virtual_ms;
}

static void print(void)
{
	uint64_t most = 0;
	for (unsigned i = 0; i < COURSES; i++)
		most = all.sites[i] > most ? all.sites[i] : most;
	printf(
	    "%" PRIu64 " events in %" PRIu64 " simulated s\n", all.events, all.virtual_ms / 1000);
	printf("sites: %" PRIu64 " %" PRIu64 ", of %" PRIu64 " functions; most: %" PRIu64 "\n",
	    all.sites[0], all.sites[1], all.functions, most);
	printf("%" PRIu64 " allocations failed, and by that %" PRIu64 " starts and %" PRIu64
	       " processes that had an entry to apply; %" PRIu64 " runs had less sites\n",
	    all.failed, all.starts_failed, all.panics, all.unstruck);
}

static unsigned print_zeros(void)
{
	return all.failed == 0;
}

int main(int argc, char **argv)
{
	const struct runs_program program = {.seed = run,
	    .result_bytes = sizeof(struct result),
	    .trace_hash = trace_hash,
	    .add = add,
	    .print = print,
	    .print_zeros = print_zeros,
	    .accidental_order = app_accidental_order};
	return app_open() ? runs_main(argc, argv, &program) : 1;
}
