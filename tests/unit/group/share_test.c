/* What all groups of a core share: whatever they have to say in a turn goes to each other node as
 * one message of a class, and into the log as one write. So what they cost is by node and by turn,
 * and not by group. */
#include "base/clock.h"
#include "base/io/io.h"
#include "storage/engine.h"
#include "tests/unit/group/carrier_world.h"

struct cost {
	uint64_t messages, batches, frames;
};

static struct cost cost_of(const struct node *node)
{
	return (struct cost){.messages = node->figures.messages_sent,
	    .batches = node->figures.batches_sent,
	    .frames = engine_figures(group_store_engine(node->store)).log.frames};
}

static struct cost cost_since(const struct node *node, struct cost before)
{
	struct cost now = cost_of(node);
	return (struct cost){.messages = now.messages - before.messages,
	    .batches = now.batches - before.batches,
	    .frames = now.frames - before.frames};
}

/* What the node, `arg`, leads it hands over to the first one, if that is up to date. */
static void hand_over(void *arg)
{
	struct node *node = arg;
	for (uint32_t shard = 1; shard <= SHARDS; shard++) {
		struct group *group = node->replicas[shard].group;
		int error = group_leads(group) ? group_transfer(group, 1) : 0;
		ck_assert(error == 0 || error == ERR_AGAIN);
	}
	io_wake(node->io, NULL);
}

static bool leads_all(const struct node *node)
{
	for (uint32_t shard = 1; shard <= SHARDS; shard++)
		if (!node->replicas[shard].leads)
			return false;
	return true;
}

static struct node *make_leader(uint64_t seed)
{
	begin_world(seed);
	pass(15 * NS_PER_S);
	for (int tries = 0; tries < 10 && !leads_all(&world.nodes[0]); tries++) {
		for (int i = 1; i < NODES; i++)
			ck_assert(sim_node_run(world.nodes[i].machine, hand_over, &world.nodes[i]));
		pass(3 * NS_PER_S);
	}
	ck_assert(leads_all(&world.nodes[0]));
	/* All are awake, have nothing to do, and no heartbeat is due. */
	ck_assert(sim_node_run(world.nodes[0].machine, act_in_process, &world.nodes[0]));
	pass(250 * NS_PER_MS);
	return &world.nodes[0];
}

START_TEST(groups_of_a_turn_share_a_write_and_a_message_to_each_node)
{
	struct node *leader = make_leader((uint64_t)_i + 300);
	struct cost before[NODES];
	for (int i = 0; i < NODES; i++)
		before[i] = cost_of(&world.nodes[i]);
	ck_assert(sim_node_run(leader->machine, act_in_process, leader));
	pass(100 * NS_PER_US);
	struct cost cost = cost_since(leader, before[0]);
	ck_assert_uint_eq(cost.messages, SHARDS * (NODES - 1));
	ck_assert_uint_eq(cost.batches, NODES - 1);
	ck_assert_uint_eq(cost.frames, 1);
	pass(10 * NS_PER_MS);
	for (int i = 1; i < NODES; i++) {
		cost = cost_since(&world.nodes[i], before[i]);
		ck_assert_uint_ge(cost.messages, SHARDS);
		ck_assert_uint_le(cost.batches, 3);
		ck_assert_uint_ge(cost.frames, 1);
		ck_assert_uint_le(cost.frames, 2);
	}
	sim_free(world.sim);
}
END_TEST

START_TEST(heartbeats_of_all_groups_go_to_a_node_as_one)
{
	struct node *leader = make_leader((uint64_t)_i + 320);
	struct cost before = cost_of(leader);
	pass(1000 * NS_PER_MS);
	struct cost cost = cost_since(leader, before);
	ck_assert_uint_ge(cost.batches, 9 * (NODES - 1));
	ck_assert_uint_le(cost.batches, 11 * (NODES - 1));
	ck_assert_uint_eq(cost.messages, SHARDS * cost.batches);
	sim_free(world.sim);
}
END_TEST

Suite *share_suite(void)
{
	Suite *suite = suite_create("share");
	TCase *cases = tcase_create("share");
	tcase_set_timeout(cases, 60);
	tcase_add_loop_test(
	    cases, groups_of_a_turn_share_a_write_and_a_message_to_each_node, 0, 20);
	tcase_add_loop_test(cases, heartbeats_of_all_groups_go_to_a_node_as_one, 0, 5);
	suite_add_tcase(suite, cases);
	return suite;
}
