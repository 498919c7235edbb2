/* A leader proves that it is one still (section 6.4 of the thesis: ReadIndex).
 *
 * A round has a number. Whatever goes to a replica carries the newest one, and the replica echoes
 * the newest that it saw of this leader, so all reads of a turn, and of several, share one round. A
 * round that a majority has echoed began when this replica led: who would have elected another one
 * before that would not have echoed it.
 *
 * Not before an entry of its own term is committed: until then it does not know what is.
 *
 * Each heartbeat begins a round, too: so a leader knows up to when it led (raft_led_ms) also where
 * nobody asks, and no message is sent for that.
 *
 * Leases (6.4.1): from the beginning of a confirmed round on nobody of that majority votes for
 * another within election_ms. That is true only where all clocks run alike, and it ends for good
 * where this leader told a successor to campaign at once: votes are not kept back then.
 */
#include "replication/raft/parts.h"

bool raft_knows_commit(const struct raft *raft)
{
	return raft->role == RAFT_LEADER &&
	       (raft->commit >= raft->first_index || MUTATION(raft_reads_before_commit));
}

/* The newest rounds, where they began a while after each other. */
static void remember(struct raft *raft)
{
	const struct round_begun *newest = &raft->begun[raft->begun_at];
	if (newest->round != 0 &&
	    raft->now_ms - newest->ms < raft->options.election_ms / ROUNDS_BEGUN)
		return;
	raft->begun_at = (raft->begun_at + 1) % ROUNDS_BEGUN;
	raft->begun[raft->begun_at] =
	    (struct round_begun){.round = raft->round, .ms = raft->now_ms};
}

void raft_watch_round(struct raft *raft)
{
	/* One at a time: where many begin, that is as good as all of them. Breaks: an echo of the
	 * first of them says nothing of when the last began. */
	if (raft->watched == 0)
		raft->watched = raft->round;
	else if (!MUTATION(raft_led_when_last_begun))
		return;
	raft->watched_ms = raft->now_ms;
}

uint64_t raft_open_round(struct raft *raft)
{
	if (!raft->round_open) {
		raft->round++;
		raft->round_open = true;
		raft_watch_round(raft);
		if (raft->options.leases)
			remember(raft);
		raft_count_rounds(raft); /* there may be nobody else to answer it */
	}
	return raft->round;
}

uint64_t raft_take_round(struct raft *raft)
{
	if (raft->round_open)
		raft->round_ms = raft->now_ms;
	raft->round_open = false;
	return raft->round;
}

static uint64_t answered(const struct raft *raft, const struct peer *peer)
{
	bool self = peer->replica == raft->options.self || MUTATION(raft_confirms_alone);
	return self ? raft->round : peer->round;
}

void raft_count_rounds(struct raft *raft)
{
	uint64_t confirmed = raft_quorum_of(raft, answered);
	if (confirmed <= raft->confirmed)
		return;
	raft->confirmed = confirmed;
	if (raft->watched != 0 && raft->watched <= confirmed) {
		/* Breaks: an answer that comes late says nothing of now. */
		bool late = MUTATION(raft_led_when_answered);
		raft->led_ms = late ? raft->now_ms : raft->watched_ms;
		raft->watched = 0;
	}
	for (size_t i = 0; i < ROUNDS_BEGUN && raft->options.leases; i++) {
		struct round_begun *begun = &raft->begun[i];
		if (begun->round == 0 || begun->round > confirmed)
			continue;
		if (raft->lease_ms == RAFT_NEVER || begun->ms > raft->lease_ms)
			raft->lease_ms = begun->ms;
		begun->round = 0;
	}
	/* Later calls need another one, also where this replica is alone: no message takes it. */
	if (confirmed == raft->round)
		raft->round_open = false;
	if (raft->round_waits)
		raft_heartbeats(raft);
}

int raft_confirm(struct raft *raft, uint64_t now_ms, uint64_t *ret_round)
{
	ASSERT(now_ms >= raft->now_ms);
	if (!raft_knows_commit(raft))
		return ERR_AGAIN;
	raft->now_ms = now_ms;
	raft_wake(raft);
	raft_note_busy(raft);
	*ret_round = raft_open_round(raft);
	raft->round_waits = raft_pace_round_waits(raft);
	if (!raft->round_waits)
		raft_heartbeats(raft);
	raft_count_rounds(raft);
	return 0;
}

uint64_t raft_led_ms(const struct raft *raft)
{
	/* Breaks: others may have committed what this leader has, and does not know it to be. */
	bool knows = raft_knows_commit(raft) || MUTATION(raft_led_before_commit);
	return knows ? raft->led_ms : 0;
}

bool raft_lease(const struct raft *raft, uint64_t now_ms)
{
	if (!raft->options.leases || raft->lease_lost || !raft_knows_commit(raft))
		return false;
	if (raft_is_alone(raft))
		return true; /* nobody else could have been elected */
	/* A tenth less than the others' promise, because their clocks may run faster by that. */
	uint64_t tenths = MUTATION(raft_lease_too_long) ? 15 : 9;
	return raft->lease_ms != RAFT_NEVER &&
	       now_ms - raft->lease_ms < raft->options.election_ms * tenths / 10;
}
