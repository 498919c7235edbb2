/* The short way between JSON and Lua, as value_direct.h is for MessagePack and under the same rule:
 * it knows success only, and whatever it does not take, value_decode.c or value_encode.c does from
 * the beginning. For value*.c only.
 */
#ifndef KX_SCRIPTING_VALUE_SHORT_JSON_H
#define KX_SCRIPTING_VALUE_SHORT_JSON_H

#include "scripting/value_direct.h"

/* Pushes the value, or false with Lua's stack as it was. It takes schemas that are `plain`; texts
 * without escapes, and integers of up to 18 digits where the schema wants an integer. */
NODISCARD bool value_scan(struct lua_State *lua, struct value_state *state, struct slice json,
    const struct schema *schema);
/* Appends the value at `position` (absolute), with Lua's stack as it was; or false with `out` as it
 * was and slots left there. It takes schemas that are `direct`. */
NODISCARD bool value_print(struct lua_State *lua, struct value_state *state, int position,
    const struct schema *schema, struct buffer *out);
/* The same for a table of a few scalars and texts without a schema, for value_print only. */
NODISCARD bool value_print_flat(
    struct lua_State *lua, struct value_state *state, int position, struct buffer *out);

#endif
