/* Matches of Lua patterns as the string library runs them: charged, and with pauses. */
#ifndef KX_SCRIPTING_LIB_PATTERN_H
#define KX_SCRIPTING_LIB_PATTERN_H

#include "scripting/matcher.h"
#include "scripting/sandbox_internal.h"

/* Runs it to its end: MATCH_FOUND, MATCH_NONE; or MATCH_MORE where the slice is over and `lua` can
 * pause. Raises where the pattern is malformed or too complex. */
enum match pattern_run(lua_State *lua, struct matcher *matcher);
/* Before a pause: pushes a block with the matcher, with which the rest is done. */
struct matcher *pattern_keep(lua_State *lua, const struct matcher *matcher);

/* Of a match that was found. Pushes capture `index` (from 0); where there is none, the whole match
 * for 0. */
void pattern_push_capture(lua_State *lua, const struct matcher *matcher, int index);
/* All of them, or else, where `or_match`, the whole match; how many. */
int pattern_push_captures(lua_State *lua, const struct matcher *matcher, bool or_match);

#endif
