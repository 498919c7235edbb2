/* One change of the membership at a time (chapter 4 of the thesis).
 *
 * The next one is refused until the last is committed, and until this leader has committed an entry
 * of its own term: without the second condition two changes that leaders of different terms make,
 * each of one voter, can have majorities without a common member (Ongaro's report to raft-dev,
 * 2015). */
#include "replication/raft/parts.h"

static void append(struct raft *raft, const struct raft_membership *next)
{
	raft_append_own_membership(raft, next);
	/* Those who are asked now may all have answered; nobody else may be left to. */
	raft_count_rounds(raft);
}

int raft_change(struct raft *raft, uint64_t now_ms, const struct raft_change *changes, size_t count,
    enum raft_transition transition, const char **ret_why)
{
	ASSERT(now_ms >= raft->now_ms && raft->append_count == 0);
	*ret_why = "this replica does not lead";
	if (raft->role != RAFT_LEADER)
		return ERR_AGAIN;
	*ret_why = "leadership is handed over";
	if (raft->transfer_to != 0)
		return ERR_AGAIN;
	*ret_why = "nothing is committed in this term yet";
	if (raft->commit < raft->first_index && !MUTATION(raft_changes_before_commit))
		return ERR_AGAIN;
	*ret_why = "a change is under way";
	if (raft->membership_index > raft->commit && !MUTATION(raft_makes_two_changes))
		return ERR_AGAIN;
	struct raft_membership now, next;
	raft_get_membership(raft, &now);
	int error = raft_membership_change(&now, changes, count, transition, &next, ret_why);
	if (error)
		return error;
	*ret_why = "more replicas than this group has room for";
	if (next.count > raft->options.replicas_max)
		return ERR_INVALID;
	raft->now_ms = now_ms;
	raft_wake(raft);
	append(raft, &next);
	return 0;
}

void raft_change_go_on(struct raft *raft)
{
	if (raft->role != RAFT_LEADER || raft->membership_index > raft->commit)
		return;
	/* A joint one; every commit comes this way, and a whole membership is large. */
	if (raft->leaves_joint) {
		struct raft_membership now, next;
		raft_get_membership(raft, &now);
		const char *why;
		int error = raft_membership_change(&now, NULL, 0, RAFT_LEAVE, &next, &why);
		ASSERT(error == 0);
		append(raft, &next);
		return;
	}
	/* Removed: it led until the others could do without it, and did not count itself. */
	if (!raft_is_voter(raft, raft->options.self))
		raft_transfer_to_best(raft);
}
