/* Runs of scripts in a sandbox, for the suites of sandbox_test: with a clock of their own, so that
 * a slice ends where a test wants it, and nothing depends on the machine's speed. */
#ifndef KX_TESTS_UNIT_SCRIPTING_HARNESS_H
#define KX_TESTS_UNIT_SCRIPTING_HARNESS_H

#include "scripting/sandbox.h"
#include "tests/unit/run.h"

#include <stdint.h>

/* What clock_monotonic_ns moves on by at each call. harness_new sets it to 0: time stands still. */
extern uint64_t harness_tick_ns;

struct outcome {
	enum sandbox_end end;
	enum status status;
	unsigned pauses;
	uint64_t instructions, run_ns;
	uint64_t bytes_most; /* of the interpreter, above what it began with */
	char text[4096];     /* the first result, the error, or which budget */
	char traceback[1024];
};

/* A sandbox with libraries for tests: `c_call(f, ...)` calls without a way to yield,
 * `give_up(text)` aborts with FAILED_PRECONDITION, `printed` lines are kept. */
struct sandbox *harness_new(uint64_t seed);

/* Compiles and runs to the end, in slices if slice_us is not 0. */
struct outcome harness_run(struct sandbox *sandbox, const struct sandbox_budget *budget,
    uint32_t slice_us, bool pure, const char *source);
extern const struct sandbox_budget harness_budget; /* 10 M instructions, 100 ms, 64 MiB */

/* In a sandbox of its own with the usual budget; must end and give this text. */
void harness_gives(const char *source, const char *text);
/* Must raise an error that contains the text. */
void harness_raises(const char *source, const char *text);
/* Must be ended by a budget whose name contains the text. */
void harness_exhausts(const char *source, const char *text);

#endif
