/* What a data directory's small files have in common: a magic, a format version, content, and a
 * checksum. Private to storage, but for data_dir.c, which tells apart what is wrong with its own.
 *
 *   offset bytes  field
 *        0     8  magic
 *        8     4  format version, little-endian
 *       12        content
 *     last     8  XXH3-64 of all bytes before it, in every format
 *
 * Blocks; one thread.
 */
#ifndef KX_STORAGE_DATA_FILE_H
#define KX_STORAGE_DATA_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

struct fs;

#define DATA_FILE_MAGIC_BYTES 8
#define DATA_FILE_HASH_BYTES  8
/* Of a file without content. */
#define DATA_FILE_BYTES (DATA_FILE_MAGIC_BYTES + 4 + DATA_FILE_HASH_BYTES)

struct data_file {
	const char *name;
	char magic[DATA_FILE_MAGIC_BYTES];
	uint32_t format;
	size_t bytes_max; /* of a whole file, in any format */
};

/* `data` has room for bytes_max; the content stands in it. ERR_NOT_FOUND: there is none;
 * ERR_CORRUPT; ERR_FORMAT: a newer version wrote it; errors of base/io/fs.h. */
NODISCARD int data_file_read(
    struct fs *fs, const struct data_file *file, uint8_t *data, struct reader *ret_content);

/* Begins a file in `data`; the content is written behind that. */
struct writer data_file_begin(const struct data_file *file, uint8_t *data, size_t bytes);
/* Ends it, and puts it in the place of the old one: atomic and durable. All of it had room. Errors
 * of base/io/fs.h. */
NODISCARD int data_file_write(struct fs *fs, const struct data_file *file, struct writer *out);
/* Takes it away from `dir`, in which it stands, durably; 0 also where there is none. Errors of
 * base/io/fs.h. */
NODISCARD int data_file_end(struct fs *fs, const struct data_file *file, const char *dir);

#endif
