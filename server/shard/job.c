/* Jobs that handlers wait for (scripting/host.h: HOST_WAITS), in the offload pool: one at a time
 * for each core, so that neither a core nor what else the pool does stands still behind many of
 * them. The call's entity stays locked meanwhile; others have their turn. */
#include "server/shard/shard_parts.h"

#include "base/assert.h"
#include "base/mem.h"

struct job {
	struct io_op op;
	struct work *work;
	struct host_job *host_job;
};

static void begin_next(struct shards *shards);

static void run(struct io_op *op)
{
	host_job_run(CONTAINER_OF(op, struct job, op)->host_job);
	op->result = 0;
}

static void done(struct io_op *op)
{
	struct job *job = CONTAINER_OF(op, struct job, op);
	struct work *work = job->work;
	struct shards *shards = work->shard->shards;
	/* Where the call began anew, or was given up, nobody wants it any more. */
	if (work->host_call)
		host_call_give_job(work->host_call, job->host_job);
	else
		host_job_free(job->host_job);
	mem_free(job);
	work->job = NULL;
	shards->job_under_way = false;
	begin_next(shards);
	if (work->call)
		work_make_ready(work);
	else
		work_free_if_idle(work);
	shards_deliver(shards);
}

static void begin_next(struct shards *shards)
{
	struct list_node *node;
	while (!shards->job_under_way && (node = list_pop_front(&shards->jobs))) {
		struct work *work = CONTAINER_OF(node, struct work, link);
		ASSERT(work->host_call != NULL);
		struct job *job = mem_zalloc(1, sizeof(*job));
		if (!job) {
			work_fail(work, STATUS_RESOURCE_EXHAUSTED,
			    "the server is out of memory; nothing was changed");
			continue;
		}
		job->work = work;
		job->host_job = host_call_take_job(work->host_call);
		job->op.done = done;
		work->job = job;
		shards->job_under_way = true;
		io_offload_bulk(shards->io, &job->op, run);
	}
}

void job_wait(struct work *work)
{
	struct shards *shards = work->shard->shards;
	work_wait(work, &shards->jobs);
	begin_next(shards);
}
