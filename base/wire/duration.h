/* Durations of the public contract: integer milliseconds, or text with a unit. Pure; any thread. */
#ifndef KX_BASE_WIRE_DURATION_H
#define KX_BASE_WIRE_DURATION_H

#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

/* "500", "500ms", "5s", "10m", "8h", "7d", from 0 on. ERR_INVALID. */
NODISCARD int duration_parse(struct slice text, uint64_t *ret_ms);

#endif
