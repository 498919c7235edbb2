#include "tests/unit/group/suites.h"

int main(int argc, char **argv)
{
	Suite *(*const suites[])(void) = {carrier_suite, share_suite, class_suite, room_suite};
	return unit_run(argc, argv, suites, sizeof(suites) / sizeof(suites[0]));
}
