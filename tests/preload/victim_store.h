/* What victims with a damaged store have in common: it is made, one table of it is damaged, and
 * what stands in it is looked at. Everything ends the process where it cannot be done. */
#ifndef KX_TESTS_PRELOAD_VICTIM_STORE_H
#define KX_TESTS_PRELOAD_VICTIM_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "storage/store.h"
#include "tests/preload/victim.h"

/* Of what is said to be durable. */
enum { SAID_DAMAGED, SAID_FIRST_LOST, SAID_LAST_LOST, SAID_DONE };

extern struct fs *victim_fs;
extern char victim_why[STORE_WHY_BYTES];

/* Opens the data directory. */
void victim_store_begin(const struct victim *victim);
/* The disk may fail or be full; what it held may not be damaged by that. */
void victim_must(const char *what, int error);
struct store_options victim_store_options(const char *dir, bool read_only);
bool victim_is_there(const char *path);
/* Does something beside the store for long enough that the power is likely to be cut behind what
 * was done to that. */
void victim_touch(void);

/* Makes the store in stores/db, with MODEL_KEYS keys in version 1, damages it, and says that it is
 * durable, and between which keys nothing can be read. */
void victim_make_damaged(struct victim *victim);

/* OLD: the damaged one. NEW: the keys from `first` to `last`, among which are the damaged ones, are
 * not there, and all others are. */
enum victim_state { VICTIM_OLD, VICTIM_NEW };
enum victim_state victim_state_of(
    const char *dir, const struct victim *victim, uint64_t first, uint64_t last);

#endif
