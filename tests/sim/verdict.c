#include "tests/sim/verdict.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/assert.h"

static struct {
	uint64_t seed;
	unsigned profile;
	uint64_t boots, operations, virtual_ns;
	const char *program; /* NULL: engine_sim */
} now;

void verdict_begin(uint64_t seed, unsigned profile)
{
	now.seed = seed;
	now.profile = profile;
}

void verdict_program(const char *program)
{
	now.program = program;
}

void verdict_at(uint64_t boots, uint64_t operations, uint64_t virtual_ns)
{
	now.boots = boots;
	now.operations = operations;
	now.virtual_ns = virtual_ns;
}

void verdict_where(void)
{
	if (now.program) {
		fprintf(stderr,
		    "seed %" PRIu64 ": process %" PRIu64 ", operation %" PRIu64 ", %" PRIu64
		    " us\nagain: %s --seeds %" PRIu64 " 1 --trace\n",
		    now.seed, now.boots, now.operations, now.virtual_ns / 1000, now.program,
		    now.seed);
		return;
	}
	fprintf(stderr,
	    "seed %" PRIu64 ", profile %u: process %" PRIu64 ", operation %" PRIu64 ", %" PRIu64
	    " us\n"
	    "again: tests/sim/engine_sim --seeds %" PRIu64 " 1 --profiles %u --trace\n",
	    now.seed, now.profile, now.boots, now.operations, now.virtual_ns / 1000, now.seed,
	    now.profile);
}

void verdict_fail(const char *oracle, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fprintf(stderr, "VIOLATED: %s: ", oracle);
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	verdict_where();
	fflush(NULL);
	/* Whatever the simulated process holds: not unwound, not reported as leaked. */
	_exit(VERDICT_EXIT_STATUS);
}

static void assertion_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "VIOLATED: assertion: %s:%d: %s\n", file, line, what);
	verdict_where();
	fflush(NULL);
	_exit(VERDICT_EXIT_STATUS);
}

void verdict_take_assertions(void)
{
	assert_set_hook(assertion_failed);
}
