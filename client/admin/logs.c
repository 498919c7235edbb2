/* logs: the last log lines of a running server, and those that come. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/wire/json.h"
#include "client/admin/commands.h"
#include "client/admin/online.h"
#include "client/admin/pick.h"

#define LINE_BYTES_MAX 8192

/* How long a new line may wait while nothing comes. */
static const struct timespec FOLLOW_STEP = {.tv_nsec = 300 * 1000 * 1000};

static void print_line(const struct args *args, struct slice element)
{
	char text[LINE_BYTES_MAX];
	struct slice json = pick_text(element, "line");
	if (args->format != OUTPUT_TABLE) {
		printf("%.*s\n", (int)element.bytes, (const char *)element.data);
		return;
	}
	if (json.bytes == 0 || json.bytes >= sizeof(text))
		return;
	size_t bytes = json_unescape(json, (uint8_t *)text);
	/* The server's lines are printable; another's need not be. */
	for (size_t i = 0; i < bytes; i++)
		if (text[i] < ' ' || text[i] > '~')
			text[i] = '?';
	printf("%.*s\n", (int)bytes, text);
}

/* Prints the last reply's lines; where some before them were thrown away, says so. */
static uint64_t print_lines(const struct args *args, const struct online *online, uint64_t from)
{
	struct slice reply = slice_from_text(online_json(online)), lines, element;
	size_t at = 0;
	bool first = true;
	if (pick_member(reply, "lines", &lines))
		while (pick_element(lines, &at, &element)) {
			uint64_t number = pick_number(element, "number");
			if (first && from > 0 && number > from)
				fprintf(stderr,
				    "kalix-admin: %" PRIu64
				    " lines are gone: they came too quickly\n",
				    number - from);
			first = false;
			print_line(args, element);
		}
	return pick_number(reply, "next");
}

static enum exit_code ask(struct online *online, uint64_t from)
{
	char number[24];
	snprintf(number, sizeof(number), "%" PRIu64, from);
	online_word(online, "ADMIN");
	online_word(online, "LOGS");
	online_option(online, "FROM", from ? number : NULL);
	online_option(online, "COUNT", from ? NULL : online->args->count);
	return online_run(online);
}

static enum exit_code follow(const struct args *args, struct online *online)
{
	uint64_t next = 0;
	for (;;) {
		enum exit_code code = ask(online, next);
		if (code)
			return code;
		uint64_t before = next;
		next = print_lines(args, online, before);
		if (fflush(stdout))
			return command_failed(ERR_IO, "");
		if (next == before)
			nanosleep(&FOLLOW_STEP, NULL);
	}
}

enum exit_code command_logs(const struct args *args)
{
	struct online online;
	enum exit_code code = online_open(args, &online);
	if (!code && args->follow) {
		code = follow(args, &online);
	} else if (!code) {
		code = ask(&online, 0);
		if (!code && args->format == OUTPUT_JSON)
			code = online_print(&online, NULL, 0);
		else if (!code)
			(void)print_lines(args, &online, 0);
		if (!code && fflush(stdout))
			code = command_failed(ERR_IO, "");
	}
	online_done(&online);
	return code;
}
