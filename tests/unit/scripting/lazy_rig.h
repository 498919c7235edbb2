/* A sandbox whose scripts have `kalix` and functions of value_fixture.h, and
 *
 *	stored(bytes [, schema])   value_push_state, which may give a lazy table
 *	make_stored(value [, schema])  value_make_stored; raises what is wrong
 *	lazy_count()               how many states were lazy until now
 */
#ifndef KX_TESTS_UNIT_SCRIPTING_LAZY_RIG_H
#define KX_TESTS_UNIT_SCRIPTING_LAZY_RIG_H

#include <stdint.h>

#include "tests/unit/scripting/harness.h"
#include "tests/unit/scripting/value_fixture.h"

struct sandbox *lazy_rig_new(uint64_t seed);
void lazy_rig_free(struct sandbox *sandbox);
/* Runs three pieces of one script; an error fails the test. */
void lazy_rig_run(
    struct sandbox *sandbox, const char *first, const char *second, const char *third);

#endif
