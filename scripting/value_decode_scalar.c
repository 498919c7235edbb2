/* Tokens and scalars of value_decode.h. */
#include "base/assert.h"
#include "base/wire/base64.h"
#include "scripting/rfc3339.h"
#include "scripting/sandbox.h"
#include "scripting/value_decode.h"

#include <lua.h>

/* --- Tokens ----------------------------------------------------------------------------------- */

int decoder_fail_reading(struct decoder *decoder, int error)
{
	if (error == ERR_NOMEM || error == ERR_TOO_LARGE)
		return error;
	if (decoder->is_json) {
		struct json_position position;
		const char *text = json_error(&decoder->json, &position);
		value_fail(&decoder->trouble, "malformed JSON at line %zu, column %zu: %s",
		    position.line, position.column, text);
	} else {
		value_fail(&decoder->trouble, "malformed MessagePack at byte %zu: %s",
		    msgpack_offset(&decoder->msgpack), error_text(error));
	}
	/* The place says all; a path to it would only confuse. */
	decoder->trouble.path_cut = true;
	return ERR_INVALID;
}

int decoder_json_next(struct decoder *decoder, struct msgpack_value *token)
{
	struct json_reader *json = &decoder->json;
	enum json_token kind;
	int error = json_next(json, &kind);
	if (error)
		return decoder_fail_reading(decoder, error);
	switch (kind) {
	case JSON_OBJECT_BEGIN:
		token->type = MSGPACK_MAP;
		return 0;
	case JSON_ARRAY_BEGIN:
		token->type = MSGPACK_ARRAY;
		return 0;
	case JSON_OBJECT_END:
	case JSON_ARRAY_END:
	case JSON_END:
		token->type = (enum msgpack_type)TOKEN_END;
		return 0;
	case JSON_KEY:
	case JSON_STRING:
		token->type = MSGPACK_STRING;
		token->bytes = json->text;
		return 0;
	case JSON_INTEGER:
		token->type = MSGPACK_INTEGER;
		token->integer = json->integer;
		return 0;
	case JSON_DOUBLE:
		token->type = MSGPACK_DOUBLE;
		token->number = json->number;
		return 0;
	case JSON_TRUE:
	case JSON_FALSE:
		token->type = MSGPACK_BOOLEAN;
		token->boolean = kind == JSON_TRUE;
		return 0;
	case JSON_NULL:
		token->type = MSGPACK_NIL;
		return 0;
	}
	UNREACHABLE();
}

int decoder_mismatch(
    struct decoder *decoder, const struct schema *schema, const struct msgpack_value *token)
{
	struct value_trouble *trouble = &decoder->trouble;
	switch (token->type) {
	case MSGPACK_NIL:
		return value_mismatch(trouble, schema, "null");
	case MSGPACK_BOOLEAN:
		return value_mismatch(trouble, schema, "boolean");
	case MSGPACK_INTEGER:
		return value_mismatch_integer(trouble, schema, token->integer);
	case MSGPACK_DOUBLE:
		return value_mismatch_number(trouble, schema, token->number);
	case MSGPACK_STRING:
		return value_mismatch_text(trouble, schema, token->bytes);
	case MSGPACK_BINARY:
		return value_mismatch(trouble, schema, "bytes");
	case MSGPACK_ARRAY:
		return value_mismatch(trouble, schema, decoder->is_json ? "array" : "list");
	case MSGPACK_MAP:
		return value_mismatch(trouble, schema, decoder->is_json ? "object" : "map");
	case MSGPACK_EXTENSION:
		return value_mismatch(trouble, schema, "an extension type");
	}
	UNREACHABLE();
}

/* --- Scalars ---------------------------------------------------------------------------------- */

void decoder_push_text(struct decoder *decoder, struct slice text)
{
	if (text.bytes > 256) {
		value_work(&decoder->work, text.bytes / 64);
		sandbox_charge_bytes(decoder->lua, text.bytes);
	}
	lua_pushlstring(decoder->lua, (const char *)text.data, text.bytes);
}

int decoder_integer(
    struct decoder *decoder, const struct schema *schema, const struct msgpack_value *token)
{
	int64_t value = token->integer;
	if (token->type == MSGPACK_DOUBLE) {
		if (!value_integer_of(token->number, &value))
			return decoder_mismatch(decoder, schema, token);
	} else if (token->type != MSGPACK_INTEGER) {
		return decoder_mismatch(decoder, schema, token);
	}
	int error = value_check_integer(&decoder->trouble, schema, value);
	if (!error)
		lua_pushinteger(decoder->lua, value);
	return error;
}

int decoder_number(
    struct decoder *decoder, const struct schema *schema, const struct msgpack_value *token)
{
	bool is_integer = token->type == MSGPACK_INTEGER;
	if (!is_integer && token->type != MSGPACK_DOUBLE)
		return decoder_mismatch(decoder, schema, token);
	double number = is_integer ? (double)token->integer : token->number;
	int error = value_check_number(&decoder->trouble, schema, number);
	if (error)
		return decoder_mismatch(decoder, schema, token);
	if (is_integer)
		lua_pushinteger(decoder->lua, token->integer);
	else
		lua_pushnumber(decoder->lua, number);
	return 0;
}

int decoder_timestamp(
    struct decoder *decoder, const struct schema *schema, const struct msgpack_value *token)
{
	if (token->type != MSGPACK_STRING || !decoder->outside)
		return decoder_integer(decoder, schema, token);
	int64_t ms;
	if (rfc3339_parse(token->bytes, &ms))
		return value_fail(&decoder->trouble,
		    "expected timestamp (milliseconds, or text like "
		    "\"2024-05-06T07:08:09Z\"), got string of %zu bytes",
		    token->bytes.bytes);
	lua_pushinteger(decoder->lua, ms);
	return 0;
}

int decoder_bytes(
    struct decoder *decoder, const struct schema *schema, const struct msgpack_value *token)
{
	struct slice bytes = token->bytes;
	if (token->type != (decoder->is_json ? MSGPACK_STRING : MSGPACK_BINARY))
		return decoder_mismatch(decoder, schema, token);
	if (decoder->is_json && bytes.bytes > 0) {
		struct buffer *room = &decoder->state->bytes;
		buffer_clear(room);
		uint8_t *to;
		size_t count;
		int error = buffer_reserve(room, base64_decoded_bytes_max(bytes.bytes) + 1, &to);
		if (error)
			return error;
		if (base64_decode(bytes, to, &count))
			return value_fail(&decoder->trouble,
			    "expected bytes as base64, got string of %zu bytes", bytes.bytes);
		bytes = slice_of(to, count);
	}
	int error = value_check_count(&decoder->trouble, schema, bytes.bytes);
	if (!error)
		decoder_push_text(decoder, bytes);
	return error;
}

int decoder_string(
    struct decoder *decoder, const struct schema *schema, const struct msgpack_value *token)
{
	if (token->type != MSGPACK_STRING)
		return decoder_mismatch(decoder, schema, token);
	int error = value_check_string(&decoder->work, &decoder->trouble, schema, token->bytes);
	if (!error)
		decoder_push_text(decoder, token->bytes);
	return error;
}
