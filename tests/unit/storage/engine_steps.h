/* One world, one engine, and the steps that tests of the engine are made of. Each step goes on
 * until what it says has happened, and fails where it cannot. */
#ifndef KX_TESTS_UNIT_STORAGE_ENGINE_STEPS_H
#define KX_TESTS_UNIT_STORAGE_ENGINE_STEPS_H

#include "storage/batch.h"
#include "tests/unit/storage/engine_world.h"

extern struct engine_world world; /* without faults */

void steps_setup(void);
void steps_teardown(void);

static inline struct slice text(const char *from)
{
	return slice_from_text(from);
}

static const struct slice all = {NULL, 0}; /* as a cursor's bound: none */

void boot(void);
void kill_and_boot(void);

/* ---- Appending: `batch` is filled after begin_batch, then goes to the group of that place ---- */

extern struct writer batch;
extern struct world_group *group; /* that of the last step */
extern int append_error;
void begin_batch(void);
void append(size_t number);     /* and settles */
void try_append(size_t number); /* sets append_error */
void put(size_t number, const char *key, const char *value);

/* ---- Checkpoints ---- */

extern uint64_t checkpoints_wanted;
void ask_checkpoint(struct engine_world *inside);
bool checkpointed(const struct engine_world *inside); /* as many as wanted */
void checkpoint(void);                                /* one, thawed */

/* ---- Loads: `loads_wanted` at once of one key; each result, and what the last found ---- */

extern size_t loads_wanted;
extern int load_results[3];
extern enum table_found load_found;
extern char load_value[64];
int load(size_t number, const char *key); /* the first's result */
void all_cold(void);                      /* the block cache knows nothing from now on */

#endif
