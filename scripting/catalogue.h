/* The catalogue of an app: what every version that was ever active may have stored, and what the
 * last active one offers. It decides whether a new bundle can read what is there.
 *
 *   {app, components: [{name, kind, active, version, commands: [name..], queries: [name..],
 *     states: [{version, schema}..], events: [{name, active, versions: [{version, schema}..]}]}]}
 *
 * One schema for each version is enough: another one under the same number is let in only if it
 * accepts everything that the one before accepts.
 *
 * Inside of scripting/ only. One thread.
 */
#ifndef KX_SCRIPTING_CATALOGUE_H
#define KX_SCRIPTING_CATALOGUE_H

#include "scripting/component.h"

struct stored_version {
	uint32_t version;
	struct schema *schema; /* NULL: anything */
};

struct stored_versions {
	struct stored_version *items; /* ascending */
	size_t count;
};

struct stored_event {
	char *name;
	bool active; /* the last active version has it: in the highest of `versions` */
	struct stored_versions versions;
};

struct stored_names {
	char **items;
	size_t count;
};

struct stored_component {
	char *name;
	enum host_kind kind;
	bool active;
	uint32_t version; /* of the last active one */
	struct stored_names commands, queries;
	struct stored_versions states;
	struct stored_event *events;
	size_t event_count;
};

struct catalogue {
	char *app; /* NULL: nothing was ever active */
	struct stored_component *components;
	size_t count;
};

/* ERR_INVALID: it is no catalogue. ERR_NOMEM. Empty bytes: an empty one. */
NODISCARD int catalogue_read(struct slice bytes, struct catalogue *ret_catalogue);
void catalogue_done(struct catalogue *catalogue);
NODISCARD int catalogue_write(const struct catalogue *catalogue, struct buffer *out);

/* Takes in what the bundle adds, and makes it the active one. ERR_NOMEM: then only good for
 * catalogue_done. */
NODISCARD int catalogue_take(struct catalogue *catalogue, const struct host_bundle *bundle);

/* Forgets the component, if it is there. */
void catalogue_drop(struct catalogue *catalogue, struct slice name);

struct stored_component *catalogue_find(const struct catalogue *catalogue, const char *name);
struct stored_event *stored_event_find(const struct stored_component *component, const char *name);
/* The schema stored under a version; false where there is none. */
bool stored_version_find(
    const struct stored_versions *versions, uint32_t version, struct schema **ret_schema);

#endif
