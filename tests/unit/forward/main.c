#include "tests/unit/forward/suites.h"

#include "tests/unit/mutation.h"

int main(int argc, char **argv)
{
	static Suite *(*const suites[])(void) = {
	    calls_suite, leaders_suite, served_suite, wire_suite, world_suite};
	if (unit_set_mutation())
		return 2;
	return unit_run(argc, argv, suites, sizeof(suites) / sizeof(suites[0]));
}
