/* What a leader does (section 5.3 and 5.4.2 of the paper).
 *
 *   - Its first entry is a no-op: what earlier leaders left is committed with that, and never by
 *     counting replicas alone (Figure 8).
 *   - It counts itself like anyone: where its entries are durable (thesis, 10.2.1).
 *   - Without a majority heard of for election_ms it steps down (6.2), and so it does when its own
 *     writes have stood still for twice as long: others have disks that work.
 */
#include "replication/raft/parts.h"

#include <string.h>

void raft_lead(struct raft *raft)
{
	ASSERT(raft->role == RAFT_CANDIDATE);
	raft->role = RAFT_LEADER;
	raft->leader = raft->options.self;
	for (uint32_t i = 0; i < raft->peers_count; i++)
		raft_flow_reset(raft, &raft->peers[i]);
	raft->first_index = raft->last.index + 1;
	raft->uncommitted_bytes = 0;
	raft->transfer_to = 0;
	raft->lease_lost = false;
	memset(raft->begun, 0, sizeof(raft->begun));
	raft->lease_ms = RAFT_NEVER;
	raft->watched = raft->led_ms = 0;
	raft->heartbeat_at = raft->now_ms + raft->options.heartbeat_ms;
	raft->round++;
	raft->round_open = raft->round_waits = false;
	raft_watch_round(raft);
	raft_count_rounds(raft); /* where it is alone nobody else answers */
	if (!MUTATION(raft_leads_without_noop))
		raft_append_own_noop(raft);
}

/* ---- What is committed ---- */

static uint64_t match(const struct raft *raft, const struct peer *peer)
{
	if (peer->replica != raft->options.self)
		return peer->match;
	return MUTATION(raft_counts_itself_early) ? raft->last.index : raft->durable;
}

void raft_count_matches(struct raft *raft)
{
	uint64_t index = raft_quorum_of(raft, match);
	if (index <= raft->commit)
		return;
	if (index < raft->first_index && !MUTATION(raft_commits_older_terms))
		return;
	raft_raise_commit(raft, index);
	raft_change_go_on(raft);
}

/* ---- Answers ---- */

static void hear(struct raft *raft, struct peer *peer, const struct raft_message *message)
{
	peer->heard_ms = raft->now_ms;
	if (message->round > peer->round && message->round <= raft->round) {
		peer->round = message->round;
		raft_count_rounds(raft);
	}
}

static void on_refusal(struct raft *raft, struct peer *peer, const struct raft_message *message)
{
	switch ((enum raft_flow)peer->flow) {
	case RAFT_REPLICATE:
		/* It lacks what is under way: a message was lost. An old refusal says nothing. */
		if (message->at.index > peer->match)
			raft_flow_probe(peer);
		return;
	case RAFT_PROBE:
		break;
	case RAFT_SNAPSHOT:
		return;
	}
	if (message->at.index != peer->next - 1)
		return;
	uint64_t index = message->hint.index;
	bool known = index >= raft->base.index && index <= raft->last.index;
	if (known && !MUTATION(raft_passes_over_nothing))
		index = raft_match_hint(raft, index, message->hint.term);
	if (index >= message->at.index)
		index = message->at.index - 1;
	peer->next = (index > peer->match ? index : peer->match) + 1;
	peer->probed = false;
}

void raft_on_append_reply(struct raft *raft, const struct raft_message *message)
{
	struct peer *peer = raft_peer(raft, message->from);
	if (!peer)
		return;
	hear(raft, peer, message);
	if (message->refused) {
		if (message->at.index > 0)
			on_refusal(raft, peer, message);
		return;
	}
	/* Nothing that matches lies behind the end: not from one who speaks the truth. */
	if (message->at.index > raft->last.index || message->hint.index > raft->last.index)
		return;
	if (peer->flow == RAFT_SNAPSHOT) {
		if (message->at.index < raft->base.index)
			return;
		raft_flow_probe(peer);
	}
	if (!raft_flow_acknowledged(peer, message->at.index, message->hint.index))
		return;
	raft_pace_answered(raft, peer);
	raft_count_matches(raft);
	if (raft->role == RAFT_LEADER && raft->transfer_to == peer->replica)
		raft_transfer_go_on(raft);
}

void raft_on_heartbeat_reply(struct raft *raft, const struct raft_message *message)
{
	struct peer *peer = raft_peer(raft, message->from);
	if (!peer)
		return;
	hear(raft, peer, message);
	peer->asleep = message->asleep;
	/* It lives; where it has not moved since the last time, something may have been lost. */
	if (peer->flow == RAFT_PROBE)
		peer->probed = false;
	else if (peer->match < raft->last.index && peer->match == peer->nudge_match)
		peer->nudge = true;
	peer->nudge_match = peer->match;
	raft_lead_sleep(raft);
}

void raft_lost_messages(struct raft *raft, uint64_t replica)
{
	struct peer *peer = raft_peer(raft, replica);
	if (raft->role != RAFT_LEADER || !peer || peer->flow == RAFT_SNAPSHOT)
		return;
	/* Who sleeps has all: a probe would wake the other only, who would miss its leader. */
	if (!raft->asleep)
		raft_flow_probe(peer);
}

/* ---- Messages ---- */

static void need_snapshot(struct raft *raft, struct peer *peer)
{
	/* Not for one that is down: the snapshot would wait, and grow old. */
	if (raft->now_ms - peer->heard_ms >= raft->options.election_ms) {
		peer->probed = true;
		return;
	}
	peer->flow = RAFT_SNAPSHOT;
	peer->snapshot_due = raft->snapshot_due = true;
}

bool raft_make_append(struct raft *raft, struct peer *peer, struct raft_message *ret_message)
{
	enum { ENTRIES_MAX = 4096 };
	bool may = raft_flow_may_send(raft, peer);
	bool has_new = peer->next <= raft->last.index;
	if (peer->flow == RAFT_SNAPSHOT || (!may && !peer->nudge))
		return false;
	if (peer->flow == RAFT_REPLICATE && !has_new && !peer->nudge)
		return false;
	uint64_t before = peer->next - 1;
	if (before < raft->base.index) {
		need_snapshot(raft, peer);
		return false;
	}
	uint64_t bytes = 0;
	uint32_t count = 0;
	if (may && has_new) {
		uint64_t left = raft->last.index - before;
		const struct raft_log *log = &raft->options.log;
		count = log->fit(log->arg, peer->next,
		    left < ENTRIES_MAX ? (uint32_t)left : ENTRIES_MAX,
		    raft->options.message_bytes_max, &bytes);
		ASSERT(count <= left);
	}
	/* What is being read back is sent when it is here; whether its log matches can be asked
	 * before. */
	if (has_new && count == 0 && peer->flow == RAFT_REPLICATE && !peer->nudge)
		return false;
	ret_message->kind = RAFT_APPEND_ENTRIES;
	ret_message->at =
	    (struct raft_position){.term = raft_term_at(raft, before), .index = before};
	ret_message->commit = raft->commit;
	ret_message->round = raft_take_round(raft);
	ret_message->count = count;
	peer->nudge = false;
	peer->asleep = false; /* this wakes it; its answer to an earlier heartbeat is void */
	raft_flow_sent(peer, before + count, count > 0 && bytes == 0 ? 1 : bytes);
	if (count > 0)
		raft_pace_sent(raft, peer, before + count);
	return true;
}

void raft_heartbeats(struct raft *raft)
{
	raft->round_waits = false;
	for (uint32_t i = 0; i < raft->peers_count; i++)
		raft->peers[i].heartbeat_due = true;
}

void raft_make_heartbeat(struct raft *raft, struct peer *peer, struct raft_message *ret_message)
{
	ret_message->kind = RAFT_HEARTBEAT;
	/* Behind what it has acknowledged its log may be another. */
	ret_message->commit = peer->match < raft->commit ? peer->match : raft->commit;
	if (MUTATION(raft_heartbeats_whole_commit))
		ret_message->commit = raft->commit;
	ret_message->round = raft_take_round(raft);
	ret_message->asleep = raft_may_sleep(raft);
	peer->asleep = peer->asleep && ret_message->asleep;
	peer->heartbeat_due = false;
}

/* ---- Time ---- */

static uint64_t heard(const struct raft *raft, const struct peer *peer)
{
	return peer->replica == raft->options.self ? raft->now_ms : peer->heard_ms;
}

void raft_lead_tick(struct raft *raft)
{
	uint64_t election_ms = raft->options.election_ms;
	bool alone = raft->now_ms - raft_quorum_of(raft, heard) >= election_ms;
	/* Nobody else has a disk that works better. */
	bool stalls = !raft_is_alone(raft) && raft->waiting_ms != RAFT_NEVER &&
	              raft->now_ms - raft->waiting_ms >= 2 * election_ms;
	if (alone || stalls) {
		raft_become_follower(raft, raft->term, 0);
		return;
	}
	if (raft->transfer_to != 0 && raft->now_ms >= raft->transfer_until) {
		raft_transfer_abort(raft);
		if (raft->membership_index <= raft->commit &&
		    !raft_is_voter(raft, raft->options.self)) {
			raft_become_follower(raft, raft->term, 0);
			return;
		}
	}
	if (raft->now_ms < raft->heartbeat_at)
		return;
	raft->heartbeat_at = raft->now_ms + raft->options.heartbeat_ms;
	(void)raft_open_round(raft);
	raft_count_rounds(raft);
	raft_heartbeats(raft);
	raft_lead_sleep(raft);
}
