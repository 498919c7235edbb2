#include "replication/carrier.h"

#include <string.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/io/io.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/number_map.h"
#include "replication/group.h"
#include "replication/raft/wire.h"
#include "replication/snapshot.h"

/* What goes to one core of one node. */
struct lane {
	struct node *node;
	uint16_t core;
	bool up;
	bool lost; /* something, in this turn */
	struct list_node dirty_link;
	struct buffer batch[PEER_BULK]; /* by class, without PEER_BULK */
};

/* Stays for good once it was known; without lanes it is not, any more. */
struct node {
	struct list_node link;
	struct carrier *carrier;
	uint16_t node, cores, stores;
	bool gone;          /* for good; only groups that have replicas there keep it here */
	struct lane *lanes; /* [cores] */
};

struct carrier {
	struct carrier_options options;
	struct snapshots *snapshots; /* NULL: none */
	struct number_map nodes;     /* by number */
	struct list list;
	struct list dirty; /* lanes with something in them */
	struct io_timer down_timer;
	struct carrier_figures figures;
	struct raft_entry entries[RAFT_MESSAGE_ENTRIES_MAX];
};

static const uint64_t DOWN_NS = GROUP_ELECTION_MS / 2 * NS_PER_MS;

static const uint64_t BATCH_BYTES_MAX[PEER_BULK] = {
    [PEER_URGENT] = PEER_URGENT_BYTES_MAX, [PEER_ENTRIES] = PEER_MESSAGE_BYTES_MAX};

static void down_fired(struct io_timer *timer);

/* ---- Life ---- */

int carrier_new(const struct carrier_options *options, struct carrier **ret_carrier)
{
	struct carrier *carrier = mem_zalloc(1, sizeof(*carrier));
	if (!carrier)
		return ERR_NOMEM;
	carrier->options = *options;
	carrier->down_timer.fired = down_fired;
	number_map_init(&carrier->nodes);
	list_init(&carrier->list);
	list_init(&carrier->dirty);
	*ret_carrier = carrier;
	return 0;
}

void carrier_set_snapshots(struct carrier *carrier, struct snapshots *snapshots)
{
	carrier->snapshots = snapshots;
}

static struct node *find(const struct carrier *carrier, uint16_t number)
{
	return number_map_get(&carrier->nodes, number);
}

static void drop_lanes(struct node *node)
{
	for (uint16_t i = 0; i < node->cores; i++) {
		list_remove(&node->lanes[i].dirty_link);
		for (unsigned class = 0; class < PEER_BULK; class ++)
			buffer_done(&node->lanes[i].batch[class]);
	}
	mem_free(node->lanes);
	node->lanes = NULL;
	node->cores = 0;
}

void carrier_free(struct carrier *carrier)
{
	struct list_node *first;
	if (!carrier)
		return;
	while ((first = list_pop_front(&carrier->list))) {
		struct node *node = CONTAINER_OF(first, struct node, link);
		drop_lanes(node);
		mem_free(node);
	}
	io_timer_cancel(carrier->options.io, &carrier->down_timer);
	number_map_done(&carrier->nodes);
	mem_free(carrier);
}

/* ---- Nodes ---- */

/* While some node is not reached. */
static void watch(struct carrier *carrier)
{
	if (!carrier->down_timer.armed)
		io_timer_set(carrier->options.io, &carrier->down_timer,
		    io_now_ns(carrier->options.io) + DOWN_NS);
}

static int need(struct carrier *carrier, uint16_t number, struct node **ret_node)
{
	struct node *node = find(carrier, number);
	if (!node) {
		node = mem_zalloc(1, sizeof(*node));
		if (node)
			list_node_init(&node->link);
		if (!node || number_map_put(&carrier->nodes, number, node)) {
			mem_free(node);
			return ERR_NOMEM;
		}
		node->carrier = carrier;
		node->node = number;
		list_push_back(&carrier->list, &node->link);
	}
	*ret_node = node;
	return 0;
}

int carrier_set_node(struct carrier *carrier, uint16_t number, uint16_t cores, uint16_t stores)
{
	struct node *node;
	ASSERT(cores > 0 && stores > 0);
	int error = need(carrier, number, &node);
	if (!error)
		node->gone = false;
	if (error || (node->cores == cores && node->stores == stores))
		return error;
	struct lane *lanes = mem_zalloc(cores, sizeof(*lanes));
	if (!lanes)
		return ERR_NOMEM;
	drop_lanes(node);
	node->lanes = lanes;
	node->cores = cores;
	node->stores = stores;
	for (uint16_t i = 0; i < cores; i++) {
		struct lane *lane = &node->lanes[i];
		lane->node = node;
		lane->core = i;
		list_node_init(&lane->dirty_link);
		for (unsigned class = 0; class < PEER_BULK; class ++)
			buffer_init(&lane->batch[class], BATCH_BYTES_MAX[class]);
		const struct peer *peer = peer_find(carrier->options.peers, number, i);
		lane->up = peer && peer_is_up(peer);
	}
	watch(carrier);
	return 0;
}

void carrier_remove_node(struct carrier *carrier, uint16_t number)
{
	struct node *node = find(carrier, number);
	if (!node || !node->lanes)
		return;
	node->gone = true;
	for (uint16_t i = 0; i < node->cores; i++)
		node->lanes[i].up = false;
	watch(carrier);
}

static struct lane *lane_of(const struct carrier *carrier, uint16_t number, uint16_t core)
{
	struct node *node = find(carrier, number);
	return node && core < node->cores ? &node->lanes[core] : NULL;
}

/* What was sent to replicas there may be lost; `down`: they are not reached. How many they are. */
static uint32_t tell_groups(struct carrier *carrier, const struct lane *lane, bool down)
{
	uint32_t count = 0;
	struct group_place place = {.node = lane->node->node,
	    .stores = lane->node->stores,
	    .cores = lane->node->cores,
	    .core = lane->core};
	for (uint32_t i = 0; i < carrier->options.store_count; i++)
		if (carrier->options.stores[i])
			count += group_store_missed(carrier->options.stores[i], &place, down);
	return count;
}

void carrier_link_up(struct carrier *carrier, uint16_t number, uint16_t core)
{
	struct lane *lane = lane_of(carrier, number, core);
	if (!lane)
		return;
	lane->up = true;
	if (carrier->snapshots)
		snapshots_link_up(carrier->snapshots, number);
}

void carrier_room(struct carrier *carrier, uint16_t number)
{
	if (carrier->snapshots)
		snapshots_room(carrier->snapshots, number);
}

void carrier_link_down(struct carrier *carrier, uint16_t number, uint16_t core)
{
	struct lane *lane = lane_of(carrier, number, core);
	if (!lane)
		return;
	lane->up = false;
	for (unsigned class = 0; class < PEER_BULK; class ++)
		buffer_clear(&lane->batch[class]);
	(void)tell_groups(carrier, lane, false);
	if (carrier->snapshots)
		snapshots_link_down(carrier->snapshots, number);
	watch(carrier);
}

/* Whoever relies on a replica there wakes. Of a core that no shard is shared with there is no peer.
 * Of a node that is gone there is none either, and its replicas may be members still: one that led
 * has to be replaced, and nobody else tells those who sleep. */
static bool is_missed(const struct carrier *carrier, const struct lane *lane)
{
	const struct node *node = lane->node;
	return !lane->up &&
	       (node->gone || peer_find(carrier->options.peers, node->node, lane->core));
}

static void down_fired(struct io_timer *timer)
{
	struct carrier *carrier = CONTAINER_OF(timer, struct carrier, down_timer);
	bool any = false;
	LIST_FOR_EACH(list_node, &carrier->list)
	{
		struct node *node = CONTAINER_OF(list_node, struct node, link);
		uint32_t replicas = 0;
		for (uint16_t i = 0; i < node->cores; i++)
			if (is_missed(carrier, &node->lanes[i])) {
				any = true;
				replicas += tell_groups(carrier, &node->lanes[i], true);
			}
		if (node->gone && replicas == 0)
			drop_lanes(node);
	}
	if (any)
		watch(carrier);
}

/* ---- Out ---- */

static void lose(struct lane *lane)
{
	lane->node->carrier->figures.lost++;
	lane->lost = true;
}

static void flush(struct lane *lane, enum peer_class class)
{
	struct carrier *carrier = lane->node->carrier;
	struct slice batch = buffer_view(&lane->batch[class]);
	if (batch.bytes == 0)
		return;
	struct peer *peer = peer_find(carrier->options.peers, lane->node->node, lane->core);
	struct iovec iov = {.iov_base = (void *)(uintptr_t)batch.data, .iov_len = batch.bytes};
	if (!peer || peer_send(peer, class, CARRIER_MESSAGES, &iov, 1))
		lose(lane);
	else
		carrier->figures.batches_sent++;
	buffer_clear(&lane->batch[class]);
}

static enum peer_class class_of(const struct raft_message *message)
{
	bool entries = message->kind == RAFT_APPEND_ENTRIES || message->kind == RAFT_APPEND_REPLY;
	return entries ? PEER_ENTRIES : PEER_URGENT;
}

static size_t bytes_max(const struct raft_message *message)
{
	size_t bytes = VARINT_BYTES_MAX + RAFT_MESSAGE_HEAD_BYTES_MAX;
	for (uint32_t i = 0; i < message->count; i++)
		bytes += RAFT_ENTRY_HEAD_BYTES_MAX + message->entries[i].data.bytes;
	return bytes;
}

static struct lane *lane_to(const struct carrier *carrier, uint32_t shard, uint64_t replica)
{
	struct node *node = find(carrier, (uint16_t)replica);
	return node && node->lanes ? &node->lanes[shard % node->stores % node->cores] : NULL;
}

int carrier_send_snapshot(
    void *arg, uint32_t shard, uint64_t to, const struct iovec *iov, size_t count)
{
	enum { PARTS_MAX = 4 };
	struct carrier *carrier = arg;
	uint8_t bytes[VARINT_BYTES_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	struct iovec all[1 + PARTS_MAX];
	struct lane *lane = lane_to(carrier, shard, to);
	ASSERT(count <= PARTS_MAX);
	if (!lane || !lane->up)
		return ERR_CLOSED;
	struct peer *peer = peer_find(carrier->options.peers, lane->node->node, lane->core);
	if (!peer)
		return ERR_CLOSED;
	writer_varint(&out, shard);
	all[0] = (struct iovec){.iov_base = bytes, .iov_len = writer_used(&out)};
	memcpy(all + 1, iov, count * sizeof(*iov));
	return peer_send(peer, PEER_BULK, CARRIER_SNAPSHOT, all, 1 + count);
}

void carrier_send(struct carrier *carrier, uint32_t shard, const struct raft_message *message)
{
	struct lane *lane = lane_to(carrier, shard, message->to);
	if (!lane || !lane->up) {
		carrier->figures.lost++;
		return;
	}
	enum peer_class class = class_of(message);
	struct buffer *batch = &lane->batch[class];
	size_t bytes = bytes_max(message);
	if (buffer_view(batch).bytes + bytes > BATCH_BYTES_MAX[class])
		flush(lane, class);
	uint8_t *room;
	if (buffer_reserve(batch, bytes, &room)) {
		lose(lane);
		return;
	}
	struct writer out = writer_of(room, bytes);
	writer_varint(&out, shard);
	raft_message_write(&out, message);
	for (uint32_t i = 0; i < message->count; i++)
		raft_entry_write(&out, &message->entries[i]);
	ASSERT(!out.failed);
	buffer_commit(batch, writer_used(&out));
	carrier->figures.messages_sent++;
	if (!list_linked(&lane->dirty_link))
		list_push_back(&carrier->dirty, &lane->dirty_link);
}

void carrier_turn(struct carrier *carrier)
{
	struct list_node *first;
	while ((first = list_pop_front(&carrier->dirty))) {
		struct lane *lane = CONTAINER_OF(first, struct lane, dirty_link);
		flush(lane, PEER_URGENT);
		flush(lane, PEER_ENTRIES);
		if (!lane->lost)
			continue;
		lane->lost = false;
		tell_groups(carrier, lane, false);
	}
}

/* ---- In ---- */

static struct group_store *store_of(const struct carrier *carrier, uint64_t shard)
{
	return shard <= carrier->options.shard_max
	           ? carrier->options.stores[shard % carrier->options.store_count]
	           : NULL;
}

/* Another core of this node has it: the other node goes by how many there were, until it hears of
 * more. What it sends is lost, and no reason to part. */
static bool is_elsewhere(const struct carrier *carrier, uint64_t shard)
{
	return shard <= carrier->options.shard_max && !store_of(carrier, shard);
}

static void say_not_here(
    struct carrier *carrier, uint16_t number, uint16_t core, uint32_t shard, uint64_t replica)
{
	uint8_t bytes[2 * VARINT_BYTES_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	struct peer *peer = peer_find(carrier->options.peers, number, core);
	writer_varint(&out, shard);
	writer_varint(&out, replica);
	struct iovec iov = {.iov_base = bytes, .iov_len = writer_used(&out)};
	/* Where it is lost, it is asked for again. */
	if (peer && !peer_send(peer, PEER_URGENT, CARRIER_NOT_HERE, &iov, 1))
		carrier->figures.not_here++;
}

void carrier_say_not_here(struct carrier *carrier, uint32_t shard, uint64_t replica, uint64_t to)
{
	const struct lane *lane = lane_to(carrier, shard, to);
	if (lane && lane->up)
		say_not_here(carrier, lane->node->node, lane->core, shard, replica);
}

static int receive_messages(
    struct carrier *carrier, uint16_t number, uint16_t core, struct slice bytes)
{
	struct reader in = reader_of(bytes);
	while (reader_left(&in) > 0) {
		struct raft_message message;
		uint64_t shard = reader_varint(&in);
		if (in.failed || raft_message_read(&in, &message, carrier->entries))
			return ERR_PROTOCOL;
		struct group_store *store = store_of(carrier, shard);
		if (is_elsewhere(carrier, shard))
			continue;
		if (!store || (uint16_t)message.from != number)
			return ERR_PROTOCOL;
		carrier->figures.messages_received++;
		if (!group_store_receive(store, (uint32_t)shard, &message))
			say_not_here(carrier, number, core, (uint32_t)shard, message.to);
	}
	return 0;
}

static int receive_not_here(struct carrier *carrier, uint16_t number, struct slice bytes)
{
	struct reader in = reader_of(bytes);
	uint64_t shard = reader_varint(&in), replica = reader_varint(&in);
	struct group_store *store = store_of(carrier, shard);
	if (!in.failed && is_elsewhere(carrier, shard))
		return 0;
	if (in.failed || reader_left(&in) > 0 || !store || (uint16_t)replica != number)
		return ERR_PROTOCOL;
	group_store_not_there(store, (uint32_t)shard, replica);
	return 0;
}

static int receive_snapshot(struct carrier *carrier, uint16_t number, struct slice bytes)
{
	struct reader in = reader_of(bytes);
	uint64_t shard = reader_varint(&in);
	struct group_store *store = store_of(carrier, shard);
	if (!in.failed && is_elsewhere(carrier, shard))
		return 0;
	if (in.failed || !store)
		return ERR_PROTOCOL;
	snapshots_receive(carrier->snapshots, number, store, (uint32_t)shard, reader_rest(&in));
	return 0;
}

int carrier_receive(
    struct carrier *carrier, uint16_t number, uint16_t core, uint8_t kind, struct slice bytes)
{
	switch (kind) {
	case CARRIER_MESSAGES:
		return receive_messages(carrier, number, core, bytes);
	case CARRIER_NOT_HERE:
		return receive_not_here(carrier, number, bytes);
	case CARRIER_SNAPSHOT:
		return carrier->snapshots ? receive_snapshot(carrier, number, bytes)
		                          : ERR_NOT_FOUND;
	default:
		return ERR_NOT_FOUND;
	}
}

struct carrier_figures carrier_figures(const struct carrier *carrier)
{
	return carrier->figures;
}
