/* Commands about the connection itself, and small ones about the server. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "server/gate/gate_parts.h"

/* ---- Who is there ---- */

/* In time that depends on the length given alone. */
static bool password_is(const struct gate_config *config, struct slice given)
{
	uint8_t padded[GATE_PASSWORD_BYTES_MAX] = {0};
	size_t bytes = given.bytes < sizeof(padded) ? given.bytes : sizeof(padded);
	if (bytes)
		memcpy(padded, given.data, bytes);
	unsigned difference = given.bytes != config->password_bytes;
	for (size_t i = 0; i < sizeof(padded); i++)
		difference |= (unsigned)(padded[i] ^ config->password[i]);
	return difference == 0;
}

/* Answered where it fails. */
static bool authenticate(struct session *session, struct slice user, struct slice password)
{
	const struct gate_config *config = session->gate->config;
	bool known = slice_equal(user, slice_from_text("default"));
	bool off = config->password_bytes == 0;
	/* The password is looked at in either case: time must not tell users. */
	bool right = password_is(config, password) || off;
	if (known && right) {
		session->authenticated = true;
		return true;
	}
	if (!session->refused) {
		/* Once for a connection: a guesser must not fill the log. */
		session->refused = true;
		LOG_LINE(
		    LEVEL_WARNING, "authentication_failed", FIELD_TEXT("client", session->peer));
	}
	reply_error(session, "WRONGPASS", "invalid username-password pair or user is disabled.");
	return false;
}

void run_auth(struct session *session, const struct slice *args, uint32_t count)
{
	if (count > 3) {
		reply_error(session, "ERR", "syntax error");
		return;
	}
	if (count == 2 && session->gate->config->password_bytes == 0) {
		reply_error(session, "ERR",
		    "AUTH <password> called without any password configured for the default "
		    "user. Are you sure your configuration is correct?");
		return;
	}
	struct slice user = count == 3 ? args[1] : slice_from_text("default");
	if (authenticate(session, user, args[count - 1]))
		reply_ok(session);
}

static void write_hello(struct session *session)
{
	struct resp_writer writer;
	resp_write_map(reply_begin(session, &writer), 7);
	resp_write_bulk_text(&writer, "server");
	resp_write_bulk_text(&writer, "kalix");
	resp_write_bulk_text(&writer, "version");
	resp_write_bulk_text(&writer, session->gate->config->version);
	resp_write_bulk_text(&writer, "proto");
	resp_write_integer(&writer, session->protocol);
	resp_write_bulk_text(&writer, "id");
	resp_write_integer(&writer, (int64_t)session->id);
	resp_write_bulk_text(&writer, "mode");
	resp_write_bulk_text(&writer, session->port == GATE_CLUSTER ? "cluster" : "standalone");
	resp_write_bulk_text(&writer, "role");
	resp_write_bulk_text(&writer, "master");
	resp_write_bulk_text(&writer, "modules");
	resp_write_array(&writer, 0);
	reply_end(session, &writer);
}

struct hello {
	int64_t protocol;
	struct slice user, password, name;
	bool has_auth, has_name;
};

/* False: answered. */
static bool parse_hello(
    struct session *session, const struct slice *args, uint32_t count, struct hello *hello)
{
	uint32_t at = 1;
	hello->protocol = session->protocol;
	if (at < count) {
		if (!word_integer(args[at], INT64_MIN + 1, INT64_MAX, &hello->protocol)) {
			reply_error(
			    session, "ERR", "Protocol version is not an integer or out of range");
			return false;
		}
		if (hello->protocol != RESP2 && hello->protocol != RESP3) {
			reply_error(session, "NOPROTO", "unsupported protocol version");
			return false;
		}
		at++;
	}
	while (at < count) {
		if (word_is(args[at], "auth") && at + 2 < count) {
			hello->has_auth = true;
			hello->user = args[at + 1];
			hello->password = args[at + 2];
			at += 3;
		} else if (word_is(args[at], "setname") && at + 1 < count) {
			hello->has_name = true;
			hello->name = args[at + 1];
			at += 2;
		} else {
			reply_error(session, "ERR", "Syntax error in HELLO");
			return false;
		}
	}
	return true;
}

void run_hello(struct session *session, const struct slice *args, uint32_t count)
{
	struct hello hello = {0};
	if (!parse_hello(session, args, count, &hello))
		return;
	if (hello.has_auth && !authenticate(session, hello.user, hello.password))
		return;
	if (!session->authenticated) {
		reply_error(session, "NOAUTH",
		    "HELLO must be called with the client already authenticated, otherwise the "
		    "HELLO <proto> AUTH <user> <pass> option can be used to authenticate the "
		    "client "
		    "and select the RESP protocol version at the same time");
		return;
	}
	if (hello.has_name && !session_set_text(session, &session->name, hello.name, "names"))
		return;
	session->protocol = (enum resp_protocol)hello.protocol;
	write_hello(session);
}

/* ---- Small ones ---- */

void run_ping(struct session *session, const struct slice *args, uint32_t count)
{
	if (count > 2) {
		reply_wrong_arguments(session, "ping");
		return;
	}
	if (count == 1) {
		reply_simple(session, "PONG");
		return;
	}
	run_echo(session, args, count);
}

void run_echo(struct session *session, const struct slice *args, uint32_t count)
{
	(void)count;
	struct resp_writer writer;
	resp_write_bulk(reply_begin(session, &writer), args[1]);
	reply_end(session, &writer);
}

void run_quit(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	reply_ok(session);
	session_leave(session);
}

void run_reset(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	session->protocol = RESP2;
	session->encoding = ENCODING_JSON;
	session->authenticated = session->gate->config->password_bytes == 0;
	session->proxy = session->port == GATE_PROXY;
	session->readonly = session->no_evict = session->no_touch = false;
	mem_free((void *)(uintptr_t)session->name.data);
	session->name = slice_of(NULL, 0);
	reply_simple(session, "RESET");
}

void run_select(struct session *session, const struct slice *args, uint32_t count)
{
	(void)count;
	int64_t number;
	if (!word_integer(args[1], INT32_MIN, INT32_MAX, &number))
		reply_error(session, "ERR", "value is not an integer or out of range");
	else if (number != 0)
		reply_error(session, "ERR", "DB index is out of range");
	else
		reply_ok(session);
}

void run_time(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	int64_t now_ms = clock_real_ms();
	char seconds[32], micros[32];
	snprintf(seconds, sizeof(seconds), "%lld", (long long)(now_ms / 1000));
	snprintf(micros, sizeof(micros), "%lld", (long long)(now_ms % 1000 * 1000));
	struct resp_writer writer;
	resp_write_array(reply_begin(session, &writer), 2);
	resp_write_bulk_text(&writer, seconds);
	resp_write_bulk_text(&writer, micros);
	reply_end(session, &writer);
}
