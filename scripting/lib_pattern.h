/* Lua's patterns: matched with a bound on the depth, and every step charged, because a pattern of a
 * few characters can take longer than the universe has. */
#ifndef KX_SCRIPTING_LIB_PATTERN_H
#define KX_SCRIPTING_LIB_PATTERN_H

#include "scripting/sandbox_internal.h"

#define PATTERN_CAPTURES_MAX 32

enum { CAPTURE_OPEN = -1, CAPTURE_POSITION = -2 };

struct pattern_match {
	lua_State *lua;
	const char *text, *text_end, *pattern_end;
	int depth;
	unsigned steps; /* not yet charged */
	int captures;
	struct {
		const char *at;
		ptrdiff_t bytes; /* or CAPTURE_... */
	} capture[PATTERN_CAPTURES_MAX];
};

void pattern_begin(
    struct pattern_match *match, lua_State *lua, struct slice text, const char *pattern_end);
/* Where the match that begins at `at` ends, or NULL. Raises where the pattern is malformed or too
 * complex. `pattern` without its anchor. */
const char *pattern_match(struct pattern_match *match, const char *at, const char *pattern);
/* Pushes capture `index` (from 0); where there is none, the whole match for 0. */
void pattern_push_capture(struct pattern_match *match, int index, const char *at, const char *end);
/* All of them, or the whole match (`at` not NULL); how many. */
int pattern_push_captures(struct pattern_match *match, const char *at, const char *end);

#endif
