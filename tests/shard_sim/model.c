#include "tests/shard_sim/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "tests/sim/verdict.h"
#include "tests/unit/shard/host_fake.h"

enum { REVISIONS_MAX = 1 << 15, IDS_MAX = 1 << 18, RECENT_MAX = 64 };

/* In place of an id: the entity was deleted. */
#define DELETED UINT64_MAX

struct change {
	uint8_t entity;
	bool failed;  /* every answer so far says so */
	bool unknown; /* nobody was told */
	uint32_t running;
	uint64_t revision; /* 0: not seen */
	uint64_t first_reply;
};

struct recent {
	uint64_t order, revision;
	bool is_change;
};

struct entity {
	uint64_t at[REVISIONS_MAX]; /* id by revision; 0: not seen */
	uint64_t answered;          /* the highest revision of an answer */
	uint64_t order[MODEL_CONNECTIONS];
	struct recent recent[MODEL_CONNECTIONS][RECENT_MAX];
	unsigned recent_count[MODEL_CONNECTIONS];
};

struct model {
	struct entity entities[MODEL_ENTITIES];
	struct change changes[IDS_MAX];
	uint64_t next_id;
	int64_t shown_ms[MODEL_SHARDS + 1]; /* the latest time that an answer of the shard showed */
};

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

static void see(struct model *model, unsigned number, uint64_t revision, uint64_t id)
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

static void see_state(struct model *model, unsigned number, const struct host_fake_view *view)
{
	for (size_t i = 0; i < view->count; i++) {
		EXPECT(view->revision > i, "one history",
		    "entity %u: revision %" PRIu64 " has %zu changes", number, view->revision,
		    view->count);
		see(model, number, view->revision - i, view->ids[view->count - 1 - i]);
	}
	if (view->count < HOST_FAKE_IDS && view->revision > view->count)
		see(model, number, view->revision - view->count, DELETED);
}

/* ---- Calls ---- */

void model_begin(struct model *model, struct model_call *call)
{
	struct entity *entity = &model->entities[call->entity];
	call->least = entity->answered;
	call->least_ms = model->shown_ms[call->shard];
	call->order = ++entity->order[call->connection];
	for (unsigned i = 0; i < call->id_count; i++)
		model->changes[call->id + i].running++;
}

/* Over restarts too, whatever became of the machine's clock. */
static void check_time(struct model *model, const struct model_call *call, struct slice text)
{
	char copy[32] = "";
	if (text.bytes < sizeof(copy))
		memcpy(copy, text.data, text.bytes);
	int64_t now_ms = strtoll(copy, NULL, 10);
	EXPECT(now_ms >= call->least_ms && now_ms > 0, "time",
	    "shard %u: %" PRId64 " ms, and %" PRId64 " had been shown when the call began",
	    call->shard, now_ms, call->least_ms);
	if (now_ms > model->shown_ms[call->shard])
		model->shown_ms[call->shard] = now_ms;
}

static void check_order(struct model *model, const struct model_call *call, uint64_t revision)
{
	struct entity *entity = &model->entities[call->entity];
	struct recent *recent = entity->recent[call->connection];
	bool is_change = call->kind != MODEL_READ;
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

static void check_change(struct model *model, const struct model_call *call,
    const struct host_fake_view *view, struct slice text)
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
	if (call->asks_time) {
		check_time(model, call, text);
		return;
	}
	struct host_fake_view view;
	EXPECT(host_fake_parse(text, &view), "one history", "entity %u: %s: %.*s", call->entity,
	    status_name(status), (int)text.bytes, (const char *)text.data);
	bool is_change = told && call->kind != MODEL_READ;
	for (unsigned i = 0; told && i < call->id_count; i++)
		model->changes[call->id + i].failed = false;
	see_state(model, call->entity, &view);
	if (is_change)
		check_change(model, call, &view, text);
	bool strict = is_change && !call->is_repeat;
	EXPECT(view.revision >= call->least + (strict ? 1 : 0) || call->is_repeat, "real time",
	    "entity %u: %s of revision %" PRIu64 ", begun after %" PRIu64 " had been answered",
	    call->entity, is_change ? "a change" : "an answer", view.revision, call->least);
	if (!call->is_repeat)
		check_order(model, call, view.revision);
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
	see(model, number, revision, id);
	struct entity *entity = &model->entities[number];
	if (revision > entity->answered)
		entity->answered = revision;
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
