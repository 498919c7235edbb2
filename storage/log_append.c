/* Appending: records into the open frame, and the promise that there is room for them.
 *
 * What is reserved must find memory and space whatever comes in between. Memory: it fits into the
 * open frame, or the next frame is free and has memory for all of it. That stays true because
 *   - hard states and resets take nothing of the open frame's room: each frame has a zone for them;
 *   - a frame is closed while the next one holds all that is reserved, or for a record that the
 *     open one does not hold; then the next one does;
 *   - what the next frame needs is counted for as many groups as there may be until then
 *     (zone_groups), and does not grow with what comes into the open one;
 *   - memory that was promised is given up only for more of it.
 * Space: each record is counted as if it stood alone in a frame of its own (log_space_holds).
 */
#include "storage/log_internal.h"

#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/fetch.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"

/* ---- Memory of frames ---- */

int log_frames_init(struct log *log)
{
	/* Frames wait for older ones, and behind those that may be in flight. */
	log->frame_count = log->options.frames_in_flight_max * 2 + 2;
	log->frames = mem_zalloc(log->frame_count, sizeof(*log->frames));
	return log->frames ? 0 : ERR_NOMEM;
}

void log_frames_done(struct log *log)
{
	for (uint32_t i = 0; log->frames && i < log->frame_count; i++) {
		fs_buffer_free(log->frames[i].data);
		mem_free(log->frames[i].extents);
		mem_free(log->frames[i].groups);
	}
	mem_free(log->frames);
	log->frames = NULL;
}

static struct log_frame *slot(const struct log *log, uint32_t behind_head)
{
	return &log->frames[(log->head + behind_head) % log->frame_count];
}

static void give_back_bytes(struct log_frame *frame)
{
	fs_buffer_free(frame->data);
	frame->data = NULL;
	frame->capacity = 0;
}

static void give_back_extents(struct log_frame *frame)
{
	mem_free(frame->extents);
	mem_free(frame->groups);
	frame->extents = NULL;
	frame->groups = NULL;
	frame->extent_capacity = 0;
}

void log_frames_trim(struct log *log)
{
	ASSERT(log->used == 0);
	/* The first one is next, and what it has may be promised. */
	uint64_t kept = slot(log, 0)->capacity;
	for (uint32_t i = 1; i < log->frame_count; i++) {
		struct log_frame *frame = slot(log, i);
		if (kept + frame->capacity <= LOG_FRAME_KEEP_BYTES) {
			kept += frame->capacity;
			continue;
		}
		give_back_bytes(frame);
		/* The last one was written last, and the next one says what was in it. */
		if (i + 1 < log->frame_count)
			give_back_extents(frame);
	}
}

static uint64_t memory_max(const struct log *log)
{
	return 4 * (uint64_t)log->options.frame_bytes_max +
	       log->frame_count * (uint64_t)LOG_FRAME_BUFFER_BYTES;
}

/* Whether `bytes` in place of what the next frame has fit the bound; gives back what free slots
 * behind it hold to make it so. */
static bool memory_allows(struct log *log, uint64_t bytes)
{
	uint64_t total = bytes - slot(log, log->used)->capacity;
	for (uint32_t i = 0; i < log->frame_count; i++)
		total += log->frames[i].capacity;
	for (uint32_t i = log->used + 1; total > memory_max(log) && i < log->frame_count; i++) {
		struct log_frame *frame = slot(log, i);
		total -= frame->capacity;
		give_back_bytes(frame);
	}
	return total <= memory_max(log);
}

/* From a frame behind the next one: so there is memory for as many as were ever under way at a
 * time, and not for the whole ring, whose places come in turn. */
static bool take_bytes(struct log *log, struct log_frame *next, uint64_t bytes)
{
	for (uint32_t i = log->used + 1; i < log->frame_count; i++) {
		struct log_frame *other = slot(log, i);
		if (other->capacity < bytes)
			continue;
		uint8_t *data = next->data;
		uint32_t capacity = next->capacity;
		next->data = other->data;
		next->capacity = other->capacity;
		other->data = data;
		other->capacity = capacity;
		return true;
	}
	return false;
}

/* The same; not from the last one, which was written last where none is under way: the next one
 * says what was in it. */
static bool take_extents(struct log *log, struct log_frame *next, uint64_t count)
{
	for (uint32_t i = log->used + 1; i + 1 < log->frame_count; i++) {
		struct log_frame *other = slot(log, i);
		if (other->extent_capacity < count)
			continue;
		struct log_extent *extents = next->extents;
		struct log_frame_group *groups = next->groups;
		uint32_t capacity = next->extent_capacity;
		next->extents = other->extents;
		next->groups = other->groups;
		next->extent_capacity = other->extent_capacity;
		other->extents = extents;
		other->groups = groups;
		other->extent_capacity = capacity;
		return true;
	}
	return false;
}

/* Of the next frame. What it has stays where there is no more to be had: it may be promised. */
static bool ensure_bytes(struct log *log, struct log_frame *frame, uint64_t bytes)
{
	if (frame->capacity >= bytes)
		return true;
	if (bytes > log->options.frame_bytes_max)
		return false;
	uint64_t wanted = bytes > log->frame_bytes_wanted ? bytes : log->frame_bytes_wanted;
	wanted = (wanted + LOG_ALIGNMENT - 1) / LOG_ALIGNMENT * LOG_ALIGNMENT;
	if (wanted > log->options.frame_bytes_max)
		wanted = log->options.frame_bytes_max;
	if (take_bytes(log, frame, wanted))
		return true;
	if (!memory_allows(log, wanted))
		return false;
	uint8_t *data = fs_buffer_alloc((size_t)wanted);
	if (!data)
		return false;
	fs_buffer_free(frame->data);
	frame->data = data;
	frame->capacity = (uint32_t)wanted;
	return true;
}

static bool ensure_extents(struct log_frame *frame, uint64_t count)
{
	if (frame->extent_capacity >= count)
		return true;
	uint64_t wanted = frame->extent_capacity ? frame->extent_capacity * 2 : 16;
	if (wanted < count)
		wanted = count;
	struct log_extent *extents = mem_realloc(frame->extents, (size_t)wanted * sizeof(*extents));
	if (!extents)
		return false;
	frame->extents = extents;
	struct log_frame_group *groups =
	    mem_realloc(frame->groups, (size_t)wanted * sizeof(*groups));
	if (!groups)
		return false;
	frame->groups = groups;
	frame->extent_capacity = (uint32_t)wanted;
	return true;
}

/* Groups that a frame has room for: all that there are, and those that may be met. */
static uint64_t group_places(const struct log *log)
{
	uint64_t groups = log->index.group_count;
	return groups > log->zone_groups ? groups : log->zone_groups;
}

/* What is kept free in every frame for hard states and resets. */
static uint64_t zone_bytes(const struct log *log)
{
	return group_places(log) * LOG_GROUP_ZONE_BYTES;
}

static inline uint64_t entry_room(const struct log *log)
{
	uint64_t zone = zone_bytes(log);
	uint64_t zone_left = zone > log->open->zone_used ? zone - log->open->zone_used : 0;
	uint64_t taken = log->open->used + zone_left;
	return taken < log->open->capacity ? log->open->capacity - taken : 0;
}

/* What a frame takes that holds these, whatever else comes into it and stood in the one before. */
static uint64_t frame_bytes_for(const struct log *log, uint64_t bytes, uint64_t records)
{
	return LOG_FRAME_HEADER_BYTES + (group_places(log) + records) * LOG_DIRECTORY_ENTRY_BYTES +
	       zone_bytes(log) + bytes + records * LOG_RECORD_MEMORY_BYTES;
}

static bool next_frame_holds(struct log *log, uint64_t bytes, uint64_t records)
{
	if (log->used == log->frame_count)
		return false;
	struct log_frame *next = slot(log, log->used);
	ASSERT(next->state == LOG_SLOT_FREE);
	uint64_t places = group_places(log) + records;
	return ensure_bytes(log, next, frame_bytes_for(log, bytes, records)) &&
	       (next->extent_capacity >= places || take_extents(log, next, places) ||
	           ensure_extents(next, places));
}

static inline bool open_frame_holds(struct log *log, uint64_t bytes, uint64_t records)
{
	return log->open && bytes + records * LOG_RECORD_MEMORY_BYTES <= entry_room(log) &&
	       ensure_extents(log->open, group_places(log) + records);
}

bool log_next_frame_holds(struct log *log)
{
	return next_frame_holds(log, log->reserved_bytes, log->reserved_records);
}

/* ---- The open frame ---- */

/* Entries of this frame stand behind this mark; a new one where the last is far behind. */
static uint64_t mark_for(struct log *log, uint64_t frame)
{
	const struct log_index *index = &log->index;
	uint64_t newest = index->mark_first + index->mark_count - 1;
	const struct log_mark *mark = log_index_mark(index, newest);
	uint64_t step = log->options.segment_bytes / LOG_MARKS_PER_SEGMENT;
	uint64_t segment = log_current(log)->number;
	if (mark->segment == segment && log->position - mark->position < step)
		return newest;
	/* Without memory the old one does: it only makes releasing coarser. */
	if (log_index_reserve(&log->index, 0))
		return newest;
	return log_index_add_mark(&log->index,
	    &(struct log_mark){.frame = frame, .segment = segment, .position = log->position});
}

bool log_open_frame(struct log *log, enum log_frame_kind kind, uint64_t bytes)
{
	ASSERT(!log->open);
	if (!next_frame_holds(log, log->reserved_bytes + bytes, log->reserved_records))
		return false;
	struct log_frame *frame = slot(log, log->used);
	const struct log_frame *before = slot(log, log->used + log->frame_count - 1);
	frame->log = log;
	frame->state = LOG_SLOT_OPEN;
	frame->kind = kind;
	frame->number = log->next_frame;
	frame->mark = mark_for(log, frame->number);
	frame->segment = NULL;
	frame->record_count = 0;
	frame->entry_count = 0;
	frame->extent_count = 0;
	frame->zone_used = 0;
	frame->directory_count = log->last_extent_count;
	frame->used = LOG_FRAME_HEADER_BYTES;
	for (uint32_t i = 0; i < log->last_extent_count; i++) {
		log_extent_write(frame->data + frame->used, &before->extents[i]);
		frame->used += LOG_DIRECTORY_ENTRY_BYTES;
	}
	log->open = frame;
	log->used++;
	return true;
}

void log_cancel_frame(struct log *log)
{
	ASSERT(log->open->record_count == 0);
	log->open->state = LOG_SLOT_FREE;
	log->open = NULL;
	log->used--;
}

/* The open frame has no room for them: the next one. */
__attribute__((noinline)) static void make_room_in_next(struct log *log, uint64_t bytes, bool zone)
{
	if (log->open) {
		/* Larger frames are better than more of them. */
		uint64_t wanted = (uint64_t)log->open->capacity * 2;
		if (wanted <= LOG_FRAME_KEEP_BYTES && wanted > log->frame_bytes_wanted)
			log->frame_bytes_wanted = wanted;
		if (!log_close_frame(log))
			PANIC("log %s: no space for a frame that was promised it", log->dir);
	}
	/* What goes into the zone is counted with it. */
	if (!log_open_frame(log, LOG_FRAME_RECORDS, zone ? 0 : bytes))
		PANIC("log %s: no memory for a frame that was promised it", log->dir);
}

/* `bytes` of records find room in the open frame; `zone`: they may take what is kept for them. */
static inline void make_room(struct log *log, uint64_t bytes, bool zone)
{
	if (__builtin_expect(log->open != NULL, 1)) {
		uint64_t room = zone ? log->open->capacity - log->open->used : entry_room(log);
		if (__builtin_expect(bytes <= room, 1))
			return;
	}
	make_room_in_next(log, bytes, zone);
}

static struct log_extent *add_extent(struct log *log, struct log_group_state *group)
{
	struct log_frame *frame = log->open;
	if (!ensure_extents(frame, (uint64_t)frame->extent_count + 1))
		PANIC("log %s: out of memory for the group of a record", log->dir);
	uint32_t place = frame->extent_count++;
	group->extent_frame = frame->number;
	group->extent = place;
	frame->extents[place] = log_extent_none(group->number);
	/* A hard state counts where there is a place of it. */
	frame->groups[place].group = group;
	frame->groups[place].hard_at = 0;
	return &frame->extents[place];
}

/* Inline, as is what follows: for every entry. */
static inline struct log_extent *frame_extent(struct log *log, struct log_group_state *group)
{
	if (group->extent_frame != log->open->number)
		return add_extent(log, group);
	return &log->open->extents[group->extent];
}

struct log_extent *log_frame_extent(struct log *log, struct log_group_state *group)
{
	return frame_extent(log, group);
}

static inline uint8_t *put_record(struct log *log, struct log_group_state *group,
    enum log_record_kind kind, uint64_t term, uint64_t index, uint32_t bytes)
{
	struct log_frame *frame = log->open;
	uint8_t *at = frame->data + frame->used;
	ASSERT(LOG_RECORD_HEADER_BYTES + (uint64_t)bytes <= frame->capacity - frame->used);
	log_record_write(at, group->number, kind, term, index, bytes);
	frame->used += LOG_RECORD_HEADER_BYTES + bytes;
	frame->record_count++;
	group->last_frame = frame->number;
	log->figures.record_bytes += bytes;
	return at + LOG_RECORD_HEADER_BYTES;
}

uint8_t *log_put_record(struct log *log, struct log_group_state *group, enum log_record_kind kind,
    uint64_t term, uint64_t index, uint32_t bytes)
{
	return put_record(log, group, kind, term, index, bytes);
}

static struct log_group_state *group_of(struct log *log, uint32_t number)
{
	struct log_group_state *group = log_index_find(&log->index, number);
	if (__builtin_expect(group != NULL, 1))
		return group;
	if (log_index_group(&log->index, number, &group))
		PANIC("log %s: out of memory for group %u", log->dir, number);
	return group;
}

void log_fetch(const struct log *log, uint32_t number)
{
	memory_fetch(log_index_find(&log->index, number), sizeof(struct log_group_state));
}

/* ---- Room ---- */

static inline uint64_t disk_bytes(const struct log *log, uint64_t bytes, uint64_t records)
{
	uint64_t open = 0;
	if (log->open)
		open = log->open->used + LOG_ALIGNMENT +
		       log->open->extent_count * (uint64_t)LOG_DIRECTORY_ENTRY_BYTES;
	uint64_t kept = log_current(log)->bytes / 4;
	if (kept > LOG_RESERVE_BYTES)
		kept = LOG_RESERVE_BYTES;
	return open + bytes + records * LOG_RECORD_DISK_BYTES + kept;
}

bool log_has_room(const struct log *log, uint64_t bytes, uint32_t records)
{
	if (log->draining)
		return false;
	uint64_t all_bytes = log->reserved_bytes + bytes;
	uint64_t all_records = log->reserved_records + records;
	uint64_t memory = all_bytes + all_records * LOG_RECORD_MEMORY_BYTES;
	if ((!log->open || memory > entry_room(log)) &&
	    (log->used == log->frame_count ||
	        frame_bytes_for(log, all_bytes, all_records) > log->options.frame_bytes_max))
		return false;
	return log_space_holds(
	    log, disk_bytes(log, all_bytes, all_records), log->options.frame_bytes_max);
}

bool log_reserve(struct log *log, uint64_t bytes, uint32_t records)
{
	uint64_t all_bytes = log->reserved_bytes + bytes;
	uint64_t all_records = log->reserved_records + records;
	bool holds = !log->draining && all_bytes <= log->options.frame_bytes_max &&
	             all_records <= UINT32_MAX &&
	             log_space_holds(log, disk_bytes(log, all_bytes, all_records),
	                 log->options.frame_bytes_max) &&
	             (log_index_has_room(&log->index, all_records + LOG_SPARE_GROUPS) ||
	                 !log_index_reserve(&log->index, (uint32_t)all_records + LOG_SPARE_GROUPS));
	if (holds) {
		/* As many new groups as the index has room for from now on. */
		uint64_t groups = log->zone_groups;
		log->zone_groups = log->index.group_count + LOG_SPARE_GROUPS;
		holds = open_frame_holds(log, all_bytes, all_records) ||
		        next_frame_holds(log, all_bytes, all_records);
		if (!holds)
			log->zone_groups = groups;
	}
	if (!holds) {
		log->room_wanted = true;
		log_segments_kick(log);
		/* Where nothing is under way, nothing would tell that there is room. */
		if (log->under_way == 0)
			io_timer_set(log->options.io, &log->retry_timer,
			    io_now_ns(log->options.io) + LOG_RETRY_NS);
		return false;
	}
	log->reserved_bytes = all_bytes;
	log->reserved_records = all_records;
	return true;
}

void log_unreserve(struct log *log, uint64_t bytes, uint32_t records)
{
	ASSERT(bytes <= log->reserved_bytes);
	ASSERT(records <= log->reserved_records);
	log->reserved_bytes -= bytes;
	log->reserved_records -= records;
}

void log_tell_room(struct log *log)
{
	if (!log->room_wanted || log->draining || log->freed)
		return;
	log->room_wanted = false;
	if (log->options.room)
		log->options.room(log->options.arg);
}

/* ---- Appending ---- */

void log_append(struct log *log, uint32_t number, uint64_t term, uint64_t index, uint32_t bytes,
    uint8_t **ret_payload)
{
	ASSERT(!log->draining);
	struct log_group_state *group = group_of(log, number);
	ASSERT(!log_group_suspect(group));
	ASSERT(index > group->start_index && index <= group->last_index + 1);
	make_room(log, LOG_RECORD_HEADER_BYTES + (uint64_t)bytes, false);
	if (__builtin_expect(index <= group->last_index, 0)) {
		log_index_replacing(&log->index, group, log->open->number);
		log_index_truncate(&log->index, group, index - 1);
	}
	ASSERT(term >= group->last_term);
	struct log_frame *frame = log->open;
	struct log_origin origin = log_frame_origin(frame);
	*ret_payload = put_record(log, group, LOG_ENTRY, term, index, bytes);
	frame->entry_count++;
	log_extent_add_entry(frame_extent(log, group), term, index);
	log_index_next_entry(&log->index, group, &origin, term, index);
}

void log_append_hard_state(struct log *log, uint32_t number, const struct log_hard_state *hard)
{
	ASSERT(!log->draining);
	struct log_group_state *group = group_of(log, number);
	const struct log_hard_state *old = &group->hard;
	bool same = hard->term == old->term && hard->vote == old->vote;
	ASSERT(same || log_hard_state_replaces(old, hard));
	if (!same)
		group->lost_hard = 0;

	/* One of each group and frame is enough: the frame is durable as a whole. */
	uint32_t at = 0;
	if (log->open && group->extent_frame == log->open->number)
		at = log->open->groups[group->extent].hard_at;
	if (at == 0) {
		make_room(log, LOG_HARD_STATE_BYTES, true);
		at = log->open->used;
		(void)log_put_record(log, group, LOG_HARD_STATE, 0, 0, sizeof(uint64_t));
		log->open->zone_used += LOG_HARD_STATE_BYTES;
	}
	struct log_frame *frame = log->open;
	log_record_write(
	    frame->data + at, number, LOG_HARD_STATE, hard->term, hard->commit, sizeof(uint64_t));
	store_u64le(frame->data + at + LOG_RECORD_HEADER_BYTES, hard->vote);
	log_frame_extent(log, group)->flags |= same ? LOG_EXTENT_COMMIT : LOG_EXTENT_VOTE;
	frame->groups[group->extent].hard = *hard;
	frame->groups[group->extent].hard_at = at;
	group->hard = *hard;
}

/* A reset's record; what it does to the index is the caller's. */
static void put_reset(struct log *log, struct log_group_state *group, uint64_t term, uint64_t index)
{
	(void)log_put_record(log, group, LOG_RESET, term, index, 0);
	log->open->zone_used += LOG_RECORD_HEADER_BYTES;
	log_extent_add_cut(log_frame_extent(log, group), LOG_EXTENT_RESET, term, index);
	log_index_replacing(&log->index, group, log->open->number);
	log_kept_forget(group);
	group->reset_index = index;
	group->reset_term = term;
}

/* The group is forgotten, but for what the store has of it; the frame has room. */
static void put_forget(struct log *log, struct log_group_state *group, const struct log_base *base)
{
	put_reset(log, group, 0, 0);
	/* What this frame has of hard states is not to be found as its newest one. */
	log->open->groups[group->extent].hard_at = 0;
	log_index_forget(&log->index, group, log->open->number, base);
}

uint64_t log_append_reset(
    struct log *log, uint32_t number, uint64_t term, uint64_t index, bool whole)
{
	ASSERT(!log->draining);
	struct log_group_state *group = group_of(log, number);
	ASSERT(index > 0 && index >= group->base.index);
	const struct log_hard_state hard = group->hard;
	make_room(log, 2 * (uint64_t)LOG_RECORD_HEADER_BYTES + LOG_HARD_STATE_BYTES, true);
	if (whole) {
		struct log_base base = group->base;
		base.hard = hard;
		put_forget(log, group, &base);
	}
	put_reset(log, group, term, index);
	/* In the same frame: what was forgotten is in no other record. */
	if (whole && hard.term > 0)
		log_append_hard_state(log, number, &hard);
	group->lost_entries = 0;
	group->broken = false;
	group->broken_mark = LOG_NO_MARK;
	group->link = LOG_WHOLE;
	log_index_reset(&log->index, group, log->open->mark, term, index);
	return log->open->number;
}

uint64_t log_append_forget(struct log *log, uint32_t number)
{
	ASSERT(!log->draining);
	struct log_group_state *group = group_of(log, number);
	make_room(log, LOG_RECORD_HEADER_BYTES, true);
	put_forget(log, group, &(struct log_base){.index = 0});
	return log->open->number;
}

/* ---- Flushing ---- */

/* A small frame takes as much of the processor as a large one. So the open one gathers while
 * another is under way that comes back soon; where the disk is slower, while this core has other
 * work at once. Nothing waits for longer than for a frame under way. */
static bool may_close(const struct log *log)
{
	uint32_t in_flight = log->writing + log->closed;
	if (in_flight == 0)
		return true;
	if (in_flight >= log->options.frames_in_flight_max)
		return false;
	if (log->frame_ns > 0 && log->frame_ns < log->options.frame_soon_ns)
		return false;
	return in_flight < FRAMES_IN_FLIGHT_BUSY || !io_ready(log->options.io);
}

void log_flush(struct log *log)
{
	if (log->open && may_close(log)) {
		if (log_next_frame_holds(log))
			(void)log_close_frame(log);
		else if (log->under_way == 0 && !log->retry_timer.armed)
			/* The core may sleep, and nothing that is under way would wake it. */
			io_timer_set(log->options.io, &log->retry_timer,
			    io_now_ns(log->options.io) + LOG_RETRY_NS);
	}
	log_submit(log);
}
