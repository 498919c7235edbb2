#include "tests/unit/store/files.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io/fs.h"
#include "tests/unit/run.h"
#include "tests/unit/store/platform.h"

char files_why[STORE_WHY_BYTES];

void files_setup(void)
{
	platform_setup();
	ck_assert_int_eq(fs_make_dir(platform_fs(), "db"), 0);
}

int files_try_open(struct store **ret_store)
{
	struct store_options options = {.fs = platform_fs(),
	    .root = platform_root(),
	    .dir = "db",
	    .block_cache_bytes = 8 << 20};
	return store_open(&options, files_why, STORE_WHY_BYTES, ret_store);
}

struct store *files_open_store(void)
{
	struct store *store;
	int error = files_try_open(&store);
	ck_assert_msg(error == 0, "%s: %s", error_name(error), files_why);
	store_settled(store);
	return store;
}

void files_write(struct store *store, const struct model *from, const struct model *to)
{
	struct model_source source = model_source(from, to);
	ck_assert_int_eq(store_write(store, &source.source), 0);
}

/* ---- Files ---- */

static int add_table(void *arg, const char *name, bool is_dir)
{
	struct files *files = arg;
	const char *dot = strrchr(name, '.');
	if (is_dir || dot == NULL || strcmp(dot, ".sst") != 0)
		return 0;
	ck_assert_uint_lt(files->count, 64);
	snprintf(files->names[files->count++], 32, "db/%.28s", name);
	return 0;
}

struct files files_tables(void)
{
	struct files files = {0};
	ck_assert_int_eq(fs_list(platform_fs(), "db", add_table, &files), 0);
	return files;
}

void files_flip(const char *path, uint64_t offset)
{
	struct fs_file *file;
	uint8_t byte;
	size_t bytes;
	ck_assert_int_eq(fs_open(platform_fs(), path, FS_READ | FS_WRITE, &file), 0);
	ck_assert_int_eq(fs_read(file, offset, &byte, 1, &bytes), 0);
	ck_assert_uint_eq(bytes, 1);
	byte ^= 0x20;
	ck_assert_int_eq(fs_write(file, offset, &byte, 1), 0);
	fs_close(file);
}

uint64_t files_size(const char *path)
{
	struct fs_file *file;
	uint64_t bytes;
	ck_assert_int_eq(fs_open(platform_fs(), path, FS_READ, &file), 0);
	ck_assert_int_eq(fs_size(file, &bytes), 0);
	fs_close(file);
	return bytes;
}

/* Two tables without common keys, the first of them with the lower half. Compactions are off: they
 * would make other tables of them, or stop on the damage to come. */
struct model files_make_two_tables(void)
{
	struct model empty = {0};
	struct model half = {0};
	struct model full = {0};
	for (uint32_t number = 0; number < MODEL_KEYS; number++)
		full.version[number] = 1;
	for (uint32_t number = 0; number < MODEL_KEYS / 2; number++)
		half.version[number] = 1;
	ck_assert_int_eq(fs_replace_file(platform_fs(), "db/DAMAGED", "", 0), 0);
	struct store *store = files_open_store();
	files_write(store, &empty, &half);
	files_write(store, &half, &full);
	store_close(store);
	ck_assert_uint_eq(files_tables().count, 2);
	return full;
}

struct model files_make_newer(const struct model *model)
{
	struct model newer = *model;
	for (uint32_t number = 0; number < MODEL_KEYS; number++)
		newer.version[number] = number % 3 == 0 ? 0 : 2;
	struct store *store = files_open_store();
	files_write(store, model, &newer);
	store_close(store);
	return newer;
}

/* Sizes and times of everything in db/. */
uint64_t files_digest(void)
{
	char path[1024];
	snprintf(path, sizeof(path), "%s/db", platform_root());
	DIR *dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	uint64_t digest = 0;
	const struct dirent *entry;
	while ((entry = readdir(dir)) != NULL) {
		struct stat status;
		if (strcmp(entry->d_name, "..") == 0)
			continue;
		ck_assert_int_eq(fstatat(dirfd(dir), entry->d_name, &status, 0), 0);
		digest += (uint64_t)status.st_ino * 31 + (uint64_t)status.st_size * 17 +
		          (uint64_t)status.st_mtim.tv_nsec;
	}
	closedir(dir);
	return digest;
}
