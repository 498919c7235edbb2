/* The Raft core without disk and network: three voters of one group in one process, whose writes
 * are durable and whose messages arrive in the turn that follows.
 *
 *	raft_count [TURNS [ENTRIES]]   default: 10000 turns of one entry
 *	raft_count idle [GROUPS]       default: 1000 groups of three replicas, until all sleep
 *
 * Under
 *
 *	valgrind --tool=callgrind --toggle-collect='bench_*'
 *
 * the instructions collected are those of the core; with the name of one function instead of
 * bench_* those of
 *
 *	bench_propose       an entry is proposed, and goes to two others
 *	bench_follow        a follower takes it, is told that it is durable, and answers
 *	bench_acknowledge   the leader hears one answer
 *	bench_store         the leader is told that its own write is durable
 *	bench_beat          a heartbeat goes to two others
 *
 * Lookups in the log are a constant here: they are its owner's. */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "replication/raft/raft.h"

enum { VOTERS = 3, MESSAGES_MAX = 64, ENTRIES_MAX = 64, ENTRY_BYTES = 200 };

struct group {
	struct raft *replicas[VOTERS + 1]; /* 1 .. 3 */
	struct raft_message row[MESSAGES_MAX];
	uint32_t row_count;
	uint64_t now_ms;
	uint64_t stored[VOTERS + 1], epoch[VOTERS + 1]; /* to be told */
	bool hard[VOTERS + 1];
	uint64_t hard_term[VOTERS + 1], hard_vote[VOTERS + 1];
	uint64_t committed;
};

static struct raft_entry entries[ENTRIES_MAX];

/* Everything is of term 1. */
static uint64_t term_of(void *arg, uint64_t index)
{
	(void)arg, (void)index;
	return 1;
}

static uint32_t fit(
    void *arg, uint64_t first, uint32_t count_max, uint64_t bytes_max, uint64_t *ret_bytes)
{
	(void)arg, (void)first, (void)bytes_max;
	uint32_t count = count_max < ENTRIES_MAX ? count_max : ENTRIES_MAX;
	*ret_bytes = (uint64_t)count * ENTRY_BYTES;
	return count;
}

static void open_replica(struct group *group, uint64_t id)
{
	struct raft_membership membership = {
	    .count = VOTERS, .members = {{1, RAFT_VOTER}, {2, RAFT_VOTER}, {3, RAFT_VOTER}}};
	struct raft_options options = {.self = id,
	    .replicas_max = VOTERS + 2,
	    .seed = id,
	    .log = {.term = term_of, .fit = fit},
	    .election_ms = 1000,
	    .heartbeat_ms = 100,
	    .sleep_ms = 500,
	    .messages_in_flight_max = RAFT_IN_FLIGHT_MAX,
	    .bytes_in_flight_max = 1 << 20,
	    .message_bytes_max = 1 << 16,
	    .uncommitted_bytes_max = 1 << 20};
	struct raft_start start = {.membership = &membership};
	void *memory = malloc(raft_bytes(VOTERS));
	ASSERT(memory);
	group->replicas[id] = raft_init(memory, VOTERS, &options, &start);
}

static void take_outputs(struct group *group, uint64_t id)
{
	struct raft_output output;
	while (raft_next(group->replicas[id], &output)) {
		if (output.kind == RAFT_HARD) {
			group->hard[id] = true;
			group->hard_term[id] = output.term;
			group->hard_vote[id] = output.vote;
		} else if (output.kind == RAFT_APPEND) {
			group->stored[id] = output.at.index + output.count - 1;
			group->epoch[id] = output.epoch;
		} else if (output.kind == RAFT_COMMIT && id == 1) {
			group->committed = output.at.index;
		}
	}
}

static void take_messages(struct group *group, uint64_t id)
{
	while (group->row_count < MESSAGES_MAX &&
	       raft_send(group->replicas[id], group->now_ms, &group->row[group->row_count])) {
		group->row[group->row_count].entries = entries;
		group->row_count++;
	}
	take_outputs(group, id);
}

static void step(struct group *group, uint64_t id, struct raft_event event)
{
	event.now_ms = group->now_ms;
	raft_step(group->replicas[id], &event);
	take_outputs(group, id);
}

static void tell_stored(struct group *group, uint64_t id)
{
	if (group->hard[id]) {
		group->hard[id] = false;
		step(group, id,
		    (struct raft_event){.kind = RAFT_HARD_STORED,
		        .term = group->hard_term[id],
		        .vote = group->hard_vote[id]});
	}
	if (group->stored[id] > 0)
		step(group, id,
		    (struct raft_event){.kind = RAFT_STORED,
		        .index = group->stored[id],
		        .epoch = group->epoch[id]});
	group->stored[id] = 0;
}

/* ---- What is counted ---- */

__attribute__((noinline)) static void bench_propose(struct group *group, uint32_t count)
{
	struct raft_position first;
	int error = raft_propose(
	    group->replicas[1], group->now_ms, count, (uint64_t)count * ENTRY_BYTES, &first);
	ASSERT(error == 0);
	group->stored[1] = first.index + count - 1;
	take_messages(group, 1);
}

__attribute__((noinline)) static void bench_follow(
    struct group *group, const struct raft_message *message)
{
	step(group, message->to, (struct raft_event){.kind = RAFT_RECEIVED, .message = message});
	tell_stored(group, message->to);
	take_messages(group, message->to);
}

__attribute__((noinline)) static void bench_acknowledge(
    struct group *group, const struct raft_message *message)
{
	step(group, 1, (struct raft_event){.kind = RAFT_RECEIVED, .message = message});
}

__attribute__((noinline)) static void bench_store(struct group *group)
{
	tell_stored(group, 1);
}

__attribute__((noinline)) static void bench_beat(struct group *group)
{
	step(group, 1, (struct raft_event){.kind = RAFT_TICK});
	take_messages(group, 1);
}

/* ---- The load ---- */

static void deliver(struct group *group)
{
	struct raft_message row[MESSAGES_MAX];
	uint32_t count = group->row_count;
	memcpy(row, group->row, count * sizeof(row[0]));
	group->row_count = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (row[i].to == 1)
			bench_acknowledge(group, &row[i]);
		else
			bench_follow(group, &row[i]);
	}
}

static void rest(struct group *group)
{
	for (bool any = true; any;) {
		any = group->row_count > 0;
		deliver(group);
		for (uint64_t id = 1; id <= VOTERS; id++) {
			any |= group->hard[id] || group->stored[id] > 0;
			tell_stored(group, id);
			take_messages(group, id);
			any |= group->row_count > 0;
		}
	}
}

static void open_group(struct group *group)
{
	memset(group, 0, sizeof(*group));
	for (uint64_t id = 1; id <= VOTERS; id++)
		open_replica(group, id);
	group->now_ms = raft_deadline(group->replicas[1]);
	step(group, 1, (struct raft_event){.kind = RAFT_TICK});
	take_messages(group, 1);
	rest(group);
	ASSERT(raft_status(group->replicas[1]).role == RAFT_LEADER);
}

static void turn(struct group *group, uint32_t count)
{
	bench_propose(group, count);
	deliver(group); /* to the followers */
	deliver(group); /* their answers */
	bench_store(group);
	take_messages(group, 1);
	struct raft_event applied = {.kind = RAFT_APPLIED,
	    .index = group->committed,
	    .bytes = (uint64_t)count * ENTRY_BYTES};
	step(group, 1, applied);
}

static int run_turns(uint64_t turns, uint32_t count)
{
	struct group group;
	open_group(&group);
	/* Heartbeats of a group that is not idle say the commit, too. */
	for (uint64_t i = 0; i < turns; i++) {
		turn(&group, count);
		if (i % 100 == 99) {
			group.now_ms += 100;
			bench_beat(&group);
			rest(&group);
		}
	}
	printf("%" PRIu64 " turns, %" PRIu64 " entries committed\n", turns, group.committed);
	for (uint64_t id = 1; id <= VOTERS; id++)
		free(group.replicas[id]);
	return group.committed >= turns * count ? 0 : 1;
}

static int run_idle(size_t groups_count)
{
	size_t before = mallinfo2().uordblks;
	struct raft **replicas = calloc(groups_count * VOTERS, sizeof(*replicas));
	ASSERT(replicas);
	static struct group group;
	for (size_t i = 0; i < groups_count; i++) {
		open_group(&group);
		for (unsigned beats = 0; beats < 20; beats++) {
			group.now_ms += 100;
			if (raft_deadline(group.replicas[1]) <= group.now_ms)
				bench_beat(&group);
			rest(&group);
		}
		memcpy(&replicas[i * VOTERS], &group.replicas[1], VOTERS * sizeof(replicas[0]));
	}
	size_t timers = 0;
	for (size_t i = 0; i < groups_count * VOTERS; i++)
		timers += raft_deadline(replicas[i]) != RAFT_NEVER;
	size_t bytes = mallinfo2().uordblks - before;
	printf("%zu replicas, %zu timers, %zu bytes each, %.1f MiB\n", groups_count * VOTERS,
	    timers, bytes / (groups_count * VOTERS), (double)bytes / (1 << 20));
	for (uint32_t places = 1; places <= 9; places += 2)
		printf("with %" PRIu32 " places: %zu bytes\n", places, raft_bytes(places));
	for (size_t i = 0; i < groups_count * VOTERS; i++)
		free(replicas[i]);
	free(replicas);
	return timers == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	for (uint32_t i = 0; i < ENTRIES_MAX; i++)
		entries[i] = (struct raft_entry){.term = 1, .kind = RAFT_DATA};
	if (argc > 1 && strcmp(argv[1], "idle") == 0)
		return run_idle(argc > 2 ? strtoull(argv[2], NULL, 10) : 1000);
	uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	ASSERT(count > 0 && count <= ENTRIES_MAX);
	return run_turns(argc > 1 ? strtoull(argv[1], NULL, 10) : 10000, (uint32_t)count);
}
