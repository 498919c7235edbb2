/* What a replica that does not lead may read: it asks its leader (raft/ask.c), and waits until it
 * has applied what the answer names. And what one may read that led: where a majority has confirmed
 * that it did, that says what an answer to a question of that time says.
 *
 * Two answers may wait: the first that came, so that it is reached however quickly others follow,
 * and the newest, which stands for all between. */
#include "base/assert.h"
#include "base/clock.h"
#include "base/mutation.h"
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

uint64_t group_known_ns(const struct group *group)
{
	return group->answered.asked_ms * NS_PER_MS;
}

static void wait_for_index(struct group *group, struct group_answer answer)
{
	uint32_t last = sizeof(group->answers) / sizeof(group->answers[0]) - 1;
	if (group->answers_count <= last)
		last = group->answers_count++;
	group->answers[last] = answer;
	group_reach_answers(group);
}

void group_take_answer(struct group *group, const struct raft_output *output)
{
	ASSERT(output->kind == RAFT_READABLE);
	wait_for_index(group, (struct group_answer){.question = output->index,
	                          .index = output->at.index,
	                          .asked_ms = output->asked_ms});
}

/* Who asked while it followed has its answer, or none: questions stay where they are. Who is alone
 * would have nobody to lose leadership to, and is spared this. */
void group_take_confirmation(struct group *group)
{
	const struct group_answer *newest = &group->answered;
	if (group->alone)
		return;
	if (group->answers_count > 0)
		newest = &group->answers[group->answers_count - 1];
	uint64_t led_ms = raft_led_ms(group->raft);
	/* Breaks: what is committed, and not applied here, others may have answered by then. */
	uint64_t index = MUTATION(group_knows_unapplied) ? 0 : group->commit;
	if (led_ms > newest->asked_ms)
		wait_for_index(
		    group, (struct group_answer){
		               .question = newest->question, .index = index, .asked_ms = led_ms});
}

void group_reach_answers(struct group *group)
{
	while (group->answers_count > 0 && group->answers[0].index <= group->applied.index) {
		bool told = group->answered.question == group->answers[0].question;
		group->answered = group->answers[0];
		group->answers[0] = group->answers[1];
		group->answers_count--;
		if (told)
			continue;
		group->tells_answered = true;
		group_tell(group);
	}
}
