/* Calls and folds as host.h shows them. */
#include "scripting/call.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/wire/utf8.h"
#include "scripting/password.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>

/* ---- Memory of calls, kept for the next one ---- */

static void call_free(struct host_call *call)
{
	luaL_unref(call->owner.host->lua, LUA_REGISTRYINDEX, call->held_reference);
	buffer_done(&call->base_bytes);
	buffer_done(&call->state);
	buffer_done(&call->event_data);
	buffer_done(&call->reply);
	buffer_done(&call->scratch);
	buffer_done(&call->details);
	mem_free(call->emitted);
	mem_free(call->events);
	mem_free(call);
}

static int make_held(lua_State *lua)
{
	struct host_call *call = lua_touserdata(lua, 1);
	lua_newuserdatauv(lua, 0, HELD_REPLY);
	call->held_reference = luaL_ref(lua, LUA_REGISTRYINDEX);
	return 0;
}

void call_hold(struct host_call *call, struct lua_State *lua, enum call_held what)
{
	lua_rawgeti(lua, LUA_REGISTRYINDEX, call->held_reference);
	lua_insert(lua, -2);
	lua_setiuservalue(lua, -2, (int)what);
	lua_pop(lua, 1);
	call->holds = true;
}

void call_push_held(const struct host_call *call, struct lua_State *lua, enum call_held what)
{
	lua_rawgeti(lua, LUA_REGISTRYINDEX, call->held_reference);
	lua_getiuservalue(lua, -1, (int)what);
	lua_replace(lua, -2);
}

static int call_new(struct host *host, struct host_call **ret_call)
{
	struct list_node *node = list_pop_back(&host->spare_calls);
	if (node) {
		host->spare_count--;
		*ret_call = CONTAINER_OF(node, struct host_call, spare);
		return 0;
	}
	struct host_call *call = mem_zalloc(1, sizeof(*call));
	if (!call)
		return ERR_NOMEM;
	call->owner = (struct script_owner){.kind = OWNER_CALL, .host = host};
	call->held_reference = LUA_NOREF;
	list_node_init(&call->spare);
	buffer_init(&call->base_bytes, STATE_BYTES_MAX);
	buffer_init(&call->state, STATE_BYTES_MAX);
	buffer_init(&call->event_data, EVENTS_BYTES_MAX);
	buffer_init(&call->reply, REPLY_BYTES_MAX);
	buffer_init(&call->scratch, STATE_BYTES_MAX);
	buffer_init(&call->details, CALL_DETAILS_BYTES_MAX);
	lua_State *lua = host->lua;
	lua_pushcfunction(lua, make_held);
	lua_pushlightuserdata(lua, call);
	if (lua_pcall(lua, 1, 0, 0) != LUA_OK) {
		lua_pop(lua, 1);
		call_free(call);
		return ERR_NOMEM;
	}
	*ret_call = call;
	return 0;
}

static void call_clear(struct host_call *call)
{
	call->handler = NULL;
	call->base_was_made = call->initial = call->fold_ended = false;
	call->has_base = call->applying = call->closed = false;
	call->saw_time = false;
	call->updated = call->deleted = call->has_state = false;
	call->has_reply = call->has_reply_function = call->is_fault = false;
	call->at = call->emitted_count = 0;
	call->emitted_bytes = 0;
	call->status = STATUS_OK;
	call->message[0] = call->safe[0] = call->traceback[0] = 0;
	call->instructions = call->run_ns = 0;
	call->outcome = (struct host_outcome){0};
	struct buffer *const buffers[] = {&call->base_bytes, &call->state, &call->event_data,
	    &call->reply, &call->scratch, &call->details};
	for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++) {
		buffer_clear(buffers[i]);
		buffer_trim(buffers[i], SPARE_BUFFER_BYTES_MAX);
	}
}

static void begin(struct host_call *call, struct host_component *component)
{
	call_clear(call);
	call->component = component;
	call->owner.bundle = component->bundle;
	host_bundle_keep(component->bundle);
	call->owner.host->begun++;
	call->stage = STAGE_START;
}

/* ---- Begin ---- */

static bool has_role(const struct host_caller *caller, const char *role)
{
	for (size_t i = 0; i < caller->role_count; i++)
		if (slice_equal(caller->roles[i], slice_from_text(role)))
			return true;
	return false;
}

bool host_handler_allows(const struct host_handler *handler, const struct host_caller *caller)
{
	if (!slice_equal(caller->kind, slice_from_text("client")))
		return true;
	if (handler->internal && !has_role(caller, "admin"))
		return false;
	if (handler->role_count == 0)
		return true;
	if (has_role(caller, "*"))
		return true;
	for (size_t i = 0; i < handler->role_count; i++)
		if (has_role(caller, handler->roles[i]))
			return true;
	return false;
}

/* What is refused without running anything. */
static void check_request(struct host_call *call)
{
	const struct host_request *request = &call->request;
	const struct host_handler *handler = call->handler;
	const char *type = call->component->name;
	uint64_t payload_max = call->component->bundle->limits.payload_bytes;
	if (!host_handler_allows(handler, &request->caller))
		call_refuse(call, STATUS_PERMISSION_DENIED, "%s.%s is not for this caller: %s",
		    type, handler->name,
		    handler->internal ? "only other components, timers and admins may call it"
		                      : "none of its roles may call it");
	else if (handler->exists == EXISTS_REQUIRED && !request->entity.exists)
		call_refuse(call, STATUS_NOT_FOUND, "this %s does not exist", type);
	else if (handler->exists == EXISTS_FORBIDDEN && request->entity.exists)
		call_refuse(call, STATUS_ALREADY_EXISTS, "this %s exists already", type);
	else if (request->payload.bytes > payload_max)
		call_refuse(call, STATUS_RESOURCE_EXHAUSTED,
		    "the payload has %zu bytes, at most %llu are allowed", request->payload.bytes,
		    (unsigned long long)payload_max);
}

int host_call_begin(
    struct host *host, const struct host_request *request, struct host_call **ret_call)
{
	ASSERT(request->handler->component == request->component);
	struct host_call *call;
	int error = call_new(host, &call);
	if (error)
		return error;
	begin(call, request->component);
	call->handler = request->handler;
	call->request = *request;
	call->entity = request->entity;
	host->figures.calls++;
	check_request(call);
	*ret_call = call;
	return 0;
}

int host_fold_begin(struct host *host, const struct host_fold *fold, struct host_call **ret_call)
{
	struct host_call *call;
	int error = call_new(host, &call);
	if (error)
		return error;
	begin(call, fold->component);
	call->fold = *fold;
	call->entity = fold->entity;
	host->figures.folds++;
	*ret_call = call;
	return 0;
}

/* ---- Run ---- */

static int start_run(struct host_call *call)
{
	const struct app_limits *limits = &call->component->bundle->limits;
	uint64_t times = call->handler ? 1 : FOLD_CHUNK;
	uint64_t given_bytes = call->entity.state.bytes + call->request.payload.bytes;
	/* A decoded value takes up to about this many times the bytes of its encoding; the
	 * handler's memory comes on top of it. */
	enum { DECODED_BYTES_PER_BYTE = 32 };
	struct sandbox_budget budget = {.instructions = limits->instructions * times,
	    .run_ns = limits->run_ms * UINT64_C(1000000) * times,
	    .bytes = limits->memory_bytes +
	             DECODED_BYTES_PER_BYTE * (call->handler ? given_bytes : STATE_BYTES_MAX)};
	if (!call->handler)
		budget.run_ns *= FOLD_TIME_FACTOR;
	int error = sandbox_run_begin(call->owner.host->sandbox, &budget, &call->run);
	if (error)
		return error;
	call->run.owner = call;
	call->run.uncounted = call->handler && call->handler->straight != STRAIGHT_NOT;
	call->is_running = true;
	call->stage = STAGE_START;
	lua_pushcfunction(call->run.lua, call_main);
	return 0;
}

/* " at cart.lua:12" where the text begins with a place in the app's files; else "". */
static void find_place(const struct host_call *call, const char *message, char *place, size_t bytes)
{
	place[0] = 0;
	const char *colon = strchr(message, ':');
	if (!colon || !bundle_find(&call->component->bundle->files,
	                  slice_of(message, (size_t)(colon - message))))
		return;
	size_t digits = strspn(colon + 1, "0123456789");
	if (digits > 0 && digits < 10 && colon[1 + digits] == ':')
		snprintf(place, bytes, " at %.*s", (int)(colon + 1 + digits - message), message);
}

static void describe_fault(struct host_call *call, const char *message)
{
	char what[2 * NAME_BYTES_MAX + 2];
	snprintf(what, sizeof(what), "%s%s%s", call->component->name, call->handler ? "." : "",
	    call->handler ? call->handler->name : "");
	/* Only what was written here may be shown: an error of the handler's own may hold anything.
	 */
	size_t safe = strlen(call->safe), all = strlen(message);
	if (safe && all >= safe && strcmp(message + all - safe, call->safe) == 0) {
		snprintf(call->message, sizeof(call->message), "%s: %s", what, message);
		return;
	}
	char place[BUNDLE_PATH_BYTES_MAX + 32];
	find_place(call, message, place, sizeof(place));
	/* What a library raises and a table that is raised do not begin with one: the innermost
	 * line of the app's that was running. */
	const char *frame = call->traceback;
	while (!place[0] && (frame = strstr(frame, SANDBOX_FRAME_MARK))) {
		frame += strlen(SANDBOX_FRAME_MARK);
		find_place(call, frame, place, sizeof(place));
	}
	snprintf(call->message, sizeof(call->message), "%s failed%s", what, place);
}

static void take_error(struct host_call *call)
{
	lua_State *lua = call->run.lua;
	const char *message = lua_type(lua, -1) == LUA_TSTRING ? lua_tostring(lua, -1) : "";
	sandbox_run_traceback(&call->run, call->traceback, sizeof(call->traceback));
	describe_fault(call, message);
	call->status = STATUS_INTERNAL;
	call->is_fault = true;
}

static void take_abort(struct host_call *call)
{
	/* ctx:fail has said everything; else it was a budget. */
	if (call->status != STATUS_OK)
		return;
	call->status = call->run.abort_status;
	if (call->status == STATUS_RESOURCE_EXHAUSTED)
		call->owner.host->figures.exhausted++;
	snprintf(call->message, sizeof(call->message), "%s%s%s %s", call->component->name,
	    call->handler ? "." : "", call->handler ? call->handler->name : "",
	    call->run.abort_text);
}

static void end_run(struct host_call *call)
{
	if (!call->is_running)
		return;
	call->instructions += call->run.instructions;
	call->run_ns += call->run.run_ns;
	sandbox_run_end(&call->run);
	call->is_running = false;
}

/* A chunk of a fold becomes the state that the next one begins with. */
static void next_chunk(struct host_call *call)
{
	call->owner.host->figures.events_folded += call->at;
	call->at = 0;
	call->emitted_count = 0;
	if (!call->has_state)
		return;
	struct buffer spare = call->base_bytes;
	call->base_bytes = call->state;
	call->state = spare;
	call->entity.has_state = true;
	call->entity.state = buffer_view(&call->base_bytes);
	call->entity.state_version = call->component->version;
}

static enum host_progress finish(struct host_call *call)
{
	end_run(call);
	call->stage = STAGE_ENDED;
	call_make_outcome(call);
	return HOST_ENDED;
}

enum host_progress host_call_run(struct host_call *call, uint32_t slice_us)
{
	struct host *host = call->owner.host;
	ASSERT(!call->job_taken);
	if (slice_us == 0)
		slice_us = HANDLER_SLICE_US;
	if (call->stage == STAGE_ENDED)
		return finish(call);
	for (;;) {
		if (call->job && !call->job->done)
			host_job_run(call->job);
		if (!call->is_running && start_run(call)) {
			call_refuse(
			    call, STATUS_RESOURCE_EXHAUSTED, "the server ran out of memory");
			return finish(call);
		}
		int results;
		switch (sandbox_run_resume(&call->run, 0, slice_us, &results)) {
		case SANDBOX_RUNNING:
			if (call->job && !call->job->done)
				return HOST_WAITS;
			host->figures.pauses++;
			return HOST_PAUSED;
		case SANDBOX_ENDED:
			call_repeat(call);
			if (call->status != STATUS_OK || call->handler || call->fold_ended)
				return finish(call);
			end_run(call);
			next_chunk(call);
			break;
		case SANDBOX_RAISED:
			take_error(call);
			return finish(call);
		case SANDBOX_ABORTED:
			take_abort(call);
			return finish(call);
		}
	}
}

/* ---- Jobs ---- */

struct host_job *host_call_take_job(struct host_call *call)
{
	struct host_job *job = call->job;
	ASSERT(job && !job->done);
	call->job = NULL;
	call->job_taken = true;
	return job;
}

void host_call_give_job(struct host_call *call, struct host_job *job)
{
	ASSERT(call->job_taken);
	ASSERT(job->done);
	call->job = job;
	call->job_taken = false;
}

const struct host_outcome *host_call_outcome(const struct host_call *call)
{
	ASSERT(call->stage == STAGE_ENDED);
	return &call->outcome;
}

/* ---- End ---- */

/* Nothing here asks for memory, so nothing raises. */
static void let_go(struct host_call *call)
{
	lua_State *lua = call->owner.host->lua;
	for (int what = HELD_STATE; what <= HELD_REPLY; what++) {
		lua_pushnil(lua);
		call_hold(call, lua, (enum call_held)what);
	}
	call->holds = false;
}

void host_call_end(struct host_call *call)
{
	if (!call)
		return;
	struct host *host = call->owner.host;
	end_run(call);
	if (call->holds)
		let_go(call);
	host_job_free(call->job);
	call->job = NULL;
	call->job_taken = false;
	host_bundle_release(call->component->bundle);
	ASSERT(host->begun > 0);
	host->begun--;
	if (host->spare_count >= SPARE_CALLS_MAX) {
		call_free(call);
		return;
	}
	host->spare_count++;
	list_push_back(&host->spare_calls, &call->spare);
}

void call_spares_free(struct host *host)
{
	struct list_node *node;
	while ((node = list_pop_back(&host->spare_calls)) != NULL)
		call_free(CONTAINER_OF(node, struct host_call, spare));
	host->spare_count = 0;
}
