#include "tests/shard_sim/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/slot.h"
#include "server/shard/shard.h"
#include "tests/shard_sim/model_parts.h"
#include "tests/sim/verdict.h"

struct model *model_new(void)
{
	struct model *model = calloc(1, sizeof(*model));
	ASSERT(model != NULL);
	model->next_id = 1;
	return model;
}

void model_free(struct model *model)
{
	free(model);
}

bool model_is_account(unsigned entity)
{
	return entity % 2 == 1;
}

void model_address(unsigned entity, char *text, size_t text_bytes)
{
	snprintf(
	    text, text_bytes, "%s/e%u", model_is_account(entity) ? "account" : "counter", entity);
}

unsigned model_shard(unsigned entity)
{
	const struct shard_map map = {
	    .shard_count = MODEL_SHARDS, .store_count = 1, .core_count = 1};
	char address[32];
	model_address(entity, address, sizeof(address));
	return shard_of_slot(&map, slot_of(slice_from_text(address)));
}

uint64_t model_new_ids(struct model *model, unsigned entity, unsigned count)
{
	uint64_t id = model->next_id;
	model->next_id += count;
	ASSERT(model->next_id < IDS_MAX);
	for (unsigned i = 0; i < count; i++)
		model->changes[id + i] = (struct change){.entity = (uint8_t)entity};
	return id;
}

/* ---- What was seen ---- */

void model_see(struct model *model, unsigned number, uint64_t revision, uint64_t id)
{
	struct entity *entity = &model->entities[number];
	EXPECT(revision > 0 && revision < REVISIONS_MAX, "one history",
	    "entity %u: revision %" PRIu64, number, revision);
	EXPECT(entity->at[revision] == 0 || entity->at[revision] == id, "one history",
	    "entity %u, revision %" PRIu64 ": change %" PRIu64 " where %" PRIu64 " was seen",
	    number, revision, id, entity->at[revision]);
	entity->at[revision] = id;
	if (id == DELETED)
		return;
	EXPECT(id > 0 && id < model->next_id, "one history", "entity %u: no change %" PRIu64,
	    number, id);
	struct change *change = &model->changes[id];
	EXPECT(change->entity == number, "one history",
	    "entity %u: change %" PRIu64 " of entity %u", number, id, change->entity);
	EXPECT(change->revision == 0 || change->revision == revision, "exactly once",
	    "entity %u: change %" PRIu64 " at revision %" PRIu64 " and %" PRIu64, number, id,
	    change->revision, revision);
	EXPECT(!change->failed || change->running > 0, "surely not done",
	    "entity %u: change %" PRIu64 " is there, at revision %" PRIu64
	    ", and its caller was told that it is not",
	    number, id, revision);
	change->revision = revision;
}

static void see_state(struct model *model, unsigned number, const struct view *view)
{
	for (size_t i = 0; i < view->count; i++) {
		EXPECT(view->revision > i, "one history",
		    "entity %u: revision %" PRIu64 " has %zu changes", number, view->revision,
		    view->count);
		model_see(model, number, view->revision - i, view->ids[view->count - 1 - i]);
	}
	if (view->count < VIEW_IDS && view->revision > view->count)
		model_see(model, number, view->revision - view->count, DELETED);
}

/* ---- Calls ---- */

void model_begin(struct model *model, struct model_call *call)
{
	struct entity *entity = &model->entities[call->entity];
	call->least = entity->answered;
	call->least_ms = model->shown_ms[model_shard(call->entity)];
	call->least_app = entity->app;
	call->order = ++entity->order[call->connection];
	for (unsigned i = 0; i < call->id_count; i++)
		model->changes[call->id + i].running++;
}

static void check_order(
    struct model *model, const struct model_call *call, uint64_t revision, bool is_change)
{
	struct entity *entity = &model->entities[call->entity];
	struct recent *recent = entity->recent[call->connection];
	unsigned count = entity->recent_count[call->connection];
	for (unsigned i = 0; i < count && i < RECENT_MAX; i++) {
		const struct recent *other = &recent[i];
		bool before = other->order < call->order;
		uint64_t low = before ? other->revision : revision;
		uint64_t high = before ? revision : other->revision;
		bool strict = before ? is_change : other->is_change;
		EXPECT(strict ? low < high : low <= high, "order",
		    "entity %u, connection %u: call %" PRIu64 " has revision %" PRIu64
		    ", and call %" PRIu64 " has %" PRIu64,
		    call->entity, call->connection, call->order, revision, other->order,
		    other->revision);
	}
	recent[count % RECENT_MAX] =
	    (struct recent){.order = call->order, .revision = revision, .is_change = is_change};
	entity->recent_count[call->connection]++;
}

static void check_change(
    struct model *model, const struct model_call *call, const struct view *view, struct slice text)
{
	struct change *change = &model->changes[call->id];
	uint64_t hash = hash_bytes(text, 0) | 1;
	if (call->kind == MODEL_DELETE) {
		EXPECT(change->revision == 0 || change->revision == view->revision, "exactly once",
		    "entity %u: deletion %" PRIu64 " at revision %" PRIu64 " and %" PRIu64,
		    call->entity, call->id, change->revision, view->revision);
		change->revision = view->revision;
	} else {
		EXPECT(view->count >= call->id_count &&
		           view->ids[view->count - 1] == call->id + call->id_count - 1,
		    "one history", "entity %u: the answer to %" PRIu64 " is not of it",
		    call->entity, call->id);
	}
	EXPECT(change->first_reply == 0 || change->first_reply == hash, "first reply",
	    "entity %u: change %" PRIu64 " was answered in two ways", call->entity, call->id);
	change->first_reply = hash;
	change->failed = false;
}

void model_answered(struct model *model, const struct model_call *call, enum status status,
    bool reads, struct slice text)
{
	struct entity *entity = &model->entities[call->entity];
	bool told = status == STATUS_OK;
	for (unsigned i = 0; i < call->id_count; i++) {
		struct change *change = &model->changes[call->id + i];
		change->running--;
		change->unknown |= status == STATUS_UNKNOWN_OUTCOME;
		if (change->unknown)
			change->failed = false;
		if (told || status == STATUS_UNKNOWN_OUTCOME || change->unknown ||
		    change->first_reply != 0)
			continue;
		change->failed = true;
		EXPECT(change->revision == 0 || change->running > 0, "surely not done",
		    "entity %u: change %" PRIu64 " was seen at revision %" PRIu64
		    ", and its caller is told %s",
		    call->entity, call->id + i, change->revision, status_name(status));
	}
	if (!told && !reads)
		return;
	struct view view;
	EXPECT(view_parse(text, &view), "one history", "entity %u: %s: %.*s", call->entity,
	    status_name(status), (int)text.bytes, (const char *)text.data);
	model_saw_time(model, call, &view);
	if (!view.has_state) {
		EXPECT(call->kind == MODEL_READ, "one history", "entity %u: %.*s", call->entity,
		    (int)text.bytes, (const char *)text.data);
		return;
	}
	bool is_change = told && call->kind != MODEL_READ;
	for (unsigned i = 0; told && i < call->id_count; i++)
		model->changes[call->id + i].failed = false;
	see_state(model, call->entity, &view);
	model_saw_state(model, call->entity, &view);
	model_saw_app(model, call, &view);
	if (is_change)
		check_change(model, call, &view, text);
	bool strict = is_change && !call->is_repeat;
	EXPECT(view.revision >= call->least + (strict ? 1 : 0) || call->is_repeat, "real time",
	    "entity %u: %s of revision %" PRIu64 ", begun after %" PRIu64 " had been answered",
	    call->entity, is_change ? "a change" : "an answer", view.revision, call->least);
	if (!call->is_repeat)
		check_order(model, call, view.revision, is_change);
	if (view.revision > entity->answered)
		entity->answered = view.revision;
}

void model_cut_off(struct model *model, const struct model_call *call)
{
	for (unsigned i = 0; i < call->id_count; i++) {
		model->changes[call->id + i].running--;
		model->changes[call->id + i].unknown = true;
		model->changes[call->id + i].failed = false;
	}
}

void model_other(struct model *model, unsigned number, uint64_t id, uint64_t revision)
{
	model_see(model, number, revision, id);
	struct entity *entity = &model->entities[number];
	if (revision > entity->answered)
		entity->answered = revision;
}

void model_saw_event(
    struct model *model, unsigned number, uint64_t revision, uint64_t id, int64_t at_ms)
{
	model_see(model, number, revision, id);
	model_saw_at(model, number, revision, at_ms);
}

void model_saw_deletion(struct model *model, unsigned number, uint64_t revision, int64_t at_ms)
{
	model_see(model, number, revision, DELETED);
	model_saw_at(model, number, revision, at_ms);
}

void model_saw_kept(struct model *model, unsigned number, const struct view *view)
{
	see_state(model, number, view);
	model_saw_state(model, number, view);
}

uint64_t model_answered_revision(const struct model *model, unsigned entity)
{
	return model->entities[entity].answered;
}

void model_unknowns(const struct model *model, uint64_t *ret_seen, uint64_t *ret_all)
{
	*ret_seen = 0;
	*ret_all = 0;
	for (uint64_t id = 1; id < model->next_id; id++) {
		*ret_all += model->changes[id].unknown;
		*ret_seen += model->changes[id].unknown && model->changes[id].revision > 0;
	}
}
