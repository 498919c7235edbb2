#include "storage/install_file.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/io/fs.h"
#include "base/mem.h"

#include <string.h>

static const char MAGIC[8] = {'K', 'X', 'I', 'N', 'T', 'E', 'N', 'T'};
enum { HASHED_BYTES = INSTALL_HEAD_BYTES - 8 };

/* ---- Heads ---- */

void install_head_encode(const struct install_head *head, uint8_t data[INSTALL_HEAD_BYTES])
{
	struct writer out = writer_of(data, INSTALL_HEAD_BYTES);
	writer_bytes(&out, MAGIC, sizeof(MAGIC));
	writer_u32le(&out, INSTALL_FORMAT);
	writer_u32le(&out, (uint32_t)head->kind);
	writer_u64le(&out, head->store);
	writer_u32le(&out, head->shard);
	writer_u32le(&out, head->heals ? 1 : 0);
	writer_u64le(&out, head->index);
	writer_u64le(&out, head->term);
	writer_u64le(&out, head->blocks);
	writer_u64le(&out, head->pairs);
	writer_u64le(&out, head->bytes);
	writer_u64le(&out, head->hash);
	writer_u64le(&out, head->frame);
	writer_u64le(&out, hash_bytes(slice_of(data, HASHED_BYTES), 0));
	ASSERT(!out.failed && writer_left(&out) == 0);
}

static bool hash_is_right(const uint8_t head[INSTALL_HEAD_BYTES])
{
	return load_u64le(head + HASHED_BYTES) == hash_bytes(slice_of(head, HASHED_BYTES), 0);
}

/* A rotten bit of the version is damage, not another version: with ours in its place the hash is
 * right. */
static int judge_format(struct slice data, uint32_t format)
{
	uint8_t head[INSTALL_HEAD_BYTES];
	if (format == INSTALL_FORMAT)
		return 0;
	if (data.bytes != sizeof(head))
		return ERR_FORMAT;
	memcpy(head, data.data, sizeof(head));
	store_u32le(head + sizeof(MAGIC), INSTALL_FORMAT);
	return hash_is_right(head) ? ERR_CORRUPT : ERR_FORMAT;
}

int install_head_decode(struct slice data, struct install_head *ret_head)
{
	struct reader in = reader_of(data);
	struct slice magic = reader_slice(&in, sizeof(MAGIC));
	uint32_t format = reader_u32le(&in);
	if (in.failed || !slice_equal(magic, slice_of(MAGIC, sizeof(MAGIC))))
		return ERR_CORRUPT;
	int error = judge_format(data, format);
	if (error)
		return error;
	uint32_t kind = reader_u32le(&in);
	struct install_head head = {.kind = (enum install_kind)kind};
	head.store = reader_u64le(&in);
	head.shard = reader_u32le(&in);
	uint32_t heals = reader_u32le(&in);
	head.index = reader_u64le(&in);
	head.term = reader_u64le(&in);
	head.blocks = reader_u64le(&in);
	head.pairs = reader_u64le(&in);
	head.bytes = reader_u64le(&in);
	head.hash = reader_u64le(&in);
	head.frame = reader_u64le(&in);
	reader_skip(&in, sizeof(uint64_t));
	if (!reader_finished(&in) || !hash_is_right(data.data))
		return ERR_CORRUPT;
	bool is_state = kind == INSTALL_STATE && head.index > 0;
	bool is_removal = kind == INSTALL_REMOVAL && head.index == 0 && head.blocks == 0;
	if (heals > 1 || head.shard >= KEY_SHARDS_MAX || (!is_state && !is_removal))
		return ERR_CORRUPT;
	head.heals = heals == 1;
	*ret_head = head;
	return 0;
}

uint64_t install_block_seal(uint8_t *block, uint32_t bytes, uint32_t pairs, uint64_t before)
{
	uint64_t hash = hash_bytes(slice_of(block + INSTALL_BLOCK_HEAD_BYTES, bytes), before);
	store_u32le(block, bytes);
	store_u32le(block + 4, pairs);
	store_u64le(block + 8, hash);
	return hash;
}

/* ---- Reading ---- */

static int read_whole(struct fs_file *file, uint64_t offset, void *data, size_t bytes)
{
	size_t count = 0;
	int error = fs_read(file, offset, data, bytes, &count);
	if (error)
		return error;
	return count == bytes ? 0 : ERR_CORRUPT;
}

int install_reader_open(struct fs *fs, const char *path, struct install_reader *ret_reader)
{
	struct install_reader reader = {.offset = INSTALL_HEAD_BYTES};
	uint8_t head[INSTALL_HEAD_BYTES];
	int error = fs_open(fs, path, FS_READ, &reader.file);
	if (error)
		return error;
	/* One of another version may be shorter. */
	size_t bytes = 0;
	error = fs_read(reader.file, 0, head, sizeof(head), &bytes);
	if (!error)
		error = install_head_decode(slice_of(head, bytes), &reader.head);
	if (error) {
		fs_close(reader.file);
		return error;
	}
	*ret_reader = reader;
	return 0;
}

void install_reader_close(struct install_reader *reader)
{
	fs_close(reader->file);
	mem_free(reader->block);
	*reader = (struct install_reader){.file = NULL};
}

static int block_room(struct install_reader *reader, uint32_t bytes)
{
	if (bytes <= reader->capacity)
		return 0;
	uint8_t *block = mem_realloc(reader->block, bytes);
	if (!block)
		return ERR_NOMEM;
	reader->block = block;
	reader->capacity = bytes;
	return 0;
}

/* ERR_NOT_FOUND: there is no further one. */
static int next_block(struct install_reader *reader)
{
	const struct install_head *head = &reader->head;
	if (reader->blocks == head->blocks) {
		bool whole = reader->hash == head->hash && reader->pairs == head->pairs &&
		             reader->offset == head->bytes;
		return whole ? ERR_NOT_FOUND : ERR_CORRUPT;
	}
	uint8_t block_head[INSTALL_BLOCK_HEAD_BYTES];
	int error = read_whole(reader->file, reader->offset, block_head, sizeof(block_head));
	if (error)
		return error;
	uint32_t bytes = load_u32le(block_head);
	uint64_t begin = reader->offset + sizeof(block_head);
	/* Before memory is asked for. */
	if (begin > head->bytes || bytes > head->bytes - begin)
		return ERR_CORRUPT;
	error = block_room(reader, bytes);
	if (!error)
		error = read_whole(reader->file, begin, reader->block, bytes);
	if (error)
		return error;
	uint64_t hash = hash_bytes(slice_of(reader->block, bytes), reader->hash);
	if (hash != load_u64le(block_head + 8))
		return ERR_CORRUPT;
	reader->hash = hash;
	reader->offset = begin + bytes;
	reader->bytes = bytes;
	reader->at = 0;
	reader->block_pairs = load_u32le(block_head + 4);
	reader->blocks++;
	return 0;
}

int install_reader_next(
    struct install_reader *reader, struct slice *ret_key, struct slice *ret_value)
{
	while (reader->block_pairs == 0) {
		if (reader->at != reader->bytes)
			return ERR_CORRUPT;
		int error = next_block(reader);
		if (error)
			return error;
	}
	struct reader in =
	    reader_of(slice_of(reader->block + reader->at, reader->bytes - reader->at));
	struct slice key = reader_varint_slice(&in);
	struct slice value = reader_varint_slice(&in);
	if (in.failed || key.bytes == 0 || key.bytes > INSTALL_KEY_BYTES_MAX ||
	    value.bytes > BATCH_VALUE_BYTES_MAX)
		return ERR_CORRUPT;
	reader->at = reader->bytes - (uint32_t)reader_left(&in);
	reader->block_pairs--;
	reader->pairs++;
	*ret_key = key;
	*ret_value = value;
	return 0;
}
