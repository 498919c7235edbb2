/* A string in the making, in a block of Lua's memory on the stack: bounded and charged as it grows,
 * and, unlike luaL_Buffer, without a place on the C stack, so that it lives through pauses. */
#ifndef KX_SCRIPTING_LIB_TEXT_H
#define KX_SCRIPTING_LIB_TEXT_H

#include "scripting/sandbox_internal.h"

struct text {
	int slot; /* where the block stands on the stack */
	char *data;
	size_t used, capacity;
};

/* Pushes the block. */
void text_begin(lua_State *lua, struct text *text, size_t capacity);
/* Room for so many bytes more, at text->data + text->used. Raises; ends the run. */
void text_grow(lua_State *lua, struct text *text, size_t bytes);
static inline void text_add(lua_State *lua, struct text *text, const void *data, size_t bytes)
{
	if (bytes > text->capacity - text->used)
		text_grow(lua, text, bytes);
	memcpy(text->data + text->used, data, bytes);
	text->used += bytes;
}
/* Pushes the string; the block can be collected. */
void text_end(lua_State *lua, struct text *text);

#endif
