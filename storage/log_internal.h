/* The parts of a running log, for its own files only:
 *
 *   log.c           opening, freeing, views, figures; the anchor's bytes are in log_anchor.c
 *   log_append.c    room, the open frame, records
 *   log_write.c     frames on their way to the disk, acknowledgement, watermarks, drain
 *   log_segments.c  segments: made ahead, recycled, removed
 *   log_release.c   plans, anchors, releasing
 *   log_rewrite.c   copies that free old segments
 *   log_kept.c      segments that nobody needs, and what can be read in them
 *   log_read.c      entries read back
 *
 * Frames live in a ring, in order of their numbers:
 *
 *   head                                                   head + used - 1
 *   | WRITTEN  WRITING  WRITING  WRITTEN | CLOSED  CLOSED | OPEN | FREE ...
 *     not acknowledged: an older one is    waiting: enough
 *     still on its way                     are in flight
 *
 * A frame gets its place in a segment when it is closed, and its watermark and hash when it is
 * handed over. At every moment there is an open frame or a free one: hard states always find room.
 */
#ifndef KX_STORAGE_LOG_INTERNAL_H
#define KX_STORAGE_LOG_INTERNAL_H

#include "base/io/fs.h"
#include "base/io/io.h"
#include "storage/log.h"
#include "storage/log_index.h"
#include "storage/log_scan.h"

/* First size of a frame's memory; more where a frame needed more. What all of them have beyond KEEP
 * is given back when the log is idle, and not before: a call reserves room for the largest state
 * that it may make, so while there are calls every frame needs such memory, of which little is ever
 * touched. */
#define LOG_FRAME_BUFFER_BYTES (64 * KIB)
#define LOG_FRAME_KEEP_BYTES   (1 * MIB)

/* Every frame has room for a hard state and a reset of every group, beside entries. */
#define LOG_HARD_STATE_BYTES (LOG_RECORD_HEADER_BYTES + 8)
#define LOG_GROUP_ZONE_BYTES (LOG_HARD_STATE_BYTES + LOG_RECORD_HEADER_BYTES)
/* What a record with a payload of 0 may take of memory, being the first one of a new group; and of
 * space on disk, in a frame of its own. */
#define LOG_RECORD_MEMORY_BYTES (LOG_RECORD_HEADER_BYTES + LOG_GROUP_ZONE_BYTES)
#define LOG_RECORD_DISK_BYTES   (LOG_ALIGNMENT + 256)
/* Space of the last segment that is kept for hard states and the log's own frames. */
#define LOG_RESERVE_BYTES (256 * KIB)
/* A mark at least every 64th of a segment. */
#define LOG_MARKS_PER_SEGMENT 64
/* After a failure to prepare a segment, or to get memory for a frame. */
#define LOG_RETRY_NS (200 * NS_PER_MS)
/* After the log was opened, space is made ready this much later: until then the disk is needed for
 * opening the next store, and the server's first answers. */
#define LOG_PREPARE_DELAY_NS (100 * NS_PER_MS)

struct log_segment {
	uint64_t number;
	uint64_t bytes;
	uint64_t first_frame; /* 0: no frame of the log is in it */
	uint64_t chain;       /* that frame's */
	uint64_t position;
	struct fs_file *file;      /* NULL: closed */
	uint32_t frames_under_way; /* closed and not acknowledged */
};

enum log_frame_state {
	LOG_SLOT_FREE,
	LOG_SLOT_OPEN,
	LOG_SLOT_CLOSED,
	LOG_SLOT_WRITING,
	LOG_SLOT_WRITTEN,
};

struct log_frame {
	struct io_op op;
	struct log *log;
	enum log_frame_state state;
	enum log_frame_kind kind;
	uint64_t number;
	uint64_t mark;
	struct log_segment *segment;
	uint64_t offset;
	uint64_t submitted_ns;
	uint32_t bytes; /* with padding, set when closed */
	uint32_t used;
	uint32_t directory_count;
	uint32_t record_count;
	uint32_t entry_count;
	uint32_t zone_used; /* by hard states and resets */
	uint8_t *data;
	uint32_t capacity;
	uint32_t extent_count;
	uint32_t extent_capacity;
	struct log_extent *extents;
	struct log_frame_group {
		struct log_group_state *group;
		struct log_hard_state hard; /* where the extent says that there is one */
		uint32_t hard_at;           /* where its record stands; 0: nowhere */
	} * groups;                         /* beside extents */
};

enum log_job_kind { LOG_JOB_NONE, LOG_JOB_CREATE, LOG_JOB_RECYCLE, LOG_JOB_REMOVE };

/* Work on segment files, in the offload pool; one at a time. */
struct log_job {
	struct io_op op;
	struct log *log;
	enum log_job_kind kind;
	uint64_t from;
	uint64_t number;
	uint64_t bytes;
	struct fs_file *file;
	bool moved; /* the file stands under `number` */
};

struct log_rewrite;
struct log_reads;

struct log {
	struct log_options options; /* dir is a copy */
	char *dir;
	struct log_index index;
	struct log_scan scan;     /* for log_replay */
	struct log_anchor anchor; /* newest that is durable in the store */
	uint64_t life;
	uint64_t life_frame;
	struct log_life lives_before[LOG_LIVES_BEFORE]; /* as in an anchor */

	struct log_frame *frames; /* the ring */
	uint32_t frame_count;
	uint32_t head;
	uint32_t used;
	uint32_t writing; /* in state WRITING */
	uint32_t closed;  /* in state CLOSED */
	struct log_frame *open;
	uint64_t frame_bytes_wanted; /* memory for the next frame that needs new memory */

	uint64_t next_frame; /* number of the open frame, or the next to be opened */
	uint64_t durable_frame;
	uint64_t last_watermark; /* in the newest frame handed over */
	uint64_t last_content;   /* newest RECORDS, LIFE or REWRITE frame closed */
	uint64_t last_hash;      /* of the newest frame handed over */
	uint64_t position;       /* bytes of all frames closed */
	uint64_t frame_ns;       /* what frames took to be durable, in the mean; 0: none did yet */

	uint64_t reserved_bytes;
	uint64_t reserved_records;
	uint64_t zone_groups; /* that frames have room for, beside what is reserved */

	struct log_segment **segments; /* live, by number; the last one is written to */
	size_t segment_count;
	size_t segment_capacity;
	uint64_t offset;            /* in the last one */
	struct log_segment **ready; /* prepared, by number, above all live ones */
	size_t ready_count;
	size_t ready_capacity;
	struct log_scan_spare *spares; /* released, to be recycled or removed */
	size_t spare_count;
	size_t spare_capacity;
	size_t spare_keep;
	struct log_scan_spare *kept; /* released, and still read: by number, older than all live */
	size_t kept_count;
	size_t kept_capacity;
	uint64_t kept_bytes, kept_bytes_max, kept_bytes_wanted;
	uint64_t next_number;
	uint64_t number_used; /* segments up to this one hold, or held, frames */
	struct log_job job;
	struct io_timer retry_timer;

	struct io_timer watermark_timer;
	void (*drained)(void *arg);
	void *drained_arg;

	uint64_t plan_round;
	struct log_rewrite *rewrite; /* NULL: none was begun */
	struct log_reads *reads;     /* the same */

	struct {
		uint64_t frames, frame_bytes, record_bytes, watermarks, rewrites;
	} figures;

	uint32_t under_way;         /* operations that io holds */
	uint32_t ending;            /* nested log_operation_begin */
	uint32_t last_extent_count; /* of the newest frame closed: the next one's directory */
	bool freed;                 /* by the owner; memory lives until nothing is under way */
	bool has_scan;
	bool room_wanted;
	uint64_t prepare_at_ns; /* no space is made ready before, unless it is wanted */
	bool draining;
	bool no_space;
	bool plan_closed; /* its anchor was made: the next plan begins another round */
};

/* ---- log.c ---- */

/* Around what is done when an operation of this log has ended: callbacks in between may free the
 * log (log->freed then), whose memory stays until log_operation_end. */
void log_operation_begin(struct log *log);
void log_operation_end(struct log *log);

/* ---- log_append.c ---- */

/* Memory for the ring; frames are allocated when they are needed. */
NODISCARD int log_frames_init(struct log *log);
void log_frames_done(struct log *log);
/* The log is idle: gives back large memory. */
void log_frames_trim(struct log *log);
/* Opens a frame of this kind in the next slot, with room for `bytes` of records beside what is
 * reserved and what every frame has. None is open. False: no slot, or no memory for it now. */
bool log_open_frame(struct log *log, enum log_frame_kind kind, uint64_t bytes);
/* Takes back an open frame without records. */
void log_cancel_frame(struct log *log);
/* A record in the open frame, which has room for it; returns where its payload goes. */
uint8_t *log_put_record(struct log *log, struct log_group_state *group, enum log_record_kind kind,
    uint64_t term, uint64_t index, uint32_t bytes);
/* Where the next record stands. */
static inline struct log_origin log_frame_origin(const struct log_frame *frame)
{
	return (struct log_origin){
	    .mark = frame->mark, .frame = frame->number, .record = frame->record_count};
}
/* The group's extent in the open frame. */
struct log_extent *log_frame_extent(struct log *log, struct log_group_state *group);
/* Whether the frame behind the open one is free and has memory for what is reserved; tries to get
 * that. The open frame may be closed only then. */
bool log_next_frame_holds(struct log *log);
/* Tells the owner that there may be room, where it asked. */
void log_tell_room(struct log *log);

/* ---- log_write.c ---- */

/* Gives the open frame its place and queues it. False: there is no space for it now. */
bool log_close_frame(struct log *log);
/* Hands over frames that are closed, as many as may be in flight. */
void log_submit(struct log *log);
void log_watermark_later(struct log *log);
void log_advance_drain(struct log *log);
void log_idle_timer_fired(struct io_timer *timer);

/* ---- log_segments.c ---- */

NODISCARD int log_segments_init(struct log *log, const struct log_scan *scan, size_t current);
void log_segments_done(struct log *log);
static inline struct log_segment *log_current(const struct log *log)
{
	return log->segments[log->segment_count - 1];
}
/* Whether frames of `bytes` in all, none larger than `frame_bytes`, surely find space. */
bool log_space_holds_behind(
    const struct log *log, uint64_t left, uint64_t bytes, uint64_t frame_bytes);
static inline bool log_space_holds(const struct log *log, uint64_t bytes, uint64_t frame_bytes)
{
	uint64_t left = log_current(log)->bytes - log->offset;
	return bytes <= left || log_space_holds_behind(log, left, bytes, frame_bytes);
}
/* Finds the frame's place and takes it; false: there is none. */
bool log_place_frame(struct log *log, struct log_frame *frame);
/* Its bytes are durable. */
void log_segment_frame_done(struct log *log, struct log_segment *segment);
/* Starts what there is to do in the background. */
void log_segments_kick(struct log *log);
/* Live segments below `first` are kept, or become spare. */
void log_segments_release(struct log *log, uint64_t first);
/* Kept ones become spare: the oldest, until they are no more than `bytes`. */
void log_segments_drop_kept(struct log *log, uint64_t bytes);
void log_retry_timer_fired(struct io_timer *timer);

/* ---- log_rewrite.c ---- */

/* A REWRITE frame became durable. */
void log_rewrite_durable(struct log *log, uint64_t frame);
/* The first mark that copies under way still rely on; LOG_NO_MARK. */
uint64_t log_rewrite_held_mark(const struct log *log);
/* Marks below the index's first are gone: what a checkpoint covers needs no copies. */
void log_rewrite_marks_dropped(struct log *log);
/* Continues with what waited for room. */
void log_rewrite_advance(struct log *log);
/* Whether files of old segments are being read. */
bool log_rewrite_reading(const struct log *log);
void log_rewrite_free(struct log_rewrite *rewrite);
/* Whether the frame is part of the log: one that a recovery gave up may hold other content under
 * the same number, index and term, where the vote for that term was given up with it. What is asked
 * here does not change while the log runs. */
bool log_frame_is_part(const struct log *log, const struct log_frame_header *header);

/* ---- log_kept.c ---- */

/* The checkpoint holds the group's entries up to `index`, which the index is about to drop. */
void log_kept_add(struct log *log, struct log_group_state *group, uint64_t index);
void log_kept_forget(struct log_group_state *group);
/* Segments up to this one are recycled. */
void log_kept_drop(struct log *log, uint64_t segment);
/* Where to look for the entry, and the last one of its run. False: it cannot be read. */
bool log_kept_find(const struct log *log, const struct log_group_state *group, uint64_t entry,
    struct log_kept_run *ret_run, uint64_t *ret_last);

/* ---- log_read.c ---- */

/* Whether a spare is being read. */
bool log_reads_spares(const struct log *log);
void log_reads_free(struct log_reads *reads);

#endif
