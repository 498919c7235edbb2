/* What the two halves of decoding share: the readers behind one kind of token, and scalars. For
 * value_decode*.c only.
 */
#ifndef KX_SCRIPTING_VALUE_DECODE_H
#define KX_SCRIPTING_VALUE_DECODE_H

#include "base/wire/json_reader.h"
#include "base/wire/msgpack.h"
#include "scripting/value_inside.h"

struct decoder {
	struct lua_State *lua;
	struct value_state *state;
	bool is_json;
	bool outside;
	struct value_work work;
	struct value_trouble trouble;
	struct msgpack_reader msgpack;
	struct json_reader json;
};

/* What the readers say of bytes that are none of their language, as an error to be returned. */
__attribute__((cold)) int decoder_fail_reading(struct decoder *decoder, int error);

/* The end of a container in JSON. No extension has this number. */
enum { TOKEN_END = MSGPACK_EXTENSION + 1 };

NODISCARD int decoder_json_next(struct decoder *decoder, struct msgpack_value *token);

static inline int token_next(struct decoder *decoder, struct msgpack_value *token)
{
	if (decoder->is_json)
		return decoder_json_next(decoder, token);
	int error = msgpack_next(&decoder->msgpack, token);
	return __builtin_expect(error != 0, 0) ? decoder_fail_reading(decoder, error) : 0;
}

/* The next element or key; *left counts down what MessagePack promised. 1: there it is; 0: the
 * container's end. */
static inline int container_next(
    struct decoder *decoder, uint32_t *left, struct msgpack_value *token)
{
	if (!decoder->is_json) {
		if (*left == 0)
			return 0;
		(*left)--;
	}
	int error = token_next(decoder, token);
	if (error)
		return error;
	return token->type != (enum msgpack_type)TOKEN_END;
}

/* ERR_INVALID: the token is nothing that the schema accepts. */
__attribute__((cold)) int decoder_mismatch(
    struct decoder *decoder, const struct schema *schema, const struct msgpack_value *token);

void decoder_push_text(struct decoder *decoder, struct slice text);
/* Each pushes the value of a token, or gives an error. */
NODISCARD int decoder_integer(
    struct decoder *decoder, const struct schema *schema, const struct msgpack_value *token);
NODISCARD int decoder_number(
    struct decoder *decoder, const struct schema *schema, const struct msgpack_value *token);
NODISCARD int decoder_timestamp(
    struct decoder *decoder, const struct schema *schema, const struct msgpack_value *token);
NODISCARD int decoder_bytes(
    struct decoder *decoder, const struct schema *schema, const struct msgpack_value *token);
NODISCARD int decoder_string(
    struct decoder *decoder, const struct schema *schema, const struct msgpack_value *token);

#endif
