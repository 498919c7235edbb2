/* Waiting for what the cluster does by itself, and saying how far it is. Private to client/admin.
 */
#ifndef KX_CLIENT_ADMIN_PROGRESS_H
#define KX_CLIENT_ADMIN_PROGRESS_H

#include <stdint.h>

#include "base/slice.h"
#include "client/admin/online.h"

/* How much is left to be done, by a status of the cluster; 0: nothing. */
typedef uint64_t progress_left(struct slice document, const void *arg);

/* Asks until nothing is left, for `seconds` at most, and says on standard error how much is, how
 * fast it goes, how long it will take, and what snapshots have sent for it, and how fast: in place
 * on a terminal, else in lines. What is under way goes on whether anybody waits or not.
 * EXIT_UNHEALTHY: the time was over. Else the error was said.
 * `what`: "replicas". */
enum exit_code progress_wait(struct online *online, uint32_t seconds, const char *what,
    progress_left *left, const void *arg);

#endif
