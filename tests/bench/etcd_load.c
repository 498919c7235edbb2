/* A load generator for etcd: its v3 interface (gRPC, which is HTTP/2) through libnghttp2.
 *
 *   etcd_load PORT put|get [--connections N] [--pipeline N] [--seconds S] [--entities N]
 *             [--type TYPE] [--value BYTES] [--seed N] [--each]
 *
 * Every call is a KV/Put of key TYPE/n and a value of that many letters, or a linearizable
 * KV/Range of such a key, n at random: the bytes that resp_load sends and reads. Closed loop: each
 * connection keeps `pipeline` calls (streams) outstanding; a latency counts from when its call was
 * handed to the library. With --each, n goes from 0 to the number of entities once.
 *
 * It is meant to cost little beside etcd: one thread, one send and one recv of a connection for all
 * calls that are ready, headers that HPACK makes a byte each after the first call. Everything on
 * loopback, without TLS.
 *
 * Prints the line of load_report.h. Exit status 1 where an answer was not the one wanted: another
 * grpc-status than 0, or of a get fewer bytes than the value has.
 */
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/random.h"
#include "tests/bench/load_options.h"
#include "tests/bench/load_report.h"
#include "tests/bench/load_socket.h"

#define CONNECTIONS_MAX 1024
#define PIPELINE_MAX    1024
#define VALUE_MAX       LOAD_LETTERS_MAX
#define MESSAGE_MAX     (VALUE_MAX + 128)

struct call {
	struct connection *connection;
	uint64_t due_ns;
	size_t bytes, sent; /* of the message */
	size_t answered;    /* bytes of the answer */
	int status;         /* grpc-status; -1: not said yet */
	uint8_t message[MESSAGE_MAX];
};

struct connection {
	nghttp2_session *session;
	struct call *calls; /* [pipeline] */
	struct load_socket socket;
};

static struct {
	unsigned long port, connections, pipeline, seconds, entities, value, seed;
	const char *type;
	bool gets, each;
} options = {.connections = 50,
    .pipeline = 1,
    .seconds = 5,
    .entities = 10000,
    .value = 200,
    .seed = 1,
    .type = "kv"};

static struct connection connections[CONNECTIONS_MAX];
static struct load_report report;
static struct random dice;
static uint64_t now_ns, given, answered;
static char authority[64], told[200]; /* told: the last grpc-message */
static struct io *io;

static void check(ssize_t result, const char *what)
{
	if (result >= 0)
		return;
	fprintf(stderr, "etcd_load: %s: %s\n", what, nghttp2_strerror((int)result));
	exit(2);
}

/* ---- Messages: a byte whether it is compressed, four of length, and protobuf ---- */

static uint8_t *put_field(uint8_t *to, unsigned field, const char *from, size_t bytes)
{
	*to++ = (uint8_t)(field << 3 | 2); /* length-delimited */
	size_t left = bytes;
	for (; left >= 0x80; left >>= 7)
		*to++ = (uint8_t)(left | 0x80);
	*to++ = (uint8_t)left;
	memcpy(to, from, bytes);
	return to + bytes;
}

static void write_message(struct call *call, unsigned long entity)
{
	char key[64];
	int key_bytes = snprintf(key, sizeof(key), "%.32s/%lu", options.type, entity);
	uint8_t *at = put_field(call->message + 5, 1, key, (size_t)key_bytes);
	if (!options.gets)
		at = put_field(at, 2, load_letters(&dice, options.value), options.value);
	size_t bytes = (size_t)(at - call->message) - 5;
	call->message[0] = 0;
	for (int i = 0; i < 4; i++)
		call->message[1 + i] = (uint8_t)(bytes >> (24 - 8 * i));
	call->bytes = bytes + 5;
	call->sent = 0;
}

static ssize_t read_message(nghttp2_session *session, int32_t stream, uint8_t *to, size_t room,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct call *call = source->ptr;
	size_t bytes = call->bytes - call->sent < room ? call->bytes - call->sent : room;
	(void)session;
	(void)stream;
	(void)arg;
	memcpy(to, call->message + call->sent, bytes);
	call->sent += bytes;
	if (call->sent == call->bytes)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)bytes;
}

#define HEADER(name, text)                                                                         \
	{                                                                                          \
		(uint8_t *)(name), (uint8_t *)(text), sizeof(name) - 1, sizeof(text) - 1,          \
		    NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE                   \
	}

static void begin_call(struct connection *connection, struct call *call)
{
	if (options.each && given == options.entities)
		return;
	write_message(call, options.each ? given : random_below(&dice, options.entities));
	given++;
	nghttp2_nv headers[] = {HEADER(":method", "POST"), HEADER(":scheme", "http"),
	    HEADER(":path", "/etcdserverpb.KV/Put"), HEADER(":authority", ""),
	    HEADER("content-type", "application/grpc"), HEADER("te", "trailers")};
	if (options.gets)
		headers[2] = (nghttp2_nv)HEADER(":path", "/etcdserverpb.KV/Range");
	headers[3].value = (uint8_t *)authority;
	headers[3].valuelen = strlen(authority);
	nghttp2_data_provider body = {.source.ptr = call, .read_callback = read_message};
	call->connection = connection;
	call->due_ns = now_ns;
	call->answered = 0;
	call->status = -1;
	check(nghttp2_submit_request(connection->session, NULL, headers,
	          sizeof(headers) / sizeof(headers[0]), &body, call),
	    "request");
}

/* ---- Answers ---- */

static int take_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_bytes, const uint8_t *text, size_t text_bytes, uint8_t flags, void *arg)
{
	struct call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	(void)flags;
	(void)arg;
	if (!call)
		return 0;
	if (name_bytes == 11 && memcmp(name, "grpc-status", 11) == 0)
		call->status = text_bytes == 1 ? text[0] - '0' : 99;
	else if (name_bytes == 12 && memcmp(name, "grpc-message", 12) == 0)
		snprintf(told, sizeof(told), "%.*s", (int)text_bytes, (const char *)text);
	return 0;
}

static int take_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
    size_t bytes, void *arg)
{
	struct call *call = nghttp2_session_get_stream_user_data(session, stream);
	(void)flags;
	(void)data;
	(void)arg;
	if (call)
		call->answered += bytes;
	return 0;
}

static int end_call(nghttp2_session *session, int32_t stream, uint32_t error, void *arg)
{
	struct call *call = nghttp2_session_get_stream_user_data(session, stream);
	(void)arg;
	if (!call)
		return 0;
	answered++;
	if (error || call->status != 0)
		load_report_error(
		    &report, "HTTP/2 error %u, grpc-status %d %s", error, call->status, told);
	else if (options.gets && call->answered < options.value)
		load_report_error(&report, "an answer of %zu bytes: no value", call->answered);
	load_report_answered(&report, call->due_ns, now_ns);
	begin_call(call->connection, call);
	return 0;
}

/* ---- Connections ---- */

static void flush(struct connection *connection)
{
	const uint8_t *frame;
	ssize_t bytes;
	while ((bytes = nghttp2_session_mem_send(connection->session, &frame)) > 0)
		if (buffer_append(&connection->socket.out, frame, (size_t)bytes))
			load_die("memory");
	check(bytes, "frames");
	load_socket_flush(&connection->socket);
}

static void receive(void *owner, const uint8_t *data, size_t bytes)
{
	struct connection *connection = owner;
	now_ns = clock_monotonic_ns();
	check(nghttp2_session_mem_recv(connection->session, data, bytes), "answer");
	flush(connection);
}

static void connect_one(struct connection *connection, const nghttp2_session_callbacks *callbacks)
{
	nghttp2_settings_entry settings[] = {
	    {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}, {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20}};
	load_socket_open(&connection->socket, io, options.port, receive, connection);
	connection->calls = calloc(options.pipeline, sizeof(struct call));
	if (!connection->calls)
		load_die("memory");
	check(nghttp2_session_client_new(&connection->session, callbacks, connection), "session");
	check(nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, settings, 2),
	    "settings");
	check(nghttp2_session_set_local_window_size(
	          connection->session, NGHTTP2_FLAG_NONE, 0, 16 << 20),
	    "window");
}

static void connect_all(void)
{
	nghttp2_session_callbacks *callbacks;
	check(nghttp2_session_callbacks_new(&callbacks), "callbacks");
	nghttp2_session_callbacks_set_on_header_callback(callbacks, take_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, take_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, end_call);
	for (size_t i = 0; i < options.connections; i++)
		connect_one(&connections[i], callbacks);
	nghttp2_session_callbacks_del(callbacks);
}

static void run(void)
{
	uint64_t warm_at = now_ns + (options.each ? 0 : NS_PER_S / 2);
	uint64_t end = warm_at + (options.each ? 3600 : options.seconds) * NS_PER_S;
	while (now_ns < end && !(options.each && answered == options.entities)) {
		io_poll(io, load_wait(now_ns, end));
		io_run(io);
		now_ns = clock_monotonic_ns();
		if (!report.begun && now_ns >= warm_at)
			load_report_begin(&report, now_ns);
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
	};
	int at = load_options(argc, argv, table, sizeof(table) / sizeof(table[0]));
	const char *what = at + 2 == argc ? argv[at + 1] : "";
	options.gets = strcmp(what, "get") == 0;
	if ((!options.gets && strcmp(what, "put") != 0) || !options.connections ||
	    !options.pipeline || !options.entities) {
		fprintf(stderr, "usage: etcd_load PORT put|get [--connections N] ...\n");
		exit(2);
	}
	options.port = load_number(argv[at], 65535);
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	load_report_init(&report);
	random_init(&dice, options.seed);
	snprintf(authority, sizeof(authority), "127.0.0.1:%lu", options.port);
	prctl(PR_SET_TIMERSLACK, 1UL); /* or each sleep may last 50 us longer */
	io = load_io_new();
	connect_all();
	now_ns = clock_monotonic_ns();
	if (options.each)
		load_report_begin(&report, now_ns);
	for (size_t i = 0; i < options.connections; i++) {
		for (size_t j = 0; j < options.pipeline; j++)
			begin_call(&connections[i], &connections[i].calls[j]);
		flush(&connections[i]);
	}
	run();
	load_report_print(&report, now_ns, "etcd_load");
	bool all = !options.each || answered == options.entities;
	return report.errors || !all ? 1 : 0;
}
