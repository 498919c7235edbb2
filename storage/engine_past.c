/* What the log still has although no checkpoint needs it; and whether reading that is cheaper than
 * the state. */
#include "base/assert.h"
#include "storage/engine_parts.h"
#include "storage/log_read.h"

int engine_log_read(struct engine *engine, struct log_read *read)
{
	return log_read(engine->log, read);
}

void engine_log_read_cancel(struct engine *engine, struct log_read *read)
{
	log_read_cancel(engine->log, read);
}

void engine_log_reads_start(struct engine *engine, uint64_t bytes_max)
{
	log_reads_start(engine->log, bytes_max);
}

uint64_t engine_log_first(const struct engine *engine, uint32_t shard)
{
	return log_read_first(engine->log, shard);
}

void engine_log_keep(struct engine *engine)
{
	const struct engine_options *options = &engine->options;
	log_keep(engine->log, options->keep_bytes ? options->keep_bytes
	                                          : ENGINE_KEEP_FACTOR * options->replay_bytes_max);
}

/* ---- The state's size ---- */

static void run(struct io_op *op)
{
	struct engine_estimate *estimate = CONTAINER_OF(op, struct engine_estimate, op);
	uint8_t first[KEY_SHARD_BYTES], end[KEY_SHARD_BYTES];
	key_shard_put(first, estimate->shard);
	key_shard_put(end, estimate->shard + 1);
	estimate->bytes = store_range_bytes(
	    estimate->engine->store, slice_of(first, sizeof(first)), slice_of(end, sizeof(end)));
	op->result = 0;
}

static void done(struct io_op *op)
{
	struct engine_estimate *estimate = CONTAINER_OF(op, struct engine_estimate, op);
	(void)engine_op_end(estimate->engine);
	estimate->done(estimate);
}

void engine_estimate(struct engine *engine, uint32_t shard, struct engine_estimate *estimate)
{
	ASSERT(estimate->done && shard < KEY_STORE_SHARD);
	estimate->engine = engine;
	estimate->shard = shard;
	estimate->op = (struct io_op){.done = done};
	engine_op_begin(engine);
	io_offload(engine->options.io, &estimate->op, run);
}
