/* Frames on their way to the disk: closed, handed over, acknowledged; watermarks; the clean end. */
#include "storage/log_internal.h"

#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/mean.h"
#include "base/mutation.h"

static struct log_frame *frame_at(const struct log *log, uint32_t behind_head)
{
	return &log->frames[(log->head + behind_head) % log->frame_count];
}

/* ---- Closing and handing over ---- */

static bool is_content(const struct log_frame *frame)
{
	return frame->kind != LOG_FRAME_WATERMARK;
}

bool log_close_frame(struct log *log)
{
	struct log_frame *frame = log->open;
	ASSERT(frame->state == LOG_SLOT_OPEN);
	frame->bytes = log_align(frame->used);
	ASSERT(frame->bytes <= frame->capacity);
	/* Entries have their space since it was reserved. What has none may not take it away. */
	if (frame->entry_count == 0 &&
	    !log_space_holds(log,
	        frame->bytes + log->reserved_bytes + log->reserved_records * LOG_RECORD_DISK_BYTES,
	        log->options.frame_bytes_max))
		return false;
	if (!log_place_frame(log, frame))
		return false;
	memset(frame->data + frame->used, 0, frame->bytes - frame->used);
	frame->state = LOG_SLOT_CLOSED;
	log->closed++;
	log->open = NULL;
	log->next_frame++;
	log->position += frame->bytes;
	log->last_extent_count = frame->extent_count;
	if (is_content(frame))
		log->last_content = frame->number;
	log->figures.frames++;
	log->figures.frame_bytes += frame->bytes;
	return true;
}

static void written(struct io_op *op);

/* The faulty way of a mutation: written, but not synced. */
static void write_only(struct io_op *op)
{
	struct log_frame *frame = CONTAINER_OF(op, struct log_frame, op);
	op->result = fs_write(frame->segment->file, frame->offset, frame->data, frame->bytes);
}

static void submit(struct log *log, struct log_frame *frame)
{
	struct log_frame_header header = {.kind = frame->kind,
	    .store = log->options.store,
	    .segment = frame->segment->number,
	    .offset = frame->offset,
	    .frame = frame->number,
	    .life = log->life,
	    .watermark = log->durable_frame,
	    .chain = log->last_hash,
	    .life_frame = log->life_frame,
	    .frame_bytes = frame->bytes,
	    .used_bytes = frame->used,
	    .directory_count = frame->directory_count,
	    .record_count = frame->record_count};
	/* Rule: a watermark never covers what is not synced. */
	if (MUTATION(log_watermark_too_high))
		header.watermark = frame->number - 1;
	if (frame->segment->first_frame == frame->number)
		frame->segment->chain = header.chain;
	log_frame_seal(frame->data, &header);
	log->last_hash = header.hash[0];
	log->last_watermark = header.watermark;
	frame->state = LOG_SLOT_WRITING;
	log->closed--;
	log->writing++;
	log->under_way++;
	frame->submitted_ns = io_now_ns(log->options.io);
	memset(&frame->op, 0, sizeof(frame->op));
	frame->op.done = written;
	if (MUTATION(log_skip_sync))
		io_offload(log->options.io, &frame->op, write_only);
	else
		io_write_durable(log->options.io, &frame->op, frame->segment->file, frame->data,
		    frame->bytes, frame->offset);
}

void log_submit(struct log *log)
{
	if (log->closed == 0)
		return;
	/* Closed frames stand in front of the open one, if there is one. */
	uint32_t place = log->used - log->closed - (log->open ? 1 : 0);
	while (log->closed > 0 && log->writing < log->options.frames_in_flight_max)
		submit(log, frame_at(log, place++));
}

/* They are submitted in order. */
uint64_t log_waiting_ns(const struct log *log)
{
	for (uint32_t i = 0; log->writing > 0 && i < log->used; i++) {
		const struct log_frame *frame = frame_at(log, i);
		if (frame->state == LOG_SLOT_WRITING)
			return io_now_ns(log->options.io) - frame->submitted_ns;
	}
	return 0;
}

/* ---- Acknowledging ---- */

/* Later frames replace the group's entries from some index on: the highest one before all of them.
 */
static uint64_t replaced_behind(
    const struct log *log, const struct log_frame *frame, const struct log_group_state *group)
{
	uint64_t limit = UINT64_MAX;
	for (uint32_t i = 0; i < log->used; i++) {
		const struct log_frame *later = frame_at(log, i);
		if (later->number <= frame->number)
			continue;
		for (uint32_t k = 0; k < later->extent_count; k++)
			if (later->groups[k].group == group &&
			    later->extents[k].first_index - 1 < limit &&
			    (later->extents[k].first_index <= later->extents[k].last_index ||
			        later->extents[k].flags & LOG_EXTENT_RESET))
				limit = later->extents[k].first_index - 1;
	}
	return limit;
}

static void group_durable(const struct log *log, const struct log_frame *frame, uint32_t place)
{
	const struct log_extent *extent = &frame->extents[place];
	struct log_group_state *group = frame->groups[place].group;
	uint64_t durable = extent->last_index;
	if (__builtin_expect(group->replaced_frame > frame->number, 0)) {
		uint64_t limit = replaced_behind(log, frame, group);
		if (limit < durable)
			durable = limit;
	}
	if (group->replaced_frame == frame->number)
		group->replaced_mark = LOG_NO_MARK;
	if (durable > group->durable_index)
		group->durable_index = durable;
	ASSERT(group->durable_index <= group->last_index);
	if (frame->groups[place].hard_at != 0 && frame->number >= group->forgotten_frame) {
		group->hard_durable = frame->groups[place].hard;
		group->hard_durable_frame = frame->number;
		group->hard_durable_mark = frame->mark;
	}
}

static void acknowledge(struct log *log, struct log_frame *frame)
{
	log->durable_frame = frame->number;
	for (uint32_t i = 0; i < frame->extent_count; i++)
		group_durable(log, frame, i);
	log_segment_frame_done(log, frame->segment);
	if (frame->kind == LOG_FRAME_REWRITE)
		log_rewrite_durable(log, frame->number);
	else if (frame->extent_count > 0 && log->options.durable)
		log->options.durable(log->options.arg, frame->extents, frame->extent_count);
	/* Only now: payloads stay readable while they are named. */
	frame->state = LOG_SLOT_FREE;
	log->head = (log->head + 1) % log->frame_count;
	log->used--;
}

static void written(struct io_op *op)
{
	struct log_frame *frame = CONTAINER_OF(op, struct log_frame, op);
	struct log *log = frame->log;
	/* Breaks: what was not written or synced is not durable, and nothing behind it. */
	if (op->result < 0 && !MUTATION(disk_failure_counts_as_done))
		PANIC("log %s: writing frame %llu at offset %llu of segment %llu failed: %s",
		    log->dir, (unsigned long long)frame->number, (unsigned long long)frame->offset,
		    (unsigned long long)frame->segment->number, error_text((int)op->result));
	ASSERT(frame->state == LOG_SLOT_WRITING);
	frame->state = LOG_SLOT_WRITTEN;
	log->frame_ns = mean_with(log->frame_ns, io_now_ns(log->options.io) - frame->submitted_ns);
	log->writing--;
	log_operation_begin(log);
	/* Rule: in order of their numbers, whatever the order in which they came back. */
	if (MUTATION(log_acknowledge_out_of_order) && frame != frame_at(log, 0) && !log->freed) {
		log->durable_frame = frame->number;
		log->options.durable(log->options.arg, frame->extents, frame->extent_count);
	}
	bool any = false;
	while (!log->freed && log->used > 0 && frame_at(log, 0)->state == LOG_SLOT_WRITTEN) {
		acknowledge(log, frame_at(log, 0));
		any = true;
	}
	if (!log->freed)
		log_submit(log);
	if (!log->freed && any) {
		log_rewrite_advance(log);
		log_watermark_later(log);
		log_tell_room(log);
		log_advance_drain(log);
	}
	log_operation_end(log);
}

bool log_idle(const struct log *log)
{
	return log->used == 0;
}

/* ---- Watermarks ---- */

static bool watermark_is_due(const struct log *log)
{
	return log_idle(log) && log->last_content > log->last_watermark;
}

void log_watermark_later(struct log *log)
{
	if (watermark_is_due(log) && !log->draining)
		io_timer_set(log->options.io, &log->watermark_timer,
		    io_now_ns(log->options.io) + log->options.watermark_delay_ms * NS_PER_MS);
}

/* Says what is durable in a frame of its own. False: there is no room for it now. */
static bool write_watermark(struct log *log)
{
	if (!log_space_holds(log,
	        LOG_ALIGNMENT + log->last_extent_count * (uint64_t)LOG_DIRECTORY_ENTRY_BYTES +
	            log->reserved_bytes + log->reserved_records * LOG_RECORD_DISK_BYTES,
	        log->options.frame_bytes_max) ||
	    !log_open_frame(log, LOG_FRAME_WATERMARK, 0))
		return false;
	/* It takes the frame that had the memory for what is reserved, and for hard states. */
	if (!log->draining && !log_next_frame_holds(log)) {
		log_cancel_frame(log);
		return false;
	}
	bool closed = log_close_frame(log);
	ASSERT(closed);
	log->figures.watermarks++;
	log_submit(log);
	return true;
}

/* ---- The clean end ---- */

void log_drain(struct log *log, void (*drained)(void *arg), void *arg)
{
	ASSERT(!log->draining);
	log->draining = true;
	log->drained = drained;
	log->drained_arg = arg;
	/* Never from inside this call. */
	io_timer_set(log->options.io, &log->watermark_timer, io_now_ns(log->options.io));
}

void log_advance_drain(struct log *log)
{
	if (!log->draining || log->freed)
		return;
	if (log->open) {
		(void)log_close_frame(log);
		log_submit(log);
	}
	if (watermark_is_due(log))
		(void)write_watermark(log);
	if (log->under_way > 0 || !log_idle(log) || !log->drained)
		return;
	void (*drained)(void *arg) = log->drained;
	log->drained = NULL;
	drained(log->drained_arg);
}

/* The timer of both. */
void log_idle_timer_fired(struct io_timer *timer)
{
	struct log *log = CONTAINER_OF(timer, struct log, watermark_timer);
	if (log_idle(log))
		log_frames_trim(log);
	if (log->draining)
		log_advance_drain(log);
	else if (watermark_is_due(log) && !write_watermark(log))
		io_timer_set(log->options.io, timer, io_now_ns(log->options.io) + LOG_RETRY_NS);
}
