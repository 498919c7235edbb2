/* Copies of what few idle groups hold in old segments, so that those can be released.
 *
 *   IDLE -> READING (in the pool: payloads out of the old segments)
 *        -> WAITING (for room in the log) -> WRITING (the frame is on its way) -> IDLE
 *
 * The frame states the whole state of each group as it is when the frame is sealed. A group that
 * got a record since its payloads were read is left out. Until the frame is durable the originals
 * are needed as before.
 */
#include "storage/log_internal.h"

#include <string.h>

#include "base/array.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutation.h"

enum state { IDLE, READING, WAITING, WRITING };

struct copied_group {
	struct log_group_state *group; /* the core's thread only */
	uint32_t number;
	uint64_t first;
	uint64_t last;
	uint64_t last_frame; /* the group's when its payloads were read */
	uint64_t next;       /* entry that is to be found next */
	bool too_large;
	bool left_out;
	size_t run_first; /* in `runs` */
	size_t run_count;
	size_t entry_bytes; /* headers included */
	size_t entry_first; /* in `entries`; chained */
	size_t entry_last;
	size_t entry_count;
};

struct copied_run {
	uint64_t first;
	uint64_t term;
	struct log_origin origin;
};

struct copied_entry {
	uint64_t index;
	uint64_t term;
	size_t offset; /* in `payloads` */
	size_t next;   /* of the same group */
	uint32_t bytes;
};

struct log_rewrite {
	struct log *log;
	struct io_op op;
	enum state state;
	uint64_t bytes_max;
	struct copied_group *groups;
	size_t group_count;
	struct copied_run *runs;
	size_t run_count;
	struct log_scan scan; /* the segments to read */
	struct copied_entry *entries;
	size_t entry_count;
	size_t entry_capacity;
	uint8_t *payloads;
	size_t payload_bytes;
	size_t payload_capacity;
	uint64_t frame; /* that holds the copies */
	uint64_t held_mark;
};

static void forget(struct log_rewrite *rewrite)
{
	log_scan_done(&rewrite->scan);
	mem_free(rewrite->groups);
	mem_free(rewrite->runs);
	mem_free(rewrite->entries);
	mem_free(rewrite->payloads);
	struct log *log = rewrite->log;
	*rewrite = (struct log_rewrite){.log = log, .state = IDLE, .held_mark = LOG_NO_MARK};
}

void log_rewrite_free(struct log_rewrite *rewrite)
{
	if (!rewrite)
		return;
	forget(rewrite);
	mem_free(rewrite);
}

/* ---- Choosing ---- */

/* Everything of it is durable, and something of it stands below the segment. */
static bool is_candidate(
    const struct log *log, const struct log_group_state *group, uint64_t segment)
{
	if (log_group_suspect(group) || group->last_frame > log->durable_frame)
		return false;
	uint64_t mark = log_index_needed(&log->index, group, &group->base);
	return mark != LOG_NO_MARK && log_index_mark(&log->index, mark)->segment < segment;
}

static int add_segment(struct log_rewrite *rewrite, uint64_t number, uint64_t bytes)
{
	struct log_scan *scan = &rewrite->scan;
	if (log_scan_find_segment(scan, number) < scan->segment_count)
		return 0;
	if (array_reserve(&scan->segments, &scan->segment_capacity, scan->segment_count + 1,
	        sizeof(*scan->segments)))
		return ERR_NOMEM;
	scan->segments[scan->segment_count++] =
	    (struct log_scan_segment){.number = number, .bytes = bytes};
	return 0;
}

/* The live segments in which entries behind this mark stand: that of the mark, up to that of the
 * next. */
static int add_segments_of_mark(struct log_rewrite *rewrite, uint64_t mark)
{
	const struct log *log = rewrite->log;
	const struct log_index *index = &log->index;
	uint64_t first = log_index_mark(index, mark)->segment;
	uint64_t last = log_current(log)->number;
	if (mark + 1 < index->mark_first + index->mark_count)
		last = log_index_mark(index, mark + 1)->segment;
	int error = 0;
	for (size_t i = 0; !error && i < log->segment_count; i++)
		if (log->segments[i]->number >= first && log->segments[i]->number <= last)
			error =
			    add_segment(rewrite, log->segments[i]->number, log->segments[i]->bytes);
	return error;
}

static int add_group(struct log_rewrite *rewrite, struct log_group_state *group)
{
	const struct log_index *index = &rewrite->log->index;
	struct copied_group *copied = &rewrite->groups[rewrite->group_count];
	*copied = (struct copied_group){.group = group,
	    .number = group->number,
	    .first = group->start_index + 1,
	    .last = group->last_index,
	    .last_frame = group->last_frame,
	    .next = group->start_index + 1,
	    .run_first = rewrite->run_count};
	for (uint32_t i = group->run_first; i != LOG_NO_RUN; i = index->runs[i].next) {
		const struct log_run *run = &index->runs[i];
		rewrite->runs[rewrite->run_count++] = (struct copied_run){
		    .first = run->first, .term = run->term, .origin = run->origin};
		int error = add_segments_of_mark(rewrite, run->origin.mark);
		if (error)
			return error;
		copied->run_count++;
	}
	rewrite->group_count++;
	return 0;
}

static int choose(struct log_rewrite *rewrite, uint64_t segment)
{
	struct log *log = rewrite->log;
	const struct log_index *index = &log->index;
	size_t groups = 0, runs = 0;
	for (size_t i = 0; i < index->group_count; i++) {
		const struct log_group_state *group = index->sorted[i];
		if (!is_candidate(log, group, segment))
			continue;
		groups++;
		for (uint32_t k = group->run_first; k != LOG_NO_RUN; k = index->runs[k].next)
			runs++;
	}
	if (groups == 0)
		return 0;
	rewrite->groups = mem_zalloc(groups, sizeof(*rewrite->groups));
	rewrite->runs = mem_zalloc(runs + 1, sizeof(*rewrite->runs));
	size_t dir_bytes = strlen(log->dir) + 1;
	rewrite->scan.dir = mem_alloc(dir_bytes);
	if (!rewrite->groups || !rewrite->runs || !rewrite->scan.dir)
		return ERR_NOMEM;
	memcpy(rewrite->scan.dir, log->dir, dir_bytes);
	rewrite->scan.fs = log->options.fs;
	rewrite->scan.store = log->options.store;
	int error = 0;
	for (size_t i = 0; !error && i < index->group_count; i++)
		if (is_candidate(log, index->sorted[i], segment))
			error = add_group(rewrite, index->sorted[i]);
	return error;
}

/* ---- Reading, in the pool ---- */

/* Sorted by number, as the index has them. */
static struct copied_group *find_group(struct log_rewrite *rewrite, uint32_t number)
{
	size_t low = 0, high = rewrite->group_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (rewrite->groups[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	struct copied_group *group = &rewrite->groups[low];
	return low < rewrite->group_count && group->number == number ? group : NULL;
}

static const struct copied_run *run_of(
    const struct log_rewrite *rewrite, const struct copied_group *group, uint64_t index)
{
	const struct copied_run *runs = &rewrite->runs[group->run_first];
	size_t run = group->run_count;
	while (run > 1 && runs[run - 1].first > index)
		run--;
	return &runs[run - 1];
}

/* The record is number `place` in that frame. */
static int copy_entry(
    struct log_rewrite *rewrite, uint64_t frame, uint32_t place, const struct log_record *record)
{
	struct copied_group *group = find_group(rewrite, record->group);
	if (!group || record->index != group->next || record->index > group->last ||
	    group->too_large)
		return 0;
	const struct copied_run *run = run_of(rewrite, group, record->index);
	if (record->term != run->term || !log_origin_covers(&run->origin, frame, place))
		return 0;
	if (rewrite->payload_bytes + record->payload.bytes > rewrite->bytes_max) {
		group->too_large = true;
		return 0;
	}
	int error = array_reserve(&rewrite->entries, &rewrite->entry_capacity,
	    rewrite->entry_count + 1, sizeof(*rewrite->entries));
	if (!error)
		error = array_reserve(&rewrite->payloads, &rewrite->payload_capacity,
		    rewrite->payload_bytes + record->payload.bytes + 1, 1);
	if (error)
		return error;
	size_t entry = rewrite->entry_count++;
	rewrite->entries[entry] = (struct copied_entry){.index = record->index,
	    .term = record->term,
	    .offset = rewrite->payload_bytes,
	    .bytes = (uint32_t)record->payload.bytes};
	if (group->entry_count++ == 0)
		group->entry_first = entry;
	else
		rewrite->entries[group->entry_last].next = entry;
	group->entry_last = entry;
	if (record->payload.bytes > 0)
		memcpy(rewrite->payloads + rewrite->payload_bytes, record->payload.data,
		    record->payload.bytes);
	rewrite->payload_bytes += record->payload.bytes;
	group->entry_bytes += LOG_RECORD_HEADER_BYTES + record->payload.bytes;
	group->next++;
	return 0;
}

bool log_frame_is_part(const struct log *log, const struct log_frame_header *header)
{
	if (header->life == log->life)
		return true;
	for (size_t i = 1; i < log->scan.stretch_count; i++) {
		const struct log_stretch *stretch = &log->scan.stretches[i];
		if (stretch->fate == LOG_FATE_KEPT && stretch->life == header->life &&
		    stretch->first <= header->frame && header->frame <= stretch->last)
			return true;
	}
	return false;
}

static int read_segment(struct log_rewrite *rewrite, size_t segment)
{
	struct log_scan *scan = &rewrite->scan;
	uint64_t offset = 0;
	while (offset < scan->segments[segment].bytes) {
		enum log_verdict verdict;
		struct log_frame_header header;
		const uint8_t *frame = NULL;
		int error = log_scan_look(scan, segment, offset, &verdict, &header, &frame);
		if (error)
			return error;
		offset += verdict == LOG_VALID ? header.frame_bytes : LOG_ALIGNMENT;
		if (verdict != LOG_VALID || !log_frame_is_part(rewrite->log, &header))
			continue;
		struct log_frame_cursor cursor;
		struct log_record record;
		log_records_begin(frame, &header, &cursor);
		for (uint32_t place = 0; !error && log_record_next(&cursor, &record); place++)
			if (record.kind == LOG_ENTRY)
				error = copy_entry(rewrite, header.frame, place, &record);
		if (error)
			return error;
	}
	return 0;
}

static void read_all(struct io_op *op)
{
	struct log_rewrite *rewrite = CONTAINER_OF(op, struct log_rewrite, op);
	int error = 0;
	for (size_t i = 0; !error && i < rewrite->scan.segment_count; i++)
		error = read_segment(rewrite, i);
	log_scan_rest(&rewrite->scan);
	op->result = error;
}

/* ---- Writing ---- */

/* Whether the copies are the group's whole state still. */
static bool is_whole(const struct copied_group *copied)
{
	if (copied->next != copied->last + 1 || copied->too_large)
		return false;
	/* Rule: a group that went on in the meantime keeps its state. */
	return MUTATION(log_rewrite_truncates) ||
	       (copied->group->last_frame == copied->last_frame &&
	           !log_group_suspect(copied->group));
}

static uint64_t bytes_of(const struct copied_group *copied)
{
	return copied->entry_bytes + LOG_GROUP_ZONE_BYTES;
}

static void write_group(struct log_rewrite *rewrite, struct copied_group *copied)
{
	struct log *log = rewrite->log;
	struct log_index *index = &log->index;
	struct log_group_state *group = copied->group;
	struct log_frame *frame = log->open;
	uint64_t needed = log_index_needed(index, group, &group->base);
	if (needed < rewrite->held_mark)
		rewrite->held_mark = needed;
	uint64_t start = group->start_index, durable = group->durable_index;
	uint64_t start_term = group->start_term;
	struct log_extent *extent = log_frame_extent(log, group);

	(void)log_put_record(log, group, LOG_RESET, start_term, start, 0);
	log_extent_add_cut(extent, LOG_EXTENT_RESET, start_term, start);
	extent->flags |= LOG_EXTENT_REWRITE;
	/* Where the checkpoint has it, no log needs to. */
	if (group->hard_durable_frame != 0) {
		const struct log_hard_state hard = group->hard;
		struct log_frame_group *place = &frame->groups[group->extent];
		*place =
		    (struct log_frame_group){.group = group, .hard = hard, .hard_at = frame->used};
		uint8_t *vote = log_put_record(
		    log, group, LOG_HARD_STATE, hard.term, hard.commit, sizeof(uint64_t));
		store_u64le(vote, hard.vote);
		extent->flags |= LOG_EXTENT_VOTE;
	}

	log_index_reset(index, group, frame->mark, start_term, start);
	size_t place = copied->entry_first;
	for (size_t i = 0; i < copied->entry_count; i++) {
		const struct copied_entry *entry = &rewrite->entries[place];
		place = entry->next;
		if (entry->index <= start)
			continue;
		struct log_origin origin = log_frame_origin(frame);
		uint8_t *payload =
		    log_put_record(log, group, LOG_ENTRY, entry->term, entry->index, entry->bytes);
		memcpy(payload, rewrite->payloads + entry->offset, entry->bytes);
		log_extent_add_entry(extent, entry->term, entry->index);
		log_index_entry(index, group, &origin, entry->term, entry->index);
	}
	/* The originals are durable and held. */
	group->durable_index = durable < group->last_index ? durable : group->last_index;
}

/* Opens the frame, or says that there is no room for it now. */
static bool open_frame(struct log *log, uint64_t bytes, uint32_t groups)
{
	if (log->open && (!log_next_frame_holds(log) || !log_close_frame(log)))
		return false;
	/* Behind this frame, one must be free for hard states. */
	if (log->used + 2 > log->frame_count)
		return false;
	uint64_t frame = LOG_FRAME_HEADER_BYTES + LOG_ALIGNMENT + bytes +
	                 ((uint64_t)log->last_extent_count + groups) * LOG_DIRECTORY_ENTRY_BYTES;
	if (!log_space_holds(log,
	        frame + log->reserved_bytes + log->reserved_records * LOG_RECORD_DISK_BYTES,
	        log->options.frame_bytes_max) ||
	    !log_open_frame(log, LOG_FRAME_REWRITE, bytes))
		return false;
	if (log_next_frame_holds(log))
		return true;
	log_cancel_frame(log);
	return false;
}

void log_rewrite_advance(struct log *log)
{
	struct log_rewrite *rewrite = log->rewrite;
	if (!rewrite || rewrite->state != WAITING || log->draining)
		return;
	/* As many as fit half of the largest frame, beside what is reserved. */
	uint64_t bytes_max = log->options.frame_bytes_max / 2;
	uint64_t bytes = 0;
	uint32_t count = 0;
	for (size_t i = 0; i < rewrite->group_count; i++) {
		struct copied_group *copied = &rewrite->groups[i];
		copied->left_out = !is_whole(copied) || bytes + bytes_of(copied) > bytes_max;
		if (copied->left_out)
			continue;
		bytes += bytes_of(copied);
		count++;
	}
	if (count == 0) {
		forget(rewrite);
		return;
	}
	/* Each group's runs may be as many as it had. */
	if (log_index_reserve(&log->index,
	        (uint32_t)(log->reserved_records + rewrite->run_count + LOG_SPARE_GROUPS)) ||
	    !open_frame(log, bytes, count))
		return;
	rewrite->frame = log->open->number;
	for (size_t i = 0; i < rewrite->group_count; i++)
		if (!rewrite->groups[i].left_out)
			write_group(rewrite, &rewrite->groups[i]);
	bool closed = log_close_frame(log);
	ASSERT(closed);
	log_submit(log);
	uint64_t held = rewrite->held_mark, frame = rewrite->frame;
	forget(rewrite);
	rewrite->state = WRITING;
	rewrite->held_mark = held;
	rewrite->frame = frame;
	log->figures.rewrites++;
}

void log_rewrite_durable(struct log *log, uint64_t frame)
{
	struct log_rewrite *rewrite = log->rewrite;
	ASSERT(rewrite && rewrite->state == WRITING && rewrite->frame == frame);
	forget(rewrite);
}

uint64_t log_rewrite_held_mark(const struct log *log)
{
	return log->rewrite ? log->rewrite->held_mark : LOG_NO_MARK;
}

void log_rewrite_marks_dropped(struct log *log)
{
	struct log_rewrite *rewrite = log->rewrite;
	if (rewrite && rewrite->held_mark < log->index.mark_first)
		rewrite->held_mark = log->index.mark_first;
}

bool log_rewrite_reading(const struct log *log)
{
	return log->rewrite && log->rewrite->state == READING;
}

static void read_done(struct io_op *op)
{
	struct log_rewrite *rewrite = CONTAINER_OF(op, struct log_rewrite, op);
	struct log *log = rewrite->log;
	log_operation_begin(log);
	if (!log->freed) {
		rewrite->state = WAITING;
		/* Where the originals cannot be read, they stay where they are. */
		if (op->result < 0 || log->draining)
			forget(rewrite);
		log_rewrite_advance(log);
		log_segments_kick(log);
		log_advance_drain(log);
	}
	log_operation_end(log);
}

void log_rewrite(struct log *log, uint64_t segment, uint64_t bytes_max)
{
	struct log_rewrite *rewrite = log->rewrite;
	if (log->draining || (rewrite && rewrite->state != IDLE))
		return;
	if (!rewrite) {
		rewrite = mem_zalloc(1, sizeof(*rewrite));
		if (!rewrite)
			return;
		log->rewrite = rewrite;
		rewrite->log = log;
		rewrite->held_mark = LOG_NO_MARK;
	}
	rewrite->bytes_max = bytes_max;
	if (choose(rewrite, segment) || rewrite->group_count == 0) {
		forget(rewrite);
		return;
	}
	rewrite->state = READING;
	memset(&rewrite->op, 0, sizeof(rewrite->op));
	rewrite->op.done = read_done;
	log->under_way++;
	io_offload_bulk(log->options.io, &rewrite->op, read_all);
}
