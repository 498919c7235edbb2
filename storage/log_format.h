/* The log on disk, byte by byte. Everything is little-endian.
 *
 * A log is a row of segment files `log/<number, 16 hex digits>.seg`. Numbers rise and are never
 * used twice. A segment is zeroed space (or a recycled one full of stale frames) into which frames
 * are written one after another from offset 0; a frame never crosses the end of its segment. Where
 * the next frame does not fit, the rest stays as it is and the log goes on at offset 0 of the
 * file with the next higher number that there is. A segment is as long as its file.
 *
 * A frame starts at a multiple of LOG_ALIGNMENT and is a multiple of it long:
 *
 *   offset bytes  field
 *        0     8  magic "KXFRAME\n"
 *        8     4  format version (LOG_FORMAT)
 *       12     4  frame kind (enum log_frame_kind)
 *       16     8  store: random id of the store, from its identity; another one is a foreign file
 *       24     8  segment: number of the segment it was written for
 *       32     8  offset in that segment, bytes
 *       40     8  frame: 1, 2, 3 ...; a number is left out only below a LIFE frame
 *       48     8  life: counts recoveries; never falls from one frame to the next
 *       56     8  watermark: every frame up to this number was durable when this one was built
 *       64     8  chain: low 64 bits of the hash of the frame before it; 0: that one is unknown
 *       72     4  frame bytes, header and padding included
 *       76     4  used bytes: header + directory + records
 *       80     4  directory entries
 *       84     4  records
 *       88     8  life frame: number of the LIFE frame that began this life. Frames of lower lives
 *                 with this number or a higher one were given up by a recovery
 *       96    16  hash: XXH3-128 over frame bytes, this field taken as zero
 *      112        directory of the PREVIOUS frame (what is lost if that one is unreadable), entries
 *                 of 24 bytes: group u32 | flags u32 | first index u64 | last index u64
 *        .        records, each a header of 28 bytes and its payload, unaligned:
 *                 group u32 | kind u8 | reserved u8 x3 | term u64 | index u64 | payload bytes u32
 *        .        zeros up to frame bytes
 *
 * A frame is VALID at (segment, offset) where all of this holds: magic and format known, store is
 * ours, segment and offset are where it stands, sizes agree with each other and with the segment's
 * end, the hash is right, and the records fill the used bytes exactly. Another store or a newer
 * format is reported as such only if the hash is right: one rotten bit is damage, not a foreign
 * file. So every future format keeps magic, sizes and hash where they are.
 */
#ifndef KX_STORAGE_LOG_FORMAT_H
#define KX_STORAGE_LOG_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"

#define LOG_FORMAT                1
#define LOG_ALIGNMENT             4096
#define LOG_FRAME_HEADER_BYTES    112
#define LOG_DIRECTORY_ENTRY_BYTES 24
#define LOG_RECORD_HEADER_BYTES   28

enum log_frame_kind {
	LOG_FRAME_RECORDS = 1,
	/* Copies, made to free old segments. Of each group in it the frame states the whole state
	 * at the moment of sealing: LOG_RESET with the base, LOG_HARD_STATE unless the checkpoint
	 * has it, every live entry. It replaces what a reader of the log has of that group, which
	 * is the same where nothing before it is missing; so it never truncates. */
	LOG_FRAME_REWRITE = 2,
	LOG_FRAME_WATERMARK = 3, /* no records: an idle log says what is durable */
	LOG_FRAME_LIFE = 4,      /* no records: the first frame of a life */
	LOG_FRAME_REPAIR = 5,    /* LOG_TRUNCATE and LOG_ACCEPT_LOSS only: one repair, whole */
};

enum log_record_kind {
	LOG_ENTRY = 1, /* replaces the group's entries from this index on (a new leader's view) */
	LOG_HARD_STATE = 2, /* term; index = commit; payload = vote u64 */
	/* The group's entries end here; the next is index + 1, after `term`. To index 0 of term 0,
	 * but in a REWRITE frame, where that is where a new group begins: the group is FORGOTTEN.
	 * All that was known of it is void: hard states, too, and suspicion. */
	LOG_RESET = 3,
	/* Entries above index are given up (repair); payload = detached u64: bit n, behind the nth
	 * gap that this frame accepts, of unknown content, nothing of the group was kept. So later
	 * recoveries decide as this one did, whatever the checkpoint holds by then. */
	LOG_TRUNCATE = 4,
	/* Group 0; the unreadable frames `term` to `index` are accepted as lost (repair). */
	LOG_ACCEPT_LOSS = 5,
};

enum log_extent_flag {
	LOG_EXTENT_VOTE = 1,   /* a hard state whose term or vote changed */
	LOG_EXTENT_COMMIT = 2, /* one where only the commit hint did: harmless when lost */
	LOG_EXTENT_RESET = 4,
	LOG_EXTENT_TRUNCATE = 8,
	LOG_EXTENT_UNKNOWN = 16, /* group UINT32_MAX: not known, any group may be in that frame */
	/* From a REWRITE frame: copies only. Nothing is lost with it where the group is whole. */
	LOG_EXTENT_REWRITE = 32,
};
#define LOG_GROUP_UNKNOWN UINT32_MAX

/* What one frame holds of one group: the lowest index that it (re)writes, and the last at its end;
 * everything that the group had from first_index on is replaced. first_index > last_index: no
 * entries (then first_index - 1 is the index of a reset or truncation, where there was one). */
struct log_extent {
	uint32_t group;
	uint32_t flags; /* enum log_extent_flag */
	uint64_t first_index;
	uint64_t last_index;
	uint64_t last_term; /* in memory only */
};

struct log_frame_header {
	enum log_frame_kind kind;
	uint64_t store;
	uint64_t segment;
	uint64_t offset;
	uint64_t frame;
	uint64_t life;
	uint64_t watermark;
	uint64_t chain;
	uint64_t life_frame;
	uint32_t frame_bytes;
	uint32_t used_bytes;
	uint32_t directory_count;
	uint32_t record_count;
	uint64_t hash[2];
};

struct log_record {
	uint32_t group;
	enum log_record_kind kind;
	uint64_t term;
	uint64_t index;
	struct slice payload; /* a view into the frame */
};

/* Why bytes are not a valid frame here: for reports and for the scan. */
enum log_verdict {
	LOG_VALID,
	LOG_ZERO,      /* all zeros at the magic: never written */
	LOG_GARBAGE,   /* no magic */
	LOG_FOREIGN,   /* another store's */
	LOG_MISPLACED, /* written for another place: recycled space, or a misdirected write */
	LOG_BAD_SIZE,  /* sizes impossible or beyond what there is */
	LOG_BAD_HASH,
	LOG_BAD_RECORDS,
	LOG_UNREADABLE, /* the device gave an error */
	LOG_NEWER_FORMAT,
};
const char *log_verdict_text(enum log_verdict verdict);

/* Judges `available` bytes read from (segment, offset). LOG_VALID fills *ret_header. LOG_BAD_SIZE
 * sets ret_header->frame_bytes: 0, or where only a first part was given and the header is
 * plausible, how much there is to read. Otherwise *ret_header is untouched. Pure; any thread. */
enum log_verdict log_frame_check(const uint8_t *data, size_t available, uint64_t store,
    uint64_t segment, uint64_t offset, uint64_t segment_bytes, struct log_frame_header *ret_header);

/* Walks a valid frame. Both return false at the end. */
struct log_frame_cursor {
	const uint8_t *at;
	const uint8_t *end;
	uint32_t left;
};
void log_directory_begin(
    const uint8_t *frame, const struct log_frame_header *header, struct log_frame_cursor *cursor);
bool log_directory_next(struct log_frame_cursor *cursor, struct log_extent *ret_extent);
void log_records_begin(
    const uint8_t *frame, const struct log_frame_header *header, struct log_frame_cursor *cursor);
bool log_record_next(struct log_frame_cursor *cursor, struct log_record *ret_record);

/* ---- Writing ---- */

/* Writes header and hash over a frame whose directory, records and padding stand in `frame`
 * already; sets header->hash. */
void log_frame_seal(uint8_t *frame, struct log_frame_header *header);

/* One directory entry, LOG_DIRECTORY_ENTRY_BYTES. */
static inline void log_extent_write(uint8_t *to, const struct log_extent *extent)
{
	store_u32le(to, extent->group);
	store_u32le(to + 4, extent->flags);
	store_u64le(to + 8, extent->first_index);
	store_u64le(to + 16, extent->last_index);
}

/* A record's header, LOG_RECORD_HEADER_BYTES; its payload follows. */
static inline void log_record_write(uint8_t *to, uint32_t group, enum log_record_kind kind,
    uint64_t term, uint64_t index, uint32_t payload_bytes)
{
	store_u32le(to, group);
	store_u32le(to + 4, (uint32_t)kind);
	store_u64le(to + 8, term);
	store_u64le(to + 16, index);
	store_u32le(to + 24, payload_bytes);
}

static inline uint32_t log_align(uint32_t bytes)
{
	return (bytes + LOG_ALIGNMENT - 1) & ~(uint32_t)(LOG_ALIGNMENT - 1);
}

#endif
