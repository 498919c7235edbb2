/* The constructors of components: `kalix.value_entity "wallet" { ... }`. */
#include "scripting/declare.h"

#include "base/array.h"
#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/wire/address.h"
#include "scripting/schema.h"
#include "scripting/value.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const char component_type[] = "kalix.component";

const char *source_name(const lua_Debug *about)
{
	return about->source[0] == '@' || about->source[0] == '=' ? about->source + 1
	                                                          : about->short_src;
}

static bool is_name_byte(uint8_t byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
	       (byte >= '0' && byte <= '9') || byte == '_';
}

/* Whether at `at` the key is set: followed by spaces, a quote, a bracket perhaps, and one '='. */
static bool is_set_at(struct slice source, size_t at, size_t key_bytes)
{
	if (at > 0 && is_name_byte(source.data[at - 1]))
		return false;
	size_t end = at + key_bytes;
	while (end < source.bytes &&
	       (source.data[end] == ' ' || source.data[end] == '\t' || source.data[end] == '"' ||
	           source.data[end] == '\'' || source.data[end] == ']'))
		end++;
	return end < source.bytes && source.data[end] == '=' &&
	       (end + 1 == source.bytes || source.data[end + 1] != '=');
}

uint32_t source_find_key(struct slice source, uint32_t from, const char *key)
{
	size_t key_bytes = strlen(key);
	uint32_t line = 1;
	for (size_t at = 0; at + key_bytes <= source.bytes; at++) {
		if (line >= from && memcmp(source.data + at, key, key_bytes) == 0 &&
		    is_set_at(source, at, key_bytes))
			return line;
		if (source.data[at] == '\n')
			line++;
	}
	return 0;
}

/* The call's file; NULL where it is not known. */
static const struct host_file *declared_in(const struct declaration *declaration)
{
	if (!declaration->file)
		return NULL;
	return bundle_find(
	    &declaration->load->owner.bundle->files, slice_from_text(declaration->file));
}

uint32_t declare_line(
    const struct declaration *declaration, const char *name, const struct place *function)
{
	const struct host_file *file = declared_in(declaration);
	uint32_t line = file ? source_find_key(file->source, declaration->line, name) : 0;
	if (!line)
		return declaration->line;
	if (!function->file || strcmp(function->file, declaration->file) != 0)
		return line;
	/* A field of a schema may have the same name. */
	for (;;) {
		uint32_t next = source_find_key(file->source, line + 1, name);
		if (!next || next > function->line)
			return line;
		line = next;
	}
}

void declare_complain(struct declaration *declaration, const char *key, const char *format, ...)
{
	uint32_t line = 0;
	const struct host_file *file = key ? declared_in(declaration) : NULL;
	if (file)
		line = source_find_key(file->source, declaration->line, key);
	char text[DESCRIPTION_BYTES_MAX];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	load_tell(declaration->load, HOST_ERROR, declaration->file, line ? line : declaration->line,
	    "%s", text);
}

static bool is_among(const char *key, const char *const *keys, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(keys[i], key) == 0)
			return true;
	}
	return false;
}

static void complain_of_key(
    struct declaration *declaration, const char *key, const struct key_set *keys, const char *what)
{
	if (is_among(key, keys->later, keys->later_count)) {
		declare_complain(
		    declaration, key, "%s: '%s' is not in this version of Kalix yet", what, key);
		return;
	}
	struct slice known[32];
	ASSERT(keys->known_count <= COUNT_OF(known));
	for (size_t i = 0; i < keys->known_count; i++)
		known[i] = slice_from_text(keys->known[i]);
	char suggestion[NAME_BYTES_MAX + 32];
	suggest(slice_from_text(key), known, keys->known_count, suggestion, sizeof(suggestion));
	declare_complain(declaration, key, "%s: unknown key '%.100s'%s", what, key, suggestion);
}

void declare_check_keys(
    struct declaration *declaration, int table, const struct key_set *keys, const char *what)
{
	lua_State *lua = declaration->lua;
	lua_pushnil(lua);
	while (lua_next(lua, table)) {
		lua_pop(lua, 1);
		if (lua_type(lua, -1) == LUA_TSTRING) {
			const char *key = lua_tostring(lua, -1);
			if (!is_among(key, keys->known, keys->known_count))
				complain_of_key(declaration, key, keys, what);
		} else if (!(keys->first_is_function && lua_isinteger(lua, -1) &&
		               lua_tointeger(lua, -1) == 1)) {
			declare_complain(declaration, NULL, "%s: a key is a %s, expected names",
			    what, luaL_typename(lua, -1));
		}
	}
}

struct host_component *declare_component_at(lua_State *lua, int position)
{
	struct host_component **box = luaL_testudata(lua, position, component_type);
	return box ? *box : NULL;
}

static int compare_handlers(const void *a, const void *b)
{
	return strcmp(
	    ((const struct host_handler *)a)->name, ((const struct host_handler *)b)->name);
}

static int compare_events(const void *a, const void *b)
{
	return strcmp(((const struct event_type *)a)->name, ((const struct event_type *)b)->name);
}

static void put_in_order(struct declaration *declaration)
{
	struct host_component *component = declaration->component;
	if (component->handler_count)
		qsort(component->handlers, component->handler_count, sizeof(*component->handlers),
		    compare_handlers);
	if (component->event_count)
		qsort(component->events, component->event_count, sizeof(*component->events),
		    compare_events);
	for (size_t i = 0; i < component->handler_count; i++) {
		struct host_handler *handler = &component->handlers[i];
		handler->number = i;
		if (i > 0 && strcmp(handler[-1].name, handler->name) == 0)
			declare_complain(declaration, handler->name,
			    "%s: '%s' is both a command and a query", component->name,
			    handler->name);
	}
}

/* A table or the schema's default becomes bytes now, so that each call decodes its own copy. */
static void read_init(struct declaration *declaration, int table)
{
	lua_State *lua = declaration->lua;
	struct host_component *component = declaration->component;
	struct value_problem problem;
	lua_pushliteral(lua, "init");
	int type = lua_rawget(lua, table);
	if (type == LUA_TFUNCTION) {
		component->init = INIT_FUNCTION;
		component->init_function = luaL_ref(lua, LUA_REGISTRYINDEX);
		return;
	}
	if (type == LUA_TNIL) {
		lua_pop(lua, 1);
		if (!component->state || !schema_has_default(component->state))
			return;
		if (value_push_absent(lua, component->state, &problem))
			load_out_of_memory(declaration->load, lua);
		if (lua_isnil(lua, -1)) {
			lua_pop(lua, 1);
			return;
		}
	}
	int error = value_write_msgpack(
	    lua, lua_gettop(lua), component->state, &component->init_bytes, &problem);
	lua_pop(lua, 1);
	if (error == ERR_NOMEM)
		load_out_of_memory(declaration->load, lua);
	if (error)
		declare_complain(declaration, "init", "%s: init does not fit the state: %s",
		    component->name,
		    error == ERR_INVALID ? problem.why : "it is larger than a state may be");
	else
		component->init = INIT_BYTES;
}

/* `history = N`, or true. Events are all kept anyway: there it says what is the case. */
static void read_history(struct declaration *declaration, int table)
{
	lua_State *lua = declaration->lua;
	struct host_component *component = declaration->component;
	bool keeps = false;
	int64_t count = 0;
	lua_pushliteral(lua, "history");
	lua_rawget(lua, table);
	bool is_number = lua_type(lua, -1) == LUA_TNUMBER;
	lua_pop(lua, 1);
	if (is_number)
		declare_integer(declaration, table, "history", 1, HISTORY_MAX, &count);
	else
		declare_boolean(declaration, table, "history", &keeps);
	if (component->kind == HOST_VALUE_ENTITY)
		component->history = keeps ? HISTORY_DEFAULT : (uint32_t)count;
}

static void read_component(struct declaration *declaration, int table)
{
	struct host_component *component = declaration->component;
	bool is_event_sourced = component->kind == HOST_EVENT_SOURCED_ENTITY;
	static const char *const known[] = {"commands", "queries", "state", "init", "version",
	    "migrate", "downgrade", "history", "events", "snapshot_every"};
	static const char *const later[] = {"unique", "expire"};
	struct key_set keys = {
	    known, COUNT_OF(known) - (is_event_sourced ? 0 : 2), later, COUNT_OF(later), false};
	declare_check_keys(declaration, table, &keys, component->name);

	int64_t version = 1, snapshot_every = 100;
	declare_integer(declaration, table, "version", 1, VERSION_MAX, &version);
	component->version = (uint32_t)version;
	if (is_event_sourced) {
		declare_integer(
		    declaration, table, "snapshot_every", 1, SNAPSHOT_EVERY_MAX, &snapshot_every);
		component->snapshot_every = (uint32_t)snapshot_every;
	}
	read_history(declaration, table);
	declare_schema(declaration, table, "state", &component->state);
	read_init(declaration, table);
	declare_steps(
	    declaration, table, "migrate", 1, component->version - 1, &component->migrations);
	declare_steps(declaration, table, "downgrade", component->version + 1, VERSION_MAX,
	    &component->downgrades);
	declare_handlers(declaration, table, false);
	declare_handlers(declaration, table, true);
	if (is_event_sourced)
		declare_events(declaration, table);
	if (component->handler_count == 0)
		declare_complain(
		    declaration, NULL, "%s has no commands and no queries", component->name);
	put_in_order(declaration);
}

/* Kept in the bundle from here on, so that nothing is lost where an error is raised. */
static struct host_component *add_component(struct load *load, lua_State *lua, struct slice name)
{
	struct host_bundle *bundle = load->owner.bundle;
	if (bundle->component_count == COMPONENTS_MAX)
		luaL_error(lua, "an app has at most %d components", COMPONENTS_MAX);
	if (array_reserve(&bundle->components, &bundle->component_capacity,
	        bundle->component_count + 1, sizeof(struct host_component *)))
		load_out_of_memory(load, lua);
	struct host_component *component = component_new(bundle, name);
	if (!component)
		load_out_of_memory(load, lua);
	bundle->components[bundle->component_count++] = component;
	return component;
}

/* The second call of `kalix.value_entity "name" { ... }`; upvalues: kind, name. */
static int declare(lua_State *lua)
{
	struct load *load = load_current(lua);
	if (!load)
		return luaL_error(lua, "components are made while an app is loaded, not later");
	size_t bytes;
	const char *name = lua_tolstring(lua, lua_upvalueindex(2), &bytes);
	if (lua_type(lua, 1) != LUA_TTABLE)
		return luaL_error(lua, "%s: expected a table { ... } behind the name, got %s", name,
		    luaL_typename(lua, 1));
	lua_settop(lua, 1);
	struct host_component **box = lua_newuserdatauv(lua, sizeof(*box), 0);
	*box = NULL;
	luaL_setmetatable(lua, component_type);

	struct declaration declaration = {.lua = lua, .load = load};
	lua_Debug frame;
	if (lua_getstack(lua, 1, &frame) && lua_getinfo(lua, "Sl", &frame) &&
	    frame.currentline > 0) {
		declaration.file = lua_pushstring(lua, source_name(&frame));
		declaration.line = (uint32_t)frame.currentline;
	} else {
		lua_pushnil(lua);
	}
	struct host_component *component = add_component(load, lua, slice_of(name, bytes));
	component->kind = (enum host_kind)lua_tointeger(lua, lua_upvalueindex(1));
	component->place.line = declaration.line;
	if (declaration.file) {
		component->place.file = text_copy(slice_from_text(declaration.file));
		if (!component->place.file)
			load_out_of_memory(load, lua);
	}
	declaration.component = component;
	declaration.what = component->name;
	*box = component;
	read_component(&declaration, 1);
	lua_settop(lua, 2);
	return 1;
}

/* `kalix.value_entity "name"`; upvalue: kind. */
static int construct(lua_State *lua)
{
	if (!load_current(lua))
		return luaL_error(lua, "components are made while an app is loaded, not later");
	size_t bytes;
	const char *name = lua_tolstring(lua, 1, &bytes);
	if (lua_type(lua, 1) != LUA_TSTRING || !name_valid(slice_of(name, bytes)))
		return luaL_error(lua,
		    "a component's name is [a-z][a-z0-9_]{0,63} in quotes: kalix.value_entity "
		    "\"cart\" { ... }");
	lua_pushvalue(lua, lua_upvalueindex(1));
	lua_pushvalue(lua, 1);
	lua_pushcclosure(lua, declare, 2);
	return 1;
}

/* The constructors of the public contract that this version lacks; upvalue: its name. */
static int construct_later(lua_State *lua)
{
	return luaL_error(lua,
	    "kalix.%s is not in this version of Kalix yet; it has value_entity "
	    "and event_sourced_entity",
	    lua_tostring(lua, lua_upvalueindex(1)));
}

void declare_open(lua_State *lua)
{
	if (luaL_newmetatable(lua, component_type)) {
		lua_pushliteral(lua, "component");
		lua_setfield(lua, -2, "__metatable");
	}
	lua_pop(lua, 1);
	static const enum host_kind kinds[] = {HOST_VALUE_ENTITY, HOST_EVENT_SOURCED_ENTITY};
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		lua_pushinteger(lua, kinds[i]);
		lua_pushcclosure(lua, construct, 1);
		lua_setfield(lua, -2, host_kind_name(kinds[i]));
	}
	static const char *const later[] = {
	    "replicated_entity", "workflow", "action", "view", "consumer", "topic", "cron"};
	for (size_t i = 0; i < COUNT_OF(later); i++) {
		lua_pushstring(lua, later[i]);
		lua_pushcclosure(lua, construct_later, 1);
		lua_setfield(lua, -2, later[i]);
	}
}
