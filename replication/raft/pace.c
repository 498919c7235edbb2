/* When what is to be sent leaves, where it need not leave at once: messages are fewer and larger,
 * and each costs two replicas a turn and the kernel a packet.
 *
 * A replica that writes puts what comes meanwhile into its next write. So while it has not answered
 * the message before, entries wait here for that answer, or until they are gather_bytes; as Nagle's
 * algorithm has it (RFC 896). Where answers take longer than gather_ms, because the way or the disk
 * is slow, more messages may be under way: one more for each gather_ms, so that nothing waits much
 * longer than that. Rounds alike: one that is wanted while another is under way leaves when that is
 * confirmed, or gather_ms later with what is wanted then, or with the next heartbeat. Where nothing
 * is under way nothing waits.
 *
 * It takes no part in any promise: a message that leaves later is a message that was late.
 */
#include "replication/raft/parts.h"

/* Means are counted in parts of a millisecond. */
enum { MS_PARTS = 256, MEAN_WEIGHT = 16 };

void raft_pace_reset(const struct raft *raft, struct peer *peer)
{
	peer->offered_bytes = raft->offered_bytes;
	peer->timed_last = 0;
	peer->answer_mean = 0;
}

bool raft_pace_gathers(const struct raft *raft, const struct peer *peer)
{
	return raft->offered_bytes - peer->offered_bytes < raft->options.gather_bytes &&
	       peer->answer_mean < peer->in_flight_count * raft->options.gather_ms * MS_PARTS;
}

void raft_pace_sent(const struct raft *raft, struct peer *peer, uint64_t last)
{
	if (last == raft->last.index)
		peer->offered_bytes = raft->offered_bytes;
	if (peer->timed_last != 0)
		return;
	peer->timed_last = last;
	peer->timed_ms = raft->now_ms;
}

void raft_pace_answered(const struct raft *raft, struct peer *peer)
{
	if (peer->timed_last == 0 || peer->match < peer->timed_last)
		return;
	/* One that was away for long does not count as slow for long. */
	uint64_t ms = raft->now_ms - peer->timed_ms;
	uint64_t ms_max = RAFT_IN_FLIGHT_MAX * (uint64_t)raft->options.gather_ms;
	if (ms > ms_max)
		ms = ms_max;
	peer->timed_last = 0;
	peer->answer_mean +=
	    (uint32_t)ms * MS_PARTS / MEAN_WEIGHT - peer->answer_mean / MEAN_WEIGHT;
}

bool raft_pace_round_waits(const struct raft *raft)
{
	return raft->round_open && raft->confirmed + 1 < raft->round &&
	       raft->options.gather_bytes > 0 &&
	       raft->now_ms - raft->round_ms < raft->options.gather_ms;
}
