/* call, entity, error: one command of the server each. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "client/admin/commands.h"
#include "client/admin/online.h"

/* "-": the payload stands on standard input. */
static enum exit_code read_payload(struct buffer *out)
{
	uint8_t *room;
	size_t got;
	do {
		int error = buffer_reserve(out, 65536, &room);
		if (error)
			return command_failed(error, "");
		got = fread(room, 1, 65536, stdin);
		buffer_commit(out, got);
	} while (got > 0);
	if (buffer_bytes(out) == 0)
		return command_failed(
		    ERR_INVALID, "standard input is empty: the payload was expected there");
	return EXIT_DONE;
}

static enum exit_code run_call(
    const struct args *args, struct online *online, struct buffer *payload)
{
	char timeout[16];
	if (args->words > 3 && strcmp(args->word[3], "-") == 0) {
		enum exit_code code = read_payload(payload);
		if (code)
			return code;
	}
	online_word(online, "CALL");
	online_word(online, args->word[1]);
	if (args->words > 2)
		online_word(online, args->word[2]);
	if (buffer_bytes(payload))
		online_bytes(online, buffer_view(payload));
	else if (args->words > 3)
		online_word(online, args->word[3]);
	online_option(online, "IDEMPOTENCY", args->token);
	snprintf(timeout, sizeof(timeout), "%" PRIu32, args->timeout_ms);
	/* Behind the address alone it would be the name of a command. */
	if (args->words > 2 && args->timeout_ms)
		online_option(online, "TIMEOUT", timeout);
	enum exit_code code = online_run(online);
	if (code)
		return code;
	/* A reply is the app's own: printed as it is. */
	puts(online_json(online));
	return EXIT_DONE;
}

enum exit_code command_call(const struct args *args)
{
	struct online online;
	struct buffer payload;
	buffer_init(&payload, PAYLOAD_BYTES_MAX + 65536);
	enum exit_code code = online_open(args, &online);
	if (!code)
		code = run_call(args, &online, &payload);
	online_done(&online);
	buffer_done(&payload);
	return code;
}

static const char *const history_columns[] = {
    "revision", "at", "event", "data", "state", "deleted", "version"};
static const char *const list_columns[] = {"address"};

/* `ADMIN ENTITY verb`: the reply's rows are what a table shows; its cursor comes after. */
enum exit_code command_entity(const struct args *args)
{
	struct online online;
	enum exit_code code = online_open(args, &online);
	if (!code) {
		online_word(&online, "ADMIN");
		online_word(&online, "ENTITY");
		online_word(&online, args->word[1]);
		online_word(&online, args->word[2]);
		online_option(&online, "REVISION", args->at_revision);
		online_option(&online, "CURSOR", args->cursor);
		online_option(&online, "COUNT", args->count);
		online_option(&online, "AS", args->stored ? "msgpack" : NULL);
		code = online_read(&online);
	}
	if (!code && strcmp(args->word[1], "history") == 0)
		code = online_print_member(&online, "entries", history_columns,
		    sizeof(history_columns) / sizeof(history_columns[0]));
	else if (!code && strcmp(args->word[1], "list") == 0)
		code = online_print_member(&online, "addresses", list_columns, 1);
	else if (!code)
		code = online_print(&online, NULL, 0);
	online_done(&online);
	return code;
}

static const char *const error_columns[] = {"reference", "at", "address", "command", "message"};

enum exit_code command_error(const struct args *args)
{
	struct online online;
	bool list = strcmp(args->word[1], "list") == 0;
	enum exit_code code = online_open(args, &online);
	if (!code) {
		online_word(&online, "ADMIN");
		online_word(&online, "ERROR");
		online_word(&online, list ? "LIST" : args->word[1]);
		online_option(&online, "COUNT", list ? args->count : NULL);
		code = online_run(&online);
	}
	if (!code)
		code = online_print(&online, list ? error_columns : NULL,
		    sizeof(error_columns) / sizeof(error_columns[0]));
	online_done(&online);
	return code;
}

static const char *const slow_columns[] = {
    "at", "took_us", "address", "command", "payload_bytes", "client", "client_name"};

enum exit_code command_slowlog(const struct args *args)
{
	struct online online;
	bool reset = args->words == 2;
	if (reset && strcmp(args->word[1], "reset") != 0) {
		fprintf(stderr, "kalix-admin: slowlog [--count N] | slowlog reset, not '%.40s'\n",
		    args->word[1]);
		return EXIT_USAGE;
	}
	enum exit_code code = online_open(args, &online);
	if (!code) {
		online_word(&online, "ADMIN");
		online_word(&online, "SLOWLOG");
		if (reset)
			online_word(&online, "RESET");
		else
			online_option(&online, "COUNT", args->count);
		code = online_run(&online);
	}
	if (!code)
		code = online_print(&online, reset ? NULL : slow_columns,
		    sizeof(slow_columns) / sizeof(slow_columns[0]));
	online_done(&online);
	return code;
}
