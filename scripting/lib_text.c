#include "scripting/lib_text.h"

#include "base/limits.h"

#include <string.h>

void text_begin(lua_State *lua, struct text *text, size_t capacity)
{
	sandbox_charge_text(lua, capacity);
	text->data = lua_newuserdatauv(lua, capacity ? capacity : 1, 0);
	text->slot = lua_gettop(lua);
	text->used = 0;
	text->capacity = capacity;
}

void text_grow(lua_State *lua, struct text *text, size_t bytes)
{
	/* Where it can never fit the run ends here, before sizes are added up. */
	if (bytes > SANDBOX_TEXT_BYTES_MAX)
		sandbox_charge_text(lua, bytes);
	size_t capacity = text->capacity * 2;
	if (capacity < text->used + bytes)
		capacity = text->used + bytes;
	if (capacity > SANDBOX_TEXT_BYTES_MAX && text->used + bytes <= SANDBOX_TEXT_BYTES_MAX)
		capacity = SANDBOX_TEXT_BYTES_MAX;
	sandbox_charge_text(lua, capacity);
	char *data = lua_newuserdatauv(lua, capacity, 0);
	memcpy(data, text->data, text->used);
	lua_replace(lua, text->slot);
	text->data = data;
	text->capacity = capacity;
}

void text_end(lua_State *lua, struct text *text)
{
	sandbox_charge_text(lua, text->used);
	lua_pushlstring(lua, text->data, text->used);
}

/* ---- Strings of a known length ---- */

/* Shorter ones are copied. */
#define IN_PLACE_BYTES_MIN (128 * KIB)

/* What stands before the bytes of a long string: whatever its block has beyond them and their 0. */
static size_t text_head(lua_State *lua, struct sandbox *sandbox)
{
	enum { LONG = 100 };
	if (sandbox->text_head == 0) {
		char text[LONG] = {0};
		uint64_t before = sandbox->bytes;
		lua_pushlstring(lua, text, LONG);
		sandbox->text_head = (size_t)(sandbox->bytes - before) - LONG - 1;
		lua_pop(lua, 1);
	}
	return sandbox->text_head;
}

/* Lua has a function only that copies what it is given. It is given the very bytes into which it
 * copies, so that memcpy has nothing to do; compilers rely on that, too, where they assign one
 * struct to itself. Were the block another one, what is copied there would be no loss. */
static bool push_in_place(lua_State *lua, size_t bytes)
{
	struct sandbox *sandbox = sandbox_from(lua);
	if (bytes < IN_PLACE_BYTES_MIN)
		return false;
	size_t head = text_head(lua, sandbox);
	const char *block = blocks_next(&sandbox->blocks, head + bytes + 1);
	if (!block)
		return false;
	lua_pushlstring(lua, block + head, bytes);
	return true;
}

char *sandbox_make(struct lua_State *lua, size_t bytes)
{
	luaL_checkstack(lua, 2, NULL);
	if (!push_in_place(lua, bytes))
		lua_newuserdatauv(lua, bytes ? bytes : 1, 0);
	return sandbox_making(lua, -1);
}

char *sandbox_making(struct lua_State *lua, int position)
{
	if (lua_type(lua, position) == LUA_TSTRING)
		return (char *)(uintptr_t)lua_tostring(lua, position);
	return lua_touserdata(lua, position);
}

void sandbox_made(struct lua_State *lua, int position, size_t bytes)
{
	if (lua_type(lua, position) == LUA_TSTRING)
		lua_pushvalue(lua, position);
	else
		lua_pushlstring(lua, lua_touserdata(lua, position), bytes);
}
