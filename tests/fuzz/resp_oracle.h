/* Judges the parser of requests by a second one, as plain as possible, and the reader of replies by
 * itself. For the fuzzer and unit tests. */
#ifndef KX_TESTS_FUZZ_RESP_ORACLE_H
#define KX_TESTS_FUZZ_RESP_ORACLE_H

#include "base/slice.h"

/* NULL where all that must hold for these bytes, as a stream of requests, does; else a static text
 * saying what does not. `seed` decides how they are cut into pieces. */
const char *resp_request_oracle(struct slice stream, uint64_t seed);

/* The same for a stream of replies. */
const char *resp_reply_oracle(struct slice stream, uint64_t seed);

#endif
