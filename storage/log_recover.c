#include "storage/log_recover.h"

#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/mutation.h"

#define ZEROS_BYTES (256 * KIB)

/* A write or sync that fails leaves what is on disk in doubt, and is never tried again. */
static void must(int error, const char *what, const char *dir, uint64_t segment)
{
	if (error)
		PANIC("log %s: %s of segment %llu failed: %s", dir, what,
		    (unsigned long long)segment, error_text(error));
}

/* ---- Segments ---- */

static int fill_with_zeros(struct fs_file *file, uint64_t bytes)
{
	uint64_t step = bytes < ZEROS_BYTES ? bytes : ZEROS_BYTES;
	uint8_t *zeros = fs_buffer_alloc((size_t)step);
	if (!zeros)
		return ERR_NOMEM;
	memset(zeros, 0, (size_t)step);
	/* Reserved first: a full disk shows before anything is written. */
	int error = fs_allocate(file, 0, bytes);
	for (uint64_t at = 0; !error && at < bytes; at += step) {
		if (step > bytes - at)
			step = bytes - at;
		error = fs_write(file, at, zeros, (size_t)step);
	}
	fs_buffer_free(zeros);
	return error;
}

int log_segment_create(struct fs *fs, const char *dir, uint64_t number, uint64_t bytes)
{
	ASSERT(bytes > 0 && bytes % LOG_ALIGNMENT == 0);
	char from[FS_PATH_BYTES_MAX], to[FS_PATH_BYTES_MAX];
	log_path(from, dir, number, LOG_FILE_TEMPORARY);
	log_path(to, dir, number, LOG_FILE_SEGMENT);
	struct fs_file *file;
	int error = fs_open(fs, from, FS_WRITE | FS_CREATE | FS_EXCLUSIVE | FS_DIRECT, &file);
	if (error)
		return error;
	error = fill_with_zeros(file, bytes);
	if (error == ERR_NO_SPACE || error == ERR_NOMEM) {
		fs_close(file);
		int gone = fs_unlink(fs, from);
		(void)gone; /* recovery removes it */
		return error;
	}
	must(error, "zeroing", dir, number);
	must(fs_sync(file), "sync", dir, number);
	fs_close(file);
	error = fs_rename(fs, from, to);
	if (error)
		return error;
	must(fs_sync_dir(fs, dir), "sync of the name", dir, number);
	return 0;
}

/* ---- Steps ---- */

static int write_proof(struct log_scan *scan)
{
	uint8_t *frame = fs_buffer_alloc(LOG_ALIGNMENT);
	if (!frame)
		return ERR_NOMEM;
	memset(frame, 0, LOG_ALIGNMENT);
	struct log_frame_header header = {.kind = LOG_FRAME_WATERMARK,
	    .store = scan->store,
	    .frame = scan->judgement.proven + 1,
	    .life = 1,
	    .life_frame = 1,
	    .watermark = scan->judgement.proven,
	    .frame_bytes = LOG_ALIGNMENT,
	    .used_bytes = LOG_FRAME_HEADER_BYTES};
	log_frame_seal(frame, &header);
	char path[FS_PATH_BYTES_MAX];
	log_proof_path(path, scan->dir);
	int error = fs_replace_file(scan->fs, path, frame, LOG_ALIGNMENT);
	fs_buffer_free(frame);
	return error;
}

static int rewrite_tail(struct log_scan *scan, struct log_recovery *recovery)
{
	if (scan->tail_frames == 0)
		return 0;
	uint8_t *touched = mem_zalloc(scan->segment_count, 1);
	if (!touched)
		return ERR_NOMEM;
	struct log_scan_cursor cursor = scan->tail;
	struct log_frame_header header;
	const uint8_t *frame;
	int result;
	while ((result = log_scan_next(scan, &cursor, false, &header, &frame)) == 1) {
		/* Rule: they may have been written and never synced, yet everything from here on
		 * will rely on them. */
		if (MUTATION(log_no_resync_of_recovered_tail))
			continue;
		must(fs_write(scan->segments[cursor.segment].file, header.offset, frame,
		         header.frame_bytes),
		    "rewriting", scan->dir, header.segment);
		touched[cursor.segment] = 1;
		recovery->rewritten_frames++;
	}
	for (size_t i = 0; i < scan->segment_count; i++)
		if (touched[i])
			must(fs_sync(scan->segments[i].file), "sync", scan->dir,
			    scan->segments[i].number);
	mem_free(touched);
	return result;
}

static int remove_temporary_files(struct log_scan *scan)
{
	size_t kept = 0;
	for (size_t i = 0; i < scan->spare_count; i++) {
		if (scan->spares[i].kind != LOG_FILE_TEMPORARY) {
			scan->spares[kept++] = scan->spares[i];
			continue;
		}
		char path[FS_PATH_BYTES_MAX];
		log_path(path, scan->dir, scan->spares[i].number, LOG_FILE_TEMPORARY);
		int error = fs_unlink(scan->fs, path);
		if (error && error != ERR_NOT_FOUND)
			return error;
	}
	scan->spare_count = kept;
	return 0;
}

/* Number of segments up to the one that holds the log's end. */
static size_t segments_before_cut(const struct log_scan *scan)
{
	uint64_t end = scan->stretches[scan->judgement.last_kept].end.segment;
	size_t count = 0;
	while (count < scan->segment_count && scan->segments[count].number <= end)
		count++;
	return count;
}

static int renumber(struct log_scan *scan, struct log_recovery *recovery)
{
	for (size_t i = segments_before_cut(scan); i < scan->segment_count; i++) {
		/* Rule: what was written under a number is never read under it again. */
		if (MUTATION(log_reuse_segment_number))
			continue;
		uint64_t number = scan->next_number++;
		char from[FS_PATH_BYTES_MAX], to[FS_PATH_BYTES_MAX];
		log_path(from, scan->dir, scan->segments[i].number, LOG_FILE_SEGMENT);
		log_path(to, scan->dir, number, LOG_FILE_SEGMENT);
		int error = fs_rename(scan->fs, from, to);
		if (error)
			return error;
		scan->segments[i].number = number;
		recovery->renumbered_segments++;
	}
	return 0;
}

/* A new segment behind all others, open for writing. */
static int add_segment(struct log_scan *scan, uint64_t bytes)
{
	uint64_t number = scan->next_number++;
	int error = log_segment_create(scan->fs, scan->dir, number, bytes);
	if (error)
		return error;
	struct log_scan_segment *segments =
	    mem_realloc(scan->segments, (scan->segment_count + 1) * sizeof(*segments));
	if (!segments)
		return ERR_NOMEM;
	scan->segments = segments;
	scan->segment_capacity = scan->segment_count + 1;
	struct log_scan_segment *segment = &segments[scan->segment_count];
	*segment = (struct log_scan_segment){.number = number, .bytes = bytes};
	char path[FS_PATH_BYTES_MAX];
	log_path(path, scan->dir, number, LOG_FILE_SEGMENT);
	error = fs_open(scan->fs, path, scan->open_flags, &segment->file);
	if (!error)
		scan->segment_count++;
	return error;
}

/* ---- Frames, written one at a time ---- */

/* Finds `bytes` of space behind the last frame, in the current segment unless `fresh`. */
static int find_place(struct log_recovery *recovery, const struct log_recover_options *options,
    bool fresh, uint32_t bytes)
{
	struct log_scan *scan = recovery->scan;
	if (!fresh && recovery->current < scan->segment_count &&
	    bytes <= scan->segments[recovery->current].bytes - recovery->offset)
		return 0;
	size_t next = recovery->current + 1;
	if (recovery->current >= scan->segment_count)
		next = segments_before_cut(scan);
	while (!fresh && next < scan->segment_count && scan->segments[next].bytes < bytes)
		next++;
	if (fresh || next >= scan->segment_count) {
		uint64_t size =
		    scan->next_number == 1 ? options->first_segment_bytes : options->segment_bytes;
		if (size < bytes)
			return ERR_NO_SPACE;
		int error = add_segment(scan, size);
		if (error)
			return error;
		next = scan->segment_count - 1;
	}
	recovery->current = next;
	recovery->offset = 0;
	return 0;
}

/* `frame` holds directory, records and padding; writes it at the place found. */
static void put_frame(
    struct log_recovery *recovery, uint8_t *frame, struct log_frame_header *header)
{
	struct log_scan_segment *segment = &recovery->scan->segments[recovery->current];
	header->store = recovery->scan->store;
	header->segment = segment->number;
	header->offset = recovery->offset;
	header->life = recovery->life;
	header->life_frame = recovery->life_frame;
	header->watermark = header->frame - 1;
	header->chain = recovery->last_hash;
	log_frame_seal(frame, header);
	must(fs_write(segment->file, recovery->offset, frame, header->frame_bytes), "write",
	    recovery->scan->dir, segment->number);
	must(fs_sync(segment->file), "sync", recovery->scan->dir, segment->number);
	if (segment->first_frame == 0) {
		segment->first_frame = header->frame;
		segment->chain = header->chain;
		segment->position = recovery->position;
	}
	recovery->last_frame = header->frame;
	recovery->last_hash = header->hash[0];
	recovery->offset += header->frame_bytes;
	recovery->position += header->frame_bytes;
}

static int write_life(struct log_recovery *recovery, const struct log_recover_options *options)
{
	static const struct log_extent unknown = {
	    .group = LOG_GROUP_UNKNOWN, .flags = LOG_EXTENT_UNKNOWN, .first_index = 1};
	struct log_scan *scan = recovery->scan;
	const struct log_stretch *end = &scan->stretches[scan->judgement.last_kept];
	const struct log_extent *directory = scan->last_extents;
	size_t count = scan->last_extent_count;
	uint64_t bytes = LOG_FRAME_HEADER_BYTES + (uint64_t)count * LOG_DIRECTORY_ENTRY_BYTES;
	bool follows = end->last + 1 == recovery->life_frame;
	bool is_first = recovery->life_frame == 1;
	if (!is_first &&
	    (!follows || !scan->last_extents_known || bytes > options->frame_bytes_max)) {
		directory = &unknown;
		count = 1;
		bytes = LOG_FRAME_HEADER_BYTES + LOG_DIRECTORY_ENTRY_BYTES;
	}
	recovery->last_hash = follows ? end->last_hash : 0;
	struct log_frame_header header = {.kind = LOG_FRAME_LIFE,
	    .frame = recovery->life_frame,
	    .frame_bytes = log_align((uint32_t)bytes),
	    .used_bytes = (uint32_t)bytes,
	    .directory_count = (uint32_t)count};
	int error = find_place(recovery, options, scan->judgement.end_missing, header.frame_bytes);
	if (error)
		return error;
	uint8_t *frame = fs_buffer_alloc(header.frame_bytes);
	if (!frame)
		return ERR_NOMEM;
	memset(frame, 0, header.frame_bytes);
	for (size_t i = 0; i < count; i++)
		log_extent_write(
		    frame + LOG_FRAME_HEADER_BYTES + i * LOG_DIRECTORY_ENTRY_BYTES, &directory[i]);
	put_frame(recovery, frame, &header);
	fs_buffer_free(frame);
	return 0;
}

int log_recover_repair(struct log_recovery *recovery, const struct log_recover_options *options,
    const uint8_t *records, uint32_t record_bytes, uint32_t record_count)
{
	/* Behind a LIFE frame, which has no records: so the directory is empty. */
	struct log_frame_header header = {.kind = LOG_FRAME_REPAIR,
	    .frame = recovery->last_frame + 1,
	    .frame_bytes = log_align(LOG_FRAME_HEADER_BYTES + record_bytes),
	    .used_bytes = LOG_FRAME_HEADER_BYTES + record_bytes,
	    .record_count = record_count};
	ASSERT(recovery->last_frame == recovery->life_frame);
	int error = find_place(recovery, options, false, header.frame_bytes);
	if (error)
		return error;
	uint8_t *frame = fs_buffer_alloc(header.frame_bytes);
	if (!frame)
		return ERR_NOMEM;
	memset(frame, 0, header.frame_bytes);
	memcpy(frame + LOG_FRAME_HEADER_BYTES, records, record_bytes);
	put_frame(recovery, frame, &header);
	fs_buffer_free(frame);
	return 0;
}

int log_recover(struct log_scan *scan, const struct log_recover_options *options,
    struct log_recovery *ret_recovery)
{
	const struct log_judgement *judgement = &scan->judgement;
	ASSERT(!judgement->unexplained);
	struct log_recovery recovery = {.scan = scan,
	    .life = judgement->next_life,
	    .life_frame = judgement->next_frame,
	    .position = scan->bytes};
	int error = 0;
	if (judgement->proof_at_risk)
		error = write_proof(scan);
	if (!error)
		error = rewrite_tail(scan, &recovery);
	if (!error)
		error = remove_temporary_files(scan);
	if (!error && !judgement->end_missing)
		error = renumber(scan, &recovery);
	if (error)
		return error;
	/* Rule: no frame is written under a name that a power cut may take away again. */
	if (!MUTATION(log_no_directory_sync_after_renumber))
		must(fs_sync_dir(scan->fs, scan->dir), "sync of names", scan->dir, 0);

	const struct log_place *end = &scan->stretches[judgement->last_kept].end;
	recovery.current = log_scan_find_segment(scan, end->segment);
	recovery.offset = end->offset;
	error = write_life(&recovery, options);
	if (!error)
		*ret_recovery = recovery;
	return error;
}
