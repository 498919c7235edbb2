// sources: storage/data_dir.c
/* A data directory whose `identity` and `lock` hold anything. The input's first byte: bit 0, the
 * checksum is made right, so that what stands under it is reached; bit 1, another process has the
 * lock; the other bits, how many bytes of the rest are the lock's; what is left is identity. What
 * opens is what a new directory with the same id and number of stores would have; what does not
 * says why, with an error of the header's list; nothing of what was there is changed. */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/io/fs.h"
#include "storage/data_dir.h"

enum { FILE_BYTES_MAX = 8192, HASH_BYTES = 8 };

struct content {
	bool exists;
	size_t bytes;
	uint8_t data[FILE_BYTES_MAX];
};

/* A file system of two files; directories exist once they were made. */
struct fs {
	struct content identity, lock;
	bool made;        /* stores/, and all below it */
	bool lock_is_his; /* another process's */
};
struct fs_file {
	struct content *content;
};
struct fs_lock {
	int none;
};

static struct content *file_of(struct fs *fs, const char *path)
{
	return strcmp(path, "identity") == 0 ? &fs->identity : &fs->lock;
}

int fs_read_file(struct fs *fs, const char *path, void *data, size_t bytes_max, size_t *ret_bytes)
{
	const struct content *content = file_of(fs, path);
	if (!content->exists)
		return ERR_NOT_FOUND;
	if (content->bytes > bytes_max)
		return ERR_TOO_LARGE;
	memcpy(data, content->data, content->bytes);
	*ret_bytes = content->bytes;
	return 0;
}

int fs_replace_file(struct fs *fs, const char *path, const void *data, size_t bytes)
{
	struct content *content = file_of(fs, path);
	if (bytes > FILE_BYTES_MAX)
		return ERR_NO_SPACE;
	memcpy(content->data, data, bytes);
	content->bytes = bytes;
	content->exists = true;
	return 0;
}

int fs_exists(struct fs *fs, const char *path, bool *ret_exists)
{
	*ret_exists = strncmp(path, "stores", 6) == 0 ? fs->made : file_of(fs, path)->exists;
	return 0;
}

int fs_list(struct fs *fs, const char *path, int (*each)(void *arg, const char *name, bool is_dir),
    void *arg)
{
	if (strcmp(path, ".") == 0 && fs->made)
		return each(arg, "stores", true);
	return 0;
}

int fs_make_dir(struct fs *fs, const char *path)
{
	(void)path;
	fs->made = true;
	return 0;
}

int fs_sync_dir(struct fs *fs, const char *path)
{
	(void)fs;
	(void)path;
	return 0;
}

static struct fs_lock taken;
static struct fs_file opened;

int fs_lock(struct fs *fs, const char *path, struct fs_lock **ret_lock)
{
	(void)path;
	if (fs->lock_is_his)
		return ERR_BUSY;
	fs->lock.exists = true;
	*ret_lock = &taken;
	return 0;
}

void fs_unlock(struct fs_lock *lock)
{
	(void)lock;
}

int fs_open(struct fs *fs, const char *path, unsigned flags, struct fs_file **ret_file)
{
	(void)flags;
	opened.content = file_of(fs, path);
	*ret_file = &opened;
	return 0;
}

void fs_close(struct fs_file *file)
{
	(void)file;
}

int fs_write(struct fs_file *file, uint64_t offset, const void *data, size_t bytes)
{
	if (offset + bytes > FILE_BYTES_MAX)
		return ERR_NO_SPACE;
	memcpy(file->content->data + offset, data, bytes);
	if (file->content->bytes < offset + bytes)
		file->content->bytes = offset + bytes;
	return 0;
}

/* ---- */

static const char *wrong_opened(const struct fs *fs, const struct data_identity *identity)
{
	static struct fs fresh;
	char why[DATA_DIR_WHY_BYTES] = "";
	struct data_dir *dir;
	memset(&fresh, 0, sizeof(fresh));
	if (identity->stores == 0 || identity->stores > DATA_DIR_STORES_MAX)
		return "a data directory has stores, and not too many";
	if (data_dir_open(&fresh, identity->stores, identity->id, why, sizeof(why), &dir))
		return "an empty directory becomes one";
	data_dir_close(dir);
	if (fresh.identity.bytes != fs->identity.bytes ||
	    memcmp(fresh.identity.data, fs->identity.data, fs->identity.bytes) != 0)
		return "an identity has one form";
	return NULL;
}

static const char *judge(struct fs *fs)
{
	static struct content before;
	char why[DATA_DIR_WHY_BYTES] = "";
	struct data_dir *dir;
	before = fs->identity;
	int error = data_dir_open(fs, 0, NULL, why, sizeof(why), &dir);
	const char *wrong = NULL;
	if (!error) {
		struct data_identity identity = data_dir_identity(dir);
		for (uint32_t store = 0; store < 3 && store < identity.stores; store++)
			if (data_dir_store_id(dir, store) == 0)
				wrong = "a store has an id";
		data_dir_close(dir);
		if (fs->lock_is_his)
			wrong = "one process has a data directory";
		if (!wrong)
			wrong = wrong_opened(fs, &identity);
	} else if (error != (fs->lock_is_his ? ERR_BUSY : ERR_CORRUPT) && error != ERR_FORMAT) {
		wrong = "an identity is good, damaged or of another format";
	} else if (strlen(why) < 20) {
		wrong = "a refusal says why";
	}
	if (!wrong && (before.bytes != fs->identity.bytes ||
	                  memcmp(before.data, fs->identity.data, before.bytes) != 0))
		wrong = "what was there stays";
	return wrong;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct fs fs;
	if (bytes < 1 || bytes > FILE_BYTES_MAX / 2)
		return 0;
	struct slice rest = slice_of(data + 1, bytes - 1);
	size_t lock_bytes = data[0] >> 2 < rest.bytes ? data[0] >> 2 : rest.bytes;
	memset(&fs, 0, sizeof(fs));
	fs.made = true;
	fs.lock_is_his = data[0] & 2;
	fs.lock.exists = fs.identity.exists = true;
	fs.lock.bytes = lock_bytes;
	fs.identity.bytes = rest.bytes - lock_bytes;
	if (lock_bytes > 0)
		memcpy(fs.lock.data, rest.data, lock_bytes);
	if (fs.identity.bytes > 0)
		memcpy(fs.identity.data, rest.data + lock_bytes, fs.identity.bytes);
	if (data[0] & 1 && fs.identity.bytes >= HASH_BYTES) {
		size_t body = fs.identity.bytes - HASH_BYTES;
		uint64_t hash = hash_bytes(slice_of(fs.identity.data, body), 0);
		for (size_t i = 0; i < HASH_BYTES; i++)
			fs.identity.data[body + i] = (uint8_t)(hash >> (8 * i));
	}
	fuzz_must_hold(judge(&fs));
	return 0;
}
