/* Whether a bundle may become active: who owns its types, and whether everything stored stays
 * readable. Nothing is changed here; what the app's record would become is made ready.
 */
#include <string.h>

#include "base/limits.h"
#include "server/meta/meta_parts.h"

static bool dropped(const struct meta_request *request, struct slice type)
{
	for (size_t i = 0; i < request->drop_count; i++)
		if (slice_equal(request->drop[i], type))
			return true;
	return false;
}

static bool is_in(struct host_bundle *bundle, struct slice type)
{
	return bundle && host_component(bundle, type);
}

/* What is named has to be a type that goes: who mistypes is told so before anything is lost. One
 * that is gone already may be named again, so that a script may run twice. */
static bool check_named(struct meta_request *request, const struct meta_app *before,
    struct slice app, struct host_bundle *bundle)
{
	for (size_t i = 0; i < request->drop_count; i++) {
		struct slice type = request->drop[i];
		const char *text = (const char *)type.data;
		if (is_in(bundle, type)) {
			meta_refuse(request, STATUS_INVALID_ARGUMENT,
			    "--drop %.*s destroys the data of a type that goes, and this version "
			    "of %.*s has it: leave one of them out",
			    (int)type.bytes, text, (int)app.bytes, (const char *)app.data);
			return false;
		}
		if (before && meta_app_type(before, type))
			continue;
		meta_refuse(request, STATUS_NOT_FOUND,
		    "--drop %.*s: %.*s has no such type, and never had", (int)type.bytes, text,
		    (int)app.bytes, (const char *)app.data);
		return false;
	}
	return true;
}

/* Goes with this change, and its data with it. */
static bool goes(
    const struct meta_request *request, const struct meta_type *type, struct host_bundle *bundle)
{
	struct slice name = slice_from_text(type->name);
	return meta_type_is_owned(type) && !is_in(bundle, name) && dropped(request, name);
}

static size_t count_going(
    const struct meta_request *request, const struct meta_app *before, struct host_bundle *bundle)
{
	size_t count = 0;
	for (size_t i = 0; before && i < before->type_count; i++)
		count += goes(request, &before->types[i], bundle);
	return count;
}

/* Each type that is active now and would not be any more has to be named. */
static bool check_removed(
    struct meta_work *work, const struct meta_app *before, struct host_bundle *bundle)
{
	struct meta_request *request = work->request;
	struct buffer *changes = &work->changes;
	int error = meta_plan_note_lines(work, before, bundle);
	for (size_t i = 0; before && i < before->type_count && !error; i++) {
		const struct meta_type *type = &before->types[i];
		struct slice name = slice_from_text(type->name);
		if (goes(request, type, bundle)) {
			error = buffer_append_format(
			    changes, "%s: DESTROYED, every entity of it in all shards", type->name);
			if (!error)
				error = meta_plan_note(work, type->name, true);
			if (!error)
				error = buffer_append_text(
				    changes, ", with events, history, snapshots and tokens\n");
		} else if (type->active && !is_in(bundle, name)) {
			meta_refuse(request, STATUS_FAILED_PRECONDITION,
			    "%s would be removed, and every entity of it would be destroyed: say "
			    "--drop %s if that is meant",
			    type->name, type->name);
			return false;
		}
	}
	if (!error && count_going(request, before, bundle) > 0)
		error = buffer_append_text(
		    changes, "no way back: what is destroyed is not there for any version again\n");
	if (error)
		meta_refuse(request, status_from_error(error),
		    "the plan could not be written (%s): nothing was changed", error_text(error));
	return !error;
}

/* Another app that had the type, and that not every shard has in its newest version. */
static const struct meta_app *dropped_and_pending(
    const struct meta *meta, struct slice app, struct slice type)
{
	for (size_t i = 0; i < meta->apps.count; i++) {
		const struct meta_app *other = meta->apps.items[i];
		if (other->pending > 0 && meta_app_type(other, type) &&
		    !slice_equal(slice_from_text(other->name), app))
			return other;
	}
	return NULL;
}

static bool check_owners(
    const struct meta *meta, struct meta_request *request, struct host_bundle *bundle)
{
	struct slice name = host_bundle_app(bundle);
	for (size_t i = 0; i < host_component_count(bundle); i++) {
		struct slice type = host_component_name(host_component_at(bundle, i));
		const struct meta_app *owner = meta_apps_owner(&meta->apps, type);
		if (owner && !slice_equal(slice_from_text(owner->name), name)) {
			meta_refuse(request, STATUS_ALREADY_EXISTS,
			    "%.*s %s the app %s: names of components are one namespace",
			    (int)type.bytes, (const char *)type.data,
			    meta_app_type(owner, type)->active ? "belongs to"
			                                       : "has entities on disk of",
			    owner->name);
			return false;
		}
		/* A shard that has not dropped it yet would serve it for both. */
		const struct meta_app *behind = dropped_and_pending(meta, name, type);
		if (behind) {
			meta_refuse(request, STATUS_FAILED_PRECONDITION,
			    "%.*s was dropped by the app %s, and %u %s not done that yet: see "
			    "kalix-admin app list, and repeat when all have",
			    (int)type.bytes, (const char *)type.data, behind->name, behind->pending,
			    behind->pending == 1 ? "shard has" : "shards have");
			return false;
		}
	}
	return true;
}

/* The stored one, without what goes, and with what the bundle adds. */
static int next_catalogue(const struct meta_request *request, struct host_bundle *bundle,
    const struct meta_app *before, struct meta_app *next)
{
	struct buffer kept[2];
	buffer_init(&kept[0], ENTRY_BYTES_MAX);
	buffer_init(&kept[1], ENTRY_BYTES_MAX);
	unsigned now = 0;
	int error = before ? buffer_append_slice(&kept[0], buffer_view(&before->catalogue)) : 0;
	for (size_t i = 0; before && i < before->type_count && !error; i++) {
		if (!goes(request, &before->types[i], bundle))
			continue;
		buffer_clear(&kept[1 - now]);
		error = host_catalogue_drop(buffer_view(&kept[now]),
		    slice_from_text(before->types[i].name), &kept[1 - now]);
		now = 1 - now;
	}
	struct slice stored = buffer_view(&kept[now]);
	if (!error)
		error = bundle ? host_catalogue_add(bundle, stored, &next->catalogue)
		               : buffer_append_slice(&next->catalogue, stored);
	buffer_done(&kept[0]);
	buffer_done(&kept[1]);
	return error;
}

static int next_types(const struct meta *meta, struct host_bundle *bundle,
    const struct meta_app *before, struct meta_app *next)
{
	const struct meta_request *request = meta->work.request;
	int error = 0;
	for (size_t i = 0; before && i < before->type_count && !error; i++) {
		const struct meta_type *type = &before->types[i];
		error = meta_app_set_type(next, slice_from_text(type->name), false,
		    goes(request, type, bundle) ? next->generation : type->incarnation);
	}
	size_t count = bundle ? host_component_count(bundle) : 0;
	for (size_t i = 0; i < count && !error; i++) {
		struct slice name = host_component_name(host_component_at(bundle, i));
		/* Perhaps another app dropped it. */
		error =
		    meta_app_set_type(next, name, true, meta_apps_incarnation(&meta->apps, name));
	}
	return error;
}

/* Shards keep a line for each, for good. */
static bool has_room_for_dropped(const struct meta *meta, const struct meta_app *next)
{
	size_t count = 0;
	for (size_t i = 0; i < next->type_count; i++)
		count += next->types[i].incarnation > 0;
	for (size_t i = 0; i < meta->apps.count; i++) {
		const struct meta_app *app = meta->apps.items[i];
		for (size_t k = 0; k < app->type_count && strcmp(app->name, next->name) != 0; k++)
			count += app->types[k].incarnation > 0;
	}
	return count <= DROPPED_TYPES_MAX;
}

static void next_history(const struct meta_request *request, const struct meta_app *before,
    const struct meta_work *work, struct meta_app *next)
{
	struct meta_history entry = {.at_ms = 0};
	for (size_t i = 0; before && i < before->history_count; i++)
		meta_app_add_history(next, &before->history[i]);
	memcpy(entry.hash, work->hash, sizeof(entry.hash));
	size_t bytes =
	    request->user.bytes < META_USER_BYTES_MAX ? request->user.bytes : META_USER_BYTES_MAX;
	if (bytes)
		memcpy(entry.by, request->user.data, bytes);
	/* Going back twice goes back two steps, not forth again: the way back is that of the
	 * activation that comes again. */
	const struct meta_history *again =
	    before && request->verb == META_APP_ROLLBACK ? meta_app_undo(before) : NULL;
	if (again && again->back)
		entry.back = again->back +
		             (uint32_t)(before->history_count - (size_t)(again - before->history));
	else if (!again && before && before->hash[0] && !work->destroys)
		entry.back = 1;
	if (entry.hash[0])
		meta_app_add_history(next, &entry);
}

static bool make_next(
    struct meta *meta, struct slice name, struct host_bundle *bundle, const struct meta_app *before)
{
	struct meta_work *work = &meta->work;
	struct meta_app *next = meta_app_new(name);
	/* Nothing else is changed until this is proposed. */
	if (next)
		next->generation = meta_apps_generation(&meta->apps) + 1;
	int error = next ? next_types(meta, bundle, before, next) : ERR_NOMEM;
	if (!error)
		error = next_catalogue(work->request, bundle, before, next);
	if (!error && !has_room_for_dropped(meta, next))
		error = ERR_FULL;
	if (error) {
		meta_app_free(next);
		meta_refuse(work->request, status_from_error(error),
		    "the app's record could not be made (%s): nothing was changed",
		    error_text(error));
		return false;
	}
	memcpy(next->hash, work->hash, sizeof(next->hash));
	next_history(work->request, before, work, next);
	work->app = next;
	work->app_is_ours = true;
	return true;
}

/* Compare-and-set on the active hash, where the caller says what he saw. */
static bool check_expected(struct meta_work *work, const struct meta_app *before, struct slice name)
{
	struct meta_request *request = work->request;
	struct slice active = before ? slice_from_text(before->hash) : slice_of(NULL, 0);
	if (active.bytes)
		memcpy(work->active, active.data, active.bytes + 1);
	struct slice seen = active.bytes ? active : slice_from_text(META_EXPECT_NONE);
	if (!request->expected.bytes || slice_equal(seen, request->expected))
		return true;
	meta_refuse(request, STATUS_ABORTED,
	    "%.*s was changed by somebody else meanwhile: look again, then repeat", (int)name.bytes,
	    (const char *)name.data);
	return false;
}

static bool check_bundle(struct meta *meta, struct host_bundle *bundle)
{
	struct meta_work *work = &meta->work;
	struct meta_request *request = work->request;
	struct slice name = host_bundle_app(bundle);
	struct meta_app *before = meta_apps_find(&meta->apps, name);
	if (!check_expected(work, before, name) || !check_named(request, before, name, bundle) ||
	    !check_owners(meta, request, bundle))
		return false;
	int error =
	    host_compatible(bundle, before ? buffer_view(&before->catalogue) : slice_of(NULL, 0),
	        &work->diagnostics, &work->changes, &work->rollback);
	if (error == ERR_INVALID) {
		meta_refuse_diagnosed(request,
		    meta_brings_bundle(work)
		        ? "not compatible with what is stored"
		        : "the version to go back to can't read what may be stored, and a version "
		          "never changes: deploy a copy of it that can",
		    &work->diagnostics);
		return false;
	}
	if (error) {
		meta_refuse(request, status_from_error(error), "%s", error_text(error));
		return false;
	}
	if (!check_removed(work, before, bundle))
		return false;
	work->destroys = count_going(request, before, bundle) > 0;
	work->unchanged = before && strcmp(before->hash, work->hash) == 0 && !work->destroys;
	/* The first version of an app has nothing to go back to. */
	work->rollback =
	    work->rollback && before && before->hash[0] && !work->unchanged && !work->destroys;
	if (work->unchanged) {
		work->app = before;
		return true;
	}
	/* Before anything is done, in a dry run too. */
	if (meta_brings_bundle(work) && !engine_measure(group_store_engine(meta->options.store))) {
		meta_refuse_full(meta);
		return false;
	}
	return make_next(meta, name, bundle, before);
}

static bool check_removal(struct meta *meta)
{
	struct meta_work *work = &meta->work;
	struct meta_request *request = work->request;
	struct meta_app *before = meta_apps_find(&meta->apps, request->app);
	if (!before || !before->hash[0]) {
		meta_refuse(request, STATUS_NOT_FOUND, "no app of this name is active");
		return false;
	}
	work->destroys = count_going(request, before, NULL) > 0;
	return check_expected(work, before, request->app) &&
	       check_named(request, before, request->app, NULL) &&
	       check_removed(work, before, NULL) &&
	       make_next(meta, slice_from_text(before->name), NULL, before);
}

bool meta_check(struct meta *meta)
{
	struct meta_work *work = &meta->work;
	struct host_bundle *bundle;
	if (work->request->verb == META_APP_REMOVE)
		return check_removal(meta);
	if (work->bundle.bytes > BUNDLE_BYTES_MAX) {
		meta_refuse(work->request, STATUS_RESOURCE_EXHAUSTED,
		    "the files of an app together are at most %llu bytes",
		    (unsigned long long)BUNDLE_BYTES_MAX);
		return false;
	}
	int error = host_load(meta->options.host, work->bundle, &work->diagnostics, &bundle);
	if (error == ERR_INVALID) {
		meta_refuse_diagnosed(work->request, "refused", &work->diagnostics);
		return false;
	}
	if (error) {
		meta_refuse(work->request, status_from_error(error), "%s", error_text(error));
		return false;
	}
	bool good = check_bundle(meta, bundle);
	host_bundle_release(bundle);
	return good;
}
