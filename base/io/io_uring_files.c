/* Reads and durable writes.
 *
 * A durable write goes to the kernel in one of two ways (io_uring_methods.h).
 *   synced   One request, which completes when what it wrote is durable, and a short one when that
 *            part of it is.
 *   linked   A pair of requests, write and data sync. The write asks for no completion when it
 *            succeeds, and a link whose head fails or falls short completes without its tail: so
 *            exactly one completion comes, the sync's when all is well, the write's when not.
 * What is not done after a short or interrupted piece is submitted again, always with its sync: one
 * that was issued before a write completed does not cover it. */
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

static void prepare_write(struct io_uring_sqe *sqe, const struct io_op *op)
{
	size_t left = op->u.file.bytes - op->u.file.bytes_done;
	ASSERT(left > 0);
	io_uring_prep_write(sqe, fs_file_descriptor(op->u.file.file),
	    op->u.file.data + op->u.file.bytes_done, (unsigned)left,
	    op->u.file.offset + op->u.file.bytes_done);
}

static void submit_synced(struct io_op *op)
{
	struct io_uring_sqe *sqe = ring_take(op->io);
	prepare_write(sqe, op);
	sqe->rw_flags = RWF_DSYNC;
	ring_set(sqe, op, RING_OP);
}

static void submit_linked(struct io_op *op)
{
	struct io_uring_sqe *pair[2];
	ring_take_pair(op->io, pair);
	prepare_write(pair[0], op);
	pair[0]->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
	ring_set(pair[0], op, RING_WRITE);
	io_uring_prep_fsync(pair[1], fs_file_descriptor(op->u.file.file), IORING_FSYNC_DATASYNC);
	ring_set(pair[1], op, RING_OP);
}

static void submit_write(struct io_op *op)
{
	if (op->u.file.method == WRITE_SYNCED)
		submit_synced(op);
	else
		submit_linked(op);
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
	op->u.file.begun_ns = io->now_ns;
}

void io_write_durable(struct io *io, struct io_op *op, struct fs_file *file, const void *data,
    size_t bytes, uint64_t offset)
{
	ASSERT(offset % FS_ALIGNMENT == 0 && bytes % FS_ALIGNMENT == 0);
	ASSERT((uintptr_t)data % FS_ALIGNMENT == 0);
	ASSERT(bytes <= TRANSFER_BYTES_MAX);
	file_op_start(io, op, OP_WRITE_DURABLE, file, data, bytes, offset);
	op->u.file.method = (uint8_t)write_methods_next(&io->write_methods);
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

/* So many bytes were written; those of a synced one are durable. */
static void write_advance(struct io_op *op, size_t bytes)
{
	/* Where it is short, the rest must be aligned again. */
	size_t whole = bytes / FS_ALIGNMENT * FS_ALIGNMENT;
	op->u.file.bytes_done += whole;
	ASSERT(op->u.file.bytes_done <= op->u.file.bytes);
	op->u.file.attempts = whole > 0 ? 0 : op->u.file.attempts + 1;
	if (op->u.file.attempts >= ATTEMPTS_MAX)
		op_done(op, ERR_IO);
	else
		submit_write(op);
}

static void write_done(struct io_op *op)
{
	struct io *io = op->io;
	if (op->u.file.bytes_done == 0 && op->u.file.attempts == 0)
		write_methods_took(&io->write_methods, (enum write_method)op->u.file.method,
		    io->now_ns - op->u.file.begun_ns);
	op->u.file.bytes_done = op->u.file.bytes;
	op_done(op, 0);
}

static void write_failed(struct io_op *op, int result)
{
	if (may_try_again(op, result))
		submit_write(op);
	else
		op_done(op, error_from_errno(-result));
}

/* The write of a pair was not done whole. */
void file_write_completed(struct io_op *op, int result)
{
	ASSERT(op->kind == OP_WRITE_DURABLE);
	if (result < 0) {
		write_failed(op, result);
		return;
	}
	ASSERT((size_t)result < op->u.file.bytes - op->u.file.bytes_done);
	write_advance(op, (size_t)result);
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
	/* A sync of a pair comes only where the write before it was done whole. */
	size_t left = op->u.file.bytes - op->u.file.bytes_done;
	if (result < 0)
		write_failed(op, result);
	else if (op->u.file.method == WRITE_LINKED || (size_t)result == left)
		write_done(op);
	else
		write_advance(op, (size_t)result);
}
