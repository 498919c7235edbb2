// sources: storage/log_format.c tests/fuzz/log_oracle.c
/* What a segment of the log may hold at the place of a frame. The input's first byte: bit 0, the
 * hash is made right, so that what is hashed is reached; bit 1, zeros follow up to whole blocks, as
 * in a segment. The rest is what is read. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/hash.h"
#include "tests/fuzz/log_oracle.h"

enum { BLOCK_BYTES = 4096, BYTES_MAX = 4 * BLOCK_BYTES };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes < 1 || bytes > BYTES_MAX)
		return 0;
	size_t given = bytes - 1, whole = given;
	if (data[0] & 2)
		whole = BYTES_MAX / 2;
	if (whole < given)
		whole = given;
	/* Memory that ends where the bytes do. */
	uint8_t *read = calloc(1, whole + (whole == 0));
	if (!read)
		return 0;
	memcpy(read, data + 1, given);
	if (data[0] & 1)
		log_oracle_give_hash(read, whole);
	fuzz_must_hold(log_oracle(slice_of(read, whole), hash_bytes(slice_of(data, bytes), 0)));
	free(read);
	return 0;
}
