/* Values between bytes and Lua: JSON and MessagePack to tables and back, checked against a schema
 * (scripting/schema.h) on the way, so that each byte is looked at once.
 *
 * Kinds. JSON object or map: table; array: table with the list mark; null: absent (a field, an
 * optional) or kalix.null inside `any`; integers are int64 exactly; 5.0 is 5 where the schema says
 * integer. Bytes are strings in Lua, base64 in JSON, binary in MessagePack. Written out: object
 * keys sorted by bytes; an empty table is [] with a list schema or list mark, else {}. Without a
 * schema, a table with 1..n and nothing else is a list; a list with holes, mixed keys, NaN,
 * infinities, cycles, functions, strings that are not UTF-8 are refused, with their path.
 *
 * Every function charges the run's budget (sandbox_charge) in proportion to the bytes; depth is
 * bounded by VALUE_DEPTH_MAX; no recursion deeper than that. Errors of content are told as text
 * with a path ("items.p1.quantity: expected integer >= 1, got 0"), strings only by type and length.
 */
#ifndef KX_SCRIPTING_VALUE_H
#define KX_SCRIPTING_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"

struct buffer;
struct lua_State;
struct schema;

#define VALUE_WHY_BYTES 512

struct value_problem {
	char why[VALUE_WHY_BYTES]; /* with its path */
};

/* Pushes the value of a whole JSON document or MessagePack value. `schema` may be NULL (any).
 * `from_outside`: input of a caller (RFC 3339 accepted for timestamps, defaults filled in); else a
 * stored value (defaults filled in too). ERR_INVALID with *problem, nothing pushed; ERR_NOMEM. */
NODISCARD int value_push_json(struct lua_State *lua, struct slice json, const struct schema *schema,
    struct value_problem *problem);
NODISCARD int value_push_msgpack(struct lua_State *lua, struct slice msgpack,
    const struct schema *schema, bool from_outside, struct value_problem *problem);
/* The schema's default, where schema_has_default. */
NODISCARD int value_push_default(struct lua_State *lua, const struct schema *schema);

/* Appends the value at `position`, checked. ERR_INVALID with *problem; ERR_TOO_LARGE (out's bound);
 * ERR_NOMEM; nothing appended then. */
NODISCARD int value_write_json(struct lua_State *lua, int position, const struct schema *schema,
    struct buffer *out, struct value_problem *problem);
NODISCARD int value_write_msgpack(struct lua_State *lua, int position, const struct schema *schema,
    struct buffer *out, struct value_problem *problem);

/* A deep copy that shares nothing, marks included; and read-only views for dev mode: a table that
 * reads as the original under next pairs ipairs # rawget table.* and raises on assignment. */
NODISCARD int value_copy(struct lua_State *lua, int position, struct value_problem *problem);

/* kalix.null and kalix.list, kalix.sorted, json, base64: pushes each library table. */
void value_push_null(struct lua_State *lua);
bool value_is_null(struct lua_State *lua, int position);
void value_open_json(struct lua_State *lua);
void value_open_base64(struct lua_State *lua);
void value_open_list(struct lua_State *lua);
void value_open_sorted(struct lua_State *lua);

/* Bytes to bytes, without Lua: JSON to MessagePack (keys sorted) and back. For replies kept for
 * tokens, and for admin tools. ERR_INVALID, ERR_TOO_LARGE, ERR_NOMEM. */
NODISCARD int value_json_from_msgpack(struct slice msgpack, struct buffer *out);
NODISCARD int value_msgpack_from_json(struct slice json, struct buffer *out);

#endif
