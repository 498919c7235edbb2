/* The inside of the gate. Private to server/gate.
 *
 *   gate.c                the core's part: listening, time, limits over all connections, the end
 *   session.c             one connection: bytes in, requests found, its end
 *   output.c              replies, in order, and their way to the socket
 *   commands.c            the table (command_list.h), who may call what, unknown words
 *   command_info.c        COMMAND, made from the table
 *   connection_commands.c HELLO, AUTH, PING ...
 *   client_commands.c     CLIENT
 *   client_list.c         CLIENT LIST and KILL, which look at every core
 *   cluster_commands.c    CLUSTER, READONLY ...
 *   topology.c            which node serves which slots, as clients are told
 *   call_commands.c       CALL, FCALL; call_options.h parses what they are given
 *   admin_*.c             ADMIN
 *   slowlog.c             SLOWLOG, ADMIN SLOWLOG
 *   info.c                INFO
 *
 * A session's life:
 *
 *   OPEN ---- QUIT, malformed input, the peer's end, gate_drain ----> LEAVING: what comes is
 *     |                                                               dropped; replies go out
 *     | an error, a limit, io_socket_close                               | all is answered and sent
 *     v                                                                  v
 *   CLOSING: the socket ends <-------------------------------------------
 *     | `closed`
 *     v
 *   GONE: freed when the last call under way has come back
 */
#ifndef KX_SERVER_GATE_GATE_PARTS_H
#define KX_SERVER_GATE_GATE_PARTS_H

#include <sys/uio.h>

#include "base/assert.h"
#include "base/small_blocks.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/io/io.h"
#include "base/metrics.h"
#include "base/wire/resp_request.h"
#include "base/wire/resp_writer.h"
#include "server/gate/commands.h"
#include "server/gate/gate.h"
#include "server/shard/shard.h"

/* A bundle and the words around it is the largest request there is. */
#define REQUEST_BULK_BYTES_MAX BUNDLE_BYTES_MAX
#define REQUEST_BYTES_MAX      (BUNDLE_BYTES_MAX + 64 * KIB)
/* Before authentication, as Redis has it. */
#define STRANGER_BULK_BYTES_MAX (16 * KIB)
#define STRANGER_ARGS_MAX       10
#define STRANGER_BYTES_MAX      (64 * KIB)

enum {
	ARGS_MAX = 4096,
	/* More than a receive buffer holds: what is left of one is kept behind a request. */
	QUERY_EXTRA_BYTES = 256 * 1024,
	QUERY_KEEP_BYTES = 4096,
	SEND_IOV_MAX = 16,
	/* Bytes of one send: progress of a slow reader is seen at its end. */
	SEND_BYTES_MAX = 256 * 1024,
	/* A reply of this size is sent from where it is instead of being copied. */
	CHUNK_OWN_BYTES = 16 * 1024,
	CHUNK_BYTES_MAX = 64 * 1024,
	/* Calls under way on a connection whose answers' size is not known yet. */
	CALLS_AT_FIRST = 64,
	SESSION_NAME_BYTES_MAX = 256,
	SESSION_PEER_BYTES = 64,
};

enum session_state { SESSION_OPEN, SESSION_LEAVING, SESSION_CLOSING, SESSION_GONE };
enum session_encoding { ENCODING_JSON, ENCODING_MSGPACK, ENCODING_RESP };

struct session;

/* One answer that is not written yet: it, or one before it, waits for something. */
struct reply {
	struct list_node node; /* of session->replies */
	struct session *session;
	bool ready;
	size_t bytes; /* of memory, for the session's account */
	/* Writes it to the output; session and writer are alive. */
	void (*write)(struct reply *reply, struct resp_writer *writer);
	/* Frees it; also without `write`, where the connection is gone. */
	void (*free)(struct reply *reply);
};

struct output_chunk {
	struct list_node node;
	struct buffer bytes;
};

struct session {
	struct gate *gate;
	struct io_socket *socket; /* NULL: gone */
	uint64_t id;
	enum gate_port port;
	enum session_state state;
	struct list_node by_activity; /* gate->sessions, the one longest silent first */
	struct list_node attention;   /* gate->attention */

	/* Requests. */
	struct resp_parser parser;
	struct buffer query; /* begins at a request's first byte */
	bool paused;         /* reading is */

	/* Replies. */
	struct list replies;
	uint32_t replies_waiting; /* length of `replies` */
	uint64_t reply_bytes;     /* sum of their bytes */
	uint64_t ready_bytes;     /* of those that are there */
	uint64_t answered;        /* that had to wait, so far */
	uint64_t answer_bytes;    /* what one is expected to be: the largest, fading */
	struct list output;       /* of struct output_chunk */
	uint32_t chunk_count;
	uint64_t output_bytes;
	size_t tail_bytes; /* while a writer writes: what stood there before */
	struct io_op send;
	bool sending;
	struct iovec iov[SEND_IOV_MAX];
	uint32_t chunks_carried; /* the first ones, by the send under way */
	size_t bytes_carried;

	/* What the client said about itself. */
	enum resp_protocol protocol;
	enum session_encoding encoding;
	bool authenticated, proxy, readonly, no_evict, no_touch;
	bool refused;                                /* a password was wrong */
	struct slice name, library, library_version; /* own memory */
	char peer[SESSION_PEER_BYTES];

	uint64_t memory; /* as the gate counts it */
	uint64_t created_ns, active_ns;
	uint64_t input_total, output_total, request_total;
	const struct command *last_command;
};

struct kept_error;
struct slow_call;

struct gate {
	struct io *io;
	struct shards *shards;
	uint32_t core;
	struct gate_config *config;
	struct gate_limits limits; /* as they are now */
	struct gate_services services;
	struct io_listener *listener[2];

	struct list sessions;
	struct list attention;
	uint32_t session_count; /* GONE ones included */
	uint64_t next_id;
	uint64_t memory;
	struct io_timer timer;
	bool timer_armed;
	uint32_t works; /* under way for no session, and tours */

	bool draining;
	void (*drained)(void *arg);
	void *drained_arg;

	struct small_blocks blocks; /* of calls that are over, for the next */

	struct kept_error *errors; /* a ring of config->errors_kept */
	uint64_t errors_added;

	struct slow_call **slow;           /* a ring; NULL: none yet */
	uint64_t slow_added, slow_cleared; /* so far; those before the latter are gone */

	struct gate_figures figures;
	struct command_figures command_figures[COMMAND_COUNT];
	struct slice args[ARGS_MAX];
};

/* ---- session.c ---- */

void session_accept(struct gate *gate, struct io_socket *socket, enum gate_port port);
/* The socket ends now; nothing more is written. */
void session_close(struct session *session);
/* No more requests; ends when all is answered and sent. */
void session_leave(struct session *session);
/* Parses what is there; called when there is room again. */
void session_continue(struct session *session);
/* In gate_turn it is looked at. */
void session_attend(struct session *session);
/* Room for one more request's work. */
bool session_has_room(const struct session *session);
/* What it holds, told to the gate; may close it or another one. */
void session_account(struct session *session);
void session_free_if_gone(struct session *session);
/* It did something just now. */
void session_active(struct session *session);
static inline bool session_is_admin(const struct session *session)
{
	return session->authenticated;
}

/* ---- output.c ---- */

/* An answer given at once: between these two nothing else of the session is called. It goes behind
 * what waits. */
struct resp_writer *reply_begin(struct session *session, struct resp_writer *writer);
void reply_end(struct session *session, struct resp_writer *writer);

/* An answer for later: takes its place in the order now. `bytes`, `write` and `free` are set. */
void reply_wait(struct session *session, struct reply *reply);
/* It is there now; `bytes` may have changed by what it holds. Consumes it. */
void reply_ready(struct reply *reply, size_t bytes);
/* The same two for one that goes around the cores in between (gate.h), which the gate's end waits
 * for: `tour` is set; reply_toured is called in its `done`. */
void reply_tour(struct session *session, struct reply *reply, struct gate_tour *tour);
void reply_toured(struct reply *reply, size_t bytes);
/* Inside `write`: the bytes become part of the output without being copied where that pays; the
 * buffer is empty afterwards. */
void reply_write_bulk_take(
    struct session *session, struct resp_writer *writer, struct buffer *bytes);
/* Starts a send where there is something and none is under way. */
void output_send(struct session *session);
void output_done(struct session *session);
void replies_drop(struct session *session);

/* Short answers. */
void reply_ok(struct session *session);
void reply_simple(struct session *session, const char *text);
__attribute__((format(printf, 3, 4))) void reply_error(
    struct session *session, const char *code, const char *format, ...);
void reply_status(
    struct session *session, enum status status, struct slice message, struct slice details);
void reply_wrong_arguments(struct session *session, const char *name);

/* ---- others ---- */

/* One of its texts (own memory); answers where the value may not be it, and is false. */
bool session_set_text(
    struct session *session, struct slice *text, struct slice value, const char *what);

void gate_timer_start(struct gate *gate);

/* ---- slowlog.c ---- */

NODISCARD int gate_slow_new(struct gate *gate);
void gate_slow_free(struct gate *gate);
/* A call that has taken long. Copies; payloads are never part of it. */
void gate_slow_add(struct gate *gate, const struct session *session, const struct command *command,
    const struct shard_call *call);

NODISCARD int gate_errors_new(struct gate *gate);
void gate_errors_free(struct gate *gate);

#endif
