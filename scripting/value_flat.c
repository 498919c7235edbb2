/* Small tables to JSON: what most replies are, a few fields without a schema, none of them a table.
 * One walk finds what there is, which is printed from where Lua has it. */
#include "base/wire/decimal.h"
#include "base/wire/json_writer.h"
#include "scripting/value_pack.h"
#include "scripting/value_short_json.h"

#include <lua.h>

enum {
	/* Of a scalar that is no text, and what stands around key and value. */
	SCALAR_BYTES_MAX = 32,
	FLAT_FIELDS_MAX = 8,
	FLAT_TEXT_BYTES_MAX = 256,
};

struct flat {
	struct pack_item fields[FLAT_FIELDS_MAX]; /* in the order of their keys */
	size_t count;
	size_t bytes_max; /* of their JSON */
};

static bool take_flat_text(lua_State *lua, int position, struct slice *ret_text)
{
	size_t bytes;
	const char *data = lua_tolstring(lua, position, &bytes);
	*ret_text = slice_of(data, bytes);
	return bytes <= FLAT_TEXT_BYTES_MAX && text_valid(ret_text->data, bytes);
}

/* The value on top. */
static bool take_flat_value(lua_State *lua, struct pack_item *item)
{
	switch (lua_type(lua, -1)) {
	case LUA_TBOOLEAN:
		item->type = lua_toboolean(lua, -1) ? ITEM_TRUE : ITEM_FALSE;
		return true;
	case LUA_TNUMBER:
		item->type = ITEM_INTEGER;
		item->integer = lua_tointeger(lua, -1);
		/* Doubles are rare, and need more. */
		return lua_isinteger(lua, -1);
	case LUA_TSTRING:
		item->type = ITEM_TEXT;
		return take_flat_text(lua, -1, &item->text);
	}
	return false;
}

/* The fields of the table at `position`; false where it is not so. Leaves slots on the stack. */
static bool take_flat(lua_State *lua, int position, struct flat *flat)
{
	flat->count = 0;
	flat->bytes_max = 2;
	if (lua_getmetatable(lua, position))
		return false;
	lua_pushnil(lua);
	while (lua_next(lua, position)) {
		struct pack_item item;
		if (flat->count == FLAT_FIELDS_MAX || lua_type(lua, -2) != LUA_TSTRING ||
		    !take_flat_text(lua, -2, &item.key) || !take_flat_value(lua, &item))
			return false;
		lua_pop(lua, 1);
		size_t at = flat->count++;
		for (; at > 0 && slice_compare(item.key, flat->fields[at - 1].key) < 0; at--)
			flat->fields[at] = flat->fields[at - 1];
		flat->fields[at] = item;
		flat->bytes_max += 6 * (item.key.bytes + content_bytes(&item)) + SCALAR_BYTES_MAX;
	}
	return true;
}

static uint8_t *print_flat_value(const struct pack_item *item, uint8_t *to)
{
	if (item->type == ITEM_INTEGER)
		return to + decimal_write_integer(item->integer, to);
	if (item->type == ITEM_TEXT)
		return json_quote(item->text, to);
	bool is_true = item->type == ITEM_TRUE;
	memcpy(to, is_true ? "true" : "false", 5);
	return to + (is_true ? 4 : 5);
}

bool value_print_flat(
    struct lua_State *lua, struct value_state *state, int position, struct buffer *out)
{
	struct flat flat;
	uint8_t *room;
	if (!lua_checkstack(lua, 4) || !take_flat(lua, position, &flat) ||
	    buffer_reserve(out, flat.bytes_max, &room))
		return false;
	uint8_t *to = room;
	*to++ = '{';
	for (size_t i = 0; i < flat.count; i++) {
		if (i > 0)
			*to++ = ',';
		to = json_quote(flat.fields[i].key, to);
		*to++ = ':';
		to = print_flat_value(&flat.fields[i], to);
	}
	*to++ = '}';
	buffer_commit(out, (size_t)(to - room));
	state->direct_count++;
	struct value_work work = {
	    .lua = lua, .units = 16 + 4 * flat.count + (size_t)(to - room) / 16};
	value_charge(&work);
	return true;
}
