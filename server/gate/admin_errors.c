/* What handlers broke: each core keeps its last ones, ADMIN ERROR goes around the cores. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/wire/json_writer.h"
#include "server/gate/admin.h"

enum {
	FIELD_BYTES_MAX = 16 * 1024,
	LIST_DEFAULT = 100,
	LIST_BYTES_MAX = 8 * 1024 * 1024,
};

struct kept_error {
	char reference[24];
	int64_t at_ms;
	/* All in one piece of memory, which begins at address.data. */
	struct slice address, name, bundle, message, traceback;
};

int gate_errors_new(struct gate *gate)
{
	gate->errors = mem_zalloc(gate->config->errors_kept, sizeof(*gate->errors));
	return gate->errors ? 0 : ERR_NOMEM;
}

void gate_errors_free(struct gate *gate)
{
	for (uint32_t i = 0; gate->errors && i < gate->config->errors_kept; i++)
		mem_free((void *)(uintptr_t)gate->errors[i].address.data);
	mem_free(gate->errors);
	gate->errors = NULL;
}

static struct slice cut(struct slice text)
{
	return slice_of(text.data, text.bytes < FIELD_BYTES_MAX ? text.bytes : FIELD_BYTES_MAX);
}

static struct slice keep(uint8_t **at, struct slice text)
{
	uint8_t *to = *at;
	if (text.bytes)
		memcpy(to, text.data, text.bytes);
	*at += text.bytes;
	return slice_of(to, text.bytes);
}

void gate_error_add(struct gate *gate, const struct shard_error *error)
{
	struct slice message = cut(error->message), traceback = cut(error->traceback);
	struct slice address = cut(error->address), name = cut(error->name);
	struct slice bundle = cut(error->bundle);
	uint8_t *at = mem_alloc(
	    1 + address.bytes + name.bytes + bundle.bytes + message.bytes + traceback.bytes);
	if (!at)
		return;
	struct kept_error *kept = &gate->errors[gate->errors_added++ % gate->config->errors_kept];
	mem_free((void *)(uintptr_t)kept->address.data);
	*kept = (struct kept_error){.at_ms = error->at_ms};
	size_t bytes = strnlen(error->reference, sizeof(kept->reference) - 1);
	memcpy(kept->reference, error->reference, bytes);
	kept->address = keep(&at, address);
	kept->name = keep(&at, name);
	kept->bundle = keep(&at, bundle);
	kept->message = keep(&at, message);
	kept->traceback = keep(&at, traceback);
}

/* ---- Around the cores ---- */

struct found_error {
	int64_t at_ms;
	size_t begin, bytes; /* in `text` */
};

struct error_tour {
	struct reply reply;
	struct gate_tour tour;
	char reference[24]; /* "": list */
	uint32_t count;
	struct buffer text; /* JSON objects, one after the other */
	struct found_error *found;
	size_t found_count;
	int error;
};

static int describe(const struct kept_error *kept, bool whole, struct buffer *out)
{
	struct json_writer writer;
	json_writer_init(&writer, out);
	json_write_object_begin(&writer);
	json_member_text(&writer, "address", kept->address);
	json_write_key(&writer, slice_from_text("at"));
	json_write_integer(&writer, kept->at_ms);
	json_member_text(&writer, "bundle", kept->bundle);
	json_member_text(&writer, "command", kept->name);
	json_member_text(&writer, "message", kept->message);
	json_member_text(&writer, "reference", slice_from_text(kept->reference));
	if (whole)
		json_member_text(&writer, "traceback", kept->traceback);
	json_write_object_end(&writer);
	return json_writer_finish(&writer);
}

static void error_visit(struct gate_tour *carried, struct gate *gate)
{
	struct error_tour *tour = CONTAINER_OF(carried, struct error_tour, tour);
	uint64_t kept = gate->errors_added < gate->config->errors_kept ? gate->errors_added
	                                                               : gate->config->errors_kept;
	uint32_t taken = 0;
	for (uint64_t i = 1; i <= kept && taken < tour->count && !tour->error; i++) {
		const struct kept_error *one =
		    &gate->errors[(gate->errors_added - i) % gate->config->errors_kept];
		bool list = !tour->reference[0];
		if (!list && strcmp(one->reference, tour->reference) != 0)
			continue;
		size_t begin = buffer_bytes(&tour->text);
		tour->error = describe(one, !list, &tour->text);
		tour->found[tour->found_count++] = (struct found_error){.at_ms = one->at_ms,
		    .begin = begin,
		    .bytes = buffer_bytes(&tour->text) - begin};
		taken++;
	}
}

static void error_toured(struct gate_tour *carried)
{
	struct error_tour *tour = CONTAINER_OF(carried, struct error_tour, tour);
	reply_toured(&tour->reply, sizeof(*tour) + tour->text.capacity);
}

static int newest_first(const void *a, const void *b)
{
	const struct found_error *one = a, *other = b;
	return (one->at_ms < other->at_ms) - (one->at_ms > other->at_ms);
}

static int join(const struct error_tour *tour, struct buffer *out)
{
	struct slice text = buffer_view(&tour->text);
	size_t count = tour->found_count < tour->count ? tour->found_count : tour->count;
	int error = buffer_append_u8(out, '[');
	for (size_t i = 0; i < count && !error; i++) {
		error = i ? buffer_append_u8(out, ',') : 0;
		if (!error)
			error = buffer_append(
			    out, text.data + tour->found[i].begin, tour->found[i].bytes);
	}
	return error ? error : buffer_append_u8(out, ']');
}

static void error_write(struct reply *reply, struct resp_writer *writer)
{
	struct error_tour *tour = CONTAINER_OF(reply, struct error_tour, reply);
	struct session *session = reply->session;
	if (tour->reference[0] && !tour->error) {
		if (tour->found_count)
			reply_write_bulk_take(session, writer, &tour->text);
		else
			resp_write_error(writer, "NOT_FOUND",
			    slice_from_text("no error of this reference is kept here"),
			    slice_of(NULL, 0));
		return;
	}
	struct buffer list;
	buffer_init(&list, LIST_BYTES_MAX * 2);
	qsort(tour->found, tour->found_count, sizeof(tour->found[0]), newest_first);
	int error = tour->error ? tour->error : join(tour, &list);
	admin_write_json(session, writer, &list, error);
	buffer_done(&list);
}

static void error_free(struct reply *reply)
{
	struct error_tour *tour = CONTAINER_OF(reply, struct error_tour, reply);
	buffer_done(&tour->text);
	mem_free(tour->found);
	mem_free(tour);
}

void admin_error(struct session *session, const struct slice *args, uint32_t count)
{
	struct gate *gate = session->gate;
	int64_t limit = LIST_DEFAULT;
	bool list = count >= 3 && word_is(args[2], "list");
	bool good = list ? count == 3 || (count == 5 && word_is(args[3], "count") &&
	                                     word_integer(args[4], 1, 1000, &limit))
	                 : count == 3 && args[2].bytes > 0 && args[2].bytes < 24;
	if (!good) {
		admin_usage(session, "ADMIN ERROR reference | LIST [COUNT n]");
		return;
	}
	struct error_tour *tour = mem_zalloc(1, sizeof(*tour));
	size_t found_max = (size_t)gate->config->cores * gate->config->errors_kept;
	struct found_error *found = mem_zalloc(found_max, sizeof(*found));
	if (!tour || !found) {
		mem_free(tour);
		mem_free(found);
		admin_no_memory(session);
		return;
	}
	tour->found = found;
	tour->count = list ? (uint32_t)limit : 1;
	if (!list)
		memcpy(tour->reference, args[2].data, args[2].bytes);
	buffer_init(&tour->text, LIST_BYTES_MAX);
	tour->reply =
	    (struct reply){.bytes = sizeof(*tour), .write = error_write, .free = error_free};
	tour->tour = (struct gate_tour){.visit = error_visit, .done = error_toured};
	reply_tour(session, &tour->reply, &tour->tour);
}
