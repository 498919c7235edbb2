/* Tables are kept until what was opened is known to be right.
 *
 * RocksDB deletes at its opening every table that its MANIFEST does not name. That is right after a
 * crash, and fatal where the MANIFEST lost its end (a disk that lied, a backup of it alone): it is
 * taken for whole, and what it does not know any more is gone before anything here has looked. That
 * it lacks something shows only later, when the log does not fit.
 *
 * So before the opening each table gets a second name, in `kept/`, which is taken away again when
 * the owner has found that everything fits (store_settled). Where the last opening did not come so
 * far, names that have gone since are given back first: once the MANIFEST is restored, everything
 * is there.
 *
 * It is a protection, not a condition: where a file system has no second names, or no room for
 * them, the database is opened all the same. */
#include "storage/store_rocksdb.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/io/fs.h"
#include "base/log_line.h"

enum { PATH_BYTES = 4096 };

static bool is_table(const char *name)
{
	const char *dot = strrchr(name, '.');
	return dot != NULL && strcmp(dot, ".sst") == 0;
}

struct names {
	struct store *store;
	const char *from, *to; /* folders below the database; "" is its own */
	unsigned linked, failed;
};

static int link_table(void *arg, const char *name, bool is_dir)
{
	struct names *names = arg;
	char from[PATH_BYTES], to[PATH_BYTES];
	if (is_dir || !is_table(name))
		return 0;
	int from_bytes =
	    snprintf(from, sizeof(from), "%s/%s%s", names->store->path, names->from, name);
	int to_bytes = snprintf(to, sizeof(to), "%s/%s%s", names->store->path, names->to, name);
	bool fits = from_bytes < PATH_BYTES && to_bytes < PATH_BYTES;
	/* One that is there already is the same: numbers of tables are not used again while a file
	 * of that number stands in either folder. */
	if (fits && (access(to, F_OK) == 0 || link(from, to) == 0))
		names->linked++;
	else
		names->failed++;
	return 0;
}

static int kept_path(const struct store *store, char *path)
{
	int bytes = snprintf(path, PATH_BYTES, "%s/kept", store->dir);
	return bytes < PATH_BYTES ? 0 : ERR_INVALID;
}

void store_keep_tables(struct store *store)
{
	char path[PATH_BYTES];
	bool exists = false;
	if (kept_path(store, path) != 0 || fs_exists(store->fs, path, &exists) != 0)
		return;
	struct names back = {.store = store, .from = "kept/", .to = ""};
	struct names keep = {.store = store, .from = "", .to = "kept/"};
	int error =
	    exists ? fs_list(store->fs, path, link_table, &back) : fs_make_dir(store->fs, path);
	if (error == 0)
		error = fs_list(store->fs, store->dir, link_table, &keep);
	/* The second names before the first ones go. */
	if (error == 0 && keep.linked > 0)
		error = fs_sync_dir(store->fs, path);
	if (error != 0 || keep.failed > 0)
		LOG_LINE(LEVEL_WARNING, "store_tables_not_kept", FIELD_TEXT("dir", store->dir),
		    FIELD_U64("tables", keep.failed));
}

void store_settled(struct store *store)
{
	char path[PATH_BYTES];
	if (store->read_only || kept_path(store, path) != 0)
		return;
	store_shed_settled(store);
	int error = store_remove_files(store->fs, path);
	/* They take room until the next start only. */
	if (error != 0 && error != ERR_NOT_FOUND)
		LOG_LINE(LEVEL_WARNING, "store_tables_still_kept", FIELD_TEXT("dir", store->dir),
		    FIELD_ERROR("error", error));
}
