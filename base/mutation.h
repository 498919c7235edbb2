/* Mutations: deliberate faults in our own code, which the simulator must find. They are the test of
 * the tests: a rule whose violation nobody notices is not tested.
 *
 *	if (!MUTATION(log_acknowledges_before_sync))
 *		wait_for_sync();
 *
 * In ordinary builds MUTATION(name) is the constant 0 and leaves no code. A build configured with
 * --enable-mutations (it defines KX_MUTATIONS, is for tests only, and says so when it starts) can
 * switch one of them on per run. Names stand in base/mutation_list.h; one that does not stand there
 * does not compile, in either build. One thread.
 */
#ifndef KX_BASE_MUTATION_H
#define KX_BASE_MUTATION_H

#include "base/error.h"
#ifndef MUTATION_LIST
#include "base/mutation_list.h"
#endif

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum mutation {
	MUTATION_NONE,
#define X(name, description, seeds_max) MUTATION_##name,
	MUTATION_LIST(X)
#undef X
	    MUTATION_COUNT /* for a runner: every number from MUTATION_NONE + 1 to below it */
};

struct mutation_info {
	const char *name;
	const char *description;
	uint32_t seeds_max; /* found within so many seeds, or the tests are too weak */
};

/* Static; of MUTATION_NONE too. */
const struct mutation_info *mutation_info(enum mutation mutation);

/* ERR_NOT_FOUND. */
NODISCARD int mutation_find(const char *name, enum mutation *ret_mutation);

/* A line for each, as scripts read them: name, seeds_max, description. */
void mutation_print_all(FILE *to);
/* Whether this build has mutations at all. */
bool mutation_built(void);

/* Switches one on and the others off, and begins to count hits at 0. In a build without mutations
 * only MUTATION_NONE may be set. */
void mutation_set(enum mutation mutation);

/* How often the faulty way was taken since mutation_set: a run that never came by proves nothing.
 */
uint64_t mutation_hits(void);

#ifdef KX_MUTATIONS
bool mutation_is_on(enum mutation mutation); /* counts a hit */
#define MUTATION(name) mutation_is_on(MUTATION_##name)
#else
#define MUTATION(name) (0 && MUTATION_##name != MUTATION_NONE)
#endif

#endif
