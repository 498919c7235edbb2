/* Operations, and what a socket has to send: what both implementations of io.h share. Only
 * base/io's own sources include this. */
#ifndef KX_BASE_IO_OP_H
#define KX_BASE_IO_OP_H

#include <stddef.h>
#include <stdint.h>

#include "base/io/io.h"
#include "base/list.h"

enum op_state { OP_IDLE, OP_STARTED };

enum op_kind { OP_WRITE_DURABLE, OP_READ, OP_WORK, OP_CONNECT, OP_SEND };

/* The operation that is to be sent next, of a list of OP_SEND in the order of io_send; NULL: none.
 */
static inline struct io_op *op_first_send(const struct list *sends)
{
	struct list_node *node = list_first(sends);
	return node == NULL ? NULL : CONTAINER_OF(node, struct io_op, link);
}

/* So many of its bytes are sent. Leaves out what has nothing in it any more: without iovecs, all
 * of it is sent. */
void op_skip_sent(struct io_op *op, size_t sent);

/* Tells the owners of all that stand in the list, in order, that their socket ended with `result`
 * (0: closed by its owner), by `done` of the implementation. What they send meanwhile stands in
 * the list behind it. */
void op_end_sends(struct list *sends, int result, void (*done)(struct io_op *op, int64_t result));

#endif
