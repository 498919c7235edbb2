#include "storage/data_mending.h"

#include "base/assert.h"
#include "storage/data_file.h"

enum { MENDING_BYTES = 28, MENDING_BYTES_MAX = 4096 };

static const struct data_file FILE_MENDING = {.name = "mending",
    .magic = {'K', 'X', 'M', 'E', 'N', 'D', 'G', '\n'},
    .format = DATA_MENDING_FORMAT,
    .bytes_max = MENDING_BYTES_MAX};

int data_mending_read(struct fs *fs, uint64_t *ret_replica)
{
	uint8_t data[MENDING_BYTES_MAX];
	struct reader in;
	int error = data_file_read(fs, &FILE_MENDING, data, &in);
	if (error)
		return error;
	uint64_t replica = reader_u64le(&in);
	if (in.failed || reader_left(&in) != 0 || replica == 0)
		return ERR_CORRUPT;
	*ret_replica = replica;
	return 0;
}

int data_mending_write(struct fs *fs, uint64_t replica)
{
	uint8_t data[MENDING_BYTES];
	ASSERT(replica != 0);
	struct writer out = data_file_begin(&FILE_MENDING, data, sizeof(data));
	writer_u64le(&out, replica);
	ASSERT(writer_left(&out) == DATA_FILE_HASH_BYTES);
	return data_file_write(fs, &FILE_MENDING, &out);
}

int data_mending_end(struct fs *fs)
{
	return data_file_end(fs, &FILE_MENDING, ".");
}
