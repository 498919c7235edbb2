/* server/cluster_answers.c: what the status says of moves, where it was planned for nodes that are
 * not there any more. This node leads the directory, which wants a vote of two that are gone. */
#include <string.h>

#include "base/clock.h"
#include "base/io/sim/sim.h"
#include "base/mem.h"
#include "replication/raft/quorum.h"
#include "server/cluster_control.h"
#include "tests/unit/cluster/suites.h"

enum { SELF = 1, NODES = 3, SHARDS = 1, STEPS_MAX = 100000 };

static struct sim *sim;
static struct sim_node *machine;
static struct cluster_core core;
static struct cluster_control control;
static struct cluster_options options;
static struct cluster_seen seen[SHARDS + 1];
static struct cluster_member_row member;
static struct cluster_replica replicas[SHARDS + 1][NODES];
static char answer[8192];

static void set_up(void)
{
	sim = sim_new(1, NULL);
	machine = sim_node_new(sim);
	options = (struct cluster_options){.self = {.node = SELF, .cores = 1, .stores = 1},
	    .shard_count = SHARDS,
	    .leaders = cluster_leaders_new(SHARDS),
	    .reach = cluster_reach_new()};
	ck_assert(options.leaders && options.reach);
	core = (struct cluster_core){.io = sim_node_boot(machine), .options = &options};
	list_init(&core.links);
	core.map = cluster_map_new(NODES, SHARDS);
	ck_assert_ptr_nonnull(core.map);
	core.map->rebalance = (struct cluster_job){.began_ms = 1, .all = 1};
	for (uint16_t node = 1; node <= NODES; node++)
		core.map->nodes[node - 1].node = node;
	for (uint32_t shard = 0; shard <= SHARDS; shard++) {
		for (uint16_t node = 1; node <= NODES; node++)
			replicas[shard][node - 1] = (struct cluster_replica){
			    .replica = cluster_replica_number(node, 1), .voter = true};
		core.map->shards[shard] = (struct cluster_shard){
		    .count = shard == 0 ? NODES : 1, .room = NODES, .replicas = replicas[shard]};
	}
	memset(seen, 0, sizeof(seen));
	control =
	    (struct cluster_control){.core = &core, .leads = true, .seen = seen, .jobs_busy = true};
	number_map_init(&control.stranded);
	list_init(&control.stranded_list);
	ck_assert_int_eq(load_book_init(&control.loads, SHARDS + 1), 0);
	core.control = &control;
}

static void tear_down(void)
{
	load_book_done(&control.loads);
	cluster_recover_done(&control);
	cluster_map_release(core.map);
	mem_free(options.leaders);
	mem_free(options.reach);
	sim_free(sim);
}

/* It is alone in every group, and leads them. */
static void plan(void *arg)
{
	(void)arg;
	io_run(core.io);
	member = (struct cluster_member_row){
	    .replica = cluster_replica_number(SELF, 1), .roles = RAFT_VOTER, .heard = true};
	for (uint32_t shard = 0; shard <= SHARDS; shard++)
		seen[shard] = (struct cluster_seen){.node = SELF,
		    .at_ns = io_now_ns(core.io),
		    .settled = shard != 0,
		    .count = 1,
		    .members = &member};
	cluster_plan(&control);
}

static void answered(struct meta_request *request)
{
	struct slice reply = buffer_view(&request->reply);
	ck_assert_int_eq(request->status, STATUS_OK);
	ck_assert_uint_lt(reply.bytes, sizeof(answer));
	memcpy(answer, reply.data, reply.bytes);
	answer[reply.bytes] = '\0';
}

static void ask(void *arg)
{
	struct meta_request request = {.verb = META_CLUSTER_STATUS, .done = answered};
	(void)arg;
	io_run(core.io);
	cluster_control_answer(&control, &request);
	buffer_done(&request.reply);
	buffer_done(&request.details);
}

static void has(const char *text)
{
	ck_assert(sim_node_run(machine, ask, NULL));
	ck_assert_msg(strstr(answer, text) != NULL, "%s is not in %s", text, answer);
}

static void pass_until_planned(void)
{
	ck_assert(sim_pass(sim, CLUSTER_BEGIN_NS + NS_PER_S, STEPS_MAX));
	ck_assert(sim_node_run(machine, plan, NULL));
	ck_assert(control.planned);
}

static void remove_others(void)
{
	for (uint32_t i = 0; i < NODES; i++)
		if (core.map->nodes[i].node != SELF)
			core.map->nodes[i].state = CLUSTER_NODE_REMOVED;
}

START_TEST(what_waits_for_others_is_said_while_they_are_not_removed)
{
	pass_until_planned();
	has("\"waiting\":1,");
	has("\"job\":\"rebalance\",\"left\":1,");
	has("\"runs\":true");
}
END_TEST

/* Before it is planned anew, and the record of the job has its end. */
START_TEST(where_nobody_else_is_left_nothing_waits_and_nothing_is_to_be_moved)
{
	pass_until_planned();
	remove_others();
	has("\"waiting\":0,");
	has("\"job\":\"rebalance\",\"left\":0,");
	has("\"runs\":false");
}
END_TEST

Suite *answers_suite(void)
{
	Suite *suite = suite_create("answers");
	TCase *all = tcase_create("answers");
	tcase_add_checked_fixture(all, set_up, tear_down);
	tcase_add_test(all, what_waits_for_others_is_said_while_they_are_not_removed);
	tcase_add_test(all, where_nobody_else_is_left_nothing_waits_and_nothing_is_to_be_moved);
	suite_add_tcase(suite, all);
	return suite;
}
