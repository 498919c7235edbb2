/* server/cluster_recover.c: of which shards it is said what becomes of them, which are left for
 * later, and why nothing is done. Nobody leads any of them but the directory, which this node does.
 */
#include <string.h>

#include "base/clock.h"
#include "base/io/sim/sim.h"
#include "server/cluster_control.h"
#include "server/meta/recovery.h"
#include "tests/unit/cluster/suites.h"

enum { SELF = 1, NODES = 3, SHARDS = 3, TERM = 7, STEPS_MAX = 100000 };

static struct sim *sim;
static struct sim_node *machine;
static struct cluster_core core;
static struct cluster_control control;
static struct cluster_options options;
static struct cluster_seen seen[SHARDS + 1];
static struct cluster_replica replicas[SHARDS + 1][NODES];
static char answer[2048];
static char expected[32]; /* the plan that is to be carried out; "": any */
static enum status status;

static void set_up(void)
{
	sim = sim_new(1, NULL);
	machine = sim_node_new(sim);
	options = (struct cluster_options){
	    .self = {.node = SELF, .cores = 1, .stores = 1}, .shard_count = SHARDS};
	core = (struct cluster_core){.io = sim_node_boot(machine), .options = &options};
	list_init(&core.links);
	core.map = cluster_map_new(NODES, SHARDS);
	ck_assert_ptr_nonnull(core.map);
	for (uint16_t node = 1; node <= NODES; node++)
		core.map->nodes[node - 1].node = node;
	for (uint32_t shard = 0; shard <= SHARDS; shard++) {
		for (uint16_t node = 1; node <= NODES; node++)
			replicas[shard][node - 1] = (struct cluster_replica){
			    .replica = cluster_replica_number(node, 1), .voter = true};
		core.map->shards[shard] = (struct cluster_shard){
		    .count = NODES, .room = NODES, .replicas = replicas[shard]};
	}
	memset(seen, 0, sizeof(seen));
	control = (struct cluster_control){.core = &core, .leads = true, .seen = seen};
	expected[0] = '\0';
	number_map_init(&control.stranded);
	list_init(&control.stranded_list);
	core.control = &control;
}

static void tear_down(void)
{
	cluster_recover_done(&control);
	cluster_map_release(core.map);
	sim_free(sim);
}

static void pass(uint64_t ms)
{
	ck_assert(sim_pass(sim, ms * NS_PER_MS, STEPS_MAX));
}

/* As a report of that node has it. */
struct row {
	uint32_t shard;
	uint16_t node;
	uint64_t last_index; /* 0: it is damaged */
	bool is_none;        /* there is no replica */
};

static void take(void *arg)
{
	const struct row *row = arg;
	struct recovery_said said = {.shard = row->shard,
	    .replica = cluster_replica_number(row->node, 1),
	    .damaged = row->last_index == 0};
	uint8_t bytes[CLUSTER_STRANDED_BYTES_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	if (row->is_none) {
		said.replica = recovery_none_of(row->node);
		said.damaged = false;
	} else if (!said.damaged) {
		said.term = said.last_term = TERM;
		said.last_index = row->last_index;
		said.committed = row->last_index - 1;
		for (uint16_t node = 1; node <= NODES; node++)
			said.members[said.count++] = (struct recovery_member){
			    .replica = cluster_replica_number(node, 1), .roles = RAFT_VOTER};
	}
	cluster_stranded_write(&out, &said);
	io_run(core.io); /* it is as late as the world */
	ck_assert_int_eq(cluster_control_stranded(&control, row->node, writer_view(&out)), 0);
}

/* When it is known what is damaged. */
static void says(uint32_t shard, uint16_t node, uint64_t last_index)
{
	struct row row = {.shard = shard, .node = node, .last_index = last_index};
	pass(RECOVERY_AFTER_MS);
	ck_assert(sim_node_run(machine, take, &row));
}

static void is_damaged(uint32_t shard, uint16_t node)
{
	struct row row = {.shard = shard, .node = node};
	ck_assert(sim_node_run(machine, take, &row));
}

static void says_none(uint32_t shard, uint16_t node)
{
	struct row row = {.shard = shard, .node = node, .is_none = true};
	pass(RECOVERY_AFTER_MS);
	ck_assert(sim_node_run(machine, take, &row));
}

static void never(struct meta_request *request)
{
	(void)request;
	ck_abort_msg("a plan changes nothing");
}

static void ask(void *arg)
{
	const bool *dry_run = arg;
	struct meta_request request = {.verb = META_CLUSTER_RECOVER,
	    .damaged = true,
	    .dry_run = *dry_run,
	    .expected = slice_from_text(expected),
	    .done = never};
	io_run(core.io);
	ck_assert(!cluster_recover_answer(&control, &request));
	struct slice reply = buffer_view(&request.reply);
	ck_assert_uint_lt(reply.bytes, sizeof(answer));
	memcpy(answer, reply.data, reply.bytes);
	answer[reply.bytes] = '\0';
	status = request.status;
	buffer_done(&request.reply);
	buffer_done(&request.details);
}

static void asked_gives(bool dry_run, enum status wanted)
{
	ck_assert(sim_node_run(machine, ask, &dry_run));
	ck_assert_msg(status == wanted, "%s: %s", status_name(status), answer);
}

static void plan_gives(enum status wanted)
{
	asked_gives(true, wanted);
}

/* What the answer names is what is expected from now on. */
static void expect_plan(void)
{
	static const char name[] = "\"plan\":\"";
	const char *plan = strstr(answer, name);
	ck_assert_ptr_nonnull(plan);
	plan += sizeof(name) - 1;
	size_t bytes = strcspn(plan, "\"");
	ck_assert_uint_eq(bytes, 16);
	memcpy(expected, plan, bytes);
	expected[bytes] = '\0';
}

static void plan_has(const char *text)
{
	ck_assert_msg(strstr(answer, text) != NULL, "%s is not in %s", text, answer);
}

START_TEST(the_whole_one_with_the_longest_log_goes_on)
{
	is_damaged(1, 2);
	is_damaged(1, 3);
	says(1, 1, 10);
	/* Its majority is whole. */
	is_damaged(2, 3);
	says(2, 1, 5);
	says(2, 2, 6);
	plan_gives(STATUS_OK);
	plan_has(
	    "\"shards\":[{\"committed\":9,\"damaged\":[2,3],\"index\":10,\"node\":1,\"shard\":1,");
	ck_assert_ptr_null(strstr(answer, "\"shard\":2"));
	ck_assert_ptr_null(strstr(answer, "later"));
}
END_TEST

/* Whatever was said of damage before. */
START_TEST(what_somebody_leads_is_left_alone)
{
	is_damaged(1, 2);
	is_damaged(1, 3);
	says(1, 1, 10);
	seen[1] = (struct cluster_seen){.at_ns = sim_now_ns(sim) + 1, .node = SELF};
	pass(1);
	plan_gives(STATUS_FAILED_PRECONDITION);
	plan_has("nothing is to be recovered");
}
END_TEST

START_TEST(who_says_nothing_of_a_shard_is_waited_for_where_it_has_no_directory)
{
	/* Node 3 does not serve, and says nothing of its other shards until it does. */
	is_damaged(0, 3);
	is_damaged(1, 2);
	says(1, 1, 10);
	plan_gives(STATUS_FAILED_PRECONDITION);
	plan_has("waits for node 3: repeat when it serves");
	/* What waits for nobody is not kept from it. */
	is_damaged(2, 2);
	is_damaged(2, 3);
	says(2, 1, 20);
	plan_gives(STATUS_OK);
	plan_has("\"later\":1,");
	plan_has(
	    "\"shards\":[{\"committed\":19,\"damaged\":[2,3],\"index\":20,\"node\":1,\"shard\":2,");
	plan_has("\"waits_for\":[3]");
	/* Two that wait for it are two, and it is one. */
	is_damaged(3, 2);
	says(3, 1, 30);
	plan_gives(STATUS_OK);
	plan_has("\"later\":2,");
	plan_has("\"waits_for\":[3]");
}
END_TEST

START_TEST(who_serves_and_says_nothing_of_a_shard_ends_it)
{
	is_damaged(1, 2);
	says(1, 1, 10);
	plan_gives(STATUS_FAILED_PRECONDITION);
	plan_has("node 3 has not said what it has of shard 1");
}
END_TEST

START_TEST(where_nothing_whole_is_left_that_is_said)
{
	for (uint16_t node = 1; node <= NODES; node++)
		is_damaged(1, node);
	plan_gives(STATUS_FAILED_PRECONDITION);
	plan_has("nothing whole is left");
	is_damaged(2, 2);
	is_damaged(2, 3);
	says(2, 1, 20);
	plan_gives(STATUS_OK);
	plan_has("\"nothing\":1,");
}
END_TEST

START_TEST(what_was_said_before_the_damage_was_found_counts_no_more)
{
	says(1, 1, 10);
	is_damaged(1, 2);
	is_damaged(1, 3);
	/* It is there, and will. */
	plan_gives(STATUS_UNAVAILABLE);
	plan_has("node 1 has not said what it has of shard 1");
	says(1, 1, 11);
	plan_gives(STATUS_OK);
	plan_has("\"index\":11,\"node\":1,\"shard\":1,");
}
END_TEST

START_TEST(who_has_nothing_of_a_shard_is_given_up_and_that_is_said)
{
	is_damaged(1, 3);
	says(1, 1, 10);
	plan_gives(STATUS_FAILED_PRECONDITION);
	plan_has("node 2 has not said what it has of shard 1");
	says_none(1, 2);
	plan_gives(STATUS_OK);
	plan_has("\"shards\":[{\"absent\":[2],\"committed\":9,\"damaged\":[3],\"index\":10,"
	         "\"node\":1,\"shard\":1,");
}
END_TEST

START_TEST(what_was_said_long_ago_counts_no_more)
{
	is_damaged(1, 2);
	is_damaged(1, 3);
	says(1, 1, 10);
	pass(RECOVERY_SAID_MS + 1);
	plan_gives(STATUS_FAILED_PRECONDITION);
	plan_has("nothing is to be recovered");
}
END_TEST

/* What was looked at is what is done, or nothing is. */
START_TEST(a_plan_that_is_another_one_by_now_is_not_carried_out)
{
	is_damaged(1, 2);
	is_damaged(1, 3);
	says(1, 1, 10);
	plan_gives(STATUS_OK);
	expect_plan();
	/* Whoever says the same again changes nothing. */
	says(1, 1, 10);
	plan_gives(STATUS_OK);
	says(1, 1, 11);
	asked_gives(false, STATUS_ABORTED);
	plan_has("another plan");
	expected[0] = '\0';
	plan_gives(STATUS_OK);
	expect_plan();
	plan_gives(STATUS_OK);
	/* One shard more. */
	is_damaged(2, 2);
	is_damaged(2, 3);
	says(2, 1, 20);
	asked_gives(false, STATUS_ABORTED);
}
END_TEST

Suite *recover_suite(void)
{
	Suite *suite = suite_create("cluster recover");
	TCase *all = tcase_create("all");
	tcase_add_checked_fixture(all, set_up, tear_down);
	tcase_add_test(all, the_whole_one_with_the_longest_log_goes_on);
	tcase_add_test(all, what_somebody_leads_is_left_alone);
	tcase_add_test(all, who_says_nothing_of_a_shard_is_waited_for_where_it_has_no_directory);
	tcase_add_test(all, who_serves_and_says_nothing_of_a_shard_ends_it);
	tcase_add_test(all, where_nothing_whole_is_left_that_is_said);
	tcase_add_test(all, what_was_said_before_the_damage_was_found_counts_no_more);
	tcase_add_test(all, who_has_nothing_of_a_shard_is_given_up_and_that_is_said);
	tcase_add_test(all, what_was_said_long_ago_counts_no_more);
	tcase_add_test(all, a_plan_that_is_another_one_by_now_is_not_carried_out);
	suite_add_tcase(suite, all);
	return suite;
}
