/* Small files that stand anywhere, not in the data directory: a password, the ready file. Blocks.
 * Private to server/. */
#ifndef KX_SERVER_SMALL_FILE_H
#define KX_SERVER_SMALL_FILE_H

#include <stddef.h>

#include "base/error.h"

/* Also a pipe (/dev/fd/N), until it ends. Errors of base/io/fs.h; ERR_TOO_LARGE above bytes_max. */
NODISCARD int small_file_read(const char *path, void *data, size_t bytes_max, size_t *ret_bytes);
/* Whether small_file_write can: makes another file beside it and removes that. What stood there
 * from before is removed too. */
NODISCARD int small_file_prepare(const char *path);
/* Replaces it atomically. */
NODISCARD int small_file_write(const char *path, const void *data, size_t bytes);

#endif
