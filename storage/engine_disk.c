/* Free space, and what must stay free: a server that fills its disk can neither checkpoint nor
 * compact, so nothing would ever free it again. */
#include "base/assert.h"
#include "base/clock.h"
#include "base/io/fs.h"
#include "base/limits.h"
#include "base/log_line.h"
#include "storage/engine_parts.h"
#include "storage/log_read.h"

enum {
	BUSY_INTERVAL_MS = 100,   /* while something is appended, or space is short */
	QUIET_INTERVAL_MS = 1000, /* while the store may still work on what it was given */
	QUIET_MEASUREMENTS = 3
};

static void measure(struct engine *engine, struct disk_space *space)
{
	space->error = fs_space(engine->options.fs, &space->free_bytes, &space->total_bytes);
	store_check(engine->store);
	struct store_figures figures = store_figures(engine->store);
	space->compaction_bytes = figures.largest_compaction_bytes;
	space->compaction_pending = figures.compaction_bytes_pending;
	space->refuses_writes = figures.refuses_writes;
}

/* A measurement that failed changes nothing: the one before it counts on. */
static void take_over(struct engine *engine, const struct disk_space *found)
{
	if (found->refuses_writes)
		engine_want_reopening(engine, "compaction met damage");
	if (found->error == 0)
		engine->disk.space = *found;
	else
		LOG_LINE(LEVEL_WARNING, "disk_not_measured", FIELD_TEXT("store", engine->dir),
		    FIELD_ERROR("error", found->error));
}

static void run(struct io_op *op)
{
	struct disk *disk = CONTAINER_OF(op, struct disk, op);
	measure(CONTAINER_OF(disk, struct engine, disk), &disk->found);
	op->result = 0;
}

static void measured(struct io_op *op)
{
	struct disk *disk = CONTAINER_OF(op, struct disk, op);
	struct engine *engine = CONTAINER_OF(disk, struct engine, disk);
	disk->measuring = false;
	if (engine_op_end(engine))
		take_over(engine, &disk->found);
}

static void timer_fired(struct io_timer *timer)
{
	/* The turn that follows sees what is due. */
	(void)timer;
}

void engine_disk_init(struct engine *engine)
{
	engine->disk.timer.fired = timer_fired;
	engine->disk.op.done = measured;
	engine->disk.quiet_left = QUIET_MEASUREMENTS;
}

int engine_disk_measure_now(struct engine *engine)
{
	measure(engine, &engine->disk.found);
	take_over(engine, &engine->disk.found);
	engine->disk.measured_ns = io_now_ns(engine->options.io);
	engine_disk_turn(engine, false);
	return engine->disk.found.error;
}

/* ---- The decision ---- */

static uint64_t at_least(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t at_most(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t reserve_bytes(const struct engine *engine)
{
	const struct engine_options *options = &engine->options;
	const struct disk_space *space = &engine->disk.space;
	struct table_figures table = table_figures(engine->table);
	uint64_t needed = 2 * (table.dirty_bytes + table.frozen_bytes) + 2 * options->segment_bytes;
	uint64_t usual = at_most(
	    space->total_bytes / 100 * DISK_RESERVE_PERCENT, DISK_RESERVE_BYTES_MAX_DEFAULT);
	uint64_t reserve =
	    at_least(usual, needed + space->compaction_bytes + DISK_RESERVE_EXTRA_BYTES);
	if (options->reserve_bytes_max > 0)
		reserve = at_least(at_most(reserve, options->reserve_bytes_max), needed);
	return reserve;
}

static void start(struct engine *engine, uint64_t now_ns)
{
	struct disk *disk = &engine->disk;
	disk->measuring = true;
	disk->measured_ns = now_ns;
	disk->active = false;
	if (disk->space.compaction_pending > 0)
		disk->quiet_left = QUIET_MEASUREMENTS;
	else if (disk->quiet_left > 0)
		disk->quiet_left--;
	engine_op_begin(engine);
	io_offload(engine->options.io, &disk->op, run);
}

void engine_disk_turn(struct engine *engine, bool active)
{
	struct disk *disk = &engine->disk;
	struct io *io = engine->options.io;
	disk->reserve_bytes = reserve_bytes(engine);
	bool writable =
	    disk->space.free_bytes >= disk->reserve_bytes && !engine->checkpoint.no_space;
	/* The first decision is told only where it is bad news. */
	if (writable != (disk->decided ? disk->writable : true))
		LOG_LINE(LEVEL_WARNING, writable ? "disk_has_room" : "disk_full",
		    FIELD_TEXT("store", engine->dir),
		    FIELD_U64("free_bytes", disk->space.free_bytes),
		    FIELD_U64("reserve_bytes", disk->reserve_bytes));
	disk->writable = writable;
	disk->decided = true;
	if (engine->log)
		log_keep_within(
		    engine->log, writable ? disk->space.free_bytes - disk->reserve_bytes : 0);
	if (active || engine->checkpoint.stage == CHECKPOINT_WRITING) {
		disk->active = true;
		disk->quiet_left = QUIET_MEASUREMENTS;
	}
	bool busy = disk->active || !writable;
	if (disk->measuring || (!busy && disk->quiet_left == 0))
		return;
	uint64_t interval_ms = busy ? BUSY_INTERVAL_MS : QUIET_INTERVAL_MS;
	uint64_t due_ns = disk->measured_ns + interval_ms * NS_PER_MS;
	if (io_now_ns(io) >= due_ns)
		start(engine, io_now_ns(io));
	else
		io_timer_set(io, &disk->timer, due_ns);
}

bool engine_measure(struct engine *engine)
{
	/* Not in disk->found: the pool may be filling that in. And not with store_check: that waits
	 * while the store syncs a checkpoint. What the store says of itself changes with its own
	 * work only, which is measured as it goes on. */
	struct disk_space found = engine->disk.space;
	found.error = fs_space(engine->options.fs, &found.free_bytes, &found.total_bytes);
	take_over(engine, &found);
	engine_disk_turn(engine, false);
	return engine->disk.writable;
}

bool engine_writable(const struct engine *engine)
{
	return engine->disk.writable;
}
