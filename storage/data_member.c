#include "storage/data_member.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/io/fs.h"

static const char MEMBER[] = "member";

enum {
	MAGIC_BYTES = 8,
	HASH_BYTES = 8,
	MEMBER_BYTES = 52,
	MEMBER_BYTES_MIN = MAGIC_BYTES + 4 + HASH_BYTES, /* in any format */
	MEMBER_BYTES_MAX = 4096,
};

static const char MAGIC[MAGIC_BYTES] = {'K', 'X', 'M', 'E', 'M', 'B', 'R', '\n'};

static int decode(struct slice data, struct data_member *ret_member)
{
	if (data.bytes < MEMBER_BYTES_MIN || memcmp(data.data, MAGIC, sizeof(MAGIC)) != 0)
		return ERR_CORRUPT;
	struct slice body = slice_of(data.data, data.bytes - HASH_BYTES);
	if (load_u64le(data.data + body.bytes) != hash_bytes(body, 0))
		return ERR_CORRUPT;
	struct reader in = reader_of(body);
	struct data_member member = {0};
	reader_skip(&in, sizeof(MAGIC));
	if (reader_u32le(&in) != DATA_MEMBER_FORMAT)
		return ERR_FORMAT;
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

int data_member_read(struct fs *fs, struct data_member *ret_member)
{
	uint8_t data[MEMBER_BYTES_MAX];
	size_t bytes;
	int error = fs_read_file(fs, MEMBER, data, sizeof(data), &bytes);
	if (error == ERR_TOO_LARGE)
		return ERR_CORRUPT;
	return error < 0 ? error : decode(slice_of(data, bytes), ret_member);
}

int data_member_write(struct fs *fs, const struct data_member *member)
{
	uint8_t data[MEMBER_BYTES];
	struct writer out = writer_of(data, sizeof(data));
	writer_bytes(&out, MAGIC, sizeof(MAGIC));
	writer_u32le(&out, DATA_MEMBER_FORMAT);
	writer_u32le(&out, member->node);
	writer_bytes(&out, member->cluster, sizeof(member->cluster));
	writer_u64le(&out, member->directory_replica);
	writer_u32le(&out, member->shards);
	writer_u64le(&out, hash_bytes(writer_view(&out), 0));
	ASSERT(!out.failed && writer_used(&out) == sizeof(data));
	return fs_replace_file(fs, MEMBER, data, sizeof(data));
}
