/* Texts of random pieces, for tests that compare with Lua. */
#ifndef KX_TESTS_UNIT_SCRIPTING_RANDOM_TEXT_H
#define KX_TESTS_UNIT_SCRIPTING_RANDOM_TEXT_H

#include <string.h>

#include "base/random.h"

/* At most pieces_max of them, with a 0 behind; how many bytes. */
static inline size_t random_text(
    struct random *numbers, const char *const *pieces, size_t count, char *to, size_t pieces_max)
{
	size_t bytes = 0, length = random_below(numbers, pieces_max + 1);
	for (size_t i = 0; i < length; i++) {
		const char *piece = pieces[random_below(numbers, count)];
		memcpy(to + bytes, piece, strlen(piece));
		bytes += strlen(piece);
	}
	to[bytes] = 0;
	return bytes;
}

#endif
