// sources: base/wire/resp_request.c base/wire/resp_reader.c base/wire/resp_writer.c
// sources: base/wire/decimal.c base/wire/decimal_powers.c base/wire/utf8.c
// sources: tests/fuzz/resp_oracle.c
/* A stream of RESP, cut in several ways: as requests, then as replies. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/resp_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	/* The cuts follow from the input, so that a crash file is all there is to know. */
	uint64_t seed = bytes;
	for (size_t i = 0; i < bytes; i++)
		seed = seed * 31 + data[i];
	fuzz_must_hold(resp_request_oracle(slice_of(data, bytes), seed));
	fuzz_must_hold(resp_reply_oracle(slice_of(data, bytes), seed));
	return 0;
}
