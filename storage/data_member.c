#include "storage/data_member.h"

#include "base/assert.h"
#include "storage/data_file.h"

enum { MEMBER_BYTES = 52, MEMBER_BYTES_MAX = 4096 };

static const struct data_file FILE_MEMBER = {.name = "member",
    .magic = {'K', 'X', 'M', 'E', 'M', 'B', 'R', '\n'},
    .format = DATA_MEMBER_FORMAT,
    .bytes_max = MEMBER_BYTES_MAX};

int data_member_read(struct fs *fs, struct data_member *ret_member)
{
	uint8_t data[MEMBER_BYTES_MAX];
	struct reader in;
	struct data_member member = {0};
	int error = data_file_read(fs, &FILE_MEMBER, data, &in);
	if (error)
		return error;
	uint32_t node = reader_u32le(&in);
	reader_bytes(&in, member.cluster, sizeof(member.cluster));
	member.directory_replica = reader_u64le(&in);
	member.shards = reader_u32le(&in);
	if (in.failed || reader_left(&in) != 0 || node > UINT16_MAX ||
	    (node == 0) != (member.directory_replica == 0) || (node == 0) != (member.shards == 0))
		return ERR_CORRUPT;
	member.node = (uint16_t)node;
	*ret_member = member;
	return 0;
}

int data_member_write(struct fs *fs, const struct data_member *member)
{
	uint8_t data[MEMBER_BYTES];
	struct writer out = data_file_begin(&FILE_MEMBER, data, sizeof(data));
	writer_u32le(&out, member->node);
	writer_bytes(&out, member->cluster, sizeof(member->cluster));
	writer_u64le(&out, member->directory_replica);
	writer_u32le(&out, member->shards);
	ASSERT(writer_left(&out) == DATA_FILE_HASH_BYTES);
	return data_file_write(fs, &FILE_MEMBER, &out);
}
