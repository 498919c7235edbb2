/* What the rig's log holds, compared with the model. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/log/rig.h"
#include "tests/unit/run.h"

static bool same_group(const struct rig_group *a, const struct rig_group *b)
{
	if (a->start != b->start || a->last != b->last)
		return false;
	if (memcmp(&a->hard, &b->hard, sizeof(a->hard)) != 0)
		return false;
	for (uint64_t i = a->start + 1; i <= a->last; i++)
		if (a->term[i] != b->term[i])
			return false;
	return true;
}

struct look {
	struct rig *rig;
	uint32_t group;
	struct log_group_view view;
};

static void do_view(void *arg)
{
	struct look *look = arg;
	look->view = log_group(look->rig->log, look->group);
}

struct log_group_view rig_view(struct rig *rig, uint32_t group)
{
	struct look look = {.rig = rig, .group = group};
	ck_assert(sim_node_run(rig->node, do_view, &look));
	return look.view;
}

static int on_record(void *arg, const struct log_record *record)
{
	struct rig *rig = arg;
	uint8_t expected[RIG_PAYLOAD_BYTES_MAX];
	EXPECT(record->kind == LOG_ENTRY && record->group < RIG_GROUPS);
	struct rig_group *group = &rig->replayed[record->group];
	EXPECT(record->index == group->last + 1);
	uint32_t bytes = rig_payload(record->group, record->index, record->term, expected);
	EXPECT(slice_equal(record->payload, slice_of(expected, bytes)));
	group->term[record->index] = record->term;
	group->last = record->index;
	return 0;
}

static void do_replay(void *arg)
{
	struct rig *rig = arg;
	for (uint32_t i = 0; i < RIG_GROUPS; i++) {
		struct log_group_view view = log_group(rig->log, i);
		rig->replayed[i].start = rig->replayed[i].last = view.first_index - 1;
		rig->replayed[i].hard = view.hard;
		rig->replayed[i].start_term = 0;
		if (log_term(rig->log, i, rig->replayed[i].start, &rig->replayed[i].start_term))
			rig->replayed[i].start_term = rig->base[i].term;
	}
	EXPECT(log_replay(rig->log, on_record, rig) == 0);
	for (uint32_t i = 0; i < RIG_GROUPS; i++) {
		const struct rig_group *group = &rig->replayed[i];
		struct log_group_view view = log_group(rig->log, i);
		EXPECT(view.last_index == group->last);
		EXPECT(view.durable_index == view.last_index);
		EXPECT(view.first_index > view.last_index ||
		       view.last_term == group->term[view.last_index]);
		for (uint64_t k = view.first_index; k <= view.last_index; k++) {
			uint64_t term = 0;
			EXPECT(log_term(rig->log, i, k, &term) == 0 && term == group->term[k]);
		}
	}
}

void rig_replay(struct rig *rig)
{
	ck_assert(sim_node_run(rig->node, do_replay, rig));
}

/* The part of the model that is above the checkpoint, as a log shows it. */
static void trim(const struct rig *rig, uint32_t number, struct rig_group *group)
{
	uint64_t base = rig->base[number].index;
	if (base < group->start)
		return;
	group->start = base;
	group->start_term = rig->base[number].term;
	if (group->last < base)
		group->last = base;
}

/* How the model's state and the log's view differ, where a prefix is looked for. */
static bool found_as(const struct rig *rig, uint32_t number, const struct rig_group *model)
{
	static struct rig_group trimmed;
	trimmed = *model;
	trim(rig, number, &trimmed);
	return same_group(&trimmed, &rig->replayed[number]);
}

static void describe(const struct rig *rig, uint32_t number)
{
	const struct rig_group *model = &rig->acknowledged[number];
	const struct rig_group *found = &rig->replayed[number];
	printf("group %u: acknowledged %" PRIu64 "..%" PRIu64 " hard %" PRIu64 "/%" PRIu64
	       "/%" PRIu64 ", base %" PRIu64 "; found %" PRIu64 "..%" PRIu64 " hard %" PRIu64
	       "/%" PRIu64 "/%" PRIu64 "\n",
	    number, model->start, model->last, model->hard.term, model->hard.vote,
	    model->hard.commit, rig->base[number].index, found->start, found->last,
	    found->hard.term, found->hard.vote, found->hard.commit);
}

/* The log holds what was acknowledged, and a prefix of what was appended behind it. */
static void check_prefix(struct rig *rig)
{
	bool same[RIG_GROUPS];
	size_t differ = 0;
	for (uint32_t i = 0; i < RIG_GROUPS; i++) {
		same[i] = found_as(rig, i, &rig->acknowledged[i]);
		differ += !same[i];
	}
	/* The longest one: hard states may repeat. */
	size_t found = differ == 0 ? 0 : SIZE_MAX;
	static struct rig_group state[RIG_GROUPS];
	memcpy(state, rig->acknowledged, sizeof(state));
	for (size_t i = 0; i < rig->op_count; i++) {
		uint32_t group = rig->op[i].group;
		rig_apply(&state[group], &rig->op[i]);
		bool now = found_as(rig, group, &state[group]);
		differ += (size_t)same[group] - (size_t)now;
		same[group] = now;
		if (differ == 0)
			found = i + 1;
	}
	if (found == SIZE_MAX) {
		for (uint32_t i = 0; i < RIG_GROUPS; i++)
			describe(rig, i);
		for (size_t i = 0; i < rig->op_count; i++)
			printf("op: frame %" PRIu64 " group %u kind %d index %" PRIu64
			       " term %" PRIu64 "\n",
			    rig->op[i].frame, rig->op[i].group, (int)rig->op[i].kind,
			    rig->op[i].index, rig->op[i].term);
		ck_abort_msg("seed %" PRIu64 ", opening %" PRIu64 ": not a prefix",
		    sim_seed(rig->sim), rig->opens);
	}
	for (size_t i = 0; i < found; i++)
		rig_apply(&rig->acknowledged[rig->op[i].group], &rig->op[i]);
	for (uint32_t i = 0; i < RIG_GROUPS; i++)
		trim(rig, i, &rig->acknowledged[i]);
	rig->op_count = 0;
}

void rig_check_groups(struct rig *rig)
{
	rig_replay(rig);
	static struct rig_group group;
	for (uint32_t i = 0; i < RIG_GROUPS; i++) {
		group = rig->acknowledged[i];
		/* A hint, which damage may set back. */
		if (rig->replayed[i].hard.commit < group.hard.commit)
			group.hard.commit = rig->replayed[i].hard.commit;
		if (!rig_view(rig, i).suspect && !found_as(rig, i, &group)) {
			describe(rig, i);
			for (uint64_t k = 0; k < RIG_ENTRIES_MAX; k++)
				if (k > rig->replayed[i].start && k <= rig->replayed[i].last)
					printf("entry %" PRIu64 ": term %" PRIu64 ", found %" PRIu64
					       "\n",
					    k, group.term[k], rig->replayed[i].term[k]);
			ck_abort_msg(
			    "seed %" PRIu64 ": group %u is not as it was", sim_seed(rig->sim), i);
		}
	}
}

static void open_and_check(struct rig *rig)
{
	while (!rig_boot(rig))
		;
	EXPECT(rig->open_returned);
	ck_assert_msg(rig->open_error == 0, "seed %" PRIu64 ": %s", sim_seed(rig->sim),
	    error_name(rig->open_error));
	ck_assert_msg(rig->report.gaps == 0, "seed %" PRIu64 ", opening %" PRIu64 ": a false gap",
	    sim_seed(rig->sim), rig->opens);
	rig_replay(rig);
	for (uint32_t i = 0; i < RIG_GROUPS; i++)
		EXPECT(!rig_view(rig, i).suspect);
	check_prefix(rig);
	memcpy(rig->appended, rig->acknowledged, sizeof(rig->appended));
	rig->durable_frame = 0;
}

void rig_reopen(struct rig *rig)
{
	for (;;) {
		open_and_check(rig);
		if (rig->anchor.life != 0)
			return;
		/* A new store writes its first anchor before anything else. */
		if (!rig_plan(rig, RIG_PLAN_NOTHING))
			continue;
		rig_store(rig);
		if (rig_release(rig))
			return;
	}
}
