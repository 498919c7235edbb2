/* What every fuzz target includes. */
#ifndef KX_TESTS_FUZZ_FUZZ_H
#define KX_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The entry that libFuzzer calls with each input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* `wrong` is NULL, or says what does not hold: then the input is a finding. */
static inline void fuzz_must_hold(const char *wrong)
{
	if (wrong) {
		fprintf(stderr, "does not hold: %s\n", wrong);
		abort();
	}
}

#endif
