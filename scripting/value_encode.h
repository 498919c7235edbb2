/* What the two halves of encoding share: the writers behind one face, and tables being walked. For
 * value_encode*.c only.
 */
#ifndef KX_SCRIPTING_VALUE_ENCODE_H
#define KX_SCRIPTING_VALUE_ENCODE_H

#include "base/wire/json_writer.h"
#include "base/wire/msgpack.h"
#include "scripting/value_inside.h"

struct encoder {
	struct lua_State *lua;
	struct value_state *state;
	bool is_json;
	bool in_order; /* which of several problems is found does not depend on Lua's own order */
	unsigned depth;
	const void *tables[VALUE_DEPTH_MAX]; /* those around the value, against cycles */
	struct value_work work;
	struct value_trouble trouble;
	struct json_writer json;
	struct msgpack_writer msgpack;
};

static inline void put_map_begin(struct encoder *encoder, size_t pairs)
{
	if (encoder->is_json)
		json_write_object_begin(&encoder->json);
	else
		msgpack_write_map(&encoder->msgpack, pairs);
}

static inline void put_map_end(struct encoder *encoder)
{
	if (encoder->is_json)
		json_write_object_end(&encoder->json);
}

static inline void put_key(struct encoder *encoder, struct slice key)
{
	if (encoder->is_json)
		json_write_key(&encoder->json, key);
	else
		msgpack_write_string(&encoder->msgpack, key);
}

static inline void put_text(struct encoder *encoder, struct slice text)
{
	if (encoder->is_json)
		json_write_string(&encoder->json, text);
	else
		msgpack_write_string(&encoder->msgpack, text);
}

static inline void put_integer(struct encoder *encoder, int64_t value)
{
	if (encoder->is_json)
		json_write_integer(&encoder->json, value);
	else
		msgpack_write_integer(&encoder->msgpack, value);
}

static inline void put_number(struct encoder *encoder, double value)
{
	if (encoder->is_json)
		json_write_double(&encoder->json, value);
	else
		msgpack_write_double(&encoder->msgpack, value);
}

static inline void put_boolean(struct encoder *encoder, bool value)
{
	if (encoder->is_json)
		json_write_boolean(&encoder->json, value);
	else
		msgpack_write_boolean(&encoder->msgpack, value);
}

static inline void put_null(struct encoder *encoder)
{
	if (encoder->is_json)
		json_write_null(&encoder->json);
	else
		msgpack_write_nil(&encoder->msgpack);
}

static inline void put_bytes(struct encoder *encoder, struct slice bytes)
{
	if (encoder->is_json)
		json_write_base64(&encoder->json, bytes);
	else
		msgpack_write_binary(&encoder->msgpack, bytes);
}

/* The text at a position, which holds a string. */
struct slice encoder_text_at(struct encoder *encoder, int position);
/* ERR_INVALID: what is at the position is nothing that the schema accepts. */
__attribute__((cold)) int encoder_mismatch(
    struct encoder *encoder, const struct schema *schema, int position);

/* Enters the table at `position`: what begins must end with encoder_leave, but for errors. A view
 * there is replaced by its target. *ret_is_list: it has the list mark. */
NODISCARD int encoder_enter(struct encoder *encoder, int position, bool *ret_is_list);
static inline void encoder_leave(struct encoder *encoder)
{
	encoder->depth--;
}

/* The value at `position`, which is the top. */
NODISCARD int encoder_value(struct encoder *encoder, const struct schema *schema, int position);
/* A map, an open record, or a table without schema; entered already. */
NODISCARD int encoder_entries(struct encoder *encoder, const struct schema *schema, int position);
/* Fields that are kalix.null, which counts as absent; required ones must be there. */
NODISCARD int encoder_count_absent(
    struct encoder *encoder, const struct schema *record, int position, size_t *ret_count);

#endif
