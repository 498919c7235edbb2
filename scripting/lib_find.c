/* string.find, match, gmatch and gsub. A function given to gsub may pause: what gsub knows stands
 * in a block of Lua's memory, never on the C stack. */
#include "scripting/lib_pattern.h"
#include "scripting/lib_text.h"

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

static int find_plain(lua_State *lua, const char *text, size_t bytes, const char *wanted,
    size_t wanted_bytes, size_t at)
{
	sandbox_charge(lua, (bytes - at) / 16 + wanted_bytes / 16);
	const char *found =
	    wanted_bytes ? memmem(text + at, bytes - at, wanted, wanted_bytes) : text + at;
	if (!found) {
		luaL_pushfail(lua);
		return 1;
	}
	lua_pushinteger(lua, found - text + 1);
	lua_pushinteger(lua, found - text + (lua_Integer)wanted_bytes);
	return 2;
}

static int find_or_match(lua_State *lua, bool find)
{
	size_t bytes, pattern_bytes;
	const char *text = luaL_checklstring(lua, 1, &bytes);
	const char *pattern = luaL_checklstring(lua, 2, &pattern_bytes);
	size_t from = start_of(luaL_optinteger(lua, 3, 1), bytes);
	sandbox_charge(lua, 4);
	if (from > bytes) {
		luaL_pushfail(lua);
		return 1;
	}
	if (find && (lua_toboolean(lua, 4) || is_plain_pattern(pattern, pattern_bytes)))
		return find_plain(lua, text, bytes, pattern, pattern_bytes, from);
	struct pattern_match match;
	pattern_begin(&match, lua, slice_of(text, bytes), pattern + pattern_bytes);
	bool anchor = pattern_bytes > 0 && *pattern == '^';
	const char *end = NULL, *at = text + from;
	for (; at <= match.text_end; at++) {
		match.captures = 0;
		end = pattern_match(&match, at, pattern + anchor);
		if (end || anchor)
			break;
	}
	sandbox_charge(lua, match.steps);
	if (!end) {
		luaL_pushfail(lua);
		return 1;
	}
	if (!find)
		return pattern_push_captures(&match, at, end);
	lua_pushinteger(lua, at - text + 1);
	lua_pushinteger(lua, end - text);
	return 2 + pattern_push_captures(&match, NULL, NULL);
}

static int string_find(lua_State *lua)
{
	return find_or_match(lua, true);
}

static int string_match(lua_State *lua)
{
	return find_or_match(lua, false);
}

/* ---- gmatch ---- */

/* Upvalues: text, pattern, where to go on, where the last match ended (or -1). */
static int gmatch_step(lua_State *lua)
{
	size_t bytes, pattern_bytes;
	const char *text = lua_tolstring(lua, lua_upvalueindex(1), &bytes);
	const char *pattern = lua_tolstring(lua, lua_upvalueindex(2), &pattern_bytes);
	size_t from = (size_t)lua_tointeger(lua, lua_upvalueindex(3));
	lua_Integer last = lua_tointeger(lua, lua_upvalueindex(4));
	struct pattern_match match;
	sandbox_charge(lua, 4);
	pattern_begin(&match, lua, slice_of(text, bytes), pattern + pattern_bytes);
	for (size_t at = from; at <= bytes; at++) {
		match.captures = 0;
		const char *end = pattern_match(&match, text + at, pattern);
		if (end && end - text != last) {
			sandbox_charge(lua, match.steps);
			lua_pushinteger(lua, end - text);
			lua_copy(lua, -1, lua_upvalueindex(3));
			lua_replace(lua, lua_upvalueindex(4));
			return pattern_push_captures(&match, text + at, end);
		}
	}
	sandbox_charge(lua, match.steps);
	return 0;
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

/* Positions on the stack. */
enum { TEXT = 1, PATTERN, REPLACEMENT, LIMIT, STATE, OUT, TOP = OUT };

struct gsub {
	struct text out;
	size_t at, last;  /* in the text; `last`: where the last match ended, or SIZE_MAX */
	size_t match_end; /* of the one that is being replaced */
	lua_Integer count, limit;
	bool anchor, changed, ended;
};

/* Appends the replacement string, with its captures. */
static void add_replacement(
    lua_State *lua, struct gsub *gsub, struct pattern_match *match, const char *at, const char *end)
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
			text_add(lua, &gsub->out, at, (size_t)(end - at));
		} else if (what >= '1' && what <= '9') {
			pattern_push_capture(match, what - '1', at, end);
			size_t capture_bytes;
			const char *capture = luaL_tolstring(lua, -1, &capture_bytes);
			text_add(lua, &gsub->out, capture, capture_bytes);
			lua_pop(lua, 2);
		} else {
			luaL_error(lua, "invalid use of '%%' in replacement string");
		}
	}
}

/* The value on top is what a table or function gives for the match. */
static void add_value(lua_State *lua, struct gsub *gsub)
{
	size_t bytes;
	const char *text = lua_tolstring(lua, TEXT, &bytes);
	if (!lua_toboolean(lua, -1)) {
		text_add(lua, &gsub->out, text + gsub->at, gsub->match_end - gsub->at);
	} else if (lua_isstring(lua, -1)) {
		const char *value = lua_tolstring(lua, -1, &bytes);
		text_add(lua, &gsub->out, value, bytes);
		gsub->changed = true;
	} else {
		luaL_error(lua, "invalid replacement value (a %s)", luaL_typename(lua, -1));
	}
	lua_settop(lua, TOP);
}

static void pass_match(struct gsub *gsub)
{
	gsub->count++;
	gsub->at = gsub->last = gsub->match_end;
	gsub->ended = gsub->anchor;
}

static int gsub_go_on(lua_State *lua, int status, lua_KContext context);

/* False where a function has to be called first: then the values are on the stack. */
static bool replace(
    lua_State *lua, struct gsub *gsub, struct pattern_match *match, int *ret_arguments)
{
	const char *at = match->text + gsub->at, *end = match->text + gsub->match_end;
	switch (lua_type(lua, REPLACEMENT)) {
	case LUA_TFUNCTION:
		lua_pushvalue(lua, REPLACEMENT);
		*ret_arguments = pattern_push_captures(match, at, end);
		return false;
	case LUA_TTABLE:
		pattern_push_capture(match, 0, at, end);
		lua_gettable(lua, REPLACEMENT);
		add_value(lua, gsub);
		break;
	default:
		add_replacement(lua, gsub, match, at, end);
		gsub->changed = true;
	}
	pass_match(gsub);
	return true;
}

static int gsub_end(lua_State *lua, struct gsub *gsub)
{
	size_t bytes;
	const char *text = lua_tolstring(lua, TEXT, &bytes);
	if (gsub->changed) {
		text_add(lua, &gsub->out, text + gsub->at, bytes - gsub->at);
		text_end(lua, &gsub->out);
	} else {
		lua_pushvalue(lua, TEXT);
	}
	lua_pushinteger(lua, gsub->count);
	return 2;
}

static int gsub_run(lua_State *lua, struct gsub *gsub)
{
	size_t bytes, pattern_bytes;
	const char *text = lua_tolstring(lua, TEXT, &bytes);
	const char *pattern = lua_tolstring(lua, PATTERN, &pattern_bytes);
	struct pattern_match match;
	pattern_begin(&match, lua, slice_of(text, bytes), pattern + pattern_bytes);
	while (!gsub->ended && gsub->count < gsub->limit) {
		match.captures = 0;
		const char *end = pattern_match(&match, text + gsub->at, pattern + gsub->anchor);
		if (end && (size_t)(end - text) != gsub->last) {
			int arguments;
			gsub->match_end = (size_t)(end - text);
			if (replace(lua, gsub, &match, &arguments))
				continue;
			sandbox_charge(lua, 10 + match.steps);
			lua_callk(lua, arguments, 1, 0, gsub_go_on);
			add_value(lua, gsub);
			pass_match(gsub);
		} else if (gsub->at < bytes) {
			text_add(lua, &gsub->out, text + gsub->at++, 1);
			gsub->ended = gsub->anchor;
		} else {
			break;
		}
	}
	sandbox_charge(lua, match.steps);
	return gsub_end(lua, gsub);
}

static int gsub_go_on(lua_State *lua, int status, lua_KContext context)
{
	(void)status;
	(void)context;
	struct gsub *gsub = lua_touserdata(lua, STATE);
	add_value(lua, gsub);
	pass_match(gsub);
	return gsub_run(lua, gsub);
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
	gsub->anchor = pattern_bytes > 0 && *pattern == '^';
	text_begin(lua, &gsub->out, bytes < 4096 ? bytes + 64 : bytes);
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
