#include "tests/unit/scripting/suites.h"

#include "tests/unit/run.h"

int main(int argc, char **argv)
{
	Suite *(*const suites[])(void) = {library_suite, blocks_suite, find_suite, order_suite,
	    budget_suite, collect_suite, escape_suite, slice_suite, inside_suite};
	return unit_run(argc, argv, suites, sizeof(suites) / sizeof(suites[0]));
}
