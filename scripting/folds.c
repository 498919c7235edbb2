/* Events over a state: those that a command emitted, and those that were stored.
 *
 * Why events are folded twice. ctx:emit applies its event to the state that the handler sees, which
 * is an ordinary table in production: a handler that changed it by mistake would make a state that
 * no replay makes. So when the handler has ended, its events are folded over the state that the
 * call began with, and that is what is kept.
 */
#include "base/assert.h"
#include "base/mutation.h"
#include "scripting/call.h"

#include <lua.h>
#include <lauxlib.h>
#include <stdio.h>

static void push_meta(lua_State *lua, const struct event_type *type, const struct host_event *event)
{
	lua_createtable(lua, 0, 3);
	lua_pushinteger(lua, event->at_ms);
	lua_setfield(lua, -2, "at");
	lua_pushinteger(lua, (lua_Integer)event->revision);
	lua_setfield(lua, -2, "revision");
	lua_pushstring(lua, type->name);
	lua_setfield(lua, -2, "name");
}

static void raise_event_problem(struct host_call *call, lua_State *lua, int error,
    const struct event_type *type, const struct value_problem *problem)
{
	char what[128];
	snprintf(what, sizeof(what), "event %s", type->name);
	call_raise_problem(call, lua, error, what, problem);
}

int call_push_event(struct host_call *call, lua_State *lua, int state,
    const struct event_type *type, const struct host_event *event)
{
	struct value_problem problem;
	lua_rawgeti(lua, LUA_REGISTRYINDEX, type->function);
	lua_pushvalue(lua, state);
	int error = value_push_msgpack(lua, event->data, type->schema, false, &problem);
	if (error)
		raise_event_problem(call, lua, error, type, &problem);
	if (!type->takes_meta)
		return 2;
	push_meta(lua, type, event);
	return 3;
}

void call_take_state(
    struct host_call *call, lua_State *lua, const struct event_type *type, int state)
{
	if (lua_isnil(lua, -1)) {
		lua_pop(lua, 1);
		return;
	}
	if (!lua_istable(lua, -1))
		call_raise(call, lua,
		    "the handler of event %s returned a %s: it changes `state` in place, or "
		    "returns a "
		    "table that replaces it",
		    type->name, luaL_typename(lua, -1));
	lua_replace(lua, state);
}

/* Encodes the folded state. */
static void keep_folded(struct host_call *call, lua_State *lua)
{
	struct value_problem problem;
	buffer_clear(&call->state);
	call->has_state = !lua_isnil(lua, AT_FOLDED);
	if (!call->has_state)
		return;
	int error =
	    value_write_msgpack(lua, AT_FOLDED, call->component->state, &call->state, &problem);
	if (error)
		call_raise_problem(
		    call, lua, error, "the state that the events make does not fit", &problem);
	uint64_t bytes_max = call->component->bundle->limits.state_bytes;
	if (call->handler && buffer_bytes(&call->state) > bytes_max)
		call_raise_problem(call, lua, ERR_TOO_LARGE, "the state", &problem);
}

/* Makes the folded state what it is once it was stored. Where one fold ends and the next begins
 * depends on who folds (a command, or a replay of any number of events), so each event has to meet
 * what it would meet alone: defaults filled in, no table at two places, none with a metatable. */
static void settle_folded(struct host_call *call, lua_State *lua)
{
	keep_folded(call, lua);
	if (!call->has_state)
		return;
	call_push_state(call, lua, buffer_view(&call->state));
	lua_replace(lua, AT_FOLDED);
}

/* The next emitted event's handler and arguments; 0 where there is none. */
int fold_push_emitted(struct host_call *call, lua_State *lua)
{
	if (call->at == call->emitted_count) {
		keep_folded(call, lua);
		call->run.pure = false;
		call->stage = STAGE_REPLY;
		return 0;
	}
	if (call->at > 0)
		settle_folded(call, lua);
	struct host_event event = call_emitted(call, call->at);
	call->stage = STAGE_REFOLD_DONE;
	return call_push_event(call, lua, AT_FOLDED, call->emitted[call->at].type, &event);
}

/* The next stored event: pushes its data as the version it was stored in, or as it is now. False at
 * the end of the events, or of this chunk. */
bool fold_push_stored(struct host_call *call, lua_State *lua)
{
	if (call->at == FOLD_CHUNK)
		return false;
	/* Breaks: each event is folded once. */
	bool again = call->at == 1 && MUTATION(script_event_folded_twice);
	if (!again && (!call->fold.next || !call->fold.next(call->fold.arg, &call->stored))) {
		call->fold_ended = true;
		return false;
	}
	struct event_type *type = component_event(call->component, call->stored.name);
	if (!type)
		call_raise(call, lua, "a stored event of revision %llu has no handler in this app",
		    (unsigned long long)call->stored.revision);
	if (call->stored.version > type->version)
		call_raise(call, lua, "event %s is stored in version %u, this app knows up to %u",
		    type->name, call->stored.version, type->version);
	if (call->at > 0)
		settle_folded(call, lua);
	bool has_steps = call->stored.version < type->version &&
	                 steps_cover_up(&type->upcasts, call->stored.version, type->version);
	struct value_problem problem;
	int error = value_push_msgpack(
	    lua, call->stored.data, has_steps ? NULL : type->schema, false, &problem);
	if (error)
		raise_event_problem(call, lua, error, type, &problem);
	call->event = type;
	call->step = has_steps ? call->stored.version : type->version;
	call->stage = STAGE_UPCAST;
	return true;
}

/* The event on top is in its own version: it goes between its handler and what else that takes. */
int fold_push_stored_call(struct host_call *call, lua_State *lua)
{
	const struct event_type *type = call->event;
	if (call->stored.version != type->version && type->upcasts.count) {
		struct value_problem problem;
		buffer_clear(&call->scratch);
		int error = value_write_msgpack(
		    lua, lua_gettop(lua), type->schema, &call->scratch, &problem);
		if (!error) {
			lua_pop(lua, 1);
			error = value_push_msgpack(
			    lua, buffer_view(&call->scratch), type->schema, false, &problem);
		}
		if (error)
			raise_event_problem(call, lua, error, type, &problem);
	}
	if (call->owner.bundle->shadow)
		call_record_stored(call, lua);
	lua_rawgeti(lua, LUA_REGISTRYINDEX, type->function);
	lua_insert(lua, -2);
	lua_pushvalue(lua, AT_FOLDED);
	lua_insert(lua, -2);
	call->stage = STAGE_FOLD_DONE;
	if (!type->takes_meta)
		return 2;
	push_meta(lua, type, &call->stored);
	return 3;
}

void fold_end_chunk(struct host_call *call, lua_State *lua)
{
	keep_folded(call, lua);
	call->stage = STAGE_ENDED;
}
