/* Whether a new bundle can read what older ones stored: decided on the catalogue's schemas, never
 * by looking at data.
 *
 * A version that is stored is covered
 *   by the same version, if the new schema accepts every value that the stored one accepts
 *   by a higher one, if that holds, or if migrate (upcast) has a function for each step
 *   by a lower one (a rollback), if downgrade has a function for each step; events: never
 * States of event-sourced entities can be folded again, so a higher version needs nothing.
 */
#include "base/assert.h"
#include "base/limits.h"
#include "scripting/catalogue.h"
#include "scripting/diagnostics.h"
#include "scripting/schema.h"

#include <stdarg.h>
#include <stdio.h>

#define WHY_BYTES 512

struct comparison {
	const struct host_bundle *bundle;
	const struct catalogue *stored;
	struct host_diagnostics *diagnostics;
	struct buffer *changes;
	bool refused;
	bool rollback;
	int error;
};

__attribute__((format(printf, 3, 4))) static void refuse(
    struct comparison *comparison, const struct place *place, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int error = diagnostics_add_list(comparison->diagnostics, HOST_ERROR,
	    place ? place->file : NULL, place ? place->line : 0, format, arguments);
	va_end(arguments);
	if (error)
		comparison->error = error;
	comparison->refused = true;
}

static void keep_error(struct comparison *comparison, int error)
{
	if (error)
		comparison->error = error;
}

/* ---- What can be read ---- */

static void check_state(struct comparison *comparison, const struct host_component *component,
    const struct stored_version *stored)
{
	char why[WHY_BYTES] = "";
	const char *name = component->name;
	if (stored->version > component->version) {
		if (!steps_cover_down(&component->downgrades, stored->version, component->version))
			refuse(comparison, &component->place,
			    "%s: state of version %u may be stored, and this app has version %u: "
			    "it needs "
			    "downgrade = { [%u] = function(state) ... end } for each step down",
			    name, stored->version, component->version, stored->version);
		return;
	}
	bool is_newer = stored->version < component->version;
	if (is_newer &&
	    (component->kind == HOST_EVENT_SOURCED_ENTITY ||
	        steps_cover_up(&component->migrations, stored->version, component->version)))
		return;
	if (schema_accepts_all(component->state, stored->schema, why, sizeof(why)))
		return;
	if (is_newer)
		refuse(comparison, &component->place,
		    "%s: state of version %u can't be read as version %u: %s; migrate needs a "
		    "function "
		    "for each version from %u to %u",
		    name, stored->version, component->version, why, stored->version,
		    component->version - 1);
	else
		refuse(comparison, &component->place,
		    "%s: stored state can't be read any more: %s; set version = %u and migrate = { "
		    "[%u] "
		    "= function(state) ... end }",
		    name, why, component->version + 1, component->version);
}

static void check_event(struct comparison *comparison, const struct host_component *component,
    const struct event_type *event, const struct stored_version *stored)
{
	char why[WHY_BYTES] = "";
	if (stored->version > event->version) {
		refuse(comparison, &event->place,
		    "%s: event %s of version %u may be stored, and this app knows up to %u",
		    component->name, event->name, stored->version, event->version);
		return;
	}
	bool is_newer = stored->version < event->version;
	if (is_newer && steps_cover_up(&event->upcasts, stored->version, event->version))
		return;
	if (schema_accepts_all(event->schema, stored->schema, why, sizeof(why)))
		return;
	if (is_newer)
		refuse(comparison, &event->place,
		    "%s: event %s of version %u can't be read as version %u: %s; upcast needs a "
		    "function for each version from %u to %u",
		    component->name, event->name, stored->version, event->version, why,
		    stored->version, event->version - 1);
	else
		refuse(comparison, &event->place,
		    "%s: stored events %s can't be read any more: %s; set version = %u and upcast "
		    "= { "
		    "[%u] = function(event) ... end } beside the event's handler",
		    component->name, event->name, why, event->version + 1, event->version);
}

static void check_component(struct comparison *comparison, struct host_component *component,
    const struct stored_component *stored)
{
	if (stored->kind != component->kind) {
		refuse(comparison, &component->place,
		    "%s is stored as %s and can't become %s: choose another name", component->name,
		    host_kind_name(stored->kind), host_kind_name(component->kind));
		return;
	}
	for (size_t i = 0; i < stored->states.count; i++)
		check_state(comparison, component, &stored->states.items[i]);
	for (size_t i = 0; i < stored->event_count; i++) {
		const struct stored_event *event = &stored->events[i];
		struct event_type *now = component_event(component, slice_from_text(event->name));
		if (!now) {
			refuse(comparison, &component->place,
			    "%s: events %s may be stored, and have no handler any more",
			    component->name, event->name);
			continue;
		}
		for (size_t j = 0; j < event->versions.count; j++)
			check_event(comparison, component, now, &event->versions.items[j]);
	}
}

/* ---- The way back ---- */

/* Why the version that is active now could not read what the new one writes: in words, because what
 * is lost is noticed only when it is needed. */
__attribute__((format(printf, 2, 3))) static void no_way_back(
    struct comparison *comparison, const char *format, ...)
{
	char text[WHY_BYTES + 2 * NAME_BYTES_MAX + 256];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	keep_error(comparison, buffer_append_format(comparison->changes, "no way back%s\n", text));
	comparison->rollback = false;
}

static void check_state_back(struct comparison *comparison, const struct host_component *component,
    const struct stored_component *stored)
{
	char why[WHY_BYTES] = "";
	struct schema *schema = NULL;
	/* What is active now was let in because it reads every version that is in the catalogue. */
	if (!stored_version_find(&stored->states, component->version, &schema))
		no_way_back(comparison,
		    " without downgrade: %s: state is stored as version %u, which the version that "
		    "is active now does not know",
		    component->name, component->version);
	else if (!schema_accepts_all(schema, component->state, why, sizeof(why)))
		no_way_back(comparison,
		    " without downgrade: %s: the version that is active now can't read the new "
		    "state: %s",
		    component->name, why);
}

static void check_event_back(struct comparison *comparison, const struct host_component *component,
    const struct event_type *event, const struct stored_component *stored)
{
	char why[WHY_BYTES] = "";
	struct schema *schema = NULL;
	const struct stored_event *known = stored_event_find(stored, event->name);
	if (!known || !known->active)
		no_way_back(comparison, ": %s: the version that is active now has no event %s",
		    component->name, event->name);
	else if (!stored_version_find(&known->versions, event->version, &schema))
		no_way_back(comparison,
		    ": %s: the version that is active now does not know version "
		    "%u of event %s",
		    component->name, event->version, event->name);
	else if (!schema_accepts_all(schema, event->schema, why, sizeof(why)))
		no_way_back(comparison,
		    ": %s: the version that is active now can't read event %s: "
		    "%s",
		    component->name, event->name, why);
}

static void check_way_back(struct comparison *comparison, const struct host_component *component,
    const struct stored_component *stored)
{
	if (component->kind != stored->kind)
		return; /* refused */
	check_state_back(comparison, component, stored);
	for (size_t i = 0; i < component->event_count; i++)
		check_event_back(comparison, component, &component->events[i], stored);
}

/* ---- What is told of the changes ---- */

static bool is_stored_name(const struct stored_names *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++) {
		if (strcmp(names->items[i], name) == 0)
			return true;
	}
	return false;
}

static size_t count_gone(
    const struct host_component *component, const struct stored_names *names, bool queries)
{
	size_t gone = 0;
	for (size_t i = 0; i < names->count; i++) {
		const struct host_handler *handler = host_handler(
		    (struct host_component *)component, slice_from_text(names->items[i]));
		gone += !handler || handler->is_query != queries;
	}
	return gone;
}

/* One difference in a component's line: "cart: +1 command; ...". */
__attribute__((format(printf, 4, 5))) static void tell(
    struct comparison *comparison, const char *name, bool *begun, const char *format, ...)
{
	char text[256];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (*begun)
		keep_error(comparison, buffer_append_format(comparison->changes, "; %s", text));
	else
		keep_error(
		    comparison, buffer_append_format(comparison->changes, "%s: %s", name, text));
	*begun = true;
}

static void tell_handlers(struct comparison *comparison, const struct host_component *component,
    const struct stored_component *stored, bool queries, bool *begun)
{
	const struct stored_names *names = queries ? &stored->queries : &stored->commands;
	const char *one = queries ? "query" : "command";
	const char *several = queries ? "queries" : "commands";
	size_t added = 0, gone = count_gone(component, names, queries);
	for (size_t i = 0; i < component->handler_count; i++) {
		const struct host_handler *handler = &component->handlers[i];
		added += handler->is_query == queries && !is_stored_name(names, handler->name);
	}
	if (added)
		tell(comparison, component->name, begun, "+%zu %s", added,
		    added == 1 ? one : several);
	if (gone)
		tell(
		    comparison, component->name, begun, "-%zu %s", gone, gone == 1 ? one : several);
}

static void tell_schema(struct comparison *comparison, const struct host_component *component,
    const char *what, const struct schema *before, const struct schema *after, bool *begun)
{
	char why[WHY_BYTES];
	if (!schema_accepts_all(before, after, why, sizeof(why)))
		tell(comparison, component->name, begun, "%s accepts more", what);
	else if (!schema_accepts_all(after, before, why, sizeof(why)))
		tell(comparison, component->name, begun, "%s accepts less", what);
}

static void tell_events(struct comparison *comparison, const struct host_component *component,
    const struct stored_component *stored, bool *begun)
{
	for (size_t i = 0; i < component->event_count; i++) {
		const struct event_type *event = &component->events[i];
		const struct stored_event *known = stored_event_find(stored, event->name);
		if (!known) {
			tell(comparison, component->name, begun, "+event %s", event->name);
			continue;
		}
		if (known->versions.count == 0)
			continue;
		const struct stored_version *last =
		    &known->versions.items[known->versions.count - 1];
		char what[NAME_BYTES_MAX + 16];
		snprintf(what, sizeof(what), "event %s", event->name);
		if (last->version != event->version)
			tell(comparison, component->name, begun, "%s v%u to v%u", event->name,
			    last->version, event->version);
		else
			tell_schema(
			    comparison, component, what, last->schema, event->schema, begun);
	}
}

static void tell_component(struct comparison *comparison, const struct host_component *component,
    const struct stored_component *stored)
{
	bool begun = false;
	if (!stored || !stored->active) {
		tell(comparison, component->name, &begun, stored ? "again" : "new");
	} else {
		tell_handlers(comparison, component, stored, false, &begun);
		tell_handlers(comparison, component, stored, true, &begun);
		struct schema *schema = NULL;
		if (stored->version != component->version)
			tell(comparison, component->name, &begun, "state v%u to v%u",
			    stored->version, component->version);
		else if (stored_version_find(&stored->states, stored->version, &schema))
			tell_schema(
			    comparison, component, "state", schema, component->state, &begun);
		tell_events(comparison, component, stored, &begun);
	}
	if (begun)
		keep_error(comparison, buffer_append_text(comparison->changes, "\n"));
}

/* ---- All of it ---- */

static void compare(struct comparison *comparison)
{
	const struct host_bundle *bundle = comparison->bundle;
	if (comparison->stored->app && strcmp(comparison->stored->app, bundle->app) != 0)
		refuse(comparison, NULL, "this is the catalogue of app %s, the bundle is of app %s",
		    comparison->stored->app, bundle->app);
	for (size_t i = 0; i < bundle->component_count; i++) {
		struct host_component *component = bundle->components[i];
		const struct stored_component *stored =
		    catalogue_find(comparison->stored, component->name);
		tell_component(comparison, component, stored);
		if (!stored)
			continue;
		check_component(comparison, component, stored);
		if (stored->active)
			check_way_back(comparison, component, stored);
	}
	for (size_t i = 0; i < comparison->stored->count; i++) {
		const struct stored_component *stored = &comparison->stored->components[i];
		if (stored->active &&
		    !host_component((struct host_bundle *)bundle, slice_from_text(stored->name)))
			keep_error(comparison, buffer_append_format(comparison->changes,
			                           "%s: removed\n", stored->name));
	}
}

int host_compatible(const struct host_bundle *bundle, struct slice stored,
    struct host_diagnostics *diagnostics, struct buffer *changes, bool *ret_rollback)
{
	struct catalogue catalogue;
	int error = catalogue_read(stored, &catalogue);
	if (error == ERR_INVALID && diagnostics_add(diagnostics, HOST_ERROR, NULL, 0,
	                                "the stored catalogue of the app can't be read"))
		error = ERR_NOMEM;
	if (error)
		return error;
	struct comparison comparison = {.bundle = bundle,
	    .stored = &catalogue,
	    .diagnostics = diagnostics,
	    .changes = changes,
	    .rollback = true};
	compare(&comparison);
	catalogue_done(&catalogue);
	diagnostics_sort(diagnostics);
	if (comparison.error)
		return comparison.error;
	if (comparison.refused)
		return ERR_INVALID;
	*ret_rollback = comparison.rollback;
	return 0;
}

int host_catalogue_add(const struct host_bundle *bundle, struct slice stored, struct buffer *out)
{
	struct catalogue catalogue;
	int error = catalogue_read(stored, &catalogue);
	if (error)
		return error;
	error = catalogue_take(&catalogue, bundle);
	if (!error)
		error = catalogue_write(&catalogue, out);
	catalogue_done(&catalogue);
	return error;
}

int host_catalogue_drop(struct slice stored, struct slice component, struct buffer *out)
{
	struct catalogue catalogue;
	int error = catalogue_read(stored, &catalogue);
	if (error)
		return error;
	catalogue_drop(&catalogue, component);
	error = catalogue_write(&catalogue, out);
	catalogue_done(&catalogue);
	return error;
}
