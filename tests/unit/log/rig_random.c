/* Random operations on the rig's log, drawn from the world's seed. */
#include "storage/log.h"
#include "tests/unit/log/rig.h"

static uint64_t below(struct rig *rig, uint64_t limit)
{
	return sim_random_below(rig->sim, limit);
}

/* What may still be replaced: above what any checkpoint holds or will hold. */
static uint64_t settled_index(const struct rig *rig, uint32_t group)
{
	uint64_t index = rig->base[group].index;
	if (rig->planned && rig->planned_base[group].index > index)
		index = rig->planned_base[group].index;
	if (rig->appended[group].start > index)
		index = rig->appended[group].start;
	return index;
}

static uint64_t last_term(const struct rig_group *group, uint64_t index)
{
	return index > group->start ? group->term[index] : group->start_term;
}

static void replace_suffix(struct rig *rig, uint32_t group)
{
	const struct rig_group *model = &rig->appended[group];
	uint64_t least = settled_index(rig, group) + 1;
	if (model->last < least)
		return;
	uint64_t index = least + below(rig, model->last - least + 1);
	/* A new leader's: a term that no entry here has. */
	uint64_t term = last_term(model, model->last) + 1;
	if (model->hard.term >= term)
		term = model->hard.term + 1;
	rig_append(rig, group, index, term);
}

static void change_hard_state(struct rig *rig, uint32_t group)
{
	struct log_hard_state hard = rig->appended[group].hard;
	uint64_t last = last_term(&rig->appended[group], rig->appended[group].last);
	switch (below(rig, 3)) {
	case 0:
		hard.term = (hard.term > last ? hard.term : last) + 1;
		hard.vote = below(rig, 3);
		break;
	case 1:
		if (hard.vote == 0)
			hard.vote = 1 + below(rig, 3);
		break;
	default:
		hard.commit++;
		break;
	}
	rig_hard(rig, group, hard);
}

/* Ahead of everything that was ever here, or it would be asked for in vain. */
static void install_snapshot(struct rig *rig, uint32_t group)
{
	uint64_t term = rig->term_ever[group] + 1;
	uint64_t index = rig->index_ever[group] + below(rig, 3);
	rig_reset(rig, group, index > 0 ? index : 1, term);
}

static void checkpoint_step(struct rig *rig)
{
	if (!rig->planned)
		rig_plan(rig, below(rig, 2));
	else if (!rig->stored)
		rig_store(rig);
	else
		rig_release(rig);
}

void rig_random_step(struct rig *rig)
{
	uint32_t group = (uint32_t)below(rig, RIG_GROUPS);
	uint64_t kind = below(rig, 1000);
	if (kind < 500)
		rig_append_next(rig, group);
	else if (kind < 540)
		replace_suffix(rig, group);
	else if (kind < 600)
		change_hard_state(rig, group);
	else if (kind < 603)
		install_snapshot(rig, group);
	else if (kind < 700)
		rig_flush(rig);
	else if (kind < 715)
		checkpoint_step(rig);
	else if (kind < 717 && !rig->no_copies)
		rig_rewrite(rig, log_figures(rig->log).current_segment, below(rig, 8000));
	else if (kind < 718)
		rig_settle(rig);
	else
		rig_steps(rig, below(rig, 12));
}

bool rig_is_long(const struct rig *rig)
{
	for (uint32_t i = 0; i < RIG_GROUPS; i++)
		if (rig->appended[i].last + 8 >= RIG_ENTRIES_MAX)
			return true;
	return rig->log && log_figures(rig->log).last_frame + 500 >= RIG_FRAMES_MAX;
}
