#include "storage/log_scan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/mutation.h"

#define WINDOW_BYTES (1 * MIB)
#define NAME_DIGITS  16

/* ---- Names ---- */

void log_path(char *path, const char *dir, uint64_t number, enum log_file_kind kind)
{
	const char *suffix = kind == LOG_FILE_SEGMENT ? "seg" : "tmp";
	int bytes = snprintf(path, FS_PATH_BYTES_MAX, "%s/%016" PRIx64 ".%s", dir, number, suffix);
	ASSERT(bytes > 0 && bytes < FS_PATH_BYTES_MAX);
}

void log_proof_path(char *path, const char *dir)
{
	int bytes = snprintf(path, FS_PATH_BYTES_MAX, "%s/" LOG_PROOF_NAME, dir);
	ASSERT(bytes > 0 && bytes < FS_PATH_BYTES_MAX);
}

/* Whether the name is one of ours: 16 lower-case digits and a suffix. */
static bool parse_name(const char *name, uint64_t *ret_number, enum log_file_kind *ret_kind)
{
	uint64_t number = 0;
	for (size_t i = 0; i < NAME_DIGITS; i++) {
		char digit = name[i];
		if (digit >= '0' && digit <= '9')
			number = number << 4 | (uint64_t)(digit - '0');
		else if (digit >= 'a' && digit <= 'f')
			number = number << 4 | (uint64_t)(digit - 'a' + 10);
		else
			return false;
	}
	const char *suffix = name + NAME_DIGITS;
	if (strcmp(suffix, ".seg") == 0)
		*ret_kind = LOG_FILE_SEGMENT;
	else if (strcmp(suffix, ".tmp") == 0)
		*ret_kind = LOG_FILE_TEMPORARY;
	else
		return false;
	*ret_number = number;
	return number != 0;
}

static int grow(void **array, size_t *capacity, size_t count, size_t element_bytes)
{
	if (count < *capacity)
		return 0;
	size_t wanted = *capacity ? *capacity * 2 : 16;
	void *grown = mem_realloc(*array, wanted * element_bytes);
	if (!grown)
		return ERR_NOMEM;
	*array = grown;
	*capacity = wanted;
	return 0;
}

static int note_file(void *arg, const char *name, bool is_dir)
{
	struct log_scan *scan = arg;
	uint64_t number;
	enum log_file_kind kind;
	if (is_dir || !parse_name(name, &number, &kind))
		return 0;
	if (number >= scan->next_number)
		scan->next_number = number + 1;
	if (kind == LOG_FILE_TEMPORARY || number < scan->anchor.first_segment) {
		int error = grow((void **)&scan->spares, &scan->spare_capacity, scan->spare_count,
		    sizeof(*scan->spares));
		if (!error)
			scan->spares[scan->spare_count++] =
			    (struct log_scan_spare){.number = number, .kind = kind};
		return error;
	}
	int error = grow((void **)&scan->segments, &scan->segment_capacity, scan->segment_count,
	    sizeof(*scan->segments));
	if (error)
		return error;
	/* Names come in order of bytes, so numbers do too. */
	ASSERT(scan->segment_count == 0 || scan->segments[scan->segment_count - 1].number < number);
	scan->segments[scan->segment_count++] = (struct log_scan_segment){.number = number};
	return 0;
}

/* ---- Files ---- */

static int open_segment(struct log_scan *scan, struct log_scan_segment *segment, unsigned flags)
{
	char path[FS_PATH_BYTES_MAX];
	log_path(path, scan->dir, segment->number, LOG_FILE_SEGMENT);
	int error = fs_open(scan->fs, path, flags, &segment->file);
	uint64_t bytes = 0;
	if (!error)
		error = fs_size(segment->file, &bytes);
	if (!error)
		segment->bytes = bytes - bytes % LOG_ALIGNMENT;
	return error;
}

/* Every live segment is locked before the first byte of any is read: what a killed process has
 * under way would otherwise land between two reads. */
static int open_segments(struct log_scan *scan)
{
	for (size_t i = 0; i < scan->segment_count; i++) {
		int error = open_segment(scan, &scan->segments[i], scan->open_flags);
		if (error)
			return error;
	}
	for (size_t i = 0; i < scan->spare_count; i++) {
		struct log_scan_segment file = {.number = scan->spares[i].number};
		if (scan->spares[i].kind != LOG_FILE_SEGMENT)
			continue;
		int error = open_segment(scan, &file, FS_READ);
		fs_close(file.file);
		if (error)
			return error;
		scan->spares[i].bytes = file.bytes;
	}
	return 0;
}

static int read_proof(struct log_scan *scan)
{
	char path[FS_PATH_BYTES_MAX];
	log_proof_path(path, scan->dir);
	uint8_t *frame = fs_buffer_alloc(LOG_ALIGNMENT);
	if (!frame)
		return ERR_NOMEM;
	size_t bytes = 0;
	struct log_frame_header header;
	int error = fs_read_file(scan->fs, path, frame, LOG_ALIGNMENT, &bytes);
	/* A proof that cannot be read proves nothing; it was written whole or not at all. */
	if (!error && log_frame_check(frame, bytes, scan->store, 0, 0, bytes, &header) == LOG_VALID)
		scan->proof = header.watermark;
	fs_buffer_free(frame);
	return error == ERR_NOMEM ? error : 0;
}

/* ---- Bytes ---- */

static int read_blocks_one_by_one(
    struct fs_file *file, uint64_t offset, uint8_t *data, size_t bytes, uint8_t *bad)
{
	for (size_t at = 0; at < bytes; at += LOG_ALIGNMENT) {
		size_t count = 0;
		int error = fs_read(file, offset + at, data + at, LOG_ALIGNMENT, &count);
		if (error && error != ERR_IO)
			return error;
		bad[at / LOG_ALIGNMENT] = error == ERR_IO;
		if (error)
			count = 0;
		memset(data + at + count, 0, LOG_ALIGNMENT - count);
	}
	return 0;
}

/* Makes the window hold `bytes` (whole blocks) from the place on. */
static int read_window(struct log_scan *scan, size_t number, uint64_t offset, size_t bytes)
{
	struct log_scan_segment *segment = &scan->segments[number];
	ASSERT(offset + bytes <= segment->bytes);
	if (scan->window && scan->window_segment == number && scan->window_offset <= offset &&
	    offset + bytes <= scan->window_offset + scan->window_bytes)
		return 0;
	size_t wanted = bytes > WINDOW_BYTES ? bytes : WINDOW_BYTES;
	if (wanted > segment->bytes - offset)
		wanted = (size_t)(segment->bytes - offset);
	if (wanted > scan->window_capacity) {
		fs_buffer_free(scan->window);
		mem_free(scan->window_bad);
		scan->window_capacity = 0;
		scan->window = fs_buffer_alloc(wanted);
		scan->window_bad = mem_alloc(wanted / LOG_ALIGNMENT);
		if (!scan->window || !scan->window_bad)
			return ERR_NOMEM;
		scan->window_capacity = wanted;
	}
	if (!segment->file) {
		int error = open_segment(scan, segment, FS_READ);
		if (error)
			return error;
	}
	ASSERT(scan->window && scan->window_bad);
	scan->window_bytes = 0;
	size_t count = 0;
	int error = fs_read(segment->file, offset, scan->window, wanted, &count);
	if (error == ERR_IO) {
		error = read_blocks_one_by_one(
		    segment->file, offset, scan->window, wanted, scan->window_bad);
	} else if (!error) {
		memset(scan->window + count, 0, wanted - count);
		memset(scan->window_bad, 0, wanted / LOG_ALIGNMENT);
	}
	if (error)
		return error;
	scan->window_segment = number;
	scan->window_offset = offset;
	scan->window_bytes = wanted;
	return 0;
}

static bool window_is_bad(const struct log_scan *scan, uint64_t offset, size_t bytes)
{
	size_t from = (size_t)(offset - scan->window_offset) / LOG_ALIGNMENT;
	for (size_t i = 0; i < bytes / LOG_ALIGNMENT; i++)
		if (scan->window_bad[from + i])
			return true;
	return false;
}

int log_scan_look(struct log_scan *scan, size_t number, uint64_t offset,
    enum log_verdict *ret_verdict, struct log_frame_header *ret_header, const uint8_t **ret_frame)
{
	const struct log_scan_segment *segment = &scan->segments[number];
	size_t bytes = LOG_ALIGNMENT;
	for (;;) {
		int error = read_window(scan, number, offset, bytes);
		if (error)
			return error;
		if (window_is_bad(scan, offset, bytes)) {
			*ret_verdict = LOG_UNREADABLE;
			return 0;
		}
		const uint8_t *frame = scan->window + (offset - scan->window_offset);
		enum log_verdict verdict = log_frame_check(
		    frame, bytes, scan->store, segment->number, offset, segment->bytes, ret_header);
		if (verdict != LOG_BAD_SIZE || ret_header->frame_bytes <= bytes) {
			*ret_verdict = verdict;
			*ret_frame = frame;
			return 0;
		}
		bytes = ret_header->frame_bytes;
	}
}

/* ---- The first pass ---- */

static int copy_directory(
    struct log_stretch *stretch, const uint8_t *frame, const struct log_frame_header *header)
{
	if (header->directory_count == 0)
		return 0;
	stretch->directory = mem_zalloc(header->directory_count, sizeof(*stretch->directory));
	if (!stretch->directory)
		return ERR_NOMEM;
	struct log_frame_cursor cursor;
	log_directory_begin(frame, header, &cursor);
	while (log_directory_next(&cursor, &stretch->directory[stretch->directory_count]))
		if (++stretch->directory_count == header->directory_count)
			break;
	return 0;
}

static void note_end(
    struct log_scan *scan, size_t segment, uint64_t offset, enum log_verdict verdict)
{
	struct log_stretch *stretch = &scan->stretches[scan->stretch_count - 1];
	if (scan->end_noted)
		return;
	scan->end_noted = true;
	stretch->behind = (struct log_place){scan->segments[segment].number, offset};
	stretch->end_verdict = verdict;
}

static int note_repair(
    struct log_scan *scan, const struct log_frame_header *header, const uint8_t *frame)
{
	struct log_frame_cursor cursor;
	struct log_record record;
	uint32_t accepted = 0;
	log_records_begin(frame, header, &cursor);
	while (log_record_next(&cursor, &record) && accepted < LOG_GAPS_MAX) {
		int error = grow((void **)&scan->repairs, &scan->repair_capacity,
		    scan->repair_count, sizeof(*scan->repairs));
		if (error)
			return error;
		struct log_repair *repair = &scan->repairs[scan->repair_count++];
		*repair = (struct log_repair){.frame = header->frame,
		    .life = header->life,
		    .kind = record.kind,
		    .group = record.group};
		if (record.kind == LOG_TRUNCATE) {
			repair->detached = load_u64le(record.payload.data);
		} else {
			repair->first = record.term;
			repair->last = record.index;
			repair->number = accepted++;
		}
	}
	return 0;
}

static int note_frame(struct log_scan *scan, size_t segment, const struct log_frame_header *header,
    const uint8_t *frame)
{
	if (header->kind != LOG_FRAME_WATERMARK && header->kind != LOG_FRAME_LIFE)
		scan->has_records = true;
	scan->number_used = header->segment;
	if (header->kind == LOG_FRAME_REPAIR) {
		int error = note_repair(scan, header, frame);
		if (error)
			return error;
	}
	struct log_stretch *stretch = &scan->stretches[scan->stretch_count - 1];
	bool follows = scan->stretch_count > 1 && header->frame == stretch->last + 1 &&
	               header->life == stretch->life &&
	               (header->chain == stretch->last_hash || MUTATION(log_skip_chain_check));
	if (!follows) {
		note_end(scan, segment, header->offset, LOG_VALID);
		int error = grow((void **)&scan->stretches, &scan->stretch_capacity,
		    scan->stretch_count, sizeof(*scan->stretches));
		if (error)
			return error;
		stretch = &scan->stretches[scan->stretch_count];
		*stretch = (struct log_stretch){.first = header->frame,
		    .life = header->life,
		    .life_frame = header->life_frame,
		    .chain = header->chain,
		    .begin = {header->segment, header->offset}};
		error = copy_directory(stretch, frame, header);
		if (error)
			return error;
		scan->stretch_count++;
	}
	stretch->last = header->frame;
	stretch->last_chain = header->chain;
	stretch->last_hash = header->hash[0];
	stretch->last_begin = (struct log_place){header->segment, header->offset};
	stretch->end = stretch->last_begin;
	stretch->end.offset += header->frame_bytes;
	stretch->behind = stretch->end;
	if (header->watermark > stretch->watermark)
		stretch->watermark = header->watermark;
	scan->end_noted = false;
	return 0;
}

static int note_obstacle(
    struct log_scan *scan, size_t segment, uint64_t offset, enum log_verdict verdict)
{
	if (verdict == LOG_FOREIGN)
		return ERR_FOREIGN;
	if (verdict == LOG_NEWER_FORMAT)
		return ERR_FORMAT;
	note_end(scan, segment, offset, verdict);
	struct log_stretch *stretch = &scan->stretches[scan->stretch_count - 1];
	if (verdict == LOG_UNREADABLE) {
		stretch->unreadable_behind = true;
		stretch->unreadable_begin_behind |= offset == 0;
	}
	return 0;
}

static int read_all(struct log_scan *scan)
{
	for (size_t i = 0; i < scan->segment_count; i++) {
		for (uint64_t offset = 0; offset < scan->segments[i].bytes;) {
			enum log_verdict verdict;
			struct log_frame_header header;
			const uint8_t *frame = NULL;
			int error = log_scan_look(scan, i, offset, &verdict, &header, &frame);
			if (!error)
				error = verdict == LOG_VALID
				            ? note_frame(scan, i, &header, frame)
				            : note_obstacle(scan, i, offset, verdict);
			if (error)
				return error;
			offset += verdict == LOG_VALID ? header.frame_bytes : LOG_ALIGNMENT;
		}
	}
	return 0;
}

/* Stretch 0: what precedes the log, as far as the anchor knows. */
static int note_origin(struct log_scan *scan)
{
	int error =
	    grow((void **)&scan->stretches, &scan->stretch_capacity, 0, sizeof(*scan->stretches));
	if (error)
		return error;
	uint64_t first = scan->anchor.first_frame ? scan->anchor.first_frame : 1;
	struct log_place place = {.segment = scan->anchor.first_segment};
	if (place.segment == 0)
		place.segment = scan->segment_count ? scan->segments[0].number : 1;
	scan->stretches[0] = (struct log_stretch){.last = first - 1,
	    .last_hash = scan->anchor.chain,
	    .begin = place,
	    .last_begin = place,
	    .end = place,
	    .behind = place,
	    .end_verdict = LOG_ZERO};
	scan->stretch_count = 1;
	return 0;
}

/* Whether the end of the log was, or is, missing at the gap: nothing stands behind it but what a
 * recovery wrote that could not tell either what it held. */
static bool was_end(const struct log_scan *scan, const struct log_judged_gap *gap)
{
	if (gap->next == 0)
		return true;
	const struct log_stretch *next = &scan->stretches[gap->next];
	return next->life_frame == next->first && next->directory_count > 0 &&
	       (next->directory[0].flags & LOG_EXTENT_UNKNOWN) != 0;
}

/* Rule: an end that is missing is damage although the checkpoint has every frame that is known to
 * be missing, for what stood behind them may be gone with them. (Behind one frame that is missing
 * alone it would still be there.) From here on the gap counts as needed, in what recovery says and
 * in each anchor to come, until a repair accepts it. */
static void need_lost_end(struct log_scan *scan)
{
	const struct log_judgement *judgement = &scan->judgement;
	for (size_t i = 0; i < judgement->gap_count; i++) {
		const struct log_judged_gap *gap = &judgement->gap[i];
		if (gap->first < gap->last && gap->last >= scan->anchor.durable_frame &&
		    gap->first < scan->anchor.needed_frame && was_end(scan, gap))
			scan->anchor.needed_frame = gap->first;
	}
}

int log_scan_begin(struct log_scan *scan, struct fs *fs, const char *dir, uint64_t store,
    const struct log_anchor *anchor, bool writable)
{
	ASSERT(store != 0);
	ASSERT(anchor->life == 0 || anchor->first_segment != 0);
	memset(scan, 0, sizeof(*scan));
	scan->fs = fs;
	scan->store = store;
	scan->anchor = *anchor;
	scan->open_flags = FS_READ | FS_LOCKED | (writable ? FS_WRITE : 0);
	scan->next_number = anchor->segment_next ? anchor->segment_next : 1;
	size_t dir_bytes = strlen(dir) + 1;
	scan->dir = mem_alloc(dir_bytes);
	if (!scan->dir)
		return ERR_NOMEM;
	memcpy(scan->dir, dir, dir_bytes);

	int error = fs_list(fs, dir, note_file, scan);
	if (!error)
		error = open_segments(scan);
	if (!error)
		error = read_proof(scan);
	if (!error)
		error = note_origin(scan);
	if (!error)
		error = read_all(scan);
	if (!error && anchor->life == 0 && scan->has_records)
		error = ERR_CORRUPT;
	if (!error) {
		log_judge(
		    anchor, scan->proof, scan->stretches, scan->stretch_count, &scan->judgement);
		need_lost_end(scan);
		if (scan->judgement.unexplained)
			error = ERR_IO;
	}
	if (error)
		log_scan_done(scan);
	return error;
}

void log_scan_rest(struct log_scan *scan)
{
	for (size_t i = 0; i < scan->segment_count; i++) {
		fs_close(scan->segments[i].file);
		scan->segments[i].file = NULL;
	}
	fs_buffer_free(scan->window);
	mem_free(scan->window_bad);
	scan->window = NULL;
	scan->window_bad = NULL;
	scan->window_capacity = 0;
	scan->window_bytes = 0;
}

void log_scan_done(struct log_scan *scan)
{
	log_scan_rest(scan);
	for (size_t i = 0; i < scan->stretch_count; i++)
		mem_free(scan->stretches[i].directory);
	mem_free(scan->stretches);
	mem_free(scan->segments);
	mem_free(scan->spares);
	mem_free(scan->last_extents);
	mem_free(scan->repairs);
	mem_free(scan->dir);
	memset(scan, 0, sizeof(*scan));
}

size_t log_scan_find_segment(const struct log_scan *scan, uint64_t number)
{
	size_t i = 0;
	while (i < scan->segment_count && scan->segments[i].number != number)
		i++;
	return i;
}

/* ---- Further passes ---- */

/* The next stretch that has frames to give; 0: none. */
static size_t next_stretch(const struct log_scan *scan, size_t stretch, bool every)
{
	for (size_t i = stretch + 1; i < scan->stretch_count; i++) {
		const struct log_stretch *candidate = &scan->stretches[i];
		if (candidate->first <= candidate->last &&
		    (every || candidate->fate == LOG_FATE_KEPT))
			return i;
	}
	return 0;
}

int log_scan_next(struct log_scan *scan, struct log_scan_cursor *cursor, bool every,
    struct log_frame_header *ret_header, const uint8_t **ret_frame)
{
	if (cursor->stretch == 0 || cursor->next > scan->stretches[cursor->stretch].last) {
		size_t stretch = next_stretch(scan, cursor->stretch, every);
		if (stretch == 0)
			return 0;
		const struct log_place *begin = &scan->stretches[stretch].begin;
		*cursor = (struct log_scan_cursor){.stretch = stretch,
		    .next = scan->stretches[stretch].first,
		    .segment = log_scan_find_segment(scan, begin->segment),
		    .offset = begin->offset};
	}
	for (; cursor->segment < scan->segment_count; cursor->segment++, cursor->offset = 0) {
		while (cursor->offset < scan->segments[cursor->segment].bytes) {
			enum log_verdict verdict;
			int error = log_scan_look(
			    scan, cursor->segment, cursor->offset, &verdict, ret_header, ret_frame);
			if (error)
				return error;
			if (verdict != LOG_VALID) {
				cursor->offset += LOG_ALIGNMENT;
				continue;
			}
			cursor->offset += ret_header->frame_bytes;
			if (ret_header->frame == cursor->next &&
			    ret_header->life == scan->stretches[cursor->stretch].life) {
				cursor->next++;
				return 1;
			}
		}
	}
	return ERR_IO;
}
