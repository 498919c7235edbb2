/* That this node's replica of the directory (shard 0) was made to go on alone, at an operator's
 * word: a data directory's file `recovered`.
 *
 * It is there from before that is done until the directory has it in its own record, or it is clear
 * that it was not done: the process ended before the log had it. So a record of it is made whatever
 * ends in between. It does nothing by itself: whether it was done the log says, by its term.
 *
 * Integers little-endian:
 *
 *   offset bytes  field
 *        0     8  magic "KXRECOV\n"
 *        8     4  format version (DATA_RECOVERED_FORMAT)
 *       12     8  the number of the replica; not 0
 *       20     8  the term that it took
 *       28     8  what was committed, as far as those that were left knew
 *       36     8  where its log ended
 *       44     8  when: milliseconds since 1970 UTC
 *       52     4  count, at most DATA_RECOVERED_GIVEN_UP_MAX
 *       56        for each: the number of a replica that was given up, u64; not 0
 *                 then XXH3-64 of all bytes before it; the last 8 bytes of the file in every format
 *
 * Blocks; one thread.
 */
#ifndef KX_STORAGE_DATA_RECOVERED_H
#define KX_STORAGE_DATA_RECOVERED_H

#include <stdint.h>

#include "base/error.h"
#include "base/limits.h"

#define DATA_RECOVERED_FORMAT       1
#define DATA_RECOVERED_GIVEN_UP_MAX DIRECTORY_REPLICAS_MAX

struct fs;

struct data_recovered {
	uint64_t replica; /* 0, outside of the file: there was none */
	uint64_t term, committed, index;
	int64_t at_ms;
	uint32_t given_up_count;
	uint64_t given_up[DATA_RECOVERED_GIVEN_UP_MAX];
};

/* ERR_NOT_FOUND: there is none; ERR_CORRUPT; ERR_FORMAT: a newer version wrote it; errors of
 * base/io/fs.h. */
NODISCARD int data_recovered_read(struct fs *fs, struct data_recovered *ret_recovered);
/* Atomic and durable. Errors of base/io/fs.h. */
NODISCARD int data_recovered_write(struct fs *fs, const struct data_recovered *recovered);
/* Durable; 0 also where there is none. Errors of base/io/fs.h. */
NODISCARD int data_recovered_end(struct fs *fs);

#endif
