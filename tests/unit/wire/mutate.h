/* Small faults in valid inputs, for tests that compare two readers. */
#ifndef KX_TESTS_UNIT_WIRE_MUTATE_H
#define KX_TESTS_UNIT_WIRE_MUTATE_H

#include "base/buffer.h"
#include "base/random.h"

/* Changes, removes, doubles or moves a few bytes; `alphabet` are bytes that mean something. */
void mutate(struct buffer *text, struct slice alphabet, struct random *random);

#endif
