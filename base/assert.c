#include "base/assert.h"

#include "base/log_line.h"

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

/* Says what happened, in the log; or bare, where saying so is what failed. */
static void say(const char *event, const char *file, int line, const char *what)
{
	static _Thread_local const char *saying;
	if (saying) {
		dprintf(STDERR_FILENO, "%s: %s:%d: %s (while logging: %s)\n", event, file, line,
		    what, saying);
		return;
	}
	saying = what;
	LOG_LINE(LEVEL_ERROR, event, FIELD_TEXT("file", file), FIELD_I64("line", line),
	    FIELD_TEXT("what", what));
	saying = NULL;
}

void assert_failed(const char *file, int line, const char *what)
{
	/* A hook that fails itself must not come back here for ever. */
	stop_hook *hook = assert_hook;
	assert_hook = NULL;
	say("assertion_failed", file, line, what);
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
	say("panic", file, line, text);
	_exit(PANIC_EXIT_STATUS);
}
