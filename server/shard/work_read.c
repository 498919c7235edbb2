/* What a call reads of the store: single keys, each from memory, or from the disk while the call
 * waits. */
#include "server/shard/replica.h"

#include "base/assert.h"

enum step work_get(struct work *work, const struct key *key, enum work_loads loads, bool *ret_found,
    struct slice *ret_value)
{
	struct shard *shard = work->shard;
	switch (engine_get(shard->engine, shard->number, key_view(key), ret_value)) {
	case TABLE_VALUE:
		*ret_found = true;
		return STEP_ON;
	case TABLE_ABSENT:
		*ret_found = false;
		return STEP_ON;
	case TABLE_COLD:
	case TABLE_LOADING:
		work->loads = loads;
		work->epoch = shard->epoch;
		shard->shards->figures.cold_reads++;
		engine_load(shard->engine, &work->load, shard->number, key_view(key));
		return STEP_STOP;
	}
	UNREACHABLE();
}

void work_unreadable(struct work *work, int error)
{
	/* What is damaged here may be whole there. */
	if (work->reads_here) {
		replica_to_leader(work);
		return;
	}
	if (error == ERR_NOMEM) {
		work_fail(work, STATUS_RESOURCE_EXHAUSTED,
		    "the server is out of memory; nothing was changed");
		return;
	}
	work_fail(work, STATUS_DATA_LOSS, "shard %u: stored data cannot be read (%s)",
	    work->shard->number, error_text(error));
}

static int take_head(struct work *work, bool found, struct slice record)
{
	return entity_take_head(work->entity, found, record);
}

/* What was read is known to engine_get now, and perhaps not for long. */
static void take_loaded(struct work *work, enum work_loads loads)
{
	struct key key;
	struct slice record;
	enum shard_key_kind kind = loads == LOADS_SNAPSHOT ? SHARD_KEY_SNAPSHOT : SHARD_KEY_HEAD;
	if (loads == LOADS_TOKEN)
		key_of_token(&key, work->token);
	else if (loads == LOADS_ACTIVE)
		key_of_shard(&key, SHARD_KEY_ACTIVE);
	else
		key_of_entity(&key, kind, entity_name(work->entity));
	enum table_found found =
	    engine_get(work->shard->engine, work->shard->number, key_view(&key), &record);
	if (found != TABLE_VALUE && found != TABLE_ABSENT) {
		work_make_ready(work);
		return;
	}
	int error = 0;
	switch (loads) {
	case LOADS_NOTHING:
		UNREACHABLE();
	case LOADS_HEAD:
		error = take_head(work, found == TABLE_VALUE, record);
		work->has_read_head = work->reads_here;
		break;
	case LOADS_TOKEN:
		if (found != TABLE_VALUE)
			work->token_state = TOKEN_ABSENT;
		else if (token_found(work, record, 0) == STEP_STOP)
			return;
		break;
	case LOADS_SNAPSHOT:
		fold_take_snapshot(work, found == TABLE_VALUE, record);
		break;
	case LOADS_ACTIVE:
		break;
	}
	if (error)
		work_unreadable(work, error);
	else
		work_make_ready(work);
}

void work_loaded(struct engine_load *load, int result)
{
	struct work *work = CONTAINER_OF(load, struct work, load);
	struct shards *shards = work->shard->shards;
	enum work_loads loads = work->loads;
	work->loads = LOADS_NOTHING;
	if (!work->call) {
		work_free_if_idle(work);
		return;
	}
	/* A result of an epoch that is over says nothing about this one. */
	if (work->epoch != work->shard->epoch)
		work_make_ready(work);
	else if (result == ERR_DATA_LOSS || result == ERR_CORRUPT || result == ERR_IO)
		shard_close_damaged(work->shard), work_make_ready(work);
	else if (result)
		work_unreadable(work, result);
	else
		take_loaded(work, loads);
	shards_deliver(shards);
}
