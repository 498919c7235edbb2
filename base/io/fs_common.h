/* What both implementations of fs.h share. Only base/io's own sources include this. */
#ifndef KX_BASE_IO_FS_COMMON_H
#define KX_BASE_IO_FS_COMMON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Whether fs.h allows the path: relative, not empty, no "..", no empty component, not too long. */
bool fs_path_is_valid(const char *path);

/* Writes the directory part ("." where there is none); `directory` has FS_PATH_BYTES_MAX + 1
 * bytes. */
void fs_path_directory(const char *path, char *directory);

/* The names of one directory, collected in any order and handed out in byte order. Zeroed is
 * empty. */
struct fs_names {
	struct fs_name {
		char *text;
		bool is_dir;
	} * names;
	size_t count;
	size_t capacity;
};

NODISCARD int fs_names_add(struct fs_names *names, const char *name, bool is_dir);
NODISCARD int fs_names_each(
    struct fs_names *names, int (*each)(void *arg, const char *name, bool is_dir), void *arg);
void fs_names_done(struct fs_names *names); /* idempotent */

#endif
