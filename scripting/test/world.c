#include "scripting/test/world.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "base/hash_table.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/wire/address.h"

/* The record of a command's first success. */
struct token {
	struct list_node link;
	struct hash128 name, request;
	int64_t until_ms;
	bool has_reply;
	struct buffer reply;
};

struct world_entity {
	struct hash_entry hash;
	bool exists, has_state;
	uint32_t state_version;
	uint64_t revision;
	struct buffer state;
	struct list tokens;
	size_t address_bytes;
	uint8_t address[];
};

struct world {
	struct host *host;
	struct host_bundle *bundle;
	int64_t now_ms;
	struct hash_table entities;
	struct host_call *call; /* the last one: its outcome is looked at until the next */
	struct buffer text;     /* of answers */
};

/* ---- Entities ---- */

static bool has_address(const struct hash_entry *entry, const void *key)
{
	const struct world_entity *entity = CONTAINER_OF(entry, struct world_entity, hash);
	return slice_equal(
	    slice_of(entity->address, entity->address_bytes), *(const struct slice *)key);
}

/* Made where there is none; NULL without memory. */
static struct world_entity *need_entity(struct world *world, struct slice address)
{
	uint64_t hash = hash_bytes(address, 0);
	struct hash_entry *entry = hash_table_find(&world->entities, hash, has_address, &address);
	if (entry)
		return CONTAINER_OF(entry, struct world_entity, hash);
	struct world_entity *entity = mem_zalloc(1, sizeof(*entity) + address.bytes);
	if (!entity)
		return NULL;
	hash_entry_init(&entity->hash);
	list_init(&entity->tokens);
	buffer_init(&entity->state, STATE_BYTES_MAX);
	entity->address_bytes = address.bytes;
	memcpy(entity->address, address.data, address.bytes);
	if (hash_table_insert(&world->entities, hash, &entity->hash)) {
		mem_free(entity);
		return NULL;
	}
	return entity;
}

static void token_free(struct token *token)
{
	list_remove(&token->link);
	buffer_done(&token->reply);
	mem_free(token);
}

static void entity_free(struct world_entity *entity)
{
	LIST_FOR_EACH_REMOVABLE(node, &entity->tokens)
	token_free(CONTAINER_OF(node, struct token, link));
	buffer_done(&entity->state);
	mem_free(entity);
}

static struct slice address_of(const struct world_entity *entity)
{
	return slice_of(entity->address, entity->address_bytes);
}

static struct host_entity seen_by_host(const struct world_entity *entity)
{
	return (struct host_entity){.exists = entity->exists,
	    .has_state = entity->has_state,
	    .state_version = entity->state_version,
	    .revision = entity->revision,
	    .state = buffer_view(&entity->state)};
}

static int set_state(
    struct world_entity *entity, bool has_state, struct slice state, uint32_t version)
{
	buffer_clear(&entity->state);
	entity->has_state = false;
	int error = has_state ? buffer_append_slice(&entity->state, state) : 0;
	if (error)
		return error;
	entity->has_state = has_state;
	entity->state_version = version;
	return 0;
}

/* ---- The world ---- */

int world_new(struct slice bundle, const struct world_options *options, struct world **ret_world)
{
	struct world *world = mem_zalloc(1, sizeof(*world));
	if (!world)
		return ERR_NOMEM;
	hash_table_init(&world->entities);
	buffer_init(&world->text, REPLY_BYTES_MAX);
	world->now_ms = options->now_ms;
	struct host_options host = {.mode = HOST_DEV,
	    .seed = options->seed,
	    .log = options->log,
	    .log_arg = options->log_arg};
	struct host_diagnostics diagnostics = {.items = NULL};
	int error = host_new(&host, &world->host);
	if (!error)
		error = host_load(world->host, bundle, &diagnostics, &world->bundle);
	host_diagnostics_free(&diagnostics);
	if (error) {
		world_free(world);
		return error;
	}
	*ret_world = world;
	return 0;
}

static void end_call(struct world *world)
{
	host_call_end(world->call);
	world->call = NULL;
	buffer_clear(&world->text);
}

void world_free(struct world *world)
{
	if (!world)
		return;
	end_call(world);
	struct hash_table_cursor cursor = {0};
	struct hash_entry *entry;
	while ((entry = hash_table_next(&world->entities, &cursor))) {
		hash_table_remove(&world->entities, entry);
		entity_free(CONTAINER_OF(entry, struct world_entity, hash));
	}
	hash_table_done(&world->entities);
	host_bundle_release(world->bundle);
	host_free(world->host);
	buffer_done(&world->text);
	mem_free(world);
}

int64_t world_now(const struct world *world)
{
	return world->now_ms;
}

void world_set_now(struct world *world, int64_t now_ms)
{
	ASSERT(now_ms >= world->now_ms);
	world->now_ms = now_ms;
}

struct host_bundle *world_bundle(const struct world *world)
{
	return world->bundle;
}

/* ---- Answers ---- */

static int refuse(
    struct world *world, struct world_answer *answer, enum status status, const char *text)
{
	int error = buffer_append_text(&world->text, text);
	answer->status = status;
	answer->message = buffer_view(&world->text);
	return error;
}

/* Runs what was begun, as a core does that has nothing else to do. */
static const struct host_outcome *run(struct world *world)
{
	while (host_call_run(world->call, UINT32_MAX) != HOST_ENDED) {
	}
	return host_call_outcome(world->call);
}

static void take_refusal(const struct host_outcome *outcome, struct world_answer *answer)
{
	answer->status = outcome->status;
	answer->message = outcome->message;
	answer->details = outcome->details;
	answer->traceback = outcome->traceback;
	answer->is_fault = outcome->is_fault;
}

static int explain_type(struct world *world, struct slice type, struct world_answer *answer)
{
	size_t count = host_component_count(world->bundle);
	struct slice *names = mem_zalloc(count, sizeof(*names));
	if (!names)
		return ERR_NOMEM;
	for (size_t i = 0; i < count; i++)
		names[i] = host_component_name(host_component_at(world->bundle, i));
	int near = name_nearest(type, names, (int)count);
	int error = buffer_append_format(&world->text, "no deployed app has a component '%.*s'",
	    (int)type.bytes, (const char *)type.data);
	if (!error && near >= 0)
		error = buffer_append_format(&world->text, "; did you mean %.*s?",
		    (int)names[near].bytes, (const char *)names[near].data);
	mem_free(names);
	answer->status = STATUS_UNIMPLEMENTED;
	answer->message = buffer_view(&world->text);
	return error;
}

/* ---- Which handler ---- */

/* *ret_handler stays NULL where the answer is given. */
static int find_handler(struct world *world, const struct world_call *call,
    struct world_answer *answer, struct host_handler **ret_handler)
{
	struct address address;
	const char *why;
	if (address_parse(call->address, &address, &why)) {
		bool is_name = name_valid(call->address);
		return refuse(world, answer,
		    is_name ? STATUS_UNIMPLEMENTED : STATUS_INVALID_ARGUMENT,
		    is_name ? "there is no action of this name; an address is type/id, for example "
		              "cart/c1"
		            : why);
	}
	answer->component = host_component(world->bundle, address.type);
	if (!answer->component)
		return explain_type(world, address.type, answer);
	struct host_handler *handler = host_handler(answer->component, call->name);
	if (!handler) {
		int error = host_explain_unknown(answer->component, call->name, &world->text);
		answer->status = STATUS_UNIMPLEMENTED;
		answer->message = buffer_view(&world->text);
		return error;
	}
	if (call->queries_only && !host_handler_is_query(handler))
		return refuse(world, answer, STATUS_INVALID_ARGUMENT,
		    "this is a command, and only queries may be called here");
	if (host_handler_internal(handler) && !host_handler_allows(handler, &call->caller))
		return refuse(world, answer, STATUS_PERMISSION_DENIED,
		    "this command is internal: only other components, timers and administrators "
		    "may "
		    "call it");
	*ret_handler = handler;
	return 0;
}

/* ---- Tokens ---- */

static void add_part(struct hash_stream *stream, struct slice part)
{
	uint64_t bytes = part.bytes;
	hash_stream_update(stream, slice_of(&bytes, sizeof(bytes)));
	hash_stream_update(stream, part);
}

static struct hash128 token_name(const struct world_call *call)
{
	struct hash_stream stream;
	hash_stream_init(&stream, 0);
	add_part(&stream, call->caller.name);
	add_part(&stream, call->token);
	return hash128_stream_value(&stream);
}

static struct hash128 token_request(const struct world_call *call)
{
	struct hash_stream stream;
	hash_stream_init(&stream, 0);
	add_part(&stream, call->name);
	if (call->has_payload)
		add_part(&stream, call->payload);
	return hash128_stream_value(&stream);
}

static struct token *find_token(
    struct world *world, struct world_entity *entity, const struct world_call *call)
{
	struct hash128 name = token_name(call);
	LIST_FOR_EACH_REMOVABLE(node, &entity->tokens)
	{
		struct token *token = CONTAINER_OF(node, struct token, link);
		if (token->until_ms <= world->now_ms)
			token_free(token);
		else if (hash128_equal(token->name, name))
			return token;
	}
	return NULL;
}

static int repeat(struct world *world, const struct token *token, const struct world_call *call,
    struct world_answer *answer)
{
	if (!hash128_equal(token->request, token_request(call)))
		return refuse(world, answer, STATUS_INVALID_ARGUMENT,
		    "this idempotency token was used here for another command, payload or "
		    "encoding");
	answer->status = STATUS_OK;
	answer->has_reply = token->has_reply;
	answer->reply = buffer_view(&token->reply);
	return 0;
}

static int remember(struct world *world, struct world_entity *entity, const struct world_call *call,
    const struct host_outcome *outcome)
{
	struct token *token = mem_zalloc(1, sizeof(*token));
	if (!token)
		return ERR_NOMEM;
	list_node_init(&token->link);
	buffer_init(&token->reply, TOKEN_REPLY_BYTES_MAX);
	token->name = token_name(call);
	token->request = token_request(call);
	token->until_ms = world->now_ms + TOKEN_LIFE_MS;
	token->has_reply = outcome->has_reply;
	int error = buffer_append_slice(&token->reply, outcome->reply);
	if (error) {
		token_free(token);
		return error;
	}
	list_push_back(&entity->tokens, &token->link);
	return 0;
}

/* ---- Calls ---- */

static int commit(struct world_entity *entity, const struct host_outcome *outcome)
{
	switch (outcome->change) {
	case HOST_UNCHANGED:
		return 0;
	case HOST_UPDATED:
	case HOST_EMITTED:
		entity->exists = true;
		entity->revision = outcome->revision;
		return set_state(
		    entity, outcome->has_state, outcome->state, outcome->state_version);
	case HOST_DELETED:
		entity->exists = false;
		entity->revision = outcome->revision;
		return set_state(entity, false, slice_of(NULL, 0), 0);
	}
	UNREACHABLE();
	return 0;
}

static int take_outcome(struct world *world, struct world_entity *entity,
    const struct world_call *call, struct world_answer *answer)
{
	const struct host_outcome *outcome = run(world);
	if (outcome->status != STATUS_OK) {
		take_refusal(outcome, answer);
		return 0;
	}
	bool remembers = call->token.bytes > 0 && outcome->change != HOST_UNCHANGED;
	if (remembers && outcome->has_reply && outcome->reply.bytes > TOKEN_REPLY_BYTES_MAX)
		return refuse(world, answer, STATUS_RESOURCE_EXHAUSTED,
		    "the reply, or the change, is too large for a call with an idempotency token; "
		    "nothing was changed");
	int error = remembers ? remember(world, entity, call, outcome) : 0;
	if (!error)
		error = commit(entity, outcome);
	if (error)
		return error;
	answer->status = STATUS_OK;
	answer->outcome = outcome;
	answer->has_reply = outcome->has_reply;
	answer->reply = outcome->reply;
	return 0;
}

int world_run(struct world *world, const struct world_call *call, struct world_answer *ret_answer)
{
	struct world_answer answer = {.status = STATUS_OK};
	struct host_handler *handler = NULL;
	end_call(world);
	int error = find_handler(world, call, &answer, &handler);
	if (error || !handler) {
		*ret_answer = answer;
		return error;
	}
	struct world_entity *entity = need_entity(world, call->address);
	if (!entity)
		return ERR_NOMEM;
	struct world_call own = *call;
	if (host_handler_is_query(handler))
		own.token = slice_of(NULL, 0);
	const struct token *token = own.token.bytes ? find_token(world, entity, &own) : NULL;
	if (token) {
		error = repeat(world, token, &own, &answer);
	} else {
		struct host_request request = {.component = answer.component,
		    .handler = handler,
		    .address = address_of(entity),
		    .entity = seen_by_host(entity),
		    .has_payload = call->has_payload,
		    .payload = call->payload,
		    .payload_encoding = HOST_JSON,
		    .reply_encoding = HOST_JSON,
		    .now_ms = world->now_ms,
		    .caller = call->caller,
		    .metadata = call->metadata};
		error = host_call_begin(world->host, &request, &world->call);
		if (!error)
			error = take_outcome(world, entity, &own, &answer);
	}
	*ret_answer = answer;
	return error;
}

/* ---- Folds ---- */

struct events {
	const struct world *world;
	const struct world_given *given;
	size_t at;
};

static bool next_event(void *arg, struct host_event *ret_event)
{
	struct events *events = arg;
	const struct world_given *given = events->given;
	if (events->at == given->event_count)
		return false;
	*ret_event = given->events[events->at++];
	ret_event->at_ms = events->world->now_ms;
	ret_event->revision = given->revision + events->at;
	return true;
}

int world_give(
    struct world *world, const struct world_given *given, struct world_answer *ret_answer)
{
	struct world_answer answer = {.status = STATUS_OK, .component = given->component};
	end_call(world);
	struct world_entity *entity = need_entity(world, given->address);
	if (!entity)
		return ERR_NOMEM;
	entity->revision = given->revision;
	entity->exists = given->has_state || given->event_count > 0;
	int error = set_state(entity, given->has_state, given->state, given->state_version);
	if (!error && given->event_count > 0) {
		struct events events = {world, given, 0};
		struct host_fold fold = {.component = given->component,
		    .address = address_of(entity),
		    .entity = seen_by_host(entity),
		    .next = next_event,
		    .arg = &events};
		error = host_fold_begin(world->host, &fold, &world->call);
		if (error)
			return error;
		const struct host_outcome *outcome = run(world);
		entity->revision += given->event_count;
		if (outcome->status != STATUS_OK)
			take_refusal(outcome, &answer);
		else
			error = set_state(
			    entity, outcome->has_state, outcome->state, outcome->state_version);
	}
	*ret_answer = answer;
	return error;
}

int world_state(struct world *world, struct slice address, struct host_component *component,
    struct world_answer *ret_answer)
{
	struct world_answer answer = {.status = STATUS_OK, .component = component};
	end_call(world);
	struct world_entity *entity = need_entity(world, address);
	if (!entity)
		return ERR_NOMEM;
	struct host_fold fold = {
	    .component = component, .address = address_of(entity), .entity = seen_by_host(entity)};
	int error = host_fold_begin(world->host, &fold, &world->call);
	if (error)
		return error;
	const struct host_outcome *outcome = run(world);
	if (outcome->status != STATUS_OK) {
		take_refusal(outcome, &answer);
	} else {
		answer.has_reply = outcome->has_state;
		answer.reply = outcome->state;
	}
	*ret_answer = answer;
	return 0;
}
