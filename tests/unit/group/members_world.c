#include "tests/unit/group/members_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/io/fs.h"
#include "base/io/io.h"
#include "replication/raft/wire.h"
#include "storage/batch.h"
#include "tests/unit/group/suites.h"

struct members_world members_world;

static const struct raft_membership members = {
    .count = NODES, .members = {{2, RAFT_VOTER}, {3, RAFT_VOTER}, {4, RAFT_VOTER}}};

static uint64_t below(uint64_t limit)
{
	return sim_random_below(members_world.sim, limit);
}

static uint64_t number_of(const struct node *node)
{
	return (uint64_t)(node - members_world.nodes) + FIRST;
}

/* ---- What a group tells ---- */

static void leading(void *arg, uint64_t term)
{
	struct node *node = arg;
	uint64_t number = (uint64_t)(node - members_world.nodes) + 1;
	ck_assert(!node->leads);
	node->leads = true;
	node->leads_ns = sim_now_ns(members_world.sim);
	ck_assert_uint_lt(term, ENTRIES_MAX);
	ck_assert(members_world.leaders[term] == 0 || members_world.leaders[term] == number);
	members_world.leaders[term] = number;
	members_world.leaderships++;
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
	uint64_t *known = &members_world.content[entry->at.index];
	ck_assert_msg(*known == 0 || *known == content, "seed %llu: two entries at %llu",
	    (unsigned long long)sim_seed(members_world.sim), (unsigned long long)entry->at.index);
	if (*known == 0)
		members_world.first_ns[entry->at.index] = sim_now_ns(members_world.sim);
	*known = content;
	if (entry->at.index > members_world.highest)
		members_world.highest = entry->at.index;
}

/* Entries that it never saw. */
static void installed(void *arg, struct group_position at)
{
	struct node *node = arg;
	ck_assert(!node->leads && at.index > node->applied);
	node->applied = at.index;
	members_world.installs++;
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
		members_world.answers++;
		if (question.at_ns > newest_ns)
			newest_ns = question.at_ns;
	}
	ck_assert_uint_le(known_ns, io_now_ns(node->io));
	/* In milliseconds, rounded to what is older. */
	ck_assert_uint_ge(known_ns + NS_PER_MS, newest_ns);
	node->question_count = kept;
}

/* No later than it was. */
static uint64_t to_world_ns(const struct node *node, uint64_t ns)
{
	int64_t fast = members_world.fast_millionths[node - members_world.nodes];
	return fast == 0 ? ns : ns / (1000000 + (uint64_t)fast) * 1000000;
}

/* Whether it led or asked: all that was applied anywhere before that moment is applied here. */
static void check_known(const struct node *node)
{
	if (!node->up || !node->store || !node->group)
		return;
	uint64_t known_ns = to_world_ns(node, group_known_ns(node->group));
	for (uint64_t i = group_applied(node->group).index + 1; i <= members_world.highest; i++) {
		ck_assert_uint_gt(members_world.first_ns[i], 0);
		ck_assert_msg(members_world.first_ns[i] >= known_ns,
		    "seed %llu: %llu is not applied",
		    (unsigned long long)sim_seed(members_world.sim), (unsigned long long)i);
	}
	members_world.led_knowing += node->leads && known_ns > node->leads_ns;
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
	return sim_now_ns(members_world.sim) < members_world.nodes[node].cut_until_ns;
}

static void put_packet(uint16_t from, unsigned to, unsigned kind, struct slice bytes)
{
	ASSERT(bytes.bytes > 0);
	if (is_cut(from - FIRST) || is_cut(to))
		return;
	if (members_world.packet_count == PACKETS_MAX || (!members_world.quiet && below(10) == 0))
		return;
	struct packet packet = {.to = to,
	    .kind = kind,
	    .from = from,
	    .sent_ns = sim_now_ns(members_world.sim),
	    .at_ns = sim_now_ns(members_world.sim) + 20000 +
	             below(members_world.quiet ? 100000 : 3000000),
	    .bytes = bytes.bytes,
	    .data = malloc(bytes.bytes)};
	memcpy(packet.data, bytes.data, bytes.bytes);
	members_world.packets[members_world.packet_count++] = packet;
}

static void carry(void *arg, uint32_t shard, const struct raft_message *message)
{
	static uint8_t span[PACKET_BYTES_MAX];
	struct writer writer = writer_of(span, sizeof(span));
	(void)arg;
	ck_assert_uint_eq(shard, members_world.shard);
	struct node *from = &members_world.nodes[message->from - FIRST];
	if (from == members_world.silent && message->kind == RAFT_PREVOTE)
		return;
	from->is_held |= members_world.holds_old && message->kind == RAFT_TIMEOUT_NOW;
	raft_message_write(&writer, message);
	for (uint32_t i = 0; i < message->count; i++)
		raft_entry_write(&writer, &message->entries[i]);
	if (writer.failed)
		return;
	put_packet((uint16_t)message->from, (unsigned)message->to - FIRST, message->kind,
	    writer_view(&writer));
	if (!members_world.quiet && below(20) == 0)
		put_packet((uint16_t)message->from, (unsigned)message->to - FIRST, message->kind,
		    writer_view(&writer));
	/* It has said who is to lead next, and hears nothing of that: it leads on for a while. */
	if (!members_world.quiet && message->kind == RAFT_TIMEOUT_NOW && below(2) == 0) {
		from->cut_until_ns = sim_now_ns(members_world.sim) + below(2 * NS_PER_S);
		members_world.cuts++;
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
	ck_assert_uint_eq(shard, members_world.shard);
	for (size_t i = 0; i < count; i++)
		writer_bytes(&writer, iov[i].iov_base, iov[i].iov_len);
	ck_assert(!writer.failed);
	put_packet((uint16_t)number_of(node), (unsigned)to - FIRST, SNAPSHOT, writer_view(&writer));
	return 0;
}

static void deliver_in_process(void *arg)
{
	static struct raft_entry entries[RAFT_MESSAGE_ENTRIES_MAX];
	const struct packet *packet = arg;
	struct node *node = &members_world.nodes[packet->to];
	struct reader reader = reader_of(slice_of(packet->data, packet->bytes));
	struct raft_message message;
	if (!node->store)
		return;
	if (packet->kind == SNAPSHOT) {
		snapshots_receive(node->snapshots, packet->from, node->store, members_world.shard,
		    slice_of(packet->data, packet->bytes));
	} else {
		ck_assert_int_eq(raft_message_read(&reader, &message, entries), 0);
		group_store_receive(node->store, members_world.shard, &message);
	}
	io_wake(node->io, NULL);
	members_world.delivered++;
}

static void deliver(void)
{
	for (unsigned i = 0; i < members_world.packet_count;) {
		struct packet packet = members_world.packets[i];
		if (packet.at_ns > sim_now_ns(members_world.sim) ||
		    members_world.nodes[packet.to].is_held) {
			i++;
			continue;
		}
		members_world.packets[i] = members_world.packets[--members_world.packet_count];
		if (members_world.nodes[packet.to].up && !is_cut(packet.to))
			(void)sim_node_run(
			    members_world.nodes[packet.to].machine, deliver_in_process, &packet);
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
	    .seed = sim_random(members_world.sim),
	    .patience_ms = 500,
	    .transport = {.send = carry_snapshot, .arg = node}};
	ck_assert_int_eq(snapshots_new(&snapshots, &node->snapshots), 0);
	struct group_store_options options = {.carrier = &carrier,
	    .snapshots = node->snapshots,
	    .node = (uint16_t)number_of(node),
	    .leases = members_world.leases,
	    .engine = {.fs = sim_node_fs(node->machine),
	        .io = node->io,
	        .root = "/",
	        .dir = "stores/000",
	        .store_id = 7,
	        .hash_seed = sim_random(members_world.sim),
	        .segment_bytes = 256 * 1024,
	        .first_segment_bytes = 128 * 1024,
	        .frame_bytes_max = 128 * 1024,
	        .reserve_bytes_max = 64 * 1024,
	        /* What a checkpoint holds others may need a snapshot of. */
	        .idle_ms = 100}};
	struct engine_report report;
	int error = group_store_open(&options, why, sizeof(why), &node->store, &report);
	ck_assert_msg(!error, "%s", why);
	ck_assert_int_eq(
	    group_add(node->store, members_world.shard, &events, node, &node->group), 0);
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
	for (uint64_t i = to; i > 0 && members_world.first_ns[i] == 0; i--)
		members_world.first_ns[i] = sim_now_ns(members_world.sim);
	if (to > members_world.highest)
		members_world.highest = to;
}

void members_boot(struct node *node)
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

void members_crash(struct node *node)
{
	node->up = node->leads = false;
	node->store = NULL;
	sim_node_crash(node->machine, below(2) ? SIM_POWER_CUT : SIM_KILL);
	members_world.crashes++;
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
		members_world.changes++;
}

void members_act(void *arg)
{
	struct node *node = arg;
	uint8_t span[600], key[3] = {KEY_KIND_FIRST_FREE, 'k', (uint8_t)below(5)};
	char value[512];
	if (!node->store || !group_leads(node->group))
		return;
	if (!members_world.quiet && below(10) == 0)
		change(node);
	if (!members_world.quiet && below(20) == 0)
		members_world.handovers += group_transfer(node->group, FIRST + below(NODES)) == 0;
	if (!group_leads(node->group))
		return;
	if (below(3) == 0)
		(void)group_confirm(node->group);
	memset(value, 'v', sizeof(value));
	snprintf(value, sizeof(value), "%llu", (unsigned long long)++members_world.value);
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
	struct question question = {.highest = members_world.highest, .at_ns = io_now_ns(node->io)};
	if (!node->store || node->question_count == QUESTIONS_MAX ||
	    group_ask(node->group, &question.number) != 0)
		return;
	node->questions[node->question_count++] = question;
	members_world.questions++;
	io_wake(node->io, NULL);
}

void members_step(void)
{
	/* Nothing is left to happen where all sleep, or are down. */
	(void)sim_step(members_world.sim);
	deliver();
	struct node *node = &members_world.nodes[below(NODES)];
	for (unsigned i = 0; i < NODES; i++)
		check_known(&members_world.nodes[i]);
	if (members_world.quiet || members_world.value >= ENTRIES_MAX / 4)
		return;
	if (node->up && below(40) == 0)
		(void)sim_node_run(node->machine, members_act, node);
	if (node->up && below(20) == 0)
		(void)sim_node_run(node->machine, ask_in_process, node);
	if (node->up && below(3000) == 0)
		members_crash(node);
	else if (!node->up && below(300) == 0)
		members_boot(node);
}

bool members_have_all(void)
{
	for (unsigned i = 0; i < NODES; i++)
		if (!members_world.nodes[i].group ||
		    group_applied(members_world.nodes[i].group).index != members_world.highest)
			return false;
	return members_world.highest > 0;
}

void members_begin(uint64_t seed, uint32_t shard, uint32_t slow_ppm, int32_t fast_millionths)
{
	memset(&members_world, 0, sizeof(members_world));
	members_world.shard = shard;
	members_world.leases = seed % 2 == 0;
	/* Others may know that an entry is committed before the leader's own disk has it. */
	struct sim_faults faults = {.slow_ppm = slow_ppm};
	members_world.sim = sim_new(seed, &faults);
	for (unsigned i = 0; i < NODES; i++) {
		struct node *node = &members_world.nodes[i];
		node->machine = sim_node_new(members_world.sim);
		members_world.fast_millionths[i] = i == 0 ? 0 : fast_millionths;
		sim_node_set_clock_speed(node->machine, members_world.fast_millionths[i]);
		ck_assert_int_eq(fs_make_dir(sim_node_fs(node->machine), "stores"), 0);
		ck_assert_int_eq(fs_sync_dir(sim_node_fs(node->machine), "."), 0);
		members_boot(node);
	}
}

void members_end(void)
{
	for (unsigned i = 0; i < members_world.packet_count; i++)
		free(members_world.packets[i].data);
	sim_free(members_world.sim);
}

void members_confirm(void *arg)
{
	struct node *node = arg;
	(void)group_confirm(node->group);
	io_wake(node->io, NULL);
}

struct node *members_leader(void)
{
	for (unsigned i = 0; i < NODES; i++)
		if (members_world.nodes[i].leads)
			return &members_world.nodes[i];
	return NULL;
}
