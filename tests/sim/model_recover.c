/* The rule of recovery: which beginning of the row of operations is what the engine found. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "tests/sim/model.h"
#include "tests/sim/verdict.h"

/* What log_group_view says of a shard, and what a beginning of the row makes of it. */
struct summary {
	uint64_t last_index, last_term;
	struct log_hard_state hard;
};

struct search {
	const struct model *model;
	const struct model_view *views;
	bool may_lack_hints;
	struct summary made[MODEL_SHARDS_MAX];
	bool equal[MODEL_SHARDS_MAX];
	size_t unequal;
};

static bool is_equal(const struct search *search, size_t shard)
{
	const struct summary *made = &search->made[shard];
	const struct log_group_view *group = &search->views[shard].group;
	if (group->suspect || search->model->shards[shard].given_up)
		return true;
	if (group->last_index != made->last_index || group->last_term != made->last_term)
		return false;
	if (group->hard.term != made->hard.term || group->hard.vote != made->hard.vote)
		return false;
	/* The commit index is a hint, which a lie may take away alone, or a failing read for a
	 * while. */
	uint64_t hidden = search->model->shards[shard].hidden_commit;
	uint64_t highest = made->hard.commit > hidden ? made->hard.commit : hidden;
	return group->hard.commit <= highest &&
	       (search->may_lack_hints || group->hard.commit >= made->hard.commit);
}

static void judge(struct search *search, size_t shard)
{
	bool equal = is_equal(search, shard);
	if (equal && !search->equal[shard])
		search->unequal--;
	if (!equal && search->equal[shard])
		search->unequal++;
	search->equal[shard] = equal;
}

static void search_add(struct search *search, size_t position)
{
	const struct model_operation *operation = &search->model->operations[position];
	struct summary *made = &search->made[operation->shard];
	if (operation->kind == MODEL_ENTRY) {
		made->last_index = operation->index;
		made->last_term = operation->term;
	} else {
		const struct log_hard_state *hard = &operation->hard;
		if (hard->term > made->hard.term) {
			made->hard.term = hard->term;
			made->hard.vote = hard->vote;
		} else if (hard->term == made->hard.term && made->hard.vote == 0) {
			made->hard.vote = hard->vote;
		}
		if (hard->commit > made->hard.commit)
			made->hard.commit = hard->commit;
	}
	judge(search, operation->shard);
}

static void search_begin(struct search *search, const struct model *model,
    const struct model_view *views, bool may_lack_hints)
{
	memset(search, 0, sizeof(*search));
	search->model = model;
	search->views = views;
	search->may_lack_hints = may_lack_hints;
	search->unequal = model->shard_count;
	for (size_t i = 0; i < model->shard_count; i++)
		judge(search, i);
}

/* For the message: what each shard that does not fit has, and what it should have at least. */
__attribute__((noreturn, cold)) static void fail(const struct search *from, size_t floor)
{
	const struct model *model = from->model;
	struct search at;
	search_begin(&at, model, from->views, from->may_lack_hints);
	for (size_t i = 0; i < floor; i++)
		search_add(&at, i);
	for (size_t i = 0; i < model->shard_count; i++) {
		if (at.equal[i])
			continue;
		const struct log_group_view *group = &from->views[i].group;
		const struct summary *made = &at.made[i];
		fprintf(stderr,
		    "shard %" PRIu32 ": recovered last %" PRIu64 "/%" PRIu64 " hard %" PRIu64
		    "/%" PRIu64 "/%" PRIu64 ", acknowledged %" PRIu64 "/%" PRIu64 " hard %" PRIu64
		    "/%" PRIu64 "/%" PRIu64 "%s\n",
		    model->shards[i].number, group->last_index, group->last_term, group->hard.term,
		    group->hard.vote, group->hard.commit, made->last_index, made->last_term,
		    made->hard.term, made->hard.vote, made->hard.commit,
		    group->suspect ? " suspect" : "");
		if (group->last_index < made->last_index)
			verdict_fail("lost",
			    "shard %" PRIu32 ": entry %" PRIu64
			    " was acknowledged, the log ends at %" PRIu64,
			    model->shards[i].number, made->last_index, group->last_index);
		if (group->hard.term < made->hard.term)
			verdict_fail("hard state",
			    "shard %" PRIu32 ": term %" PRIu64 " was acknowledged, term %" PRIu64
			    " is there",
			    model->shards[i].number, made->hard.term, group->hard.term);
	}
	verdict_fail("recovery",
	    "what is there is made by no beginning of at least %zu of the %zu operations", floor,
	    model->count);
}

/* How many operations have to be there at least, and may be at most. */
static size_t find_floor(const struct model *model, const struct model_disk *disk)
{
	size_t floor = model->count;
	if (!disk->lied)
		return model->acknowledged;
	while (floor > 0 && model->operations[floor - 1].frame > disk->proven)
		floor--;
	return floor;
}

static size_t find_ceiling(const struct model *model, const struct model_disk *disk)
{
	size_t ceiling = 0;
	while (ceiling < model->count && (model->operations[ceiling].frame <= disk->last_frame ||
	                                     model->operations[ceiling].frame == UINT64_MAX))
		ceiling++;
	return ceiling;
}

/* Rule: nothing that was proven durable behind the snapshot is missing, but for entries of older
 * terms, which what it was made of had replaced. */
bool model_is_installed(const struct model *model, const struct model_disk *disk, size_t shard,
    const struct model_view *view)
{
	const struct log_group_view *group = &view->group;
	uint64_t index = model->shards[shard].installed;
	size_t floor = find_floor(model, disk);
	uint64_t last = 0;
	uint64_t last_term = 0;
	uint64_t term = 0;
	if (index == 0 || !disk->lied || view->closed || group->suspect ||
	    group->last_index != index || group->first_index <= index)
		return false;
	for (size_t i = 0; i < floor; i++) {
		const struct model_operation *operation = &model->operations[i];
		if (operation->shard != shard)
			continue;
		if (operation->kind == MODEL_ENTRY) {
			last = operation->index;
			last_term = operation->term;
		} else if (operation->hard.term > term) {
			term = operation->hard.term;
		}
	}
	bool is_behind = last <= index || last_term < group->last_term;
	return is_behind && term <= group->hard.term;
}

uint64_t model_highest_end(const struct model *model, const struct model_disk *disk, size_t shard)
{
	size_t floor = find_floor(model, disk);
	uint64_t last = 0;
	uint64_t highest = 0;
	for (size_t i = 0; i <= model->count; i++) {
		if (i >= floor && last > highest)
			highest = last;
		if (i == model->count)
			break;
		const struct model_operation *operation = &model->operations[i];
		if (operation->kind != MODEL_ENTRY || operation->shard != shard)
			continue;
		if (operation->in_doubt && last > highest)
			highest = last;
		last = operation->index;
	}
	return highest;
}

static size_t find_survivors(
    const struct model *model, const struct model_view *views, const struct model_disk *disk)
{
	struct search search;
	size_t found = SIZE_MAX;
	size_t floor = find_floor(model, disk);
	size_t ceiling = find_ceiling(model, disk);
	search_begin(&search, model, views, disk->lied || disk->unread);
	for (size_t i = 0; i <= model->count; i++) {
		if (i >= floor && i <= ceiling && search.unequal == 0)
			found = i;
		if (i < model->count)
			search_add(&search, i);
	}
	if (found == SIZE_MAX)
		fail(&search, floor);
	return found;
}

static void hide_hints(struct model *model, size_t shard, size_t survivors, uint64_t commit)
{
	uint64_t *hidden = &model->shards[shard].hidden_commit;
	for (size_t i = 0; i < survivors; i++) {
		const struct model_operation *operation = &model->operations[i];
		if (operation->kind == MODEL_HARD_STATE && operation->shard == shard &&
		    operation->hard.commit > commit && operation->hard.commit > *hidden)
			*hidden = operation->hard.commit;
	}
}

/* A commit hint is not acknowledged by itself; where a lie took one away, the row must not bring it
 * back at the next recovery. */
static void forget_hints(struct model *model, size_t shard, uint64_t commit)
{
	for (size_t i = 0; i < model->count; i++) {
		struct model_operation *operation = &model->operations[i];
		if (operation->kind == MODEL_HARD_STATE && operation->shard == shard &&
		    operation->hard.commit > commit)
			operation->hard.commit = commit;
	}
}

/* The row makes the hint that is there, where one that was hidden came back. */
static void take_hint(struct model *model, size_t shard, uint64_t commit)
{
	for (size_t i = model->count; i > 0 && model->shards[shard].hard.commit < commit; i--) {
		struct model_operation *operation = &model->operations[i - 1];
		if (operation->kind != MODEL_HARD_STATE || operation->shard != shard)
			continue;
		operation->hard.commit = commit;
		model->shards[shard].hard.commit = commit;
	}
}

static void forget_lost(struct model_shard *shard, size_t survivors, bool lost, bool lied)
{
	struct model_entries *applied = &shard->applied;
	uint64_t count = applied->count;
	while (count > 0 && applied->operations[count - 1] >= survivors)
		count--;
	EXPECT(count == applied->count || lied, "lost",
	    "shard %" PRIu32 ": entry %" PRIu64 " was applied, and is gone", shard->number,
	    applied->count);
	applied->count = count;
	state_cut(&shard->state, count);
	/* Which of the entries that are left had been committed is not known any more. */
	if (lost)
		shard->commit = count;
	ASSERT(shard->commit >= count);
	ASSERT(shard->suspect || shard->commit <= shard->log.count);
}

void model_recover(
    struct model *model, const struct model_view views[], const struct model_disk *disk)
{
	size_t survivors = find_survivors(model, views, disk);
	bool lost = survivors < model->acknowledged;
	if (lost)
		model->lost += model->acknowledged - survivors;
	for (size_t i = 0; i < model->shard_count; i++) {
		struct model_shard *shard = &model->shards[i];
		shard->suspect = views[i].group.suspect;
		shard->closed = views[i].closed;
		shard->log.count = 0;
		shard->hard = (struct log_hard_state){0};
		if (shard->suspect || !(disk->lied || disk->unread))
			continue;
		if (disk->unread)
			hide_hints(model, i, survivors, views[i].group.hard.commit);
		forget_hints(model, i, views[i].group.hard.commit);
	}
	for (size_t i = model->acknowledged; i < survivors; i++)
		if (model->shards[model->operations[i].shard].suspect)
			model->operations[i].in_doubt = true;
	/* The beginning that survived, played again from the start: simple, so right. */
	model->count = survivors;
	for (size_t i = 0; i < survivors; i++)
		model_take_effect(model, i);
	for (size_t i = 0; i < model->shard_count; i++)
		if (!model->shards[i].suspect)
			take_hint(model, i, views[i].group.hard.commit);
	/* All of it was written again and synced before the engine opened. */
	model->acknowledged = survivors;
	for (size_t i = 0; i < model->shard_count; i++)
		forget_lost(&model->shards[i], survivors, lost, disk->lied);
}
