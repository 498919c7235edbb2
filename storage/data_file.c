#include "storage/data_file.h"

#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/io/fs.h"

static int open_content(const struct data_file *file, struct slice data, struct reader *ret_content)
{
	if (data.bytes < DATA_FILE_BYTES ||
	    memcmp(data.data, file->magic, sizeof(file->magic)) != 0)
		return ERR_CORRUPT;
	struct slice body = slice_of(data.data, data.bytes - DATA_FILE_HASH_BYTES);
	if (load_u64le(data.data + body.bytes) != hash_bytes(body, 0))
		return ERR_CORRUPT;
	*ret_content = reader_of(body);
	reader_skip(ret_content, sizeof(file->magic));
	return reader_u32le(ret_content) == file->format ? 0 : ERR_FORMAT;
}

int data_file_read(
    struct fs *fs, const struct data_file *file, uint8_t *data, struct reader *ret_content)
{
	size_t bytes;
	int error = fs_read_file(fs, file->name, data, file->bytes_max, &bytes);
	if (error == ERR_TOO_LARGE)
		return ERR_CORRUPT;
	return error < 0 ? error : open_content(file, slice_of(data, bytes), ret_content);
}

struct writer data_file_begin(const struct data_file *file, uint8_t *data, size_t bytes)
{
	struct writer out = writer_of(data, bytes);
	writer_bytes(&out, file->magic, sizeof(file->magic));
	writer_u32le(&out, file->format);
	return out;
}

int data_file_write(struct fs *fs, const struct data_file *file, struct writer *out)
{
	writer_u64le(out, hash_bytes(writer_view(out), 0));
	ASSERT(!out->failed);
	struct slice data = writer_view(out);
	return fs_replace_file(fs, file->name, data.data, data.bytes);
}

int data_file_end(struct fs *fs, const struct data_file *file, const char *dir)
{
	int error = fs_unlink(fs, file->name);
	if (error == ERR_NOT_FOUND)
		return 0;
	return error < 0 ? error : fs_sync_dir(fs, dir);
}
