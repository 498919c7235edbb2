/* Writes and syncs that go through a ring are no calls of libc. But handing a ring's requests
 * over is: here those that write or sync tracked files are taken out before, done through
 * calls.c, and left as requests that change nothing and succeed: a write goes to /dev/null. So the
 * code under test runs its own ring, unchanged.
 *
 * Requests handed over together are under way together: their writes happen in any order, and
 * then their syncs in any order, those of writes that ask for one (RWF_DSYNC) among them. Where the
 * power goes between two of these, the others were written or not, and are not durable, just as
 * with a disk; and none of them was acknowledged. */
#include <dlfcn.h>
#include <liburing.h>

#include "tests/preload/calls.h"
#include "tests/preload/disk.h"
#include "tests/preload/raw.h"

enum { BATCH_MAX = 4096 };

static bool is_write(const struct io_uring_sqe *sqe)
{
	switch (sqe->opcode) {
	case IORING_OP_WRITE:
		return calls_track(sqe->fd);
	case IORING_OP_WRITEV:
	case IORING_OP_WRITE_FIXED:
	case IORING_OP_FALLOCATE:
	case IORING_OP_SPLICE:
		if (calls_track(sqe->fd))
			disk_uncovered("a kind of request", "");
		return false;
	}
	return false;
}

static bool is_sync(const struct io_uring_sqe *sqe)
{
	bool syncs = sqe->opcode == IORING_OP_FSYNC ||
	             (sqe->opcode == IORING_OP_WRITE && sqe->rw_flags & RWF_DSYNC);
	return syncs && calls_track(sqe->fd);
}

/* Completes with 0, in the place that it has among linked requests. */
static void do_nothing(struct io_uring_sqe *sqe)
{
	sqe->opcode = IORING_OP_NOP;
	sqe->fd = -1;
	sqe->off = 0;
	sqe->addr = 0;
	sqe->len = 0;
	sqe->rw_flags = 0;
}

/* Completes with its length. */
static void write_nothing(struct io_uring_sqe *sqe)
{
	static int nowhere = -1;
	if (nowhere < 0)
		nowhere = raw_open("/dev/null", O_WRONLY);
	if (nowhere < 0)
		disk_uncovered("no /dev/null", "");
	sqe->fd = nowhere;
	sqe->rw_flags = 0;
}

/* Those of the batch that `is` chooses, in a random order. */
static void each_in_any_order(struct io_uring_sqe **batch, size_t count,
    bool (*is)(const struct io_uring_sqe *sqe), void (*act)(struct io_uring_sqe *sqe))
{
	static struct io_uring_sqe *chosen[BATCH_MAX];
	size_t left = 0;
	for (size_t i = 0; i < count; i++)
		if (is(batch[i]))
			chosen[left++] = batch[i];
	while (left > 0) {
		size_t i = disk_random(left);
		struct io_uring_sqe *sqe = chosen[i];
		chosen[i] = chosen[--left];
		act(sqe);
	}
}

/* The kernel refuses a request without a file, with another error than the one that was asked
 * for. */
static void refuse(struct io_uring_sqe *sqe)
{
	sqe->fd = -1;
}

static void act_write(struct io_uring_sqe *sqe)
{
	ssize_t written =
	    calls_write(sqe->fd, (const void *)(uintptr_t)sqe->addr, sqe->len, (off_t)sqe->off);
	if (written == (ssize_t)sqe->len) {
		/* One with a sync is still to be seen by is_sync. */
		if (!(sqe->rw_flags & RWF_DSYNC))
			write_nothing(sqe);
		return;
	}
	if (written >= 0)
		disk_uncovered("a short write of a ring", "");
	refuse(sqe);
}

static void act_sync(struct io_uring_sqe *sqe)
{
	bool is_write = sqe->opcode == IORING_OP_WRITE;
	if (calls_sync(sqe->fd, is_write ? sqe->off : 0, is_write ? sqe->len : 0) != 0)
		refuse(sqe);
	else if (is_write)
		write_nothing(sqe);
	else
		do_nothing(sqe);
}

/* What is linked behind a request that failed is not done either. */
static void refuse_links(struct io_uring_sqe **batch, size_t count)
{
	for (size_t i = 0; i + 1 < count; i++)
		if (batch[i]->opcode != IORING_OP_NOP && batch[i]->fd == -1 &&
		    (batch[i]->flags & IOSQE_IO_LINK))
			refuse(batch[i + 1]);
}

static void take_out(struct io_uring *ring)
{
	static struct io_uring_sqe *batch[BATCH_MAX];
	size_t count = 0;
	calls_lock();
	for (unsigned at = ring->sq.sqe_head; at != ring->sq.sqe_tail; at++) {
		if (count == BATCH_MAX)
			disk_uncovered("a large ring", "");
		batch[count++] = &ring->sq.sqes[at & ring->sq.ring_mask];
	}
	each_in_any_order(batch, count, is_write, act_write);
	refuse_links(batch, count);
	each_in_any_order(batch, count, is_sync, act_sync);
	calls_unlock();
}

EXPORT int io_uring_submit(struct io_uring *ring)
{
	static int (*next)(struct io_uring *);
	if (next == NULL)
		next = (int (*)(struct io_uring *))dlsym(RTLD_NEXT, "io_uring_submit");
	take_out(ring);
	return next(ring);
}

EXPORT int io_uring_submit_and_wait(struct io_uring *ring, unsigned count)
{
	static int (*next)(struct io_uring *, unsigned);
	if (next == NULL)
		next = (int (*)(struct io_uring *, unsigned))dlsym(
		    RTLD_NEXT, "io_uring_submit_and_wait");
	take_out(ring);
	return next(ring, count);
}

EXPORT int io_uring_submit_and_get_events(struct io_uring *ring)
{
	static int (*next)(struct io_uring *);
	if (next == NULL)
		next =
		    (int (*)(struct io_uring *))dlsym(RTLD_NEXT, "io_uring_submit_and_get_events");
	take_out(ring);
	return next(ring);
}

EXPORT int io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe,
    unsigned count, struct __kernel_timespec *timeout, sigset_t *mask)
{
	static int (*next)(struct io_uring *, struct io_uring_cqe **, unsigned,
	    struct __kernel_timespec *, sigset_t *);
	if (next == NULL)
		next = (int (*)(struct io_uring *, struct io_uring_cqe **, unsigned,
		    struct __kernel_timespec *, sigset_t *))dlsym(RTLD_NEXT,
		    "io_uring_submit_and_wait_timeout");
	take_out(ring);
	return next(ring, cqe, count, timeout, mask);
}
