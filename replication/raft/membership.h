/* The members of a group: who votes, who only learns, and how one membership becomes the next
 * (Ongaro 2014, chapter 4).
 *
 *   change of one voter, or of learners      the next membership at once ("simple")
 *   change of several voters                 a JOINT membership first: majorities of both count;
 *                                            then, when that is committed, the next one
 *
 * A membership is an entry of the log and in effect from the moment it is appended, at each
 * replica by itself; with a suffix that is truncated it goes again. Who may append one, and when,
 * is decided in raft.h (raft_change).
 *
 * As bytes: format u8 = 1 | flags u8 (1: leaves by itself) | count varint | for each member, in
 * order of replica: replica varint, roles u8.
 *
 * Pure. Any thread.
 */
#ifndef KX_REPLICATION_RAFT_MEMBERSHIP_H
#define KX_REPLICATION_RAFT_MEMBERSHIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "replication/raft/quorum.h"

/* Voters and learners together. */
enum { RAFT_REPLICAS_MAX = 128 };
/* As bytes, at most. */
#define RAFT_MEMBERSHIP_BYTES(count) (2 + 2 + (count)*11)
#define RAFT_MEMBERSHIP_BYTES_MAX    RAFT_MEMBERSHIP_BYTES(RAFT_REPLICAS_MAX)

struct raft_member {
	uint64_t replica; /* never 0; a replica that comes again has another number */
	unsigned roles;   /* enum raft_role_bits, at least one */
};

struct raft_membership {
	uint32_t count;
	bool leaves_joint; /* a joint membership that its leader ends by itself */
	struct raft_member members[RAFT_REPLICAS_MAX]; /* by replica, rising */
};

enum raft_change_kind {
	RAFT_ADD_VOTER,   /* or makes a learner one */
	RAFT_ADD_LEARNER, /* or makes a voter one */
	RAFT_REMOVE,
};

struct raft_change {
	enum raft_change_kind kind;
	uint64_t replica;
};

enum raft_transition {
	RAFT_AUTOMATIC,      /* simple where it may be, else joint and leaving by itself */
	RAFT_JOINT,          /* joint, leaving by itself */
	RAFT_JOINT_EXPLICIT, /* joint until RAFT_LEAVE */
	RAFT_LEAVE,          /* ends a joint membership: no changes are given */
};

bool raft_membership_joint(const struct raft_membership *membership);
/* 0 where it is no member. */
unsigned raft_membership_roles(const struct raft_membership *membership, uint64_t replica);
size_t raft_membership_voters(const struct raft_membership *membership);
/* Nothing can be decided without it: the others are no majority of what comes, or, in a joint
 * membership, none of what goes. True also where nobody votes. */
bool raft_membership_needs(const struct raft_membership *membership, uint64_t replica);

/* What `from` becomes; changes take effect one after the other, so the last one for a replica
 * counts. `why` is static text behind a refusal.
 *
 * 0; ERR_EXISTS where nothing would change (RAFT_LEAVE: it is not joint); ERR_AGAIN where `from` is
 * joint and `transition` is not RAFT_LEAVE; ERR_INVALID where no voter would be left, a replica is
 * 0, or there would be too many. */
NODISCARD int raft_membership_change(const struct raft_membership *from,
    const struct raft_change *changes, size_t count, enum raft_transition transition,
    struct raft_membership *ret_next, const char **ret_why);

/* Fails as writers do, where room is short. */
void raft_membership_write(struct writer *writer, const struct raft_membership *membership);
/* ERR_CORRUPT: not what raft_membership_write makes. */
NODISCARD int raft_membership_read(struct slice bytes, struct raft_membership *ret_membership);

#endif
