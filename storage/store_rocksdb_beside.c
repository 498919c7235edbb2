#include "storage/store_rocksdb_beside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/io/fs.h"
#include "storage/store_rocksdb.h"

enum { PATH_BYTES = FS_PATH_BYTES_MAX + 1 };

static int fail(const struct store_beside *beside, int error, const char *what)
{
	snprintf(beside->why, beside->why_bytes, "%s: %s", beside->options->dir, what);
	return error;
}

static int open_dir(
    const struct store_beside *beside, const char *dir, bool read_only, struct store **ret_store)
{
	struct store_options options = *beside->options;
	options.dir = dir;
	options.read_only = read_only;
	options.tolerant = false;
	return store_open(&options, beside->why, beside->why_bytes, ret_store);
}

/* ---- Writing ---- */

struct counted {
	struct store_source source; /* first: what store_write knows */
	struct store_source *from;
	uint64_t keys;
};

static bool counted_next(struct store_source *base, struct store_change *ret_change)
{
	struct counted *counted = (struct counted *)(void *)base;
	bool more = counted->from->next(counted->from, ret_change);
	counted->source.error = counted->from->error;
	counted->keys += more;
	return more;
}

static int count_key(void *arg, struct slice key)
{
	(void)key;
	++*(uint64_t *)arg;
	return 0;
}

static int is_bad(void *arg, const char *words)
{
	(void)arg;
	(void)words;
	return ERR_CORRUPT;
}

/* From the disk, in a store that was opened for it. */
static int read_back(const struct store_beside *beside, const char *dir, uint64_t written)
{
	struct store *store;
	uint64_t keys = 0;
	int error = open_dir(beside, dir, true, &store);
	if (error < 0)
		return error;
	error =
	    store_walk(store, &(struct store_walk){.key = count_key, .bad = is_bad, .arg = &keys});
	store_close(store);
	if (error == 0 && keys != written)
		error = ERR_CORRUPT;
	return error < 0 ? fail(beside, error, "the new store does not read back as it was written")
	                 : 0;
}

int store_beside_write(const struct store_beside *beside, const char *dir,
    struct store_source *source, uint64_t *ret_keys)
{
	struct fs *fs = beside->options->fs;
	struct counted counted = {.source = {.next = counted_next}, .from = source};
	struct store *store;
	int error = fs_make_dir(fs, dir);
	if (error < 0)
		return fail(beside, error, error_text(error));
	error = open_dir(beside, dir, false, &store);
	if (error < 0)
		return error;
	beside->why[0] = '\0';
	error = store_write(store, &counted.source);
	store_close(store);
	if (error < 0)
		return beside->why[0] == '\0' ? fail(beside, error, error_text(error)) : error;
	error = read_back(beside, dir, counted.keys);
	if (error == 0 && fs_sync_dir(fs, dir) < 0)
		error = fail(beside, ERR_IO, "the new store's directory cannot be synced");
	*ret_keys = counted.keys;
	return error;
}

/* ---- Directories ---- */

static void path_of(char path[PATH_BYTES], const char *directory, const char *name)
{
	int bytes = snprintf(path, PATH_BYTES, "%s%s%s", directory, name[0] ? "/" : "", name);
	ASSERT(bytes > 0 && bytes < PATH_BYTES);
}

/* RocksDB's directories are not deep: ingest/ and kept/ in this one. Nobody relies on its being
 * gone. */
int store_beside_remove(const struct store_beside *beside, const char *dir)
{
	struct fs *fs = beside->options->fs;
	char ingest[PATH_BYTES], kept[PATH_BYTES];
	char path[2 * PATH_BYTES];
	bool exists = false;
	path_of(ingest, dir, "ingest");
	path_of(kept, dir, "kept");
	const char *const dirs[] = {ingest, kept, dir};
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		int error = fs_exists(fs, dirs[i], &exists);
		if (error == 0 && exists)
			error = store_remove_files(fs, dirs[i]);
		if (error < 0)
			return error;
		snprintf(path, sizeof(path), "%s/%s", beside->options->root, dirs[i]);
		if (exists && rmdir(path) < 0)
			return error_from_errno(errno);
	}
	return 0;
}

int store_beside_sync(const struct store_beside *beside)
{
	char parent[PATH_BYTES];
	snprintf(parent, sizeof(parent), "%s", beside->options->dir);
	char *slash = strrchr(parent, '/');
	if (slash != NULL)
		*slash = '\0';
	int error = fs_sync_dir(beside->options->fs, slash != NULL ? parent : ".");
	return error < 0 ? fail(beside, error, "the directory's names cannot be synced") : 0;
}

/* fs.h has no such call: its users have files, and a file takes another's place by rename. */
int store_beside_exchange(const struct store_beside *beside, const char *dir)
{
	char one[2 * PATH_BYTES];
	char other[2 * PATH_BYTES];
	snprintf(one, sizeof(one), "%s/%s", beside->options->root, beside->options->dir);
	snprintf(other, sizeof(other), "%s/%s", beside->options->root, dir);
	if (renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) == 0)
		return 0;
	if (errno == EINVAL || errno == ENOSYS)
		return fail(beside, ERR_UNSUPPORTED,
		    "this file system cannot exchange two directories; copy the data directory to "
		    "one that can (ext4, xfs, btrfs), and repair it there");
	int error = error_from_errno(errno);
	return fail(beside, error, error_text(error));
}
