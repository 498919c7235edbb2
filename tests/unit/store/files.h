/* The files of a store on RocksDB in "db", and what tests do to them. Everything fails the test
 * where it cannot be done. */
#ifndef KX_TESTS_UNIT_STORE_FILES_H
#define KX_TESTS_UNIT_STORE_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "storage/store.h"
#include "tests/unit/store/source.h"

/* Of the last opening. */
extern char files_why[STORE_WHY_BYTES];

/* A fixture: an empty machine with an empty "db". */
void files_setup(void);

int files_try_open(struct store **ret_store);
struct store *files_open_store(void);
/* Takes the store from one state to another. */
void files_write(struct store *store, const struct model *from, const struct model *to);

struct files {
	char names[64][32]; /* relative to the root */
	size_t count;
};
/* All tables, by number. */
struct files files_tables(void);
uint64_t files_size(const char *path);
/* Changes one bit; a second call puts it back. */
void files_flip(const char *path, uint64_t offset);
/* Of sizes and times of everything in "db". */
uint64_t files_digest(void);

/* Two tables without common keys, the first of them with the lower half. Compactions are off: they
 * would make other tables of them, or stop on the damage to come. */
struct model files_make_two_tables(void);
/* Another table over all of them: of every key a newer value, or its deletion. */
struct model files_make_newer(const struct model *model);

#endif
