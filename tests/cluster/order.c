/* Clients that pipeline calls to a few entities of line/ through all nodes, while those come and
 * go, and a check of what came of it.
 *
 *   order SECONDS kept|broken READY_FILE...   "ok FACT" or "not ok FACT" for each, and figures
 *
 * Two connections to each node's port at which calls are forwarded have up to two bursts of calls
 * under way; each names its connection and its number there, and some are refused by their handler.
 * Where a connection breaks the next one begins. Two handles of libkalix do the same, each as one
 * connection, one of which follows the leaders by the ports for that; `kept`: no node ends
 * meanwhile, so that what they promise of order holds.
 *
 * An entity tells who came, in their order. In the end all nodes are asked for all entities: of
 * each connection those that came did so in the order in which they were sent, also where nobody
 * was told of it; each once; who was told its place has it; and who was told that surely nothing
 * was done did not come.
 */
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "client/kalix.h"

enum {
	NODES_MAX = 5,
	WORKERS_OF_NODE = 2,
	HANDLES = 2,
	WORKERS_MAX = NODES_MAX * WORKERS_OF_NODE + HANDLES,
	LINES_MAX = 4000,
	CALLS_MAX = 20000, /* of a connection */
	BURST = 6,
	ENTITIES = 2,   /* at a time */
	ROUND_MS = 500, /* then others, so that none has too many */
	ROUNDS_MAX = 200,
	REFUSED_EVERY = 7,
	CALL_MS = 3000,
	SHORT_MS = 400, /* of some, whose time ends while nobody leads */
	SHORT_EVERY = 5,
	/* Of libkalix, which leaves a server that has said nothing for so long. */
	HANDLE_MS = 30000,
	SILENCE_S = 15, /* no node is silent for so long: it answers, or the connection ends */
	PAUSE_US = 40000,
	LAST_S = 60, /* for all to be told in the end */
};

enum result { RESULT_UNKNOWN, RESULT_OK, RESULT_REFUSED, RESULT_NOTHING, RESULTS };

struct sent {
	uint16_t entity;
	uint8_t result;
	bool is_refusal; /* asks for one */
	uint32_t place;  /* OK: as it was told */
};

/* One connection: calls[i] was sent as the i-th. */
struct line {
	unsigned number;
	bool is_ordered;
	unsigned count, answered;
	struct sent calls[CALLS_MAX];
};

struct worker {
	pthread_t thread;
	unsigned number, node;
	struct random dice;
	struct line *line;
};

static struct line *lines[LINES_MAX];
static atomic_uint line_count, wrong_answers;
static const char *const *ready_files;
static unsigned node_count;
static const char *run_name; /* of the entities, too */
static uint64_t begin_ns, end_ns;

/* ---- What is called ---- */

static struct line *new_line(bool is_ordered)
{
	unsigned number = atomic_fetch_add(&line_count, 1);
	struct line *line = calloc(1, sizeof(*line));
	if (!line || number >= LINES_MAX) {
		(void)fprintf(stderr, "too many connections\n");
		exit(2);
	}
	line->number = number;
	line->is_ordered = is_ordered;
	lines[number] = line;
	return line;
}

static bool is_time_left(void)
{
	return clock_monotonic_ns() < end_ns;
}

/* The next one of the line; its words. */
static struct sent *next_call(
    struct worker *worker, const char **ret_name, char address[32], char payload[32])
{
	struct line *line = worker->line;
	uint64_t round = (clock_monotonic_ns() - begin_ns) / (ROUND_MS * NS_PER_MS);
	struct sent *sent = &line->calls[line->count];
	if (round >= ROUNDS_MAX)
		round = ROUNDS_MAX - 1;
	sent->entity = (uint16_t)(round * ENTITIES + random_below(&worker->dice, ENTITIES));
	sent->is_refusal = line->count % REFUSED_EVERY == 3;
	*ret_name = sent->is_refusal ? "refuse" : "put";
	snprintf(address, 32, "line/%s%u", run_name, sent->entity);
	snprintf(payload, 32, "{\"who\":%llu}",
	    (unsigned long long)line->number * CALLS_MAX + line->count);
	line->count++;
	return sent;
}

static void note(struct sent *sent, bool is_ok, const char *code, const char *text)
{
	static const char *const nothing[] = {
	    "UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"};
	bool is_known = strcmp(code, "UNKNOWN_OUTCOME") == 0;
	if (is_ok) {
		is_known = !sent->is_refusal;
		sent->result = RESULT_OK;
		sent->place = (uint32_t)strtoul(text, NULL, 10);
	} else if (strcmp(code, "FAILED_PRECONDITION") == 0) {
		is_known = sent->is_refusal;
		sent->result = RESULT_REFUSED;
	}
	for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++)
		if (!is_ok && strcmp(code, nothing[i]) == 0) {
			is_known = true;
			sent->result = RESULT_NOTHING;
		}
	if (!is_known && atomic_fetch_add(&wrong_answers, 1) < 10)
		printf("    an answer that cannot be: %s %s\n", code, text);
}

/* ---- Connections ---- */

static int port_of(unsigned node, const char *name)
{
	char text[64];
	int port = 0;
	size_t name_bytes = strlen(name);
	FILE *ready = fopen(ready_files[node], "r");
	while (ready && fgets(text, sizeof(text), ready))
		if (strncmp(text, name, name_bytes) == 0)
			port = (int)strtol(text + name_bytes, NULL, 10);
	if (ready)
		(void)fclose(ready);
	return port;
}

static redisContext *connect_to(unsigned node)
{
	struct timeval silence = {SILENCE_S, 0};
	int port = port_of(node, "port=");
	redisContext *context =
	    port == 0 ? NULL : redisConnectWithTimeout("127.0.0.1", port, silence);
	if (!context || (!context->err && redisSetTimeout(context, silence) == REDIS_OK))
		return context;
	redisFree(context);
	return NULL;
}

static void append_burst(struct worker *worker, redisContext *context)
{
	for (unsigned i = 0; i < BURST; i++) {
		const char *name;
		char address[32], payload[32];
		(void)next_call(worker, &name, address, payload);
		(void)redisAppendCommand(context, "CALL %s %s %s TIMEOUT %d", address, name,
		    payload, worker->line->count % SHORT_EVERY == 0 ? SHORT_MS : CALL_MS);
	}
}

/* Answers come in the order of calls. False: the connection is gone. */
static bool take_answers(struct line *line, redisContext *context, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		void *taken = NULL;
		char code[32] = "";
		if (redisGetReply(context, &taken) != REDIS_OK)
			return false;
		redisReply *reply = taken;
		bool is_ok =
		    reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_INTEGER;
		if (!is_ok && reply->str)
			snprintf(
			    code, sizeof(code), "%.*s", (int)strcspn(reply->str, " "), reply->str);
		note(&line->calls[line->answered++], is_ok, code, reply->str ? reply->str : "");
		freeReplyObject(reply);
	}
	return true;
}

/* Two bursts are under way until the time is over, or the connection breaks. */
static void use(struct worker *worker, redisContext *context)
{
	struct line *line = worker->line;
	append_burst(worker, context);
	while (is_time_left() && line->count + BURST <= CALLS_MAX) {
		append_burst(worker, context);
		if (!take_answers(line, context, BURST))
			return;
	}
	(void)take_answers(line, context, line->count - line->answered);
}

static void *run_connections(void *arg)
{
	struct worker *worker = arg;
	while (is_time_left()) {
		redisContext *context = connect_to(worker->node);
		if (context) {
			worker->line = new_line(true);
			use(worker, context);
			redisFree(context);
		}
		usleep(PAUSE_US);
	}
	return NULL;
}

/* ---- libkalix ---- */

struct under_way {
	struct line *line;
	struct sent *sent;
};

static void call_done(void *arg, int code, kalix_reply *reply)
{
	struct under_way *call = arg;
	note(call->sent, code == KALIX_OK, kalix_error_name(code),
	    code == KALIX_OK ? kalix_reply_json(reply) : kalix_reply_message(reply));
	call->line->answered++;
	kalix_reply_free(reply);
	free(call);
}

static void call_by_handle(struct worker *worker, kalix *k)
{
	const kalix_options options = {.timeout_ms = HANDLE_MS};
	const char *name;
	char address[32], payload[32];
	struct under_way *call = calloc(1, sizeof(*call));
	if (!call)
		abort();
	call->line = worker->line;
	call->sent = next_call(worker, &name, address, payload);
	if (kalix_call_async(k, address, name, payload, &options, call_done, call) != KALIX_OK)
		abort();
}

static void *run_handle(void *arg)
{
	struct worker *worker = arg;
	/* One follows the leaders, and one lets the nodes do that. */
	const char *name = worker->number % 2 == 0 ? "cluster_port=" : "port=";
	char nodes[NODES_MAX * 32] = "";
	size_t used = 0;
	kalix *k;
	for (unsigned i = 0; i < node_count; i++)
		used += (size_t)snprintf(nodes + used, sizeof(nodes) - used, "%s127.0.0.1:%d",
		    i > 0 ? "," : "", port_of(i, name));
	if (kalix_open(nodes, &k) != KALIX_OK)
		abort();
	worker->line = new_line(strcmp(run_name, "kept") == 0);
	uint64_t next_ms = 0;
	while (is_time_left() || kalix_pending(k) > 0) {
		uint64_t now_ms = clock_monotonic_ns() / NS_PER_MS, wake_ms;
		if (is_time_left() && now_ms >= next_ms && kalix_pending(k) <= BURST &&
		    worker->line->count + BURST <= CALLS_MAX) {
			for (unsigned i = 0; i < BURST; i++)
				call_by_handle(worker, k);
			next_ms = now_ms + PAUSE_US / 1000;
		}
		(void)kalix_step(k, now_ms, &wake_ms);
		struct pollfd readable = {.fd = kalix_fd(k), .events = POLLIN};
		(void)poll(&readable, 1, wake_ms > now_ms + 20 ? 20 : (int)(wake_ms - now_ms));
	}
	kalix_close(k);
	return NULL;
}

/* ---- What came of it ---- */

static unsigned disorders, doubles, misplaced, not_there, there, differences, behind_refused;

/* Who came to an entity, as a node tells. False: it does not. */
static bool ask(unsigned node, unsigned entity, char **ret_text)
{
	uint64_t until_ns = clock_monotonic_ns() + LAST_S * NS_PER_S;
	bool is_told = false;
	while (!is_told && clock_monotonic_ns() < until_ns) {
		redisContext *context = connect_to(node);
		redisReply *reply =
		    context ? redisCommand(context, "CALL line/%s%u get", run_name, entity) : NULL;
		is_told = reply && reply->type == REDIS_REPLY_STRING;
		if (is_told)
			*ret_text = strdup(reply->str);
		if (reply)
			freeReplyObject(reply);
		if (context)
			redisFree(context);
		if (!is_told)
			usleep(PAUSE_US);
	}
	return is_told && *ret_text;
}

static struct sent *sent_of(uint64_t who)
{
	uint64_t line = who / CALLS_MAX, call = who % CALLS_MAX;
	if (line >= line_count || call >= lines[line]->count)
		return NULL;
	return &lines[line]->calls[call];
}

/* One of them at its place, from 1; `last`: of each line, 1 + who came last. */
static void check_one(unsigned entity, uint64_t who, unsigned place, unsigned last[LINES_MAX])
{
	const struct line *line = lines[who / CALLS_MAX < line_count ? who / CALLS_MAX : 0];
	struct sent *sent = sent_of(who);
	unsigned call = (unsigned)(who % CALLS_MAX);
	if (!sent || sent->entity != entity) {
		misplaced++;
		return;
	}
	if (line->is_ordered && call < last[who / CALLS_MAX])
		disorders++;
	last[who / CALLS_MAX] = call + 1;
	there += sent->result == RESULT_NOTHING || sent->result == RESULT_REFUSED;
	misplaced += sent->result == RESULT_OK && sent->place != place;
	behind_refused += call > 0 && lines[who / CALLS_MAX]->calls[call - 1].is_refusal;
}

static void check_entity(unsigned entity, const char *text, bool *came)
{
	static unsigned last[LINES_MAX];
	unsigned place = 0;
	memset(last, 0, sizeof(last));
	for (const char *at = text + 1; *at >= '0' && *at <= '9';) {
		char *end;
		uint64_t who = strtoull(at, &end, 10);
		check_one(entity, who, ++place, last);
		if (who < (uint64_t)LINES_MAX * CALLS_MAX) {
			doubles += came[who];
			came[who] = true;
		}
		at = *end == ',' ? end + 1 : end;
	}
}

/* False: somebody does not tell. */
static bool check_all(bool *came)
{
	unsigned entities = 0;
	for (unsigned i = 0; i < line_count; i++)
		for (unsigned k = 0; k < lines[i]->count; k++)
			if (lines[i]->calls[k].entity >= entities)
				entities = lines[i]->calls[k].entity + 1U;
	for (unsigned i = 0; i < entities; i++) {
		char *first = NULL;
		for (unsigned node = 0; node < node_count; node++) {
			char *text = NULL;
			if (!ask(node, i, &text)) {
				free(first);
				return false;
			}
			if (node == 0) {
				check_entity(i, text, came);
				first = text;
				continue;
			}
			differences += strcmp(first, text) != 0;
			free(text);
		}
		free(first);
	}
	return true;
}

static void fact(bool is_so, const char *text)
{
	printf("%s %s\n", is_so ? "ok" : "not ok", text);
}

static void report(bool is_told, const bool *came)
{
	unsigned results[RESULTS] = {0}, unanswered = 0, unknown_there = 0;
	for (unsigned i = 0; i < line_count; i++) {
		const struct line *line = lines[i];
		unanswered += line->count - line->answered;
		for (unsigned k = 0; k < line->count; k++) {
			enum result result = line->calls[k].result;
			bool is_there = came[(size_t)i * CALLS_MAX + k];
			results[result]++;
			not_there += result == RESULT_OK && !is_there;
			unknown_there += result == RESULT_UNKNOWN && is_there;
		}
	}
	fact(is_told, "all nodes tell in the end who came");
	fact(differences == 0, "and tell the same");
	fact(disorders == 0, "of one connection they came to an entity in the order sent");
	fact(doubles == 0, "each once");
	fact(not_there == 0 && misplaced == 0, "who was told its place has it");
	fact(there == 0, "who was told that surely nothing was done did not come");
	fact(wrong_answers == 0, "every answer is one that can be");
	fact(behind_refused > 0, "calls behind one that was refused took effect");
	fact(results[RESULT_OK] > 0 && results[RESULT_REFUSED] > 0, "calls were done, and refused");
	printf("    connections=%u ok=%u refused=%u nothing=%u unknown=%u of_those_done=%u "
	       "unanswered=%u disorders=%u doubles=%u misplaced=%u lost=%u there=%u\n",
	    line_count, results[RESULT_OK], results[RESULT_REFUSED], results[RESULT_NOTHING],
	    results[RESULT_UNKNOWN], unknown_there, unanswered, disorders, doubles, misplaced,
	    not_there, there);
}

int main(int argc, char **argv)
{
	static struct worker workers[WORKERS_MAX];
	unsigned count = 0;
	if (argc < 4 || argc > 3 + NODES_MAX) {
		(void)fprintf(stderr, "usage: order SECONDS kept|broken READY_FILE...\n");
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	ready_files = (const char *const *)argv + 3;
	node_count = (unsigned)argc - 3;
	run_name = argv[2];
	begin_ns = clock_monotonic_ns();
	end_ns = begin_ns + strtoull(argv[1], NULL, 10) * NS_PER_S;
	for (unsigned i = 0; i < node_count * WORKERS_OF_NODE + HANDLES; i++) {
		struct worker *worker = &workers[count];
		bool is_handle = i >= node_count * WORKERS_OF_NODE;
		*worker = (struct worker){.number = i, .node = i % node_count};
		random_init(&worker->dice, i + 1);
		if (pthread_create(&worker->thread, NULL, is_handle ? run_handle : run_connections,
		        worker) == 0)
			count++;
	}
	for (unsigned i = 0; i < count; i++)
		(void)pthread_join(workers[i].thread, NULL);
	bool *came = calloc((size_t)LINES_MAX * CALLS_MAX, sizeof(*came));
	if (!came)
		return 2;
	bool is_told = check_all(came);
	report(is_told, came);
	free(came);
	return 0;
}
