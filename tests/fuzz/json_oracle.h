/* Judges the JSON reader and writer by libjansson and by themselves. For the fuzzer and unit tests.
 */
#ifndef KX_TESTS_FUZZ_JSON_ORACLE_H
#define KX_TESTS_FUZZ_JSON_ORACLE_H

#include "base/slice.h"

/* NULL where all that must hold for this document (valid or not) does; else a static text saying
 * what does not. The text's memory must end with it, so that sanitizers see a read beyond it. */
const char *json_oracle(struct slice text);

#endif
