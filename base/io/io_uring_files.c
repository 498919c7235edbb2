/* Reads and durable writes.
 *
 * A durable write is one request (RWF_DSYNC): it completes when what it wrote is durable, and a
 * short one when that part of it is. What is not done after a short or interrupted piece is
 * submitted again in the same way. A write with a sync linked behind it means the same, but a ring
 * hands every sync to a thread of its own, which then runs where this core runs: per write six
 * context switches more, and twice the processor time (docs/performance.md). */
#include "base/io/io_uring.h"

#include <errno.h>

#include "base/assert.h"
#include "base/io/fs.h"
#include "base/io/fs_posix.h"

enum {
	/* In a row, without one byte of progress: then the kernel does not mean "try again". */
	ATTEMPTS_MAX = 1000,
};

static const size_t TRANSFER_BYTES_MAX = 1u << 30;

static void submit_read(struct io_op *op)
{
	size_t left = op->u.file.bytes - op->u.file.bytes_done;
	size_t bytes = left < TRANSFER_BYTES_MAX ? left : TRANSFER_BYTES_MAX;
	struct io_uring_sqe *sqe = ring_take(op->io);
	io_uring_prep_read(sqe, fs_file_descriptor(op->u.file.file),
	    op->u.file.data + op->u.file.bytes_done, (unsigned)bytes,
	    op->u.file.offset + op->u.file.bytes_done);
	ring_set(sqe, op, RING_OP);
	op->io->requests++;
}

static void submit_write(struct io_op *op)
{
	size_t left = op->u.file.bytes - op->u.file.bytes_done;
	ASSERT(left > 0);
	struct io_uring_sqe *sqe = ring_take(op->io);
	io_uring_prep_write(sqe, fs_file_descriptor(op->u.file.file),
	    op->u.file.data + op->u.file.bytes_done, (unsigned)left,
	    op->u.file.offset + op->u.file.bytes_done);
	sqe->rw_flags = RWF_DSYNC;
	ring_set(sqe, op, RING_OP);
	op->io->requests++;
}

static void file_op_start(struct io *io, struct io_op *op, enum op_kind kind, struct fs_file *file,
    const void *data, size_t bytes, uint64_t offset)
{
	ASSERT(bytes > 0);
	ASSERT(offset <= INT64_MAX - bytes);
	op_start(io, op, kind);
	op->u.file.file = file;
	op->u.file.data = (uint8_t *)(uintptr_t)data;
	op->u.file.offset = offset;
	op->u.file.bytes = bytes;
	op->u.file.bytes_done = 0;
	op->u.file.attempts = 0;
}

void io_write_durable(struct io *io, struct io_op *op, struct fs_file *file, const void *data,
    size_t bytes, uint64_t offset)
{
	ASSERT(offset % FS_ALIGNMENT == 0 && bytes % FS_ALIGNMENT == 0);
	ASSERT((uintptr_t)data % FS_ALIGNMENT == 0);
	ASSERT(bytes <= TRANSFER_BYTES_MAX);
	file_op_start(io, op, OP_WRITE_DURABLE, file, data, bytes, offset);
	submit_write(op);
}

void io_read(struct io *io, struct io_op *op, struct fs_file *file, void *data, size_t bytes,
    uint64_t offset)
{
	file_op_start(io, op, OP_READ, file, data, bytes, offset);
	submit_read(op);
}

static bool may_try_again(struct io_op *op, int result)
{
	if (result != -EINTR && result != -EAGAIN && result != -ECANCELED)
		return false;
	return op->u.file.attempts++ < ATTEMPTS_MAX;
}

static void write_completed(struct io_op *op, int result)
{
	if (result < 0 && !may_try_again(op, result)) {
		op_done(op, error_from_errno(-result));
		return;
	}
	if (result >= 0) {
		/* Where it is short, the rest must be aligned again. */
		size_t whole = (size_t)result / FS_ALIGNMENT * FS_ALIGNMENT;
		op->u.file.bytes_done += whole;
		ASSERT(op->u.file.bytes_done <= op->u.file.bytes);
		op->u.file.attempts = whole > 0 ? 0 : op->u.file.attempts + 1;
		if (op->u.file.attempts >= ATTEMPTS_MAX) {
			op_done(op, ERR_IO);
			return;
		}
	}
	if (op->u.file.bytes_done == op->u.file.bytes)
		op_done(op, 0);
	else
		submit_write(op);
}

static void read_completed(struct io_op *op, int result)
{
	if (result < 0) {
		if (may_try_again(op, result))
			submit_read(op);
		else
			op_done(op, error_from_errno(-result));
		return;
	}
	op->u.file.bytes_done += (size_t)result;
	op->u.file.attempts = 0;
	bool ended = result == 0 || op->u.file.bytes_done == op->u.file.bytes;
	/* A direct read that stops off the alignment stopped at the end of the file, and going on
	 * from there would be refused. */
	if (!ended && op->u.file.bytes_done % FS_ALIGNMENT != 0)
		ended = fs_file_is_direct(op->u.file.file);
	if (ended)
		op_done(op, (int64_t)op->u.file.bytes_done);
	else
		submit_read(op);
}

void file_op_completed(struct io_op *op, int result)
{
	if (op->kind == OP_READ) {
		read_completed(op, result);
		return;
	}
	ASSERT(op->kind == OP_WRITE_DURABLE);
	write_completed(op, result);
}
