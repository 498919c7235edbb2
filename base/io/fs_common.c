/* The parts of fs.h that need nothing but the other parts: small files, sorted names, buffers. */
#include "base/io/fs_common.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/assert.h"
#include "base/io/fs.h"
#include "base/mem.h"

static const char TEMPORARY_SUFFIX[] = ".tmp";

bool fs_path_is_valid(const char *path)
{
	ASSERT(path != NULL);
	size_t bytes = strnlen(path, FS_PATH_BYTES_MAX + 1);
	if (bytes == 0 || bytes > FS_PATH_BYTES_MAX || path[0] == '/')
		return false;
	for (const char *part = path; part != NULL;) {
		size_t part_bytes = strcspn(part, "/");
		if (part_bytes == 0)
			return false;
		if (part_bytes == 2 && memcmp(part, "..", 2) == 0)
			return false;
		part = part[part_bytes] == '/' ? part + part_bytes + 1 : NULL;
	}
	return true;
}

void fs_path_directory(const char *path, char *directory)
{
	ASSERT(fs_path_is_valid(path));
	const char *slash = strrchr(path, '/');
	if (slash == NULL) {
		memcpy(directory, ".", 2);
		return;
	}
	size_t bytes = (size_t)(slash - path);
	memcpy(directory, path, bytes);
	directory[bytes] = '\0';
}

int fs_names_add(struct fs_names *names, const char *name, bool is_dir)
{
	ASSERT(names->count <= names->capacity);
	if (array_reserve(&names->names, &names->capacity, names->count + 1, sizeof(*names->names)))
		return ERR_NOMEM;
	size_t bytes = strlen(name) + 1;
	char *text = mem_alloc(bytes);
	if (text == NULL)
		return ERR_NOMEM;
	memcpy(text, name, bytes);
	names->names[names->count++] = (struct fs_name){.text = text, .is_dir = is_dir};
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct fs_name *)a)->text, ((const struct fs_name *)b)->text);
}

int fs_names_each(
    struct fs_names *names, int (*each)(void *arg, const char *name, bool is_dir), void *arg)
{
	if (names->count > 1)
		qsort(names->names, names->count, sizeof(*names->names), compare_names);
	for (size_t i = 0; i < names->count; i++) {
		int error = each(arg, names->names[i].text, names->names[i].is_dir);
		if (error < 0)
			return error;
	}
	return 0;
}

void fs_names_done(struct fs_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		mem_free(names->names[i].text);
	mem_free(names->names);
	*names = (struct fs_names){0};
}

int fs_read_file(struct fs *fs, const char *path, void *data, size_t bytes_max, size_t *ret_bytes)
{
	struct fs_file *file;
	int error = fs_open(fs, path, FS_READ, &file);
	if (error < 0)
		return error;
	uint64_t size = 0;
	size_t bytes = 0;
	error = fs_size(file, &size);
	if (error == 0 && size > bytes_max)
		error = ERR_TOO_LARGE;
	if (error == 0 && size > 0)
		error = fs_read(file, 0, data, (size_t)size, &bytes);
	fs_close(file);
	if (error < 0)
		return error;
	*ret_bytes = bytes;
	return 0;
}

/* Everything that must be true of the temporary file before it may take the name. */
static int write_new_file(struct fs *fs, const char *path, const void *data, size_t bytes)
{
	struct fs_file *file;
	int error = fs_open(fs, path, FS_WRITE | FS_CREATE, &file);
	if (error < 0)
		return error;
	/* One left behind by a crash may be longer than what is written now. */
	error = fs_truncate(file, 0);
	if (error == 0 && bytes > 0)
		error = fs_write(file, 0, data, bytes);
	if (error == 0)
		error = fs_sync(file);
	fs_close(file);
	return error;
}

int fs_replace_file(struct fs *fs, const char *path, const void *data, size_t bytes)
{
	char temporary[FS_PATH_BYTES_MAX + sizeof(TEMPORARY_SUFFIX)];
	char directory[FS_PATH_BYTES_MAX + 1];

	if (!fs_path_is_valid(path))
		return ERR_INVALID;
	size_t path_bytes = strlen(path);
	if (path_bytes + sizeof(TEMPORARY_SUFFIX) - 1 > FS_PATH_BYTES_MAX)
		return ERR_INVALID;
	memcpy(temporary, path, path_bytes);
	memcpy(temporary + path_bytes, TEMPORARY_SUFFIX, sizeof(TEMPORARY_SUFFIX));
	fs_path_directory(path, directory);

	int error = write_new_file(fs, temporary, data, bytes);
	if (error == 0)
		error = fs_rename(fs, temporary, path);
	if (error < 0) {
		/* Best effort: the next replacement truncates what is left behind. */
		int ignored = fs_unlink(fs, temporary);
		(void)ignored;
		return error;
	}
	return fs_sync_dir(fs, directory);
}

void *fs_buffer_alloc(size_t bytes)
{
	ASSERT(bytes > 0);
	ASSERT(bytes % FS_ALIGNMENT == 0);
	return mem_alloc_aligned(FS_ALIGNMENT, bytes);
}

void fs_buffer_free(void *buffer)
{
	mem_free(buffer);
}
