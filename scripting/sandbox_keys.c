#include "scripting/sandbox_keys.h"

#include "base/assert.h"

#include <math.h>

/* The first eight bytes, the first one as the highest; zeros behind the end. */
static uint64_t prefix_of(struct slice text)
{
	uint64_t prefix = 0;
	if (text.bytes >= sizeof(prefix)) {
		memcpy(&prefix, text.data, sizeof(prefix));
		return __builtin_bswap64(prefix);
	}
	for (size_t i = 0; i < text.bytes; i++)
		prefix |= (uint64_t)text.data[i] << (56 - 8 * i);
	return prefix;
}

void sandbox_key_read(lua_State *lua, int position, struct sandbox_key *ret_key)
{
	size_t bytes;
	switch (lua_type(lua, position)) {
	case LUA_TNUMBER:
		if (lua_isinteger(lua, position)) {
			ret_key->kind = KEY_INTEGER;
			ret_key->integer = lua_tointeger(lua, position);
			ret_key->prefix = (uint64_t)ret_key->integer ^ UINT64_C(1) << 63;
		} else {
			ret_key->kind = KEY_FLOAT;
			ret_key->number = lua_tonumber(lua, position);
		}
		return;
	case LUA_TSTRING: {
		const char *text = lua_tolstring(lua, position, &bytes);
		ret_key->kind = KEY_STRING;
		ret_key->text = slice_of(text, bytes);
		ret_key->prefix = prefix_of(ret_key->text);
		return;
	}
	case LUA_TBOOLEAN:
		ret_key->kind = lua_toboolean(lua, position) ? KEY_TRUE : KEY_FALSE;
		return;
	default:
		ret_key->kind = KEY_OTHER;
		ret_key->prefix = (uint64_t)lua_type(lua, position);
	}
}

static int compare_mixed(lua_Integer integer, lua_Number number)
{
	if (isnan(number))
		return 0;
	if (number >= 0x1p63)
		return -1;
	if (number < -0x1p63)
		return 1;
	lua_Number floor_of = floor(number);
	lua_Integer whole = (lua_Integer)floor_of;
	if (integer != whole)
		return integer < whole ? -1 : 1;
	return number > floor_of ? -1 : 0;
}

/* The common cases, without a call. */
static inline bool is_less(const struct sandbox_key *a, const struct sandbox_key *b)
{
	if (a->kind == b->kind && a->kind <= KEY_STRING && a->kind != KEY_FLOAT &&
	    a->prefix != b->prefix)
		return a->prefix < b->prefix;
	return sandbox_key_compare(a, b) < 0;
}

int sandbox_key_compare(const struct sandbox_key *a, const struct sandbox_key *b)
{
	if (a->kind == KEY_STRING && b->kind == KEY_STRING)
		return slice_compare(a->text, b->text);
	if (a->kind == b->kind && (a->kind == KEY_INTEGER || a->kind == KEY_OTHER))
		return (a->prefix > b->prefix) - (a->prefix < b->prefix);
	if (a->kind == KEY_FLOAT && b->kind == KEY_FLOAT)
		return (a->number > b->number) - (a->number < b->number);
	if (a->kind == KEY_INTEGER && b->kind == KEY_FLOAT)
		return compare_mixed(a->integer, b->number);
	if (a->kind == KEY_FLOAT && b->kind == KEY_INTEGER)
		return -compare_mixed(b->integer, a->number);
	return (a->kind > b->kind) - (a->kind < b->kind);
}

static void insertion_sort(struct sandbox_key *keys, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct sandbox_key key = keys[i];
		size_t at = i;
		for (; at > 0 && is_less(&key, &keys[at - 1]); at--)
			keys[at] = keys[at - 1];
		keys[at] = key;
	}
}

static void merge(const struct sandbox_key *from, struct sandbox_key *to, size_t middle, size_t end)
{
	size_t left = 0, right = middle;
	for (size_t i = 0; i < end; i++) {
		bool take_right =
		    left == middle || (right < end && is_less(&from[right], &from[left]));
		to[i] = take_right ? from[right++] : from[left++];
	}
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

void sandbox_keys_sort(
    lua_State *lua, struct sandbox_key *keys, struct sandbox_key *scratch, size_t count)
{
	enum { SMALL = 12 };
	if (count <= SMALL) {
		insertion_sort(keys, count);
		return;
	}
	uint64_t text_bytes = 0;
	for (size_t i = 0; i < count; i++) {
		if (keys[i].kind == KEY_STRING)
			text_bytes += keys[i].text.bytes;
	}
	for (size_t i = 0; i < count; i += SMALL)
		insertion_sort(keys + i, least(SMALL, count - i));
	struct sandbox_key *from = keys, *to = scratch;
	for (size_t width = SMALL; width < count; width *= 2) {
		sandbox_charge(lua, count * 2 + text_bytes / 16);
		for (size_t i = 0; i < count; i += 2 * width)
			merge(
			    from + i, to + i, least(width, count - i), least(2 * width, count - i));
		struct sandbox_key *swap = from;
		from = to;
		to = swap;
	}
	if (from != keys)
		memcpy(keys, from, count * sizeof(*keys));
}

void sandbox_keys_push(lua_State *lua, int table, size_t *ret_others)
{
	size_t total = 0, count = 0, others = 0;
	luaL_checkstack(lua, 8, NULL);
	table = lua_absindex(lua, table);
	lua_pushnil(lua);
	while (lua_next(lua, table)) {
		lua_pop(lua, 1);
		total++;
	}
	sandbox_charge(lua, total * 4);
	sandbox_charge_bytes(lua, total * (2 * sizeof(struct sandbox_key) + 2 * 16));
	luaL_argcheck(lua, total < INT32_MAX / 2, 1, "too many keys");
	struct sandbox_key *keys =
	    lua_newuserdatauv(lua, (total ? total : 1) * 2 * sizeof(*keys), 0);
	lua_createtable(lua, (int)total, 0);
	int unsorted = lua_gettop(lua);
	lua_pushnil(lua);
	while (lua_next(lua, table)) {
		ASSERT(count < total);
		lua_pop(lua, 1);
		sandbox_key_read(lua, -1, &keys[count]);
		others += keys[count].kind == KEY_OTHER;
		count++;
		keys[count - 1].place = (int)count;
		lua_pushvalue(lua, -1);
		lua_rawseti(lua, unsorted, (lua_Integer)count);
	}
	sandbox_keys_sort(lua, keys, keys + count, count);
	lua_createtable(lua, (int)count, 0);
	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(lua, unsorted, keys[i].place);
		lua_rawseti(lua, -2, (lua_Integer)i + 1);
	}
	lua_replace(lua, unsorted - 1);
	lua_settop(lua, unsorted - 1);
	*ret_others = others;
}
