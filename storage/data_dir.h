/* A data directory: what stands where, who may use it, and what it is.
 *
 *   lock        held exclusively by the one process that uses the directory (kalixd, or an offline
 *               tool); its text is that process's number
 *   identity    format version, random id of the directory, number of stores; written last, once,
 *               when the directory is made
 *   stores/000  one directory per store, for its engine (storage/engine.h); their number never
 *               changes
 *
 * identity, integers little-endian:
 *
 *   offset bytes  field
 *        0     8  magic "KXIDENT\n"
 *        8     4  format version (DATA_DIR_FORMAT)
 *       12     4  number of stores
 *       16    16  id, two u64
 *       32     8  XXH3-64 of all bytes before it; the last 8 bytes of the file in every format, so
 *                 that a newer format is told from damage
 *
 * A directory without `identity` was never finished: it is made anew if it is empty but for what
 * making it leaves (lock, identity.tmp, directories in stores/ that are still empty), otherwise
 * refused. So a crash while it is made leaves one that is made anew or a finished one, and a lost
 * `identity` never turns data into an empty store.
 */
#ifndef KX_STORAGE_DATA_DIR_H
#define KX_STORAGE_DATA_DIR_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define DATA_DIR_FORMAT     1
#define DATA_DIR_STORES_MAX 1000
#define DATA_DIR_WHY_BYTES  512
#define DATA_DIR_PATH_BYTES 32

struct data_dir;
struct fs;

struct data_identity {
	uint64_t id[2];
	uint32_t stores; /* 1 to DATA_DIR_STORES_MAX */
};

/* Opens, and where it is empty and `stores_if_new` (at most DATA_DIR_STORES_MAX) is not 0, makes it
 * with the id `new_id` (which may be NULL otherwise). `fs` is its root and must outlive it. `why`
 * (at least DATA_DIR_WHY_BYTES) says on failure in words what is wrong and what to do. Nothing is
 * changed before the directory is known to be ours or to be made.
 *
 *   ERR_BUSY        another process uses it
 *   ERR_NOT_FOUND   no Kalix data directory, and none is to be made
 *   ERR_EXISTS      not a Kalix data directory: it holds other files
 *   ERR_FORMAT      made by a newer version
 *   ERR_CORRUPT     identity damaged, or gone while there is data, or a store's directory is gone
 *   ERR_PERMISSION, ERR_NO_SPACE, ERR_IO, ERR_NOMEM
 *
 * Blocks; one thread. */
NODISCARD int data_dir_open(struct fs *fs, uint32_t stores_if_new, const uint64_t new_id[2],
    char *why, size_t why_bytes, struct data_dir **ret_dir);
void data_dir_close(struct data_dir *dir); /* NULL-safe */

/* Any thread, until data_dir_close. */
struct data_identity data_dir_identity(const struct data_dir *dir);
/* "stores/000"; path_bytes at least DATA_DIR_PATH_BYTES. */
void data_dir_store_path(const struct data_dir *dir, uint32_t store, char *path, size_t path_bytes);
/* The id that the frames of its log carry: never 0, fixed for ever. */
uint64_t data_dir_store_id(const struct data_dir *dir, uint32_t store);

#endif
