/* For the programs that exist a second time in a build with mutations (base/mutation.h). */
#ifndef KX_TESTS_UNIT_MUTATION_H
#define KX_TESTS_UNIT_MUTATION_H

#include <stdio.h>
#include <stdlib.h>

#include "base/mutation.h"

/* Switches the one on that KX_MUTATION names, to see which test finds it; 0 where it names none.
 * Says on the standard error that there is no such mutation in this build, and returns -1. */
static inline int unit_set_mutation(void)
{
	const char *name = getenv("KX_MUTATION");
	enum mutation mutation;
	if (!name)
		return 0;
	if (!mutation_built() || mutation_find(name, &mutation)) {
		fprintf(stderr, "no mutation %s in this build\n", name);
		return -1;
	}
	mutation_set(mutation);
	return 0;
}

#endif
