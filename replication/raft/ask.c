/* A replica that does not lead learns what it may read (section 6.4 of the thesis, whose last
 * paragraph has it: "followers can help offload the processing of read-only queries").
 *
 *   it: READ_INDEX(question) ---> its leader: how far is it committed?  ---> a majority confirms
 *   it: RAFT_READABLE        <--- READ_INDEX_REPLY(question, commit)    <---
 *
 * Everything that was committed anywhere before the question left is at or below the answer's
 * index: the leader took it after that, and that it led then is proved. By a round that begins when
 * the question comes (confirm.c); by a lease; or by the question itself, where this leader and who
 * asks are a majority already: who asks was in this very term when the question left, so nobody who
 * needs its vote had been elected in a later one. In a group of three that needs no more messages,
 * and wakes nobody.
 *
 * One question of a replica is under way at a time. Who asks meanwhile has the next one, which
 * leaves when the answer has come, or when it is asked for again and the one before is taken for
 * lost. Numbers are not those of an earlier life of the replica: they begin anywhere, and an answer
 * to another question than the one under way says nothing.
 */
#include "replication/raft/parts.h"

/* ---- Who asks ---- */

void raft_number_questions(struct raft *raft)
{
	struct random random;
	random_init(&random, ~raft->options.seed);
	raft->question = random_u64(&random) / 4;
}

static void open_question(struct raft *raft)
{
	raft->question++;
	raft->question_state = QUESTION_OPEN;
	raft->question_again = false;
	raft->question_ms = raft->now_ms;
}

int raft_ask(struct raft *raft, uint64_t now_ms, uint64_t *ret_question)
{
	ASSERT(now_ms >= raft->now_ms);
	raft->now_ms = now_ms;
	if (raft->role != RAFT_FOLLOWER || raft->leader == 0)
		return ERR_AGAIN;
	bool lost = raft->question_state == QUESTION_SENT &&
	            now_ms - raft->question_ms >= raft->options.election_ms / 2;
	if (raft->question_state == QUESTION_NONE || lost)
		open_question(raft);
	if (raft->question_state == QUESTION_OPEN)
		raft->question_ms = now_ms; /* it has not left */
	raft->question_again |= raft->question_state == QUESTION_SENT;
	*ret_question = raft->question + raft->question_again;
	return 0;
}

void raft_forget_question(struct raft *raft)
{
	raft->question_state = QUESTION_NONE;
	raft->question_again = false;
	raft->readable_due = false;
}

void raft_make_question(struct raft *raft, struct raft_message *ret_message)
{
	ASSERT(raft->question_state == QUESTION_OPEN);
	raft->question_state = QUESTION_SENT;
	ret_message->kind = RAFT_READ_INDEX;
	ret_message->round = raft->question;
}

void raft_on_read_index_reply(struct raft *raft, const struct raft_message *message)
{
	bool mine = message->round == raft->question || MUTATION(raft_takes_any_answer);
	if (raft->role != RAFT_FOLLOWER || message->from != raft->leader ||
	    raft->question_state != QUESTION_SENT || !mine)
		return;
	raft->question_state = QUESTION_NONE;
	raft->readable_due = true;
	raft->readable = (struct raft_output){.kind = RAFT_READABLE,
	    .index = raft->question,
	    .at = {.index = message->commit},
	    .asked_ms = raft->question_ms};
	if (raft->question_again)
		open_question(raft);
}

/* ---- Who is asked ---- */

static uint64_t asker_and_self(const struct raft *raft, const struct peer *peer)
{
	return peer->replica == raft->options.self || peer->replica == raft->asked_by;
}

/* Whether the two of them are a majority. */
static bool is_proof(struct raft *raft, uint64_t asker)
{
	raft->asked_by = asker;
	/* Breaks: an answer of a leader that may be none any more. */
	return raft_quorum_of(raft, asker_and_self) > 0 || MUTATION(raft_answers_unproved);
}

void raft_on_read_index(struct raft *raft, const struct raft_message *message)
{
	struct peer *peer = raft_peer(raft, message->from);
	if (!peer || peer->roles == 0 || message->round == 0 || !raft_knows_commit(raft))
		return;
	peer->question = message->round;
	peer->question_commit = raft->commit;
	peer->question_round = 0;
	if (is_proof(raft, peer->replica) || raft_lease(raft, raft->now_ms))
		return;
	int error = raft_confirm(raft, raft->now_ms, &peer->question_round);
	ASSERT(!error);
}

bool raft_make_answer(struct raft *raft, struct peer *peer, struct raft_message *ret_message)
{
	if (peer->question == 0 || raft->confirmed < peer->question_round)
		return false;
	ret_message->kind = RAFT_READ_INDEX_REPLY;
	ret_message->round = peer->question;
	ret_message->commit = peer->question_commit;
	peer->question = 0;
	return true;
}
