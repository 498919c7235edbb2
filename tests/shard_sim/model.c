#include "tests/shard_sim/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/io/sim/sim.h"
#include "base/slot.h"
#include "server/shard/shard.h"
#include "tests/shard_sim/model_parts.h"
#include "tests/sim/verdict.h"

struct model *model_new(const struct sim *sim)
{
	struct model *model = calloc(1, sizeof(*model));
	ASSERT(model != NULL);
	model->sim = sim;
	model->next_id = 1;
	return model;
}

void model_free(struct model *model)
{
	for (unsigned number = 0; number < MODEL_ENTITIES; number++)
		for (unsigned era = 0; era < ERAS_MAX; era++)
			free(model->entities[number][era]);
	for (uint64_t id = 1; id < model->next_id; id++)
		for (struct done *done = model->changes[id].done.next; done;) {
			struct done *next = done->next;
			free(done);
			done = next;
		}
	free(model);
}

bool model_is_account(unsigned entity)
{
	return model_type(entity) == MODEL_ACCOUNT;
}

enum model_type model_type(unsigned entity)
{
	return entity % 2 == 1 ? MODEL_ACCOUNT : MODEL_COUNTER;
}

const char *model_type_name(enum model_type type)
{
	return type == MODEL_ACCOUNT ? "account" : "counter";
}

void model_address(unsigned entity, char *text, size_t text_bytes)
{
	snprintf(text, text_bytes, "%s/e%u", model_type_name(model_type(entity)), entity);
}

static unsigned find_shard(unsigned entity)
{
	const struct shard_map map = {
	    .shard_count = MODEL_SHARDS, .store_count = 1, .core_count = 1};
	char address[32];
	model_address(entity, address, sizeof(address));
	return shard_of_slot(&map, slot_of(slice_from_text(address)));
}

/* Found once: it is asked for many times a call. */
unsigned model_shard(unsigned entity)
{
	static unsigned shards[MODEL_ENTITIES];
	static bool found;
	if (entity >= MODEL_ENTITIES)
		return find_shard(entity);
	for (unsigned i = 0; i < MODEL_ENTITIES && !found; i++)
		shards[i] = find_shard(i);
	found = true;
	return shards[entity];
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

static void see_change(
    struct model *model, unsigned number, unsigned era, uint64_t revision, uint64_t id)
{
	struct change *change = &model->changes[id];
	EXPECT(change->entity == number, "one history",
	    "entity %u: change %" PRIu64 " of entity %u", number, id, change->entity);
	EXPECT(era >= change->era_first && (change->running > 0 || era <= change->era_last), "drop",
	    "entity %u, revision %" PRIu64 " in era %u of its type: change %" PRIu64
	    ", whose calls ended in %u",
	    number, revision, era, id, change->era_last);
	EXPECT(change->has_token || !change->seen || change->done.era == era, "drop",
	    "entity %u: change %" PRIu64 " is in era %u of its type, and was in %u", number, id,
	    era, change->done.era);
	/* One with a token may have been asked for once more. */
	EXPECT(!change->lost || change->has_token, "lost",
	    "entity %u: change %" PRIu64 " is there again, at revision %" PRIu64 ", and was lost",
	    number, id, revision);
	struct done *done = model_done(change, era);
	EXPECT(done->revision == 0 || done->revision == revision, "exactly once",
	    "entity %u: change %" PRIu64 " at revision %" PRIu64 " and %" PRIu64, number, id,
	    done->revision, revision);
	EXPECT(!change->failed || change->running > 0, "surely not done",
	    "entity %u: change %" PRIu64 " is there, at revision %" PRIu64
	    ", and its caller was told that it is not",
	    number, id, revision);
	done->revision = revision;
	change->seen = true;
}

void model_see(struct model *model, unsigned number, unsigned era, uint64_t revision, uint64_t id)
{
	struct entity *entity = model_entity(model, number, era);
	EXPECT(revision > 0 && revision < REVISIONS_MAX, "one history",
	    "entity %u: revision %" PRIu64, number, revision);
	EXPECT(entity->at[revision] == 0 || entity->at[revision] == id, "one history",
	    "entity %u, revision %" PRIu64 ": change %" PRIu64 " where %" PRIu64 " was seen",
	    number, revision, id, entity->at[revision]);
	entity->at[revision] = id;
	if (id == DELETED) {
		EXPECT(entity->may_be_deleted || model->calls[number].deletions > 0, "one history",
		    "entity %u, revision %" PRIu64 ": a deletion that nobody asked for", number,
		    revision);
		return;
	}
	EXPECT(id > 0 && id < model->next_id, "one history", "entity %u: no change %" PRIu64,
	    number, id);
	see_change(model, number, era, revision, id);
}

static void see_state(struct model *model, unsigned number, unsigned era, const struct view *view)
{
	for (size_t i = 0; i < view->count; i++) {
		EXPECT(view->revision > i, "one history",
		    "entity %u: revision %" PRIu64 " has %zu changes", number, view->revision,
		    view->count);
		model_see(model, number, era, view->revision - i, view->ids[view->count - 1 - i]);
	}
	if (view->count < VIEW_IDS && view->revision > view->count)
		model_see(model, number, era, view->revision - view->count, DELETED);
}

/* ---- Calls ---- */

/* A look as a client's own, which takes its time (sim_node_set_clock_cost). */
static uint64_t world_now_ns(const struct model *model)
{
	(void)clock_monotonic_ns();
	return sim_now_ns(model->sim);
}

static void note_answered(const struct model *model, struct entity *entity, uint64_t revision)
{
	if (revision <= entity->answered)
		return;
	entity->answered = revision;
	entity->answered_ns[revision] = world_now_ns(model);
}

/* What had been answered by then. */
static uint64_t answered_before(const struct entity *entity, uint64_t at_ns)
{
	uint64_t revision = entity->answered;
	while (revision > 0 &&
	       (entity->answered_ns[revision] == 0 || entity->answered_ns[revision] > at_ns))
		revision--;
	return revision;
}

/* Of the version and its era, and of times, a stale one may see any of before. */
static void begin_stale(struct model *model, struct model_call *call)
{
	uint64_t now_ns = world_now_ns(model);
	const struct entity *entity = model_entity(model, call->entity, call->era);
	ASSERT(call->kind == MODEL_READ);
	call->answered = call->least;
	call->least_ms = 0;
	call->least_app = 0;
	call->least =
	    answered_before(entity, now_ns > call->stale_ns ? now_ns - call->stale_ns : 0);
}

void model_begin(struct model *model, struct model_call *call)
{
	struct calls *calls = &model->calls[call->entity];
	unsigned shard = model_shard(call->entity);
	call->least_ms = model->shown_ms[shard];
	call->least_app = model->shown_app[shard];
	call->era = model_era(model, call->entity, call->least_app);
	call->least = model_entity(model, call->entity, call->era)->answered;
	if (call->stale_ns > 0)
		begin_stale(model, call);
	call->order = ++calls->order[call->connection];
	calls->changes += call->id_count > 0;
	calls->deletions += call->kind == MODEL_DELETE;
	for (unsigned i = 0; i < call->id_count; i++) {
		struct change *change = &model->changes[call->id + i];
		change->running++;
		change->has_token |= call->has_token;
		/* Those that repeat it begin later, and in no earlier one. */
		if (call->is_repeat)
			continue;
		change->era_first = call->era;
		change->connection = (uint8_t)call->connection;
		change->life = call->life;
		change->order = call->order;
	}
}

/* What it did, it has done by now. */
static void end_call(struct model *model, const struct model_call *call)
{
	struct calls *calls = &model->calls[call->entity];
	unsigned era = model_newest_era(model, call->entity);
	for (unsigned i = 0; i < call->id_count; i++) {
		struct change *change = &model->changes[call->id + i];
		change->running--;
		change->era_last = era;
	}
	if (call->id_count > 0) {
		calls->changes--;
		calls->era_last = era;
		calls->was_changed = true;
	}
	if (call->kind != MODEL_DELETE)
		return;
	calls->deletions--;
	for (unsigned of = call->era; of <= era; of++)
		model_entity(model, call->entity, of)->may_be_deleted = true;
}

static void check_order(struct model *model, const struct model_call *call, unsigned era,
    uint64_t revision, bool is_change)
{
	struct calls *calls = &model->calls[call->entity];
	struct recent *recent = calls->recent[call->connection];
	unsigned count = calls->recent_count[call->connection];
	for (unsigned i = 0; i < count && i < RECENT_MAX; i++) {
		const struct recent *other = &recent[i];
		bool before = other->order < call->order;
		unsigned low_era = before ? other->era : era;
		unsigned high_era = before ? era : other->era;
		uint64_t low = before ? other->revision : revision;
		uint64_t high = before ? revision : other->revision;
		bool strict = before ? is_change : other->is_change;
		EXPECT(low_era < high_era ||
		           (low_era == high_era && (strict ? low < high : low <= high)),
		    "order",
		    "entity %u, connection %u: call %" PRIu64 " has revision %" PRIu64
		    " of era %u, and call %" PRIu64 " has %" PRIu64 " of %u",
		    call->entity, call->connection, call->order, revision, era, other->order,
		    other->revision, other->era);
	}
	recent[count % RECENT_MAX] = (struct recent){
	    .order = call->order, .revision = revision, .era = era, .is_change = is_change};
	calls->recent_count[call->connection]++;
}

static void check_change(struct model *model, const struct model_call *call, unsigned era,
    const struct view *view, struct slice text)
{
	struct change *change = &model->changes[call->id];
	struct done *done = model_done(change, era);
	uint64_t hash = hash_bytes(text, 0) | 1;
	if (call->kind == MODEL_DELETE) {
		EXPECT(done->revision == 0 || done->revision == view->revision, "exactly once",
		    "entity %u: deletion %" PRIu64 " at revision %" PRIu64 " and %" PRIu64,
		    call->entity, call->id, done->revision, view->revision);
		done->revision = view->revision;
		change->seen = true;
	} else {
		EXPECT(view->count >= call->id_count &&
		           view->ids[view->count - 1] == call->id + call->id_count - 1,
		    "one history", "entity %u: the answer to %" PRIu64 " is not of it",
		    call->entity, call->id);
	}
	EXPECT(done->first_reply == 0 || done->first_reply == hash, "first reply",
	    "entity %u: change %" PRIu64 " was answered in two ways", call->entity, call->id);
	done->first_reply = hash;
	change->told = true;
	change->failed = false;
}

/* What the status alone says of its changes. */
static void take_status(struct model *model, const struct model_call *call, enum status status)
{
	for (unsigned i = 0; i < call->id_count; i++) {
		struct change *change = &model->changes[call->id + i];
		change->unknown |= status == STATUS_UNKNOWN_OUTCOME;
		change->told_unknown |= status == STATUS_UNKNOWN_OUTCOME;
		if (change->unknown || status == STATUS_OK)
			change->failed = false;
		if (change->unknown || status == STATUS_OK || change->told)
			continue;
		change->failed = true;
		EXPECT(!change->seen || change->running > 1, "surely not done",
		    "entity %u: change %" PRIu64 " was seen at revision %" PRIu64
		    ", and its caller is told %s",
		    call->entity, call->id + i, change->done.revision, status_name(status));
	}
}

static void take_state(struct model *model, const struct model_call *call, bool told,
    const struct view *view, struct slice text)
{
	model_show_app(model, call, view->app);
	unsigned era = model_era(model, call->entity, view->app);
	struct entity *entity = model_entity(model, call->entity, era);
	bool is_change = told && call->kind != MODEL_READ;
	EXPECT(era >= call->era || call->stale_ns > 0, "drop",
	    "entity %u: an answer of era %u of its type, begun after %u had been shown",
	    call->entity, era, call->era);
	see_state(model, call->entity, era, view);
	model_saw_state(entity, call->entity, view);
	model_saw_path(model, call, view);
	if (is_change)
		check_change(model, call, era, view, text);
	uint64_t least = era == call->era ? call->least : 0;
	model->stale_seen +=
	    call->stale_ns > 0 && era == call->era && view->revision < call->answered;
	bool strict = is_change && !call->is_repeat;
	EXPECT(view->revision >= least + (strict ? 1 : 0) || call->is_repeat, "real time",
	    "entity %u: %s of revision %" PRIu64 ", begun after %" PRIu64 " had been answered",
	    call->entity, is_change ? "a change" : "an answer", view->revision, least);
	if (!call->is_repeat && call->stale_ns == 0)
		check_order(model, call, era, view->revision, is_change);
	note_answered(model, entity, view->revision);
}

void model_answered(struct model *model, const struct model_call *call, enum status status,
    bool reads, struct slice text)
{
	bool told = status == STATUS_OK;
	struct view view;
	take_status(model, call, status);
	if (!told && !reads) {
		end_call(model, call);
		return;
	}
	EXPECT(view_parse(text, &view), "one history", "entity %u: %s: %.*s", call->entity,
	    status_name(status), (int)text.bytes, (const char *)text.data);
	model_saw_time(model, call, &view);
	EXPECT(view.has_state || call->kind == MODEL_READ, "one history", "entity %u: %.*s",
	    call->entity, (int)text.bytes, (const char *)text.data);
	if (view.has_state)
		take_state(model, call, told, &view, text);
	end_call(model, call);
}

void model_cut_off(struct model *model, const struct model_call *call)
{
	for (unsigned i = 0; i < call->id_count; i++) {
		model->changes[call->id + i].unknown = true;
		model->changes[call->id + i].failed = false;
	}
	end_call(model, call);
}

void model_other(
    struct model *model, unsigned number, unsigned version, uint64_t id, uint64_t revision)
{
	unsigned era = model_era(model, number, version);
	struct calls *calls = &model->calls[number];
	model->changes[id].era_first = era;
	model->changes[id].era_last = era;
	calls->was_changed = true;
	if (era > calls->era_last)
		calls->era_last = era;
	model_see(model, number, era, revision, id);
	struct entity *entity = model_entity(model, number, era);
	note_answered(model, entity, revision);
	model_deployed(model, model_shard(number), version);
}

void model_saw_event(struct model *model, const struct model_call *call, uint64_t revision,
    uint64_t id, int64_t at_ms)
{
	model_see(model, call->entity, call->era, revision, id);
	model_saw_at(model_entity(model, call->entity, call->era), call->entity, revision, at_ms);
}

void model_saw_deletion(
    struct model *model, const struct model_call *call, uint64_t revision, int64_t at_ms)
{
	model_see(model, call->entity, call->era, revision, DELETED);
	model_saw_at(model_entity(model, call->entity, call->era), call->entity, revision, at_ms);
}

void model_saw_kept(struct model *model, const struct model_call *call, const struct view *view)
{
	see_state(model, call->entity, call->era, view);
	model_saw_state(model_entity(model, call->entity, call->era), call->entity, view);
}

static bool of_one_connection(const struct change *a, const struct change *b)
{
	return a->entity == b->entity && a->connection == b->connection && a->life == b->life;
}

static uint64_t compare_unknown(const struct model *model, const struct change *unknown)
{
	uint64_t compared = 0;
	for (uint64_t id = 1; id < model->next_id; id++) {
		const struct change *other = &model->changes[id];
		if (!of_one_connection(other, unknown) || other->order == unknown->order ||
		    !other->told || other->has_token || other->done.revision == 0 ||
		    other->done.era != unknown->done.era)
			continue;
		bool is_later = other->order > unknown->order;
		EXPECT(is_later == (other->done.revision > unknown->done.revision), "order",
		    "entity %u, connection %u: call %" PRIu64
		    ", of which nobody knew, made revision %" PRIu64 ", and call %" PRIu64
		    " made %" PRIu64,
		    unknown->entity, unknown->connection, unknown->order, unknown->done.revision,
		    other->order, other->done.revision);
		compared += is_later;
	}
	return compared;
}

uint64_t model_compare_unknowns(const struct model *model)
{
	uint64_t compared = 0;
	for (uint64_t id = 1; id < model->next_id; id++) {
		const struct change *change = &model->changes[id];
		if (change->told_unknown && change->done.revision > 0 && !change->has_token)
			compared += compare_unknown(model, change);
	}
	return compared;
}

void model_unknowns(const struct model *model, uint64_t *ret_seen, uint64_t *ret_all)
{
	*ret_seen = 0;
	*ret_all = 0;
	for (uint64_t id = 1; id < model->next_id; id++) {
		*ret_all += model->changes[id].unknown;
		*ret_seen += model->changes[id].unknown && model->changes[id].seen;
	}
}

uint64_t model_stale(const struct model *model)
{
	return model->stale_seen;
}
