/* The state of an event-sourced entity that is not in memory: its snapshot, and the events behind
 * it, folded.
 *
 *   snapshot (memory, or read) -> events, a chunk at a time (read in the pool) -> folded, in slices
 *     -> next chunk ... -> the entity's state
 *
 * A chunk is bounded, so that the longest history folds in bounded memory: the state that one chunk
 * gave is what the next one starts from. All of it sees one moment, that of the cursor; the entity
 * is locked meanwhile, so nothing of it is proposed that the cursor does not see.
 */
#include "server/shard/replica.h"

#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "storage/cursor.h"

#define CHUNK_BYTES     (1 * MIB)
#define CHUNK_BYTES_MAX (64 * MIB)
#define RETRY_NS        (10 * NS_PER_MS)

struct fold {
	struct work *work;
	uint64_t target; /* the revision to come to */
	bool begun;      /* what follows is known */
	bool done;

	/* Folded so far. */
	uint64_t revision;
	bool has_state;
	uint32_t state_version;
	uint8_t *state;
	size_t state_bytes;

	/* Reading. */
	uint64_t read_from;
	struct cursor *cursor;
	struct io_op op;
	bool reading;
	int error;
	struct buffer events;
	uint64_t last; /* revision of the last event in the chunk */
	struct io_timer retry;

	/* Folding. */
	struct host_call *call;
	struct reader in;
};

bool fold_under_way(const struct fold *fold)
{
	return fold && (fold->reading || fold->retry.armed);
}

bool fold_state(const struct fold *fold, struct slice *ret_state, uint32_t *ret_version)
{
	ASSERT(fold->done);
	if (fold->has_state) {
		*ret_state = slice_of(fold->state, fold->state_bytes);
		*ret_version = fold->state_version;
	}
	return fold->has_state;
}

void fold_free(struct work *work)
{
	struct fold *fold = work->fold;
	if (!fold || fold->reading)
		return;
	io_timer_cancel(work->shard->shards->io, &fold->retry);
	host_call_end(fold->call);
	cursor_close(fold->cursor);
	buffer_done(&fold->events);
	mem_free(fold->state);
	mem_free(fold);
	work->fold = NULL;
}

/* ---- The snapshot ---- */

static int take_state(struct fold *fold, struct slice state)
{
	uint8_t *copy = mem_alloc(state.bytes + 1);
	if (!copy)
		return ERR_NOMEM;
	if (state.bytes > 0)
		memcpy(copy, state.data, state.bytes);
	mem_free(fold->state);
	fold->state = copy;
	fold->state_bytes = state.bytes;
	fold->has_state = true;
	return 0;
}

static void begin_at_birth(struct fold *fold)
{
	const struct head *head = &fold->work->entity->head;
	fold->begun = true;
	fold->revision = head->born;
	fold->read_from = head->born + 1;
}

void fold_take_snapshot(struct work *work, bool found, struct slice record)
{
	struct fold *fold = work->fold;
	struct snapshot snapshot;
	int error = found ? snapshot_read(record, &snapshot) : ERR_CORRUPT;
	if (error) {
		fold->error = error;
		return;
	}
	/* One that cannot be read any more is as if it were not there. */
	if (!host_component_reads_version(work->component, snapshot.state_version) ||
	    snapshot.revision > fold->target) {
		begin_at_birth(fold);
		return;
	}
	fold->error = take_state(fold, snapshot.state);
	fold->state_version = snapshot.state_version;
	fold->revision = snapshot.revision;
	fold->read_from = snapshot.read_from;
	fold->begun = true;
}

/* ---- Reading, in the pool ---- */

/* False: enough for now, or an error. */
static bool take_value(struct fold *fold, struct slice value)
{
	struct reader in = reader_of(value);
	struct host_event event;
	const uint8_t *before = in.at;
	while (event_record_read(&in, &event)) {
		struct slice bytes = slice_of(before, (size_t)(in.at - before));
		before = in.at;
		if (event.revision <= fold->last)
			continue;
		if (event.revision > fold->target)
			return false;
		/* Revisions have no gaps: one would be a lost event. */
		if (event.revision != fold->last + 1) {
			fold->error = ERR_CORRUPT;
			return false;
		}
		fold->error = buffer_append_slice(&fold->events, bytes);
		if (fold->error)
			return false;
		fold->last = event.revision;
	}
	if (in.failed)
		fold->error = ERR_CORRUPT;
	return !fold->error && fold->last < fold->target &&
	       buffer_bytes(&fold->events) < CHUNK_BYTES;
}

static void read_chunk(struct io_op *op)
{
	struct fold *fold = CONTAINER_OF(op, struct fold, op);
	struct slice key;
	struct slice value;
	int error;
	op->result = 0;
	do {
		error = cursor_next(fold->cursor, &key, &value);
		if (error == ERR_NOT_FOUND)
			error = ERR_CORRUPT;
		if (error)
			fold->error = error;
	} while (!error && take_value(fold, value));
}

static void chunk_read(struct io_op *op)
{
	struct fold *fold = CONTAINER_OF(op, struct fold, op);
	struct work *work = fold->work;
	struct shards *shards = work->shard->shards;
	fold->reading = false;
	if (!work->call)
		work_free_if_idle(work);
	else
		work_make_ready(work);
	shards_deliver(shards);
}

static void retry(struct io_timer *timer)
{
	work_make_ready(CONTAINER_OF(timer, struct fold, retry)->work);
}

static void start_reading(struct fold *fold)
{
	struct work *work = fold->work;
	struct shard *shard = work->shard;
	int error = 0;
	if (!fold->cursor) {
		struct key first, end;
		struct entity_name name = entity_name(work->entity);
		key_of_events(&first, name, fold->read_from);
		key_of_events_end(&end, name);
		error = cursor_open(
		    shard->engine, shard->number, key_view(&first), key_view(&end), &fold->cursor);
	}
	if (error == ERR_TOO_LARGE) {
		/* More of it is in memory than a cursor copies: once it is in the store, not. */
		engine_checkpoint(shard->engine);
		io_timer_set(
		    shard->shards->io, &fold->retry, io_now_ns(shard->shards->io) + RETRY_NS);
		return;
	}
	if (error) {
		fold->error = error;
		work_make_ready(work);
		return;
	}
	buffer_clear(&fold->events);
	fold->last = fold->revision;
	fold->reading = true;
	shard->shards->figures.cold_reads++;
	memset(&fold->op, 0, sizeof(fold->op));
	fold->op.done = chunk_read;
	io_offload(shard->shards->io, &fold->op, read_chunk);
}

/* ---- Folding ---- */

static bool next_event(void *arg, struct host_event *ret_event)
{
	struct fold *fold = arg;
	return event_record_read(&fold->in, ret_event);
}

static int begin_call(struct fold *fold)
{
	struct work *work = fold->work;
	fold->in = reader_of(buffer_view(&fold->events));
	struct host_fold request = {
	    .component = work->component,
	    .address = entity_address(work->entity),
	    .entity = {.exists = fold->revision > work->entity->head.born,
	        .has_state = fold->has_state,
	        .state_version = fold->state_version,
	        .revision = fold->revision,
	        .state = slice_of(fold->state, fold->state_bytes)},
	    .next = next_event,
	    .arg = fold,
	};
	work->shard->shards->figures.folds++;
	return host_fold_begin(work->shard->shards->options.host, &request, &fold->call);
}

/* False: the work was answered. */
static bool take_folded(struct fold *fold)
{
	struct work *work = fold->work;
	const struct host_outcome *outcome = host_call_outcome(fold->call);
	if (outcome->status != STATUS_OK) {
		if (work->reads_here)
			replica_to_leader(work);
		else
			work_fail_with(work, outcome);
		return false;
	}
	fold->error = outcome->has_state ? take_state(fold, outcome->state) : 0;
	fold->has_state = outcome->has_state;
	fold->state_version = outcome->state_version;
	fold->revision = fold->last;
	host_call_end(fold->call);
	fold->call = NULL;
	buffer_clear(&fold->events);
	return true;
}

/* ---- The steps ---- */

static bool is_needed(const struct work *work, uint64_t revision)
{
	const struct entity *entity = work->entity;
	if (host_component_kind(work->component) != HOST_EVENT_SOURCED_ENTITY)
		return false;
	if (revision != 0)
		return true;
	return entity->head.exists &&
	       !(entity->has_fold && entity->state_revision == entity->head.revision &&
	           entity->state_hash == host_component_fold_hash(work->component));
}

static void fail(struct work *work, int error)
{
	/* Events may have been deleted since its head was read. */
	if (work->reads_here) {
		replica_to_leader(work);
		return;
	}
	/* Where its cursor met damage the shard is closed now: others that have it whole are waited
	 * for, as with all calls. */
	fold_free(work);
	if (engine_shard_closed(work->shard->engine, work->shard->number)) {
		shard_close_damaged(work->shard);
		work_make_ready(work);
		return;
	}
	if (error == ERR_NOMEM)
		work_fail(work, STATUS_RESOURCE_EXHAUSTED,
		    "the server is out of memory; nothing was changed");
	else
		work_fail(work, STATUS_DATA_LOSS,
		    "shard %u: the entity's events cannot be read: %s", work->shard->number,
		    error_text(error));
}

static enum step finish(struct work *work, uint64_t revision)
{
	struct fold *fold = work->fold;
	struct entity *entity = work->entity;
	fold->done = true;
	if (revision != 0)
		return STEP_ON;
	entity_take_state(entity, fold->state, fold->state_bytes, fold->state_bytes);
	fold->state = NULL;
	entity->has_fold = true;
	entity->has_state = fold->has_state;
	entity->state_hash = host_component_fold_hash(work->component);
	entity->state_revision = fold->target;
	entity->state_version = fold->state_version;
	fold_free(work);
	return STEP_ON;
}

static struct fold *fold_new(struct work *work, uint64_t revision)
{
	struct fold *fold = mem_zalloc(1, sizeof(*fold));
	if (!fold)
		return NULL;
	fold->work = work;
	fold->target = revision ? revision : work->entity->head.revision;
	fold->retry.fired = retry;
	buffer_init(&fold->events, CHUNK_BYTES_MAX);
	work->fold = fold;
	return fold;
}

static enum step begin(struct work *work)
{
	struct fold *fold = work->fold;
	const struct head *head = &work->entity->head;
	if (head->snapshot_revision == 0 || head->snapshot_revision > fold->target) {
		begin_at_birth(fold);
		return STEP_ON;
	}
	struct key key;
	struct slice record;
	bool found;
	key_of_entity(&key, SHARD_KEY_SNAPSHOT, entity_name(work->entity));
	if (work_get(work, &key, LOADS_SNAPSHOT, &found, &record) == STEP_STOP)
		return STEP_STOP;
	fold_take_snapshot(work, found, record);
	return STEP_ON;
}

enum step fold_step(struct work *work, uint64_t revision)
{
	struct fold *fold = work->fold;
	if (!fold && !is_needed(work, revision))
		return STEP_ON;
	/* Events that are only proposed cannot be read. */
	if (!fold && work->entity->changed > work->shard->applied_number) {
		work_wait(work, &work->shard->stalled);
		return STEP_STOP;
	}
	if (!fold)
		fold = fold_new(work, revision);
	if (!fold) {
		fail(work, ERR_NOMEM);
		return STEP_STOP;
	}
	if (!fold->begun && !fold->error && begin(work) == STEP_STOP)
		return STEP_STOP;
	while (!fold->error && !fold->done) {
		if (fold->revision == fold->target)
			return finish(work, revision);
		if (!fold->call && buffer_bytes(&fold->events) == 0) {
			start_reading(fold);
			return STEP_STOP;
		}
		if (!fold->call)
			fold->error = begin_call(fold);
		if (fold->error)
			break;
		if (host_call_run(fold->call, 0) == HOST_PAUSED) {
			list_push_back(&work->shard->shards->paused, &work->link);
			return STEP_STOP;
		}
		if (!take_folded(fold))
			return STEP_STOP;
	}
	if (fold->done)
		return STEP_ON;
	fail(work, fold->error);
	return STEP_STOP;
}
