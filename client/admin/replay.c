#include "client/admin/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/wire/base64.h"
#include "base/wire/json.h"
#include "client/admin/commands.h"
#include "client/admin/differ.h"
#include "client/admin/pick.h"

enum { TRIES = 3, CURSOR_BYTES = 64 };
#define PAGE_BYTES_MAX (2 * REPLY_BYTES_MAX)

/* What the server has, and what it becomes here. */
struct value {
	bool has_state;
	struct slice state; /* MessagePack */
	uint32_t version;
	uint64_t revision;
};

void replay_init(struct replay *replay, struct online *online, struct host *host)
{
	*replay = (struct replay){.online = online, .host = host};
	struct buffer *const buffers[] = {
	    &replay->stored, &replay->folded, &replay->other, &replay->data, &replay->page};
	for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++)
		buffer_init(buffers[i], PAGE_BYTES_MAX);
}

void replay_done(struct replay *replay)
{
	buffer_done(&replay->stored);
	buffer_done(&replay->folded);
	buffer_done(&replay->other);
	buffer_done(&replay->data);
	buffer_done(&replay->page);
}

static enum replay_result stopped(struct replay *replay, enum exit_code code)
{
	replay->code = code;
	return REPLAY_STOPPED;
}

static enum replay_result broken(struct replay *replay, int error)
{
	return stopped(replay, command_failed(error, ""));
}

/* Base64 in a member of the reply. */
static int take_bytes(struct slice object, const char *name, struct buffer *to)
{
	struct slice text = pick_text(object, name);
	uint8_t *room;
	size_t bytes;
	buffer_clear(to);
	int error = buffer_reserve(to, base64_decoded_bytes_max(text.bytes) + 1, &room);
	if (!error)
		error = base64_decode(text, room, &bytes);
	if (!error)
		buffer_commit(to, bytes);
	return error;
}

/* ---- Asking ---- */

static void ask(struct replay *replay, const char *verb, const char *address, const char *cursor)
{
	struct online *online = replay->online;
	online_word(online, "ADMIN");
	online_word(online, "ENTITY");
	online_word(online, verb);
	online_word(online, address);
	online_option(online, "AS", "msgpack");
	online_option(online, "CURSOR", cursor);
	if (strcmp(verb, "HISTORY") == 0)
		online_option(online, "COUNT", "1000");
	online_try(online);
}

static enum replay_result get(struct replay *replay, const char *address, struct value *ret_value)
{
	ask(replay, "GET", address, NULL);
	/* The active version breaks on it: that is found here, too. */
	if (replay->online->code == KALIX_INTERNAL) {
		snprintf(replay->why, sizeof(replay->why), "the active version: %s",
		    kalix_reply_message(replay->online->reply));
		replay->revision = 0;
		return REPLAY_FAILS;
	}
	enum exit_code code = online_said(replay->online);
	if (code)
		return stopped(replay, code);
	struct slice reply = slice_from_text(online_json(replay->online)), state;
	if (!pick_true(reply, "exists"))
		return REPLAY_ABSENT;
	*ret_value = (struct value){.has_state = pick_member(reply, "state", &state),
	    .version = (uint32_t)pick_number(reply, "version"),
	    .revision = pick_number(reply, "revision")};
	int error = ret_value->has_state ? take_bytes(reply, "state", &replay->stored) : 0;
	if (error)
		return broken(replay, error);
	ret_value->state = buffer_view(&replay->stored);
	return REPLAY_SAME;
}

/* The next page of the history; *cursor becomes "" behind the last one. */
static enum replay_result get_page(struct replay *replay, const char *address, char *cursor)
{
	ask(replay, "HISTORY", address, cursor[0] ? cursor : NULL);
	enum exit_code code = online_said(replay->online);
	if (code)
		return stopped(replay, code);
	struct slice reply = slice_from_text(online_json(replay->online));
	struct slice next = pick_text(reply, "cursor");
	snprintf(cursor, CURSOR_BYTES, "%.*s", (int)next.bytes,
	    next.bytes ? (const char *)next.data : "");
	buffer_clear(&replay->page);
	int error = buffer_append_slice(&replay->page, reply);
	if (!error && !pick_member(buffer_view(&replay->page), "entries", &replay->entries))
		error = ERR_PROTOCOL;
	replay->entries_offset = 0;
	return error ? broken(replay, error) : REPLAY_SAME;
}

/* ---- Folding ---- */

static bool next_event(void *arg, struct host_event *ret_event)
{
	struct replay *replay = arg;
	struct slice entry;
	if (replay->error || replay->revision >= replay->target ||
	    !pick_element(replay->entries, &replay->entries_offset, &entry))
		return false;
	uint64_t revision = pick_number(entry, "revision");
	if (replay->revision == 0 && revision > 0)
		replay->born = replay->revision = revision - 1;
	replay->gap |= revision != replay->revision + 1 || revision > replay->target;
	if (replay->gap)
		return false;
	replay->error = take_bytes(entry, "data", &replay->data);
	if (replay->error)
		return false;
	struct slice name = pick_text(entry, "event");
	snprintf(replay->name, sizeof(replay->name), "%.*s", (int)name.bytes,
	    name.bytes ? (const char *)name.data : "");
	replay->revision = revision;
	replay->events++;
	*ret_event = (struct host_event){.name = slice_from_text(replay->name),
	    .version = (uint32_t)pick_number(entry, "version"),
	    .at_ms = (int64_t)pick_number(entry, "at"),
	    .revision = revision,
	    .data = buffer_view(&replay->data)};
	return true;
}

/* `value` with the events of `next` becomes `value`, its state in `to`. */
static enum replay_result fold(struct replay *replay, const char *address, struct value *value,
    bool (*next)(void *arg, struct host_event *ret_event), struct buffer *to)
{
	struct host_fold request = {.component = replay->component,
	    .address = slice_from_text(address),
	    .entity = {.exists = !next || value->revision > replay->born,
	        .has_state = value->has_state,
	        .state_version = value->version,
	        .revision = value->revision,
	        .state = value->state},
	    .next = next,
	    .arg = replay};
	struct host_call *call;
	int error = host_fold_begin(replay->host, &request, &call);
	if (error)
		return broken(replay, error);
	while (host_call_run(call, 0) != HOST_ENDED)
		;
	const struct host_outcome *outcome = host_call_outcome(call);
	enum replay_result result = REPLAY_SAME;
	struct buffer state;
	buffer_init(&state, PAGE_BYTES_MAX);
	if (outcome->status != STATUS_OK) {
		result = REPLAY_FAILS;
		snprintf(replay->why, sizeof(replay->why), "%.*s", (int)outcome->message.bytes,
		    (const char *)outcome->message.data);
	} else if (outcome->has_state) {
		error = buffer_append_slice(&state, outcome->state);
	}
	value->has_state = outcome->has_state;
	value->version = outcome->state_version;
	value->revision = replay->revision;
	host_call_end(call);
	host_idle(replay->host);
	if (error) {
		buffer_done(&state);
		return broken(replay, error);
	}
	/* What it began with may stand in `to`. */
	buffer_done(to);
	*to = state;
	value->state = buffer_view(to);
	return result;
}

static enum replay_result fold_history(
    struct replay *replay, const char *address, struct value *ret_value)
{
	char cursor[CURSOR_BYTES] = "";
	*ret_value = (struct value){.revision = 0};
	replay->revision = replay->born = 0;
	replay->gap = false;
	replay->error = 0;
	do {
		enum replay_result result = get_page(replay, address, cursor);
		if (result == REPLAY_SAME)
			result = fold(replay, address, ret_value, next_event, &replay->folded);
		if (result != REPLAY_SAME)
			return result;
		if (replay->error)
			return broken(replay, replay->error);
	} while (cursor[0] && !replay->gap && replay->revision < replay->target);
	return replay->revision == replay->target && !replay->gap ? REPLAY_SAME : REPLAY_CHANGING;
}

/* ---- Comparing ---- */

static enum replay_result compare(
    struct replay *replay, const struct value *folded, const struct value *stored)
{
	replay->path[0] = '\0';
	if (folded->has_state != stored->has_state)
		return REPLAY_DIFFERS;
	if (!folded->has_state ||
	    !values_differ(folded->state, stored->state, replay->path, sizeof(replay->path)))
		return REPLAY_SAME;
	return REPLAY_DIFFERS;
}

/* The stored state, as this version reads it. */
static enum replay_result read_stored(
    struct replay *replay, const char *address, struct value *stored)
{
	replay->revision = stored->revision;
	return fold(replay, address, stored, NULL, &replay->other);
}

static enum replay_result replay_once(struct replay *replay, const char *address)
{
	struct value stored, folded;
	enum replay_result result = get(replay, address, &stored);
	if (result != REPLAY_SAME)
		return result;
	replay->target = stored.revision;
	bool reads =
	    host_component_reads_version(replay->component, stored.version) || !stored.has_state;
	if (host_component_kind(replay->component) == HOST_VALUE_ENTITY) {
		if (reads)
			return read_stored(replay, address, &stored);
		replay->revision = stored.revision;
		snprintf(replay->why, sizeof(replay->why),
		    "the state is of version %" PRIu32 ", and this version has no steps for it",
		    stored.version);
		return REPLAY_FAILS;
	}
	result = fold_history(replay, address, &folded);
	if (result != REPLAY_SAME)
		return result;
	if (!reads)
		return REPLAY_UNCOMPARED;
	result = read_stored(replay, address, &stored);
	return result == REPLAY_SAME ? compare(replay, &folded, &stored) : result;
}

enum replay_result replay_entity(struct replay *replay, const char *address)
{
	enum replay_result result = REPLAY_CHANGING;
	for (int i = 0; i < TRIES && result == REPLAY_CHANGING; i++)
		result = replay_once(replay, address);
	return result;
}
