/* Opening: the store says where each group stands and where the log begins; the log is recovered
 * from there; what it holds above the groups' bases is replayed.
 *
 *   make directories -> open store -> anchor, bases, damaged shards -> open log -> judge every
 *   group
 *     -> replay -> (a new store: first anchor)
 *
 * Snapshots whose install a crash cut off are ended on the way (install_recover.c).
 *
 * A store without an anchor is one that was just being made: the first anchor is written after the
 * log's first life is durable and before anything is appended. So a store that was lost, or
 * exchanged for an empty one, is told from a new one by the log, which then has records.
 */
#include "base/assert.h"
#include "base/io/fs.h"
#include "base/limits.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "base/mutation.h"
#include "storage/engine_parts.h"

#include <stdio.h>
#include <string.h>

enum { RECORD_BYTES_MAX = 256 };

struct opening {
	struct engine *engine;
	struct engine_report *report;
	char *why;
	size_t why_bytes;
	struct log_anchor anchor;
	bool has_anchor;
};

static int fail(const struct opening *opening, int error, const char *what)
{
	snprintf(opening->why, opening->why_bytes, "%s: %s: %s; %s", opening->engine->dir, what,
	    error_text(error), error_advice(error));
	return error;
}

/* The store's own records, which all else hangs on. Another block of it would be of shards. */
static int fail_own(const struct opening *opening, int error, const char *what)
{
	if (error != ERR_CORRUPT && error != ERR_IO)
		return fail(opening, error, what);
	snprintf(opening->why, opening->why_bytes,
	    "%s/db: %s: %s; kalix-admin store verify says in which file; no repair goes on without "
	    "it: restore a backup",
	    opening->engine->dir, what, error_text(error));
	return error;
}

/* ---- Options and directories ---- */

static void default_u64(uint64_t *option, uint64_t value)
{
	if (*option == 0)
		*option = value;
}

static void default_u32(uint32_t *option, uint64_t value)
{
	if (*option == 0)
		*option = (uint32_t)value;
}

static void take_options(struct engine *engine, const struct engine_options *from)
{
	struct engine_options *options = &engine->options;
	*options = *from;
	options->dir = engine->dir;
	default_u64(&options->segment_bytes, SEGMENT_BYTES_DEFAULT);
	default_u64(&options->first_segment_bytes, SEGMENT_FIRST_BYTES_DEFAULT);
	default_u64(&options->replay_bytes_max, REPLAY_BYTES_MAX_DEFAULT);
	default_u64(&options->dirty_bytes_max, DIRTY_BYTES_MAX_DEFAULT);
	default_u64(&options->clean_bytes_max, CLEAN_BYTES_MAX_DEFAULT);
	default_u64(&options->block_cache_bytes, BLOCK_CACHE_BYTES_DEFAULT);
	default_u64(&options->frame_soon_ns, FRAME_SOON_NS_DEFAULT);
	default_u32(&options->frames_in_flight_max, FRAMES_IN_FLIGHT_DEFAULT);
	default_u32(&options->frame_bytes_max, FRAME_BYTES_MAX);
	default_u32(&options->watermark_delay_ms, WATERMARK_DELAY_MS_DEFAULT);
	default_u32(&options->idle_ms, CHECKPOINT_IDLE_MS_DEFAULT);
}

/* A name is durable when its directory was synced; the store and the log rely on theirs. */
static int make_directories(struct engine *engine)
{
	struct fs *fs = engine->options.fs;
	char parent[ENGINE_PATH_BYTES];
	memcpy(parent, engine->dir, sizeof(parent));
	char *slash = strrchr(parent, '/');
	if (slash)
		*slash = '\0';
	int error = fs_make_dir(fs, engine->dir);
	if (!error)
		error = fs_make_dir(fs, engine->log_dir);
	if (!error)
		error = fs_make_dir(fs, engine->store_dir);
	if (!error)
		error = fs_make_dir(fs, engine->install_dir);
	if (!error)
		error = fs_sync_dir(fs, engine->dir);
	if (!error)
		error = fs_sync_dir(fs, slash ? parent : ".");
	return error;
}

/* ---- What the store says ---- */

static int read_anchor(struct opening *opening)
{
	struct engine *engine = opening->engine;
	uint8_t key[KEY_OWN_BYTES];
	struct buffer value;
	struct record_anchor anchor = {.store = 0}; /* gcc does not see that it is written */
	key_own_put(key, KEY_KIND_ANCHOR);
	buffer_init(&value, RECORD_BYTES_MAX);
	int error = store_get(engine->store, slice_of(key, sizeof(key)), &value);
	if (!error) {
		opening->has_anchor = true;
		error = record_anchor_decode(buffer_view(&value), &anchor);
	} else if (error == ERR_NOT_FOUND) {
		error = 0;
	}
	buffer_done(&value);
	if (error)
		return fail_own(opening, error, "the store's anchor cannot be read");
	if (!opening->has_anchor)
		return 0;
	if (anchor.store != engine->options.store_id)
		return fail(opening, ERR_FOREIGN, "the store is another one's");
	opening->anchor = anchor.log;
	return 0;
}

static int take_base(struct engine *engine, struct slice key, struct slice value)
{
	uint32_t number;
	struct log_base base;
	int error = key_listed_get(key, KEY_KIND_APPLIED, &number);
	if (!error)
		error = record_applied_decode(value, &base);
	if (error)
		return error;
	/* Breaks: what is applied already is not applied again. */
	if (MUTATION(engine_replay_applies_below_base) && base.index > 0)
		base.index--;
	return engine_shard_need(engine, number, &base) ? 0 : ERR_NOMEM;
}

static int take_damaged(struct engine *engine, struct slice key)
{
	uint32_t number;
	int error = key_listed_get(key, KEY_KIND_DAMAGED, &number);
	if (error)
		return error;
	if (!engine_shard_need(engine, number, NULL))
		return ERR_NOMEM;
	engine_shard_close(engine, number, "damaged earlier", ERR_CORRUPT);
	return 0;
}

/* The store's own keys of one kind; `kind` is KEY_KIND_APPLIED or KEY_KIND_DAMAGED. */
static int read_listed(struct engine *engine, enum key_kind kind)
{
	uint8_t first[KEY_OWN_BYTES];
	uint8_t end[KEY_OWN_BYTES];
	key_own_put(first, kind);
	key_own_put(end, (enum key_kind)(kind + 1));
	struct store_cursor *cursor;
	int error = store_cursor_open(engine->store, NULL, slice_of(first, sizeof(first)),
	    slice_of(end, sizeof(end)), &cursor);
	if (error)
		return error;
	struct slice key;
	struct slice value;
	while ((error = store_cursor_next(cursor, &key, &value)) == 0) {
		error = kind == KEY_KIND_APPLIED ? take_base(engine, key, value)
		                                 : take_damaged(engine, key);
		if (error)
			break;
	}
	store_cursor_close(cursor);
	return error == ERR_NOT_FOUND ? 0 : error;
}

struct store_options engine_store_options(const struct engine *engine)
{
	return (struct store_options){
	    .fs = engine->options.fs,
	    .root = engine->options.root,
	    .dir = engine->store_dir,
	    .block_cache_bytes = engine->options.block_cache_bytes,
	};
}

int engine_store_open(struct engine *engine, char *why, size_t why_bytes)
{
	struct store_options options = engine_store_options(engine);
	return store_open(&options, why, why_bytes, &engine->store);
}

static int open_store(struct opening *opening)
{
	struct engine *engine = opening->engine;
	int error = engine_store_open(engine, opening->why, opening->why_bytes);
	if (error)
		return error;
	error = read_anchor(opening);
	if (error)
		return error;
	error = install_redo(engine, opening->has_anchor, opening->why, opening->why_bytes);
	if (error == ERR_FORMAT)
		return fail(opening, error,
		    "another version of Kalix began an install here (below install/), which only "
		    "that can end");
	/* The store that it opened anew has said why. */
	if (error && !engine->store)
		return error;
	if (error)
		return fail(opening, error, "what a snapshot's install left (below install/)");
	error = engine_look_for_damage(engine, opening->why, opening->why_bytes);
	if (error)
		return error;
	error = read_listed(engine, KEY_KIND_APPLIED);
	if (!error)
		error = read_listed(engine, KEY_KIND_DAMAGED);
	if (error)
		return fail_own(opening, error, "the store's list of shards cannot be read");
	if (!opening->has_anchor && engine->shard_count > 0)
		return fail(opening, ERR_CORRUPT, "the store has shards and no anchor");
	return 0;
}

/* ---- What the log says ---- */

static struct log_base base_of(void *arg, uint32_t group)
{
	const struct engine *engine = arg;
	const struct engine_shard *shard = engine_shard_find(engine, group);
	return shard ? shard->base : (struct log_base){0};
}

void engine_shard_judge(struct engine *engine, struct engine_shard *shard)
{
	/* Breaks: what may lack something durable is not served. */
	if (!log_group(engine->log, shard->number).suspect || MUTATION(engine_suspect_shard_served))
		return;
	shard->suspect = true;
	engine_shard_close(engine, shard->number, "log damaged", ERR_DATA_LOSS);
}

struct meeting {
	struct engine *engine;
	bool failed;
};

static void meet(void *arg, uint32_t group)
{
	struct meeting *meeting = arg;
	if (!engine_shard_need(meeting->engine, group, NULL))
		meeting->failed = true;
}

static int open_log(struct opening *opening)
{
	struct engine *engine = opening->engine;
	struct log_options options = {
	    .fs = engine->options.fs,
	    .io = engine->options.io,
	    .dir = engine->log_dir,
	    .store = engine->options.store_id,
	    .anchor = opening->anchor,
	    .base = base_of,
	    .base_arg = engine,
	    .segment_bytes = engine->options.segment_bytes,
	    .first_segment_bytes = engine->options.first_segment_bytes,
	    .frames_in_flight_max = engine->options.frames_in_flight_max,
	    .frame_soon_ns = engine->options.frame_soon_ns,
	    .frame_bytes_max = engine->options.frame_bytes_max,
	    .watermark_delay_ms = engine->options.watermark_delay_ms,
	    .durable = engine->options.durable,
	    .room = engine->options.room,
	    .arg = engine->options.arg,
	};
	int error = log_open(&options, &engine->log, &opening->report->log);
	if (error == ERR_CORRUPT)
		return fail(opening, error,
		    "the log has records and the store knows nothing of it: it was lost, or "
		    "exchanged");
	if (error)
		return fail(opening, error, "the log (below log/) cannot be opened");
	for (size_t i = 0; i < engine->shard_count; i++)
		engine_shard_judge(engine, engine->shards[i]);
	struct meeting meeting = {.engine = engine};
	log_each_group(engine->log, meet, &meeting);
	error = install_judge(engine);
	return meeting.failed || error ? fail(opening, ERR_NOMEM, "the log's groups") : 0;
}

static int replay_record(void *arg, const struct log_record *record)
{
	struct opening *opening = arg;
	struct engine *engine = opening->engine;
	const struct engine_shard *shard = engine_shard_find(engine, record->group);
	ASSERT(shard && record->kind == LOG_ENTRY);
	if (engine_shard_shut(shard) || record->index <= shard->base.index)
		return 0;
	opening->report->replayed_entries++;
	opening->report->replayed_bytes += record->payload.bytes;
	/* Breaks: nothing that was acknowledged is left out. */
	if (record->index % 16 == 15 && MUTATION(engine_replay_skips_entry))
		return 0;
	int error = engine->options.replay(engine->options.arg, engine, record);
	if (error)
		return error;
	if (table_figures(engine->table).dirty_bytes >= engine->options.dirty_bytes_max)
		return checkpoint_now(engine);
	return 0;
}

static int replay(struct opening *opening)
{
	struct engine *engine = opening->engine;
	engine->replaying = true;
	int error = log_replay(engine->log, replay_record, opening);
	engine->replaying = false;
	if (!error)
		install_replayed(engine);
	return error ? fail(opening, error, "the log cannot be replayed") : 0;
}

/* ---- All of it ---- */

static int open_parts(struct opening *opening)
{
	struct engine *engine = opening->engine;
	struct table_options table = {
	    .clean_bytes_max = engine->options.clean_bytes_max,
	    .hash_seed = engine->options.hash_seed,
	};
	int error = table_new(&table, &engine->table);
	if (!error)
		error = make_directories(engine);
	if (error == ERR_EXISTS) {
		snprintf(opening->why, opening->why_bytes,
		    "%s: a file stands where this directory, log or db in it belongs: move it away",
		    engine->dir);
		return ERR_NOT_DIRECTORY;
	}
	if (error)
		return fail(opening, error, "its directories cannot be made");
	error = open_store(opening);
	if (!error)
		error = open_log(opening);
	if (error)
		return error;
	checkpoint_init(engine);
	error = replay(opening);
	if (error)
		return error;
	if (!opening->has_anchor) {
		error = checkpoint_first(engine);
		if (error)
			return fail(opening, error, "the first anchor cannot be written");
	}
	/* What a restart would have to replay counts as written since the last checkpoint. */
	struct log_figures log = log_figures(engine->log);
	engine->checkpoint.log_bytes = log.frame_bytes - log.needed_bytes;
	engine_note_activity(engine);
	error = engine_disk_measure_now(engine);
	return error ? fail(opening, error, "free space cannot be measured") : 0;
}

int engine_open(const struct engine_options *options, char *why, size_t why_bytes,
    struct engine **ret_engine, struct engine_report *ret_report)
{
	ASSERT(options->store_id != 0 && options->replay && options->durable);
	struct engine *engine = mem_zalloc(1, sizeof(*engine));
	if (!engine) {
		snprintf(why, why_bytes, "%s: out of memory", options->dir);
		return ERR_NOMEM;
	}
	ASSERT(strlen(options->dir) < sizeof(engine->dir));
	snprintf(engine->dir, sizeof(engine->dir), "%s", options->dir);
	snprintf(engine->log_dir, sizeof(engine->log_dir), "%s/log", options->dir);
	snprintf(engine->store_dir, sizeof(engine->store_dir), "%s/db", options->dir);
	snprintf(engine->install_dir, sizeof(engine->install_dir), "%s/install", options->dir);
	take_options(engine, options);
	engine_init(engine);
	load_init(engine);
	engine_disk_init(engine);
	struct engine_report report = {.shards = 0};
	struct opening opening = {
	    .engine = engine, .report = &report, .why = why, .why_bytes = why_bytes};
	int error = open_parts(&opening);
	if (error) {
		engine_free(engine);
		return error;
	}
	store_settled(engine->store);
	report.shards = engine->shard_count;
	report.shards_closed = engine->shards_closed;
	*ret_engine = engine;
	*ret_report = report;
	return 0;
}

void engine_make_room(struct fs *fs, const char *root, const char *dir)
{
	char store_dir[ENGINE_PATH_BYTES + 8];
	bool made;
	snprintf(store_dir, sizeof(store_dir), "%s/db", dir);
	struct store_options options = {.fs = fs, .root = root, .dir = store_dir};
	int error = store_shed_make_room(&options, &made);
	if (error || made)
		LOG_LINE(LEVEL_WARNING, "unfinished_copy_removed", FIELD_TEXT("store", dir),
		    FIELD_ERROR("error", error));
}
