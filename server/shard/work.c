/* A call on the core that owns its shard: its place in the entity's queue, the steps before its
 * handler runs, and its end.
 *
 *   queued -> (first of its entity) -> shard serves? -> component -> handler -> token -> head
 *     -> folded state -> room -> begin -> run -> effects: added -> proposed -> applied: answered
 *                                               none:    held ---------------> answered
 *
 * The steps before the handler can be taken again at any time, and are: whatever was waited for,
 * the work starts at the first step, and those whose answer is known cost a comparison. So nothing
 * that may have changed in the meantime is relied on.
 */
#include "server/shard/replica.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"

/* ---- Begin ---- */

/* Works stand in the order in which they came, those that begin anew too. */
void work_enter_queue(struct entity *entity, struct work *work)
{
	struct list_node *before = &entity->queue.head;
	/* Breaks: calls of one connection take effect in the order sent. */
	while (before->back != &entity->queue.head &&
	       CONTAINER_OF(before->back, struct work, queue_link)->sequence > work->sequence &&
	       !MUTATION(shard_again_at_the_end))
		before = before->back;
	list_insert_before(&work->queue_link, before);
	work->entity = entity;
}

static bool is_first(const struct work *work)
{
	return !work->entity || list_first(&work->entity->queue) == &work->queue_link;
}

void work_leave_queue(struct work *work)
{
	bool was_first = is_first(work);
	list_remove(&work->queue_link);
	struct list_node *next = list_first(&work->entity->queue);
	if (next && was_first)
		work_make_ready(CONTAINER_OF(next, struct work, queue_link));
}

/* One that waits for something else is made ready by that. */
void work_make_ready(struct work *work)
{
	if (!list_linked(&work->link))
		list_push_back(&work->shard->shards->ready, &work->link);
}

void work_wait(struct work *work, struct list *list)
{
	list_push_back(list, &work->link);
}

int work_new(struct shards *shards, struct shard *shard, struct shard_call *call)
{
	struct work *work = small_block_take(&shards->blocks, sizeof(*work));
	if (!work)
		return ERR_NOMEM;
	memset(work, 0, sizeof(*work));
	list_node_init(&work->all_link);
	list_node_init(&work->queue_link);
	list_node_init(&work->link);
	list_node_init(&work->due_link);
	heap_node_init(&work->deadline);
	work->load.done = work_loaded;
	work->sequence = ++shards->sequence;
	if (shard_call_is_ordered(call)) {
		struct entity *entity = entity_need(shard, call->address, call->hash);
		if (!entity) {
			small_block_give(&shards->blocks, work, sizeof(*work));
			return ERR_NOMEM;
		}
		work_enter_queue(entity, work);
	}
	work->call = call;
	work->shard = shard;
	work->begun_ns = io_now_ns(shards->io);
	work->queue_bytes = sizeof(*work) + call->address.bytes + call->payload.bytes +
	                    call->metadata.bytes + call->token.bytes;
	shards->queue_bytes += work->queue_bytes;
	shards->works_count++;
	list_push_back(&shards->works, &work->all_link);
	shards_deadline_add(shards, work, call->deadline_ns);
	call->work = work;
	if (is_first(work))
		work_make_ready(work);
	return 0;
}

/* ---- End ---- */

void work_say(struct work *work, enum status status, const char *format, ...)
{
	char text[1024];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	struct shard_call *call = work->call;
	call->status = status;
	call->has_reply = false;
	buffer_clear(&call->reply);
	/* An error without its text is still that error. */
	if (buffer_append_text(&call->reply, text))
		buffer_clear(&call->reply);
}

/* The entity goes on with the next. */
void work_leave_entity(struct work *work)
{
	struct entity *entity = work->entity;
	if (!entity)
		return;
	replica_forget(work);
	if (work->is_aside) {
		list_remove(&work->queue_link);
		work->is_aside = false;
		aside_left(entity, work->call->order);
	} else {
		work_leave_queue(work);
	}
	work->entity = NULL;
	if (list_empty(&entity->queue))
		entity_rest(entity);
}

void work_leave_queue_bytes(struct work *work)
{
	work->shard->shards->queue_bytes -= work->queue_bytes;
	work->queue_bytes = 0;
}

void work_drop_progress(struct work *work)
{
	work->token_state = TOKEN_UNKNOWN;
	/* Each call comes here several times, with something to drop once. */
	if (!work->host_call && !work->bundle && !work->fold && !work->walk &&
	    work->reserved_bytes == 0) {
		ASSERT(!work->component && !work->handler);
		return;
	}
	host_call_end(work->host_call);
	work->host_call = NULL;
	if (work->reserved_bytes > 0)
		entry_unreserve(work->shard, work->reserved_bytes);
	work->reserved_bytes = 0;
	host_bundle_release(work->bundle);
	work->bundle = NULL;
	work->component = NULL;
	work->handler = NULL;
	fold_free(work);
	walk_free(work);
}

static bool is_under_way(const struct work *work)
{
	return work->loads != LOADS_NOTHING || fold_under_way(work->fold) ||
	       walk_under_way(work->walk) || work->job;
}

static void stand_back(struct work *work)
{
	list_remove(&work->link);
	work_drop_progress(work);
	replica_forget(work);
	/* What is read for it is of no use any more. */
	work->epoch = UINT64_MAX;
}

bool work_come_back(struct entity *entity, struct work *work)
{
	struct list_node *first = list_first(&entity->queue);
	work_enter_queue(entity, work);
	if (list_first(&entity->queue) != &work->queue_link)
		return false;
	if (first)
		stand_back(CONTAINER_OF(first, struct work, queue_link));
	return true;
}

/* A zombie's memory belongs to what it waits for. */
void work_free_if_idle(struct work *work)
{
	if (is_under_way(work))
		return;
	struct shards *shards = work->shard->shards;
	work_drop_progress(work);
	list_remove(&work->all_link);
	shards->works_count--;
	small_block_give(&shards->blocks, work, sizeof(*work));
}

static void note_latency(struct work *work)
{
	if (!work->figure)
		return;
	work->figure->calls++;
	if (work->call->status != STATUS_OK)
		work->figure->errors++;
	/* What was proposed is answered from the loop, which has just looked at the clock. */
	uint64_t now_ns = work->stage == WORK_PROPOSED ? io_now_ns(work->shard->shards->io)
	                                               : clock_monotonic_ns();
	work->call->took_ns = now_ns - work->begun_ns;
	histogram_record(&work->figure->latency_ns, work->call->took_ns);
}

void work_finish(struct work *work)
{
	struct shards *shards = work->shard->shards;
	note_latency(work);
	list_remove(&work->link);
	if (work->stage != WORK_AWAY)
		shards_deadline_remove(shards, work);
	work_drop_progress(work);
	work_leave_entity(work);
	work_leave_queue_bytes(work);
	if (work->stage == WORK_HELD)
		shards->figures.held--;
	work->stage = WORK_ZOMBIE;
	work->call->work = NULL;
	shards_finish(shards, work->call);
	work->call = NULL;
	work_free_if_idle(work);
}

void work_fail(struct work *work, enum status status, const char *format, ...)
{
	char text[1024];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	work_say(work, status, "%s", text);
	work_finish(work);
}

static void give_up_unled(struct work *work)
{
	const struct shards_options *options = &work->shard->shards->options;
	char text[256];
	snprintf(text, sizeof(text), "shard %u has no leader; nothing was changed, retry",
	    work->shard->number);
	if (options->unled)
		options->unled(options->arg, work->shard->number, text, sizeof(text));
	work_fail(work, STATUS_UNAVAILABLE, "%s%s", text,
	    work->shard->state != SHARD_CLOSED
	        ? ""
	        : "; this node's replica is damaged, see kalix-admin cluster status");
}

void work_fail_read(struct work *work)
{
	work_fail(work, STATUS_UNAVAILABLE,
	    "leadership of shard %u was lost, and the time was over before the call could be run "
	    "again; nothing was changed, retry",
	    work->shard->number);
}

void work_give_up(struct work *work)
{
	if (!shard_serves(work->shard))
		give_up_unled(work);
	else if (work->was_read)
		work_fail_read(work);
	else
		work_fail(work, STATUS_DEADLINE_EXCEEDED,
		    "the time was over before the call could run; nothing was changed");
}

void work_deadline(struct work *work)
{
	struct shards *shards = work->shard->shards;
	switch (work->stage) {
	case WORK_QUEUED:
		work_give_up(work);
		return;
	case WORK_HELD:
		work_fail(work, STATUS_UNAVAILABLE,
		    "leadership could not be confirmed in time; nothing was changed, retry");
		return;
	case WORK_ADDED:
		/* It is proposed at the end of this turn. */
		shards_deadline_remove(shards, work);
		shards_deadline_add(shards, work, io_now_ns(shards->io) + NS_PER_MS);
		return;
	case WORK_PROPOSED:
		work_fail(work, STATUS_UNKNOWN_OUTCOME,
		    "the change was proposed, and its fate is not known yet; retry with the same "
		    "IDEMPOTENCY token, or look");
		return;
	case WORK_ASKING:
		if (io_now_ns(shards->io) >= work->call->deadline_ns) {
			work_give_up(work);
			return;
		}
		work->leader_only = true;
		replica_go_on(work);
		return;
	case WORK_AWAY:
	case WORK_ZOMBIE:
		break;
	}
	UNREACHABLE();
}

/* ---- Again ---- */

void work_forget_answer(struct work *work)
{
	struct shard_call *call = work->call;
	call->status = STATUS_OK;
	call->has_reply = false;
	buffer_clear(&call->reply);
	buffer_clear(&call->details);
	call->reference[0] = '\0';
	call->not_query = false;
}

/* Another node, whose caller need not know of it, asks whoever leads then. */
void work_shut_down(struct work *work)
{
	work->call->not_leader = work->call->forwarded;
	work->call->was_read = work->was_read;
	work_fail(work, STATUS_UNAVAILABLE, "the server is shutting down");
}

void work_again(struct work *work)
{
	struct shards *shards = work->shard->shards;
	list_remove(&work->link);
	work_drop_progress(work);
	work_forget_answer(work);
	if (work->stage == WORK_HELD) {
		shards->figures.held--;
		work->was_read = true;
	}
	work->stage = WORK_QUEUED;
	work->seen = 0;
	if (shards->closing) {
		work_shut_down(work);
		return;
	}
	if (work->is_overtaken) {
		work_fail(work, STATUS_UNAVAILABLE,
		    "leadership of shard %u was lost, and later calls of this connection were "
		    "answered elsewhere; nothing was changed, retry",
		    work->shard->number);
		return;
	}
	if (work->is_aside) {
		aside_left(work->entity, work->call->order);
		return;
	}
	if (shard_call_is_ordered(work->call) && !work->entity) {
		struct entity *entity =
		    entity_need(work->shard, work->call->address, work->call->hash);
		if (!entity) {
			work_fail(work, STATUS_RESOURCE_EXHAUSTED,
			    "the server is out of memory; nothing was changed");
			return;
		}
		(void)work_come_back(entity, work);
	}
	if (is_first(work) && !is_under_way(work))
		work_make_ready(work);
}

/* ---- The steps ---- */

/* Others that may come to lead it are waited for: right after a start, or when its leader is found
 * damaged, it is not known yet which of them does. */
static void step_closed(struct work *work)
{
	struct shard *shard = work->shard;
	if (!shard_is_lost(shard))
		work_wait(work, &shard->stalled);
	else
		work_fail(work, STATUS_DATA_LOSS,
		    "shard %u is closed: durable data is missing or damaged; see kalix-admin log "
		    "verify, the server's log names file and offset",
		    shard->number);
}

static enum step step_shard(struct work *work)
{
	struct shard *shard = work->shard;
	if (engine_shard_closed(shard->engine, shard->number))
		shard_close_damaged(shard);
	if (work->epoch != shard->epoch) {
		work_drop_progress(work);
		replica_forget(work);
		work->seen = 0;
		work->epoch = shard->epoch;
	}
	if (shard_is_led_elsewhere(shard)) {
		enum replica_step here = replica_look(work);
		if (here != REPLICA_LEAVES)
			return here == REPLICA_READS ? STEP_ON : STEP_STOP;
		if (aside_hand_over(work))
			return STEP_STOP;
	}
	if (shard->state == SHARD_ABSENT) {
		work_wait(work, &shard->stalled);
		return STEP_STOP;
	}
	if (shard->state == SHARD_CLOSED) {
		step_closed(work);
		return STEP_STOP;
	}
	if (shard->state == SHARD_OPENS)
		shard_open(shard);
	if (!shard_serves(shard)) {
		work_wait(work, &shard->stalled);
		return STEP_STOP;
	}
	if (aside_is_late(work)) {
		shard->shards->figures.late_refused++;
		(void)aside_hand_over(work);
		return STEP_STOP;
	}
	if (work->entity && !list_empty(&work->entity->aside) && aside_blocks(work)) {
		aside_wait(work);
		return STEP_STOP;
	}
	return STEP_ON;
}

/* A repeat gets the first reply, also where its command is gone by now. */
static enum step step_unknown(struct work *work)
{
	token_prepare(work);
	if (token_step(work) == STEP_STOP)
		return STEP_STOP;
	work_say(work, STATUS_UNIMPLEMENTED, "%s", "");
	return STEP_ON;
}

enum step step_component(struct work *work)
{
	struct shard *shard = work->shard;
	struct slice type = address_type(work->call->address);
	/* A handler that starts after an activation is the new bundle's. */
	if (work->component && work->active_seen != shard->active_changed)
		work_drop_progress(work);
	if (work->component)
		return STEP_ON;
	work->active_seen = shard->active_changed;
	if (shard->active_changed > work->seen)
		work->seen = shard->active_changed;
	work->incarnation = dropped_incarnation(shard, type);
	bool pending;
	work->component = active_component(shard, type, &work->bundle, &pending);
	if (work->component) {
		host_bundle_keep(work->bundle);
		return STEP_ON;
	}
	if (pending) {
		work_wait(work, &shard->stalled);
		return STEP_STOP;
	}
	if (step_unknown(work) == STEP_STOP)
		return STEP_STOP;
	if (active_explain(shard, type, &work->call->reply))
		buffer_clear(&work->call->reply);
	work_hold(work);
	return STEP_STOP;
}

static enum step step_handler(struct work *work)
{
	struct shard_call *call = work->call;
	if (work->handler)
		return STEP_ON;
	struct host_handler *handler = host_handler(work->component, call->name);
	if (!handler) {
		if (step_unknown(work) == STEP_STOP)
			return STEP_STOP;
		if (host_explain_unknown(work->component, call->name, &call->reply))
			buffer_clear(&call->reply);
		work_hold(work);
		return STEP_STOP;
	}
	if (call->queries_only && !host_handler_is_query(handler)) {
		work_say(work, STATUS_INVALID_ARGUMENT,
		    "this is a command: with STALE, and by FCALL_RO, only queries are called");
		call->not_query = true;
		work_hold(work);
		return STEP_STOP;
	}
	if (host_handler_internal(handler) && !call->internal_allowed) {
		work_say(work, STATUS_PERMISSION_DENIED,
		    "this command is internal: only other components, timers and administrators "
		    "may call it");
		work_hold(work);
		return STEP_STOP;
	}
	work->handler = handler;
	work->figure = shards_figure(work->shard->shards, work->component, handler);
	token_prepare(work);
	return STEP_ON;
}

enum step step_head(struct work *work)
{
	struct entity *entity = work->entity;
	entity_set_incarnation(entity, work->incarnation);
	if (!entity->known) {
		struct key key;
		struct slice record;
		bool found;
		key_of_entity(&key, SHARD_KEY_HEAD, entity_name(entity));
		if (work_get(work, &key, LOADS_HEAD, &found, &record) == STEP_STOP)
			return STEP_STOP;
		int error = entity_take_head(entity, found, record);
		if (error) {
			work_unreadable(work, error);
			return STEP_STOP;
		}
	}
	if (entity->changed > work->seen)
		work->seen = entity->changed;
	if (entity->head.exists && entity->head.kind != host_component_kind(work->component)) {
		if (work->reads_here) {
			replica_to_leader(work);
			return STEP_STOP;
		}
		work_fault(work, slice_from_text("what is stored is of another kind of entity"),
		    slice_of(NULL, 0));
		return STEP_STOP;
	}
	return STEP_ON;
}

static enum step step_long(struct work *work)
{
	if (work->has_queued_as_long || !work->figure || !handler_is_long(work->figure))
		return STEP_ON;
	work->has_queued_as_long = true;
	work_wait(work, &work->shard->shards->paused);
	return STEP_STOP;
}

static enum step step_room(struct work *work)
{
	if (host_handler_is_query(work->handler) || work->reserved_bytes > 0)
		return STEP_ON;
	uint64_t bytes = host_component_change_bytes_max(work->component) +
	                 5 * (ENTITY_KEY_BYTES_MAX + BATCH_OP_BYTES_MAX) + HEAD_BYTES_MAX +
	                 SNAPSHOT_BYTES_MAX + kept_bytes_max(work->component, &work->entity->head);
	if (work->call->token.bytes > 0)
		bytes += TOKEN_ADDED_BYTES_MAX;
	if (bytes > ENTRY_BYTES_MAX - GROUP_ENTRY_HEADER_BYTES)
		bytes = ENTRY_BYTES_MAX - GROUP_ENTRY_HEADER_BYTES;
	int error = entry_reserve(work->shard, bytes, false);
	if (!error) {
		work->reserved_bytes = bytes;
		return STEP_ON;
	}
	if (error == ERR_NO_SPACE)
		work_fail(work, STATUS_RESOURCE_EXHAUSTED,
		    "the disk is full: changes are refused until there is room again");
	else if (error == ERR_BUSY)
		work_fail(work, STATUS_RESOURCE_EXHAUSTED,
		    "too many changes wait for most replicas to make them durable; this one was "
		    "not begun");
	else if (error == ERR_FULL)
		work_wait(work, &work->shard->roomless);
	else if (error == ERR_DATA_LOSS)
		shard_close_damaged(work->shard), work_make_ready(work);
	else
		work_wait(work, &work->shard->stalled);
	return STEP_STOP;
}

void work_advance(struct work *work)
{
	ASSERT(work->stage == WORK_QUEUED && work->call);
	/* An older one began anew and stands before it: it will be made ready again. */
	if (!is_first(work) || is_under_way(work))
		return;
	if (step_shard(work) == STEP_STOP)
		return;
	if (work->call->kind != SHARD_CALL) {
		admin_advance(work);
		return;
	}
	if (work->host_call) {
		work_run(work);
		return;
	}
	if (work->reads_here) {
		if (replica_steps(work) == STEP_ON && step_long(work) == STEP_ON &&
		    work_begin(work))
			work_run(work);
		return;
	}
	if (step_component(work) == STEP_ON && step_handler(work) == STEP_ON &&
	    token_step(work) == STEP_ON && step_head(work) == STEP_ON &&
	    fold_step(work, 0) == STEP_ON && step_long(work) == STEP_ON &&
	    step_room(work) == STEP_ON && work_begin(work))
		work_run(work);
}
