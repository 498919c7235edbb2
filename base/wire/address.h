/* Addresses and names of the public contract: an address is `type/id`, one string; the first '/'
 * ends the type. A type, and every other name, is [a-z][a-z0-9_]{0,63}; an id is 1 to 512 bytes of
 * UTF-8 without control characters (U+0000 to U+001F, U+007F to U+009F). Pure; any thread.
 */
#ifndef KX_BASE_WIRE_ADDRESS_H
#define KX_BASE_WIRE_ADDRESS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"

struct address {
	struct slice text; /* whole */
	struct slice type;
	struct slice id;
};

bool name_valid(struct slice name);

/* Views into `text`. ERR_INVALID; *ret_why (may be NULL) then is a static sentence that says what
 * is wrong and what an address looks like. */
NODISCARD int address_parse(struct slice text, struct address *ret_address, const char **ret_why);

/* The nearest of `count` names by edit distance, for "did you mean"; -1 where none is near (more
 * than a third of the letters differ). O(count * length^2), for errors only. */
int name_nearest(struct slice name, const struct slice *names, int count);

#endif
