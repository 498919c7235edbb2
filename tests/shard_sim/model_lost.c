/* What was answered, and was lost with the majority that had it. */
#include "base/assert.h"
#include "tests/shard_sim/model_parts.h"

uint64_t model_revision(const struct model *model, unsigned number)
{
	const struct entity *entity = model->entities[number][model_newest_era(model, number)];
	return entity ? entity->answered : 0;
}

/* As if nobody knew what became of it. Returns whether somebody had been told that it is done. */
static bool forget_change(struct change *change)
{
	bool was_told = change->told;
	ASSERT(change->running == 0);
	change->told = change->seen = change->failed = false;
	change->unknown = true;
	change->lost = true;
	change->done.revision = change->done.first_reply = 0;
	return was_told;
}

uint64_t model_lose(struct model *model, unsigned number, uint64_t kept)
{
	unsigned era = model_newest_era(model, number);
	struct entity *entity = model_entity(model, number, era);
	struct calls *calls = &model->calls[number];
	uint64_t lost = 0;
	for (uint64_t id = 1; id < model->next_id; id++) {
		struct change *change = &model->changes[id];
		if (change->entity == number && change->done.era == era &&
		    change->done.revision > kept)
			lost += forget_change(change);
	}
	for (uint64_t revision = kept + 1; revision < REVISIONS_MAX; revision++) {
		entity->at[revision] = entity->answered_ns[revision] = 0;
		entity->states[revision] = (struct state_known){.has_sum = false};
	}
	if (entity->answered > kept)
		entity->answered = kept;
	for (unsigned connection = 0; connection < MODEL_CONNECTIONS; connection++)
		for (unsigned i = 0; i < RECENT_MAX; i++) {
			struct recent *recent = &calls->recent[connection][i];
			if (recent->era != era || recent->revision <= kept)
				continue;
			recent->revision = kept;
			recent->is_change = false;
		}
	return lost;
}

void model_lose_time(struct model *model, unsigned shard)
{
	int64_t latest_ms = 0;
	for (unsigned number = 0; number < MODEL_ENTITIES; number++) {
		const struct entity *entity =
		    model->entities[number][model_newest_era(model, number)];
		if (!entity || model_shard(number) != shard)
			continue;
		for (uint64_t revision = 1; revision <= entity->answered; revision++)
			if (entity->states[revision].at_ms > latest_ms)
				latest_ms = entity->states[revision].at_ms;
	}
	if (model->shown_ms[shard] > latest_ms)
		model->shown_ms[shard] = latest_ms;
}

uint64_t model_lost_done_again(const struct model *model)
{
	uint64_t count = 0;
	for (uint64_t id = 1; id < model->next_id; id++)
		count += model->changes[id].lost && model->changes[id].seen;
	return count;
}
