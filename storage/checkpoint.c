/* When and how a generation goes to the store.
 *
 *                 due            durable               nothing left
 *     IDLE -----------> WRITING ---------> THAWING ----------------> IDLE
 *                        |   ^
 *      no space, no mem  v   | after a while
 *                       WAITING
 *
 * Beginning is one step on the core: every group is planned with the log at its applied index, the
 * anchor is taken, and the dirty generation is frozen; so all of it speaks of one moment. The job
 * in the pool sorts and writes it (checkpoint_source.c) in one store_write. Only when that has
 * returned is the log released. An attempt that found no space or no memory changed nothing and is
 * made again, with the same generation, plan and anchor; meanwhile proposals are refused
 * (engine_disk.c).
 *
 * Thawing is spread over turns. Then, where the log needs far more than was written since, some
 * idle group pins it: its few records are rewritten at the log's end (log_rewrite), and the next
 * plan moves on.
 *
 * One that is asked for when nothing changed since the last one began ends at once, unwritten.
 */
#include "base/assert.h"
#include "base/limits.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "base/mutation.h"
#include "storage/engine_parts.h"

enum { RETRY_MS_MIN = 100, RETRY_MS_MAX = 5000, NS_PER_MS = 1000000 };

static void retry_fired(struct io_timer *timer);

void checkpoint_init(struct engine *engine)
{
	struct checkpoint *checkpoint = &engine->checkpoint;
	checkpoint->stage = CHECKPOINT_IDLE;
	checkpoint->retry.fired = retry_fired;
	checkpoint->retry_ms = RETRY_MS_MIN;
	checkpoint->write.table = engine->table;
	checkpoint->write.store = engine->store;
	checkpoint->write.anchor.store = engine->options.store_id;
}

void checkpoint_done(struct engine *engine)
{
	checkpoint_write_done(&engine->checkpoint.write);
}

/* ---- Beginning ---- */

struct planning {
	struct engine *engine;
	bool failed; /* for memory */
};

/* Finds, without changing anything yet, all groups that there are. */
static void count_group(void *arg, uint32_t group)
{
	struct planning *planning = arg;
	if (!engine_shard_need(planning->engine, group, NULL))
		planning->failed = true;
}

static void plan_group(void *arg, uint32_t group)
{
	struct planning *planning = arg;
	struct engine *engine = planning->engine;
	const struct engine_shard *shard = engine_shard_find(engine, group);
	ASSERT(shard != NULL);
	if (shard->suspect)
		return;
	struct table_shard applied = table_shard_get(engine->table, group);
	uint64_t index = applied.index;
	/* Breaks: the log keeps what the checkpoint does not hold. */
	if (MUTATION(checkpoint_release_above))
		index = log_group(engine->log, group).durable_index;
	struct log_base base = log_plan(engine->log, group, index);
	base.index = applied.index;
	base.term = applied.term;
	/* Breaks: a generation holds nothing that this log may lose. */
	if (MUTATION(checkpoint_above_own_durable))
		base.index = log_group(engine->log, group).last_index;
	checkpoint_write_add(&engine->checkpoint.write, group, &base);
}

/* Plans, takes the anchor, freezes: nothing of it may be left out, and nothing come in between. */
static int begin(struct engine *engine)
{
	struct checkpoint_write *write = &engine->checkpoint.write;
	struct planning planning = {.engine = engine};
	log_each_group(engine->log, count_group, &planning);
	if (planning.failed || checkpoint_write_reserve(write, engine->shard_count))
		return ERR_NOMEM;
	write->base_count = 0;
	log_each_group(engine->log, plan_group, &planning);
	write->with_anchor = true;
	engine->checkpoint.releases = true;
	log_plan_anchor(engine->log, &write->anchor.log);
	table_freeze(engine->table);
	return 0;
}

static void run(struct io_op *op)
{
	struct checkpoint *checkpoint = CONTAINER_OF(op, struct checkpoint, op);
	checkpoint_write_run(&checkpoint->write);
	op->result = 0;
}

static void written(struct io_op *op);

static void start(struct engine *engine)
{
	struct checkpoint *checkpoint = &engine->checkpoint;
	checkpoint->stage = CHECKPOINT_WRITING;
	checkpoint->op.done = written;
	/* Breaks: the log is released only when the store has what it gives up. */
	if (MUTATION(checkpoint_release_before))
		log_release(engine->log, &checkpoint->write.anchor.log);
	engine_op_begin(engine);
	io_offload_bulk(engine->options.io, &checkpoint->op, run);
}

/* ---- Ending ---- */

/* After a write that succeeded. */
static void note_written(struct engine *engine)
{
	struct checkpoint *checkpoint = &engine->checkpoint;
	const struct checkpoint_write *write = &checkpoint->write;
	checkpoint->count++;
	checkpoint->entries += write->entries;
	checkpoint->bytes += write->bytes;
	checkpoint->retry_ms = RETRY_MS_MIN;
	checkpoint->no_space = false;
	for (size_t i = 0; i < write->base_count; i++) {
		struct engine_shard *shard = engine_shard_find(engine, write->bases[i].shard);
		ASSERT(shard != NULL);
		shard->base = write->bases[i].base;
	}
	for (size_t i = 0; i < write->damaged_count; i++)
		engine_shard_close(
		    engine, write->damaged[i], "cleared stream unreadable", ERR_CORRUPT);
	table_thaw_begin(engine->table);
}

static void wait_and_retry(struct engine *engine)
{
	struct checkpoint *checkpoint = &engine->checkpoint;
	struct io *io = engine->options.io;
	checkpoint->stage = CHECKPOINT_WAITING;
	checkpoint->retries++;
	checkpoint->no_space = checkpoint->write.error == ERR_NO_SPACE;
	LOG_LINE(LEVEL_WARNING, "checkpoint_retried", FIELD_TEXT("store", engine->dir),
	    FIELD_ERROR("error", checkpoint->write.error),
	    FIELD_U64("wait_ms", checkpoint->retry_ms));
	io_timer_set(io, &checkpoint->retry, io_now_ns(io) + checkpoint->retry_ms * NS_PER_MS);
	checkpoint->retry_ms *= 2;
	if (checkpoint->retry_ms > RETRY_MS_MAX)
		checkpoint->retry_ms = RETRY_MS_MAX;
	engine_close_goes_on(engine);
}

static void written(struct io_op *op)
{
	struct checkpoint *checkpoint = CONTAINER_OF(op, struct checkpoint, op);
	struct engine *engine = CONTAINER_OF(checkpoint, struct engine, checkpoint);
	if (!engine_op_end(engine))
		return;
	switch (checkpoint->write.error) {
	case 0:
		if (checkpoint->releases && !MUTATION(checkpoint_release_before))
			log_release(engine->log, &checkpoint->write.anchor.log);
		checkpoint->anchored = checkpoint->releases;
		checkpoint->last_ms =
		    (io_now_ns(engine->options.io) - checkpoint->begun_ns) / NS_PER_MS;
		note_written(engine);
		checkpoint->stage = CHECKPOINT_THAWING;
		break;
	case ERR_NO_SPACE:
	case ERR_NOMEM:
	/* Until the store is opened anew, which engine_options.wants_reopening asks for. */
	case ERR_AGAIN:
		wait_and_retry(engine);
		break;
	default:
		PANIC("a checkpoint of %s failed: %s", engine->dir,
		    error_text(checkpoint->write.error));
	}
}

static void retry_fired(struct io_timer *timer)
{
	struct checkpoint *checkpoint = CONTAINER_OF(timer, struct checkpoint, retry);
	struct engine *engine = CONTAINER_OF(checkpoint, struct engine, checkpoint);
	/* Memory failed before anything was frozen: from the start, when it is due. */
	if (table_can_freeze(engine->table))
		checkpoint->stage = CHECKPOINT_IDLE;
	else
		start(engine);
}

/* ---- The turn ---- */

static bool is_due(const struct engine *engine)
{
	const struct checkpoint *checkpoint = &engine->checkpoint;
	const struct engine_options *options = &engine->options;
	struct table_figures table = table_figures(engine->table);
	struct log_figures log = log_figures(engine->log);
	return checkpoint->wanted || table.dirty_bytes >= options->dirty_bytes_max ||
	       log.frame_bytes - checkpoint->log_bytes >= options->replay_bytes_max;
}

/* Whether the store has all of it already: nothing was applied, and nothing written to the log,
 * since the last one of this process began. */
static bool is_unchanged(const struct engine *engine)
{
	const struct checkpoint *checkpoint = &engine->checkpoint;
	return checkpoint->anchored && table_unchanged(engine->table) &&
	       log_figures(engine->log).frame_bytes == checkpoint->log_bytes;
}

/* One that was asked for ends as if it had been written. */
static void end_unchanged(struct engine *engine)
{
	struct checkpoint *checkpoint = &engine->checkpoint;
	checkpoint->wanted = false;
	checkpoint->count++;
	checkpoint->unchanged++;
	if (engine->closing == ENGINE_LAST_CHECKPOINT)
		checkpoint->is_last = true;
	engine_close_goes_on(engine);
}

static void try_begin(struct engine *engine)
{
	struct checkpoint *checkpoint = &engine->checkpoint;
	int error = begin(engine);
	if (error) {
		checkpoint->write.error = error;
		wait_and_retry(engine);
		return;
	}
	checkpoint->wanted = false;
	if (engine->closing == ENGINE_LAST_CHECKPOINT)
		checkpoint->is_last = true;
	checkpoint->log_bytes = log_figures(engine->log).frame_bytes;
	checkpoint->begun_ns = io_now_ns(engine->options.io);
	start(engine);
}

/* What the log still needs although all that was applied is in the store is pinned by groups that
 * hardly ever write. */
static void unpin_log(struct engine *engine)
{
	struct log_figures log = log_figures(engine->log);
	uint64_t since = log.frame_bytes - engine->checkpoint.log_bytes;
	if (log.needed_bytes > since + engine->options.replay_bytes_max)
		log_rewrite(engine->log, log.current_segment, engine->options.frame_bytes_max);
}

bool checkpoint_turn(struct engine *engine)
{
	struct checkpoint *checkpoint = &engine->checkpoint;
	switch (checkpoint->stage) {
	case CHECKPOINT_IDLE:
		/* Log and store say different things of a shard. */
		if (engine->installing > 0)
			return false;
		if (is_due(engine) && is_unchanged(engine))
			end_unchanged(engine);
		else if (is_due(engine))
			try_begin(engine);
		return false;
	case CHECKPOINT_WRITING:
	case CHECKPOINT_WAITING:
		return false;
	case CHECKPOINT_THAWING:
		if (table_thaw(engine->table, ENGINE_THAW_ENTRIES))
			return true;
		checkpoint->stage = CHECKPOINT_IDLE;
		unpin_log(engine);
		engine_close_goes_on(engine);
		return is_due(engine);
	}
	UNREACHABLE();
}

/* ---- Inside engine_open ---- */

static void finish_now(struct engine *engine)
{
	note_written(engine);
	while (table_thaw(engine->table, ENGINE_THAW_ENTRIES)) {
	}
}

static void add_moved(void *arg, uint32_t number, struct table_shard applied)
{
	struct engine *engine = arg;
	const struct engine_shard *shard = engine_shard_find(engine, number);
	ASSERT(shard != NULL);
	/* The hard state as it was: what the log has of it is still there. */
	struct log_base base = shard->base;
	base.index = applied.index;
	base.term = applied.term;
	checkpoint_write_add(&engine->checkpoint.write, number, &base);
}

int checkpoint_now(struct engine *engine)
{
	struct checkpoint *checkpoint = &engine->checkpoint;
	struct checkpoint_write *write = &checkpoint->write;
	if (!table_can_freeze(engine->table))
		return 0;
	int error = checkpoint_write_reserve(write, engine->shard_count);
	if (error)
		return error;
	write->base_count = 0;
	write->with_anchor = false;
	checkpoint->releases = false;
	checkpoint->begun_ns = io_now_ns(engine->options.io);
	table_freeze(engine->table);
	table_frozen_shards(engine->table, add_moved, engine);
	checkpoint_write_run(write);
	/* A full disk does not keep a server from starting: its operator needs it to free some. Nor
	 * does a store that has to be opened once more. */
	bool waits = write->error == ERR_NO_SPACE || write->error == ERR_AGAIN;
	if (waits)
		wait_and_retry(engine);
	else if (!write->error)
		finish_now(engine);
	return waits ? 0 : write->error;
}

int checkpoint_first(struct engine *engine)
{
	int error = begin(engine);
	if (error)
		return error;
	checkpoint_write_run(&engine->checkpoint.write);
	if (engine->checkpoint.write.error)
		return engine->checkpoint.write.error;
	log_release(engine->log, &engine->checkpoint.write.anchor.log);
	finish_now(engine);
	return 0;
}
