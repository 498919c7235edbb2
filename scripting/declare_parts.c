/* What stands in a component's table: commands, queries, events, steps between versions. */
#include "scripting/declare.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/wire/address.h"
#include "scripting/schema.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Pushes the field; false, with nothing pushed, where it is absent. */
static bool push_field(lua_State *lua, int table, const char *key)
{
	lua_pushstring(lua, key);
	if (lua_rawget(lua, table) != LUA_TNIL)
		return true;
	lua_pop(lua, 1);
	return false;
}

/* Pops the value that is of the wrong type. */
static bool complain_of_type(struct declaration *declaration, const char *key, const char *expected)
{
	lua_State *lua = declaration->lua;
	bool is_number = lua_type(lua, -1) == LUA_TNUMBER;
	const char *got = is_number ? luaL_tolstring(lua, -1, NULL) : luaL_typename(lua, -1);
	declare_complain(declaration, key, "%s: %s must be %s, is %s%s", declaration->what, key,
	    expected, is_number ? "" : "a ", got);
	lua_pop(lua, is_number ? 2 : 1);
	return false;
}

bool declare_integer(struct declaration *declaration, int table, const char *key, int64_t min,
    int64_t max, int64_t *ret_value)
{
	lua_State *lua = declaration->lua;
	if (!push_field(lua, table, key))
		return true;
	int is_integer = 0;
	int64_t value = lua_type(lua, -1) == LUA_TNUMBER ? lua_tointegerx(lua, -1, &is_integer) : 0;
	if (!is_integer || value < min || value > max) {
		char expected[64];
		snprintf(expected, sizeof(expected), "an integer from %lld to %lld", (long long)min,
		    (long long)max);
		return complain_of_type(declaration, key, expected);
	}
	lua_pop(lua, 1);
	*ret_value = value;
	return true;
}

bool declare_boolean(struct declaration *declaration, int table, const char *key, bool *ret_value)
{
	lua_State *lua = declaration->lua;
	if (!push_field(lua, table, key))
		return true;
	if (lua_type(lua, -1) != LUA_TBOOLEAN)
		return complain_of_type(declaration, key, "true or false");
	*ret_value = lua_toboolean(lua, -1);
	lua_pop(lua, 1);
	return true;
}

bool declare_schema(
    struct declaration *declaration, int table, const char *key, struct schema **ret_schema)
{
	lua_State *lua = declaration->lua;
	if (!push_field(lua, table, key))
		return true;
	struct schema *schema = schema_at(lua, lua_gettop(lua));
	if (!schema)
		return complain_of_type(
		    declaration, key, "a schema, such as schema.record { ... }");
	schema_keep(schema);
	*ret_schema = schema;
	lua_pop(lua, 1);
	return true;
}

bool declare_text(
    struct declaration *declaration, int table, const char *key, size_t bytes_max, char **ret_text)
{
	lua_State *lua = declaration->lua;
	if (!push_field(lua, table, key))
		return true;
	size_t bytes;
	if (lua_type(lua, -1) != LUA_TSTRING)
		return complain_of_type(declaration, key, "text");
	const char *text = lua_tolstring(lua, -1, &bytes);
	if (bytes > bytes_max) {
		declare_complain(declaration, key, "%s: %s is longer than %zu bytes",
		    declaration->what, key, bytes_max);
		lua_pop(lua, 1);
		return false;
	}
	*ret_text = text_copy(slice_of(text, bytes));
	lua_pop(lua, 1);
	if (!*ret_text)
		load_out_of_memory(declaration->load, lua);
	return true;
}

void declare_place(struct declaration *declaration, int function, struct place *ret_place)
{
	lua_State *lua = declaration->lua;
	lua_Debug about;
	lua_pushvalue(lua, function);
	lua_getinfo(lua, ">S", &about);
	if (about.linedefined <= 0)
		return;
	ret_place->line = (uint32_t)about.linedefined;
	ret_place->file = text_copy(slice_from_text(source_name(&about)));
	if (!ret_place->file)
		load_out_of_memory(declaration->load, lua);
}

/* The array with room for one more of `item_bytes`, filled with zeros. */
static void *grow(struct declaration *declaration, void *items, size_t count, size_t item_bytes)
{
	bool is_full = (count & (count - 1)) == 0;
	if (count == COMPONENT_NAMES_MAX)
		luaL_error(declaration->lua, "%s: more than %d names", declaration->what,
		    COMPONENT_NAMES_MAX);
	if (is_full) {
		items = mem_realloc(items, (count ? count * 2 : 1) * item_bytes);
		if (!items)
			load_out_of_memory(declaration->load, declaration->lua);
	}
	memset((char *)items + count * item_bytes, 0, item_bytes);
	return items;
}

/* The name of a command, query or event at `position`, checked. */
static bool read_name(
    struct declaration *declaration, int position, const char *what, struct slice *ret_name)
{
	lua_State *lua = declaration->lua;
	if (lua_type(lua, position) != LUA_TSTRING) {
		declare_complain(declaration, what, "%s: %s has a key that is a %s, expected names",
		    declaration->what, what, luaL_typename(lua, position));
		return false;
	}
	size_t bytes;
	const char *name = lua_tolstring(lua, position, &bytes);
	*ret_name = slice_of(name, bytes);
	if (name_valid(*ret_name))
		return true;
	declare_complain(declaration, name, "%s: '%.100s' is no name: [a-z][a-z0-9_]{0,63}",
	    declaration->what, name);
	return false;
}

/* Pushes the function of `name = function` or `name = { function, ... }`; nothing where it is not
 * there. *ret_table: where the table stands, or 0. */
static bool push_function(struct declaration *declaration, int position, const char *what,
    const char *name, int *ret_table)
{
	lua_State *lua = declaration->lua;
	*ret_table = 0;
	lua_pushvalue(lua, position);
	if (lua_type(lua, position) == LUA_TTABLE) {
		lua_pop(lua, 1);
		lua_rawgeti(lua, position, 1);
		*ret_table = position;
	}
	if (lua_isfunction(lua, -1))
		return true;
	declare_complain(declaration, name, "%s.%s: expected a function or { function, ... } in %s",
	    declaration->what, name, what);
	lua_pop(lua, 1);
	return false;
}

static void read_exists(struct declaration *declaration, int table, struct host_handler *handler)
{
	if (!push_field(declaration->lua, table, "exists"))
		return;
	lua_pop(declaration->lua, 1);
	bool exists = false;
	if (declare_boolean(declaration, table, "exists", &exists))
		handler->exists = exists ? EXISTS_REQUIRED : EXISTS_FORBIDDEN;
}

static void read_roles(struct declaration *declaration, int table, struct host_handler *handler)
{
	lua_State *lua = declaration->lua;
	if (!push_field(lua, table, "roles"))
		return;
	int roles = lua_gettop(lua);
	size_t count = lua_type(lua, roles) == LUA_TTABLE ? (size_t)lua_rawlen(lua, roles) : 0;
	if (count == 0 || count > ROLES_MAX) {
		complain_of_type(declaration, "roles", "a list of 1 to 64 names of roles");
		return;
	}
	handler->roles = mem_zalloc(count, sizeof(*handler->roles));
	if (!handler->roles)
		load_out_of_memory(declaration->load, lua);
	for (size_t i = 0; i < count; i++) {
		size_t bytes;
		if (lua_rawgeti(lua, roles, (lua_Integer)i + 1) != LUA_TSTRING) {
			complain_of_type(declaration, "roles", "a list of names of roles");
			break;
		}
		const char *role = lua_tolstring(lua, -1, &bytes);
		handler->roles[i] = text_copy(slice_of(role, bytes));
		if (!handler->roles[i])
			load_out_of_memory(declaration->load, lua);
		handler->role_count++;
		lua_pop(lua, 1);
	}
	lua_settop(lua, roles - 1);
}

static void read_handler_table(
    const struct declaration *of_component, int table, struct host_handler *handler)
{
	static const char *const known[] = {
	    "input", "output", "exists", "internal", "roles", "description"};
	static const char *const later[] = {"http"};
	char what[2 * NAME_BYTES_MAX + 2];
	snprintf(what, sizeof(what), "%s.%s", of_component->what, handler->name);
	struct declaration own = *of_component, *declaration = &own;
	own.what = what;
	own.line = declare_line(of_component, handler->name, &handler->place);
	struct key_set keys = {known, COUNT_OF(known), later, COUNT_OF(later), true};
	declare_check_keys(declaration, table, &keys, what);
	declare_schema(declaration, table, "input", &handler->input);
	declare_schema(declaration, table, "output", &handler->output);
	declare_boolean(declaration, table, "internal", &handler->internal);
	declare_text(
	    declaration, table, "description", DESCRIPTION_BYTES_MAX, &handler->description);
	read_exists(declaration, table, handler);
	read_roles(declaration, table, handler);
}

static void read_handler(struct declaration *declaration, int name_at, int value_at, bool is_query)
{
	lua_State *lua = declaration->lua;
	struct host_component *component = declaration->component;
	struct slice name;
	int table;
	if (!read_name(declaration, name_at, is_query ? "queries" : "commands", &name) ||
	    !push_function(declaration, value_at, is_query ? "queries" : "commands",
	        (const char *)name.data, &table))
		return;
	int function = lua_gettop(lua);
	component->handlers = grow(declaration, component->handlers, component->handler_count,
	    sizeof(*component->handlers));
	struct host_handler *handler = &component->handlers[component->handler_count++];
	handler->component = component;
	handler->is_query = is_query;
	handler->function = LUA_NOREF;
	handler->name = text_copy(name);
	if (!handler->name)
		load_out_of_memory(declaration->load, lua);
	declare_place(declaration, function, &handler->place);
	handler->straight = straight_find(lua);
	handler->function = luaL_ref(lua, LUA_REGISTRYINDEX);
	if (table)
		read_handler_table(declaration, table, handler);
}

void declare_handlers(struct declaration *declaration, int table, bool queries)
{
	lua_State *lua = declaration->lua;
	const char *key = queries ? "queries" : "commands";
	if (!push_field(lua, table, key))
		return;
	int handlers = lua_gettop(lua);
	if (lua_type(lua, handlers) != LUA_TTABLE) {
		complain_of_type(declaration, key, "a table of functions by name");
		return;
	}
	lua_pushnil(lua);
	while (lua_next(lua, handlers)) {
		read_handler(declaration, handlers + 1, handlers + 2, queries);
		lua_settop(lua, handlers + 1);
	}
	lua_settop(lua, handlers - 1);
}

static void read_event_table(
    const struct declaration *of_component, int table, struct event_type *event)
{
	static const char *const known[] = {"schema", "version", "upcast"};
	char what[2 * NAME_BYTES_MAX + 2];
	snprintf(what, sizeof(what), "%s.%s", of_component->what, event->name);
	struct declaration own = *of_component, *declaration = &own;
	own.what = what;
	own.line = declare_line(of_component, event->name, &event->place);
	struct key_set keys = {known, COUNT_OF(known), NULL, 0, true};
	declare_check_keys(declaration, table, &keys, what);
	int64_t version = 1;
	declare_integer(declaration, table, "version", 1, VERSION_MAX, &version);
	event->version = (uint32_t)version;
	declare_schema(declaration, table, "schema", &event->schema);
	declare_steps(declaration, table, "upcast", 1, event->version - 1, &event->upcasts);
}

static void read_event(struct declaration *declaration, int name_at, int value_at)
{
	lua_State *lua = declaration->lua;
	struct host_component *component = declaration->component;
	struct slice name;
	int table;
	if (!read_name(declaration, name_at, "events", &name) ||
	    !push_function(declaration, value_at, "events", (const char *)name.data, &table))
		return;
	int function = lua_gettop(lua);
	component->events = grow(
	    declaration, component->events, component->event_count, sizeof(*component->events));
	struct event_type *event = &component->events[component->event_count++];
	event->function = LUA_NOREF;
	event->version = 1;
	event->name = text_copy(name);
	if (!event->name)
		load_out_of_memory(declaration->load, lua);
	declare_place(declaration, function, &event->place);
	lua_Debug about;
	lua_pushvalue(lua, function);
	lua_getinfo(lua, ">u", &about);
	event->takes_meta = about.nparams > 2 || about.isvararg;
	event->function = luaL_ref(lua, LUA_REGISTRYINDEX);
	if (table)
		read_event_table(declaration, table, event);
}

void declare_events(struct declaration *declaration, int table)
{
	lua_State *lua = declaration->lua;
	if (!push_field(lua, table, "events")) {
		declare_complain(declaration, NULL,
		    "%s has no events: an event-sourced entity needs "
		    "events = { name = function(state, event) ... }",
		    declaration->what);
		return;
	}
	int events = lua_gettop(lua);
	if (lua_type(lua, events) != LUA_TTABLE) {
		complain_of_type(declaration, "events", "a table of functions by name");
		return;
	}
	lua_pushnil(lua);
	while (lua_next(lua, events)) {
		read_event(declaration, events + 1, events + 2);
		lua_settop(lua, events + 1);
	}
	lua_settop(lua, events - 1);
}

/* The largest version that has a function; complains of every other key and value. */
static uint32_t check_steps(
    struct declaration *declaration, int table, const char *key, uint32_t first, uint32_t last)
{
	lua_State *lua = declaration->lua;
	const char *name = declaration->what;
	uint32_t largest = 0;
	lua_pushnil(lua);
	while (lua_next(lua, table)) {
		if (!lua_isinteger(lua, -2) || !lua_isfunction(lua, -1)) {
			declare_complain(declaration, key,
			    "%s: %s has functions by version: { [1] = function(...) ... end }",
			    name, key);
		} else {
			lua_Integer version = lua_tointeger(lua, -2);
			if (version < first || version > last)
				declare_complain(declaration, key,
				    first > last
				        ? "%s: %s[%lld], but there is only version 1"
				        : "%s: %s[%lld] is no step: they go from [%u] to [%u]",
				    name, key, (long long)version, first, last);
			else if (version > largest)
				largest = (uint32_t)version;
		}
		lua_pop(lua, 1);
	}
	return largest;
}

void declare_steps(struct declaration *declaration, int table, const char *key, uint32_t first,
    uint32_t last, struct steps *ret_steps)
{
	lua_State *lua = declaration->lua;
	if (!push_field(lua, table, key))
		return;
	int steps = lua_gettop(lua);
	if (lua_type(lua, steps) != LUA_TTABLE) {
		complain_of_type(declaration, key, "a table of functions by version");
		return;
	}
	uint32_t largest = check_steps(declaration, steps, key, first, last);
	if (largest >= first) {
		uint32_t count = largest - first + 1;
		ret_steps->references = mem_zalloc(count, sizeof(*ret_steps->references));
		if (!ret_steps->references)
			load_out_of_memory(declaration->load, lua);
		for (uint32_t i = 0; i < count; i++)
			ret_steps->references[i] = LUA_NOREF;
		ret_steps->first = first;
		ret_steps->count = count;
		for (uint32_t i = 0; i < count; i++) {
			if (lua_rawgeti(lua, steps, first + i) == LUA_TFUNCTION)
				ret_steps->references[i] = luaL_ref(lua, LUA_REGISTRYINDEX);
			else
				lua_pop(lua, 1);
		}
	}
	lua_settop(lua, steps - 1);
}
