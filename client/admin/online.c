#include "client/admin/online.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/wire/json.h"
#include "client/admin/commands.h"
#include "client/admin/pick.h"
#include "client/admin/print.h"

#define NODE_DEFAULT     "127.0.0.1:7470"
#define GREET_TIMEOUT_MS 1500
#define AGAIN_MS         200
#define AGAIN_SAID_MS    1000
#define AGAIN_FOR_MS     10000
#define TEXT_BYTES_MAX   4096

enum exit_code online_exit(int code)
{
	switch ((enum kalix_code)code) {
	case KALIX_OK:
		return EXIT_DONE;
	case KALIX_UNAVAILABLE:
		return EXIT_UNREACHABLE;
	case KALIX_UNAUTHENTICATED:
	case KALIX_PERMISSION_DENIED:
		return EXIT_NOT_AUTHORISED;
	case KALIX_ABORTED:
	case KALIX_ALREADY_EXISTS:
		return EXIT_CONFLICT;
	case KALIX_UNKNOWN_OUTCOME:
		return EXIT_OUTCOME_UNKNOWN;
	case KALIX_INVALID_ARGUMENT:
	case KALIX_OUT_OF_RANGE:
	case KALIX_NOT_FOUND:
	case KALIX_FAILED_PRECONDITION:
	case KALIX_RESOURCE_EXHAUSTED:
	case KALIX_INTERNAL:
	case KALIX_UNIMPLEMENTED:
	case KALIX_DATA_LOSS:
	case KALIX_DEADLINE_EXCEEDED:
		return EXIT_REFUSED;
	}
	return EXIT_REFUSED;
}

void online_diagnostics(FILE *to, struct slice diagnostics, unsigned first, const char *severity)
{
	char text[TEXT_BYTES_MAX], clean[TEXT_BYTES_MAX];
	struct slice one;
	size_t at = 0;
	for (unsigned i = 0; pick_element(diagnostics, &at, &one); i++) {
		struct slice file = pick_text(one, "file"), json = pick_text(one, "text");
		if (i < first || json.bytes >= sizeof(text))
			continue;
		size_t bytes = json_unescape(json, (uint8_t *)text);
		print_clean(clean, sizeof(clean), slice_of(text, bytes), "");
		fprintf(to, "  %.*s:%" PRIu64 ": %s%s\n", (int)file.bytes,
		    file.bytes ? (const char *)file.data : "", pick_number(one, "line"), severity,
		    clean);
	}
}

static enum exit_code said(const struct online *online, int code)
{
	fprintf(stderr, "kalix-admin: %s: %s\n", kalix_error_name(code),
	    kalix_reply_message(online->reply));
	struct slice details = slice_from_text(kalix_reply_details(online->reply)), diagnostics;
	if (online->args->format == OUTPUT_TABLE &&
	    pick_member(details, "diagnostics", &diagnostics))
		online_diagnostics(stderr, diagnostics, 1, ""); /* the message has the first */
	else if (details.bytes > 0)
		fprintf(stderr, "%s\n", kalix_reply_details(online->reply));
	return online_exit(code);
}

/* A server that is there answers PING within a moment. */
static enum exit_code greet(struct online *online, const char *host)
{
	static const char *const ping[] = {"PING"};
	kalix_options options = {.timeout_ms = GREET_TIMEOUT_MS};
	int code = kalix_command(online->k, 1, ping, NULL, &options, &online->reply);
	if (code == KALIX_UNAVAILABLE || code == KALIX_UNKNOWN_OUTCOME) {
		fprintf(stderr,
		    "kalix-admin: no server answers at %s. Is kalixd running there, and is that "
		    "its port for clients, and not peer_port? "
		    "--node HOST:PORT or KALIX_NODE names another place.\n",
		    host);
		return EXIT_UNREACHABLE;
	}
	return code ? said(online, code) : EXIT_DONE;
}

int online_connect(
    const struct args *args, struct online *ret_online, const char **ret_host, bool *ret_named)
{
	const char *node = args->node ? args->node : getenv("KALIX_NODE");
	*ret_named = node && node[0];
	*ret_online = (struct online){.args = args, .node = *ret_named ? node : NODE_DEFAULT};
	/* Without the password that may stand before it. */
	const char *at = strrchr(ret_online->node, '@');
	*ret_host = at ? at + 1 : ret_online->node;
	return kalix_open(ret_online->node, &ret_online->k);
}

enum exit_code online_open(const struct args *args, struct online *ret_online)
{
	const char *host;
	bool named;
	int code = online_connect(args, ret_online, &host, &named);
	if (code == KALIX_INVALID_ARGUMENT) {
		fprintf(stderr, "kalix-admin: --node takes [USER:PASSWORD@]HOST:PORT\n");
		return EXIT_USAGE;
	}
	if (code)
		return command_failed(ERR_NOMEM, "");
	return greet(ret_online, host);
}

void online_done(struct online *online)
{
	kalix_reply_free(online->reply);
	kalix_close(online->k);
	online->reply = NULL;
	online->k = NULL;
}

void online_bytes(struct online *online, struct slice word)
{
	ASSERT(online->count < ONLINE_WORDS_MAX);
	online->words[online->count] = (const char *)word.data;
	online->bytes[online->count++] = word.bytes;
}

void online_word(struct online *online, const char *word)
{
	online_bytes(online, slice_from_text(word));
}

void online_option(struct online *online, const char *name, const char *value)
{
	if (!value)
		return;
	online_word(online, name);
	online_word(online, value);
}

int online_try(struct online *online)
{
	kalix_options options = {.timeout_ms = online->args->timeout_ms};
	kalix_reply_free(online->reply);
	online->code = kalix_command(
	    online->k, online->count, online->words, online->bytes, &options, &online->reply);
	online->count = 0;
	return online->code;
}

enum exit_code online_said(const struct online *online)
{
	return online->code ? said(online, online->code) : EXIT_DONE;
}

enum exit_code online_run(struct online *online)
{
	online_try(online);
	return online_said(online);
}

bool online_may_come(int code)
{
	return code == KALIX_UNAVAILABLE || code == KALIX_UNKNOWN_OUTCOME ||
	       code == KALIX_DEADLINE_EXCEEDED;
}

void online_say_again(const struct online *online, uint64_t left_ms)
{
	fprintf(stderr, "trying again, for %" PRIu64 " s at most: %s: %s\n", (left_ms + 999) / 1000,
	    kalix_error_name(online->code), kalix_reply_message(online->reply));
}

/* The words stay where they are until the next are given: only their count is taken back. */
static enum exit_code run_again(struct online *online, bool harmless)
{
	const struct timespec pause = {.tv_nsec = AGAIN_MS * NS_PER_MS};
	uint64_t for_ms = online->args->timeout_ms ? online->args->timeout_ms : AGAIN_FOR_MS;
	uint64_t began_ns = clock_monotonic_ns(), took_ms = 0;
	size_t count = online->count;
	bool told = false;
	while (online_try(online),
	    online->code == KALIX_UNAVAILABLE || (harmless && online_may_come(online->code))) {
		took_ms = (clock_monotonic_ns() - began_ns) / NS_PER_MS;
		if (took_ms >= for_ms)
			break;
		if (!told && took_ms >= AGAIN_SAID_MS) {
			fputs("kalix-admin: ", stderr);
			online_say_again(online, for_ms - took_ms);
			told = true;
		}
		(void)nanosleep(&pause, NULL);
		online->count = count;
	}
	return online_said(online);
}

enum exit_code online_change(struct online *online)
{
	return run_again(online, false);
}

enum exit_code online_read(struct online *online)
{
	return run_again(online, true);
}

const char *online_json(const struct online *online)
{
	return kalix_reply_json(online->reply);
}
