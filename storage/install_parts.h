/* The inside of install.h, shared by its files only:
 *
 *   install.c          what comes in: blocks on their way to the file; beginnings and ends
 *   install_steps.c    from the fence to the end
 *   install_recover.c  what a crash left: inside engine_open
 *   install_shed.c     the same, where the range of a removal cannot be read
 *   install_file.c     the file; install_source.c: what of it is written to the store
 *
 *   RECEIVING -finish-> WAITING -> CLEARING -> SEALING -> INGESTING -> RESETTING -> ENDING -> ENDED
 *       |                  |          |           |           |
 *       +---- cancel ------+-- error -+-----------+-----------+--> RETRACTING ----------> ENDED
 *
 * One at a time is between CLEARING and ENDED (after a crash they may be several), and no
 * checkpoint begins meanwhile (engine->installing): store_write takes one after another, and the
 * log must not be released between what the store has and what the log says of it.
 */
#ifndef KX_STORAGE_INSTALL_PARTS_H
#define KX_STORAGE_INSTALL_PARTS_H

#include "storage/engine_parts.h"
#include "storage/install.h"
#include "storage/install_source.h"

enum {
	INSTALL_BLOCK_BYTES = 256 * 1024,
	INSTALL_PATH_BYTES = ENGINE_PATH_BYTES + 32,
	INSTALL_CLEAR_ENTRIES = 512, /* of the table, in one turn */
};

enum install_stage {
	INSTALL_RECEIVING,
	INSTALL_WAITING,    /* for what was begun before, and for its turn */
	INSTALL_CLEARING,   /* the table drops what it has of the shard */
	INSTALL_SEALING,    /* in the pool: the file becomes the intent */
	INSTALL_INGESTING,  /* in the pool: into the store */
	INSTALL_RESETTING,  /* until the log's record is durable */
	INSTALL_ENDING,     /* in the pool: the file goes */
	INSTALL_RETRACTING, /* in the pool: the file goes, and nothing changed */
	INSTALL_ENDED       /* until `done` was called */
};

struct install_block {
	uint8_t *data;
	uint32_t capacity;
	uint32_t bytes; /* of pairs, behind the head */
	uint32_t pairs;
};

struct engine_install {
	struct list_node node; /* in engine->installs */
	struct engine *engine;
	struct engine_install_options options;
	enum install_kind kind;
	uint32_t shard;
	enum install_stage stage;
	int error;
	bool is_mine;    /* the caller's: between begin and finish or cancel */
	bool holds;      /* counted in engine->installing */
	bool recovered;  /* begun before a crash: nobody waits for it */
	bool keeps_file; /* of one recovered with an error */
	bool has_intent; /* the file of that name is its own: no earlier one needs it */
	bool unreadable; /* of a removal: its range, and the file stays */
	char part[INSTALL_PATH_BYTES];
	char intent[INSTALL_PATH_BYTES];

	/* What comes in. */
	struct install_block blocks[2];
	unsigned filling; /* the other one is being written, or empty */
	bool writing;
	bool room_wanted;
	struct fs_file *file;
	struct install_head head;
	uint32_t key_bytes; /* of the last one put; 0: none */
	uint8_t key[INSTALL_KEY_BYTES_MAX];

	/* In the pool; the core leaves alone what the job uses. */
	struct io_op op;
	int job_error;
	struct install_write write;

	uint64_t reset_frame;
	void (*done)(void *arg, int result);
	void *arg;
};

/* ---- install.c ---- */

/* In the engine's list, receiving. NULL: ERR_NOMEM. */
struct engine_install *install_new(struct engine *engine, uint32_t shard, enum install_kind kind);
void install_free(struct engine_install *install);
/* Runs in the pool; then `done`, unless the engine is being freed. */
void install_job(
    struct engine_install *install, void (*run)(struct io_op *op), void (*done)(struct io_op *op));
static inline struct engine_install *install_of(struct io_op *op)
{
	return CONTAINER_OF(op, struct engine_install, op);
}
/* For the pool: the block to the file, which is made where it is not open. */
int install_write_block(struct engine_install *install, struct install_block *block);

/* The store is as it was, because what is to be deleted cannot be read: see install.h. */
static inline bool install_is_unreadable(const struct engine_install *install)
{
	const struct install_write *write = &install->write;
	return install->kind == INSTALL_REMOVAL && !write->file_bad &&
	       (write->error == ERR_CORRUPT || write->error == ERR_IO);
}

/* ---- install_shed.c ---- */

/* With 0 nothing is left of the shards of all that are `unreadable`, nor was it if there are none;
 * and where one of them is the directory's, nothing unreadable of shards that are marked.
 * Otherwise the store is as it was, and what hindered it was said; or it could not be opened again
 * (engine->store is NULL), and `why` says that. */
NODISCARD int install_shed(struct engine *engine, char *why, size_t why_bytes);

/* ---- install_steps.c ---- */

/* It is the one: see above. */
void install_hold(struct engine_install *install);
void install_retract(struct engine_install *install, int error);
/* What the log says of the shard once the store has what was installed. */
void install_append_reset(struct engine_install *install);

#endif
