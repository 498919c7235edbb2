/* A store that is made beside another one and takes its place: what store_repair (store_tool.h) and
 * store_shed (store.h) share. Both stand in the same directory. Blocks; one thread. */
#ifndef KX_STORAGE_STORE_ROCKSDB_BESIDE_H
#define KX_STORAGE_STORE_ROCKSDB_BESIDE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "storage/store.h"

struct store_beside {
	const struct store_options *options; /* of the one whose place it is */
	char *why;                           /* what is wrong, after each error */
	size_t why_bytes;
};

/* What the source gives becomes the store in `dir`, which is not there yet, and is read back from
 * the disk. Its names are durable, its own is not. The source's error is as it is; it may have said
 * why. *ret_keys: how many there are. */
NODISCARD int store_beside_write(const struct store_beside *beside, const char *dir,
    struct store_source *source, uint64_t *ret_keys);
/* A store that may be there, or half there, or not. */
NODISCARD int store_beside_remove(const struct store_beside *beside, const char *dir);
/* Both get the other's name, in one step. ERR_UNSUPPORTED: the file system cannot do that. */
NODISCARD int store_beside_exchange(const struct store_beside *beside, const char *dir);
/* The directory that both stand in. */
NODISCARD int store_beside_sync(const struct store_beside *beside);

#endif
