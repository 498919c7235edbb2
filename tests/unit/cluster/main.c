#include "tests/unit/cluster/suites.h"

int main(int argc, char **argv)
{
	static Suite *(*const suites[])(void) = {wire_suite, unfit_suite, disk_suite, reach_suite,
	    recover_suite, wishes_suite, core_suite, answers_suite, loads_suite};
	return unit_run(argc, argv, suites, sizeof(suites) / sizeof(suites[0]));
}
