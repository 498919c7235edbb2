#include "tests/cluster/events.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tests/cluster/history.h"

#define CLIENTS_MAX   64
#define PROCESSES_MAX 1000000

static const char *const names[] = {"read", "write", "cas"};

/* ---- Writing ---- */

struct event {
	const struct history_operation *operation;
	size_t process;
	uint64_t at_ns;
	bool is_end;
};

static int by_begin(const void *a, const void *b)
{
	const struct history_operation *x = a, *y = b;
	return (x->begin_ns > y->begin_ns) - (x->begin_ns < y->begin_ns);
}

/* What begins when another one ends is beside it. */
static int by_time(const void *a, const void *b)
{
	const struct event *x = a, *y = b;
	if (x->at_ns != y->at_ns)
		return (x->at_ns > y->at_ns) - (x->at_ns < y->at_ns);
	return x->is_end - y->is_end;
}

static void write_value(FILE *file, const struct event *event)
{
	const struct history_operation *operation = event->operation;
	if (operation->kind == HISTORY_CAS)
		(void)fprintf(file, "[%lld,%lld]", operation->from, operation->to);
	else if (operation->kind == HISTORY_WRITE)
		(void)fprintf(file, "%lld", operation->to);
	else if (event->is_end && operation->result == HISTORY_OK)
		(void)fprintf(file, "%lld", operation->value);
	else
		(void)fprintf(file, "null");
}

static void write_event(FILE *file, const struct event *event)
{
	static const char *const ends[] = {"ok", "fail", "fail", "info"};
	const struct history_operation *operation = event->operation;
	(void)fprintf(file,
	    "{\"process\":%zu,\"type\":\"%s\",\"f\":\"%s\",\"key\":%u,\"value\":", event->process,
	    event->is_end ? ends[operation->result] : "invoke", names[operation->kind],
	    operation->entity);
	write_value(file, event);
	(void)fprintf(file, ",\"time\":%" PRIu64, event->at_ns);
	bool answered = operation->result == HISTORY_OK || operation->result == HISTORY_REFUSED;
	if (event->is_end && answered)
		(void)fprintf(file, ",\"found\":{\"value\":%lld,\"changes\":%lld}",
		    operation->value, operation->changes);
	(void)fprintf(file, "}\n");
}

bool events_write(FILE *file, struct history_operation *operations, size_t count)
{
	size_t lives[CLIENTS_MAX] = {0};
	uint64_t free_from_ns[CLIENTS_MAX] = {0};
	struct event *events = calloc(2 * count + 1, sizeof(*events));
	ASSERT(events);
	qsort(operations, count, sizeof(*operations), by_begin);
	for (size_t i = 0; i < count; i++) {
		const struct history_operation *operation = &operations[i];
		size_t client = operation->client;
		ASSERT(client < CLIENTS_MAX);
		/* A new process behind what is unknown, and beside what is not over. */
		if (operation->begin_ns <= free_from_ns[client])
			lives[client]++;
		size_t process = client + CLIENTS_MAX * lives[client];
		free_from_ns[client] =
		    operation->result == HISTORY_UNKNOWN ? UINT64_MAX : operation->end_ns;
		events[2 * i] = (struct event){operation, process, operation->begin_ns, false};
		events[2 * i + 1] = (struct event){operation, process, operation->end_ns, true};
	}
	qsort(events, 2 * count, sizeof(*events), by_time);
	for (size_t i = 0; i < 2 * count; i++)
		write_event(file, &events[i]);
	free(events);
	return fflush(file) == 0 && !ferror(file);
}

/* ---- Reading ---- */

struct reader {
	struct history_operation *operations;
	size_t count, max;
	size_t *under_way; /* by process: the operation's place + 1, or 0 */
};

static bool number(const json_t *json, long long *ret_number)
{
	*ret_number = json_integer_value(json);
	return json_is_integer(json);
}

static bool kind_of(const char *name, enum history_kind *ret_kind)
{
	for (int kind = 0; kind < HISTORY_KINDS; kind++)
		if (name && strcmp(name, names[kind]) == 0) {
			*ret_kind = (enum history_kind)kind;
			return true;
		}
	return false;
}

static bool read_begin(struct reader *reader, const json_t *event, size_t process, long long at_ns)
{
	long long key = 0;
	const json_t *value = json_object_get(event, "value");
	if (reader->under_way[process] || reader->count == reader->max ||
	    !number(json_object_get(event, "key"), &key))
		return false;
	struct history_operation *operation = &reader->operations[reader->count];
	*operation = (struct history_operation){.entity = (unsigned)key,
	    .client = (unsigned)(process % CLIENTS_MAX),
	    .result = HISTORY_UNKNOWN,
	    .begin_ns = (uint64_t)at_ns,
	    .end_ns = UINT64_MAX};
	reader->under_way[process] = ++reader->count;
	if (!kind_of(json_string_value(json_object_get(event, "f")), &operation->kind))
		return false;
	if (operation->kind == HISTORY_CAS)
		return number(json_array_get(value, 0), &operation->from) &&
		       number(json_array_get(value, 1), &operation->to);
	return operation->kind == HISTORY_GET || number(value, &operation->to);
}

static bool read_end(
    struct reader *reader, const json_t *event, const char *type, size_t process, long long at_ns)
{
	const json_t *found = json_object_get(event, "found");
	if (!reader->under_way[process])
		return false;
	struct history_operation *operation = &reader->operations[reader->under_way[process] - 1];
	operation->end_ns = (uint64_t)at_ns;
	if (strcmp(type, "info") == 0)
		return true; /* and the process is never free again */
	reader->under_way[process] = 0;
	if (strcmp(type, "ok") == 0)
		operation->result = HISTORY_OK;
	else if (strcmp(type, "fail") == 0)
		operation->result = found ? HISTORY_REFUSED : HISTORY_NOTHING;
	else
		return false;
	return operation->result == HISTORY_NOTHING ||
	       (number(json_object_get(found, "value"), &operation->value) &&
	           number(json_object_get(found, "changes"), &operation->changes));
}

static bool read_event(struct reader *reader, const json_t *event)
{
	long long process = 0, at_ns = 0;
	const char *type = json_string_value(json_object_get(event, "type"));
	if (!type || !number(json_object_get(event, "process"), &process) || process < 0 ||
	    process >= PROCESSES_MAX || !number(json_object_get(event, "time"), &at_ns))
		return false;
	return strcmp(type, "invoke") == 0 ? read_begin(reader, event, (size_t)process, at_ns)
	                                   : read_end(reader, event, type, (size_t)process, at_ns);
}

bool events_read(FILE *file, struct history_operation *operations, size_t max, size_t *ret_count)
{
	char line[512];
	struct reader reader = {.operations = operations,
	    .max = max,
	    .under_way = calloc(PROCESSES_MAX, sizeof(*reader.under_way))};
	ASSERT(reader.under_way);
	bool good = true;
	while (good && fgets(line, sizeof(line), file)) {
		json_t *event = json_loads(line, 0, NULL);
		good = event && read_event(&reader, event);
		json_decref(event);
	}
	free(reader.under_way);
	*ret_count = reader.count;
	return good;
}
