/* The space of what was dropped is given back: what a type has in lower incarnations than its own
 * is deleted by entries, a chunk at a time, in the background.
 *
 *   a type that is not empty -> for each kind of key: [a chunk is found, in the pool -> it is
 *     deleted by an entry -> that is applied] ... until there are no more -> the type is empty
 *
 * Nobody reads these keys, and nobody writes them: a call that began on a lower incarnation begins
 * anew (work_run.c). So one cursor sees all of them, however long this takes, and after a restart
 * it just begins again with what is left.
 *
 * A stream of events is found by its entity's head, and cleared in the entry that deletes that.
 *
 * One shard of a core at a time, one chunk at a time, each waits for the one before to be applied:
 * calls have the rest. It only deletes, so a full disk lets it go on. */
#include "server/shard/shard_parts.h"

#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "storage/batch.h"
#include "storage/cursor.h"

enum { CHUNK_KEYS_MAX = 128 };
#define CHUNK_READ_BYTES_MAX (8 * MIB)
#define CHUNK_KEY_BYTES_MAX  (CHUNK_KEYS_MAX * (ENTITY_KEY_BYTES_MAX + VARINT_BYTES_MAX))
#define RETRY_NS             (200 * NS_PER_MS)

static const enum shard_key_kind kinds[] = {SHARD_KEY_HEAD, SHARD_KEY_SNAPSHOT, SHARD_KEY_STATES};
enum { KIND_COUNT = sizeof(kinds) / sizeof(kinds[0]) };

struct purge {
	struct io_op op;
	struct shard *shard;
	uint64_t epoch;
	char type[NAME_BYTES_MAX + 1];
	uint64_t incarnation;
	unsigned kind; /* index into kinds */
	struct cursor *cursor;
	bool running;
	bool at_end; /* of this kind: there is no more */
	int error;
	unsigned count;
	uint64_t deleted;
	size_t key_bytes;
	uint8_t keys[CHUNK_KEY_BYTES_MAX]; /* of `count`, each behind its length */
};

/* ---- In the pool ---- */

static void find_chunk(struct io_op *op)
{
	struct purge *purge = CONTAINER_OF(op, struct purge, op);
	struct writer out = writer_of(purge->keys, sizeof(purge->keys));
	size_t read = 0;
	struct slice key, value;
	int error = 0;
	while (purge->count < CHUNK_KEYS_MAX && read < CHUNK_READ_BYTES_MAX) {
		error = cursor_next(purge->cursor, &key, &value);
		if (error)
			break;
		read += key.bytes + value.bytes;
		writer_varint_slice(&out, key);
		purge->count++;
	}
	ASSERT(!out.failed);
	purge->key_bytes = writer_used(&out);
	purge->at_end = error == ERR_NOT_FOUND;
	purge->error = purge->at_end ? 0 : error;
	op->result = 0;
}

static void chunk_found(struct io_op *op)
{
	CONTAINER_OF(op, struct purge, op)->running = false;
}

/* ---- Steps ---- */

static void fired(struct io_timer *timer)
{
	(void)timer; /* the turn goes on */
}

static bool later(struct shards *shards)
{
	shards->purge_timer.fired = fired;
	io_timer_set(shards->io, &shards->purge_timer, io_now_ns(shards->io) + RETRY_NS);
	return false;
}

static void end(struct shards *shards)
{
	cursor_close(shards->purge->cursor);
	mem_free(shards->purge);
	shards->purge = NULL;
}

/* True: go on. */
static bool read_on(struct purge *purge)
{
	struct shard *shard = purge->shard;
	struct shards *shards = shard->shards;
	int error = 0;
	if (!purge->cursor) {
		struct key first, last;
		struct slice type = slice_from_text(purge->type);
		key_of_dropped(&first, kinds[purge->kind], type);
		/* Breaks: what the type has now stays. */
		uint64_t below = purge->incarnation + MUTATION(shard_purge_takes_too_much);
		key_of_dropped_end(&last, kinds[purge->kind], type, below);
		error = cursor_open(shard->engine, shard->number, key_view(&first), key_view(&last),
		    &purge->cursor);
	}
	if (error == ERR_TOO_LARGE) /* to be copied from memory: once it is in the store, not */
		engine_checkpoint(shard->engine);
	if (error)
		return later(shards);
	purge->running = true;
	purge->op.done = chunk_found;
	io_offload_bulk(shards->io, &purge->op, find_chunk);
	return false;
}

static bool delete_chunk(struct purge *purge)
{
	struct shard *shard = purge->shard;
	bool heads = kinds[purge->kind] == SHARD_KEY_HEAD;
	uint64_t bytes = (purge->key_bytes + purge->count * (uint64_t)(BATCH_OP_BYTES_MAX + 1)) *
	                 (heads ? 2 : 1);
	struct writer out;
	if (entry_reserve(shard, bytes, true))
		return later(shard->shards);
	if (entry_room(shard, bytes, &out)) {
		entry_unreserve(shard, bytes);
		return later(shard->shards);
	}
	struct reader in = reader_of(slice_of(purge->keys, purge->key_bytes));
	for (unsigned i = 0; i < purge->count; i++) {
		struct slice key = reader_varint_slice(&in);
		struct key stream;
		batch_delete(&out, key);
		if (!heads)
			continue;
		key_of_head_events(&stream, key);
		batch_clear(&out, key_view(&stream));
	}
	ASSERT(reader_finished(&in));
	uint64_t used = writer_used(&out);
	entry_written(shard, &out);
	entry_take_room(shard, bytes, used);
	shard->purge_number = shard->open->number;
	purge->deleted += purge->count;
	purge->count = 0;
	return false;
}

static const struct dropped *next_of(const struct shard *shard)
{
	for (uint32_t i = 0; i < shard->dropped_count; i++)
		if (!shard->dropped[i].is_empty)
			return &shard->dropped[i];
	return NULL;
}

/* All is deleted. The shard's record says so when that is true of every type: it names all of
 * them, and what is looked for again after a crash is found to be empty soon. */
static bool say_empty(struct purge *purge)
{
	struct shard *shard = purge->shard;
	struct dropped *dropped = dropped_find(shard, slice_from_text(purge->type));
	ASSERT(dropped); /* none ever goes */
	/* Else it was dropped again meanwhile, and there is more now. */
	dropped->is_empty = dropped->incarnation == purge->incarnation;
	if (!next_of(shard)) {
		if (!active_put(shard, shard->actives, shard->active_count, shard->dropped,
		        shard->dropped_count)) {
			dropped->is_empty = false;
			return later(shard->shards);
		}
		shard->purge_number = shard->open->number;
	}
	if (purge->deleted)
		LOG_LINE(LEVEL_INFO, "type_purged", FIELD_U64("group", shard->number),
		    FIELD_TEXT("type", purge->type), FIELD_U64("keys", purge->deleted));
	end(shard->shards);
	return true;
}

static bool advance(struct purge *purge)
{
	struct shard *shard = purge->shard;
	struct shards *shards = shard->shards;
	if (purge->running)
		return false;
	/* Leadership was lost, or the shard is damaged. */
	if (purge->epoch != shard->epoch || !shard_serves(shard)) {
		end(shards);
		return true;
	}
	if (purge->error) {
		LOG_LINE(LEVEL_WARNING, "purge_waits", FIELD_U64("group", shard->number),
		    FIELD_TEXT("type", purge->type), FIELD_ERROR("error", purge->error));
		list_remove(&shard->purge_link);
		list_push_back(&shards->purges, &shard->purge_link);
		end(shards);
		return later(shards);
	}
	if (purge->count > 0)
		return delete_chunk(purge);
	if (shard->purge_number > shard->applied_number)
		return false;
	if (!purge->at_end)
		return read_on(purge);
	if (purge->kind + 1 == KIND_COUNT)
		return say_empty(purge);
	cursor_close(purge->cursor);
	purge->cursor = NULL;
	purge->at_end = false;
	purge->kind++;
	return true;
}

/* ---- Which ---- */

static bool begin(struct shards *shards)
{
	struct shard *shard = CONTAINER_OF(list_first(&shards->purges), struct shard, purge_link);
	const struct dropped *dropped = shard_serves(shard) ? next_of(shard) : NULL;
	/* Whoever opens the shard wants it again. */
	if (!dropped) {
		list_remove(&shard->purge_link);
		return true;
	}
	/* A cursor sees what is applied, so that has to be all of it. */
	if (shard->active_changed > shard->applied_number ||
	    shard->purge_number > shard->applied_number)
		return false;
	struct purge *purge = mem_zalloc(1, sizeof(*purge));
	if (!purge)
		return later(shards);
	purge->shard = shard;
	/* Breaks: all kinds of keys are purged. */
	purge->kind = MUTATION(shard_purge_leaves_heads) ? 1 : 0;
	purge->epoch = shard->epoch;
	purge->incarnation = dropped->incarnation;
	memcpy(purge->type, dropped->type, sizeof(purge->type));
	shards->purge = purge;
	return true;
}

void purge_want(struct shard *shard)
{
	if (!list_linked(&shard->purge_link))
		list_push_back(&shard->shards->purges, &shard->purge_link);
}

bool purge_turn(struct shards *shards)
{
	if (shards->closing) {
		purge_stop(shards);
		return false;
	}
	if (shards->purge_timer.armed)
		return false;
	if (shards->purge)
		return advance(shards->purge);
	return !list_empty(&shards->purges) && begin(shards);
}

void purge_stop(struct shards *shards)
{
	if (shards->purge && !shards->purge->running)
		end(shards);
}

uint32_t shards_purging(const struct shards *shards)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < shards->own_count; i++)
		count += next_of(shards->own[i]) != NULL;
	return count;
}
