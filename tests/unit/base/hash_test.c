#include "tests/unit/base/suites.h"

#include "base/hash_wide.h"
#include "base/slot.h"

START_TEST(hash_has_the_published_values)
{
	/* Of xxHash 0.8, XXH3 of nothing. Stored data depends on them. */
	ck_assert_uint_eq(hash_bytes(slice_of(NULL, 0), 0), 0x2d06800538d394c2);
	struct hash128 empty = hash128_bytes(slice_of(NULL, 0), 0);
	ck_assert_uint_eq(empty.low, 0x6001c324468d497f);
	ck_assert_uint_eq(empty.high, 0x99aa06d3014798d8);
}
END_TEST

START_TEST(seed_and_every_byte_count)
{
	uint8_t bytes[300] = {0};
	uint64_t plain = hash_bytes(slice_of(bytes, sizeof(bytes)), 0);
	ck_assert_uint_ne(plain, hash_bytes(slice_of(bytes, sizeof(bytes)), 1));
	ck_assert_uint_ne(plain, hash_bytes(slice_of(bytes, sizeof(bytes) - 1), 0));
	for (size_t i = 0; i < sizeof(bytes); i++) {
		bytes[i] ^= 1;
		ck_assert_uint_ne(plain, hash_bytes(slice_of(bytes, sizeof(bytes)), 0));
		bytes[i] ^= 1;
	}
}
END_TEST

START_TEST(stream_gives_the_same_wherever_it_is_cut)
{
	uint8_t bytes[2000];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 31 ^ i >> 3);
	for (uint64_t seed = 0; seed < 2; seed++) {
		uint64_t whole = hash_bytes(slice_of(bytes, sizeof(bytes)), seed);
		struct hash128 whole128 = hash128_bytes(slice_of(bytes, sizeof(bytes)), seed);
		for (size_t part = 1; part < sizeof(bytes); part += 97) {
			struct hash_stream stream;
			hash_stream_init(&stream, seed);
			for (size_t at = 0; at < sizeof(bytes); at += part) {
				size_t left = sizeof(bytes) - at;
				hash_stream_update(
				    &stream, slice_of(bytes + at, left < part ? left : part));
			}
			hash_stream_update(&stream, slice_of(NULL, 0));
			ck_assert_uint_eq(hash_stream_value(&stream), whole);
			ck_assert(hash128_equal(hash128_stream_value(&stream), whole128));
		}
	}
}
END_TEST

/* Long ones at once may be hashed with other instructions than in parts. */
START_TEST(long_bytes_hash_the_same_at_once_and_in_parts)
{
	static uint8_t bytes[40000];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 37 ^ i >> 5 ^ i >> 9);
	for (size_t count = HASH_WIDE_BYTES_MIN - 3; count < sizeof(bytes);
	     count += 1 + count / 50) {
		const uint8_t *from = bytes + count % 13;
		if (count + 13 > sizeof(bytes))
			break;
		for (uint64_t seed = 0; seed < 3; seed++) {
			struct hash_stream stream;
			hash_stream_init(&stream, seed * UINT64_C(0x9e3779b97f4a7c15));
			hash_stream_update(&stream, slice_of(from, count));
			EXPECT(hash128_equal(hash128_stream_value(&stream),
			    hash128_bytes(
			        slice_of(from, count), seed * UINT64_C(0x9e3779b97f4a7c15))));
		}
	}
}
END_TEST

START_TEST(crc16_is_xmodem)
{
	ck_assert_uint_eq(crc16(slice_from_text("123456789")), 0x31c3);
	ck_assert_uint_eq(crc16(slice_of(NULL, 0)), 0);
}
END_TEST

START_TEST(slot_is_that_of_redis_cluster)
{
	/* Answers of CLUSTER KEYSLOT. */
	ck_assert_uint_eq(slot_of(slice_from_text("foo")), 12182);
	ck_assert_uint_eq(slot_of(slice_from_text("somekey")), 11058);
	ck_assert_uint_eq(slot_of(slice_from_text("foo{hash_tag}")), 2515);
	ck_assert_uint_eq(slot_of(slice_from_text("bar{hash_tag}")), 2515);
}
END_TEST

START_TEST(slot_depends_on_the_hash_tag_alone)
{
	uint16_t tag = slot_of(slice_from_text("user1000"));
	ck_assert_uint_eq(slot_of(slice_from_text("cart/{user1000}.following")), tag);
	ck_assert_uint_eq(slot_of(slice_from_text("order/{user1000}{other}")), tag);
	/* The first '{' counts, so this tag begins with another. */
	ck_assert_uint_eq(
	    slot_of(slice_from_text("foo{{bar}}zap")), slot_of(slice_from_text("{bar")));
}
END_TEST

START_TEST(braces_without_a_tag_are_ordinary_text)
{
	static const char *const texts[] = {"foo{}{bar}", "foo{", "foo}", "}{", "{}", "a}b{c"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct slice text = slice_from_text(texts[i]);
		ck_assert_uint_eq(slot_of(text), crc16(text) % SLOT_COUNT);
	}
	ck_assert_uint_eq(slot_of(slice_of(NULL, 0)), 0);
}
END_TEST

Suite *hash_suite(void)
{
	Suite *suite = suite_create("hash");
	TCase *tcase = tcase_create("hash");
	tcase_add_test(tcase, hash_has_the_published_values);
	tcase_add_test(tcase, seed_and_every_byte_count);
	tcase_add_test(tcase, stream_gives_the_same_wherever_it_is_cut);
	tcase_add_test(tcase, long_bytes_hash_the_same_at_once_and_in_parts);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("slot");
	tcase_add_test(tcase, crc16_is_xmodem);
	tcase_add_test(tcase, slot_is_that_of_redis_cluster);
	tcase_add_test(tcase, slot_depends_on_the_hash_tag_alone);
	tcase_add_test(tcase, braces_without_a_tag_are_ordinary_text);
	suite_add_tcase(suite, tcase);
	return suite;
}
