/* Clients of a cluster that write down what they did, and a check of what they wrote.
 *
 *   history run FILE SECONDS SEED READY_FILE...  clients of all nodes, until the time is over (or
 *                              SIGTERM says so) and all nodes have told what all entities are in
 *                              the end
 *   history check FILE [--export TO] [--healed NS]  "ok FACT" or "not ok FACT" for what is in it,
 *                              and its figures; recovered_ms: how long after the time NS it was
 *                              until an operation that began then was OK, of the last entity
 *   history now                the time, as histories have it
 *   history self               feeds right and wrong histories to the check
 *
 * SEED decides the dice and the entities: each run against one cluster has another one. A node's
 * port is read from its ready file whenever it is connected to; lines "host=" and
 * "password=" may stand there, too. A node without a port at the end need not tell anything.
 *
 * Half of the clients say READONLY, and a third of all reads has STALE with some age: any node may
 * answer those, whether it leads or not.
 *
 * Each client has one operation under way. A write with a token is sent until it is answered, and
 * is one operation. FILE has a line of JSON for each operation, or the events that events.h
 * describes; --export writes those.
 */
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "tests/cluster/events.h"
#include "tests/cluster/history.h"

#define ENTITIES      24
#define CLIENTS       9
#define NODES_MAX     16
#define CALL_MS       3000
#define SILENCE_MS    5000  /* of a node: its connection is given up */
#define TOKEN_MS      30000 /* a write with a token that has no answer for so long is unknown */
#define LAST_MS       60000 /* for all nodes to tell what there is in the end */
#define PAUSE_US      8000
#define STALE_MS_BITS 13 /* the oldest that a read may be: below 2 to that */
#define OPERATIONS    1000000
#define LINE_WHAT     "{\"entity\":%u,\"client\":%u,\"kind\":%d,\"result\":%d,"
#define LINE          LINE_WHAT "\"from\":%lld,\"to\":%lld,"
#define LINE_TIMES    "\"stale\":%" PRIu64 ",\"begin\":%" PRIu64 ",\"end\":%" PRIu64
#define LINE_TIMES_IN "\"stale\":%" SCNu64 ",\"begin\":%" SCNu64 ",\"end\":%" SCNu64
#define LINE_REST     ",\"value\":%lld,\"changes\":%lld}"

static struct history_operation operations[OPERATIONS];
static size_t operation_count;

/* ---- Clients ---- */

struct client {
	pthread_t thread;
	unsigned number, node;
	struct random dice;
	redisContext *context;
	long long last; /* of its unique values */
	FILE *file;
};

static const char *const *ready_files;
static unsigned node_count;
static uint64_t load_end_ns, seed;
static unsigned first_entity;   /* of ENTITIES */
static atomic_bool left_out;    /* a node that did not tell in the end */
static atomic_bool told_to_end; /* by a signal, to every thread */

static void disconnect(struct client *client)
{
	if (client->context)
		redisFree(client->context);
	client->context = NULL;
}

struct place {
	int port; /* 0: nowhere */
	char host[64], password[128];
};

static void find_node(unsigned node, struct place *ret_place)
{
	char line[192];
	*ret_place = (struct place){.host = "127.0.0.1"};
	FILE *ready = fopen(ready_files[node], "r");
	while (ready && fgets(line, sizeof(line), ready)) {
		(void)sscanf(line, "port=%d", &ret_place->port);
		(void)sscanf(line, "host=%63s", ret_place->host);
		(void)sscanf(line, "password=%127s", ret_place->password);
	}
	if (ready)
		(void)fclose(ready);
}

static bool admitted(redisContext *context, const char *password)
{
	if (!password[0])
		return true;
	redisReply *reply = redisCommand(context, "AUTH %s", password);
	bool good = reply && reply->type == REDIS_REPLY_STATUS;
	if (reply)
		freeReplyObject(reply);
	return good;
}

/* Queries of every other client are answered by the node that it asks, leader or not. */
static bool says_readonly(const struct client *client)
{
	if (client->number % 2 == 0)
		return true;
	redisReply *reply = redisCommand(client->context, "READONLY");
	bool good = reply && reply->type == REDIS_REPLY_STATUS;
	if (reply)
		freeReplyObject(reply);
	return good;
}

static bool connected(struct client *client)
{
	struct place place;
	if (client->context)
		return true;
	find_node(client->node, &place);
	if (place.port == 0)
		return false;
	struct timeval silence = {SILENCE_MS / 1000, 0};
	client->context = redisConnectWithTimeout(place.host, place.port, silence);
	if (client->context &&
	    (client->context->err || redisSetTimeout(client->context, silence) != REDIS_OK ||
	        !admitted(client->context, place.password) || !says_readonly(client)))
		disconnect(client);
	return client->context;
}

static bool begins(const redisReply *reply, const char *code)
{
	return reply->str && strncmp(reply->str, code, strlen(code)) == 0;
}

static bool found(const char *text, struct history_operation *operation)
{
	const char *changes = text ? strstr(text, "\"changes\":") : NULL;
	const char *value = text ? strstr(text, "\"value\":") : NULL;
	if (!changes || !value)
		return false;
	operation->changes = strtoll(changes + strlen("\"changes\":"), NULL, 10);
	operation->value = strtoll(value + strlen("\"value\":"), NULL, 10);
	return true;
}

static enum history_result result_of(const redisReply *reply, struct history_operation *operation)
{
	if (!reply)
		return HISTORY_UNKNOWN;
	if (reply->type == REDIS_REPLY_STRING && found(reply->str, operation))
		return HISTORY_OK;
	if (reply->type == REDIS_REPLY_ERROR && begins(reply, "ABORTED") &&
	    operation->kind == HISTORY_CAS && found(reply->str, operation))
		return HISTORY_REFUSED;
	/* A read has no outcome that could be unknown. */
	if (reply->type == REDIS_REPLY_ERROR && begins(reply, "UNKNOWN_OUTCOME") &&
	    operation->kind != HISTORY_GET)
		return HISTORY_UNKNOWN;
	static const char *const nothing[] = {
	    "UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"};
	for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++)
		if (reply->type == REDIS_REPLY_ERROR && begins(reply, nothing[i]))
			return HISTORY_NOTHING;
	/* It did nothing either, but nothing here asks for it. */
	(void)fprintf(stderr, "history: an answer that is not expected: %.200s\n",
	    reply->str ? reply->str : "(no text)");
	atomic_store(&left_out, true);
	return HISTORY_NOTHING;
}

/* One attempt. */
static enum history_result ask(
    struct client *client, struct history_operation *operation, const char *token)
{
	static const char *const commands[] = {"get", "write", "cas"};
	char address[32], payload[96], timeout[16], stale[32];
	if (!connected(client))
		return HISTORY_NOTHING;
	(void)snprintf(address, sizeof(address), "cell/%u", operation->entity);
	(void)snprintf(payload, sizeof(payload), "{\"from\":%lld,\"to\":%lld}", operation->from,
	    operation->to);
	(void)snprintf(timeout, sizeof(timeout), "%d", CALL_MS);
	(void)snprintf(
	    stale, sizeof(stale), "%" PRIu64, (uint64_t)(operation->stale_ns / NS_PER_MS));
	const char *words[8] = {"CALL", address, commands[operation->kind]};
	int count = 3;
	if (operation->kind != HISTORY_GET)
		words[count++] = payload;
	words[count++] = "TIMEOUT";
	words[count++] = timeout;
	if (token) {
		words[count++] = "IDEMPOTENCY";
		words[count++] = token;
	}
	if (operation->stale_ns > 0) {
		words[count++] = "STALE";
		words[count++] = stale;
	}
	redisReply *reply = redisCommandArgv(client->context, count, words, NULL);
	enum history_result result = result_of(reply, operation);
	if (reply)
		freeReplyObject(reply);
	else
		disconnect(client);
	return result;
}

static void write_down(FILE *file, const struct history_operation *operation)
{
	(void)fprintf(file, LINE LINE_TIMES LINE_REST "\n", operation->entity, operation->client,
	    (int)operation->kind, (int)operation->result, operation->from, operation->to,
	    operation->stale_ns, operation->begin_ns, operation->end_ns, operation->value,
	    operation->changes);
}

static void operate(struct client *client, struct history_operation *operation, bool with_token)
{
	char token[48];
	(void)snprintf(token, sizeof(token), "c%u-%lld", client->number, operation->to);
	enum history_result all = HISTORY_NOTHING;
	operation->client = client->number;
	operation->begin_ns = clock_monotonic_ns() - operation->stale_ns;
	for (;;) {
		enum history_result result = ask(client, operation, with_token ? token : NULL);
		operation->end_ns = clock_monotonic_ns();
		if (result != HISTORY_NOTHING)
			all = result;
		bool again = with_token && all == HISTORY_UNKNOWN &&
		             operation->end_ns - operation->begin_ns < TOKEN_MS * NS_PER_MS;
		if (result != HISTORY_OK && (again || !client->context)) {
			/* Somebody else may know. */
			disconnect(client);
			client->node = (client->node + 1) % node_count;
			usleep(20000);
		}
		if (!again || result == HISTORY_OK)
			break;
	}
	operation->result = all;
	write_down(client->file, operation);
}

/* The N-th of the nodes that there are. */
static unsigned node_that_is(unsigned number)
{
	struct place place;
	unsigned there[NODES_MAX], count = 0;
	for (unsigned node = 0; node < node_count; node++) {
		find_node(node, &place);
		if (place.port)
			there[count++] = node;
	}
	return count ? there[number % count] : 0;
}

/* Each client asks one node for all entities, until it has told them, or the time is over. */
static void tell_the_end(struct client *client)
{
	unsigned node = node_that_is(client->number);
	uint64_t end_ns = clock_monotonic_ns() + LAST_MS * NS_PER_MS;
	for (unsigned entity = first_entity; entity < first_entity + ENTITIES; entity++) {
		struct history_operation last = {.entity = entity};
		do {
			if (client->node != node)
				disconnect(client);
			client->node = node;
			operate(client, &last, false);
			if (last.result != HISTORY_OK)
				usleep(100000);
		} while (last.result != HISTORY_OK && clock_monotonic_ns() < end_ns);
		if (last.result != HISTORY_OK) {
			(void)fprintf(
			    stderr, "history: node %u does not tell cell/%u\n", node + 1, entity);
			atomic_store(&left_out, true);
			return;
		}
	}
}

/* Short ones as often as long ones. */
static uint64_t pick_stale_ns(struct random *dice)
{
	uint64_t ms_max = 1ULL << (1 + random_below(dice, STALE_MS_BITS));
	return (1 + random_below(dice, ms_max - 1)) * NS_PER_MS;
}

static void *run_client(void *arg)
{
	struct client *client = arg;
	long long seen[ENTITIES] = {0};
	client->node = node_that_is(client->number);
	while (clock_monotonic_ns() < load_end_ns && !told_to_end) {
		unsigned entity = (unsigned)random_below(&client->dice, ENTITIES);
		struct history_operation operation = {.entity = first_entity + entity,
		    .kind = (enum history_kind)random_below(&client->dice, HISTORY_KINDS),
		    .from = seen[entity]};
		if (operation.kind != HISTORY_GET)
			operation.to = ++client->last * CLIENTS + client->number;
		else if (random_chance(&client->dice, 1, 3))
			operation.stale_ns = pick_stale_ns(&client->dice);
		operate(client, &operation,
		    operation.kind == HISTORY_WRITE && random_chance(&client->dice, 1, 2));
		if (operation.result == HISTORY_OK && operation.kind != HISTORY_GET)
			seen[entity] = operation.to;
		else if (operation.result == HISTORY_OK || operation.result == HISTORY_REFUSED)
			seen[entity] = operation.value;
		usleep((useconds_t)random_below(&client->dice, 2 * PAUSE_US));
	}
	tell_the_end(client);
	disconnect(client);
	return NULL;
}

static void end_the_load(int number)
{
	(void)number;
	told_to_end = true;
}

static int run(const char *path, uint64_t seconds)
{
	static struct client clients[CLIENTS];
	struct random dice;
	struct sigaction on_term = {.sa_handler = end_the_load, .sa_flags = SA_RESTART};
	(void)sigaction(SIGTERM, &on_term, NULL);
	random_init(&dice, seed);
	first_entity = (unsigned)(seed % 100000) * ENTITIES;
	FILE *file = fopen(path, "w");
	if (!file)
		return 2;
	load_end_ns = clock_monotonic_ns() + seconds * NS_PER_S;
	for (unsigned i = 0; i < CLIENTS; i++) {
		clients[i].number = i;
		clients[i].node = i % node_count;
		clients[i].file = file;
		random_fork(&dice, &clients[i].dice);
		if (pthread_create(&clients[i].thread, NULL, run_client, &clients[i]) != 0)
			return 2;
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		(void)pthread_join(clients[i].thread, NULL);
	return fclose(file) == 0 && !atomic_load(&left_out) ? 0 : 1;
}

/* ---- The check ---- */

static int by_entity(const void *a, const void *b)
{
	const struct history_operation *x = a, *y = b;
	return (x->entity > y->entity) - (x->entity < y->entity);
}

static int by_end(const void *a, const void *b)
{
	const struct history_operation *x = a, *y = b;
	return (x->end_ns > y->end_ns) - (x->end_ns < y->end_ns);
}

static bool load_lines(FILE *file)
{
	char line[512];
	while (fgets(line, sizeof(line), file)) {
		struct history_operation *to = &operations[operation_count];
		int kind = 0, result = 0;
		if (operation_count == OPERATIONS ||
		    sscanf(line, LINE LINE_TIMES_IN LINE_REST, &to->entity, &to->client, &kind,
		        &result, &to->from, &to->to, &to->stale_ns, &to->begin_ns, &to->end_ns,
		        &to->value, &to->changes) != 11)
			return false;
		to->kind = (enum history_kind)kind;
		to->result = (enum history_result)result;
		operation_count++;
	}
	return true;
}

static bool load(const char *path)
{
	char line[32] = "";
	FILE *file = fopen(path, "r");
	operation_count = 0;
	if (!file || !fgets(line, sizeof(line), file))
		return false;
	rewind(file);
	bool good = strncmp(line, "{\"entity\"", strlen("{\"entity\"")) == 0
	                ? load_lines(file)
	                : events_read(file, operations, OPERATIONS, &operation_count);
	return fclose(file) == 0 && good && operation_count > 0;
}

static bool export(const char *path)
{
	FILE *file = fopen(path, "w");
	bool good = file && events_write(file, operations, operation_count);
	return file && fclose(file) == 0 && good;
}

/* Of all entities together and of the one that waited longest, between two answers; and from
 * `healed_ns` on until the last entity had one. Sorted by end. */
static void print_pauses(uint64_t healed_ns)
{
	static uint64_t last_of[ENTITIES], recovered_of[ENTITIES];
	uint64_t pause_ns = 0, entity_pause_ns = 0, last_ns = 0, recovered_ns = healed_ns;
	memset(last_of, 0, sizeof(last_of));
	memset(recovered_of, 0, sizeof(recovered_of));
	for (size_t i = 0; i < operation_count; i++) {
		const struct history_operation *operation = &operations[i];
		unsigned entity = operation->entity % ENTITIES;
		if (operation->result != HISTORY_OK)
			continue;
		if (last_ns && operation->end_ns - last_ns > pause_ns)
			pause_ns = operation->end_ns - last_ns;
		if (last_of[entity] && operation->end_ns - last_of[entity] > entity_pause_ns)
			entity_pause_ns = operation->end_ns - last_of[entity];
		if (operation->begin_ns + operation->stale_ns >= healed_ns && !recovered_of[entity])
			recovered_of[entity] = recovered_ns = operation->end_ns;
		last_of[entity] = last_ns = operation->end_ns;
	}
	printf(" longest_pause_ms=%" PRIu64 " longest_pause_of_an_entity_ms=%" PRIu64,
	    (uint64_t)(pause_ns / NS_PER_MS), (uint64_t)(entity_pause_ns / NS_PER_MS));
	if (healed_ns)
		printf(
		    " recovered_ms=%" PRIu64, (uint64_t)((recovered_ns - healed_ns) / NS_PER_MS));
}

static void print_figures(uint64_t healed_ns)
{
	size_t counts[HISTORY_RESULTS] = {0}, stale = 0;
	uint64_t longest_ns = 0;
	qsort(operations, operation_count, sizeof(operations[0]), by_end);
	for (size_t i = 0; i < operation_count; i++) {
		counts[operations[i].result]++;
		uint64_t begin_ns = operations[i].begin_ns + operations[i].stale_ns;
		if (operations[i].end_ns - begin_ns > longest_ns)
			longest_ns = operations[i].end_ns - begin_ns;
		stale += operations[i].stale_ns > 0 && operations[i].result == HISTORY_OK;
	}
	printf("operations=%zu ok=%zu refused=%zu nothing=%zu unknown=%zu stale_ok=%zu",
	    operation_count, counts[HISTORY_OK], counts[HISTORY_REFUSED], counts[HISTORY_NOTHING],
	    counts[HISTORY_UNKNOWN], stale);
	print_pauses(healed_ns);
	printf(" longest_operation_ms=%" PRIu64 "\n", (uint64_t)(longest_ns / NS_PER_MS));
}

static int check(const char *path, const char *export_path, uint64_t healed_ns)
{
	unsigned wrong = 0, entities = 0;
	if (!load(path) || (export_path && !export(export_path))) {
		printf(
		    "not ok a history that can be read%s\n", export_path ? ", and exported" : "");
		return 1;
	}
	print_figures(healed_ns);
	qsort(operations, operation_count, sizeof(operations[0]), by_entity);
	for (size_t begin = 0, end; begin < operation_count; begin = end) {
		unsigned entity = operations[begin].entity;
		for (end = begin; end < operation_count && operations[end].entity == entity;)
			end++;
		entities++;
		enum history_verdict verdict =
		    history_linear(&operations[begin], end - begin, HISTORY_STATES_MAX);
		if (verdict != HISTORY_LINEAR) {
			printf("    cell/%u %s\n", entity,
			    verdict == HISTORY_NOT_DECIDED
			        ? "has too many operations whose outcome is unknown to be judged"
			        : "is not linearizable");
			wrong++;
		}
	}
	printf("%s %u entities are linearizable\n", wrong ? "not ok" : "ok", entities - wrong);
	return wrong ? 1 : 0;
}

int main(int argc, char **argv)
{
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && strcmp(argv[1], "self") == 0)
		return history_self();
	if (argc == 2 && strcmp(argv[1], "now") == 0)
		return printf("%" PRIu64 "\n", clock_monotonic_ns()) > 0 ? 0 : 1;
	if (argc >= 3 && strcmp(argv[1], "check") == 0) {
		const char *export_path = NULL;
		uint64_t healed_ns = 0;
		for (int i = 3; i + 1 < argc; i += 2)
			if (strcmp(argv[i], "--export") == 0)
				export_path = argv[i + 1];
			else if (strcmp(argv[i], "--healed") == 0)
				healed_ns = strtoull(argv[i + 1], NULL, 10);
		return check(argv[2], export_path, healed_ns);
	}
	if (argc > 5 && argc <= 5 + NODES_MAX && strcmp(argv[1], "run") == 0) {
		seed = strtoull(argv[4], NULL, 10);
		ready_files = (const char *const *)argv + 5;
		node_count = (unsigned)argc - 5;
		return run(argv[2], strtoull(argv[3], NULL, 10));
	}
	(void)fprintf(stderr, "usage: see the head of tests/cluster/history.c\n");
	return 2;
}
