/* Groups of three replicas on three simulated machines, over links and carriers: what one has
 * applied at an index of a group, everyone who gets there applies; a term of a group has one
 * leader; when cuts, resets and crashes are over, all get the same, and who has slept wakes. */
#include <stdio.h>

#include "base/clock.h"
#include "base/io/io.h"
#include "replication/carrier.h"
#include "replication/group.h"
#include "replication/peer/peer.h"
#include "replication/raft/raft.h"
#include "replication/raft/wire.h"
#include "storage/batch.h"
#include "storage/engine_parts.h"
#include "tests/unit/group/carrier_world.h"

START_TEST(groups_agree_over_links)
{
	begin_world((uint64_t)_i + 1);
	work_disturbed();
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

static uint64_t asked, confirmed_then, known_then;

static void confirm_in_process(void *arg)
{
	struct replica *replica = arg;
	ck_assert(group_leads(replica->group));
	asked = group_confirm(replica->group);
	confirmed_then = group_confirmed(replica->group);
	known_then = group_known_ns(replica->group);
	ck_assert_uint_le(known_then, io_now_ns(replica->node->io));
	io_wake(replica->node->io, NULL);
}

/* It has no round of its own, and tells up to when this replica led for certain. */
static void check_lease_is_known(struct replica *leader)
{
	uint64_t known_before = known_then;
	pass(300 * NS_PER_MS);
	ck_assert(sim_node_run(leader->node->machine, confirm_in_process, leader));
	ck_assert_uint_le(asked, confirmed_then);
	ck_assert_uint_gt(known_then, known_before);
}

static struct replica *leader_of(uint32_t shard)
{
	for (int i = 0; i < NODES; i++)
		if (world.nodes[i].replicas[shard].leads)
			return &world.nodes[i].replicas[shard];
	ck_abort_msg("nobody leads");
}

/* The leader is asked right after a round, and when it has been cut off for a while: of turns, or
 * of the one in which it is asked. */
static void ask_leader(bool leases, bool stands_still)
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
	if (leases)
		check_lease_is_known(leader);
	for (int i = 0; i < NODES; i++)
		if (&world.nodes[i] != leader->node)
			cut(&world.nodes[i], leader->node, true);
	pass(stands_still ? 0 : 950 * NS_PER_MS);
	sim_node_set_clock_cost(leader->node->machine, stands_still ? NS_PER_S : 0);
	if (!leader->leads)
		return;
	ck_assert(sim_node_run(leader->node->machine, confirm_in_process, leader));
	ck_assert_uint_gt(asked, confirmed_then);
}

START_TEST(a_lease_saves_a_round_and_ends)
{
	ask_leader(true, false);
	sim_free(world.sim);
	ask_leader(true, true);
	sim_free(world.sim);
	ask_leader(false, false);
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
	/* Whoever was to lead may have asked for votes before it had that entry: then those who
	 * have it refuse, and one of them leads. */
	(void)leader_of(1);
	ck_assert_uint_gt(world.highest[1], highest);
	ck_assert(all_have_all());
	sim_free(world.sim);
}
END_TEST

static uint64_t transfer_ms;
static bool transfers;

static void look_at_transfer(void *arg)
{
	struct replica *replica = arg;
	transfer_ms = group_transfer_ms(replica->group);
	transfers = group_busy(replica->group);
}

static void look(struct replica *replica)
{
	ck_assert(sim_node_run(replica->node->machine, look_at_transfer, replica));
}

static void transfer_to_nobody(void *arg)
{
	struct replica *replica = arg;
	ck_assert_int_eq(group_transfer(replica->group, 99), ERR_NOT_FOUND);
}

/* Who is to lead hears nothing of it, and all others follow the old leader. */
START_TEST(that_leadership_could_not_be_handed_over_is_known)
{
	begin_world((uint64_t)_i + 140);
	pass(15 * NS_PER_S);
	struct replica *old = leader_of(1);
	look(old);
	ck_assert_uint_eq(transfer_ms, UINT64_MAX);
	struct node *next = &world.nodes[group_self(old->group) % NODES];
	cut(old->node, next, true);
	ck_assert(sim_node_run(old->node->machine, transfer_in_process, old));
	look(old);
	ck_assert_uint_eq(transfer_ms, 0);
	ck_assert(transfers);
	pass(GROUP_ELECTION_MS * NS_PER_MS + 100 * NS_PER_MS);
	ck_assert(old->leads);
	look(old);
	ck_assert(!transfers);
	ck_assert_uint_ge(transfer_ms, GROUP_ELECTION_MS);
	ck_assert_uint_le(transfer_ms, 2 * GROUP_ELECTION_MS);
	/* What is refused counts, too. */
	ck_assert(sim_node_run(old->node->machine, transfer_to_nobody, old));
	look(old);
	ck_assert_uint_eq(transfer_ms, 0);
	ck_assert(!transfers);
	/* And another term begins without. */
	cut(old->node, next, false);
	ck_assert(sim_node_run(old->node->machine, transfer_in_process, old));
	pass(15 * NS_PER_S);
	look(leader_of(1));
	ck_assert_uint_eq(transfer_ms, UINT64_MAX);
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
	uint64_t committed = group_committed(replica->group);
	ck_assert_uint_ge(committed, replica->applied);
	ck_assert_uint_le(committed, had);
	ck_assert(sim_node_run(left->machine, recover_in_process, replica));
	ck_assert_int_eq(recovered, 0);
	ck_assert_uint_eq(recovered_at.index, had + 1);
	/* Not before that is on its disk. */
	ck_assert_uint_eq(group_committed(replica->group), committed);
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

/* ---- A node is removed ---- */

static void forget_in_process(void *arg)
{
	struct node *node = arg;
	const struct node *gone = &world.nodes[0];
	carrier_link_down(node->carrier, number_of(gone), 0);
	peer_remove(peer_find(node->peers, number_of(gone), 0));
	carrier_remove_node(node->carrier, number_of(gone));
	io_wake(node->io, NULL);
}

static bool leads_somewhere(uint32_t shard)
{
	return world.nodes[1].replicas[shard].leads || world.nodes[2].replicas[shard].leads;
}

/* Nobody else would tell them that their leader is not there any more. */
START_TEST(who_sleeps_wakes_though_the_leaders_node_is_removed)
{
	unsigned led = 0;
	begin_world((uint64_t)_i + 200);
	pass(15 * NS_PER_S);
	for (uint32_t shard = 1; shard <= SHARDS; shard++) {
		led += world.nodes[0].replicas[shard].leads;
		ck_assert(group_asleep(world.nodes[1].replicas[shard].group));
		ck_assert(group_asleep(world.nodes[2].replicas[shard].group));
	}
	crash(&world.nodes[0]);
	for (unsigned i = 1; i < NODES; i++)
		ck_assert(sim_node_run(world.nodes[i].machine, forget_in_process, &world.nodes[i]));
	pass(10 * NS_PER_S);
	for (uint32_t shard = 1; shard <= SHARDS; shard++)
		ck_assert_msg(leads_somewhere(shard), "shard %u of which %u were led there",
		    (unsigned)shard, led);
	sim_free(world.sim);
}
END_TEST

/* ---- A shard is found damaged while its group runs ---- */

static void damage_in_process(void *arg)
{
	const struct replica *replica = arg;
	struct engine *engine = group_store_engine(replica->node->store);
	engine_shard_close(engine, replica->shard, "a test", ERR_CORRUPT);
	io_wake(replica->node->io, NULL);
}

static void say_not_here_in_process(void *arg)
{
	const struct replica *replica = arg;
	for (uint64_t to = 1; to <= NODES; to++)
		if (to != group_self(replica->group))
			carrier_say_not_here(
			    replica->node->carrier, replica->shard, group_self(replica->group), to);
	io_wake(replica->node->io, NULL);
}

static struct replica *other_leader(const struct replica *than)
{
	for (int i = 0; i < NODES; i++) {
		struct replica *replica = &world.nodes[i].replicas[than->shard];
		if (replica != than && group_leads(replica->group))
			return replica;
	}
	return NULL;
}

/* Its node is there, and nobody asks: only it can say that. */
START_TEST(who_sleeps_wakes_when_the_leader_is_found_damaged)
{
	begin_world((uint64_t)_i + 240);
	pass(15 * NS_PER_S);
	struct replica *leader = leader_of(1);
	ck_assert(group_asleep(leader->group));
	ck_assert(sim_node_run(leader->node->machine, damage_in_process, leader));
	pass(5 * NS_PER_S);
	ck_assert(!group_leads(leader->group) && group_closed(leader->group));
	ck_assert_ptr_null(other_leader(leader));
	for (int i = 0; i < 10; i++) {
		ck_assert(sim_node_run(leader->node->machine, say_not_here_in_process, leader));
		pass(500 * NS_PER_MS);
	}
	const struct replica *other = other_leader(leader);
	ck_assert_ptr_nonnull(other);
	ck_assert_uint_eq(world.nodes[leader->node - world.nodes].figures.not_here, 20);
	/* What is left is enough, and it is let be. */
	uint64_t term = group_term(other->group);
	for (int i = 0; i < 10; i++) {
		ck_assert(sim_node_run(leader->node->machine, say_not_here_in_process, leader));
		pass(500 * NS_PER_MS);
	}
	ck_assert(group_leads(other->group));
	ck_assert_uint_eq(group_term(other->group), term);
	sim_free(world.sim);
}
END_TEST

/* In one turn: something is to be sent, the shard is closed, and a message brings a higher term. */
static void damage_amid_in_process(void *arg)
{
	struct replica *replica = arg;
	struct group_store *store = replica->node->store;
	uint64_t self = group_self(replica->group);
	act_in_process(replica->node);
	damage_in_process(replica);
	struct raft_message message = {.kind = RAFT_HEARTBEAT,
	    .from = self % NODES + 1,
	    .to = self,
	    .term = group_term(replica->group) + 1};
	ck_assert(group_store_receive(store, replica->shard, &message));
}

START_TEST(who_is_closed_in_a_turn_writes_nothing_more)
{
	begin_world(260);
	pass(15 * NS_PER_S);
	struct replica *leader = leader_of(1);
	struct engine *engine = group_store_engine(leader->node->store);
	ck_assert(sim_node_run(leader->node->machine, damage_amid_in_process, leader));
	uint64_t last = group_last(leader->group).index;
	struct log_hard_state hard = engine_hard_durable(engine, 1);
	pass(5 * NS_PER_S);
	ck_assert(group_closed(leader->group));
	ck_assert_uint_eq(group_last(leader->group).index, last);
	ck_assert_uint_eq(engine_hard_durable(engine, 1).term, hard.term);
	sim_free(world.sim);
}
END_TEST

static void recover_damaged_in_process(void *arg)
{
	damage_in_process(arg);
	recover_in_process(arg);
}

static void crash_others(const struct node *left)
{
	for (int i = 0; i < NODES; i++)
		if (&world.nodes[i] != left)
			crash(&world.nodes[i]);
	pass(5 * NS_PER_S);
}

/* Found damaged in the turn in which it is to go on alone, or before. */
START_TEST(who_is_closed_does_not_go_on_alone)
{
	bool is_known = _i % 2 == 0;
	begin_world((uint64_t)_i + 300);
	pass(15 * NS_PER_S);
	struct node *left = &world.nodes[1 + below(NODES - 1)];
	struct replica *replica = &left->replicas[1];
	crash_others(left);
	struct engine *engine = group_store_engine(left->store);
	struct log_hard_state hard = engine_hard_durable(engine, 1);
	uint64_t last = group_last(replica->group).index;
	if (is_known) {
		ck_assert(sim_node_run(left->machine, damage_in_process, replica));
		pass(NS_PER_S);
		ck_assert(group_closed(replica->group));
	}
	recovered_at = (struct group_position){.index = 0};
	for (int i = 0; i < 2; i++) {
		ck_assert(sim_node_run(left->machine,
		    is_known || i > 0 ? recover_in_process : recover_damaged_in_process, replica));
		ck_assert_int_eq(recovered, ERR_DATA_LOSS);
		pass(5 * NS_PER_S);
	}
	ck_assert_uint_eq(recovered_at.index, 0);
	ck_assert(!replica->leads && group_closed(replica->group));
	ck_assert_uint_eq(group_last(replica->group).index, last);
	ck_assert_uint_eq(engine_hard_durable(engine, 1).term, hard.term);
	/* The other groups there are whole. */
	replica = &left->replicas[2];
	ck_assert(sim_node_run(left->machine, recover_in_process, replica));
	ck_assert_int_eq(recovered, 0);
	pass(5 * NS_PER_S);
	ck_assert(replica->leads);
	sim_free(world.sim);
}
END_TEST

/* The damaged ones are there, and neither vote for it nor hinder it. */
START_TEST(who_is_whole_goes_on_alone_beside_those_that_are_closed)
{
	begin_world((uint64_t)_i + 320);
	pass(15 * NS_PER_S);
	/* One that follows; replica 1 would be taken for one that begins alone. */
	struct node *left = &world.nodes[leader_of(1)->node == &world.nodes[1] ? 2 : 1];
	struct replica *replica = &left->replicas[1];
	for (int i = 0; i < NODES; i++)
		if (&world.nodes[i] != left)
			ck_assert(sim_node_run(world.nodes[i].machine, damage_in_process,
			    &world.nodes[i].replicas[1]));
	pass(10 * NS_PER_S);
	ck_assert(!group_leads(replica->group));
	uint64_t had = group_last(replica->group).index;
	ck_assert(sim_node_run(left->machine, recover_in_process, replica));
	ck_assert_int_eq(recovered, 0);
	ck_assert_uint_eq(recovered_at.index, had + 1);
	pass(5 * NS_PER_S);
	ck_assert(group_leads(replica->group) && replica->applied > had);
	uint64_t applied_before = replica->applied;
	ck_assert(sim_node_run(left->machine, act_in_process, left));
	pass(NS_PER_S);
	ck_assert_uint_gt(replica->applied, applied_before);
	for (int i = 0; i < NODES; i++)
		if (&world.nodes[i] != left)
			ck_assert(group_closed(world.nodes[i].replicas[1].group));
	sim_free(world.sim);
}
END_TEST

/* What closed it is mended, as by an install that was under way: it stays closed. */
static void mend_in_process(void *arg)
{
	const struct replica *replica = arg;
	struct engine *engine = group_store_engine(replica->node->store);
	engine_shard_reopen(engine, engine_shard_find(engine, replica->shard));
	io_wake(replica->node->io, NULL);
}

START_TEST(who_is_closed_stays_so_though_its_shard_is_mended)
{
	begin_world((uint64_t)_i + 280);
	pass(15 * NS_PER_S);
	struct replica *leader = leader_of(1);
	struct engine *engine = group_store_engine(leader->node->store);
	ck_assert(sim_node_run(leader->node->machine, damage_amid_in_process, leader));
	pass(NS_PER_S);
	ck_assert(sim_node_run(leader->node->machine, mend_in_process, leader));
	ck_assert(!engine_shard_closed(engine, 1) && group_closed(leader->group));
	struct log_hard_state hard = engine_hard_durable(engine, 1);
	pass(10 * NS_PER_S);
	ck_assert(group_closed(leader->group));
	ck_assert_uint_eq(engine_hard_durable(engine, 1).term, hard.term);
	ck_assert_int_eq(group_recover(leader->group, 500, &recovered_at), ERR_DATA_LOSS);
	sim_free(world.sim);
}
END_TEST

static unsigned told_not_here;

/* To a number that the replica there does not have, or not any more. */
static void send_to_another_in_process(void *arg)
{
	const struct replica *leader = arg;
	uint64_t self = group_self(leader->group);
	struct raft_message message = {.kind = RAFT_HEARTBEAT,
	    .from = self,
	    .to = self % NODES + 1 + (UINT64_C(1) << 16),
	    .term = group_term(leader->group)};
	carrier_send(leader->node->carrier, leader->shard, &message);
	io_wake(leader->node->io, NULL);
}

static void note_not_here(
    const struct node *node, uint16_t from, enum peer_class class, uint8_t kind, struct slice bytes)
{
	struct reader in = reader_of(bytes);
	if (kind != CARRIER_NOT_HERE)
		return;
	ck_assert_int_eq(class, PEER_URGENT);
	ck_assert_uint_eq(reader_varint(&in), 1);
	ck_assert_uint_eq(reader_varint(&in), from + (UINT64_C(1) << 16));
	ck_assert_uint_eq(reader_left(&in), 0);
	ck_assert(node->replicas[1].leads);
	told_not_here++;
}

/* Else who asks would wait for it as for one that is slow. */
START_TEST(who_asks_for_a_replica_that_is_not_there_is_told_so)
{
	begin_world(330);
	pass(15 * NS_PER_S);
	told_not_here = 0;
	world.arrives = note_not_here;
	ck_assert(
	    sim_node_run(leader_of(1)->node->machine, send_to_another_in_process, leader_of(1)));
	pass(NS_PER_S);
	ck_assert_uint_eq(told_not_here, 1);
	sim_free(world.sim);
}
END_TEST

/* A node with more cores than the others know of: they send to the core that had the shard. */
START_TEST(what_is_for_another_core_is_lost_and_nothing_more)
{
	struct group_store *const stores[] = {NULL, NULL};
	begin_world(260);
	struct carrier_options options = {
	    .io = world.nodes[0].io, .stores = stores, .store_count = 2, .shard_max = 5};
	struct carrier *carrier;
	uint8_t bytes[128];
	struct raft_message message = {.kind = RAFT_HEARTBEAT, .from = 2, .to = 1, .term = 3};
	ck_assert_int_eq(carrier_new(&options, &carrier), 0);
	for (uint64_t shard = 4; shard <= 6; shard++) {
		int expected = shard <= options.shard_max ? 0 : ERR_PROTOCOL;
		struct writer out = writer_of(bytes, sizeof(bytes));
		writer_varint(&out, shard);
		raft_message_write(&out, &message);
		ck_assert_int_eq(
		    carrier_receive(carrier, 2, 0, CARRIER_MESSAGES, writer_view(&out)), expected);
		out = writer_of(bytes, sizeof(bytes));
		writer_varint(&out, shard);
		writer_varint(&out, 2);
		ck_assert_int_eq(
		    carrier_receive(carrier, 2, 0, CARRIER_NOT_HERE, writer_view(&out)), expected);
	}
	carrier_free(carrier);
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
	tcase_add_loop_test(cases, that_leadership_could_not_be_handed_over_is_known, 0, 5);
	tcase_add_loop_test(cases, who_is_left_goes_on_alone, 0, 12);
	tcase_add_loop_test(cases, who_sleeps_wakes_though_the_leaders_node_is_removed, 0, 5);
	tcase_add_loop_test(cases, a_store_that_closes_takes_nothing_more, 0, NODES);
	tcase_add_loop_test(cases, who_sleeps_wakes_when_the_leader_is_found_damaged, 0, 5);
	tcase_add_loop_test(cases, who_is_closed_in_a_turn_writes_nothing_more, 0, 5);
	tcase_add_loop_test(cases, who_is_closed_stays_so_though_its_shard_is_mended, 0, 5);
	tcase_add_loop_test(cases, who_is_closed_does_not_go_on_alone, 0, 6);
	tcase_add_loop_test(cases, who_is_whole_goes_on_alone_beside_those_that_are_closed, 0, 5);
	tcase_add_test(cases, who_asks_for_a_replica_that_is_not_there_is_told_so);
	tcase_add_test(cases, what_is_for_another_core_is_lost_and_nothing_more);
	suite_add_tcase(suite, cases);
	return suite;
}
