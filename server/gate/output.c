/* Replies: in the order of their requests, gathered, and sent once a turn.
 *
 * The output is a row of chunks. A small reply is appended to the last one, a large one becomes a
 * chunk of its own without being copied. Chunks that a send is carrying are not touched. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "server/gate/gate_parts.h"

/* ---- Chunks ---- */

static struct output_chunk *chunk_of(struct list_node *node)
{
	return CONTAINER_OF(node, struct output_chunk, node);
}

static struct output_chunk *chunk_add(struct session *session)
{
	struct output_chunk *chunk = mem_zalloc(1, sizeof(*chunk));
	if (!chunk)
		return NULL;
	buffer_init(&chunk->bytes, session->gate->limits.output_bytes_max + REQUEST_BYTES_MAX);
	list_node_init(&chunk->node);
	list_push_back(&session->output, &chunk->node);
	return chunk;
}

static void chunk_free(struct output_chunk *chunk)
{
	list_remove(&chunk->node);
	buffer_done(&chunk->bytes);
	mem_free(chunk);
}

/* The buffer that takes what is written next; NULL without memory. */
static struct buffer *output_tail(struct session *session)
{
	struct list_node *last = list_last(&session->output);
	bool carried = session->sending && session->chunks_carried == session->chunk_count;
	if (last && !carried && buffer_bytes(&chunk_of(last)->bytes) < CHUNK_BYTES_MAX)
		return &chunk_of(last)->bytes;
	struct output_chunk *chunk = chunk_add(session);
	if (!chunk)
		return NULL;
	session->chunk_count++;
	return &chunk->bytes;
}

void output_done(struct session *session)
{
	LIST_FOR_EACH_REMOVABLE(node, &session->output)
	chunk_free(chunk_of(node));
	session->output_bytes = 0;
	session->chunk_count = 0;
}

/* ---- Writing ---- */

/* A writer that has nowhere to write has failed, and so ends the connection at its end. */
static void start_on(struct session *session, struct resp_writer *writer, struct buffer *out)
{
	if (!out) {
		*writer = (struct resp_writer){.protocol = session->protocol, .error = ERR_NOMEM};
		return;
	}
	resp_writer_init(writer, out, session->protocol);
	session->tail_bytes = buffer_bytes(out);
}

static void writer_start(struct session *session, struct resp_writer *writer)
{
	start_on(session, writer, output_tail(session));
}

static int writer_finish(struct session *session, struct resp_writer *writer)
{
	if (!writer->out)
		return ERR_NOMEM;
	int error = resp_writer_finish(writer);
	if (!error)
		session->output_bytes += buffer_bytes(writer->out) - session->tail_bytes;
	return error;
}

void reply_write_bulk_take(
    struct session *session, struct resp_writer *writer, struct buffer *bytes)
{
	struct slice text = buffer_view(bytes);
	if (writer->error || text.bytes < CHUNK_OWN_BYTES) {
		resp_write_bulk(writer, text);
		buffer_done(bytes);
		return;
	}
	char head[32];
	int head_bytes = snprintf(head, sizeof(head), "$%zu\r\n", text.bytes);
	ASSERT(head_bytes > 0 && (size_t)head_bytes < sizeof(head));
	resp_write_raw(writer, slice_of(head, (size_t)head_bytes));
	enum resp_protocol protocol = writer->protocol;
	int error = writer_finish(session, writer);
	struct output_chunk *chunk = error ? NULL : chunk_add(session);
	struct output_chunk *behind = chunk ? chunk_add(session) : NULL;
	if (!behind) {
		if (chunk)
			session->chunk_count++;
		writer->error = ERR_NOMEM;
		buffer_done(bytes);
		return;
	}
	session->chunk_count += 2;
	session->output_bytes += text.bytes;
	chunk->bytes = *bytes;
	buffer_init(bytes, bytes->bytes_max);
	resp_writer_init(writer, &behind->bytes, protocol);
	session->tail_bytes = 0;
	resp_write_raw(writer, slice_of("\r\n", 2));
}

/* ---- In order ---- */

/* An answer that is there, and waits for those before it. */
struct text_reply {
	struct reply reply;
	struct buffer text;
};

static void text_write(struct reply *reply, struct resp_writer *writer)
{
	struct text_reply *text = CONTAINER_OF(reply, struct text_reply, reply);
	resp_write_raw(writer, buffer_view(&text->text));
}

static void text_free(struct reply *reply)
{
	struct text_reply *text = CONTAINER_OF(reply, struct text_reply, reply);
	buffer_done(&text->text);
	mem_free(text);
}

static struct reply *reply_of(struct list_node *node)
{
	return CONTAINER_OF(node, struct reply, node);
}

/* The last reply in the row, where it can take more text; else a new one behind it. */
static struct text_reply *text_reply(struct session *session)
{
	struct reply *last = reply_of(list_last(&session->replies));
	if (last->write == text_write)
		return CONTAINER_OF(last, struct text_reply, reply);
	struct text_reply *text = mem_zalloc(1, sizeof(*text));
	if (!text)
		return NULL;
	buffer_init(&text->text, session->gate->limits.output_bytes_max + REQUEST_BYTES_MAX);
	text->reply = (struct reply){
	    .ready = true, .bytes = sizeof(*text), .write = text_write, .free = text_free};
	reply_wait(session, &text->reply);
	return text;
}

struct resp_writer *reply_begin(struct session *session, struct resp_writer *writer)
{
	if (list_empty(&session->replies)) {
		writer_start(session, writer);
		return writer;
	}
	struct text_reply *text = text_reply(session);
	start_on(session, writer, text ? &text->text : NULL);
	return writer;
}

void reply_end(struct session *session, struct resp_writer *writer)
{
	int error;
	if (list_empty(&session->replies)) {
		error = writer_finish(session, writer);
	} else {
		error = writer->out ? resp_writer_finish(writer) : ERR_NOMEM;
		struct reply *last = reply_of(list_last(&session->replies));
		if (!error) {
			size_t more = buffer_bytes(writer->out) - session->tail_bytes;
			last->bytes += more;
			session->reply_bytes += more;
			session->ready_bytes += more;
		}
	}
	if (error)
		session_close(session);
	else
		session_attend(session);
}

void reply_wait(struct session *session, struct reply *reply)
{
	ASSERT(session->state != SESSION_GONE);
	reply->session = session;
	list_node_init(&reply->node);
	list_push_back(&session->replies, &reply->node);
	session->replies_waiting++;
	session->reply_bytes += reply->bytes;
	if (reply->ready)
		session->ready_bytes += reply->bytes;
}

static void reply_take_out(struct session *session, struct reply *reply)
{
	list_remove(&reply->node);
	session->replies_waiting--;
	session->reply_bytes -= reply->bytes;
	if (reply->ready)
		session->ready_bytes -= reply->bytes;
}

static bool is_alive(const struct session *session)
{
	return session->state == SESSION_OPEN || session->state == SESSION_LEAVING;
}

/* Writes those at the head that are there. */
static void replies_advance(struct session *session)
{
	struct list_node *node;
	while (
	    is_alive(session) && (node = list_first(&session->replies)) && reply_of(node)->ready) {
		struct reply *reply = reply_of(node);
		struct resp_writer writer;
		writer_start(session, &writer);
		reply->write(reply, &writer);
		int error = writer_finish(session, &writer);
		reply_take_out(session, reply);
		reply->free(reply);
		if (error)
			session_close(session);
	}
}

void reply_ready(struct reply *reply, size_t bytes)
{
	struct session *session = reply->session;
	ASSERT(!reply->ready);
	session->answered++;
	if (bytes > session->answer_bytes)
		session->answer_bytes = bytes;
	else
		session->answer_bytes -= (session->answer_bytes - bytes) / 16;
	reply->ready = true;
	session->reply_bytes += bytes - reply->bytes;
	session->ready_bytes += bytes;
	reply->bytes = bytes;
	if (!is_alive(session)) {
		reply_take_out(session, reply);
		reply->free(reply);
		session_free_if_gone(session);
		return;
	}
	replies_advance(session);
	session_attend(session);
	session_account(session);
}

void reply_tour(struct session *session, struct reply *reply, struct gate_tour *tour)
{
	const struct gate_services *services = &session->gate->services;
	reply_wait(session, reply);
	session->gate->works++;
	services->tour(services->arg, tour);
}

void reply_toured(struct reply *reply, size_t bytes)
{
	reply->session->gate->works--;
	reply_ready(reply, bytes);
}

void replies_drop(struct session *session)
{
	LIST_FOR_EACH_REMOVABLE(node, &session->replies)
	{
		struct reply *reply = reply_of(node);
		if (!reply->ready)
			continue;
		reply_take_out(session, reply);
		reply->free(reply);
	}
}

/* ---- Sending ---- */

static void sent(struct io_op *op)
{
	struct session *session = CONTAINER_OF(op, struct session, send);
	session->sending = false;
	if (op->result < 0 || !session->socket) {
		/* The socket closes by itself, and `closed` comes. */
		session_free_if_gone(session);
		return;
	}
	size_t bytes = session->bytes_carried;
	session->output_bytes -= bytes;
	session->output_total += bytes;
	session->gate->figures.output_bytes += bytes;
	while (bytes > 0) {
		struct output_chunk *chunk = chunk_of(list_first(&session->output));
		size_t here = buffer_bytes(&chunk->bytes);
		if (here > bytes) {
			buffer_consume(&chunk->bytes, bytes);
			break;
		}
		bytes -= here;
		session->chunk_count--;
		chunk_free(chunk);
	}
	session_active(session);
	session_attend(session);
}

void output_send(struct session *session)
{
	if (session->sending || session->output_bytes == 0 ||
	    (session->state != SESSION_OPEN && session->state != SESSION_LEAVING))
		return;
	unsigned count = 0;
	size_t bytes = 0;
	LIST_FOR_EACH(node, &session->output)
	{
		struct slice view = buffer_view(&chunk_of(node)->bytes);
		if (count == SEND_IOV_MAX || bytes == SEND_BYTES_MAX)
			break;
		if (view.bytes > SEND_BYTES_MAX - bytes)
			view.bytes = SEND_BYTES_MAX - bytes;
		/* A send reads only; struct iovec knows no const. */
		session->iov[count++] =
		    (struct iovec){.iov_base = (void *)(uintptr_t)view.data, .iov_len = view.bytes};
		bytes += view.bytes;
	}
	session->sending = true;
	session->chunks_carried = count;
	session->bytes_carried = bytes;
	session->send.done = sent;
	io_send(session->socket, &session->send, session->iov, count);
}

/* ---- Short answers ---- */

void reply_simple(struct session *session, const char *text)
{
	struct resp_writer writer;
	resp_write_simple(reply_begin(session, &writer), text);
	reply_end(session, &writer);
}

void reply_ok(struct session *session)
{
	reply_simple(session, "OK");
}

void reply_error(struct session *session, const char *code, const char *format, ...)
{
	char text[512];
	va_list values;
	va_start(values, format);
	int bytes = vsnprintf(text, sizeof(text), format, values);
	va_end(values);
	if (bytes < 0)
		bytes = 0;
	if ((size_t)bytes >= sizeof(text))
		bytes = sizeof(text) - 1;
	struct resp_writer writer;
	resp_write_error(
	    reply_begin(session, &writer), code, slice_of(text, (size_t)bytes), slice_of(NULL, 0));
	reply_end(session, &writer);
	session->gate->figures.errors++;
	if (session->last_command)
		session->gate->command_figures[session->last_command - commands].errors++;
}

void reply_status(
    struct session *session, enum status status, struct slice message, struct slice details)
{
	struct resp_writer writer;
	resp_write_error(reply_begin(session, &writer), status_name(status), message, details);
	reply_end(session, &writer);
	session->gate->figures.errors++;
	if (session->last_command)
		session->gate->command_figures[session->last_command - commands].errors++;
}

void reply_wrong_arguments(struct session *session, const char *name)
{
	reply_error(session, "ERR", "wrong number of arguments for '%s' command", name);
}
