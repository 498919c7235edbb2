/* Entries read back: see log_read.h.
 *
 *   waiting --log_reads_start--> a slot of the job (in the pool) --> ended, `done`
 *
 * The pool sees slots and a list of files only. A read that is canceled leaves its slot, whose
 * bytes are given back when the job is over. */
#include "storage/log_read.h"

#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/mutation.h"
#include "storage/log_internal.h"

/* One job reads for so many groups; the others are the next one's. */
enum { SLOTS_MAX = 64, FILES_MAX = 2 };

struct log_read_slot {
	struct log_read *read; /* NULL: canceled */
	uint32_t group;
	struct log_kept_run run;
	uint64_t next, last, bytes_max;
	bool full; /* it, or all together, may not have more */
	uint32_t count, capacity;
	uint32_t *ends;
	uint8_t *data;
	size_t data_capacity;
};

struct log_reads {
	struct log *log;
	struct list waiting;
	bool running;
	struct io_op op;
	struct log_scan scan; /* files and window */
	struct log_scan_segment files[FILES_MAX];
	uint64_t offset;        /* in the first */
	uint64_t durable_frame; /* what stands behind that is being written */
	uint64_t bytes_max, bytes;
	uint32_t slot_count; /* by group */
	struct log_read_slot slots[SLOTS_MAX];
};

static void slot_done(struct log_read_slot *slot)
{
	mem_free(slot->ends);
	mem_free(slot->data);
	*slot = (struct log_read_slot){0};
}

void log_reads_free(struct log_reads *reads)
{
	if (!reads)
		return;
	ASSERT(!reads->running);
	while (!list_empty(&reads->waiting))
		(void)list_pop_front(&reads->waiting);
	for (uint32_t i = 0; i < reads->slot_count; i++)
		slot_done(&reads->slots[i]);
	log_scan_rest(&reads->scan);
	mem_free(reads);
}

void log_read_free(struct log_read *read)
{
	mem_free(read->ends);
	mem_free(read->data);
	read->ends = NULL;
	read->data = NULL;
	read->count = 0;
}

/* ---- Asking ---- */

static bool find(const struct log *log, const struct log_read *read, struct log_kept_run *ret_run,
    uint64_t *ret_last)
{
	const struct log_group_state *group = log_index_find(&log->index, read->group);
	return group && log_kept_find(log, group, read->first, ret_run, ret_last);
}

int log_read(struct log *log, struct log_read *read)
{
	ASSERT(read->done && read->bytes_max > 0);
	struct log_kept_run run;
	uint64_t last;
	if (log->draining || !find(log, read, &run, &last))
		return ERR_NOT_FOUND;
	struct log_reads *reads = log->reads;
	if (!reads) {
		reads = mem_zalloc(1, sizeof(*reads));
		if (!reads)
			return ERR_NOMEM;
		list_init(&reads->waiting);
		reads->log = log;
		log->reads = reads;
	}
	read->slot = NULL;
	read->count = 0;
	read->ends = NULL;
	read->data = NULL;
	list_node_init(&read->link);
	list_push_back(&reads->waiting, &read->link);
	return 0;
}

void log_read_cancel(struct log *log, struct log_read *read)
{
	(void)log;
	list_remove(&read->link);
	if (read->slot)
		read->slot->read = NULL;
	read->slot = NULL;
}

/* ---- In the pool ---- */

static struct log_read_slot *place_of(struct log_reads *reads, uint32_t group)
{
	size_t low = 0, high = reads->slot_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (reads->slots[middle].group < group)
			low = middle + 1;
		else
			high = middle;
	}
	struct log_read_slot *slot = &reads->slots[low];
	return low < reads->slot_count && slot->group == group ? slot : NULL;
}

static bool may_take(struct log_reads *reads, struct log_read_slot *slot, size_t bytes)
{
	size_t has = slot->count ? slot->ends[slot->count - 1] : 0;
	bool first = slot->count == 0 && reads->bytes == 0;
	bool fits = has + bytes <= UINT32_MAX && reads->bytes + bytes <= reads->bytes_max &&
	            (slot->count == 0 || has + bytes <= slot->bytes_max);
	slot->full = !first && !fits;
	return !slot->full;
}

static int take(struct log_reads *reads, struct log_read_slot *slot, struct slice payload)
{
	size_t has = slot->count ? slot->ends[slot->count - 1] : 0;
	if (slot->count == slot->capacity) {
		uint32_t wanted = slot->capacity ? slot->capacity * 2 : 16;
		uint32_t *ends = mem_realloc(slot->ends, wanted * sizeof(*ends));
		if (!ends)
			return ERR_NOMEM;
		slot->ends = ends;
		slot->capacity = wanted;
	}
	if (has + payload.bytes > slot->data_capacity || !slot->data) {
		size_t wanted = slot->data_capacity ? slot->data_capacity * 2 : 4 * KIB;
		if (wanted < has + payload.bytes)
			wanted = has + payload.bytes;
		uint8_t *data = mem_realloc(slot->data, wanted);
		if (!data)
			return ERR_NOMEM;
		slot->data = data;
		slot->data_capacity = wanted;
	}
	if (payload.bytes > 0)
		memcpy(slot->data + has, payload.data, payload.bytes);
	slot->ends[slot->count++] = (uint32_t)(has + payload.bytes);
	slot->next++;
	reads->bytes += payload.bytes;
	return 0;
}

/* The record is number `place` in that frame. */
static int look_at(
    struct log_reads *reads, uint64_t frame, uint32_t place, const struct log_record *record)
{
	struct log_read_slot *slot = place_of(reads, record->group);
	if (!slot || slot->full || slot->next > slot->last || record->index != slot->next)
		return 0;
	const struct log_origin origin = {.frame = slot->run.frame, .record = slot->run.record};
	/* Breaks: an entry is the first record at or behind its run's origin; what was replaced
	 * stands in front of it. */
	if ((record->term != slot->run.term || !log_origin_covers(&origin, frame, place)) &&
	    !MUTATION(log_reads_what_was_replaced))
		return 0;
	return may_take(reads, slot, record->payload.bytes) ? take(reads, slot, record->payload)
	                                                    : 0;
}

static int look_at_all(
    struct log_reads *reads, const struct log_frame_header *header, const uint8_t *frame)
{
	struct log_frame_cursor cursor;
	struct log_record record;
	log_records_begin(frame, header, &cursor);
	for (uint32_t place = 0; log_record_next(&cursor, &record); place++) {
		int error =
		    record.kind == LOG_ENTRY ? look_at(reads, header->frame, place, &record) : 0;
		if (error)
			return error;
	}
	return 0;
}

static bool all_have(const struct log_reads *reads)
{
	for (uint32_t i = 0; i < reads->slot_count; i++)
		if (!reads->slots[i].full && reads->slots[i].next <= reads->slots[i].last)
			return false;
	return true;
}

/* Runs of one stretch begin in one file and may go on in the next. */
static int read_file(struct log_reads *reads, size_t file, uint64_t offset, bool *ret_over)
{
	struct log_scan *scan = &reads->scan;
	while (offset < scan->segments[file].bytes) {
		enum log_verdict verdict;
		struct log_frame_header header;
		const uint8_t *frame = NULL;
		int error = log_scan_look(scan, file, offset, &verdict, &header, &frame);
		if (error)
			return error;
		offset += verdict == LOG_VALID ? header.frame_bytes : LOG_ALIGNMENT;
		if (verdict != LOG_VALID || !log_frame_is_part(reads->log, &header))
			continue;
		*ret_over = header.frame > reads->durable_frame;
		error = *ret_over ? 0 : look_at_all(reads, &header, frame);
		*ret_over |= all_have(reads);
		if (error || *ret_over)
			return error;
	}
	return 0;
}

/* Past the kernel's cache: nothing is read twice soon, and frames are still being written to the
 * newest file. Where that is refused, through it. */
static void open_file(struct log_scan *scan, struct log_scan_segment *file)
{
	char path[FS_PATH_BYTES_MAX];
	log_path(path, scan->dir, file->number, LOG_FILE_SEGMENT);
	if (fs_open(scan->fs, path, FS_READ | FS_DIRECT, &file->file))
		file->file = NULL;
}

static void run(struct io_op *op)
{
	struct log_reads *reads = CONTAINER_OF(op, struct log_reads, op);
	struct log_scan *scan = &reads->scan;
	bool over = false;
	int error = 0;
	for (size_t i = 0; !error && !over && i < scan->segment_count; i++) {
		open_file(scan, &scan->segments[i]);
		error = read_file(reads, i, i == 0 ? reads->offset : 0, &over);
	}
	log_scan_rest(scan);
	op->result = error;
}

/* ---- Jobs ---- */

/* A copy that a REWRITE frame takes along counts already, and is not yet durable: then the original
 * is not looked for any more, and the copy comes later. */
static int result_of(const struct log_read_slot *slot, uint64_t durable_frame, int error)
{
	if (slot->count > 0)
		return 0;
	if (error)
		return error;
	return slot->full || slot->run.frame > durable_frame ? ERR_FULL : ERR_NOT_FOUND;
}

static void end(struct log_read_slot *slot, uint64_t durable_frame, int error)
{
	struct log_read *read = slot->read;
	if (!read)
		return;
	int result = result_of(slot, durable_frame, error);
	read->slot = NULL;
	read->term = slot->run.term;
	read->count = slot->count;
	read->ends = slot->ends;
	read->data = slot->data;
	slot->ends = NULL;
	slot->data = NULL;
	slot->read = NULL;
	if (result)
		log_read_free(read);
	read->done(read, result);
}

static void done(struct io_op *op)
{
	struct log_reads *reads = CONTAINER_OF(op, struct log_reads, op);
	struct log *log = reads->log;
	log_operation_begin(log);
	reads->running = false;
	for (uint32_t i = 0; i < reads->slot_count; i++) {
		if (!log->freed)
			end(&reads->slots[i], reads->durable_frame, (int)op->result);
		slot_done(&reads->slots[i]);
	}
	reads->slot_count = 0;
	if (!log->freed) {
		log_segments_kick(log);
		log_advance_drain(log);
	}
	log_operation_end(log);
}

static void add_file(struct log_reads *reads, uint64_t number, uint64_t bytes, uint64_t from)
{
	struct log_scan *scan = &reads->scan;
	if (number < from || scan->segment_count == FILES_MAX)
		return;
	reads->files[scan->segment_count++] =
	    (struct log_scan_segment){.number = number, .bytes = bytes};
}

static void choose_files(struct log_reads *reads, uint64_t segment)
{
	struct log *log = reads->log;
	reads->scan.fs = log->options.fs;
	reads->scan.dir = log->dir;
	reads->scan.store = log->options.store;
	reads->scan.segments = reads->files;
	reads->scan.segment_count = 0;
	for (size_t i = 0; i < log->kept_count; i++)
		add_file(reads, log->kept[i].number, log->kept[i].bytes, segment);
	for (size_t i = 0; i < log->segment_count; i++)
		if (log->segments[i]->first_frame != 0)
			add_file(reads, log->segments[i]->number, log->segments[i]->bytes, segment);
}

/* By group; a second one of the same group waits. */
static bool add_slot(
    struct log_reads *reads, struct log_read *read, const struct log_kept_run *run, uint64_t last)
{
	uint32_t at = reads->slot_count;
	while (at > 0 && reads->slots[at - 1].group > read->group)
		at--;
	if (reads->slot_count == SLOTS_MAX || (at > 0 && reads->slots[at - 1].group == read->group))
		return false;
	for (uint32_t i = reads->slot_count; i > at; i--) {
		reads->slots[i] = reads->slots[i - 1];
		reads->slots[i].read->slot = &reads->slots[i];
	}
	reads->slots[at] = (struct log_read_slot){.read = read,
	    .group = read->group,
	    .run = *run,
	    .next = read->first,
	    .last = last,
	    .bytes_max = read->bytes_max};
	read->slot = &reads->slots[at];
	list_remove(&read->link);
	reads->slot_count++;
	return true;
}

/* What waits and is not there any more comes back with the rest: as a slot that finds nothing. */
static bool lowest(const struct log_reads *reads, struct log_kept_run *ret_lowest)
{
	bool any = false;
	LIST_FOR_EACH(node, &reads->waiting)
	{
		const struct log_read *read = CONTAINER_OF(node, struct log_read, link);
		struct log_kept_run run;
		uint64_t last;
		if (!find(reads->log, read, &run, &last))
			continue;
		if (!any || run.segment < ret_lowest->segment ||
		    (run.segment == ret_lowest->segment && run.offset < ret_lowest->offset))
			*ret_lowest = run;
		any = true;
	}
	return any;
}

static void choose(struct log_reads *reads)
{
	struct log_kept_run from = {0};
	bool any = lowest(reads, &from);
	LIST_FOR_EACH_REMOVABLE(node, &reads->waiting)
	{
		struct log_read *read = CONTAINER_OF(node, struct log_read, link);
		struct log_kept_run run = {0};
		uint64_t last = 0;
		bool found = find(reads->log, read, &run, &last);
		if (!found)
			last = read->first - 1;
		bool here = any && run.segment == from.segment && run.offset == from.offset;
		if (!found || here)
			(void)add_slot(reads, read, &run, last);
	}
	reads->offset = from.offset;
	choose_files(reads, any ? from.segment : UINT64_MAX);
}

void log_reads_start(struct log *log, uint64_t bytes_max)
{
	struct log_reads *reads = log->reads;
	if (!reads || reads->running || list_empty(&reads->waiting))
		return;
	choose(reads);
	if (reads->slot_count == 0)
		return;
	reads->bytes_max = bytes_max;
	reads->bytes = 0;
	reads->durable_frame = log->durable_frame;
	reads->running = true;
	log->under_way++;
	memset(&reads->op, 0, sizeof(reads->op));
	reads->op.done = done;
	io_offload(log->options.io, &reads->op, run);
}

bool log_reads_spares(const struct log *log)
{
	if (!log->reads || !log->reads->running)
		return false;
	for (size_t i = 0; i < log->reads->scan.segment_count; i++)
		for (size_t k = 0; k < log->spare_count; k++)
			if (log->spares[k].number == log->reads->files[i].number)
				return true;
	return false;
}
