/* The end of a call: the repetition of its folds in dev mode, and its outcome. */
#include "base/array.h"
#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/mutation.h"
#include "base/wire/utf8.h"
#include "scripting/call.h"

#include <stdio.h>

size_t call_events_end(const struct host_call *call)
{
	if (call->emitted_count == 0)
		return 0;
	const struct call_event *last = &call->emitted[call->emitted_count - 1];
	return last->offset + last->bytes;
}

struct call_event *call_add_event(struct host_call *call, struct lua_State *lua)
{
	if (array_reserve(&call->emitted, &call->emitted_capacity, call->emitted_count + 1,
	        sizeof(*call->emitted)))
		sandbox_abort(lua, STATUS_RESOURCE_EXHAUSTED, "ran out of memory");
	return &call->emitted[call->emitted_count];
}

struct host_event call_emitted(const struct host_call *call, size_t number)
{
	const struct call_event *event = &call->emitted[number];
	return (struct host_event){.name = slice_from_text(event->type->name),
	    .version = event->version,
	    .at_ms = event->at_ms,
	    .revision = event->revision,
	    .data = slice_of(buffer_view(&call->event_data).data + event->offset, event->bytes)};
}

/* ---- The repetition ---- */

/* Large histories are folded in chunks; what does not fit the buffer is not repeated. */
void call_record_stored(struct host_call *call, struct lua_State *lua)
{
	size_t offset = call_events_end(call);
	if (call->emitted_count != call->at)
		return;
	buffer_truncate(&call->event_data, offset);
	if (buffer_append_slice(&call->event_data, call->stored.data))
		return;
	*call_add_event(call, lua) = (struct call_event){.type = call->event,
	    .version = call->stored.version,
	    .at_ms = call->stored.at_ms,
	    .revision = call->stored.revision,
	    .offset = offset,
	    .bytes = call->stored.data.bytes};
	call->emitted_count++;
}

struct repetition {
	const struct host_call *call;
	size_t at;
};

static bool next_recorded(void *arg, struct host_event *ret_event)
{
	struct repetition *repetition = arg;
	if (repetition->at == repetition->call->emitted_count)
		return false;
	*ret_event = call_emitted(repetition->call, repetition->at++);
	return true;
}

enum verdict { SAME, DIFFERENT, NOT_KNOWN };

/* Folds again what the call has folded. */
static enum verdict repeat(
    const struct host_call *call, struct host_bundle *shadow, bool has_state, struct slice state)
{
	struct repetition repetition = {call, 0};
	struct host_fold fold = {
	    .component = host_component(shadow, slice_from_text(call->component->name)),
	    .address = call->handler ? call->request.address : call->fold.address,
	    .entity = call->entity,
	    .next = next_recorded,
	    .arg = &repetition};
	struct host_call *again;
	if (host_fold_begin(shadow->host, &fold, &again))
		return NOT_KNOWN;
	while (host_call_run(again, UINT32_MAX) == HOST_PAUSED) {
	}
	const struct host_outcome *outcome = host_call_outcome(again);
	bool same = outcome->status == STATUS_OK && outcome->has_state == has_state &&
	            (!has_state || slice_equal(outcome->state, state));
	enum verdict verdict = same ? SAME : DIFFERENT;
	if (outcome->status == STATUS_RESOURCE_EXHAUSTED)
		verdict = NOT_KNOWN;
	host_call_end(again);
	return verdict;
}

void call_repeat(struct host_call *call)
{
	struct host_bundle *shadow = call->component->bundle->shadow;
	if (!shadow || call->status != STATUS_OK)
		return;
	enum verdict verdict = SAME;
	struct slice state = buffer_view(&call->state);
	if (!call->handler) {
		if (call->emitted_count == call->at)
			verdict = repeat(call, shadow, call->has_state, state);
	} else if (call->emitted_count) {
		verdict = repeat(call, shadow, call->has_state, state);
	} else if (call->base_was_made && !call->initial) {
		verdict = repeat(call, shadow, call->has_base, call->base);
	}
	if (verdict == SAME)
		return;
	if (verdict == NOT_KNOWN) {
		call_refuse(call, STATUS_RESOURCE_EXHAUSTED,
		    "%s: nothing was left for folding a second time, as dev mode does",
		    call->component->name);
		return;
	}
	call->is_fault = true;
	call_refuse(call, STATUS_INTERNAL,
	    "%s: folding twice gave two states: event handlers, init, migrate, downgrade and "
	    "upcast "
	    "must depend on nothing but their arguments",
	    call->component->name);
}

/* ---- The outcome ---- */

static struct slice view_text(const char *text, size_t bytes_max)
{
	struct slice whole = slice_from_text(text);
	return slice_of(text, utf8_cut(whole, bytes_max));
}

static void make_refusal(struct host_call *call)
{
	struct host_outcome *outcome = &call->outcome;
	outcome->message = view_text(call->message, CALL_MESSAGE_BYTES_MAX);
	outcome->details = buffer_view(&call->details);
	outcome->traceback = view_text(call->traceback, CALL_TRACEBACK_BYTES_MAX);
	outcome->is_fault = call->is_fault;
	outcome->revision = call->entity.revision;
	if (call->is_fault)
		call->owner.host->figures.faults++;
}

/* The emitted events for the outcome. ERR_NOMEM. */
static int make_events(struct host_call *call)
{
	if (call->emitted_count == 0)
		return 0;
	struct host_event *events =
	    mem_realloc(call->events, call->emitted_count * sizeof(*events));
	if (!events)
		return ERR_NOMEM;
	call->events = events;
	for (size_t i = 0; i < call->emitted_count; i++)
		events[i] = call_emitted(call, i);
	call->outcome.events = events;
	call->outcome.event_count = call->emitted_count;
	return 0;
}

static void make_change(struct host_call *call)
{
	struct host_outcome *outcome = &call->outcome;
	outcome->revision = call->entity.revision + call->emitted_count;
	if (call->deleted && (call->entity.exists || call->emitted_count)) {
		outcome->change = HOST_DELETED;
		outcome->revision++;
		return;
	}
	if (call->updated) {
		outcome->change = HOST_UPDATED;
		outcome->revision++;
	} else if (call->emitted_count) {
		outcome->change = HOST_EMITTED;
	} else {
		outcome->change = HOST_UNCHANGED;
		return;
	}
	outcome->has_state = call->has_state;
	outcome->state = buffer_view(&call->state);
	/* Breaks: what is stored is of the version that its schema says. */
	outcome->state_version = call->entity.has_state && MUTATION(script_state_of_old_version)
	                             ? call->entity.state_version
	                             : call->component->version;
}

static void make_folded(struct host_call *call)
{
	struct host_outcome *outcome = &call->outcome;
	call->owner.host->figures.events_folded += call->at;
	outcome->change = HOST_UNCHANGED;
	outcome->has_state = call->has_state;
	outcome->state = buffer_view(&call->state);
	outcome->state_version = call->component->version;
	outcome->revision = call->entity.revision;
}

void call_make_outcome(struct host_call *call)
{
	struct host_outcome *outcome = &call->outcome;
	*outcome =
	    (struct host_outcome){.instructions = call->instructions, .run_ns = call->run_ns};
	struct host_figures *figures = &call->owner.host->figures;
	figures->instructions += call->instructions;
	figures->run_ns += call->run_ns;
	if (call->status == STATUS_OK && call->handler && make_events(call))
		call_refuse(call, STATUS_RESOURCE_EXHAUSTED, "the server ran out of memory");
	outcome->status = call->status;
	outcome->saw_time = call->saw_time;
	if (call->status != STATUS_OK) {
		make_refusal(call);
		/* Breaks: see take_failure in server/shard/work_run.c. */
		if (call->updated && MUTATION(script_failure_keeps_effects))
			make_change(call);
	} else if (!call->handler) {
		make_folded(call);
	} else {
		outcome->has_reply = call->has_reply;
		outcome->reply = buffer_view(&call->reply);
		make_change(call);
	}
	if (!outcome->has_reply)
		outcome->reply = slice_of(NULL, 0);
}
