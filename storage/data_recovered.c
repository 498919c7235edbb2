#include "storage/data_recovered.h"

#include "base/assert.h"
#include "storage/data_file.h"

enum { RECOVERED_BYTES_MAX = 4096 };
_Static_assert(DATA_FILE_BYTES + 5 * 8 + 4 + DATA_RECOVERED_GIVEN_UP_MAX * 8 <= RECOVERED_BYTES_MAX,
    "all of them fit");

static const struct data_file FILE_RECOVERED = {.name = "recovered",
    .magic = {'K', 'X', 'R', 'E', 'C', 'O', 'V', '\n'},
    .format = DATA_RECOVERED_FORMAT,
    .bytes_max = RECOVERED_BYTES_MAX};

int data_recovered_read(struct fs *fs, struct data_recovered *ret_recovered)
{
	uint8_t data[RECOVERED_BYTES_MAX];
	struct data_recovered one = {.replica = 0};
	struct reader in;
	int error = data_file_read(fs, &FILE_RECOVERED, data, &in);
	if (error)
		return error;
	one.replica = reader_u64le(&in);
	one.term = reader_u64le(&in);
	one.committed = reader_u64le(&in);
	one.index = reader_u64le(&in);
	one.at_ms = (int64_t)reader_u64le(&in);
	one.given_up_count = reader_u32le(&in);
	if (in.failed || one.replica == 0 || one.given_up_count > DATA_RECOVERED_GIVEN_UP_MAX)
		return ERR_CORRUPT;
	for (uint32_t i = 0; i < one.given_up_count; i++) {
		one.given_up[i] = reader_u64le(&in);
		if (one.given_up[i] == 0)
			return ERR_CORRUPT;
	}
	if (in.failed || reader_left(&in) != 0)
		return ERR_CORRUPT;
	*ret_recovered = one;
	return 0;
}

int data_recovered_write(struct fs *fs, const struct data_recovered *recovered)
{
	uint8_t data[RECOVERED_BYTES_MAX];
	ASSERT(recovered->replica != 0);
	ASSERT(recovered->given_up_count <= DATA_RECOVERED_GIVEN_UP_MAX);
	struct writer out = data_file_begin(&FILE_RECOVERED, data, sizeof(data));
	writer_u64le(&out, recovered->replica);
	writer_u64le(&out, recovered->term);
	writer_u64le(&out, recovered->committed);
	writer_u64le(&out, recovered->index);
	writer_u64le(&out, (uint64_t)recovered->at_ms);
	writer_u32le(&out, recovered->given_up_count);
	for (uint32_t i = 0; i < recovered->given_up_count; i++)
		writer_u64le(&out, recovered->given_up[i]);
	return data_file_write(fs, &FILE_RECOVERED, &out);
}

int data_recovered_end(struct fs *fs)
{
	return data_file_end(fs, &FILE_RECOVERED, ".");
}
