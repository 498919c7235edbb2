/* A replica that was removed comes again as another one, and gets the state from its leader. */
#include "tests/unit/snapshot/suites.h"
#include "tests/unit/snapshot/world.h"

enum { FEW = 10, FAR_MS = 60000 };

static unsigned goes;

static bool is_removed(void *arg)
{
	(void)arg;
	return world.node[goes].removed;
}

static uint64_t another(void)
{
	return (goes + 1) | 1 << 16;
}

static void begin(void)
{
	world_begin(1, 3, NULL);
	for (unsigned i = 0; i < world.nodes; i++)
		boot(i);
	ck_assert(world_run(has_leader, NULL, FAR_MS));
	ck_assert(put_values(FEW));
	ck_assert(world_run(all_have_all, NULL, FAR_MS));
	goes = (number_of(leader()) + 1) % world.nodes;
}

struct changing {
	struct raft_change change;
	int error;
};

static void change_in_process(void *arg)
{
	struct changing *changing = arg;
	const char *why;
	changing->error = group_change(leader()->group, &changing->change, 1, RAFT_AUTOMATIC, &why);
	io_wake(leader()->io, NULL);
}

static bool is_changed(void *arg)
{
	struct changing *changing = arg;
	if (leader() && !group_busy(leader()->group))
		ck_assert(sim_node_run(leader()->machine, change_in_process, arg));
	return changing->error == 0;
}

static bool is_settled(void *arg)
{
	(void)arg;
	return leader() && !group_busy(leader()->group);
}

static void change(enum raft_change_kind kind, uint64_t replica)
{
	struct changing changing = {.change = {.kind = kind, .replica = replica}, .error = 1};
	ck_assert(world_run(is_changed, &changing, FAR_MS));
	ck_assert(world_run(is_settled, NULL, FAR_MS));
}

static void come_again(void)
{
	unsigned installs = world.node[goes].installs;
	change(RAFT_ADD_LEARNER, another());
	add_replica(goes, another());
	ck_assert(world_run(all_have_all, NULL, FAR_MS));
	ck_assert_uint_eq(world.node[goes].installs, installs + 1);
	change(RAFT_ADD_VOTER, another());
	ck_assert(put_values(FEW));
	ck_assert(world_run(all_have_all, NULL, FAR_MS));
	for (unsigned i = 1; i < world.nodes; i++)
		ck_assert_uint_eq(state_hash(i), state_hash(0));
}

/* More than a group keeps for others. */
static void put_many(void)
{
	ck_assert(put_values(600));
}

START_TEST(a_removed_replica_comes_again_as_another_by_snapshot)
{
	begin();
	change(RAFT_REMOVE, goes + 1);
	remove_replica(goes);
	ck_assert(world_run(is_removed, NULL, FAR_MS));
	put_many();
	come_again();
	world_end();
}
END_TEST

Suite *snapshot_remove_suite(void)
{
	Suite *suite = suite_create("remove");
	TCase *cases = tcase_create("remove");
	tcase_set_timeout(cases, 120);
	tcase_add_test(cases, a_removed_replica_comes_again_as_another_by_snapshot);
	suite_add_tcase(suite, cases);
	return suite;
}
