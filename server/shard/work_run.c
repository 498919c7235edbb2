/* The handler's part of a call: begun on the newest state, run in slices, and what becomes of its
 * outcome; and what an answer waits for that is no change. */
#include "server/shard/replica.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/wire/json_writer.h"

static bool without_memory(struct work *work)
{
	work_fail(
	    work, STATUS_RESOURCE_EXHAUSTED, "the server is out of memory; nothing was changed");
	return false;
}

bool work_begin(struct work *work)
{
	const struct entity *entity = work->entity;
	const struct shard_call *call = work->call;
	struct shards *shards = work->shard->shards;
	work->now_ms = work->reads_here ? group_time_ms(work->shard->group) : clock_for(work);
	struct host_request request = {
	    .component = work->component,
	    .handler = work->handler,
	    .address = entity_address(entity),
	    .entity = {.exists = entity->head.exists,
	        .has_state = entity->has_state,
	        .state_version = entity->state_version,
	        .revision = entity->head.revision,
	        .state = slice_of(entity->state, entity->state_bytes)},
	    .has_payload = call->has_payload,
	    .payload = call->payload,
	    .payload_encoding = call->payload_encoding,
	    .reply_encoding = call->reply_encoding,
	    .now_ms = work->now_ms,
	    .caller = call->caller,
	    .metadata = call->metadata,
	};
	if (host_call_begin(shards->options.host, &request, &work->host_call))
		return without_memory(work);
	work->shard->calls++;
	if (host_handler_is_query(work->handler))
		shards->figures.queries++;
	else
		shards->figures.commands++;
	return true;
}

/* ---- Errors ---- */

static void make_reference(struct shards *shards, char reference[24])
{
	struct {
		uint64_t seed, number;
	} from = {shards->reference_seed ^ shards->options.core, ++shards->references};
	snprintf(reference, 24, "%016" PRIx64,
	    hash_bytes(slice_of(&from, sizeof(from)), shards->reference_seed));
}

/* What an operator finds under the reference, and in dev mode the caller too. */
static void add_fault_details(struct work *work, struct slice traceback)
{
	struct shard_call *call = work->call;
	struct json_writer writer;
	json_writer_init(&writer, &call->details);
	json_write_object_begin(&writer);
	json_write_key(&writer, slice_from_text("reference"));
	json_write_string(&writer, slice_from_text(call->reference));
	if (work->shard->shards->options.dev && traceback.bytes > 0) {
		json_write_key(&writer, slice_from_text("traceback"));
		json_write_string(&writer, traceback);
	}
	json_write_object_end(&writer);
	/* Without memory, or where the text is none: the reference alone leads to it. */
	if (json_writer_finish(&writer))
		buffer_clear(&call->details);
}

static void tell_fault(struct work *work, struct slice message, struct slice traceback)
{
	struct shards *shards = work->shard->shards;
	struct shard_call *call = work->call;
	make_reference(shards, call->reference);
	if (!shards->options.error)
		return;
	struct slice bundle = slice_of(NULL, 0);
	const struct shard *shard = work->shard;
	for (uint32_t i = 0; i < shard->active_count; i++)
		if (shard->actives[i].bundle && work->component &&
		    host_component(shard->actives[i].bundle,
		        host_component_name(work->component)) == work->component)
			bundle = slice_from_text(shard->actives[i].hash);
	struct shard_error error = {.reference = call->reference,
	    .address = call->address,
	    .name = call->name,
	    .bundle = bundle,
	    .message = message,
	    .traceback = traceback,
	    .at_ms = group_time_ms(work->shard->group)};
	shards->options.error(shards->options.arg, &error);
}

/* A handler, or what it is fed with, is broken: held, as every answer that says something of a
 * state. */
void work_fault(struct work *work, struct slice message, struct slice traceback)
{
	tell_fault(work, message, traceback);
	work_say(work, STATUS_INTERNAL, "%.*s", (int)message.bytes, (const char *)message.data);
	add_fault_details(work, traceback);
	work_hold(work);
}

void work_fail_with(struct work *work, const struct host_outcome *outcome)
{
	struct shard_call *call = work->call;
	if (outcome->is_fault)
		tell_fault(work, outcome->message, outcome->traceback);
	call->status = outcome->status;
	call->has_reply = false;
	if (buffer_append_slice(&call->reply, outcome->message))
		buffer_clear(&call->reply);
	if (outcome->is_fault)
		add_fault_details(work, outcome->traceback);
	else if (buffer_append_slice(&call->details, outcome->details))
		buffer_clear(&call->details);
	work_hold(work);
}

/* ---- Long ones ---- */

/* Half of the figure is the last two or three calls. */
enum { RUNS_AVERAGED = 4 };

bool handler_is_long(const struct handler_figure *figure)
{
	return figure->run_ns > HANDLER_SLICE_US * NS_PER_US;
}

static void note_run(struct work *work, uint64_t run_ns)
{
	if (work->figure)
		work->figure->run_ns +=
		    run_ns / RUNS_AVERAGED - work->figure->run_ns / RUNS_AVERAGED;
}

/* ---- The outcome ---- */

/* It ran on a state that may yet be lost, so that this is the answer of a read. */
static void could_not_add(struct work *work, int error)
{
	if (error == ERR_FULL)
		work_say(work, STATUS_RESOURCE_EXHAUSTED,
		    "this shard's space for idempotency tokens is full; nothing was changed");
	else if (error == ERR_TOO_LARGE && work->call->token.bytes > 0)
		work_say(work, STATUS_RESOURCE_EXHAUSTED,
		    "the reply, or the change, is too large for a call with an idempotency token; "
		    "nothing was changed");
	else if (error == ERR_TOO_LARGE)
		work_say(work, STATUS_RESOURCE_EXHAUSTED,
		    "the change is too large for one entry; nothing was changed");
	else {
		(void)without_memory(work);
		return;
	}
	work_hold(work);
}

static bool is_dropped(const struct work *work)
{
	struct slice type = host_component_name(work->component);
	return work->incarnation != dropped_incarnation(work->shard, type);
}

static void add_change(struct work *work, const struct host_outcome *outcome)
{
	int error = entry_add(work, outcome);
	if (error) {
		could_not_add(work, error);
		return;
	}
	work->stage = WORK_ADDED;
	work_leave_entity(work);
	work_drop_progress(work);
	work_leave_queue_bytes(work);
}

static void take_failure(struct work *work, const struct host_outcome *outcome)
{
	/* Breaks: a call that failed has changed nothing. */
	if (outcome->change != HOST_UNCHANGED && MUTATION(script_failure_keeps_effects)) {
		work->call->status = outcome->status;
		if (!buffer_append_slice(&work->call->reply, outcome->message))
			add_change(work, outcome);
		return;
	}
	work_fail_with(work, outcome);
}

static void take_outcome(struct work *work)
{
	struct shard_call *call = work->call;
	const struct host_outcome *outcome = host_call_outcome(work->host_call);
	note_run(work, outcome->run_ns);
	if (work->reads_here && !replica_takes(work, outcome))
		return;
	/* What it ran on was dropped meanwhile: its change would be one that nobody sees, and that
	 * purge.c does not expect. */
	if (work->active_seen != work->shard->active_changed && is_dropped(work)) {
		work_again(work);
		return;
	}
	bool makes_entry = outcome->status == STATUS_OK && outcome->change != HOST_UNCHANGED;
	if (outcome->saw_time && !makes_entry && clock_keep(work)) {
		(void)without_memory(work);
		return;
	}
	if (outcome->status != STATUS_OK) {
		take_failure(work, outcome);
		return;
	}
	if (outcome->has_reply && buffer_append_slice(&call->reply, outcome->reply)) {
		buffer_clear(&call->reply);
		(void)without_memory(work);
		return;
	}
	call->status = STATUS_OK;
	call->has_reply = outcome->has_reply;
	if (outcome->change == HOST_UNCHANGED) {
		work_hold(work);
		return;
	}
	/* Breaks: what a query made of its state is nobody's. */
	ASSERT(!host_handler_is_query(work->handler));
	add_change(work, outcome);
}

/* A paused one goes behind all others of its entity. */
static void unlock_entity(struct work *work)
{
	struct list *queue = &work->entity->queue;
	list_remove(&work->queue_link);
	list_push_back(queue, &work->queue_link);
	work_make_ready(CONTAINER_OF(list_first(queue), struct work, queue_link));
}

void work_run(struct work *work)
{
	switch (host_call_run(work->host_call, 0)) {
	case HOST_PAUSED:
		/* Its entity stays locked; others have their turn. */
		list_push_back(&work->shard->shards->paused, &work->link);
		if (MUTATION(shard_pause_unlocks))
			unlock_entity(work);
		return;
	case HOST_WAITS:
		job_wait(work);
		return;
	case HOST_ENDED:
		take_outcome(work);
		return;
	}
	UNREACHABLE();
}

/* ---- Held ---- */

bool work_is_confirmed(const struct work *work)
{
	const struct shard *shard = work->shard;
	return work->round <= group_confirmed(shard->group) ||
	       work->confirmed_by <= shard->applied_number;
}

void work_hold(struct work *work)
{
	struct shard *shard = work->shard;
	const struct entity *entity = work->entity;
	/* What it saw is committed, and it knew enough before it looked. */
	if (work->reads_here) {
		aside_overtake(work);
		work_finish(work);
		return;
	}
	/* One that was refused before it looked may stand beside what the type had before it was
	 * dropped, and has seen nothing of what is there now. */
	bool looked = entity && entity->known && entity->incarnation == work->incarnation;
	work->seen_revision = looked ? entity->head.revision : 0;
	work_leave_entity(work);
	work_drop_progress(work);
	work_leave_queue_bytes(work);
	work->stage = WORK_HELD;
	shard->shards->figures.held++;
	/* Breaks: what failed says something about the state, too, which may yet be lost. */
	bool failed_escapes = work->call->status != STATUS_OK && MUTATION(shard_failure_not_held);
	if (failed_escapes) {
		work_finish(work);
		return;
	}
	/* What it saw is committed, and there may be newer elsewhere: it allows that. */
	if (work->seen <= shard->applied_number && replica_is_new_enough(work)) {
		shard->shards->figures.stale_reads++;
		work_finish(work);
		return;
	}
	work->round = group_confirm(shard->group);
	work->confirmed_by = shard->open ? shard->open->number : shard->entry_number + 1;
	if (work->seen > shard->applied_number && !MUTATION(shard_read_not_held)) {
		struct entry *entry = entry_find(shard, work->seen);
		ASSERT(entry != NULL);
		list_push_back(&entry->reads, &work->link);
		return;
	}
	if (work_is_confirmed(work) || MUTATION(shard_read_without_confirmation))
		work_finish(work);
	else
		list_push_back(&shard->confirming, &work->link);
}
