/* Reads of cold keys: one job per key at a time, in the offload pool.
 *
 * A job lives from the first load of a key to the last `done`. Its key has a mark in the table
 * with the job's ticket; as long as the mark stands, later loads of the key join the job. Where a
 * change took the mark away, what the read brings is dropped: the change is newer. If that has
 * been evicted again by the time the read ends, the job reads once more, for it promised those who
 * wait an answer; each such round takes a checkpoint, so this ends.
 */
#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "storage/engine_parts.h"
#include "storage/install.h"

#include <string.h>

struct load_job {
	struct io_op op;
	struct engine *engine;
	struct hash_entry entry; /* while loads may join */
	struct list_node ready;
	struct engine_load *first;
	struct engine_load **end;
	uint64_t ticket;
	struct buffer value;
	uint32_t shard;
	uint32_t key_bytes; /* with the shard */
	uint8_t key[];
};

static struct slice full_key(const struct load_job *job)
{
	return slice_of(job->key, job->key_bytes);
}

static struct slice own_key(const struct load_job *job)
{
	return slice_of(job->key + KEY_SHARD_BYTES, job->key_bytes - KEY_SHARD_BYTES);
}

static bool job_has_key(const struct hash_entry *entry, const void *key)
{
	const struct load_job *job = CONTAINER_OF(entry, struct load_job, entry);
	return slice_equal(full_key(job), *(const struct slice *)key);
}

static uint64_t key_hash(const struct engine *engine, struct slice key)
{
	return hash_bytes(key, engine->options.hash_seed);
}

static struct load_job *job_find(const struct engine *engine, struct slice key)
{
	struct hash_entry *entry =
	    hash_table_find(&engine->load_jobs, key_hash(engine, key), job_has_key, &key);
	return entry ? CONTAINER_OF(entry, struct load_job, entry) : NULL;
}

/* Loads of its key find it no more. */
static void job_hide(struct load_job *job)
{
	if (hash_entry_linked(&job->entry))
		hash_table_remove(&job->engine->load_jobs, &job->entry);
}

/* Loads of its key find this job and no other. */
static int job_show(struct load_job *job)
{
	struct engine *engine = job->engine;
	struct load_job *shown = job_find(engine, full_key(job));
	if (shown == job)
		return 0;
	if (shown)
		job_hide(shown);
	return hash_table_insert(&engine->load_jobs, key_hash(engine, full_key(job)), &job->entry);
}

static void job_free(struct load_job *job)
{
	job_hide(job);
	list_remove(&job->ready);
	buffer_done(&job->value);
	mem_free(job);
}

static void job_add(struct load_job *job, struct engine_load *load)
{
	load->next = NULL;
	*job->end = load;
	job->end = &load->next;
}

/* A job that is shown. NULL: ERR_NOMEM. */
static struct load_job *job_new(struct engine *engine, uint32_t shard, struct slice key)
{
	struct load_job *job = mem_alloc(sizeof(*job) + key.bytes);
	if (!job)
		return NULL;
	*job =
	    (struct load_job){.engine = engine, .shard = shard, .key_bytes = (uint32_t)key.bytes};
	job->end = &job->first;
	memcpy(job->key, key.data, key.bytes);
	buffer_init(&job->value, BATCH_VALUE_BYTES_MAX);
	list_node_init(&job->ready);
	hash_entry_init(&job->entry);
	if (job_show(job)) {
		job_free(job);
		return NULL;
	}
	return job;
}

/* The job's loads are called, and it is gone. */
static void job_end(struct load_job *job, int result)
{
	struct engine_load *load = job->first;
	job_hide(job);
	while (load) {
		struct engine_load *next = load->next;
		load->done(load, result);
		load = next;
	}
	job_free(job);
}

/* ---- Reading ---- */

static void run(struct io_op *op)
{
	struct load_job *job = CONTAINER_OF(op, struct load_job, op);
	op->result = store_get(job->engine->store, full_key(job), &job->value);
}

static void read_ended(struct io_op *op);

/* The key is cold. From here on this is the job that reads it. */
static int job_start(struct load_job *job)
{
	struct engine *engine = job->engine;
	int error = job_show(job);
	if (!error)
		error = table_load(engine->table, job->shard, own_key(job), &job->ticket);
	if (error)
		return error;
	engine->loads++;
	engine_shard_find(engine, job->shard)->loads++;
	buffer_clear(&job->value);
	job->op.done = read_ended;
	engine_op_begin(engine);
	io_offload(engine->options.io, &job->op, run);
	return 0;
}

/* Of a shard that may not be read. */
static int shut_error(const struct engine *engine, uint32_t shard)
{
	return engine_shard_closed(engine, shard) ? ERR_DATA_LOSS : ERR_AGAIN;
}

/* Gives what the table knows, or reads. The job is in nobody's hands. */
static void job_answer(struct load_job *job)
{
	struct engine *engine = job->engine;
	struct slice value;
	int error = 0;
	if (engine_shard_closed(engine, job->shard) || engine_shard_fenced(engine, job->shard)) {
		job_end(job, shut_error(engine, job->shard));
		return;
	}
	switch (table_get(engine->table, job->shard, own_key(job), &value)) {
	case TABLE_VALUE:
	case TABLE_ABSENT:
		table_pin(engine->table, job->shard, own_key(job));
		job_end(job, 0);
		table_unpin(engine->table);
		return;
	case TABLE_COLD:
		error = job_start(job);
		if (error)
			job_end(job, error);
		return;
	case TABLE_LOADING:
		break;
	}
	/* Another job reads it by now, which began later than this one: its answer is ours. */
	struct load_job *newer = job_find(engine, full_key(job));
	ASSERT(newer && newer != job && job->first);
	*newer->end = job->first;
	newer->end = job->end;
	job_free(job);
}

static void read_ended(struct io_op *op)
{
	struct load_job *job = CONTAINER_OF(op, struct load_job, op);
	struct engine *engine = job->engine;
	int error = (int)op->result;
	if (!engine_op_end(engine)) {
		job_free(job);
		return;
	}
	struct engine_shard *shard = engine_shard_find(engine, job->shard);
	ASSERT(shard && shard->loads > 0);
	shard->loads--;
	struct slice key = own_key(job);
	if (error == 0 || error == ERR_NOT_FOUND) {
		error = table_fill(engine->table, job->shard, key, job->ticket, error == 0,
		    buffer_view(&job->value));
	} else {
		table_load_failed(engine->table, job->shard, key, job->ticket);
		if (error == ERR_CORRUPT || error == ERR_IO)
			engine_shard_close(engine, job->shard, "read failed", error);
	}
	if (error)
		job_end(job, error);
	else
		job_answer(job);
}

/* ---- Asking ---- */

static void refuse(struct engine *engine, struct engine_load *load, int error)
{
	load->result = error;
	load->next = NULL;
	*engine->load_refused_end = load;
	engine->load_refused_end = &load->next;
	engine_call_later(engine);
}

/* Whether a load may wait for the job: it is ready, or what it reads is what the key waits for. */
static bool may_join(const struct engine *engine, const struct load_job *job)
{
	return list_linked(&job->ready) ||
	       table_load_current(engine->table, job->shard, own_key(job), job->ticket);
}

void engine_load(struct engine *engine, struct engine_load *load, uint32_t shard, struct slice key)
{
	ASSERT(!engine->replaying && load->done);
	uint8_t data[KEY_SHARD_BYTES + BATCH_KEY_BYTES_MAX];
	struct slice full = engine_full_key(data, shard, key);
	if (engine_shard_closed(engine, shard) || engine_shard_fenced(engine, shard)) {
		refuse(engine, load, shut_error(engine, shard));
		return;
	}
	/* One that nobody wrote to is closed, too, where it cannot be read. */
	if (!engine_shard_need(engine, shard, NULL)) {
		refuse(engine, load, ERR_NOMEM);
		return;
	}
	struct load_job *job = job_find(engine, full);
	if (job && may_join(engine, job)) {
		job_add(job, load);
		return;
	}
	/* One that a change overtook answers those who wait, and no others. */
	job = job_new(engine, shard, full);
	if (!job) {
		refuse(engine, load, ERR_NOMEM);
		return;
	}
	job_add(job, load);
	struct slice value;
	if (table_get(engine->table, shard, key, &value) == TABLE_COLD) {
		int error = job_start(job);
		if (error) {
			job_free(job);
			refuse(engine, load, error);
		}
		return;
	}
	list_push_back(&engine->load_ready, &job->ready);
	engine_call_later(engine);
}

void load_init(struct engine *engine)
{
	hash_table_init(&engine->load_jobs);
	list_init(&engine->load_ready);
	engine->load_refused_end = &engine->load_refused;
}

void load_deliver(struct engine *engine)
{
	/* Those that come while these are called wait for the next time. */
	struct engine_load *refused = engine->load_refused;
	engine->load_refused = NULL;
	engine->load_refused_end = &engine->load_refused;
	struct list ready;
	list_init(&ready);
	list_append_all(&ready, &engine->load_ready);
	while (refused) {
		struct engine_load *next = refused->next;
		refused->done(refused, refused->result);
		refused = next;
	}
	struct list_node *node;
	while ((node = list_pop_front(&ready)))
		job_answer(CONTAINER_OF(node, struct load_job, ready));
}

void load_done(struct engine *engine)
{
	struct list_node *node;
	while ((node = list_pop_front(&engine->load_ready)))
		job_free(CONTAINER_OF(node, struct load_job, ready));
	ASSERT(hash_table_count(&engine->load_jobs) == 0);
	hash_table_done(&engine->load_jobs);
}
