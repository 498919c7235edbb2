#include "tests/unit/shard/suites.h"

#include "tests/unit/mutation.h"

int main(int argc, char **argv)
{
	Suite *(*const suites[])(void) = {call_suite, token_suite, clock_suite, activate_suite,
	    here_suite, leave_suite, aside_suite, asking_suite, closed_suite, job_suite,
	    admin_suite, drop_suite, records_suite};
	if (unit_set_mutation())
		return 2;
	return unit_run(argc, argv, suites, sizeof(suites) / sizeof(suites[0]));
}
