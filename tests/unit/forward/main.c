#include "tests/unit/forward/suites.h"

int main(int argc, char **argv)
{
	static Suite *(*const suites[])(void) = {
	    calls_suite, leaders_suite, served_suite, wire_suite, world_suite};
	return unit_run(argc, argv, suites, sizeof(suites) / sizeof(suites[0]));
}
