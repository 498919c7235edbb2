#include "storage/data_scan.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/io/fs.h"
#include "storage/data_file.h"

enum { SCAN_BYTES = 40, SCAN_BYTES_MAX = 4096, PATH_BYTES = FS_PATH_BYTES_MAX + 1 };

static struct data_file file_in(const char *dir, char path[PATH_BYTES])
{
	int bytes = snprintf(path, PATH_BYTES, "%s/SCANNED", dir);
	ASSERT(bytes > 0 && bytes < PATH_BYTES);
	return (struct data_file){.name = path,
	    .magic = {'K', 'X', 'S', 'C', 'A', 'N', 'D', '\n'},
	    .format = DATA_SCAN_FORMAT,
	    .bytes_max = SCAN_BYTES_MAX};
}

int data_scan_read(struct fs *fs, const char *dir, struct data_scan *ret_scan)
{
	char path[PATH_BYTES];
	uint8_t data[SCAN_BYTES_MAX];
	struct data_file file = file_in(dir, path);
	struct reader in;
	int error = data_file_read(fs, &file, data, &in);
	if (error)
		return error;
	struct data_scan scan = {.store = reader_u64le(&in)};
	scan.identity = reader_u64le(&in);
	uint32_t found = reader_u32le(&in);
	bool known = found == DATA_SCAN_NOTHING || found == DATA_SCAN_DIRECTORY;
	if (in.failed || reader_left(&in) != 0 || scan.identity == 0 || !known)
		return ERR_CORRUPT;
	scan.found = (enum data_scan_found)found;
	*ret_scan = scan;
	return 0;
}

int data_scan_write(struct fs *fs, const char *dir, const struct data_scan *scan)
{
	char path[PATH_BYTES];
	uint8_t data[SCAN_BYTES];
	ASSERT(scan->identity != 0);
	struct data_file file = file_in(dir, path);
	struct writer out = data_file_begin(&file, data, sizeof(data));
	writer_u64le(&out, scan->store);
	writer_u64le(&out, scan->identity);
	writer_u32le(&out, (uint32_t)scan->found);
	ASSERT(writer_left(&out) == DATA_FILE_HASH_BYTES);
	return data_file_write(fs, &file, &out);
}

int data_scan_end(struct fs *fs, const char *dir)
{
	char path[PATH_BYTES];
	struct data_file file = file_in(dir, path);
	return data_file_end(fs, &file, dir);
}
