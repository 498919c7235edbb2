/* States and events as people read them: MessagePack as compact JSON. Bytes become base64; keys
 * that are numbers become text. Nothing here knows a schema. */
#include "server/shard/shard_parts.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/wire/json_writer.h"
#include "base/wire/msgpack.h"

static int write_key(struct json_writer *out, const struct msgpack_value *value)
{
	char text[32];
	switch (value->type) {
	case MSGPACK_STRING:
		json_write_key(out, value->bytes);
		return 0;
	case MSGPACK_INTEGER:
		snprintf(text, sizeof(text), "%" PRId64, value->integer);
		json_write_key(out, slice_from_text(text));
		return 0;
	case MSGPACK_NIL:
	case MSGPACK_BOOLEAN:
	case MSGPACK_DOUBLE:
	case MSGPACK_BINARY:
	case MSGPACK_ARRAY:
	case MSGPACK_MAP:
	case MSGPACK_EXTENSION:
		return ERR_CORRUPT;
	}
	UNREACHABLE();
}

/* Containers only begin here. */
static void write_value(struct json_writer *out, const struct msgpack_value *value)
{
	switch (value->type) {
	case MSGPACK_NIL:
		json_write_null(out);
		return;
	case MSGPACK_BOOLEAN:
		json_write_boolean(out, value->boolean);
		return;
	case MSGPACK_INTEGER:
		json_write_integer(out, value->integer);
		return;
	case MSGPACK_DOUBLE:
		json_write_double(out, value->number);
		return;
	case MSGPACK_STRING:
		json_write_string(out, value->bytes);
		return;
	case MSGPACK_BINARY:
	case MSGPACK_EXTENSION:
		json_write_base64(out, value->bytes);
		return;
	case MSGPACK_ARRAY:
		json_write_array_begin(out);
		return;
	case MSGPACK_MAP:
		json_write_object_begin(out);
		return;
	}
	UNREACHABLE();
}

int state_to_json(struct slice state, struct json_writer *out)
{
	struct msgpack_reader in;
	struct msgpack_value value;
	bool is_map[MSGPACK_DEPTH_MAX];
	uint64_t left[MSGPACK_DEPTH_MAX]; /* values, of a map keys too */
	unsigned depth = 0;
	msgpack_reader_init(&in, state, false, MSGPACK_DEPTH_MAX);
	do {
		bool is_key = depth > 0 && is_map[depth - 1] && left[depth - 1] % 2 == 0;
		int error = msgpack_next(&in, &value);
		if (!error && is_key)
			error = write_key(out, &value);
		if (error)
			return error == ERR_NOMEM ? error : ERR_CORRUPT;
		if (!is_key)
			write_value(out, &value);
		if (depth > 0)
			left[depth - 1]--;
		if (!is_key && (value.type == MSGPACK_ARRAY || value.type == MSGPACK_MAP)) {
			is_map[depth] = value.type == MSGPACK_MAP;
			left[depth] = is_map[depth] ? 2 * (uint64_t)value.count : value.count;
			depth++;
		}
		while (depth > 0 && left[depth - 1] == 0) {
			if (is_map[--depth])
				json_write_object_end(out);
			else
				json_write_array_end(out);
		}
	} while (depth > 0);
	return msgpack_finished(&in) ? 0 : ERR_CORRUPT;
}
