#include "client/admin/bundle_dir.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/wire/utf8.h"
#include "client/admin/commands.h"
#include "scripting/host.h"

#define FILES_MAX      4096
#define DEPTH_MAX      8
#define PATH_BYTES_MAX 1024

struct file {
	char path[PATH_BYTES_MAX]; /* below the app's directory */
	struct buffer source;
};

struct files {
	const char *dir;
	bool are_tests; /* what is wanted */
	struct file **items;
	size_t count;
	uint64_t bytes;
	char *why;
	size_t why_bytes;
};

static bool ends_with(const char *text, const char *end)
{
	size_t bytes = strlen(text), end_bytes = strlen(end);
	return bytes >= end_bytes && strcmp(text + bytes - end_bytes, end) == 0;
}

static bool is_wanted(const struct files *files, const char *path)
{
	bool is_test = strncmp(path, "tests/", 6) == 0 && ends_with(path, "_test.lua");
	return ends_with(path, ".lua") && is_test == files->are_tests;
}

static int failed(struct files *files, const char *path, int error)
{
	snprintf(files->why, files->why_bytes, "%.200s/%.200s: %s", files->dir, path,
	    errno ? strerror(errno) : error_text(error));
	return error;
}

static int read_source(struct files *files, struct file *file, FILE *in)
{
	uint8_t *room;
	size_t got;
	do {
		int error = buffer_reserve(&file->source, 16384, &room);
		if (error)
			return error;
		got = fread(room, 1, 16384, in);
		buffer_commit(&file->source, got);
	} while (got > 0);
	files->bytes += buffer_bytes(&file->source);
	if (ferror(in))
		return ERR_IO;
	return files->bytes > BUNDLE_BYTES_MAX ? ERR_TOO_LARGE : 0;
}

static int add_file(struct files *files, const char *path)
{
	char whole[2 * PATH_BYTES_MAX];
	if (files->count == FILES_MAX)
		return ERR_TOO_LARGE;
	struct file *file = mem_zalloc(1, sizeof(*file));
	if (!file)
		return ERR_NOMEM;
	files->items[files->count++] = file;
	snprintf(file->path, sizeof(file->path), "%s", path);
	buffer_init(&file->source, BUNDLE_BYTES_MAX + 16384);
	snprintf(whole, sizeof(whole), "%.1000s/%s", files->dir, path);
	FILE *in = fopen(whole, "rb");
	if (!in)
		return error_from_errno(errno);
	errno = 0;
	int error = read_source(files, file, in);
	fclose(in);
	return error;
}

/* What stands in `directory` (relative, "" or ending in '/'); directories in it are appended to
 * *below, one after the other with a 0 behind each. */
static int walk_one(struct files *files, const char *directory, struct buffer *below)
{
	char whole[2 * PATH_BYTES_MAX], path[PATH_BYTES_MAX];
	const struct dirent *entry;
	struct stat status;
	int error = 0;
	snprintf(whole, sizeof(whole), "%.1000s/%s", files->dir, directory);
	DIR *dir = opendir(whole);
	if (!dir)
		return failed(files, directory, error_from_errno(errno));
	while (!error && (entry = readdir(dir))) {
		int bytes = snprintf(path, sizeof(path), "%s%s", directory, entry->d_name);
		if (entry->d_name[0] == '.' || bytes < 0 || (size_t)bytes >= sizeof(path) - 1)
			continue;
		snprintf(whole, sizeof(whole), "%.1000s/%s", files->dir, path);
		if (stat(whole, &status))
			continue;
		errno = 0;
		if (S_ISREG(status.st_mode) && is_wanted(files, path)) {
			error = add_file(files, path);
			if (error)
				error = failed(files, path, error);
		} else if (S_ISDIR(status.st_mode)) {
			error = buffer_append_format(below, "%s/", path);
			if (!error)
				error = buffer_append_u8(below, 0);
		}
	}
	closedir(dir);
	return error;
}

static int walk(struct files *files)
{
	struct buffer below;
	buffer_init(&below, (size_t)1 << 20);
	int error = walk_one(files, "", &below);
	while (!error && buffer_bytes(&below)) {
		char directory[PATH_BYTES_MAX];
		const char *next = (const char *)buffer_view(&below).data;
		unsigned depth = 0;
		snprintf(directory, sizeof(directory), "%s", next);
		for (const char *at = directory; *at; at++)
			depth += *at == '/';
		buffer_consume(&below, strlen(next) + 1);
		if (depth <= DEPTH_MAX)
			error = walk_one(files, directory, &below);
	}
	buffer_done(&below);
	return error;
}

static int by_path(const void *a, const void *b)
{
	const struct file *const *left = a, *const *right = b;
	return strcmp((*left)->path, (*right)->path);
}

/* Which file it is that a bundle can't have, and why: the one that can't be packed alone. */
static void name_unfit(struct files *files, const struct host_file *host)
{
	struct buffer alone;
	buffer_init(&alone, BUNDLE_BYTES_MAX + 65536);
	for (size_t i = 0; i < files->count; i++) {
		buffer_clear(&alone);
		if (host_bundle_pack(&host[i], 1, &alone) != ERR_INVALID)
			continue;
		snprintf(files->why, files->why_bytes, "%.200s/%.200s: %s", files->dir,
		    files->items[i]->path,
		    utf8_valid(host[i].source)
		        ? "a Lua file has a name of at most 200 letters, digits, '_', '-' and '.'"
		        : "is not UTF-8");
		break;
	}
	buffer_done(&alone);
}

static int pack(struct files *files, struct buffer *ret_bundle)
{
	struct host_file *host = mem_zalloc(files->count, sizeof(*host));
	bool has_app = false;
	if (!host)
		return ERR_NOMEM;
	for (size_t i = 0; i < files->count; i++) {
		host[i].path = slice_from_text(files->items[i]->path);
		host[i].source = buffer_view(&files->items[i]->source);
		has_app |= strcmp(files->items[i]->path, "app.lua") == 0;
	}
	int error = has_app ? host_bundle_pack(host, files->count, ret_bundle) : ERR_NOT_FOUND;
	if (error == ERR_NOT_FOUND)
		snprintf(files->why, files->why_bytes,
		    "%.200s has no app.lua: kalix-admin app init DIR makes a first app",
		    files->dir);
	else if (error == ERR_INVALID)
		name_unfit(files, host);
	else if (error == ERR_TOO_LARGE)
		snprintf(files->why, files->why_bytes,
		    "%.200s: an app has at most 1000 Lua files, and 8 MiB of them", files->dir);
	mem_free(host);
	return error;
}

static void free_files(struct file **items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		buffer_done(&items[i]->source);
		mem_free(items[i]);
	}
	mem_free(items);
}

static int read_files(struct files *files)
{
	files->items = mem_zalloc(FILES_MAX, sizeof(struct file *));
	if (!files->items)
		return ERR_NOMEM;
	int error = walk(files);
	if (!error && files->count > 0)
		qsort(files->items, files->count, sizeof(struct file *), by_path);
	return error;
}

int bundle_dir_read(const char *dir, struct buffer *ret_bundle, char *why, size_t why_bytes)
{
	struct files files = {.dir = dir, .why = why, .why_bytes = why_bytes};
	int error = read_files(&files);
	if (!error && files.count == 0) {
		snprintf(why, why_bytes,
		    "%.200s has no app.lua: kalix-admin app init DIR makes a first app", dir);
		error = ERR_NOT_FOUND;
	}
	if (!error)
		error = pack(&files, ret_bundle);
	free_files(files.items, files.count);
	return error;
}

enum exit_code bundle_dir_open(const char *dir, struct buffer *ret_bundle)
{
	char why[512] = "";
	int error = bundle_dir_read(dir, ret_bundle, why, sizeof(why));
	return error ? command_failed(error, why) : EXIT_DONE;
}

int bundle_dir_read_tests(
    const char *dir, struct bundle_tests *ret_tests, char *why, size_t why_bytes)
{
	struct files files = {.dir = dir, .are_tests = true, .why = why, .why_bytes = why_bytes};
	struct bundle_tests tests = {.items = NULL};
	int error = read_files(&files);
	if (!error)
		tests.items = mem_zalloc(files.count ? files.count : 1, sizeof(*tests.items));
	if (error || !tests.items) {
		free_files(files.items, files.count);
		return error ? error : ERR_NOMEM;
	}
	tests.files = files.items;
	tests.count = files.count;
	for (size_t i = 0; i < files.count; i++) {
		tests.items[i].path = slice_from_text(files.items[i]->path);
		tests.items[i].source = buffer_view(&files.items[i]->source);
	}
	*ret_tests = tests;
	return 0;
}

void bundle_tests_done(struct bundle_tests *tests)
{
	if (tests->files)
		free_files(tests->files, tests->count);
	mem_free(tests->items);
	*tests = (struct bundle_tests){.items = NULL};
}
