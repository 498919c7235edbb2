/* ctx: what a handler knows about its call, and what it may do. A ctx works inside the run of its
 * own call only: one that a handler kept somewhere is refused. kalix.null is the other light
 * userdata that scripts have, and all of them share one metatable.
 */
#include "base/assert.h"
#include "base/limits.h"
#include "base/wire/address.h"
#include "base/wire/utf8.h"
#include "scripting/call.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* No address of a process has this bit. */
#define CTX_BIT (UINT64_C(1) << 63)

enum ctx_field {
	FIELD_ID = 1,
	FIELD_TYPE,
	FIELD_ADDRESS,
	FIELD_COMMAND,
	FIELD_NOW,
	FIELD_EXISTS,
	FIELD_REVISION,
	FIELD_CALLER,
	FIELD_METADATA
};

static const char *const field_names[] = {
    "id", "type", "address", "command", "now", "exists", "revision", "caller", "metadata"};

/* Methods of the public contract that this version does not have. */
static const char *const later_names[] = {"expire", "forward", "send", "publish", "timer",
    "cancel_timer", "next", "pause", "finish", "call", "pcall", "call_all", "query", "transaction"};

void ctx_push(struct host_call *call, struct lua_State *lua)
{
	call->ctx = ++call->owner.host->ctx_last | CTX_BIT;
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): it is none */
	lua_pushlightuserdata(lua, (void *)(uintptr_t)call->ctx);
}

/* 0: none. */
static inline uint64_t ctx_at(lua_State *lua, int position)
{
	if (lua_type(lua, position) != LUA_TLIGHTUSERDATA)
		return 0;
	return (uint64_t)(uintptr_t)lua_touserdata(lua, position);
}

/* The call whose handler runs and whose ctx stands first; raises else. */
static struct host_call *ctx_call(lua_State *lua, const char *what)
{
	struct sandbox_run *run = sandbox_current(lua);
	uint64_t ctx = ctx_at(lua, 1);
	if (!ctx) {
		luaL_error(lua, "call it with a colon: ctx:%s(...)", what);
		__builtin_unreachable();
	}
	/* Whatever a handler without ctx was left, it gets the same error on every replay. */
	if (run && run->pure) {
		luaL_error(lua,
		    "an event's handler has no ctx: it must give the same state on every "
		    "replay");
		__builtin_unreachable();
	}
	struct host_call *call = (struct host_call *)script_owner(lua);
	if (!call || call->owner.kind != OWNER_CALL || call->ctx != ctx) {
		luaL_error(lua, "this ctx belongs to a call that has ended, or to another call: a "
		                "handler keeps nothing between calls");
		__builtin_unreachable();
	}
	return call;
}

/* The same for methods: not after the handler's end. */
static struct host_call *ctx_effect(lua_State *lua, const char *what)
{
	struct host_call *call = ctx_call(lua, what);
	if (call->closed)
		call_raise(call, lua, "ctx:%s comes too late: the handler has ended", what);
	return call;
}

static void require_command(lua_State *lua, struct host_call *call, const char *what)
{
	if (call->handler->is_query)
		call_raise(call, lua,
		    "ctx:%s: %s is a query, which changes nothing; make it a command", what,
		    call->handler->name);
}

static int ctx_reply(lua_State *lua)
{
	struct host_call *call = ctx_effect(lua, "reply");
	if (lua_isfunction(lua, 2)) {
		lua_pushvalue(lua, 2);
		call_hold(call, lua, HELD_REPLY);
		call->has_reply = false;
		call->has_reply_function = true;
	} else {
		lua_settop(lua, 2);
		call_set_reply(call, lua, 2);
	}
	lua_settop(lua, 1);
	return 1;
}

/* Details as compact JSON. False: they can't be written; `why` says it. */
static bool set_details(
    struct host_call *call, lua_State *lua, int position, char *why, size_t why_bytes)
{
	buffer_clear(&call->details);
	if (lua_isnoneornil(lua, position))
		return true;
	struct value_problem problem;
	int error = value_write_json(lua, position, NULL, &call->details, &problem);
	if (!error)
		return true;
	buffer_clear(&call->details);
	if (error == ERR_INVALID)
		snprintf(why, why_bytes, "ctx:fail: details: %s", problem.why);
	else
		snprintf(why, why_bytes, "ctx:fail: details have more than %d bytes",
		    CALL_DETAILS_BYTES_MAX);
	return false;
}

static int ctx_fail(lua_State *lua)
{
	struct host_call *call = ctx_effect(lua, "fail");
	size_t bytes = 0, code_bytes = 0;
	char why[CALL_MESSAGE_BYTES_MAX];
	const char *code =
	    lua_type(lua, 2) == LUA_TSTRING ? lua_tolstring(lua, 2, &code_bytes) : "";
	const char *text = lua_isstring(lua, 3) ? lua_tolstring(lua, 3, &bytes) : "";
	/* It ends the call whatever it was given: an error here could be caught, and what the
	 * handler wanted to refuse would be done. */
	if (!set_details(call, lua, 4, why, sizeof(why))) {
		code_bytes = 0;
		text = why;
		bytes = strlen(why);
	}
	enum status status;
	if (status_find(slice_of(code, code_bytes), &status) || !status_by_handlers(status)) {
		status = STATUS_INTERNAL;
		call->is_fault = true;
		luaL_traceback(lua, lua, text, 1);
		snprintf(call->traceback, sizeof(call->traceback), "%s", lua_tostring(lua, -1));
	}
	size_t cut = utf8_cut(slice_of(text, bytes), CALL_MESSAGE_BYTES_MAX);
	memcpy(call->message, text, cut);
	call->message[cut] = 0;
	if (cut == 0)
		snprintf(
		    call->message, sizeof(call->message), "%s refused this", call->handler->name);
	call->status = status;
	sandbox_abort(lua, status, "ctx:fail");
}

static int ctx_update(lua_State *lua)
{
	struct host_call *call = ctx_effect(lua, "update");
	struct host_component *component = call->component;
	require_command(lua, call, "update");
	if (component->kind != HOST_VALUE_ENTITY)
		call_raise(call, lua,
		    "ctx:update: %s is event-sourced, its state changes by events: ctx:emit(name, "
		    "event)",
		    component->name);
	if (lua_isnoneornil(lua, 2))
		call_raise(call, lua,
		    "ctx:update(state) needs the state; ctx:delete() removes the entity");
	if (lua_gettop(lua) != 2)
		lua_settop(lua, 2);
	/* Into the spare buffer, so that an earlier update stays where this one is refused. */
	struct value_problem problem;
	buffer_clear(&call->scratch);
	int error = value_write_msgpack(lua, 2, component->state, &call->scratch, &problem);
	uint64_t bytes_max = component_state_bytes_max(component);
	if (!error && buffer_bytes(&call->scratch) > bytes_max) {
		if (bytes_max < component->bundle->limits.state_bytes)
			sandbox_abort(lua, STATUS_RESOURCE_EXHAUSTED,
			    "made a state of more than 5.8 MiB, which is too large for a type with "
			    "history: each change stores it twice");
		error = ERR_TOO_LARGE;
	}
	if (error)
		call_raise_problem(call, lua, error, "the state", &problem);
	struct buffer spare = call->state;
	call->state = call->scratch;
	call->scratch = spare;
	call->updated = true;
	call->has_state = true;
	call->deleted = false;
	lua_pushvalue(lua, 1);
	return 1;
}

static struct event_type *find_event(struct host_call *call, lua_State *lua)
{
	struct host_component *component = call->component;
	size_t bytes = 0;
	const char *name = lua_type(lua, 2) == LUA_TSTRING ? lua_tolstring(lua, 2, &bytes) : NULL;
	if (!name)
		call_raise(call, lua, "ctx:emit(name, event): the name is a %s, expected a string",
		    luaL_typename(lua, 2));
	struct event_type *type = component_event(component, slice_of(name, bytes));
	if (type)
		return type;
	struct slice *known =
	    lua_newuserdatauv(lua, (component->event_count + 1) * sizeof(*known), 0);
	for (size_t i = 0; i < component->event_count; i++)
		known[i] = slice_from_text(component->events[i].name);
	char suggestion[NAME_BYTES_MAX + 32];
	suggest(
	    slice_of(name, bytes), known, component->event_count, suggestion, sizeof(suggestion));
	/* A name that is none may be anybody's text. */
	call_raise(call, lua, "ctx:emit: %s has no event '%s'%s", component->name,
	    name_valid(slice_of(name, bytes)) ? name : "?", suggestion);
}

/* The event at position 3, encoded and counted. */
static struct call_event *record_event(
    struct host_call *call, lua_State *lua, struct event_type *type)
{
	size_t offset = call_events_end(call);
	buffer_truncate(&call->event_data, offset);
	struct value_problem problem;
	char what[NAME_BYTES_MAX + 16];
	snprintf(what, sizeof(what), "event %s", type->name);
	int error = value_write_msgpack(lua, 3, type->schema, &call->event_data, &problem);
	if (error)
		call_raise_problem(call, lua, error, what, &problem);
	size_t bytes = buffer_bytes(&call->event_data) - offset;
	uint64_t counted = bytes + strlen(type->name) + EVENT_OVERHEAD_BYTES;
	if (call->emitted_bytes + counted > EVENTS_BYTES_MAX)
		sandbox_abort(lua, STATUS_RESOURCE_EXHAUSTED, "emitted more than 1 MiB of events");
	struct call_event *event = call_add_event(call, lua);
	*event = (struct call_event){.type = type,
	    .version = type->version,
	    .at_ms = call->request.now_ms,
	    .revision = call->entity.revision + call->emitted_count + 1,
	    .offset = offset,
	    .bytes = bytes};
	call->emitted_bytes += counted;
	call->emitted_count++;
	return event;
}

/* The state's table keeps its identity, so that `state` of the command shows what replaced it. */
static void replace_content(lua_State *lua, int to, int from)
{
	value_settle(lua, to);
	lua_pushnil(lua);
	while (lua_next(lua, to)) {
		lua_pop(lua, 1);
		lua_pushvalue(lua, -1);
		lua_pushnil(lua);
		lua_rawset(lua, to);
	}
	lua_pushnil(lua);
	while (lua_next(lua, from)) {
		lua_pushvalue(lua, -2);
		lua_insert(lua, -2);
		lua_rawset(lua, to);
	}
	if (!lua_getmetatable(lua, from))
		lua_pushnil(lua);
	lua_setmetatable(lua, to);
}

/* The event's handler returned: stack is ctx, name, event, the state, what it returned. */
static int emit_done(lua_State *lua, int status, lua_KContext context)
{
	(void)status;
	struct host_call *call = (struct host_call *)context;
	enum { STATE = 4, RETURNED };
	struct event_type *type = call->emitted[call->emitted_count - 1].type;
	struct value_problem problem;
	int error;
	if (lua_isnil(lua, RETURNED) || lua_rawequal(lua, RETURNED, STATE)) {
		/* It changed the state in place. */
	} else if (lua_istable(lua, STATE) && lua_istable(lua, RETURNED)) {
		/* What was returned may hold the old state or parts of it. */
		error = value_copy(lua, RETURNED, &problem);
		if (error)
			call_raise_problem(call, lua, error, "the state", &problem);
		replace_content(lua, STATE, lua_gettop(lua));
	} else {
		lua_settop(lua, RETURNED);
		call_take_state(call, lua, type, STATE);
		lua_pushvalue(lua, STATE);
		call_hold(call, lua, HELD_STATE);
	}
	error = value_make_stored(lua, STATE, call->component->state, &call->scratch, &problem);
	if (error)
		call_raise_problem(
		    call, lua, error, "the state that the events make does not fit", &problem);
	call->applying = false;
	call->run.pure = false;
	lua_settop(lua, 1);
	return 1;
}

static int ctx_emit(lua_State *lua)
{
	struct host_call *call = ctx_effect(lua, "emit");
	require_command(lua, call, "emit");
	if (call->component->kind != HOST_EVENT_SOURCED_ENTITY)
		call_raise(call, lua,
		    "ctx:emit: %s is a value entity, it has no events: ctx:update(state)",
		    call->component->name);
	if (call->deleted)
		call_raise(call, lua, "ctx:emit comes after ctx:delete: emit first");
	lua_settop(lua, 3);
	struct event_type *type = find_event(call, lua);
	if (lua_isnil(lua, 3)) {
		lua_newtable(lua);
		lua_replace(lua, 3);
	}
	struct call_event *emitted = record_event(call, lua, type);
	struct host_event event = {.name = slice_from_text(type->name),
	    .version = type->version,
	    .at_ms = emitted->at_ms,
	    .revision = emitted->revision,
	    .data =
	        slice_of(buffer_view(&call->event_data).data + emitted->offset, emitted->bytes)};
	call_push_held(call, lua, HELD_STATE);
	call->applying = true;
	int arguments = call_push_event(call, lua, 4, type, &event);
	call->run.pure = true;
	sandbox_count(&call->run);
	lua_callk(lua, arguments, 1, (lua_KContext)call, emit_done);
	return emit_done(lua, LUA_OK, (lua_KContext)call);
}

static int ctx_delete(lua_State *lua)
{
	struct host_call *call = ctx_effect(lua, "delete");
	require_command(lua, call, "delete");
	call->deleted = true;
	call->updated = false;
	lua_settop(lua, 1);
	return 1;
}

bool ctx_is_later(struct slice name)
{
	for (size_t i = 0; i < COUNT_OF(later_names); i++)
		if (slice_equal(name, slice_from_text(later_names[i])))
			return true;
	return false;
}

static int ctx_later(lua_State *lua)
{
	const char *name = lua_tostring(lua, lua_upvalueindex(1));
	struct host_call *call = ctx_effect(lua, name);
	call_raise(call, lua, "ctx:%s is not in this version of Kalix yet", name);
}

static void push_slice(lua_State *lua, struct slice slice)
{
	lua_pushlstring(lua, (const char *)slice.data, slice.bytes);
}

static void push_caller(lua_State *lua, const struct host_caller *caller)
{
	lua_createtable(lua, 0, 3);
	push_slice(lua, caller->kind);
	lua_setfield(lua, -2, "kind");
	push_slice(lua, caller->name);
	lua_setfield(lua, -2, "name");
	lua_createtable(lua, (int)caller->role_count, 0);
	for (size_t i = 0; i < caller->role_count; i++) {
		push_slice(lua, caller->roles[i]);
		lua_rawseti(lua, -2, (lua_Integer)i + 1);
	}
	value_mark_list(lua, lua_gettop(lua));
	lua_setfield(lua, -2, "roles");
}

static void push_metadata(struct host_call *call, lua_State *lua)
{
	struct value_problem problem;
	struct slice metadata = call->request.metadata;
	if (metadata.bytes == 0) {
		lua_newtable(lua);
		return;
	}
	int error = value_push_msgpack(lua, metadata, NULL, false, &problem);
	if (error)
		call_raise_problem(call, lua, error, "ctx.metadata", &problem);
}

static void push_field(struct host_call *call, lua_State *lua, enum ctx_field field)
{
	const struct host_request *request = &call->request;
	switch (field) {
	case FIELD_ID: {
		size_t skip = strlen(call->component->name) + 1;
		ASSERT(request->address.bytes >= skip);
		push_slice(
		    lua, slice_of(request->address.data + skip, request->address.bytes - skip));
		return;
	}
	case FIELD_TYPE:
		lua_pushstring(lua, call->component->name);
		return;
	case FIELD_ADDRESS:
		push_slice(lua, request->address);
		return;
	case FIELD_COMMAND:
		lua_pushstring(lua, call->handler->name);
		return;
	case FIELD_NOW:
		call->saw_time = true;
		lua_pushinteger(lua, request->now_ms);
		return;
	case FIELD_EXISTS:
		lua_pushboolean(lua, request->entity.exists);
		return;
	case FIELD_REVISION:
		lua_pushinteger(lua, (lua_Integer)request->entity.revision);
		return;
	case FIELD_CALLER:
		push_caller(lua, &request->caller);
		return;
	case FIELD_METADATA:
		push_metadata(call, lua);
		return;
	}
}

/* What ctx offers by name, for "did you mean". */
static const char *const method_names[] = {"reply", "fail", "update", "emit", "delete"};

static int refuse_key(lua_State *lua, struct host_call *call)
{
	if (lua_type(lua, 2) != LUA_TSTRING)
		return luaL_error(lua, "ctx has no field that is a %s", luaL_typename(lua, 2));
	struct slice known[COUNT_OF(field_names) + COUNT_OF(method_names)];
	size_t count = 0;
	for (size_t i = 0; i < COUNT_OF(field_names); i++)
		known[count++] = slice_from_text(field_names[i]);
	for (size_t i = 0; i < COUNT_OF(method_names); i++)
		known[count++] = slice_from_text(method_names[i]);
	size_t bytes;
	const char *key = lua_tolstring(lua, 2, &bytes);
	char suggestion[NAME_BYTES_MAX + 32];
	suggest(slice_of(key, bytes), known, count, suggestion, sizeof(suggestion));
	call_raise(call, lua, "ctx has no '%s'%s", name_valid(slice_of(key, bytes)) ? key : "?",
	    suggestion);
}

/* Upvalue: name -> method, or number of a field. */
static int ctx_index(lua_State *lua)
{
	if (!ctx_at(lua, 1))
		return luaL_error(lua, "attempt to index kalix.null");
	lua_pushvalue(lua, 2);
	int type = lua_rawget(lua, lua_upvalueindex(1));
	if (type == LUA_TFUNCTION)
		return 1;
	struct host_call *call = ctx_call(lua, "field");
	if (type != LUA_TNUMBER)
		return refuse_key(lua, call);
	push_field(call, lua, (enum ctx_field)lua_tointeger(lua, -1));
	return 1;
}

static int ctx_newindex(lua_State *lua)
{
	return luaL_error(lua, "%s can't be assigned to", ctx_at(lua, 1) ? "ctx" : "kalix.null");
}

static int ctx_text(lua_State *lua)
{
	lua_pushstring(lua, ctx_at(lua, 1) ? "ctx" : "null");
	return 1;
}

void ctx_open(lua_State *lua)
{
	value_push_null(lua);
	if (!lua_getmetatable(lua, -1))
		lua_newtable(lua);
	lua_newtable(lua);
	static const luaL_Reg methods[] = {{"reply", ctx_reply}, {"fail", ctx_fail},
	    {"update", ctx_update}, {"emit", ctx_emit}, {"delete", ctx_delete}, {NULL, NULL}};
	luaL_setfuncs(lua, methods, 0);
	for (size_t i = 0; i < COUNT_OF(field_names); i++) {
		lua_pushinteger(lua, (lua_Integer)i + FIELD_ID);
		lua_setfield(lua, -2, field_names[i]);
	}
	for (size_t i = 0; i < COUNT_OF(later_names); i++) {
		lua_pushstring(lua, later_names[i]);
		lua_pushcclosure(lua, ctx_later, 1);
		lua_setfield(lua, -2, later_names[i]);
	}
	lua_pushcclosure(lua, ctx_index, 1);
	lua_setfield(lua, -2, "__index");
	lua_pushcfunction(lua, ctx_newindex);
	lua_setfield(lua, -2, "__newindex");
	lua_pushcfunction(lua, ctx_text);
	lua_setfield(lua, -2, "__tostring");
	lua_pushboolean(lua, false);
	lua_setfield(lua, -2, "__metatable");
	/* What an error of the library calls either of them. */
	lua_pushliteral(lua, "null or ctx");
	lua_setfield(lua, -2, "__name");
	lua_setmetatable(lua, -2);
	lua_pop(lua, 1);
}
