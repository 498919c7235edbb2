/* Opening and freeing, views and figures. */
#include "storage/log_internal.h"

#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "storage/log_recover.h"

/* ---- Opening ---- */

static void destroy(struct log *log)
{
	log_rewrite_free(log->rewrite);
	log_reads_free(log->reads);
	log_segments_done(log);
	log_frames_done(log);
	log_index_done(&log->index);
	if (log->has_scan)
		log_scan_done(&log->scan);
	mem_free(log->dir);
	mem_free(log);
}

static struct log *log_new(const struct log_options *options)
{
	struct log *log = mem_zalloc(1, sizeof(*log));
	if (!log)
		return NULL;
	log->options = *options;
	log->anchor = options->anchor;
	log_index_init(&log->index, options->base, options->base_arg);
	log->watermark_timer.fired = log_idle_timer_fired;
	log->retry_timer.fired = log_retry_timer_fired;
	log->frame_bytes_wanted = LOG_FRAME_BUFFER_BYTES;
	log->plan_round = 1;
	size_t bytes = strlen(options->dir) + 1;
	log->dir = mem_alloc(bytes);
	if (log->dir) {
		memcpy(log->dir, options->dir, bytes);
		log->options.dir = log->dir;
	}
	return log;
}

static void start_from(struct log *log, const struct log_recovery *recovery)
{
	log->life = recovery->life;
	log->life_frame = recovery->life_frame;
	log_judge_lives(&log->options.anchor, log->scan.stretches, log->scan.stretch_count,
	    (struct log_life){.life = log->life, .frame = log->life_frame}, log->lives_before);
	log->next_frame = recovery->last_frame + 1;
	log->durable_frame = recovery->last_frame;
	log->last_content = recovery->last_frame;
	log->last_watermark = recovery->last_frame - 1;
	log->last_hash = recovery->last_hash;
	log->offset = recovery->offset;
	log->position = recovery->position;
	if (log->anchor.life != 0)
		return;
	/* A new log: the first anchor is made from this one. */
	const struct log_segment *first = log->segments[0];
	log->anchor.first_segment = first->number;
	log->anchor.first_frame = 1;
	log->anchor.needed_frame = 1;
}

static int open_log(struct log *log, struct log_report *report)
{
	const struct log_options *options = &log->options;
	int error = log_scan_begin(
	    &log->scan, options->fs, log->dir, options->store, &options->anchor, true);
	if (error)
		return error;
	log->has_scan = true;
	log->anchor.needed_frame = log->scan.anchor.needed_frame;
	error =
	    log_scan_index(&log->scan, &log->index, options->segment_bytes / LOG_MARKS_PER_SEGMENT);
	if (error)
		return error;
	log_scan_report(&log->scan, &log->index, report);
	struct log_recover_options how = {.segment_bytes = options->segment_bytes,
	    .first_segment_bytes = options->first_segment_bytes,
	    .frame_bytes_max = options->frame_bytes_max};
	struct log_recovery recovery;
	error = log_recover(&log->scan, &how, &recovery);
	if (error)
		return error;
	report->rewritten_frames = recovery.rewritten_frames;
	report->renumbered_segments = recovery.renumbered_segments;
	/* Their locks go to the files that frames are written through. */
	log_scan_rest(&log->scan);
	error = log_segments_init(log, &log->scan, recovery.current);
	if (!error)
		error = log_frames_init(log);
	if (!error)
		error = log_index_reserve(&log->index, LOG_SPARE_GROUPS);
	if (error)
		return error;
	start_from(log, &recovery);
	/* Hard states may come before anything is reserved. */
	log->zone_groups = log->index.group_count + LOG_SPARE_GROUPS;
	if (!log_next_frame_holds(log))
		return ERR_NOMEM;
	if (log->index.mark_count == 0)
		(void)log_index_add_mark(&log->index, &(struct log_mark){.frame = log->next_frame,
		                                          .segment = log_current(log)->number,
		                                          .position = log->position});
	return 0;
}

int log_open(const struct log_options *options, struct log **ret_log, struct log_report *ret_report)
{
	ASSERT(options->store != 0);
	ASSERT(options->segment_bytes > 0 && options->segment_bytes % LOG_ALIGNMENT == 0);
	ASSERT(options->first_segment_bytes > 0 &&
	       options->first_segment_bytes % LOG_ALIGNMENT == 0 &&
	       options->first_segment_bytes <= options->segment_bytes);
	ASSERT(options->frame_bytes_max >= LOG_ALIGNMENT &&
	       options->frame_bytes_max % LOG_ALIGNMENT == 0 &&
	       options->frame_bytes_max <= options->segment_bytes);
	ASSERT(options->frames_in_flight_max >= 1 &&
	       options->frames_in_flight_max <= FRAMES_IN_FLIGHT_MAX);
	struct log *log = log_new(options);
	if (!log)
		return ERR_NOMEM;
	struct log_report report;
	int error = log->dir ? open_log(log, &report) : ERR_NOMEM;
	if (error) {
		destroy(log);
		return error;
	}
	log->prepare_at_ns = io_now_ns(options->io) + LOG_PREPARE_DELAY_NS;
	io_timer_set(options->io, &log->retry_timer, log->prepare_at_ns);
	log_watermark_later(log);
	*ret_log = log;
	*ret_report = report;
	return 0;
}

void log_free(struct log *log)
{
	if (!log)
		return;
	ASSERT(!log->freed);
	io_timer_cancel(log->options.io, &log->watermark_timer);
	io_timer_cancel(log->options.io, &log->retry_timer);
	log->freed = true;
	if (log->under_way == 0 && log->ending == 0)
		destroy(log);
}

bool log_under_way(const struct log *log)
{
	return log->under_way > 0 || log->ending > 0;
}

void log_operation_begin(struct log *log)
{
	ASSERT(log->under_way > 0);
	log->under_way--;
	log->ending++;
}

void log_operation_end(struct log *log)
{
	ASSERT(log->ending > 0);
	log->ending--;
	if (log->freed && log->under_way == 0 && log->ending == 0)
		destroy(log);
}

/* ---- Views ---- */

struct log_group_view log_group(const struct log *log, uint32_t number)
{
	const struct log_group_state *group = log_index_find(&log->index, number);
	const struct log_gap *gap = log_index_suspect_by(&log->index, group);
	if (!group) {
		struct log_base base = {0};
		if (log->options.base)
			base = log->options.base(log->options.base_arg, number);
		return (struct log_group_view){.first_index = base.index + 1,
		    .last_index = base.index,
		    .last_term = base.term,
		    .hard = base.hard,
		    .durable_index = base.index,
		    .suspect = gap != NULL,
		    .gap = gap};
	}
	return (struct log_group_view){.first_index = group->start_index + 1,
	    .last_index = group->last_index,
	    .last_term = group->last_term,
	    .hard = group->hard,
	    .durable_index = group->durable_index,
	    .suspect = log_group_suspect(group),
	    .gap = gap};
}

uint64_t log_durable(const struct log *log, uint32_t number)
{
	const struct log_group_state *group = log_index_find(&log->index, number);
	return __builtin_expect(group != NULL, 1) ? group->durable_index
	                                          : log_group(log, number).durable_index;
}

struct log_hard_state log_hard_durable(const struct log *log, uint32_t number)
{
	const struct log_group_state *group = log_index_find(&log->index, number);
	return group ? group->hard_durable : log_group(log, number).hard;
}

int log_term(const struct log *log, uint32_t number, uint64_t index, uint64_t *ret_term)
{
	const struct log_group_state *group = log_index_find(&log->index, number);
	return group ? log_index_term(&log->index, group, index, ret_term) : ERR_NOT_FOUND;
}

void log_each_group(const struct log *log, void (*each)(void *arg, uint32_t group), void *arg)
{
	for (size_t i = 0; i < log->index.group_count; i++)
		if (!log_index_is_forgotten(log->index.sorted[i]))
			each(arg, log->index.sorted[i]->number);
}

bool log_was_reset(
    const struct log *log, uint32_t number, uint64_t term, uint64_t index, uint64_t behind)
{
	const struct log_group_state *group = log_index_find(&log->index, number);
	if (index == 0)
		return !group || group->forgotten_frame > behind || log_index_is_forgotten(group);
	return group && group->reset_index == index && group->reset_term == term;
}

struct log_figures log_figures(const struct log *log)
{
	struct log_figures figures = {.frames = log->figures.frames,
	    .frame_bytes = log->figures.frame_bytes,
	    .record_bytes = log->figures.record_bytes,
	    .syncs = log->figures.frames,
	    .watermarks = log->figures.watermarks,
	    .rewrites = log->figures.rewrites,
	    .live_bytes = log->position - log->segments[0]->position,
	    .segments_live = log->segment_count,
	    .segments_spare = log->spare_count + log->ready_count,
	    .first_segment = log->segments[0]->number,
	    .current_segment = log_current(log)->number,
	    .last_frame = log->next_frame - 1,
	    .durable_frame = log->durable_frame,
	    .waiting_ns = log_waiting_ns(log),
	    .no_space = log->no_space};
	figures.needed_bytes = log->position - log->index.marks[0].position;
	return figures;
}

/* ---- Replay ---- */

struct replay {
	struct log_index *index;
	int (*each)(void *arg, const struct log_record *record);
	void *arg;
};

/* Whether this record is its entry (see log_index.h). Given in order of index, each once. */
static bool is_due(const struct log_index *index, struct log_group_state *group, uint64_t frame,
    uint32_t place, const struct log_record *record)
{
	if (group->replay_index <= group->start_index)
		group->replay_index = group->start_index + 1;
	if (record->index != group->replay_index || record->index > group->last_index)
		return false;
	uint32_t next = index->runs[group->replay_run].next;
	if (next != LOG_NO_RUN && index->runs[next].first <= record->index)
		group->replay_run = next;
	const struct log_run *run = &index->runs[group->replay_run];
	return run->term == record->term && log_origin_covers(&run->origin, frame, place);
}

static int replay_frame(
    struct replay *replay, const struct log_frame_header *header, const uint8_t *frame)
{
	struct log_frame_cursor cursor;
	struct log_record record;
	log_records_begin(frame, header, &cursor);
	for (uint32_t place = 0; log_record_next(&cursor, &record); place++) {
		if (record.kind != LOG_ENTRY)
			continue;
		struct log_group_state *group = log_index_find(replay->index, record.group);
		if (!group || !is_due(replay->index, group, header->frame, place, &record))
			continue;
		int result = replay->each(replay->arg, &record);
		if (result < 0)
			return result;
		group->replay_index++;
	}
	return 0;
}

int log_replay(struct log *log, int (*each)(void *arg, const struct log_record *record), void *arg)
{
	ASSERT(log->has_scan);
	struct replay replay = {.index = &log->index, .each = each, .arg = arg};
	for (size_t i = 0; i < log->index.group_count; i++) {
		struct log_group_state *group = log->index.sorted[i];
		group->replay_index = group->start_index + 1;
		group->replay_run = group->run_first;
	}
	struct log_scan_cursor cursor = log->scan.needed;
	struct log_frame_header header;
	const uint8_t *frame;
	int result;
	while ((result = log_scan_next(&log->scan, &cursor, false, &header, &frame)) == 1) {
		if (header.frame < log->options.anchor.needed_frame)
			continue;
		result = replay_frame(&replay, &header, frame);
		if (result < 0)
			break;
	}
	log_scan_rest(&log->scan);
	return result;
}
