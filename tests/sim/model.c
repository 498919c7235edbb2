#include "tests/sim/model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tests/sim/verdict.h"

void model_init(struct model *model, const struct content *content)
{
	memset(model, 0, sizeof(*model));
	model->content = content;
}

void model_done(struct model *model)
{
	for (size_t i = 0; i < model->shard_count; i++) {
		free(model->shards[i].log.operations);
		free(model->shards[i].applied.operations);
		state_done(&model->shards[i].state);
	}
	free(model->operations);
	memset(model, 0, sizeof(*model));
}

size_t model_add_shard(struct model *model, uint32_t number, bool lags)
{
	ASSERT(model->shard_count < MODEL_SHARDS_MAX);
	ASSERT(model_find_shard(model, number) == MODEL_NO_SHARD);
	struct model_shard *shard = &model->shards[model->shard_count];
	shard->number = number;
	shard->lags = lags;
	state_init(&shard->state, model->content);
	return model->shard_count++;
}

size_t model_find_shard(const struct model *model, uint32_t number)
{
	for (size_t i = 0; i < model->shard_count; i++)
		if (model->shards[i].number == number)
			return i;
	return MODEL_NO_SHARD;
}

/* ---- Entries by index ---- */

static void entries_set(struct model_entries *entries, uint64_t index, uint32_t operation)
{
	ASSERT(index > 0 && index <= entries->count + 1);
	if (index > entries->capacity) {
		entries->capacity = entries->capacity == 0 ? 256 : entries->capacity * 2;
		entries->operations =
		    realloc(entries->operations, entries->capacity * sizeof(uint32_t));
		ASSERT(entries->operations != NULL);
	}
	entries->operations[index - 1] = operation;
	entries->count = index;
}

/* ---- The row ---- */

static struct model_operation *operation_add(
    struct model *model, enum model_kind kind, size_t shard)
{
	ASSERT(shard < model->shard_count);
	if (model->count == model->capacity) {
		model->capacity = model->capacity == 0 ? 4096 : model->capacity * 2;
		model->operations =
		    realloc(model->operations, model->capacity * sizeof(*model->operations));
		ASSERT(model->operations != NULL);
	}
	struct model_operation *operation = &model->operations[model->count++];
	*operation = (struct model_operation){.kind = kind,
	    .shard = (uint8_t)shard,
	    .boot = model->boot,
	    .turn = model->turn,
	    .frame = UINT64_MAX};
	return operation;
}

/* What one operation does to its shard. */
void model_take_effect(struct model *model, size_t position)
{
	const struct model_operation *operation = &model->operations[position];
	struct model_shard *shard = &model->shards[operation->shard];
	if (operation->kind == MODEL_ENTRY) {
		entries_set(&shard->log, operation->index, (uint32_t)position);
		return;
	}
	const struct log_hard_state *hard = &operation->hard;
	if (hard->term > shard->hard.term) {
		shard->hard.term = hard->term;
		shard->hard.vote = hard->vote;
	} else if (hard->term == shard->hard.term && shard->hard.vote == 0) {
		shard->hard.vote = hard->vote;
	}
	if (hard->commit > shard->hard.commit)
		shard->hard.commit = hard->commit;
}

void model_append_entry(
    struct model *model, size_t shard, uint64_t term, uint64_t index, enum content_kind content)
{
	ASSERT(index > model->shards[shard].commit);
	struct model_operation *operation = operation_add(model, MODEL_ENTRY, shard);
	operation->index = index;
	operation->term = term;
	operation->content = content;
	model_take_effect(model, model->count - 1);
}

void model_append_hard_state(struct model *model, size_t shard, const struct log_hard_state *hard)
{
	struct model_operation *operation = operation_add(model, MODEL_HARD_STATE, shard);
	operation->hard = *hard;
	model_take_effect(model, model->count - 1);
}

uint64_t model_last_index(const struct model *model, size_t shard)
{
	return model->shards[shard].log.count;
}

uint64_t model_last_term(const struct model *model, size_t shard)
{
	const struct model_entries *log = &model->shards[shard].log;
	return log->count == 0 ? 0 : model->operations[log->operations[log->count - 1]].term;
}

struct content_entry model_entry_of(const struct model *model, uint32_t operation)
{
	ASSERT(operation < model->count);
	const struct model_operation *entry = &model->operations[operation];
	ASSERT(entry->kind == MODEL_ENTRY);
	return (struct content_entry){.kind = entry->content,
	    .shard = model->shards[entry->shard].number,
	    .boot = entry->boot,
	    .term = entry->term,
	    .index = entry->index};
}

struct content_entry model_entry_at(const struct model *model, size_t shard, uint64_t index)
{
	const struct model_entries *log = &model->shards[shard].log;
	ASSERT(index > 0 && index <= log->count);
	return model_entry_of(model, log->operations[index - 1]);
}

static bool is_entry(
    const struct model_operation *operation, size_t shard, uint64_t index, uint64_t term)
{
	return operation->kind == MODEL_ENTRY && operation->shard == shard &&
	       operation->index == index && operation->term == term;
}

uint32_t model_find_entry(const struct model *model, size_t shard, uint64_t index, uint64_t term)
{
	const struct model_entries *log = &model->shards[shard].log;
	if (index > 0 && index <= log->count &&
	    is_entry(&model->operations[log->operations[index - 1]], shard, index, term))
		return log->operations[index - 1];
	for (size_t i = model->count; i > 0; i--)
		if (is_entry(&model->operations[i - 1], shard, index, term))
			return (uint32_t)(i - 1);
	return MODEL_NO_OPERATION;
}

uint64_t model_durable_index(const struct model *model, size_t shard)
{
	uint64_t durable = model->shards[shard].log.count;
	for (size_t i = model->acknowledged; i < model->count; i++) {
		const struct model_operation *operation = &model->operations[i];
		if (operation->kind == MODEL_ENTRY && operation->shard == shard &&
		    operation->index <= durable)
			durable = operation->index - 1;
	}
	return durable;
}

void model_applied(struct model *model, size_t shard_position, uint64_t index, uint32_t operation)
{
	struct model_shard *shard = &model->shards[shard_position];
	struct model_entries *applied = &shard->applied;
	ASSERT(index <= applied->count + 1);
	if (index <= applied->count) {
		EXPECT(applied->operations[index - 1] == operation, "replay",
		    "shard %" PRIu32 ": entry %" PRIu64 " is another than the one applied before",
		    shard->number, index);
		return;
	}
	entries_set(applied, index, operation);
	if (index > shard->commit)
		shard->commit = index;
	struct content_entry entry = model_entry_of(model, operation);
	state_apply(&shard->state, &entry);
}

/* ---- Acknowledgements ---- */

/* What a part of the row holds of one shard. */
struct part {
	uint64_t first_index; /* the lowest */
	const struct model_operation *last_entry;
	const struct model_operation *last_hard_state;
};

static struct part part_of(const struct model *model, size_t shard, size_t end)
{
	struct part part = {.first_index = UINT64_MAX};
	for (size_t i = model->acknowledged; i < end; i++) {
		const struct model_operation *operation = &model->operations[i];
		if (operation->shard != shard)
			continue;
		if (operation->kind == MODEL_HARD_STATE) {
			part.last_hard_state = operation;
			continue;
		}
		if (operation->index < part.first_index)
			part.first_index = operation->index;
		part.last_entry = operation;
	}
	return part;
}

/* What is said of one shard (NULL: nothing), and what is right. */
static void expect_part(
    const struct model_shard *shard, const struct log_extent *extent, const struct part *part)
{
	static const char oracle[] = "acknowledgement";
	bool has_entries = extent != NULL && extent->first_index <= extent->last_index;
	bool has_hard_state =
	    extent != NULL && (extent->flags & (LOG_EXTENT_VOTE | LOG_EXTENT_COMMIT)) != 0;
	const struct model_operation *last = part->last_entry;
	/* A snapshot that replaces what is suspect says the hard state anew. */
	bool repeats = has_hard_state && (extent->flags & LOG_EXTENT_RESET) != 0;
	EXPECT(repeats || has_hard_state == (part->last_hard_state != NULL), oracle,
	    "shard %" PRIu32 ": a hard state is %s", shard->number,
	    has_hard_state ? "in it that was acknowledged before, or is to come" : "missing in it");
	if (last == NULL) {
		EXPECT(!has_entries, oracle,
		    "shard %" PRIu32 ": entries %" PRIu64 " to %" PRIu64
		    " are in it that were acknowledged before, or are to come",
		    shard->number, extent->first_index, extent->last_index);
		return;
	}
	EXPECT(has_entries, oracle,
	    "shard %" PRIu32 ": entry %" PRIu64 " (turn %" PRIu64
	    ") was appended before what is acknowledged, and is not",
	    shard->number, last->index, last->turn);
	EXPECT(extent->last_index == last->index && extent->last_term == last->term, oracle,
	    "shard %" PRIu32 ": up to %" PRIu64 "/%" PRIu64 ", but %" PRIu64 "/%" PRIu64
	    " is the last",
	    shard->number, extent->last_index, extent->last_term, last->index, last->term);
	EXPECT(extent->first_index == part->first_index, oracle,
	    "shard %" PRIu32 ": from %" PRIu64 ", but %" PRIu64 " is the first", shard->number,
	    extent->first_index, part->first_index);
}

static const struct log_extent *extent_of(
    const struct log_extent *extents, size_t count, uint32_t number)
{
	for (size_t i = 0; i < count; i++)
		if (extents[i].group == number)
			return &extents[i];
	return NULL;
}

void model_appended(struct model *model, uint64_t frame)
{
	ASSERT(model->count > model->acknowledged);
	model->operations[model->count - 1].frame = frame;
}

void model_acknowledge(
    struct model *model, uint64_t frame, const struct log_extent *extents, size_t count)
{
	size_t end = model->acknowledged;
	while (end < model->count && model->operations[end].frame <= frame)
		end++;
	for (size_t i = 0; i < count; i++) {
		EXPECT(model_find_shard(model, extents[i].group) != MODEL_NO_SHARD,
		    "acknowledgement", "of a shard that is none: %" PRIu32, extents[i].group);
		EXPECT(extent_of(extents, count, extents[i].group) == &extents[i],
		    "acknowledgement", "shard %" PRIu32 " stands twice in it", extents[i].group);
	}
	for (size_t i = 0; i < model->shard_count; i++) {
		struct part part = part_of(model, i, end);
		expect_part(
		    &model->shards[i], extent_of(extents, count, model->shards[i].number), &part);
	}
	model->acknowledged = end;
	model->acknowledgements++;
}
