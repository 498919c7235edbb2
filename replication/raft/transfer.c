/* Leadership is handed over (section 3.10 of the thesis): the leader takes no more proposals until
 * the target has the whole log, then tells it to campaign at once, without pre-vote and although
 * all others hear of a leader. Where that does not end within election_ms, it goes on leading; one
 * that was removed does not. */
#include "replication/raft/parts.h"

int raft_transfer(struct raft *raft, uint64_t now_ms, uint64_t target)
{
	ASSERT(now_ms >= raft->now_ms);
	if (raft->role != RAFT_LEADER)
		return ERR_AGAIN;
	if (target == raft->options.self)
		return ERR_EXISTS;
	struct peer *peer = raft_peer(raft, target);
	if (!peer || !(peer->roles & RAFT_VOTER))
		return ERR_NOT_FOUND;
	raft->now_ms = now_ms;
	raft_wake(raft);
	raft_note_busy(raft);
	raft_transfer_abort(raft); /* the last wish counts */
	raft->transfer_to = target;
	raft->transfer_until = now_ms + raft->options.election_ms;
	raft_transfer_go_on(raft);
	return 0;
}

/* A leader that is no voter any more goes as soon as another one leads: without that the group
 * would wait for an election's time. */
void raft_transfer_to_best(struct raft *raft)
{
	if (raft->transfer_to != 0 && raft_is_voter(raft, raft->transfer_to))
		return;
	raft_transfer_abort(raft);
	const struct peer *best = NULL;
	for (uint32_t i = 0; i < raft->peers_count; i++) {
		const struct peer *peer = &raft->peers[i];
		if ((peer->roles & RAFT_VOTER) && (!best || peer->match > best->match))
			best = peer;
	}
	ASSERT(best && best->replica != raft->options.self);
	raft->transfer_to = best->replica;
	raft->transfer_until = raft->now_ms + raft->options.election_ms;
	raft_transfer_go_on(raft);
}

void raft_transfer_go_on(struct raft *raft)
{
	struct peer *peer = raft->transfer_to ? raft_peer(raft, raft->transfer_to) : NULL;
	if (!peer || peer->match != raft->last.index || peer->timeout_now_due)
		return;
	peer->timeout_now_due = true;
	raft->lease_lost = !MUTATION(raft_keeps_lease_in_transfer);
}

void raft_transfer_abort(struct raft *raft)
{
	struct peer *peer = raft_peer(raft, raft->transfer_to);
	if (peer)
		peer->timeout_now_due = false;
	raft->transfer_to = 0;
}

void raft_on_timeout_now(struct raft *raft, const struct raft_message *message)
{
	if (raft->role == RAFT_FOLLOWER && raft->leader == message->from && raft_may_campaign(raft))
		raft_campaign(raft, true);
}
