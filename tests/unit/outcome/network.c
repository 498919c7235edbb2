/* What nodes say to each other: see world.h. */
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "base/io/io.h"
#include "base/list.h"
#include "replication/group.h"
#include "replication/raft/wire.h"
#include "replication/snapshot.h"
#include "server/forward.h"
#include "tests/unit/outcome/world_parts.h"
#include "tests/unit/run.h"

enum {
	PACKET_BYTES_MAX = 512 * 1024,
	NEWS_MS = 100 /* so often a node hears that another is not reached */
};
#define WAY_NS (50 * NS_PER_US)

/* ---- Messages ---- */

enum packet_kind { PACKET_RAFT, PACKET_SNAPSHOT, PACKET_CALL };

struct packet {
	struct list_node node; /* of under_way */
	enum packet_kind kind;
	unsigned from, to;
	uint64_t link; /* CALL: the one that it is on */
	uint8_t call_kind;
	size_t bytes;
	uint8_t data[];
};

static struct list under_way;

static void receive(void *arg)
{
	static struct raft_entry entries[RAFT_MESSAGE_ENTRIES_MAX];
	const struct packet *packet = arg;
	const struct node *node = &world.nodes[packet->to];
	struct slice bytes = slice_of(packet->data, packet->bytes);
	struct reader reader = reader_of(bytes);
	struct raft_message message;
	switch (packet->kind) {
	case PACKET_RAFT:
		ck_assert_int_eq(raft_message_read(&reader, &message, entries), 0);
		group_store_receive(node->store, SHARD, &message);
		break;
	case PACKET_SNAPSHOT:
		snapshots_receive(node->snapshots, (uint16_t)(packet->from + REPLICA_FIRST),
		    node->store, SHARD, bytes);
		break;
	case PACKET_CALL:
		ck_assert_int_eq(
		    forward_receive(node->forward, (uint16_t)(packet->from + REPLICA_FIRST), 0,
		        packet->call_kind, bytes),
		    0);
		break;
	}
	io_wake(node->io, NULL);
}

static bool arrives(const struct packet *packet)
{
	if (!is_up(&world.nodes[packet->to]))
		return false;
	if (packet->kind != PACKET_CALL)
		return !world.cut[packet->from][packet->to];
	return world.linked[packet->from][packet->to] &&
	       packet->link == world.link_of[packet->from][packet->to];
}

static void deliver(void *arg)
{
	struct packet *packet = arg;
	if (arrives(packet))
		world_do(packet->to, receive, packet);
	list_remove(&packet->node);
	free(packet);
}

static struct packet *packet_new(
    enum packet_kind kind, unsigned from, unsigned to, const struct iovec *iov, size_t count)
{
	size_t bytes = 0, at = 0;
	for (size_t i = 0; i < count; i++)
		bytes += iov[i].iov_len;
	struct packet *packet = malloc(sizeof(*packet) + bytes);
	ck_assert_ptr_nonnull(packet);
	*packet = (struct packet){.kind = kind, .from = from, .to = to, .bytes = bytes};
	for (size_t i = 0; i < count; i++) {
		memcpy(packet->data + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	return packet;
}

/* All take equally long, so that none overtakes another. */
static void send(struct packet *packet)
{
	list_node_init(&packet->node);
	list_push_back(&under_way, &packet->node);
	sim_call_at(world.sim, sim_now_ns(world.sim) + WAY_NS, deliver, packet);
}

void network_send_raft(void *arg, uint32_t shard, const struct raft_message *message)
{
	static uint8_t span[PACKET_BYTES_MAX];
	struct writer writer = writer_of(span, sizeof(span));
	ck_assert_uint_eq(shard, SHARD);
	raft_message_write(&writer, message);
	for (uint32_t i = 0; i < message->count; i++)
		raft_entry_write(&writer, &message->entries[i]);
	ck_assert(!writer.failed);
	struct iovec iov = {span, writer_used(&writer)};
	unsigned to = (unsigned)message->to - REPLICA_FIRST;
	ck_assert_uint_lt(to, NODES);
	if (!world.cut[index_of(arg)][to])
		send(packet_new(PACKET_RAFT, index_of(arg), to, &iov, 1));
}

int network_send_snapshot(
    void *arg, uint32_t shard, uint64_t to, const struct iovec *iov, size_t count)
{
	unsigned node = (unsigned)to - REPLICA_FIRST;
	ck_assert_uint_eq(shard, SHARD);
	if (!world.cut[index_of(arg)][node])
		send(packet_new(PACKET_SNAPSHOT, index_of(arg), node, iov, count));
	return 0;
}

int network_send_call(
    void *arg, uint16_t node, uint16_t core, uint8_t kind, const struct iovec *iov, size_t count)
{
	unsigned from = index_of(arg), to = (unsigned)node - REPLICA_FIRST;
	ck_assert_uint_eq(core, 0);
	if (!world.linked[from][to])
		return ERR_CLOSED;
	if (world.full[from][to])
		return ERR_FULL;
	struct packet *packet = packet_new(PACKET_CALL, from, to, iov, count);
	packet->link = world.link_of[from][to];
	packet->call_kind = kind;
	send(packet);
	return 0;
}

/* As the owner of links tells it: who is not reached need not be waited for by those that sleep. */
static void tell_missed(void *arg)
{
	const struct node *node = arg;
	for (unsigned i = 0; i < NODES; i++) {
		struct group_place place = {
		    .node = (uint16_t)(i + REPLICA_FIRST), .stores = 1, .cores = 1};
		unsigned self = index_of(node);
		if (i != self &&
		    (world.cut[i][self] || world.cut[self][i] || !is_up(&world.nodes[i])))
			(void)group_store_missed(node->store, &place, true);
	}
	io_wake(node->io, NULL);
}

static void tick(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < NODES; i++)
		if (is_up(&world.nodes[i]))
			world_do(i, tell_missed, &world.nodes[i]);
	sim_call_at(world.sim, sim_now_ns(world.sim) + NEWS_MS * NS_PER_MS, tick, NULL);
}

void network_begin(void)
{
	list_init(&under_way);
	tick(NULL);
}

void network_end(void)
{
	struct list_node *node;
	while ((node = list_pop_front(&under_way)))
		free(CONTAINER_OF(node, struct packet, node));
}

void world_cut(unsigned from, unsigned to, bool is_cut)
{
	world.cut[from][to] = is_cut;
}

void world_cut_off(unsigned node, bool is_cut)
{
	for (unsigned i = 0; i < NODES; i++)
		if (i != node)
			world.cut[node][i] = world.cut[i][node] = is_cut;
}

/* ---- Links for calls ---- */

struct link_event {
	struct node *node;
	uint16_t other;
	bool is_up;
};

static void tell_link(void *arg)
{
	const struct link_event *event = arg;
	if (event->is_up)
		forward_link_up(event->node->forward, event->other, 0);
	else
		forward_link_down(event->node->forward, event->other, 0);
	io_wake(event->node->io, NULL);
}

static void set_link(unsigned from, unsigned to, bool is_linked)
{
	struct link_event event = {&world.nodes[from], (uint16_t)(to + REPLICA_FIRST), is_linked};
	world.linked[from][to] = is_linked;
	world.link_of[from][to] += is_linked;
	if (!is_linked)
		world.full[from][to] = false;
	if (is_up(event.node))
		world_do(from, tell_link, &event);
}

void world_link(unsigned a, unsigned b, bool is_linked)
{
	if (world.linked[a][b] == is_linked)
		return;
	set_link(a, b, is_linked);
	set_link(b, a, is_linked);
}

void world_link_all_of(unsigned node, bool is_linked)
{
	for (unsigned i = 0; i < NODES; i++)
		if (i != node && is_up(&world.nodes[i]))
			world_link(node, i, is_linked);
}

static void tell_room(void *arg)
{
	const struct link_event *event = arg;
	forward_room(event->node->forward, event->other, 0);
	io_wake(event->node->io, NULL);
}

void world_fill(unsigned from, unsigned to, bool is_full)
{
	struct link_event event = {&world.nodes[from], (uint16_t)(to + REPLICA_FIRST), true};
	world.full[from][to] = is_full;
	if (!is_full)
		world_do(from, tell_room, &event);
}
