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

/* Each type that is active now and would not be any more has to be named. */
static bool check_removed(struct meta_request *request, const struct meta_app *before,
    struct host_bundle *bundle, struct buffer *changes)
{
	for (size_t i = 0; before && i < before->type_count; i++) {
		struct slice type = slice_from_text(before->types[i].name);
		if (!before->types[i].active || (bundle && host_component(bundle, type)))
			continue;
		if (!dropped(request, type)) {
			meta_refuse(request, STATUS_FAILED_PRECONDITION,
			    "%s would be removed, and its entities could not be reached any more: "
			    "say --drop %s if that is meant",
			    before->types[i].name, before->types[i].name);
			return false;
		}
		if (buffer_append_format(changes,
		        "%s: removed; its entities stay on disk, out of reach\n",
		        before->types[i].name)) {
			meta_refuse(request, STATUS_RESOURCE_EXHAUSTED, "out of memory");
			return false;
		}
	}
	return true;
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
	}
	return true;
}

static int next_catalogue(
    struct host_bundle *bundle, const struct meta_app *before, struct meta_app *next)
{
	struct slice stored = before ? buffer_view(&before->catalogue) : slice_of(NULL, 0);
	if (!bundle)
		return buffer_append_slice(&next->catalogue, stored);
	return host_catalogue_add(bundle, stored, &next->catalogue);
}

static int next_types(
    struct host_bundle *bundle, const struct meta_app *before, struct meta_app *next)
{
	int error = 0;
	for (size_t i = 0; before && i < before->type_count && !error; i++)
		error = meta_app_set_type(next, slice_from_text(before->types[i].name), false);
	size_t count = bundle ? host_component_count(bundle) : 0;
	for (size_t i = 0; i < count && !error; i++)
		error = meta_app_set_type(
		    next, host_component_name(host_component_at(bundle, i)), true);
	return error;
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
	else if (!again && before && before->hash[0])
		entry.back = 1;
	if (entry.hash[0])
		meta_app_add_history(next, &entry);
}

static bool make_next(
    struct meta *meta, struct slice name, struct host_bundle *bundle, const struct meta_app *before)
{
	struct meta_work *work = &meta->work;
	struct meta_app *next = meta_app_new(name);
	int error = next ? next_types(bundle, before, next) : ERR_NOMEM;
	if (!error)
		error = next_catalogue(bundle, before, next);
	if (error) {
		meta_app_free(next);
		meta_refuse(work->request, status_from_error(error),
		    "the app's record could not be made (%s): nothing was changed",
		    error_text(error));
		return false;
	}
	memcpy(next->hash, work->hash, sizeof(next->hash));
	next->generation = before ? before->generation : 0;
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
	if (!check_expected(work, before, name))
		return false;
	if (!check_owners(meta, request, bundle))
		return false;
	int error =
	    host_compatible(bundle, before ? buffer_view(&before->catalogue) : slice_of(NULL, 0),
	        &work->diagnostics, &work->changes, &work->rollback);
	if (error == ERR_INVALID) {
		meta_refuse_diagnosed(
		    request, "not compatible with what is stored", &work->diagnostics);
		return false;
	}
	if (error) {
		meta_refuse(request, status_from_error(error), "%s", error_text(error));
		return false;
	}
	if (!check_removed(request, before, bundle, &work->changes))
		return false;
	work->unchanged = before && strcmp(before->hash, work->hash) == 0;
	/* The first version of an app has nothing to go back to. */
	work->rollback = work->rollback && before && before->hash[0] && !work->unchanged;
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
	return check_expected(work, before, request->app) &&
	       check_removed(request, before, NULL, &work->changes) &&
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
