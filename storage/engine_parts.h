/* The inside of engine.h, shared by its files only:
 *
 *   engine.c          groups, appends, applies; the turn; closing; figures
 *   engine_recover.c  opening: store, bases, log, replay
 *   engine_load.c     reads
 *   engine_disk.c     free space and the reserve
 *   engine_damage.c   what of the store cannot be read
 *   engine_past.c     what the log has although it is not needed
 *   checkpoint.c      when and how a generation goes to the store
 *   checkpoint_source.c   what is written: the generation as the store takes it
 *   cursor.c          ordered reads
 *   install*.c        states of shards replaced or taken away: install_parts.h
 *
 * Everything belongs to the core's thread, except what checkpoint_source.c and cursor.c say they do
 * in the offload pool, and what a load's job reads into.
 */
#ifndef KX_STORAGE_ENGINE_PARTS_H
#define KX_STORAGE_ENGINE_PARTS_H

#include "base/buffer.h"
#include "base/hash_table.h"
#include "base/io/io.h"
#include "base/list.h"
#include "base/number_map.h"
#include "storage/batch.h"
#include "storage/checkpoint_source.h"
#include "storage/engine.h"
#include "storage/keys.h"
#include "storage/records.h"
#include "storage/store.h"

struct store;

enum {
	ENGINE_PATH_BYTES = 256,
	/* Of a thaw, in one turn: some 20 us. */
	ENGINE_THAW_ENTRIES = 256,
};

struct engine_shard {
	uint32_t number;
	bool suspect; /* so says the log: closed, and nothing of it is planned */
	bool closed;
	bool fenced;          /* its state is being replaced, or taken away */
	bool goes;            /* at the next opening: a removal stays begun until then */
	bool stays;           /* the opening could not take it away without reading it */
	uint32_t loads;       /* in the pool */
	uint64_t since;       /* of engine->states: tells states of it from one another */
	struct log_base base; /* as the store has it, from the start on */
};

/* ---- Checkpoints: see checkpoint.c ---- */

enum checkpoint_stage {
	CHECKPOINT_IDLE,
	CHECKPOINT_WRITING, /* in the offload pool */
	CHECKPOINT_WAITING, /* for space or memory, before the next attempt */
	CHECKPOINT_THAWING
};

struct checkpoint {
	enum checkpoint_stage stage;
	struct io_op op;
	struct io_timer retry;
	uint64_t retry_ms; /* what the next wait is; doubles */
	struct checkpoint_write write;
	bool wanted;
	bool anchored;      /* one of this process was written, with the log's anchor */
	bool releases;      /* the one under way has an anchor, up to which the log is released */
	bool is_last;       /* the one under way was begun after engine_close had drained the log */
	bool no_space;      /* the last attempt found none */
	uint64_t log_bytes; /* written to the log when the last one began */
	uint64_t begun_ns;
	uint64_t count, unchanged, entries, bytes, last_ms, retries;
};

/* ---- Free space: see engine_disk.c ---- */

struct disk_space {
	int error;
	uint64_t free_bytes, total_bytes;
	uint64_t compaction_bytes, compaction_pending;
	bool refuses_writes; /* the store */
};

struct disk {
	struct io_op op;
	struct io_timer timer;
	bool measuring;
	bool active;             /* something was written since the last measurement began */
	unsigned quiet_left;     /* measurements still to be made although nothing is */
	uint64_t measured_ns;    /* when the last one began */
	struct disk_space found; /* the job's */
	struct disk_space space; /* the last good one */
	uint64_t reserve_bytes;  /* as of the last turn */
	bool writable;           /* the same */
	bool decided;            /* there was one */
};

enum engine_closing {
	ENGINE_OPEN,
	ENGINE_INSTALLING,
	ENGINE_DRAINING,
	ENGINE_LAST_CHECKPOINT,
	ENGINE_CLOSED
};

struct engine {
	struct engine_options options; /* strings are copies; defaults filled in */
	char dir[ENGINE_PATH_BYTES];
	char log_dir[ENGINE_PATH_BYTES + 8];
	char store_dir[ENGINE_PATH_BYTES + 8];
	char install_dir[ENGINE_PATH_BYTES + 8];

	struct log *log;
	struct store *store;
	struct table *table;

	struct number_map shard_map;  /* number: struct engine_shard */
	struct engine_shard **shards; /* by number */
	size_t shard_count;
	size_t shard_capacity;
	uint64_t shards_closed;
	uint64_t states;

	struct list installs;
	unsigned installing; /* no checkpoint begins */
	uint64_t installs_done;

	struct checkpoint checkpoint;
	struct disk disk;

	struct hash_table load_jobs;
	struct list load_ready;           /* jobs whose key was known when they were asked for */
	struct engine_load *load_refused; /* their results are set */
	struct engine_load **load_refused_end;
	uint64_t loads, cached_reads;
	struct buffer cached; /* engine_get's result from the block cache */

	/* What is to be called from io_run, and not inside the call that caused it. */
	struct io_timer later;
	struct io_timer starving; /* runs while somebody is refused for want of memory */
	bool room_asked;          /* somebody was refused since `room` was called last */
	bool behind;              /* checkpoints do not keep up */

	uint64_t appended_ns; /* when the last entry was */
	bool appended;        /* since the last turn */
	struct io_timer idle;

	uint64_t ops; /* under way in io */
	bool freeing; /* engine_free waits for them */
	bool replaying;
	bool wants_reopening; /* see engine_options */
	uint64_t cursors;

	enum engine_closing closing;
	void (*closed)(void *arg);
	void *closed_arg;
};

/* ---- engine.c ---- */

void engine_init(struct engine *engine); /* what needs no files; of zeroed memory */
/* The idle time begins anew. */
void engine_note_activity(struct engine *engine);

static inline struct engine_shard *engine_shard_find(const struct engine *engine, uint32_t shard)
{
	return number_map_get(&engine->shard_map, shard);
}
/* Finds or makes. NULL: ERR_NOMEM. */
struct engine_shard *engine_shard_need(
    struct engine *engine, uint32_t shard, const struct log_base *base);
/* Nothing is served of the shard any more. `why` for the log line. */
void engine_shard_close(struct engine *engine, uint32_t shard, const char *why, int error);
/* It is not closed any more, and what was read of it before says nothing of it. */
void engine_shard_reopen(struct engine *engine, struct engine_shard *shard);
/* See engine_options.wants_reopening. `why` for the log line. */
void engine_want_reopening(struct engine *engine, const char *why);
/* The engine forgets it. */
void engine_shard_drop(struct engine *engine, uint32_t number);
/* Whether it may be read. */
static inline bool engine_shard_shut(const struct engine_shard *shard)
{
	return shard->closed || shard->fenced;
}
/* Lets `later` fire in the next io_run. */
void engine_call_later(struct engine *engine);
/* The key with its shard, in `data`. */
struct slice engine_full_key(
    uint8_t data[KEY_SHARD_BYTES + BATCH_KEY_BYTES_MAX], uint32_t shard, struct slice key);

/* After a step that engine_close may have waited for. */
void engine_close_goes_on(struct engine *engine);

static inline void engine_op_begin(struct engine *engine)
{
	engine->ops++;
}
/* At the begin of a `done`. False: the engine is being freed, so nothing goes on from here. */
bool engine_op_end(struct engine *engine);

/* ---- engine_recover.c ---- */

/* Takes from the log whether the shard is suspect. */
void engine_shard_judge(struct engine *engine, struct engine_shard *shard);
struct store_options engine_store_options(const struct engine *engine);
/* Errors and `why` as store_open. */
NODISCARD int engine_store_open(struct engine *engine, char *why, size_t why_bytes);

/* ---- engine_damage.c ---- */

/* Ascending, but while it is being filled. Zeroed it is empty. */
struct shard_list {
	uint32_t *shards;
	size_t count, capacity;
};
NODISCARD int shard_list_add(struct shard_list *list, uint32_t shard); /* ERR_NOMEM */
void shard_list_sort(struct shard_list *list);
bool shard_list_has(const struct shard_list *list, uint32_t shard);
void shard_list_done(struct shard_list *list);

/* UNKNOWN: not all was looked at, or not all that was found is marked. DIRECTORY: in it alone, and
 * it was spared. */
enum engine_found {
	ENGINE_FOUND_UNKNOWN,
	ENGINE_FOUND_NOTHING,
	ENGINE_FOUND_DIRECTORY,
	ENGINE_FOUND_SHARDS
};
/* Reads all that the store has of each shard, and marks as closed those of which not all can be
 * read (KEY_KIND_DAMAGED); but those in `except`. The directory is spared where that is said. Says
 * what it found. */
enum engine_found engine_mark_damaged(
    struct engine *engine, const struct shard_list *except, bool spares_directory);
/* Adds those that are marked. */
NODISCARD int engine_list_marked(struct engine *engine, struct shard_list *marked);
/* Where a compaction met damage. With an error engine->store is NULL: it could not be opened again,
 * and `why` says so. */
NODISCARD int engine_look_for_damage(struct engine *engine, char *why, size_t why_bytes);

/* ---- checkpoint.c ---- */

void checkpoint_init(struct engine *engine);
/* Begins one where it is due, thaws a part. True: more is left for the next turn. */
bool checkpoint_turn(struct engine *engine);
/* Inside engine_open, before anything is appended: freezes what was applied so far and writes it,
 * blocking. The log is not released: it is being replayed. */
NODISCARD int checkpoint_now(struct engine *engine);
/* The first anchor of a new store. Blocks. */
NODISCARD int checkpoint_first(struct engine *engine);
void checkpoint_done(struct engine *engine);

/* ---- engine_disk.c ---- */

void engine_disk_init(struct engine *engine);
/* Decides from the last measurement, and begins one where it is due. `active`: something was
 * appended in this turn. */
void engine_disk_turn(struct engine *engine, bool active);
NODISCARD int engine_disk_measure_now(struct engine *engine); /* blocks */

/* ---- install.c, install_steps.c, install_recover.c, install_shed.c ---- */

void install_init(struct engine *engine);
void install_done(struct engine *engine);
/* True: more is left for the next turn. */
bool install_turn(struct engine *engine);
void install_deliver(struct engine *engine); /* from `later` */
/* Nothing more is begun. True: nothing is under way. */
bool install_close(struct engine *engine);
/* Inside engine_open. What a crash left: into the store, before anything of that is read. Without
 * an anchor, the store is new, and what is left is another one's. ERR_NOMEM, ERR_IO ... With an
 * error and without engine->store that could not be opened again, and `why` says so. */
NODISCARD int install_redo(struct engine *engine, bool has_anchor, char *why, size_t why_bytes);
/* The log is open; nothing was replayed. */
NODISCARD int install_judge(struct engine *engine);
void install_replayed(struct engine *engine);
/* Whether what a crash left of one, or of a removal, has not come to its end yet. */
bool install_is_recovered(const struct engine *engine, uint32_t shard);

/* ---- engine_load.c ---- */

void load_init(struct engine *engine);
void load_deliver(struct engine *engine); /* from `later` */
void load_done(struct engine *engine);

#endif
