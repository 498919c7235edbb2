/* What recovery does to the disk (step 5 in log.h), after the scan has read and judged everything.
 *
 * In this order, so that a crash after any step leaves a log that is judged the same:
 *   1. Where a gap is known only from frames that step 4 and 6 will destroy, LOG_PROOF_NAME is
 *      written first: later recoveries then still know that the missing frames had been durable.
 *   2. Frames above what is proven durable are written again in place, and synced.
 *   3. What was being prepared when the process ended (*.tmp) is removed.
 *   4. Segments behind the cut get new numbers: frames of the ended life in them become misplaced.
 *      Where the end is missing they stay, since that is where it may have been: a fresh segment
 *      is made instead.
 *   5. The directory is synced: names made by a killed process too.
 *   6. The LIFE frame is written and synced: at the cut where it fits, else in the next segment.
 */
#ifndef KX_STORAGE_LOG_RECOVER_H
#define KX_STORAGE_LOG_RECOVER_H

#include "storage/log_scan.h"

struct log_recovery {
	struct log_scan *scan;
	uint64_t life;
	uint64_t life_frame;
	uint64_t last_frame; /* written and synced, as everything before it */
	uint64_t last_hash;
	size_t current;    /* place in scan->segments of the segment that is written to */
	uint64_t offset;   /* behind the last frame */
	uint64_t position; /* bytes of the log's frames so far */
	uint32_t rewritten_frames;
	uint32_t renumbered_segments;
	/* What the last frame was: for the directory of the next. */
	const struct log_extent *extents;
	size_t extent_count;
};

struct log_recover_options {
	uint64_t segment_bytes;
	uint64_t first_segment_bytes;
	uint32_t frame_bytes_max;
};

/* The scan was begun as writable and indexed. ERR_NO_SPACE, ERR_NOMEM, ERR_IO from a read or a
 * rename; PANICs where a write or sync fails. */
NODISCARD int log_recover(struct log_scan *scan, const struct log_recover_options *options,
    struct log_recovery *ret_recovery);

/* A REPAIR frame behind the LIFE frame, synced: `records` as log_record_write makes them, and their
 * payloads. ERR_NO_SPACE where it fits neither the current segment nor a new one. */
NODISCARD int log_recover_repair(struct log_recovery *recovery,
    const struct log_recover_options *options, const uint8_t *records, uint32_t record_bytes,
    uint32_t record_count);

/* Makes segment `number`: zeroed under a temporary name and synced before it gets its own, then
 * the directory synced. Blocks; any thread. ERR_NO_SPACE (and then nothing is left of it). PANICs
 * where a write or sync fails otherwise. */
NODISCARD int log_segment_create(struct fs *fs, const char *dir, uint64_t number, uint64_t bytes);

#endif
