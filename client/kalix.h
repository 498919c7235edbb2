/* libkalix: the C client of Kalix.
 *
 * One handle talks to a whole cluster: it follows the map of slots, pipelines, and repeats what is
 * safe to repeat. It has no global state, makes no threads, installs no signal handlers and never
 * prints.
 *
 *	kalix *k;
 *	kalix_reply *reply;
 *	if (kalix_open("127.0.0.1:7470", &k) == KALIX_OK) {
 *		int code = kalix_call(k, "cart/c1", "add_item", "{\"product_id\":\"p1\"}", NULL,
 *		    &reply);
 *		puts(code ? kalix_reply_message(reply) : kalix_reply_json(reply));
 *		kalix_reply_free(reply);
 *		kalix_close(k);
 *	}
 *
 * Repeating. What surely did nothing (UNAVAILABLE) and queries are repeated within timeout_ms. A
 * command whose outcome is not known (the connection broke, UNKNOWN_OUTCOME) is repeated too if it
 * has an idempotency token, so that it takes effect once. Every kalix_call is given one by the
 * library, unless the options bring one, or say KALIX_NO_TOKEN: then KALIX_UNKNOWN_OUTCOME is
 * handed to the caller. A token costs the server a record for 24 hours.
 *
 * Silence. Where nothing came from a server until the time of a call there was over, and others are
 * known, its connection is given up, as if it had broken: it stands still, or the network is gone.
 * Others are asked then, and it is asked nothing but whether it is there, until it says so. Others
 * are asked, too, while a server to which a connection is not made within 250 ms is waited for.
 *
 * Order. Calls on one entity through one handle take effect in the order in which they were made,
 * over leaders that change too, as long as no connection breaks and no outcome is unknown. One that
 * would be repeated behind a later one that has its answer is UNAVAILABLE instead.
 *
 * Threads. A handle and its replies belong to one thread at a time. Different handles share
 * nothing.
 *
 * Two ways to wait: the blocking functions, or those that end in _async together with kalix_fd and
 * kalix_step on a loop of the caller's. Both may be used with one handle; a blocking function must
 * not be called inside a `done`. They take the time from CLOCK_MONOTONIC, in milliseconds: where
 * both are used, so does kalix_step.
 */
#ifndef KX_CLIENT_KALIX_H
#define KX_CLIENT_KALIX_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define KALIX_API __attribute__((visibility("default")))
#else
#define KALIX_API
#endif

/* 0, or why it did not succeed. Numbers are stable. */
enum kalix_code {
	KALIX_OK = 0,
	KALIX_INVALID_ARGUMENT = 1,
	KALIX_OUT_OF_RANGE = 2,
	KALIX_UNAUTHENTICATED = 3,
	KALIX_PERMISSION_DENIED = 4,
	KALIX_NOT_FOUND = 5,
	KALIX_ALREADY_EXISTS = 6,
	KALIX_ABORTED = 7,
	KALIX_FAILED_PRECONDITION = 8,
	KALIX_RESOURCE_EXHAUSTED = 9, /* also: no memory in this process */
	KALIX_INTERNAL = 10,
	KALIX_UNIMPLEMENTED = 11,
	KALIX_DATA_LOSS = 12,
	KALIX_UNAVAILABLE = 13, /* surely did nothing; also: no server could be reached */
	KALIX_DEADLINE_EXCEEDED = 14,
	KALIX_UNKNOWN_OUTCOME = 15
};
/* "NOT_FOUND"; "OK" for 0; "INTERNAL" for a number that is none. Static. */
KALIX_API const char *kalix_error_name(int code);

typedef struct kalix kalix;
typedef struct kalix_reply kalix_reply;

/* Zeros, or NULL in its place: the defaults. */
typedef struct kalix_options {
	uint32_t timeout_ms; /* from the call to its reply, repeats included; 0: 5000 */
	const char *token;   /* idempotency token, at most 128 bytes; NULL: the library makes one */
	const char *after;   /* a session's token, for reads of one's own writes */
	const char *metadata; /* a JSON object that handlers see as ctx.metadata */
} kalix_options;

/* As options.token: the call has none, and is not repeated once it was sent. */
extern KALIX_API const char KALIX_NO_TOKEN[];

/* `nodes`: "[user:password@]host:port[,host:port...]", tried in order. Only reads the text: a
 * server is connected when the first call needs it. KALIX_INVALID_ARGUMENT,
 * KALIX_RESOURCE_EXHAUSTED. */
KALIX_API int kalix_open(const char *nodes, kalix **ret_kalix);
/* NULL-safe. Calls under way end with KALIX_UNKNOWN_OUTCOME or KALIX_UNAVAILABLE, inside. */
KALIX_API void kalix_close(kalix *k);

/* ---- Blocking ---- */

/* All of these return a code and, where ret_reply is not NULL, always set *ret_reply: to be given
 * back with kalix_reply_free, or NULL where there was no memory. */

/* A command of an entity. `json` may be NULL: no payload. */
KALIX_API int kalix_call(kalix *k, const char *address, const char *command, const char *json,
    const kalix_options *options, kalix_reply **ret_reply);
/* A query: never changes anything, so it needs no token. Goes to a command of that name, too, but
 * the server refuses it. */
KALIX_API int kalix_query(kalix *k, const char *address, const char *query, const char *json,
    const kalix_options *options, kalix_reply **ret_reply);
/* Publishes a message; `key` may be NULL. The reply is its offset. */
KALIX_API int kalix_publish(kalix *k, const char *topic, const char *json, const char *key,
    const kalix_options *options, kalix_reply **ret_reply);
/* Any command of the protocol, as `count` arguments with their lengths (NULL: texts). Never
 * repeated. A reply that is no text is told as JSON. */
KALIX_API int kalix_command(kalix *k, size_t count, const char *const *arguments,
    const size_t *bytes, const kalix_options *options, kalix_reply **ret_reply);

/* ---- On a loop of the caller's ---- */

/* Called once, from kalix_step or kalix_close; the reply is the receiver's to free, and may be
 * NULL where there was no memory. It may start further calls. */
typedef void (*kalix_done)(void *arg, int code, kalix_reply *reply);

/* KALIX_OK: `done` will be called. Any other code: it will not. Arguments are copied. */
KALIX_API int kalix_call_async(kalix *k, const char *address, const char *command, const char *json,
    const kalix_options *options, kalix_done done, void *arg);
KALIX_API int kalix_query_async(kalix *k, const char *address, const char *query, const char *json,
    const kalix_options *options, kalix_done done, void *arg);
KALIX_API int kalix_publish_async(kalix *k, const char *topic, const char *json, const char *key,
    const kalix_options *options, kalix_done done, void *arg);
KALIX_API int kalix_command_async(kalix *k, size_t count, const char *const *arguments,
    const size_t *bytes, const kalix_options *options, kalix_done done, void *arg);

/* Readable (poll, epoll, select) whenever kalix_step has something to do. Belongs to the handle. */
KALIX_API int kalix_fd(const kalix *k);
/* Does what can be done without waiting. `now_ms`: of any clock that never goes back, the same in
 * all calls. *ret_wake_ms: when to call again at the latest, on that clock; UINT64_MAX: never by
 * itself. KALIX_OK. */
KALIX_API int kalix_step(kalix *k, uint64_t now_ms, uint64_t *ret_wake_ms);
/* Calls that have not ended. */
KALIX_API size_t kalix_pending(const kalix *k);

/* ---- Following ---- */

/* Servers of this version can't be followed: both functions return KALIX_UNIMPLEMENTED, and call
 * nobody. What they will do: each message is {"cursor":...,"value":...}, code KALIX_OK, and the
 * reply is the receiver's; another code is the end; a result that is not 0 ends it, too. */
typedef int (*kalix_message)(void *arg, int code, kalix_reply *message);

/* `what`: "ADDRESS", "ADDRESS:QUERY" or "VIEW.QUERY?field=value", with "@CURSOR" behind it to go on
 * from there. The blocking form returns at the end, with the last code. */
KALIX_API int kalix_follow(
    kalix *k, const char *what, const kalix_options *options, kalix_message message, void *arg);
KALIX_API int kalix_follow_async(
    kalix *k, const char *what, const kalix_options *options, kalix_message message, void *arg);

/* ---- Replies ---- */

/* Texts live until kalix_reply_free. */
KALIX_API const char *kalix_reply_json(const kalix_reply *reply); /* "" of an error */
KALIX_API size_t kalix_reply_json_bytes(const kalix_reply *reply);
KALIX_API const char *kalix_reply_message(const kalix_reply *reply); /* of an error; else "" */
KALIX_API const char *kalix_reply_details(const kalix_reply *reply); /* JSON of an error; or "" */
KALIX_API void kalix_reply_free(kalix_reply *reply);                 /* NULL-safe */

#ifdef __cplusplus
}
#endif

#endif
