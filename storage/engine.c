#include "storage/engine.h"

#include "base/array.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/fetch.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "base/mutation.h"
#include "storage/engine_parts.h"
#include "storage/install.h"

#include <string.h>

enum { CACHED_BYTES_KEPT = 64 * 1024 };
#define STARVING_NS (10 * NS_PER_MS)

/* ---- Shards ---- */

/* Room for one more in the row by number. */
static int shards_grow(struct engine *engine)
{
	return array_reserve(&engine->shards, &engine->shard_capacity, engine->shard_count + 1,
	    sizeof(struct engine_shard *));
}

static void shards_insert(struct engine *engine, struct engine_shard *shard)
{
	size_t at = engine->shard_count;
	while (at > 0 && engine->shards[at - 1]->number > shard->number)
		at--;
	memmove(engine->shards + at + 1, engine->shards + at,
	    (engine->shard_count - at) * sizeof(struct engine_shard *));
	engine->shards[at] = shard;
	engine->shard_count++;
}

struct engine_shard *engine_shard_need(
    struct engine *engine, uint32_t number, const struct log_base *base)
{
	struct engine_shard *shard = engine_shard_find(engine, number);
	if (shard)
		return shard;
	if (shards_grow(engine))
		return NULL;
	shard = mem_zalloc(1, sizeof(*shard));
	if (!shard)
		return NULL;
	shard->number = number;
	shard->since = ++engine->states;
	if (base)
		shard->base = *base;
	struct table_shard start = {.index = shard->base.index, .term = shard->base.term};
	if (number_map_reserve(&engine->shard_map, 1) ||
	    table_shard_add(engine->table, number, start)) {
		mem_free(shard);
		return NULL;
	}
	int error = number_map_put(&engine->shard_map, number, shard);
	ASSERT(!error);
	shards_insert(engine, shard);
	if (engine->log)
		engine_shard_judge(engine, shard);
	return shard;
}

void engine_shard_close(struct engine *engine, uint32_t number, const char *why, int error)
{
	struct engine_shard *shard = engine_shard_find(engine, number);
	if (!shard || shard->closed)
		return;
	shard->closed = true;
	engine->shards_closed++;
	LOG_LINE(LEVEL_ERROR, "shard_closed", FIELD_TEXT("store", engine->dir),
	    FIELD_U64("group", number), FIELD_TEXT("why", why), FIELD_ERROR("error", error));
}

void engine_want_reopening(struct engine *engine, const char *why)
{
	if (engine->wants_reopening)
		return;
	engine->wants_reopening = true;
	if (engine->options.wants_reopening)
		*engine->options.wants_reopening = true;
	LOG_LINE(LEVEL_WARNING, "reopening_wanted", FIELD_TEXT("store", engine->dir),
	    FIELD_TEXT("why", why));
}

void engine_shard_reopen(struct engine *engine, struct engine_shard *shard)
{
	if (shard->closed)
		engine->shards_closed--;
	shard->closed = false;
	shard->suspect = false;
	shard->goes = false;
	shard->since = ++engine->states;
}

void engine_shard_drop(struct engine *engine, uint32_t number)
{
	struct engine_shard *shard = engine_shard_find(engine, number);
	if (!shard)
		return;
	ASSERT(shard->loads == 0);
	engine_shard_reopen(engine, shard);
	size_t at = 0;
	while (engine->shards[at] != shard)
		at++;
	engine->shard_count--;
	memmove(engine->shards + at, engine->shards + at + 1,
	    (engine->shard_count - at) * sizeof(struct engine_shard *));
	number_map_remove(&engine->shard_map, number);
	table_shard_remove(engine->table, number);
	mem_free(shard);
}

bool engine_shard_closed(const struct engine *engine, uint32_t number)
{
	const struct engine_shard *shard = engine_shard_find(engine, number);
	if (shard)
		return shard->closed;
	/* Nobody met it yet; where any group may have lost something, so may this one. */
	return engine->log && log_group(engine->log, number).suspect &&
	       !MUTATION(engine_suspect_shard_served);
}

void engine_each_group(
    const struct engine *engine, void (*each)(void *arg, uint32_t shard), void *arg)
{
	for (size_t i = 0; i < engine->shard_count; i++)
		each(arg, engine->shards[i]->number);
}

struct log_group_view engine_group(const struct engine *engine, uint32_t shard)
{
	return log_group(engine->log, shard);
}

uint64_t engine_durable(const struct engine *engine, uint32_t shard)
{
	return log_durable(engine->log, shard);
}

struct log_hard_state engine_hard_durable(const struct engine *engine, uint32_t shard)
{
	return log_hard_durable(engine->log, shard);
}

int engine_term(const struct engine *engine, uint32_t shard, uint64_t index, uint64_t *ret_term)
{
	return log_term(engine->log, shard, index, ret_term);
}

/* ---- Appending and applying ---- */

static bool is_behind(const struct engine *engine)
{
	const struct engine_options *options = &engine->options;
	struct table_figures table = table_figures(engine->table);
	uint64_t log_bytes = log_figures(engine->log).frame_bytes - engine->checkpoint.log_bytes;
	return table.dirty_bytes + table.frozen_bytes >=
	           ENGINE_BEHIND_FACTOR * options->dirty_bytes_max ||
	       log_bytes >= ENGINE_BEHIND_FACTOR * options->replay_bytes_max;
}

static int refuse(struct engine *engine, int error)
{
	engine->room_asked = true;
	return error;
}

/* There is no memory: it may take a while until there is, and who is told of room asks at once. */
static int starve(struct engine *engine)
{
	struct io *io = engine->options.io;
	if (!engine->starving.armed)
		io_timer_set(io, &engine->starving, io_now_ns(io) + STARVING_NS);
	return ERR_FULL;
}

static void starving_fired(struct io_timer *timer)
{
	struct engine *engine = CONTAINER_OF(timer, struct engine, starving);
	engine->room_asked = true;
	engine_call_later(engine);
}

int engine_reserve_spare(struct engine *engine, uint32_t shard, uint64_t bytes, uint32_t records)
{
	ASSERT(!engine->replaying);
	const struct engine_shard *known = engine_shard_need(engine, shard, NULL);
	if (!known)
		return starve(engine);
	if (known->closed)
		return ERR_DATA_LOSS;
	if (engine->behind || known->fenced ||
	    (engine->installing > 0 && install_is_recovered(engine, shard)))
		return refuse(engine, ERR_FULL);
	if (log_reserve(engine->log, bytes, records))
		return 0;
	return log_figures(engine->log).no_space ? ERR_NO_SPACE : ERR_FULL;
}

int engine_reserve(struct engine *engine, uint32_t shard, uint64_t bytes, uint32_t records)
{
	/* Shard 0 is the directory: what makes room, moves shards away and the like is decided
	 * there. */
	if (shard != 0 && !engine_writable(engine) && !engine_shard_closed(engine, shard))
		return refuse(engine, ERR_NO_SPACE);
	return engine_reserve_spare(engine, shard, bytes, records);
}

void engine_unreserve(struct engine *engine, uint64_t bytes, uint32_t records)
{
	log_unreserve(engine->log, bytes, records);
}

void engine_append(struct engine *engine, uint32_t shard, uint64_t term, uint64_t index,
    uint32_t bytes, uint8_t **ret_payload)
{
	ASSERT(!engine->replaying && !engine_shard_closed(engine, shard));
	ASSERT(engine->installing == 0 || !engine_shard_fenced(engine, shard));
	log_append(engine->log, shard, term, index, bytes, ret_payload);
	engine->appended = true;
}

void engine_append_hard_state(
    struct engine *engine, uint32_t shard, const struct log_hard_state *hard)
{
	ASSERT(!engine->replaying && !engine_shard_closed(engine, shard));
	log_append_hard_state(engine->log, shard, hard);
}

int engine_apply(
    struct engine *engine, uint32_t shard, uint64_t index, uint64_t term, struct slice batch)
{
	const struct engine_shard *known = engine_shard_need(engine, shard, NULL);
	if (!known)
		return ERR_NOMEM;
	if (known->closed)
		return ERR_DATA_LOSS;
	ASSERT(!known->fenced && index <= log_durable(engine->log, shard));
	return table_apply(engine->table, shard, index, term, batch);
}

void engine_fetch(const struct engine *engine, uint32_t shard)
{
	memory_fetch(engine_shard_find(engine, shard), sizeof(struct engine_shard));
	log_fetch(engine->log, shard);
}

void engine_soon_add(
    const struct engine *engine, struct table_soon *soon, uint32_t shard, struct slice batch)
{
	memory_fetch(engine_shard_find(engine, shard), sizeof(struct engine_shard));
	table_soon_add(engine->table, soon, shard, batch);
}

void engine_soon_pass(const struct engine *engine, struct table_soon *soon, unsigned pass)
{
	table_soon_pass(engine->table, soon, pass);
}

struct table_shard engine_applied(const struct engine *engine, uint32_t shard)
{
	return table_shard_get(engine->table, shard);
}

/* ---- Reading ---- */

struct slice engine_full_key(
    uint8_t data[KEY_SHARD_BYTES + BATCH_KEY_BYTES_MAX], uint32_t shard, struct slice key)
{
	ASSERT(key.bytes <= BATCH_KEY_BYTES_MAX);
	key_shard_put(data, shard);
	if (key.bytes > 0)
		memcpy(data + KEY_SHARD_BYTES, key.data, key.bytes);
	return slice_of(data, KEY_SHARD_BYTES + key.bytes);
}

/* What the block cache knew is kept as a read's result would be; where memory is short, not. */
static void keep_cached(
    struct engine *engine, uint32_t shard, struct slice key, bool found, struct slice value)
{
	uint64_t ticket;
	if (table_load(engine->table, shard, key, &ticket))
		return;
	if (table_fill(engine->table, shard, key, ticket, found, value))
		return;
	engine->cached_reads++;
}

static enum table_found get_cached(
    struct engine *engine, uint32_t shard, struct slice key, struct slice *ret_value)
{
	uint8_t data[KEY_SHARD_BYTES + BATCH_KEY_BYTES_MAX];
	buffer_clear(&engine->cached);
	buffer_trim(&engine->cached, CACHED_BYTES_KEPT);
	int error =
	    store_get_cached(engine->store, engine_full_key(data, shard, key), &engine->cached);
	if (error == ERR_CORRUPT || error == ERR_IO)
		engine_shard_close(engine, shard, "read failed", error);
	if (error != 0 && error != ERR_NOT_FOUND)
		return TABLE_COLD;
	struct slice value = buffer_view(&engine->cached);
	keep_cached(engine, shard, key, error == 0, value);
	if (error == ERR_NOT_FOUND)
		return TABLE_ABSENT;
	*ret_value = value;
	return TABLE_VALUE;
}

int engine_read(struct engine *engine, uint32_t shard, struct slice key, struct buffer *value)
{
	uint8_t data[KEY_SHARD_BYTES + BATCH_KEY_BYTES_MAX];
	struct slice found;
	switch (table_get(engine->table, shard, key, &found)) {
	case TABLE_VALUE:
		return buffer_append_slice(value, found);
	case TABLE_ABSENT:
		return ERR_NOT_FOUND;
	case TABLE_COLD:
	case TABLE_LOADING:
		return store_get(engine->store, engine_full_key(data, shard, key), value);
	}
	UNREACHABLE();
}

enum table_found engine_get(
    struct engine *engine, uint32_t shard, struct slice key, struct slice *ret_value)
{
	const struct engine_shard *known = engine_shard_find(engine, shard);
	if (known ? engine_shard_shut(known) : engine_shard_closed(engine, shard))
		return TABLE_COLD;
	enum table_found found = table_get(engine->table, shard, key, ret_value);
	return found == TABLE_COLD ? get_cached(engine, shard, key, ret_value) : found;
}

/* ---- The turn ---- */

void engine_call_later(struct engine *engine)
{
	struct io *io = engine->options.io;
	io_timer_set(io, &engine->later, io_now_ns(io));
}

static void later_fired(struct io_timer *timer)
{
	struct engine *engine = CONTAINER_OF(timer, struct engine, later);
	load_deliver(engine);
	install_deliver(engine);
	if (engine->room_asked && !engine->behind && engine_writable(engine)) {
		engine->room_asked = false;
		if (engine->options.room)
			engine->options.room(engine->options.arg);
	}
	if (engine->closing == ENGINE_CLOSED && engine->closed) {
		void (*closed)(void *arg) = engine->closed;
		engine->closed = NULL;
		closed(engine->closed_arg);
	}
}

/* An idle server restarts at once: what it wrote last is checkpointed after a while. */
static void idle_fired(struct io_timer *timer)
{
	struct engine *engine = CONTAINER_OF(timer, struct engine, idle);
	struct io *io = engine->options.io;
	uint64_t due_ns = engine->appended_ns + engine->options.idle_ms * NS_PER_MS;
	if (io_now_ns(io) < due_ns)
		io_timer_set(io, &engine->idle, due_ns);
	else if (log_figures(engine->log).frame_bytes != engine->checkpoint.log_bytes)
		engine_checkpoint(engine);
}

void engine_note_activity(struct engine *engine)
{
	struct io *io = engine->options.io;
	engine->appended_ns = io_now_ns(io);
	if (!engine->idle.armed)
		io_timer_set(
		    io, &engine->idle, engine->appended_ns + engine->options.idle_ms * NS_PER_MS);
}

void engine_init(struct engine *engine)
{
	engine->later.fired = later_fired;
	engine->idle.fired = idle_fired;
	engine->starving.fired = starving_fired;
	buffer_init(&engine->cached, BATCH_VALUE_BYTES_MAX);
	install_init(engine);
}

static void drain(struct engine *engine);

bool engine_turn(struct engine *engine)
{
	log_flush(engine->log);
	if (engine->appended)
		engine_note_activity(engine);
	bool more = checkpoint_turn(engine);
	if (!list_empty(&engine->installs))
		more = install_turn(engine) || more;
	drain(engine);
	engine_disk_turn(engine, engine->appended);
	engine->appended = false;
	engine->behind = is_behind(engine);
	if (engine->room_asked && !engine->behind && engine_writable(engine))
		engine_call_later(engine);
	return more;
}

void engine_checkpoint(struct engine *engine)
{
	engine->checkpoint.wanted = true;
}

/* ---- The end ---- */

bool engine_op_end(struct engine *engine)
{
	ASSERT(engine->ops > 0);
	engine->ops--;
	return !engine->freeing;
}

void engine_close_goes_on(struct engine *engine)
{
	const struct checkpoint *checkpoint = &engine->checkpoint;
	if (engine->closing != ENGINE_LAST_CHECKPOINT)
		return;
	/* Without space the log keeps what the store could not take; so nothing is lost. */
	bool done = checkpoint->stage == CHECKPOINT_IDLE && checkpoint->is_last;
	if (!done && checkpoint->stage != CHECKPOINT_WAITING)
		return;
	engine->closing = ENGINE_CLOSED;
	engine_call_later(engine);
}

static void drained(void *arg)
{
	struct engine *engine = arg;
	ASSERT(engine->closing == ENGINE_DRAINING);
	engine->closing = ENGINE_LAST_CHECKPOINT;
	engine_checkpoint(engine);
	engine_close_goes_on(engine);
}

/* Closing begins when no install is under way. */
static void drain(struct engine *engine)
{
	if (engine->closing != ENGINE_INSTALLING || !install_close(engine))
		return;
	engine->closing = ENGINE_DRAINING;
	log_drain(engine->log, drained, engine);
}

void engine_close(struct engine *engine, void (*closed)(void *arg), void *arg)
{
	ASSERT(engine->closing == ENGINE_OPEN);
	engine->closing = ENGINE_INSTALLING;
	engine->closed = closed;
	engine->closed_arg = arg;
	drain(engine);
}

void engine_free(struct engine *engine)
{
	if (!engine)
		return;
	ASSERT(engine->cursors == 0);
	struct io *io = engine->options.io;
	engine->freeing = true;
	io_timer_cancel(io, &engine->later);
	io_timer_cancel(io, &engine->idle);
	io_timer_cancel(io, &engine->starving);
	io_timer_cancel(io, &engine->checkpoint.retry);
	io_timer_cancel(io, &engine->disk.timer);
	while (engine->ops > 0 || (engine->log && log_under_way(engine->log))) {
		io_poll(io, UINT64_MAX);
		io_run(io);
	}
	load_done(engine);
	install_done(engine);
	checkpoint_done(engine);
	log_free(engine->log);
	table_free(engine->table);
	store_close(engine->store);
	for (size_t i = 0; i < engine->shard_count; i++)
		mem_free(engine->shards[i]);
	mem_free(engine->shards);
	number_map_done(&engine->shard_map);
	buffer_done(&engine->cached);
	mem_free(engine);
}

uint64_t engine_log_waiting_ns(const struct engine *engine)
{
	return log_waiting_ns(engine->log);
}

struct engine_figures engine_figures(const struct engine *engine)
{
	struct store_figures store = store_figures(engine->store);
	const struct checkpoint *checkpoint = &engine->checkpoint;
	return (struct engine_figures){
	    .log = log_figures(engine->log),
	    .table = table_figures(engine->table),
	    .checkpoints = checkpoint->count,
	    .checkpoints_unchanged = checkpoint->unchanged,
	    .checkpoint_entries = checkpoint->entries,
	    .checkpoint_bytes = checkpoint->bytes,
	    .checkpoint_last_ms = checkpoint->last_ms,
	    .checkpoint_retries = checkpoint->retries,
	    .loads = engine->loads,
	    .cached_reads = engine->cached_reads,
	    .free_bytes = engine->disk.space.free_bytes,
	    .reserve_bytes = engine->disk.reserve_bytes,
	    .shards = engine->shard_count,
	    .shards_closed = engine->shards_closed,
	    .cursors = engine->cursors,
	    .compactions_stopped = store.compaction_stopped || store.refuses_writes,
	    .installs = engine->installs_done,
	};
}
