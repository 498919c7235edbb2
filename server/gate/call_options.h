/* What stands behind the command of a CALL or FCALL: [payload] and options. Pure; private to
 * server/gate. */
#ifndef KX_SERVER_GATE_CALL_OPTIONS_H
#define KX_SERVER_GATE_CALL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

#define CALL_TIMEOUT_MS_MAX (60 * 60 * 1000)
#define CALL_STALE_MS_MAX   (24 * 60 * 60 * 1000)

struct call_options {
	bool has_payload;
	struct slice payload;
	struct slice token;    /* IDEMPOTENCY; empty: none */
	struct slice metadata; /* META, JSON; empty: none */
	uint64_t timeout_ms;
	bool has_stale;
	uint64_t stale_ms;
};

/* The views are those of `args`. The first one is the payload unless it is an option's word; then
 * come options, each once, in any order. ERR_INVALID, and *ret_why is a static sentence. */
NODISCARD int call_options_parse(const struct slice *args, uint32_t count,
    struct call_options *ret_options, const char **ret_why);

struct buffer;
/* META's JSON object as a MessagePack map. ERR_INVALID: not one, and *ret_why says it. ERR_NOMEM,
 * ERR_TOO_LARGE. */
NODISCARD int metadata_convert(struct slice json, struct buffer *out, const char **ret_why);

#endif
