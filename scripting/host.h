/* The one door between the server and Lua: apps are loaded here, and their handlers run.
 *
 * A host is one core's Lua: one interpreter for all apps and shards of the core. It knows nothing
 * of shards, logs or sockets: it is given bytes (a stored state, events, a payload) and gives bytes
 * back (a new state, new events, a reply, or an error). It pulls nothing and calls nobody, so the
 * same code runs in the server, in the simulator and in `kalix-admin app check|test`.
 *
 *   host_load(bundle) -> component -> handler
 *   host_call_begin -> host_call_run ... (HOST_PAUSED: its slice is over; call again in a later
 *   turn; HOST_WAITS: see there) -> HOST_ENDED: host_call_outcome -> host_call_end
 *
 * Many calls may be begun and paused at one time; each has a coroutine of its own. What a handler
 * does takes hold in its call alone; nothing of one call is visible in another one.
 *
 * Stored bytes. States, events, inputs in the log are MessagePack (base/wire/msgpack.h) with map
 * keys sorted, arrays for lists: equal values are equal bytes. The server treats them as opaque.
 *
 * Purity. Event handlers, upcasters, migrations and `init` may be run at other times and on other
 * nodes and must give equal bytes: they get no ctx, time, uuid or random. In dev mode each fold is
 * done a second time in an interpreter seeded differently and compared; a difference is INTERNAL.
 *
 * Errors. Functions return 0 or a negative enum error for what the server does wrong or lacks
 * (ERR_NOMEM); what the app or its caller does wrong is an outcome with an enum status.
 *
 * Thread: everything of one host on one thread, with at least HOST_STACK_BYTES_MIN of C stack.
 */
#ifndef KX_SCRIPTING_HOST_H
#define KX_SCRIPTING_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "base/status.h"

struct buffer;
struct host;
struct host_bundle;
struct host_call;
struct host_component;
struct host_handler;
struct host_job;

#define HOST_STACK_BYTES_MIN (1024 * 1024)

enum host_mode { HOST_DEV, HOST_PRODUCTION };

struct host_options {
	enum host_mode mode;
	uint64_t seed; /* of uuid and random, and of table hashes */
	/* `log.info` and others of a handler: one event, its views valid during the call. May be
	 * NULL. */
	void (*log)(void *arg, int level, struct slice address, struct slice text);
	void *log_arg;
};

NODISCARD int host_new(const struct host_options *options, struct host **ret_host);
void host_free(struct host *host); /* NULL-safe; no call is begun; bundles go with it */

/* ---- Bundles ---- */

/* What `app check` and `deploy` tell, worst first. Owned by the list, which the caller inits and
 * frees. */
enum host_severity { HOST_ERROR, HOST_WARNING };
struct host_diagnostic {
	enum host_severity severity;
	char *file;    /* "cart.lua", or "" */
	uint32_t line; /* 0: unknown */
	char *text;
};
struct host_diagnostics {
	struct host_diagnostic *items;
	size_t count, capacity;
};
void host_diagnostics_free(struct host_diagnostics *diagnostics); /* empty afterwards */

/* A bundle's bytes: MessagePack ["kalix-bundle", 1, {path: source, ...}], paths sorted, "app.lua"
 * among them; at most BUNDLE_BYTES_MAX. Equal files are equal bytes, and the bundle's hash
 * (32 hexadecimal digits of hash128_bytes, seed 0) names it. */
struct host_file {
	struct slice path; /* relative, '/' between its parts, no "..", ends in ".lua" */
	struct slice source;
};
NODISCARD int host_bundle_pack(
    const struct host_file *files, size_t count, struct buffer *ret_bundle);
#define HOST_HASH_CHARACTERS 32
void host_bundle_hash(struct slice bundle, char ret_hash[HOST_HASH_CHARACTERS + 1]);

/* Compiles every file, runs them once inside budgets, and checks all declarations. 0: a bundle with
 * one reference, warnings may stand in *diagnostics. ERR_INVALID: it is refused, and *diagnostics
 * (not NULL) says why, with file and line. Loading the same bytes twice gives the same bundle with
 * one reference more. */
NODISCARD int host_load(struct host *host, struct slice bundle,
    struct host_diagnostics *diagnostics, struct host_bundle **ret_bundle);
void host_bundle_keep(struct host_bundle *bundle);
/* NULL-safe. The last reference frees it; calls hold their own. */
void host_bundle_release(struct host_bundle *bundle);

struct slice host_bundle_app(const struct host_bundle *bundle); /* its name */
const char *host_bundle_hash_text(const struct host_bundle *bundle);

/* The bundle's declarations as MessagePack, for the catalogue and for readers that have no Lua:
 *   {app, hash, components: [{name, kind, version, state (schema), snapshot_every, migrates: [n..],
 *     downgrades: [n..], commands: [{name, input, output, exists, internal, roles, description}],
 *     queries: [...], events: [{name, version, schema, upcasts: [n..]}]}], limits}
 * Order is that of names; a schema is what schema_encode writes (scripting/schema.h). */
NODISCARD int host_bundle_describe(const struct host_bundle *bundle, struct buffer *out);

/* ---- Components and handlers ---- */

struct host_caller {
	struct slice kind; /* "client", "entity", "timer", "admin", ... */
	struct slice name;
	const struct slice *roles;
	size_t role_count;
};

enum host_kind { HOST_VALUE_ENTITY, HOST_EVENT_SOURCED_ENTITY };
const char *host_kind_name(enum host_kind kind); /* "value_entity" */

/* Views live as long as the bundle. NULL where there is none of that name. */
struct host_component *host_component(struct host_bundle *bundle, struct slice name);
size_t host_component_count(const struct host_bundle *bundle);
struct host_component *host_component_at(struct host_bundle *bundle, size_t position);
struct slice host_component_name(const struct host_component *component);
enum host_kind host_component_kind(const struct host_component *component);
uint32_t host_component_version(const struct host_component *component); /* of its state, from 1 */
uint32_t host_component_snapshot_every(const struct host_component *component);
/* Of a value entity: of how many last changes the state is kept; 0: none. */
uint32_t host_component_history(const struct host_component *component);
/* Whether a stored state of that version can be read: it is the component's version, or `migrate`
 * (for a newer one `downgrade`) covers each step. A snapshot for which this is false is thrown
 * away and the events are folded from the first one. For a value entity's state that deployment
 * found compatible without `migrate` this is true, too. */
bool host_component_reads_version(const struct host_component *component, uint32_t state_version);
/* Names everything that decides what a fold of this component's events gives: two components with
 * equal values give equal states from equal events. For cached folds over activations. */
uint64_t host_component_fold_hash(const struct host_component *component);
/* What `CALL address` alone answers, as JSON: name, kind, commands and queries with their input
 * schemas. */
NODISCARD int host_component_list(const struct host_component *component, struct buffer *out);

struct host_handler *host_handler(struct host_component *component, struct slice name);
struct slice host_handler_name(const struct host_handler *handler);
bool host_handler_is_query(const struct host_handler *handler);
bool host_handler_internal(const struct host_handler *handler);
/* `internal` and `roles`: false is PERMISSION_DENIED, which host_call gives by itself. Both concern
 * callers of kind "client" only; one with the role "*" has every role that a handler may name, and
 * one with the role "admin" may call what is internal. */
bool host_handler_allows(const struct host_handler *handler, const struct host_caller *caller);
/* A number below host_handler_count, for figures kept by others. */
size_t host_handler_number(const struct host_handler *handler);
size_t host_handler_count(const struct host_component *component);
struct host_handler *host_handler_at(struct host_component *component, size_t position);

/* For UNIMPLEMENTED: "cart has no command 'additem'; did you mean add_item?". */
NODISCARD int host_explain_unknown(
    const struct host_component *component, struct slice name, struct buffer *out);

/* ---- Calls ---- */

enum host_encoding { HOST_JSON, HOST_MSGPACK };

/* An entity as the shard knows it. All zeros: one that never was. */
struct host_entity {
	bool exists;
	bool has_state;         /* a state is there: stored, or folded; else `init` decides */
	uint32_t state_version; /* of `state` */
	uint64_t revision;
	struct slice state; /* MessagePack */
};

/* One event, as it is stored. */
struct host_event {
	struct slice name;
	uint32_t version; /* of its schema when it was emitted */
	int64_t at_ms;
	uint64_t revision;
	struct slice data; /* MessagePack */
};

struct host_request {
	struct host_component *component; /* its bundle is kept until host_call_end */
	struct host_handler *handler;
	struct slice address; /* "type/id" */
	struct host_entity entity;
	bool has_payload;
	struct slice payload;
	enum host_encoding payload_encoding, reply_encoding;
	int64_t now_ms; /* ctx.now */
	struct host_caller caller;
	struct slice metadata; /* MessagePack map, or empty */
};

/* Copies the struct, not what it refers to: its views stay until host_call_end. ERR_NOMEM. */
NODISCARD int host_call_begin(
    struct host *host, const struct host_request *request, struct host_call **ret_call);

/* A fold: a state from a snapshot (entity.has_state) and the events behind it, for an event-sourced
 * component; also the way to the initial state (no events). `next` is called until it is false,
 * inside host_call_run only; it gives the events in order of revision, each with views that are
 * valid until it is called again. The outcome's
 * state is the folded one. Its `change` is HOST_UNCHANGED. */
struct host_fold {
	struct host_component *component;
	struct slice address;
	struct host_entity entity;
	bool (*next)(void *arg, struct host_event *ret_event);
	void *arg;
};
NODISCARD int host_fold_begin(
    struct host *host, const struct host_fold *fold, struct host_call **ret_call);

enum host_progress { HOST_PAUSED, HOST_WAITS, HOST_ENDED };
/* Runs until it ends, waits, or about slice_us have passed (0: HANDLER_SLICE_US). */
enum host_progress host_call_run(struct host_call *call, uint32_t slice_us);

/* HOST_WAITS: the handler asked for something that is not Lua and takes long (a password's hash).
 * Who must not be held up takes the job, has it done, and gives it back before the call is run
 * again; who just runs the call again does it there and then. Folds never wait. */
struct host_job *host_call_take_job(struct host_call *call); /* the caller's from then on */
void host_job_run(struct host_job *job);                     /* once; on any thread */
void host_call_give_job(struct host_call *call, struct host_job *job); /* which was run */
void host_job_free(struct host_job *job); /* one that was not given back; NULL-safe */

enum host_change {
	HOST_UNCHANGED, /* nothing to commit */
	HOST_UPDATED,   /* value entity: `state` is the new one */
	HOST_EMITTED,   /* event-sourced: `events`, which made `state` */
	HOST_DELETED    /* behind the events, if any: state and existence go */
};

/* Valid until host_call_end. */
struct host_outcome {
	enum status status; /* STATUS_OK, or why nothing is changed */
	/* Where it is not OK. `message` is at most 1 KiB and never holds a value of the caller's
	 * or the state's strings; `details` is compact JSON or empty. `traceback` is for the log
	 * and, in dev mode, for the caller; empty unless a handler broke. */
	struct slice message, details, traceback;
	bool saw_time; /* the handler asked for its time */
	bool is_fault; /* an unexpected error of the handler: gets a reference (INTERNAL) */

	bool has_reply;     /* else the reply is nothing: null */
	struct slice reply; /* in reply_encoding */

	enum host_change change;
	/* With HOST_UPDATED, HOST_EMITTED and of a fold: the state then, if there is one (before
	 * the first event of an entity without `init` there is none). Else false: the state is as
	 * it was, or gone. */
	bool has_state;
	struct slice state;
	uint32_t state_version;
	const struct host_event *events; /* revisions follow on the entity's */
	size_t event_count;
	uint64_t revision; /* of the entity once this is committed */

	uint64_t instructions, run_ns;
};
const struct host_outcome *host_call_outcome(const struct host_call *call);

/* The most bytes of state, events and names that a call of this component may produce, so that
 * room can be reserved before it runs. Its reply comes on top. */
uint64_t host_component_change_bytes_max(const struct host_component *component);

/* Frees the call, ended or not (a paused one is abandoned: nothing of it remains). NULL-safe. */
void host_call_end(struct host_call *call);

/* Between calls, once per turn: a bounded piece of garbage collection. True while there is more. */
bool host_idle(struct host *host);

struct host_figures {
	uint64_t calls, faults, pauses, exhausted; /* `exhausted`: a budget ended it */
	uint64_t folds, events_folded, instructions, run_ns, lua_bytes, bundles;
};
struct host_figures host_figures(const struct host *host);

/* ---- Compatibility ---- */

/* Whether what `stored` (a description in the catalogue: every version ever active) holds can be
 * read by the bundle. `changes` gets a line for each difference ("cart: +1 command"). ERR_INVALID:
 * it can't, and *diagnostics says which component, which path, and what would cover it. Decided on
 * schemas alone. *ret_rollback: whether going back to `stored` stays possible afterwards. */
NODISCARD int host_compatible(const struct host_bundle *bundle, struct slice stored,
    struct host_diagnostics *diagnostics, struct buffer *changes, bool *ret_rollback);
/* The catalogue after the bundle was active: all that `stored` holds (empty: nothing yet) and what
 * the bundle adds. */
NODISCARD int host_catalogue_add(
    const struct host_bundle *bundle, struct slice stored, struct buffer *out);
/* The catalogue without a component whose data is gone (`--drop`), so that its name is free. */
NODISCARD int host_catalogue_drop(struct slice stored, struct slice component, struct buffer *out);

#endif
