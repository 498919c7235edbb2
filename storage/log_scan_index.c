/* The second pass over a log: records and gaps, in order, into the index. */
#include "storage/log_scan.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

struct builder {
	struct log_scan *scan;
	struct log_index *index;
	uint64_t mark_bytes;
	uint64_t mark; /* newest; LOG_NO_MARK: none yet */
	uint64_t mark_segment;
	uint64_t position;
	size_t gap; /* next one of the judgement */
	bool in_needed;
	bool in_tail;
};

static int add_mark(struct builder *builder, uint64_t frame, uint64_t segment)
{
	int error = log_index_reserve(builder->index, 1);
	if (error)
		return error;
	builder->mark = log_index_add_mark(builder->index,
	    &(struct log_mark){.frame = frame, .segment = segment, .position = builder->position});
	builder->mark_segment = segment;
	return 0;
}

/* A frame whose records are used belongs to a mark: the newest, or one of its own. */
static int mark_frame(struct builder *builder, const struct log_frame_header *header)
{
	if (builder->mark != LOG_NO_MARK && builder->mark_segment == header->segment) {
		const struct log_mark *mark = log_index_mark(builder->index, builder->mark);
		if (builder->position - mark->position < builder->mark_bytes)
			return 0;
	}
	return add_mark(builder, header->frame, header->segment);
}

/* Gaps that lie before the stretch (0: behind the last one). */
static int apply_gaps(struct builder *builder, size_t stretch)
{
	const struct log_judgement *judgement = &builder->scan->judgement;
	for (; builder->gap < judgement->gap_count; builder->gap++) {
		const struct log_judged_gap *gap = &judgement->gap[builder->gap];
		if (gap->next != stretch)
			return 0;
		uint64_t needed = builder->scan->anchor.needed_frame;
		if (gap->last < needed)
			continue;
		/* The mark that suspicion will hold; never below what was needed before. */
		if (builder->mark == LOG_NO_MARK) {
			uint64_t frame = gap->first < needed ? needed : gap->first;
			int error = add_mark(builder, frame, gap->report.segment);
			if (error)
				return error;
		}
		const struct log_stretch *next = &builder->scan->stretches[gap->next];
		int error = log_index_gap(builder->index, &gap->report, gap->first, gap->last,
		    builder->mark, next->directory, next->directory_count);
		if (error)
			return error;
	}
	return 0;
}

/* The groups of the last frame, for the directory of the frame that recovery writes behind it.
 * Called before the record is applied. */
static int note_last_extent(
    struct builder *builder, const struct log_frame_header *header, const struct log_record *record)
{
	struct log_scan *scan = builder->scan;
	if (record->kind == LOG_ACCEPT_LOSS)
		return 0;
	struct log_group_state *group;
	int error = log_index_group(builder->index, record->group, &group);
	if (error)
		return error;
	if (group->extent_frame != header->frame) {
		group->extent_frame = header->frame;
		group->extent = (uint32_t)scan->last_extent_count++;
		scan->last_extents[group->extent] = log_extent_none(record->group);
		if (header->kind == LOG_FRAME_REWRITE)
			scan->last_extents[group->extent].flags = LOG_EXTENT_REWRITE;
	}
	struct log_extent *extent = &scan->last_extents[group->extent];
	switch (record->kind) {
	case LOG_ENTRY:
		log_extent_add_entry(extent, record->term, record->index);
		return 0;
	case LOG_HARD_STATE: {
		bool same = record->term == group->hard.term &&
		            load_u64le(record->payload.data) == group->hard.vote;
		extent->flags |= same ? LOG_EXTENT_COMMIT : LOG_EXTENT_VOTE;
		return 0;
	}
	case LOG_RESET:
		log_extent_add_cut(extent, LOG_EXTENT_RESET, record->term, record->index);
		return 0;
	case LOG_TRUNCATE:
		log_extent_add_cut(extent, LOG_EXTENT_TRUNCATE, record->term, record->index);
		return 0;
	case LOG_ACCEPT_LOSS:
		break;
	}
	UNREACHABLE();
}

static int apply_frame(
    struct builder *builder, const struct log_frame_header *header, const uint8_t *frame)
{
	struct log_scan *scan = builder->scan;
	scan->records += header->record_count;
	if (header->frame < scan->anchor.needed_frame)
		return 0;
	int error = mark_frame(builder, header);
	if (error)
		return error;
	bool last = header->frame == scan->stretches[scan->judgement.last_kept].last;
	if (last && header->record_count > 0) {
		scan->last_extents = mem_zalloc(header->record_count, sizeof(*scan->last_extents));
		if (!scan->last_extents)
			return ERR_NOMEM;
	}
	struct log_frame_cursor cursor;
	struct log_record record;
	struct log_origin origin = {.mark = builder->mark, .frame = header->frame};
	log_records_begin(frame, header, &cursor);
	for (; !error && log_record_next(&cursor, &record); origin.record++) {
		if (last)
			error = note_last_extent(builder, header, &record);
		if (!error)
			error = log_index_apply(builder->index, header, &origin, &record);
	}
	scan->last_extents_known = last;
	return error;
}

/* Figures, and where later passes begin. `before`: the cursor that gives this frame. */
static void note_place(struct builder *builder, const struct log_frame_header *header,
    const struct log_scan_cursor *before, const struct log_scan_cursor *after)
{
	struct log_scan *scan = builder->scan;
	struct log_scan_segment *segment = &scan->segments[after->segment];
	if (segment->first_frame == 0) {
		segment->first_frame = header->frame;
		segment->chain = header->chain;
		segment->position = builder->position;
	}
	if (header->frame >= scan->anchor.needed_frame && !builder->in_needed) {
		builder->in_needed = true;
		scan->needed = *before;
	}
	if (header->frame > scan->judgement.proven && !builder->in_tail) {
		builder->in_tail = true;
		scan->tail = *before;
	}
	scan->tail_frames += builder->in_tail;
	scan->frames++;
	scan->bytes += header->frame_bytes;
}

/* Leaves the repairs that stand in frames which are part of the log. */
static void keep_repairs(struct log_scan *scan)
{
	size_t kept = 0;
	for (size_t i = 0; i < scan->repair_count; i++) {
		const struct log_repair repair = scan->repairs[i];
		for (size_t k = 1; k < scan->stretch_count; k++) {
			const struct log_stretch *stretch = &scan->stretches[k];
			if (stretch->fate == LOG_FATE_KEPT && stretch->life == repair.life &&
			    stretch->first <= repair.frame && repair.frame <= stretch->last) {
				scan->repairs[kept++] = repair;
				break;
			}
		}
	}
	scan->repair_count = kept;
}

int log_scan_index(struct log_scan *scan, struct log_index *index, uint64_t mark_bytes)
{
	struct builder builder = {
	    .scan = scan, .index = index, .mark_bytes = mark_bytes, .mark = LOG_NO_MARK};
	struct log_scan_cursor cursor = {0};
	struct log_frame_header header;
	const uint8_t *frame;
	size_t stretch = 0;
	int result = log_index_reserve(index, 1);
	if (result)
		return result;
	keep_repairs(scan);
	index->repairs = scan->repairs;
	index->repair_count = scan->repair_count;
	for (;;) {
		struct log_scan_cursor before = cursor;
		result = log_scan_next(scan, &cursor, false, &header, &frame);
		if (result <= 0)
			break;
		if (cursor.stretch != stretch) {
			stretch = cursor.stretch;
			int error = apply_gaps(&builder, stretch);
			if (error)
				return error;
		}
		note_place(&builder, &header, &before, &cursor);
		int error = apply_frame(&builder, &header, frame);
		if (error)
			return error;
		builder.position += header.frame_bytes;
	}
	if (!result)
		result = apply_gaps(&builder, 0);
	if (!result)
		log_index_recovered(index);
	return result;
}

void log_scan_report(
    const struct log_scan *scan, const struct log_index *index, struct log_report *ret_report)
{
	const struct log_judgement *judgement = &scan->judgement;
	struct log_report *report = ret_report;
	memset(report, 0, sizeof(*report));
	report->segments = scan->segment_count;
	report->frames = scan->frames;
	report->records = scan->records;
	report->bytes = scan->bytes;
	if (scan->frames > 0) {
		for (size_t i = 1; report->first_frame == 0; i++)
			if (scan->stretches[i].fate == LOG_FATE_KEPT &&
			    scan->stretches[i].first <= scan->stretches[i].last)
				report->first_frame = scan->stretches[i].first;
		report->last_frame = scan->stretches[judgement->last_kept].last;
	}
	report->life = judgement->next_life;
	const struct log_stretch *end = &scan->stretches[judgement->last_kept];
	report->cut = judgement->cut;
	report->cut_segment = end->end.segment;
	report->cut_offset = end->end.offset;
	report->cut_frame = judgement->next_frame;
	report->cut_frames_seen = judgement->frames_given_up;
	report->rewritten_frames = scan->tail_frames;
	size_t cut = log_scan_find_segment(scan, end->end.segment);
	if (cut < scan->segment_count && !judgement->end_missing)
		report->renumbered_segments = scan->segment_count - cut - 1;

	report->gaps = judgement->gaps;
	size_t known = 0;
	for (size_t i = 0; i < judgement->gap_count; i++) {
		report->gap[i] = judgement->gap[i].report;
		/* The index was told of those that reach above what is needed, in this order. */
		if (judgement->gap[i].last >= scan->anchor.needed_frame)
			report->gap[i].matters = index->gaps[known++].report.matters;
	}
	ASSERT(known == index->gap_count);
}
