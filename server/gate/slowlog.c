/* Calls that took long: each core keeps its last ones; SLOWLOG and ADMIN SLOWLOG go around the
 * cores. Of a payload only its length is kept. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/wire/json_writer.h"
#include "server/gate/admin.h"

enum {
	SLOW_KEPT = 128, /* on each core */
	GET_DEFAULT = 10,
	JSON_BYTES_MAX = 16 * 1024 * 1024,
	CLIENT_NAME_BYTES = 64,
};

struct slow_call {
	uint64_t id, took_ns, payload_bytes;
	int64_t at_ms;
	const struct command *command;
	bool has_payload;
	char peer[SESSION_PEER_BYTES];
	uint8_t client[CLIENT_NAME_BYTES];
	size_t client_bytes, address_bytes, name_bytes;
	uint8_t text[]; /* address, then name */
};

static size_t bytes_of(const struct slow_call *slow)
{
	return sizeof(*slow) + slow->address_bytes + slow->name_bytes;
}

int gate_slow_new(struct gate *gate)
{
	gate->slow = mem_zalloc(SLOW_KEPT, sizeof(*gate->slow));
	return gate->slow ? 0 : ERR_NOMEM;
}

void gate_slow_free(struct gate *gate)
{
	for (uint32_t i = 0; gate->slow && i < SLOW_KEPT; i++)
		mem_free(gate->slow[i]);
	mem_free(gate->slow);
	gate->slow = NULL;
}

void gate_slow_add(struct gate *gate, const struct session *session, const struct command *command,
    const struct shard_call *call)
{
	struct slow_call *slow =
	    mem_zalloc(1, sizeof(*slow) + call->address.bytes + call->name.bytes);
	if (!slow)
		return;
	slow->id = gate->slow_added * gate->config->cores + gate->core;
	slow->took_ns = call->took_ns;
	slow->at_ms = clock_real_ms();
	slow->command = command;
	slow->has_payload = call->has_payload;
	slow->payload_bytes = call->payload.bytes;
	memcpy(slow->peer, session->peer, sizeof(slow->peer));
	slow->client_bytes =
	    session->name.bytes < CLIENT_NAME_BYTES ? session->name.bytes : CLIENT_NAME_BYTES;
	if (slow->client_bytes)
		memcpy(slow->client, session->name.data, slow->client_bytes);
	slow->address_bytes = call->address.bytes;
	slow->name_bytes = call->name.bytes;
	if (call->address.bytes)
		memcpy(slow->text, call->address.data, call->address.bytes);
	if (call->name.bytes)
		memcpy(slow->text + call->address.bytes, call->name.data, call->name.bytes);
	struct slow_call **place = &gate->slow[gate->slow_added++ % SLOW_KEPT];
	mem_free(*place);
	*place = slow;
}

/* ---- Around the cores ---- */

enum slow_wish { SLOW_GET, SLOW_LEN, SLOW_RESET };

struct slow_tour {
	struct reply reply;
	struct gate_tour tour;
	enum slow_wish wish;
	bool json;
	uint64_t length, limit;
	struct slow_call **found;
	size_t found_count, found_max;
	int error;
};

static void find(struct slow_tour *tour, const struct gate *gate, uint64_t kept)
{
	for (uint64_t i = 1; i <= kept && i <= tour->limit && !tour->error; i++) {
		const struct slow_call *slow = gate->slow[(gate->slow_added - i) % SLOW_KEPT];
		struct slow_call *copy =
		    tour->found_count < tour->found_max ? mem_alloc(bytes_of(slow)) : NULL;
		if (!copy) {
			tour->error = ERR_NOMEM;
			return;
		}
		memcpy(copy, slow, bytes_of(slow));
		tour->found[tour->found_count++] = copy;
	}
}

static void slow_visit(struct gate_tour *carried, struct gate *gate)
{
	struct slow_tour *tour = CONTAINER_OF(carried, struct slow_tour, tour);
	uint64_t kept = gate->slow_added - gate->slow_cleared;
	if (kept > SLOW_KEPT)
		kept = SLOW_KEPT;
	tour->length += kept;
	if (tour->wish == SLOW_RESET)
		gate->slow_cleared = gate->slow_added;
	else if (tour->wish == SLOW_GET)
		find(tour, gate, kept);
}

static int newest_first(const void *a, const void *b)
{
	const struct slow_call *one = *(struct slow_call *const *)a;
	const struct slow_call *other = *(struct slow_call *const *)b;
	if (one->at_ms != other->at_ms)
		return (one->at_ms < other->at_ms) - (one->at_ms > other->at_ms);
	return (one->id < other->id) - (one->id > other->id);
}

static void slow_toured(struct gate_tour *carried)
{
	struct slow_tour *tour = CONTAINER_OF(carried, struct slow_tour, tour);
	size_t bytes = sizeof(*tour) + tour->found_max * sizeof(*tour->found);
	for (size_t i = 0; i < tour->found_count; i++)
		bytes += bytes_of(tour->found[i]);
	if (tour->found_count > 1)
		qsort(tour->found, tour->found_count, sizeof(*tour->found), newest_first);
	reply_toured(&tour->reply, bytes);
}

/* ---- Answers ---- */

static struct slice address_of(const struct slow_call *slow)
{
	return slice_of(slow->text, slow->address_bytes);
}

static struct slice name_of(const struct slow_call *slow)
{
	return slice_of(slow->text + slow->address_bytes, slow->name_bytes);
}

/* As Redis has it: id, seconds, microseconds, words, client, its name. */
static void write_one(struct resp_writer *writer, const struct slow_call *slow)
{
	char payload[32];
	bool has_name = slow->name_bytes > 0;
	resp_write_array(writer, 6);
	resp_write_integer(writer, (int64_t)slow->id);
	resp_write_integer(writer, slow->at_ms / 1000);
	resp_write_integer(writer, (int64_t)(slow->took_ns / 1000));
	resp_write_array(writer, 2U + has_name + slow->has_payload);
	resp_write_bulk_text(writer, slow->command->name);
	resp_write_bulk(writer, address_of(slow));
	if (has_name)
		resp_write_bulk(writer, name_of(slow));
	if (slow->has_payload) {
		snprintf(payload, sizeof(payload), "(%llu bytes)",
		    (unsigned long long)slow->payload_bytes);
		resp_write_bulk_text(writer, payload);
	}
	resp_write_bulk_text(writer, slow->peer);
	resp_write_bulk(writer, slice_of(slow->client, slow->client_bytes));
}

static void describe(struct json_writer *writer, const struct slow_call *slow)
{
	json_write_object_begin(writer);
	json_member_text(writer, "address", address_of(slow));
	json_write_key(writer, slice_from_text("at"));
	json_write_integer(writer, slow->at_ms);
	json_member_text(writer, "client", slice_from_text(slow->peer));
	json_member_text(writer, "client_name", slice_of(slow->client, slow->client_bytes));
	json_member_text(writer, "command", name_of(slow));
	json_member_u64(writer, "id", slow->id);
	json_member_u64(writer, "payload_bytes", slow->payload_bytes);
	json_member_u64(writer, "took_us", slow->took_ns / 1000);
	json_write_object_end(writer);
}

static void write_json(struct slow_tour *tour, struct resp_writer *writer, size_t count)
{
	struct buffer out;
	struct json_writer json;
	buffer_init(&out, JSON_BYTES_MAX);
	json_writer_init(&json, &out);
	if (tour->wish == SLOW_GET) {
		json_write_array_begin(&json);
		for (size_t i = 0; i < count; i++)
			describe(&json, tour->found[i]);
		json_write_array_end(&json);
	} else {
		json_write_object_begin(&json);
		json_member_u64(&json, "forgotten", tour->length);
		json_write_object_end(&json);
	}
	int error = json_writer_finish(&json);
	admin_write_json(tour->reply.session, writer, &out, tour->error ? tour->error : error);
	buffer_done(&out);
}

static void slow_write(struct reply *reply, struct resp_writer *writer)
{
	struct slow_tour *tour = CONTAINER_OF(reply, struct slow_tour, reply);
	size_t count = tour->found_count < tour->limit ? tour->found_count : tour->limit;
	if (tour->json) {
		write_json(tour, writer, count);
		return;
	}
	switch (tour->wish) {
	case SLOW_LEN:
		resp_write_integer(writer, (int64_t)tour->length);
		return;
	case SLOW_RESET:
		resp_write_simple(writer, "OK");
		return;
	case SLOW_GET:
		if (tour->error) {
			resp_write_error(
			    writer, "ERR", slice_from_text("out of memory"), slice_of(NULL, 0));
			return;
		}
		resp_write_array(writer, count);
		for (size_t i = 0; i < count; i++)
			write_one(writer, tour->found[i]);
		return;
	}
}

static void slow_free(struct reply *reply)
{
	struct slow_tour *tour = CONTAINER_OF(reply, struct slow_tour, reply);
	for (size_t i = 0; i < tour->found_count; i++)
		mem_free(tour->found[i]);
	mem_free(tour->found);
	mem_free(tour);
}

static void start(struct session *session, enum slow_wish wish, uint64_t limit, bool json)
{
	struct gate *gate = session->gate;
	size_t found_max = wish == SLOW_GET ? (size_t)gate->config->cores * SLOW_KEPT : 1;
	struct slow_tour *tour = mem_zalloc(1, sizeof(*tour));
	struct slow_call **found = mem_zalloc(found_max, sizeof(*found));
	if (!tour || !found) {
		mem_free(tour);
		mem_free(found);
		admin_no_memory(session);
		return;
	}
	tour->wish = wish;
	tour->json = json;
	tour->limit = limit;
	tour->found = found;
	tour->found_max = found_max;
	tour->reply =
	    (struct reply){.bytes = sizeof(*tour), .write = slow_write, .free = slow_free};
	tour->tour = (struct gate_tour){.visit = slow_visit, .done = slow_toured};
	reply_tour(session, &tour->reply, &tour->tour);
}

void run_slowlog(struct session *session, const struct slice *args, uint32_t count)
{
	const struct command *command = session->last_command;
	int64_t limit = GET_DEFAULT;
	if (command == &commands[COMMAND_SLOWLOG_LEN])
		start(session, SLOW_LEN, 0, false);
	else if (command == &commands[COMMAND_SLOWLOG_RESET])
		start(session, SLOW_RESET, 0, false);
	else if (count > 3)
		reply_wrong_arguments(session, command->name);
	else if (count == 3 && !word_integer(args[2], -1, INT64_MAX, &limit))
		reply_error(session, "ERR", "count should be greater than or equal to -1");
	else
		start(session, SLOW_GET, limit < 0 ? UINT64_MAX : (uint64_t)limit, false);
}

void admin_slowlog(struct session *session, const struct slice *args, uint32_t count)
{
	int64_t limit = GET_DEFAULT;
	if (count == 3 && word_is(args[2], "reset"))
		start(session, SLOW_RESET, 0, true);
	else if (count == 2 || (count == 4 && word_is(args[2], "count") &&
	                           word_integer(args[3], 1, 1000, &limit)))
		start(session, SLOW_GET, (uint64_t)limit, true);
	else
		admin_usage(session, "ADMIN SLOWLOG [COUNT n] | RESET");
}
