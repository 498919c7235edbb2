/* Between threads. A wake is a flag and a message: the flag says that somebody wants it, the
 * message ends the target's waiting. The target looks at the flag before it waits and at the
 * begin of each turn, so a message that comes too early or too often does no harm, and none that
 * comes late is missed. Only who sets the flag sends the message. */
#include "base/io/io_uring.h"

#include <errno.h>
#include <unistd.h>

#include "base/assert.h"

void event_arm(struct io *io)
{
	if (io->event_armed)
		return;
	struct io_uring_sqe *sqe = ring_take(io);
	io_uring_prep_read(sqe, io->event_fd, &io->event_value, sizeof(io->event_value), 0);
	sqe->user_data = RING_EVENT;
	io->requests++;
	io->event_armed = true;
}

void event_completed(struct io *io)
{
	io->event_armed = false;
	if (io->offload != NULL)
		offload_reap(io->offload);
}

void io_event_write(const struct io *io)
{
	uint64_t one = 1;
	ssize_t written;
	do
		written = write(io->event_fd, &one, sizeof(one));
	while (written < 0 && errno == EINTR);
	ASSERT(written == sizeof(one));
}

void io_wake(struct io *target, struct io *from)
{
	ASSERT(target != from);
	if (atomic_exchange(&target->wake_wanted, true))
		return;
	if (from == NULL) {
		io_event_write(target);
		return;
	}
	struct io_uring_sqe *sqe = ring_take(from);
	io_uring_prep_msg_ring(sqe, target->ring.ring_fd, 0, RING_WOKEN, 0);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	ring_set(sqe, target, RING_WAKE);
}

/* Its completion queue was full, for example. */
void wake_failed(struct io *target)
{
	io_event_write(target);
}

void wake_run(struct io *io)
{
	if (!atomic_load_explicit(&io->wake_wanted, memory_order_relaxed))
		return;
	/* Down before the mailboxes are looked at: what is sent after that raises it again. An
	 * exchange and not a store, because it must see what was sent before it was raised. */
	atomic_exchange(&io->wake_wanted, false);
	io->figures.wakes++;
	if (io->on_wake != NULL)
		io->on_wake(io->on_wake_arg);
}

void io_on_wake(struct io *io, void (*woken)(void *arg), void *arg)
{
	io->on_wake = woken;
	io->on_wake_arg = arg;
}
