/* Lua patterns over bytes, anchored at both ends: does the whole text match?
 *
 * The language of Lua 5.4's string.find, with captures, back references, %b and %f; the subject and
 * the pattern may hold NUL. Matching is backtracking, whose time can be exponential in the pattern:
 * it is counted in steps, and ends when they are used up.
 */
#ifndef KX_SCRIPTING_PATTERN_H
#define KX_SCRIPTING_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

#define PATTERN_BYTES_MAX 256
/* What a check of a value may take: patterns that people write need a step or two for each byte;
 * what needs a hundred times that goes back and forth without end. */
#define PATTERN_STEPS_MAX(bytes) (10000 + 100 * (uint64_t)(bytes))

/* 0, or ERR_INVALID with a static sentence: malformed, or longer than PATTERN_BYTES_MAX. */
NODISCARD int pattern_check(struct slice pattern, const char **ret_why);

/* The pattern was checked. *steps is counted down; ERR_TOO_LARGE where it would pass 0, or where
 * the match nests too deeply. A leading ^ and a trailing $ are allowed and change nothing. */
NODISCARD int pattern_matches(
    struct slice pattern, struct slice text, uint64_t *steps, bool *ret_matches);

#endif
