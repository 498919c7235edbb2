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

static void apply(struct rig_group *group, const struct rig_op *op)
{
	switch (op->kind) {
	case LOG_ENTRY:
		EXPECT(op->index > group->start && op->index <= group->last + 1);
		EXPECT(op->index < RIG_ENTRIES_MAX);
		group->term[op->index] = op->term;
		group->last = op->index;
		return;
	case LOG_HARD_STATE:
		group->hard = op->hard;
		return;
	case LOG_RESET:
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
	apply(&rig->appended[op->group], op);
	if (op->index > rig->index_ever[op->group])
		rig->index_ever[op->group] = op->index;
	if (op->term > rig->term_ever[op->group])
		rig->term_ever[op->group] = op->term;
}

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

/* ---- Inside the process ---- */

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
		apply(&rig->acknowledged[op->group], op);
	}
	EXPECT(acknowledged > 0);
	for (size_t i = 0; i < count; i++) {
		const struct rig_group *group = &rig->acknowledged[extents[i].group];
		struct log_group_view view = log_group(rig->log, extents[i].group);
		EXPECT(view.durable_index <= view.last_index);
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
	bool everything;
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
	log_append_reset(call->rig->log, call->op.group, call->op.term, call->op.index);
	note(call->rig, &call->op);
	call->done = true;
}

bool rig_reset(struct rig *rig, uint32_t group, uint64_t index, uint64_t term)
{
	struct call call = {
	    .op = {.kind = LOG_RESET, .group = group, .index = index, .term = term}};
	/* The snapshot is in the store before. */
	rig->base[group].index = index;
	rig->base[group].term = term;
	return run(rig, do_reset, &call);
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
		if (!call->everything)
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

bool rig_plan(struct rig *rig, bool everything)
{
	struct call call = {.everything = everything};
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

void rig_checkpoint(struct rig *rig)
{
	rig_settle(rig);
	ck_assert(rig_plan(rig, true));
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

/* ---- Looking ---- */

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
	struct call *call = arg;
	struct rig *rig = call->rig;
	for (uint32_t i = 0; i < RIG_GROUPS; i++) {
		struct log_group_view view = log_group(rig->log, i);
		rig->replayed[i].start = rig->replayed[i].last = view.first_index - 1;
		rig->replayed[i].hard = view.hard;
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
	call->done = true;
}

void rig_replay(struct rig *rig)
{
	struct call call = {0};
	ck_assert(run(rig, do_replay, &call));
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
		apply(&state[group], &rig->op[i]);
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
		apply(&rig->acknowledged[rig->op[i].group], &rig->op[i]);
	for (uint32_t i = 0; i < RIG_GROUPS; i++)
		trim(rig, i, &rig->acknowledged[i]);
	rig->op_count = 0;
}

void rig_check_groups(struct rig *rig)
{
	rig_replay(rig);
	for (uint32_t i = 0; i < RIG_GROUPS; i++)
		if (!rig_view(rig, i).suspect && !found_as(rig, i, &rig->acknowledged[i])) {
			describe(rig, i);
			ck_abort_msg("group %u is not as it was", i);
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
		if (!rig_plan(rig, false))
			continue;
		rig_store(rig);
		if (rig_release(rig))
			return;
	}
}
