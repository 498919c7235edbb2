/* Who is a member, now and before the newest change, and what majorities say. */
#include "replication/raft/parts.h"

#include <string.h>

struct peer *raft_peer(struct raft *raft, uint64_t replica)
{
	for (uint32_t i = 0; i < raft->peers_count; i++)
		if (raft->peers[i].replica == replica)
			return &raft->peers[i];
	return NULL;
}

bool raft_is_voter(const struct raft *raft, uint64_t replica)
{
	for (uint32_t i = 0; i < raft->peers_count; i++)
		if (raft->peers[i].replica == replica)
			return raft->peers[i].roles & (RAFT_VOTER | RAFT_OUTGOING);
	return false;
}

bool raft_still_votes(const struct raft *raft)
{
	bool committed =
	    raft->membership_index <= raft->commit || MUTATION(raft_removed_do_not_campaign);
	for (uint32_t i = 0; i < raft->peers_count; i++) {
		const struct peer *peer = &raft->peers[i];
		unsigned roles = peer->roles | (committed ? 0 : peer->roles_before);
		if (peer->replica == raft->options.self)
			return roles & (RAFT_VOTER | RAFT_OUTGOING);
	}
	return false;
}

uint64_t raft_quorum_of(
    const struct raft *raft, uint64_t (*value)(const struct raft *raft, const struct peer *peer))
{
	struct raft_quorum_value values[2 * RAFT_VOTERS_MAX];
	size_t count = 0;
	if (raft->alone)
		return value(raft, &raft->peers[0]);
	for (uint32_t i = 0; i < raft->peers_count; i++) {
		const struct peer *peer = &raft->peers[i];
		if (!(peer->roles & (RAFT_VOTER | RAFT_OUTGOING)) &&
		    !MUTATION(raft_counts_learners))
			continue;
		ASSERT(count < 2 * RAFT_VOTERS_MAX);
		values[count++] =
		    (struct raft_quorum_value){.value = value(raft, peer), .roles = peer->roles};
	}
	return raft_quorum_reached(values, count);
}

static struct peer *add(struct raft *raft, uint64_t replica)
{
	ASSERT_MSG(raft->peers_count < raft->places, "members %u: there is no place for another",
	    raft->peers_count);
	struct peer *peer = &raft->peers[raft->peers_count++];
	memset(peer, 0, sizeof(*peer));
	peer->replica = replica;
	raft_flow_reset(raft, peer);
	return peer;
}

uint32_t raft_strangers(const struct raft *raft, const struct raft_membership *members)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < members->count; i++) {
		uint32_t at = 0;
		while (at < raft->peers_count &&
		       raft->peers[at].replica != members->members[i].replica)
			at++;
		count += at == raft->peers_count;
	}
	return count;
}

/* Those that are members neither now nor before. */
static void forget(struct raft *raft)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < raft->peers_count; i++) {
		const struct peer *peer = &raft->peers[i];
		if (peer->roles == 0 && peer->roles_before == 0)
			continue;
		if (kept != i)
			memcpy(&raft->peers[kept], peer, sizeof(*peer));
		kept++;
	}
	raft->peers_count = kept;
	raft->send_at = 0;
}

/* Others that were members before the newest change are among the peers still. */
static void look_around(struct raft *raft)
{
	raft->alone = raft->peers_count == 1 && raft_is_voter(raft, raft->options.self);
}

void raft_set_membership(
    struct raft *raft, uint64_t index, const struct raft_membership *membership)
{
	/* What stood before is committed: its leader would not have changed it otherwise. */
	for (uint32_t i = 0; i < raft->peers_count; i++) {
		raft->peers[i].roles_before = raft->peers[i].roles;
		raft->peers[i].roles = 0;
	}
	forget(raft);
	for (uint32_t i = 0; i < membership->count; i++) {
		const struct raft_member *member = &membership->members[i];
		struct peer *peer = raft_peer(raft, member->replica);
		if (!peer)
			peer = add(raft, member->replica);
		peer->roles = (uint8_t)member->roles;
	}
	raft->leaves_joint_before = raft->leaves_joint;
	raft->leaves_joint = membership->leaves_joint;
	raft->membership_index = index;
	look_around(raft);
}

void raft_roll_back_membership(struct raft *raft)
{
	for (uint32_t i = 0; i < raft->peers_count; i++)
		raft->peers[i].roles = raft->peers[i].roles_before;
	raft->leaves_joint = raft->leaves_joint_before;
	/* Where the one before stands does not matter: it is committed. */
	raft->membership_index = 0;
	forget(raft);
	look_around(raft);
}

void raft_get_membership(const struct raft *raft, struct raft_membership *ret_membership)
{
	*ret_membership = (struct raft_membership){.leaves_joint = raft->leaves_joint};
	for (uint32_t i = 0; i < raft->peers_count; i++) {
		struct raft_member member = {raft->peers[i].replica, raft->peers[i].roles};
		if (member.roles == 0)
			continue;
		uint32_t at = ret_membership->count++;
		for (; at > 0 && ret_membership->members[at - 1].replica > member.replica; at--)
			ret_membership->members[at] = ret_membership->members[at - 1];
		ret_membership->members[at] = member;
	}
}
