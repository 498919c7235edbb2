/* One shard: what its group tells it, and what it reads before it serves. */
#include "server/shard/replica.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/fetch.h"
#include "base/log_line.h"
#include "base/mem.h"

#define OPENING_RETRY_NS (10 * NS_PER_MS)

static const struct group_events events;
static void loaded(struct engine_load *load, int result);

int shard_new(struct shards *shards, uint32_t number, struct shard **ret_shard)
{
	struct group_store *store =
	    shards->options.stores[shard_store(&shards->options.map, number)];
	ASSERT(store != NULL);
	struct shard *shard = mem_zalloc(1, sizeof(*shard));
	if (!shard)
		return ERR_NOMEM;
	shard->shards = shards;
	shard->number = number;
	shard->engine = group_store_engine(store);
	list_node_init(&shard->open_link);
	list_node_init(&shard->purge_link);
	list_node_init(&shard->lacking_link);
	list_node_init(&shard->expiring_link);
	hash_table_init(&shard->entities);
	hash_table_init(&shard->tokens);
	list_init(&shard->stalled);
	list_init(&shard->roomless);
	list_init(&shard->asking);
	list_init(&shard->entries);
	list_init(&shard->confirming);
	shard->load.done = loaded;
	*ret_shard = shard;
	return 0;
}

/* A group that is alone where nothing is stored. */
enum { REPLICA_FIRST = 1 };

int shard_add_group(struct shard *shard, uint64_t replica, const struct raft_membership *initial)
{
	static const struct raft_membership unknown;
	const struct shards_options *options = &shard->shards->options;
	ASSERT(shard->state == SHARD_ABSENT);
	int error = group_add(options->stores[shard_store(&options->map, shard->number)],
	    shard->number, &events, shard, &shard->group);
	if (error)
		return error;
	if (initial || replica != REPLICA_FIRST)
		group_set_members(shard->group, replica, initial ? initial : &unknown);
	shard->replica = replica;
	shard->epoch++;
	shard->state = SHARD_FOLLOWS;
	return 0;
}

void shard_free(struct shard *shard)
{
	struct hash_table_cursor cursor = {0};
	struct hash_entry *entry;
	ASSERT(list_empty(&shard->stalled) && list_empty(&shard->roomless));
	ASSERT(list_empty(&shard->asking));
	struct list_node *node;
	while ((node = list_first(&shard->entries)))
		entry_free(shard, CONTAINER_OF(node, struct entry, link));
	while ((entry = hash_table_next(&shard->entities, &cursor)))
		entity_free(CONTAINER_OF(entry, struct entity, entry));
	hash_table_done(&shard->entities);
	hash_table_done(&shard->tokens);
	active_forget(shard);
	list_remove(&shard->purge_link);
	mem_free(shard);
}

/* ---- Waiting ---- */

static void wake(struct shard *shard, struct list *list)
{
	LIST_FOR_EACH_REMOVABLE(node, list)
	{
		struct work *work = CONTAINER_OF(node, struct work, link);
		list_remove(node);
		list_push_back(&shard->shards->ready, &work->link);
	}
}

void shard_wake(struct shard *shard)
{
	wake(shard, &shard->stalled);
}

void shard_wake_roomless(struct shard *shard)
{
	wake(shard, &shard->roomless);
}

void shard_release_reads(struct shard *shard)
{
	struct list_node *node;
	while ((node = list_first(&shard->confirming))) {
		struct work *work = CONTAINER_OF(node, struct work, link);
		if (!work_is_confirmed(work))
			return;
		list_remove(node);
		work_finish(work);
	}
}

/* ---- Opening ---- */

static void load(struct shard *shard, const struct key *key)
{
	shard->loading = true;
	shard->load_epoch = shard->epoch;
	engine_load(shard->engine, &shard->load, shard->number, key_view(key));
}

/* 0 and what there is; ERR_AGAIN: it is being read. */
static int get(struct shard *shard, enum shard_key_kind kind, bool *ret_found, struct slice *ret)
{
	struct key key;
	key_of_shard(&key, kind);
	switch (engine_get(shard->engine, shard->number, key_view(&key), ret)) {
	case TABLE_VALUE:
		*ret_found = true;
		return 0;
	case TABLE_ABSENT:
		*ret_found = false;
		return 0;
	case TABLE_COLD:
	case TABLE_LOADING:
		load(shard, &key);
		return ERR_AGAIN;
	}
	UNREACHABLE();
}

static int read_own(struct shard *shard)
{
	struct slice record;
	bool found;
	int error = get(shard, SHARD_KEY_META, &found, &record);
	if (error)
		return error;
	shard->meta = (struct shard_meta){0};
	if (found)
		error = shard_meta_read(record, &shard->meta);
	tokens_there(shard);
	if (!error)
		error = get(shard, SHARD_KEY_ACTIVE, &found, &record);
	return error ? error : active_load(shard, found, record);
}

/* Without memory: by whoever asks next, or after a while, and not in every turn. */
static void open_later(struct shards *shards)
{
	if (!shards->opening_timer.armed)
		io_timer_set(
		    shards->io, &shards->opening_timer, io_now_ns(shards->io) + OPENING_RETRY_NS);
}

void shards_opening_fired(struct io_timer *timer)
{
	struct shards *shards = CONTAINER_OF(timer, struct shards, opening_timer);
	for (uint32_t i = 0; i < shards->own_count; i++)
		shard_open(shards->own[i]);
	shards_deliver(shards);
}

void shard_open(struct shard *shard)
{
	if (shard->state != SHARD_OPENS || shard->loading)
		return;
	if (engine_shard_closed(shard->engine, shard->number)) {
		shard_close_damaged(shard);
		return;
	}
	int error = read_own(shard);
	if (error == ERR_AGAIN)
		return;
	if (error == ERR_CORRUPT || error == ERR_FORMAT) {
		LOG_LINE(LEVEL_ERROR, "shard_unreadable", FIELD_U64("group", shard->number),
		    FIELD_ERROR("error", error));
		shard_close_damaged(shard);
		return;
	}
	if (error) {
		open_later(shard->shards);
		return;
	}
	/* Breaks: time does not go back over a restart. */
	if (!MUTATION(shard_clock_begins_anew))
		group_set_time(shard->group, shard->meta.clock_ceiling_ms);
	shard->meta_changed = false;
	shard->expiry_next_ms = 0;
	shard->state = SHARD_SERVES;
	if (shard->shards->options.leads)
		shard->shards->options.leads(
		    shard->shards->options.arg, shard->number, group_term(shard->group));
	shard_wake(shard);
	activations_advance(shard->shards);
}

static void loaded(struct engine_load *loaded_load, int result)
{
	struct shard *shard = CONTAINER_OF(loaded_load, struct shard, load);
	shard->loading = false;
	if (!shard_is_here(shard))
		return;
	if (result == ERR_CORRUPT || result == ERR_IO || result == ERR_DATA_LOSS)
		shard_close_damaged(shard);
	else if (result == ERR_NOMEM)
		open_later(shard->shards);
	else
		shard_open(shard);
	shards_deliver(shard->shards);
}

/* ---- What the group tells ---- */

static void leading(void *arg, uint64_t term)
{
	struct shard *shard = arg;
	(void)term;
	if (shard->state == SHARD_CLOSED)
		return;
	ASSERT(shard->state == SHARD_FOLLOWS);
	shard->epoch++;
	shard->state = SHARD_OPENS;
	replica_release(shard, true);
	shard_open(shard);
	shards_deliver(shard->shards);
}

void shard_forget_proposed(struct shard *shard)
{
	struct hash_table_cursor cursor = {0};
	struct hash_entry *entry;
	while ((entry = hash_table_next(&shard->entities, &cursor)))
		entity_forget_proposed(CONTAINER_OF(entry, struct entity, entry));
	active_forget(shard);
	shard->active_changed = 0;
	shard->purge_number = 0;
	shard->expiry_number = 0;
	shard->clock_number = 0;
}

void shard_serve_no_more(struct shard *shard, enum shard_state next)
{
	const struct shards_options *options = &shard->shards->options;
	bool did = shard->state == SHARD_SERVES;
	shard->epoch++;
	shard->state = next;
	if (did && options->follows)
		options->follows(options->arg, shard->number);
}

static void lost(void *arg)
{
	struct shard *shard = arg;
	if (shard->state == SHARD_CLOSED)
		return;
	shard_serve_no_more(shard, SHARD_FOLLOWS);
	entries_lost(shard);
	shard_forget_proposed(shard);
	tokens_stop(shard);
	if (shard->shards->options.elsewhere) {
		shard_wake(shard);
		shard_wake_roomless(shard);
	}
	shards_deliver(shard->shards);
}

static void applied(void *arg, const struct group_entry *entry)
{
	struct shard *shard = arg;
	entry_settle(shard, entry);
	if (shard->state == SHARD_SERVES)
		shard_release_reads(shard);
	shards_deliver(shard->shards);
}

/* What is kept of the state before is no longer it, and what was under way up to here is jumped
 * over; but what was proposed in a term that is over and stands behind it is surely not done. */
static void installed(void *arg, struct group_position at)
{
	struct shard *shard = arg;
	struct hash_table_cursor cursor = {0};
	struct hash_entry *entry;
	if (shard->state == SHARD_CLOSED)
		return;
	ASSERT(shard->state == SHARD_FOLLOWS);
	shard->epoch++;
	while ((entry = hash_table_next(&shard->entities, &cursor)))
		entity_forget(CONTAINER_OF(entry, struct entity, entry));
	entry_settle(shard, &(struct group_entry){.at = at});
	shards_deliver(shard->shards);
}

/* In steps, each of which relies on the one before: the shard, its first entry, that entry's works,
 * and their calls. */
static void soon(void *arg, unsigned step)
{
	const struct shard *shard = arg;
	if (step == 0) {
		memory_fetch(shard, offsetof(struct shard, confirming));
		return;
	}
	const struct list_node *node = list_first(&shard->entries);
	if (!node)
		return;
	const struct entry *entry = CONTAINER_OF(node, struct entry, link);
	if (step == 1) {
		memory_fetch(entry, sizeof(*entry));
		return;
	}
	/* Most have one or two. */
	const struct list_node *first = list_first(&entry->works), *last = list_last(&entry->works);
	for (node = first; node; node = node == first && last != first ? last : NULL) {
		const struct work *work = CONTAINER_OF(node, struct work, link);
		if (step == 2)
			memory_fetch(work, sizeof(*work));
		else if (work->call)
			memory_fetch(&work->call->reply,
			    sizeof(*work->call) - offsetof(struct shard_call, reply));
	}
}

static void confirmed(void *arg, uint64_t round)
{
	struct shard *shard = arg;
	(void)round;
	shard_release_reads(shard);
	shards_deliver(shard->shards);
}

static void answered(void *arg)
{
	replica_release(arg, false);
}

static void room(void *arg)
{
	shard_wake_roomless(arg);
}

void shard_close_damaged(struct shard *shard)
{
	if (shard->state == SHARD_CLOSED || shard->state == SHARD_ABSENT)
		return;
	shard_serve_no_more(shard, SHARD_CLOSED);
	entries_closed(shard);
	shard_forget_proposed(shard);
	shard_wake(shard);
	shard_wake_roomless(shard);
	replica_release(shard, true);
	activations_advance(shard->shards);
}

bool shard_is_lost(const struct shard *shard)
{
	const struct shards_options *options = &shard->shards->options;
	return shard->state == SHARD_CLOSED &&
	       !(options->others && options->others(options->arg, shard->number));
}

static void closed(void *arg)
{
	struct shard *shard = arg;
	shard_close_damaged(shard);
	shards_deliver(shard->shards);
}

static const struct group_events events = {
    .leading = leading,
    .lost = lost,
    .applied = applied,
    .soon = soon,
    .confirmed = confirmed,
    .answered = answered,
    .room = room,
    .closed = closed,
    .installed = installed,
};
