/* Majorities of one set of voters, or of two at once while the membership changes (joint consensus:
 * Ongaro 2014, section 4.3): then what a majority of each has is had, and nothing else.
 *
 * One function answers all three questions that Raft asks of a majority. For `value`:
 *   the index a voter has durably        -> what is replicated
 *   1 where it granted, else 0           -> won, where the answer is 1
 *   1 where it did not refuse, else 0    -> lost, where the answer is 0
 *   a round or a time it has answered    -> what is confirmed
 *
 * Pure. Any thread.
 */
#ifndef KX_REPLICATION_RAFT_QUORUM_H
#define KX_REPLICATION_RAFT_QUORUM_H

#include <stddef.h>
#include <stdint.h>

/* Bits of a replica's roles. In a joint configuration VOTER is a vote in what comes and OUTGOING
 * one in what goes; LEARNER_NEXT is a voter of what goes that becomes a learner. */
enum raft_role_bits {
	RAFT_VOTER = 1 << 0,
	RAFT_OUTGOING = 1 << 1,
	RAFT_LEARNER = 1 << 2,
	RAFT_LEARNER_NEXT = 1 << 3,
};

/* Of one set; two sets are at most twice as many. */
enum { RAFT_VOTERS_MAX = 7 };

struct raft_quorum_value {
	uint64_t value;
	unsigned roles;
};

/* The highest value that a majority of the voters, and in a joint configuration a majority of the
 * outgoing ones too, has reached or passed. 0 where there is no voter at all: nothing is ever
 * agreed on. At most RAFT_VOTERS_MAX values have each of the two bits. */
uint64_t raft_quorum_reached(const struct raft_quorum_value *values, size_t count);

#endif
