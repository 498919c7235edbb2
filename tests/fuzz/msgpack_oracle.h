/* Judges the MessagePack reader and writer by libmsgpack and by themselves. For the fuzzer and unit
 * tests. */
#ifndef KX_TESTS_FUZZ_MSGPACK_ORACLE_H
#define KX_TESTS_FUZZ_MSGPACK_ORACLE_H

#include "base/slice.h"

/* NULL where all that must hold for these bytes, read as one value with anything behind it, does;
 * else a static text saying what does not. Their memory must end with them. */
const char *msgpack_oracle(struct slice bytes);

#endif
