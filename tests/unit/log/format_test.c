/* Frames as bytes: what is valid, what is not and why. */
#include "storage/log.h"

#include <string.h>

#include "base/hash.h"
#include "tests/fuzz/log_oracle.h"
#include "tests/unit/log/suites.h"

#define STORE   0x1234567890abcdef
#define SEGMENT 7
#define SIZE    (64 * 1024)
#define OFFSET  8192

struct made {
	uint8_t data[8192];
	struct log_frame_header header;
};

/* Two directory entries, an entry, a hard state, an empty entry; two blocks long. */
static void make(struct made *made)
{
	memset(made, 0, sizeof(*made));
	uint8_t *at = made->data + LOG_FRAME_HEADER_BYTES;
	struct log_extent extents[2] = {
	    {.group = 3, .flags = LOG_EXTENT_VOTE, .first_index = 10, .last_index = 12},
	    {.group = 9, .first_index = 1, .last_index = 0}};
	for (size_t i = 0; i < 2; i++, at += LOG_DIRECTORY_ENTRY_BYTES)
		log_extent_write(at, &extents[i]);
	log_record_write(at, 3, LOG_ENTRY, 5, 13, 4500);
	memset(at + LOG_RECORD_HEADER_BYTES, 'x', 4500);
	at += LOG_RECORD_HEADER_BYTES + 4500;
	log_record_write(at, 4, LOG_HARD_STATE, 6, 2, 8);
	store_u64le(at + LOG_RECORD_HEADER_BYTES, 99);
	at += LOG_RECORD_HEADER_BYTES + 8;
	log_record_write(at, UINT32_MAX - 1, LOG_ENTRY, UINT64_MAX, 1, 0);
	at += LOG_RECORD_HEADER_BYTES;
	made->header = (struct log_frame_header){.kind = LOG_FRAME_RECORDS,
	    .store = STORE,
	    .segment = SEGMENT,
	    .offset = OFFSET,
	    .frame = 55,
	    .life = 3,
	    .watermark = 51,
	    .chain = 0xabc,
	    .life_frame = 40,
	    .frame_bytes = 8192,
	    .used_bytes = (uint32_t)(at - made->data),
	    .directory_count = 2,
	    .record_count = 3};
	log_frame_seal(made->data, &made->header);
}

static enum log_verdict check(const struct made *made, struct log_frame_header *ret_header)
{
	return log_frame_check(
	    made->data, sizeof(made->data), STORE, SEGMENT, OFFSET, SIZE, ret_header);
}

static enum log_verdict verdict_of(const struct made *made)
{
	struct log_frame_header header;
	return check(made, &header);
}

/* Seals again, so that only what was changed is wrong. */
static enum log_verdict verdict_resealed(struct made *made)
{
	log_frame_seal(made->data, &made->header);
	return verdict_of(made);
}

START_TEST(what_was_sealed_is_read_back)
{
	struct made made;
	make(&made);
	struct log_frame_header header;
	ck_assert_int_eq(check(&made, &header), LOG_VALID);
	/* Every field: the same header, sealed again, gives the same bytes. */
	struct made again = made;
	log_frame_seal(again.data, &header);
	ck_assert_mem_eq(again.data, made.data, sizeof(made.data));
	ck_assert_uint_eq(header.hash[0], made.header.hash[0]);
	ck_assert_uint_eq(header.hash[1], made.header.hash[1]);

	struct log_frame_cursor cursor;
	struct log_extent extent;
	log_directory_begin(made.data, &header, &cursor);
	ck_assert(log_directory_next(&cursor, &extent));
	ck_assert_uint_eq(extent.group, 3);
	ck_assert_uint_eq(extent.flags, LOG_EXTENT_VOTE);
	ck_assert_uint_eq(extent.first_index, 10);
	ck_assert_uint_eq(extent.last_index, 12);
	ck_assert(log_directory_next(&cursor, &extent));
	ck_assert_uint_eq(extent.group, 9);
	ck_assert(!log_directory_next(&cursor, &extent));

	struct log_record record;
	log_records_begin(made.data, &header, &cursor);
	ck_assert(log_record_next(&cursor, &record));
	ck_assert_uint_eq(record.group, 3);
	ck_assert_int_eq(record.kind, LOG_ENTRY);
	ck_assert_uint_eq(record.term, 5);
	ck_assert_uint_eq(record.index, 13);
	ck_assert_uint_eq(record.payload.bytes, 4500);
	ck_assert_uint_eq(record.payload.data[4499], 'x');
	ck_assert(log_record_next(&cursor, &record));
	ck_assert_int_eq(record.kind, LOG_HARD_STATE);
	ck_assert_uint_eq(load_u64le(record.payload.data), 99);
	ck_assert(log_record_next(&cursor, &record));
	ck_assert_uint_eq(record.group, UINT32_MAX - 1);
	ck_assert_uint_eq(record.term, UINT64_MAX);
	ck_assert_uint_eq(record.payload.bytes, 0);
	ck_assert(!log_record_next(&cursor, &record));
}
END_TEST

START_TEST(a_second_reader_and_the_writer_agree_about_a_frame)
{
	struct made made;
	make(&made);
	for (uint64_t seed = 0; seed < 1000; seed++) {
		const char *wrong = log_oracle(slice_of(made.data, sizeof(made.data)), seed * 31);
		EXPECT(!wrong);
	}
	/* Whatever is wrong in a frame whose hash is right. */
	for (size_t at = 8; at < LOG_FRAME_HEADER_BYTES + 200; at++) {
		uint8_t before = made.data[at];
		for (unsigned bit = 0; bit < 8; bit++) {
			made.data[at] = before ^ (uint8_t)(1 << bit);
			log_oracle_give_hash(made.data, sizeof(made.data));
			EXPECT(!log_oracle(slice_of(made.data, sizeof(made.data)), at));
		}
		made.data[at] = before;
	}
}
END_TEST

START_TEST(every_flipped_bit_makes_a_frame_invalid)
{
	struct made made;
	make(&made);
	for (size_t i = 0; i < sizeof(made.data); i++) {
		made.data[i] ^= (uint8_t)(1 << i % 8);
		EXPECT(verdict_of(&made) != LOG_VALID);
		/* One rotten bit is damage: never another store's, never a newer format. */
		EXPECT(verdict_of(&made) != LOG_FOREIGN);
		EXPECT(verdict_of(&made) != LOG_NEWER_FORMAT);
		made.data[i] ^= (uint8_t)(1 << i % 8);
	}
	ck_assert_int_eq(verdict_of(&made), LOG_VALID);
}
END_TEST

START_TEST(a_frame_is_valid_only_where_it_was_written_for)
{
	struct made made;
	make(&made);
	struct log_frame_header header;
	ck_assert_int_eq(log_frame_check(made.data, sizeof(made.data), STORE, SEGMENT + 1, OFFSET,
	                     SIZE, &header),
	    LOG_MISPLACED);
	ck_assert_int_eq(
	    log_frame_check(made.data, sizeof(made.data), STORE, SEGMENT, 0, SIZE, &header),
	    LOG_MISPLACED);
	ck_assert_int_eq(log_frame_check(made.data, sizeof(made.data), STORE + 1, SEGMENT, OFFSET,
	                     SIZE, &header),
	    LOG_FOREIGN);
}
END_TEST

START_TEST(a_newer_format_is_told_from_damage)
{
	struct made made;
	make(&made);
	store_u32le(made.data + 8, LOG_FORMAT + 1);
	ck_assert_int_eq(verdict_of(&made), LOG_BAD_HASH);
	/* As the newer program would seal it. */
	memset(made.data + 96, 0, 16);
	struct hash128 hash = hash128_bytes(slice_of(made.data, sizeof(made.data)), 0);
	store_u64le(made.data + 96, hash.low);
	store_u64le(made.data + 104, hash.high);
	ck_assert_int_eq(verdict_of(&made), LOG_NEWER_FORMAT);
}
END_TEST

START_TEST(what_no_frame_begins_with_is_told_apart)
{
	struct made made;
	memset(&made, 0, sizeof(made));
	ck_assert_int_eq(verdict_of(&made), LOG_ZERO);
	memset(&made, 'k', sizeof(made));
	ck_assert_int_eq(verdict_of(&made), LOG_GARBAGE);
}
END_TEST

START_TEST(a_first_part_says_how_much_there_is_to_read)
{
	struct made made;
	make(&made);
	struct log_frame_header header = {.frame_bytes = 1};
	ck_assert_int_eq(
	    log_frame_check(made.data, 4096, STORE, SEGMENT, OFFSET, SIZE, &header), LOG_BAD_SIZE);
	ck_assert_uint_eq(header.frame_bytes, 8192);
	ck_assert_int_eq(
	    log_frame_check(made.data, 100, STORE, SEGMENT, OFFSET, SIZE, &header), LOG_BAD_SIZE);
	ck_assert_uint_eq(header.frame_bytes, 0);
	/* It would cross the end of its segment. */
	header.frame_bytes = 1;
	ck_assert_int_eq(
	    log_frame_check(made.data, 8192, STORE, SEGMENT, OFFSET, OFFSET + 4096, &header),
	    LOG_BAD_SIZE);
	ck_assert_uint_eq(header.frame_bytes, 0);
}
END_TEST

START_TEST(impossible_sizes_are_refused)
{
	struct made made;
	static const size_t size_fields[] = {72, 76, 80, 84};
	static const uint32_t values[] = {0, 1, 100, 4097, 8193, 1 << 20, UINT32_MAX};
	for (size_t i = 0; i < 4; i++)
		for (size_t k = 0; k < sizeof(values) / sizeof(values[0]); k++) {
			make(&made);
			if (load_u32le(made.data + size_fields[i]) == values[k])
				continue;
			store_u32le(made.data + size_fields[i], values[k]);
			enum log_verdict verdict = verdict_of(&made);
			ck_assert(verdict == LOG_BAD_SIZE || verdict == LOG_BAD_HASH);
		}
}
END_TEST

START_TEST(malformed_records_are_refused_though_the_hash_is_right)
{
	struct made made;
	const size_t first = LOG_FRAME_HEADER_BYTES + 2 * LOG_DIRECTORY_ENTRY_BYTES;
	const size_t second = first + LOG_RECORD_HEADER_BYTES + 4500;

	make(&made);
	store_u32le(made.data + first + 4, 0);
	ck_assert_int_eq(verdict_resealed(&made), LOG_BAD_RECORDS);
	make(&made);
	store_u32le(made.data + first + 4, LOG_ACCEPT_LOSS + 1);
	ck_assert_int_eq(verdict_resealed(&made), LOG_BAD_RECORDS);
	make(&made);
	store_u32le(made.data + first + 24, UINT32_MAX);
	ck_assert_int_eq(verdict_resealed(&made), LOG_BAD_RECORDS);
	make(&made);
	store_u32le(made.data + second + 24, 0); /* a hard state without its vote */
	ck_assert_int_eq(verdict_resealed(&made), LOG_BAD_RECORDS);
	make(&made);
	made.header.record_count = 2;
	ck_assert_int_eq(verdict_resealed(&made), LOG_BAD_RECORDS);
	make(&made);
	made.header.used_bytes += 28;
	ck_assert_int_eq(verdict_resealed(&made), LOG_BAD_RECORDS);
}
END_TEST

START_TEST(impossible_numbers_are_refused_though_the_hash_is_right)
{
	struct made made;
	make(&made);
	made.header.watermark = made.header.frame;
	ck_assert_int_eq(verdict_resealed(&made), LOG_BAD_RECORDS);
	make(&made);
	made.header.life_frame = made.header.frame + 1;
	ck_assert_int_eq(verdict_resealed(&made), LOG_BAD_RECORDS);
	make(&made);
	made.header.life = 0;
	ck_assert_int_eq(verdict_resealed(&made), LOG_BAD_RECORDS);
	make(&made);
	made.header.kind = 9;
	ck_assert_int_eq(verdict_resealed(&made), LOG_BAD_RECORDS);
}
END_TEST

static const struct log_anchor good_anchor = {.first_segment = 1,
    .first_frame = 2,
    .needed_frame = 9,
    .durable_frame = 8,
    .segment_next = 4,
    .life = 5,
    .chain = 6,
    .life_frame = 7,
    .before = {{.life = 4, .frame = 6}, {.life = 2, .frame = 3}}};

static int read_back(const struct log_anchor *anchor)
{
	struct log_anchor found;
	uint8_t data[LOG_ANCHOR_BYTES];
	log_anchor_encode(anchor, data);
	int error = log_anchor_decode(slice_of(data, sizeof(data)), &found);
	if (!error)
		ck_assert_mem_eq(&found, anchor, sizeof(found));
	return error;
}

START_TEST(the_anchor_is_read_back_and_judged)
{
	struct log_anchor anchor = good_anchor;
	ck_assert_int_eq(read_back(&anchor), 0);
	anchor.life_frame = 8;
	ck_assert_int_eq(read_back(&anchor), 0);
	anchor.life_frame = 9;
	ck_assert_int_eq(read_back(&anchor), ERR_CORRUPT);
	anchor.life_frame = 0;
	ck_assert_int_eq(read_back(&anchor), ERR_CORRUPT);
	anchor = good_anchor;
	anchor.needed_frame = 10;
	ck_assert_int_eq(read_back(&anchor), ERR_CORRUPT);
	/* Neither number falls from the first to the second, or there is none between two. */
	static const struct log_life wrong[] = {{.life = 4, .frame = 3}, {.life = 2, .frame = 6},
	    {.life = 2, .frame = 0}, {.life = 0, .frame = 3}, {.life = 5, .frame = 7}};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		anchor = good_anchor;
		anchor.before[1] = wrong[i];
		ck_assert_int_eq(read_back(&anchor), ERR_CORRUPT);
	}
	anchor = good_anchor;
	anchor.before[0] = (struct log_life){0};
	ck_assert_int_eq(read_back(&anchor), ERR_CORRUPT);

	struct log_anchor found;
	uint8_t data[LOG_ANCHOR_BYTES];
	log_anchor_encode(&good_anchor, data);
	for (size_t bytes = 0; bytes < sizeof(data); bytes++)
		ck_assert_int_eq(log_anchor_decode(slice_of(data, bytes), &found), ERR_CORRUPT);
	data[0] = 0;
	ck_assert_int_eq(log_anchor_decode(slice_of(data, sizeof(data)), &found), ERR_CORRUPT);
	data[0] = 3;
	ck_assert_int_eq(log_anchor_decode(slice_of(data, sizeof(data)), &found), ERR_FORMAT);
}
END_TEST

/* It ended before life_frame. */
START_TEST(an_anchor_of_the_first_format_is_read)
{
	enum { BYTES = 64 };
	struct log_anchor found, expected = good_anchor;
	uint8_t data[LOG_ANCHOR_BYTES];
	expected.life_frame = 0;
	memset(expected.before, 0, sizeof(expected.before));
	log_anchor_encode(&good_anchor, data);
	data[0] = 1;
	ck_assert_int_eq(log_anchor_decode(slice_of(data, BYTES), &found), 0);
	ck_assert_mem_eq(&found, &expected, sizeof(found));
	ck_assert_int_eq(log_anchor_decode(slice_of(data, BYTES - 1), &found), ERR_CORRUPT);
	ck_assert_int_eq(log_anchor_decode(slice_of(data, sizeof(data)), &found), ERR_CORRUPT);
}
END_TEST

Suite *format_suite(void)
{
	Suite *suite = suite_create("format");
	TCase *tcase = tcase_create("format");
	tcase_add_test(tcase, what_was_sealed_is_read_back);
	tcase_add_test(tcase, a_second_reader_and_the_writer_agree_about_a_frame);
	tcase_add_test(tcase, every_flipped_bit_makes_a_frame_invalid);
	tcase_add_test(tcase, a_frame_is_valid_only_where_it_was_written_for);
	tcase_add_test(tcase, a_newer_format_is_told_from_damage);
	tcase_add_test(tcase, what_no_frame_begins_with_is_told_apart);
	tcase_add_test(tcase, a_first_part_says_how_much_there_is_to_read);
	tcase_add_test(tcase, impossible_sizes_are_refused);
	tcase_add_test(tcase, malformed_records_are_refused_though_the_hash_is_right);
	tcase_add_test(tcase, impossible_numbers_are_refused_though_the_hash_is_right);
	tcase_add_test(tcase, the_anchor_is_read_back_and_judged);
	tcase_add_test(tcase, an_anchor_of_the_first_format_is_read);
	suite_add_tcase(suite, tcase);
	return suite;
}
