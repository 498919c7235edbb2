#include "tests/unit/log/suites.h"

#include "tests/unit/mutation.h"

int main(int argc, char **argv)
{
	static Suite *(*const suites[])(void) = {
#define X(suite) suite,
	    LOG_SUITES(X)
#undef X
	};
	if (unit_set_mutation())
		return 2;
	return unit_run(argc, argv, suites, sizeof(suites) / sizeof(suites[0]));
}
