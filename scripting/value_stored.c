/* Values that a script changed, as they will be once they were stored: whether they are that
 * already, and made so in place. value.h says what for.
 *
 * The check costs what was touched: a lazy table of which nothing was taken is as it was stored. It
 * knows less than encoding does, and where it does not know it says no. */
#include "scripting/value_lazy.h"

#include "base/buffer.h"

#include <lauxlib.h>
#include <lua.h>

enum { SEEN_FEW = 16, SEEN_SLOTS = 1024, SEEN_MAX = 800 };

struct checker {
	lua_State *lua;
	struct value_state *state;
	struct value_work work;
	unsigned depth;
	/* Tables that were met: at two places they will be two. */
	unsigned seen_count;
	const void *few[SEEN_FEW];
	const void *seen[SEEN_SLOTS]; /* by address, once there are more; not used before */
};

static const struct schema any = {.kind = SCHEMA_ANY};

static bool add_seen(struct checker *checker, const void *table)
{
	size_t slot = (size_t)((uint64_t)(uintptr_t)table * 0x9e3779b97f4a7c15u >> 54);
	while (checker->seen[slot] && checker->seen[slot] != table)
		slot = (slot + 1) % SEEN_SLOTS;
	if (checker->seen[slot])
		return false;
	checker->seen[slot] = table;
	return true;
}

/* False where it was met before, or too many were. */
static bool see(struct checker *checker, const void *table)
{
	unsigned count = checker->seen_count++;
	if (count < SEEN_FEW) {
		for (unsigned i = 0; i < count; i++) {
			if (checker->few[i] == table)
				return false;
		}
		checker->few[count] = table;
		return true;
	}
	if (count == SEEN_FEW) {
		memset(checker->seen, 0, sizeof(checker->seen));
		for (unsigned i = 0; i < SEEN_FEW; i++)
			(void)add_seen(checker, checker->few[i]);
	}
	return count < SEEN_MAX && add_seen(checker, table);
}

/* NOLINTBEGIN(misc-no-recursion): bounded by VALUE_DEPTH_MAX */

static bool check_table(struct checker *checker, const struct schema *schema);

/* The value on top. */
static bool check(struct checker *checker, const struct schema *schema)
{
	lua_State *lua = checker->lua;
	int type = lua_type(lua, -1);
	switch (schema->kind) {
	case SCHEMA_STRING:
	case SCHEMA_BYTES:
		return type == LUA_TSTRING;
	case SCHEMA_INTEGER:
	case SCHEMA_TIMESTAMP:
		return lua_isinteger(lua, -1);
	case SCHEMA_NUMBER:
		return type == LUA_TNUMBER;
	case SCHEMA_BOOLEAN:
		return type == LUA_TBOOLEAN;
	case SCHEMA_LIST:
	case SCHEMA_MAP:
	case SCHEMA_RECORD:
		return type == LUA_TTABLE && check_table(checker, schema);
	case SCHEMA_ANY:
		if (type == LUA_TTABLE)
			return check_table(checker, schema);
		return type == LUA_TBOOLEAN || type == LUA_TNUMBER || type == LUA_TSTRING ||
		       value_is_null(lua, -1);
	case SCHEMA_OPTIONAL: /* outermost */
	case SCHEMA_ONE_OF:
		break;
	}
	return false;
}

static bool check_list(struct checker *checker, const struct schema *schema, int position)
{
	lua_State *lua = checker->lua;
	const struct schema *element = schema->kind == SCHEMA_LIST ? schema->children[0] : &any;
	size_t count = 0, length = (size_t)lua_rawlen(lua, position);
	value_work(&checker->work, 2 + length);
	lua_pushnil(lua);
	while (lua_next(lua, position)) {
		if (!lua_isinteger(lua, -2) || (size_t)lua_tointeger(lua, -2) > length ||
		    lua_tointeger(lua, -2) < 1 || !check(checker, element))
			return false;
		lua_pop(lua, 1);
		count++;
	}
	return count == length;
}

/* `node`: of a lazy table, or NULL. */
static bool check_record(struct checker *checker, const struct schema *schema, int position,
    const struct lazy_doc *doc, const struct lazy_node *node)
{
	lua_State *lua = checker->lua;
	const struct value_plan *plan = value_plan_of(lua, checker->state, schema);
	uint64_t given = 0;
	if (!plan || (node && node->schema != schema))
		return false;
	value_work(&checker->work, 2 + schema->count);
	lua_pushnil(lua);
	while (lua_next(lua, position)) {
		int i = plan_find_name(plan, lua_topointer(lua, -2));
		if (i < 0 && !lazy_is_link(lua, -2))
			return false;
		if (i >= 0) {
			const struct schema *field = schema->children[i];
			if (field->kind == SCHEMA_OPTIONAL)
				field = field->children[0];
			/* What is optional may be null, which will be nothing. */
			if (value_is_null(lua, -1) || !check(checker, field))
				return false;
			given |= (uint64_t)1 << i;
		}
		lua_pop(lua, 1);
	}
	for (uint64_t left = node ? node->given & ~given : 0; left; left &= left - 1) {
		uint32_t field = (uint32_t)__builtin_ctzll(left);
		if (!lazy_is_taken(doc, node, lazy_entry_of_field(node, field)))
			given |= (uint64_t)1 << field;
	}
	return ((plan->required | plan->defaults) & ~given) == 0;
}

static bool check_map(struct checker *checker, const struct schema *schema, int position,
    const struct lazy_node *node)
{
	lua_State *lua = checker->lua;
	const struct schema *value = schema->kind == SCHEMA_MAP ? schema->children[1] : &any;
	if (node && node->schema != (schema->kind == SCHEMA_MAP ? schema : NULL))
		return false;
	lua_pushnil(lua);
	while (lua_next(lua, position)) {
		if (lua_type(lua, -2) == LUA_TSTRING) {
			if (!check(checker, value))
				return false;
		} else if (!lazy_is_link(lua, -2)) {
			return false;
		}
		lua_pop(lua, 1);
		value_work(&checker->work, 4);
	}
	return true;
}

/* The table on top, which stays there. */
static bool check_table(struct checker *checker, const struct schema *schema)
{
	lua_State *lua = checker->lua;
	int position = lua_gettop(lua);
	if (checker->depth == VALUE_DEPTH_MAX || !lua_checkstack(lua, 8) ||
	    !see(checker, lua_topointer(lua, position)))
		return false;
	const void *mark = NULL;
	if (lua_getmetatable(lua, position)) {
		mark = lua_topointer(lua, -1);
		lua_pop(lua, 1);
	}
	struct lazy_found lazy = {0};
	bool is_list = mark == checker->state->list_mark;
	if (mark == checker->state->lazy_mark) {
		lazy = lazy_find(lua, checker->state, position);
		if (lazy.node->taken == 0 && !lazy.node->added)
			return true;
	} else if (mark && !is_list) {
		return false;
	}
	if (is_list ? schema->kind != SCHEMA_LIST && schema->kind != SCHEMA_ANY
	            : schema->kind == SCHEMA_LIST)
		return false;
	checker->depth++;
	bool is = is_list ? check_list(checker, schema, position)
	          : schema->kind == SCHEMA_RECORD
	              ? check_record(checker, schema, position, lazy.doc, lazy.node)
	              : check_map(checker, schema, position, lazy.node);
	checker->depth--;
	if (is)
		lua_settop(lua, position);
	return is;
}

static bool is_as_stored(
    lua_State *lua, struct value_state *state, int position, const struct schema *schema)
{
	int top = lua_gettop(lua);
	if (state->no_direct || (schema && !schema->direct) || !lua_checkstack(lua, 8))
		return false;
	struct checker checker;
	checker.lua = lua;
	checker.depth = checker.seen_count = 0;
	checker.state = state;
	checker.work = (struct value_work){.lua = lua, .units = 16};
	value_plans_trim(lua, state);
	lua_pushvalue(lua, position);
	bool is = check(&checker, schema ? schema : &any);
	lua_settop(lua, top);
	value_charge(&checker.work);
	return is;
}

/* ---- Made so ---- */

struct merger {
	lua_State *lua;
	int seen; /* a table: those that have their content */
};

/* The table at `to` gets the content of the one at `from`, which is plain and nobody else's; tables
 * that stand at the same place in both stay those of `to`. Both deep as what was decoded. */
static void merge(const struct merger *merger, int to, int from)
{
	lua_State *lua = merger->lua;
	luaL_checkstack(lua, 10, NULL);
	value_settle(lua, to);
	lua_pushvalue(lua, to);
	lua_pushboolean(lua, true);
	lua_rawset(lua, merger->seen);
	lua_pushnil(lua);
	while (lua_next(lua, to)) {
		lua_pop(lua, 1);
		lua_pushvalue(lua, -1);
		if (lua_rawget(lua, from) == LUA_TNIL) {
			lua_pushvalue(lua, -2);
			lua_pushnil(lua);
			lua_rawset(lua, to);
		}
		lua_pop(lua, 1);
	}
	/* In order, so that of two places the same one keeps the table every time. */
	value_push_keys(lua, from);
	int keys = lua_gettop(lua), key = keys + 1, value = keys + 2;
	for (lua_Integer i = 1; lua_rawgeti(lua, keys, i) != LUA_TNIL; i++) {
		lua_pushvalue(lua, key);
		lua_rawget(lua, from);
		lua_pushvalue(lua, key);
		bool both = lua_rawget(lua, to) == LUA_TTABLE && lua_istable(lua, value);
		lua_pushvalue(lua, -1);
		if (both && lua_rawget(lua, merger->seen) == LUA_TNIL) {
			merge(merger, value + 1, value);
		} else {
			lua_pushvalue(lua, key);
			lua_pushvalue(lua, value);
			lua_rawset(lua, to);
		}
		lua_settop(lua, keys);
	}
	lua_settop(lua, keys - 1);
	if (!lua_getmetatable(lua, from))
		lua_pushnil(lua);
	lua_setmetatable(lua, to);
}

/* NOLINTEND(misc-no-recursion) */

int value_make_stored(struct lua_State *lua, int position, const struct schema *schema,
    struct buffer *scratch, struct value_problem *problem)
{
	position = lua_absindex(lua, position);
	if (lua_type(lua, position) != LUA_TTABLE ||
	    is_as_stored(lua, value_state_of(lua), position, schema))
		return 0;
	luaL_checkstack(lua, 4, NULL);
	buffer_clear(scratch);
	int error = value_write_msgpack(lua, position, schema, scratch, problem);
	if (!error)
		error = value_push_msgpack(lua, buffer_view(scratch), schema, false, problem);
	if (error)
		return error;
	struct merger merger = {.lua = lua, .seen = lua_gettop(lua) + 1};
	lua_newtable(lua);
	merge(&merger, position, merger.seen - 1);
	lua_settop(lua, merger.seen - 2);
	return 0;
}
