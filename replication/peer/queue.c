#include "replication/peer/queue.h"

#include "base/assert.h"
#include "base/mem.h"

/* Bytes of entries for each of bulk, where both wait. */
enum { ENTRIES_WEIGHT = 4 };

void peer_queue_init(struct peer_queue *queue)
{
	*queue = (struct peer_queue){0};
	for (int class = 0; class < PEER_CLASSES; class ++)
		list_init(&queue->messages[class]);
}

void peer_message_free(struct peer_message *message)
{
	if (message->release != NULL)
		message->release(message->arg);
	mem_free(message);
}

void peer_queue_done(struct peer_queue *queue)
{
	for (int class = 0; class < PEER_CLASSES; class ++) {
		for (struct list_node *node = list_pop_front(&queue->messages[class]); node != NULL;
		     node = list_pop_front(&queue->messages[class]))
			peer_message_free(CONTAINER_OF(node, struct peer_message, node));
		queue->bytes[class] = 0;
		queue->wanted[class] = false;
	}
}

/* What a message still takes on the wire, at most. */
static uint64_t cost(const struct peer_message *message)
{
	uint64_t left = message->bytes - message->taken;
	uint64_t frames = left / PEER_FRAME_BYTES_MAX + 1;
	return left + frames * PEER_FRAME_HEAD_BYTES_MAX;
}

void peer_queue_push(struct peer_queue *queue, struct peer_message *message)
{
	list_node_init(&message->node);
	list_push_back(&queue->messages[message->class], &message->node);
	queue->bytes[message->class] += cost(message);
}

static struct peer_message *first_of(const struct peer_queue *queue, enum peer_class class)
{
	struct list_node *node = list_first(&queue->messages[class]);
	return node == NULL ? NULL : CONTAINER_OF(node, struct peer_message, node);
}

/* Whose frame is next. Where only one of the two shares waits, nothing is owed to the other. */
static struct peer_message *choose(struct peer_queue *queue)
{
	struct peer_message *urgent = first_of(queue, PEER_URGENT);
	struct peer_message *entries = first_of(queue, PEER_ENTRIES);
	struct peer_message *bulk = first_of(queue, PEER_BULK);
	if (urgent != NULL)
		return urgent;
	if (entries == NULL || bulk == NULL) {
		queue->balance = 0;
		return entries != NULL ? entries : bulk;
	}
	return queue->balance < 0 ? bulk : entries;
}

static void note_balance(struct peer_queue *queue, enum peer_class class, size_t bytes)
{
	if (class == PEER_ENTRIES)
		queue->balance -= (int64_t)bytes;
	else if (class == PEER_BULK)
		queue->balance += (int64_t)bytes * ENTRIES_WEIGHT;
}

/* The message's next piece. Compressed into its place behind the longest head, where that pays. */
static void write_piece(struct peer_message *message, size_t raw_bytes, bool compress,
    struct writer *writer, struct peer_queue_figures *figures)
{
	struct slice raw = slice_of(message->data + message->taken, raw_bytes);
	if (message->bytes == 0)
		raw = slice_of("", 0);
	struct peer_frame frame = {.kind = message->kind,
	    .class = message->class,
	    .first = !message->begun,
	    .last = message->taken + raw_bytes == message->bytes,
	    .message_bytes = (uint32_t)message->bytes,
	    .raw_bytes = (uint32_t)raw_bytes,
	    .payload = raw};
	size_t several = frame.first && !frame.last ? 4 : 0;
	size_t made = 0;
	if (compress && message->class != PEER_URGENT)
		made = peer_compress(raw, writer->at + 8 + several + 4);
	if (made > 0) {
		frame.compressed = true;
		frame.payload = slice_of(NULL, made);
		figures->frames_compressed++;
		figures->compressed_from += raw_bytes;
		figures->compressed_to += made;
	}
	peer_frame_write(writer, &frame);
	ASSERT(!writer->failed);
}

unsigned peer_queue_take(struct peer_queue *queue, bool compress, struct writer *writer,
    struct peer_queue_figures *figures)
{
	unsigned frames = 0;
	while (frames < UINT16_MAX) {
		struct peer_message *message = choose(queue);
		if (message == NULL)
			break;
		enum peer_class class = message->class;
		size_t left = message->bytes - message->taken;
		size_t raw_bytes = left < PEER_FRAME_BYTES_MAX ? left : PEER_FRAME_BYTES_MAX;
		if (writer_left(writer) < raw_bytes + PEER_FRAME_HEAD_BYTES_MAX)
			break;
		uint64_t cost_before = cost(message);
		write_piece(message, raw_bytes, compress, writer, figures);
		frames++;
		note_balance(queue, class, raw_bytes + PEER_FRAME_HEAD_BYTES_MAX);
		message->taken += raw_bytes;
		message->begun = true;
		if (message->taken == message->bytes) {
			queue->bytes[class] -= cost_before;
			list_remove(&message->node);
			peer_message_free(message);
		} else {
			queue->bytes[class] -= cost_before - cost(message);
		}
	}
	return frames;
}
