/* Long work that the cluster does by itself, for who wants to know how far it is: what is moved
 * until all is even, and a node that is drained.
 *
 * A record of it, kept in the directory: that of a drain with its node, that of what is moved with
 * the cluster. It says when the work began and ended, and of how much; how much is left is seen by
 * who leads the directory, again and again, from how the shards are. So it is there for whoever
 * asks, however long after the work began, and the next leader goes on with it.
 *
 * A job runs while something is left. It is over when nothing is, and stays as the last one of its
 * kind until another one begins; what comes within CLUSTER_JOB_REST_MS belongs to it still, since
 * leaders become even only when replicas have.
 *
 * Its times are those of the clock of who leads the directory then: they are told, and decide
 * nothing but what a job that is over is part of.
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
	int64_t began_ms, ended_ms; /* since 1970 UTC, >= 0; ended 0: it runs */
	/* Of so many, INT64_MAX at most. Grows when more comes. */
	uint64_t all;
};

/* How much is left, where beside what is seen to be left so much cannot be told: that begins no
 * job, and ends none. */
uint64_t cluster_job_left(const struct cluster_job *job, uint64_t left, uint64_t unknown);
/* So much is left, as it is seen at that time: the record becomes what that makes of it. A clock
 * that says that it is before 1970 is not believed. */
void cluster_job_look(struct cluster_job *job, uint64_t left, int64_t now_ms);
bool cluster_job_same(const struct cluster_job *a, const struct cluster_job *b);
bool cluster_job_was(const struct cluster_job *job); /* there is one, running or not */
bool cluster_job_runs(const struct cluster_job *job);
/* How long it has run, or ran; 0 where clocks do not agree. */
uint64_t cluster_job_ms(const struct cluster_job *job, int64_t now_ms);

#endif
