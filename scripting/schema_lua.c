/* The constructors of `kalix.schema`. A schema is a userdata that holds one reference. It is made
 * first and filled in later, so that an error raised in between frees what there is. */
#include "base/assert.h"
#include "base/buffer.h"
#include "base/limits.h"
#include "base/wire/address.h"
#include "base/wire/msgpack.h"
#include "base/wire/utf8.h"
#include "scripting/own_key.h"
#include "scripting/pattern.h"
#include "scripting/schema_node.h"
#include "scripting/value_inside.h"

#include <lauxlib.h>
#include <lua.h>
#include <math.h>

struct holder {
	struct schema *schema;
	bool is_bare; /* `schema.string` itself: may be called with options */
};

enum { WHY_BYTES = 256 };

/* --- Schemas as values ------------------------------------------------------------------------ */

static struct holder *holder_at(lua_State *lua, int position)
{
	if (lua_type(lua, position) != LUA_TUSERDATA || !lua_getmetatable(lua, position))
		return NULL;
	lua_rawgetp(lua, LUA_REGISTRYINDEX, own_key(OWN_KEY_HOLDER));
	bool is_holder = lua_rawequal(lua, -1, -2);
	lua_pop(lua, 2);
	return is_holder ? lua_touserdata(lua, position) : NULL;
}

struct schema *schema_at(struct lua_State *lua, int position)
{
	struct holder *holder = holder_at(lua, position);
	return holder ? holder->schema : NULL;
}

static struct schema *push_schema(lua_State *lua, enum schema_kind kind)
{
	struct holder *holder = lua_newuserdatauv(lua, sizeof(*holder), 0);
	*holder = (struct holder){0};
	lua_rawgetp(lua, LUA_REGISTRYINDEX, own_key(OWN_KEY_HOLDER));
	lua_setmetatable(lua, -2);
	holder->schema = schema_node_new(kind);
	if (!holder->schema)
		luaL_error(lua, "not enough memory");
	return holder->schema;
}

static int free_holder(lua_State *lua)
{
	struct holder *holder = lua_touserdata(lua, 1);
	schema_release(holder->schema);
	holder->schema = NULL;
	return 0;
}

static int holder_text(lua_State *lua)
{
	struct holder *holder = holder_at(lua, 1);
	if (!holder || !holder->schema)
		return luaL_error(lua, "expected a schema");
	lua_pushfstring(lua, "schema.%s", schema_kind_name(holder->schema->kind));
	return 1;
}

static void finish(lua_State *lua, struct schema *schema)
{
	char why[WHY_BYTES];
	if (schema_node_finish(schema, why, sizeof(why)))
		luaL_error(lua, "schema.%s: %s", schema_kind_name(schema->kind), why);
}

static void must(lua_State *lua, int error)
{
	if (error)
		luaL_error(lua, "not enough memory");
}

/* The schema that an argument or field must be. */
static struct schema *check_schema(lua_State *lua, int position, const char *who, const char *what)
{
	struct schema *schema = schema_at(lua, position);
	if (schema)
		return schema;
	if (lua_type(lua, position) == LUA_TFUNCTION)
		luaL_error(lua,
		    "schema.%s: %s must be a schema; is that a list, map, record, optional or "
		    "one_of without its arguments?",
		    who, what);
	luaL_error(lua, "schema.%s: %s must be a schema, like schema.string; got %s", who, what,
	    luaL_typename(lua, position));
	UNREACHABLE();
}

/* --- Options ---------------------------------------------------------------------------------- */

/* "; did you mean integer?", or "": on Lua's stack. */
static const char *push_suggestion(
    lua_State *lua, struct slice name, const struct slice *known, int count)
{
	int nearest = name_nearest(name, known, count);
	return nearest < 0
	           ? lua_pushliteral(lua, "")
	           : lua_pushfstring(lua, "; did you mean %s?", (const char *)known[nearest].data);
}

static void unknown_option(
    lua_State *lua, const char *who, struct slice name, const struct slice *known, int count)
{
	luaL_error(lua, "schema.%s: unknown option '%s'%s", who, (const char *)name.data,
	    push_suggestion(lua, name, known, count));
}

/* The options at `position` (a table, or nothing) have only these keys, given in one text with
 * spaces between them. */
static bool check_options(lua_State *lua, int position, const char *who, const char *keys)
{
	char text[64];
	struct slice known[8];
	int count = 0;
	if (lua_isnoneornil(lua, position))
		return false;
	if (!lua_istable(lua, position))
		luaL_error(lua, "schema.%s: options must be a table, got %s", who,
		    luaL_typename(lua, position));
	snprintf(text, sizeof(text), "%s", keys);
	for (char *at = text; *at; at++) {
		char *begin = at;
		while (*at && *at != ' ')
			at++;
		bool is_last = !*at;
		*at = 0;
		known[count++] = slice_from_text(begin);
		if (is_last)
			break;
	}
	value_settle(lua, position);
	value_push_keys(lua, position);
	for (lua_Integer i = 1; lua_rawgeti(lua, -1, i) != LUA_TNIL; i++) {
		if (lua_type(lua, -1) != LUA_TSTRING)
			luaL_error(lua, "schema.%s: an option without name", who);
		size_t bytes;
		const char *name = lua_tolstring(lua, -1, &bytes);
		bool found = false;
		for (int j = 0; j < count; j++)
			found = found || slice_equal(slice_of(name, bytes), known[j]);
		if (!found)
			unknown_option(lua, who, slice_of(name, bytes), known, count);
		lua_pop(lua, 1);
	}
	lua_pop(lua, 2);
	return true;
}

static bool integer_bound(
    lua_State *lua, int options, const char *who, const char *name, int64_t *ret_bound)
{
	if (lua_getfield(lua, options, name) == LUA_TNIL) {
		lua_pop(lua, 1);
		return false;
	}
	int is_integer;
	lua_Integer bound = lua_tointegerx(lua, -1, &is_integer);
	if (!is_integer || lua_type(lua, -1) != LUA_TNUMBER)
		luaL_error(lua, "schema.%s: %s must be an integer, got %s", who, name,
		    luaL_typename(lua, -1));
	lua_pop(lua, 1);
	*ret_bound = bound;
	return true;
}

static bool number_bound(
    lua_State *lua, int options, const char *who, const char *name, double *ret_bound)
{
	int type = lua_getfield(lua, options, name);
	double bound = lua_tonumber(lua, -1);
	lua_pop(lua, 1);
	if (type == LUA_TNIL)
		return false;
	if (type != LUA_TNUMBER || !isfinite(bound))
		luaL_error(lua, "schema.%s: %s must be a finite number, got %s", who, name,
		    type == LUA_TNUMBER ? "another" : lua_typename(lua, type));
	*ret_bound = bound;
	return true;
}

static void read_bounds(lua_State *lua, int options, struct schema *schema)
{
	const char *who = schema_kind_name(schema->kind);
	if (schema->kind == SCHEMA_NUMBER) {
		schema->has_min = number_bound(lua, options, who, "min", &schema->min.number);
		schema->has_max = number_bound(lua, options, who, "max", &schema->max.number);
		return;
	}
	schema->has_min = integer_bound(lua, options, who, "min", &schema->min.integer);
	schema->has_max = integer_bound(lua, options, who, "max", &schema->max.integer);
}

static struct slice text_at(lua_State *lua, int position)
{
	size_t bytes;
	const char *text = lua_tolstring(lua, position, &bytes);
	return slice_of(text, bytes);
}

static void read_pattern(lua_State *lua, int options, struct schema *schema)
{
	int type = lua_getfield(lua, options, "pattern");
	if (type != LUA_TNIL) {
		const char *why;
		if (type != LUA_TSTRING)
			luaL_error(lua, "schema.string: pattern must be a string, got %s",
			    lua_typename(lua, type));
		struct slice pattern = text_at(lua, -1);
		if (pattern_check(pattern, &why))
			luaL_error(lua, "schema.string: pattern: %s", why);
		if (!utf8_valid(pattern))
			luaL_error(lua, "schema.string: pattern is not UTF-8");
		must(lua, schema_node_set_text(schema, pattern));
	}
	lua_pop(lua, 1);
}

static void read_enum(lua_State *lua, int options, struct schema *schema)
{
	int type = lua_getfield(lua, options, "enum");
	if (type != LUA_TNIL) {
		value_settle(lua, -1);
		size_t count = type == LUA_TTABLE ? (size_t)lua_rawlen(lua, -1) : 0;
		if (count == 0)
			luaL_error(lua, "schema.string: enum must be a list of strings");
		if (count > SCHEMA_FIELDS_MAX)
			luaL_error(
			    lua, "schema.string: enum has more than %d values", SCHEMA_FIELDS_MAX);
		must(lua, schema_node_reserve(schema, count, true, false));
		for (size_t i = 1; i <= count; i++) {
			if (lua_rawgeti(lua, -1, (lua_Integer)i) != LUA_TSTRING ||
			    !utf8_valid(text_at(lua, -1)))
				luaL_error(lua, "schema.string: enum must be a list of strings");
			must(lua, schema_node_add_name(schema, text_at(lua, -1)));
			lua_pop(lua, 1);
		}
	}
	lua_pop(lua, 1);
}

static const char *const option_names[] = {
    [SCHEMA_STRING] = "min max pattern enum",
    [SCHEMA_INTEGER] = "min max",
    [SCHEMA_NUMBER] = "min max",
    [SCHEMA_BYTES] = "max",
    [SCHEMA_LIST] = "min max",
    [SCHEMA_MAP] = "max",
    [SCHEMA_ONE_OF] = "tag",
};

/* `schema.string { ... }` */
static int call_holder(lua_State *lua)
{
	struct holder *holder = holder_at(lua, 1);
	if (!holder || !holder->schema)
		return luaL_error(lua, "expected a schema");
	enum schema_kind kind = holder->schema->kind;
	const char *who = schema_kind_name(kind);
	if (!holder->is_bare)
		return luaL_error(lua, "this schema.%s has its options already", who);
	if (!option_names[kind])
		return luaL_error(lua, "schema.%s has no options", who);
	lua_settop(lua, 2);
	struct schema *schema = push_schema(lua, kind);
	if (check_options(lua, 2, who, option_names[kind])) {
		read_bounds(lua, 2, schema);
		if (kind == SCHEMA_STRING) {
			read_pattern(lua, 2, schema);
			read_enum(lua, 2, schema);
		}
	}
	finish(lua, schema);
	return 1;
}

/* --- Constructors with types inside ----------------------------------------------------------- */

static int make_list(lua_State *lua)
{
	lua_settop(lua, 2);
	struct schema *element = check_schema(lua, 1, "list", "the first argument");
	struct schema *schema = push_schema(lua, SCHEMA_LIST);
	must(lua, schema_node_reserve(schema, 1, false, true));
	schema_node_add_child(schema, element);
	if (check_options(lua, 2, "list", option_names[SCHEMA_LIST]))
		read_bounds(lua, 2, schema);
	finish(lua, schema);
	return 1;
}

static int make_map(lua_State *lua)
{
	lua_settop(lua, 3);
	struct schema *key = check_schema(lua, 1, "map", "the first argument, of the keys,");
	struct schema *value = check_schema(lua, 2, "map", "the second argument, of the values,");
	struct schema *schema = push_schema(lua, SCHEMA_MAP);
	must(lua, schema_node_reserve(schema, 2, false, true));
	schema_node_add_child(schema, key);
	schema_node_add_child(schema, value);
	if (check_options(lua, 3, "map", option_names[SCHEMA_MAP]))
		read_bounds(lua, 3, schema);
	finish(lua, schema);
	return 1;
}

static int make_record(lua_State *lua)
{
	lua_settop(lua, 2);
	if (!lua_istable(lua, 1))
		return luaL_error(lua, "schema.record: expected a table of fields, got %s",
		    luaL_typename(lua, 1));
	value_settle(lua, 1);
	value_push_keys(lua, 1);
	int keys = lua_gettop(lua);
	size_t count = (size_t)lua_rawlen(lua, keys);
	if (count > SCHEMA_FIELDS_MAX)
		return luaL_error(lua, "schema.record: more than %d fields", SCHEMA_FIELDS_MAX);
	struct schema *schema = push_schema(lua, SCHEMA_RECORD);
	must(lua, schema_node_reserve(schema, count, true, true));
	for (size_t i = 1; i <= count; i++) {
		lua_rawgeti(lua, keys, (lua_Integer)i);
		if (lua_type(lua, -1) != LUA_TSTRING || !utf8_valid(text_at(lua, -1)))
			return luaL_error(lua, "schema.record: a field's name must be a string");
		const char *field = lua_pushfstring(lua, "field '%s'", lua_tostring(lua, -1));
		lua_pushvalue(lua, -2);
		lua_rawget(lua, 1);
		struct schema *child = check_schema(lua, -1, "record", field);
		must(lua, schema_node_add_name(schema, text_at(lua, -3)));
		schema_node_add_child(schema, child);
		lua_pop(lua, 3);
	}
	if (check_options(lua, 2, "record", "open")) {
		int type = lua_getfield(lua, 2, "open");
		if (type != LUA_TNIL && type != LUA_TBOOLEAN)
			return luaL_error(lua, "schema.record: open must be true or false");
		schema->open = lua_toboolean(lua, -1);
		lua_pop(lua, 1);
	}
	finish(lua, schema);
	return 1;
}

/* The default at `position` as MessagePack, checked. The buffer is a userdata, so that errors
 * raised free it. */
static int free_buffer(lua_State *lua)
{
	buffer_done(lua_touserdata(lua, 1));
	return 0;
}

static void read_default(lua_State *lua, int position, struct schema *schema)
{
	struct buffer *out = lua_newuserdatauv(lua, sizeof(*out), 0);
	buffer_init(out, PAYLOAD_BYTES_MAX);
	lua_createtable(lua, 0, 1);
	lua_pushcfunction(lua, free_buffer);
	lua_setfield(lua, -2, "__gc");
	lua_setmetatable(lua, -2);
	struct value_problem problem;
	int error = value_write_msgpack(lua, position, schema->children[0], out, &problem);
	if (error == ERR_INVALID)
		luaL_error(lua, "schema.optional: the default: %s", problem.why);
	if (error == ERR_TOO_LARGE)
		luaL_error(lua, "schema.optional: the default is too large");
	struct msgpack_reader reader;
	msgpack_reader_init(&reader, buffer_view(out), false, SCHEMA_DEFAULT_DEPTH_MAX);
	if (!error && msgpack_skip(&reader))
		luaL_error(lua, "schema.optional: the default is nested more than %d deep",
		    SCHEMA_DEFAULT_DEPTH_MAX);
	must(lua, error);
	must(lua, schema_node_set_text(schema, buffer_view(out)));
	buffer_done(out);
	lua_pop(lua, 1);
}

static int make_optional(lua_State *lua)
{
	lua_settop(lua, 2);
	struct schema *inner = check_schema(lua, 1, "optional", "the first argument");
	struct schema *schema = push_schema(lua, SCHEMA_OPTIONAL);
	must(lua, schema_node_reserve(schema, 1, false, true));
	schema_node_add_child(schema, inner);
	finish(lua, schema);
	if (!lua_isnil(lua, 2) && !value_is_null(lua, 2))
		read_default(lua, 2, schema);
	return 1;
}

static int make_one_of(lua_State *lua)
{
	lua_settop(lua, 2);
	if (!lua_istable(lua, 1))
		return luaL_error(lua, "schema.one_of: expected a list of schemas, got %s",
		    luaL_typename(lua, 1));
	value_settle(lua, 1);
	size_t count = (size_t)lua_rawlen(lua, 1);
	if (count > SCHEMA_FIELDS_MAX)
		return luaL_error(
		    lua, "schema.one_of: more than %d alternatives", SCHEMA_FIELDS_MAX);
	struct schema *schema = push_schema(lua, SCHEMA_ONE_OF);
	must(lua, schema_node_reserve(schema, count, false, true));
	for (size_t i = 1; i <= count; i++) {
		lua_rawgeti(lua, 1, (lua_Integer)i);
		const char *what = lua_pushfstring(lua, "alternative %d", (int)i);
		schema_node_add_child(schema, check_schema(lua, -2, "one_of", what));
		lua_pop(lua, 2);
	}
	if (check_options(lua, 2, "one_of", option_names[SCHEMA_ONE_OF])) {
		int type = lua_getfield(lua, 2, "tag");
		if (type != LUA_TSTRING && type != LUA_TNIL)
			return luaL_error(lua, "schema.one_of: tag must be a field's name");
		if (type == LUA_TSTRING)
			must(lua, schema_node_set_text(schema, text_at(lua, -1)));
		lua_pop(lua, 1);
	}
	finish(lua, schema);
	return 1;
}

/* --- Opening ---------------------------------------------------------------------------------- */

static void open_metatable(lua_State *lua)
{
	static const luaL_Reg methods[] = {{"__gc", free_holder}, {"__tostring", holder_text},
	    {"__call", call_holder}, {NULL, NULL}};
	lua_createtable(lua, 0, 5);
	luaL_setfuncs(lua, methods, 0);
	lua_pushboolean(lua, false);
	lua_setfield(lua, -2, "__metatable");
	lua_pushliteral(lua, "schema");
	lua_setfield(lua, -2, "__name");
	lua_rawsetp(lua, LUA_REGISTRYINDEX, own_key(OWN_KEY_HOLDER));
}

void schema_open(struct lua_State *lua)
{
	static const enum schema_kind bare[] = {SCHEMA_ANY, SCHEMA_STRING, SCHEMA_INTEGER,
	    SCHEMA_NUMBER, SCHEMA_BOOLEAN, SCHEMA_TIMESTAMP, SCHEMA_BYTES};
	static const luaL_Reg constructors[] = {{"list", make_list}, {"map", make_map},
	    {"record", make_record}, {"optional", make_optional}, {"one_of", make_one_of},
	    {NULL, NULL}};
	luaL_checkstack(lua, 10, NULL);
	value_open(lua);
	open_metatable(lua);
	lua_createtable(lua, 0, 12);
	luaL_setfuncs(lua, constructors, 0);
	for (size_t i = 0; i < sizeof(bare) / sizeof(bare[0]); i++) {
		finish(lua, push_schema(lua, bare[i]));
		struct holder *holder = lua_touserdata(lua, -1);
		holder->is_bare = true;
		lua_setfield(lua, -2, schema_kind_name(bare[i]));
	}
}

/* schema.KEY, where there is none. */
static int unknown_schema(lua_State *lua)
{
	struct slice names[SCHEMA_ONE_OF + 1];
	if (lua_type(lua, 2) != LUA_TSTRING)
		return luaL_error(lua, "schema has no %s key", luaL_typename(lua, 2));
	struct slice name;
	name.data = (const uint8_t *)lua_tolstring(lua, 2, &name.bytes);
	for (int kind = 0; kind <= SCHEMA_ONE_OF; kind++)
		names[kind] = slice_from_text(schema_kind_name((enum schema_kind)kind));
	return luaL_error(lua, "schema has no '%s'%s", (const char *)name.data,
	    push_suggestion(lua, name, names, SCHEMA_ONE_OF + 1));
}

void schema_refuse_unknown(struct lua_State *lua)
{
	luaL_checkstack(lua, 5, NULL);
	luaL_getmetafield(lua, -1, "__index");
	lua_createtable(lua, 0, 2);
	lua_pushcfunction(lua, unknown_schema);
	lua_setfield(lua, -2, "__index");
	lua_pushboolean(lua, false);
	lua_setfield(lua, -2, "__metatable");
	lua_setmetatable(lua, -2);
	lua_pop(lua, 1);
}
