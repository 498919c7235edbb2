/* The file of an install (storage/install.h), byte by byte. Little-endian.
 *
 *   offset bytes  field
 *        0     8  magic "KXINTENT"
 *        8     4  format version (INSTALL_FORMAT)
 *       12     4  kind (enum install_kind)
 *       16     8  store: the random id that the log's frames carry
 *       24     4  shard
 *       28     4  1: the shard was suspect, and is healed by the state; else 0
 *       32     8  index \ of the state, 0 of a removal
 *       40     8  term  /
 *       48     8  blocks
 *       56     8  pairs
 *       64     8  bytes of the file
 *       72     8  hash of the last block (0: there is none)
 *       80     8  frame of the log behind which what it says of the install stands
 *       88     8  XXH3-64 of all bytes before it
 *       96        blocks, one after another:
 *                   bytes u32 | pairs u32 | hash u64, then that many bytes: pairs in strictly
 *                   rising order, each  key bytes varint | key | value bytes varint | value
 *
 * Magic and format stand where they are in every format, and are looked at first: how long a newer
 * head is, and what its hash covers, only that version knows.
 *
 * A block's hash is the XXH3-64 of its bytes with the hash of the block before it as seed (0 for
 * the first): so the last one stands for all. The head is written last.
 *
 * Thread: any one; what reads and writes blocks.
 */
#ifndef KX_STORAGE_INSTALL_FILE_H
#define KX_STORAGE_INSTALL_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "storage/batch.h"

struct fs;
struct fs_file;

#define INSTALL_FORMAT           2
#define INSTALL_HEAD_BYTES       96
#define INSTALL_BLOCK_HEAD_BYTES 16
/* Physical keys of streams are that much longer. */
#define INSTALL_KEY_BYTES_MAX (BATCH_KEY_BYTES_MAX + 8)

enum install_kind { INSTALL_STATE = 1, INSTALL_REMOVAL = 2 };

struct install_head {
	enum install_kind kind;
	uint64_t store;
	uint32_t shard;
	bool heals;
	uint64_t index;
	uint64_t term;
	uint64_t blocks;
	uint64_t pairs;
	uint64_t bytes;
	uint64_t hash;
	uint64_t frame;
};

void install_head_encode(const struct install_head *head, uint8_t data[INSTALL_HEAD_BYTES]);
/* ERR_FORMAT: another version wrote it, whatever else it says; ERR_CORRUPT. */
NODISCARD int install_head_decode(struct slice data, struct install_head *ret_head);

/* Writes the head of a block whose `bytes` bytes of pairs stand behind it; returns its hash. */
uint64_t install_block_seal(uint8_t *block, uint32_t bytes, uint32_t pairs, uint64_t before);

struct install_reader {
	struct fs_file *file;
	struct install_head head;
	uint64_t offset; /* of the next block */
	uint64_t blocks; /* read so far */
	uint64_t pairs;
	uint64_t hash;
	uint8_t *block; /* the pairs of one */
	uint32_t capacity;
	uint32_t bytes;
	uint32_t at;
	uint32_t block_pairs; /* left in it */
};

/* Opens the file and reads its head. ERR_CORRUPT (the head is not whole), ERR_FORMAT (another
 * version's), ERR_NOT_FOUND, ERR_IO, ERR_NOMEM. */
NODISCARD int install_reader_open(
    struct fs *fs, const char *path, struct install_reader *ret_reader);
void install_reader_close(struct install_reader *reader);
/* 0 and the next pair (views valid until the next call); ERR_NOT_FOUND at the end, where all of it
 * was as the head says; ERR_CORRUPT, ERR_IO, ERR_NOMEM. */
NODISCARD int install_reader_next(
    struct install_reader *reader, struct slice *ret_key, struct slice *ret_value);

#endif
