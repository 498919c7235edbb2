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

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Up to so many are in order without a merge. */
enum { SMALL = 12 };
/* Merged without a look at the clock. */
enum { PIECE = 85 * SMALL };

void sandbox_keys_sort_begin(struct sandbox_keys_sort *sort, struct sandbox_key *keys,
    struct sandbox_key *scratch, size_t count)
{
	*sort = (struct sandbox_keys_sort){.from = keys, .to = scratch, .count = count};
	for (size_t i = 0; i < count; i++) {
		if (keys[i].kind == KEY_STRING)
			sort->text_bytes += keys[i].text.bytes;
	}
}

/* Behind `out`. */
static void begin_pieces(struct sandbox_keys_sort *sort)
{
	sort->left = sort->out;
	sort->left_end = sort->right = least(sort->left + sort->width, sort->count);
	sort->right_end = least(sort->right + sort->width, sort->count);
}

static void merge_some(struct sandbox_keys_sort *sort, size_t count)
{
	const struct sandbox_key *from = sort->from;
	for (; count > 0; count--) {
		if (sort->left == sort->left_end && sort->right == sort->right_end)
			begin_pieces(sort);
		bool take_right = sort->left == sort->left_end ||
		                  (sort->right < sort->right_end &&
		                      is_less(&from[sort->right], &from[sort->left]));
		sort->to[sort->out++] = from[take_right ? sort->right++ : sort->left++];
	}
}

static void order_some(struct sandbox_keys_sort *sort, size_t count)
{
	size_t end = sort->out + count;
	while (sort->out < end) {
		size_t some = least(SMALL, end - sort->out);
		insertion_sort(sort->from + sort->out, some);
		sort->out += some;
	}
}

static void next_width(struct sandbox_keys_sort *sort)
{
	if (sort->width == 0) {
		sort->width = SMALL;
	} else {
		struct sandbox_key *swap = sort->from;
		sort->from = sort->to;
		sort->to = swap;
		sort->width *= 2;
	}
	sort->left = sort->left_end = sort->right = sort->right_end = sort->out = 0;
}

bool sandbox_keys_sort_on(lua_State *lua, struct sandbox_keys_sort *sort)
{
	while (sort->width < sort->count) {
		size_t some = least(PIECE, sort->count - sort->out);
		if (sort->width == 0)
			order_some(sort, some);
		else
			merge_some(sort, some);
		if (sort->out == sort->count)
			next_width(sort);
		sandbox_charge(lua, some * 2 + sort->text_bytes / sort->count * some / 16);
		if (sort->width < sort->count && sandbox_slice_over(lua))
			return false;
	}
	return true;
}

void sandbox_keys_sort(
    lua_State *lua, struct sandbox_key *keys, struct sandbox_key *scratch, size_t count)
{
	if (count <= SMALL) {
		insertion_sort(keys, count);
		return;
	}
	struct sandbox_keys_sort sort;
	sandbox_keys_sort_begin(&sort, keys, scratch, count);
	while (!sandbox_keys_sort_on(lua, &sort))
		sandbox_spend(lua, 0);
	if (sort.from != keys)
		memcpy(keys, sort.from, count * sizeof(*keys));
}

/* ---- Lists of keys ---- */

/* On the stack from its position on: the list in the making, the keys as they are compared, and as
 * they are; in the end the keys in order. The last key that was read is on top. */
enum { LIST, LIST_KEYS, LIST_UNSORTED, LIST_SORTED };

int sandbox_keys_list(lua_State *lua, int table)
{
	luaL_checkstack(lua, 8, NULL);
	table = lua_absindex(lua, table);
	struct sandbox_keys_list *list = lua_newuserdatauv(lua, sizeof(*list), 0);
	*list = (struct sandbox_keys_list){.table = table, .stage = KEYS_COUNT};
	lua_pushnil(lua);
	return lua_gettop(lua) - 1;
}

/* All of these go on behind the last key, or place; true: to the end. */
static bool count_some(lua_State *lua, struct sandbox_keys_list *list)
{
	for (int i = 0; i < PIECE; i++) {
		if (!lua_next(lua, list->table))
			return true;
		lua_pop(lua, 1);
		list->count++;
	}
	return false;
}

static bool read_some(lua_State *lua, struct sandbox_keys_list *list, int position)
{
	struct sandbox_key *keys = lua_touserdata(lua, position + LIST_KEYS);
	for (int i = 0; i < PIECE; i++) {
		if (!lua_next(lua, list->table))
			return true;
		ASSERT(list->at < list->count);
		lua_pop(lua, 1);
		struct sandbox_key *key = &keys[list->at++];
		sandbox_key_read(lua, -1, key);
		key->place = (int)list->at;
		list->others += key->kind == KEY_OTHER;
		lua_pushvalue(lua, -1);
		lua_rawseti(lua, position + LIST_UNSORTED, (lua_Integer)list->at);
	}
	return false;
}

static bool place_some(lua_State *lua, struct sandbox_keys_list *list, int position)
{
	for (int i = 0; i < PIECE && list->at < list->count; i++) {
		lua_rawgeti(lua, position + LIST_UNSORTED, list->sort.from[list->at].place);
		lua_rawseti(lua, position + LIST_SORTED, (lua_Integer)++list->at);
	}
	return list->at == list->count;
}

/* What the stage behind this one needs. */
static void next_stage(lua_State *lua, struct sandbox_keys_list *list, int position)
{
	size_t count = list->count;
	struct sandbox_key *keys;
	switch (list->stage) {
	case KEYS_COUNT:
		sandbox_charge_bytes(lua, count * (2 * sizeof(*keys) + 2 * 16));
		luaL_argcheck(lua, count < INT32_MAX / 2, 1, "too many keys");
		lua_newuserdatauv(lua, (count ? count : 1) * 2 * sizeof(*keys), 0);
		sandbox_create_table(lua, count, 0);
		lua_pushnil(lua);
		list->stage = KEYS_READ;
		return;
	case KEYS_READ:
		keys = lua_touserdata(lua, position + LIST_KEYS);
		sandbox_keys_sort_begin(&list->sort, keys, keys + list->at, list->at);
		list->stage = KEYS_SORT;
		return;
	case KEYS_SORT:
		sandbox_create_table(lua, count, 0);
		list->at = 0;
		list->stage = KEYS_PLACE;
		return;
	case KEYS_PLACE:
		list->stage = KEYS_LISTED;
		return;
	case KEYS_LISTED:
		UNREACHABLE();
	}
}

static bool stage_on(lua_State *lua, struct sandbox_keys_list *list, int position)
{
	switch (list->stage) {
	case KEYS_COUNT:
		return count_some(lua, list);
	case KEYS_READ:
		return read_some(lua, list, position);
	case KEYS_SORT:
		return sandbox_keys_sort_on(lua, &list->sort);
	case KEYS_PLACE:
		return place_some(lua, list, position);
	case KEYS_LISTED:
		return true;
	}
	UNREACHABLE();
}

bool sandbox_keys_list_on(lua_State *lua, int position, size_t *ret_others)
{
	struct sandbox_keys_list *list = lua_touserdata(lua, position);
	while (list->stage != KEYS_LISTED) {
		size_t left = list->count % PIECE;
		if (stage_on(lua, list, position))
			next_stage(lua, list, position);
		else
			left = PIECE;
		sandbox_charge(lua, left);
		if (list->stage != KEYS_LISTED && sandbox_slice_over(lua))
			return false;
	}
	*ret_others = list->others;
	lua_replace(lua, position);
	lua_settop(lua, position);
	return true;
}

void sandbox_keys_push(lua_State *lua, int table, size_t *ret_others)
{
	int position = sandbox_keys_list(lua, table);
	while (!sandbox_keys_list_on(lua, position, ret_others))
		sandbox_spend(lua, 0);
}
