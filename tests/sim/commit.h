/* What a failure names beside its seed: without the code that it ran, a seed says nothing. */
#ifndef KX_TESTS_SIM_COMMIT_H
#define KX_TESTS_SIM_COMMIT_H

#include <stdlib.h>

/* The commit, with "-dirty" behind it where files differ from it: ./run puts it there, who runs a
 * program by hand has the tree before him. Any thread, where nobody sets the environment. */
static inline const char *commit_text(void)
{
	const char *text = getenv("KALIX_COMMIT");
	return text && text[0] ? text : "of this tree";
}

#endif
