/* Idempotency tokens: the record of a command's first success, under (address, caller, token).
 *
 * A record is written in the entry of the change that it stands for. Until that is applied it is in
 * shard->tokens, where repeats find it; a repeat is a read that saw that entry. All calls with one
 * token are calls to one entity and so come one after the other: a repeat while the first runs
 * waits in the entity's queue.
 *
 * A record is valid until the entry that deletes it is applied: expiry is an entry, and finding one
 * is a walk over EXPIRY, which is ordered by time.
 */
#include "server/shard/shard_parts.h"

#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "storage/batch.h"
#include "storage/cursor.h"

enum { EXPIRE_MAX = 64 };
#define EXPIRED_BYTES_MAX                                                                          \
	(EXPIRE_MAX * (TOKEN_KEY_BYTES + EXPIRY_KEY_BYTES + 2 * BATCH_OP_BYTES_MAX))
#define EXPIRY_RETRY_MS 1000

/* ---- Names ---- */

static void add_part(struct hash_stream *stream, struct slice part)
{
	uint8_t bytes[8];
	store_u64le(bytes, part.bytes);
	hash_stream_update(stream, slice_of(bytes, sizeof(bytes)));
	hash_stream_update(stream, part);
}

/* Queries have none. What is no command any more may have been one. */
static bool has_token(const struct work *work)
{
	const struct shard_call *call = work->call;
	return call->token.bytes > 0 && !call->queries_only &&
	       !(work->handler && host_handler_is_query(work->handler));
}

void token_prepare(struct work *work)
{
	const struct shard_call *call = work->call;
	if (!has_token(work))
		return;
	struct hash_stream stream;
	hash_stream_init(&stream, 0);
	add_part(&stream, call->address);
	add_part(&stream, call->caller.name);
	add_part(&stream, call->token);
	/* Who begins anew knows no tokens from before. */
	if (work->incarnation > 0 && !MUTATION(shard_drop_keeps_tokens)) {
		uint8_t incarnation[8];
		store_u64le(incarnation, work->incarnation);
		add_part(&stream, slice_of(incarnation, sizeof(incarnation)));
	}
	work->token = hash128_stream_value(&stream);
	uint8_t how[3] = {
	    call->has_payload, (uint8_t)call->payload_encoding, (uint8_t)call->reply_encoding};
	hash_stream_init(&stream, 0);
	add_part(&stream, call->name);
	add_part(&stream, slice_of(how, sizeof(how)));
	if (call->has_payload)
		add_part(&stream, call->payload);
	work->request = hash128_stream_value(&stream);
}

/* ---- Proposed ones ---- */

static bool is_token(const struct hash_entry *entry, const void *key)
{
	const struct token_proposed *token = CONTAINER_OF(entry, struct token_proposed, hash);
	return hash128_equal(token->token, *(const struct hash128 *)key);
}

static struct token_proposed *find_proposed(const struct shard *shard, struct hash128 token)
{
	struct hash_entry *entry = hash_table_find(&shard->tokens, token.low, is_token, &token);
	return entry ? CONTAINER_OF(entry, struct token_proposed, hash) : NULL;
}

void tokens_forget(struct shard *shard, struct entry *entry)
{
	struct list_node *node;
	while ((node = list_pop_front(&entry->tokens))) {
		struct token_proposed *token = CONTAINER_OF(node, struct token_proposed, link);
		hash_table_remove(&shard->tokens, &token->hash);
		mem_free(token);
	}
}

/* ---- Before the handler ---- */

enum step token_found(struct work *work, struct slice record, uint64_t seen)
{
	struct shard_call *call = work->call;
	struct token_record token;
	int error = token_read(record, &token);
	if (error) {
		work_fail(work, STATUS_DATA_LOSS, "the record of the token cannot be read: %s",
		    error_text(error));
		return STEP_STOP;
	}
	if (seen > work->seen)
		work->seen = seen;
	if (!hash128_equal(token.request, work->request)) {
		/* Whose command is not there is told that instead. */
		if (!work->handler) {
			work->token_state = TOKEN_OTHER;
			return STEP_ON;
		}
		work_say(work, STATUS_INVALID_ARGUMENT,
		    "this idempotency token was used here for another command, payload or "
		    "encoding");
		work_hold(work);
		return STEP_STOP;
	}
	call->status = STATUS_OK;
	call->has_reply = token.has_reply;
	if (buffer_append_slice(&call->reply, token.reply)) {
		work_fail(work, STATUS_RESOURCE_EXHAUSTED,
		    "the server is out of memory; nothing was changed");
		return STEP_STOP;
	}
	/* Breaks: the first may yet be lost, and then it is not done at all. */
	if (MUTATION(shard_repeat_before_first_committed)) {
		work->stage = WORK_HELD;
		work->shard->shards->figures.held++;
		work_finish(work);
		return STEP_STOP;
	}
	work_hold(work);
	return STEP_STOP;
}

enum step token_step(struct work *work)
{
	if (!has_token(work) || work->token_state == TOKEN_ABSENT ||
	    (work->token_state == TOKEN_OTHER && !work->handler))
		return STEP_ON;
	struct shard *shard = work->shard;
	const struct token_proposed *proposed = find_proposed(shard, work->token);
	if (proposed)
		return token_found(
		    work, slice_of(proposed->record, proposed->bytes), proposed->number);
	struct key key;
	struct slice record;
	bool found;
	key_of_token(&key, work->token);
	if (work_get(work, &key, LOADS_TOKEN, &found, &record) == STEP_STOP)
		return STEP_STOP;
	/* Breaks: the token's first effect is also its last. */
	if (found && MUTATION(shard_token_forgotten))
		found = false;
	/* Breaks: a record outlives its entity. */
	if (found && work->entity->known && !work->entity->head.exists &&
	    MUTATION(shard_token_dies_with_delete))
		found = false;
	if (found)
		return token_found(work, record, 0);
	work->token_state = TOKEN_ABSENT;
	return STEP_ON;
}

/* ---- With the change ---- */

static uint64_t record_bytes(uint64_t reply_bytes)
{
	return TOKEN_KEY_BYTES + EXPIRY_KEY_BYTES + TOKEN_RECORD_BYTES_MAX + reply_bytes;
}

int token_bytes(const struct work *work, const struct host_outcome *outcome, uint64_t *ret_bytes)
{
	if (work->call->token.bytes == 0)
		return 0;
	uint64_t reply_bytes = outcome->has_reply ? outcome->reply.bytes : 0;
	if (reply_bytes > TOKEN_REPLY_BYTES_MAX)
		return ERR_TOO_LARGE;
	uint64_t bytes = record_bytes(reply_bytes);
	if (work->shard->meta.token_bytes + bytes > TOKEN_BYTES_PER_SHARD_MAX)
		return ERR_FULL;
	*ret_bytes = bytes + 3 * BATCH_OP_BYTES_MAX;
	return 0;
}

struct token_proposed *token_make(const struct work *work, const struct host_outcome *outcome)
{
	struct shard *shard = work->shard;
	struct token_record record = {.request = work->request,
	    .at_ms = group_time_ms(shard->group),
	    .has_reply = outcome->has_reply,
	    .reply = outcome->has_reply ? outcome->reply : slice_of(NULL, 0)};
	size_t bytes_max = TOKEN_RECORD_BYTES_MAX + record.reply.bytes;
	struct token_proposed *token = mem_alloc(sizeof(*token) + bytes_max);
	if (!token || hash_table_reserve(&shard->tokens, 1)) {
		mem_free(token);
		return NULL;
	}
	memset(token, 0, sizeof(*token));
	list_node_init(&token->link);
	token->token = work->token;
	struct writer out = writer_of(token->record, bytes_max);
	token_write(&out, &record);
	ASSERT(!out.failed);
	token->bytes = (uint32_t)writer_used(&out);
	return token;
}

void token_add(
    struct shard *shard, struct entry *entry, struct token_proposed *token, struct writer *out)
{
	struct key key;
	uint8_t counted[VARINT_BYTES_MAX];
	struct writer count = writer_of(counted, sizeof(counted));
	uint64_t bytes = record_bytes(token->bytes);
	writer_varint(&count, bytes);
	key_of_token(&key, token->token);
	batch_put(out, key_view(&key), slice_of(token->record, token->bytes));
	int64_t expires_ms = group_time_ms(shard->group) + TOKEN_LIFE_MS;
	key_of_expiry(&key, (uint64_t)expires_ms, token->token);
	batch_put(out, key_view(&key), writer_view(&count));
	shard->meta.tokens++;
	tokens_there(shard);
	shard->meta.token_bytes += bytes;
	shard->meta_changed = true;
	token->number = entry->number;
	int error = hash_table_insert(&shard->tokens, token->token.low, &token->hash);
	ASSERT(!error);
	list_push_back(&entry->tokens, &token->link);
}

/* ---- Expiry ---- */

void tokens_there(struct shard *shard)
{
	if (!list_linked(&shard->expiring_link))
		list_push_back(&shard->shards->expiring, &shard->expiring_link);
}

struct expiry {
	struct io_op op;
	struct shard *shard;
	struct cursor *cursor;
	uint64_t epoch;
	uint64_t until_ms;
	int error;
	bool running, dead;
	size_t count;
	uint64_t next_ms; /* the first that has not expired; 0: there is none */
	struct {
		uint64_t time_ms;
		struct hash128 token;
		uint64_t bytes;
	} found[EXPIRE_MAX];
};

static void find_expired(struct io_op *op)
{
	struct expiry *expiry = CONTAINER_OF(op, struct expiry, op);
	struct slice key;
	struct slice value;
	int error;
	while ((error = cursor_next(expiry->cursor, &key, &value)) == 0) {
		uint64_t time_ms;
		struct hash128 token;
		error = key_expiry_get(key, &time_ms, &token);
		if (error)
			break;
		struct reader in = reader_of(value);
		if (time_ms > expiry->until_ms || expiry->count == EXPIRE_MAX) {
			expiry->next_ms = time_ms;
			break;
		}
		expiry->found[expiry->count].time_ms = time_ms;
		expiry->found[expiry->count].token = token;
		expiry->found[expiry->count++].bytes = reader_varint(&in);
	}
	expiry->error = error == ERR_NOT_FOUND ? 0 : error;
	op->result = 0;
}

static void stop(struct shard *shard)
{
	cursor_close(shard->expiry->cursor);
	mem_free(shard->expiry);
	shard->expiry = NULL;
}

static void expired_found(struct io_op *op)
{
	struct expiry *expiry = CONTAINER_OF(op, struct expiry, op);
	struct shard *shard = expiry->shard;
	expiry->running = false;
	if (!shard_is_here(shard)) {
		stop(shard);
		return;
	}
	if (expiry->dead || expiry->error || expiry->epoch != shard->epoch) {
		shard->expiry_next_ms =
		    group_time_ms(shard->group) + (expiry->error ? EXPIRY_RETRY_MS : 0);
		stop(shard);
	}
}

static void start(struct shard *shard, int64_t now_ms)
{
	struct expiry *expiry = mem_zalloc(1, sizeof(*expiry));
	shard->expiry_next_ms = now_ms + EXPIRY_RETRY_MS;
	if (!expiry)
		return;
	struct key first, end;
	key_of_shard(&first, SHARD_KEY_EXPIRY);
	key_of_shard(&end, (enum shard_key_kind)(SHARD_KEY_EXPIRY + 1));
	if (cursor_open(
	        shard->engine, shard->number, key_view(&first), key_view(&end), &expiry->cursor)) {
		mem_free(expiry);
		return;
	}
	expiry->shard = shard;
	expiry->epoch = shard->epoch;
	expiry->until_ms = (uint64_t)now_ms;
	/* Breaks: a token holds for its whole life. */
	if (MUTATION(shard_token_expires_early))
		expiry->until_ms += (uint64_t)TOKEN_LIFE_MS;
	expiry->running = true;
	expiry->op.done = expired_found;
	shard->expiry = expiry;
	io_offload(shard->shards->io, &expiry->op, find_expired);
}

/* What was found goes with the open entry. False: there was no room. */
static bool delete_found(struct shard *shard)
{
	struct expiry *expiry = shard->expiry;
	if (entry_reserve(shard, EXPIRED_BYTES_MAX, true))
		return false;
	struct writer out;
	if (entry_room(shard, EXPIRED_BYTES_MAX, &out)) {
		entry_unreserve(shard, EXPIRED_BYTES_MAX);
		return false;
	}
	for (size_t i = 0; i < expiry->count; i++) {
		struct key key;
		key_of_token(&key, expiry->found[i].token);
		batch_delete(&out, key_view(&key));
		key_of_expiry(&key, expiry->found[i].time_ms, expiry->found[i].token);
		batch_delete(&out, key_view(&key));
		shard->meta.tokens--;
		shard->meta.token_bytes -= expiry->found[i].bytes;
	}
	shard->meta_changed = true;
	shard->expiry_number = shard->open->number;
	uint64_t used = writer_used(&out);
	entry_written(shard, &out);
	entry_take_room(shard, EXPIRED_BYTES_MAX, used);
	return true;
}

bool tokens_expire(struct shard *shard)
{
	if (!shard_serves(shard) || shard->shards->closing)
		return false;
	int64_t now_ms = group_time_ms(shard->group);
	if (!shard->expiry) {
		/* A walk sees what is applied: those deleted last have to be gone. */
		if (shard->meta.tokens > 0 && now_ms >= shard->expiry_next_ms &&
		    shard->expiry_number <= shard->applied_number)
			start(shard, now_ms);
		return false;
	}
	if (shard->expiry->running)
		return false;
	const struct expiry *expiry = shard->expiry;
	if (expiry->epoch == shard->epoch && expiry->count > 0 && !delete_found(shard))
		return false;
	int64_t next_ms = expiry->next_ms ? (int64_t)expiry->next_ms : now_ms + TOKEN_LIFE_MS;
	shard->expiry_next_ms =
	    expiry->count > 0 || next_ms <= now_ms ? now_ms + EXPIRY_RETRY_MS : next_ms;
	stop(shard);
	return false;
}

void tokens_stop(struct shard *shard)
{
	if (!shard->expiry)
		return;
	if (shard->expiry->running)
		shard->expiry->dead = true;
	else
		stop(shard);
}
