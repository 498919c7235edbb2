// sources: base/wire/json_reader.c base/wire/json_writer.c base/wire/decimal.c
// sources: base/wire/decimal_powers.c base/wire/utf8.c base/wire/base64.c tests/fuzz/json_oracle.c
// libraries: -ljansson
/* One JSON document, valid or not: judged by libjansson. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/json_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	fuzz_must_hold(json_oracle(slice_of(data, bytes)));
	return 0;
}
