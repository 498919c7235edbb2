/* string.find, match, gmatch and gsub. All of them pause, also in the middle of a match: what they
 * know then stands in blocks of Lua's memory, never on the C stack. */
#include "scripting/lib_pattern.h"
#include "scripting/lib_text.h"

/* Searched without a look at the clock. */
enum { PIECE_BYTES = 64 * 1024 };

static size_t start_of(lua_Integer init, size_t bytes)
{
	if (init > 0)
		return (size_t)init - 1;
	if (init == 0)
		return 0;
	return (size_t)0 - (size_t)init > bytes ? 0 : bytes - ((size_t)0 - (size_t)init);
}

static bool is_plain_pattern(const char *pattern, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if (pattern[i] && strchr("^$*+?.([%-", pattern[i]))
			return false;
	}
	return true;
}

/* ---- find, match ---- */

static struct slice text_at(lua_State *lua, int position)
{
	size_t bytes;
	const char *text = lua_tolstring(lua, position, &bytes);
	return slice_of(text, bytes);
}

/* memmem, in pieces between which it can pause. */
static int find_plain(lua_State *lua, int status, lua_KContext from)
{
	(void)status;
	struct slice text = text_at(lua, 1), wanted = text_at(lua, 2);
	/* memmem prepares itself for each piece, so that pieces grow with what is wanted. */
	size_t piece = PIECE_BYTES + 4 * wanted.bytes;
	for (size_t at = (size_t)from; at <= text.bytes; at += piece) {
		size_t bytes = text.bytes - at;
		if (bytes > piece + wanted.bytes)
			bytes = piece + wanted.bytes;
		sandbox_charge(lua, bytes / 16);
		const uint8_t *begin = text.data + at;
		const uint8_t *found =
		    wanted.bytes ? memmem(begin, bytes, wanted.data, wanted.bytes) : begin;
		if (found) {
			lua_pushinteger(lua, found - text.data + 1);
			lua_pushinteger(lua, found - text.data + (lua_Integer)wanted.bytes);
			return 2;
		}
		if (sandbox_slice_over(lua))
			return sandbox_pause(lua, (lua_KContext)(at + piece), find_plain);
	}
	luaL_pushfail(lua);
	return 1;
}

enum way { FIND, MATCH };

static int find_on(lua_State *lua, struct matcher *matcher, enum way way);

static int find_go_on(lua_State *lua, int status, lua_KContext way)
{
	(void)status;
	return find_on(lua, lua_touserdata(lua, -1), (enum way)way);
}

static int find_on(lua_State *lua, struct matcher *matcher, enum way way)
{
	switch (pattern_run(lua, matcher)) {
	case MATCH_FOUND:
		break;
	case MATCH_MORE:
		if (lua_type(lua, -1) != LUA_TUSERDATA)
			pattern_keep(lua, matcher);
		return sandbox_pause(lua, (lua_KContext)way, find_go_on);
	case MATCH_NONE:
	case MATCH_WRONG:
		luaL_pushfail(lua);
		return 1;
	}
	if (way == MATCH)
		return pattern_push_captures(lua, matcher, true);
	lua_pushinteger(lua, matcher->begin - matcher->text + 1);
	lua_pushinteger(lua, matcher->end - matcher->text);
	return 2 + pattern_push_captures(lua, matcher, false);
}

/* The pattern without its '^'. */
static struct slice take_anchor(struct slice pattern, bool *ret_anchored)
{
	*ret_anchored = pattern.bytes > 0 && pattern.data[0] == '^';
	return slice_of(pattern.data + *ret_anchored, pattern.bytes - *ret_anchored);
}

static int find_or_match(lua_State *lua, enum way way)
{
	size_t bytes, pattern_bytes;
	luaL_checklstring(lua, 1, &bytes);
	const char *pattern = luaL_checklstring(lua, 2, &pattern_bytes);
	size_t from = start_of(luaL_optinteger(lua, 3, 1), bytes);
	bool is_plain = lua_toboolean(lua, 4);
	lua_settop(lua, 2);
	sandbox_charge(lua, 4);
	if (from > bytes) {
		luaL_pushfail(lua);
		return 1;
	}
	if (way == FIND && (is_plain || is_plain_pattern(pattern, pattern_bytes)))
		return find_plain(lua, LUA_OK, (lua_KContext)from);
	struct matcher matcher;
	bool anchored;
	struct slice items = take_anchor(text_at(lua, 2), &anchored);
	matcher_begin(&matcher, text_at(lua, 1), from, items);
	matcher.anchored = anchored;
	return find_on(lua, &matcher, way);
}

static int string_find(lua_State *lua)
{
	return find_or_match(lua, FIND);
}

static int string_match(lua_State *lua)
{
	return find_or_match(lua, MATCH);
}

/* ---- gmatch ---- */

static int gmatch_on(lua_State *lua, struct matcher *matcher);

static int gmatch_go_on(lua_State *lua, int status, lua_KContext context)
{
	(void)status;
	(void)context;
	return gmatch_on(lua, lua_touserdata(lua, 1));
}

/* Upvalues: text, pattern, where to go on, where the last match ended (or -1). */
static int gmatch_on(lua_State *lua, struct matcher *matcher)
{
	lua_Integer last = lua_tointeger(lua, lua_upvalueindex(4));
	for (;;) {
		enum match match = pattern_run(lua, matcher);
		if (match == MATCH_MORE) {
			if (lua_isnone(lua, 1))
				pattern_keep(lua, matcher);
			return sandbox_pause(lua, 0, gmatch_go_on);
		}
		if (match != MATCH_FOUND)
			return 0;
		if (matcher->end - matcher->text != last)
			break;
		matcher_reject(matcher);
	}
	lua_pushinteger(lua, matcher->end - matcher->text);
	lua_copy(lua, -1, lua_upvalueindex(3));
	lua_replace(lua, lua_upvalueindex(4));
	return pattern_push_captures(lua, matcher, true);
}

static int gmatch_step(lua_State *lua)
{
	struct matcher matcher;
	struct slice text = text_at(lua, lua_upvalueindex(1));
	lua_Integer from = lua_tointeger(lua, lua_upvalueindex(3));
	lua_settop(lua, 0);
	sandbox_charge(lua, 4);
	if (from > (lua_Integer)text.bytes)
		return 0;
	matcher_begin(&matcher, text, (size_t)from, text_at(lua, lua_upvalueindex(2)));
	return gmatch_on(lua, &matcher);
}

static int string_gmatch(lua_State *lua)
{
	size_t bytes;
	luaL_checklstring(lua, 1, &bytes);
	luaL_checkstring(lua, 2);
	size_t from = start_of(luaL_optinteger(lua, 3, 1), bytes);
	lua_settop(lua, 2);
	lua_pushinteger(lua, (lua_Integer)(from > bytes ? bytes + 1 : from));
	lua_pushinteger(lua, -1);
	lua_pushcclosure(lua, gmatch_step, 4);
	return 1;
}

/* ---- gsub ---- */

/* Positions on the stack. KEPT: a matcher that was paused, or nil. */
enum { TEXT = 1, PATTERN, REPLACEMENT, LIMIT, STATE, OUT, KEPT, TOP = KEPT };

struct gsub {
	struct text out;
	size_t at, last;               /* in the text; `last`: where the last match ended */
	size_t match_begin, match_end; /* of the one that is being replaced */
	lua_Integer count, limit;
	bool anchored, changed;
};

/* What comes behind a search for the next match. */
enum gsub_next {
	GSUB_REPLACED,
	GSUB_CALL,  /* function and arguments are on the stack */
	GSUB_INDEX, /* the key is */
	GSUB_PAUSE,
	GSUB_END
};

/* Appends the replacement string, with its captures. */
static void add_replacement(lua_State *lua, struct gsub *gsub, const struct matcher *matcher)
{
	size_t bytes;
	const char *text = lua_tolstring(lua, REPLACEMENT, &bytes);
	const char *behind = text + bytes;
	sandbox_charge(lua, bytes / 8);
	while (text < behind) {
		const char *escape = memchr(text, '%', (size_t)(behind - text));
		if (!escape) {
			text_add(lua, &gsub->out, text, (size_t)(behind - text));
			return;
		}
		text_add(lua, &gsub->out, text, (size_t)(escape - text));
		unsigned char what = escape + 1 < behind ? (unsigned char)escape[1] : 0;
		text = escape + 2;
		if (what == '%') {
			text_add(lua, &gsub->out, "%", 1);
		} else if (what == '0') {
			text_add(lua, &gsub->out, matcher->begin,
			    (size_t)(matcher->end - matcher->begin));
		} else if (what >= '1' && what <= '9') {
			pattern_push_capture(lua, matcher, what - '1');
			size_t capture_bytes;
			const char *capture = luaL_tolstring(lua, -1, &capture_bytes);
			text_add(lua, &gsub->out, capture, capture_bytes);
			lua_pop(lua, 2);
		} else {
			luaL_error(lua, "invalid use of '%%' in replacement string");
		}
	}
}

static void pass_match(struct gsub *gsub)
{
	gsub->count++;
	gsub->at = gsub->last = gsub->match_end;
}

/* The value on top is what a table or function gives for the match. */
static void add_value(lua_State *lua, struct gsub *gsub)
{
	size_t bytes;
	const char *text = lua_tolstring(lua, TEXT, &bytes);
	if (!lua_toboolean(lua, -1)) {
		text_add(
		    lua, &gsub->out, text + gsub->match_begin, gsub->match_end - gsub->match_begin);
	} else if (lua_isstring(lua, -1)) {
		const char *value = lua_tolstring(lua, -1, &bytes);
		text_add(lua, &gsub->out, value, bytes);
		gsub->changed = true;
	} else {
		luaL_error(lua, "invalid replacement value (a %s)", luaL_typename(lua, -1));
	}
	lua_settop(lua, TOP);
	pass_match(gsub);
}

static enum gsub_next replace(lua_State *lua, struct gsub *gsub, const struct matcher *matcher)
{
	size_t begin = (size_t)(matcher->begin - matcher->text);
	text_add(lua, &gsub->out, matcher->text + gsub->at, begin - gsub->at);
	gsub->match_begin = begin;
	gsub->match_end = (size_t)(matcher->end - matcher->text);
	switch (lua_type(lua, REPLACEMENT)) {
	case LUA_TFUNCTION:
		sandbox_charge(lua, 10);
		lua_pushvalue(lua, REPLACEMENT);
		pattern_push_captures(lua, matcher, true);
		return GSUB_CALL;
	case LUA_TTABLE:
		pattern_push_capture(lua, matcher, 0);
		return GSUB_INDEX;
	default:
		add_replacement(lua, gsub, matcher);
		gsub->changed = true;
		pass_match(gsub);
		return GSUB_REPLACED;
	}
}

static enum gsub_next search(lua_State *lua, struct gsub *gsub, struct matcher *matcher)
{
	for (;;) {
		enum match match = pattern_run(lua, matcher);
		if (match == MATCH_MORE) {
			if (lua_isnil(lua, KEPT)) {
				pattern_keep(lua, matcher);
				lua_replace(lua, KEPT);
			}
			return GSUB_PAUSE;
		}
		if (match != MATCH_FOUND)
			return GSUB_END;
		if ((size_t)(matcher->end - matcher->text) != gsub->last)
			return replace(lua, gsub, matcher);
		matcher_reject(matcher);
	}
}

/* A function of its own, because a matcher is large: none may be on the C stack while a script's
 * function runs, in which there may be another gsub. */
__attribute__((noinline)) static enum gsub_next next_match(lua_State *lua, struct gsub *gsub)
{
	struct matcher *kept = lua_touserdata(lua, KEPT);
	if (kept) {
		enum gsub_next next = search(lua, gsub, kept);
		if (next == GSUB_PAUSE)
			return next;
		lua_pushnil(lua);
		lua_replace(lua, KEPT);
		return next;
	}
	struct matcher matcher;
	struct slice text = text_at(lua, TEXT);
	if (gsub->count >= gsub->limit || (gsub->anchored && gsub->count > 0))
		return GSUB_END;
	if (sandbox_slice_over(lua))
		return GSUB_PAUSE;
	bool anchored;
	struct slice pattern = take_anchor(text_at(lua, PATTERN), &anchored);
	matcher_begin(&matcher, text, gsub->at, pattern);
	matcher.anchored = anchored;
	return search(lua, gsub, &matcher);
}

static int gsub_end(lua_State *lua, struct gsub *gsub)
{
	struct slice text = text_at(lua, TEXT);
	if (gsub->changed) {
		text_add(lua, &gsub->out, text.data + gsub->at, text.bytes - gsub->at);
		text_end(lua, &gsub->out);
	} else {
		lua_pushvalue(lua, TEXT);
	}
	lua_pushinteger(lua, gsub->count);
	return 2;
}

static int gsub_called(lua_State *lua, int status, lua_KContext context);
static int gsub_paused(lua_State *lua, int status, lua_KContext context);

static int gsub_run(lua_State *lua, struct gsub *gsub)
{
	for (;;) {
		switch (next_match(lua, gsub)) {
		case GSUB_REPLACED:
			break;
		case GSUB_CALL:
			lua_callk(lua, lua_gettop(lua) - TOP - 1, 1, 0, gsub_called);
			add_value(lua, gsub);
			break;
		case GSUB_INDEX:
			lua_gettable(lua, REPLACEMENT);
			add_value(lua, gsub);
			break;
		case GSUB_PAUSE:
			return sandbox_pause(lua, 0, gsub_paused);
		case GSUB_END:
			return gsub_end(lua, gsub);
		}
	}
}

static int gsub_called(lua_State *lua, int status, lua_KContext context)
{
	(void)status;
	(void)context;
	struct gsub *gsub = lua_touserdata(lua, STATE);
	add_value(lua, gsub);
	return gsub_run(lua, gsub);
}

static int gsub_paused(lua_State *lua, int status, lua_KContext context)
{
	(void)status;
	(void)context;
	return gsub_run(lua, lua_touserdata(lua, STATE));
}

static int string_gsub(lua_State *lua)
{
	size_t bytes, pattern_bytes;
	luaL_checklstring(lua, TEXT, &bytes);
	const char *pattern = luaL_checklstring(lua, PATTERN, &pattern_bytes);
	int type = lua_type(lua, REPLACEMENT);
	luaL_argexpected(lua,
	    type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION ||
	        type == LUA_TTABLE,
	    REPLACEMENT, "string/function/table");
	if (type == LUA_TNUMBER)
		lua_tostring(lua, REPLACEMENT);
	lua_Integer limit = luaL_optinteger(lua, LIMIT, (lua_Integer)bytes + 1);
	lua_settop(lua, LIMIT);
	sandbox_charge(lua, 10);
	struct gsub *gsub = lua_newuserdatauv(lua, sizeof(*gsub), 0);
	*gsub = (struct gsub){.last = SIZE_MAX, .limit = limit};
	gsub->anchored = pattern_bytes > 0 && *pattern == '^';
	text_begin(lua, &gsub->out, bytes < 4096 ? bytes + 64 : bytes);
	lua_pushnil(lua);
	return gsub_run(lua, gsub);
}

void sandbox_open_find(lua_State *lua)
{
	static const luaL_Reg functions[] = {
	    {"find", string_find},
	    {"gmatch", string_gmatch},
	    {"gsub", string_gsub},
	    {"match", string_match},
	    {NULL, NULL},
	};
	luaL_setfuncs(lua, functions, 0);
}
