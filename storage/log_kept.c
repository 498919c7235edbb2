/* Segments that nobody needs any more, and what can be read in them: log_read.h. */
#include "storage/log_internal.h"

#include "base/array.h"
#include "base/assert.h"
#include "base/mem.h"
#include "storage/log_read.h"

/* ---- Runs ---- */

void log_kept_forget(struct log_group_state *group)
{
	group->kept.from = group->kept.count = 0;
}

static struct log_kept_run *run_at(const struct log_kept *kept, size_t number)
{
	ASSERT(kept->runs && number < kept->count);
	return &kept->runs[kept->from + number];
}

static bool grow(struct log_kept *kept)
{
	if (kept->from + kept->count < kept->capacity)
		return true;
	/* Mostly there is room in front: runs come and go. */
	if (kept->from >= kept->capacity / 2 && kept->from > 0) {
		for (size_t i = 0; i < kept->count; i++)
			kept->runs[i] = kept->runs[kept->from + i];
		kept->from = 0;
		return true;
	}
	return array_reserve(
	           &kept->runs, &kept->capacity, kept->capacity + 1, sizeof(*kept->runs)) == 0;
}

/* Where the frames of the mark begin, or not far in front: positions count frames, and what stands
 * between them in a damaged segment is none. */
static bool place_of(const struct log *log, uint64_t number, struct log_kept_run *run)
{
	const struct log_mark *mark = log_index_mark(&log->index, number);
	for (size_t i = 0; i < log->segment_count; i++) {
		const struct log_segment *segment = log->segments[i];
		if (segment->number != mark->segment)
			continue;
		run->segment = segment->number;
		run->offset =
		    mark->position > segment->position ? mark->position - segment->position : 0;
		return run->offset < segment->bytes;
	}
	return false;
}

static bool run_of(const struct log *log, const struct log_run *from, struct log_kept_run *run)
{
	*run = (struct log_kept_run){.first = from->first,
	    .term = from->term,
	    .frame = from->origin.frame,
	    .record = from->origin.record};
	return place_of(log, from->origin.mark, run);
}

static bool add(struct log_kept *kept, const struct log_kept_run *run, uint64_t last)
{
	if (kept->count > 0 && kept->last + 1 != run->first)
		kept->count = 0;
	const struct log_kept_run *newest = kept->count ? run_at(kept, kept->count - 1) : NULL;
	bool same = newest && newest->frame == run->frame && newest->record == run->record;
	if (!same) {
		if (!grow(kept))
			return false;
		kept->runs[kept->from + kept->count++] = *run;
	}
	kept->last = last;
	return true;
}

void log_kept_add(struct log *log, struct log_group_state *group, uint64_t index)
{
	const struct log_index *all = &log->index;
	if (log->kept_bytes_max == 0)
		return;
	for (uint32_t i = group->run_first; i != LOG_NO_RUN; i = all->runs[i].next) {
		const struct log_run *from = &all->runs[i];
		if (from->first > index)
			return;
		uint64_t last =
		    from->next == LOG_NO_RUN ? group->last_index : all->runs[from->next].first - 1;
		struct log_kept_run run;
		if (!run_of(log, from, &run) ||
		    !add(&group->kept, &run, last < index ? last : index))
			log_kept_forget(group);
	}
}

void log_kept_drop(struct log *log, uint64_t segment)
{
	for (size_t i = 0; i < log->index.group_count; i++) {
		struct log_kept *kept = &log->index.sorted[i]->kept;
		while (kept->count > 0 && run_at(kept, 0)->segment <= segment) {
			kept->from++;
			kept->count--;
		}
	}
}

static bool find_live(const struct log *log, const struct log_group_state *group, uint64_t entry,
    struct log_kept_run *ret_run, uint64_t *ret_last)
{
	const struct log_run *runs = log->index.runs;
	uint64_t last = group->last_index;
	uint32_t number = group->run_last;
	while (runs[number].first > entry) {
		last = runs[number].first - 1;
		number = runs[number].back;
	}
	*ret_last = last < group->durable_index ? last : group->durable_index;
	return run_of(log, &runs[number], ret_run);
}

bool log_kept_find(const struct log *log, const struct log_group_state *group, uint64_t entry,
    struct log_kept_run *ret_run, uint64_t *ret_last)
{
	const struct log_kept *kept = &group->kept;
	if (log_group_suspect(group) || entry > group->durable_index)
		return false;
	if (entry > group->start_index)
		return find_live(log, group, entry, ret_run, ret_last);
	if (kept->count == 0 || entry > kept->last || entry < run_at(kept, 0)->first)
		return false;
	size_t low = 0, high = kept->count - 1;
	while (low < high) {
		size_t middle = high - (high - low) / 2;
		if (run_at(kept, middle)->first > entry)
			high = middle - 1;
		else
			low = middle;
	}
	*ret_run = *run_at(kept, low);
	*ret_last = low + 1 < kept->count ? run_at(kept, low + 1)->first - 1 : kept->last;
	return true;
}

uint64_t log_read_first(const struct log *log, uint32_t number)
{
	const struct log_group_state *group = log_index_find(&log->index, number);
	if (!group)
		return 1;
	const struct log_kept *kept = &group->kept;
	bool joins = kept->count > 0 && kept->last == group->start_index;
	return joins ? run_at(kept, 0)->first : group->start_index + 1;
}

/* ---- Segments ---- */

void log_keep(struct log *log, uint64_t bytes)
{
	log->kept_bytes_wanted = log->kept_bytes_max = bytes;
	log_segments_drop_kept(log, bytes);
}

void log_keep_within(struct log *log, uint64_t spare_bytes)
{
	uint64_t most = spare_bytes > 0 ? (spare_bytes + log->kept_bytes) / 4 : 0;
	log->kept_bytes_max = most < log->kept_bytes_wanted ? most : log->kept_bytes_wanted;
	if (log->kept_bytes <= log->kept_bytes_max)
		return;
	log_segments_drop_kept(log, log->kept_bytes_max);
	log_segments_kick(log);
}
