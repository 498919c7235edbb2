#include "server/meta/cluster_job.h"

#include "base/assert.h"
#include "base/clock.h"

bool cluster_job_was(const struct cluster_job *job)
{
	return job->all > 0;
}

bool cluster_job_runs(const struct cluster_job *job)
{
	return cluster_job_was(job) && job->ended_ns == 0;
}

uint64_t cluster_job_left(const struct cluster_job *job, uint64_t left, uint64_t unknown)
{
	return left == 0 && cluster_job_runs(job) ? unknown : left;
}

static void begin(struct cluster_job *job, uint64_t left, uint64_t now_ns, int64_t now_ms)
{
	*job =
	    (struct cluster_job){.began_ms = now_ms, .began_ns = now_ns, .all = left, .left = left};
}

/* What is left comes to what was done. */
static void go_on(struct cluster_job *job, uint64_t left)
{
	ASSERT(job->left == 0);
	job->ended_ns = 0;
	job->all += left;
	job->left = left;
}

void cluster_job_look(struct cluster_job *job, uint64_t left, uint64_t now_ns, int64_t now_ms)
{
	if (cluster_job_runs(job)) {
		job->left = left;
		if (left > job->all)
			job->all = left;
		if (left == 0)
			job->ended_ns = now_ns;
	} else if (left > 0) {
		if (cluster_job_was(job) &&
		    now_ns - job->ended_ns < CLUSTER_JOB_REST_MS * NS_PER_MS)
			go_on(job, left);
		else
			begin(job, left, now_ns, now_ms);
	}
}

uint64_t cluster_job_ms(const struct cluster_job *job, uint64_t now_ns)
{
	uint64_t end_ns = cluster_job_runs(job) ? now_ns : job->ended_ns;
	return (end_ns - job->began_ns) / NS_PER_MS;
}
