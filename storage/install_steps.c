/* From the fence to the end: see install.h. Nothing here waits: each turn looks how far it is. */
#include "base/assert.h"
#include "base/io/fs.h"
#include "base/log_line.h"
#include "base/mutation.h"
#include "storage/install_parts.h"

void install_hold(struct engine_install *install)
{
	ASSERT(!install->holds);
	install->holds = true;
	install->engine->installing++;
}

static void let_go(struct engine_install *install)
{
	if (install->holds)
		install->engine->installing--;
	install->holds = false;
}

static void ended(struct engine_install *install, int result)
{
	install->error = result;
	install->stage = INSTALL_ENDED;
	engine_call_later(install->engine);
}

/* ---- The file goes ---- */

/* Absent is as good as unlinked. */
static int unlink_path(struct engine_install *install, const char *path)
{
	int error = fs_unlink(install->engine->options.fs, path);
	return error == ERR_NOT_FOUND ? 0 : error;
}

static void run_unlink(struct io_op *op)
{
	struct engine_install *install = install_of(op);
	fs_close(install->file);
	install->file = NULL;
	install->job_error = unlink_path(install, install->part);
	/* One of an earlier removal stays. */
	if (!install->job_error && install->has_intent)
		install->job_error = unlink_path(install, install->intent);
	/* Before anything relies on it: an intent that came back would be done again. */
	if (!install->job_error)
		install->job_error =
		    fs_sync_dir(install->engine->options.fs, install->engine->install_dir);
	op->result = 0;
}

static void check_unlinked(const struct engine_install *install)
{
	if (install->job_error)
		PANIC("%s cannot be removed: %s", install->intent, error_text(install->job_error));
}

static void retracted(struct io_op *op)
{
	struct engine_install *install = install_of(op);
	struct engine *engine = install->engine;
	if (!engine_op_end(engine))
		return;
	check_unlinked(install);
	let_go(install);
	/* Of which only the old range is left to be told. */
	if (install->write.error && !install->write.file_bad &&
	    (install->error == ERR_CORRUPT || install->error == ERR_IO)) {
		engine_shard_close(engine, install->shard, "range unreadable", install->error);
		install->error = ERR_CORRUPT;
	}
	ended(install, install->error);
}

void install_retract(struct engine_install *install, int error)
{
	const struct engine_shard *shard = engine_shard_find(install->engine, install->shard);
	/* It is no more than an attempt at what is begun already. */
	if (install->kind == INSTALL_REMOVAL && shard && shard->goes)
		install->has_intent = false;
	install->error = error;
	install->stage = INSTALL_RETRACTING;
	install_job(install, run_unlink, retracted);
}

static void file_gone(struct io_op *op)
{
	struct engine_install *install = install_of(op);
	struct engine *engine = install->engine;
	if (!engine_op_end(engine))
		return;
	check_unlinked(install);
	let_go(install);
	if (install->kind == INSTALL_REMOVAL && !install->recovered)
		engine_shard_drop(engine, install->shard);
	engine->installs_done++;
	ended(install, 0);
}

static void end(struct engine_install *install)
{
	install->stage = INSTALL_ENDING;
	install_job(install, run_unlink, file_gone);
}

/* ---- RESET ---- */

void install_append_reset(struct engine_install *install)
{
	struct engine *engine = install->engine;
	const struct engine_shard *shard = engine_shard_find(engine, install->shard);
	/* Rule: suspicion ends with a state that was taken for that. What the log lost only since
	 * the intent was made may be a vote that the replica gave. */
	bool whole = shard && shard->suspect && install->head.heals;
	if (install->kind == INSTALL_REMOVAL)
		install->reset_frame = log_append_forget(engine->log, install->shard);
	else
		install->reset_frame = log_append_reset(
		    engine->log, install->shard, install->head.term, install->head.index, whole);
}

static void take_over(struct engine_install *install)
{
	struct engine *engine = install->engine;
	struct engine_shard *shard = engine_shard_find(engine, install->shard);
	ASSERT(shard && shard->fenced && shard->loads == 0);
	engine_shard_reopen(engine, shard);
	if (install->kind == INSTALL_REMOVAL)
		return;
	struct table_shard start = {.index = install->head.index, .term = install->head.term};
	table_shard_restart(engine->table, install->shard, start);
	shard->base = install->write.hard;
	shard->base.index = start.index;
	shard->base.term = start.term;
}

/* ---- INGEST ---- */

static void run_ingest(struct io_op *op)
{
	struct engine_install *install = install_of(op);
	install_write_run(&install->write);
	op->result = 0;
}

/* The next opening goes on with the file, once for each shard: what it could not do it says. */
static void leave_to_opening(struct engine_install *install)
{
	struct engine *engine = install->engine;
	struct engine_shard *shard = engine_shard_find(engine, install->shard);
	let_go(install);
	shard->goes = true;
	engine_shard_close(engine, install->shard, "range unreadable", install->write.error);
	if (!shard->stays)
		engine_want_reopening(engine, "range unreadable");
	ended(install, ERR_CORRUPT);
}

static void ingested(struct io_op *op)
{
	struct engine_install *install = install_of(op);
	if (!engine_op_end(install->engine))
		return;
	if (install->write.error) {
		LOG_LINE(LEVEL_WARNING, "install_failed", FIELD_TEXT("store", install->engine->dir),
		    FIELD_U64("group", install->shard), FIELD_ERROR("error", install->write.error));
		if (install_is_unreadable(install))
			leave_to_opening(install);
		else
			install_retract(install, install->write.error);
		return;
	}
	/* Breaks: the log says it only behind the store. */
	if (!MUTATION(install_reset_before_intent))
		install_append_reset(install);
	take_over(install);
	install->stage = INSTALL_RESETTING;
}

/* ---- INTENT ---- */

static int seal(struct engine_install *install)
{
	struct fs *fs = install->engine->options.fs;
	uint8_t head[INSTALL_HEAD_BYTES];
	int error = install_write_block(install, &install->blocks[install->filling]);
	install_head_encode(&install->head, head);
	if (!error)
		error = fs_write(install->file, 0, head, sizeof(head));
	if (error)
		return error;
	/* Breaks: what the name promises is durable before it. */
	if (!MUTATION(install_intent_not_synced))
		error = fs_sync(install->file);
	if (error)
		PANIC("%s cannot be synced: %s", install->part, error_text(error));
	fs_close(install->file);
	install->file = NULL;
	/* Breaks: nothing is ingested without an intent. */
	if (MUTATION(install_without_intent))
		return 0;
	error = fs_rename(fs, install->part, install->intent);
	/* It may have the name all the same, and a restart would go on from there. */
	if (error == ERR_IO)
		PANIC("%s may be there or not: %s", install->intent, error_text(error));
	if (error)
		return error;
	install->has_intent = true;
	error = fs_sync_dir(fs, install->engine->install_dir);
	if (error)
		PANIC("%s cannot be synced: %s", install->engine->install_dir, error_text(error));
	return 0;
}

static void run_seal(struct io_op *op)
{
	struct engine_install *install = install_of(op);
	install->job_error = seal(install);
	op->result = 0;
}

static void sealed(struct io_op *op)
{
	struct engine_install *install = install_of(op);
	struct engine *engine = install->engine;
	if (!engine_op_end(engine))
		return;
	if (install->job_error) {
		install_retract(install, install->job_error);
		return;
	}
	install->stage = INSTALL_INGESTING;
	install->write = (struct install_write){.fs = engine->options.fs,
	    .store = engine->store,
	    .path = MUTATION(install_without_intent) ? install->part : install->intent};
	/* Later ones stand in the log behind this frame. */
	install->write.hard.hard = log_hard_durable(engine->log, install->shard);
	install->write.hard.frame = log_figures(engine->log).durable_frame;
	install_job(install, run_ingest, ingested);
}

/* ---- FENCE ---- */

/* Whether what was begun before the fence has come to its end. An error: it cannot. */
static int is_quiet(struct engine_install *install, bool *ret_quiet)
{
	struct engine *engine = install->engine;
	const struct engine_shard *shard = engine_shard_find(engine, install->shard);
	*ret_quiet = false;
	if (engine->checkpoint.stage == CHECKPOINT_WAITING)
		return engine->checkpoint.write.error;
	if (engine->checkpoint.stage != CHECKPOINT_IDLE || shard->loads > 0)
		return 0;
	if (!table_shard_dirty(engine->table, install->shard)) {
		*ret_quiet = true;
		return 0;
	}
	engine_checkpoint(engine);
	return 0;
}

/* True: it can go on at once. */
static bool wait_step(struct engine_install *install)
{
	struct engine *engine = install->engine;
	bool quiet = false;
	if (install->writing)
		return false;
	if (!install->error && engine->closing != ENGINE_OPEN)
		install->error = ERR_CANCELED;
	if (!install->error)
		install->error = is_quiet(install, &quiet);
	if (install->error) {
		install_retract(install, install->error);
		return false;
	}
	if (!quiet)
		return engine->checkpoint.stage == CHECKPOINT_IDLE && engine->checkpoint.wanted;
	install_hold(install);
	install->stage = INSTALL_CLEARING;
	/* Breaks: nothing of the old state outlives it. */
	if (!MUTATION(install_keeps_old_values))
		table_drop_begin(engine->table, install->shard);
	return true;
}

static bool clear_step(struct engine_install *install)
{
	struct engine *engine = install->engine;
	const struct engine_shard *shard = engine_shard_find(engine, install->shard);
	if (table_drop_step(engine->table, INSTALL_CLEAR_ENTRIES))
		return true;
	if (MUTATION(install_reset_before_intent))
		install_append_reset(install);
	install->head.heals = shard && shard->suspect;
	install->head.frame = log_figures(engine->log).durable_frame;
	install->stage = INSTALL_SEALING;
	install_job(install, run_seal, sealed);
	return false;
}

static bool step(struct engine_install *install)
{
	struct engine *engine = install->engine;
	switch (install->stage) {
	case INSTALL_WAITING:
		return engine->installing == 0 && wait_step(install);
	case INSTALL_CLEARING:
		return clear_step(install);
	case INSTALL_RESETTING:
		if (log_figures(engine->log).durable_frame >= install->reset_frame)
			end(install);
		return false;
	case INSTALL_RECEIVING:
	case INSTALL_SEALING:
	case INSTALL_INGESTING:
	case INSTALL_ENDING:
	case INSTALL_RETRACTING:
	case INSTALL_ENDED:
		return false;
	}
	UNREACHABLE();
}

bool install_turn(struct engine *engine)
{
	bool more = false;
	LIST_FOR_EACH(node, &engine->installs)
	more = step(CONTAINER_OF(node, struct engine_install, node)) || more;
	return more;
}

/* ---- The end ---- */

void install_deliver(struct engine *engine)
{
	struct list over;
	list_init(&over);
	LIST_FOR_EACH_REMOVABLE(node, &engine->installs)
	{
		if (CONTAINER_OF(node, struct engine_install, node)->stage != INSTALL_ENDED)
			continue;
		list_remove(node);
		list_push_back(&over, node);
	}
	struct list_node *node;
	while ((node = list_pop_front(&over))) {
		struct engine_install *install = CONTAINER_OF(node, struct engine_install, node);
		struct engine_shard *shard = engine_shard_find(engine, install->shard);
		/* One that was recovered fenced no reads. */
		if (shard && !install->recovered)
			shard->fenced = false;
		void (*done)(void *arg, int result) = install->done;
		void *arg = install->arg;
		int result = install->error;
		install_free(install);
		if (done)
			done(arg, result);
	}
}

bool install_close(struct engine *engine)
{
	bool quiet = true;
	LIST_FOR_EACH(node, &engine->installs)
	{
		struct engine_install *install = CONTAINER_OF(node, struct engine_install, node);
		if (!install->is_mine)
			quiet = false;
		else if (!install->error)
			install->error = ERR_CANCELED;
	}
	return quiet;
}
