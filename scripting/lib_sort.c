/* table.sort: a stable merge sort. Its elements are read first and written back at the end, so an
 * error leaves the table as it was, and an order that contradicts itself gives some order, never an
 * error. Everything stands in Lua's memory: it pauses between two comparisons, and in the middle of
 * reading, of sorting numbers alone or strings alone, and of writing back. */
#include "scripting/sandbox_keys.h"

#include "base/assert.h"

/* Positions on the stack. `FROM` and `TO` are lists that are merged back and forth. */
enum { TABLE = 1, FUNCTION, STATE, FROM, TO, KEYS, TOP = KEYS };
/* Elements that are moved without a look at the clock. */
enum { PIECE = 1000 };

/* What is done, in this order; SIMPLE_* are for numbers alone, or strings alone, which need no
 * calls, and else COMPARE. */
enum stage { READ, SIMPLE_READ, SIMPLE_SORT, SIMPLE_PLACE, COMPARE, WRITE, END };

struct sort {
	enum stage stage;
	bool plain;     /* the table has no metatable */
	lua_Integer at; /* elements that a stage has gone over */
	lua_Integer count;
	lua_Integer width;            /* of sorted pieces in FROM */
	lua_Integer left, right, out; /* next ones of both pieces, and where the next goes */
	lua_Integer left_end, right_end;
	lua_Integer texts, numbers;
	struct sandbox_keys_sort keys;
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
static int compared(lua_State *lua, int status, lua_KContext context);

/* ---- The stages: each goes over `at` to `end` ---- */

static void read_some(lua_State *lua, struct sort *sort, lua_Integer end)
{
	while (sort->at < end) {
		sort->at++;
		if (sort->plain)
			lua_rawgeti(lua, TABLE, sort->at);
		else
			lua_geti(lua, TABLE, sort->at);
		lua_rawseti(lua, FROM, sort->at);
	}
}

static void read_keys(lua_State *lua, struct sort *sort, lua_Integer end)
{
	struct sandbox_key *keys = lua_touserdata(lua, KEYS);
	while (sort->at < end) {
		struct sandbox_key *key = &keys[sort->at++];
		lua_rawgeti(lua, FROM, sort->at);
		sandbox_key_read(lua, -1, key);
		key->place = (int)sort->at;
		sort->texts += key->kind == KEY_STRING;
		sort->numbers += key->kind == KEY_INTEGER || key->kind == KEY_FLOAT;
		lua_pop(lua, 1);
	}
}

static void place_some(lua_State *lua, struct sort *sort, lua_Integer end)
{
	while (sort->at < end) {
		lua_rawgeti(lua, FROM, sort->keys.from[sort->at].place);
		lua_rawseti(lua, TO, ++sort->at);
	}
}

static void write_some(lua_State *lua, struct sort *sort, lua_Integer end)
{
	while (sort->at < end) {
		lua_rawgeti(lua, FROM, ++sort->at);
		if (sort->plain)
			lua_rawseti(lua, TABLE, sort->at);
		else
			lua_seti(lua, TABLE, sort->at);
	}
}

/* What follows a stage that has gone over all. */
static enum stage next_stage(lua_State *lua, struct sort *sort)
{
	size_t count = (size_t)sort->count;
	struct sandbox_key *keys;
	sort->at = 0;
	switch (sort->stage) {
	case READ:
		if (!lua_isnil(lua, FUNCTION))
			return COMPARE;
		sandbox_charge_bytes(lua, 2 * count * sizeof(*keys));
		lua_newuserdatauv(lua, 2 * count * sizeof(*keys), 0);
		lua_replace(lua, KEYS);
		return SIMPLE_READ;
	case SIMPLE_READ:
		if (sort->texts != sort->count && sort->numbers != sort->count)
			return COMPARE;
		keys = lua_touserdata(lua, KEYS);
		sandbox_keys_sort_begin(&sort->keys, keys, keys + count, count);
		return SIMPLE_SORT;
	case SIMPLE_SORT:
		return SIMPLE_PLACE;
	case SIMPLE_PLACE:
		lua_copy(lua, TO, FROM);
		return WRITE;
	case COMPARE:
		return WRITE;
	case WRITE:
	case END:
		return END;
	}
	UNREACHABLE();
}

/* False: the slice is over, in the middle of it. */
static bool stage_on(lua_State *lua, struct sort *sort)
{
	lua_Integer begin = sort->at, end = least(begin + PIECE, sort->count);
	switch (sort->stage) {
	case READ:
		read_some(lua, sort, end);
		break;
	case SIMPLE_READ:
		read_keys(lua, sort, end);
		break;
	case SIMPLE_PLACE:
		place_some(lua, sort, end);
		break;
	case WRITE:
		write_some(lua, sort, end);
		break;
	case SIMPLE_SORT:
		if (!sandbox_keys_sort_on(lua, &sort->keys))
			return false;
		sort->at = sort->count;
		break;
	case COMPARE:
	case END:
		UNREACHABLE();
	}
	if (sort->at == sort->count)
		sort->stage = next_stage(lua, sort);
	sandbox_charge(lua, (uint64_t)(end - begin));
	return sort->stage == END || !sandbox_slice_over(lua);
}

/* Compares until all are in order (true), or a call pauses, or the slice is over. */
static bool compare_on(lua_State *lua, struct sort *sort)
{
	while (advance(lua, sort)) {
		bool less;
		sandbox_charge(lua, 4);
		if (lua_isnil(lua, FUNCTION)) {
			lua_rawgeti(lua, FROM, sort->right + 1);
			lua_rawgeti(lua, FROM, sort->left + 1);
			less = lua_compare(lua, -2, -1, LUA_OPLT);
		} else {
			lua_pushvalue(lua, FUNCTION);
			lua_rawgeti(lua, FROM, sort->right + 1);
			lua_rawgeti(lua, FROM, sort->left + 1);
			lua_callk(lua, 2, 1, 0, compared);
			less = lua_toboolean(lua, -1);
		}
		lua_settop(lua, TOP);
		take(lua, sort, less);
		if (lua_isnil(lua, FUNCTION) && sandbox_slice_over(lua))
			return false;
	}
	sort->stage = next_stage(lua, sort);
	return true;
}

static int run(lua_State *lua, struct sort *sort)
{
	while (sort->stage != END) {
		bool on = sort->stage == COMPARE ? compare_on(lua, sort) : stage_on(lua, sort);
		if (!on)
			return sandbox_pause(lua, 0, go_on);
	}
	return 0;
}

/* Behind a pause of our own. */
static int go_on(lua_State *lua, int status, lua_KContext context)
{
	(void)status;
	(void)context;
	lua_settop(lua, TOP);
	return run(lua, lua_touserdata(lua, STATE));
}

/* Behind one in the function, which has returned. */
static int compared(lua_State *lua, int status, lua_KContext context)
{
	(void)status;
	(void)context;
	struct sort *sort = lua_touserdata(lua, STATE);
	bool less = lua_toboolean(lua, -1);
	lua_settop(lua, TOP);
	take(lua, sort, less);
	return run(lua, sort);
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
	sandbox_charge_bytes(lua, (uint64_t)count * 2 * 16);
	struct sort *sort = lua_newuserdatauv(lua, sizeof(*sort), 0);
	*sort = (struct sort){.plain = plain, .count = count, .width = 1};
	sandbox_create_table(lua, (size_t)count, 0);
	sandbox_create_table(lua, (size_t)count, 0);
	lua_pushnil(lua);
	ASSERT(lua_gettop(lua) == TOP);
	begin_pieces(sort);
	return run(lua, sort);
}

void sandbox_open_sort(lua_State *lua)
{
	lua_pushcfunction(lua, table_sort);
	lua_setfield(lua, -2, "sort");
}
