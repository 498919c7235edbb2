/* utf8: what goes over whole texts does so in pieces; the rest is Lua's own, behind what it must be
 * charged for. */
#include "scripting/sandbox_internal.h"

static int utf8_char(lua_State *lua)
{
	sandbox_charge(lua, 4 * (uint64_t)lua_gettop(lua));
	sandbox_charge_text(lua, 8 * (uint64_t)lua_gettop(lua));
	return sandbox_stock(lua, STOCK_UTF8_CHAR);
}

static int utf8_codepoint(lua_State *lua)
{
	size_t bytes;
	luaL_checklstring(lua, 1, &bytes);
	lua_Integer from = luaL_optinteger(lua, 2, 1);
	lua_Integer to = luaL_optinteger(lua, 3, from);
	if (from < 0)
		from = (size_t)0 - (size_t)from > bytes ? 0 : (lua_Integer)bytes + from + 1;
	if (to < 0)
		to = (size_t)0 - (size_t)to > bytes ? 0 : (lua_Integer)bytes + to + 1;
	if (from >= 1 && to <= (lua_Integer)bytes && to - from >= SANDBOX_VALUES_MAX)
		return luaL_error(lua, "string slice too long");
	sandbox_charge(lua, to > from ? (uint64_t)(to - from) : 1);
	return sandbox_stock(lua, STOCK_UTF8_CODEPOINT);
}

/* Looked at without a look at the clock. */
enum { PIECE_BYTES = 16 * 1024 };

/* From 1, negative from the end; 0 where that is before the first. */
static lua_Integer position_of(lua_Integer at, size_t bytes)
{
	if (at >= 0)
		return at;
	return (size_t)0 - (size_t)at > bytes ? 0 : (lua_Integer)bytes + at + 1;
}

/* Where the character ends that begins last at or before `at`: behind what was found valid. */
static lua_Integer end_of_character(const char *text, lua_Integer at)
{
	while (((unsigned char)text[at] & 0xc0) == 0x80)
		at--;
	unsigned char first = (unsigned char)text[at];
	return at + (first < 0x80 ? 1 : __builtin_clz((unsigned)(unsigned char)~first) - 24);
}

/* Lua's own, a piece of the text at a time. */
static int utf8_len(lua_State *lua)
{
	size_t bytes;
	const char *text = luaL_checklstring(lua, 1, &bytes);
	lua_Integer from = position_of(luaL_optinteger(lua, 2, 1), bytes);
	lua_Integer to = position_of(luaL_optinteger(lua, 3, -1), bytes), count = 0;
	luaL_argcheck(
	    lua, 1 <= from && from - 1 <= (lua_Integer)bytes, 2, "initial position out of bounds");
	luaL_argcheck(lua, to <= (lua_Integer)bytes, 3, "final position out of bounds");
	lua_settop(lua, 4);
	for (;;) {
		lua_Integer end = to - from < PIECE_BYTES ? to : from + PIECE_BYTES - 1;
		lua_pushinteger(lua, from);
		lua_replace(lua, 2);
		lua_pushinteger(lua, end);
		lua_replace(lua, 3);
		sandbox_spend(lua, 4 + (end > from ? (uint64_t)(end - from) / 4 : 0));
		int results = sandbox_stock(lua, STOCK_UTF8_LEN);
		if (results != 1)
			return results;
		count += lua_tointeger(lua, -1);
		if (end == to)
			break;
		from = end_of_character(text, end - 1) + 1;
		lua_settop(lua, 4);
	}
	lua_pushinteger(lua, count);
	return 1;
}

static bool continues(const char *text, lua_Integer at)
{
	return ((unsigned char)text[at] & 0xc0) == 0x80;
}

/* Moves from where a character begins (from 0) to where another does, `count` behind or before it,
 * or to an end of the text. How many are left then. */
static lua_Integer move(
    lua_State *lua, const char *text, lua_Integer bytes, lua_Integer count, lua_Integer *at)
{
	lua_Integer step = count < 0 ? -1 : 1, end = count < 0 ? 0 : bytes;
	for (unsigned spent = 0; count != 0 && *at != end; count -= step) {
		do {
			*at += step;
			if (++spent % PIECE_BYTES == 0)
				sandbox_spend(lua, PIECE_BYTES / 2);
		} while (*at != end && continues(text, *at));
	}
	return count;
}

static int utf8_offset(lua_State *lua)
{
	size_t bytes;
	const char *text = luaL_checklstring(lua, 1, &bytes);
	lua_Integer number = luaL_checkinteger(lua, 2), length = (lua_Integer)bytes;
	lua_Integer at =
	    position_of(luaL_optinteger(lua, 3, number > 0 ? 1 : length + 1), bytes) - 1;
	luaL_argcheck(lua, 0 <= at && at <= length, 3, "position out of bounds");
	sandbox_charge(lua, 4);
	lua_Integer left = 0;
	if (number == 0 && continues(text, at)) {
		(void)move(lua, text, length, -1, &at);
	} else if (number != 0) {
		if (continues(text, at))
			return luaL_error(lua, "initial position is a continuation byte");
		left = move(lua, text, length, number > 0 ? number - 1 : number, &at);
	}
	if (left == 0)
		lua_pushinteger(lua, at + 1);
	else
		luaL_pushfail(lua);
	return 1;
}

void sandbox_open_utf8(lua_State *lua)
{
	static const luaL_Reg functions[] = {
	    {"char", utf8_char},
	    {"codepoint", utf8_codepoint},
	    {"len", utf8_len},
	    {"offset", utf8_offset},
	    {NULL, NULL},
	};
	lua_pushcfunction(lua, luaopen_utf8);
	lua_call(lua, 0, 1);
	sandbox_take_stock(lua, STOCK_UTF8_CHAR, "char");
	sandbox_take_stock(lua, STOCK_UTF8_CODEPOINT, "codepoint");
	sandbox_take_stock(lua, STOCK_UTF8_LEN, "len");
	luaL_setfuncs(lua, functions, 0);
}
