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
 * Keys of maps are text in both encodings, numbers as decimals too ("5"), so that one order holds.
 * What an optional field lacks is filled in by decoding, never by writing.
 *
 * Every function charges the run's budget (sandbox_charge) in proportion to the bytes; depth is
 * bounded by VALUE_DEPTH_MAX; no recursion deeper than that. Errors of content are told as text
 * with a path ("items.p1.quantity: expected integer >= 1, got 0"; elements of lists count from 1),
 * strings only by type and length.
 *
 * Raising. These functions ask Lua for memory and charge budgets, so they may raise (Lua's memory
 * error, sandbox_abort): call them in protected calls only. They hold nothing then, but what was
 * written to `out` may remain in part: whoever catches truncates it.
 *
 * Pauses. They never yield, but a run may be left in the middle of them, where they charge its
 * budget (sandbox_spend), and others call them meanwhile. What they build in memory of the
 * interpreter goes with the run: value_scratch_take.
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
struct value_scratch;

#define VALUE_WHY_BYTES 512

struct value_problem {
	char why[VALUE_WHY_BYTES]; /* with its path */
};

/* Makes what this module keeps in the interpreter; raises only where memory ends. Before all else,
 * on the main state; doing it twice is fine. */
void value_open(struct lua_State *lua);

/* For the sandbox: a run is left in the middle of C code, `lua` of which may be anywhere in this
 * header. NULL: no memory, and it must go on. Given back before it goes on; freed where it never
 * does. */
NODISCARD struct value_scratch *value_scratch_take(struct lua_State *lua);
void value_scratch_give(struct value_scratch *scratch);
void value_scratch_free(struct value_scratch *scratch); /* NULL-safe */

/* Pushes the value of a whole JSON document or MessagePack value. `schema` may be NULL (any). JSON
 * always comes from outside. `from_outside`: input of a caller (RFC 3339 accepted for timestamps,
 * text checked to be UTF-8, a key given twice refused); else a stored value. Defaults are filled in
 * both ways. ERR_INVALID with *problem, nothing pushed; ERR_NOMEM. */
NODISCARD int value_push_json(struct lua_State *lua, struct slice json, const struct schema *schema,
    struct value_problem *problem);
NODISCARD int value_push_msgpack(struct lua_State *lua, struct slice msgpack,
    const struct schema *schema, bool from_outside, struct value_problem *problem);
/* The same for a stored value that a script may look at in parts only: tables in it may be decoded
 * when they are first touched. To scripts they are plain tables, and to all of this header; other
 * code that looks at a script's table raw calls value_settle first. */
NODISCARD int value_push_state(struct lua_State *lua, struct slice msgpack,
    const struct schema *schema, struct value_problem *problem);
/* The table at `position`, if there is one, is a plain one from now on, apart from those in it.
 * May raise. */
void value_settle(struct lua_State *lua, int position);
/* What there is where nothing was given: nil for any, an optional's default or nil, {} with its
 * defaults for a record whose fields are all optional; else ERR_INVALID with *problem. */
NODISCARD int value_push_absent(
    struct lua_State *lua, const struct schema *schema, struct value_problem *problem);

/* Appends the value at `position`, checked. ERR_INVALID with *problem; ERR_TOO_LARGE (out's bound);
 * ERR_NOMEM; nothing appended then. */
NODISCARD int value_write_json(struct lua_State *lua, int position, const struct schema *schema,
    struct buffer *out, struct value_problem *problem);
NODISCARD int value_write_msgpack(struct lua_State *lua, int position, const struct schema *schema,
    struct buffer *out, struct value_problem *problem);

/* The table at `position`, if there is one, becomes what it would be once it was encoded and
 * decoded again: defaults filled in, 5.0 an integer where the schema says so, no table at two
 * places, marks and metatables as decoding gives them. It and the tables in it stay the same ones.
 * Most often nothing is to be done, and that costs what was touched. Errors as encoding; may
 * raise. */
NODISCARD int value_make_stored(struct lua_State *lua, int position, const struct schema *schema,
    struct buffer *scratch, struct value_problem *problem);

/* A deep copy that shares nothing, marks included; of a view, plain tables. */
NODISCARD int value_copy(struct lua_State *lua, int position, struct value_problem *problem);

/* Read-only views for dev mode. A view is an empty table that stands for another one, its target,
 * and raises on assignment. Reading gives what the target holds now, tables again as views, the
 * same view for the same table. `v.k` and `#v` work by metamethods; functions that look at tables
 * raw (next pairs ipairs rawget rawlen rawset setmetatable getmetatable table.*) ask for the target
 * first. Everything in this header takes views for what they stand for. */
void value_push_view(struct lua_State *lua, int position, const char *what); /* "state" */
/* Where the value at `position` is a view: pushes its target, true. Else pushes nothing, and
 * settles it. */
bool value_view_target(struct lua_State *lua, int position);
/* The value on top came out of the target of the view at `position`: a table becomes a view. */
void value_view_wrap(struct lua_State *lua, int position);
/* The error of an assignment: "state is read-only here: ...". Raises. */
__attribute__((noreturn)) void value_view_refuse(struct lua_State *lua, int position);

/* kalix.null, kalix.list (a function that marks), kalix.sorted (an iterator in order of keys), and
 * the libraries json, base64 and hash: each pushes one value. */
void value_push_null(struct lua_State *lua);
bool value_is_null(struct lua_State *lua, int position);
bool value_is_list(struct lua_State *lua, int position); /* has the list mark */
void value_mark_list(struct lua_State *lua, int position);
void value_open_json(struct lua_State *lua);
void value_open_base64(struct lua_State *lua);
void value_open_hash(struct lua_State *lua);
void value_open_list(struct lua_State *lua);
void value_open_sorted(struct lua_State *lua);

#endif
