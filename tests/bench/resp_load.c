/* A load generator for servers that speak RESP: the same bytes to Kalix and to Redis.
 *
 *   resp_load PORT [--connections N] [--pipeline N] [--seconds S] [--rate CALLS_PER_S]
 *             [--entities N] [--function NAME] [--type TYPE] [--seed N] [--each]
 *             [--value BYTES] [--read] [--wait REPLICAS] [--cluster]
 *
 * Every call is `FCALL NAME 1 TYPE/n {"qty":1,"sku":"sku-0000000k"}`, n and k at random; with
 * --value the payload is a JSON string of that many letters instead; with --read there is none, and
 * an answer that has fewer bytes than the value is an error.
 *
 * With --wait each call is that and `WAIT REPLICAS 10000` behind it in the same write: it is
 * answered when WAIT is, and an error where fewer replicas have it.
 *
 * With --cluster PORT is a cluster port of Kalix: the connections are dealt to the nodes that
 * CLUSTER NODES tells, and each asks for entities only that its node leads, as clients do that
 * follow the map. What is led elsewhere meanwhile answers MOVED, which counts as an error.
 *
 * Closed loop (no --rate): each connection keeps `pipeline` calls outstanding; a latency counts
 * from the write of its call. Open loop: calls are due at a fixed rate, whatever the server does,
 * and a latency counts from when the call was due, so a server that stalls is charged for the calls
 * that waited (no coordinated omission). One thread; everything on loopback.
 *
 * With --each, n goes from 0 to the number of entities once, in a closed loop, and that is the end.
 *
 * Prints the line of load_report.h. Exit status 1 where a reply was an error.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/slot.h"
#include "base/wire/decimal.h"
#include "base/wire/resp_reader.h"
#include "base/wire/resp_writer.h"
#include "tests/bench/load_options.h"
#include "tests/bench/load_report.h"
#include "tests/bench/load_socket.h"

#define CONNECTIONS_MAX 1024
#define PIPELINE_MAX    1024
#define OUTSTANDING_MAX 65536 /* of a connection, in an open loop */
#define VALUE_MAX       LOAD_LETTERS_MAX
#define NODES_MAX       16

/* What a connection may ask for. */
struct target {
	unsigned long port;
	uint32_t *entities; /* those that it leads; NULL: all */
	size_t entity_count;
};

struct connection {
	const struct target *target;
	struct load_socket socket;
	struct buffer in;
	struct resp_reader reader;
	uint64_t *due_ns; /* of the calls outstanding, a ring */
	size_t first, count;
	bool half; /* the call is answered, its WAIT is not */
};

static struct {
	unsigned long port, connections, pipeline, seconds, rate, entities, seed, value, wait;
	const char *function, *type;
	bool each, read, cluster;
} options = {.connections = 50,
    .pipeline = 1,
    .seconds = 5,
    .entities = 100000,
    .seed = 1,
    .function = "add_item",
    .type = "cart"};

static struct connection connections[CONNECTIONS_MAX];
static struct target targets[NODES_MAX];
static size_t target_count = 1;
static struct load_report report;
static struct random dice;
static uint64_t given, answered;
static struct io *io;

/* ---- Which node leads what: CLUSTER NODES ---- */

static size_t write_key(char key[64], uint64_t entity)
{
	size_t bytes = strnlen(options.type, 32);
	memcpy(key, options.type, bytes);
	key[bytes++] = '/';
	return bytes + decimal_write_unsigned(entity, (uint8_t *)key + bytes);
}

/* Blocks; the text of the one reply, which is the caller's. */
static char *ask_for_nodes(void)
{
	static const char question[] = "*2\r\n$7\r\nCLUSTER\r\n$5\r\nNODES\r\n";
	struct resp_reader reader;
	struct resp_item item;
	size_t bytes = 0, room = (size_t)1 << 20;
	char *text = malloc(room), *answer;
	int fd = load_connect(options.port), error = ERR_TRUNCATED;
	if (!text || send(fd, question, sizeof(question) - 1, 0) != sizeof(question) - 1)
		load_die("CLUSTER NODES");
	resp_reader_init(&reader, room, RESP_DEPTH_MAX);
	while (error == ERR_TRUNCATED && bytes < room) {
		ssize_t got = recv(fd, text + bytes, room - bytes, 0);
		if (got <= 0)
			load_die("CLUSTER NODES");
		bytes += (size_t)got;
		resp_reader_feed(&reader, slice_of(text, bytes));
		error = resp_reader_next(&reader, &item);
	}
	errno = EPROTO;
	if (error || (item.type != RESP_BULK && item.type != RESP_VERBATIM))
		load_die("CLUSTER NODES");
	answer = strndup((const char *)item.text.data, item.text.bytes);
	if (!answer)
		load_die("memory");
	close(fd);
	free(text);
	return answer;
}

/* A node's line: `id host:port@port flags - 0 0 epoch connected 0-127 ...`. */
static void read_node(char *line, uint8_t owners[SLOT_COUNT])
{
	unsigned long port;
	unsigned first, last;
	char *words;
	int from = 0;
	if (target_count == NODES_MAX ||
	    sscanf(line, "%*s %*[^:]:%lu@%*s %*s %*s %*s %*s %*s %*s%n", &port, &from) != 1)
		return;
	targets[target_count].port = port;
	for (char *word = strtok_r(line + from, " ", &words); word;
	     word = strtok_r(NULL, " ", &words)) {
		int count = sscanf(word, "%u-%u", &first, &last);
		for (unsigned slot = first; count > 0 && slot <= (count == 2 ? last : first);
		     slot++)
			if (slot < SLOT_COUNT)
				owners[slot] = (uint8_t)(target_count + 1);
	}
	target_count++;
}

static void find_targets(void)
{
	static uint8_t owners[SLOT_COUNT]; /* a target's number + 1 */
	char key[64], *lines, *text = ask_for_nodes();
	target_count = 0;
	for (char *line = strtok_r(text, "\n", &lines); line; line = strtok_r(NULL, "\n", &lines))
		read_node(line, owners);
	free(text);
	for (size_t i = 0; i < target_count; i++) {
		targets[i].entities = calloc(options.entities, sizeof(uint32_t));
		if (!targets[i].entities)
			load_die("memory");
	}
	for (uint32_t entity = 0; entity < options.entities; entity++) {
		size_t bytes = write_key(key, entity);
		unsigned owner = owners[slot_of(slice_of(key, bytes))];
		if (owner)
			targets[owner - 1].entities[targets[owner - 1].entity_count++] = entity;
	}
	for (size_t i = target_count; i > 0; i--)
		if (targets[i - 1].entity_count == 0) { /* it leads nothing: nobody asks it */
			free(targets[i - 1].entities);
			targets[i - 1] = targets[--target_count];
		}
	errno = ENOENT;
	if (target_count == 0)
		load_die("no node leads anything");
}

/* ---- Calls ---- */

static uint64_t pick_entity(const struct target *target)
{
	if (options.each)
		return given;
	if (target->entities)
		return target->entities[random_below(&dice, target->entity_count)];
	return random_below(&dice, options.entities);
}

static void write_payload(struct resp_writer *writer)
{
	char payload[VALUE_MAX + 2];
	if (!options.value) {
		char sku[] = "{\"qty\":1,\"sku\":\"sku-00000000\"}";
		uint64_t number = random_below(&dice, 12);
		sku[sizeof(sku) - 4] = (char)('0' + number % 10);
		sku[sizeof(sku) - 5] = (char)('0' + number / 10);
		resp_write_bulk_text(writer, sku);
		return;
	}
	payload[0] = '"';
	memcpy(payload + 1, load_letters(&dice, options.value), options.value);
	payload[options.value + 1] = '"';
	resp_write_bulk(writer, slice_of(payload, options.value + 2));
}

/* Without printf, which would be half of what a call costs here. */
static int write_call(struct buffer *out, uint64_t entity)
{
	char key[64];
	struct resp_writer writer;
	resp_writer_init(&writer, out, RESP2);
	resp_write_array(&writer, options.read ? 4 : 5);
	resp_write_bulk_text(&writer, "FCALL");
	resp_write_bulk_text(&writer, options.function);
	resp_write_bulk_text(&writer, "1");
	resp_write_bulk(&writer, slice_of(key, write_key(key, entity)));
	if (!options.read)
		write_payload(&writer);
	if (options.wait) {
		char replicas[32];
		snprintf(replicas, sizeof(replicas), "%lu", options.wait);
		resp_write_array(&writer, 3);
		resp_write_bulk_text(&writer, "WAIT");
		resp_write_bulk_text(&writer, replicas);
		resp_write_bulk_text(&writer, "10000");
	}
	return resp_writer_finish(&writer);
}

static void add_call(struct connection *connection, uint64_t due_ns)
{
	if (options.each && given == options.entities)
		return;
	uint64_t entity = pick_entity(connection->target);
	given++;
	if (connection->count == OUTSTANDING_MAX || write_call(&connection->socket.out, entity)) {
		report.refused++; /* the server is far behind: counted, and told */
		return;
	}
	connection->due_ns[(connection->first + connection->count++) % OUTSTANDING_MAX] = due_ns;
}

/* Whether the whole call is answered. */
static bool take_reply(struct connection *connection, struct slice wire, uint64_t now)
{
	bool waited = connection->half;
	if (wire.data[0] == '-')
		load_report_error(&report, "%.*s", (int)wire.bytes - 2, (const char *)wire.data);
	else if (waited && strtoul((const char *)wire.data + 1, NULL, 10) < options.wait)
		load_report_error(&report, "too few replicas have it");
	else if (options.read && wire.bytes < options.value)
		load_report_error(&report, "an answer of %zu bytes: no value", wire.bytes);
	connection->half = options.wait && !waited;
	if (connection->half)
		return false;
	uint64_t due = connection->due_ns[connection->first];
	connection->first = (connection->first + 1) % OUTSTANDING_MAX;
	connection->count--;
	answered++;
	load_report_answered(&report, due, now);
	return true;
}

static void receive(void *owner, const uint8_t *data, size_t bytes)
{
	struct connection *connection = owner;
	if (buffer_append(&connection->in, data, bytes))
		load_die("memory");
	uint64_t now = clock_monotonic_ns();
	while (buffer_bytes(&connection->in)) {
		struct slice in = buffer_view(&connection->in);
		resp_reader_feed(&connection->reader, in);
		int error = resp_reader_whole(&connection->reader);
		if (error == ERR_TRUNCATED)
			break;
		if (error || connection->count == 0) {
			errno = EPROTO;
			load_die("reply");
		}
		size_t taken = resp_reader_offset(&connection->reader);
		bool whole = take_reply(connection, slice_of(in.data, taken), now);
		buffer_consume(&connection->in, taken);
		resp_reader_init(&connection->reader, 1 << 20, RESP_DEPTH_MAX);
		if (whole && !options.rate)
			add_call(connection, now);
	}
}

static void connect_one(struct connection *connection, const struct target *target)
{
	connection->target = target;
	load_socket_open(&connection->socket, io, target->port, receive, connection);
	buffer_init(&connection->in, (size_t)64 << 20);
	resp_reader_init(&connection->reader, 1 << 20, RESP_DEPTH_MAX);
	connection->due_ns = calloc(OUTSTANDING_MAX, sizeof(uint64_t));
	if (!connection->due_ns)
		load_die("memory");
}

/* Sleeps until then, not around it: a load that spins takes a processor away from what it
 * measures, the kernel's own threads that end a write of the server included. */
static uint64_t wait_time(uint64_t now, uint64_t next_due, uint64_t end)
{
	return load_wait(now, options.rate && next_due < end ? next_due : end);
}

static void run(uint64_t begin_ns)
{
	uint64_t period = options.rate ? NS_PER_S / options.rate : 0;
	uint64_t warm_at = begin_ns + (options.each ? 0 : NS_PER_S / 2);
	uint64_t end = warm_at + (options.each ? 3600 : options.seconds) * NS_PER_S;
	uint64_t next_due = begin_ns, now = begin_ns;
	size_t turn = 0;
	size_t spread = options.connections > 0 ? options.connections : 1;
	while (now < end && !(options.each && answered == options.entities)) {
		while (options.rate && next_due <= now) {
			add_call(&connections[turn++ % spread], next_due);
			next_due += period;
		}
		for (size_t i = 0; i < options.connections; i++)
			load_socket_flush(&connections[i].socket);
		io_poll(io, wait_time(now, next_due, end));
		io_run(io);
		now = clock_monotonic_ns();
		if (!report.begun && now >= warm_at)
			load_report_begin(&report, now);
	}
}

static void parse(int argc, char **argv)
{
	static const struct load_option table[] = {
	    {"connections", .number = &options.connections, .number_max = CONNECTIONS_MAX},
	    {"pipeline", .number = &options.pipeline, .number_max = PIPELINE_MAX},
	    {"seconds", .number = &options.seconds, .number_max = 3600},
	    {"entities", .number = &options.entities, .number_max = 1000000000},
	    {"value", .number = &options.value, .number_max = VALUE_MAX},
	    {"seed", .number = &options.seed, .number_max = UINT32_MAX},
	    {"type", .word = &options.type},
	    {"each", .flag = &options.each},
	    {"rate", .number = &options.rate, .number_max = 10000000},
	    {"wait", .number = &options.wait, .number_max = 9},
	    {"function", .word = &options.function},
	    {"read", .flag = &options.read},
	    {"cluster", .flag = &options.cluster},
	};
	int at = load_options(argc, argv, table, sizeof(table) / sizeof(table[0]));
	if (at + 1 != argc || !options.connections || !options.pipeline || !options.entities ||
	    (options.each && options.cluster)) {
		fprintf(stderr, "usage: resp_load PORT [--connections N] [--pipeline N] ...\n");
		exit(2);
	}
	options.port = load_number(argv[at], 65535);
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	load_report_init(&report);
	random_init(&dice, options.seed);
	prctl(PR_SET_TIMERSLACK, 1UL); /* or each sleep may last 50 us longer */
	io = load_io_new();
	targets[0].port = options.port;
	if (options.cluster)
		find_targets();
	for (size_t i = 0; i < options.connections; i++)
		connect_one(&connections[i], &targets[i % target_count]);
	uint64_t begin_ns = clock_monotonic_ns();
	if (options.each)
		load_report_begin(&report, begin_ns);
	for (size_t i = 0; i < options.connections && !options.rate; i++)
		for (size_t j = 0; j < options.pipeline; j++)
			add_call(&connections[i], begin_ns);
	run(begin_ns);
	load_report_print(&report, clock_monotonic_ns(), "resp_load");
	bool all = !options.each || answered == options.entities;
	return report.errors || !all ? 1 : 0;
}
