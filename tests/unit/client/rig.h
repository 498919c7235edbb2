/* A client, two servers, and a clock that the test moves: what the tests of libkalix share. One of
 * each, in a process of their own for each test.
 */
#ifndef KX_TESTS_UNIT_CLIENT_RIG_H
#define KX_TESTS_UNIT_CLIENT_RIG_H

#include <stddef.h>
#include <stdint.h>

#include "client/kalix.h"
#include "tests/unit/client/fake_server.h"

#define RESULTS_MAX 4096

struct result {
	int code;
	char json[128], message[128], details[128];
};

extern struct fake_server server, second;
extern kalix *k;
extern uint64_t now_ms;
/* What `done` was told, in order. */
extern struct result results[RESULTS_MAX];
extern size_t result_count;

/* Of a test case: `k` knows `server` only, and the clock stands at 1000. */
void rig_start(void);
void rig_stop(void);
/* A port of loopback at which a connection is neither made nor refused, as at a machine that is
 * gone. */
struct deaf {
	int listen_fd, waiting_fd[2];
	char address[32]; /* "127.0.0.1:PORT" */
};
void deaf_start(struct deaf *deaf);
void deaf_stop(struct deaf *deaf);

/* Opens `k` once more. */
void open_on(const char *nodes);

void done(void *arg, int code, kalix_reply *reply);
/* Of cart/c1, with two seconds. */
void call(const char *command, const char *token);

/* The kernel carries bytes over loopback in its own time: steps until `count` is reached, with a
 * bound against hanging. The clock of the client does not move. */
void step_until(const size_t *count, size_t wanted);
/* The same, a millisecond a step. */
void move_clock_until(const size_t *count, size_t wanted);

#endif
