/* table, but for sort (lib_sort.c). A table without a metatable is read and written raw; others by
 * indexing, so that what refuses writes or shows another table does so here, too. */
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

/* Moves of many elements are charged piece by piece: a bad range ends at its budget. */
static void charge_moves(lua_State *lua, lua_Integer moved)
{
	if (moved % 256 == 0)
		sandbox_charge(lua, 256 * 2);
}

static int table_insert(lua_State *lua)
{
	bool plain = check_table(lua, 1);
	lua_Integer end = (lua_Integer)((lua_Unsigned)length_of(lua, 1, plain) + 1), at = end;
	int top = lua_gettop(lua);
	if (top != 2 && top != 3)
		return luaL_error(lua, "wrong number of arguments to 'insert'");
	if (top == 3) {
		at = luaL_checkinteger(lua, 2);
		luaL_argcheck(
		    lua, (lua_Unsigned)at - 1u < (lua_Unsigned)end, 2, "position out of bounds");
		sandbox_charge(lua, (uint64_t)(end - at) % 256 * 2);
		for (lua_Integer i = end; i > at; i--) {
			charge_moves(lua, end - i + 1);
			read_at(lua, 1, plain, i - 1);
			write_at(lua, 1, plain, i);
		}
	}
	write_at(lua, 1, plain, at);
	return 0;
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
	read_at(lua, 1, plain, at);
	for (lua_Integer from = at; at < size; at++) {
		charge_moves(lua, at - from + 1);
		read_at(lua, 1, plain, at + 1);
		write_at(lua, 1, plain, at);
	}
	lua_pushnil(lua);
	write_at(lua, 1, plain, at);
	return 1;
}

static int table_move(lua_State *lua)
{
	bool plain = check_table(lua, 1);
	lua_Integer from = luaL_checkinteger(lua, 2), end = luaL_checkinteger(lua, 3);
	lua_Integer to = luaL_checkinteger(lua, 4);
	int target = lua_isnoneornil(lua, 5) ? 1 : 5;
	bool target_plain = check_table(lua, target);
	if (end >= from) {
		luaL_argcheck(
		    lua, from > 0 || end < LUA_MAXINTEGER + from, 3, "too many elements to move");
		lua_Integer count = end - from + 1;
		luaL_argcheck(lua, to <= LUA_MAXINTEGER - count + 1, 4, "destination wrap around");
		bool upward = to > end || to <= from ||
		              (target != 1 && !lua_compare(lua, 1, target, LUA_OPEQ));
		for (lua_Integer i = 0; i < count; i++) {
			lua_Integer offset = upward ? i : count - 1 - i;
			charge_moves(lua, i + 1);
			read_at(lua, 1, plain, from + offset);
			write_at(lua, target, target_plain, to + offset);
		}
	}
	lua_pushvalue(lua, target);
	return 1;
}

static int table_concat(lua_State *lua)
{
	bool plain = check_table(lua, 1);
	size_t between_bytes;
	const char *between = luaL_optlstring(lua, 2, "", &between_bytes);
	lua_Integer from = luaL_optinteger(lua, 3, 1);
	lua_Integer to =
	    lua_isnoneornil(lua, 4) ? length_of(lua, 1, plain) : luaL_checkinteger(lua, 4);
	lua_settop(lua, 4);
	struct text out;
	text_begin(lua, &out, 256);
	sandbox_charge(lua, 10);
	for (lua_Integer i = from; i <= to; i++) {
		size_t bytes;
		if ((i - from) % 64 == 63)
			sandbox_charge(lua, 64 * 4);
		read_at(lua, 1, plain, i);
		if (!lua_isstring(lua, -1))
			return luaL_error(lua,
			    "invalid value (a %s at index %I) in table for 'concat'",
			    luaL_typename(lua, -1), (LUAI_UACINT)i);
		const char *text = lua_tolstring(lua, -1, &bytes);
		text_add(lua, &out, text, bytes);
		lua_pop(lua, 1);
		if (i == to)
			break;
		text_add(lua, &out, between, between_bytes);
	}
	text_end(lua, &out);
	return 1;
}

static int table_pack(lua_State *lua)
{
	int count = lua_gettop(lua);
	sandbox_charge(lua, (uint64_t)count);
	sandbox_charge_bytes(lua, (uint64_t)count * 16);
	lua_createtable(lua, count, 1);
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
