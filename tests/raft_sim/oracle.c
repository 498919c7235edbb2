#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/raft_sim/world.h"

void world_fail(struct world *world, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(world->why, sizeof(world->why), format, arguments);
	va_end(arguments);
	longjmp(world->failed, 1);
}

static bool same(const struct entry *a, const struct entry *b)
{
	return a->term == b->term && a->kind == b->kind && a->value == b->value;
}

/* State-machine safety: one entry at an index, whoever says so; and it stands in the log of who
 * does. */
void oracle_committed(struct world *world, struct node *node, uint64_t index)
{
	for (uint64_t i = node->now.base.index + 1; i <= index; i++) {
		const struct entry *entry = &node->now.entries[i];
		if (i <= world->committed) {
			if (!same(entry, &world->history[i]))
				world_fail(world, "two entries committed at %llu by %llu",
				    (unsigned long long)i, (unsigned long long)node->id);
			continue;
		}
		if (node->role != RAFT_LEADER)
			world_fail(world, "%llu heard of a commit before its leader",
			    (unsigned long long)node->id);
		world->history[i] = *entry;
		world->committed = i;
		world->counters.committed++;
	}
}

void oracle_applied(struct world *world, struct node *node, uint64_t index)
{
	if (index > world->committed || !same(&node->now.entries[index], &world->history[index]))
		world_fail(world, "%llu applies at %llu what is not committed",
		    (unsigned long long)node->id, (unsigned long long)index);
	if (!same(&node->disk.entries[index], &world->history[index]) ||
	    node->disk.last.index < index)
		world_fail(world, "%llu applies at %llu what is not durable",
		    (unsigned long long)node->id, (unsigned long long)index);
}

/* Election safety, and leader completeness. */
void oracle_role(struct world *world, struct node *node, enum raft_role role, uint64_t term)
{
	bool leads = role == RAFT_LEADER;
	if (node->role != RAFT_LEADER && leads) {
		world->counters.elections++;
		if (term >= ENTRIES)
			world_fail(world, "term %llu", (unsigned long long)term);
		if (world->leaders[term] != 0 && world->leaders[term] != node->id)
			world_fail(world, "two leaders in term %llu", (unsigned long long)term);
		if (node->disk.term < term ||
		    (node->disk.term == term && node->disk.vote != node->id))
			world_fail(world, "leads with a vote that is not durable");
		world->leaders[term] = node->id;
		for (unsigned i = 0; i < NODES; i++)
			world->counters.transfers_done +=
			    term > 1 && world->nodes[i].transfer_term == term - 1;
		bool newest = true;
		for (uint64_t later = term + 1; later < term + 100 && later < ENTRIES; later++)
			newest = newest && world->leaders[later] == 0;
		/* A leader that comes late for its term commits nothing any more. */
		for (uint64_t i = node->now.base.index + 1; newest && i <= world->committed; i++)
			if (i > node->now.last.index ||
			    !same(&node->now.entries[i], &world->history[i]))
				world_fail(world,
				    "leads term %llu without %llu, which is committed",
				    (unsigned long long)term, (unsigned long long)i);
	}
	node->role = role;
	node->role_term = term;
}

void oracle_read(struct world *world, struct node *node, uint64_t seen, uint64_t commit)
{
	if (commit < seen)
		world_fail(world, "%llu reads at %llu, but %llu was committed before",
		    (unsigned long long)node->id, (unsigned long long)commit,
		    (unsigned long long)seen);
}

/* The membership in effect is the newest of the log. */
static void check_membership(struct world *world, struct node *node)
{
	const struct raft_membership *expected = &node->now.base_membership;
	for (uint64_t i = node->now.base.index + 1; i <= node->now.last.index; i++)
		if (node->now.entries[i].kind == RAFT_MEMBERSHIP)
			expected = node->now.entries[i].membership;
	struct raft_membership members;
	raft_get_membership(node->raft, &members);
	bool same_members = members.count == expected->count;
	for (uint32_t i = 0; same_members && i < members.count; i++)
		same_members = members.members[i].replica == expected->members[i].replica &&
		               members.members[i].roles == expected->members[i].roles;
	if (!same_members || members.leaves_joint != expected->leaves_joint)
		world_fail(world, "%llu: its membership is not that of its log",
		    (unsigned long long)node->id);
}

static bool has(const struct node *node, uint64_t index, const struct entry *entry)
{
	return index <= node->disk.base.index ||
	       (index <= node->disk.last.index && same(&node->disk.entries[index], entry));
}

/* A leader that sleeps sends nothing: whoever relies on it has all, and waits for nothing. Not all
 * need be up. */
static void check_leader_asleep(struct world *world, const struct node *node)
{
	struct raft_status status = raft_status(node->raft);
	struct raft_membership members;
	raft_get_membership(node->raft, &members);
	unsigned long long id = node->id;
	if (raft_membership_joint(&members))
		world_fail(world, "%llu sleeps in a joint membership", id);
	if (status.transferring)
		world_fail(world, "%llu sleeps while it hands leadership over", id);
	if (node->reads_count > 0)
		world_fail(world, "%llu sleeps while a read waits", id);
	uint64_t last = node->now.last.index;
	for (uint32_t i = 0; i < members.count; i++) {
		const struct node *member = node_of(world, members.members[i].replica);
		if (member && !has(member, last, &node->now.entries[last]))
			world_fail(world, "%llu sleeps at %llu, which %llu has not", id,
			    (unsigned long long)last, (unsigned long long)member->id);
	}
}

/* Who sleeps has applied all that it has, and all of it is committed. */
void oracle_asleep(struct world *world, const struct node *node)
{
	uint64_t last = node->now.last.index;
	if (last > world->committed || node->disk.last.index < last || node->applied != last)
		world_fail(world, "%llu sleeps at %llu, has applied %llu",
		    (unsigned long long)node->id, (unsigned long long)last,
		    (unsigned long long)node->applied);
	if (node->role == RAFT_LEADER)
		check_leader_asleep(world, node);
}

/* What may be said at any time. */
void oracle_step(struct world *world)
{
	for (unsigned i = 0; i < NODES; i++) {
		struct node *node = &world->nodes[i];
		if (!node->id || !node->up)
			continue;
		struct raft_status status = raft_status(node->raft);
		if (status.last.index != node->now.last.index ||
		    status.last.term != node->now.last.term)
			world_fail(
			    world, "%llu: its log ends elsewhere", (unsigned long long)node->id);
		if (world->step % 16 == i)
			check_membership(world, node);
		/* What it calls durable is. */
		uint64_t durable = status.durable;
		if (durable > node->now.base.index &&
		    (node->disk.last.index < durable ||
		        !same(&node->disk.entries[durable], &node->now.entries[durable])))
			world_fail(world, "%llu: %llu is not durable", (unsigned long long)node->id,
			    (unsigned long long)durable);
		if (world->leases && raft_lease(node->raft, node_time(world, node)) &&
		    node->paused_until_ms <= world->now_ms) {
			world->counters.leases_used++;
			world->counters.leases_by_uneven_clocks += world->uneven_clocks;
			oracle_read(world, node, world->committed, status.commit);
		}
	}
}
