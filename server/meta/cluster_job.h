/* Long work that the cluster does by itself, for who wants to know how far it is: what is moved
 * until all is even, and a node that is drained.
 *
 * A record of it, kept by who leads the directory and made from what it sees, again and again: so
 * it is there for whoever asks, however long after the work began, and begins anew with the next
 * leader. A job runs while something is left. It is over when nothing is, and stays as the last one
 * of its kind until another one begins; what comes within CLUSTER_JOB_REST_MS belongs to it still,
 * since leaders become even only when replicas have.
 *
 * Pure. Any thread.
 */
#ifndef KX_SERVER_META_CLUSTER_JOB_H
#define KX_SERVER_META_CLUSTER_JOB_H

#include <stdbool.h>
#include <stdint.h>

enum { CLUSTER_JOB_REST_MS = 5000 };

/* Zeroed: there was none yet. */
struct cluster_job {
	int64_t began_ms; /* since 1970 UTC */
	/* By a clock that never goes back; ended_ns 0: it runs. */
	uint64_t began_ns, ended_ns;
	/* Of so many there is so much left. The first one grows when more comes. */
	uint64_t all, left;
};

/* How much is left, where beside what is seen to be left so much cannot be told: that begins no
 * job, and ends none. */
uint64_t cluster_job_left(const struct cluster_job *job, uint64_t left, uint64_t unknown);
/* So much is left, as it is seen at that time. */
void cluster_job_look(struct cluster_job *job, uint64_t left, uint64_t now_ns, int64_t now_ms);
bool cluster_job_was(const struct cluster_job *job); /* there is one, running or not */
bool cluster_job_runs(const struct cluster_job *job);
/* How long it has run, or ran. */
uint64_t cluster_job_ms(const struct cluster_job *job, uint64_t now_ns);

#endif
