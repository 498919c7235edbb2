/* Versions of the app, and eras of its types. */
#include <stdlib.h>

#include "base/assert.h"
#include "tests/shard_sim/model_parts.h"
#include "tests/sim/verdict.h"

/* ---- Versions ---- */

void model_deploy(struct model *model, unsigned types)
{
	const struct version *before = &model->versions[model->version];
	ASSERT(model->version < MODEL_VERSIONS_MAX && types > 0 && types <= MODEL_HAS_BOTH);
	struct version *version = &model->versions[++model->version];
	*version = *before;
	version->types = types;
	for (unsigned type = 0; type < MODEL_TYPES; type++) {
		if (!(before->types & ~types & 1U << type))
			continue;
		version->eras[type]++;
		version->dropped_by[type] = model->version;
		model->drops++;
	}
}

unsigned model_version(const struct model *model)
{
	return model->version;
}

unsigned model_types(const struct model *model, unsigned version)
{
	return model->versions[version].types;
}

unsigned model_dropped_by(const struct model *model, enum model_type type)
{
	return model->versions[model->version].dropped_by[type];
}

uint64_t model_drops(const struct model *model)
{
	return model->drops;
}

void model_deployed(struct model *model, unsigned shard, unsigned version)
{
	if (version > model->shown_app[shard])
		model->shown_app[shard] = version;
}

unsigned model_oldest_version(const struct model *model)
{
	unsigned oldest = model->version;
	for (unsigned shard = 1; shard <= MODEL_SHARDS; shard++)
		if (model->shown_app[shard] < oldest)
			oldest = model->shown_app[shard];
	return oldest > 0 ? oldest : 1;
}

static bool has_type(const struct model *model, unsigned entity, unsigned version)
{
	return model->versions[version].types & 1U << model_type(entity);
}

void model_show_app(struct model *model, const struct model_call *call, unsigned version)
{
	EXPECT(version > 0 && version <= model->version, "app",
	    "entity %u: there is no version %u of the app", call->entity, version);
	EXPECT(has_type(model, call->entity, version), "drop",
	    "entity %u: version %u of the app answers, which does not have its type", call->entity,
	    version);
	/* A repeat shows the version of its first, which is of the same era. */
	if (call->is_repeat)
		return;
	EXPECT(version >= call->least_app, "app",
	    "entity %u: version %u of the app answers, and its shard had shown %u when the call "
	    "began",
	    call->entity, version, call->least_app);
	model_deployed(model, model_shard(call->entity), version);
}

void model_refused(struct model *model, const struct model_call *call)
{
	unsigned version = call->least_app > 0 ? call->least_app : 1;
	/* Before the first version there is nothing. */
	if (call->least_app == 0)
		return;
	while (version <= model->version && has_type(model, call->entity, version))
		version++;
	EXPECT(version <= model->version, "drop",
	    "entity %u: its type is said not to be there, and every version since %u has it",
	    call->entity, call->least_app);
	model_deployed(model, model_shard(call->entity), version);
}

/* ---- Eras ---- */

unsigned model_era(const struct model *model, unsigned entity, unsigned version)
{
	return model->versions[version].eras[model_type(entity)];
}

unsigned model_newest_era(const struct model *model, unsigned entity)
{
	return model_era(model, entity, model->version);
}

bool model_has_one_era(const struct model *model, const struct model_call *call)
{
	return call->era == model_newest_era(model, call->entity);
}

struct entity *model_entity(struct model *model, unsigned number, unsigned era)
{
	struct entity **entity = &model->entities[number][era];
	if (!*entity)
		*entity = calloc(1, sizeof(**entity));
	ASSERT(*entity != NULL);
	return *entity;
}

struct done *model_done(struct change *change, unsigned era)
{
	struct done *done = &change->done;
	while (done->era != era && done->next)
		done = done->next;
	if (done->era == era)
		return done;
	if (done == &change->done && done->revision == 0 && done->first_reply == 0) {
		done->era = era;
		return done;
	}
	done->next = calloc(1, sizeof(*done));
	ASSERT(done->next != NULL);
	done->next->era = era;
	return done->next;
}

void model_saw_address(struct model *model, const struct model_call *call, unsigned number)
{
	const struct calls *calls = &model->calls[number];
	EXPECT(number < MODEL_ENTITIES && model_type(number) == model_type(call->entity) &&
	           model_shard(number) == model_shard(call->entity),
	    "list", "entity %u is in the list of entity %u's shard and type", number, call->entity);
	EXPECT(calls->changes > 0 || (calls->was_changed && calls->era_last >= call->era), "drop",
	    "entity %u is listed in era %u, and was last changed in %u", number, call->era,
	    calls->era_last);
}

bool model_exists(const struct model *model, unsigned number)
{
	const struct entity *entity = model->entities[number][model_newest_era(model, number)];
	return entity && entity->answered > 0 && entity->at[entity->answered] != DELETED;
}
