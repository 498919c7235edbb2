// sources: storage/data_mending.c
/* A file `mending` that holds anything. The input's first byte, bit 0: the checksum is made right,
 * so that what stands under it is reached. What is read is written as it stood there. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/hash.h"
#include "base/io/fs.h"
#include "storage/data_mending.h"

enum { FILE_BYTES_MAX = 8192, HASH_BYTES = 8 };

struct fs {
	size_t bytes;
	uint8_t data[FILE_BYTES_MAX];
};

int fs_read_file(struct fs *fs, const char *path, void *data, size_t bytes_max, size_t *ret_bytes)
{
	(void)path;
	if (fs->bytes > bytes_max)
		return ERR_TOO_LARGE;
	memcpy(data, fs->data, fs->bytes);
	*ret_bytes = fs->bytes;
	return 0;
}

int fs_replace_file(struct fs *fs, const char *path, const void *data, size_t bytes)
{
	(void)path;
	memcpy(fs->data, data, bytes);
	fs->bytes = bytes;
	return 0;
}

/* What is linked and not called here. */
int fs_unlink(struct fs *fs, const char *path)
{
	(void)fs;
	(void)path;
	return 0;
}

int fs_sync_dir(struct fs *fs, const char *path)
{
	(void)fs;
	(void)path;
	return 0;
}

static const char *judge(struct fs *fs)
{
	static struct fs again;
	uint64_t replica;
	int error = data_mending_read(fs, &replica);
	if (error)
		return error == ERR_CORRUPT || error == ERR_FORMAT
		           ? NULL
		           : "a file is good, damaged or of another format";
	if (data_mending_write(&again, replica))
		return "what was read can be written";
	if (again.bytes != fs->bytes || memcmp(again.data, fs->data, fs->bytes) != 0)
		return "a file has one form";
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct fs fs;
	if (bytes < 1 || bytes > FILE_BYTES_MAX)
		return 0;
	fs.bytes = bytes - 1;
	memcpy(fs.data, data + 1, fs.bytes);
	if (data[0] & 1 && fs.bytes >= HASH_BYTES) {
		size_t body = fs.bytes - HASH_BYTES;
		uint64_t hash = hash_bytes(slice_of(fs.data, body), 0);
		for (size_t i = 0; i < HASH_BYTES; i++)
			fs.data[body + i] = (uint8_t)(hash >> (8 * i));
	}
	fuzz_must_hold(judge(&fs));
	return 0;
}
