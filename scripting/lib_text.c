#include "scripting/lib_text.h"

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
