/* Where an oracle speaks: the seed has failed. One process simulates one seed, so that nothing has
 * to be cleaned up, and the state is there for a debugger. */
#ifndef KX_TESTS_SIM_VERDICT_H
#define KX_TESTS_SIM_VERDICT_H

#include <stdint.h>

#include "base/error.h"

/* What the process simulates, for its messages. */
void verdict_begin(uint64_t seed, unsigned profile);
/* The command that does it again is another program's, which has no profiles. A static text. */
void verdict_program(const char *program);
/* Where it is: printed with a failure. `boots` and `operations` are the test's own. */
void verdict_at(uint64_t boots, uint64_t operations, uint64_t virtual_ns);

/* Prints seed, place, and the command that does it again. */
void verdict_where(void);

/* Prints what was violated, the seed, and the command that does it again; ends the process. */
__attribute__((noreturn, cold, format(printf, 2, 3))) void verdict_fail(
    const char *oracle, const char *format, ...);

/* From now on a failed ASSERT is an oracle, too. After sim_new, which has a hook of its own. */
void verdict_take_assertions(void);

/* An oracle has a short name, which the table of mutations shows. */
#define EXPECT(condition, oracle, ...)                                                             \
	(__builtin_expect(!(condition), 0) ? verdict_fail(oracle, __VA_ARGS__) : (void)0)

enum { VERDICT_EXIT_STATUS = 3 };

#endif
