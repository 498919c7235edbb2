/* What operators ask: LIST, GET, HISTORY, ENTITIES, COUNT. All of them are reads and leave by the
 * hold rule; those that walk do so in the pool, over what is applied. */
#include "server/shard/shard_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/wire/json_writer.h"
#include "storage/cursor.h"

enum { COUNT_DEFAULT = 100, COUNT_MAX = 1000, CURSOR_TEXT_BYTES_MAX = 2048 };
#define WALK_BYTES_MAX (4 * MIB)
/* Around the items of an answer: its members, and the cursor with all of it escaped. */
enum { ENVELOPE_BYTES_MAX = 6 * CURSOR_TEXT_BYTES_MAX + 64 };
/* Entities that are counted before others may have the thread. */
enum { COUNT_PIECE = 4096 };

/* HISTORY, ENTITIES, COUNT, or GET of a past state of a value entity. The work's call is not
 * touched by the pool: what it needs stands here. */
struct walk {
	struct io_op op;
	struct work *work;
	struct cursor *cursor;
	bool running;
	int error;
	uint32_t count, count_max;
	enum shard_call_kind kind;
	bool takes_states;             /* a value entity: of what it keeps */
	bool raw;                      /* as it is stored */
	uint64_t from;                 /* HISTORY: the first revision */
	char type[NAME_BYTES_MAX + 1]; /* ENTITIES */
	struct buffer items;           /* JSON values, with commas between; GET: the state */
	struct state_record found;     /* GET, where count is 1; its state stands in `items` */
	uint64_t too_large;            /* the revision that is no JSON of an answer's size */
	bool more;
	struct buffer next; /* where the next one begins */
	uint64_t counted;   /* COUNT: so far */
	uint32_t piece;     /* and heads that were looked at since it was the thread's turn */
	bool ended;         /* all of them were */
};

bool walk_under_way(const struct walk *walk)
{
	return walk && walk->running;
}

void walk_free(struct work *work)
{
	struct walk *walk = work->walk;
	if (!walk || walk->running)
		return;
	cursor_close(walk->cursor);
	buffer_done(&walk->items);
	buffer_done(&walk->next);
	mem_free(walk);
	work->walk = NULL;
}

/* ---- In the pool ---- */

/* Opens the next item of a history, with what all have first. */
static int begin_item(struct walk *walk, int64_t at_ms, struct json_writer *writer)
{
	int error = walk->count > 0 ? buffer_append_u8(&walk->items, ',') : 0;
	if (error)
		return error;
	json_writer_init(writer, &walk->items);
	json_write_object_begin(writer);
	json_write_key(writer, slice_from_text("at"));
	json_write_integer(writer, at_ms);
	return 0;
}

/* A state or an event: as JSON, or as it is stored. */
static int write_stored(struct json_writer *writer, const char *name, struct slice value, bool raw)
{
	json_write_key(writer, slice_from_text(name));
	if (!raw)
		return state_to_json(value, writer);
	json_write_base64(writer, value);
	return 0;
}

/* The last member. */
static void write_version(struct json_writer *writer, uint32_t version, bool raw)
{
	if (!raw)
		return;
	json_write_key(writer, slice_from_text("version"));
	json_write_integer(writer, version);
}

static int add_event(struct walk *walk, const struct host_event *event)
{
	struct json_writer writer;
	int error = begin_item(walk, event->at_ms, &writer);
	if (error)
		return error;
	error = write_stored(&writer, "data", event->data, walk->raw);
	if (error)
		return error;
	json_write_key(&writer, slice_from_text("event"));
	json_write_string(&writer, event->name);
	json_write_key(&writer, slice_from_text("revision"));
	json_write_integer(&writer, (int64_t)event->revision);
	write_version(&writer, event->version, walk->raw);
	json_write_object_end(&writer);
	return json_writer_finish(&writer);
}

static bool is_full(const struct walk *walk)
{
	return walk->count >= walk->count_max || buffer_bytes(&walk->items) >= WALK_BYTES_MAX;
}

static int add_state(struct walk *walk, uint64_t revision, const struct state_record *state)
{
	struct json_writer writer;
	int error = begin_item(walk, state->at_ms, &writer);
	if (error)
		return error;
	if (!state->exists) {
		json_write_key(&writer, slice_from_text("deleted"));
		json_write_boolean(&writer, true);
	}
	json_write_key(&writer, slice_from_text("revision"));
	json_write_integer(&writer, (int64_t)revision);
	if (state->has_state) {
		error = write_stored(&writer, "state", state->state, walk->raw);
		if (error)
			return error;
		write_version(&writer, state->state_version, walk->raw);
	}
	json_write_object_end(&writer);
	return json_writer_finish(&writer);
}

/* What begins at `before` was added, or `error` says why not: alone in the next one it may fit. */
static int added(struct walk *walk, uint64_t revision, size_t before, int error)
{
	if (!error)
		walk->count++;
	if (error != ERR_TOO_LARGE)
		return error;
	buffer_truncate(&walk->items, before);
	if (walk->count == 0) {
		walk->too_large = revision;
		return error;
	}
	walk->more = true;
	return buffer_append_format(&walk->next, "%" PRIu64, revision);
}

static int take_events(struct walk *walk, struct slice value)
{
	struct reader in = reader_of(value);
	struct host_event event;
	int error = 0;
	while (!error && !walk->more && event_record_read(&in, &event)) {
		if (event.revision < walk->from)
			continue;
		if (is_full(walk)) {
			walk->more = true;
			return buffer_append_format(&walk->next, "%" PRIu64, event.revision);
		}
		size_t before = buffer_bytes(&walk->items);
		error = added(walk, event.revision, before, add_event(walk, &event));
	}
	return in.failed ? ERR_CORRUPT : error;
}

static int take_state(struct walk *walk, struct slice key, struct slice value)
{
	struct state_record state;
	uint64_t revision;
	int error = key_state_revision(key, &revision);
	if (!error)
		error = state_record_read(value, &state);
	if (error)
		return error;
	if (walk->kind == SHARD_GET) {
		walk->found = state;
		walk->count = 1;
		return buffer_append_slice(&walk->items, state.state);
	}
	if (is_full(walk)) {
		walk->more = true;
		return buffer_append_format(&walk->next, "%" PRIu64, revision);
	}
	size_t before = buffer_bytes(&walk->items);
	return added(walk, revision, before, add_state(walk, revision, &state));
}

static int take_head(struct walk *walk, struct slice key, struct slice value)
{
	struct slice id;
	struct head head;
	int error = key_head_id(key, &id);
	if (!error)
		error = head_read(value, &head);
	if (error || !head.exists)
		return error;
	if (is_full(walk)) {
		walk->more = true;
		return buffer_append_slice(&walk->next, id);
	}
	uint8_t address[ADDRESS_BYTES_MAX + 1];
	struct writer out = writer_of(address, sizeof(address));
	writer_slice(&out, slice_from_text(walk->type));
	writer_u8(&out, '/');
	writer_slice(&out, id);
	if (out.failed)
		return ERR_CORRUPT;
	if (walk->count > 0 && (error = buffer_append_u8(&walk->items, ',')))
		return error;
	walk->count++;
	struct json_writer writer;
	json_writer_init(&writer, &walk->items);
	json_write_string(&writer, writer_view(&out));
	return json_writer_finish(&writer);
}

static int count_head(struct walk *walk, struct slice value)
{
	struct head head;
	int error = head_read(value, &head);
	if (error)
		return error;
	walk->counted += head.exists;
	walk->more = ++walk->piece == COUNT_PIECE;
	return 0;
}

static int take(struct walk *walk, struct slice key, struct slice value)
{
	if (walk->kind == SHARD_COUNT)
		return count_head(walk, value);
	if (walk->takes_states)
		return take_state(walk, key, value);
	return walk->kind == SHARD_HISTORY ? take_events(walk, value) : take_head(walk, key, value);
}

static void run(struct io_op *op)
{
	struct walk *walk = CONTAINER_OF(op, struct walk, op);
	struct slice key;
	struct slice value;
	int error = 0;
	while (!error && !walk->more) {
		error = cursor_next(walk->cursor, &key, &value);
		if (error)
			break;
		error = take(walk, key, value);
	}
	walk->ended = error == ERR_NOT_FOUND;
	walk->error = walk->ended ? 0 : error;
	op->result = 0;
}

static void ended(struct io_op *op)
{
	struct walk *walk = CONTAINER_OF(op, struct walk, op);
	struct work *work = walk->work;
	struct shards *shards = work->shard->shards;
	walk->running = false;
	if (!work->call)
		work_free_if_idle(work);
	else
		work_make_ready(work);
	shards_deliver(shards);
}

/* ---- Asking ---- */

static void without_memory(struct work *work)
{
	work_fail(work, STATUS_RESOURCE_EXHAUSTED, "the server is out of memory");
}

static int open_range(struct work *work, struct walk *walk)
{
	const struct shard_call *call = work->call;
	struct shard *shard = work->shard;
	struct entity_name name = {.address = call->address, .incarnation = work->incarnation};
	struct key first, end;
	if (walk->kind == SHARD_GET) {
		key_of_state(&first, name, call->at_revision);
		key_of_state(&end, name, call->at_revision + 1);
	} else if (walk->takes_states) {
		key_of_state(&first, name, walk->from);
		key_of_states_end(&end, name);
	} else if (walk->kind == SHARD_HISTORY) {
		key_of_entity(&first, SHARD_KEY_EVENTS, name);
		key_of_events_end(&end, name);
	} else {
		/* Breaks: what was dropped is in no list. */
		uint64_t incarnation = MUTATION(shard_drop_stays_listed) ? 0 : work->incarnation;
		key_of_heads(&first, call->address, incarnation, call->cursor);
		key_of_heads_end(&end, call->address, incarnation);
	}
	return cursor_open(
	    shard->engine, shard->number, key_view(&first), key_view(&end), &walk->cursor);
}

static void go_on(struct walk *walk)
{
	walk->running = true;
	walk->op.done = ended;
	io_offload_bulk(walk->work->shard->shards->io, &walk->op, run);
}

static int start_walk(struct work *work)
{
	const struct shard_call *call = work->call;
	struct walk *walk = mem_zalloc(1, sizeof(*walk));
	if (!walk)
		return ERR_NOMEM;
	walk->work = work;
	walk->kind = call->kind;
	walk->takes_states = call->kind != SHARD_ENTITIES && call->kind != SHARD_COUNT &&
	                     host_component_kind(work->component) == HOST_VALUE_ENTITY;
	walk->raw = call->reply_encoding == HOST_MSGPACK;
	walk->count_max = call->count == 0 ? COUNT_DEFAULT : call->count;
	if (walk->count_max > COUNT_MAX)
		walk->count_max = COUNT_MAX;
	buffer_init(&walk->items, REPLY_BYTES_MAX - ENVELOPE_BYTES_MAX);
	buffer_init(&walk->next, CURSOR_TEXT_BYTES_MAX);
	work->walk = walk;
	if (call->kind == SHARD_HISTORY && call->cursor.bytes > 0) {
		char text[24] = "";
		size_t bytes = call->cursor.bytes < sizeof(text) ? call->cursor.bytes : 0;
		memcpy(text, call->cursor.data, bytes);
		walk->from = strtoull(text, NULL, 10);
	} else if (call->kind == SHARD_ENTITIES) {
		memcpy(walk->type, call->address.data, call->address.bytes);
	}
	int error = open_range(work, walk);
	if (error)
		return error;
	go_on(walk);
	return 0;
}

static int write_walk(struct work *work)
{
	const struct walk *walk = work->walk;
	struct buffer *reply = &work->call->reply;
	const char *name = walk->kind == SHARD_HISTORY ? "entries" : "addresses";
	struct json_writer writer;
	int error;
	json_writer_init(&writer, reply);
	json_write_object_begin(&writer);
	if (walk->kind == SHARD_ENTITIES) {
		json_write_key(&writer, slice_from_text(name));
		json_write_array_begin(&writer);
		if (walk->count > 0)
			json_write_raw(&writer, buffer_view(&walk->items));
		json_write_array_end(&writer);
	}
	if (walk->more) {
		json_write_key(&writer, slice_from_text("cursor"));
		json_write_string(&writer, buffer_view(&walk->next));
	}
	if (walk->kind == SHARD_HISTORY) {
		json_write_key(&writer, slice_from_text(name));
		json_write_array_begin(&writer);
		if (walk->count > 0)
			json_write_raw(&writer, buffer_view(&walk->items));
		json_write_array_end(&writer);
	}
	json_write_object_end(&writer);
	error = json_writer_finish(&writer);
	return error;
}

#define STORED_INSTEAD                                                                             \
	"more than 16 MiB as JSON, which no answer has; AS msgpack (kalix-admin: --stored) gives " \
	"it "                                                                                      \
	"as it is stored"

static void walk_failed(struct work *work, int error)
{
	uint64_t too_large = work->walk ? work->walk->too_large : 0;
	/* Where its cursor met damage the shard is closed now: others that have it whole are waited
	 * for, as with all calls. */
	walk_free(work);
	if (engine_shard_closed(work->shard->engine, work->shard->number)) {
		buffer_clear(&work->call->reply);
		shard_close_damaged(work->shard);
		work_make_ready(work);
		return;
	}
	if (error == ERR_NOMEM) {
		without_memory(work);
		return;
	}
	if (too_large > 0) {
		work_fail(work, STATUS_RESOURCE_EXHAUSTED,
		    "revision %" PRIu64 " is " STORED_INSTEAD, too_large);
		return;
	}
	if (error == ERR_TOO_LARGE) {
		engine_checkpoint(work->shard->engine);
		work_fail(work, STATUS_UNAVAILABLE,
		    "too much of this was changed a moment ago; retry in a second");
		return;
	}
	work_fail(work, STATUS_DATA_LOSS, "stored data cannot be read: %s", error_text(error));
}

/* False: it is under way, or has failed. */
static bool walk_to_the_end(struct work *work)
{
	int error = work->walk ? work->walk->error : start_walk(work);
	if (error)
		walk_failed(work, error);
	return !error && !work->walk->running;
}

static void advance_walk(struct work *work)
{
	if (!walk_to_the_end(work))
		return;
	int error = write_walk(work);
	if (error) {
		walk_failed(work, error);
		return;
	}
	work->call->has_reply = true;
	work_hold(work);
}

/* A piece at a time, all of them over one moment. */
static void advance_count(struct work *work)
{
	struct shard_call *call = work->call;
	if (!walk_to_the_end(work))
		return;
	struct walk *walk = work->walk;
	if (!walk->ended && io_now_ns(work->shard->shards->io) < call->until_ns) {
		memset(&walk->op, 0, sizeof(walk->op));
		walk->piece = 0;
		walk->more = false;
		go_on(walk);
		return;
	}
	call->counted = walk->counted;
	call->counted_all = walk->ended;
	work_hold(work);
}

/* Of a type that goes, too: what is stored is counted, whoever serves it. */
static void count(struct work *work)
{
	struct shard *shard = work->shard;
	if (!work->walk) {
		if (shard->active_changed > work->seen)
			work->seen = shard->active_changed;
		work->incarnation = dropped_incarnation(shard, work->call->address);
	}
	advance_count(work);
}

static void list_component(struct work *work)
{
	struct shard_call *call = work->call;
	if (host_component_list(work->component, &call->reply)) {
		without_memory(work);
		return;
	}
	call->has_reply = true;
	work_hold(work);
}

/* What GET answers. */
struct shown {
	bool exists, has_state;
	uint64_t revision;
	struct slice state;
	uint32_t version; /* of the state */
};

static int write_entity(struct work *work, const struct shown *shown)
{
	struct shard_call *call = work->call;
	bool raw = call->reply_encoding == HOST_MSGPACK;
	const uint8_t *slash = memchr(call->address.data, '/', call->address.bytes);
	size_t type_bytes = (size_t)(slash - call->address.data);
	struct json_writer writer;
	json_writer_init(&writer, &call->reply);
	json_write_object_begin(&writer);
	json_write_key(&writer, slice_from_text("exists"));
	json_write_boolean(&writer, shown->exists);
	json_write_key(&writer, slice_from_text("id"));
	json_write_string(&writer, slice_of(slash + 1, call->address.bytes - type_bytes - 1));
	json_write_key(&writer, slice_from_text("revision"));
	json_write_integer(&writer, (int64_t)shown->revision);
	int error = shown->has_state ? write_stored(&writer, "state", shown->state, raw) : 0;
	if (error)
		return error;
	json_write_key(&writer, slice_from_text("type"));
	json_write_string(&writer, slice_of(call->address.data, type_bytes));
	write_version(&writer, shown->version, raw && shown->has_state);
	json_write_object_end(&writer);
	return json_writer_finish(&writer);
}

static void answer_entity(struct work *work, struct shown shown)
{
	int error = write_entity(work, &shown);
	if (error == ERR_TOO_LARGE) {
		buffer_clear(&work->call->reply);
		work_say(work, STATUS_RESOURCE_EXHAUSTED, "this state is " STORED_INSTEAD);
	} else if (error) {
		buffer_clear(&work->call->reply);
		work_say(work, STATUS_INTERNAL, "the state cannot be shown: %s", error_text(error));
	} else {
		work->call->has_reply = true;
	}
	work_hold(work);
}

static void no_such_state(struct work *work, const char *why)
{
	work_say(work, STATUS_NOT_FOUND,
	    "there is no state of revision %" PRIu64 "; the newest is %" PRIu64 "%s",
	    work->call->at_revision, work->entity->head.revision, why);
	work_hold(work);
}

/* As it was stored: what later versions of the app make of it is not asked. */
static void get_kept(struct work *work)
{
	if (!walk_to_the_end(work))
		return;
	const struct walk *walk = work->walk;
	if (walk->count == 0)
		no_such_state(work, work->entity->head.kept_from > 0
		                        ? ", and older ones are not kept any more"
		                        : ", and this entity keeps no others (history)");
	else
		answer_entity(work, (struct shown){.exists = walk->found.exists,
		                        .has_state = walk->found.has_state,
		                        .revision = work->call->at_revision,
		                        .state = buffer_view(&walk->items),
		                        .version = walk->found.state_version});
}

static void get_past(struct work *work)
{
	const struct head *head = &work->entity->head;
	uint64_t at = work->call->at_revision;
	struct shown shown = {.exists = true, .revision = at};
	if (!head->exists || at <= head->born)
		no_such_state(work, ", and what was before a deletion is gone");
	else if (fold_step(work, at) == STEP_ON) {
		shown.has_state = fold_state(work->fold, &shown.state, &shown.version);
		answer_entity(work, shown);
	}
}

static void get(struct work *work)
{
	const struct entity *entity = work->entity;
	const struct head *head = &entity->head;
	uint64_t at = work->call->at_revision;
	if (at > head->revision) {
		work_say(work, STATUS_NOT_FOUND,
		    "there is no revision %" PRIu64 " yet; the newest is %" PRIu64, at,
		    head->revision);
		work_hold(work);
		return;
	}
	if (at != 0 && at != head->revision) {
		if (host_component_kind(work->component) == HOST_VALUE_ENTITY)
			get_kept(work);
		else
			get_past(work);
		return;
	}
	if (fold_step(work, 0) == STEP_ON)
		answer_entity(work, (struct shown){.exists = head->exists,
		                        .has_state = entity->has_state,
		                        .revision = head->revision,
		                        .state = slice_of(entity->state, entity->state_bytes),
		                        .version = entity->state_version});
}

void admin_advance(struct work *work)
{
	switch (work->call->kind) {
	case SHARD_CALL:
		break;
	case SHARD_LIST:
		if (step_component(work) == STEP_ON)
			list_component(work);
		return;
	case SHARD_GET:
		if (step_component(work) == STEP_ON && step_head(work) == STEP_ON)
			get(work);
		return;
	case SHARD_ENTITIES:
		/* It becomes part of a key. */
		if (work->call->cursor.bytes > ID_BYTES_MAX ||
		    work->call->address.bytes > NAME_BYTES_MAX) {
			work_fail(work, STATUS_INVALID_ARGUMENT, "this is no cursor of an answer");
			return;
		}
		if (work->walk || step_component(work) == STEP_ON)
			advance_walk(work);
		return;
	case SHARD_HISTORY:
		if (work->walk || step_component(work) == STEP_ON)
			advance_walk(work);
		return;
	case SHARD_COUNT:
		count(work);
		return;
	}
	UNREACHABLE();
}
