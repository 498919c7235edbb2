/* The completion contract: how one core waits for disks, sockets, timers, helpers and other
 * cores.
 *
 * Two implementations exist and the linker chooses: io_uring.c (one ring a core: single issuer,
 * deferred task work) and sim/io_sim.c (virtual time, everything decided by one seed).
 *
 * The rules, which both keep:
 *   1. An operation is a struct io_op embedded in its owner. From the io_* call that starts it
 *      until its `done` is called it belongs to io: not moved, not freed, not started again, and
 *      the bytes it reads or writes are not touched. Its memory is zeroed once, before its first
 *      start: that is how starting it twice is found. So is a timer's.
 *   2. `done` is called exactly once for every started operation, by io_run and by nothing else:
 *      never inside the call that started it, so there is no recursion. Inside `done` the owner
 *      may start operations (this one too) and free itself.
 *   3. Completions of different operations come in any order, except where this header says.
 *   4. One struct io belongs to one thread. What another thread may call is marked "any thread".
 *   5. Started operations are handed to the kernel in io_poll, in one system call per turn
 *      (io_submit: earlier).
 *
 * A core's loop:
 *     while (!stop) { io_poll(io, wait); io_run(io); ...batch what the turn produced... }
 * The simulator calls the same turn function itself and never io_poll.
 */
#ifndef KX_BASE_IO_IO_H
#define KX_BASE_IO_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"
#include "base/heap.h"
#include "base/list.h"

struct io;
struct fs_file;
struct io_socket;
struct sockaddr;

struct io_options {
	unsigned queue_entries;   /* submission queue; power of two; 0: 1024 */
	unsigned receive_buffers; /* shared receive buffers of this core; power of two; 0: 256 */
	unsigned receive_buffer_bytes; /* each; 0: 16 KiB */
	unsigned offload_threads;      /* helpers for blocking work, at least 2; 0: 2 */
};

/* Production: ERR_UNSUPPORTED where io_uring is not permitted; `why` (static text or filled
 * buffer of at least 256 bytes) then names exactly the setting that forbids it
 * (kernel.io_uring_disabled, seccomp, RLIMIT_MEMLOCK, kernel older than 6.1). Call from the
 * thread that will run the loop. */
NODISCARD int io_new(
    const struct io_options *options, char *why, size_t why_bytes, struct io **ret_io);
void io_free(struct io *io); /* NULL-safe; no operation may be under way, but io's own */

/* Hands over what was started and waits until something completed or `wait_ns` passed (0: do not
 * wait, UINT64_MAX: until woken), whichever of that and the next timer is first. */
void io_poll(struct io *io, uint64_t wait_ns);
/* Hands over what was started so far, and takes nothing: in the middle of a turn, before work that
 * lasts, so that the kernel works meanwhile. */
void io_submit(struct io *io);
/* Calls `done` of what had completed when it was called (what completes during it waits for the
 * next turn, so a turn is bounded), then the timers that are due. Returns how many were called. */
size_t io_run(struct io *io);

/* Whether io_poll would not wait, because more has completed already than was taken: then this core
 * has other work at once. A hint for what may as well be done later. */
bool io_ready(const struct io *io);

/* Monotonic time, read once per io_run: the same value during a whole turn. */
uint64_t io_now_ns(const struct io *io);

/* ---- Operations ---- */

struct io_op {
	void (*done)(struct io_op *op); /* set by the owner before starting */
	int64_t result; /* set before done: 0 or a count, or a negative enum error */

	/* Private to io. */
	struct list_node link;
	uint8_t kind;
	uint8_t state;
	struct io *io;
	union {
		struct {
			struct fs_file *file;
			uint8_t *data;
			uint64_t offset;
			size_t bytes;
			size_t bytes_done;
			uint64_t begun_ns;
			unsigned attempts;
			uint8_t method;
		} file;
		struct {
			int fd;
			unsigned iov_count;
			struct iovec *iov;
			size_t bytes_done;
		} socket;
		struct {
			struct io_socket *socket;
		} connect;
		struct {
			void (*run)(struct io_op *op);
		} work;
	} u;
};

/* Writes the range and makes it durable. Result 0 means: this range is durable, whatever other
 * writes to the file do, and nothing is said of what others wrote. Short and interrupted pieces are
 * submitted again inside, write and sync together. Any other failure is final: ERR_IO,
 * ERR_NO_SPACE; the owner stops the process and never tries again. Offset, bytes and data aligned
 * to FS_ALIGNMENT; at most 1 GiB. Two of these on one file complete in any order: the owner
 * acknowledges in its own. */
void io_write_durable(struct io *io, struct io_op *op, struct fs_file *file, const void *data,
    size_t bytes, uint64_t offset);

/* Reads; result is the count, short only at the end of the file. */
void io_read(struct io *io, struct io_op *op, struct fs_file *file, void *data, size_t bytes,
    uint64_t offset);

/* Runs `run(op)` on a thread of the offload pool (it may block and may use fs.h; it sets op->result
 * and touches only what its owner left to it), then `done(op)` here. First in, first started; with
 * more than one thread they overlap. */
void io_offload(struct io *io, struct io_op *op, void (*run)(struct io_op *op));
/* The same for long jobs (writing a checkpoint, zeroing a segment, walking a range): these never
 * take the last free thread of the pool, so that short ones do not wait behind them. */
void io_offload_bulk(struct io *io, struct io_op *op, void (*run)(struct io_op *op));

/* ---- Timers ---- */

struct io_timer {
	void (*fired)(struct io_timer *timer); /* set by the owner */

	/* Private to io. */
	struct heap_node node;
	uint64_t at_ns;
	bool armed;
};

/* (Re)arms to fire once at or after `at_ns` of io_now_ns's clock; resolution 1 ms, never early.
 * Timers fire in order of time, equal times in order of arming; a time that has passed counts as
 * now. A fired timer is disarmed before `fired`. */
void io_timer_set(struct io *io, struct io_timer *timer, uint64_t at_ns);
void io_timer_cancel(struct io *io, struct io_timer *timer); /* no effect where not armed */

/* ---- Sockets (TCP) ---- */

/* What a socket's owner is told, always from io_run. */
struct io_socket_events {
	/* Bytes arrived; `data` is io's and valid during this call only: use it in place, or copy
	 * what is incomplete. Not called while paused. */
	void (*received)(struct io_socket *socket, void *owner, const uint8_t *data, size_t bytes);
	/* Optional. The peer will send no more (it may still receive): the owner answers what it
	 * has and then calls io_socket_close. Where this is NULL, io closes once the sends under
	 * way are done. */
	void (*ended)(struct io_socket *socket, void *owner);
	/* The last call for this socket: 0 the peer closed or io_socket_close was called, else a
	 * negative enum error. After it the socket is gone; all its sends have had their `done`. */
	void (*closed)(struct io_socket *socket, void *owner, int result);
};

struct io_listener;

/* Listens (SO_REUSEPORT, so that every core of the process has its own) and calls `accepted` per
 * connection; the owner calls io_socket_start in it or later. Errors: ERR_ADDRESS_IN_USE,
 * ERR_PERMISSION, ERR_INVALID. Port 0 takes a free one: io_listener_port tells. Out of file
 * descriptors, it pauses accepting for 100 ms and tries again. */
NODISCARD int io_listen(struct io *io, const struct sockaddr *address, size_t address_bytes,
    void (*accepted)(struct io_listener *listener, void *owner, struct io_socket *socket),
    void *owner, struct io_listener **ret_listener);
uint16_t io_listener_port(const struct io_listener *listener);
void io_listener_close(struct io_listener *listener); /* NULL-safe; no `accepted` after it */

/* Connects; on result 0 op's owner finds the socket in *ret_socket (set before done), which stays
 * valid until then. The address is copied. */
void io_connect(struct io *io, struct io_op *op, const struct sockaddr *address,
    size_t address_bytes, struct io_socket **ret_socket);
/* Gives up: `done` still comes, soon, with ERR_CANCELED or with what it had come to before. No
 * effect where the operation is not under way. */
void io_connect_cancel(struct io *io, struct io_op *op);

/* Begins to receive. TCP_NODELAY is on. */
void io_socket_start(struct io_socket *socket, const struct io_socket_events *events, void *owner);
/* Back-pressure: while paused nothing is received (the kernel's window closes), and the peer's end
 * is not noticed either. */
void io_socket_pause(struct io_socket *socket, bool paused);
/* Sends all of it, in the order of the calls; result: 0 or a negative enum error, after which the
 * socket closes by itself. iov and bytes are the caller's and stay until done; io changes iov's
 * elements as it gets on. iov_count at most IOV_MAX. */
void io_send(struct io_socket *socket, struct io_op *op, struct iovec *iov, unsigned iov_count);
/* Where bytes that were sent stay unacknowledged for so long, or the peer takes none of them, the
 * connection ends with ERR_TIMEOUT. 0: the system's own patience, of many minutes. */
void io_socket_set_patience(struct io_socket *socket, uint32_t unacknowledged_ms);
/* Of what io_send was given the kernel takes so much ahead of what is on its way (about; > 0): so
 * that a small message need not wait behind megabytes that cannot be taken back. */
void io_socket_set_ahead(struct io_socket *socket, uint32_t unsent_bytes);
/* Ends the connection: sends under way are cancelled (ERR_CANCELED), then `closed` is called (once,
 * from io_run), where the socket was started. Calling it again before that does nothing. */
void io_socket_close(struct io_socket *socket);
/* Takes a started socket away from its io, for another one: `detached` comes once, from io_run, in
 * place of `closed`, and then the socket is its callee's, who hands it to io_socket_adopt or to
 * io_socket_discard; nothing else may be called for it. What arrives meanwhile stays with it. Not
 * while it sends. Where the connection fails before, or is closed, `closed` comes as ever. */
void io_socket_detach(
    struct io_socket *socket, void (*detached)(struct io_socket *socket, void *owner));
/* One that no io has is `io`'s from now on, and like one that was just accepted: to be started. (In
 * the simulator both are of one machine.) */
void io_socket_adopt(struct io *io, struct io_socket *socket);
/* Any thread: closes one that no io has. */
void io_socket_discard(struct io_socket *socket);
/* The peer's address as "IP:PORT"; at least 64 bytes. */
void io_socket_peer(const struct io_socket *socket, char *text, size_t text_bytes);

/* ---- Between threads ---- */

/* Any thread: makes the io_poll of `target` return soon. Many calls before it does are one. From a
 * thread that runs an io of its own, `from` is that one (a ring message, sent with its next poll);
 * else NULL (an event descriptor). */
void io_wake(struct io *target, struct io *from);
/* What io_run calls, at its begin, after a wake: mailboxes are emptied there. */
void io_on_wake(struct io *io, void (*woken)(void *arg), void *arg);

struct io_figures {
	uint64_t polls, completions, submitted, wakes, timers_fired, offloaded;
};
struct io_figures io_figures(const struct io *io);

#endif
