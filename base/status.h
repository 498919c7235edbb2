/* What a caller is told about a call that did not succeed: the codes of the public contract, the
 * same on the wire (RESP, HTTP), in handlers (ctx:fail) and in libkalix. Not to be mistaken for
 * base/error.h, which is how our own functions tell each other of failures.
 *
 * Numbers are stable: they stand in messages between nodes and are libkalix's values. Add at the
 * end, never reuse.
 */
#ifndef KX_BASE_STATUS_H
#define KX_BASE_STATUS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"

/* X(NAME, number, HTTP status, a handler may give it with ctx:fail) */
#define STATUS_LIST(X)                                                                             \
	X(INVALID_ARGUMENT, 1, 400, true)                                                          \
	X(OUT_OF_RANGE, 2, 400, true)                                                              \
	X(UNAUTHENTICATED, 3, 401, false)                                                          \
	X(PERMISSION_DENIED, 4, 403, true)                                                         \
	X(NOT_FOUND, 5, 404, true)                                                                 \
	X(ALREADY_EXISTS, 6, 409, true)                                                            \
	X(ABORTED, 7, 409, true)                                                                   \
	X(FAILED_PRECONDITION, 8, 409, true)                                                       \
	X(RESOURCE_EXHAUSTED, 9, 429, true)                                                        \
	X(INTERNAL, 10, 500, false)                                                                \
	X(UNIMPLEMENTED, 11, 501, true)                                                            \
	X(DATA_LOSS, 12, 500, false)                                                               \
	X(UNAVAILABLE, 13, 503, true)                                                              \
	X(DEADLINE_EXCEEDED, 14, 504, false)                                                       \
	X(UNKNOWN_OUTCOME, 15, 504, false)

enum status {
	STATUS_OK = 0,
#define X(name, number, http, by_handlers) STATUS_##name = number,
	STATUS_LIST(X)
#undef X
};

/* Static, never NULL: "NOT_FOUND"; "OK"; "INTERNAL" for a number that is none of these. */
const char *status_name(enum status status);
int status_http(enum status status); /* 200 for STATUS_OK */
bool status_by_handlers(enum status status);
/* By its exact name ("OK" is none). ERR_NOT_FOUND. */
NODISCARD int status_find(struct slice name, enum status *ret_status);

/* What becomes of one of our own errors at the border: ERR_NO_SPACE and ERR_FULL
 * RESOURCE_EXHAUSTED, ERR_DATA_LOSS, ERR_CORRUPT and ERR_IO DATA_LOSS, ERR_NOMEM
 * RESOURCE_EXHAUSTED, ERR_TOO_LARGE RESOURCE_EXHAUSTED, malformed input INVALID_ARGUMENT,
 * anything else INTERNAL. Never STATUS_OK for an error. */
enum status status_from_error(int error);

#endif
