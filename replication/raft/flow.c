/* How much is under way to a replica.
 *
 *   PROBE      its log is not known: one message at a time, until one is accepted
 *   REPLICATE  messages go out before earlier ones are answered, up to the limits
 *   SNAPSHOT   it needs what the log does not have any more: nothing goes until it has that
 *
 * As etcd's raft has it (its Progress), but that an answer says both how far the log matches and
 * how far it is durable: the first is not sent again, the second counts.
 */
#include "replication/raft/parts.h"

void raft_flow_reset(struct raft *raft, struct peer *peer)
{
	peer->flow = RAFT_PROBE;
	peer->probed = peer->nudge = peer->heartbeat_due = false;
	peer->timeout_now_due = peer->asleep = false;
	peer->match = peer->nudge_match = peer->round = 0;
	peer->question = 0;
	peer->next = raft->last.index + 1;
	peer->heard_ms = raft->now_ms;
	peer->in_flight_count = peer->in_flight_first = 0;
	peer->in_flight_bytes = 0;
	raft_pace_reset(raft, peer);
}

bool raft_flow_may_send(const struct raft *raft, const struct peer *peer)
{
	switch ((enum raft_flow)peer->flow) {
	case RAFT_PROBE:
		return !peer->probed;
	case RAFT_REPLICATE:
		return !raft_pace_gathers(raft, peer) &&
		       peer->in_flight_count < raft->options.messages_in_flight_max &&
		       (peer->in_flight_count == 0 ||
		           peer->in_flight_bytes < raft->options.bytes_in_flight_max);
	case RAFT_SNAPSHOT:
		return false;
	}
	UNREACHABLE();
}

void raft_flow_sent(struct peer *peer, uint64_t last, uint64_t bytes)
{
	if (peer->flow == RAFT_PROBE) {
		peer->probed = true;
		return;
	}
	peer->next = last + 1;
	if (bytes == 0)
		return;
	ASSERT(peer->in_flight_count < RAFT_IN_FLIGHT_MAX);
	uint32_t at = (peer->in_flight_first + peer->in_flight_count++) % RAFT_IN_FLIGHT_MAX;
	peer->in_flight[at] = (struct in_flight){.last = last, .bytes = bytes};
	peer->in_flight_bytes += bytes;
}

static void free_in_flight(struct peer *peer, uint64_t up_to)
{
	while (peer->in_flight_count > 0) {
		const struct in_flight *first = &peer->in_flight[peer->in_flight_first];
		if (first->last > up_to)
			return;
		peer->in_flight_bytes -= first->bytes;
		peer->in_flight_first = (peer->in_flight_first + 1) % RAFT_IN_FLIGHT_MAX;
		peer->in_flight_count--;
	}
}

bool raft_flow_acknowledged(struct peer *peer, uint64_t match, uint64_t accepted)
{
	bool rose = match > peer->match;
	if (rose)
		peer->match = match;
	free_in_flight(peer, match);
	/* An earlier answer says nothing of what is probed: behind a snapshot it would lead back to
	 * where the log does not reach any more, and to another one. */
	if (peer->flow == RAFT_PROBE && accepted + 1 >= peer->next) {
		peer->flow = RAFT_REPLICATE;
		peer->probed = false;
		peer->next = peer->match + 1;
	}
	if (peer->flow == RAFT_REPLICATE && accepted >= peer->next)
		peer->next = accepted + 1;
	if (peer->next <= peer->match)
		peer->next = peer->match + 1;
	return rose;
}

void raft_flow_probe(struct peer *peer)
{
	peer->flow = RAFT_PROBE;
	peer->probed = false;
	peer->next = peer->match + 1;
	peer->timed_last = 0;
	peer->in_flight_count = peer->in_flight_first = 0;
	peer->in_flight_bytes = 0;
}
