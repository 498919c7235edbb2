/* Writes to every shard of a cluster all the time, and kills nodes when it is told to: how long
 * until the shards of such a node can be written to again, as a client sees it.
 *
 *   failover_load NODES SHARDS
 *
 * NODES as kalix_open takes them; the app is that of tests/bench/cart. Each shard has a row of
 * calls of its own, `set` of one key, each PAUSE_MS behind the end of the one before, through a
 * handle of libkalix, which follows the map and finds another node where one is gone. (One handle
 * for all would have replies of shards that are back wait behind those that are not.) Commands
 * come from the standard input, and each is answered by one line:
 *
 *   kill PID SHARD...   SIGKILL, and then the time until each of these shards, which that process
 *                       leads, has taken a write that was begun after the kill:
 *                       first_ms= median_ms= last_ms= shards= unknown= failed= calls=
 *   end                 the end
 *
 * `unknown`: calls with an unknown outcome in that time (they have no token, so that the library
 * does not settle it); `failed`: with another error; `calls`: all that ended. Exit status 1 where
 * shards could not be written to for WAIT_MS.
 */
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/slot.h"
#include "client/kalix.h"

enum { SHARDS_TRIED_MAX = 1024, PAUSE_MS = 10, WAIT_MS = 60000, LINE_MAX_BYTES = 8192 };

struct row {
	kalix *k;
	char address[32];
	uint64_t next_ms;  /* when its next call is due; while one is under way never */
	uint64_t wake_ms;  /* its handle's */
	uint64_t asked_ns; /* the one under way */
	uint64_t back_ns;  /* since the kill: 0 until it took a write */
	bool watched;
};

static struct row rows[SHARDS_TRIED_MAX];
static size_t row_count, missing;
static uint64_t killed_ns, unknown, failed, calls;

static uint64_t now_ms(void)
{
	return clock_monotonic_ns() / NS_PER_MS;
}

/* The first key of a shard, by the rule of server/shard/map.c. */
static void find_keys(void)
{
	size_t left = row_count;
	for (unsigned long n = 0; left > 0; n++) {
		char address[32];
		int bytes = snprintf(address, sizeof(address), "kv/f%lu", n);
		size_t slot = slot_of(slice_of(address, (size_t)bytes));
		struct row *row = &rows[slot * row_count / SLOT_COUNT];
		if (row->address[0])
			continue;
		memcpy(row->address, address, sizeof(address));
		left--;
	}
}

static void done(void *arg, int code, kalix_reply *reply)
{
	struct row *row = arg;
	uint64_t now_ns = clock_monotonic_ns();
	kalix_reply_free(reply);
	calls++;
	unknown += code == KALIX_UNKNOWN_OUTCOME;
	failed += code && code != KALIX_UNKNOWN_OUTCOME;
	row->next_ms = now_ns / NS_PER_MS + PAUSE_MS;
	if (!row->watched)
		return;
	if (code || row->asked_ns < killed_ns) {
		row->next_ms = 0;
		return;
	}
	row->watched = false;
	row->back_ns = now_ns - killed_ns;
	missing--;
}

static void begin_call(struct row *row)
{
	kalix_options options = {.timeout_ms = WAIT_MS, .token = KALIX_NO_TOKEN};
	row->next_ms = UINT64_MAX;
	row->asked_ns = clock_monotonic_ns();
	if (kalix_call_async(row->k, row->address, "set", "\"v\"", &options, done, row)) {
		fprintf(stderr, "failover_load: no memory for a call\n");
		exit(2);
	}
}

/* Until a line is there, or else until no shard is missing any more; false: it was not by then. */
static bool step(bool until_line, uint64_t until_ms)
{
	static struct pollfd fds[SHARDS_TRIED_MAX + 1];
	while (until_line || missing > 0) {
		for (size_t i = 0; i < row_count; i++) {
			struct row *row = &rows[i];
			bool due = row->next_ms <= now_ms();
			if (due)
				begin_call(row);
			if (due || fds[i].revents || row->wake_ms <= now_ms())
				kalix_step(row->k, now_ms(), &row->wake_ms);
			fds[i] = (struct pollfd){.fd = kalix_fd(row->k), .events = POLLIN};
		}
		fds[row_count] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
		(void)poll(fds, row_count + until_line, 1);
		if (until_line && fds[row_count].revents)
			return true;
		if (now_ms() > until_ms)
			return false;
	}
	return true;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static bool kill_and_watch(char *arguments)
{
	uint64_t back_ns[SHARDS_TRIED_MAX];
	size_t count = 0;
	char *at;
	long pid = strtol(arguments, &at, 10);
	for (long shard = strtol(at, &at, 10); shard > 0; shard = strtol(at, &at, 10)) {
		if (shard > (long)row_count || pid <= 1)
			return false;
		rows[shard - 1].watched = true;
		rows[shard - 1].back_ns = 0;
	}
	for (size_t i = 0; i < row_count; i++)
		missing += rows[i].watched;
	unknown = failed = calls = 0;
	if (missing == 0 || kill((pid_t)pid, SIGKILL))
		return false;
	killed_ns = clock_monotonic_ns();
	if (!step(false, now_ms() + WAIT_MS))
		return false;
	for (size_t i = 0; i < row_count; i++) {
		if (rows[i].back_ns)
			back_ns[count++] = rows[i].back_ns;
		rows[i].back_ns = 0;
	}
	qsort(back_ns, count, sizeof(back_ns[0]), by_value);
	printf("first_ms=%llu median_ms=%llu last_ms=%llu shards=%zu unknown=%llu failed=%llu "
	       "calls=%llu\n",
	    (unsigned long long)(back_ns[0] / NS_PER_MS),
	    (unsigned long long)(back_ns[count / 2] / NS_PER_MS),
	    (unsigned long long)(back_ns[count - 1] / NS_PER_MS), count,
	    (unsigned long long)unknown, (unsigned long long)failed, (unsigned long long)calls);
	fflush(stdout);
	return true;
}

int main(int argc, char **argv)
{
	char line[LINE_MAX_BYTES];
	if (argc == 3)
		row_count = strtoul(argv[2], NULL, 10);
	if (row_count < 1 || row_count > SHARDS_TRIED_MAX) {
		fprintf(stderr, "usage: failover_load NODES SHARDS\n");
		return 2;
	}
	for (size_t i = 0; i < row_count; i++)
		if (kalix_open(argv[1], &rows[i].k)) {
			fprintf(stderr, "failover_load: cannot open %s\n", argv[1]);
			return 2;
		}
	find_keys();
	setvbuf(stdin, NULL, _IONBF, 0); /* or poll would not see lines that were read already */
	bool good = true;
	while (good && step(true, UINT64_MAX) && fgets(line, sizeof(line), stdin)) {
		if (strncmp(line, "kill ", 5) != 0)
			break;
		good = kill_and_watch(line + 5);
	}
	for (size_t i = 0; i < row_count; i++)
		kalix_close(rows[i].k);
	if (!good)
		fprintf(stderr, "failover_load: not all shards could be written to\n");
	return good ? 0 : 1;
}
