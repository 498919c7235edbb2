/* Times as RFC 3339 writes them ("2024-02-29T12:30:00.250+01:00") to milliseconds since 1970 UTC.
 * Pure.
 */
#ifndef KX_SCRIPTING_RFC3339_H
#define KX_SCRIPTING_RFC3339_H

#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

/* A space or lower-case t and z are accepted, as section 5.6 allows; an offset is required. Digits
 * of the fraction beyond milliseconds are dropped; a leap second is the last one of its minute.
 * ERR_INVALID. */
NODISCARD int rfc3339_parse(struct slice text, int64_t *ret_ms);

#endif
