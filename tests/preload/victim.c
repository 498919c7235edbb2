#include "tests/preload/victim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

enum { HANGS_S = 20 };

static void say(const char *text, size_t bytes)
{
	while (bytes > 0) {
		ssize_t written = write(STDOUT_FILENO, text, bytes);
		if (written < 0)
			_exit(1);
		text += written;
		bytes -= (size_t)written;
	}
}

__attribute__((format(printf, 1, 0))) static void say_format(const char *format, va_list arguments)
{
	char text[1024];
	int bytes = vsnprintf(text, sizeof(text), format, arguments);
	say(text, bytes < (int)sizeof(text) ? (size_t)bytes : sizeof(text) - 1);
}

void victim_says(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	say_format(format, arguments);
	va_end(arguments);
	say("\n", 1);
}

struct victim victim_of(int argc, char **argv)
{
	if (argc < 5 || argc > 5 + VICTIM_NUMBERS) {
		fprintf(stderr, "usage: %s DIR SEED STEPS RUN SAID...\n", argv[0]);
		exit(2);
	}
	/* One that never comes to its end is wrong, too. */
	alarm(HANGS_S);
	struct victim victim = {.dir = argv[1],
	    .seed = strtoull(argv[2], NULL, 10),
	    .steps = strtoull(argv[3], NULL, 10),
	    .run = strtoull(argv[4], NULL, 10)};
	for (int i = 5; i < argc; i++)
		victim.said[i - 5] = strtoull(argv[i], NULL, 10);
	return victim;
}

void victim_says_durable(const uint64_t said[VICTIM_NUMBERS])
{
	char text[VICTIM_NUMBERS * 21 + 16] = "durable";
	size_t used = strlen(text);
	for (size_t i = 0; i < VICTIM_NUMBERS; i++)
		used += (size_t)snprintf(
		    text + used, sizeof(text) - used, " %llu", (unsigned long long)said[i]);
	/* In one piece: a line that was cut off would say something else. */
	text[used++] = '\n';
	say(text, used);
}

__attribute__((noreturn, format(printf, 2, 0))) static void stop(
    const char *why, const char *format, va_list arguments, int status)
{
	say(why, strlen(why));
	say_format(format, arguments);
	say("\n", 1);
	_exit(status);
}

void victim_refuses(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	stop("refused: ", format, arguments, VICTIM_REFUSED);
}

void victim_wrong(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	stop("wrong: ", format, arguments, 1);
}

void victim_fails(const char *what, int error, const char *why)
{
	if (error == ERR_NO_SPACE || error == ERR_IO)
		victim_refuses("%s: %s: %s", what, error_name(error), why);
	victim_wrong("%s: %s: %s", what, error_name(error), why);
}
