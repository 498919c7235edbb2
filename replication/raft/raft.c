/* What comes in is led to the file that knows of it, and what is to be done is told in order. */
#include "base/fetch.h"
#include "replication/raft/parts.h"

#include <string.h>

size_t raft_bytes(uint32_t places)
{
	ASSERT(places > 0 && places <= 2 * RAFT_REPLICAS_MAX);
	return sizeof(struct raft) + (size_t)places * sizeof(struct peer) +
	       RAFT_MEMBERSHIP_BYTES((size_t)places);
}

void raft_fetch(const struct raft *raft)
{
	enum { PEERS = 3, PEER_BYTES = 2 * FETCH_LINE_BYTES };
	memory_fetch(&raft->options, FETCH_LINE_BYTES);
	memory_fetch(&raft->now_ms, offsetof(struct raft, forced) - offsetof(struct raft, now_ms));
	memory_fetch(&raft->round, FETCH_LINE_BYTES);
	memory_fetch(
	    &raft->hard_due, offsetof(struct raft, replies) - offsetof(struct raft, hard_due));
	for (size_t i = 0; i < PEERS && i < raft->places; i++)
		memory_fetch(&raft->peers[i], PEER_BYTES);
}

struct raft *raft_init(void *memory, uint32_t places, const struct raft_options *options,
    const struct raft_start *start)
{
	ASSERT(options->self != 0 && options->log.term && options->log.fit);
	ASSERT(options->heartbeat_ms > 0 && options->election_ms > 2 * options->heartbeat_ms);
	ASSERT(options->messages_in_flight_max > 0);
	ASSERT(options->messages_in_flight_max <= RAFT_IN_FLIGHT_MAX);
	ASSERT(start->base.index <= start->commit && start->commit <= start->last.index);
	ASSERT(start->last.term <= start->term);
	struct raft *raft = memory;
	memset(raft, 0, sizeof(*raft));
	raft->places = places;
	raft->options = *options;
	random_init(&raft->random, options->seed);
	raft_number_questions(raft);
	raft->now_ms = start->now_ms;
	raft->term = raft->hard_term = raft->term_told = start->term;
	raft->vote = raft->hard_vote = start->vote;
	raft->base = start->base;
	raft->last = start->last;
	raft->commit = raft->commit_told = start->commit;
	raft->durable = start->last.index;
	raft->replaced = RAFT_NEVER;
	raft->accepted = start->commit;
	raft->heartbeat_at = raft->waiting_ms = RAFT_NEVER;
	raft->contact_ms = raft->busy_ms = start->now_ms;
	raft_set_membership(raft, 0, start->membership);
	raft_arm_election(raft);
	return raft;
}

struct raft *raft_move(const struct raft *raft, void *memory, uint32_t places)
{
	ASSERT(raft->append_count == 0 && places >= raft->peers_count);
	struct raft *moved = memory;
	memcpy(moved, raft, sizeof(*raft) + raft->peers_count * sizeof(struct peer));
	moved->places = places;
	return moved;
}

void raft_restore(struct raft *raft, uint64_t index, const struct raft_membership *membership)
{
	ASSERT(index > raft->base.index && index <= raft->last.index);
	raft_set_membership(raft, index, membership);
}

/* ---- The log ---- */

uint64_t raft_term_at(const struct raft *raft, uint64_t index)
{
	ASSERT(index >= raft->base.index && index <= raft->last.index);
	if (index == raft->last.index)
		return raft->last.term;
	if (index == raft->base.index)
		return raft->base.term;
	return raft->options.log.term(raft->options.log.arg, index);
}

bool raft_log_is_older(const struct raft *raft, struct raft_position last)
{
	if (last.term != raft->last.term)
		return last.term < raft->last.term;
	return last.index < raft->last.index;
}

static void append_own(struct raft *raft, enum raft_entry_kind kind, struct slice data)
{
	ASSERT(raft->append_count == 0);
	raft->own = (struct raft_entry){.term = raft->term, .kind = kind, .data = data};
	raft->last = (struct raft_position){.term = raft->term, .index = raft->last.index + 1};
	raft->append_at = raft->last;
	raft->append_count = 1;
	raft->append_entries = &raft->own;
	raft_note_busy(raft);
	if (raft->waiting_ms == RAFT_NEVER)
		raft->waiting_ms = raft->now_ms;
}

void raft_append_own_noop(struct raft *raft)
{
	append_own(raft, RAFT_NOOP, slice_of(NULL, 0));
}

void raft_append_own_membership(struct raft *raft, const struct raft_membership *membership)
{
	struct writer writer = writer_of(
	    (uint8_t *)&raft->peers[raft->places], RAFT_MEMBERSHIP_BYTES((size_t)raft->places));
	raft_membership_write(&writer, membership);
	ASSERT(!writer.failed);
	append_own(raft, RAFT_MEMBERSHIP, writer_view(&writer));
	raft_set_membership(raft, raft->last.index, membership);
}

void raft_raise_commit(struct raft *raft, uint64_t index)
{
	ASSERT(index <= raft->last.index);
	if (index <= raft->commit)
		return;
	raft->commit = index;
	raft_note_busy(raft);
}

/* ---- Term and role ---- */

void raft_set_term(struct raft *raft, uint64_t term, uint64_t vote)
{
	ASSERT(term >= raft->term);
	if (term > raft->term) {
		raft->leader = 0;
		raft->leader_round = 0;
		raft->accepted = raft->commit;
		raft->forced = false;
		raft->accept_reply_due = raft->heartbeat_reply_due = false;
		memset(raft->replies, 0, sizeof(raft->replies));
	} else {
		ASSERT(raft->vote == 0 || raft->vote == vote);
	}
	raft->term = term;
	raft->vote = vote;
	raft->hard_due = true;
}

bool raft_hard_is_durable(const struct raft *raft)
{
	return raft->hard_term == raft->term && raft->hard_vote == raft->vote;
}

void raft_arm_election(struct raft *raft)
{
	uint64_t wait = random_between(
	    &raft->random, raft->options.election_ms, 2 * (uint64_t)raft->options.election_ms);
	raft->election_at = raft->now_ms + wait;
}

void raft_become_follower(struct raft *raft, uint64_t term, uint64_t leader)
{
	bool led = raft->role == RAFT_LEADER;
	if (term > raft->term)
		raft_set_term(raft, term, 0);
	raft->role = RAFT_FOLLOWER;
	raft->leader = leader;
	raft_forget_question(raft);
	/* Whom it relied on is not its leader any more. */
	raft->asleep = false;
	if (led) {
		raft->heartbeat_at = RAFT_NEVER;
		raft->transfer_to = 0;
		raft->uncommitted_bytes = 0;
	}
	raft_arm_election(raft);
}

void raft_note_busy(struct raft *raft)
{
	raft->busy_ms = raft->now_ms;
}

struct reply *raft_reply_slot(struct raft *raft, enum raft_message_kind kind, uint64_t to)
{
	struct reply *slot = NULL;
	for (size_t i = 0; i < REPLIES_MAX && !slot; i++)
		if (raft->replies[i].kind == kind && raft->replies[i].to == to)
			slot = &raft->replies[i];
	for (size_t i = 0; i < REPLIES_MAX && !slot; i++)
		if (raft->replies[i].kind == 0)
			slot = &raft->replies[i];
	if (!slot) {
		/* The oldest is lost, as any message may be. */
		memmove(&raft->replies[0], &raft->replies[1],
		    (REPLIES_MAX - 1) * sizeof(raft->replies[0]));
		slot = &raft->replies[REPLIES_MAX - 1];
	}
	*slot = (struct reply){.kind = (uint8_t)kind, .to = to};
	raft->replies_due = true;
	return slot;
}

/* ---- Facts ---- */

static void tick(struct raft *raft)
{
	if (raft->role == RAFT_LEADER) {
		raft_lead_tick(raft);
	} else if (!raft->asleep && (raft->now_ms >= raft->election_at || raft_is_alone(raft))) {
		if (raft_may_campaign(raft)) {
			raft_campaign(raft, false);
		} else {
			raft_arm_election(raft);
			/* Whoever led was not heard of, and tells nobody when it steps down. A
			 * replica that knows no members has nobody else to ask. */
			if (raft_peer(raft, raft->options.self))
				raft->leader = 0;
			/* A learner that was started again, or woken by a late message. */
			raft_ask_to_wake(raft);
		}
	}
}

/* A sender of an older term learns the newer one, whoever it is: a candidate that was cut off, a
 * leader that does not know yet. Without this a group whose voters ask for pre-votes could stay
 * without a leader (section 9.6 and the note in election.c). */
static void refuse_older_term(struct raft *raft, const struct raft_message *message)
{
	switch (message->kind) {
	case RAFT_PREVOTE:
	case RAFT_VOTE: {
		enum raft_message_kind kind =
		    message->kind == RAFT_VOTE ? RAFT_VOTE_REPLY : RAFT_PREVOTE_REPLY;
		struct reply *reply = raft_reply_slot(raft, kind, message->from);
		reply->refused = true;
		reply->term = raft->term;
		return;
	}
	case RAFT_APPEND_ENTRIES:
	case RAFT_HEARTBEAT: {
		struct reply *reply = raft_reply_slot(raft, RAFT_APPEND_REPLY, message->from);
		reply->refused = true;
		reply->term = raft->term;
		return;
	}
	case RAFT_PREVOTE_REPLY:
	case RAFT_VOTE_REPLY:
	case RAFT_APPEND_REPLY:
	case RAFT_HEARTBEAT_REPLY:
	case RAFT_TIMEOUT_NOW:
	case RAFT_WAKE:
	case RAFT_READ_INDEX:
	case RAFT_READ_INDEX_REPLY:
		return;
	}
	UNREACHABLE();
}

/* False: the message is done with. */
static bool follow_term(struct raft *raft, const struct raft_message *message)
{
	if (message->term < raft->term) {
		if (!MUTATION(raft_older_terms_learn_nothing))
			refuse_older_term(raft, message);
		return false;
	}
	if (message->term == raft->term)
		return true;
	bool asks = message->kind == RAFT_PREVOTE;
	bool grants = message->kind == RAFT_PREVOTE_REPLY && !message->refused;
	/* A vote changes the term only where it is not kept back (election.c). */
	if (asks || grants || message->kind == RAFT_VOTE)
		return true;
	bool leads = message->kind == RAFT_APPEND_ENTRIES || message->kind == RAFT_HEARTBEAT;
	raft_become_follower(raft, message->term, leads ? message->from : 0);
	return true;
}

static void receive(struct raft *raft, const struct raft_message *message)
{
	ASSERT(message->to == raft->options.self);
	/* No term ever comes near the bound. */
	if (message->from == 0 || message->from == raft->options.self ||
	    message->term > RAFT_TERM_MAX || !follow_term(raft, message))
		return;
	switch (message->kind) {
	case RAFT_PREVOTE:
		raft_on_prevote(raft, message);
		return;
	case RAFT_VOTE:
		raft_on_vote(raft, message);
		return;
	case RAFT_PREVOTE_REPLY:
	case RAFT_VOTE_REPLY:
		raft_on_vote_reply(raft, message);
		return;
	case RAFT_APPEND_ENTRIES:
		raft_on_append(raft, message);
		return;
	case RAFT_HEARTBEAT:
		raft_on_heartbeat(raft, message);
		return;
	case RAFT_APPEND_REPLY:
		if (raft->role == RAFT_LEADER)
			raft_on_append_reply(raft, message);
		return;
	case RAFT_HEARTBEAT_REPLY:
		if (raft->role == RAFT_LEADER)
			raft_on_heartbeat_reply(raft, message);
		return;
	case RAFT_TIMEOUT_NOW:
		raft_on_timeout_now(raft, message);
		return;
	case RAFT_WAKE:
		raft_on_wake(raft, message);
		return;
	case RAFT_READ_INDEX:
		if (raft->role == RAFT_LEADER)
			raft_on_read_index(raft, message);
		return;
	case RAFT_READ_INDEX_REPLY:
		raft_on_read_index_reply(raft, message);
		return;
	}
	UNREACHABLE();
}

static void stored(struct raft *raft, uint64_t index, uint64_t epoch)
{
	ASSERT(epoch <= raft->epoch);
	if (epoch == raft->epoch || MUTATION(raft_counts_replaced_writes))
		raft->replaced = RAFT_NEVER;
	else if (index >= raft->replaced)
		/* It speaks of entries that others have replaced since. */
		index = raft->replaced - 1;
	if (index > raft->last.index)
		index = raft->last.index;
	if (index <= raft->durable)
		return;
	raft->durable = index;
	raft->waiting_ms = index == raft->last.index ? RAFT_NEVER : raft->now_ms;
	if (raft->role == RAFT_LEADER)
		raft_count_matches(raft);
	else if (raft->leader != 0)
		raft->accept_reply_due = true;
}

static void hard_stored(struct raft *raft, uint64_t term, uint64_t vote)
{
	ASSERT(term >= raft->hard_term && term <= raft->term);
	raft->hard_term = term;
	raft->hard_vote = vote;
	if (raft->role == RAFT_CANDIDATE)
		raft_count_votes(raft);
}

static void compacted(struct raft *raft, struct raft_position at)
{
	ASSERT(at.index <= raft->commit && at.index <= raft->durable);
	if (at.index > raft->base.index)
		raft->base = at;
}

static void applied(struct raft *raft, uint64_t index, uint64_t bytes)
{
	/* Those of earlier terms were not counted. */
	if (raft->role != RAFT_LEADER || index < raft->first_index)
		return;
	raft->uncommitted_bytes -=
	    bytes < raft->uncommitted_bytes ? bytes : raft->uncommitted_bytes;
}

static void snapshot_sent(struct raft *raft, uint64_t replica, uint64_t index)
{
	struct peer *peer = raft_peer(raft, replica);
	if (raft->role != RAFT_LEADER || !peer || peer->flow != RAFT_SNAPSHOT)
		return;
	raft_flow_probe(peer);
	if (index >= peer->next)
		peer->next = index + 1;
	if (peer->next > raft->last.index + 1)
		peer->next = raft->last.index + 1;
	/* After a failure the next heartbeat's answer says when to try again. */
	peer->probed = index == 0;
}

static void check(const struct raft *raft)
{
	ASSERT(raft->base.index <= raft->commit && raft->commit <= raft->last.index);
	ASSERT(raft->base.index <= raft->durable && raft->durable <= raft->last.index);
	ASSERT(raft->accepted <= raft->last.index && raft->last.term <= raft->term);
	ASSERT(raft->hard_term <= raft->term);
	ASSERT(raft->role != RAFT_LEADER || raft->hard_term == raft->term);
	ASSERT(!raft->asleep || raft->leader != 0);
}

void raft_step(struct raft *raft, const struct raft_event *event)
{
	ASSERT(event->now_ms >= raft->now_ms && raft->append_count == 0);
	raft->now_ms = event->now_ms;
	switch (event->kind) {
	case RAFT_TICK:
		tick(raft);
		break;
	case RAFT_RECEIVED:
		receive(raft, event->message);
		break;
	case RAFT_STORED:
		stored(raft, event->index, event->epoch);
		break;
	case RAFT_HARD_STORED:
		hard_stored(raft, event->term, event->vote);
		break;
	case RAFT_COMPACTED:
		compacted(raft, event->at);
		break;
	case RAFT_APPLIED:
		applied(raft, event->index, event->bytes);
		break;
	case RAFT_SNAPSHOT_SENT:
		snapshot_sent(raft, event->replica, event->index);
		break;
	case RAFT_INSTALLED:
		raft_installed(raft, event->at, event->membership);
		break;
	case RAFT_INSTALL_FAILED:
		raft->installing = false;
		break;
	case RAFT_UNREACHABLE:
		raft_lost_messages(raft, event->replica);
		break;
	case RAFT_PEER_DOWN:
		raft_peer_down(raft, event->replica);
		break;
	}
	check(raft);
}

/* ---- What is to be done ---- */

static bool next_snapshot(struct raft *raft, struct raft_output *ret_output)
{
	for (uint32_t i = 0; i < raft->peers_count && raft->snapshot_due; i++) {
		struct peer *peer = &raft->peers[i];
		if (!peer->snapshot_due)
			continue;
		peer->snapshot_due = false;
		*ret_output = (struct raft_output){
		    .kind = RAFT_SEND_SNAPSHOT, .replica = peer->replica, .term = raft->term};
		return true;
	}
	raft->snapshot_due = false;
	return false;
}

bool raft_next(struct raft *raft, struct raft_output *ret_output)
{
	if (raft->hard_due) {
		raft->hard_due = false;
		*ret_output =
		    (struct raft_output){.kind = RAFT_HARD, .term = raft->term, .vote = raft->vote};
		return true;
	}
	if (raft->append_count > 0) {
		*ret_output = (struct raft_output){.kind = RAFT_APPEND,
		    .term = raft->term,
		    .at = raft->append_at,
		    .count = raft->append_count,
		    .entries = raft->append_entries,
		    .epoch = raft->epoch};
		raft->append_count = 0;
		return true;
	}
	if (raft->commit != raft->commit_told) {
		raft->commit_told = raft->commit;
		*ret_output = (struct raft_output){.kind = RAFT_COMMIT,
		    .at = {.term = raft_term_at(raft, raft->commit), .index = raft->commit}};
		return true;
	}
	if (raft->confirmed != raft->confirmed_told) {
		raft->confirmed_told = raft->confirmed;
		*ret_output =
		    (struct raft_output){.kind = RAFT_CONFIRMED, .index = raft->confirmed};
		return true;
	}
	if (raft->readable_due) {
		raft->readable_due = false;
		*ret_output = raft->readable;
		return true;
	}
	if (raft->role != raft->role_told || raft->leader != raft->leader_told ||
	    raft->term != raft->term_told) {
		raft->role_told = raft->role;
		raft->leader_told = raft->leader;
		raft->term_told = raft->term;
		*ret_output = (struct raft_output){.kind = RAFT_ROLE,
		    .role = raft->role,
		    .replica = raft->leader,
		    .term = raft->term};
		return true;
	}
	return next_snapshot(raft, ret_output);
}

uint64_t raft_deadline(const struct raft *raft)
{
	if (raft->asleep)
		return RAFT_NEVER;
	if (raft_is_alone(raft))
		return raft->role == RAFT_FOLLOWER ? raft->now_ms : RAFT_NEVER;
	return raft->role == RAFT_LEADER ? raft->heartbeat_at : raft->election_at;
}

/* ---- Requests ---- */

static int propose(struct raft *raft, uint64_t now_ms, uint32_t count, uint64_t bytes,
    struct raft_position *ret_first)
{
	ASSERT(now_ms >= raft->now_ms && raft->append_count == 0 && count > 0);
	if (raft->role != RAFT_LEADER)
		return ERR_AGAIN;
	if (raft->uncommitted_bytes > 0 &&
	    raft->uncommitted_bytes + bytes > raft->options.uncommitted_bytes_max)
		return ERR_FULL;
	/* After a sleep the last call may be long ago. */
	raft->now_ms = now_ms;
	raft_wake(raft);
	raft_note_busy(raft);
	raft->uncommitted_bytes += bytes;
	raft->offered_bytes += bytes;
	*ret_first = (struct raft_position){.term = raft->term, .index = raft->last.index + 1};
	raft->last = (struct raft_position){.term = raft->term, .index = raft->last.index + count};
	if (raft->waiting_ms == RAFT_NEVER)
		raft->waiting_ms = raft->now_ms;
	return 0;
}

int raft_propose(struct raft *raft, uint64_t now_ms, uint32_t count, uint64_t bytes,
    struct raft_position *ret_first)
{
	if (raft->transfer_to != 0)
		return ERR_AGAIN;
	return propose(raft, now_ms, count, bytes, ret_first);
}

int raft_propose_promised(struct raft *raft, uint64_t now_ms, uint32_t count, uint64_t bytes,
    struct raft_position *ret_first)
{
	return propose(raft, now_ms, count, bytes, ret_first);
}

bool raft_stored_alone(struct raft *raft, uint64_t now_ms, uint64_t index)
{
	ASSERT(now_ms >= raft->now_ms && raft->append_count == 0);
	if (!raft->alone || raft->role != RAFT_LEADER || raft->replaced != RAFT_NEVER ||
	    index < raft->first_index || index <= raft->commit || index > raft->last.index ||
	    raft->membership_index > raft->commit || raft->commit != raft->commit_told)
		return false;
	raft->now_ms = raft->busy_ms = now_ms;
	raft->durable = raft->commit = raft->commit_told = index;
	raft->waiting_ms = index == raft->last.index ? RAFT_NEVER : now_ms;
	return true;
}

/* ---- For status ---- */

struct raft_status raft_status(const struct raft *raft)
{
	return (struct raft_status){
	    .role = raft->role,
	    .self = raft->options.self,
	    .term = raft->term,
	    .vote = raft->vote,
	    .leader = raft->leader,
	    .base = raft->base,
	    .last = raft->last,
	    .commit = raft->commit,
	    .durable = raft->durable,
	    .membership_index = raft->membership_index,
	    .asleep = raft->asleep,
	    .transferring = raft->transfer_to != 0,
	    .installing = raft->installing,
	    .committed_in_term = raft->role == RAFT_LEADER && raft->commit >= raft->first_index,
	    .places = raft->places,
	    .places_taken = raft->peers_count,
	};
}

bool raft_get_progress(const struct raft *raft, uint32_t number, struct raft_progress *ret_progress)
{
	if (number >= raft->peers_count)
		return false;
	const struct peer *peer = &raft->peers[number];
	bool self = peer->replica == raft->options.self; /* which sends itself nothing */
	*ret_progress = (struct raft_progress){
	    .replica = peer->replica,
	    .match = self ? raft->durable : peer->match,
	    .next = self ? raft->last.index + 1 : peer->next,
	    .heard_ms = self ? raft->now_ms : peer->heard_ms,
	    .flow = (enum raft_flow)peer->flow,
	    .messages_in_flight = peer->in_flight_count,
	    .bytes_in_flight = peer->in_flight_bytes,
	};
	return true;
}
