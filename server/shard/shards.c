/* One core: its shards, its turn, calls that come and answers that go. */
#include "server/shard/shard_parts.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/fetch.h"
#include "base/io/mailbox.h"
#include "base/mem.h"
#include "base/slot.h"

#define FOLD_CACHE_BYTES_DEFAULT (64 * MIB)
#define QUEUE_BYTES_DEFAULT      (64 * MIB)

/* A turn runs works for about this long, or so many, before what it made is proposed. */
enum { TURN_NS_MAX = 2 * 1000 * 1000, TURN_WORKS_MAX = 2048, TURN_CLOCK_EVERY = 8 };

/* ---- Begin and end ---- */

static void deadlines_fired(struct io_timer *timer);

static int make_shards(struct shards *shards)
{
	const struct shard_map *map = &shards->options.map;
	shards->by_number = mem_zalloc(map->shard_count + 1, sizeof(struct shard *));
	shards->own = mem_zalloc(map->shard_count, sizeof(struct shard *));
	shards->peers = mem_zalloc(map->core_count, sizeof(*shards->peers));
	if (!shards->by_number || !shards->own || !shards->peers)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < map->core_count; i++)
		list_init(&shards->peers[i].outbox);
	for (uint32_t number = 1; number <= map->shard_count; number++) {
		if (shard_core(map, number) != shards->options.core)
			continue;
		struct shard *shard;
		int error = shard_new(shards, number, &shard);
		if (error)
			return error;
		shards->by_number[number] = shard;
		shards->own[shards->own_count++] = shard;
		uint64_t replica = 1;
		if (shards->options.replica)
			replica = shards->options.replica(shards->options.arg, number);
		if (replica == 0)
			continue;
		error = shard_add_group(shard, replica, NULL);
		if (error)
			return error;
	}
	return 0;
}

int shards_new(const struct shards_options *options, struct shards **ret_shards)
{
	ASSERT(options->map.shard_count > 0 && options->core < options->map.core_count);
	struct shards *shards = mem_zalloc(1, sizeof(*shards));
	if (!shards)
		return ERR_NOMEM;
	shards->options = *options;
	shards->io = options->io;
	if (shards->options.fold_cache_bytes_max == 0)
		shards->options.fold_cache_bytes_max = FOLD_CACHE_BYTES_DEFAULT;
	if (shards->options.queue_bytes_max == 0)
		shards->options.queue_bytes_max = QUEUE_BYTES_DEFAULT;
	list_init(&shards->arrived);
	list_init(&shards->ready);
	list_init(&shards->paused);
	list_init(&shards->jobs);
	list_init(&shards->works);
	list_init(&shards->finished);
	list_init(&shards->open);
	list_init(&shards->expiring);
	list_init(&shards->cache);
	list_init(&shards->provided);
	list_init(&shards->lacking);
	list_init(&shards->activations);
	list_init(&shards->purges);
	list_init(&shards->handler_figures);
	map_init(&shards->handlers);
	list_init(&shards->due);
	heap_init(&shards->deadlines);
	shards->deadline_timer.fired = deadlines_fired;
	shards->opening_timer.fired = shards_opening_fired;
	shards->reference_seed = options->seed;
	int error = make_shards(shards);
	if (error) {
		shards_free(shards);
		return error;
	}
	*ret_shards = shards;
	return 0;
}

void shards_free(struct shards *shards)
{
	if (!shards)
		return;
	ASSERT(list_empty(&shards->works) && list_empty(&shards->finished));
	ASSERT(list_empty(&shards->arrived));
	io_timer_cancel(shards->io, &shards->deadline_timer);
	io_timer_cancel(shards->io, &shards->opening_timer);
	io_timer_cancel(shards->io, &shards->activation_timer);
	io_timer_cancel(shards->io, &shards->purge_timer);
	for (uint32_t i = 0; i < shards->own_count; i++)
		shard_free(shards->own[i]);
	struct list_node *node;
	while ((node = list_pop_front(&shards->provided))) {
		struct provided *provided = CONTAINER_OF(node, struct provided, link);
		host_bundle_release(provided->bundle);
		mem_free(provided);
	}
	shards_figures_done(shards);
	while (shards->batch_count > 0)
		buffer_done(&shards->batches[--shards->batch_count]);
	small_blocks_done(&shards->blocks);
	mem_free(shards->peers);
	mem_free(shards->own);
	mem_free(shards->by_number);
	mem_free(shards);
}

void shards_start(struct shards *shards)
{
	ASSERT(!shards->started);
	shards->started = true;
	for (uint32_t i = 0; i < shards->own_count; i++)
		if (shard_is_here(shards->own[i]))
			group_start(shards->own[i]->group);
}

int shards_add(
    struct shards *shards, uint32_t number, uint64_t replica, const struct raft_membership *initial)
{
	struct shard *shard = shards->by_number[number];
	ASSERT(shard != NULL && replica > 0);
	if (shard->leaving)
		return ERR_BUSY;
	int error = shard_add_group(shard, replica, initial);
	if (error)
		return error;
	if (shards->started)
		group_start(shard->group);
	io_wake(shards->io, NULL);
	return 0;
}

void shards_remove(struct shards *shards, uint32_t number)
{
	struct shard *shard = shards->by_number[number];
	ASSERT(shard != NULL);
	shard_leave(shard);
	if (shards->closing)
		group_end_removal(shard->leaving);
	io_wake(shards->io, NULL);
}

bool shards_has(const struct shards *shards, uint32_t number)
{
	return shards->by_number[number] && shard_is_here(shards->by_number[number]);
}

bool shards_ready(const struct shards *shards)
{
	for (uint32_t i = 0; i < shards->own_count; i++)
		if (shard_is_pending(shards->own[i]))
			return false;
	return true;
}

void shards_close(struct shards *shards, void (*closed)(void *arg), void *arg)
{
	ASSERT(!shards->closing);
	shards->closing = true;
	shards->closed = closed;
	shards->closed_arg = arg;
	for (uint32_t i = 0; i < shards->own_count; i++) {
		tokens_stop(shards->own[i]);
		if (shards->own[i]->leaving)
			group_end_removal(shards->own[i]->leaving);
	}
	purge_stop(shards);
	/* What is proposed is waited for; what is not, is not. */
	LIST_FOR_EACH_REMOVABLE(node, &shards->works)
	{
		struct work *work = CONTAINER_OF(node, struct work, all_link);
		if (work->stage == WORK_QUEUED || work->stage == WORK_ASKING)
			work_shut_down(work);
	}
	activations_advance(shards);
	io_wake(shards->io, NULL);
}

static bool is_at_rest(const struct shards *shards)
{
	if (shards->submitted > 0 || shards->works_count > 0 || !list_empty(&shards->arrived) ||
	    !list_empty(&shards->finished) || !list_empty(&shards->activations) || shards->purge)
		return false;
	for (uint32_t i = 0; i < shards->own_count; i++)
		if (shards->own[i]->loading || shards->own[i]->expiry || shards->own[i]->leaving ||
		    !list_empty(&shards->own[i]->entries))
			return false;
	for (uint32_t i = 0; i < shards->options.map.core_count; i++)
		if (!list_empty(&shards->peers[i].outbox))
			return false;
	return true;
}

/* ---- Calls ---- */

/* The call is this core's now. Those of a turn become works together: see accept_arrived. */
static void arrive(struct shards *shards, struct shard_call *call)
{
	ASSERT(shards->by_number[call->shard] != NULL);
	call->owner = shards;
	list_push_back(&shards->arrived, &call->link);
}

void shards_submit(struct shards *shards, struct shard_call *call)
{
	const struct shard_map *map = &shards->options.map;
	list_node_init(&call->link);
	buffer_init(&call->reply, REPLY_BYTES_MAX);
	buffer_init(&call->details, ERROR_TEXT_BYTES_MAX + 64 * KIB);
	call->origin = shards;
	call->owner = NULL;
	call->status = STATUS_OK;
	call->has_reply = false;
	call->not_query = false;
	call->reference[0] = '\0';
	shards->submitted++;
	shards->figures.calls++;
	if (call->kind != SHARD_ENTITIES && call->kind != SHARD_COUNT)
		call->shard = shard_of_slot(map, slot_of(call->address));
	ASSERT(call->shard > 0 && call->shard <= map->shard_count);
	uint32_t core = shard_core(map, call->shard);
	if (core == shards->options.core)
		arrive(shards, call);
	else
		list_push_back(&shards->peers[core].outbox, &call->link);
}

static void refuse(
    struct shards *shards, struct shard_call *call, enum status status, const char *why)
{
	call->status = status;
	if (buffer_append_text(&call->reply, why))
		buffer_clear(&call->reply);
	shards_finish(shards, call);
}

static void accept_call(struct shards *shards, struct shard_call *call)
{
	struct shard *shard = shards->by_number[call->shard];
	if (shards->closing) {
		call->not_leader = call->forwarded;
		refuse(shards, call, STATUS_UNAVAILABLE, "the server is shutting down");
		return;
	}
	if (shards->queue_bytes >= shards->options.queue_bytes_max) {
		refuse(shards, call, STATUS_RESOURCE_EXHAUSTED,
		    "too many calls are waiting here; retry later, or send fewer at once");
		return;
	}
	if (work_new(shards, shard, call))
		refuse(shards, call, STATUS_RESOURCE_EXHAUSTED,
		    "the server is out of memory; nothing was changed");
}

/* As far ahead as the memory is away, in calls. Each of the steps relies on the one before: the
 * shard, the cell in which the entity is looked up, the entity. */
enum { SHARD_AHEAD = 12, CELL_AHEAD = 8, ENTITY_AHEAD = 4 };

struct arrivals {
	struct list_node *shard, *cell, *entity; /* the next to be fetched of each */
};

static struct shard_call *next_arrival(const struct shards *shards, struct list_node **at)
{
	struct list_node *node = *at;
	if (node == &shards->arrived.head)
		return NULL;
	*at = node->next;
	return CONTAINER_OF(node, struct shard_call, link);
}

static void fetch_shard(const struct shards *shards, struct arrivals *arrivals)
{
	const struct shard_call *call = next_arrival(shards, &arrivals->shard);
	if (call)
		memory_fetch(shards->by_number[call->shard], offsetof(struct shard, stalled));
}

static void fetch_cell(const struct shards *shards, struct arrivals *arrivals)
{
	struct shard_call *call = next_arrival(shards, &arrivals->cell);
	if (!call)
		return;
	const struct shard *shard = shards->by_number[call->shard];
	call->hash = entity_hash(shard, call->address);
	hash_table_fetch(&shard->entities, call->hash);
}

static void fetch_entity(const struct shards *shards, struct arrivals *arrivals)
{
	const struct shard_call *call = next_arrival(shards, &arrivals->entity);
	if (call)
		entity_fetch(shards->by_number[call->shard], call->hash);
}

static void accept_arrived(struct shards *shards)
{
	struct list_node *first = shards->arrived.head.next;
	struct arrivals ahead = {.shard = first, .cell = first, .entity = first};
	for (unsigned i = 0; i < SHARD_AHEAD; i++)
		fetch_shard(shards, &ahead);
	for (unsigned i = 0; i < CELL_AHEAD; i++)
		fetch_cell(shards, &ahead);
	for (unsigned i = 0; i < ENTITY_AHEAD; i++)
		fetch_entity(shards, &ahead);
	struct list_node *node;
	while ((node = list_pop_front(&shards->arrived))) {
		fetch_shard(shards, &ahead);
		fetch_cell(shards, &ahead);
		fetch_entity(shards, &ahead);
		accept_call(shards, CONTAINER_OF(node, struct shard_call, link));
	}
}

void shards_finish(struct shards *shards, struct shard_call *call)
{
	ASSERT(call->owner == shards);
	if (call->status != STATUS_OK)
		shards->figures.errors++;
	list_push_back(&shards->finished, &call->link);
}

void shards_deliver(struct shards *shards)
{
	struct list_node *node;
	while ((node = list_pop_front(&shards->finished))) {
		struct shard_call *call = CONTAINER_OF(node, struct shard_call, link);
		if (call->origin != shards) {
			struct peer *peer = &shards->peers[call->origin->options.core];
			list_push_back(&peer->outbox, node);
			continue;
		}
		shards->submitted--;
		call->done(call);
	}
}

/* ---- Other cores ---- */

void shards_connect(struct shards *shards, struct shards *const *peers,
    struct mailbox *const *to_peer, struct mailbox *const *from_peer)
{
	uint32_t count = shards->options.map.core_count;
	ASSERT(!shards->started);
	for (uint32_t i = 0; i < count; i++) {
		struct peer *peer = &shards->peers[i];
		peer->shards = peers[i];
		peer->to = to_peer[i];
		peer->from = from_peer[i];
	}
}

void shards_receive(struct shards *shards)
{
	for (uint32_t i = 0; i < shards->options.map.core_count; i++) {
		if (!shards->peers[i].from)
			continue;
		struct shard_call *call;
		while ((call = mailbox_receive(shards->peers[i].from))) {
			if (call->origin == shards) {
				shards->submitted--;
				call->done(call);
			} else {
				arrive(shards, call);
			}
		}
	}
}

/* False: something had no room, and waits for the next turn. */
static bool send(struct shards *shards)
{
	bool all = true;
	for (uint32_t i = 0; i < shards->options.map.core_count; i++) {
		struct peer *peer = &shards->peers[i];
		if (!peer->to)
			continue;
		struct list_node *node;
		while ((node = list_first(&peer->outbox))) {
			/* From the send on it is the other core's. */
			list_remove(node);
			if (mailbox_send(peer->to, CONTAINER_OF(node, struct shard_call, link)) ==
			    0)
				continue;
			list_push_front(&peer->outbox, node);
			all = false;
			break;
		}
		mailbox_flush(peer->to, shards->io);
	}
	return all;
}

/* ---- Deadlines ---- */

/* Coarse: a timer for every call would cost more than all else about it. */
#define DEADLINE_STEP_NS (10 * NS_PER_MS)

/* What is due first, or NULL. */
static struct work *first_due(const struct shards *shards)
{
	struct list_node *node = list_first(&shards->due);
	const struct heap_node *other = heap_first(&shards->deadlines);
	if (node) {
		struct work *work = CONTAINER_OF(node, struct work, due_link);
		if (!other || work->due_ns <= other->key)
			return work;
	}
	return other ? CONTAINER_OF(other, struct work, deadline) : NULL;
}

static void arm_deadlines(struct shards *shards, uint64_t first_ns)
{
	uint64_t at_ns = io_now_ns(shards->io) + DEADLINE_STEP_NS;
	if (first_ns > at_ns)
		at_ns = first_ns;
	if (shards->deadline_timer.armed && shards->deadline_armed_ns <= at_ns)
		return;
	shards->deadline_armed_ns = at_ns;
	io_timer_set(shards->io, &shards->deadline_timer, at_ns);
}

void shards_deadline_add(struct shards *shards, struct work *work, uint64_t at_ns)
{
	work->due_ns = at_ns;
	const struct list_node *node = list_last(&shards->due);
	bool is_last = !node || CONTAINER_OF(node, struct work, due_link)->due_ns <= at_ns;
	/* One that has much time would make all others go to the heap. */
	if (is_last && at_ns <= io_now_ns(shards->io) + 2 * CALL_TIMEOUT_MS * NS_PER_MS)
		list_push_back(&shards->due, &work->due_link);
	else
		heap_insert(&shards->deadlines, &work->deadline, at_ns);
	arm_deadlines(shards, at_ns);
}

void shards_deadline_remove(struct shards *shards, struct work *work)
{
	if (list_linked(&work->due_link))
		list_remove(&work->due_link);
	else
		heap_remove(&shards->deadlines, &work->deadline);
}

static void deadlines_fired(struct io_timer *timer)
{
	struct shards *shards = CONTAINER_OF(timer, struct shards, deadline_timer);
	uint64_t now_ns = io_now_ns(shards->io);
	struct work *first;
	while ((first = first_due(shards)) && first->due_ns <= now_ns)
		work_deadline(first);
	if (first)
		arm_deadlines(shards, first->due_ns);
	shards_deliver(shards);
}

/* ---- The turn ---- */

/* The shards whose entries will be proposed next, in steps as in fetch_ahead. */
static void fetch_open(const struct list *open)
{
	const struct list_node *end = &open->head;
	const struct list_node *first = open->head.next, *second = first->next;
	if (first == end || second == end)
		return;
	const struct shard *shard = CONTAINER_OF(second, struct shard, open_link);
	memory_fetch(shard->open, sizeof(*shard->open));
	group_fetch(shard->group, 0);
	if (second->next != end)
		memory_fetch(CONTAINER_OF(second->next, struct shard, open_link),
		    offsetof(struct shard, confirming));
	shard = CONTAINER_OF(first, struct shard, open_link);
	struct slice batch = buffer_view(&shard->open->batch);
	memory_fetch(batch.data, batch.bytes);
	group_fetch(shard->group, 1);
}

/* What stands in a queue came so long ago, and so much was done since, that the processor has to
 * fetch it from afar; a handler runs for long enough to do that meanwhile. Each step relies on the
 * one before: the third work's own memory, what the second points to, and what that of the first
 * points to. */
static void fetch_ahead(const struct list *works)
{
	const struct list_node *end = &works->head;
	const struct list_node *first = end->next, *second = first->next, *third = second->next;
	if (first == end || second == end || third == end)
		return;
	memory_fetch(CONTAINER_OF(third, struct work, link), sizeof(struct work));
	const struct work *work = CONTAINER_OF(second, struct work, link);
	memory_fetch(work->call, sizeof(*work->call));
	if (work->entity)
		memory_fetch(work->entity, sizeof(*work->entity));
	memory_fetch(work->shard, offsetof(struct shard, confirming));
	work = CONTAINER_OF(first, struct work, link);
	if (work->shard->group)
		group_fetch(work->shard->group, 0);
	memory_fetch(work->shard->open, sizeof(*work->shard->open));
	memory_fetch(work->call->payload.data, work->call->payload.bytes);
	if (work->entity)
		memory_fetch(work->entity->state, work->entity->state_bytes);
}

static void run_ready(struct shards *shards)
{
	uint64_t begin_ns = clock_monotonic_ns();
	struct list_node *node;
	for (unsigned count = 1; (node = list_pop_front(&shards->ready)); count++) {
		fetch_ahead(&shards->ready);
		work_advance(CONTAINER_OF(node, struct work, link));
		if (count >= TURN_WORKS_MAX)
			break;
		if (count % TURN_CLOCK_EVERY == 0 && clock_monotonic_ns() - begin_ns > TURN_NS_MAX)
			break;
	}
}

/* One slice for all that take long, however many they are: then others have their turn, and the
 * next one of these theirs behind them. */
static void run_paused(struct shards *shards)
{
	struct list now;
	struct list_node *node;
	uint64_t begin_ns = clock_thread_ns(), end_ns = begin_ns;
	list_init(&now);
	list_append_all(&now, &shards->paused);
	while (end_ns - begin_ns < HANDLER_SLICE_US * NS_PER_US && (node = list_pop_front(&now))) {
		uint64_t before_ns = end_ns;
		work_advance(CONTAINER_OF(node, struct work, link));
		end_ns = clock_thread_ns();
		histogram_record(&shards->slice_ns, end_ns - before_ns);
	}
	/* Those that were not served stand before those that were. */
	list_append_all(&now, &shards->paused);
	list_append_all(&shards->paused, &now);
}

static bool expire_tokens(struct shards *shards)
{
	bool more = false;
	LIST_FOR_EACH_REMOVABLE(node, &shards->expiring)
	{
		struct shard *shard = CONTAINER_OF(node, struct shard, expiring_link);
		if (shard->meta.tokens > 0 || shard->expiry)
			more |= tokens_expire(shard);
		else
			list_remove(node);
	}
	return more;
}

static bool has_work(const struct shards *shards)
{
	return !list_empty(&shards->arrived) || !list_empty(&shards->ready) ||
	       !list_empty(&shards->finished);
}

bool shards_turn(struct shards *shards)
{
	shards_receive(shards);
	accept_arrived(shards);
	if (!list_empty(&shards->ready))
		run_ready(shards);
	bool more = expire_tokens(shards);
	if (!list_empty(&shards->purges))
		more |= purge_turn(shards);
	struct list_node *node;
	while ((node = list_pop_front(&shards->open))) {
		struct shard *shard = CONTAINER_OF(node, struct shard, open_link);
		fetch_open(&shards->open);
		entry_propose(shard);
		/* Reads that were held by a round of this turn. */
		shard_release_reads(shard);
	}
	entities_trim(shards);
	shards_deliver(shards);
	more |= !send(shards);
	if (shards->closing && shards->closed && is_at_rest(shards)) {
		void (*closed)(void *arg) = shards->closed;
		shards->closed = NULL;
		closed(shards->closed_arg);
	}
	return more || has_work(shards);
}

bool shards_has_long(const struct shards *shards)
{
	return !list_empty(&shards->paused);
}

bool shards_run_long(struct shards *shards)
{
	if (!list_empty(&shards->paused))
		run_paused(shards);
	/* Now, and not at the end of the next turn: one that another node sent may have been sent
	 * away, and those that were sent behind it come before that. */
	bool more = !list_empty(&shards->finished);
	shards_deliver(shards);
	more |= host_idle(shards->options.host);
	return more || !list_empty(&shards->paused) || !list_empty(&shards->open) ||
	       has_work(shards);
}
