/* A real server killed with SIGKILL under pipelined load, again and again, and a checker that knows
 * every reply.
 *
 *   kill9 KALIXD KALIX_ADMIN APP_DIR DATA_DIR ROUNDS SEED
 *
 * One writer for each entity: its k-th command adds f(entity, k), and the reply has to be exactly
 * {count: k, sum: f(1) + .. + f(k)}. After a kill the entity is read: its count lies between the
 * last one acknowledged and the last one sent, and its sum is that of exactly so many. Entities
 * with tokens send what is in doubt again, with the same tokens, and each has to get the reply of
 * its own number: once, neither lost nor doubled. So one lost acknowledgement, one doubled or
 * reordered command, one half command fails the run.
 *
 * The server's log goes to DATA_DIR.log.
 *
 * Ends with "N passed, N failed": one test for each round, and one for the clean end.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "client/kalix.h"

#define HANDLES        4
#define ENTITIES       40 /* of each handle */
#define DEPTH          8  /* commands of one entity under way */
#define START_MS_MAX   20000
#define ROUND_MS_MIN   300
#define ROUND_MS_MAX   1200
#define FAILURES_SHOWN 10

struct entity {
	char address[48];
	bool tokens;
	unsigned long sent, acknowledged; /* numbers of commands */
	bool in_doubt;                    /* until it was read after a kill */
};

struct command {
	struct entity *entity;
	unsigned long number;
	unsigned handle;
};

static kalix *handles[HANDLES];
static struct entity entities[HANDLES][ENTITIES];
static struct random dice;
static char node[32], ready_file[4096], log_file[4096];
static const char *kalixd, *data_dir;
static pid_t server = -1;
static bool sending;
static unsigned long acknowledged, failures, slowest_ms;

static void fail(
    const char *what, const struct entity *entity, unsigned long number, const char *text)
{
	if (++failures <= FAILURES_SHOWN)
		fprintf(stderr, "kill9: %s: %s, number %lu (sent %lu, acknowledged %lu): %s\n",
		    what, entity ? entity->address : "-", number, entity ? entity->sent : 0,
		    entity ? entity->acknowledged : 0, text);
}

static uint64_t now_ms(void)
{
	return clock_monotonic_ns() / NS_PER_MS;
}

/* What the number's command adds: any pure function that tells neighbours apart. */
static long long amount(unsigned long number)
{
	return (long long)(number % 97) + 1;
}

static long long amounts(unsigned long count)
{
	long long whole = (long long)(count / 97), rest = (long long)(count % 97);
	return whole * (97LL * 98 / 2) + rest * (rest + 1) / 2 + rest;
}

/* ---- The server ---- */

static void start_server(void)
{
	unlink(ready_file);
	server = fork();
	if (server == 0) {
		int log = open(log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		if (log >= 0 && !getenv("KILL9_VERBOSE"))
			dup2(log, 2);
		execl(kalixd, kalixd, "--data", data_dir, "--port", strchr(node, ':') + 1,
		    "--cluster-port", "0", "--ready-file", ready_file, (char *)NULL);
		_exit(127);
	}
	if (server < 0)
		exit(2);
}

static void wait_server(int wanted_signal, int wanted_status)
{
	int status = 0;
	if (waitpid(server, &status, 0) != server)
		fail("waitpid", NULL, 0, strerror(errno));
	else if (wanted_signal ? !WIFSIGNALED(status) || WTERMSIG(status) != wanted_signal
	                       : !WIFEXITED(status) || WEXITSTATUS(status) != wanted_status)
		fail("the server ended by itself, or wrongly", NULL, 0, "see its log");
	server = -1;
}

static int run_program(char *const argv[])
{
	int status = 0;
	pid_t child = fork();
	if (child == 0) {
		execv(argv[0], argv);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- Commands ---- */

static void step(int wait_ms)
{
	struct pollfd fds[HANDLES];
	for (unsigned i = 0; i < HANDLES; i++) {
		uint64_t wake;
		kalix_step(handles[i], now_ms(), &wake);
		fds[i] = (struct pollfd){.fd = kalix_fd(handles[i]), .events = POLLIN};
	}
	(void)poll(fds, HANDLES, wait_ms);
}

static size_t pending(void)
{
	size_t count = 0;
	for (unsigned i = 0; i < HANDLES; i++)
		count += kalix_pending(handles[i]);
	return count;
}

static void done(void *arg, int code, kalix_reply *reply);

static void send_command(unsigned handle, struct entity *entity, unsigned long number)
{
	char payload[32], token[80];
	const char *words[8] = {"CALL", entity->address, "add", payload};
	size_t count = 4;
	struct command *command = malloc(sizeof(*command));
	kalix_options options = {.timeout_ms = 30000};
	if (!command)
		exit(2);
	*command = (struct command){.entity = entity, .number = number, .handle = handle};
	snprintf(payload, sizeof(payload), "{\"n\":%lld}", amount(number));
	if (entity->tokens) {
		snprintf(token, sizeof(token), "%s-%lu", entity->address, number);
		words[count++] = "IDEMPOTENCY";
		words[count++] = token;
	}
	/* kalix_command is never repeated by the library: what happens is seen here. */
	if (kalix_command_async(handles[handle], count, words, NULL, &options, done, command)) {
		fail("send", entity, number, "not started");
		free(command);
	}
}

static void check_reply(struct entity *entity, unsigned long number, const char *json)
{
	char wanted[96];
	snprintf(wanted, sizeof(wanted), "{\"count\":%lu,\"sum\":%lld}", number, amounts(number));
	if (strcmp(json, wanted) != 0)
		fail("wrong reply", entity, number, json);
}

static void done(void *arg, int code, kalix_reply *reply)
{
	struct command *command = arg;
	struct entity *entity = command->entity;
	if (code == KALIX_OK) {
		check_reply(entity, command->number, kalix_reply_json(reply));
		if (command->number > entity->acknowledged)
			entity->acknowledged = command->number;
		acknowledged++;
		if (sending && !entity->in_doubt)
			send_command(command->handle, entity, ++entity->sent);
	} else if (code == KALIX_UNKNOWN_OUTCOME || code == KALIX_UNAVAILABLE) {
		entity->in_doubt = true;
	} else {
		fail("refused", entity, command->number, kalix_reply_message(reply));
	}
	kalix_reply_free(reply);
	free(command);
}

/* ---- Rounds ---- */

static void load(uint64_t until_ms)
{
	sending = true;
	for (unsigned h = 0; h < HANDLES; h++)
		for (unsigned e = 0; e < ENTITIES; e++)
			for (unsigned d = 0; d < DEPTH; d++)
				send_command(h, &entities[h][e], ++entities[h][e].sent);
	while (now_ms() < until_ms)
		step(5);
	sending = false;
}

static void drain(uint64_t until_ms)
{
	while (pending() && now_ms() < until_ms)
		step(5);
	if (pending())
		fail("calls that never ended", NULL, 0, "");
}

/* Sends again, in order, what may or may not have happened: with tokens only. */
static void repeat(unsigned handle, struct entity *entity)
{
	for (unsigned long number = entity->acknowledged + 1; number <= entity->sent; number++)
		send_command(handle, entity, number);
}

static void read_entity(unsigned handle, struct entity *entity)
{
	kalix_options options = {.timeout_ms = START_MS_MAX};
	kalix_reply *reply;
	unsigned long count = 0;
	long long sum = 0;
	int code = kalix_query(handles[handle], entity->address, "get", NULL, &options, &reply);
	if (code ||
	    sscanf(kalix_reply_json(reply), "{\"count\":%lu,\"sum\":%lld}", &count, &sum) != 2)
		fail("unreadable", entity, 0, kalix_reply_message(reply));
	else if (count < entity->acknowledged)
		fail("LOST what was acknowledged", entity, count, kalix_reply_json(reply));
	else if (count > entity->sent)
		fail("more than was sent", entity, count, kalix_reply_json(reply));
	else if (sum != amounts(count))
		fail("not the commands that were sent", entity, count, kalix_reply_json(reply));
	kalix_reply_free(reply);
	if (entity->tokens)
		return;
	entity->sent = entity->acknowledged = count;
	entity->in_doubt = false;
}

static void check_all(void)
{
	for (unsigned h = 0; h < HANDLES; h++)
		for (unsigned e = 0; e < ENTITIES; e++) {
			struct entity *entity = &entities[h][e];
			/* A server that is gone would cost each entity its whole time. */
			if (failures > FAILURES_SHOWN)
				return;
			read_entity(h, entity);
			if (!entity->tokens)
				continue;
			entity->in_doubt = false;
			repeat(h, entity);
		}
	drain(now_ms() + START_MS_MAX);
	for (unsigned h = 0; h < HANDLES; h++)
		for (unsigned e = 0; e < ENTITIES; e++)
			if (entities[h][e].acknowledged != entities[h][e].sent)
				fail("in doubt after everything was repeated", &entities[h][e],
				    entities[h][e].sent, "");
}

static void one_round(unsigned number, bool last)
{
	unsigned long before = acknowledged;
	load(now_ms() + random_between(&dice, ROUND_MS_MIN, ROUND_MS_MAX));
	kill(server, last ? SIGTERM : SIGKILL);
	wait_server(last ? 0 : SIGKILL, 0);
	uint64_t killed_ms = now_ms();
	start_server();
	drain(now_ms() + START_MS_MAX);
	kalix_reply *reply;
	kalix_options options = {.timeout_ms = START_MS_MAX};
	int code = kalix_query(handles[0], entities[0][0].address, "get", NULL, &options, &reply);
	unsigned long first_ms = (unsigned long)(now_ms() - killed_ms);
	if (code)
		fail("no reply after the start", &entities[0][0], 0, kalix_reply_message(reply));
	kalix_reply_free(reply);
	if (first_ms > slowest_ms)
		slowest_ms = first_ms;
	check_all();
	printf("%s %u: %s, %lu acknowledged, first reply after %lu ms\n",
	    failures ? "not ok" : "ok", number, last ? "SIGTERM" : "SIGKILL", acknowledged - before,
	    first_ms);
	fflush(stdout);
}

static void name_entities(void)
{
	for (unsigned h = 0; h < HANDLES; h++)
		for (unsigned e = 0; e < ENTITIES; e++) {
			struct entity *entity = &entities[h][e];
			const char *type = e % 2 ? "journal" : "counter";
			snprintf(entity->address, sizeof(entity->address), "%s/%u-%u", type, h, e);
			entity->tokens = e % 4 >= 2;
		}
}

static void find_port(void)
{
	/* Below the ephemeral range, so that no connection of ours takes it between two starts. */
	snprintf(node, sizeof(node), "127.0.0.1:%u", (unsigned)random_between(&dice, 20000, 32000));
}

int main(int argc, char **argv)
{
	unsigned passed = 0, failed = 0;
	if (argc != 7) {
		fprintf(stderr, "usage: kill9 KALIXD KALIX_ADMIN APP_DIR DATA_DIR ROUNDS SEED\n");
		return 2;
	}
	kalixd = argv[1];
	data_dir = argv[4];
	snprintf(ready_file, sizeof(ready_file), "%.4000s.ready", data_dir);
	snprintf(log_file, sizeof(log_file), "%.4000s.log", data_dir);
	unsigned rounds = (unsigned)strtoul(argv[5], NULL, 10);
	random_init(&dice, strtoull(argv[6], NULL, 10));
	find_port();
	name_entities();
	start_server();
	for (unsigned h = 0; h < HANDLES; h++)
		if (kalix_open(node, &handles[h]))
			return 2;
	char *const ping[] = {argv[2], "--node", node, "status", NULL};
	for (int i = 0; i < 20 && run_program(ping) != 0; i++)
		usleep(100000);
	char *const deploy[] = {argv[2], "--node", node, "app", "deploy", argv[3], NULL};
	if (run_program(deploy) != 0) {
		fprintf(stderr, "kill9: the app could not be deployed\n");
		failures++;
	}
	for (unsigned i = 1; i <= rounds + 1 && !failures; i++) {
		one_round(i, i == rounds + 1);
		if (!failures)
			passed++;
	}
	failed = failures ? 1 : 0;
	for (unsigned h = 0; h < HANDLES; h++)
		kalix_close(handles[h]);
	if (server > 0) {
		kill(server, SIGKILL);
		wait_server(SIGKILL, 0);
	}
	printf("%lu acknowledged in all, slowest first reply %lu ms\n", acknowledged, slowest_ms);
	printf("%u passed, %u failed\n", passed, failed);
	return failed ? 1 : 0;
}
