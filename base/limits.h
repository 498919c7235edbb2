/* Every bound of the system that is not a format's own constant, in one place, so that their
 * relations can be checked: see the assertions at the end. A module adds its bounds here, with the
 * reason, and asserts what it relies on.
 *
 * _MAX is what is never exceeded; _DEFAULT what holds where configuration says nothing. Units stand
 * last. What is part of the public contract is marked so: programs rely on it.
 */
#ifndef KX_BASE_LIMITS_H
#define KX_BASE_LIMITS_H

#include "base/slot.h"

#include <stdint.h>

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

/* ---- Names and addresses (public contract) ---- */

/* [a-z][a-z0-9_]{0,63}: types, apps, commands, queries, events. */
#define NAME_BYTES_MAX 64
/* UTF-8 behind the first '/' of an address. */
#define ID_BYTES_MAX 512
/* type/id */
#define ADDRESS_BYTES_MAX (NAME_BYTES_MAX + 1 + ID_BYTES_MAX)
/* A key of the store without its shard: an address and what distinguishes the records of one entity
 * (kind, sequence, hash of a token), with room to grow. */
#define KEY_BYTES_MAX 1024

/* ---- Requests and replies (public contract) ---- */

#define PAYLOAD_BYTES_MAX     (1 * MIB)
#define ERROR_TEXT_BYTES_MAX  (4 * KIB) /* with code and details */
#define CALL_TIMEOUT_MS       5000      /* where the caller gives none */
#define TOKEN_BYTES_MAX       128
#define TOKEN_LIFE_MS         (24 * 60 * 60 * INT64_C(1000))
#define TOKEN_REPLY_BYTES_MAX (64 * KIB)
/* Records of tokens in one shard. A day of 20 new ones a second fits: their least size is about 150
 * bytes. Beyond it, calls with a token are refused before anything is proposed. */
#define TOKEN_BYTES_PER_SHARD_MAX (256 * MIB)
/* Nesting of payloads and states: far above what people write, far below what would make a
 * decoder's stack of open containers large. */
#define VALUE_DEPTH_MAX 128
/* The META option, which travels with every message that a call causes. */
#define METADATA_BYTES_MAX (16 * KIB)

/* ---- State and handlers (public contract; apps may lower them, and raise the state's) ---- */

#define STATE_BYTES_DEFAULT      (1 * MIB)
#define STATE_BYTES_MAX          (10 * MIB)
#define HANDLER_INSTRUCTIONS_MAX 10000000
#define HANDLER_RUN_MS_MAX       100 /* its own running time, over all slices */
#define HANDLER_BYTES_MAX        (64 * MIB)
/* A handler yields to other work after this long, so that a core answers heartbeats in time. */
#define HANDLER_SLICE_US 500
/* ---- Groups ---- */

/* Voters and learners of one, while its membership changes: at most seven are wanted as voters, and
 * another one comes before one of them goes. Each group has memory for so many. */
#define GROUP_REPLICAS_MAX 8
/* The directory, shard 0, has one on every node. */
#define DIRECTORY_REPLICAS_MAX 64
#define GROUP_HEARTBEAT_MS     100
#define GROUP_ELECTION_MS      1000
/* Without anything to do for so long a group costs nothing any more. */
#define GROUP_SLEEP_MS 2000
/* What a leader lets wait so that messages are fewer (replication/raft/pace.c): measured. */
#define GROUP_GATHER_BYTES      (16 * KIB)
#define GROUP_GATHER_MS         1
#define GROUP_MESSAGE_BYTES_MAX MIB
/* Applied entries that a group keeps in memory for replicas that may lack them; what they lack
 * before those is read back from the log. */
#define GROUP_KEPT_BYTES_MAX (256 * KIB)
/* What a store has in memory of entries that were read back, until they are acknowledged: a network
 * and disks that answer in 10 ms carry 400 MiB/s so. And of them, what is read at once, of one
 * group; how many of those one group has. */
#define GROUP_READ_BYTES_MAX   (4 * MIB)
#define GROUP_WINDOW_BYTES_MAX (256 * KIB)
#define GROUP_WINDOWS_MAX      8
/* So long they are there for who takes none of them: then others' turn comes. */
#define GROUP_READ_PATIENCE_MS 3000
/* More than that is read back only where the state is larger. */
#define GROUP_READ_CHEAP_BYTES (4 * MIB)
/* How large a state is, is found out again after this. */
#define GROUP_STATE_MS 10000
/* A replica beside others writes down how much is committed after so much of it, and one of the
 * directory after each entry: what it finds behind that when it is started again is kept in memory
 * until its leader says more. */
#define GROUP_COMMIT_BYTES (256 * KIB)

/* Proposed in a group of several replicas, and not applied here yet: that is in memory until a
 * majority has it on its disks, which may take for ever. From there on calls are refused before
 * their handlers run. Held against bursts: what a disk of 100 MB/s makes durable in a third of a
 * second. The shard has the same states once more, as those that the next call sees. */
#define GROUP_UNAPPLIED_BYTES_MAX (32 * MIB)
/* Of all groups of a store together, those that others lead included: thousands of groups share a
 * core. */
#define STORE_UNAPPLIED_BYTES_MAX (128 * MIB)
/* What only deletes, and what the directory has decided, may add so much more. */
#define UNAPPLIED_SPARE_FRACTION 4
/* A replica that does not lead takes so many times as much: always all that its leader may have
 * proposed, as commits may need it. */
#define UNAPPLIED_TAKEN_FACTOR 2

/* A reply in JSON, where base64 and escapes make a state larger. */
#define REPLY_BYTES_MAX (16 * MIB)
/* Types that were ever dropped with their data: a shard keeps a line for each, for good. */
#define DROPPED_TYPES_MAX 4096
/* What one command may emit: it stands in one entry beside everything else of the command. */
#define EVENTS_BYTES_MAX (1 * MIB)
/* Running all files of an app once, when it is loaded: a core does nothing else meanwhile. */
#define LOAD_INSTRUCTIONS_MAX 20000000
#define LOAD_RUN_MS_MAX       1000
/* Files of an app together: one entry of the directory's group carries them. */
#define BUNDLE_BYTES_MAX (8 * MIB)

/* ---- Placement ---- */

/* Enough that a few nodes of a few cores share them evenly; few enough that fifty concurrent calls
 * still fall on the same shards often, and share entries. */
#define SHARDS_DEFAULT 128
#define SHARDS_MAX     16384
/* Stores of a data directory; their directories have three digits. Where nothing is said there are
 * two even on one core, so that a second one has something to do later. */
#define STORES_DEFAULT_MIN 2
#define STORES_MAX         1000

/* ---- The log ---- */

/* Bytes of a device's smallest write that is never torn in practice, and of O_DIRECT's alignment on
 * every device that we know of. */
#define FRAME_ALIGNMENT_BYTES 4096
/* Payload of one record: the largest change of one call (a state, a full payload's worth of events,
 * a reply kept for a token), or the bundle of an app. */
#define ENTRY_BYTES_MAX (12 * MIB)
/* A state of a type with `history`: each change writes it twice, as the state and as the one that
 * is kept, and both stand in one entry. */
#define STATE_KEPT_BYTES_MAX (ENTRY_BYTES_MAX / 2 - 128 * KIB)
/* One frame, header, directory and padding included: the largest entry must fit, and what is lost
 * at the end of a segment stays below a quarter of it. Ordinary frames are far smaller, because
 * one forms for each turn. */
#define FRAME_BYTES_MAX (16 * MIB)
/* Writes of one log under way at a time. Measured: 5,000 synced commits a second with one, 19,000
 * to 50,000 with 4 to 16, no more beyond. */
#define FRAMES_IN_FLIGHT_DEFAULT 16
#define FRAMES_IN_FLIGHT_MAX     64
/* As many at a time where the core has other work: measured in docs/performance.md. */
#define FRAMES_IN_FLIGHT_BUSY 2
/* Where frames take less than this, in the mean, one at a time. */
#define FRAME_SOON_NS_DEFAULT 1000000
/* Large enough that changing files costs nothing, small enough that space is given back soon. */
#define SEGMENT_BYTES_DEFAULT (64 * MIB)
/* Of the first one: a new server must not wait for 64 MiB of zeros. */
#define SEGMENT_FIRST_BYTES_DEFAULT (4 * MIB)
/* An idle log writes its watermark this long after its last frame: later, and damage could not be
 * told from a cut; sooner, and pauses between calls would cost writes. */
#define WATERMARK_DELAY_MS_DEFAULT 10

/* ---- Checkpoints and memory of a store ---- */

/* Log written between two checkpoints, by the stores of a core together. Scanning costs 1.2 ms a
 * MiB, and replaying entries of 220 bytes about 6: a restart takes a second and a bit for this. */
#define REPLAY_BYTES_MAX_DEFAULT (128 * MIB)
/* Of one store, however small its part is: checkpoints more often than that cost more than they
 * save. */
#define REPLAY_BYTES_MIN (8 * MIB)
/* Changed state that only the log has; up to twice this is in memory during a checkpoint. */
#define DIRTY_BYTES_MAX_DEFAULT (64 * MIB)
/* Unchanged state kept decoded from the store, and blocks of its files. */
#define CLEAN_BYTES_MAX_DEFAULT   (64 * MIB)
#define BLOCK_CACHE_BYTES_DEFAULT (64 * MIB)
/* Nothing appended for so long, and something dirty: checkpoint, so that an idle server restarts
 * at once. */
#define CHECKPOINT_IDLE_MS_DEFAULT 5000
/* What a cursor may copy from memory of the range it reads; the largest entity must fit. */
#define CURSOR_BYTES_MAX (16 * MIB)
/* Free space kept back: the smaller of both, but never less than a checkpoint needs. */
#define DISK_RESERVE_PERCENT           5
#define DISK_RESERVE_BYTES_MAX_DEFAULT (2 * GIB)
#define DISK_RESERVE_EXTRA_BYTES       (64 * MIB) /* for all that is not counted */

/* ---- Links between nodes ---- */

/* One message: an entry with what names it. */
#define PEER_MESSAGE_BYTES_MAX (ENTRY_BYTES_MAX + 1 * MIB)
/* Of those that overtake all others: they must not be what others wait for. */
#define PEER_URGENT_BYTES_MAX (64 * KIB)
/* Waiting in one class of one link; of the urgent class a sixteenth. */
#define PEER_QUEUE_BYTES_DEFAULT (16 * MIB)
/* A piece of a message: what an urgent one waits for at most while it is made, and what is
 * compressed at once. */
#define PEER_FRAME_BYTES_MAX (32 * KIB)
/* What is authenticated at once, and held by the receiver until it is whole. */
#define PEER_RECORD_BYTES_MAX (64 * KIB)
/* With the kernel at a time: 2 ms of a network of 1 Gbit/s. */
#define PEER_WRITE_BYTES_MAX (256 * KIB)
/* LZ4 begins with a table of 16 KiB to be cleared: of a message of 1 KiB that was most of all that
 * sending it cost. */
#define PEER_COMPRESS_BYTES_MIN (4 * KIB)
/* Connections that have not proved themselves: beyond it one of the address with most goes. */
#define PEER_STRANGERS_MAX 64
/* Questions of nodes that are none yet, and their answers: one piece of a message each. */
#define PEER_QUESTION_BYTES_MAX (4 * KIB)
#define PEER_ANSWER_BYTES_MAX   (16 * KIB)
/* Of them under way at a time, of each side. */
#define PEER_INTRODUCTIONS_MAX 8

/* ---- Calls between nodes ---- */

/* A reply goes in pieces, so that none waits long behind a large one. */
#define FORWARD_PART_BYTES_MAX (1 * MIB)
/* Of an error's details, which people read; a deployment's diagnostics are the longest. */
#define FORWARD_DETAILS_BYTES_MAX (1 * MIB)
/* The largest message: a bundle, with the types that it drops. */
#define FORWARD_MESSAGE_BYTES_MAX (BUNDLE_BYTES_MAX + 1 * MIB)
/* Calls of one core that wait for a leader. */
#define FORWARD_WAITING_BYTES_MAX (64 * MIB)
/* Under way on one link, one way; what is behind waits at the side that sends. Enough that a round
 * trip of 1 ms never idles a core. */
#define FORWARD_LINK_CALLS_MAX 8192
#define FORWARD_LINK_BYTES_MAX (32 * MIB)
/* So long a query that any replica may answer waits for what its leader says; then that answers. */
#define REPLICA_READ_MS 250
/* Where nobody knows more than that the one who was asked does not lead. */
#define FORWARD_PAUSE_MS 10
/* For the leader's own word that the time is over. */
#define FORWARD_GRACE_MS 100

/* ---- Snapshots of groups, sent to other nodes ---- */

/* Large enough that sending is no matter of their number. */
#define SNAPSHOT_CHUNK_BYTES (128 * KIB)
/* Sent and not acknowledged, of one stream: a way of 10 ms there and back carries 100 MiB/s. A
 * larger pair goes all the same. */
#define SNAPSHOT_WINDOW_CHUNKS 8
#define SNAPSHOT_WINDOW_BYTES  (SNAPSHOT_WINDOW_CHUNKS * SNAPSHOT_CHUNK_BYTES)
/* Of a core, each way; others wait. Two, so that a large one does not keep all others back. */
#define SNAPSHOT_STREAMS_MAX 2
/* Sent by a node: half of a network of 1 Gbit/s, so that entries and calls have the other. */
#define SNAPSHOT_BYTES_PER_S_DEFAULT (64 * MIB)
/* Slower, and no shard of a size worth it would ever arrive. */
#define SNAPSHOT_RATE_MIN (64 * KIB)
/* So much of the rate may be sent at once after a pause. */
#define SNAPSHOT_BURSTS_PER_S 16
/* Without a word from the other side, or a link to it. */
#define SNAPSHOT_PATIENCE_MS 30000
/* Without a link, where others wait for the place. So long that the machine takes the replica for
 * gone, and does not ask for another one at once. */
#define SNAPSHOT_CUT_MS (GROUP_ELECTION_MS + GROUP_ELECTION_MS / 2)
/* Of a group's log, for a replica that gets a snapshot. Beyond it that replica gets another. */
#define SNAPSHOT_KEPT_BYTES_MAX (64 * MIB)

/* ---- What the process says ---- */

/* A line of the process's log: PIPE_BUF, so that the lines of several threads never mix in a pipe.
 */
#define LOG_LINE_BYTES_MAX 4096

/* ---- Relations ---- */

_Static_assert(SHARDS_DEFAULT <= SHARDS_MAX && SHARDS_MAX <= SLOT_COUNT,
    "a shard is a range of slots, so none would be empty");
_Static_assert(STORES_DEFAULT_MIN <= STORES_MAX && STORES_MAX <= 1000, "three digits");
_Static_assert(ADDRESS_BYTES_MAX + NAME_BYTES_MAX + 64 <= KEY_BYTES_MAX,
    "an address, a name and the rest of a record's key fit a key");
_Static_assert(
    TOKEN_REPLY_BYTES_MAX < TOKEN_BYTES_PER_SHARD_MAX, "a token's record fits its shard");
_Static_assert(STATE_BYTES_DEFAULT <= STATE_BYTES_MAX, "a default is allowed");
_Static_assert(STATE_BYTES_MAX + PAYLOAD_BYTES_MAX + TOKEN_REPLY_BYTES_MAX + METADATA_BYTES_MAX +
                       ADDRESS_BYTES_MAX + 64 * KIB <=
                   ENTRY_BYTES_MAX,
    "what one call may change fits an entry, or it could be executed and not proposed");
_Static_assert(2 * STATE_KEPT_BYTES_MAX + TOKEN_REPLY_BYTES_MAX + 64 * KIB <= ENTRY_BYTES_MAX &&
                   STATE_KEPT_BYTES_MAX >= STATE_BYTES_DEFAULT,
    "so does what one call may change of a type with history");
_Static_assert(BUNDLE_BYTES_MAX + 64 * KIB <= ENTRY_BYTES_MAX, "a bundle fits an entry");
_Static_assert(ENTRY_BYTES_MAX + 1 * MIB <= FRAME_BYTES_MAX,
    "an entry fits a frame with its header and a directory of every shard");
_Static_assert(GROUP_UNAPPLIED_BYTES_MAX >= 2 * ENTRY_BYTES_MAX &&
                   STORE_UNAPPLIED_BYTES_MAX >= 2 * GROUP_UNAPPLIED_BYTES_MAX,
    "one large entry does not refuse the next, and one group not all others");
_Static_assert(GROUP_UNAPPLIED_BYTES_MAX / UNAPPLIED_SPARE_FRACTION + FRAME_BYTES_MAX <=
                   (UNAPPLIED_TAKEN_FACTOR - 1) * GROUP_UNAPPLIED_BYTES_MAX,
    "who follows takes all that was let in: a log promises room for a frame at most");
_Static_assert(FRAME_BYTES_MAX % FRAME_ALIGNMENT_BYTES == 0, "a frame ends where one may begin");
_Static_assert(
    FRAME_BYTES_MAX <= SEGMENT_BYTES_DEFAULT / 4, "little of a segment is lost at its end");
_Static_assert(FRAME_BYTES_MAX <= UINT32_MAX, "its size stands in 32 bits");
_Static_assert(SEGMENT_FIRST_BYTES_DEFAULT <= SEGMENT_BYTES_DEFAULT &&
                   SEGMENT_FIRST_BYTES_DEFAULT % FRAME_ALIGNMENT_BYTES == 0 &&
                   SEGMENT_BYTES_DEFAULT % FRAME_ALIGNMENT_BYTES == 0,
    "segments hold whole frames");
_Static_assert(FRAMES_IN_FLIGHT_DEFAULT <= FRAMES_IN_FLIGHT_MAX, "a default is allowed");
_Static_assert(FRAMES_IN_FLIGHT_BUSY >= 1, "a frame under way is what the next one waits for");
_Static_assert(REPLAY_BYTES_MAX_DEFAULT >= 2 * SEGMENT_BYTES_DEFAULT,
    "a checkpoint gives back at least a whole segment");
_Static_assert(DIRTY_BYTES_MAX_DEFAULT >= 2 * ENTRY_BYTES_MAX,
    "a large entry does not make every turn a checkpoint");
_Static_assert(
    CURSOR_BYTES_MAX >= STATE_BYTES_MAX + PAYLOAD_BYTES_MAX, "the largest entity is readable");
_Static_assert(ENTRY_BYTES_MAX < PEER_MESSAGE_BYTES_MAX && PEER_MESSAGE_BYTES_MAX <= UINT32_MAX,
    "an entry fits a message between nodes, whose size stands in 32 bits");
_Static_assert(ENTRY_BYTES_MAX + SNAPSHOT_CHUNK_BYTES < PEER_MESSAGE_BYTES_MAX &&
                   SNAPSHOT_WINDOW_BYTES <= PEER_QUEUE_BYTES_DEFAULT,
    "a snapshot's largest chunk fits a message, and a stream's window a queue");
_Static_assert(PEER_FRAME_BYTES_MAX + 64 <= PEER_RECORD_BYTES_MAX &&
                   PEER_RECORD_BYTES_MAX + 64 <= PEER_WRITE_BYTES_MAX,
    "a piece fits a record, a record a write");
_Static_assert(
    FORWARD_PART_BYTES_MAX + FORWARD_DETAILS_BYTES_MAX + 64 * KIB <= FORWARD_MESSAGE_BYTES_MAX &&
        PAYLOAD_BYTES_MAX + 5 * METADATA_BYTES_MAX + 512 * KIB <= FORWARD_MESSAGE_BYTES_MAX &&
        DROPPED_TYPES_MAX * (NAME_BYTES_MAX + 10) <= 512 * KIB,
    "calls, answers and requests of the directory are messages");
_Static_assert(FORWARD_MESSAGE_BYTES_MAX <= PEER_MESSAGE_BYTES_MAX, "which a link takes");
_Static_assert(FORWARD_LINK_BYTES_MAX >= 2 * FORWARD_MESSAGE_BYTES_MAX,
    "a bundle under way leaves room for calls");
_Static_assert(PEER_QUESTION_BYTES_MAX <= PEER_FRAME_BYTES_MAX &&
                   PEER_ANSWER_BYTES_MAX <= PEER_FRAME_BYTES_MAX,
    "an introduction is asked and answered in one piece");
_Static_assert(ERROR_TEXT_BYTES_MAX <= TOKEN_REPLY_BYTES_MAX, "an error is a small reply");
_Static_assert(HANDLER_SLICE_US <= HANDLER_RUN_MS_MAX * 1000, "a slice is part of a run");

#endif
