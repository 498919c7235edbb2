/* What the cluster does by itself: how far it is, as the server's record of it says, and waiting
 * for it. Private to client/admin.
 */
#ifndef KX_CLIENT_ADMIN_PROGRESS_H
#define KX_CLIENT_ADMIN_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "client/admin/online.h"

/* What a status of the cluster says of a job. */
struct progress_job {
	bool was, runs; /* `was`: there is one, running or not */
	uint64_t all, left, ms, began_ms;
};
/* `job`: "rebalance", or "drain" with its node. */
struct progress_job progress_job(struct slice document, const char *job, uint64_t node);
/* "40 of 96 moves left, 1.2/s, 33 s to go", or "done, 96 moves in 80 s, 1.2/s". */
void progress_print_job(const struct progress_job *job, const char *what);

/* How much is left to be done, by a status of the cluster; 0: nothing. */
typedef uint64_t progress_left(struct slice document, const void *arg);
/* By a status of the cluster, it is to be done. */
typedef bool progress_wanted(struct slice document, const void *arg);

/* Asks until nothing is left, for `seconds` at most, and says on standard error how much is, how
 * fast it goes, how long it will take, and what snapshots have sent for it, and how fast: in place
 * on a terminal, else in lines. What is under way goes on whether anybody waits or not.
 * While nothing answers it goes on asking,
 * and says so. EXIT_UNHEALTHY: the time was over. EXIT_CONFLICT: somebody took it back, which was
 * said. Else the error was said. */
struct progress_work {
	const char *what; /* "replicas" */
	/* NULL: there is no job of it. Else what the cluster's record says counts, too: it began
	 * with the work, and not with the waiting. */
	const char *job;
	uint64_t node; /* a drain's */
	progress_left *left;
	/* NULL: nobody takes it back. Else what is said where it was wanted and is not any more. */
	progress_wanted *wanted;
	/* The version of the directory since which it was; 0: not known. */
	uint64_t since;
	const char *taken_back;
	const void *arg;
};
enum exit_code progress_wait(
    struct online *online, uint32_t seconds, const struct progress_work *work);

#endif
