/* What was found when all of a store was read, because a compaction had met damage in it, and what
 * the store itself cannot say: the file `SCANNED` beside its database. While it holds, no start
 * reads all of the store again.
 *
 * It is a hint: where there is none, or it is not whole, or of another store, all is read. So it is
 * only written when that has come to its end, and `identity` (store_identity) ends it where another
 * store takes the place of the one that was read. Who relies on it looks whether it is still so, as
 * far as that takes less than all: a directory that can be read again, or damage where there was
 * none, ends it, too.
 *
 * Integers little-endian:
 *
 *   offset bytes  field
 *        0     8  magic "KXSCAND\n"
 *        8     4  format version (DATA_SCAN_FORMAT)
 *       12     8  store: the random id that the log's frames carry
 *       20     8  identity of the database that was read; not 0
 *       28     4  what was found (enum data_scan_found)
 *       32     8  XXH3-64 of all bytes before it; the last 8 bytes of the file in every format
 *
 * Blocks; one thread.
 */
#ifndef KX_STORAGE_DATA_SCAN_H
#define KX_STORAGE_DATA_SCAN_H

#include <stdint.h>

#include "base/error.h"

#define DATA_SCAN_FORMAT 1

struct fs;

enum data_scan_found {
	DATA_SCAN_NOTHING = 1,   /* all of each shard can be read: the damage is in none */
	DATA_SCAN_DIRECTORY = 2, /* not all of the directory, which is served all the same */
};

struct data_scan {
	uint64_t store;
	uint64_t identity;
	enum data_scan_found found;
};

/* `dir` is the database's. ERR_NOT_FOUND: there is none; ERR_CORRUPT; ERR_FORMAT: a newer version
 * wrote it; errors of base/io/fs.h. */
NODISCARD int data_scan_read(struct fs *fs, const char *dir, struct data_scan *ret_scan);
/* Atomic and durable. Errors of base/io/fs.h. */
NODISCARD int data_scan_write(struct fs *fs, const char *dir, const struct data_scan *scan);
/* Durable; 0 also where there is none. Errors of base/io/fs.h. */
NODISCARD int data_scan_end(struct fs *fs, const char *dir);

#endif
