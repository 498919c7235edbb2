/* A data directory with one small file (storage/data_file.h), which holds anything. */
#ifndef KX_TESTS_FUZZ_SMALL_FILE_H
#define KX_TESTS_FUZZ_SMALL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SMALL_FILE_BYTES_MAX = 16384 };

/* Whatever is asked for is this file. */
struct fs {
	size_t bytes;
	uint8_t data[SMALL_FILE_BYTES_MAX];
};

/* One input. Its first byte, bit 0: the checksum is made right, so that what stands under it is
 * reached. `judge` says what does not hold, or NULL. */
void small_file_fuzz(const uint8_t *data, size_t bytes, const char *(*judge)(struct fs *fs));
bool small_file_same(const struct fs *a, const struct fs *b);

#endif
