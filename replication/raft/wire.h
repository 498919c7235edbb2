/* Messages as bytes, between nodes of one or of different versions.
 *
 *   kind u8 | flags u8 (1 refused, 2 forced, 4 asleep) | from | to | term      (varints)
 *   then, as far as the kind has it, in this order (varints):
 *     at.term at.index    PREVOTE VOTE APPEND_ENTRIES APPEND_REPLY
 *     hint.term hint.index                            APPEND_REPLY
 *     commit              APPEND_ENTRIES HEARTBEAT READ_INDEX_REPLY
 *     round               APPEND_ENTRIES HEARTBEAT APPEND_REPLY HEARTBEAT_REPLY
 *                         READ_INDEX READ_INDEX_REPLY
 *     count, entries      APPEND_ENTRIES
 *   an entry: term varint | kind u8 | bytes varint | data
 *
 * A message ends where it ends: many stand in a row. A heartbeat takes about 10 bytes.
 *
 * What is read is whole and within bounds, and one message has one encoding; whether it makes sense
 * is for raft_step.
 *
 * Pure. Any thread.
 */
#ifndef KX_REPLICATION_RAFT_WIRE_H
#define KX_REPLICATION_RAFT_WIRE_H

#include "base/bytes.h"
#include "replication/raft/raft.h"

/* All but the entries. */
#define RAFT_MESSAGE_HEAD_BYTES_MAX (2 + 10 * VARINT_BYTES_MAX)
#define RAFT_ENTRY_HEAD_BYTES_MAX   (1 + 2 * VARINT_BYTES_MAX)
#define RAFT_MESSAGE_ENTRIES_MAX    1024

/* `message` as raft_send made it; `count` entries are to follow. Fails as writers do, where room is
 * short. */
void raft_message_write(struct writer *writer, const struct raft_message *message);
void raft_entry_write(struct writer *writer, const struct raft_entry *entry);

/* The next message; its entries stand in `entries`, and their data in what is read.
 * ERR_CORRUPT: no message, or more than RAFT_MESSAGE_ENTRIES_MAX entries. */
NODISCARD int raft_message_read(struct reader *reader, struct raft_message *ret_message,
    struct raft_entry entries[RAFT_MESSAGE_ENTRIES_MAX]);

#endif
