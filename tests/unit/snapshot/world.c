#include "tests/unit/snapshot/world.h"

#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/io/fs.h"
#include "replication/raft/wire.h"
#include "storage/batch.h"
#include "storage/cursor.h"
#include "storage/keys.h"
#include "tests/unit/snapshot/suites.h"

enum { LATENCY_NS = 1000000, RAFT_BYTES_MAX = 2 << 20, KEY_BYTES = 6 };

struct packet {
	struct packet *next;
	unsigned from, to;
	bool is_snapshot;
	uint64_t at_ns;
	size_t bytes;
	uint8_t data[];
};

struct world world;

unsigned number_of(const struct node *node)
{
	return (unsigned)(node - world.node);
}

/* ---- What a group tells ---- */

static void leading(void *arg, uint64_t term)
{
	struct node *node = arg;
	(void)term;
	ck_assert(!node->leads);
	node->leads = true;
	/* What its predecessor has proposed may be gone. */
	world.proposed = 0;
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
	ck_assert_uint_lt(entry->at.index, INDEX_MAX);
	ck_assert(node->applied == 0 || entry->at.index == node->applied + 1);
	node->applied = entry->at.index;
	uint64_t content = hash_bytes(entry->batch, entry->at.term * 8 + entry->kind) | 1;
	uint64_t *known = &world.content[entry->at.index];
	ck_assert(*known == 0 || *known == content);
	*known = content;
	if (entry->at.index > world.highest)
		world.highest = entry->at.index;
}

static void installed(void *arg, struct group_position at)
{
	struct node *node = arg;
	ck_assert(!node->leads);
	ck_assert_uint_gt(at.index, node->applied);
	ck_assert_uint_eq(group_applied(node->group).index, at.index);
	node->applied = node->installed_index = at.index;
	node->installs++;
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

/* ---- The network ---- */

static bool is_linked(unsigned from, unsigned to)
{
	return world.node[from].up && world.node[to].up && !world.node[from].cut &&
	       !world.node[to].cut;
}

static void put_packet(unsigned from, unsigned to, bool is_snapshot, struct slice bytes)
{
	struct packet *packet = malloc(sizeof(*packet) + bytes.bytes);
	*packet = (struct packet){.from = from,
	    .to = to,
	    .is_snapshot = is_snapshot,
	    .at_ns = sim_now_ns(world.sim) + LATENCY_NS,
	    .bytes = bytes.bytes};
	memcpy(packet->data, bytes.data, bytes.bytes);
	*world.packets_end = packet;
	world.packets_end = &packet->next;
	if (is_snapshot)
		world.link_bytes[from][to] += bytes.bytes;
}

static void carry(void *arg, uint32_t shard, const struct raft_message *message)
{
	static uint8_t span[RAFT_BYTES_MAX];
	struct writer writer = writer_of(span, sizeof(span));
	unsigned from = (uint16_t)message->from - 1U, to = (uint16_t)message->to - 1U;
	(void)arg;
	if (shard != SHARD || !is_linked(from, to))
		return;
	raft_message_write(&writer, message);
	for (uint32_t i = 0; i < message->count; i++)
		raft_entry_write(&writer, &message->entries[i]);
	ck_assert(!writer.failed);
	put_packet(from, to, false, writer_view(&writer));
}

static const struct group_carrier carrier = {.send = carry};

static void observe(const struct snapshot_message *message, size_t bytes)
{
	world.sent[message->kind]++;
	if (message->kind == SNAPSHOT_CHUNK) {
		ck_assert_uint_lt(message->number, CHUNKS_MAX);
		world.chunk_sent[message->number]++;
		world.chunk_bytes += bytes;
		world.last_chunk_ns = sim_now_ns(world.sim);
		if (world.first_chunk_ns == 0)
			world.first_chunk_ns = world.last_chunk_ns;
	}
	if (message->kind == SNAPSHOT_RESULT)
		world.last_result = *message;
	if (message->kind != SNAPSHOT_OFFER)
		return;
	world.last_offer = *message;
	for (unsigned i = 0; i < world.offers; i++)
		if (world.offer_ids[i] == message->id)
			return;
	ck_assert_uint_lt(world.offers, OFFERS_MAX);
	world.offer_ids[world.offers++] = message->id;
}

static int transport(
    void *arg, uint32_t shard, uint64_t to_replica, const struct iovec *iov, size_t count)
{
	static uint8_t span[RAFT_BYTES_MAX];
	struct node *node = arg;
	unsigned from = number_of(node), to = (uint16_t)to_replica - 1U;
	struct writer writer = writer_of(span, sizeof(span));
	for (size_t i = 0; i < count; i++)
		writer_bytes(&writer, iov[i].iov_base, iov[i].iov_len);
	ck_assert(!writer.failed);
	if (shard != SHARD || !is_linked(from, to))
		return ERR_CLOSED;
	struct slice bytes = writer_view(&writer);
	uint64_t waiting = world.link_bytes[from][to];
	if (waiting > 0 && waiting + bytes.bytes > world.link_bytes_max) {
		world.link_full[from][to] = true;
		world.fulls++;
		return ERR_FULL;
	}
	struct snapshot_message message;
	ck_assert_int_eq(snapshot_message_read(bytes, &message), 0);
	ck_assert(!message.damaged);
	observe(&message, bytes.bytes);
	if (!world.mangle || world.mangle(bytes, &message))
		put_packet(from, to, true, bytes);
	return 0;
}

static void deliver_in_process(void *arg)
{
	static struct raft_entry entries[RAFT_MESSAGE_ENTRIES_MAX];
	const struct packet *packet = arg;
	struct node *node = &world.node[packet->to];
	struct slice bytes = slice_of(packet->data, packet->bytes);
	if (!node->store)
		return;
	if (packet->is_snapshot) {
		snapshots_receive(
		    node->snapshots, (uint16_t)(packet->from + 1), node->store, SHARD, bytes);
	} else {
		struct reader reader = reader_of(bytes);
		struct raft_message message;
		ck_assert_int_eq(raft_message_read(&reader, &message, entries), 0);
		group_store_receive(node->store, SHARD, &message);
	}
	io_wake(node->io, NULL);
}

struct telling {
	struct node *node;
	uint16_t about;
	void (*tell)(struct snapshots *snapshots, uint16_t node);
};

static void tell_in_process(void *arg)
{
	const struct telling *telling = arg;
	if (!telling->node->store)
		return;
	telling->tell(telling->node->snapshots, telling->about);
	io_wake(telling->node->io, NULL);
}

static void tell(
    unsigned number, unsigned about, void (*what)(struct snapshots *snapshots, uint16_t node))
{
	struct telling telling = {
	    .node = &world.node[number], .about = (uint16_t)(about + 1), .tell = what};
	if (telling.node->up)
		(void)sim_node_run(telling.node->machine, tell_in_process, &telling);
}

static void took(const struct packet *packet)
{
	unsigned from = packet->from, to = packet->to;
	if (!packet->is_snapshot)
		return;
	world.link_bytes[from][to] -= packet->bytes;
	if (!world.link_full[from][to] || world.link_bytes[from][to] > world.link_bytes_max / 2)
		return;
	world.link_full[from][to] = false;
	tell(from, to, snapshots_room);
}

static void deliver(void)
{
	while (world.packets && world.packets->at_ns <= sim_now_ns(world.sim)) {
		struct packet *packet = world.packets;
		world.packets = packet->next;
		if (!world.packets)
			world.packets_end = &world.packets;
		if (is_linked(packet->from, packet->to))
			(void)sim_node_run(
			    world.node[packet->to].machine, deliver_in_process, packet);
		took(packet);
		free(packet);
	}
}

/* What is under way is lost. */
static void drop_packets(unsigned number)
{
	for (struct packet **at = &world.packets; *at;) {
		struct packet *packet = *at;
		if (packet->from != number && packet->to != number) {
			at = &packet->next;
			continue;
		}
		*at = packet->next;
		if (packet->is_snapshot)
			world.link_bytes[packet->from][packet->to] -= packet->bytes;
		free(packet);
	}
	world.packets_end = &world.packets;
	while (*world.packets_end)
		world.packets_end = &(*world.packets_end)->next;
}

static void tell_links(unsigned number, bool up)
{
	void (*what)(struct snapshots *, uint16_t) = up ? snapshots_link_up : snapshots_link_down;
	for (unsigned i = 0; i < world.nodes; i++) {
		if (i == number || world.node[i].cut || !world.node[i].up)
			continue;
		world.link_full[i][number] = world.link_full[number][i] = false;
		tell(i, number, what);
		tell(number, i, what);
	}
}

void cut(unsigned number, bool cut)
{
	world.node[number].cut = cut;
	drop_packets(number);
	tell_links(number, !cut);
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
	unsigned number = number_of(node);
	static struct raft_membership members;
	char why[512];
	struct snapshots_options snapshots = world.options;
	snapshots.io = node->io;
	snapshots.seed = sim_random(world.sim);
	snapshots.transport = (struct snapshot_transport){.send = transport, .arg = node};
	ck_assert_int_eq(snapshots_new(&snapshots, &node->snapshots), 0);
	struct group_store_options options = {.carrier = &carrier,
	    .snapshots = node->snapshots,
	    .read_bytes_max = world.read_bytes_max,
	    .kept_bytes_max = world.kept_bytes,
	    .engine = {.fs = sim_node_fs(node->machine),
	        .io = node->io,
	        .root = "/",
	        .dir = "stores/000",
	        .store_id = 7,
	        .hash_seed = number,
	        .segment_bytes = world.segment_bytes,
	        .first_segment_bytes = world.segment_bytes,
	        .frame_bytes_max = 2 * MIB,
	        .dirty_bytes_max = 512 * 1024,
	        .keep_bytes = world.keep_bytes,
	        .reserve_bytes_max = 64 * 1024}};
	struct engine_report report;
	int error = group_store_open(&options, why, sizeof(why), &node->store, &report);
	ck_assert_msg(!error, "%s", why);
	ck_assert_int_eq(group_add(node->store, SHARD, &events, node, &node->group), 0);
	memset(&members, 0, sizeof(members));
	for (unsigned i = 0; i < world.nodes && !world.empty_members[number]; i++)
		if (!world.empty_members[i])
			members.members[members.count++] =
			    (struct raft_member){.replica = i + 1, .roles = RAFT_VOTER};
	group_set_members(node->group, number + 1, &members);
	node->applied_at_boot = group_applied(node->group).index;
	group_start(node->group);
	io_wake(node->io, NULL);
}

void boot(unsigned number)
{
	struct node *node = &world.node[number];
	node->io = sim_node_boot(node->machine);
	node->store = NULL;
	node->applied = 0;
	node->leads = false;
	sim_node_set_turn(node->machine, turn, node);
	node->up = sim_node_run(node->machine, open_in_process, node);
	if (node->up && !node->cut)
		tell_links(number, true);
}

static void crashed(unsigned number)
{
	struct node *node = &world.node[number];
	if (!node->up)
		return;
	node->up = node->leads = false;
	node->store = NULL;
	drop_packets(number);
	tell_links(number, false);
}

void crash(unsigned number, enum sim_crash how)
{
	sim_node_crash(world.node[number].machine, how);
	crashed(number);
}

static void ended(void *arg)
{
	crashed(number_of(arg));
}

void world_begin(uint64_t seed, unsigned nodes, const struct snapshots_options *options)
{
	memset(&world, 0, sizeof(world));
	world.sim = sim_new(seed, NULL);
	world.nodes = nodes;
	world.packets_end = &world.packets;
	world.link_bytes_max = PEER_QUEUE_BYTES_DEFAULT;
	world.segment_bytes = 8 * MIB;
	if (options)
		world.options = *options;
	for (unsigned i = 0; i < nodes; i++) {
		struct node *node = &world.node[i];
		node->machine = sim_node_new(world.sim);
		sim_node_set_ended(node->machine, ended, node);
		ck_assert_int_eq(fs_make_dir(sim_node_fs(node->machine), "stores"), 0);
		ck_assert_int_eq(fs_sync_dir(sim_node_fs(node->machine), "."), 0);
	}
}

void world_end(void)
{
	for (unsigned i = 0; i < world.nodes; i++)
		drop_packets(i);
	sim_free(world.sim);
}

/* ---- Time ---- */

static void tick(void *arg)
{
	(void)arg;
}

void world_step(void)
{
	/* A packet is an event, too. */
	if (world.packets)
		sim_call_at(world.sim, world.packets->at_ns, tick, NULL);
	(void)sim_step(world.sim);
	deliver();
}

bool world_run(bool (*until)(void *arg), void *arg, uint64_t for_ms)
{
	uint64_t end_ns = sim_now_ns(world.sim) + for_ms * NS_PER_MS;
	sim_call_at(world.sim, end_ns, tick, NULL);
	while (sim_now_ns(world.sim) < end_ns) {
		if (until && until(arg))
			return true;
		world_step();
	}
	return until && until(arg);
}

void world_wait(uint64_t for_ms)
{
	(void)world_run(NULL, NULL, for_ms);
}

/* ---- Load, and looks ---- */

struct node *leader(void)
{
	for (unsigned i = 0; i < world.nodes; i++) {
		struct node *node = &world.node[i];
		if (node->up && node->leads && !node->cut)
			return node;
	}
	return NULL;
}

static void make_value(uint64_t number, uint8_t key[KEY_BYTES], uint8_t value[VALUE_BYTES])
{
	memset(value, (int)number, VALUE_BYTES);
	store_u64le(value, number);
	key[0] = KEY_KIND_FIRST_FREE;
	key[1] = 'k';
	store_u32be(key + 2, (uint32_t)(number % KEYS));
}

static void put_in_process(void *arg)
{
	struct node *node = arg;
	static uint8_t span[VALUE_BYTES + 64];
	uint8_t value[VALUE_BYTES], key[KEY_BYTES];
	struct group_position at;
	make_value(world.value, key, value);
	struct writer out = writer_of(span, sizeof(span));
	batch_begin(&out);
	batch_put(&out, slice_of(key, sizeof(key)), slice_of(value, sizeof(value)));
	struct slice batch = writer_view(&out);
	if (!group_leads(node->group) || group_reserve(node->group, batch.bytes, 1, false))
		return;
	group_unreserve(node->group, batch.bytes, 1);
	group_propose(node->group, batch, &at);
	world.value++;
	world.proposed = at.index;
	io_wake(node->io, NULL);
}

bool put_value(void)
{
	uint64_t before = world.value;
	struct node *node = leader();
	if (node)
		(void)sim_node_run(node->machine, put_in_process, node);
	return world.value > before;
}

static bool has_taken_more(void *arg)
{
	(void)arg;
	return put_value();
}

bool put_values(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (!world_run(has_taken_more, NULL, 5000))
			return false;
	return true;
}

static void told_removed(void *arg, int error)
{
	struct node *node = arg;
	ck_assert_int_eq(error, 0);
	node->removed = true;
}

static void remove_in_process(void *arg)
{
	struct node *node = arg;
	group_remove(node->group, told_removed, node);
	node->group = NULL;
	node->applied = 0;
	node->leads = node->removed = false;
	io_wake(node->io, NULL);
}

void remove_replica(unsigned number)
{
	struct node *node = &world.node[number];
	ck_assert(sim_node_run(node->machine, remove_in_process, node));
}

struct coming {
	struct node *node;
	uint64_t replica;
};

static void add_in_process(void *arg)
{
	struct coming *coming = arg;
	struct node *node = coming->node;
	ck_assert_int_eq(group_add(node->store, SHARD, &events, node, &node->group), 0);
	group_set_self(node->group, coming->replica);
	group_start(node->group);
	io_wake(node->io, NULL);
}

void add_replica(unsigned number, uint64_t replica)
{
	struct coming coming = {.node = &world.node[number], .replica = replica};
	ck_assert(sim_node_run(coming.node->machine, add_in_process, &coming));
}

uint64_t applied_index(unsigned number)
{
	const struct node *node = &world.node[number];
	return node->up && node->group ? group_applied(node->group).index : 0;
}

struct look {
	struct node *node;
	uint64_t hash;
};

static void hash_in_process(void *arg)
{
	struct look *look = arg;
	struct cursor *cursor;
	struct hash_stream stream;
	uint8_t kind = KEY_KIND_FIRST_FREE;
	hash_stream_init(&stream, 0);
	ck_assert_int_eq(cursor_open(group_store_engine(look->node->store), SHARD,
	                     slice_of(&kind, 1), slice_of(NULL, 0), &cursor),
	    0);
	struct slice key, value;
	while (cursor_next(cursor, &key, &value) == 0) {
		/* Those who never changed have no record of who they are. */
		if (key.data[0] == KEY_KIND_MEMBERS)
			continue;
		hash_stream_update(&stream, key);
		hash_stream_update(&stream, value);
	}
	cursor_close(cursor);
	look->hash = hash_stream_value(&stream);
}

uint64_t state_hash(unsigned number)
{
	struct look look = {.node = &world.node[number]};
	ck_assert(sim_node_run(look.node->machine, hash_in_process, &look));
	return look.hash;
}

static void figures_in_process(void *arg)
{
	struct node *node = arg;
	node->figures = snapshots_figures(node->snapshots);
}

uint64_t model_hash(uint64_t count)
{
	struct hash_stream stream;
	hash_stream_init(&stream, 0);
	for (uint64_t i = 0; i < KEYS && i < count; i++) {
		uint8_t value[VALUE_BYTES], key[KEY_BYTES];
		make_value(i + (count - 1 - i) / KEYS * KEYS, key, value);
		hash_stream_update(&stream, slice_of(key, sizeof(key)));
		hash_stream_update(&stream, slice_of(value, sizeof(value)));
	}
	return hash_stream_value(&stream);
}

void look_at_figures(unsigned number)
{
	struct node *node = &world.node[number];
	ck_assert(sim_node_run(node->machine, figures_in_process, node));
}

void inject(unsigned from, unsigned to, const struct snapshot_message *message)
{
	uint8_t span[4096], body[2048];
	struct writer out = writer_of(body, sizeof(body));
	struct writer writer = writer_of(span, sizeof(span));
	snapshot_body_write(&out, message);
	snapshot_head_write(
	    &writer, message, snapshot_hash(message->kind, message->id, writer_view(&out)));
	writer_slice(&writer, writer_view(&out));
	ck_assert(!writer.failed);
	put_packet(from, to, true, writer_view(&writer));
}

bool has_leader(void *arg)
{
	(void)arg;
	return leader() != NULL;
}

bool all_have_all(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < world.nodes; i++)
		if (applied_index(i) != world.highest)
			return false;
	return world.highest > 0 && world.highest >= world.proposed;
}
