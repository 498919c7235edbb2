/* Segment files: which are live, which are ready, what the background does with them.
 *
 *   create  -> ready -> live (written to, then full) -> released: kept, where others may want to
 *                                                       read it -> spare -> recycled -> ready
 *                                                                        -> removed
 *
 * One segment is always ready behind the one that is written to. Its number stands in its name, and
 * the name is durable, before a frame is placed in it. Recycled ones are preferred: overwriting
 * allocated space syncs in half the time.
 */
#include "storage/log_internal.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "storage/log_recover.h"

#define READY_SEGMENTS     1
#define SPARE_SEGMENTS_MIN 2

static int grow(void **array, size_t *capacity, size_t count, size_t element_bytes)
{
	if (count <= *capacity)
		return 0;
	size_t wanted = count * 2;
	void *grown = mem_realloc(*array, wanted * element_bytes);
	if (!grown)
		return ERR_NOMEM;
	*array = grown;
	*capacity = wanted;
	return 0;
}

/* Room in the arrays for all segments and one more, wherever they go. */
static int reserve_places(struct log *log)
{
	size_t count = log->segment_count + log->ready_count + log->kept_count + 1;
	int error = grow(
	    (void **)&log->segments, &log->segment_capacity, count, sizeof(struct log_segment *));
	if (!error)
		error = grow((void **)&log->ready, &log->ready_capacity, count,
		    sizeof(struct log_segment *));
	if (!error)
		error = grow(
		    (void **)&log->kept, &log->kept_capacity, count, sizeof(struct log_scan_spare));
	if (!error)
		error = grow((void **)&log->spares, &log->spare_capacity, log->spare_count + count,
		    sizeof(struct log_scan_spare));
	return error;
}

/* ---- Beginning and end ---- */

static int open_for_frames(struct log *log, uint64_t number, struct fs_file **ret_file)
{
	char path[FS_PATH_BYTES_MAX];
	log_path(path, log->dir, number, LOG_FILE_SEGMENT);
	return fs_open(log->options.fs, path, FS_WRITE | FS_DIRECT | FS_LOCKED, ret_file);
}

static int add_spare(struct log *log, const struct log_scan_spare *spare)
{
	int error = grow((void **)&log->spares, &log->spare_capacity, log->spare_count + 1,
	    sizeof(struct log_scan_spare));
	if (!error)
		log->spares[log->spare_count++] = *spare;
	return error;
}

static int add_scanned(struct log *log, const struct log_scan_segment *from, bool live, bool open)
{
	int error = reserve_places(log);
	if (error)
		return error;
	struct log_segment *segment = mem_zalloc(1, sizeof(*segment));
	if (!segment)
		return ERR_NOMEM;
	*segment = (struct log_segment){.number = from->number,
	    .bytes = from->bytes,
	    .first_frame = from->first_frame,
	    .chain = from->chain,
	    .position = from->position};
	if (live)
		log->segments[log->segment_count++] = segment;
	else
		log->ready[log->ready_count++] = segment;
	return open ? open_for_frames(log, segment->number, &segment->file) : 0;
}

int log_segments_init(struct log *log, const struct log_scan *scan, size_t current)
{
	int error = 0;
	for (size_t i = 0; !error && i < scan->segment_count; i++) {
		const struct log_scan_segment *segment = &scan->segments[i];
		/* Being ready is being of full size: what is shorter (a sync that lied may leave
		 * nothing of it) would be waited for in vain, and is removed. */
		if (i > current && segment->bytes < log->options.segment_bytes)
			error = add_spare(log, &(struct log_scan_spare){.number = segment->number,
			                           .bytes = segment->bytes});
		else
			error = add_scanned(log, segment, i <= current, i >= current);
	}
	for (size_t i = 0; !error && i < scan->spare_count; i++)
		error = add_spare(log, &scan->spares[i]);
	if (!error)
		error = reserve_places(log);
	log->spare_keep = SPARE_SEGMENTS_MIN;
	log->next_number = scan->next_number;
	/* What is ready was renumbered or never used; nothing up to here may be used again. */
	log->number_used = scan->number_used;
	if (!error && log_current(log)->number > log->number_used)
		log->number_used = log_current(log)->number;
	return error;
}

static void segment_free(struct log_segment *segment)
{
	fs_close(segment->file);
	mem_free(segment);
}

void log_segments_done(struct log *log)
{
	for (size_t i = 0; i < log->segment_count; i++)
		segment_free(log->segments[i]);
	for (size_t i = 0; i < log->ready_count; i++)
		segment_free(log->ready[i]);
	mem_free(log->segments);
	mem_free(log->ready);
	mem_free(log->spares);
	mem_free(log->kept);
}

/* ---- Space for frames ---- */

bool log_space_holds_behind(
    const struct log *log, uint64_t left, uint64_t bytes, uint64_t frame_bytes)
{
	if (log->ready_count == 0)
		return false;
	/* At the end of each segment but the last, as much as the largest frame may be lost. */
	if (frame_bytes > bytes)
		frame_bytes = bytes;
	uint64_t total = left > frame_bytes ? left - frame_bytes : 0;
	for (size_t i = 0; i + 1 < log->ready_count; i++)
		total +=
		    log->ready[i]->bytes > frame_bytes ? log->ready[i]->bytes - frame_bytes : 0;
	return bytes <= total + log->ready[log->ready_count - 1]->bytes;
}

/* The next ready segment becomes the one that is written to. */
static void next_segment(struct log *log, uint64_t frame)
{
	struct log_segment *full = log_current(log);
	struct log_segment *next = log->ready[0];
	for (size_t i = 1; i < log->ready_count; i++)
		log->ready[i - 1] = log->ready[i];
	log->ready_count--;
	/* Rule: no number is written to in two lives, nor out of order. */
	ASSERT(next->number > log->number_used);
	ASSERT(log->segment_count < log->segment_capacity);
	log->number_used = next->number;
	log->segments[log->segment_count++] = next;
	log->offset = 0;
	next->first_frame = frame;
	next->position = log->position;
	if (full->frames_under_way == 0) {
		fs_close(full->file);
		full->file = NULL;
	}
}

bool log_place_frame(struct log *log, struct log_frame *frame)
{
	if (frame->bytes > log_current(log)->bytes - log->offset) {
		size_t ready = 0;
		while (ready < log->ready_count && log->ready[ready]->bytes < frame->bytes)
			ready++;
		if (ready == log->ready_count) {
			log_segments_kick(log);
			return false;
		}
		/* Too small ones, if there are any, stay behind without a frame. */
		for (size_t i = 0; i <= ready; i++)
			next_segment(log, i == ready ? frame->number : 0);
		struct log_mark *mark = &log->index.marks[frame->mark - log->index.mark_first];
		if (mark->frame == frame->number)
			mark->segment = log_current(log)->number;
		log_segments_kick(log);
	}
	frame->segment = log_current(log);
	frame->offset = log->offset;
	frame->segment->frames_under_way++;
	log->offset += frame->bytes;
	return true;
}

void log_segment_frame_done(struct log *log, struct log_segment *segment)
{
	ASSERT(segment->frames_under_way > 0);
	if (--segment->frames_under_way == 0 && segment != log_current(log)) {
		fs_close(segment->file);
		segment->file = NULL;
	}
}

void log_segments_drop_kept(struct log *log, uint64_t bytes)
{
	size_t count = 0;
	for (; log->kept_bytes > bytes; count++) {
		const struct log_scan_spare *oldest = &log->kept[count];
		ASSERT(count < log->kept_count && log->spare_count < log->spare_capacity);
		log->kept_bytes -= oldest->bytes;
		log->spares[log->spare_count++] = *oldest;
		log_kept_drop(log, oldest->number);
	}
	for (size_t i = count; count > 0 && i < log->kept_count; i++)
		log->kept[i - count] = log->kept[i];
	log->kept_count -= count;
}

void log_segments_release(struct log *log, uint64_t first)
{
	size_t count = 0;
	while (count + 1 < log->segment_count && log->segments[count]->number < first)
		count++;
	for (size_t i = 0; i < count; i++) {
		struct log_segment *segment = log->segments[i];
		ASSERT(segment->frames_under_way == 0);
		ASSERT(log->kept_count < log->kept_capacity);
		log->kept[log->kept_count++] =
		    (struct log_scan_spare){.number = segment->number, .bytes = segment->bytes};
		log->kept_bytes += segment->bytes;
		segment_free(segment);
	}
	log_segments_drop_kept(log, log->no_space ? 0 : log->kept_bytes_max);
	for (size_t i = count; count > 0 && i < log->segment_count; i++)
		log->segments[i - count] = log->segments[i];
	log->segment_count -= count;
	/* About as many will be needed until the next release as until this one. */
	if (count > 0)
		log->spare_keep = count + 1 > SPARE_SEGMENTS_MIN ? count + 1 : SPARE_SEGMENTS_MIN;
}

/* ---- The background ---- */

/* What a segment needs is not taken to the last byte: while it is tried, whatever else is being
 * written would find no space, and not everything survives that. All logs of the process count, as
 * they mostly share a disk. */
static int create(struct log *log, uint64_t number, uint64_t bytes)
{
	static _Atomic uint64_t being_made;
	struct fs *fs = log->options.fs;
	uint64_t free_bytes, total_bytes;
	uint64_t wanted = atomic_fetch_add(&being_made, bytes) + bytes;
	int error = fs_space(fs, &free_bytes, &total_bytes);
	if (!error && free_bytes < wanted + bytes / 8)
		error = ERR_NO_SPACE;
	if (!error)
		error = log_segment_create(fs, log->dir, number, bytes);
	atomic_fetch_sub(&being_made, bytes);
	return error;
}

/* In the pool: touches the job's own fields only. */
static void run_job(struct io_op *op)
{
	struct log_job *job = CONTAINER_OF(op, struct log_job, op);
	struct log *log = job->log;
	struct fs *fs = log->options.fs;
	char from[FS_PATH_BYTES_MAX], to[FS_PATH_BYTES_MAX];
	log_path(from, log->dir, job->from, LOG_FILE_SEGMENT);
	log_path(to, log->dir, job->number, LOG_FILE_SEGMENT);
	int error = 0;
	switch (job->kind) {
	case LOG_JOB_NONE:
		break;
	case LOG_JOB_CREATE:
		error = create(log, job->number, job->bytes);
		job->moved = !error;
		break;
	case LOG_JOB_RECYCLE:
		error = fs_rename(fs, from, to);
		job->moved = !error;
		if (!error)
			error = fs_sync_dir(fs, log->dir);
		break;
	case LOG_JOB_REMOVE:
		error = fs_unlink(fs, from);
		break;
	}
	if (!error && (job->kind == LOG_JOB_CREATE || job->kind == LOG_JOB_RECYCLE))
		error = open_for_frames(log, job->number, &job->file);
	op->result = error;
}

static bool add_ready(struct log *log, const struct log_job *job)
{
	struct log_segment *segment = mem_zalloc(1, sizeof(*segment));
	if (!segment)
		return false;
	/* There is a place for it, as in give_back. */
	*segment =
	    (struct log_segment){.number = job->number, .bytes = job->bytes, .file = job->file};
	log->ready[log->ready_count++] = segment;
	log->no_space = false;
	return true;
}

/* The job failed, and will be tried again: its file is a spare, as it was or as one that was made
 * for nothing. (A number that was never written under may be taken, and given up, at any time.) */
static void give_back(struct log *log, enum log_job_kind kind, const struct log_job *job)
{
	fs_close(job->file);
	if (kind == LOG_JOB_CREATE && !job->moved)
		return;
	/* log_segments_kick found a place for each segment, wherever it goes, and one more. */
	ASSERT(log->spare_count < log->spare_capacity);
	log->spares[log->spare_count++] = (struct log_scan_spare){
	    .number = job->moved ? job->number : job->from, .bytes = job->bytes};
}

static void job_done(struct io_op *op)
{
	struct log_job *job = CONTAINER_OF(op, struct log_job, op);
	struct log *log = job->log;
	int error = (int)op->result;
	enum log_job_kind kind = job->kind;
	job->kind = LOG_JOB_NONE;
	if (kind != LOG_JOB_REMOVE && error && error != ERR_NO_SPACE && error != ERR_NOMEM)
		PANIC("log %s: preparing segment %" PRIu64 " failed: %s", log->dir, job->number,
		    error_text(error));
	if (kind != LOG_JOB_REMOVE && error)
		log->no_space = error == ERR_NO_SPACE;
	if (log->no_space)
		log_segments_drop_kept(log, 0);
	log_operation_begin(log);
	if (log->freed) {
		fs_close(job->file);
	} else {
		/* What could not be removed otherwise, the next start finds. */
		bool again_later =
		    kind == LOG_JOB_REMOVE ? error == ERR_NOMEM : error || !add_ready(log, job);
		if (again_later)
			give_back(log, kind, job);
		if (again_later || log->ready_count < READY_SEGMENTS)
			io_timer_set(log->options.io, &log->retry_timer,
			    io_now_ns(log->options.io) + LOG_RETRY_NS);
		else
			log_segments_kick(log);
		log_rewrite_advance(log);
		log_tell_room(log);
		log_advance_drain(log);
	}
	job->file = NULL;
	log_operation_end(log);
}

void log_retry_timer_fired(struct io_timer *timer)
{
	struct log *log = CONTAINER_OF(timer, struct log, retry_timer);
	log_segments_kick(log);
	log_tell_room(log);
}

/* Takes a spare out of the list: one that can be recycled, or any. */
static bool take_spare(struct log *log, bool to_recycle, struct log_scan_spare *ret_spare)
{
	for (size_t i = 0; i < log->spare_count; i++) {
		if (to_recycle && log->spares[i].bytes != log->options.segment_bytes)
			continue;
		*ret_spare = log->spares[i];
		log->spares[i] = log->spares[--log->spare_count];
		return true;
	}
	return false;
}

static bool has_surplus(const struct log *log)
{
	if (log->spare_count > log->spare_keep)
		return true;
	for (size_t i = 0; i < log->spare_count; i++)
		if (log->spares[i].bytes != log->options.segment_bytes)
			return true;
	return false;
}

/* A spare that cannot be recycled goes first. */
static void take_surplus(struct log *log, struct log_scan_spare *ret_spare)
{
	size_t place = 0;
	for (size_t i = 0; i < log->spare_count; i++)
		if (log->spares[i].bytes != log->options.segment_bytes)
			place = i;
	*ret_spare = log->spares[place];
	log->spares[place] = log->spares[--log->spare_count];
}

void log_segments_kick(struct log *log)
{
	struct log_job *job = &log->job;
	if (job->kind != LOG_JOB_NONE || log->freed || (log->draining && !log->open))
		return;
	if (io_now_ns(log->options.io) < log->prepare_at_ns && !log->room_wanted)
		return;
	if (reserve_places(log)) {
		io_timer_set(
		    log->options.io, &log->retry_timer, io_now_ns(log->options.io) + LOG_RETRY_NS);
		return;
	}
	struct log_scan_spare spare = {0};
	bool may_take = !log_rewrite_reading(log) && !log_reads_spares(log);
	if (log->ready_count < READY_SEGMENTS) {
		job->kind = LOG_JOB_CREATE;
		if (may_take && take_spare(log, true, &spare))
			job->kind = LOG_JOB_RECYCLE;
		job->number = log->next_number++;
	} else if (may_take && has_surplus(log)) {
		job->kind = LOG_JOB_REMOVE;
		take_surplus(log, &spare);
	} else {
		return;
	}
	job->log = log;
	job->from = spare.number;
	job->moved = false;
	job->bytes = job->kind == LOG_JOB_REMOVE ? spare.bytes : log->options.segment_bytes;
	job->file = NULL;
	log->under_way++;
	memset(&job->op, 0, sizeof(job->op));
	job->op.done = job_done;
	io_offload_bulk(log->options.io, &job->op, run_job);
}
