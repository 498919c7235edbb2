/* Elections: section 5.2 and 5.4.1 of the paper, with what the thesis adds.
 *
 *   pre-vote (9.6)     Before a replica raises its term it asks whether it would be elected, so
 *                      that one that was cut off disturbs nobody when it is back. A refusal
 *                      carries the voter's own term: a replica with a longer log of an older term
 *                      could otherwise neither win nor vote, and of 3 connected voters of 5 none
 *                      would ever lead.
 *                      Who would grant one but for its own newer log asks for itself within a
 *                      heartbeat's time: the others miss their leader too, and need not wait for
 *                      its timer. Not at once: of five several are such, and votes would be split.
 *   stickiness (4.2.3) Who has heard of a leader within election_ms votes for nobody, and does not
 *                      look at the term of who asks: removed replicas disturb nobody.
 *   removed (4.2.2)    Who is no voter in a membership that is not committed campaigns all the
 *                      same: those who do not have that entry may need its vote, and its longer
 *                      log refuses them theirs. Its own vote does not count then.
 *   learners           vote when asked: they may have become voters without knowing it yet, and
 *                      the election may need them (as etcd's raft does). They do not campaign.
 *
 * A candidate counts its own vote when it is durable, like everyone's. A voter that is alone waits
 * for nobody: it campaigns at once, and its leadership ends by nothing but a change.
 */
#include "replication/raft/parts.h"

bool raft_may_campaign(const struct raft *raft)
{
	/* With a disk that stands still it would win and stand still as a leader. */
	bool stalls = raft->waiting_ms != RAFT_NEVER &&
	              raft->now_ms - raft->waiting_ms >= 2 * (uint64_t)raft->options.election_ms;
	return raft_hard_is_durable(raft) && !stalls && !raft->installing &&
	       raft->term < RAFT_TERM_MAX && raft_still_votes(raft);
}

static uint64_t granted(const struct raft *raft, const struct peer *peer)
{
	if (peer->replica != raft->options.self)
		return peer->vote == VOTE_GRANTED;
	return raft->role == RAFT_PRE_CANDIDATE || raft->hard_vote == peer->replica;
}

static uint64_t not_refused(const struct raft *raft, const struct peer *peer)
{
	(void)raft;
	return peer->vote != VOTE_REFUSED;
}

static void ask_anew(struct raft *raft)
{
	for (uint32_t i = 0; i < raft->peers_count; i++) {
		raft->peers[i].vote = VOTE_NONE;
		raft->peers[i].request_sent = false;
	}
	raft->leader = 0;
	raft_arm_election(raft);
}

static void become_candidate(struct raft *raft)
{
	bool forced = raft->forced;
	raft_set_term(raft, raft->term + 1, raft->options.self);
	raft->forced = forced;
	raft->role = RAFT_CANDIDATE;
	ask_anew(raft);
}

void raft_campaign(struct raft *raft, bool forced)
{
	ASSERT(raft->role != RAFT_LEADER && raft_may_campaign(raft));
	raft->asleep = false;
	raft->forced = forced;
	if (forced) {
		become_candidate(raft);
		return;
	}
	raft->role = RAFT_PRE_CANDIDATE;
	ask_anew(raft);
	raft_count_votes(raft);
}

void raft_count_votes(struct raft *raft)
{
	ASSERT(raft->role == RAFT_PRE_CANDIDATE || raft->role == RAFT_CANDIDATE);
	/* Nobody was asked yet: what looks like a grant is none. */
	if (raft->role == RAFT_CANDIDATE && !raft_hard_is_durable(raft))
		return;
	if (raft_quorum_of(raft, granted)) {
		if (raft->role == RAFT_PRE_CANDIDATE)
			become_candidate(raft);
		else
			raft_lead(raft);
	} else if (!raft_quorum_of(raft, not_refused)) {
		raft_become_follower(raft, raft->term, 0);
	}
}

/* Whether a leader is there, as far as this replica knows. */
static bool is_led(const struct raft *raft, const struct raft_message *message)
{
	/* It would have stepped down without a majority (replicate.c). */
	if (MUTATION(raft_votes_while_led))
		return false;
	if (raft->role == RAFT_LEADER)
		return true;
	if (raft->now_ms - raft->contact_ms >= raft->options.election_ms)
		return false;
	/* Who campaigns does not lead. Where no leader is known there may be one's lease all the
	 * same: from before a start, or this replica heard of a newer term since. */
	return raft->leader != 0 ? raft->leader != message->from : raft->options.leases;
}

static void wake_when_asked(struct raft *raft, const struct raft_message *message)
{
	const struct peer *peer = raft_peer(raft, message->from);
	/* One that was removed and does not know it wakes nobody. */
	if (!raft->asleep || !peer || peer->roles == 0)
		return;
	/* The leader may be well: it says so now, or is given the time to. */
	raft_wake(raft);
	if (raft->role == RAFT_LEADER)
		return;
	raft->contact_ms = raft->now_ms;
	raft->wake_due = raft->leader != message->from;
}

static void campaign_soon(struct raft *raft)
{
	uint64_t at = raft->now_ms + random_between(&raft->random, 0, raft->options.heartbeat_ms);
	if (at < raft->election_at)
		raft->election_at = at;
}

void raft_on_prevote(struct raft *raft, const struct raft_message *message)
{
	if (raft->installing)
		return;
	wake_when_asked(raft, message);
	bool wanted = message->term > raft->term && !is_led(raft, message);
	bool older = raft_log_is_older(raft, message->at) && !MUTATION(raft_votes_for_any_log);
	bool grant = wanted && !older;
	if (wanted && older && raft->role == RAFT_FOLLOWER && raft_may_campaign(raft))
		campaign_soon(raft);
	struct reply *reply = raft_reply_slot(raft, RAFT_PREVOTE_REPLY, message->from);
	reply->refused = !grant;
	reply->term = grant ? message->term : raft->term;
}

void raft_on_vote(struct raft *raft, const struct raft_message *message)
{
	if (raft->installing)
		return;
	wake_when_asked(raft, message);
	/* One that it would not wake for gets no vote: its term is not looked at either. */
	if (raft->asleep && raft_log_is_older(raft, message->at))
		return;
	bool led = !message->forced && is_led(raft, message);
	if (message->term > raft->term) {
		if (led)
			return;
		raft_become_follower(raft, message->term, 0);
	}
	bool free = raft->vote == 0 && raft->leader == 0 && !led;
	bool grant = (free || raft->vote == message->from || MUTATION(raft_votes_twice)) &&
	             (!raft_log_is_older(raft, message->at) || MUTATION(raft_votes_for_any_log));
	struct reply *reply = raft_reply_slot(raft, RAFT_VOTE_REPLY, message->from);
	reply->refused = !grant;
	reply->term = raft->term;
	if (!grant)
		return;
	if (raft->vote == 0)
		raft_set_term(raft, raft->term, message->from);
	raft_arm_election(raft);
}

void raft_on_vote_reply(struct raft *raft, const struct raft_message *message)
{
	bool pre = message->kind == RAFT_PREVOTE_REPLY;
	struct peer *peer = raft_peer(raft, message->from);
	if (!peer || raft->role != (pre ? RAFT_PRE_CANDIDATE : RAFT_CANDIDATE))
		return;
	/* A grant of an earlier question is for another term. */
	bool earlier = pre && !message->refused && message->term != raft->term + 1;
	if (earlier && !MUTATION(raft_counts_earlier_grants))
		return;
	peer->vote = message->refused ? VOTE_REFUSED : VOTE_GRANTED;
	raft_count_votes(raft);
}
