/* Files, called synchronously: at start, in offline tools, and in the offload pool.
 *
 * Two implementations of this header exist and the linker chooses: fs_posix.c (the kernel's files)
 * and sim/fs_sim.c (a simulated disk that loses, tears, misdirects and rots what was not synced,
 * and crashes the simulated node at any chosen call). Everything that Kalix itself writes to disk
 * goes through here or through io.h; only the storage engine below storage/store.h has files of its
 * own.
 *
 * What is durable when:
 *   - data and size of a file: after fs_sync of it returned 0, for the writes that had completed
 *     before it was called;
 *   - a name (created, renamed, unlinked): after fs_sync_dir of its directory returned 0, and only
 *     if what stands under the name was synced before;
 *   - nothing else, ever. A write that failed leaves its range undefined. A sync that failed is
 *     never retried: the kernel may have dropped the dirty pages and marked them clean, so that a
 *     second call would lie. The caller stops the process (PANIC in base/panic.h).
 *
 * Paths are relative to the root given to fs_open_root, have no "..", and are at most
 * FS_PATH_BYTES_MAX long. All functions block. A struct fs may be used by many threads; a struct
 * fs_file too, as long as two writes do not overlap in range and time.
 *
 * Errors: ERR_NOT_FOUND, ERR_EXISTS, ERR_NO_SPACE, ERR_PERMISSION, ERR_IO, ERR_BUSY (locks),
 * ERR_NOMEM. Interrupted and short calls are continued inside and never seen by the caller.
 */
#ifndef KX_BASE_IO_FS_H
#define KX_BASE_IO_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define FS_PATH_BYTES_MAX 1024
#define FS_ALIGNMENT      4096 /* of offset, length and address where FS_DIRECT is used */

struct fs;
struct fs_file;

/* Opens the directory that all paths start from; where `create`, makes it first (mode 0700, its
 * parent exists) and makes its name durable. In the simulator the root is the simulated node's,
 * whatever the path. */
NODISCARD int fs_open_root(const char *path, bool create, struct fs **ret_fs);
void fs_close_root(struct fs *fs); /* NULL-safe; every file of it was closed before */

enum fs_flag {
	FS_READ = 1,
	FS_WRITE = 2,
	FS_CREATE = 4,    /* make it where absent (mode 0600) */
	FS_EXCLUSIVE = 8, /* with FS_CREATE: ERR_EXISTS where present */
	/* Holds an exclusive lock on what is opened, tied to this open file itself, so that writes
	 * of a killed process that the kernel still carries keep it. Waits for it up to 10 s, then
	 * ERR_BUSY. */
	FS_LOCKED = 32,
	FS_DIRECT = 16, /* bypass the page cache; silently buffered where the file system cannot */
};

NODISCARD int fs_open(struct fs *fs, const char *path, unsigned flags, struct fs_file **ret_file);
void fs_close(struct fs_file *file); /* NULL-safe */

/* Reads up to `bytes` from `offset`; fewer only at the end of the file. */
NODISCARD int fs_read(
    struct fs_file *file, uint64_t offset, void *data, size_t bytes, size_t *ret_bytes);
NODISCARD int fs_write(struct fs_file *file, uint64_t offset, const void *data, size_t bytes);
NODISCARD int fs_sync(struct fs_file *file); /* fdatasync: data and size */
NODISCARD int fs_size(struct fs_file *file, uint64_t *ret_bytes);
/* Reserves disk space for the range and extends the size to its end; the new range reads as zeros.
 * Not durable before fs_sync. */
NODISCARD int fs_allocate(struct fs_file *file, uint64_t offset, uint64_t bytes);
NODISCARD int fs_truncate(struct fs_file *file, uint64_t bytes);

NODISCARD int fs_rename(struct fs *fs, const char *from, const char *to); /* replaces `to` */
NODISCARD int fs_unlink(struct fs *fs, const char *path);
NODISCARD int fs_make_dir(struct fs *fs, const char *path); /* 0 where it exists already */
NODISCARD int fs_sync_dir(struct fs *fs, const char *path); /* "." is the root */
NODISCARD int fs_exists(struct fs *fs, const char *path, bool *ret_exists);

/* Calls `each` for every name in the directory but "." and "..", in byte order (sorted, so that
 * two runs do the same); stops at the first negative result and returns it. */
NODISCARD int fs_list(struct fs *fs, const char *path,
    int (*each)(void *arg, const char *name, bool is_dir), void *arg);

/* Free bytes for this process, and all bytes, of the file system that holds the root. */
NODISCARD int fs_space(struct fs *fs, uint64_t *ret_free_bytes, uint64_t *ret_total_bytes);

/* An exclusive lock on a file (made where absent), given up by fs_unlock or when the process ends.
 * ERR_BUSY where another process, or another struct fs of this one, holds it. */
struct fs_lock;
NODISCARD int fs_lock(struct fs *fs, const char *path, struct fs_lock **ret_lock);
void fs_unlock(struct fs_lock *lock); /* NULL-safe */

/* Small files (identity and the like): read whole (ERR_TOO_LARGE above bytes_max), and replaced
 * atomically and durably: temporary name, write, sync, rename, directory sync. */
NODISCARD int fs_read_file(
    struct fs *fs, const char *path, void *data, size_t bytes_max, size_t *ret_bytes);
NODISCARD int fs_replace_file(struct fs *fs, const char *path, const void *data, size_t bytes);

/* Memory aligned for FS_DIRECT; `bytes` a multiple of FS_ALIGNMENT. NULL when there is none. */
void *fs_buffer_alloc(size_t bytes);
void fs_buffer_free(void *buffer); /* NULL-safe */

#endif
