#include "replication/raft/membership.h"

#include <string.h>

#include "base/assert.h"

enum { FORMAT = 1, FLAG_LEAVES_JOINT = 1 };

static size_t count_with(const struct raft_membership *membership, unsigned roles)
{
	size_t count = 0;
	for (uint32_t i = 0; i < membership->count; i++)
		count += (membership->members[i].roles & roles) != 0;
	return count;
}

bool raft_membership_joint(const struct raft_membership *membership)
{
	return count_with(membership, RAFT_OUTGOING) > 0;
}

size_t raft_membership_voters(const struct raft_membership *membership)
{
	return count_with(membership, RAFT_VOTER);
}

/* Where the replica stands, or would. */
static uint32_t find(const struct raft_membership *membership, uint64_t replica)
{
	uint32_t at = 0;
	while (at < membership->count && membership->members[at].replica < replica)
		at++;
	return at;
}

unsigned raft_membership_roles(const struct raft_membership *membership, uint64_t replica)
{
	uint32_t at = find(membership, replica);
	bool found = at < membership->count && membership->members[at].replica == replica;
	return found ? membership->members[at].roles : 0;
}

bool raft_membership_needs(const struct raft_membership *membership, uint64_t replica)
{
	unsigned roles = raft_membership_roles(membership, replica);
	size_t come = count_with(membership, RAFT_VOTER);
	size_t go = count_with(membership, RAFT_OUTGOING);
	bool come_without = come - ((roles & RAFT_VOTER) != 0) > come / 2;
	bool go_without = go == 0 || go - ((roles & RAFT_OUTGOING) != 0) > go / 2;
	return !come_without || !go_without;
}

/* No roles: it is no member afterwards. False where there is no room. */
static bool set_roles(struct raft_membership *membership, uint64_t replica, unsigned roles)
{
	uint32_t at = find(membership, replica);
	struct raft_member *member = &membership->members[at];
	bool found = at < membership->count && member->replica == replica;
	size_t behind = membership->count - at;
	if (found && roles == 0) {
		memmove(member, member + 1, (behind - 1) * sizeof(*member));
		membership->count--;
	} else if (found) {
		member->roles = roles;
	} else if (roles != 0) {
		if (membership->count == RAFT_REPLICAS_MAX)
			return false;
		memmove(member + 1, member, behind * sizeof(*member));
		*member = (struct raft_member){.replica = replica, .roles = roles};
		membership->count++;
	}
	return true;
}

static bool same(const struct raft_membership *a, const struct raft_membership *b)
{
	if (a->count != b->count)
		return false;
	for (uint32_t i = 0; i < a->count; i++)
		if (a->members[i].replica != b->members[i].replica ||
		    a->members[i].roles != b->members[i].roles)
			return false;
	return true;
}

/* How many replicas vote in one of the two only. */
static size_t voters_changed(const struct raft_membership *from, const struct raft_membership *to)
{
	size_t changed = 0;
	for (uint32_t i = 0; i < from->count; i++)
		changed += (from->members[i].roles & RAFT_VOTER) &&
		           !(raft_membership_roles(to, from->members[i].replica) & RAFT_VOTER);
	for (uint32_t i = 0; i < to->count; i++)
		changed += (to->members[i].roles & RAFT_VOTER) &&
		           !(raft_membership_roles(from, to->members[i].replica) & RAFT_VOTER);
	return changed;
}

static unsigned joint_roles(unsigned from, unsigned to)
{
	unsigned roles = to & RAFT_VOTER;
	if (from & RAFT_VOTER)
		roles |= RAFT_OUTGOING;
	/* It goes on voting in what goes, and is a learner only when that has gone. */
	if (to & RAFT_LEARNER)
		roles |= from & RAFT_VOTER ? RAFT_LEARNER_NEXT : RAFT_LEARNER;
	return roles;
}

/* On top of the target: what goes is added to it. */
static bool make_joint(const struct raft_membership *from, struct raft_membership *target)
{
	for (uint32_t i = 0; i < target->count; i++) {
		struct raft_member *member = &target->members[i];
		member->roles =
		    joint_roles(raft_membership_roles(from, member->replica), member->roles);
	}
	for (uint32_t i = 0; i < from->count; i++) {
		const struct raft_member *member = &from->members[i];
		if (raft_membership_roles(target, member->replica) == 0 &&
		    !set_roles(target, member->replica, joint_roles(member->roles, 0)))
			return false;
	}
	return true;
}

static int leave(const struct raft_membership *from, struct raft_membership *ret_next)
{
	*ret_next = (struct raft_membership){.count = 0};
	for (uint32_t i = 0; i < from->count; i++) {
		struct raft_member member = from->members[i];
		if (member.roles & RAFT_LEARNER_NEXT)
			member.roles |= RAFT_LEARNER;
		member.roles &= RAFT_VOTER | RAFT_LEARNER;
		if (member.roles != 0)
			ret_next->members[ret_next->count++] = member;
	}
	return 0;
}

static int change_members(const struct raft_change *changes, size_t count,
    struct raft_membership *target, const char **ret_why)
{
	static const unsigned roles[] = {
	    [RAFT_ADD_VOTER] = RAFT_VOTER, [RAFT_ADD_LEARNER] = RAFT_LEARNER, [RAFT_REMOVE] = 0};
	for (size_t i = 0; i < count; i++) {
		if (changes[i].replica == 0) {
			*ret_why = "0 is no replica's number";
			return ERR_INVALID;
		}
		if (!set_roles(target, changes[i].replica, roles[changes[i].kind])) {
			*ret_why = "a group has at most 128 replicas";
			return ERR_INVALID;
		}
	}
	return 0;
}

int raft_membership_change(const struct raft_membership *from, const struct raft_change *changes,
    size_t count, enum raft_transition transition, struct raft_membership *ret_next,
    const char **ret_why)
{
	bool joint = raft_membership_joint(from);
	if (transition == RAFT_LEAVE) {
		*ret_why = count > 0 ? "a membership is left without changes" : "it is not joint";
		if (count > 0)
			return ERR_INVALID;
		return joint ? leave(from, ret_next) : ERR_EXISTS;
	}
	if (joint) {
		*ret_why = "a change is under way";
		return ERR_AGAIN;
	}
	struct raft_membership target = *from;
	target.leaves_joint = false;
	int error = change_members(changes, count, &target, ret_why);
	if (error)
		return error;
	size_t voters = raft_membership_voters(&target);
	if (voters == 0 || voters > RAFT_VOTERS_MAX) {
		*ret_why = voters == 0 ? "no voter would be left" : "a group has at most 7 voters";
		return ERR_INVALID;
	}
	if (same(from, &target)) {
		*ret_why = "it is so already";
		return ERR_EXISTS;
	}
	if (transition != RAFT_AUTOMATIC || voters_changed(from, &target) > 1) {
		if (!make_joint(from, &target)) {
			*ret_why = "a group has at most 128 replicas";
			return ERR_INVALID;
		}
		target.leaves_joint = transition != RAFT_JOINT_EXPLICIT;
		/* A change of learners alone has nothing that goes. */
		ASSERT(raft_membership_joint(&target));
	}
	*ret_next = target;
	return 0;
}

void raft_membership_write(struct writer *writer, const struct raft_membership *membership)
{
	writer_u8(writer, FORMAT);
	writer_u8(writer, membership->leaves_joint ? FLAG_LEAVES_JOINT : 0);
	writer_varint(writer, membership->count);
	for (uint32_t i = 0; i < membership->count; i++) {
		writer_varint(writer, membership->members[i].replica);
		writer_u8(writer, (uint8_t)membership->members[i].roles);
	}
}

/* One of those that changes make. */
static bool good_roles(unsigned roles)
{
	switch (roles) {
	case RAFT_VOTER:
	case RAFT_VOTER | RAFT_OUTGOING:
	case RAFT_OUTGOING:
	case RAFT_OUTGOING | RAFT_LEARNER_NEXT:
	case RAFT_LEARNER:
		return true;
	default:
		return false;
	}
}

int raft_membership_read(struct slice bytes, struct raft_membership *ret_membership)
{
	struct reader reader = reader_of(bytes);
	struct raft_membership read = {.count = 0};
	uint8_t format = reader_u8(&reader);
	uint8_t flags = reader_u8(&reader);
	uint64_t count = reader_varint(&reader);
	if (reader.failed || format != FORMAT || flags > FLAG_LEAVES_JOINT ||
	    count > RAFT_REPLICAS_MAX)
		return ERR_CORRUPT;
	uint64_t before = 0;
	for (; read.count < count; read.count++) {
		struct raft_member *member = &read.members[read.count];
		member->replica = reader_varint(&reader);
		member->roles = reader_u8(&reader);
		if (reader.failed || member->replica <= before || !good_roles(member->roles))
			return ERR_CORRUPT;
		before = member->replica;
	}
	read.leaves_joint = flags & FLAG_LEAVES_JOINT;
	/* Nobody at all is a new replica's; members without a voter are nobody's. */
	bool voted = read.count == 0 || raft_membership_voters(&read) > 0;
	bool leaves_nothing = read.leaves_joint && !raft_membership_joint(&read);
	if (!reader_finished(&reader) || !voted || leaves_nothing ||
	    raft_membership_voters(&read) > RAFT_VOTERS_MAX ||
	    count_with(&read, RAFT_OUTGOING) > RAFT_VOTERS_MAX)
		return ERR_CORRUPT;
	*ret_membership = read;
	return 0;
}
