/* Which node of which cluster a data directory is: its file `member`.
 *
 * A directory without it is its cluster's first node, or nothing yet. One that is to join a cluster
 * gets the file before anything else is written (MEMBER_JOINING), so that it never founds a cluster
 * of its own by mistake, and again when the cluster has given it a number.
 *
 * Integers little-endian:
 *
 *   offset bytes  field
 *        0     8  magic "KXMEMBR\n"
 *        8     4  format version (DATA_MEMBER_FORMAT)
 *       12     4  node; 0: joins
 *       16    16  the cluster's id; zeros while it joins
 *       32     8  the number of its replica of shard 0; 0 while it joins
 *       40     4  the cluster's number of shards; 0 while it joins
 *       44     8  XXH3-64 of all bytes before it; the last 8 bytes of the file in every format
 *
 * Blocks; one thread.
 */
#ifndef KX_STORAGE_DATA_MEMBER_H
#define KX_STORAGE_DATA_MEMBER_H

#include <stdint.h>

#include "base/error.h"

#define DATA_MEMBER_FORMAT        1
#define DATA_MEMBER_CLUSTER_BYTES 16

struct fs;

struct data_member {
	uint16_t node; /* 0: joins */
	uint8_t cluster[DATA_MEMBER_CLUSTER_BYTES];
	uint64_t directory_replica;
	uint32_t shards;
};

/* ERR_NOT_FOUND: there is none; ERR_CORRUPT; ERR_FORMAT: a newer version wrote it; errors of
 * base/io/fs.h. */
NODISCARD int data_member_read(struct fs *fs, struct data_member *ret_member);
/* Atomic and durable. Errors of base/io/fs.h. */
NODISCARD int data_member_write(struct fs *fs, const struct data_member *member);

#endif
