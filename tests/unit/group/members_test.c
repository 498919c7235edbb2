/* Three replicas of one group on three simulated machines, with a network that loses, doubles and
 * reorders, and machines whose power is cut: what one has applied at an index, everyone who gets
 * there applies; a term has one leader; in the end all have the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/io/fs.h"
#include "base/io/io.h"
#include "base/io/sim/sim.h"
#include "replication/group.h"
#include "replication/snapshot.h"
#include "replication/raft/wire.h"
#include "storage/batch.h"
#include "tests/unit/group/suites.h"

/* A group that nobody said anything else of begins with replica 1. */
enum {
	NODES = 3,
	FIRST = 2,
	PACKETS_MAX = 256,
	ENTRIES_MAX = 4096,
	QUESTIONS_MAX = 64,
	PACKET_BYTES_MAX = 200000
};

/* What was applied anywhere when it was asked. */
struct question {
	uint64_t number, highest, at_ns;
};

struct node {
	struct sim_node *machine;
	struct io *io;
	struct group_store *store;
	struct group *group;
	struct snapshots *snapshots;
	uint64_t applied; /* by this process */
	bool up, leads;
	uint64_t leads_ns;     /* since when, or did last */
	uint64_t cut_until_ns; /* nothing goes to it or comes from it */
	struct question questions[QUESTIONS_MAX];
	unsigned question_count;
};

struct packet {
	unsigned to;
	bool is_snapshot;
	uint16_t from; /* its node's number */
	uint64_t at_ns;
	size_t bytes;
	uint8_t *data;
};

/* Outside of every process: what an observer of all knows. */
static struct {
	struct sim *sim;
	struct node nodes[NODES];
	struct packet packets[PACKETS_MAX];
	unsigned packet_count;
	uint64_t content[ENTRIES_MAX];  /* of the entry applied at an index, 0: by nobody */
	uint64_t first_ns[ENTRIES_MAX]; /* when that was for the first time */
	uint64_t led_knowing;           /* looks at one that knows of its own rounds */
	uint64_t leaders[ENTRIES_MAX];  /* of a term: the node's number + 1 */
	uint64_t questions, answers;
	uint64_t handovers, cuts, highest, crashes, leaderships, delivered, changes, installs;
	uint64_t value;
	bool quiet, leases;
	uint32_t shard;
	unsigned asking; /* the node whose process runs */
} world;

static const struct raft_membership members = {
    .count = NODES, .members = {{2, RAFT_VOTER}, {3, RAFT_VOTER}, {4, RAFT_VOTER}}};

static uint64_t below(uint64_t limit)
{
	return sim_random_below(world.sim, limit);
}

static uint64_t number_of(const struct node *node)
{
	return (uint64_t)(node - world.nodes) + FIRST;
}

/* ---- What a group tells ---- */

static void leading(void *arg, uint64_t term)
{
	struct node *node = arg;
	uint64_t number = (uint64_t)(node - world.nodes) + 1;
	ck_assert(!node->leads);
	node->leads = true;
	node->leads_ns = sim_now_ns(world.sim);
	ck_assert_uint_lt(term, ENTRIES_MAX);
	ck_assert(world.leaders[term] == 0 || world.leaders[term] == number);
	world.leaders[term] = number;
	world.leaderships++;
}

static void lost(void *arg)
{
	struct node *node = arg;
	ck_assert(node->leads);
	node->leads = false;
}

static void applied(void *arg, const struct group_entry *entry)
{
	struct node *node = arg;
	ck_assert_uint_lt(entry->at.index, ENTRIES_MAX);
	ck_assert(node->applied == 0 || entry->at.index == node->applied + 1);
	node->applied = entry->at.index;
	uint64_t content = hash_bytes(entry->batch, entry->at.term * 8 + entry->kind) | 1;
	uint64_t *known = &world.content[entry->at.index];
	ck_assert_msg(*known == 0 || *known == content, "seed %llu: two entries at %llu",
	    (unsigned long long)sim_seed(world.sim), (unsigned long long)entry->at.index);
	if (*known == 0)
		world.first_ns[entry->at.index] = sim_now_ns(world.sim);
	*known = content;
	if (entry->at.index > world.highest)
		world.highest = entry->at.index;
}

/* Entries that it never saw. */
static void installed(void *arg, struct group_position at)
{
	struct node *node = arg;
	ck_assert(!node->leads && at.index > node->applied);
	node->applied = at.index;
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

/* Of all that was asked before. */
static void answered(void *arg)
{
	struct node *node = arg;
	uint64_t known_ns = group_known_ns(node->group), newest_ns = 0;
	unsigned kept = 0;
	for (unsigned i = 0; i < node->question_count; i++) {
		struct question question = node->questions[i];
		if (question.number > group_answered(node->group)) {
			node->questions[kept++] = question;
			continue;
		}
		ck_assert_uint_ge(group_applied(node->group).index, question.highest);
		world.answers++;
		if (question.at_ns > newest_ns)
			newest_ns = question.at_ns;
	}
	ck_assert_uint_le(known_ns, io_now_ns(node->io));
	/* In milliseconds, rounded to what is older. */
	ck_assert_uint_ge(known_ns + NS_PER_MS, newest_ns);
	node->question_count = kept;
}

/* Whether it led or asked: all that was applied anywhere before that moment is applied here. */
static void check_known(const struct node *node)
{
	if (!node->up || !node->store || !node->group)
		return;
	uint64_t known_ns = group_known_ns(node->group);
	for (uint64_t i = group_applied(node->group).index + 1; i <= world.highest; i++) {
		ck_assert_uint_gt(world.first_ns[i], 0);
		ck_assert_msg(world.first_ns[i] >= known_ns, "seed %llu: %llu is not applied",
		    (unsigned long long)sim_seed(world.sim), (unsigned long long)i);
	}
	world.led_knowing += node->leads && known_ns > node->leads_ns;
}

static const struct group_events events = {.leading = leading,
    .lost = lost,
    .applied = applied,
    .answered = answered,
    .installed = installed,
    .confirmed = round_confirmed,
    .room = nothing,
    .closed = nothing};

/* ---- The network ---- */

static bool is_cut(unsigned node)
{
	return sim_now_ns(world.sim) < world.nodes[node].cut_until_ns;
}

static void put_packet(uint16_t from, unsigned to, bool is_snapshot, struct slice bytes)
{
	ASSERT(bytes.bytes > 0);
	if (is_cut(from - FIRST) || is_cut(to))
		return;
	if (world.packet_count == PACKETS_MAX || (!world.quiet && below(10) == 0))
		return;
	struct packet packet = {.to = to,
	    .is_snapshot = is_snapshot,
	    .from = from,
	    .at_ns = sim_now_ns(world.sim) + 20000 + below(world.quiet ? 100000 : 3000000),
	    .bytes = bytes.bytes,
	    .data = malloc(bytes.bytes)};
	memcpy(packet.data, bytes.data, bytes.bytes);
	world.packets[world.packet_count++] = packet;
}

static void carry(void *arg, uint32_t shard, const struct raft_message *message)
{
	static uint8_t span[PACKET_BYTES_MAX];
	struct writer writer = writer_of(span, sizeof(span));
	(void)arg;
	ck_assert_uint_eq(shard, world.shard);
	raft_message_write(&writer, message);
	for (uint32_t i = 0; i < message->count; i++)
		raft_entry_write(&writer, &message->entries[i]);
	if (writer.failed)
		return;
	put_packet(
	    (uint16_t)message->from, (unsigned)message->to - FIRST, false, writer_view(&writer));
	if (!world.quiet && below(20) == 0)
		put_packet((uint16_t)message->from, (unsigned)message->to - FIRST, false,
		    writer_view(&writer));
	/* It has said who is to lead next, and hears nothing of that: it leads on for a while. */
	if (!world.quiet && message->kind == RAFT_TIMEOUT_NOW && below(2) == 0) {
		world.nodes[message->from - FIRST].cut_until_ns =
		    sim_now_ns(world.sim) + below(2 * NS_PER_S);
		world.cuts++;
	}
}

static const struct group_carrier carrier = {.send = carry};

/* Snapshots have a better network in life. */
static int carry_snapshot(
    void *arg, uint32_t shard, uint64_t to, const struct iovec *iov, size_t count)
{
	static uint8_t span[PACKET_BYTES_MAX];
	struct writer writer = writer_of(span, sizeof(span));
	const struct node *node = arg;
	ck_assert_uint_eq(shard, world.shard);
	for (size_t i = 0; i < count; i++)
		writer_bytes(&writer, iov[i].iov_base, iov[i].iov_len);
	ck_assert(!writer.failed);
	put_packet((uint16_t)number_of(node), (unsigned)to - FIRST, true, writer_view(&writer));
	return 0;
}

static void deliver_in_process(void *arg)
{
	static struct raft_entry entries[RAFT_MESSAGE_ENTRIES_MAX];
	const struct packet *packet = arg;
	struct node *node = &world.nodes[packet->to];
	struct reader reader = reader_of(slice_of(packet->data, packet->bytes));
	struct raft_message message;
	if (!node->store)
		return;
	if (packet->is_snapshot) {
		snapshots_receive(node->snapshots, packet->from, node->store, world.shard,
		    slice_of(packet->data, packet->bytes));
	} else {
		ck_assert_int_eq(raft_message_read(&reader, &message, entries), 0);
		group_store_receive(node->store, world.shard, &message);
	}
	io_wake(node->io, NULL);
	world.delivered++;
}

static void deliver(void)
{
	for (unsigned i = 0; i < world.packet_count;) {
		struct packet packet = world.packets[i];
		if (packet.at_ns > sim_now_ns(world.sim)) {
			i++;
			continue;
		}
		world.packets[i] = world.packets[--world.packet_count];
		if (world.nodes[packet.to].up && !is_cut(packet.to))
			(void)sim_node_run(
			    world.nodes[packet.to].machine, deliver_in_process, &packet);
		free(packet.data);
	}
}

/* ---- Processes ---- */

static void turn(void *arg)
{
	struct node *node = arg;
	io_run(node->io);
	if (node->store && group_store_turn(node->store))
		io_wake(node->io, NULL);
}

static void open_in_process(void *arg)
{
	struct node *node = arg;
	char why[512];
	struct snapshots_options snapshots = {.io = node->io,
	    .seed = sim_random(world.sim),
	    .patience_ms = 500,
	    .transport = {.send = carry_snapshot, .arg = node}};
	ck_assert_int_eq(snapshots_new(&snapshots, &node->snapshots), 0);
	struct group_store_options options = {.carrier = &carrier,
	    .snapshots = node->snapshots,
	    .node = (uint16_t)number_of(node),
	    .leases = world.leases,
	    .engine = {.fs = sim_node_fs(node->machine),
	        .io = node->io,
	        .root = "/",
	        .dir = "stores/000",
	        .store_id = 7,
	        .hash_seed = sim_random(world.sim),
	        .segment_bytes = 256 * 1024,
	        .first_segment_bytes = 128 * 1024,
	        .frame_bytes_max = 128 * 1024,
	        .reserve_bytes_max = 64 * 1024,
	        /* What a checkpoint holds others may need a snapshot of. */
	        .idle_ms = 100}};
	struct engine_report report;
	int error = group_store_open(&options, why, sizeof(why), &node->store, &report);
	ck_assert_msg(!error, "%s", why);
	ck_assert_int_eq(group_add(node->store, world.shard, &events, node, &node->group), 0);
	group_set_members(node->group, number_of(node), &members);
	group_start(node->group);
	io_wake(node->io, NULL);
}

/* What only its log had, where nobody else votes, is applied before anybody is told of anything. */
static void note_replayed(const struct node *node)
{
	if (!node->up)
		return;
	uint64_t to = group_applied(node->group).index;
	for (uint64_t i = to; i > 0 && world.first_ns[i] == 0; i--)
		world.first_ns[i] = sim_now_ns(world.sim);
	if (to > world.highest)
		world.highest = to;
}

static void boot(struct node *node)
{
	node->io = sim_node_boot(node->machine);
	node->store = NULL;
	node->applied = 0;
	node->leads = false;
	node->question_count = 0;
	sim_node_set_turn(node->machine, turn, node);
	node->up = sim_node_run(node->machine, open_in_process, node);
	note_replayed(node);
}

static void crash(struct node *node)
{
	node->up = node->leads = false;
	node->store = NULL;
	sim_node_crash(node->machine, below(2) ? SIM_POWER_CUT : SIM_KILL);
	world.crashes++;
}

/* A voter becomes a learner, or votes again, or several at once. */
static void change(struct node *node)
{
	struct raft_change changes[NODES];
	size_t count = 1 + below(2);
	const char *why;
	for (size_t i = 0; i < count; i++)
		changes[i] =
		    (struct raft_change){.kind = below(3) ? RAFT_ADD_VOTER : RAFT_ADD_LEARNER,
		        .replica = FIRST + below(NODES)};
	if (!group_change(node->group, changes, count, RAFT_AUTOMATIC, &why))
		world.changes++;
}

static void act_in_process(void *arg)
{
	struct node *node = arg;
	uint8_t span[600], key[3] = {KEY_KIND_FIRST_FREE, 'k', (uint8_t)below(5)};
	char value[512];
	if (!node->store || !group_leads(node->group))
		return;
	if (!world.quiet && below(10) == 0)
		change(node);
	if (!world.quiet && below(20) == 0)
		world.handovers += group_transfer(node->group, FIRST + below(NODES)) == 0;
	if (!group_leads(node->group))
		return;
	if (below(3) == 0)
		(void)group_confirm(node->group);
	memset(value, 'v', sizeof(value));
	snprintf(value, sizeof(value), "%llu", (unsigned long long)++world.value);
	struct writer out = writer_of(span, sizeof(span));
	batch_begin(&out);
	batch_put(&out, slice_of(key, sizeof(key)), slice_of(value, 10 + below(500)));
	struct slice batch = writer_view(&out);
	struct group_position at;
	if (group_reserve(node->group, batch.bytes, 1, false))
		return;
	group_unreserve(node->group, batch.bytes, 1);
	group_propose(node->group, batch, &at);
	io_wake(node->io, NULL);
}

static void ask_in_process(void *arg)
{
	struct node *node = arg;
	struct question question = {.highest = world.highest, .at_ns = io_now_ns(node->io)};
	if (!node->store || node->question_count == QUESTIONS_MAX ||
	    group_ask(node->group, &question.number) != 0)
		return;
	node->questions[node->question_count++] = question;
	world.questions++;
	io_wake(node->io, NULL);
}

static void step(void)
{
	/* Nothing is left to happen where all sleep, or are down. */
	(void)sim_step(world.sim);
	deliver();
	struct node *node = &world.nodes[below(NODES)];
	for (unsigned i = 0; i < NODES; i++)
		check_known(&world.nodes[i]);
	if (world.quiet || world.value >= ENTRIES_MAX / 4)
		return;
	if (node->up && below(40) == 0)
		(void)sim_node_run(node->machine, act_in_process, node);
	if (node->up && below(20) == 0)
		(void)sim_node_run(node->machine, ask_in_process, node);
	if (node->up && below(3000) == 0)
		crash(node);
	else if (!node->up && below(300) == 0)
		boot(node);
}

static bool all_have_all(void)
{
	for (unsigned i = 0; i < NODES; i++)
		if (!world.nodes[i].group ||
		    group_applied(world.nodes[i].group).index != world.highest)
			return false;
	return world.highest > 0;
}

static void begin_world(uint64_t seed, uint32_t shard, uint32_t slow_ppm)
{
	memset(&world, 0, sizeof(world));
	world.shard = shard;
	world.leases = seed % 2 == 0;
	/* Others may know that an entry is committed before the leader's own disk has it. */
	struct sim_faults faults = {.slow_ppm = slow_ppm};
	world.sim = sim_new(seed, &faults);
	for (unsigned i = 0; i < NODES; i++) {
		struct node *node = &world.nodes[i];
		node->machine = sim_node_new(world.sim);
		ck_assert_int_eq(fs_make_dir(sim_node_fs(node->machine), "stores"), 0);
		ck_assert_int_eq(fs_sync_dir(sim_node_fs(node->machine), "."), 0);
		boot(node);
	}
}

static void end_world(void)
{
	for (unsigned i = 0; i < world.packet_count; i++)
		free(world.packets[i].data);
	sim_free(world.sim);
}

START_TEST(replicas_agree)
{
	begin_world((uint64_t)_i + 1, 1, 20000);
	for (int i = 0; i < 60000; i++)
		step();
	/* Now the network is good, and all are there. */
	world.quiet = true;
	for (unsigned i = 0; i < NODES; i++)
		if (!world.nodes[i].up)
			boot(&world.nodes[i]);
	uint64_t until_ns = sim_now_ns(world.sim) + 20 * NS_PER_S;
	while (sim_now_ns(world.sim) < until_ns && !all_have_all())
		step();
	ck_assert_uint_gt(world.answers, 0);
	ck_assert_uint_gt(world.led_knowing, 0);
	printf("seed %d: %llu entries, %llu leaderships, %llu changes, %llu crashes, "
	       "%llu installs, %llu messages, %llu of %llu questions answered, "
	       "%llu handovers, %llu cuts\n",
	    _i + 1, (unsigned long long)world.highest, (unsigned long long)world.leaderships,
	    (unsigned long long)world.changes, (unsigned long long)world.crashes,
	    (unsigned long long)world.installs, (unsigned long long)world.delivered,
	    (unsigned long long)world.answers, (unsigned long long)world.questions,
	    (unsigned long long)world.handovers, (unsigned long long)world.cuts);
	ck_assert_msg(all_have_all(), "seed %d: applied %llu %llu %llu of %llu", _i + 1,
	    (unsigned long long)group_applied(world.nodes[0].group).index,
	    (unsigned long long)group_applied(world.nodes[1].group).index,
	    (unsigned long long)group_applied(world.nodes[2].group).index,
	    (unsigned long long)world.highest);
	end_world();
}
END_TEST

static void confirm_in_process(void *arg)
{
	struct node *node = arg;
	(void)group_confirm(node->group);
	io_wake(node->io, NULL);
}

static struct node *find_leader(void)
{
	for (unsigned i = 0; i < NODES; i++)
		if (world.nodes[i].leads)
			return &world.nodes[i];
	return NULL;
}

/* What is there when it leads may be read for as long as that is new enough for who asks, also
 * where nobody asked it while it led. */
START_TEST(who_led_knows_up_to_when_that_was_confirmed)
{
	enum { STEPS = 400000 };
	struct node *leader;
	begin_world((uint64_t)_i + 1, 1, 0);
	world.quiet = true;
	for (int i = 0; i < STEPS && (!all_have_all() || !find_leader()); i++)
		step();
	leader = find_leader();
	ck_assert_ptr_nonnull(leader);
	uint64_t leads_ns = leader->leads_ns;
	/* Its heartbeats are answered. */
	for (int i = 0; i < STEPS && group_known_ns(leader->group) < leads_ns; i++)
		step();
	uint64_t known_ns = group_known_ns(leader->group);
	ck_assert_uint_ge(known_ns, leads_ns);
	/* And that goes on. */
	for (int i = 0; i < STEPS && group_known_ns(leader->group) == known_ns; i++)
		step();
	uint64_t alone_ns = sim_now_ns(world.sim);
	for (unsigned i = 0; i < NODES; i++)
		if (&world.nodes[i] != leader)
			crash(&world.nodes[i]);
	/* What they have answered comes yet; and nobody confirms this one. */
	while (sim_now_ns(world.sim) < alone_ns + 50 * NS_PER_MS)
		step();
	ck_assert(sim_node_run(leader->machine, confirm_in_process, leader));
	for (int i = 0; i < STEPS && leader->leads; i++)
		step();
	ck_assert(!leader->leads);
	ck_assert_uint_gt(group_known_ns(leader->group), known_ns);
	ck_assert_uint_le(group_known_ns(leader->group), alone_ns);
	end_world();
}
END_TEST

/* Half a megabyte is committed; whoever begins again then knows at once of most of it. */
START_TEST(a_replica_knows_after_a_crash_what_was_committed)
{
	enum { ENTRIES = 1500, KNOWN = 400, STEPS = 400000 };
	begin_world(1, 1, 0);
	world.quiet = true;
	for (int i = 0; i < STEPS && world.highest < ENTRIES; i++) {
		step();
		for (unsigned k = 0; k < NODES && i % 10 == 0; k++)
			ck_assert(
			    sim_node_run(world.nodes[k].machine, act_in_process, &world.nodes[k]));
	}
	for (int i = 0; i < STEPS && !all_have_all(); i++)
		step();
	ck_assert(all_have_all() && world.highest >= ENTRIES);
	for (unsigned i = 0; i < NODES; i++) {
		crash(&world.nodes[i]);
		boot(&world.nodes[i]);
		ck_assert_uint_ge(group_applied(world.nodes[i].group).index, KNOWN);
	}
	end_world();
}
END_TEST

/* Of the directory all of it: whoever is left alone knows who the others were. */
START_TEST(the_directory_knows_all_of_it)
{
	enum { ENTRIES = 20, STEPS = 400000 };
	begin_world(1, 0, 0);
	world.quiet = true;
	for (int i = 0; i < STEPS && world.highest < ENTRIES; i++) {
		step();
		for (unsigned k = 0; k < NODES && i % 10 == 0; k++)
			ck_assert(
			    sim_node_run(world.nodes[k].machine, act_in_process, &world.nodes[k]));
	}
	for (int i = 0; i < STEPS && !all_have_all(); i++)
		step();
	/* Until that is on the disks, which is before a checkpoint. */
	uint64_t until_ns = sim_now_ns(world.sim) + 20 * NS_PER_MS;
	while (sim_now_ns(world.sim) < until_ns)
		step();
	ck_assert(all_have_all() && world.highest >= ENTRIES);
	for (unsigned i = 0; i < NODES; i++)
		crash(&world.nodes[i]);
	for (unsigned i = 0; i < NODES; i++) {
		boot(&world.nodes[i]);
		ck_assert_uint_eq(group_applied(world.nodes[i].group).index, world.highest);
	}
	end_world();
}
END_TEST

Suite *members_suite(void)
{
	Suite *suite = suite_create("members");
	TCase *cases = tcase_create("members");
	tcase_set_timeout(cases, 60);
	tcase_add_loop_test(cases, replicas_agree, 0, 20);
	tcase_add_test(cases, a_replica_knows_after_a_crash_what_was_committed);
	tcase_add_loop_test(cases, who_led_knows_up_to_when_that_was_confirmed, 0, 10);
	tcase_add_test(cases, the_directory_knows_all_of_it);
	suite_add_tcase(suite, cases);
	return suite;
}
