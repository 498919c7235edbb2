#include "storage/data_mending.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/io/fs.h"

static const char MENDING[] = "mending";

enum {
	MAGIC_BYTES = 8,
	HASH_BYTES = 8,
	MENDING_BYTES = 28,
	MENDING_BYTES_MIN = MAGIC_BYTES + 4 + HASH_BYTES, /* in any format */
	MENDING_BYTES_MAX = 4096,
};

static const char MAGIC[MAGIC_BYTES] = {'K', 'X', 'M', 'E', 'N', 'D', 'G', '\n'};

static int decode(struct slice data, uint64_t *ret_replica)
{
	if (data.bytes < MENDING_BYTES_MIN || memcmp(data.data, MAGIC, sizeof(MAGIC)) != 0)
		return ERR_CORRUPT;
	struct slice body = slice_of(data.data, data.bytes - HASH_BYTES);
	if (load_u64le(data.data + body.bytes) != hash_bytes(body, 0))
		return ERR_CORRUPT;
	struct reader in = reader_of(body);
	reader_skip(&in, sizeof(MAGIC));
	if (reader_u32le(&in) != DATA_MENDING_FORMAT)
		return ERR_FORMAT;
	uint64_t replica = reader_u64le(&in);
	if (in.failed || reader_left(&in) != 0 || replica == 0)
		return ERR_CORRUPT;
	*ret_replica = replica;
	return 0;
}

int data_mending_read(struct fs *fs, uint64_t *ret_replica)
{
	uint8_t data[MENDING_BYTES_MAX];
	size_t bytes;
	int error = fs_read_file(fs, MENDING, data, sizeof(data), &bytes);
	if (error == ERR_TOO_LARGE)
		return ERR_CORRUPT;
	return error < 0 ? error : decode(slice_of(data, bytes), ret_replica);
}

int data_mending_write(struct fs *fs, uint64_t replica)
{
	uint8_t data[MENDING_BYTES];
	struct writer out = writer_of(data, sizeof(data));
	ASSERT(replica != 0);
	writer_bytes(&out, MAGIC, sizeof(MAGIC));
	writer_u32le(&out, DATA_MENDING_FORMAT);
	writer_u64le(&out, replica);
	writer_u64le(&out, hash_bytes(writer_view(&out), 0));
	ASSERT(!out.failed && writer_used(&out) == sizeof(data));
	return fs_replace_file(fs, MENDING, data, sizeof(data));
}

int data_mending_end(struct fs *fs)
{
	int error = fs_unlink(fs, MENDING);
	if (error == ERR_NOT_FOUND)
		return 0;
	return error < 0 ? error : fs_sync_dir(fs, ".");
}
