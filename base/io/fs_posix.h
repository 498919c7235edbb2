/* What the ring needs to know about a file of fs_posix.c. Only base/io's own sources include
 * this. */
#ifndef KX_BASE_IO_FS_POSIX_H
#define KX_BASE_IO_FS_POSIX_H

#include <stdbool.h>

struct fs_file;

/* The file's descriptor; valid until fs_close. */
int fs_file_descriptor(const struct fs_file *file);
/* Whether it really bypasses the page cache. */
bool fs_file_is_direct(const struct fs_file *file);

/* How long fs_open with FS_LOCKED waits. Tests shorten it. */
extern unsigned fs_lock_wait_ms;

#endif
