/* table, but for sort (lib_sort.c). A table without a metatable is read and written raw; others by
 * indexing, so that what refuses writes or shows another table does so here, too. What goes through
 * a list pauses in the middle, but for metamethods that it calls. */
#include "scripting/lib_text.h"

static void read_at(lua_State *lua, int table, bool plain, lua_Integer index)
{
	if (plain)
		lua_rawgeti(lua, table, index);
	else
		lua_geti(lua, table, index);
}

/* Takes the value on top. */
static void write_at(lua_State *lua, int table, bool plain, lua_Integer index)
{
	if (plain)
		lua_rawseti(lua, table, index);
	else
		lua_seti(lua, table, index);
}

static lua_Integer length_of(lua_State *lua, int table, bool plain)
{
	return plain ? (lua_Integer)lua_rawlen(lua, table) : luaL_len(lua, table);
}

static bool check_table(lua_State *lua, int position)
{
	luaL_checktype(lua, position, LUA_TTABLE);
	return sandbox_is_plain(lua, position);
}

/* ---- Moves ---- */

/* Moves of many elements are charged piece by piece, so that a bad range ends at its budget, and
 * may pause behind each piece. The loops go on from what they pass as the context. */
enum { PIECE_ELEMENTS = 256 };

static bool piece_ends(lua_State *lua, lua_Integer moved)
{
	if (moved % PIECE_ELEMENTS != 0)
		return false;
	sandbox_charge(lua, PIECE_ELEMENTS * 2);
	return sandbox_slice_over(lua);
}

/* On the stack: table, place, value. */
static int insert_on(lua_State *lua, int status, lua_KContext from)
{
	(void)status;
	bool plain = sandbox_is_plain(lua, 1);
	lua_Integer at = lua_tointeger(lua, 2);
	for (lua_Integer i = (lua_Integer)from; i > at; i--) {
		read_at(lua, 1, plain, i - 1);
		write_at(lua, 1, plain, i);
		if (piece_ends(lua, i))
			return sandbox_pause(lua, (lua_KContext)(i - 1), insert_on);
	}
	write_at(lua, 1, plain, at);
	return 0;
}

static int table_insert(lua_State *lua)
{
	bool plain = check_table(lua, 1);
	lua_Integer end = (lua_Integer)((lua_Unsigned)length_of(lua, 1, plain) + 1);
	int top = lua_gettop(lua);
	if (top == 2) {
		write_at(lua, 1, plain, end);
		return 0;
	}
	if (top != 3)
		return luaL_error(lua, "wrong number of arguments to 'insert'");
	lua_Integer at = luaL_checkinteger(lua, 2);
	luaL_argcheck(lua, (lua_Unsigned)at - 1u < (lua_Unsigned)end, 2, "position out of bounds");
	sandbox_charge(lua, (uint64_t)(end - at) % PIECE_ELEMENTS * 2);
	return insert_on(lua, LUA_OK, (lua_KContext)end);
}

/* On the stack: table, place, size, what was removed. */
static int remove_on(lua_State *lua, int status, lua_KContext from)
{
	(void)status;
	bool plain = sandbox_is_plain(lua, 1);
	lua_Integer size = lua_tointeger(lua, 3), at = (lua_Integer)from;
	while (at < size) {
		read_at(lua, 1, plain, at + 1);
		write_at(lua, 1, plain, at);
		at++;
		if (piece_ends(lua, at))
			return sandbox_pause(lua, (lua_KContext)at, remove_on);
	}
	lua_pushnil(lua);
	write_at(lua, 1, plain, at);
	return 1;
}

static int table_remove(lua_State *lua)
{
	bool plain = check_table(lua, 1);
	lua_Integer size = length_of(lua, 1, plain);
	lua_Integer at = luaL_optinteger(lua, 2, size);
	if (!lua_isnone(lua, 2))
		luaL_argcheck(lua,
		    (lua_Unsigned)size + 1u >= (lua_Unsigned)at &&
		        (size == 0 || at >= 1 || at == size),
		    2, "position out of bounds");
	lua_settop(lua, 2);
	lua_pushinteger(lua, size);
	read_at(lua, 1, plain, at);
	return remove_on(lua, LUA_OK, (lua_KContext)at);
}

/* On the stack: the arguments, and whether it goes upward. */
static int move_on(lua_State *lua, int status, lua_KContext moved)
{
	(void)status;
	int target = lua_isnoneornil(lua, 5) ? 1 : 5;
	bool plain = sandbox_is_plain(lua, 1), target_plain = sandbox_is_plain(lua, target);
	bool upward = lua_toboolean(lua, 6);
	lua_Integer from = lua_tointeger(lua, 2), end = lua_tointeger(lua, 3);
	lua_Integer to = lua_tointeger(lua, 4), count = end >= from ? end - from + 1 : 0;
	for (lua_Integer i = (lua_Integer)moved; i < count;) {
		lua_Integer offset = upward ? i : count - 1 - i;
		read_at(lua, 1, plain, from + offset);
		write_at(lua, target, target_plain, to + offset);
		i++;
		if (piece_ends(lua, i))
			return sandbox_pause(lua, (lua_KContext)i, move_on);
	}
	lua_pushvalue(lua, target);
	return 1;
}

static int table_move(lua_State *lua)
{
	(void)check_table(lua, 1);
	lua_Integer from = luaL_checkinteger(lua, 2), end = luaL_checkinteger(lua, 3);
	lua_Integer to = luaL_checkinteger(lua, 4);
	int target = lua_isnoneornil(lua, 5) ? 1 : 5;
	(void)check_table(lua, target);
	lua_settop(lua, 5);
	bool upward = true;
	if (end >= from) {
		luaL_argcheck(
		    lua, from > 0 || end < LUA_MAXINTEGER + from, 3, "too many elements to move");
		lua_Integer count = end - from + 1;
		luaL_argcheck(lua, to <= LUA_MAXINTEGER - count + 1, 4, "destination wrap around");
		upward = to > end || to <= from ||
		         (target != 1 && !lua_compare(lua, 1, target, LUA_OPEQ));
	}
	lua_pushboolean(lua, upward);
	return move_on(lua, LUA_OK, 0);
}

/* ---- concat ---- */

enum { CONCAT_STATE = 5 };

struct concat {
	struct text out;
	lua_Integer at, to;
	unsigned uncharged;
};

static int concat_on(lua_State *lua, int status, lua_KContext context)
{
	enum { PIECE = 64 };
	(void)status;
	(void)context;
	struct concat *concat = lua_touserdata(lua, CONCAT_STATE);
	bool plain = sandbox_is_plain(lua, 1);
	size_t between_bytes, bytes;
	const char *between = luaL_optlstring(lua, 2, "", &between_bytes);
	while (concat->at <= concat->to) {
		read_at(lua, 1, plain, concat->at);
		if (!lua_isstring(lua, -1))
			return luaL_error(lua,
			    "invalid value (a %s at index %I) in table for 'concat'",
			    luaL_typename(lua, -1), (LUAI_UACINT)concat->at);
		const char *text = lua_tolstring(lua, -1, &bytes);
		text_add(lua, &concat->out, text, bytes);
		lua_pop(lua, 1);
		if (concat->at == concat->to)
			break;
		text_add(lua, &concat->out, between, between_bytes);
		concat->at++;
		if (++concat->uncharged < PIECE)
			continue;
		concat->uncharged = 0;
		sandbox_charge(lua, PIECE * 4);
		if (sandbox_slice_over(lua))
			return sandbox_pause(lua, 0, concat_on);
	}
	text_end(lua, &concat->out);
	return 1;
}

static int table_concat(lua_State *lua)
{
	bool plain = check_table(lua, 1);
	(void)luaL_optlstring(lua, 2, "", NULL);
	lua_Integer from = luaL_optinteger(lua, 3, 1);
	lua_Integer to =
	    lua_isnoneornil(lua, 4) ? length_of(lua, 1, plain) : luaL_checkinteger(lua, 4);
	lua_settop(lua, CONCAT_STATE - 1);
	sandbox_charge(lua, 10);
	struct concat *concat = lua_newuserdatauv(lua, sizeof(*concat), 0);
	*concat = (struct concat){.at = from, .to = to};
	text_begin(lua, &concat->out, 256);
	return concat_on(lua, LUA_OK, 0);
}

static int table_pack(lua_State *lua)
{
	int count = lua_gettop(lua);
	sandbox_charge(lua, (uint64_t)count);
	sandbox_charge_bytes(lua, (uint64_t)count * 16);
	sandbox_create_table(lua, (size_t)count, 1);
	lua_insert(lua, 1);
	for (int i = count; i >= 1; i--)
		lua_rawseti(lua, 1, i);
	lua_pushinteger(lua, count);
	lua_setfield(lua, 1, "n");
	return 1;
}

static int table_unpack(lua_State *lua)
{
	bool plain = lua_istable(lua, 1) && sandbox_is_plain(lua, 1);
	lua_Integer from = luaL_optinteger(lua, 2, 1);
	lua_Integer to = lua_isnoneornil(lua, 3) ? luaL_len(lua, 1) : luaL_checkinteger(lua, 3);
	if (from > to)
		return 0;
	/* Without a sign the difference does not overflow, whatever the ends are. */
	lua_Unsigned more = (lua_Unsigned)to - (lua_Unsigned)from;
	if (more >= SANDBOX_VALUES_MAX || !lua_checkstack(lua, (int)more + 1))
		return luaL_error(lua, "too many results to unpack");
	sandbox_charge(lua, more);
	for (lua_Unsigned i = 0; i <= more; i++)
		read_at(lua, 1, plain, (lua_Integer)((lua_Unsigned)from + i));
	return (int)more + 1;
}

void sandbox_open_table(lua_State *lua)
{
	static const luaL_Reg functions[] = {
	    {"concat", table_concat},
	    {"insert", table_insert},
	    {"move", table_move},
	    {"pack", table_pack},
	    {"remove", table_remove},
	    {"unpack", table_unpack},
	    {NULL, NULL},
	};
	luaL_newlib(lua, functions);
}
