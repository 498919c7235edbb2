/* What callers call: commands of the wire made of arguments, with or without waiting. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "client/client.h"

#define WORDS_MAX 16

struct call {
	struct request_parts parts;
	const char *words[WORDS_MAX];
	char timeout[16], token[48];
};

static void add(struct call *call, const char *word)
{
	call->words[call->parts.count++] = word;
}

/* 128 random bits for the handle and a count: no two calls of any two handles share a token. */
static const char *own_token(struct kalix *k, char *text, size_t bytes)
{
	snprintf(text, bytes, "%016llx%016llx%llx", (unsigned long long)k->token_seed[0],
	    (unsigned long long)k->token_seed[1], (unsigned long long)++k->token_count);
	return text;
}

static void add_options(struct kalix *k, struct call *call, const kalix_options *options)
{
	const char *token = options ? options->token : NULL;
	if (options && options->timeout_ms) {
		call->parts.timeout_ms = options->timeout_ms;
		snprintf(call->timeout, sizeof(call->timeout), "%u", options->timeout_ms);
		add(call, "TIMEOUT");
		add(call, call->timeout);
	}
	if (call->parts.kind == REQUEST_COMMAND && !(token && !token[0])) {
		add(call, "IDEMPOTENCY");
		add(call, token ? token : own_token(k, call->token, sizeof(call->token)));
		call->parts.has_token = true;
	}
	if (options && options->metadata) {
		add(call, "META");
		add(call, options->metadata);
	}
}

static int start(struct kalix *k, struct call *call, kalix_done done, void *arg)
{
	call->parts.arguments = call->words;
	return request_start(k, &call->parts, done, arg);
}

int kalix_call_async(kalix *k, const char *address, const char *command, const char *json,
    const kalix_options *options, kalix_done done, void *arg)
{
	struct call call = {.parts = {.kind = REQUEST_COMMAND, .address = address}};
	if (!address || !command)
		return KALIX_INVALID_ARGUMENT;
	add(&call, "CALL");
	add(&call, address);
	add(&call, command);
	if (json)
		add(&call, json);
	add_options(k, &call, options);
	return start(k, &call, done, arg);
}

/* An address without a '/' is a view. */
int kalix_query_async(kalix *k, const char *address, const char *query, const char *json,
    const kalix_options *options, kalix_done done, void *arg)
{
	struct call call = {.parts = {.kind = REQUEST_QUERY}};
	char name[160];
	if (!address || !query)
		return KALIX_INVALID_ARGUMENT;
	if (strchr(address, '/')) {
		call.parts.address = address;
		add(&call, "FCALL_RO");
		add(&call, query);
		add(&call, "1");
		add(&call, address);
	} else {
		int bytes = snprintf(name, sizeof(name), "%s.%s", address, query);
		if (bytes < 0 || (size_t)bytes >= sizeof(name))
			return KALIX_INVALID_ARGUMENT;
		add(&call, "QUERY");
		add(&call, name);
	}
	if (json)
		add(&call, json);
	if (options && options->after && !call.parts.address) {
		add(&call, "AFTER");
		add(&call, options->after);
	}
	add_options(k, &call, options);
	return start(k, &call, done, arg);
}

/* Not repeated: a server's second copy of a message would be a second message. */
int kalix_publish_async(kalix *k, const char *topic, const char *json, const char *key,
    const kalix_options *options, kalix_done done, void *arg)
{
	struct call call = {.parts = {.kind = REQUEST_OTHER}};
	if (!topic || !json)
		return KALIX_INVALID_ARGUMENT;
	add(&call, "PUBLISH");
	add(&call, topic);
	add(&call, json);
	if (key) {
		add(&call, "KEY");
		add(&call, key);
	}
	call.parts.timeout_ms = options ? options->timeout_ms : 0;
	return start(k, &call, done, arg);
}

int kalix_command_async(kalix *k, size_t count, const char *const *arguments, const size_t *bytes,
    const kalix_options *options, kalix_done done, void *arg)
{
	struct request_parts parts = {.kind = REQUEST_OTHER,
	    .count = count,
	    .arguments = arguments,
	    .bytes = bytes,
	    .timeout_ms = options ? options->timeout_ms : 0};
	if (count == 0 || !arguments)
		return KALIX_INVALID_ARGUMENT;
	return request_start(k, &parts, done, arg);
}

int kalix_follow_async(
    kalix *k, const char *what, const kalix_options *options, kalix_message message, void *arg)
{
	(void)k;
	(void)what;
	(void)options;
	(void)message;
	(void)arg;
	return KALIX_UNIMPLEMENTED;
}

/* ---- Waiting here ---- */

struct wait {
	bool ended;
	int code;
	kalix_reply *reply;
};

static void ended(void *arg, int code, kalix_reply *reply)
{
	struct wait *wait = arg;
	*wait = (struct wait){.ended = true, .code = code, .reply = reply};
}

/* `code`: what starting it gave. */
static int finish(struct kalix *k, struct wait *wait, int code, kalix_reply **ret_reply)
{
	if (code) {
		if (ret_reply)
			*ret_reply = reply_new(code, "the call could not be made");
		return code;
	}
	while (!wait->ended) {
		uint64_t wake;
		uint64_t now = step_clock_ms();
		kalix_step(k, now, &wake);
		if (wait->ended)
			break;
		struct pollfd poll_fd = {.fd = kalix_fd(k), .events = POLLIN};
		uint64_t pause = wake > now ? wake - now : 0;
		/* Interrupted or timed out: the next step sees what is to do. */
		(void)poll(&poll_fd, 1, pause > 1000 ? 1000 : (int)pause);
	}
	if (ret_reply)
		*ret_reply = wait->reply;
	else
		kalix_reply_free(wait->reply);
	return wait->code;
}

int kalix_call(kalix *k, const char *address, const char *command, const char *json,
    const kalix_options *options, kalix_reply **ret_reply)
{
	struct wait wait = {.ended = false};
	int code = kalix_call_async(k, address, command, json, options, ended, &wait);
	return finish(k, &wait, code, ret_reply);
}

int kalix_query(kalix *k, const char *address, const char *query, const char *json,
    const kalix_options *options, kalix_reply **ret_reply)
{
	struct wait wait = {.ended = false};
	int code = kalix_query_async(k, address, query, json, options, ended, &wait);
	return finish(k, &wait, code, ret_reply);
}

int kalix_publish(kalix *k, const char *topic, const char *json, const char *key,
    const kalix_options *options, kalix_reply **ret_reply)
{
	struct wait wait = {.ended = false};
	int code = kalix_publish_async(k, topic, json, key, options, ended, &wait);
	return finish(k, &wait, code, ret_reply);
}

int kalix_command(kalix *k, size_t count, const char *const *arguments, const size_t *bytes,
    const kalix_options *options, kalix_reply **ret_reply)
{
	struct wait wait = {.ended = false};
	int code = kalix_command_async(k, count, arguments, bytes, options, ended, &wait);
	return finish(k, &wait, code, ret_reply);
}

int kalix_follow(
    kalix *k, const char *what, const kalix_options *options, kalix_message message, void *arg)
{
	return kalix_follow_async(k, what, options, message, arg);
}
