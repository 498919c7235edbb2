/* The inside of the simulated world: what sim.h hides. Private to base/io/sim. */
#ifndef KX_BASE_IO_SIM_WORLD_H
#define KX_BASE_IO_SIM_WORLD_H

#include <setjmp.h>

#include "base/io/sim/disk.h"
#include "base/io/sim/mem_sim.h"
#include "base/io/sim/sim.h"
#include "base/random.h"

struct sim_event {
	uint64_t at_ns;
	uint64_t sequence;     /* order of events of one time */
	struct sim_node *node; /* whose process it happens in; NULL: outside */
	const char *name;      /* for the trace */
	void (*happen)(struct sim_event *event);
	/* Where set: the process ended before it could happen. */
	void (*cut_off)(struct sim_event *event, enum sim_crash crash);
	void *object;
	void (*call)(void *arg);
	uint64_t number;
	uint64_t bytes;
	uint64_t covers; /* the newest change that a sync makes durable */
};

struct net_wire;
struct io_listener;

/* What the one sends does not get to the other. */
struct sim_cut {
	struct sim_cut *next;
	const struct sim_node *from, *to;
};

struct sim {
	uint64_t seed;
	struct random random;
	uint64_t now_ns;

	struct sim_event **events; /* a binary heap by (at_ns, sequence) */
	size_t event_count;
	size_t event_capacity;
	uint64_t event_sequence;

	struct sim_faults faults;
	struct sim_figures figures;
	uint64_t trace_hash;
	FILE *trace;

	struct sim_node **nodes;
	size_t node_count;
	uint64_t inode_count;

	struct net_wire *wires; /* net_sim.h */
	struct sim_cut *cuts;

	struct sim_node *inside; /* whose process runs now */
	jmp_buf leave;           /* out of it */
	struct sim *previous;    /* of all worlds of the program */
};

struct sim_target {
	enum sim_fault fault;
	char *path; /* NULL: any */
	uint64_t offset;
	uint64_t bytes;
	uint64_t times;
};

enum {
	SIM_TARGETS_MAX = 64,
	SIM_STATE_BYTES = 640,
};

struct sim_node {
	struct sim *sim;
	unsigned number;
	struct fs *fs;
	struct disk disk;

	bool running;
	bool off; /* its power was cut, and it was not booted since */
	struct sim_mem_scope scope;
	bool turn_scheduled;
	bool polling;         /* it waits in io_poll: */
	bool turn_missed;     /* turns meanwhile are none */
	uint64_t timer_at_ns; /* for when a turn is promised to timers; 0: none is */
	void (*turn)(void *arg);
	void *turn_arg;
	void (*ended)(void *arg);
	void *ended_arg;
	int64_t clock_shift_ms;
	int64_t clock_millionths; /* faster than the world's */
	uint64_t clock_cost_ns;
	unsigned io_count;   /* of the process */
	uint64_t blocked_ns; /* by fs calls of the offload job that runs now */

	uint64_t points;
	uint64_t crash_at;
	enum sim_crash crash_at_kind;
	enum sim_crash dying; /* by what, between the decision and the end */
	bool panicked;
	char state[SIM_STATE_BYTES];

	struct io_listener *listeners; /* of the process */
	struct write_left *writes_left;
	struct sim_part *parts; /* part.h */

	struct sim_target targets[SIM_TARGETS_MAX];
	size_t target_count;
	uint32_t slowness;
	uint32_t ports_taken;
	uint64_t slow_until_ns;
};

/* The node whose process runs now, of whichever world; NULL outside. */
struct sim_node *sim_inside(void);
/* The world whose process runs, else the newest; NULL: there is none. */
struct sim *sim_newest(void);

/* What the node's monotonic clock says now; and when in the world it says `time_ns`, or more. */
uint64_t sim_node_time_ns(const struct sim_node *node);
uint64_t sim_node_world_ns(const struct sim_node *node, uint64_t time_ns);

bool sim_chance(struct sim *sim, uint32_t parts_per_million);

/* `at_ns` may have passed: then it is the next but those already waiting. The event is the
 * world's and freed after it happened. */
struct sim_event *sim_event_add(struct sim *sim, struct sim_node *node, uint64_t at_ns,
    const char *name, void (*happen)(struct sim_event *event));
/* Takes out all events of the node's process, in the order they were added, telling each. */
void sim_events_cut_off(struct sim *sim, struct sim_node *node, enum sim_crash crash);

/* Inside the node's process, which waits: its next event happens, the world's others stay where
 * they are. False: none does until then, and the clock is there. */
bool sim_step_inside(struct sim_node *node, uint64_t until_ns);

/* Adds to the hash, and prints. node may be NULL. */
void sim_trace(
    struct sim *sim, const struct sim_node *node, const char *what, uint64_t a, uint64_t b);

/* For sim_free: with its disk, its process ended. */
void sim_node_free(struct sim_node *node);

/* Lets the node have its turn soon. */
void sim_node_wake(struct sim_node *node);

/* Runs inside the node's process; false where that ended in it (it is cleaned up then, and
 * `ended` was called). */
bool sim_enter(struct sim_node *node, void (*run)(void *arg), void *arg);

/* What becomes of the process at the crash point that the caller stands at. */
enum sim_moment {
	SIM_GO_ON,
	SIM_END_BEFORE, /* the caller calls sim_die without doing anything */
	SIM_END_DURING, /* does part of it, then calls sim_die */
	SIM_END_AFTER,  /* does it, then calls sim_die */
};
enum sim_moment sim_point(struct sim_node *node, const char *what);
__attribute__((noreturn)) void sim_die(struct sim_node *node);

/* Drawn, slowness included. */
uint64_t sim_latency_ns(struct sim_node *node, uint64_t min_ns, uint64_t max_ns);

/* Whether the operation has this fault, by target or by chance. Inside only. */
bool sim_fault_strikes(
    struct sim_node *node, enum sim_fault fault, const char *path, uint64_t offset, uint64_t bytes);

/* writes_left.c: writes of a process that was killed, which the kernel still carries and lets
 * happen some time later. With `locked` they hold the lock of the open file they were made
 * through. */
void sim_write_left_add(struct sim_node *node, struct inode *inode, bool locked, uint64_t offset,
    const void *data, uint64_t bytes);
/* Those that hold the inode's lock happen now. */
void sim_writes_left_finish(struct sim_node *node, const struct inode *inode);
/* All happen now: as unsynced writes, before a power cut decides. */
void sim_writes_left_finish_all(struct sim_node *node);
void sim_writes_left_free(struct sim_node *node);

/* net_sim.c: the connections of a process that has ended. */
void sim_net_process_ended(struct sim_node *node, enum sim_crash crash);
void sim_net_free(struct sim *sim);

/* part.c: all that was kept with the node. */
void sim_parts_free(struct sim_node *node);

/* fs_sim.c, for nodes. */
struct fs *sim_fs_new(struct sim_node *node);
void sim_fs_free(struct fs *fs);
/* Closes what the process left open, and its locks. */
void sim_fs_process_ended(struct fs *fs);

#endif
