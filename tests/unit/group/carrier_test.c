/* Groups of three replicas on three simulated machines, over links and carriers: what one has
 * applied at an index of a group, everyone who gets there applies; a term of a group has one
 * leader; when cuts, resets and crashes are over, all get the same, and who has slept wakes. */
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
#include "tests/unit/group/suites.h"

enum { NODES = 3, SHARDS = 5, PORT = 7000, ENTRIES_MAX = 2048, STEPS_MAX = 4000000 };

struct replica {
	struct node *node;
	struct group *group;
	uint32_t shard;
	uint64_t applied;
	bool leads;
};

struct node {
	struct sim_node *machine;
	struct io *io;
	struct peers *peers;
	struct carrier *carrier;
	struct snapshots *snapshots;
	struct group_store *store;
	struct replica replicas[SHARDS + 1];
	struct carrier_figures figures;
};

static struct {
	struct sim *sim;
	struct node nodes[NODES];
	uint64_t content[SHARDS + 1][ENTRIES_MAX];
	uint64_t leaders[SHARDS + 1][ENTRIES_MAX];
	uint64_t highest[SHARDS + 1];
	uint64_t leaderships, crashes, installs, value;
	uint64_t until_ns;
	bool leases;
	bool numbered; /* stores know which node they are on */
} world;

static const struct raft_membership members = {
    .count = NODES, .members = {{1, RAFT_VOTER}, {2, RAFT_VOTER}, {3, RAFT_VOTER}}};

static uint64_t below(uint64_t limit)
{
	return sim_random_below(world.sim, limit);
}

static uint16_t number_of(const struct node *node)
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
    .room = nothing,
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
	(void)class;
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

static void boot(struct node *node)
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

static void act_in_process(void *arg)
{
	struct node *node = arg;
	if (!node->store)
		return;
	for (uint32_t shard = 1; shard <= SHARDS; shard++)
		propose(&node->replicas[shard]);
	io_wake(node->io, NULL);
}

/* ---- Time, and what happens in it ---- */

static bool time_has_come(void *arg)
{
	(void)arg;
	return sim_now_ns(world.sim) >= world.until_ns;
}

static void pass(uint64_t ns)
{
	world.until_ns = sim_now_ns(world.sim) + ns;
	sim_call_at(world.sim, world.until_ns, nothing, NULL);
	ck_assert(sim_run_until(world.sim, time_has_come, NULL, STEPS_MAX));
}

static void crash(struct node *node)
{
	if (!sim_node_is_running(node->machine))
		return;
	sim_node_crash(node->machine, below(2) ? SIM_POWER_CUT : SIM_KILL);
	node->store = NULL;
	world.crashes++;
}

static void cut(const struct node *from, const struct node *to, bool is_cut)
{
	sim_net_cut(from->machine, to->machine, is_cut);
}

static void disturb(void)
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

static void work(void)
{
	struct node *node = &world.nodes[below(NODES)];
	if (sim_node_is_running(node->machine))
		(void)sim_node_run(node->machine, act_in_process, node);
	pass(below(150) * NS_PER_MS);
}

static void heal(void)
{
	for (int i = 0; i < NODES; i++)
		for (int other = 0; other < NODES; other++)
			if (other != i)
				cut(&world.nodes[i], &world.nodes[other], false);
	for (int i = 0; i < NODES; i++)
		if (!sim_node_is_running(world.nodes[i].machine))
			boot(&world.nodes[i]);
}

static bool all_have_all(void)
{
	for (uint32_t shard = 1; shard <= SHARDS; shard++)
		for (unsigned i = 0; i < NODES; i++)
			if (world.highest[shard] == 0 ||
			    group_applied(world.nodes[i].replicas[shard].group).index !=
			        world.highest[shard])
				return false;
	return true;
}

static void begin_world(uint64_t seed)
{
	struct sim_faults faults = {0};
	bool leases = world.leases;
	memset(&world, 0, sizeof(world));
	world.leases = leases;
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

START_TEST(groups_agree_over_links)
{
	begin_world((uint64_t)_i + 1);
	for (int i = 0; i < 250; i++) {
		work();
		if (below(5) == 0)
			disturb();
	}
	heal();
	pass(15 * NS_PER_S);
	ck_assert_msg(all_have_all(), "seed %d", _i + 1);
	/* Nothing is said by those who sleep. */
	uint64_t said = world.nodes[0].figures.messages_sent + world.nodes[1].figures.messages_sent;
	pass(5 * NS_PER_S);
	ck_assert_uint_eq(
	    world.nodes[0].figures.messages_sent + world.nodes[1].figures.messages_sent, said);
	/* A leader that is gone is missed by those who sleep. */
	uint64_t leaderships = world.leaderships;
	for (int i = 0; i < NODES && world.leaderships == leaderships; i++) {
		crash(&world.nodes[i]);
		pass(10 * NS_PER_S);
		boot(&world.nodes[i]);
		pass(10 * NS_PER_S);
	}
	ck_assert_uint_gt(world.leaderships, leaderships);
	ck_assert(all_have_all());
	printf("seed %d: %llu leaderships, %llu crashes, %llu snapshots, %llu entries\n", _i + 1,
	    (unsigned long long)world.leaderships, (unsigned long long)world.crashes,
	    (unsigned long long)world.installs, (unsigned long long)world.value);
	sim_free(world.sim);
}
END_TEST

static bool is_closed;

static void closed(void *arg)
{
	(void)arg;
	is_closed = true;
}

static void close_in_process(void *arg)
{
	struct node *node = arg;
	group_store_close(node->store, closed, node);
	io_wake(node->io, NULL);
}

/* Whoever stops still hears from the others, and its timers ring. */
START_TEST(a_store_that_closes_takes_nothing_more)
{
	struct node *node = &world.nodes[_i];
	begin_world((uint64_t)_i + 50);
	for (int i = 0; i < 30; i++)
		work();
	is_closed = false;
	ck_assert(sim_node_run(node->machine, close_in_process, node));
	for (int i = 0; i < 60; i++)
		work();
	ck_assert(is_closed);
	/* The others have gone on without it. */
	uint64_t highest = world.highest[1];
	for (int i = 0; i < 30; i++)
		work();
	ck_assert_uint_gt(world.highest[1], highest);
	sim_free(world.sim);
}
END_TEST

static uint64_t asked, confirmed_then;

static void confirm_in_process(void *arg)
{
	struct replica *replica = arg;
	ck_assert(group_leads(replica->group));
	asked = group_confirm(replica->group);
	confirmed_then = group_confirmed(replica->group);
	io_wake(replica->node->io, NULL);
}

static struct replica *leader_of(uint32_t shard)
{
	for (int i = 0; i < NODES; i++)
		if (world.nodes[i].replicas[shard].leads)
			return &world.nodes[i].replicas[shard];
	ck_abort_msg("nobody leads");
}

/* The leader is asked right after a round, and when it has been cut off for a while. */
static void ask_leader(bool leases)
{
	world.leases = leases;
	begin_world(90);
	pass(15 * NS_PER_S);
	/* Who sleeps has no lease. */
	for (int i = 0; i < 20; i++)
		work();
	struct replica *leader = leader_of(1);
	ck_assert(sim_node_run(leader->node->machine, act_in_process, leader->node));
	pass(100 * NS_PER_MS);
	ck_assert(sim_node_run(leader->node->machine, confirm_in_process, leader));
	ck_assert((asked <= confirmed_then) == leases);
	for (int i = 0; i < NODES; i++)
		if (&world.nodes[i] != leader->node)
			cut(&world.nodes[i], leader->node, true);
	pass(950 * NS_PER_MS);
	if (!leader->leads)
		return;
	ck_assert(sim_node_run(leader->node->machine, confirm_in_process, leader));
	ck_assert_uint_gt(asked, confirmed_then);
}

START_TEST(a_lease_saves_a_round_and_ends)
{
	ask_leader(true);
	sim_free(world.sim);
	ask_leader(false);
	sim_free(world.sim);
}
END_TEST

static void transfer_in_process(void *arg)
{
	struct replica *replica = arg;
	uint8_t span[64];
	struct writer out = writer_of(span, sizeof(span));
	struct group_position at;
	uint64_t to = group_self(replica->group) % NODES + 1;
	batch_begin(&out);
	batch_put(&out, slice_of("k", 1), slice_of("v", 1));
	struct slice batch = writer_view(&out);
	ck_assert_int_eq(group_reserve(replica->group, batch.bytes, 1, false), 0);
	ck_assert_int_eq(group_transfer(replica->group, to), 0);
	ck_assert_int_eq(group_reserve(replica->group, batch.bytes, 1, false), ERR_AGAIN);
	group_unreserve(replica->group, batch.bytes, 1);
	group_propose(replica->group, batch, &at);
	io_wake(replica->node->io, NULL);
}

START_TEST(what_has_room_is_proposed_though_another_is_to_lead)
{
	begin_world((uint64_t)_i + 120);
	pass(15 * NS_PER_S);
	struct replica *old = leader_of(1);
	uint64_t highest = world.highest[1];
	ck_assert(sim_node_run(old->node->machine, transfer_in_process, old));
	pass(15 * NS_PER_S);
	ck_assert(leader_of(1) != old);
	ck_assert_uint_gt(world.highest[1], highest);
	ck_assert(all_have_all());
	sim_free(world.sim);
}
END_TEST

/* ---- A majority is lost for good ---- */

static struct group_position recovered_at;
static int recovered;

static void recover_in_process(void *arg)
{
	struct replica *replica = arg;
	recovered = group_recover(replica->group, 500, &recovered_at);
	io_wake(replica->node->io, NULL);
}

/* Alone it goes on with all that it had, over a crash at any moment too, and only once. */
START_TEST(who_is_left_goes_on_alone)
{
	begin_world((uint64_t)_i + 160);
	pass(15 * NS_PER_S);
	for (int i = 0; i < 40; i++)
		work();
	/* Replica 1 would be taken for the one that a cluster begins with, alone. */
	struct node *left = &world.nodes[1 + below(NODES - 1)];
	world.numbered = true;
	struct replica *replica = &left->replicas[1];
	for (int i = 0; i < NODES; i++)
		if (&world.nodes[i] != left)
			crash(&world.nodes[i]);
	pass(5 * NS_PER_S);
	ck_assert(!replica->leads);
	uint64_t had = group_last(replica->group).index;
	ck_assert(sim_node_run(left->machine, recover_in_process, replica));
	ck_assert_int_eq(recovered, 0);
	ck_assert_uint_eq(recovered_at.index, had + 1);
	pass(below(3) * NS_PER_MS);
	crash(left);
	boot(left);
	pass(5 * NS_PER_S);
	ck_assert(sim_node_run(left->machine, recover_in_process, replica));
	ck_assert(recovered == 0 || recovered == ERR_EXISTS);
	pass(5 * NS_PER_S);
	ck_assert(replica->leads);
	ck_assert_uint_ge(replica->applied, had + 1);
	struct raft_membership now;
	group_get_members(replica->group, &now);
	ck_assert_uint_eq(now.count, 1);
	uint64_t applied_before = replica->applied;
	ck_assert(sim_node_run(left->machine, act_in_process, left));
	pass(NS_PER_S);
	ck_assert_uint_eq(replica->applied, applied_before + 1);
	ck_assert(sim_node_run(left->machine, recover_in_process, replica));
	ck_assert_int_eq(recovered, ERR_EXISTS);
	ck_assert(!left->replicas[2].leads);
	sim_free(world.sim);
}
END_TEST

Suite *carrier_suite(void)
{
	Suite *suite = suite_create("carrier");
	TCase *cases = tcase_create("carrier");
	tcase_set_timeout(cases, 60);
	tcase_add_loop_test(cases, groups_agree_over_links, 0, 10);
	tcase_add_test(cases, a_lease_saves_a_round_and_ends);
	tcase_add_loop_test(cases, what_has_room_is_proposed_though_another_is_to_lead, 0, 5);
	tcase_add_loop_test(cases, who_is_left_goes_on_alone, 0, 12);
	tcase_add_loop_test(cases, a_store_that_closes_takes_nothing_more, 0, NODES);
	suite_add_tcase(suite, cases);
	return suite;
}
