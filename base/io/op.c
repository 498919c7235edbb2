#include "base/io/op.h"

#include "base/assert.h"
#include "base/error.h"

void op_skip_sent(struct io_op *op, size_t sent)
{
	op->u.socket.bytes_done += sent;
	while (op->u.socket.iov_count > 0 && sent >= op->u.socket.iov->iov_len) {
		sent -= op->u.socket.iov->iov_len;
		op->u.socket.iov++;
		op->u.socket.iov_count--;
	}
	if (sent == 0)
		return;
	ASSERT(op->u.socket.iov_count > 0);
	op->u.socket.iov->iov_base = (uint8_t *)op->u.socket.iov->iov_base + sent;
	op->u.socket.iov->iov_len -= sent;
}

void op_end_sends(struct list *sends, int result, void (*done)(struct io_op *op, int64_t result))
{
	int failed = result < 0 ? result : ERR_CANCELED;
	struct list batch;
	list_init(&batch);
	list_append_all(&batch, sends);
	for (struct io_op *op = op_first_send(&batch); op != NULL; op = op_first_send(&batch)) {
		list_remove(&op->link);
		done(op, op->u.socket.iov_count == 0 ? 0 : failed);
	}
}
