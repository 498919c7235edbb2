#include "tests/unit/log/rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io/fs.h"
#include "base/io/io.h"
#include "tests/unit/run.h"

#define STEPS_MAX 2000000

/* ---- Payloads ---- */

static uint64_t mix(uint64_t value)
{
	value = (value ^ value >> 31) * 0x9e3779b97f4a7c15;
	value = (value ^ value >> 29) * 0xbf58476d1ce4e5b9;
	return value ^ value >> 32;
}

uint32_t rig_payload(uint32_t group, uint64_t index, uint64_t term, uint8_t *data)
{
	uint64_t state = mix(mix(mix(group + 1) + index) + term);
	uint32_t bytes = (uint32_t)(state % 200);
	if (state % 61 == 0)
		bytes = (uint32_t)(state % RIG_PAYLOAD_BYTES_MAX);
	for (uint32_t i = 0; data && i < bytes; i++) {
		if (i % 8 == 0)
			state = mix(state + 1);
		data[i] = (uint8_t)(state >> i % 8 * 8);
	}
	return bytes;
}

/* ---- The model ---- */

void rig_apply(struct rig_group *group, const struct rig_op *op)
{
	switch (op->kind) {
	case LOG_ENTRY:
		EXPECT(op->index > group->start && op->index <= group->last + 1);
		EXPECT(op->index < RIG_ENTRIES_MAX);
		group->term[op->index] = op->term;
		group->frame[op->index] = op->frame;
		group->last = op->index;
		return;
	case LOG_HARD_STATE:
		group->hard = op->hard;
		return;
	case LOG_RESET:
		if (op->index == 0)
			group->hard = (struct log_hard_state){0};
		group->start = group->last = op->index;
		group->start_term = op->term;
		return;
	case LOG_TRUNCATE:
	case LOG_ACCEPT_LOSS:
		break;
	}
	ck_abort_msg("not an operation");
}

static void note(struct rig *rig, const struct rig_op *op)
{
	EXPECT(rig->op_count < RIG_OPS_MAX);
	rig->op[rig->op_count] = *op;
	rig->op[rig->op_count].frame = log_figures(rig->log).last_frame + 1;
	rig->op_count++;
	const struct log_hard_state *hard = &rig->appended[op->group].hard;
	uint64_t frame = rig->op[rig->op_count - 1].frame;
	if (frame < RIG_FRAMES_MAX && (op->kind != LOG_HARD_STATE || op->hard.term != hard->term ||
	                                  op->hard.vote != hard->vote))
		rig->groups_of_frame[frame] |= (uint8_t)(1 << op->group);
	rig_apply(&rig->appended[op->group], &rig->op[rig->op_count - 1]);
	if (op->index > rig->index_ever[op->group])
		rig->index_ever[op->group] = op->index;
	if (op->term > rig->term_ever[op->group])
		rig->term_ever[op->group] = op->term;
}

/* ---- Inside the process ---- */

/* The highest entry such that it and all before it, as they are now, are durable. */
static uint64_t durable_index(const struct rig *rig, uint32_t number, uint64_t frame)
{
	const struct rig_group *group = &rig->appended[number];
	uint64_t index = group->last;
	while (
	    index > group->start && index > rig->base[number].index && group->frame[index] > frame)
		index--;
	return index;
}

static void on_durable(void *arg, const struct log_extent *extents, size_t count)
{
	struct rig *rig = arg;
	uint64_t frame = log_figures(rig->log).durable_frame;
	EXPECT(frame > rig->durable_frame);
	rig->durable_frame = frame;
	bool named[RIG_GROUPS] = {false};
	for (size_t i = 0; i < count; i++) {
		EXPECT(extents[i].group < RIG_GROUPS);
		EXPECT(!named[extents[i].group]);
		named[extents[i].group] = true;
	}
	size_t acknowledged = 0;
	while (acknowledged < rig->op_count && rig->op[acknowledged].frame <= frame) {
		const struct rig_op *op = &rig->op[acknowledged++];
		EXPECT(op->frame == frame);
		EXPECT(named[op->group]);
		uint8_t expected[RIG_PAYLOAD_BYTES_MAX];
		if (op->kind == LOG_ENTRY)
			EXPECT(memcmp(op->payload, expected,
			           rig_payload(op->group, op->index, op->term, expected)) == 0);
		rig_apply(&rig->acknowledged[op->group], op);
	}
	EXPECT(acknowledged > 0);
	for (size_t i = 0; i < count; i++) {
		const struct rig_group *group = &rig->acknowledged[extents[i].group];
		EXPECT(log_group(rig->log, extents[i].group).durable_index ==
		       durable_index(rig, extents[i].group, frame));
		if (extents[i].first_index <= extents[i].last_index)
			EXPECT(extents[i].last_index == group->last &&
			       extents[i].last_term == group->term[group->last]);
	}
	rig->op_count -= acknowledged;
	rig->acknowledged_ops += acknowledged;
	memmove(rig->op, rig->op + acknowledged, rig->op_count * sizeof(rig->op[0]));
}

static void on_room(void *arg)
{
	struct rig *rig = arg;
	rig->rooms++;
}

static struct log_base base_of(void *arg, uint32_t group)
{
	struct rig *rig = arg;
	EXPECT(group < RIG_GROUPS);
	return rig->base[group];
}

static void turn(void *arg)
{
	struct rig *rig = arg;
	io_run(rig->io);
	if (rig->flush_in_turn && rig->log)
		log_flush(rig->log);
}

static void do_open(void *arg)
{
	struct rig *rig = arg;
	struct log_options options = rig->options;
	options.io = rig->io;
	options.fs = rig->fs;
	options.anchor = rig->anchor;
	rig->open_error = log_open(&options, &rig->log, &rig->report);
	rig->open_returned = true;
}

/* ---- Life ---- */

struct rig *rig_new(uint64_t seed, const struct sim_faults *faults)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	ck_assert_ptr_nonnull(rig);
	rig->sim = sim_new(seed, faults);
	rig->node = sim_node_new(rig->sim);
	rig->fs = sim_node_fs(rig->node);
	rig->flush_in_turn = true;
	rig->options = (struct log_options){.dir = "log",
	    .store = RIG_STORE,
	    .base = base_of,
	    .base_arg = rig,
	    .segment_bytes = 64 * 1024,
	    .first_segment_bytes = 16 * 1024,
	    .frames_in_flight_max = 4,
	    .frame_bytes_max = 8 * 1024,
	    .watermark_delay_ms = 1,
	    .durable = on_durable,
	    .room = on_room,
	    .arg = rig};
	ck_assert_int_eq(fs_make_dir(rig->fs, "log"), 0);
	ck_assert_int_eq(fs_sync_dir(rig->fs, "."), 0);
	return rig;
}

void rig_free(struct rig *rig)
{
	sim_free(rig->sim);
	free(rig);
}

bool rig_boot(struct rig *rig)
{
	rig->log = NULL;
	rig->open_returned = false;
	rig->planned = false;
	rig->drained = false;
	rig->opens++;
	rig->io = sim_node_boot(rig->node);
	sim_node_set_turn(rig->node, turn, rig);
	if (!sim_node_run(rig->node, do_open, rig)) {
		rig->crashes++;
		rig->log = NULL;
		return false;
	}
	if (rig->open_error == 0 && rig->life_count < RIG_LIVES_MAX) {
		/* The newest frame is the LIFE frame. */
		uint64_t first = log_figures(rig->log).last_frame;
		rig->life[rig->life_count] = rig->report.life;
		rig->life_frame[rig->life_count++] = first;
		if (first < RIG_FRAMES_MAX)
			memset(rig->groups_of_frame + first, 0, RIG_FRAMES_MAX - first);
	}
	return true;
}

void rig_crash(struct rig *rig, enum sim_crash crash)
{
	sim_node_crash(rig->node, crash);
	rig->log = NULL;
	rig->crashes++;
}

bool rig_ended(struct rig *rig)
{
	if (sim_node_is_running(rig->node))
		return false;
	if (rig->log)
		rig->crashes++;
	rig->log = NULL;
	return true;
}

/* ---- Operations ---- */

struct call {
	struct rig *rig;
	struct rig_op op;
	uint64_t segment;
	uint64_t bytes_max;
	enum rig_plan plan;
	bool whole;
	bool done;
};

static bool run(struct rig *rig, void (*what)(void *arg), struct call *call)
{
	call->rig = rig;
	if (sim_node_run(rig->node, what, call))
		return call->done;
	rig_ended(rig);
	return false;
}

static void do_append(void *arg)
{
	struct call *call = arg;
	struct rig *rig = call->rig;
	const struct rig_op *op = &call->op;
	uint32_t bytes = rig_payload(op->group, op->index, op->term, NULL);
	if (!log_reserve(rig->log, bytes, 1))
		return;
	log_unreserve(rig->log, bytes, 1);
	uint8_t *payload;
	log_append(rig->log, op->group, op->term, op->index, bytes, &payload);
	rig_payload(op->group, op->index, op->term, payload);
	note(rig, op);
	rig->op[rig->op_count - 1].payload = payload;
	call->done = true;
}

bool rig_append(struct rig *rig, uint32_t group, uint64_t index, uint64_t term)
{
	struct call call = {
	    .op = {.kind = LOG_ENTRY, .group = group, .index = index, .term = term}};
	return run(rig, do_append, &call);
}

bool rig_append_next(struct rig *rig, uint32_t group)
{
	const struct rig_group *model = &rig->appended[group];
	uint64_t term = model->last > model->start ? model->term[model->last] : model->start_term;
	return rig_append(rig, group, model->last + 1, term ? term : 1);
}

static void do_hard(void *arg)
{
	struct call *call = arg;
	log_append_hard_state(call->rig->log, call->op.group, &call->op.hard);
	note(call->rig, &call->op);
	call->done = true;
}

bool rig_hard(struct rig *rig, uint32_t group, struct log_hard_state hard)
{
	struct call call = {.op = {.kind = LOG_HARD_STATE, .group = group, .hard = hard}};
	return run(rig, do_hard, &call);
}

static void do_reset(void *arg)
{
	struct call *call = arg;
	(void)log_append_reset(
	    call->rig->log, call->op.group, call->op.term, call->op.index, call->whole);
	note(call->rig, &call->op);
	call->done = true;
}

static bool reset(struct rig *rig, uint32_t group, uint64_t index, uint64_t term, bool whole)
{
	struct call call = {.op = {.kind = LOG_RESET, .group = group, .index = index, .term = term},
	    .whole = whole};
	/* The snapshot is in the store before. */
	rig->base[group].index = index;
	rig->base[group].term = term;
	return run(rig, do_reset, &call);
}

bool rig_reset(struct rig *rig, uint32_t group, uint64_t index, uint64_t term)
{
	return reset(rig, group, index, term, false);
}

bool rig_reset_whole(struct rig *rig, uint32_t group, uint64_t index, uint64_t term)
{
	return reset(rig, group, index, term, true);
}

static void do_forget(void *arg)
{
	struct call *call = arg;
	(void)log_append_forget(call->rig->log, call->op.group);
	note(call->rig, &call->op);
	call->done = true;
}

bool rig_forget(struct rig *rig, uint32_t group)
{
	struct call call = {.op = {.kind = LOG_RESET, .group = group}};
	/* The store knows nothing of it, before. */
	rig->base[group] = (struct log_base){0};
	return run(rig, do_forget, &call);
}

static void do_flush(void *arg)
{
	struct call *call = arg;
	log_flush(call->rig->log);
	call->done = true;
}

bool rig_flush(struct rig *rig)
{
	struct call call = {0};
	return run(rig, do_flush, &call);
}

static void do_plan(void *arg)
{
	struct call *call = arg;
	struct rig *rig = call->rig;
	for (uint32_t i = 0; i < RIG_GROUPS; i++) {
		struct log_group_view view = log_group(rig->log, i);
		rig->planned_base[i] = rig->base[i];
		if (view.suspect)
			continue;
		uint64_t index = view.durable_index, least = rig->base[i].index;
		EXPECT(index >= least);
		EXPECT(index <= rig->acknowledged[i].last || index == view.first_index - 1);
		if (call->plan == RIG_PLAN_NOTHING || rig->idle_groups >> i & 1)
			index = least;
		else if (call->plan == RIG_PLAN_SOME)
			index = least + sim_random_below(rig->sim, index - least + 1);
		if (index < view.first_index - 1)
			index = view.first_index - 1;
		rig->planned_base[i] = log_plan(rig->log, i, index);
		EXPECT(rig->planned_base[i].index == index || rig->planned_base[i].index == least);
	}
	log_plan_anchor(rig->log, &rig->planned_anchor);
	rig->planned = true;
	rig->stored = false;
	call->done = true;
}

bool rig_plan(struct rig *rig, enum rig_plan plan)
{
	struct call call = {.plan = plan};
	return run(rig, do_plan, &call);
}

void rig_store(struct rig *rig)
{
	uint8_t data[LOG_ANCHOR_BYTES];
	log_anchor_encode(&rig->planned_anchor, data);
	ck_assert_int_eq(log_anchor_decode(slice_of(data, sizeof(data)), &rig->anchor), 0);
	for (uint32_t i = 0; i < RIG_GROUPS; i++) {
		/* A snapshot that came in the meantime stays. */
		struct log_base base = rig->planned_base[i];
		if (base.index < rig->base[i].index) {
			base.index = rig->base[i].index;
			base.term = rig->base[i].term;
		}
		rig->base[i] = base;
	}
	rig->stored = true;
	rig->checkpoints++;
}

static void do_release(void *arg)
{
	struct call *call = arg;
	log_release(call->rig->log, &call->rig->planned_anchor);
	call->rig->planned = false;
	call->rig->releases++;
	call->done = true;
}

bool rig_release(struct rig *rig)
{
	struct call call = {0};
	return run(rig, do_release, &call);
}

static void do_rewrite(void *arg)
{
	struct call *call = arg;
	log_rewrite(call->rig->log, call->segment, call->bytes_max);
	call->done = true;
}

bool rig_rewrite(struct rig *rig, uint64_t segment, uint64_t bytes_max)
{
	struct call call = {.segment = segment, .bytes_max = bytes_max};
	return run(rig, do_rewrite, &call);
}

/* ---- Time ---- */

void rig_steps(struct rig *rig, uint64_t count)
{
	for (uint64_t i = 0; i < count && sim_node_is_running(rig->node); i++)
		if (!sim_step(rig->sim))
			break;
	rig_ended(rig);
}

static bool is_settled(void *arg)
{
	struct rig *rig = arg;
	return !sim_node_is_running(rig->node) || log_idle(rig->log);
}

void rig_settle(struct rig *rig)
{
	bool before = rig->flush_in_turn;
	rig->flush_in_turn = true;
	if (rig_flush(rig))
		ck_assert_msg(sim_run_until(rig->sim, is_settled, rig, STEPS_MAX), "seed %" PRIu64,
		    sim_seed(rig->sim));
	rig_ended(rig);
	rig->flush_in_turn = before;
}

void rig_quiet(struct rig *rig)
{
	ck_assert(sim_run_until(rig->sim, NULL, NULL, STEPS_MAX));
	rig_ended(rig);
}

uint64_t rig_frame(struct rig *rig, uint32_t group)
{
	rig_settle(rig);
	while (!rig_append_next(rig, group)) {
		/* A segment is being prepared. */
		ck_assert(sim_node_is_running(rig->node));
		ck_assert(sim_step(rig->sim));
	}
	rig_settle(rig);
	return rig->durable_frame;
}

void rig_checkpoint(struct rig *rig, enum rig_plan plan)
{
	rig_settle(rig);
	ck_assert(rig_plan(rig, plan));
	rig_store(rig);
	ck_assert(rig_release(rig));
}

static void on_drained(void *arg)
{
	struct rig *rig = arg;
	EXPECT(log_idle(rig->log));
	rig->drained = true;
}

static void do_drain(void *arg)
{
	struct call *call = arg;
	log_drain(call->rig->log, on_drained, call->rig);
	EXPECT(!call->rig->drained);
	call->done = true;
}

void rig_drain(struct rig *rig)
{
	struct call call = {0};
	ck_assert(run(rig, do_drain, &call));
	rig_quiet(rig);
	ck_assert(rig->drained);
}
