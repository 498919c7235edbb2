/* One small file of a data directory (storage/data_file.h), and what tests do to it. Everything
 * fails the test where it cannot be done. */
#ifndef KX_TESTS_UNIT_STORE_SMALL_FILE_H
#define KX_TESTS_UNIT_STORE_SMALL_FILE_H

#include <stddef.h>
#include <stdint.h>

enum { SMALL_FILE_BYTES_MAX = 256 };

/* Takes it as it is; returns how long it is. */
size_t small_file_get(const char *name, uint8_t data[SMALL_FILE_BYTES_MAX]);
void small_file_put(const char *name, const uint8_t *data, size_t bytes);
/* The same with the checksum made right, in `data` too. */
void small_file_put_right(const char *name, uint8_t *data, size_t bytes);
/* Every changed byte of the file that is there, and every length below its own, is ERR_CORRUPT for
 * `read_it`. Nothing good is left of it. */
void small_file_expect_damage_found(const char *name, int (*read_it)(void));

#endif
