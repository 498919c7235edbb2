/* Judges the reader of log frames (storage/log_format.h) by a second one, as plain as possible, and
 * by the writer. For the fuzzer and unit tests. */
#ifndef KX_TESTS_FUZZ_LOG_ORACLE_H
#define KX_TESTS_FUZZ_LOG_ORACLE_H

#include <stdint.h>

#include "base/slice.h"

/* NULL where all that must hold for these bytes, as what was read at a place of a segment, does;
 * else a static text saying what does not. The bytes' memory must end with them, so that sanitizers
 * see a read beyond it. Place and store are those that the bytes state, where there can be such a
 * place; `seed` decides which bit is turned. */
const char *log_oracle(struct slice bytes, uint64_t seed);

/* Bytes that are a frame but for their hash: gives them the right one. Less than a header, or fewer
 * than they say they are: nothing happens. */
void log_oracle_give_hash(uint8_t *data, size_t bytes);

#endif
