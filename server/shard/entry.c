/* Entries: what the calls of a turn change in a shard, gathered, proposed and settled.
 *
 *   entry_add ... entry_add -> entry_propose -> applied with its term: the calls are answered
 *                                            -> another term stands there: surely not done
 *                                            -> jumped over: nobody knows
 *
 * Room. A call has room reserved before its handler runs. Of that, entry_room takes for the open
 * entry what is really added, and entry_unreserve gives back the rest.
 */
#include "server/shard/shard_parts.h"

#include <string.h>

#include "base/assert.h"
#include "base/fetch.h"
#include "base/mem.h"
#include "base/poison.h"
#include "storage/batch.h"

/* The shard's own record, which may go with any entry. */
#define META_ADDED_BYTES_MAX  (1 + BATCH_OP_BYTES_MAX + SHARD_META_BYTES_MAX)
#define BATCH_FETCH_BYTES     512
#define ENTRY_BATCH_BYTES_MAX (ENTRY_BYTES_MAX - GROUP_ENTRY_HEADER_BYTES)
/* Events behind a snapshot that make the next one due, whatever their number. */
#define SNAPSHOT_AFTER_BYTES (4 * MIB)

/* ---- Room ---- */

/* Each call reserves as if it were alone in an entry. */
static uint64_t with_overhead(uint64_t bytes)
{
	return bytes + BATCH_HEADER_BYTES + META_ADDED_BYTES_MAX;
}

int entry_reserve(struct shard *shard, uint64_t bytes, bool only_deletes)
{
	return group_reserve(shard->group, with_overhead(bytes), 1, only_deletes);
}

void entry_unreserve(struct shard *shard, uint64_t bytes)
{
	group_unreserve(shard->group, with_overhead(bytes), 1);
}

/* ---- The open entry ---- */

struct entry *entry_find(struct shard *shard, uint64_t number)
{
	for (struct list_node *node = list_last(&shard->entries); node;
	     node = node->back == &shard->entries.head ? NULL : node->back) {
		struct entry *entry = CONTAINER_OF(node, struct entry, link);
		if (entry->number == number)
			return entry;
	}
	return NULL;
}

/* The memory of a batch, for another one. */
static void keep_batch(struct shards *shards, struct buffer *batch)
{
	buffer_clear(batch);
	if (!FREED_IS_KEPT || batch->capacity == 0 || batch->capacity > ENTRY_BATCH_BYTES_KEPT ||
	    shards->batch_count == ENTRY_BATCHES_KEPT) {
		buffer_done(batch);
		return;
	}
	shards->batches[shards->batch_count++] = *batch;
	buffer_init(batch, ENTRY_BATCH_BYTES_MAX);
}

void entry_free(struct shard *shard, struct entry *entry)
{
	ASSERT(list_empty(&entry->works) && list_empty(&entry->reads));
	tokens_forget(shard, entry);
	list_remove(&entry->link);
	keep_batch(shard->shards, &entry->batch);
	small_block_give(&shard->shards->blocks, entry, sizeof(*entry));
}

static struct entry *open_entry(struct shard *shard)
{
	struct shards *shards = shard->shards;
	struct entry *entry = small_block_take(&shards->blocks, sizeof(*entry));
	if (!entry)
		return NULL;
	memset(entry, 0, sizeof(*entry));
	entry->number = ++shard->entry_number;
	list_node_init(&entry->link);
	if (shards->batch_count > 0 && !mem_is_tested()) {
		entry->batch = shards->batches[--shards->batch_count];
		/* The next one will be written to, and was used long ago. */
		if (shards->batch_count > 0)
			memory_fetch(
			    shards->batches[shards->batch_count - 1].data, BATCH_FETCH_BYTES);
	} else
		buffer_init(&entry->batch, ENTRY_BATCH_BYTES_MAX);
	list_init(&entry->works);
	list_init(&entry->reads);
	list_init(&entry->tokens);
	shard->open = entry;
	list_push_back(&shard->entries, &entry->link);
	list_push_back(&shards->open, &shard->open_link);
	return entry;
}

/* Nothing came of it. */
static void drop_empty(struct shard *shard)
{
	struct entry *entry = shard->open;
	list_remove(&shard->open_link);
	shard->open = NULL;
	entry_free(shard, entry);
}

int entry_room(struct shard *shard, uint64_t bytes, struct writer *ret_out)
{
	uint64_t own = BATCH_HEADER_BYTES + META_ADDED_BYTES_MAX;
	if (shard->open && buffer_bytes(&shard->open->batch) + bytes + own > ENTRY_BATCH_BYTES_MAX)
		entry_propose(shard);
	bool is_new = !shard->open;
	struct entry *entry = is_new ? open_entry(shard) : shard->open;
	if (!entry)
		return ERR_NOMEM;
	uint8_t *room;
	int error = buffer_reserve(&entry->batch, bytes + own, &room);
	if (error) {
		if (is_new)
			drop_empty(shard);
		return error;
	}
	*ret_out = writer_of(room, bytes + BATCH_HEADER_BYTES);
	if (is_new)
		batch_begin(ret_out);
	return 0;
}

void entry_written(struct shard *shard, const struct writer *out)
{
	ASSERT(!out->failed);
	buffer_commit(&shard->open->batch, writer_used(out));
}

/* The open entry holds room for what is in it, and for its own record; the rest of what the call
 * held is given back. */
void entry_take_room(struct shard *shard, uint64_t held_bytes, uint64_t used_bytes)
{
	struct entry *entry = shard->open;
	uint64_t held = with_overhead(held_bytes);
	bool is_first = entry->reserved_bytes == 0;
	uint64_t taken = is_first ? with_overhead(used_bytes) : used_bytes;
	ASSERT(taken <= held);
	entry->reserved_bytes += taken;
	group_unreserve(shard->group, held - taken, is_first ? 0 : 1);
}

/* ---- A call's effects ---- */

/* What an outcome makes of an entity's records. */
struct change {
	struct work *work;
	const struct host_outcome *outcome;
	struct head head;
	bool takes_snapshot;
	struct kept kept;
	uint64_t token_bytes;
	uint64_t bytes;
};

static uint64_t events_bytes(const struct host_outcome *outcome)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < outcome->event_count; i++)
		bytes += event_record_bytes(&outcome->events[i]);
	return bytes;
}

/* See struct head: where a cursor has to begin. */
static void move_windows(struct head *head, uint64_t first, uint64_t bytes)
{
	if (head->window_bytes > BATCH_JOINED_BYTES_MAX) {
		head->window_before = head->window_first;
		head->window_first = first;
		head->window_bytes = 0;
	}
	head->window_bytes += bytes;
	head->since_bytes += bytes;
}

static void plan_emitted(struct change *change)
{
	const struct work *work = change->work;
	const struct host_outcome *outcome = change->outcome;
	struct head *head = &change->head;
	uint64_t before = work->entity->head.revision;
	if (!head->exists) {
		head->born = before;
		head->snapshot_revision = 0;
		head->since_bytes = 0;
		head->window_first = before + 1;
		head->window_before = before + 1;
		head->window_bytes = 0;
	}
	head->exists = true;
	move_windows(head, before + 1, events_bytes(outcome));
	uint64_t since = head->snapshot_revision > 0 ? head->snapshot_revision : head->born;
	uint32_t every = host_component_snapshot_every(work->component);
	bool is_due = (every > 0 && outcome->revision - since >= every) ||
	              head->since_bytes >= SNAPSHOT_AFTER_BYTES;
	change->takes_snapshot = is_due && outcome->has_state;
	if (change->takes_snapshot) {
		head->snapshot_revision = outcome->revision;
		head->since_bytes = 0;
	}
}

static int plan(struct change *change)
{
	const struct work *work = change->work;
	const struct host_outcome *outcome = change->outcome;
	struct head *head = &change->head;
	ASSERT(outcome->revision > work->entity->head.revision);
	*head = work->entity->head;
	head->kind = host_component_kind(work->component);
	switch (outcome->change) {
	case HOST_UNCHANGED:
		UNREACHABLE();
	case HOST_UPDATED:
		head->exists = true;
		head->has_state = outcome->has_state;
		head->state = outcome->state;
		break;
	case HOST_EMITTED:
		plan_emitted(change);
		break;
	case HOST_DELETED:
		head->exists = false;
		head->has_state = false;
		head->state = slice_of(NULL, 0);
		head->snapshot_revision = 0;
		break;
	}
	head->revision = outcome->revision;
	head->state_version = outcome->state_version;
	head->at_ms = group_time_ms(work->shard->group);
	kept_plan(host_component_history(work->component), head, &change->kept);
	uint64_t token = 0;
	int error = token_bytes(work, outcome, &token);
	change->bytes = 4 * (ENTITY_KEY_BYTES_MAX + BATCH_OP_BYTES_MAX) + HEAD_BYTES_MAX +
	                head->state.bytes + events_bytes(outcome) + token +
	                kept_bytes(&change->kept, head);
	if (change->takes_snapshot)
		change->bytes += SNAPSHOT_BYTES_MAX + outcome->state.bytes;
	return error;
}

static void put_head(struct writer *out, const struct key *key, const struct head *head)
{
	uint8_t span[HEAD_BYTES_MAX];
	struct writer record = writer_of(span, sizeof(span));
	struct head bare = *head;
	bare.state = slice_of(NULL, 0);
	head_write(&record, &bare);
	ASSERT(!record.failed);
	batch_put_begin(out, key_view(key), writer_used(&record) + head->state.bytes);
	writer_slice(out, writer_view(&record));
	writer_slice(out, head->state);
}

static void put_snapshot(struct writer *out, const struct key *key, struct snapshot snapshot)
{
	uint8_t span[SNAPSHOT_BYTES_MAX];
	struct writer record = writer_of(span, sizeof(span));
	struct slice state = snapshot.state;
	snapshot.state = slice_of(NULL, 0);
	snapshot_write(&record, &snapshot);
	ASSERT(!record.failed);
	batch_put_begin(out, key_view(key), writer_used(&record) + state.bytes);
	writer_slice(out, writer_view(&record));
	writer_slice(out, state);
}

static void write_entity(const struct change *change, struct writer *out)
{
	struct entity_name name = entity_name(change->work->entity);
	const struct host_outcome *outcome = change->outcome;
	struct key key;
	key_of_entity(&key, SHARD_KEY_HEAD, name);
	put_head(out, &key, &change->head);
	kept_write(&change->kept, &change->head, name, out);
	if (outcome->change == HOST_EMITTED) {
		key_of_entity(&key, SHARD_KEY_EVENTS, name);
		batch_append_begin(
		    out, key_view(&key), outcome->events[0].revision, events_bytes(outcome));
		for (size_t i = 0; i < outcome->event_count; i++)
			event_record_write(out, &outcome->events[i]);
	}
	if (change->takes_snapshot) {
		key_of_entity(&key, SHARD_KEY_SNAPSHOT, name);
		put_snapshot(out, &key,
		    /* Breaks: no event is in it and folded again. */
		    (struct snapshot){
		        .revision = outcome->revision - MUTATION(shard_snapshot_newer_than_said),
		        .state_version = outcome->state_version,
		        /* Breaks: see struct head. */
		        .read_from = MUTATION(shard_reads_behind_snapshot)
		                         ? outcome->revision + 1
		                         : change->head.window_before,
		        /* Breaks: a snapshot is the state of its revision. */
		        .state =
		            change->work->entity->has_state && MUTATION(shard_snapshot_of_before)
		                ? slice_of(change->work->entity->state,
		                      change->work->entity->state_bytes)
		                : outcome->state});
	}
	const struct head *before = &change->work->entity->head;
	if (outcome->change != HOST_DELETED || !before->exists ||
	    before->kind != HOST_EVENT_SOURCED_ENTITY)
		return;
	if (before->snapshot_revision > 0) {
		key_of_entity(&key, SHARD_KEY_SNAPSHOT, name);
		batch_delete(out, key_view(&key));
	}
	key_of_entity(&key, SHARD_KEY_EVENTS, name);
	batch_clear(out, key_view(&key));
}

/* Memory for a state, with which one that grows a little is content, too. */
static size_t state_capacity(size_t bytes)
{
	return (bytes / 64 + 1) * 64;
}

/* The entity is what the outcome made it. `state`: memory for its state; NULL: what is there does,
 * or it has none. */
static void change_entity(const struct change *change, uint8_t *state)
{
	const struct host_outcome *outcome = change->outcome;
	struct entity *entity = change->work->entity;
	entity->head = change->head;
	entity->head.state = slice_of(NULL, 0);
	entity->changed = change->work->shard->open->number;
	bool has_state = outcome->has_state && outcome->change != HOST_DELETED;
	if (state || !has_state)
		entity_take_state(
		    entity, state, 0, state ? state_capacity(outcome->state.bytes) : 0);
	if (has_state)
		entity_put_state(entity, outcome->state);
	entity->has_fold = true;
	entity->has_state = has_state;
	entity->state_hash = host_component_fold_hash(change->work->component);
	entity->state_revision = outcome->revision;
	entity->state_version = outcome->state_version;
}

int entry_add(struct work *work, const struct host_outcome *outcome)
{
	struct shard *shard = work->shard;
	struct change change = {.work = work, .outcome = outcome};
	int error = plan(&change);
	if (error)
		return error;
	if (change.bytes > work->reserved_bytes)
		return ERR_TOO_LARGE;
	/* Everything that can fail comes first. */
	bool keeps_state = outcome->has_state && outcome->change != HOST_DELETED;
	bool needs_memory = keeps_state && !entity_state_fits(work->entity, outcome->state.bytes);
	uint8_t *state = needs_memory ? mem_alloc(state_capacity(outcome->state.bytes)) : NULL;
	bool has_token = work->token_state == TOKEN_ABSENT && work->call->token.bytes > 0;
	struct token_proposed *token = has_token ? token_make(work, outcome) : NULL;
	struct writer out;
	error = (needs_memory && !state) || (has_token && !token)
	            ? ERR_NOMEM
	            : entry_room(shard, change.bytes, &out);
	if (error) {
		mem_free(state);
		mem_free(token);
		return error;
	}
	struct entry *entry = shard->open;
	write_entity(&change, &out);
	/* Breaks: a token is part of the change that it stands for. */
	if (token && !MUTATION(shard_token_not_written))
		token_add(shard, entry, token, &out);
	else
		mem_free(token);
	uint64_t used = writer_used(&out);
	entry_written(shard, &out);
	change_entity(&change, state);
	entry_take_room(shard, work->reserved_bytes, used);
	work->reserved_bytes = 0;
	list_push_back(&entry->works, &work->link);
	return 0;
}

/* ---- Proposing ---- */

/* The shard's own record goes with the open entry, where there is something new in it. */
static void add_meta(struct shard *shard)
{
	if (!clock_needs_record(shard))
		return;
	uint8_t record[SHARD_META_BYTES_MAX];
	struct writer out = writer_of(record, sizeof(record));
	shard_meta_write(&out, &shard->meta);
	ASSERT(!out.failed);
	struct key key;
	key_of_shard(&key, SHARD_KEY_META);
	/* Its place was made when the entry got its last room. */
	uint8_t *room;
	int error = buffer_reserve(&shard->open->batch, META_ADDED_BYTES_MAX, &room);
	if (error)
		PANIC("group %u: no memory for what was promised it", shard->number);
	struct writer batch = writer_of(room, META_ADDED_BYTES_MAX);
	batch_put(&batch, key_view(&key), writer_view(&out));
	buffer_commit(&shard->open->batch, writer_used(&batch));
	shard->meta_changed = false;
}

/* Its calls were never proposed. */
static void give_up(struct shard *shard, struct entry *entry)
{
	struct list_node *node;
	while ((node = list_pop_front(&entry->reads)))
		work_again(CONTAINER_OF(node, struct work, link));
	while ((node = list_pop_front(&entry->works)))
		work_again(CONTAINER_OF(node, struct work, link));
	entry_free(shard, entry);
}

void entry_propose(struct shard *shard)
{
	struct entry *entry = shard->open;
	if (!entry)
		return;
	list_remove(&shard->open_link);
	if (!group_leads(shard->group)) {
		/* What a handler that took long has opened at the end of a turn stands here at the
		 * begin of the next one: when leadership was lost in between the group tells of it
		 * soon, and then it is given up. Else damage was found. */
		if (engine_shard_closed(shard->engine, shard->number)) {
			shard->open = NULL;
			shard_close_damaged(shard);
		}
		return;
	}
	add_meta(shard);
	shard->open = NULL;
	struct slice batch = buffer_view(&entry->batch);
	ASSERT(batch.bytes <= entry->reserved_bytes);
	group_unreserve(shard->group, entry->reserved_bytes, 1);
	entry->reserved_bytes = 0;
	group_propose(shard->group, batch, &entry->at);
	entry->proposed = true;
	shard->shards->figures.entries++;
	shard->shards->figures.proposed_bytes += batch.bytes;
	keep_batch(shard->shards, &entry->batch);
	LIST_FOR_EACH(node, &entry->works)
	CONTAINER_OF(node, struct work, link)->stage = WORK_PROPOSED;
	/* Breaks: what is only proposed may still be lost. */
	if (MUTATION(shard_reply_when_proposed)) {
		struct list_node *node;
		while ((node = list_pop_front(&entry->works)))
			work_finish(CONTAINER_OF(node, struct work, link));
	}
}

/* ---- Settling ---- */

static void committed(struct shard *shard, struct entry *entry)
{
	shard->applied_number = entry->number;
	tokens_forget(shard, entry);
	list_remove(&entry->link);
	struct list_node *node;
	while ((node = list_pop_front(&entry->works)))
		work_finish(CONTAINER_OF(node, struct work, link));
	while ((node = list_pop_front(&entry->reads))) {
		struct work *work = CONTAINER_OF(node, struct work, link);
		if (work_is_confirmed(work)) {
			work_finish(work);
			continue;
		}
		struct list_node *before = &shard->confirming.head;
		while (before->back != &shard->confirming.head &&
		       CONTAINER_OF(before->back, struct work, link)->round > work->round)
			before = before->back;
		list_insert_before(node, before);
	}
	entry_free(shard, entry);
}

static void surely_not_done(struct shard *shard, struct entry *entry)
{
	ASSERT(list_empty(&entry->reads));
	give_up(shard, entry);
}

static void nobody_knows(struct shard *shard, struct entry *entry)
{
	struct list_node *node;
	while ((node = list_pop_front(&entry->works)))
		work_fail(CONTAINER_OF(node, struct work, link), STATUS_UNKNOWN_OUTCOME,
		    "leadership of shard %u was lost and its history jumped over the change; "
		    "retry with the same IDEMPOTENCY token, or look",
		    shard->number);
	entry_free(shard, entry);
}

void entry_settle(struct shard *shard, const struct group_entry *applied)
{
	struct list_node *node;
	bool settled = false;
	while ((node = list_first(&shard->entries))) {
		struct entry *entry = CONTAINER_OF(node, struct entry, link);
		if (!entry->proposed)
			break;
		bool is_it =
		    entry->at.index == applied->at.index && entry->at.term == applied->at.term;
		/* Terms do not fall along the indexes: behind an entry of a higher term there is
		 * none of a lower one. */
		/* Breaks: nobody knows what became of an entry that was jumped over. */
		bool is_gone =
		    (entry->at.index >= applied->at.index || MUTATION(shard_jumped_is_not_done)) &&
		    entry->at.term < applied->at.term;
		/* Breaks: an entry of another term at the same index is another entry. */
		if (is_gone && entry->at.index == applied->at.index &&
		    MUTATION(shard_term_not_compared))
			is_it = true;
		if (is_it)
			committed(shard, entry);
		else if (is_gone)
			surely_not_done(shard, entry);
		else if (entry->at.index < applied->at.index)
			nobody_knows(shard, entry);
		else
			break;
		settled = true;
	}
	if (!settled)
		return;
	shard_wake(shard);
	activations_advance(shard->shards);
}

/* A read that came before a change whose fate is open cannot be run again: it would see what came
 * after it. */
static void read_again(struct work *work)
{
	const struct shard *shard = work->shard;
	const struct entity *entity = entity_find(shard, work->call->address);
	if (entity && entity->changed > shard->applied_number &&
	    (entity->incarnation != work->incarnation ||
	        entity->head.revision > work->seen_revision) &&
	    !MUTATION(shard_read_again_after_change))
		work_fail(work, STATUS_UNAVAILABLE,
		    "leadership of shard %u was lost; nothing was changed, retry", shard->number);
	else
		work_again(work);
}

/* Reads begin anew. What was proposed keeps its place until something is applied there. */
static void reads_again(struct list *reads)
{
	struct list all;
	list_init(&all);
	list_append_all(&all, reads);
	struct list_node *node;
	while ((node = list_pop_front(&all)))
		read_again(CONTAINER_OF(node, struct work, link));
}

void entries_lost(struct shard *shard)
{
	struct entry *open = shard->open;
	shard->open = NULL;
	list_remove(&shard->open_link);
	reads_again(&shard->confirming);
	LIST_FOR_EACH_REMOVABLE(node, &shard->entries)
	{
		struct entry *entry = CONTAINER_OF(node, struct entry, link);
		reads_again(&entry->reads);
		tokens_forget(shard, entry);
		if (entry != open) {
			LIST_FOR_EACH(work, &entry->works)
			aside_take_proposed(CONTAINER_OF(work, struct work, link));
			continue;
		}
		if (entry->reserved_bytes > 0)
			group_unreserve(shard->group, entry->reserved_bytes, 1);
		give_up(shard, entry);
	}
}

/* Nothing more will be applied here. */
void entries_closed(struct shard *shard)
{
	entries_lost(shard);
	struct list_node *node;
	while ((node = list_first(&shard->entries)))
		nobody_knows(shard, CONTAINER_OF(node, struct entry, link));
}
