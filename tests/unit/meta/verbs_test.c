/* What each request makes of nodes and replicas, and what is refused. */
#include <string.h>

#include "base/mem.h"
#include "server/meta/meta_parts.h"
#include "tests/unit/meta/suites.h"
#include "tests/unit/meta/verbs_rig.h"

static struct meta_layout layout;
static struct meta_request request;
static struct meta_wanted wanted[CLUSTER_REPLICAS_MAX + 1];

static void set_up(void)
{
	verbs_begin(&layout);
}

static void tear_down(void)
{
	meta_layout_done(&layout);
}

/* Refused, it has changed nothing. */
static enum status run(enum meta_verb verb)
{
	struct meta_layout before;
	uint8_t *batch;
	size_t bytes;
	request.verb = verb;
	request.status = STATUS_OK;
	request.wanted = wanted;
	buffer_init(&request.reply, 4096);
	buffer_init(&request.details, 4096);
	ck_assert_int_eq(meta_layout_copy(&layout, &before), 0);
	bool good = meta_verb_run(&layout, &request);
	ck_assert_int_eq(good, request.status == STATUS_OK);
	ck_assert_uint_gt(buffer_bytes(&request.reply), 0);
	if (!good)
		ck_assert_int_eq(
		    meta_layout_batch(&before, &layout, &batch, &bytes), ERR_NOT_FOUND);
	ck_assert_int_eq(meta_layout_check(&layout), 0);
	meta_layout_done(&before);
	return request.status;
}

static enum status done(enum status status)
{
	buffer_done(&request.reply);
	return status;
}

static bool says(const char *part)
{
	struct slice text = buffer_view(&request.reply);
	return text.data && memmem(text.data, text.bytes, part, strlen(part)) != NULL;
}

static enum status join(uint64_t incarnation)
{
	request = (struct meta_request){.node = verbs_node(incarnation)};
	return done(run(META_NODE_JOIN));
}

static enum status state(enum meta_verb verb, uint16_t number, bool force)
{
	request = (struct meta_request){.node = {.node = number}, .force = force};
	return done(run(verb));
}

/* Voters first. */
static enum status set_shard(uint32_t shard, size_t voters, size_t count, const uint16_t *nodes)
{
	request = (struct meta_request){.shard = shard, .wanted_count = count};
	if (shard <= layout.cluster.shards)
		request.expected_generation = layout.shards[shard].generation;
	for (size_t i = 0; i < count; i++)
		wanted[i] = (struct meta_wanted){.node = nodes[i], .voter = i < voters};
	return done(run(META_SHARD_SET));
}
#define NODES_OF(...)                                                                              \
	sizeof((uint16_t[]){__VA_ARGS__}) / sizeof(uint16_t), (const uint16_t[])                   \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static const struct cluster_replica *replica(uint32_t shard, uint16_t node)
{
	for (uint32_t i = 0; i < layout.shards[shard].count; i++)
		if (cluster_replica_node(layout.shards[shard].replicas[i].replica) == node)
			return &layout.shards[shard].replicas[i];
	return NULL;
}

static unsigned directory_voters(void)
{
	unsigned count = 0;
	for (uint32_t i = 0; i < layout.shards[0].count; i++)
		count += layout.shards[0].replicas[i].voter;
	return count;
}

/* ---- Joining ---- */

START_TEST(each_node_has_the_directory_and_five_vote)
{
	for (uint64_t i = 2; i <= 7; i++)
		ck_assert_int_eq(join(i), STATUS_OK);
	ck_assert_uint_eq(layout.shards[0].count, 7);
	ck_assert_uint_eq(directory_voters(), 5);
	ck_assert(!replica(0, 6)->voter);
	ck_assert_uint_eq(replica(0, 7)->replica, cluster_replica_number(7, 6));
	ck_assert_uint_eq(layout.cluster.next_node, 8);
	/* A voter that goes leaves its vote to another. */
	ck_assert_int_eq(state(META_NODE_REMOVE, 3, false), STATUS_OK);
	ck_assert_uint_eq(directory_voters(), 5);
	ck_assert_ptr_null(replica(0, 3));
	ck_assert(replica(0, 6)->voter && !replica(0, 7)->voter);
}
END_TEST

START_TEST(there_is_room_for_so_many_nodes)
{
	for (uint64_t i = 2; i <= CLUSTER_REPLICAS_MAX; i++)
		ck_assert_int_eq(join(i), STATUS_OK);
	ck_assert_int_eq(join(CLUSTER_REPLICAS_MAX + 1), STATUS_RESOURCE_EXHAUSTED);
	ck_assert_int_eq(join(CLUSTER_REPLICAS_MAX), STATUS_OK);
	ck_assert_int_eq(state(META_NODE_REMOVE, 9, false), STATUS_OK);
	ck_assert_int_eq(join(CLUSTER_REPLICAS_MAX + 1), STATUS_OK);
	ck_assert_uint_eq(request.node.node, CLUSTER_REPLICAS_MAX + 1);
	layout.cluster.next_node = CLUSTER_NODE_MAX + 1;
	ck_assert_int_eq(state(META_NODE_REMOVE, 8, false), STATUS_OK);
	ck_assert_int_eq(join(CLUSTER_REPLICAS_MAX + 2), STATUS_RESOURCE_EXHAUSTED);
}
END_TEST

START_TEST(who_cannot_be_a_node_is_told_why)
{
	request = (struct meta_request){.node = verbs_node(2)};
	request.node.host[0] = 0;
	ck_assert_int_eq(run(META_NODE_JOIN), STATUS_INVALID_ARGUMENT);
	ck_assert(says("its host is empty"));
	done(0);
	request = (struct meta_request){.node = verbs_node(2)};
	ck_assert_int_eq(run(META_NODE_SET), STATUS_NOT_FOUND);
	ck_assert(says("it has to join first"));
	done(0);
	request = (struct meta_request){.node = verbs_node(1)};
	request.node.stores = 5;
	ck_assert_int_eq(run(META_NODE_SET), STATUS_FAILED_PRECONDITION);
	ck_assert(says("node 1 has 4 stores, which never changes, and not 5"));
	done(0);
	request = (struct meta_request){.node = verbs_node(1)};
	request.node.cores = 9;
	ck_assert_int_eq(run(META_NODE_SET), STATUS_OK);
	ck_assert(
	    says("{\"cluster\":\"0123456789abcdef0123456789abcdef\",\"node\":1,\"shards\":3}"));
	done(0);
	ck_assert_uint_eq(layout.nodes[0].cores, 9);
}
END_TEST

START_TEST(who_was_removed_is_let_in_no_more)
{
	ck_assert_int_eq(join(2), STATUS_OK);
	ck_assert_int_eq(state(META_NODE_REMOVE, 2, false), STATUS_OK);
	ck_assert_int_eq(state(META_NODE_REMOVE, 2, false), STATUS_OK);
	ck_assert_int_eq(join(2), STATUS_FAILED_PRECONDITION);
	ck_assert_int_eq(state(META_NODE_DRAIN, 2, false), STATUS_FAILED_PRECONDITION);
	ck_assert_int_eq(state(META_NODE_UNDRAIN, 2, false), STATUS_FAILED_PRECONDITION);
	ck_assert_int_eq(set_shard(1, 1, NODES_OF(1, 2)), STATUS_FAILED_PRECONDITION);
	ck_assert_int_eq(join(3), STATUS_OK);
	ck_assert_uint_eq(request.node.node, 3);
}
END_TEST

/* ---- Addresses ---- */

/* Who is asked for, each time, and how many leave theirs. */
static uint16_t owners[4];
static size_t owner_count, yielding;

static bool yields(struct meta_request *asks, const struct cluster_node *owner)
{
	ck_assert_ptr_eq(asks->yields_arg, owners);
	ck_assert_uint_lt(owner_count, 4);
	owners[owner_count++] = owner->node;
	if (owner_count <= yielding)
		return true;
	asks->status = STATUS_UNAVAILABLE;
	buffer_init(&asks->reply, 64);
	ck_assert_int_eq(buffer_append_slice(&asks->reply, slice_from_text("it lives")), 0);
	return false;
}

static void begin_asking(uint64_t incarnation, size_t leave)
{
	owner_count = 0;
	yielding = leave;
	request = (struct meta_request){
	    .node = verbs_node(incarnation), .yields = yields, .yields_arg = owners};
}

START_TEST(who_has_an_address_is_asked_for_before_another_one_gets_it)
{
	ck_assert_int_eq(join(2), STATUS_OK);
	for (unsigned i = 0; i < 3; i++) {
		begin_asking(3, 0);
		if (i == 0)
			request.node.port = 7472;
		else if (i == 1)
			request.node.peer_port = 7472;
		else
			request.node.cluster_port = 7472;
		ck_assert_int_eq(run(META_NODE_JOIN), STATUS_UNAVAILABLE);
		ck_assert(says("it lives"));
		ck_assert_uint_eq(owners[0], 2);
		done(0);
	}
	begin_asking(3, 1);
	request.node.port = 7472;
	ck_assert_int_eq(run(META_NODE_JOIN), STATUS_OK);
	ck_assert_uint_eq(request.node.node, 3);
	ck_assert_uint_eq(owner_count, 1);
	done(0);
	/* One that is where it was asks for nothing, whoever else says that it is there. */
	begin_asking(2, 0);
	ck_assert_int_eq(run(META_NODE_JOIN), STATUS_OK);
	ck_assert_uint_eq(request.node.node, 2);
	ck_assert_uint_eq(owner_count, 0);
	done(0);
	/* All that have it. */
	begin_asking(4, 1);
	request.node.port = 7472;
	ck_assert_int_eq(run(META_NODE_JOIN), STATUS_UNAVAILABLE);
	ck_assert_uint_eq(owner_count, 2);
	ck_assert_uint_eq(owners[1], 3);
	done(0);
	/* Ports that are not known are no address, and no more is one of who was removed. */
	begin_asking(4, 0);
	request.node.port = 0;
	ck_assert_int_eq(run(META_NODE_JOIN), STATUS_OK);
	done(0);
	ck_assert_int_eq(state(META_NODE_REMOVE, 2, false), STATUS_OK);
	ck_assert_int_eq(state(META_NODE_REMOVE, 3, false), STATUS_OK);
	begin_asking(5, 0);
	request.node.port = 7472;
	ck_assert_int_eq(run(META_NODE_JOIN), STATUS_OK);
	ck_assert_uint_eq(owner_count, 0);
	done(0);
}
END_TEST

/* Where nobody can say who lives each keeps what it has. */
START_TEST(of_two_that_move_to_one_address_the_second_is_told_who_has_it)
{
	ck_assert_int_eq(join(2), STATUS_OK);
	ck_assert_int_eq(join(3), STATUS_OK);
	request = (struct meta_request){.node = verbs_node(3)};
	request.node.peer_port = 7999;
	ck_assert_int_eq(done(run(META_NODE_SET)), STATUS_OK);
	request = (struct meta_request){.node = verbs_node(2)};
	request.node.cluster_port = 7999;
	ck_assert_int_eq(run(META_NODE_SET), STATUS_FAILED_PRECONDITION);
	ck_assert(says("node 3 (192.0.2.1, port 7999) has this address"));
	done(0);
	ck_assert_uint_eq(layout.nodes[1].cluster_port, 0);
	/* The first one may say it again, and other things with it. */
	request = (struct meta_request){.node = verbs_node(3)};
	request.node.peer_port = 7999;
	request.node.cores = 7;
	ck_assert_int_eq(done(run(META_NODE_SET)), STATUS_OK);
	ck_assert_uint_eq(layout.nodes[2].cores, 7);
}
END_TEST

/* ---- Leaving ---- */

START_TEST(a_node_with_replicas_is_removed_by_force_only)
{
	ck_assert_int_eq(join(2), STATUS_OK);
	ck_assert_int_eq(set_shard(1, 2, NODES_OF(1, 2)), STATUS_OK);
	ck_assert_int_eq(set_shard(3, 1, NODES_OF(1, 2)), STATUS_OK);
	request = (struct meta_request){.node = {.node = 2}};
	ck_assert_int_eq(run(META_NODE_REMOVE), STATUS_FAILED_PRECONDITION);
	ck_assert(says("node 2 has replicas of 2 shards: drain it (kalix-admin node drain 2)"));
	done(0);
	request.force = true;
	ck_assert_int_eq(run(META_NODE_REMOVE), STATUS_OK);
	ck_assert(says("{\"node\":2,\"shards\":[1,3]}"));
	done(0);
	ck_assert_uint_eq(layout.shards[1].count, 1);
	ck_assert_uint_eq(layout.shards[1].generation, 3);
	ck_assert_ptr_null(replica(0, 2));
	ck_assert_int_eq(meta_layout_node(&layout, 2)->state, CLUSTER_NODE_REMOVED);
	ck_assert_int_eq(state(META_NODE_REMOVE, 9, true), STATUS_NOT_FOUND);
}
END_TEST

START_TEST(the_last_voter_of_a_shard_is_not_given_up)
{
	ck_assert_int_eq(state(META_NODE_REMOVE, 1, true), STATUS_FAILED_PRECONDITION);
	ck_assert_int_eq(join(2), STATUS_OK);
	ck_assert_int_eq(set_shard(2, 1, NODES_OF(2, 1)), STATUS_OK);
	request = (struct meta_request){.node = {.node = 2}, .force = true};
	ck_assert_int_eq(run(META_NODE_REMOVE), STATUS_FAILED_PRECONDITION);
	ck_assert(says("node 2 has the only voter of shard 2"));
	done(0);
}
END_TEST

/* 2 and 3 are gone for ever. Of shard 1 node 1 goes on alone, of shard 2 one of whom nobody wanted
 * anything any more; of shard 3 there is nothing left. */
START_TEST(what_is_left_of_a_shard_is_recorded_and_the_lost_are_removed)
{
	struct meta_recovery recoveries[] = {
	    {.shard = 1, .recovery = {.replica = 1, .term = 1001, .index = 40, .at_ms = 5}},
	    {.shard = 2, .recovery = {.replica = 1, .term = 1002, .index = 50, .at_ms = 5}}};
	ck_assert_int_eq(join(2), STATUS_OK);
	ck_assert_int_eq(join(3), STATUS_OK);
	ck_assert_int_eq(set_shard(1, 3, NODES_OF(1, 2, 3)), STATUS_OK);
	ck_assert_int_eq(set_shard(2, 2, NODES_OF(2, 3)), STATUS_OK);
	ck_assert_int_eq(set_shard(3, 1, NODES_OF(3)), STATUS_OK);
	request =
	    (struct meta_request){.wanted_count = 2, .recoveries = recoveries, .recovery_count = 2};
	wanted[0] = (struct meta_wanted){.node = 2};
	wanted[1] = (struct meta_wanted){.node = 3};
	ck_assert_int_eq(run(META_RECOVER), STATUS_OK);
	ck_assert(says("{\"nodes\":[2,3],\"shards\":2}"));
	done(0);
	for (uint32_t shard = 0; shard < 3; shard++) {
		ck_assert_uint_eq(layout.shards[shard].count, 1);
		ck_assert(replica(shard, 1)->voter);
	}
	ck_assert_uint_eq(replica(2, 1)->replica, 1);
	ck_assert_uint_eq(layout.shards[2].recovery.index, 50);
	ck_assert_uint_eq(layout.shards[0].recovery.replica, 0);
	ck_assert_uint_eq(layout.shards[3].count, 1);
	ck_assert_ptr_nonnull(replica(3, 3));
	ck_assert_int_eq(meta_layout_node(&layout, 2)->state, CLUSTER_NODE_REMOVED);
	ck_assert_int_eq(meta_layout_node(&layout, 3)->state, CLUSTER_NODE_REMOVED);
	/* Not from what somebody knew before that. */
	request =
	    (struct meta_request){.wanted_count = 2, .recoveries = recoveries, .recovery_count = 2};
	ck_assert_int_eq(done(run(META_RECOVER)), STATUS_ABORTED);
	/* But for the directory's own, whose record is made before the others are asked for. */
	struct meta_recovery own[] = {
	    {.shard = 0, .recovery = {.replica = 1, .term = 1003, .index = 60, .at_ms = 5}},
	    {.shard = 3, .recovery = {.replica = 3, .term = 1001, .index = 9, .at_ms = 5}}};
	request = (struct meta_request){.recoveries = own, .recovery_count = 1};
	ck_assert_int_eq(done(run(META_RECOVER)), STATUS_OK);
	request = (struct meta_request){.recoveries = own, .recovery_count = 2};
	ck_assert_int_eq(done(run(META_RECOVER)), STATUS_OK);
	ck_assert_uint_eq(layout.shards[0].recovery.index, 60);
	ck_assert_uint_eq(layout.shards[0].count, 1);
	ck_assert_uint_eq(layout.shards[3].recovery.index, 9);
	own[0].recovery.term--;
	request = (struct meta_request){.recoveries = own, .recovery_count = 1};
	ck_assert_int_eq(done(run(META_RECOVER)), STATUS_ABORTED);
	request = (struct meta_request){.wanted_count = 2};
	ck_assert_int_eq(done(run(META_RECOVER)), STATUS_FAILED_PRECONDITION);
	wanted[1].node = 9;
	recoveries[0].recovery.term = recoveries[1].recovery.term = 2000;
	request =
	    (struct meta_request){.wanted_count = 2, .recoveries = recoveries, .recovery_count = 2};
	ck_assert_int_eq(done(run(META_RECOVER)), STATUS_NOT_FOUND);
}
END_TEST

/* The replicas on 2 and 3 are damaged, of shard 1 and of the directory. The nodes stay. */
START_TEST(what_is_damaged_is_given_up_with_the_record_of_what_goes_on)
{
	struct meta_recovery recoveries[] = {
	    {.shard = 0,
	        .recovery = {.replica = 1, .term = 1001, .gives_up = true},
	        .given_up_count = 2},
	    {.shard = 1,
	        .recovery = {.replica = 1, .term = 1002, .gives_up = true},
	        .given_up_count = 3}};
	ck_assert_int_eq(join(2), STATUS_OK);
	ck_assert_int_eq(join(3), STATUS_OK);
	ck_assert_int_eq(set_shard(1, 3, NODES_OF(1, 2, 3)), STATUS_OK);
	ck_assert_int_eq(set_shard(2, 2, NODES_OF(2, 3)), STATUS_OK);
	uint64_t second = replica(0, 2)->replica, third = replica(0, 3)->replica;
	recoveries[0].given_up[0] = second;
	recoveries[0].given_up[1] = third;
	for (uint16_t node = 1; node <= 3; node++)
		recoveries[1].given_up[node - 1] = replica(1, node)->replica;
	request = (struct meta_request){.recoveries = recoveries, .recovery_count = 2};
	ck_assert_int_eq(run(META_RECOVER), STATUS_OK);
	ck_assert(says("{\"nodes\":[],\"shards\":2}"));
	done(0);
	/* Whoever was chosen is not given up, whatever is said of it. */
	ck_assert_uint_eq(layout.shards[1].count, 1);
	ck_assert_uint_eq(replica(1, 1)->replica, 1);
	ck_assert(layout.shards[1].recovery.gives_up);
	ck_assert_uint_eq(layout.shards[2].count, 2);
	/* The directory is on every node: there others come at once. */
	ck_assert_uint_eq(layout.shards[0].count, 3);
	ck_assert_uint_gt(replica(0, 2)->replica, second);
	ck_assert_uint_gt(replica(0, 3)->replica, third);
	ck_assert_uint_eq(replica(0, 1)->replica, 1);
	for (uint16_t node = 1; node <= 3; node++)
		ck_assert_int_eq(meta_layout_node(&layout, node)->state, CLUSTER_NODE_MEMBER);
	/* What has come in the place of a damaged one is another one, and stays. */
	second = replica(0, 2)->replica;
	recoveries[0].recovery.term = recoveries[1].recovery.term = 3000;
	request = (struct meta_request){.recoveries = recoveries, .recovery_count = 2};
	ck_assert_int_eq(done(run(META_RECOVER)), STATUS_OK);
	ck_assert_uint_eq(replica(0, 2)->replica, second);
}
END_TEST

static enum status set_jobs(const struct meta_job *jobs, size_t count)
{
	request = (struct meta_request){.jobs = jobs, .job_count = count};
	return done(run(META_JOBS_SET));
}

START_TEST(a_job_is_set_where_nobody_has_changed_it)
{
	static const struct cluster_job none = {.all = 0}, begun = {.began_ms = 5, .all = 7},
	                                over = {.began_ms = 5, .ended_ms = 9, .all = 7};
	struct meta_job jobs[] = {{.node = 0, .to = begun}, {.node = 2, .to = begun},
	    {.node = 3, .to = begun}, {.node = 9, .to = begun}};
	ck_assert_int_eq(join(2), STATUS_OK);
	ck_assert_int_eq(join(3), STATUS_OK);
	ck_assert_int_eq(state(META_NODE_DRAIN, 2, false), STATUS_OK);
	ck_assert_int_eq(set_jobs(jobs, 4), STATUS_OK);
	const struct cluster_node *drained = meta_layout_node(&layout, 2);
	ck_assert(cluster_job_same(&layout.cluster.rebalance, &begun));
	ck_assert(cluster_job_same(&drained->drain, &begun));
	ck_assert(cluster_job_same(&meta_layout_node(&layout, 3)->drain, &none));
	/* Drained already: it is the same drain. So it is where the node is reached elsewhere. */
	ck_assert_int_eq(state(META_NODE_DRAIN, 2, false), STATUS_OK);
	request = (struct meta_request){.node = verbs_node(2)};
	request.node.port = 7480;
	ck_assert_int_eq(done(run(META_NODE_SET)), STATUS_OK);
	ck_assert_uint_eq(drained->port, 7480);
	ck_assert(cluster_job_same(&drained->drain, &begun));
	/* One that somebody has looked at before does not come back. */
	ck_assert_int_eq(state(META_NODE_UNDRAIN, 2, false), STATUS_OK);
	ck_assert(cluster_job_same(&drained->drain, &none));
	ck_assert_int_eq(state(META_NODE_DRAIN, 2, false), STATUS_OK);
	jobs[0] = (struct meta_job){.node = 0, .from = none, .to = over};
	jobs[1] = (struct meta_job){.node = 2, .from = begun, .to = over};
	ck_assert_int_eq(set_jobs(jobs, 2), STATUS_OK);
	ck_assert(cluster_job_same(&layout.cluster.rebalance, &begun));
	ck_assert(cluster_job_same(&drained->drain, &none));
	jobs[1] = (struct meta_job){.node = 2, .from = none, .to = begun};
	ck_assert_int_eq(set_jobs(jobs, 2), STATUS_OK);
	ck_assert(cluster_job_same(&drained->drain, &begun));
	/* Who is no node any more is not drained. */
	ck_assert_int_eq(state(META_NODE_REMOVE, 2, true), STATUS_OK);
	ck_assert(cluster_job_same(&drained->drain, &none));
}
END_TEST

START_TEST(a_node_is_drained_where_there_is_another)
{
	ck_assert_int_eq(state(META_NODE_DRAIN, 1, false), STATUS_FAILED_PRECONDITION);
	ck_assert_int_eq(state(META_NODE_DRAIN, 5, false), STATUS_NOT_FOUND);
	ck_assert_int_eq(join(2), STATUS_OK);
	ck_assert_int_eq(join(3), STATUS_OK);
	ck_assert_int_eq(set_shard(1, 1, NODES_OF(1, 2)), STATUS_OK);
	ck_assert_int_eq(state(META_NODE_DRAIN, 2, false), STATUS_OK);
	ck_assert_int_eq(meta_layout_node(&layout, 2)->state, CLUSTER_NODE_DRAINING);
	/* What is there may stay, and nothing comes. */
	ck_assert_int_eq(set_shard(1, 2, NODES_OF(1, 2)), STATUS_OK);
	ck_assert_int_eq(set_shard(2, 1, NODES_OF(1, 2)), STATUS_FAILED_PRECONDITION);
	ck_assert_int_eq(state(META_NODE_UNDRAIN, 2, false), STATUS_OK);
	ck_assert_int_eq(set_shard(2, 1, NODES_OF(1, 2)), STATUS_OK);
}
END_TEST

/* ---- Shards ---- */

START_TEST(who_stays_keeps_its_number_and_who_comes_again_is_another)
{
	ck_assert_int_eq(join(2), STATUS_OK);
	ck_assert_int_eq(join(3), STATUS_OK);
	ck_assert_int_eq(set_shard(1, 1, NODES_OF(1, 2)), STATUS_OK);
	ck_assert_uint_eq(replica(1, 2)->replica, cluster_replica_number(2, 1));
	ck_assert_int_eq(set_shard(1, 3, NODES_OF(3, 2, 1)), STATUS_OK);
	ck_assert_uint_eq(replica(1, 2)->replica, cluster_replica_number(2, 1));
	ck_assert_uint_eq(replica(1, 3)->replica, cluster_replica_number(3, 2));
	ck_assert_uint_eq(replica(1, 1)->replica, 1);
	ck_assert_int_eq(set_shard(1, 2, NODES_OF(3, 1)), STATUS_OK);
	ck_assert_int_eq(set_shard(1, 2, NODES_OF(3, 2)), STATUS_OK);
	ck_assert_uint_eq(replica(1, 2)->replica, cluster_replica_number(2, 3));
	ck_assert_uint_eq(layout.shards[1].generation, 5);
	/* As it is already. */
	ck_assert_int_eq(set_shard(1, 2, NODES_OF(2, 3)), STATUS_OK);
	ck_assert_uint_eq(layout.shards[1].generation, 5);
}
END_TEST

START_TEST(replicas_that_cannot_be_wanted_are_refused)
{
	uint16_t many[CLUSTER_REPLICAS_MAX + 1] = {0};
	for (unsigned i = 0; i <= CLUSTER_REPLICAS_MAX; i++)
		many[i] = (uint16_t)(i + 1);
	ck_assert_int_eq(join(2), STATUS_OK);
	ck_assert_int_eq(set_shard(4, 1, NODES_OF(1, 2)), STATUS_NOT_FOUND);
	ck_assert_int_eq(set_shard(1, 1, NODES_OF(1, 3)), STATUS_NOT_FOUND);
	ck_assert_int_eq(set_shard(1, 1, 0, many), STATUS_INVALID_ARGUMENT);
	ck_assert_int_eq(set_shard(1, 1, GROUP_REPLICAS_MAX + 1, many), STATUS_INVALID_ARGUMENT);
	ck_assert_int_eq(set_shard(0, 1, CLUSTER_REPLICAS_MAX + 1, many), STATUS_INVALID_ARGUMENT);
	ck_assert_int_eq(set_shard(1, 0, NODES_OF(1, 2)), STATUS_INVALID_ARGUMENT);
	ck_assert_int_eq(set_shard(1, 2, NODES_OF(1, 1)), STATUS_INVALID_ARGUMENT);
	/* The directory's stand everywhere; who votes can be chosen. */
	ck_assert_int_eq(set_shard(0, 1, NODES_OF(1)), STATUS_INVALID_ARGUMENT);
	ck_assert_int_eq(set_shard(0, 1, NODES_OF(2, 1)), STATUS_OK);
	ck_assert(!replica(0, 1)->voter && replica(0, 2)->voter);
	request.expected_generation = 1;
	ck_assert_int_eq(run(META_SHARD_SET), STATUS_ABORTED);
	done(0);
	for (uint64_t i = 3; i <= 6; i++)
		ck_assert_int_eq(join(i), STATUS_OK);
	ck_assert_int_eq(set_shard(0, 6, 6, many), STATUS_INVALID_ARGUMENT);
	ck_assert_int_eq(set_shard(0, 5, 6, many), STATUS_OK);
}
END_TEST

static enum status give_up(uint32_t shard, uint16_t node, uint64_t generation)
{
	request = (struct meta_request){
	    .shard = shard, .expected_generation = generation, .node = {.node = node}};
	return run(META_SHARD_DAMAGED);
}

START_TEST(a_damaged_replica_is_wanted_no_more_unless_it_is_the_only_voter)
{
	ck_assert_int_eq(join(2), STATUS_OK);
	ck_assert_int_eq(join(3), STATUS_OK);
	ck_assert_int_eq(set_shard(1, 2, NODES_OF(1, 2)), STATUS_OK);
	ck_assert_int_eq(set_shard(1, 3, NODES_OF(1, 2, 3)), STATUS_OK);
	ck_assert_int_eq(done(give_up(1, 2, 2)), STATUS_ABORTED);
	ck_assert_int_eq(done(give_up(1, 4, 3)), STATUS_NOT_FOUND);
	ck_assert_int_eq(done(give_up(4, 2, 3)), STATUS_NOT_FOUND);
	uint64_t before = replica(1, 2)->replica;
	ck_assert_int_eq(done(give_up(1, 2, 3)), STATUS_OK);
	ck_assert_uint_eq(layout.shards[1].generation, 4);
	ck_assert_uint_eq(layout.shards[1].count, 2);
	ck_assert_int_eq(done(give_up(1, 3, 4)), STATUS_OK);
	ck_assert_int_eq(done(give_up(1, 1, 5)), STATUS_FAILED_PRECONDITION);
	/* What comes to the same node is another one. */
	ck_assert_int_eq(set_shard(1, 5, NODES_OF(1, 2, 3)), STATUS_OK);
	ck_assert_uint_gt(replica(1, 2)->replica, before);
	/* A learner is missed by nobody. */
	ck_assert_int_eq(set_shard(2, 1, NODES_OF(1, 2)), STATUS_OK);
	ck_assert_int_eq(done(give_up(2, 2, 2)), STATUS_OK);
}
END_TEST

START_TEST(a_damaged_directory_is_another_replica_on_the_same_node)
{
	ck_assert_int_eq(done(give_up(0, 1, 1)), STATUS_FAILED_PRECONDITION);
	ck_assert_int_eq(join(2), STATUS_OK);
	ck_assert_int_eq(join(3), STATUS_OK);
	uint64_t before = replica(0, 1)->replica, generation = layout.shards[0].generation;
	ck_assert_int_eq(done(give_up(0, 1, generation - 1)), STATUS_ABORTED);
	ck_assert_int_eq(done(give_up(0, 4, generation)), STATUS_NOT_FOUND);
	ck_assert_int_eq(done(give_up(0, 1, generation)), STATUS_OK);
	ck_assert_uint_eq(layout.shards[0].count, 3);
	ck_assert_uint_gt(layout.shards[0].generation, generation);
	ck_assert_uint_gt(replica(0, 1)->replica, before);
	ck_assert_uint_eq(cluster_replica_node(replica(0, 1)->replica), 1);
	/* Whether it votes is decided anew. */
	ck_assert(!replica(0, 1)->voter);
	ck_assert(replica(0, 2)->voter && replica(0, 3)->voter);
	/* The same, of one that has no vote yet: its number, too, is used up. */
	before = replica(0, 1)->replica;
	ck_assert_int_eq(done(give_up(0, 1, layout.shards[0].generation)), STATUS_OK);
	ck_assert_uint_gt(replica(0, 1)->replica, before);
	ck_assert_int_eq(done(give_up(0, 2, layout.shards[0].generation)), STATUS_OK);
	ck_assert_int_eq(
	    done(give_up(0, 3, layout.shards[0].generation)), STATUS_FAILED_PRECONDITION);
}
END_TEST

START_TEST(a_replication_factor_is_one_to_seven)
{
	request = (struct meta_request){.replication_factor = 0};
	ck_assert_int_eq(done(run(META_CLUSTER_SET)), STATUS_INVALID_ARGUMENT);
	request.replication_factor = META_FACTOR_MAX + 1;
	ck_assert_int_eq(done(run(META_CLUSTER_SET)), STATUS_INVALID_ARGUMENT);
	request.replication_factor = META_FACTOR_MAX;
	ck_assert_int_eq(run(META_CLUSTER_SET), STATUS_OK);
	ck_assert(says("{\"replication_factor\":7}"));
	done(0);
	ck_assert_uint_eq(layout.cluster.replication_factor, META_FACTOR_MAX);
}
END_TEST

Suite *verbs_suite(void)
{
	Suite *suite = suite_create("verbs");
	TCase *tcase = tcase_create("verbs");
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, each_node_has_the_directory_and_five_vote);
	tcase_add_test(tcase, there_is_room_for_so_many_nodes);
	tcase_add_test(tcase, who_cannot_be_a_node_is_told_why);
	tcase_add_test(tcase, who_was_removed_is_let_in_no_more);
	tcase_add_test(tcase, who_has_an_address_is_asked_for_before_another_one_gets_it);
	tcase_add_test(tcase, of_two_that_move_to_one_address_the_second_is_told_who_has_it);
	tcase_add_test(tcase, a_node_with_replicas_is_removed_by_force_only);
	tcase_add_test(tcase, the_last_voter_of_a_shard_is_not_given_up);
	tcase_add_test(tcase, what_is_left_of_a_shard_is_recorded_and_the_lost_are_removed);
	tcase_add_test(tcase, what_is_damaged_is_given_up_with_the_record_of_what_goes_on);
	tcase_add_test(tcase, a_job_is_set_where_nobody_has_changed_it);
	tcase_add_test(tcase, a_node_is_drained_where_there_is_another);
	tcase_add_test(tcase, who_stays_keeps_its_number_and_who_comes_again_is_another);
	tcase_add_test(tcase, replicas_that_cannot_be_wanted_are_refused);
	tcase_add_test(tcase, a_damaged_replica_is_wanted_no_more_unless_it_is_the_only_voter);
	tcase_add_test(tcase, a_damaged_directory_is_another_replica_on_the_same_node);
	tcase_add_test(tcase, a_replication_factor_is_one_to_seven);
	suite_add_tcase(suite, tcase);
	return suite;
}
