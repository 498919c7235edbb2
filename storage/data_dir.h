/* A data directory: what stands where, who may use it, and what it is.
 *
 *   lock            held exclusively by the one process that uses the directory (kalixd, or an
 * offline tool) identity        format version, random id of the directory, number of stores;
 * written last, once, when it is made stores/000/     log/ and db/ of one store; their number never
 * changes
 *
 * A directory without `identity` was never finished: it is made anew if it is empty but for what
 * making it leaves, otherwise refused.
 */
#ifndef KX_STORAGE_DATA_DIR_H
#define KX_STORAGE_DATA_DIR_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct data_dir;
struct fs;

struct data_identity {
	uint64_t id[2];
	uint32_t stores;
};

/* Opens, and where it is empty or absent and `stores_if_new` is not 0, makes. `fs` is its root.
 * `why` (at least 512 bytes) says in words what is wrong and what to do. ERR_BUSY, ERR_FORMAT,
 * ERR_CORRUPT, ERR_NOT_FOUND, ERR_EXISTS (something else's files). */
NODISCARD int data_dir_open(struct fs *fs, uint32_t stores_if_new, const uint64_t new_id[2],
    char *why, size_t why_bytes, struct data_dir **ret_dir);
void data_dir_close(struct data_dir *dir); /* NULL-safe */
struct data_identity data_dir_identity(const struct data_dir *dir);
/* "stores/000"; the id that frames of its log carry. */
void data_dir_store_path(const struct data_dir *dir, uint32_t store, char *path, size_t path_bytes);
uint64_t data_dir_store_id(const struct data_dir *dir, uint32_t store);

#endif
