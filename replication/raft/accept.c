/* A follower's log becomes its leader's (section 5.3 of the paper). */
#include "replication/raft/parts.h"

uint64_t raft_match_hint(const struct raft *raft, uint64_t index, uint64_t term)
{
	/* Terms rise along a log, so whatever is of a newer one cannot match: a whole term is
	 * passed over with one message, as etcd's raft does it, and found by halves, for it may
	 * be long. Below `low` and there no entry is newer than `term`, or it is the base. */
	uint64_t low = raft->base.index;
	while (low < index) {
		uint64_t middle = index - (index - low) / 2;
		if (raft_term_at(raft, middle) > term)
			index = middle - 1;
		else
			low = middle;
	}
	return low;
}

static void hear_leader(struct raft *raft, const struct raft_message *message)
{
	ASSERT_MSG(raft->role != RAFT_LEADER, "two leaders in term %llu: %llu and %llu",
	    (unsigned long long)raft->term, (unsigned long long)raft->options.self,
	    (unsigned long long)message->from);
	if (raft->role != RAFT_FOLLOWER || raft->leader != message->from)
		raft_become_follower(raft, raft->term, message->from);
	raft->asleep = raft->wake_due = false;
	raft->contact_ms = raft->now_ms;
	if (message->round > raft->leader_round)
		raft->leader_round = message->round;
	raft_arm_election(raft);
}

/* The first of the message's entries that the log does not have; their count: it has all. */
static uint32_t first_new(const struct raft *raft, const struct raft_message *message)
{
	uint32_t i = 0;
	for (; i < message->count; i++) {
		uint64_t index = message->at.index + 1 + i;
		if (index <= raft->base.index)
			continue;
		if (index > raft->last.index ||
		    raft_term_at(raft, index) != message->entries[i].term)
			break;
	}
	return i;
}

static void cut_suffix(struct raft *raft, uint64_t first)
{
	ASSERT_MSG(first > raft->commit, "replaces %llu, committed %llu", (unsigned long long)first,
	    (unsigned long long)raft->commit);
	raft->epoch++;
	if (first < raft->replaced)
		raft->replaced = first;
	if (raft->durable >= first)
		raft->durable = first - 1;
	if (raft->membership_index >= first && !MUTATION(raft_keeps_truncated_membership))
		raft_roll_back_membership(raft);
}

static void append(struct raft *raft, const struct raft_message *message, uint32_t from)
{
	uint64_t first = message->at.index + 1 + from;
	uint64_t last = message->at.index + message->count;
	if (first <= raft->last.index)
		cut_suffix(raft, first);
	raft->append_at =
	    (struct raft_position){.term = message->entries[from].term, .index = first};
	raft->append_count = message->count - from;
	raft->append_entries = &message->entries[from];
	raft->last = (struct raft_position){
	    .term = message->entries[message->count - 1].term, .index = last};
	if (raft->waiting_ms == RAFT_NEVER)
		raft->waiting_ms = raft->now_ms;
	for (uint32_t i = from; i < message->count; i++) {
		const struct raft_entry *entry = &message->entries[i];
		if (entry->kind != RAFT_MEMBERSHIP)
			continue;
		struct raft_membership membership;
		int error = raft_membership_read(entry->data, &membership);
		ASSERT_MSG(error == 0, "a leader's membership cannot be read");
		raft_set_membership(raft, message->at.index + 1 + i, &membership);
	}
}

static void refuse(struct raft *raft, const struct raft_message *message)
{
	uint64_t index =
	    message->at.index < raft->last.index ? message->at.index : raft->last.index;
	/* Breaks, here and where the leader hears of it: a message for each entry that differs. */
	if (!MUTATION(raft_hints_its_end))
		index = raft_match_hint(raft, index, message->at.term);
	struct reply *reply = raft_reply_slot(raft, RAFT_APPEND_REPLY, message->from);
	reply->refused = true;
	reply->term = raft->term;
	reply->at = message->at;
	reply->hint = (struct raft_position){.term = raft_term_at(raft, index), .index = index};
}

static bool good_membership(const struct raft *raft, struct slice bytes)
{
	struct raft_membership membership;
	return raft_membership_read(bytes, &membership) == 0 && membership.count > 0 &&
	       membership.count <= raft->options.replicas_max;
}

/* Entries that a leader sends are of its term or older, and their terms rise. Whatever came over a
 * link that a peer holds is checked all the same: it must not end the process. */
static bool well_formed(const struct raft *raft, const struct raft_message *message)
{
	uint64_t term = message->at.term;
	for (uint32_t i = 0; i < message->count; i++) {
		const struct raft_entry *entry = &message->entries[i];
		if (entry->term < term)
			return false;
		if (entry->kind == RAFT_MEMBERSHIP && !good_membership(raft, entry->data))
			return false;
		term = entry->term;
	}
	return term <= message->term;
}

void raft_on_append(struct raft *raft, const struct raft_message *message)
{
	hear_leader(raft, message);
	if (raft->installing || !well_formed(raft, message))
		return;
	raft_note_busy(raft);
	if (message->at.index < raft->commit) {
		/* What is committed is in every leader's log, but it may be older than this
		 * replica's base. The rest of the message comes again behind that. */
		if (raft->accepted < raft->commit)
			raft->accepted = raft->commit;
		if (message->at.index + message->count <= raft->commit) {
			raft->accept_reply_due = true;
			return;
		}
	} else if (message->at.index > raft->last.index ||
	           (raft_term_at(raft, message->at.index) != message->at.term &&
	               !MUTATION(raft_accepts_any_predecessor))) {
		refuse(raft, message);
		return;
	}
	uint32_t from = first_new(raft, message);
	if (from < message->count)
		append(raft, message, from);
	uint64_t matches = message->at.index + message->count;
	if (matches > raft->accepted)
		raft->accepted = matches;
	raft_raise_commit(
	    raft, message->commit < raft->accepted ? message->commit : raft->accepted);
	/* Else RAFT_STORED brings it about. */
	raft->accept_reply_due |= raft->accepted <= raft->durable;
}

void raft_make_append_reply(struct raft *raft, struct raft_message *ret_message)
{
	uint64_t durable = raft->accepted < raft->durable ? raft->accepted : raft->durable;
	if (MUTATION(raft_acknowledges_before_durable))
		durable = raft->accepted;
	raft->accept_reply_due = false;
	ret_message->kind = RAFT_APPEND_REPLY;
	ret_message->to = raft->leader;
	ret_message->at.index = durable;
	ret_message->hint.index = raft->accepted;
	ret_message->round = raft->leader_round;
}

void raft_on_heartbeat(struct raft *raft, const struct raft_message *message)
{
	hear_leader(raft, message);
	raft->heartbeat_reply_due = true;
	/* What the leader sends of its commit this replica has acknowledged in this very term, so
	 * it is durable here, also where it was restarted since and does not remember. */
	if (!raft->installing && message->commit <= raft->last.index) {
		if (raft->accepted < message->commit)
			raft->accepted = message->commit;
		raft_raise_commit(raft, message->commit);
	}
	if (message->asleep && !raft->installing)
		raft_follower_sleep(raft, message);
}
