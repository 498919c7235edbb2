// sources: replication/raft/membership.c replication/raft/quorum.c replication/snapshot_wire.c
// libraries: -lxxhash
/* What nodes tell each other of a snapshot. The hash over the body is put right first, for nobody
 * finds one; what is read is written again as it was, and so are a chunk's pairs. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "replication/snapshot_wire.h"

enum { BYTES_MAX = 1 << 16 };

static uint8_t input[BYTES_MAX], written[BYTES_MAX];

static const char *wrong_pairs(struct slice pairs)
{
	struct writer writer = writer_of(written, sizeof(written));
	struct reader reader = reader_of(pairs);
	while (reader_left(&reader) > 0) {
		struct slice key, value;
		int error = snapshot_pair_read(&reader, &key, &value);
		if (error)
			return error == ERR_CORRUPT ? NULL : "a pair is good or corrupt";
		size_t before = writer_used(&writer);
		snapshot_pair_write(&writer, key, value);
		if (writer_used(&writer) - before != snapshot_pair_bytes(key, value))
			return "a pair takes what is said of it";
	}
	if (!slice_equal(writer_view(&writer), pairs))
		return "pairs have one encoding";
	return NULL;
}

/* A message without its pairs, or all of it. */
static struct slice write_again(const struct snapshot_message *message, bool with_pairs)
{
	struct writer writer = writer_of(written, sizeof(written));
	uint8_t body[SNAPSHOT_BODY_BYTES_MAX + BYTES_MAX];
	struct writer out = writer_of(body, sizeof(body));
	snapshot_body_write(&out, message);
	if (with_pairs)
		writer_slice(&out, message->data);
	snapshot_head_write(
	    &writer, message, snapshot_hash(message->kind, message->id, writer_view(&out)));
	writer_slice(&writer, writer_view(&out));
	return writer_view(&writer);
}

static const char *wrong_message(uint8_t *data, size_t bytes)
{
	struct snapshot_message message;
	if (snapshot_message_read(slice_of(data, bytes), &message))
		return NULL;
	/* Where the head ends: two varints stand behind kind and snapshot. */
	struct reader reader = reader_of(slice_of(data, bytes));
	reader_skip(&reader, 9);
	reader_varint(&reader);
	reader_varint(&reader);
	size_t head = bytes - reader_left(&reader) + 8;
	store_u64le(data + head - 8,
	    snapshot_hash(message.kind, message.id, slice_of(data + head, bytes - head)));
	if (snapshot_message_read(slice_of(data, bytes), &message))
		return "a head is read whatever stands behind it";
	if (message.damaged)
		return NULL;
	bool is_chunk = message.kind == SNAPSHOT_CHUNK;
	if (!slice_equal(write_again(&message, is_chunk), slice_of(data, bytes)))
		return "a message has one encoding";
	return is_chunk ? wrong_pairs(message.data) : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes > BYTES_MAX)
		return 0;
	memcpy(input, data, bytes);
	fuzz_must_hold(wrong_message(input, bytes));
	return 0;
}
