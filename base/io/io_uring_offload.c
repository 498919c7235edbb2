/* Threads for work that blocks. They have no ring: a finished job goes onto a list, and the first
 * one on it writes the event descriptor that the core's ring reads.
 *
 * Long jobs (bulk) wait in a queue of their own and are never taken by the last free thread. */
#include "base/io/io_uring.h"

#include <pthread.h>
#include <signal.h>

#include "base/assert.h"
#include "base/mem.h"

struct offload_pool {
	struct io *io;
	pthread_mutex_t mutex; /* of all below, threads[] aside */
	pthread_cond_t changed;
	struct list jobs;
	struct list bulk_jobs;
	struct list finished;
	unsigned idle;
	bool stopping;
	unsigned thread_count;
	pthread_t threads[];
};

static struct io_op *op_of(struct list_node *node)
{
	return CONTAINER_OF(node, struct io_op, link);
}

/* With the mutex held; NULL: nothing that this thread may take. */
static struct io_op *take_job(struct offload_pool *pool)
{
	ASSERT(pool->idle > 0);
	if (!list_empty(&pool->jobs))
		return op_of(list_pop_front(&pool->jobs));
	if (!list_empty(&pool->bulk_jobs) && pool->idle > 1)
		return op_of(list_pop_front(&pool->bulk_jobs));
	return NULL;
}

static void *work(void *arg)
{
	struct offload_pool *pool = arg;
	pthread_mutex_lock(&pool->mutex);
	while (!pool->stopping) {
		struct io_op *op = take_job(pool);
		if (op == NULL) {
			pthread_cond_wait(&pool->changed, &pool->mutex);
			continue;
		}
		pool->idle--;
		pthread_mutex_unlock(&pool->mutex);
		op->u.work.run(op);
		pthread_mutex_lock(&pool->mutex);
		pool->idle++;
		bool first = list_empty(&pool->finished);
		list_push_back(&pool->finished, &op->link);
		if (first)
			io_event_write(pool->io);
	}
	pthread_mutex_unlock(&pool->mutex);
	return NULL;
}

static int start_threads(struct offload_pool *pool, unsigned threads)
{
	sigset_t all;
	sigset_t before;
	int result = 0;
	/* Signals are the main thread's business. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (pool->thread_count < threads && result == 0) {
		/* Counted first, under the mutex, because the thread looks at it. */
		pthread_mutex_lock(&pool->mutex);
		result = pthread_create(&pool->threads[pool->thread_count], NULL, work, pool);
		if (result == 0) {
			pool->thread_count++;
			pool->idle++;
		}
		pthread_mutex_unlock(&pool->mutex);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return result == 0 ? 0 : error_from_errno(result);
}

int offload_new(struct io *io, unsigned threads, struct offload_pool **ret_pool)
{
	ASSERT(threads >= 2);
	struct offload_pool *pool =
	    mem_zalloc(1, sizeof(*pool) + threads * sizeof(pool->threads[0]));
	if (pool == NULL)
		return ERR_NOMEM;
	pool->io = io;
	list_init(&pool->jobs);
	list_init(&pool->bulk_jobs);
	list_init(&pool->finished);
	pthread_mutex_init(&pool->mutex, NULL);
	pthread_cond_init(&pool->changed, NULL);
	int error = start_threads(pool, threads);
	if (error < 0) {
		offload_free(pool);
		return error;
	}
	*ret_pool = pool;
	return 0;
}

void offload_free(struct offload_pool *pool)
{
	if (pool == NULL)
		return;
	pthread_mutex_lock(&pool->mutex);
	ASSERT(list_empty(&pool->jobs) && list_empty(&pool->bulk_jobs));
	ASSERT(list_empty(&pool->finished));
	pool->stopping = true;
	pthread_cond_broadcast(&pool->changed);
	pthread_mutex_unlock(&pool->mutex);
	for (unsigned i = 0; i < pool->thread_count; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->changed);
	pthread_mutex_destroy(&pool->mutex);
	mem_free(pool);
}

void offload_reap(struct offload_pool *pool)
{
	struct list finished;
	list_init(&finished);
	pthread_mutex_lock(&pool->mutex);
	list_append_all(&finished, &pool->finished);
	pthread_mutex_unlock(&pool->mutex);
	for (struct list_node *node = list_pop_front(&finished); node != NULL;
	     node = list_pop_front(&finished)) {
		struct io_op *op = op_of(node);
		op_complete(op, op->result);
	}
}

static void offload(struct io *io, struct io_op *op, void (*run)(struct io_op *op), bool bulk)
{
	struct offload_pool *pool = io->offload;
	ASSERT(run != NULL);
	op_start(io, op, OP_WORK);
	op->result = 0;
	op->u.work.run = run;
	io->figures.offloaded++;
	pthread_mutex_lock(&pool->mutex);
	list_push_back(bulk ? &pool->bulk_jobs : &pool->jobs, &op->link);
	pthread_cond_signal(&pool->changed);
	pthread_mutex_unlock(&pool->mutex);
}

void io_offload(struct io *io, struct io_op *op, void (*run)(struct io_op *op))
{
	offload(io, op, run, false);
}

void io_offload_bulk(struct io *io, struct io_op *op, void (*run)(struct io_op *op))
{
	offload(io, op, run, true);
}
