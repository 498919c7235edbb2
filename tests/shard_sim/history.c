/* Histories: the JSON of SHARD_HISTORY (docs/admin-protocol.md) to the model. */
#include <stdio.h>
#include <string.h>

#include "base/wire/json_reader.h"
#include "tests/shard_sim/history.h"
#include "tests/shard_sim/view.h"
#include "tests/sim/verdict.h"

/* In {"cursor":..,"entries":[{..,"data":{..},"state":{..,"ids":[..]}}]} */
enum { DEPTH_ANSWER = 1, DEPTH_ENTRY = 3, DEPTH_INSIDE = 4, DEPTH_MAX = 8 };

struct entry {
	bool is_event, is_deletion, is_state;
	uint64_t revision, id;
	int64_t at_ms;
	struct view view;
};

struct history {
	struct model *model;
	const struct model_call *of;
	char *cursor;
	struct json_reader in;
	unsigned depth;
	struct slice keys[DEPTH_MAX]; /* the last one at each depth */
	struct entry entry;
	uint64_t last; /* revision */
	bool more;
};

static bool key_is(const struct history *history, unsigned depth, const char *text)
{
	return slice_equal(history->keys[depth], slice_from_text(text));
}

static void take_integer(struct history *history)
{
	struct entry *entry = &history->entry;
	struct view *view = &entry->view;
	uint64_t value = (uint64_t)history->in.integer;
	if (history->depth == DEPTH_ENTRY) {
		if (key_is(history, DEPTH_ENTRY, "revision"))
			entry->revision = value;
		else if (key_is(history, DEPTH_ENTRY, "at"))
			entry->at_ms = history->in.integer;
		else if (key_is(history, DEPTH_ENTRY, "data"))
			entry->id = value;
	} else if (key_is(history, DEPTH_ENTRY, "data")) {
		if (key_is(history, DEPTH_INSIDE, "id"))
			entry->id = value;
	} else if (history->depth == DEPTH_INSIDE) {
		if (key_is(history, DEPTH_INSIDE, "made"))
			view->made = value;
		else if (key_is(history, DEPTH_INSIDE, "sum"))
			view->sum = value;
		else if (key_is(history, DEPTH_INSIDE, "at"))
			view->at_ms = history->in.integer;
	} else if (key_is(history, DEPTH_INSIDE, "ids")) {
		EXPECT(view->count < VIEW_IDS, "state", "a kept state has too many ids");
		view->ids[view->count++] = value;
	}
}

static void take_entry(struct history *history)
{
	struct entry *entry = &history->entry;
	struct model *model = history->model;
	unsigned number = history->of->entity;
	EXPECT(entry->revision > history->last, "one history",
	    "entity %u: its history shows revision %llu after %llu", number,
	    (unsigned long long)entry->revision, (unsigned long long)history->last);
	history->last = entry->revision;
	if (!model_has_one_era(model, history->of))
		return;
	if (entry->is_event) {
		model_saw_event(model, history->of, entry->revision, entry->id, entry->at_ms);
	} else if (entry->is_deletion) {
		model_saw_deletion(model, history->of, entry->revision, entry->at_ms);
	} else if (entry->is_state) {
		entry->view.has_state = entry->view.has_more = true;
		entry->view.revision = entry->revision;
		model_saw_kept(model, history->of, &entry->view);
	}
}

static void take_key(struct history *history)
{
	struct entry *entry = &history->entry;
	history->keys[history->depth] = history->in.text;
	if (history->depth != DEPTH_ENTRY)
		return;
	entry->is_event |= key_is(history, DEPTH_ENTRY, "event");
	entry->is_deletion |= key_is(history, DEPTH_ENTRY, "deleted");
	entry->is_state |= key_is(history, DEPTH_ENTRY, "state");
}

static void take_string(struct history *history)
{
	char *cursor = history->cursor;
	if (history->depth != DEPTH_ANSWER || !key_is(history, DEPTH_ANSWER, "cursor"))
		return;
	history->more = true;
	EXPECT(history->in.text.bytes < HISTORY_CURSOR_BYTES_MAX, "answer", "a cursor is long");
	memcpy(cursor, history->in.text.data, history->in.text.bytes);
	cursor[history->in.text.bytes] = '\0';
}

static void take_token(struct history *history, enum json_token token)
{
	switch (token) {
	case JSON_OBJECT_BEGIN:
	case JSON_ARRAY_BEGIN:
		EXPECT(++history->depth < DEPTH_MAX, "answer", "a history is deep");
		history->keys[history->depth] = slice_of(NULL, 0);
		if (history->depth == DEPTH_ENTRY)
			memset(&history->entry, 0, sizeof(history->entry));
		return;
	case JSON_OBJECT_END:
	case JSON_ARRAY_END:
		if (history->depth-- == DEPTH_ENTRY)
			take_entry(history);
		return;
	case JSON_KEY:
		take_key(history);
		return;
	case JSON_STRING:
		take_string(history);
		return;
	case JSON_INTEGER:
		take_integer(history);
		return;
	case JSON_DOUBLE:
	case JSON_TRUE:
	case JSON_FALSE:
	case JSON_NULL:
	case JSON_END:
		return;
	}
}

bool history_read(struct model *model, const struct model_call *of, struct slice reply,
    char cursor[HISTORY_CURSOR_BYTES_MAX])
{
	struct history history = {.model = model, .of = of, .cursor = cursor};
	enum json_token token = JSON_NULL;
	int error = 0;
	json_reader_init(&history.in, reply, NULL, JSON_DEPTH_MAX);
	while (!error && token != JSON_END) {
		error = json_next(&history.in, &token);
		if (!error)
			take_token(&history, token);
	}
	EXPECT(!error, "answer", "a history is no JSON");
	return history.more;
}
