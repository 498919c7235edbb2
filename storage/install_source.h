/* What an install writes, in order of keys, for one store_write:
 *
 *   the shard's range                     what the store has and the file has not is deleted, what
 *                                         the file has is put
 *   KEY_STORE_SHARD | APPLIED | shard     the base; of a removal, its deletion
 *   KEY_STORE_SHARD | DAMAGED | shard     deleted
 *
 * Thread: the core's fills the struct, the offload pool runs it, or all of it at the opening.
 */
#ifndef KX_STORAGE_INSTALL_SOURCE_H
#define KX_STORAGE_INSTALL_SOURCE_H

#include <stdbool.h>

#include "storage/install_file.h"
#include "storage/log.h"

struct store;

struct install_write {
	struct fs *fs;
	struct store *store;
	const char *path;
	struct log_base hard; /* what the base says beside index and term */

	/* Results. */
	struct install_head head; /* as read from the file; zeros where that failed */
	int error;                /* 0; otherwise the store is as it was */
	bool file_bad;            /* because the file is not whole, or cannot be read */
	uint64_t puts, deletes;
};

/* Blocks. */
void install_write_run(struct install_write *write);

#endif
