/* What an app declares, as it is kept while its bundle is loaded: made by scripting/declare.c and
 * scripting/load.c, immutable afterwards. Strings, schemas and references to Lua functions belong
 * to the struct they stand in, and all of it to the bundle.
 *
 * Inside of scripting/ only.
 */
#ifndef KX_SCRIPTING_COMPONENT_H
#define KX_SCRIPTING_COMPONENT_H

#include "base/buffer.h"
#include "base/list.h"
#include "scripting/bundle.h"
#include "scripting/host.h"
#include "scripting/sandbox.h"

struct schema;

#define COMPONENTS_MAX        1000
#define COMPONENT_NAMES_MAX   1000 /* commands, queries, events of one component */
#define VERSION_MAX           1000
#define SNAPSHOT_EVERY_MAX    1000000
#define HISTORY_DEFAULT       100
#define HISTORY_MAX           10000
#define DESCRIPTION_BYTES_MAX 4096
#define ROLES_MAX             64

/* Where something stands in the app's files. */
struct place {
	char *file; /* NULL: unknown */
	uint32_t line;
};

/* Functions from one version to the next: references[i] belongs to version `first` + i, and is
 * LUA_NOREF where there is none. */
struct steps {
	int *references;
	uint32_t first;
	uint32_t count;
};
/* LUA_NOREF outside. */
int steps_at(const struct steps *steps, uint32_t version);

enum exists_rule { EXISTS_ANY, EXISTS_REQUIRED, EXISTS_FORBIDDEN };

struct host_handler {
	struct host_component *component;
	char *name;
	size_t number;
	bool is_query;
	bool internal;
	enum exists_rule exists;
	struct schema *input; /* NULL: anything */
	struct schema *output;
	char *description; /* may be NULL */
	char **roles;
	size_t role_count;
	int function;
	int straight; /* of the function: see straight_find */
	struct place place;
};

struct event_type {
	char *name;
	struct schema *schema; /* NULL: anything */
	uint32_t version;
	struct steps upcasts; /* from a version to the one above */
	int function;
	bool takes_meta;
	struct place place;
};

enum init_kind {
	INIT_NONE,    /* nil until the first write */
	INIT_BYTES,   /* a table, or the schema's default: encoded */
	INIT_FUNCTION /* of the id */
};

struct host_component {
	struct host_bundle *bundle;
	char *name;
	enum host_kind kind;
	uint32_t version;
	uint32_t snapshot_every;
	uint32_t history;     /* changes of which a value entity keeps the state */
	struct schema *state; /* NULL: anything */
	enum init_kind init;
	struct buffer init_bytes;
	int init_function;
	struct steps migrations;       /* from a version to the one above */
	struct steps downgrades;       /* from a version to the one below */
	struct host_handler *handlers; /* by name */
	size_t handler_count;
	struct event_type *events; /* by name */
	size_t event_count;
	uint64_t fold_hash;
	struct place place;
	bool is_listed; /* by app.lua */
};

struct app_limits {
	uint64_t instructions;
	uint64_t run_ms;
	uint64_t memory_bytes;
	uint64_t payload_bytes;
	uint64_t state_bytes;
};

struct host_bundle {
	struct host *host;
	struct list_node in_host;
	uint64_t references;
	char hash[HOST_HASH_CHARACTERS + 1];
	struct buffer bytes; /* the container: files are views of it */
	struct bundle_files files;
	char *app;
	struct app_limits limits;
	/* Each on the heap, because handlers point at theirs. While loading: all that were made, in
	 * order; then those that app.lua lists, by name. */
	struct host_component **components;
	size_t component_count, component_capacity;
	int modules;                /* reference to the table of loaded files' values */
	struct host_bundle *shadow; /* dev mode: the same bundle in the other interpreter */
};

struct host_component *component_new(struct host_bundle *bundle, struct slice name);
/* Gives references back to Lua. NULL-safe. */
void component_free(struct host_component *component);

/* A copy with a 0 behind it, or NULL. */
char *text_copy(struct slice from);

/* NULL where there is none. */
/* The app's limit, or less where the type keeps states. */
uint64_t component_state_bytes_max(const struct host_component *component);
struct event_type *component_event(struct host_component *component, struct slice name);

/* Whether a function stands for every step from `from` (below `to`) up to `to`, or down. */
bool steps_cover_up(const struct steps *steps, uint32_t from, uint32_t to);
bool steps_cover_down(const struct steps *steps, uint32_t from, uint32_t to);

#endif
