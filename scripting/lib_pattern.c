#include "scripting/lib_pattern.h"

#include <string.h>

/* As many as there are instructions between two looks. */
enum { STEPS_BETWEEN_CHARGES = SANDBOX_STEP };

__attribute__((noreturn)) static void raise(lua_State *lua, const struct matcher *matcher)
{
	if (matcher->why_capture >= 0)
		luaL_error(lua, "%s %%%d", matcher->why, matcher->why_capture);
	else
		luaL_error(lua, "%s", matcher->why);
	__builtin_unreachable();
}

enum match pattern_run(lua_State *lua, struct matcher *matcher)
{
	for (;;) {
		matcher->steps = STEPS_BETWEEN_CHARGES;
		enum match match = matcher_run(matcher);
		sandbox_charge(lua, STEPS_BETWEEN_CHARGES - matcher->steps);
		if (match == MATCH_WRONG)
			raise(lua, matcher);
		if (match != MATCH_MORE || sandbox_slice_over(lua))
			return match;
	}
}

struct matcher *pattern_keep(lua_State *lua, const struct matcher *matcher)
{
	sandbox_charge_bytes(lua, sizeof(*matcher));
	struct matcher *kept = lua_newuserdatauv(lua, sizeof(*kept), 0);
	matcher_copy(kept, matcher);
	return kept;
}

/* ---- Captures ---- */

static void push_text(lua_State *lua, const uint8_t *begin, size_t bytes)
{
	sandbox_charge(lua, bytes / 8);
	lua_pushlstring(lua, (const char *)begin, bytes);
}

void pattern_push_capture(lua_State *lua, const struct matcher *matcher, int index)
{
	if (index >= matcher->captures) {
		if (index != 0)
			luaL_error(lua, "invalid capture index %%%d", index + 1);
		push_text(lua, matcher->begin, (size_t)(matcher->end - matcher->begin));
		return;
	}
	const struct match_capture *capture = &matcher->capture[index];
	if (capture->bytes == MATCH_CAPTURE_OPEN)
		luaL_error(lua, "unfinished capture");
	if (capture->bytes == MATCH_CAPTURE_POSITION)
		lua_pushinteger(lua, capture->begin - matcher->text + 1);
	else
		push_text(lua, capture->begin, (size_t)capture->bytes);
}

int pattern_push_captures(lua_State *lua, const struct matcher *matcher, bool or_match)
{
	int count = matcher->captures == 0 && or_match ? 1 : matcher->captures;
	luaL_checkstack(lua, count, "too many captures");
	for (int i = 0; i < count; i++)
		pattern_push_capture(lua, matcher, i);
	return count;
}
