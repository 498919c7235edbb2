/* table.sort: a stable merge sort. Its elements are read first and written back at the end, so an
 * error leaves the table as it was, and an order that contradicts itself gives some order, never an
 * error. Between two comparisons everything stands in Lua's memory: a function may pause. */
#include "scripting/sandbox_keys.h"

#include "base/assert.h"

/* Positions on the stack. `FROM` and `TO` are lists that are merged back and forth. */
enum { TABLE = 1, FUNCTION, STATE, FROM, TO, TOP = TO };

struct sort {
	lua_Integer count;
	lua_Integer width;            /* of sorted pieces in FROM */
	lua_Integer left, right, out; /* next ones of both pieces, and where the next goes */
	lua_Integer left_end, right_end;
};

static lua_Integer least(lua_Integer a, lua_Integer b)
{
	return a < b ? a : b;
}

/* Sets the pieces that begin behind `out`. */
static void begin_pieces(struct sort *sort)
{
	sort->left = sort->out;
	sort->left_end = sort->right = least(sort->left + sort->width, sort->count);
	sort->right_end = least(sort->right + sort->width, sort->count);
}

static void take(lua_State *lua, struct sort *sort, bool right)
{
	lua_rawgeti(lua, FROM, (right ? sort->right++ : sort->left++) + 1);
	lua_rawseti(lua, TO, ++sort->out);
}

static void write_back(lua_State *lua, const struct sort *sort)
{
	bool plain = sandbox_is_plain(lua, TABLE);
	for (lua_Integer i = 1; i <= sort->count; i++) {
		lua_rawgeti(lua, FROM, i);
		if (plain)
			lua_rawseti(lua, TABLE, i);
		else
			lua_seti(lua, TABLE, i);
	}
}

/* Goes on until two elements must be compared (true), those at right and left; or all is done. */
static bool advance(lua_State *lua, struct sort *sort)
{
	while (sort->width < sort->count) {
		if (sort->left < sort->left_end && sort->right < sort->right_end)
			return true;
		if (sort->left < sort->left_end || sort->right < sort->right_end) {
			take(lua, sort, sort->left == sort->left_end);
			continue;
		}
		if (sort->out == sort->count) {
			lua_pushvalue(lua, FROM);
			lua_copy(lua, TO, FROM);
			lua_replace(lua, TO);
			sort->width *= 2;
			sort->out = 0;
		}
		begin_pieces(sort);
	}
	return false;
}

static int go_on(lua_State *lua, int status, lua_KContext context);

static int run(lua_State *lua, struct sort *sort)
{
	while (advance(lua, sort)) {
		sandbox_charge(lua, 4);
		if (lua_isnil(lua, FUNCTION)) {
			lua_rawgeti(lua, FROM, sort->right + 1);
			lua_rawgeti(lua, FROM, sort->left + 1);
			bool less = lua_compare(lua, -2, -1, LUA_OPLT);
			lua_settop(lua, TOP);
			take(lua, sort, less);
			continue;
		}
		lua_pushvalue(lua, FUNCTION);
		lua_rawgeti(lua, FROM, sort->right + 1);
		lua_rawgeti(lua, FROM, sort->left + 1);
		lua_callk(lua, 2, 1, 0, go_on);
		bool less = lua_toboolean(lua, -1);
		lua_settop(lua, TOP);
		take(lua, sort, less);
	}
	write_back(lua, sort);
	return 0;
}

static int go_on(lua_State *lua, int status, lua_KContext context)
{
	(void)status;
	(void)context;
	struct sort *sort = lua_touserdata(lua, STATE);
	bool less = lua_toboolean(lua, -1);
	lua_settop(lua, TOP);
	take(lua, sort, less);
	return run(lua, sort);
}

/* Numbers alone, or strings alone, need no calls. */
static bool sort_simple(lua_State *lua, const struct sort *sort)
{
	size_t count = (size_t)sort->count;
	sandbox_charge_bytes(lua, 2 * count * sizeof(struct sandbox_key));
	struct sandbox_key *keys =
	    lua_newuserdatauv(lua, 2 * count * sizeof(struct sandbox_key), 0);
	size_t texts = 0, numbers = 0;
	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(lua, FROM, (lua_Integer)i + 1);
		sandbox_key_read(lua, -1, &keys[i]);
		keys[i].place = (int)i + 1;
		texts += keys[i].kind == KEY_STRING;
		numbers += keys[i].kind == KEY_INTEGER || keys[i].kind == KEY_FLOAT;
		lua_pop(lua, 1);
	}
	if (texts != count && numbers != count) {
		lua_settop(lua, TOP);
		return false;
	}
	sandbox_keys_sort(lua, keys, keys + count, count);
	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(lua, FROM, keys[i].place);
		lua_rawseti(lua, TO, (lua_Integer)i + 1);
	}
	lua_copy(lua, TO, FROM);
	lua_settop(lua, TOP);
	return true;
}

static int table_sort(lua_State *lua)
{
	luaL_checktype(lua, TABLE, LUA_TTABLE);
	bool plain = sandbox_is_plain(lua, TABLE);
	lua_Integer count = plain ? (lua_Integer)lua_rawlen(lua, TABLE) : luaL_len(lua, TABLE);
	if (!lua_isnoneornil(lua, FUNCTION))
		luaL_checktype(lua, FUNCTION, LUA_TFUNCTION);
	lua_settop(lua, FUNCTION);
	if (count < 2)
		return 0;
	luaL_argcheck(lua, count < INT32_MAX / 4, TABLE, "array too big");
	sandbox_charge(lua, (uint64_t)count * 2);
	sandbox_charge_bytes(lua, (uint64_t)count * 2 * 16);
	struct sort *sort = lua_newuserdatauv(lua, sizeof(*sort), 0);
	*sort = (struct sort){.count = count, .width = 1};
	lua_createtable(lua, (int)count, 0);
	lua_createtable(lua, (int)count, 0);
	ASSERT(lua_gettop(lua) == TOP);
	for (lua_Integer i = 1; i <= count; i++) {
		if (plain)
			lua_rawgeti(lua, TABLE, i);
		else
			lua_geti(lua, TABLE, i);
		lua_rawseti(lua, FROM, i);
	}
	if (lua_isnil(lua, FUNCTION) && sort_simple(lua, sort)) {
		write_back(lua, sort);
		return 0;
	}
	begin_pieces(sort);
	return run(lua, sort);
}

void sandbox_open_sort(lua_State *lua)
{
	lua_pushcfunction(lua, table_sort);
	lua_setfield(lua, -2, "sort");
}
