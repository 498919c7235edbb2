/* Reading a log from disk and judging it: steps 1 to 4 of recovery (log.h). Nothing is written, so
 * offline tools use it too; what recovery then does to the disk is in log_recover.c.
 *
 *   log_scan_begin   lists and locks the segments, reads all of them once, judges (log_judge.h)
 *   log_scan_index   reads the frames that are part of the log again, into the index
 *   log_scan_next    ... as does every further pass: replay, rewriting of the tail, dumps
 *
 * A frame's hash is checked each time it is read. What was valid once and is not in a later pass
 * is a device that gives two answers: ERR_IO.
 *
 * A read error is tried again block by block; a block that gives an error again is LOG_UNREADABLE,
 * as is a frame that contains one.
 */
#ifndef KX_STORAGE_LOG_SCAN_H
#define KX_STORAGE_LOG_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/io/fs.h"
#include "storage/log.h"
#include "storage/log_index.h"
#include "storage/log_judge.h"

/* In the log's directory, beside the segments: one frame (kind WATERMARK, segment 0, offset 0)
 * whose watermark recovery had seen in frames that it was about to give up. See log_recover.c. */
#define LOG_PROOF_NAME "proof.frame"

enum log_file_kind {
	LOG_FILE_SEGMENT,   /* <number>.seg */
	LOG_FILE_TEMPORARY, /* <number>.tmp: being prepared */
};

struct log_scan_segment {
	uint64_t number;
	uint64_t bytes;       /* of the file, whole blocks */
	struct fs_file *file; /* NULL: closed */
	uint64_t first_frame; /* first one in it that is part of the log; 0: none */
	uint64_t chain;       /* that frame's */
	uint64_t position;    /* bytes of such frames in the segments before */
};

struct log_scan_spare {
	uint64_t number;
	uint64_t bytes;
	enum log_file_kind kind;
};

struct log_scan_cursor {
	size_t stretch; /* whose frames are being read; 0: at the start */
	uint64_t next;  /* frame number */
	size_t segment; /* where to look for it: place in `segments` */
	uint64_t offset;
};

struct log_scan {
	struct fs *fs;
	char *dir;
	uint64_t store;
	struct log_anchor anchor;
	unsigned open_flags;

	struct log_scan_segment *segments; /* live ones, by number */
	size_t segment_count;
	size_t segment_capacity;
	struct log_scan_spare *spares; /* below the anchor's first, and temporary files */
	size_t spare_count;
	size_t spare_capacity;
	uint64_t next_number; /* above every number in a name, or in the anchor */

	struct log_stretch *stretches; /* [0] is what precedes the log */
	size_t stretch_count;
	size_t stretch_capacity;
	bool end_noted;             /* of the last stretch */
	struct log_repair *repairs; /* of valid frames, then of those that are part of the log */
	size_t repair_count;
	size_t repair_capacity;
	bool has_records;
	uint64_t number_used; /* highest segment in which a valid frame stands; 0: none */
	uint64_t proof;       /* from LOG_PROOF_NAME; 0: none */
	struct log_judgement judgement;

	/* Set by log_scan_index. */
	uint64_t frames, records, bytes; /* of what is part of the log */
	struct log_scan_cursor needed;   /* first frame from anchor.needed_frame on */
	struct log_scan_cursor tail;     /* first frame above what is proven durable */
	uint64_t tail_frames;            /* how many from there on */
	struct log_extent *last_extents; /* what the last frame holds, where that is known */
	size_t last_extent_count;
	bool last_extents_known;

	/* What was read last: blocks of one segment. */
	uint8_t *window;
	uint8_t *window_bad; /* one byte a block: it is unreadable */
	size_t window_capacity;
	size_t window_segment;
	uint64_t window_offset;
	size_t window_bytes;
};

/* `writable`: files are opened so that recovery can write to them. Errors as log_open. On failure
 * the scan is done already. */
NODISCARD int log_scan_begin(struct log_scan *scan, struct fs *fs, const char *dir, uint64_t store,
    const struct log_anchor *anchor, bool writable);
void log_scan_done(struct log_scan *scan);

/* Closes the files and gives back the window; later passes open and allocate again. */
void log_scan_rest(struct log_scan *scan);

/* 1 and the next frame that is part of the log (every: or that was given up or is stale), in order
 * of position; 0 at the end; or an error. Start with a cursor of zeros. Views are valid until the
 * next call. */
NODISCARD int log_scan_next(struct log_scan *scan, struct log_scan_cursor *cursor, bool every,
    struct log_frame_header *ret_header, const uint8_t **ret_frame);

/* What stands at `offset` of segments[segment]: 0 and the verdict, and where that is LOG_VALID the
 * frame with its header; or an error. The view is valid until the next call. */
NODISCARD int log_scan_look(struct log_scan *scan, size_t segment, uint64_t offset,
    enum log_verdict *ret_verdict, struct log_frame_header *ret_header, const uint8_t **ret_frame);

/* Builds the index; mark_bytes: see there. Finishes it with log_index_recovered. */
NODISCARD int log_scan_index(struct log_scan *scan, struct log_index *index, uint64_t mark_bytes);

/* Fills what is known before anything is written; `index` as log_scan_index left it. */
void log_scan_report(
    const struct log_scan *scan, const struct log_index *index, struct log_report *ret_report);

/* Place of the segment in `segments`; segment_count where it is not there. */
size_t log_scan_find_segment(const struct log_scan *scan, uint64_t number);

/* "DIR/0123456789abcdef.seg"; FS_PATH_BYTES_MAX bytes. */
void log_path(char *path, const char *dir, uint64_t number, enum log_file_kind kind);
/* "DIR/proof.frame" */
void log_proof_path(char *path, const char *dir);

#endif
