/* What goes first on a link: heartbeats, votes and their answers wait behind nothing, entries and
 * snapshots share what is left. */
#include <string.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/io/io.h"
#include "base/limits.h"
#include "replication/peer/peer.h"
#include "replication/raft/raft.h"
#include "replication/raft/wire.h"
#include "tests/unit/group/carrier_world.h"

/* Of the first node's replica of shard 1 to the second's: in a term in which nobody led, so that
 * they change nothing there, and are told apart from what the groups say themselves. */
enum { OLD_TERM = 0 };

static struct raft_message message_of(enum raft_message_kind kind)
{
	return (struct raft_message){.kind = kind, .from = 1, .to = 2, .term = OLD_TERM};
}

static const struct peer *link_of(const struct node *node)
{
	return peer_find(node->peers, 2, 0);
}

/* Which class has more than before; one of them has. */
static enum peer_class class_with_more(const struct node *node, uint64_t before[PEER_CLASSES])
{
	int found = -1;
	for (int class = 0; class < PEER_CLASSES; class ++) {
		uint64_t bytes = peer_queued_bytes(link_of(node), (enum peer_class) class);
		ck_assert(bytes == before[class] || found < 0);
		if (bytes != before[class])
			found = class;
		before[class] = bytes;
	}
	ck_assert_int_ge(found, 0);
	return (enum peer_class)found;
}

static int send_snapshot(const struct node *node, size_t bytes)
{
	static const uint8_t zeros[MIB]; /* no message of a snapshot: it is passed over there */
	struct iovec iov = {.iov_base = (void *)(uintptr_t)zeros, .iov_len = bytes};
	return carrier_send_snapshot(node->carrier, 1, 2, &iov, 1);
}

static void send_each_kind(void *arg)
{
	static const enum peer_class CLASS[] = {
	    [RAFT_PREVOTE] = PEER_URGENT,
	    [RAFT_PREVOTE_REPLY] = PEER_URGENT,
	    [RAFT_VOTE] = PEER_URGENT,
	    [RAFT_VOTE_REPLY] = PEER_URGENT,
	    [RAFT_APPEND_ENTRIES] = PEER_ENTRIES,
	    [RAFT_APPEND_REPLY] = PEER_ENTRIES,
	    [RAFT_HEARTBEAT] = PEER_URGENT,
	    [RAFT_HEARTBEAT_REPLY] = PEER_URGENT,
	    [RAFT_TIMEOUT_NOW] = PEER_URGENT,
	    [RAFT_WAKE] = PEER_URGENT,
	    [RAFT_READ_INDEX] = PEER_URGENT,
	    [RAFT_READ_INDEX_REPLY] = PEER_URGENT,
	};
	const struct node *node = arg;
	uint64_t queued[PEER_CLASSES] = {0};
	ck_assert(peer_is_up(link_of(node)));
	for (int class = 0; class < PEER_CLASSES; class ++)
		queued[class] = peer_queued_bytes(link_of(node), (enum peer_class) class);
	for (unsigned kind = RAFT_PREVOTE; kind <= RAFT_READ_INDEX_REPLY; kind++) {
		struct raft_message message = message_of((enum raft_message_kind)kind);
		carrier_send(node->carrier, 1, &message);
		carrier_turn(node->carrier);
		ck_assert_msg(class_with_more(node, queued) == CLASS[kind], "kind %u", kind);
	}
	ck_assert_int_eq(send_snapshot(node, 100), 0);
	ck_assert_int_eq(class_with_more(node, queued), PEER_BULK);
	carrier_say_not_here(node->carrier, 1, 1, 2);
	ck_assert_int_eq(class_with_more(node, queued), PEER_URGENT);
}

START_TEST(each_kind_of_message_has_its_class)
{
	begin_world(400);
	pass(5 * NS_PER_S);
	ck_assert(sim_node_run(world.nodes[0].machine, send_each_kind, &world.nodes[0]));
	sim_free(world.sim);
}
END_TEST

/* What came of those of OLD_TERM, and of snapshots, in this order. */
static struct {
	unsigned snapshots, snapshots_before_entries;
	bool heartbeat, entries;
} arrived;

static void note_arrival(
    const struct node *node, uint16_t from, enum peer_class class, uint8_t kind, struct slice bytes)
{
	static struct raft_entry entries[RAFT_MESSAGE_ENTRIES_MAX];
	struct reader in = reader_of(bytes);
	struct raft_message message;
	(void)class;
	if (number_of(node) != 2 || from != 1)
		return;
	if (kind == CARRIER_SNAPSHOT)
		arrived.snapshots++;
	while (kind == CARRIER_MESSAGES && reader_left(&in) > 0) {
		(void)reader_varint(&in);
		ck_assert_int_eq(raft_message_read(&in, &message, entries), 0);
		if (message.term != OLD_TERM)
			continue;
		if (message.kind == RAFT_HEARTBEAT) {
			/* It was sent last. */
			ck_assert(!arrived.entries && arrived.snapshots == 0);
			arrived.heartbeat = true;
		} else {
			arrived.entries = true;
			arrived.snapshots_before_entries = arrived.snapshots;
		}
	}
}

static void send_much(void *arg)
{
	static uint8_t bytes[MIB / 2];
	struct node *node = arg;
	unsigned snapshots = 0;
	while (send_snapshot(node, MIB) == 0)
		snapshots++;
	ck_assert_uint_ge(snapshots, 4);
	ck_assert_int_eq(send_snapshot(node, MIB), ERR_FULL);
	struct raft_message message = message_of(RAFT_APPEND_ENTRIES);
	struct raft_entry entry = {
	    .term = OLD_TERM, .kind = RAFT_DATA, .data = slice_of(bytes, sizeof(bytes))};
	message.entries = &entry;
	message.count = 1;
	carrier_send(node->carrier, 1, &message);
	message = message_of(RAFT_HEARTBEAT);
	carrier_send(node->carrier, 1, &message);
	carrier_turn(node->carrier);
	io_wake(node->io, NULL);
}

/* Entries wait for a fifth of what is under way of a snapshot, and for no more of it. */
START_TEST(a_heartbeat_waits_neither_for_snapshots_nor_for_entries)
{
	begin_world(401);
	pass(5 * NS_PER_S);
	memset(&arrived, 0, sizeof(arrived));
	world.arrives = note_arrival;
	uint64_t lost = world.nodes[0].figures.lost;
	ck_assert(sim_node_run(world.nodes[0].machine, send_much, &world.nodes[0]));
	pass(60 * NS_PER_S);
	ck_assert_uint_eq(world.nodes[0].figures.lost, lost);
	ck_assert(arrived.heartbeat && arrived.entries);
	ck_assert_uint_ge(arrived.snapshots, 4);
	ck_assert_uint_eq(arrived.snapshots_before_entries, 0);
	sim_free(world.sim);
}
END_TEST

Suite *class_suite(void)
{
	Suite *suite = suite_create("class");
	TCase *cases = tcase_create("class");
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, each_kind_of_message_has_its_class);
	tcase_add_test(cases, a_heartbeat_waits_neither_for_snapshots_nor_for_entries);
	suite_add_tcase(suite, cases);
	return suite;
}
