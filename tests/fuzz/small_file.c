#include "tests/fuzz/small_file.h"

#include <string.h>

#include "base/hash.h"
#include "base/io/fs.h"
#include "tests/fuzz/fuzz.h"

enum { HASH_BYTES = 8 };

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

/* Linked, and not called. */
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

bool small_file_same(const struct fs *a, const struct fs *b)
{
	return a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0;
}

void small_file_fuzz(const uint8_t *data, size_t bytes, const char *(*judge)(struct fs *fs))
{
	static struct fs fs;
	if (bytes < 1 || bytes > SMALL_FILE_BYTES_MAX)
		return;
	fs.bytes = bytes - 1;
	memcpy(fs.data, data + 1, fs.bytes);
	if (data[0] & 1 && fs.bytes >= HASH_BYTES) {
		size_t body = fs.bytes - HASH_BYTES;
		uint64_t hash = hash_bytes(slice_of(fs.data, body), 0);
		for (size_t i = 0; i < HASH_BYTES; i++)
			fs.data[body + i] = (uint8_t)(hash >> (8 * i));
	}
	fuzz_must_hold(judge(&fs));
}
