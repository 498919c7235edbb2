/* What a replica that does not lead may read: it asks its leader (raft/ask.c), and waits until it
 * has applied what the answer names. And what one may read that led: a round of its own, once it is
 * confirmed, says what an answer says.
 *
 * Two answers may wait: the first that came, so that it is reached however quickly others follow,
 * and the newest, which stands for all between. */
#include "base/assert.h"
#include "base/clock.h"
#include "replication/group_parts.h"

int group_ask(struct group *group, uint64_t *ret_question)
{
	if (!group->raft || group_is_over(group) || group->store->closing)
		return ERR_AGAIN;
	int error = raft_ask(group->raft, group_now_ms(group), ret_question);
	group_act(group);
	return error;
}

uint64_t group_answered(const struct group *group)
{
	return group->answered.question;
}

/* ---- What a leader knows by its rounds ---- */

static bool round_is_reached(const struct group *group, const struct group_round *round)
{
	return round->round <= group->confirmed && round->index <= group->applied.index;
}

/* A lease may have said more. */
static void know(struct group *group, uint64_t at_ms)
{
	if (at_ms > group->rounds_known_ms)
		group->rounds_known_ms = at_ms;
}

static void reach_rounds(struct group *group)
{
	while (group->rounds_count > 0 && round_is_reached(group, &group->rounds[0])) {
		know(group, group->rounds[0].at_ms);
		group->rounds[0] = group->rounds[1];
		group->rounds_count--;
	}
}

/* As of answers, the first is kept, so that it is reached, and the newest. */
void group_note_round(struct group *group, uint64_t round)
{
	uint32_t last = sizeof(group->rounds) / sizeof(group->rounds[0]) - 1;
	/* Others of its turn share one, and the first of them came before it left. */
	if (group->rounds_count > 0 && group->rounds[group->rounds_count - 1].round == round)
		return;
	reach_rounds(group);
	if (group->rounds_count <= last)
		last = group->rounds_count++;
	group->rounds[last] = (struct group_round){
	    .round = round, .index = group->commit, .at_ms = group_now_ms(group)};
}

/* Not the present: that this replica leads now is as true as clocks run alike, and that it led when
 * the lease began is proved. */
void group_note_lease(struct group *group)
{
	if (group->commit <= group->applied.index)
		know(group, raft_lease_began(group->raft));
}

/* Rounds are numbered over all terms: what is not confirmed by now would seem to be by a later
 * leadership, and others may have led between. */
void group_forget_rounds(struct group *group)
{
	while (group->rounds_count > 0 &&
	       group->rounds[group->rounds_count - 1].round > group->confirmed)
		group->rounds_count--;
}

uint64_t group_known_ns(const struct group *group)
{
	uint64_t known_ms = group->answered.asked_ms;
	if (group->rounds_known_ms > known_ms)
		known_ms = group->rounds_known_ms;
	for (uint32_t i = 0; i < group->rounds_count; i++)
		if (round_is_reached(group, &group->rounds[i]) && group->rounds[i].at_ms > known_ms)
			known_ms = group->rounds[i].at_ms;
	return known_ms * NS_PER_MS;
}

/* ---- Answers ---- */

void group_take_answer(struct group *group, const struct raft_output *output)
{
	ASSERT(output->kind == RAFT_READABLE);
	uint32_t last = sizeof(group->answers) / sizeof(group->answers[0]) - 1;
	if (group->answers_count <= last)
		last = group->answers_count++;
	group->answers[last] = (struct group_answer){
	    .question = output->index, .index = output->at.index, .asked_ms = output->asked_ms};
	group_reach_answers(group);
}

void group_reach_answers(struct group *group)
{
	while (group->answers_count > 0 && group->answers[0].index <= group->applied.index) {
		group->answered = group->answers[0];
		group->answers[0] = group->answers[1];
		group->answers_count--;
		group->tells_answered = true;
		group_tell(group);
	}
}
