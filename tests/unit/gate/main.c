#include "tests/unit/gate/suites.h"

int main(int argc, char **argv)
{
	static Suite *(*const suites[])(void) = {
	    admin_suite,
	    calls_suite,
	    commands_suite,
	    config_suite,
	    limits_suite,
	    options_suite,
	    session_suite,
	    topology_suite,
	};
	return unit_run(argc, argv, suites, sizeof(suites) / sizeof(suites[0]));
}
