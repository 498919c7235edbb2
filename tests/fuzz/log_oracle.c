#include "tests/fuzz/log_oracle.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "storage/log_format.h"

enum { HEADER_BYTES = 112, ENTRY_BYTES = 24, RECORD_BYTES = 28, HASH_AT = 96, BLOCK_BYTES = 4096 };

/* ---- A reader of its own, from the layout in log_format.h ---- */

static uint64_t number(const uint8_t *data, size_t at, size_t bytes)
{
	uint64_t value = 0;
	for (size_t i = bytes; i-- > 0;)
		value = value << 8 | data[at + i];
	return value;
}

static struct hash128 hash_of(const uint8_t *data, size_t bytes)
{
	struct hash128 hash = {0};
	uint8_t *copy = malloc(bytes);
	if (copy) {
		memcpy(copy, data, bytes);
		memset(copy + HASH_AT, 0, 16);
		hash = hash128_bytes(slice_of(copy, bytes), 0);
		free(copy);
	}
	return hash;
}

/* Whether the header's numbers can be those of a frame of a log. */
static bool is_plausible(const uint8_t *data)
{
	uint64_t kind = number(data, 12, 4), frame = number(data, 40, 8);
	uint64_t life_frame = number(data, 88, 8);
	return kind >= 1 && kind <= 5 && frame >= 1 && number(data, 48, 8) >= 1 &&
	       number(data, 56, 8) < frame && life_frame >= 1 && life_frame <= frame;
}

/* Where records stop that begin at `at` and end at `end` at the latest; 0: they do not fit, or are
 * of no kind. */
static uint64_t end_of_records(const uint8_t *data, uint64_t at, uint64_t end, uint64_t count)
{
	for (; count > 0; count--) {
		if (end - at < RECORD_BYTES)
			return 0;
		uint64_t kind = number(data, at + 4, 4), bytes = number(data, at + 24, 4);
		if (kind < 1 || kind > 5 || bytes > end - at - RECORD_BYTES)
			return 0;
		if (((kind == 2 || kind == 4) && bytes != 8) ||
		    ((kind == 3 || kind == 5) && bytes != 0))
			return 0;
		at += RECORD_BYTES + bytes;
	}
	return at;
}

/* What the bytes are for a reader of `store` who read them at the place that they state. */
static enum log_verdict expected(struct slice bytes, uint64_t room)
{
	const uint8_t *data = bytes.data;
	if (bytes.bytes < HEADER_BYTES)
		return LOG_BAD_SIZE;
	if (number(data, 0, 8) == 0)
		return LOG_ZERO;
	if (memcmp(data, "KXFRAME\n", 8) != 0)
		return LOG_GARBAGE;
	uint64_t frame_bytes = number(data, 72, 4), used = number(data, 76, 4);
	uint64_t entries = number(data, 80, 4), records = number(data, 84, 4);
	if (frame_bytes == 0 || frame_bytes % BLOCK_BYTES != 0 || frame_bytes > room ||
	    used > frame_bytes ||
	    used < HEADER_BYTES + entries * ENTRY_BYTES + records * RECORD_BYTES ||
	    frame_bytes > bytes.bytes)
		return LOG_BAD_SIZE;
	struct hash128 hash = hash_of(data, frame_bytes);
	if (hash.low != number(data, HASH_AT, 8) || hash.high != number(data, HASH_AT + 8, 8))
		return LOG_BAD_HASH;
	uint64_t format = number(data, 8, 4);
	if (format > 1)
		return LOG_NEWER_FORMAT;
	uint64_t first = HEADER_BYTES + entries * ENTRY_BYTES;
	if (format != 1 || !is_plausible(data) ||
	    end_of_records(data, first, used, records) != used)
		return LOG_BAD_RECORDS;
	return LOG_VALID;
}

/* ---- The writer ---- */

/* Everything that was read, written into memory of zeros, gives the same bytes. */
static const char *written_again(const uint8_t *data, const struct log_frame_header *header)
{
	uint8_t *again = calloc(1, header->frame_bytes);
	if (!again)
		return NULL;
	uint8_t *at = again + HEADER_BYTES;
	struct log_frame_cursor cursor;
	struct log_extent extent;
	struct log_record record;
	uint32_t entries = 0, records = 0;
	log_directory_begin(data, header, &cursor);
	for (; log_directory_next(&cursor, &extent); at += ENTRY_BYTES, entries++)
		log_extent_write(at, &extent);
	log_records_begin(data, header, &cursor);
	for (; log_record_next(&cursor, &record); records++) {
		log_record_write(at, record.group, record.kind, record.term, record.index,
		    (uint32_t)record.payload.bytes);
		if (record.payload.bytes > 0)
			memcpy(at + RECORD_BYTES, record.payload.data, record.payload.bytes);
		at += RECORD_BYTES + record.payload.bytes;
	}
	bool counts = entries == header->directory_count && records == header->record_count &&
	              at == again + header->used_bytes;
	/* Padding is nobody's; but it is hashed. */
	memcpy(again + header->used_bytes, data + header->used_bytes,
	    header->frame_bytes - header->used_bytes);
	struct log_frame_header sealed = *header;
	log_frame_seal(again, &sealed);
	bool same = memcmp(again, data, header->frame_bytes) == 0;
	free(again);
	if (!counts)
		return "directory and records are as many as the header says, and fill the frame";
	return same ? NULL : "a frame written again is the same";
}

/* ---- What must hold ---- */

struct place {
	uint64_t store;
	uint64_t segment;
	uint64_t offset;
	uint64_t segment_bytes;
};

static enum log_verdict check(struct slice bytes, const struct place *place)
{
	struct log_frame_header header;
	return log_frame_check(bytes.data, bytes.bytes, place->store, place->segment, place->offset,
	    place->segment_bytes, &header);
}

/* A frame counts at one place and for one store only, and none of its bits may be wrong. */
static const char *nowhere_else(
    struct slice bytes, const struct place *place, uint32_t frame_bytes, uint64_t seed)
{
	struct place other = *place;
	other.store++;
	if (check(bytes, &other) != LOG_FOREIGN)
		return "a frame of another store is foreign";
	other = *place;
	other.segment++;
	if (check(bytes, &other) != LOG_MISPLACED)
		return "a frame of another segment is misplaced";
	other = *place;
	other.offset += BLOCK_BYTES;
	other.segment_bytes += BLOCK_BYTES;
	if (check(bytes, &other) != LOG_MISPLACED)
		return "a frame of another offset is misplaced";
	struct log_frame_header header;
	if (log_frame_check(bytes.data, frame_bytes - 1, place->store, place->segment,
	        place->offset, place->segment_bytes, &header) != LOG_BAD_SIZE ||
	    header.frame_bytes != frame_bytes)
		return "of the beginning of a frame it is said how much there is to read";
	uint8_t *copy = malloc(frame_bytes);
	if (!copy)
		return NULL;
	memcpy(copy, bytes.data, frame_bytes);
	copy[seed / 8 % frame_bytes] ^= (uint8_t)(1 << seed % 8);
	enum log_verdict verdict = check(slice_of(copy, frame_bytes), place);
	free(copy);
	bool damage = verdict != LOG_VALID && verdict != LOG_FOREIGN && verdict != LOG_NEWER_FORMAT;
	return damage ? NULL : "one wrong bit is damage";
}

const char *log_oracle(struct slice bytes, uint64_t seed)
{
	const uint8_t *data = bytes.data;
	struct place place = {.segment = 1, .store = 1};
	if (bytes.bytes >= HEADER_BYTES) {
		place.store = number(data, 16, 8);
		place.segment = number(data, 24, 8);
		place.offset = number(data, 32, 8);
	}
	uint64_t room = 4 * BLOCK_BYTES;
	bool possible = place.offset % BLOCK_BYTES == 0 && place.offset < UINT64_MAX / 2;
	if (!possible)
		place.offset = 0;
	place.segment_bytes = place.offset + room;

	struct log_frame_header header;
	enum log_verdict verdict = log_frame_check(bytes.data, bytes.bytes, place.store,
	    place.segment, place.offset, place.segment_bytes, &header);
	if (!possible)
		return verdict == LOG_VALID ? "a frame stands at a multiple of a block" : NULL;
	if (verdict != expected(bytes, room))
		return "both readers say the same of a frame";
	if (verdict != LOG_VALID)
		return NULL;
	const char *wrong = written_again(data, &header);
	return wrong ? wrong : nowhere_else(bytes, &place, header.frame_bytes, seed);
}

void log_oracle_give_hash(uint8_t *data, size_t bytes)
{
	if (bytes < HEADER_BYTES)
		return;
	uint64_t frame_bytes = number(data, 72, 4);
	if (frame_bytes < HEADER_BYTES || frame_bytes > bytes)
		return;
	struct hash128 hash = hash_of(data, frame_bytes);
	store_u64le(data + HASH_AT, hash.low);
	store_u64le(data + HASH_AT + 8, hash.high);
}
