#include "tests/unit/meta/reconcile_rig.h"

unsigned with_role(const struct raft_membership *members, unsigned roles)
{
	unsigned set = 0;
	for (uint32_t i = 0; i < members->count; i++)
		if (members->members[i].roles & roles)
			set |= alone(members->members[i].replica);
	return set;
}

void set_members(struct world *world, unsigned voters, unsigned learners)
{
	world->members = (struct raft_membership){.count = 0};
	for (uint64_t replica = 1; replica <= REPLICAS; replica++)
		if (in(voters | learners, replica))
			world->members.members[world->members.count++] = (struct raft_member){
			    replica, in(voters, replica) ? RAFT_VOTER : RAFT_LEARNER};
}

void want(struct world *world, unsigned voters, unsigned learners)
{
	world->wanted = *cluster_shard_begin(&world->record);
	for (uint64_t replica = 1; replica <= REPLICAS; replica++)
		if (in(voters | learners, replica))
			world->wanted.replicas[world->wanted.count++] =
			    (struct cluster_replica){replica, in(voters, replica)};
}

unsigned wanted_set(const struct world *world, bool voter)
{
	unsigned set = 0;
	for (uint32_t i = 0; i < world->wanted.count; i++)
		if (world->wanted.replicas[i].voter == voter)
			set |= alone(world->wanted.replicas[i].replica);
	return set;
}

static uint64_t lag_of(const struct world *world, uint64_t replica)
{
	if (in(world->behind, replica))
		return LAG_MAX + 1;
	return in(world->slow, replica) ? LEAD_LAG_MAX + 1 : LAG;
}

static enum reconcile_kind ask_with(struct world *world, bool busy)
{
	struct reconcile_progress progress[REPLICAS];
	uint32_t told = 0;
	for (uint64_t replica = 1; replica <= REPLICAS; replica++)
		if (raft_membership_roles(&world->members, replica) && replica != world->self)
			progress[told++] = (struct reconcile_progress){.replica = replica,
			    .match = 1000 - lag_of(world, replica),
			    .heard = !in(world->dead, replica)};
	struct reconcile_input input = {.self = world->self,
	    .wanted = &world->wanted,
	    .members = &world->members,
	    .busy = busy,
	    .transfer_failed = world->transfer_failed,
	    .last_index = 1000,
	    .lag_max = LAG_MAX,
	    .lead_lag_max = LEAD_LAG_MAX,
	    .replicas_max = CLUSTER_REPLICAS_MAX,
	    .leader_wished = world->wished,
	    .leads_badly = world->leads_badly,
	    .progress_count = told,
	    .progress = progress};
	reconcile_next(&input, &world->step);
	FACT(world->step.why);
	return world->step.kind;
}

enum reconcile_kind ask(struct world *world)
{
	return ask_with(world, false);
}

enum reconcile_kind ask_busy(struct world *world)
{
	return ask_with(world, true);
}

void assert_majority(const struct world *world, unsigned voters)
{
	unsigned able = voters & ~world->dead & ~world->behind;
	if (count(able) <= count(voters) / 2)
		ck_abort_msg("voters %x, dead %x, behind %x: no majority", voters, world->dead,
		    world->behind);
}

void change(struct world *world)
{
	const char *why = "";
	struct raft_membership next;
	unsigned before = with_role(&world->members, RAFT_VOTER | RAFT_OUTGOING);
	enum raft_transition how =
	    world->step.kind == RECONCILE_LEAVE ? RAFT_LEAVE : RAFT_AUTOMATIC;
	int error = raft_membership_change(
	    &world->members, world->step.changes, world->step.count, how, &next, &why);
	if (error)
		ck_abort_msg("%s", why);
	world->members = next;
	unsigned come = with_role(&next, RAFT_VOTER) & ~before;
	FACT((come & (world->dead | world->behind)) == 0);
	/* Whoever comes as a learner has nothing. */
	for (uint32_t i = 0; i < world->step.count; i++)
		if (world->step.changes[i].kind == RAFT_ADD_LEARNER &&
		    !in(before, world->step.changes[i].replica))
			world->behind |= alone(world->step.changes[i].replica);
}

void leave(struct world *world)
{
	struct raft_membership next;
	const char *why;
	FACT((raft_membership_change(&world->members, NULL, 0, RAFT_LEAVE, &next, &why)) == 0);
	world->members = next;
}

void lead_by_a_voter(struct world *world)
{
	unsigned able = with_role(&world->members, RAFT_VOTER) & ~world->dead & ~world->behind;
	FACT(able != 0);
	if (!in(able, world->self))
		world->self = (uint64_t)__builtin_ctz(able) + 1;
}
