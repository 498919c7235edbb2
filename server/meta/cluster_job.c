#include "server/meta/cluster_job.h"

bool cluster_job_was(const struct cluster_job *job)
{
	return job->all > 0;
}

bool cluster_job_runs(const struct cluster_job *job)
{
	return cluster_job_was(job) && job->ended_ms == 0;
}

bool cluster_job_same(const struct cluster_job *a, const struct cluster_job *b)
{
	return a->began_ms == b->began_ms && a->ended_ms == b->ended_ms && a->all == b->all;
}

uint64_t cluster_job_left(const struct cluster_job *job, uint64_t left, uint64_t unknown)
{
	return left == 0 && cluster_job_runs(job) ? unknown : left;
}

/* It ended, and what comes now is part of it. By the clock of somebody else perhaps, which may be
 * behind. */
static bool rests(const struct cluster_job *job, int64_t now_ms)
{
	int64_t since_ms = now_ms - job->ended_ms;
	return cluster_job_was(job) && since_ms > -CLUSTER_JOB_REST_MS &&
	       since_ms < CLUSTER_JOB_REST_MS;
}

void cluster_job_look(struct cluster_job *job, uint64_t left, int64_t now_ms)
{
	if (now_ms < 1)
		now_ms = 1;
	if (cluster_job_runs(job)) {
		if (left > job->all)
			job->all = left;
		if (left == 0)
			job->ended_ms = now_ms;
	} else if (left > 0 && rests(job, now_ms)) {
		job->ended_ms = 0;
		job->all = left < INT64_MAX - job->all ? job->all + left : INT64_MAX;
	} else if (left > 0) {
		*job = (struct cluster_job){.began_ms = now_ms, .all = left};
	}
}

uint64_t cluster_job_ms(const struct cluster_job *job, int64_t now_ms)
{
	int64_t end_ms = cluster_job_runs(job) ? now_ms : job->ended_ms;
	return end_ms > job->began_ms ? (uint64_t)(end_ms - job->began_ms) : 0;
}
