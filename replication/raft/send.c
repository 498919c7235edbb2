/* What is to be sent, made when it is asked for. */
#include "replication/raft/parts.h"

/* The oldest rule of all: what is said about a term or a vote must survive (section 5.1). */
static bool may_speak(const struct raft *raft)
{
	return raft_hard_is_durable(raft) || MUTATION(raft_speaks_before_durable);
}

static bool take_reply(struct raft *raft, struct raft_message *ret_message)
{
	for (size_t i = 0; i < REPLIES_MAX && raft->replies_due; i++) {
		struct reply *reply = &raft->replies[i];
		if (reply->kind == 0)
			continue;
		ret_message->kind = (enum raft_message_kind)reply->kind;
		ret_message->to = reply->to;
		ret_message->term = reply->term;
		ret_message->refused = reply->refused;
		ret_message->at = reply->at;
		ret_message->hint = reply->hint;
		if (reply->kind == RAFT_APPEND_REPLY)
			ret_message->round = raft->leader_round;
		reply->kind = 0;
		return true;
	}
	raft->replies_due = false;
	return false;
}

static bool answer_leader(struct raft *raft, struct raft_message *ret_message)
{
	if (raft->role != RAFT_FOLLOWER)
		raft->wake_due = false;
	if (raft->role != RAFT_FOLLOWER || raft->leader == 0) {
		raft->accept_reply_due = raft->heartbeat_reply_due = false;
		return false;
	}
	ret_message->to = raft->leader;
	if (raft->heartbeat_reply_due) {
		raft->heartbeat_reply_due = false;
		ret_message->kind = RAFT_HEARTBEAT_REPLY;
		ret_message->round = raft->leader_round;
		ret_message->asleep = raft->asleep;
		return true;
	}
	if (raft->accept_reply_due) {
		raft_make_append_reply(raft, ret_message);
		return true;
	}
	if (raft->wake_due) {
		raft->wake_due = false;
		ret_message->kind = RAFT_WAKE;
		return true;
	}
	if (raft->question_state == QUESTION_OPEN) {
		raft_make_question(raft, ret_message);
		return true;
	}
	return false;
}

static bool ask_to_wake(struct raft *raft, struct peer *peer, struct raft_message *ret_message)
{
	if (!raft->wake_due || peer->request_sent || !(peer->roles & (RAFT_VOTER | RAFT_OUTGOING)))
		return false;
	peer->request_sent = true;
	ret_message->kind = RAFT_WAKE;
	return true;
}

static bool request_vote(struct raft *raft, struct peer *peer, struct raft_message *ret_message)
{
	if (!(peer->roles & (RAFT_VOTER | RAFT_OUTGOING)) || peer->request_sent)
		return false;
	peer->request_sent = true;
	bool pre = raft->role == RAFT_PRE_CANDIDATE;
	ret_message->kind = pre ? RAFT_PREVOTE : RAFT_VOTE;
	ret_message->term = raft->term + (pre ? 1 : 0);
	ret_message->at = raft->last;
	ret_message->forced = raft->forced;
	return true;
}

static bool lead(struct raft *raft, struct peer *peer, struct raft_message *ret_message)
{
	if (peer->heartbeat_due) {
		raft_make_heartbeat(raft, peer, ret_message);
		return true;
	}
	if (peer->timeout_now_due) {
		peer->timeout_now_due = false;
		ret_message->kind = RAFT_TIMEOUT_NOW;
		return true;
	}
	if (raft_make_answer(raft, peer, ret_message))
		return true;
	return raft_make_append(raft, peer, ret_message);
}

static bool to_peer(struct raft *raft, struct peer *peer, struct raft_message *ret_message)
{
	ret_message->to = peer->replica;
	switch (raft->role) {
	case RAFT_FOLLOWER:
		return ask_to_wake(raft, peer, ret_message);
	case RAFT_PRE_CANDIDATE:
	case RAFT_CANDIDATE:
		return request_vote(raft, peer, ret_message);
	case RAFT_LEADER:
		return lead(raft, peer, ret_message);
	}
	UNREACHABLE();
}

bool raft_send(struct raft *raft, uint64_t now_ms, struct raft_message *ret_message)
{
	ASSERT(now_ms >= raft->now_ms);
	raft->now_ms = now_ms;
	*ret_message = (struct raft_message){.from = raft->options.self, .term = raft->term};
	if (!may_speak(raft))
		return false;
	if (take_reply(raft, ret_message) || answer_leader(raft, ret_message))
		return true;
	for (; raft->send_at < raft->peers_count; raft->send_at++) {
		struct peer *peer = &raft->peers[raft->send_at];
		if (peer->replica == raft->options.self || peer->roles == 0)
			continue;
		if (to_peer(raft, peer, ret_message))
			return true;
	}
	raft->send_at = 0;
	return false;
}
