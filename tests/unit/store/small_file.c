#include "tests/unit/store/small_file.h"

#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/io/fs.h"
#include "storage/data_file.h"
#include "tests/unit/run.h"
#include "tests/unit/store/platform.h"

size_t small_file_get(const char *name, uint8_t data[SMALL_FILE_BYTES_MAX])
{
	size_t bytes;
	ck_assert_int_eq(fs_read_file(platform_fs(), name, data, SMALL_FILE_BYTES_MAX, &bytes), 0);
	return bytes;
}

void small_file_put(const char *name, const uint8_t *data, size_t bytes)
{
	ck_assert_int_eq(fs_replace_file(platform_fs(), name, data, bytes), 0);
}

void small_file_put_right(const char *name, uint8_t *data, size_t bytes)
{
	size_t hashed = bytes - DATA_FILE_HASH_BYTES;
	store_u64le(data + hashed, hash_bytes(slice_of(data, hashed), 0));
	small_file_put(name, data, bytes);
}

void small_file_expect_damage_found(const char *name, int (*read_it)(void))
{
	uint8_t data[SMALL_FILE_BYTES_MAX];
	size_t bytes = small_file_get(name, data);
	ck_assert_int_eq(read_it(), 0);
	for (size_t i = 0; i < bytes; i++) {
		data[i] ^= 1;
		small_file_put(name, data, bytes);
		ck_assert_int_eq(read_it(), ERR_CORRUPT);
		data[i] ^= 1;
	}
	for (size_t shorter = 0; shorter < bytes; shorter++) {
		small_file_put(name, data, shorter);
		ck_assert_int_eq(read_it(), ERR_CORRUPT);
	}
}
