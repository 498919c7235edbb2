/* The nodes: see world.h. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/io/fs.h"
#include "base/io/io.h"
#include "replication/group.h"
#include "replication/snapshot.h"
#include "scripting/host.h"
#include "server/forward.h"
#include "server/meta/cluster_map.h"
#include "storage/sim/store_sim.h"
#include "tests/unit/outcome/world_parts.h"
#include "tests/unit/run.h"

enum { STEPS_MAX = 4000000 };
#define BUNDLE "fake:shop:1"

struct world world;

static const struct raft_membership members = {
    .count = NODES, .members = {{2, RAFT_VOTER}, {3, RAFT_VOTER}, {4, RAFT_VOTER}}};
static const struct shard_map map = {.shard_count = 1, .store_count = 1, .core_count = 1};

/* ---- Calls between nodes, as server/cluster_calls.c has them ---- */

static int core_of(void *arg, uint16_t node, uint32_t shard, uint16_t *ret_core)
{
	(void)arg;
	(void)node;
	(void)shard;
	*ret_core = 0;
	return 0;
}

static void answered(void *arg, struct shard_call *call)
{
	shards_answered(((struct node *)arg)->shards, call);
}

static void local(void *arg, struct shard_call *call)
{
	shards_returned(((struct node *)arg)->shards, call);
}

static void submit(void *arg, struct shard_call *call)
{
	shards_submit(((struct node *)arg)->shards, call);
}

static void no_directory(void *arg, struct meta_request *request)
{
	(void)arg;
	(void)request;
	ck_abort_msg("nobody asks the directory here");
}

static bool reads(void *arg, const struct shard_call *call)
{
	return shards_reads(((struct node *)arg)->shards, call);
}

static void news(void *arg, uint32_t shard)
{
	shards_leader_known(((struct node *)arg)->shards, shard);
}

static bool elsewhere(void *arg, struct shard_call *call, uint32_t shard)
{
	struct node *node = arg;
	uint16_t leader = cluster_leader(node->leaders, shard);
	if (leader == 0 || leader == number_of(node))
		return false;
	call->route = 1;
	forward_call(node->forward, call, shard);
	return true;
}

static bool others(void *arg, uint32_t shard)
{
	(void)arg;
	(void)shard;
	return true;
}

static void leads(void *arg, uint32_t shard, uint64_t term)
{
	struct node *node = arg;
	node->serves = true;
	cluster_leaders_note(node->leaders, shard, term, number_of(node));
	forward_leads(node->forward, shard, term);
}

static void follows(void *arg, uint32_t shard)
{
	struct node *node = arg;
	node->serves = false;
	forward_follows(node->forward, shard);
}

/* ---- Processes ---- */

static void turn(void *arg)
{
	struct node *node = arg;
	if (!node->io)
		return;
	io_run(node->io);
	if (!is_up(node))
		return;
	bool more = forward_turn(node->forward);
	more |= shards_turn(node->shards);
	more |= group_store_turn(node->store);
	more |= forward_turn(node->forward);
	more |= shards_run_long(node->shards);
	if (more)
		io_wake(node->io, NULL);
}

static void open_store(struct node *node)
{
	static struct group_carrier carriers[NODES];
	char why[512];
	struct snapshots_options snapshots = {.io = node->io,
	    .seed = sim_random(world.sim),
	    .transport = {.send = network_send_snapshot, .arg = node}};
	ck_assert_int_eq(snapshots_new(&snapshots, &node->snapshots), 0);
	struct group_carrier *carrier = &carriers[index_of(node)];
	*carrier = (struct group_carrier){.send = network_send_raft, .arg = node};
	struct group_store_options options = {.carrier = carrier,
	    .snapshots = node->snapshots,
	    .node = number_of(node),
	    /* So little that a replica which was away for a while gets a snapshot. */
	    .kept_bytes_max = 1024,
	    .group_unapplied_bytes_max = world.group_unapplied_bytes_max,
	    .engine = {.fs = sim_node_fs(node->machine),
	        .io = node->io,
	        .root = "/",
	        .dir = "stores/000",
	        .store_id = 7,
	        .hash_seed = 1,
	        .segment_bytes = 512 * 1024,
	        .first_segment_bytes = 256 * 1024,
	        .frame_bytes_max = 256 * 1024,
	        .reserve_bytes_max = 64 * 1024,
	        .keep_bytes = 1}};
	struct engine_report report;
	int error = group_store_open(&options, why, sizeof(why), &node->store, &report);
	ck_assert_msg(!error, "%s", why);
}

static void open_forward(struct node *node)
{
	node->leaders = cluster_leaders_new(map.shard_count);
	ck_assert_ptr_nonnull(node->leaders);
	struct forward_options options = {.io = node->io,
	    .node = number_of(node),
	    .shard_count = map.shard_count,
	    .seed = 5,
	    .leaders = node->leaders,
	    .waiting_bytes_max = world.waiting_bytes_max,
	    .callbacks = {.send = network_send_call,
	        .core_of = core_of,
	        .answered = answered,
	        .local = local,
	        .directory_answered = no_directory,
	        .directory_local = no_directory,
	        .submit = submit,
	        .directory = no_directory,
	        .reads = reads,
	        .news = news,
	        .arg = node}};
	ck_assert_int_eq(forward_new(&options, &node->forward), 0);
}

static uint64_t no_replica(void *arg, uint32_t shard)
{
	(void)arg;
	(void)shard;
	return 0;
}

static void open_in_process(void *arg)
{
	struct node *node = arg;
	struct host_options host = {.mode = HOST_DEV};
	open_store(node);
	open_forward(node);
	ck_assert_int_eq(host_new(&host, &node->host), 0);
	struct shards_options options = {.io = node->io,
	    .host = node->host,
	    .map = map,
	    .stores = &node->store,
	    .replica = no_replica,
	    .seed = 11,
	    .queue_bytes_max = world.queue_bytes_max,
	    .elsewhere = elsewhere,
	    .others = others,
	    .leads = leads,
	    .follows = follows,
	    .arg = node};
	struct shards *shards;
	ck_assert_int_eq(shards_new(&options, &shards), 0);
	shards_start(shards);
	ck_assert_int_eq(shards_add(shards, SHARD, number_of(node), &members), 0);
	node->shards = shards;
	io_wake(node->io, NULL);
}

void world_do(unsigned node, void (*run)(void *arg), void *arg)
{
	ck_assert(sim_node_run(world.nodes[node].machine, run, arg));
}

void world_boot(unsigned number)
{
	struct node *node = &world.nodes[number];
	struct store_sim_faults faults = {.cold_percent = world.cold_percent};
	store_sim_set_faults(sim_node_fs(node->machine), &faults);
	node->io = sim_node_boot(node->machine);
	sim_node_set_turn(node->machine, turn, node);
	world_do(number, open_in_process, node);
	world_link_all_of(number, true);
	world_provide(number);
}

void world_crash(unsigned number)
{
	struct node *node = &world.nodes[number];
	node->shards = NULL;
	for (unsigned i = 0; i < NODES; i++)
		if (i != number)
			world_link(number, i, false);
	*node = (struct node){.machine = node->machine};
	sim_node_crash(node->machine, SIM_POWER_CUT);
}

void world_until(bool (*until)(void *arg), void *arg)
{
	ck_assert(sim_run_until(world.sim, until, arg, STEPS_MAX));
}

void world_pass(uint64_t ms)
{
	ck_assert(sim_pass(world.sim, ms * NS_PER_MS, STEPS_MAX));
}

static void checkpoint_in_process(void *arg)
{
	const struct node *node = arg;
	engine_checkpoint(group_store_engine(node->store));
	io_wake(node->io, NULL);
}

struct checkpointing {
	struct node *node;
	uint64_t before;
};

static bool is_checkpointed(void *arg)
{
	const struct checkpointing *at = arg;
	struct engine_figures figures = engine_figures(group_store_engine(at->node->store));
	return figures.checkpoints > at->before && figures.table.frozen_bytes == 0;
}

void world_checkpoint(unsigned number)
{
	struct node *node = &world.nodes[number];
	struct checkpointing at = {
	    node, engine_figures(group_store_engine(node->store)).checkpoints};
	world_do(number, checkpoint_in_process, node);
	world_until(is_checkpointed, &at);
}

/* ---- Who leads ---- */

static const struct group *group_of(unsigned node)
{
	return is_up(&world.nodes[node]) ? group_store_group(world.nodes[node].store, SHARD) : NULL;
}

bool world_leads(unsigned node)
{
	const struct group *group = group_of(node);
	return group && group_leads(group);
}

unsigned world_leader(void)
{
	unsigned leader = NOBODY;
	for (unsigned i = 0; i < NODES; i++)
		if (world_leads(i) &&
		    (leader == NOBODY || group_term(group_of(i)) > group_term(group_of(leader))))
			leader = i;
	return leader;
}

static bool is_led(void *arg)
{
	(void)arg;
	return world_leader() != NOBODY;
}

static void transfer_in_process(void *arg)
{
	struct node *node = &world.nodes[world_leader()];
	/* Where it is refused it is asked for again. */
	int refused = group_transfer(group_store_group(node->store, SHARD), number_of(arg));
	(void)refused;
	io_wake(node->io, NULL);
}

static bool serves(unsigned node)
{
	return world_leader() == node && world.nodes[node].serves;
}

/* All that are linked with it do. */
static bool all_know(unsigned leader)
{
	for (unsigned i = 0; i < NODES; i++)
		if (i != leader && world.linked[leader][i] &&
		    cluster_leader(world.nodes[i].leaders, SHARD) != leader + REPLICA_FIRST)
			return false;
	return true;
}

void world_lead(unsigned node)
{
	enum { ROUNDS_MAX = 100 };
	world_until(is_led, NULL);
	for (unsigned i = 0; i < ROUNDS_MAX && !(serves(node) && all_know(node)); i++) {
		unsigned leader = world_leader();
		if (leader != NOBODY && leader != node)
			world_do(leader, transfer_in_process, &world.nodes[node]);
		world_pass(100);
	}
	ck_assert(serves(node) && all_know(node));
}

static bool is_led_by_another(void *arg)
{
	unsigned leader = world_leader();
	return leader != NOBODY && leader != *(unsigned *)arg;
}

void world_until_led_by_another(unsigned node)
{
	world_until(is_led_by_another, &node);
}

static bool is_lost(void *arg)
{
	return !world_leads(*(unsigned *)arg);
}

void world_until_lost(unsigned node)
{
	world_until(is_lost, &node);
}

static bool is_level(void *arg)
{
	uint64_t first = 0;
	(void)arg;
	for (unsigned i = 0; i < NODES; i++) {
		const struct group *group = group_of(i);
		if (!group)
			continue;
		uint64_t applied = group_applied(group).index;
		if (first != 0 && applied != first)
			return false;
		first = applied;
	}
	return true;
}

void world_until_level(void)
{
	world_until(is_level, NULL);
}

/* ---- The app ---- */

static void provide_in_process(void *arg)
{
	const struct node *node = arg;
	struct host_bundle *bundle;
	ck_assert_int_eq(host_load(node->host, slice_from_text(BUNDLE), NULL, &bundle), 0);
	shards_provide(node->shards, bundle);
	io_wake(node->io, NULL);
}

void world_provide(unsigned node)
{
	world_do(node, provide_in_process, &world.nodes[node]);
}

struct activating {
	struct shards_activation activation;
	struct node *node;
	bool done;
};

static void activated(struct shards_activation *activation)
{
	CONTAINER_OF(activation, struct activating, activation)->done = true;
}

static void activate_in_process(void *arg)
{
	struct activating *activating = arg;
	shards_activate(activating->node->shards, &activating->activation);
	io_wake(activating->node->io, NULL);
}

static bool is_activated(void *arg)
{
	return ((struct activating *)arg)->done;
}

static void activate(unsigned node)
{
	struct activating activating = {.node = &world.nodes[node],
	    .activation = {.app = slice_from_text("shop"),
	        .directory_index = 5,
	        .led_only = true,
	        .done = activated}};
	host_bundle_hash(slice_from_text(BUNDLE), activating.activation.hash);
	world_do(node, activate_in_process, &activating);
	world_until(is_activated, &activating);
	ck_assert_int_eq(activating.activation.status, STATUS_OK);
}

void world_set_up(void)
{
	memset(&world, 0, sizeof(world));
	world.sim = sim_new(1, NULL);
	for (unsigned i = 0; i < NODES; i++) {
		struct node *node = &world.nodes[i];
		node->machine = sim_node_new(world.sim);
		ck_assert_int_eq(fs_make_dir(sim_node_fs(node->machine), "stores"), 0);
		ck_assert_int_eq(fs_sync_dir(sim_node_fs(node->machine), "."), 0);
	}
	network_begin();
	for (unsigned i = 0; i < NODES; i++)
		world_boot(i);
	world_lead(0);
	activate(0);
	world_until_level();
}

void world_tear_down(void)
{
	sim_free(world.sim);
	network_end();
}
