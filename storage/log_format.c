#include "storage/log_format.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mutation.h"

#define MAGIC             0x0a454d415246584bULL /* "KXFRAME\n" */
#define HASH_OFFSET       96
#define HASH_BYTES        16
#define NUMBER_BYTES      8
#define RECORD_KIND_FIRST LOG_ENTRY
#define RECORD_KIND_LAST  LOG_ACCEPT_LOSS

_Static_assert(HASH_OFFSET + HASH_BYTES == LOG_FRAME_HEADER_BYTES, "the hash ends the header");

const char *log_verdict_text(enum log_verdict verdict)
{
	switch (verdict) {
	case LOG_VALID:
		return "a valid frame";
	case LOG_ZERO:
		return "zeros, never written";
	case LOG_GARBAGE:
		return "no frame begins here";
	case LOG_FOREIGN:
		return "a frame of another store";
	case LOG_MISPLACED:
		return "a frame written for another place";
	case LOG_BAD_SIZE:
		return "a frame whose sizes are impossible";
	case LOG_BAD_HASH:
		return "a frame whose hash is wrong";
	case LOG_BAD_RECORDS:
		return "a frame whose records are malformed";
	case LOG_UNREADABLE:
		return "unreadable, the device gives an error";
	case LOG_NEWER_FORMAT:
		return "a frame of a newer format";
	}
	UNREACHABLE();
}

static struct log_frame_header header_read(const uint8_t *data)
{
	return (struct log_frame_header){
	    .kind = (enum log_frame_kind)load_u32le(data + 12),
	    .store = load_u64le(data + 16),
	    .segment = load_u64le(data + 24),
	    .offset = load_u64le(data + 32),
	    .frame = load_u64le(data + 40),
	    .life = load_u64le(data + 48),
	    .watermark = load_u64le(data + 56),
	    .chain = load_u64le(data + 64),
	    .life_frame = load_u64le(data + 88),
	    .frame_bytes = load_u32le(data + 72),
	    .used_bytes = load_u32le(data + 76),
	    .directory_count = load_u32le(data + 80),
	    .record_count = load_u32le(data + 84),
	    .hash = {load_u64le(data + HASH_OFFSET), load_u64le(data + HASH_OFFSET + 8)},
	};
}

static bool sizes_agree(const struct log_frame_header *header, uint64_t room)
{
	if (header->frame_bytes == 0 || header->frame_bytes % LOG_ALIGNMENT != 0)
		return false;
	if (header->frame_bytes > room || header->used_bytes > header->frame_bytes)
		return false;
	uint64_t least = LOG_FRAME_HEADER_BYTES +
	                 (uint64_t)header->directory_count * LOG_DIRECTORY_ENTRY_BYTES +
	                 (uint64_t)header->record_count * LOG_RECORD_HEADER_BYTES;
	return least <= header->used_bytes;
}

static bool hash_agrees(const uint8_t *data, const struct log_frame_header *header)
{
	static const uint8_t zeros[HASH_BYTES];
	struct hash_stream stream;
	hash_stream_init(&stream, 0);
	hash_stream_update(&stream, slice_of(data, HASH_OFFSET));
	hash_stream_update(&stream, slice_of(zeros, HASH_BYTES));
	hash_stream_update(&stream,
	    slice_of(data + LOG_FRAME_HEADER_BYTES, header->frame_bytes - LOG_FRAME_HEADER_BYTES));
	struct hash128 hash = hash128_stream_value(&stream);
	return hash.low == header->hash[0] && hash.high == header->hash[1];
}

/* A hash says that the bytes are those that were written, not that the writer was right; and it is
 * no secret. What is read from here on is trusted, so it is looked at once, here. */
static bool content_agrees(const uint8_t *data, const struct log_frame_header *header)
{
	if (header->kind < LOG_FRAME_RECORDS || header->kind > LOG_FRAME_REPAIR)
		return false;
	if (header->frame == 0 || header->life == 0 || header->watermark >= header->frame ||
	    header->life_frame == 0 || header->life_frame > header->frame)
		return false;
	const uint8_t *at = data + LOG_FRAME_HEADER_BYTES +
	                    (size_t)header->directory_count * LOG_DIRECTORY_ENTRY_BYTES;
	const uint8_t *end = data + header->used_bytes;
	for (uint32_t i = 0; i < header->record_count; i++) {
		if ((size_t)(end - at) < LOG_RECORD_HEADER_BYTES)
			return false;
		uint32_t kind = load_u32le(at + 4);
		uint32_t bytes = load_u32le(at + 24);
		if (kind < RECORD_KIND_FIRST || kind > RECORD_KIND_LAST)
			return false;
		bool has_number = kind == LOG_HARD_STATE || kind == LOG_TRUNCATE;
		if (kind != LOG_ENTRY && bytes != (has_number ? NUMBER_BYTES : 0))
			return false;
		at += LOG_RECORD_HEADER_BYTES;
		if ((size_t)(end - at) < bytes)
			return false;
		at += bytes;
	}
	return at == end;
}

enum log_verdict log_frame_check(const uint8_t *data, size_t available, uint64_t store,
    uint64_t segment, uint64_t offset, uint64_t segment_bytes, struct log_frame_header *ret_header)
{
	ASSERT(offset % LOG_ALIGNMENT == 0);
	ASSERT(offset <= segment_bytes);
	if (available < LOG_FRAME_HEADER_BYTES) {
		ret_header->frame_bytes = 0;
		return LOG_BAD_SIZE;
	}
	uint64_t magic = load_u64le(data);
	if (magic != MAGIC)
		return magic == 0 ? LOG_ZERO : LOG_GARBAGE;
	struct log_frame_header header = header_read(data);
	if ((header.segment != segment || header.offset != offset) &&
	    !MUTATION(log_accept_stale_recycled_frame))
		return LOG_MISPLACED;
	if (!sizes_agree(&header, segment_bytes - offset)) {
		ret_header->frame_bytes = 0;
		return LOG_BAD_SIZE;
	}
	if (available < header.frame_bytes) {
		ret_header->frame_bytes = header.frame_bytes;
		return LOG_BAD_SIZE;
	}
	if (!hash_agrees(data, &header) && !MUTATION(log_hash_not_checked))
		return LOG_BAD_HASH;
	if (header.store != store)
		return LOG_FOREIGN;
	uint32_t format = load_u32le(data + 8);
	if (format > LOG_FORMAT)
		return LOG_NEWER_FORMAT;
	if (format != LOG_FORMAT || !content_agrees(data, &header))
		return LOG_BAD_RECORDS;
	*ret_header = header;
	return LOG_VALID;
}

void log_directory_begin(
    const uint8_t *frame, const struct log_frame_header *header, struct log_frame_cursor *cursor)
{
	cursor->at = frame + LOG_FRAME_HEADER_BYTES;
	cursor->end = cursor->at + (size_t)header->directory_count * LOG_DIRECTORY_ENTRY_BYTES;
	cursor->left = header->directory_count;
}

bool log_directory_next(struct log_frame_cursor *cursor, struct log_extent *ret_extent)
{
	if (cursor->left == 0)
		return false;
	ASSERT(cursor->end - cursor->at >= LOG_DIRECTORY_ENTRY_BYTES);
	*ret_extent = (struct log_extent){
	    .group = load_u32le(cursor->at),
	    .flags = load_u32le(cursor->at + 4),
	    .first_index = load_u64le(cursor->at + 8),
	    .last_index = load_u64le(cursor->at + 16),
	};
	cursor->at += LOG_DIRECTORY_ENTRY_BYTES;
	cursor->left--;
	return true;
}

void log_records_begin(
    const uint8_t *frame, const struct log_frame_header *header, struct log_frame_cursor *cursor)
{
	cursor->at = frame + LOG_FRAME_HEADER_BYTES +
	             (size_t)header->directory_count * LOG_DIRECTORY_ENTRY_BYTES;
	cursor->end = frame + header->used_bytes;
	cursor->left = header->record_count;
}

bool log_record_next(struct log_frame_cursor *cursor, struct log_record *ret_record)
{
	if (cursor->left == 0)
		return false;
	const uint8_t *at = cursor->at;
	ASSERT(cursor->end - at >= LOG_RECORD_HEADER_BYTES);
	uint32_t bytes = load_u32le(at + 24);
	ASSERT((size_t)(cursor->end - at) - LOG_RECORD_HEADER_BYTES >= bytes);
	*ret_record = (struct log_record){
	    .group = load_u32le(at),
	    .kind = (enum log_record_kind)load_u32le(at + 4),
	    .term = load_u64le(at + 8),
	    .index = load_u64le(at + 16),
	    .payload = slice_of(at + LOG_RECORD_HEADER_BYTES, bytes),
	};
	cursor->at = at + LOG_RECORD_HEADER_BYTES + bytes;
	cursor->left--;
	return true;
}

void log_frame_seal(uint8_t *frame, struct log_frame_header *header)
{
	ASSERT(header->offset % LOG_ALIGNMENT == 0);
	ASSERT(sizes_agree(header, header->frame_bytes));
	store_u64le(frame, MAGIC);
	store_u32le(frame + 8, LOG_FORMAT);
	store_u32le(frame + 12, (uint32_t)header->kind);
	store_u64le(frame + 16, header->store);
	store_u64le(frame + 24, header->segment);
	store_u64le(frame + 32, header->offset);
	store_u64le(frame + 40, header->frame);
	store_u64le(frame + 48, header->life);
	store_u64le(frame + 56, header->watermark);
	store_u64le(frame + 64, header->chain);
	store_u32le(frame + 72, header->frame_bytes);
	store_u32le(frame + 76, header->used_bytes);
	store_u32le(frame + 80, header->directory_count);
	store_u32le(frame + 84, header->record_count);
	store_u64le(frame + 88, header->life_frame);
	memset(frame + HASH_OFFSET, 0, HASH_BYTES);
	struct hash128 hash = hash128_bytes(slice_of(frame, header->frame_bytes), 0);
	header->hash[0] = hash.low;
	header->hash[1] = hash.high;
	store_u64le(frame + HASH_OFFSET, hash.low);
	store_u64le(frame + HASH_OFFSET + 8, hash.high);
}
