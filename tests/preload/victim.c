#include "tests/preload/victim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
	if (argc != 7) {
		fprintf(stderr, "usage: %s DIR SEED STEPS RUN ID ACKED\n", argv[0]);
		exit(2);
	}
	return (struct victim){.dir = argv[1],
	    .seed = strtoull(argv[2], NULL, 10),
	    .steps = strtoull(argv[3], NULL, 10),
	    .run = strtoull(argv[4], NULL, 10),
	    .id = strtoull(argv[5], NULL, 10),
	    .acked = strtoull(argv[6], NULL, 10)};
}

void victim_says_id(uint64_t id)
{
	victim_says("id %llu", (unsigned long long)id);
}

void victim_says_acked(uint64_t number)
{
	victim_says("acked %llu", (unsigned long long)number);
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
