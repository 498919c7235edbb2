/* A load of one command on a server: how many calls it ends, and how long they take. One thread.
 *
 * Without a rate each connection has `pipeline` calls under way at any time, and a call takes from
 * its start to its reply. With one, calls are due at fixed times, whether or not those before them
 * have ended, and each takes from the time it was due: a server that stops for a second is seen in
 * every call of that second (no coordinated omission). Calls that were due and found no place until
 * the end are counted with the time that they had waited.
 */
#ifndef KX_CLIENT_ADMIN_BENCH_H
#define KX_CLIENT_ADMIN_BENCH_H

#include <stdint.h>

#include "base/error.h"
#include "base/metrics.h"
#include "client/kalix.h"

#define BENCH_CONNECTIONS_MAX 1000
#define BENCH_CODES           (KALIX_UNKNOWN_OUTCOME + 1)
#define BENCH_WHY_BYTES       256

struct bench_options {
	const char *node;
	const char *address; /* {N} in it: a number from 1 to N, the next one for each call */
	const char *command;
	const char *json; /* NULL: no payload */
	uint32_t connections, pipeline, seconds;
	uint32_t rate;       /* calls a second in all; 0: as many as the server ends */
	uint32_t timeout_ms; /* 0: the client's */
};

struct bench_result {
	struct histogram took_ns;
	uint64_t ended[BENCH_CODES]; /* by enum kalix_code */
	uint64_t waiting;            /* were due, and had no place until the end */
	uint64_t ran_ns;             /* until the last one ended */
	char why[BENCH_WHY_BYTES];   /* of the first that failed */
};

/* Blocks for so long. Calls have no idempotency tokens, and so are not repeated. ERR_INVALID: the
 * address is no pattern, or too long; ERR_NOMEM. */
NODISCARD int bench_run(const struct bench_options *options, struct bench_result *ret_result);

#endif
