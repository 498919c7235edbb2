/* The time that calls of a shard see. It never goes back, also not over a restart with a clock that
 * was set back: META holds a ceiling, no call is answered that saw a later time than a ceiling that
 * is committed, and a shard begins at its ceiling.
 *
 * An entry that makes a change carries a later ceiling with it. A call without a change that looked
 * at the time opens an entry for the ceiling alone, at most once in CLOCK_AHEAD_MS, and is answered
 * when that is applied.
 */
#include "server/shard/shard_parts.h"

#include "base/assert.h"
#include "storage/batch.h"

/* How far a ceiling lies ahead, so that it is not written with every entry: as long may the time
 * stand still behind a restart. */
#define CLOCK_AHEAD_MS 1000
/* Reserved for a call that may have to open an entry for the ceiling, which has room in each. */
#define CLOCK_BYTES BATCH_HEADER_BYTES

bool clock_needs_record(struct shard *shard)
{
	int64_t now_ms = group_time_ms(shard->group);
	if (now_ms <= shard->meta.clock_ceiling_ms)
		return shard->meta_changed;
	/* The ceiling that is committed, which is not the one before where that is under way. */
	if (shard->clock_number <= shard->applied_number)
		shard->clock_committed_ms = shard->meta.clock_ceiling_ms;
	shard->clock_number = shard->open->number;
	shard->meta.clock_ceiling_ms = now_ms + CLOCK_AHEAD_MS;
	return true;
}

int64_t clock_for(struct work *work)
{
	struct shard *shard = work->shard;
	int64_t now_ms = group_time_ms(shard->group), ceiling_ms = shard->meta.clock_ceiling_ms;
	if (now_ms <= ceiling_ms || work->reserved_bytes > 0)
		return now_ms;
	if (!entry_reserve(shard, CLOCK_BYTES, false)) {
		work->reserved_bytes = CLOCK_BYTES;
		return now_ms;
	}
	/* A full disk keeps no query from its answer: it sees the latest time that is known. */
	return ceiling_ms > 0 ? ceiling_ms : now_ms;
}

int clock_keep(struct work *work)
{
	struct shard *shard = work->shard;
	uint64_t seen = 0;
	/* Breaks: nobody is told a time above a committed ceiling. */
	if (MUTATION(shard_clock_not_kept))
		return 0;
	if (work->now_ms > shard->meta.clock_ceiling_ms) {
		if (!shard->open && work->reserved_bytes > 0) {
			struct writer out;
			int error = entry_room(shard, 0, &out);
			if (error)
				return error;
			uint64_t used = writer_used(&out);
			entry_written(shard, &out);
			entry_take_room(shard, work->reserved_bytes, used);
			work->reserved_bytes = 0;
		}
		seen = shard->open ? shard->open->number : 0;
	} else if (shard->clock_number > shard->applied_number &&
	           work->now_ms > shard->clock_committed_ms) {
		seen = shard->clock_number;
	}
	if (seen > work->seen)
		work->seen = seen;
	return 0;
}
