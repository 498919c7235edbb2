#include "tests/unit/outcome/suites.h"

int main(int argc, char **argv)
{
	Suite *(*const suites[])(void) = {
	    waiting_suite, read_suite, proposed_suite, sent_suite, order_suite};
	return unit_run(argc, argv, suites, sizeof(suites) / sizeof(suites[0]));
}
