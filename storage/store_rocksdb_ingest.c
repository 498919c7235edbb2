/* What writes that did not come to their end left in the directory of files to be ingested.
 *
 * Most of it is only to be removed. But RocksDB 7.8 has a fault there: when the MANIFEST cannot
 * be written or synced at the end of an ingestion, it takes the files out of its directory
 * again, though the record that names them may stand in the MANIFEST all the same. This process
 * then stops, and the next one cannot open the store, for want of a file. The file is still
 * here, under its first name: store_write removes nothing before it stops. So it is given back
 * its second one, and the write counts as done, which is as good as not done: nobody was told.
 *
 * Which number it had, the error says of one of them; files of one write have numbers in a row.
 * RocksDB itself decides whether it is the right file: it knows size and identity of each.
 */
#include "storage/store_rocksdb.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/io/fs.h"
#include "base/mem.h"

enum {
	PATH_BYTES = FS_PATH_BYTES_MAX + 1,
	NAME_BYTES = 64,
	LEFT_MAX = 1024, /* of one write: 64 GiB */
	TABLE_DIGITS_MIN = 6,
};

struct left {
	char names[LEFT_MAX][NAME_BYTES]; /* in the order they were written */
	size_t count;
	bool complete;
};

static void left_path(const struct store *store, const char *name, char path[PATH_BYTES])
{
	int bytes = snprintf(path, PATH_BYTES, "%s/%s", store->ingest_dir, name);
	ASSERT(bytes > 0 && bytes < PATH_BYTES);
}

int store_ingest_clean(struct store *store)
{
	int error = fs_make_dir(store->fs, store->ingest_dir);
	return error < 0 ? error : store_remove_files(store->fs, store->ingest_dir);
}

static int see_file(void *arg, const char *name, bool is_dir)
{
	(void)name;
	*(bool *)arg = *(bool *)arg || !is_dir;
	return 0;
}

int store_ingest_left(struct fs *fs, const char *dir, bool *ret_left)
{
	char path[PATH_BYTES];
	bool exists = false;
	int bytes = snprintf(path, sizeof(path), "%s/ingest", dir);
	if (bytes < 0 || bytes >= PATH_BYTES)
		return ERR_INVALID;
	*ret_left = false;
	int error = fs_exists(fs, path, &exists);
	return error < 0 || !exists ? error : fs_list(fs, path, see_file, ret_left);
}

/* ---- Giving names back ---- */

static int note_left(void *arg, const char *name, bool is_dir)
{
	struct left *left = arg;
	if (is_dir)
		return 0;
	if (left->count == LEFT_MAX || strlen(name) >= NAME_BYTES) {
		left->complete = false;
		return 0;
	}
	memcpy(left->names[left->count++], name, strlen(name) + 1);
	return 0;
}

/* The number in "... While open a file for random read: /path/000012.ldb: ..." or "... Can't access
 * /000012.sst: ...". 0: there is none. */
static uint64_t missing_table(const char *words)
{
	if (strstr(words, "No such file or directory") == NULL)
		return 0;
	for (const char *dot = strchr(words, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
		if (strncmp(dot, ".sst", 4) != 0 && strncmp(dot, ".ldb", 4) != 0)
			continue;
		const char *digits = dot;
		while (digits > words && isdigit((unsigned char)digits[-1]))
			digits--;
		if (dot - digits >= TABLE_DIGITS_MIN)
			return strtoull(digits, NULL, 10);
	}
	return 0;
}

static void table_path(const struct store *store, uint64_t number, char path[PATH_BYTES])
{
	int bytes =
	    snprintf(path, PATH_BYTES, "%s/%06llu.sst", store->dir, (unsigned long long)number);
	ASSERT(bytes > 0 && bytes < PATH_BYTES);
}

/* Moves file i to number `first` + i where that is free (or back); *moved has a flag for each. */
static int move(
    struct store *store, const struct left *left, uint64_t first, bool back, bool *moved)
{
	char from[PATH_BYTES];
	char to[PATH_BYTES];
	for (size_t i = 0; i < left->count; i++) {
		bool taken = false;
		left_path(store, left->names[i], from);
		table_path(store, first + i, to);
		int error = back ? 0 : fs_exists(store->fs, to, &taken);
		if (error == 0 && (back ? moved[i] : !taken))
			error = fs_rename(store->fs, back ? to : from, back ? from : to);
		if (error < 0)
			return error;
		moved[i] = back ? false : !taken;
	}
	int error = fs_sync_dir(store->fs, store->dir);
	return error < 0 ? error : fs_sync_dir(store->fs, store->ingest_dir);
}

static int try_all(struct store *store, const struct left *left, uint64_t missing,
    int (*again)(struct store *store, char *why, size_t why_bytes), char *why, size_t why_bytes)
{
	for (size_t shift = 0; shift < left->count && shift < missing; shift++) {
		bool moved[LEFT_MAX] = {0};
		int error = move(store, left, missing - shift, false, moved);
		if (error == 0) {
			error = again(store, why, why_bytes);
			if (error == 0)
				return 0;
		}
		int undone = move(store, left, missing - shift, true, moved);
		if (undone < 0)
			return undone;
	}
	return ERR_CORRUPT;
}

int store_ingest_restore(struct store *store,
    int (*again)(struct store *store, char *why, size_t why_bytes), char *why, size_t why_bytes)
{
	uint64_t missing = missing_table(why);
	bool exists = false;
	int error = fs_exists(store->fs, store->ingest_dir, &exists);
	if (error < 0 || !exists || missing == 0)
		return ERR_CORRUPT;
	struct left *left = mem_zalloc(1, sizeof(*left));
	if (left == NULL)
		return ERR_NOMEM;
	left->complete = true;
	error = fs_list(store->fs, store->ingest_dir, note_left, left);
	if (error == 0)
		error = left->complete && left->count > 0
		            ? try_all(store, left, missing, again, why, why_bytes)
		            : ERR_CORRUPT;
	mem_free(left);
	return error;
}
