/* A whole app in memory: entities over one host (scripting/host.h) in dev mode, with a clock that
 * stands still until it is moved. What is here is what a shard does around a handler: which call
 * comes to one at all, tokens, what a commit leaves. The handler itself is the host's.
 *
 * A world owns its host, its copy of nothing else: the bundle's bytes are copied by the host. What
 * calls and answers refer to is told at each. One thread, on which a host runs.
 */
#ifndef KX_SCRIPTING_TEST_WORLD_H
#define KX_SCRIPTING_TEST_WORLD_H

#include "scripting/host.h"

struct world;
struct world_entity;

struct world_options {
	uint64_t seed; /* of uuid and random, and of table hashes */
	int64_t now_ms;
	void (*log)(void *arg, int level, struct slice address, struct slice text);
	void *log_arg;
};

/* ERR_INVALID: the bundle is refused. ERR_NOMEM. */
NODISCARD int world_new(
    struct slice bundle, const struct world_options *options, struct world **ret_world);
void world_free(struct world *world); /* NULL-safe */

int64_t world_now(const struct world *world);
void world_set_now(struct world *world, int64_t now_ms); /* not before world_now */
struct host_bundle *world_bundle(const struct world *world);

struct world_call {
	struct slice address, name;
	bool has_payload;
	struct slice payload; /* JSON */
	struct host_caller caller;
	struct slice token;    /* empty: none */
	struct slice metadata; /* MessagePack map, or empty */
	bool queries_only;
};

/* Views are valid until the next function of this world. */
struct world_answer {
	enum status status;
	struct slice message, details, traceback; /* where it is not STATUS_OK */
	bool is_fault;
	bool has_reply;
	struct slice reply; /* JSON */
	/* What the handler did; NULL where none ran, as for a repeated token. */
	const struct host_outcome *outcome;
	struct host_component *component; /* NULL: there is none of that name */
};

/* Runs it, and keeps what it changed. ERR_NOMEM; all else is an answer. */
NODISCARD int world_run(
    struct world *world, const struct world_call *call, struct world_answer *ret_answer);

/* What an entity was before the first call. Replaces what it is. */
struct world_given {
	struct slice address;
	struct host_component *component;
	bool has_state; /* of a value entity the state, else a snapshot */
	struct slice state;
	uint32_t state_version;
	uint64_t revision;               /* of it; 0 without one */
	const struct host_event *events; /* behind it: name, version, data; the rest is filled in */
	size_t event_count;
};
NODISCARD int world_give(
    struct world *world, const struct world_given *given, struct world_answer *ret_answer);

/* The entity's state as its next call will find it: stored, migrated, or initial. status, and then
 * has_reply and reply, which is MessagePack here; without has_reply there is none. */
NODISCARD int world_state(struct world *world, struct slice address,
    struct host_component *component, struct world_answer *ret_answer);

#endif
