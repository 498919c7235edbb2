/* A simulated world for one process, one thread and one seed: machines whose disks lie, whose
 * processes die at any write, and whose clock is not real.
 *
 * A program is simulated by linking libkx_io_sim.a in place of libkx_io.a and libkx_clock.a,
 * ahead of libkx_base.a (it brings its own base/mem.h functions, which remember what a process
 * allocated). Production sources never include this header: they see io.h, fs.h, mem.h and
 * clock.h only.
 *
 * Words
 *   world    struct sim: the seed, the virtual clock, the events to come.
 *   node     a simulated machine: a disk that outlives the processes that run on it.
 *   process  what runs on a node between sim_node_boot and its end. Its memory is everything that
 *            was taken through mem_alloc while its code ran; at its end all of it is freed at
 *            once.
 *   inside   while code of a process runs: in sim_node_run, and in what sim_step calls for it
 *            (its turn function, its `done` functions, its offload jobs). Everything else is
 *            outside: the test itself. fs.h called outside is the hand of an operator: no faults,
 *            no crash points, no latency, though what it writes needs fs_sync as ever.
 *
 * How a process ends
 *   sim_node_crash, a crash point (below), a PANIC, or sim_node_stop. The code of the process is
 *   left by longjmp to sim_step or sim_node_run. Then: operations under way are dropped, their
 *   `done` is never called; files and locks of the process are closed; its memory is freed.
 *   Pointers into the process (its io, its fs_files, its own structures) are dead from then on;
 *   the node, its disk and its struct fs live on. A failed ASSERT ends the program and prints the
 *   seed.
 *   SIM_KILL       the machine lives: the kernel keeps every write it had accepted, synced or
 *                  not. Of a write under way all, nothing, or a beginning of it happens, at once
 *                  or up to a second later, when the next process may have written there: only
 *                  FS_LOCKED waits for it.
 *   SIM_POWER_CUT  the loss model below.
 *
 * Crash points
 *   Every fs_* call inside a process that changes something (open that creates, write, sync,
 *   allocate, truncate, rename, unlink, make_dir, sync_dir, lock), every start of
 *   io_write_durable, and the completion of its write half and of its sync half. At a point where
 *   the process is to end, the seed decides whether that is before the effect, in the middle of
 *   it (a write: any of its sectors; a sync: any of what it covers), or after it.
 *
 * The loss model
 *   Data: a file has its durable content, and a list of writes that completed since the last
 *   sync. A sync makes durable what had completed when it was issued; that of io_write_durable,
 *   of its own range only. At a power cut each write of
 *   the list, and each write under way, is kept, lost, or torn: any subset of its 512-byte sectors,
 *   and where `garbage_percent` says so a sector of neither old nor new content. A sector that
 *   is written with the bytes it holds keeps them in every case.
 *
 *   Size: changes of a file's size since its last sync (truncate, allocate, a write behind the end)
 *   are kept up to a random one of them and lost from there on. Where a growth is kept and its data
 *   is not, there are zeros.
 *
 *   Names: creations, renames, unlinks and new directories since the last fs_sync_dir of their
 *   directory happen up to a random one of them, per directory; a rename between two directories
 *   happens in both or in neither. Syncing a file does not make its name durable.
 *
 *   Nothing else is ever lost, and what a sync covered never is, except by the faults below.
 *
 * Every decision is drawn from the world's seed, so the same seed and the same calls give the
 * same trace (sim_trace_hash), on any machine. Code under simulation must not use addresses, real
 * time or real threads to decide anything.
 *
 * Inside a process io_poll waits as in life, for the end of a process, which runs its io until what
 * is under way has ended: other nodes and calls of the test then happen afterwards.
 *
 * The network
 *   Each node has an address of its own (sim_node_address) and 127.0.0.0/8; IPv4 only. A connection
 *   is TCP's: bytes keep their order and come once, in pieces of any size; those of different
 *   connections overtake one another. What is sent takes a latency and the way's bandwidth; it is
 *   taken from the sender while less than net_buffer_bytes is unacknowledged, and held up while the
 *   receiver has as much unread. What a cut holds up is tried again later and later, until the
 *   sender's patience ends.
 *   SIM_KILL closes a process's connections as a kernel does. After a power cut the machine says
 *   nothing: its peers hold half-open connections, which are reset when they send and it runs
 *   again.
 */
#ifndef KX_BASE_IO_SIM_SIM_H
#define KX_BASE_IO_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

struct fs;
struct io;
struct sim;
struct sim_node;

/* ---- The world ---- */

/* Chances are in parts per million and drawn once per occasion named; zero is never. A zeroed
 * struct is a healthy machine that still loses at a power cut what was not synced. */
struct sim_faults {
	/* Per crash point: the process ends there; by a power cut in this share of the cases. */
	uint32_t crash_ppm;
	uint32_t power_cut_percent;

	/* Per write. Lost: it completes, syncs, and is never stored. Misdirected: it completes
	 * and lands elsewhere inside the same or another file of its directory (at the same
	 * alignment; not where there is no such place), where it is durable at once. Error: ERR_IO,
	 * and any part of the range was changed. */
	uint32_t write_lost_ppm;
	uint32_t write_misdirected_ppm;
	uint32_t write_error_ppm;

	/* Per read: ERR_IO. */
	uint32_t read_error_ppm;

	/* Per sync: ERR_IO; the unsynced writes that it covered are marked clean, each stored or
	 * not. Reads still show them until the power is cut, and a second sync succeeds: it
	 * lies. */
	uint32_t sync_error_ppm;

	/* Per file and power cut: one bit of its durable content flips. */
	uint32_t rot_ppm;

	/* Per operation: the disk begins to be 100 times slower, for this long (0: 50 ms). */
	uint32_t slow_ppm;
	uint64_t slow_ns;

	/* Of unsynced writes at a power cut, in percent; the rest is kept. Both 0: 34 lost, 33
	 * torn. Of the sectors of a torn write that are not kept, garbage_percent hold neither
	 * old nor new. */
	uint32_t lost_percent;
	uint32_t torn_percent;
	uint32_t garbage_percent;

	/* Capacity of each node's disk; 0: unlimited. ERR_NO_SPACE from what would exceed it. */
	uint64_t disk_bytes;

	/* Per segment of a connection (some KiB). Reset: both ends are told. Silent: the connection
	 * carries nothing from then on, in neither direction, and nobody is told. Stall: nothing
	 * arrives for this long (0: 50 ms). Flip: one bit arrives changed, as where a checksum of
	 * TCP's was lucky. */
	uint32_t net_reset_ppm;
	uint32_t net_silent_ppm;
	uint32_t net_stall_ppm;
	uint64_t net_stall_ns;
	uint32_t net_flip_ppm;
	uint64_t net_ns_min, net_ns_max; /* one way; default 20 to 300 us */
	uint64_t net_bytes_per_s;        /* of a connection and direction; 0: 125 MB */
	uint64_t net_buffer_bytes;       /* 0: 64 KiB */

	/* Latency of one operation is drawn between these, every hundredth one ten times as long,
	 * so that completions overtake one another. A max of 0 stands for the default. */
	uint64_t write_ns_min, write_ns_max;     /* default 10 to 150 us */
	uint64_t sync_ns_min, sync_ns_max;       /* default 40 to 400 us */
	uint64_t read_ns_min, read_ns_max;       /* default 10 to 200 us */
	uint64_t offload_ns_min, offload_ns_max; /* until a job starts; default 1 to 100 us */
};

/* Runs it on a stack and with memory (base/mem.h) at addresses that are the same in every process
 * of the program, for code whose course depends on them. The program has to be linked at a fixed
 * place itself. Once in a process, before it takes any memory from mem.h. */
void sim_at_fixed_addresses(void (*run)(void *arg), void *arg);

/* Never NULL: a world without memory is no test. `faults` is copied; NULL: none. */
struct sim *sim_new(uint64_t seed, const struct sim_faults *faults);
void sim_free(struct sim *sim); /* NULL-safe; ends all processes and frees all nodes */

/* Changes the chances from now on, for example to none while a test looks at what is left. */
void sim_set_faults(struct sim *sim, const struct sim_faults *faults);

uint64_t sim_seed(const struct sim *sim);
uint64_t sim_now_ns(const struct sim *sim);

/* Drawn from the world's seed: for the test's own decisions, which belong to the trace too. */
uint64_t sim_random(struct sim *sim);                       /* any value */
uint64_t sim_random_below(struct sim *sim, uint64_t limit); /* 0 .. limit-1; limit > 0 */

/* Takes the next event, sets the clock to its time and lets it happen. Events: a half of an
 * operation completes, an offload job runs, a timer of a process is due, a node has its turn
 * (soon after something for it completed), a call that the test asked for. False: nothing is left
 * to happen. */
bool sim_step(struct sim *sim);

/* Steps until `until` (asked after every step and before the first; NULL: until nothing is left)
 * is true, or `steps_max` were made. Whether `until` was reached (NULL: whether nothing is
 * left). */
bool sim_run_until(struct sim *sim, bool (*until)(void *arg), void *arg, uint64_t steps_max);
/* Steps until so much time has passed, whatever happens meanwhile, or nothing. False: `steps_max`
 * were not enough. */
NODISCARD bool sim_pass(struct sim *sim, uint64_t ns, uint64_t steps_max);

/* Calls `call` from sim_step, outside of every process, when the clock gets to `at_ns` (or at once
 * where that has passed): this is how a test boots a node again, or starts load. */
void sim_call_at(struct sim *sim, uint64_t at_ns, void (*call)(void *arg), void *arg);

/* Over every event, crash point, fault and fs call so far. */
uint64_t sim_trace_hash(const struct sim *sim);
/* One line per event from now on; NULL: none. */
void sim_trace_print(struct sim *sim, FILE *to);

/* How often each thing happened. A test over many seeds adds them up and demands that none is 0. */
#define SIM_FIGURE_LIST(X)                                                                         \
	X(events)                                                                                  \
	X(turns)                                                                                   \
	X(crash_points)                                                                            \
	X(ended_by_kill)                                                                           \
	X(ended_by_power_cut)                                                                      \
	X(ended_by_panic)                                                                          \
	X(ended_before_effect)                                                                     \
	X(ended_in_effect)                                                                         \
	X(ended_after_effect)                                                                      \
	X(unsynced_writes_kept)                                                                    \
	X(unsynced_writes_lost)                                                                    \
	X(unsynced_writes_torn)                                                                    \
	X(garbage_sectors)                                                                         \
	X(sizes_lost)                                                                              \
	X(names_kept)                                                                              \
	X(names_lost)                                                                              \
	X(writes_under_way_at_end)                                                                 \
	X(writes_after_end)                                                                        \
	X(writes_lost)                                                                             \
	X(writes_misdirected)                                                                      \
	X(write_errors)                                                                            \
	X(read_errors)                                                                             \
	X(sync_errors)                                                                             \
	X(bits_rotted)                                                                             \
	X(slow_periods)                                                                            \
	X(no_space)

/* Of the network: for tests that have one. */
#define SIM_NET_FIGURE_LIST(X)                                                                     \
	X(net_connections)                                                                         \
	X(net_refused)                                                                             \
	X(net_resets)                                                                              \
	X(net_segments)                                                                            \
	X(net_held)                                                                                \
	X(net_windows_closed)                                                                      \
	X(net_timeouts)                                                                            \
	X(net_silenced)                                                                            \
	X(net_stalls)                                                                              \
	X(net_flips)

struct sim_figures {
#define X(name) uint64_t name;
	SIM_FIGURE_LIST(X)
	SIM_NET_FIGURE_LIST(X)
#undef X
};

struct sim_figures sim_figures(const struct sim *sim);

/* ---- Nodes and their processes ---- */

enum sim_crash { SIM_KILL, SIM_POWER_CUT };

/* A machine with an empty, healthy disk. Lives as long as the world. */
struct sim_node *sim_node_new(struct sim *sim);
unsigned sim_node_number(const struct sim_node *node); /* 0 for the first one of the world */

/* The node's files; the node's, valid as long as it. fs_open_root inside a process returns it too,
 * whatever the path. */
struct fs *sim_node_fs(struct sim_node *node);

/* Starts a process and makes its io, with io's default options. The node has none running. The
 * process has no turn function yet. Never NULL. */
struct io *sim_node_boot(struct sim_node *node);

/* Calls `run` inside the node's process. False: the process ended in it. What it leaves in `arg`
 * for the test must not be memory of the process, if that may have ended. Not nested. */
bool sim_node_run(struct sim_node *node, void (*run)(void *arg), void *arg);

/* What sim_step calls, inside the process, after something completed for it: io_run of its io and
 * what the turn produced. A process that makes several io (io_new inside it) runs them all
 * there. */
void sim_node_set_turn(struct sim_node *node, void (*turn)(void *arg), void *arg);

/* Called from sim_step or sim_node_run, outside, after the process ended by itself, whatever the
 * way; not for sim_node_crash and sim_node_stop from outside. It may boot the node again. */
void sim_node_set_ended(struct sim_node *node, void (*ended)(void *arg), void *arg);

/* Ends the process now. Inside that process it does not return. A power cut of a node without a
 * process does to its disk what it would have done. */
void sim_node_crash(struct sim_node *node, enum sim_crash crash);

/* Ends it as a clean exit does; from outside. Operations under way end as in a kill. Returns how
 * many pieces of memory it had not freed: 0 after an orderly shutdown with io_free (of the io that
 * sim_node_boot made, too). */
size_t sim_node_stop(struct sim_node *node);

bool sim_node_is_running(const struct sim_node *node);
/* "running", "never booted", "stopped", "killed", "power cut", or "panic: ..." with its text; valid
 * until the next end of a process of this node. */
const char *sim_node_state(const struct sim_node *node);

/* Ends the process at the nth crash point from now (1: the next one), once; 0: never mind. It stays
 * over the end of a process by other causes. */
void sim_crash_at(struct sim_node *node, uint64_t nth, enum sim_crash crash);
/* Crash points that this node has passed since it was made: what a test counts in a dry run in
 * order to try every one of them. */
uint64_t sim_crash_points(const struct sim_node *node);

/* What clock_real_ms says inside the node's processes: the world's time and this. */
void sim_node_shift_clock(struct sim_node *node, int64_t shift_ms);

/* The monotonic clock inside the node's processes, its timers too, runs faster than the world's by
 * so many of a million, or slower where that is negative; more than -1000000. Before the first
 * boot. */
void sim_node_set_clock_speed(struct sim_node *node, int32_t millionths);

/* Each look at the monotonic clock inside the node's processes takes so long: for code that ends
 * its slices by the time, which stands still otherwise while a process runs. 0: no time at all. */
void sim_node_set_clock_cost(struct sim_node *node, uint64_t cost_ns);

/* ---- The network ---- */

/* Of IPv4, in host order: 10.1.0.1 for the first node. */
uint32_t sim_node_address(const struct sim_node *node);
/* Nothing that `from` sends gets to `to` until this is taken back. Both directions make a
 * partition. */
void sim_net_cut(struct sim_node *from, struct sim_node *to, bool cut);
/* All connections between the two end now, at both ends; or go silent, and neither is told. */
void sim_net_reset(struct sim_node *a, struct sim_node *b);
void sim_net_silence(struct sim_node *a, struct sim_node *b);

/* ---- One exact fault ---- */

enum sim_fault {
	SIM_WRITE_LOST,
	SIM_WRITE_MISDIRECTED,
	SIM_WRITE_ERROR,
	SIM_READ_ERROR,
	SIM_SYNC_ERROR /* of the file, whatever the range */
};

/* The next `times` operations of that kind which touch the range, inside a process, on a file
 * that was opened under `path` (NULL: any file), have the fault. At most 64 are pending per node.
 * `bytes` of UINT64_MAX reaches to the end. */
void sim_disk_fault(struct sim_node *node, enum sim_fault fault, const char *path, uint64_t offset,
    uint64_t bytes, uint64_t times);
void sim_disk_clear_faults(struct sim_node *node); /* forgets those still pending */

/* Flips the bits of `mask` in the byte at `offset`, in what is durable and in what is read now.
 * What was unsynced in the file is stored before. The file exists and is longer than that. */
void sim_disk_rot(struct sim_node *node, const char *path, uint64_t offset, uint8_t mask);

/* What the file would hold if everything unsynced were lost, names aside: up to `bytes`, the
 * count is returned. ERR_NOT_FOUND where no such name is visible now. */
NODISCARD int sim_disk_read_durable(struct sim_node *node, const char *path, uint64_t offset,
    void *data, size_t bytes, size_t *ret_bytes);

/* Sets how much fits (see sim_faults.disk_bytes) for this node; what is stored already stays. */
void sim_disk_set_capacity(struct sim_node *node, uint64_t bytes);
/* 1: as drawn. Latencies of this node's disk are multiplied by it from now on. */
void sim_disk_set_slowness(struct sim_node *node, uint32_t factor);

#endif
