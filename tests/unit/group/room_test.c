/* What is proposed and not applied is bounded, whatever the disks of others do: calls are refused
 * before anything is executed, all else goes on, and it clears itself. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/io/io.h"
#include "base/limits.h"
#include "base/mem.h"
#include "replication/group_parts.h"
#include "storage/batch.h"
#include "tests/unit/group/carrier_world.h"

enum { GROUP_MAX = 8000, STORE_MAX = 12000, ENTRY_MAX = 400, TRIES_MAX = 200 };
/* A sync takes some minutes. */
enum { STANDS_STILL = 1000000 };

struct attempt {
	struct replica *replica;
	unsigned proposed; /* until it was refused */
	int error;
	uint64_t unapplied_bytes, refused, stands_ms;
	uint64_t round, confirmed;
};

static void stand_still(struct node *node, bool stands)
{
	sim_disk_set_slowness(node->machine, stands ? STANDS_STILL : 1);
}

static void look_at(struct attempt *attempt)
{
	const struct replica *replica = attempt->replica;
	group_store_unapplied(replica->node->store, &attempt->unapplied_bytes, &attempt->refused);
	attempt->stands_ms = group_stands_ms(replica->group);
}

static void propose_all(void *arg)
{
	struct attempt *attempt = arg;
	struct group *group = attempt->replica->group;
	uint8_t span[ENTRY_MAX], key[2] = {KEY_KIND_FIRST_FREE, 1};
	uint64_t value[40] = {++world.value};
	struct group_position at;
	struct writer out = writer_of(span, sizeof(span));
	batch_begin(&out);
	batch_put(&out, slice_of(key, sizeof(key)), slice_of(value, sizeof(value)));
	struct slice batch = writer_view(&out);
	for (attempt->proposed = 0; attempt->proposed < TRIES_MAX; attempt->proposed++) {
		attempt->error = group_reserve(group, batch.bytes, 1, false);
		if (attempt->error)
			break;
		group_unreserve(group, batch.bytes, 1);
		group_propose(group, batch, &at);
	}
	look_at(attempt);
	io_wake(attempt->replica->node->io, NULL);
}

static void look(void *arg)
{
	look_at(arg);
}

static void ask(void *arg)
{
	struct attempt *attempt = arg;
	attempt->round = group_confirm(attempt->replica->group);
	io_wake(attempt->replica->node->io, NULL);
}

static void see_confirmed(void *arg)
{
	struct attempt *attempt = arg;
	attempt->confirmed = group_confirmed(attempt->replica->group);
}

static void in_process(struct attempt *attempt, void (*run)(void *arg))
{
	ck_assert(sim_node_run(attempt->replica->node->machine, run, attempt));
}

static struct replica *leader_of(uint32_t shard)
{
	for (int i = 0; i < NODES; i++)
		if (world.nodes[i].replicas[shard].leads)
			return &world.nodes[i].replicas[shard];
	ck_abort_msg("nobody leads");
}

static void begin(uint64_t seed, uint64_t group_max, uint64_t store_max)
{
	world.group_unapplied_bytes_max = group_max;
	world.unapplied_bytes_max = store_max;
	begin_world(seed);
	pass(15 * NS_PER_S);
	for (int i = 0; i < 10; i++)
		work();
	pass(300 * NS_PER_MS);
}

static void others_stand_still(const struct replica *leader, bool stand)
{
	for (int i = 0; i < NODES; i++)
		if (&world.nodes[i] != leader->node)
			stand_still(&world.nodes[i], stand);
}

static void end(void)
{
	sim_free(world.sim);
	world.group_unapplied_bytes_max = world.unapplied_bytes_max = 0;
}

/* Those of others stand still, and their processes answer all the same. */
START_TEST(a_group_refuses_what_too_few_make_durable)
{
	begin((uint64_t)_i + 1, GROUP_MAX, 0);
	struct replica *leader = leader_of(1);
	struct attempt attempt = {.replica = leader};
	others_stand_still(leader, true);
	in_process(&attempt, propose_all);
	ck_assert_int_eq(attempt.error, ERR_BUSY);
	ck_assert_uint_gt(attempt.proposed, 0);
	ck_assert_uint_ge(attempt.unapplied_bytes, GROUP_MAX);
	ck_assert_uint_lt(attempt.unapplied_bytes, GROUP_MAX + ENTRY_MAX);
	ck_assert_uint_eq(attempt.refused, 1);
	/* It leads, and reads are confirmed; nothing more gets in. */
	pass(5 * NS_PER_S);
	ck_assert(leader->leads);
	in_process(&attempt, ask);
	pass(500 * NS_PER_MS);
	in_process(&attempt, see_confirmed);
	ck_assert_uint_ge(attempt.confirmed, attempt.round);
	uint64_t rooms = leader->rooms;
	in_process(&attempt, propose_all);
	ck_assert_int_eq(attempt.error, ERR_BUSY);
	ck_assert_uint_eq(attempt.proposed, 0);
	ck_assert_uint_ge(attempt.stands_ms, 5000);
	ck_assert_uint_eq(leader->rooms, rooms);
	/* And it clears itself. */
	others_stand_still(leader, false);
	pass(3000 * NS_PER_S);
	ck_assert(all_have_all());
	ck_assert_uint_gt(leader->rooms, rooms);
	attempt.replica = leader_of(1);
	in_process(&attempt, look);
	ck_assert_uint_eq(attempt.unapplied_bytes, 0);
	ck_assert_uint_eq(attempt.stands_ms, 0);
	in_process(&attempt, propose_all);
	ck_assert_uint_gt(attempt.proposed, 0);
	end();
}
END_TEST

/* Whatever its groups lead, and follow, is counted together. */
START_TEST(so_does_a_store_for_all_its_groups)
{
	begin((uint64_t)_i + 1, 0, STORE_MAX);
	for (int i = 0; i < NODES; i++)
		stand_still(&world.nodes[i], true);
	for (uint32_t shard = 1; shard <= SHARDS; shard++) {
		struct attempt attempt = {.replica = leader_of(shard)};
		in_process(&attempt, propose_all);
		ck_assert_int_eq(attempt.error, ERR_BUSY);
		ck_assert_uint_lt(attempt.unapplied_bytes, STORE_MAX + ENTRY_MAX);
	}
	/* What others propose at the same moment comes too: so much at most. */
	pass(500 * NS_PER_MS);
	for (int i = 0; i < NODES; i++) {
		struct attempt attempt = {.replica = &world.nodes[i].replicas[1]};
		in_process(&attempt, look);
		ck_assert_uint_lt(attempt.unapplied_bytes,
		    UNAPPLIED_TAKEN_FACTOR * STORE_MAX + SHARDS * GROUP_MESSAGE_BYTES_MAX);
	}
	for (int i = 0; i < NODES; i++)
		stand_still(&world.nodes[i], false);
	pass(3000 * NS_PER_S);
	ck_assert(all_have_all());
	end();
}
END_TEST

/* Each group goes on whatever others hold: with room for nothing, one entry after the other. */
START_TEST(without_any_room_groups_agree_all_the_same)
{
	world.group_unapplied_bytes_max = _i % 2 == 0 ? 1 : GROUP_MAX;
	world.unapplied_bytes_max = 1;
	begin_world((uint64_t)_i + 1);
	work_disturbed();
	pass(30 * NS_PER_S);
	ck_assert_msg(all_have_all(), "seed %d", _i + 1);
	ck_assert_uint_gt(world.highest[1], 5);
	end();
}
END_TEST

/* Who follows, where the disks of most stand still: what is taken of a message of `count` entries.
 */
struct follower {
	struct group_store store;
	struct group group;
	struct raft_message message;
};

static void follow(struct follower *follower)
{
	memset(follower, 0, sizeof(*follower));
	follower->store.group_unapplied_max = GROUP_MAX;
	follower->store.unapplied_max = STORE_MAX;
	follower->group.store = &follower->store;
	follower->group.shard = 1;
	follower->group.last = (struct group_position){.index = 10, .term = 3};
	follower->message = (struct raft_message){.term = 3, .at = {.index = 10}, .count = 4};
}

static uint32_t taken_with(struct follower *follower, uint64_t of_group, uint64_t of_store)
{
	follower->group.unapplied_bytes = of_group;
	follower->store.unapplied_bytes = of_store;
	return group_unapplied_fits(&follower->group, &follower->message);
}

START_TEST(who_follows_takes_so_many_times_as_much_and_no_more)
{
	struct follower *follower = mem_alloc(sizeof(*follower));
	uint64_t group_max = UNAPPLIED_TAKEN_FACTOR * GROUP_MAX;
	uint64_t store_max = UNAPPLIED_TAKEN_FACTOR * STORE_MAX;
	ck_assert_ptr_nonnull(follower);
	follow(follower);
	ck_assert_uint_eq(taken_with(follower, group_max - 1, group_max - 1), 4);
	ck_assert_uint_eq(taken_with(follower, group_max, group_max), 0);
	/* Of a store a group that has nothing gets one. */
	ck_assert_uint_eq(taken_with(follower, 0, store_max - 1), 4);
	ck_assert_uint_eq(taken_with(follower, 0, store_max), 1);
	ck_assert_uint_eq(taken_with(follower, 1, store_max), 0);
	/* What may replace entries, or commit those of earlier terms, and the directory. */
	follower->message.at.index--;
	ck_assert_uint_eq(taken_with(follower, group_max, store_max), 4);
	follow(follower);
	follower->group.last.term = 2;
	ck_assert_uint_eq(taken_with(follower, group_max, store_max), 4);
	follow(follower);
	follower->group.shard = 0;
	ck_assert_uint_eq(taken_with(follower, group_max, store_max), 4);
	mem_free(follower);
}
END_TEST

Suite *room_suite(void)
{
	Suite *suite = suite_create("room");
	TCase *tests = tcase_create("room");
	tcase_add_loop_test(tests, a_group_refuses_what_too_few_make_durable, 0, 3);
	tcase_add_loop_test(tests, so_does_a_store_for_all_its_groups, 0, 3);
	tcase_add_loop_test(tests, without_any_room_groups_agree_all_the_same, 0, 8);
	tcase_add_test(tests, who_follows_takes_so_many_times_as_much_and_no_more);
	suite_add_tcase(suite, tests);
	return suite;
}
