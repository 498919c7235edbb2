#include "replication/raft/wire.h"

enum { FLAG_REFUSED = 1, FLAG_FORCED = 2, FLAG_ASLEEP = 4, FLAGS = 7 };

/* What messages of a kind have. */
enum {
	HAS_AT = 1,
	HAS_HINT = 2,
	HAS_COMMIT = 4,
	HAS_ROUND = 8,
	HAS_ENTRIES = 16,
	IS_KIND = 32,
};

static unsigned parts_of(unsigned kind)
{
	switch (kind) {
	case RAFT_PREVOTE:
	case RAFT_VOTE:
		return IS_KIND | HAS_AT;
	case RAFT_APPEND_ENTRIES:
		return IS_KIND | HAS_AT | HAS_COMMIT | HAS_ROUND | HAS_ENTRIES;
	case RAFT_APPEND_REPLY:
		return IS_KIND | HAS_AT | HAS_HINT | HAS_ROUND;
	case RAFT_HEARTBEAT:
	case RAFT_READ_INDEX_REPLY:
		return IS_KIND | HAS_COMMIT | HAS_ROUND;
	case RAFT_HEARTBEAT_REPLY:
	case RAFT_READ_INDEX:
		return IS_KIND | HAS_ROUND;
	case RAFT_PREVOTE_REPLY:
	case RAFT_VOTE_REPLY:
	case RAFT_TIMEOUT_NOW:
	case RAFT_WAKE:
		return IS_KIND;
	default:
		return 0;
	}
}

static void write_position(struct writer *writer, struct raft_position position)
{
	writer_varint(writer, position.term);
	writer_varint(writer, position.index);
}

static struct raft_position read_position(struct reader *reader)
{
	uint64_t term = reader_varint(reader);
	return (struct raft_position){.term = term, .index = reader_varint(reader)};
}

void raft_message_write(struct writer *writer, const struct raft_message *message)
{
	unsigned parts = parts_of(message->kind);
	ASSERT(parts != 0);
	writer_u8(writer, (uint8_t)message->kind);
	writer_u8(writer,
	    (uint8_t)((message->refused ? FLAG_REFUSED : 0) | (message->forced ? FLAG_FORCED : 0) |
	              (message->asleep ? FLAG_ASLEEP : 0)));
	writer_varint(writer, message->from);
	writer_varint(writer, message->to);
	writer_varint(writer, message->term);
	if (parts & HAS_AT)
		write_position(writer, message->at);
	if (parts & HAS_HINT)
		write_position(writer, message->hint);
	if (parts & HAS_COMMIT)
		writer_varint(writer, message->commit);
	if (parts & HAS_ROUND)
		writer_varint(writer, message->round);
	if (parts & HAS_ENTRIES)
		writer_varint(writer, message->count);
}

void raft_entry_write(struct writer *writer, const struct raft_entry *entry)
{
	writer_varint(writer, entry->term);
	writer_u8(writer, (uint8_t)entry->kind);
	writer_varint_slice(writer, entry->data);
}

static bool read_entries(
    struct reader *reader, struct raft_message *message, struct raft_entry *entries)
{
	uint64_t count = reader_varint(reader);
	if (count > RAFT_MESSAGE_ENTRIES_MAX)
		return false;
	for (uint64_t i = 0; i < count && !reader->failed; i++) {
		entries[i].term = reader_varint(reader);
		unsigned kind = reader_u8(reader);
		if (kind < RAFT_NOOP || kind > RAFT_MEMBERSHIP)
			return false;
		entries[i].kind = (enum raft_entry_kind)kind;
		entries[i].data = reader_varint_slice(reader);
	}
	message->count = (uint32_t)count;
	message->entries = entries;
	return true;
}

int raft_message_read(struct reader *reader, struct raft_message *ret_message,
    struct raft_entry entries[RAFT_MESSAGE_ENTRIES_MAX])
{
	unsigned kind = reader_u8(reader), flags = reader_u8(reader), parts = parts_of(kind);
	struct raft_message message = {.kind = (enum raft_message_kind)kind,
	    .refused = flags & FLAG_REFUSED,
	    .forced = flags & FLAG_FORCED,
	    .asleep = flags & FLAG_ASLEEP};
	message.from = reader_varint(reader);
	message.to = reader_varint(reader);
	message.term = reader_varint(reader);
	if (parts & HAS_AT)
		message.at = read_position(reader);
	if (parts & HAS_HINT)
		message.hint = read_position(reader);
	if (parts & HAS_COMMIT)
		message.commit = reader_varint(reader);
	if (parts & HAS_ROUND)
		message.round = reader_varint(reader);
	bool good = parts != 0 && flags <= FLAGS;
	if (good && parts & HAS_ENTRIES)
		good = read_entries(reader, &message, entries);
	if (!good || reader->failed)
		return ERR_CORRUPT;
	*ret_message = message;
	return 0;
}
