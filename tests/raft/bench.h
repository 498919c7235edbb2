/* A table on which replicas of one group stand, for scripts: nothing happens unless a script says
 * so. Each has a clock of its own, a disk whose writes become durable when asked, and messages lie
 * in a row until they are delivered or dropped. What each does is printed, a line each.
 */
#ifndef KX_TESTS_RAFT_BENCH_H
#define KX_TESTS_RAFT_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "replication/raft/raft.h"

enum {
	NODES_MAX = 9, /* numbers 1 to 9 */
	LOG_MAX = 200,
	WRITES_MAX = 300,
	ROW_MAX = 200,
	ELECTION_MS = 1000,
	HEARTBEAT_MS = 100,
	GATHER_MS = 20,
	SLEEP_MS = 500,
	ENTRY_BYTES = 10,
};

struct entry {
	uint64_t term;
	enum raft_entry_kind kind;
	struct raft_membership membership;
};

struct disk {
	uint64_t term, vote;
	struct raft_position base, last;
	struct raft_membership base_membership;
	struct entry log[LOG_MAX];
};

struct write {
	bool hard;
	uint64_t term, vote, index, epoch;
	struct entry entry;
};

struct node {
	struct raft *raft; /* NULL: not there, or down */
	uint64_t now_ms, epoch, applied, commit;
	struct raft_membership applied_membership;
	struct disk now, disk;
	struct write writes[WRITES_MAX];
	uint32_t writes_count;
	bool asleep;
	uint64_t cold_first, cold_last; /* not in its memory; 0, 0: none */
	uint64_t question_base;         /* its questions begin behind this; 0: not asked yet */
	struct raft_position install;   /* under way; index 0: none */
	struct raft_membership install_membership;
};

struct item {
	struct raft_message message;
	struct raft_entry entries[LOG_MAX];
	uint8_t bytes[LOG_MAX][40];
};

struct bench {
	FILE *out;
	bool quiet;
	uint32_t message_entries; /* at most, in one message */
	bool leases, sleeps;
	uint32_t gather_entries;
	bool stalls[NODES_MAX + 1]; /* stabilize leaves its writes under way */
	struct node nodes[NODES_MAX + 1];
	struct item *row[ROW_MAX];
	uint32_t row_count;
	struct item *held[ROW_MAX]; /* late: they come when the script says so */
	uint32_t held_count;
	bool cut[NODES_MAX + 1][NODES_MAX + 1];
};

void bench_done(struct bench *bench);
void bench_add(struct bench *bench, uint64_t id, const struct raft_membership *membership);
void bench_start(struct bench *bench, uint64_t id);
void bench_stop(struct bench *bench, uint64_t id, uint32_t writes_kept);
void bench_step(struct bench *bench, uint64_t id, struct raft_event event);
/* After a request: what is to be done is done, what is to be sent lies in the row. */
void bench_go_on(struct bench *bench, uint64_t id);
/* An entry that the owner proposed. */
void bench_proposed(struct bench *bench, uint64_t id, struct raft_position first, uint32_t count);
/* Of its writes the first `count` at most; false: none. */
bool bench_store(struct bench *bench, uint64_t id, uint32_t count);
void bench_preset(
    struct bench *bench, uint64_t id, uint64_t term, const uint64_t *terms, size_t count);
/* Unsafe recovery (raft.h): it alone, with what it has. */
void bench_recover(struct bench *bench, uint64_t id);
bool bench_deliver(struct bench *bench, uint32_t at);
void bench_drop(struct bench *bench, uint32_t at);
void bench_compact(struct bench *bench, uint64_t id, uint64_t index);
/* Entries of its log are not in its memory; 0, 0: all are, again. */
void bench_cold(struct bench *bench, uint64_t id, uint64_t first, uint64_t last);
/* The whole state of one replica goes to another, or is lost on the way. */
void bench_snapshot(struct bench *bench, uint64_t from, uint64_t to, bool lost);

/* The same in steps: what is offered is installed, or fails to be, when the script says so. */
void bench_offer(struct bench *bench, uint64_t from, uint64_t to);
void bench_installed(struct bench *bench, uint64_t id, bool failed);

const char *bench_kind_name(enum raft_message_kind kind);
void bench_print_message(FILE *out, const struct raft_message *message);
void bench_print_status(struct bench *bench, uint64_t id);
void bench_print_log(struct bench *bench, uint64_t id);
void bench_print_progress(struct bench *bench, uint64_t id);

#endif
