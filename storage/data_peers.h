/* Where the other nodes of its cluster are: a data directory's file `peers`.
 *
 * The directory (shard 0) says it, and this is a copy of that for when it cannot be read here: then
 * these are asked. A directory that never had another node beside it has no such file, and one
 * whose cluster has become it alone has an empty one. Nothing else relies on it: it may be older
 * than what is true.
 *
 * Integers little-endian:
 *
 *   offset bytes  field
 *        0     8  magic "KXPEERS\n"
 *        8     4  format version (DATA_PEERS_FORMAT)
 *       12     4  count, at most DATA_PEERS_MAX
 *       16        for each: node u32, peer port u32, host (length u8, bytes)
 *                 then XXH3-64 of all bytes before it; the last 8 bytes of the file in every format
 *
 * Blocks; one thread.
 */
#ifndef KX_STORAGE_DATA_PEERS_H
#define KX_STORAGE_DATA_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/limits.h"

#define DATA_PEERS_FORMAT     1
#define DATA_PEERS_HOST_BYTES 64 /* with the end */
#define DATA_PEERS_MAX        DIRECTORY_REPLICAS_MAX

struct fs;

struct data_peer {
	uint16_t node, port;              /* not 0 */
	char host[DATA_PEERS_HOST_BYTES]; /* printable, without spaces, and not empty */
};

struct data_peers {
	uint32_t count;
	struct data_peer peers[DATA_PEERS_MAX];
};

bool data_peers_same(const struct data_peers *a, const struct data_peers *b);
/* ERR_NOT_FOUND: there is none; ERR_CORRUPT; ERR_FORMAT: a newer version wrote it; ERR_NOMEM;
 * errors of base/io/fs.h. */
NODISCARD int data_peers_read(struct fs *fs, struct data_peers *ret_peers);
/* Whether it can be written down. */
bool data_peer_good(const struct data_peer *peer);
/* Atomic and durable. ERR_INVALID: one of them is not good, and what was there stays; ERR_NOMEM;
 * errors of base/io/fs.h. */
NODISCARD int data_peers_write(struct fs *fs, const struct data_peers *peers);

#endif
