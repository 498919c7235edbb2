/* What one link has to send, by class, and how it becomes frames. Private to replication/peer. */
#ifndef KX_REPLICATION_PEER_QUEUE_H
#define KX_REPLICATION_PEER_QUEUE_H

#include "base/bytes.h"
#include "base/list.h"
#include "replication/peer/frame.h"

struct peer_message {
	struct list_node node;
	const uint8_t *data; /* `copy`, or the owner's */
	size_t bytes;
	size_t taken; /* that are in frames already */
	bool begun;
	enum peer_class class;
	uint8_t kind;
	void (*release)(void *arg); /* NULL: it is a copy */
	void *arg;
	uint8_t copy[];
};

struct peer_queue {
	struct list messages[PEER_CLASSES];
	uint64_t bytes[PEER_CLASSES]; /* not yet taken, with what a frame adds */
	bool wanted[PEER_CLASSES];    /* one was refused since it was half empty */
	int64_t balance;              /* of entries against bulk: below 0 bulk is next */
};

/* What the queue made of frames, for figures. */
struct peer_queue_figures {
	uint64_t frames_compressed, compressed_from, compressed_to;
};

void peer_queue_init(struct peer_queue *queue);
/* Drops and releases everything. */
void peer_queue_done(struct peer_queue *queue);

static inline uint64_t peer_queue_bytes(const struct peer_queue *queue)
{
	return queue->bytes[PEER_URGENT] + queue->bytes[PEER_ENTRIES] + queue->bytes[PEER_BULK];
}

void peer_queue_push(struct peer_queue *queue, struct peer_message *message);
/* Fills the writer with whole frames, as many as fit, and counts them. `compress`: the network is
 * slower than LZ4. */
unsigned peer_queue_take(struct peer_queue *queue, bool compress, struct writer *writer,
    struct peer_queue_figures *figures);

void peer_message_free(struct peer_message *message);

#endif
