#include "base/io/mailbox.h"

#include <stdatomic.h>

#include "base/assert.h"
#include "base/io/io.h"
#include "base/mem.h"

enum { CACHE_LINE_BYTES = 64 };

/* Each side has a line of its own, and remembers what it last saw of the other's, so that lines
 * move between cores once per batch and not once per message. Counters only grow. */
struct producer {
	_Alignas(CACHE_LINE_BYTES) _Atomic uint64_t sent;
	uint64_t received_seen;
	size_t mask;
	void **messages;
	struct io *to;
	bool unflushed;
};

struct consumer {
	_Alignas(CACHE_LINE_BYTES) _Atomic uint64_t received;
	uint64_t sent_seen;
	size_t mask;
	void **messages;
};

struct mailbox {
	struct producer producer;
	struct consumer consumer;
};

int mailbox_new(size_t messages_max, struct io *to, struct mailbox **ret_mailbox)
{
	ASSERT(messages_max > 0 && (messages_max & (messages_max - 1)) == 0);
	ASSERT(to != NULL);
	struct mailbox *mailbox = mem_alloc_aligned(CACHE_LINE_BYTES, sizeof(*mailbox));
	void **messages = mailbox == NULL ? NULL : mem_zalloc(messages_max, sizeof(void *));
	if (messages == NULL) {
		mem_free(mailbox);
		return ERR_NOMEM;
	}
	*mailbox = (struct mailbox){
	    .producer = {.mask = messages_max - 1, .messages = messages, .to = to},
	    .consumer = {.mask = messages_max - 1, .messages = messages},
	};
	*ret_mailbox = mailbox;
	return 0;
}

void mailbox_free(struct mailbox *mailbox)
{
	if (mailbox == NULL)
		return;
	mem_free(mailbox->producer.messages);
	mem_free(mailbox);
}

int mailbox_send(struct mailbox *mailbox, void *message)
{
	struct producer *own = &mailbox->producer;
	uint64_t sent = atomic_load_explicit(&own->sent, memory_order_relaxed);
	ASSERT(message != NULL);
	if (sent - own->received_seen > own->mask) {
		own->received_seen =
		    atomic_load_explicit(&mailbox->consumer.received, memory_order_acquire);
		if (sent - own->received_seen > own->mask)
			return ERR_FULL;
	}
	own->messages[sent & own->mask] = message;
	atomic_store_explicit(&own->sent, sent + 1, memory_order_release);
	own->unflushed = true;
	return 0;
}

void mailbox_flush(struct mailbox *mailbox, struct io *from)
{
	if (!mailbox->producer.unflushed)
		return;
	mailbox->producer.unflushed = false;
	io_wake(mailbox->producer.to, from);
}

void *mailbox_receive(struct mailbox *mailbox)
{
	struct consumer *own = &mailbox->consumer;
	uint64_t received = atomic_load_explicit(&own->received, memory_order_relaxed);
	if (received == own->sent_seen) {
		own->sent_seen =
		    atomic_load_explicit(&mailbox->producer.sent, memory_order_acquire);
		if (received == own->sent_seen)
			return NULL;
	}
	void *message = own->messages[received & own->mask];
	atomic_store_explicit(&own->received, received + 1, memory_order_release);
	return message;
}
