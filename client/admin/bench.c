#include "client/admin/bench.h"

#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"

/* For replies that are under way at the end, above the calls' own time. */
#define GRACE_NS (2 * NS_PER_S)

struct call {
	struct bench *bench;
	struct connection *connection;
	uint64_t began_ns; /* or when it was due */
	bool is_free;
};

struct connection {
	kalix *k;
	struct call *calls;
	uint32_t under_way;
};

struct bench {
	const struct bench_options *options;
	struct bench_result *result;
	struct connection *connections;
	struct call *calls;
	struct pollfd *polled;
	const char *before, *after; /* of the address, around its number */
	size_t before_bytes;
	uint64_t numbers; /* 0: it has none */
	uint64_t started, under_way;
	uint64_t began_ns, end_ns;
	uint32_t next; /* the connection that is asked first for the next call that is due */
	int error;
};

/* ---- The address ---- */

static int read_pattern(struct bench *bench)
{
	const char *address = bench->options->address, *open = strchr(address, '{');
	if (strlen(address) > ADDRESS_BYTES_MAX)
		return ERR_INVALID;
	bench->before = address;
	bench->before_bytes = open ? (size_t)(open - address) : strlen(address);
	bench->after = "";
	if (!open)
		return 0;
	char *end;
	bench->numbers = strtoull(open + 1, &end, 10);
	bench->after = end + 1;
	if (open[1] < '1' || open[1] > '9' || *end != '}' || bench->numbers > UINT32_MAX)
		return ERR_INVALID;
	return 0;
}

static void next_address(const struct bench *bench, char text[ADDRESS_BYTES_MAX + 32])
{
	if (bench->numbers == 0)
		snprintf(text, ADDRESS_BYTES_MAX + 32, "%s", bench->before);
	else
		snprintf(text, ADDRESS_BYTES_MAX + 32, "%.*s%" PRIu64 "%s",
		    (int)bench->before_bytes, bench->before, bench->started % bench->numbers + 1,
		    bench->after);
}

/* ---- Calls ---- */

static void ended(void *arg, int code, kalix_reply *reply);

static void count(struct bench *bench, int code, const char *why)
{
	if (code > 0 && !bench->result->why[0])
		snprintf(
		    bench->result->why, BENCH_WHY_BYTES, "%s: %s", kalix_error_name(code), why);
	bench->result->ended[code < 0 || code >= BENCH_CODES ? KALIX_INTERNAL : code]++;
}

static void start(struct bench *bench, struct call *call, uint64_t began_ns)
{
	char address[ADDRESS_BYTES_MAX + 32];
	const struct bench_options *options = bench->options;
	kalix_options with = {.timeout_ms = options->timeout_ms, .token = KALIX_NO_TOKEN};
	next_address(bench, address);
	bench->started++;
	call->began_ns = began_ns;
	int code = kalix_call_async(
	    call->connection->k, address, options->command, options->json, &with, ended, call);
	if (code) {
		/* Not even sent, as all that follow: going on would only count them. */
		count(bench, code, "this call cannot be made");
		bench->error = code == KALIX_RESOURCE_EXHAUSTED ? ERR_NOMEM : ERR_INVALID;
		return;
	}
	call->is_free = false;
	call->connection->under_way++;
	bench->under_way++;
}

static bool is_over(const struct bench *bench, uint64_t now_ns)
{
	return now_ns >= bench->end_ns || bench->error;
}

static void ended(void *arg, int code, kalix_reply *reply)
{
	struct call *call = arg;
	struct bench *bench = call->bench;
	uint64_t now_ns = clock_monotonic_ns();
	histogram_record(&bench->result->took_ns, now_ns - call->began_ns);
	count(bench, code, kalix_reply_message(reply));
	kalix_reply_free(reply);
	call->is_free = true;
	call->connection->under_way--;
	bench->under_way--;
	if (bench->options->rate == 0 && !is_over(bench, now_ns))
		start(bench, call, now_ns);
}

static struct call *find_free(const struct bench *bench, const struct connection *connection)
{
	if (connection->under_way == bench->options->pipeline)
		return NULL;
	for (uint32_t i = 0; i < bench->options->pipeline; i++)
		if (connection->calls[i].is_free)
			return &connection->calls[i];
	return NULL;
}

/* ---- Calls that are due ---- */

static uint64_t due_ns(const struct bench *bench, uint64_t number)
{
	return bench->began_ns +
	       (uint64_t)((unsigned __int128)number * NS_PER_S / bench->options->rate);
}

static void start_due(struct bench *bench, uint64_t now_ns)
{
	uint32_t tried = 0;
	while (tried < bench->options->connections && !bench->error) {
		uint64_t at_ns = due_ns(bench, bench->started);
		if (at_ns > now_ns || at_ns >= bench->end_ns)
			return;
		struct call *call = find_free(bench, &bench->connections[bench->next]);
		bench->next = (bench->next + 1) % bench->options->connections;
		tried = call ? 0 : tried + 1;
		if (call)
			start(bench, call, at_ns);
	}
}

/* Those for which there was no place have waited at least until now. */
static void count_waiting(struct bench *bench)
{
	for (uint64_t at_ns; (at_ns = due_ns(bench, bench->started)) < bench->end_ns;
	     bench->started++) {
		histogram_record(&bench->result->took_ns, bench->end_ns - at_ns);
		bench->result->waiting++;
	}
}

/* ---- The loop ---- */

static void step_all(struct bench *bench, uint64_t *ret_wake_ns)
{
	uint64_t wake_ms = UINT64_MAX;
	for (uint32_t i = 0; i < bench->options->connections; i++) {
		uint64_t own_ms;
		kalix_step(bench->connections[i].k, clock_monotonic_ns() / NS_PER_MS, &own_ms);
		wake_ms = own_ms < wake_ms ? own_ms : wake_ms;
	}
	*ret_wake_ns = wake_ms > UINT64_MAX / NS_PER_MS ? UINT64_MAX : wake_ms * NS_PER_MS;
}

static void wait_until(struct bench *bench, uint64_t until_ns)
{
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t wait_ns = until_ns > now_ns ? until_ns - now_ns : 0;
	struct timespec wait = {
	    .tv_sec = (time_t)(wait_ns / NS_PER_S), .tv_nsec = (long)(wait_ns % NS_PER_S)};
	ppoll(bench->polled, bench->options->connections, &wait, NULL);
}

static void run(struct bench *bench)
{
	const struct bench_options *options = bench->options;
	bench->began_ns = clock_monotonic_ns();
	bench->end_ns = bench->began_ns + options->seconds * NS_PER_S;
	if (options->rate == 0)
		for (uint32_t i = 0; i < options->connections * options->pipeline; i++)
			start(bench, &bench->calls[i], clock_monotonic_ns());
	for (bool was_over = false;;) {
		uint64_t now_ns = clock_monotonic_ns(), wake_ns;
		bool over = is_over(bench, now_ns);
		step_all(bench, &wake_ns);
		/* Behind the step, which made places; what is started wakes the next one. Once more
		 * at the end: the last ones were due since it was looked at before. */
		if (options->rate > 0 && !was_over)
			start_due(bench, now_ns);
		was_over = over;
		if (over && (bench->under_way == 0 || now_ns > bench->end_ns + GRACE_NS +
		                                                   options->timeout_ms * NS_PER_MS))
			break;
		uint64_t until_ns = over ? now_ns + NS_PER_S / 10 : bench->end_ns;
		if (options->rate > 0 && !over && due_ns(bench, bench->started) > now_ns &&
		    due_ns(bench, bench->started) < until_ns)
			until_ns = due_ns(bench, bench->started);
		wait_until(bench, wake_ns < until_ns ? wake_ns : until_ns);
	}
	bench->result->ran_ns = clock_monotonic_ns() - bench->began_ns;
	if (options->rate > 0 && !bench->error)
		count_waiting(bench);
}

/* A connection has three descriptors. */
static void raise_files(uint32_t connections)
{
	struct rlimit limit;
	rlim_t wanted = 3 * (rlim_t)connections + 64;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int open_all(struct bench *bench)
{
	const struct bench_options *options = bench->options;
	uint32_t pipeline = options->pipeline;
	bench->connections = mem_zalloc(options->connections, sizeof(*bench->connections));
	bench->polled = mem_zalloc(options->connections, sizeof(*bench->polled));
	bench->calls = mem_zalloc((size_t)options->connections * pipeline, sizeof(*bench->calls));
	if (!bench->connections || !bench->polled || !bench->calls)
		return ERR_NOMEM;
	raise_files(options->connections);
	for (uint32_t i = 0; i < options->connections; i++) {
		struct connection *connection = &bench->connections[i];
		connection->calls = bench->calls + (size_t)i * pipeline;
		if (kalix_open(options->node, &connection->k))
			return ERR_NOMEM;
		bench->polled[i] = (struct pollfd){.fd = kalix_fd(connection->k), .events = POLLIN};
		for (uint32_t n = 0; n < pipeline; n++)
			connection->calls[n] = (struct call){
			    .bench = bench, .connection = connection, .is_free = true};
		/* Connecting is no part of the first call. */
		static const char *const ping[] = {"PING"};
		kalix_reply *reply;
		(void)kalix_command(connection->k, 1, ping, NULL, NULL, &reply);
		kalix_reply_free(reply);
	}
	return 0;
}

int bench_run(const struct bench_options *options, struct bench_result *ret_result)
{
	struct bench bench = {.options = options, .result = ret_result};
	memset(ret_result, 0, sizeof(*ret_result));
	int error = read_pattern(&bench);
	if (!error)
		error = open_all(&bench);
	if (!error)
		run(&bench);
	/* What is still under way ends now, as a call of which nothing is known. */
	bench.end_ns = 0;
	for (uint32_t i = 0; bench.connections && i < options->connections; i++)
		kalix_close(bench.connections[i].k);
	mem_free(bench.connections);
	mem_free(bench.polled);
	mem_free(bench.calls);
	return error ? error : bench.error;
}
