/* An idle group costs nothing: no timer, no message.
 *
 * A leader whose log is committed and durable everywhere, and who has had nothing to do for
 * sleep_ms, says so in its heartbeats. Who has the same log stops its election timer and answers
 * that it sleeps; when all do, the leader stops its heartbeats.
 *
 * Awake again is
 *   - the leader, by any request of its owner, and by RAFT_WAKE of a replica that is awake;
 *   - a follower, by any message of a leader, and where it is asked for a vote: it gives its leader
 *     the time of one election to be heard of, unless it was the leader who asked;
 *   - a follower whose leader's node is not heard of (RAFT_PEER_DOWN): nodes watch each other, once
 *     for all groups;
 *   - a leader when so many are not heard of that the others are no majority. It steps down then,
 *     as any leader does that hears of too few: everybody can see that nothing leads the group.
 *
 * It is safe because nothing here decides anything: a leader that slept proves its leadership
 * before it answers, as always, and no lease outlives a sleep that is longer than it.
 */
#include "replication/raft/parts.h"

/* Breaks, here and below: who sleeps hears of nothing more, so what it lacks it lacks until
 * somebody wants something of the group. */
static bool is_behind(const struct raft *raft, const struct peer *peer)
{
	return peer->replica != raft->options.self && peer->roles != 0 &&
	       peer->match != raft->last.index && !MUTATION(raft_sleeps_behind);
}

bool raft_may_sleep(const struct raft *raft)
{
	if (raft->role != RAFT_LEADER || raft->options.sleep_ms == 0)
		return false;
	/* Breaks: it takes no proposals until the transfer's time is over, and has no timer. */
	if (raft->transfer_to != 0 && !MUTATION(raft_sleeps_in_transfer))
		return false;
	if (raft->now_ms - raft->busy_ms < raft->options.sleep_ms)
		return false;
	bool kept = raft->commit == raft->last.index && raft->durable == raft->last.index;
	if (!kept && !MUTATION(raft_sleeps_before_durable))
		return false;
	for (uint32_t i = 0; i < raft->peers_count; i++) {
		const struct peer *peer = &raft->peers[i];
		bool joint = (peer->roles & RAFT_OUTGOING) && !MUTATION(raft_sleeps_joint);
		if (joint || is_behind(raft, peer))
			return false;
	}
	return true;
}

void raft_lead_sleep(struct raft *raft)
{
	/* While a round is open somebody waits for it. */
	bool waited = raft->confirmed < raft->round && !MUTATION(raft_sleeps_in_round);
	if (raft->asleep || !raft_may_sleep(raft) || waited)
		return;
	for (uint32_t i = 0; i < raft->peers_count; i++) {
		const struct peer *peer = &raft->peers[i];
		bool other = peer->replica != raft->options.self && peer->roles != 0;
		if (other && !peer->asleep && !MUTATION(raft_sleeps_alone))
			return;
	}
	raft->asleep = true;
}

void raft_follower_sleep(struct raft *raft, const struct raft_message *message)
{
	bool same = message->commit == raft->last.index && raft->commit == raft->last.index &&
	            raft->durable == raft->last.index;
	raft->asleep = same || MUTATION(raft_sleeps_unequal);
}

void raft_wake(struct raft *raft)
{
	if (!raft->asleep)
		return;
	raft->asleep = false;
	raft_note_busy(raft);
	if (raft->role != RAFT_LEADER) {
		raft_arm_election(raft);
		return;
	}
	raft->heartbeat_at = raft->now_ms + raft->options.heartbeat_ms;
	for (uint32_t i = 0; i < raft->peers_count; i++) {
		struct peer *peer = &raft->peers[i];
		peer->heard_ms = raft->now_ms;
		peer->asleep = false;
		peer->heartbeat_due = true;
	}
}

void raft_ask_to_wake(struct raft *raft)
{
	const struct peer *self = raft_peer(raft, raft->options.self);
	raft->wake_due = raft->leader != 0 || (self && self->roles != 0);
	/* Where it knows no leader each voter may be it. */
	for (uint32_t i = 0; i < raft->peers_count; i++)
		raft->peers[i].request_sent = false;
}

void raft_on_wake(struct raft *raft, const struct raft_message *message)
{
	const struct peer *peer = raft_peer(raft, message->from);
	/* A learner that was removed and does not know it asks for ever. */
	if (raft->role == RAFT_LEADER && peer && peer->roles != 0)
		raft_wake(raft);
}

/* What is so is said again within election_ms. */
static uint64_t is_up(const struct raft *raft, const struct peer *peer)
{
	return peer->replica == raft->options.self || peer->down_ms == 0 ||
	       raft->now_ms - peer->down_ms >= 2 * (uint64_t)raft->options.election_ms;
}

void raft_peer_down(struct raft *raft, uint64_t replica)
{
	struct peer *peer = raft_peer(raft, replica);
	if (peer)
		peer->down_ms = raft->now_ms;
	if (!raft->asleep)
		return;
	if (raft->role == RAFT_LEADER) {
		if (!raft_quorum_of(raft, is_up))
			raft_wake(raft);
		return;
	}
	if (raft->leader != replica)
		return;
	raft_wake(raft);
	/* It is not waited for: whoever campaigns first gets the vote. */
	raft->leader = 0;
}
