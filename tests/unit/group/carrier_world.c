#include "tests/unit/group/carrier_world.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/io/fs.h"
#include "base/io/io.h"
#include "base/io/sim/sim.h"
#include "replication/carrier.h"
#include "replication/group.h"
#include "replication/peer/peer.h"
#include "replication/raft/raft.h"
#include "replication/snapshot.h"
#include "storage/batch.h"

struct carrier_world world;

static const struct raft_membership members = {
    .count = NODES, .members = {{1, RAFT_VOTER}, {2, RAFT_VOTER}, {3, RAFT_VOTER}}};

uint64_t below(uint64_t limit)
{
	return sim_random_below(world.sim, limit);
}

uint16_t number_of(const struct node *node)
{
	return (uint16_t)(node - world.nodes + 1);
}

/* ---- What a group tells ---- */

static void leading(void *arg, uint64_t term)
{
	struct replica *replica = arg;
	uint64_t number = number_of(replica->node);
	replica->leads = true;
	ck_assert_uint_lt(term, ENTRIES_MAX);
	uint64_t *leader = &world.leaders[replica->shard][term];
	ck_assert(*leader == 0 || *leader == number);
	*leader = number;
	world.leaderships++;
}

static void lost(void *arg)
{
	struct replica *replica = arg;
	ck_assert(replica->leads);
	replica->leads = false;
}

static void applied(void *arg, const struct group_entry *entry)
{
	struct replica *replica = arg;
	ck_assert_uint_lt(entry->at.index, ENTRIES_MAX);
	ck_assert(replica->applied == 0 || entry->at.index == replica->applied + 1);
	replica->applied = entry->at.index;
	uint64_t content = hash_bytes(entry->batch, entry->at.term * 8 + entry->kind) | 1;
	uint64_t *known = &world.content[replica->shard][entry->at.index];
	ck_assert_msg(*known == 0 || *known == content, "seed %llu: two entries at %llu",
	    (unsigned long long)sim_seed(world.sim), (unsigned long long)entry->at.index);
	*known = content;
	if (entry->at.index > world.highest[replica->shard])
		world.highest[replica->shard] = entry->at.index;
}

static void installed(void *arg, struct group_position at)
{
	struct replica *replica = arg;
	ck_assert(!replica->leads && at.index > replica->applied);
	replica->applied = at.index;
	world.installs++;
}

static void nothing(void *arg)
{
	(void)arg;
}

static void has_room(void *arg)
{
	struct replica *replica = arg;
	replica->rooms++;
}

static void round_confirmed(void *arg, uint64_t round)
{
	(void)arg;
	(void)round;
}

static const struct group_events events = {.leading = leading,
    .lost = lost,
    .applied = applied,
    .installed = installed,
    .confirmed = round_confirmed,
    .room = has_room,
    .closed = nothing};

/* ---- Links ---- */

static struct node *node_of(struct peer *peer)
{
	return peer_arg(peer);
}

static void up(void *arg, struct peer *peer, const struct peer_identity *them)
{
	struct node *node = arg;
	carrier_link_up(node->carrier, number_of(node_of(peer)), them->core);
}

static void down(void *arg, struct peer *peer, int error)
{
	struct node *node = arg;
	(void)error;
	carrier_link_down(node->carrier, number_of(node_of(peer)), 0);
}

static void message(
    void *arg, struct peer *peer, enum peer_class class, uint8_t kind, struct slice bytes)
{
	struct node *node = arg;
	if (world.arrives)
		world.arrives(node, number_of(node_of(peer)), class, kind, bytes);
	ck_assert_int_eq(
	    carrier_receive(node->carrier, number_of(node_of(peer)), 0, kind, bytes), 0);
}

static void room(void *arg, struct peer *peer, enum peer_class class)
{
	struct node *node = arg;
	if (class == PEER_BULK)
		carrier_room(node->carrier, number_of(node_of(peer)));
}

static int entropy(void *arg, uint8_t *to, size_t bytes)
{
	(void)arg;
	for (size_t i = 0; i < bytes; i++)
		to[i] = (uint8_t)below(256);
	return 0;
}

static struct peer_identity identity(const struct node *node)
{
	return (struct peer_identity){
	    .cluster = {1}, .node = number_of(node), .incarnation = 1, .cores = 1, .stores = 1};
}

static void open_peers(struct node *node)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	struct peers_options options = {.self = identity(node),
	    .secret = slice_from_text("0123456789abcdef"),
	    .callbacks = {.up = up, .down = down, .message = message, .room = room, .arg = node},
	    .entropy = entropy,
	    .ping_ms = 300,
	    .dead_ms = 1500};
	ck_assert_int_eq(peers_new(node->io, &options, &node->peers), 0);
	ck_assert_int_eq(
	    peers_listen(node->peers, (struct sockaddr *)&address, sizeof(address)), 0);
	struct carrier_options carrier = {.io = node->io,
	    .peers = node->peers,
	    .stores = &node->store,
	    .store_count = 1,
	    .shard_max = SHARDS};
	ck_assert_int_eq(carrier_new(&carrier, &node->carrier), 0);
	struct snapshots_options snapshots = {.io = node->io,
	    .seed = below(UINT64_MAX),
	    .patience_ms = 3000,
	    .transport = {.send = carrier_send_snapshot, .arg = node->carrier}};
	ck_assert_int_eq(snapshots_new(&snapshots, &node->snapshots), 0);
	carrier_set_snapshots(node->carrier, node->snapshots);
	for (int i = 0; i < NODES; i++) {
		struct node *other = &world.nodes[i];
		struct peer_identity them = identity(other);
		struct peer *peer;
		if (other == node)
			continue;
		address.sin_addr.s_addr = htonl(sim_node_address(other->machine));
		ck_assert_int_eq(peer_add(node->peers, &them, (struct sockaddr *)&address,
		                     sizeof(address), other, &peer),
		    0);
		ck_assert_int_eq(carrier_set_node(node->carrier, number_of(other), 1, 1), 0);
	}
}

/* ---- Processes ---- */

static void carry(void *arg, uint32_t shard, const struct raft_message *one)
{
	struct node *node = arg;
	carrier_send(node->carrier, shard, one);
}

static void turn(void *arg)
{
	struct node *node = arg;
	io_run(node->io);
	if (!node->store)
		return;
	if (group_store_turn(node->store))
		io_wake(node->io, NULL);
	carrier_turn(node->carrier);
	peers_turn(node->peers);
	node->figures = carrier_figures(node->carrier);
}

static void open_groups(struct node *node)
{
	for (uint32_t shard = 1; shard <= SHARDS; shard++) {
		struct replica *replica = &node->replicas[shard];
		*replica = (struct replica){.node = node, .shard = shard};
		ck_assert_int_eq(
		    group_add(node->store, shard, &events, replica, &replica->group), 0);
		group_set_members(replica->group, number_of(node), &members);
		group_start(replica->group);
	}
}

static struct group_carrier group_carriers[NODES];

static void open_in_process(void *arg)
{
	struct node *node = arg;
	char why[512];
	struct group_carrier *group_carrier = &group_carriers[node - world.nodes];
	*group_carrier = (struct group_carrier){.send = carry, .arg = node};
	open_peers(node);
	struct group_store_options options = {.carrier = group_carrier,
	    .leases = world.leases,
	    .node = world.numbered ? number_of(node) : 0,
	    .snapshots = node->snapshots,
	    .group_unapplied_bytes_max = world.group_unapplied_bytes_max,
	    .unapplied_bytes_max = world.unapplied_bytes_max,
	    .engine = {.fs = sim_node_fs(node->machine),
	        .io = node->io,
	        .root = "/",
	        .dir = "stores/000",
	        .store_id = 7,
	        .hash_seed = number_of(node),
	        .segment_bytes = 256 * 1024,
	        .first_segment_bytes = 128 * 1024,
	        .frame_bytes_max = 128 * 1024,
	        .reserve_bytes_max = 64 * 1024,
	        /* What a checkpoint holds others may need a snapshot of. */
	        .idle_ms = 50}};
	struct engine_report report;
	int error = group_store_open(&options, why, sizeof(why), &node->store, &report);
	ck_assert_msg(!error, "%s", why);
	open_groups(node);
	io_wake(node->io, NULL);
}

void boot(struct node *node)
{
	struct sim_node *machine = node->machine;
	*node = (struct node){.machine = machine};
	node->io = sim_node_boot(machine);
	sim_node_set_turn(machine, turn, node);
	ck_assert(sim_node_run(machine, open_in_process, node));
}

static void propose(struct replica *replica)
{
	uint8_t span[600], key[2] = {KEY_KIND_FIRST_FREE, (uint8_t)below(5)};
	uint64_t value[40] = {++world.value};
	struct writer out = writer_of(span, sizeof(span));
	struct group_position at;
	batch_begin(&out);
	batch_put(&out, slice_of(key, sizeof(key)), slice_of(value, sizeof(value)));
	struct slice batch = writer_view(&out);
	if (!group_leads(replica->group) || group_reserve(replica->group, batch.bytes, 1, false))
		return;
	group_unreserve(replica->group, batch.bytes, 1);
	group_propose(replica->group, batch, &at);
}

void act_in_process(void *arg)
{
	struct node *node = arg;
	if (!node->store)
		return;
	for (uint32_t shard = 1; shard <= SHARDS; shard++)
		propose(&node->replicas[shard]);
	io_wake(node->io, NULL);
}

/* ---- Time, and what happens in it ---- */

void pass(uint64_t ns)
{
	ck_assert(sim_pass(world.sim, ns, STEPS_MAX));
}

void crash(struct node *node)
{
	if (!sim_node_is_running(node->machine))
		return;
	sim_node_crash(node->machine, below(2) ? SIM_POWER_CUT : SIM_KILL);
	node->store = NULL;
	world.crashes++;
}

void cut(const struct node *from, const struct node *to, bool is_cut)
{
	sim_net_cut(from->machine, to->machine, is_cut);
}

void disturb(void)
{
	uint64_t a = below(NODES), b = (a + 1 + below(NODES - 1)) % NODES;
	struct node *first = &world.nodes[a], *second = &world.nodes[b];
	switch (below(9)) {
	case 0:
		crash(first);
		break;
	case 1:
		cut(first, second, true);
		break;
	case 2:
		cut(first, second, true);
		cut(second, first, true);
		break;
	case 3:
		sim_net_reset(first->machine, second->machine);
		break;
	case 4:
		sim_net_silence(first->machine, second->machine);
		break;
	default:
		cut(first, second, false);
		cut(second, first, false);
		if (!sim_node_is_running(first->machine))
			boot(first);
	}
}

void work(void)
{
	struct node *node = &world.nodes[below(NODES)];
	if (sim_node_is_running(node->machine))
		(void)sim_node_run(node->machine, act_in_process, node);
	pass(below(150) * NS_PER_MS);
}

void heal(void)
{
	for (int i = 0; i < NODES; i++)
		for (int other = 0; other < NODES; other++)
			if (other != i)
				cut(&world.nodes[i], &world.nodes[other], false);
	for (int i = 0; i < NODES; i++)
		if (!sim_node_is_running(world.nodes[i].machine))
			boot(&world.nodes[i]);
}

void work_disturbed(void)
{
	for (int i = 0; i < 250; i++) {
		work();
		if (below(5) == 0)
			disturb();
	}
	heal();
}

bool all_have_all(void)
{
	for (uint32_t shard = 1; shard <= SHARDS; shard++)
		for (unsigned i = 0; i < NODES; i++)
			if (world.highest[shard] == 0 ||
			    group_applied(world.nodes[i].replicas[shard].group).index !=
			        world.highest[shard])
				return false;
	return true;
}

void begin_world(uint64_t seed)
{
	struct sim_faults faults = {0};
	struct carrier_world before = world;
	memset(&world, 0, sizeof(world));
	world.leases = before.leases;
	world.group_unapplied_bytes_max = before.group_unapplied_bytes_max;
	world.unapplied_bytes_max = before.unapplied_bytes_max;
	world.sim = sim_new(seed, &faults);
	for (unsigned i = 0; i < NODES; i++) {
		struct node *node = &world.nodes[i];
		node->machine = sim_node_new(world.sim);
		ck_assert_int_eq(fs_make_dir(sim_node_fs(node->machine), "stores"), 0);
		ck_assert_int_eq(fs_sync_dir(sim_node_fs(node->machine), "."), 0);
	}
	for (unsigned i = 0; i < NODES; i++)
		boot(&world.nodes[i]);
}
