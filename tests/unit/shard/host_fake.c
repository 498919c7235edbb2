#include "tests/unit/shard/host_fake.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/wire/msgpack.h"
#include "scripting/host.h"

enum {
	REPLY_MAX = 2048,
	BIG_BYTES = 100 * 1024,
	EVENTS_MAX = 3,
	STATE_MAX = 1024,
	WIDE_KIB_MAX = 4 * 1024,
	CHANGE_BYTES_MAX = 16 * 1024
};

/* clang-format off */
enum action { ADD, SLOW, MANY, FAIL, NOOP, BROKEN, DELETE, BIG, SECRET, GET, LATE, NOW, LOOK, HASH,
	WIDE, ACTIONS };
/* clang-format on */
static const char *const action_names[ACTIONS] = {"add", "slow", "many", "fail", "noop", "broken",
    "delete", "big", "secret", "get", "late", "now", "look", "hash", "wide"};
static const char *const component_names[] = {"account", "counter"};

struct host_handler {
	enum action action;
	size_t number;
};

struct host_component {
	struct host_bundle *bundle;
	enum host_kind kind;
	struct host_handler handlers[ACTIONS];
};

struct host_bundle {
	struct host *host;
	struct list_node link;
	unsigned references;
	char app[NAME_BYTES_MAX + 1];
	unsigned version;
	size_t count;
	char hash[HOST_HASH_CHARACTERS + 1];
	struct host_component components[2];
};

struct host {
	struct list bundles;
	unsigned calls, jobs;
};

struct host_job {
	bool done;
};

struct host_call {
	struct host *host;
	bool is_fold;
	struct host_request request;
	struct host_fold fold;
	unsigned slices;
	struct host_job *job;
	struct host_fake_view view;
	struct host_outcome outcome;
	struct host_event events[EVENTS_MAX];
	uint8_t event_data[EVENTS_MAX][16];
	uint8_t state[STATE_MAX];
	char reply[REPLY_MAX];
};

static const uint8_t big_reply[BIG_BYTES];
/* Of which a byte is six of JSON. */
static uint8_t wide_state[5 + WIDE_KIB_MAX * 1024];
static uint64_t change_bytes_max = CHANGE_BYTES_MAX;

void host_fake_set_change_bytes_max(uint64_t bytes)
{
	change_bytes_max = bytes ? bytes : CHANGE_BYTES_MAX;
}

static unsigned jobs_most;

unsigned host_fake_jobs_most(void)
{
	return jobs_most;
}

static bool shows_version;

void host_fake_show_version(bool shows)
{
	shows_version = shows;
}

static uint32_t history;

void host_fake_set_history(uint32_t count)
{
	history = count;
}

/* ---- Bundles ---- */

int host_new(const struct host_options *options, struct host **ret_host)
{
	(void)options;
	struct host *host = mem_zalloc(1, sizeof(*host));
	if (!host)
		return ERR_NOMEM;
	list_init(&host->bundles);
	*ret_host = host;
	return 0;
}

void host_free(struct host *host)
{
	if (!host)
		return;
	ASSERT(host->calls == 0);
	struct list_node *node;
	while ((node = list_pop_front(&host->bundles)))
		mem_free(CONTAINER_OF(node, struct host_bundle, link));
	mem_free(host);
}

void host_bundle_hash(struct slice bundle, char ret_hash[HOST_HASH_CHARACTERS + 1])
{
	struct hash128 hash = hash128_bytes(bundle, 0);
	snprintf(
	    ret_hash, HOST_HASH_CHARACTERS + 1, "%016" PRIx64 "%016" PRIx64, hash.high, hash.low);
}

static bool has_component(const struct host_bundle *bundle, const char *only, const char *name)
{
	if (only[0] != '\0')
		return strcmp(only, name) == 0;
	return bundle->version != HOST_FAKE_FEWER || strcmp(name, "account") == 0;
}

int host_load(struct host *host, struct slice bytes, struct host_diagnostics *diagnostics,
    struct host_bundle **ret_bundle)
{
	char text[128] = "";
	char hash[HOST_HASH_CHARACTERS + 1];
	(void)diagnostics;
	host_bundle_hash(bytes, hash);
	LIST_FOR_EACH(node, &host->bundles)
	{
		struct host_bundle *known = CONTAINER_OF(node, struct host_bundle, link);
		if (strcmp(known->hash, hash) == 0) {
			known->references++;
			*ret_bundle = known;
			return 0;
		}
	}
	struct host_bundle *bundle = mem_zalloc(1, sizeof(*bundle));
	if (!bundle)
		return ERR_NOMEM;
	memcpy(text, bytes.data, bytes.bytes < sizeof(text) ? bytes.bytes : sizeof(text) - 1);
	char only[NAME_BYTES_MAX + 1] = "";
	if (sscanf(text, "fake:%64[a-z]:%u:%64[a-z]", bundle->app, &bundle->version, only) < 2) {
		mem_free(bundle);
		return ERR_INVALID;
	}
	memcpy(bundle->hash, hash, sizeof(hash));
	bundle->references = 1;
	bundle->host = host;
	for (size_t i = 0; i < 2; i++) {
		if (!has_component(bundle, only, component_names[i]))
			continue;
		struct host_component *component = &bundle->components[bundle->count++];
		component->bundle = bundle;
		component->kind = i == 0 ? HOST_EVENT_SOURCED_ENTITY : HOST_VALUE_ENTITY;
		for (size_t k = 0; k < ACTIONS; k++)
			component->handlers[k] =
			    (struct host_handler){.action = (enum action)k, .number = k};
	}
	list_node_init(&bundle->link);
	list_push_back(&host->bundles, &bundle->link);
	*ret_bundle = bundle;
	return 0;
}

void host_bundle_keep(struct host_bundle *bundle)
{
	bundle->references++;
}

void host_bundle_release(struct host_bundle *bundle)
{
	if (!bundle || --bundle->references > 0)
		return;
	list_remove(&bundle->link);
	mem_free(bundle);
}

struct slice host_bundle_app(const struct host_bundle *bundle)
{
	return slice_from_text(bundle->app);
}

const char *host_bundle_hash_text(const struct host_bundle *bundle)
{
	return bundle->hash;
}

/* ---- Components and handlers ---- */

static bool is_named(struct slice name, const char *text)
{
	return slice_equal(name, slice_from_text(text));
}

size_t host_component_count(const struct host_bundle *bundle)
{
	return bundle->count;
}

struct host_component *host_component(struct host_bundle *bundle, struct slice name)
{
	for (size_t i = 0; i < bundle->count; i++)
		if (slice_equal(name, host_component_name(&bundle->components[i])))
			return &bundle->components[i];
	return NULL;
}

struct host_component *host_component_at(struct host_bundle *bundle, size_t position)
{
	return &bundle->components[position];
}

struct slice host_component_name(const struct host_component *component)
{
	return slice_from_text(component_names[component->kind == HOST_VALUE_ENTITY]);
}

enum host_kind host_component_kind(const struct host_component *component)
{
	return component->kind;
}

uint32_t host_component_version(const struct host_component *component)
{
	(void)component;
	return 1;
}

uint32_t host_component_snapshot_every(const struct host_component *component)
{
	(void)component;
	return HOST_FAKE_SNAPSHOT_EVERY;
}

uint32_t host_component_history(const struct host_component *component)
{
	return component->kind == HOST_VALUE_ENTITY ? history : 0;
}

bool host_component_reads_version(const struct host_component *component, uint32_t state_version)
{
	(void)component;
	return state_version == 1;
}

uint64_t host_component_fold_hash(const struct host_component *component)
{
	return component->bundle->version;
}

int host_component_list(const struct host_component *component, struct buffer *out)
{
	return buffer_append_format(
	    out, "{\"name\":\"%s\"}", component_names[component->kind == HOST_VALUE_ENTITY]);
}

struct host_handler *host_handler(struct host_component *component, struct slice name)
{
	for (size_t i = 0; i < ACTIONS; i++)
		if (is_named(name, action_names[i]) &&
		    !(i == MANY && component->bundle->version == HOST_FAKE_FEWER))
			return &component->handlers[i];
	return NULL;
}

struct slice host_handler_name(const struct host_handler *handler)
{
	return slice_from_text(action_names[handler->action]);
}

bool host_handler_is_query(const struct host_handler *handler)
{
	return handler->action == GET || handler->action == NOW;
}

bool host_handler_internal(const struct host_handler *handler)
{
	return handler->action == SECRET;
}

size_t host_handler_number(const struct host_handler *handler)
{
	return handler->number;
}

size_t host_handler_count(const struct host_component *component)
{
	(void)component;
	return ACTIONS;
}

struct host_handler *host_handler_at(struct host_component *component, size_t position)
{
	return &component->handlers[position];
}

int host_explain_unknown(
    const struct host_component *component, struct slice name, struct buffer *out)
{
	return buffer_append_format(out, "%s has no command '%.*s'",
	    component_names[component->kind == HOST_VALUE_ENTITY], (int)name.bytes,
	    (const char *)name.data);
}

uint64_t host_component_change_bytes_max(const struct host_component *component)
{
	(void)component;
	return change_bytes_max;
}

/* ---- States: a MessagePack array of ids ---- */

static void add_id(struct host_fake_view *view, uint64_t id)
{
	if (view->count == HOST_FAKE_IDS) {
		memmove(view->ids, view->ids + 1, sizeof(view->ids) - sizeof(view->ids[0]));
		view->count--;
	}
	view->ids[view->count++] = id;
}

static void read_state(struct slice state, struct host_fake_view *view)
{
	struct msgpack_reader in;
	struct msgpack_value value;
	msgpack_reader_init(&in, state, false, 1);
	int error = msgpack_next(&in, &value);
	if (!error && value.type == MSGPACK_STRING)
		return;
	ASSERT(!error && value.type == MSGPACK_ARRAY && value.count <= HOST_FAKE_IDS);
	for (uint32_t left = value.count; left > 0; left--) {
		error = msgpack_next(&in, &value);
		ASSERT(!error && value.type == MSGPACK_INTEGER);
		add_id(view, (uint64_t)value.integer);
	}
}

/* Without memory of its own: a test that takes memory away is not about this. */
static size_t encode(uint8_t *to, size_t bytes_max, const struct host_fake_view *view, bool single)
{
	struct writer out = writer_of(to, bytes_max);
	if (!single) {
		writer_u8(&out, 0xdc);
		writer_u16be(&out, (uint16_t)view->count);
	}
	for (size_t i = 0; i < view->count; i++) {
		writer_u8(&out, 0xd3);
		writer_u64be(&out, view->ids[i]);
	}
	ASSERT(!out.failed);
	return writer_used(&out);
}

bool host_fake_parse(struct slice text, struct host_fake_view *ret_view)
{
	char copy[4096];
	if (text.bytes == 0 || text.bytes >= sizeof(copy))
		return false;
	memcpy(copy, text.data, text.bytes);
	copy[text.bytes] = '\0';
	char *at;
	memset(ret_view, 0, sizeof(*ret_view));
	ret_view->revision = strtoull(copy, &at, 10);
	if (at == copy || *at != ':')
		return false;
	while (at[1] != '\0') {
		char *before = at + 1;
		uint64_t id = strtoull(before, &at, 10);
		if (at == before || (*at != ',' && *at != '\0'))
			return false;
		add_id(ret_view, id);
		if (*at == '\0')
			break;
	}
	return true;
}

/* ---- Calls ---- */

int host_call_begin(
    struct host *host, const struct host_request *request, struct host_call **ret_call)
{
	struct host_call *call = mem_alloc(sizeof(*call));
	if (!call)
		return ERR_NOMEM;
	memset(call, 0, offsetof(struct host_call, reply));
	call->host = host;
	call->request = *request;
	host_bundle_keep(request->component->bundle);
	host->calls++;
	*ret_call = call;
	return 0;
}

int host_fold_begin(struct host *host, const struct host_fold *fold, struct host_call **ret_call)
{
	struct host_call *call = mem_alloc(sizeof(*call));
	if (!call)
		return ERR_NOMEM;
	memset(call, 0, offsetof(struct host_call, reply));
	call->host = host;
	call->is_fold = true;
	call->fold = *fold;
	host_bundle_keep(fold->component->bundle);
	host->calls++;
	*ret_call = call;
	return 0;
}

static void give_state(struct host_call *call)
{
	call->outcome.has_state = true;
	call->outcome.state_version = 1;
	call->outcome.state =
	    slice_of(call->state, encode(call->state, sizeof(call->state), &call->view, false));
}

static void run_fold(struct host_call *call)
{
	struct host_event event;
	if (call->fold.entity.has_state)
		read_state(call->fold.entity.state, &call->view);
	while (call->fold.next(call->fold.arg, &event)) {
		struct msgpack_reader in;
		struct msgpack_value value;
		msgpack_reader_init(&in, event.data, false, 0);
		int error = msgpack_next(&in, &value);
		ASSERT(!error && value.type == MSGPACK_INTEGER);
		add_id(&call->view, (uint64_t)value.integer);
	}
	give_state(call);
}

static void write_reply(struct host_call *call, uint64_t revision)
{
	size_t at = (size_t)snprintf(call->reply, REPLY_MAX, "%" PRIu64 ":", revision);
	for (size_t i = 0; i < call->view.count; i++)
		at += (size_t)snprintf(call->reply + at, REPLY_MAX - at, "%s%" PRIu64,
		    i > 0 ? "," : "", call->view.ids[i]);
	if (shows_version)
		at += (size_t)snprintf(call->reply + at, REPLY_MAX - at, "@%u",
		    call->request.component->bundle->version);
	ASSERT(at < REPLY_MAX);
	call->outcome.has_reply = true;
	call->outcome.reply = slice_of(call->reply, at);
}

static void change(struct host_call *call, uint64_t id, unsigned count)
{
	const struct host_request *request = &call->request;
	bool events = request->component->kind == HOST_EVENT_SOURCED_ENTITY;
	if (!events)
		count = 1;
	for (unsigned i = 0; i < count; i++) {
		struct host_fake_view one = {.count = 1, .ids = {id + i}};
		add_id(&call->view, id + i);
		call->events[i] = (struct host_event){.name = slice_from_text("did"),
		    .version = 1,
		    .at_ms = request->now_ms,
		    .revision = request->entity.revision + 1 + i,
		    .data = slice_of(call->event_data[i],
		        encode(call->event_data[i], sizeof(call->event_data[i]), &one, true))};
	}
	call->outcome.change = events ? HOST_EMITTED : HOST_UPDATED;
	call->outcome.events = events ? call->events : NULL;
	call->outcome.event_count = events ? count : 0;
	call->outcome.revision = request->entity.revision + count;
	give_state(call);
	write_reply(call, call->outcome.revision);
}

static void fail(struct host_call *call, enum status status, struct slice message)
{
	call->outcome = (struct host_outcome){.status = status, .message = message};
}

static void run_handler(struct host_call *call)
{
	const struct host_request *request = &call->request;
	char text[32] = "";
	size_t bytes = request->payload.bytes < sizeof(text) ? request->payload.bytes : 0;
	if (bytes > 0)
		memcpy(text, request->payload.data, bytes);
	uint64_t id = strtoull(text, NULL, 10);
	if (request->entity.has_state)
		read_state(request->entity.state, &call->view);
	call->outcome.revision = request->entity.revision;
	switch (request->handler->action) {
	case ADD:
	case SLOW:
	case HASH:
	case SECRET:
		change(call, id, 1);
		return;
	case MANY:
		change(call, id, EVENTS_MAX);
		return;
	case FAIL:
		write_reply(call, request->entity.revision);
		fail(call, STATUS_FAILED_PRECONDITION, call->outcome.reply);
		return;
	case NOOP:
	case GET:
	case LATE:
		write_reply(call, request->entity.revision);
		return;
	case NOW:
	case LOOK:
		call->outcome.saw_time = true;
		call->outcome.run_ns = request->handler->action == LOOK ? HOST_FAKE_LONG_NS : 0;
		call->outcome.has_reply = true;
		call->outcome.reply = slice_of(call->reply,
		    (size_t)snprintf(call->reply, REPLY_MAX, "%" PRId64, request->now_ms));
		return;
	case BROKEN:
		fail(call, STATUS_INTERNAL, slice_from_text("attempt to index a nil value"));
		call->outcome.is_fault = true;
		call->outcome.traceback = slice_from_text("counter.lua:7: in handler 'broken'");
		return;
	case DELETE:
		call->view.count = 0;
		call->outcome.change = HOST_DELETED;
		call->outcome.revision = request->entity.revision + 1;
		write_reply(call, call->outcome.revision);
		return;
	case BIG:
		change(call, id, 1);
		call->outcome.reply = slice_of(big_reply, BIG_BYTES);
		return;
	case WIDE:
		change(call, id, 1);
		ASSERT(id <= WIDE_KIB_MAX);
		struct writer out = writer_of(wide_state, sizeof(wide_state));
		writer_u8(&out, 0xdb);
		writer_u32be(&out, (uint32_t)id * 1024);
		call->outcome.state = slice_of(wide_state, 5 + id * 1024);
		return;
	case ACTIONS:
		break;
	}
	UNREACHABLE();
}

enum host_progress host_call_run(struct host_call *call, uint32_t slice_us)
{
	(void)slice_us;
	if (call->is_fold) {
		/* A fold has slices, too. */
		if (call->slices++ == 0)
			return HOST_PAUSED;
		run_fold(call);
		return HOST_ENDED;
	}
	enum action action = call->request.handler->action;
	if (action == HASH && !call->job) {
		call->job = mem_zalloc(1, sizeof(*call->job));
		ASSERT(call->job != NULL);
		return HOST_WAITS;
	}
	if (action == HASH)
		ASSERT(call->job->done);
	if ((action == SLOW || action == LATE) && call->slices++ < HOST_FAKE_SLICES)
		return HOST_PAUSED;
	run_handler(call);
	return HOST_ENDED;
}

struct host_job *host_call_take_job(struct host_call *call)
{
	struct host_job *job = call->job;
	ASSERT(job && !job->done);
	call->job = NULL;
	if (++call->host->jobs > jobs_most)
		jobs_most = call->host->jobs;
	return job;
}

void host_job_run(struct host_job *job)
{
	ASSERT(!job->done);
	job->done = true;
}

void host_call_give_job(struct host_call *call, struct host_job *job)
{
	ASSERT(!call->job && job->done);
	call->job = job;
	call->host->jobs--;
}

void host_job_free(struct host_job *job)
{
	mem_free(job);
}

const struct host_outcome *host_call_outcome(const struct host_call *call)
{
	return &call->outcome;
}

void host_call_end(struct host_call *call)
{
	if (!call)
		return;
	struct host_bundle *bundle =
	    call->is_fold ? call->fold.component->bundle : call->request.component->bundle;
	call->host->calls--;
	host_job_free(call->job);
	mem_free(call);
	host_bundle_release(bundle);
}

bool host_idle(struct host *host)
{
	(void)host;
	return false;
}
