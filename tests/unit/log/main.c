#include "tests/unit/log/suites.h"

#include "base/mutation.h"

#include <stdio.h>
#include <stdlib.h>

/* In a build with mutations KX_MUTATION=NAME switches one on, to see which test finds it. */
static int set_mutation(void)
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

int main(int argc, char **argv)
{
	static Suite *(*const suites[])(void) = {
#define X(suite) suite,
	    LOG_SUITES(X)
#undef X
	};
	if (set_mutation())
		return 2;
	return unit_run(argc, argv, suites, sizeof(suites) / sizeof(suites[0]));
}
