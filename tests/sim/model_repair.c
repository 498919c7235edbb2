/* What an operator accepted as lost: the model takes over what is left of a shard. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tests/sim/model.h"
#include "tests/sim/verdict.h"

/* The row without one shard's operations, and where the others went. */
struct new_row {
	struct model_operation *operations;
	size_t count;
	uint32_t *position; /* of each old operation, as far as it is kept */
	size_t *kept;       /* how many of the first so many old ones are kept */
};

static void row_add(struct new_row *row, const struct model_operation *operation)
{
	row->operations[row->count++] = *operation;
}

/* In front of everything: nothing that others may have lost can take it away again. */
static void row_add_left(struct new_row *row, const struct model_operation *operation)
{
	row_add(row, operation);
	row->operations[row->count - 1].frame = 0;
}

static void row_keep(struct new_row *row, const struct model *model, size_t shard)
{
	for (size_t i = 0; i < model->count; i++) {
		row->kept[i + 1] = row->kept[i];
		if (model->operations[i].shard == shard)
			continue;
		row->kept[i + 1]++;
		row->position[i] = (uint32_t)row->count;
		row_add(row, &model->operations[i]);
	}
}

static void expect_known(
    const struct model *model, size_t shard, uint64_t index, uint32_t operation, uint64_t last_term)
{
	EXPECT(operation != MODEL_NO_OPERATION, "repair",
	    "shard %" PRIu32 ": entry %" PRIu64 " is there, nobody knows which",
	    model->shards[shard].number, index);
	const struct model_operation *entry = &model->operations[operation];
	EXPECT(entry->index == index && entry->term >= last_term, "repair",
	    "shard %" PRIu32 ": entry %" PRIu64 " of term %" PRIu64 " behind one of term %" PRIu64,
	    model->shards[shard].number, index, entry->term, last_term);
}

void model_accept_loss(
    struct model *model, size_t position, const struct log_group_view *group, const uint32_t *left)
{
	struct model_shard *shard = &model->shards[position];
	uint64_t last = group->last_index;
	uint64_t last_term = 0;
	struct new_row row = {
	    .operations = calloc(model->count + last + 1, sizeof(struct model_operation)),
	    .position = calloc(model->count + 1, sizeof(uint32_t)),
	    .kept = calloc(model->count + 1, sizeof(size_t)),
	};
	ASSERT(row.operations != NULL && row.position != NULL && row.kept != NULL);
	for (uint64_t index = 1; index <= last; index++) {
		expect_known(model, position, index, left[index - 1], last_term);
		last_term = model->operations[left[index - 1]].term;
		row_add_left(&row, &model->operations[left[index - 1]]);
	}
	EXPECT(last_term == group->last_term, "repair",
	    "shard %" PRIu32 ": ends with term %" PRIu64 ", not %" PRIu64, shard->number,
	    group->last_term, last_term);
	row_add_left(
	    &row, &(struct model_operation){
	              .kind = MODEL_HARD_STATE, .shard = (uint8_t)position, .hard = group->hard});
	size_t left_count = row.count;
	row_keep(&row, model, position);
	/* What was applied and had replaced what is left was lost with it. */
	uint64_t same = 0;
	while (same < shard->applied.count && same < last &&
	       shard->applied.operations[same] == left[same])
		same++;
	shard->applied.count = same;
	state_cut(&shard->state, same);
	for (size_t i = 0; i < model->shard_count; i++) {
		struct model_entries *applied = &model->shards[i].applied;
		for (uint64_t at = 0; at < applied->count; at++)
			applied->operations[at] =
			    i == position ? (uint32_t)at : row.position[applied->operations[at]];
	}
	shard->commit = shard->applied.count;
	shard->installed = 0;
	shard->suspect = false;
	model->acknowledged = left_count + row.kept[model->acknowledged];
	free(model->operations);
	model->operations = row.operations;
	model->count = row.count;
	model->capacity = row.count;
	free(row.position);
	free(row.kept);
	for (size_t i = 0; i < model->shard_count; i++) {
		model->shards[i].log.count = 0;
		model->shards[i].hard = (struct log_hard_state){0};
	}
	for (size_t i = 0; i < model->count; i++)
		model_take_effect(model, i);
}
