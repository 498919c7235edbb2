/* A snapshot replaces the log (section 7 of the paper). Its bytes travel beside this machine, which
 * decides whether they are wanted and goes on behind them. While they are installed the log is not
 * touched, and this replica gives no vote: what its log says may be gone at any moment. */
#include "replication/raft/parts.h"

int raft_install(
    struct raft *raft, uint64_t now_ms, uint64_t from, uint64_t term, struct raft_position at)
{
	ASSERT(now_ms >= raft->now_ms && raft->append_count == 0);
	if (term < raft->term || raft->installing || raft->role == RAFT_LEADER || at.term > term)
		return ERR_AGAIN;
	if (term > RAFT_TERM_MAX || at.index > RAFT_INDEX_MAX)
		return ERR_AGAIN; /* of no leader: it is a lie, or damage */
	raft->now_ms = now_ms;
	if (term > raft->term || raft->role != RAFT_FOLLOWER || raft->leader != from)
		raft_become_follower(raft, term, from);
	raft->asleep = false;
	raft->contact_ms = now_ms;
	raft_arm_election(raft);
	raft->accept_reply_due = true;
	if (at.index <= raft->commit)
		return ERR_EXISTS;
	if (at.index <= raft->last.index && raft_term_at(raft, at.index) == at.term) {
		/* The log has it: only that it is committed was not known. */
		if (raft->accepted < at.index)
			raft->accepted = at.index;
		raft_raise_commit(raft, at.index);
		return ERR_EXISTS;
	}
	raft->installing = true;
	return 0;
}

void raft_installed(
    struct raft *raft, struct raft_position at, const struct raft_membership *membership)
{
	ASSERT(raft->installing && at.index > raft->commit && at.term <= raft->term);
	raft->installing = false;
	raft->base = raft->last = at;
	raft->commit = raft->commit_told = raft->durable = raft->accepted = at.index;
	raft->waiting_ms = RAFT_NEVER;
	/* Late news of earlier writes speak of nothing behind it. */
	raft->epoch++;
	raft->replaced = at.index + 1;
	raft_set_membership(raft, 0, membership);
	for (uint32_t i = 0; i < raft->peers_count; i++)
		raft->peers[i].roles_before = raft->peers[i].roles;
	raft->leaves_joint_before = raft->leaves_joint;
	raft->accept_reply_due = raft->leader != 0;
	raft_note_busy(raft);
}
