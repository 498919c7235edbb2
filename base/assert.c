#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { STOP_TEXT_BYTES_MAX = 512 };

static stop_hook *assert_hook;
static stop_hook *panic_hook;

void assert_set_hook(stop_hook *hook)
{
	assert_hook = hook;
}

void panic_set_hook(stop_hook *hook)
{
	panic_hook = hook;
}

/* Straight to the descriptor: stdio's lock may be held by the thread that just failed. */
static void print_line(const char *kind, const char *file, int line, const char *what)
{
	char text[STOP_TEXT_BYTES_MAX + 256];
	int length = snprintf(text, sizeof(text), "%s: %s:%d: %s\n", kind, file, line, what);
	if (length < 0)
		return;
	size_t bytes = (size_t)length < sizeof(text) ? (size_t)length : sizeof(text) - 1;
	if (write(STDERR_FILENO, text, bytes) < 0)
		return; /* Nobody is listening; the process stops all the same. */
}

void assert_failed(const char *file, int line, const char *what)
{
	/* A hook that fails itself must not come back here for ever. */
	stop_hook *hook = assert_hook;
	assert_hook = NULL;
	print_line("assertion failed", file, line, what);
	if (hook)
		hook(file, line, what);
	abort();
}

void assert_failed_with(const char *file, int line, const char *what, const char *format, ...)
{
	char text[STOP_TEXT_BYTES_MAX];
	int length = snprintf(text, sizeof(text), "%s: ", what);
	if (length > 0 && (size_t)length < sizeof(text)) {
		va_list arguments;
		va_start(arguments, format);
		vsnprintf(text + length, sizeof(text) - (size_t)length, format, arguments);
		va_end(arguments);
	}
	assert_failed(file, line, text);
}

void panic(const char *file, int line, const char *format, ...)
{
	char text[STOP_TEXT_BYTES_MAX];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	/* Unlike after an assertion the hook stays, and nothing is printed before it: the simulator
	 * crashes many nodes in one process, each of them as it should. */
	if (panic_hook)
		panic_hook(file, line, text);
	print_line("panic", file, line, text);
	_exit(PANIC_EXIT_STATUS);
}
