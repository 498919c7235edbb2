/* A bounded ring of messages from one core to another: one producer thread, one consumer thread, no
 * locks. The consumer is woken by io_wake once per turn of the producer, not once per message:
 * mailbox_send only marks, mailbox_flush wakes.
 *
 * Messages are pointers; what they point to belongs to the receiver from the send on.
 */
#ifndef KX_BASE_IO_MAILBOX_H
#define KX_BASE_IO_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct io;
struct mailbox;

/* Room for `messages_max` (a power of two). `to` is the consumer's io. */
NODISCARD int mailbox_new(size_t messages_max, struct io *to, struct mailbox **ret_mailbox);
void mailbox_free(struct mailbox *mailbox); /* NULL-safe; both threads have stopped using it */

/* Producer. ERR_FULL: keep the message and try again in a later turn (it is never dropped here). */
NODISCARD int mailbox_send(struct mailbox *mailbox, void *message);
/* Producer, at the end of a turn: wakes the consumer where something was sent since the last. */
void mailbox_flush(struct mailbox *mailbox, struct io *from);

/* Consumer: the next message, or NULL. */
void *mailbox_receive(struct mailbox *mailbox);

#endif
