/* What a crash left of installs and removals: inside engine_open.
 *
 *   install_redo      the store is open, and nothing of it was read but the anchor: the directory's
 *                     names are made durable as they are, intents are ingested, everything else in
 *                     it goes
 *   install_judge     the log is open: which of them it has a record of already
 *   install_replayed  those that it has not get theirs
 *
 * The rest (until the record is durable, then the file's end) goes on while the engine runs. Rule:
 * no entry is appended for the shard before the file is gone. A restart that finds the file and not
 * the record, because the disk lost its frame, writes the record again, behind everything.
 *
 * An intent that cannot be ingested now (the disk is full, say): where the store shows that it was
 * not ingested before, it is dropped, and the old state is left. Where the store is at its index,
 * it was, or the shard was closed at just this index, and its state is the same: nothing is left to
 * be ingested. Only where that state is marked as damaged, or the intent's head cannot be read, the
 * shard is closed, and the intent stays, until another takes its place or a later opening succeeds.
 *
 * One of a removal whose range cannot be read is never dropped: the range goes without being read
 * (install_shed.c), or the shard is closed, and a later opening tries it again.
 *
 * An intent that another version wrote is neither ended nor dropped: the store is not opened.
 *
 * A shard whose log was damaged after its intent was made stays suspect where a vote may be lost
 * with that: the state replaces entries, and no votes.
 */
#include "base/assert.h"
#include "base/buffer.h"
#include "base/io/fs.h"
#include "base/log_line.h"
#include "storage/install_parts.h"

#include <stdio.h>
#include <string.h>

static const char INTENT_SUFFIX[] = ".intent";
enum { NUMBER_DIGITS = 8 };

/* The shard in "0000000a.intent". */
static bool parse_intent(const char *name, uint32_t *ret_shard)
{
	if (strlen(name) != NUMBER_DIGITS + sizeof(INTENT_SUFFIX) - 1 ||
	    strcmp(name + NUMBER_DIGITS, INTENT_SUFFIX) != 0)
		return false;
	uint32_t shard = 0;
	for (size_t i = 0; i < NUMBER_DIGITS; i++) {
		static const char digits[] = "0123456789abcdef";
		const char *digit = strchr(digits, name[i]);
		if (!digit)
			return false;
		shard = shard << 4 | (uint32_t)(digit - digits);
	}
	*ret_shard = shard;
	return shard < KEY_SHARDS_MAX;
}

/* What the store has of the shard; zeros: nothing. */
static int read_base(struct engine *engine, uint32_t shard, struct log_base *ret_base)
{
	uint8_t key[KEY_LISTED_BYTES];
	struct buffer value;
	*ret_base = (struct log_base){.index = 0};
	key_listed_put(key, KEY_KIND_APPLIED, shard);
	buffer_init(&value, RECORD_APPLIED_BYTES);
	int error = store_get(engine->store, slice_of(key, sizeof(key)), &value);
	if (!error)
		error = record_applied_decode(buffer_view(&value), ret_base);
	buffer_done(&value);
	return error == ERR_NOT_FOUND ? 0 : error;
}

static int drop_file(const struct engine *engine, const char *path)
{
	int error = fs_unlink(engine->options.fs, path);
	return error ? error : fs_sync_dir(engine->options.fs, engine->install_dir);
}

/* The intent's head, where it is whole and ours. */
static int read_head(const struct engine_install *install, struct install_head *ret_head)
{
	const struct engine *engine = install->engine;
	struct install_reader reader;
	int error = install_reader_open(engine->options.fs, install->intent, &reader);
	if (error)
		return error;
	*ret_head = reader.head;
	install_reader_close(&reader);
	bool ours =
	    ret_head->store == engine->options.store_id && ret_head->shard == install->shard;
	return ours ? 0 : ERR_CORRUPT;
}

/* Whether the store says that a part of the shard could not be read. */
static bool is_marked(struct engine *engine, uint32_t shard)
{
	uint8_t key[KEY_LISTED_BYTES];
	struct buffer value;
	key_listed_put(key, KEY_KIND_DAMAGED, shard);
	buffer_init(&value, RECORD_APPLIED_BYTES);
	int error = store_get(engine->store, slice_of(key, sizeof(key)), &value);
	buffer_done(&value);
	return error != ERR_NOT_FOUND;
}

/* It could not be ingested, now or ever. */
static int not_ingested(struct engine_install *install, const struct log_base *old, int error)
{
	struct engine *engine = install->engine;
	bool was_not =
	    install->kind == INSTALL_STATE ? old->index < install->head.index : old->index > 0;
	if (!was_not && old->term == install->head.term && !is_marked(engine, install->shard)) {
		install->stage = INSTALL_INGESTING;
		return 0;
	}
	LOG_LINE(LEVEL_WARNING, "install_not_redone", FIELD_TEXT("store", engine->dir),
	    FIELD_U64("group", install->shard), FIELD_ERROR("error", error),
	    FIELD_TEXT("left", was_not ? "the old state" : "a closed shard"));
	/* For install_judge. */
	install->error = error;
	install->keeps_file = !was_not;
	return was_not ? drop_file(engine, install->intent) : 0;
}

/* What is done again, or ended, in one opening. */
struct redo {
	struct engine *engine;
	bool has_anchor;
	char *why;
	size_t why_bytes;
};

/* A compaction may have met damage since the store was opened. Opened once more it begins none. */
static int write_once_more(const struct redo *redo, struct engine_install *install)
{
	struct engine *engine = redo->engine;
	store_close(engine->store);
	engine->store = NULL;
	int error = engine_store_open(engine, redo->why, redo->why_bytes);
	if (error)
		return error;
	install->write.store = engine->store;
	install_write_run(&install->write);
	return 0;
}

static int redo_one(const struct redo *redo, struct engine_install *install)
{
	struct engine *engine = install->engine;
	struct log_base old;
	int error = read_base(engine, install->shard, &old);
	if (error)
		return error;
	error = read_head(install, &install->head);
	/* What another version began is its own to end. */
	if (error == ERR_NOMEM || error == ERR_FORMAT)
		return error;
	if (error) {
		/* Of which state it is, nobody knows. */
		install->error = error;
		install->keeps_file = true;
		return 0;
	}
	install->kind = install->head.kind;
	if (install->kind == INSTALL_STATE && old.index > install->head.index) {
		/* It ended but for its file. */
		install->stage = INSTALL_RESETTING;
		return 0;
	}
	install->write = (struct install_write){
	    .fs = engine->options.fs, .store = engine->store, .path = install->intent, .hard = old};
	install_write_run(&install->write);
	if (install->write.error == ERR_AGAIN) {
		error = write_once_more(redo, install);
		if (error)
			return error;
	}
	if (install->write.error == ERR_NOMEM)
		return ERR_NOMEM;
	install->unreadable = install_is_unreadable(install);
	if (install->unreadable)
		return 0;
	if (install->write.error)
		return not_ingested(install, &old, install->write.error);
	install->stage = INSTALL_INGESTING;
	LOG_LINE(LEVEL_INFO, "install_redone", FIELD_TEXT("store", engine->dir),
	    FIELD_U64("group", install->shard), FIELD_U64("index", install->head.index),
	    FIELD_U64("term", install->head.term));
	return 0;
}

static int see_left(void *arg, const char *name, bool is_dir)
{
	const struct redo *redo = arg;
	struct engine *engine = redo->engine;
	uint32_t shard;
	if (is_dir)
		return 0;
	if (!redo->has_anchor || !parse_intent(name, &shard)) {
		char path[INSTALL_PATH_BYTES];
		int bytes = snprintf(path, sizeof(path), "%s/%s", engine->install_dir, name);
		return bytes < (int)sizeof(path) ? fs_unlink(engine->options.fs, path) : 0;
	}
	struct engine_install *install = install_new(engine, shard, INSTALL_STATE);
	if (!install)
		return ERR_NOMEM;
	install->recovered = true;
	install->has_intent = true;
	return redo_one(redo, install);
}

/* Again, when nothing is left that could not be read; or they are closed. */
static int end_unreadable(const struct redo *redo, bool shed)
{
	int error = 0;
	LIST_FOR_EACH(node, &redo->engine->installs)
	{
		struct engine_install *install = CONTAINER_OF(node, struct engine_install, node);
		if (!install->unreadable || error)
			continue;
		if (shed)
			error = redo_one(redo, install);
		if (install->unreadable)
			install->error = install->write.error;
	}
	return error;
}

int install_redo(struct engine *engine, bool has_anchor, char *why, size_t why_bytes)
{
	struct redo redo = {
	    .engine = engine, .has_anchor = has_anchor, .why = why, .why_bytes = why_bytes};
	/* A killed process may have given or taken a name that a power cut would still undo: an
	 * intent would be lost behind what it promised, or come back when it is long over. */
	int error = fs_sync_dir(engine->options.fs, engine->install_dir);
	if (!error)
		error = fs_list(engine->options.fs, engine->install_dir, see_left, &redo);
	if (error)
		return error;
	error = install_shed(engine, why, why_bytes);
	return engine->store ? end_unreadable(&redo, error == 0) : error;
}

/* ---- The log ---- */

static int close_broken(const struct engine_install *install)
{
	struct engine *engine = install->engine;
	bool of_store = install->error == ERR_CORRUPT || install->error == ERR_IO;
	if (!install->keeps_file && (install->write.file_bad || !of_store))
		return 0;
	struct engine_shard *shard = engine_shard_need(engine, install->shard, NULL);
	if (!shard)
		return ERR_NOMEM;
	/* What the log has of it is kept. */
	shard->suspect = shard->suspect || install->keeps_file;
	shard->goes = shard->stays = install->unreadable;
	engine_shard_close(engine, install->shard,
	    install->keeps_file ? "install cannot be ended" : "range unreadable", install->error);
	return 0;
}

static int judge_one(struct engine_install *install)
{
	struct engine *engine = install->engine;
	const struct install_head *head = &install->head;
	if (install->error) {
		int error = close_broken(install);
		install_free(install);
		return error;
	}
	install_hold(install);
	if (install->stage == INSTALL_RESETTING)
		return 0;
	if (log_was_reset(engine->log, install->shard, head->term, head->index, head->frame)) {
		install->stage = INSTALL_RESETTING;
		return 0;
	}
	struct engine_shard *shard = engine_shard_need(engine, install->shard, NULL);
	if (!shard)
		return ERR_NOMEM;
	/* Nothing of it is replayed. */
	shard->fenced = true;
	return 0;
}

int install_judge(struct engine *engine)
{
	int error = 0;
	LIST_FOR_EACH_REMOVABLE(node, &engine->installs)
	if (!error)
		error = judge_one(CONTAINER_OF(node, struct engine_install, node));
	return error;
}

void install_replayed(struct engine *engine)
{
	LIST_FOR_EACH(node, &engine->installs)
	{
		struct engine_install *install = CONTAINER_OF(node, struct engine_install, node);
		if (install->stage == INSTALL_RESETTING)
			continue;
		ASSERT(install->stage == INSTALL_INGESTING);
		install_append_reset(install);
		install->stage = INSTALL_RESETTING;
		struct engine_shard *shard = engine_shard_find(engine, install->shard);
		ASSERT(shard != NULL);
		shard->fenced = false;
		if (install->kind == INSTALL_REMOVAL)
			engine_shard_drop(engine, install->shard);
		else if (!log_group(engine->log, install->shard).suspect)
			engine_shard_reopen(engine, shard);
	}
}
