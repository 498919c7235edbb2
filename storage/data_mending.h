/* That this node gives up its replica of the directory (shard 0), whose log was found damaged: a
 * data directory's file `mending`.
 *
 * It is there from before the first time that another node is asked for another replica until what
 * is left of the old one is gone. So a replica that others may have given up never starts again
 * under its old number, also where its log can be read again meanwhile, or was repaired.
 *
 * Integers little-endian:
 *
 *   offset bytes  field
 *        0     8  magic "KXMENDG\n"
 *        8     4  format version (DATA_MENDING_FORMAT)
 *       12     8  the number of the replica that is given up; not 0
 *       20     8  XXH3-64 of all bytes before it; the last 8 bytes of the file in every format
 *
 * Blocks; one thread.
 */
#ifndef KX_STORAGE_DATA_MENDING_H
#define KX_STORAGE_DATA_MENDING_H

#include <stdint.h>

#include "base/error.h"

#define DATA_MENDING_FORMAT 1

struct fs;

/* ERR_NOT_FOUND: none is given up; ERR_CORRUPT; ERR_FORMAT: a newer version wrote it; errors of
 * base/io/fs.h. */
NODISCARD int data_mending_read(struct fs *fs, uint64_t *ret_replica);
/* Atomic and durable. Errors of base/io/fs.h. */
NODISCARD int data_mending_write(struct fs *fs, uint64_t replica);
/* Durable; 0 also where there is none. Errors of base/io/fs.h. */
NODISCARD int data_mending_end(struct fs *fs);

#endif
