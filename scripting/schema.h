/* Schemas: what values of an app look like; made by the constructors of `kalix.schema`, kept in C
 * memory outside of Lua, immutable once made.
 *
 *   any string{min,max,pattern,enum} integer{min,max} number{min,max} boolean timestamp bytes{max}
 *   list(T,{min,max}) map(K,V,{max}) record(fields,{open}) optional(T,default) one_of({T..},{tag})
 *
 * Encoded as MessagePack for the catalogue (schema_encode), as JSON for people (schema_json).
 * Compatibility is structural: `wide` accepts every value that `narrow` accepts.
 *
 * Reference counted; one thread.
 */
#ifndef KX_SCRIPTING_SCHEMA_H
#define KX_SCRIPTING_SCHEMA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct buffer;
struct json_writer;
struct lua_State;
struct schema;

#define SCHEMA_DEPTH_MAX  32
#define SCHEMA_FIELDS_MAX 1024
#define SCHEMA_NODES_MAX  16384 /* written out, with what is used twice counted twice */

enum schema_kind {
	SCHEMA_ANY,
	SCHEMA_STRING,
	SCHEMA_INTEGER,
	SCHEMA_NUMBER,
	SCHEMA_BOOLEAN,
	SCHEMA_TIMESTAMP,
	SCHEMA_BYTES,
	SCHEMA_LIST,
	SCHEMA_MAP,
	SCHEMA_RECORD,
	SCHEMA_OPTIONAL,
	SCHEMA_ONE_OF
};

void schema_keep(struct schema *schema);
void schema_release(struct schema *schema); /* NULL-safe */
enum schema_kind schema_kind(const struct schema *schema);
/* It is optional, or a record whose fields all are: a value exists without being given one, and
 * value_push_absent makes it. */
bool schema_has_default(const struct schema *schema);

/* Pushes the library table `kalix.schema`, whose constructors make userdata. */
void schema_open(struct lua_State *lua);
/* For the table that schema_open pushed, protected by sandbox_protect since: reading a name that it
 * does not have is an error with a suggestion, since `input = schema.integr` would be no schema at
 * all. Leaves the stack as it was. */
void schema_refuse_unknown(struct lua_State *lua);
/* The schema at a stack position, or NULL where there is another thing; types without options
 * (`schema.string`) are schemas themselves. */
struct schema *schema_at(struct lua_State *lua, int position);

NODISCARD int schema_encode(const struct schema *schema, struct buffer *out);
/* ERR_INVALID; ERR_NOMEM. The schema has one reference. */
NODISCARD int schema_decode(struct slice encoded, struct schema **ret_schema);
void schema_json(const struct schema *schema, struct json_writer *writer);

/* Whether everything that `narrow` accepts, `wide` accepts (NULL counts as any). Where not, `why`
 * gets the path and reason: "items.*.quantity: integer >= 1 does not accept 0". */
bool schema_accepts_all(
    const struct schema *wide, const struct schema *narrow, char *why, size_t why_bytes);

#endif
