// sources: base/wire/msgpack.c base/wire/utf8.c tests/fuzz/msgpack_oracle.c
// libraries: -lmsgpackc
/* One MessagePack value with anything behind it: judged by libmsgpack. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/msgpack_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	fuzz_must_hold(msgpack_oracle(slice_of(data, bytes)));
	return 0;
}
