#include "tests/unit/storage/suites.h"

#include "storage/keys.h"

START_TEST(order_of_bytes_is_order_of_shards)
{
	static const uint32_t shards[] = {0, 1, 255, 256, 65536, UINT32_MAX - 1, UINT32_MAX};
	for (size_t i = 0; i < sizeof(shards) / sizeof(shards[0]); i++) {
		uint8_t key[KEY_SHARD_BYTES];
		key_shard_put(key, shards[i]);
		ck_assert_uint_eq(key_shard_get(key), shards[i]);
		if (i == 0)
			continue;
		uint8_t before[KEY_SHARD_BYTES];
		key_shard_put(before, shards[i - 1]);
		ck_assert_int_lt(memcmp(before, key, sizeof(key)), 0);
	}
}
END_TEST

START_TEST(a_listed_key_names_its_shard_and_no_other_key_does)
{
	uint8_t key[KEY_LISTED_BYTES];
	key_listed_put(key, KEY_KIND_APPLIED, 0x01020304);
	uint32_t shard = 0;
	ck_assert_int_eq(key_listed_get(slice_of(key, sizeof(key)), KEY_KIND_APPLIED, &shard), 0);
	ck_assert_uint_eq(shard, 0x01020304);
	ck_assert_int_eq(
	    key_listed_get(slice_of(key, sizeof(key)), KEY_KIND_DAMAGED, &shard), ERR_CORRUPT);
	ck_assert_int_eq(
	    key_listed_get(slice_of(key, sizeof(key) - 1), KEY_KIND_APPLIED, &shard), ERR_CORRUPT);
	key[0] = 0;
	ck_assert_int_eq(
	    key_listed_get(slice_of(key, sizeof(key)), KEY_KIND_APPLIED, &shard), ERR_CORRUPT);
}
END_TEST

START_TEST(keys_of_the_store_itself_stand_behind_all_shards)
{
	uint8_t own[KEY_OWN_BYTES];
	uint8_t last[KEY_SHARD_BYTES];
	key_own_put(own, KEY_KIND_ANCHOR);
	key_shard_put(last, KEY_SHARDS_MAX);
	ck_assert_int_gt(
	    slice_compare(slice_of(own, sizeof(own)), slice_of(last, sizeof(last))), 0);
}
END_TEST

Suite *keys_suite(void)
{
	Suite *suite = suite_create("keys");
	TCase *tcase = tcase_create("keys");
	tcase_add_test(tcase, order_of_bytes_is_order_of_shards);
	tcase_add_test(tcase, a_listed_key_names_its_shard_and_no_other_key_does);
	tcase_add_test(tcase, keys_of_the_store_itself_stand_behind_all_shards);
	suite_add_tcase(suite, tcase);
	return suite;
}
