/* What happens inside a call's coroutine. advance() is one loop over stages; each stage that calls
 * Lua names the next one and calls with advance() itself as the continuation, so that a handler
 * that was paused goes on where it was. The stages of folds are in folds.c.
 *
 *   START -> [STEP...] or [INIT] -> STATE_DONE -> HANDLER -> HANDLER_DONE -> [REFOLD...] -> REPLY
 *         -> [REPLY_STATE -> REPLY_DONE] -> ENDED
 *   START -> ... -> STATE_DONE -> FOLD -> [UPCAST...] -> FOLD_DONE -> FOLD ... -> ENDED
 */
#include "base/assert.h"
#include "base/limits.h"
#include "scripting/call.h"
#include "scripting/schema.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <string.h>

void call_refuse(struct host_call *call, enum status status, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(call->message, sizeof(call->message), format, arguments);
	va_end(arguments);
	call->status = status;
	call->stage = STAGE_ENDED;
}

void call_raise(struct host_call *call, lua_State *lua, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(call->safe, sizeof(call->safe), format, arguments);
	va_end(arguments);
	luaL_error(lua, "%s", call->safe);
	__builtin_unreachable();
}

void call_raise_problem(struct host_call *call, lua_State *lua, int error, const char *what,
    const struct value_problem *problem)
{
	char text[128];
	if (error == ERR_INVALID)
		call_raise(call, lua, "%s: %s", what, problem->why);
	if (error == ERR_TOO_LARGE && strcmp(what, "the state") == 0)
		snprintf(text, sizeof(text), "made a state of more than %llu bytes",
		    (unsigned long long)call->component->bundle->limits.state_bytes);
	else if (error == ERR_TOO_LARGE)
		snprintf(text, sizeof(text), "%s is too large", what);
	else
		snprintf(text, sizeof(text), "ran out of memory");
	sandbox_abort(lua, STATUS_RESOURCE_EXHAUSTED, text);
}

void call_push_state(struct host_call *call, lua_State *lua, struct slice bytes)
{
	struct value_problem problem;
	int error = value_push_state(lua, bytes, call->component->state, &problem);
	if (error)
		call_raise_problem(call, lua, error, "the stored state does not fit", &problem);
}

static void push_base(struct host_call *call, lua_State *lua)
{
	if (call->has_base)
		call_push_state(call, lua, call->base);
	else
		lua_pushnil(lua);
}

/* Replaces the value on top by what it is once it was stored: checked, defaults filled in. */
static void normalise_state(struct host_call *call, lua_State *lua)
{
	call->base_was_made = call->base_was_made || !call->initial;
	if (lua_isnil(lua, -1)) {
		call->has_base = false;
		return;
	}
	struct value_problem problem;
	buffer_clear(&call->base_bytes);
	int error = value_write_msgpack(
	    lua, lua_gettop(lua), call->component->state, &call->base_bytes, &problem);
	if (error)
		call_raise_problem(call, lua, error, "the state", &problem);
	lua_pop(lua, 1);
	call->base = buffer_view(&call->base_bytes);
	call->has_base = true;
	push_base(call, lua);
	if (!call->owner.bundle->shadow)
		return;
	/* For the comparison: with the defaults that decoding has filled in. */
	buffer_clear(&call->base_bytes);
	error = value_write_msgpack(
	    lua, lua_gettop(lua), call->component->state, &call->base_bytes, &problem);
	if (error)
		call_raise_problem(call, lua, error, "the state", &problem);
	call->base = buffer_view(&call->base_bytes);
}

static struct slice call_address(const struct host_call *call)
{
	return call->handler ? call->request.address : call->fold.address;
}

static void push_id(struct host_call *call, lua_State *lua)
{
	struct slice address = call_address(call);
	const uint8_t *slash = address.bytes ? memchr(address.data, '/', address.bytes) : NULL;
	size_t skip = slash ? (size_t)(slash - address.data) + 1 : address.bytes;
	lua_pushlstring(lua, (const char *)address.data + skip, address.bytes - skip);
}

/* Pushes the state, or what leads to it, and sets the stage. */
static void begin_state(struct host_call *call, lua_State *lua)
{
	struct host_component *component = call->component;
	call->stage = STAGE_STATE_DONE;
	if (!call->initial && call->entity.has_state) {
		uint32_t version = call->entity.state_version;
		if (version != component->version &&
		    (version > component->version ||
		        steps_cover_up(&component->migrations, version, component->version))) {
			if (!host_component_reads_version(component, version))
				call_raise(call, lua,
				    "the stored state has version %u, this app reads up to %u",
				    version, component->version);
			struct value_problem problem;
			int error =
			    value_push_msgpack(lua, call->entity.state, NULL, false, &problem);
			if (error)
				call_raise_problem(call, lua, error, "the stored state", &problem);
			call->step = version;
			call->stage = STAGE_STEP;
			call->run.pure = true;
			return;
		}
		call->base = call->entity.state;
		call->has_base = true;
		push_base(call, lua);
		return;
	}
	switch (component->init) {
	case INIT_NONE:
		call->has_base = false;
		lua_pushnil(lua);
		return;
	case INIT_BYTES:
		call->base = buffer_view(&component->init_bytes);
		call->has_base = true;
		push_base(call, lua);
		return;
	case INIT_FUNCTION:
		lua_rawgeti(lua, LUA_REGISTRYINDEX, component->init_function);
		push_id(call, lua);
		call->run.pure = true;
		call->stage = STAGE_INIT_DONE;
		return;
	}
}

/* Pushes the function of the next step and its argument, and moves the version on; false where the
 * state has arrived. */
static bool push_step(struct host_call *call, lua_State *lua)
{
	struct host_component *component = call->component;
	bool up = call->step < component->version;
	if (call->step == component->version)
		return false;
	const struct steps *steps = up ? &component->migrations : &component->downgrades;
	lua_rawgeti(lua, LUA_REGISTRYINDEX, steps_at(steps, call->step));
	lua_pushvalue(lua, -2);
	call->step += up ? 1 : UINT32_MAX;
	return true;
}

/* A step changed its argument in place and returned nothing, or returned another value. */
static void take_step(lua_State *lua)
{
	if (lua_isnil(lua, -1))
		lua_pop(lua, 1);
	else
		lua_replace(lua, -2);
}

/* Pushes the input; false where it is refused. */
static bool push_input(struct host_call *call, lua_State *lua)
{
	const struct host_request *request = &call->request;
	struct schema *schema = call->handler->input;
	struct value_problem problem;
	int error;
	if (!request->has_payload && !schema) {
		lua_pushnil(lua);
		return true;
	}
	if (!request->has_payload)
		error = value_push_absent(lua, schema, &problem);
	else if (request->payload_encoding == HOST_JSON)
		error = value_push_json(lua, request->payload, schema, &problem);
	else
		error = value_push_msgpack(lua, request->payload, schema, true, &problem);
	if (error == ERR_INVALID) {
		call_refuse(call, STATUS_INVALID_ARGUMENT, "%s", problem.why);
		return false;
	}
	if (error)
		call_raise_problem(call, lua, error, "the input", &problem);
	return true;
}

static bool shows_views(const struct host_call *call)
{
	return call->owner.host->options.mode == HOST_DEV;
}

/* The state is on top, and in its place; calls the handler. */
static int begin_handler(struct host_call *call, lua_State *lua)
{
	bool is_event_sourced = call->component->kind == HOST_EVENT_SOURCED_ENTITY;
	ASSERT(lua_gettop(lua) == AT_STATE);
	if (!push_input(call, lua))
		return 0;
	lua_pushnil(lua);
	if (is_event_sourced) {
		lua_pushvalue(lua, AT_STATE);
		call_hold(call, lua, HELD_STATE);
	}
	if (shows_views(call) && (is_event_sourced || call->handler->is_query) &&
	    lua_istable(lua, AT_STATE)) {
		value_push_view(lua, AT_STATE, "state");
		lua_replace(lua, AT_STATE);
	}
	call->run.pure = false;
	lua_rawgeti(lua, LUA_REGISTRYINDEX, call->handler->function);
	lua_pushvalue(lua, AT_STATE);
	lua_pushvalue(lua, AT_INPUT);
	lua_pushvalue(lua, AT_CTX);
	call->stage = STAGE_HANDLER_DONE;
	return 3;
}

void call_set_reply(struct host_call *call, lua_State *lua, int position)
{
	struct value_problem problem;
	struct schema *schema = call->handler->output;
	buffer_clear(&call->reply);
	call->has_reply = false;
	call->has_reply_function = false;
	int type = lua_type(lua, position);
	bool is_nothing =
	    type == LUA_TNIL || (type == LUA_TLIGHTUSERDATA && value_is_null(lua, position));
	if (!schema && is_nothing)
		return;
	int error = call->request.reply_encoding == HOST_JSON
	                ? value_write_json(lua, position, schema, &call->reply, &problem)
	                : value_write_msgpack(lua, position, schema, &call->reply, &problem);
	if (error)
		call_raise_problem(call, lua, error,
		    schema ? "the reply does not fit output" : "the reply", &problem);
	call->has_reply = !is_nothing;
}

/* Dev mode: a command changed `state`, and ends without handing it over. */
static void check_forgotten(struct host_call *call, lua_State *lua)
{
	if (!shows_views(call) || call->component->kind != HOST_VALUE_ENTITY ||
	    call->handler->is_query || call->updated || call->deleted ||
	    !lua_istable(lua, AT_STATE))
		return;
	struct value_problem problem;
	buffer_clear(&call->scratch);
	int error =
	    value_write_msgpack(lua, AT_STATE, call->component->state, &call->scratch, &problem);
	bool same = false;
	if (!error && call->has_base) {
		/* What was stored may have been written by another schema: compare what a
		 * fresh decoding gives. */
		buffer_clear(&call->state);
		push_base(call, lua);
		error = value_write_msgpack(
		    lua, lua_gettop(lua), call->component->state, &call->state, &problem);
		lua_pop(lua, 1);
		same =
		    !error && slice_equal(buffer_view(&call->scratch), buffer_view(&call->state));
		buffer_clear(&call->state);
	}
	if (!same)
		call_raise(call, lua,
		    "the command changed `state` and ended without ctx:update(state): the change "
		    "would be forgotten");
}

static void end_handler(struct host_call *call, lua_State *lua)
{
	if (call->applying)
		call_raise(
		    call, lua, "an event's handler failed, and the command went on regardless");
	call->closed = true;
	bool is_ctx = lua_touserdata(lua, -1) && lua_rawequal(lua, -1, AT_CTX);
	if (!lua_isnil(lua, -1) && !is_ctx)
		call_set_reply(call, lua, lua_gettop(lua));
	lua_settop(lua, AT_FOLDED);
	check_forgotten(call, lua);
	call->stage = STAGE_REPLY;
	if (call->emitted_count) {
		push_base(call, lua);
		lua_replace(lua, AT_FOLDED);
		call->at = 0;
		call->run.pure = true;
		call->stage = STAGE_REFOLD;
	}
}

/* Pushes the state that this commit leaves, for a function given to ctx:reply; or what leads to
 * it. */
static void begin_reply(struct host_call *call, lua_State *lua)
{
	if (!call->has_reply_function) {
		if (!call->has_reply && call->handler->output) {
			lua_pushnil(lua);
			call_set_reply(call, lua, lua_gettop(lua));
		}
		call->stage = STAGE_ENDED;
		return;
	}
	call->stage = call->after_state = STAGE_REPLY_STATE;
	if (call->deleted) {
		call->initial = true;
		begin_state(call, lua);
	} else if (call->updated) {
		call_push_state(call, lua, buffer_view(&call->state));
	} else if (call->emitted_count) {
		lua_pushvalue(lua, AT_FOLDED);
	} else {
		push_base(call, lua);
	}
}

static int push_reply_call(struct host_call *call, lua_State *lua)
{
	call->run.pure = false;
	int state = lua_gettop(lua);
	call_push_held(call, lua, HELD_REPLY);
	if (shows_views(call) && lua_istable(lua, state))
		value_push_view(lua, state, "state");
	else
		lua_pushvalue(lua, state);
	call->stage = STAGE_REPLY_DONE;
	return 1;
}

/* ---- The loop ---- */

static void start(struct host_call *call, lua_State *lua)
{
	ASSERT(lua_gettop(lua) == 0);
	ctx_push(call, lua);
	call->after_state = call->handler ? STAGE_HANDLER : STAGE_FOLD;
	/* What comes next on the stack is the state, or becomes it. */
	if (!call->handler)
		lua_settop(lua, AT_FOLDED - 1);
	begin_state(call, lua);
	if (!call->handler)
		call->run.pure = true;
}

/* One stage that calls nothing, or pushes a function: then says with how many arguments (else -1).
 */
static int do_stage(struct host_call *call, lua_State *lua)
{
	switch (call->stage) {
	case STAGE_START:
		start(call, lua);
		if (call->stage != STAGE_STATE_DONE)
			return call->stage == STAGE_INIT_DONE ? 1 : -1;
		__attribute__((fallthrough));
	case STAGE_STATE_DONE:
		call->stage = call->after_state;
		if (call->stage != STAGE_HANDLER)
			return -1;
		__attribute__((fallthrough));
	case STAGE_HANDLER:
		return begin_handler(call, lua) ? 3 : -1;
	case STAGE_HANDLER_DONE:
		end_handler(call, lua);
		return -1;
	case STAGE_STEP:
		if (push_step(call, lua)) {
			call->stage = STAGE_STEP_DONE;
			return 1;
		}
		normalise_state(call, lua);
		call->stage = STAGE_STATE_DONE;
		return -1;
	case STAGE_STEP_DONE:
		take_step(lua);
		call->stage = STAGE_STEP;
		return -1;
	case STAGE_INIT_DONE:
		normalise_state(call, lua);
		call->stage = STAGE_STATE_DONE;
		return -1;
	case STAGE_REFOLD: {
		int arguments = fold_push_emitted(call, lua);
		return arguments ? arguments : -1;
	}
	case STAGE_REFOLD_DONE:
		call_take_state(call, lua, call->emitted[call->at++].type, AT_FOLDED);
		call->stage = STAGE_REFOLD;
		return -1;
	case STAGE_REPLY:
		begin_reply(call, lua);
		return call->stage == STAGE_INIT_DONE ? 1 : -1;
	case STAGE_REPLY_STATE:
		return push_reply_call(call, lua);
	case STAGE_REPLY_DONE:
		call_set_reply(call, lua, lua_gettop(lua));
		call->stage = STAGE_ENDED;
		return -1;
	case STAGE_FOLD:
		if (!fold_push_stored(call, lua))
			fold_end_chunk(call, lua);
		return -1;
	case STAGE_UPCAST:
		if (call->step == call->event->version)
			return fold_push_stored_call(call, lua);
		lua_rawgeti(lua, LUA_REGISTRYINDEX, steps_at(&call->event->upcasts, call->step));
		lua_pushvalue(lua, -2);
		call->step++;
		call->stage = STAGE_UPCAST_DONE;
		return 1;
	case STAGE_UPCAST_DONE:
		take_step(lua);
		call->stage = STAGE_UPCAST;
		return -1;
	case STAGE_FOLD_DONE:
		call_take_state(call, lua, call->event, AT_FOLDED);
		call->at++;
		call->stage = STAGE_FOLD;
		return -1;
	case STAGE_ENDED:
		return -1;
	}
	UNREACHABLE();
	return -1;
}

/* Whether the function that is about to be called may go uncounted. */
static bool is_straight(const struct host_call *call, lua_State *lua, int arguments)
{
	return call->stage == STAGE_HANDLER_DONE &&
	       straight_still(lua, lua_gettop(lua) - arguments, call->handler->straight);
}

static int advance(lua_State *lua, int status, lua_KContext context)
{
	struct host_call *call = (struct host_call *)context;
	(void)status;
	while (call->stage != STAGE_ENDED) {
		int arguments = do_stage(call, lua);
		if (arguments < 0)
			continue;
		if (call->run.uncounted && !is_straight(call, lua, arguments))
			sandbox_count(&call->run);
		lua_callk(lua, arguments, 1, context, advance);
	}
	return 0;
}

int call_main(lua_State *lua)
{
	struct host_call *call = (struct host_call *)script_owner(lua);
	ASSERT(call && call->owner.kind == OWNER_CALL);
	return advance(lua, LUA_OK, (lua_KContext)call);
}
