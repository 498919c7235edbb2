/* test.entity: one entity, what it was, and what a command does to it. */
#include "scripting/test/world_lua.h"

#include "base/limits.h"
#include "base/wire/address.h"
#include "scripting/value.h"

#include <lauxlib.h>
#include <lua.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

enum { EVENTS_MAX = 10000 };

static const char entity_type[] = "kalix.test entity";

static struct slice text_at(lua_State *lua, int position)
{
	size_t bytes;
	const char *text = lua_tolstring(lua, position, &bytes);
	return slice_of(text, bytes);
}

static struct slice address_of(const struct world_handle *handle)
{
	return slice_of(handle->address, handle->address_bytes);
}

/* ---- test.entity(address, options) ---- */

static struct host_component *find_component(
    lua_State *lua, struct app_test *test, struct slice text)
{
	struct address address;
	const char *why;
	if (address_parse(text, &address, &why))
		luaL_error(lua, "test.entity: %s", why);
	struct host_bundle *bundle = test->owner.bundle;
	struct host_component *component = host_component(bundle, address.type);
	if (component)
		return component;
	struct slice *names =
	    lua_newuserdatauv(lua, (bundle->component_count + 1) * sizeof(*names), 0);
	for (size_t i = 0; i < bundle->component_count; i++)
		names[i] = host_component_name(bundle->components[i]);
	char suggestion[NAME_BYTES_MAX + 32];
	suggest(address.type, names, bundle->component_count, suggestion, sizeof(suggestion));
	lua_pushlstring(lua, (const char *)address.type.data, address.type.bytes);
	luaL_error(
	    lua, "test.entity: the app has no component '%s'%s", lua_tostring(lua, -1), suggestion);
	return NULL;
}

static int new_entity(lua_State *lua)
{
	struct app_test *test = test_current(lua);
	if (lua_type(lua, 1) != LUA_TSTRING)
		return luaL_error(lua,
		    "test.entity: the address is a text like \"cart/c1\", not %s",
		    test_what(lua, 1));
	if (lua_gettop(lua) > 2)
		return luaL_error(lua, "test.entity takes an address and a table of options");
	lua_settop(lua, 2);
	struct slice address = text_at(lua, 1);
	struct host_component *component = find_component(lua, test, address);
	struct world_handle *handle = world_push(lua, test, entity_type, "test.entity", address, 2);
	handle->component = component;
	return 1;
}

/* ---- given ---- */

struct giving {
	lua_State *lua;
	struct app_test *test;
	struct host_component *component;
};

/* A member that is an integer from 1 on; `otherwise` where it is absent. */
static int64_t number_member(
    lua_State *lua, int table, const char *what, const char *name, int64_t most, int64_t otherwise)
{
	int is_integer = 1;
	int64_t number = otherwise;
	lua_pushstring(lua, name);
	if (lua_rawget(lua, table) != LUA_TNIL)
		number = lua_tointegerx(lua, -1, &is_integer);
	if (!is_integer || number < 1 || number > most)
		luaL_error(lua, "%s: %s is an integer from 1 to %I", what, name, (LUAI_UACINT)most);
	lua_pop(lua, 1);
	return number;
}

static struct event_type *event_type_at(struct giving *giving, int position, int number)
{
	lua_State *lua = giving->lua;
	if (lua_type(lua, position) != LUA_TSTRING)
		luaL_error(lua, "given: event %d begins with its name, a text, not with %s", number,
		    test_what(lua, position));
	struct event_type *type = component_event(giving->component, text_at(lua, position));
	if (type)
		return type;
	struct slice *names =
	    lua_newuserdatauv(lua, (giving->component->event_count + 1) * sizeof(*names), 0);
	for (size_t i = 0; i < giving->component->event_count; i++)
		names[i] = slice_from_text(giving->component->events[i].name);
	char suggestion[NAME_BYTES_MAX + 32];
	suggest(text_at(lua, position), names, giving->component->event_count, suggestion,
	    sizeof(suggestion));
	luaL_error(lua, "given: event %d: %s has no event '%s'%s", number, giving->component->name,
	    lua_tostring(lua, position), suggestion);
	return NULL;
}

/* { name, data, version = n } on top; its data is appended to the test's. Pops it. */
static void read_event(struct giving *giving, int number, struct host_event *event, size_t *bytes)
{
	static const char *const names[] = {"version"};
	lua_State *lua = giving->lua;
	struct value_problem problem = {.why = "it is too large"};
	int table = lua_gettop(lua);
	char what[64];
	snprintf(what, sizeof(what), "given: event %d", number);
	if (!lua_istable(lua, table))
		luaL_error(
		    lua, "%s is a table { name, data }, not %s", what, test_what(lua, table));
	world_check_keys(lua, table, what, names, COUNT_OF(names));
	lua_rawgeti(lua, table, 1);
	const struct event_type *type = event_type_at(giving, table + 1, number);
	lua_settop(lua, table + 1);
	event->name = slice_from_text(type->name);
	event->version = (uint32_t)number_member(
	    lua, table, what, "version", (int64_t)type->version, (int64_t)type->version);
	if (lua_rawgeti(lua, table, 2) == LUA_TNIL)
		lua_newtable(lua);
	size_t before = buffer_bytes(&giving->test->given);
	/* What an older version wrote, the new schema need not know. */
	const struct schema *schema = event->version == type->version ? type->schema : NULL;
	if (value_write_msgpack(lua, lua_gettop(lua), schema, &giving->test->given, &problem))
		luaL_error(lua, "%s (%s): %s", what, type->name, problem.why);
	*bytes = buffer_bytes(&giving->test->given) - before;
	lua_settop(lua, table - 1);
}

static void read_events(struct giving *giving, int table, struct world_given *given)
{
	lua_State *lua = giving->lua;
	size_t count = (size_t)lua_rawlen(lua, table);
	if (count == 0)
		return;
	if (giving->component->kind != HOST_EVENT_SOURCED_ENTITY)
		luaL_error(lua,
		    "given: %s is a value entity, it has no events: given { state = { ... } }",
		    giving->component->name);
	if (count > EVENTS_MAX)
		luaL_error(lua, "given: more than %d events", EVENTS_MAX);
	struct host_event *events = lua_newuserdatauv(lua, count * sizeof(*events), 0);
	size_t *bytes = lua_newuserdatauv(lua, count * sizeof(*bytes), 0);
	for (size_t i = 0; i < count; i++) {
		events[i] = (struct host_event){.version = 1};
		lua_rawgeti(lua, table, (lua_Integer)i + 1);
		read_event(giving, (int)i + 1, &events[i], &bytes[i]);
	}
	/* All are there: the buffer stays where it is. Before them is the state. */
	size_t at = given->state.bytes;
	for (size_t i = 0; i < count; i++) {
		events[i].data = slice_of(buffer_view(&giving->test->given).data + at, bytes[i]);
		at += bytes[i];
	}
	given->events = events;
	given->event_count = count;
}

static void read_state(struct giving *giving, int table, struct world_given *given)
{
	lua_State *lua = giving->lua;
	const struct host_component *component = giving->component;
	struct value_problem problem = {.why = "it is too large"};
	lua_pushliteral(lua, "state");
	given->has_state = lua_rawget(lua, table) != LUA_TNIL;
	int state = lua_gettop(lua);
	given->state_version = (uint32_t)number_member(
	    lua, table, "given", "version", VERSION_MAX, (int64_t)component->version);
	int64_t revision = number_member(lua, table, "given", "revision", INT64_MAX / 2, 1);
	given->revision = given->has_state ? (uint64_t)revision : 0;
	if (!given->has_state)
		return;
	if (!host_component_reads_version(component, given->state_version))
		luaL_error(lua,
		    "given: %s is of version %d and has no way from a state of version %d",
		    component->name, (int)component->version, (int)given->state_version);
	const struct schema *schema =
	    given->state_version == component->version ? component->state : NULL;
	if (value_write_msgpack(lua, state, schema, &giving->test->given, &problem))
		luaL_error(lua, "given: state: %s", problem.why);
	given->state.bytes = buffer_bytes(&giving->test->given);
}

static int entity_given(lua_State *lua)
{
	static const char *const names[] = {"state", "version", "revision"};
	const struct world_handle *handle = world_check(lua, entity_type, "entity:given");
	if (!lua_istable(lua, 2) || lua_gettop(lua) > 2)
		return luaL_error(lua,
		    "entity:given takes one table: { { event, data }, ... } or { state = ... }");
	world_check_keys(lua, 2, "given", names, COUNT_OF(names));
	struct giving giving = {lua, handle->test, handle->component};
	struct world_given given = {.address = address_of(handle)};
	buffer_clear(&handle->test->given);
	read_state(&giving, 2, &given);
	read_events(&giving, 2, &given);
	given.state.data = buffer_view(&handle->test->given).data;
	/* The world has the same app in its own interpreter. */
	given.component =
	    host_component(world_bundle(handle->world), host_component_name(handle->component));
	struct world_answer answer;
	int error = world_give(handle->world, &given, &answer);
	if (error)
		return luaL_error(lua, "entity:given: %s", error_text(error));
	if (answer.status != STATUS_OK)
		world_raise(lua, handle, &answer);
	lua_settop(lua, 1);
	return 1;
}

/* ---- call ---- */

static void push_stored(lua_State *lua, struct slice bytes, const struct schema *schema)
{
	struct value_problem problem;
	if (value_push_msgpack(lua, bytes, schema, false, &problem))
		luaL_error(lua, "what was stored can't be read: %s", problem.why);
}

static void push_events(
    lua_State *lua, const struct world_handle *handle, const struct host_outcome *outcome)
{
	size_t count = outcome ? outcome->event_count : 0;
	lua_newtable(lua);
	value_mark_list(lua, lua_gettop(lua));
	for (size_t i = 0; i < count; i++) {
		const struct host_event *event = &outcome->events[i];
		const struct event_type *type = component_event(handle->component, event->name);
		lua_createtable(lua, 2, 0);
		lua_pushlstring(lua, (const char *)event->name.data, event->name.bytes);
		lua_rawseti(lua, -2, 1);
		push_stored(lua, event->data, type ? type->schema : NULL);
		lua_rawseti(lua, -2, 2);
		value_mark_list(lua, lua_gettop(lua));
		lua_rawseti(lua, -2, (lua_Integer)i + 1);
	}
}

/* As the next call will find it. */
static void push_state(lua_State *lua, const struct world_handle *handle)
{
	struct world_answer answer = {0};
	struct host_component *component =
	    host_component(world_bundle(handle->world), host_component_name(handle->component));
	int error = world_state(handle->world, address_of(handle), component, &answer);
	if (error)
		luaL_error(lua, "entity:call: %s", error_text(error));
	if (answer.status != STATUS_OK)
		world_raise(lua, handle, &answer);
	if (answer.has_reply)
		push_stored(lua, answer.reply, handle->component->state);
	else
		lua_pushnil(lua);
}

/* What a command of this version can't do. */
static void add_empty(lua_State *lua, int result, const char *name)
{
	lua_newtable(lua);
	value_mark_list(lua, lua_gettop(lua));
	lua_setfield(lua, result, name);
}

static int entity_call(lua_State *lua)
{
	const struct world_handle *handle = world_check(lua, entity_type, "entity:call");
	struct world_answer answer;
	world_call_at(lua, handle, address_of(handle), 2, "entity:call", false, &answer);
	lua_createtable(lua, 0, 5);
	int result = lua_gettop(lua);
	world_push_reply(lua, &answer);
	lua_setfield(lua, result, "reply");
	push_events(lua, handle, answer.outcome);
	lua_setfield(lua, result, "events");
	/* From here on the answer is gone. */
	push_state(lua, handle);
	lua_setfield(lua, result, "state");
	add_empty(lua, result, "sent");
	add_empty(lua, result, "timers");
	return 1;
}

static int entity_query(lua_State *lua)
{
	const struct world_handle *handle = world_check(lua, entity_type, "entity:query");
	struct world_answer answer;
	world_call_at(lua, handle, address_of(handle), 2, "entity:query", true, &answer);
	world_push_reply(lua, &answer);
	return 1;
}

static int entity_advance(lua_State *lua)
{
	return world_advance(
	    lua, world_check(lua, entity_type, "entity:advance"), "entity:advance");
}

void world_open_entity(lua_State *lua)
{
	static const luaL_Reg methods[] = {{"given", entity_given}, {"call", entity_call},
	    {"query", entity_query}, {"advance", entity_advance}, {NULL, NULL}};
	world_make_type(lua, entity_type, methods);
	lua_pushcfunction(lua, new_entity);
	lua_setfield(lua, -2, "entity");
}
