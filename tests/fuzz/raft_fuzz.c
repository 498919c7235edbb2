// sources: replication/raft/membership.c replication/raft/quorum.c replication/raft/wire.c
/* What nodes tell each other of their groups: messages in a row, or a membership. What is read is
 * written again as it was; everything else is refused. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "replication/raft/wire.h"

enum { WRITTEN_MAX = 1 << 20 };

static struct raft_entry entries[RAFT_MESSAGE_ENTRIES_MAX];
static uint8_t written[WRITTEN_MAX];

static const char *wrong_messages(struct slice bytes)
{
	struct reader reader = reader_of(bytes);
	struct writer writer = writer_of(written, sizeof(written));
	while (reader_left(&reader) > 0) {
		struct raft_message message;
		size_t before = writer_used(&writer);
		int error = raft_message_read(&reader, &message, entries);
		if (error)
			return error == ERR_CORRUPT ? NULL : "a message is good or corrupt";
		raft_message_write(&writer, &message);
		for (uint32_t i = 0; i < message.count; i++)
			raft_entry_write(&writer, &entries[i]);
		size_t used = writer_used(&writer);
		if (writer.failed || used != bytes.bytes - reader_left(&reader) ||
		    memcmp(written + before, bytes.data + before, used - before) != 0)
			return "a message has one encoding";
	}
	return NULL;
}

static const char *wrong_membership(struct slice bytes)
{
	struct raft_membership membership;
	int error = raft_membership_read(bytes, &membership);
	if (error)
		return error == ERR_CORRUPT ? NULL : "a membership is good or corrupt";
	struct writer writer = writer_of(written, RAFT_MEMBERSHIP_BYTES_MAX);
	raft_membership_write(&writer, &membership);
	if (writer.failed || !slice_equal(writer_view(&writer), bytes))
		return "a membership has one encoding, which fits its room";
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes == 0 || bytes > WRITTEN_MAX)
		return 0;
	struct slice rest = slice_of(data + 1, bytes - 1);
	fuzz_must_hold(data[0] % 2 ? wrong_messages(rest) : wrong_membership(rest));
	return 0;
}
