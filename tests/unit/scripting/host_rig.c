#include "tests/unit/scripting/host_rig.h"

#include "base/limits.h"
#include "base/wire/transcode.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void take_log(void *arg, int level, struct slice address, struct slice text)
{
	struct rig *rig = arg;
	if (buffer_append_format(&rig->log, "%d %.*s %.*s\n", level, (int)address.bytes,
	        (const char *)address.data, (int)text.bytes, (const char *)text.data))
		abort();
}

void rig_open(struct rig *rig, enum host_mode mode)
{
	memset(rig, 0, sizeof(*rig));
	buffer_init(&rig->log, 1 << 20);
	rig->mode = mode;
	rig->now_ms = 1000;
	rig->caller_kind = "client";
	struct host_options options = {.mode = mode, .seed = 7, .log = take_log, .log_arg = rig};
	ck_assert_int_eq(host_new(&options, &rig->host), 0);
}

static void forget_events(struct rig_entity *entity)
{
	for (size_t i = 0; i < entity->event_count; i++)
		buffer_done(&entity->events[i].data);
	entity->event_count = 0;
}

void rig_close(struct rig *rig)
{
	host_bundle_release(rig->bundle);
	host_free(rig->host);
	host_diagnostics_free(&rig->diagnostics);
	for (size_t i = 0; i < rig->entity_count; i++) {
		buffer_done(&rig->entities[i].state);
		forget_events(&rig->entities[i]);
		free(rig->entities[i].events);
	}
	buffer_done(&rig->log);
}

static void pack_list(struct buffer *bundle, va_list arguments)
{
	struct host_file files[32];
	size_t count = 0;
	const char *path;
	while ((path = va_arg(arguments, const char *)) != NULL)
		files[count++] = (struct host_file){
		    slice_from_text(path), slice_from_text(va_arg(arguments, const char *))};
	ck_assert_int_eq(host_bundle_pack(files, count, bundle), 0);
}

void rig_pack(struct buffer *bundle, ...)
{
	va_list arguments;
	va_start(arguments, bundle);
	pack_list(bundle, arguments);
	va_end(arguments);
}

static int load_bytes(struct rig *rig, struct buffer *bytes)
{
	struct host_bundle *bundle;
	host_diagnostics_free(&rig->diagnostics);
	int error = host_load(rig->host, buffer_view(bytes), &rig->diagnostics, &bundle);
	if (!error) {
		host_bundle_release(rig->bundle);
		rig->bundle = bundle;
	}
	return error;
}

int rig_load(struct rig *rig, ...)
{
	struct buffer bytes;
	buffer_init(&bytes, BUNDLE_BYTES_MAX);
	va_list arguments;
	va_start(arguments, rig);
	pack_list(&bytes, arguments);
	va_end(arguments);
	int error = load_bytes(rig, &bytes);
	buffer_done(&bytes);
	return error;
}

int rig_load_one(struct rig *rig, const char *main_source)
{
	return rig_load(rig, "app.lua", "return { name = 'shop', require 'main' }", "main.lua",
	    main_source, NULL);
}

bool rig_told(const struct rig *rig, enum host_severity severity, const char *file, uint32_t line,
    const char *text)
{
	for (size_t i = 0; i < rig->diagnostics.count; i++) {
		const struct host_diagnostic *item = &rig->diagnostics.items[i];
		if (item->severity == severity && strcmp(item->file, file) == 0 &&
		    (line == 0 || item->line == line) && strstr(item->text, text))
			return true;
	}
	rig_print(rig);
	return false;
}

void rig_print(const struct rig *rig)
{
	for (size_t i = 0; i < rig->diagnostics.count; i++) {
		const struct host_diagnostic *item = &rig->diagnostics.items[i];
		printf("  %s %s:%u: %s\n", item->severity == HOST_ERROR ? "error" : "warning",
		    item->file, item->line, item->text);
	}
}

struct rig_entity *rig_entity(struct rig *rig, const char *address)
{
	for (size_t i = 0; i < rig->entity_count; i++) {
		if (strcmp(rig->entities[i].address, address) == 0)
			return &rig->entities[i];
	}
	ck_assert_uint_lt(rig->entity_count, RIG_ENTITIES);
	struct rig_entity *entity = &rig->entities[rig->entity_count++];
	snprintf(entity->address, sizeof(entity->address), "%s", address);
	buffer_init(&entity->state, STATE_BYTES_MAX);
	entity->events = calloc(RIG_EVENTS, sizeof(*entity->events));
	return entity;
}

static void copy_text(struct slice from, char *to, size_t bytes)
{
	size_t copied = from.bytes < bytes - 1 ? from.bytes : bytes - 1;
	if (copied)
		memcpy(to, from.data, copied);
	to[copied] = 0;
}

static void keep_events(struct rig_entity *entity, const struct host_outcome *outcome)
{
	for (size_t i = 0; i < outcome->event_count; i++) {
		const struct host_event *event = &outcome->events[i];
		ck_assert_uint_lt(entity->event_count, RIG_EVENTS);
		struct rig_event *kept = &entity->events[entity->event_count++];
		copy_text(event->name, kept->name, sizeof(kept->name));
		kept->version = event->version;
		kept->at_ms = event->at_ms;
		kept->revision = event->revision;
		ck_assert_uint_eq(event->revision, entity->revision + i + 1);
		buffer_init(&kept->data, 1 << 20);
		ck_assert_int_eq(buffer_append_slice(&kept->data, event->data), 0);
	}
}

static void keep_change(struct rig_entity *entity, const struct host_outcome *outcome)
{
	switch (outcome->change) {
	case HOST_UNCHANGED:
		ck_assert_uint_eq(outcome->revision, entity->revision);
		return;
	case HOST_UPDATED:
	case HOST_EMITTED:
		keep_events(entity, outcome);
		entity->exists = true;
		entity->has_state = outcome->has_state;
		entity->state_version = outcome->state_version;
		buffer_clear(&entity->state);
		ck_assert_int_eq(buffer_append_slice(&entity->state, outcome->state), 0);
		break;
	case HOST_DELETED:
		entity->exists = entity->has_state = false;
		buffer_clear(&entity->state);
		forget_events(entity);
		break;
	}
	entity->revision = outcome->revision;
}

static void keep_outcome(struct rig *rig, const struct host_outcome *outcome)
{
	rig->status = outcome->status;
	rig->change = outcome->change;
	rig->has_reply = outcome->has_reply;
	rig->is_fault = outcome->is_fault;
	rig->saw_time = outcome->saw_time;
	rig->revision = outcome->revision;
	rig->event_count = outcome->event_count;
	copy_text(outcome->reply, rig->reply, sizeof(rig->reply));
	copy_text(outcome->message, rig->message, sizeof(rig->message));
	copy_text(outcome->details, rig->details, sizeof(rig->details));
	copy_text(outcome->traceback, rig->traceback, sizeof(rig->traceback));
	if (!outcome->has_reply)
		copy_text(slice_from_text("nothing"), rig->reply, sizeof(rig->reply));
}

static void run(struct rig *rig, struct host_call *call)
{
	rig->pauses = 0;
	while (host_call_run(call, rig->slice_us) != HOST_ENDED)
		rig->pauses++;
	keep_outcome(rig, host_call_outcome(call));
}

static struct host_entity view_entity(const struct rig_entity *entity)
{
	return (struct host_entity){.exists = entity->exists,
	    .has_state = entity->has_state,
	    .state_version = entity->state_version,
	    .revision = entity->revision,
	    .state = buffer_view(&entity->state)};
}

static struct host_component *component_of(struct rig *rig, const char *address)
{
	const char *slash = strchr(address, '/');
	struct host_component *component =
	    host_component(rig->bundle, slice_of(address, (size_t)(slash - address)));
	ck_assert_ptr_nonnull(component);
	return component;
}

const char *rig_call(struct rig *rig, const char *address, const char *handler, const char *payload)
{
	struct rig_entity *entity = rig_entity(rig, address);
	struct host_component *component = component_of(rig, address);
	struct slice role = slice_from_text(rig->role ? rig->role : "");
	struct host_request request = {.component = component,
	    .handler = host_handler(component, slice_from_text(handler)),
	    .address = slice_from_text(address),
	    .entity = view_entity(entity),
	    .has_payload = payload != NULL,
	    .payload = slice_from_text(payload ? payload : ""),
	    .now_ms = rig->now_ms,
	    .caller = {.kind = slice_from_text(rig->caller_kind),
	        .name = slice_from_text("ada"),
	        .roles = &role,
	        .role_count = rig->role ? 1 : 0}};
	ck_assert_ptr_nonnull(request.handler);
	struct host_call *call;
	ck_assert_int_eq(host_call_begin(rig->host, &request, &call), 0);
	run(rig, call);
	if (rig->status == STATUS_OK)
		keep_change(entity, host_call_outcome(call));
	host_call_end(call);
	return rig->status == STATUS_OK ? rig->reply : NULL;
}

struct fold_source {
	const struct rig_entity *entity;
	size_t at;
};

static bool next_event(void *arg, struct host_event *ret_event)
{
	struct fold_source *source = arg;
	if (source->at == source->entity->event_count)
		return false;
	const struct rig_event *event = &source->entity->events[source->at++];
	*ret_event = (struct host_event){.name = slice_from_text(event->name),
	    .version = event->version,
	    .at_ms = event->at_ms,
	    .revision = event->revision,
	    .data = buffer_view(&event->data)};
	return true;
}

static const char *to_json(struct rig *rig, bool has_state, struct slice state)
{
	if (!has_state)
		return "nothing";
	struct buffer json;
	buffer_init(&json, REPLY_BYTES_MAX);
	ck_assert_int_eq(transcode_json_from_msgpack(state, &json), 0);
	copy_text(buffer_view(&json), rig->reply, sizeof(rig->reply));
	buffer_done(&json);
	return rig->reply;
}

const char *rig_fold(struct rig *rig, const char *address)
{
	struct rig_entity *entity = rig_entity(rig, address);
	struct fold_source source = {entity, 0};
	struct host_fold fold = {.component = component_of(rig, address),
	    .address = slice_from_text(address),
	    .entity = {.exists = entity->exists, .revision = entity->revision},
	    .next = next_event,
	    .arg = &source};
	struct host_call *call;
	ck_assert_int_eq(host_fold_begin(rig->host, &fold, &call), 0);
	run(rig, call);
	const struct host_outcome *outcome = host_call_outcome(call);
	const char *json =
	    outcome->status == STATUS_OK ? to_json(rig, outcome->has_state, outcome->state) : NULL;
	host_call_end(call);
	return json;
}

const char *rig_state(struct rig *rig, const char *address)
{
	struct rig_entity *entity = rig_entity(rig, address);
	return to_json(rig, entity->has_state, buffer_view(&entity->state));
}
