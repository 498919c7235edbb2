#include "tests/fuzz/msgpack_oracle.h"

#include "base/buffer.h"
#include "base/wire/msgpack.h"

#include <msgpack.h>

enum {
	OUTPUT_BYTES_MAX = 64 << 20,
	/* libmsgpack's reader has no more. */
	THEIR_DEPTH_MAX = 31,
};

static bool same_bytes(struct slice ours, const void *theirs, uint32_t bytes)
{
	return slice_equal(ours, slice_of(theirs, bytes));
}

static bool same_double(double a, double b)
{
	uint64_t a_bits, b_bits;
	memcpy(&a_bits, &a, sizeof(a));
	memcpy(&b_bits, &b, sizeof(b));
	return a_bits == b_bits || (a != a && b != b);
}

static bool same_scalar(const struct msgpack_value *ours, const msgpack_object *theirs)
{
	switch (theirs->type) {
	case MSGPACK_OBJECT_NIL:
		return ours->type == MSGPACK_NIL;
	case MSGPACK_OBJECT_BOOLEAN:
		return ours->type == MSGPACK_BOOLEAN && ours->boolean == theirs->via.boolean;
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		return ours->type == MSGPACK_INTEGER && ours->integer >= 0 &&
		       (uint64_t)ours->integer == theirs->via.u64;
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		return ours->type == MSGPACK_INTEGER && ours->integer == theirs->via.i64;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		return ours->type == MSGPACK_DOUBLE && same_double(ours->number, theirs->via.f64);
	case MSGPACK_OBJECT_STR:
		return ours->type == MSGPACK_STRING &&
		       same_bytes(ours->bytes, theirs->via.str.ptr, theirs->via.str.size);
	case MSGPACK_OBJECT_BIN:
		return ours->type == MSGPACK_BINARY &&
		       same_bytes(ours->bytes, theirs->via.bin.ptr, theirs->via.bin.size);
	case MSGPACK_OBJECT_EXT:
		return ours->type == MSGPACK_EXTENSION && ours->extension == theirs->via.ext.type &&
		       same_bytes(ours->bytes, theirs->via.ext.ptr, theirs->via.ext.size);
	case MSGPACK_OBJECT_ARRAY:
		return ours->type == MSGPACK_ARRAY && ours->count == theirs->via.array.size;
	case MSGPACK_OBJECT_MAP:
		return ours->type == MSGPACK_MAP && ours->count == theirs->via.map.size;
	}
	return false;
}

/* Walks both in step. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as libmsgpack reads at most */
static bool same_value(struct msgpack_reader *reader, const msgpack_object *theirs)
{
	struct msgpack_value ours;
	if (msgpack_next(reader, &ours) || !same_scalar(&ours, theirs))
		return false;
	if (theirs->type == MSGPACK_OBJECT_ARRAY) {
		for (uint32_t i = 0; i < theirs->via.array.size; i++) {
			if (!same_value(reader, &theirs->via.array.ptr[i]))
				return false;
		}
	} else if (theirs->type == MSGPACK_OBJECT_MAP) {
		for (uint32_t i = 0; i < theirs->via.map.size; i++) {
			const msgpack_object_kv *pair = &theirs->via.map.ptr[i];
			if (!same_value(reader, &pair->key) || !same_value(reader, &pair->val))
				return false;
		}
	}
	return true;
}

static void write_value(struct msgpack_writer *writer, const struct msgpack_value *value)
{
	switch (value->type) {
	case MSGPACK_NIL:
		msgpack_write_nil(writer);
		return;
	case MSGPACK_BOOLEAN:
		msgpack_write_boolean(writer, value->boolean);
		return;
	case MSGPACK_INTEGER:
		msgpack_write_integer(writer, value->integer);
		return;
	case MSGPACK_DOUBLE:
		msgpack_write_double(writer, value->number);
		return;
	case MSGPACK_STRING:
		msgpack_write_string(writer, value->bytes);
		return;
	case MSGPACK_BINARY:
		msgpack_write_binary(writer, value->bytes);
		return;
	case MSGPACK_EXTENSION:
		msgpack_write_extension(writer, value->extension, value->bytes);
		return;
	case MSGPACK_ARRAY:
		msgpack_write_array(writer, value->count);
		return;
	case MSGPACK_MAP:
		msgpack_write_map(writer, value->count);
		return;
	}
}

/* Reads one value, writes it anew, and keeps the promise that containers fit into what is left. */
static int read_all(struct slice bytes, unsigned depth_max, struct buffer *out, size_t *ret_offset,
    bool *ret_promise_kept)
{
	struct msgpack_reader reader;
	msgpack_reader_init(&reader, bytes, false, depth_max);
	struct msgpack_writer writer;
	msgpack_writer_init(&writer, out);
	bool kept = true;
	int error;
	do {
		struct msgpack_value value;
		error = msgpack_next(&reader, &value);
		if (error)
			break;
		write_value(&writer, &value);
		kept = kept && msgpack_depth(&reader) <= depth_max &&
		       msgpack_left(&reader) <= bytes.bytes;
		if (value.type == MSGPACK_ARRAY || value.type == MSGPACK_MAP)
			kept = kept && value.count <= bytes.bytes - msgpack_offset(&reader);
	} while (msgpack_depth(&reader) > 0);
	if (msgpack_writer_finish(&writer))
		kept = false;
	*ret_offset = msgpack_offset(&reader);
	*ret_promise_kept = kept;
	return error;
}

static int skip_one(struct slice bytes, unsigned depth_max, size_t *ret_offset)
{
	struct msgpack_reader reader;
	msgpack_reader_init(&reader, bytes, false, depth_max);
	int error = msgpack_skip(&reader);
	*ret_offset = msgpack_offset(&reader);
	return error;
}

/* libmsgpack allocates for as many values as a header promises: up to 100 GiB. */
static bool may_promise_much(struct slice bytes)
{
	return bytes.bytes > 0 &&
	       (memchr(bytes.data, 0xdd, bytes.bytes) || memchr(bytes.data, 0xdf, bytes.bytes));
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as libmsgpack reads at most */
static bool has_float32(const msgpack_object *object)
{
	bool found = object->type == MSGPACK_OBJECT_FLOAT32;
	if (object->type == MSGPACK_OBJECT_ARRAY) {
		for (uint32_t i = 0; i < object->via.array.size; i++)
			found = found || has_float32(&object->via.array.ptr[i]);
	} else if (object->type == MSGPACK_OBJECT_MAP) {
		for (uint32_t i = 0; i < object->via.map.size; i++) {
			found = found || has_float32(&object->via.map.ptr[i].key) ||
			        has_float32(&object->via.map.ptr[i].val);
		}
	}
	return found;
}

static const char *judge_by_theirs(struct slice bytes, int ours, size_t offset, struct slice output)
{
	msgpack_unpacked result;
	msgpack_unpacked_init(&result);
	size_t their_offset = 0;
	msgpack_unpack_return code =
	    msgpack_unpack_next(&result, (const char *)bytes.data, bytes.bytes, &their_offset);
	bool theirs = code == MSGPACK_UNPACK_SUCCESS || code == MSGPACK_UNPACK_EXTRA_BYTES;
	const char *wrong = NULL;
	if (theirs != (ours == 0)) {
		wrong =
		    theirs ? "refused, but not by libmsgpack" : "accepted, but not by libmsgpack";
	} else if (theirs) {
		struct msgpack_reader reader;
		msgpack_reader_init(&reader, bytes, false, THEIR_DEPTH_MAX);
		msgpack_sbuffer packed;
		msgpack_sbuffer_init(&packed);
		msgpack_packer packer;
		msgpack_packer_init(&packer, &packed, msgpack_sbuffer_write);
		msgpack_pack_object(&packer, result.data);
		if (their_offset != offset)
			wrong = "libmsgpack finds another length";
		else if (!same_value(&reader, &result.data))
			wrong = "libmsgpack reads another value";
		else if (!has_float32(&result.data) &&
		         !slice_equal(output, slice_of(packed.data, packed.size)))
			wrong = "libmsgpack writes it differently";
		msgpack_sbuffer_destroy(&packed);
	}
	msgpack_unpacked_destroy(&result);
	return wrong;
}

const char *msgpack_oracle(struct slice bytes)
{
	struct buffer output;
	struct buffer twice;
	buffer_init(&output, OUTPUT_BYTES_MAX);
	buffer_init(&twice, OUTPUT_BYTES_MAX);
	size_t offset;
	size_t other_offset;
	bool kept;
	const char *wrong = NULL;
	int ours = read_all(bytes, THEIR_DEPTH_MAX, &output, &offset, &kept);
	if (!kept || offset > bytes.bytes)
		wrong = "more was promised than there is";
	if (skip_one(bytes, THEIR_DEPTH_MAX, &other_offset) != ours || other_offset != offset)
		wrong = "skipping and reading do not agree";
	if (!wrong && ours == 0) {
		size_t output_bytes = buffer_bytes(&output);
		if (read_all(buffer_view(&output), THEIR_DEPTH_MAX, &twice, &other_offset, &kept))
			wrong = "what was written is not MessagePack";
		else if (other_offset != output_bytes ||
		         !slice_equal(buffer_view(&output), buffer_view(&twice)))
			wrong = "what was written, read and written again is different";
	}
	bool comparable = ours != ERR_DEPTH && ours != ERR_NUMBER && !may_promise_much(bytes);
	if (!wrong && comparable)
		wrong = judge_by_theirs(bytes, ours, offset, buffer_view(&output));
	buffer_done(&output);
	buffer_done(&twice);
	return wrong;
}
