/* Unsafe recovery: a majority of the voters is lost for good, and what this replica has is to be
 * all there is.
 *
 * It takes a term that is above all that it has seen, gives its vote in it to itself, and appends
 * a membership in which it is the only member. From there on everything is as always: the vote is
 * counted when it is durable, the leader's first entry commits all before it, the membership among
 * it. After a crash either nothing of it is there, or the membership at the log's end, which says
 * by itself that all before it is committed (replication/group_replay.c).
 *
 * What is not as always, and why it is unsafe: entries that the lost majority had committed and
 * that this log lacks are gone. Whoever calls makes sure that none of those who are given up ever
 * takes part again, that only one replica of the group is chosen, and that it is one whose log no
 * other that is left is ahead of. The term is above all that any of them has said, so that no entry
 * of one can be taken for the other's.
 */
#include "replication/raft/parts.h"

int raft_recover(struct raft *raft, uint64_t now_ms, uint64_t term)
{
	ASSERT(now_ms >= raft->now_ms && raft->append_count == 0);
	if (term <= raft->term)
		return ERR_EXISTS;
	if (term > RAFT_TERM_MAX || raft->last.index == 0)
		return ERR_INVALID;
	if (raft->role == RAFT_LEADER || raft->installing || !raft_hard_is_durable(raft))
		return ERR_AGAIN;
	raft->now_ms = now_ms;
	raft->asleep = false;
	raft_set_term(raft, term, raft->options.self);
	raft->role = RAFT_CANDIDATE;
	raft_arm_election(raft);
	raft_append_own_membership(
	    raft, &(struct raft_membership){.count = 1,
	              .members = {{.replica = raft->options.self, .roles = RAFT_VOTER}}});
	return 0;
}
